//! Calls on datagrams that come twice: executed once (RFC 5531 §4).
//!
//! A caller that hears nothing sends the same call again, under the same number. The server
//! remembers what it answered, and says it again.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Answers that are remembered.
pub const ENTRIES_MAX: usize = 4096;
/// Bytes of them.
pub const BYTES_MAX: usize = 8 << 20;
/// For how long: longer than anybody repeats a call.
pub const LIFETIME: Duration = Duration::from_secs(120);

/// Tells calls apart: from where, under which number, and what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    from: SocketAddr,
    xid: u32,
    /// A caller that starts anew may use a number again for something else.
    said: u64,
}

/// What to do with a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is new: execute it and say [`DuplicateCache::done`].
    New,
    /// It is being executed: the answer will come.
    InProgress,
    /// It was executed: this was the answer.
    Done(Arc<[u8]>),
    /// Every entry is a call in execution: there is no room for another.
    Full,
}

#[derive(Debug)]
struct Entry {
    answer: Option<Arc<[u8]>>,
    at: Instant,
}

/// What was done with the calls that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DuplicateCounters {
    /// Calls that had not been seen.
    pub new: u64,
    /// Calls that were answered from memory.
    pub answered_again: u64,
    /// Calls that came again while they were executed.
    pub in_progress: u64,
    /// Answers that were forgotten before their time, for want of room.
    pub evicted: u64,
    /// Calls that were dropped, for want of room.
    pub full: u64,
}

/// The answers to calls, for as long as they may be asked for again.
#[derive(Debug)]
pub struct DuplicateCache {
    entries: BTreeMap<Key, Entry>,
    /// In the order of their answers.
    answered: VecDeque<Key>,
    bytes: usize,
    entries_max: usize,
    bytes_max: usize,
    hasher: RandomState,
    counters: DuplicateCounters,
}

impl Default for DuplicateCache {
    fn default() -> Self {
        Self::new(ENTRIES_MAX, BYTES_MAX)
    }
}

impl DuplicateCache {
    /// Remembers `entries_max` answers, of `bytes_max` bytes together, at most.
    #[must_use]
    pub fn new(entries_max: usize, bytes_max: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            answered: VecDeque::new(),
            bytes: 0,
            entries_max,
            bytes_max,
            hasher: RandomState::new(),
            counters: DuplicateCounters::default(),
        }
    }

    /// What was done so far.
    #[must_use]
    pub fn counters(&self) -> DuplicateCounters {
        self.counters
    }

    /// The key of the call `message` from `from`, which begins with its number.
    #[must_use]
    pub fn key(&self, from: SocketAddr, message: &[u8]) -> Option<Key> {
        let (xid, rest) = message.split_first_chunk()?;
        Some(Key {
            from,
            xid: u32::from_be_bytes(*xid),
            said: self.hasher.hash_one(rest),
        })
    }

    /// What to do with the call.
    pub fn look(&mut self, key: Key, now: Instant) -> Verdict {
        self.forget_old(now);
        match self.entries.get(&key) {
            Some(Entry {
                answer: Some(answer),
                ..
            }) => {
                self.counters.answered_again += 1;
                return Verdict::Done(answer.clone());
            }
            Some(_) => {
                self.counters.in_progress += 1;
                return Verdict::InProgress;
            }
            None => {}
        }
        if self.entries.len() >= self.entries_max && !self.evict() {
            self.counters.full += 1;
            return Verdict::Full;
        }
        self.counters.new += 1;
        let entry = Entry {
            answer: None,
            at: now,
        };
        self.entries.insert(key, entry);
        Verdict::New
    }

    /// The answer to the call; none at all, if it gets none: then it is new again.
    pub fn done(&mut self, key: Key, answer: Option<Arc<[u8]>>, now: Instant) {
        let Some(answer) = answer else {
            self.entries.remove(&key);
            return;
        };
        self.bytes += answer.len();
        let entry = Entry {
            answer: Some(answer),
            at: now,
        };
        self.entries.insert(key, entry);
        self.answered.push_back(key);
        while self.bytes > self.bytes_max && self.evict() {}
    }

    /// Forgets the oldest answer.
    fn evict(&mut self) -> bool {
        let forgot = self.forget_first();
        self.counters.evicted += u64::from(forgot);
        forgot
    }

    fn forget_first(&mut self) -> bool {
        let Some(key) = self.answered.pop_front() else {
            return false;
        };
        let answer = self.entries.remove(&key).and_then(|entry| entry.answer);
        self.bytes -= answer.map_or(0, |answer| answer.len());
        true
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some(first) = self.answered.front() {
            let young = |e: &Entry| now.saturating_duration_since(e.at) < LIFETIME;
            if self.entries.get(first).is_some_and(young) {
                break;
            }
            self.forget_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from() -> SocketAddr {
        "10.0.0.1:700".parse().unwrap()
    }

    fn call(xid: u32, said: &[u8]) -> Vec<u8> {
        [&xid.to_be_bytes(), said].concat()
    }

    #[test]
    fn a_call_is_executed_once_and_answered_often() {
        let (mut cache, now) = (DuplicateCache::default(), Instant::now());
        let key = cache.key(from(), &call(1, b"add")).unwrap();
        assert_eq!(cache.look(key, now), Verdict::New);
        assert_eq!(cache.look(key, now), Verdict::InProgress);
        cache.done(key, Some(b"4"[..].into()), now);
        for _ in 0..3 {
            assert_eq!(cache.look(key, now), Verdict::Done(b"4"[..].into()));
        }
        let other = cache.key(from(), &call(1, b"sub")).unwrap();
        assert_eq!(
            cache.look(other, now),
            Verdict::New,
            "the number, used again"
        );
        let later = now + LIFETIME;
        assert_eq!(
            cache.look(key, later),
            Verdict::New,
            "after its time is over"
        );
    }

    #[test]
    fn what_was_not_answered_is_new_again() {
        let (mut cache, now) = (DuplicateCache::default(), Instant::now());
        let key = cache.key(from(), &call(1, b"add")).unwrap();
        assert_eq!(cache.look(key, now), Verdict::New);
        cache.done(key, None, now);
        assert_eq!(cache.look(key, now), Verdict::New);
    }

    #[test]
    fn entries_and_bytes_have_their_limit() {
        let (mut cache, now) = (DuplicateCache::new(3, 10), Instant::now());
        let keys: Vec<Key> = (0..5)
            .map(|xid| cache.key(from(), &call(xid, b"")).unwrap())
            .collect();
        for key in &keys[..3] {
            assert_eq!(cache.look(*key, now), Verdict::New);
        }
        assert_eq!(cache.look(keys[3], now), Verdict::Full);
        for key in &keys[..3] {
            cache.done(*key, Some(b"four"[..].into()), now);
        }
        // Twelve bytes are too many: the first is forgotten.
        assert_eq!(cache.look(keys[0], now), Verdict::New);
        assert_eq!(cache.look(keys[3], now), Verdict::New);
        assert_eq!(cache.counters().evicted, 2);
        assert_eq!(cache.counters().full, 1);
        assert!(cache.entries.len() <= 3 && cache.bytes <= 10);
    }
}
