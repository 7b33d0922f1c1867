//! How each segment is made and sent: the SYN, text for the first time and again, probes,
//! acknowledgments.

use crate::State;
use crate::ecn::{Mode, Policy};
use crate::emit::{self, Carrier};
use crate::isn::timestamp;
use crate::options::{Offer, ip_header_len, own_shift, syn_options};
use crate::output::{ACK_DELAY, Action};
use crate::recovery::CaState;
use crate::recovery::scoreboard::Piece;
use crate::tcb::Tcb;
use crate::timers::Retransmit;
use sockeye_core::congestion::Sent;
use sockeye_core::{Context, Counter, Event, Instant, Payload, Route};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp::{Flags, HEADER_LEN, Header};
use sockeye_wire::tcp_options::{Options, SackBlock};

/// A super-segment's IP packet length has 16 bits.
const PACKET_MAX: u32 = 65_535;

impl Tcb {
    /// What the IP headers say.
    pub(crate) fn carrier(&self) -> Carrier {
        Carrier::new(&self.settings.common, self.flow.remote.ip, self.flow_label)
            .signed(self.signer())
    }

    pub(crate) fn perform(&mut self, cx: &mut Context<'_>, route: &Route, action: Action) {
        match action {
            Action::Syn => self.send_syn(cx, route),
            Action::Again { len } => self.send_due(cx, route, len),
            Action::New { len, fin } => {
                let largest = self.largest(route);
                let fin = fin && len <= largest;
                let size = self.segment_size();
                self.send_new(cx, route, len.min(largest), fin, size);
            }
            Action::MtuProbe { len } => {
                let seq = self.snd.nxt;
                self.send_new(cx, route, len, false, len);
                self.mtu_probe_sent(cx, seq, len);
            }
            Action::TailProbe => self.send_tail_probe(cx, route),
            Action::Probe => self.send_probe(cx, route),
            Action::Ack => self.send_text(cx, route, self.acceptable_seq(), 0, Flags::ACK),
        }
    }

    /// SND.NXT, or the end of the peer's window where that has shrunk: only what lies in it is
    /// acceptable to the peer.
    pub(crate) fn acceptable_seq(&self) -> SeqNum {
        let edge = self.snd.una + self.snd.wnd;
        if self.snd.wnd == 0 || self.snd.nxt.before_or_eq(edge) {
            self.snd.nxt
        } else {
            edge.later(self.snd.una)
        }
    }

    /// RFC 9293 §3.10.1: <SEQ=ISS><CTL=SYN>; §3.10.7.3: <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>.
    fn send_syn(&mut self, cx: &mut Context<'_>, route: &Route) {
        if self.answer_fast_open(cx) {
            return;
        }
        let tsval = timestamp(cx.now, self.timestamp_offset);
        let answers = self.state != State::SynSent;
        let offer = answers.then(|| Offer {
            mss: self.peer_mss,
            window_scale: self.marks.scaled.then_some(0),
            sack: self.marks.sack,
            timestamp: self.timestamps.map(|ts| ts.recent),
        });
        let shift = own_shift(cx.config, self.rcv.buffer);
        let mss = self.own_mss(route);
        let again = self.snd.nxt.after(self.snd.iss);
        let before = if again { self.retries.max(1) } else { 0 };
        let flags = if answers {
            Flags::SYN | Flags::ACK | self.ecn.syn_ack_flags(before)
        } else {
            let policy = Policy::new(cx.config, self.congestion.needs_ecn());
            Flags::SYN | self.ecn.syn_flags(policy, before)
        };
        let mut header = Header {
            seq: self.snd.iss,
            ack: if answers { self.rcv.nxt } else { SeqNum(0) },
            flags,
            window: self
                .rcv
                .offer(self.waiting(), self.mss, self.settings.window_clamp, true),
            options: self.fit_syn(syn_options(cx.config, mss, shift, tsval, offer.as_ref())),
            ..Header::default()
        };
        let (text, text_len) = self.syn_text(&mut header.options);
        let flow = self.flow;
        let carrier = self.carrier();
        // A failure is as good as a loss on the way: the timer sends it again.
        let _ = emit::send(cx, route, &flow, &carrier, &header, text, u32::MAX);
        self.marks.syn_due = false;
        self.totals.segs_out = self.totals.segs_out.saturating_add(1);
        if answers {
            self.acknowledged();
        }
        if again {
            self.marks.syn_retransmitted = true;
            self.timed = None;
            self.count_retransmission(cx, self.snd.iss, 1, 1);
            self.recovery.note_copy(cx.now, tsval, 1);
        } else {
            let first = self.snd.iss + 1;
            self.snd.nxt = first + text_len;
            self.timed = Some(cx.now);
            if text_len > 0 {
                // It is one segment, though the peer's MSS is not known yet.
                self.note_sent(cx.now, (first, text_len), (false, true), true);
            }
        }
    }

