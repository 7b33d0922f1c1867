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
            libc::SOCK_SEQPACKET => Type::SeqPacket,
            Type::SOCK_DCCP => Type::Dccp,
            libc::SOCK_RDM | SOCK_PACKET => return Err(Errno::SOCKTNOSUPPORT),
            _ => return Err(Errno::INVAL),
        };
        let protocol = match (ty, protocol) {
            (Type::SeqPacket, 0) => libc::IPPROTO_SCTP,
            (Type::Dccp, 0) => libc::IPPROTO_DCCP,
            (_, protocol) => protocol,
        };
        let (nonblocking, close_on_exec) = (
            flags & libc::SOCK_NONBLOCK != 0,
            flags & libc::SOCK_CLOEXEC != 0,
        );
        let kind = (domain, ty, protocol);
        let node = Arc::new(self.backend.socket(domain, ty, protocol)?);

        let end_kind = match (ty, protocol) {
            (Type::Stream, libc::IPPROTO_SCTP) | (Type::Dccp, _) => Kind::Packets,
            (Type::Stream, _) => Kind::Stream,
            (Type::Datagram | Type::Raw | Type::SeqPacket, _) => Kind::Datagrams,
        };
        if end_kind == Kind::Stream {
            // Where its octet goes is for the program's end to say; here it has to be seen in its place.
            node.set_option(libc::SOL_SOCKET, libc::SO_OOBINLINE, &1_i32.to_ne_bytes())?;
        }
        let (end, node_end, name) = match end_kind {
            Kind::Datagrams => {
                let (end, node_end, name) = self.ends.datagram(nonblocking)?;
                (end, Some(node_end), name)
            }
            _ => {
                let (end, name) = self.ends.stream(end_kind, nonblocking)?;
                (end, None, name)
            }
        };
        let sock = Arc::new(Sock::new(end.as_fd(), name, kind, node, Phase::Fresh)?);
        if let Some(node_end) = node_end {
            let addresses = self.ends.addresses_of(name)?;
            sock.adopt(Arc::new(Datagrams::new(node_end.into(), Some(addresses))));
        }
        if self.table.insert(sock.clone()).is_err() {
            self.sweep();
            self.table.insert(sock.clone())?;
        }
        let carrying = self.carrying();
        if let Err(error) = self.answer_with_socket(call, &sock, end.as_fd(), close_on_exec) {
            self.table.remove(sock.cookie);
            // Interrupted: there is nobody to tell, and nothing was given away.
            return if error == Errno::NOENT {
                Ok(Outcome::Answered)
            } else {
                Err(error)
            };
        }
        if let Some(datagrams) = sock.datagrams() {
            self.carry_datagrams(sock.clone(), datagrams.clone(), carrying);
        }
        self.want_sweep();
        Ok(Outcome::Answered)
    }
}
