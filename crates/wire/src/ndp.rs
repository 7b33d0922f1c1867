//! Neighbour discovery messages (RFC 4861 §4), with the router preference of RFC 4191. What
//! follows them are [`ndp_options`](crate::ndp_options).

use crate::icmpv6::Type;
use crate::ndp_options::{NdpOption, Options};
use crate::{ParseError, take};
use std::net::Ipv6Addr;

/// RFC 4861 §6.1, §7.1: a message with another hop limit was forwarded by a router, and is
/// dropped.
pub const HOP_LIMIT: u8 = 255;

/// How much a router wants to be preferred (RFC 4191 §2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Preference {
    /// Only when there is no other.
    Low,
    /// As all routers without one; also the reserved value, in an advertisement.
    #[default]
    Medium,
    /// Before others.
    High,
}

impl Preference {
    /// From the two bits; `None` for the reserved value.
    pub(crate) const fn from_bits(bits: u8) -> Option<Self> {
        match bits & 0b11 {
            0b00 => Some(Self::Medium),
            0b01 => Some(Self::High),
            0b11 => Some(Self::Low),
            _ => None,
        }
    }

    pub(crate) const fn bits(self) -> u8 {
        match self {
            Self::Medium => 0b00,
            Self::High => 0b01,
            Self::Low => 0b11,
        }
    }
}

/// What a router advertises about itself and the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouterAdvertisement {
    /// Hop limit that hosts should use; 0 when unspecified.
    pub cur_hop_limit: u8,
    /// M: addresses are available by DHCPv6.
    pub managed: bool,
    /// O: other configuration is available by DHCPv6.
    pub other_config: bool,
    /// The router's preference; without meaning when the lifetime is 0.
    pub preference: Preference,
    /// Seconds that it is a default router; 0: it is none.
    pub router_lifetime: u16,
    /// Milliseconds that a neighbour stays reachable; 0 when unspecified.
    pub reachable_time: u32,
    /// Milliseconds between solicitations; 0 when unspecified.
    pub retrans_timer: u32,
}

/// A neighbour discovery message without its options, which lie behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// Router solicitation.
    RouterSolicitation,
    /// Router advertisement.
    RouterAdvertisement(RouterAdvertisement),
    /// Neighbour solicitation.
    NeighborSolicitation {
        /// Whose link-layer address is asked for.
        target: Ipv6Addr,
    },
    /// Neighbour advertisement.
    NeighborAdvertisement {
        /// R: the sender is a router.
        router: bool,
        /// S: it answers a solicitation.
        solicited: bool,
        /// O: it overrides what is cached.
        override_flag: bool,
        /// Whose link-layer address it gives.
        target: Ipv6Addr,
    },
    /// Redirect.
    Redirect {
        /// The better first hop, or the destination itself when that is on the link.
        target: Ipv6Addr,
        /// For which destination.
        destination: Ipv6Addr,
    },
}

