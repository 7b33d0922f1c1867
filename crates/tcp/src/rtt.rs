//! Round-trip time and retransmission time-out (RFC 6298).

use core::time::Duration;

/// RFC 6298 §2 (2.1): the RTO before any measurement.
pub(crate) const RTO_INITIAL: Duration = Duration::from_secs(1);
/// RFC 6298 §5 (5.7): the RTO after a handshake in which the SYN was retransmitted.
pub(crate) const RTO_AFTER_LOST_SYN: Duration = Duration::from_secs(3);
/// The least that is added to SRTT. RFC 6298 §2 (2.4) asks for an RTO of at least one second, as a
/// SHOULD for clocks and delayed acknowledgments of half a second; every current host delays
/// them less, and 200 ms is what Linux and others have used for decades.
pub(crate) const RTO_MARGIN_MIN: Duration = Duration::from_millis(200);
/// RFC 6298 §2 (2.5): the upper bound, at least 60 s.
pub(crate) const RTO_MAX: Duration = Duration::from_secs(120);

/// SRTT, RTTVAR and RTO of one connection. Times are kept in whole nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RttEstimator {
    srtt: Option<Duration>,
    rttvar: Duration,
    min: Option<Duration>,
    /// Doublings of the RTO (RFC 6298 §5 (5.5)).
    backoff: u8,
    /// The SYN was retransmitted, and nothing has been measured since.
    lost_syn: bool,
}

impl RttEstimator {
    /// Takes a measurement of a segment that was sent once (Karn's algorithm, RFC 6298 §3).
    pub(crate) fn measured(&mut self, rtt: Duration) {
        // RFC 6298 §2 (2.2) and (2.3), with alpha = 1/8 and beta = 1/4.
        match self.srtt {
            None => {
                self.srtt = Some(rtt);
                self.rttvar = rtt / 2;
            }
            Some(srtt) => {
                let error = srtt.abs_diff(rtt);
                self.rttvar = self.rttvar * 3 / 4 + error / 4;
                self.srtt = Some(srtt * 7 / 8 + rtt / 8);
            }
        }
        self.min = Some(self.min.map_or(rtt, |min| min.min(rtt)));
        self.lost_syn = false;
    }

    /// RFC 6298 §2: RTO = SRTT + max (G, 4*RTTVAR), backed off and within its bounds.
    pub(crate) fn rto(&self) -> Duration {
        let base = match self.srtt {
            Some(srtt) => srtt + (self.rttvar * 4).max(RTO_MARGIN_MIN),
            None if self.lost_syn => RTO_AFTER_LOST_SYN,
            None => RTO_INITIAL,
        };
        base.saturating_mul(1 << self.backoff.min(16)).min(RTO_MAX)
    }

    /// RFC 6298 §5 (5.5): the timer ran out: twice the time from now on.
    pub(crate) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    /// An acknowledgment of new data undoes the backing off.
    pub(crate) fn progress(&mut self) {
        self.backoff = 0;
    }

    /// RFC 6298 §5 (5.7): the SYN was lost, and the connection stands now.
    pub(crate) fn syn_was_retransmitted(&mut self) {
        self.backoff = 0;
        self.lost_syn = true;
    }

    pub(crate) fn srtt(&self) -> Option<Duration> {
        self.srtt
    }

    pub(crate) fn rttvar(&self) -> Duration {
        self.rttvar
    }

    pub(crate) fn min(&self) -> Option<Duration> {
        self.min
    }

    pub(crate) fn backoff(&self) -> u8 {
        self.backoff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_first_measurement_sets_and_later_ones_smooth() {
        let mut rtt = RttEstimator::default();
        assert_eq!(rtt.rto(), RTO_INITIAL);
        rtt.measured(100 * MS);
        assert_eq!(rtt.srtt(), Some(100 * MS));
        assert_eq!(rtt.rto(), 300 * MS); // 100 + 4 * 50
        rtt.measured(180 * MS);
        assert_eq!(rtt.srtt(), Some(110 * MS)); // 7/8 * 100 + 1/8 * 180
        assert_eq!(rtt.rttvar(), Duration::from_micros(57_500)); // 3/4 * 50 + 1/4 * 80
        assert_eq!(rtt.rto(), 340 * MS);
        assert_eq!(rtt.min(), Some(100 * MS));
    }

    #[test]
    fn it_backs_off_to_the_bound_and_an_acknowledgment_undoes_it() {
        let mut rtt = RttEstimator::default();
        rtt.measured(10 * MS);
        assert_eq!(rtt.rto(), 210 * MS); // the margin has its floor
        rtt.back_off();
        assert_eq!(rtt.rto(), 420 * MS);
        for _ in 0..300 {
            rtt.back_off();
        }
        assert_eq!(rtt.rto(), RTO_MAX);
        rtt.progress();
        assert_eq!(rtt.rto(), 210 * MS);
    }

    #[test]
    fn a_lost_syn_makes_it_cautious() {
        let mut rtt = RttEstimator::default();
        rtt.back_off();
        assert_eq!(rtt.rto(), 2 * RTO_INITIAL);
        rtt.syn_was_retransmitted();
        assert_eq!(rtt.rto(), RTO_AFTER_LOST_SYN);
        rtt.measured(10 * MS);
        assert_eq!(rtt.rto(), 210 * MS);
    }
}
