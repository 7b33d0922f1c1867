//! RESPOND (RFC 4340 §8.1.3): a Request was answered, and its client has not acknowledged that.
//!
//! It keeps the numbers and what was negotiated. The acknowledgement makes a connection of it, which
//! takes that packet itself.

use crate::Dccp;
use crate::conn::Conn;
use crate::emit::{self, Carrier, Outgoing};
use crate::features::{Fault, Feature, Features};
use crate::flows::Tuple;
use crate::options::{Bytes, negotiate};
use crate::output::GIVE_UP;
use crate::packet::Incoming;
use crate::sequence::{Sequence, Validity, Widths};
use crate::settings::Settings;
use crate::socket::Socket;
use crate::state::State;
use sockeye_core::{
    Context, Counter, Handle, Instant, InterfaceId, Owner, Payload, RouteQuery, SocketId, TimerSlot,
};
use sockeye_wire::dccp::options::{Meaning, block};
use sockeye_wire::dccp::{Kind, PacketType, ResetCode, Seq};
use std::sync::Arc;

/// A connection in RESPOND.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    pub(crate) listener: SocketId,
    pub(crate) tuple: Tuple,
    pub(crate) settings: Arc<Settings>,
    pub(crate) service: u32,
    pub(crate) seqs: Sequence,
    pub(crate) features: Features,
    pub(crate) flow_label: u32,
    syncs: crate::reset::RateLimit,
    responses: u32,
    interface: InterfaceId,
    since: Instant,
    timer: TimerSlot,
}

impl HalfOpen {
    pub(crate) fn new(
        cx: &Context<'_>,
        listener: SocketId,
        tuple: &Tuple,
        settings: Arc<Settings>,
        iss: Seq,
    ) -> Self {
        Self {
            listener,
            tuple: *tuple,
            service: 0,
            seqs: Sequence::new(iss),
            features: Conn::features(&settings, true),
            settings,
            flow_label: 0,
            syncs: crate::reset::RateLimit::default(),
            responses: 0,
            interface: InterfaceId::LOOPBACK,
            since: cx.now,
            timer: TimerSlot::default(),
        }
    }

    /// The first Request.
    ///
    /// # Errors
    /// Its options ask for a reset.
    pub(crate) fn request(&mut self, packet: &Incoming) -> Result<(), Fault> {
        self.interface = packet.interface;
        self.service = packet.kind.service().unwrap_or_default();
        self.seqs.start_receiving(packet.seq);
        negotiate(&mut self.features, packet)
    }

    /// RFC 4340 §8.1.3: half-open connections end after 4 MSL.
    pub(crate) fn arm(&mut self, cx: &mut Context<'_>, handle: Handle) {
        let at = self.since + GIVE_UP;
        cx.timers.arm(&mut self.timer, Owner::Socket(handle), at);
    }

    fn widths(&self) -> Widths {
        Widths {
            local: self.features.local(Feature::SequenceWindow),
            remote: self.features.remote(Feature::SequenceWindow),
        }
    }

    /// The Response to a Request; `cookie` in place of what is kept.
    pub(crate) fn respond(
        &mut self,
        cx: &mut Context<'_>,
        request: &Incoming,
        cookie: Option<&[u8]>,
    ) {
        self.responses = self.responses.saturating_add(1);
        let seq = self.seqs.next();
        let mut options = Bytes::new();
        if let Some(cookie) = cookie {
            Meaning::InitCookie(cookie).write(&mut options);
        }
        self.features.write(seq, true, &mut options);
        if request.data_len > 0 {
            // RFC 4340 §8.1.3-4: data on Requests is not taken here, and that is told.
            Meaning::DataDropped(&[block(Some(0), 1)]).write(&mut options);
        }
        // RFC 4340 §5.3-2 and §8.1.3-2: the Service Code of the Request, under the next number.
        let kind = Kind::Response {
            ack: self.seqs.gsr,
            service: self.service,
        };
        self.send(cx, kind, seq, &options);
    }

    pub(crate) fn send_reset(&mut self, cx: &mut Context<'_>, code: ResetCode, data: [u8; 3]) {
        let seq = self.seqs.next();
        let ack = self.seqs.gsr;
        self.send(cx, Kind::Reset { ack, code, data }, seq, &[]);
    }

    fn send_sync(&mut self, cx: &mut Context<'_>, ack: Seq) {
        if self.syncs.allows(cx.now, 8) {
            let seq = self.seqs.next();
            self.send(cx, Kind::Sync(ack), seq, &[]);
        } else {
            cx.drop_packet(Counter::DccpSyncsLimited);
        }
    }

    fn send(&self, cx: &mut Context<'_>, kind: Kind, seq: Seq, options: &[u8]) {
        let common = &self.settings.common;
        let route = cx.route(&RouteQuery {
            destination: self.tuple.flow.remote.ip,
            source: Some(self.tuple.flow.local.ip),
            interface: common.out_interface(self.tuple.flow.remote).or((self
                .tuple
                .flow
                .remote
                .scope
                != 0)
                .then_some(self.interface)),
            foreign_source: true,
        });
        let carrier =
            Carrier::new(common, self.tuple.flow.remote.ip, self.flow_label).fragmentable();
        let outgoing = Outgoing {
            kind,
            seq,
            extended: true,
            ccval: 0,
            coverage: 0,
            options,
            data: Payload::new(),
        };
        if let Ok(route) = route {
            let _ = emit::send(cx, &route, &self.tuple, &carrier, outgoing);
        }
    }

    /// Whether an ICMP error quotes a number of ours.
    pub(crate) fn sent(&self, seq: Seq) -> bool {
        seq.is_within(self.seqs.iss, self.seqs.gss)
    }
}

