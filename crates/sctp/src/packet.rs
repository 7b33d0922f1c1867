//! How chunks become a packet and leave: the common header, CRC32c over all of it, UDP around it
//! where the peer wants that (RFC 6951).

use sockeye_core::demux::Endpoint;
use sockeye_core::socket::SocketCommon;
use sockeye_core::{Context, Counter, Error, Packet, Route, SendInfo, Tags, encap};
use sockeye_link::UdpPorts;
use sockeye_wire::IpProtocol;
use sockeye_wire::sctp::{HEADER_LEN, Header, set_checksum};
use std::net::IpAddr;

/// Bytes kept free before the common header for the headers below it.
const HEADROOM: usize = 128;

/// A packet under construction: chunks are appended to [`chunks`](Self::chunks).
#[derive(Debug)]
pub(crate) struct Draft {
    buffer: Vec<u8>,
}

impl Draft {
    /// A packet from `local_port` to `peer_port` with a verification tag, and room for `len` bytes.
    pub(crate) fn new(local_port: u16, peer_port: u16, tag: u32, len: usize) -> Self {
        let mut buffer = Vec::with_capacity(HEADROOM + len.max(HEADER_LEN));
        buffer.resize(HEADROOM, 0);
        let header = Header {
            source_port: local_port,
            destination_port: peer_port,
            verification_tag: tag,
            checksum: 0,
        };
        header.begin(&mut buffer);
        Self { buffer }
    }

    /// Where chunks are appended.
    pub(crate) fn chunks(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Bytes so far, the common header among them.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len() - HEADROOM
    }

    /// Whether there is no chunk in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() <= HEADER_LEN
    }

    /// Puts bytes in at `at`, counted from the common header.
    pub(crate) fn insert(&mut self, at: usize, bytes: &[u8]) {
        let at = HEADROOM + at;
        self.buffer.splice(at..at, bytes.iter().copied());
    }

    /// Its bytes.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[HEADROOM..]
    }
}

/// What the IP header of a packet says, and the UDP header before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carrier {
    pub(crate) hop_limit: Option<u8>,
    pub(crate) traffic_class: u8,
    pub(crate) flow_label: u32,
    pub(crate) tags: Tags,
    pub(crate) encap: Option<UdpPorts>,
    /// The checksum stays zero (RFC 9653).
    pub(crate) no_checksum: bool,
    /// What is larger is fragmented, where that is less than the route's MTU.
    pub(crate) mtu: Option<u32>,
}

impl Carrier {
    /// As `common` sets it for packets to `remote`.
    pub(crate) fn new(common: &SocketCommon, remote: IpAddr) -> Self {
        Self {
            hop_limit: common.hop_limit(remote),
            traffic_class: common.class(remote) & !ECN,
            flow_label: 0,
            tags: common.tags,
            encap: None,
            no_checksum: false,
            mtu: None,
        }
    }

    /// For packets that belong to no association.
    pub(crate) fn of_nobody(encap: Option<UdpPorts>) -> Self {
        Self {
            hop_limit: None,
            traffic_class: 0,
            flow_label: 0,
            tags: Tags::default(),
            encap,
            no_checksum: false,
            mtu: None,
        }
    }
}

/// The ECN bits of a traffic class.
pub(crate) const ECN: u8 = 0b11;
/// ECT(0).
pub(crate) const ECT0: u8 = 0b10;

/// Sends a packet by `route`. RFC 9260 §6.9: what is larger than the path takes, since the path has
/// become narrower, may be fragmented by IP; nothing else is.
///
/// # Errors
/// As [`Context::send`].
/// RFC 9260 §6.8-1, §6.8-2.
pub(crate) fn send(
    cx: &mut Context<'_>,
    route: &Route,
    remote: Endpoint,
    carrier: &Carrier,
    mut draft: Draft,
) -> Result<(), Error> {
    // RFC 9260 §6.8: computed here, whatever the device does for TCP and UDP: few know CRC32c.
    if !carrier.no_checksum {
        set_checksum(draft.bytes_mut());
    }
    let mut packet = Packet::from_vec_at(draft.buffer, HEADROOM);
    let mut protocol = IpProtocol::SCTP;
    if let Some(ports) = carrier.encap {
        // RFC 6951 §5.3.
        encap::wrap(&mut packet, ports, route.source, remote.ip)?;
        protocol = IpProtocol::UDP;
    }
    let ip = if remote.ip.is_ipv4() { 20 } else { 40 };
    let mut route = *route;
    route.mtu = carrier.mtu.map_or(route.mtu, |mtu| mtu.min(route.mtu));
    let fits = packet.len() + ip <= route.mtu as usize;
    cx.counters.add(Counter::SctpOutSCTPPacks);
    let info = SendInfo {
        route,
        destination: remote.ip,
        protocol,
        hop_limit: carrier.hop_limit.unwrap_or_else(|| cx.hop_limit(&route)),
        traffic_class: carrier.traffic_class,
        flow_label: carrier.flow_label,
        dont_fragment: fits,
        tags: carrier.tags,
    };
    cx.send(&info, packet)
}
