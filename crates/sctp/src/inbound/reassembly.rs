//! Fragments become messages (RFC 9260 §6.9, RFC 8260 §2.2.3).
//!
//! A *run* is a piece of a message without a hole. DATA's fragments have consecutive TSNs, so the
//! runs of all messages share one space of positions; I-DATA's are numbered within their message,
//! so each message is a space of its own. One ordered map holds both. A fragment joins the run
//! before it and the one behind it: O(log n), where the shorter of two runs moves.

use super::streams::Streams;
use super::{Arrived, Delivered, PartialAborted};
use bytes::Bytes;
use smallvec::SmallVec;
use std::collections::{BTreeMap, VecDeque};

/// What is not longer is copied behind its neighbour: it must not hold the packet that it came in.
const COPIED_MAX: usize = 256;

/// Where a run lies: in which space, and where there. DATA's space has the message (0, false, 0).
/// RFC 9260 §6-6, §6.9-1, §6.9-13.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    interleaved: bool,
    /// Stream, unordered, message identifier.
    message: (u16, bool, u32),
    at: u64,
}

/// Where a fragment stands among the TSNs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment {
    pub(super) position: u64,
    /// It is DATA, and the TSN before it has arrived.
    pub(super) follows_seen: bool,
    /// It is DATA, and the TSN behind it has arrived.
    pub(super) precedes_seen: bool,
}

/// What came of a fragment.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A message is complete, or the rest of one that is delivered in parts.
    Message(Delivered),
    /// It waits for others.
    Kept(Grown),
    /// Its message was given up.
    Dropped,
    /// It contradicts its neighbours.
    Violation,
}

/// A run that has grown.
#[derive(Debug)]
pub(super) struct Grown {
    pub(super) key: Key,
    /// Bytes in it when it is the message's beginning, else 0.
    pub(super) bytes: usize,
}

/// A piece of a message without a hole.
#[derive(Debug)]
struct Run {
    /// Fragments in it, those that were delivered already among them.
    count: u64,
    bytes: usize,
    stream: u16,
    number: u32,
    unordered: bool,
    ppid: u32,
    /// TSN of the fragment that started it.
    tsn: u32,
    /// It has the message's first fragment.
    begin: bool,
    /// It has the message's last fragment.
    end: bool,
    /// A part of it was delivered.
    started: bool,
    pieces: VecDeque<Piece>,
}

#[derive(Debug)]
enum Piece {
    Slice(Bytes),
    Copied(Vec<u8>),
}

/// Incomplete messages.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    runs: BTreeMap<Key, Run>,
    bytes: usize,
}

impl Reassembly {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Whether a chunk would be one run, or message, more.
    pub(super) fn would_add(&self, arrived: &Arrived, position: u64) -> bool {
        let key = key(arrived, position);
        self.before(&key).is_none() && !self.runs.contains_key(&key.next())
    }

    /// The key of the run that ends just before `key`.
    fn before(&self, key: &Key) -> Option<Key> {
        let start = Key { at: 0, ..*key };
        let (found, run) = self.runs.range(start..*key).next_back()?;
        (found.at + run.count == key.at).then_some(*found)
    }

    /// Takes a fragment, or a whole message.
    pub(super) fn insert(&mut self, arrived: Arrived, fragment: Fragment) -> Outcome {
        let (begin, end) = (arrived.begin, arrived.end);
        if begin && end && (self.runs.is_empty() || arrived.interleaved) {
            return Outcome::Message(whole(arrived));
        }
        let key = key(&arrived, fragment.position);
        let arrived = match self.go_on(arrived, key, fragment) {
            Ok(outcome) => return outcome,
            Err(arrived) => arrived,
        };
        let (before, after) = (self.before(&key), self.after(&key));
        if self.contradicts(&arrived, before.as_ref(), after.as_ref()) {
            return Outcome::Violation;
        }
        if begin && end {
            return Outcome::Message(whole(arrived));
        }
        // RFC 9260 §6.9: the fragments of a message have consecutive TSNs. If its neighbour has
        // arrived and is in no run, the message was given up.
        let orphan = (!begin && fragment.follows_seen && before.is_none())
            || (!end && fragment.precedes_seen && after.is_none());
        if orphan {
            return Outcome::Dropped;
        }
        // A run beside it may be another message's end or beginning.
        let begins = |key: &Key| self.runs.get(key).is_some_and(|run| run.begin);
        let before = before.filter(|_| !begin);
        let after = after.filter(|key| !end && !begins(key));
        self.join(arrived, key, before, after)
    }

