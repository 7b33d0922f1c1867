//! A packet arrives for a connection: steps 4 to 16 of RFC 4340 §8.5, in their order.

use crate::ccid::Report;
use crate::conn::Conn;
use crate::emit::{self, Outgoing};
use crate::features::Feature;
use crate::history::Drop;
use crate::output::REQUEST_RETRIES;
use crate::packet::Incoming;
use crate::queues::Message;
use crate::reset;
use crate::sequence::Validity;
use crate::state::State;
use core::time::Duration;
use sockeye_core::{Context, Counter, Readiness};
use sockeye_wire::Ecn;
use sockeye_wire::dccp::{Kind, PacketType, ResetCode, Seq};

/// RFC 4340 §7.5.4: Syncs a second that answer invalid packets.
const SYNCS_PER_SECOND: u32 = 8;
/// SyncAcks a second: RFC 4340 §8.2 allows a limit.
const SYNC_ACKS_PER_SECOND: u32 = 64;
/// RFC 4340 §11.3: how long an acknowledgement waits at the most, as TCP's here. Of the RFC's 0.2 s it says
/// that they are what TCPs have; as long as the least time-out of a sender, they would make a window of one
/// packet time out.
const ACK_DELAY: Duration = Duration::from_millis(40);

impl Conn {
    /// RFC 4340 §8.5 from step 4 on.
    /// RFC 4340 §8.5-1, §11.4-5, §11.4-6, §11.4-7 and §11.4-8: nothing is processed or acknowledged
    /// before its numbers are.
    pub(crate) fn packet_arrives(&mut self, cx: &mut Context<'_>, mut packet: Incoming) {
        if packet.ty() == PacketType::Listen {
            self.listen_arrives(cx, &packet);
            return;
        }
        if self.state == State::Request && !self.prepare_request(cx, &packet) {
            return;
        }
        // RFC 4340 §7.6.1-2: ignored unless they were agreed on.
        // Step 6, first: short numbers.
        if !packet.extended {
            if self.features.remote(Feature::AllowShort) == 0 {
                cx.drop_packet(Counter::DccpInErrs);
                return;
            }
            packet.extend(self.seqs.gsr, self.seqs.gss);
        }
        if self.validity(cx, &packet) != Validity::Valid {
            // RFC 4340 §7.5.4-9 and §7.5.4-10: not processed, nor its options.
            self.challenge(cx, &packet);
            return;
        }
        // A duplicate of what was processed: the network has doubled it.
        if self.history.has(packet.seq) {
            cx.drop_packet(Counter::DccpDuplicates);
            return;
        }
        let (ty, seq) = (packet.ty(), packet.seq);
        let ahead = match seq.after(self.seqs.gsr) {
            true => self.seqs.gsr.packets_to(seq),
            false => 0,
        };
        if ahead > 0 || self.state == State::Request {
            self.newest_at = cx.now;
        }
        self.seqs.update(ty, seq, packet.ack());
        self.heard_at = cx.now;
        self.interface = packet.interface;
        self.backoff.probes = 0;
        if self.is_unexpected(&packet) {
            self.send_sync(cx, seq);
            return;
        }
        // Step 8: options; the packet is acknowledgeable from here on.
        let marked = packet.ecn == Ecn::Ce;
        let disordered = self.history.received(seq, marked) || self.history.shows_a_hole();
        // RFC 4341 §6.1.1: unless better is known, what was lost carried no data.
        let congested = self.history.lost(ahead) || (marked && !ty.is_data());
        self.sender.acks_congested(cx.now, congested);
        if let Some(ack) = packet.ack() {
            self.history.acknowledged(ack);
        }
        self.note_no_data(cx, seq, ty);
        if let Err(fault) = self.take_options(cx, &packet) {
            self.abort(cx, fault.code, fault.data);
            return;
        }
        self.process(cx, packet, disordered);
    }

    /// RFC 5596 §2.2.3.1: the first one in REQUEST triggers a Request, as its timer would, since the one
    /// before may have met a closed middlebox. All others MUST be discarded silently; options, data and
    /// Sequence Number MUST be ignored.
    fn listen_arrives(&mut self, cx: &mut Context<'_>, packet: &Incoming) {
        let ours = packet.kind.service() == Some(self.service);
        let last = self.backoff.tries >= REQUEST_RETRIES;
        if self.state != State::Request || !ours || last {
            return;
        }
        if !core::mem::replace(&mut self.marks.triggered, true) {
            self.again(cx);
        }
    }

