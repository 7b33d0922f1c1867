//! Timeouts (RFC 9293 §3.10.8): what each deadline of a connection does, and when it gives up.

use crate::State;
use crate::rtt::RTO_MIN;
use crate::tcb::Tcb;
use crate::timers::Retransmit;
use core::time::Duration;
use sockeye_core::{Context, Counter, Error, Event, Instant, Readiness};

/// `net.ipv4.tcp_orphan_retries`: time-outs in a row that an orphan survives.
const ORPHAN_RETRIES: u32 = 8;

/// A stream with fewer segments in flight is thin (Linux: tcp_stream_is_thin).
const THIN_BELOW: u32 = 4;
/// Time-outs in a row for which a thin stream does not back off (Linux: TCP_THIN_LINEAR_RETRIES).
const THIN_RETRIES: u32 = 6;
/// A flow label has 20 bits (RFC 8200 §3).
const FLOW_LABEL_MASK: u32 = 0xf_ffff;

impl Tcb {
    /// The timer fired: everything that is due by now.
    pub(crate) fn on_timeout(&mut self, cx: &mut Context<'_>) {
        cx.timers.disarm(&mut self.timer);
        let now = cx.now;
        if self.deadlines.delayed_ack <= now {
            self.deadlines.delayed_ack = Instant::FAR;
            cx.counters.add(Counter::TcpExtDelayedACKs);
            self.marks.ack_now = true;
        }
        if self.deadlines.uncork <= now {
            self.deadlines.uncork = Instant::FAR;
            self.marks.override_sws = true;
            self.records.push_all();
        }
        if self.deadlines.pace <= now {
            self.deadlines.pace = Instant::FAR;
        }
        if self.deadlines.end <= now {
            // RFC 9293 §3.6.1: nobody holds it, and the peer does not close.
            self.deadlines.end = Instant::FAR;
            self.closed(cx, None);
            return;
        }
        if self.deadlines.retransmit <= now {
            self.deadlines.retransmit = Instant::FAR;
            match self.deadlines.kind {
                Retransmit::Timeout => self.retransmission_timeout(cx),
                Retransmit::Reordering => {
                    self.reordering_timeout(cx);
                    if self.deadlines.pending().is_none() {
                        self.set_timeout_of_first(now);
                    }
                }
                Retransmit::LossProbe => self.loss_probe_timeout(cx),
                Retransmit::WindowProbe => self.window_probe_timeout(cx),
            }
        }
        if self.deadlines.keep_alive <= now {
            self.deadlines.keep_alive = Instant::FAR;
            self.keep_alive_timeout(cx);
        }
    }

    /// The time-out of the first piece outstanding, from when it was sent.
    fn set_timeout_of_first(&mut self, now: Instant) {
        if let Some(first) = self.recovery.board.first() {
            let at = (first.sent_at + self.rtt.rto()).max(now);
            self.schedule(Retransmit::Timeout, at);
        }
    }

