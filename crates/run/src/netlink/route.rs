//! rtnetlink(7): the node's interfaces, addresses, routes and neighbours, as the kernel tells of its own.
//!
//! Only questions are answered: what would change the node is `EPERM`, as for a program without CAP_NET_ADMIN.

use super::format::{Message, Request, attribute, word};
use super::{Answers, errno};
use crate::backend::Errno;
use sockeye::link::Medium;
use sockeye::{Address, AddressState, InterfaceId, InterfaceInfo, IpNet, NeighbourState, Node};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `RTM_*`: questions, and what answers them.
mod rtm {
    pub(super) const BASE: u16 = 16;
    pub(super) const NEW_LINK: u16 = 16;
    pub(super) const GET_LINK: u16 = 18;
    pub(super) const NEW_ADDRESS: u16 = 20;
    pub(super) const GET_ADDRESS: u16 = 22;
    pub(super) const NEW_ROUTE: u16 = 24;
    pub(super) const GET_ROUTE: u16 = 26;
    pub(super) const NEW_NEIGHBOUR: u16 = 28;
    pub(super) const GET_NEIGHBOUR: u16 = 30;
    pub(super) const NEW_RULE: u16 = 32;
    pub(super) const GET_RULE: u16 = 34;
    /// Beyond all that Linux 6.18 knows.
    pub(super) const END: u16 = 128;
}

const AF_UNSPEC: u8 = libc::AF_UNSPEC as u8;
const AF_INET: u8 = libc::AF_INET as u8;
const AF_INET6: u8 = libc::AF_INET6 as u8;

/// `RT_TABLE_*`.
const TABLE_DEFAULT: u8 = 253;
const TABLE_MAIN: u8 = 254;
const TABLE_LOCAL: u8 = 255;

/// `RT_SCOPE_*`.
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const SCOPE_HOST: u8 = 254;

/// `RTPROT_*`: who made a route.
const BY_NOBODY: u8 = 0;
const BY_KERNEL: u8 = 2;
const BY_BOOT: u8 = 3;

/// `RTN_*`: what comes of a packet that takes it.
const UNICAST: u8 = 1;
const LOCAL: u8 = 2;
const BROADCAST: u8 = 3;

/// `RTM_F_CLONED`: an answer to a look-up, not an entry.
const CLONED: u32 = 0x200;

/// What the kernel gives routes of IPv6 that nobody gave a metric (`IP6_RT_PRIO_USER`, `IP6_RT_PRIO_KERN`).
const METRIC_V6: u32 = 1024;
const METRIC_V6_ON_LINK: u32 = 256;

/// The length of each question's fixed part.
const LINK_FIXED: usize = 16;
const ROUTE_FIXED: usize = 12;
const NEIGHBOUR_FIXED: usize = 12;

/// Packets that wait for a device, as `ip link` shows it.
pub(crate) const QUEUE_LENGTH: u32 = 1000;

/// Answers one request.
pub(super) fn answer(node: &Node, request: &Request<'_>, to: &mut Answers) -> Result<(), Errno> {
    if !(rtm::BASE..rtm::END).contains(&request.ty) {
        return Err(Errno::OPNOTSUPP);
    }
    let Some(&family) = request.body.first() else {
        return Ok(());
    };
    const ASKS: u16 = 2;
    if (request.ty - rtm::BASE) % 4 != ASKS {
        return Err(Errno::PERM);
    }
    match (request.ty, request.dumps()) {
        (rtm::GET_LINK, true) => links(node, request, to),
        (rtm::GET_LINK, false) => link(node, request, to),
        (rtm::GET_ADDRESS, true) => addresses(node, family, request, to),
        (rtm::GET_ROUTE, true) => routes(node, family, request, to),
        (rtm::GET_ROUTE, false) => route(node, family, request, to),
        (rtm::GET_NEIGHBOUR, true) => neighbours(node, family, request, to),
        (rtm::GET_NEIGHBOUR, false) => neighbour(node, family, request, to),
        (rtm::GET_RULE, true) => {
            rules(family, to);
            Ok(())
        }
        _ => Err(Errno::OPNOTSUPP),
    }
}

