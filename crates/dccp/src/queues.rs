//! Messages that wait: to be sent, and to be read.

use sockeye_core::{Instant, Payload};
use std::collections::VecDeque;

/// Bytes that a message counts for beyond its own, so that empty ones count too.
const OVERHEAD: usize = 256;

/// Messages to be sent, in order.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    messages: VecDeque<Payload>,
    bytes: usize,
}

impl SendQueue {
    /// Whether one more of `len` bytes may wait: an empty queue takes one of any size. `most` messages
    /// wait at the most, unless it is 0.
    pub(crate) fn has_room(&self, len: usize, limit: usize, most: u32) -> bool {
        let few = most == 0 || self.messages.len() < most as usize;
        few && (self.messages.is_empty() || self.bytes + len + OVERHEAD <= limit)
    }

    pub(crate) fn push(&mut self, message: Payload) {
        self.bytes += cost(&message);
        self.messages.push_back(message);
    }

    pub(crate) fn pop(&mut self) -> Option<Payload> {
        let message = self.messages.pop_front()?;
        self.bytes -= cost(&message);
        Some(message)
    }

    /// Bytes of the next one.
    pub(crate) fn next_len(&self) -> Option<usize> {
        self.messages.front().map(len)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// What it costs.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A message that was received.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) data: Payload,
    pub(crate) len: usize,
    pub(crate) pinned: usize,
    pub(crate) at: Instant,
}

/// Messages to be read, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct ReceiveQueue {
    messages: VecDeque<Message>,
    pinned: usize,
}

impl ReceiveQueue {
    /// Adds a message; false when there is no room for it.
    pub(crate) fn push(&mut self, message: Message, limit: usize) -> bool {
        let cost = message.pinned + OVERHEAD;
        if !self.messages.is_empty() && self.pinned + cost > limit {
            return false;
        }
        self.pinned += cost;
        self.messages.push_back(message);
        true
    }

    pub(crate) fn front(&self) -> Option<&Message> {
        self.messages.front()
    }

    pub(crate) fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.pinned -= message.pinned + OVERHEAD;
        Some(message)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn pinned(&self) -> usize {
        self.pinned
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn len(message: &Payload) -> usize {
    message.iter().map(|slice| slice.len()).sum()
}

fn cost(message: &Payload) -> usize {
    len(message) + OVERHEAD
}
