//! I-DATA (RFC 8260 §2.1): a fragment that may lie among fragments of other messages.

use super::chunk::{Chunk, ChunkType, emit};
use super::data::{DataFlags, chunk_len};
use super::{Tsn, be16, be32};
use crate::ParseError;

/// Bytes before the user data.
pub const I_DATA_HEADER_LEN: usize = 20;

/// An I-DATA chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IData<'a> {
    /// Flags; the reserved bits are not kept.
    pub flags: DataFlags,
    /// Transmission sequence number.
    pub tsn: Tsn,
    /// Stream identifier.
    pub stream: u16,
    /// Message identifier: counts the ordered, and apart from them the unordered, messages of a
    /// stream.
    pub mid: u32,
    /// Payload protocol identifier; RFC 8260 §2.1: the first fragment has it, and its fragment
    /// sequence number is 0. Zero in others.
    pub ppid: u32,
    /// Fragment sequence number; zero in the first fragment.
    pub fsn: u32,
    /// User data, possibly empty: as with DATA that is not judged here.
    pub payload: &'a [u8],
}

impl<'a> IData<'a> {
    /// Reads the chunk.
    ///
    /// # Errors
    /// [`BadLength`](ParseError::BadLength) when it is too short for its fields,
    /// [`BadValue`](ParseError::BadValue) when it is of another type.
    pub fn parse(chunk: &Chunk<'a>) -> Result<Self, ParseError> {
        let flags = DataFlags::from_bits_truncate(chunk.flags);
        let rest = chunk.expect(ChunkType::I_DATA)?;
        let (tsn, rest) = be32(rest)?;
        let (stream, rest) = be16(rest)?;
        let (_reserved, rest) = be16(rest)?;
        let (mid, rest) = be32(rest)?;
        let (shared, payload) = be32(rest)?;
        let first = flags.contains(DataFlags::BEGIN);
        Ok(Self {
            flags,
            tsn: Tsn(tsn),
            stream,
            mid,
            ppid: if first { shared } else { 0 },
            fsn: if first { 0 } else { shared },
            payload,
        })
    }

    /// What lies before the user data, for a payload of `payload_len` bytes that lies elsewhere.
    ///
    /// # Panics
    /// When the chunk would be longer than 65535 bytes.
    #[must_use]
    pub fn header(&self, payload_len: usize) -> [u8; I_DATA_HEADER_LEN] {
        let len = chunk_len(I_DATA_HEADER_LEN, payload_len);
        let first = self.flags.contains(DataFlags::BEGIN);
        let shared = if first { self.ppid } else { self.fsn };
        let mut out = [0; I_DATA_HEADER_LEN];
        out[0..2].copy_from_slice(&[ChunkType::I_DATA.0, self.flags.bits()]);
        out[2..4].copy_from_slice(&len.to_be_bytes());
        out[4..8].copy_from_slice(&self.tsn.0.to_be_bytes());
        out[8..10].copy_from_slice(&self.stream.to_be_bytes());
        out[12..16].copy_from_slice(&self.mid.to_be_bytes());
        out[16..20].copy_from_slice(&shared.to_be_bytes());
        out
    }

    /// Appends the chunk, padded.
    pub fn emit(&self, out: &mut Vec<u8>) {
        emit(out, ChunkType::I_DATA, self.flags.bits(), |out| {
            out.extend_from_slice(&self.header(0)[4..]);
            out.extend_from_slice(self.payload);
        });
    }
}
