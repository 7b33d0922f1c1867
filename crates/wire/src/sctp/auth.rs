//! AUTH (RFC 4895 §4.1): a code over the chunks behind it.

use super::be16;
use super::chunk::{Chunk, ChunkType, emit};
use crate::ParseError;

/// The algorithm of a message authentication code (RFC 4895 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HmacId(pub u16);

impl HmacId {
    /// HMAC with SHA-1; everybody has it.
    pub const SHA1: Self = Self(1);
    /// HMAC with SHA-256.
    pub const SHA256: Self = Self(3);

    /// Bytes of the code; `None` of an algorithm that is not known.
    #[must_use]
    pub const fn code_len(self) -> Option<usize> {
        match self {
            Self::SHA1 => Some(20),
            Self::SHA256 => Some(32),
            _ => None,
        }
    }
}

/// An AUTH chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Which of the shared keys.
    pub key_id: u16,
    /// Which algorithm.
    pub hmac_id: HmacId,
    /// The code. Its length is not judged.
    pub code: &'a [u8],
}

impl<'a> Auth<'a> {
    /// Bytes of the chunk before the code.
    pub const CODE_OFFSET: usize = 8;

    /// Reads the chunk.
    ///
    /// # Errors
    /// [`BadLength`](ParseError::BadLength) when it is too short for its fields,
    /// [`BadValue`](ParseError::BadValue) when it is of another type.
    pub fn parse(chunk: &Chunk<'a>) -> Result<Self, ParseError> {
        let (key_id, rest) = be16(chunk.expect(ChunkType::AUTH)?)?;
        let (hmac_id, code) = be16(rest)?;
        Ok(Self {
            key_id,
            hmac_id: HmacId(hmac_id),
            code,
        })
    }

    /// Appends the chunk, padded.
    pub fn emit(&self, out: &mut Vec<u8>) {
        emit(out, ChunkType::AUTH, 0, |out| {
            out.extend_from_slice(&self.key_id.to_be_bytes());
            out.extend_from_slice(&self.hmac_id.0.to_be_bytes());
            out.extend_from_slice(self.code);
        });
    }
}
