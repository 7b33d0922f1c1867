//! Probes of whole hosts: echo requests, by a ping socket.

use super::probe::{Heard, Prober, errors, send, wait_for, want_errors};
use super::targets::Target;
use super::verdict::{Method, Reason, State};
use anyhow::Result;
use sockeye::{Domain, Node, Protocol, Readiness, Socket, Type};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Where an echo's sequence number is.
const SEQUENCE: usize = 6;

pub(super) struct Echo<'a> {
    v4: Socket,
    v6: Socket,
    targets: &'a [Target],
}

impl<'a> Echo<'a> {
    /// At most 65,536 targets: their sequence numbers tell them apart.
    pub(super) fn new(node: &Node, targets: &'a [Target]) -> Result<Self> {
        let open = |domain, protocol, v6| -> Result<Socket> {
            let socket = Socket::new_on(node, domain, Type::DGRAM, Some(protocol))?;
            want_errors(&socket, v6)?;
            Ok(socket)
        };
        Ok(Self {
            v4: open(Domain::IPV4, Protocol::ICMPV4, false)?,
            v6: open(Domain::IPV6, Protocol::ICMPV6, true)?,
            targets,
        })
    }

    fn item(&self, message: &[u8], about: IpAddr) -> Option<usize> {
        let number = message.get(SEQUENCE..).and_then(<[u8]>::first_chunk)?;
        let item = usize::from(u16::from_be_bytes(*number));
        let target = self.targets.get(item)?;
        (target.address == about.to_canonical()).then_some(item)
    }
}

impl Prober for Echo<'_> {
    fn send(&mut self, item: usize) -> Result<()> {
        let address = self.targets[item].address;
        let (socket, kind) = match address {
            IpAddr::V4(_) => (&self.v4, 8),
            IpAddr::V6(_) => (&self.v6, 128),
        };
        let mut request = [kind, 0, 0, 0, 0, 0, 0, 0];
        request[SEQUENCE..].copy_from_slice(&u16::try_from(item)?.to_be_bytes());
        send(socket, &request, SocketAddr::new(address, 0))
    }

    fn hear(&mut self, wait: Duration) -> Result<Vec<Heard>> {
        wait_for(&[&self.v4, &self.v6], Readiness::READABLE, wait)?;
        let mut heard = Vec::new();
        for socket in [&self.v4, &self.v6] {
            for (quoted, to, error) in errors(socket) {
                if let (Some(item), Some((state, reason))) =
                    (self.item(&quoted, to.ip()), Method::Echo.of_error(&error))
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
                match socket.recv_from(&mut buffer) {
                    Ok((len, from)) => {
                        let item = self.item(&buffer[..len], from.ip());
                        heard.extend(item.map(|item| Heard {
                            item,
                            state: State::Open,
                            reason: Reason::EchoReply,
                        }));
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    // Of an error that lay in the queue as well.
                    Err(_) => {}
                }
            }
        }
        Ok(heard)
    }
}
