//! The error queue (MSG_ERRQUEUE): what recvmsg(2) tells of something sent.

use super::ancillary::{Ancillary, MessageFlags, RecvMessage};
use super::op::{Kind, Op};
use super::{Domain, Socket};
use crate::error::errno;
use sockeye_core::error_queue::Origin;
use sockeye_core::{Error, Report};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Of linux/errqueue.h.
const ORIGIN_LOCAL: u8 = 1;
const ORIGIN_ICMP: u8 = 2;
const ORIGIN_ICMP6: u8 = 3;
const ORIGIN_ZEROCOPY: u8 = 5;
const CODE_ZEROCOPY_COPIED: u8 = 1;

/// IP_RECVERR, IPV6_RECVERR: a `struct sock_extended_err` of linux/errqueue.h, and who is to blame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtendedError {
    /// ee_errno; 0 when it is no error.
    pub errno: i32,
    /// ee_origin: SO_EE_ORIGIN_*.
    pub origin: u8,
    /// ee_type: of the ICMP or ICMPv6 message.
    pub icmp_type: u8,
    /// ee_code: of the ICMP or ICMPv6 message; SO_EE_CODE_ZEROCOPY_COPIED.
    pub code: u8,
    /// ee_info: the MTU in bytes with EMSGSIZE; the first of the sends with MSG_ZEROCOPY.
    pub info: u32,
    /// ee_data: the last of the sends with MSG_ZEROCOPY.
    pub data: u32,
    /// SO_EE_OFFENDER: who sent the ICMP message.
    pub offender: Option<IpAddr>,
}

impl ExtendedError {
    fn of(report: &Report) -> Self {
        match report {
            Report::Error(error) => Self {
                errno: errno(error.error),
                origin: match (error.origin, error.offender) {
                    (Origin::Local, _) => ORIGIN_LOCAL,
                    (Origin::Icmp, Some(IpAddr::V6(_))) => ORIGIN_ICMP6,
                    (Origin::Icmp, _) => ORIGIN_ICMP,
                },
                icmp_type: error.icmp_type,
                code: error.icmp_code,
                info: error.info,
                data: 0,
                offender: error.offender,
            },
            Report::ZeroCopy { first, last } => Self {
                origin: ORIGIN_ZEROCOPY,
                code: CODE_ZEROCOPY_COPIED,
                info: *first,
                data: *last,
                ..Self::default()
            },
        }
    }

    /// Level, type and data of the control message, as a socket of `domain` receives it.
    pub(super) fn to_raw(self, domain: Domain) -> (i32, i32, Vec<u8>) {
        let Self {
            errno,
            origin,
            icmp_type,
            code,
            info,
            data,
            offender,
        } = self;
        let mut bytes = errno.to_ne_bytes().to_vec();
        bytes.extend([origin, icmp_type, code, 0]);
        bytes.extend(info.to_ne_bytes());
        bytes.extend(data.to_ne_bytes());
        if domain == Domain::IPV6 {
            // struct sockaddr_in6: family, port, flow label, address, scope.
            let family = offender.map_or(libc::AF_UNSPEC, |_| libc::AF_INET6);
            let ip = match offender {
                Some(IpAddr::V6(ip)) => ip.octets(),
                Some(IpAddr::V4(ip)) => ip.to_ipv6_mapped().octets(),
                None => [0; 16],
            };
            bytes.extend((family as u16).to_ne_bytes());
            bytes.extend([0; 6]);
            bytes.extend(ip);
            bytes.extend([0; 4]);
            return (libc::IPPROTO_IPV6, libc::IPV6_RECVERR, bytes);
        }
        // struct sockaddr_in: family, port, address, and zeros.
        let ip = match offender {
            Some(IpAddr::V4(ip)) => Some(ip),
            _ => None,
        };
        let family = ip.map_or(libc::AF_UNSPEC, |_| libc::AF_INET);
        bytes.extend((family as u16).to_ne_bytes());
        bytes.extend([0; 2]);
        bytes.extend(ip.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
        bytes.extend([0; 8]);
        (libc::IPPROTO_IP, libc::IP_RECVERR, bytes)
    }
}

impl Socket {
    /// recvmsg(2) with MSG_ERRQUEUE: it never waits. `out` gets what is left of the datagram that a
    /// report is about, which comes with where it was sent to.
    pub(super) fn recv_error_queue(&self, out: &mut [u8]) -> io::Result<RecvMessage> {
        // What has come in meanwhile counts.
        self.run();
        let (report, from) = self.call(|op| op.recv_error())?;
        let payload = match &report {
            Report::Error(error) => &error.payload[..],
            Report::ZeroCopy { .. } => &[],
        };
        let len = payload.len().min(out.len());
        out[..len].copy_from_slice(&payload[..len]);
        let mut flags = MessageFlags::ERROR_QUEUE;
        flags.set(MessageFlags::TRUNCATE, len < payload.len());
        Ok(RecvMessage {
            len,
            from,
            link: None,
            flags,
            ancillary: vec![Ancillary::Error(ExtendedError::of(&report))],
        })
    }

