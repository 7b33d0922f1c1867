//! What leaves, and when: data as its CCID allows (RFC 4340 §8.2), acknowledgements beside or with it
//! (§11.2), and the packets of each state.

use crate::ccid::{Departed, When};
use crate::conn::Conn;
use crate::emit::{self, Outgoing};
use crate::features::Feature;
use crate::options::Bytes;
use crate::state::State;
use core::time::Duration;
use sockeye_core::{Context, Instant, Payload, Readiness};
use sockeye_wire::dccp::{Kind, PacketType, ResetCode, fixed_len};

/// RFC 4340 §8.1.1: the first Request goes again after about a second.
const REQUEST_FIRST: Duration = Duration::from_secs(1);
/// Requests that go again (Linux: net.dccp.default.request_retries), and then no more.
pub(crate) const REQUEST_RETRIES: u32 = 5;
/// RFC 4340 §8.1.5: the timer of PARTOPEN.
const PART_OPEN_FIRST: Duration = Duration::from_millis(200);
/// RFC 4340 §8.1.1, §8.3: no less often than this.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(64);
/// Bytes of CCID 3's options: Receive Rate, Loss Event Rate and nine Loss Intervals.
const FEEDBACK_MAX: usize = 6 + 6 + 3 + 9 * 9;
/// RFC 4340 §3.4: the maximum segment lifetime.
pub(crate) const MSL: Duration = Duration::from_secs(120);
/// How long PARTOPEN, RESPOND and a Close may last: 4 MSL (§8.1.3, §8.1.5).
pub(crate) const GIVE_UP: Duration = Duration::from_secs(480);

impl Conn {
    /// Whether a packet could leave now.
    pub(crate) fn has_output(&self, now: Instant) -> bool {
        self.owed.ack || self.may_send_data(now) && self.sender.when(now) == When::Now
    }

    /// Whether data waits that nothing but congestion control holds back.
    fn may_send_data(&self, now: Instant) -> bool {
        !self.queue.is_empty()
            && self.state.sends_data()
            && !self.marks.unheard
            && (self.state == State::Open || self.fits_with_ack(now))
    }

    /// Whether the user may write.
    pub(crate) fn is_writable(&self) -> bool {
        self.has_room(0)
    }

    /// Whether one more message of `len` bytes may wait. Where they have priorities, it takes the place of
    /// another.
    pub(crate) fn has_room(&self, len: usize) -> bool {
        let settings = &self.settings;
        let most = match settings.by_priority {
            true => 0,
            false => settings.tx_queue,
        };
        self.queue.has_room(len, settings.common.send_buffer, most)
    }

    /// Lets up to `budget` packets go; how many went.
    pub(crate) fn transmit(&mut self, cx: &mut Context<'_>, budget: usize) -> usize {
        let mut sent = 0;
        while sent < budget {
            let room = self
                .route(cx)
                .map_or(0, |route| cx.tx_room(route.interface));
            if room == 0 || !self.send_next(cx) {
                break;
            }
            sent += 1;
        }
        if sent > 0 && self.marks.blocked && self.is_writable() {
            self.marks.blocked = false;
            self.signal(cx, Readiness::WRITABLE);
        }
        self.after_transmit(cx);
        sent
    }

    /// What is to be waited for once nothing more may leave.
    pub(crate) fn after_transmit(&mut self, cx: &mut Context<'_>) {
        self.deadlines.pace = match self.may_send_data(cx.now) {
            true => match self.sender.when(cx.now) {
                When::At(at) => at,
                When::Now | When::Blocked => Instant::FAR,
            },
            false => Instant::FAR,
        };
        let done = self.queue.is_empty() || self.marks.unheard;
        if self.marks.closing && done && self.state.sends_data() {
            self.begin_close(cx);
        }
    }

    fn send_next(&mut self, cx: &mut Context<'_>) -> bool {
        if self.may_send_data(cx.now) && self.sender.when(cx.now) == When::Now {
            return self.send_data(cx);
        }
        if self.owed.ack {
            self.send_ack(cx);
            return true;
        }
        false
    }

    /// The next message. False when it can't go yet.
    fn send_data(&mut self, cx: &mut Context<'_>) -> bool {
        let (Ok(route), Some(len)) = (self.route(cx), self.queue.next_len()) else {
            return false;
        };
        // RFC 4340 §14.2-2: what the path no longer carries MUST NOT go unfragmentable.
        if len > self.max_packet_size(&route) {
            self.queue.pop();
            cx.drop_packet(sockeye_core::Counter::DccpTooBig);
            return true;
        }
        // RFC 4340 §4.3-1, §8.1.5-1 and §8.1.4-4: in PARTOPEN, data goes with an acknowledgement
        // only.
        let part_open = self.state == State::PartOpen;
        if part_open || self.owed.ack || self.sender.wants_ack_of_acks(cx.now) {
            if self.fits_with_ack(cx.now) {
                let data = self.queue.pop().unwrap_or_default();
                self.emit(cx, Kind::DataAck(self.seqs.gsr), data);
                return true;
            }
            // §11.2: both would be too big; the acknowledgement goes before.
            self.send_ack(cx);
        }
        let data = self.queue.pop().unwrap_or_default();
        self.emit(cx, Kind::Data, data);
        true
    }