    /// The first piece that is due goes again, up to `len` numbers of it.
    fn send_due(&mut self, cx: &mut Context<'_>, route: &Route, len: u32) {
        let Some(index) = self.recovery.board.next_due() else {
            return;
        };
        self.send_piece(cx, route, index, len);
        let counter = match self.recovery.state() {
            CaState::Loss => Counter::TcpExtTCPSlowStartRetrans,
            _ => Counter::TcpExtTCPFastRetrans,
        };
        let segments = self.recovery.board.get(index).map_or(1, |p| p.segments);
        cx.counters.add_n(counter, segments.into());
        self.recovery.was_sent();
        if self.deadlines.pending() != Some(Retransmit::Reordering) && index == 0 {
            // RFC 6298 §5 (5.1): the time-out counts from the copy.
            let wait = self.until_user_timeout(cx.now, self.rtt.rto());
            self.schedule(Retransmit::Timeout, cx.now + wait);
        }
        self.recovery.reduction_sent(len);
    }

    /// Sends the piece at `index` again, up to `len` numbers of it, cut anew.
    fn send_piece(&mut self, cx: &mut Context<'_>, route: &Route, index: usize, len: u32) {
        let size = self.segment_size();
        let Some(&piece) = self.recovery.board.get(index) else {
            return;
        };
        let fin_alone = u32::from(piece.fin);
        let text = piece.len() - fin_alone;
        let limit = self.largest(route).min(len.max(1));
        if text > limit && self.recovery.board.split(index, piece.start + limit) {
            // What follows is due by itself.
        }
        let Some(&piece) = self.recovery.board.get(index) else {
            return;
        };
        let fin = piece.fin;
        let text = piece.len() - u32::from(fin);
        let mut flags = Flags::ACK;
        flags.set(Flags::FIN, fin);
        flags.set(Flags::PSH, text > 0 && (piece.push || text > size));
        self.send_text(cx, route, piece.start, text, flags);
        let snapshot = self.recovery.snapshot(cx.now, self.mss);
        self.recovery
            .board
            .sent_again(index, cx.now, size, snapshot);
        let segments = self.recovery.board.get(index).map_or(1, |p| p.segments);
        self.count_retransmission(cx, piece.start, piece.len(), segments);
        let tsval = timestamp(cx.now, self.timestamp_offset);
        self.recovery.note_copy(cx.now, tsval, segments);
        self.mtu_probe_is_inconclusive();
        self.pace(cx.now, piece.len());
        self.tell_controller_sent(cx.now, piece.len());
    }

    /// Sends `len` bytes of new text, cut to segments of `size`, and the FIN behind them.
    fn send_new(&mut self, cx: &mut Context<'_>, route: &Route, len: u32, fin: bool, size: u32) {
        let seq = self.snd.nxt;
        let mut flags = Flags::ACK;
        flags.set(Flags::FIN, fin);
        let idle = self.recovery.board.is_empty();
        // What ends a SEND is pushed. So is the last of a super-segment, as in Linux: a receiver that
        // merges segments does not wait for more.
        let end = seq + len;
        let push = len > 0 && self.records.is_pushed(end, end == self.queue.end());
        self.records.sent(end);
        flags.set(Flags::PSH, push || len > size);
        self.send_cut(cx, route, (seq, len), flags, size);
        self.snd.nxt = seq + len + u32::from(fin);
        if !len.is_multiple_of(self.mss) {
            self.snd.small = seq + len;
        }
        self.marks.override_sws = false;
        self.sent_at = cx.now;
        self.note_sent(cx.now, (seq, size), (fin, push), idle);
        if idle || self.deadlines.pending() == Some(Retransmit::LossProbe) {
            // RFC 6298 §5 (5.1); RFC 8985 §7.2: the probe counts from the last that was sent.
            self.set_retransmission_timer(cx.now, idle);
        }
        self.recovery.reduction_sent(len);
        self.pace(cx.now, len);
        self.tell_controller_sent(cx.now, len);
    }

