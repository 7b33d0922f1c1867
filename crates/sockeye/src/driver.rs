//! Who drives a node while nobody calls it: waits for its links and its next deadline.
//!
//! Every shard has a [`Seat`]. A thread that blocks in a call takes it and waits for the node
//! itself, so that what arrives is handled by the thread that wants it. Threads that find it taken
//! only park; when the one in the seat goes, it wakes one of them. A runtime's task may sit beside.
//! While nobody does, the background thread stands in: it is started by the first node that needs
//! it, serves all nodes of the process, keeps none of them alive, and leaves a node alone whose
//! callers come and go quickly. A task it leaves time to: only one that does not come when it is
//! wanted is stood in for, since its runtime may have been left, or its thread be blocked.

use crate::background;
use crate::clock::Deadline;
use crate::parker::Parker;
use crate::shard::{Shard, Watch, lock};
use crate::turn;
use rustix::event::{PollFd, PollFlags, Timespec};
use sockeye_core::Instant;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

/// The kinds of driver, each with its own alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// A thread in a blocking call.
    Caller = 0,
    /// A task of a runtime.
    #[cfg_attr(
        not(feature = "tokio"),
        expect(dead_code, reason = "runtimes are a feature")
    )]
    Task = 1,
    /// The background thread.
    Background = 2,
}

/// No alarm.
const NEVER: u64 = u64::MAX;

/// Where the driver of a shard sits.
pub(crate) struct Seat {
    shard: Weak<Shard>,
    sitting: Mutex<Sitting>,
    /// When the node wants its next turn, in its own nanoseconds.
    deadline: AtomicU64,
    /// For when each kind of driver has set its alarm.
    alarms: [AtomicU64; 3],
    /// Somebody asked for a turn and nobody sat here.
    pub(crate) kicked: AtomicBool,
    /// How often a caller left the seat, or the task drove, so far.
    pub(crate) activity: AtomicU64,
    /// [`activity`](Self::activity) when the background thread last looked.
    pub(crate) activity_seen: AtomicU64,
    /// What the background thread thinks of the task; its own.
    pub(crate) trust: AtomicU8,
    /// The background thread sleeps until devices or the deadline call, beside a task: it wants to
    /// hear when the task is called.
    pub(crate) standing_by: AtomicBool,
    /// The background thread looks at the links' descriptors, or will soon.
    pub(crate) watched: AtomicBool,
    /// The background thread may stand in.
    background: bool,
    /// Nobody ever sits here: the node moves when its clock is moved.
    empty: bool,
}

#[derive(Default)]
struct Sitting {
    caller: Option<Arc<Parker>>,
    task: Option<Waker>,
    /// A task was tried and could not work.
    #[cfg(feature = "tokio")]
    no_task: bool,
    /// Callers that wait for somebody else's turns.
    waiting: Vec<Arc<Parker>>,
}

impl Seat {
    pub(crate) fn new(shard: Weak<Shard>, background: bool) -> Self {
        if background {
            background::enlist(&shard);
        }
        Self {
            shard,
            sitting: Mutex::default(),
            deadline: AtomicU64::new(NEVER),
            alarms: [const { AtomicU64::new(NEVER) }; 3],
            kicked: AtomicBool::new(false),
            activity: AtomicU64::new(0),
            activity_seen: AtomicU64::new(0),
            trust: AtomicU8::new(0),
            standing_by: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            background,
            empty: false,
        }
    }

    /// One in which nobody ever sits: that of a node whose clock is moved by hand.
    pub(crate) fn empty(shard: Weak<Shard>) -> Self {
        Self {
            empty: true,
            ..Self::new(shard, false)
        }
    }

    /// Asks whoever drives for a turn.
    pub(crate) fn kick(&self) {
        self.kicked.store(true, Ordering::SeqCst);
        if self.empty {
            return;
        }
        let sitting = lock(&self.sitting);
        if let Some(caller) = &sitting.caller {
            caller.notify();
        } else if let Some(task) = &sitting.task {
            task.wake_by_ref();
            drop(sitting);
            self.tell_stand_in();
        } else if !self.background
            && let Some(waiting) = sitting.waiting.first()
        {
            waiting.notify();
        } else {
            drop(sitting);
            self.call_background();
        }
    }

    /// A turn found out when the next one is due.
    pub(crate) fn set_deadline(&self, at: Instant) {
        self.deadline.store(at.as_nanos(), Ordering::SeqCst);
        if !self.empty && at.as_nanos() < self.earliest_alarm() {
            self.kick();
        }
    }

