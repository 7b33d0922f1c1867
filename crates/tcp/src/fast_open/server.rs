//! Fast Open of a server (RFC 7413 §4.1.2, §4.2.2): the cookies that it gives out, and connections
//! that a SYN with one of them makes at once.
//!
//! A cookie is a keyed hash of both addresses: SipHash-2-4 of source and destination as they stand
//! in the IP header, as Linux makes them, so that hosts behind one address can share a key.
//!
//! RFC 7413 §5.1: how many connections may be unproven at a time is limited for each listener
//! (TCP_FASTOPEN). One that a reset ends before it was proven counts on for a minute: whoever
//! forges addresses makes others reset.

use super::FastOpen;
use crate::half_open::HalfOpen;
use crate::segment::Segment;
use crate::settings::{FastOpenKeys, Settings};
use crate::socket::Socket;
use crate::tcb::{Origin, Tcb};
use crate::timers::Retransmit;
use crate::{State, Tcp};
use core::hash::Hasher;
use core::time::Duration;
use siphasher::sip::SipHasher24;
use sockeye_core::demux::{Claim, Flow, Sharing};
use sockeye_core::{Config, Context, Counter, FastOpenMode, Instant, SocketId};
use sockeye_wire::tcp::Flags;
use sockeye_wire::tcp_options::{FastOpen as FastOpenOption, FastOpenCookie};
use sockeye_wire::{Bounded, SeqNum};
use std::collections::VecDeque;
use std::net::IpAddr;

/// Keys that cookies are checked against: the one in use and the one before it.
pub(crate) const KEYS_MAX: usize = 2;
/// How long a reset before the proof counts against the limit.
const RESET_COUNTS_FOR: Duration = Duration::from_secs(60);

/// What a listener keeps of Fast Open.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// The most that may be unproven (TCP_FASTOPEN); 0: it is off.
    pub(crate) max: usize,
    /// Those that are, and those that were reset lately: until when these count.
    pending: usize,
    resets: VecDeque<Instant>,
}

impl Queue {
    /// As `settings` say of a listener with `backlog`.
    pub(crate) fn new(settings: &Settings, backlog: usize, config: &Config) -> Self {
        let mut queue = Self::default();
        let without_option = FastOpenMode::SERVER | FastOpenMode::SERVER_WITHOUT_OPTION;
        if settings.fast_open_queue > 0 {
            queue.limit_to(settings.fast_open_queue, config);
        } else if config.tcp_fast_open.contains(without_option) {
            queue.max = backlog;
        }
        queue
    }

    /// tcp(7), TCP_FASTOPEN: no more than `max` at a time, nor than a backlog may be.
    pub(crate) fn limit_to(&mut self, max: u32, config: &Config) {
        self.max = usize::try_from(max)
            .unwrap_or(usize::MAX)
            .min(config.backlog_max);
    }

    /// Whether one more may be unproven.
    fn has_room(&mut self, now: Instant) -> bool {
        if self.pending < self.max {
            return true;
        }
        // One at a time is forgiven, as one is asked for.
        match self.resets.front() {
            Some(until) if *until <= now => {
                self.resets.pop_front();
                self.pending = self.pending.saturating_sub(1);
                true
            }
            _ => false,
        }
    }

    /// An unproven one comes from another listener. It may be one too many, for nobody new then.
    pub(crate) fn adopt(&mut self) {
        self.pending += 1;
    }

    /// One was proven, or ended; `by_reset`: so that it counts on.
    fn decided(&mut self, now: Instant, by_reset: bool) {
        if by_reset && self.resets.len() < self.max {
            self.resets.push_back(now + RESET_COUNTS_FOR);
        } else {
            self.pending = self.pending.saturating_sub(1);
        }
    }
}

/// What a SYN gets from Fast Open.
pub(crate) enum Verdict {
    /// Nothing, or a cookie in the answer.
    Answer(Option<FastOpenOption>),
    /// A connection, and perhaps a newer cookie.
    Connection(Option<FastOpenOption>),
}

