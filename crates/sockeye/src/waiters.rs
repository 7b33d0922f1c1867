//! Who waits for a socket, in the order in which they came.
//!
//! A waiter holds a [`Ticket`]: its place in the line, which it keeps when it is woken and finds
//! that somebody else was quicker. Waiters are of two kinds. A *shared* one (a reader of a stream,
//! poll) is woken by everything that happens; of the *exclusive* ones (accept, a datagram's
//! receiver) one is woken for one thing that came, the first in the line. An exclusive waiter that
//! leaves, served or not, hands the wake-up on when there is more, so that none is lost with a
//! call that is given up between its wake-up and its next attempt. Errors and the end of a
//! connection wake all.

use smallvec::SmallVec;
use sockeye_core::{Handle, Readiness};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::task::Waker;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    /// Data, a connection, the end.
    Read,
    /// Room, the end of connecting.
    Write,
}

/// How many of those who wait in one line are woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// This one always.
    Shared,
    /// This one if it is the first of its class.
    Exclusive,
}

/// A place in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
struct Entry {
    ticket: Ticket,
    class: Class,
    waker: Waker,
}

/// Hashes handles, which are the node's own numbers: nobody else chooses them.
#[derive(Debug, Default)]
struct ByHandle(u64);

impl ByHandle {
    fn mix(&mut self, number: u64) {
        // Knuth's multiplicative hash: 2^64 over the golden ratio.
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for ByHandle {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.mix(u64::from(*byte)));
    }

    fn write_u16(&mut self, number: u16) {
        self.mix(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(number.into());
    }

    fn write_isize(&mut self, number: isize) {
        self.mix(number as u64);
    }

    fn finish(&self) -> u64 {
        // A table looks at the low bits, which the product mixes least.
        self.0 ^ self.0 >> 32
    }
}

/// Most often one waits.
type Line = SmallVec<[Entry; 1]>;

/// Whom to wake when no lock is held.
pub(crate) type Woken = SmallVec<[Waker; 4]>;

/// Lines of one shard.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    lines: HashMap<(Handle, Direction), Line, BuildHasherDefault<ByHandle>>,
    tickets: u64,
}

impl Waiters {
    /// Puts `waker` into the line, at the place of `ticket` if it has one already.
    pub(crate) fn join(
        &mut self,
        handle: Handle,
        direction: Direction,
        class: Class,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) {
        let ticket = *ticket.get_or_insert_with(|| {
            self.tickets += 1;
            Ticket(self.tickets)
        });
        let line = self.lines.entry((handle, direction)).or_default();
        match line.binary_search_by_key(&ticket, |entry| entry.ticket) {
            Ok(place) => line[place].waker.clone_from(waker),
            Err(place) => line.insert(
                place,
                Entry {
                    ticket,
                    class,
                    waker: waker.clone(),
                },
            ),
        }
    }

    /// Puts `waker` into the line as a shared waiter without a ticket: it stands there once, however
    /// often it comes, until it is woken.
    pub(crate) fn join_once(&mut self, handle: Handle, direction: Direction, waker: &Waker) {
        let line = self.lines.entry((handle, direction)).or_default();
        if line
            .iter()
            .any(|e| e.class == Class::Shared && e.waker.will_wake(waker))
        {
            return;
        }
        self.join(handle, direction, Class::Shared, &mut None, waker);
    }

    /// Takes a waiter out. Where it was exclusive, the caller then calls
    /// [`next`](Self::next) if there is more to take.
    pub(crate) fn leave(&mut self, handle: Handle, direction: Direction, ticket: Ticket) {
        let key = (handle, direction);
        if let Some(line) = self.lines.get_mut(&key) {
            line.retain(|entry| entry.ticket != ticket);
            if line.is_empty() {
                self.lines.remove(&key);
            }
        }
    }

    /// `what` has come about for `handle`: moves those to wake into `woken`.
    pub(crate) fn ready(&mut self, handle: Handle, what: Readiness, woken: &mut Woken) {
        if what.intersects(Readiness::ERROR | Readiness::ERROR_QUEUE | Readiness::HANGUP) {
            self.all(handle, woken);
            return;
        }
        if what.contains(Readiness::READ_CLOSED) {
            self.line(handle, Direction::Read, woken);
        }
        if what.intersects(Readiness::READABLE | Readiness::PRIORITY) {
            self.next(handle, Direction::Read, woken);
        }
        if what.contains(Readiness::WRITABLE) {
            self.next(handle, Direction::Write, woken);
        }
    }

