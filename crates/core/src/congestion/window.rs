//! The window that Reno, CUBIC and DCTCP steer: slow start, growth by credit, reduction, and what is
//! left of it after a time without use.
//!
//! It counts bytes, and grows and shrinks by whole segments outside slow start: with full segments it
//! is at each moment what a sender that counts segments has.

use super::initial_window;
use core::time::Duration;

/// cwnd and ssthresh, bytes.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Window {
    smss: u64,
    pub(super) cwnd: u64,
    pub(super) ssthresh: u64,
    /// Bytes acknowledged that cwnd has not grown for yet (RFC 3465 §2.1).
    credit: u64,
}

impl Window {
    /// The window of a new connection.
    pub(super) fn new(smss: u32) -> Self {
        let smss = smss.max(1);
        Self {
            smss: smss.into(),
            cwnd: initial_window(smss),
            // RFC 5681 §3.1: ssthresh starts arbitrarily high.
            ssthresh: u64::MAX,
            credit: 0,
        }
    }

    pub(super) fn smss(&self) -> u64 {
        self.smss
    }

    /// Whole segments in the window, one at least.
    pub(super) fn segments(&self) -> u64 {
        (self.cwnd / self.smss).max(1)
    }

    /// The bytes of `segments` segments.
    pub(super) fn bytes(&self, segments: u64) -> u64 {
        segments.saturating_mul(self.smss)
    }

    /// Whether cwnd grows by what is acknowledged.
    pub(super) fn in_slow_start(&self) -> bool {
        self.cwnd < self.ssthresh
    }

    /// Whether there was no congestion yet, nor a sign of it.
    pub(super) fn is_initial(&self) -> bool {
        self.ssthresh == u64::MAX
    }

    /// Slow start, up to ssthresh. What is left of `acked` counts for congestion avoidance.
    ///
    /// RFC 3465 §2.2: by the bytes acknowledged, not by SMSS for each acknowledgment: receivers with
    /// GRO acknowledge dozens of segments at once.
    pub(super) fn slow_start(&mut self, acked: u64) -> u64 {
        let grow = acked.min(self.ssthresh.saturating_sub(self.cwnd));
        self.cwnd = self.cwnd.saturating_add(grow);
        acked - grow
    }

    /// Congestion avoidance: one segment for each `per` segments acknowledged.
    pub(super) fn grow(&mut self, acked: u64, per: u64) {
        let per = self.bytes(per.max(1));
        // Credit from a time of slower growth is worth one segment, not a burst.
        if self.credit >= per {
            self.credit = 0;
            self.cwnd = self.cwnd.saturating_add(self.smss);
        }
        self.credit = self.credit.saturating_add(acked);
        let steps = self.credit / per;
        self.credit %= per;
        self.cwnd = self.cwnd.saturating_add(self.bytes(steps));
    }

    /// Slow start ends here.
    pub(super) fn end_slow_start(&mut self) {
        self.ssthresh = self.cwnd;
    }

    /// After congestion: ssthresh is `segments`, and cwnd too.
    pub(super) fn reduce(&mut self, segments: u64) {
        // RFC 5681 §3.1, equation 4: two segments at least.
        self.ssthresh = self.bytes(segments.max(2));
        self.cwnd = self.bytes(segments.max(1));
        self.credit = 0;
    }

    /// After a time-out. RFC 5681 §3.1: the loss window is one segment.
    pub(super) fn collapse(&mut self) {
        self.cwnd = self.smss;
        self.credit = 0;
    }

    /// After an idle time longer than the retransmission time-out.
    ///
    /// RFC 5681 §4.1: no more than min (IW, cwnd) is left in the end; RFC 2861 §3: it is half of the
    /// window for each time-out that has passed. ssthresh remembers what had been reached.
    pub(super) fn restart(&mut self, idle: Duration, rto: Duration) {
        let floor = initial_window(self.smss32()).min(self.cwnd);
        self.remember();
        let periods = idle.as_nanos().saturating_sub(1) / rto.as_nanos().max(1);
        let halvings = u32::try_from(periods).unwrap_or(u32::MAX);
        self.cwnd = self.cwnd.checked_shr(halvings).unwrap_or(0).max(floor);
        self.credit = 0;
    }

