//! Connections of node-internal sockets.

use super::super::op::Op;
use super::super::wait::{Wait, Waiting};
use super::super::{Domain, Protocol, Socket, timeout};
use super::{caller, named, unix_handle};
use crate::beyond::Hears;
use crate::error::to_io;
use crate::unix::SocketAddr;
use crate::waiters::{Class, Direction};
use sockeye_core::{Error, Handle};
use sockeye_unix::{Credentials, Name};
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

impl Socket {
    /// connect(2). A blocking one waits while the listener's backlog is full.
    ///
    /// # Errors
    /// ECONNREFUSED, ENOENT, EPROTOTYPE, EAGAIN for a full backlog when it is nonblocking, EISCONN,
    /// EINVAL for a listener or an unnamed address, EPERM for a datagram socket that talks to
    /// another.
    pub fn connect_unix(&self, to: &SocketAddr) -> io::Result<()> {
        let name = named(to)?;
        let wait = self.patience(timeout(&self.0.write_timeout));
        let connected = self.wait_here(Direction::Write, wait, |op| connect(op, name));
        self.or_beyond(connected, name)
    }

    /// Connects to whoever has the name beyond the node, where nobody has it here.
    fn or_beyond(&self, connected: Result<(), Error>, name: &Name) -> io::Result<()> {
        let (Err(Error::ConnectionRefused), Name::Abstract(abstract_name)) = (connected, name)
        else {
            connected.map_err(to_io)?;
            self.tell_post(Hears::Nobody);
            return Ok(());
        };
        if let Some(connected) = self.connect_post(name, abstract_name) {
            return connected;
        }
        let beyond = self.0.node.beyond().filter(|_| self.connects());
        let Some(beyond) = beyond else {
            return connected.map_err(to_io);
        };
        let joined = beyond.connect(self.r#type(), abstract_name)?;
        let theirs = joined.credentials();
        let (kind, node) = (self.0.kind, self.0.node.clone());
        let handle = self.call(|op| {
            let made = op.unix(|unix, cx, id| unix.connect_stand_in(cx, id, name, theirs))?;
            let handle = unix_handle(made);
            op.state.open.insert(handle);
            Ok(handle)
        })?;
        joined.carry(Self::from_parts(
            node,
            handle,
            kind,
            Domain::UNIX,
            Protocol(0),
        ));
        Ok(())
    }

    /// connect(2) for somebody else: whom the listener is told (SO_PEERCRED). It never waits.
    ///
    /// # Errors
    /// Those of [`connect_unix`](Self::connect_unix).
    pub fn connect_unix_as(&self, to: &SocketAddr, whose: Credentials) -> io::Result<()> {
        let name = named(to)?;
        self.call(|op| op.unix(|unix, cx, id| unix.connect_name(cx, id, Some(name), whose)))
    }

    /// Connects without blocking the thread.
    ///
    /// # Errors
    /// Those of [`connect_unix`](Self::connect_unix).
    pub async fn connect_unix_async(&self, to: &SocketAddr) -> io::Result<()> {
        let name = named(to)?;
        let mut waiting = Waiting::new(self, Direction::Write, Class::Shared);
        let connected = poll_fn(|cx| waiting.poll_parked(cx, |op| connect(op, name))).await;
        drop(waiting);
        self.or_beyond(connected, name)
    }

    /// accept(2), and the peer's name.
    ///
    /// # Errors
    /// EAGAIN, EINVAL when it does not listen, EOPNOTSUPP for datagrams.
    pub fn accept_unix(&self) -> io::Result<(Self, SocketAddr)> {
        let wait = self.patience(timeout(&self.0.read_timeout));
        let waits = !matches!(wait, Wait::No);
        let accepted = self.wait_here(Direction::Read, wait, |op| accept(op, waits));
        self.accepted_unix(accepted)
    }

    /// accept(2) for a task.
    ///
    /// # Errors
    /// Those of [`accept_unix`](Self::accept_unix).
    pub fn poll_accept_unix(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Self, SocketAddr)>> {
        self.poll_step(cx, Direction::Read, |op| accept(op, true))
            .map(|accepted| self.accepted_unix(accepted))
    }

    /// Accepts without blocking the thread; of those who wait, one is woken for one connection.
    ///
    /// # Errors
    /// Those of [`accept_unix`](Self::accept_unix).
    pub async fn accept_unix_async(&self) -> io::Result<(Self, SocketAddr)> {
        let mut waiting = Waiting::new(self, Direction::Read, Class::Exclusive);
        let accepted = poll_fn(|cx| waiting.poll_parked(cx, |op| accept(op, true))).await;
        self.accepted_unix(accepted)
    }

    fn accepted_unix(
        &self,
        accepted: Result<(Handle, Option<Name>), Error>,
    ) -> io::Result<(Self, SocketAddr)> {
        let (handle, peer) = accepted.map_err(to_io)?;
        let node = self.0.node.clone();
        let socket = Self::from_parts(node, handle, self.0.kind, Domain::UNIX, Protocol(0));
        Ok((socket, SocketAddr::from(peer)))
    }
}

fn connect(op: &mut Op<'_>, name: &Name) -> Result<(), Error> {
    op.unix(|unix, cx, id| unix.connect_name(cx, id, Some(name), caller()))
}

fn accept(op: &mut Op<'_>, waits: bool) -> Result<(Handle, Option<Name>), Error> {
    let (handle, peer) = op.unix(|unix, cx, id| {
        let made = unix.accept(cx, id, waits)?;
        // One whose peer has closed has its name still.
        let peer = unix.peer_name(made).unwrap_or_default();
        Ok((unix_handle(made), peer))
    })?;
    op.state.open.insert(handle);
    Ok((handle, peer))
}
