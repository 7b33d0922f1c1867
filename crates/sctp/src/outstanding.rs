//! What was sent and is not acknowledged cumulatively: TSNs, and what SACKs say of them
//! (RFC 9260 §6.2.1, §6.7, §7.2.4).
//!
//! TSNs are mapped to positions that never wrap. Each SACK costs what is new in it: positions that
//! it acknowledges for the first time, and positions that it shows to be missing for the third time.
//! The latter are found without counting for each TSN: a chunk is missing three times when three
//! SACKs have newly acknowledged something behind it, that is, when it lies below the third highest
//! of all their highest newly acknowledged TSNs (HTNA).

use crate::outbound::Fragment;
use core::ops::Range;
use smallvec::SmallVec;
use sockeye_core::RangeSet;
use std::collections::VecDeque;

/// RFC 9260 §7.2.4: a chunk is sent again when so many SACKs have missed it.
const MISSES: usize = 3;

/// A chunk's fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// On its way.
    InFlight,
    /// In a gap block: it has arrived, though the receiver may drop it again.
    Acked,
    /// To be sent again.
    Lost,
    /// Given up (RFC 3758).
    Abandoned,
}

/// A chunk that was sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) fragment: Fragment,
    pub(crate) path: u8,
    pub(crate) fate: Fate,
    /// It has been sent so many times.
    pub(crate) transmissions: u16,
}

/// What a SACK said, by path.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PathReport {
    /// Bytes of chunks acknowledged for the first time.
    pub(crate) acked: u64,
    /// Bytes of these that were in flight.
    pub(crate) left_flight: u64,
    /// Bytes of chunks found missing: they are not in flight any more.
    pub(crate) lost: u64,
    /// Bytes that are in flight again: the receiver has dropped them.
    pub(crate) reneged: u64,
    /// The highest position acknowledged, plus one.
    pub(crate) highest: u64,
    /// The lowest position acknowledged.
    pub(crate) lowest: Option<u64>,
    /// Chunks found missing.
    pub(crate) lost_chunks: u32,
}

/// What a SACK said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) paths: SmallVec<[PathReport; 4]>,
    /// The cumulative TSN moved on.
    pub(crate) advanced: bool,
    /// Bytes of user data that left the queue.
    pub(crate) released: usize,
}

/// A SACK that can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nonsense {
    /// Its cumulative TSN lies before what was acknowledged: it is old (RFC 9260 §6.2.1 D i).
    Old,
    /// It acknowledges what was never sent.
    Unsent,
    /// A gap block ends before it begins, or lies beyond what was sent.
    Gaps,
}

/// Chunks sent and not acknowledged cumulatively.
#[derive(Debug)]
pub(crate) struct Outstanding {
    queue: VecDeque<Sent>,
    /// TSN of the first in the queue, or the next to be sent.
    first: u32,
    /// Its position.
    base: u64,
    /// Positions in gap blocks.
    acked: RangeSet,
    /// Positions to be sent again.
    lost: RangeSet,
    /// The highest three HTNAs; the last is the third highest.
    htna: [u64; MISSES],
    /// Below this, what is missing has been found.
    judged: u64,
    /// Bytes of user data in flight.
    flight: u64,
    /// Bytes of user data in the queue.
    held: usize,
    header_len: usize,
}

impl Outstanding {
    /// Nothing; the first chunk gets `initial`. `header_len` is that of DATA or of I-DATA.
    /// RFC 9260 §5.1-14.
    pub(crate) fn new(initial: u32, header_len: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            first: initial,
            base: 0,
            acked: RangeSet::default(),
            lost: RangeSet::default(),
            htna: [0; MISSES],
            judged: 0,
            flight: 0,
            held: 0,
            header_len,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// The TSN of the next new chunk.
    pub(crate) fn next_tsn(&self) -> u32 {
        self.first.wrapping_add(self.len_u32())
    }

    fn len_u32(&self) -> u32 {
        u32::try_from(self.queue.len()).unwrap_or(u32::MAX)
    }

    /// The Cumulative TSN Ack Point: all up to it are acknowledged.
    pub(crate) fn cumulative(&self) -> u32 {
        self.first.wrapping_sub(1)
    }

    /// Bytes of user data in flight.
    pub(crate) fn flight(&self) -> u64 {
        self.flight
    }

    /// Bytes of user data kept.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// The position behind the last chunk.
    pub(crate) fn end(&self) -> u64 {
        self.base + self.queue.len() as u64
    }

    /// The position of the first.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    pub(crate) fn get(&self, position: u64) -> Option<&Sent> {
        let at = position.checked_sub(self.base)?;
        self.queue.get(usize::try_from(at).ok()?)
    }

