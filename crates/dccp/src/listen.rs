//! LISTEN (RFC 4340 §8.1.3, §8.5 step 3) and the backlog.
//!
//! A Request makes a [`HalfOpen`] connection; the client's acknowledgement makes a connection that
//! waits in the accept queue. Both queues take as many as `listen` was given, and one more. While the
//! first is full, Requests are answered with [Init Cookies](crate::cookies); while the second is,
//! they are refused as "Too Busy".

use crate::Dccp;
use crate::flows::Tuple;
use crate::half_open::HalfOpen;
use crate::invite::Invitation;
use crate::packet::Incoming;
use crate::reset;
use crate::settings::Settings;
use crate::socket::Socket;
use crate::state::State;
use sockeye_core::demux::{Claim, Endpoint};
use sockeye_core::{Context, Counter, Readiness, SocketId};
use sockeye_wire::dccp::options::Meaning;
use sockeye_wire::dccp::{PacketType, ResetCode};
use std::collections::VecDeque;
use std::sync::Arc;

/// Half-open connections of all listeners together.
pub(crate) const HALF_OPEN_MAX: usize = 1 << 14;

/// A socket in LISTEN.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) settings: Arc<Settings>,
    pub(crate) local: Endpoint,
    pub(crate) claim: Claim,
    pub(crate) backlog: usize,
    /// Connections in RESPOND.
    pub(crate) half_open: usize,
    /// Open connections that nobody has accepted.
    pub(crate) queue: VecDeque<SocketId>,
    /// The one client that it waits for, where there is but one.
    pub(crate) invitation: Option<Invitation>,
}

impl Listener {
    /// LISTEN, or what RFC 5596 has in its place.
    pub(crate) fn state(&self) -> State {
        let invitation = self.invitation.as_ref();
        invitation.map_or(State::Listen, |invitation| invitation.state)
    }

    /// Whether the accept queue takes no more. As in Linux, a backlog of n takes n + 1.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() > self.backlog
    }
}

impl Dccp {
    /// RFC 4340 §8.5 step 3: a packet for `listener`, and no connection has its flow.
    pub(crate) fn in_listen(
        &mut self,
        cx: &mut Context<'_>,
        listener: SocketId,
        tuple: &Tuple,
        packet: Incoming,
    ) {
        match packet.ty() {
            PacketType::Request => self.request_arrives(cx, listener, tuple, &packet),
            PacketType::Reset => {}
            // RFC 5596 §2.3.2: a Listen for a server is ignored.
            PacketType::Listen => cx.drop_packet(Counter::DccpNoPorts),
            _ if has_cookie(&packet) => self.cookie_returns(cx, listener, tuple, packet),
            _ => {
                cx.counters.add(Counter::DccpNoPorts);
                self.refuse(cx, tuple, &packet, ResetCode::NO_CONNECTION);
            }
        }
    }

    /// A Reset for what belongs to no connection.
    pub(crate) fn refuse(
        &mut self,
        cx: &mut Context<'_>,
        tuple: &Tuple,
        packet: &Incoming,
        code: ResetCode,
    ) {
        reset::refuse(cx, &mut self.resets, tuple, packet, code);
    }

