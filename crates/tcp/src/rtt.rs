//! Round-trip time and retransmission time-out (RFC 6298).

use core::time::Duration;
use sockeye_core::Instant;
use sockeye_wire::SeqNum;

/// RFC 6298 §2 (2.1): the RTO before any measurement.
pub(crate) const RTO_INITIAL: Duration = Duration::from_secs(1);
/// RFC 6298 §5 (5.7): the RTO after a handshake in which the SYN was retransmitted.
pub(crate) const RTO_AFTER_LOST_SYN: Duration = Duration::from_secs(3);
/// The least that is added to SRTT. RFC 6298 §2 (2.4) asks for an RTO of at least one second, as a
/// SHOULD for clocks and delayed acknowledgments of half a second; every current host delays
/// them less, and 200 ms is what Linux and others have used for decades.
pub(crate) const RTO_MIN: Duration = Duration::from_millis(200);
/// RFC 6298 §2 (2.5): the upper bound, at least 60 s.
pub(crate) const RTO_MAX: Duration = Duration::from_secs(120);
/// The shortest round trip counts for so long, milliseconds (`net.ipv4.tcp_min_rtt_wlen`).
const SHORTEST_MS: u32 = 300_000;

/// SRTT, RTTVAR and RTO of one connection, in microseconds and parts of them: every connection has
/// one.
///
/// RFC 6298 §2 (2.3) smooths RTTVAR with every measurement, which with several a round trip forgets
/// a peak at once. As Linux does, RTTVAR follows the largest mean deviation of a round trip: up at
/// once, down once in a round trip; and a round trip that was shorter than SRTT widens it less.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct RttEstimator {
    /// Eighths of a microsecond; [`UNKNOWN`] before the first measurement.
    srtt: u32,
    /// What the RTO adds, four mean deviations but at least [`RTO_MIN`]; the smoothed deviation, and
    /// the largest of this round trip, all three in quarters of a microsecond of one deviation.
    margin: u32,
    deviation: u32,
    deviation_max: u32,
    /// This round trip ends when this is acknowledged.
    round: SeqNum,
    /// The newest measurement, microseconds.
    latest: u32,
    shortest: Shortest,
    /// Doublings of the RTO (RFC 6298 §5 (5.5)).
    backoff: u8,
    /// The SYN was retransmitted, and nothing has been measured since.
    lost_syn: bool,
    /// The bounds of the RTO, microseconds.
    min: u32,
    max: u32,
}

/// Not measured yet.
const UNKNOWN: u32 = u32::MAX;
/// The longest round trip that is told from longer ones: it fits in eighths of a microsecond.
const RTT_MAX: u32 = 500_000_000;

impl Default for RttEstimator {
    fn default() -> Self {
        Self {
            srtt: UNKNOWN,
            margin: micros(RTO_MIN),
            deviation: 0,
            deviation_max: 0,
            round: SeqNum(0),
            latest: 0,
            shortest: Shortest::default(),
            backoff: 0,
            lost_syn: false,
            min: micros(RTO_MIN),
            max: micros(RTO_MAX),
        }
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).map_or(RTT_MAX, |micros| micros.min(RTT_MAX))
}

fn duration(micros: u32) -> Duration {
    Duration::from_micros(micros.into())
}

impl RttEstimator {
    /// Takes a measurement of what was sent once (RFC 9293 §3.8.1, MUST-18: Karn's algorithm, RFC 6298
    /// §3), from an
    /// acknowledgment of `una` while up to `nxt` is sent.
    pub(crate) fn measured(&mut self, rtt: Duration, una: SeqNum, nxt: SeqNum) {
        let rtt = micros(rtt);
        self.latest = rtt;
        self.lost_syn = false;
        self.backoff = 0;
        if self.srtt == UNKNOWN {
            // RFC 6298 §2 (2.2): RTTVAR = R/2, and four of it are added.
            self.srtt = rtt * 8;
            self.deviation = rtt * 2;
            self.margin = self.deviation.max(self.min);
            self.deviation_max = self.margin;
            self.round = nxt;
            return;
        }
        // RFC 6298 §2 (2.3), with alpha = 1/8 and beta = 1/4.
        let srtt = self.srtt / 8;
        self.srtt = self.srtt - srtt + rtt;
        let error = srtt.abs_diff(rtt);
        let mean = self.deviation / 4;
        self.deviation = match error.checked_sub(mean) {
            // Shorter than ever: no sign that it will be longer.
            Some(more) if rtt < srtt => self.deviation + more / 8,
            _ => self.deviation - mean + error,
        };
        if self.deviation > self.deviation_max {
            self.deviation_max = self.deviation;
            self.margin = self.margin.max(self.deviation_max);
        }
        if una.after(self.round) {
            if self.deviation_max < self.margin {
                self.margin -= (self.margin - self.deviation_max) / 4;
            }
            self.round = nxt;
            self.deviation_max = self.min;
        }
    }

