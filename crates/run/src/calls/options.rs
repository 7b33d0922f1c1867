//! getsockopt(2) and setsockopt(2).
//!
//! What describes the descriptor is kept by the kernel on the program's end; what describes the network is the node's; what the
//! supervisor alone knows (type, domain, pending error, time stamps) is answered here. Nothing is accepted and ignored.

use crate::backend::{Backend, Domain, Errno, NodeSocket as _, Type};
use crate::calls::datagram::{Datagrams, errors};
use crate::calls::message::Wanted;
use crate::descriptors::{Phase, Sock, lock};
use crate::ends::{self, KERNEL_OPTIONS, Kind};
use crate::memory::OPTION_MAX;
use crate::supervisor::{Answer, Outcome, Supervisor};
use crate::sys::{self, Call};
use std::os::fd::{AsFd as _, OwnedFd};

/// `SO_RCVTIMEO_NEW` and `SO_SNDTIMEO_NEW`, which 64-bit programs may use as well.
const NEW_TIME_LIMITS: [i32; 2] = [66, 67];

/// Options of `SOL_SOCKET` that promise what a descriptor of ours cannot do.
const REFUSED: [i32; 2] = [libc::SO_ZEROCOPY, libc::SO_TXTIME];

/// Options that make recvmsg tell what is not passed on here: level and name.
const NOT_TOLD: [(i32, i32); 20] = [
    (libc::SOL_SOCKET, libc::SO_RXQ_OVFL),
    (libc::IPPROTO_IP, libc::IP_RECVOPTS),
    (libc::IPPROTO_IP, libc::IP_RETOPTS),
    (libc::IPPROTO_IP, libc::IP_RECVORIGDSTADDR),
    (libc::IPPROTO_IP, libc::IP_RECVFRAGSIZE),
    (libc::IPPROTO_UDP, libc::UDP_GRO),
    (libc::IPPROTO_UDPLITE, libc::UDP_GRO),
    // Those of RFC 2292.
    (libc::IPPROTO_IPV6, 2),
    (libc::IPPROTO_IPV6, 3),
    (libc::IPPROTO_IPV6, 4),
    (libc::IPPROTO_IPV6, 5),
    (libc::IPPROTO_IPV6, 8),
    (libc::IPPROTO_IPV6, libc::IPV6_FLOWINFO),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVHOPOPTS),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVRTHDR),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVDSTOPTS),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVPATHMTU),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVORIGDSTADDR),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVFRAGSIZE),
    (libc::IPPROTO_IPV6, libc::IPV6_ADDRFORM),
];

impl<B: Backend> Supervisor<B> {
    pub(crate) fn getsockopt(&self, call: &Call, sock: &Sock<B::Socket>, end: &OwnedFd) -> Answer {
        let [_, level, name, at, len_at, _] = call.args;
        let (level, name) = (level as i32, name as i32);
        let memory = self.memory(call);
        let room = usize::try_from(memory.read_int(len_at)?).map_err(|_| Errno::INVAL)?;
        let mut value = [0; OPTION_MAX];
        if (level, name) == (libc::SOL_SOCKET, libc::SO_ERROR) {
            let error = self.pending_error(sock, end);
            let value = error.map_or(0, Errno::raw_os_error).to_ne_bytes();
            let len = room.min(value.len());
            let told = memory
                .write(at, &value[..len])
                .and_then(|()| memory.write_int(len_at, len as i32));
            if told == Err(Errno::INTR)
                && let Some(error) = error
            {
                errors::note(sock, error);
            }
            return told.map(|()| Outcome::Return(0));
        }
        let room = room.min(OPTION_MAX);
        let len = match self.known(sock, level, name) {
            Some(known) => {
                value[..4].copy_from_slice(&known.to_ne_bytes());
                room.min(4)
            }
            None if is_kernels(level, name) => {
                sys::option(end.as_fd(), level, name, &mut value[..room])?
            }
            None if level == libc::SOL_SOCKET && REFUSED.contains(&name) => {
                return Err(Errno::NOPROTOOPT);
            }
            None => {
                if reads_first(level, name) {
                    memory.read(at, &mut value[..room])?;
                }
                sock.node.option(level, name, &mut value[..room])?
            }
        };
        memory.write(at, &value[..len])?;
        memory.write_int(len_at, len as i32)?;
        Ok(Outcome::Return(0))
    }

    /// Options that the supervisor knows by itself.
    fn known(&self, sock: &Sock<B::Socket>, level: i32, name: i32) -> Option<i32> {
        if level != libc::SOL_SOCKET {
            return None;
        }
        if let (Some(datagrams), Some(wanted)) = (asks(sock), Wanted::by_option(level, name)) {
            return Some(datagrams.asked.has(wanted).into());
        }
        Some(match name {
            libc::SO_TYPE => sock.ty.number(),
            libc::SO_DOMAIN => match sock.domain {
                Domain::Ipv4 => libc::AF_INET,
                Domain::Ipv6 => libc::AF_INET6,
            },
            libc::SO_PROTOCOL => match (sock.protocol, sock.ty) {
                (0, Type::Stream) => libc::IPPROTO_TCP,
                (0, Type::Datagram) => libc::IPPROTO_UDP,
                (protocol, _) => protocol,
            },
            libc::SO_ACCEPTCONN => matches!(lock(&sock.state).phase, Phase::Listening(_)).into(),
            _ => return None,
        })
    }

