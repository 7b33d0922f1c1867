//! Socket options, typed. The faces translate Linux's numbers and byte layouts to these in one
//! table; a transport answers those it has and [`Error::NoProtocolOption`](crate::Error) else.

use core::time::Duration;

/// A socket option, named after its C name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocketOption {
    /// SO_REUSEADDR (flag)
    ReuseAddress,
    /// SO_REUSEPORT (flag)
    ReusePort,
    /// SO_KEEPALIVE (flag)
    KeepAlive,
    /// SO_BROADCAST (flag)
    Broadcast,
    /// SO_OOBINLINE (flag)
    OobInline,
    /// SO_LINGER (time, or none)
    Linger,
    /// SO_RCVBUF (bytes; the value read is what the limit really is, twice what was set)
    ReceiveBuffer,
    /// SO_SNDBUF (bytes; likewise)
    SendBuffer,
    /// SO_RCVLOWAT (bytes)
    ReceiveLowWater,
    /// SO_BINDTODEVICE (interface index, 0 for none)
    BindToDevice,
    /// SO_PRIORITY (number)
    Priority,
    /// TCP_NODELAY (flag)
    NoDelay,
    /// TCP_MAXSEG (bytes)
    MaxSegment,
    /// TCP_CORK (flag)
    Cork,
    /// TCP_KEEPIDLE (time)
    KeepIdle,
    /// TCP_KEEPINTVL (time)
    KeepInterval,
    /// TCP_KEEPCNT (number)
    KeepCount,
    /// TCP_SYNCNT (number)
    SynCount,
    /// TCP_LINGER2 (time, negative as none)
    Linger2,
    /// TCP_USER_TIMEOUT (time)
    UserTimeout,
    /// TCP_QUICKACK (flag)
    QuickAck,
    /// TCP_CONGESTION (name)
    Congestion,
    /// TCP_NOTSENT_LOWAT (bytes)
    NotSentLowWater,
    /// TCP_WINDOW_CLAMP (bytes)
    WindowClamp,
    /// TCP_DEFER_ACCEPT (time)
    DeferAccept,
    /// IP_TTL (1 to 255, -1 for the default)
    Ttl,
    /// IP_TOS (byte)
    Tos,
    /// IP_MTU_DISCOVER (IP_PMTUDISC_*)
    MtuDiscover,
    /// IP_MTU (bytes, of a connected socket; read only)
    Mtu,
    /// IP_RECVERR (flag)
    ReceiveErrors,
    /// IP_PKTINFO (flag)
    PacketInfo,
    /// IP_RECVTTL (flag)
    ReceiveTtl,
    /// IP_RECVTOS (flag)
    ReceiveTos,
    /// IP_HDRINCL (flag)
    HeaderIncluded,
    /// IP_FREEBIND (flag)
    FreeBind,
    /// IP_MULTICAST_TTL (0 to 255)
    MulticastTtl,
    /// IP_MULTICAST_LOOP (flag)
    MulticastLoop,
    /// IP_MULTICAST_IF (interface index)
    MulticastInterface,
    /// IPV6_UNICAST_HOPS (1 to 255, -1 for the default)
    UnicastHops,
    /// IPV6_MULTICAST_HOPS (0 to 255, -1 for the default)
    MulticastHops,
    /// IPV6_MULTICAST_LOOP (flag)
    MulticastLoopV6,
    /// IPV6_MULTICAST_IF (interface index)
    MulticastInterfaceV6,
    /// IPV6_V6ONLY (flag)
    OnlyV6,
    /// IPV6_TCLASS (byte)
    TrafficClass,
    /// IPV6_MTU_DISCOVER
    MtuDiscoverV6,
    /// IPV6_RECVERR (flag)
    ReceiveErrorsV6,
    /// IPV6_RECVPKTINFO (flag)
    ReceivePacketInfoV6,
    /// IPV6_RECVHOPLIMIT (flag)
    ReceiveHopLimit,
    /// IPV6_RECVTCLASS (flag)
    ReceiveTrafficClass,
    /// IPV6_CHECKSUM / the raw socket's checksum offset (-1 for none)
    ChecksumOffset,
    /// UDP_SEGMENT (bytes of each datagram that a longer send is cut into, 0 for none)
    UdpSegment,
    /// UDP_GRO (flag)
    UdpGro,
    /// ICMP_FILTER (32-bit mask of types that are held back)
    IcmpFilter,
    /// ICMP6_FILTER (256-bit mask of types that are held back, as bytes)
    Icmp6Filter,
}

/// The value of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionValue {
    /// On or off.
    Flag(bool),
    /// A number.
    Int(i32),
    /// A duration, or none.
    Time(Option<Duration>),
    /// Bytes: a name or a mask.
    Bytes(Vec<u8>),
}

impl OptionValue {
    /// It as a flag: a number counts as set when it is not zero.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) when it is neither.
    pub fn flag(&self) -> Result<bool, crate::Error> {
        match self {
            Self::Flag(on) => Ok(*on),
            Self::Int(n) => Ok(*n != 0),
            Self::Time(_) | Self::Bytes(_) => Err(crate::Error::Invalid),
        }
    }

    /// It as a number.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) when it is none.
    pub fn int(&self) -> Result<i32, crate::Error> {
        match self {
            Self::Int(n) => Ok(*n),
            Self::Flag(on) => Ok(i32::from(*on)),
            Self::Time(_) | Self::Bytes(_) => Err(crate::Error::Invalid),
        }
    }

    /// It as a duration.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) when it is none.
    pub fn time(&self) -> Result<Option<Duration>, crate::Error> {
        match self {
            Self::Time(time) => Ok(*time),
            Self::Flag(_) | Self::Int(_) | Self::Bytes(_) => Err(crate::Error::Invalid),
        }
    }
}
