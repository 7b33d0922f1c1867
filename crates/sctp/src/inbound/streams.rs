//! The order of messages within their streams (RFC 9260 §6.5, §6.6).
//!
//! A stream exists here once its first ordered message has arrived. It knows the position of the
//! next message (its number, not wrapped) and holds those that are complete and came early.

use super::{Arrived, Delivered, Ready};
use std::collections::BTreeMap;

/// Where numbering starts: far enough from 0 for anything late to have a position.
const START: u64 = 1 << 32;

/// The inbound streams of an association.
/// RFC 9260 §6.6-1, §6.6-2.
#[derive(Debug)]
pub(super) struct Streams {
    count: u16,
    streams: BTreeMap<u16, Stream>,
    /// Messages that wait, and their bytes.
    waiting: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Stream {
    /// The position of the next message to be delivered.
    next: u64,
    early: BTreeMap<u64, Delivered>,
}

impl Stream {
    /// RFC 9260 §1.6, RFC 8260 §2.1: numbers of 16 bits, or of 32 where messages interleave, wrap.
    fn position(&self, number: u32, interleaved: bool) -> u64 {
        let ahead = if interleaved {
            number.wrapping_sub(self.next as u32) as i32
        } else {
            i32::from((number as u16).wrapping_sub(self.next as u16) as i16)
        };
        self.next.saturating_add_signed(i64::from(ahead))
    }
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            next: START,
            early: BTreeMap::new(),
        }
    }
}

impl Streams {
    pub(super) const fn new(count: u16) -> Self {
        Self {
            count,
            streams: BTreeMap::new(),
            waiting: 0,
            bytes: 0,
        }
    }

    pub(super) const fn count(&self) -> u16 {
        self.count
    }

    pub(super) fn add(&mut self, more: u16) -> bool {
        let sum = self.count.checked_add(more);
        self.count = sum.unwrap_or(self.count);
        sum.is_some()
    }

    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether an ordered message has not had its turn; unordered ones always are awaited.
    pub(super) fn is_awaited(&self, arrived: &Arrived) -> bool {
        arrived.unordered || self.is_ahead(arrived.stream, arrived.number, arrived.interleaved)
    }

    /// Whether the ordered message is the next or a later one.
    pub(super) fn is_ahead(&self, stream: u16, number: u32, interleaved: bool) -> bool {
        match self.streams.get(&stream) {
            Some(stream) => stream.position(number, interleaved) >= stream.next,
            None => Stream::default().position(number, interleaved) >= START,
        }
    }

    /// Whether it is the turn of the ordered message.
    pub(super) fn is_next(&self, stream: u16, number: u32, interleaved: bool) -> bool {
        match self.streams.get(&stream) {
            Some(stream) => stream.position(number, interleaved) == stream.next,
            None => number == 0,
        }
    }

    /// Takes a complete message: delivers it and those that waited for it, or has it wait.
    pub(super) fn complete(&mut self, message: Delivered, interleaved: bool, ready: &mut Ready) {
        // RFC 9260 §6.6: unordered messages wait for nobody.
        if message.unordered {
            ready.push(message);
            return;
        }
        let stream = self.streams.entry(message.stream).or_default();
        let position = stream.position(message.number, interleaved);
        if position == stream.next {
            stream.next += 1;
            let id = message.stream;
            ready.push(message);
            self.deliver_stream(id, ready);
        } else if position > stream.next {
            let len = message.len();
            // A second message of one number is no message of the stream.
            if let std::collections::btree_map::Entry::Vacant(slot) = stream.early.entry(position) {
                slot.insert(message);
                self.waiting += 1;
                self.bytes += len;
            }
        }
    }

    /// Delivers what has waited for its turn.
    fn deliver_stream(&mut self, id: u16, ready: &mut Ready) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        while let Some(message) = stream.early.remove(&stream.next) {
            stream.next += 1;
            self.waiting -= 1;
            self.bytes -= message.len();
            ready.push(message);
        }
    }

    /// RFC 3758 §3.6: the ordered messages of a stream up to `number` are given up. Those among
    /// them that are complete are delivered, in order.
    pub(super) fn skip(&mut self, id: u16, number: u32, interleaved: bool, ready: &mut Ready) {
        if id >= self.count {
            return;
        }
        let stream = self.streams.entry(id).or_default();
        let position = stream.position(number, interleaved);
        if position < stream.next {
            return;
        }
        let later = stream.early.split_off(&(position + 1));
        let stranded = std::mem::replace(&mut stream.early, later);
        stream.next = position + 1;
        for message in stranded.into_values() {
            self.waiting -= 1;
            self.bytes -= message.len();
            ready.push(message);
        }
        self.deliver_stream(id, ready);
    }

    /// RFC 6525 §5.2.2: numbers start at 0 again on these streams, or on all. What is complete and
    /// waited is delivered: the peer has sent all that it had before.
    pub(super) fn reset(&mut self, ids: &[u16], ready: &mut Ready) {
        let reset: Vec<u16> = if ids.is_empty() {
            self.streams.keys().copied().collect()
        } else {
            ids.to_vec()
        };
        for id in reset {
            for message in self
                .streams
                .remove(&id)
                .map(|stream| stream.early)
                .unwrap_or_default()
                .into_values()
            {
                self.waiting -= 1;
                self.bytes -= message.len();
                ready.push(message);
            }
        }
    }
}