    /// Something came that one exclusive waiter can take: wakes the first of them, and all shared
    /// ones.
    pub(crate) fn next(&mut self, handle: Handle, direction: Direction, woken: &mut Woken) {
        let key = (handle, direction);
        let Some(line) = self.lines.get_mut(&key) else {
            return;
        };
        let mut served = false;
        // Moved, not cloned: a count that two threads change is a cache line on its way between them.
        for entry in std::mem::take(line) {
            match entry.class == Class::Shared || !std::mem::replace(&mut served, true) {
                true => woken.push(entry.waker),
                false => line.push(entry),
            }
        }
        if line.is_empty() {
            self.lines.remove(&key);
        }
    }

    /// Wakes all who wait for `handle`: it was closed, or failed.
    pub(crate) fn all(&mut self, handle: Handle, woken: &mut Woken) {
        self.line(handle, Direction::Read, woken);
        self.line(handle, Direction::Write, woken);
    }

    /// Wakes everybody: the node is gone.
    pub(crate) fn everybody(&mut self, woken: &mut Woken) {
        let lines = std::mem::take(&mut self.lines);
        woken.extend(lines.into_values().flatten().map(|entry| entry.waker));
    }

    fn line(&mut self, handle: Handle, direction: Direction, woken: &mut Woken) {
        if let Some(line) = self.lines.remove(&(handle, direction)) {
            woken.extend(line.into_iter().map(|entry| entry.waker));
        }
    }
}

#[cfg(test)]
mod testing {
    use super::*;
    use crate::sync::atomic::{AtomicUsize, Ordering};
    use sockeye_core::{Slab, TransportId};
    use std::sync::Arc;
    use std::task::Wake;

    /// Counts its wake-ups.
    #[derive(Debug)]
    pub(super) struct Count(pub(super) AtomicUsize);

    impl Count {
        pub(super) fn new() -> (Arc<Self>, Waker) {
            let count = Arc::new(Self(AtomicUsize::new(0)));
            (count.clone(), Waker::from(count))
        }