    /// A packet took `rtt`. `maybe_delayed`: the peer may have waited with its acknowledgment; that
    /// only counts when it is short.
    pub(crate) fn shortest(&mut self, now: Instant, rtt: Duration, maybe_delayed: bool) {
        if !(maybe_delayed && self.min().is_some_and(|min| rtt > min)) {
            self.shortest.add(now, micros(rtt));
        }
    }

    /// RFC 6298 §2: RTO = SRTT + max (G, 4*RTTVAR), backed off and within its bounds.
    pub(crate) fn rto(&self) -> Duration {
        self.rto_without_backoff()
            .saturating_mul(1 << self.backoff.min(16))
            .min(self.rto_max())
    }

    /// The RTO before it was ever doubled.
    pub(crate) fn rto_without_backoff(&self) -> Duration {
        let base = match self.srtt() {
            Some(srtt) => srtt + duration(self.margin),
            None if self.lost_syn => RTO_AFTER_LOST_SYN,
            None => RTO_INITIAL,
        };
        base.min(self.rto_max())
    }

    /// TCP_RTO_MIN_US and TCP_RTO_MAX_MS.
    pub(crate) fn set_bounds(&mut self, min: Duration, max: Duration) {
        self.min = micros(min);
        self.max = micros(max);
        self.margin = self.deviation.max(self.min);
        self.deviation_max = self.margin;
    }

    /// The largest RTO.
    pub(crate) fn rto_max(&self) -> Duration {
        duration(self.max)
    }

    /// RFC 6298 §5 (5.5): the timer ran out: twice the time from now on, until something is measured.
    pub(crate) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    /// What was doubled was doubled in vain.
    pub(crate) fn forget_backoff(&mut self) {
        self.backoff = 0;
    }

    /// RFC 6298 §5 (5.7): the SYN was lost, and the connection stands now.
    pub(crate) fn syn_was_retransmitted(&mut self) {
        self.backoff = 0;
        self.lost_syn = self.srtt == UNKNOWN;
    }

    pub(crate) fn srtt(&self) -> Option<Duration> {
        // Kept in eighths, so that it also moves where it is a few microseconds.
        (self.srtt != UNKNOWN).then(|| Duration::from_nanos(u64::from(self.srtt) * 125))
    }

    /// RTTVAR: the mean deviation.
    pub(crate) fn rttvar(&self) -> Duration {
        Duration::from_nanos(u64::from(self.deviation) * 250)
    }

    /// The shortest round trip of the last minutes.
    pub(crate) fn min(&self) -> Option<Duration> {
        self.shortest.get().map(duration)
    }

    /// The newest measurement.
    pub(crate) fn latest(&self) -> Option<Duration> {
        (self.srtt != UNKNOWN).then(|| duration(self.latest))
    }

    pub(crate) fn backoff(&self) -> u8 {
        self.backoff
    }
}

/// The shortest of the last minutes: the shortest of all, the shortest of what came after it, and of
/// what came after that, each with when it was, in milliseconds modulo 2^32.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
struct Shortest([(u32, u32); 3]);

impl Default for Shortest {
    fn default() -> Self {
        Self([(0, UNKNOWN); 3])
    }
}

impl Shortest {
    fn get(&self) -> Option<u32> {
        let [(_, first), ..] = self.0;
        (first != UNKNOWN).then_some(first)
    }

