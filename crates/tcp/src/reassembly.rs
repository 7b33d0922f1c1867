//! Text that arrived out of order (RFC 9293 §3.10.7.4, seventh; SHLD-31), and what the peer is told
//! of it (RFC 2018, RFC 2883).
//!
//! Pieces are kept by their distance into the stream, each byte once. The text of a piece keeps the
//! memory of its packet, so what is counted and limited is that, not the bytes alone.

use crate::segment::{drop_front, truncate};
use bytes::Bytes;
use core::ops::Range;
use smallvec::SmallVec;
use sockeye_core::{Payload, RangeSet};
use sockeye_wire::tcp_options::SACK_BLOCKS_MAX;
use std::collections::BTreeMap;

/// Pieces kept at most: a peer that sends every second byte fills no memory with bookkeeping.
pub(crate) const PIECES_MAX: usize = 4096;
/// What a piece costs beside its text, bytes: its place in the tables, the head of its buffer.
pub(crate) const PIECE_COST: usize = 128;

#[derive(Debug)]
struct Piece {
    text: Payload,
    len: u64,
    pinned: usize,
}

/// The out-of-order queue. Positions count from the first byte of the stream. While nothing is out
/// of order it takes a pointer's room.
#[derive(Debug, Default)]
pub(crate) struct Reassembly(Option<Box<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    pieces: BTreeMap<u64, Piece>,
    ranges: RangeSet,
    pinned: usize,
    /// Starts of the ranges touched last, latest first: RFC 2018 §4 wants them in that order.
    recent: SmallVec<[u64; SACK_BLOCKS_MAX]>,
    /// RFC 2883 §4: what arrived twice, to be told once.
    duplicate: Option<Range<u64>>,
}

impl Reassembly {
    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|queue| queue.pieces.is_empty())
    }

    /// Bytes of memory kept, bookkeeping included.
    pub(crate) fn pinned(&self) -> usize {
        let queue = self.0.as_ref();
        queue.map_or(0, |queue| queue.pinned + queue.pieces.len() * PIECE_COST)
    }

    /// Bytes of text that wait.
    pub(crate) fn len(&self) -> u64 {
        self.0.as_ref().map_or(0, |queue| queue.ranges.covered())
    }

    /// Keeps `text`, which starts at `at` beyond what is in order and keeps `pinned` bytes of
    /// memory, as far as it is new. False when there was no room for it.
    pub(crate) fn insert(&mut self, at: u64, text: Payload, pinned: usize) -> bool {
        self.0.get_or_insert_default().insert(at, text, pinned)
    }

    /// Takes the piece that continues at `next`, cut to what is new: its text, how many bytes, and
    /// what memory they keep.
    pub(crate) fn pop(&mut self, next: u64) -> Option<(Payload, u64, usize)> {
        let queue = self.0.as_mut()?;
        let piece = queue.pop(next);
        if queue.is_done() {
            self.0 = None;
        }
        piece
    }

    /// RFC 2883 §4.1: a segment whose text, or part of it, had arrived before. The SYN's position is
    /// the one before 0: positions wrap.
    pub(crate) fn saw_duplicate(&mut self, range: Range<u64>) {
        if range.start != range.end {
            self.0.get_or_insert_default().duplicate = Some(range);
        }
    }

    /// The blocks for the next acknowledgment of `next`: first what arrived twice (RFC 2883 §4),
    /// then the ranges that changed last (RFC 2018 §4).
    pub(crate) fn blocks(&self, next: u64, max: usize) -> SmallVec<[Range<u64>; SACK_BLOCKS_MAX]> {
        let queue = self.0.as_ref();
        queue.map_or_else(SmallVec::new, |queue| queue.blocks(next, max))
    }

    /// Whether there is anything to tell.
    pub(crate) fn has_blocks(&self) -> bool {
        let queue = self.0.as_ref();
        queue.is_some_and(|queue| queue.duplicate.is_some() || !queue.ranges.is_empty())
    }

    /// The duplicate has been told.
    pub(crate) fn told(&mut self) {
        if let Some(queue) = &mut self.0 {
            queue.duplicate = None;
            if queue.is_done() {
                self.0 = None;
            }
        }
    }

    /// Copies every piece into memory of just its size.
    pub(crate) fn compact(&mut self) {
        if let Some(queue) = &mut self.0 {
            queue.compact();
        }
    }

    /// Drops everything; RFC 2018 §8 allows the receiver to.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }
}

impl Queue {
    fn is_done(&self) -> bool {
        self.pieces.is_empty() && self.duplicate.is_none()
    }

    fn insert(&mut self, at: u64, text: Payload, pinned: usize) -> bool {
        let len: u64 = text.iter().map(|s| s.len() as u64).sum();
        let whole = at..at + len;
        if let Some(held) = self.overlap(&whole) {
            self.duplicate = Some(held);
        }
        if self.pieces.len() >= PIECES_MAX {
            return false;
        }
        let mut rest = whole;
        let mut text = text;
        let mut first = true;
        while let Some(gap) = self.ranges.first_gap(rest.clone()) {
            drop_front(&mut text, to_usize(gap.start - rest.start));
            let mut piece = text.clone();
            let len = gap.end - gap.start;
            truncate(&mut piece, to_usize(len));
            drop_front(&mut text, to_usize(len));
            rest.start = gap.end;
            // Several pieces of one packet keep its memory once.
            let pinned = if first { pinned } else { 0 };
            first = false;
            self.pinned += pinned;
            let piece = Piece {
                text: piece,
                len,
                pinned,
            };
            self.pieces.insert(gap.start, piece);
            self.ranges.insert(gap);
        }
        if let Some(range) = self.ranges.range_at(at) {
            self.touched(&range);
        }
        true
    }

