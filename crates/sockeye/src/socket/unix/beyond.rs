//! Datagram sockets whose names are shared with somebody beyond the node ([`crate::beyond`]).
//!
//! A name is looked for in the node first. Where nobody has it there, the datagram leaves from the
//! socket's mailbox, in the same call, so that its fate is the call's.

use super::super::op::Kind;
use super::super::wait::Wait;
use super::super::{Domain, Protocol, Socket};
use super::message::Sending;
use super::unix_handle;
use crate::beyond::{Hears, Letter, Mailbox};
use crate::driver::block_on;
use crate::error::{os, to_io};
use crate::shard::lock;
use crate::unix::SocketAddr;
use crate::waiters::Direction;
use sockeye_core::{Error, SocketId};
use sockeye_unix::{Name, SocketType};
use std::io;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

/// A datagram socket's mailbox, and the socket that brings what comes there.
#[derive(Debug)]
pub(in crate::socket) struct Post {
    mailbox: Box<dyn Mailbox>,
    porter: SocketId,
}

/// Where datagrams for a socket of the node are put that come from beyond.
#[derive(Debug)]
pub struct Inbox {
    porter: Socket,
    to: SocketId,
}

/// Two threads do not open one socket's mailbox at a time.
static OPENING: Mutex<()> = Mutex::new(());

impl Inbox {
    /// Waits until the socket takes one more datagram.
    ///
    /// # Errors
    /// The socket is closed.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let to = self.to;
        let room = self.porter.poll_step(cx, Direction::Write, |op| {
            op.unix(|unix, _, porter| unix.has_room_for_porter(porter, to))
        });
        room.map_err(to_io)
    }

    /// Whether the socket takes one more datagram.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        matches!(self.poll_room(&mut cx), Poll::Ready(Ok(())))
    }

    /// Puts a datagram there, room or not.
    ///
    /// # Errors
    /// The socket is closed.
    pub fn put(&self, letter: Letter) -> io::Result<()> {
        let to = self.to;
        let letter = sockeye_unix::Letter {
            data: letter.data,
            from: letter.from.name().cloned(),
            credentials: letter.credentials,
            objects: letter.objects,
        };
        self.porter
            .call(|op| op.unix(|unix, cx, porter| unix.deliver(cx, porter, to, letter)))
    }

    /// The peer has lost what it had not read from the socket: ECONNRESET.
    pub fn reset(&self) {
        let to = self.to;
        // One that is closed has nobody to be told.
        let _ = self
            .porter
            .call(|op| op.unix(|unix, cx, _| unix.reset_by_peer(cx, to)));
    }

    /// The peer takes no more now, or does again.
    pub fn set_peer_full(&self, full: bool) {
        let _ = self
            .porter
            .call(|op| op.unix(|unix, cx, porter| unix.set_peer_full(cx, porter, full)));
    }
}

impl Socket {
    fn is_datagram(&self) -> bool {
        self.0.kind == Kind::Unix(SocketType::Datagram)
    }

    /// Its mailbox, if it has one.
    pub(in crate::socket) fn post(&self) -> Option<&Post> {
        self.0.post.get().map(|post| &**post)
    }

    /// Its mailbox, which is opened where names are shared and there is none.
    fn open_post(&self) -> io::Result<Option<&Post>> {
        if !self.is_datagram() {
            return Ok(None);
        }
        let opening = lock(&OPENING);
        if self.post().is_none() {
            let Some(post) = self.make_post()? else {
                return Ok(None);
            };
            // One that has got its name before names were shared takes it now; if somebody has it
            // beyond, it speaks there without.
            if let Some(name) = self.unix_addr()?.as_abstract_name() {
                let _ = post.mailbox.bind(Some(name));
            }
            let _ = self.0.post.set(Box::new(post));
        }
        drop(opening);
        Ok(self.post())
    }

    fn make_post(&self) -> io::Result<Option<Post>> {
        let Some(beyond) = self.0.node.beyond() else {
            return Ok(None);
        };
        let handle = self.call(|op| {
            let made = op.unix(|unix, cx, _| unix.open_porter(cx))?;
            let handle = unix_handle(made);
            op.state.open.insert(handle);
            Ok(handle)
        })?;
        let (node, kind) = (self.0.node.clone(), self.0.kind);
        let inbox = Inbox {
            porter: Self::from_parts(node, handle, kind, Domain::UNIX, Protocol(0)),
            to: self.0.handle.id,
        };
        let post = Post {
            mailbox: beyond.mailbox(inbox)?,
            porter: handle.id,
        };
        Ok(Some(post))
    }

    /// bind(2) of a datagram socket where names are shared; `false` where they are not.
    pub(super) fn bind_beyond(&self, name: Option<&Name>) -> io::Result<bool> {
        let abstract_name = match name {
            Some(Name::Path(_)) => return Ok(false),
            Some(Name::Abstract(name)) => Some(&**name),
            // As bind(2) has it, a name stays.
            None if !self.unix_addr()?.is_unnamed() => return Ok(true),
            None => None,
        };
        if !self.is_datagram() || self.0.node.beyond().is_none() {
            return Ok(false);
        }
        if let Some(name) = name {
            self.call(|op| op.unix(|unix, _, id| unix.check_name(id, name)))?;
        }
        let opening = lock(&OPENING);
        let made = match self.post() {
            Some(_) => None,
            None => self.make_post()?,
        };
        let Some(post) = made.as_ref().or(self.post()) else {
            return Ok(false);
        };
        let taken = post.mailbox.bind(abstract_name)?;
        let taken = Name::abstract_name(&taken).map_err(to_io)?;
        self.call(|op| op.unix(|unix, cx, id| unix.bind_name(cx, id, Some(taken))))?;
        if let Some(post) = made {
            let _ = self.0.post.set(Box::new(post));
        }
        drop(opening);
        Ok(true)
    }

