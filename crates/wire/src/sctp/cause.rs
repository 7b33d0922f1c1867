//! Error causes (RFC 9260 §3.3.10), those of RFC 4895 §4.1 and RFC 5061 §4.3 among them.

use super::list::List;
use super::{Tsn, be16, be32, emit_tlv, split_tlv};
use crate::ParseError;

/// The code of an error cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CauseCode(pub u16);

impl CauseCode {
    /// A stream that does not exist.
    pub const INVALID_STREAM: Self = Self(1);
    /// Mandatory parameters are missing.
    pub const MISSING_PARAMETER: Self = Self(2);
    /// The cookie has expired.
    pub const STALE_COOKIE: Self = Self(3);
    /// Out of resource.
    pub const OUT_OF_RESOURCE: Self = Self(4);
    /// An address that cannot be resolved.
    pub const UNRESOLVABLE_ADDRESS: Self = Self(5);
    /// A chunk type that is not known.
    pub const UNRECOGNIZED_CHUNK: Self = Self(6);
    /// A mandatory parameter has an invalid value.
    pub const INVALID_PARAMETER: Self = Self(7);
    /// Parameters that are not known.
    pub const UNRECOGNIZED_PARAMETERS: Self = Self(8);
    /// DATA without data.
    pub const NO_USER_DATA: Self = Self(9);
    /// A cookie came during shutdown.
    pub const COOKIE_WHILE_SHUTTING_DOWN: Self = Self(10);
    /// A restart that would add addresses.
    pub const RESTART_WITH_NEW_ADDRESSES: Self = Self(11);
    /// The user aborted.
    pub const USER_ABORT: Self = Self(12);
    /// The peer broke the protocol.
    pub const PROTOCOL_VIOLATION: Self = Self(13);
    /// The last address was to be deleted (RFC 5061).
    pub const DELETE_LAST_ADDRESS: Self = Self(0x00a0);
    /// Refused for lack of resources (RFC 5061).
    pub const RESOURCE_SHORTAGE: Self = Self(0x00a1);
    /// The packet's source was to be deleted (RFC 5061).
    pub const DELETE_SOURCE_ADDRESS: Self = Self(0x00a2);
    /// Aborted because of an illegal ASCONF-ACK (RFC 5061).
    pub const ILLEGAL_ASCONF_ACK: Self = Self(0x00a3);
    /// Refused by policy (RFC 5061).
    pub const NO_AUTHORIZATION: Self = Self(0x00a4);
    /// An algorithm that is not known (RFC 4895).
    pub const UNSUPPORTED_HMAC: Self = Self(0x0105);
}

/// An error cause as it lies in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawCause<'a> {
    /// Its code.
    pub code: CauseCode,
    /// Code, length and information, without padding.
    pub bytes: &'a [u8],
}

impl<'a> RawCause<'a> {
    /// What lies behind code and length.
    #[must_use]
    pub fn value(&self) -> &'a [u8] {
        self.bytes.get(4..).unwrap_or_default()
    }
}

/// Error causes one behind the other. The first that is malformed is an error and ends the walk.
#[derive(Clone, Copy, Debug)]
pub struct Causes<'a> {
    rest: &'a [u8],
}

impl<'a> Causes<'a> {
    /// Of the value of an ERROR or ABORT chunk.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Causes<'a> {
    type Item = Result<RawCause<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        Some(match split_tlv(self.rest) {
            Ok((code, bytes, rest)) => {
                self.rest = rest;
                Ok(RawCause {
                    code: CauseCode(code),
                    bytes,
                })
            }
            Err(error) => {
                self.rest = &[];
                Err(error)
            }
        })
    }
}

