//! IPv6 extension headers (RFC 8200 §4): a walk along the chain, with limits.
//!
//! [`walk`] goes from the IPv6 header to the upper layer or to a fragment header and does what a
//! destination must on the way. Routing types are all unknown here (type 0 is deprecated by
//! RFC 5095), and so are jumbo payloads (RFC 2675): both are refused as RFC 8200 says. The
//! authentication and ESP headers count as upper layers.

use crate::icmpv6::ParameterProblemCode;
use crate::ipv6::HEADER_LEN as IPV6_LEN;
use crate::{IpProtocol, ParseError, take};

/// Most extension headers in a chain (RFC 8504 §5.3 allows a limit).
pub const HEADERS_MAX: usize = 8;
/// Most options in one header, padding not counted (RFC 8504 §5.3).
pub const OPTIONS_MAX: usize = 8;
/// Most bytes of padding in a row: 7 are enough to align anything (RFC 8504 §5.3).
pub const PADDING_MAX: usize = 7;
/// Bytes of a fragment header.
pub const FRAGMENT_LEN: usize = 8;
/// Bytes of a hop-by-hop header with a router alert in it.
pub const ROUTER_ALERT_LEN: usize = 8;

const PAD1: u8 = 0;
const PADN: u8 = 1;
const ROUTER_ALERT: u8 = 5;

/// Where a chain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// What begins at `offset`: an upper layer, or [`IpProtocol::NO_NEXT`]. Behind a fragment
    /// header: what the whole packet has there, which may be another extension header.
    pub protocol: IpProtocol,
    /// Bytes of extension headers.
    pub offset: usize,
    /// Where the Next Header field lies that names `protocol`, counted from the IPv6 header: an
    /// ICMPv6 pointer.
    pub next_header_at: usize,
    /// A fragment header that ends the walk. Atomic fragments (RFC 6946), which are whole, do not
    /// end it and are not given here.
    pub fragment: Option<Fragment>,
    /// An atomic fragment's header was among them (RFC 6946).
    pub atomic: bool,
    /// The value of a router alert option in the hop-by-hop header (RFC 2711).
    pub router_alert: Option<u16>,
}

/// A fragment header (RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// What the fragmented part begins with.
    pub next_header: IpProtocol,
    /// Where this fragment lies in the fragmented part, in bytes: a multiple of 8, 65528 at most.
    pub offset: u16,
    /// Further fragments follow this one.
    pub more: bool,
    /// Names the packet that it belongs to.
    pub identification: u32,
}

/// What to do with a packet whose chain cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Drop it without a word.
    Discard(ParseError),
    /// Drop it and answer an ICMPv6 parameter problem.
    ParameterProblem {
        /// The message's code: a [`ParameterProblemCode`].
        code: u8,
        /// The byte it is about, counted from the IPv6 header.
        pointer: u32,
        /// RFC 8200 §4.2: also when the packet was sent to a group.
        even_to_group: bool,
    },
}

impl From<ParseError> for Refusal {
    fn from(error: ParseError) -> Self {
        Self::Discard(error)
    }
}

/// Follows the chain of extension headers in `bytes`, which begin behind the IPv6 header and whose
/// first one is `next_header`.
///
/// `bytes` end where the packet does, or earlier: then a chain that goes further is refused as
/// truncated.
///
/// # Errors
/// A [`Refusal`]: what RFC 8200 says is to become of the packet.
pub fn walk(next_header: IpProtocol, bytes: &[u8]) -> Result<Chain, Refusal> {
    let mut chain = Chain::start(next_header);
    for _ in 0..HEADERS_MAX {
        let rest = bytes.get(chain.offset..).ok_or(ParseError::Truncated)?;
        let len = match chain.protocol {
            IpProtocol::HOP_BY_HOP if chain.offset == 0 => {
                let header = variable(rest)?;
                chain.router_alert = options(header, chain.offset)?;
                header.len()
            }
            // RFC 8200 §4.1: anywhere else it is as good as unknown.
            IpProtocol::HOP_BY_HOP => {
                return Err(Refusal::ParameterProblem {
                    code: ParameterProblemCode::UNRECOGNIZED_NEXT_HEADER.0,
                    pointer: pointer(chain.next_header_at),
                    even_to_group: false,
                });
            }
            IpProtocol::DESTINATION_OPTIONS => {
                let header = variable(rest)?;
                options(header, chain.offset)?;
                header.len()
            }
            IpProtocol::ROUTING => {
                let header = variable(rest)?;
                // RFC 8200 §4.4: an unknown routing type is skipped when no segments are left.
                if header[3] != 0 {
                    return Err(Refusal::ParameterProblem {
                        code: ParameterProblemCode::ERRONEOUS_FIELD.0,
                        pointer: pointer(IPV6_LEN + chain.offset + 2),
                        even_to_group: false,
                    });
                }
                header.len()
            }
            IpProtocol::FRAGMENT => {
                let fragment = Fragment::parse(rest)?;
                if fragment.is_atomic() {
                    chain.atomic = true;
                } else {
                    chain.fragment = Some(fragment);
                }
                FRAGMENT_LEN
            }
            _ => return Ok(chain),
        };
        chain.step(rest[0], len);
        if chain.fragment.is_some() {
            return Ok(chain);
        }
    }
    if is_followed(chain.protocol) {
        Err(ParseError::TooMany.into())
    } else {
        Ok(chain)
    }
}

