//! TCP sequence numbers (RFC 9293 §3.4): arithmetic modulo 2^32, no total order.

use std::ops::{Add, AddAssign, Sub};

/// A TCP sequence number.
///
/// It has no `Ord`: which of two comes first depends on where both lie in the ring. Two numbers
/// are comparable while they are less than 2^31 apart; at exactly 2^31, each is before the other.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct SeqNum(pub u32);

impl SeqNum {
    /// How far ahead `later` lies, signed: negative when it is the earlier one.
    #[must_use]
    pub const fn distance_to(self, later: Self) -> i32 {
        later.0.wrapping_sub(self.0) as i32
    }

    /// Bytes from here up to `later`, which must not be the earlier one (RFC: SEG.SEQ - RCV.NXT).
    #[must_use]
    pub const fn bytes_to(self, later: Self) -> u32 {
        later.0.wrapping_sub(self.0)
    }

    /// RFC 9293: `<`.
    #[must_use]
    pub const fn before(self, other: Self) -> bool {
        self.distance_to(other) > 0 || self.0.wrapping_sub(other.0) == 1 << 31
    }

    /// RFC 9293: `=<`.
    #[must_use]
    pub const fn before_or_eq(self, other: Self) -> bool {
        self.0 == other.0 || self.before(other)
    }

    /// RFC 9293: `>`.
    #[must_use]
    pub const fn after(self, other: Self) -> bool {
        other.before(self)
    }

    /// RFC 9293: `>=`.
    #[must_use]
    pub const fn after_or_eq(self, other: Self) -> bool {
        other.before_or_eq(self)
    }

    /// Whether it is one of the `len` numbers from `start` on: `start =< self < start + len`.
    #[must_use]
    pub const fn is_within(self, start: Self, len: u32) -> bool {
        self.0.wrapping_sub(start.0) < len
    }

    /// The later of two.
    #[must_use]
    pub const fn later(self, other: Self) -> Self {
        if self.before(other) { other } else { self }
    }

    /// The earlier of two.
    #[must_use]
    pub const fn earlier(self, other: Self) -> Self {
        if other.before(self) { other } else { self }
    }
}

impl Add<u32> for SeqNum {
    type Output = Self;

    fn add(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

impl AddAssign<u32> for SeqNum {
    fn add_assign(&mut self, bytes: u32) {
        *self = *self + bytes;
    }
}

impl Sub<u32> for SeqNum {
    type Output = Self;

    fn sub(self, bytes: u32) -> Self {
        Self(self.0.wrapping_sub(bytes))
    }
}

impl std::fmt::Display for SeqNum {
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
        let last = SeqNum(u32::MAX);
        assert!(last.before(last + 1));
        assert!((last + 1).after(last));
        assert_eq!(last + 1, SeqNum(0));
        assert_eq!(last.distance_to(last + 5), 5);
        assert_eq!((last + 5).distance_to(last), -5);
        assert_eq!(last.later(SeqNum(3)), SeqNum(3));
        assert_eq!(last.earlier(SeqNum(3)), last);
    }

    #[test]
    fn a_window_may_lie_across_the_wrap() {
        let start = SeqNum(u32::MAX - 1);
        assert!(start.is_within(start, 4));
        assert!(SeqNum(1).is_within(start, 4));
        assert!(!SeqNum(2).is_within(start, 4));
        assert!(!(start - 1).is_within(start, 4));
        assert!(!start.is_within(start, 0));
    }

    proptest! {
        #[test]
        fn exactly_one_of_before_equal_after(start: u32, ahead in 1u32..1 << 31) {
            let (a, b) = (SeqNum(start), SeqNum(start) + ahead);
            prop_assert!(a.before(b) && !b.before(a) && !a.after(b) && b.after(a));
            prop_assert!(a.before_or_eq(b) && a.before_or_eq(a) && !b.before_or_eq(a));
            prop_assert_eq!(a.bytes_to(b), ahead);
            prop_assert_eq!((a + ahead) - ahead, a);
        }
    }
}