    /// Takes the error that the socket has for the program, wherever it is kept.
    fn pending_error(&self, sock: &Sock<B::Socket>, end: &OwnedFd) -> Option<Errno> {
        if !sock.is_stream() {
            return errors::take(sock, end).or_else(|| sock.node.take_error());
        }
        let ours = lock(&sock.state).error.take();
        // A filled end that was closed has an error of its own, which only stands for ours.
        let kernels = ends::take_error(end.as_fd());
        ours.or(kernels).or_else(|| sock.node.take_error())
    }

    pub(crate) fn setsockopt(&self, call: &Call, sock: &Sock<B::Socket>, end: &OwnedFd) -> Answer {
        let [_, level, name, at, len, _] = call.args;
        let (level, name) = (level as i32, name as i32);
        let len = usize::try_from(len as i32)
            .ok()
            .filter(|len| *len <= OPTION_MAX)
            .ok_or(Errno::INVAL)?;
        let mut value = [0; OPTION_MAX];
        let value = &mut value[..len];
        self.memory(call).read(at, value)?;
        if is_kernels(level, name) {
            sys::set_option(end.as_fd(), level, name, value)?;
            if name == libc::SO_LINGER {
                let word = |at: usize| value.get(at..at + 4).is_some_and(|octets| octets != [0; 4]);
                lock(&sock.state).reset_on_close = word(0) && !word(4);
            }
            return Ok(Outcome::Return(0));
        }
        if level == libc::SOL_SOCKET && REFUSED.contains(&name) {
            return Err(Errno::OPNOTSUPP);
        }
        if let (Some(datagrams), Some(wanted)) = (asks(sock), Wanted::by_option(level, name)) {
            let on = match value.len() {
                0 => return Err(Errno::INVAL),
                1..=3 => value[0] != 0,
                _ => value[..4] != [0; 4],
            };
            if !wanted.is_time() {
                sock.node.set_option(level, name, value)?;
            }
            datagrams.asked.set(wanted, on);
            return Ok(Outcome::Return(0));
        }
        if !sock.is_stream() && NOT_TOLD.contains(&(level, name)) {
            return Err(Errno::NOPROTOOPT);
        }
        if sock.is_stream() && Wanted::by_option(level, name).is_some_and(Wanted::is_time) {
            // What a stream receives passes through the kernel's end of it, which knows no times.
            return Err(Errno::NOPROTOOPT);
        }
        sock.node.set_option(level, name, value)?;
        if level == libc::SOL_SOCKET && sock.end_kind() == Kind::Stream {
            size_ends(sock, end, name, value);
        }
        Ok(Outcome::Return(0))
    }
}

/// Keeps the size of a buffer that the program has asked for, and has the ends heed it.
fn size_ends<S>(sock: &Sock<S>, end: &OwnedFd, name: i32, value: &[u8]) {
    let Some(asked) = value.first_chunk() else {
        return;
    };
    let asked = Some(u32::from_ne_bytes(*asked) as usize);
    let mut state = lock(&sock.state);
    match name {
        libc::SO_SNDBUF | libc::SO_SNDBUFFORCE => {
            let asked = match state.buffers.written {
                true => asked.map(|asked| asked.max(ends::SEND_BUFFER_WITH_GUARD)),
                false => asked,
            };
            state.buffers.send = asked;
            // Before it is connected it has to stay small.
            if matches!(state.phase, Phase::Established { .. }) {
                ends::size(end.as_fd(), asked);
            }
        }
        libc::SO_RCVBUF | libc::SO_RCVBUFFORCE => {
            state.buffers.receive = asked;
            if let Some(node_end) = state.node_end.upgrade() {
                ends::size(node_end.as_fd(), asked);
            }
        }
        _ => {}
    }
}

/// What keeps the kinds of ancillary data that the program has asked for: they are told of datagrams alone.
fn asks<S>(sock: &Sock<S>) -> Option<&Datagrams> {
    let datagrams = sock.datagrams().filter(|_| !sock.is_stream());
    datagrams.map(|datagrams| &**datagrams)
}

/// Whether getsockopt(2) begins with what the program has put into the value: filters of groups name
/// the group, TCP_AO_INFO and TCP_AO_GET_KEYS what is asked for.
fn reads_first(level: i32, name: i32) -> bool {
    const IP_MSFILTER: i32 = 41;
    const MCAST_MSFILTER: i32 = 48;
    const TCP_AO: [i32; 2] = [40, 41];
    match level {
        libc::IPPROTO_IP => matches!(name, IP_MSFILTER | MCAST_MSFILTER),
        libc::IPPROTO_IPV6 => name == MCAST_MSFILTER,
        libc::IPPROTO_TCP => TCP_AO.contains(&name),
        libc::IPPROTO_SCTP => true,
        _ => false,
    }
}

/// Whether an option concerns the descriptor, and not the network.
fn is_kernels(level: i32, name: i32) -> bool {
    level == libc::SOL_SOCKET && (KERNEL_OPTIONS.contains(&name) || NEW_TIME_LIMITS.contains(&name))
}
