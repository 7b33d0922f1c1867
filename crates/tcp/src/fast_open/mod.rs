//! TCP Fast Open (RFC 7413): text on the SYN, and its answer before the handshake has ended.
//!
//! - [`client`]: connections that send text on their SYN, and what the answer tells of it;
//! - [`cache`]: the cookies that servers gave us, and pausing where Fast Open is dropped on the way;
//! - [`server`]: cookies of our own, and connections that a SYN makes.
//!
//! Where the RFC leaves room it is done as in Linux, the bits of `tcp_fastopen` among it. A
//! connection that a SYN made is *unproven* until something acknowledges our SYN: then only its
//! address is known to be the peer's.

pub(crate) mod cache;
pub(crate) mod client;
pub(crate) mod server;

use crate::Tcp;
use crate::half_open::HalfOpen;
use crate::socket::Socket;
use crate::tcb::{Origin, Tcb};
use cache::Learned;
pub use client::Opened;
use sockeye_core::{Context, Error, SocketId};
use sockeye_wire::tcp_options::FastOpen as FastOpenOption;

/// What a connection has to do with Fast Open.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct FastOpen {
    /// Client: the option of the first SYN. Later ones have none (RFC 7413 §4.1.3).
    #[serde(skip)]
    pub(crate) option: Option<FastOpenOption>,
    /// Client: bytes of text on the first SYN.
    pub(crate) text: u32,
    /// Client: the first SYN had the option, and it was the experimental one.
    pub(crate) requested: bool,
    pub(crate) experimental: bool,
    /// Client: the first SYN had text.
    pub(crate) sent: bool,
    /// The text of a SYN was taken, by the peer or by us.
    pub(crate) accepted: bool,
    /// Client: why it was of no use.
    pub(crate) failure: Option<Failure>,
    /// Client: what there is to remember of the peer.
    #[serde(skip)]
    pub(crate) learned: Option<Learned>,
    /// Client: it seems to be dropped on the way.
    pub(crate) dropped: bool,
    /// Server: what sends our SYN and ACK, while the connection is unproven.
    #[serde(skip)]
    pub(crate) request: Option<Box<HalfOpen>>,
    /// Server: the option of the first SYN and ACK, and whether that has left.
    #[serde(skip)]
    pub(crate) answer: Option<FastOpenOption>,
    pub(crate) answered: bool,
    /// Server: the listener counts it among the unproven.
    pub(crate) counted: bool,
}

/// Why Fast Open was of no use to a client, as TCP_INFO says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Failure {
    /// There was no cookie of the peer.
    NoCookie,
    /// The peer has not acknowledged the text on the SYN.
    NotAcknowledged,
    /// The SYN had to be sent again, without its text.
    Retransmitted,
}

impl FastOpen {
    /// Nothing of it is under way: of an established connection no option will be sent any more.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.learned.is_none() && self.request.is_none() && !self.counted
    }
}

impl Tcb {
    /// Fast Open made it, and nothing has acknowledged our SYN.
    pub(crate) fn is_unproven(&self) -> bool {
        self.fast_open
            .as_ref()
            .is_some_and(|open| open.request.is_some())
    }

    /// The text of a SYN was taken, the peer's or ours.
    pub(crate) fn syn_text_accepted(&self) -> bool {
        self.fast_open.as_ref().is_some_and(|open| open.accepted)
    }

    fn fast_open_mut(&mut self) -> &mut FastOpen {
        self.fast_open.get_or_insert_default()
    }
}

impl Tcp {
    /// Brings what is kept beyond connections up to one that Fast Open has to do with.
    pub(crate) fn settle_fast_open(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(Socket::Connection(tcb)) = self.sockets.get_mut(id) else {
            return;
        };
        let Some(open) = &mut tcb.fast_open else {
            return;
        };
        let closed = tcb.state == crate::State::Closed;
        let by_reset = closed && tcb.error == Some(Error::ConnectionReset);
        let accepted = tcb.marks.user;
        let (flow, origin) = (tcb.flow, tcb.origin);
        if let Some(learned) = open.learned.take() {
            self.fast_open_cache.learn(cx.rng, &flow, &learned);
            if open.accepted {
                self.fast_open_cache.works();
            }
        }
        if core::mem::take(&mut open.dropped) {
            self.fast_open_cache.pause(cx.now);
        }
        let decided = open.counted && (closed || open.request.is_none());
        if decided {
            open.counted = false;
            open.request = None;
        }
        if let (true, Origin::Passive(listener)) = (decided, origin) {
            self.fast_open_decided(cx, listener, by_reset && accepted);
        }
    }
}