/// The cookie for a client at `remote` that asks us as `local`.
pub(crate) fn cookie(key: &[u8; 16], remote: IpAddr, local: IpAddr) -> FastOpenCookie {
    let mut hasher = SipHasher24::new_with_key(key);
    for address in [remote, local] {
        match address {
            IpAddr::V4(v4) => hasher.write(&v4.octets()),
            IpAddr::V6(v6) => hasher.write(&v6.octets()),
        }
    }
    Bounded::from_slice(&hasher.finish().to_le_bytes()).unwrap_or_default()
}

impl Tcp {
    /// RFC 7413 §4.2.2: what `syn` to `listener` asks of Fast Open, and gets.
    pub(crate) fn judge_fast_open(
        &mut self,
        cx: &mut Context<'_>,
        listener: SocketId,
        flow: &Flow,
        syn: &Segment,
    ) -> Verdict {
        let asked = syn.options.fast_open;
        if asked.is_some_and(|option| option.cookie.is_empty()) {
            cx.counters.add(Counter::TcpExtTCPFastOpenCookieReqd);
        }
        let mode = cx.config.tcp_fast_open;
        let Some(Socket::Listening(socket)) = self.sockets.get_mut(listener) else {
            return Verdict::Answer(None);
        };
        let wanted = asked.is_some() || syn.text_len > 0;
        // What is signed has no room for the option.
        let may = mode.contains(FastOpenMode::SERVER) && socket.auth.is_none();
        if !wanted || !may || socket.fast_open.max == 0 {
            return Verdict::Answer(None);
        }
        if !socket.fast_open.has_room(cx.now) {
            cx.counters.add(Counter::TcpExtTCPFastOpenListenOverflow);
            return Verdict::Answer(None);
        }
        let settings = &socket.settings;
        if mode.contains(FastOpenMode::SERVER_WITHOUT_COOKIE) || settings.fast_open_no_cookie {
            return Verdict::Connection(None);
        }
        let Some(asked) = asked else {
            return Verdict::Answer(None);
        };
        let own = settings.fast_open_keys.clone();
        let keys = self.fast_open_keys(cx, own);
        let valid = |key| cookie(key, flow.remote.ip, flow.local.ip);
        let fresh = keys.first().map(|key| FastOpenOption {
            cookie: valid(key),
            experimental: asked.experimental,
        });
        if asked.cookie.is_empty() {
            return Verdict::Answer(fresh);
        }
        match keys.iter().position(|key| valid(key) == asked.cookie) {
            Some(0) => Verdict::Connection(None),
            Some(_) => {
                cx.counters.add(Counter::TcpExtTCPFastOpenPassiveAltKey);
                Verdict::Connection(fresh)
            }
            None => {
                cx.counters.add(Counter::TcpExtTCPFastOpenPassiveFail);
                Verdict::Answer(fresh)
            }
        }
    }

    /// The keys in force: the socket's, the node's, or one made up now.
    pub(crate) fn fast_open_keys(
        &mut self,
        cx: &mut Context<'_>,
        own: Option<FastOpenKeys>,
    ) -> FastOpenKeys {
        let known = self.known_fast_open_keys(cx.config, own);
        if !known.is_empty() {
            return known;
        }
        let made = FastOpenKeys::from_iter([cx.rng.bytes()]);
        self.fast_open_key.insert(made).clone()
    }

    /// The same, and none where none was made up yet.
    pub(crate) fn known_fast_open_keys(
        &self,
        config: &Config,
        own: Option<FastOpenKeys>,
    ) -> FastOpenKeys {
        let configured = &config.tcp_fast_open_keys;
        match own {
            Some(own) => own,
            None if !configured.is_empty() => configured.iter().take(KEYS_MAX).copied().collect(),
            None => self.fast_open_key.clone().unwrap_or_default(),
        }
    }

