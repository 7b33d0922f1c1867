//! Connections at rest, packed: most of a connection's many fields are zero, far or equal to what they
//! were in the beginning, and nothing looks at them while nothing happens.
//!
//! A connection that has nothing to send, to repair, to deliver and to wait for (but the keep-alive
//! timer) is at rest. After [`Config::tcp_pack_idle`](sockeye_core::Config::tcp_pack_idle), and while
//! [`KEPT`] others have come to rest later, it is written down in some two hundred bytes; whatever
//! asks for it, a segment, a call or its timer, unpacks it first. Nothing is lost on the way: all fields
//! go, [`Tcb`] is what is derived, and what can't be written is empty at rest ([`Tcb::is_at_rest`]).

mod squeeze;

use crate::settings::Settings;
use crate::socket::Socket;
use crate::tcb::Tcb;
use crate::timers::Deadlines;
use crate::{State, Tcp};
use core::ops::Deref;
use core::time::Duration;
use sockeye_core::socket::Domain;
use sockeye_core::{Config, Context, Instant, SocketId};
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

/// Connections at rest that stay as they are.
const KEPT: usize = 64;
/// Connections that are looked at, at most, when a batch of packets is at its end.
const BATCH: usize = 64;

/// A connection at rest.
#[derive(Debug)]
pub(crate) struct Packed {
    settings: Arc<Settings>,
    bytes: Box<[u8]>,
}

/// A connection that is only looked at: as it is, or unpacked for that.
#[derive(Debug)]
pub(crate) enum TcbRef<'a> {
    Held(&'a Tcb),
    Unpacked(Box<Tcb>),
}

impl Deref for TcbRef<'_> {
    type Target = Tcb;

    fn deref(&self) -> &Tcb {
        match self {
            Self::Held(tcb) => tcb,
            Self::Unpacked(tcb) => tcb,
        }
    }
}

/// Connections that came to rest and are not packed, with when they were noticed, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Resting {
    queue: VecDeque<(SocketId, Instant)>,
    now: Instant,
}

impl Packed {
    /// `tcb`, where it can be written down.
    pub(crate) fn new(tcb: &Tcb) -> Option<Self> {
        let plain = postcard::to_allocvec(tcb).ok()?;
        Some(Self {
            settings: tcb.settings.clone(),
            bytes: squeeze::squeeze(&plain).into_boxed_slice(),
        })
    }

    /// Bytes of memory that it takes, but for the settings, which it shares.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.bytes.len()
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    pub(crate) fn unpack(&self) -> Box<Tcb> {
        let plain = squeeze::restore(&self.bytes);
        let tcb = plain.and_then(|plain| postcard::from_bytes(&plain).ok());
        let mut tcb: Box<Tcb> = tcb.expect("what was written is read by the same code");
        tcb.settings = self.settings.clone();
        tcb
    }
}

impl Tcb {
    /// Nothing is to be done, and nothing is held that can't be written down.
    fn is_at_rest(&self) -> bool {
        let deadlines = Deadlines {
            keep_alive: Instant::FAR,
            ..self.deadlines
        };
        let marks = &self.marks;
        let quiet = self.state == State::Established
            && marks.user
            && !(marks.listed || marks.starved || marks.queued_starved)
            && self.outstanding() == 0
            && deadlines.next().is_none();
        quiet
            && self.queue.len() == 0
            && self.records.is_empty()
            && self.recovery.board.is_empty()
            && self.received.is_at_rest()
            && self.reassembly.is_empty()
            && self.auth.is_none()
            && self.saved_syn.is_none()
            && self.urgent.is_none()
            && self.search.is_none()
            && self.error.is_none()
            && self.soft_error.is_none()
            && self.reports.is_none()
            && self.fast_open.as_ref().is_none_or(|open| open.is_at_rest())
    }
}

impl Tcp {
    /// Notes a connection that has come to rest.
    pub(crate) fn note_rest(&mut self, cx: &Context<'_>, id: SocketId) {
        let Some(Socket::Connection(tcb)) = self.sockets.get_mut(id) else {
            return;
        };
        if !tcb.marks.resting && cx.config.tcp_pack_idle.is_some() && tcb.is_at_rest() {
            tcb.marks.resting = true;
            self.resting.queue.push_back((id, cx.now));
        }
    }

    /// Packs connections that have been at rest for long. Nothing of TCP is under way meanwhile.
    pub(crate) fn pack_idle(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        self.resting.now = now;
        let Some(after) = cx.config.tcp_pack_idle else {
            return;
        };
        let kept = if after.is_zero() { 0 } else { KEPT };
        for _ in 0..BATCH {
            let is_old = |&&(_, at): &&(SocketId, Instant)| now - at >= after;
            if self.resting.queue.len() <= kept
                || self.resting.queue.front().filter(is_old).is_none()
            {
                return;
            }
            if let Some((id, _)) = self.resting.queue.pop_front() {
                self.pack(cx, after, id);
            }
        }
    }

    fn pack(&mut self, cx: &mut Context<'_>, after: Duration, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id) else {
            return;
        };
        let Socket::Connection(tcb) = socket else {
            return;
        };
        let now = cx.now;
        if now - tcb.heard_at.max(tcb.sent_at) < after {
            self.resting.queue.push_back((id, now));
            return;
        }
        tcb.marks.resting = false;
        if !tcb.is_at_rest() {
            return;
        }
        // Room for more text is given back.
        tcb.release_memory(cx);
        if let Some(packed) = Packed::new(tcb) {
            *socket = Socket::Packed(packed);
        }
    }

    /// Unpacks the connection `id`, if it is packed.
    pub(crate) fn unpack(&mut self, id: SocketId) {
        if let Some(socket @ Socket::Packed(_)) = self.sockets.get_mut(id) {
            if let Socket::Packed(packed) = &*socket {
                let mut tcb = packed.unpack();
                tcb.marks.resting = true;
                *socket = Socket::Connection(tcb);
            }
            self.resting.queue.push_back((id, self.resting.now));
        }
    }
}

/// What a connection has between being read and getting its own.
pub(crate) fn no_settings() -> Arc<Settings> {
    static NONE: OnceLock<Arc<Settings>> = OnceLock::new();
    NONE.get_or_init(|| Arc::new(Settings::new(Domain::V4, &Config::default())))
        .clone()
}
