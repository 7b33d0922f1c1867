//! How a packet leaves: header and options into headroom, the checksum over what it covers, the way
//! out.

use crate::flows::Tuple;
use sockeye_core::socket::SocketCommon;
use sockeye_core::{
    Context, Counter, Error, InterfaceId, Packet, Payload, Route, RouteQuery, SendInfo, Tags, encap,
};
use sockeye_wire::dccp::{HEADER_MAX, Header, Kind, Seq, coverage, set_checksum};
use sockeye_wire::{Ecn, IpProtocol};
use std::net::IpAddr;

/// What the IP header of a connection's packets says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carrier {
    /// `None` for the way's own.
    hop_limit: Option<u8>,
    traffic_class: u8,
    flow_label: u32,
    dont_fragment: bool,
    tags: Tags,
}

impl Carrier {
    /// As `common` sets it for packets to `remote`.
    pub(crate) fn new(common: &SocketCommon, remote: IpAddr, flow_label: u32) -> Self {
        Self {
            hop_limit: common.hop_limit(remote),
            traffic_class: common.class(remote),
            flow_label,
            dont_fragment: common.mtu_policy(remote).sets_dont_fragment(),
            tags: common.tags,
        }
    }

    /// For packets that belong to no socket.
    pub(crate) fn of_nobody() -> Self {
        Self {
            hop_limit: None,
            traffic_class: 0,
            flow_label: 0,
            dont_fragment: false,
            tags: Tags::default(),
        }
    }

    /// RFC 4340 §14.2: packets of the handshake and Resets are fragmentable.
    pub(crate) fn fragmentable(self) -> Self {
        Self {
            dont_fragment: false,
            ..self
        }
    }

    /// RFC 4340 §12: with ECT(0). The nonce of §12.2 is not used: RFC 8311 §5 has taken it away.
    pub(crate) fn ecn_capable(self) -> Self {
        Self {
            traffic_class: self.traffic_class & !3 | Ecn::Ect0 as u8,
            ..self
        }
    }
}

/// A packet to be made. Ports come from its flow, the checksum is made here.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) kind: Kind,
    pub(crate) seq: Seq,
    pub(crate) extended: bool,
    pub(crate) ccval: u8,
    /// The CsCov that is wanted.
    pub(crate) coverage: u8,
    /// What is beyond the longest header is left out; the options are written so that they fit.
    pub(crate) options: &'a [u8],
    pub(crate) data: Payload,
}

impl Outgoing<'_> {
    /// One without data, options and anything special.
    pub(crate) fn plain(kind: Kind, seq: Seq) -> Self {
        Self {
            kind,
            seq,
            extended: true,
            ccval: 0,
            coverage: 0,
            options: &[],
            data: Payload::new(),
        }
    }
}

/// Sends one packet.
///
/// # Errors
/// As [`Context::send`].
pub(crate) fn send(
    cx: &mut Context<'_>,
    route: &Route,
    tuple: &Tuple,
    carrier: &Carrier,
    outgoing: Outgoing<'_>,
) -> Result<(), Error> {
    let data_len: usize = outgoing.data.iter().map(|slice| slice.len()).sum();
    let mut header = Header {
        source_port: tuple.flow.local.port,
        destination_port: tuple.flow.remote.port,
        options_len: 0,
        ccval: outgoing.ccval,
        coverage: coverage::fitting(outgoing.coverage, data_len),
        checksum: 0,
        extended: outgoing.extended,
        seq: outgoing.seq,
        kind: outgoing.kind,
    };
    let fixed = header.fixed_len();
    let options = &outgoing.options[..outgoing.options.len().min(HEADER_MAX - fixed)];
    // RFC 4340 §5.8-1, §5.8-2 and §5.8.1-1: padded to whole words.
    let padded = options.len().next_multiple_of(4);
    header.options_len = u16::try_from(padded).map_err(|_| Error::MessageSize)?;
    let len = header.header_len() + data_len;
    let wire_len = u32::try_from(len).map_err(|_| Error::MessageSize)?;
    let mut packet = Packet::with_payload(outgoing.data);
    let window = packet.push(header.header_len());
    header.emit(window);
    window[fixed..].fill(0);
    window[fixed..fixed + options.len()].copy_from_slice(options);
    let remote = tuple.flow.remote.ip;
    let covered = coverage::covered(header.coverage, header.header_len(), len)
        .map_err(|_| Error::MessageSize)?;
    let mut protocol = IpProtocol::DCCP;
    if let Some(ports) = tuple.encap {
        // RFC 6773 §3.3: the sum of UDP does its work, and that of DCCP stays zero.
        encap::wrap(&mut packet, ports, route.source, remote)?;
        protocol = IpProtocol::UDP;
    } else {
        // Never left to the link: what it would have to cover is not always all, and Linux as a neighbour
        // on the same machine takes no DCCP packet whose sum is still to be made.
        let sum = coverage::sum(route.source, remote, wire_len, covered, packet.chunks());
        set_checksum(packet.head_mut(), sum.finish());
    }
    packet.meta.flow_hash = carrier.flow_label;
    cx.counters.add(Counter::DccpOutSegs);
    if let Kind::Reset { .. } = header.kind {
        cx.counters.add(Counter::DccpOutRsts);
    }
    let info = SendInfo {
        route: *route,
        destination: remote,
        protocol,
        hop_limit: carrier.hop_limit.unwrap_or_else(|| cx.hop_limit(route)),
        traffic_class: carrier.traffic_class,
        flow_label: carrier.flow_label,
        dont_fragment: carrier.dont_fragment,
        tags: carrier.tags,
    };
    cx.send(&info, packet)
}

/// Sends a packet that belongs to no connection. When it can't be sent it is lost, as it could be on
/// the way.
pub(crate) fn send_alone(
    cx: &mut Context<'_>,
    tuple: &Tuple,
    interface: InterfaceId,
    outgoing: Outgoing<'_>,
) {
    let route = cx.route(&RouteQuery {
        destination: tuple.flow.remote.ip,
        source: Some(tuple.flow.local.ip),
        interface: (tuple.flow.remote.scope != 0).then_some(interface),
        foreign_source: true,
    });
    if let Ok(route) = route {
        let _ = send(cx, &route, tuple, &Carrier::of_nobody(), outgoing);
    }
}