    /// The numbers from `seq` to SND.NXT were sent for the first time.
    fn note_sent(
        &mut self,
        now: Instant,
        (seq, mss): (SeqNum, u32),
        (fin, push): (bool, bool),
        idle: bool,
    ) {
        let len = seq.bytes_to(self.snd.nxt);
        let in_flight = self.pipe().saturating_add(len);
        let snapshot = self.recovery.delivery.on_sent(now, idle, in_flight);
        self.recovery.board.push(Piece {
            start: seq,
            end: self.snd.nxt,
            sent_at: now,
            segments: 0,
            mss,
            fin,
            push,
            sacked: false,
            lost: false,
            again: false,
            ever_again: false,
            snapshot,
        });
    }

    fn tell_controller_sent(&mut self, now: Instant, bytes: u32) {
        let in_flight = self.pipe().into();
        self.congestion.on_sent(&Sent {
            now,
            bytes: bytes.into(),
            in_flight,
            app_limited: self.recovery.delivery.is_app_limited(),
        });
    }

    /// RFC 8985 §7.3: TLP_send_probe: new text where there is some and the window takes it, else the
    /// last segment that was sent.
    fn send_tail_probe(&mut self, cx: &mut Context<'_>, route: &Route) {
        self.marks.tail_probe_due = false;
        let new = self.unsent_record().min(self.mss).min(self.usable_window());
        let fin_waits = self.marks.fin_queued && !self.fin_sent();
        let is_retrans = new == 0;
        if is_retrans {
            let Some(&last) = self.recovery.board.last() else {
                return;
            };
            let mut index = self.recovery.board.len() - 1;
            if last.segments > 1 {
                let before = (last.segments - 1) * last.mss;
                if before < last.len() && self.recovery.board.split(index, last.start + before) {
                    index += 1;
                }
            }
            self.send_piece(cx, route, index, u32::MAX);
        } else {
            let fin = fin_waits && new == self.unsent() && self.usable_window() > new;
            let size = self.segment_size();
            self.send_new(cx, route, new, fin, size);
        }
        cx.counters.add(Counter::TcpExtTCPLossProbes);
        self.recovery.probe_sent(self.snd.nxt, is_retrans);
        // The time-out counts from the probe.
        self.schedule(Retransmit::Timeout, cx.now + self.rtt.rto());
    }

    /// A segment that the peer has to answer: <SEQ=SND.UNA-1>, which lies before its window. RFC 9293
    /// §3.8.6.1 (MUST-36) would have an octet of what waits in it for a closed window; as Linux
    /// does, nothing is sent that the peer would have to throw away. Keep-alives are such, too
    /// (§3.8.4, SHLD-12).
    fn send_probe(&mut self, cx: &mut Context<'_>, route: &Route) {
        if self.announces_urgent() {
            self.send_text(cx, route, self.snd.una, 0, Flags::ACK);
        }
        self.send_text(cx, route, self.snd.una - 1, 0, Flags::ACK);
        self.marks.probe_due = false;
    }

    /// The most bytes of text that one packet may carry: a segment, or what the interface cuts by
    /// itself.
    fn largest(&self, route: &Route) -> u32 {
        let size = self.segment_size();
        // A signature covers a segment of its own.
        if self.signature_len() > 0 {
            return size;
        }
        // Devices, and the offloads of Linux, take CWR of a super-segment for what RFC 3168 §6.1.2 says
        // once, and leave it to the first piece alone.
        let accurate = self.ecn.accurate.as_ref();
        if self.ecn.mode == Mode::Accurate && accurate.is_some_and(|a| a.counts_with_cwr()) {
            return size;
        }
        let gso = route.offload.gso;
        if self.is_urgent() || !gso.contains(emit::gso_kind(self.flow.remote.ip)) {
            return size;
        }
        let headers = ip_header_len(self.flow.remote.ip) + HEADER_LEN as u32 + 40;
        let headers = headers + self.extras_len();
        let room = route
            .offload
            .gso_max
            .min(PACKET_MAX)
            .saturating_sub(headers);
        (room / size * size).max(size)
    }

