//! Options that name a group as bytes: the structures of ip(7), ipv6(7) and RFC 3678.
//!
//! - `ip_mreq` and `ip_mreqn`: group, address of the interface (at 4), its number (8).
//! - `ipv6_mreq`: group, number of the interface (16).
//! - `ip_mreq_source`: group, address of the interface (4), source (8).
//! - `group_req`, `group_source_req`: number of the interface, sockaddrs of the group (8) and the
//!   source (136).
//! - `ip_msfilter`: group, address of the interface (4), mode (8), count (12), sources (16).
//! - `group_filter`: number of the interface, sockaddr of the group (8), mode (136), count (140),
//!   sockaddrs of the sources (144).

use super::raw_option::Interfaces;
use super::{Kind, Socket};
use crate::error::to_io;
use crate::option_table::{self, put};
use sockeye_core::multicast::membership::SourceChange;
use sockeye_core::{Error, FilterMode, SocketOption, SourceFilter};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a sockaddr_storage.
const SOCKADDR_LEN: usize = 128;
const MREQ_LEN: usize = 8;
const MREQ_V6_LEN: usize = 20;
const MREQ_SOURCE_LEN: usize = 12;
const GROUP_REQ_LEN: usize = 8 + SOCKADDR_LEN;
const GROUP_SOURCE_REQ_LEN: usize = 8 + 2 * SOCKADDR_LEN;
const MSFILTER_LEN: usize = 16;
const GROUP_FILTER_LEN: usize = 16 + SOCKADDR_LEN;
/// MCAST_INCLUDE, as all of Linux's structures have it; MCAST_EXCLUDE is 0.
const INCLUDE: u32 = 1;

impl Socket {
    /// setsockopt(2) for groups; `None` when it is another option.
    pub(super) fn set_group_raw(
        &self,
        level: i32,
        option: SocketOption,
        value: &[u8],
    ) -> Option<io::Result<()>> {
        use SocketOption as O;
        let v4_source = |change| self.change_v4_raw(change, value);
        let source = |change| self.change_raw(level, change, value);
        Some(match option {
            O::AddMembership => self.membership_v4_raw(value, true),
            O::DropMembership => self.membership_v4_raw(value, false),
            O::AddMembershipV6 => self.membership_v6_raw(value, true),
            O::DropMembershipV6 => self.membership_v6_raw(value, false),
            O::JoinGroup => self.membership_raw(level, value, true),
            O::LeaveGroup => self.membership_raw(level, value, false),
            O::AddSourceMembership => v4_source(SourceChange::Join),
            O::DropSourceMembership => v4_source(SourceChange::Leave),
            O::BlockSource => v4_source(SourceChange::Block),
            O::UnblockSource => v4_source(SourceChange::Unblock),
            O::JoinSourceGroup => source(SourceChange::Join),
            O::LeaveSourceGroup => source(SourceChange::Leave),
            O::BlockSourceOfGroup => source(SourceChange::Block),
            O::UnblockSourceOfGroup => source(SourceChange::Unblock),
            O::MsFilter => self.set_filter_v4_raw(value),
            O::GroupFilter => self.set_filter_raw(level, value),
            _ => return None,
        })
    }

    /// getsockopt(2) for filters, which reads `out` too; `None` when it is another option.
    pub(super) fn group_raw(
        &self,
        level: i32,
        option: SocketOption,
        out: &mut [u8],
    ) -> Option<io::Result<usize>> {
        match option {
            SocketOption::MsFilter => Some(self.filter_v4_raw(out)),
            SocketOption::GroupFilter => Some(self.filter_raw(level, out)),
            _ => None,
        }
    }

    fn membership_v4_raw(&self, value: &[u8], join: bool) -> io::Result<()> {
        self.must_not_be_stream()?;
        let value = at_least(value, MREQ_LEN)?;
        let group = IpAddr::from(octets::<4>(value, 0)?);
        if join && !group.is_multicast() {
            return Err(invalid());
        }
        // Linux: what is not there has joined nothing.
        let missing = match join {
            true => Error::NoDevice,
            false => Error::AddressNotAvailable,
        };
        let devices = self.devices()?;
        let device = option_table::multicast_device(&devices, value, missing);
        self.member(group, device.map_err(to_io)?.1, join)
    }

    fn membership_v6_raw(&self, value: &[u8], join: bool) -> io::Result<()> {
        let value = at_least(value, MREQ_V6_LEN)?;
        self.must_not_be_stream()?;
        let group = Ipv6Addr::from(octets::<16>(value, 0)?);
        if !group.is_multicast() {
            return Err(invalid());
        }
        self.member(group.into(), word(value, 16)?, join)
    }

