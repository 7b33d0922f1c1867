//! Probes of TCP: a bare SYN or ACK by a raw socket, or a whole connection.

use super::probe::{Heard, Prober, hear_raw, send, source_port, wait_for, want_errors};
use super::verdict::{ACK, Method, Reason, SYN, State};
use anyhow::{Context, Result};
use sockeye::{Domain, Node, Protocol, Readiness, Socket, Type};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Bytes of a segment with one option, the largest segment's size.
const SEGMENT_LEN: usize = 24;
/// Where a segment's checksum is.
const CHECKSUM_OFFSET: usize = 16;

/// Probes without a connection. The node has no socket for what comes back, and resets it.
pub(super) struct Bare<'a> {
    socket: Socket,
    method: Method,
    own: SocketAddr,
    peer: IpAddr,
    ports: &'a [u16],
    /// What answers must acknowledge, or be numbered with.
    number: u32,
}

impl<'a> Bare<'a> {
    pub(super) fn new(node: &Node, method: Method, peer: IpAddr, ports: &'a [u16]) -> Result<Self> {
        let to = SocketAddr::new(peer, 0);
        let domain = Domain::for_address(to);
        let socket = Socket::new_on(node, domain, Type::RAW, Some(Protocol::TCP)).context(
            "a raw socket is needed, which this node does not allow: scan by --connect instead",
        )?;
        want_errors(&socket, peer.is_ipv6())?;
        if peer.is_ipv6() {
            let offset = i32::try_from(CHECKSUM_OFFSET)?.to_ne_bytes();
            socket.set_option_raw(libc::IPPROTO_IPV6, libc::IPV6_CHECKSUM, &offset)?;
        }
        socket.connect(to).with_context(|| format!("to {peer}"))?;
        let chance = node.random()?;
        let port = source_port(chance)?;
        Ok(Self {
            own: SocketAddr::new(socket.local_addr()?.ip(), port),
            socket,
            method,
            peer,
            ports,
            number: u32::try_from(chance >> 32)?,
        })
    }

    fn segment(&self, port: u16) -> [u8; SEGMENT_LEN] {
        let mut segment = [0; SEGMENT_LEN];
        segment[..2].copy_from_slice(&self.own.port().to_be_bytes());
        segment[2..4].copy_from_slice(&port.to_be_bytes());
        let (at, flag) = match self.method {
            Method::Ack => (8, ACK),
            _ => (4, SYN),
        };
        segment[at..at + 4].copy_from_slice(&self.number.to_be_bytes());
        segment[12] = (SEGMENT_LEN as u8 / 4) << 4;
        segment[13] = flag;
        segment[14..16].copy_from_slice(&1024_u16.to_be_bytes());
        // RFC 9293 §3.2: the maximum segment size.
        segment[20..].copy_from_slice(&[2, 4, 5, 0xb4]);
        if let (IpAddr::V4(from), IpAddr::V4(to)) = (self.own.ip(), self.peer) {
            let sum = checksum(&[&from.octets(), &to.octets(), &[0, 6, 0, 24], &segment]);
            segment[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].copy_from_slice(&sum.to_be_bytes());
        }
        segment
    }

    /// The number of the probe that `segment` answers, and what it says.
    fn read(&self, segment: &[u8]) -> Option<Heard> {
        let half = |at: usize| Some(u16::from_be_bytes(*segment.get(at..)?.first_chunk()?));
        let word = |at: usize| Some(u32::from_be_bytes(*segment.get(at..)?.first_chunk()?));
        let item = self.ports.binary_search(&half(0)?).ok()?;
        let flags = *segment.get(13)?;
        // RFC 9293 §3.10.7.1: what acknowledges is answered by its number, a SYN is acknowledged.
        let ours = match self.method {
            Method::Ack => word(4)? == self.number,
            _ => flags & ACK == 0 || word(8)? == self.number.wrapping_add(1),
        };
        if half(2)? != self.own.port() || !ours {
            return None;
        }
        let (state, reason) = self.method.of_segment(flags)?;
        Some(Heard {
            item,
            state,
            reason,
        })
    }
}

impl Prober for Bare<'_> {
    fn send(&mut self, item: usize) -> Result<()> {
        let segment = self.segment(self.ports[item]);
        send(&self.socket, &segment, SocketAddr::new(self.peer, 0))
    }

    fn hear(&mut self, wait: Duration) -> Result<Vec<Heard>> {
        let probes = (self.own.port(), self.ports);
        hear_raw(&self.socket, self.method, probes, wait, |segment| {
            self.read(segment)
        })
    }
}

/// RFC 1071.
pub(super) fn checksum(parts: &[&[u8]]) -> u16 {
    let pairs = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u32 = pairs
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(u16::MAX)
}

/// Whole connections, each reset at once.
pub(super) struct Connect<'a> {
    node: &'a Node,
    peer: IpAddr,
    ports: &'a [u16],
    open: BTreeMap<usize, Socket>,
    /// Known at once.
    known: Vec<Heard>,
}

impl<'a> Connect<'a> {
    pub(super) fn new(node: &'a Node, peer: IpAddr, ports: &'a [u16]) -> Self {
        Self {
            node,
            peer,
            ports,
            open: BTreeMap::new(),
            known: Vec::new(),
        }
    }
}

impl Prober for Connect<'_> {
    fn send(&mut self, item: usize) -> Result<()> {
        let to = SocketAddr::new(self.peer, self.ports[item]);
        let domain = Domain::for_address(to);
        let socket = Socket::new_on(self.node, domain, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        match socket.connect(to) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) => self.known.extend(of_errno(item, error.raw_os_error())),
        }
        if let Some(before) = self.open.insert(item, socket) {
            before.abort();
        }
        Ok(())
    }

    fn hear(&mut self, wait: Duration) -> Result<Vec<Heard>> {
        let mut heard = std::mem::take(&mut self.known);
        if heard.is_empty() {
            let sockets: Vec<&Socket> = self.open.values().collect();
            wait_for(&sockets, Readiness::WRITABLE, wait)?;
        }
        for (&item, socket) in &self.open {
            match socket.take_error()? {
                Some(error) => heard.extend(of_errno(item, error.raw_os_error())),
                None if socket.peer_addr().is_ok() => heard.push(Heard {
                    item,
                    state: State::Open,
                    reason: Reason::Connected,
                }),
                None => {}
            }
        }
        Ok(heard)
    }

    fn forget(&mut self, item: usize) {
        if let Some(socket) = self.open.remove(&item) {
            socket.abort();
        }
    }
}

/// What connect(2) failed with.
fn of_errno(item: usize, errno: Option<i32>) -> Option<Heard> {
    let (state, reason) = match errno? {
        libc::ECONNREFUSED | libc::ECONNRESET => (State::Closed, Reason::ConnRefused),
        libc::ENETUNREACH => (State::Filtered, Reason::NetUnreach),
        libc::EHOSTUNREACH => (State::Filtered, Reason::HostUnreach),
        libc::EACCES | libc::EPERM => (State::Filtered, Reason::AdminProhibited),
        libc::ENOPROTOOPT => (State::Filtered, Reason::ProtoUnreach),
        libc::ETIMEDOUT => (State::Filtered, Reason::NoResponse),
        _ => return None,
    };
    Some(Heard {
        item,
        state,
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_rfc_1071() {
        // RFC 1071 §3's example.
        assert_eq!(
            checksum(&[&[0, 1, 0xf2, 3], &[0xf4, 0xf5, 0xf6, 0xf7]]),
            !0xddf2
        );
    }
}
