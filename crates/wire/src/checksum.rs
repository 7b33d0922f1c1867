//! The Internet checksum: RFC 1071 sums, RFC 1624 updates, pseudo-headers.
//!
//! A [`Sum`] collects the one's complement sum of bytes that may lie in several slices of any
//! length; [`finish`](Sum::finish) gives the field's value. The sum is kept in the machine's own
//! byte order, eight bytes at a time, since the one's complement sum is indifferent to both
//! (RFC 1071 §2).

use crate::IpProtocol;
use std::net::IpAddr;

/// A one's complement sum under way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    /// One's complement sum of 64-bit words in machine order, not yet folded to 16 bits.
    lanes: u64,
    /// Whether an odd number of bytes was added: the next byte is the low half of a word.
    odd: bool,
}

impl Sum {
    /// A sum over nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            lanes: 0,
            odd: false,
        }
    }

    /// Adds `bytes` as they follow on what was added before, after an odd number of bytes too.
    pub fn add(&mut self, bytes: &[u8]) {
        self.join(sum_lanes(bytes), bytes.len() % 2 == 1);
    }

    /// Adds a 16-bit field in host order.
    pub fn add_u16(&mut self, value: u16) {
        self.join(u64::from(value.to_be()), false);
    }

    /// Adds a 32-bit field in host order.
    pub fn add_u32(&mut self, value: u32) {
        self.join(u64::from(value.to_be()), false);
    }

    /// Adds what `next` holds, as if its bytes followed here.
    pub fn append(&mut self, next: Self) {
        self.join(next.lanes, next.odd);
    }

    /// The value for a checksum field, in host order: the inverted sum. Over bytes that hold a
    /// right checksum already it is 0.
    #[must_use]
    pub fn finish(self) -> u16 {
        !self.folded()
    }

    /// [`finish`](Self::finish) for protocols in which 0 means «no checksum» (UDP): 0 becomes
    /// 0xffff, which is the same number in one's complement.
    #[must_use]
    pub fn finish_nonzero(self) -> u16 {
        match self.finish() {
            0 => 0xffff,
            checksum => checksum,
        }
    }

    /// The sum itself, in host order and not inverted: what a field whose checksum is left to a
    /// device holds.
    #[must_use]
    pub fn folded(self) -> u16 {
        u16::from_be(fold(self.lanes))
    }

    /// Whether the bytes added, with the checksum field among them, are intact.
    #[must_use]
    pub fn is_valid(self) -> bool {
        self.folded() == 0xffff
    }

    fn join(&mut self, lanes: u64, odd: bool) {
        // After an odd number of bytes what follows lies in the other halves of the words.
        let lanes = match self.odd {
            true => u64::from(fold(lanes).swap_bytes()),
            false => lanes,
        };
        self.lanes = add_lanes(self.lanes, lanes);
        self.odd ^= odd;
    }
}

/// The checksum of one slice, for formats without a pseudo-header (IPv4, ICMPv4, IGMP).
#[must_use]
pub fn of(bytes: &[u8]) -> u16 {
    let mut sum = Sum::new();
    sum.add(bytes);
    sum.finish()
}

/// The sum of the pseudo-header before a transport header and its payload of `len` bytes in all.
///
/// RFC 9293 §3.1 and RFC 768 for IPv4; RFC 8200 §8.1 for IPv6, where `destination` is the final
/// one, not a routing header's next hop.
///
/// Addresses of different families give a sum that no packet matches.
#[must_use]
pub fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: IpProtocol, len: u32) -> Sum {
    let mut lanes = u64::from(len.to_be()) + u64::from(u16::from(protocol.0).to_be());
    for address in [source, destination] {
        lanes = match address {
            IpAddr::V4(v4) => add_lanes(lanes, u32::from_ne_bytes(v4.octets()).into()),
            IpAddr::V6(v6) => add_lanes(lanes, halves_of(u128::from_ne_bytes(v6.octets()))),
        };
    }
    Sum { lanes, odd: false }
}

