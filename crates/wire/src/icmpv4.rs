//! ICMP for IPv4 (RFC 792), with the next-hop MTU of RFC 1191 and the length of RFC 4884.

use crate::{ParseError, checksum, take};
use std::net::Ipv4Addr;

/// Bytes of every header but the timestamps'.
pub const HEADER_LEN: usize = 8;
/// Bytes of a timestamp message.
pub const TIMESTAMP_LEN: usize = 20;
/// Where the checksum lies in the header.
pub const CHECKSUM_OFFSET: usize = 2;
/// Least bytes of the original datagram where RFC 4884 extensions follow it.
pub const EXTENDED_QUOTE_MIN: usize = 128;

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Type(pub u8);

impl Type {
    /// Echo reply.
    pub const ECHO_REPLY: Self = Self(0);
    /// Destination unreachable.
    pub const DESTINATION_UNREACHABLE: Self = Self(3);
    /// Source quench. RFC 6633: not sent, and ignored.
    pub const SOURCE_QUENCH: Self = Self(4);
    /// Redirect.
    pub const REDIRECT: Self = Self(5);
    /// Echo request.
    pub const ECHO: Self = Self(8);
    /// Time exceeded.
    pub const TIME_EXCEEDED: Self = Self(11);
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: Self = Self(12);
    /// Timestamp request.
    pub const TIMESTAMP: Self = Self(13);
    /// Timestamp reply.
    pub const TIMESTAMP_REPLY: Self = Self(14);
    /// Information request; obsolete (RFC 6918).
    pub const INFORMATION_REQUEST: Self = Self(15);
    /// Information reply; obsolete (RFC 6918).
    pub const INFORMATION_REPLY: Self = Self(16);

    /// Whether it reports an error about a datagram that it quotes. RFC 1122 §3.2.2: no error is
    /// ever sent about such a message.
    #[must_use]
    pub const fn is_error(self) -> bool {
        matches!(
            self,
            Self::DESTINATION_UNREACHABLE
                | Self::SOURCE_QUENCH
                | Self::REDIRECT
                | Self::TIME_EXCEEDED
                | Self::PARAMETER_PROBLEM
        )
    }
}

/// Why a destination is unreachable (RFC 792, RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnreachableCode(pub u8);

impl UnreachableCode {
    /// The network is unreachable.
    pub const NET: Self = Self(0);
    /// The host is unreachable.
    pub const HOST: Self = Self(1);
    /// The host does not speak the protocol.
    pub const PROTOCOL: Self = Self(2);
    /// Nobody listens on the port.
    pub const PORT: Self = Self(3);
    /// It does not fit, and DF is set: the next-hop MTU is given.
    pub const FRAGMENTATION_NEEDED: Self = Self(4);
    /// The source route failed.
    pub const SOURCE_ROUTE_FAILED: Self = Self(5);
    /// The network is unknown.
    pub const NET_UNKNOWN: Self = Self(6);
    /// The host is unknown.
    pub const HOST_UNKNOWN: Self = Self(7);
    /// The source host is isolated.
    pub const SOURCE_ISOLATED: Self = Self(8);
    /// The network is administratively prohibited.
    pub const NET_PROHIBITED: Self = Self(9);
    /// The host is administratively prohibited.
    pub const HOST_PROHIBITED: Self = Self(10);
    /// The network is unreachable for the type of service.
    pub const NET_TOS: Self = Self(11);
    /// The host is unreachable for the type of service.
    pub const HOST_TOS: Self = Self(12);
    /// A filter prohibits the communication.
    pub const ADMIN_PROHIBITED: Self = Self(13);
    /// Host precedence violation.
    pub const PRECEDENCE_VIOLATION: Self = Self(14);
    /// Precedence cut off.
    pub const PRECEDENCE_CUTOFF: Self = Self(15);
}

/// Which time was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeExceededCode(pub u8);

impl TimeExceededCode {
    /// The TTL ran out on the way.
    pub const TTL: Self = Self(0);
    /// Fragments were missing for too long.
    pub const REASSEMBLY: Self = Self(1);
}

