//! Updating Control Parameters (draft-ietf-ccwg-bbr-06 §5.6): the pacing rate, the size of bursts,
//! and the window.

use super::{
    Bbr, INFINITE, MIN_PIPE_SEGMENTS, PACING_MARGIN, PROBE_RTT_CWND_GAIN, STARTUP_PACING_GAIN,
    State,
};
use crate::congestion::pacing;
use core::time::Duration;

/// §5.6.3: a burst is at most this long.
const SEND_QUANTUM_MAX: u64 = 65_536;
/// §5.5.8.1: quanta at the sender, in its device and at the receiver.
const OFFLOAD_QUANTA: u64 = 3;

/// `percent` of `value`.
pub(super) fn part(value: u64, percent: u64) -> u64 {
    let wide = u128::from(value) * u128::from(percent) / 100;
    u64::try_from(wide).unwrap_or(u64::MAX)
}

impl Bbr {
    /// InitPacingRate (): the initial window in a round trip, or in a millisecond where none was
    /// measured.
    pub(super) fn init_pacing_rate(&mut self, srtt: Option<Duration>) {
        let nanos = srtt
            .filter(|srtt| !srtt.is_zero())
            .unwrap_or(Duration::from_millis(1))
            .as_nanos();
        let nominal = u128::from(self.initial_cwnd) * 1_000_000_000 / nanos;
        let nominal = u64::try_from(nominal).unwrap_or(u64::MAX);
        self.pacing_rate = part(nominal, STARTUP_PACING_GAIN).max(1);
    }

    /// SetPacingRateWithGain (): it comes down only once the pipe has been full.
    pub(super) fn set_pacing_rate_with_gain(&mut self, gain: u64) {
        let rate = part(part(self.bandwidth.bw, gain), 100 - PACING_MARGIN);
        if rate > 0 && (self.full_bw.reached || rate > self.pacing_rate) {
            self.pacing_rate = rate;
        }
    }

    /// BDPMultiple (), of the bandwidth `bw`.
    pub(super) fn bdp_multiple(&self, bw: u64, gain: u64) -> u64 {
        match self.min_rtt.value {
            Some(min_rtt) => {
                let bdp = u128::from(bw).saturating_mul(min_rtt.as_nanos()) / 1_000_000_000;
                part(u64::try_from(bdp).unwrap_or(u64::MAX), gain)
            }
            None => self.initial_cwnd,
        }
    }

    /// BBR.bdp.
    pub(super) fn bdp(&self) -> u64 {
        self.bdp_multiple(self.bandwidth.bw, 100)
    }

    /// Inflight (): what keeps a path of the bandwidth `bw` busy.
    pub(super) fn inflight(&self, bw: u64, gain: u64) -> u64 {
        self.quantization_budget(self.bdp_multiple(bw, gain))
    }

    /// TargetInflight (): the BDP, unless congestion has cut the window.
    pub(super) fn target_inflight(&self) -> u64 {
        self.bdp().min(self.cwnd)
    }

    /// §5.6.4.3: MinPipeCwnd.
    pub(super) fn min_pipe_cwnd(&self) -> u64 {
        MIN_PIPE_SEGMENTS * self.smss
    }

    /// SetCwnd (): up to what the model asks for, by what is acknowledged; above it at once down.
    pub(super) fn set_cwnd(&mut self, newly_acked: u64) {
        let max_inflight = self.max_inflight();
        let grown = self.cwnd.saturating_add(newly_acked);
        if self.full_bw.reached {
            self.cwnd = grown.min(max_inflight);
        } else if self.cwnd < max_inflight || self.delivered < self.initial_cwnd {
            self.cwnd = grown;
        }
        self.cwnd = self.cwnd.max(self.min_pipe_cwnd());
        self.bound_cwnd_for_probe_rtt();
        self.bound_cwnd_for_model();
    }

    /// ProbeRTTCwnd ().
    pub(super) fn probe_rtt_cwnd(&self) -> u64 {
        self.bdp_multiple(self.bandwidth.bw, PROBE_RTT_CWND_GAIN)
            .max(self.min_pipe_cwnd())
    }

    /// BoundCwndForProbeRTT ().
    pub(super) fn bound_cwnd_for_probe_rtt(&mut self) {
        if self.state == State::ProbeRtt {
            self.cwnd = self.cwnd.min(self.probe_rtt_cwnd());
        }
    }

    /// BoundCwndForModel ().
    pub(super) fn bound_cwnd_for_model(&mut self) {
        let cap = match self.state {
            State::Down | State::Refill | State::Up => self.inflight_longterm,
            State::Cruise | State::ProbeRtt => self.inflight_with_headroom(),
            State::Startup | State::Drain => INFINITE,
        };
        let cap = cap.min(self.inflight_shortterm).max(self.min_pipe_cwnd());
        self.cwnd = self.cwnd.min(cap);
    }

    /// SaveCwnd ().
    pub(super) fn save_cwnd(&mut self) {
        self.prior_cwnd = if self.recovering || self.state == State::ProbeRtt {
            self.prior_cwnd.max(self.cwnd)
        } else {
            self.cwnd
        };
    }

    /// RestoreCwnd ().
    pub(super) fn restore_cwnd(&mut self) {
        self.cwnd = self.cwnd.max(self.prior_cwnd);
    }

    /// UpdateMaxInflight ().
    fn max_inflight(&self) -> u64 {
        let bdp = self.bdp_multiple(self.bandwidth.bw, self.cwnd_gain);
        self.quantization_budget(bdp.saturating_add(self.aggregation.extra_acked()))
    }

    /// QuantizationBudget ().
    fn quantization_budget(&self, inflight_cap: u64) -> u64 {
        let smss = u32::try_from(self.smss).unwrap_or(u32::MAX);
        let quantum = pacing::burst(self.pacing_rate, smss, SEND_QUANTUM_MAX);
        let cap = inflight_cap
            .max(OFFLOAD_QUANTA * quantum)
            .max(self.min_pipe_cwnd());
        match self.state {
            State::Up => cap.saturating_add(2 * self.smss),
            _ => cap,
        }
    }
}
