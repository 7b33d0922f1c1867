//! FORWARD-TSN (RFC 3758 §3.2) and I-FORWARD-TSN (RFC 8260 §2.3.1): messages that are given up.

use super::chunk::{Chunk, ChunkType, emit};
use super::list::List;
use super::{Tsn, be32};
use crate::ParseError;

/// A stream and the last of its ordered messages that is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkippedStream {
    /// Stream identifier.
    pub stream: u16,
    /// Stream sequence number.
    pub ssn: u16,
}

/// A stream and the last of its messages that is given up, of the ordered or the unordered ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkippedMessage {
    /// Stream identifier.
    pub stream: u16,
    /// U: the message identifier is one of the unordered messages.
    pub unordered: bool,
    /// Message identifier.
    pub mid: u32,
}

/// A FORWARD-TSN chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardTsn<'a> {
    /// What the receiver's cumulative TSN is to be at least.
    pub new_cumulative_tsn: Tsn,
    /// The streams on which ordered messages are skipped.
    pub skipped: List<'a, SkippedStream>,
}

/// An I-FORWARD-TSN chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IForwardTsn<'a> {
    /// What the receiver's cumulative TSN is to be at least.
    pub new_cumulative_tsn: Tsn,
    /// The messages that are skipped.
    pub skipped: List<'a, SkippedMessage>,
}

macro_rules! forward {
    ($kind:ident, $number:ident) => {
        impl<'a> $kind<'a> {
            /// Reads the chunk.
            ///
            /// # Errors
            /// [`BadLength`](ParseError::BadLength) when it is too short or an entry is cut,
            /// [`BadValue`](ParseError::BadValue) when it is of another type.
            pub fn parse(chunk: &Chunk<'a>) -> Result<Self, ParseError> {
                let (tsn, rest) = be32(chunk.expect(ChunkType::$number)?)?;
                Ok(Self {
                    new_cumulative_tsn: Tsn(tsn),
                    skipped: List::parse(rest)?,
                })
            }

            /// Appends the chunk.
            pub fn emit(&self, out: &mut Vec<u8>) {
                emit(out, ChunkType::$number, 0, |out| {
                    out.extend_from_slice(&self.new_cumulative_tsn.0.to_be_bytes());
                    self.skipped.write(out);
                });
            }
        }
    };
}

forward!(ForwardTsn, FORWARD_TSN);
forward!(IForwardTsn, I_FORWARD_TSN);
