//! The deadlines of a connection, and the one timer that serves them.
//!
//! Deadlines move with every segment; the timer is armed anew only for an earlier one. When it
//! fires early, it is armed for what is due by then.

use crate::tcb::Tcb;
use core::time::Duration;
use sockeye_core::{Context, Instant, Owner};

/// What the retransmission deadline is for: one of these waits at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Retransmit {
    /// The retransmission time-out (RFC 6298 §5).
    #[default]
    Timeout,
    /// The end of the reordering window (RFC 8985 §6.3).
    Reordering,
    /// The probe of a flight's tail (RFC 8985 §7).
    LossProbe,
    /// The probe of a window that takes nothing of what waits (RFC 9293 §3.8.6.1).
    WindowProbe,
}

/// What a connection waits for; [`Instant::FAR`] is never.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Deadlines {
    /// Retransmission, for what [`kind`](Self::kind) says.
    pub(crate) retransmit: Instant,
    pub(crate) kind: Retransmit,
    /// Delayed acknowledgment (RFC 9293 §3.8.6.3).
    pub(crate) delayed_ack: Instant,
    /// Keep-alive (RFC 9293 §3.8.4).
    pub(crate) keep_alive: Instant,
    /// The end: FIN-WAIT-2 of an orphan.
    pub(crate) end: Instant,
    /// TCP_CORK lets go.
    pub(crate) uncork: Instant,
    /// The pacer lets the next packet go.
    pub(crate) pace: Instant,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            retransmit: Instant::FAR,
            kind: Retransmit::Timeout,
            delayed_ack: Instant::FAR,
            keep_alive: Instant::FAR,
            end: Instant::FAR,
            uncork: Instant::FAR,
            pace: Instant::FAR,
        }
    }
}

impl Deadlines {
    /// The earliest.
    pub(crate) fn next(&self) -> Option<Instant> {
        let Self {
            retransmit,
            kind: _,
            delayed_ack,
            keep_alive,
            end,
            uncork,
            pace,
        } = *self;
        let next = retransmit
            .min(delayed_ack)
            .min(keep_alive)
            .min(end)
            .min(uncork)
            .min(pace);
        (next != Instant::FAR).then_some(next)
    }

    /// Nothing is waited for that could make a segment go again.
    pub(crate) fn cancel_retransmit(&mut self) {
        self.retransmit = Instant::FAR;
    }

    /// The deadline that [`Info::timer`](crate::Info::timer) tells of.
    pub(crate) fn shown(&self, now: Instant) -> Option<(&'static str, Duration)> {
        let (name, at) = match self.pending() {
            Some(Retransmit::WindowProbe) => ("persist", self.retransmit),
            Some(_) => ("on", self.retransmit),
            None if self.keep_alive != Instant::FAR => ("keepalive", self.keep_alive),
            None => return None,
        };
        Some((name, at.saturating_since(now)))
    }

    /// What the retransmission deadline is for, where there is one.
    pub(crate) fn pending(&self) -> Option<Retransmit> {
        (self.retransmit != Instant::FAR).then_some(self.kind)
    }
}

impl Tcb {
    /// Sets the retransmission deadline.
    pub(crate) fn schedule(&mut self, kind: Retransmit, at: Instant) {
        self.deadlines.retransmit = at;
        self.deadlines.kind = kind;
    }

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
