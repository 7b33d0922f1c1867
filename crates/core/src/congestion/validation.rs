//! How much of a window the path is known to carry (RFC 7661).
//!
//! A sender that has little to send keeps a window which nobody has tried for long. [`Validation`]
//! measures what was acknowledged in a round trip (pipeACK), and says when a window that is not used
//! has to come down: after five minutes, or when the first congestion shows that it was too large.
//! It belongs to the transport, beside a controller with a window; one that models the path
//! ([`shapes_recovery`](super::CongestionController::shapes_recovery)) needs none.
//!
//! - on each acknowledgment: [`on_ack`](Validation::on_ack);
//! - before new data is sent: [`check`](Validation::check), whose answer goes to
//!   [`on_unused`](super::CongestionController::on_unused);
//! - before a loss is told to the controller: [`on_loss`](Validation::on_loss), whose answer goes to
//!   [`set_window`](super::CongestionController::set_window) first: it is what the controller then
//!   reduces;
//! - after the recovery: [`on_recovered`](Validation::on_recovered), whose answer is cwnd and ssthresh;
//!   or [`on_spurious`](Validation::on_spurious), when nothing was lost, whose answer is cwnd;
//! - when the retransmission timer runs out: [`on_timeout`](Validation::on_timeout).

use crate::Instant;
use core::time::Duration;

/// RFC 7661 §4.4: the longest time that a window is kept without being used (NVP).
pub const NON_VALIDATED_PERIOD: Duration = Duration::from_secs(300);
/// RFC 7661 §4.2: samples of pipeACK count for three round trips, and for a second at least.
const SAMPLING_PERIOD_MIN: Duration = Duration::from_secs(1);
/// RFC 7661 §4.5.1: into how many parts the sampling period falls.
const PARTS: u32 = 5;

/// What is known of a window.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Validation {
    /// The largest sample of each part of the sampling period, and when the part began.
    parts: [Option<(Instant, u64)>; PARTS as usize],
    /// Where the sample that is being taken began, and what had been delivered then.
    sample: Option<(Instant, u64)>,
    /// The non-validated phase, and since when.
    non_validated: Option<Instant>,
    /// A loss in the non-validated phase: since when that was, and max (pipeACK, LossFlightSize).
    safe: Option<(Instant, u64)>,
    /// The window before it was cut down to that.
    unvalidated: Option<u64>,
    recovering: bool,
}

impl Default for Validation {
    fn default() -> Self {
        Self::new()
    }
}