/// The flags of an interface, as SIOCGIFFLAGS and `ifi_flags` tell them.
pub(crate) fn interface_flags(info: &InterfaceInfo) -> u32 {
    /// <linux/if.h>; not in libc for all targets.
    const IFF_LOWER_UP: i32 = 1 << 16;
    let kind = match info.medium {
        _ if is_loopback(info) => libc::IFF_LOOPBACK,
        Medium::Ethernet(_) => libc::IFF_BROADCAST | libc::IFF_MULTICAST,
        Medium::Ip => libc::IFF_POINTOPOINT | libc::IFF_NOARP | libc::IFF_MULTICAST,
    };
    let up = match info.up {
        true => libc::IFF_UP | libc::IFF_RUNNING | IFF_LOWER_UP,
        false => 0,
    };
    (kind | up) as u32
}

pub(crate) fn is_loopback(info: &InterfaceInfo) -> bool {
    info.id == InterfaceId::LOOPBACK
}

/// The hardware type and address of an interface: `ARPHRD_*`.
pub(crate) fn hardware(info: &InterfaceInfo) -> (u16, Option<[u8; 6]>) {
    match info.medium {
        _ if is_loopback(info) => (libc::ARPHRD_LOOPBACK, Some([0; 6])),
        Medium::Ethernet(address) => (libc::ARPHRD_ETHER, Some(address.0)),
        Medium::Ip => (libc::ARPHRD_NONE, None),
    }
}

/// The broadcast address that goes with an address, where there is one: a network of Ethernet with more than two hosts.
pub(crate) fn broadcast_of(info: &InterfaceInfo, net: IpNet) -> Option<Ipv4Addr> {
    const POINT_TO_POINT: u8 = 31;
    match (info.medium, net) {
        (Medium::Ethernet(_), IpNet::V4(net))
            if !is_loopback(info) && net.prefix_len() < POINT_TO_POINT =>
        {
            Some(net.broadcast())
        }
        _ => None,
    }
}

fn all(node: &Node) -> Result<Vec<InterfaceInfo>, Errno> {
    node.interfaces().map_err(errno)
}

fn links(node: &Node, request: &Request<'_>, to: &mut Answers) -> Result<(), Errno> {
    const IFLA_MASTER: u16 = 10;
    if attribute(request.body, LINK_FIXED, IFLA_MASTER).is_some() {
        return Ok(()); // nothing here is a part of something else
    }
    for info in all(node)? {
        to.add(link_message(&info));
    }
    Ok(())
}

fn link(node: &Node, request: &Request<'_>, to: &mut Answers) -> Result<(), Errno> {
    const INDEX_AT: usize = 4;
    let index = word(request.body, INDEX_AT).unwrap_or_default();
    let name = attribute(request.body, LINK_FIXED, ifla::NAME)
        .or_else(|| attribute(request.body, LINK_FIXED, ifla::ALTERNATIVE_NAME));
    let asked = |info: &InterfaceInfo| match (index, name) {
        (0, Some(name)) => name.strip_suffix(&[0]).unwrap_or(name) == info.name.as_bytes(),
        (index, _) => info.id.0 == index,
    };
    if index == 0 && name.is_none() {
        return Err(Errno::INVAL);
    }
    let all = all(node)?;
    let found = all.iter().find(|info| asked(info)).ok_or(Errno::NODEV)?;
    to.add(link_message(found));
    Ok(())
}

/// `IFLA_*`.
mod ifla {
    pub(super) const ADDRESS: u16 = 1;
    pub(super) const BROADCAST: u16 = 2;
    pub(super) const NAME: u16 = 3;
    pub(super) const MTU: u16 = 4;
    pub(super) const QDISC: u16 = 6;
    pub(super) const STATS: u16 = 7;
    pub(super) const TXQLEN: u16 = 13;
    pub(super) const OPERSTATE: u16 = 16;
    pub(super) const LINKMODE: u16 = 17;
    pub(super) const STATS64: u16 = 23;
    pub(super) const GROUP: u16 = 27;
    pub(super) const PROMISCUITY: u16 = 30;
    pub(super) const TX_QUEUES: u16 = 31;
    pub(super) const RX_QUEUES: u16 = 32;
    pub(super) const CARRIER: u16 = 33;
    pub(super) const ALTERNATIVE_NAME: u16 = 53;
}