/// The sum over a pseudo-header and all of a transport packet that lies in `chunks`, whose bytes
/// are `len` in all.
#[must_use]
pub fn transport<'a>(
    source: IpAddr,
    destination: IpAddr,
    protocol: IpProtocol,
    len: u32,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Sum {
    let mut sum = pseudo_header(source, destination, protocol, len);
    chunks.into_iter().for_each(|chunk| sum.add(chunk));
    sum
}

/// Copies `source` to `destination` and sums it on the way, in one walk through memory.
///
/// # Panics
/// When the lengths differ, as `copy_from_slice` does.
#[must_use]
pub fn copy_and_sum(destination: &mut [u8], source: &[u8]) -> Sum {
    // Small enough that a block is still in the first-level cache when it is summed, and even,
    // so that only the last block may be odd.
    const BLOCK: usize = 4096;
    assert_eq!(
        destination.len(),
        source.len(),
        "copy between slices of different lengths"
    );
    let mut sum = Sum::new();
    for (to, from) in destination.chunks_mut(BLOCK).zip(source.chunks(BLOCK)) {
        to.copy_from_slice(from);
        sum.add(to);
    }
    sum
}

/// A checksum field after one 16-bit field that it covers went from `old` to `new`.
///
/// RFC 1624 §3: equation 3, HC' = ~(~HC + ~m + m'). The older subtraction can turn a right
/// checksum into the wrong one of the two zeros.
#[must_use]
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    !fold32(sum)
}

/// [`update`] for a 32-bit field.
#[must_use]
pub fn update_u32(checksum: u16, old: u32, new: u32) -> u16 {
    let halves = |v: u32| [(v >> 16) as u16, v as u16];
    let [old_high, old_low] = halves(old);
    let [new_high, new_low] = halves(new);
    update(update(checksum, old_high, new_high), old_low, new_low)
}

/// Folds carries until 16 bits are left.
fn fold(lanes: u64) -> u16 {
    let half = (lanes & 0xffff_ffff) + (lanes >> 32);
    let half = (half & 0xffff_ffff) + (half >> 32);
    fold32(half as u32)
}

