//! SEGMENT ARRIVES (RFC 9293 §3.10.7), in the order of the RFC, for connections that have a TCB.
//!
//! CLOSED (§3.10.7.1) is [`reset`](crate::reset); LISTEN (§3.10.7.2) is [`listen`](crate::listen);
//! the connection that LISTEN makes is [`half_open`](crate::half_open) until it stands; TIME-WAIT is
//! [`time_wait`](crate::time_wait). Here is SYN-SENT (§3.10.7.3) and the rest of §3.10.7.4, but for
//! the acknowledgment (fifth), which is [`ack`](crate::ack).

use crate::State;
use crate::auth::limit_timestamps;
use crate::ecn::Policy;
use crate::isn::timestamp;
use crate::options::Offer;
use crate::output::{ACK_DELAY, ACK_DELAY_MAX};
use crate::segment::Segment;
use crate::tcb::{Origin, Tcb};
use core::time::Duration;
use sockeye_core::{Context, Counter, Error, Instant, Payload, Readiness};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp::Flags;

/// RFC 7323 §5.5: after 24 days of silence TS.Recent does not count.
const TIMESTAMP_LIFETIME: Duration = Duration::from_secs(24 * 86_400);

impl Tcb {
    /// A segment for this connection.
    pub(crate) fn segment_arrives(&mut self, cx: &mut Context<'_>, segment: Segment) {
        debug_assert_ne!(
            self.state,
            State::TimeWait,
            "TIME-WAIT has no TCB of this kind"
        );
        self.count_received(cx.now, &segment);
        match self.state {
            State::Closed | State::Listen | State::TimeWait => {}
            State::SynSent => self.in_syn_sent(cx, segment),
            State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck => self.in_other_states(cx, segment),
        }
    }

    fn count_received(&mut self, now: Instant, segment: &Segment) {
        let totals = &mut self.totals;
        totals.segs_in = totals.segs_in.saturating_add(segment.wire_segments);
        if segment.text_len > 0 {
            totals.data_segs_in = totals.data_segs_in.saturating_add(segment.wire_segments);
            totals.text_heard_at = now;
            let size = segment.text_len.div_ceil(segment.wire_segments.max(1));
            self.largest_received = self.largest_received.max(size);
        }
    }

    /// RFC 9293 §3.10.7.3: SYN-SENT.
    fn in_syn_sent(&mut self, cx: &mut Context<'_>, mut segment: Segment) {
        // First, the ACK bit: it has to acknowledge something of ours.
        let acked = segment.has(Flags::ACK);
        let acceptable = segment.ack.after(self.snd.una) && segment.ack.before_or_eq(self.snd.nxt);
        if acked && !acceptable {
            self.refuse(cx, &segment);
            return;
        }
        // Second, the RST bit: refused, if it acknowledges our SYN.
        if segment.has(Flags::RST) {
            if acked {
                self.closed(cx, Some(Error::ConnectionRefused));
            }
            return;
        }
        // Fourth, the SYN bit. Fifth, a segment with neither is dropped.
        if !segment.has(Flags::SYN) {
            return;
        }
        let mut offer = Offer::read(&segment.options, self.flow.remote.ip, cx.config);
        limit_timestamps(self.has_md5(), &mut offer);
        if acked && !self.echoes_ours(cx.now, &segment, &offer) {
            cx.counters.add(Counter::TcpExtPAWSActive);
            self.refuse(cx, &segment);
            return;
        }
        if acked {
            self.ecn.syn_ack_arrived(segment.flags, segment.ecn);
        } else {
            // RFC 9768 §3.1.5: who opens at once with us answers for himself.
            let policy = Policy::new(cx.config, self.congestion.needs_ecn());
            self.ecn
                .answered(policy.answer(segment.flags, segment.ecn), 0);
        }
        self.snd.wnd = segment.window.into();
        self.snd.max_wnd = self.snd.wnd;
        self.synchronize(&segment, &offer, cx);
        self.snd.wl1 = segment.seq;
        self.snd.wl2 = segment.ack;
        if !acked {
            // RFC 9293 §3.5 (MUST-10): simultaneous open: <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>.
            self.enter(cx, State::SynReceived);
            self.marks.syn_due = true;
            return;
        }
        self.snd.una = segment.ack;
        self.syn_acknowledged(cx, &segment);
        self.measure_handshake(cx, &segment);
        self.established(cx);
        if self.unsent() > 0 {
            // Text goes with the acknowledgment: this is a dialogue already.
            self.quick_acks = 0;
        }
        if self.settings.defer_accept > 0 {
            // tcp(7), TCP_DEFER_ACCEPT: a client's first text is to come with it, if it comes soon.
            self.deadlines.delayed_ack = cx.now + ACK_DELAY_MAX;
        } else {
            self.marks.ack_now = true;
        }
        // On with the sixth step: other controls or text in the segment.
        segment.trim(self.rcv.nxt, self.rcv.edge);
        self.urgent(cx, &segment);
        self.text(cx, &mut segment);
        self.fin(cx, &segment);
    }

