//! When a message is given up (RFC 3758 §3.5, RFC 7496 §3).

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

/// How many messages were given up before a fragment was sent, and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) unsent: u64,
    pub(crate) sent: u64,
}

/// Messages that were given up, by policy (SCTP_PR_ASSOC_STATUS of RFC 7496 §4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Abandoned {
    pub(crate) timed: Count,
    pub(crate) limited: Count,
    pub(crate) priority: Count,
}

impl Abandoned {
    fn of(&mut self, policy: Policy) -> Option<&mut Count> {
        match policy {
            Policy::None => None,
            Policy::Timed(_) => Some(&mut self.timed),
            Policy::Limited(_) => Some(&mut self.limited),
            Policy::Priority(_) => Some(&mut self.priority),
        }
    }

    pub(crate) fn count_unsent(&mut self, policy: Policy) {
        if let Some(count) = self.of(policy) {
            count.unsent += 1;
        }
    }

    pub(crate) fn count_sent(&mut self, policy: Policy) {
        if let Some(count) = self.of(policy) {
            count.sent += 1;
        }
    }
}
