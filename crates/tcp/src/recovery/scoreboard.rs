//! The scoreboard: what was sent and is not acknowledged, in the order of its numbers, and what is
//! known of each piece.
//!
//! A piece is what one packet carried, a super-segment as one. It is cut where acknowledgments,
//! losses or retransmissions make a difference between its segments, at multiples of its MSS.
//! Neighbours that have both arrived are put together again, so that a peer that reports every
//! second segment costs no more than the segments that it lacks.

use super::delivery::Snapshot;
use sockeye_core::Instant;
use sockeye_wire::SeqNum;
use std::collections::VecDeque;

/// Pieces kept at most. A sender that gets here waits for acknowledgments, and reports that would
/// cut more of them are not followed.
pub(crate) const PIECES_MAX: usize = 1 << 15;

/// Bytes, and the segments that they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Tally {
    pub(crate) bytes: u32,
    pub(crate) segments: u32,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.segments = self.segments.saturating_add(other.segments);
    }

    pub(crate) fn subtract(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_sub(other.bytes);
        self.segments = self.segments.saturating_sub(other.segments);
    }
}

/// A piece of the stream as it was sent last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) start: SeqNum,
    /// The number behind its last; a FIN is counted.
    pub(crate) end: SeqNum,
    /// When it was sent last.
    pub(crate) sent_at: Instant,
    /// Its segments, each of `mss` bytes but the last.
    pub(crate) segments: u32,
    pub(crate) mss: u32,
    /// Its last number is the FIN's.
    pub(crate) fin: bool,
    /// Its last segment is pushed.
    pub(crate) push: bool,
    /// The peer has reported it (RFC 2018).
    pub(crate) sacked: bool,
    /// It is taken for lost.
    pub(crate) lost: bool,
    /// It was sent again, and that copy is in flight.
    pub(crate) again: bool,
    /// It was ever sent again.
    pub(crate) ever_again: bool,
    /// What had been delivered by then.
    pub(crate) snapshot: Snapshot,
}

impl Piece {
    pub(crate) fn len(&self) -> u32 {
        self.start.bytes_to(self.end)
    }

    pub(crate) fn tally(&self) -> Tally {
        Tally {
            bytes: self.len(),
            segments: self.segments,
        }
    }

    /// Its segments when they are cut to `mss`.
    fn count(&self, mss: u32) -> u32 {
        let text = self.len() - u32::from(self.fin);
        text.div_ceil(mss.max(1)).max(1)
    }

    /// Whether its next copy is due: it is lost, and no copy is under way.
    fn is_due(&self) -> bool {
        self.lost && !self.again && !self.sacked
    }
}

/// All pieces.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Scoreboard {
    #[serde(skip)]
    pieces: VecDeque<Piece>,
    /// Everything that is not acknowledged.
    out: Tally,
    /// What the peer has reported. Without SACK: what its duplicate acknowledgments stand for.
    sacked: Tally,
    /// What is taken for lost.
    lost: Tally,
    /// What was sent again and may still arrive.
    again: Tally,
    /// The end of the highest piece that was reported.
    highest_sacked: Option<SeqNum>,
    /// No piece before this one is due.
    due_from: SeqNum,
    /// Every piece before this one was reported, is lost or was sent again: RACK need not look.
    judged: SeqNum,
    /// Copies, in the order in which they were sent: when, and where they start.
    #[serde(skip)]
    copies: VecDeque<(Instant, SeqNum)>,
}

/// What is counted.
impl Scoreboard {
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether no further piece is to be added.
    pub(crate) fn is_full(&self) -> bool {
        self.pieces.len() >= PIECES_MAX
    }

    pub(crate) fn out(&self) -> Tally {
        self.out
    }

    pub(crate) fn sacked(&self) -> Tally {
        self.sacked
    }

    pub(crate) fn lost(&self) -> Tally {
        self.lost
    }

    pub(crate) fn again(&self) -> Tally {
        self.again
    }

    /// Bytes in flight (RFC 6675 §4, `pipe`).
    pub(crate) fn pipe(&self) -> u32 {
        (self.out.bytes.saturating_add(self.again.bytes))
            .saturating_sub(self.sacked.bytes)
            .saturating_sub(self.lost.bytes)
    }

    /// HighACK's counterpart at the other end: the highest number reported, or `una`.
    pub(crate) fn highest_sacked(&self, una: SeqNum) -> SeqNum {
        self.highest_sacked.unwrap_or(una).later(una)
    }