    pub(crate) fn request_arrives(
        &mut self,
        cx: &mut Context<'_>,
        listener: SocketId,
        tuple: &Tuple,
        packet: &Incoming,
    ) {
        let all = self.half_open;
        let Some(Socket::Listening(socket)) = self.sockets.get_mut(listener) else {
            return;
        };
        // RFC 4340 §8.1.2-3: MUST reject other Service Codes.
        let service = packet.kind.service().unwrap_or_default();
        if !socket.settings.serves(service) {
            cx.counters.add(Counter::DccpBadService);
            self.refuse(cx, tuple, packet, ResetCode::BAD_SERVICE_CODE);
            return;
        }
        if socket.is_full() {
            cx.counters.add(Counter::DccpListenOverflows);
            self.refuse(cx, tuple, packet, ResetCode::TOO_BUSY);
            return;
        }
        let full = socket.half_open > socket.backlog || all >= HALF_OPEN_MAX;
        let by_cookie = full && socket.invitation.is_none();
        let settings = socket.settings.clone();
        let iss = self.secrets.isn(tuple, cx.now);
        let mut half_open = HalfOpen::new(cx, listener, tuple, settings, iss);
        half_open.flow_label = self.secrets.flow_label(&tuple.flow);
        if let Err(fault) = half_open.request(packet) {
            half_open.send_reset(cx, fault.code, fault.data);
            return;
        }
        if by_cookie {
            let cookie = self.cookies.bake(cx.rng, &half_open, cx.now);
            cx.counters.add(Counter::DccpCookiesSent);
            half_open.respond(cx, packet, Some(&cookie));
            return;
        }
        half_open.respond(cx, packet, None);
        let id = self.keep_half_open(half_open);
        if let Some(Socket::HalfOpen(half_open)) = self.sockets.get_mut(id) {
            half_open.arm(cx, Self::handle(id));
        }
    }

    /// RFC 4340 §8.1.4: the client has brought a cookie back.
    fn cookie_returns(
        &mut self,
        cx: &mut Context<'_>,
        listener: SocketId,
        tuple: &Tuple,
        packet: Incoming,
    ) {
        let Some(Socket::Listening(socket)) = self.sockets.get(listener) else {
            return;
        };
        if socket.is_full() {
            cx.drop_packet(Counter::DccpListenOverflows);
            return;
        }
        let mut cookies = packet.options().filter_map(|raw| match raw.meaning() {
            Meaning::InitCookie(cookie) => Some(cookie),
            _ => None,
        });
        let mut half_open = HalfOpen::new(
            cx,
            listener,
            tuple,
            socket.settings.clone(),
            sockeye_wire::dccp::Seq::default(),
        );
        let baked = cookies.next().unwrap_or_default();
        half_open.flow_label = self.secrets.flow_label(&tuple.flow);
        if !self.cookies.restore(baked, &mut half_open, cx.now) {
            // §8.1.4: SHOULD be reset.
            cx.counters.add(Counter::DccpCookiesFailed);
            self.refuse(cx, tuple, &packet, ResetCode::BAD_INIT_COOKIE);
            return;
        }
        drop(cookies);
        cx.counters.add(Counter::DccpCookiesReceived);
        let id = self.keep_half_open(half_open);
        self.half_open_packet(cx, id, packet);
        // What does not make it a connection leaves nothing.
        if let Some(Socket::HalfOpen(_)) = self.sockets.get(id) {
            self.forget_half_open(cx, id);
        }
    }

    /// From now on packets of its tuple are for a half-open connection.
    fn keep_half_open(&mut self, half_open: HalfOpen) -> SocketId {
        let (listener, tuple) = (half_open.listener, half_open.tuple);
        let tie = half_open.settings.common.device;
        if let Some(Socket::Listening(socket)) = self.sockets.get_mut(listener) {
            socket.half_open += 1;
            if let Some(invitation) = &mut socket.invitation {
                invitation.linked = false;
                self.flows.disconnect(listener, &tuple);
            }
        }
        self.half_open += 1;
        let id = self.sockets.insert(Socket::HalfOpen(Box::new(half_open)));
        self.flows.connect(id, &tuple, tie);
        id
    }

    /// A connection of `listener` stands: it waits to be accepted.
    pub(crate) fn queue_for_accept(
        &mut self,
        cx: &mut Context<'_>,
        listener: SocketId,
        id: SocketId,
    ) {
        if let Some(Socket::Listening(socket)) = self.sockets.get_mut(listener) {
            socket.queue.push_back(id);
            cx.set_ready(Self::handle(listener), Readiness::READABLE);
        }
    }
}

/// RFC 4340 §8.1.4: cookies count on neither Requests nor Data.
/// RFC 4340 §8.1.4-2: not of Data, and a Request has been looked at before.
fn has_cookie(packet: &Incoming) -> bool {
    packet.ty() != PacketType::Data
        && packet.any_option(|raw| matches!(raw.meaning(), Meaning::InitCookie(_)))
}
