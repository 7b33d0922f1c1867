//! Deadlines. A socket keeps one [`TimerSlot`] and arms it for the earliest of its deadlines.
//!
//! They lie in a heap of which every slot knows its place, so that arming anew, which is what most
//! deadlines live to see, moves an entry and allocates nothing. A wheel would arm in constant time
//! but not know its next deadline without a search; simulated time jumps from one to the next.

use crate::{Handle, Instant, InterfaceId};

/// Children of a heap's node: four lie in two cache lines, and halve the height.
const ARITY: usize = 4;
/// The place of an entry that is not armed.
const NOWHERE: u32 = u32::MAX;

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A socket's: [`Transport::on_timeout`](crate::Transport::on_timeout) is called.
    Socket(Handle),
    /// An interface's: neighbours, duplicate address detection.
    Interface(InterfaceId),
    /// That of an interface's lease (DHCP).
    Lease(InterfaceId),
    /// The internet layer's: reassembly, rate limits.
    Inet,
}

/// One owner's place in [`Timers`], in 24 bytes: half-open connections have one each.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct TimerSlot {
    at: Instant,
    serial: u64,
    /// [`NOWHERE`] until it is armed, and again once it is taken out.
    entry: u32,
}

impl Default for TimerSlot {
    fn default() -> Self {
        Self {
            at: Instant::ZERO,
            serial: 0,
            entry: NOWHERE,
        }
    }
}

impl TimerSlot {
    /// The moment it is armed for. Still says so after it fired, until armed anew.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        (self.entry != NOWHERE).then_some(self.at)
    }
}

/// All deadlines of a node, fired in order of time, equal ones in order of arming.
#[derive(Debug, Default)]
pub struct Timers {
    /// Each node before its children: by time, then by serial number.
    heap: Vec<Node>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    serial: u64,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    at: Instant,
    serial: u64,
    entry: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    owner: Owner,
    /// Where its node lies in the heap.
    place: u32,
    /// Of the arming that it serves: a slot with another one has fired.
    serial: u64,
}

impl Timers {
    /// Arms `slot` for `at`, wherever it was armed for before.
    ///
    /// # Panics
    /// With 2³² - 1 deadlines; the limits of sockets lie far below.
    pub fn arm(&mut self, slot: &mut TimerSlot, owner: Owner, at: Instant) {
        let held = self.is_armed(slot);
        if held && slot.at == at {
            return;
        }
        let serial = self.serial;
        self.serial += 1;
        let (entry, place) = match held {
            true => (slot.entry, self.entries[slot.entry as usize].place),
            false => (self.take_entry(owner), self.append()),
        };
        self.entries[entry as usize] = Entry {
            owner,
            place,
            serial,
        };
        let place = place as usize;
        self.heap[place] = Node { at, serial, entry };
        self.restore(place);
        *slot = TimerSlot { at, serial, entry };
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
        let taken = core::mem::take(slot);
        if self.is_armed(&taken) {
            let place = self.entries[taken.entry as usize].place;
            self.remove(place as usize);
        }
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.heap.first().map(|node| node.at)
    }

    /// Takes the next owner whose deadline is not after `now`.
    pub fn expire(&mut self, now: Instant) -> Option<Owner> {
        self.heap.first().filter(|node| node.at <= now)?;
        Some(self.remove(0))
    }

    /// How many are armed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none is armed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    fn is_armed(&self, slot: &TimerSlot) -> bool {
        self.entries
            .get(slot.entry as usize)
            .is_some_and(|entry| entry.serial == slot.serial && entry.place != NOWHERE)
    }

    fn take_entry(&mut self, owner: Owner) -> u32 {
        if let Some(entry) = self.free.pop() {
            return entry;
        }
        let entry = u32::try_from(self.entries.len()).expect("fewer than 2^32 deadlines");
        self.entries.push(Entry {
            owner,
            place: NOWHERE,
            serial: 0,
        });
        entry
    }

    /// Makes room for a node at the end of the heap.
    fn append(&mut self) -> u32 {
        let place = u32::try_from(self.heap.len()).expect("fewer than 2^32 deadlines");
        self.heap.push(Node {
            at: Instant::FAR,
            serial: u64::MAX,
            entry: 0,
        });
        place
    }

    /// Takes the node at `place` out and frees its entry.
    fn remove(&mut self, place: usize) -> Owner {
        let node = self.heap.swap_remove(place);
        if place < self.heap.len() {
            self.restore(place);
        }
        self.free.push(node.entry);
        let entry = &mut self.entries[node.entry as usize];
        entry.place = NOWHERE;
        entry.owner
    }

    /// Moves the node at `place` up or down to where it belongs.
    fn restore(&mut self, mut place: usize) {
        let node = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / ARITY;
            if !node.is_before(&self.heap[parent]) {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        while let Some(child) = self.first_child(place) {
            if !self.heap[child].is_before(&node) {
                break;
            }
            self.put(place, self.heap[child]);
            place = child;
        }
        self.put(place, node);
    }

    /// The earliest of the children of `place`.
    fn first_child(&self, place: usize) -> Option<usize> {
        let first = place * ARITY + 1;
        let end = (first + ARITY).min(self.heap.len());
        (first..end).reduce(|best, child| {
            if self.heap[child].is_before(&self.heap[best]) {
                child
            } else {
                best
            }
        })
    }

    fn put(&mut self, place: usize, node: Node) {
        self.heap[place] = node;
        // A heap has no more nodes than entries, which u32 counts.
        self.entries[node.entry as usize].place = place as u32;
    }
}