    /// Whether the timestamp that answers our SYN is one that we have sent since (Linux:
    /// PAWSActiveRejected): who has not seen our SYN can't have seen that either.
    fn echoes_ours(&self, now: Instant, answer: &Segment, offer: &Offer) -> bool {
        let Some(theirs) = answer.options.timestamps else {
            return true;
        };
        let first = timestamp(self.sent_at, self.timestamp_offset);
        let last = timestamp(now, self.timestamp_offset);
        offer.timestamp.is_none()
            || theirs.tsecr == 0
            || theirs.tsecr.wrapping_sub(first) <= last.wrapping_sub(first)
    }

    /// IRS, RCV.NXT and what the peer's SYN says of it.
    pub(crate) fn synchronize(&mut self, syn: &Segment, offer: &Offer, cx: &Context<'_>) {
        let offered = self.rcv.wnd();
        self.rcv.irs = syn.seq;
        self.rcv.nxt = syn.seq + 1;
        self.rcv.edge = self.rcv.nxt + offered;
        self.rcv.last_ack_sent = self.rcv.nxt;
        self.rcv.position = 0;
        self.negotiated(offer, cx.now, cx.config);
    }

    /// RFC 9293 §3.10.7.4: other states.
    fn in_other_states(&mut self, cx: &mut Context<'_>, mut segment: Segment) {
        if self.state == State::SynReceived && self.peer_repeats_syn(&mut segment) {
            return;
        }
        let seq = segment.seq;
        if !self.check_sequence(cx, &mut segment) {
            return;
        }
        self.heard(cx.now);
        if segment.has(Flags::RST) {
            self.reset_arrives(cx, &segment);
            return;
        }
        if segment.has(Flags::SYN) {
            self.syn_arrives(cx);
            return;
        }
        // Fifth: the ACK field.
        if !segment.has(Flags::ACK) || !self.acknowledgment(cx, &segment) {
            return;
        }
        // As in Linux, MSG_MORE counts until the peer is heard: whoever waits for an answer gets none
        // to half a request.
        self.marks.more_follows = false;
        self.remember_timestamp(cx.now, &segment, seq);
        self.marks_arrive(cx, &segment);
        self.urgent(cx, &segment);
        self.text(cx, &mut segment);
        if self.state != State::Closed {
            self.fin(cx, &segment);
        }
    }

