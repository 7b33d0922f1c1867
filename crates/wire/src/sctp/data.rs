//! DATA (RFC 9260 §3.3.1): a user message, or a fragment of one.

use super::chunk::{Chunk, ChunkType, emit};
use super::{Tsn, be16, be32};
use crate::ParseError;

/// Bytes before the user data.
pub const DATA_HEADER_LEN: usize = 16;

bitflags::bitflags! {
    /// The flags of DATA and I-DATA.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct DataFlags: u8 {
        /// E: the last fragment of its message.
        const END = 0x01;
        /// B: the first fragment of its message.
        const BEGIN = 0x02;
        /// U: to be delivered without order.
        const UNORDERED = 0x04;
        /// I: the sender would have the SACK at once (RFC 7053).
        const IMMEDIATE = 0x08;
        /// A message that is one chunk.
        const WHOLE = Self::BEGIN.bits() | Self::END.bits();
    }
}

/// A DATA chunk.
/// RFC 9260 §3.3.1-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    /// Flags; the reserved bits are not kept.
    pub flags: DataFlags,
    /// Transmission sequence number.
    pub tsn: Tsn,
    /// Stream identifier.
    pub stream: u16,
    /// Stream sequence number; of unordered messages it says nothing.
    pub ssn: u16,
    /// Payload protocol identifier, which is the users' alone.
    pub ppid: u32,
    /// User data. RFC 9260 §3.3.1: it must not be empty, which is not judged here: §6.2 wants an
    /// answer to it.
    pub payload: &'a [u8],
}

impl<'a> Data<'a> {
    /// Reads the chunk.
    ///
    /// # Errors
    /// [`BadLength`](ParseError::BadLength) when it is too short for its fields,
    /// [`BadValue`](ParseError::BadValue) when it is of another type.
    pub fn parse(chunk: &Chunk<'a>) -> Result<Self, ParseError> {
        let rest = chunk.expect(ChunkType::DATA)?;
        let (tsn, rest) = be32(rest)?;
        let (stream, rest) = be16(rest)?;
        let (ssn, rest) = be16(rest)?;
        let (ppid, payload) = be32(rest)?;
        Ok(Self {
            flags: DataFlags::from_bits_truncate(chunk.flags),
            tsn: Tsn(tsn),
            stream,
            ssn,
            ppid,
            payload,
        })
    }

    /// Reads what lies before the user data of a chunk, of which there are `payload_len` bytes
    /// elsewhere: `payload` is left empty. `None` when `header` is no DATA chunk's or says another
    /// length.
    #[must_use]
    pub fn parse_header(header: &[u8; DATA_HEADER_LEN], payload_len: usize) -> Option<Self> {
        let [
            kind,
            flags,
            high,
            low,
            t0,
            t1,
            t2,
            t3,
            s0,
            s1,
            n0,
            n1,
            p0,
            p1,
            p2,
            p3,
        ] = *header;
        let len = usize::from(u16::from_be_bytes([high, low]));
        if kind != ChunkType::DATA.0 || len != DATA_HEADER_LEN + payload_len {
            return None;
        }
        Some(Self {
            flags: DataFlags::from_bits_truncate(flags),
            tsn: Tsn(u32::from_be_bytes([t0, t1, t2, t3])),
            stream: u16::from_be_bytes([s0, s1]),
            ssn: u16::from_be_bytes([n0, n1]),
            ppid: u32::from_be_bytes([p0, p1, p2, p3]),
            payload: &[],
        })
    }

    /// What lies before the user data, for a payload of `payload_len` bytes that lies elsewhere.
    ///
    /// # Panics
    /// When the chunk would be longer than 65535 bytes.
    #[must_use]
    pub fn header(&self, payload_len: usize) -> [u8; DATA_HEADER_LEN] {
        let len = chunk_len(DATA_HEADER_LEN, payload_len);
        let mut out = [0; DATA_HEADER_LEN];
        out[0..2].copy_from_slice(&[ChunkType::DATA.0, self.flags.bits()]);
        out[2..4].copy_from_slice(&len.to_be_bytes());
        out[4..8].copy_from_slice(&self.tsn.0.to_be_bytes());
        out[8..10].copy_from_slice(&self.stream.to_be_bytes());
        out[10..12].copy_from_slice(&self.ssn.to_be_bytes());
        out[12..16].copy_from_slice(&self.ppid.to_be_bytes());
        out
    }

    /// Appends the chunk, padded.
    pub fn emit(&self, out: &mut Vec<u8>) {
        emit(out, ChunkType::DATA, self.flags.bits(), |out| {
            out.extend_from_slice(&self.header(0)[4..]);
            out.extend_from_slice(self.payload);
        });
    }
}

/// The length field of a chunk that has `payload_len` bytes behind `header_len`.
pub(super) fn chunk_len(header_len: usize, payload_len: usize) -> u16 {
    u16::try_from(header_len + payload_len)
        .expect("fragments are cut to packets, which are shorter than 65536 bytes")
}