pub(super) fn link_message(info: &InterfaceInfo) -> Message {
    /// `IF_OPER_*`: unknown, down, up.
    const OPERATION: [u8; 3] = [0, 2, 6];
    let (kind, address) = hardware(info);
    let mut fixed = vec![AF_UNSPEC, 0];
    fixed.extend(kind.to_ne_bytes());
    fixed.extend(info.id.0.to_ne_bytes());
    fixed.extend(interface_flags(info).to_ne_bytes());
    fixed.extend([0; 4]);
    let mut message = Message::new(rtm::NEW_LINK, &fixed);
    message.text(ifla::NAME, &info.name);
    message.number(ifla::TXQLEN, QUEUE_LENGTH);
    let operation = match info.medium {
        _ if !info.up => OPERATION[1],
        Medium::Ethernet(_) if !is_loopback(info) => OPERATION[2],
        _ => OPERATION[0],
    };
    message.attribute(ifla::OPERSTATE, &[operation]);
    message.attribute(ifla::LINKMODE, &[0]);
    message.number(ifla::MTU, info.mtu);
    message.number(ifla::GROUP, 0);
    message.number(ifla::PROMISCUITY, 0);
    message.number(ifla::TX_QUEUES, 1);
    message.number(ifla::RX_QUEUES, 1);
    message.attribute(ifla::CARRIER, &[info.up.into()]);
    message.text(ifla::QDISC, "noqueue");
    if let Some(address) = address {
        message.attribute(ifla::ADDRESS, &address);
        let broadcast = if is_loopback(info) { [0; 6] } else { [0xff; 6] };
        message.attribute(ifla::BROADCAST, &broadcast);
    }
    let counts = counts(info);
    let wide: Vec<u8> = counts.iter().flat_map(|n| n.to_ne_bytes()).collect();
    message.attribute(ifla::STATS64, &wide);
    let narrow = counts.iter().flat_map(|n| (*n as u32).to_ne_bytes());
    message.attribute(ifla::STATS, &narrow.collect::<Vec<_>>());
    message
}

/// `struct rtnl_link_stats64`, as far as there is something to count.
fn counts(info: &InterfaceInfo) -> [u64; 24] {
    const TX_DROPPED_AT: usize = 7;
    let traffic = &info.traffic;
    let mut counts = [0; 24];
    counts[..4].copy_from_slice(&[
        traffic.rx_packets,
        traffic.tx_packets,
        traffic.rx_bytes,
        traffic.tx_bytes,
    ]);
    counts[TX_DROPPED_AT] = traffic.tx_dropped;
    counts
}

fn family_of(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    }
}

/// Whether a question for a family is one for this.
fn wants(family: u8, address: IpAddr) -> bool {
    family == AF_UNSPEC || family == family_of(address)
}

