//! TCP headers (RFC 9293 §3.1). Their options are [`tcp_options`](crate::tcp_options)'.

use crate::tcp_options::{OPTIONS_LEN_MAX, Options};
use crate::{ParseError, SeqNum, take};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Most bytes of a header with options: the data offset counts to 60.
pub const HEADER_LEN_MAX: usize = HEADER_LEN + OPTIONS_LEN_MAX;
/// Where the checksum lies in the header.
pub const CHECKSUM_OFFSET: usize = 16;

bitflags::bitflags! {
    /// The control bits.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Flags: u16 {
        /// No more data from the sender.
        const FIN = 0x001;
        /// Synchronize sequence numbers.
        const SYN = 0x002;
        /// Reset the connection.
        const RST = 0x004;
        /// Push.
        const PSH = 0x008;
        /// The acknowledgment number counts.
        const ACK = 0x010;
        /// The urgent pointer counts.
        const URG = 0x020;
        /// ECN echo (RFC 3168).
        const ECE = 0x040;
        /// Congestion window reduced (RFC 3168).
        const CWR = 0x080;
        /// Accurate ECN (RFC 9768); once the nonce sum.
        const AE = 0x100;
    }
}

/// A TCP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// SEG.SEQ: of the first octet of data, or of the SYN.
    pub seq: SeqNum,
    /// SEG.ACK: the next sequence number that is expected; counts with [`Flags::ACK`] alone.
    pub ack: SeqNum,
    /// The control bits. The three reserved bits are not kept: RFC 9293 §3.1: they are ignored on
    /// receipt and sent as zero.
    pub flags: Flags,
    /// SEG.WND as it stands in the field, not scaled; unsigned (RFC 9293 §3.1, MUST-1).
    pub window: u16,
    /// Checksum as it stands in the field.
    pub checksum: u16,
    /// SEG.UP: offset from SEG.SEQ; counts with [`Flags::URG`] alone.
    pub urgent_pointer: u16,
    /// Options.
    pub options: Options,
}

impl Header {
    /// Reads a header with its options.
    ///
    /// Malformed options do not make the header bad: what could be read of them is there and
    /// [`Options::malformed`] is set. Ports, flags and checksum are not judged.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) when `bytes` end inside the header,
    /// [`BadLength`](ParseError::BadLength) when the data offset is below 5.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let fixed = take::<HEADER_LEN>(bytes)?;
        let options = bytes
            .get(HEADER_LEN..offset_in(fixed)?)
            .ok_or(ParseError::Truncated)?;
        Ok(Self::from_fixed(fixed, Options::parse(options)))
    }

    /// Reads the 20 bytes before the options, and the data offset in bytes, which may lie beyond
    /// `bytes`: a quoted header may be cut there.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), except that the options may be missing.
    pub fn parse_fixed(bytes: &[u8]) -> Result<(Self, usize), ParseError> {
        let fixed = take::<HEADER_LEN>(bytes)?;
        Ok((
            Self::from_fixed(fixed, Options::default()),
            offset_in(fixed)?,
        ))
    }

    fn from_fixed(fixed: &[u8; HEADER_LEN], options: Options) -> Self {
        let be16 = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let be32 = |at: usize| {
            u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]])
        };
        Self {
            source_port: be16(0),
            destination_port: be16(2),
            seq: SeqNum(be32(4)),
            ack: SeqNum(be32(8)),
            flags: Flags::from_bits_truncate(be16(12)),
            window: be16(14),
            checksum: be16(CHECKSUM_OFFSET),
            urgent_pointer: be16(18),
            options,
        }
    }

    /// Bytes that [`emit`](Self::emit) writes.
    #[must_use]
    pub fn header_len(&self) -> usize {
        HEADER_LEN + self.options.emitted_len()
    }

    /// Writes header and options into the front of `out`, the checksum as it stands.
    ///
    /// # Panics
    /// When `out` is shorter than [`header_len`](Self::header_len).
    pub fn emit(&self, out: &mut [u8]) {
        let options_len = self.options.emit(&mut out[HEADER_LEN..]);
        // At most 15, as options take at most 40 bytes.
        let data_offset = ((HEADER_LEN + options_len) / 4) as u16;
        out[0..2].copy_from_slice(&self.source_port.to_be_bytes());
        out[2..4].copy_from_slice(&self.destination_port.to_be_bytes());
        out[4..8].copy_from_slice(&self.seq.0.to_be_bytes());
        out[8..12].copy_from_slice(&self.ack.0.to_be_bytes());
        out[12..14].copy_from_slice(&(data_offset << 12 | self.flags.bits()).to_be_bytes());
        out[14..16].copy_from_slice(&self.window.to_be_bytes());
        out[CHECKSUM_OFFSET..18].copy_from_slice(&self.checksum.to_be_bytes());
        out[18..20].copy_from_slice(&self.urgent_pointer.to_be_bytes());
    }
}

/// Bytes of the header in front of `bytes` with its options, as its data offset says: 20 to 60.
///
/// # Errors
/// As [`Header::parse_fixed`].
pub fn data_offset(bytes: &[u8]) -> Result<usize, ParseError> {
    offset_in(take::<HEADER_LEN>(bytes)?)
}

