//! The end of the first slow start before it has filled a queue with a whole window.
//!
//! - [`HystartKind::PlusPlus`] is HyStart++ (RFC 9406), the one that CUBIC asks for (RFC 9438 §4.10):
//!   when the round trips get longer, slow start goes on at a quarter of its speed, and ends after
//!   five rounds unless that was a false alarm.
//! - [`HystartKind::Hybrid`] is HyStart, its predecessor, as Linux has it: slow start ends at once
//!   when the round trips get longer, or when a train of acknowledgments is half of a round trip
//!   long.

use super::round::Round;
use super::{Ack, pacing};
use crate::Instant;
use core::time::Duration;

/// How slow start ends without a loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HystartKind {
    /// HyStart++ (RFC 9406).
    #[default]
    PlusPlus,
    /// HyStart, as Linux has it.
    Hybrid,
}

/// What an acknowledgment in slow start means for the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// It grows by so many of the bytes acknowledged.
    By(u64),
    /// Slow start ends here.
    End,
}

/// Either of the two.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) enum Hystart {
    PlusPlus(PlusPlus),
    Hybrid(Hybrid),
}

impl Hystart {
    pub(super) fn new(kind: HystartKind, paced: bool) -> Self {
        match kind {
            HystartKind::PlusPlus => Self::PlusPlus(PlusPlus::new(paced)),
            HystartKind::Hybrid => Self::Hybrid(Hybrid::new(paced)),
        }
    }

    /// An acknowledgment in slow start; `initial` in the first. `delay_min` is the smallest round
    /// trip of the connection.
    pub(super) fn on_ack(
        &mut self,
        ack: &Ack,
        initial: bool,
        (cwnd, smss): (u64, u64),
        delay_min: Option<Duration>,
    ) -> Growth {
        match self {
            // RFC 9406 §4.3: for the initial slow start; later ones know where to end.
            Self::PlusPlus(plus) if initial => plus.on_ack(ack, smss),
            Self::PlusPlus(_) => Growth::By(ack.acked),
            Self::Hybrid(hybrid) => hybrid.on_ack(ack, cwnd, smss, delay_min),
        }
    }

    /// A time-out: slow start begins anew.
    pub(super) fn on_timeout(&mut self) {
        if let Self::Hybrid(hybrid) = self {
            *hybrid = Hybrid::new(hybrid.paced);
        }
    }
}

/// A rise of the round trip below this is noise.
const RTT_THRESH_MIN: Duration = Duration::from_millis(4);
/// A rise above this is none.
const RTT_THRESH_MAX: Duration = Duration::from_millis(16);
/// Samples that make the smallest round trip of a round believable (N_RTT_SAMPLE).
const RTT_SAMPLES: u32 = 8;

/// By how much the round trips have to be longer than `base`: an eighth, within the bounds
/// (MIN_RTT_DIVISOR).
fn rtt_thresh(base: Duration) -> Duration {
    (base / 8).clamp(RTT_THRESH_MIN, RTT_THRESH_MAX)
}

/// HyStart++ (RFC 9406 §4.2), in slow start or in conservative slow start (CSS).
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct PlusPlus {
    /// RFC 9406 §4.3, L: segments that one acknowledgment is worth at most.
    limit: Option<u64>,
    round: Round,
    /// The smallest round trip of the last round and of this.
    last_rtt: Option<Duration>,
    current_rtt: Option<Duration>,
    samples: u32,
    css: Option<Css>,
}

/// Conservative slow start.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Css {
    /// cssBaselineMinRtt: round trips below it show that the alarm was false.
    baseline: Duration,
    /// Rounds that are over, the one included in which it began.
    rounds: u32,
}

/// RFC 9406 §4.3: growth in CSS is divided by this.
const CSS_GROWTH_DIVISOR: u64 = 4;
/// RFC 9406 §4.3: rounds of CSS.
const CSS_ROUNDS: u32 = 5;
/// RFC 9406 §4.3: L where nothing spaces the packets.
const LIMIT_UNPACED: u64 = 8;

impl PlusPlus {
    fn new(paced: bool) -> Self {
        Self {
            limit: (!paced).then_some(LIMIT_UNPACED),
            round: Round::default(),
            last_rtt: None,
            current_rtt: None,
            samples: 0,
            css: None,
        }
    }

