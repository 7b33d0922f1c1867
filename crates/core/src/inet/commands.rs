//! Commands that concern interfaces and their addresses, and what time asks of them.

use super::{InterfaceId, Notice};
use crate::iface::{self, Address, Interface, InterfaceConfig, Lifetime, autoconf, dad};
use crate::ip::route::RouteEntry;
use crate::multicast;
use crate::{AddrGenMode, AddressChange, Capabilities, Context, Error};
use ipnet::IpNet;
use std::net::IpAddr;

/// A deadline of the internet layer has come ([`Owner::Inet`](crate::Owner::Inet)).
pub fn on_timeout(cx: &mut Context<'_>) {
    crate::ip::pmtu::on_timeout(cx);
    crate::ip::redirect::on_timeout(cx);
    crate::ip::reassembly::on_timeout(cx);
}

/// Adds an interface with its addresses and the routes to their networks.
pub fn add_interface(cx: &mut Context<'_>, config: InterfaceConfig) -> InterfaceId {
    let addresses = config.addresses.clone();
    let link_local = config.link_local;
    let mut link = Interface::new(config, cx.rng);
    link.configure(&cx.config.interfaces);
    let (detect, detect_v4) = (link.detects_duplicates(), link.detects_conflicts());
    cx.inet.interfaces.push(Some(Box::new(link)));
    let id = InterfaceId(u32::try_from(cx.inet.interfaces.len()).unwrap_or(u32::MAX));
    for net in addresses {
        // An address given twice is there once.
        let detect = if net.addr().is_ipv4() {
            detect_v4
        } else {
            detect
        };
        let _ = add_address(cx, id, net, detect);
    }
    if link_local
        && iface::ipv6_settings(cx.config, cx.inet, id).addr_gen_mode != AddrGenMode::NoLinkLocal
    {
        dad::add_link_local(cx, id, 0, detect);
    }
    autoconf::start(cx, id);
    id
}

/// Takes an interface away, with its addresses, routes and neighbours. False when there is none,
/// or for the loopback, which stays.
pub fn remove_interface(cx: &mut Context<'_>, id: InterfaceId) -> bool {
    if id == InterfaceId::LOOPBACK {
        return false;
    }
    let Some(interface) = cx.inet.interface(id) else {
        return false;
    };
    let nets: Vec<IpNet> = interface.addresses().iter().map(|a| a.net).collect();
    for net in nets {
        remove_address(cx, id, net);
    }
    let inet = &mut *cx.inet;
    inet.routes.remove_interface(id);
    if let Some(link) = inet.interface_mut(id) {
        cx.timers.disarm(link.timer_mut());
    }
    if let Some(slot) = inet.interfaces.get_mut(id.0 as usize - 1) {
        *slot = None;
    }
    inet.routes_changed();
    true
}

/// Changes what an interface's link can do (its MTU, say); false when there is no such link.
pub fn set_capabilities(cx: &mut Context<'_>, id: InterfaceId, capabilities: Capabilities) -> bool {
    if id == InterfaceId::LOOPBACK {
        return false;
    }
    let Some(interface) = cx.inet.interface_mut(id) else {
        return false;
    };
    interface.set_capabilities(capabilities);
    cx.inet.routes_changed();
    true
}

/// Takes an interface up or down; down, it forgets its neighbours and loses what it had queued.
/// False when there is none.
pub fn set_up(cx: &mut Context<'_>, id: InterfaceId, up: bool) -> bool {
    let Some(link) = cx.inet.interface_mut(id) else {
        return false;
    };
    let changed = link.is_up() != up;
    link.set_up(up);
    match up {
        true if changed => autoconf::start(cx, id),
        true => {}
        false => autoconf::stop(cx, id),
    }
    iface::settle(cx, id);
    if up {
        multicast::tell_all(cx, id, false);
    }
    cx.inet.routes_changed();
    true
}

