//! Timers that run out: T1 and T2, T3-rtx (RFC 9260 §6.3.3), heartbeats (§8.3), delayed SACKs, and
//! what follows for paths and association (§8.1, §8.2, RFC 7829).

use crate::State;
use crate::info::{AddressState, AssocChange, PathState};
use crate::path::Beat;
use crate::tcb::Association;
use sockeye_core::congestion::Cause as Congestion;
use sockeye_core::{Context, Counter, Error, Instant};
use sockeye_wire::sctp::{Cause, Heartbeat};

/// RFC 9260 §9.2: T5-shutdown-guard is five times RTO.Max.
pub(crate) const GUARD_RTO_MAXES: u32 = 5;
/// What a heartbeat says: the path, the nonce, and when it was sent.
const HEARTBEAT_INFO_LEN: usize = 20;

impl Association {
    /// The timer fired: whatever is due is done.
    pub(crate) fn on_timeout(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        // The slot says its old deadline until it is armed anew.
        cx.timers.disarm(&mut self.timer);
        if take(&mut self.deadlines.sack, now) {
            cx.counters.add(Counter::SctpDelaySackExpireds);
            self.ack.due = self.ack.pending;
        }
        if take(&mut self.deadlines.t1, now) {
            self.t1_expires(cx);
        }
        if take(&mut self.deadlines.t5, now) {
            cx.counters.add(Counter::SctpT5ShutdownGuardExpireds);
            self.abort(cx, &[]);
            self.lose(cx, Error::TimedOut);
        }
        if take(&mut self.deadlines.t2, now) {
            self.t2_expires(cx);
        }
        if take(&mut self.deadlines.forward, now) {
            self.forward_expires(cx);
        }
        if take(&mut self.deadlines.reconfig, now) {
            self.reconfig_expires(cx);
        }
        if take(&mut self.deadlines.asconf, now) {
            self.asconf_expires(cx);
        }
        if take(&mut self.deadlines.autoclose, now) {
            cx.counters.add(Counter::SctpAutocloseExpireds);
            self.begin_shutdown(cx);
        }
        if take(&mut self.deadlines.probe, now) {
            self.probe_due = true;
        }
        for at in 0..self.paths.len() {
            if self.state == State::Closed {
                return;
            }
            if take(&mut self.paths[at].t3, now) {
                self.t3_expires(cx, at);
            }
            self.heartbeat_due(cx, at);
            if self.state != State::Closed {
                self.search_due(cx, at);
            }
        }
    }

    /// RFC 9260 §6.3.3.
    fn t3_expires(&mut self, cx: &mut Context<'_>, at: usize) {
        cx.counters.add(Counter::SctpT3RtxExpireds);
        let again = self.paths[at].errors > 0;
        let flight = self.outstanding.flight();
        self.suspect_black_hole(cx, at);
        let (chunks, bytes) = self.outstanding.lose_path(at as u8);
        // §6.2.1 C: what is to be sent again is not in the peer's window.
        self.rwnd += flight - self.outstanding.flight();
        cx.counters.add_n(Counter::SctpT3Retransmits, chunks.into());
        let path = &mut self.paths[at];
        path.flight = path.flight.saturating_sub(bytes);
        path.timing = None;
        // E1, E2.
        path.window.lost(
            cx.now,
            path.flight,
            match again {
                true => Congestion::TimeoutAgain,
                false => Congestion::Timeout,
            },
        );
        path.rto.back_off();
        self.recovery = None;
        // E3: one packet, whatever the window of the path says that it goes by.
        self.free_packet = true;
        self.burst = self.burst.max(self.paths[at].pmdcs().into());
        // §6.1 A: a peer that answers with a closed window has not failed.
        if !self.window_closed {
            self.path_fails(cx, at, true);
        }
        self.choose_path();
    }

    /// RFC 9260 §8.1, §8.2: one error more of a path; of the association too, if `counts`.
    /// RFC 9260 §8.1-1.
    pub(crate) fn path_fails(&mut self, cx: &mut Context<'_>, at: usize, counts: bool) {
        if counts {
            self.errors += 1;
            if self.errors > self.settings.retransmits_max {
                // As Linux: should it hear us after all, it need not try in vain.
                if !matches!(self.state, State::CookieWait | State::CookieEchoed) {
                    self.say_abort(cx, &[Cause::ProtocolViolation(b"nothing came back")]);
                }
                self.lose(cx, Error::TimedOut);
                return;
            }
        }
        let path = &mut self.paths[at];
        if path.state == PathState::Inactive {
            // §8.3: what is inactive counts no further.
            return;
        }
        path.errors += 1;
        let before = path.state;
        let switches = path.errors > path.settings.switch_primary_at;
        if path.errors > path.settings.retransmits_max {
            path.state = PathState::Inactive;
            self.choose_path();
            self.notify_path(cx, at, AddressState::Unreachable);
        } else if before == PathState::Active && path.errors > path.settings.potentially_failed_at {
            // RFC 7829 §3: it is probed by heartbeats, an RTO apart, while data goes elsewhere; as in
            // Linux not where the user wants none.
            path.state = PathState::PotentiallyFailed;
            if path.settings.heartbeat {
                path.beat.at = path.beat.at.min(cx.now + path.rto.current());
            }
            self.choose_path();
            self.notify_path(cx, at, AddressState::PotentiallyFailed);
        }
        // RFC 7829 §5: for good, if that is wanted.
        if switches && at == self.primary && self.paths[self.data_path].is_active() {
            self.primary = self.data_path;
        }
    }