/// Reads the hop-by-hop header that `bytes` begin with, behind the IPv6 header: what a router looks
/// at (RFC 8200 §4.3). Gives the router alert's value.
///
/// # Errors
/// A [`Refusal`]: what RFC 8200 says is to become of the packet.
pub fn hop_by_hop(bytes: &[u8]) -> Result<Option<u16>, Refusal> {
    options(variable(bytes)?, 0)
}

/// Goes along the chain of a packet that an ICMPv6 error quotes, to find its upper layer: this
/// node once sent it, so nothing in it is judged or acted on. It goes on behind the fragment
/// header of a first fragment.
///
/// # Errors
/// [`Truncated`](ParseError::Truncated) when the quote ends inside the chain,
/// [`TooMany`](ParseError::TooMany) above [`HEADERS_MAX`].
pub fn walk_quoted(next_header: IpProtocol, bytes: &[u8]) -> Result<Chain, ParseError> {
    let mut chain = Chain::start(next_header);
    for _ in 0..HEADERS_MAX {
        if !is_followed(chain.protocol) || chain.fragment.is_some_and(|f| f.offset != 0) {
            return Ok(chain);
        }
        let rest = bytes.get(chain.offset..).ok_or(ParseError::Truncated)?;
        let len = if chain.protocol == IpProtocol::FRAGMENT {
            chain.fragment = Some(Fragment::parse(rest)?).filter(|f| !f.is_atomic());
            FRAGMENT_LEN
        } else {
            variable(rest)?.len()
        };
        chain.step(rest[0], len);
    }
    if is_followed(chain.protocol) {
        Err(ParseError::TooMany)
    } else {
        Ok(chain)
    }
}

/// Whether the first fragment of a packet holds all headers, the upper layer's included. `bytes`
/// begin behind its fragment header with `next_header`.
///
/// RFC 7112 §5: a first fragment that does not may be discarded, since nobody can filter it.
#[must_use]
pub fn first_fragment_is_whole(next_header: IpProtocol, bytes: &[u8]) -> bool {
    let Ok(chain) = walk(next_header, bytes) else {
        return false;
    };
    let upper = bytes.len().saturating_sub(chain.offset);
    let needed = match chain.protocol {
        IpProtocol::TCP => crate::tcp::HEADER_LEN,
        IpProtocol::UDP | IpProtocol::UDPLITE | IpProtocol::ICMPV6 => 8,
        IpProtocol::SCTP | IpProtocol::DCCP => 12,
        _ => 0,
    };
    chain.fragment.is_none() && upper >= needed
}

impl Chain {
    const fn start(next_header: IpProtocol) -> Self {
        Self {
            protocol: next_header,
            offset: 0,
            next_header_at: 6,
            fragment: None,
            atomic: false,
            router_alert: None,
        }
    }

    /// Goes over a header of `len` bytes that names `next`.
    fn step(&mut self, next: u8, len: usize) {
        self.next_header_at = IPV6_LEN + self.offset;
        self.protocol = IpProtocol(next);
        self.offset += len;
    }
}

