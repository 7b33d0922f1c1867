//! socket(2): the node makes the socket, the program gets an end for it.

use crate::backend::{Backend, Domain, Errno, NodeSocket as _, Type};
use crate::calls::datagram::Datagrams;
use crate::descriptors::{Phase, Sock};
use crate::ends::Kind;
use crate::supervisor::{Answer, Outcome, Supervisor};
use crate::sys::Call;
use std::os::fd::AsFd as _;
use std::sync::Arc;

/// The part of the type argument that is the type.
const TYPE_MASK: i32 = 0xf;

/// The type that packet sockets had before Linux 2.2.
const SOCK_PACKET: i32 = 10;

impl<B: Backend> Supervisor<B> {
    pub(crate) fn socket(self: &Arc<Self>, call: &Call) -> Answer {
        let domain = match call.args[0] as i32 {
            libc::AF_INET => Domain::Ipv4,
            libc::AF_INET6 => Domain::Ipv6,
            _ => return Err(Errno::AFNOSUPPORT),
        };
        let (asked, protocol) = (call.args[1] as i32, call.args[2] as i32);
        let flags = asked & !TYPE_MASK;
        if flags & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) != 0 {
            return Err(Errno::INVAL);
        }
        let ty = match asked & TYPE_MASK {
            libc::SOCK_STREAM => Type::Stream,
            libc::SOCK_DGRAM => Type::Datagram,
            libc::SOCK_RAW => Type::Raw,
            libc::SOCK_RDM | libc::SOCK_SEQPACKET | libc::SOCK_DCCP | SOCK_PACKET => {
                return Err(Errno::SOCKTNOSUPPORT);
            }
            _ => return Err(Errno::INVAL),
        };
        let (nonblocking, close_on_exec) = (
            flags & libc::SOCK_NONBLOCK != 0,
            flags & libc::SOCK_CLOEXEC != 0,
        );
        let kind = (domain, ty, protocol);
        let node = Arc::new(self.backend.socket(domain, ty, protocol)?);

        let (end, mut sock, carried) = if ty == Type::Stream {
            let of_messages = protocol == libc::IPPROTO_SCTP;
            if !of_messages {
                // Where its octet goes is for the program's end to say; here it has to be seen in its place.
                node.set_option(libc::SOL_SOCKET, libc::SO_OOBINLINE, &1_i32.to_ne_bytes())?;
            }
            let end_kind = if of_messages {
                Kind::Packets
            } else {
                Kind::Stream
            };
            let (end, name) = self.ends.stream(end_kind, nonblocking)?;
            let sock = Sock::new(end.as_fd(), name, kind, node, Phase::Fresh)?;
            (end, sock, None)
        } else {
            let (end, node_end, name) = self.ends.datagram(nonblocking)?;
            let sock = Sock::new(end.as_fd(), name, kind, node, Phase::Fresh)?;
            let addresses = self.ends.addresses_of(name)?;
            (end, sock, Some((node_end, addresses)))
        };
        let datagrams =
            carried.map(|(node_end, addresses)| Arc::new(Datagrams::new(node_end, addresses)));
        sock.datagrams = datagrams.clone();
        let sock = Arc::new(sock);
        if self.table.insert(sock.clone()).is_err() {
            self.sweep();
            self.table.insert(sock.clone())?;
        }
        let carrying = self.carrying();
        if let Err(error) = self
            .listener
            .answer_with(call.id, end.as_fd(), close_on_exec)
        {
            self.table.remove(sock.cookie);
            // Interrupted: there is nobody to tell, and nothing was given away.
            return if error == Errno::NOENT {
                Ok(Outcome::Answered)
            } else {
                Err(error)
            };
        }
        if let Some(datagrams) = datagrams {
            self.carry_datagrams(sock, datagrams, carrying);
        }
        self.want_sweep();
        Ok(Outcome::Answered)
    }
}
