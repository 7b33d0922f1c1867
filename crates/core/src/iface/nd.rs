//! Neighbour discovery messages: solicitations and advertisements of neighbours (RFC 4861 §7),
//! redirects (§8); those of routers are [`autoconf`](super::autoconf)'s.

use super::neighbour::Advertisement;
use super::{AddressState, autoconf, dad, group, resolve, transmit};
use crate::iface::ipv6_settings;
use crate::ip::redirect;
use crate::{Context, Counter, InterfaceId, IpInfo, MacAddr, Medium, Packet};
use sockeye_wire::ndp::{HOP_LIMIT, Header};
use sockeye_wire::ndp_options::{NdpOption, Options};
use sockeye_wire::{EtherType, IpProtocol, icmpv6, ipv6};
use std::net::{IpAddr, Ipv6Addr};

/// RFC 4291 §2.7.1.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// RFC 4291 §2.7.1.
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// Takes a neighbour discovery message whose checksum holds, from its ICMPv6 type on.
pub(crate) fn receive(
    cx: &mut Context<'_>,
    ip: &IpInfo,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    message: &[u8],
) -> Result<(), Counter> {
    const BAD: Counter = Counter::NeighbourInErrors;
    let header = Header::parse(message).map_err(|_| BAD)?;
    let behind = message.get(header.header_len()..).unwrap_or_default();
    let options = Options::parse(behind).map_err(|_| BAD)?;
    if !header.is_acceptable(source, destination, ip.hop_limit, options) {
        return Err(BAD);
    }
    let link = cx.inet.interface(ip.interface).ok_or(BAD)?;
    let Medium::Ethernet(our_mac) = link.capabilities().medium else {
        return Ok(());
    };
    let source_mac = |o: NdpOption<'_>| match o {
        NdpOption::SourceLinkLayerAddress(mac) => Some(mac),
        _ => None,
    };
    let target_mac = |o: NdpOption<'_>| match o {
        NdpOption::TargetLinkLayerAddress(mac) => Some(mac),
        _ => None,
    };
    match header {
        Header::NeighborSolicitation { target } => {
            let mac = link_layer_address(options, our_mac, source_mac)?;
            solicited(cx, ip, source, target, mac);
            Ok(())
        }
        Header::NeighborAdvertisement {
            solicited,
            override_flag,
            target,
            router,
        } => {
            let mac = link_layer_address(options, our_mac, target_mac)?;
            if link.addresses().iter().any(|a| a.net.addr() == target) {
                // RFC 4862 §5.4.4: somebody else has our address.
                dad::conflict(cx, ip.interface, target);
                return Ok(());
            }
            let now = cx.now;
            let link = cx.inet.interface_mut(ip.interface).ok_or(BAD)?;
            let advertisement = Advertisement {
                mac,
                solicited,
                override_flag,
            };
            let steps = link
                .neighbours
                .advertised(now, IpAddr::V6(target), advertisement);
            resolve::take_all(cx, ip.interface, steps);
            if !router {
                autoconf::no_router(cx, ip.interface, target);
            }
            Ok(())
        }
        Header::RouterAdvertisement(advertisement) => {
            let mac = link_layer_address(options, our_mac, source_mac)?;
            autoconf::advertised(cx, ip.interface, source, mac, advertisement, options);
            Ok(())
        }
        Header::Redirect {
            target,
            destination,
        } => {
            let mac = link_layer_address(options, our_mac, target_mac)?;
            redirected(cx, ip.interface, source, (target, destination), mac);
            Ok(())
        }
        // RFC 4861 §6.2.6: only routers heed it.
        Header::RouterSolicitation => Ok(()),
    }
}

/// A router says that `target` is the better first hop to `destination` (RFC 4861 §8.3).
fn redirected(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    router: Ipv6Addr,
    (target, destination): (Ipv6Addr, Ipv6Addr),
    mac: Option<MacAddr>,
) {
    cx.counters.add(Counter::Icmp6InRedirects);
    let (by, to) = (IpAddr::V6(router), IpAddr::V6(target));
    let heeded = ipv6_settings(cx.config, cx.inet, interface).accept_redirects
        && !cx.inet.is_local(to)
        && redirect::learn(cx, interface, by, to, IpAddr::V6(destination));
    if !heeded {
        redirect::ignore(cx);
        return;
    }
    if let Some(mac) = mac {
        heard_of(cx, interface, to, mac, true);
    }
}

/// `address` was said to be at `mac`; it is added only when `create`.
pub(super) fn heard_of(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    address: IpAddr,
    mac: MacAddr,
    create: bool,
) {
    let (now, max) = (cx.now, cx.config.neighbours_max);
    let Some(link) = cx.inet.interface_mut(interface) else {
        return;
    };
    let steps = link.neighbours.heard_of(now, max, address, mac, create);
    resolve::take_all(cx, interface, steps);
}

