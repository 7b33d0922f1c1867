//! The acknowledgment (RFC 9293 §3.10.7.4, fifth): what it frees, what it says of the window and of
//! the round trip (RFC 6298, RFC 7323 §4); what it says of losses is [`recovery`](crate::recovery)'s.

use crate::State;
use crate::isn::timestamp;
use crate::recovery::CaState;
use crate::recovery::rack::Echo;
use crate::recovery::report::Report;
use crate::recovery::sack::View;
use crate::segment::Segment;
use crate::tcb::{Origin, Tcb};
use crate::timers::Retransmit;
use core::time::Duration;
use sockeye_core::congestion::Ack;
use sockeye_core::{Context, Event, Instant, Readiness};

/// What an acknowledgment tells of the time that packets take.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    /// Of the round trip: for SRTT.
    rtt: Option<Duration>,
    /// Of the newest of what arrived: for congestion control.
    newest: Option<Duration>,
    /// The other end may have waited with it.
    maybe_delayed: bool,
}

impl Tcb {
    /// Fifth: the ACK field. False when the segment goes no further.
    pub(crate) fn acknowledgment(&mut self, cx: &mut Context<'_>, segment: &Segment) -> bool {
        if self.is_unproven() && !self.prove(cx, segment) {
            return false;
        }
        if self.state == State::SynReceived {
            let acceptable =
                segment.ack.after(self.snd.una) && segment.ack.before_or_eq(self.snd.nxt);
            if !acceptable {
                self.refuse(cx, segment);
                return false;
            }
            self.set_window(segment);
            self.recovery.delivery.count(0, 1);
            self.measure_handshake(cx, segment);
            self.established(cx);
            if matches!(self.origin, Origin::Passive(_)) {
                cx.counters.add(sockeye_core::Counter::TcpPassiveOpens);
            }
        }
        // RFC 9293 §3.10.7.4 (MAY-12), RFC 5961 §5.2: SND.UNA - MAX.SND.WND =< SEG.ACK =< SND.NXT.
        let too_old = segment.ack.before(self.snd.una - self.snd.max_wnd);
        if too_old || segment.ack.after(self.snd.nxt) {
            self.challenge(cx);
            return false;
        }
        let was_writable = self.is_writable();
        self.acknowledge(cx, segment);
        if !was_writable && self.is_writable() {
            self.marks.refused_send = false;
            self.signal(cx, Readiness::WRITABLE);
        }
        self.note_hold(cx.now);
        self.after_fin_acknowledged(cx)
    }

    /// Takes an acknowledgment that is acceptable.
    fn acknowledge(&mut self, cx: &mut Context<'_>, segment: &Segment) {
        self.recovery.next_acknowledgment();
        let mut report = self.begin_report(segment);
        let old = segment.ack.before(self.snd.una);
        if !old {
            report.window_changed = self.update_window(segment);
            if report.window_changed && self.unsent() > 0 {
                self.restart_after_idle(cx);
            }
        }
        if self.marks.sack && segment.options.sack.iter().next().is_some() {
            self.read_blocks(cx, segment, &mut report);
        }
        let echoed = self.echoed_timestamp(segment);
        if old {
            // RFC 2018 §8: an acknowledgment that was overtaken may still report something.
            if report.sacked || report.dsack {
                self.alert(cx, &mut report, echoed);
                self.conclude(cx, &report, Times::default());
            }
            return;
        }
        self.soft_error = None;
        self.probes = 0;
        let had_out = self.outstanding() > 0;
        if segment.ack.after(self.snd.una) {
            self.free_acknowledged(cx, segment, &mut report);
        }
        report.congestion = self.read_marks(segment, &mut report);
        if !had_out {
            self.nothing_outstanding(cx, segment, &mut report, echoed);
            return;
        }
        let times = self.measure(cx, segment, &report);
        let mut rearm = self.is_timer_due_anew(&report, times, cx.now);
        self.learn_reordering(cx, &report);
        let before = report.sampling.delivered_before();
        self.recovery.update_reordering_window(before);
        self.probe_acknowledged(cx, segment.ack, &report);
        if self.is_dubious(&report) {
            if !report.advanced && !report.is_not_duplicate() && !report.dsack {
                report.duplicates = segment.wire_segments.max(1);
            }
            self.alert(cx, &mut report, echoed);
            rearm &= !report.timer_set;
        }
        if rearm {
            self.set_retransmission_timer(cx.now, true);
        }
        self.conclude(cx, &report, times);
        self.tune_send_buffer(cx);
    }

