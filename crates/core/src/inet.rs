//! The internet layer: interfaces, addresses, routes, neighbours, and the way out.

use crate::{Config, Context, Error, Packet, Rng};
use sockeye_link::GsoKinds;
use sockeye_wire::IpProtocol;
use std::net::IpAddr;

/// An interface of a node: 1 is the loopback, links count from 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceId(pub u32);

impl InterfaceId {
    /// The loopback.
    pub const LOOPBACK: Self = Self(1);
}

/// What a route is asked for.
#[derive(Clone, Copy, Debug)]
pub struct RouteQuery {
    /// Where to.
    pub destination: IpAddr,
    /// From which address, where it is fixed.
    pub source: Option<IpAddr>,
    /// By which interface, where it is fixed (SO_BINDTODEVICE, a scope id).
    pub interface: Option<InterfaceId>,
    /// `source` need not be one of the node's addresses (intercepted flows).
    pub foreign_source: bool,
}

/// A way to a destination; kept by a flow until [`Inet::route_version`] changes.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Where it leaves.
    pub interface: InterfaceId,
    /// The source address chosen (RFC 6724, RFC 1122 §3.3.4.3), or the one asked for.
    pub source: IpAddr,
    /// The neighbour it is handed to.
    pub next_hop: IpAddr,
    /// What the path carries: the interface's MTU or what PMTU discovery learnt, bytes of IP packet.
    pub mtu: u32,
    /// What the interface does by itself.
    pub offload: Offload,
    /// The destination is this node itself.
    pub local: bool,
    /// The destination is a broadcast address of the interface.
    pub broadcast: bool,
    /// [`Inet::route_version`] when it was made.
    pub version: u32,
}

/// What is said of a packet that goes out.
#[derive(Clone, Copy, Debug)]
pub struct SendInfo {
    /// The way, with the source address.
    pub route: Route,
    /// Where to.
    pub destination: IpAddr,
    /// The protocol of the window.
    pub protocol: IpProtocol,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// TOS or traffic class: DSCP and ECN.
    pub traffic_class: u8,
    /// Flow label of IPv6.
    pub flow_label: u32,
    /// It may not be fragmented, here or (IPv4) on the way.
    pub dont_fragment: bool,
}

/// What the interface of a route does for its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offload {
    /// Super-segments it takes.
    pub gso: GsoKinds,
    /// The largest super-segment, bytes of IP packet.
    pub gso_max: u32,
    /// It takes packets whose checksum is partial.
    pub tx_checksum: bool,
}

/// The internet layer of a node.
#[derive(Debug)]
pub struct Inet {
    route_version: u32,
}

impl Inet {
    /// One without interfaces but the loopback.
    #[must_use]
    pub fn new(_config: &Config, _rng: &mut Rng) -> Self {
        Self { route_version: 0 }
    }

    /// Changes whenever a [`Route`] may have become wrong.
    #[must_use]
    pub fn route_version(&self) -> u32 {
        self.route_version
    }

    /// Whether `address` is one of this node's (and not tentative).
    #[must_use]
    pub fn is_local(&self, _address: IpAddr) -> bool {
        false
    }

    /// See [`Context::route`].
    ///
    /// # Errors
    /// See [`Context::route`].
    pub fn route(&self, _query: &RouteQuery) -> Result<Route, Error> {
        Err(Error::NetworkUnreachable)
    }

    /// See [`Context::tx_room`].
    #[must_use]
    pub fn tx_room(&self, _interface: InterfaceId) -> usize {
        0
    }
}

/// See [`Context::send`].
pub(crate) fn send(_cx: &mut Context<'_>, _info: &SendInfo, _packet: Packet) -> Result<(), Error> {
    Err(Error::NetworkUnreachable)
}
