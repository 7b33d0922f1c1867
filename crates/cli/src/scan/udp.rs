//! Probes of UDP: datagrams that somebody might answer.

use super::probe::{Heard, Prober, errors, send, wait_for, want_errors};
use super::verdict::{Method, Reason, State};
use anyhow::Result;
use sockeye::{Domain, Node, Readiness, Socket, Type};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub(super) struct Udp<'a> {
    socket: Socket,
    peer: IpAddr,
    ports: &'a [u16],
}

impl<'a> Udp<'a> {
    pub(super) fn new(node: &Node, peer: IpAddr, ports: &'a [u16]) -> Result<Self> {
        let domain = Domain::for_address(SocketAddr::new(peer, 0));
        let socket = Socket::new_on(node, domain, Type::DGRAM, None)?;
        want_errors(&socket, peer.is_ipv6())?;
        Ok(Self {
            socket,
            peer,
            ports,
        })
    }

    fn item(&self, of: SocketAddr) -> Option<usize> {
        let port = self.ports.binary_search(&of.port()).ok()?;
        (of.ip().to_canonical() == self.peer).then_some(port)
    }
}

impl Prober for Udp<'_> {
    fn send(&mut self, item: usize) -> Result<()> {
        let port = self.ports[item];
        send(&self.socket, text(port), SocketAddr::new(self.peer, port))
    }

    fn hear(&mut self, wait: Duration) -> Result<Vec<Heard>> {
        wait_for(&[&self.socket], Readiness::READABLE, wait)?;
        let mut heard = Vec::new();
        for (_, to, error) in errors(&self.socket) {
            if let (Some(item), Some((state, reason))) =
                (self.item(to), Method::Udp.of_error(&error))
            {
                heard.push(Heard {
                    item,
                    state,
                    reason,
                });
            }
        }
        let mut buffer = [0; 64];
        loop {
            match self.socket.recv_from(&mut buffer) {
                Ok((_, from)) => heard.extend(self.item(from).map(|item| Heard {
                    item,
                    state: State::Open,
                    reason: Reason::UdpResponse,
                })),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(heard),
                // Of an error that lay in the queue as well.
                Err(_) => {}
            }
        }
    }
}

/// What the usual service of a port answers; nothing else is known to.
fn text(port: u16) -> &'static [u8] {
    match port {
        // RFC 1035 §4.1: who serves the root?
        53 => &[0x50, 0x0e, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1],
        // RFC 5531 §9: a call of the null procedure of the port mapper (RFC 1833 §3), version 2.
        111 => &[
            0x50, 0x0e, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0x86, 0xa0, 0, 0, 0, 2, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ],
        // RFC 5905 §7.3: version 4, a client.
        123 => &[
            0x23, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        ],
        7 | 13 | 19 => b"\r\n",
        _ => b"",
    }
}
