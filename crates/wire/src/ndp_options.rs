//! Neighbour discovery options: RFC 4861 §4.6, routes (RFC 4191), name servers and search lists
//! (RFC 8106).

use crate::ndp::Preference;
use crate::{MacAddr, ParseError};
use std::net::Ipv6Addr;

/// Most options in a message.
pub const OPTIONS_MAX: usize = 64;

const SOURCE_LINK_LAYER_ADDRESS: u8 = 1;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;
const PREFIX_INFORMATION: u8 = 3;
const REDIRECTED_HEADER: u8 = 4;
const MTU: u8 = 5;
const ROUTE_INFORMATION: u8 = 24;
const RECURSIVE_DNS_SERVER: u8 = 25;
const DNS_SEARCH_LIST: u8 = 31;

/// The options of a message: checked to be well formed, read on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options<'a>(&'a [u8]);

impl<'a> Options<'a> {
    /// Checks that options fill `bytes`, which begin behind the message's fixed part and end with
    /// the packet.
    ///
    /// # Errors
    /// [`BadOption`](ParseError::BadOption) when a length is 0 or goes beyond the end.
    /// RFC 4861 §4.6: such a packet is discarded whole. [`TooMany`](ParseError::TooMany) above
    /// [`OPTIONS_MAX`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let mut rest = bytes;
        let mut count = 0;
        while !rest.is_empty() {
            let units = rest.get(1).copied().filter(|&units| units > 0);
            let units = units.ok_or(ParseError::BadOption)?;
            rest = rest
                .get(8 * usize::from(units)..)
                .ok_or(ParseError::BadOption)?;
            count += 1;
            if count > OPTIONS_MAX {
                return Err(ParseError::TooMany);
            }
        }
        Ok(Self(bytes))
    }
}

impl<'a> IntoIterator for Options<'a> {
    type Item = NdpOption<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        Iter(self.0)
    }
}

/// Walks over [`Options`].
#[derive(Clone, Debug)]
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = NdpOption<'a>;

    fn next(&mut self) -> Option<NdpOption<'a>> {
        let &[kind, units, ..] = self.0 else {
            return None;
        };
        // Never `None`: the lengths were checked.
        let (option, rest) = self.0.split_at_checked(8 * usize::from(units))?;
        self.0 = rest;
        let body = option.get(2..)?;
        Some(NdpOption::known(kind, body).unwrap_or(NdpOption::Other { kind, body }))
    }
}

/// What a prefix is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixInformation {
    /// Bits of the prefix, 128 at most.
    pub prefix_len: u8,
    /// L: its addresses are on the link.
    pub on_link: bool,
    /// A: hosts may make addresses of it.
    pub autonomous: bool,
    /// Seconds that it is valid; `u32::MAX` for ever.
    pub valid_lifetime: u32,
    /// Seconds that addresses made of it are preferred; `u32::MAX` for ever. It may be more than
    /// the valid lifetime: RFC 4862 §5.5.3: then the option is ignored for addresses.
    pub preferred_lifetime: u32,
    /// The prefix, zeros behind its length.
    pub prefix: Ipv6Addr,
}

/// A route through the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteInformation {
    /// Bits of the prefix, 128 at most.
    pub prefix_len: u8,
    /// How it compares with other routers' routes.
    pub preference: Preference,
    /// Seconds that it holds; `u32::MAX` for ever.
    pub lifetime: u32,
    /// The prefix, zeros behind its length.
    pub prefix: Ipv6Addr,
}

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NdpOption<'a> {
    /// The sender's Ethernet address.
    SourceLinkLayerAddress(MacAddr),
    /// The target's Ethernet address.
    TargetLinkLayerAddress(MacAddr),
    /// A prefix.
    PrefixInformation(PrefixInformation),
    /// The packet that caused a redirect, or its beginning; padding may follow it.
    RedirectedHeader(&'a [u8]),
    /// The link's MTU.
    Mtu(u32),
    /// A route.
    RouteInformation(RouteInformation),
    /// Name servers.
    RecursiveDnsServers {
        /// Seconds that they may be used; 0: no longer, `u32::MAX` for ever.
        lifetime: u32,
        /// Their addresses in network order, one at least: [`Ipv6Addr::from`] takes each.
        servers: &'a [[u8; 16]],
    },
    /// Domains to search.
    DnsSearchList {
        /// Seconds that they may be used; 0: no longer, `u32::MAX` for ever.
        lifetime: u32,
        /// Names as DNS encodes them (RFC 1035 §3.1), zeros behind; not judged.
        names: &'a [u8],
    },
    /// Any other, and known ones whose length is not theirs. RFC 4861 §4.6: they are ignored.
    Other {
        /// Its type.
        kind: u8,
        /// What lies behind the length: 6 bytes, or 8 more and so on.
        body: &'a [u8],
    },
}

