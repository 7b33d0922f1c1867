//! Challenge acknowledgments (RFC 5961): what might be forged is answered with an ACK, and only a
//! peer that knows our numbers can follow it up.
//!
//! RFC 5961 §7 wants them throttled. A counter shared by all connections tells an attacker
//! whether his guess on another connection was right (CVE-2016-5696), so each connection has its
//! own.

use crate::output::QUICK_ACKS;
use sockeye_core::{Context, Counter, Instant};

/// Between two challenges of one connection, once its burst is spent, in milliseconds.
const INTERVAL_MS: u32 = 100;
/// Challenges in a row.
pub(crate) const BURST: u8 = 5;
/// The bits of the clock.
const CLOCK: u32 = (1 << 24) - 1;

/// The throttle of one connection, in four bytes: the upper 24 bits count milliseconds, so that after
/// four hours of silence it may hold back a challenge that it need not; the lower 8 what is spent.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct ChallengeAcks(u32);

impl ChallengeAcks {
    /// Whether an answer to what is not acceptable may go out now; it is counted then.
    pub(crate) fn allow(&mut self, now: Instant) -> bool {
        let mut last_ms = self.0 >> 8;
        // The lowest byte.
        let mut spent = (self.0 & 0xff) as u8;
        let now_ms = (now.as_millis() & u64::from(CLOCK)) as u32;
        let steps = (now_ms.wrapping_sub(last_ms) & CLOCK) / INTERVAL_MS;
        let earned = u8::try_from(steps).unwrap_or(u8::MAX);
        if earned > 0 {
            spent = spent.saturating_sub(earned);
            last_ms = now_ms;
        }
        let allowed = spent < BURST;
        spent += u8::from(allowed);
        self.0 = (last_ms << 8) | u32::from(spent);
        allowed
    }
}

impl crate::tcb::Tcb {
    /// RFC 5961 §3.2, §4.2, §5.2: answers with <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>, within the
    /// limits of the throttle.
    pub(crate) fn challenge(&mut self, cx: &mut Context<'_>) {
        if self.challenge.allow(cx.now) {
            cx.counters.add(Counter::TcpExtTCPChallengeACK);
            self.marks.ack_now = true;
        }
    }

    /// RFC 9293 §3.10.7.4, first: answers what is not acceptable. Text always gets its answer: the
    /// peer sends it again until it does. The rest may be two ends that answer each other, so it is
    /// throttled.
    ///
    /// Whoever sends text again has had an acknowledgment too few, or takes what was late for lost, and his
    /// window is small: the next ones do not wait, as at the start (Linux: tcp_enter_quickack_mode).
    pub(crate) fn answer_unacceptable(&mut self, cx: &mut Context<'_>, has_text: bool) {
        if has_text {
            self.quick_acks = QUICK_ACKS;
        }
        if has_text || self.challenge.allow(cx.now) {
            self.marks.ack_now = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn a_burst_and_then_ten_a_second() {
        let mut throttle = ChallengeAcks::default();
        let mut now = Instant::from_millis(1000);
        assert_eq!((0..20).filter(|_| throttle.allow(now)).count(), 5);
        now += Duration::from_millis(INTERVAL_MS.into());
        assert_eq!((0..20).filter(|_| throttle.allow(now)).count(), 1);
        now += Duration::from_secs(3600);
        assert_eq!((0..20).filter(|_| throttle.allow(now)).count(), 5);
    }
}