impl Header {
    /// Reads a message from its ICMPv6 type on.
    ///
    /// RFC 4861 §6.1, §7.1, §8.1: code and length are checked; [`is_acceptable`](Self::is_acceptable)
    /// checks what depends on addresses, hop limit and options. The checksum is
    /// [`icmpv6::is_valid`](crate::icmpv6::is_valid)'s, whether the sender is entitled to it the
    /// caller's.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) when `bytes` are too short for the type,
    /// [`BadValue`](ParseError::BadValue) when the code is not 0,
    /// [`Unsupported`](ParseError::Unsupported) for another type.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let &[kind, code, _, _, a, b, c, d] = take::<8>(bytes)?;
        if !Type(kind).is_neighbor_discovery() {
            return Err(ParseError::Unsupported);
        }
        if code != 0 {
            return Err(ParseError::BadValue);
        }
        let address = |at: usize| {
            let octets = bytes.get(at..).ok_or(ParseError::Truncated)?;
            take::<16>(octets).map(|&octets| Ipv6Addr::from(octets))
        };
        Ok(match Type(kind) {
            Type::ROUTER_SOLICITATION => Self::RouterSolicitation,
            Type::ROUTER_ADVERTISEMENT => {
                let &[.., r0, r1, r2, r3, t0, t1, t2, t3] = take::<16>(bytes)?;
                Self::RouterAdvertisement(RouterAdvertisement {
                    cur_hop_limit: a,
                    managed: b & 0x80 != 0,
                    other_config: b & 0x40 != 0,
                    // RFC 4191 §2.2: the reserved value counts as medium.
                    preference: Preference::from_bits(b >> 3).unwrap_or_default(),
                    router_lifetime: u16::from_be_bytes([c, d]),
                    reachable_time: u32::from_be_bytes([r0, r1, r2, r3]),
                    retrans_timer: u32::from_be_bytes([t0, t1, t2, t3]),
                })
            }
            Type::NEIGHBOR_SOLICITATION => Self::NeighborSolicitation {
                target: address(8)?,
            },
            Type::NEIGHBOR_ADVERTISEMENT => Self::NeighborAdvertisement {
                router: a & 0x80 != 0,
                solicited: a & 0x40 != 0,
                override_flag: a & 0x20 != 0,
                target: address(8)?,
            },
            _ => Self::Redirect {
                target: address(8)?,
                destination: address(24)?,
            },
        })
    }

    /// Whether the message passes the rest of RFC 4861's validity tests: §6.1.1, §6.1.2, §7.1.1,
    /// §7.1.2 and §8.1, given the IPv6 header's addresses and hop limit.
    ///
    /// That a redirect comes from the current first hop is left to the caller.
    #[must_use]
    pub fn is_acceptable(
        &self,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        hop_limit: u8,
        options: Options<'_>,
    ) -> bool {
        let has_source_address = || {
            options
                .into_iter()
                .any(|o| matches!(o, NdpOption::SourceLinkLayerAddress(_)))
        };
        hop_limit == HOP_LIMIT
            && match *self {
                Self::RouterSolicitation => !source.is_unspecified() || !has_source_address(),
                Self::RouterAdvertisement(_) => source.is_unicast_link_local(),
                Self::NeighborSolicitation { target } => {
                    !target.is_multicast()
                        && (!source.is_unspecified()
                            || is_solicited_node(destination) && !has_source_address())
                }
                Self::NeighborAdvertisement {
                    solicited, target, ..
                } => !(target.is_multicast() || solicited && destination.is_multicast()),
                Self::Redirect {
                    target,
                    destination,
                } => {
                    source.is_unicast_link_local()
                        && !destination.is_multicast()
                        && (target.is_unicast_link_local() || target == destination)
                }
            }
    }

    /// The ICMPv6 type.
    #[must_use]
    pub const fn kind(&self) -> Type {
        match self {
            Self::RouterSolicitation => Type::ROUTER_SOLICITATION,
            Self::RouterAdvertisement(_) => Type::ROUTER_ADVERTISEMENT,
            Self::NeighborSolicitation { .. } => Type::NEIGHBOR_SOLICITATION,
            Self::NeighborAdvertisement { .. } => Type::NEIGHBOR_ADVERTISEMENT,
            Self::Redirect { .. } => Type::REDIRECT,
        }
    }

    /// Bytes that [`emit`](Self::emit) writes; options follow.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        match self {
            Self::RouterSolicitation => 8,
            Self::RouterAdvertisement(_) => 16,
            Self::NeighborSolicitation { .. } | Self::NeighborAdvertisement { .. } => 24,
            Self::Redirect { .. } => 40,
        }
    }

    /// Writes the message into the front of `out`, with a checksum of 0:
    /// [`icmpv6::fill_checksum`](crate::icmpv6::fill_checksum) fills it in once the options are
    /// there.
    ///
    /// # Panics
    /// When `out` is shorter than [`header_len`](Self::header_len).
    pub fn emit(&self, out: &mut [u8]) {
        out[..self.header_len()].fill(0);
        out[0] = self.kind().0;
        match *self {
            Self::RouterSolicitation => {}
            Self::RouterAdvertisement(ra) => {
                let RouterAdvertisement {
                    cur_hop_limit,
                    managed,
                    other_config,
                    preference,
                    router_lifetime,
                    reachable_time,
                    retrans_timer,
                } = ra;
                out[4] = cur_hop_limit;
                out[5] =
                    u8::from(managed) << 7 | u8::from(other_config) << 6 | preference.bits() << 3;
                out[6..8].copy_from_slice(&router_lifetime.to_be_bytes());
                out[8..12].copy_from_slice(&reachable_time.to_be_bytes());
                out[12..16].copy_from_slice(&retrans_timer.to_be_bytes());
            }
            Self::NeighborSolicitation { target } => {
                out[8..24].copy_from_slice(&target.octets());
            }
            Self::NeighborAdvertisement {
                router,
                solicited,
                override_flag,
                target,
            } => {
                out[4] =
                    u8::from(router) << 7 | u8::from(solicited) << 6 | u8::from(override_flag) << 5;
                out[8..24].copy_from_slice(&target.octets());
            }
            Self::Redirect {
                target,
                destination,
            } => {
                out[8..24].copy_from_slice(&target.octets());
                out[24..40].copy_from_slice(&destination.octets());
            }
        }
    }
}

