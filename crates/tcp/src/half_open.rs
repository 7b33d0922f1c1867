//! SYN-RECEIVED from LISTEN (RFC 9293 §3.10.7.4), in little memory: what a SYN costs us is all that
//! somebody who floods us with them can make us keep.

use crate::challenge_ack::ChallengeAcks;
use crate::emit::{self, Carrier};
use crate::isn::timestamp;
use crate::options::{Offer, mss_for, own_shift, syn_options};
use crate::reset;
use crate::rtt::{RTO_INITIAL, RTO_MAX};
use crate::segment::Segment;
use crate::settings::Settings;
use crate::socket::Socket;
use crate::tcb::{Origin, Tcb};
use crate::window::ReceiveSequence;
use crate::{State, Tcp};
use core::time::Duration;
use sockeye_core::demux::{Claim, Flow, Sharing};
use sockeye_core::{
    Context, Counter, Handle, Instant, InterfaceId, Owner, Payload, RouteQuery, SocketId,
    TimerSlot, TransportId,
};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp::{Flags, Header};
use sockeye_wire::tcp_options::{Options, Timestamps};

/// A connection that a SYN has made and no acknowledgment has confirmed.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    pub(crate) flow: Flow,
    pub(crate) listener: SocketId,
    iss: SeqNum,
    irs: SeqNum,
    peer_window: u16,
    mss: u16,
    /// The peer's shift, or 255.
    window_scale: u8,
    sack: bool,
    has_timestamp: bool,
    retries: u8,
    /// TS.Recent
    timestamp: u32,
    own_window: u16,
    /// When the first answer left, in microseconds modulo 2^32: it does not live that long.
    sent_us: u32,
    interface: InterfaceId,
    challenge: ChallengeAcks,
    timer: TimerSlot,
}

/// What became of a half-open connection.
enum Next {
    Stay,
    Answer,
    Acknowledge,
    /// RFC 9293: return to LISTEN.
    Forget,
    Refuse,
    Establish,
}

impl HalfOpen {
    pub(crate) fn new(
        cx: &Context<'_>,
        listener: SocketId,
        flow: &Flow,
        syn: &Segment,
        iss: SeqNum,
        settings: &Settings,
    ) -> Self {
        let offer = Offer::read(&syn.options, flow.remote.ip, cx.config);
        let mut rcv = ReceiveSequence {
            buffer: settings.common.receive_buffer,
            ..ReceiveSequence::default()
        };
        Self {
            flow: *flow,
            listener,
            iss,
            irs: syn.seq,
            peer_window: syn.window,
            mss: offer.mss,
            window_scale: offer.window_scale.unwrap_or(u8::MAX),
            sack: offer.sack,
            has_timestamp: offer.timestamp.is_some(),
            retries: 0,
            timestamp: offer.timestamp.unwrap_or(0),
            own_window: rcv.offer(0, offer.mss.into(), settings.window_clamp, true),
            sent_us: to_us(cx.now),
            interface: syn.interface,
            challenge: ChallengeAcks::default(),
            timer: TimerSlot::default(),
        }
    }

    pub(crate) fn disarm(&mut self, cx: &mut Context<'_>) {
        cx.timers.disarm(&mut self.timer);
    }

    fn offer(&self) -> Offer {
        Offer {
            mss: self.mss,
            window_scale: (self.window_scale != u8::MAX).then_some(self.window_scale),
            sack: self.sack,
            timestamp: self.has_timestamp.then_some(self.timestamp),
        }
    }

    /// RFC 9293 §3.10.7.4 for SYN-RECEIVED from a passive OPEN.
    fn segment_arrives(&mut self, segment: &Segment) -> Next {
        let nxt = self.irs + 1;
        if segment.has(Flags::SYN) && !segment.has(Flags::ACK) && segment.seq == self.irs {
            // The SYN again: our answer was lost.
            return Next::Answer;
        }
        // First: PAWS, then the sequence number.
        if let Some(ts) = segment.options.timestamps
            && self.has_timestamp
            && !segment.has(Flags::RST)
            && SeqNum(ts.tsval).before(SeqNum(self.timestamp))
        {
            return Next::Acknowledge;
        }
        let rcv = ReceiveSequence {
            nxt,
            edge: nxt + u32::from(self.own_window),
            ..ReceiveSequence::default()
        };
        let rst = segment.has(Flags::RST);
        let len = if rst { 0 } else { segment.len() };
        if !rcv.is_acceptable(segment.seq, len) {
            return if rst { Next::Stay } else { Next::Acknowledge };
        }
        // Second: RST (RFC 5961 §3.2).
        if rst {
            return if segment.seq == nxt {
                Next::Forget
            } else {
                Next::Acknowledge
            };
        }
        // Fourth: SYN.
        if segment.has(Flags::SYN) {
            return Next::Forget;
        }
        // Fifth: ACK.
        if !segment.has(Flags::ACK) {
            return Next::Stay;
        }
        if segment.ack != self.iss + 1 {
            return Next::Refuse;
        }
        Next::Establish
    }
}