    /// Takes a fragment that goes on where the last run ends, as most do: there is nothing behind it,
    /// and it contradicts nothing. Gives back all others.
    fn go_on(
        &mut self,
        arrived: Arrived,
        key: Key,
        fragment: Fragment,
    ) -> Result<Outcome, Arrived> {
        let Some(mut last) = self.runs.last_entry() else {
            return Err(arrived);
        };
        let (at, run) = (*last.key(), last.get_mut());
        let next = Key {
            at: at.at + run.count,
            ..at
        };
        let orphan = !arrived.end && fragment.precedes_seen;
        if next != key || arrived.begin || run.end || orphan || !run.is_of(&arrived) {
            return Err(arrived);
        }
        self.bytes += arrived.payload.len();
        run.push_back(arrived);
        if run.begin && run.end {
            let run = last.remove();
            self.bytes -= run.bytes;
            return Ok(Outcome::Message(run.into_delivered()));
        }
        let bytes = if run.begin { run.bytes } else { 0 };
        Ok(Outcome::Kept(Grown { key: at, bytes }))
    }

    fn after(&self, key: &Key) -> Option<Key> {
        let next = key.next();
        self.runs.contains_key(&next).then_some(next)
    }

    /// Whether the runs on both sides cannot be if the fragment is.
    fn contradicts(&self, arrived: &Arrived, before: Option<&Key>, after: Option<&Key>) -> bool {
        let run = |key: Option<&Key>| key.and_then(|key| self.runs.get(key));
        let bad_before = run(before).is_some_and(|run| {
            // A run that lacks its end goes on in the next fragment, unless its sender has given the
            // message up (RFC 3758 §3.5 A3); one that has it does not.
            !arrived.begin && (run.end || !run.is_of(arrived))
        });
        let bad_after =
            run(after).is_some_and(|run| !run.begin && (arrived.end || !run.is_of(arrived)));
        // A message that interleaves begins at fragment 0, and nowhere else.
        let bad_start = arrived.interleaved && arrived.begin != (arrived.fsn == 0);
        bad_before || bad_after || bad_start || self.overlaps(arrived)
    }

    /// Whether an interleaved fragment is there already, or lies behind its message's end.
    fn overlaps(&self, arrived: &Arrived) -> bool {
        if !arrived.interleaved {
            return false;
        }
        let key = key(arrived, 0);
        let start = Key { at: 0, ..key };
        let last = Key {
            at: u64::MAX,
            ..key
        };
        let held = self.runs.range(start..=key).next_back();
        let inside = held.is_some_and(|(at, run)| run.end || at.at + run.count > key.at);
        let behind = arrived.end && self.runs.range(key..=last).next().is_some();
        inside || behind
    }

    /// Puts the fragment into the runs on both sides, as far as they are there.
    fn join(
        &mut self,
        arrived: Arrived,
        key: Key,
        before: Option<Key>,
        after: Option<Key>,
    ) -> Outcome {
        self.bytes += arrived.payload.len();
        let mut at = key;
        let mut run = match before.and_then(|key| self.runs.remove_entry(&key)) {
            Some((key, mut run)) => {
                at = key;
                run.push_back(arrived);
                run
            }
            None => Run::new(arrived),
        };
        if let Some(tail) = after.and_then(|key| self.runs.remove(&key)) {
            run.append(tail);
        }
        if run.begin && run.end {
            self.bytes -= run.bytes;
            return Outcome::Message(run.into_delivered());
        }
        let bytes = if run.begin { run.bytes } else { 0 };
        self.runs.insert(at, run);
        Outcome::Kept(Grown { key: at, bytes })
    }

    /// The run with the most bytes that is the beginning of a message whose turn it is.
    pub(super) fn longest_beginning(&self, streams: &Streams) -> Option<Key> {
        let turns = self
            .runs
            .iter()
            .filter(|(key, run)| run.bytes > 0 && run.has_turn(key, streams));
        turns.max_by_key(|(_, run)| run.bytes).map(|(key, _)| *key)
    }

    /// Takes what there is of the beginning of a message, if it is its turn.
    pub(super) fn take_part(&mut self, key: &Key, streams: &Streams) -> Option<Delivered> {
        let run = self.runs.get_mut(key)?;
        if run.bytes == 0 || !run.has_turn(key, streams) {
            return None;
        }
        self.bytes -= run.bytes;
        Some(run.take_part())
    }

    /// RFC 3758 §3.6: drops the runs of DATA that begin at or below `position`, what would go on
    /// from there, and what belongs to messages that `streams` no longer awaits.
    pub(super) fn drop_tsns(
        &mut self,
        position: u64,
        streams: &Streams,
        aborted: &mut VecDeque<PartialAborted>,
    ) {
        let is_dead = |key: &Key, run: &Run| {
            !key.interleaved
                && (key.at <= position
                    || (key.at == position + 1 && !run.begin)
                    || (!run.unordered && !streams.is_ahead(run.stream, run.number, false)))
        };
        self.drop_where(is_dead, aborted);
    }

    /// Drops the interleaved messages of a stream up to `mid`.
    pub(super) fn drop_messages(
        &mut self,
        stream: u16,
        unordered: bool,
        mid: u32,
        aborted: &mut VecDeque<PartialAborted>,
    ) {
        let whole = |mid, at| Key {
            interleaved: true,
            message: (stream, unordered, mid),
            at,
        };
        let keys = self.runs.range(whole(0, 0)..=whole(u32::MAX, u64::MAX));
        let dead: Vec<Key> = keys
            .map(|(key, _)| *key)
            .filter(|key| mid.wrapping_sub(key.message.2) as i32 >= 0)
            .collect();
        self.drop_runs(&dead, aborted);
    }

