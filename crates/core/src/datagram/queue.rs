//! The datagrams that a socket holds until they are read.

use super::Datagram;
use std::collections::VecDeque;

/// Bytes that every queued datagram counts for beyond its payload, so that empty ones count too
/// (on Linux, `struct sk_buff`).
const OVERHEAD: usize = 256;

/// Datagrams, bounded by what they cost.
#[derive(Debug, Default)]
pub struct ReceiveQueue {
    datagrams: VecDeque<Datagram>,
    /// What `datagrams` cost.
    used: usize,
}

impl ReceiveQueue {
    /// Adds a datagram; false when more than `limit` bytes would be pinned. An empty queue takes
    /// one of any size.
    pub fn push(&mut self, datagram: Datagram, limit: usize) -> bool {
        let cost = cost(&datagram);
        if !self.datagrams.is_empty() && self.used.saturating_add(cost) > limit {
            return false;
        }
        self.used = self.used.saturating_add(cost);
        self.datagrams.push_back(datagram);
        true
    }

    /// The next datagram.
    #[must_use]
    pub fn front(&self) -> Option<&Datagram> {
        self.datagrams.front()
    }

    /// A datagram by its place.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&Datagram> {
        self.datagrams.get(number)
    }

    /// All of them, the next one first.
    pub fn iter(&self) -> impl Iterator<Item = &Datagram> {
        self.datagrams.iter()
    }

    /// Takes the next datagram.
    pub fn pop(&mut self) -> Option<Datagram> {
        let datagram = self.datagrams.pop_front()?;
        self.used = self.used.saturating_sub(cost(&datagram));
        Some(datagram)
    }

    /// Drops the datagrams that `keep` does not want.
    pub fn retain(&mut self, keep: impl FnMut(&Datagram) -> bool) {
        self.datagrams.retain(keep);
        self.used = self.datagrams.iter().map(cost).sum();
    }

    /// Bytes of memory that the queue pins.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used
    }
}

fn cost(datagram: &Datagram) -> usize {
    datagram.pinned.saturating_add(OVERHEAD)
}
