//! Startup and Drain (draft-ietf-ccwg-bbr-06 §5.3.1, §5.3.2), and the signs that the pipe is full.

use super::{Bbr, CWND_GAIN, DRAIN_PACING_GAIN, STARTUP_PACING_GAIN, Sample, State};

/// §5.3.1.2: rounds without growth.
const FULL_BW_ROUNDS: u32 = 3;
/// §5.3.1.2: growth that counts, percent of what was before.
const FULL_BW_GROWTH: u64 = 125;
/// §5.3.1.3: losses apart from each other in a round (BBRStartupFullLossCnt).
const FULL_LOSS_COUNT: u32 = 6;
/// §5.3.2: rounds of Drain at most.
const DRAIN_ROUNDS: u64 = 3;

/// Whether the bandwidth still grows.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct FullBw {
    /// The pipe has been full once.
    pub(super) reached: bool,
    /// It is full since probing began.
    pub(super) now: bool,
    pub(super) bw: u64,
    count: u32,
    /// Acknowledgments of this round that showed losses.
    losses: u32,
    drain_start: u64,
}

impl FullBw {
    /// ResetFullBW ().
    pub(super) fn reset(&mut self) {
        self.bw = 0;
        self.count = 0;
        self.now = false;
    }
}

impl Bbr {
    /// EnterStartup ().
    pub(super) fn enter_startup(&mut self) {
        self.enter(State::Startup, STARTUP_PACING_GAIN, CWND_GAIN);
    }

    /// CheckFullBWReached ().
    pub(super) fn check_full_bw_reached(&mut self, rs: &Sample) {
        let full = &mut self.full_bw;
        if full.now || !self.rounds.start || rs.app_limited || rs.delivery_rate == 0 {
            return;
        }
        if u128::from(rs.delivery_rate) * 100 >= u128::from(full.bw) * u128::from(FULL_BW_GROWTH) {
            full.reset();
            full.bw = rs.delivery_rate;
            return;
        }
        full.count += 1;
        full.now = full.count >= FULL_BW_ROUNDS;
        full.reached |= full.now;
    }

    /// CheckStartupDone ().
    pub(super) fn check_startup_done(&mut self, rs: &Sample) {
        self.check_startup_high_loss(rs);
        if self.state == State::Startup && self.full_bw.reached {
            self.enter(State::Drain, DRAIN_PACING_GAIN, CWND_GAIN);
            self.full_bw.drain_start = self.rounds.count;
        }
    }

    /// CheckDrainDone ().
    pub(super) fn check_drain_done(&mut self, rs: &Sample) {
        if self.state == State::Drain
            && (self.in_flight <= self.inflight(self.bandwidth.bw, 100)
                || self.rounds.count > self.full_bw.drain_start + DRAIN_ROUNDS)
        {
            self.start_probe_bw_down(rs.now);
        }
    }

    /// CheckStartupHighLoss (): a round of recovery, in which too much was lost in too many places.
    /// The places are counted as acknowledgments that show losses: what was lost together is found
    /// together.
    fn check_startup_high_loss(&mut self, rs: &Sample) {
        if self.state != State::Startup || self.full_bw.reached {
            return;
        }
        if rs.newly_lost > 0 {
            self.full_bw.losses = self.full_bw.losses.saturating_add(1);
        }
        let is_done = if self.selective {
            self.recovering
                && self.latest.round_start
                && self.full_bw.losses >= FULL_LOSS_COUNT
                && self.is_inflight_too_high(rs.lost, rs.tx_in_flight)
        } else {
            self.recovering && rs.newly_lost > 0
        };
        if is_done {
            self.undo.state = Some(State::Startup);
            self.full_bw.reached = true;
            self.full_bw.now = true;
            self.inflight_longterm = self.bdp().max(self.latest.inflight);
        } else if self.latest.round_start {
            self.full_bw.losses = 0;
        }
    }
}
