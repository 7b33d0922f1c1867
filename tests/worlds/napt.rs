//! A network address and port translator before a host on bare IPv4, for UDP and DCCP, as RFC 5597 has
//! it: mappings that do not depend on the peer (REQ-1), every packet type (REQ-2). It lets in what comes
//! from where something has been sent to: the strictest filter there is.

use sockeye_core::{Batch, Capabilities, Instant, Medium, Packet};
use sockeye_link::{Link, offload};
use sockeye_wire::IpProtocol;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;

/// Bytes of an IPv4 header without options.
const HEADER_LEN: usize = 20;
/// The first port that is given to who can't keep his own.
const FIRST: u16 = 40_000;

/// `link` is outside; the node that it is plugged into has the address `inside`, and seems to have
/// `outside`.
#[derive(Debug)]
pub(crate) struct Napt<L> {
    link: L,
    inside: Ipv4Addr,
    outside: Ipv4Addr,
    /// Ports are kept where they can be.
    keeps: bool,
    /// From protocol and port inside to the port outside, and back.
    out: BTreeMap<(u8, u16), u16>,
    back: BTreeMap<(u8, u16), u16>,
    /// What has been sent to, by which port outside.
    open: BTreeSet<(u8, u16, Ipv4Addr, u16)>,
}

impl<L> Napt<L> {
    pub(crate) fn new(link: L, inside: &str, outside: &str, keeps: bool) -> Self {
        Self {
            link,
            inside: inside.parse().unwrap(),
            outside: outside.parse().unwrap(),
            keeps,
            out: BTreeMap::new(),
            back: BTreeMap::new(),
            open: BTreeSet::new(),
        }
    }

    /// What leaves comes from the outer address.
    fn outwards(&mut self, packet: &Packet) -> Option<Packet> {
        let mut bytes = packet.to_vec();
        let (protocol, own, peer, peer_port) = ends(&bytes, 16, 0, 2)?;
        let port = match self.out.get(&(protocol, own)) {
            Some(port) => *port,
            None => {
                let free = |port: &u16| !self.back.contains_key(&(protocol, *port));
                let kept = Some(own).filter(|port| self.keeps && free(port));
                let port = kept.or_else(|| (FIRST..).find(free))?;
                self.out.insert((protocol, own), port);
                self.back.insert((protocol, port), own);
                port
            }
        };
        self.open.insert((protocol, port, peer, peer_port));
        rewrite(&mut bytes, 12, self.outside, 0, port);
        Some(Packet::from_slice(&bytes))
    }

    /// What comes in answers something, and is for the host inside.
    fn inwards(&self, packet: &Packet) -> Option<Packet> {
        let mut bytes = packet.to_vec();
        let (protocol, port, peer, peer_port) = ends(&bytes, 12, 2, 0)?;
        let own = *self.back.get(&(protocol, port))?;
        let open = (protocol, port, peer, peer_port);
        if !self.open.contains(&open) {
            return None;
        }
        rewrite(&mut bytes, 16, self.inside, 2, own);
        Some(Packet::from_slice(&bytes))
    }
}

impl<L: Link> Link for Napt<L> {
    fn capabilities(&self) -> Capabilities {
        self.link.capabilities()
    }

    fn recv_batch(&mut self, now: Instant, rx: &mut Batch, max: usize) -> io::Result<usize> {
        let mut outside = Batch::new();
        self.link.recv_batch(now, &mut outside, max)?;
        let before = rx.len();
        rx.extend(outside.iter().filter_map(|packet| self.inwards(packet)));
        Ok(rx.len() - before)
    }

    fn send_batch(&mut self, now: Instant, tx: &mut Batch) -> io::Result<usize> {
        let mut wire = Batch::new();
        let taken = tx.len();
        for packet in tx.drain(..) {
            // Checksums that are left to the link are made before they are changed.
            offload::to_wire(packet, Medium::Ip, &mut wire).map_err(io::Error::other)?;
        }
        let mut outside: Batch = wire
            .iter()
            .filter_map(|packet| self.outwards(packet))
            .collect();
        self.link.send_batch(now, &mut outside)?;
        Ok(taken)
    }

    fn deadline(&self) -> Option<Instant> {
        self.link.deadline()
    }
}

/// The protocol, the port on our side, and the peer's address and port.
fn ends(
    bytes: &[u8],
    peer: usize,
    own_port: usize,
    peer_port: usize,
) -> Option<(u8, u16, Ipv4Addr, u16)> {
    let protocol = IpProtocol(*bytes.get(9)?);
    let plain = bytes[0] == 0x45 && bytes.len() >= HEADER_LEN + 8;
    if !plain || !matches!(protocol, IpProtocol::UDP | IpProtocol::DCCP) {
        return None;
    }
    let half = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let peer = Ipv4Addr::from(*bytes[peer..].first_chunk::<4>()?);
    Some((
        protocol.0,
        half(HEADER_LEN + own_port),
        peer,
        half(HEADER_LEN + peer_port),
    ))
}

/// Changes an address and a port, and both checksums by what has changed (RFC 1624).
fn rewrite(bytes: &mut [u8], at: usize, ip: Ipv4Addr, port_at: usize, port: u16) {
    let old_ip: [u8; 4] = bytes[at..at + 4].try_into().unwrap();
    let port_at = HEADER_LEN + port_at;
    let old_port: [u8; 2] = bytes[port_at..port_at + 2].try_into().unwrap();
    bytes[at..at + 4].copy_from_slice(&ip.octets());
    bytes[port_at..port_at + 2].copy_from_slice(&port.to_be_bytes());
    let old = [&old_ip[..], &old_port].concat();
    let new = [&ip.octets()[..], &port.to_be_bytes()].concat();
    adjust(&mut bytes[10..12], &old_ip, &ip.octets());
    // The checksum of UDP and that of DCCP lie at the same place.
    let sum = &mut bytes[HEADER_LEN + 6..HEADER_LEN + 8];
    adjust(sum, &old, &new);
}

fn adjust(sum: &mut [u8], old: &[u8], new: &[u8]) {
    let words = |bytes: &[u8]| -> Vec<u32> {
        let words = bytes.chunks(2);
        words
            .map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])))
            .collect()
    };
    let mut total = 0xffff - words(sum)[0];
    for (old, new) in words(old).into_iter().zip(words(new)) {
        total += (0xffff - old) + new;
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    sum.copy_from_slice(&(0xffff - total as u16).to_be_bytes());
}