impl Fragment {
    /// Reads a fragment header; the reserved bits are ignored.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) below 8 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let &[next, _, o0, o1, i0, i1, i2, i3] = take::<FRAGMENT_LEN>(bytes)?;
        let field = u16::from_be_bytes([o0, o1]);
        Ok(Self {
            next_header: IpProtocol(next),
            offset: field & !7,
            more: field & 1 != 0,
            identification: u32::from_be_bytes([i0, i1, i2, i3]),
        })
    }

    /// Whether it is the only fragment of its packet (RFC 6946).
    #[must_use]
    pub const fn is_atomic(&self) -> bool {
        self.offset == 0 && !self.more
    }

    /// Bytes that [`emit`](Self::emit) writes.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        FRAGMENT_LEN
    }

    /// Writes the header into the front of `out`.
    ///
    /// # Panics
    /// When `out` is shorter than 8 bytes.
    pub fn emit(&self, out: &mut [u8]) {
        debug_assert!(
            self.offset.is_multiple_of(8),
            "fragments begin at multiples of 8 bytes"
        );
        let field = self.offset & !7 | u16::from(self.more);
        out[0..2].copy_from_slice(&[self.next_header.0, 0]);
        out[2..4].copy_from_slice(&field.to_be_bytes());
        out[4..8].copy_from_slice(&self.identification.to_be_bytes());
    }
}

/// Writes a hop-by-hop header with a router alert of `value` into the front of `out`: 8 bytes, as
/// MLD messages carry (RFC 2711, RFC 3810 §5; value 0).
///
/// # Panics
/// When `out` is shorter than 8 bytes.
pub fn emit_router_alert(next_header: IpProtocol, value: u16, out: &mut [u8]) {
    let [high, low] = value.to_be_bytes();
    out[..ROUTER_ALERT_LEN].copy_from_slice(&[
        next_header.0,
        0,
        ROUTER_ALERT,
        2,
        high,
        low,
        PADN,
        0,
    ]);
}

/// Whether a walk goes on behind such a header.
const fn is_followed(protocol: IpProtocol) -> bool {
    matches!(
        protocol,
        IpProtocol::HOP_BY_HOP
            | IpProtocol::DESTINATION_OPTIONS
            | IpProtocol::ROUTING
            | IpProtocol::FRAGMENT
    )
}

/// A header with a length field in units of 8 bytes, the first unit not counted: 8 bytes at least.
fn variable(bytes: &[u8]) -> Result<&[u8], ParseError> {
    let &[_, units, ..] = take::<8>(bytes)?;
    bytes
        .get(..8 + 8 * usize::from(units))
        .ok_or(ParseError::Truncated)
}

/// Reads the options of a hop-by-hop or destination header that begins `at` bytes behind the IPv6
/// header. Gives the router alert's value.
fn options(header: &[u8], at: usize) -> Result<Option<u16>, Refusal> {
    let mut router_alert = None;
    let mut place = 2;
    let mut seen = 0;
    let mut padding = 0;
    while let Some(&kind) = header.get(place) {
        if kind == PAD1 {
            padding += 1;
            place += 1;
        } else {
            let len = usize::from(*header.get(place + 1).ok_or(ParseError::BadOption)?);
            let body = header
                .get(place + 2..place + 2 + len)
                .ok_or(ParseError::BadOption)?;
            if kind == PADN {
                padding += 2 + len;
            } else {
                padding = 0;
                seen += 1;
                if seen > OPTIONS_MAX {
                    return Err(ParseError::TooMany.into());
                }
                match (kind, body) {
                    (ROUTER_ALERT, &[high, low]) => {
                        router_alert = Some(u16::from_be_bytes([high, low]));
                    }
                    _ => unrecognized(kind, IPV6_LEN + at + place)?,
                }
            }
            place += 2 + len;
        }
        if padding > PADDING_MAX {
            return Err(ParseError::BadOption.into());
        }
    }
    Ok(router_alert)
}

/// RFC 8200 §4.2: the two highest bits of an unknown option say what becomes of the packet.
fn unrecognized(kind: u8, at: usize) -> Result<(), Refusal> {
    match kind >> 6 {
        0b00 => Ok(()),
        0b01 => Err(ParseError::Unsupported.into()),
        action => Err(Refusal::ParameterProblem {
            code: ParameterProblemCode::UNRECOGNIZED_OPTION.0,
            pointer: pointer(at),
            even_to_group: action == 0b10,
        }),
    }
}