impl Dccp {
    /// A packet for a connection in RESPOND.
    pub(crate) fn half_open_packet(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        packet: Incoming,
    ) {
        let Some(Socket::HalfOpen(half_open)) = self.sockets.get_mut(id) else {
            return;
        };
        // RFC 5596 §2.2.2: SHOULD be ignored.
        if packet.ty() == PacketType::Listen {
            return;
        }
        // Short numbers are allowed only once they have been agreed on.
        if !packet.extended && half_open.features.remote(Feature::AllowShort) == 0 {
            cx.drop_packet(Counter::DccpInErrs);
            return;
        }
        let mut packet = packet;
        packet.extend(half_open.seqs.gsr, half_open.seqs.gss);
        let (ty, seq) = (packet.ty(), packet.seq);
        let widths = half_open.widths();
        match half_open
            .seqs
            .check(ty, packet.seq, packet.ack(), widths, false)
        {
            Validity::Valid => {}
            Validity::Ignored => {
                cx.drop_packet(Counter::DccpInvalidSyncs);
                return;
            }
            Validity::Sync(ack) => {
                half_open.send_sync(cx, ack);
                return;
            }
        }
        match ty {
            PacketType::Reset => {
                self.forget_half_open(cx, id);
            }
            // RFC 4340 §8.1.3-1: each Request is answered, in whatever order they come.
            // §8.1.3: every valid one MUST elicit a new Response; the newest that the network doubled is
            // not valid twice.
            PacketType::Request => {
                if seq == half_open.seqs.gsr {
                    cx.drop_packet(Counter::DccpDuplicates);
                    return;
                }
                half_open.seqs.update(ty, seq, None);
                match negotiate(&mut half_open.features, &packet) {
                    Ok(()) => half_open.respond(cx, &packet, None),
                    Err(fault) => {
                        half_open.send_reset(cx, fault.code, fault.data);
                        self.forget_half_open(cx, id);
                    }
                }
            }
            // Step 7.
            PacketType::Data | PacketType::Response | PacketType::CloseReq => {
                half_open.send_sync(cx, seq);
            }
            _ => self.promote(cx, id, packet),
        }
    }

    /// The handshake is complete: a connection, which takes the packet from step 4 on.
    fn promote(&mut self, cx: &mut Context<'_>, id: SocketId, packet: Incoming) {
        let Some(Socket::HalfOpen(half_open)) = self.sockets.get_mut(id) else {
            return;
        };
        let listener = half_open.listener;
        let Some(Socket::Listening(socket)) = self.sockets.get_mut(listener) else {
            self.forget_half_open(cx, id);
            return;
        };
        if socket.is_full() {
            // The client asks again from PARTOPEN.
            cx.drop_packet(Counter::DccpListenOverflows);
            return;
        }
        socket.half_open = socket.half_open.saturating_sub(1);
        let claim = socket.claim;
        let Some(Socket::HalfOpen(half_open)) = self.sockets.get_mut(id) else {
            return;
        };
        cx.timers.disarm(&mut half_open.timer);
        let settings = half_open.settings.clone();
        let tuple = half_open.tuple;
        let handle = Self::handle(id);
        let mut conn = Conn::new(cx, handle, tuple, true, settings, half_open.seqs.iss);
        conn.service = half_open.service;
        conn.seqs = half_open.seqs;
        conn.flow_label = half_open.flow_label;
        conn.features = half_open.features.clone();
        conn.response = Some(half_open.seqs.gss);
        conn.state = State::Respond;
        conn.since = half_open.since;
        // A cookie came back after one round trip, too, but nobody knows when it left.
        conn.backoff.tries = u32::from(half_open.responses != 1);
        conn.begin_ccids(cx);
        conn.measure_handshake(cx);
        self.half_open = self.half_open.saturating_sub(1);
        let claim = sockeye_core::demux::Claim {
            sharing: sockeye_core::demux::Sharing {
                listening: false,
                ..claim.sharing
            },
            ..claim
        };
        self.flows.demux.share(&claim);
        conn.claim = Some(claim);
        conn.marks.linked = true;
        conn.marks.unaccepted = true;
        cx.counters.add(Counter::DccpPassiveOpens);
        // The Request is the first packet that was received.
        conn.history.received(conn.seqs.gsr, false);
        conn.packet_arrives(cx, packet);
        if let Some(slot) = self.sockets.get_mut(id) {
            *slot = Socket::Connection(Box::new(conn));
        }
        self.queue_for_accept(cx, listener, id);
        self.settle(cx, id);
    }

    /// A half-open connection is no more.
    pub(crate) fn forget_half_open(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(Socket::HalfOpen(half_open)) = self.sockets.get_mut(id) else {
            return;
        };
        cx.timers.disarm(&mut half_open.timer);
        let (tuple, listener) = (half_open.tuple, half_open.listener);
        self.flows.disconnect(id, &tuple);
        self.sockets.remove(id);
        self.half_open = self.half_open.saturating_sub(1);
        if let Some(Socket::Listening(socket)) = self.sockets.get_mut(listener) {
            socket.half_open = socket.half_open.saturating_sub(1);
            if let Some(invitation) = &mut socket.invitation {
                // It may try again.
                invitation.linked = true;
                let tie = socket.settings.common.device;
                self.flows.connect(listener, &tuple, tie);
            }
        }
    }

    /// RFC 4340 §8.1.3: SHOULD send a Reset with "Aborted".
    pub(crate) fn half_open_timeout(&mut self, cx: &mut Context<'_>, id: SocketId) {
        if let Some(Socket::HalfOpen(half_open)) = self.sockets.get_mut(id) {
            half_open.send_reset(cx, ResetCode::ABORTED, [0; 3]);
            self.forget_half_open(cx, id);
        }
    }
}