    /// Step 4: what is valid in REQUEST sets the numbers of the other end.
    fn prepare_request(&mut self, cx: &mut Context<'_>, packet: &Incoming) -> bool {
        let answers = matches!(packet.ty(), PacketType::Response | PacketType::Reset);
        let ack = packet.ack();
        let known = ack.is_some_and(|ack| self.seqs.is_acknowledgeable(ack, self.widths()));
        if !answers || !known {
            // RFC 4340 §7.5.4-8: in REQUEST.
            // §7.5.4: a Reset, not a SyncAck, ends the half-open connection of who sent a Sync.
            let data = [packet.ty().number(), 0, 0];
            let answer = reset::answer_to(packet, ResetCode::PACKET_ERROR, data);
            if let Some((kind, seq)) = answer.filter(|_| self.may_sync(cx)) {
                let outgoing = Outgoing::plain(kind, seq);
                emit::send_alone(cx, &self.tuple, packet.interface, outgoing);
            }
            return false;
        }
        if let Some(service) = packet.kind.service()
            && service != self.service
        {
            // §5.3: the Service Code MUST equal the Request's.
            cx.drop_packet(Counter::DccpInErrs);
            return false;
        }
        self.seqs.start_receiving(packet.seq);
        if packet.ty() == PacketType::Reset {
            // Step 6 asks for more than GSR.
            self.seqs.gsr = packet.seq - 1;
        }
        true
    }

    /// Steps 5 and 6: whether the numbers fit.
    fn validity(&self, cx: &Context<'_>, packet: &Incoming) -> Validity {
        let active = cx.now - self.heard_at < self.sender.rtt() * 3;
        let widths = self.widths();
        self.seqs
            .check(packet.ty(), packet.seq, packet.ack(), widths, active)
    }

    /// Step 7.
    fn is_unexpected(&self, packet: &Incoming) -> bool {
        let late = |seq: Seq| self.seqs.osr.is_some_and(|osr| !seq.before(osr));
        match packet.ty() {
            // RFC 4340 §8.3-4: a server gets none.
            PacketType::CloseReq => self.server,
            PacketType::Response => self.server || (self.state >= State::Open && late(packet.seq)),
            PacketType::Request => !self.server || (self.state >= State::Open && late(packet.seq)),
            PacketType::Data => self.state == State::Respond,
            _ => false,
        }
    }

    /// Steps 9 to 16.
    fn process(&mut self, cx: &mut Context<'_>, packet: Incoming, disordered: bool) {
        let ty = packet.ty();
        if let Kind::Reset { code, .. } = packet.kind {
            self.reset_arrived(cx, code);
            return;
        }
        // Step 10.
        if self.state == State::Request {
            self.begin_ccids(cx);
            self.measure_handshake(cx);
            self.enter_part_open(cx);
        }
        // Step 11; Requests in RESPOND are the half-open connection's.
        if self.state == State::Respond && ty != PacketType::Request {
            self.seqs.osr = Some(packet.seq);
            self.open(cx);
        }
        // Step 12.
        if self.state == State::PartOpen {
            if ty == PacketType::Response {
                self.send_ack(cx);
            } else if ty != PacketType::Sync {
                self.seqs.osr = Some(packet.seq);
                self.open(cx);
            }
        }
        match ty {
            // RFC 4340 §5.4-1, §5.5-2 and §5.7-4: the areas of what is no data are not looked at.
            // Step 13.
            // RFC 4340 §8.3-1: a Close.
            PacketType::CloseReq if self.state < State::CloseReq => self.begin_close(cx),
            // §8.3: MUST be answered by a Close, again if need be.
            PacketType::CloseReq => self.send_state_packet(cx),
            // RFC 4340 §8.3-2: a Reset, "Closed".
            // Step 14.
            PacketType::Close => {
                self.send_reset(cx, ResetCode::CLOSED, [0; 3]);
                self.reset = Some(ResetCode::CLOSED);
                self.ended(cx, State::Closed, None);
            }
            // RFC 4340 §8.2-1, §8.2-2, §5.7-3 and §7.5.4-7: by the number of the Sync.
            // Step 15: §8.2, immediately.
            PacketType::Sync => {
                if self.sync_acks.allows(cx.now, SYNC_ACKS_PER_SECOND) {
                    self.send_packet(cx, Kind::SyncAck(packet.seq));
                } else {
                    cx.drop_packet(Counter::DccpSyncsLimited);
                }
            }
            // §8.1.5: the client stays in PARTOPEN, and asks again, until it hears of this.
            PacketType::Ack if packet.ack().is_some() && packet.ack() == self.response => {
                self.owed.ack = true;
            }
            PacketType::Data | PacketType::DataAck | PacketType::Response => {
                self.data_arrived(cx, packet, disordered);
            }
            _ => {}
        }
    }

    /// What carries no data counts for the numbers alone.
    fn note_no_data(&mut self, cx: &Context<'_>, seq: Seq, ty: PacketType) {
        if let Some(receiver) = &mut self.receiver
            && !ty.is_data()
        {
            receiver.received(cx.now, seq, 0, None, false);
        }
    }

    /// Step 9: the connection is torn down.
    fn reset_arrived(&mut self, cx: &mut Context<'_>, code: ResetCode) {
        self.reset = Some(code);
        // §8.3: who receives the Reset holds TIMEWAIT. In REQUEST that is done beside the socket, which its
        // user may open again.
        let state = match self.state {
            State::Request => State::Closed,
            _ => State::TimeWait,
        };
        self.marks.refused = self.state == State::Request;
        let error = reset::error_of(code);
        let error = match self.state {
            // Who is connecting is always told.
            State::Request => error.or(Some(sockeye_core::Error::ConnectionRefused)),
            _ => error,
        };
        self.ended(cx, state, error);
    }

