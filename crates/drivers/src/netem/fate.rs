//! What becomes of each packet, told to a capture beside the stage.

use crate::queue::lock;
use crate::watched::Direction;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// Fates that wait to be asked for at most. Who asks does so after each call.
const FATES_MAX: usize = 1 << 20;

bitflags::bitflags! {
    /// What the stage has done to a packet.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Fate: u8 {
        /// Lost by chance.
        const LOST = 1;
        /// Sent: it went twice. Received: it is one of two.
        const DUPLICATED = 2;
        /// A bit was flipped.
        const CORRUPTED = 4;
        /// It went at once, before others.
        const REORDERED = 8;
        /// Marked with CE.
        const MARKED = 16;
        /// Dropped, as the limit was reached.
        const OVER_LIMIT = 32;
    }
}

impl Fate {
    /// In words; `None` when nothing was done.
    #[must_use]
    pub fn comment(self) -> Option<String> {
        let words = [
            (Self::LOST, "lost"),
            (Self::DUPLICATED, "duplicated"),
            (Self::CORRUPTED, "corrupted"),
            (Self::REORDERED, "sent before others"),
            (Self::MARKED, "marked with CE"),
            (Self::OVER_LIMIT, "dropped, the queue being full"),
        ];
        let words: Vec<&str> = words
            .iter()
            .filter(|(fate, _)| self.contains(*fate))
            .map(|(_, word)| *word)
            .collect();
        (!words.is_empty()).then(|| format!("netem: {}", words.join(", ")))
    }
}

/// The fates of the packets that a [`Netem`](super::Netem) takes and gives, one for each, in order.
/// Clones are handles to the same ones.
#[derive(Clone, Debug, Default)]
pub struct Fates([Arc<Mutex<VecDeque<Fate>>>; 2]);

impl Fates {
    fn queue(&self, direction: Direction) -> &Mutex<VecDeque<Fate>> {
        match direction {
            Direction::Outbound => &self.0[0],
            Direction::Inbound => &self.0[1],
        }
    }

    pub(super) fn push(&self, direction: Direction, fate: Fate) {
        let mut fates = lock(self.queue(direction));
        if fates.len() < FATES_MAX {
            fates.push_back(fate);
        }
    }

    /// That of the next wire packet; `None` of one that the stage passed on without a look.
    #[must_use]
    pub fn next(&self, direction: Direction) -> Option<Fate> {
        lock(self.queue(direction)).pop_front()
    }
}
