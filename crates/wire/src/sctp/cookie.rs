//! COOKIE ECHO and COOKIE ACK (RFC 9260 §3.3.11, §3.3.12).

use super::chunk::{Chunk, ChunkType, emit};
use crate::ParseError;

/// A COOKIE ECHO chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CookieEcho<'a> {
    /// The cookie, as the INIT ACK's State Cookie parameter had it.
    pub cookie: &'a [u8],
}

/// A COOKIE ACK chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CookieAck;

impl<'a> CookieEcho<'a> {
    /// Reads the chunk.
    ///
    /// # Errors
    /// [`BadValue`](ParseError::BadValue) when it is of another type.
    pub fn parse(chunk: &Chunk<'a>) -> Result<Self, ParseError> {
        let cookie = chunk.expect(ChunkType::COOKIE_ECHO)?;
        Ok(Self { cookie })
    }

    /// Appends the chunk, padded.
    pub fn emit(&self, out: &mut Vec<u8>) {
        emit(out, ChunkType::COOKIE_ECHO, 0, |out| {
            out.extend_from_slice(self.cookie);
        });
    }
}

impl CookieAck {
    /// Appends the chunk.
    pub fn emit(self, out: &mut Vec<u8>) {
        emit(out, ChunkType::COOKIE_ACK, 0, |_| {});
    }
}
