//! Control messages as bytes, with Linux's numbers and layouts (ip(7), ipv6(7), udp(7)).

use super::{Ancillary, Domain};
use crate::error::to_io;
use crate::option_table::int_at;
use bytes::Bytes;
use sockeye_core::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::SystemTime;

/// Of linux/tcp.h; libc does not have it.
const TCP_CM_INQ: i32 = 36;
/// Of linux/dccp.h.
const DCCP_SCM_PRIORITY: i32 = 1;
/// Of linux/in6.h: the numbers of RFC 2292.
const IPV6_2292PKTINFO: i32 = 2;
const IPV6_2292HOPOPTS: i32 = 3;
const IPV6_2292DSTOPTS: i32 = 4;
const IPV6_2292RTHDR: i32 = 5;
const IPV6_2292HOPLIMIT: i32 = 8;

impl Ancillary {
    /// What `struct cmsghdr` and the data behind it say: level, type, data.
    ///
    /// # Errors
    /// EINVAL for one that can't be sent.
    pub fn from_raw(level: i32, ty: i32, data: &[u8]) -> io::Result<Self> {
        let read = match level {
            libc::IPPROTO_IP => from_ip(ty, data),
            libc::IPPROTO_IPV6 => from_ipv6(ty, data),
            libc::IPPROTO_UDP if ty == libc::UDP_SEGMENT => {
                exactly(data).map(|size| Self::Segment(u16::from_ne_bytes(size)))
            }
            libc::SOL_DCCP if ty == DCCP_SCM_PRIORITY => {
                exactly(data).map(|priority| Self::QueuePriority(u32::from_ne_bytes(priority)))
            }
            Self::SCTP_LEVEL => Ok(Self::of_sctp(ty, data)),
            libc::SOL_SOCKET => match ty {
                libc::SO_MARK => exactly(data).map(|mark| Self::Mark(u32::from_ne_bytes(mark))),
                libc::SO_PRIORITY => int(data).map(Self::Priority),
                _ => Err(Error::Invalid),
            },
            _ => Err(Error::Invalid),
        };
        read.map_err(to_io)
    }

    /// Level, type and data of the message, as a socket of `domain` receives it.
    #[must_use]
    pub fn to_raw(&self, domain: Domain) -> (i32, i32, Vec<u8>) {
        let int = |value: i32| value.to_ne_bytes().to_vec();
        let optional = |byte: Option<u8>| int(byte.map_or(-1, i32::from));
        match self {
            Self::PacketInfo {
                interface,
                address,
                local,
            } => packet_info(*interface, *address, *local),
            Self::Ttl(ttl) => (libc::IPPROTO_IP, libc::IP_TTL, int((*ttl).into())),
            Self::Tos(tos) => (libc::IPPROTO_IP, libc::IP_TOS, vec![*tos]),
            Self::HopLimit(hops) => (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, optional(*hops)),
            Self::TrafficClass(tc) => (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, optional(*tc)),
            Self::FlowInfo(info) => {
                let info = info.to_be_bytes().to_vec();
                (libc::IPPROTO_IPV6, libc::IPV6_FLOWINFO, info)
            }
            Self::DontFragment(on) => (libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, int((*on).into())),
            Self::Options(options) => (libc::IPPROTO_IP, libc::IP_RECVOPTS, options.to_vec()),
            Self::ReturnOptions(options) => (libc::IPPROTO_IP, libc::IP_RETOPTS, options.to_vec()),
            Self::HopOptions(header) => (libc::IPPROTO_IPV6, libc::IPV6_HOPOPTS, header.to_vec()),
            Self::RoutingDestinationOptions(header) => {
                (libc::IPPROTO_IPV6, libc::IPV6_RTHDRDSTOPTS, header.to_vec())
            }
            Self::RoutingHeader(header) => (libc::IPPROTO_IPV6, libc::IPV6_RTHDR, header.to_vec()),
            Self::DestinationOptions(header) => {
                (libc::IPPROTO_IPV6, libc::IPV6_DSTOPTS, header.to_vec())
            }
            Self::OriginalDestination(to) => original_destination(*to),
            Self::FragmentSize(size) => {
                let size = int(size.cast_signed());
                (libc::IPPROTO_IP, libc::IP_RECVFRAGSIZE, size)
            }
            Self::FragmentSizeV6(size) => {
                let size = int(size.cast_signed());
                (libc::IPPROTO_IPV6, libc::IPV6_RECVFRAGSIZE, size)
            }
            Self::PathMtu { mtu, to } => {
                let mut info = sockaddr_in6(SocketAddr::new(to.ip(), 0));
                info.extend(mtu.to_ne_bytes());
                (libc::IPPROTO_IPV6, libc::IPV6_PATHMTU, info)
            }
            Self::Rfc2292(inner) => {
                let (level, ty, data) = inner.to_raw(domain);
                (level, number_of_rfc_2292(ty), data)
            }
            Self::Dropped(count) => {
                let count = count.to_ne_bytes().to_vec();
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL, count)
            }
            Self::Mark(mark) => (libc::SOL_SOCKET, libc::SO_MARK, mark.to_ne_bytes().to_vec()),
            Self::Priority(priority) => (libc::SOL_SOCKET, libc::SO_PRIORITY, int(*priority)),
            Self::QueuePriority(priority) => {
                let priority = priority.to_ne_bytes().to_vec();
                (libc::SOL_DCCP, DCCP_SCM_PRIORITY, priority)
            }
            Self::Inq(left) => {
                let left = i32::try_from(*left).unwrap_or(i32::MAX);
                (libc::IPPROTO_TCP, TCP_CM_INQ, int(left))
            }
            Self::Timestamp(at) => {
                let (seconds, nanos) = since_epoch(*at);
                let time = [seconds, nanos / 1000].map(i64::to_ne_bytes).concat();
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMP, time)
            }
            Self::TimestampNs(at) => {
                let (seconds, nanos) = since_epoch(*at);
                let time = [seconds, nanos].map(i64::to_ne_bytes).concat();
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, time)
            }
            Self::PacketAuxdata { info, len } => {
                let data = info.auxdata(*len).to_vec();
                (libc::SOL_PACKET, libc::PACKET_AUXDATA, data)
            }
            Self::Error(error) => error.to_raw(domain),
            Self::Sctp { ty, data } => (Self::SCTP_LEVEL, *ty, data.to_vec()),
            Self::Segment(size) => (libc::IPPROTO_UDP, libc::UDP_GRO, int((*size).into())),
        }
    }
}

