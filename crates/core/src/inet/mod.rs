//! The internet layer as one value: what the rooms [`iface`], [`ip`](crate::ip) and
//! [`icmp`](crate::icmp) keep, the routes, and the way out.
//!
//! - [`Inet`] owns all state below the transports. Its methods here are commands and questions of
//!   a node's owner; packets go through the free functions of the rooms, which take a [`Context`](crate::Context).
//! - [`route`](Inet::route) answers where a packet leaves and from which address.
//! - What concerns the transports but does not come as a packet (an ICMP error, a changed address)
//!   waits as a [`Notice`] until the node takes it: nothing here calls upward.
//!
//! Not here: policy routing.

mod commands;
mod lookup;
mod loopback;
mod notice;

pub use commands::{
    add_address, add_address_as, add_interface, deprecate_address, on_timeout, remove_address,
    remove_interface, set_capabilities, set_lifetime, set_mtu_v4, set_up,
};
pub(crate) use commands::{forget_address, own};
pub use loopback::{LOOPBACK_QUEUE_BYTES, LOOPBACK_QUEUE_LIMIT};
pub use notice::{Notice, OwnedIcmpError};

use crate::icmp::Limits;
use crate::iface::{self, Interface};
use crate::ip::Identifications;
use crate::ip::alert::RouterAlerts;
use crate::ip::pmtu::PathMtus;
use crate::ip::policy::AddressPolicy;
use crate::ip::reassembly::Reassembly;
use crate::ip::redirect::Redirects;
use crate::ip::route::{RouteEntry, RouteTable};
use crate::{AddressChange, Batch, Config, Error, Packet, Rng, Tags, TimerSlot};
use ipnet::IpNet;
use loopback::Loopback;
use sockeye_link::GsoKinds;
use sockeye_wire::IpProtocol;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

/// ICMP errors and router alerts that wait to be handed up; the node takes them after every packet.
const NOTICES_MAX: usize = 4096;

/// An interface of a node: 1 is the loopback, links count from 2.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
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
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
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
    /// What links may tell it apart by.
    pub tags: Tags,
}

/// What may be left to the interface of a route: the link does it, or else the node in software
/// when a packet leaves the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Offload {
    /// Super-segments it takes, whole or to be cut.
    pub gso: GsoKinds,
    /// The largest super-segment, bytes of IP packet.
    pub gso_max: u32,
    /// It takes packets whose checksum is partial.
    pub tx_checksum: bool,
}

/// The internet layer of a node.
#[derive(Debug)]
pub struct Inet {
    /// Slot `id - 1` holds interface `id`; ids are never given twice.
    interfaces: Vec<Option<Box<Interface>>>,
    pub(crate) routes: RouteTable,
    route_version: u32,
    /// How many interfaces have the address in use: what is not in here is not ours.
    owned: BTreeMap<IpAddr, u32>,
    /// Packets from this node to itself.
    pub(crate) loopback: Loopback,
    notices: VecDeque<Notice>,
    pub(crate) path_mtus: PathMtus,
    pub(crate) path_mtu_timer: TimerSlot,
    pub(crate) redirects: Redirects,
    pub(crate) redirect_timer: TimerSlot,
    pub(crate) reassembly: Reassembly,
    pub(crate) identifications: Identifications,
    pub(crate) icmp_limits: Limits,
    pub(crate) router_alerts: RouterAlerts,
    /// Protocols whose packets for others are handed up, one bit each.
    intercept: [u64; 4],
    /// Labels and precedences of addresses.
    address_policy: AddressPolicy,
    /// RFC 7217's secret_key.
    secret: (u64, u64),
}