    fn begin_report(&self, segment: &Segment) -> Report {
        let board = &self.recovery.board;
        Report {
            carries_text: segment.len() > 0,
            delivered: self.recovery.delivery.delivered(),
            lost: self.recovery.delivery.lost(),
            in_flight: self.pipe(),
            sacked_before: board.sacked().segments > 0,
            highest_sacked: board.highest_sacked(self.snd.una),
            ..Report::nothing(self.snd.una)
        }
    }

    fn read_blocks(&mut self, cx: &mut Context<'_>, segment: &Segment, report: &mut Report) {
        let view = View {
            now: cx.now,
            ack: segment.ack,
            una: self.snd.una,
            nxt: self.snd.nxt,
            max_wnd: self.snd.max_wnd,
            rtt_min: self.rtt.min(),
            mss: self.mss,
        };
        let blocks: smallvec::SmallVec<[_; 4]> = segment.options.sack.iter().copied().collect();
        self.recovery
            .read_blocks(cx.counters, &view, &blocks, report);
    }

    /// SND.UNA < SEG.ACK =< SND.NXT.
    fn free_acknowledged(&mut self, cx: &mut Context<'_>, segment: &Segment, report: &mut Report) {
        report.advanced = true;
        report.syn_acked = self.syn_is_outstanding();
        self.snd.una = segment.ack;
        self.retries = 0;
        // RFC 4861 §7.3.1: new data acknowledged shows that the neighbour gets our packets.
        if let Some(route) = &self.route {
            cx.inet.confirm_neighbour(cx.now, route);
        }
        self.queue.acknowledge(segment.ack);
        self.end_zero_copies(cx);
        let offset = self.timestamp_offset;
        let echo = self.echoed_timestamp(segment);
        let echo = echo.map(|tsecr| Echo { tsecr, offset });
        self.recovery.take_acknowledged(
            cx.now,
            segment.ack,
            self.marks.sack,
            self.rtt.min(),
            echo,
            report,
        );
        if self.recovery.state() == CaState::Open && !self.any_copies() {
            // What a tail loss probe repeated has arrived: the next time-out begins by itself.
            self.recovery.forget_copies();
        }
        if self.snd.small.before(self.snd.una) {
            // Kept near, so that the comparison never wraps.
            self.snd.small = self.snd.una;
        }
        self.recovery.keep_near(self.snd.una);
        self.note_arrived(report.largest);
        self.mtu_probe_acknowledged(cx);
    }

    /// The acknowledgment found nothing outstanding: it may open the window, or answer a probe.
    fn nothing_outstanding(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment,
        report: &mut Report,
        echoed: Option<u32>,
    ) {
        if report.dsack || report.congestion {
            self.alert(cx, report, echoed);
        }
        self.probe_acknowledged(cx, segment.ack, report);
        self.window_probe_answered(cx.now);
    }

