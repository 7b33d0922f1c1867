//! The clients of a node's interfaces: their datagrams, and what interfaces get of their leases.

use crate::client::{Action, Client};
use crate::lease::Lease;
use ipnet::{IpNet, Ipv4Net};
use sockeye_core::iface::{Address, Lifetime};
use sockeye_core::{
    AddressChange, Checksum, Context, Error, Instant, InterfaceId, IpInfo, Medium, Owner, Packet,
    Route, RouteQuery, SendInfo, Tags, TimerSlot, inet,
};
use sockeye_wire::{IpProtocol, checksum, udp};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// RFC 2131 §4.1.
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// The metric of the first router of a lease; each of the others has one more.
const METRIC: u32 = 1024;
/// What a client sends has precedence over nothing.
const HOP_LIMIT: u8 = 64;

#[derive(Debug)]
struct Leaseholder {
    client: Client,
    timer: TimerSlot,
    /// What the interface was given: to be taken back.
    address: Option<IpNet>,
    routes: Vec<(IpNet, Option<IpAddr>)>,
}

/// The clients of a node, one an interface.
#[derive(Debug, Default)]
pub struct Dhcp(BTreeMap<InterfaceId, Leaseholder>);

impl Dhcp {
    /// Lets `interface` ask for an address.
    ///
    /// # Errors
    /// [`Error::NoDevice`] when there is no such interface, [`Error::NotSupported`] when it is no
    /// Ethernet.
    pub fn start(&mut self, cx: &mut Context<'_>, interface: InterfaceId) -> Result<(), Error> {
        let link = cx.inet.interface(interface).ok_or(Error::NoDevice)?;
        let Medium::Ethernet(mac) = link.capabilities().medium else {
            return Err(Error::NotSupported);
        };
        let client = Client::new(cx.now, cx.rng, mac);
        let holder = self.0.entry(interface).or_insert_with(|| Leaseholder {
            client,
            timer: TimerSlot::default(),
            address: None,
            routes: Vec::new(),
        });
        arm(cx, interface, holder);
        Ok(())
    }

    /// The client of `interface` had leased `address` before it was started.
    pub fn remember(&mut self, interface: InterfaceId, address: Ipv4Addr) {
        if let Some(holder) = self.0.get_mut(&interface) {
            holder.client.remember(address);
        }
    }

    /// The link of `interface` is up again.
    pub fn reboot(&mut self, cx: &mut Context<'_>, interface: InterfaceId) {
        if let Some(holder) = self.0.get_mut(&interface) {
            let actions = holder.client.reboot(cx.now);
            perform(cx, interface, holder, actions);
        }
    }

    /// Gives back what `interface` has leased, and asks no more.
    pub fn release(&mut self, cx: &mut Context<'_>, interface: InterfaceId) {
        if let Some(mut holder) = self.0.remove(&interface) {
            let actions = holder.client.release(cx.now);
            perform(cx, interface, &mut holder, actions);
            cx.timers.disarm(&mut holder.timer);
        }
    }

    /// The interface is gone.
    pub fn forget(&mut self, cx: &mut Context<'_>, interface: InterfaceId) {
        if let Some(mut holder) = self.0.remove(&interface) {
            cx.timers.disarm(&mut holder.timer);
        }
    }

    /// Interfaces that have a client.
    pub fn interfaces(&self) -> impl Iterator<Item = InterfaceId> {
        self.0.keys().copied()
    }

    /// The client of an interface.
    #[must_use]
    pub fn client(&self, interface: InterfaceId) -> Option<&Client> {
        self.0.get(&interface).map(|holder| &holder.client)
    }

