//! What sockets that send and receive datagrams have in common: UDP, ping and raw sockets.
//!
//! [`DatagramSocket`] holds options, the receive queue, pending errors and the way out. Its owner
//! adds what its protocol asks for: ports and headers, who receives what.

mod address;
mod queue;
mod socket;
mod waiters;

pub use crate::error_queue::{ErrorReport, Origin};
pub use address::{check_bindable, interfaces_to, is_broadcast};
pub use queue::ReceiveQueue;
pub use socket::DatagramSocket;
pub use waiters::Waiters;

use crate::demux::Endpoint;
use crate::{Instant, InterfaceId, IpInfo, Packet, Payload, SendInfo};
use bytes::Bytes;
use sockeye_link::HEADROOM;
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};

/// What is said of one datagram that is sent: the ancillary data of sendmsg(2). Everything left
/// out is as the socket's options say.
#[derive(Clone, Copy, Debug, Default)]
pub struct SendOptions {
    /// TTL or hop limit.
    pub ttl: Option<u8>,
    /// TOS or traffic class.
    pub tos: Option<u8>,
    /// The source address: one of the node's.
    pub source: Option<IpAddr>,
    /// The interface to leave by.
    pub interface: Option<InterfaceId>,
    /// UDP_SEGMENT: bytes of each datagram that the data is cut into.
    pub segment: Option<u16>,
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
}

impl Datagram {
    /// What lies in the window of `packet`, from and to the given ports.
    #[must_use]
    pub fn new(ip: &IpInfo, ports: (u16, u16), packet: Packet) -> Self {
        let len = packet.len();
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

/// A way for one datagram.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What the internet layer is told.
    pub info: SendInfo,
    /// Bytes, transport header included, that one packet carries.
    pub room: usize,
    /// Whether more than `room` may be fragmented.
    pub may_fragment: bool,
}

impl Plan {
    /// Packets that a datagram of `len` bytes, transport header included, is sent as; at most
    /// [`ROOM_MAX`].
    #[must_use]
    pub fn packets(&self, len: usize) -> usize {
        len.div_ceil(self.room.max(1)).clamp(1, ROOM_MAX)
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

/// Packets that one send waits to have room for; of more fragments than that not all are sure of it.
pub const ROOM_MAX: usize = 128;
