//! shutdown(2).
//!
//! What was written before must go first, so the program's end is shut, and the relay brings the news to the node in its turn.

use crate::backend::{Backend, Errno, NodeSocket as _};
use crate::descriptors::{Phase, Sock, lock};
use crate::supervisor::{Answer, Outcome, Supervisor};
use crate::sys::Call;
use rustix::net;
use std::net::Shutdown;
use std::os::fd::OwnedFd;

impl<B: Backend> Supervisor<B> {
    pub(crate) fn shutdown(&self, call: &Call, sock: &Sock<B::Socket>, end: &OwnedFd) -> Answer {
        let (how, of_end) = match call.args[1] as i32 {
            libc::SHUT_RD => (Shutdown::Read, net::Shutdown::Read),
            libc::SHUT_WR => (Shutdown::Write, net::Shutdown::Write),
            libc::SHUT_RDWR => (Shutdown::Both, net::Shutdown::Both),
            _ => return Err(Errno::INVAL),
        };
        if !sock.is_stream() {
            sock.node.shutdown(how)?;
            let _ = net::shutdown(end, of_end);
            return Ok(Outcome::Return(0));
        }
        let mut state = lock(&sock.state);
        let listening = match &state.phase {
            Phase::Established { .. } => None,
            Phase::Listening(listening) => Some(listening.clone()),
            // The relay is not there yet; the node ends the attempt, and the connect with it.
            Phase::Connecting { .. } => {
                sock.node.abort();
                return Ok(Outcome::Return(0));
            }
            Phase::Fresh | Phase::Failed | Phase::Spent => return Err(Errno::NOTCONN),
        };
        if listening.is_none() {
            state.shut.read |= how != Shutdown::Write;
            state.shut.write |= how != Shutdown::Read;
        }
        drop(state);
        if let Some(listening) = listening {
            if how != Shutdown::Write {
                listening.close();
                let _ = net::shutdown(end, net::Shutdown::Both);
            }
            return Ok(Outcome::Return(0));
        }
        // The peer may have reset it meanwhile: then there is no connection any more.
        sock.node.peer_addr().map_err(|_| Errno::NOTCONN)?;
        if how != Shutdown::Write {
            let _ = sock.node.shutdown(Shutdown::Read);
        }
        if how == Shutdown::Both && sock.has_messages() {
            // What was written before has been carried, and the relay takes this for a close.
            let _ = sock.node.shutdown(Shutdown::Write);
        }
        let _ = net::shutdown(end, of_end);
        Ok(Outcome::Return(0))
    }
}
