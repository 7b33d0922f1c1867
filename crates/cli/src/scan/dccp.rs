//! Probes of DCCP: a bare Request by a raw socket. The node has no connection for what comes back, and
//! resets it.

use super::probe::{Heard, Prober, hear_raw, send, source_port, want_errors};
use super::tcp::checksum;
use super::verdict::Method;
use anyhow::{Context, Result};
use sockeye::{Domain, Node, Protocol, Socket, Type};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Bytes of a Request without options.
const REQUEST_LEN: usize = 20;
/// Where the checksum is.
const CHECKSUM_OFFSET: usize = 6;

pub(super) struct Request<'a> {
    socket: Socket,
    own: SocketAddr,
    peer: IpAddr,
    ports: &'a [u16],
    /// The low bits of the Sequence Number, which answers acknowledge.
    number: u32,
}

impl<'a> Request<'a> {
    pub(super) fn new(node: &Node, peer: IpAddr, ports: &'a [u16]) -> Result<Self> {
        let to = SocketAddr::new(peer, 0);
        let domain = Domain::for_address(to);
        let socket = Socket::new_on(node, domain, Type::RAW, Some(Protocol::DCCP))
            .context("a raw socket is needed, which this node does not allow")?;
        want_errors(&socket, peer.is_ipv6())?;
        if peer.is_ipv6() {
            let offset = i32::try_from(CHECKSUM_OFFSET)?.to_ne_bytes();
            socket.set_option_raw(libc::IPPROTO_IPV6, libc::IPV6_CHECKSUM, &offset)?;
        }
        socket.connect(to).with_context(|| format!("to {peer}"))?;
        let chance = node.random()?;
        Ok(Self {
            own: SocketAddr::new(socket.local_addr()?.ip(), source_port(chance)?),
            socket,
            peer,
            ports,
            number: u32::try_from(chance >> 32)?,
        })
    }

    /// A Request for service 0 (RFC 4340 §5.2): who listens for another one says so.
    fn request(&self, port: u16) -> [u8; REQUEST_LEN] {
        let mut request = [0; REQUEST_LEN];
        request[..2].copy_from_slice(&self.own.port().to_be_bytes());
        request[2..4].copy_from_slice(&port.to_be_bytes());
        request[4] = REQUEST_LEN as u8 / 4;
        // Type 0 and the long Sequence Number.
        request[8] = 1;
        request[12..16].copy_from_slice(&self.number.to_be_bytes());
        if let (IpAddr::V4(from), IpAddr::V4(to)) = (self.own.ip(), self.peer) {
            let sum = checksum(&[&from.octets(), &to.octets(), &[0, 33, 0, 20], &request]);
            request[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].copy_from_slice(&sum.to_be_bytes());
        }
        request
    }

    /// The number of the probe that `packet` answers, and what it says.
    fn read(&self, packet: &[u8]) -> Option<Heard> {
        let half = |at: usize| Some(u16::from_be_bytes(*packet.get(at..)?.first_chunk()?));
        let acked = u32::from_be_bytes(*packet.get(20..)?.first_chunk()?);
        if half(2)? != self.own.port() || acked != self.number {
            return None;
        }
        let item = self.ports.binary_search(&half(0)?).ok()?;
        let kind = packet.get(8)? >> 1 & 15;
        let (state, reason) = Method::of_dccp(kind, *packet.get(24)?)?;
        Some(Heard {
            item,
            state,
            reason,
        })
    }
}

impl Prober for Request<'_> {
    fn send(&mut self, item: usize) -> Result<()> {
        let request = self.request(self.ports[item]);
        send(&self.socket, &request, SocketAddr::new(self.peer, 0))
    }

    fn hear(&mut self, wait: Duration) -> Result<Vec<Heard>> {
        let probes = (self.own.port(), self.ports);
        hear_raw(&self.socket, Method::Dccp, probes, wait, |packet| {
            self.read(packet)
        })
    }
}
