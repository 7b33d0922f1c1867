//! BBRv3 as draft-ietf-ccwg-bbr-06 (July 2026) has it: a model of the path instead of losses alone.
//!
//! The bandwidth and the smallest round trip that were measured say how fast to send and how much may
//! be in flight; losses bound both. The chapters of the draft:
//! - `startup`: Startup and Drain (§5.3.1, §5.3.2), and when the pipe is full,
//! - `probe_bw`: the cycle Down, Cruise, Refill, Up (§5.3.3),
//! - `probe_rtt`: the smallest round trip and its probing (§5.3.4),
//! - `model`: rounds, bandwidth, aggregation, the bounds that losses set, and undo (§5.5),
//! - `control`: pacing rate and window (§5.6).
//!
//! Here are the state, the order of the steps, and the controller's calls. Names are the draft's.
//! Marks of ECN count as losses, which the draft asks for without saying how (§3.7).

mod control;
mod model;
mod probe_bw;
mod probe_rtt;
mod startup;

use super::{Ack, Cause, CongestionController, Lost, Sent, Setup, initial_window};
use crate::Instant;
use core::time::Duration;
use model::{Aggregation, Bandwidth, Latest, Rounds, Undo};
use probe_bw::Cycle;
use probe_rtt::MinRtt;
use startup::FullBw;

/// No bound, or not known yet.
const INFINITE: u64 = u64::MAX;

/// Percent.
const BETA: u64 = 70;
const LOSS_THRESH: u64 = 2;
const HEADROOM: u64 = 15;
const PACING_MARGIN: u64 = 1;
/// Pacing gains, percent.
const STARTUP_PACING_GAIN: u64 = 277;
const DRAIN_PACING_GAIN: u64 = 50;
const DOWN_PACING_GAIN: u64 = 90;
const UP_PACING_GAIN: u64 = 125;
/// Window gains, percent.
const CWND_GAIN: u64 = 200;
const UP_CWND_GAIN: u64 = 225;
const PROBE_RTT_CWND_GAIN: u64 = 50;
/// Segments that keep acknowledgments coming from who acknowledges every other (MinPipeCwnd).
const MIN_PIPE_SEGMENTS: u64 = 4;

/// Where the state machine stands. The four in the middle are ProbeBW.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum State {
    Startup,
    Drain,
    Down,
    Cruise,
    Refill,
    Up,
    ProbeRtt,
}

/// What the acknowledgment at hand says (RS).
#[derive(Clone, Copy, Debug)]
struct Sample {
    now: Instant,
    newly_acked: u64,
    newly_lost: u64,
    rtt: Option<Duration>,
    /// Bytes a second; 0 without a sample.
    delivery_rate: u64,
    delivered: u64,
    /// RS.prior_delivered; without it there is no sample.
    prior_delivered: Option<u64>,
    tx_in_flight: u64,
    lost: u64,
    app_limited: bool,
}

/// The controller of draft-ietf-ccwg-bbr.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Bbr {
    smss: u64,
    cwnd: u64,
    initial_cwnd: u64,
    /// The last window that neither a recovery nor ProbeRTT had cut.
    prior_cwnd: u64,
    pacing_rate: u64,
    /// A round trip has been measured.
    has_rtt: bool,
    state: State,
    pacing_gain: u64,
    cwnd_gain: u64,
    /// C.delivered, C.inflight, C.is_cwnd_limited as the last acknowledgment told them.
    delivered: u64,
    in_flight: u64,
    cwnd_limited: bool,
    selective: bool,
    /// An episode of the transport's recovery is under way.
    recovering: bool,
    idle_restart: bool,
    /// Samples of what was sent before so much was delivered count as limited by the application.
    ignored_until: Option<u64>,
    rounds: Rounds,
    bandwidth: Bandwidth,
    aggregation: Aggregation,
    latest: Latest,
    inflight_longterm: u64,
    inflight_shortterm: u64,
    full_bw: FullBw,
    cycle: Cycle,
    min_rtt: MinRtt,
    undo: Undo,
    /// The state of the generator of chance.
    chance: u64,
}

impl Bbr {
    /// One at the start of a connection.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        let initial_cwnd = initial_window(setup.smss.max(1));
        let mut bbr = Self {
            smss: setup.smss.max(1).into(),
            cwnd: initial_cwnd,
            initial_cwnd,
            prior_cwnd: 0,
            pacing_rate: 0,
            has_rtt: false,
            state: State::Startup,
            pacing_gain: STARTUP_PACING_GAIN,
            cwnd_gain: CWND_GAIN,
            delivered: 0,
            in_flight: 0,
            cwnd_limited: false,
            selective: true,
            recovering: false,
            idle_restart: false,
            ignored_until: None,
            rounds: Rounds::default(),
            bandwidth: Bandwidth::new(),
            aggregation: Aggregation::default(),
            latest: Latest::default(),
            inflight_longterm: INFINITE,
            inflight_shortterm: INFINITE,
            full_bw: FullBw::default(),
            cycle: Cycle::new(),
            min_rtt: MinRtt::default(),
            undo: Undo::default(),
            chance: setup.seed,
        };
        bbr.init_pacing_rate(None);
        bbr
    }

    /// GenerateRateSample (), as far as the transport has not done it.
    fn sample(&self, ack: &Ack) -> Sample {
        let mut sample = Sample {
            now: ack.now,
            newly_acked: ack.acked,
            newly_lost: ack.lost.saturating_add(ack.marked),
            rtt: ack.rtt,
            delivery_rate: 0,
            delivered: 0,
            prior_delivered: None,
            tx_in_flight: 0,
            lost: 0,
            app_limited: false,
        };
        let Some(rate) = ack.rate else { return sample };
        let prior = rate.delivered_before;
        sample.delivered = rate.delivered;
        sample.prior_delivered = Some(prior);
        sample.tx_in_flight = rate.in_flight;
        sample.lost = rate.lost.saturating_add(rate.marked);
        sample.app_limited =
            rate.app_limited || self.ignored_until.is_some_and(|until| prior <= until);
        // §4.1.2.3: what comes faster than the path allows is an acknowledgment of something else.
        if self
            .min_rtt
            .value
            .is_none_or(|least| rate.interval >= least)
        {
            sample.delivery_rate = rate.bytes_per_second();
        }
        sample
    }

    /// A number below `bound`, by SplitMix64: it only has to differ between flows.
    fn random(&mut self, bound: u64) -> u64 {
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound.max(1)
    }

    fn is_in_probe_bw(&self) -> bool {
        use State::{Cruise, Down, Refill, Up};
        matches!(self.state, Down | Cruise | Refill | Up)
    }

    /// IsProbingBW (): losses are what it risks.
    fn is_probing_bw(&self) -> bool {
        matches!(self.state, State::Startup | State::Refill | State::Up)
    }

    fn enter(&mut self, state: State, pacing_gain: u64, cwnd_gain: u64) {
        self.state = state;
        self.pacing_gain = pacing_gain;
        self.cwnd_gain = cwnd_gain;
    }
}

