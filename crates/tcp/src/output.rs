//! What goes out, and when: the range that recovery names, else new text as far as min (cwnd, rwnd)
//! goes, else an acknowledgment.
//!
//! [`Tcb::next_action`] decides and changes nothing; [`Tcb::transmit`] does what it says, segment by
//! segment, until nothing is left to do or the interface is full.

use crate::State;
use crate::emit::{self, Carrier};
use crate::isn::timestamp;
use crate::options::{Offer, ip_header_len, own_shift, syn_options};
use crate::tcb::Tcb;
use core::time::Duration;
use sockeye_core::{Config, Context, Counter, Event, Instant, Payload, Route};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp::{Flags, HEADER_LEN, Header};
use sockeye_wire::tcp_options::{Options, SACK_BLOCKS_MAX, SackBlock};

/// Acknowledgments sent at once when a connection starts: the peer is in slow start (Linux:
/// TCP_MAX_QUICKACKS).
pub(crate) const QUICK_ACKS: u8 = 16;
/// RFC 9293 §3.8.6.3 (MUST-40): below 0.5 s; Linux's minimum.
pub(crate) const ACK_DELAY: Duration = Duration::from_millis(40);
/// tcp(7), TCP_CORK: what is held back goes out after 200 ms.
const CORK_MAX: Duration = Duration::from_millis(200);
/// A super-segment's IP packet length has 16 bits.
const PACKET_MAX: u32 = 65_535;

/// The next thing to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The SYN, or SYN and ACK.
    Syn,
    /// `len` numbers from `seq` on, again; FIN counted.
    Again { seq: SeqNum, len: u32 },
    /// `len` bytes of new text, and the FIN behind them.
    New { len: u32, fin: bool },
    /// A probe of a closed window or of a silent peer.
    Probe,
    /// An acknowledgment alone.
    Ack,
}

impl Tcb {
    /// What the IP headers say.
    pub(crate) fn carrier(&self, config: &Config) -> Carrier {
        Carrier::new(
            &self.settings.common,
            self.flow.remote.ip,
            self.flow_label,
            config,
        )
    }

    /// Whether [`transmit`](Self::transmit) has something to do.
    pub(crate) fn has_output(&self) -> bool {
        self.next_action().is_some()
    }

    /// What to send next.
    pub(crate) fn next_action(&self) -> Option<Action> {
        if self.marks.syn_due {
            return Some(Action::Syn);
        }
        if self.state.transmits() {
            if let Some(again) = self.next_again() {
                return Some(again);
            }
            if self.marks.probe_due {
                return Some(Action::Probe);
            }
            if let Some(new) = self.next_new() {
                return Some(new);
            }
        } else if self.marks.probe_due && self.state == State::FinWait2 {
            return Some(Action::Probe);
        }
        let knows_peer = self.state.is_synchronized() || self.state == State::SynReceived;
        (self.marks.ack_now && knows_peer).then_some(Action::Ack)
    }

    /// Bytes that congestion control lets out now.
    fn cwnd_room(&self) -> u32 {
        let cwnd = u32::try_from(self.congestion.cwnd()).unwrap_or(u32::MAX);
        cwnd.saturating_sub(self.pipe())
    }

    /// Whether our SYN has not been acknowledged. ISS alone does not tell: after 4 GiB, SND.UNA may
    /// come by it again.
    fn syn_is_outstanding(&self) -> bool {
        self.snd.una == self.snd.iss && self.queue.start().after(self.snd.una)
    }

