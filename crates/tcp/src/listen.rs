//! LISTEN (RFC 9293 §3.10.7.2) and the backlog.
//!
//! A SYN makes a [`HalfOpen`] connection; its acknowledgment makes a connection that waits in the
//! accept queue. Both queues take as many as `listen` was given, and one more. While the first is
//! full, SYNs are answered by cookies ([`syn_cookies`](crate::syn_cookies)) or, where these are
//! switched off, dropped; while the second is, SYNs are dropped and handshakes wait for their end
//! (Linux: tcp_abort_on_overflow).

use crate::Tcp;
use crate::auth::Auth;
use crate::fast_open;
use crate::fast_open::server::Verdict;
use crate::half_open::HalfOpen;
use crate::options::Offer;
use crate::reset;
use crate::segment::Segment;
use crate::settings::Settings;
use crate::socket::Socket;
use crate::syn_cookies;
use sockeye_core::demux::{Claim, Endpoint, Flow};
use sockeye_core::{Context, Counter, Instant, Readiness, SocketId, SynCookies};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp::Flags;
use std::collections::VecDeque;
use std::sync::Arc;

/// Half-open connections of all listeners together.
pub(crate) const HALF_OPEN_MAX: usize = 1 << 16;

/// A socket in LISTEN.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) settings: Arc<Settings>,
    pub(crate) local: Endpoint,
    pub(crate) claim: Claim,
    pub(crate) backlog: usize,
    /// Connections in SYN-RECEIVED.
    pub(crate) half_open: usize,
    /// Those of them whose first answer has not timed out.
    pub(crate) young: usize,
    /// Established connections that nobody has accepted.
    pub(crate) queue: VecDeque<SocketId>,
    /// Until then an acknowledgment may bring back a SYN cookie.
    pub(crate) cookies_until: Instant,
    pub(crate) fast_open: fast_open::server::Queue,
    /// Keys, where it has any.
    pub(crate) auth: Option<Box<Auth>>,
}

impl Listener {
    /// Whether the accept queue takes no more. As in Linux, a backlog of n takes n + 1.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() > self.backlog
    }

    /// A half-open connection is no more, or it is one no longer.
    pub(crate) fn left_half_open(&mut self, young: bool) {
        self.half_open = self.half_open.saturating_sub(1);
        self.young = self.young.saturating_sub(usize::from(young));
    }
}

impl Tcp {
    /// RFC 9293 §3.10.7.2: a segment for `listener`, and no connection has its flow (§3.9.1.1, MUST-41,
    /// MUST-42: those are found first). `after` is the
    /// number that the new connection's ISS has to lie behind, when it follows one in TIME-WAIT.
    pub(crate) fn in_listen(
        &mut self,
        cx: &mut Context<'_>,
        listener: SocketId,
        flow: &Flow,
        segment: Segment,
        after: Option<SeqNum>,
    ) {
        // First, a RST is ignored.
        if segment.has(Flags::RST) {
            return;
        }
        // Second, an ACK is bad, unless it brings back a cookie.
        if segment.has(Flags::ACK) {
            self.cookie_returns(cx, listener, flow, segment);
            return;
        }
        // Third, the SYN. Fourth, anything else is dropped.
        if segment.has(Flags::SYN) {
            self.syn_in_listen(cx, listener, flow, segment, after);
        }
    }

    fn syn_in_listen(
        &mut self,
        cx: &mut Context<'_>,
        listener: SocketId,
        flow: &Flow,
        segment: Segment,
        after: Option<SeqNum>,
    ) {
        let half_open_all = self.half_open;
        let Some(Socket::Listening(socket)) = self.sockets.get_mut(listener) else {
            return;
        };
        let cookies = cx.config.tcp_syn_cookies;
        let queue_full = socket.half_open > socket.backlog || half_open_all >= HALF_OPEN_MAX;
        // Who comes back from TIME-WAIT is real, and has room.
        let by_cookie = (queue_full || cookies == SynCookies::Always) && after.is_none();
        // RFC 5925 §7: what signs the answer is not to be found again by a cookie.
        let possible = cookies != SynCookies::Never && socket.auth.is_none();
        if by_cookie && !possible {
            cx.counters.add(Counter::TcpExtTCPReqQFullDrop);
            cx.drop_packet(Counter::TcpExtListenDrops);
            return;
        }
        if by_cookie {
            cx.counters.add(Counter::TcpExtTCPReqQFullDoCookies);
        }
        if socket.is_full() {
            cx.counters.add(Counter::TcpExtListenOverflows);
            cx.drop_packet(Counter::TcpExtListenDrops);
            return;
        }
        if by_cookie {
            socket.cookies_until = cx.now + syn_cookies::LIFETIME;
            self.answer_by_cookie(cx, listener, flow, &segment);
            return;
        }
        // listen(2), tcp_max_syn_backlog: without cookies the last quarter is kept back. Linux
        // keeps it for peers it has talked with; none are remembered here.
        let limit = cx.config.syn_backlog_max;
        if cookies == SynCookies::Never
            && after.is_none()
            && limit.saturating_sub(socket.half_open) < limit >> 2
        {
            cx.drop_packet(Counter::TcpExtListenDrops);
            return;
        }
        let iss = after.unwrap_or_else(|| self.secrets.isn(flow, cx.now));
        match self.judge_fast_open(cx, listener, flow, &segment) {
            Verdict::Connection(answer) => {
                self.open_fast(cx, listener, flow, segment, iss, answer);
            }
            Verdict::Answer(answer) => {
                let id = self.add_half_open(cx, listener, flow, &segment, iss);
                if let Some(id) = id {
                    self.answer_half_open(cx, id, answer);
                }
            }
        }
    }

