//! Data Center TCP (RFC 8257): where switches mark early, the window comes down by as much as was
//! marked, not by a half.
//!
//! What the receiver does (§3.2) and the ECN bits of packets (§3.6) are the transport's. Growth, and
//! what losses do, is Reno's (§3.4, §3.5).

use super::reno::Reno;
use super::round::Round;
use super::{Ack, Cause, CongestionController};
use crate::Instant;
use core::time::Duration;

/// DCTCP.Alpha is 1 at this value.
const ONE: u64 = 1 << 20;
/// RFC 8257 §4.2: the estimation gain g is 1/16.
const GAIN_SHIFT: u32 = 4;

/// The controller of RFC 8257.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Dctcp {
    reno: Reno,
    /// DCTCP.Alpha, the part of the bytes that is marked, of [`ONE`].
    alpha: u64,
    /// The observation window.
    round: Round,
    /// DCTCP.BytesAcked and DCTCP.BytesMarked.
    acked: u64,
    marked: u64,
}

impl Dctcp {
    /// One at the start of a connection.
    #[must_use]
    pub fn new(smss: u32) -> Self {
        Self {
            reno: Reno::new(smss),
            // RFC 8257 §3.3: 1 at first: the first mark halves the window.
            alpha: ONE,
            round: Round::default(),
            acked: 0,
            marked: 0,
        }
    }

    /// RFC 8257 §3.3 (5), (6): Alpha = Alpha * (1 - g) + g * M at the end of a window.
    fn estimate(&mut self) {
        let marked = u128::from(self.marked.min(self.acked)) * u128::from(ONE);
        let part = marked.checked_div(self.acked.into()).unwrap_or(0);
        let part = u64::try_from(part).unwrap_or(ONE);
        // A step down of one at least: an alpha too small for its sixteenth goes to zero.
        let down = (self.alpha >> GAIN_SHIFT).max(1).min(self.alpha);
        self.alpha = (self.alpha - down + (part >> GAIN_SHIFT)).min(ONE);
    }
}

impl CongestionController for Dctcp {
    fn name(&self) -> &'static str {
        "dctcp"
    }

    fn saved(&self) -> Option<super::Saved> {
        Some(super::Saved::Dctcp(self.clone()))
    }

    fn on_ack(&mut self, ack: &Ack) {
        // RFC 8257 §3.3 (1) to (3).
        self.acked = self.acked.saturating_add(ack.acked);
        self.marked = self.marked.saturating_add(ack.marked);
        if self.round.is_over(ack) {
            self.estimate();
            self.acked = 0;
            self.marked = 0;
        }
        self.reno.on_ack(ack);
    }

    fn on_congestion(&mut self, now: Instant, cause: Cause, in_flight: u64) {
        if cause == Cause::Ecn {
            // RFC 8257 §3.3 (9): cwnd = cwnd * (1 - Alpha / 2), once for each window of data.
            let cwnd = self.reno.segments();
            let cut = u128::from(cwnd) * u128::from(self.alpha) / u128::from(2 * ONE);
            let cut = u64::try_from(cut).unwrap_or(cwnd);
            self.reno.reduce(cwnd.saturating_sub(cut).max(2));
        } else {
            self.reno.on_congestion(now, cause, in_flight);
        }
    }

    fn on_recovered(&mut self, now: Instant, in_flight: u64) {
        self.reno.on_recovered(now, in_flight);
    }

    fn on_idle_restart(&mut self, now: Instant, idle: Duration, rto: Duration) {
        self.reno.on_idle_restart(now, idle, rto);
    }

    fn on_unused(&mut self, now: Instant, used: u64) {
        self.reno.on_unused(now, used);
    }

    fn on_spurious(&mut self, now: Instant) {
        self.reno.on_spurious(now);
    }

    fn set_smss(&mut self, smss: u32) {
        self.reno.set_smss(smss);
    }

    fn set_window(&mut self, cwnd: u64, ssthresh: u64) {
        self.reno.set_window(cwnd, ssthresh);
    }

    fn cwnd(&self) -> u64 {
        self.reno.cwnd()
    }

    fn ssthresh(&self) -> u64 {
        self.reno.ssthresh()
    }

    fn needs_ecn(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window of ten segments acknowledged, `marked` of them.
    fn window(dctcp: &mut Dctcp, delivered: &mut u64, marked: u64) {
        for n in 0..10 {
            *delivered += 1000;
            dctcp.on_ack(&Ack {
                acked: 1000,
                marked: if n < marked { 1000 } else { 0 },
                in_flight: 9000,
                delivered: *delivered,
                ..Ack::default()
            });
        }
    }

    #[test]
    fn alpha_follows_the_part_of_the_bytes_that_is_marked() {
        let mut dctcp = Dctcp::new(1000);
        let mut delivered = 0;
        // The first acknowledgment ends the empty first window: alpha = 15/16.
        window(&mut dctcp, &mut delivered, 0);
        assert_eq!(dctcp.alpha, ONE / 16 * 15);
        // It is worked out at the first acknowledgment of the next: 15/16 * 15/16 + 1/16 * 4/10.
        window(&mut dctcp, &mut delivered, 4);
        window(&mut dctcp, &mut delivered, 0);
        // The end of a window is acknowledged with the next one's first mark.
        let found = dctcp.alpha * 10_000 / ONE;
        assert!((8400..=9040).contains(&found), "{found}");
        for _ in 0..200 {
            window(&mut dctcp, &mut delivered, 4);
        }
        let steady = dctcp.alpha * 1000 / ONE;
        assert!((398..=401).contains(&steady), "{steady} of 1000");
        for _ in 0..300 {
            window(&mut dctcp, &mut delivered, 0);
        }
        assert_eq!(dctcp.alpha, 0);
    }

    #[test]
    fn marks_cut_by_half_of_alpha_and_losses_by_a_half() {
        let mut dctcp = Dctcp::new(1000);
        dctcp.set_window(100_000, u64::MAX);
        dctcp.alpha = ONE / 10;
        dctcp.on_congestion(Instant::ZERO, Cause::Ecn, 100_000);
        assert_eq!((dctcp.cwnd(), dctcp.ssthresh()), (96_000, 96_000));
        dctcp.on_congestion(Instant::ZERO, Cause::Loss, 95_000);
        assert_eq!((dctcp.cwnd(), dctcp.ssthresh()), (48_000, 48_000));
        // RFC 8257 §3.5: one segment after a time-out.
        dctcp.on_congestion(Instant::ZERO, Cause::Timeout, 0);
        assert_eq!((dctcp.cwnd(), dctcp.ssthresh()), (1000, 24_000));
        assert!(dctcp.needs_ecn());
    }

    #[test]
    fn the_first_mark_halves() {
        let mut dctcp = Dctcp::new(1000);
        dctcp.on_congestion(Instant::ZERO, Cause::Ecn, 10_000);
        assert_eq!(dctcp.cwnd(), 5000);
    }
}
