//! Which packets have arrived: what an Ack Vector tells (RFC 4340 §11.4), what became of their data
//! (§11.7), and what keeps a duplicate from being delivered twice.

use smallvec::SmallVec;
use sockeye_wire::dccp::Seq;
use sockeye_wire::dccp::options::{
    DATA_MAX, DROPPED_MAX, Meaning, NORMAL_MAX, RUN_MAX, ack_state, block, run,
};
use std::collections::VecDeque;

/// Packets that are remembered. What is older is taken for a duplicate.
pub(crate) const HISTORY_MAX: usize = 4096;
/// Acknowledgements of ours whose own acknowledgement is waited for: those of a round trip by the largest
/// window and an Ack Ratio of two.
const ACKS_MAX: usize = HISTORY_MAX / 2;
/// RFC 4341 §5: NUMDUPACK, packets that come later than one that is lost.
const LATER: usize = 3;
/// Ack Vectors of one packet.
const VECTORS_MAX: usize = 2;

/// Why the data of a packet was not delivered (RFC 4340 §11.7, table 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drop {
    /// It may not be where it was.
    Protocol = 0,
    /// Nobody listens any more.
    NotListening = 1,
    /// There was no room.
    Buffer = 2,
    /// It is corrupt.
    Corrupt = 3,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    state: u8,
    dropped: Option<Drop>,
}

const MISSING: Entry = Entry {
    state: ack_state::NOT_RECEIVED,
    dropped: None,
};

/// Packets received, the newest first.
#[derive(Debug, Default)]
pub(crate) struct History {
    newest: Seq,
    entries: VecDeque<Entry>,
    /// The Acknowledgement Window (RFC 4340 §11.4.2): how many of the newest entries the peer may
    /// not have heard of.
    window: usize,
    /// Acknowledgements that were sent: their number, and what was the newest then.
    acks: VecDeque<(Seq, Seq)>,
}

impl History {
    /// Whether a packet was received already, or is older than anyone remembers.
    pub(crate) fn has(&self, seq: Seq) -> bool {
        if self.entries.is_empty() || seq.after(self.newest) {
            return false;
        }
        let back = self.back(seq);
        match self.entries.get(back) {
            Some(entry) => entry.state != ack_state::NOT_RECEIVED,
            // Before the first one, nothing has come.
            None => back >= HISTORY_MAX,
        }
    }

    /// A packet was received. True when it came out of order: packets before it are missing, or it
    /// was missing itself.
    pub(crate) fn received(&mut self, seq: Seq, marked: bool) -> bool {
        // RFC 4340 §11.4-1, §11.4-2 and §11.4-9: CE is State 1, all else State 0, whatever becomes
        // of the data.
        let state = match marked {
            true => ack_state::MARKED,
            false => ack_state::RECEIVED,
        };
        let entry = Entry {
            state,
            dropped: None,
        };
        if self.entries.is_empty() || seq.after(self.newest) {
            let ahead = match self.entries.is_empty() {
                true => 1,
                false => self.newest.packets_to(seq),
            };
            let missing = usize::try_from(ahead - 1).unwrap_or(usize::MAX);
            for _ in 0..missing.min(HISTORY_MAX) {
                self.entries.push_front(MISSING);
            }
            self.entries.push_front(entry);
            self.window = self.window.saturating_add(missing).saturating_add(1);
            self.newest = seq;
            self.entries.truncate(HISTORY_MAX);
            self.window = self.window.min(self.entries.len());
            return missing > 0;
        }
        let back = self.back(seq);
        if back >= HISTORY_MAX {
            return true;
        }
        while self.entries.len() <= back {
            self.entries.push_back(MISSING);
        }
        if let Some(old) = self.entries.get_mut(back) {
            *old = entry;
        }
        self.window = self.window.max(back + 1);
        true
    }

    /// RFC 4341 §6.1.1: whether a packet counts as lost now that the newest one is `ahead` further: three
    /// later ones were received.
    pub(crate) fn lost(&self, ahead: u64) -> bool {
        let ahead = usize::try_from(ahead).unwrap_or(usize::MAX);
        let mut passed = self.entries.iter().skip(LATER).take(ahead);
        passed.any(|entry| entry.state == ack_state::NOT_RECEIVED)
    }

