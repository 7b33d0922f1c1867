//! SACK (RFC 9260 §3.3.4).

use super::chunk::{Chunk, ChunkType, emit};
use super::list::List;
use super::{Tsn, be16, be32};
use crate::ParseError;

/// TSNs that have arrived behind a gap, counted from the cumulative TSN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GapAckBlock {
    /// Of the first.
    pub start: u16,
    /// Of the last.
    pub end: u16,
}

/// A SACK chunk.
/// RFC 9260 §3.3.4-1, §3.3.4-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sack<'a> {
    /// All TSNs up to this one have arrived.
    pub cumulative_tsn: Tsn,
    /// Advertised receiver window credit.
    pub a_rwnd: u32,
    /// What has arrived beyond. Order, overlap and starts beyond ends are not judged.
    pub gaps: List<'a, GapAckBlock>,
    /// TSNs that arrived again since the last SACK.
    pub duplicates: List<'a, Tsn>,
}

impl<'a> Sack<'a> {
    /// Reads the chunk.
    ///
    /// # Errors
    /// [`BadLength`](ParseError::BadLength) when its lists are longer than it is,
    /// [`BadValue`](ParseError::BadValue) when it is of another type.
    pub fn parse(chunk: &Chunk<'a>) -> Result<Self, ParseError> {
        let rest = chunk.expect(ChunkType::SACK)?;
        let (cumulative_tsn, rest) = be32(rest)?;
        let (a_rwnd, rest) = be32(rest)?;
        let (gap_count, rest) = be16(rest)?;
        let (duplicate_count, rest) = be16(rest)?;
        let (gaps, rest) = List::split(rest, gap_count)?;
        let (duplicates, _) = List::split(rest, duplicate_count)?;
        Ok(Self {
            cumulative_tsn: Tsn(cumulative_tsn),
            a_rwnd,
            gaps,
            duplicates,
        })
    }

    /// Bytes that [`emit`](Self::emit) appends to a multiple of four.
    #[must_use]
    pub const fn chunk_len(&self) -> usize {
        16 + 4 * (self.gaps.len() + self.duplicates.len())
    }

    /// Appends the chunk, padded.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let count = |len: usize| u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
        emit(out, ChunkType::SACK, 0, |out| {
            out.extend_from_slice(&self.cumulative_tsn.0.to_be_bytes());
            out.extend_from_slice(&self.a_rwnd.to_be_bytes());
            out.extend_from_slice(&count(self.gaps.len()));
            out.extend_from_slice(&count(self.duplicates.len()));
            self.gaps.write(out);
            self.duplicates.write(out);
        });
    }
}