    /// The peer can't be reached any more.
    pub(crate) fn lose(&mut self, cx: &mut Context<'_>, error: Error) {
        if self.state == State::Closed {
            return;
        }
        let change = match self.state {
            State::CookieWait | State::CookieEchoed => AssocChange::CantStart,
            _ => AssocChange::Lost,
        };
        self.fail_messages(cx, 0);
        self.notify_change(cx, change, 0);
        self.close(cx, Some(error));
    }

    /// RFC 9260 §8.3: heartbeats that were not answered, and those that are due.
    fn heartbeat_due(&mut self, cx: &mut Context<'_>, at: usize) {
        if !beats(self.state) {
            self.paths[at].beat = Beat::NEVER;
            return;
        }
        let now = cx.now;
        let path = &mut self.paths[at];
        if let Some((_, sent)) = path.beat.waiting
            && sent + path.rto.current() <= now
        {
            path.beat.waiting = None;
            path.rto.back_off();
            // §8.1: those of a path that is not used for data say nothing of the association; §5.4:
            // nor those of one that is not confirmed.
            let counts = at == self.data_path && path.is_confirmed();
            self.path_fails(cx, at, counts);
            if self.state == State::Closed {
                return;
            }
            let path = &mut self.paths[at];
            if path.state == PathState::PotentiallyFailed {
                path.beat.at = now;
            }
        }
        let path = &mut self.paths[at];
        if path.beat.at > now {
            return;
        }
        let idle = path.flight == 0
            && now.saturating_since(path.used_at) >= path.settings.heartbeat_interval
            || path.state != PathState::Active;
        if idle && path.beat.waiting.is_none() {
            self.send_heartbeat(cx, at);
        }
        self.paths[at].schedule_beat(cx);
    }

    /// Asks whether the peer is at the end of a path (RFC 9260 §8.3, §5.4).
    /// RFC 9260 §3.3.5-1.
    pub(crate) fn send_heartbeat(&mut self, cx: &mut Context<'_>, at: usize) {
        let nonce = cx.rng.next_u64();
        let path = &mut self.paths[at];
        path.beat.waiting = Some((nonce, cx.now));
        let mut out = Vec::with_capacity(32);
        let info = &heartbeat_info(at, nonce, cx.now);
        Heartbeat { info }.emit(&mut out);
        self.send_control(cx, at, &out);
    }

    /// A HEARTBEAT ACK: whatever it claims, it counts only with the nonce of what was sent.
    pub(crate) fn heartbeat_ack_arrives(&mut self, cx: &mut Context<'_>, info: &[u8]) {
        let Some((at, rest)) = info.split_first_chunk::<4>() else {
            return;
        };
        let Some(nonce) = rest.first_chunk::<8>() else {
            return;
        };
        let at = u32::from_be_bytes(*at) as usize;
        let nonce = u64::from_be_bytes(*nonce);
        if at >= self.paths.len() || self.probe_arrives(cx, at, nonce) {
            return;
        }
        let path = &mut self.paths[at];
        let Some((_, when)) = path.beat.waiting.filter(|(sent, _)| *sent == nonce) else {
            return;
        };
        path.beat.waiting = None;
        path.rto.measured(cx.now.saturating_since(when));
        let was_unconfirmed = !path.is_confirmed() || path.state == PathState::Unconfirmed;
        self.errors = 0;
        if was_unconfirmed {
            self.paths[at].state = PathState::Active;
            self.paths[at].errors = 0;
            self.paths[at].resume_search(cx.now);
            self.choose_path();
            self.notify_path(cx, at, AddressState::Confirmed);
        } else {
            self.path_answers(cx, at);
        }
        self.paths[at].schedule_beat(cx);
    }
}

/// What a heartbeat by path `at` says of itself (RFC 9260 §3.3.5).
pub(crate) fn heartbeat_info(at: usize, nonce: u64, now: Instant) -> [u8; HEARTBEAT_INFO_LEN] {
    let mut info = [0; HEARTBEAT_INFO_LEN];
    info[..4].copy_from_slice(&(at as u32).to_be_bytes());
    info[4..12].copy_from_slice(&nonce.to_be_bytes());
    info[12..].copy_from_slice(&now.as_nanos().to_be_bytes());
    info
}

/// RFC 9260 §8.3: heartbeats begin with ESTABLISHED and end with SHUTDOWN or SHUTDOWN ACK.
const fn beats(state: State) -> bool {
    matches!(
        state,
        State::Established | State::ShutdownPending | State::ShutdownReceived
    )
}

/// Whether a deadline has come, which ends it.
fn take(deadline: &mut Instant, now: Instant) -> bool {
    let due = *deadline <= now;
    if due {
        *deadline = Instant::FAR;
    }
    due
}
