//! setsockopt(2) and getsockopt(2) as bytes, with Linux's numbers and layouts.

use super::Socket;
use crate::error::to_io;
use crate::option_table::{self, Devices};
use sockeye_core::{Error, InterfaceId, SocketOption};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

impl Socket {
    /// setsockopt(2).
    ///
    /// # Errors
    /// ENOPROTOOPT for what the socket does not have, EINVAL for a value of the wrong size or out
    /// of range.
    pub fn set_option_raw(&self, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
        let (option, layout) = option_table::to_set(level, name, value).map_err(to_io)?;
        if let Some(done) = self.set_keys_raw(option, value) {
            return done;
        }
        let join = matches!(
            option,
            SocketOption::AddMembership | SocketOption::AddMembershipV6
        );
        match option {
            SocketOption::AddMembership | SocketOption::DropMembership => {
                let group = octets::<4>(value, 0).map(Ipv4Addr::from)?;
                // struct ip_mreq at the least.
                octets::<4>(value, 4)?;
                let devices = self.devices()?;
                let interface = option_table::multicast_device(&devices, value).map_err(to_io)?;
                self.membership(group.into(), interface, join)
            }
            SocketOption::AddMembershipV6 | SocketOption::DropMembershipV6 => {
                let group = octets::<16>(value, 0).map(Ipv6Addr::from)?;
                let interface = option_table::int_at(value, 16).map_err(to_io)?;
                self.membership(group.into(), interface.cast_unsigned(), join)
            }
            _ => {
                let devices = self.devices_for(option)?;
                let value = option_table::read(&devices, level, layout, value)?;
                self.set_option(option, value)
            }
        }
    }

    /// getsockopt(2): writes the value, cut to what fits where Linux cuts it, and says how many
    /// bytes it wrote. TCP_AO_GET_KEYS and TCP_AO_INFO read `out` first, as they do on Linux.
    ///
    /// # Errors
    /// ENOPROTOOPT for what the socket does not have.
    pub fn option_raw(&self, level: i32, name: i32, out: &mut [u8]) -> io::Result<usize> {
        let (option, layout) = option_table::to_get(level, name).map_err(to_io)?;
        if let Some(done) = self.keys_raw(option, out) {
            return done;
        }
        if option == SocketOption::SavedSyn {
            let syn = self.take_saved_syn(out.len())?;
            return Ok(option_table::put(&syn, out));
        }
        let value = self.option(option)?;
        let devices = self.devices_for(option)?;
        option_table::write(&devices, level, layout, &value, out).map_err(to_io)
    }

    fn membership(&self, group: IpAddr, interface: u32, join: bool) -> io::Result<()> {
        let interface = (interface != 0).then_some(InterfaceId(interface));
        self.call(|op| op.membership(group, interface, join))
    }

    /// The interfaces, where the option names one.
    fn devices_for(&self, option: SocketOption) -> io::Result<Interfaces> {
        match option {
            SocketOption::BindToDevice | SocketOption::MulticastInterface => self.devices(),
            _ => Ok(Interfaces(Vec::new())),
        }
    }

    fn devices(&self) -> io::Result<Interfaces> {
        let interfaces = self.node().interfaces()?.into_iter();
        let v4 = |interface: crate::node::InterfaceInfo| {
            let addresses = interface.addresses.iter();
            let v4 = addresses.filter_map(|address| match address.net.addr() {
                IpAddr::V4(v4) => Some(v4),
                IpAddr::V6(_) => None,
            });
            (interface.id.0, interface.name.clone(), v4.collect())
        };
        Ok(Interfaces(interfaces.map(v4).collect()))
    }
}

/// Index, name and IPv4 addresses.
struct Interfaces(Vec<(u32, String, Vec<Ipv4Addr>)>);

impl Devices for Interfaces {
    fn index(&self, name: &str) -> Option<u32> {
        self.0.iter().find(|i| i.1 == name).map(|i| i.0)
    }

    fn name(&self, index: u32) -> Option<String> {
        self.0.iter().find(|i| i.0 == index).map(|i| i.1.clone())
    }

    fn with_address(&self, address: Ipv4Addr) -> Option<u32> {
        self.0.iter().find(|i| i.2.contains(&address)).map(|i| i.0)
    }

    fn address(&self, index: u32) -> Option<Ipv4Addr> {
        let interface = self.0.iter().find(|i| i.0 == index)?;
        interface.2.first().copied()
    }
}

fn octets<const N: usize>(bytes: &[u8], offset: usize) -> io::Result<[u8; N]> {
    let octets = bytes.get(offset..).and_then(<[u8]>::first_chunk);
    octets.copied().ok_or_else(|| to_io(Error::Invalid))
}