    /// In SYN-RECEIVED the peer's SYN may come again. Alone it asks for our SYN and ACK; as the
    /// SYN and ACK of a simultaneous open (RFC 9293 §3.5, figure 7) it is old, but its
    /// acknowledgment counts. True when there is nothing more to do.
    fn peer_repeats_syn(&mut self, segment: &mut Segment) -> bool {
        if !segment.has(Flags::SYN) || segment.has(Flags::RST) || segment.seq != self.rcv.irs {
            return false;
        }
        if !segment.has(Flags::ACK) {
            self.marks.syn_due = true;
            return true;
        }
        segment.flags.remove(Flags::SYN);
        segment.seq += 1;
        // It came twice, and is answered like everything that does.
        self.marks.ack_now = true;
        if self.marks.sack {
            self.saw_duplicate(self.rcv.irs, 1);
        }
        false
    }

    /// First: the sequence number, after PAWS (RFC 7323 §5.3). False when the segment is dropped;
    /// what remains of it begins at RCV.NXT or later and ends in the window.
    fn check_sequence(&mut self, cx: &mut Context<'_>, segment: &mut Segment) -> bool {
        let rst = segment.has(Flags::RST);
        let agreed = self.timestamps.is_some() && self.state != State::SynReceived;
        if !rst && agreed && segment.options.timestamps.is_none() {
            // RFC 7323 §3.2: once timestamps are agreed on, every segment but a reset has them; one
            // that lacks them is dropped silently. The acknowledgment that ends the handshake is let
            // through, as Linux does.
            cx.drop_packet(Counter::TcpExtPAWSEstab);
            return false;
        }
        if !rst && self.is_old_duplicate(cx.now, segment) {
            // R1: answered, and dropped. A late original whose copy overtook it comes here: its
            // sender can take back what it did about a loss only if it is told.
            cx.drop_packet(Counter::TcpExtPAWSEstab);
            self.note_old_text(segment);
            self.answer_unacceptable(cx, segment.text_len > 0);
            return false;
        }
        // RFC 9293 §3.4 (MUST-66) and §3.5.3 (SHLD-2): a reset counts with a closed window too, and
        // its text counts for nothing.
        let len = if rst { 0 } else { segment.len() };
        if !self.rcv.is_acceptable(segment.seq, len) {
            if rst {
                return false;
            }
            return self.unacceptable(cx, segment);
        }
        self.note_old_text(segment);
        if !rst && !segment.has(Flags::SYN) {
            segment.trim(self.rcv.nxt, self.rcv.edge);
        }
        true
    }

    /// RFC 2883 §4: what a segment has of text that had arrived before is told to its sender.
    fn note_old_text(&mut self, segment: &Segment) {
        if segment.seq.before(self.rcv.nxt) && segment.text_len > 0 && self.marks.sack {
            let old = segment.seq.bytes_to(self.rcv.nxt);
            self.saw_duplicate(segment.text_seq(), old.min(segment.text_len));
        }
    }

    /// Answers a segment outside the window. Its acknowledgment may still count: true, with the
    /// rest cut off.
    fn unacceptable(&mut self, cx: &mut Context<'_>, segment: &mut Segment) -> bool {
        if segment.has(Flags::SYN) {
            // RFC 5961 §4.2: irrespective of the sequence number.
            self.syn_arrives(cx);
            return false;
        }
        self.heard(cx.now);
        let has_text = segment.len() > 0;
        if has_text && self.marks.sack && segment.end().before_or_eq(self.rcv.nxt) {
            // RFC 2883 §4.1: it had arrived before.
            self.saw_duplicate(segment.seq, segment.text_len);
        }
        self.answer_unacceptable(cx, has_text);
        // RFC 9293 §3.10.7.4, first: with a closed window, valid ACKs are still let through. So are
        // those on a probe or keep-alive from just before it.
        let at_edge = self.rcv.wnd() == 0 && segment.seq == self.rcv.nxt;
        if !at_edge || !segment.has(Flags::ACK) {
            return false;
        }
        segment.take_text();
        segment.flags.remove(Flags::FIN);
        true
    }

