//! How fast probes go, and how long an answer is waited for.

use std::time::{Duration, Instant};

/// Probes without answer at the beginning, and at the least and most.
const WINDOW_MIN: f64 = 10.0;
const WINDOW_MAX: f64 = 300.0;
/// How long an answer is waited for when nothing is known, and at the least.
const INITIAL: Duration = Duration::from_secs(1);
const LEAST: Duration = Duration::from_millis(100);
/// Probes that may go at once where the rate allows them: a pause is not made up for by a flood.
const BURST: u32 = 10;
/// The longest pause between two probes for hosts that answer a few times a second only.
const PAUSE_MAX: Duration = Duration::from_secs(1);
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// However often a host answers late: no probe is sent more often again.
const RETRIES_MAX: u32 = 10;

/// The pace of one scan.
#[derive(Debug)]
pub(super) struct Pace {
    /// Time between probes, by the rate.
    interval: Duration,
    /// More of it, for hosts that limit their answers.
    pause: Duration,
    next: Instant,
    window: f64,
    /// How often a probe is sent again.
    retries: u32,
    longest: Duration,
    /// RFC 6298 §2: SRTT and RTTVAR.
    round_trip: Option<(Duration, Duration)>,
}

impl Pace {
    pub(super) fn new(rate: u32, retries: u32, longest: Duration, now: Instant) -> Self {
        Self {
            interval: Duration::from_secs(1) / rate.max(1),
            pause: Duration::ZERO,
            next: now,
            window: WINDOW_MIN,
            retries,
            longest,
            round_trip: None,
        }
    }

    /// Whether one more probe may go while `flight` are unanswered; else when, where only time is
    /// waited for.
    pub(super) fn may_send(&self, now: Instant, flight: usize) -> Result<(), Option<Instant>> {
        if flight as f64 >= self.window {
            return Err(None);
        }
        match self.next <= now {
            true => Ok(()),
            false => Err(Some(self.next)),
        }
    }

    /// A probe has gone.
    pub(super) fn sent(&mut self, now: Instant) {
        let step = self.interval.max(self.pause);
        let burst = match self.pause.is_zero() {
            true => self.interval * BURST,
            false => Duration::ZERO,
        };
        let earliest = now.checked_sub(burst).unwrap_or(now);
        self.next = self.next.max(earliest) + step;
    }

    /// The probe that was sent `attempt` times before has been answered after `time`.
    pub(super) fn answered(&mut self, attempt: u32, time: Duration) {
        if attempt == 0 {
            // RFC 6298 §3: an answer to what was sent twice measures nothing.
            self.measured(time);
            self.window = (self.window + 1.0).min(WINDOW_MAX);
            return;
        }
        if self.round_trip.is_none() {
            // Nothing was answered at once: what came before was lost, whoever's fault that is.
            return;
        }
        // Something was lost, or the host answers so many times a second only.
        self.window = (self.window / 2.0).max(WINDOW_MIN);
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.retries = self.retries.max((attempt + 1).min(RETRIES_MAX));
    }

    /// RFC 6298 §2.2, §2.3.
    fn measured(&mut self, time: Duration) {
        self.round_trip = Some(match self.round_trip {
            None => (time, time / 2),
            Some((smooth, variation)) => {
                let error = smooth.abs_diff(time);
                ((smooth * 7 + time) / 8, (variation * 3 + error) / 4)
            }
        });
    }

    /// How long to wait for the answer to a probe that was sent `attempt` times before.
    pub(super) fn patience(&self, attempt: u32) -> Duration {
        let usual = match self.round_trip {
            None => INITIAL,
            Some((smooth, variation)) => smooth + variation * 4,
        };
        // RFC 6298 §5.5: each time longer.
        (usual.max(LEAST) * (1 << attempt.min(4))).min(self.longest)
    }

    /// Whether a probe that was sent `attempt` times before, without an answer, is sent again.
    pub(super) fn again(&self, attempt: u32) -> bool {
        attempt < self.retries
    }

    /// The round trip.
    pub(super) fn latency(&self) -> Option<Duration> {
        self.round_trip.map(|(smooth, _)| smooth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn no_more_go_than_the_rate_allows() {
        let start = Instant::now();
        let mut pace = Pace::new(100, 2, ms(1000), start);
        let mut sent = 0;
        for n in 0..1000 {
            let now = start + ms(n);
            while pace.may_send(now, 0).is_ok() {
                pace.sent(now);
                sent += 1;
            }
        }
        assert_eq!(sent, 100);
        // After a pause a few go at once, and no more.
        let later = start + ms(9000);
        let burst = (0..99).take_while(|_| {
            let may = pace.may_send(later, 0).is_ok();
            pace.sent(later);
            may
        });
        assert_eq!(burst.count(), 11);
    }

    #[test]
    fn the_window_opens_with_answers_and_closes_with_losses() {
        let now = Instant::now();
        let mut pace = Pace::new(1_000_000, 2, ms(1000), now);
        assert_eq!(pace.may_send(now, 10), Err(None));
        for _ in 0..30 {
            pace.answered(0, ms(5));
        }
        assert_eq!(pace.may_send(now, 39), Ok(()));
        pace.answered(1, ms(5));
        assert_eq!(pace.may_send(now, 20), Err(None));
        pace.sent(now);
        assert!(pace.may_send(now, 0).is_err(), "it pauses");
        // A host that answers late once may do so again.
        pace.answered(3, ms(5));
        assert!(pace.again(3) && !pace.again(4));
    }

    #[test]
    fn patience_follows_the_round_trip() {
        let mut pace = Pace::new(1000, 2, ms(3000), Instant::now());
        assert_eq!(pace.patience(0), ms(1000));
        for _ in 0..100 {
            pace.answered(0, ms(300));
        }
        let usual = pace.patience(0);
        assert!((ms(300)..ms(320)).contains(&usual), "{usual:?}");
        assert_eq!(pace.patience(1), usual * 2);
        assert_eq!(pace.patience(9), ms(3000));
        for _ in 0..100 {
            pace.answered(0, ms(1));
        }
        assert_eq!(pace.patience(0), ms(100));
    }
}
