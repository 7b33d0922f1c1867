//! Text that arrived in order and waits for the user.
//!
//! Slices of received packets are kept as they are; small ones are gathered in one buffer, so that
//! a peer that sends single bytes does not make us keep a packet for each.

use crate::arrivals::Arrivals;
use bytes::{Bytes, BytesMut};
use sockeye_core::{Instant, Payload};
use std::collections::VecDeque;

/// Slices below this are gathered, bytes.
const GATHERED_BELOW: usize = 512;
/// Size of the buffers that they are gathered in.
const GATHER_LEN: usize = 4096;

/// In-order text not yet read.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct ReceiveQueue {
    #[serde(skip)]
    slices: VecDeque<Bytes>,
    /// What follows the slices and may still grow.
    #[serde(skip)]
    tail: BytesMut,
    len: usize,
    /// Bytes of memory that the slices keep, as their packets said; what was read of a slice
    /// still counts until the queue is empty or the share is given back in proportion.
    pinned: usize,
    #[serde(skip)]
    arrivals: Option<Box<Arrivals>>,
}

impl ReceiveQueue {
    /// Bytes to read.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of memory kept.
    pub(crate) fn pinned(&self) -> usize {
        self.pinned + self.tail.capacity()
    }

    /// Whether nothing is in it, nor remembered of what was.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.len == 0 && self.pinned == 0 && self.arrivals.is_none()
    }

    /// Appends text that keeps `pinned` bytes of memory; `arrived` is told where somebody asks for it.
    pub(crate) fn push(&mut self, text: Payload, pinned: usize, arrived: Option<Instant>) {
        let len: usize = text.iter().map(Bytes::len).sum();
        if arrived.is_some() && self.arrivals.is_none() {
            self.arrivals = Some(Box::new(Arrivals::after(self.len)));
        }
        if let Some(arrivals) = &mut self.arrivals {
            arrivals.note(len, arrived);
        }
        self.len += len;
        if len < GATHERED_BELOW && !self.is_first(len) {
            for slice in text {
                self.gather(&slice);
            }
            return;
        }
        self.seal();
        self.pinned += pinned;
        self.slices.extend(text);
    }

    /// Copies up to `out.len()` bytes out; they are gone then.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> usize {
        let mut done = 0;
        while done < out.len() {
            self.turn_tail();
            let Some(first) = self.slices.front_mut() else {
                break;
            };
            let n = first.len().min(out.len() - done);
            out[done..done + n].copy_from_slice(&first[..n]);
            if n == first.len() {
                self.slices.pop_front();
            } else {
                let _ = first.split_to(n);
            }
            done += n;
        }
        self.taken(done);
        done
    }

    /// Drops up to `n` bytes.
    pub(crate) fn skip(&mut self, n: usize) {
        let mut left = n;
        while left > 0
            && let Some(bytes) = self.read_bytes(left)
        {
            left -= bytes.len();
        }
    }

    /// Copies up to `out.len()` bytes out and leaves them there; the first `skip` are left out.
    pub(crate) fn peek(&self, skip: usize, out: &mut [u8]) -> usize {
        let mut done = 0;
        let mut skip = skip;
        for slice in self.slices.iter().map(|s| &s[..]).chain([&self.tail[..]]) {
            let (skipped, slice) = slice.split_at(skip.min(slice.len()));
            skip -= skipped.len();
            let n = slice.len().min(out.len() - done);
            out[done..done + n].copy_from_slice(&slice[..n]);
            done += n;
        }
        done
    }

    /// Takes up to `max` bytes that lie together, without copying; `None` when there are none.
    pub(crate) fn read_bytes(&mut self, max: usize) -> Option<Bytes> {
        self.turn_tail();
        let first = self.slices.front_mut()?;
        let bytes = if first.len() <= max {
            self.slices.pop_front()?
        } else {
            first.split_to(max)
        };
        self.taken(bytes.len());
        Some(bytes)
    }

    /// The user has looked at byte `n`, counted from the front.
    pub(crate) fn was_seen(&mut self, n: usize) {
        if let Some(arrivals) = &mut self.arrivals {
            arrivals.seen(n);
        }
    }

    /// When the byte arrived that was read or peeked at last, where that was asked for then.
    pub(crate) fn last_arrival(&self) -> Option<Instant> {
        self.arrivals.as_ref()?.last()
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Copies everything into buffers of just its size: the last means against a queue that keeps
    /// far more memory than it holds bytes.
    pub(crate) fn compact(&mut self) {
        self.seal();
        let mut whole = BytesMut::with_capacity(self.len);
        for slice in self.slices.drain(..) {
            whole.extend_from_slice(&slice);
        }
        if !whole.is_empty() {
            self.slices.push_back(whole.freeze());
        }
        self.pinned = self.len;
    }

    /// Whether a small slice may stay as it is: it is alone, and about to be read.
    fn is_first(&self, len: usize) -> bool {
        self.len == len
    }

    fn gather(&mut self, slice: &[u8]) {
        if self.tail.capacity() - self.tail.len() < slice.len() {
            self.seal();
            self.tail = BytesMut::with_capacity(GATHER_LEN.max(slice.len()));
        }
        self.tail.extend_from_slice(slice);
    }

    /// Makes the tail a slice when all before it is read.
    fn turn_tail(&mut self) {
        if self.slices.is_empty() {
            self.seal();
        }
    }

    fn seal(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        let full = core::mem::take(&mut self.tail);
        self.pinned += full.capacity();
        self.slices.push_back(full.freeze());
    }

    /// `n` bytes have gone, and with them their share of the memory.
    fn taken(&mut self, n: usize) {
        if n == 0 {
            return;
        }
        if let Some(arrivals) = &mut self.arrivals {
            arrivals.read(n);
        }
        let held = self.len - self.tail.len();
        self.len -= n;
        if self.len == 0 {
            if self.slices.capacity() > 8 {
                self.slices = VecDeque::new();
            }
            self.tail = BytesMut::new();
            self.pinned = 0;
            return;
        }
        let rest = held.saturating_sub(n);
        self.pinned = match (self.pinned as u64 * rest as u64).checked_div(held as u64) {
            Some(share) => usize::try_from(share).unwrap_or(usize::MAX),
            None => 0,
        };
    }
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

    #[test]
    fn single_bytes_are_gathered() {
        let mut queue = ReceiveQueue::default();
        for byte in 0..=255u8 {
            queue.push(payload(&[byte]), 2048, None);
        }
        assert_eq!(queue.len(), 256);
        assert!(queue.pinned() < 8192, "{}", queue.pinned());
        let mut out = [0; 300];
        assert_eq!(queue.peek(250, &mut out), 6);
        assert_eq!(out[0], 250);
        assert_eq!(queue.peek(0, &mut out), 256);
        assert_eq!(queue.read(&mut out), 256);
        assert_eq!(out[200], 200);
        assert_eq!((queue.len(), queue.pinned()), (0, 0));
    }

    proptest! {
        #[test]
        fn is_a_queue_of_bytes(
            steps in proptest::collection::vec((0u8..7, 0usize..2000), 1..80)
        ) {
            let mut queue = ReceiveQueue::default();
            let mut model = VecDeque::new();
            let mut next = 0u8;
            for (what, n) in steps {
                match what {
                    0 | 1 => {
                        let n = if what == 0 { n } else { n % 20 };
                        let data: Vec<u8> = (0..n).map(|_| { next = next.wrapping_add(1); next }).collect();
                        if !data.is_empty() {
                            queue.push(payload(&data), n + 100, None);
                        }
                        model.extend(data);
                    }
                    2 => {
                        let mut out = vec![0; n];
                        let got = queue.read(&mut out);
                        let want: Vec<u8> = model.drain(..n.min(model.len())).collect();
                        prop_assert_eq!(&out[..got], &want[..]);
                    }
                    3 => match queue.read_bytes(n.max(1)) {
                        Some(bytes) => {
                            prop_assert!(!bytes.is_empty() && bytes.len() <= n.max(1));
                            let want: Vec<u8> = model.drain(..bytes.len()).collect();
                            prop_assert_eq!(&bytes[..], &want[..]);
                        }
                        None => prop_assert!(model.is_empty()),
                    },
                    4 => {
                        queue.skip(n);
                        model.drain(..n.min(model.len()));
                    }
                    5 => {
                        let mut out = [0; 100];
                        let got = queue.peek(n, &mut out);
                        let want: Vec<u8> = model.iter().skip(n).take(100).copied().collect();
                        prop_assert_eq!(&out[..got], &want[..]);
                    }
                    _ => {
                        queue.compact();
                        prop_assert!(queue.pinned() <= queue.len());
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
            }
        }
    }
}