    /// RFC 7323 §5.3 R1: SEG.TSval < TS.Recent, and TS.Recent is valid.
    fn is_old_duplicate(&self, now: Instant, segment: &Segment) -> bool {
        let (Some(own), Some(theirs)) = (self.timestamps, segment.options.timestamps) else {
            return false;
        };
        SeqNum(theirs.tsval).before(SeqNum(own.recent)) && now - own.recent_at < TIMESTAMP_LIFETIME
    }

    /// RFC 7323 §4.3 (2): SEG.TSval >= TS.Recent and SEG.SEQ =< Last.ACK.sent.
    ///
    /// Only once the acknowledgment was acceptable, and not from a reset: who can guess a number in
    /// the window could otherwise make all that follows look old.
    fn remember_timestamp(&mut self, now: Instant, segment: &Segment, seq: SeqNum) {
        if let (Some(own), Some(theirs)) = (&mut self.timestamps, segment.options.timestamps)
            && seq.before_or_eq(self.rcv.last_ack_sent)
        {
            own.recent = theirs.tsval;
            own.recent_at = now;
        }
    }

    /// The peer is there.
    fn heard(&mut self, now: Instant) {
        self.heard_at = now;
    }

    /// Second: the RST bit, as RFC 5961 §3.2 has it. The segment is in the window.
    fn reset_arrives(&mut self, cx: &mut Context<'_>, segment: &Segment) {
        if segment.seq != self.rcv.nxt {
            self.challenge(cx);
            return;
        }
        let error = match self.state {
            // RFC 9293 §3.5 (MUST-11): from an active OPEN it was refused. From LISTEN the user need not know: nobody holds
            // it.
            State::SynReceived => match self.origin {
                Origin::Active => Some(Error::ConnectionRefused),
                Origin::Passive(_) | Origin::Intercepted => Some(Error::ConnectionReset),
            },
            State::Established | State::FinWait1 | State::FinWait2 => Some(Error::ConnectionReset),
            // Linux: the peer had closed; who still sends learns that nobody reads.
            State::CloseWait => Some(Error::BrokenPipe),
            State::Closing | State::LastAck => None,
            State::Closed | State::Listen | State::SynSent | State::TimeWait => return,
        };
        self.closed(cx, error);
    }

    /// Fourth: the SYN bit: RFC 5961 §4.2: a challenge, whatever its number.
    fn syn_arrives(&mut self, cx: &mut Context<'_>) {
        self.challenge(cx);
    }

    /// Seventh: the segment text.
    fn text(&mut self, cx: &mut Context<'_>, segment: &mut Segment) {
        if segment.text_len == 0 {
            return;
        }
        if !self.state.receives_text() {
            // The FIN was before it: this should not occur. Ignored.
            return;
        }
        if self.is_read_by_nobody() {
            // RFC 9293 §3.6.1 (SHLD-3): data after CLOSE is lost, and a reset says so.
            cx.counters.add(Counter::TcpExtTCPAbortOnData);
            self.refuse(cx, segment);
            self.closed(cx, None);
            return;
        }
        self.measure_as_receiver(cx.now, segment);
        let len = segment.text_len;
        let wire_segments = segment.wire_segments;
        let pinned = segment.pinned;
        let seq = segment.seq;
        let text = segment.take_text();
        segment.seq += len;
        if seq == self.rcv.nxt {
            if !self.may_accept(cx) {
                self.marks.ack_now = true;
                return;
            }
            let fills_gap = !self.reassembly.is_empty();
            self.accept(cx.now, text, len, pinned);
            self.take_reassembled(cx);
            self.tune_receiving(cx, len);
            self.limit_memory(cx);
            self.signal(cx, Readiness::READABLE);
            // RFC 5681 §4.2: what fills a gap is acknowledged at once.
            self.schedule_ack(cx.now, wire_segments, fills_gap);
        } else {
            self.totals.out_of_order = self.totals.out_of_order.saturating_add(wire_segments);
            let ahead = self.rcv.nxt.bytes_to(seq);
            let at = self.rcv.position + u64::from(ahead);
            if self.may_reassemble(cx) && !self.reassembly.insert(at, text, pinned) {
                cx.drop_packet(Counter::TcpExtOfoPruned);
            }
            self.limit_memory(cx);
            // RFC 5681 §4.2, RFC 9293 §3.10.7.4 (MAY-13): a duplicate acknowledgment, at once.
            self.marks.ack_now = true;
        }
    }