    /// RFC 9293 §3.10.8, §3.8.2 (MUST-19) and RFC 6298 §5: the retransmission timer ran out.
    fn retransmission_timeout(&mut self, cx: &mut Context<'_>) {
        if !self.waits_for_peer() {
            return;
        }
        if self.is_unproven() {
            self.unproven_timeout(cx);
            return;
        }
        if self.outstanding() == 0 {
            // What waited for a route.
            self.window_probe_timeout(cx);
            return;
        }
        let closed = self.snd.wnd == 0 && self.state.is_synchronized();
        if closed && (self.marks.user || self.marks.unaccepted) {
            // RFC 9293 §3.8.6 (MUST-35, SHLD-17): the window closed over data that is outstanding. The
            // connection lives as long as the peer answers; a segment sent again is the probe.
            if self.is_silent(cx) {
                cx.counters.add(Counter::TcpExtTCPAbortOnTimeout);
                self.time_out(cx);
                return;
            }
        } else if self.gives_up(cx) {
            self.fast_open_timeout(cx, true);
            cx.counters.add(Counter::TcpExtTCPAbortOnTimeout);
            self.time_out(cx);
            return;
        }
        cx.counters.add(Counter::TcpExtTCPTimeouts);
        self.fast_open_timeout(cx, false);
        let retries = self.retries;
        self.totals.timeouts = self.totals.timeouts.saturating_add(1);
        self.totals.timeout_episodes += u32::from(retries == 0);
        self.retries = self.retries.saturating_add(1);
        // RFC 6298 §5 (5.5): back off; the first SYNs not, where Linux's newer way is wanted.
        let linear = self.retries <= cx.config.tcp_syn_linear_timeouts;
        if self.state != State::SynSent || !linear {
            self.back_off();
        }
        cx.tell(&Event::TimedOut {
            socket: self.handle,
            rto: self.rtt.rto(),
        });
        self.rehash(cx);
        if self.syn_is_outstanding() {
            self.marks.syn_due = true;
        } else {
            if !closed {
                self.suspect_black_hole(cx);
            }
            self.mtu_probe_timed_out(cx);
            self.enter_loss(cx, retries);
        }
        let wait = self.until_user_timeout(cx.now, self.rtt.rto());
        self.schedule(Retransmit::Timeout, cx.now + wait);
    }

    /// Doubles the RTO, unless the stream is thin and TCP_THIN_LINEAR_TIMEOUTS wants it linear.
    /// Who has few segments in flight has rarely lost more than one of them.
    fn back_off(&mut self) {
        let segments = self.outstanding().div_ceil(self.mss);
        let thin = segments < THIN_BELOW
            && self.retries <= THIN_RETRIES
            && self.congestion.ssthresh() != u64::MAX;
        if thin && self.settings.thin_linear_timeouts {
            self.rtt.forget_backoff();
        } else {
            self.rtt.back_off();
        }
    }

    /// SO_TXREHASH: another flow label may lead by another path (RFC 6437 §3).
    fn rehash(&mut self, cx: &mut Context<'_>) {
        if self.settings.transmit_rehash && self.flow.remote.ip.is_ipv6() && self.flow_label != 0 {
            self.flow_label = (cx.rng.next_u32() & FLOW_LABEL_MASK).max(1);
        }
    }

    /// TCP_RTO_MIN_US and TCP_RTO_MAX_MS count from now on.
    pub(crate) fn bound_rto(&mut self) {
        self.rtt
            .set_bounds(self.settings.rto_min, self.settings.rto_max);
    }

    /// R2 of RFC 9293 §3.8.3 (MUST-20, MUST-22): whether it has been tried for long enough.
    fn gives_up(&self, cx: &Context<'_>) -> bool {
        let timeout = self.settings.user_timeout;
        let limit = match self.state {
            State::SynSent => match self.settings.syn_retries {
                0 => cx.config.tcp_syn_retries,
                count => count,
            }
            .saturating_add(cx.config.tcp_syn_linear_timeouts),
            State::SynReceived => cx.config.tcp_synack_retries,
            // An orphan has no user who could want it to wait longer.
            _ if self.is_orphan() => {
                let limit = ORPHAN_RETRIES.min(cx.config.tcp_retries2);
                return self.is_timed_out(cx.now, limit, None)
                    || (timeout.is_some() && self.is_timed_out(cx.now, limit, timeout));
            }
            _ => return self.is_timed_out(cx.now, cx.config.tcp_retries2, timeout),
        };
        self.retries >= limit || (timeout.is_some() && self.is_timed_out(cx.now, limit, timeout))
    }

    fn is_orphan(&self) -> bool {
        !self.marks.user && !self.marks.unaccepted
    }

