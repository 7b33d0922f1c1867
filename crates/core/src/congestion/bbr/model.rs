//! The model of the path (draft-ietf-ccwg-bbr-06 §5.5): rounds, the bandwidth, aggregation, the bounds
//! that losses set for the long and for the short term, and how they are taken back.

use super::control::part;
use super::{BETA, Bbr, INFINITE, LOSS_THRESH, Sample, State};
use crate::Instant;
use crate::congestion::Lost;

/// §5.5.1: round trips, told apart by packets.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Rounds {
    pub(super) count: u64,
    /// BBR.round_start: the acknowledgment at hand begins a round.
    pub(super) start: bool,
    pub(super) next_delivered: u64,
    pub(super) since_probe_up: u64,
}

/// §5.5.2: max_bw, bw_shortterm and bw, bytes a second.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Bandwidth {
    /// The largest samples of the last cycle and of this one (BBR.max_bw_filter).
    cycles: [u64; 2],
    shortterm: u64,
    pub(super) bw: u64,
}

impl Bandwidth {
    pub(super) const fn new() -> Self {
        Self {
            cycles: [0; 2],
            shortterm: INFINITE,
            bw: 0,
        }
    }

    /// BBR.max_bw.
    pub(super) fn max(&self) -> u64 {
        self.cycles[0].max(self.cycles[1])
    }

    /// BoundBWForModel ().
    pub(super) fn bound(&mut self) {
        self.bw = self.max().min(self.shortterm);
    }

    /// AdvanceMaxBwFilter (). A cycle without a sample does not drive out the one before.
    pub(super) fn advance(&mut self) {
        if self.cycles[1] > 0 {
            self.cycles = [self.cycles[1], 0];
        }
    }
}

/// §5.5.9: how much more is acknowledged at once than the bandwidth brings.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Aggregation {
    interval_start: Instant,
    delivered: u64,
    filter: WindowedMax,
}

/// §5.5.9: the window of the filter in rounds; one until the pipe has been full.
const EXTRA_ACKED_ROUNDS: u64 = 10;

impl Aggregation {
    /// The interval begins anew.
    pub(super) fn restart(&mut self, now: Instant) {
        self.interval_start = now;
        self.delivered = 0;
    }

    pub(super) fn extra_acked(&self) -> u64 {
        self.filter.max()
    }
}

/// §5.5.10.3: what the last round trip delivered, and whether it lost.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Latest {
    bw: u64,
    pub(super) inflight: u64,
    round_delivered: u64,
    /// BBR.loss_round_start.
    pub(super) round_start: bool,
    loss_in_round: bool,
}

impl Latest {
    /// AdvanceLatestDeliverySignals ().
    pub(super) fn advance(&mut self, rs: &Sample) {
        if self.round_start {
            self.bw = rs.delivery_rate;
            self.inflight = rs.delivered;
        }
    }

    /// ResetCongestionSignals ().
    pub(super) fn reset(&mut self) {
        self.loss_in_round = false;
        self.bw = 0;
        self.inflight = 0;
    }
}

/// §5.5.11: what is put back when losses turn out to have been none.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Undo {
    pub(super) state: Option<State>,
    /// When the rest was saved.
    pub(super) saved_at: Option<Instant>,
    bw_shortterm: u64,
    inflight_shortterm: u64,
    inflight_longterm: u64,
}

impl Bbr {
    /// StartRound ().
    pub(super) fn start_round(&mut self) {
        self.rounds.next_delivered = self.delivered;
    }

    /// UpdateLatestDeliverySignals ().
    pub(super) fn update_latest_delivery_signals(&mut self, rs: &Sample) {
        let latest = &mut self.latest;
        latest.round_start = false;
        latest.bw = latest.bw.max(rs.delivery_rate);
        latest.inflight = latest.inflight.max(rs.delivered);
        if rs
            .prior_delivered
            .is_some_and(|prior| prior >= latest.round_delivered)
        {
            latest.round_delivered = self.delivered;
            latest.round_start = true;
        }
    }

