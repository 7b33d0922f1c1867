//! ERROR (RFC 9260 §3.3.10): errors that end nothing.

use super::cause::Causes;
use super::chunk::{Chunk, ChunkType, emit};
use crate::ParseError;

/// An ERROR chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperationError<'a> {
    /// Error causes as they lie: see [`Causes`].
    pub causes: &'a [u8],
}

impl<'a> OperationError<'a> {
    /// Reads the chunk.
    ///
    /// # Errors
    /// [`BadValue`](ParseError::BadValue) when it is of another type.
    pub fn parse(chunk: &Chunk<'a>) -> Result<Self, ParseError> {
        let causes = chunk.expect(ChunkType::ERROR)?;
        Ok(Self { causes })
    }

    /// Its error causes.
    #[must_use]
    pub const fn causes(&self) -> Causes<'a> {
        Causes::new(self.causes)
    }

    /// Appends the chunk, padded.
    pub fn emit(&self, out: &mut Vec<u8>) {
        emit(out, ChunkType::ERROR, 0, |out| {
            out.extend_from_slice(self.causes);
        });
    }
}