    /// Whether copies have been sent for as long as `limit` time-outs would take that begin with the
    /// least RTO (RFC 9293 §3.8.3, SHLD-11); or for `timeout`, where the user said one (MUST-21,
    /// §3.9.1.1, RFC 5482).
    fn is_timed_out(&self, now: Instant, limit: u32, timeout: Option<Duration>) -> bool {
        let since = if self.syn_is_outstanding() {
            Some(self.sent_at)
        } else {
            self.recovery.first_copy_at()
        };
        let Some(since) = since.filter(|_| self.retries > 0) else {
            return false;
        };
        now - since >= timeout.unwrap_or_else(|| self.model_timeout(limit))
    }

    /// How long `limit` + 1 time-outs take that begin with the least RTO and double up to the
    /// largest.
    fn model_timeout(&self, limit: u32) -> Duration {
        let max = self.rtt.rto_max();
        let doublings = (max.as_nanos() / RTO_MIN.as_nanos()).max(1).ilog2();
        let rising = RTO_MIN * ((2u32 << limit.min(doublings).min(30)) - 1);
        rising + max * limit.saturating_sub(doublings)
    }

    /// `wait`, or what is left of the user time-out, so that it is kept to the moment.
    pub(crate) fn until_user_timeout(&self, now: Instant, wait: Duration) -> Duration {
        let since = self.recovery.first_copy_at();
        match (self.settings.user_timeout, since) {
            (Some(timeout), Some(since)) => {
                let left = timeout.saturating_sub(now - since);
                wait.min(left.max(Duration::from_millis(1)))
            }
            _ => wait,
        }
    }

    /// Whether the peer has been silent for twice the longest RTO, or longer than the user wants.
    fn is_silent(&self, cx: &Context<'_>) -> bool {
        let limit = self.settings.user_timeout.unwrap_or(self.rtt.rto_max() * 2);
        self.retries > 0 && cx.now - self.heard_at > limit
    }

    /// RFC 8985 §7.3: TLP_send_probe: one segment, new where there is one and the window takes it.
    fn loss_probe_timeout(&mut self, cx: &mut Context<'_>) {
        if self.recovery.is_probe_under_way() {
            self.set_timeout_of_first(cx.now);
        } else {
            self.marks.tail_probe_due = true;
            // RFC 8985 §7.3: the time-out follows, counted from the probe.
            self.schedule(Retransmit::Timeout, cx.now + self.rtt.rto());
        }
    }

    /// RFC 9293 §3.8.6.1: nothing is outstanding, and the window does not take what waits; or it takes
    /// a part only, and that goes now (§3.8.6.2.1 (4)).
    fn window_probe_timeout(&mut self, cx: &mut Context<'_>) {
        let fin_waits = self.marks.fin_queued && !self.fin_sent();
        if self.outstanding() > 0 || (self.unsent() == 0 && !fin_waits) {
            self.probes = 0;
            self.probing_since = Instant::FAR;
            return;
        }
        self.probing_since = self.probing_since.min(cx.now);
        let since = self.probing_since;
        let limit = if self.is_orphan() {
            ORPHAN_RETRIES.min(cx.config.tcp_retries2)
        } else {
            cx.config.tcp_retries2
        };
        // MUST-37, MUST-36: while the peer answers probes, the connection stays open; each answer counts them
        // from zero. The user may want less.
        let timeout = self.settings.user_timeout;
        let impatient = timeout.is_some_and(|timeout| cx.now - since >= timeout);
        if impatient || self.probes >= limit {
            cx.counters.add(Counter::TcpExtTCPAbortOnTimeout);
            self.time_out(cx);
            return;
        }
        if self.snd.nxt.before(self.snd.una + self.snd.wnd) {
            self.marks.override_sws = true;
            self.records.push_all();
        } else {
            self.marks.probe_due = true;
        }
        cx.counters.add(Counter::TcpExtTCPWinProbe);
        self.probes = self.probes.saturating_add(1);
        let doublings = u32::from(self.probe_backoff);
        if doublings < cx.config.tcp_retries2 {
            self.probe_backoff = self.probe_backoff.saturating_add(1);
        }
        let wait = self.probe_interval();
        let wait = match timeout {
            Some(timeout) => {
                let left = timeout.saturating_sub(cx.now - since);
                wait.min(left.max(Duration::from_millis(1)))
            }
            None => wait,
        };
        self.schedule(Retransmit::WindowProbe, cx.now + wait);
    }