    /// A SYN whose cookie is good, or needs none: its connection is there at once, with its text,
    /// and waits to be accepted.
    pub(crate) fn open_fast(
        &mut self,
        cx: &mut Context<'_>,
        listener: SocketId,
        flow: &Flow,
        mut syn: Segment,
        iss: SeqNum,
        answer: Option<FastOpenOption>,
    ) {
        let Some(Socket::Listening(socket)) = self.sockets.get_mut(listener) else {
            return;
        };
        socket.fast_open.pending += 1;
        let tie = socket.settings.common.device;
        let settings = Settings::of_connection(socket.settings.clone());
        let claim = Claim {
            sharing: Sharing {
                listening: false,
                ..socket.claim.sharing
            },
            ..socket.claim
        };
        let mut request = HalfOpen::new(cx, listener, flow, &syn, iss, socket);
        let placeholder = crate::socket::Fresh {
            settings: settings.clone(),
            auth: None,
            bound: None,
            error: None,
        };
        let id = self.sockets.insert(Socket::Fresh(Box::new(placeholder)));
        let origin = Origin::Passive(listener);
        let handle = Self::handle(id);
        let mut tcb = Box::new(Tcb::new(cx, handle, *flow, origin, settings, &self.secrets));
        request.hand_over(cx, &mut tcb);
        self.demux.share(&claim);
        self.demux.connect(id, *flow, tie, false);
        tcb.claim = Some(claim);
        tcb.marks.unaccepted = true;
        tcb.marks.linked = true;
        tcb.take_syn_text(cx, &mut syn, request, answer);
        if let Some(socket) = self.sockets.get_mut(id) {
            *socket = Socket::Connection(tcb);
        }
        cx.counters.add(Counter::TcpExtTCPFastOpenPassive);
        self.queue_for_accept(cx, listener, id);
        self.settle(cx, id);
    }

    /// A connection of `listener` is unproven no longer.
    pub(crate) fn fast_open_decided(
        &mut self,
        cx: &Context<'_>,
        listener: SocketId,
        by_reset: bool,
    ) {
        if let Some(Socket::Listening(socket)) = self.sockets.get_mut(listener) {
            socket.fast_open.decided(cx.now, by_reset);
        }
    }
}

impl Tcb {
    /// In SYN-RECEIVED with the text of the SYN. Our SYN is the request's business from now on, so
    /// SND.UNA stands behind it.
    fn take_syn_text(
        &mut self,
        cx: &mut Context<'_>,
        syn: &mut Segment,
        request: HalfOpen,
        answer: Option<FastOpenOption>,
    ) {
        self.snd.una = self.snd.iss + 1;
        let (len, pinned) = (syn.text_len, syn.pinned);
        if len > 0 {
            let text = syn.take_text();
            self.rcv.advance(len);
            self.rcv.last_ack_sent = self.rcv.nxt;
            self.received
                .push(text, pinned, self.settings.stamp(cx.now));
        }
        self.fast_open = Some(Box::new(FastOpen {
            request: Some(Box::new(request)),
            accepted: len > 0,
            answer,
            counted: true,
            ..FastOpen::default()
        }));
        self.marks.syn_due = true;
        self.sent_at = cx.now;
    }

    /// Sends our SYN and ACK, if Fast Open made the connection and it is unproven. It says the
    /// window and the options of the handshake, whatever the connection has come to.
    pub(crate) fn answer_fast_open(&mut self, cx: &mut Context<'_>) -> bool {
        let tsval = crate::isn::timestamp(cx.now, self.timestamp_offset);
        let label = self.flow_label;
        let ack = self.rcv.nxt;
        let Some(open) = &mut self.fast_open else {
            return false;
        };
        let option = open.answer.take();
        let Some(request) = &mut open.request else {
            return false;
        };
        request.answers_again(self.retries);
        self.ecn.answers_again(self.retries);
        let again = core::mem::replace(&mut open.answered, true);
        let mut answer = request.answer(tsval, label);
        answer.fast_open = option;
        answer.ack = ack;
        request.send(cx, &self.settings, &answer);
        self.marks.syn_due = false;
        if again {
            self.marks.syn_retransmitted = true;
            self.timed = None;
            cx.counters.add(Counter::TcpRetransSegs);
        }
        true
    }

