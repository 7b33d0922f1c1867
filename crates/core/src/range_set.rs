//! Sets of ranges of a stream: what arrived out of order, what the peer has acknowledged
//! selectively.
//!
//! Positions are 64-bit and never wrap: the owner maps its sequence numbers (TCP's 32 bits, TSNs)
//! to them by their distance from a number whose position it knows.

use core::ops::Range;
use std::collections::BTreeMap;

/// A set of positions, kept as disjoint ranges that do not touch. Every operation takes
/// O(log n) of the ranges, and as much again for each range that it swallows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    /// Start to end, end not included.
    ranges: BTreeMap<u64, u64>,
    covered: u64,
}

impl RangeSet {
    /// Adds `range` and returns the whole range that it is part of now; an empty one changes
    /// nothing and comes back as it is.
    pub fn insert(&mut self, range: Range<u64>) -> Range<u64> {
        if range.is_empty() {
            return range;
        }
        let mut merged = range;
        // Walk back over every range that overlaps or touches: each starts at or before the end.
        while let Some((&start, &end)) = self.ranges.range(..=merged.end).next_back()
            && end >= merged.start
        {
            self.ranges.remove(&start);
            self.covered -= end - start;
            merged = merged.start.min(start)..merged.end.max(end);
        }
        self.ranges.insert(merged.start, merged.end);
        self.covered += merged.end - merged.start;
        merged
    }

    /// Takes out everything below `position`.
    pub fn remove_below(&mut self, position: u64) {
        while let Some(first) = self.ranges.first_entry()
            && *first.key() < position
        {
            let (start, end) = first.remove_entry();
            self.covered -= end - start;
            if end > position {
                self.ranges.insert(position, end);
                self.covered += end - position;
            }
        }
    }

    /// Takes `range` out.
    pub fn remove(&mut self, range: Range<u64>) {
        while let Some((&start, &end)) = self.ranges.range(..range.end).next_back()
            && end > range.start
            && !range.is_empty()
        {
            self.ranges.remove(&start);
            self.covered -= end - start;
            for rest in [start..range.start, range.end..end] {
                if !rest.is_empty() {
                    self.ranges.insert(rest.start, rest.end);
                    self.covered += rest.end - rest.start;
                }
            }
        }
    }

    /// The range that holds `position`.
    #[must_use]
    pub fn range_at(&self, position: u64) -> Option<Range<u64>> {
        let (&start, &end) = self.ranges.range(..=position).next_back()?;
        (position < end).then_some(start..end)
    }

    /// Whether all of `range` is in the set; true of an empty one.
    #[must_use]
    pub fn contains(&self, range: &Range<u64>) -> bool {
        range.is_empty()
            || self
                .range_at(range.start)
                .is_some_and(|r| r.end >= range.end)
    }

    /// The first stretch of `within` that is not in the set.
    #[must_use]
    pub fn first_gap(&self, within: Range<u64>) -> Option<Range<u64>> {
        let start = self.range_at(within.start).map_or(within.start, |r| r.end);
        let end = self
            .ranges
            .range(start..)
            .next()
            .map_or(within.end, |(&next, _)| next.min(within.end));
        (start < end).then_some(start..end)
    }

    /// How many positions of the set lie at or above `position`.
    #[must_use]
    pub fn covered_from(&self, position: u64) -> u64 {
        let cut = self
            .range_at(position)
            .map_or(0, |range| range.end - position);
        let above = self.ranges.range(position.saturating_add(1)..);
        let whole: u64 = above.map(|(start, end)| end - start).sum();
        // A range that starts exactly at `position` was counted as cut already.
        cut + whole
    }

    /// How many positions are in the set.
    #[must_use]
    pub fn covered(&self) -> u64 {
        self.covered
    }

    /// How many ranges there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The last range.
    #[must_use]
    pub fn last(&self) -> Option<Range<u64>> {
        self.ranges.last_key_value().map(|(&s, &e)| s..e)
    }

    /// All ranges in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Range<u64>> + '_ {
        self.ranges.iter().map(|(&start, &end)| start..end)
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.ranges.clear();
        self.covered = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn ranges_that_touch_become_one() {
        let mut set = RangeSet::default();
        assert_eq!(set.insert(10..20), 10..20);
        assert_eq!(set.insert(30..40), 30..40);
        assert_eq!(set.insert(20..30), 10..40);
        assert_eq!(set.len(), 1);
        assert_eq!(set.covered(), 30);
        assert_eq!(set.first_gap(0..50), Some(0..10));
        assert_eq!(set.first_gap(15..50), Some(40..50));
        assert_eq!(set.first_gap(15..40), None);
    }

    proptest! {
        #[test]
        fn behaves_like_a_set_of_positions(
            steps in proptest::collection::vec((0u64..200, 0u64..30, any::<bool>()), 0..60),
            probe in 0u64..240,
        ) {
            let mut set = RangeSet::default();
            let mut model = BTreeSet::new();
            for (at, len, insert) in steps {
                if insert {
                    let whole = set.insert(at..at + len);
                    model.extend(at..at + len);
                    prop_assert!(whole.clone().all(|p| model.contains(&p)));
                } else {
                    set.remove_below(at);
                    model = model.split_off(&at);
                }
            }
            prop_assert_eq!(set.covered(), model.len() as u64);
            prop_assert_eq!(set.covered_from(probe), model.range(probe..).count() as u64);
            prop_assert_eq!(set.range_at(probe).is_some(), model.contains(&probe));
            let gap = (probe..240).find(|p| !model.contains(p));
            prop_assert_eq!(set.first_gap(probe..240).map(|g| g.start), gap);
            let ranges: Vec<_> = set.iter().collect();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
            prop_assert_eq!(ranges.into_iter().flatten().collect::<BTreeSet<_>>(), model);
        }
    }
}
