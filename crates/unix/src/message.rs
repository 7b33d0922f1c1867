//! What travels between sockets.

use crate::name::Name;
use bytes::Bytes;
use smallvec::SmallVec;
use sockeye_core::{Instant, SocketId};
use std::any::Any;
use std::sync::{Arc, OnceLock};

/// Objects of one message (Linux: SCM_MAX_FD).
pub const OBJECTS_MAX: usize = 253;

/// A value that is handed over beside the data, in the place of a descriptor. What it is the
/// receiver finds out by [`Arc::downcast`].
pub type Object = Arc<dyn Any + Send + Sync>;

/// The name of a socket, which it may get later than its first message.
pub(crate) type SharedName = Arc<OnceLock<Name>>;

/// Whose process it is: struct ucred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// The process.
    pub pid: i32,
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Credentials {
    /// What a message says that came without: no process, Linux's overflow user and group.
    pub const NOBODY: Self = Self {
        pid: 0,
        uid: 65_534,
        gid: 65_534,
    };
}

/// A message in a queue.
#[derive(Debug)]
pub struct Message {
    /// Its number in its queue.
    pub(crate) number: u64,
    /// What is not read yet.
    pub(crate) data: Bytes,
    /// What it counts against its sender's buffer.
    pub(crate) charge: usize,
    pub(crate) sender: SocketId,
    /// `None` of a stream, where it is the peer.
    pub(crate) from: Option<SharedName>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) objects: Vec<Object>,
    /// It was peeked at: peeking at an offset passes over it, though it is empty.
    pub(crate) peeked: bool,
    pub(crate) at: Instant,
}

/// What a call sends beside the data.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// SCM_RIGHTS: they leave with the first piece of a stream that goes.
    pub objects: Vec<Object>,
    /// SCM_CREDENTIALS. Whether the caller may say so is not checked here.
    pub credentials: Option<Credentials>,
    /// Whose call it is: what is said where a socket passes credentials.
    pub caller: Option<Credentials>,
    /// MSG_OOB: the last byte of a stream is urgent.
    pub urgent: bool,
}

/// What a call wants to receive.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// Bytes that there is room for.
    pub len: usize,
    /// MSG_PEEK: it stays.
    pub peek: bool,
    /// MSG_OOB: the urgent byte.
    pub urgent: bool,
    /// The caller could wait. A datagram socket that was shut down tells its end to those alone.
    pub waits: bool,
    /// A later look of a call that has got some already: nothing goes over an urgent byte then.
    pub again: bool,
}

/// What was received.
#[derive(Debug, Default)]
pub struct Received {
    /// The data, as it was handed over.
    pub data: SmallVec<[Bytes; 2]>,
    /// Bytes of it.
    pub len: usize,
    /// Bytes of the whole datagram.
    pub full_len: usize,
    /// Who sent it; `None` for one without a name.
    pub from: Option<Name>,
    /// With SO_PASSCRED: whose it was.
    pub credentials: Option<Credentials>,
    /// What came beside the data.
    pub objects: Vec<Object>,
    /// It was an urgent byte.
    pub urgent: bool,
    /// A stream's call is over, though there may be room: at the end, at a mark, at objects, where
    /// another writer begins. Else it had read all that there was.
    pub ended: bool,
    /// When it was sent.
    pub at: Instant,
}
