//! Probes of one kind, and what their answers say.

use anyhow::Result;
use serde::Serialize;
use sockeye::{
    Ancillary, Domain, ExtendedError, MessageFlags, Node, PollFd, Protocol, Readiness, Socket,
    Type, poll,
};
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

/// traceroute(8): the port of the first UDP probe, which nobody listens at.
const FIRST_UDP_PORT: u16 = 33_434;
const TCP_PORT: u16 = 80;
/// Bytes of a UDP probe's text.
const TEXT_LEN: usize = 32;

/// What a probe is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Udp,
    Icmp,
    Tcp,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum What {
    /// A router, where the time to live ended.
    Passed,
    /// The host itself.
    Reached,
    NetworkUnreachable,
    HostUnreachable,
    ProtocolUnreachable,
    Prohibited,
}

impl What {
    /// The mark of traceroute(8).
    pub(super) fn mark(self) -> Option<&'static str> {
        match self {
            Self::Passed | Self::Reached => None,
            Self::NetworkUnreachable => Some("!N"),
            Self::HostUnreachable => Some("!H"),
            Self::ProtocolUnreachable => Some("!P"),
            Self::Prohibited => Some("!X"),
        }
    }

    /// What an ICMP or ICMPv6 error means; none if it is nothing about the way.
    fn of_icmp(v6: bool, icmp_type: u8, code: u8) -> Option<Self> {
        // RFC 792, RFC 1812 §5.2.7.1; RFC 4443 §3.1, §3.3.
        Some(match (v6, icmp_type, code) {
            (false, 11, 0) | (true, 3, 0) => Self::Passed,
            (false, 3, 3) | (true, 1, 4) => Self::Reached,
            (false, 3, 2) => Self::ProtocolUnreachable,
            (false, 3, 9 | 10 | 13) | (true, 1, 1 | 5 | 6) => Self::Prohibited,
            (false, 3, 0 | 6 | 8 | 11) | (true, 1, 0) => Self::NetworkUnreachable,
            (false, 3, _) | (true, 1, _) => Self::HostUnreachable,
            _ => return None,
        })
    }
}

/// One probe's answer.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Answer {
    pub(super) from: IpAddr,
    /// The round trip, milliseconds.
    pub(super) ms: f64,
    pub(super) what: What,
}

impl Answer {
    /// No later hop will answer otherwise.
    pub(super) fn ends(&self) -> bool {
        self.what != What::Passed
    }
}

/// A probe that is on its way, or has been answered.
struct Probe {
    socket: Socket,
    /// The port of a TCP probe.
    port: u16,
    sent: Instant,
    answer: Option<Answer>,
}

/// Sends probes to one host.
pub(super) struct Prober<'a> {
    node: &'a Node,
    kind: Kind,
    address: IpAddr,
    port: u16,
    /// Where errors about TCP's SYNs come in.
    icmp: Option<Socket>,
}

impl<'a> Prober<'a> {
    pub(super) fn new(
        node: &'a Node,
        kind: Kind,
        address: IpAddr,
        port: Option<u16>,
    ) -> Result<Self> {
        let icmp = match kind {
            Kind::Tcp => {
                let socket = Socket::new_on(node, domain(address), Type::RAW, Some(icmp(address)))?;
                socket.set_nonblocking(true)?;
                Some(socket)
            }
            Kind::Udp | Kind::Icmp => None,
        };
        let usual = if kind == Kind::Tcp {
            TCP_PORT
        } else {
            FIRST_UDP_PORT
        };
        Ok(Self {
            node,
            kind,
            address,
            port: port.unwrap_or(usual),
            icmp,
        })
    }

    /// The answers to `count` probes with `ttl`, as far as they come within `wait`.
    pub(super) fn ask(
        &mut self,
        ttl: u8,
        count: usize,
        wait: Duration,
    ) -> Result<Vec<Option<Answer>>> {
        let mut probes = Vec::new();
        for _ in 0..count {
            probes.push(self.send(ttl)?);
        }
        let end = Instant::now() + wait;
        loop {
            for probe in &mut probes {
                if probe.answer.is_none() {
                    probe.answer = self.answer(probe)?;
                }
            }
            self.hear(&mut probes)?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || probes.iter().all(|probe| probe.answer.is_some()) {
                break;
            }
            self.wait(&probes, left)?;
        }
        Ok(probes.into_iter().map(|probe| probe.answer).collect())
    }

