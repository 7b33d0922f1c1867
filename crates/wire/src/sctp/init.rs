//! INIT and INIT ACK (RFC 9260 §3.3.2, §3.3.3): one format under two types.

use super::chunk::{Chunk, ChunkType, emit};
use super::parameter::Parameters;
use super::{Tsn, be16, be32};
use crate::ParseError;

/// An INIT chunk.
/// RFC 9260 §3.3.2.1-1, §3.3.3.1-2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Init<'a> {
    /// Initiate tag; RFC 9260 §3.3.2: never 0, which is not judged here.
    pub initiate_tag: u32,
    /// Advertised receiver window credit.
    pub a_rwnd: u32,
    /// Outbound streams that the sender wants.
    pub outbound_streams: u16,
    /// Inbound streams that it allows at most.
    pub inbound_streams: u16,
    /// The first TSN that it will use.
    pub initial_tsn: Tsn,
    /// Parameters as they lie: see [`Parameters`].
    pub parameters: &'a [u8],
}

/// An INIT ACK chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InitAck<'a>(pub Init<'a>);

impl<'a> Init<'a> {
    /// Reads the chunk. Fields are not judged.
    ///
    /// # Errors
    /// [`BadLength`](ParseError::BadLength) when it is too short for its fields,
    /// [`BadValue`](ParseError::BadValue) when it is of another type.
    pub fn parse(chunk: &Chunk<'a>) -> Result<Self, ParseError> {
        Self::read(chunk.expect(ChunkType::INIT)?)
    }

    fn read(rest: &'a [u8]) -> Result<Self, ParseError> {
        let (initiate_tag, rest) = be32(rest)?;
        let (a_rwnd, rest) = be32(rest)?;
        let (outbound_streams, rest) = be16(rest)?;
        let (inbound_streams, rest) = be16(rest)?;
        let (initial_tsn, parameters) = be32(rest)?;
        Ok(Self {
            initiate_tag,
            a_rwnd,
            outbound_streams,
            inbound_streams,
            initial_tsn: Tsn(initial_tsn),
            parameters,
        })
    }

    /// Its parameters.
    #[must_use]
    pub const fn parameters(&self) -> Parameters<'a> {
        Parameters::new(self.parameters)
    }

    /// Appends the chunk, padded.
    pub fn emit(&self, out: &mut Vec<u8>) {
        self.emit_as(ChunkType::INIT, out);
    }

    fn emit_as(&self, kind: ChunkType, out: &mut Vec<u8>) {
        emit(out, kind, 0, |out| {
            out.extend_from_slice(&self.initiate_tag.to_be_bytes());
            out.extend_from_slice(&self.a_rwnd.to_be_bytes());
            out.extend_from_slice(&self.outbound_streams.to_be_bytes());
            out.extend_from_slice(&self.inbound_streams.to_be_bytes());
            out.extend_from_slice(&self.initial_tsn.0.to_be_bytes());
            out.extend_from_slice(self.parameters);
        });
    }
}

impl<'a> InitAck<'a> {
    /// Reads the chunk. Fields are not judged.
    ///
    /// # Errors
    /// As [`Init::parse`].
    pub fn parse(chunk: &Chunk<'a>) -> Result<Self, ParseError> {
        Ok(Self(Init::read(chunk.expect(ChunkType::INIT_ACK)?)?))
    }

    /// Appends the chunk, padded.
    pub fn emit(&self, out: &mut Vec<u8>) {
        self.0.emit_as(ChunkType::INIT_ACK, out);
    }
}
