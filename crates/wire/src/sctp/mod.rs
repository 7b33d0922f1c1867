//! SCTP packets (RFC 9260 §3): the common header, chunks, parameters, error causes, and the formats
//! of its extensions.
//!
//! A packet is a [`Header`] and chunks. [`Chunks`] gives them one by one as they lie, each a
//! [`Chunk`] whose value nobody has read yet; the type that has the chunk's name reads it
//! (`Sack::parse(&chunk)`) as a view and writes it (`sack.emit(&mut packet)`). Chunks are appended to
//! a packet under construction, padded; [`set_checksum`] ends it.
//!
//! Parameters ([`Parameter`]) and error causes ([`Cause`]) lie within chunks. What carries some has
//! them as bytes: [`Parameters`] and [`Causes`] go through them, `Parameter::emit` makes them.
//!
//! | module | what | RFC |
//! |---|---|---|
//! | `header`, `crc` | common header, CRC32c over slices | 9260 §3.1, appendix A; 9653 |
//! | `chunk` | chunk types, the walk along a packet | 9260 §3.2 |
//! | `parameter`, `cause` | what lies within chunks | 9260 §3.2.1, §3.3.10; 4895, 5061, 6525 |
//! | `data`, `i_data` | user messages, interleaved or not | 9260 §3.3.1, 8260 §2.1 |
//! | `init`, `cookie` | association setup | 9260 §3.3.2, §3.3.3, §3.3.11, §3.3.12 |
//! | `sack`, `ecn` | acknowledgments, marks of congestion | 9260 §3.3.4, appendix A of 4960 |
//! | `heartbeat`, `pad` | probes of a path | 9260 §3.3.5; 4820 |
//! | `shutdown`, `abort`, `error` | the end, errors | 9260 §3.3.7 to §3.3.10, §3.3.13 |
//! | `auth`, `asconf`, `reconfig`, `forward_tsn` | extensions | 4895, 5061, 6525, 3758 and 8260 |

mod abort;
mod asconf;
mod auth;
mod cause;
mod chunk;
mod cookie;
mod crc;
mod data;
mod ecn;
mod error;
mod forward_tsn;
mod header;
mod heartbeat;
mod i_data;
mod init;
mod list;
mod pad;
mod parameter;
mod reconfig;
mod sack;
mod shutdown;

#[cfg(test)]
mod tests;

pub use abort::Abort;
pub use asconf::{Asconf, AsconfAck};
pub use auth::{Auth, HmacId};
pub use cause::{Cause, CauseCode, Causes, RawCause};
pub use chunk::{CHUNK_HEADER_LEN, CHUNKS_MAX, Chunk, ChunkType, Chunks, Unknown};
pub use cookie::{CookieAck, CookieEcho};
pub use crc::{Crc32c, packet_checksum};
pub use data::{DATA_HEADER_LEN, Data, DataFlags};
pub use ecn::{Cwr, Ecne};
pub use error::OperationError;
pub use forward_tsn::{ForwardTsn, IForwardTsn, SkippedMessage, SkippedStream};
pub use header::{
    CHECKSUM_OFFSET, HEADER_LEN, Header, checksum_of, set_checksum, set_checksum_with,
    take_checksum, verify_checksum,
};
pub use heartbeat::{Heartbeat, HeartbeatAck};
pub use i_data::{I_DATA_HEADER_LEN, IData};
pub use init::{Init, InitAck};
pub use list::{Field, List};
pub use pad::Pad;
pub use parameter::{
    Parameter, ParameterType, Parameters, RawParameter, ReconfigResult, emit_address, parse_address,
};
pub use reconfig::Reconfig;
pub use sack::{GapAckBlock, Sack};
pub use shutdown::{Shutdown, ShutdownAck, ShutdownComplete};

/// A transmission sequence number: RFC 9260 §1.6: serial number arithmetic of 32 bits, which is
/// [`SeqNum`](crate::SeqNum)'s.
pub use crate::SeqNum as Tsn;

use crate::ParseError;

/// What a length grows to with its padding to four bytes.
#[must_use]
pub const fn padded(len: usize) -> usize {
    len.next_multiple_of(4)
}

/// Fills `out` with zeros up to four bytes.
fn pad(out: &mut Vec<u8>) {
    out.resize(padded(out.len()), 0);
}

/// Splits `N` bytes off the front.
fn split<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), ParseError> {
    bytes.split_first_chunk().ok_or(ParseError::BadLength)
}

/// Splits a 16-bit field off the front.
fn be16(bytes: &[u8]) -> Result<(u16, &[u8]), ParseError> {
    let (field, rest) = split(bytes)?;
    Ok((u16::from_be_bytes(*field), rest))
}

/// Splits a 32-bit field off the front.
fn be32(bytes: &[u8]) -> Result<(u32, &[u8]), ParseError> {
    let (field, rest) = split(bytes)?;
    Ok((u32::from_be_bytes(*field), rest))
}

/// Appends a type-length-value, padded in front: the last one in a chunk stays without padding, as
/// RFC 9260 §3.2 has the chunk's length count it. `value` appends the value. What would be longer
/// than its length field can say is left out.
/// RFC 9260 §3.2.1-1, §3.2.1-2.
fn emit_tlv(out: &mut Vec<u8>, kind: u16, value: impl FnOnce(&mut Vec<u8>)) {
    let before = out.len();
    pad(out);
    let start = out.len();
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    value(out);
    match u16::try_from(out.len() - start) {
        Ok(len) => out[start + 2..start + 4].copy_from_slice(&len.to_be_bytes()),
        Err(_) => out.truncate(before),
    }
}

/// A type-length-value split off the front of `bytes`: its type, all of it without padding, and
/// what lies behind.
/// RFC 9260 §3.2.1-3.
fn split_tlv(bytes: &[u8]) -> Result<(u16, &[u8], &[u8]), ParseError> {
    let (kind, rest) = be16(bytes)?;
    let (len, _) = be16(rest)?;
    let len = usize::from(len);
    if len < 4 {
        return Err(ParseError::BadLength);
    }
    let whole = bytes.get(..len).ok_or(ParseError::Truncated)?;
    // RFC 9260 §3.2: a chunk's length may count its last padding or not.
    let rest = bytes.get(padded(len)..).unwrap_or_default();
    Ok((kind, whole, rest))
}
