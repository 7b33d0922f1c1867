//! ICMPv6 (RFC 4443), with the length of RFC 4884. Neighbour discovery is [`ndp`](crate::ndp)'s.

use crate::{IpProtocol, ParseError, checksum, take};
use std::net::Ipv6Addr;

/// Bytes of a header.
pub const HEADER_LEN: usize = 8;
/// Where the checksum lies in the header.
pub const CHECKSUM_OFFSET: usize = 2;
/// Least bytes of the original packet where RFC 4884 extensions follow it.
pub const EXTENDED_QUOTE_MIN: usize = 128;

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Type(pub u8);

impl Type {
    /// Destination unreachable.
    pub const DESTINATION_UNREACHABLE: Self = Self(1);
    /// Packet too big.
    pub const PACKET_TOO_BIG: Self = Self(2);
    /// Time exceeded.
    pub const TIME_EXCEEDED: Self = Self(3);
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: Self = Self(4);
    /// Echo request.
    pub const ECHO_REQUEST: Self = Self(128);
    /// Echo reply.
    pub const ECHO_REPLY: Self = Self(129);
    /// Multicast listener query, both versions.
    pub const MLD_QUERY: Self = Self(130);
    /// MLDv1 report.
    pub const MLD_REPORT: Self = Self(131);
    /// MLDv1 done.
    pub const MLD_DONE: Self = Self(132);
    /// Router solicitation.
    pub const ROUTER_SOLICITATION: Self = Self(133);
    /// Router advertisement.
    pub const ROUTER_ADVERTISEMENT: Self = Self(134);
    /// Neighbour solicitation.
    pub const NEIGHBOR_SOLICITATION: Self = Self(135);
    /// Neighbour advertisement.
    pub const NEIGHBOR_ADVERTISEMENT: Self = Self(136);
    /// Redirect.
    pub const REDIRECT: Self = Self(137);
    /// MLDv2 report.
    pub const MLD_REPORT_V2: Self = Self(143);

    /// Whether it reports an error about a packet that it quotes (RFC 4443 §2.1: below 128).
    /// RFC 4443 §2.4: no error is ever sent about such a message, nor about a redirect.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 < 128
    }

    /// Whether [`ndp::Header`](crate::ndp::Header) reads it.
    #[must_use]
    pub const fn is_neighbor_discovery(self) -> bool {
        matches!(self.0, 133..=137)
    }
}

/// Why a destination is unreachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnreachableCode(pub u8);

impl UnreachableCode {
    /// No route to the destination.
    pub const NO_ROUTE: Self = Self(0);
    /// Administratively prohibited.
    pub const ADMIN_PROHIBITED: Self = Self(1);
    /// Beyond the scope of the source address.
    pub const BEYOND_SCOPE: Self = Self(2);
    /// The address is unreachable.
    pub const ADDRESS: Self = Self(3);
    /// Nobody listens on the port.
    pub const PORT: Self = Self(4);
    /// The source address failed a policy.
    pub const SOURCE_POLICY: Self = Self(5);
    /// The route to the destination rejects.
    pub const REJECT_ROUTE: Self = Self(6);
}

/// Which time was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeExceededCode(pub u8);

impl TimeExceededCode {
    /// The hop limit ran out on the way.
    pub const HOP_LIMIT: Self = Self(0);
    /// Fragments were missing for too long.
    pub const REASSEMBLY: Self = Self(1);
}

/// What is wrong with a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParameterProblemCode(pub u8);

impl ParameterProblemCode {
    /// An erroneous header field.
    pub const ERRONEOUS_FIELD: Self = Self(0);
    /// An unrecognized next header.
    pub const UNRECOGNIZED_NEXT_HEADER: Self = Self(1);
    /// An unrecognized option.
    pub const UNRECOGNIZED_OPTION: Self = Self(2);
    /// A first fragment without the whole header chain (RFC 7112).
    pub const INCOMPLETE_CHAIN: Self = Self(3);
}

/// What echo messages are matched by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Identifier: names the sender's session.
    pub identifier: u16,
    /// Sequence number within it.
    pub sequence: u16,
}