impl Validation {
    /// RFC 7661 §4.1: the validated phase, with pipeACK undefined.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            parts: [None; PARTS as usize],
            sample: None,
            non_validated: None,
            safe: None,
            unvalidated: None,
            recovering: false,
        }
    }

    /// pipeACK: the most that was acknowledged in a round trip lately, or `None` while undefined.
    #[must_use]
    pub fn pipe_ack(&self, now: Instant, srtt: Duration) -> Option<u64> {
        let period = sampling_period(srtt);
        let known = self.parts.iter().flatten();
        // RFC 7661 §4.5.1: nothing came in during a pause: that is a sample of zero.
        known
            .map(|&(began, bytes)| if now - began > period { 0 } else { bytes })
            .max()
    }

    /// Whether the window is thought to be what the path carries.
    #[must_use]
    pub const fn is_validated(&self) -> bool {
        self.non_validated.is_none()
    }

    /// An acknowledgment: `delivered` bytes since the connection began.
    pub fn on_ack(&mut self, now: Instant, delivered: u64, srtt: Duration) {
        // RFC 7661 §4.2: pipeACK is not updated during recovery.
        if !self.recovering {
            self.take_sample(now, delivered, srtt);
        }
    }

    /// Looks at a window of `cwnd` bytes before new data is sent.
    ///
    /// `Some(used)` when the window has not been used for the whole non-validated period: it has to
    /// come down, and `used` bytes of it at most were in use.
    #[must_use]
    pub fn check(&mut self, now: Instant, srtt: Duration, cwnd: u64) -> Option<u64> {
        let pipe_ack = self.pipe_ack(now, srtt).filter(|_| !self.recovering)?;
        // RFC 7661 §4.3: validated while pipeACK is half of cwnd, which slow start doubles it to.
        if pipe_ack >= cwnd / 2 {
            self.non_validated = None;
            return None;
        }
        // Who was silent has been in this phase since the last sample lost its force.
        let newest = self.parts.iter().flatten().map(|part| part.0).max();
        let silent = newest.map_or(now, |newest| newest + sampling_period(srtt));
        let since = *self.non_validated.get_or_insert(silent.min(now));
        if now - since < NON_VALIDATED_PERIOD {
            return None;
        }
        // RFC 7661 §4.4.3, §4.5.2: once for each such period.
        self.non_validated = Some(since + NON_VALIDATED_PERIOD);
        Some(pipe_ack)
    }

    /// Acknowledgments show a loss while `flight_size` bytes are out (LossFlightSize) of a window of `cwnd`.
    ///
    /// `Some(bytes)` in the non-validated phase: the window is no larger than that, and then reduced
    /// as always (RFC 7661 §4.4.1).
    #[must_use]
    pub fn on_loss(
        &mut self,
        now: Instant,
        srtt: Duration,
        flight_size: u64,
        cwnd: u64,
    ) -> Option<u64> {
        self.recovering = true;
        self.sample = None;
        let pipe_ack = self.pipe_ack(now, srtt).unwrap_or(0);
        let since = self.non_validated.take();
        self.safe = since.map(|since| (since, pipe_ack.max(flight_size)));
        self.unvalidated = since.map(|_| cwnd);
        self.safe.map(|(_, bytes)| bytes)
    }

    /// What was taken for a loss was none: what was known of the window still is.
    ///
    /// `Some(cwnd)` where [`on_loss`](Self::on_loss) cut the window down: what it was.
    #[must_use]
    pub fn on_spurious(&mut self) -> Option<u64> {
        self.recovering = false;
        if let Some((since, _)) = self.safe.take() {
            self.non_validated = Some(since);
        }
        self.unvalidated.take()
    }

    /// The recovery is over; `retransmitted` bytes had to be sent again.
    ///
    /// `Some(bytes)` where the loss came in the non-validated phase: cwnd and ssthresh are no more
    /// than that (RFC 7661 §4.4.1).
    #[must_use]
    pub fn on_recovered(&mut self, retransmitted: u64) -> Option<u64> {
        let safe = self.safe.take();
        *self = Self {
            unvalidated: self.unvalidated,
            ..Self::new()
        };
        safe.map(|(_, safe)| safe.saturating_sub(retransmitted) / 2)
    }

    /// RFC 7661 §4.4: a time-out ends the non-validated phase; what follows is RFC 5681's.
    pub fn on_timeout(&mut self) {
        *self = Self::new();
    }

    /// RFC 7661 §4.2: one sample for each round trip, the largest of each part of the period kept.
    fn take_sample(&mut self, now: Instant, delivered: u64, srtt: Duration) {
        let (began, before) = *self.sample.get_or_insert((now, delivered));
        if now - began < srtt || now == began {
            return;
        }
        self.sample = Some((now, delivered));
        let bytes = delivered.saturating_sub(before);
        let part_len = sampling_period(srtt) / PARTS;
        match self.parts.iter_mut().flatten().max_by_key(|part| part.0) {
            Some(part) if now - part.0 < part_len => part.1 = part.1.max(bytes),
            _ => {
                let oldest = self.parts.iter_mut().min_by_key(|part| part.map(|p| p.0));
                if let Some(oldest) = oldest {
                    *oldest = Some((now, bytes));
                }
            }
        }
    }
}

