//! A shard: one sans-IO node with its links, its waiters and who drives it.
//!
//! Three locks, taken in this order and never nested otherwise: the token (a try-lock, with it
//! the links), the state, the seat. Wakers are called with none but the token held.

use crate::clock::{Clock, ManualClock};
use crate::driver::{Driver, Seat};
use crate::token::Token;
use crate::turned::Turned;
use crate::waiters::{Waiters, Woken};
use crate::{fork, turn};
use sockeye_core::{Error, Handle, Instant, InterfaceId, SocketId, Transport as _};
use sockeye_link::{Batch, Link};
use sockeye_node::Node;
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{Poll, Waker};

/// Locks, whatever a panicking holder left. A panic inside protocol code is a bug; that it also
/// takes every other socket's thread down with it would not mend it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the sockets of a node share.
pub(crate) struct Shard {
    state: Mutex<State>,
    /// Who holds it runs the turn, and alone touches the links.
    pub(crate) token: Token,
    pub(crate) links: Mutex<Vec<LinkSlot>>,
    /// The links' descriptors, for those who wait.
    watches: RwLock<Vec<Arc<Watch>>>,
    /// How often the list of descriptors changed.
    watches_version: AtomicU64,
    pub(crate) seat: Seat,
    /// The node was shut down.
    closed: AtomicBool,
    pub(crate) clock: Clock,
    pub(crate) turned: Turned,
    generation: u64,
}

/// What the state lock guards.
pub(crate) struct State {
    pub(crate) node: Node,
    pub(crate) waiters: Waiters,
    /// When the next turn is due, as the last one left it.
    pub(crate) planned: Instant,
    /// Handles that faces hold: what the end of the node closes.
    pub(crate) open: BTreeSet<Handle>,
    /// Who waits for closed sockets, and for what.
    pub(crate) closers: Vec<(Closing, Waker)>,
    /// Who is woken when the lock is free again.
    pub(crate) woken: Woken,
}

/// What is waited for after a socket was closed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Closing {
    /// All closed streams have delivered what was written, and their end.
    Delivered,
    /// They have heard the end of their peers, too, and can acknowledge it.
    Quiet,
    /// One socket has nothing left to do.
    Finished(SocketId),
}

/// A link and the packets on their way from and to it.
pub(crate) struct LinkSlot {
    pub(crate) interface: InterfaceId,
    pub(crate) link: Box<dyn Link>,
    pub(crate) rx: Batch,
    pub(crate) tx: Batch,
    pub(crate) watch: Option<Arc<Watch>>,
    /// The node has more to send than this turn took.
    pub(crate) more: bool,
    /// The device is gone.
    pub(crate) failed: bool,
}

/// A link's descriptor: a duplicate, so that it lives as long as somebody waits for it.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) fd: OwnedFd,
    /// Packets wait for the device to take more.
    pub(crate) want_write: AtomicBool,
}

impl Shard {
    pub(crate) fn new(node: Node, background: bool, clock: Option<ManualClock>) -> Arc<Self> {
        fork::watch();
        let shard = Arc::new_cyclic(|this| Self {
            state: Mutex::new(State {
                node,
                waiters: Waiters::default(),
                planned: Instant::FAR,
                open: BTreeSet::new(),
                closers: Vec::new(),
                woken: Woken::new(),
            }),
            token: Token::new(),
            links: Mutex::default(),
            watches: RwLock::default(),
            watches_version: AtomicU64::new(0),
            seat: match clock {
                None => Seat::new(this.clone(), background),
                Some(_) => Seat::empty(this.clone()),
            },
            closed: AtomicBool::new(false),
            clock: match &clock {
                None => Clock::Process(std::time::Instant::now()),
                Some(clock) => Clock::Manual(clock.clone()),
            },
            turned: Turned::default(),
            generation: fork::generation(),
        });
        if let Some(clock) = clock {
            clock.enlist(&Arc::downgrade(&shard));
        }
        shard
    }

    /// The node's time.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The time of day at the moment `at` of the node.
    pub(crate) fn to_system(&self, at: Instant) -> Option<std::time::SystemTime> {
        self.clock.to_system(at)
    }

    /// The moment `at` of the node on the process's clock, where the node goes by that.
    pub(crate) fn to_std(&self, at: Instant) -> Option<std::time::Instant> {
        self.clock.to_std(at)
    }

