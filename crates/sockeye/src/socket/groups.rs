//! Multicast groups and their sources, by the names that socket2 gives the calls and, where it has
//! none, RFC 3678.

use super::Socket;
use crate::error::to_io;
use sockeye_core::multicast::membership::SourceChange;
use sockeye_core::{Error, InterfaceId, OptionValue, SocketOption, SourceFilter};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Any-source multicast.
impl Socket {
    /// Receives what is sent to a group, on the interface with an address, or on the one that the
    /// group's route leaves by.
    ///
    /// # Errors
    /// EINVAL when it is no group, EADDRINUSE when it is joined, ENOBUFS beyond
    /// `igmp_max_memberships`, ENODEV, EPROTO for a stream.
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        let interface = self.interface_of(*interface)?;
        self.join_group(IpAddr::V4(*group), interface)
    }

    /// Takes back [`join_multicast_v4`](Self::join_multicast_v4).
    ///
    /// # Errors
    /// EADDRNOTAVAIL when it is not joined, ENODEV.
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        let interface = self.interface_of(*interface)?;
        self.leave_group(IpAddr::V4(*group), interface)
    }

    /// Receives what is sent to a group, on an interface by number; 0 for the one that the group's
    /// route leaves by.
    ///
    /// # Errors
    /// As for [`join_multicast_v4`](Self::join_multicast_v4).
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.join_group(IpAddr::V6(*group), interface)
    }

    /// Takes back [`join_multicast_v6`](Self::join_multicast_v6).
    ///
    /// # Errors
    /// As for [`leave_multicast_v4`](Self::leave_multicast_v4).
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.leave_group(IpAddr::V6(*group), interface)
    }

    /// MCAST_JOIN_GROUP: [`join_multicast_v6`](Self::join_multicast_v6) for both families.
    ///
    /// # Errors
    /// As for [`join_multicast_v4`](Self::join_multicast_v4).
    pub fn join_group(&self, group: IpAddr, interface: u32) -> io::Result<()> {
        self.call(|op| op.membership(group, by_index(interface), true))
    }

    /// MCAST_LEAVE_GROUP: takes back [`join_group`](Self::join_group).
    ///
    /// # Errors
    /// As for [`leave_multicast_v4`](Self::leave_multicast_v4).
    pub fn leave_group(&self, group: IpAddr, interface: u32) -> io::Result<()> {
        self.call(|op| op.membership(group, by_index(interface), false))
    }

    /// IP_MULTICAST_IF: the interface that IPv4 groups are reached by, by one of its addresses,
    /// which they are then reached from; 0.0.0.0 for none in particular.
    ///
    /// # Errors
    /// EADDRNOTAVAIL without such an interface.
    pub fn set_multicast_if_v4(&self, interface: &Ipv4Addr) -> io::Result<()> {
        let index = self.interface_of(*interface).map_err(|error| {
            match error.raw_os_error() == Some(libc::ENODEV) {
                true => to_io(Error::AddressNotAvailable),
                false => error,
            }
        })?;
        let octets = [interface.octets(), index.to_ne_bytes()].concat();
        self.set_option(SocketOption::MulticastInterface, OptionValue::Bytes(octets))
    }

    /// IP_MULTICAST_IF: the address that was set.
    ///
    /// # Errors
    /// ENOPROTOOPT when the socket has no such option.
    pub fn multicast_if_v4(&self) -> io::Result<Ipv4Addr> {
        match self.option(SocketOption::MulticastInterface)? {
            OptionValue::Bytes(octets) => {
                let address = octets.first_chunk::<4>();
                Ok(address.map_or(Ipv4Addr::UNSPECIFIED, |octets| Ipv4Addr::from(*octets)))
            }
            _ => Err(to_io(Error::Invalid)),
        }
    }
}

/// Source-specific multicast, and source filters.
impl Socket {
    /// Receives what one source sends to a group; more may be joined, each in turn.
    ///
    /// # Errors
    /// EADDRNOTAVAIL when the source is joined, EINVAL when the group is joined for all sources but
    /// some, ENOBUFS beyond `igmp_max_msf`, and those of
    /// [`join_multicast_v4`](Self::join_multicast_v4).
    pub fn join_ssm_v4(
        &self,
        source: &Ipv4Addr,
        group: &Ipv4Addr,
        interface: &Ipv4Addr,
    ) -> io::Result<()> {
        let interface = self.interface_of(*interface)?;
        self.join_source_group(IpAddr::V4(*group), IpAddr::V4(*source), interface)
    }

