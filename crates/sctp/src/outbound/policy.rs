//! When a message is given up (RFC 3758 §3.5, RFC 7496 §3).

use crate::statistics::{Abandoned, AbandonedCount};
use sockeye_core::Instant;

/// How long a message is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Until it arrives.
    #[default]
    None,
    /// Until then (RFC 3758 §4, RFC 7496: SCTP_PR_SCTP_TTL).
    Timed(Instant),
    /// Sent again at most so often (RFC 7496 §3.1).
    Limited(u32),
    /// Until a message of smaller value, which is a higher priority, needs its room
    /// (RFC 7496 §3.2).
    Priority(u32),
}

impl Policy {
    /// Whether a message is to be given up that has been sent again `retransmissions` times, or,
    /// of the limited policy, is about to be once more.
    pub(crate) fn is_over(self, now: Instant, retransmissions: u32) -> bool {
        match self {
            Self::None | Self::Priority(_) => false,
            Self::Timed(end) => now >= end,
            Self::Limited(most) => retransmissions > most,
        }
    }
}

impl Abandoned {
    fn of(&mut self, policy: Policy) -> Option<&mut AbandonedCount> {
        match policy {
            Policy::None => None,
            Policy::Timed(_) => Some(&mut self.timed),
            Policy::Limited(_) => Some(&mut self.limited),
            Policy::Priority(_) => Some(&mut self.priority),
        }
    }

    /// One more was given up, `sent` in part or not at all.
    pub(crate) fn count(&mut self, policy: Policy, sent: bool) {
        match (self.of(policy), sent) {
            (Some(count), true) => count.sent += 1,
            (Some(count), false) => count.unsent += 1,
            (None, _) => {}
        }
    }
}
