//! Sequence numbers (RFC 4340 §7, §7.6): 48 bits, arithmetic modulo 2^48, no total order.

use std::ops::{Add, Sub};

/// A DCCP sequence number.
///
/// It has no `Ord`: which of two comes first depends on where both lie in the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seq(u64);

const BITS: u32 = 48;
const MASK: u64 = (1 << BITS) - 1;
const LOW: u64 = (1 << 24) - 1;

impl Seq {
    /// The number with the low 48 bits of `value`.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value & MASK)
    }

    /// Its 48 bits.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }

    /// How far ahead `later` lies, signed: negative when it is the earlier one.
    #[must_use]
    pub const fn distance_to(self, later: Self) -> i64 {
        let ahead = later.0.wrapping_sub(self.0) << (64 - BITS);
        ahead.cast_signed() >> (64 - BITS)
    }

    /// Packets from here up to `later`, which must not be the earlier one.
    #[must_use]
    pub const fn packets_to(self, later: Self) -> u64 {
        later.0.wrapping_sub(self.0) & MASK
    }

    /// `<`, in the ring.
    #[must_use]
    pub const fn before(self, other: Self) -> bool {
        self.distance_to(other) > 0
    }

    /// `>`, in the ring.
    #[must_use]
    pub const fn after(self, other: Self) -> bool {
        other.before(self)
    }

    /// Whether it lies in `[low, high]`.
    #[must_use]
    pub const fn is_within(self, low: Self, high: Self) -> bool {
        low.packets_to(self) <= low.packets_to(high)
    }

    /// The later of two.
    #[must_use]
    pub const fn later(self, other: Self) -> Self {
        if self.before(other) { other } else { self }
    }

    /// RFC 4340 §7.6: the whole number of which a packet carried the low 24 bits, near `reference`.
    #[must_use]
    pub const fn extend(self, reference: Self) -> Self {
        let short = self.0 & LOW;
        let low = reference.0 & LOW;
        let high = reference.0 >> 24;
        let ahead = short.wrapping_sub(low) & LOW;
        let high = if ahead <= 1 << 23 && short < low {
            high.wrapping_add(1)
        } else if ahead > 1 << 23 && low < short {
            high.wrapping_sub(1)
        } else {
            high
        };
        Self::new((high & LOW) << 24 | short)
    }
}

impl Add<u64> for Seq {
    type Output = Self;

    fn add(self, packets: u64) -> Self {
        Self::new(self.0.wrapping_add(packets))
    }
}

impl Sub<u64> for Seq {
    type Output = Self;

    fn sub(self, packets: u64) -> Self {
        Self::new(self.0.wrapping_sub(packets))
    }
}

impl std::fmt::Display for Seq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn order_survives_the_wrap() {
        let last = Seq::new(MASK);
        assert_eq!(last + 1, Seq::new(0));
        assert!(last.before(last + 1) && (last + 1).after(last));
        assert_eq!((last + 5).distance_to(last), -5);
        assert_eq!(last.packets_to(last + 5), 5);
        assert!((last + 1).is_within(last, last + 2));
        assert!(!(last + 3).is_within(last, last + 2));
    }

    /// RFC 4340 §7.6.
    #[test]
    fn short_numbers_are_extended_across_the_wrap() {
        let reference = Seq::new(0x0001_00ff_fffe);
        assert_eq!(
            Seq::new(0x00_0001).extend(reference),
            Seq::new(0x0001_0100_0001)
        );
        assert_eq!(
            Seq::new(0xff_fff0).extend(reference),
            Seq::new(0x0001_00ff_fff0)
        );
        let reference = Seq::new(0x0001_0100_0001);
        assert_eq!(
            Seq::new(0xff_ffff).extend(reference),
            Seq::new(0x0001_00ff_ffff)
        );
        assert_eq!(Seq::new(0xff_ffff).extend(Seq::new(1)), Seq::new(MASK));
    }

    proptest! {
        #[test]
        fn what_is_near_is_found_again(reference in 0..=MASK, off in -(1i64 << 22)..1 << 22) {
            let reference = Seq::new(reference);
            let whole = Seq::new(reference.value().wrapping_add_signed(off));
            prop_assert_eq!(Seq::new(whole.value() & LOW).extend(reference), whole);
            prop_assert_eq!(reference.distance_to(whole), off);
            prop_assert_eq!(reference.before(whole), off > 0);
        }
    }
}
