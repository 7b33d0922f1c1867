//! ASCONF and ASCONF-ACK (RFC 5061 §4.1): changes of an endpoint's addresses.

use super::chunk::{Chunk, ChunkType, emit};
use super::parameter::{Parameters, emit_address, parse_address};
use super::{be32, pad};
use crate::ParseError;
use std::net::IpAddr;

/// An ASCONF chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asconf<'a> {
    /// Its serial number.
    pub serial: u32,
    /// An address of the association, to look it up by when the packet's source is none of its.
    pub address: IpAddr,
    /// Requests as they lie: see [`Parameters`].
    pub parameters: &'a [u8],
}

/// An ASCONF-ACK chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsconfAck<'a> {
    /// The serial number of what it answers.
    pub serial: u32,
    /// Answers as they lie: see [`Parameters`].
    pub parameters: &'a [u8],
}

impl<'a> Asconf<'a> {
    /// Reads the chunk.
    ///
    /// # Errors
    /// [`BadLength`](ParseError::BadLength) when it is too short for its fields,
    /// [`BadValue`](ParseError::BadValue) when no address follows or it is of another type.
    pub fn parse(chunk: &Chunk<'a>) -> Result<Self, ParseError> {
        let (serial, rest) = be32(chunk.expect(ChunkType::ASCONF)?)?;
        let mut parameters = Parameters::new(rest);
        let address = parameters.next().ok_or(ParseError::BadLength)??;
        Ok(Self {
            serial,
            address: parse_address(&address)?,
            parameters: parameters.rest(),
        })
    }

    /// Its requests.
    #[must_use]
    pub const fn parameters(&self) -> Parameters<'a> {
        Parameters::new(self.parameters)
    }

    /// Appends the chunk, padded.
    pub fn emit(&self, out: &mut Vec<u8>) {
        emit(out, ChunkType::ASCONF, 0, |out| {
            out.extend_from_slice(&self.serial.to_be_bytes());
            emit_address(self.address, out);
            pad(out);
            out.extend_from_slice(self.parameters);
        });
    }
}

impl<'a> AsconfAck<'a> {
    /// Reads the chunk.
    ///
    /// # Errors
    /// [`BadLength`](ParseError::BadLength) when it is too short for its fields,
    /// [`BadValue`](ParseError::BadValue) when it is of another type.
    pub fn parse(chunk: &Chunk<'a>) -> Result<Self, ParseError> {
        let (serial, parameters) = be32(chunk.expect(ChunkType::ASCONF_ACK)?)?;
        Ok(Self { serial, parameters })
    }

    /// Its answers.
    #[must_use]
    pub const fn parameters(&self) -> Parameters<'a> {
        Parameters::new(self.parameters)
    }

    /// Appends the chunk, padded.
    pub fn emit(&self, out: &mut Vec<u8>) {
        emit(out, ChunkType::ASCONF_ACK, 0, |out| {
            out.extend_from_slice(&self.serial.to_be_bytes());
            out.extend_from_slice(self.parameters);
        });
    }
}