    /// RFC 9293 §3.8.6.1 (SHLD-30): the interval grows exponentially.
    fn probe_interval(&self) -> Duration {
        let base = self.rtt.rto_without_backoff().max(RTO_MIN);
        base.saturating_mul(1 << self.probe_backoff.min(16))
            .min(self.rtt.rto_max())
    }

    /// Nothing is outstanding, something waits: the window is looked after, for the first time after an
    /// RTO (RFC 9293 §3.8.6.1, SHLD-29).
    pub(crate) fn watch_window(&mut self, now: Instant) {
        if self.deadlines.pending().is_none() {
            let wait = self.probe_interval();
            self.schedule(Retransmit::WindowProbe, now + wait);
        }
    }

    /// An acknowledgment came while nothing was outstanding.
    pub(crate) fn window_probe_answered(&mut self, now: Instant) {
        let fin_waits = self.marks.fin_queued && !self.fin_sent();
        if self.unsent() == 0 && !fin_waits {
            return;
        }
        let next = (self.snd.nxt + self.mss.min(self.unsent())).later(self.snd.nxt + 1);
        if next.before_or_eq(self.snd.una + self.snd.wnd) {
            // It takes what waits: that goes now.
            self.probe_backoff = 0;
            self.probing_since = Instant::FAR;
            self.marks.probe_due = false;
            self.deadlines.cancel_retransmit();
        } else {
            let wait = self.probe_interval();
            self.schedule(Retransmit::WindowProbe, now + wait);
        }
    }

    /// The connection ends for want of an answer; the user learns of what may have been the cause
    /// (RFC 9293 §3.9.2.2).
    pub(crate) fn time_out(&mut self, cx: &mut Context<'_>) {
        let error = self.soft_error.take().unwrap_or(Error::TimedOut);
        self.closed(cx, Some(error));
    }

    /// Starts the keep-alive timer anew, where the option is set (RFC 9293 §3.8.4, MUST-24).
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

    /// RFC 9293 §3.8.4 (MAY-5, MUST-26, MUST-29): after a time of silence, probes; after several
    /// without an answer, the end.
    fn keep_alive_timeout(&mut self, cx: &mut Context<'_>) {
        if !self.settings.keep_alive || !self.keeps_alive() {
            return;
        }
        if self.outstanding() > 0 || self.unsent() > 0 {
            // Retransmission sees to it.
            self.deadlines.keep_alive = cx.now + self.settings.keep_idle;
            return;
        }
        let silence = cx.now - self.heard_at;
        if silence < self.settings.keep_idle {
            self.deadlines.keep_alive = self.heard_at + self.settings.keep_idle;
            return;
        }
        let over = match self.settings.user_timeout {
            // tcp(7): the user time-out takes the place of the count.
            Some(timeout) => silence >= timeout && self.probes > 0,
            None => self.probes >= self.settings.keep_count,
        };
        if over {
            cx.counters.add(Counter::TcpExtTCPAbortOnTimeout);
            self.send_reset(cx);
            self.time_out(cx);
            return;
        }
        cx.counters.add(Counter::TcpExtTCPKeepAlive);
        self.marks.probe_due = true;
        self.probes = self.probes.saturating_add(1);
        self.deadlines.keep_alive = cx.now + self.settings.keep_interval;
    }

    /// FIN-WAIT-2 has begun: an orphan waits for the peer's FIN for a time only.
    pub(crate) fn enter_fin_wait_2(&mut self, cx: &mut Context<'_>) {
        self.deadlines.cancel_retransmit();
        if self.is_orphan() {
            match self.settings.linger2 {
                Some(wait) => self.deadlines.end = cx.now + wait,
                None => {
                    cx.counters.add(Counter::TcpExtTCPAbortOnLinger);
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
