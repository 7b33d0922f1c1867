//! What the user has sent and the peer has not acknowledged.
//!
//! User data is copied once, into chunks; segments and retransmissions are slices of them. Small
//! writes fill up the last chunk. Chunks go as they are acknowledged, so that an idle connection
//! holds none.

use bytes::{Bytes, BytesMut};
use sockeye_core::Payload;
use sockeye_wire::SeqNum;
use std::collections::VecDeque;
use std::io::IoSlice;

/// The largest chunk, bytes.
pub(crate) const CHUNK_MAX: usize = 64 * 1024;
/// The smallest, so that many small writes share one.
const CHUNK_MIN: usize = 512;
/// Slices that one segment is made of; were there more, they are copied together: single bytes
/// that were sent one by one and have to go again.
const SLICES_MAX: usize = 32;

#[derive(Debug)]
struct Chunk {
    /// Position of its first byte in the stream of everything ever queued.
    at: u64,
    bytes: Bytes,
}

/// The unacknowledged and unsent part of the outgoing stream.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct SendQueue {
    #[serde(skip)]
    chunks: VecDeque<Chunk>,
    /// What follows the chunks and may still grow.
    #[serde(skip)]
    tail: BytesMut,
    /// Position of the first byte held, and its sequence number.
    at: u64,
    start: SeqNum,
    len: u32,
}

impl SendQueue {
    /// An empty queue whose next byte has sequence number `start`.
    pub(crate) fn new(start: SeqNum) -> Self {
        Self {
            start,
            ..Self::default()
        }
    }

    /// Sequence number of the first byte held.
    pub(crate) fn start(&self) -> SeqNum {
        self.start
    }

    /// Sequence number behind the last byte held: that of the FIN.
    pub(crate) fn end(&self) -> SeqNum {
        self.start + self.len
    }

    /// Bytes held.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Bytes of memory kept, but for what is acknowledged of the first chunk.
    pub(crate) fn pinned(&self) -> usize {
        self.len as usize + self.tail.capacity() - self.tail.len()
    }

    /// Copies up to `room` bytes of `data` in; returns how many.
    pub(crate) fn push(&mut self, data: &[IoSlice<'_>], room: usize) -> usize {
        let mut left = data.iter().map(|d| d.len()).sum::<usize>().min(room);
        let taken = left;
        for slice in data {
            let mut slice = &slice[..slice.len().min(left)];
            left -= slice.len();
            while !slice.is_empty() {
                let free = self.tail.capacity() - self.tail.len();
                if free == 0 {
                    self.seal();
                    // As much as follows now, or as the queue shows to be its user's pace.
                    let wanted = (slice.len() + left).max(self.len as usize / 2);
                    self.tail = BytesMut::with_capacity(wanted.clamp(CHUNK_MIN, CHUNK_MAX));
                    continue;
                }
                let (now, later) = slice.split_at(free.min(slice.len()));
                self.tail.extend_from_slice(now);
                self.grow(now.len());
                slice = later;
            }
        }
        taken
    }

    /// Takes `bytes` in without copying them, unless they are so few that a chunk of their own would
    /// cost more than that.
    pub(crate) fn push_bytes(&mut self, bytes: Bytes) {
        if bytes.len() < CHUNK_MIN {
            self.push(&[IoSlice::new(&bytes)], bytes.len());
            return;
        }
        self.seal();
        let at = self.at + u64::from(self.len);
        self.grow(bytes.len());
        self.chunks.push_back(Chunk { at, bytes });
    }

    /// Bytes acknowledged so far.
    pub(crate) fn position(&self) -> u64 {
        self.at
    }

    /// The `len` bytes from `seq` on, shared.
    pub(crate) fn slice(&mut self, seq: SeqNum, len: u32) -> Payload {
        let mut out = Payload::new();
        let offset = self.start.bytes_to(seq);
        debug_assert!(offset.checked_add(len).is_some_and(|end| end <= self.len));
        let mut at = self.at + u64::from(offset);
        let mut left = len as usize;
        if at + u64::from(len) > self.sealed_end() {
            self.seal();
        }
        let mut index = self.chunks.partition_point(|chunk| chunk.at <= at);
        while left > 0
            && let Some(chunk) = self.chunks.get(index.saturating_sub(1))
        {
            let from = usize::try_from(at - chunk.at).unwrap_or(usize::MAX);
            let to = chunk.bytes.len().min(from.saturating_add(left));
            out.push(chunk.bytes.slice(from..to));
            at += (to - from) as u64;
            left -= to - from;
            index += 1;
        }
        if out.len() > SLICES_MAX {
            let whole = Bytes::from(out.concat());
            out.clear();
            out.push(whole);
        }
        out
    }

    /// Drops what lies before `ack`; returns how many bytes that is.
    pub(crate) fn acknowledge(&mut self, ack: SeqNum) -> u32 {
        if !ack.after(self.start) {
            return 0;
        }
        let acked = self.start.bytes_to(ack).min(self.len);
        self.start += acked;
        self.at += u64::from(acked);
        self.len -= acked;
        if self.len == 0 {
            // An idle connection holds no memory.
            self.tail = BytesMut::new();
            self.chunks.clear();
            if self.chunks.capacity() > 8 {
                self.chunks = VecDeque::new();
            }
            return acked;
        }
        while let Some(first) = self.chunks.front_mut() {
            let old = usize::try_from(self.at.saturating_sub(first.at)).unwrap_or(usize::MAX);
            if old < first.bytes.len() {
                // What is left keeps the chunk, which is accounted by what is left of it.
                let _ = first.bytes.split_to(old);
                first.at += old as u64;
                return acked;
            }
            self.chunks.pop_front();
        }
        let old = usize::try_from(self.at - self.tail_at()).unwrap_or(usize::MAX);
        let _ = self.tail.split_to(old.min(self.tail.len()));
        acked
    }

    /// Drops everything, and the numbers with it.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.end());
    }

