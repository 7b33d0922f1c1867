//! Parameters of chunks (RFC 9260 §3.2.1): of INIT and INIT ACK, of ASCONF (RFC 5061 §4.2), of
//! RE-CONFIG (RFC 6525 §4).

use super::chunk::Unknown;
use super::list::List;
use super::{Tsn, be16, be32, emit_tlv, pad, split_tlv};
use crate::ParseError;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParameterType(pub u16);

impl ParameterType {
    /// Heartbeat information.
    pub const HEARTBEAT_INFO: Self = Self(1);
    /// IPv4 address.
    pub const IPV4: Self = Self(5);
    /// IPv6 address.
    pub const IPV6: Self = Self(6);
    /// State cookie.
    pub const STATE_COOKIE: Self = Self(7);
    /// A parameter of the INIT that is not known.
    pub const UNRECOGNIZED: Self = Self(8);
    /// Cookie preservative.
    pub const COOKIE_PRESERVATIVE: Self = Self(9);
    /// Host name address, which nobody may send any more.
    pub const HOST_NAME: Self = Self(11);
    /// Supported address types.
    pub const SUPPORTED_ADDRESS_TYPES: Self = Self(12);
    /// Outgoing SSN reset request.
    pub const OUTGOING_RESET: Self = Self(13);
    /// Incoming SSN reset request.
    pub const INCOMING_RESET: Self = Self(14);
    /// SSN and TSN reset request.
    pub const TSN_RESET: Self = Self(15);
    /// Reconfiguration response.
    pub const RECONFIG_RESPONSE: Self = Self(16);
    /// Add outgoing streams request.
    pub const ADD_OUTGOING: Self = Self(17);
    /// Add incoming streams request.
    pub const ADD_INCOMING: Self = Self(18);
    /// ECN capable (RFC 4960 §3.3.2).
    pub const ECN_CAPABLE: Self = Self(0x8000);
    /// Zero checksum acceptable (RFC 9653).
    pub const ZERO_CHECKSUM: Self = Self(0x8001);
    /// Random number (RFC 4895).
    pub const RANDOM: Self = Self(0x8002);
    /// Chunks to be authenticated (RFC 4895).
    pub const CHUNK_LIST: Self = Self(0x8003);
    /// Algorithms of codes (RFC 4895).
    pub const HMAC_ALGORITHMS: Self = Self(0x8004);
    /// Padding (RFC 4820).
    pub const PADDING: Self = Self(0x8005);
    /// Supported extensions (RFC 5061).
    pub const SUPPORTED_EXTENSIONS: Self = Self(0x8008);
    /// Forward TSN supported (RFC 3758).
    pub const FORWARD_TSN: Self = Self(0xc000);
    /// Add IP address (RFC 5061).
    pub const ADD_ADDRESS: Self = Self(0xc001);
    /// Delete IP address (RFC 5061).
    pub const DELETE_ADDRESS: Self = Self(0xc002);
    /// Error cause indication (RFC 5061).
    pub const ERROR_INDICATION: Self = Self(0xc003);
    /// Set primary address (RFC 5061).
    pub const SET_PRIMARY: Self = Self(0xc004);
    /// Success indication (RFC 5061).
    pub const SUCCESS: Self = Self(0xc005);
    /// Adaptation layer indication (RFC 5061).
    pub const ADAPTATION: Self = Self(0xc006);

    /// What RFC 9260 §3.2.1 wants done with the parameter by who does not know its type.
    #[must_use]
    pub const fn when_unknown(self) -> Unknown {
        Unknown {
            skip: self.0 & 0x8000 != 0,
            report: self.0 & 0x4000 != 0,
        }
    }
}

/// A parameter as it lies in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawParameter<'a> {
    /// Its type.
    pub kind: ParameterType,
    /// Type, length and value, without padding: what a report quotes.
    pub bytes: &'a [u8],
}

impl<'a> RawParameter<'a> {
    /// What lies behind type and length.
    #[must_use]
    pub fn value(&self) -> &'a [u8] {
        self.bytes.get(4..).unwrap_or_default()
    }
}