pub(super) fn octets_of(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// An address of a family, from an attribute.
fn address_in(family: u8, value: &[u8]) -> Option<IpAddr> {
    match family {
        AF_INET => <[u8; 4]>::try_from(value).ok().map(IpAddr::from),
        AF_INET6 => <[u8; 16]>::try_from(value).ok().map(IpAddr::from),
        _ => None,
    }
}

fn addresses(
    node: &Node,
    family: u8,
    request: &Request<'_>,
    to: &mut Answers,
) -> Result<(), Errno> {
    const INDEX_AT: usize = 4;
    let index = word(request.body, INDEX_AT).unwrap_or_default();
    let all = all(node)?;
    // As the kernel does: all of one family, then all of the other.
    for v6 in [false, true] {
        for info in all.iter().filter(|info| index == 0 || index == info.id.0) {
            let mine = info.addresses.iter();
            for address in mine.filter(|address| address.net.addr().is_ipv6() == v6) {
                if wants(family, address.net.addr()) {
                    to.add(address_message(info, address));
                }
            }
        }
    }
    Ok(())
}

/// How far an address reaches.
fn scope_of(address: IpAddr) -> u8 {
    match address {
        address if address.is_loopback() => SCOPE_HOST,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => SCOPE_LINK,
        _ => SCOPE_UNIVERSE,
    }
}

pub(super) fn address_message(info: &InterfaceInfo, address: &Address) -> Message {
    /// `IFA_*`.
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    const LABEL: u16 = 3;
    const BROADCAST: u16 = 4;
    const CACHE: u16 = 6;
    const FLAGS: u16 = 8;
    /// `IFA_F_*`.
    const TEMPORARY: u32 = 0x01;
    const DUPLICATE: u32 = 0x08;
    const DEPRECATED: u32 = 0x20;
    const TENTATIVE: u32 = 0x40;
    const PERMANENT: u32 = 0x80;
    let ip = address.net.addr();
    let left = |until: sockeye::link::Instant| match until {
        sockeye::link::Instant::FAR => u32::MAX,
        until => u32::try_from(until.saturating_since(info.at).as_secs()).unwrap_or(u32::MAX),
    };
    let lifetime = address.lifetime;
    let (preferred, valid) = (left(lifetime.preferred_until), left(lifetime.valid_until));
    let mut flags = match address.state {
        AddressState::Preferred => 0,
        AddressState::Tentative => TENTATIVE,
        AddressState::Deprecated => DEPRECATED,
        AddressState::Duplicate => DUPLICATE | TENTATIVE,
    };
    if valid == u32::MAX {
        flags |= PERMANENT;
    }
    if address.origin == sockeye::AddressOrigin::Temporary {
        flags |= TEMPORARY;
    }
    let mut fixed = vec![
        family_of(ip),
        address.net.prefix_len(),
        flags as u8,
        scope_of(ip),
    ];
    fixed.extend(info.id.0.to_ne_bytes());
    let mut message = Message::new(rtm::NEW_ADDRESS, &fixed);
    message.attribute(ADDRESS, &octets_of(ip));
    if ip.is_ipv4() {
        message.attribute(LOCAL, &octets_of(ip));
        if let Some(broadcast) = broadcast_of(info, address.net) {
            message.attribute(BROADCAST, &broadcast.octets());
        }
        message.text(LABEL, &info.name);
    }
    message.number(FLAGS, flags);
    let times = [preferred, valid, 0, 0];
    let times: Vec<u8> = times.iter().flat_map(|n| n.to_ne_bytes()).collect();
    message.attribute(CACHE, &times);
    message
}

/// A route as a message tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) destination: IpNet,
    pub(super) table: u8,
    protocol: u8,
    scope: u8,
    kind: u8,
    flags: u32,
    pub(super) interface: u32,
    pub(super) gateway: Option<IpAddr>,
    source: Option<IpAddr>,
    /// None is told where it is `None`.
    pub(super) metric: Option<u32>,
    /// From which address the question was.
    from: Option<IpAddr>,
}

impl Told {
    /// What a route is known by.
    pub(super) fn key(&self) -> (IpNet, u8, u32, Option<IpAddr>, Option<u32>) {
        let Self {
            destination,
            table,
            interface,
            gateway,
            metric,
            ..
        } = *self;
        (destination, table, interface, gateway, metric)
    }