/// What is wrong with a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParameterProblemCode(pub u8);

impl ParameterProblemCode {
    /// The byte that the pointer names.
    pub const POINTER: Self = Self(0);
    /// A required option is missing (RFC 1122 §3.2.2.5).
    pub const MISSING_OPTION: Self = Self(1);
    /// A length is bad.
    pub const BAD_LENGTH: Self = Self(2);
}

/// For what a redirect holds. RFC 1122 §3.2.2.2: a host takes them all as for the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RedirectCode(pub u8);

impl RedirectCode {
    /// The network.
    pub const NET: Self = Self(0);
    /// The host.
    pub const HOST: Self = Self(1);
    /// The network and type of service.
    pub const NET_TOS: Self = Self(2);
    /// The host and type of service.
    pub const HOST_TOS: Self = Self(3);
}

/// What echo and timestamp messages are matched by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Identifier: names the sender's session.
    pub identifier: u16,
    /// Sequence number within it.
    pub sequence: u16,
}

/// Times of day in milliseconds since midnight UT; the highest bit marks others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When the request was sent.
    pub originate: u32,
    /// When the request arrived.
    pub receive: u32,
    /// When the reply was sent.
    pub transmit: u32,
}

/// The header of an ICMP message. What lies behind: an echo's data, or an error's quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// Echo request.
    Echo(Echo),
    /// Echo reply.
    EchoReply(Echo),
    /// Destination unreachable.
    DestinationUnreachable {
        /// Why.
        code: UnreachableCode,
        /// RFC 4884: 32-bit words of the quote when extensions follow it, else 0.
        length: u8,
        /// RFC 1191: the MTU with [`UnreachableCode::FRAGMENTATION_NEEDED`]; 0 from old routers.
        next_hop_mtu: u16,
    },
    /// Source quench; the code is 0.
    SourceQuench,
    /// Redirect.
    Redirect {
        /// For what.
        code: RedirectCode,
        /// The better first hop.
        gateway: Ipv4Addr,
    },
    /// Time exceeded.
    TimeExceeded {
        /// Which.
        code: TimeExceededCode,
        /// RFC 4884: 32-bit words of the quote when extensions follow it, else 0.
        length: u8,
    },
    /// Parameter problem.
    ParameterProblem {
        /// What is wrong.
        code: ParameterProblemCode,
        /// The byte of the original datagram that it is about.
        pointer: u8,
        /// RFC 4884: 32-bit words of the quote when extensions follow it, else 0.
        length: u8,
    },
    /// Timestamp request.
    Timestamp(Echo, Times),
    /// Timestamp reply.
    TimestampReply(Echo, Times),
    /// Information request.
    InformationRequest(Echo),
    /// Information reply.
    InformationReply(Echo),
    /// Any other type, and the known ones that have a single code with another one.
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
    /// Neither the checksum (it covers the whole message: [`checksum::of`]) nor the rest of the
    /// message is judged.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) below 8 bytes, or 20 for timestamps.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let &[kind, code, _, _, a, b, c, d] = take::<HEADER_LEN>(bytes)?;
        let echo = Echo {
            identifier: u16::from_be_bytes([a, b]),
            sequence: u16::from_be_bytes([c, d]),
        };
        Ok(match (Type(kind), code) {
            (Type::ECHO, 0) => Self::Echo(echo),
            (Type::ECHO_REPLY, 0) => Self::EchoReply(echo),
            (Type::DESTINATION_UNREACHABLE, code) => Self::DestinationUnreachable {
                code: UnreachableCode(code),
                length: b,
                next_hop_mtu: echo.sequence,
            },
            (Type::SOURCE_QUENCH, 0) => Self::SourceQuench,
            (Type::REDIRECT, code) => Self::Redirect {
                code: RedirectCode(code),
                gateway: Ipv4Addr::new(a, b, c, d),
            },
            (Type::TIME_EXCEEDED, code) => Self::TimeExceeded {
                code: TimeExceededCode(code),
                length: b,
            },
            (Type::PARAMETER_PROBLEM, code) => Self::ParameterProblem {
                code: ParameterProblemCode(code),
                pointer: a,
                length: b,
            },
            (Type::TIMESTAMP, 0) => Self::Timestamp(echo, Times::parse(bytes)?),
            (Type::TIMESTAMP_REPLY, 0) => Self::TimestampReply(echo, Times::parse(bytes)?),
            (Type::INFORMATION_REQUEST, 0) => Self::InformationRequest(echo),
            (Type::INFORMATION_REPLY, 0) => Self::InformationReply(echo),
            (kind, code) => Self::Other {
                kind,
                code,
                rest: [a, b, c, d],
            },
        })
    }

    /// Bytes that [`emit`](Self::emit) writes.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        match self {
            Self::Timestamp(..) | Self::TimestampReply(..) => TIMESTAMP_LEN,
            _ => HEADER_LEN,
        }
    }

    /// The type and code bytes.
    #[must_use]
    pub const fn type_and_code(&self) -> (Type, u8) {
        match *self {
            Self::Echo(_) => (Type::ECHO, 0),
            Self::EchoReply(_) => (Type::ECHO_REPLY, 0),
            Self::DestinationUnreachable { code, .. } => (Type::DESTINATION_UNREACHABLE, code.0),
            Self::SourceQuench => (Type::SOURCE_QUENCH, 0),
            Self::Redirect { code, .. } => (Type::REDIRECT, code.0),
            Self::TimeExceeded { code, .. } => (Type::TIME_EXCEEDED, code.0),
            Self::ParameterProblem { code, .. } => (Type::PARAMETER_PROBLEM, code.0),
            Self::Timestamp(..) => (Type::TIMESTAMP, 0),
            Self::TimestampReply(..) => (Type::TIMESTAMP_REPLY, 0),
            Self::InformationRequest(_) => (Type::INFORMATION_REQUEST, 0),
            Self::InformationReply(_) => (Type::INFORMATION_REPLY, 0),
            Self::Other { kind, code, .. } => (kind, code),
        }
    }

    /// The start of the datagram that an error quotes, out of what lies behind the header: without
    /// RFC 4884 extensions and the padding before them. `None` when this is no error.
    ///
    /// It begins with an IPv4 header for [`parse_quoted`](crate::ipv4::Header::parse_quoted).
    #[must_use]
    pub fn quote<'a>(&self, behind: &'a [u8]) -> Option<&'a [u8]> {
        let length = match *self {
            Self::DestinationUnreachable { length, .. }
            | Self::TimeExceeded { length, .. }
            | Self::ParameterProblem { length, .. } => usize::from(length) * 4,
            Self::SourceQuench | Self::Redirect { .. } => 0,
            _ => return None,
        };
        // RFC 4884 §5: a length is only believed when it is at least 128 bytes; others are a
        // system's that left garbage in the unused byte.
        let extended = length >= EXTENDED_QUOTE_MIN && length <= behind.len();
        Some(if extended { &behind[..length] } else { behind })
    }

    /// Writes the header into the front of `out`, with a checksum of 0: [`fill_checksum`] fills
    /// it in once the message is whole.
    ///
    /// # Panics
    /// When `out` is shorter than [`header_len`](Self::header_len).
    pub fn emit(&self, out: &mut [u8]) {
        let (kind, code) = self.type_and_code();
        let rest = match *self {
            Self::Echo(echo)
            | Self::EchoReply(echo)
            | Self::InformationRequest(echo)
            | Self::InformationReply(echo) => echo.to_bytes(),
            Self::Timestamp(echo, times) | Self::TimestampReply(echo, times) => {
                times.emit(out);
                echo.to_bytes()
            }
            Self::DestinationUnreachable {
                length,
                next_hop_mtu,
                ..
            } => {
                let [high, low] = next_hop_mtu.to_be_bytes();
                [0, length, high, low]
            }
            Self::SourceQuench => [0; 4],
            Self::Redirect { gateway, .. } => gateway.octets(),
            Self::TimeExceeded { length, .. } => [0, length, 0, 0],
            Self::ParameterProblem {
                pointer, length, ..
            } => [pointer, length, 0, 0],
            Self::Other { rest, .. } => rest,
        };
        out[0..4].copy_from_slice(&[kind.0, code, 0, 0]);
        out[4..8].copy_from_slice(&rest);
    }
}