    /// Takes a packet that is a server's to a client here; any other comes back.
    pub fn on_packet(
        &mut self,
        cx: &mut Context<'_>,
        ip: &IpInfo,
        mut packet: Packet,
    ) -> Option<Packet> {
        if self.0.is_empty() || ip.protocol != IpProtocol::UDP || !ip.source.is_ipv4() {
            return Some(packet);
        }
        let Some(holder) = self.0.get_mut(&ip.interface) else {
            return Some(packet);
        };
        if !packet.pull_up(udp::HEADER_LEN) {
            return Some(packet);
        }
        let Ok(header) = udp::Header::parse(packet.head()) else {
            return Some(packet);
        };
        if (header.source_port, header.destination_port) != (SERVER_PORT, CLIENT_PORT) {
            return Some(packet);
        }
        if !is_intact(ip, &header, &mut packet) {
            return None;
        }
        packet.pull(udp::HEADER_LEN);
        packet.linearize();
        let actions = holder.client.handle(cx.now, cx.rng, packet.head());
        perform(cx, ip.interface, holder, actions);
        None
    }

    /// The deadline of a client has come ([`Owner::Lease`]).
    pub fn on_timeout(&mut self, cx: &mut Context<'_>, interface: InterfaceId) {
        if let Some(holder) = self.0.get_mut(&interface) {
            let actions = holder.client.on_timeout(cx.now, cx.rng);
            perform(cx, interface, holder, actions);
        }
    }

    /// An address of the node changed: one of a lease was found to be unique, or somebody else's.
    pub fn on_address(&mut self, cx: &mut Context<'_>, change: AddressChange) {
        let (AddressChange::Added(address) | AddressChange::Duplicate(address)) = change else {
            return;
        };
        for (&interface, holder) in &mut self.0 {
            if holder.address.map(|net| net.addr()) != Some(address) {
                continue;
            }
            if let AddressChange::Added(_) = change {
                if let Some(lease) = holder.client.lease().cloned() {
                    use_lease(cx, interface, holder, &lease);
                }
                holder.client.confirmed();
                arm(cx, interface, holder);
            } else {
                let actions = holder.client.conflict(cx.now);
                perform(cx, interface, holder, actions);
            }
        }
    }
}

/// Does what a client says, and sees to its timer.
fn perform(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    holder: &mut Leaseholder,
    actions: Vec<Action>,
) {
    for action in actions {
        match action {
            // What is lost is sent again.
            Action::Send { from, to, message } => {
                let _ = send(cx, interface, from, to, &message);
            }
            Action::Configure(lease, until) => configure(cx, interface, holder, &lease, until),
            Action::Unconfigure => unconfigure(cx, interface, holder),
        }
    }
    arm(cx, interface, holder);
}

fn arm(cx: &mut Context<'_>, interface: InterfaceId, holder: &mut Leaseholder) {
    let next = holder.client.deadline();
    let deadline = (next != Instant::FAR).then_some(next);
    cx.timers
        .set(&mut holder.timer, Owner::Lease(interface), deadline);
}

/// Gives the interface the address of `lease`, or that more time and its news.
fn configure(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    holder: &mut Leaseholder,
    lease: &Lease,
    until: Instant,
) {
    let net = IpNet::V4(lease.address);
    let lifetime = Lifetime {
        preferred_until: until,
        valid_until: until,
    };
    if holder.address == Some(net) {
        inet::set_lifetime(cx, interface, net.addr(), lifetime);
        use_lease(cx, interface, holder, lease);
        return;
    }
    holder.address = Some(net);
    let detect = cx
        .inet
        .interface(interface)
        .is_some_and(|link| link.detects_duplicates());
    let own = Address::leased(net, lifetime);
    // One that its owner gave it as well stays the owner's; it is unique, or was said to be.
    if inet::add_address_as(cx, interface, own, detect).is_err() {
        holder.address = None;
        holder.client.confirmed();
    }
}