        pub(super) fn get(&self) -> usize {
            self.0.load(Ordering::Acquire)
        }
    }

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(super) fn handle() -> Handle {
        Handle {
            transport: TransportId::TCP,
            id: Slab::default().insert(()),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::testing::{Count, handle};
    use super::*;

    fn wake(waiters: &mut Waiters, what: Readiness) {
        let mut woken = Woken::new();
        waiters.ready(handle(), what, &mut woken);
        woken.into_iter().for_each(Waker::wake);
    }

    #[test]
    fn one_connection_wakes_one_waiter_the_first() {
        let mut waiters = Waiters::default();
        let three = [Count::new(), Count::new(), Count::new()];
        let mut tickets = [None; 3];
        for ((_, waker), ticket) in three.iter().zip(&mut tickets) {
            waiters.join(handle(), Direction::Read, Class::Exclusive, ticket, waker);
        }
        let counts = || three.each_ref().map(|(count, _)| count.get());
        wake(&mut waiters, Readiness::READABLE);
        assert_eq!(counts(), [1, 0, 0]);
        // Somebody else was quicker: it goes back to the front, not to the end.
        let (_, waker) = &three[0];
        waiters.join(
            handle(),
            Direction::Read,
            Class::Exclusive,
            &mut tickets[0],
            waker,
        );
        wake(&mut waiters, Readiness::READABLE);
        assert_eq!(counts(), [2, 0, 0]);
        wake(&mut waiters, Readiness::READABLE);
        assert_eq!(counts(), [2, 1, 0]);
        wake(&mut waiters, Readiness::WRITABLE);
        assert_eq!(counts(), [2, 1, 0]);
    }

    #[test]
    fn the_end_wakes_all_and_shared_waiters_are_always_woken() {
        let mut waiters = Waiters::default();
        let three = [Count::new(), Count::new(), Count::new()];
        let counts = || three.each_ref().map(|(count, _)| count.get());
        let join = |waiters: &mut Waiters| {
            let read = Direction::Read;
            waiters.join_once(handle(), read, &three[0].1);
            waiters.join_once(handle(), read, &three[0].1);
            for (_, waker) in &three[1..] {
                waiters.join(handle(), read, Class::Exclusive, &mut None, waker);
            }
        };
        join(&mut waiters);
        wake(&mut waiters, Readiness::READABLE);
        assert_eq!(counts(), [1, 1, 0]);
        wake(&mut waiters, Readiness::READ_CLOSED);
        assert_eq!(counts(), [1, 1, 1]);
        join(&mut waiters);
        wake(&mut waiters, Readiness::ERROR);
        assert_eq!(counts(), [2, 2, 2]);
        join(&mut waiters);
        let mut woken = Woken::new();
        waiters.everybody(&mut woken);
        assert_eq!(woken.len(), 3);
        assert!(waiters.lines.is_empty());
    }

    #[test]
    fn who_left_is_not_woken() {
        let mut waiters = Waiters::default();
        let (count, waker) = Count::new();
        let mut ticket = None;
        waiters.join(
            handle(),
            Direction::Write,
            Class::Shared,
            &mut ticket,
            &waker,
        );
        waiters.leave(handle(), Direction::Write, ticket.unwrap());
        wake(&mut waiters, Readiness::WRITABLE);
        assert_eq!(count.get(), 0);
        assert!(waiters.lines.is_empty());
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::testing::handle;
    use super::*;
    use crate::parker::Parker;
    use loom::sync::{Arc, Mutex};

    /// A listener with its waiters, as a shard holds them.
    #[derive(Default)]
    struct Listener {
        waiters: Waiters,
        connections: u32,
    }

    impl Listener {
        /// What an exclusive waiter does when it goes, served or not.
        fn leave(&mut self, ticket: Option<Ticket>, woken: &mut Woken) {
            if let Some(ticket) = ticket {
                self.waiters.leave(handle(), Direction::Read, ticket);
            }
            if self.connections > 0 {
                self.waiters.next(handle(), Direction::Read, woken);
            }
        }
    }

    fn accept(listener: &Mutex<Listener>, attempts: Option<u32>) -> bool {
        let parker = Parker::new();
        let waker = Waker::from(parker.clone());
        let mut ticket = None;
        for attempt in 0.. {
            let mut woken = Woken::new();
            let mut state = listener.lock().unwrap();
            let served = state.connections > 0;
            if served {
                state.connections -= 1;
            }
            if served || attempts == Some(attempt) {
                state.leave(ticket, &mut woken);
            } else {
                let read = Direction::Read;
                state
                    .waiters
                    .join(handle(), read, Class::Exclusive, &mut ticket, &waker);
            }
            drop(state);
            woken.into_iter().for_each(Waker::wake);
            if served || attempts == Some(attempt) {
                return served;
            }
            if attempts.is_none() {
                parker.park();
            }
        }
        unreachable!()
    }

    fn arrive(listener: &Mutex<Listener>) {
        let mut woken = Woken::new();
        let mut state = listener.lock().unwrap();
        state.connections += 1;
        state
            .waiters
            .ready(handle(), Readiness::READABLE, &mut woken);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Two wait, two connections come: both are served.
    #[test]
    fn every_connection_is_accepted() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let listener = Arc::new(Mutex::new(Listener::default()));
            let other = {
                let listener = listener.clone();
                loom::thread::spawn(move || accept(&listener, None))
            };
            let source = {
                let listener = listener.clone();
                loom::thread::spawn(move || {
                    arrive(&listener);
                    arrive(&listener);
                })
            };
            assert!(accept(&listener, None));
            assert!(other.join().unwrap());
            source.join().unwrap();
        });
    }

    /// One waiter gives up at any moment, maybe after the only wake-up went to it: the connection
    /// still finds the other.
    #[test]
    fn a_call_given_up_takes_no_wake_up_with_it() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let listener = Arc::new(Mutex::new(Listener::default()));
            let fickle = {
                let listener = listener.clone();
                loom::thread::spawn(move || accept(&listener, Some(1)))
            };
            let source = {
                let listener = listener.clone();
                loom::thread::spawn(move || {
                    arrive(&listener);
                    arrive(&listener);
                })
            };
            assert!(accept(&listener, None));
            fickle.join().unwrap();
            source.join().unwrap();
        });
    }
}
