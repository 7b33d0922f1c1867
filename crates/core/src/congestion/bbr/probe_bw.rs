//! ProbeBW (draft-ietf-ccwg-bbr-06 §5.3.3): slower than the path to drain it, as fast as it to cruise,
//! one round at its rate to refill it, faster to see whether there is more.

use super::control::part;
use super::{
    Bbr, CWND_GAIN, DOWN_PACING_GAIN, HEADROOM, INFINITE, Sample, State, UP_CWND_GAIN,
    UP_PACING_GAIN,
};
use crate::Instant;
use core::time::Duration;

/// §5.3.3.8: the wait between probes, and up to as much again by chance.
const PROBE_WAIT_MIN: Duration = Duration::from_secs(2);
const PROBE_WAIT_SPREAD_MS: u64 = 1000;
/// §5.3.3.8: rounds between probes at most, for the sake of Reno and CUBIC beside it.
const RENO_ROUNDS_MAX: u64 = 63;
/// The growth of inflight_longterm doubles for so many rounds at most.
const UP_ROUNDS_MAX: u32 = 30;

/// What acknowledgments tell of, with regard to probing (BBR.ack_phase).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum AckPhase {
    Init,
    Refilling,
    ProbeStarting,
    ProbeFeedback,
    ProbeStopping,
}

/// Where the cycle stands.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Cycle {
    pub(super) ack_phase: AckPhase,
    /// When the cycle began.
    stamp: Instant,
    /// BBR.bw_probe_wait.
    wait: Duration,
    up_rounds: u32,
    up_acked: u64,
    /// BBR.probe_up_acked_per_inc.
    acked_per_inc: u64,
    /// BBR.is_bw_probe_sample.
    pub(super) is_probe_sample: bool,
    /// BBR.prev_probe_too_high, BBR.prev_probe_precautionary.
    pub(super) prev_too_high: bool,
    prev_precautionary: bool,
}

impl Cycle {
    pub(super) const fn new() -> Self {
        Self {
            ack_phase: AckPhase::Init,
            stamp: Instant::ZERO,
            wait: Duration::ZERO,
            up_rounds: 0,
            up_acked: 0,
            acked_per_inc: INFINITE,
            is_probe_sample: false,
            prev_too_high: false,
            prev_precautionary: false,
        }
    }
}

impl Bbr {
    /// StartProbeBW_DOWN () and, from Drain, EnterProbeBW ().
    pub(super) fn start_probe_bw_down(&mut self, now: Instant) {
        self.latest.reset();
        self.cycle.acked_per_inc = INFINITE;
        // PickProbeWait ().
        self.rounds.since_probe_up = self.random(2);
        self.cycle.wait = PROBE_WAIT_MIN + Duration::from_millis(self.random(PROBE_WAIT_SPREAD_MS));
        self.cycle.stamp = now;
        self.cycle.ack_phase = AckPhase::ProbeStopping;
        self.start_round();
        self.enter(State::Down, DOWN_PACING_GAIN, CWND_GAIN);
    }

    /// StartProbeBW_CRUISE ().
    pub(super) fn start_probe_bw_cruise(&mut self) {
        self.enter(State::Cruise, 100, CWND_GAIN);
    }

    /// StartProbeBW_REFILL ().
    pub(super) fn start_probe_bw_refill(&mut self) {
        self.reset_short_term_model();
        self.cycle.up_rounds = 0;
        self.cycle.up_acked = 0;
        self.cycle.prev_precautionary = false;
        self.cycle.ack_phase = AckPhase::Refilling;
        self.start_round();
        self.enter(State::Refill, 100, CWND_GAIN);
    }

    /// UpdateProbeBWCyclePhase ().
    pub(super) fn update_probe_bw_cycle_phase(&mut self, rs: &Sample) {
        if !self.full_bw.reached || self.adapt_long_term_model(rs) {
            return;
        }
        match self.state {
            State::Down => {
                if !self.is_time_to_probe_bw(rs.now) && self.is_time_to_cruise() {
                    self.start_probe_bw_cruise();
                }
            }
            State::Cruise => {
                self.is_time_to_probe_bw(rs.now);
            }
            State::Refill if self.rounds.start => {
                self.cycle.is_probe_sample = true;
                self.start_probe_bw_up(rs);
            }
            State::Up => {
                if self.is_time_to_go_down(rs) {
                    self.cycle.prev_too_high = false;
                    self.start_probe_bw_down(rs.now);
                }
            }
            State::Refill | State::Startup | State::Drain | State::ProbeRtt => {}
        }
    }