    /// Whether the next message and an acknowledgement go into one packet.
    fn fits_with_ack(&self, now: Instant) -> bool {
        let (Some(route), Some(len)) = (&self.route, self.queue.next_len()) else {
            return true;
        };
        let header = fixed_len(PacketType::DataAck, !self.sends_short());
        let options = self.options_len(now).next_multiple_of(4);
        header + options + len <= self.room(route)
    }

    /// Bytes that the options of an acknowledgement would take, at most.
    fn options_len(&self, now: Instant) -> usize {
        let mut out = Bytes::new();
        out.extend_from_slice(&self.cookies);
        if self.features.is_changing() || self.features.owes() {
            self.features.clone().write(self.seqs.gss, true, &mut out);
        }
        if self.receiver.is_some() {
            out.resize(out.len() + FEEDBACK_MAX, 0);
        }
        match self.features.local(Feature::SendAckVector) {
            1 => self.history.write(&mut out),
            _ => self.history.write_dropped(&mut out),
        }
        let ndp = self.no_data_run > 0 && self.features.local(Feature::SendNdpCount) == 1;
        let parts = [
            (now > self.newest_at, 6),
            (self.owed.echo.is_some(), 10),
            (ndp, 8),
            (self.settings.data_checksum, 6),
            (self.settings.slow_receiver, 1),
        ];
        let others = parts.iter().filter(|(there, _)| *there).map(|(_, len)| len);
        out.len() + others.sum::<usize>()
    }

    /// An acknowledgement alone.
    pub(crate) fn send_ack(&mut self, cx: &mut Context<'_>) {
        self.send_packet(cx, Kind::Ack(self.seqs.gsr));
    }

    /// A packet without data.
    pub(crate) fn send_packet(&mut self, cx: &mut Context<'_>, kind: Kind) {
        self.emit(cx, kind, Payload::new());
    }

    /// Sends a packet. When it can't be sent it is lost, as it could be on the way.
    fn emit(&mut self, cx: &mut Context<'_>, kind: Kind, data: Payload) {
        let ty = kind.packet_type();
        let seq = self.seqs.next();
        let fresh = self.features.has_news();
        let options = self.options_for(cx.now, ty, seq, &data);
        let size = data.iter().map(|slice| slice.len()).sum();
        // RFC 4342 §8.1: on every data packet; RFC 4340 §5.1: zero else.
        let carries = matches!(ty, PacketType::Data | PacketType::DataAck);
        // RFC 4340 §5.1-2: zero else.
        let ccval = if carries {
            self.sender.ccval(cx.now)
        } else {
            0
        };
        if let Ok(route) = self.route(cx) {
            let mut carrier = self.carrier();
            // RFC 4340 §14.2.
            if matches!(
                ty,
                PacketType::Request | PacketType::Response | PacketType::Reset
            ) {
                carrier = carrier.fragmentable();
            }
            // RFC 4340 §5.2-1, §5.3-1, §5.5-1, §5.6-1, §5.7-1 and §7.6.1-1: short numbers are for
            // Data, Ack and DataAck, where they were agreed on.
            let extended = !(ty.may_be_short() && self.sends_short());
            let outgoing = Outgoing {
                kind,
                seq,
                extended,
                ccval,
                coverage: self.settings.send_coverage,
                options: &options,
                data,
            };
            let tuple = self.tuple;
            let _ = emit::send(cx, &route, &tuple, &carrier, outgoing);
        }
        self.departed(cx, ty, size);
        if fresh && self.features.is_changing() {
            self.schedule_features(cx.now);
        }
    }

    /// Keeps what follows from a packet that has left, GSS.
    fn departed(&mut self, cx: &mut Context<'_>, ty: PacketType, size: usize) {
        self.no_data_run = match ty.is_data() {
            true => 0,
            false => self.no_data_run + 1,
        };
        // Requests and Responses carry no data here.
        let data = matches!(ty, PacketType::Data | PacketType::DataAck);
        self.sender.departed(&Departed {
            seq: self.seqs.gss,
            at: cx.now,
            data,
            size,
            last: self.queue.is_empty(),
        });
        if matches!(ty, PacketType::Ack | PacketType::DataAck) {
            self.owed.ack = false;
            self.unacknowledged = 0;
            self.deadlines.delayed_ack = Instant::FAR;
            self.sender.acked_acks(cx.now);
            // §8.1.5: set every time that a packet is sent in PARTOPEN.
            if self.state == State::PartOpen {
                self.deadlines.again = cx.now + self.backoff.again;
            }
        }
        self.departures.count(cx.now, self.sender.rtt());
        self.follow_window();
    }