    /// RFC 4340 §11.3: whether the newest packets may show a loss: one of those before them is missing, and
    /// its sender waits for three that came later.
    pub(crate) fn shows_a_hole(&self) -> bool {
        let before = self.entries.iter().skip(1).take(LATER);
        { before }.any(|entry| entry.state == ack_state::NOT_RECEIVED)
    }

    /// The data of a received packet did not reach the application.
    pub(crate) fn dropped(&mut self, seq: Seq, why: Drop) {
        let back = self.back(seq);
        if let Some(entry) = self.entries.get_mut(back)
            && !seq.after(self.newest)
        {
            entry.dropped = Some(why);
        }
    }

    /// An acknowledgement with Ack Vector left as packet `seq`.
    pub(crate) fn told(&mut self, seq: Seq) {
        if self.acks.len() >= ACKS_MAX {
            self.acks.pop_front();
        }
        self.acks.push_back((seq, self.newest));
    }

    /// The peer has received our packet `seq`: of what that told, it need not be told again.
    pub(crate) fn acknowledged(&mut self, seq: Seq) {
        // They are in the order of their numbers.
        let at = self.acks.partition_point(|(ack, _)| ack.before(seq));
        if self.acks.get(at).is_none_or(|(ack, _)| *ack != seq) {
            return;
        }
        let (_, newest) = self.acks[at];
        self.acks.drain(..=at);
        let still = usize::try_from(newest.packets_to(self.newest)).unwrap_or(usize::MAX);
        self.window = self.window.min(still.max(1));
    }

    /// Packets that acknowledgements tell of.
    #[cfg(test)]
    pub(crate) fn window(&self) -> usize {
        self.window
    }

    /// The runs of the Acknowledgement Window, the newest first.
    pub(crate) fn vector(&self) -> SmallVec<[u8; 32]> {
        let mut vector = SmallVec::new();
        let mut open: Option<(u8, u8)> = None;
        for entry in self.entries.iter().take(self.window) {
            open = Some(match open {
                Some((state, n)) if state == entry.state && n < RUN_MAX => (state, n + 1),
                _ => {
                    vector.extend(open.map(|(state, n)| run(state, n)));
                    (entry.state, 1)
                }
            });
            if vector.len() >= VECTORS_MAX * DATA_MAX {
                return vector;
            }
        }
        vector.extend(open.map(|(state, n)| run(state, n)));
        vector
    }

    /// Appends Ack Vectors, and Data Dropped where anything was.
    pub(crate) fn write(&self, out: &mut impl Extend<u8>) {
        for vector in self.vector().chunks(DATA_MAX) {
            let nonce = false;
            Meaning::AckVector { nonce, vector }.write(out);
        }
        self.write_dropped(out);
    }

    /// RFC 4340 §11.7: the blocks up to the oldest packet of the window whose data was dropped.
    /// RFC 4340 §11.7-3 and §11.7-6: in Drop Blocks is what was received, all else in Normal
    /// Blocks.
    pub(crate) fn write_dropped(&self, out: &mut impl Extend<u8>) {
        let window = self.entries.iter().take(self.window);
        let Some(last) = window.clone().rposition(|entry| entry.dropped.is_some()) else {
            return;
        };
        let mut blocks: SmallVec<[u8; 32]> = SmallVec::new();
        let mut open: Option<(Option<u8>, u8)> = None;
        for entry in window.take(last + 1) {
            let code = entry.dropped.map(|why| why as u8);
            let max = if code.is_some() {
                DROPPED_MAX
            } else {
                NORMAL_MAX
            };
            open = Some(match open {
                Some((same, n)) if same == code && n < max => (same, n + 1),
                _ => {
                    blocks.extend(open.map(|(code, n)| block(code, n)));
                    (code, 1)
                }
            });
            if blocks.len() >= DATA_MAX - 1 {
                break;
            }
        }
        blocks.extend(open.map(|(code, n)| block(code, n)));
        Meaning::DataDropped(&blocks).write(out);
    }

