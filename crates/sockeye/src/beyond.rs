//! Abstract names that a node shares with somebody else: a kernel's namespace, say, in which programs
//! live.
//!
//! A name is taken on both sides or on none. Who connects to a name that nobody of the node has is
//! joined to whoever has it beyond, by a socket that stands in for that peer. A datagram socket has a
//! [`Mailbox`] beyond: what it sends there leaves from it, and what comes goes into its [`Inbox`].

pub use crate::socket::Inbox;

use crate::unix::{Credentials, Object, SocketAddr};
use crate::{Socket, Type, UnixSend};
use bytes::Bytes;
use std::any::Any;
use std::fmt::Debug;
use std::io;
use std::task::Waker;

/// The other side of a node's abstract names ([`Node::share_names`](crate::Node::share_names)).
pub trait Beyond: Debug + Send + Sync {
    /// Takes a name for a socket of the node that connects or listens.
    ///
    /// # Errors
    /// EADDRINUSE when somebody has it there.
    fn bind(&self, ty: Type, name: &[u8]) -> io::Result<Box<dyn Taken>>;

    /// Finds who listens under a name; the connection is made.
    ///
    /// # Errors
    /// ECONNREFUSED when nobody does, EAGAIN when the backlog is full.
    fn connect(&self, ty: Type, name: &[u8]) -> io::Result<Box<dyn Joined>>;

    /// Opens a mailbox for a datagram socket of the node, without a name yet.
    ///
    /// # Errors
    /// What stands in the way.
    fn mailbox(&self, inbox: Inbox) -> io::Result<Box<dyn Mailbox>>;
}

/// A name that is held for a socket of the node, until this is dropped.
pub trait Taken: Debug + Send + Sync + Any {
    /// The socket listens: those who connect beyond are to be connected to it.
    ///
    /// # Errors
    /// What stands in the way.
    fn listen(&self, listener: &Socket, backlog: i32) -> io::Result<()>;
}

/// A connection to somebody beyond.
pub trait Joined {
    /// Whose that is.
    fn credentials(&self) -> Credentials;

    /// Carries what comes both ways, from now on: `stand_in` is what the node's socket is connected to.
    fn carry(self: Box<Self>, stand_in: Socket);
}

/// Whom a mailbox takes datagrams from, and where those go that say no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hears<'a> {
    /// From everybody.
    Everybody,
    /// From nobody beyond: the socket has a peer inside the node. Who sends to it gets EPERM.
    Nobody,
    /// From who has this name beyond, and to them.
    Only(&'a [u8]),
}

/// A datagram from beyond.
#[derive(Clone, Debug, Default)]
pub struct Letter {
    /// The data.
    pub data: Bytes,
    /// Its sender's name; a path is one of elsewhere, and leads nowhere in the node.
    pub from: SocketAddr,
    /// Whose it is.
    pub credentials: Option<Credentials>,
    /// What came beside the data.
    pub objects: Vec<Object>,
}

/// A datagram socket of the node as it is beyond, until this is dropped. No call here waits.
pub trait Mailbox: Debug + Send + Sync {
    /// Takes a name, or with `None` a free one of its own choice; which one it is. From then on it takes
    /// datagrams.
    ///
    /// # Errors
    /// EADDRINUSE.
    fn bind(&self, name: Option<&[u8]>) -> io::Result<Vec<u8>>;

    /// connect(2): also fixes where [`send`](Self::send) goes that says no name.
    ///
    /// # Errors
    /// ECONNREFUSED when nobody has the name, EPERM when its socket has another peer.
    fn connect(&self, whom: Hears<'_>) -> io::Result<()>;

    /// Sends a datagram to a name, or to the peer.
    ///
    /// # Errors
    /// ECONNREFUSED when nobody has the name any more, EAGAIN when the receiver takes no more, EPERM
    /// when it has another peer, EMSGSIZE.
    fn send(&self, to: Option<&[u8]>, message: &UnixSend<'_>) -> io::Result<usize>;

    /// Calls `waker` once when another attempt to send there is worth it, which may be at once.
    fn wake_when_room(&self, to: Option<&[u8]>, waker: &Waker);

    /// Brings what has come into the inbox, as much as there is room for, so that a receive finds what
    /// was sent before it.
    fn collect(&self);

    /// shutdown(2): who sends here gets EPIPE.
    fn stop_receiving(&self);
}