    /// RFC 4340 §7.5.2: the Sequence Window is about five times what is under way.
    /// RFC 4340 §7.5.2-2 and §7.5.2-3: it stays ahead of what may be under way.
    fn follow_window(&mut self) {
        // Acknowledgements are packets, too: those that a receiver sends may be more than its data.
        let window = self.sender.in_flight().max(self.departures.most());
        let current = self.features.local(Feature::SequenceWindow);
        let wanted = window.saturating_mul(5);
        if wanted > current && self.state == State::Open {
            self.features
                .announce(Feature::SequenceWindow, (current * 2).max(wanted));
            self.owed.ack |= self.features.has_news();
        }
        if let Some(ratio) = self.sender.ack_ratio()
            && self.state == State::Open
            && !self.features.is_changing()
        {
            // A receiver that waits for more packets than the window has holds it up: it is told with the
            // next packet.
            let before = self.features.local(Feature::AckRatio);
            self.features.announce(Feature::AckRatio, ratio);
            self.owed.ack |= ratio < before && self.sender.in_flight() < before;
        }
    }

    /// REQUEST: the first packet.
    pub(crate) fn enter_request(&mut self, cx: &mut Context<'_>) {
        self.enter(cx, State::Request);
        self.backoff.again = REQUEST_FIRST;
        self.send_state_packet(cx);
    }

    /// PARTOPEN: the handshake is complete when any packet of ours arrives.
    pub(crate) fn enter_part_open(&mut self, cx: &mut Context<'_>) {
        self.enter(cx, State::PartOpen);
        self.backoff.again = PART_OPEN_FIRST;
        self.deadlines.give_up = cx.now + GIVE_UP;
        self.signal(cx, Readiness::WRITABLE);
    }

    /// RFC 4340 §8.3: the client closes, and a server that is told to hold TIMEWAIT; else the server
    /// asks its client to.
    pub(crate) fn begin_close(&mut self, cx: &mut Context<'_>) {
        let state = match self.server && !self.settings.server_time_wait {
            true => State::CloseReq,
            false => State::Closing,
        };
        self.enter(cx, state);
        self.queue.clear();
        self.owed.ack = false;
        self.deadlines.delayed_ack = Instant::FAR;
        // §8.3: two round trips at first.
        self.backoff.again = self.sender.rtt() * 2;
        self.deadlines.give_up = cx.now + GIVE_UP;
        self.send_state_packet(cx);
    }

    /// The packet that goes again until the state is left.
    pub(crate) fn send_state_packet(&mut self, cx: &mut Context<'_>) {
        let gsr = self.seqs.gsr;
        let kind = match self.state {
            // RFC 4340 §8.1.1-1 and §8.1.1-2: with the next number, and else the same.
            State::Request => Kind::Request {
                service: self.service,
            },
            // What does not fit beside an acknowledgement waits for the server to say anything: a Sync
            // makes it.
            State::PartOpen if !self.queue.is_empty() && !self.fits_with_ack(cx.now) => {
                Kind::Sync(gsr)
            }
            // RFC 4340 §7.4-1: GSR, as on every packet but Sync and SyncAck.
            State::PartOpen => Kind::Ack(gsr),
            State::CloseReq => Kind::CloseReq(gsr),
            State::Closing => Kind::Close(gsr),
            _ => return,
        };
        self.send_packet(cx, kind);
        self.deadlines.again = cx.now + self.backoff.again;
    }

    /// A Reset of this connection.
    pub(crate) fn send_reset(&mut self, cx: &mut Context<'_>, code: ResetCode, data: [u8; 3]) {
        // RFC 4340 §8.1.1-3: a client in REQUEST has no number to acknowledge.
        let ack = match self.state {
            State::Request => sockeye_wire::dccp::Seq::default(),
            _ => self.seqs.gsr,
        };
        self.send_packet(cx, Kind::Reset { ack, code, data });
    }

    /// RFC 4340 §6.6.3: Changes go again, after not less than a round trip, less and less often.
    /// RFC 4340 §6.6.3-2: by a timer of not less than a round trip.
    pub(crate) fn schedule_features(&mut self, now: Instant) {
        let first = self.sender.rtt() + Duration::from_millis(100);
        self.backoff.features = match self.backoff.features {
            Duration::ZERO => first,
            before => (before * 2).min(BACKOFF_MAX),
        };
        self.deadlines.features = now + self.backoff.features;
    }

    /// A measurement from our Request or Response to its answer.
    pub(crate) fn measure_handshake(&mut self, cx: &Context<'_>) {
        // Karn: not of what was sent again.
        if self.backoff.tries == 0 {
            self.sender.measured(cx.now - self.since, cx.now);
        }
    }
}