/// Gives an interface an address, and with it a route to its network. With `detect` it is
/// tentative first, until nobody on the link objected (RFC 4862 §5.4, RFC 5227 §2.1).
///
/// # Errors
/// [`Error::NoDevice`] for an unknown interface, [`Error::AddressInUse`] when it has the address,
/// [`Error::Invalid`] for one that no host can have.
pub fn add_address(
    cx: &mut Context<'_>,
    id: InterfaceId,
    net: IpNet,
    detect: bool,
) -> Result<(), Error> {
    add_address_as(cx, id, Address::preferred(net), detect)
}

/// Gives an interface an address as it is described; a route goes with it where its network is on
/// the link.
///
/// # Errors
/// Those of [`add_address`].
pub fn add_address_as(
    cx: &mut Context<'_>,
    id: InterfaceId,
    own: Address,
    detect: bool,
) -> Result<(), Error> {
    let address = own.net.addr();
    if address.is_multicast() || address.is_unspecified() {
        return Err(Error::Invalid);
    }
    let inet = &mut *cx.inet;
    let interface = inet.interface_mut(id).ok_or(Error::NoDevice)?;
    if !interface.add_address(own) {
        return Err(Error::AddressInUse);
    }
    if own.connected {
        inet.routes.insert(RouteEntry {
            destination: own.net.trunc(),
            gateway: None,
            interface: id,
            metric: 0,
        });
    }
    iface::follow_address(cx, id, address, true);
    if detect {
        dad::begin(cx, id, address);
    } else {
        self::own(cx, id, address);
    }
    if own.lifetime != Lifetime::FOREVER {
        autoconf::rearm(cx, id);
    }
    Ok(())
}

/// Says until when an address of an interface is good. False when it does not have it.
pub fn set_lifetime(
    cx: &mut Context<'_>,
    id: InterfaceId,
    address: IpAddr,
    lifetime: Lifetime,
) -> bool {
    autoconf::set_lifetime(cx, id, address, lifetime)
}

/// Says how large IPv4 packets of an interface may be, below what its link takes; `None` takes it
/// back. False when there is no such interface.
pub fn set_mtu_v4(cx: &mut Context<'_>, id: InterfaceId, mtu: Option<u32>) -> bool {
    let Some(interface) = cx.inet.interface_mut(id) else {
        return false;
    };
    interface.set_mtu_v4(mtu);
    cx.inet.routes_changed();
    true
}

/// `address` of an interface is in use from now on.
pub(crate) fn own(cx: &mut Context<'_>, id: InterfaceId, address: IpAddr) {
    cx.inet.own(address);
    // RFC 3810 §5.2.13: there is an address to report from.
    if matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
        multicast::tell_all(cx, id, true);
    }
}

/// Says that nothing new should start from an address where there is another (or that it may
/// again): RFC 4862 §5.5.4. False when the interface does not have it in use.
pub fn deprecate_address(
    cx: &mut Context<'_>,
    id: InterfaceId,
    address: IpAddr,
    deprecated: bool,
) -> bool {
    let Some(interface) = cx.inet.interface_mut(id) else {
        return false;
    };
    if !interface.deprecate(address, deprecated) {
        return false;
    }
    if deprecated {
        let change = AddressChange::Deprecated(address);
        cx.inet.notify(Notice::Address(change));
    }
    cx.inet.routes_changed();
    true
}

/// Takes an address away from an interface; false when it does not have it.
pub fn remove_address(cx: &mut Context<'_>, id: InterfaceId, net: IpNet) -> bool {
    forget_address(cx, id, net.addr())
}

pub(crate) fn forget_address(cx: &mut Context<'_>, id: InterfaceId, address: IpAddr) -> bool {
    let inet = &mut *cx.inet;
    let Some(interface) = inet.interface_mut(id) else {
        return false;
    };
    let Some(removed) = interface.remove_address(address) else {
        return false;
    };
    let network = removed.net.trunc();
    if removed.connected && !interface.is_connected(network) {
        inet.routes.remove(network, None, id);
    }
    if removed.is_usable() {
        inet.disown(address);
    }
    iface::follow_address(cx, id, address, false);
    iface::settle(cx, id);
    true
}
