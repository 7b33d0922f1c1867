//! CRC32c (RFC 9260 §6.8, appendix A), by the processor's instructions where it has some.

use super::header::{CHECKSUM_OFFSET, HEADER_LEN};
use crc_fast::{CrcAlgorithm, Digest};

/// A CRC32c that grows by slices.
#[derive(Clone, Copy, Debug)]
pub struct Crc32c(Digest);

impl Crc32c {
    /// Of no bytes.
    #[must_use]
    pub fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }

    /// Of what begins with `head` and goes on with `rest`.
    pub(super) fn over(head: &[u8], rest: &[&[u8]]) -> u32 {
        if rest.is_empty() {
            // What lies in one piece is quicker.
            return crc_fast::crc32_iscsi(head);
        }
        let mut crc = Self::new();
        crc.update(head);
        rest.iter().for_each(|slice| crc.update(slice));
        crc.value()
    }

    /// Goes on over `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The sum as a number; its bytes go to the wire least significant first (appendix A).
    #[must_use]
    pub fn value(&self) -> u32 {
        // The library's numbers have 64 bits for all sums.
        self.0.finalize() as u32
    }

    /// The sum as the header's field has it, which is read in network order.
    #[must_use]
    pub fn field(&self) -> u32 {
        self.value().swap_bytes()
    }
}

impl Default for Crc32c {
    fn default() -> Self {
        Self::new()
    }
}

/// The checksum field of a packet that lies in `slices`, the first of which holds the whole common
/// header. What stands in its checksum field counts as zero.
#[must_use]
pub fn packet_checksum<'a>(slices: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let mut crc = Crc32c::new();
    let mut slices = slices.into_iter();
    if let Some(first) = slices.next() {
        let (header, rest) = first.split_at(HEADER_LEN.min(first.len()));
        crc.update(&header[..CHECKSUM_OFFSET.min(header.len())]);
        crc.update(&[0; 4]);
        crc.update(rest);
    }
    for slice in slices {
        crc.update(slice);
    }
    crc.field()
}
