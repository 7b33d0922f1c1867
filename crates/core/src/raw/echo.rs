//! Echo requests to addresses that are not the node's, answered by its owner.

use super::Ping;
use super::ping::{ECHO_LEN, fill_checksum, handle, protocol_for};
use crate::demux::is_scoped;
use crate::intercept::{Refused, Scope, Unreachable, send_unreachable};
use crate::{
    Context, Counter, Error, InterfaceId, IpInfo, Packet, Readiness, RouteQuery, SendInfo,
    SocketId, Tags,
};
use bytes::Bytes;
use sockeye_wire::{IpProtocol, icmpv4, icmpv6};
use std::collections::VecDeque;
use std::net::IpAddr;

/// Bytes of payload that wait to be taken.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// An echo request to somebody else. Who drops it stays silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EchoRequest {
    /// Whom it was sent to.
    pub local: IpAddr,
    /// Who sent it.
    pub remote: IpAddr,
    /// The sender's identifier.
    pub ident: u16,
    /// The sender's sequence number.
    pub seq: u16,
    /// What is to come back.
    pub payload: Bytes,
    /// Where it came in.
    pub interface: InterfaceId,
}

/// Requests that wait to be taken.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: VecDeque<EchoRequest>,
    bytes: usize,
    on: bool,
}

impl Requests {
    pub(super) fn arrives(&mut self, cx: &mut Context<'_>, ip: &IpInfo, packet: Packet) {
        let full = self.waiting.len() >= cx.config.intercept_backlog
            || self.bytes + packet.len() > WAITING_BYTES_MAX;
        if !self.on || !ip.is_unicast() {
            return;
        }
        if full {
            cx.drop_packet(Counter::InterceptOverflows);
            return;
        }
        let message = Bytes::from(packet.to_vec());
        let field = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
        let request = EchoRequest {
            local: ip.destination,
            remote: ip.source,
            ident: field(4),
            seq: field(6),
            payload: message.slice(ECHO_LEN..),
            interface: ip.interface,
        };
        self.bytes += request.payload.len();
        self.waiting.push_back(request);
        cx.set_ready(handle(SocketId::INTERCEPT), Readiness::READABLE);
    }

    pub(super) fn forget(&mut self) {
        self.waiting.clear();
        self.bytes = 0;
    }
}

impl Ping {
    /// Begins or ends the interception of echo requests. To its own addresses the node answers
    /// itself, whatever the scope.
    pub fn set_intercept(&mut self, cx: &mut Context<'_>, scope: Option<Scope>) {
        self.requests.on = scope.is_some();
        for protocol in [IpProtocol::ICMP, IpProtocol::ICMPV6] {
            cx.inet.set_intercept(protocol, scope.is_some());
        }
        if scope.is_none() {
            self.requests.forget();
        }
    }

    /// The next intercepted request. [`READABLE`](Readiness::READABLE) of
    /// [`SocketId::INTERCEPT`] tells that there is one.
    pub fn incoming(&mut self, _cx: &mut Context<'_>) -> Option<EchoRequest> {
        let request = self.requests.waiting.pop_front()?;
        self.requests.bytes -= request.payload.len();
        Some(request)
    }

    /// Answers `request` in the name of the address it was sent to, with `payload`: that of the
    /// request, where all is well.
    ///
    /// # Errors
    /// [`Error::MessageSize`] for a payload that is too long, and those of routing and sending.
    pub fn reply(
        &mut self,
        cx: &mut Context<'_>,
        request: &EchoRequest,
        payload: &[u8],
    ) -> Result<(), Error> {
        let EchoRequest { local, remote, .. } = *request;
        let route = cx.route(&RouteQuery {
            destination: remote,
            source: Some(local),
            interface: is_scoped(remote).then_some(request.interface),
            foreign_source: true,
        })?;
        let mut message = request.message(Kind::Reply, payload);
        fill_checksum(local, remote, message.head_mut());
        cx.counters.add(Counter::IcmpOutMsgs);
        let info = SendInfo {
            route,
            destination: remote,
            protocol: protocol_for(remote),
            hop_limit: cx.hop_limit(&route),
            traffic_class: 0,
            flow_label: 0,
            dont_fragment: false,
            tags: Tags::default(),
        };
        cx.send(&info, message)
    }

    /// Tells the sender of `request` that it can't be delivered.
    ///
    /// # Errors
    /// Those of routing and sending.
    pub fn unreachable(
        &mut self,
        cx: &mut Context<'_>,
        request: &EchoRequest,
        why: Unreachable,
    ) -> Result<(), Error> {
        let mut quoted = request.message(Kind::Request, &request.payload);
        fill_checksum(request.remote, request.local, quoted.head_mut());
        let refused = Refused {
            interface: request.interface,
            source: request.remote,
            destination: request.local,
            protocol: protocol_for(request.remote),
            quote: quoted.head(),
        };
        send_unreachable(cx, why, &refused)
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Request,
    Reply,
}

impl EchoRequest {
    /// An echo message of its identifier and sequence number, without checksum.
    fn message(&self, kind: Kind, payload: &[u8]) -> Packet {
        let mut packet = Packet::from_slice(payload);
        let out = packet.push(ECHO_LEN);
        match self.remote {
            IpAddr::V4(_) => {
                let echo = icmpv4::Echo {
                    identifier: self.ident,
                    sequence: self.seq,
                };
                match kind {
                    Kind::Request => icmpv4::Header::Echo(echo),
                    Kind::Reply => icmpv4::Header::EchoReply(echo),
                }
                .emit(out);
            }
            IpAddr::V6(_) => {
                let echo = icmpv6::Echo {
                    identifier: self.ident,
                    sequence: self.seq,
                };
                match kind {
                    Kind::Request => icmpv6::Header::EchoRequest(echo),
                    Kind::Reply => icmpv6::Header::EchoReply(echo),
                }
                .emit(out);
            }
        }
        packet
    }
}
