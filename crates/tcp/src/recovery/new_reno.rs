//! Fast retransmit and fast recovery (RFC 5681 §3.2, RFC 6582), limited transmit (RFC 3042), and
//! what follows a time-out.
//!
//! RFC 6582 inflates cwnd for every duplicate acknowledgment. Here cwnd stays what congestion
//! control says, and the same bytes are subtracted from what is in flight: they have `left` the
//! network.

use sockeye_wire::SeqNum;

/// RFC 5681 §3.2: duplicate acknowledgments that stand for a loss.
pub(crate) const DUP_THRESH: u32 = 3;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Nothing is known to be lost.
    #[default]
    Open,
    /// Fast recovery.
    Fast,
    /// After a time-out: everything from `next` up to `recover` counts as lost.
    Loss,
}

/// What an acknowledgment means to congestion control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing besides what it acknowledges.
    Nothing,
    /// A loss has shown itself: an episode of congestion begins.
    Lost,
    /// The episode is over.
    Recovered,
}

/// The state of loss recovery of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recovery {
    phase: Phase,
    /// `recover` of RFC 6582: the highest number sent when the last episode began.
    recover: SeqNum,
    /// Duplicate acknowledgments in a row.
    duplicates: u32,
    /// Bytes beyond SND.UNA that have left the network.
    left: u32,
    /// In [`Phase::Loss`]: the next to be sent again.
    next: SeqNum,
    /// In [`Phase::Fast`]: the segment at SND.UNA is to be sent again.
    una_is_due: bool,
}

impl Recovery {
    /// RFC 6582 §3.2 (1): recover starts as the initial send sequence number.
    pub(crate) fn new(iss: SeqNum) -> Self {
        Self {
            recover: iss,
            ..Self::default()
        }
    }

    /// Whether an episode is under way.
    pub(crate) fn is_active(&self) -> bool {
        self.phase != Phase::Open
    }

    /// Whether it is fast recovery.
    pub(crate) fn is_fast(&self) -> bool {
        self.phase == Phase::Fast
    }

    /// SND.UNA moved from `before` to `una`.
    pub(crate) fn on_ack(&mut self, before: SeqNum, una: SeqNum, mss: u32) -> Outcome {
        let acked = before.bytes_to(una);
        self.duplicates = 0;
        match self.phase {
            Phase::Open => {
                self.left = 0;
                if una.after(self.recover) {
                    // Kept near, so that the comparison never wraps.
                    self.recover = una - 1;
                }
                Outcome::Nothing
            }
            // RFC 6582 §3.2 (3), full acknowledgment.
            _ if una.after_or_eq(self.recover) => {
                self.phase = Phase::Open;
                self.left = 0;
                self.una_is_due = false;
                Outcome::Recovered
            }
            Phase::Fast => {
                // RFC 6582 §3.2 (3), partial acknowledgment: send the next hole again; deflate by
                // what was acknowledged, and add back one segment.
                self.left = self.left.saturating_sub(acked);
                if acked >= mss {
                    self.left = self.left.saturating_add(mss);
                }
                self.una_is_due = true;
                Outcome::Nothing
            }
            Phase::Loss => {
                self.next = self.next.later(una);
                Outcome::Nothing
            }
        }
    }

