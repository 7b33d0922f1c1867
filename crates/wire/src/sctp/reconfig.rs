//! RE-CONFIG (RFC 6525 §3.1): one or two parameters that reset or add streams.

use super::chunk::{Chunk, ChunkType, emit};
use super::parameter::Parameters;
use crate::ParseError;

/// A RE-CONFIG chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconfig<'a> {
    /// Parameters as they lie: see [`Parameters`]. Which may stand together is not judged.
    pub parameters: &'a [u8],
}

impl<'a> Reconfig<'a> {
    /// Reads the chunk.
    ///
    /// # Errors
    /// [`BadValue`](ParseError::BadValue) when it is of another type.
    pub fn parse(chunk: &Chunk<'a>) -> Result<Self, ParseError> {
        let parameters = chunk.expect(ChunkType::RE_CONFIG)?;
        Ok(Self { parameters })
    }

    /// Its parameters.
    #[must_use]
    pub const fn parameters(&self) -> Parameters<'a> {
        Parameters::new(self.parameters)
    }

    /// Appends the chunk, padded.
    pub fn emit(&self, out: &mut Vec<u8>) {
        emit(out, ChunkType::RE_CONFIG, 0, |out| {
            out.extend_from_slice(self.parameters);
        });
    }
}