    fn membership_raw(&self, level: i32, value: &[u8], join: bool) -> io::Result<()> {
        let value = at_least(value, GROUP_REQ_LEN)?;
        // Linux: of another family the group is EINVAL for IPv4, EADDRNOTAVAIL for IPv6.
        let group = sockaddr(level, value, 8).map_err(|error| match level {
            libc::IPPROTO_IP => invalid(),
            _ => error,
        })?;
        self.member(group, word(value, 0)?, join)
    }

    fn change_v4_raw(&self, change: SourceChange, value: &[u8]) -> io::Result<()> {
        if value.len() != MREQ_SOURCE_LEN {
            return Err(invalid());
        }
        let group = IpAddr::from(octets::<4>(value, 0)?);
        let source = IpAddr::from(octets::<4>(value, 8)?);
        let interface = self.device_of(group, octets(value, 4)?)?;
        self.change_source(group, interface, change, source)
    }

    fn change_raw(&self, level: i32, change: SourceChange, value: &[u8]) -> io::Result<()> {
        let value = at_least(value, GROUP_SOURCE_REQ_LEN)?;
        let group = sockaddr(level, value, 8)?;
        let source = sockaddr(level, value, 8 + SOCKADDR_LEN)?;
        self.change_source(group, word(value, 0)?, change, source)
    }

    fn set_filter_v4_raw(&self, value: &[u8]) -> io::Result<()> {
        let value = at_least(value, MSFILTER_LEN)?;
        let count = word(value, 12)?;
        let listed = self.listed(libc::IPPROTO_IP, value, count, (MSFILTER_LEN, 4))?;
        let sources = listed.chunks_exact(4).map(|octet| octets(octet, 0));
        let sources: io::Result<BTreeSet<IpAddr>> =
            sources.map(|s| s.map(|s: [u8; 4]| s.into())).collect();
        let group = IpAddr::from(octets::<4>(value, 0)?);
        let filter = SourceFilter {
            mode: mode(group, word(value, 8)?)?,
            sources: sources?,
        };
        let interface = self.device_of(group, octets(value, 4)?)?;
        self.set_source_filter(group, interface, filter)
    }

    fn set_filter_raw(&self, level: i32, value: &[u8]) -> io::Result<()> {
        let value = at_least(value, GROUP_FILTER_LEN)?;
        let count = word(value, 140)?;
        let listed = self.listed(level, value, count, (GROUP_FILTER_LEN, SOCKADDR_LEN))?;
        let group = sockaddr(level, value, 8)?;
        let sources = listed.chunks_exact(SOCKADDR_LEN);
        let sources: io::Result<BTreeSet<IpAddr>> =
            sources.map(|bytes| sockaddr(level, bytes, 0)).collect();
        let filter = SourceFilter {
            mode: mode(group, word(value, 136)?)?,
            sources: sources?,
        };
        self.set_source_filter(group, word(value, 0)?, filter)
    }

    fn filter_v4_raw(&self, out: &mut [u8]) -> io::Result<usize> {
        let asked = at_least(out, MSFILTER_LEN)?;
        let group = IpAddr::from(octets::<4>(asked, 0)?);
        let interface = self.device_of(group, octets(asked, 4)?)?;
        let room = word(asked, 12)?;
        let filter = self.source_filter(group, interface)?;
        let sources = filter.sources.iter().map(|source| match source {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        });
        let told = tell(out, 8, &filter, sources, room);
        Ok(told.min(out.len()))
    }

    fn filter_raw(&self, level: i32, out: &mut [u8]) -> io::Result<usize> {
        let asked = at_least(out, GROUP_FILTER_LEN)?;
        let group = sockaddr(level, asked, 8).map_err(|error| match level {
            libc::IPPROTO_IP => invalid(),
            _ => error,
        })?;
        if !group.is_multicast() {
            return Err(invalid());
        }
        let room = word(asked, 140)?;
        // As on Linux none in particular is none at all.
        let interface = match word(asked, 0)? {
            0 => return Err(to_io(Error::AddressNotAvailable)),
            index => index,
        };
        let filter = self.source_filter(group, interface).map_err(|error| {
            match error.raw_os_error() == Some(libc::ENODEV) {
                true => to_io(Error::AddressNotAvailable),
                false => error,
            }
        })?;
        let sources = filter.sources.iter().map(emit_sockaddr);
        Ok(tell(out, 136, &filter, sources, room))
    }

