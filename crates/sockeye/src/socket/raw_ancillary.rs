//! Control messages as bytes, with Linux's numbers and layouts (ip(7), ipv6(7), udp(7)).

use super::{Ancillary, Domain};
use crate::error::to_io;
use crate::option_table::int_at;
use sockeye_core::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::SystemTime;

/// Of linux/tcp.h; libc does not have it.
const TCP_CM_INQ: i32 = 36;

impl Ancillary {
    /// What `struct cmsghdr` and the data behind it say: level, type, data.
    ///
    /// # Errors
    /// EINVAL for one that can't be sent.
    pub fn from_raw(level: i32, ty: i32, data: &[u8]) -> io::Result<Self> {
        let int = || int_at(data, 0);
        let byte = || int().and_then(|int| u8::try_from(int).map_err(|_| Error::Invalid));
        let invalid = || to_io(Error::Invalid);
        let read = match (level, ty) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // struct in_pktinfo: the interface, the source, and a field of received ones.
                let source: [u8; 4] = part(data, 4).ok_or_else(invalid)?;
                int().map(|interface| Self::PacketInfo {
                    interface: interface.cast_unsigned(),
                    address: Ipv4Addr::from(source).into(),
                })
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let source: [u8; 16] = part(data, 0).ok_or_else(invalid)?;
                int_at(data, 16).map(|interface| Self::PacketInfo {
                    interface: interface.cast_unsigned(),
                    address: Ipv6Addr::from(source).into(),
                })
            }
            (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                byte().map(Self::Ttl)
            }
            // ip(7): either a byte or an int.
            (libc::IPPROTO_IP, libc::IP_TOS) if data.len() == 1 => Ok(Self::Tos(data[0])),
            (libc::IPPROTO_IP, libc::IP_TOS) | (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                byte().map(Self::Tos)
            }
            (libc::IPPROTO_UDP, libc::UDP_SEGMENT) => part(data, 0)
                .map(|size| Self::Segment(u16::from_ne_bytes(size)))
                .ok_or(Error::Invalid),
            _ => Err(Error::Invalid),
        };
        read.map_err(to_io)
    }

    /// Level, type and data of the message, as a socket of `domain` receives it.
    #[must_use]
    pub fn to_raw(&self, domain: Domain) -> (i32, i32, Vec<u8>) {
        let v6 = domain == Domain::IPV6;
        let int = |value: i32| value.to_ne_bytes().to_vec();
        match *self {
            Self::PacketInfo { interface, address } => match address {
                IpAddr::V4(v4) if !v6 => {
                    let parts = [interface.to_ne_bytes(), v4.octets(), v4.octets()];
                    (libc::IPPROTO_IP, libc::IP_PKTINFO, parts.concat())
                }
                address => {
                    let v6 = match address {
                        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                        IpAddr::V6(v6) => v6,
                    };
                    let mut data = v6.octets().to_vec();
                    data.extend_from_slice(&interface.to_ne_bytes());
                    (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, data)
                }
            },
            Self::Ttl(ttl) if v6 => (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, int(ttl.into())),
            Self::Ttl(ttl) => (libc::IPPROTO_IP, libc::IP_TTL, int(ttl.into())),
            Self::Tos(tos) if v6 => (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, int(tos.into())),
            Self::Tos(tos) => (libc::IPPROTO_IP, libc::IP_TOS, vec![tos]),
            Self::Inq(left) => {
                let left = i32::try_from(left).unwrap_or(i32::MAX);
                (libc::IPPROTO_TCP, TCP_CM_INQ, int(left))
            }
            Self::Timestamp(at) => {
                let (seconds, nanos) = since_epoch(at);
                let time = [seconds, nanos / 1000].map(i64::to_ne_bytes).concat();
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMP, time)
            }
            Self::TimestampNs(at) => {
                let (seconds, nanos) = since_epoch(at);
                let time = [seconds, nanos].map(i64::to_ne_bytes).concat();
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, time)
            }
            Self::PacketAuxdata { info, len } => {
                let data = info.auxdata(len).to_vec();
                (libc::SOL_PACKET, libc::PACKET_AUXDATA, data)
            }
            Self::Error(error) => error.to_raw(domain),
            Self::Segment(size) => (libc::IPPROTO_UDP, libc::UDP_GRO, int(size.into())),
        }
    }
}

/// Whole seconds and nanoseconds; the epoch for what lies before it.
fn since_epoch(at: SystemTime) -> (i64, i64) {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    (seconds, since.subsec_nanos().into())
}

fn part<const N: usize>(data: &[u8], offset: usize) -> Option<[u8; N]> {
    data.get(offset..)?.first_chunk().copied()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_received_can_be_sent() {
        let info = |address: &str| Ancillary::PacketInfo {
            interface: 2,
            address: address.parse().unwrap(),
        };
        for (ancillary, domain) in [
            (info("10.0.0.1"), Domain::IPV4),
            (info("fd00::1"), Domain::IPV6),
            (Ancillary::Ttl(3), Domain::IPV4),
            (Ancillary::Ttl(3), Domain::IPV6),
            (Ancillary::Tos(4), Domain::IPV4),
            (Ancillary::Tos(4), Domain::IPV6),
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
