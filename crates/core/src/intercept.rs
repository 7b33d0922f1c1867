//! What the transports' interception has in common: flows to addresses that are not the node's,
//! handed to its owner to accept or refuse. Gateways, VPN clients and NATs are built on it.

use crate::{Context, Error, InterfaceId, Packet, RouteQuery, SendInfo, Tags};
use sockeye_wire::{IpProtocol, icmpv4, icmpv6, ipv4, ipv6};
use std::net::IpAddr;

/// Which flows are intercepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Those to addresses that are not the node's.
    Foreign,
    /// Also those to the node's own addresses that no socket waits for.
    All,
}

/// A flow that waits for an answer: its transport's number for it, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IncomingId(pub u64);

/// How a flow is refused by an ICMP or ICMPv6 "destination unreachable".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unreachable {
    /// There is no way to the network.
    Network,
    /// The host does not answer.
    Host,
    /// Nobody listens on the port.
    Port,
    /// An administrator does not allow it.
    Prohibited,
}

impl Unreachable {
    const fn v4(self) -> icmpv4::Header {
        use icmpv4::UnreachableCode as Code;
        icmpv4::Header::DestinationUnreachable {
            code: match self {
                Self::Network => Code::NET,
                Self::Host => Code::HOST,
                Self::Port => Code::PORT,
                Self::Prohibited => Code::ADMIN_PROHIBITED,
            },
            length: 0,
            next_hop_mtu: 0,
        }
    }

    const fn v6(self) -> icmpv6::Header {
        use icmpv6::UnreachableCode as Code;
        icmpv6::Header::DestinationUnreachable {
            code: match self {
                Self::Network => Code::NO_ROUTE,
                Self::Host => Code::ADDRESS,
                Self::Port => Code::PORT,
                Self::Prohibited => Code::ADMIN_PROHIBITED,
            },
            length: 0,
        }
    }
}

/// A packet that is refused, as far as an ICMP error quotes it.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// Where it came in.
    pub interface: InterfaceId,
    /// Who sent it, and is told.
    pub source: IpAddr,
    /// Whom it was sent to.
    pub destination: IpAddr,
    /// The protocol of `quote`.
    pub protocol: IpProtocol,
    /// Its transport header and what followed, as much as there is; more than
    /// [`QUOTE_MAX`] is cut off.
    pub quote: &'a [u8],
}

/// Bytes of transport header and payload that an error quotes: with both IP headers a message of
/// 576 bytes at most (RFC 1812 §4.3.2.3).
pub const QUOTE_MAX: usize = 512;

/// Tells the sender of an intercepted packet that it can't be delivered. This is an answer that
/// the owner of the node gave for one flow, so the rate limit of errors does not apply.
///
/// # Errors
/// Those of routing and sending.
pub fn send_unreachable(
    cx: &mut Context<'_>,
    why: Unreachable,
    refused: &Refused<'_>,
) -> Result<(), Error> {
    let Refused {
        interface,
        source,
        destination,
        protocol,
        quote,
    } = *refused;
    let length = u16::try_from(quote.len()).map_err(|_| Error::MessageSize)?;
    let quote = &quote[..quote.len().min(QUOTE_MAX)];
    let scoped = crate::demux::is_scoped(source);
    let route = cx.route(&RouteQuery {
        destination: source,
        source: None,
        interface: scoped.then_some(interface),
        foreign_source: false,
    })?;
    let hop_limit = cx.config.ttl;
    let (protocol, message) = match (route.source, source, destination) {
        (_, IpAddr::V4(from), IpAddr::V4(to)) => {
            let quoted = ipv4::Header::new(from, to, protocol, length);
            let behind = icmpv4::HEADER_LEN + quoted.header_len();
            let mut message = vec![0; behind];
            why.v4().emit(&mut message);
            quoted.emit(&mut message[icmpv4::HEADER_LEN..]);
            message.extend_from_slice(quote);
            icmpv4::fill_checksum(&mut message);
            (IpProtocol::ICMP, message)
        }
        (IpAddr::V6(own), IpAddr::V6(from), IpAddr::V6(to)) => {
            let quoted = ipv6::Header::new(from, to, protocol, length);
            let mut message = vec![0; icmpv6::HEADER_LEN + ipv6::HEADER_LEN];
            why.v6().emit(&mut message);
            quoted.emit(&mut message[icmpv6::HEADER_LEN..]);
            message.extend_from_slice(quote);
            icmpv6::fill_checksum(own, from, &mut message);
            (IpProtocol::ICMPV6, message)
        }
        _ => return Err(Error::AddressFamily),
    };
    cx.counters.add(crate::Counter::IcmpOutMsgs);
    let info = SendInfo {
        route,
        destination: source,
        protocol,
        hop_limit,
        traffic_class: 0,
        flow_label: 0,
        dont_fragment: false,
        tags: Tags::default(),
    };
    cx.send(&info, Packet::from_slice(&message))
}
