//! UDP headers (RFC 768), and UDP-Lite's (RFC 3828), which have the same shape.

use crate::{ParseError, take};

/// Bytes of a UDP header.
pub const HEADER_LEN: usize = 8;
/// Where the checksum lies in the header.
pub const CHECKSUM_OFFSET: usize = 6;

/// A UDP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Source port; 0 when no answer is expected.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Bytes of the datagram, header included. UDP-Lite: checksum coverage, 0 for everything.
    pub length: u16,
    /// Checksum as it stands in the field; 0 when there is none.
    pub checksum: u16,
}

impl Header {
    /// Reads a UDP header.
    ///
    /// The length is not compared with the IP payload's: see [`check_len`](Self::check_len).
    /// Ports and checksum are not judged.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) below 8 bytes, [`BadLength`](ParseError::BadLength)
    /// when the length is below 8.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let header = Self::parse_lite(bytes)?;
        if usize::from(header.length) < HEADER_LEN {
            return Err(ParseError::BadLength);
        }
        Ok(header)
    }

    /// Reads a UDP-Lite header, whose `length` is the checksum coverage.
    ///
    /// The coverage is not compared with the IP payload's length: see
    /// [`coverage`](Self::coverage).
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) below 8 bytes.
    pub fn parse_lite(bytes: &[u8]) -> Result<Self, ParseError> {
        let &[s0, s1, d0, d1, l0, l1, c0, c1] = take::<HEADER_LEN>(bytes)?;
        Ok(Self {
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            length: u16::from_be_bytes([l0, l1]),
            checksum: u16::from_be_bytes([c0, c1]),
        })
    }

    /// Checks the length against the IP payload, which may be longer; what lies behind the
    /// datagram is not part of it.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) when the payload is shorter than the length says.
    pub fn check_len(&self, ip_payload_len: usize) -> Result<(), ParseError> {
        if usize::from(self.length) > ip_payload_len {
            Err(ParseError::Truncated)
        } else {
            Ok(())
        }
    }

    /// Bytes that a UDP-Lite checksum covers, of a packet of `ip_payload_len`.
    ///
    /// # Errors
    /// [`BadLength`](ParseError::BadLength) when the coverage is 1 to 7 or more than the packet.
    /// RFC 3828 §3.1: such packets are discarded.
    pub fn coverage(&self, ip_payload_len: usize) -> Result<usize, ParseError> {
        match usize::from(self.length) {
            0 => Ok(ip_payload_len),
            covered if (HEADER_LEN..=ip_payload_len).contains(&covered) => Ok(covered),
            _ => Err(ParseError::BadLength),
        }
    }

    /// Bytes that [`emit`](Self::emit) writes.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header into the front of `out`, the checksum as it stands.
    ///
    /// # Panics
    /// When `out` is shorter than 8 bytes.
    pub fn emit(&self, out: &mut [u8]) {
        out[0..2].copy_from_slice(&self.source_port.to_be_bytes());
        out[2..4].copy_from_slice(&self.destination_port.to_be_bytes());
        out[4..6].copy_from_slice(&self.length.to_be_bytes());
        out[6..8].copy_from_slice(&self.checksum.to_be_bytes());
    }
}

/// Sets the length of the header in front of `datagram`; the checksum stays as it is.
///
/// # Panics
/// When `datagram` is shorter than the header.
pub fn set_length(datagram: &mut [u8], length: u16) {
    datagram[4..6].copy_from_slice(&length.to_be_bytes());
}

/// Sets the checksum of the header in front of `datagram`. A computed checksum of 0 is sent as
/// 0xffff: see [`Sum::finish_nonzero`](crate::checksum::Sum::finish_nonzero).
///
/// # Panics
/// When `datagram` is shorter than the header.
pub fn set_checksum(datagram: &mut [u8], checksum: u16) {
    datagram[CHECKSUM_OFFSET..8].copy_from_slice(&checksum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_checked() {
        let header = Header {
            source_port: 53,
            destination_port: 5353,
            length: 12,
            checksum: 0,
        };
        let mut bytes = [0xee; 12];
        header.emit(&mut bytes);
        assert_eq!(
            bytes,
            [0, 53, 0x14, 0xe9, 0, 12, 0, 0, 0xee, 0xee, 0xee, 0xee]
        );
        assert_eq!(Header::parse(&bytes), Ok(header));
        assert_eq!(header.check_len(12), Ok(()));
        assert_eq!(header.check_len(11), Err(ParseError::Truncated));
        assert_eq!(Header::parse(&bytes[..7]), Err(ParseError::Truncated));
        set_length(&mut bytes, 7);
        assert_eq!(Header::parse(&bytes), Err(ParseError::BadLength));
    }

    #[test]
    fn the_coverage_of_udp_lite() {
        let with = |length| Header {
            source_port: 1,
            destination_port: 2,
            length,
            checksum: 0,
        };
        assert_eq!(with(0).coverage(20), Ok(20));
        assert_eq!(with(8).coverage(20), Ok(8));
        assert_eq!(with(20).coverage(20), Ok(20));
        assert_eq!(with(7).coverage(20), Err(ParseError::BadLength));
        assert_eq!(with(21).coverage(20), Err(ParseError::BadLength));
    }

    proptest! {
        #[test]
        fn what_parses_is_emitted_alike(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            if let Ok(header) = Header::parse_lite(&bytes) {
                let mut out = [0xee; 8];
                header.emit(&mut out);
                prop_assert_eq!(&out, &bytes[..8]);
                prop_assert_eq!(Header::parse(&bytes).is_ok(), header.length >= 8);
            }
        }
    }
}
