//! Which TSNs have arrived (RFC 9260 §6.2): the cumulative one, the gaps, the duplicates.

use smallvec::SmallVec;
use sockeye_core::RangeSet;

/// How far ahead of the cumulative TSN one is taken. It makes stream sequence numbers, which have
/// 16 bits, unambiguous: a message has a TSN at least, so none is 32,768 messages ahead of another
/// that is missing.
pub(crate) const TSN_WINDOW_MAX: u64 = 32_767;
/// Most duplicates that are kept for the next SACK; further ones are not reported.
const DUPLICATES_MAX: usize = 32;
/// The position of the TSN before the first: far enough from 0 for anything late to have one.
const START: u64 = 1 << 32;

/// The TSNs of one direction. Positions are TSNs that do not wrap.
#[derive(Debug)]
pub(super) struct TsnMap {
    /// The position of the cumulative TSN.
    cumulative: u64,
    /// The TSN at position 0.
    base: u32,
    /// What has arrived beyond.
    beyond: RangeSet,
    duplicates: SmallVec<[u32; 4]>,
}

/// Where a TSN lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It has not been seen.
    New(u64),
    /// It has arrived before.
    Seen,
    /// It is beyond the window.
    TooFar,
}

impl TsnMap {
    pub(super) fn new(initial_tsn: u32) -> Self {
        Self {
            cumulative: START,
            // START is a multiple of 2^32.
            base: initial_tsn.wrapping_sub(1),
            beyond: RangeSet::default(),
            duplicates: SmallVec::new(),
        }
    }

    /// RFC 9260 §1.6: TSNs are compared by serial number arithmetic.
    pub(super) fn position(&self, tsn: u32) -> u64 {
        let distance = tsn.wrapping_sub(self.cumulative()) as i32;
        self.cumulative.saturating_add_signed(i64::from(distance))
    }

    pub(super) fn place(&self, tsn: u32) -> Place {
        let position = self.position(tsn);
        if position > self.cumulative + TSN_WINDOW_MAX {
            Place::TooFar
        } else if self.is_seen(position) {
            Place::Seen
        } else {
            Place::New(position)
        }
    }

    /// Whether what has this position has arrived.
    pub(super) fn is_seen(&self, position: u64) -> bool {
        position <= self.cumulative
            || (!self.beyond.is_empty() && self.beyond.range_at(position).is_some())
    }

    /// Takes a position that [`place`](Self::place) gave.
    pub(super) fn insert(&mut self, position: u64) {
        if position == self.cumulative + 1 && self.beyond.is_empty() {
            self.cumulative = position;
            return;
        }
        self.beyond.insert(position..position + 1);
        self.advance();
    }

    /// Moves over what has arrived in one piece with the cumulative TSN.
    fn advance(&mut self) {
        if let Some(range) = self.beyond.range_at(self.cumulative + 1) {
            self.cumulative = range.end - 1;
            self.beyond.remove_below(range.end);
        }
    }

    /// RFC 3758 §3.6: everything up to `tsn` counts as arrived. Gives the position of `tsn`; `None`
    /// when it is no news.
    pub(super) fn forward(&mut self, tsn: u32) -> Option<u64> {
        let position = self.position(tsn);
        if position <= self.cumulative {
            return None;
        }
        self.cumulative = position;
        self.beyond.remove_below(position + 1);
        self.advance();
        Some(position)
    }

    /// Notes that `tsn` came again.
    pub(super) fn duplicate(&mut self, tsn: u32) {
        if self.duplicates.len() < DUPLICATES_MAX {
            self.duplicates.push(tsn);
        }
    }

    pub(super) fn take_duplicates(&mut self) -> SmallVec<[u32; 4]> {
        std::mem::take(&mut self.duplicates)
    }

    /// The TSN of a position: its lower 32 bits, from the base on.
    fn tsn(&self, position: u64) -> u32 {
        self.base.wrapping_add(position as u32)
    }

    pub(super) fn cumulative(&self) -> u32 {
        self.tsn(self.cumulative)
    }

    /// Whether everything up to this position has arrived.
    pub(super) fn is_cumulative(&self, position: u64) -> bool {
        position <= self.cumulative
    }

    pub(super) fn highest(&self) -> u32 {
        let highest = self.beyond.last().map_or(self.cumulative, |r| r.end - 1);
        self.tsn(highest)
    }

    pub(super) fn has_gaps(&self) -> bool {
        !self.beyond.is_empty()
    }

    pub(super) fn gap_blocks(&self) -> impl Iterator<Item = (u16, u16)> + '_ {
        // The window keeps offsets within 16 bits.
        let offset = |position: u64| (position - self.cumulative) as u16;
        let blocks = self.beyond.iter();
        blocks.map(move |block| (offset(block.start), offset(block.end - 1)))
    }
}