    /// The range that recovery names, as far as the windows let it go.
    fn next_again(&self) -> Option<Action> {
        let (seq, wanted) = self.recovery.next(self.snd.una, self.mss)?;
        if self.syn_is_outstanding() {
            return Some(Action::Syn);
        }
        // RFC 9293 §3.8.6 (SHLD-16): up to SND.UNA + SND.WND, also when the window has shrunk; a
        // closed one is probed.
        let edge = self.snd.una + self.snd.wnd;
        let in_window = if seq.before(edge) {
            seq.bytes_to(edge)
        } else {
            0
        };
        let numbers = seq.bytes_to(self.snd.nxt);
        let mut len = wanted.min(in_window).min(numbers);
        if self.recovery.is_forced() {
            return (len > 0).then_some(Action::Again {
                seq,
                len: len.min(self.mss),
            });
        }
        let room = self.cwnd_room();
        if room < len {
            // Whole segments, and one at least when nothing is in flight.
            len = (room / self.mss * self.mss).max(if self.pipe() == 0 { self.mss } else { 0 });
            len = len.min(wanted);
        }
        (len > 0).then_some(Action::Again { seq, len })
    }

    /// New text and the FIN.
    ///
    /// RFC 9293 §3.8.6.2.1: U = SND.UNA + SND.WND - SND.NXT is the usable window, D what is queued
    /// and not sent.
    fn next_new(&self) -> Option<Action> {
        let queued = self.unsent();
        let fin_waits = self.marks.fin_queued && !self.fin_sent();
        if queued == 0 && !fin_waits {
            return None;
        }
        let edge = self.snd.una + self.snd.wnd;
        let usable = if self.snd.nxt.before(edge) {
            self.snd.nxt.bytes_to(edge)
        } else {
            0
        };
        let room = self.cwnd_room();
        if queued == 0 {
            return (usable > 0).then_some(Action::New { len: 0, fin: true });
        }
        let len = queued.min(usable).min(room);
        let full = len / self.mss * self.mss;
        if full > 0 {
            // (1) a full segment can be sent. What is left over is looked at by itself.
            return Some(self.new_text(full, usable, queued, fin_waits));
        }
        if len == 0 {
            return None;
        }
        let all = len == queued;
        // (2) all that is queued can be sent, unless Nagle's algorithm holds it back.
        let goes = (all && (fin_waits || self.small_may_go()))
            // (3) at least half of the largest window can be sent.
            || (len == usable && len >= self.snd.max_wnd.div_ceil(2) && self.small_may_go())
            // (4) the override time-out has come.
            || self.marks.override_sws;
        goes.then(|| self.new_text(len, usable, queued, fin_waits))
    }

    fn new_text(&self, len: u32, usable: u32, queued: u32, fin_waits: bool) -> Action {
        Action::New {
            len,
            fin: fin_waits && len == queued && usable > len,
        }
    }

    /// RFC 9293 §3.7.4: Nagle's algorithm, unless switched off. It is Minshall's variant, Linux's
    /// too: a small segment waits for another small one, not for full ones, so that the end of a
    /// large write is not held up by the peer's delayed acknowledgment.
    fn small_may_go(&self) -> bool {
        if self.settings.cork {
            return false;
        }
        self.settings.no_delay || !self.snd.small.after(self.snd.una)
    }

    /// Sends up to `budget` packets; returns how many it sent.
    pub(crate) fn transmit(&mut self, cx: &mut Context<'_>, budget: usize) -> usize {
        let mut sent = 0;
        self.restart_after_idle(cx.now);
        while sent < budget {
            let Some(action) = self.next_action() else {
                break;
            };
            let Ok(route) = self.route(cx) else {
                break;
            };
            if cx.tx_room(route.interface) == 0 {
                break;
            }
            self.perform(cx, &route, action);
            sent += 1;
        }
        self.marks.cwnd_limited = self.unsent() > 0 && self.cwnd_room() < self.mss;
        self.after_transmit(cx.now);
        sent
    }

    /// RFC 5681 §4.1: after an idle period the window says nothing of the path any more.
    fn restart_after_idle(&mut self, now: Instant) {
        if self.outstanding() == 0 && self.unsent() > 0 && now - self.sent_at > self.rtt.rto() {
            self.congestion.on_idle_restart(now);
            self.sent_at = now;
        }
    }

