//! The common header (RFC 9260 §3.1).

use super::{Crc32c, packet_checksum};
use crate::{ParseError, take};

/// Bytes of the common header.
pub const HEADER_LEN: usize = 12;
/// Where the checksum lies in it.
pub const CHECKSUM_OFFSET: usize = 8;

/// The common header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Verification tag.
    pub verification_tag: u32,
    /// CRC32c as it stands in the field.
    pub checksum: u32,
}

impl Header {
    /// Reads the header. Ports, tag and checksum are not judged.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) below 12 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let &[a, b, c, d, e, f, g, h, ref checksum @ ..] = take::<HEADER_LEN>(bytes)?;
        Ok(Self {
            source_port: u16::from_be_bytes([a, b]),
            destination_port: u16::from_be_bytes([c, d]),
            verification_tag: u32::from_be_bytes([e, f, g, h]),
            checksum: u32::from_be_bytes(*checksum),
        })
    }

    /// Bytes that [`emit`](Self::emit) writes.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header into the front of `out`, the checksum as it stands.
    ///
    /// # Panics
    /// When `out` is shorter than 12 bytes.
    pub fn emit(&self, out: &mut [u8]) {
        out[0..2].copy_from_slice(&self.source_port.to_be_bytes());
        out[2..4].copy_from_slice(&self.destination_port.to_be_bytes());
        out[4..8].copy_from_slice(&self.verification_tag.to_be_bytes());
        out[CHECKSUM_OFFSET..HEADER_LEN].copy_from_slice(&self.checksum.to_be_bytes());
    }

    /// Starts a packet: appends the header to `out`.
    /// RFC 9260 §3-2.
    pub fn begin(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + HEADER_LEN, 0);
        self.emit(&mut out[start..]);
    }
}

/// Computes the checksum of a whole packet that lies in one piece, and writes it.
///
/// # Panics
/// When `packet` is shorter than 12 bytes.
pub fn set_checksum(packet: &mut [u8]) {
    set_checksum_with(packet, &[]);
}

/// The same for a packet that begins with `head`, to which the checksum is written, and goes on with
/// `rest`.
///
/// # Panics
/// When `head` is shorter than 12 bytes.
pub fn set_checksum_with(head: &mut [u8], rest: &[&[u8]]) {
    head[CHECKSUM_OFFSET..HEADER_LEN].fill(0);
    let checksum = Crc32c::over(head, rest).to_le_bytes();
    head[CHECKSUM_OFFSET..HEADER_LEN].copy_from_slice(&checksum);
}

/// As [`verify_checksum`] for a packet that begins with `head` and goes on with `rest`. It takes the
/// checksum out: zero is left in its field, as it was when the sum was made.
#[must_use]
pub fn take_checksum(head: &mut [u8], rest: &[&[u8]]) -> bool {
    let Ok(header) = Header::parse(head) else {
        return false;
    };
    head[CHECKSUM_OFFSET..HEADER_LEN].fill(0);
    Crc32c::over(head, rest).swap_bytes() == header.checksum
}

/// Whether the checksum of a whole packet is right (RFC 9260 §6.8). A zero that RFC 9653 allows is
/// for the caller to allow.
#[must_use]
pub fn verify_checksum(packet: &[u8]) -> bool {
    Header::parse(packet).is_ok_and(|header| header.checksum == checksum_of(packet))
}

/// The checksum that belongs into the header of `packet`, whatever stands there.
#[must_use]
pub fn checksum_of(packet: &[u8]) -> u32 {
    packet_checksum([packet])
}