    pub(crate) fn first(&self) -> Option<&Piece> {
        self.pieces.front()
    }

    pub(crate) fn last(&self) -> Option<&Piece> {
        self.pieces.back()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Piece> {
        self.pieces.get(index)
    }

    pub(crate) fn len(&self) -> usize {
        self.pieces.len()
    }

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter()
    }

    /// Whether the first piece was ever sent again.
    pub(crate) fn first_was_sent_again(&self) -> bool {
        self.first().is_some_and(|piece| piece.ever_again)
    }

    /// The first piece that ends behind `seq`.
    pub(crate) fn index_of(&self, seq: SeqNum) -> usize {
        self.pieces.partition_point(|p| p.end.before_or_eq(seq))
    }
}

/// What changes.
impl Scoreboard {
    /// A piece was sent for the first time, behind all others.
    pub(crate) fn push(&mut self, mut piece: Piece) {
        piece.segments = piece.count(piece.mss);
        if self.pieces.is_empty() {
            self.due_from = piece.start;
            self.judged = piece.start;
        }
        self.out.add(piece.tally());
        self.pieces.push_back(piece);
    }

    /// Takes off what lies before `una`: first the pieces that do whole, each shown to `each`; of one
    /// that lies across it the segments before it, as a piece of their own.
    pub(crate) fn acknowledge(&mut self, una: SeqNum, mut each: impl FnMut(&Piece)) {
        if let Some(first) = self.pieces.front()
            && self.index_of(una) < self.pieces.len()
        {
            let index = self.index_of(una);
            let across = &self.pieces[index];
            debug_assert!(first.start.before_or_eq(across.start));
            if across.start.before(una) {
                let whole = across.start.bytes_to(una) / across.mss * across.mss;
                if whole > 0 {
                    self.split(index, across.start + whole);
                }
            }
        }
        while let Some(&piece) = self.pieces.front()
            && piece.end.before_or_eq(una)
        {
            self.pieces.pop_front();
            self.forget(&piece);
            each(&piece);
        }
        if let Some(first) = self.pieces.front_mut()
            && first.start.before(una)
        {
            // Part of a segment: what is left of it counts.
            let old = first.start.bytes_to(una);
            let gone = Tally {
                bytes: old,
                segments: 0,
            };
            first.start = una;
            let (sacked, lost, again) = (first.sacked, first.lost, first.again);
            self.out.subtract(gone);
            self.each_tally(sacked, lost, again, |tally| tally.subtract(gone));
        }
        self.due_from = self.due_from.later(una);
        self.judged = self.judged.later(una);
        if self.highest_sacked.is_some_and(|s| s.before_or_eq(una)) {
            self.highest_sacked = None;
        }
        if self.pieces.is_empty() {
            self.clear();
        }
    }

    fn each_tally(&mut self, sacked: bool, lost: bool, again: bool, mut f: impl FnMut(&mut Tally)) {
        if sacked {
            f(&mut self.sacked);
        }
        if lost {
            f(&mut self.lost);
        }
        if again {
            f(&mut self.again);
        }
    }

    fn forget(&mut self, piece: &Piece) {
        let tally = piece.tally();
        self.out.subtract(tally);
        self.each_tally(piece.sacked, piece.lost, piece.again, |t| t.subtract(tally));
    }

    /// Everything is acknowledged, or the connection is gone: an idle one holds no memory.
    pub(crate) fn clear(&mut self) {
        let keep = core::mem::take(&mut self.pieces);
        *self = Self {
            due_from: self.due_from,
            judged: self.judged,
            ..Self::default()
        };
        if keep.capacity() <= 8 {
            self.pieces = keep;
            self.pieces.clear();
        }
    }

    /// Cuts the piece at `index` before `at`, which lies inside it. False when there are too many.
    pub(crate) fn split(&mut self, index: usize, at: SeqNum) -> bool {
        if self.is_full() {
            return false;
        }
        let left = &mut self.pieces[index];
        debug_assert!(left.start.before(at) && at.before(left.end));
        let mut right = *left;
        let segments = left.segments;
        left.end = at;
        left.fin = false;
        left.push = false;
        left.segments = left.count(left.mss).min(segments.saturating_sub(1)).max(1);
        right.start = at;
        right.segments = segments.saturating_sub(left.segments).max(1);
        let extra = (left.segments + right.segments).saturating_sub(segments);
        let (sacked, lost, again) = (right.sacked, right.lost, right.again);
        if again {
            // The copy was of both.
            let sent_at = right.sent_at;
            let place = self.copies.iter().position(|c| *c == (sent_at, left.start));
            if let Some(place) = place {
                self.copies.insert(place + 1, (sent_at, at));
            }
        }
        self.pieces.insert(index + 1, right);
        if extra > 0 {
            let more = Tally {
                bytes: 0,
                segments: extra,
            };
            self.out.add(more);
            self.each_tally(sacked, lost, again, |tally| tally.add(more));
        }
        true
    }

