//! Messages that wait: to be sent, and to be read.

use sockeye_core::{Instant, Payload};
use std::collections::VecDeque;

/// Bytes that a message counts for beyond its own, so that empty ones count too.
const OVERHEAD: usize = 256;

/// Messages to be sent: the highest priority first, and of one priority in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    messages: VecDeque<(Payload, u32)>,
    bytes: usize,
}

impl SendQueue {
    /// Whether one more of `len` bytes may wait: an empty queue takes one of any size. `most` messages
    /// wait at the most, unless it is 0.
    pub(crate) fn has_room(&self, len: usize, limit: usize, most: u32) -> bool {
        let few = most == 0 || self.messages.len() < most as usize;
        few && (self.messages.is_empty() || self.bytes + len + OVERHEAD <= limit)
    }

    /// Behind all of its priority.
    pub(crate) fn push(&mut self, message: Payload, priority: u32) {
        self.bytes += cost(&message);
        let at = self.messages.partition_point(|(_, p)| *p >= priority);
        self.messages.insert(at, (message, priority));
    }

    pub(crate) fn pop(&mut self) -> Option<Payload> {
        let (message, _) = self.messages.pop_front()?;
        self.bytes -= cost(&message);
        Some(message)
    }

    /// Gives up the oldest of those of the lowest priority while there are `most` or more. How many.
    pub(crate) fn give_up(&mut self, most: u32) -> usize {
        let mut given_up = 0;
        while most > 0 && self.messages.len() >= most as usize {
            let Some((_, lowest)) = self.messages.back() else {
                break;
            };
            let lowest = *lowest;
            let at = self.messages.partition_point(|(_, p)| *p > lowest);
            if let Some((message, _)) = self.messages.remove(at) {
                self.bytes -= cost(&message);
                given_up += 1;
            }
        }
        given_up
    }

    /// Bytes of the next one.
    pub(crate) fn next_len(&self) -> Option<usize> {
        self.messages.front().map(|(message, _)| len(message))
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

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn queue(messages: &[(u8, u32)]) -> SendQueue {
        let mut queue = SendQueue::default();
        for &(byte, priority) in messages {
            queue.push(Payload::from_iter([Bytes::from(vec![byte])]), priority);
        }
        queue
    }

    fn drain(mut queue: SendQueue) -> Vec<u8> {
        let all = core::iter::from_fn(|| queue.pop()).collect::<Vec<_>>();
        assert_eq!(queue.bytes(), 0);
        let bytes = all.iter().flat_map(|message| message.iter());
        bytes.map(|slice| slice[0]).collect()
    }

    #[test]
    fn the_highest_priority_leaves_first() {
        let queue = queue(&[(1, 0), (2, 7), (3, 0), (4, 7), (5, u32::MAX)]);
        assert_eq!(drain(queue), [5, 2, 4, 1, 3]);
    }

    /// As Linux has it: what comes has a place, whatever its own priority.
    #[test]
    fn a_full_queue_gives_up_the_oldest_of_the_lowest() {
        let mut full = queue(&[(1, 5), (2, 3), (3, 3), (4, 9)]);
        assert_eq!((full.give_up(0), full.give_up(5)), (0, 0));
        assert_eq!(full.give_up(4), 1);
        full.push(Payload::from_iter([Bytes::from(vec![6])]), 1);
        assert_eq!(full.give_up(4), 1);
        assert_eq!(full.give_up(3), 1);
        assert_eq!(drain(full), [4, 1]);
    }
}