    fn get_mut(&mut self, position: u64) -> Option<&mut Sent> {
        let at = position.checked_sub(self.base)?;
        self.queue.get_mut(usize::try_from(at).ok()?)
    }

    /// TSN of a position in the queue, or of its end.
    /// RFC 9260 §6.9-10.
    pub(crate) fn tsn(&self, position: u64) -> u32 {
        let offset = u32::try_from(position.saturating_sub(self.base)).unwrap_or(u32::MAX);
        self.first.wrapping_add(offset)
    }

    /// Bytes of a chunk on the wire, padding included.
    pub(crate) fn wire_len(&self, fragment: &Fragment) -> u64 {
        (self.header_len + fragment.data.len()).next_multiple_of(4) as u64
    }

    /// A new chunk goes out.
    pub(crate) fn push(&mut self, fragment: Fragment, path: u8) -> u64 {
        let position = self.end();
        self.flight += fragment.data.len() as u64;
        self.held += fragment.data.len();
        self.queue.push_back(Sent {
            fragment,
            path,
            fate: Fate::InFlight,
            transmissions: 1,
        });
        position
    }

    /// The first chunk that is to be sent again, at or behind `from`.
    pub(crate) fn next_lost(&self, from: u64) -> Option<u64> {
        if from <= self.base {
            return self.lost.iter().next().map(|range| range.start);
        }
        match self.lost.range_at(from) {
            Some(_) => Some(from),
            None => self
                .lost
                .iter()
                .map(|r| r.start)
                .find(|&start| start >= from),
        }
    }

    pub(crate) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// The lost chunk at `position`, which is the first lost one or follows one taken before, goes out
    /// again by `path`.
    pub(crate) fn resend(&mut self, position: u64, path: u8) {
        if self.lost.range_at(position).is_none() {
            return;
        }
        self.lost.remove(position..position + 1);
        let mut len = 0;
        if let Some(sent) = self.get_mut(position) {
            sent.fate = Fate::InFlight;
            sent.path = path;
            sent.transmissions = sent.transmissions.saturating_add(1);
            len = sent.fragment.data.len() as u64;
        }
        self.flight += len;
    }

    /// T3-rtx ran out on `path` (RFC 9260 §6.3.3): all that is in flight there is lost. Says how many
    /// chunks, and how many bytes on the wire.
    pub(crate) fn lose_path(&mut self, path: u8) -> (u32, u64) {
        let (mut chunks, mut bytes) = (0, 0);
        for position in self.base..self.end() {
            let here = self
                .get(position)
                .is_some_and(|sent| sent.path == path && sent.fate == Fate::InFlight);
            if here {
                bytes += self.lose(position);
                chunks += 1;
            }
        }
        (chunks, bytes)
    }

    /// Chunks in flight on `path` that take more than `room` bytes on the wire are to be sent again.
    pub(crate) fn lose_larger(&mut self, path: u8, room: u64) -> (u32, u64) {
        let (mut chunks, mut bytes) = (0, 0);
        for position in self.base..self.end() {
            let here = self.get(position).is_some_and(|sent| {
                sent.path == path
                    && sent.fate == Fate::InFlight
                    && self.wire_len(&sent.fragment) > room
            });
            if here {
                bytes += self.lose(position);
                chunks += 1;
            }
        }
        (chunks, bytes)
    }

    /// Chunks are DATA, or I-DATA.
    pub(crate) fn set_header_len(&mut self, len: usize) {
        self.header_len = len;
    }

    /// The first chunk in flight on `path` at or behind `from`.
    pub(crate) fn first_in_flight(&self, path: u8, from: u64) -> Option<u64> {
        let from = from.max(self.base);
        (from..self.end()).find(|&position| {
            self.get(position)
                .is_some_and(|sent| sent.path == path && sent.fate == Fate::InFlight)
        })
    }

    /// A chunk in flight is to be sent again; says its bytes on the wire.
    fn lose(&mut self, position: u64) -> u64 {
        let Some(sent) = self.get_mut(position) else {
            return 0;
        };
        sent.fate = Fate::Lost;
        let len = sent.fragment.data.len() as u64;
        self.flight -= len;
        self.lost.insert(position..position + 1);
        self.get(position)
            .map_or(0, |sent| self.wire_len(&sent.fragment))
    }

