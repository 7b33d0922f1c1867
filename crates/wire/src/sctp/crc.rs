//! CRC32c over slices (RFC 9260 §6.8, appendix A), by the processor's instruction where it has one.

use super::header::{CHECKSUM_OFFSET, HEADER_LEN};

/// A CRC32c that grows by slices.
#[derive(Clone, Copy, Debug, Default)]
pub struct Crc32c(u32);

impl Crc32c {
    /// Of no bytes.
    #[must_use]
    pub const fn new() -> Self {
        Self(0)
    }

    /// Goes on over `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0 = crc32c::crc32c_append(self.0, bytes);
    }

    /// The sum as a number; its bytes go to the wire least significant first (appendix A).
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }

    /// The sum as the header's field has it, which is read in network order.
    #[must_use]
    pub const fn field(self) -> u32 {
        self.0.swap_bytes()
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
