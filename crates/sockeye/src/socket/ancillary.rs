//! What sendmsg(2) and recvmsg(2) carry beside the data.

#[allow(unused_imports, reason = "for the documentation")]
use super::Socket;
use super::error_queue::ExtendedError;
use bytes::Bytes;
use sockeye_core::raw::packet::{FrameInfo, LinkAddr};
use sockeye_core::{Instant, InterfaceId};
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

bitflags::bitflags! {
    /// MSG_* flags.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MessageFlags: i32 {
        /// MSG_OOB: urgent data of a stream.
        const OUT_OF_BAND = libc::MSG_OOB;
        /// MSG_PEEK: the data stays.
        const PEEK = libc::MSG_PEEK;
        /// MSG_TRUNC: asked for, the whole length of a datagram is returned; said, it was cut.
        const TRUNCATE = libc::MSG_TRUNC;
        /// MSG_DONTWAIT: this call does not wait.
        const DONT_WAIT = libc::MSG_DONTWAIT;
        /// MSG_WAITALL: a stream waits until the buffer is full.
        const WAIT_ALL = libc::MSG_WAITALL;
        /// MSG_NOSIGNAL: as always here.
        const NO_SIGNAL = libc::MSG_NOSIGNAL;
        /// MSG_EOR: a record ends with the data; nothing behind it travels in one segment with it.
        const END_OF_RECORD = libc::MSG_EOR;
        /// MSG_MORE: more data follows soon; a stream does not send what does not fill a segment, and
        /// UDP puts the datagram together with what follows. Others can't: EOPNOTSUPP.
        const MORE = libc::MSG_MORE;
        /// MSG_DONTROUTE: only neighbours are sent to, no gateway.
        const DONT_ROUTE = libc::MSG_DONTROUTE;
        /// MSG_CTRUNC: said, not all control messages had room.
        const CONTROL_TRUNCATED = libc::MSG_CTRUNC;
        /// MSG_WAITFORONE: recvmmsg(2) waits for the first message alone.
        const WAIT_FOR_ONE = libc::MSG_WAITFORONE;
        /// MSG_ERRQUEUE: asked for, the next report of the error queue is taken; said, it was one.
        const ERROR_QUEUE = libc::MSG_ERRQUEUE;
        /// MSG_NOTIFICATION: said, it is no message, but a notification of SCTP.
        const NOTIFICATION = 0x8000;
        /// MSG_ZEROCOPY: with SO_ZEROCOPY the error queue tells when the send is over. The data is
        /// copied all the same, which the report says.
        const ZERO_COPY = libc::MSG_ZEROCOPY;
        /// MSG_FASTOPEN: connects a stream and sends at once (RFC 7413).
        const FAST_OPEN = libc::MSG_FASTOPEN;
    }
}

