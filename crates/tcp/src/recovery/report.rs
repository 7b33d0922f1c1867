//! What one acknowledgment says: gathered while it is read, looked at when all of it is.

use super::delivery::Sampling;
use sockeye_core::Instant;
use sockeye_wire::SeqNum;

/// See the module. Linux keeps the same as its FLAG_*s and `tcp_sacktag_state`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    /// SND.UNA before it.
    pub(crate) una: SeqNum,
    /// It moved SND.UNA.
    pub(crate) advanced: bool,
    /// It has text, a SYN or a FIN of its own.
    pub(crate) carries_text: bool,
    /// It changed SND.WND.
    pub(crate) window_changed: bool,
    /// It tells of marks (RFC 3168, RFC 9768).
    pub(crate) congestion: bool,
    /// It acknowledges data, or our SYN.
    pub(crate) data_acked: bool,
    pub(crate) syn_acked: bool,
    /// It reports blocks that were not known.
    pub(crate) sacked: bool,
    /// Of what it acknowledges something was sent more than once.
    pub(crate) copy_acked: bool,
    /// Something arrived that was sent once, before the time-out (RFC 5682).
    pub(crate) original_arrived: bool,
    /// It reports something that arrived twice (RFC 2883), and the probe of a tail was that.
    pub(crate) dsack: bool,
    pub(crate) dsack_of_probe: bool,
    /// A copy was found lost.
    pub(crate) copy_lost: bool,
    /// The lowest number that was reported later than one sent after it.
    pub(crate) reordered: Option<SeqNum>,
    /// The lowest number that is acknowledged and was neither reported nor sent again.
    pub(crate) late: Option<SeqNum>,
    /// When the first and the last were sent of what it acknowledges and was sent once, and of what
    /// it reports.
    pub(crate) acked_at: Option<(Instant, Instant)>,
    pub(crate) sacked_at: Option<(Instant, Instant)>,
    /// Bytes of text of the largest segment acknowledged.
    pub(crate) largest: u32,
    /// Segments acknowledged cumulatively.
    pub(crate) segments: u32,
    /// Duplicate acknowledgments that it stands for: several, where the network merged them.
    pub(crate) duplicates: u32,
    /// Totals and what was in flight before it.
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    pub(crate) in_flight: u32,
    pub(crate) sacked_before: bool,
    /// HighACK's counterpart before it.
    pub(crate) highest_sacked: SeqNum,
    /// Bytes that it says to have arrived marked.
    pub(crate) marked: u64,
    /// The timer has been set for what it says.
    pub(crate) timer_set: bool,
    /// The sample of the delivery rate.
    pub(crate) sampling: Sampling,
}

impl Report {
    /// It says nothing.
    pub(crate) fn nothing(una: SeqNum) -> Self {
        Self {
            una,
            advanced: false,
            carries_text: false,
            window_changed: false,
            congestion: false,
            data_acked: false,
            syn_acked: false,
            sacked: false,
            copy_acked: false,
            original_arrived: false,
            dsack: false,
            dsack_of_probe: false,
            copy_lost: false,
            reordered: None,
            late: None,
            acked_at: None,
            sacked_at: None,
            largest: 0,
            segments: 0,
            duplicates: 0,
            delivered: 0,
            lost: 0,
            in_flight: 0,
            sacked_before: false,
            highest_sacked: una,
            marked: 0,
            timer_set: false,
            sampling: Sampling::default(),
        }
    }

    /// Whether it can't be a duplicate: it carries text, changes the window or acknowledges
    /// something.
    pub(crate) fn is_not_duplicate(&self) -> bool {
        self.carries_text || self.window_changed || self.data_acked || self.syn_acked
    }

    /// Whether something is to be looked into even when nothing was wrong so far.
    pub(crate) fn alerts(&self) -> bool {
        !self.is_not_duplicate() || self.sacked || self.congestion || self.dsack
    }

    /// Whether it says that packets reach the peer.
    pub(crate) fn is_progress(&self) -> bool {
        self.data_acked || self.syn_acked || self.sacked
    }

    /// The piece at `start` is acknowledged; neither was it reported before nor sent again.
    pub(crate) fn saw_late(&mut self, start: SeqNum) {
        self.late.get_or_insert(start);
    }

    /// The piece at `start` arrived out of order.
    pub(crate) fn saw_reordered(&mut self, start: SeqNum) {
        self.reordered = Some(self.reordered.map_or(start, |known| known.earlier(start)));
    }
}

/// Widens the span of sending times.
pub(crate) fn widen(span: &mut Option<(Instant, Instant)>, at: Instant) {
    *span = Some(match *span {
        None => (at, at),
        // The first that was looked at is the first in the stream; the last is the last.
        Some((first, _)) => (first, at),
    });
}