    /// The sources of a filter: `len` bytes each, behind `header` bytes.
    fn listed<'a>(
        &self,
        level: i32,
        value: &'a [u8],
        count: u32,
        (header, len): (usize, usize),
    ) -> io::Result<&'a [u8]> {
        let config = self.0.node.config()?;
        let max = match level {
            libc::IPPROTO_IP => config.igmp_max_msf,
            _ => config.mld_max_msf,
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > max {
            return Err(to_io(Error::NoBufferSpace));
        }
        let end = count.saturating_mul(len).saturating_add(header);
        value.get(header..end).ok_or_else(invalid)
    }

    fn member(&self, group: IpAddr, interface: u32, join: bool) -> io::Result<()> {
        match join {
            true => self.join_group(group, interface),
            false => self.leave_group(group, interface),
        }
    }

    fn must_not_be_stream(&self) -> io::Result<()> {
        match self.0.kind {
            Kind::Tcp | Kind::Sctp(_) | Kind::Dccp => Err(to_io(Error::Protocol)),
            Kind::Udp | Kind::UdpLite | Kind::Ping | Kind::Raw => Ok(()),
            Kind::Packet { .. } | Kind::Unix(_) => Err(to_io(Error::NoProtocolOption)),
        }
    }

    /// The interface of an address, as the structures for IPv4 alone name it.
    fn device_of(&self, group: IpAddr, address: [u8; 4]) -> io::Result<u32> {
        if !group.is_multicast() {
            return Err(invalid());
        }
        let devices: Interfaces = self.devices()?;
        let device = option_table::multicast_device(&devices, &address, Error::NoDevice);
        device.map(|(_, index)| index).map_err(to_io)
    }
}

/// Writes mode, count and as many sources as there is room for, and says how many bytes there are.
fn tell(
    out: &mut [u8],
    at: usize,
    filter: &SourceFilter,
    sources: impl Iterator<Item = Vec<u8>>,
    room: u32,
) -> usize {
    let mode = match filter.mode {
        FilterMode::Include => INCLUDE,
        FilterMode::Exclude => 0,
    };
    let count = u32::try_from(filter.sources.len()).unwrap_or(u32::MAX);
    put(&mode.to_ne_bytes(), &mut out[at..]);
    put(&count.to_ne_bytes(), &mut out[at + 4..]);
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    let mut end = at + 8;
    for source in sources.take(room) {
        end += put(&source, out.get_mut(end..).unwrap_or_default());
    }
    end
}

fn mode(group: IpAddr, word: u32) -> io::Result<FilterMode> {
    match word {
        _ if !group.is_multicast() => Err(invalid()),
        INCLUDE => Ok(FilterMode::Include),
        0 => Ok(FilterMode::Exclude),
        _ => Err(invalid()),
    }
}

/// The sockaddr at `at`, which has to be of the level's family.
fn sockaddr(level: i32, value: &[u8], at: usize) -> io::Result<IpAddr> {
    let [a, b] = octets(value, at)?;
    match (level, i32::from(u16::from_ne_bytes([a, b]))) {
        (libc::IPPROTO_IP, libc::AF_INET) => Ok(Ipv4Addr::from(octets::<4>(value, at + 4)?).into()),
        (libc::IPPROTO_IPV6, libc::AF_INET6) => {
            Ok(Ipv6Addr::from(octets::<16>(value, at + 8)?).into())
        }
        _ => Err(to_io(Error::AddressNotAvailable)),
    }
}

fn emit_sockaddr(ip: &IpAddr) -> Vec<u8> {
    let mut out = vec![0; SOCKADDR_LEN];
    let (family, at, octets) = match ip {
        IpAddr::V4(v4) => (libc::AF_INET, 4, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6, 8, v6.octets().to_vec()),
    };
    put(&(family as u16).to_ne_bytes(), &mut out);
    put(&octets, &mut out[at..]);
    out
}

fn at_least(value: &[u8], len: usize) -> io::Result<&[u8]> {
    match value.len() < len {
        true => Err(invalid()),
        false => Ok(value),
    }
}

fn word(bytes: &[u8], at: usize) -> io::Result<u32> {
    octets(bytes, at).map(u32::from_ne_bytes)
}

fn octets<const N: usize>(bytes: &[u8], at: usize) -> io::Result<[u8; N]> {
    let octets = bytes.get(at..).and_then(<[u8]>::first_chunk);
    octets.copied().ok_or_else(invalid)
}

fn invalid() -> io::Error {
    to_io(Error::Invalid)
}
