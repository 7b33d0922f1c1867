//! Deadlines. A socket keeps one [`TimerSlot`] and arms it for the earliest of its deadlines.

use crate::{Handle, Instant, InterfaceId};
use std::collections::BTreeMap;

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A socket's: [`Transport::on_timeout`](crate::Transport::on_timeout) is called.
    Socket(Handle),
    /// An interface's: neighbours, duplicate address detection.
    Interface(InterfaceId),
    /// The internet layer's: reassembly, rate limits.
    Inet,
}

/// One owner's place in [`Timers`].
#[derive(Debug, Default)]
pub struct TimerSlot(Option<(Instant, u64)>);

impl TimerSlot {
    /// The moment it is armed for. Still says so after it fired, until armed anew.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.map(|(at, _)| at)
    }
}

/// All deadlines of a node, fired in order of time, equal ones in order of arming.
#[derive(Debug, Default)]
pub struct Timers {
    queue: BTreeMap<(Instant, u64), Owner>,
    armed: u64,
}

impl Timers {
    /// Arms `slot` for `at`, wherever it was armed for before.
    pub fn arm(&mut self, slot: &mut TimerSlot, owner: Owner, at: Instant) {
        if let Some(key) = slot.0 {
            if key.0 == at && self.queue.contains_key(&key) {
                return;
            }
            self.queue.remove(&key);
        }
        let key = (at, self.armed);
        self.armed += 1;
        self.queue.insert(key, owner);
        slot.0 = Some(key);
    }

    /// Arms `slot` for `at` or `None`.
    pub fn set(&mut self, slot: &mut TimerSlot, owner: Owner, at: Option<Instant>) {
        match at {
            Some(at) => self.arm(slot, owner, at),
            None => self.disarm(slot),
        }
    }

    /// Takes `slot` out.
    pub fn disarm(&mut self, slot: &mut TimerSlot) {
        if let Some(key) = slot.0.take() {
            self.queue.remove(&key);
        }
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the next owner whose deadline is not after `now`.
    pub fn expire(&mut self, now: Instant) -> Option<Owner> {
        let entry = self.queue.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// How many are armed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none is armed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
