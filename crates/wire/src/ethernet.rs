//! Ethernet II frames (RFC 894, RFC 2464) and their addresses.
//!
//! IEEE 802.1Q tags are not interpreted: a tagged frame has [`EtherType::VLAN`].

use crate::{EtherType, ParseError, take};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Bytes of an Ethernet header; the frame check sequence is the device's.
pub const HEADER_LEN: usize = 14;

/// An Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whom it is for.
    pub destination: MacAddr,
    /// Who sent it.
    pub source: MacAddr,
    /// What follows. Below 0x0600 it is an IEEE 802.3 length: see [`EtherType::is_length`].
    pub ethertype: EtherType,
}

impl Header {
    /// Reads the header. Addresses and type are not judged.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) below 14 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let &[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = take::<HEADER_LEN>(bytes)?;
        Ok(Self {
            destination: MacAddr([d0, d1, d2, d3, d4, d5]),
            source: MacAddr([s0, s1, s2, s3, s4, s5]),
            ethertype: EtherType(u16::from_be_bytes([t0, t1])),
        })
    }

    /// Bytes that [`emit`](Self::emit) writes.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header into the front of `out`.
    ///
    /// # Panics
    /// When `out` is shorter than the header.
    pub fn emit(&self, out: &mut [u8]) {
        out[0..6].copy_from_slice(&self.destination.0);
        out[6..12].copy_from_slice(&self.source.0);
        out[12..14].copy_from_slice(&self.ethertype.0.to_be_bytes());
    }
}

/// An IEEE 802 address of 48 bits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// All ones: every station.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// All zeros: no address.
    pub const UNSPECIFIED: Self = Self([0; 6]);

    /// Whether it names a group; the broadcast address does.
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether it is the broadcast address.
    #[must_use]
    pub fn is_broadcast(self) -> bool {
        self == Self::BROADCAST
    }

    /// Whether one station can have it: neither a group nor all zeros.
    #[must_use]
    pub fn is_unicast(self) -> bool {
        !self.is_multicast() && self != Self::UNSPECIFIED
    }

    /// Where packets for an IPv4 group go.
    ///
    /// RFC 1112 §6.4: the low 23 bits of the group behind 01:00:5e.
    #[must_use]
    pub const fn of_group_v4(group: Ipv4Addr) -> Self {
        let [_, b, c, d] = group.octets();
        Self([0x01, 0x00, 0x5e, b & 0x7f, c, d])
    }

    /// Where packets for an IPv6 group go.
    ///
    /// RFC 2464 §7: the low 32 bits of the group behind 33:33.
    #[must_use]
    pub const fn of_group_v6(group: Ipv6Addr) -> Self {
        let [.., a, b, c, d] = group.octets();
        Self([0x33, 0x33, a, b, c, d])
    }

    /// The modified EUI-64 interface identifier made from this address.
    ///
    /// RFC 4291 appendix A: ff:fe in the middle, the universal/local bit inverted.
    #[must_use]
    pub const fn eui_64(self) -> [u8; 8] {
        let [a, b, c, d, e, f] = self.0;
        [a ^ 0x02, b, c, 0xff, 0xfe, d, e, f]
    }
}

impl std::fmt::Display for MacAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl std::fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// The text is not an Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacAddrError;

impl std::fmt::Display for MacAddrError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not an Ethernet address: it has six two-digit hexadecimal bytes with a colon between them, as in 02:00:00:00:00:01")
    }
}

impl std::error::Error for MacAddrError {}

impl std::str::FromStr for MacAddr {
    type Err = MacAddrError;

    fn from_str(text: &str) -> Result<Self, MacAddrError> {
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().ok_or(MacAddrError)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(MacAddrError);
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| MacAddrError)?;
        }
        if parts.next().is_some() {
            return Err(MacAddrError);
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_seen_on_the_wire() {
        let bytes = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6];
        let header = Header::parse(&bytes).unwrap();
        assert!(header.destination.is_broadcast() && header.destination.is_multicast());
        assert!(header.source.is_unicast());
        assert_eq!(header.ethertype, EtherType::ARP);
        let mut out = [0; 14];
        header.emit(&mut out);
        assert_eq!(out, bytes);
        assert_eq!(Header::parse(&bytes[..13]), Err(ParseError::Truncated));
    }

    #[test]
    fn addresses_made_of_others() {
        let mac = |text: &str| text.parse::<MacAddr>().unwrap();
        assert_eq!(
            MacAddr::of_group_v4(Ipv4Addr::new(239, 255, 1, 2)),
            mac("01:00:5e:7f:01:02")
        );
        assert_eq!(
            MacAddr::of_group_v6("ff02::1:ff12:3456".parse().unwrap()),
            mac("33:33:ff:12:34:56")
        );
        // RFC 2464 §4's example.
        assert_eq!(
            mac("34-56-78-9A-BC-DE").eui_64(),
            [0x36, 0x56, 0x78, 0xff, 0xfe, 0x9a, 0xbc, 0xde]
        );
    }

    #[test]
    fn text_is_read_back() {
        let text = "02:00:5e:10:fe:ff";
        assert_eq!(text.parse::<MacAddr>().unwrap().to_string(), text);
        for bad in [
            "",
            "02:00:5e:10:fe",
            "02:00:5e:10:fe:ff:00",
            "2:0:5e:10:fe:ff",
            "02:00:5e:10:fe:+f",
        ] {
            assert_eq!(bad.parse::<MacAddr>(), Err(MacAddrError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_is_emitted_alike(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            prop_assert_eq!(Header::parse(&bytes).is_ok(), bytes.len() >= 14);
            if let Ok(header) = Header::parse(&bytes) {
                let mut out = [0xee; 14];
                header.emit(&mut out);
                prop_assert_eq!(&out, &bytes[..14]);
            }
        }

        #[test]
        fn addresses_are_read_as_they_are_shown(bytes: [u8; 6], text in ".{0,20}") {
            prop_assert_eq!(MacAddr(bytes).to_string().parse(), Ok(MacAddr(bytes)));
            if let Ok(address) = text.parse::<MacAddr>() {
                prop_assert_eq!(address.to_string(), text.to_lowercase().replace('-', ":"));
            }
        }
    }
}