impl Inet {
    /// One without interfaces but the loopback.
    #[must_use]
    pub fn new(config: &Config, rng: &mut Rng) -> Self {
        let mut inet = Self {
            interfaces: vec![Some(Box::new(Interface::loopback(rng)))],
            routes: RouteTable::default(),
            route_version: 0,
            owned: BTreeMap::new(),
            loopback: Loopback::default(),
            notices: VecDeque::new(),
            path_mtus: PathMtus::default(),
            path_mtu_timer: TimerSlot::default(),
            redirects: Redirects::default(),
            redirect_timer: TimerSlot::default(),
            reassembly: Reassembly::default(),
            identifications: Identifications::new(rng),
            icmp_limits: Limits::default(),
            router_alerts: RouterAlerts::default(),
            intercept: [0; 4],
            address_policy: config.address_policy.clone(),
            secret: (rng.next_u64(), rng.next_u64()),
        };
        for address in iface::LOOPBACK_ADDRESSES {
            inet.own(address);
        }
        inet
    }

    /// By which addresses are chosen.
    pub(crate) fn address_policy(&self) -> &AddressPolicy {
        &self.address_policy
    }

    /// Changes whenever a [`Route`] may have become wrong.
    #[must_use]
    pub fn route_version(&self) -> u32 {
        self.route_version
    }

    /// Whether `address` is one of this node's (and not tentative). All of 127.0.0.0/8 is.
    #[must_use]
    pub fn is_local(&self, address: IpAddr) -> bool {
        self.owned.contains_key(&address) || matches!(address, IpAddr::V4(v4) if v4.is_loopback())
    }

    /// See [`Context::tx_room`](crate::Context::tx_room).
    #[must_use]
    pub fn tx_room(&self, interface: InterfaceId) -> usize {
        if interface == InterfaceId::LOOPBACK {
            return self.loopback.room();
        }
        self.interface(interface).map_or(0, Interface::tx_room)
    }

    /// An interface.
    #[must_use]
    pub fn interface(&self, id: InterfaceId) -> Option<&Interface> {
        let slot = usize::try_from(id.0).ok()?.checked_sub(1)?;
        self.interfaces.get(slot)?.as_deref()
    }

    pub(crate) fn interface_mut(&mut self, id: InterfaceId) -> Option<&mut Interface> {
        let slot = usize::try_from(id.0).ok()?.checked_sub(1)?;
        self.interfaces.get_mut(slot)?.as_deref_mut()
    }

    /// All interfaces, the loopback first.
    pub fn interfaces(&self) -> impl Iterator<Item = (InterfaceId, &Interface)> {
        (1..)
            .map(InterfaceId)
            .zip(&self.interfaces)
            .filter_map(|(id, slot)| Some((id, slot.as_deref()?)))
    }

    /// Takes over what `config` says of interfaces and addresses.
    pub fn configure(&mut self, config: &Config) {
        if self.address_policy != config.address_policy {
            self.address_policy = config.address_policy.clone();
            self.routes_changed();
        }
        for interface in self.interfaces.iter_mut().flatten() {
            interface.configure(&config.interfaces);
        }
    }

    /// Whether packets for others are sent on that come by one of the interfaces.
    pub(crate) fn forwards(&self, v4: bool) -> bool {
        self.interfaces().any(|(_, interface)| {
            let settings = interface.settings();
            if v4 {
                settings.v4.forwarding
            } else {
                settings.v6.forwarding
            }
        })
    }

    /// All routes, longest prefix first.
    pub fn routes(&self) -> impl Iterator<Item = &RouteEntry> {
        self.routes.iter()
    }

    /// Adds a route to `destination`: by `gateway`, or, without one, to neighbours on the link.
    ///
    /// # Errors
    /// [`Error::NoDevice`] for an unknown interface, [`Error::AddressFamily`] when the gateway is
    /// of the other family, [`Error::Invalid`] when it can't be a neighbour.
    pub fn add_route(
        &mut self,
        destination: IpNet,
        gateway: Option<IpAddr>,
        interface: InterfaceId,
        metric: u32,
    ) -> Result<(), Error> {
        self.interface(interface).ok_or(Error::NoDevice)?;
        if let Some(gateway) = gateway {
            if gateway.is_ipv4() != destination.addr().is_ipv4() {
                return Err(Error::AddressFamily);
            }
            if gateway.is_multicast() || gateway.is_unspecified() {
                return Err(Error::Invalid);
            }
        }
        self.routes.insert(RouteEntry {
            destination: destination.trunc(),
            gateway,
            interface,
            metric,
        });
        self.routes_changed();
        Ok(())
    }

