//! Numbers that name the protocol of a payload, and the ECN code point.

/// An IP protocol number: IPv4's Protocol, IPv6's Next Header. Any value is legal; the constants
/// are those with a meaning here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpProtocol(pub u8);

impl IpProtocol {
    /// IPv6 hop-by-hop options. The same number is RFC 8200's first extension header and nothing
    /// in IPv4.
    pub const HOP_BY_HOP: Self = Self(0);
    /// ICMP for IPv4.
    pub const ICMP: Self = Self(1);
    /// IGMP.
    pub const IGMP: Self = Self(2);
    /// An IPv4 packet inside.
    pub const IPV4: Self = Self(4);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// DCCP.
    pub const DCCP: Self = Self(33);
    /// An IPv6 packet inside.
    pub const IPV6: Self = Self(41);
    /// IPv6 routing header.
    pub const ROUTING: Self = Self(43);
    /// IPv6 fragment header.
    pub const FRAGMENT: Self = Self(44);
    /// GRE.
    pub const GRE: Self = Self(47);
    /// Encapsulating security payload.
    pub const ESP: Self = Self(50);
    /// Authentication header.
    pub const AH: Self = Self(51);
    /// ICMPv6.
    pub const ICMPV6: Self = Self(58);
    /// IPv6: nothing follows.
    pub const NO_NEXT: Self = Self(59);
    /// IPv6 destination options.
    pub const DESTINATION_OPTIONS: Self = Self(60);
    /// OSPF.
    pub const OSPF: Self = Self(89);
    /// PIM.
    pub const PIM: Self = Self(103);
    /// SCTP.
    pub const SCTP: Self = Self(132);
    /// IPv6 mobility header.
    pub const MOBILITY: Self = Self(135);
    /// UDP-Lite.
    pub const UDPLITE: Self = Self(136);
    /// Host identity protocol.
    pub const HIP: Self = Self(139);
    /// Shim6.
    pub const SHIM6: Self = Self(140);
    /// Reserved; what raw sockets call `IPPROTO_RAW`.
    pub const RAW: Self = Self(255);

    /// The name in lower case (`tcp`), or `None` for a number without a constant here.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::HOP_BY_HOP => "hopopt",
            Self::ICMP => "icmp",
            Self::IGMP => "igmp",
            Self::IPV4 => "ipv4",
            Self::TCP => "tcp",
            Self::UDP => "udp",
            Self::DCCP => "dccp",
            Self::IPV6 => "ipv6",
            Self::ROUTING => "ipv6-route",
            Self::FRAGMENT => "ipv6-frag",
            Self::GRE => "gre",
            Self::ESP => "esp",
            Self::AH => "ah",
            Self::ICMPV6 => "ipv6-icmp",
            Self::NO_NEXT => "ipv6-nonxt",
            Self::DESTINATION_OPTIONS => "ipv6-opts",
            Self::OSPF => "ospf",
            Self::PIM => "pim",
            Self::SCTP => "sctp",
            Self::MOBILITY => "mobility-header",
            Self::UDPLITE => "udplite",
            Self::HIP => "hip",
            Self::SHIM6 => "shim6",
            Self::RAW => "raw",
            _ => return None,
        })
    }

    /// Whether the number is an IPv6 extension header (IANA's list), behind which another header
    /// is to be looked for. [`NO_NEXT`](Self::NO_NEXT) is none: nothing follows it.
    #[must_use]
    pub const fn is_extension_header(self) -> bool {
        matches!(
            self,
            Self::HOP_BY_HOP
                | Self::ROUTING
                | Self::FRAGMENT
                | Self::ESP
                | Self::AH
                | Self::DESTINATION_OPTIONS
                | Self::MOBILITY
                | Self::HIP
                | Self::SHIM6
        )
    }
}

impl std::fmt::Display for IpProtocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// An Ethernet type. Values below 0x0600 are not types but the length of an IEEE 802.3 frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: Self = Self(0x0800);
    /// ARP.
    pub const ARP: Self = Self(0x0806);
    /// An IEEE 802.1Q tag follows.
    pub const VLAN: Self = Self(0x8100);
    /// IPv6.
    pub const IPV6: Self = Self(0x86dd);

    /// Whether it is an IEEE 802.3 length instead of a type.
    #[must_use]
    pub const fn is_length(self) -> bool {
        self.0 < 0x0600
    }
}

impl std::fmt::Display for EtherType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::IPV4 => f.write_str("ipv4"),
            Self::ARP => f.write_str("arp"),
            Self::VLAN => f.write_str("vlan"),
            Self::IPV6 => f.write_str("ipv6"),
            Self(other) => write!(f, "{other:#06x}"),
        }
    }
}

/// The ECN field: the two low bits of IPv4's type of service and IPv6's traffic class.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[repr(u8)]
pub enum Ecn {
    /// The transport does not speak ECN.
    #[default]
    NotEct = 0b00,
    /// ECN-capable, code point 1 (L4S, RFC 9331).
    Ect1 = 0b01,
    /// ECN-capable, code point 0: what a classic ECN sender sets.
    Ect0 = 0b10,
    /// Congestion experienced.
    Ce = 0b11,
}

impl Ecn {
    /// The field in a type of service or traffic class byte.
    #[must_use]
    pub const fn of(tos: u8) -> Self {
        match tos & 0b11 {
            0b00 => Self::NotEct,
            0b01 => Self::Ect1,
            0b10 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// `tos` with this field, its DSCP unchanged.
    #[must_use]
    pub const fn put(self, tos: u8) -> u8 {
        (tos & !0b11) | self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(IpProtocol::TCP.to_string(), "tcp");
        assert_eq!(IpProtocol(200).to_string(), "200");
        assert_eq!(EtherType(0x1234).to_string(), "0x1234");
        assert!(EtherType(1500).is_length());
        assert!(!EtherType::IPV4.is_length());
        assert!(IpProtocol::FRAGMENT.is_extension_header());
        assert!(!IpProtocol::NO_NEXT.is_extension_header());
    }

    #[test]
    fn ecn_leaves_the_dscp_alone() {
        for tos in 0..=255u8 {
            assert_eq!(Ecn::of(tos).put(tos), tos);
            assert_eq!(Ecn::of(Ecn::Ce.put(tos)), Ecn::Ce);
            assert_eq!(Ecn::Ce.put(tos) >> 2, tos >> 2);
        }
    }
}
