//! setsockopt(2) and getsockopt(2) as bytes, with Linux's numbers and layouts.

use super::Socket;
use crate::error::{errno, os, to_io};
use crate::option_table::{self, Devices};
use sockeye_core::{Error, InterfaceId, SocketOption};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// SO_RCVTIMEO and SO_SNDTIMEO with 64-bit time; the same numbers as the old ones where time
/// always had 64 bits.
const SO_RCVTIMEO_NEW: i32 = 66;
const SO_SNDTIMEO_NEW: i32 = 67;

impl Socket {
    /// setsockopt(2).
    ///
    /// # Errors
    /// ENOPROTOOPT for what the socket does not have, EINVAL for a value of the wrong size or out
    /// of range.
    pub fn set_option_raw(&self, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
        match (level, name) {
            (libc::SOL_SOCKET, libc::SO_RCVTIMEO | SO_RCVTIMEO_NEW) => {
                let time = read_timeval(value)?;
                self.set_read_timeout(time.filter(|time| !time.is_zero()))
            }
            (libc::SOL_SOCKET, libc::SO_SNDTIMEO | SO_SNDTIMEO_NEW) => {
                let time = read_timeval(value)?;
                self.set_write_timeout(time.filter(|time| !time.is_zero()))
            }
            (libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP | libc::IP_DROP_MEMBERSHIP) => {
                let group = octets::<4>(value, 0).map(Ipv4Addr::from)?;
                // struct ip_mreq at the least.
                octets::<4>(value, 4)?;
                let devices = self.devices()?;
                let interface = option_table::multicast_device(&devices, value).map_err(to_io)?;
                let join = name == libc::IP_ADD_MEMBERSHIP;
                self.membership(group.into(), interface, join)
            }
            (libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP | libc::IPV6_DROP_MEMBERSHIP) => {
                let group = octets::<16>(value, 0).map(Ipv6Addr::from)?;
                let interface = option_table::int_at(value, 16).map_err(to_io)?;
                let join = name == libc::IPV6_ADD_MEMBERSHIP;
                self.membership(group.into(), interface.cast_unsigned(), join)
            }
            _ => {
                let devices = self.devices_for(level, name)?;
                let (option, value) =
                    option_table::read(&devices, level, name, value).map_err(to_io)?;
                self.set_option(option, value)
            }
        }
    }

    /// getsockopt(2): writes the value, cut to what fits where Linux cuts it, and says how many
    /// bytes it wrote.
    ///
    /// # Errors
    /// ENOPROTOOPT for what the socket does not have.
    pub fn option_raw(&self, level: i32, name: i32, out: &mut [u8]) -> io::Result<usize> {
        let put_int = |value: i32, out: &mut [u8]| Ok(option_table::put_int(level, value, out));
        match (level, name) {
            (libc::SOL_SOCKET, libc::SO_TYPE) => put_int(self.r#type().into(), out),
            (libc::SOL_SOCKET, libc::SO_DOMAIN) => put_int(self.domain().into(), out),
            (libc::SOL_SOCKET, libc::SO_PROTOCOL) => put_int(self.protocol().into(), out),
            (libc::SOL_SOCKET, libc::SO_ERROR) => {
                let error = self.call(|op| op.take_error())?;
                put_int(error.map_or(0, errno), out)
            }
            (libc::SOL_SOCKET, libc::SO_ACCEPTCONN) => {
                let listens = self.call(|op| op.is_listening())?;
                put_int(listens.into(), out)
            }
            (libc::SOL_SOCKET, libc::SO_RCVTIMEO | SO_RCVTIMEO_NEW) => {
                Ok(write_timeval(self.read_timeout()?, out))
            }
            (libc::SOL_SOCKET, libc::SO_SNDTIMEO | SO_SNDTIMEO_NEW) => {
                Ok(write_timeval(self.write_timeout()?, out))
            }
            _ => {
                let option = option_table::option(level, name).map_err(to_io)?;
                let value = self.option(option)?;
                let devices = self.devices_for(level, name)?;
                option_table::write(&devices, level, name, &value, out).map_err(to_io)
            }
        }
    }

    fn membership(&self, group: IpAddr, interface: u32, join: bool) -> io::Result<()> {
        let interface = (interface != 0).then_some(InterfaceId(interface));
        self.call(|op| op.membership(group, interface, join))
    }

    /// The interfaces, where the option names one.
    fn devices_for(&self, level: i32, name: i32) -> io::Result<Interfaces> {
        match option_table::option(level, name) {
            Ok(SocketOption::BindToDevice | SocketOption::MulticastInterface) => self.devices(),
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

/// struct timeval of two 64-bit numbers; zero is none.
fn read_timeval(bytes: &[u8]) -> io::Result<Option<Duration>> {
    let seconds = i64::from_ne_bytes(octets(bytes, 0)?);
    let micros = i64::from_ne_bytes(octets(bytes, 8)?);
    let micros = u32::try_from(micros)
        .ok()
        .filter(|micros| *micros < 1_000_000);
    let micros = micros.ok_or_else(|| os(libc::EDOM))?;
    // socket(7) does not say it: a negative time is one that has run out at once.
    let seconds = u64::try_from(seconds).ok();
    Ok(seconds.map(|seconds| Duration::new(seconds, micros * 1000)))
}

fn write_timeval(time: Option<Duration>, out: &mut [u8]) -> usize {
    let time = time.unwrap_or_default();
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let micros = i64::from(time.subsec_micros());
    let bytes = [seconds.to_ne_bytes(), micros.to_ne_bytes()].concat();
    option_table::put(&bytes, out)
}