    /// A duplicate acknowledgment of `una` came while up to `nxt` is sent. `sacked` is the highest
    /// number that the peer says to have, if it says so.
    pub(crate) fn on_duplicate(
        &mut self,
        una: SeqNum,
        nxt: SeqNum,
        mss: u32,
        sacked: Option<SeqNum>,
    ) -> Outcome {
        self.duplicates = self.duplicates.saturating_add(1);
        let outstanding = una.bytes_to(nxt);
        match self.phase {
            Phase::Loss => return Outcome::Nothing,
            // RFC 5681 §3.2 (4): each is a segment that has left the network.
            Phase::Fast => {
                self.left = self.left.saturating_add(mss).min(outstanding);
                return Outcome::Nothing;
            }
            // RFC 3042 §2: on the first two, two segments may be sent beyond cwnd.
            Phase::Open if self.duplicates < DUP_THRESH => {
                self.left = self.left.saturating_add(mss).min(outstanding);
                return Outcome::Nothing;
            }
            Phase::Open => {}
        }
        // RFC 6582 §3.2 (2): not for losses of an episode that is past: the acknowledgment has to
        // cover more than recover. What the peer has from beyond is a sign of its own.
        let covers_more = una.after(self.recover);
        let news = sacked.is_some_and(|sacked| sacked.after(self.recover));
        if self.duplicates > DUP_THRESH || !(covers_more || news) {
            return Outcome::Nothing;
        }
        self.phase = Phase::Fast;
        self.left = (DUP_THRESH * mss).min(outstanding);
        self.recover = nxt;
        self.una_is_due = true;
        Outcome::Lost
    }

    /// The retransmission timer ran out. True when this begins an episode: a second time-out for
    /// the same data does not.
    pub(crate) fn on_timeout(&mut self, una: SeqNum, nxt: SeqNum) -> bool {
        // RFC 6582 §3.2 (4): recover is the highest number sent.
        let first = self.phase != Phase::Loss || una.after_or_eq(self.recover);
        *self = Self {
            phase: Phase::Loss,
            recover: nxt,
            next: una,
            ..Self::default()
        };
        first
    }

    /// The bytes to send again next: from where, and how many at most.
    pub(crate) fn next(&self, una: SeqNum, mss: u32) -> Option<(SeqNum, u32)> {
        match self.phase {
            Phase::Open => None,
            Phase::Fast => self.una_is_due.then_some((una, mss)),
            Phase::Loss => self
                .next
                .before(self.recover)
                .then(|| (self.next, self.next.bytes_to(self.recover))),
        }
    }

    /// `len` numbers from `seq` on were sent again.
    pub(crate) fn sent_again(&mut self, seq: SeqNum, len: u32) {
        match self.phase {
            Phase::Open => {}
            Phase::Fast => self.una_is_due = false,
            Phase::Loss => self.next = self.next.later(seq + len),
        }
    }

    /// Whether what [`next`](Self::next) names goes out whatever the window says: the first
    /// retransmission (RFC 5681 §3.2 (3)), and each partial acknowledgment's (RFC 6582 §3.2 (3)).
    pub(crate) fn is_forced(&self) -> bool {
        self.phase == Phase::Fast
    }