    /// InflightWithHeadroom (): room in the path for others.
    pub(super) fn inflight_with_headroom(&self) -> u64 {
        if self.inflight_longterm == INFINITE {
            return INFINITE;
        }
        let headroom = part(self.inflight_longterm, HEADROOM).max(self.smss);
        self.inflight_longterm
            .saturating_sub(headroom)
            .max(self.min_pipe_cwnd())
    }

    /// StartProbeBW_UP ().
    fn start_probe_bw_up(&mut self, rs: &Sample) {
        self.cycle.ack_phase = AckPhase::ProbeStarting;
        self.start_round();
        self.full_bw.reset();
        self.full_bw.bw = rs.delivery_rate;
        self.enter(State::Up, UP_PACING_GAIN, UP_CWND_GAIN);
        self.raise_inflight_longterm_slope();
    }

    /// IsTimeToProbeBW () and IsRenoCoexistenceProbeTime (): after a time by the clock, or after the
    /// rounds that Reno would take to come back from a loss.
    fn is_time_to_probe_bw(&mut self, now: Instant) -> bool {
        let reno_rounds = (self.target_inflight() / self.smss).min(RENO_ROUNDS_MAX);
        let is_time =
            now > self.cycle.stamp + self.cycle.wait || self.rounds.since_probe_up >= reno_rounds;
        if is_time {
            self.start_probe_bw_refill();
        }
        is_time
    }

    /// IsTimeToCruise ().
    fn is_time_to_cruise(&self) -> bool {
        self.in_flight <= self.inflight_with_headroom()
            && self.in_flight <= self.inflight(self.bandwidth.max(), 100)
    }

    /// IsTimeToGoDown (). Whether the probe before went too high is judged before the caller clears it.
    fn is_time_to_go_down(&mut self, rs: &Sample) -> bool {
        if self.cycle.prev_too_high && self.in_flight >= self.inflight_longterm {
            // §5.3.3.6: what had been too much is not held for a whole round again.
            self.cycle.prev_precautionary = true;
            return true;
        }
        if self.cwnd_limited && self.cwnd >= self.inflight_longterm {
            // It is the bound that holds the bandwidth down.
            self.full_bw.reset();
            self.full_bw.bw = rs.delivery_rate;
            return false;
        }
        self.full_bw.now
    }

    /// AdaptLongTermModel (): true when the state has been decided.
    fn adapt_long_term_model(&mut self, rs: &Sample) -> bool {
        if self.rounds.start {
            match self.cycle.ack_phase {
                AckPhase::ProbeStarting => self.cycle.ack_phase = AckPhase::ProbeFeedback,
                AckPhase::ProbeStopping => {
                    if self.end_of_probe(rs) {
                        return true;
                    }
                }
                AckPhase::Init | AckPhase::Refilling | AckPhase::ProbeFeedback => {}
            }
        }
        if rs.prior_delivered.is_some()
            && self.inflight_longterm != INFINITE
            && !self.is_inflight_too_high(rs.lost, rs.tx_in_flight)
        {
            self.inflight_longterm = self.inflight_longterm.max(rs.tx_in_flight);
            if self.state == State::Up {
                self.probe_inflight_longterm_upward(rs);
            }
        }
        false
    }

    /// The last samples of a probe are in. True when the next begins at once: the careful one
    /// (§5.3.3.6) found nothing to fear.
    fn end_of_probe(&mut self, rs: &Sample) -> bool {
        self.cycle.is_probe_sample = false;
        self.cycle.ack_phase = AckPhase::Init;
        if !self.is_in_probe_bw() {
            return false;
        }
        if !rs.app_limited {
            self.bandwidth.advance();
        }
        let again = self.cycle.prev_precautionary && !self.cycle.prev_too_high;
        if again {
            self.start_probe_bw_refill();
        }
        again
    }

    /// ProbeInflightLongtermUpward ().
    fn probe_inflight_longterm_upward(&mut self, rs: &Sample) {
        if !self.cwnd_limited || self.cwnd < self.inflight_longterm {
            return;
        }
        let cycle = &mut self.cycle;
        cycle.up_acked = cycle.up_acked.saturating_add(rs.newly_acked);
        let delta = cycle.up_acked / cycle.acked_per_inc;
        cycle.up_acked -= delta * cycle.acked_per_inc;
        let grow = delta.saturating_mul(self.smss);
        self.inflight_longterm = self.inflight_longterm.saturating_add(grow);
        if self.rounds.start {
            self.raise_inflight_longterm_slope();
        }
    }

    /// RaiseInflightLongtermSlope (): 1, 2, 4, … segments in a round.
    fn raise_inflight_longterm_slope(&mut self) {
        let growth = 1 << self.cycle.up_rounds;
        self.cycle.up_rounds = (self.cycle.up_rounds + 1).min(UP_ROUNDS_MAX);
        self.cycle.acked_per_inc = (self.cwnd / growth).max(self.smss);
    }
}