impl Node {
    fn is_before(&self, other: &Self) -> bool {
        (self.at, self.serial) < (other.at, other.serial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn owner(n: usize) -> Owner {
        Owner::Interface(InterfaceId(n as u32))
    }

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn deadlines_fire_in_order_of_time_and_then_of_arming() {
        let mut timers = Timers::default();
        let mut slots: Vec<TimerSlot> = (0..4).map(|_| TimerSlot::default()).collect();
        for (n, ms) in [(0, 7), (1, 5), (2, 7), (3, 9)] {
            timers.arm(&mut slots[n], owner(n), at(ms));
        }
        // For the same time again: it keeps its turn. For another and back: it loses it.
        timers.arm(&mut slots[2], owner(2), at(7));
        timers.arm(&mut slots[0], owner(0), at(8));
        timers.arm(&mut slots[0], owner(0), at(7));
        assert_eq!(timers.next(), Some(at(5)));
        let mut fired = Vec::new();
        while let Some(owner) = timers.expire(at(8)) {
            fired.push(owner);
        }
        assert_eq!(fired, [owner(1), owner(2), owner(0)]);
        assert_eq!(timers.next(), Some(at(9)));
        assert_eq!(slots[1].deadline(), Some(at(5)), "until armed anew");
    }

    #[test]
    fn a_slot_that_fired_does_not_touch_who_has_its_place_now() {
        let mut timers = Timers::default();
        let (mut a, mut b) = (TimerSlot::default(), TimerSlot::default());
        timers.arm(&mut a, owner(1), at(1));
        assert_eq!(timers.expire(at(1)), Some(owner(1)));
        timers.arm(&mut b, owner(2), at(2));
        timers.disarm(&mut a);
        assert_eq!(timers.len(), 1);
        timers.arm(&mut a, owner(1), at(1));
        assert_eq!(timers.expire(at(9)), Some(owner(1)));
        assert_eq!(timers.expire(at(9)), Some(owner(2)));
        assert!(timers.is_empty());
    }

    #[derive(Clone, Debug)]
    enum Call {
        Arm(usize, u64),
        Disarm(usize),
        Expire(u64),
    }

    fn calls() -> impl Strategy<Value = Vec<Call>> {
        let call = prop_oneof![
            4 => (0usize..40, 0u64..60).prop_map(|(n, ms)| Call::Arm(n, ms)),
            1 => (0usize..40).prop_map(Call::Disarm),
            1 => (0u64..60).prop_map(Call::Expire),
        ];
        proptest::collection::vec(call, 0..400)
    }

    proptest! {
        /// Against the obvious: a map by time and serial number.
        #[test]
        fn behaves_as_a_sorted_map(calls in calls()) {
            let mut timers = Timers::default();
            let mut slots: Vec<TimerSlot> = (0..40).map(|_| TimerSlot::default()).collect();
            let mut model: BTreeMap<(Instant, usize), usize> = BTreeMap::new();
            for (serial, call) in calls.into_iter().enumerate() {
                match call {
                    Call::Arm(n, ms) => {
                        timers.arm(&mut slots[n], owner(n), at(ms));
                        let same = model.iter().any(|(key, &m)| m == n && key.0 == at(ms));
                        if !same {
                            model.retain(|_, m| *m != n);
                            model.insert((at(ms), serial), n);
                        }
                    }
                    Call::Disarm(n) => {
                        timers.disarm(&mut slots[n]);
                        model.retain(|_, m| *m != n);
                    }
                    Call::Expire(ms) => loop {
                        let due = model.first_key_value().filter(|(key, _)| key.0 <= at(ms));
                        let due = due.map(|(&key, &n)| (key, n));
                        if let Some((key, _)) = due {
                            model.remove(&key);
                        }
                        let fired = timers.expire(at(ms));
                        prop_assert_eq!(fired, due.map(|(_, n)| owner(n)));
                        if fired.is_none() {
                            break;
                        }
                    },
                }
                prop_assert_eq!(timers.len(), model.len());
                prop_assert_eq!(timers.next(), model.first_key_value().map(|(key, _)| key.0));
            }
        }
    }
}