    fn add(&mut self, now: Instant, rtt: u32) {
        let now = (now.as_millis() & u64::from(u32::MAX)) as u32;
        let new = (now, rtt);
        let [first, second, third] = &mut self.0;
        let age = |entry: &(u32, u32)| now.wrapping_sub(entry.0);
        if rtt <= first.1 || age(third) > SHORTEST_MS {
            self.0 = [new; 3];
            return;
        }
        if rtt <= second.1 {
            *second = new;
            *third = new;
        } else if rtt <= third.1 {
            *third = new;
        }
        // The first grows old: the next takes its place. Each is of a part of the time of its own.
        if age(first) > SHORTEST_MS {
            *first = *second;
            *second = *third;
            *third = new;
            if age(first) > SHORTEST_MS {
                *first = *second;
                *second = *third;
            }
        } else if second.0 == first.0 && age(first) > SHORTEST_MS / 4 {
            *second = new;
            *third = new;
        } else if third.0 == second.0 && age(first) > SHORTEST_MS / 2 {
            *third = new;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn measured(rtt: &mut RttEstimator, millis: u32) {
        // Each in a round trip of its own.
        let una = rtt.round + 1;
        rtt.measured(MS * millis, una, una + 1000);
    }

    #[test]
    fn the_first_measurement_sets_and_later_ones_smooth() {
        let mut rtt = RttEstimator::default();
        assert_eq!(rtt.rto(), RTO_INITIAL);
        measured(&mut rtt, 100);
        assert_eq!(rtt.srtt(), Some(100 * MS));
        assert_eq!(rtt.rto(), 300 * MS); // 100 + 4 * 50
        measured(&mut rtt, 180);
        assert_eq!(rtt.srtt(), Some(110 * MS)); // 7/8 * 100 + 1/8 * 180
        assert_eq!(rtt.rttvar(), Duration::from_micros(57_500)); // 3/4 * 50 + 1/4 * 80
        assert_eq!(rtt.rto(), 340 * MS);
    }

    #[test]
    fn the_margin_comes_down_once_a_round_trip() {
        let mut rtt = RttEstimator::default();
        measured(&mut rtt, 400);
        assert_eq!(rtt.rto(), 1200 * MS);
        // Many in one round trip: as one.
        let (una, nxt) = (rtt.round - 1, rtt.round + 500);
        for _ in 0..50 {
            rtt.measured(400 * MS, una, nxt);
        }
        assert_eq!(rtt.rto(), 1200 * MS);
        for _ in 0..60 {
            measured(&mut rtt, 400);
        }
        let rto = rtt.rto();
        assert!(rto >= 600 * MS && rto < 601 * MS, "{rto:?}");
    }

    #[test]
    fn it_backs_off_to_the_bound_and_a_measurement_undoes_it() {
        let mut rtt = RttEstimator::default();
        measured(&mut rtt, 10);
        assert_eq!(rtt.rto(), 210 * MS); // the margin has its floor
        rtt.back_off();
        assert_eq!(rtt.rto(), 420 * MS);
        for _ in 0..300 {
            rtt.back_off();
        }
        assert_eq!(rtt.rto(), RTO_MAX);
        measured(&mut rtt, 10);
        assert_eq!(rtt.rto(), 210 * MS);
    }

    #[test]
    fn a_lost_syn_makes_it_cautious() {
        let mut rtt = RttEstimator::default();
        rtt.back_off();
        assert_eq!(rtt.rto(), 2 * RTO_INITIAL);
        rtt.syn_was_retransmitted();
        assert_eq!(rtt.rto(), RTO_AFTER_LOST_SYN);
        measured(&mut rtt, 10);
        assert_eq!(rtt.rto(), 210 * MS);
    }

    #[test]
    fn the_shortest_is_forgotten_after_minutes() {
        let mut rtt = RttEstimator::default();
        let mut now = Instant::from_millis(1000);
        rtt.shortest(now, 10 * MS, false);
        rtt.shortest(now, 50 * MS, true);
        assert_eq!(rtt.min(), Some(10 * MS));
        for _ in 0..29 {
            now += Duration::from_secs(10);
            rtt.shortest(now, 30 * MS, false);
        }
        assert_eq!(rtt.min(), Some(10 * MS));
        for _ in 0..5 {
            now += Duration::from_secs(10);
            rtt.shortest(now, 30 * MS, false);
        }
        assert_eq!(rtt.min(), Some(30 * MS));
        rtt.shortest(now, 5 * MS, true);
        assert_eq!(rtt.min(), Some(5 * MS));
    }
}