/// An error cause that has been read, or is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause<'a> {
    /// Data came on a stream that does not exist.
    InvalidStream(u16),
    /// These parameter types are missing.
    MissingParameter(List<'a, u16>),
    /// The cookie expired so many microseconds ago; 0 where that is not said.
    StaleCookie(u32),
    /// Out of resource.
    OutOfResource,
    /// This address parameter cannot be resolved.
    UnresolvableAddress(&'a [u8]),
    /// This chunk is not known.
    UnrecognizedChunk(&'a [u8]),
    /// A mandatory parameter has an invalid value.
    InvalidParameter,
    /// These parameters are not known.
    UnrecognizedParameters(&'a [u8]),
    /// The DATA chunk with this TSN had no data.
    NoUserData(Tsn),
    /// A cookie came in SHUTDOWN-ACK-SENT.
    CookieWhileShuttingDown,
    /// A restart would add these address parameters.
    RestartWithNewAddresses(&'a [u8]),
    /// The user aborted, for this reason.
    UserAbort(&'a [u8]),
    /// The peer broke the protocol; with a word about it.
    ProtocolViolation(&'a [u8]),
    /// The request, a parameter, would delete the last address.
    DeleteLastAddress(&'a [u8]),
    /// The request, a parameter, needs what is not there.
    ResourceShortage(&'a [u8]),
    /// The request, a parameter, would delete the address that it came from.
    DeleteSourceAddress(&'a [u8]),
    /// An ASCONF-ACK answered what was never asked.
    IllegalAsconfAck,
    /// The request, a parameter, is not allowed.
    NoAuthorization(&'a [u8]),
    /// An AUTH chunk used this algorithm.
    UnsupportedHmac(u16),
    /// A cause that is not known here.
    Unknown(RawCause<'a>),
}

impl<'a> Cause<'a> {
    /// Reads the cause's information.
    ///
    /// # Errors
    /// [`BadLength`](ParseError::BadLength) when it is too short for its fields.
    pub fn parse(raw: &RawCause<'a>) -> Result<Self, ParseError> {
        let value = raw.value();
        Ok(match raw.code {
            CauseCode::INVALID_STREAM => Self::InvalidStream(be16(value)?.0),
            CauseCode::MISSING_PARAMETER => {
                let (count, rest) = be32(value)?;
                let count = u16::try_from(count).map_err(|_| ParseError::BadLength)?;
                Self::MissingParameter(List::split(rest, count)?.0)
            }
            CauseCode::STALE_COOKIE => Self::StaleCookie(be32(value)?.0),
            CauseCode::OUT_OF_RESOURCE => Self::OutOfResource,
            CauseCode::UNRESOLVABLE_ADDRESS => Self::UnresolvableAddress(value),
            CauseCode::UNRECOGNIZED_CHUNK => Self::UnrecognizedChunk(value),
            CauseCode::INVALID_PARAMETER => Self::InvalidParameter,
            CauseCode::UNRECOGNIZED_PARAMETERS => Self::UnrecognizedParameters(value),
            CauseCode::NO_USER_DATA => Self::NoUserData(Tsn(be32(value)?.0)),
            CauseCode::COOKIE_WHILE_SHUTTING_DOWN => Self::CookieWhileShuttingDown,
            CauseCode::RESTART_WITH_NEW_ADDRESSES => Self::RestartWithNewAddresses(value),
            CauseCode::USER_ABORT => Self::UserAbort(value),
            CauseCode::PROTOCOL_VIOLATION => Self::ProtocolViolation(value),
            CauseCode::DELETE_LAST_ADDRESS => Self::DeleteLastAddress(value),
            CauseCode::RESOURCE_SHORTAGE => Self::ResourceShortage(value),
            CauseCode::DELETE_SOURCE_ADDRESS => Self::DeleteSourceAddress(value),
            CauseCode::ILLEGAL_ASCONF_ACK => Self::IllegalAsconfAck,
            CauseCode::NO_AUTHORIZATION => Self::NoAuthorization(value),
            CauseCode::UNSUPPORTED_HMAC => Self::UnsupportedHmac(be16(value)?.0),
            _ => Self::Unknown(*raw),
        })
    }

    /// The cause's code.
    #[must_use]
    pub const fn code(&self) -> CauseCode {
        match self {
            Self::InvalidStream(_) => CauseCode::INVALID_STREAM,
            Self::MissingParameter(_) => CauseCode::MISSING_PARAMETER,
            Self::StaleCookie(_) => CauseCode::STALE_COOKIE,
            Self::OutOfResource => CauseCode::OUT_OF_RESOURCE,
            Self::UnresolvableAddress(_) => CauseCode::UNRESOLVABLE_ADDRESS,
            Self::UnrecognizedChunk(_) => CauseCode::UNRECOGNIZED_CHUNK,
            Self::InvalidParameter => CauseCode::INVALID_PARAMETER,
            Self::UnrecognizedParameters(_) => CauseCode::UNRECOGNIZED_PARAMETERS,
            Self::NoUserData(_) => CauseCode::NO_USER_DATA,
            Self::CookieWhileShuttingDown => CauseCode::COOKIE_WHILE_SHUTTING_DOWN,
            Self::RestartWithNewAddresses(_) => CauseCode::RESTART_WITH_NEW_ADDRESSES,
            Self::UserAbort(_) => CauseCode::USER_ABORT,
            Self::ProtocolViolation(_) => CauseCode::PROTOCOL_VIOLATION,
            Self::DeleteLastAddress(_) => CauseCode::DELETE_LAST_ADDRESS,
            Self::ResourceShortage(_) => CauseCode::RESOURCE_SHORTAGE,
            Self::DeleteSourceAddress(_) => CauseCode::DELETE_SOURCE_ADDRESS,
            Self::IllegalAsconfAck => CauseCode::ILLEGAL_ASCONF_ACK,
            Self::NoAuthorization(_) => CauseCode::NO_AUTHORIZATION,
            Self::UnsupportedHmac(_) => CauseCode::UNSUPPORTED_HMAC,
            Self::Unknown(raw) => raw.code,
        }
    }

    /// Appends the cause to a chunk's value, padded in front: the last one of a chunk has no
    /// padding of its own, since the chunk's has to follow it.
    pub fn emit(&self, out: &mut Vec<u8>) {
        emit_tlv(out, self.code().0, |out| match *self {
            Self::InvalidStream(stream) => {
                out.extend_from_slice(&stream.to_be_bytes());
                out.extend_from_slice(&[0, 0]);
            }
            Self::MissingParameter(types) => {
                let count = u32::try_from(types.len()).unwrap_or(u32::MAX);
                out.extend_from_slice(&count.to_be_bytes());
                types.write(out);
            }
            Self::StaleCookie(number) | Self::NoUserData(Tsn(number)) => {
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::UnsupportedHmac(id) => out.extend_from_slice(&id.to_be_bytes()),
            Self::OutOfResource
            | Self::InvalidParameter
            | Self::CookieWhileShuttingDown
            | Self::IllegalAsconfAck => {}
            Self::UnresolvableAddress(bytes)
            | Self::UnrecognizedChunk(bytes)
            | Self::UnrecognizedParameters(bytes)
            | Self::RestartWithNewAddresses(bytes)
            | Self::UserAbort(bytes)
            | Self::ProtocolViolation(bytes)
            | Self::DeleteLastAddress(bytes)
            | Self::ResourceShortage(bytes)
            | Self::DeleteSourceAddress(bytes)
            | Self::NoAuthorization(bytes) => out.extend_from_slice(bytes),
            Self::Unknown(raw) => out.extend_from_slice(raw.value()),
        });
    }
}