    /// Bytes in flight of those between `una` and `nxt`.
    pub(crate) fn pipe(&self, una: SeqNum, nxt: SeqNum) -> u32 {
        match self.phase {
            Phase::Open | Phase::Fast => una.bytes_to(nxt).saturating_sub(self.left),
            // What was outstanding when the timer ran out is lost unless sent again.
            Phase::Loss => {
                let again = una.bytes_to(self.next.later(una));
                let new = self.recover.bytes_to(nxt.later(self.recover));
                again.saturating_add(new)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;

    fn seq(n: u32) -> SeqNum {
        SeqNum(n)
    }

    /// Three duplicates, then partial and full acknowledgments, as in RFC 6582 §3.2.
    #[test]
    fn fast_recovery_fills_one_hole_a_round_trip() {
        let mut r = Recovery::new(seq(0));
        let (una, nxt) = (seq(1001), seq(11_001));
        assert_eq!(r.on_duplicate(una, nxt, MSS, None), Outcome::Nothing);
        assert_eq!(r.pipe(una, nxt), 9000); // limited transmit: one may follow
        assert_eq!(r.on_duplicate(una, nxt, MSS, None), Outcome::Nothing);
        assert_eq!(r.next(una, MSS), None);
        assert_eq!(r.on_duplicate(una, nxt, MSS, None), Outcome::Lost);
        assert_eq!(r.next(una, MSS), Some((una, MSS)));
        assert!(r.is_forced());
        r.sent_again(una, MSS);
        assert_eq!(r.next(una, MSS), None);
        assert_eq!(r.on_duplicate(una, nxt, MSS, None), Outcome::Nothing);
        assert_eq!(r.pipe(una, nxt), 6000);
        // A partial acknowledgment: the next hole, at once.
        assert_eq!(r.on_ack(una, seq(4001), MSS), Outcome::Nothing);
        assert_eq!(r.next(seq(4001), MSS), Some((seq(4001), MSS)));
        assert_eq!(r.pipe(seq(4001), nxt), 7000 - 2000);
        r.sent_again(seq(4001), MSS);
        assert_eq!(r.on_ack(seq(4001), nxt, MSS), Outcome::Recovered);
        assert!(!r.is_active());
        assert_eq!(r.pipe(nxt, nxt), 0);
    }

    #[test]
    fn late_duplicates_of_a_past_episode_start_no_new_one() {
        let mut r = Recovery::new(seq(0));
        assert!(r.on_timeout(seq(1), seq(5001)));
        assert_eq!(r.on_ack(seq(1), seq(5001), MSS), Outcome::Recovered);
        for _ in 0..5 {
            let outcome = r.on_duplicate(seq(5001), seq(9001), MSS, None);
            assert_eq!(outcome, Outcome::Nothing);
        }
        // Once it covers more, it may.
        assert_eq!(r.on_ack(seq(5001), seq(6001), MSS), Outcome::Nothing);
        let outcomes = [0; 3].map(|_| r.on_duplicate(seq(6001), seq(9001), MSS, None));
        assert_eq!(outcomes[2], Outcome::Lost);
    }

    #[test]
    fn a_report_of_later_data_starts_one_right_behind_the_last() {
        let mut r = Recovery::new(seq(0));
        assert!(r.on_timeout(seq(1), seq(5001)));
        assert_eq!(r.on_ack(seq(1), seq(5001), MSS), Outcome::Recovered);
        let sacked = Some(seq(8001));
        let outcomes = [0; 3].map(|_| r.on_duplicate(seq(5001), seq(9001), MSS, sacked));
        assert_eq!(outcomes[2], Outcome::Lost);
    }

    #[test]
    fn a_loss_is_seen_after_any_amount_without_one() {
        let mut r = Recovery::new(seq(0));
        let mut una = seq(1);
        for _ in 0..9 {
            let next = una + (1 << 30);
            assert_eq!(r.on_ack(una, next, MSS), Outcome::Nothing);
            una = next;
            let outcomes = [0; 3].map(|_| r.on_duplicate(una, una + 9000, MSS, None));
            assert_eq!(outcomes[2], Outcome::Lost);
            assert_eq!(r.on_ack(una, una + 9000, MSS), Outcome::Recovered);
            una += 9000;
        }
    }

    #[test]
    fn after_a_time_out_everything_outstanding_goes_again() {
        let mut r = Recovery::new(seq(0));
        assert!(r.on_timeout(seq(1), seq(5001)));
        assert_eq!(r.pipe(seq(1), seq(5001)), 0);
        assert_eq!(r.next(seq(1), MSS), Some((seq(1), 5000)));
        r.sent_again(seq(1), 1000);
        assert_eq!(r.pipe(seq(1), seq(5001)), 1000);
        assert_eq!(
            r.on_duplicate(seq(1), seq(5001), MSS, None),
            Outcome::Nothing
        );
        assert!(!r.on_timeout(seq(1), seq(5001)));
        r.sent_again(seq(1), 1000);
        // An acknowledgment beyond what was sent again: the rest had arrived.
        assert_eq!(r.on_ack(seq(1), seq(3001), MSS), Outcome::Nothing);
        assert_eq!(r.next(seq(3001), MSS), Some((seq(3001), 2000)));
        r.sent_again(seq(3001), 2000);
        assert_eq!(r.next(seq(3001), MSS), None);
        assert_eq!(r.pipe(seq(3001), seq(6001)), 3000);
        assert_eq!(r.on_ack(seq(3001), seq(5001), MSS), Outcome::Recovered);
    }
}