    /// Takes a SACK, or with `gaps` empty and `is_sack` off a SHUTDOWN's cumulative TSN, which says
    /// nothing of gaps (RFC 9260 §3.3.8).
    pub(crate) fn acknowledge(
        &mut self,
        cumulative: u32,
        gaps: impl Iterator<Item = (u16, u16)> + Clone,
        is_sack: bool,
        recovering: bool,
        paths: usize,
    ) -> Result<Report, Nonsense> {
        let count = cumulative.wrapping_sub(self.first).wrapping_add(1);
        if count.cast_signed() < 0 {
            return Err(Nonsense::Old);
        }
        if count > self.len_u32() {
            return Err(Nonsense::Unsent);
        }
        let start = self.base + u64::from(count);
        let blocks = gaps.map(|(from, to)| {
            let first = u64::from(from).checked_sub(1)?;
            let range = start + first..start + u64::from(to);
            (!range.is_empty() && range.end <= self.end()).then_some(range)
        });
        if blocks.clone().any(|block| block.is_none()) {
            return Err(Nonsense::Gaps);
        }
        let blocks: SmallVec<[Range<u64>; 8]> = blocks.flatten().collect();
        let mut report = Report {
            paths: smallvec::smallvec![PathReport::default(); paths],
            advanced: count > 0,
            released: 0,
        };
        let mut newest = None;
        for _ in 0..count {
            if self.pop(&mut report) {
                newest = Some(self.base - 1);
            }
        }
        self.acked.remove_below(self.base);
        self.lost.remove_below(self.base);
        for block in &blocks {
            newest = self.acknowledge_block(block, &mut report).max(newest);
        }
        if is_sack {
            self.look_for_reneging(&blocks, &mut report);
        }
        // RFC 9260 §7.2.4: in fast recovery, a SACK that advances counts for all it misses.
        let highest = blocks.iter().map(|block| block.end - 1).max();
        let htna = match recovering && report.advanced {
            true => highest.max(newest),
            false => newest,
        };
        if let Some(htna) = htna {
            self.count_misses(htna, &mut report);
        }
        Ok(report)
    }

    /// Takes the first chunk out; true when it is acknowledged with that.
    /// RFC 9260 §6.7-1.
    fn pop(&mut self, report: &mut Report) -> bool {
        let Some(sent) = self.queue.pop_front() else {
            return false;
        };
        let position = self.base;
        self.base += 1;
        self.first = self.first.wrapping_add(1);
        let len = sent.fragment.data.len();
        self.held -= len;
        report.released += len;
        if sent.fate == Fate::InFlight {
            self.flight -= len as u64;
        }
        if matches!(sent.fate, Fate::InFlight | Fate::Lost) {
            let wire = self.wire_len(&sent.fragment);
            note(report, &sent, position, wire);
            return true;
        }
        false
    }

    /// Marks what is new in a gap block; says the highest new position.
    fn acknowledge_block(&mut self, block: &Range<u64>, report: &mut Report) -> Option<u64> {
        let mut newest = None;
        let mut cursor = block.start;
        while let Some(gap) = self.acked.first_gap(cursor..block.end) {
            for position in gap.clone() {
                let Some(sent) = self.get(position) else {
                    continue;
                };
                let wire = self.wire_len(&sent.fragment);
                if matches!(sent.fate, Fate::InFlight | Fate::Lost) {
                    note(report, sent, position, wire);
                    newest = Some(position);
                }
                match sent.fate {
                    Fate::InFlight => self.flight -= sent.fragment.data.len() as u64,
                    Fate::Lost => self.lost.remove(position..position + 1),
                    Fate::Acked | Fate::Abandoned => continue,
                }
                if let Some(sent) = self.get_mut(position) {
                    sent.fate = Fate::Acked;
                }
            }
            cursor = gap.end;
        }
        self.acked.insert(block.clone());
        newest
    }

    /// RFC 9260 §6.2.1 D iii: what was in a gap block and is in none now, the receiver has dropped: it
    /// is in flight again, and the timer finds that it is not.
    fn look_for_reneging(&mut self, blocks: &[Range<u64>], report: &mut Report) {
        let mut reported = RangeSet::default();
        let told: u64 = blocks.iter().map(|block| block.end - block.start).sum();
        if told == self.acked.covered() {
            return;
        }
        for block in blocks {
            reported.insert(block.clone());
        }
        let before = core::mem::take(&mut self.acked);
        for range in before.iter() {
            let mut cursor = range.start;
            while let Some(gap) = reported.first_gap(cursor..range.end) {
                for position in gap.clone() {
                    self.take_back(position, report);
                }
                cursor = gap.end;
            }
        }
        self.acked = reported;
    }

