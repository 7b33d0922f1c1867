//! What all threads of a measurement count together.

use serde::Serialize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts of one measurement.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    bytes: AtomicU64,
    messages: AtomicU64,
    sent: AtomicU64,
    failed: AtomicBool,
    last: Mutex<Option<Instant>>,
    times: Mutex<Vec<Duration>>,
}

/// Round trips, and their times in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct RoundTrips {
    pub(crate) count: u64,
    pub(crate) per_second: f64,
    pub(crate) min: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Tally {
    /// Right bytes have arrived, and with them so many messages.
    pub(crate) fn arrived(&self, bytes: usize, messages: u64) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.messages.fetch_add(messages, Ordering::Relaxed);
    }

    /// A message was sent.
    pub(crate) fn sent_one(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// The last byte of one connection arrived at `at`, and its round trips took these times.
    pub(crate) fn ended(&self, at: Option<Instant>, times: Vec<Duration>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (*last).max(at);
        drop(last);
        let mut all = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(times);
    }

    /// A thread can't go on: the others need not, either.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn last_arrival(&self) -> Option<Instant> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The round trips of a measurement that took so long.
    pub(crate) fn round_trips(&self, seconds: f64) -> RoundTrips {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.sort_unstable();
        let Some(last) = times.len().checked_sub(1) else {
            return RoundTrips::default();
        };
        let micros = |at: usize| times[at].as_nanos() as f64 / 1e3;
        // The nearest rank: so many of all took no longer.
        let rank = |thousandths: usize| micros((times.len() * thousandths).div_ceil(1000) - 1);
        RoundTrips {
            count: times.len() as u64,
            per_second: if seconds > 0.0 {
                times.len() as f64 / seconds
            } else {
                0.0
            },
            min: micros(0),
            p50: rank(500),
            p90: rank(900),
            p99: rank(990),
            p999: rank(999),
            max: micros(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_all_round_trips() {
        let tally = Tally::default();
        assert_eq!(tally.round_trips(1.0), RoundTrips::default());
        tally.ended(None, (1..=600).map(Duration::from_micros).collect());
        tally.ended(None, (601..=1000).map(Duration::from_micros).collect());
        let trips = tally.round_trips(2.0);
        assert_eq!((trips.count, trips.per_second), (1000, 500.0));
        assert_eq!((trips.min, trips.max), (1.0, 1000.0));
        assert_eq!(
            (trips.p50, trips.p90, trips.p99, trips.p999),
            (500.0, 900.0, 990.0, 999.0)
        );
    }
}
