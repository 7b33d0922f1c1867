//! ABORT (RFC 9260 §3.3.7).

use super::cause::Causes;
use super::chunk::{Chunk, ChunkType, emit};
use crate::ParseError;

/// The T bit of ABORT and SHUTDOWN COMPLETE.
pub(super) const TAG_REFLECTED: u8 = 0x01;

/// An ABORT chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abort<'a> {
    /// T: the verification tag is the receiver's own, sent back.
    pub tag_reflected: bool,
    /// Error causes as they lie: see [`Causes`].
    pub causes: &'a [u8],
}

impl<'a> Abort<'a> {
    /// Reads the chunk.
    ///
    /// # Errors
    /// [`BadValue`](ParseError::BadValue) when it is of another type.
    pub fn parse(chunk: &Chunk<'a>) -> Result<Self, ParseError> {
        Ok(Self {
            tag_reflected: chunk.flags & TAG_REFLECTED != 0,
            causes: chunk.expect(ChunkType::ABORT)?,
        })
    }

    /// Its error causes.
    #[must_use]
    pub const fn causes(&self) -> Causes<'a> {
        Causes::new(self.causes)
    }

    /// Appends the chunk, padded.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let flags = u8::from(self.tag_reflected) * TAG_REFLECTED;
        emit(out, ChunkType::ABORT, flags, |out| {
            out.extend_from_slice(self.causes);
        });
    }
}
