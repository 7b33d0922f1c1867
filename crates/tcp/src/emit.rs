//! How a segment becomes a packet: header into headroom, checksum left to the device, the way out.

use crate::auth::Signer;
use sockeye_core::demux::Flow;
use sockeye_core::ip::extras::Extras;
use sockeye_core::socket::SocketCommon;
use sockeye_core::{
    Checksum, Context, Counter, Error, Gso, GsoKind, Packet, Payload, Route, SendInfo, Tags,
};
use sockeye_wire::tcp::{CHECKSUM_OFFSET, Flags, Header};
use sockeye_wire::{IpProtocol, checksum};
use std::net::IpAddr;

/// What the IP header of a connection's packets says, and what signs its segments.
#[derive(Clone, Debug)]
pub(crate) struct Carrier {
    /// `None` for the way's own.
    pub(crate) hop_limit: Option<u8>,
    pub(crate) traffic_class: u8,
    pub(crate) flow_label: u32,
    pub(crate) dont_fragment: bool,
    tags: Tags,
    /// IP options and extension headers, which few have.
    extras: Option<Box<Extras>>,
    signer: Option<Signer>,
}

impl Carrier {
    /// As `common` sets it for packets to `remote`: RFC 9293 §3.9.1.9, §3.9.2 (MUST-48, SHLD-22,
    /// MUST-49), asked for each segment, so that it may change meanwhile (SHLD-21).
    pub(crate) fn new(common: &SocketCommon, remote: IpAddr, flow_label: u32) -> Self {
        Self {
            hop_limit: common.hop_limit(remote),
            traffic_class: common.class(remote),
            flow_label,
            dont_fragment: common.mtu_policy(remote).sets_dont_fragment(),
            tags: common.tags,
            extras: common.internet.extras().cloned().map(Box::new),
            signer: None,
        }
    }

    /// The same without a listener's IPv4 options, which Linux keeps from its connections.
    pub(crate) fn of_connection(mut self) -> Self {
        if let Some(extras) = &mut self.extras {
            extras.options = None;
        }
        self
    }

    /// The same, with what signs.
    pub(crate) fn signed(self, signer: Option<Signer>) -> Self {
        Self { signer, ..self }
    }

    /// For segments that belong to no socket.
    pub(crate) fn of_nobody() -> Self {
        Self {
            hop_limit: None,
            traffic_class: 0,
            flow_label: 0,
            dont_fragment: true,
            tags: Tags::default(),
            extras: None,
            signer: None,
        }
    }
}

/// Sends one segment, or one super-segment whose wire segments carry `size` bytes of text.
///
/// # Errors
/// As [`Context::send`].
pub(crate) fn send(
    cx: &mut Context<'_>,
    route: &Route,
    flow: &Flow,
    carrier: &Carrier,
    header: &Header,
    text: Payload,
    size: u32,
) -> Result<(), Error> {
    let text_len: usize = text.iter().map(|slice| slice.len()).sum();
    let mut header = *header;
    header.source_port = flow.local.port;
    header.destination_port = flow.remote.port;
    if let Some(signer) = &carrier.signer {
        signer.sign(&mut header, route.source, flow.remote.ip, &text);
    }
    let mut packet = Packet::with_payload(text);
    let len = header.header_len() + text_len;
    let wire_len = u32::try_from(len).map_err(|_| Error::MessageSize)?;
    // RFC 9293 §3.1 (MUST-2): the checksum covers the pseudo-header too; its sum stands in the field until
    // the device, or the last stage before it, adds the rest.
    header.checksum =
        checksum::pseudo_header(route.source, flow.remote.ip, IpProtocol::TCP, wire_len).folded();
    header.emit(packet.push(header.header_len()));
    packet.meta.checksum = Checksum::Partial {
        start: 0,
        offset: CHECKSUM_OFFSET as u16,
    };
    let mut segments = 1;
    if text_len > size as usize {
        segments = text_len.div_ceil(size.max(1) as usize);
        packet.meta.gso = Some(Gso {
            kind: gso_kind(flow.remote.ip),
            size: u16::try_from(size).map_err(|_| Error::MessageSize)?,
        });
    }
    packet.meta.flow_hash = carrier.flow_label;
    cx.counters.add_n(Counter::TcpOutSegs, segments as u64);
    if header.flags.contains(Flags::RST) {
        cx.counters.add(Counter::TcpOutRsts);
    }
    let info = SendInfo {
        route: *route,
        destination: flow.remote.ip,
        protocol: IpProtocol::TCP,
        hop_limit: carrier.hop_limit.unwrap_or_else(|| cx.hop_limit(route)),
        traffic_class: carrier.traffic_class,
        flow_label: carrier.flow_label,
        dont_fragment: carrier.dont_fragment,
        tags: carrier.tags,
    };
    match &carrier.extras {
        None => cx.send(&info, packet),
        Some(extras) => cx.send_with_extras(&info, extras, packet, true),
    }
}

/// How a super-segment to `remote` is cut.
pub(crate) fn gso_kind(remote: IpAddr) -> GsoKind {
    match remote {
        IpAddr::V4(_) => GsoKind::TcpV4,
        IpAddr::V6(_) => GsoKind::TcpV6,
    }
}