/// The rest of a lease, once its address is in use.
fn use_lease(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    holder: &mut Leaseholder,
    lease: &Lease,
) {
    take_routes_back(cx, interface, holder);
    inet::set_mtu_v4(cx, interface, lease.mtu);
    let default = Ipv4Net::default();
    let routers = lease.routers.iter().map(|&router| (default, Some(router)));
    let all = (METRIC..).zip(routers.chain(lease.routes.iter().copied()));
    for (metric, (net, router)) in all {
        // A router outside of the network is a neighbour all the same.
        if let Some(router) = router.filter(|router| !lease.address.contains(router)) {
            let host = Ipv4Net::new_assert(router, 32);
            add_route(cx, interface, holder, (host, None), metric);
        }
        add_route(cx, interface, holder, (net, router), metric);
    }
}

fn add_route(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    holder: &mut Leaseholder,
    (net, router): (Ipv4Net, Option<Ipv4Addr>),
    metric: u32,
) {
    let (net, router) = (IpNet::V4(net), router.map(IpAddr::V4));
    // What the owner of the node has said stays.
    let known = cx.inet.routes().any(|entry| {
        (entry.destination, entry.gateway, entry.interface) == (net, router, interface)
    });
    if !known && cx.inet.add_route(net, router, interface, metric).is_ok() {
        holder.routes.push((net, router));
    }
}

fn take_routes_back(cx: &mut Context<'_>, interface: InterfaceId, holder: &mut Leaseholder) {
    for (net, router) in std::mem::take(&mut holder.routes) {
        cx.inet.remove_route(net, router, interface);
    }
}

fn unconfigure(cx: &mut Context<'_>, interface: InterfaceId, holder: &mut Leaseholder) {
    take_routes_back(cx, interface, holder);
    inet::set_mtu_v4(cx, interface, None);
    if let Some(net) = holder.address.take() {
        inet::remove_address(cx, interface, net);
    }
}

/// Sends a message, to a server or to all of the link.
fn send(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    from: Option<Ipv4Addr>,
    to: Option<Ipv4Addr>,
    message: &[u8],
) -> Result<(), Error> {
    let source = IpAddr::V4(from.unwrap_or(Ipv4Addr::UNSPECIFIED));
    let destination = IpAddr::V4(to.unwrap_or(Ipv4Addr::BROADCAST));
    let route = match to {
        Some(_) => cx.route(&RouteQuery {
            destination,
            source: Some(source),
            interface: Some(interface),
            foreign_source: false,
        })?,
        // Before there is an address there is no route.
        None => {
            let link = cx.inet.interface(interface).ok_or(Error::NoDevice)?;
            Route {
                interface,
                source,
                next_hop: destination,
                mtu: link.mtu(),
                offload: link.offload(),
                local: false,
                // This node does not hear itself.
                broadcast: false,
                version: cx.inet.route_version(),
            }
        }
    };
    let length = udp::HEADER_LEN + message.len();
    let length = u16::try_from(length).map_err(|_| Error::MessageSize)?;
    let mut packet = Packet::from_slice(message);
    udp::Header {
        source_port: CLIENT_PORT,
        destination_port: SERVER_PORT,
        length,
        checksum: 0,
    }
    .emit(packet.push(udp::HEADER_LEN));
    let sum = checksum::transport(
        source,
        destination,
        IpProtocol::UDP,
        length.into(),
        packet.chunks(),
    );
    udp::set_checksum(packet.head_mut(), sum.finish_nonzero());
    let info = SendInfo {
        route,
        destination,
        protocol: IpProtocol::UDP,
        hop_limit: HOP_LIMIT,
        traffic_class: 0,
        flow_label: 0,
        dont_fragment: false,
        tags: Tags::default(),
    };
    cx.send(&info, packet)
}

/// Whether length and checksum hold; what lies behind the datagram is cut off.
fn is_intact(ip: &IpInfo, header: &udp::Header, packet: &mut Packet) -> bool {
    if header.check_len(packet.len()).is_err() {
        return false;
    }
    packet.truncate(header.length.into());
    let unsummed = header.checksum == 0 || packet.meta.checksum != Checksum::Unverified;
    unsummed
        || checksum::transport(
            ip.source,
            ip.destination,
            IpProtocol::UDP,
            header.length.into(),
            packet.chunks(),
        )
        .is_valid()
}