    fn take_back(&mut self, position: u64, report: &mut Report) {
        let Some(sent) = self.get_mut(position) else {
            return;
        };
        if sent.fate != Fate::Acked {
            return;
        }
        sent.fate = Fate::InFlight;
        let (path, len) = (sent.path, sent.fragment.data.len() as u64);
        self.flight += len;
        let wire = self
            .get(position)
            .map_or(0, |sent| self.wire_len(&sent.fragment));
        if let Some(path) = report.paths.get_mut(usize::from(path)) {
            path.reneged += wire;
        }
    }

    /// RFC 9260 §7.2.4: what lies below the third highest HTNA is missing for the third time.
    /// RFC 9260 §6.7-2, §6.7-3.
    fn count_misses(&mut self, htna: u64, report: &mut Report) {
        if let Some(place) = self.htna.iter().position(|&other| htna >= other) {
            self.htna[place..].rotate_right(1);
            self.htna[place] = htna;
        }
        let from = self.judged.max(self.base);
        let to = self.htna[MISSES - 1].min(self.end());
        let mut cursor = from;
        while let Some(gap) = self.acked.first_gap(cursor..to) {
            for position in gap.clone() {
                // Step 5: what was sent again is not eligible for a second time.
                let missing = self
                    .get(position)
                    .filter(|sent| sent.fate == Fate::InFlight && sent.transmissions == 1)
                    .map(|sent| usize::from(sent.path));
                if let Some(path) = missing {
                    let bytes = self.lose(position);
                    if let Some(path) = report.paths.get_mut(path) {
                        path.lost += bytes;
                        path.lost_chunks += 1;
                    }
                }
            }
            cursor = gap.end;
        }
        self.judged = self.judged.max(to);
    }

    /// Gives up what is left of a message (RFC 3758 §3.5): says the bytes on the wire by path that
    /// left the flight.
    pub(crate) fn abandon(
        &mut self,
        matches: impl Fn(&Fragment) -> bool,
    ) -> SmallVec<[(u8, u64); 4]> {
        let mut left = SmallVec::new();
        for position in self.base..self.end() {
            let Some(sent) = self.get(position).filter(|sent| matches(&sent.fragment)) else {
                continue;
            };
            let (path, len) = (sent.path, sent.fragment.data.len());
            match sent.fate {
                Fate::InFlight => {
                    left.push((path, self.wire_len(&sent.fragment)));
                    self.flight -= len as u64;
                }
                Fate::Lost => self.lost.remove(position..position + 1),
                Fate::Acked => {}
                Fate::Abandoned => continue,
            }
            if let Some(sent) = self.get_mut(position) {
                sent.fate = Fate::Abandoned;
            }
        }
        left
    }

    /// A TSN that stands for the rest of a message that is given up, and is never sent.
    pub(crate) fn push_abandoned(&mut self, fragment: Fragment, path: u8) {
        self.held += fragment.data.len();
        self.queue.push_back(Sent {
            fragment,
            path,
            fate: Fate::Abandoned,
            transmissions: 0,
        });
    }

    /// How many chunks at the head of the queue are given up (RFC 3758 §3.5 C2).
    pub(crate) fn given_up(&self) -> usize {
        let fates = self.queue.iter().map(|sent| sent.fate);
        fates.take_while(|fate| *fate == Fate::Abandoned).count()
    }

    /// The chunks that are to be sent again.
    pub(crate) fn lost(&self) -> impl Iterator<Item = u64> + '_ {
        self.lost.iter().flatten()
    }

    /// RFC 6525 §5.2.7 H5: new chunks begin at this TSN. Nothing may be kept.
    pub(crate) fn set_next_tsn(&mut self, tsn: u32) {
        if self.queue.is_empty() {
            self.first = tsn;
        }
    }

    /// Paths have other numbers now.
    pub(crate) fn renumber_paths(&mut self, moved: impl Fn(u8) -> u8) {
        for sent in &mut self.queue {
            sent.path = moved(sent.path);
        }
    }

    /// All that is kept, first to last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Sent> {
        self.queue.iter()
    }
}

/// Notes a chunk that is acknowledged for the first time.
fn note(report: &mut Report, sent: &Sent, position: u64, wire: u64) {
    let Some(path) = report.paths.get_mut(usize::from(sent.path)) else {
        return;
    };
    path.acked += wire;
    if sent.fate == Fate::InFlight {
        path.left_flight += wire;
    }
    path.highest = path.highest.max(position + 1);
    path.lowest = Some(path.lowest.unwrap_or(position).min(position));
}
