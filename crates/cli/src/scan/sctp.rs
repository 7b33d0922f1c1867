//! Probes of SCTP: a bare INIT by a raw socket. The node has no association for what comes back, and
//! aborts it.

use super::probe::{Heard, Prober, hear_raw, send, source_port, want_errors};
use super::verdict::Method;
use anyhow::{Context, Result};
use crc_fast::crc32_iscsi;
use sockeye::{Domain, Node, Protocol, Socket, Type};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Bytes of the common header, and of a packet with an INIT.
const HEADER_LEN: usize = 12;
const PACKET_LEN: usize = HEADER_LEN + 20;

pub(super) struct Init<'a> {
    socket: Socket,
    source_port: u16,
    peer: IpAddr,
    ports: &'a [u16],
    /// The Initiate Tag, which answers carry.
    tag: u32,
}

impl<'a> Init<'a> {
    pub(super) fn new(node: &Node, peer: IpAddr, ports: &'a [u16]) -> Result<Self> {
        let to = SocketAddr::new(peer, 0);
        let domain = Domain::for_address(to);
        let socket = Socket::new_on(node, domain, Type::RAW, Some(Protocol::SCTP))
            .context("a raw socket is needed, which this node does not allow")?;
        want_errors(&socket, peer.is_ipv6())?;
        socket.connect(to).with_context(|| format!("to {peer}"))?;
        let chance = node.random()?;
        Ok(Self {
            socket,
            source_port: source_port(chance)?,
            peer,
            ports,
            // RFC 9260 §3.3.2: a tag is not 0.
            tag: u32::try_from(chance >> 32)?.max(1),
        })
    }

    /// The number of the probe that `packet` answers, and what it says.
    fn read(&self, packet: &[u8]) -> Option<Heard> {
        let half = |at: usize| Some(u16::from_be_bytes(*packet.get(at..)?.first_chunk()?));
        let tag = u32::from_be_bytes(*packet.get(4..)?.first_chunk()?);
        if half(2)? != self.source_port || tag != self.tag {
            return None;
        }
        let item = self.ports.binary_search(&half(0)?).ok()?;
        let (state, reason) = Method::of_chunk(*packet.get(HEADER_LEN)?)?;
        Some(Heard {
            item,
            state,
            reason,
        })
    }
}

impl Prober for Init<'_> {
    fn send(&mut self, item: usize) -> Result<()> {
        let packet = init(self.source_port, self.ports[item], self.tag);
        send(&self.socket, &packet, SocketAddr::new(self.peer, 0))
    }

    fn hear(&mut self, wait: Duration) -> Result<Vec<Heard>> {
        let probes = (self.source_port, self.ports);
        hear_raw(&self.socket, Method::Sctp, probes, wait, |packet| {
            self.read(packet)
        })
    }
}

/// A packet with an INIT (RFC 9260 §3.3.2).
fn init(from: u16, to: u16, tag: u32) -> [u8; PACKET_LEN] {
    let mut packet = [0; PACKET_LEN];
    packet[..2].copy_from_slice(&from.to_be_bytes());
    packet[2..4].copy_from_slice(&to.to_be_bytes());
    packet[HEADER_LEN..HEADER_LEN + 4].copy_from_slice(&[1, 0, 0, 20]);
    packet[16..20].copy_from_slice(&tag.to_be_bytes());
    packet[20..24].copy_from_slice(&32_768_u32.to_be_bytes());
    packet[24..26].copy_from_slice(&10_u16.to_be_bytes());
    packet[26..28].copy_from_slice(&2048_u16.to_be_bytes());
    packet[28..].copy_from_slice(&tag.to_be_bytes());
    let sum = crc32_iscsi(&packet);
    packet[8..12].copy_from_slice(&sum.to_le_bytes());
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc32c() {
        // RFC 3720 appendix B.4's check value.
        assert_eq!(crc32_iscsi(b"123456789"), 0xe306_9283);
        let packet = init(20_000, 80, 7);
        assert_eq!(packet[..4], [0x4e, 0x20, 0, 80]);
        assert_eq!(packet[12..20], [1, 0, 0, 20, 0, 0, 0, 7]);
    }
}
