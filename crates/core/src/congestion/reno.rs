//! Slow start and congestion avoidance of RFC 5681, with the initial window of RFC 6928.
//!
//! The window inflation of fast recovery is not here: it says which bytes have left the network,
//! and the transport's recovery subtracts them from what is in flight.

use super::{Ack, Cause, CongestionController, initial_window};
use crate::Instant;

/// The controller of RFC 5681.
#[derive(Clone, Debug)]
pub struct Reno {
    smss: u32,
    cwnd: u64,
    ssthresh: u64,
    /// Bytes acknowledged since cwnd last grew in congestion avoidance (RFC 3465 §2.1).
    bytes_acked: u64,
    /// cwnd and ssthresh from before the last congestion, for [`on_spurious`](Reno::on_spurious).
    before: (u64, u64),
}

impl Reno {
    /// One at the start of a connection.
    #[must_use]
    pub fn new(smss: u32) -> Self {
        let cwnd = initial_window(smss);
        Self {
            smss,
            cwnd,
            // RFC 5681 §3.1: ssthresh starts arbitrarily high.
            ssthresh: u64::MAX,
            bytes_acked: 0,
            before: (cwnd, u64::MAX),
        }
    }

    fn slow_start(&self) -> bool {
        self.cwnd < self.ssthresh
    }
}

impl CongestionController for Reno {
    fn name(&self) -> &'static str {
        "reno"
    }

    fn on_sent(&mut self, _now: Instant, _bytes: u64, _in_flight: u64) {}

    fn on_ack(&mut self, ack: &Ack) {
        if ack.in_recovery || !ack.cwnd_limited {
            return;
        }
        let mut acked = ack.acked;
        if self.slow_start() {
            // RFC 3465 §2.2: by the bytes acknowledged, not by SMSS for each acknowledgment:
            // receivers with GRO acknowledge dozens of segments at once. What reaches beyond
            // ssthresh counts for congestion avoidance.
            let grow = acked.min(self.ssthresh - self.cwnd);
            self.cwnd += grow;
            acked -= grow;
        }
        if acked > 0 {
            // RFC 5681 §3.1: at most one SMSS a round trip, counted by bytes (RFC 3465 §2.1).
            self.bytes_acked += acked;
            if self.bytes_acked >= self.cwnd {
                self.bytes_acked -= self.cwnd;
                self.cwnd = self.cwnd.saturating_add(u64::from(self.smss));
            }
        }
    }

    fn on_congestion(&mut self, _now: Instant, cause: Cause, in_flight: u64) {
        let smss = u64::from(self.smss);
        if cause != Cause::TimeoutAgain {
            self.before = (self.cwnd, self.ssthresh);
            // RFC 5681 §3.1: equation 4, ssthresh = max (FlightSize / 2, 2*SMSS). A second
            // time-out for the same data leaves ssthresh as it is.
            self.ssthresh = (in_flight / 2).max(2 * smss);
        }
        self.bytes_acked = 0;
        self.cwnd = match cause {
            // RFC 5681 §3.2: after fast retransmit cwnd is ssthresh; what the duplicate
            // acknowledgments say has left the network is not counted here.
            Cause::Loss | Cause::Ecn => self.ssthresh,
            // RFC 5681 §3.1: the loss window is one segment.
            Cause::Timeout | Cause::TimeoutAgain => smss,
        };
    }

    fn on_recovered(&mut self, _now: Instant, in_flight: u64) {
        // RFC 6582 §3.2 (3), choice (1): min (ssthresh, max (FlightSize, SMSS) + SMSS), so that
        // no burst follows when little is in flight. After a time-out, slow start goes on.
        let smss = u64::from(self.smss);
        if self.cwnd >= self.ssthresh {
            self.cwnd = self.ssthresh.min(in_flight.max(smss) + smss);
        }
    }

    fn on_idle_restart(&mut self, _now: Instant) {
        // RFC 5681 §4.1: the restart window is min (IW, cwnd).
        self.cwnd = self.cwnd.min(initial_window(self.smss));
        self.bytes_acked = 0;
    }

    fn on_spurious(&mut self, _now: Instant) {
        self.cwnd = self.cwnd.max(self.before.0);
        self.ssthresh = self.before.1;
    }

    fn set_smss(&mut self, smss: u32) {
        // Before the first acknowledgment the window is still the initial one, and follows.
        if self.cwnd == initial_window(self.smss) && self.ssthresh == u64::MAX {
            self.cwnd = initial_window(smss);
        }
        self.smss = smss;
    }

    fn cwnd(&self) -> u64 {
        self.cwnd
    }

    fn ssthresh(&self) -> u64 {
        self.ssthresh
    }

    fn pacing_rate(&self) -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMSS: u32 = 1000;

    fn ack(reno: &mut Reno, acked: u64) {
        reno.on_ack(&Ack {
            now: Instant::ZERO,
            acked,
            in_flight: reno.cwnd(),
            cwnd_limited: true,
            in_recovery: false,
            rtt: None,
            srtt: None,
            rtt_min: None,
            delivery_rate: None,
        });
    }

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
        reno.on_congestion(Instant::ZERO, Cause::Timeout, 10_000);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (1000, 5000));
        reno.on_congestion(Instant::ZERO, Cause::TimeoutAgain, 1000);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (1000, 5000));
        // Slow start passes over into congestion avoidance at ssthresh exactly.
        ack(&mut reno, 4500);
        assert_eq!(reno.cwnd(), 5000);
        ack(&mut reno, 4500);
        assert_eq!(reno.cwnd(), 6000);
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut reno = Reno::new(SMSS);
        reno.on_ack(&Ack {
            now: Instant::ZERO,
            acked: 1000,
            in_flight: 1000,
            cwnd_limited: false,
            in_recovery: false,
            rtt: None,
            srtt: None,
            rtt_min: None,
            delivery_rate: None,
        });
        assert_eq!(reno.cwnd(), 10_000);
        reno.on_idle_restart(Instant::ZERO);
        assert_eq!(reno.cwnd(), 10_000);
    }
}