    /// How many packets before the newest one `seq` is.
    fn back(&self, seq: Seq) -> usize {
        usize::try_from(seq.packets_to(self.newest)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sockeye_wire::dccp::options::runs;
    use std::collections::BTreeSet;

    fn after(seqs: &[u64]) -> History {
        let mut history = History::default();
        for &seq in seqs {
            history.received(Seq::new(seq), false);
        }
        history
    }

    /// RFC 4340 §11.4: the example.
    /// RFC 4340 §11.4-1, §11.4-2 and §12.1-1: the states.
    #[test]
    fn the_example_of_the_rfc() {
        let mut history = after(&[88, 89, 90, 91, 92, 93]);
        history.received(Seq::new(94), true);
        for seq in [95, 96, 97, 98, 100] {
            history.received(Seq::new(seq), false);
        }
        assert_eq!(history.vector().as_slice(), [0, 192, 3, 64, 5]);
    }

    /// RFC 4340 §11.7: the example, but for the packet that it counts twice.
    /// RFC 4340 §11.7-6: Normal Blocks for all else.
    #[test]
    fn dropped_data_is_told_by_blocks() {
        let seqs: Vec<u64> = (90..=100).collect();
        let mut history = after(&seqs);
        for seq in [99, 94, 93, 92] {
            history.dropped(Seq::new(seq), Drop::Buffer);
        }
        let mut out = Vec::new();
        history.write_dropped(&mut out);
        assert_eq!(out, [40, 6, 0, 160, 3, 162]);
    }

    /// RFC 4340 §11.4.2: the window shrinks by acknowledgements of acknowledgements.
    #[test]
    fn what_the_peer_has_heard_is_not_told_again() {
        let mut history = after(&[1, 2, 3]);
        history.told(Seq::new(900));
        history.received(Seq::new(5), false);
        assert_eq!(history.window(), 5);
        history.acknowledged(Seq::new(901));
        assert_eq!(history.window(), 5);
        history.acknowledged(Seq::new(900));
        assert_eq!(history.vector().as_slice(), [0, 192]);
        assert!(history.has(Seq::new(3)) && !history.has(Seq::new(4)));
    }

    /// RFC 4341 §6.2: by a window of thousands of packets, too, the peer's acknowledgements lag by a round
    /// trip, and find what they acknowledge.
    #[test]
    fn a_long_round_trip_of_acknowledgements_is_remembered() {
        let mut history = History::default();
        let (lag, mut longest) = (1000, 0);
        for n in 0..20_000 {
            history.received(Seq::new(2 * n), false);
            history.received(Seq::new(2 * n + 1), false);
            history.told(Seq::new(n));
            assert!(history.acks.len() <= ACKS_MAX);
            // The peer acknowledges what is newest there every 64 packets.
            if n % 32 == 0 && n > lag {
                history.acknowledged(Seq::new(n - lag));
            }
            if n > 2 * lag {
                longest = longest.max(history.window());
            }
        }
        assert!(longest < HISTORY_MAX, "{longest}");
    }

    #[test]
    fn a_leap_costs_no_more_than_the_limit() {
        let mut history = after(&[1]);
        history.received(Seq::new(1 << 40), false);
        assert_eq!(history.entries.len(), HISTORY_MAX);
        assert!(history.has(Seq::new(1)));
        assert!(!history.has(Seq::new((1 << 40) - 1)));
    }

    proptest! {
        #[test]
        fn vectors_tell_what_arrived(seqs in proptest::collection::vec(0u64..300, 1..100)) {
            let mut history = History::default();
            let mut model = BTreeSet::new();
            for &seq in &seqs {
                prop_assert_eq!(history.has(Seq::new(seq)), model.contains(&seq));
                history.received(Seq::new(seq), false);
                model.insert(seq);
            }
            let newest = *model.iter().max().unwrap();
            let mut at = newest + 1;
            for (state, n) in runs(&history.vector()) {
                for _ in 0..n {
                    at -= 1;
                    prop_assert_eq!(state == 0, model.contains(&at));
                }
            }
            prop_assert_eq!(at, *model.iter().min().unwrap());
        }
    }
}