    fn send(&mut self, ttl: u8) -> Result<Probe> {
        let domain = domain(self.address);
        let (ty, protocol) = match self.kind {
            Kind::Udp => (Type::DGRAM, None),
            Kind::Icmp => (Type::DGRAM, Some(icmp(self.address))),
            Kind::Tcp => (Type::STREAM, None),
        };
        let socket = Socket::new_on(self.node, domain, ty, protocol)?;
        socket.set_nonblocking(true)?;
        let (level, hops, errors) = match domain {
            Domain::IPV6 => (
                libc::IPPROTO_IPV6,
                libc::IPV6_UNICAST_HOPS,
                libc::IPV6_RECVERR,
            ),
            _ => (libc::IPPROTO_IP, libc::IP_TTL, libc::IP_RECVERR),
        };
        socket.set_option_raw(level, hops, &i32::from(ttl).to_ne_bytes())?;
        let port = match self.kind {
            Kind::Icmp => 0,
            _ => self.port,
        };
        if self.kind != Kind::Tcp {
            socket.set_option_raw(level, errors, &1_i32.to_ne_bytes())?;
        }
        let to = SocketAddr::new(self.address, port);
        let sent = Instant::now();
        match socket.connect(to) {
            Err(error) if !is_pending(&error) && self.kind != Kind::Tcp => return Err(error.into()),
            // What is wrong with a SYN is its answer.
            _ => {}
        }
        match self.kind {
            Kind::Udp => {
                self.port = self.port.wrapping_add(1).max(1);
                sent_or_reported(socket.send(&[b'@'; TEXT_LEN]))?;
            }
            Kind::Icmp => {
                let request = if self.address.is_ipv4() { 8 } else { 128 };
                sent_or_reported(socket.send(&[request, 0, 0, 0, 0, 0, 0, 1]))?;
            }
            Kind::Tcp => {}
        }
        let port = socket.local_addr()?.port();
        Ok(Probe {
            socket,
            port,
            sent,
            answer: None,
        })
    }

    /// Waits until something has come.
    fn wait(&self, probes: &[Probe], left: Duration) -> Result<()> {
        let events = match self.kind {
            Kind::Tcp => Readiness::WRITABLE,
            Kind::Udp | Kind::Icmp => Readiness::READABLE,
        };
        let open = probes.iter().filter(|probe| probe.answer.is_none());
        let mut fds: Vec<PollFd<'_>> = open.map(|p| PollFd::new(&p.socket, events)).collect();
        fds.extend(
            self.icmp
                .iter()
                .map(|s| PollFd::new(s, Readiness::READABLE)),
        );
        poll(&mut fds, Some(left))?;
        Ok(())
    }

    /// What a probe's own socket knows.
    fn answer(&self, probe: &Probe) -> Result<Option<Answer>> {
        let answer = |from, what| {
            Some(Answer {
                from,
                ms: milliseconds(probe.sent),
                what,
            })
        };
        if self.kind == Kind::Tcp {
            let reached = match probe.socket.take_error()? {
                Some(error) => error.kind() == ErrorKind::ConnectionRefused,
                None => probe.socket.peer_addr().is_ok(),
            };
            return Ok(reached
                .then(|| answer(self.address, What::Reached))
                .flatten());
        }
        let mut buffer = [0; 64];
        let flags = MessageFlags::ERROR_QUEUE;
        if let Ok(message) = probe
            .socket
            .recvmsg(&mut [IoSliceMut::new(&mut buffer)], flags)
        {
            for ancillary in message.ancillary {
                let Ancillary::Error(error) = ancillary else {
                    continue;
                };
                if let Some((from, what)) = read(&error) {
                    return Ok(answer(from, what));
                }
            }
        }
        // An echo, or the host's own answer to a datagram.
        match probe.socket.recv(&mut buffer) {
            Ok(_) => Ok(answer(self.address, What::Reached)),
            Err(_) => Ok(None),
        }
    }