/// Control messages of ip(7) that are sent.
fn from_ip(ty: i32, data: &[u8]) -> Result<Ancillary, Error> {
    Ok(match ty {
        libc::IP_PKTINFO => {
            // struct in_pktinfo: the interface, the source, and a field of received ones.
            let info: [u8; 12] = exactly(data)?;
            let [_, _, _, _, a, b, c, d, ..] = info;
            let interface = int_at(&info, 0)?.cast_unsigned();
            Ancillary::packet_info(interface, Ipv4Addr::new(a, b, c, d).into())
        }
        libc::IP_TTL => match byte(data)? {
            0 => return Err(Error::Invalid),
            ttl => Ancillary::Ttl(ttl),
        },
        // ip(7): either a byte or an int.
        libc::IP_TOS if data.len() == 1 => Ancillary::Tos(data[0]),
        libc::IP_TOS => Ancillary::Tos(byte(data)?),
        libc::IP_RETOPTS => Ancillary::ReturnOptions(Bytes::copy_from_slice(data)),
        _ => return Err(Error::Invalid),
    })
}

/// Control messages of ipv6(7) that are sent.
fn from_ipv6(ty: i32, data: &[u8]) -> Result<Ancillary, Error> {
    // RFC 3542 §6.3, §6.5: -1 is the default.
    let byte_or_none = || match int(data)? {
        -1 => Ok(None),
        _ => byte(data).map(Some),
    };
    // What lies behind the header that its length tells of is left alone.
    let header = || {
        let units = usize::from(*data.get(1).ok_or(Error::Invalid)?);
        let whole = data.get(..8 + 8 * units).ok_or(Error::Invalid)?;
        Ok(Bytes::copy_from_slice(whole))
    };
    Ok(match ty {
        libc::IPV6_PKTINFO | IPV6_2292PKTINFO => {
            let source: [u8; 16] = *data.first_chunk().ok_or(Error::Invalid)?;
            let interface = int_at(data, 16)?.cast_unsigned();
            Ancillary::packet_info(interface, Ipv6Addr::from(source).into())
        }
        libc::IPV6_HOPLIMIT | IPV6_2292HOPLIMIT => Ancillary::HopLimit(byte_or_none()?),
        libc::IPV6_TCLASS => Ancillary::TrafficClass(byte_or_none()?),
        libc::IPV6_DONTFRAG => match int(data)? {
            on @ (0 | 1) => Ancillary::DontFragment(on == 1),
            _ => return Err(Error::Invalid),
        },
        libc::IPV6_FLOWINFO => {
            let info: [u8; 4] = *data.first_chunk().ok_or(Error::Invalid)?;
            Ancillary::FlowInfo(u32::from_be_bytes(info))
        }
        libc::IPV6_HOPOPTS | IPV6_2292HOPOPTS => Ancillary::HopOptions(header()?),
        libc::IPV6_RTHDRDSTOPTS => Ancillary::RoutingDestinationOptions(header()?),
        libc::IPV6_DSTOPTS | IPV6_2292DSTOPTS => Ancillary::DestinationOptions(header()?),
        _ => return Err(Error::Invalid),
    })
}

