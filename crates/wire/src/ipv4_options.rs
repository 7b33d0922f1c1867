//! IPv4 options (RFC 791 §3.1, RFC 1108 skipped by its length, RFC 2113).
//!
//! Source routes are recognized, so that a host can refuse them; nothing here follows one or turns
//! one round (RFC 7126 §4.3, §4.4 advise to drop them).

use crate::ipv4::{HEADER_LEN, RawOptions};
use std::net::Ipv4Addr;

const END: u8 = 0;
const NOP: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const TIMESTAMP: u8 = 68;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;
const ROUTER_ALERT: u8 = 148;

/// RFC 791 §3.1: an option with this bit is copied into every fragment.
const COPIED: u8 = 0x80;

/// Least pointer of a route: behind kind, length and pointer, counted from 1.
const ROUTE_POINTER_MIN: u8 = 4;
/// Least pointer of a timestamp option, which has a byte of overflow and flags as well.
const TIMESTAMP_POINTER_MIN: u8 = 5;

/// The router alert option that IGMP messages carry (RFC 2113, RFC 3376 §4).
pub const ROUTER_ALERT_OPTION: [u8; 4] = [ROUTER_ALERT, 4, 0, 0];

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv4Option<'a> {
    /// The addresses to go by; anything may lie between them.
    LooseSourceRoute(Route<'a>),
    /// The addresses to go by, and no others.
    StrictSourceRoute(Route<'a>),
    /// The addresses that it went by.
    RecordRoute(Route<'a>),
    /// When, and by which addresses, it went.
    Timestamp(TimestampOption<'a>),
    /// Routers look at the packet more closely; 0 is the only value in use.
    RouterAlert(u16),
    /// Any other. RFC 1122 §3.2.1.8: it is ignored.
    Other {
        /// Its type: copied flag, class and number.
        kind: u8,
        /// What lies behind the length.
        body: &'a [u8],
    },
}

/// The contents of a source route or a record of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route<'a> {
    pointer: u8,
    slots: &'a [[u8; 4]],
}

impl Route<'_> {
    /// The addresses that have been gone by or recorded.
    pub fn passed(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.slots[..self.position()]
            .iter()
            .map(|&octets| octets.into())
    }

    /// The addresses that are still to go by; for a record, its free slots.
    pub fn remaining(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.slots[self.position()..]
            .iter()
            .map(|&octets| octets.into())
    }

    /// Slots before the pointer.
    fn position(&self) -> usize {
        (usize::from(self.pointer - ROUTE_POINTER_MIN) / 4).min(self.slots.len())
    }
}

/// What a timestamp option collects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampFlag {
    /// Timestamps alone.
    TimestampsOnly = 0,
    /// An address before each timestamp.
    WithAddresses = 1,
    /// Timestamps of the addresses that the sender wrote before each.
    Prespecified = 3,
}

/// The contents of a timestamp option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOption<'a> {
    /// What is collected.
    pub flag: TimestampFlag,
    /// How many hosts found no room.
    pub overflow: u8,
    pointer: u8,
    words: &'a [[u8; 4]],
}

impl TimestampOption<'_> {
    /// The entries made so far: the address, where there is one, and the timestamp in milliseconds
    /// since midnight UT (with the highest bit: in units of the host's own).
    pub fn entries(&self) -> impl Iterator<Item = (Option<Ipv4Addr>, u32)> {
        let size = self.flag.words();
        let made = usize::from(self.pointer - TIMESTAMP_POINTER_MIN) / 4;
        self.words[..made.min(self.words.len())]
            .chunks_exact(size)
            .filter_map(move |entry| {
                let (time, address) = entry.split_last()?;
                Some((
                    address.first().map(|&octets| octets.into()),
                    u32::from_be_bytes(*time),
                ))
            })
    }
}

impl TimestampFlag {
    const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::TimestampsOnly),
            1 => Some(Self::WithAddresses),
            3 => Some(Self::Prespecified),
            _ => None,
        }
    }

    /// Words of 4 bytes in an entry.
    const fn words(self) -> usize {
        match self {
            Self::TimestampsOnly => 1,
            Self::WithAddresses | Self::Prespecified => 2,
        }
    }
}

/// An option is malformed: the byte of the IP header that an ICMP parameter problem points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// Counted from the front of the IP header.
    pub pointer: u8,
}

impl std::fmt::Display for OptionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the IPv4 option at byte {} of the header is malformed",
            self.pointer
        )
    }
}

impl std::error::Error for OptionError {}

/// Walks over the options of a header; fillers are not given. It ends after an error.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    options: &'a [u8],
    at: usize,
}