    /// Sees to it that something happens though no acknowledgment comes.
    pub(crate) fn after_transmit(&mut self, now: Instant) {
        if self.deadlines.retransmit == Instant::FAR && self.waits_for_peer() {
            self.deadlines.retransmit = now + self.rtt.rto();
        }
        if self.settings.cork && self.unsent() > 0 && self.deadlines.uncork == Instant::FAR {
            self.deadlines.uncork = now + CORK_MAX;
        }
    }

    /// Whether only an acknowledgment, a window or a route can bring this on: RFC 6298 §5 (5.1),
    /// RFC 9293 §3.8.6.1.
    pub(crate) fn waits_for_peer(&self) -> bool {
        let syn = matches!(self.state, State::SynSent | State::SynReceived);
        let held = self.unsent() > 0 && !self.settings.cork;
        let fin_waits = self.marks.fin_queued && !self.fin_sent();
        syn || (self.state.transmits() && (self.outstanding() > 0 || held || fin_waits))
    }

    fn perform(&mut self, cx: &mut Context<'_>, route: &Route, action: Action) {
        match action {
            Action::Syn => self.send_syn(cx, route),
            Action::Again { seq, len } => self.send_again(cx, route, seq, len),
            Action::New { len, fin } => self.send_new(cx, route, len, fin),
            Action::Probe => self.send_probe(cx, route),
            Action::Ack => self.send_text(cx, route, self.snd.nxt, 0, Flags::ACK),
        }
    }

    /// RFC 9293 §3.10.1: <SEQ=ISS><CTL=SYN>; §3.10.7.3: <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>.
    fn send_syn(&mut self, cx: &mut Context<'_>, route: &Route) {
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
        let header = Header {
            seq: self.snd.iss,
            ack: if answers { self.rcv.nxt } else { SeqNum(0) },
            flags: if answers {
                Flags::SYN | Flags::ACK
            } else {
                Flags::SYN
            },
            window: self
                .rcv
                .offer(self.waiting(), self.mss, self.settings.window_clamp, true),
            options: syn_options(cx.config, mss, shift, tsval, offer.as_ref()),
            ..Header::default()
        };
        let again = self.snd.nxt.after(self.snd.iss);
        let flow = self.flow;
        let carrier = self.carrier(cx.config);
        // A failure is as good as a loss on the way: the timer sends it again.
        let _ = emit::send(
            cx,
            route,
            &flow,
            &carrier,
            &header,
            Payload::new(),
            u32::MAX,
        );
        self.marks.syn_due = false;
        if answers {
            self.acknowledged();
        }
        if again {
            self.marks.syn_retransmitted = true;
            self.timed = None;
            self.count_retransmission(cx, self.snd.iss, 1);
            self.recovery.sent_again(self.snd.iss, 1);
        } else {
            self.snd.nxt = self.snd.iss + 1;
            self.timed = Some((self.snd.nxt, cx.now));
            self.stalled_since = cx.now;
        }
    }

    fn send_again(&mut self, cx: &mut Context<'_>, route: &Route, seq: SeqNum, len: u32) {
        let text_end = (seq + len).earlier(self.queue.end());
        let text = if seq.before(text_end) {
            seq.bytes_to(text_end)
        } else {
            0
        };
        let text = text.min(self.largest(route));
        // The FIN rides along behind the last text.
        let fin = self.fin_sent() && self.fin_seq() == Some(seq + text);
        let mut flags = Flags::ACK;
        flags.set(Flags::FIN, fin);
        flags.set(Flags::PSH, text > 0 && seq + text == self.queue.end());
        self.send_text(cx, route, seq, text, flags);
        let numbers = text + u32::from(fin);
        self.recovery.sent_again(seq, numbers);
        self.count_retransmission(cx, seq, numbers);
        // RFC 6298 §3: Karn's algorithm.
        self.timed = None;
    }