    /// When the next turn is due.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::from_nanos(self.deadline.load(Ordering::SeqCst))
    }

    /// Sets a driver's alarm for the deadline, and says for when. A turn that ends after this with
    /// an earlier deadline kicks.
    pub(crate) fn set_alarm(&self, driver: Driver) -> Instant {
        let alarm = &self.alarms[driver as usize];
        loop {
            let at = self.deadline();
            alarm.store(at.as_nanos(), Ordering::SeqCst);
            if at == self.deadline() {
                return at;
            }
        }
    }

    /// A driver will look at the node anew at `at`, whatever its deadline.
    pub(crate) fn promise(&self, driver: Driver, at: Instant) {
        self.alarms[driver as usize].store(at.as_nanos(), Ordering::SeqCst);
    }

    fn clear_alarm(&self, driver: Driver) {
        self.alarms[driver as usize].store(NEVER, Ordering::SeqCst);
    }

    /// A driver leaves the node to whoever else drives it. A turn that ended when its alarm had rung
    /// already, but was still set, took the deadline for seen to: that is kicked for now.
    pub(crate) fn leave_alarm(&self, driver: Driver) {
        self.clear_alarm(driver);
        if self.deadline().as_nanos() < self.earliest_alarm() {
            self.kick();
        }
    }

    /// Whether anybody but the background thread drives.
    pub(crate) fn is_taken(&self) -> bool {
        let sitting = lock(&self.sitting);
        sitting.caller.is_some() || sitting.task.is_some()
    }

    /// Whether a calling thread drives.
    pub(crate) fn has_caller(&self) -> bool {
        lock(&self.sitting).caller.is_some()
    }

    /// Whether a task drives, or should.
    pub(crate) fn has_task(&self) -> bool {
        lock(&self.sitting).task.is_some()
    }

    /// Keeps the task's place for one that is about to be started. False when there is one, or
    /// none can work here.
    #[cfg(feature = "tokio")]
    pub(crate) fn claim_for_task(&self) -> bool {
        let mut sitting = lock(&self.sitting);
        let free = sitting.task.is_none() && !sitting.no_task;
        if free {
            // It looks at everything when it first runs.
            sitting.task = Some(crate::reactor::placeholder());
        }
        drop(sitting);
        // Its runtime may never run it.
        if free && !self.watched.load(Ordering::SeqCst) {
            self.call_background();
        }
        free
    }

    /// A task drives; `waker` is called when a turn is wanted.
    #[cfg(feature = "tokio")]
    pub(crate) fn sit_task(&self, waker: &Waker) {
        let mut sitting = lock(&self.sitting);
        match &mut sitting.task {
            Some(task) => task.clone_from(waker),
            empty => *empty = Some(waker.clone()),
        }
    }

    /// The task is gone; `again` when another may take its place.
    #[cfg(feature = "tokio")]
    pub(crate) fn leave_task(&self, again: bool) {
        let mut sitting = lock(&self.sitting);
        let task = sitting.task.take();
        sitting.no_task |= !again;
        drop(sitting);
        drop(task);
        self.clear_alarm(Driver::Task);
        self.hand_over();
    }

    /// Takes the seat for a calling thread. When it is taken, the thread is told when it is free.
    pub(crate) fn sit(&self, parker: &Arc<Parker>) -> bool {
        let mut sitting = lock(&self.sitting);
        match &sitting.caller {
            Some(other) if !Arc::ptr_eq(other, parker) => {
                if !sitting.waiting.iter().any(|p| Arc::ptr_eq(p, parker)) {
                    sitting.waiting.push(parker.clone());
                }
                false
            }
            _ => {
                sitting.caller = Some(parker.clone());
                sitting.waiting.retain(|p| !Arc::ptr_eq(p, parker));
                true
            }
        }
    }

    /// A calling thread goes, from the seat or from among those who wait.
    fn leave(&self, parker: &Arc<Parker>) {
        let mut sitting = lock(&self.sitting);
        sitting.waiting.retain(|p| !Arc::ptr_eq(p, parker));
        let sat = sitting.caller.take_if(|p| Arc::ptr_eq(p, parker)).is_some();
        // Whom the last one called to the seat may be this one, who has no use for it.
        let vacant = sitting.caller.is_none();
        drop(sitting);
        if sat {
            self.activity.fetch_add(1, Ordering::Relaxed);
            self.clear_alarm(Driver::Caller);
        }
        if vacant {
            self.hand_over();
        }
    }

    /// Nobody sits here any more: finds somebody, where one is needed.
    fn hand_over(&self) {
        let Some(shard) = self.shard.upgrade() else {
            return;
        };
        let sitting = lock(&self.sitting);
        if sitting.caller.is_some() {
            return;
        }
        let kicked = self.kicked.load(Ordering::SeqCst);
        let due = self.deadline.load(Ordering::SeqCst) < self.earliest_alarm();
        if let Some(task) = &sitting.task {
            if due || kicked {
                task.wake_by_ref();
            }
            drop(sitting);
            if !self.watched.load(Ordering::SeqCst) {
                self.call_background();
            }
            return;
        }
        let devices = shard.has_watches();
        // Without devices packets come from threads that handle them at once; only deadlines are
        // left to wait for.
        if let Some(next) = sitting.waiting.first()
            && (devices || !self.background)
        {
            next.notify();
            return;
        }
        drop(sitting);
        let unwatched = devices && !self.watched.load(Ordering::SeqCst);
        if unwatched || due || kicked {
            self.call_background();
        }
    }

    fn earliest_alarm(&self) -> u64 {
        let alarms = self.alarms.iter().map(|at| at.load(Ordering::SeqCst));
        alarms.min().unwrap_or(NEVER)
    }

    /// The task was called: from now on the background thread counts how long it takes.
    fn tell_stand_in(&self) {
        if self.standing_by.swap(false, Ordering::SeqCst) {
            self.call_background();
        }
    }

    fn call_background(&self) {
        if self.background {
            background::call();
        }
    }
}