    /// Whether text has no reader any more: the user has closed the socket.
    fn is_read_by_nobody(&self) -> bool {
        !self.marks.user && !self.marks.unaccepted
    }

    /// Takes responsibility for text at RCV.NXT.
    fn accept(&mut self, now: Instant, text: Payload, len: u32, pinned: usize) {
        self.rcv.advance(len);
        self.received.push(text, pinned, self.settings.stamp(now));
    }

    /// Appends what now follows on.
    fn take_reassembled(&mut self, cx: &mut Context<'_>) {
        while let Some((text, len, pinned)) = self.reassembly.pop(self.rcv.position) {
            // It may have been announced after it came.
            self.look_for_octet(cx, self.rcv.position, &text);
            self.accept(cx.now, text, u32::try_from(len).unwrap_or(u32::MAX), pinned);
        }
    }

    fn saw_duplicate(&mut self, seq: SeqNum, len: u32) {
        // RCV.NXT is ahead of it.
        let behind = u64::from(seq.bytes_to(self.rcv.nxt));
        let start = self.rcv.position.wrapping_sub(behind);
        let end = start.wrapping_add(len.into());
        self.reassembly.saw_duplicate(start..end);
    }

    /// RFC 9293 §3.8.6.3 (SHLD-18, SHLD-19): an acknowledgment for every second segment, else after a
    /// delay. It is sent when all that came together is processed (§3.10.7.4, MUST-58, MUST-59).
    fn schedule_ack(&mut self, now: Instant, segments: u32, at_once: bool) {
        self.unacknowledged = self.unacknowledged.saturating_add(segments);
        if self.quick_acks > 0 {
            self.quick_acks -= 1;
            self.marks.ack_now = true;
        }
        if at_once || self.unacknowledged >= 2 || self.marks.quick_ack {
            self.marks.ack_now = true;
        } else if self.deadlines.delayed_ack == Instant::FAR {
            self.deadlines.delayed_ack = now + ACK_DELAY.min(self.settings.delayed_ack_max);
        }
    }

    /// Eighth: the FIN bit. One that comes before the text it follows waits for it.
    fn fin(&mut self, cx: &mut Context<'_>, segment: &Segment) {
        if segment.has(Flags::FIN) {
            let seq = segment.text_seq() + segment.text_len;
            let ahead = self.rcv.nxt.bytes_to(seq);
            self.fin_at = Some(self.rcv.position + u64::from(ahead));
            self.marks.ack_now = true;
        }
        if self.fin_at == Some(self.rcv.position) && self.state.receives_text() {
            self.fin_at = None;
            self.fin_arrives(cx);
        }
    }

    /// The peer has closed, and all it sent has arrived.
    fn fin_arrives(&mut self, cx: &mut Context<'_>) {
        self.rcv.nxt += 1;
        self.rcv.edge = self.rcv.edge.later(self.rcv.nxt);
        self.marks.ack_now = true;
        self.reassembly.clear();
        match self.state {
            State::Established => self.enter(cx, State::CloseWait),
            State::FinWait1 if self.fin_acked() => self.enter(cx, State::TimeWait),
            State::FinWait1 => self.enter(cx, State::Closing),
            State::FinWait2 => self.enter(cx, State::TimeWait),
            _ => return,
        }
        let mut what = Readiness::READABLE | Readiness::READ_CLOSED;
        what.set(Readiness::HANGUP, self.marks.fin_queued);
        self.signal(cx, what);
    }
}
