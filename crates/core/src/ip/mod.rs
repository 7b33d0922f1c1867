//! IPv4 and IPv6: headers on and off, what is for us, fragments, routes and path MTUs.
//!
//! - [`receive`] takes a packet without its link header and gives it back at its transport header,
//!   with what is known of it, when it is for a transport.
//! - `send` is [`Context::send`].
//! - `forward` sends on what is for others, where that is wanted.

pub mod alert;
mod destination;
pub mod extras;
mod forward;
mod fragment;
pub mod pmtu;
pub mod policy;
pub(crate) mod reassembly;
pub mod redirect;
pub mod route;
mod send;
pub(crate) mod source;
mod v4;
mod v6;

pub(crate) use fragment::Identifications;
pub(crate) use send::{send, send_with_extras, send_with_header};

use crate::{Context, Counter, InterfaceId, IpInfo, Packet};
use sockeye_wire::Ecn;

/// How a packet came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The interface it counts as received on.
    pub interface: InterfaceId,
    /// Its link-layer destination was a group or broadcast.
    pub link_group: bool,
    /// This node sent it and hears itself: to one of its own addresses, or to a group it is in.
    pub own: bool,
}

/// Takes an IP packet: drops and counts it, keeps it as a fragment, or hands it on at its
/// transport header.
pub fn receive(
    cx: &mut Context<'_>,
    arrival: Arrival,
    mut packet: Packet,
) -> Option<(IpInfo, Packet)> {
    cx.counters.add(Counter::IpInReceives);
    if !packet.pull_up(1) {
        cx.drop_packet(Counter::IpInTruncatedPkts);
        return None;
    }
    let received = match packet.head()[0] >> 4 {
        4 => v4::receive(cx, arrival, packet),
        6 => v6::receive(cx, arrival, packet),
        _ => Err(Counter::IpInHdrErrors),
    };
    match received {
        Ok(whole) => whole,
        Err(why) => {
            cx.drop_packet(why);
            None
        }
    }
}

/// What a receiver says: a packet for a transport, nothing yet, or why it was dropped.
type Received = Result<Option<(IpInfo, Packet)>, Counter>;

/// Whom a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    /// One of our addresses.
    Host,
    /// A broadcast address of the link.
    Broadcast,
    /// A group that we are in.
    Group,
    /// Another host.
    Foreign,
}

/// Counts a packet by its ECN field; a super-segment as about as many as it is made of.
fn count_ecn(cx: &mut Context<'_>, ecn: Ecn, packet: &Packet) {
    let counter = match ecn {
        Ecn::NotEct => Counter::IpExtInNoECTPkts,
        Ecn::Ect1 => Counter::IpExtInECT1Pkts,
        Ecn::Ect0 => Counter::IpExtInECT0Pkts,
        Ecn::Ce => Counter::IpExtInCEPkts,
    };
    let packets = match packet.meta.gso {
        Some(gso) => packet.len().div_ceil(usize::from(gso.size).max(1)),
        None => 1,
    };
    cx.counters.add_n(counter, packets as u64);
}

/// The counter for a header that could not be read.
fn malformed(error: sockeye_wire::ParseError) -> Counter {
    match error {
        sockeye_wire::ParseError::Truncated => Counter::IpInTruncatedPkts,
        sockeye_wire::ParseError::TooMany => Counter::IpInHeaderLimits,
        _ => Counter::IpInHdrErrors,
    }
}
