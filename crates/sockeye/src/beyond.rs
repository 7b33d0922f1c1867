//! Abstract names that a node shares with somebody else: a kernel's namespace, say, in which programs
//! live.
//!
//! A name is taken on both sides or on none. Who connects to a name that nobody of the node has is
//! joined to whoever has it beyond, by a socket that stands in for that peer.

use crate::unix::Credentials;
use crate::{Socket, Type};
use std::any::Any;
use std::fmt::Debug;
use std::io;

/// The other side of a node's abstract names ([`Node::share_names`](crate::Node::share_names)).
pub trait Beyond: Debug + Send + Sync {
    /// Takes a name for a socket of the node.
    ///
    /// # Errors
    /// EADDRINUSE when somebody has it there.
    fn bind(&self, ty: Type, name: &[u8]) -> io::Result<Box<dyn Taken>>;

    /// Finds who listens under a name; the connection is made.
    ///
    /// # Errors
    /// ECONNREFUSED when nobody does, EAGAIN when the backlog is full.
    fn connect(&self, ty: Type, name: &[u8]) -> io::Result<Box<dyn Joined>>;
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
