//! What SCTP's options do that are calls of their own: sctp_connectx(3) and sctp_peeloff(3).

use crate::address;
use crate::backend::{Backend, Errno, NodeSocket as _};
use crate::calls::connect::To;
use crate::descriptors::{Sock, lock, nonblocking};
use crate::memory::OPTION_MAX;
use crate::relay;
use crate::supervisor::{Answer, Outcome, Supervisor};
use crate::sys::Call;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

/// Of linux/sctp.h.
const SCTP_SOCKOPT_PEELOFF: i32 = 102;
const SCTP_SOCKOPT_CONNECTX_OLD: i32 = 107;
const SCTP_GET_PEER_ADDRS: i32 = 108;
const SCTP_SOCKOPT_CONNECTX: i32 = 110;
const SCTP_SOCKOPT_CONNECTX3: i32 = 111;
const SCTP_SOCKOPT_PEELOFF_FLAGS: i32 = 122;

/// Octets of `struct sctp_getaddrs_old` and of the head of `struct sctp_getaddrs`.
const GETADDRS_OLD: usize = 16;
const GETADDRS: usize = 8;

/// A call that getsockopt(2) or setsockopt(2) stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// The addresses are the value.
    Connect,
    /// `struct sctp_getaddrs_old` says where the addresses are, and is told the association's name.
    ConnectTold,
    /// `sctp_peeloff_arg_t`, or with flags behind it `sctp_peeloff_flags_arg_t`.
    PeelOff { flags: bool },
}

impl Deed {
    /// The one that a call asks for, if it does.
    pub(crate) fn of<S>(call: &Call, sock: &Sock<S>) -> Option<Self> {
        let [_, level, name, ..] = call.args;
        if !sock.is_sctp() || level as i32 != libc::IPPROTO_SCTP {
            return None;
        }
        match (call.nr, name as i32) {
            (libc::SYS_setsockopt, SCTP_SOCKOPT_CONNECTX | SCTP_SOCKOPT_CONNECTX_OLD) => {
                Some(Self::Connect)
            }
            (libc::SYS_getsockopt, SCTP_SOCKOPT_CONNECTX3) => Some(Self::ConnectTold),
            (libc::SYS_getsockopt, SCTP_SOCKOPT_PEELOFF) => Some(Self::PeelOff { flags: false }),
            (libc::SYS_getsockopt, SCTP_SOCKOPT_PEELOFF_FLAGS) => {
                Some(Self::PeelOff { flags: true })
            }
            _ => None,
        }
    }
}

/// Addresses to connect to, and where the association's name is to be told.
pub(crate) struct Several {
    /// `struct sctp_getaddrs_old`, with the addresses behind it.
    octets: Vec<u8>,
    /// The value, and its length.
    told_at: Option<(u64, u64)>,
}

impl<B: Backend> Supervisor<B> {
    pub(crate) fn do_deed(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: OwnedFd,
        deed: Deed,
    ) -> Answer {
        let several = match deed {
            Deed::PeelOff { flags } => return self.peel_off(call, sock, &end, flags),
            Deed::Connect => self.read_several(call, call.args[3], call.args[4], None)?,
            Deed::ConnectTold => {
                let [_, _, _, at, len_at, _] = call.args;
                let mut head = [0; GETADDRS_OLD];
                self.memory(call).read(at, &mut head)?;
                let [_, _, _, _, l0, l1, l2, l3, pointer @ ..] = head;
                let len = u32::from_ne_bytes([l0, l1, l2, l3]);
                let addresses = u64::from_ne_bytes(pointer);
                self.read_several(call, addresses, len.into(), Some((at, len_at)))?
            }
        };
        if sock.is_stream() {
            return self.connect_stream(call, sock, end, &To::Several(several));
        }
        // One-to-many: what comes of it a notification tells.
        match self.begin_several(call, &sock.node, &several) {
            Err(Errno::INPROGRESS) if !nonblocking(end.as_fd()) => Ok(Outcome::Return(0)),
            begun => begun.map(|()| Outcome::Return(0)),
        }
    }

