//! Round-trip time and retransmission time-out of one path (RFC 9260 §6.3.1).

use core::time::Duration;

/// RFC 9260 §6.3.1 G1: the granularity of the clock.
const GRANULARITY: Duration = Duration::from_micros(1);

/// The bounds of an RTO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtoBounds {
    /// RTO.Initial.
    pub initial: Duration,
    /// RTO.Min.
    pub min: Duration,
    /// RTO.Max.
    pub max: Duration,
}

/// SRTT, RTTVAR and RTO.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rto {
    bounds: RtoBounds,
    srtt: Option<Duration>,
    rttvar: Duration,
    rto: Duration,
    /// The largest that was computed since it was last asked for.
    largest: Option<Duration>,
}

impl Rto {
    /// C1: before any measurement it is RTO.Initial.
    pub(crate) fn new(bounds: RtoBounds) -> Self {
        Self {
            bounds,
            srtt: None,
            rttvar: Duration::ZERO,
            rto: bounds.initial,
            largest: None,
        }
    }

    /// The time-out now, after any doubling.
    pub(crate) const fn current(&self) -> Duration {
        self.rto
    }

    /// The smoothed round-trip time.
    pub(crate) const fn srtt(&self) -> Option<Duration> {
        self.srtt
    }

    /// C2, C3: a measurement of what was sent once.
    pub(crate) fn measured(&mut self, rtt: Duration) {
        match self.srtt {
            None => {
                self.srtt = Some(rtt);
                self.rttvar = rtt / 2;
            }
            Some(srtt) => {
                // RTO.Beta is 1/4, RTO.Alpha 1/8.
                let error = srtt.abs_diff(rtt);
                self.rttvar = self.rttvar * 3 / 4 + error / 4;
                self.srtt = Some(srtt * 7 / 8 + rtt / 8);
            }
        }
        self.rttvar = self.rttvar.max(GRANULARITY);
        let srtt = self.srtt.unwrap_or_default();
        self.becomes(srtt.saturating_add(self.rttvar.saturating_mul(4)));
    }

    /// E2: the time-out doubles.
    pub(crate) fn back_off(&mut self) {
        self.becomes(self.rto.saturating_mul(2));
    }

    /// The largest time-out that was computed since this was last asked, if one was.
    pub(crate) fn take_largest(&mut self) -> Option<Duration> {
        self.largest.take()
    }

    fn becomes(&mut self, rto: Duration) {
        self.rto = self.bounded(rto);
        self.largest = self.largest.max(Some(self.rto));
    }

    /// Other bounds, from now on.
    pub(crate) fn set_bounds(&mut self, bounds: RtoBounds) {
        self.bounds = bounds;
        self.rto = match self.srtt {
            Some(_) => self.bounded(self.rto),
            None => bounds.initial,
        };
    }

    /// C6, C7.
    fn bounded(&self, rto: Duration) -> Duration {
        rto.max(self.bounds.min).min(self.bounds.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn bounds() -> RtoBounds {
        RtoBounds {
            initial: MS(3000),
            min: MS(10),
            max: MS(60_000),
        }
    }

    /// RFC 9260 §6.3.1 C1 to C3.
    #[test]
    fn the_first_measurement_is_taken_whole_and_later_ones_are_smoothed() {
        let mut rto = Rto::new(bounds());
        assert_eq!(rto.current(), MS(3000));
        rto.measured(MS(100));
        assert_eq!((rto.srtt(), rto.current()), (Some(MS(100)), MS(300)));
        rto.measured(MS(180));
        // RTTVAR = 3/4 * 50 + 1/4 * 80 = 57.5; SRTT = 7/8 * 100 + 1/8 * 180 = 110.
        assert_eq!((rto.srtt(), rto.current()), (Some(MS(110)), MS(340)));
    }

    /// C6, C7 and E2.
    #[test]
    fn it_stays_within_its_bounds() {
        let mut rto = Rto::new(bounds());
        for _ in 0..10 {
            rto.back_off();
        }
        assert_eq!(rto.current(), MS(60_000));
        rto.measured(Duration::ZERO);
        assert_eq!(rto.current(), MS(10));
    }
}
