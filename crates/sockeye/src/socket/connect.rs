//! Connecting and accepting.

use super::wait::Wait;
use super::{Socket, Waiting};
use crate::beyond::Hears;
use crate::error::to_io;
use crate::waiters::{Class, Direction};
use sockeye_core::{Error, Handle};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

impl Socket {
    /// connect(2). A blocking stream waits until the attempt has ended.
    ///
    /// # Errors
    /// EINPROGRESS when the socket is nonblocking, or its write time-out ran out; ECONNREFUSED,
    /// ETIMEDOUT, EHOSTUNREACH and the others of connect(2).
    pub fn connect(&self, address: SocketAddr) -> io::Result<()> {
        let wait = self.patience(super::timeout(&self.0.write_timeout));
        self.connect_within(address, wait).map_err(to_io)
    }

    /// connect(2) that gives up after `timeout`. The attempt itself goes on: the socket is to be
    /// dropped then.
    ///
    /// # Errors
    /// ETIMEDOUT when the time has run out, EINVAL for none at all, and those of
    /// [`connect`](Self::connect).
    pub fn connect_timeout(&self, address: SocketAddr, timeout: Duration) -> io::Result<()> {
        if timeout.is_zero() {
            return Err(to_io(Error::Invalid));
        }
        let wait = Wait::Until(self.shard().clock.after(timeout));
        match self.connect_within(address, wait) {
            Err(Error::InProgress) => Err(to_io(Error::TimedOut)),
            done => done.map_err(to_io),
        }
    }

    fn connect_within(&self, address: SocketAddr, wait: Wait) -> Result<(), Error> {
        let begun = self.step(|op| op.connect(address));
        self.run();
        match (begun, wait) {
            (Err(Error::InProgress), Wait::No) => return Err(Error::InProgress),
            (Err(Error::InProgress), _) => {}
            // A blocking call joins an attempt that is under way.
            (Err(Error::Already), Wait::Forever | Wait::Until(_)) => {}
            (done, _) => return done,
        }
        match self.wait(Direction::Write, Class::Shared, wait, |op| op.connected()) {
            Err(Error::WouldBlock) => Err(Error::InProgress),
            done => done,
        }
    }

    /// Begins to connect and never waits.
    ///
    /// # Errors
    /// EINPROGRESS for a stream whose attempt has begun: [`poll_connect`](Self::poll_connect)
    /// tells its end. Others are those of [`connect`](Self::connect).
    pub fn connect_start(&self, address: SocketAddr) -> io::Result<()> {
        let begun = self.call(|op| op.connect(address));
        self.run();
        begun
    }

    /// The end of an attempt to connect that was begun before.
    ///
    /// # Errors
    /// What the attempt ended with; ENOTCONN when there was none.
    pub fn poll_connect(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_step(cx, Direction::Write, |op| op.connected())
            .map_err(to_io)
    }

    /// Connects without blocking the thread.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect).
    pub async fn connect_async(&self, address: SocketAddr) -> io::Result<()> {
        match self.step(|op| op.connect(address)) {
            Err(Error::InProgress) => {}
            done => {
                self.run();
                return done.map_err(to_io);
            }
        }
        self.run();
        let mut waiting = Waiting::new(self, Direction::Write, Class::Shared);
        poll_fn(|cx| waiting.poll(cx, |op| op.connected()))
            .await
            .map_err(to_io)
    }

    /// connect(2) with AF_UNSPEC: takes a datagram socket's peer away, and dissolves a stream, which
    /// may connect or listen anew then.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn disconnect(&self) -> io::Result<()> {
        let done = self.call(|op| op.disconnect());
        if done.is_ok() {
            self.tell_post(Hears::Everybody);
        }
        self.run();
        done
    }

    /// accept(2): the connection that has waited longest, and its peer.
    ///
    /// # Errors
    /// EAGAIN, EINVAL when the socket does not listen, EOPNOTSUPP when it is no stream.
    pub fn accept(&self) -> io::Result<(Self, SocketAddr)> {
        let wait = self.patience(super::timeout(&self.0.read_timeout));
        let accepted = self.wait(Direction::Read, Class::Exclusive, wait, |op| op.accept());
        self.accepted(accepted)
    }

    /// accept(2) for a task.
    ///
    /// # Errors
    /// Those of [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Self, SocketAddr)>> {
        self.poll_step(cx, Direction::Read, |op| op.accept())
            .map(|accepted| self.accepted(accepted))
    }

    /// Accepts without blocking the thread. Of those who wait, one is woken for one connection,
    /// first come, first served.
    ///
    /// # Errors
    /// Those of [`accept`](Self::accept).
    pub async fn accept_async(&self) -> io::Result<(Self, SocketAddr)> {
        let mut waiting = Waiting::new(self, Direction::Read, Class::Exclusive);
        let accepted = poll_fn(|cx| waiting.poll(cx, |op| op.accept())).await;
        self.accepted(accepted)
    }

    fn accepted(
        &self,
        accepted: Result<(Handle, SocketAddr), Error>,
    ) -> io::Result<(Self, SocketAddr)> {
        let (handle, peer) = accepted.map_err(to_io)?;
        let (node, domain) = (self.0.node.clone(), self.0.domain);
        let socket = Self::from_parts(node, handle, self.0.kind, domain, self.0.protocol);
        // An accepted socket inherits the options of the listener; these are the face's own.
        for (from, to) in [
            (&self.0.linger, &socket.0.linger),
            (&self.0.read_timeout, &socket.0.read_timeout),
            (&self.0.write_timeout, &socket.0.write_timeout),
        ] {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        Ok((socket, peer))
    }
}