    pub(super) fn message(&self) -> Message {
        /// `RTA_*`.
        const DST: u16 = 1;
        const SRC: u16 = 2;
        const OIF: u16 = 4;
        const GATEWAY: u16 = 5;
        const PRIORITY: u16 = 6;
        const PREFSRC: u16 = 7;
        const CACHE: u16 = 12;
        const TABLE: u16 = 15;
        const PREF: u16 = 20;
        let to = self.destination.network();
        let mut fixed = vec![
            family_of(to),
            self.destination.prefix_len(),
            self.from.map_or(0, |from| IpNet::from(from).prefix_len()),
            0,
            self.table,
            self.protocol,
            self.scope,
            self.kind,
        ];
        fixed.extend(self.flags.to_ne_bytes());
        let mut message = Message::new(rtm::NEW_ROUTE, &fixed);
        message.number(TABLE, self.table.into());
        if self.destination.prefix_len() > 0 {
            message.attribute(DST, &octets_of(to));
        }
        if let Some(from) = self.from {
            message.attribute(SRC, &octets_of(from));
        }
        if let Some(metric) = self.metric {
            message.number(PRIORITY, metric);
        }
        if let Some(source) = self.source {
            message.attribute(PREFSRC, &octets_of(source));
        }
        if let Some(gateway) = self.gateway {
            message.attribute(GATEWAY, &octets_of(gateway));
        }
        message.number(OIF, self.interface);
        if to.is_ipv6() {
            message.attribute(CACHE, &[0; 32]);
            message.attribute(PREF, &[0]);
        } else if self.flags & CLONED != 0 {
            message.attribute(CACHE, &[0; 32]);
        }
        message
    }
}

fn routes(node: &Node, family: u8, request: &Request<'_>, to: &mut Answers) -> Result<(), Errno> {
    const RTA_OIF: u16 = 4;
    const TABLE_AT: usize = 4;
    const RTA_TABLE: u16 = 15;
    let table = attribute(request.body, ROUTE_FIXED, RTA_TABLE)
        .and_then(|value| word(value, 0))
        .or_else(|| request.body.get(TABLE_AT).map(|table| u32::from(*table)))
        .unwrap_or_default();
    let by = attribute(request.body, ROUTE_FIXED, RTA_OIF).and_then(|value| word(value, 0));
    let infos = all(node)?;
    let mut told = whole_table(node, &infos)?;
    // As the kernel does: IPv4 by network, then by length.
    told.sort_by_key(|told| match told.destination {
        IpNet::V4(net) => (false, net.network().to_bits(), net.prefix_len()),
        IpNet::V6(_) => (true, 0, 0),
    });
    for told in told {
        if wants(family, told.destination.addr())
            && (table == 0 || table == told.table.into())
            && by.is_none_or(|by| by == told.interface)
        {
            to.add(told.message());
        }
    }
    Ok(())
}

/// All routes.
pub(super) fn whole_table(node: &Node, infos: &[InterfaceInfo]) -> Result<Vec<Told>, Errno> {
    let mut told = entries(node, infos)?;
    told.extend(infos.iter().flat_map(own_entries));
    Ok(told)
}

/// The table of routes that were given or follow from addresses: `main`.
fn entries(node: &Node, infos: &[InterfaceInfo]) -> Result<Vec<Told>, Errno> {
    let told = node.routes().map_err(errno)?.into_iter().map(|entry| {
        let v6 = entry.destination.addr().is_ipv6();
        // An address of that very network makes the route to it, and is the one to send from.
        let info = infos.iter().find(|info| info.id == entry.interface);
        let address = info
            .into_iter()
            .flat_map(|info| &info.addresses)
            .find(|address| entry.gateway.is_none() && address.net.trunc() == entry.destination);
        let by_itself = address.is_some();
        Told {
            destination: entry.destination,
            table: TABLE_MAIN,
            protocol: if by_itself { BY_KERNEL } else { BY_BOOT },
            scope: match entry.gateway {
                None if !v6 => SCOPE_LINK,
                _ => SCOPE_UNIVERSE,
            },
            kind: UNICAST,
            flags: 0,
            interface: entry.interface.0,
            gateway: entry.gateway,
            source: address.filter(|_| !v6).map(|address| address.net.addr()),
            metric: match entry.metric {
                0 if v6 && by_itself => Some(METRIC_V6_ON_LINK),
                0 if v6 => Some(METRIC_V6),
                0 => None,
                metric => Some(metric),
            },
            from: None,
        }
    });
    Ok(told.collect())
}