    /// Takes a route out; false when there was none.
    pub fn remove_route(
        &mut self,
        destination: IpNet,
        gateway: Option<IpAddr>,
        interface: InterfaceId,
    ) -> bool {
        let removed = self.routes.remove(destination.trunc(), gateway, interface);
        self.routes_changed();
        removed
    }

    /// Whether `address` is a neighbour on the link of `interface`, by its routes.
    #[must_use]
    pub fn is_on_link(&self, interface: InterfaceId, address: IpAddr) -> bool {
        matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
            || self
                .routes
                .lookup(address, |e| e.interface == interface)
                .is_some_and(|e| e.gateway.is_none())
    }

    pub(crate) fn secret(&self) -> (u64, u64) {
        self.secret
    }

    /// Packets queued for the link of `interface`.
    #[must_use]
    pub fn queued(&self, interface: InterfaceId) -> usize {
        if interface == InterfaceId::LOOPBACK {
            return self.loopback.len();
        }
        self.interface(interface).map_or(0, Interface::queued)
    }

    /// Hands up (or no longer) packets of `protocol` that are for others, as
    /// [`IpInfo::local`](crate::IpInfo::local)` == false`.
    pub fn set_intercept(&mut self, protocol: IpProtocol, on: bool) {
        let bit = 1u64 << (protocol.0 % 64);
        let word = &mut self.intercept[usize::from(protocol.0 / 64)];
        *word = if on { *word | bit } else { *word & !bit };
    }

    /// Whether packets of `protocol` for others are handed up.
    #[must_use]
    pub fn intercepts(&self, protocol: IpProtocol) -> bool {
        self.intercept[usize::from(protocol.0 / 64)] & (1 << (protocol.0 % 64)) != 0
    }

    /// Whether packets of any protocol for others are handed up.
    pub(crate) fn intercepts_any(&self) -> bool {
        self.intercept != [0; 4]
    }

    /// Takes the next packet that this node sent to itself, and the interface it counts as received
    /// on, for [`ip::receive`](crate::ip::receive).
    pub fn pop_loopback(&mut self) -> Option<(InterfaceId, Packet)> {
        self.loopback.pop()
    }

    /// Takes the next notice for the transports.
    pub fn pop_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    pub(crate) fn notify(&mut self, notice: Notice) {
        let full = self.notices.len() >= NOTICES_MAX;
        let packet = matches!(notice, Notice::IcmpError(_) | Notice::RouterAlert(_));
        if !(full && packet) {
            self.notices.push_back(notice);
        }
    }

    /// Merges the TCP segments of a batch that came by `interface`, where its link does not do that
    /// itself.
    pub fn coalesce(&mut self, interface: InterfaceId, batch: &mut Batch) {
        if let Some(interface) = self.interface_mut(interface) {
            interface.coalesce(batch);
        }
    }

    /// Moves up to `budget` packets of `interface` to `batch`, in a form that its link takes: a super-segment
    /// that it does not take is more than one there. True when some are left.
    pub fn poll_transmit(
        &mut self,
        interface: InterfaceId,
        batch: &mut Batch,
        budget: usize,
    ) -> bool {
        self.interface_mut(interface)
            .is_some_and(|i| i.poll_transmit(batch, budget))
    }

    pub(crate) fn routes_changed(&mut self) {
        self.route_version = self.route_version.wrapping_add(1);
    }

    pub(crate) fn own(&mut self, address: IpAddr) {
        let count = self.owned.entry(address).or_default();
        *count = count.saturating_add(1);
        self.notify(Notice::Address(AddressChange::Added(address)));
        self.routes_changed();
    }

    pub(crate) fn disown(&mut self, address: IpAddr) {
        let Some(count) = self.owned.get_mut(&address) else {
            return;
        };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.owned.remove(&address);
            self.notify(Notice::Address(AddressChange::Removed(address)));
        }
        self.routes_changed();
    }
}