/// An option that is not read yet.
struct Raw<'a> {
    kind: u8,
    /// Where it begins, from the first option on.
    at: usize,
    /// All of it, kind and length included.
    bytes: &'a [u8],
}

/// The options of a header.
#[must_use]
pub fn iter(options: &RawOptions) -> Iter<'_> {
    Iter { options, at: 0 }
}

impl<'a> Iter<'a> {
    fn next_raw(&mut self) -> Option<Result<Raw<'a>, OptionError>> {
        loop {
            let at = self.at;
            match *self.options.get(at)? {
                END => return None,
                NOP => self.at += 1,
                kind => {
                    let len = self.options.get(at + 1).map(|&len| usize::from(len));
                    let bytes = len
                        .filter(|&len| len >= 2)
                        .and_then(|len| self.options.get(at..at + len));
                    let Some(bytes) = bytes else {
                        self.at = self.options.len();
                        return Some(Err(error(at)));
                    };
                    self.at += bytes.len();
                    return Some(Ok(Raw { kind, at, bytes }));
                }
            }
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Result<Ipv4Option<'a>, OptionError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Raw { kind, at, bytes } = match self.next_raw()? {
            Ok(raw) => raw,
            Err(error) => return Some(Err(error)),
        };
        let body = &bytes[2..];
        let read = match kind {
            RECORD_ROUTE => route(body).map(Ipv4Option::RecordRoute),
            LOOSE_SOURCE_ROUTE => route(body).map(Ipv4Option::LooseSourceRoute),
            STRICT_SOURCE_ROUTE => route(body).map(Ipv4Option::StrictSourceRoute),
            TIMESTAMP => timestamp(body).map(Ipv4Option::Timestamp),
            ROUTER_ALERT => body
                .try_into()
                .ok()
                .map(|value| Ipv4Option::RouterAlert(u16::from_be_bytes(value))),
            kind => Some(Ipv4Option::Other { kind, body }),
        };
        if read.is_none() {
            self.at = self.options.len();
        }
        Some(read.ok_or(error(at)))
    }
}

/// Whether a source route is among the options, finished or not, well formed or not.
#[must_use]
pub fn has_source_route(options: &RawOptions) -> bool {
    let mut iter = iter(options);
    while let Some(Ok(Raw { kind, .. })) = iter.next_raw() {
        if matches!(kind, LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE) {
            return true;
        }
    }
    false
}

/// The options that fragments other than the first one carry, padded to whole words.
///
/// RFC 791 §3.1: those with the copied flag.
#[must_use]
pub fn copied(options: &RawOptions) -> RawOptions {
    let mut out = RawOptions::new();
    let mut iter = iter(options);
    while let Some(Ok(Raw { kind, bytes, .. })) = iter.next_raw() {
        if kind & COPIED != 0 {
            out.extend_from_slice(bytes);
        }
    }
    while !out.len().is_multiple_of(4) {
        out.push(END);
    }
    out
}

/// Enters a host that the packet passes, or ends at, into its record route and timestamp options.
/// `now_ms` counts since midnight UT, or otherwise and with the highest bit set.
///
/// RFC 1122 §3.2.2.6, §3.2.2.8: an echo or timestamp reply carries the options of its request,
/// with the host's own entry. RFC 791 §3.1: an option that is full stays as it is, and the
/// timestamps' overflow is counted up.
///
/// # Errors
/// An option that is malformed, lacks room for a whole entry, or whose overflow overflows: the
/// packet is discarded. Options before it may have been changed.
pub fn record(options: &mut RawOptions, address: Ipv4Addr, now_ms: u32) -> Result<(), OptionError> {
    let original = *options;
    let mut iter = iter(&original);
    while let Some(raw) = iter.next_raw() {
        let Raw { kind, at, bytes } = raw?;
        let option = &mut options.as_mut_slice()[at..at + bytes.len()];
        match kind {
            RECORD_ROUTE => record_route(option, address).ok_or(error(at))?,
            TIMESTAMP => record_timestamp(option, address, now_ms).ok_or(error(at))?,
            _ => {}
        }
    }
    Ok(())
}

fn record_route(option: &mut [u8], address: Ipv4Addr) -> Option<()> {
    let Route { pointer, .. } = route(&option[2..])?;
    if usize::from(pointer) <= option.len() {
        put(option, pointer, address.octets())?;
        option[2] = pointer + 4;
    }
    Some(())
}