/// The header of an ICMPv6 message. What lies behind: an echo's data, or an error's quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// Destination unreachable.
    DestinationUnreachable {
        /// Why.
        code: UnreachableCode,
        /// RFC 4884: 64-bit words of the quote when extensions follow it, else 0.
        length: u8,
    },
    /// Packet too big.
    PacketTooBig {
        /// The MTU of the next hop's link.
        mtu: u32,
    },
    /// Time exceeded.
    TimeExceeded {
        /// Which.
        code: TimeExceededCode,
        /// RFC 4884: 64-bit words of the quote when extensions follow it, else 0.
        length: u8,
    },
    /// Parameter problem.
    ParameterProblem {
        /// What is wrong.
        code: ParameterProblemCode,
        /// The byte of the original packet that it is about; it may lie behind the quote's end.
        pointer: u32,
    },
    /// Echo request.
    EchoRequest(Echo),
    /// Echo reply.
    EchoReply(Echo),
    /// Any other type, and an echo with another code than 0.
    Other {
        /// Its type.
        kind: Type,
        /// Its code.
        code: u8,
        /// The four bytes behind the checksum.
        rest: [u8; 4],
    },
}

impl Header {
    /// Reads the header of a message.
    ///
    /// Neither the checksum (it covers the whole message: [`is_valid`]) nor the rest of the
    /// message is judged.
    ///
    /// RFC 4443 §3.2: the code of packet too big is ignored.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) below 8 bytes. RFC 4443 asks for no more than four,
    /// but no message that it defines is that short.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let &[kind, code, _, _, a, b, c, d] = take::<HEADER_LEN>(bytes)?;
        let rest = [a, b, c, d];
        Ok(match (Type(kind), code) {
            (Type::DESTINATION_UNREACHABLE, code) => Self::DestinationUnreachable {
                code: UnreachableCode(code),
                length: a,
            },
            (Type::PACKET_TOO_BIG, _) => Self::PacketTooBig {
                mtu: u32::from_be_bytes(rest),
            },
            (Type::TIME_EXCEEDED, code) => Self::TimeExceeded {
                code: TimeExceededCode(code),
                length: a,
            },
            (Type::PARAMETER_PROBLEM, code) => Self::ParameterProblem {
                code: ParameterProblemCode(code),
                pointer: u32::from_be_bytes(rest),
            },
            (Type::ECHO_REQUEST, 0) => Self::EchoRequest(Echo::from_bytes(rest)),
            (Type::ECHO_REPLY, 0) => Self::EchoReply(Echo::from_bytes(rest)),
            (kind, code) => Self::Other { kind, code, rest },
        })
    }

    /// Bytes that [`emit`](Self::emit) writes.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        HEADER_LEN
    }

    /// The type and code bytes.
    #[must_use]
    pub const fn type_and_code(&self) -> (Type, u8) {
        match *self {
            Self::DestinationUnreachable { code, .. } => (Type::DESTINATION_UNREACHABLE, code.0),
            Self::PacketTooBig { .. } => (Type::PACKET_TOO_BIG, 0),
            Self::TimeExceeded { code, .. } => (Type::TIME_EXCEEDED, code.0),
            Self::ParameterProblem { code, .. } => (Type::PARAMETER_PROBLEM, code.0),
            Self::EchoRequest(_) => (Type::ECHO_REQUEST, 0),
            Self::EchoReply(_) => (Type::ECHO_REPLY, 0),
            Self::Other { kind, code, .. } => (kind, code),
        }
    }

    /// The start of the packet that an error quotes, out of what lies behind the header: without
    /// RFC 4884 extensions and the padding before them. `None` when this is no error.
    #[must_use]
    pub fn quote<'a>(&self, behind: &'a [u8]) -> Option<&'a [u8]> {
        let length = match *self {
            Self::DestinationUnreachable { length, .. } | Self::TimeExceeded { length, .. } => {
                usize::from(length) * 8
            }
            _ if self.type_and_code().0.is_error() => 0,
            _ => return None,
        };
        // RFC 4884 §5: a length is only believed when it is at least 128 bytes.
        let extended = length >= EXTENDED_QUOTE_MIN && length <= behind.len();
        Some(if extended { &behind[..length] } else { behind })
    }

    /// Writes the header into the front of `out`, with a checksum of 0: [`fill_checksum`] fills
    /// it in once the message is whole.
    ///
    /// # Panics
    /// When `out` is shorter than 8 bytes.
    pub fn emit(&self, out: &mut [u8]) {
        let (kind, code) = self.type_and_code();
        let rest = match *self {
            Self::DestinationUnreachable { length, .. } | Self::TimeExceeded { length, .. } => {
                [length, 0, 0, 0]
            }
            Self::PacketTooBig { mtu: field } | Self::ParameterProblem { pointer: field, .. } => {
                field.to_be_bytes()
            }
            Self::EchoRequest(echo) | Self::EchoReply(echo) => echo.to_bytes(),
            Self::Other { rest, .. } => rest,
        };
        out[0..4].copy_from_slice(&[kind.0, code, 0, 0]);
        out[4..8].copy_from_slice(&rest);
    }
}

