//! Tail loss probes (RFC 8985 §7): when the last segments of a flight are not acknowledged in two
//! round trips, one of them goes again, or a new one, so that their loss shows by acknowledgments and
//! not by a time-out.

use core::time::Duration;
use sockeye_wire::SeqNum;

/// RFC 8985 §7.2: what is added for the other end's delayed acknowledgment when one segment is in
/// flight. Linux adds its least RTO: 200 ms, longer than any peer delays.
const MAX_ACK_DELAY: Duration = Duration::from_millis(200);
/// What is added else: acknowledgments need not come to the nanosecond.
const MARGIN: Duration = Duration::from_millis(2);
/// RFC 8985 §7.2: the probe time-out before a round trip was measured.
const PTO_INITIAL: Duration = Duration::from_secs(1);

/// A probe that is under way.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Tlp {
    /// TLP.end_seq: SND.NXT when it was sent.
    end_seq: Option<SeqNum>,
    /// TLP.is_retrans: it sent something again.
    is_retrans: bool,
}

/// What an acknowledgment means to a probe (RFC 8985 §7.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is none, or it is still under way.
    Nothing,
    /// It is answered, and nothing was lost.
    Answered,
    /// It has repaired a loss: that is congestion.
    Repaired,
}

impl Tlp {
    /// RFC 8985 §7.2: TLP_calc_PTO.
    pub(crate) fn pto(srtt: Option<Duration>, segments_out: u32) -> Duration {
        let Some(srtt) = srtt else { return PTO_INITIAL };
        let wait = if segments_out == 1 {
            MAX_ACK_DELAY
        } else {
            MARGIN
        };
        srtt * 2 + wait
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.end_seq.is_some()
    }

    /// Whether something was sent again by a probe that is under way.
    pub(crate) fn sent_copy(&self) -> bool {
        self.is_under_way() && self.is_retrans
    }

    /// A probe was sent, with SND.NXT behind it.
    pub(crate) fn sent(&mut self, nxt: SeqNum, is_retrans: bool) {
        self.end_seq = Some(nxt);
        self.is_retrans = is_retrans;
    }

    /// A recovery begins: the probe is not waited for any more.
    pub(crate) fn clear(&mut self) {
        self.end_seq = None;
    }

    /// Whether a D-SACK that ends at `end` is of the probe.
    pub(crate) fn is_probe(&self, end: SeqNum) -> bool {
        self.end_seq == Some(end)
    }

    /// RFC 8985 §7.4.2: TLP_process_ack. `dsack`: the probe arrived twice; `duplicate`: it says nothing
    /// new at all.
    pub(crate) fn acknowledged(&mut self, ack: SeqNum, dsack: bool, duplicate: bool) -> Verdict {
        let Some(end) = self.end_seq.filter(|end| ack.after_or_eq(*end)) else {
            return Verdict::Nothing;
        };
        if !self.is_retrans || dsack {
            self.end_seq = None;
            return Verdict::Answered;
        }
        if ack.after(end) {
            self.end_seq = None;
            return Verdict::Repaired;
        }
        if duplicate {
            // Original and probe have both arrived.
            self.end_seq = None;
            return Verdict::Answered;
        }
        Verdict::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_lone_segment_waits_for_a_delayed_acknowledgment() {
        assert_eq!(Tlp::pto(Some(100 * MS), 4), 202 * MS);
        assert_eq!(Tlp::pto(Some(100 * MS), 1), 400 * MS);
        assert_eq!(Tlp::pto(None, 1), PTO_INITIAL);
    }

    /// RFC 8985 §7.4.2, case by case.
    #[test]
    fn what_an_acknowledgment_says() {
        let end = SeqNum(1000);
        let table = [
            // is_retrans, SEG.ACK, D-SACK, duplicate, verdict, still under way
            (false, 999, false, false, Verdict::Nothing, true),
            (false, 1000, false, false, Verdict::Answered, false),
            (true, 1000, true, false, Verdict::Answered, false),
            (true, 1000, false, false, Verdict::Nothing, true),
            (true, 1000, false, true, Verdict::Answered, false),
            (true, 1001, false, false, Verdict::Repaired, false),
        ];
        for (is_retrans, ack, dsack, duplicate, verdict, left) in table {
            let mut tlp = Tlp::default();
            tlp.sent(end, is_retrans);
            let got = tlp.acknowledged(SeqNum(ack), dsack, duplicate);
            assert_eq!(
                (got, tlp.is_under_way()),
                (verdict, left),
                "{ack} {dsack} {duplicate}"
            );
        }
    }
}