fn pointer(at: usize) -> u32 {
    // A chain of HEADERS_MAX headers of 2048 bytes at most.
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UDP: u8 = IpProtocol::UDP.0;
    const DEST: u8 = IpProtocol::DESTINATION_OPTIONS.0;

    #[test]
    fn without_extension_headers() {
        let chain = walk(IpProtocol::TCP, &[]).unwrap();
        assert_eq!(
            (chain.protocol, chain.offset, chain.next_header_at),
            (IpProtocol::TCP, 0, 6)
        );
    }

    #[test]
    fn hop_by_hop_then_destination_options_then_udp() {
        let mut bytes = vec![0; 24];
        emit_router_alert(IpProtocol(DEST), 0x1234, &mut bytes);
        bytes[8..16].copy_from_slice(&[UDP, 0, PADN, 4, 0, 0, 0, 0]);
        let chain = walk(IpProtocol::HOP_BY_HOP, &bytes).unwrap();
        assert_eq!((chain.protocol, chain.offset), (IpProtocol::UDP, 16));
        assert_eq!(chain.next_header_at, 48);
        assert_eq!(chain.router_alert, Some(0x1234));
        assert_eq!(
            walk(IpProtocol::HOP_BY_HOP, &bytes[..15]),
            Err(ParseError::Truncated.into())
        );
    }

    #[test]
    fn hop_by_hop_elsewhere_is_unknown() {
        let bytes = [
            IpProtocol::HOP_BY_HOP.0,
            0,
            PADN,
            4,
            0,
            0,
            0,
            0,
            UDP,
            0,
            1,
            4,
            0,
            0,
            0,
            0,
        ];
        assert_eq!(
            walk(IpProtocol(DEST), &bytes),
            Err(Refusal::ParameterProblem {
                code: 1,
                pointer: 40,
                even_to_group: false
            })
        );
    }

    #[test]
    fn unknown_options_act_by_their_highest_bits() {
        let with = |kind: u8| walk(IpProtocol(DEST), &[UDP, 0, kind, 4, 0, 0, 0, 0]);
        assert_eq!(with(0x1e).unwrap().protocol, IpProtocol::UDP);
        assert_eq!(with(0x5e), Err(ParseError::Unsupported.into()));
        let problem = |even_to_group| Refusal::ParameterProblem {
            code: 2,
            pointer: 42,
            even_to_group,
        };
        assert_eq!(with(0x9e), Err(problem(true)));
        assert_eq!(with(0xde), Err(problem(false)));
        // A jumbo payload.
        assert_eq!(with(0xc2), Err(problem(false)));
    }

    #[test]
    fn routing_headers_pass_when_they_have_been_followed() {
        let with =
            |segments_left| walk(IpProtocol::ROUTING, &[UDP, 0, 0, segments_left, 0, 0, 0, 0]);
        assert_eq!(with(0).unwrap().protocol, IpProtocol::UDP);
        assert_eq!(
            with(1),
            Err(Refusal::ParameterProblem {
                code: 0,
                pointer: 42,
                even_to_group: false
            })
        );
    }

    #[test]
    fn fragments_end_the_walk_and_atomic_ones_do_not() {
        let mut bytes = [0; 16];
        let mut fragment = Fragment {
            next_header: IpProtocol(DEST),
            offset: 1448,
            more: true,
            identification: 0xdead_beef,
        };
        fragment.emit(&mut bytes);
        // 1448 is 181 units of 8: 0x05a8 with the three low bits free; M is the lowest.
        assert_eq!(bytes[..8], [DEST, 0, 0x05, 0xa9, 0xde, 0xad, 0xbe, 0xef]);
        let chain = walk(IpProtocol::FRAGMENT, &bytes).unwrap();
        assert_eq!(chain.fragment, Some(fragment));
        assert_eq!((chain.protocol, chain.offset), (IpProtocol(DEST), 8));

        fragment.offset = 0;
        fragment.more = false;
        fragment.emit(&mut bytes);
        bytes[8..].copy_from_slice(&[UDP, 0, PADN, 4, 0, 0, 0, 0]);
        let chain = walk(IpProtocol::FRAGMENT, &bytes).unwrap();
        assert_eq!(chain.fragment, None);
        assert_eq!((chain.protocol, chain.offset), (IpProtocol::UDP, 16));
    }

    #[test]
    fn a_first_fragment_needs_the_upper_header() {
        let mut bytes = vec![IpProtocol::TCP.0, 0, PADN, 4, 0, 0, 0, 0];
        bytes.resize(8 + 19, 0);
        assert!(!first_fragment_is_whole(IpProtocol(DEST), &bytes));
        bytes.push(0);
        assert!(first_fragment_is_whole(IpProtocol(DEST), &bytes));
    }

    #[test]
    fn a_quote_is_not_judged() {
        // A routing header with segments left, a first fragment, an option that nobody knows.
        let mut bytes = vec![IpProtocol::FRAGMENT.0, 0, 0, 1, 0, 0, 0, 0];
        bytes.extend([DEST, 0, 0, 1, 0, 0, 0, 9]);
        bytes.extend([UDP, 0, 0xde, 4, 0, 0, 0, 0]);
        let chain = walk_quoted(IpProtocol::ROUTING, &bytes).unwrap();
        assert_eq!((chain.protocol, chain.offset), (IpProtocol::UDP, 24));
        assert_eq!(chain.fragment.map(|f| (f.offset, f.more)), Some((0, true)));
        assert_eq!(
            walk_quoted(IpProtocol::ROUTING, &bytes[..20]),
            Err(ParseError::Truncated)
        );
        // What a later fragment holds is no header.
        bytes[11] = 9;
        let chain = walk_quoted(IpProtocol::ROUTING, &bytes).unwrap();
        assert_eq!((chain.protocol, chain.offset), (IpProtocol(DEST), 16));
        let endless = [DEST, 0, 1, 4, 0, 0, 0, 0].repeat(HEADERS_MAX + 1);
        assert_eq!(
            walk_quoted(IpProtocol(DEST), &endless),
            Err(ParseError::TooMany)
        );
    }

    #[test]
    fn limits_hold() {
        let mut bytes = [DEST, 0, PADN, 4, 0, 0, 0, 0].repeat(HEADERS_MAX + 1);
        assert_eq!(
            walk(IpProtocol(DEST), &bytes),
            Err(ParseError::TooMany.into())
        );
        bytes[8 * (HEADERS_MAX - 1)] = UDP;
        assert_eq!(
            walk(IpProtocol(DEST), &bytes).unwrap().offset,
            8 * HEADERS_MAX
        );

        let mut options = vec![UDP, 2];
        options.extend([0x1e, 0].repeat(OPTIONS_MAX));
        options.extend([PADN, 4, 0, 0, 0, 0]);
        assert!(walk(IpProtocol(DEST), &options).is_ok());
        options[18..20].copy_from_slice(&[0x1e, 0]);
        assert_eq!(
            walk(IpProtocol(DEST), &options),
            Err(ParseError::TooMany.into())
        );

        let padding = [UDP, 1, PADN, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(
            walk(IpProtocol(DEST), &padding),
            Err(ParseError::BadOption.into())
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            first in prop::sample::select(vec![0u8, 43, 44, 60, 17]),
            mut bytes in proptest::collection::vec(any::<u8>(), 0..120),
            nexts in proptest::collection::vec(prop::sample::select(vec![0u8, 43, 44, 60, 17]), 15),
        ) {
            // Short headers that name further ones get the walk far.
            for (header, next) in bytes.chunks_mut(8).zip(nexts) {
                header[0] = next;
                if let Some(len) = header.get_mut(1) {
                    *len &= 1;
                }
            }
            if let Ok(chain) = walk(IpProtocol(first), &bytes) {
                prop_assert!(chain.offset <= bytes.len());
                prop_assert!(chain.next_header_at == 6 || chain.next_header_at - 40 < bytes.len());
            }
            let quoted = walk_quoted(IpProtocol(first), &bytes);
            prop_assert!(quoted.is_err() || quoted.is_ok_and(|c| c.offset <= bytes.len()));
            let _ = first_fragment_is_whole(IpProtocol(first), &bytes);
        }

        #[test]
        fn fragment_headers_survive(next: u8, units in 0u16..8192, more: bool, identification: u32) {
            let fragment = Fragment {
                next_header: IpProtocol(next),
                offset: units * 8,
                more,
                identification,
            };
            let mut out = [0xff; 8];
            fragment.emit(&mut out);
            prop_assert_eq!(Fragment::parse(&out), Ok(fragment));
        }
    }
}