    /// A send with MSG_ZEROCOPY has ended after `sent` bytes.
    pub(super) fn note_zero_copy(&self, sent: usize) -> io::Result<()> {
        match self.0.kind {
            Kind::Tcp if sent == 0 => Ok(()),
            _ => self.call(|op| op.sent_zero_copy()),
        }
    }
}

impl Op<'_> {
    fn recv_error(&mut self) -> Result<(Report, Option<SocketAddr>), Error> {
        match self.kind {
            Kind::Tcp => {
                let tcp = self.state.node.tcp(self.now).0;
                tcp.recv_error(self.id).map(|report| (report, None))
            }
            Kind::Udp => self.state.node.udp(self.now).0.recv_error(self.id),
            Kind::UdpLite => self.state.node.udp_lite(self.now).0.recv_error(self.id),
            Kind::Ping => self.state.node.ping(self.now).0.recv_error(self.id),
            Kind::Raw => self.state.node.raw(self.now).0.recv_error(self.id),
            // packet(7): they are told no errors; associations tell theirs as notifications.
            Kind::Sctp(_) | Kind::Dccp | Kind::Packet { .. } | Kind::Unix(_) => {
                Err(Error::WouldBlock)
            }
        }
    }

    fn sent_zero_copy(&mut self) -> Result<(), Error> {
        match self.kind {
            Kind::Tcp => {
                let (tcp, mut cx) = self.state.node.tcp(self.now);
                tcp.sent_zero_copy(&mut cx, self.id)
            }
            Kind::Udp => {
                let (udp, mut cx) = self.state.node.udp(self.now);
                udp.sent_zero_copy(&mut cx, self.id)
            }
            Kind::UdpLite => {
                let (udp, mut cx) = self.state.node.udp_lite(self.now);
                udp.sent_zero_copy(&mut cx, self.id)
            }
            // They do not have SO_ZEROCOPY, without which the flag means nothing.
            Kind::Sctp(_)
            | Kind::Dccp
            | Kind::Ping
            | Kind::Raw
            | Kind::Packet { .. }
            | Kind::Unix(_) => Ok(()),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_linuxs() {
        let over = ExtendedError::of(&Report::ZeroCopy { first: 2, last: 3 });
        let (level, ty, data) = over.to_raw(Domain::IPV4);
        assert_eq!((level, ty, data.len()), (0, 11, 32));
        let info = [2_u32, 3].map(u32::to_ne_bytes).concat();
        assert_eq!(data[..8], [0, 0, 0, 0, 5, 0, 1, 0]);
        assert_eq!(data[8..16], info);
        assert_eq!(data[16..], [0; 16]);
        let refused = ExtendedError {
            errno: libc::ECONNREFUSED,
            origin: ORIGIN_ICMP,
            icmp_type: 3,
            code: 3,
            offender: Some(IpAddr::from([10, 0, 0, 1])),
            ..ExtendedError::default()
        };
        let (_, _, data) = refused.to_raw(Domain::IPV4);
        assert_eq!(data[4..8], [2, 3, 3, 0]);
        assert_eq!(data[16..24], [2, 0, 0, 0, 10, 0, 0, 1]);
        let (level, ty, data) = refused.to_raw(Domain::IPV6);
        assert_eq!((level, ty, data.len()), (41, 25, 44));
        assert_eq!(data[34..40], [255, 255, 10, 0, 0, 1]);
    }
}
