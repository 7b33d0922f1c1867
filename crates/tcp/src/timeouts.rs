//! Timeouts (RFC 9293 §3.10.8): retransmission and user time-out, probes, keep-alives, the delayed
//! acknowledgment, and the end of waiting.

use crate::State;
use crate::tcb::Tcb;
use sockeye_core::congestion::Cause;
use sockeye_core::{Context, Counter, Error, Instant, Readiness};

/// `net.ipv4.tcp_orphan_retries`: time-outs in a row that an orphan survives.
const ORPHAN_RETRIES: u32 = 8;

impl Tcb {
    /// The timer fired: everything that is due by now.
    pub(crate) fn on_timeout(&mut self, cx: &mut Context<'_>) {
        cx.timers.disarm(&mut self.timer);
        let now = cx.now;
        if self.deadlines.delayed_ack <= now {
            self.deadlines.delayed_ack = Instant::FAR;
            self.marks.ack_now = true;
        }
        if self.deadlines.uncork <= now {
            self.deadlines.uncork = Instant::FAR;
            self.marks.override_sws = true;
        }
        if self.deadlines.end <= now {
            // RFC 9293 §3.6.1: nobody holds it, and the peer does not close.
            self.deadlines.end = Instant::FAR;
            self.closed(cx, None);
            return;
        }
        if self.deadlines.retransmit <= now {
            self.deadlines.retransmit = Instant::FAR;
            self.retransmission_timeout(cx);
        }
        if self.deadlines.keep_alive <= now {
            self.deadlines.keep_alive = Instant::FAR;
            self.keep_alive_timeout(cx);
        }
    }

    /// RFC 9293 §3.10.8 and RFC 6298 §5: the retransmission timer ran out.
    fn retransmission_timeout(&mut self, cx: &mut Context<'_>) {
        if !self.waits_for_peer() {
            return;
        }
        if self.gives_up(cx) {
            cx.counters.add(Counter::TcpExtTCPAbortOnTimeout);
            self.time_out(cx);
            return;
        }
        self.retries = self.retries.saturating_add(1);
        if matches!(self.state, State::SynSent | State::SynReceived) {
            cx.counters.add(Counter::TcpExtTCPTimeouts);
            self.rtt.back_off();
            self.marks.syn_due = true;
            return;
        }
        let outstanding = self.outstanding();
        if outstanding == 0 {
            if self.snd.wnd > 0 {
                // RFC 9293 §3.8.6.2.1 (4): what the window did not allow whole goes in part.
                self.marks.override_sws = true;
            } else {
                self.marks.probe_due = true;
            }
            self.rtt.back_off();
            return;
        }
        // RFC 6298 §5 (5.5): back off.
        self.rtt.back_off();
        if self.snd.wnd == 0 {
            // RFC 9293 §3.8.6 (MUST-35): the window closed over data that is outstanding. That is
            // no congestion.
            self.marks.probe_due = true;
            return;
        }
        cx.counters.add(Counter::TcpExtTCPTimeouts);
        let flight = self.pipe();
        let first = self.recovery.on_timeout(self.snd.una, self.snd.nxt);
        let cause = if first {
            Cause::Timeout
        } else {
            Cause::TimeoutAgain
        };
        self.congestion.on_congestion(cx.now, cause, flight.into());
        self.timed = None;
    }

    /// Whether there have been time-outs enough: R2 of RFC 9293 §3.8.3, or the user time-out.
    fn gives_up(&self, cx: &Context<'_>) -> bool {
        let limit = match self.state {
            State::SynSent => self.settings.syn_retries,
            State::SynReceived => cx.config.tcp_synack_retries,
            _ if !self.marks.user && !self.marks.unaccepted => {
                ORPHAN_RETRIES.min(cx.config.tcp_retries2)
            }
            _ => match self.settings.user_timeout {
                // RFC 9293 §3.9.1.1: since the peer last gave way.
                Some(timeout) => return cx.now - self.stalled_since >= timeout,
                None => cx.config.tcp_retries2,
            },
        };
        let over = self
            .settings
            .user_timeout
            .is_some_and(|timeout| cx.now - self.stalled_since >= timeout);
        self.retries >= limit || over
    }

    /// The connection ends for want of an answer; the user learns of what may have been the cause
    /// (RFC 9293 §3.9.2.2).
    pub(crate) fn time_out(&mut self, cx: &mut Context<'_>) {
        if matches!(self.state, State::SynSent | State::SynReceived) {
            cx.counters.add(Counter::TcpAttemptFails);
        }
        let error = self.soft_error.take().unwrap_or(Error::TimedOut);
        self.closed(cx, Some(error));
    }

    /// Starts the keep-alive timer anew, where the option is set.
    pub(crate) fn restart_keep_alive(&mut self, now: Instant) {
        self.deadlines.keep_alive = if self.settings.keep_alive && self.keeps_alive() {
            now + self.settings.keep_idle
        } else {
            Instant::FAR
        };
    }

    fn keeps_alive(&self) -> bool {
        matches!(
            self.state,
            State::Established
                | State::CloseWait
                | State::FinWait1
                | State::FinWait2
                | State::Closing
                | State::LastAck
        )
    }

    /// RFC 9293 §3.8.4: after a time of silence, probes; after several without an answer, the end.
    fn keep_alive_timeout(&mut self, cx: &mut Context<'_>) {
        if !self.settings.keep_alive || !self.keeps_alive() {
            return;
        }
        let silence = cx.now - self.heard_at;
        if silence < self.settings.keep_idle {
            self.deadlines.keep_alive = self.heard_at + self.settings.keep_idle;
            return;
        }
        if self.outstanding() > 0 || self.unsent() > 0 {
            // Retransmission sees to it.
            self.deadlines.keep_alive = cx.now + self.settings.keep_idle;
            return;
        }
        let interval = self.settings.keep_interval;
        let sent = (silence - self.settings.keep_idle).as_nanos() / interval.as_nanos().max(1);
        let over = match self.settings.user_timeout {
            Some(timeout) => silence >= timeout && sent > 0,
            None => sent >= u128::from(self.settings.keep_count),
        };
        if over {
            cx.counters.add(Counter::TcpExtTCPAbortOnTimeout);
            self.send_reset(cx);
            self.time_out(cx);
            return;
        }
        self.marks.probe_due = true;
        self.deadlines.keep_alive = cx.now + interval;
    }

    /// FIN-WAIT-2 has begun: an orphan waits for the peer's FIN for a time only.
    pub(crate) fn enter_fin_wait_2(&mut self, cx: &mut Context<'_>) {
        self.deadlines.retransmit = Instant::FAR;
        if !self.marks.user {
            match self.settings.linger2 {
                Some(wait) => self.deadlines.end = cx.now + wait,
                None => {
                    self.send_reset(cx);
                    self.closed(cx, None);
                    return;
                }
            }
        }
        // POLLOUT no more; who waits for the close to be acknowledged is woken.
        self.signal(cx, Readiness::WRITABLE);
    }
}