fn offset_in(fixed: &[u8; HEADER_LEN]) -> Result<usize, ParseError> {
    let data_offset = usize::from(fixed[12] >> 4) * 4;
    if data_offset < HEADER_LEN {
        Err(ParseError::BadLength)
    } else {
        Ok(data_offset)
    }
}

/// SEG.LEN: the sequence space that a segment with `payload_len` bytes takes, SYN and FIN
/// counted.
#[must_use]
pub fn segment_len(flags: Flags, payload_len: u32) -> u32 {
    payload_len
        .wrapping_add(u32::from(flags.contains(Flags::SYN)))
        .wrapping_add(u32::from(flags.contains(Flags::FIN)))
}

/// Sets the checksum of the header in front of `segment`.
///
/// # Panics
/// When `segment` is shorter than 18 bytes.
pub fn set_checksum(segment: &mut [u8], checksum: u16) {
    segment[CHECKSUM_OFFSET..18].copy_from_slice(&checksum.to_be_bytes());
}

/// Sets the sequence number of the header in front of `segment`; the checksum stays as it is.
/// Cutting a super-segment uses it.
///
/// # Panics
/// When `segment` is shorter than 20 bytes.
pub fn set_seq(segment: &mut [u8], seq: SeqNum) {
    segment[4..8].copy_from_slice(&seq.0.to_be_bytes());
}

/// Sets the control bits of the header in front of `segment`; the checksum stays as it is.
///
/// # Panics
/// When `segment` is shorter than 20 bytes.
pub fn set_flags(segment: &mut [u8], flags: Flags) {
    let [high, low] = flags.bits().to_be_bytes();
    segment[12] = segment[12] & 0xf0 | high;
    segment[13] = low;
}

/// Sets the urgent pointer of the header in front of `segment`; the checksum stays as it is.
///
/// # Panics
/// When `segment` is shorter than 20 bytes.
pub fn set_urgent_pointer(segment: &mut [u8], pointer: u16) {
    segment[18..20].copy_from_slice(&pointer.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_syn_as_linux_sends_it() {
        let bytes = [
            0xc0, 0x01, 0x00, 0x50, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0, 0xa0, 0x02, 0xfa, 0xf0,
            0xbe, 0xef, 0, 0, 2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7,
        ];
        let header = Header::parse(&bytes).unwrap();
        assert_eq!((header.source_port, header.destination_port), (49153, 80));
        assert_eq!(
            (header.seq, header.flags),
            (SeqNum(0x1234_5678), Flags::SYN)
        );
        assert_eq!((header.window, header.checksum), (64240, 0xbeef));
        assert_eq!(
            (header.options.mss, header.options.window_scale),
            (Some(1460), Some(7))
        );
        assert!(header.options.sack_permitted && header.options.timestamps.is_some());
        let mut out = [0xee; 40];
        header.emit(&mut out);
        assert_eq!(out, bytes);
    }

    #[test]
    fn lengths_are_checked() {
        let mut bytes = [0; 24];
        Header::default().emit(&mut bytes);
        assert!(Header::parse(&bytes[..20]).is_ok());
        assert_eq!(Header::parse(&bytes[..19]), Err(ParseError::Truncated));
        bytes[12] = 0x60;
        assert_eq!(Header::parse(&bytes[..23]), Err(ParseError::Truncated));
        assert_eq!(Header::parse_fixed(&bytes[..20]).unwrap().1, 24);
        bytes[12] = 0x40;
        assert_eq!(Header::parse(&bytes), Err(ParseError::BadLength));
    }

    #[test]
    fn fields_are_changed_in_place() {
        let mut header = Header {
            flags: Flags::ACK | Flags::AE,
            ..Header::default()
        };
        let mut bytes = [0; 20];
        header.emit(&mut bytes);
        set_seq(&mut bytes, SeqNum(77));
        set_checksum(&mut bytes, 0x1234);
        set_flags(&mut bytes, Flags::PSH | Flags::FIN);
        (header.seq, header.checksum, header.flags) = (SeqNum(77), 0x1234, Flags::PSH | Flags::FIN);
        assert_eq!(Header::parse(&bytes), Ok(header));
    }

    #[test]
    fn syn_and_fin_take_sequence_space() {
        assert_eq!(segment_len(Flags::SYN | Flags::FIN, 10), 12);
        assert_eq!(segment_len(Flags::ACK | Flags::PSH, 10), 10);
    }

    proptest! {
        #[test]
        fn what_parses_survives_emit(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), offset in 4u8..16) {
            if let Some(byte) = bytes.get_mut(12) {
                *byte = offset << 4 | *byte & 0x0f;
            }
            if let Ok(mut header) = Header::parse(&bytes) {
                let mut out = vec![0xee; header.header_len()];
                header.emit(&mut out);
                let again = Header::parse(&out).unwrap();
                // Options that are not known go, and what has an odd layout may not fit anew.
                header.options = again.options;
                prop_assert_eq!(again, header);
            }
        }
    }
}