    /// The peer has the piece at `index`. `in_flight_again`: its copy is taken to be still in flight.
    pub(crate) fn mark_sacked(&mut self, index: usize) {
        let piece = &mut self.pieces[index];
        if piece.sacked {
            return;
        }
        let tally = piece.tally();
        piece.sacked = true;
        if piece.again && piece.lost {
            // Which of both arrived is not known: the copy does not count as in flight any more.
            piece.again = false;
            self.again.subtract(tally);
        }
        if piece.lost {
            piece.lost = false;
            self.lost.subtract(tally);
        }
        let end = piece.end;
        self.sacked.add(tally);
        self.highest_sacked = Some(self.highest_sacked.map_or(end, |s| s.later(end)));
    }

    /// Joins the piece at `index` to the one before it, where both have arrived and their copies
    /// are accounted for. True when it did.
    pub(crate) fn join(&mut self, index: usize) -> bool {
        let Some((before, piece)) = index
            .checked_sub(1)
            .and_then(|i| Some((self.pieces.get(i)?, self.pieces.get(index)?)))
        else {
            return false;
        };
        let alike = |p: &Piece| p.sacked && !p.again && !p.lost;
        if !alike(before) || !alike(piece) || before.fin || before.mss != piece.mss {
            return false;
        }
        let piece = *piece;
        self.pieces.remove(index);
        let before = &mut self.pieces[index - 1];
        before.end = piece.end;
        before.segments += piece.segments;
        before.fin = piece.fin;
        before.push = piece.push;
        before.ever_again |= piece.ever_again;
        true
    }

    /// The peer has the piece twice (RFC 2883): its copy is not in flight any more.
    pub(crate) fn copy_arrived(&mut self, index: usize) {
        let piece = &mut self.pieces[index];
        if core::mem::take(&mut piece.again) {
            let tally = piece.tally();
            self.again.subtract(tally);
        }
    }

    /// The piece at `index` is lost, or its copy is.
    pub(crate) fn mark_lost(&mut self, index: usize) {
        let piece = &mut self.pieces[index];
        let tally = piece.tally();
        if core::mem::take(&mut piece.again) {
            self.again.subtract(tally);
        }
        if !piece.lost {
            piece.lost = true;
            self.lost.add(tally);
        }
        self.due_from = self.due_from.earlier(piece.start);
    }

    /// What was taken for lost may arrive after all.
    pub(crate) fn clear_lost(&mut self) {
        for piece in &mut self.pieces {
            piece.lost = false;
        }
        self.lost = Tally::default();
        if let Some(first) = self.pieces.front() {
            self.judged = first.start;
        }
    }

    /// The peer has thrown away what it reported (RFC 2018 §8), or never reports.
    pub(crate) fn clear_sacked(&mut self) {
        for piece in &mut self.pieces {
            piece.sacked = false;
        }
        self.sacked = Tally::default();
        self.highest_sacked = None;
        if let Some(first) = self.pieces.front() {
            self.judged = first.start;
            self.due_from = first.start;
        }
    }

    /// Without SACK: what duplicate acknowledgments stand for.
    pub(crate) fn set_assumed(&mut self, sacked: Tally) {
        self.sacked = sacked;
    }

    /// The first piece that is due to be sent again.
    pub(crate) fn next_due(&mut self) -> Option<usize> {
        if self.lost == Tally::default() {
            return None;
        }
        let mut index = self.index_of(self.due_from);
        while let Some(piece) = self.pieces.get(index) {
            if piece.is_due() {
                self.due_from = piece.start;
                return Some(index);
            }
            index += 1;
        }
        self.due_from = self.pieces.back().map_or(self.due_from, |p| p.end);
        None
    }

    /// See [`next_due`](Self::next_due), without remembering how far it looked.
    pub(crate) fn peek_due(&self) -> Option<&Piece> {
        if self.lost == Tally::default() {
            return None;
        }
        let from = self.index_of(self.due_from);
        self.pieces.range(from..).find(|piece| piece.is_due())
    }

