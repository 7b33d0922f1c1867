//! What a socket's words can be: its family, halves of a connection, kinds of times and of path MTU
//! discovery.

use crate::{Error, SocketOption};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address family of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Domain {
    /// AF_INET.
    V4,
    /// AF_INET6: dual-stack unless IPV6_V6ONLY is set.
    V6,
}

impl Domain {
    /// 0.0.0.0 or ::.
    #[must_use]
    pub const fn unspecified(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }
}

/// Which half of a connection `shutdown` closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shutdown {
    /// Receiving.
    Read,
    /// Sending.
    Write,
    /// Both.
    Both,
}

impl Shutdown {
    /// Whether receiving ends.
    #[must_use]
    pub const fn reads(self) -> bool {
        matches!(self, Self::Read | Self::Both)
    }

    /// Whether sending ends.
    #[must_use]
    pub const fn writes(self) -> bool {
        matches!(self, Self::Write | Self::Both)
    }
}

/// How recvmsg tells when data arrived: SO_TIMESTAMP, SO_TIMESTAMPNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stamp {
    /// In microseconds (`struct timeval`).
    Micros,
    /// In nanoseconds (`struct timespec`).
    Nanos,
}

impl Stamp {
    pub(super) const fn of(option: SocketOption) -> Option<Self> {
        match option {
            SocketOption::Timestamp => Some(Self::Micros),
            SocketOption::TimestampNs => Some(Self::Nanos),
            _ => None,
        }
    }
}

/// What a socket does about the size of packets: IP_MTU_DISCOVER, IPV6_MTU_DISCOVER.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MtuDiscover {
    /// IP_PMTUDISC_DONT: fragment here and let routers fragment.
    Never,
    /// IP_PMTUDISC_WANT: discover, and fragment here what is larger than the path carries.
    #[default]
    Want,
    /// IP_PMTUDISC_DO: discover, and refuse what is larger (EMSGSIZE).
    Always,
    /// IP_PMTUDISC_PROBE: set DF, but ignore what was discovered.
    Probe,
    /// IP_PMTUDISC_INTERFACE: no DF, ignore what was discovered, refuse what the interface can't.
    Interface,
    /// IP_PMTUDISC_OMIT: as Interface, but fragment here.
    Omit,
}

impl MtuDiscover {
    /// Whether what is larger than the path may be fragmented here.
    #[must_use]
    pub const fn fragments(self) -> bool {
        matches!(self, Self::Never | Self::Want | Self::Omit)
    }

    /// Whether packets are sent with DF set, where they are not fragmented.
    #[must_use]
    pub const fn sets_dont_fragment(self) -> bool {
        matches!(self, Self::Want | Self::Always | Self::Probe)
    }

    pub(super) fn from_value(value: i32) -> Result<Self, Error> {
        Ok(match value {
            0 => Self::Never,
            1 => Self::Want,
            2 => Self::Always,
            3 => Self::Probe,
            4 => Self::Interface,
            5 => Self::Omit,
            _ => return Err(Error::Invalid),
        })
    }

    pub(super) const fn value(self) -> i32 {
        match self {
            Self::Never => 0,
            Self::Want => 1,
            Self::Always => 2,
            Self::Probe => 3,
            Self::Interface => 4,
            Self::Omit => 5,
        }
    }
}