impl Tcp {
    /// A segment for the half-open connection `id`.
    pub(crate) fn half_open_segment(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        segment: Segment,
    ) {
        let Some(Socket::HalfOpen(half_open)) = self.sockets.get_mut(id) else {
            return;
        };
        let (flow, listener) = (half_open.flow, half_open.listener);
        let age = half_open.age(cx.now);
        match half_open.segment_arrives(&segment) {
            Next::Stay => {}
            Next::Answer => self.answer_half_open(cx, id),
            // Two ends that find each other's segments unacceptable must not answer for ever.
            Next::Acknowledge if !half_open.challenge.allow(cx.now) => {}
            Next::Acknowledge => {
                let header = Header {
                    seq: half_open.iss + 1,
                    ack: half_open.irs + 1,
                    flags: Flags::ACK,
                    window: half_open.own_window,
                    options: half_open.current_options(cx.now, &self.secrets),
                    ..Header::default()
                };
                reset::send_alone(cx, &flow, &header, segment.interface);
            }
            Next::Forget => self.forget_half_open(cx, id),
            Next::Refuse => reset::refuse(cx, &flow, &segment),
            Next::Establish => match self.sockets.get(listener) {
                Some(Socket::Listening(socket)) => {
                    let waits = socket
                        .settings
                        .defer_accept
                        .is_some_and(|wait| segment.len() == 0 && age < wait);
                    if waits {
                        // tcp(7), TCP_DEFER_ACCEPT: the connection stands when text comes.
                    } else if socket.is_full() {
                        // The acknowledgment is dropped; our SYN and ACK will ask for another.
                        cx.counters.add(Counter::TcpExtListenOverflows);
                        cx.drop_packet(Counter::TcpExtListenDrops);
                    } else {
                        self.establish(cx, id, listener, segment);
                    }
                }
                _ => {
                    // The listener is gone, and with it the one who would have accepted.
                    self.forget_half_open(cx, id);
                    reset::refuse(cx, &flow, &segment);
                }
            },
        }
    }

    /// The handshake is done: the half-open connection becomes a whole one.
    fn establish(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        listener: SocketId,
        segment: Segment,
    ) {
        let Some(Socket::Listening(socket)) = self.sockets.get_mut(listener) else {
            return;
        };
        let settings = socket.settings.clone();
        let claim = Claim {
            sharing: Sharing {
                listening: false,
                ..socket.claim.sharing
            },
            ..socket.claim
        };
        socket.half_open = socket.half_open.saturating_sub(1);
        self.half_open = self.half_open.saturating_sub(1);
        let Some(Socket::HalfOpen(half_open)) = self.sockets.get_mut(id) else {
            return;
        };
        half_open.disarm(cx);
        let handle = Handle {
            transport: TransportId::TCP,
            id,
        };
        let origin = Origin::Passive(listener);
        let flow = half_open.flow;
        let mut tcb = Box::new(Tcb::new(cx, handle, flow, origin, settings, &self.secrets));
        half_open.hand_over(cx, &mut tcb);
        self.demux.share(&claim);
        tcb.claim = Some(claim);
        tcb.marks.unaccepted = true;
        tcb.marks.linked = true;
        tcb.segment_arrives(cx, segment);
        let stands = tcb.state.is_synchronized();
        if let Some(socket) = self.sockets.get_mut(id) {
            *socket = Socket::Connection(tcb);
        }
        if stands {
            self.queue_for_accept(cx, listener, id);
        }
        self.settle(cx, id);
    }

