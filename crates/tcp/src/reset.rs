//! Resets (RFC 9293 §3.5.2): the answer to what is not meant for any connection.

use crate::auth::{Isns, Signer};
use crate::emit::{self, Carrier};
use crate::segment::Segment;
use crate::tcb::Tcb;
use sockeye_core::demux::Flow;
use sockeye_core::{Context, InterfaceId, Payload, RouteQuery};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp::{Flags, Header};
use sockeye_wire::tcp_options::Options;

/// RFC 9293 §3.10.7.1: the reset that its sender will find acceptable; none for a reset.
pub(crate) fn answer_to(segment: &Segment) -> Option<Header> {
    if segment.has(Flags::RST) {
        return None;
    }
    Some(if segment.has(Flags::ACK) {
        // <SEQ=SEG.ACK><CTL=RST>
        Header {
            seq: segment.ack,
            flags: Flags::RST,
            ..Header::default()
        }
    } else {
        // <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>
        Header {
            seq: SeqNum(0),
            ack: segment.end(),
            flags: Flags::RST | Flags::ACK,
            ..Header::default()
        }
    })
}

/// Answers a segment that belongs to no connection.
pub(crate) fn refuse(cx: &mut Context<'_>, flow: &Flow, segment: &Segment, signer: Option<Signer>) {
    if let Some(header) = answer_to(segment) {
        send_alone(cx, flow, &header, segment.interface, signer);
    }
}

/// Sends a segment without a TCB. When it can't be sent it is lost, as it could be on the way.
pub(crate) fn send_alone(
    cx: &mut Context<'_>,
    flow: &Flow,
    header: &Header,
    interface: InterfaceId,
    signer: Option<Signer>,
) {
    let route = cx.route(&RouteQuery {
        destination: flow.remote.ip,
        source: Some(flow.local.ip),
        interface: (flow.remote.scope != 0).then_some(interface),
        foreign_source: true,
    });
    if let Ok(route) = route {
        let carrier = Carrier::of_nobody().signed(signer);
        let _ = emit::send(cx, &route, flow, &carrier, header, Payload::new(), u32::MAX);
    }
}

impl Tcb {
    /// RFC 9293 §3.10.5: <SEQ=SND.NXT><CTL=RST>; with an ACK, as every segment of a synchronized
    /// connection has.
    pub(crate) fn send_reset(&mut self, cx: &mut Context<'_>) {
        let flags = if self.state.is_synchronized() || self.state == crate::State::SynReceived {
            Flags::RST | Flags::ACK
        } else {
            Flags::RST
        };
        // RFC 9293 §3.10.7.4, first: the peer takes a reset only in its window. What a probe sent
        // behind a closed one does not count (Linux: tcp_acceptable_seq).
        let edge = self.snd.una + self.snd.wnd;
        let header = Header {
            seq: if self.state.is_synchronized() {
                self.snd.nxt.earlier(edge)
            } else {
                self.snd.nxt
            },
            ack: self.rcv.nxt,
            flags,
            // RFC 7323 §3.2: a reset has them, too, where the connection does.
            options: Options {
                timestamps: self.current_timestamps(cx.now),
                ..Options::default()
            },
            ..Header::default()
        };
        let Ok(route) = self.route(cx) else { return };
        let carrier = self.carrier();
        let flow = self.flow;
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

    /// Answers a segment whose acknowledgment is not acceptable before the connection stands.
    pub(crate) fn refuse(&mut self, cx: &mut Context<'_>, segment: &Segment) {
        let isns = Isns {
            local: self.snd.iss,
            remote: segment.seq,
        };
        let auth = self.auth.as_ref();
        let signer = auth.and_then(|auth| auth.signer(&self.flow, isns));
        refuse(cx, &self.flow, segment, signer);
    }
}