/// The group that solicitations for `address` are sent to (RFC 4291 §2.7.1).
#[must_use]
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., f, g] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | f & 0xff, g)
}

fn is_solicited_node(group: Ipv6Addr) -> bool {
    group == solicited_node(group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MacAddr;
    use proptest::prelude::*;

    const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const GLOBAL: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0x12, 0x3456);
    const NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    const NONE: Ipv6Addr = Ipv6Addr::UNSPECIFIED;

    #[test]
    fn solicited_node_groups() {
        assert_eq!(solicited_node(GLOBAL).to_string(), "ff02::1:ff12:3456");
        assert!(is_solicited_node(solicited_node(GLOBAL)));
        assert!(!is_solicited_node(NODES));
    }

    #[test]
    fn validity_depends_on_the_ip_header() {
        let mut bytes = [0; 8];
        NdpOption::SourceLinkLayerAddress(MacAddr([2, 0, 0, 0, 0, 1])).emit(&mut bytes);
        let with = Options::parse(&bytes).unwrap();
        let without = Options::default();

        let rs = Header::RouterSolicitation;
        assert!(rs.is_acceptable(LINK_LOCAL, NODES, 255, with));
        assert!(!rs.is_acceptable(LINK_LOCAL, NODES, 254, with));
        assert!(rs.is_acceptable(NONE, NODES, 255, without));
        assert!(!rs.is_acceptable(NONE, NODES, 255, with));

        let ra = Header::RouterAdvertisement(RouterAdvertisement::default());
        assert!(ra.is_acceptable(LINK_LOCAL, NODES, 255, without));
        assert!(!ra.is_acceptable(GLOBAL, NODES, 255, without));

        let ns = Header::NeighborSolicitation { target: GLOBAL };
        assert!(ns.is_acceptable(LINK_LOCAL, GLOBAL, 255, with));
        assert!(ns.is_acceptable(NONE, solicited_node(GLOBAL), 255, without));
        assert!(!ns.is_acceptable(NONE, solicited_node(GLOBAL), 255, with));
        assert!(!ns.is_acceptable(NONE, GLOBAL, 255, without));
        let ns = Header::NeighborSolicitation { target: NODES };
        assert!(!ns.is_acceptable(LINK_LOCAL, GLOBAL, 255, with));

        let na = |solicited| Header::NeighborAdvertisement {
            router: false,
            solicited,
            override_flag: true,
            target: GLOBAL,
        };
        assert!(na(false).is_acceptable(GLOBAL, NODES, 255, without));
        assert!(!na(true).is_acceptable(GLOBAL, NODES, 255, without));

        let redirect = |target, destination| Header::Redirect {
            target,
            destination,
        };
        assert!(redirect(GLOBAL, GLOBAL).is_acceptable(LINK_LOCAL, NODES, 255, without));
        assert!(redirect(LINK_LOCAL, GLOBAL).is_acceptable(LINK_LOCAL, NODES, 255, without));
        assert!(!redirect(GLOBAL, LINK_LOCAL).is_acceptable(LINK_LOCAL, NODES, 255, without));
        assert!(!redirect(LINK_LOCAL, NODES).is_acceptable(LINK_LOCAL, NODES, 255, without));
    }

    #[test]
    fn codes_other_than_zero_are_refused() {
        let mut bytes = [0; 40];
        for kind in 133..=137 {
            bytes[0] = kind;
            bytes[1] = 0;
            let header = Header::parse(&bytes).unwrap();
            assert_eq!(header.kind(), Type(kind));
            let short = &bytes[..header.header_len() - 1];
            assert_eq!(Header::parse(short), Err(ParseError::Truncated));
            bytes[1] = 1;
            assert_eq!(Header::parse(&bytes), Err(ParseError::BadValue));
        }
    }

    proptest! {
        #[test]
        fn headers_survive_emit_and_parse(
            kind in 130u8..140,
            mut bytes in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            if let [first, code, ..] = &mut bytes[..] {
                *first = kind;
                *code &= 1;
            }
            if let Ok(header) = Header::parse(&bytes) {
                let mut out = vec![0xee; header.header_len()];
                header.emit(&mut out);
                prop_assert_eq!(Header::parse(&out), Ok(header));
            }
        }
    }
}