    /// connect(2) of a datagram socket to a name that nobody of the node has. `None` where it has no
    /// mailbox.
    pub(super) fn connect_post(&self, name: &Name, abstract_name: &[u8]) -> Option<io::Result<()>> {
        let post = match self.open_post() {
            Ok(post) => post?,
            Err(error) => return Some(Err(error)),
        };
        let connected = post.mailbox.connect(Hears::Only(abstract_name));
        Some(connected.and_then(|()| {
            self.call(|op| op.unix(|unix, cx, id| unix.connect_porter(cx, id, post.porter, name)))
        }))
    }

    /// The socket has a peer inside the node now, or none.
    pub(in crate::socket) fn tell_post(&self, whom: Hears<'_>) {
        if let Some(post) = self.post() {
            // Without a name beyond there is nobody who could be heard.
            let _ = post.mailbox.connect(whom);
        }
    }

    /// shutdown(2) that reads.
    pub(in crate::socket) fn stop_post(&self) {
        if let Some(post) = self.post() {
            post.mailbox.stop_receiving();
        }
    }

    /// Brings in what was sent before this moment.
    pub(super) fn collect(&self) {
        if let Some(post) = self.post() {
            post.mailbox.collect();
        }
    }

    /// Whether what says no name leaves the node.
    fn peer_is_beyond(&self) -> io::Result<bool> {
        match self.post() {
            Some(post) => self.call(|op| op.unix(|unix, _, id| unix.is_peer(id, post.porter))),
            None => Ok(false),
        }
    }

    /// The step of a send inside the node, unless the datagram goes to a peer beyond.
    pub(super) fn stays_inside(&self, sending: &Sending<'_>) -> io::Result<bool> {
        Ok(sending.to().is_some() || !self.peer_is_beyond()?)
    }

    /// The mailbox that a datagram leaves from which the node has no receiver for.
    pub(super) fn leaves_from(
        &self,
        sending: &Sending<'_>,
        tried: Result<usize, Error>,
    ) -> io::Result<Option<&Post>> {
        match (tried, sending.to()) {
            (Err(Error::ConnectionRefused), Some(to)) if to.as_abstract_name().is_some() => {
                self.open_post()
            }
            _ => Ok(None),
        }
    }

    /// Sends beyond, and waits as long as it may for room there.
    pub(super) fn send_beyond(
        &self,
        post: &Post,
        sending: &Sending<'_>,
        wait: Wait,
    ) -> io::Result<usize> {
        let deadline = match wait {
            Wait::No => return self.try_send_beyond(post, sending),
            Wait::Forever => None,
            Wait::Until(deadline) => deadline,
        };
        let sent = block_on(Vec::new, deadline, |cx| {
            self.poll_send_beyond(post, sending, cx)
        });
        sent.unwrap_or_else(|| Err(os(libc::EAGAIN)))
    }

    /// [`send_beyond`](Self::send_beyond) for a task.
    pub(super) fn poll_send_beyond(
        &self,
        post: &Post,
        sending: &Sending<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match self.try_send_beyond(post, sending) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let to = sending.to().and_then(SocketAddr::as_abstract_name);
                post.mailbox.wake_when_room(to, cx.waker());
                Poll::Pending
            }
            done => Poll::Ready(done),
        }
    }

    fn try_send_beyond(&self, post: &Post, sending: &Sending<'_>) -> io::Result<usize> {
        let message = sending.message();
        let to = message.to.and_then(SocketAddr::as_abstract_name);
        if to.is_none() {
            let len = message.data.len();
            self.call(|op| op.unix(|unix, _, id| unix.check_letter(id, len)))?;
        }
        let sent = post.mailbox.send(to, &message);
        if let (Err(error), None) = (&sent, to)
            && error.raw_os_error() == Some(libc::ECONNREFUSED)
        {
            // The peer has gone, which is found out now.
            self.call(|op| op.unix(|unix, cx, id| unix.lose_peer(cx, id)))?;
        }
        sent
    }

    /// For calls that send without a name: whether that leaves the node, and how it went.
    pub(in crate::socket) fn poll_send_copied_beyond(
        &self,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Option<Poll<io::Result<usize>>> {
        match self.peer_is_beyond() {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return Some(Poll::Ready(Err(error))),
        }
        let post = self.post()?;
        let total = data.iter().map(|piece| piece.len()).sum();
        let message = super::UnixSend {
            data: super::transfer::copied(data.iter().map(|piece| &**piece), total),
            ..super::UnixSend::default()
        };
        Some(match Sending::new(message) {
            Ok(sending) => self.poll_send_beyond(post, &sending, cx),
            Err(error) => Poll::Ready(Err(error)),
        })
    }
}
