//! ICMP errors (RFC 9293 §3.9.2.2, MUST-54; RFC 5927): believed when they quote something in flight, fatal
//! to an attempt to connect, a hint to a connection that stands.

use crate::segment::Segment;
use crate::socket::Socket;
use crate::tcb::Tcb;
use crate::{State, Tcp};
use sockeye_core::demux::{Endpoint, Flow};
use sockeye_core::transport::IcmpErrorKind;
use sockeye_core::{Context, Counter, IcmpError, InterfaceId, SocketId};
use sockeye_wire::SeqNum;

/// Connections that wait for their path's new size at one time; more resend by their timers.
const TOO_BIG_MAX: usize = 64;

/// What an error quotes of a TCP header: the first eight bytes.
struct Quote {
    flow: Flow,
    seq: SeqNum,
}

impl Quote {
    fn read(error: &IcmpError<'_>) -> Option<Self> {
        let [a, b, c, d, e, f, g, h, ..] = *error.quoted else {
            return None;
        };
        Some(Self {
            flow: Flow {
                local: Endpoint::new(error.source, u16::from_be_bytes([a, b])),
                remote: Endpoint::new(error.destination, u16::from_be_bytes([c, d])),
            },
            seq: SeqNum(u32::from_be_bytes([e, f, g, h])),
        })
    }
}

impl Tcp {
    /// An error about a segment of ours. Whether it quotes a connection, with a number in flight.
    pub(crate) fn icmp_error(&mut self, cx: &mut Context<'_>, error: &IcmpError<'_>) -> bool {
        let Some(quote) = Quote::read(error) else {
            return false;
        };
        let Some(id) = self.quoted(cx, &quote.flow) else {
            return false;
        };
        self.unpack(id);
        let in_flight = match self.sockets.get(id) {
            // RFC 5927 §4.1: SND.UNA =< SEQ < SND.NXT. Our SYN is in flight until it is proven.
            Some(Socket::Connection(tcb)) => {
                quote.seq.is_within(tcb.snd.una, tcb.outstanding())
                    || (tcb.is_unproven() && quote.seq == tcb.snd.iss)
            }
            Some(Socket::HalfOpen(half_open)) => half_open.sent(quote.seq),
            // TIME-WAIT: its timer ends it.
            _ => false,
        };
        if !in_flight {
            cx.counters.add(Counter::TcpExtOutOfWindowIcmps);
            return false;
        }
        let Some(Socket::Connection(tcb)) = self.sockets.get_mut(id) else {
            // Linux: who can't be reached is not waited for.
            let unreachable = matches!(
                error.kind,
                IcmpErrorKind::NetworkUnreachable
                    | IcmpErrorKind::HostUnreachable
                    | IcmpErrorKind::TimeExceeded
                    | IcmpErrorKind::ParameterProblem
            );
            if unreachable {
                cx.drop_packet(Counter::TcpExtListenDrops);
                self.forget_half_open(cx, id);
            }
            return true;
        };
        if tcb.ignores_icmp(cx, error.kind) {
            return false;
        }
        if let IcmpErrorKind::PacketTooBig { mtu } = error.kind {
            if !tcb.believes_mtu(mtu) {
                return false;
            }
            // The path's new size is known only once we have said that the quote is ours.
            if self.too_big.len() < TOO_BIG_MAX {
                self.too_big.push(id);
            }
            return true;
        }
        tcb.icmp_error(cx, error.kind);
        self.settle(cx, id);
        true
    }

    /// A path has become narrower: connections whose segments were too large for it send them
    /// again. The others learn of it with their next segment, as the routes have changed.
    pub(crate) fn path_mtu(&mut self, cx: &mut Context<'_>) {
        for id in core::mem::take(&mut self.too_big) {
            self.unpack(id);
            if let Some(Socket::Connection(tcb)) = self.sockets.get_mut(id) {
                tcb.too_big(cx);
                self.settle(cx, id);
            }
        }
    }

    /// The connection that a quote is of. The quote has no scope; an interface gives it one.
    fn quoted(&self, cx: &Context<'_>, flow: &Flow) -> Option<SocketId> {
        if !sockeye_core::demux::is_scoped(flow.remote.ip) {
            return self
                .demux
                .connected(flow, InterfaceId::LOOPBACK)
                .or_else(|| {
                    let mut ids = cx.inet.interfaces().map(|(id, _)| id);
                    ids.find_map(|id| self.demux.connected(flow, id))
                });
        }
        let mut interfaces = cx.inet.interfaces().map(|(id, _)| id);
        interfaces.find_map(|id| {
            let flow = Flow {
                local: Endpoint::on(id, flow.local.ip, flow.local.port),
                remote: Endpoint::on(id, flow.remote.ip, flow.remote.port),
            };
            self.demux.connected(&flow, id)
        })
    }
}

impl Tcb {
    /// RFC 9293 §3.9.2.2: soft errors must not end a connection (MUST-56); hard ones should, but
    /// RFC 5927 §5.2 has them taken for soft in synchronized states.
    fn icmp_error(&mut self, cx: &mut Context<'_>, kind: IcmpErrorKind) {
        let (error, _) = kind.error();
        match kind {
            // MUST-55: silently dropped (Source Quench among them).
            IcmpErrorKind::PacketTooBig { .. } | IcmpErrorKind::Other => {}
            // Who has been accepted is as good as connected.
            _ if self.is_unproven() && self.marks.user => self.soft_error = Some(error),
            _ if matches!(self.state, State::SynSent | State::SynReceived) => {
                // As Linux does: whoever connects learns of it at once.
                self.closed(cx, Some(error));
            }
            _ => self.soft_error = Some(error),
        }
    }
}

/// The first bytes of a segment's header, as an ICMP error about it quotes them.
pub(crate) fn quote_of(flow: &Flow, segment: &Segment) -> Vec<u8> {
    let header = sockeye_wire::tcp::Header {
        source_port: flow.remote.port,
        destination_port: flow.local.port,
        seq: segment.seq,
        ack: segment.ack,
        flags: segment.flags,
        window: segment.window,
        ..sockeye_wire::tcp::Header::default()
    };
    let mut quote = vec![0; header.header_len()];
    header.emit(&mut quote);
    quote
}
