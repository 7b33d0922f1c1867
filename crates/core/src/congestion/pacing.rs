//! When the next packet may leave, and how much of it at once.
//!
//! A [`Pacer`] spaces what is sent at a rate; [`burst`] says how much may leave as one packet of
//! segments at that rate; [`window_rate`] is the rate at which a window goes out within one round
//! trip. None of it needs a timer of its own: the transport waits until [`Pacer::next`].

use crate::Instant;
use core::time::Duration;

/// `net.ipv4.tcp_pacing_ss_ratio`: percent of the window that go out in a round trip of slow start,
/// which doubles the window.
pub const SLOW_START_PERCENT: u32 = 200;
/// `net.ipv4.tcp_pacing_ca_ratio`: the same for congestion avoidance, with room for growth.
pub const AVOIDANCE_PERCENT: u32 = 120;

/// A burst holds this many segments at least.
const BURST_SEGMENTS_MIN: u64 = 2;
/// A burst holds what goes out in 2^-10 s, about a millisecond.
const BURST_SHIFT: u32 = 10;

/// Spaces packets.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Pacer {
    next: Instant,
    /// Bytes that leave unpaced at the start.
    free: u64,
}

impl Pacer {
    /// One whose first `free` bytes leave as they come. Linux lets the initial window out in one
    /// burst, as nothing is known of the path yet.
    #[must_use]
    pub const fn new(free: u64) -> Self {
        Self {
            next: Instant::ZERO,
            free,
        }
    }

    /// When the next packet may leave; in the past, when it might have left before.
    #[must_use]
    pub const fn next(&self) -> Instant {
        self.next
    }

    /// `bytes` left at `now`; what follows them is sent at `rate` bytes a second.
    ///
    /// A packet that leaves late, since the timer was late or the data was, shortens the wait for
    /// the next by as much, but by a half at most: a pause gives no credit for a burst.
    pub fn on_sent(&mut self, now: Instant, bytes: u64, rate: u64) {
        let late = now - self.next;
        let start = now.max(self.next);
        if self.free > 0 || rate == u64::MAX {
            self.free = self.free.saturating_sub(bytes);
            self.next = start;
            return;
        }
        let wait = duration(bytes, rate);
        self.next = start + wait.saturating_sub(late.min(wait / 2));
    }

    /// Nothing waits any more: the rate has changed by much, or there is none.
    pub fn reset(&mut self, now: Instant) {
        self.next = self.next.min(now);
    }
}

/// How long `bytes` take at `rate` bytes a second; at a rate of zero, and for very many bytes, a day.
#[must_use]
pub fn duration(bytes: u64, rate: u64) -> Duration {
    const LONGEST: Duration = Duration::from_secs(86_400);
    let nanos = u128::from(bytes) * 1_000_000_000;
    nanos
        .checked_div(rate.into())
        .and_then(|nanos| u64::try_from(nanos).ok())
        .map_or(LONGEST, |nanos| Duration::from_nanos(nanos).min(LONGEST))
}

/// Bytes of payload that may leave as one burst at `rate`: what goes out in about a millisecond, in
/// whole segments, two of them at least, and `max` bytes at most, but one segment.
#[must_use]
pub fn burst(rate: u64, smss: u32, max: u64) -> u64 {
    let smss = u64::from(smss.max(1));
    let segments = ((rate >> BURST_SHIFT).min(max) / smss).max(BURST_SEGMENTS_MIN);
    let most = (max / smss).max(1);
    segments.min(most) * smss
}

/// The rate that sends `percent` of `window` bytes in a round trip of `srtt`, bytes a second. `None`
/// before a round trip was measured.
#[must_use]
pub fn window_rate(window: u64, srtt: Option<Duration>, percent: u32) -> Option<u64> {
    let nanos = srtt?.as_nanos().max(1);
    let rate = u128::from(window) * u128::from(percent) * 10_000_000 / nanos;
    Some(u64::try_from(rate).unwrap_or(u64::MAX))
}