/// The link-layer address among the options: none, or one that a single other station can have.
fn link_layer_address(
    options: Options<'_>,
    ours: MacAddr,
    pick: impl Fn(NdpOption<'_>) -> Option<MacAddr>,
) -> Result<Option<MacAddr>, Counter> {
    let Some(mac) = options.into_iter().find_map(pick) else {
        return Ok(None);
    };
    if !mac.is_unicast() || mac == ours {
        return Err(Counter::NeighbourInErrors);
    }
    Ok(Some(mac))
}

/// Somebody asks for `target` (RFC 4861 §7.2.3), or wants it for itself (RFC 4862 §5.4.3).
fn solicited(
    cx: &mut Context<'_>,
    ip: &IpInfo,
    source: Ipv6Addr,
    target: Ipv6Addr,
    mac: Option<MacAddr>,
) {
    let interface = ip.interface;
    let Some(link) = cx.inet.interface(interface) else {
        return;
    };
    let ours = link.addresses().iter().find(|a| a.net.addr() == target);
    match ours.map(|a| a.state) {
        None | Some(AddressState::Duplicate) => return,
        Some(AddressState::Tentative) => {
            // Who asks for it has another; who asks from nowhere wants this one too.
            if source.is_unspecified() {
                dad::conflict(cx, interface, target);
            }
            return;
        }
        Some(AddressState::Preferred | AddressState::Deprecated) => {}
    }
    if let Some(mac) = mac
        && !source.is_unspecified()
    {
        let source = IpAddr::V6(source);
        // Who is not on the link by any prefix is answered, not remembered.
        let create = cx.inet.is_on_link(interface, source);
        heard_of(cx, interface, source, mac, create);
    }
    // RFC 4861 §7.2.4: who asks from nowhere is answered before everybody.
    let asked_by_nobody = source.is_unspecified();
    let to = if asked_by_nobody { ALL_NODES } else { source };
    // RFC 4861 §7.2.4 by §4.4: the sender is a router, or no longer one.
    let router = cx
        .inet
        .interface(interface)
        .is_some_and(|link| link.settings().v6.forwarding);
    let advertisement = Header::NeighborAdvertisement {
        router,
        solicited: !asked_by_nobody,
        override_flag: true,
        target,
    };
    send(cx, interface, target, to, None, &advertisement, true);
}

/// Asks who has `address`: everybody, or the station that had it.
pub(super) fn solicit(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    address: Ipv6Addr,
    to: Option<MacAddr>,
) {
    let next_hop = IpAddr::V6(address);
    let source =
        crate::ip::source::choose(cx.inet, interface, next_hop, next_hop, Default::default());
    let Some(IpAddr::V6(source)) = source else {
        return;
    };
    let destination = match to {
        Some(_) => address,
        None => group::solicited_node(address),
    };
    let solicitation = Header::NeighborSolicitation { target: address };
    send(cx, interface, source, destination, to, &solicitation, true);
}

/// Asks whether somebody has `address` already (RFC 4862 §5.4.2).
pub(super) fn probe(cx: &mut Context<'_>, interface: InterfaceId, address: Ipv6Addr) {
    let solicitation = Header::NeighborSolicitation { target: address };
    let to = group::solicited_node(address);
    let from = Ipv6Addr::UNSPECIFIED;
    send(cx, interface, from, to, None, &solicitation, false);
}

/// Asks the routers of the link to advertise themselves (RFC 4861 §6.3.7).
pub(super) fn solicit_routers(cx: &mut Context<'_>, interface: InterfaceId) {
    let Some(link) = cx.inet.interface(interface) else {
        return;
    };
    let own = link.addresses().iter().filter(|a| a.is_usable());
    let own = own.filter_map(|a| match a.net.addr() {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(v6),
        _ => None,
    });
    let source = own.into_iter().next();
    cx.counters.add(Counter::Icmp6OutRouterSolicits);
    let from = source.unwrap_or(Ipv6Addr::UNSPECIFIED);
    let message = Header::RouterSolicitation;
    let with_address = source.is_some();
    send(
        cx,
        interface,
        from,
        ALL_ROUTERS,
        None,
        &message,
        with_address,
    );
}

/// Sends a message, with our link-layer address if `with_address`; to the station `mac`, or
/// wherever the neighbour table says.
fn send(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    mac: Option<MacAddr>,
    header: &Header,
    with_address: bool,
) {
    let Some(Medium::Ethernet(our_mac)) = cx
        .inet
        .interface(interface)
        .map(|link| link.capabilities().medium)
    else {
        return;
    };
    let option = match header {
        Header::NeighborAdvertisement { .. } => NdpOption::TargetLinkLayerAddress(our_mac),
        _ => NdpOption::SourceLinkLayerAddress(our_mac),
    };
    let header_len = header.header_len();
    let len = header_len
        + if with_address {
            option.emitted_len()
        } else {
            0
        };
    let mut packet = Packet::with_payload(crate::Payload::new());
    let message = packet.push(len);
    header.emit(message);
    if with_address {
        option.emit(&mut message[header_len..]);
    }
    icmpv6::fill_checksum(source, destination, message);
    let Ok(payload_len) = u16::try_from(len) else {
        return;
    };
    let mut ip = ipv6::Header::new(source, destination, IpProtocol::ICMPV6, payload_len);
    ip.hop_limit = HOP_LIMIT;
    ip.emit(packet.push(ipv6::HEADER_LEN));
    cx.counters.add(Counter::IcmpOutMsgs);
    // A full queue is counted there; whoever needs the answer asks again.
    let _ = match mac {
        Some(mac) => transmit::frame_of(cx, interface, mac, EtherType::IPV6, packet),
        None => transmit::output(cx, interface, IpAddr::V6(destination), packet),
    };
}