impl Echo {
    const fn to_bytes(self) -> [u8; 4] {
        let [a, b] = self.identifier.to_be_bytes();
        let [c, d] = self.sequence.to_be_bytes();
        [a, b, c, d]
    }
}

impl Times {
    fn parse(message: &[u8]) -> Result<Self, ParseError> {
        let fixed = take::<TIMESTAMP_LEN>(message)?;
        let be32 = |at: usize| {
            u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]])
        };
        Ok(Self {
            originate: be32(8),
            receive: be32(12),
            transmit: be32(16),
        })
    }

    fn emit(self, out: &mut [u8]) {
        out[8..12].copy_from_slice(&self.originate.to_be_bytes());
        out[12..16].copy_from_slice(&self.receive.to_be_bytes());
        out[16..20].copy_from_slice(&self.transmit.to_be_bytes());
    }
}

/// Computes the checksum of a whole message and writes it.
///
/// # Panics
/// When `message` is shorter than 4 bytes.
pub fn fill_checksum(message: &mut [u8]) {
    set_checksum(message, 0);
    let checksum = checksum::of(message);
    set_checksum(message, checksum);
}

/// Sets the checksum of the header in front of `message`.
///
/// # Panics
/// When `message` is shorter than 4 bytes.
pub fn set_checksum(message: &mut [u8], checksum: u16) {
    message[CHECKSUM_OFFSET..4].copy_from_slice(&checksum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_echo_request_summed_by_hand() {
        // 0800 + 1234 + 0001 + 7069 + 6e67 = f905, inverted 06fa.
        let mut message = [0u8; 12];
        Header::Echo(Echo {
            identifier: 0x1234,
            sequence: 1,
        })
        .emit(&mut message);
        message[8..].copy_from_slice(b"ping");
        fill_checksum(&mut message);
        assert_eq!(checksum::of(&message), 0);
        assert_eq!(message[..8], [8, 0, 0x06, 0xfa, 0x12, 0x34, 0, 1]);
    }

    #[test]
    fn extensions_are_cut_off_the_quote() {
        let unreachable = |length| Header::DestinationUnreachable {
            code: UnreachableCode::PORT,
            length,
            next_hop_mtu: 0,
        };
        let behind = [0; 140];
        assert_eq!(unreachable(32).quote(&behind).unwrap().len(), 128);
        assert_eq!(unreachable(0).quote(&behind).unwrap().len(), 140);
        // Too short to be meant as a length, and longer than the message.
        assert_eq!(unreachable(31).quote(&behind).unwrap().len(), 140);
        assert_eq!(unreachable(36).quote(&behind).unwrap().len(), 140);
        assert!(
            Header::Echo(Echo {
                identifier: 0,
                sequence: 0
            })
            .quote(&behind)
            .is_none()
        );
    }

    proptest! {
        #[test]
        fn headers_survive_emit_and_parse(
            kind in 0u8..20,
            code in 0u8..3,
            body in proptest::collection::vec(any::<u8>(), 0..30),
        ) {
            let mut bytes = vec![kind, code, 0, 0];
            bytes.extend_from_slice(&body);
            let Ok(header) = Header::parse(&bytes) else {
                prop_assert!(bytes.len() < TIMESTAMP_LEN);
                return Ok(());
            };
            prop_assert_eq!(header.type_and_code(), (Type(kind), code));
            let mut out = vec![0; header.header_len()];
            header.emit(&mut out);
            prop_assert_eq!(Header::parse(&out), Ok(header));
            prop_assert_eq!(header.quote(&body).is_some(), Type(kind).is_error() && (kind != 4 || code == 0));
        }
    }
}