fn packet_info(interface: u32, address: IpAddr, local: IpAddr) -> (i32, i32, Vec<u8>) {
    match (address, local) {
        (IpAddr::V4(address), IpAddr::V4(local)) => {
            let parts = [interface.to_ne_bytes(), local.octets(), address.octets()];
            (libc::IPPROTO_IP, libc::IP_PKTINFO, parts.concat())
        }
        (address, _) => {
            let mut data = mapped(address).octets().to_vec();
            data.extend_from_slice(&interface.to_ne_bytes());
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, data)
        }
    }
}

fn original_destination(to: SocketAddr) -> (i32, i32, Vec<u8>) {
    match to {
        SocketAddr::V4(v4) => {
            let mut data = (libc::AF_INET as u16).to_ne_bytes().to_vec();
            data.extend(v4.port().to_be_bytes());
            data.extend(v4.ip().octets());
            data.extend([0; 8]);
            (libc::IPPROTO_IP, libc::IP_ORIGDSTADDR, data)
        }
        SocketAddr::V6(_) => {
            let data = sockaddr_in6(to);
            (libc::IPPROTO_IPV6, libc::IPV6_ORIGDSTADDR, data)
        }
    }
}

/// struct sockaddr_in6: family, port, flow label, address, scope.
fn sockaddr_in6(address: SocketAddr) -> Vec<u8> {
    let scope = match address {
        SocketAddr::V6(v6) => v6.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    let mut data = (libc::AF_INET6 as u16).to_ne_bytes().to_vec();
    data.extend(address.port().to_be_bytes());
    data.extend([0; 4]);
    data.extend(mapped(address.ip()).octets());
    data.extend(scope.to_ne_bytes());
    data
}

fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// The number that RFC 2292 gave to what RFC 3542 gives another.
const fn number_of_rfc_2292(ty: i32) -> i32 {
    match ty {
        libc::IPV6_PKTINFO => IPV6_2292PKTINFO,
        libc::IPV6_HOPLIMIT => IPV6_2292HOPLIMIT,
        libc::IPV6_HOPOPTS => IPV6_2292HOPOPTS,
        libc::IPV6_RTHDR => IPV6_2292RTHDR,
        libc::IPV6_DSTOPTS => IPV6_2292DSTOPTS,
        other => other,
    }
}

fn exactly<const N: usize>(data: &[u8]) -> Result<[u8; N], Error> {
    data.try_into().map_err(|_| Error::Invalid)
}

fn int(data: &[u8]) -> Result<i32, Error> {
    exactly(data).map(i32::from_ne_bytes)
}

fn byte(data: &[u8]) -> Result<u8, Error> {
    u8::try_from(int(data)?).map_err(|_| Error::Invalid)
}

/// Whole seconds and nanoseconds; the epoch for what lies before it.
fn since_epoch(at: SystemTime) -> (i64, i64) {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    (seconds, since.subsec_nanos().into())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_received_can_be_sent() {
        let info = |address: &str| Ancillary::packet_info(2, address.parse().unwrap());
        let header = Bytes::from_static(&[0, 0, 1, 4, 0, 0, 0, 0]);
        for (ancillary, domain) in [
            (info("10.0.0.1"), Domain::IPV4),
            (info("fd00::1"), Domain::IPV6),
            (Ancillary::Ttl(3), Domain::IPV4),
            (Ancillary::Tos(4), Domain::IPV4),
            (Ancillary::HopLimit(Some(3)), Domain::IPV6),
            (Ancillary::HopLimit(None), Domain::IPV6),
            (Ancillary::TrafficClass(Some(4)), Domain::IPV6),
            (Ancillary::FlowInfo(0x12345), Domain::IPV6),
            (Ancillary::DontFragment(true), Domain::IPV6),
            (Ancillary::HopOptions(header.clone()), Domain::IPV6),
            (Ancillary::DestinationOptions(header.clone()), Domain::IPV6),
            (Ancillary::ReturnOptions(header), Domain::IPV4),
            (Ancillary::Mark(7), Domain::IPV4),
            (Ancillary::Priority(5), Domain::IPV4),
            (Ancillary::QueuePriority(5), Domain::IPV4),
        ] {
            let (level, ty, data) = ancillary.to_raw(domain);
            assert_eq!(Ancillary::from_raw(level, ty, &data).unwrap(), ancillary);
        }
    }

    #[test]
    fn what_is_too_short_or_unknown_is_invalid() {
        let short = Ancillary::from_raw(libc::IPPROTO_IP, libc::IP_PKTINFO, &[0; 7]);
        assert_eq!(short.unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert!(Ancillary::from_raw(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &[0; 3]).is_err());
        assert!(
            Ancillary::from_raw(libc::IPPROTO_IP, libc::IP_TTL, &256_i32.to_ne_bytes()).is_err()
        );
        assert!(Ancillary::from_raw(99, 99, &[]).is_err());
    }
}
