//! What an association waits for, and the one timer that it has for all of it.

use crate::path::Path;
use crate::tcb::Association;
use sockeye_core::{Context, Instant, Owner};

/// What the association waits for; [`Instant::FAR`] is never.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    /// T1-init or T1-cookie.
    pub(crate) t1: Instant,
    /// T2-shutdown.
    pub(crate) t2: Instant,
    /// T5-shutdown-guard.
    pub(crate) t5: Instant,
    /// A delayed SACK.
    pub(crate) sack: Instant,
    /// A probe of a closed window.
    pub(crate) probe: Instant,
    /// SCTP_AUTOCLOSE.
    pub(crate) autoclose: Instant,
    /// FORWARD-TSN was not acknowledged.
    pub(crate) forward: Instant,
    /// The reconfiguration timer (RFC 6525 §5.1.1).
    pub(crate) reconfig: Instant,
    /// T-4 (RFC 5061 §5.1).
    pub(crate) asconf: Instant,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            t1: Instant::FAR,
            t2: Instant::FAR,
            t5: Instant::FAR,
            sack: Instant::FAR,
            probe: Instant::FAR,
            autoclose: Instant::FAR,
            forward: Instant::FAR,
            reconfig: Instant::FAR,
            asconf: Instant::FAR,
        }
    }
}

impl Deadlines {
    /// The earliest.
    fn next(&self) -> Instant {
        let Self {
            t1,
            t2,
            t5,
            sack,
            probe,
            autoclose,
            forward,
            reconfig,
            asconf,
        } = *self;
        let all = [
            t1, t2, t5, sack, probe, autoclose, forward, reconfig, asconf,
        ];
        all.into_iter().fold(Instant::FAR, Instant::min)
    }
}

impl Association {
    /// Arms the timer for the earliest deadline, unless it is armed for an earlier moment.
    pub(crate) fn arm(&mut self, cx: &mut Context<'_>) {
        let paths = self.paths.iter().map(Path::deadline);
        let next = paths.fold(self.deadlines.next(), Instant::min);
        if next == Instant::FAR {
            return;
        }
        if self.timer.deadline().is_some_and(|armed| armed <= next) {
            return;
        }
        let owner = Owner::Socket(self.handle());
        cx.timers.arm(&mut self.timer, owner, next);
    }
}