    fn read_several(
        &self,
        call: &Call,
        at: u64,
        len: u64,
        told_at: Option<(u64, u64)>,
    ) -> Result<Several, Errno> {
        let len = usize::try_from(len).map_err(|_| Errno::INVAL)?;
        if len == 0 || len > OPTION_MAX {
            return Err(Errno::INVAL);
        }
        let mut octets = vec![0; GETADDRS_OLD + len];
        octets[4..8].copy_from_slice(&(len as u32).to_ne_bytes());
        self.memory(call).read(at, &mut octets[GETADDRS_OLD..])?;
        Ok(Several { octets, told_at })
    }

    /// Begins to connect on the node, and tells the association's name.
    pub(crate) fn begin_several(
        &self,
        call: &Call,
        node: &B::Socket,
        several: &Several,
    ) -> Result<(), Errno> {
        let mut octets = several.octets.clone();
        let begun = node.option(libc::IPPROTO_SCTP, SCTP_SOCKOPT_CONNECTX3, &mut octets);
        if let Some((at, len_at)) = several.told_at
            && matches!(begun, Ok(_) | Err(Errno::INPROGRESS))
        {
            let memory = self.memory(call);
            memory.write(at, &octets[..4])?;
            memory.write_int(len_at, 4)?;
        }
        begun.map(|_| ())
    }

    /// Gives the program a descriptor of its own for an association. What came for it goes with it. As Linux does, the call
    /// returns the descriptor, too.
    fn peel_off(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: &OwnedFd,
        has_flags: bool,
    ) -> Answer {
        let memory = self.memory(call);
        let [_, _, _, at, len_at, _] = call.args;
        let mut asked = [0; 12];
        let size = if has_flags { 12 } else { 8 };
        if usize::try_from(memory.read_int(len_at)?).is_ok_and(|room| room < size) {
            return Err(Errno::INVAL);
        }
        memory.read(at, &mut asked[..size])?;
        let [a0, a1, a2, a3, _, _, _, _, f0, f1, f2, f3] = asked;
        let flags = i32::from_ne_bytes([f0, f1, f2, f3]);
        if sock.is_stream() {
            return Err(Errno::INVAL);
        }
        if let Some(datagrams) = sock.datagrams() {
            let _turn = lock(&datagrams.turn);
            datagrams.give_back(&*sock.node);
        }
        let node = Arc::new(sock.node.peel_off(i32::from_ne_bytes([a0, a1, a2, a3]))?);
        let waiting = sock
            .datagrams()
            .map(|datagrams| datagrams.take_from(end.as_fd(), &peer_addresses(&*node)));
        let made = self.connection((sock, Some(end)), &node, flags & libc::SOCK_NONBLOCK != 0)?;
        let carrying = self.carrying();
        let close_on_exec = flags & libc::SOCK_CLOEXEC != 0;
        let wanted = self.asked_number(call, &made.sock);
        let given = self
            .listener
            .give(call.id, made.end.as_fd(), wanted, close_on_exec);
        let number = given.inspect_err(|_| self.table.remove(made.sock.cookie))?;
        if let Some(datagrams) = made.sock.datagrams() {
            for taken in waiting.into_iter().flatten() {
                if let Some(received) = &taken.received {
                    let _ = datagrams.queue(&taken.data, received);
                }
            }
        }
        drop(made.end);
        let carried = relay::begin(self.clone(), made.sock, made.node_end, carrying);
        self.runtime.spawn(carried);
        memory.write(at.wrapping_add(4), &number.to_ne_bytes())?;
        memory.write_int(len_at, size as i32)?;
        Ok(Outcome::Return(number.into()))
    }
}

/// All the addresses of the peer of a connection.
fn peer_addresses(node: &impl crate::backend::NodeSocket) -> Vec<SocketAddr> {
    let mut octets = [0; OPTION_MAX];
    let Ok(len) = node.option(libc::IPPROTO_SCTP, SCTP_GET_PEER_ADDRS, &mut octets) else {
        return node.peer_addr().into_iter().collect();
    };
    address::list(octets.get(GETADDRS..len).unwrap_or_default())
}
