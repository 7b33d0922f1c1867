//! When the text of a receive queue arrived (SO_TIMESTAMP): kept only while somebody asks for it.

use sockeye_core::Instant;
use std::collections::VecDeque;

/// Stretches of text that are told apart; beyond, the last one grows.
const STRETCHES_MAX: usize = 1024;

/// Text that arrived at one moment.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    len: usize,
    /// `None` before somebody asked.
    at: Option<Instant>,
}

/// When each byte of the queue arrived.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    stretches: VecDeque<Stretch>,
    /// Of the last byte that was read or peeked at.
    last: Option<Instant>,
}

impl Arrivals {
    /// From now on, behind `before` bytes whose time is not known.
    pub(crate) fn after(before: usize) -> Self {
        let mut arrivals = Self::default();
        arrivals.note(before, None);
        arrivals
    }

    /// `len` bytes more have arrived.
    pub(crate) fn note(&mut self, len: usize, at: Option<Instant>) {
        let full = self.stretches.len() >= STRETCHES_MAX;
        match self.stretches.back_mut() {
            Some(last) if last.at == at || full => last.len += len,
            _ if len > 0 => self.stretches.push_back(Stretch { len, at }),
            _ => {}
        }
    }

    /// The user has seen byte `n`, counted from the front of the queue.
    pub(crate) fn seen(&mut self, n: usize) {
        let mut left = n;
        for stretch in &self.stretches {
            if left < stretch.len {
                self.last = stretch.at;
                return;
            }
            left -= stretch.len;
        }
    }

    /// The first `n` bytes are read.
    pub(crate) fn read(&mut self, n: usize) {
        if n > 0 {
            self.seen(n - 1);
        }
        let mut left = n;
        while left > 0
            && let Some(first) = self.stretches.front_mut()
        {
            let gone = first.len.min(left);
            first.len -= gone;
            left -= gone;
            if first.len == 0 {
                self.stretches.pop_front();
            }
        }
    }

    /// When the byte arrived that was seen last.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_counts() {
        let at = Instant::from_millis;
        let mut arrivals = Arrivals::after(10);
        arrivals.note(5, Some(at(1)));
        arrivals.note(5, Some(at(2)));
        arrivals.read(10);
        assert_eq!(arrivals.last(), None);
        arrivals.seen(4);
        assert_eq!(arrivals.last(), Some(at(1)));
        arrivals.seen(9);
        assert_eq!(arrivals.last(), Some(at(2)));
        arrivals.read(5);
        assert_eq!(arrivals.last(), Some(at(1)));
        arrivals.read(5);
        assert_eq!(arrivals.last(), Some(at(2)));
        assert!(arrivals.stretches.is_empty());
    }

    #[test]
    fn there_is_a_limit() {
        let mut arrivals = Arrivals::after(0);
        for n in 0..100_000 {
            arrivals.note(1, Some(Instant::from_millis(n)));
        }
        assert_eq!(arrivals.stretches.len(), STRETCHES_MAX);
        arrivals.read(100_000);
        assert!(arrivals.stretches.is_empty());
    }
}