fn record_timestamp(option: &mut [u8], address: Ipv4Addr, now_ms: u32) -> Option<()> {
    let TimestampOption {
        flag,
        overflow,
        pointer,
        ..
    } = timestamp(&option[2..])?;
    if usize::from(pointer) > option.len() {
        if flag != TimestampFlag::Prespecified {
            let overflow = overflow + 1;
            if overflow > 0x0f {
                return None;
            }
            option[3] = overflow << 4 | flag as u8;
        }
        return Some(());
    }
    let time_at = match flag {
        TimestampFlag::TimestampsOnly => pointer,
        TimestampFlag::WithAddresses => {
            put(option, pointer, address.octets())?;
            pointer + 4
        }
        TimestampFlag::Prespecified => {
            let slot = usize::from(pointer) - 1;
            if option.get(slot..slot + 4)? != address.octets() {
                return Some(());
            }
            pointer + 4
        }
    };
    put(option, time_at, now_ms.to_be_bytes())?;
    option[2] = time_at + 4;
    Some(())
}

/// Writes a word at a pointer, which counts from 1; `None` when it does not fit.
fn put(option: &mut [u8], pointer: u8, word: [u8; 4]) -> Option<()> {
    let at = usize::from(pointer) - 1;
    option.get_mut(at..at + 4)?.copy_from_slice(&word);
    Some(())
}

/// Reads a route from behind its length. A pointer inside an address is malformed, and so is room
/// for a part of one.
fn route(body: &[u8]) -> Option<Route<'_>> {
    let (&pointer, slots) = body.split_first()?;
    let (slots, []) = slots.as_chunks() else {
        return None;
    };
    let offset = pointer.checked_sub(ROUTE_POINTER_MIN)?;
    (offset.is_multiple_of(4) && pointer <= u8::MAX - 4).then_some(Route { pointer, slots })
}

fn timestamp(body: &[u8]) -> Option<TimestampOption<'_>> {
    let &[pointer, bits, ref words @ ..] = body else {
        return None;
    };
    let flag = TimestampFlag::from_bits(bits & 0x0f)?;
    let (words, []) = words.as_chunks() else {
        return None;
    };
    let offset = pointer.checked_sub(TIMESTAMP_POINTER_MIN)?;
    let whole = usize::from(offset).is_multiple_of(4 * flag.words())
        && words.len().is_multiple_of(flag.words());
    (whole && pointer <= u8::MAX - 8).then_some(TimestampOption {
        flag,
        overflow: bits >> 4,
        pointer,
        words,
    })
}