    /// Takes back [`join_ssm_v4`](Self::join_ssm_v4).
    ///
    /// # Errors
    /// EINVAL when the group is not joined for some sources, EADDRNOTAVAIL when this one is not
    /// among them, ENODEV.
    pub fn leave_ssm_v4(
        &self,
        source: &Ipv4Addr,
        group: &Ipv4Addr,
        interface: &Ipv4Addr,
    ) -> io::Result<()> {
        let interface = self.interface_of(*interface)?;
        self.leave_source_group(IpAddr::V4(*group), IpAddr::V4(*source), interface)
    }

    /// MCAST_JOIN_SOURCE_GROUP: [`join_ssm_v4`](Self::join_ssm_v4) for both families, on an
    /// interface by number; 0 for the one that the group's route leaves by.
    ///
    /// # Errors
    /// As for [`join_ssm_v4`](Self::join_ssm_v4).
    pub fn join_source_group(
        &self,
        group: IpAddr,
        source: IpAddr,
        interface: u32,
    ) -> io::Result<()> {
        self.change_source(group, interface, SourceChange::Join, source)
    }

    /// MCAST_LEAVE_SOURCE_GROUP: takes back [`join_source_group`](Self::join_source_group).
    ///
    /// # Errors
    /// As for [`leave_ssm_v4`](Self::leave_ssm_v4).
    pub fn leave_source_group(
        &self,
        group: IpAddr,
        source: IpAddr,
        interface: u32,
    ) -> io::Result<()> {
        self.change_source(group, interface, SourceChange::Leave, source)
    }

    /// MCAST_BLOCK_SOURCE: of a group that is joined for all sources this one is no longer heard.
    ///
    /// # Errors
    /// EINVAL when the group is not joined so, EADDRNOTAVAIL when it is not heard already, ENOBUFS
    /// beyond `igmp_max_msf` and `mld_max_msf`, ENODEV.
    pub fn block_source(&self, group: IpAddr, source: IpAddr, interface: u32) -> io::Result<()> {
        self.change_source(group, interface, SourceChange::Block, source)
    }

    /// MCAST_UNBLOCK_SOURCE: takes back [`block_source`](Self::block_source).
    ///
    /// # Errors
    /// As for [`block_source`](Self::block_source).
    pub fn unblock_source(&self, group: IpAddr, source: IpAddr, interface: u32) -> io::Result<()> {
        self.change_source(group, interface, SourceChange::Unblock, source)
    }

    /// MCAST_MSFILTER: whom of a joined group the socket hears, all at once. INCLUDE of nobody
    /// leaves the group.
    ///
    /// # Errors
    /// EINVAL when the group is not joined, ENOBUFS beyond `igmp_max_msf` and `mld_max_msf`, ENODEV.
    pub fn set_source_filter(
        &self,
        group: IpAddr,
        interface: u32,
        filter: SourceFilter,
    ) -> io::Result<()> {
        self.call(|op| op.set_source_filter((group, by_index(interface)), filter))
    }

    /// MCAST_MSFILTER: whom of a joined group the socket hears.
    ///
    /// # Errors
    /// EADDRNOTAVAIL when the group is not joined, ENODEV.
    pub fn source_filter(&self, group: IpAddr, interface: u32) -> io::Result<SourceFilter> {
        self.call(|op| op.source_filter((group, by_index(interface))))
    }

    pub(super) fn change_source(
        &self,
        group: IpAddr,
        interface: u32,
        change: SourceChange,
        source: IpAddr,
    ) -> io::Result<()> {
        self.call(|op| op.change_source((group, by_index(interface)), change, source))
    }

    /// The number of the interface that has an address; 0 for 0.0.0.0.
    fn interface_of(&self, address: Ipv4Addr) -> io::Result<u32> {
        if address.is_unspecified() {
            return Ok(0);
        }
        let interfaces = self.0.node.interfaces()?;
        let found = interfaces.iter().find(|interface| {
            let mut addresses = interface.addresses.iter();
            addresses.any(|a| a.net.addr() == IpAddr::V4(address))
        });
        let index = found.map(|interface| interface.id.0);
        index.ok_or_else(|| to_io(Error::NoDevice))
    }
}

fn by_index(interface: u32) -> Option<InterfaceId> {
    (interface != 0).then_some(InterfaceId(interface))
}