impl CongestionController for Bbr {
    fn name(&self) -> &'static str {
        "bbr"
    }

    fn saved(&self) -> Option<super::Saved> {
        Some(super::Saved::Bbr(Box::new(self.clone())))
    }

    /// HandleRestartFromIdle () (§5.4.1). With nothing in flight and nothing to repair, it was the
    /// application that had nothing to send.
    fn on_sent(&mut self, sent: &Sent) {
        if sent.in_flight > sent.bytes || self.recovering {
            return;
        }
        self.idle_restart = true;
        self.aggregation.restart(sent.now);
        if self.is_in_probe_bw() {
            self.set_pacing_rate_with_gain(100);
        } else if self.state == State::ProbeRtt {
            self.check_probe_rtt_done(sent.now);
        }
    }

    /// UpdateOnACK () (§5.2.3): the model, the state, and what follows from them, in this order.
    fn on_ack(&mut self, ack: &Ack) {
        if !self.has_rtt && ack.srtt.is_some() {
            self.init_pacing_rate(ack.srtt);
            self.has_rtt = true;
        }
        if ack.acked == 0 {
            return;
        }
        self.delivered = self.delivered.max(ack.delivered);
        self.in_flight = ack.in_flight;
        self.cwnd_limited = ack.cwnd_limited;
        let rs = self.sample(ack);

        self.update_latest_delivery_signals(&rs);
        self.update_congestion_signals(&rs);
        self.update_ack_aggregation(&rs);
        self.check_full_bw_reached(&rs);
        self.check_startup_done(&rs);
        self.check_drain_done(&rs);
        self.update_probe_bw_cycle_phase(&rs);
        self.update_min_rtt(&rs);
        self.check_probe_rtt(&rs);
        self.latest.advance(&rs);
        self.bandwidth.bound();

        self.set_pacing_rate_with_gain(self.pacing_gain);
        self.set_cwnd(rs.newly_acked);
    }

    fn on_lost(&mut self, lost: &Lost) {
        self.handle_lost_packet(lost);
    }

    /// §5.6.4.4: OnEnterRTO () and OnEnterFastRecovery (); marks as losses of which nothing is known.
    fn on_congestion(&mut self, now: Instant, cause: Cause, in_flight: u64) {
        if self.undo.saved_at != Some(now) {
            // Else the packet that was found lost has just done so.
            self.note_loss(now);
        }
        self.save_cwnd();
        self.recovering = true;
        match cause {
            Cause::Loss => {}
            Cause::Ecn => self.handle_mark(now, in_flight),
            Cause::Timeout | Cause::TimeoutAgain => {
                self.cwnd = in_flight.saturating_add(self.smss);
            }
        }
    }

    fn on_recovered(&mut self, _now: Instant, _in_flight: u64) {
        self.recovering = false;
        self.restore_cwnd();
        self.bound_cwnd_for_probe_rtt();
        self.bound_cwnd_for_model();
    }

    /// §5.4: BBR paces a restart; the window stays.
    fn on_idle_restart(&mut self, _now: Instant, _idle: Duration, _rto: Duration) {}

    fn on_spurious(&mut self, _now: Instant) {
        self.recovering = false;
        self.handle_spurious_loss_detection();
    }

    fn set_smss(&mut self, smss: u32) {
        let smss = smss.max(1);
        if self.delivered == 0 && self.cwnd == self.initial_cwnd {
            self.cwnd = initial_window(smss);
        }
        self.initial_cwnd = initial_window(smss);
        self.smss = smss.into();
        self.cwnd = self.cwnd.max(self.smss);
    }

    fn set_selective(&mut self, selective: bool) {
        self.selective = selective;
    }

    fn set_window(&mut self, cwnd: u64, _ssthresh: u64) {
        self.cwnd = cwnd.max(self.smss);
    }

    fn cwnd(&self) -> u64 {
        self.cwnd
    }

    /// There is none.
    fn ssthresh(&self) -> u64 {
        u64::MAX
    }

    fn pacing_rate(&self) -> Option<u64> {
        Some(self.pacing_rate)
    }

    fn shapes_recovery(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