/// What leads to an interface's own addresses, and to all hosts of their networks: `local`.
fn own_entries(info: &InterfaceInfo) -> Vec<Told> {
    let mut told = Vec::new();
    for address in info.addresses.iter().filter(|address| address.is_usable()) {
        let ip = address.net.addr();
        let entry = |destination: IpAddr, kind| Told {
            destination: destination.into(),
            table: TABLE_LOCAL,
            protocol: BY_KERNEL,
            scope: match (ip.is_ipv6(), kind) {
                (true, _) => SCOPE_UNIVERSE,
                (_, BROADCAST) => SCOPE_LINK,
                _ => SCOPE_HOST,
            },
            kind,
            flags: 0,
            interface: info.id.0,
            gateway: None,
            source: ip.is_ipv4().then_some(ip),
            metric: ip.is_ipv6().then_some(0),
            from: None,
        };
        told.push(entry(ip, LOCAL));
        if ip.is_ipv4() && ip.is_loopback() {
            told.push(Told {
                destination: address.net.trunc(),
                ..entry(ip, LOCAL)
            });
        }
        let broadcast = match address.net {
            IpNet::V4(net) if ip.is_loopback() => Some(net.broadcast()),
            net => broadcast_of(info, net),
        };
        let broadcast = broadcast.map(IpAddr::from);
        told.extend(broadcast.map(|broadcast| entry(broadcast, BROADCAST)));
    }
    told
}

fn route(node: &Node, family: u8, request: &Request<'_>, to: &mut Answers) -> Result<(), Errno> {
    const DST: u16 = 1;
    const SRC: u16 = 2;
    const OIF: u16 = 4;
    let address = |ty| {
        attribute(request.body, ROUTE_FIXED, ty)
            .map(|value| address_in(family, value).ok_or(Errno::INVAL))
    };
    let destination = address(DST).transpose()?;
    let destination = destination.ok_or(match family {
        AF_INET | AF_INET6 => Errno::INVAL,
        _ => Errno::OPNOTSUPP,
    })?;
    let source = address(SRC).transpose()?;
    let by = attribute(request.body, ROUTE_FIXED, OIF).and_then(|value| word(value, 0));
    let by = by.filter(|by| *by != 0).map(InterfaceId);
    let way = node.route_to(destination, source, by).map_err(errno);
    let way = way.map_err(|error| match error {
        // Linux: nobody's address leads nowhere.
        Errno::ADDRNOTAVAIL => Errno::NETUNREACH,
        error => error,
    })?;
    let v6 = destination.is_ipv6();
    let next_hop = (way.next_hop != destination).then_some(way.next_hop);
    let told = Told {
        destination: destination.into(),
        // Of IPv4 the kernel has both in one while there are no rules, and calls it by that name.
        table: if way.local && v6 {
            TABLE_LOCAL
        } else {
            TABLE_MAIN
        },
        protocol: match (v6, next_hop) {
            (false, _) => BY_NOBODY,
            (true, None) => BY_KERNEL,
            (true, Some(_)) => BY_BOOT,
        },
        scope: SCOPE_UNIVERSE,
        kind: match (way.local, way.broadcast) {
            (true, _) => LOCAL,
            (_, true) => BROADCAST,
            _ => UNICAST,
        },
        flags: if v6 { 0 } else { CLONED },
        interface: way.interface.0,
        gateway: next_hop,
        source: Some(way.source),
        metric: match next_hop {
            _ if !v6 => None,
            _ if way.local => Some(0),
            None => Some(METRIC_V6_ON_LINK),
            Some(_) => Some(METRIC_V6),
        },
        from: v6.then(|| source.unwrap_or(Ipv6Addr::UNSPECIFIED.into())),
    };
    to.add(told.message());
    Ok(())
}

