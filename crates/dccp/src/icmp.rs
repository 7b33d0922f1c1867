//! ICMP errors: believed when they quote a number that was sent of late (RFC 4340 §14.1), fatal to an
//! attempt to connect, a hint to a connection that stands.

use crate::Dccp;
use crate::flows::Tuple;
use crate::socket::Socket;
use crate::state::State;
use sockeye_core::demux::{Endpoint, Flow};
use sockeye_core::transport::IcmpErrorKind;
use sockeye_core::{Context, IcmpError, InterfaceId, SocketId};
use sockeye_link::UdpPorts;
use sockeye_wire::dccp::Seq;
use sockeye_wire::udp;

/// What an error quotes: the ports, and of the Sequence Number the low bits at least.
struct Quote {
    flow: Flow,
    /// Of the UDP header before it.
    encap: Option<UdpPorts>,
    /// `None` where it is cut off.
    seq: Option<Seq>,
}

impl Quote {
    fn read(error: &IcmpError<'_>, in_udp: bool) -> Option<Self> {
        let (encap, header) = match in_udp {
            true => split_udp(error.quoted)?,
            false => (None, error.quoted),
        };
        let [a, b, c, d, ..] = *header else {
            return None;
        };
        let seq = match *header {
            [_, _, _, _, _, _, _, _, kind, _, s0, s1, s2, s3, s4, s5, ..] if kind & 1 == 1 => {
                Some(u64::from_be_bytes([0, 0, s0, s1, s2, s3, s4, s5]))
            }
            _ => None,
        };
        Some(Self {
            flow: Flow {
                local: Endpoint::new(error.source, u16::from_be_bytes([a, b])),
                remote: Endpoint::new(error.destination, u16::from_be_bytes([c, d])),
            },
            encap,
            seq: seq.map(Seq::new),
        })
    }
}

/// RFC 6773 §3.6: the ports of UDP, and what is quoted behind them.
fn split_udp(quoted: &[u8]) -> Option<(Option<UdpPorts>, &[u8])> {
    let (&[s0, s1, d0, d1, ..], rest) = quoted.split_first_chunk::<{ udp::HEADER_LEN }>()?;
    let ports = UdpPorts {
        source: u16::from_be_bytes([s0, s1]),
        destination: u16::from_be_bytes([d0, d1]),
    };
    Some((Some(ports), rest))
}

impl Dccp {
    /// An error about a packet of ours. Whether it quotes a connection, with a number that was sent.
    pub(crate) fn icmp_error(
        &mut self,
        cx: &mut Context<'_>,
        error: &IcmpError<'_>,
        in_udp: bool,
    ) -> bool {
        let Some(quote) = Quote::read(error, in_udp) else {
            return false;
        };
        let Some(id) = self.quoted(cx, &quote) else {
            return false;
        };
        match self.sockets.get_mut(id) {
            Some(Socket::Connection(conn)) => {
                let widths = conn.widths();
                let sent = |seq| conn.seqs.is_acknowledgeable(seq, widths);
                // RFC 4340 §14.1: with a number that fits; short ones are not looked at.
                if !quote.seq.is_none_or(sent) {
                    return false;
                }
                if let IcmpErrorKind::PacketTooBig { .. } | IcmpErrorKind::Other = error.kind {
                    return quote.seq.is_some();
                }
                let (what, _) = error.kind.error();
                if conn.state == State::Request {
                    conn.ended(cx, State::Closed, Some(what));
                    self.settle(cx, id);
                } else {
                    conn.soft_error = Some(what);
                }
                true
            }
            Some(Socket::HalfOpen(half_open)) => {
                let sent = quote.seq.is_some_and(|seq| half_open.sent(seq));
                let fatal = !matches!(
                    error.kind,
                    IcmpErrorKind::PacketTooBig { .. } | IcmpErrorKind::Other
                );
                if sent && fatal {
                    self.forget_half_open(cx, id);
                }
                sent
            }
            _ => false,
        }
    }

    /// The connection that a quote is of. The quote has no scope; an interface gives it one.
    fn quoted(&self, cx: &Context<'_>, quote: &Quote) -> Option<SocketId> {
        let flow = &quote.flow;
        let mut interfaces = cx.inet.interfaces().map(|(id, _)| id);
        let on = |id: InterfaceId| {
            let flow = Flow {
                local: Endpoint::on(id, flow.local.ip, flow.local.port),
                remote: Endpoint::on(id, flow.remote.ip, flow.remote.port),
            };
            let tuple = Tuple {
                flow,
                encap: quote.encap,
            };
            self.flows.connected(&tuple, id)
        };
        on(InterfaceId::LOOPBACK).or_else(|| interfaces.find_map(on))
    }
}
