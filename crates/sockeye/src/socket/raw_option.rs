//! setsockopt(2) and getsockopt(2) as bytes, with Linux's numbers and layouts.

use super::{Domain, Kind, Socket};
use crate::error::to_io;
use crate::option_table::{self, Devices};
use sockeye_core::option::Layout;
use sockeye_core::{Error, SocketOption};
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// Options of raw sockets, each of those for some protocols alone.
const OF_RAW: [SocketOption; 3] = [
    SocketOption::IcmpFilter,
    SocketOption::Icmp6Filter,
    SocketOption::ChecksumOffset,
];

impl Socket {
    /// setsockopt(2).
    ///
    /// # Errors
    /// ENOPROTOOPT for what the socket does not have, EINVAL for a value of the wrong size or out
    /// of range.
    pub fn set_option_raw(&self, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
        if !self.has_level(level) {
            return Err(to_io(Error::NoProtocolOption));
        }
        if !self.has_header_by(level, name) {
            return Err(to_io(Error::NoProtocolOption));
        }
        if self.is_pass_credentials(level, name) {
            return self.set_pass_credentials(flag(value)?);
        }
        if let Some(done) = self.set_sctp_raw(level, name, value) {
            return done;
        }
        let (option, layout) = option_table::to_set(level, name, value).map_err(to_io)?;
        if let Some(done) = self.set_keys_raw(option, value) {
            return done;
        }
        if let Some(done) = self.set_group_raw(level, option, value) {
            return done;
        }
        // Linux: who does not have one of these says so before it looks at the value.
        if OF_RAW.contains(&option) {
            self.option(option)?;
        }
        let devices = self.devices_for(option)?;
        let value = option_table::read(&devices, level, layout, value)?;
        self.set_option(option, value)
    }

    /// getsockopt(2): writes the value, cut to what fits where Linux cuts it, and says how many
    /// bytes it wrote. TCP_AO_GET_KEYS, TCP_AO_INFO, IP_MSFILTER and MCAST_MSFILTER read `out` first,
    /// as they do on Linux.
    ///
    /// # Errors
    /// ENOPROTOOPT for what the socket does not have.
    pub fn option_raw(&self, level: i32, name: i32, out: &mut [u8]) -> io::Result<usize> {
        if !self.has_level(level) {
            // As on Linux, where an IPv4 socket knows no other level to ask at.
            return Err(to_io(match self.domain() {
                Domain::IPV4 => Error::NotSupported,
                _ => Error::NoProtocolOption,
            }));
        }
        if !self.has_header_by(level, name) {
            return Err(to_io(Error::NoProtocolOption));
        }
        if self.is_pass_credentials(level, name) {
            let on = i32::from(self.pass_credentials()?);
            return Ok(option_table::put(&on.to_ne_bytes(), out));
        }
        if let Some(done) = self.sctp_raw(level, name, out) {
            return done;
        }
        let (option, layout) = option_table::to_get(level, name).map_err(to_io)?;
        // Linux looks for room before it looks for a value.
        if matches!(layout, Layout::Exact(len) if out.len() < len) {
            return Err(to_io(Error::Invalid));
        }
        if let Some(done) = self.keys_raw(option, out) {
            return done;
        }
        if let Some(done) = self.group_raw(level, option, out) {
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

    /// Whether it has options of that level: an IPv4 socket has none of IPv6, nor a raw IPv6 socket
    /// any of IPv4; raw and ping sockets have none of other transports, and no filters that are not
    /// theirs.
    fn has_level(&self, level: i32) -> bool {
        if level == libc::IPPROTO_SCTP {
            return matches!(self.0.kind, Kind::Sctp(_));
        }
        !matches!(
            (level, self.domain(), self.0.kind),
            (libc::IPPROTO_IPV6, Domain::IPV4, _)
                | (libc::IPPROTO_IP, Domain::IPV6, Kind::Raw)
                | (
                    libc::IPPROTO_TCP | libc::IPPROTO_UDP | libc::IPPROTO_UDPLITE,
                    _,
                    Kind::Raw | Kind::Ping
                )
                | (libc::IPPROTO_ICMPV6, Domain::IPV4, Kind::Raw)
                | (libc::IPPROTO_ICMPV6 | libc::IPPROTO_RAW, _, Kind::Ping)
        )
    }

    /// SO_PASSCRED: sockets of hosts have none.
    fn is_pass_credentials(&self, level: i32, name: i32) -> bool {
        (level, name) == (libc::SOL_SOCKET, libc::SO_PASSCRED)
            && matches!(self.0.kind, Kind::Unix(_))
    }

    /// IPV6_HDRINCL is a raw socket's alone, while IP_HDRINCL can be read of any.
    fn has_header_by(&self, level: i32, name: i32) -> bool {
        (level, name) != (libc::IPPROTO_IPV6, libc::IPV6_HDRINCL) || self.0.kind == Kind::Raw
    }

    /// The interfaces, where the option names one.
    fn devices_for(&self, option: SocketOption) -> io::Result<Interfaces> {
        match option {
            SocketOption::BindToDevice | SocketOption::MulticastInterface => self.devices(),
            _ => Ok(Interfaces(Vec::new())),
        }
    }

    pub(super) fn devices(&self) -> io::Result<Interfaces> {
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

/// An int that is on or off.
fn flag(value: &[u8]) -> io::Result<bool> {
    let word = value.first_chunk().ok_or_else(|| to_io(Error::Invalid))?;
    Ok(i32::from_ne_bytes(*word) != 0)
}

/// Index, name and IPv4 addresses.
pub(super) struct Interfaces(Vec<(u32, String, Vec<Ipv4Addr>)>);

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
}
