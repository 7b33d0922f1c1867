//! What sockets that send and receive datagrams have in common: UDP, ping and raw sockets.
//!
//! [`DatagramSocket`] holds options, the receive queue, pending errors and the way out. Its owner
//! adds what its protocol asks for: ports and headers, who receives what.

mod address;
mod control;
mod errors;
mod plan;
mod queue;
mod settings;
mod socket;
mod waiters;

pub use crate::error_queue::{ErrorReport, Origin};
pub use address::{check_bindable, interfaces_to, is_broadcast};
pub use control::Control;
pub use plan::{Plan, ROOM_MAX};
pub use queue::ReceiveQueue;
pub use settings::Settings;
pub use socket::{DatagramSocket, path_mtu};
pub use waiters::Waiters;

use crate::demux::Endpoint;
use crate::ip::extras::Extras;
use crate::{Instant, InterfaceId, IpInfo, Packet, Payload};
use bytes::Bytes;
use sockeye_link::HEADROOM;
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};

/// What is said of one datagram that is sent: the ancillary data of sendmsg(2) and its flags.
/// Everything left out is as the socket's options say.
#[derive(Clone, Debug, Default)]
pub struct SendOptions {
    /// TTL of an IPv4 packet.
    pub ttl: Option<u8>,
    /// TOS of an IPv4 packet.
    pub tos: Option<u8>,
    /// Hop limit of an IPv6 packet.
    pub hop_limit: Option<u8>,
    /// Traffic class of an IPv6 packet.
    pub traffic_class: Option<u8>,
    /// Flow label of an IPv6 packet.
    pub flow_label: Option<u32>,
    /// What the address says of the flow label, which counts with IPV6_FLOWINFO_SEND.
    pub address_flow_label: Option<u32>,
    /// IPV6_DONTFRAG: whether an IPv6 packet that does not fit the path is refused.
    pub dont_fragment: Option<bool>,
    /// The source address: one of the node's.
    pub source: Option<IpAddr>,
    /// The interface to leave by.
    pub interface: Option<InterfaceId>,
    /// UDP_SEGMENT: bytes of each datagram that the data is cut into.
    pub segment: Option<u16>,
    /// IP options and extension headers.
    pub extras: Extras,
    /// SO_MARK.
    pub mark: Option<u32>,
    /// SO_PRIORITY.
    pub priority: Option<i32>,
    /// DCCP_SCM_PRIORITY: which of the messages that wait leaves first.
    pub queue_priority: Option<u32>,
    /// MSG_OOB, which is not for datagrams.
    pub out_of_band: bool,
    /// MSG_MORE: more of the datagram follows.
    pub more: bool,
    /// MSG_DONTROUTE: only neighbours are sent to.
    pub dont_route: bool,
}

impl SendOptions {
    /// Everything is as the socket's options say.
    pub const NOTHING_SAID: Self = Self {
        ttl: None,
        tos: None,
        hop_limit: None,
        traffic_class: None,
        flow_label: None,
        address_flow_label: None,
        dont_fragment: None,
        source: None,
        interface: None,
        segment: None,
        extras: Extras::NONE,
        mark: None,
        priority: None,
        queue_priority: None,
        out_of_band: false,
        more: false,
        dont_route: false,
    };
}

/// A datagram that was received, without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the whole datagram.
    pub len: usize,
    /// Bytes that fitted the buffer.
    pub copied: usize,
    /// Who sent it.
    pub from: SocketAddr,
    /// Whom it was sent to: our address, or the group's.
    pub to: SocketAddr,
    /// Where it came in.
    pub interface: InterfaceId,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TOS or traffic class.
    pub tos: u8,
    /// With UDP_GRO: the data is several datagrams of so many bytes, the last perhaps shorter.
    pub segment: Option<u16>,
    /// When it arrived.
    pub at: Instant,
}

/// A datagram in a receive queue.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Its bytes.
    pub payload: Payload,
    /// Bytes of memory that `payload` keeps from being freed.
    pub pinned: usize,
    /// Who sent it.
    pub from: Endpoint,
    /// Whom it was sent to.
    pub to: Endpoint,
    /// Where it came in.
    pub interface: InterfaceId,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TOS or traffic class.
    pub tos: u8,
    /// See [`Received::segment`].
    pub segment: Option<u16>,
    /// When a socket got it.
    pub at: Instant,
    /// Flow label, 0 for IPv4.
    pub flow_label: u32,
    /// The IP header with what follows it, where it has options or extension headers.
    pub headers: Bytes,
    /// Bytes of the largest fragment that it came in, IP header included; 0 when it came whole.
    pub fragment_max: u32,
    /// Datagrams that the socket had dropped by then.
    pub dropped: u32,
}

impl Datagram {
    /// What lies in the window of `packet`, from and to the given ports.
    #[must_use]
    pub fn new(ip: &IpInfo, ports: (u16, u16), packet: Packet) -> Self {
        let len = packet.len();
        let fragment_max = packet.meta.fragment_max.into();
        let pinned = packet.pinned();
        // A small datagram does not keep a large buffer: what is counted is what is pinned.
        let (payload, pinned) = if pinned / 4 > len {
            (Payload::from_iter([Bytes::from(packet.to_vec())]), len)
        } else {
            (packet.into_payload(), pinned)
        };
        Self {
            payload,
            pinned,
            from: Endpoint::on(ip.interface, ip.source, ports.0),
            to: Endpoint::on(ip.interface, ip.destination, ports.1),
            interface: ip.interface,
            ttl: ip.hop_limit,
            tos: ip.traffic_class,
            segment: None,
            at: Instant::ZERO,
            flow_label: ip.flow_label,
            headers: Bytes::new(),
            fragment_max,
            dropped: 0,
        }
    }

    /// With the IP header that [`headers_of`](Self::headers_of) has found.
    #[must_use]
    pub fn with_headers(mut self, headers: Bytes) -> Self {
        self.pinned += headers.len();
        self.headers = headers;
        self
    }

    /// The IP header, which ends `behind` bytes before the window of `packet`, where there is more to
    /// it than a bare one.
    #[must_use]
    pub fn headers_of(ip: &IpInfo, packet: &Packet, behind: usize) -> Bytes {
        let bare = match ip.source {
            IpAddr::V4(_) => sockeye_wire::ipv4::HEADER_LEN,
            IpAddr::V6(_) => sockeye_wire::ipv6::HEADER_LEN,
        };
        let len = usize::from(ip.header_len);
        match packet.before(len + behind) {
            Some(before) if len > bare => Bytes::copy_from_slice(&before[..len]),
            _ => Bytes::new(),
        }
    }

    /// Bytes of payload.
    #[must_use]
    pub fn len(&self) -> usize {
        self.payload.iter().map(Bytes::len).sum()
    }

    /// Whether there is no payload.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Copies what a program sends into a fresh packet, with room for all headers before it.
#[must_use]
pub fn gather(data: &[IoSlice<'_>]) -> Packet {
    let len: usize = data.iter().map(|slice| slice.len()).sum();
    let mut buffer = Vec::with_capacity(HEADROOM + len);
    buffer.resize(HEADROOM, 0);
    for slice in data {
        buffer.extend_from_slice(slice);
    }
    Packet::from_vec_at(buffer, HEADROOM)
}