/// RFC 7661 §4.2: max (3*RTT, 1 second).
fn sampling_period(srtt: Duration) -> Duration {
    srtt.saturating_mul(3).max(SAMPLING_PERIOD_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(100);
    const CWND: u64 = 100_000;

    /// A connection that delivers `bytes` in each round trip.
    struct Flow {
        validation: Validation,
        now: Instant,
        delivered: u64,
    }

    impl Flow {
        fn new() -> Self {
            Self {
                validation: Validation::new(),
                now: Instant::from_millis(1000),
                delivered: 0,
            }
        }

        fn rounds(&mut self, rounds: u64, bytes: u64) -> Vec<u64> {
            let mut told = Vec::new();
            for _ in 0..rounds {
                self.now += RTT;
                self.delivered += bytes;
                self.validation.on_ack(self.now, self.delivered, RTT);
                told.extend(self.validation.check(self.now, RTT, CWND));
            }
            told
        }

        fn pipe_ack(&self) -> Option<u64> {
            self.validation.pipe_ack(self.now, RTT)
        }

        fn loss(&mut self, flight_size: u64) -> Option<u64> {
            self.validation.on_loss(self.now, RTT, flight_size, CWND)
        }
    }

    #[test]
    fn a_window_is_valid_while_half_of_it_is_acknowledged_in_a_round_trip() {
        let mut flow = Flow::new();
        assert_eq!(flow.pipe_ack(), None);
        flow.rounds(3, 50_000);
        assert_eq!(flow.pipe_ack(), Some(50_000));
        assert!(flow.validation.is_validated());
        // The large samples count for a second.
        flow.rounds(8, 10_000);
        assert!(flow.validation.is_validated());
        flow.rounds(5, 10_000);
        assert_eq!(flow.pipe_ack(), Some(10_000));
        assert!(!flow.validation.is_validated());
        flow.rounds(1, 50_000);
        assert!(flow.validation.is_validated());
    }

    #[test]
    fn an_unused_window_comes_down_every_five_minutes() {
        let mut flow = Flow::new();
        assert_eq!(flow.rounds(2990, 10_000), []);
        assert_eq!(flow.rounds(30, 10_000), [10_000]);
        assert_eq!(flow.rounds(3000, 10_000), [10_000]);
        // A moment of use starts the five minutes anew.
        flow.rounds(1, 60_000);
        assert_eq!(flow.rounds(2990, 10_000), []);
    }

    #[test]
    fn silence_counts_from_when_the_last_sample_lost_its_force() {
        let mut flow = Flow::new();
        flow.rounds(3, 80_000);
        let check = |flow: &mut Flow, secs| {
            let now = flow.now + Duration::from_secs(secs);
            flow.validation.check(now, RTT, CWND)
        };
        // The sampling period is a second.
        assert_eq!(check(&mut flow, 300), None);
        assert_eq!(check(&mut flow, 302), Some(0));
        assert_eq!(check(&mut flow, 303), None);
    }

    #[test]
    fn a_loss_in_the_non_validated_phase_counts_from_what_was_used() {
        let mut flow = Flow::new();
        flow.rounds(20, 10_000);
        assert_eq!(flow.loss(4000), Some(10_000));
        assert_eq!(flow.rounds(5, 90_000), [], "no samples meanwhile");
        // (max (pipeACK, LossFlightSize) - R) / 2.
        assert_eq!(flow.validation.on_recovered(2000), Some(4000));
        assert_eq!(flow.pipe_ack(), None);
        assert!(flow.validation.is_validated());

        flow.rounds(20, 10_000);
        assert_eq!(flow.loss(30_000), Some(30_000));
    }

    #[test]
    fn what_was_no_loss_leaves_all_as_it_was() {
        let mut flow = Flow::new();
        flow.rounds(1000, 10_000);
        assert_eq!(flow.loss(4000), Some(10_000));
        flow.rounds(5, 10_000);
        assert_eq!(flow.validation.on_spurious(), Some(CWND));
        assert!(!flow.validation.is_validated());
        flow.rounds(1, 10_000);
        assert_eq!(flow.pipe_ack(), Some(10_000), "samples are taken again");
        // The five minutes have not begun anew.
        assert_eq!(flow.rounds(1980, 10_000), []);
        assert_eq!(flow.rounds(40, 10_000), [10_000]);
        assert_eq!(flow.validation.on_spurious(), None, "once");
        // It may also turn out when the recovery is over.
        flow.loss(4000);
        assert_eq!(flow.validation.on_recovered(2000), Some(4000));
        assert_eq!(flow.validation.on_spurious(), Some(CWND));
    }

    #[test]
    fn a_loss_in_the_validated_phase_changes_nothing() {
        let mut flow = Flow::new();
        flow.rounds(20, 80_000);
        assert_eq!(flow.loss(80_000), None);
        assert_eq!(flow.validation.on_recovered(1000), None);
        flow.rounds(20, 10_000);
        flow.validation.on_timeout();
        assert_eq!(flow.loss(80_000), None);
    }
}