impl<'a> NdpOption<'a> {
    fn known(kind: u8, body: &'a [u8]) -> Option<Self> {
        let be32 = |at: usize| {
            body.get(at..)
                .and_then(|b| b.first_chunk())
                .map(|&b| u32::from_be_bytes(b))
        };
        Some(match (kind, body) {
            (SOURCE_LINK_LAYER_ADDRESS, _) => Self::SourceLinkLayerAddress(mac(body)?),
            (TARGET_LINK_LAYER_ADDRESS, _) => Self::TargetLinkLayerAddress(mac(body)?),
            (PREFIX_INFORMATION, &[prefix_len, flags, .., _, _, _, _]) if body.len() == 30 => {
                Self::PrefixInformation(PrefixInformation {
                    prefix_len,
                    on_link: flags & 0x80 != 0,
                    autonomous: flags & 0x40 != 0,
                    valid_lifetime: be32(2)?,
                    preferred_lifetime: be32(6)?,
                    prefix: prefix(&body[14..], prefix_len)?,
                })
            }
            (REDIRECTED_HEADER, [_, _, _, _, _, _, packet @ ..]) => Self::RedirectedHeader(packet),
            (MTU, _) if body.len() == 6 => Self::Mtu(be32(2)?),
            (ROUTE_INFORMATION, &[prefix_len, flags, _, _, _, _, ref octets @ ..]) => {
                Self::RouteInformation(RouteInformation {
                    prefix_len,
                    // RFC 4191 §2.3: with the reserved value, the option is ignored.
                    preference: Preference::from_bits(flags >> 3)?,
                    lifetime: be32(2)?,
                    prefix: prefix(octets, prefix_len)?,
                })
            }
            (RECURSIVE_DNS_SERVER, [_, _, _, _, _, _, servers @ ..]) => match servers.as_chunks() {
                ([], _) | (_, [_, ..]) => return None,
                (servers, []) => Self::RecursiveDnsServers {
                    lifetime: be32(2)?,
                    servers,
                },
            },
            (DNS_SEARCH_LIST, [_, _, _, _, _, _, names @ ..]) if !names.is_empty() => {
                Self::DnsSearchList {
                    lifetime: be32(2)?,
                    names,
                }
            }
            _ => return None,
        })
    }

    /// Bytes that [`emit`](Self::emit) writes: a multiple of 8.
    ///
    /// # Panics
    /// When variable contents are longer than an option may be, 2040 bytes.
    #[must_use]
    pub fn emitted_len(&self) -> usize {
        let len = match self {
            Self::SourceLinkLayerAddress(_) | Self::TargetLinkLayerAddress(_) | Self::Mtu(_) => 8,
            Self::PrefixInformation(_) => 32,
            Self::RedirectedHeader(packet) => 8 + packet.len(),
            Self::RouteInformation(route) => 8 + route.octets_len(),
            Self::RecursiveDnsServers { servers, .. } => 8 + servers.as_flattened().len(),
            Self::DnsSearchList { names, .. } => 8 + names.len(),
            Self::Other { body, .. } => 2 + body.len(),
        };
        let len = len.next_multiple_of(8);
        assert!(
            len <= 8 * usize::from(u8::MAX),
            "an option's length is counted in one byte"
        );
        len
    }

    /// Writes the option into the front of `out`.
    ///
    /// # Panics
    /// When `out` is shorter than [`emitted_len`](Self::emitted_len), and as that does.
    pub fn emit(&self, out: &mut [u8]) {
        let out = &mut out[..self.emitted_len()];
        out.fill(0);
        // Checked by `emitted_len`.
        out[1] = (out.len() / 8) as u8;
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        match self {
            Self::SourceLinkLayerAddress(mac) => {
                put(0, &[SOURCE_LINK_LAYER_ADDRESS]);
                put(2, &mac.0);
            }
            Self::TargetLinkLayerAddress(mac) => {
                put(0, &[TARGET_LINK_LAYER_ADDRESS]);
                put(2, &mac.0);
            }
            Self::PrefixInformation(info) => {
                let PrefixInformation {
                    prefix_len,
                    on_link,
                    autonomous,
                    valid_lifetime,
                    preferred_lifetime,
                    prefix,
                } = info;
                put(0, &[PREFIX_INFORMATION]);
                put(
                    2,
                    &[
                        *prefix_len,
                        u8::from(*on_link) << 7 | u8::from(*autonomous) << 6,
                    ],
                );
                put(4, &valid_lifetime.to_be_bytes());
                put(8, &preferred_lifetime.to_be_bytes());
                put(16, &prefix.octets());
            }
            Self::RedirectedHeader(packet) => {
                put(0, &[REDIRECTED_HEADER]);
                put(8, packet);
            }
            Self::Mtu(mtu) => {
                put(0, &[MTU]);
                put(4, &mtu.to_be_bytes());
            }
            Self::RouteInformation(route) => {
                put(0, &[ROUTE_INFORMATION]);
                put(2, &[route.prefix_len, route.preference.bits() << 3]);
                put(4, &route.lifetime.to_be_bytes());
                put(8, &route.prefix.octets()[..route.octets_len()]);
            }
            Self::RecursiveDnsServers { lifetime, servers } => {
                put(0, &[RECURSIVE_DNS_SERVER]);
                put(4, &lifetime.to_be_bytes());
                put(8, servers.as_flattened());
            }
            Self::DnsSearchList { lifetime, names } => {
                put(0, &[DNS_SEARCH_LIST]);
                put(4, &lifetime.to_be_bytes());
                put(8, names);
            }
            Self::Other { kind, body } => {
                put(0, &[*kind]);
                put(2, body);
            }
        }
    }
}