    /// Whether this process made the node, and did not shut it down.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_foreign() || self.is_closed() {
            return Err(Error::Shutdown);
        }
        Ok(())
    }

    /// Whether this is a forked copy of the process that made the node: then no lock of it may be
    /// touched.
    pub(crate) fn is_foreign(&self) -> bool {
        self.generation != fork::generation()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// From here on every call fails.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Works on the state, then wakes those whom that made ready.
    ///
    /// # Errors
    /// [`Error::Shutdown`] for a node that was shut down, or that a forked copy inherited.
    pub(crate) fn with<R>(
        &self,
        work: impl FnOnce(&mut State, Instant) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.check()?;
        self.with_state(work)
    }

    /// As [`with`](Self::with), also after the end; never in a forked copy.
    pub(crate) fn with_state<R>(&self, work: impl FnOnce(&mut State, Instant) -> R) -> R {
        let now = self.now();
        let mut state = lock(&self.state);
        let result = work(&mut state, now);
        state.collect_ready();
        let woken = std::mem::take(&mut state.woken);
        // What it is nobody here knows: a socket of this node, for one.
        let discarded = state.node.unix(now).0.take_discarded();
        drop(state);
        drop(discarded);
        woken.into_iter().for_each(Waker::wake);
        result
    }

    /// The turn's part under the lock: when the next turn is due, and whom to wake.
    pub(crate) fn with_turn(&self, work: impl FnOnce(&mut Node)) -> (Instant, Woken) {
        let mut state = lock(&self.state);
        work(&mut state.node);
        state.collect_ready();
        let state = &mut *state;
        state.wake_closers();
        state.planned = state.deadline();
        (state.planned, std::mem::take(&mut state.woken))
    }

    /// Takes away the links that failed, and their interfaces.
    pub(crate) fn remove_failed(&self, slots: &mut Vec<LinkSlot>) {
        slots.retain(|slot| {
            if slot.failed {
                let interface = slot.interface;
                self.with_state(|state, now| state.node.remove_interface(now, interface));
            }
            !slot.failed
        });
        self.set_watches(slots);
    }

    /// Whether anything that is sent may reach somebody.
    pub(crate) fn has_carrier(&self) -> bool {
        lock(&self.links).iter().any(|slot| slot.link.has_carrier())
    }

    /// Tells those who will wait which descriptors there are.
    pub(crate) fn set_watches(&self, slots: &[LinkSlot]) {
        let watches = slots.iter().filter_map(|slot| slot.watch.clone()).collect();
        *self.watches.write().unwrap_or_else(PoisonError::into_inner) = watches;
        self.watches_version.fetch_add(1, Ordering::Release);
    }

    /// Whether there is a device to wait for.
    pub(crate) fn has_watches(&self) -> bool {
        let watches = self.watches.read();
        !watches.unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(crate) fn watches(&self) -> Vec<Arc<Watch>> {
        let watches = self.watches.read();
        watches.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The descriptors, unless they are those of `version` still.
    #[cfg(feature = "tokio")]
    pub(crate) fn watches_since(&self, version: Option<u64>) -> (u64, Option<Vec<Arc<Watch>>>) {
        let now = self.watches_version.load(Ordering::Acquire);
        let changed = version != Some(now);
        (now, changed.then(|| self.watches()))
    }

    /// A task waits: where it belongs to a runtime, that drives the node from now on. Packets of a link
    /// without a descriptor come by turns of whoever sends them, so that nothing is to be found here
    /// unless a turn is wanted.
    pub(crate) fn serve_task(self: &Arc<Self>, wants_turn: bool) {
        #[cfg(feature = "tokio")]
        if self.clock.manual().is_none() {
            crate::reactor::start(self);
        }
        if wants_turn || self.has_watches() || !self.seat.is_taken() {
            self.run();
        }
    }

    /// As [`run`](Self::run), by a driver that sets its alarm behind the turn, or looks at the node
    /// anew before it waits: the turn need not call it, which would keep it from ever waiting.
    pub(crate) fn run_as(self: &Arc<Self>, driver: Driver) {
        self.seat.promise(driver, Instant::ZERO);
        self.run();
    }

    /// Runs turns here and at the other end of memory links, until there is nothing to do or
    /// somebody else is at it.
    pub(crate) fn run(self: &Arc<Self>) {
        turn::run(self);
    }
}

impl State {
    /// Moves those who wait for what became ready to the list of those to wake.
    pub(crate) fn collect_ready(&mut self) {
        while let Some((handle, what)) = self.node.poll_ready() {
            self.waiters.ready(handle, what, &mut self.woken);
        }
    }

    /// Whether a wait has ended; else `waker` is called when it has.
    pub(crate) fn poll_closing(&mut self, closing: Closing, waker: &Waker) -> Poll<()> {
        if self.has_closed(closing) {
            return Poll::Ready(());
        }
        self.closers.push((closing, waker.clone()));
        Poll::Pending
    }

    fn has_closed(&mut self, closing: Closing) -> bool {
        let associations = self.node.sctp(Instant::ZERO).0.pending_close();
        let packets = self.node.dccp(Instant::ZERO).0.pending_close();
        let (tcp, _) = self.node.tcp(Instant::ZERO);
        match closing {
            Closing::Delivered => tcp.pending_close() + associations + packets == 0,
            Closing::Quiet => {
                let mut sockets = tcp.sockets().into_iter();
                !sockets.any(|socket| socket.state.starts_with("FIN-WAIT"))
            }
            Closing::Finished(id) => tcp.is_finished(id),
        }
    }

    fn wake_closers(&mut self) {
        for (closing, waker) in std::mem::take(&mut self.closers) {
            match self.has_closed(closing) {
                true => self.woken.push(waker),
                false => self.closers.push((closing, waker)),
            }
        }
    }

    /// When a turn is due though no packet comes.
    pub(crate) fn deadline(&self) -> Instant {
        self.node.poll_timeout().unwrap_or(Instant::FAR)
    }
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard").finish_non_exhaustive()
    }
}
