//! From the addresses that a program says to those on the wire, and what goes with a destination.

use super::{Domain, MtuDiscover, SocketCommon};
use crate::demux::{Binding, Endpoint, Family, Sharing, is_scoped, to_mapped};
use crate::{Error, InterfaceId};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

impl SocketCommon {
    /// How the options share a port.
    #[must_use]
    pub const fn sharing(&self) -> Sharing {
        Sharing {
            reuse_address: self.reuse_address,
            reuse_port: self.reuse_port,
            listening: false,
            by_connect: false,
        }
    }

    /// Which addresses reach the socket when it is bound to none.
    #[must_use]
    pub const fn family(&self) -> Family {
        match (self.domain, self.only_v6) {
            (Domain::V4, _) => Family::V4,
            (Domain::V6, true) => Family::V6,
            (Domain::V6, false) => Family::Both,
        }
    }

    /// What a `bind` to `addr` asks for; a link-local address takes its interface from the scope
    /// or from SO_BINDTODEVICE.
    ///
    /// # Errors
    /// [`Error::AddressFamily`] when `addr` is of the other family; [`Error::Invalid`] for a
    /// mapped address with IPV6_V6ONLY and a link-local one without its interface.
    pub fn local(&self, addr: SocketAddr) -> Result<Endpoint, Error> {
        match (self.domain, addr) {
            (Domain::V4, SocketAddr::V4(_)) => Ok(addr.into()),
            (Domain::V6, SocketAddr::V6(v6)) => {
                if self.only_v6 && v6.ip().to_ipv4_mapped().is_some() {
                    return Err(Error::Invalid);
                }
                self.with_scope(addr.into())
            }
            _ => Err(Error::AddressFamily),
        }
    }

    /// The binding of the socket at `local`: port and address as [`local`](Self::local) gave them.
    #[must_use]
    pub fn binding(&self, local: Endpoint) -> Binding {
        // ::ffff:0.0.0.0 is any IPv4 address.
        let any = match (local.ip, self.family()) {
            (IpAddr::V4(_), _) => Family::V4,
            (IpAddr::V6(_), family) => family,
        };
        Binding::new(local, self.device, any)
    }

    /// The peer or destination that `addr` names, on the wire. An unspecified one means the
    /// loopback, as everywhere in BSD sockets.
    ///
    /// # Errors
    /// [`Error::AddressFamily`] when the socket can't reach that family;
    /// [`Error::NetworkUnreachable`] for a mapped address with IPV6_V6ONLY; [`Error::Invalid`] for
    /// a link-local one without its interface.
    pub fn remote(&self, addr: SocketAddr) -> Result<Endpoint, Error> {
        let mut endpoint = Endpoint::from(addr);
        match (self.family(), addr, endpoint.ip) {
            (Family::V4, SocketAddr::V6(_), _) | (Family::V6, SocketAddr::V4(_), _) => {
                return Err(Error::AddressFamily);
            }
            (Family::V6, _, IpAddr::V4(_)) => return Err(Error::NetworkUnreachable),
            _ => {}
        }
        if endpoint.is_unspecified() {
            endpoint.ip = match endpoint.ip {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            };
        }
        self.with_scope(endpoint)
    }

    /// A group that the socket may join, on the wire.
    ///
    /// # Errors
    /// [`Error::AddressFamily`] for an IPv6 group on an IPv4 socket.
    pub fn group(&self, group: IpAddr) -> Result<IpAddr, Error> {
        match (self.domain, group.to_canonical()) {
            (Domain::V4, IpAddr::V6(_)) => Err(Error::AddressFamily),
            (_, group) => Ok(group),
        }
    }

    /// `endpoint` as the program is to see it: IPv4 as mapped on an IPv6 socket.
    #[must_use]
    pub fn show(&self, endpoint: Endpoint) -> SocketAddr {
        match self.domain {
            Domain::V4 => endpoint.into(),
            // An unbound dual-stack socket shows ::, whatever it was made from.
            Domain::V6 => {
                let ip = to_mapped(endpoint.ip);
                SocketAddrV6::new(ip, endpoint.port, 0, endpoint.scope).into()
            }
        }
    }

    /// TTL or hop limit of packets to `destination`; `None` for the way's own
    /// ([`Context::hop_limit`](crate::Context::hop_limit)).
    #[must_use]
    pub fn hop_limit(&self, destination: IpAddr) -> Option<u8> {
        match (destination, destination.is_multicast()) {
            (IpAddr::V4(_), true) => Some(self.multicast_ttl),
            (IpAddr::V6(_), true) => Some(self.multicast_hops),
            (IpAddr::V4(_), false) => self.ttl,
            (IpAddr::V6(_), false) => self.unicast_hops,
        }
    }

    /// TOS or traffic class of packets to `destination`.
    #[must_use]
    pub const fn class(&self, destination: IpAddr) -> u8 {
        match destination {
            IpAddr::V4(_) => self.tos,
            IpAddr::V6(_) => self.traffic_class,
        }
    }

    /// What is done about the size of packets to `destination`.
    #[must_use]
    pub const fn mtu_policy(&self, destination: IpAddr) -> MtuDiscover {
        match destination {
            IpAddr::V4(_) => self.mtu_discover,
            IpAddr::V6(_) => self.mtu_discover_v6,
        }
    }

    /// The interface that packets to `destination` must leave by, where something fixes it:
    /// SO_BINDTODEVICE, the scope, or for groups IP_MULTICAST_IF and IPV6_MULTICAST_IF, for hosts
    /// IP_UNICAST_IF and IPV6_UNICAST_IF.
    #[must_use]
    pub fn out_interface(&self, destination: Endpoint) -> Option<InterfaceId> {
        let choice = match destination.ip {
            ip if !ip.is_multicast() => self.internet.unicast_interface(ip),
            IpAddr::V4(_) => self.multicast_interface,
            IpAddr::V6(_) => self.multicast_interface_v6,
        };
        self.device.or(destination.scope_interface()).or(choice)
    }

    /// A link-local address gets the interface of SO_BINDTODEVICE, or for groups of
    /// IPV6_MULTICAST_IF, where it names none; every other address has none.
    fn with_scope(&self, mut endpoint: Endpoint) -> Result<Endpoint, Error> {
        if !is_scoped(endpoint.ip) {
            return Ok(endpoint);
        }
        if endpoint.scope == 0 {
            let interface = self.out_interface(endpoint);
            endpoint.scope = match interface {
                Some(interface) => interface.0,
                // A group without an interface goes where the routes say.
                None if endpoint.ip.is_multicast() => 0,
                None => return Err(Error::Invalid),
            };
        }
        if self.device.is_some_and(|device| device.0 != endpoint.scope) {
            return Err(Error::Invalid);
        }
        Ok(endpoint)
    }
}
