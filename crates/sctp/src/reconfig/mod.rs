//! Stream reconfiguration (RFC 6525): streams are reset and added while the association stands.
//!
//! - What is kept, and how requests are numbered: here.
//! - The peer's requests (§5.2): `requests`.
//! - Our own: how they begin, end and are sent again (§5.1, §5.2.7): `own`.
//!
//! One request of ours is in flight at a time. An outgoing reset waits until no message on its streams
//! is half sent, a reset of TSNs until everything sent is acknowledged; so no message spans one.

mod own;
mod requests;

use bitflags::bitflags;
use smallvec::SmallVec;
use sockeye_wire::sctp::{Parameter, ReconfigResult, Tsn};
use std::collections::VecDeque;

/// Requests of the peer whose answers are kept: as many as one chunk has.
const ANSWERS_MAX: usize = 2;

bitflags! {
    /// Which requests of the peer are granted (SCTP_ENABLE_STREAM_RESET of RFC 6525 §6.3.1); Linux
    /// asks the same of our own.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Grants: u32 {
        /// Resets of streams (SCTP_ENABLE_RESET_STREAM_REQ).
        const STREAMS = 1;
        /// Resets of the whole association (SCTP_ENABLE_RESET_ASSOC_REQ).
        const ASSOCIATION = 1 << 1;
        /// More streams (SCTP_ENABLE_CHANGE_ASSOC_REQ).
        const CHANGE = 1 << 2;
    }
}

/// Streams; none for all.
pub(crate) type StreamIds = SmallVec<[u16; 4]>;

/// A request of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Our outgoing streams begin anew. With the number of the peer's request that asked for it.
    Outgoing(StreamIds, Option<u32>),
    /// The peer's do.
    Incoming(StreamIds),
    /// Both, and all TSNs.
    Tsns,
    /// More streams for us.
    AddOutgoing(u16),
    /// More streams for the peer.
    AddIncoming(u16),
}

/// Requests that were sent and are not answered.
#[derive(Debug)]
struct Flight {
    /// The parameters, as they go again.
    parameters: Vec<u8>,
    requests: SmallVec<[(u32, Request); 2]>,
    /// The peer has said that it is at it.
    in_progress: bool,
    /// The path that it went by.
    path: usize,
}

/// What was answered to a request of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    /// The result; `None` where a request of ours is the answer.
    result: Option<ReconfigResult>,
    /// After a reset of TSNs: our next one and the peer's.
    tsns: Option<(u32, u32)>,
}

impl Answer {
    const fn of(result: ReconfigResult) -> Self {
        Self {
            result: Some(result),
            tsns: None,
        }
    }

    fn emit(self, request: u32, out: &mut Vec<u8>) {
        if let Some(result) = self.result {
            Parameter::ReconfigResponse {
                response: request,
                result,
                next_tsns: self.tsns.map(|(ours, theirs)| (Tsn(ours), Tsn(theirs))),
            }
            .emit(out);
        }
    }
}

/// The reconfigurations of an association.
#[derive(Debug)]
pub(crate) struct Reconfiguration {
    /// The number of our next request.
    next: u32,
    /// The number of the peer's next.
    peer_next: u32,
    /// Requests that are to be sent together once they can be.
    wanted: SmallVec<[Request; 2]>,
    flight: Option<Flight>,
    /// The peer's last requests.
    answered: VecDeque<(u32, Answer)>,
    /// The peer's request whose reset waits.
    deferred: Option<u32>,
}

impl Reconfiguration {
    /// RFC 6525 §4.1: requests are numbered from the initial TSN on.
    pub(crate) fn new(local_tsn: u32, peer_tsn: u32) -> Self {
        Self {
            next: local_tsn,
            peer_next: peer_tsn,
            wanted: SmallVec::new(),
            flight: None,
            answered: VecDeque::new(),
            deferred: None,
        }
    }

    /// Whether a request of ours is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.flight.is_some() || !self.wanted.is_empty()
    }

    /// Whether a request of ours waits to be sent.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.wanted.is_empty()
    }

    fn remember(&mut self, request: u32, answer: Answer) {
        if let Some(known) = self.answered.iter_mut().find(|(id, _)| *id == request) {
            known.1 = answer;
            return;
        }
        if self.answered.len() >= ANSWERS_MAX {
            self.answered.pop_front();
        }
        self.answered.push_back((request, answer));
    }
}

impl Reconfiguration {
    /// Paths have other numbers now.
    pub(crate) fn move_paths(&mut self, moved: impl Fn(usize) -> usize) {
        if let Some(flight) = &mut self.flight {
            flight.path = moved(flight.path);
        }
    }
}