    /// The connection stands, as far as this end knows.
    fn open(&mut self, cx: &mut Context<'_>) {
        self.enter(cx, State::Open);
        // §8.1.4: Init Cookies are echoed up to here.
        self.cookies.clear();
        self.signal(cx, Readiness::WRITABLE);
        self.schedule_keep_alive(cx.now);
    }

    /// Step 16: data, and the acknowledgement that it is owed.
    /// RFC 4340 §5.1-3: CCVal is for the receivers of the CCIDs that have one.
    fn data_arrived(&mut self, cx: &mut Context<'_>, packet: Incoming, disordered: bool) {
        let (ty, seq) = (packet.ty(), packet.seq);
        if ty == PacketType::Response {
            // RFC 4340 §8.5-2: an empty one has no data; the application MUST NOT get that of two.
            if packet.data_len == 0 || core::mem::replace(&mut self.marks.early_data, true) {
                return;
            }
        }
        let marked = packet.ecn == Ecn::Ce;
        let (len, ccval) = (packet.data_len, packet.ccval);
        let delivered = self.deliver(cx, packet);
        if let Err(why) = delivered {
            self.history.dropped(seq, why);
            cx.drop_packet(match why {
                Drop::Protocol => Counter::DccpCoverageErrors,
                Drop::NotListening => Counter::DccpNotListening,
                Drop::Buffer => Counter::DccpRcvbufErrors,
                Drop::Corrupt => Counter::DccpInCsumErrors,
            });
        }
        if let Some(receiver) = &mut self.receiver {
            // RFC 4342 §6: feedback about once for each round trip.
            self.owed.ack |= receiver.received(cx.now, seq, ccval, Some(len), marked);
            return;
        }
        self.unacknowledged += 1;
        let ratio = self.features.remote(Feature::AckRatio).max(1);
        // §11.3: at once for what is marked or may show a loss, as TCP's while there is a hole. And for what
        // found no room: the sender goes on by a smaller window, whose next packet may be its last.
        let at_once = disordered || marked || delivered == Err(Drop::Buffer);
        if self.unacknowledged >= ratio || at_once {
            self.owed.ack = true;
        } else {
            self.deadlines.delayed_ack = self.deadlines.delayed_ack.min(cx.now + ACK_DELAY);
        }
    }

    fn deliver(&mut self, cx: &mut Context<'_>, packet: Incoming) -> Result<(), Drop> {
        // §9.2.1: what is covered too little is not delivered.
        let least = self.features.local(Feature::MinimumCoverage);
        let covered = u64::from(packet.coverage);
        if packet.coverage != 0 && (least == 0 || covered < least) {
            return Err(Drop::Protocol);
        }
        // RFC 4340 §9.3-4: dropped, and told as corrupt.
        if !crate::options::data_is_intact(&packet) {
            return Err(Drop::Corrupt);
        }
        // §8.3: data in CLOSEREQ and CLOSING may be processed; there is somebody who reads it.
        let held = self.marks.user || self.marks.unaccepted;
        if self.marks.read_shut || !held {
            return Err(Drop::NotListening);
        }
        let message = Message {
            len: packet.data_len,
            pinned: packet.pinned,
            data: packet.data,
            at: cx.now,
        };
        let limit = self.settings.common.receive_buffer;
        if cx.memory.is_full() || !self.received.push(message, limit) {
            return Err(Drop::Buffer);
        }
        self.signal(cx, Readiness::READABLE);
        Ok(())
    }

    /// What an acknowledgement says goes to the sender's congestion control.
    pub(crate) fn report(&mut self, cx: &mut Context<'_>, report: &Report<'_>) {
        self.sender.reported(report);
        if self.marks.blocked && self.is_writable() {
            self.marks.blocked = false;
            self.signal(cx, Readiness::WRITABLE);
        }
    }

    /// RFC 4340 §7.5.4: answers what does not belong here, not too often.
    pub(crate) fn challenge(&mut self, cx: &mut Context<'_>, packet: &Incoming) {
        if let Validity::Sync(ack) = self.validity(cx, packet) {
            self.send_sync(cx, ack);
        } else {
            cx.drop_packet(Counter::DccpInvalidSyncs);
        }
    }

    fn may_sync(&mut self, cx: &mut Context<'_>) -> bool {
        let allowed = self.syncs.allows(cx.now, SYNCS_PER_SECOND);
        if !allowed {
            cx.drop_packet(Counter::DccpSyncsLimited);
        }
        allowed
    }

    fn send_sync(&mut self, cx: &mut Context<'_>, ack: Seq) {
        if self.may_sync(cx) {
            self.send_packet(cx, Kind::Sync(ack));
        }
    }

    /// The connection can't go on: a Reset says why.
    pub(crate) fn abort(&mut self, cx: &mut Context<'_>, code: ResetCode, data: [u8; 3]) {
        if self.state.has_ended() {
            return;
        }
        self.send_reset(cx, code, data);
        self.reset = Some(code);
        self.ended(
            cx,
            State::Closed,
            Some(sockeye_core::Error::ConnectionReset),
        );
    }
}
