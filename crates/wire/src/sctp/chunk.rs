//! Chunks (RFC 9260 §3.2): their types, and the walk along a packet.

use super::{pad, padded};
use crate::ParseError;

/// Bytes of a chunk's type, flags and length.
pub const CHUNK_HEADER_LEN: usize = 4;
/// Most chunks in a packet: more than 64 KB of one-byte messages are.
pub const CHUNKS_MAX: usize = 4096;

/// The type of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkType(pub u8);

impl ChunkType {
    /// Payload data.
    pub const DATA: Self = Self(0);
    /// Initiation.
    pub const INIT: Self = Self(1);
    /// Initiation acknowledgment.
    pub const INIT_ACK: Self = Self(2);
    /// Selective acknowledgment.
    pub const SACK: Self = Self(3);
    /// Heartbeat request.
    pub const HEARTBEAT: Self = Self(4);
    /// Heartbeat acknowledgment.
    pub const HEARTBEAT_ACK: Self = Self(5);
    /// Abort.
    pub const ABORT: Self = Self(6);
    /// Shutdown.
    pub const SHUTDOWN: Self = Self(7);
    /// Shutdown acknowledgment.
    pub const SHUTDOWN_ACK: Self = Self(8);
    /// Operation error.
    pub const ERROR: Self = Self(9);
    /// State cookie.
    pub const COOKIE_ECHO: Self = Self(10);
    /// Cookie acknowledgment.
    pub const COOKIE_ACK: Self = Self(11);
    /// Explicit congestion notification echo.
    pub const ECNE: Self = Self(12);
    /// Congestion window reduced.
    pub const CWR: Self = Self(13);
    /// Shutdown complete.
    pub const SHUTDOWN_COMPLETE: Self = Self(14);
    /// Authentication (RFC 4895).
    pub const AUTH: Self = Self(15);
    /// Payload data that may interleave (RFC 8260).
    pub const I_DATA: Self = Self(64);
    /// Address configuration acknowledgment (RFC 5061).
    pub const ASCONF_ACK: Self = Self(128);
    /// Reconfiguration of streams (RFC 6525).
    pub const RE_CONFIG: Self = Self(130);
    /// Padding (RFC 4820).
    pub const PAD: Self = Self(132);
    /// Forward TSN (RFC 3758).
    pub const FORWARD_TSN: Self = Self(192);
    /// Address configuration change (RFC 5061).
    pub const ASCONF: Self = Self(193);
    /// Forward TSN of interleaved messages (RFC 8260).
    pub const I_FORWARD_TSN: Self = Self(194);

    /// What RFC 9260 §3.2 wants done with the chunk by who does not know its type.
    #[must_use]
    pub const fn when_unknown(self) -> Unknown {
        Unknown {
            skip: self.0 & 0x80 != 0,
            report: self.0 & 0x40 != 0,
        }
    }
}

impl std::fmt::Display for ChunkType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match *self {
            Self::DATA => "DATA",
            Self::INIT => "INIT",
            Self::INIT_ACK => "INIT ACK",
            Self::SACK => "SACK",
            Self::HEARTBEAT => "HEARTBEAT",
            Self::HEARTBEAT_ACK => "HEARTBEAT ACK",
            Self::ABORT => "ABORT",
            Self::SHUTDOWN => "SHUTDOWN",
            Self::SHUTDOWN_ACK => "SHUTDOWN ACK",
            Self::ERROR => "ERROR",
            Self::COOKIE_ECHO => "COOKIE ECHO",
            Self::COOKIE_ACK => "COOKIE ACK",
            Self::ECNE => "ECNE",
            Self::CWR => "CWR",
            Self::SHUTDOWN_COMPLETE => "SHUTDOWN COMPLETE",
            Self::AUTH => "AUTH",
            Self::I_DATA => "I-DATA",
            Self::ASCONF_ACK => "ASCONF-ACK",
            Self::RE_CONFIG => "RE-CONFIG",
            Self::PAD => "PAD",
            Self::FORWARD_TSN => "FORWARD-TSN",
            Self::ASCONF => "ASCONF",
            Self::I_FORWARD_TSN => "I-FORWARD-TSN",
            Self(other) => return write!(f, "chunk {other}"),
        })
    }
}

/// The two high bits of a type that is not known: of a chunk (RFC 9260 §3.2) or of a parameter
/// (§3.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Go on behind it; otherwise nothing behind it in the packet, or in the chunk, is processed.
    pub skip: bool,
    /// Report it to the sender.
    pub report: bool,
}

/// A chunk as it lies in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Its type.
    pub kind: ChunkType,
    /// Its flags; their meaning depends on the type.
    pub flags: u8,
    /// Type, flags, length and value, without padding: what an error cause quotes.
    pub bytes: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// What lies behind type, flags and length.
    #[must_use]
    pub fn value(&self) -> &'a [u8] {
        self.bytes.get(CHUNK_HEADER_LEN..).unwrap_or_default()
    }

    /// The value, when the chunk is of type `kind`.
    pub(super) fn expect(&self, kind: ChunkType) -> Result<&'a [u8], ParseError> {
        if self.kind == kind {
            Ok(self.value())
        } else {
            Err(ParseError::BadValue)
        }
    }

    /// Appends the chunk as it is, padded.
    pub fn emit(&self, out: &mut Vec<u8>) {
        pad(out);
        out.extend_from_slice(self.bytes);
        pad(out);
    }
}

/// The chunks of a packet, in order. The first that is malformed is an error and ends the walk.
#[derive(Clone, Debug)]
pub struct Chunks<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Chunks<'a> {
    /// Of what lies behind the common header.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            left: CHUNKS_MAX,
        }
    }

    /// What lies behind the chunk that was given last, padding excluded: what an AUTH chunk
    /// authenticates.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn split(&mut self) -> Result<Chunk<'a>, ParseError> {
        self.left = self.left.checked_sub(1).ok_or(ParseError::TooMany)?;
        let [kind, flags, high, low, ..] = *self.rest else {
            return Err(ParseError::Truncated);
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        if len < CHUNK_HEADER_LEN {
            return Err(ParseError::BadLength);
        }
        let bytes = self.rest.get(..len).ok_or(ParseError::Truncated)?;
        // RFC 9260 §3.2: padding is ignored, and what lacks it at the packet's end is whole.
        self.rest = self.rest.get(padded(len)..).unwrap_or_default();
        Ok(Chunk {
            kind: ChunkType(kind),
            flags,
            bytes,
        })
    }
}

/// RFC 9260 §3.2-4.
impl<'a> Iterator for Chunks<'a> {
    type Item = Result<Chunk<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let chunk = self.split();
        if chunk.is_err() {
            self.rest = &[];
        }
        Some(chunk)
    }
}

/// Appends a chunk, padded; `value` appends the value. What would be longer than its length field
/// can say is left out.
/// RFC 9260 §3.2-1, §3.2-2, §3.2-3.
pub(super) fn emit(
    out: &mut Vec<u8>,
    kind: ChunkType,
    flags: u8,
    value: impl FnOnce(&mut Vec<u8>),
) {
    pad(out);
    let start = out.len();
    out.extend_from_slice(&[kind.0, flags, 0, 0]);
    value(out);
    match u16::try_from(out.len() - start) {
        Ok(len) => out[start + 2..start + 4].copy_from_slice(&len.to_be_bytes()),
        Err(_) => out.truncate(start),
    }
    pad(out);
}
