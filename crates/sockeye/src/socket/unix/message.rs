//! What goes through a node-internal socket in one call, and a call that sends it.

use super::super::ancillary::MessageFlags;
use super::super::op::{Kind, Op};
use super::named;
use crate::error::os;
use crate::unix::SocketAddr;
use bytes::Bytes;
use smallvec::SmallVec;
use sockeye_core::Error;
use sockeye_unix::{Credentials, Name, Object, Outgoing, Received, SocketType};
use std::io;

/// What sendmsg(2) takes on a node-internal socket.
#[derive(Clone, Debug, Default)]
pub struct UnixSend<'a> {
    /// Where a datagram goes; to the peer if it is not said.
    pub to: Option<&'a SocketAddr>,
    /// The data. The receiver gets these very buffers.
    pub data: Bytes,
    /// Values that are handed over, in the place of SCM_RIGHTS: at most 253.
    pub objects: Vec<Object>,
    /// SCM_CREDENTIALS: EPERM for what the process may not say of itself.
    pub credentials: Option<Credentials>,
    /// [`MessageFlags::OUT_OF_BAND`] and [`MessageFlags::DONT_WAIT`] count.
    pub flags: MessageFlags,
}

/// What recvmsg(2) returns on a node-internal socket.
#[derive(Clone, Debug, Default)]
pub struct UnixMessage {
    /// The data, in the buffers that were sent.
    pub data: SmallVec<[Bytes; 2]>,
    /// Bytes of it.
    pub len: usize,
    /// Bytes of the whole datagram.
    pub full_len: usize,
    /// Who sent it; of a stream, its peer.
    pub from: SocketAddr,
    /// SCM_CREDENTIALS, with SO_PASSCRED.
    pub credentials: Option<Credentials>,
    /// What was handed over beside the data.
    pub objects: Vec<Object>,
    /// [`MessageFlags::TRUNCATE`] when a datagram was cut, [`MessageFlags::OUT_OF_BAND`] for an urgent
    /// byte.
    pub flags: MessageFlags,
}

/// Whether the process may say so of itself (unix(7), SCM_CREDENTIALS).
fn may_say(said: Credentials) -> bool {
    let (uid, gid) = (
        [rustix::process::getuid(), rustix::process::geteuid()],
        [rustix::process::getgid(), rustix::process::getegid()],
    );
    if uid[1].is_root() {
        return true;
    }
    said.pid == std::process::id().cast_signed()
        && uid.iter().any(|uid| uid.as_raw() == said.uid)
        && gid.iter().any(|gid| gid.as_raw() == said.gid)
}

/// A call that sends, until it is done.
pub(super) struct Sending<'a> {
    /// It has a name.
    to: Option<&'a SocketAddr>,
    data: Bytes,
    beside: Outgoing,
    pub(super) flags: MessageFlags,
    sent: usize,
}

impl<'a> Sending<'a> {
    pub(super) fn new(message: UnixSend<'a>) -> io::Result<Self> {
        let UnixSend {
            to,
            data,
            objects,
            credentials,
            flags,
        } = message;
        if credentials.is_some_and(|said| !may_say(said)) {
            return Err(os(libc::EPERM));
        }
        to.map(named).transpose()?;
        let beside = Outgoing {
            objects,
            credentials,
            caller: None,
            urgent: flags.contains(MessageFlags::OUT_OF_BAND),
        };
        Ok(Self {
            to,
            data,
            beside,
            flags,
            sent: 0,
        })
    }

    pub(super) fn step(&mut self, op: &mut Op<'_>) -> Result<usize, Error> {
        let Self {
            to, data, beside, ..
        } = self;
        let to = to.and_then(SocketAddr::name);
        op.unix(|unix, cx, id| unix.send_message(cx, id, data, to, beside))
    }

    /// Where it goes, if that is said.
    pub(super) const fn to(&self) -> Option<&'a SocketAddr> {
        self.to
    }

    /// What is left to send.
    pub(super) fn message(&self) -> UnixSend<'a> {
        UnixSend {
            to: self.to,
            data: self.data.clone(),
            objects: self.beside.objects.clone(),
            credentials: self.beside.credentials,
            flags: self.flags,
        }
    }

    /// What the call returns, unless a stream has more to send.
    pub(super) fn goes_on(
        &mut self,
        kind: Kind,
        sent: Result<usize, Error>,
    ) -> Option<Result<usize, Error>> {
        match sent {
            Ok(n) => self.sent += n,
            Err(_) if self.sent > 0 => return Some(Ok(self.sent)),
            Err(error) => return Some(Err(error)),
        }
        let whole = kind != Kind::Unix(SocketType::Stream) || self.data.is_empty();
        whole.then_some(Ok(self.sent))
    }
}

impl UnixMessage {
    /// Adds what a step received; true when the call is over.
    pub(super) fn join(&mut self, received: Received, peer: Option<Name>) -> bool {
        let Received {
            data,
            len,
            full_len,
            from,
            credentials,
            objects,
            urgent,
            ended,
            at: _,
        } = received;
        self.data.extend(data);
        self.len += len;
        self.full_len += full_len;
        self.from = SocketAddr::from(from.or(peer));
        self.credentials = self.credentials.or(credentials);
        self.objects.extend(objects);
        self.flags.set(MessageFlags::TRUNCATE, full_len > len);
        self.flags.set(MessageFlags::OUT_OF_BAND, urgent);
        ended
    }

    /// Copies the data to where the caller wants it.
    pub fn copy_to(&self, out: &mut [u8]) -> usize {
        super::transfer::copy_to(&self.data, out)
    }
}