fn fold32(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// One's complement sum of `bytes` as 64-bit words in machine order, padded with zeros. It is
/// congruent to the 16-bit sum: 2^64 - 1 is a multiple of 2^16 - 1, so a word counts the same in
/// whichever lane it lies.
fn sum_lanes(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<64>();
    let mut sum = if blocks.is_empty() {
        0
    } else {
        sum_blocks(blocks)
    };
    let (words, rest) = rest.as_chunks::<8>();
    for word in words {
        sum = add_lanes(sum, u64::from_ne_bytes(*word));
    }
    let (halves, rest) = rest.as_chunks::<4>();
    for half in halves {
        sum = add_lanes(sum, u64::from(u32::from_ne_bytes(*half)));
    }
    let last = match *rest {
        [a, b, c] => u64::from(u16::from_ne_bytes([a, b])) + u64::from(u16::from_ne_bytes([c, 0])),
        [a, b] => u64::from(u16::from_ne_bytes([a, b])),
        [a] => u64::from(u16::from_ne_bytes([a, 0])),
        _ => return sum,
    };
    add_lanes(sum, last)
}

/// Four words at a time as one number of 256 bits, which machines add with one instruction a word,
/// since each passes its carry on; what carries out of the top is counted by itself.
fn sum_blocks(blocks: &[[u8; 64]]) -> u64 {
    let mut sums = [0; 4];
    let mut carries = 0_u64;
    for block in blocks {
        let [first, second] = block.as_chunks::<32>().0 else {
            unreachable!("64 are twice 32");
        };
        for half in [first, second] {
            let [a, b, c, d] = half.as_chunks::<8>().0 else {
                unreachable!("32 are four times 8");
            };
            let carry = false;
            let carry = add_word(&mut sums[0], *a, carry);
            let carry = add_word(&mut sums[1], *b, carry);
            let carry = add_word(&mut sums[2], *c, carry);
            let carry = add_word(&mut sums[3], *d, carry);
            // One a half at most.
            carries = carries.wrapping_add(u64::from(carry));
        }
    }
    // 2^256 is congruent to 1: that is what a carry counts.
    sums.into_iter().fold(carries, add_lanes)
}

/// Adds a word and the carry of the one before; the carry comes back.
fn add_word(sum: &mut u64, word: [u8; 8], carry: bool) -> bool {
    let (added, first) = sum.overflowing_add(u64::from_ne_bytes(word));
    let (added, second) = added.overflowing_add(u64::from(carry));
    *sum = added;
    first | second
}

/// Both halves of a word, added.
fn halves_of(word: u128) -> u64 {
    add_lanes(word as u64, (word >> 64) as u64)
}

/// Addition with the carry out of the top put back in at the bottom.
fn add_lanes(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    sum.wrapping_add(u64::from(carry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 1071 §2 written down as it stands there, one word at a time.
    fn reference(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            let word = [pair[0], pair.get(1).copied().unwrap_or(0)];
            sum += u32::from(u16::from_be_bytes(word));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    #[test]
    fn rfc_1071_section_3_example() {
        let mut sum = Sum::new();
        sum.add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.folded(), 0xddf2);
        assert_eq!(sum.finish(), !0xddf2);
    }

    #[test]
    fn rfc_1624_section_4_example() {
        // The words of the header sum to 0x22d2 + 0x5555, the checksum is 0xdd2f; m = 0x5555
        // becomes m' = 0x3285, and the new checksum is 0x0000.
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn an_ip_header_seen_on_the_wire() {
        let mut header = [
            0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0x00,
            0x01, 0xc0, 0xa8, 0x00, 0xc7,
        ];
        assert_eq!(of(&header), 0xb861);
        header[10..12].copy_from_slice(&0xb861u16.to_be_bytes());
        assert_eq!(of(&header), 0);
    }

    #[test]
    fn a_udp_checksum_is_never_zero() {
        let mut sum = Sum::new();
        sum.add(&[0xff, 0xff]);
        assert_eq!(sum.finish(), 0);
        assert_eq!(sum.finish_nonzero(), 0xffff);
    }

    proptest! {
        #[test]
        fn equals_the_reference(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut sum = Sum::new();
            sum.add(&bytes);
            prop_assert_eq!(sum.folded(), reference(&bytes));
        }

        #[test]
        fn slices_of_any_length_add_up(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8)
        ) {
            let mut piecewise = Sum::new();
            let mut appended = Sum::new();
            for chunk in &chunks {
                piecewise.add(chunk);
                let mut own = Sum::new();
                own.add(chunk);
                appended.append(own);
            }
            let expected = reference(&chunks.concat());
            prop_assert_eq!(piecewise.folded(), expected);
            prop_assert_eq!(appended.folded(), expected);
        }

        #[test]
        fn fields_are_added_like_their_bytes(prefix: Option<u8>, a: u16, b: u32) {
            let mut fields = Sum::new();
            let mut bytes = Sum::new();
            if let Some(byte) = prefix {
                fields.add(&[byte]);
                bytes.add(&[byte]);
            }
            fields.add_u16(a);
            fields.add_u32(b);
            bytes.add(&a.to_be_bytes());
            bytes.add(&b.to_be_bytes());
            prop_assert_eq!(fields.folded(), bytes.folded());
        }

        #[test]
        fn copying_sums_what_it_copies(bytes in proptest::collection::vec(any::<u8>(), 0..10_000)) {
            let mut copy = vec![0; bytes.len()];
            let sum = copy_and_sum(&mut copy, &bytes);
            prop_assert_eq!(sum.folded(), reference(&bytes));
            prop_assert_eq!(copy, bytes);
        }

        #[test]
        fn updating_equals_summing_anew(
            mut bytes in proptest::collection::vec(any::<u8>(), 20..60),
            word in 0usize..9,
            new: u32,
        ) {
            // A sum over zeros alone has two representations; a header is never all zeros.
            bytes[0] = 0x45;
            let at = 2 * word;
            let old = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
            let before = of(&bytes);
            bytes[at..at + 4].copy_from_slice(&new.to_be_bytes());
            prop_assume!(bytes.iter().any(|&b| b != 0));
            prop_assert_eq!(update_u32(before, old, new), of(&bytes));
        }
    }
}
