//! SEGMENT ARRIVES for a half-open connection (RFC 9293 §3.10.7.4), in its order.

use super::{HalfOpen, Progress};
use crate::Tcp;
use crate::isn::{Secrets, timestamp};
use crate::reset;
use crate::segment::Segment;
use crate::settings::Settings;
use crate::socket::Socket;
use crate::tcb::{Origin, Tcb};
use crate::window::ReceiveSequence;
use sockeye_core::demux::{Claim, Sharing};
use sockeye_core::{Context, Counter, Handle, Instant, SocketId, TransportId};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp::{Flags, Header};
use sockeye_wire::tcp_options::{Options, Timestamps};

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
    /// RFC 9293 §3.10.7.4 for SYN-RECEIVED from a passive OPEN.
    fn segment_arrives(&mut self, segment: &Segment) -> Next {
        let nxt = self.irs + 1;
        if segment.has(Flags::SYN) && !segment.has(Flags::ACK) && segment.seq == self.irs {
            // The SYN again: our answer was lost.
            self.ecn.syn_again(segment.flags, segment.ecn);
            return Next::Answer;
        }
        // First: PAWS, then the sequence number.
        if let Some(ts) = segment.options.timestamps
            && let Some(recent) = self.agreed.recent()
            && !segment.has(Flags::RST)
            && SeqNum(ts.tsval).before(SeqNum(recent))
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
    fn current_options(&self, now: Instant, secrets: &Secrets) -> Options {
        let timestamps = self.agreed.recent().map(|recent| Timestamps {
            tsval: timestamp(now, secrets.timestamp_offset(&self.flow)),
            tsecr: recent,
        });
        Options {
            timestamps,
            ..Options::default()
        }
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
        let (isns, ids) = (half_open.isns(), half_open.ao);
        match half_open.segment_arrives(&segment) {
            Next::Stay => {}
            Next::Answer => self.answer_half_open(cx, id, None),
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
                if let Ok(signer) = self.half_open_signer(listener, &flow, isns, ids) {
                    reset::send_alone(cx, &flow, &header, segment.interface, signer);
                }
            }
            Next::Forget => {
                cx.counters.add(Counter::TcpExtEmbryonicRsts);
                self.forget_half_open(cx, id);
            }
            Next::Refuse => {
                if let Ok(signer) = self.half_open_signer(listener, &flow, isns, ids) {
                    reset::refuse(cx, &flow, &segment, signer);
                }
            }
            Next::Establish => self.handshake_ends(cx, id, listener, segment),
        }
    }

    /// The acknowledgment of our SYN: the connection stands, if there is somebody and room for it.
    fn handshake_ends(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        listener: SocketId,
        segment: Segment,
    ) {
        let Some(Socket::Listening(socket)) = self.sockets.get(listener) else {
            // The listener is gone, and with it the one who would have accepted.
            let flow = self.forget_half_open(cx, id);
            if let Some(flow) = flow {
                reset::refuse(cx, &flow, &segment, None);
            }
            return;
        };
        let defer = socket.settings.defer_accept;
        let full = socket.is_full();
        let Some(Socket::HalfOpen(half_open)) = self.sockets.get_mut(id) else {
            return;
        };
        if half_open.retries < defer && segment.len() == 0 {
            // tcp(7), TCP_DEFER_ACCEPT: the connection stands when text comes.
            half_open.progress = Progress::Acknowledged;
            cx.drop_packet(Counter::TcpExtTCPDeferAcceptDrop);
            return;
        }
        if !full {
            self.establish(cx, id, listener, segment);
            return;
        }
        cx.counters.add(Counter::TcpExtListenOverflows);
        cx.drop_packet(Counter::TcpExtListenDrops);
        if cx.config.tcp_abort_on_overflow {
            cx.counters.add(Counter::TcpExtEmbryonicRsts);
            let flow = self.forget_half_open(cx, id);
            if let Some(flow) = flow {
                reset::refuse(cx, &flow, &segment, None);
            }
        } else {
            // The acknowledgment is dropped; our SYN and ACK will ask for another.
            half_open.progress = Progress::Acknowledged;
        }
    }

    /// The handshake is done: the half-open connection becomes a whole one.
    pub(crate) fn establish(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        listener: SocketId,
        segment: Segment,
    ) {
        let Some(Socket::HalfOpen(half_open)) = self.sockets.get(id) else {
            return;
        };
        let (remote, ids) = (half_open.flow.remote.ip, half_open.ao);
        let Some(Socket::Listening(socket)) = self.sockets.get_mut(listener) else {
            return;
        };
        let settings = Settings::of_connection(socket.settings.clone());
        let auth = socket
            .auth
            .as_ref()
            .and_then(|keys| keys.for_accept(remote, ids));
        let claim = Claim {
            sharing: Sharing {
                listening: false,
                ..socket.claim.sharing
            },
            ..socket.claim
        };
        self.half_open = self.half_open.saturating_sub(1);
        let Some(Socket::HalfOpen(half_open)) = self.sockets.get_mut(id) else {
            return;
        };
        half_open.disarm(cx);
        let young = half_open.is_young();
        let handle = Handle {
            transport: TransportId::TCP,
            id,
        };
        let origin = Origin::Passive(listener);
        let flow = half_open.flow;
        let mut tcb = Box::new(Tcb::new(cx, handle, flow, origin, settings, &self.secrets));
        tcb.auth = auth.map(Box::new);
        half_open.hand_over(cx, &mut tcb);
        self.demux.share(&claim);
        tcb.claim = Some(claim);
        tcb.marks.unaccepted = true;
        tcb.marks.linked = true;
        tcb.segment_arrives(cx, segment);
        let stands = tcb.state.is_synchronized();
        if !stands {
            // Nobody will be asked to accept it, so nobody holds it.
            tcb.marks.unaccepted = false;
            tcb.abort(cx);
        }
        if let Some(socket) = self.sockets.get_mut(id) {
            *socket = Socket::Connection(tcb);
        }
        if let Some(Socket::Listening(socket)) = self.sockets.get_mut(listener) {
            socket.left_half_open(young);
        }
        if stands {
            self.queue_for_accept(cx, listener, id);
        }
        self.settle(cx, id);
    }
}