    /// Bytes of text of a full segment now: SACK blocks take their room from it.
    fn segment_size(&self) -> u32 {
        let blocks = self.sack_blocks();
        let taken = if blocks == 0 { 0 } else { 4 + 8 * blocks };
        self.mss.saturating_sub(taken).max(8)
    }

    fn sack_blocks(&self) -> u32 {
        if !self.marks.sack || !self.reassembly.has_blocks() {
            return 0;
        }
        let blocks = self.reassembly.blocks(self.rcv.position, self.sack_room());
        u32::try_from(blocks.len()).unwrap_or(0)
    }

    /// The options of a segment of a synchronized connection.
    fn current_options(&self, now: Instant) -> Options {
        let mut options = Options {
            timestamps: self.current_timestamps(now),
            ..Options::default()
        };
        if self.marks.sack && self.reassembly.has_blocks() {
            for range in self.reassembly.blocks(self.rcv.position, self.sack_room()) {
                options.sack.push(SackBlock {
                    start: self.seq_at(range.start),
                    end: self.seq_at(range.end),
                });
            }
        }
        options
    }

    /// The sequence number of a position of the incoming stream.
    fn seq_at(&self, position: u64) -> SeqNum {
        let ahead = position.wrapping_sub(self.rcv.position);
        // Modulo 2^32 on purpose: positions before RCV.NXT lie behind it.
        self.rcv.nxt + (ahead & u64::from(u32::MAX)) as u32
    }

    /// Sends `len` bytes of text from `seq` on, with an acknowledgment.
    pub(crate) fn send_text(
        &mut self,
        cx: &mut Context<'_>,
        route: &Route,
        seq: SeqNum,
        len: u32,
        flags: Flags,
    ) {
        let size = self.segment_size();
        self.send_cut(cx, route, (seq, len), flags, size);
    }

    /// See [`send_text`](Self::send_text); in segments of `size`.
    fn send_cut(
        &mut self,
        cx: &mut Context<'_>,
        route: &Route,
        (seq, len): (SeqNum, u32),
        flags: Flags,
        size: u32,
    ) {
        let mut options = self.current_options(cx.now);
        // Beside a signature there is room for one of the two, and losses matter more.
        let room = self.signature_len() == 0 || options.sack.is_empty();
        if len == 0
            && room
            && let Some(accurate) = &mut self.ecn.accurate
        {
            options.accecn = accurate.option();
        }
        let window = self
            .rcv
            .offer(self.waiting(), self.mss, self.settings.window_clamp, false);
        let mut carrier = self.carrier();
        let flags = self.mark(flags, &mut carrier, seq, len);
        let mut header = Header {
            seq,
            ack: self.rcv.nxt,
            flags,
            window,
            options,
            ..Header::default()
        };
        self.point(&mut header, cx.config);
        let text = if len == 0 {
            Payload::new()
        } else {
            self.queue.slice(seq, len)
        };
        let flow = self.flow;
        // A failure is as good as a loss on the way.
        let _ = emit::send(cx, route, &flow, &carrier, &header, text, size);
        let segments = len.div_ceil(size.max(1));
        self.totals.segs_out = self.totals.segs_out.saturating_add(segments.max(1));
        self.totals.data_segs_out = self.totals.data_segs_out.saturating_add(segments);
        let answers = self.rcv.position > 0 && cx.now - self.totals.text_heard_at < ACK_DELAY;
        if len > 0 && answers {
            // This is a dialogue, so acknowledgments can wait for the next answer.
            self.quick_acks = 0;
        }
        self.acknowledged();
    }

    /// An acknowledgment of RCV.NXT has left.
    fn acknowledged(&mut self) {
        self.rcv.last_ack_sent = self.rcv.nxt;
        self.marks.ack_now = false;
        self.unacknowledged = 0;
        self.deadlines.delayed_ack = Instant::FAR;
        self.reassembly.told();
    }

    fn count_retransmission(&mut self, cx: &mut Context<'_>, seq: SeqNum, len: u32, segments: u32) {
        cx.counters.add_n(Counter::TcpRetransSegs, segments.into());
        self.totals.retransmitted = self.totals.retransmitted.saturating_add(segments);
        self.totals.bytes_retransmitted += u64::from(len);
        cx.tell(&Event::Retransmitted {
            socket: self.handle,
            seq: seq.0,
            len,
        });
    }
}
