//! SHUTDOWN, SHUTDOWN ACK and SHUTDOWN COMPLETE (RFC 9260 §3.3.8, §3.3.9, §3.3.13).

use super::abort::TAG_REFLECTED;
use super::chunk::{Chunk, ChunkType, emit};
use super::{Tsn, be32};
use crate::ParseError;

/// A SHUTDOWN chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// All TSNs up to this one have arrived.
    pub cumulative_tsn: Tsn,
}

/// A SHUTDOWN ACK chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownAck;

/// A SHUTDOWN COMPLETE chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownComplete {
    /// T: the verification tag is the receiver's own, sent back.
    pub tag_reflected: bool,
}

impl Shutdown {
    /// Reads the chunk.
    ///
    /// # Errors
    /// [`BadLength`](ParseError::BadLength) when it is too short,
    /// [`BadValue`](ParseError::BadValue) when it is of another type.
    pub fn parse(chunk: &Chunk<'_>) -> Result<Self, ParseError> {
        let (tsn, _) = be32(chunk.expect(ChunkType::SHUTDOWN)?)?;
        Ok(Self {
            cumulative_tsn: Tsn(tsn),
        })
    }

    /// Appends the chunk.
    pub fn emit(&self, out: &mut Vec<u8>) {
        emit(out, ChunkType::SHUTDOWN, 0, |out| {
            out.extend_from_slice(&self.cumulative_tsn.0.to_be_bytes());
        });
    }
}

impl ShutdownAck {
    /// Appends the chunk.
    pub fn emit(self, out: &mut Vec<u8>) {
        emit(out, ChunkType::SHUTDOWN_ACK, 0, |_| {});
    }
}

impl ShutdownComplete {
    /// Reads the chunk.
    ///
    /// # Errors
    /// [`BadValue`](ParseError::BadValue) when it is of another type.
    pub fn parse(chunk: &Chunk<'_>) -> Result<Self, ParseError> {
        chunk.expect(ChunkType::SHUTDOWN_COMPLETE)?;
        Ok(Self {
            tag_reflected: chunk.flags & TAG_REFLECTED != 0,
        })
    }

    /// Appends the chunk.
    pub fn emit(self, out: &mut Vec<u8>) {
        let flags = u8::from(self.tag_reflected) * TAG_REFLECTED;
        emit(out, ChunkType::SHUTDOWN_COMPLETE, flags, |_| {});
    }
}
