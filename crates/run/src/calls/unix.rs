//! AF_UNIX sockets: made in the run's own namespace (`names` says why), and the kernel's from then on.

use crate::address;
use crate::backend::{Backend, Errno};
use crate::memory::Message;
use crate::supervisor::{Answer, Outcome, Supervisor};
use crate::sys::Call;
use std::os::fd::{AsFd as _, RawFd};

/// The part of the type argument that is the type.
const TYPE_MASK: i32 = 0xf;

/// Messages that one sendmmsg(2) sends (Linux: UIO_MAXIOV).
const MESSAGES_MAX: usize = 1024;

impl<B: Backend> Supervisor<B> {
    /// socket(2) of AF_UNIX. What the kernel would refuse, and all where there is no namespace, is left to it.
    pub(crate) fn unix_socket(&self, call: &Call) -> Answer {
        let (asked, protocol) = (call.args[1] as i32, call.args[2] as i32);
        let flags = asked & !TYPE_MASK;
        let known = flags & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) == 0;
        let ty = match asked & TYPE_MASK {
            ty @ (libc::SOCK_STREAM | libc::SOCK_DGRAM | libc::SOCK_SEQPACKET) => ty,
            // unix(7): the same.
            libc::SOCK_RAW => libc::SOCK_DGRAM,
            _ => return Ok(Outcome::Continue),
        };
        if !known || ![0, libc::AF_UNIX].contains(&protocol) {
            return Ok(Outcome::Continue);
        }
        let Some(made) = self.ends.names.socket(ty, flags & libc::SOCK_NONBLOCK != 0) else {
            return Ok(Outcome::Continue);
        };
        let close_on_exec = flags & libc::SOCK_CLOEXEC != 0;
        match self
            .listener
            .answer_with(call.id, made?.as_fd(), close_on_exec)
        {
            // Interrupted: there is nobody to tell, and nothing was given away.
            Ok(()) | Err(Errno::NOENT) => Ok(Outcome::Answered),
            Err(error) => Err(error),
        }
    }

    /// A call on a socket that is not ours: the kernel's, unless it would reach an abstract name of the host.
    pub(crate) fn on_foreign(&self, call: &Call) -> Answer {
        let reaches = match call.nr {
            libc::SYS_bind | libc::SYS_connect => {
                self.is_abstract(call, call.args[1], call.args[2] as i32)
            }
            libc::SYS_sendto => self.is_abstract(call, call.args[4], call.args[5] as i32),
            libc::SYS_sendmsg => self.message_is_abstract(call, call.args[1]),
            libc::SYS_sendmmsg => {
                let count = (call.args[2] as usize).min(MESSAGES_MAX);
                (0..count as u64).any(|n| {
                    let at = call.args[1].wrapping_add(n * Message::STRIDE as u64);
                    self.message_is_abstract(call, at)
                })
            }
            _ => false,
        };
        if !reaches || self.has_own_names(call) {
            return Ok(Outcome::Continue);
        }
        Err(match call.nr {
            libc::SYS_bind => Errno::ADDRNOTAVAIL,
            _ => Errno::CONNREFUSED,
        })
    }

    /// What cannot be read, the kernel cannot read either, or it is a program that forbids inspection.
    fn is_abstract(&self, call: &Call, pointer: u64, len: i32) -> bool {
        let octets = self.memory(call).read_address(pointer, len);
        octets.is_ok_and(|octets| address::is_abstract(&octets))
    }

    fn message_is_abstract(&self, call: &Call, at: u64) -> bool {
        match self.memory(call).read_message(at) {
            Ok(message) if message.name != 0 => {
                self.is_abstract(call, message.name, message.name_len)
            }
            _ => false,
        }
    }

    fn has_own_names(&self, call: &Call) -> bool {
        let threads = &self.table.threads;
        let socket = threads.duplicate(call.tid, call.args[0] as RawFd);
        socket.is_ok_and(|socket| self.ends.names.owns(socket.as_fd()))
    }
}