    /// UpdateCongestionSignals (): the bandwidth on each acknowledgment, the bounds once a round.
    pub(super) fn update_congestion_signals(&mut self, rs: &Sample) {
        self.update_max_bw(rs);
        if !self.latest.round_start {
            return;
        }
        self.adapt_lower_bounds_from_congestion();
        self.latest.loss_in_round = false;
    }

    /// UpdateACKAggregation ().
    pub(super) fn update_ack_aggregation(&mut self, rs: &Sample) {
        let aggregation = &mut self.aggregation;
        let interval = (rs.now - aggregation.interval_start).as_nanos();
        let expected = u128::from(self.bandwidth.bw) * interval / 1_000_000_000;
        let mut expected = u64::try_from(expected).unwrap_or(u64::MAX);
        if aggregation.delivered <= expected {
            aggregation.restart(rs.now);
            expected = 0;
        }
        aggregation.delivered = aggregation.delivered.saturating_add(rs.newly_acked);
        let extra = aggregation
            .delivered
            .saturating_sub(expected)
            .min(self.cwnd);
        let rounds = if self.full_bw.reached {
            EXTRA_ACKED_ROUNDS
        } else {
            1
        };
        aggregation.filter.update(self.rounds.count, extra, rounds);
    }

    /// ResetShortTermModel ().
    pub(super) fn reset_short_term_model(&mut self) {
        self.bandwidth.shortterm = INFINITE;
        self.inflight_shortterm = INFINITE;
    }

    /// IsInflightTooHigh (): more than [`LOSS_THRESH`] of `tx_in_flight` bytes are `lost`.
    pub(super) fn is_inflight_too_high(&self, lost: u64, tx_in_flight: u64) -> bool {
        let tolerable = u128::from(tx_in_flight) * u128::from(LOSS_THRESH);
        u128::from(lost) * 100 > tolerable || (lost > 0 && !self.selective)
    }

    /// NoteLoss (). What is saved is the state at the start of the whole recovery, as §5.5.11.1 says,
    /// though the pseudocode saves in each of its rounds.
    pub(super) fn note_loss(&mut self, now: Instant) {
        if !self.latest.loss_in_round {
            self.latest.round_delivered = self.delivered;
            if !self.recovering {
                self.save_state_upon_loss(now);
            }
        }
        self.latest.loss_in_round = true;
    }

    /// HandleLostPacket ().
    pub(super) fn handle_lost_packet(&mut self, lost: &Lost) {
        self.note_loss(lost.now);
        if self.cycle.is_probe_sample && self.is_inflight_too_high(lost.lost, lost.in_flight) {
            self.handle_inflight_too_high(lost.now, inflight_at_loss(lost), lost.app_limited);
        }
    }

    /// A mark while so much was in flight, of how many packets is not known.
    pub(super) fn handle_mark(&mut self, now: Instant, in_flight: u64) {
        if self.cycle.is_probe_sample {
            self.handle_inflight_too_high(now, in_flight, false);
        }
    }

    /// HandleInflightTooHigh (): once for each probe.
    fn handle_inflight_too_high(&mut self, now: Instant, tx_in_flight: u64, app_limited: bool) {
        self.cycle.prev_too_high = true;
        self.cycle.is_probe_sample = false;
        if !app_limited {
            self.inflight_longterm = tx_in_flight.max(part(self.target_inflight(), BETA));
        }
        if self.state == State::Up {
            self.undo.state = Some(State::Up);
            self.start_probe_bw_down(now);
        }
    }

    /// HandleSpuriousLossDetection ().
    pub(super) fn handle_spurious_loss_detection(&mut self) {
        self.restore_cwnd();
        self.latest.loss_in_round = false;
        self.full_bw.reset();
        let undo = self.undo;
        self.bandwidth.shortterm = self.bandwidth.shortterm.max(undo.bw_shortterm);
        self.inflight_shortterm = self.inflight_shortterm.max(undo.inflight_shortterm);
        self.inflight_longterm = self.inflight_longterm.max(undo.inflight_longterm);
        match undo.state {
            Some(State::Startup) if self.state != State::Startup => {
                self.full_bw.reached = false;
                if self.state != State::ProbeRtt {
                    self.enter_startup();
                }
            }
            Some(State::Up) if !matches!(self.state, State::Up | State::ProbeRtt) => {
                self.start_probe_bw_refill();
            }
            _ => {}
        }
        self.undo.state = None;
    }