fn error(at: usize) -> OptionError {
    // Options end before byte 60.
    OptionError {
        pointer: (HEADER_LEN + at) as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ME: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

    fn raw(bytes: &[u8]) -> RawOptions {
        RawOptions::from_slice(bytes).unwrap()
    }

    fn only(options: &RawOptions) -> Ipv4Option<'_> {
        let mut iter = iter(options);
        let first = iter.next().unwrap().unwrap();
        assert_eq!(iter.next(), None);
        first
    }

    /// RFC 1122 §3.2.2.6.
    #[test]
    fn a_record_route_fills_up() {
        let mut options = raw(&[7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for _ in 0..3 {
            record(&mut options, ME, 0).unwrap();
        }
        assert_eq!(options[..], [7, 11, 12, 10, 0, 2, 15, 10, 0, 2, 15, 0]);
        let Ipv4Option::RecordRoute(route) = only(&options) else {
            panic!("not a record route")
        };
        assert_eq!(route.passed().collect::<Vec<_>>(), [ME, ME]);
        assert_eq!(route.remaining().count(), 0);
    }

    /// RFC 1122 §3.2.2.8.
    #[test]
    fn timestamps_fill_up_and_then_overflow() {
        let mut options = raw(&[68, 8, 5, 0, 0, 0, 0, 0]);
        record(&mut options, ME, 0x0102_0304).unwrap();
        assert_eq!(options[..], [68, 8, 9, 0, 1, 2, 3, 4]);
        for _ in 0..15 {
            record(&mut options, ME, 9).unwrap();
        }
        assert_eq!(options[..], [68, 8, 9, 0xf0, 1, 2, 3, 4]);
        assert_eq!(
            record(&mut options, ME, 9),
            Err(OptionError { pointer: 20 })
        );
        let Ipv4Option::Timestamp(option) = only(&options) else {
            panic!("not a timestamp")
        };
        assert_eq!(option.overflow, 15);
        assert_eq!(option.entries().collect::<Vec<_>>(), [(None, 0x0102_0304)]);
    }

    #[test]
    fn timestamps_with_addresses() {
        let mut options = raw(&[68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        record(&mut options, ME, 7).unwrap();
        assert_eq!(options[..], [68, 12, 13, 1, 10, 0, 2, 15, 0, 0, 0, 7]);
        let Ipv4Option::Timestamp(option) = only(&options) else {
            panic!("not a timestamp")
        };
        assert_eq!(option.entries().collect::<Vec<_>>(), [(Some(ME), 7)]);
    }

    #[test]
    fn prespecified_addresses_are_waited_for() {
        let mut options = raw(&[68, 12, 5, 3, 10, 0, 2, 15, 0, 0, 0, 0]);
        record(&mut options, Ipv4Addr::new(10, 0, 2, 16), 7).unwrap();
        assert_eq!(options[2], 5);
        record(&mut options, ME, 7).unwrap();
        assert_eq!(options[2], 13);
        assert_eq!(options[11], 7);
        // The list has been gone through: that is no overflow.
        record(&mut options, ME, 7).unwrap();
        assert_eq!(options[3], 3);
    }

    #[test]
    fn source_routes_are_seen() {
        let options = raw(&[1, 131, 11, 8, 1, 1, 1, 1, 2, 2, 2, 2]);
        assert!(has_source_route(&options));
        let Ipv4Option::LooseSourceRoute(route) = only(&options) else {
            panic!("not a route")
        };
        assert_eq!(
            route.passed().collect::<Vec<_>>(),
            [Ipv4Addr::new(1, 1, 1, 1)]
        );
        assert_eq!(
            route.remaining().collect::<Vec<_>>(),
            [Ipv4Addr::new(2, 2, 2, 2)]
        );
        assert!(!has_source_route(&raw(&ROUTER_ALERT_OPTION)));
        assert_eq!(only(&raw(&ROUTER_ALERT_OPTION)), Ipv4Option::RouterAlert(0));
    }

    #[test]
    fn malformed_options_are_pointed_at() {
        for bad in [
            // No length, lengths of 0 and 1, beyond the end.
            &[1, 7][..],
            &[1, 7, 0, 4],
            &[1, 7, 1, 4],
            &[1, 7, 8, 4, 0, 0, 0],
            // A pointer too small, inside an address, room for half an address.
            &[1, 7, 7, 3, 0, 0, 0, 0],
            &[1, 7, 7, 5, 0, 0, 0, 0],
            &[1, 7, 5, 4, 0, 0],
            // An unknown flag, room for half an entry.
            &[1, 68, 8, 5, 2, 0, 0, 0, 0],
            &[1, 68, 8, 5, 1, 0, 0, 0, 0],
            &[1, 148, 5, 0, 0, 0],
        ] {
            let options = raw(bad);
            let mut iter = iter(&options);
            assert_eq!(
                iter.next(),
                Some(Err(OptionError { pointer: 21 })),
                "{bad:?}"
            );
            assert_eq!(iter.next(), None, "{bad:?}");
        }
    }

    #[test]
    fn later_fragments_carry_the_copied_ones() {
        let options = raw(&[7, 7, 4, 0, 0, 0, 0, 1, 148, 4, 0, 0]);
        assert_eq!(copied(&options)[..], ROUTER_ALERT_OPTION);
        assert_eq!(
            copied(&raw(&[131, 7, 8, 1, 1, 1, 1, 0]))[..],
            [131, 7, 8, 1, 1, 1, 1, 0]
        );
    }

    proptest! {
        #[test]
        fn arbitrary_options_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..=40),
            kind in prop::sample::select(vec![7u8, 68, 131, 137, 148]),
            len in 0u8..12,
            pointer in 0u8..16,
        ) {
            let mut bytes = bytes;
            for (byte, value) in bytes.iter_mut().zip([kind, len, pointer]) {
                *byte = value;
            }
            let mut options = raw(&bytes);
            for option in iter(&options).flatten() {
                match option {
                    Ipv4Option::LooseSourceRoute(r) | Ipv4Option::StrictSourceRoute(r)
                    | Ipv4Option::RecordRoute(r) => {
                        prop_assert_eq!(r.passed().count() + r.remaining().count(), r.slots.len());
                    }
                    Ipv4Option::Timestamp(t) => prop_assert!(t.entries().count() <= 9),
                    _ => {}
                }
            }
            let _ = (has_source_route(&options), copied(&options));
            let readable = iter(&options).all(|o| o.is_ok());
            if record(&mut options, ME, 1).is_ok() && readable {
                // What was well formed still is.
                prop_assert!(iter(&options).all(|o| o.is_ok()));
            }
        }
    }
}
