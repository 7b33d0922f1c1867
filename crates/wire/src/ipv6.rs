//! The IPv6 header (RFC 8200 §3). Extension headers are [`ipv6_ext`](crate::ipv6_ext)'s.

use crate::{Ecn, IpProtocol, ParseError, take};
use std::net::Ipv6Addr;

/// Bytes of an IPv6 header.
pub const HEADER_LEN: usize = 40;
/// Every link carries packets of this many bytes (RFC 8200 §5).
pub const MTU_MIN: usize = 1280;
/// The flow label's bits.
pub const FLOW_LABEL_MASK: u32 = 0x000f_ffff;

/// Where the hop limit lies in the header.
const HOP_LIMIT: usize = 7;

/// An IPv6 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// DSCP in the upper six bits, ECN in the lower two.
    pub traffic_class: u8,
    /// Flow label, 20 bits; [`emit`](Self::emit) cuts off what lies above.
    pub flow_label: u32,
    /// Bytes behind this header, extension headers included.
    pub payload_len: u16,
    /// The header that follows: an extension header or the payload's protocol.
    pub next_header: IpProtocol,
    /// Hops that are left.
    pub hop_limit: u8,
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
}

impl Header {
    /// A header for `payload_len` bytes: hop limit 64, flow label and traffic class 0.
    #[must_use]
    pub const fn new(
        source: Ipv6Addr,
        destination: Ipv6Addr,
        next_header: IpProtocol,
        payload_len: u16,
    ) -> Self {
        Self {
            traffic_class: 0,
            flow_label: 0,
            payload_len,
            next_header,
            hop_limit: 64,
            source,
            destination,
        }
    }

    /// Reads a header and checks its version.
    ///
    /// `bytes` need not hold the whole packet: compare it with [`check_len`](Self::check_len).
    /// Addresses and extension headers are not judged. A payload length of 0 is taken as it is:
    /// jumbograms (RFC 2675) are not supported.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) below 40 bytes,
    /// [`BadVersion`](ParseError::BadVersion).
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let fixed = take::<HEADER_LEN>(bytes)?;
        let [a, b, c, d, rest @ ..] = fixed;
        let first = u32::from_be_bytes([*a, *b, *c, *d]);
        if first >> 28 != 6 {
            return Err(ParseError::BadVersion);
        }
        let [l0, l1, next_header, hop_limit, addresses @ ..] = rest;
        let (source, destination) = addresses.split_at(16);
        let address = |bytes: &[u8]| {
            <[u8; 16]>::try_from(bytes)
                .map(Ipv6Addr::from)
                .map_err(|_| ParseError::Truncated)
        };
        Ok(Self {
            traffic_class: (first >> 20) as u8,
            flow_label: first & FLOW_LABEL_MASK,
            payload_len: u16::from_be_bytes([*l0, *l1]),
            next_header: IpProtocol(*next_header),
            hop_limit: *hop_limit,
            source: address(source)?,
            destination: address(destination)?,
        })
    }

    /// Checks the payload length against the bytes that arrived, this header included; they may
    /// be more: links pad.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) when fewer than the payload length says arrived.
    pub fn check_len(&self, arrived: usize) -> Result<(), ParseError> {
        if self.total_len() > arrived {
            Err(ParseError::Truncated)
        } else {
            Ok(())
        }
    }

    /// Bytes that [`emit`](Self::emit) writes.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        HEADER_LEN
    }

    /// Bytes of the packet, this header included.
    #[must_use]
    pub fn total_len(&self) -> usize {
        HEADER_LEN + usize::from(self.payload_len)
    }

    /// The ECN field.
    #[must_use]
    pub const fn ecn(&self) -> Ecn {
        Ecn::of(self.traffic_class)
    }

    /// Writes the header into the front of `out`.
    ///
    /// # Panics
    /// When `out` is shorter than 40 bytes.
    pub fn emit(&self, out: &mut [u8]) {
        let first =
            6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label & FLOW_LABEL_MASK;
        out[0..4].copy_from_slice(&first.to_be_bytes());
        out[4..6].copy_from_slice(&self.payload_len.to_be_bytes());
        out[6] = self.next_header.0;
        out[HOP_LIMIT] = self.hop_limit;
        out[8..24].copy_from_slice(&self.source.octets());
        out[24..40].copy_from_slice(&self.destination.octets());
    }
}

/// Sets the payload length of the header in front of `packet`.
///
/// # Panics
/// When `packet` is shorter than the header.
pub fn set_payload_len(packet: &mut [u8], payload_len: u16) {
    packet[4..6].copy_from_slice(&payload_len.to_be_bytes());
}

/// Sets the ECN field of the header in front of `packet`.
///
/// # Panics
/// When `packet` is shorter than the header.
pub fn set_ecn(packet: &mut [u8], ecn: Ecn) {
    // The field lies in bits 5 and 4 of the second byte.
    packet[1] = packet[1] & !0x30 | (ecn as u8) << 4;
}

/// Takes one hop off the hop limit of the header in front of `packet`. False, and no change, when
/// that would leave none.
///
/// # Panics
/// When `packet` is shorter than the header.
#[must_use]
pub fn decrement_hop_limit(packet: &mut [u8]) -> bool {
    if packet[HOP_LIMIT] <= 1 {
        return false;
    }
    packet[HOP_LIMIT] -= 1;
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_and_versions_are_checked() {
        let header = Header::new(
            Ipv6Addr::LOCALHOST,
            Ipv6Addr::UNSPECIFIED,
            IpProtocol::UDP,
            8,
        );
        let mut bytes = [0; 40];
        header.emit(&mut bytes);
        assert_eq!(Header::parse(&bytes), Ok(header));
        assert_eq!(Header::parse(&bytes[..39]), Err(ParseError::Truncated));
        assert_eq!(header.check_len(48), Ok(()));
        assert_eq!(header.check_len(47), Err(ParseError::Truncated));
        bytes[0] = 0x45;
        assert_eq!(Header::parse(&bytes), Err(ParseError::BadVersion));
    }

    #[test]
    fn fields_are_changed_in_place() {
        let mut header = Header::new(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST, IpProtocol::TCP, 0);
        header.hop_limit = 2;
        header.traffic_class = 0b1011_1001;
        header.flow_label = 0xabcde;
        let mut bytes = [0; 40];
        header.emit(&mut bytes);
        set_payload_len(&mut bytes, 1234);
        set_ecn(&mut bytes, Ecn::Ect0);
        assert!(decrement_hop_limit(&mut bytes));
        assert!(!decrement_hop_limit(&mut bytes));
        (header.payload_len, header.traffic_class, header.hop_limit) = (1234, 0b1011_1010, 1);
        assert_eq!(Header::parse(&bytes), Ok(header));
    }

    proptest! {
        #[test]
        fn what_parses_is_emitted_alike(mut bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some(first) = bytes.first_mut() {
                *first = *first & 0x0f | 0x60;
            }
            if let Ok(header) = Header::parse(&bytes) {
                let mut out = [0xee; 40];
                header.emit(&mut out);
                prop_assert_eq!(&out, &bytes[..40]);
            }
        }
    }
}
