//! One socket, and what it is ready for.

use crate::message::{Credentials, Message, SharedName};
use sockeye_core::socket::SocketCommon;
use sockeye_core::{Context, Domain, Error, OptionValue, Readiness, SocketId, SocketOption};
use std::collections::{BTreeSet, VecDeque};

/// The semantics of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SocketType {
    /// SOCK_STREAM.
    Stream,
    /// SOCK_DGRAM.
    Datagram,
    /// SOCK_SEQPACKET.
    SeqPacket,
}

impl SocketType {
    /// Whether it has connections.
    #[must_use]
    pub const fn connects(self) -> bool {
        matches!(self, Self::Stream | Self::SeqPacket)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Closed,
    Listening,
    Established,
}

#[derive(Debug)]
pub(crate) struct Peer {
    /// It may be gone.
    pub(crate) id: SocketId,
    pub(crate) name: SharedName,
}

#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) ty: SocketType,
    pub(crate) state: State,
    pub(crate) name: SharedName,
    pub(crate) peer: Option<Peer>,
    /// Whose it is.
    pub(crate) owner: Credentials,
    /// SO_PEERCRED; of a listener, what those who connect are told.
    pub(crate) peer_credentials: Option<Credentials>,
    /// Connections that nobody has accepted.
    pub(crate) pending: VecDeque<SocketId>,
    /// Somebody holds it: it waits in no listener's queue.
    pub(crate) accepted: bool,
    pub(crate) queue: VecDeque<Message>,
    /// The number that the next message gets.
    pub(crate) next: u64,
    /// The message that is the urgent byte.
    pub(crate) urgent: Option<u64>,
    pub(crate) read_closed: bool,
    pub(crate) write_closed: bool,
    pub(crate) error: Option<Error>,
    /// Connections or datagrams that may wait; one more is let in, as on Linux.
    pub(crate) backlog: usize,
    /// What is under way counts.
    pub(crate) charged: usize,
    /// Who waits for room here.
    pub(crate) blocked: BTreeSet<SocketId>,
    /// Of a porter: the peer that it stands for takes no more.
    pub(crate) full_beyond: bool,
    /// SO_PASSCRED.
    pub(crate) passes_credentials: bool,
    /// SO_OOBINLINE.
    pub(crate) urgent_inline: bool,
    /// SO_PEEK_OFF.
    pub(crate) peek_offset: Option<usize>,
    /// SO_RCVLOWAT.
    pub(crate) low_water: usize,
    /// Options that are kept for who asks.
    pub(crate) kept: Vec<(SocketOption, OptionValue)>,
    pub(crate) common: Box<SocketCommon>,
}

impl Socket {
    pub(crate) fn new(cx: &Context<'_>, ty: SocketType, owner: Credentials) -> Self {
        Self {
            ty,
            state: State::Closed,
            name: SharedName::default(),
            peer: None,
            owner,
            peer_credentials: None,
            pending: VecDeque::new(),
            accepted: true,
            queue: VecDeque::new(),
            next: 0,
            urgent: None,
            read_closed: false,
            write_closed: false,
            error: None,
            backlog: cx.config.unix_max_dgram_qlen,
            charged: 0,
            blocked: BTreeSet::new(),
            full_beyond: false,
            passes_credentials: false,
            urgent_inline: false,
            peek_offset: None,
            low_water: 1,
            kept: Vec::new(),
            // Of what a domain says it uses nothing.
            common: Box::new(SocketCommon::new(Domain::V4, cx.config)),
        }
    }

    pub(crate) fn peer_id(&self) -> Option<SocketId> {
        self.peer.as_ref().map(|peer| peer.id)
    }

    /// No more connections or datagrams are let in.
    pub(crate) fn is_full(&self) -> bool {
        let waiting = match self.state {
            State::Listening => self.pending.len(),
            State::Closed | State::Established => self.queue.len(),
        };
        waiting > self.backlog || self.full_beyond
    }

    /// Whether poll(2) calls it writable: three quarters of the buffer are free.
    pub(crate) fn is_writable(&self) -> bool {
        self.state != State::Listening
            && (self.charged + 1).saturating_mul(4) <= self.common.send_buffer
    }

    /// Whether a message may leave it.
    pub(crate) fn has_room(&self) -> bool {
        self.charged < self.common.send_buffer
    }

    pub(crate) fn is_urgent(&self, message: &Message) -> bool {
        self.urgent == Some(message.number)
    }

    /// All but a full peer.
    pub(crate) fn readiness(&self) -> Readiness {
        let closed = self.read_closed && self.write_closed
            || self.ty.connects() && self.state == State::Closed;
        let readable = self.read_closed || !self.queue.is_empty() || !self.pending.is_empty();
        let mut ready = Readiness::empty();
        ready.set(Readiness::ERROR, self.error.is_some());
        ready.set(Readiness::HANGUP, closed);
        ready.set(Readiness::READ_CLOSED, self.read_closed);
        ready.set(Readiness::READABLE, readable);
        ready.set(Readiness::PRIORITY, self.urgent.is_some());
        ready.set(Readiness::WRITABLE, self.is_writable());
        ready
    }
}
