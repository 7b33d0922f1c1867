//! The congestion window of one path (RFC 9260 §7.2): the node's controllers, with the start and the
//! floors that SCTP has instead of TCP's.

use core::time::Duration;
use sockeye_core::Instant;
use sockeye_core::congestion::{Ack, Cause, CongestionController, Phase, Reno};

/// RFC 9260 §7.2.1: L, how many packets one SACK lets the window grow by in slow start. One is for
/// receivers that acknowledge every second packet; ours acknowledges a batch of them at once.
const SLOW_START_PACKETS: u64 = 16;

/// cwnd and ssthresh of a path.
#[derive(Debug)]
pub(crate) struct Window {
    controller: Box<dyn CongestionController>,
    /// PMDCS: the largest DATA chunk that one packet carries.
    pmdcs: u32,
}

/// What a SACK says of one path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    pub(crate) acked: u64,
    pub(crate) flight_before: u64,
    pub(crate) flight: u64,
    pub(crate) limited: bool,
    pub(crate) recovering: bool,
    pub(crate) srtt: Option<Duration>,
}

impl Window {
    /// RFC 9260 §7.2.1: min(4 * PMDCS, max(2 * PMDCS, 4404)), with 4344 for IPv6.
    /// RFC 9260 §7.2.1-1.
    pub(crate) fn new(pmdcs: u32, v4: bool) -> Self {
        let size = u64::from(pmdcs);
        let least = if v4 { 4404 } else { 4344 };
        let mut controller: Box<dyn CongestionController> = Box::new(Reno::new(pmdcs));
        controller.set_window((4 * size).min((2 * size).max(least)), u64::MAX);
        Self { controller, pmdcs }
    }

    pub(crate) fn cwnd(&self) -> u64 {
        self.controller.cwnd()
    }

    pub(crate) fn ssthresh(&self) -> u64 {
        self.controller.ssthresh()
    }

    /// The path takes larger or smaller packets now.
    pub(crate) fn set_pmdcs(&mut self, pmdcs: u32) {
        if pmdcs != self.pmdcs {
            self.pmdcs = pmdcs;
            self.controller.set_smss(pmdcs);
        }
    }

    /// RFC 9260 §7.2.1, §7.2.2: the window grows by what was acknowledged, if it was used and nothing
    /// is being recovered.
    /// RFC 9260 §7.2-1, §7.2-2, §7.2.1-3, §7.2.1-4, §7.2.1-5, §7.2.2-1.
    pub(crate) fn acknowledged(&mut self, now: Instant, growth: &Growth) {
        let slow_start = self.cwnd() <= self.ssthresh();
        let most = SLOW_START_PACKETS * u64::from(self.pmdcs);
        let acked = match slow_start {
            true => growth.acked.min(most),
            false => growth.acked,
        };
        self.controller.on_ack(&Ack {
            now,
            acked,
            in_flight_before: growth.flight_before,
            in_flight: growth.flight,
            cwnd_limited: growth.limited,
            phase: match growth.recovering {
                true => Phase::Recovery,
                false => Phase::Open,
            },
            srtt: growth.srtt,
            ..Ack::default()
        });
    }

    /// RFC 9260 §7.2.3: half the window, four packets at least.
    /// RFC 9260 §7.2.1-2.
    pub(crate) fn lost(&mut self, now: Instant, flight: u64, cause: Cause) {
        self.controller.on_congestion(now, cause, flight);
        let floor = 4 * u64::from(self.pmdcs);
        let (cwnd, ssthresh) = (self.cwnd(), self.ssthresh());
        if ssthresh < floor {
            let cwnd = match cause {
                Cause::Timeout | Cause::TimeoutAgain => cwnd,
                Cause::Loss | Cause::Ecn => cwnd.max(floor),
            };
            self.controller.set_window(cwnd, floor);
        }
    }

    /// Fast recovery is over.
    pub(crate) fn recovered(&mut self, now: Instant, flight: u64) {
        self.controller.on_recovered(now, flight);
    }