    fn on_ack(&mut self, ack: &Ack, smss: u64) -> Growth {
        if self.round.is_over(ack) {
            if let Some(css) = &mut self.css {
                css.rounds += 1;
                if css.rounds >= CSS_ROUNDS {
                    return Growth::End;
                }
            }
            self.last_rtt = self.current_rtt.take();
            self.samples = 0;
        }
        if let Some(rtt) = ack.rtt {
            self.current_rtt = Some(self.current_rtt.map_or(rtt, |least| least.min(rtt)));
            self.samples = self.samples.saturating_add(1);
        }
        self.judge();
        let limit = self
            .limit
            .map_or(u64::MAX, |limit| limit.saturating_mul(smss));
        let grow = ack.acked.min(limit);
        Growth::By(match self.css {
            Some(_) => grow / CSS_GROWTH_DIVISOR,
            None => grow,
        })
    }

    /// RFC 9406 §4.2: with samples enough, into CSS or back.
    fn judge(&mut self) {
        let Some(current) = self.current_rtt else {
            return;
        };
        if self.samples < RTT_SAMPLES {
            return;
        }
        match &self.css {
            Some(css) if current < css.baseline => self.css = None,
            Some(_) => {}
            None => {
                if self
                    .last_rtt
                    .is_some_and(|last| current >= last.saturating_add(rtt_thresh(last)))
                {
                    self.css = Some(Css {
                        baseline: current,
                        rounds: 0,
                    });
                }
            }
        }
    }
}

/// HyStart as Linux has it (Ha and Rhee, "Taming the elephants", 2011).
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Hybrid {
    paced: bool,
    round: Round,
    round_start: Instant,
    /// When the last acknowledgment of the train came.
    train_end: Instant,
    current_rtt: Option<Duration>,
    samples: u32,
    /// Slow start has been ended.
    found: bool,
}

/// Smaller windows make no queue that matters, segments.
const LOW_WINDOW: u64 = 16;
/// Acknowledgments that are at most this far apart make a train.
const TRAIN_GAP: Duration = Duration::from_millis(2);
/// By how much segmentation offload may delay a train at most.
const TRAIN_DELAY_MAX: Duration = Duration::from_millis(1);
/// Four super-segments' bytes.
const TRAIN_BYTES: u64 = 4 * 65_536;

impl Hybrid {
    fn new(paced: bool) -> Self {
        Self {
            paced,
            round: Round::default(),
            round_start: Instant::ZERO,
            train_end: Instant::ZERO,
            current_rtt: None,
            samples: 0,
            found: false,
        }
    }

    fn on_ack(&mut self, ack: &Ack, cwnd: u64, smss: u64, delay_min: Option<Duration>) -> Growth {
        let grow = Growth::By(ack.acked);
        let (Some(rtt), Some(delay_min)) = (ack.rtt, delay_min) else {
            return grow;
        };
        if self.found || cwnd / smss < LOW_WINDOW {
            return grow;
        }
        if self.round.is_over(ack) {
            self.round_start = ack.now;
            self.train_end = ack.now;
            self.current_rtt = None;
            self.samples = 0;
        }
        self.found = self.train_is_long(ack, cwnd, delay_min) || self.delay_rises(rtt, delay_min);
        if self.found { Growth::End } else { grow }
    }

    /// Whether the acknowledgments of one burst have filled half of the round trip: then the burst
    /// has filled the path. Pacing draws bursts out by up to that half.
    fn train_is_long(&mut self, ack: &Ack, cwnd: u64, delay_min: Duration) -> bool {
        if ack.now - self.train_end > TRAIN_GAP {
            return false;
        }
        self.train_end = ack.now;
        let rate = pacing::window_rate(cwnd, ack.srtt, pacing::SLOW_START_PERCENT);
        let offload = rate.map_or(Duration::ZERO, |rate| pacing::duration(TRAIN_BYTES, rate));
        let mut longest = delay_min.saturating_add(offload.min(TRAIN_DELAY_MAX));
        if !self.paced {
            longest /= 2;
        }
        ack.now - self.round_start > longest
    }