fn neighbours(
    node: &Node,
    family: u8,
    request: &Request<'_>,
    to: &mut Answers,
) -> Result<(), Errno> {
    const NDA_IFINDEX: u16 = 8;
    const FLAGS_AT: usize = 10;
    const NTF_PROXY: u8 = 8;
    if request.body.get(FLAGS_AT) == Some(&NTF_PROXY) {
        return Ok(()); // there are none
    }
    let by = attribute(request.body, NEIGHBOUR_FIXED, NDA_IFINDEX).and_then(|v| word(v, 0));
    for (interface, known) in node.neighbours().map_err(errno)? {
        if wants(family, known.address) && by.is_none_or(|by| by == interface.0) {
            to.add(neighbour_message(interface, &known));
        }
    }
    Ok(())
}

fn neighbour(
    node: &Node,
    family: u8,
    request: &Request<'_>,
    to: &mut Answers,
) -> Result<(), Errno> {
    const NDA_DST: u16 = 1;
    const INDEX_AT: usize = 4;
    let address = attribute(request.body, NEIGHBOUR_FIXED, NDA_DST)
        .and_then(|value| address_in(family, value));
    let (Some(address), Some(index)) = (address, word(request.body, INDEX_AT)) else {
        return Err(Errno::INVAL);
    };
    let all = node.neighbours().map_err(errno)?;
    let found = all
        .iter()
        .find(|(interface, known)| interface.0 == index && known.address == address);
    let (interface, known) = found.ok_or(Errno::NOENT)?;
    to.add(neighbour_message(*interface, known));
    Ok(())
}

pub(super) fn neighbour_message(interface: InterfaceId, known: &sockeye::Neighbour) -> Message {
    // `NUD_*`.
    let state = match known.state {
        NeighbourState::Incomplete => 0x01,
        NeighbourState::Reachable => 0x02,
        NeighbourState::Stale => 0x04,
        NeighbourState::Delay => 0x08,
        NeighbourState::Probe => 0x10,
    };
    neighbour_in_state(interface, known, state)
}

/// A neighbour that did not answer.
pub(super) fn failed_message(interface: InterfaceId, known: &sockeye::Neighbour) -> Message {
    const NUD_FAILED: u16 = 0x20;
    let nobody = sockeye::Neighbour {
        mac: None,
        ..*known
    };
    neighbour_in_state(interface, &nobody, NUD_FAILED)
}

fn neighbour_in_state(interface: InterfaceId, known: &sockeye::Neighbour, state: u16) -> Message {
    const DST: u16 = 1;
    const LLADDR: u16 = 2;
    let mut fixed = vec![family_of(known.address), 0, 0, 0];
    fixed.extend(interface.0.to_ne_bytes());
    fixed.extend(state.to_ne_bytes());
    fixed.extend([0, UNICAST]);
    let mut message = Message::new(rtm::NEW_NEIGHBOUR, &fixed);
    message.attribute(DST, &octets_of(known.address));
    if let Some(mac) = known.mac {
        message.attribute(LLADDR, &mac.0);
    }
    message
}

/// The three tables of a host that nobody gave a rule, in their order.
fn rules(family: u8, to: &mut Answers) {
    const FRA_PRIORITY: u16 = 6;
    const FRA_TABLE: u16 = 15;
    /// `FR_ACT_TO_TBL`.
    const TO_TABLE: u8 = 1;
    const RULES: [(u32, u8); 3] = [
        (0, TABLE_LOCAL),
        (32_766, TABLE_MAIN),
        (32_767, TABLE_DEFAULT),
    ];
    for of in [AF_INET, AF_INET6] {
        if ![AF_UNSPEC, of].contains(&family) {
            continue;
        }
        // IPv6 has no default table of its own.
        let count = if of == AF_INET { 3 } else { 2 };
        for (priority, table) in &RULES[..count] {
            let fixed = [of, 0, 0, 0, *table, 0, 0, TO_TABLE, 0, 0, 0, 0];
            let mut message = Message::new(rtm::NEW_RULE, &fixed);
            message.number(FRA_TABLE, (*table).into());
            if *priority != 0 {
                message.number(FRA_PRIORITY, *priority);
            }
            to.add(message);
        }
    }
}
