//! Where a packet leaves, and from which address.

use super::{Inet, InterfaceId, Route, RouteQuery};
use crate::Error;
use crate::iface::Interface;
use crate::internet_options::AddressPreferences;
use crate::ip::source;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

impl Inet {
    /// See [`Context::route`](crate::Context::route).
    ///
    /// # Errors
    /// See [`Context::route`](crate::Context::route).
    pub fn route(&self, query: &RouteQuery) -> Result<Route, Error> {
        self.route_preferring(query, AddressPreferences::default())
    }

    /// [`route`](Self::route), from an address that a socket likes (RFC 5014).
    ///
    /// # Errors
    /// See [`Context::route`](crate::Context::route).
    pub fn route_preferring(
        &self,
        query: &RouteQuery,
        preferences: AddressPreferences,
    ) -> Result<Route, Error> {
        let destination = named_host(query.destination);
        let source = query.source.filter(|s| !s.is_unspecified());
        if let Some(source) = source {
            if source.is_ipv4() != destination.is_ipv4() {
                return Err(Error::AddressFamily);
            }
            if !query.foreign_source && !self.is_local(source) {
                return Err(Error::AddressNotAvailable);
            }
        }
        if self.is_local_on(destination, query.interface) {
            return Ok(self.local_route(destination, source));
        }
        let (id, interface, next_hop) = self.way_out(destination, query.interface)?;
        let next_hop = self.redirects.next_hop(destination, id, next_hop);
        let source = source
            .or_else(|| source::choose(self, id, destination, next_hop, preferences))
            .ok_or(Error::AddressNotAvailable)?;
        let broadcast = matches!(destination, IpAddr::V4(v4)
            if v4.is_broadcast() || interface.is_subnet_broadcast(v4));
        Ok(Route {
            interface: id,
            source,
            next_hop,
            mtu: self
                .path_mtus
                .get(destination)
                .unwrap_or(u32::MAX)
                .min(ip_mtu(interface.mtu_for(destination), destination)),
            offload: interface.offload(),
            local: false,
            broadcast,
            version: self.route_version(),
        })
    }

    /// The neighbour that carries packets for `destination`, by the routes alone.
    pub(crate) fn first_hop(&self, destination: IpAddr, interface: InterfaceId) -> Option<IpAddr> {
        let way = self.way_out(destination, Some(interface)).ok();
        way.map(|(_, _, next_hop)| next_hop)
    }

    /// Whether `address` is ours as seen from `interface`: link-local ones are so only there.
    pub(crate) fn is_local_on(&self, address: IpAddr, interface: Option<InterfaceId>) -> bool {
        match (address, interface) {
            (IpAddr::V6(v6), Some(id)) if v6.is_unicast_link_local() => {
                id == InterfaceId::LOOPBACK && self.is_local(address)
                    || self.interface(id).is_some_and(|i| i.has_address(address))
            }
            _ => self.is_local(address),
        }
    }

    fn local_route(&self, destination: IpAddr, source: Option<IpAddr>) -> Route {
        let id = InterfaceId::LOOPBACK;
        let lo = self.interface(id).expect("the loopback is never removed");
        Route {
            interface: id,
            source: source.unwrap_or(match destination {
                IpAddr::V4(v4) if v4.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
                _ => destination,
            }),
            next_hop: destination,
            mtu: ip_mtu(lo.mtu(), destination),
            offload: lo.offload(),
            local: true,
            broadcast: false,
            version: self.route_version(),
        }
    }

    /// The interface by which `destination` is reached, and the neighbour there.
    fn way_out(
        &self,
        destination: IpAddr,
        fixed: Option<InterfaceId>,
    ) -> Result<(InterfaceId, &Interface, IpAddr), Error> {
        if let Some(id) = fixed {
            let interface = self.interface(id).ok_or(Error::NoDevice)?;
            if !interface.is_up() {
                return Err(Error::NetworkDown);
            }
        }
        if is_link_scoped(destination) {
            let id = match fixed {
                Some(id) => id,
                None => self.link_for_scoped(destination)?,
            };
            let interface = self.interface(id).ok_or(Error::NoDevice)?;
            return Ok((id, interface, destination));
        }
        let usable = |id: InterfaceId| {
            fixed.is_none_or(|fixed| fixed == id)
                && self.interface(id).is_some_and(Interface::is_up)
        };
        if let Some(entry) = self.routes.lookup(destination, |e| usable(e.interface)) {
            let id = entry.interface;
            let interface = self.interface(id).ok_or(Error::NoDevice)?;
            return Ok((id, interface, entry.gateway.unwrap_or(destination)));
        }
        // A group needs no route: any link that can send will do.
        if destination.is_multicast() {
            let id = match fixed {
                Some(id) => id,
                None => self
                    .first_link(destination)
                    .ok_or(Error::NetworkUnreachable)?,
            };
            let interface = self.interface(id).ok_or(Error::NoDevice)?;
            return Ok((id, interface, destination));
        }
        Err(Error::NetworkUnreachable)
    }

    /// The link for a destination that means something else on each: the default route's, or the
    /// only one.
    fn link_for_scoped(&self, destination: IpAddr) -> Result<InterfaceId, Error> {
        if destination.is_ipv4() || destination.is_multicast() {
            let up = |id| self.interface(id).is_some_and(Interface::is_up);
            let by_route = self.routes.lookup(destination, |e| up(e.interface));
            return by_route
                .map(|e| e.interface)
                .or_else(|| self.first_link(destination))
                .ok_or(Error::NetworkUnreachable);
        }
        // RFC 4007 §6: a link-local address without a zone is ambiguous with several links.
        let mut links = self
            .interfaces()
            .filter(|(id, i)| *id != InterfaceId::LOOPBACK && i.is_up());
        let (id, _) = links.next().ok_or(Error::NetworkUnreachable)?;
        links.next().is_none().then_some(id).ok_or(Error::Invalid)
    }

    /// The first link that is up and has an address of the destination's family.
    fn first_link(&self, destination: IpAddr) -> Option<InterfaceId> {
        let mut links = self.interfaces().filter(|(id, interface)| {
            *id != InterfaceId::LOOPBACK
                && interface.is_up()
                && interface
                    .addresses()
                    .iter()
                    .any(|a| a.is_usable() && a.net.addr().is_ipv4() == destination.is_ipv4())
        });
        links.next().map(|(id, _)| id)
    }
}

/// RFC 1122 §3.2.1.3 has no meaning for an unspecified destination; as everywhere, it is the node
/// itself.
fn named_host(destination: IpAddr) -> IpAddr {
    match destination {
        IpAddr::V4(v4) if v4.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    }
}

/// Whether routers never carry packets to it.
fn is_link_scoped(destination: IpAddr) -> bool {
    match destination {
        // RFC 5771 §4: 224.0.0.0/24 is for the link.
        IpAddr::V4(v4) => v4.is_broadcast() || v4.octets().starts_with(&[224, 0, 0]),
        // RFC 4291 §2.7: scopes 1 and 2 of groups.
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local() || v6.is_multicast() && v6.octets()[1] & 0x0f <= 2
        }
    }
}

/// The largest packet of the destination's family on a link: an IPv4 packet has 65,535 bytes at
/// most, an IPv6 one 65,575.
fn ip_mtu(mtu: u32, destination: IpAddr) -> u32 {
    mtu.min(if destination.is_ipv4() {
        65_535
    } else {
        65_575
    })
}