    /// Drops all that is incomplete on these streams, or on all when none is named.
    pub(super) fn drop_streams(&mut self, streams: &[u16], aborted: &mut VecDeque<PartialAborted>) {
        self.drop_where(
            |_, run| streams.is_empty() || streams.contains(&run.stream),
            aborted,
        );
    }

    fn drop_where(
        &mut self,
        is_dead: impl Fn(&Key, &Run) -> bool,
        aborted: &mut VecDeque<PartialAborted>,
    ) {
        let runs = self.runs.iter().filter(|(key, run)| is_dead(key, run));
        let dead: Vec<Key> = runs.map(|(key, _)| *key).collect();
        self.drop_runs(&dead, aborted);
    }

    fn drop_runs(&mut self, keys: &[Key], aborted: &mut VecDeque<PartialAborted>) {
        for key in keys {
            if let Some(run) = self.runs.remove(key) {
                self.bytes -= run.bytes;
                run.abort(aborted);
            }
        }
    }
}

impl Key {
    const fn next(&self) -> Self {
        Self {
            at: self.at + 1,
            ..*self
        }
    }
}

fn key(arrived: &Arrived, position: u64) -> Key {
    if arrived.interleaved {
        Key {
            interleaved: true,
            message: (arrived.stream, arrived.unordered, arrived.number),
            at: u64::from(arrived.fsn),
        }
    } else {
        Key {
            interleaved: false,
            message: (0, false, 0),
            at: position,
        }
    }
}

fn whole(arrived: Arrived) -> Delivered {
    Delivered {
        stream: arrived.stream,
        number: arrived.number,
        ppid: arrived.ppid,
        tsn: arrived.tsn,
        unordered: arrived.unordered,
        begin: true,
        end: true,
        data: SmallVec::from_buf([arrived.payload]),
    }
}

impl Run {
    fn new(arrived: Arrived) -> Self {
        let mut run = Self {
            count: 0,
            bytes: 0,
            stream: arrived.stream,
            number: arrived.number,
            unordered: arrived.unordered,
            ppid: arrived.ppid,
            tsn: arrived.tsn,
            begin: arrived.begin,
            end: false,
            started: false,
            pieces: VecDeque::new(),
        };
        run.push_back(arrived);
        run
    }

    /// Whether it is a piece of the same message as a fragment.
    fn is_of(&self, arrived: &Arrived) -> bool {
        self.stream == arrived.stream
            && self.unordered == arrived.unordered
            && (self.number == arrived.number || (self.unordered && !arrived.interleaved))
    }

    /// Whether it is the beginning of a message that may be delivered now.
    fn has_turn(&self, key: &Key, streams: &Streams) -> bool {
        self.begin && (self.unordered || streams.is_next(self.stream, self.number, key.interleaved))
    }

    fn push_back(&mut self, arrived: Arrived) {
        self.count += 1;
        self.end = arrived.end;
        self.push_piece(Piece::Slice(arrived.payload));
    }

    fn push_piece(&mut self, piece: Piece) {
        self.bytes += piece.bytes().len();
        if piece.bytes().len() > COPIED_MAX {
            self.pieces.push_back(piece);
            return;
        }
        match self.pieces.back_mut() {
            Some(Piece::Copied(copy)) => copy.extend_from_slice(piece.bytes()),
            _ => self.pieces.push_back(Piece::Copied(piece.bytes().to_vec())),
        }
    }

    /// Puts the run that lies behind this one into it; the one with fewer pieces moves.
    fn append(&mut self, mut tail: Self) {
        self.count += tail.count;
        self.end = tail.end;
        if tail.pieces.len() <= self.pieces.len() {
            for piece in tail.pieces {
                self.push_piece(piece);
            }
            return;
        }
        self.bytes += tail.bytes;
        while let Some(piece) = self.pieces.pop_back() {
            tail.pieces.push_front(piece);
        }
        self.pieces = tail.pieces;
    }

    /// What there is of it; the run stays, to be continued.
    fn take_part(&mut self) -> Delivered {
        let begin = !self.started;
        self.started = true;
        self.bytes = 0;
        let pieces = std::mem::take(&mut self.pieces);
        Delivered {
            stream: self.stream,
            number: self.number,
            ppid: self.ppid,
            tsn: self.tsn,
            unordered: self.unordered,
            begin,
            end: self.end,
            data: pieces.into_iter().map(Piece::into_bytes).collect(),
        }
    }

    fn into_delivered(mut self) -> Delivered {
        self.take_part()
    }

    fn abort(self, aborted: &mut VecDeque<PartialAborted>) {
        if self.started {
            aborted.push_back(PartialAborted {
                stream: self.stream,
                number: self.number,
                unordered: self.unordered,
            });
        }
    }
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Slice(bytes) => bytes,
            Self::Copied(bytes) => bytes,
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Slice(bytes) => bytes,
            Self::Copied(bytes) => bytes.into(),
        }
    }
}