    /// The piece at `index` was sent again at `now`, cut to `mss`.
    pub(crate) fn sent_again(&mut self, index: usize, now: Instant, mss: u32, snapshot: Snapshot) {
        let piece = &mut self.pieces[index];
        let before = piece.tally();
        piece.mss = mss;
        piece.segments = piece.count(mss);
        let after = piece.tally();
        let was_again = piece.again;
        piece.again = true;
        piece.ever_again = true;
        piece.sent_at = now;
        piece.snapshot = snapshot;
        let (sacked, lost, start) = (piece.sacked, piece.lost, piece.start);
        self.out.subtract(before);
        self.out.add(after);
        self.each_tally(sacked, lost, was_again, |tally| {
            tally.subtract(before);
            tally.add(after);
        });
        if !was_again {
            self.again.add(after);
        }
        self.copies.push_back((now, start));
        self.prune_copies();
    }

    /// Keeps the list of copies as short as what it speaks of.
    fn prune_copies(&mut self) {
        if self.copies.len() > 2 * self.pieces.len() + 16 {
            let mut copies = core::mem::take(&mut self.copies);
            copies.retain(|&copy| self.copy(copy).is_some());
            self.copies = copies;
        }
    }

    /// The piece that a copy is of, if that copy is in flight.
    fn copy(&self, (sent_at, start): (Instant, SeqNum)) -> Option<usize> {
        let index = self.index_of(start);
        let piece = self.pieces.get(index)?;
        (piece.start == start && piece.again && !piece.sacked && piece.sent_at == sent_at)
            .then_some(index)
    }

    /// Shows pieces that are in flight, those sent first first, to `judge`, which says whether they are lost: first
    /// those sent once, then copies; of both until one is not.
    pub(crate) fn judge(
        &mut self,
        mut judge: impl FnMut(&Piece) -> bool,
        mut lost: impl FnMut(&Piece),
    ) {
        let mut index = self.index_of(self.judged);
        while let Some(piece) = self.pieces.get(index) {
            if !(piece.sacked || piece.lost || piece.again) {
                if !judge(piece) {
                    break;
                }
                lost(piece);
                self.mark_lost(index);
            }
            index += 1;
        }
        if let Some(piece) = self.pieces.get(index) {
            self.judged = piece.start;
        } else if let Some(last) = self.pieces.back() {
            self.judged = last.end;
        }
        while let Some(&copy) = self.copies.front() {
            if let Some(index) = self.copy(copy) {
                let piece = &self.pieces[index];
                if !judge(piece) {
                    break;
                }
                lost(piece);
                self.mark_lost(index);
            }
            self.copies.pop_front();
        }
    }