    /// UpdateMaxBw () and UpdateRound ().
    fn update_max_bw(&mut self, rs: &Sample) {
        self.rounds.start = rs
            .prior_delivered
            .is_some_and(|prior| prior >= self.rounds.next_delivered);
        if self.rounds.start {
            self.start_round();
            self.rounds.count += 1;
            self.rounds.since_probe_up += 1;
        }
        if rs.delivery_rate > 0 && (rs.delivery_rate >= self.bandwidth.max() || !rs.app_limited) {
            let this = &mut self.bandwidth.cycles[1];
            *this = (*this).max(rs.delivery_rate);
        }
    }

    /// AdaptLowerBoundsFromCongestion (), InitLowerBounds () and LossLowerBounds ().
    fn adapt_lower_bounds_from_congestion(&mut self) {
        if self.is_probing_bw() || !self.latest.loss_in_round {
            return;
        }
        let bandwidth = &mut self.bandwidth;
        if bandwidth.shortterm == INFINITE {
            bandwidth.shortterm = bandwidth.max();
        }
        if self.inflight_shortterm == INFINITE {
            self.inflight_shortterm = self.cwnd;
        }
        bandwidth.shortterm = self.latest.bw.max(part(bandwidth.shortterm, BETA));
        self.inflight_shortterm = self
            .latest
            .inflight
            .max(part(self.inflight_shortterm, BETA));
    }

    /// SaveStateUponLoss ().
    fn save_state_upon_loss(&mut self, now: Instant) {
        self.save_cwnd();
        self.undo = Undo {
            state: None,
            saved_at: Some(now),
            bw_shortterm: self.bandwidth.shortterm,
            inflight_shortterm: self.inflight_shortterm,
            inflight_longterm: self.inflight_longterm,
        };
    }
}

/// InflightAtLoss (): at how much in flight losses passed the threshold, within the packet that may be
/// a burst.
fn inflight_at_loss(lost: &Lost) -> u64 {
    let inflight_prev = lost.in_flight.saturating_sub(lost.bytes);
    let lost_prev = u128::from(lost.lost.saturating_sub(lost.bytes));
    let budget = u128::from(inflight_prev) * u128::from(LOSS_THRESH);
    let prefix = budget.saturating_sub(lost_prev * 100) / u128::from(100 - LOSS_THRESH);
    inflight_prev.saturating_add(u64::try_from(prefix).unwrap_or(u64::MAX))
}

/// The largest value of a window of time, in constant space: the best three of its parts (Kathleen
/// Nichols' filter).
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct WindowedMax {
    /// Values with their times: the best, the best after it, the best after that.
    best: [(u64, u64); 3],
}

impl WindowedMax {
    pub(super) fn max(&self) -> u64 {
        self.best[0].1
    }

    /// `value` at `time`; values from more than `len` before it are forgotten.
    pub(super) fn update(&mut self, time: u64, value: u64, len: u64) {
        let new = (time, value);
        let age = |(then, _): (u64, u64)| time.saturating_sub(then);
        if value >= self.best[0].1 || age(self.best[2]) > len {
            self.best = [new; 3];
            return;
        }
        if value >= self.best[1].1 {
            self.best[1] = new;
            self.best[2] = new;
        } else if value >= self.best[2].1 {
            self.best[2] = new;
        }
        if age(self.best[0]) > len {
            // The best is too old: the second takes its place, and the third that one's.
            self.best = [self.best[1], self.best[2], new];
            if age(self.best[0]) > len {
                self.best = [self.best[1], self.best[2], new];
            }
        } else if self.best[1].0 == self.best[0].0 && age(self.best[1]) > len / 4 {
            // A quarter is over without a second best: this is it.
            self.best[1] = new;
            self.best[2] = new;
        } else if self.best[2].0 == self.best[1].0 && age(self.best[2]) > len / 2 {
            self.best[2] = new;
        }
    }
}