    fn pop(&mut self, next: u64) -> Option<(Payload, u64, usize)> {
        while let Some(entry) = self.pieces.first_entry()
            && *entry.key() <= next
        {
            let (at, mut piece) = entry.remove_entry();
            self.pinned -= piece.pinned;
            self.ranges.remove_below(at + piece.len);
            if at + piece.len > next {
                drop_front(&mut piece.text, to_usize(next - at));
                return Some((piece.text, at + piece.len - next, piece.pinned));
            }
        }
        if self.pieces.is_empty() {
            self.recent.clear();
        }
        None
    }

    fn blocks(&self, next: u64, max: usize) -> SmallVec<[Range<u64>; SACK_BLOCKS_MAX]> {
        let ranges = self
            .recent
            .iter()
            .filter_map(|&start| self.ranges.range_at(start))
            .filter(|range| range.start > next);
        self.duplicate
            .clone()
            .into_iter()
            .chain(ranges)
            .take(max)
            .collect()
    }

    fn compact(&mut self) {
        self.pinned = 0;
        for piece in self.pieces.values_mut() {
            let bytes = Bytes::from(piece.text.concat());
            piece.text.clear();
            piece.text.push(bytes);
            piece.pinned = to_usize(piece.len);
            self.pinned += piece.pinned;
        }
    }

    /// The first stretch of `range` that is held.
    fn overlap(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let start = match self.ranges.first_gap(range.clone()) {
            None => range.start,
            Some(gap) if gap.start > range.start => range.start,
            Some(gap) if gap.end < range.end => gap.end,
            Some(_) => return None,
        };
        let held = self.ranges.range_at(start)?;
        Some(start..held.end.min(range.end))
    }

    /// Moves `range` to the front of what is told; those it has swallowed are gone.
    fn touched(&mut self, range: &Range<u64>) {
        self.recent.retain(|start| !range.contains(start));
        self.recent.truncate(SACK_BLOCKS_MAX - 1);
        self.recent.insert(0, range.start);
    }
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn payload(bytes: &[u8]) -> Payload {
        let mut payload = Payload::new();
        payload.push(Bytes::copy_from_slice(bytes));
        payload
    }

    fn blocks(queue: &Reassembly) -> Vec<Range<u64>> {
        queue.blocks(0, SACK_BLOCKS_MAX).to_vec()
    }

    #[test]
    fn the_latest_block_comes_first() {
        let mut queue = Reassembly::default();
        assert!(queue.insert(10, payload(b"0123456789"), 10));
        assert!(queue.insert(30, payload(b"0123456789"), 10));
        assert_eq!(blocks(&queue), [30..40, 10..20]);
        assert!(queue.insert(20, payload(b"01234"), 5));
        assert_eq!(blocks(&queue), [10..25, 30..40]);
        // RFC 2883 §4: the duplicate goes before all others, once.
        assert!(queue.insert(30, payload(b"01234"), 5));
        assert_eq!(blocks(&queue), [30..35, 30..40, 10..25]);
        queue.told();
        assert_eq!(blocks(&queue), [30..40, 10..25]);
        assert_eq!(queue.pinned(), 25 + 3 * PIECE_COST);
    }

    #[test]
    fn what_a_peer_can_make_us_keep_is_limited() {
        let mut queue = Reassembly::default();
        for n in 0..PIECES_MAX as u64 {
            assert!(queue.insert(1 + 2 * n, payload(b"x"), 1));
        }
        assert!(!queue.insert(1 << 20, payload(b"x"), 1));
    }

    proptest! {
        #[test]
        fn every_byte_comes_once_and_in_order(
            pieces in proptest::collection::vec((0usize..300, 1usize..60), 0..60)
        ) {
            let stream: Vec<u8> = (0..400u32).map(|n| n as u8).collect();
            let mut queue = Reassembly::default();
            let mut held = vec![false; 400];
            for (at, len) in pieces {
                let at = at + 1; // the first byte is missing
                let text = &stream[at..at + len];
                prop_assert!(queue.insert(at as u64, payload(text), len));
                held[at..at + len].fill(true);
            }
            prop_assert_eq!(queue.len(), held.iter().filter(|h| **h).count() as u64);
            prop_assert!(queue.pop(0).is_none());
            let mut next = 1u64;
            let mut got = Vec::new();
            while let Some((text, len, _)) = queue.pop(next) {
                prop_assert_eq!(text.concat().len() as u64, len);
                got.extend(text.concat());
                next += len;
            }
            let run = held[1..].iter().take_while(|h| **h).count();
            prop_assert_eq!(&got[..], &stream[1..=run]);
            // Taking from behind the gaps gives the rest.
            let rest = queue.pop(399);
            prop_assert!(rest.is_none());
            prop_assert_eq!(queue.pinned(), 0);
            prop_assert!(queue.is_empty());
        }
    }
}