    /// RFC 9260 §7.2.1: a path that is not used for an RTO has its window halved, four packets at
    /// least; `rtos` of them have passed.
    pub(crate) fn idle(&mut self, rtos: u32) {
        let floor = 4 * u64::from(self.pmdcs);
        let cwnd = self.cwnd();
        let ssthresh = match self.ssthresh() {
            u64::MAX => cwnd,
            ssthresh => ssthresh.max(cwnd),
        };
        let shrunk = (cwnd >> rtos.min(63)).max(floor).min(cwnd);
        if shrunk < cwnd {
            self.controller.set_window(shrunk, ssthresh);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9260 §7.2.1.
    /// RFC 9260 §7.2.1-1.
    #[test]
    fn the_first_window_is_four_packets_and_4404_bytes_at_most() {
        for (pmdcs, v4, cwnd) in [
            (1468, true, 4404),
            (1448, false, 4344),
            (500, true, 2000),
            (9000, true, 18_000),
        ] {
            assert_eq!(Window::new(pmdcs, v4).cwnd(), cwnd, "{pmdcs}");
        }
    }

    /// RFC 9260 §7.2.3.
    /// RFC 9260 §7.2-1, §7.2.1-2.
    #[test]
    fn a_loss_halves_it_and_a_time_out_leaves_one_packet() {
        let mut window = Window::new(1000, true);
        window.controller.set_window(20_000, u64::MAX);
        window.lost(Instant::ZERO, 0, Cause::Loss);
        assert_eq!((window.cwnd(), window.ssthresh()), (10_000, 10_000));
        window.lost(Instant::ZERO, 0, Cause::Loss);
        window.lost(Instant::ZERO, 0, Cause::Loss);
        assert_eq!((window.cwnd(), window.ssthresh()), (4000, 4000));
        window.lost(Instant::ZERO, 0, Cause::Timeout);
        assert_eq!((window.cwnd(), window.ssthresh()), (1000, 4000));
    }

    /// RFC 9260 §7.2-2, §7.2.1-3, §7.2.1-4.
    #[test]
    fn it_does_not_grow_unused_nor_in_recovery() {
        for (limited, recovering, cwnd) in [
            (true, false, 5000),
            (false, false, 4000),
            (true, true, 4000),
        ] {
            let mut window = Window::new(1000, true);
            window.acknowledged(
                Instant::ZERO,
                &Growth {
                    acked: 1000,
                    flight_before: 4000,
                    flight: 3000,
                    limited,
                    recovering,
                    srtt: None,
                },
            );
            assert_eq!(window.cwnd(), cwnd);
        }
    }

    /// RFC 9260 §7.2.1-5, §7.2.2-1.
    #[test]
    fn it_grows_by_no_more_than_was_acknowledged_and_a_packet_a_round_trip() {
        let growth = |acked| Growth {
            acked,
            flight_before: u64::MAX / 2,
            flight: 0,
            limited: true,
            recovering: false,
            srtt: None,
        };
        let mut window = Window::new(1000, true);
        window.acknowledged(Instant::ZERO, &growth(500));
        assert!(window.cwnd() <= 4500);
        let before = window.cwnd();
        window.acknowledged(Instant::ZERO, &growth(1_000_000));
        assert!(window.cwnd() <= before + SLOW_START_PACKETS * 1000);
        // In congestion avoidance a window's worth of acknowledgments is a round trip.
        window.controller.set_window(20_000, 10_000);
        for _ in 0..20 {
            window.acknowledged(Instant::ZERO, &growth(1000));
        }
        assert!(window.cwnd() > 20_000 && window.cwnd() <= 21_000);
    }

    #[test]
    fn an_idle_path_comes_down_to_four_packets() {
        let mut window = Window::new(1000, true);
        window.controller.set_window(40_000, u64::MAX);
        window.idle(1);
        assert_eq!((window.cwnd(), window.ssthresh()), (20_000, 40_000));
        window.idle(100);
        assert_eq!(window.cwnd(), 4000);
    }
}
