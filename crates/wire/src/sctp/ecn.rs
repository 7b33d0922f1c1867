//! ECNE and CWR (RFC 4960 appendix A, whose numbers RFC 9260 §3.2 keeps reserved): how a receiver
//! tells of marks of congestion, and the sender that it has slowed down.

use super::chunk::{Chunk, ChunkType, emit};
use super::{Tsn, be32};
use crate::ParseError;

/// An ECNE chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ecne {
    /// The lowest TSN of the packet that was marked.
    pub lowest_tsn: Tsn,
}

/// A CWR chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cwr {
    /// The TSN of the ECNE that it answers.
    pub lowest_tsn: Tsn,
}

macro_rules! tsn_chunk {
    ($kind:ident, $number:ident) => {
        impl $kind {
            /// Reads the chunk.
            ///
            /// # Errors
            /// [`BadLength`](ParseError::BadLength) when it is too short,
            /// [`BadValue`](ParseError::BadValue) when it is of another type.
            pub fn parse(chunk: &Chunk<'_>) -> Result<Self, ParseError> {
                let (tsn, _) = be32(chunk.expect(ChunkType::$number)?)?;
                Ok(Self {
                    lowest_tsn: Tsn(tsn),
                })
            }

            /// Appends the chunk.
            pub fn emit(&self, out: &mut Vec<u8>) {
                emit(out, ChunkType::$number, 0, |out| {
                    out.extend_from_slice(&self.lowest_tsn.0.to_be_bytes());
                });
            }
        }
    };
}

tsn_chunk!(Ecne, ECNE);
tsn_chunk!(Cwr, CWR);