    /// What the acknowledgment has changed is known: congestion control is told.
    fn conclude(&mut self, cx: &mut Context<'_>, report: &Report, times: Times) {
        let delivery = &mut self.recovery.delivery;
        let delivered = delivery.delivered().saturating_sub(report.delivered);
        let lost = delivery.lost().saturating_sub(report.lost);
        let progress = report.is_progress();
        let rate = delivery.finish(cx.now, &report.sampling, delivered > 0, self.rtt.min());
        let total = delivery.delivered();
        self.validate_window(cx.now);
        if delivered > 0 {
            self.reduce(delivered, lost, report.advanced);
        }
        // While reordering is not known to reach far, what is reported alone does not widen the window.
        let grows = report.data_acked
            || (progress && self.recovery.reordering() > crate::recovery::DUP_THRESH);
        self.congestion.on_ack(&Ack {
            now: cx.now,
            acked: delivered,
            lost,
            marked: report.marked,
            in_flight_before: report.in_flight.into(),
            in_flight: self.pipe().into(),
            cwnd_limited: grows && self.is_cwnd_limited(),
            phase: self.recovery.phase(),
            rtt: times.newest,
            srtt: self.rtt.srtt(),
            rtt_min: self.rtt.min(),
            delivered: total,
            rate,
        });
        self.tell_window(cx);
        self.update_rates(cx.config);
    }

    /// What came out of order without having been sent again.
    fn learn_reordering(&mut self, cx: &mut Context<'_>, report: &Report) {
        if !self.marks.sack {
            if report.segments > 0 {
                self.recovery
                    .assumed_were_acknowledged(report.segments, self.mss);
            }
            return;
        }
        let armed = self.recovery.state() != CaState::Loss || self.recovery.is_undoable();
        if let Some(low) = report.reordered.filter(|_| armed) {
            let high = self.recovery.board.highest_sacked(report.una);
            let high = high.later(report.highest_sacked);
            self.note_reordering(low, high, false, cx.counters);
        }
        if let Some(low) = report.late {
            self.note_reordering(low, report.highest_sacked, false, cx.counters);
        }
    }

    /// The timestamp that the segment echoes, where one was sent.
    fn echoed_timestamp(&self, segment: &Segment) -> Option<u32> {
        self.timestamps?;
        let tsecr = segment.options.timestamps?.tsecr;
        (tsecr != 0).then_some(tsecr)
    }

    /// Round-trip times from this acknowledgment, in the order of trust: from what was sent once and
    /// is acknowledged; from what was sent once and is reported; by the echoed timestamp, which is
    /// right for what was sent again, too (RFC 7323 §4.1). Karn's algorithm (RFC 6298 §3) is in the
    /// "once".
    fn measure(&mut self, cx: &mut Context<'_>, segment: &Segment, report: &Report) -> Times {
        let now = cx.now;
        let mut times = Times::default();
        if let Some((first, last)) = report.acked_at
            && !report.copy_acked
        {
            times.rtt = Some(now - first);
            times.newest = Some(now - last);
            times.maybe_delayed = report.segments == 1 && !report.sacked_before && !report.alerts();
        }
        if let Some((first, last)) = report.sacked_at {
            times.newest = Some(now - last);
            times.rtt = times.rtt.or(Some(now - first));
        }
        if times.rtt.is_none() && (report.data_acked || report.syn_acked) {
            times.rtt = self.by_timestamp(now, segment);
            times.newest = times.rtt;
        }
        if let Some(rtt) = times.rtt {
            if let Some(newest) = times.newest {
                self.rtt.shortest(now, newest, times.maybe_delayed);
            }
            self.round_trip(cx, rtt);
        }
        times
    }

    /// A round trip was measured.
    fn round_trip(&mut self, cx: &mut Context<'_>, rtt: Duration) {
        self.rtt.measured(rtt, self.snd.una, self.snd.nxt);
        cx.tell(&Event::RoundTrip {
            socket: self.handle,
            rtt,
            srtt: self.rtt.srtt().unwrap_or(rtt),
            rto: self.rtt.rto(),
        });
    }

    /// RFC 7323 §4.1: a measurement by TSecr. What lies in the future or long ago was never ours.
    fn by_timestamp(&self, now: Instant, segment: &Segment) -> Option<Duration> {
        const PLAUSIBLE: u32 = 120_000;
        let tsecr = self.echoed_timestamp(segment)?;
        let elapsed = timestamp(now, self.timestamp_offset).wrapping_sub(tsecr);
        // The clock ticks in milliseconds: less can't be told from none.
        (elapsed <= PLAUSIBLE).then(|| Duration::from_millis(u64::from(elapsed).max(1)))
    }

