//! The deadlines of a connection, and the one timer that serves them.
//!
//! Deadlines move with every segment; the timer is armed anew only for an earlier one. When it
//! fires early, it is armed for what is due by then.

use crate::tcb::Tcb;
use sockeye_core::{Context, Instant, Owner};

/// What a connection waits for; [`Instant::FAR`] is never.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    /// Retransmission (RFC 6298 §5), or the probe of a closed window (RFC 9293 §3.8.6.1).
    pub(crate) retransmit: Instant,
    /// Delayed acknowledgment (RFC 9293 §3.8.6.3).
    pub(crate) delayed_ack: Instant,
    /// Keep-alive (RFC 9293 §3.8.4).
    pub(crate) keep_alive: Instant,
    /// The end: FIN-WAIT-2 of an orphan.
    pub(crate) end: Instant,
    /// TCP_CORK lets go.
    pub(crate) uncork: Instant,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            retransmit: Instant::FAR,
            delayed_ack: Instant::FAR,
            keep_alive: Instant::FAR,
            end: Instant::FAR,
            uncork: Instant::FAR,
        }
    }
}

impl Deadlines {
    /// The earliest.
    pub(crate) fn next(&self) -> Option<Instant> {
        let Self {
            retransmit,
            delayed_ack,
            keep_alive,
            end,
            uncork,
        } = *self;
        let next = retransmit
            .min(delayed_ack)
            .min(keep_alive)
            .min(end)
            .min(uncork);
        (next != Instant::FAR).then_some(next)
    }
}

impl Tcb {
    /// Arms the timer for the earliest deadline, unless it is armed for an earlier moment.
    pub(crate) fn arm(&mut self, cx: &mut Context<'_>) {
        let Some(next) = self.deadlines.next() else {
            return;
        };
        if self.timer.deadline().is_some_and(|armed| armed <= next) {
            return;
        }
        cx.timers
            .arm(&mut self.timer, Owner::Socket(self.handle), next);
    }
}