    /// Gives the errors about SYNs to the probes that they are about.
    fn hear(&self, probes: &mut [Probe]) -> Result<()> {
        let Some(icmp) = &self.icmp else {
            return Ok(());
        };
        let mut buffer = [0; 1024];
        loop {
            let (len, from) = match icmp.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let Some((port, what)) = about_tcp(&buffer[..len], self.address) else {
                continue;
            };
            let open = |probe: &&mut Probe| probe.port == port && probe.answer.is_none();
            if let Some(probe) = probes.iter_mut().find(open) {
                probe.answer = Some(Answer {
                    from: from.ip(),
                    ms: milliseconds(probe.sent),
                    what,
                });
            }
        }
    }
}

fn domain(address: IpAddr) -> Domain {
    Domain::for_address(SocketAddr::new(address, 0))
}

fn icmp(address: IpAddr) -> Protocol {
    match address {
        IpAddr::V4(_) => Protocol::ICMPV4,
        IpAddr::V6(_) => Protocol::ICMPV6,
    }
}

fn is_pending(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::EINPROGRESS)
}

/// A send that reports an earlier error has that in the error queue, too.
fn sent_or_reported(sent: io::Result<usize>) -> Result<()> {
    match sent {
        Err(error) if error.kind() == ErrorKind::NetworkUnreachable => Err(error.into()),
        _ => Ok(()),
    }
}

/// To the microsecond.
fn milliseconds(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

/// Who sent an ICMP error, and what it means.
fn read(error: &ExtendedError) -> Option<(IpAddr, What)> {
    let from = error.offender?;
    let what = What::of_icmp(from.is_ipv6(), error.icmp_type, error.code)?;
    Some((from, what))
}

/// What a raw ICMP packet says of a SYN to `address`: its source port, and what became of it.
fn about_tcp(packet: &[u8], address: IpAddr) -> Option<(u16, What)> {
    let (message, v6) = match address {
        // raw(7): of IPv4 with its header.
        IpAddr::V4(_) => (packet.get(usize::from(packet.first()? & 15) * 4..)?, false),
        IpAddr::V6(_) => (packet, true),
    };
    let what = What::of_icmp(v6, *message.first()?, *message.get(1)?)?;
    let inner = message.get(8..)?;
    let (to, protocol, header_len) = if v6 {
        let to: [u8; 16] = inner.get(24..40)?.try_into().ok()?;
        (Ipv6Addr::from(to).into(), *inner.get(6)?, 40)
    } else {
        let to: [u8; 4] = inner.get(16..20)?.try_into().ok()?;
        let len = usize::from(inner.first()? & 15) * 4;
        (IpAddr::from(Ipv4Addr::from(to)), *inner.get(9)?, len)
    };
    let port: [u8; 2] = inner.get(header_len..header_len + 2)?.try_into().ok()?;
    let is_ours = to == address && protocol == libc::IPPROTO_TCP as u8;
    is_ours.then_some((u16::from_be_bytes(port), what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read() {
        let of = What::of_icmp;
        assert_eq!(of(false, 11, 0), Some(What::Passed));
        assert_eq!(of(true, 3, 0), Some(What::Passed));
        assert_eq!(of(false, 3, 3), Some(What::Reached));
        assert_eq!(of(true, 1, 4), Some(What::Reached));
        assert_eq!(of(false, 3, 1), Some(What::HostUnreachable));
        assert_eq!(of(false, 3, 13), Some(What::Prohibited));
        assert_eq!(of(true, 1, 0), Some(What::NetworkUnreachable));
        assert_eq!(of(false, 11, 1), None, "reassembly took too long");
        assert_eq!(of(false, 0, 0), None, "an echo");
    }

    #[test]
    fn what_is_about_a_syn_is_found() {
        let address: IpAddr = "192.0.2.9".parse().unwrap();
        let mut packet = vec![0x45; 20];
        packet.extend([11, 0, 0, 0, 0, 0, 0, 0]);
        let mut inner = [0; 28];
        inner[0] = 0x45;
        inner[9] = 6;
        inner[16..20].copy_from_slice(&[192, 0, 2, 9]);
        inner[20..22].copy_from_slice(&40_000_u16.to_be_bytes());
        packet.extend(inner);
        assert_eq!(about_tcp(&packet, address), Some((40_000, What::Passed)));
        let other: IpAddr = "192.0.2.8".parse().unwrap();
        assert_eq!(about_tcp(&packet, other), None);
        for len in 0..packet.len() - 6 {
            assert_eq!(about_tcp(&packet[..len], address), None, "{len}");
        }
    }
}