    /// The first acknowledgment of an unproven connection, or none: false when it is no good.
    pub(crate) fn prove(&mut self, cx: &mut Context<'_>, segment: &Segment) -> bool {
        let first = self.snd.iss + 1;
        let acceptable = segment.ack.after_or_eq(first) && segment.ack.before_or_eq(self.snd.nxt);
        if !acceptable || segment.has(Flags::SYN) {
            self.refuse(cx, segment);
            return false;
        }
        if let Some(open) = &mut self.fast_open {
            open.request = None;
        }
        self.measure_handshake(cx, segment);
        self.recovery.delivery.count(0, 1);
        if self.state == State::SynReceived {
            self.established(cx);
            cx.counters.add(Counter::TcpPassiveOpens);
        }
        self.retries = 0;
        // From now on the timer is for what follows the SYN.
        self.set_retransmission_timer(cx.now, true);
        true
    }

    /// The timer of an unproven connection is for its SYN and ACK, whatever follows these.
    pub(crate) fn watch_unproven(&mut self, now: Instant) {
        if self.deadlines.pending().is_none() {
            self.schedule(Retransmit::Timeout, now + self.rtt.rto());
        }
    }

    /// It ran out: the SYN and ACK again, or the end. Linux gives it one more than others have.
    pub(crate) fn unproven_timeout(&mut self, cx: &mut Context<'_>) {
        let limit = match self.settings.syn_retries {
            0 => cx.config.tcp_synack_retries.saturating_add(1),
            count => count,
        };
        if self.retries >= limit {
            cx.counters.add(Counter::TcpExtTCPAbortOnTimeout);
            self.time_out(cx);
            return;
        }
        cx.counters.add(Counter::TcpExtTCPTimeouts);
        self.retries = self.retries.saturating_add(1);
        self.rtt.back_off();
        self.marks.syn_due = true;
        self.schedule(Retransmit::Timeout, cx.now + self.rtt.rto());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(cookie: &FastOpenCookie) -> String {
        cookie.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// As Linux makes them, with its key a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4.
    #[test]
    fn cookies_are_linuxs() {
        let mut key = [0; 16];
        for (n, byte) in [0xa1, 0xb2, 0xc3, 0xd4].into_iter().enumerate() {
            key[n * 4..][..4].fill(byte);
        }
        let of = |remote: &str, local: &str| {
            hex(&cookie(
                &key,
                remote.parse().unwrap(),
                local.parse().unwrap(),
            ))
        };
        assert_eq!(of("192.0.2.1", "192.168.0.1"), "3021b9d889017eeb");
        assert_eq!(
            of("fd3d:fa7b:d17d::1", "fd3d:a0b:17d6::1"),
            "c1d1e9742a47a9bc"
        );
    }

    #[test]
    fn a_reset_counts_for_a_minute() {
        let mut queue = Queue {
            max: 2,
            ..Queue::default()
        };
        let start = Instant::from_millis(5);
        for _ in 0..2 {
            assert!(queue.has_room(start));
            queue.pending += 1;
        }
        assert!(!queue.has_room(start));
        queue.decided(start, true);
        queue.decided(start, true);
        assert!(!queue.has_room(start + Duration::from_secs(59)));
        let later = start + Duration::from_secs(60);
        assert!(queue.has_room(later));
        queue.pending += 1;
        assert!(queue.has_room(later));
        queue.pending += 1;
        assert!(!queue.has_room(later));
        queue.decided(later, false);
        assert!(queue.has_room(later));
    }
}