/// The percentage for a window, as Linux chooses it: near ssthresh slow start slows down.
#[must_use]
pub const fn percent(cwnd: u64, ssthresh: u64) -> u32 {
    if cwnd < ssthresh / 2 {
        SLOW_START_PERCENT
    } else {
        AVOIDANCE_PERCENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Instant {
        Instant::from_millis(n)
    }

    impl Pacer {
        fn at(next: Instant) -> Self {
            Self { next, free: 0 }
        }
    }

    #[test]
    fn packets_are_spaced_by_their_length() {
        let mut pacer = Pacer::new(0);
        // 1 MB/s: 3000 bytes take 3 ms; the first finds half of that as credit.
        pacer.on_sent(ms(100), 3000, 1_000_000);
        assert_eq!(pacer.next().as_micros(), 101_500);
        pacer.on_sent(pacer.next(), 3000, 1_000_000);
        assert_eq!(pacer.next().as_micros(), 104_500);
        pacer.on_sent(pacer.next(), 1000, 2_000_000);
        assert_eq!(pacer.next().as_micros(), 105_000);
    }

    #[test]
    fn a_late_packet_shortens_the_next_wait_by_a_half_at_most() {
        for (late_us, wait_us) in [(0, 3000), (1000, 2000), (1500, 1500), (90_000, 1500)] {
            let mut pacer = Pacer::at(ms(100));
            let now = pacer.next() + Duration::from_micros(late_us);
            pacer.on_sent(now, 3000, 1_000_000);
            assert_eq!(pacer.next() - now, Duration::from_micros(wait_us));
        }
    }

    #[test]
    fn what_leaves_early_waits_for_its_turn_too() {
        let mut pacer = Pacer::at(ms(100));
        // A retransmission that the pacer did not hold back.
        pacer.on_sent(ms(90), 1000, 1_000_000);
        assert_eq!(pacer.next(), ms(101));
    }

    #[test]
    fn the_initial_window_leaves_unpaced() {
        let mut pacer = Pacer::new(10_000);
        for _ in 0..5 {
            pacer.on_sent(ms(100), 2000, 1_000_000);
            assert_eq!(pacer.next(), ms(100));
        }
        pacer.on_sent(ms(100), 2000, 1_000_000);
        assert_eq!(pacer.next(), ms(102));
    }

    #[test]
    fn a_burst_is_a_millisecond_of_whole_segments() {
        // 100 Mbit/s: 12,207 bytes in 1/1024 s, eight segments.
        assert_eq!(burst(12_500_000, 1460, 65_536), 8 * 1460);
        assert_eq!(burst(100_000, 1460, 65_536), 2 * 1460, "two at least");
        assert_eq!(burst(1 << 40, 1460, 65_536), 44 * 1460, "max at most");
        assert_eq!(burst(1 << 40, 1460, 1460), 1460);
        assert_eq!(burst(1 << 40, 9000, 0), 9000, "one always");
    }

    #[test]
    fn a_window_goes_out_in_a_part_of_its_round_trip() {
        let srtt = Some(Duration::from_millis(100));
        assert_eq!(window_rate(14_600, srtt, 200), Some(292_000));
        assert_eq!(window_rate(14_600, srtt, 120), Some(175_200));
        assert_eq!(window_rate(14_600, None, 120), None);
        assert_eq!(
            window_rate(u64::MAX, Some(Duration::ZERO), 200),
            Some(u64::MAX)
        );
        assert_eq!(percent(9000, 20_000), 200);
        assert_eq!(percent(10_000, 20_000), 120);
    }

    #[test]
    fn durations_have_an_end() {
        assert_eq!(duration(1000, 0), Duration::from_secs(86_400));
        assert_eq!(duration(u64::MAX, 1), Duration::from_secs(86_400));
        assert_eq!(duration(u64::MAX, u64::MAX), Duration::from_secs(1));
    }
}
