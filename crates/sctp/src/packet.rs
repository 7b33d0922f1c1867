//! How chunks become a packet and leave: the common header, CRC32c over all of it, UDP around it
//! where the peer wants that (RFC 6951).

use bytes::Bytes;
use sockeye_core::demux::Endpoint;
use sockeye_core::socket::SocketCommon;
use sockeye_core::{Context, Counter, Error, Packet, Payload, Route, SendInfo, Tags, encap};
use sockeye_link::UdpPorts;
use sockeye_wire::IpProtocol;
use sockeye_wire::sctp::{HEADER_LEN, Header, set_checksum, set_checksum_with};
use std::net::IpAddr;

/// Bytes kept free before the common header for the headers below it.
const HEADROOM: usize = 128;

/// User data of so many bytes is not copied into the packet, but follows it as a slice.
pub(crate) const APART_MIN: usize = 512;
/// Room for chunks before user data that lies apart.
pub(crate) const APART_ROOM: usize = 128;
/// What pads a chunk.
const PADDING: &[u8] = &[0; 3];

/// A packet under construction: chunks are appended to [`chunks`](Self::chunks).
#[derive(Debug)]
pub(crate) struct Draft {
    buffer: Vec<u8>,
    /// The user data of the last chunk, as long as nothing follows it; its padding is to come.
    apart: Bytes,
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
        Self {
            buffer,
            apart: Bytes::new(),
        }
    }

    /// Where chunks are appended.
    pub(crate) fn chunks(&mut self) -> &mut Vec<u8> {
        self.join();
        &mut self.buffer
    }

    /// Appends a chunk with user data.
    pub(crate) fn push_data(&mut self, header: &[u8], data: &Bytes) {
        self.chunks().extend_from_slice(header);
        self.apart = data.clone();
        if data.len() < APART_MIN {
            self.join();
        }
    }

    /// Puts what lies apart to the rest.
    fn join(&mut self) {
        let apart = core::mem::take(&mut self.apart);
        self.buffer.extend_from_slice(&apart);
        self.buffer.extend_from_slice(padding(&apart));
    }

    /// Bytes so far, the common header among them.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len() - HEADROOM + self.apart.len().next_multiple_of(4)
    }

    /// Whether there is no chunk in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() <= HEADER_LEN
    }

    /// Puts bytes in at `at`, counted from the common header.
    pub(crate) fn insert(&mut self, at: usize, bytes: &[u8]) {
        self.join();
        let at = HEADROOM + at;
        self.buffer.splice(at..at, bytes.iter().copied());
    }

    /// Its bytes.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.join();
        &mut self.buffer[HEADROOM..]
    }

    /// The packet, summed up unless it is to have no checksum.
    pub(crate) fn finish(self, no_checksum: bool) -> Packet {
        let Self { mut buffer, apart } = self;
        let padding = padding(&apart);
        let head = &mut buffer[HEADROOM..];
        // RFC 9260 §6.8: computed here, whatever the device does for TCP and UDP: few know CRC32c.
        match (no_checksum, apart.is_empty()) {
            (true, _) => {}
            (false, true) => set_checksum(head),
            (false, false) => set_checksum_with(head, &[&apart, padding]),
        }
        let mut packet = Packet::from_vec_at(buffer, HEADROOM);
        if !apart.is_empty() {
            let mut slices = Payload::from_buf([apart]);
            if !padding.is_empty() {
                slices.push(Bytes::from_static(padding));
            }
            packet.append(slices);
        }
        packet
    }
}

/// What pads a chunk with `data` at its end.
fn padding(data: &[u8]) -> &'static [u8] {
    &PADDING[..data.len().next_multiple_of(4) - data.len()]
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
    draft: Draft,
) -> Result<(), Error> {
    let mut packet = draft.finish(carrier.no_checksum);
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