/// A calling thread that drives while it waits: the node it waits for, and those that it ran
/// lately and that nobody else drives.
pub(crate) struct Driving {
    parker: Arc<Parker>,
    shards: Vec<Arc<Shard>>,
}

impl Driving {
    pub(crate) fn new(parker: Arc<Parker>, shards: Vec<Arc<Shard>>) -> Self {
        Self { parker, shards }
    }

    /// Waits until the thread's waker is called, or something is to be looked at anew, or
    /// `deadline` has come.
    pub(crate) fn wait(&mut self, deadline: Option<std::time::Instant>) {
        for first in self.shards.clone() {
            for other in turn::touched(&first) {
                let known = self.shards.iter().any(|shard| Arc::ptr_eq(shard, &other));
                if !known && !other.seat.is_taken() && !other.is_closed() {
                    self.shards.push(other);
                }
            }
        }
        let mut driven: Vec<&Arc<Shard>> = Vec::with_capacity(self.shards.len());
        for shard in &self.shards {
            if shard.seat.sit(&self.parker) {
                shard.seat.kicked.store(false, Ordering::SeqCst);
                shard.run_as(Driver::Caller);
                driven.push(shard);
            }
        }
        if self.parker.is_notified() {
            // Takes the wake-up.
            let _ = self.parker.wait(&[], deadline);
            return;
        }
        let waited = wait(&self.parker, Driver::Caller, &driven, deadline);
        for shard in driven {
            shard.run_as(Driver::Caller);
        }
        if let Err(error) = waited {
            tracing::error!(%error, "waiting for links failed");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        for shard in &self.shards {
            shard.seat.leave(&self.parker);
        }
    }
}

/// Waits for the links and deadlines of `shards`.
pub(crate) fn wait(
    parker: &Parker,
    driver: Driver,
    shards: &[&Arc<Shard>],
    mut deadline: Option<std::time::Instant>,
) -> std::io::Result<bool> {
    for shard in shards {
        let alarm = shard.to_std(shard.seat.set_alarm(driver));
        deadline = match (deadline, alarm) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
    let watches: Vec<Arc<Watch>> = shards.iter().flat_map(|shard| shard.watches()).collect();
    let fds: Vec<(BorrowedFd<'_>, PollFlags)> = watches.iter().map(|watch| watch.poll()).collect();
    parker.wait(&fds, deadline)
}

/// Whether a link of `shard` has packets, or room that was waited for.
pub(crate) fn is_ready(shard: &Shard) -> bool {
    let watches = shard.watches();
    let mut fds: Vec<PollFd<'_>> = watches
        .iter()
        .map(|watch| watch.poll())
        .map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags))
        .collect();
    // A poll that fails says nothing: the next look will.
    !fds.is_empty()
        && rustix::event::poll(&mut fds, Some(&Timespec::default())).is_ok_and(|n| n > 0)
}

impl Watch {
    fn poll(&self) -> (BorrowedFd<'_>, PollFlags) {
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, self.want_write.load(Ordering::Acquire));
        (self.fd.as_fd(), flags)
    }
}

/// Blocks the thread on `poll`, which is called with a waker, until it is ready; `None` when
/// `deadline` came first. Meanwhile the thread drives `shards`.
pub(crate) fn block_on<T>(
    shards: impl FnOnce() -> Vec<Arc<Shard>>,
    deadline: Option<Deadline>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    let until = deadline.and_then(Deadline::process);
    let parker = crate::parker::this();
    let waker = Waker::from(parker.clone());
    let mut cx = Context::from_waker(&waker);
    let mut shards = Some(shards);
    let mut driving: Option<Driving> = None;
    loop {
        if let Poll::Ready(value) = poll(&mut cx) {
            return Some(value);
        }
        if until.is_some_and(|at| at <= std::time::Instant::now()) {
            return None;
        }
        if let Some(shards) = shards.take() {
            let shards = shards();
            if let Some(clock) = shards.iter().find_map(|shard| shard.clock.manual()) {
                return clock.block_on(deadline, poll);
            }
            driving = Some(Driving::new(parker.clone(), shards));
        }
        if let Some(driving) = &mut driving {
            driving.wait(until);
        }
    }
}