    /// A round trip of the handshake, from the SYN that was sent once, else by its timestamp.
    pub(crate) fn measure_handshake(&mut self, cx: &mut Context<'_>, segment: &Segment) {
        let timed = self.timed.take().map(|sent| cx.now - sent);
        if let Some(rtt) = timed.or_else(|| self.by_timestamp(cx.now, segment)) {
            self.rtt.shortest(cx.now, rtt, false);
            self.round_trip(cx, rtt);
        }
    }

    /// RFC 6298 §5 (5.3): anew when something was acknowledged; also when what was reported was sent
    /// after the first piece outstanding was sent last: the path works, and it is not that piece's time
    /// yet.
    fn is_timer_due_anew(&self, report: &Report, times: Times, now: Instant) -> bool {
        if report.data_acked || report.syn_acked {
            return true;
        }
        let sacked = report.sacked_at.map(|(first, _)| now - first);
        match (self.recovery.board.first(), sacked, times.rtt) {
            (Some(first), Some(sacked), Some(_)) => sacked > now - first.sent_at,
            _ => false,
        }
    }

    /// Sets the timer for what is outstanding: a probe of the tail if it comes first (RFC 8985 §7.2),
    /// else the time-out (RFC 6298 §5). `anew`: the time-out counts from now.
    pub(crate) fn set_retransmission_timer(&mut self, now: Instant, anew: bool) {
        if self.is_unproven() {
            self.watch_unproven(now);
            return;
        }
        if self.outstanding() == 0 {
            self.deadlines.cancel_retransmit();
            return;
        }
        let timeout = match self.recovery.board.first() {
            Some(first) if !anew => (first.sent_at + self.rtt.rto()).max(now),
            _ => now + self.rtt.rto(),
        };
        let probe = self.recovery.probe_after(
            self.rtt.srtt(),
            self.marks.sack && self.settings.tail_probes,
        );
        match probe {
            Some(wait) if !self.syn_is_outstanding() => {
                self.schedule(Retransmit::LossProbe, (now + wait).min(timeout));
            }
            _ => self.schedule(Retransmit::Timeout, timeout),
        }
    }

    /// The window field in bytes. In a SYN it is not scaled; there this is not asked.
    fn scaled(&self, window: u16) -> u32 {
        u32::from(window) << self.snd.shift
    }

    /// If SND.UNA =< SEG.ACK =< SND.NXT, and the segment is not older than the one that said the
    /// window last, the window is updated. True when that changes it.
    fn update_window(&mut self, segment: &Segment) -> bool {
        let snd = &self.snd;
        let window = self.scaled(segment.window);
        let newer = snd.wl1.before(segment.seq)
            || (snd.wl1 == segment.seq && snd.wl2.before_or_eq(segment.ack));
        if !newer {
            return false;
        }
        let changed = window != snd.wnd;
        self.set_window(segment);
        changed
    }

    fn set_window(&mut self, segment: &Segment) {
        self.snd.wnd = self.scaled(segment.window);
        let before = self.snd.max_wnd;
        self.snd.max_wnd = before.max(self.snd.wnd);
        // A segment is half of it at most.
        if self.snd.max_wnd > before
            && before < 2 * u32::from(self.peer_mss)
            && let Some(route) = self.route
        {
            self.update_mss(&route);
        }
        self.snd.wl1 = segment.seq;
        self.snd.wl2 = segment.ack;
    }

    /// What an acknowledged FIN changes. False when the connection is gone.
    fn after_fin_acknowledged(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.fin_acked() {
            // CLOSING: otherwise, ignore the segment.
            return self.state != State::Closing;
        }
        match self.state {
            State::FinWait1 => {
                self.enter(cx, State::FinWait2);
                self.enter_fin_wait_2(cx);
                true
            }
            State::Closing => {
                self.enter(cx, State::TimeWait);
                false
            }
            State::LastAck => {
                self.closed(cx, None);
                false
            }
            _ => true,
        }
    }
}
