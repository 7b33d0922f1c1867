//! The acknowledgment (RFC 9293 §3.10.7.4, fifth): what it frees, what it says of the window, of
//! the round trip (RFC 6298, RFC 7323 §4) and of losses (RFC 5681, RFC 6582).

use crate::State;
use crate::isn::timestamp;
use crate::recovery::Outcome;
use crate::segment::Segment;
use crate::tcb::{Origin, Tcb};
use core::time::Duration;
use sockeye_core::congestion::{Ack, Cause};
use sockeye_core::{Context, Counter, Instant, Readiness};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp::Flags;

impl Tcb {
    /// Fifth: the ACK field. False when the segment goes no further.
    pub(crate) fn acknowledgment(&mut self, cx: &mut Context<'_>, segment: &Segment) -> bool {
        if self.state == State::SynReceived {
            let acceptable =
                segment.ack.after(self.snd.una) && segment.ack.before_or_eq(self.snd.nxt);
            if !acceptable {
                self.refuse(cx, segment);
                return false;
            }
            self.set_window(segment);
            self.established(cx);
            if matches!(self.origin, Origin::Passive(_)) {
                cx.counters.add(Counter::TcpPassiveOpens);
            }
        }
        // RFC 5961 §5.2: SND.UNA - MAX.SND.WND =< SEG.ACK =< SND.NXT.
        let too_old = segment.ack.before(self.snd.una - self.snd.max_wnd);
        if too_old || segment.ack.after(self.snd.nxt) {
            self.challenge(cx);
            return false;
        }
        let was_writable = self.is_writable();
        self.probe_answered();
        if segment.ack.after(self.snd.una) {
            self.new_data_acknowledged(cx, segment);
        } else if self.is_duplicate(segment) {
            self.duplicate_acknowledged(cx, segment);
        }
        self.update_window(cx.now, segment);
        if !was_writable && self.is_writable() {
            self.signal(cx, Readiness::WRITABLE);
        }
        self.after_fin_acknowledged(cx)
    }

    /// SND.UNA < SEG.ACK =< SND.NXT.
    fn new_data_acknowledged(&mut self, cx: &mut Context<'_>, segment: &Segment) {
        let before = self.snd.una;
        let in_flight = self.pipe();
        let in_recovery = self.recovery.is_active();
        let rtt = self.measure(cx.now, segment);
        self.snd.una = segment.ack;
        // RFC 4861 §7.3.1: new data acknowledged shows that the neighbour gets our packets.
        if let Some(route) = &self.route {
            cx.inet.confirm_neighbour(cx.now, route);
        }
        let acked = self.queue.acknowledge(segment.ack);
        if self.snd.small.before(self.snd.una) {
            // Kept near, so that the comparison never wraps.
            self.snd.small = self.snd.una;
        }
        let outcome = self.recovery.on_ack(before, segment.ack, self.mss);
        let left = self.pipe();
        self.congestion.on_ack(&Ack {
            now: cx.now,
            acked: acked.into(),
            in_flight: in_flight.into(),
            cwnd_limited: self.is_cwnd_limited(in_flight),
            // After a time-out, slow start goes on while holes are filled.
            in_recovery: in_recovery && self.recovery.is_fast() || outcome == Outcome::Recovered,
            rtt,
            srtt: self.rtt.srtt(),
            rtt_min: self.rtt.min(),
            delivery_rate: None,
        });
        if outcome == Outcome::Recovered {
            self.congestion.on_recovered(cx.now, left.into());
        }
        self.retries = 0;
        self.rtt.progress();
        self.soft_error = None;
        self.stalled_since = cx.now;
        self.tune_send_buffer(cx);
        // RFC 6298 §5 (5.2), (5.3): off when all is acknowledged, else anew.
        self.deadlines.retransmit = if self.waits_for_peer() {
            cx.now + self.rtt.rto()
        } else {
            Instant::FAR
        };
    }

    /// Whether the window is what holds the sender up. In slow start half of it in flight is
    /// enough: the acknowledgments of one round trip double it.
    fn is_cwnd_limited(&self, in_flight: u32) -> bool {
        let slow_start = self.congestion.cwnd() < self.congestion.ssthresh();
        let doubled = u64::from(in_flight).saturating_mul(2);
        self.marks.cwnd_limited || (slow_start && doubled >= self.congestion.cwnd())
    }

    /// RFC 5681 §2: the sender has outstanding data, the segment has no text, no SYN and no FIN, it
    /// acknowledges SND.UNA and repeats the window. RFC 2018 blocks above it are as good as the
    /// same window. Answers to probes of a closed window say nothing of losses.
    fn is_duplicate(&self, segment: &Segment) -> bool {
        let same_window = self.scaled(segment.window) == self.snd.wnd;
        let reports = self.highest_sacked(segment).is_some();
        self.outstanding() > 0
            && self.snd.wnd > 0
            && segment.text_len == 0
            && !segment.has(Flags::SYN | Flags::FIN)
            && segment.ack == self.snd.una
            && (same_window || reports)
    }