/// Parameters one behind the other. The first that is malformed is an error and ends the walk.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'a> {
    rest: &'a [u8],
}

impl<'a> Parameters<'a> {
    /// Of the bytes behind a chunk's fixed fields.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What lies behind the parameter that was given last.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Result<RawParameter<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        Some(match split_tlv(self.rest) {
            Ok((kind, bytes, rest)) => {
                self.rest = rest;
                Ok(RawParameter {
                    kind: ParameterType(kind),
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

/// How a reconfiguration request went (RFC 6525 §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconfigResult(pub u32);

impl ReconfigResult {
    /// Nothing was to be done.
    pub const NOTHING_TO_DO: Self = Self(0);
    /// Done.
    pub const PERFORMED: Self = Self(1);
    /// Refused.
    pub const DENIED: Self = Self(2);
    /// A stream number is wrong.
    pub const WRONG_SSN: Self = Self(3);
    /// Another request is under way.
    pub const ALREADY_IN_PROGRESS: Self = Self(4);
    /// The request's sequence number is not the next one.
    pub const BAD_SEQUENCE_NUMBER: Self = Self(5);
    /// It takes a while: ask again.
    pub const IN_PROGRESS: Self = Self(6);

    /// Whether the request has ended well.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::NOTHING_TO_DO | Self::PERFORMED)
    }
}

/// A parameter that has been read, or is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter<'a> {
    /// Information of a heartbeat's sender.
    HeartbeatInfo(&'a [u8]),
    /// An address of the sender.
    Address(IpAddr),
    /// The state cookie.
    StateCookie(&'a [u8]),
    /// A whole parameter that was not known.
    Unrecognized(&'a [u8]),
    /// By how many milliseconds a cookie is to live longer.
    CookiePreservative(u32),
    /// A host name; it is not to be used.
    HostName(&'a [u8]),
    /// The types of address parameters that the sender takes.
    SupportedAddressTypes(List<'a, u16>),
    /// The sender resets its outgoing streams: these, or all.
    OutgoingReset {
        /// Request sequence number.
        request: u32,
        /// The incoming request that it answers, or the last one seen.
        response: u32,
        /// The last TSN that the sender has assigned.
        last_tsn: Tsn,
        /// The streams; none for all.
        streams: List<'a, u16>,
    },
    /// The receiver is to reset its outgoing streams: these, or all.
    IncomingReset {
        /// Request sequence number.
        request: u32,
        /// The streams; none for all.
        streams: List<'a, u16>,
    },
    /// Both reset all streams and TSNs.
    TsnReset {
        /// Request sequence number.
        request: u32,
    },
    /// The answer to a request.
    ReconfigResponse {
        /// The request's sequence number.
        response: u32,
        /// How it went.
        result: ReconfigResult,
        /// After a reset of TSNs: the next TSN of the answer's sender, and of its receiver.
        next_tsns: Option<(Tsn, Tsn)>,
    },
    /// The sender wants so many more outgoing streams.
    AddOutgoing {
        /// Request sequence number.
        request: u32,
        /// How many more.
        count: u16,
    },
    /// The receiver is to ask for so many more outgoing streams.
    AddIncoming {
        /// Request sequence number.
        request: u32,
        /// How many more.
        count: u16,
    },
    /// The sender knows ECN.
    EcnCapable,
    /// The sender takes packets without a checksum under this alternate error detection method.
    ZeroChecksum(u32),
    /// The sender's random number.
    Random(&'a [u8]),
    /// The types of the chunks that the sender takes authenticated only.
    ChunkList(&'a [u8]),
    /// The algorithms that the sender knows, best first.
    HmacAlgorithms(List<'a, u16>),
    /// So many bytes of padding.
    Padding(u16),
    /// The types of the chunks that the sender knows beyond RFC 9260's.
    SupportedExtensions(&'a [u8]),
    /// The sender knows FORWARD-TSN.
    ForwardTsnSupported,
    /// Take this address into the association.
    AddAddress {
        /// Ties the answer to it.
        correlation: u32,
        /// The address; unspecified for the packet's source.
        address: IpAddr,
    },
    /// Strike this address.
    DeleteAddress {
        /// Ties the answer to it.
        correlation: u32,
        /// The address; unspecified for all but the packet's source.
        address: IpAddr,
    },
    /// A request failed.
    ErrorIndication {
        /// The request's correlation.
        correlation: u32,
        /// Error causes: see [`Causes`](super::Causes).
        causes: &'a [u8],
    },
    /// Send here by preference. Within an INIT too.
    SetPrimary {
        /// Ties the answer to it.
        correlation: u32,
        /// The address; unspecified for the packet's source.
        address: IpAddr,
    },
    /// A request was done.
    Success {
        /// The request's correlation.
        correlation: u32,
    },
    /// A number for the layer above.
    Adaptation(u32),
    /// A parameter that is not known here: see [`ParameterType::when_unknown`].
    Unknown(RawParameter<'a>),
}

impl<'a> Parameter<'a> {
    /// Reads the parameter's value. What lies behind the fields of one that has a fixed length is
    /// ignored.
    ///
    /// # Errors
    /// [`BadLength`](ParseError::BadLength) when it is too short for its fields or a list entry is
    /// cut, [`BadValue`](ParseError::BadValue) when an address is expected and something else
    /// there.
    pub fn parse(raw: &RawParameter<'a>) -> Result<Self, ParseError> {
        let value = raw.value();
        Ok(match raw.kind {
            ParameterType::HEARTBEAT_INFO => Self::HeartbeatInfo(value),
            ParameterType::IPV4 | ParameterType::IPV6 => Self::Address(parse_address(raw)?),
            ParameterType::STATE_COOKIE => Self::StateCookie(value),
            ParameterType::UNRECOGNIZED => Self::Unrecognized(value),
            ParameterType::COOKIE_PRESERVATIVE => Self::CookiePreservative(be32(value)?.0),
            ParameterType::HOST_NAME => Self::HostName(value),
            ParameterType::SUPPORTED_ADDRESS_TYPES => {
                Self::SupportedAddressTypes(List::parse(value)?)
            }
            ParameterType::ECN_CAPABLE => Self::EcnCapable,
            ParameterType::ZERO_CHECKSUM => Self::ZeroChecksum(be32(value)?.0),
            ParameterType::RANDOM => Self::Random(value),
            ParameterType::CHUNK_LIST => Self::ChunkList(value),
            ParameterType::HMAC_ALGORITHMS => Self::HmacAlgorithms(List::parse(value)?),
            // Its length came from a 16-bit field.
            ParameterType::PADDING => Self::Padding(value.len() as u16),
            ParameterType::SUPPORTED_EXTENSIONS => Self::SupportedExtensions(value),
            ParameterType::FORWARD_TSN => Self::ForwardTsnSupported,
            ParameterType::ADAPTATION => Self::Adaptation(be32(value)?.0),
            ParameterType::OUTGOING_RESET
            | ParameterType::INCOMING_RESET
            | ParameterType::TSN_RESET
            | ParameterType::RECONFIG_RESPONSE
            | ParameterType::ADD_OUTGOING
            | ParameterType::ADD_INCOMING => Self::parse_reconfig(raw.kind, value)?,
            ParameterType::ADD_ADDRESS
            | ParameterType::DELETE_ADDRESS
            | ParameterType::ERROR_INDICATION
            | ParameterType::SET_PRIMARY
            | ParameterType::SUCCESS => Self::parse_asconf(raw.kind, value)?,
            _ => Self::Unknown(*raw),
        })
    }

    fn parse_reconfig(kind: ParameterType, value: &'a [u8]) -> Result<Self, ParseError> {
        let (request, rest) = be32(value)?;
        Ok(match kind {
            ParameterType::OUTGOING_RESET => {
                let (response, rest) = be32(rest)?;
                let (last_tsn, rest) = be32(rest)?;
                Self::OutgoingReset {
                    request,
                    response,
                    last_tsn: Tsn(last_tsn),
                    streams: List::parse(rest)?,
                }
            }
            ParameterType::INCOMING_RESET => Self::IncomingReset {
                request,
                streams: List::parse(rest)?,
            },
            ParameterType::TSN_RESET => Self::TsnReset { request },
            ParameterType::RECONFIG_RESPONSE => {
                let (result, rest) = be32(rest)?;
                // RFC 6525 §4.4: either both of the TSNs are there or none.
                let next_tsns = if rest.is_empty() {
                    None
                } else {
                    let (sender, rest) = be32(rest)?;
                    Some((Tsn(sender), Tsn(be32(rest)?.0)))
                };
                Self::ReconfigResponse {
                    response: request,
                    result: ReconfigResult(result),
                    next_tsns,
                }
            }
            ParameterType::ADD_OUTGOING => Self::AddOutgoing {
                request,
                count: be16(rest)?.0,
            },
            _ => Self::AddIncoming {
                request,
                count: be16(rest)?.0,
            },
        })
    }

    fn parse_asconf(kind: ParameterType, value: &'a [u8]) -> Result<Self, ParseError> {
        let (correlation, rest) = be32(value)?;
        let address = || {
            let parameter = Parameters::new(rest).next();
            parse_address(&parameter.ok_or(ParseError::BadLength)??)
        };
        Ok(match kind {
            ParameterType::ADD_ADDRESS => Self::AddAddress {
                correlation,
                address: address()?,
            },
            ParameterType::DELETE_ADDRESS => Self::DeleteAddress {
                correlation,
                address: address()?,
            },
            ParameterType::SET_PRIMARY => Self::SetPrimary {
                correlation,
                address: address()?,
            },
            ParameterType::ERROR_INDICATION => Self::ErrorIndication {
                correlation,
                causes: rest,
            },
            _ => Self::Success { correlation },
        })
    }

    /// The parameter's type.
    #[must_use]
    pub const fn kind(&self) -> ParameterType {
        match self {
            Self::HeartbeatInfo(_) => ParameterType::HEARTBEAT_INFO,
            Self::Address(IpAddr::V4(_)) => ParameterType::IPV4,
            Self::Address(IpAddr::V6(_)) => ParameterType::IPV6,
            Self::StateCookie(_) => ParameterType::STATE_COOKIE,
            Self::Unrecognized(_) => ParameterType::UNRECOGNIZED,
            Self::CookiePreservative(_) => ParameterType::COOKIE_PRESERVATIVE,
            Self::HostName(_) => ParameterType::HOST_NAME,
            Self::SupportedAddressTypes(_) => ParameterType::SUPPORTED_ADDRESS_TYPES,
            Self::OutgoingReset { .. } => ParameterType::OUTGOING_RESET,
            Self::IncomingReset { .. } => ParameterType::INCOMING_RESET,
            Self::TsnReset { .. } => ParameterType::TSN_RESET,
            Self::ReconfigResponse { .. } => ParameterType::RECONFIG_RESPONSE,
            Self::AddOutgoing { .. } => ParameterType::ADD_OUTGOING,
            Self::AddIncoming { .. } => ParameterType::ADD_INCOMING,
            Self::EcnCapable => ParameterType::ECN_CAPABLE,
            Self::ZeroChecksum(_) => ParameterType::ZERO_CHECKSUM,
            Self::Random(_) => ParameterType::RANDOM,
            Self::ChunkList(_) => ParameterType::CHUNK_LIST,
            Self::HmacAlgorithms(_) => ParameterType::HMAC_ALGORITHMS,
            Self::Padding(_) => ParameterType::PADDING,
            Self::SupportedExtensions(_) => ParameterType::SUPPORTED_EXTENSIONS,
            Self::ForwardTsnSupported => ParameterType::FORWARD_TSN,
            Self::AddAddress { .. } => ParameterType::ADD_ADDRESS,
            Self::DeleteAddress { .. } => ParameterType::DELETE_ADDRESS,
            Self::ErrorIndication { .. } => ParameterType::ERROR_INDICATION,
            Self::SetPrimary { .. } => ParameterType::SET_PRIMARY,
            Self::Success { .. } => ParameterType::SUCCESS,
            Self::Adaptation(_) => ParameterType::ADAPTATION,
            Self::Unknown(raw) => raw.kind,
        }
    }

    /// Appends the parameter to a chunk's value, padded in front: the last one of a chunk has no
    /// padding of its own, since the chunk's has to follow it.
    pub fn emit(&self, out: &mut Vec<u8>) {
        emit_tlv(out, self.kind().0, |out| self.emit_value(out));
    }

    fn emit_value(&self, out: &mut Vec<u8>) {
        let word = |out: &mut Vec<u8>, word: u32| out.extend_from_slice(&word.to_be_bytes());
        match *self {
            Self::HeartbeatInfo(bytes)
            | Self::StateCookie(bytes)
            | Self::Unrecognized(bytes)
            | Self::HostName(bytes)
            | Self::Random(bytes)
            | Self::ChunkList(bytes)
            | Self::SupportedExtensions(bytes) => out.extend_from_slice(bytes),
            Self::Unknown(raw) => out.extend_from_slice(raw.value()),
            Self::Address(address) => write_octets(address, out),
            Self::CookiePreservative(number)
            | Self::ZeroChecksum(number)
            | Self::Adaptation(number)
            | Self::TsnReset { request: number }
            | Self::Success {
                correlation: number,
            } => word(out, number),
            Self::SupportedAddressTypes(list) | Self::HmacAlgorithms(list) => list.write(out),
            Self::OutgoingReset {
                request,
                response,
                last_tsn,
                streams,
            } => {
                word(out, request);
                word(out, response);
                word(out, last_tsn.0);
                streams.write(out);
            }
            Self::IncomingReset { request, streams } => {
                word(out, request);
                streams.write(out);
            }
            Self::ReconfigResponse {
                response,
                result,
                next_tsns,
            } => {
                word(out, response);
                word(out, result.0);
                if let Some((sender, receiver)) = next_tsns {
                    word(out, sender.0);
                    word(out, receiver.0);
                }
            }
            Self::AddOutgoing { request, count } | Self::AddIncoming { request, count } => {
                word(out, request);
                word(out, u32::from(count) << 16);
            }
            Self::Padding(len) => out.resize(out.len() + usize::from(len), 0),
            Self::EcnCapable | Self::ForwardTsnSupported => {}
            Self::AddAddress {
                correlation,
                address,
            }
            | Self::DeleteAddress {
                correlation,
                address,
            }
            | Self::SetPrimary {
                correlation,
                address,
            } => {
                word(out, correlation);
                emit_address(address, out);
            }
            Self::ErrorIndication {
                correlation,
                causes,
            } => {
                word(out, correlation);
                out.extend_from_slice(causes);
            }
        }
    }
}

/// Reads an address parameter.
///
/// # Errors
/// [`BadLength`](ParseError::BadLength) when its length is not the address's,
/// [`BadValue`](ParseError::BadValue) when it is no address parameter.
pub fn parse_address(raw: &RawParameter<'_>) -> Result<IpAddr, ParseError> {
    let value = raw.value();
    match raw.kind {
        ParameterType::IPV4 => <[u8; 4]>::try_from(value)
            .map(|octets| Ipv4Addr::from(octets).into())
            .map_err(|_| ParseError::BadLength),
        ParameterType::IPV6 => <[u8; 16]>::try_from(value)
            .map(|octets| Ipv6Addr::from(octets).into())
            .map_err(|_| ParseError::BadLength),
        _ => Err(ParseError::BadValue),
    }
}

/// Appends an address parameter, padded in front.
pub fn emit_address(address: IpAddr, out: &mut Vec<u8>) {
    pad(out);
    Parameter::Address(address).emit(out);
}

fn write_octets(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
        IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
    }
}