    fn delay_rises(&mut self, rtt: Duration, delay_min: Duration) -> bool {
        let current = self.current_rtt.map_or(rtt, |least| least.min(rtt));
        self.current_rtt = Some(current);
        if self.samples < RTT_SAMPLES {
            self.samples += 1;
            return false;
        }
        current > delay_min.saturating_add(rtt_thresh(delay_min))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMSS: u64 = 1000;

    /// A path in slow start: each round, `segments` acknowledgments of one segment.
    struct Path {
        hystart: Hystart,
        now: Instant,
        delivered: u64,
    }

    impl Path {
        fn new(kind: HystartKind) -> Self {
            Self {
                hystart: Hystart::new(kind, true),
                now: Instant::ZERO,
                delivered: 0,
            }
        }

        /// A round trip of `rtt_ms` with `segments` acknowledgments, 3 ms apart: the growth of each.
        fn round(&mut self, segments: u64, rtt_ms: u64) -> Vec<Growth> {
            let delay_min = Some(Duration::from_millis(100));
            let mut grown = Vec::new();
            for _ in 0..segments {
                self.now += Duration::from_millis(3);
                self.delivered += SMSS;
                let ack = Ack {
                    now: self.now,
                    acked: SMSS,
                    in_flight: (segments - 1) * SMSS,
                    delivered: self.delivered,
                    rtt: Some(Duration::from_millis(rtt_ms)),
                    srtt: Some(Duration::from_millis(rtt_ms)),
                    ..Ack::default()
                };
                let window = (40 * SMSS, SMSS);
                grown.push(self.hystart.on_ack(&ack, true, window, delay_min));
            }
            grown
        }
    }

    const WHOLE: Growth = Growth::By(SMSS);
    const QUARTER: Growth = Growth::By(SMSS / 4);

    #[test]
    fn thresholds_are_an_eighth_within_4_and_16_ms() {
        for (base, thresh) in [(1, 4), (32, 4), (100, 12), (128, 16), (500, 16)] {
            let found = rtt_thresh(Duration::from_millis(base)).as_millis();
            assert_eq!(found, thresh, "of {base} ms");
        }
    }

    #[test]
    fn longer_round_trips_lead_to_five_rounds_of_conservative_slow_start() {
        let mut path = Path::new(HystartKind::PlusPlus);
        assert_eq!(path.round(16, 100), [WHOLE; 16]);
        // 112.5 ms would be enough; the eighth sample says it.
        let second = path.round(16, 113);
        assert_eq!(second[..7], [WHOLE; 7]);
        assert_eq!(second[7..], [QUARTER; 9]);
        // The round in which it began counts for one of five.
        for _ in 0..4 {
            assert_eq!(path.round(20, 113), [QUARTER; 20]);
        }
        assert_eq!(path.round(20, 113)[0], Growth::End);
    }

    #[test]
    fn seven_samples_or_a_small_rise_change_nothing() {
        let mut path = Path::new(HystartKind::PlusPlus);
        path.round(8, 100);
        assert_eq!(path.round(7, 300), [WHOLE; 7]);
        let mut path = Path::new(HystartKind::PlusPlus);
        for rtt in [100, 112, 125, 140] {
            assert_eq!(path.round(16, rtt), [WHOLE; 16]);
        }
    }

    #[test]
    fn a_false_alarm_ends_when_round_trips_fall_below_the_baseline() {
        let mut path = Path::new(HystartKind::PlusPlus);
        path.round(16, 100);
        path.round(16, 150);
        let third = path.round(16, 149);
        assert_eq!(third[..7], [QUARTER; 7]);
        assert_eq!(third[7..], [WHOLE; 9]);
    }

    #[test]
    fn one_acknowledgment_is_worth_eight_segments_where_nothing_is_paced() {
        let ack = Ack {
            acked: 45 * SMSS,
            delivered: 45 * SMSS,
            ..Ack::default()
        };
        for (paced, segments) in [(false, 8), (true, 45)] {
            let mut hystart = Hystart::new(HystartKind::PlusPlus, paced);
            let grown = hystart.on_ack(&ack, true, (90 * SMSS, SMSS), None);
            assert_eq!(grown, Growth::By(segments * SMSS));
            let again = hystart.on_ack(&ack, false, (90 * SMSS, SMSS), None);
            assert_eq!(again, Growth::By(45 * SMSS), "after congestion as RFC 5681");
        }
    }

    #[test]
    fn hybrid_ends_slow_start_at_the_ninth_longer_round_trip() {
        let mut path = Path::new(HystartKind::Hybrid);
        let grown = path.round(9, 113);
        assert_eq!(grown[..8], [WHOLE; 8]);
        assert_eq!(grown[8], Growth::End);
        assert_eq!(path.round(9, 113), [WHOLE; 9], "once");
    }

    #[test]
    fn hybrid_ends_slow_start_at_a_train_of_half_a_round_trip() {
        let mut hystart = Hystart::new(HystartKind::Hybrid, false);
        let rtt = Some(Duration::from_millis(10));
        let ends: Vec<u64> = (0..8)
            .filter(|n| {
                let ack = Ack {
                    now: Instant::from_millis(100 + n),
                    acked: SMSS,
                    in_flight: 100 * SMSS,
                    delivered: n * SMSS,
                    rtt,
                    srtt: rtt,
                    ..Ack::default()
                };
                hystart.on_ack(&ack, true, (40 * SMSS, SMSS), rtt) == Growth::End
            })
            .collect();
        // 5 ms, and half of the millisecond that offloads may take.
        assert_eq!(ends, [6]);
    }
}