    fn send_new(&mut self, cx: &mut Context<'_>, route: &Route, len: u32, fin: bool) {
        let largest = self.largest(route);
        let (len, fin) = if len > largest {
            (largest, false)
        } else {
            (len, fin)
        };
        let seq = self.snd.nxt;
        let mut flags = Flags::ACK;
        flags.set(Flags::FIN, fin);
        // RFC 9293 §3.9.1.2 (MUST-60, MUST-61): the last segment of what is queued is pushed.
        flags.set(Flags::PSH, len > 0 && seq + len == self.queue.end());
        if self.outstanding() == 0 {
            self.stalled_since = cx.now;
        }
        self.send_text(cx, route, seq, len, flags);
        self.snd.nxt = seq + len + u32::from(fin);
        if !len.is_multiple_of(self.mss) {
            self.snd.small = seq + len;
        }
        self.marks.override_sws = false;
        self.sent_at = cx.now;
        if self.timed.is_none() && !self.recovery.is_active() {
            self.timed = Some((self.snd.nxt, cx.now));
        }
        let flight = u64::from(self.pipe());
        self.congestion.on_sent(cx.now, len.into(), flight);
    }

    /// RFC 9293 §3.8.6.1: a closed window is probed with one octet of what waits, or the FIN.
    /// RFC 9293 §3.8.4: a silent peer with <SEQ=SND.NXT-1>, which it has to answer.
    fn send_probe(&mut self, cx: &mut Context<'_>, route: &Route) {
        let una = self.snd.una;
        let has_text = una.before(self.queue.end());
        let has_fin = self.fin_seq() == Some(una);
        if !has_text && !has_fin {
            self.send_text(cx, route, self.snd.nxt - 1, 0, Flags::ACK);
            self.marks.probe_due = false;
            return;
        }
        let mut flags = Flags::ACK;
        flags.set(Flags::FIN, has_fin);
        self.send_text(cx, route, una, u32::from(has_text), flags);
        self.marks.probe_due = false;
        self.snd.nxt = self.snd.nxt.later(una + 1);
        self.timed = None;
    }

    /// The most bytes of text that one packet may carry: a segment, or what the interface cuts by
    /// itself.
    fn largest(&self, route: &Route) -> u32 {
        let size = self.segment_size();
        if !route
            .offload
            .gso
            .contains(emit::gso_kind(self.flow.remote.ip))
        {
            return size;
        }
        let headers = ip_header_len(self.flow.remote.ip) + HEADER_LEN as u32 + 40;
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

    /// RFC 2018 §3: four blocks, or three beside timestamps.
    fn sack_room(&self) -> usize {
        SACK_BLOCKS_MAX - usize::from(self.timestamps.is_some())
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
    fn send_text(
        &mut self,
        cx: &mut Context<'_>,
        route: &Route,
        seq: SeqNum,
        len: u32,
        flags: Flags,
    ) {
        let size = self.segment_size();
        let options = self.current_options(cx.now);
        let window = self
            .rcv
            .offer(self.waiting(), self.mss, self.settings.window_clamp, false);
        let header = Header {
            seq,
            ack: self.rcv.nxt,
            flags,
            window,
            options,
            ..Header::default()
        };
        let text = if len == 0 {
            Payload::new()
        } else {
            self.queue.slice(seq, len)
        };
        let flow = self.flow;
        let carrier = self.carrier(cx.config);
        // A failure is as good as a loss on the way.
        let _ = emit::send(cx, route, &flow, &carrier, &header, text, size);
        if len > 0 {
            // An answer to what arrived: this is a dialogue, so acknowledgments can wait for the
            // next answer.
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

    fn count_retransmission(&mut self, cx: &mut Context<'_>, seq: SeqNum, len: u32) {
        let segments = len.div_ceil(self.mss).max(1);
        cx.counters.add_n(Counter::TcpRetransSegs, segments.into());
        self.retransmitted = self.retransmitted.saturating_add(segments);
        cx.tell(&Event::Retransmitted {
            socket: self.handle,
            seq: seq.0,
            len,
        });
    }
}