    /// A SYN waits for the acknowledgment of its answer.
    fn add_half_open(
        &mut self,
        cx: &mut Context<'_>,
        listener: SocketId,
        flow: &Flow,
        syn: &Segment,
        iss: SeqNum,
    ) -> Option<SocketId> {
        let Some(Socket::Listening(socket)) = self.sockets.get_mut(listener) else {
            return None;
        };
        socket.half_open += 1;
        socket.young += 1;
        self.half_open += 1;
        let tie = socket.settings.common.device;
        let half_open = HalfOpen::new(cx, listener, flow, syn, iss, socket);
        let id = self.sockets.insert(Socket::HalfOpen(Box::new(half_open)));
        self.demux.connect(id, *flow, tie, false);
        Some(id)
    }

    /// Answers a SYN and keeps nothing of it.
    fn answer_by_cookie(
        &mut self,
        cx: &mut Context<'_>,
        listener: SocketId,
        flow: &Flow,
        syn: &Segment,
    ) {
        let mut offer = Offer::read(&syn.options, flow.remote.ip, cx.config);
        if offer.timestamp.is_none() {
            // There is no place to remember these.
            offer.window_scale = None;
            offer.sack = false;
        }
        let cookies = &mut self.syn_cookies;
        let Some(iss) = cookies.number(cx.rng, flow, syn.seq, offer.mss, cx.now) else {
            cx.drop_packet(Counter::TcpExtListenDrops);
            return;
        };
        let Some(Socket::Listening(socket)) = self.sockets.get(listener) else {
            return;
        };
        let offset = self.secrets.timestamp_offset(flow);
        let mut answer = HalfOpen::new(cx, listener, flow, syn, iss, socket);
        let ecn = answer.limit_to_cookie(&offer);
        let tsval = syn_cookies::timestamp_with(&offer, ecn, cx.now, offset);
        cx.counters.add(Counter::TcpExtSyncookiesSent);
        let label = self.secrets.flow_label(flow);
        let said = answer.answer(tsval, label);
        answer.send(cx, &socket.settings, &said);
    }

    /// An acknowledgment for a listener: the end of a handshake of which nothing was kept, or bad.
    fn cookie_returns(
        &mut self,
        cx: &mut Context<'_>,
        listener: SocketId,
        flow: &Flow,
        segment: Segment,
    ) {
        let Some(Socket::Listening(socket)) = self.sockets.get_mut(listener) else {
            return;
        };
        let expected = cx.config.tcp_syn_cookies != SynCookies::Never
            && cx.now < socket.cookies_until
            && !segment.has(Flags::SYN);
        if !expected {
            let auth = socket.auth.as_ref();
            let signer = auth.and_then(|auth| auth.refusing(flow, &segment));
            reset::refuse(cx, flow, &segment, signer);
            return;
        }
        let iss = segment.ack - 1;
        let check = |irs| Some((irs, self.syn_cookies.check(flow, irs, iss, cx.now)?));
        let Some((irs, mss)) = initial_numbers(&segment).find_map(check) else {
            cx.counters.add(Counter::TcpExtSyncookiesFailed);
            reset::refuse(cx, flow, &segment, None);
            return;
        };
        cx.counters.add(Counter::TcpExtSyncookiesRecv);
        let offset = self.secrets.timestamp_offset(flow);
        let recovered = syn_cookies::recover(mss, segment.options.timestamps, offset, cx.config);
        let Some((offer, ecn)) = recovered else {
            reset::refuse(cx, flow, &segment, None);
            return;
        };
        if socket.is_full() || self.half_open >= HALF_OPEN_MAX {
            cx.counters.add(Counter::TcpExtListenOverflows);
            cx.drop_packet(Counter::TcpExtListenDrops);
            return;
        }
        let Some(id) = self.add_half_open(cx, listener, flow, &segment, iss) else {
            return;
        };
        if let Some(Socket::HalfOpen(half_open)) = self.sockets.get_mut(id) {
            half_open.recovered(irs, &offer, ecn);
        }
        self.establish(cx, id, listener, segment);
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

/// The peer's initial numbers with which `segment` would end a handshake: the one before it, and, where
/// the acknowledgment was lost with the text behind it, that of a later segment of the first window.
/// These are as long as each other; RFC 6928 §2: there are ten at the most.
fn initial_numbers(segment: &Segment) -> impl Iterator<Item = SeqNum> + use<> {
    const INITIAL_WINDOW: u32 = 10;
    let (seq, len) = (segment.seq, segment.text_len);
    let places = if len > 0 { INITIAL_WINDOW } else { 1 };
    (0..places).map(move |place| seq - 1 - place.saturating_mul(len))
}
