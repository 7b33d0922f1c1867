//! IPv4 headers (RFC 791, RFC 1122 §3.2.1, RFC 6864).

use crate::{Bounded, Ecn, IpProtocol, ParseError, checksum, take};
use std::net::Ipv4Addr;

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Most bytes of options: the header length field counts to 60.
pub const OPTIONS_LEN_MAX: usize = 40;

/// Where the type of service lies in the header.
const TOS: usize = 1;
/// Where the total length lies in the header.
const TOTAL_LEN: usize = 2;
/// Where the TTL lies in the header.
const TTL: usize = 8;
/// Where the header checksum lies in the header.
const CHECKSUM: usize = 10;

/// The options as they lie in the header, their padding included.
pub type RawOptions = Bounded<u8, OPTIONS_LEN_MAX>;

/// An IPv4 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Type of service: DSCP in the upper six bits, ECN in the lower two.
    pub tos: u8,
    /// Bytes of the packet, header included.
    pub total_len: u16,
    /// Names the packet that a fragment belongs to.
    pub identification: u16,
    /// Routers may not fragment it.
    pub dont_fragment: bool,
    /// Further fragments follow this one.
    pub more_fragments: bool,
    /// Where this fragment's payload lies in the packet's, in bytes: a multiple of 8, 65528 at
    /// most.
    pub fragment_offset: u16,
    /// Hops that are left.
    pub ttl: u8,
    /// What follows.
    pub protocol: IpProtocol,
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Options with their padding.
    pub options: RawOptions,
}

impl Header {
    /// A header without options for `payload_len` bytes: no fragment, DF set, TTL 64.
    #[must_use]
    pub fn new(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: IpProtocol,
        payload_len: u16,
    ) -> Self {
        Self {
            tos: 0,
            total_len: payload_len.saturating_add(HEADER_LEN as u16),
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            protocol,
            source,
            destination,
            options: RawOptions::new(),
        }
    }