impl Echo {
    const fn from_bytes([a, b, c, d]: [u8; 4]) -> Self {
        Self {
            identifier: u16::from_be_bytes([a, b]),
            sequence: u16::from_be_bytes([c, d]),
        }
    }

    const fn to_bytes(self) -> [u8; 4] {
        let [a, b] = self.identifier.to_be_bytes();
        let [c, d] = self.sequence.to_be_bytes();
        [a, b, c, d]
    }
}

/// Whether the checksum of a whole message is right.
#[must_use]
pub fn is_valid(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> bool {
    sum(source, destination, message).is_valid()
}

/// Computes the checksum of a whole message and writes it.
///
/// # Panics
/// When `message` is shorter than 4 bytes.
pub fn fill_checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &mut [u8]) {
    message[CHECKSUM_OFFSET..4].fill(0);
    let checksum = sum(source, destination, message).finish();
    message[CHECKSUM_OFFSET..4].copy_from_slice(&checksum.to_be_bytes());
}

fn sum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> checksum::Sum {
    // No IPv6 packet without a jumbo payload is longer than 16 bits count.
    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
    checksum::transport(
        source.into(),
        destination.into(),
        IpProtocol::ICMPV6,
        len,
        [message],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn checksums_cover_the_addresses() {
        let (a, b) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
        let mut message = [0; 13];
        Header::EchoRequest(Echo {
            identifier: 7,
            sequence: 1,
        })
        .emit(&mut message);
        message[8..].copy_from_slice(b"hello");
        fill_checksum(a, b, &mut message);
        assert!(is_valid(a, b, &message));
        assert!(!is_valid(a, a, &message));
        message[12] ^= 1;
        assert!(!is_valid(a, b, &message));
    }

    #[test]
    fn extensions_are_cut_off_the_quote() {
        let exceeded = |length| Header::TimeExceeded {
            code: TimeExceededCode::HOP_LIMIT,
            length,
        };
        let behind = [0; 140];
        assert_eq!(exceeded(16).quote(&behind).unwrap().len(), 128);
        assert_eq!(exceeded(15).quote(&behind).unwrap().len(), 140);
        assert_eq!(exceeded(18).quote(&behind).unwrap().len(), 140);
        assert_eq!(
            Header::PacketTooBig { mtu: 1280 }
                .quote(&behind)
                .unwrap()
                .len(),
            140
        );
    }

    proptest! {
        #[test]
        fn headers_survive_emit_and_parse(
            kind in prop::sample::select(vec![1u8, 2, 3, 4, 5, 128, 129, 130, 135, 200]),
            code in 0u8..4,
            body in proptest::collection::vec(any::<u8>(), 0..30),
        ) {
            let mut bytes = vec![kind, code, 0, 0];
            bytes.extend_from_slice(&body);
            let Ok(header) = Header::parse(&bytes) else {
                prop_assert!(bytes.len() < HEADER_LEN);
                return Ok(());
            };
            let mut out = [0; HEADER_LEN];
            header.emit(&mut out);
            prop_assert_eq!(Header::parse(&out), Ok(header));
            prop_assert_eq!(header.quote(&body).is_some(), Type(kind).is_error());
        }
    }
}