    /// RFC 7661 §4.4.3: a window of which `used` bytes at most were used for long comes down to its
    /// half, but not below what was used, nor below the initial window.
    pub(super) fn unused(&mut self, used: u64) {
        self.remember();
        let floor = used.max(initial_window(self.smss32()));
        self.cwnd = self.cwnd.min((self.cwnd / 2).max(floor));
        self.credit = 0;
    }

    /// The largest segment has another size. The initial window follows as long as it is one.
    pub(super) fn set_smss(&mut self, smss: u32) {
        let smss = smss.max(1);
        if self.is_initial() && self.cwnd == initial_window(self.smss32()) {
            self.cwnd = initial_window(smss);
        }
        self.smss = smss.into();
        self.cwnd = self.cwnd.max(self.smss);
    }

    /// Goes on from what is known from elsewhere.
    pub(super) fn set(&mut self, cwnd: u64, ssthresh: u64) {
        self.cwnd = cwnd.max(self.smss);
        self.ssthresh = ssthresh;
        self.credit = 0;
    }

    /// RFC 7661 §4.4.3: ssthresh = max (ssthresh, 3*cwnd/4): slow start leads back there.
    fn remember(&mut self) {
        self.ssthresh = self.ssthresh.max(self.cwnd / 4 * 3);
    }

    fn smss32(&self) -> u32 {
        u32::try_from(self.smss).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTO: Duration = Duration::from_millis(300);

    fn window(segments: u64) -> Window {
        let mut window = Window::new(1000);
        window.set(segments * 1000, u64::MAX);
        window
    }

    #[test]
    fn slow_start_stops_at_ssthresh_and_hands_on_the_rest() {
        let mut window = Window::new(1000);
        window.set(6000, 7000);
        assert_eq!(window.slow_start(4000), 3000);
        assert_eq!(window.cwnd, 7000);
        assert!(!window.in_slow_start());
    }

    #[test]
    fn growth_by_credit_is_one_segment_for_so_many_acknowledged() {
        let mut window = window(10);
        window.grow(9000, 10);
        assert_eq!(window.cwnd, 10_000);
        window.grow(1000, 10);
        assert_eq!(window.cwnd, 11_000);
        // 4 of 11: at a rate of one for two the old credit is worth one segment, the new three two.
        window.grow(4000, 11);
        window.grow(4000, 2);
        assert_eq!(window.cwnd, 14_000);
    }

    #[test]
    fn an_idle_window_halves_with_each_time_out_down_to_the_initial_one() {
        for (idle_ms, expected) in [(301, 18), (600, 18), (601, 10), (2000, 10)] {
            let mut window = window(36);
            window.ssthresh = 20_000;
            window.restart(Duration::from_millis(idle_ms), RTO);
            assert_eq!(window.cwnd, expected * 1000, "after {idle_ms} ms");
            assert_eq!(window.ssthresh, 27_000, "three quarters of 36 segments");
        }
        let mut small = window(4);
        small.restart(Duration::from_secs(9), RTO);
        assert_eq!(small.cwnd, 4000, "idleness is no reason to grow");
    }

    #[test]
    fn an_unused_window_comes_down_to_half_but_not_below_what_was_used() {
        for (used, expected) in [(0, 50), (40, 50), (60, 60), (200, 100)] {
            let mut window = window(100);
            window.ssthresh = 50_000;
            window.unused(used * 1000);
            assert_eq!(window.cwnd, expected * 1000, "{used} used");
            assert_eq!(window.ssthresh, 75_000);
        }
        let mut window = window(12);
        window.unused(0);
        assert_eq!(window.cwnd, 10_000, "not below the initial window");
    }

    #[test]
    fn a_new_segment_size_changes_the_initial_window_only() {
        let mut window = Window::new(1000);
        window.set_smss(1460);
        assert_eq!(window.cwnd, 14_600);
        window.slow_start(1460);
        window.set_smss(500);
        assert_eq!((window.cwnd, window.segments()), (16_060, 32));
        window.collapse();
        window.set_smss(9000);
        assert_eq!(window.cwnd, 9000, "one segment always fits");
    }
}