    /// Marks as lost what `judge` says, whatever is known of it; a copy of what has arrived, too, is in
    /// flight no more then.
    pub(crate) fn mark_all_lost(&mut self, mut judge: impl FnMut(&Piece) -> bool) {
        for index in 0..self.pieces.len() {
            let piece = &self.pieces[index];
            match (judge(piece), piece.sacked) {
                (true, false) => self.mark_lost(index),
                (true, true) => self.copy_arrived(index),
                (false, _) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MSS: u32 = 100;

    fn piece(start: u32, len: u32, at: u64) -> Piece {
        Piece {
            start: SeqNum(start),
            end: SeqNum(start) + len,
            sent_at: Instant::from_millis(at),
            segments: 0,
            mss: MSS,
            fin: false,
            push: false,
            sacked: false,
            lost: false,
            again: false,
            ever_again: false,
            snapshot: Snapshot::default(),
        }
    }

    /// Counts everything anew.
    fn check(board: &Scoreboard) {
        let sum = |f: fn(&Piece) -> bool| {
            let mut sum = Tally::default();
            board
                .iter()
                .filter(|p| f(p))
                .for_each(|p| sum.add(p.tally()));
            sum
        };
        assert_eq!(board.out, sum(|_| true));
        assert_eq!(board.sacked, sum(|p| p.sacked));
        assert_eq!(board.lost, sum(|p| p.lost));
        assert_eq!(board.again, sum(|p| p.again));
        let due = board.iter().find(|p| p.is_due()).map(|p| p.start);
        assert_eq!(board.peek_due().map(|p| p.start), due);
        let mut sorted: Vec<_> = board.iter().map(|p| p.start).collect();
        sorted.dedup();
        assert_eq!(sorted.len(), board.len());
        for (a, b) in board.iter().zip(board.iter().skip(1)) {
            assert_eq!(a.end, b.start);
        }
    }

    #[test]
    fn a_super_segment_is_cut_where_it_matters() {
        let mut board = Scoreboard::default();
        board.push(piece(0, 950, 1));
        assert_eq!(board.out().segments, 10);
        assert!(board.split(0, SeqNum(300)));
        assert!(board.split(1, SeqNum(500)));
        board.mark_sacked(1);
        check(&board);
        assert_eq!((board.sacked().bytes, board.pipe()), (200, 750));
        board.mark_lost(0);
        assert_eq!(board.next_due(), Some(0));
        board.sent_again(0, Instant::from_millis(5), MSS, Snapshot::default());
        assert_eq!((board.next_due(), board.pipe()), (None, 750));
        let mut gone = Vec::new();
        board.acknowledge(SeqNum(650), |p| gone.push((p.start.0, p.end.0)));
        assert_eq!(gone, [(0, 300), (300, 500), (500, 600)]);
        assert_eq!((board.out().bytes, board.out().segments), (300, 4));
        board.acknowledge(SeqNum(950), |_| {});
        assert!(board.is_empty());
        check(&board);
    }

    #[test]
    fn neighbours_that_arrived_are_one_piece() {
        let mut board = Scoreboard::default();
        for n in 0..10 {
            board.push(piece(n * 100, 100, n.into()));
        }
        for index in 1..9 {
            board.mark_sacked(index);
        }
        for index in (1..9).rev() {
            board.join(index);
        }
        assert_eq!(board.len(), 3);
        check(&board);
        assert_eq!(board.highest_sacked(SeqNum(0)), SeqNum(900));
    }

    #[test]
    fn a_copy_of_what_arrived_is_in_flight_until_all_is_lost() {
        let mut board = Scoreboard::default();
        for n in 0..2 {
            board.push(piece(n * 100, 100, n.into()));
            board.mark_lost(n as usize);
            board.sent_again(
                n as usize,
                Instant::from_millis(5),
                MSS,
                Snapshot::default(),
            );
        }
        // The loss was none: the original is reported, the copy still under way.
        board.clear_lost();
        board.mark_sacked(1);
        assert_eq!(board.pipe(), 300);
        board.mark_all_lost(|_| true);
        assert_eq!(board.pipe(), 0);
        check(&board);
    }

    #[test]
    fn those_sent_first_are_judged_first() {
        let mut board = Scoreboard::default();
        for n in 0..4 {
            board.push(piece(n * 100, 100, u64::from(n)));
        }
        board.mark_lost(0);
        board.sent_again(0, Instant::from_millis(10), MSS, Snapshot::default());
        let mut seen = Vec::new();
        let deadline = Instant::from_millis(2);
        board.judge(|p| p.sent_at < deadline, |p| seen.push(p.start.0));
        assert_eq!(seen, [100]);
        // The copy is looked at when its time comes.
        board.judge(|_| true, |p| seen.push(p.start.0));
        assert_eq!(seen, [100, 200, 300, 0]);
        check(&board);
    }

    proptest! {
        #[test]
        fn the_counts_are_those_of_the_pieces(
            steps in proptest::collection::vec((0u8..9, 0u32..2000, 1u32..900), 1..80),
        ) {
            let mut board = Scoreboard::default();
            let (mut una, mut nxt) = (SeqNum(u32::MAX - 700), SeqNum(u32::MAX - 700));
            for (n, (what, a, b)) in steps.into_iter().enumerate() {
                let now = Instant::from_millis(n as u64);
                let index = (a as usize) % board.len().max(1);
                let has = !board.is_empty();
                match what {
                    0 | 1 => {
                        board.push(Piece { fin: false, ..piece(nxt.0, b, n as u64) });
                        nxt += b;
                    }
                    2 => {
                        una += a % (una.bytes_to(nxt) + 1);
                        board.acknowledge(una, |_| {});
                    }
                    3 if has => board.mark_sacked(index),
                    4 if has && !board.pieces[index].sacked => board.mark_lost(index),
                    5 => if let Some(due) = board.next_due() {
                        board.sent_again(due, now, 40 + b, Snapshot::default());
                    },
                    6 if has => {
                        let p = board.pieces[index];
                        if p.len() > p.mss {
                            board.split(index, p.start + p.mss);
                        }
                    }
                    7 => board.judge(|p| p.start.0 % 3 == 0, |_| {}),
                    8 if has => {
                        if b < 100 {
                            board.clear_sacked();
                        } else if b < 200 {
                            board.clear_lost();
                        } else {
                            board.join(index);
                        }
                    }
                    _ => {}
                }
                check(&board);
            }
        }
    }
}
