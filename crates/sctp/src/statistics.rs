//! What an association counts for its user: its traffic (SCTP_GET_ASSOC_STATS, which Linux has), and
//! messages that were given up (RFC 7496 §4.3, §4.4).

use core::time::Duration;
use std::net::SocketAddr;

/// The traffic of one association since it began (SCTP_GET_ASSOC_STATS).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AssocStats {
    /// The largest retransmission time-out since this was last asked, and the peer's address that it
    /// was of; `None` when none was computed.
    pub max_rto: Option<(Duration, SocketAddr)>,
    /// SACKs received.
    pub sacks_in: u64,
    /// SACKs sent.
    pub sacks_out: u64,
    /// Packets received.
    pub packets_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// DATA chunks sent again.
    pub retransmitted_out: u64,
    /// DATA chunks received with a TSN beyond the next one.
    pub out_of_order_in: u64,
    /// DATA chunks received once more.
    pub duplicates_in: u64,
    /// Gap ack blocks received.
    pub gaps_in: u64,
    /// Unordered DATA chunks sent for the first time.
    pub unordered_out: u64,
    /// Unordered DATA chunks received, duplicates among them.
    pub unordered_in: u64,
    /// Ordered DATA chunks sent for the first time.
    pub ordered_out: u64,
    /// Ordered DATA chunks received, duplicates among them.
    pub ordered_in: u64,
    /// Other chunks sent.
    pub control_out: u64,
    /// Other chunks received.
    pub control_in: u64,
}

/// Messages that were given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AbandonedCount {
    /// Before any part of them was sent.
    pub unsent: u64,
    /// After a part of them was sent.
    pub sent: u64,
}

/// Messages that were given up, by policy (SCTP_PR_ASSOC_STATUS, SCTP_PR_STREAM_STATUS; RFC 7496
/// §4.3, §4.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abandoned {
    /// Those of a limited lifetime (SCTP_PR_SCTP_TTL).
    pub timed: AbandonedCount,
    /// Those of a limited number of retransmissions (SCTP_PR_SCTP_RTX).
    pub limited: AbandonedCount,
    /// Those of a priority (SCTP_PR_SCTP_PRIO).
    pub priority: AbandonedCount,
}

impl Abandoned {
    /// Those of all policies together (SCTP_PR_SCTP_ALL).
    #[must_use]
    pub fn all(&self) -> AbandonedCount {
        let Self {
            timed,
            limited,
            priority,
        } = self;
        let each = [timed, limited, priority].into_iter();
        each.fold(AbandonedCount::default(), |sum, count| AbandonedCount {
            unsent: sum.unsent + count.unsent,
            sent: sum.sent + count.sent,
        })
    }
}

impl AssocStats {
    /// A DATA chunk was received.
    pub(crate) fn data_arrives(&mut self, unordered: bool) {
        match unordered {
            true => self.unordered_in += 1,
            false => self.ordered_in += 1,
        }
    }

    /// A DATA chunk goes out, `again` or for the first time.
    pub(crate) fn data_leaves(&mut self, unordered: bool, again: bool) {
        match (again, unordered) {
            (true, _) => self.retransmitted_out += 1,
            (false, true) => self.unordered_out += 1,
            (false, false) => self.ordered_out += 1,
        }
    }
}
