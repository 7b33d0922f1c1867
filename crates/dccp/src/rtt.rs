//! The round-trip time, and the time-out that follows from it (RFC 6298 §2).

use core::time::Duration;
use sockeye_core::Instant;

/// RFC 4340 §3.4: the round-trip time of whom nothing is known.
pub(crate) const RTT_DEFAULT: Duration = Duration::from_millis(200);
/// The least time-out, as TCP's here. RFC 4341 §5: nothing is sent again, so that it may be below a
/// second.
const RTO_MIN: Duration = Duration::from_millis(200);
/// RFC 6298 §2 (2.1).
const RTO_INITIAL: Duration = Duration::from_secs(1);
/// RFC 6298 §2 (2.5).
const RTO_MAX: Duration = Duration::from_secs(60);

/// SRTT and RTTVAR.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rtt {
    smoothed: Option<(Duration, Duration)>,
    backoff: u32,
}

impl Rtt {
    /// Takes a measurement.
    pub(crate) fn measured(&mut self, rtt: Duration) {
        let rtt = rtt.max(Duration::from_micros(1));
        self.backoff = 0;
        self.smoothed = Some(match self.smoothed {
            None => (rtt, rtt / 2),
            Some((srtt, var)) => {
                let error = srtt.abs_diff(rtt);
                ((srtt * 7 + rtt) / 8, (var * 3 + error) / 4)
            }
        });
    }

    /// SRTT, where anything was measured.
    pub(crate) fn srtt(&self) -> Option<Duration> {
        self.smoothed.map(|(srtt, _)| srtt)
    }

    /// SRTT or what stands for it.
    pub(crate) fn estimate(&self) -> Duration {
        self.srtt().unwrap_or(RTT_DEFAULT)
    }

    /// RFC 6298 §2, backed off.
    pub(crate) fn rto(&self) -> Duration {
        let base = self
            .smoothed
            .map_or(RTO_INITIAL, |(srtt, var)| srtt + (var * 4).max(RTO_MIN));
        base.saturating_mul(1 << self.backoff.min(16)).min(RTO_MAX)
    }

    /// RFC 6298 §5 (5.5).
    pub(crate) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }
}

/// Packets of all types that leave in a round trip.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Departures {
    since: Instant,
    now: u64,
    before: u64,
}

impl Departures {
    /// One has left.
    pub(crate) fn count(&mut self, now: Instant, rtt: Duration) {
        if now - self.since >= rtt {
            self.before = core::mem::take(&mut self.now);
            self.since = now;
        }
        self.now = self.now.saturating_add(1);
    }

    /// Of this round trip, so far, or of the one before.
    pub(crate) fn most(&self) -> u64 {
        self.now.max(self.before)
    }
}