/// A control message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ancillary {
    /// IP_PKTINFO, IPV6_PKTINFO, by the family of the address. Received (with the option set): where
    /// it came in and whom it was sent to. Sent: the interface to leave by and the source address; 0
    /// and unspecified leave them open (RFC 1122 §4.1.3.5).
    PacketInfo {
        /// The interface.
        interface: u32,
        /// Received: the destination, which may be a group's. Sent: the source.
        address: IpAddr,
        /// Received: the node's own address, from which an answer comes. Sent: nothing.
        local: IpAddr,
    },
    /// IP_TTL, of IPv4 alone.
    Ttl(u8),
    /// IP_TOS, of IPv4 alone.
    Tos(u8),
    /// IPV6_HOPLIMIT; sent, `None` is the default.
    HopLimit(Option<u8>),
    /// IPV6_TCLASS; sent, `None` is the default.
    TrafficClass(Option<u8>),
    /// IPV6_FLOWINFO: traffic class and flow label. Of one that is sent the label counts.
    FlowInfo(u32),
    /// IPV6_DONTFRAG sent: what does not fit the path is refused.
    DontFragment(bool),
    /// UDP_SEGMENT sent, UDP_GRO received: the data is datagrams of so many bytes.
    Segment(u16),
    /// IP_RECVOPTS received: the IP options as they came.
    Options(Bytes),
    /// IP_RETOPTS: received, the IP options to answer with; sent, the options of the packet.
    ReturnOptions(Bytes),
    /// IPV6_HOPOPTS: the hop-by-hop options, as a whole extension header (RFC 3542 §7).
    HopOptions(Bytes),
    /// IPV6_RTHDRDSTOPTS sent: destination options before a routing header.
    RoutingDestinationOptions(Bytes),
    /// IPV6_RTHDR received: the routing header.
    RoutingHeader(Bytes),
    /// IPV6_DSTOPTS: the destination options, as a whole extension header (RFC 3542 §9).
    DestinationOptions(Bytes),
    /// IP_ORIGDSTADDR, IPV6_ORIGDSTADDR received: address and port that it was sent to.
    OriginalDestination(SocketAddr),
    /// IP_RECVFRAGSIZE received: bytes of the largest fragment.
    FragmentSize(u32),
    /// IPV6_RECVFRAGSIZE received: bytes of the largest fragment.
    FragmentSizeV6(u32),
    /// IPV6_PATHMTU received (with IPV6_RECVPATHMTU set), without a datagram: what the path to a host
    /// carries.
    PathMtu {
        /// Bytes.
        mtu: u32,
        /// The host.
        to: SocketAddr,
    },
    /// What came by one of the IPV6_2292* options, which have numbers of their own.
    Rfc2292(Box<Self>),
    /// SO_RXQ_OVFL received: datagrams that had been dropped by then, where there were any.
    Dropped(u32),
    /// SO_MARK sent.
    Mark(u32),
    /// SO_PRIORITY sent.
    Priority(i32),
    /// DCCP_SCM_PRIORITY sent: which of the messages that wait leaves first, the highest. EINVAL unless
    /// DCCP_SOCKOPT_QPOLICY_ID is 1.
    QueuePriority(u32),
    /// TCP_CM_INQ received (with TCP_INQ set): bytes that can still be read; the end of the stream
    /// counts for one.
    Inq(usize),
    /// SCM_TIMESTAMP received (with SO_TIMESTAMP set): when the data arrived, of a stream the last of
    /// it; in microseconds. By a [`ManualClock`](crate::ManualClock) time counts from the Unix epoch.
    Timestamp(SystemTime),
    /// SCM_TIMESTAMPNS received (with SO_TIMESTAMPNS set): the same in nanoseconds.
    TimestampNs(SystemTime),
    /// PACKET_AUXDATA received (with it set): what is known of a frame.
    PacketAuxdata {
        /// What that is.
        info: FrameInfo,
        /// Bytes of the whole frame, as the socket sees it.
        len: usize,
    },
    /// SCTP_*: a structure of linux/sctp.h. With names for what is in it: [`Socket::send_msg`] and
    /// [`Socket::recv_msg`].
    Sctp {
        /// cmsg_type: SCTP_INIT, SCTP_SNDRCV, SCTP_SNDINFO, SCTP_RCVINFO, SCTP_NXTINFO, SCTP_PRINFO,
        /// SCTP_DSTADDRV4, SCTP_DSTADDRV6.
        ty: i32,
        /// The structure.
        data: Bytes,
    },
    /// IP_RECVERR, IPV6_RECVERR: received with [`MessageFlags::ERROR_QUEUE`].
    Error(ExtendedError),
}

impl Ancillary {
    /// The interface to leave by and the source address of what is sent.
    #[must_use]
    pub const fn packet_info(interface: u32, source: IpAddr) -> Self {
        Self::PacketInfo {
            interface,
            address: source,
            local: source,
        }
    }
}

/// What sendmsg(2) takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct SendMessage<'a> {
    /// Where to; the peer if it is not said.
    pub to: Option<SocketAddr>,
    /// The data in pieces.
    pub data: &'a [IoSlice<'a>],
    /// Control messages.
    pub ancillary: &'a [Ancillary],
    /// Flags.
    pub flags: MessageFlags,
}

/// What recvmsg(2) returns.
#[derive(Clone, Debug)]
pub struct RecvMessage {
    /// Bytes put into the buffers; with [`MessageFlags::TRUNCATE`], of the whole datagram.
    pub len: usize,
    /// Who sent it, or with [`MessageFlags::ERROR_QUEUE`] whom it was sent to; none for a stream and
    /// a frame.
    pub from: Option<SocketAddr>,
    /// Who sent a frame.
    pub link: Option<LinkAddr>,
    /// [`MessageFlags::TRUNCATE`] when the datagram did not fit, [`MessageFlags::ERROR_QUEUE`] for a
    /// report.
    pub flags: MessageFlags,
    /// Control messages, as far as the socket's options ask for them.
    pub ancillary: Vec<Ancillary>,
}

/// A datagram that was received, without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes put into the buffer.
    pub len: usize,
    /// Bytes of the whole datagram.
    pub full_len: usize,
    /// Who sent it.
    pub from: SocketAddr,
    /// Whom it was sent to: an address of the node, or a group's.
    pub to: SocketAddr,
    /// Where it came in.
    pub interface: InterfaceId,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TOS or traffic class.
    pub tos: u8,
    /// With UDP_GRO: the data is several datagrams of so many bytes, the last perhaps shorter.
    pub segment: Option<u16>,
    /// When it arrived.
    pub(super) at: Instant,
}

impl From<sockeye_core::datagram::Received> for Received {
    fn from(received: sockeye_core::datagram::Received) -> Self {
        let sockeye_core::datagram::Received {
            len,
            copied,
            from,
            to,
            interface,
            ttl,
            tos,
            segment,
            at,
        } = received;
        Self {
            len: copied,
            full_len: len,
            from,
            to,
            interface,
            ttl,
            tos,
            segment,
            at,
        }
    }
}
