//! What a checksum covers (RFC 4340 §9.1, §9.2), and the checksum.

use crate::checksum::{Sum, pseudo_header};
use crate::{IpProtocol, ParseError};
use std::net::IpAddr;

/// Bytes of a packet that its checksum covers: the header, which has `header_len` bytes, and of the
/// application data all or the first words, as `coverage` (CsCov) says.
///
/// # Errors
/// [`BadLength`](ParseError::BadLength) when there is less data than is covered. RFC 4340 §9.2: such
/// packets are ignored.
/// RFC 4340 §9.2-1, §9.2-2 and §9.2-3: what is covered has to be there.
pub fn covered(coverage: u8, header_len: usize, packet_len: usize) -> Result<usize, ParseError> {
    let data = packet_len
        .checked_sub(header_len)
        .ok_or(ParseError::BadLength)?;
    match usize::from(coverage & 0x0f).checked_sub(1) {
        None => Ok(packet_len),
        Some(words) if words * 4 <= data => Ok(header_len + words * 4),
        Some(_) => Err(ParseError::BadLength),
    }
}

/// The CsCov to send `data_len` bytes with, where `wanted` is what the application suggests: no more
/// is covered than there is.
#[must_use]
pub fn fitting(wanted: u8, data_len: usize) -> u8 {
    match usize::from(wanted).checked_sub(1) {
        Some(words) if words * 4 < data_len => wanted,
        _ => 0,
    }
}

/// The sum over the pseudo-header and the first `covered` bytes of a packet that lies in `chunks`,
/// `len` bytes in all.
#[must_use]
pub fn sum<'a>(
    source: IpAddr,
    destination: IpAddr,
    len: u32,
    covered: usize,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Sum {
    let mut sum = pseudo_header(source, destination, IpProtocol::DCCP, len);
    let mut left = covered;
    for chunk in chunks {
        let part = &chunk[..left.min(chunk.len())];
        sum.add(part);
        left -= part.len();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4340 §9.2.
    /// RFC 4340 §9.2-1, §9.2-2 and §9.2-3: and what is not there is not covered.
    #[test]
    fn coverage_counts_words_of_data() {
        assert_eq!(covered(0, 16, 100), Ok(100));
        assert_eq!(covered(1, 16, 100), Ok(16));
        assert_eq!(covered(3, 16, 24), Ok(24));
        assert_eq!(covered(4, 16, 24), Err(ParseError::BadLength));
        assert_eq!(covered(0, 16, 12), Err(ParseError::BadLength));
        assert_eq!(fitting(4, 13), 4);
        assert_eq!(fitting(4, 12), 0);
        assert_eq!(fitting(0, 12), 0);
        assert_eq!(fitting(1, 0), 0);
    }
}
