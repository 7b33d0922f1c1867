//! What node-internal sockets alone have: names, handover, objects, credentials.
//!
//! - Connecting and accepting: `connect`.
//! - What a message is, and a call that sends one: `message`.
//! - Sending and receiving: `transfer`, with buffers of `pool`.
//! - Datagrams to and from beyond the node: `beyond`.
//!
//! Nothing here needs a turn of the node: a step under the lock hands the data over, and wakes who
//! waits for it. Copies are made outside the lock.

mod beyond;
mod connect;
mod message;
mod pool;
mod transfer;

pub use beyond::Inbox;
pub use message::{UnixMessage, UnixSend};

pub(super) use beyond::Post;

use super::op::Kind;
use super::{Domain, Protocol, Socket, Type};
use crate::error::{os, to_io};
use crate::node::Node;
use crate::unix::SocketAddr;
use sockeye_core::{Handle, TransportId};
use sockeye_unix::{Credentials, Name};
use std::io;

/// Whose calls these are.
pub(super) fn caller() -> Credentials {
    Credentials {
        pid: std::process::id().cast_signed(),
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
    }
}

impl Socket {
    /// socketpair(2) on the current node: two node-internal sockets, each the other's peer.
    ///
    /// # Errors
    /// No node is current, or as for [`pair_on`](Self::pair_on).
    pub fn pair(ty: Type) -> io::Result<(Self, Self)> {
        Self::pair_on(&Node::current()?, ty)
    }

    /// [`pair`](Self::pair) on `node`.
    ///
    /// # Errors
    /// ESOCKTNOSUPPORT, ENFILE at the node's limit.
    pub fn pair_on(node: &Node, ty: Type) -> io::Result<(Self, Self)> {
        let kind = Kind::find(Domain::UNIX, ty, None)?;
        let Kind::Unix(its) = kind else {
            return Err(os(libc::ESOCKTNOSUPPORT));
        };
        let pair = node.shard().with(|state, now| {
            let (unix, mut cx) = state.node.unix(now);
            let (one, other) = unix.pair(&mut cx, its, caller())?;
            let pair = [one, other].map(unix_handle);
            state.open.extend(pair);
            Ok(pair)
        });
        let [one, other] = pair
            .map_err(to_io)?
            .map(|handle| Self::from_parts(node.clone(), handle, kind, Domain::UNIX, Protocol(0)));
        Ok((one, other))
    }

    /// bind(2). An unnamed address asks for a free abstract name (autobind).
    ///
    /// # Errors
    /// EADDRINUSE, EINVAL when it has a name, EOPNOTSUPP when it is of another family.
    pub fn bind_unix(&self, address: &SocketAddr) -> io::Result<()> {
        let name = address.name().cloned();
        if self.bind_beyond(name.as_ref())? {
            return Ok(());
        }
        let taken = match &name {
            Some(Name::Abstract(name)) if self.connects() => {
                let beyond = self.0.node.beyond();
                beyond
                    .map(|beyond| beyond.bind(self.r#type(), name))
                    .transpose()?
            }
            _ => None,
        };
        self.call(|op| op.unix(|unix, cx, id| unix.bind_name(cx, id, name)))?;
        if let Some(taken) = taken {
            // A second name it cannot have got.
            let _ = self.0.taken.set(taken);
        }
        Ok(())
    }

    fn connects(&self) -> bool {
        matches!(self.0.kind, Kind::Unix(ty) if ty.connects())
    }

    /// getsockname(2).
    ///
    /// # Errors
    /// The node was shut down.
    pub fn unix_addr(&self) -> io::Result<SocketAddr> {
        self.call(|op| op.unix(|unix, _, id| unix.name(id)))
            .map(SocketAddr::from)
    }

    /// getpeername(2).
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn unix_peer_addr(&self) -> io::Result<SocketAddr> {
        self.call(|op| op.unix(|unix, _, id| unix.peer_name(id)))
            .map(SocketAddr::from)
    }

    /// SO_PEERCRED: whose the peer was when it connected or listened.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn unix_peer_credentials(&self) -> io::Result<Option<Credentials>> {
        self.call(|op| op.unix(|unix, _, id| unix.peer_credentials(id)))
    }

    /// SO_PASSCRED: messages tell whose they are.
    ///
    /// # Errors
    /// EOPNOTSUPP when it is of another family.
    pub fn set_pass_credentials(&self, on: bool) -> io::Result<()> {
        self.call(|op| op.unix(|unix, _, id| unix.set_passes_credentials(id, on)))
    }

    /// See [`set_pass_credentials`](Self::set_pass_credentials).
    ///
    /// # Errors
    /// EOPNOTSUPP when it is of another family.
    pub fn pass_credentials(&self) -> io::Result<bool> {
        self.call(|op| op.unix(|unix, _, id| unix.passes_credentials(id)))
    }

    /// SIOCINQ and SIOCOUTQ: bytes to be read (of datagrams the next one's), and what is under way
    /// as it counts against SO_SNDBUF.
    ///
    /// # Errors
    /// EINVAL for a listener.
    pub fn unix_queued(&self) -> io::Result<(usize, usize)> {
        self.call(|op| {
            op.unix(|unix, _, id| {
                let read = unix.queued_in(id)?;
                Ok((read, unix.queued_out(id)?))
            })
        })
    }
}

fn named(address: &SocketAddr) -> io::Result<&Name> {
    address.name().ok_or_else(|| os(libc::EINVAL))
}

const fn unix_handle(id: sockeye_core::SocketId) -> Handle {
    Handle {
        transport: TransportId::UNIX,
        id,
    }
}