    fn grow(&mut self, n: usize) {
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        self.len = self
            .len
            .checked_add(n)
            .expect("a send buffer is far below 4 GiB");
    }

    /// Position behind the last sealed chunk.
    fn sealed_end(&self) -> u64 {
        self.at + u64::from(self.len) - self.tail.len() as u64
    }

    fn tail_at(&self) -> u64 {
        self.chunks.back().map_or(
            self.at + u64::from(self.len) - self.tail.len() as u64,
            |c| c.at + c.bytes.len() as u64,
        )
    }

    /// Makes the tail a chunk that segments may share; its spare room stays the tail's.
    fn seal(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        let at = self.sealed_end();
        let bytes = self.tail.split().freeze();
        self.chunks.push_back(Chunk { at, bytes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slices(data: &[u8]) -> [IoSlice<'_>; 1] {
        [IoSlice::new(data)]
    }

    #[test]
    fn small_writes_share_a_chunk_and_nothing_is_held_when_all_is_acknowledged() {
        let mut queue = SendQueue::new(SeqNum(u32::MAX - 1));
        for _ in 0..10 {
            assert_eq!(queue.push(&slices(b"abcd"), 100), 4);
        }
        let all = queue.slice(SeqNum(u32::MAX - 1), 40);
        assert_eq!(all.len(), 1);
        assert_eq!(queue.push(&slices(b"efgh"), 3), 3);
        let two = queue.slice(SeqNum(0), 41);
        assert_eq!(two.concat().len(), 41);
        assert_eq!(queue.acknowledge(queue.end()), 43);
        assert_eq!((queue.len(), queue.tail.capacity()), (0, 0));
        assert_eq!(queue.end(), SeqNum(41));
    }

    #[test]
    fn a_segment_is_made_of_few_slices() {
        let mut queue = SendQueue::new(SeqNum(0));
        for n in 0..1000u32 {
            queue.push(&slices(&[n as u8]), 1);
            assert_eq!(queue.slice(SeqNum(n), 1).concat(), [n as u8]);
        }
        let all = queue.slice(SeqNum(0), 1000);
        assert_eq!((all.len(), all[0][999]), (1, 231));
    }

    proptest! {
        #[test]
        fn every_slice_is_what_was_written(
            start: u32,
            steps in proptest::collection::vec((0u8..4, 0usize..3000, 0usize..3000), 1..60),
        ) {
            let mut queue = SendQueue::new(SeqNum(start));
            let mut model = VecDeque::new();
            let mut next = 0u8;
            for (what, a, b) in steps {
                match what {
                    0 | 1 => {
                        let data: Vec<u8> = (0..a).map(|_| { next = next.wrapping_add(1); next }).collect();
                        if what == 0 {
                            prop_assert_eq!(queue.push(&slices(&data), usize::MAX), a);
                        } else {
                            queue.push_bytes(Bytes::from(data.clone()));
                        }
                        model.extend(data);
                    }
                    2 => {
                        let n = a.min(model.len());
                        model.drain(..n);
                        prop_assert_eq!(queue.acknowledge(queue.start() + n as u32) as usize, n);
                    }
                    _ => {
                        let from = a.min(model.len());
                        let len = b.min(model.len() - from);
                        let got = queue.slice(queue.start() + from as u32, len as u32).concat();
                        let want: Vec<u8> = model.range(from..from + len).copied().collect();
                        prop_assert_eq!(got, want);
                    }
                }
                prop_assert_eq!(queue.len() as usize, model.len());
            }
        }
    }
}