    /// Reads a header and verifies its version, lengths and checksum.
    ///
    /// `bytes` need not hold the whole packet: compare it with [`check_len`](Self::check_len).
    /// Options, addresses and the fragment's end are not judged; the reserved flag is ignored.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) when `bytes` end inside the header,
    /// [`BadVersion`](ParseError::BadVersion), [`BadLength`](ParseError::BadLength) when the
    /// header length is below 20 or the total length below the header length,
    /// [`BadChecksum`](ParseError::BadChecksum).
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let header = Self::parse_quoted(bytes)?;
        if usize::from(header.total_len) < header.header_len() {
            return Err(ParseError::BadLength);
        }
        // RFC 1122 §3.2.1.2: a host verifies the header checksum and discards what fails.
        if checksum::of(&bytes[..header.header_len()]) != 0 {
            return Err(ParseError::BadChecksum);
        }
        Ok(header)
    }

    /// Reads the header that an ICMP error quotes: as [`parse`](Self::parse), but without the
    /// checksum and the total length, which systems on the way are known to change.
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse) that concern version and header length.
    pub fn parse_quoted(bytes: &[u8]) -> Result<Self, ParseError> {
        let fixed = take::<HEADER_LEN>(bytes)?;
        if fixed[0] >> 4 != 4 {
            return Err(ParseError::BadVersion);
        }
        let header_len = usize::from(fixed[0] & 0x0f) * 4;
        if header_len < HEADER_LEN {
            return Err(ParseError::BadLength);
        }
        let options = bytes
            .get(HEADER_LEN..header_len)
            .ok_or(ParseError::Truncated)?;
        let be16 = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let address =
            |at: usize| Ipv4Addr::new(fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]);
        let fragment = be16(6);
        Ok(Self {
            tos: fixed[TOS],
            total_len: be16(TOTAL_LEN),
            identification: be16(4),
            dont_fragment: fragment & 0x4000 != 0,
            more_fragments: fragment & 0x2000 != 0,
            fragment_offset: (fragment & 0x1fff) << 3,
            ttl: fixed[TTL],
            protocol: IpProtocol(fixed[9]),
            source: address(12),
            destination: address(16),
            options: RawOptions::from_slice(options).ok_or(ParseError::BadLength)?,
        })
    }

    /// Checks the total length against the bytes that arrived, which may be more: links pad.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) when fewer than the total length arrived.
    pub fn check_len(&self, arrived: usize) -> Result<(), ParseError> {
        if usize::from(self.total_len) > arrived {
            Err(ParseError::Truncated)
        } else {
            Ok(())
        }
    }

    /// Bytes that [`emit`](Self::emit) writes: 20 and the options, rounded up to a multiple of 4.
    #[must_use]
    pub fn header_len(&self) -> usize {
        HEADER_LEN + self.options.len().next_multiple_of(4)
    }

    /// Bytes behind the header, by the total length.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        usize::from(self.total_len).saturating_sub(self.header_len())
    }

    /// Whether it is one piece of a larger packet.
    #[must_use]
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }

    /// The ECN field.
    #[must_use]
    pub const fn ecn(&self) -> Ecn {
        Ecn::of(self.tos)
    }

    /// Writes the header with its checksum into the front of `out`.
    ///
    /// # Panics
    /// When `out` is shorter than [`header_len`](Self::header_len).
    pub fn emit(&self, out: &mut [u8]) {
        let header_len = self.header_len();
        let out = &mut out[..header_len];
        debug_assert!(
            self.fragment_offset.is_multiple_of(8),
            "fragments begin at multiples of 8 bytes"
        );
        let mut fragment = self.fragment_offset >> 3;
        fragment |= u16::from(self.dont_fragment) << 14;
        fragment |= u16::from(self.more_fragments) << 13;
        // At most 15, as `options` holds at most 40 bytes.
        out[0] = 0x40 | (header_len / 4) as u8;
        out[TOS] = self.tos;
        out[TOTAL_LEN..4].copy_from_slice(&self.total_len.to_be_bytes());
        out[4..6].copy_from_slice(&self.identification.to_be_bytes());
        out[6..8].copy_from_slice(&fragment.to_be_bytes());
        out[TTL] = self.ttl;
        out[9] = self.protocol.0;
        out[CHECKSUM..12].fill(0);
        out[12..16].copy_from_slice(&self.source.octets());
        out[16..20].copy_from_slice(&self.destination.octets());
        let (options, padding) = out[HEADER_LEN..].split_at_mut(self.options.len());
        options.copy_from_slice(&self.options);
        padding.fill(0);
        let checksum = checksum::of(out);
        out[CHECKSUM..12].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// Sets the total length of the header in front of `packet` and mends the checksum.
///
/// # Panics
/// When `packet` is shorter than 20 bytes.
pub fn set_total_len(packet: &mut [u8], total_len: u16) {
    replace(packet, TOTAL_LEN, total_len);
}

/// Sets the identification of the header in front of `packet` and mends the checksum.
///
/// # Panics
/// When `packet` is shorter than 20 bytes.
pub fn set_identification(packet: &mut [u8], identification: u16) {
    replace(packet, 4, identification);
}

/// Sets the ECN field of the header in front of `packet` and mends the checksum.
///
/// # Panics
/// When `packet` is shorter than 20 bytes.
pub fn set_ecn(packet: &mut [u8], ecn: Ecn) {
    let word = u16::from_be_bytes([packet[0], ecn.put(packet[TOS])]);
    replace(packet, 0, word);
}

/// Takes one hop off the TTL of the header in front of `packet` and mends the checksum. False, and
/// no change, when that would leave none.
///
/// # Panics
/// When `packet` is shorter than 20 bytes.
#[must_use]
pub fn decrement_ttl(packet: &mut [u8]) -> bool {
    if packet[TTL] <= 1 {
        return false;
    }
    let word = u16::from_be_bytes([packet[TTL] - 1, packet[TTL + 1]]);
    replace(packet, TTL, word);
    true
}

/// Writes a 16-bit word of a header and updates its checksum by the difference.
fn replace(packet: &mut [u8], at: usize, new: u16) {
    let old = u16::from_be_bytes([packet[at], packet[at + 1]]);
    let checksum = u16::from_be_bytes([packet[CHECKSUM], packet[CHECKSUM + 1]]);
    packet[at..at + 2].copy_from_slice(&new.to_be_bytes());
    let checksum = checksum::update(checksum, old, new);
    packet[CHECKSUM..CHECKSUM + 2].copy_from_slice(&checksum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn emitted(header: Header) -> Vec<u8> {
        let mut out = vec![0xee; header.header_len()];
        header.emit(&mut out);
        out
    }

    fn header() -> Header {
        Header::new(
            Ipv4Addr::new(10, 0, 2, 15),
            Ipv4Addr::new(10, 0, 2, 2),
            IpProtocol::TCP,
            20,
        )
    }

    #[test]
    fn lengths_and_versions_are_checked() {
        let good = emitted(header());
        assert_eq!(Header::parse(&good), Ok(header()));
        assert_eq!(Header::parse(&good[..19]), Err(ParseError::Truncated));
        let with = |at: usize, value: u8| {
            let mut bad = good.clone();
            bad[at] = value;
            Header::parse(&bad)
        };
        assert_eq!(with(0, 0x65), Err(ParseError::BadVersion));
        assert_eq!(with(0, 0x44), Err(ParseError::BadLength));
        assert_eq!(with(0, 0x46), Err(ParseError::Truncated));
        assert_eq!(with(3, 19), Err(ParseError::BadLength));
        assert_eq!(with(8, 63), Err(ParseError::BadChecksum));
        assert_eq!(header().check_len(40), Ok(()));
        assert_eq!(header().check_len(39), Err(ParseError::Truncated));
    }

    #[test]
    fn a_ttl_of_one_is_not_decremented() {
        let mut bytes = emitted(Header { ttl: 2, ..header() });
        assert!(decrement_ttl(&mut bytes));
        assert_eq!(Header::parse(&bytes).unwrap().ttl, 1);
        assert!(!decrement_ttl(&mut bytes));
        assert_eq!(Header::parse(&bytes).unwrap().ttl, 1);
    }

    proptest! {
        #[test]
        fn parse_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Header::parse(&bytes);
        }

        #[test]
        fn fields_changed_in_place_keep_the_checksum(
            mut header in arbitrary(),
            total_len in 60u16..,
            identification: u16,
        ) {
            let mut bytes = emitted(header);
            prop_assert_eq!(Header::parse(&bytes), Ok(header));
            set_total_len(&mut bytes, total_len);
            set_identification(&mut bytes, identification);
            set_ecn(&mut bytes, Ecn::Ce);
            header.total_len = total_len;
            header.identification = identification;
            header.tos |= 3;
            if decrement_ttl(&mut bytes) {
                header.ttl -= 1;
            }
            prop_assert_eq!(Header::parse(&bytes), Ok(header));
            prop_assert_eq!(bytes, emitted(header));
        }
    }

    fn arbitrary() -> impl Strategy<Value = Header> {
        let options = proptest::collection::vec(any::<[u8; 4]>(), 0..=10);
        (
            any::<(u8, u16, bool, bool, u8, u8)>(),
            0u16..8192,
            any::<(u32, u32)>(),
            60u16..,
            options,
        )
            .prop_map(
                |(fields, offset, (source, destination), total_len, options)| {
                    let (tos, identification, dont_fragment, more_fragments, ttl, protocol) =
                        fields;
                    Header {
                        tos,
                        total_len,
                        identification,
                        dont_fragment,
                        more_fragments,
                        fragment_offset: offset * 8,
                        ttl,
                        protocol: IpProtocol(protocol),
                        source: source.into(),
                        destination: destination.into(),
                        options: RawOptions::from_slice(options.as_flattened()).unwrap(),
                    }
                },
            )
    }
}
