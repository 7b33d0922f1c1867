//! The smallest round trip, and ProbeRTT (draft-ietf-ccwg-bbr-06 §5.3.4): every five seconds half of
//! what the path holds, so that queues drain and the round trip shows what the path is without them.

use super::probe_bw::AckPhase;
use super::{Bbr, PROBE_RTT_CWND_GAIN, Sample, State};
use crate::Instant;
use core::time::Duration;

/// BBR.MinRTTFilterLen.
const MIN_RTT_FILTER_LEN: Duration = Duration::from_secs(10);
/// BBR.ProbeRTTInterval.
const PROBE_RTT_INTERVAL: Duration = Duration::from_secs(5);
/// BBR.ProbeRTTDuration.
const PROBE_RTT_DURATION: Duration = Duration::from_millis(200);

/// BBR.min_rtt, and the smallest of the last five seconds.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct MinRtt {
    /// BBR.min_rtt; `None` is infinity.
    pub(super) value: Option<Duration>,
    stamp: Instant,
    probe_min: Option<Duration>,
    probe_stamp: Instant,
    /// BBR.probe_rtt_expired.
    probe_expired: bool,
    done_stamp: Option<Instant>,
    round_done: bool,
}

impl Bbr {
    /// UpdateMinRTT ().
    pub(super) fn update_min_rtt(&mut self, rs: &Sample) {
        let min = &mut self.min_rtt;
        min.probe_expired =
            min.probe_min.is_some() && rs.now > min.probe_stamp + PROBE_RTT_INTERVAL;
        if let Some(rtt) = rs.rtt
            && (min.probe_expired || min.probe_min.is_none_or(|least| rtt < least))
        {
            min.probe_min = Some(rtt);
            min.probe_stamp = rs.now;
        }
        let Some(probed) = min.probe_min else { return };
        let expired = rs.now > min.stamp + MIN_RTT_FILTER_LEN;
        if expired || min.value.is_none_or(|least| probed < least) {
            min.value = Some(probed);
            min.stamp = min.probe_stamp;
        }
    }

    /// CheckProbeRTT () and EnterProbeRTT ().
    pub(super) fn check_probe_rtt(&mut self, rs: &Sample) {
        if self.state != State::ProbeRtt && self.min_rtt.probe_expired && !self.idle_restart {
            self.save_cwnd();
            self.enter(State::ProbeRtt, 100, PROBE_RTT_CWND_GAIN);
            self.min_rtt.done_stamp = None;
            self.cycle.ack_phase = AckPhase::ProbeStopping;
            self.start_round();
        }
        if self.state == State::ProbeRtt {
            self.handle_probe_rtt(rs);
        }
        if rs.delivered > 0 {
            self.idle_restart = false;
        }
    }

    /// CheckProbeRTTDone () and ExitProbeRTT ().
    pub(super) fn check_probe_rtt_done(&mut self, now: Instant) {
        if self.min_rtt.done_stamp.is_none_or(|done| now <= done) {
            return;
        }
        self.min_rtt.probe_stamp = now;
        self.restore_cwnd();
        self.reset_short_term_model();
        if self.full_bw.reached {
            // The queue is drained already: the cycle starts with its slow part over.
            self.start_probe_bw_down(now);
            self.start_probe_bw_cruise();
        } else {
            self.enter_startup();
        }
    }

    /// HandleProbeRTT ().
    fn handle_probe_rtt(&mut self, rs: &Sample) {
        // What is sent now says nothing of the bandwidth (MarkConnectionAppLimited ()).
        self.ignored_until = Some(self.delivered.saturating_add(self.in_flight));
        if self.min_rtt.done_stamp.is_none() {
            if self.in_flight <= self.probe_rtt_cwnd() {
                self.min_rtt.done_stamp = Some(rs.now + PROBE_RTT_DURATION);
                self.min_rtt.round_done = false;
                self.start_round();
            }
            return;
        }
        self.min_rtt.round_done |= self.rounds.start;
        if self.min_rtt.round_done {
            self.check_probe_rtt_done(rs.now);
        }
    }
}
