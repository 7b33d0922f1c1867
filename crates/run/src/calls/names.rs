//! bind(2), getsockname(2), getpeername(2), and addresses on their way in and out.

use crate::address::{self, Given};
use crate::backend::{Backend, Errno, NodeSocket};
use crate::descriptors::Sock;
use crate::memory::Memory;
use crate::supervisor::{Answer, Outcome, Supervisor};
use crate::sys::Call;
use std::net::SocketAddr;
use std::sync::Arc;

/// Rounds of the event loop after which a socket that was swept has closed.
pub(crate) const TURNS_TO_CLOSE: usize = 16;

impl Memory<'_> {
    /// An address that the program gives, as its octets.
    pub(crate) fn read_address(&self, at: u64, len: i32) -> Result<Vec<u8>, Errno> {
        let len = usize::try_from(len)
            .ok()
            .filter(|len| *len <= address::STORAGE)
            .ok_or(Errno::INVAL)?;
        let mut octets = vec![0; len];
        self.read(at, &mut octets)?;
        Ok(octets)
    }

    /// Writes an address where the program wants it, cut to the room that it says, with its true length.
    pub(crate) fn write_address(
        &self,
        at: u64,
        len_at: u64,
        address: SocketAddr,
    ) -> Result<(), Errno> {
        self.write_name(at, len_at, &address::emit(address))
    }

    /// The same, with an address that is laid out already.
    pub(crate) fn write_name(&self, at: u64, len_at: u64, octets: &[u8]) -> Result<(), Errno> {
        let room = usize::try_from(self.read_int(len_at)?).map_err(|_| Errno::INVAL)?;
        self.write(at, &octets[..room.min(octets.len())])?;
        self.write_int(len_at, octets.len() as i32)
    }
}

impl<B: Backend> Supervisor<B> {
    pub(crate) fn bind(self: &Arc<Self>, call: &Call, sock: &Arc<Sock<B::Socket>>) -> Answer {
        let octets = self
            .memory(call)
            .read_address(call.args[1], call.args[2] as i32)?;
        let address = match address::parse(sock.domain, &octets)? {
            Given::Internet(address) => address,
            // As Linux does for old programs: no family, and the address of all.
            Given::Unspecified => {
                let old = address::v4(&octets)?;
                if sock.domain != crate::backend::Domain::Ipv4 || !old.ip().is_unspecified() {
                    return Err(Errno::AFNOSUPPORT);
                }
                old.into()
            }
        };
        match sock.node.bind(address) {
            // By a socket that the program had closed, perhaps, which nobody had noticed: it is free when its tasks have ended.
            Err(Errno::ADDRINUSE) => {
                self.sweep();
                let sock = sock.clone();
                self.hold(call, None, async move {
                    for _ in 0..TURNS_TO_CLOSE {
                        tokio::task::yield_now().await;
                        match sock.node.bind(address) {
                            Err(Errno::ADDRINUSE) => {}
                            result => return result.map(|()| Outcome::Return(0)),
                        }
                    }
                    Err(Errno::ADDRINUSE)
                })
            }
            result => result.map(|()| Outcome::Return(0)),
        }
    }

    pub(crate) fn getsockname(&self, call: &Call, sock: &Sock<B::Socket>) -> Answer {
        let address = sock
            .node
            .local_addr()
            .unwrap_or_else(|_| address::unset(sock.domain));
        self.memory(call)
            .write_address(call.args[1], call.args[2], address)?;
        Ok(Outcome::Return(0))
    }

    pub(crate) fn getpeername(&self, call: &Call, sock: &Sock<B::Socket>) -> Answer {
        let address = sock.node.peer_addr()?;
        // Linux: a socket knows by the port that it has a peer.
        if address.port() == 0 {
            return Err(Errno::NOTCONN);
        }
        self.memory(call)
            .write_address(call.args[1], call.args[2], address)?;
        Ok(Outcome::Return(0))
    }
}