    /// Sends the SYN and ACK: <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>; and sees to it that it is sent
    /// again.
    pub(crate) fn answer_half_open(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(Socket::HalfOpen(half_open)) = self.sockets.get_mut(id) else {
            return;
        };
        let wait = RTO_INITIAL
            .saturating_mul(1 << half_open.retries.min(8))
            .min(RTO_MAX);
        let owner = Owner::Socket(Handle {
            transport: TransportId::TCP,
            id,
        });
        cx.timers.arm(&mut half_open.timer, owner, cx.now + wait);
        let (flow, listener) = (half_open.flow, half_open.listener);
        let (Some(Socket::HalfOpen(half_open)), Some(Socket::Listening(listener))) =
            (self.sockets.get(id), self.sockets.get(listener))
        else {
            return;
        };
        let route = cx.route(&RouteQuery {
            destination: flow.remote.ip,
            source: Some(flow.local.ip),
            interface: flow
                .remote
                .scope_interface()
                .or(listener.settings.common.device),
            foreign_source: false,
        });
        let Ok(route) = route else { return };
        let own_mss = mss_for(route.mtu, flow.remote.ip);
        let mss = match listener.settings.max_segment {
            0 => own_mss,
            limit => own_mss.min(limit),
        };
        let shift = own_shift(cx.config, listener.settings.common.receive_buffer);
        let tsval = timestamp(cx.now, self.secrets.timestamp_offset(&flow));
        let header = Header {
            seq: half_open.iss,
            ack: half_open.irs + 1,
            flags: Flags::SYN | Flags::ACK,
            window: half_open.own_window,
            options: syn_options(cx.config, mss, shift, tsval, Some(&half_open.offer())),
            ..Header::default()
        };
        let label = self.secrets.flow_label(&flow);
        let carrier = Carrier::new(&listener.settings.common, flow.remote.ip, label, cx.config);
        // When it can't go out it is as good as lost: the timer sends it again.
        let _ = emit::send(
            cx,
            &route,
            &flow,
            &carrier,
            &header,
            Payload::new(),
            u32::MAX,
        );
    }

    /// The timer of a half-open connection fired: the SYN and ACK again, or the end.
    pub(crate) fn half_open_timeout(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(Socket::HalfOpen(half_open)) = self.sockets.get_mut(id) else {
            return;
        };
        let listener = half_open.listener;
        let over = u32::from(half_open.retries) >= cx.config.tcp_synack_retries;
        half_open.retries = half_open.retries.saturating_add(1);
        let listens = matches!(self.sockets.get(listener), Some(Socket::Listening(_)));
        if over || !listens {
            cx.counters.add(Counter::TcpAttemptFails);
            self.forget_half_open(cx, id);
            return;
        }
        cx.counters.add(Counter::TcpRetransSegs);
        self.answer_half_open(cx, id);
    }

    /// Back to LISTEN: nothing is kept of it.
    pub(crate) fn forget_half_open(&mut self, cx: &mut Context<'_>, id: SocketId) {
        let Some(Socket::HalfOpen(mut half_open)) = self.sockets.remove(id) else {
            return;
        };
        half_open.disarm(cx);
        self.demux.disconnect(id, half_open.flow);
        self.half_open = self.half_open.saturating_sub(1);
        if let Some(Socket::Listening(listener)) = self.sockets.get_mut(half_open.listener) {
            listener.half_open = listener.half_open.saturating_sub(1);
        }
    }
}

impl HalfOpen {
    /// SND.NXT and RCV.NXT.
    #[cfg(test)]
    pub(crate) fn numbers(&self) -> (SeqNum, SeqNum) {
        (self.iss + 1, self.irs + 1)
    }

    /// Time since the first answer.
    fn age(&self, now: Instant) -> Duration {
        Duration::from_micros(to_us(now).wrapping_sub(self.sent_us).into())
    }

    fn current_options(&self, now: Instant, secrets: &crate::isn::Secrets) -> Options {
        let timestamps = self.has_timestamp.then(|| Timestamps {
            tsval: timestamp(now, secrets.timestamp_offset(&self.flow)),
            tsecr: self.timestamp,
        });
        Options {
            timestamps,
            ..Options::default()
        }
    }

    /// Puts what the handshake has found into `tcb`, which is in SYN-RECEIVED then.
    fn hand_over(&self, cx: &mut Context<'_>, tcb: &mut Tcb) {
        tcb.state = State::SynReceived;
        tcb.set_iss(self.iss);
        tcb.snd.nxt = self.iss + 1;
        tcb.snd.wnd = self.peer_window.into();
        tcb.snd.max_wnd = tcb.snd.wnd;
        tcb.snd.wl1 = self.irs;
        tcb.rcv.irs = self.irs;
        tcb.rcv.nxt = self.irs + 1;
        tcb.rcv.edge = tcb.rcv.nxt + u32::from(self.own_window);
        tcb.rcv.last_ack_sent = tcb.rcv.nxt;
        if tcb.flow.remote.scope != 0 {
            tcb.interface = Some(self.interface);
        }
        tcb.negotiated(&self.offer(), cx.now, cx.config);
        // Its route, and with it Eff.snd.MSS; without one now, it is found when it sends.
        let _ = tcb.route(cx);
        if self.retries == 0 {
            tcb.timed = Some((self.iss + 1, cx.now - self.age(cx.now)));
        } else {
            tcb.marks.syn_retransmitted = true;
        }
    }
}

/// Microseconds, modulo 2^32.
fn to_us(now: Instant) -> u32 {
    (now.as_micros() & u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syn_costs_little() {
        assert!(size_of::<HalfOpen>() <= 128, "{}", size_of::<HalfOpen>());
    }
}