impl RouteInformation {
    /// RFC 4191 §2.3: as much of the prefix is sent as its length needs, in units of 8 bytes.
    fn octets_len(&self) -> usize {
        match self.prefix_len {
            0 => 0,
            1..=64 => 8,
            _ => 16,
        }
    }
}

/// The Ethernet address that fills an option.
fn mac(body: &[u8]) -> Option<MacAddr> {
    body.try_into().ok().map(MacAddr)
}

/// A prefix of `len` bits out of 0, 8 or 16 bytes; `None` when they are too few for it.
fn prefix(octets: &[u8], len: u8) -> Option<Ipv6Addr> {
    if len > 128 || usize::from(len) > 8 * octets.len() {
        return None;
    }
    let mut all = [0; 16];
    all.get_mut(..octets.len())?.copy_from_slice(octets);
    let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
    Some(Ipv6Addr::from_bits(u128::from_be_bytes(all) & mask))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn emitted(option: NdpOption<'_>) -> Vec<u8> {
        let mut out = vec![0xee; option.emitted_len()];
        option.emit(&mut out);
        out
    }

    #[test]
    fn a_prefix_as_a_router_sends_it() {
        let bytes = [
            3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0, 0, 0x38, 0x40, 0, 0, 0, 0, 0xfd, 0, 0, 2, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let info = PrefixInformation {
            prefix_len: 64,
            on_link: true,
            autonomous: true,
            valid_lifetime: 86400,
            preferred_lifetime: 14400,
            prefix: "fd00:2::".parse().unwrap(),
        };
        let mut options = Options::parse(&bytes).unwrap().into_iter();
        assert_eq!(options.next(), Some(NdpOption::PrefixInformation(info)));
        assert_eq!(options.next(), None);
        assert_eq!(emitted(NdpOption::PrefixInformation(info)), bytes);
    }

    #[test]
    fn malformed_lengths_condemn_the_message() {
        assert_eq!(
            Options::parse(&[1, 0, 0, 0, 0, 0, 0, 0]),
            Err(ParseError::BadOption)
        );
        assert_eq!(
            Options::parse(&[1, 2, 0, 0, 0, 0, 0, 0]),
            Err(ParseError::BadOption)
        );
        assert_eq!(Options::parse(&[1]), Err(ParseError::BadOption));
        let many = [14, 1, 0, 0, 0, 0, 0, 0].repeat(OPTIONS_MAX + 1);
        assert_eq!(Options::parse(&many), Err(ParseError::TooMany));
        assert_eq!(
            Options::parse(&many[8..]).unwrap().into_iter().count(),
            OPTIONS_MAX
        );
    }

    #[test]
    fn a_known_option_with_a_foreign_length_is_not_known() {
        // An MTU of two units, a prefix of 129 bits, a route of 65 bits in 8 bytes.
        for (kind, units, first) in [
            (MTU, 2, 0),
            (PREFIX_INFORMATION, 4, 129),
            (ROUTE_INFORMATION, 2, 65),
        ] {
            let mut bytes = vec![0; 8 * usize::from(units)];
            bytes[..3].copy_from_slice(&[kind, units, first]);
            let option = Options::parse(&bytes).unwrap().into_iter().next();
            assert!(matches!(option, Some(NdpOption::Other { kind: k, .. }) if k == kind));
        }
    }

    proptest! {
        #[test]
        fn options_survive_emit_and_parse(
            kind in prop::sample::select(vec![1u8, 2, 3, 4, 5, 14, 24, 25, 31]),
            units in 0u8..6,
            mut bytes in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            if let [first, len, ..] = &mut bytes[..] {
                *first = kind;
                *len = units;
            }
            let Ok(options) = Options::parse(&bytes) else { return Ok(()) };
            for option in options {
                let out = emitted(option);
                let again = Options::parse(&out).unwrap().into_iter().next();
                prop_assert_eq!(again, Some(option));
            }
        }
    }
}