    /// The highest number above SND.UNA that the peer says to have; what was never sent it can't
    /// have.
    fn highest_sacked(&self, segment: &Segment) -> Option<SeqNum> {
        if !self.marks.sack {
            return None;
        }
        segment
            .options
            .sack
            .iter()
            .filter(|block| {
                block.start.after(self.snd.una)
                    && block.start.before(block.end)
                    && block.end.before_or_eq(self.snd.nxt)
            })
            .map(|block| block.end)
            .reduce(SeqNum::later)
    }

    fn duplicate_acknowledged(&mut self, cx: &mut Context<'_>, segment: &Segment) {
        let sacked = self.highest_sacked(segment);
        let flight = self.outstanding();
        let outcome = self
            .recovery
            .on_duplicate(self.snd.una, self.snd.nxt, self.mss, sacked);
        if outcome == Outcome::Lost {
            cx.counters.add(Counter::TcpExtTCPFastRetrans);
            self.congestion
                .on_congestion(cx.now, Cause::Loss, flight.into());
        }
    }

    /// A round-trip time from this acknowledgment: from the timed segment, else from the echoed
    /// timestamp, which is right for segments that were sent again too (RFC 7323 §4.1).
    pub(crate) fn measure(&mut self, now: Instant, segment: &Segment) -> Option<Duration> {
        let timed = self
            .timed
            .filter(|(seq, _)| segment.ack.after_or_eq(*seq))
            .map(|(_, sent)| now - sent);
        let rtt = timed.or_else(|| self.echoed(now, segment))?;
        if timed.is_some() {
            self.timed = None;
        }
        self.rtt.measured(rtt);
        Some(rtt)
    }

    /// RFC 7323 §4.1: a measurement by TSecr, where none can be had by timing a segment: its clock is
    /// too coarse to be used beside the other. What lies in the future or long ago was never ours.
    fn echoed(&self, now: Instant, segment: &Segment) -> Option<Duration> {
        const PLAUSIBLE: u32 = 120_000;
        let sent_again = self.recovery.is_active() || self.rtt.backoff() > 0;
        let wanted = sent_again || self.rtt.srtt().is_none();
        if self.timestamps.is_none() || self.timed.is_some() || !wanted {
            return None;
        }
        let tsecr = segment.options.timestamps?.tsecr;
        let elapsed = timestamp(now, self.timestamp_offset).wrapping_sub(tsecr);
        // The clock ticks in milliseconds: less can't be told from none.
        (elapsed <= PLAUSIBLE).then(|| Duration::from_millis(u64::from(elapsed).max(1)))
    }

    /// The window field in bytes. In a SYN it is not scaled; there this is not asked.
    fn scaled(&self, window: u16) -> u32 {
        u32::from(window) << self.snd.shift
    }

    /// If SND.UNA =< SEG.ACK =< SND.NXT, and the segment is not older than the one that said the
    /// window last, the window is updated.
    fn update_window(&mut self, now: Instant, segment: &Segment) {
        let snd = &self.snd;
        let newer = snd.wl1.before(segment.seq)
            || (snd.wl1 == segment.seq && snd.wl2.before_or_eq(segment.ack));
        if segment.ack.before(snd.una) || !newer {
            return;
        }
        let was_closed = snd.wnd == 0;
        self.set_window(segment);
        if was_closed && self.snd.wnd > 0 {
            // The probes have done their work: now the window can be used, and what a probe sent
            // in vain has to go again.
            self.rtt.progress();
            self.retries = 0;
            self.deadlines.retransmit = Instant::FAR;
            self.marks.probe_due = false;
            match self.outstanding() {
                0 => {}
                // The octet of the last probe: it goes with what follows it.
                1 => self.snd.nxt = self.snd.una,
                _ if self.recovery.is_active() => {}
                _ => {
                    self.recovery.on_timeout(self.snd.una, self.snd.nxt);
                }
            }
            self.stalled_since = now;
        }
    }

    fn set_window(&mut self, segment: &Segment) {
        self.snd.wnd = self.scaled(segment.window);
        self.snd.max_wnd = self.snd.max_wnd.max(self.snd.wnd);
        self.snd.wl1 = segment.seq;
        self.snd.wl2 = segment.ack;
    }

    /// RFC 9293 §3.8.6.1 (MUST-37): while the peer answers probes, the connection stays open.
    fn probe_answered(&mut self) {
        if self.snd.wnd == 0 || self.outstanding() == 0 {
            self.retries = 0;
        }
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
