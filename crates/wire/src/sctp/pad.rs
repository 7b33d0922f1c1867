//! PAD (RFC 4820 §3): fills a packet up to a size that is to be tried.

use super::chunk::{ChunkType, emit};

/// A PAD chunk. Who receives one ignores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pad {
    /// Bytes of padding behind the chunk's header.
    pub len: u16,
}

impl Pad {
    /// Appends the chunk, padded.
    pub fn emit(&self, out: &mut Vec<u8>) {
        emit(out, ChunkType::PAD, 0, |out| {
            out.resize(out.len() + usize::from(self.len), 0);
        });
    }
}
