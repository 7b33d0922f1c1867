//! Slow start and congestion avoidance of RFC 5681, with the initial window of RFC 6928.
//!
//! The window inflation of fast recovery is not here: it says which bytes have left the network,
//! and the transport's recovery subtracts them from what is in flight.

use super::window::Window;
use super::{Ack, Cause, CongestionController};
use crate::Instant;
use core::time::Duration;

/// The controller of RFC 5681.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Reno {
    window: Window,
    /// cwnd and ssthresh from before the last congestion, for [`on_spurious`](Reno::on_spurious).
    before: (u64, u64),
}

impl Reno {
    /// One at the start of a connection.
    #[must_use]
    pub fn new(smss: u32) -> Self {
        let window = Window::new(smss);
        let before = (window.cwnd, window.ssthresh);
        Self { window, before }
    }

    /// The window in segments.
    pub(super) fn segments(&self) -> u64 {
        self.window.segments()
    }

    /// Comes down to `segments`, and keeps in mind what was before.
    pub(super) fn reduce(&mut self, segments: u64) {
        self.before = (self.window.cwnd, self.window.ssthresh);
        self.window.reduce(segments);
    }
}

impl CongestionController for Reno {
    fn name(&self) -> &'static str {
        "reno"
    }

    fn saved(&self) -> Option<super::Saved> {
        Some(super::Saved::Reno(self.clone()))
    }

    fn on_ack(&mut self, ack: &Ack) {
        if !ack.may_grow() {
            return;
        }
        let mut acked = ack.acked;
        if self.window.in_slow_start() {
            acked = self.window.slow_start(acked);
        }
        if acked > 0 {
            // RFC 5681 §3.1: at most one SMSS a round trip, counted by bytes (RFC 3465 §2.1).
            self.window.grow(acked, self.window.segments());
        }
    }

    fn on_congestion(&mut self, _now: Instant, cause: Cause, _in_flight: u64) {
        // RFC 5681 §3.1, equation 4, has half of FlightSize, so that a window which was never used
        // does not count. Here it is half of cwnd: cwnd grows only while it is used
        // ([`Ack::cwnd_limited`]), and what was not used for long the transport takes off before it
        // tells of congestion (RFC 7661 §4.4.1). Who had little to send at the moment of the loss
        // does not lose the rest of its window.
        //
        // RFC 5681 §3.2: after fast retransmit cwnd is ssthresh; what the duplicate acknowledgments
        // say has left the network is not counted here. A second time-out for the same data leaves
        // ssthresh as it is (§3.1).
        if cause != Cause::TimeoutAgain {
            self.reduce((self.window.segments() / 2).max(2));
        }
        if matches!(cause, Cause::Timeout | Cause::TimeoutAgain) {
            self.window.collapse();
        }
    }

    /// RFC 6582 §3.2 (3), choice (2): cwnd is ssthresh, where it has been all the time. That no burst
    /// follows is seen to by the recovery of the transport (RFC 6937) and by its pacer.
    fn on_recovered(&mut self, _now: Instant, _in_flight: u64) {}

    fn on_idle_restart(&mut self, _now: Instant, idle: Duration, rto: Duration) {
        self.window.restart(idle, rto);
    }

    fn on_unused(&mut self, _now: Instant, used: u64) {
        self.window.unused(used);
    }

    fn on_spurious(&mut self, _now: Instant) {
        let (cwnd, ssthresh) = self.before;
        self.window.set(
            self.window.cwnd.max(cwnd),
            self.window.ssthresh.max(ssthresh),
        );
    }

    fn set_smss(&mut self, smss: u32) {
        self.window.set_smss(smss);
    }

    fn set_window(&mut self, cwnd: u64, ssthresh: u64) {
        self.window.set(cwnd, ssthresh);
        self.before = (self.window.cwnd, ssthresh);
    }

    fn cwnd(&self) -> u64 {
        self.window.cwnd
    }

    fn ssthresh(&self) -> u64 {
        self.window.ssthresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMSS: u32 = 1000;

    fn ack(reno: &mut Reno, acked: u64) {
        reno.on_ack(&Ack {
            acked,
            cwnd_limited: true,
            ..Ack::default()
        });
    }

    /// RFC 9293 §3.8.2 (MUST-19, MAY-18).
    #[test]
    fn slow_start_doubles_a_round_trip_and_avoidance_adds_one_segment() {
        let mut reno = Reno::new(SMSS);
        assert_eq!(reno.cwnd(), 10_000);
        for _ in 0..10 {
            ack(&mut reno, 1000);
        }
        assert_eq!(reno.cwnd(), 20_000);
        reno.on_congestion(Instant::ZERO, Cause::Loss, 20_000);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (10_000, 10_000));
        for _ in 0..10 {
            ack(&mut reno, 1000);
        }
        assert_eq!(reno.cwnd(), 11_000);
    }

    #[test]
    fn a_time_out_starts_again_from_one_segment_and_a_second_keeps_ssthresh() {
        let mut reno = Reno::new(SMSS);
        reno.on_congestion(Instant::ZERO, Cause::Timeout, 0);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (1000, 5000));
        reno.on_congestion(Instant::ZERO, Cause::TimeoutAgain, 0);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (1000, 5000));
        // Slow start passes over into congestion avoidance at ssthresh exactly.
        ack(&mut reno, 4500);
        assert_eq!(reno.cwnd(), 5000);
        ack(&mut reno, 4500);
        assert_eq!(reno.cwnd(), 6000);
    }

    #[test]
    fn a_window_of_two_segments_is_not_halved() {
        let mut reno = Reno::new(SMSS);
        for _ in 0..5 {
            reno.on_congestion(Instant::ZERO, Cause::Loss, 0);
        }
        assert_eq!((reno.cwnd(), reno.ssthresh()), (2000, 2000));
    }

    #[test]
    fn what_was_no_congestion_is_undone_even_after_two_time_outs() {
        let mut reno = Reno::new(SMSS);
        ack(&mut reno, 2000);
        reno.on_congestion(Instant::ZERO, Cause::Timeout, 0);
        reno.on_congestion(Instant::ZERO, Cause::TimeoutAgain, 0);
        reno.on_spurious(Instant::ZERO);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (12_000, u64::MAX));
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut reno = Reno::new(SMSS);
        reno.on_ack(&Ack {
            acked: 1000,
            ..Ack::default()
        });
        assert_eq!(reno.cwnd(), 10_000);
        let rto = Duration::from_secs(1);
        reno.on_idle_restart(Instant::ZERO, rto, rto);
        assert_eq!(reno.cwnd(), 10_000);
    }
}
