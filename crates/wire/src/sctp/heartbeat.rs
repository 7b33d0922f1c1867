//! HEARTBEAT and HEARTBEAT ACK (RFC 9260 §3.3.5, §3.3.6).

use super::chunk::{Chunk, ChunkType, emit};
use super::parameter::{Parameter, ParameterType, Parameters};
use crate::ParseError;

/// A HEARTBEAT chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat<'a> {
    /// What only its sender understands: the value of the Heartbeat Info parameter.
    pub info: &'a [u8],
}

/// A HEARTBEAT ACK chunk: the same information, reflected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatAck<'a> {
    /// The value of the Heartbeat Info parameter that came.
    pub info: &'a [u8],
}

impl<'a> Heartbeat<'a> {
    /// Reads the chunk.
    ///
    /// # Errors
    /// Those of the parameter; [`BadValue`](ParseError::BadValue) when it has no Heartbeat Info or
    /// is of another type.
    pub fn parse(chunk: &Chunk<'a>) -> Result<Self, ParseError> {
        let info = info(chunk.expect(ChunkType::HEARTBEAT)?)?;
        Ok(Self { info })
    }

    /// Appends the chunk, padded.
    pub fn emit(&self, out: &mut Vec<u8>) {
        emit_as(ChunkType::HEARTBEAT, self.info, out);
    }
}

impl<'a> HeartbeatAck<'a> {
    /// Reads the chunk.
    ///
    /// # Errors
    /// As [`Heartbeat::parse`].
    pub fn parse(chunk: &Chunk<'a>) -> Result<Self, ParseError> {
        let info = info(chunk.expect(ChunkType::HEARTBEAT_ACK)?)?;
        Ok(Self { info })
    }

    /// Appends the chunk, padded.
    pub fn emit(&self, out: &mut Vec<u8>) {
        emit_as(ChunkType::HEARTBEAT_ACK, self.info, out);
    }
}

fn info(value: &[u8]) -> Result<&[u8], ParseError> {
    let parameter = Parameters::new(value)
        .next()
        .ok_or(ParseError::BadLength)??;
    if parameter.kind == ParameterType::HEARTBEAT_INFO {
        Ok(parameter.value())
    } else {
        Err(ParseError::BadValue)
    }
}

fn emit_as(kind: ChunkType, info: &[u8], out: &mut Vec<u8>) {
    emit(out, kind, 0, |out| Parameter::HeartbeatInfo(info).emit(out));
}
