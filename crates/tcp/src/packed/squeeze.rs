//! Makes the bytes of a connection fewer: what was said a short while before, or is alike in most
//! connections ([`ALIKE`]), is referred to (as LZ77 does it).
//!
//! A byte n below 128 stands before n + 1 bytes that are as they are. Any other begins a pair of bytes:
//! 1, five bits of length less [`COPY_MIN`], ten of distance less one.

/// What most connections have in common.
const ALIKE: &[u8] = &[
    // An RTO of 200 ms to 120 s, CUBIC, 1448 bytes, no ssthresh.
    0xc0, 0x9a, 0x0c, 0xc0, 0x9a, 0x0c, 0xc0, 0x9a, 0x0c, 0x80, 0x9c, 0x9c, 0x39, 0, 1, 0xa8, 0x0b,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0,
    // Pacing at 200 and 120 percent, super-segments of two.
    0, 0, 1, 0xf0, 0x29, 0xc8, 1, 0x78, 0xd0, 0x16, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0x0a,
    // A route with offloads for 1500 bytes; no timer, no deadline.
    0, 1, 0xdc, 0x0b, 1, 1, 1, 0xff, 0xff, 3, 1, 0, 0, 5, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0,
    0, 0, 0, 0, 0, 0, // Marks, and the small numbers of recovery.
    1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3,
    0, 0, 0, 0, 0, 0, 0, 0, 1,
    // 40 ms and 200 ms; buffers of 87,040 and 131,072 bytes, a window of 65,535.
    0x80, 0xe2, 9, 0xc0, 0x9a, 0x0c, 0x80, 0xa8, 5, 0xb4, 0x0b, 0xa8, 0x0b, 0, 0x80, 0x80, 8, 0xff,
    0xff, 3, 0x80, 0x80, 4, 7, 0, 1, 0, 0x80, 0xda, 0xc4, 9, 1,
];
/// The shortest and the longest that is referred to, and how far back.
const COPY_MIN: usize = 3;
const COPY_MAX: usize = COPY_MIN + 31;
const DISTANCE_MAX: usize = 1024;
/// Bytes as they are that one byte announces.
const PLAIN_MAX: usize = 128;
/// Places that are tried for the longest.
const TRIES: usize = 24;
const NOWHERE: u16 = u16::MAX;

/// Where the last three bytes of each kind stood.
struct Places {
    latest: [u16; 256],
    before: Vec<u16>,
}

impl Places {
    fn kind(bytes: &[u8]) -> Option<usize> {
        let [a, b, c, ..] = bytes else { return None };
        let mixed = u32::from_be_bytes([0, *a, *b, *c]).wrapping_mul(0x9e37_79b1);
        Some((mixed >> 24) as usize)
    }

    fn enter(&mut self, bytes: &[u8], at: usize) {
        let here = u16::try_from(at).unwrap_or(NOWHERE);
        let latest = Self::kind(&bytes[at..]).map(|kind| &mut self.latest[kind]);
        let before = latest.map_or(NOWHERE, |place| core::mem::replace(place, here));
        self.before.push(before);
    }

    /// The longest that stands at `at` and before, and how far before.
    fn longest(&self, bytes: &[u8], at: usize) -> (usize, usize) {
        let mut best = (0, 0);
        let first = Self::kind(&bytes[at..]).map_or(NOWHERE, |kind| self.latest[kind]);
        let earlier = |place: &u16| self.before.get(usize::from(*place)).copied();
        let places = core::iter::successors(Some(first), earlier);
        for place in places.take_while(|place| *place != NOWHERE).take(TRIES) {
            let distance = at - usize::from(place);
            if distance > DISTANCE_MAX {
                break;
            }
            let pairs = bytes[at..].iter().zip(&bytes[usize::from(place)..]);
            let len = pairs.take(COPY_MAX).take_while(|(a, b)| a == b).count();
            if len > best.0 {
                best = (len, distance);
            }
        }
        best
    }
}

/// `plain`, squeezed.
pub(super) fn squeeze(plain: &[u8]) -> Vec<u8> {
    let bytes = [ALIKE, plain].concat();
    let mut places = Places {
        latest: [NOWHERE; 256],
        before: Vec::with_capacity(bytes.len()),
    };
    (0..ALIKE.len()).for_each(|at| places.enter(&bytes, at));
    let mut out = Vec::with_capacity(plain.len());
    let (mut at, mut plain_from) = (ALIKE.len(), ALIKE.len());
    while at < bytes.len() {
        let (len, distance) = places.longest(&bytes, at);
        let len = if len < COPY_MIN { 1 } else { len };
        if len > 1 {
            put_plain(&mut out, &bytes[plain_from..at]);
            let pair = 1 << 15 | (len - COPY_MIN) << 10 | (distance - 1);
            out.extend((pair as u16).to_be_bytes());
            plain_from = at + len;
        }
        for at in at..at + len {
            places.enter(&bytes, at);
        }
        at += len;
    }
    put_plain(&mut out, &bytes[plain_from..]);
    out
}

fn put_plain(out: &mut Vec<u8>, bytes: &[u8]) {
    for piece in bytes.chunks(PLAIN_MAX) {
        out.push((piece.len() - 1) as u8);
        out.extend(piece);
    }
}

/// What [`squeeze`] was given; `None` for what it has not made.
pub(super) fn restore(squeezed: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(ALIKE.len() + 3 * squeezed.len());
    bytes.extend(ALIKE);
    let mut left = squeezed;
    while let [first, rest @ ..] = left {
        if *first < 128 {
            let (plain, rest) = rest.split_at_checked(usize::from(*first) + 1)?;
            bytes.extend(plain);
            left = rest;
            continue;
        }
        let (second, rest) = rest.split_first()?;
        let pair = usize::from(u16::from_be_bytes([*first, *second]));
        let from = bytes.len().checked_sub((pair & 0x3ff) + 1)?;
        for at in from..from + (pair >> 10 & 0x1f) + COPY_MIN {
            bytes.push(bytes[at]);
        }
        left = rest;
    }
    Some(bytes.split_off(ALIKE.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_squeezed_comes_back(
            pieces in proptest::collection::vec((0u8..6, 0usize..60), 0..80),
            any in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let runs = pieces.iter().flat_map(|(byte, len)| vec![*byte; *len]);
            let plain: Vec<u8> = runs.chain(any).collect();
            let squeezed = squeeze(&plain);
            prop_assert!(squeezed.len() <= plain.len() + plain.len().div_ceil(64) + 1);
            prop_assert_eq!(restore(&squeezed), Some(plain));
        }

        #[test]
        fn rubbish_is_refused_or_read(rubbish in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = restore(&rubbish);
        }
    }

    #[test]
    fn repetitions_cost_little() {
        assert_eq!(squeeze(&[]), []);
        assert!(squeeze(&[0; 500]).len() <= 2 * 500_usize.div_ceil(COPY_MAX) + 2);
        let twice = b"a connection and a connection and ";
        assert_eq!(squeeze(twice).len(), 1 + 17 + 2);
    }
}
