//! The time of a node: the process's monotonic clock, or one that a program moves itself.
//!
//! A [`ManualClock`] makes programs with threads and blocking calls repeatable. Time stands still
//! until somebody moves it, and whoever does waits first until every thread that was woken has come
//! to its next wait or out of its call: so no outcome depends on how fast threads run.

use crate::shard::{Shard, lock};
use sockeye_core::Instant;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::ThreadId;
use std::time::{Duration, SystemTime};

/// Where a node's time comes from.
pub(crate) enum Clock {
    /// The process's monotonic clock, from the node's epoch on.
    Process(std::time::Instant),
    Manual(ManualClock),
}

/// When a wait ends though nothing came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    Process(std::time::Instant),
    Manual(Instant),
}

impl Clock {
    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::Process(epoch) => {
                let nanos = epoch.elapsed().as_nanos();
                Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
            }
            Self::Manual(clock) => clock.instant(),
        }
    }

    /// The moment `at` on the process's clock, where that is what counts.
    pub(crate) fn to_std(&self, at: Instant) -> Option<std::time::Instant> {
        match self {
            Self::Process(epoch) if at != Instant::FAR => {
                epoch.checked_add(Duration::from_nanos(at.as_nanos()))
            }
            _ => None,
        }
    }

    /// The time of day at the moment `at`; a manual clock counts from the Unix epoch.
    pub(crate) fn to_system(&self, at: Instant) -> Option<SystemTime> {
        match self {
            Self::Process(_) => SystemTime::now().checked_sub(self.now() - at),
            Self::Manual(_) => {
                SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(at.as_nanos()))
            }
        }
    }

    /// The moment after `timeout`, unless it lies beyond the clock's end.
    pub(crate) fn after(&self, timeout: Duration) -> Option<Deadline> {
        match self {
            Self::Process(_) => Deadline::after(timeout),
            Self::Manual(clock) => {
                let at = clock.instant() + timeout;
                (at != Instant::FAR).then_some(Deadline::Manual(at))
            }
        }
    }

    pub(crate) fn manual(&self) -> Option<&ManualClock> {
        match self {
            Self::Process(_) => None,
            Self::Manual(clock) => Some(clock),
        }
    }
}

impl Deadline {
    /// The moment after `timeout` on the process's clock.
    pub(crate) fn after(timeout: Duration) -> Option<Self> {
        let at = std::time::Instant::now().checked_add(timeout);
        at.map(Self::Process)
    }

    pub(crate) fn process(self) -> Option<std::time::Instant> {
        match self {
            Self::Process(at) => Some(at),
            Self::Manual(_) => None,
        }
    }

    fn manual(self) -> Option<Instant> {
        match self {
            Self::Process(_) => None,
            Self::Manual(at) => Some(at),
        }
    }
}

/// A clock that moves only when it is told to, for nodes made with
/// [`NodeBuilder::clock`](crate::NodeBuilder::clock).
///
/// It is a handle: clones name the same clock. Nodes that talk to each other share one. A call that
/// blocks does so until something comes, or another thread moves the clock to its time-out; a
/// thread that has nobody else to do that [drives](Self::drive) the clock itself while it waits.
///
/// ```
/// use sockeye::drivers::{MemoryConfig, MemoryLink};
/// use sockeye::net::UdpSocket;
/// use sockeye::{LinkConfig, ManualClock, Node};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let (end, _other) = MemoryLink::pair_ip(MemoryConfig::default());
/// let node = Node::builder()
///     .clock(clock.clone())
///     .link("eth0", Box::new(end), LinkConfig::new().address("10.0.0.1/24".parse()?))
///     .build()?;
/// let socket = UdpSocket::bind_on(&node, "0.0.0.0:7")?;
/// socket.set_read_timeout(Some(Duration::from_secs(3600)))?;
///
/// let _driving = clock.drive();
/// assert!(socket.recv(&mut [0; 8]).is_err());
/// assert_eq!(clock.now(), Duration::from_secs(3600));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ManualClock(Arc<Inner>);

struct Inner {
    /// Nanoseconds since it was made.
    now: AtomicU64,
    state: Mutex<State>,
    /// A thread was parked or woken, or the mover has gone.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The nodes that go by it.
    shards: Vec<Weak<Shard>>,
    threads: Vec<Thread>,
    /// Who moves it now.
    mover: Option<ThreadId>,
}

/// A thread that counts.
struct Thread {
    id: ThreadId,
    /// Guards that hold the clock, calls that wait included.
    holds: usize,
    /// Guards that make it drive.
    drives: usize,
    /// It sleeps in a call, until then if nothing comes.
    parked: Option<Instant>,
    /// It waits to move the clock.
    queued: bool,
}

/// Using a clock.
impl ManualClock {
    /// One that stands at zero.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            now: AtomicU64::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    /// How far it has come.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.instant().as_nanos())
    }

    /// Moves it on by `by`. Timers and time-outs on the way run each at its moment.
    pub fn advance(&self, by: Duration) {
        let target = self.instant() + by;
        self.moving(|| {
            while self.step(target) {}
            self.0.now.fetch_max(target.as_nanos(), Ordering::SeqCst);
        });
    }

    /// Moves it to the next moment at which something is due. False when nothing is: whatever
    /// waits then waits for somebody outside.
    #[must_use]
    pub fn advance_to_next(&self) -> bool {
        self.moving(|| self.step(Instant::FAR))
    }

    /// Lets all happen that happens now: packets that came are handled, and every thread that was
    /// woken comes to its next wait, or out of its call.
    pub fn settle(&self) {
        self.moving(|| self.settle_here());
    }

    /// Time stands still as long as the guard lives and its thread is not blocked in a call: what
    /// the thread does after a call returned belongs to the same moment.
    pub fn hold(&self) -> HoldGuard {
        self.thread(|thread| thread.holds += 1);
        HoldGuard {
            clock: self.clone(),
            thread: PhantomData,
        }
    }

    /// As long as the guard lives, a call of this thread that has to wait moves the clock itself,
    /// to one moment after the other, until what it waits for has come.
    pub fn drive(&self) -> DriveGuard {
        self.thread(|thread| thread.drives += 1);
        DriveGuard {
            clock: self.clone(),
            thread: PhantomData,
        }
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let now = self.now();
        f.debug_struct("ManualClock").field("now", &now).finish()
    }
}

/// Keeps a clock from moving; see [`ManualClock::hold`].
#[derive(Debug)]
#[must_use = "the clock is held only as long as the guard lives"]
pub struct HoldGuard {
    clock: ManualClock,
    /// It belongs to the thread that holds.
    thread: PhantomData<*const ()>,
}

impl Drop for HoldGuard {
    fn drop(&mut self) {
        self.clock
            .thread(|thread| thread.holds = thread.holds.saturating_sub(1));
    }
}

/// Makes a thread's waits move a clock; see [`ManualClock::drive`].
#[derive(Debug)]
#[must_use = "waits move the clock only as long as the guard lives"]
pub struct DriveGuard {
    clock: ManualClock,
    /// It belongs to the thread that drives.
    thread: PhantomData<*const ()>,
}

impl Drop for DriveGuard {
    fn drop(&mut self) {
        self.clock
            .thread(|thread| thread.drives = thread.drives.saturating_sub(1));
    }
}

/// Calls that wait.
impl ManualClock {
    /// `shard` goes by this clock from now on.
    pub(crate) fn enlist(&self, shard: &Weak<Shard>) {
        let mut state = lock(&self.0.state);
        state.shards.retain(|shard| shard.strong_count() > 0);
        state.shards.push(shard.clone());
    }

    /// Blocks the thread on `poll` until it is ready; `None` when `deadline` came first.
    pub(crate) fn block_on<T>(
        &self,
        deadline: Option<Deadline>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Option<T> {
        let deadline = deadline.and_then(Deadline::manual);
        let _held = self.hold();
        let call = Arc::new(Call {
            clock: self.clone(),
            thread: std::thread::current().id(),
            woken: AtomicBool::new(false),
        });
        let waker = Waker::from(call.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(value) = poll(&mut cx) {
                return Some(value);
            }
            if deadline.is_some_and(|at| at <= self.instant()) {
                return None;
            }
            self.wait(&call, deadline.unwrap_or(Instant::FAR));
        }
    }

    /// Waits until `call` is woken or `until` has come.
    fn wait(&self, call: &Call, until: Instant) {
        let mut drives = false;
        self.thread(|thread| drives = thread.drives > 0);
        if drives && self.run_until(call, until) {
            return;
        }
        let mut state = lock(&self.0.state);
        if call.take_wake_up() {
            return;
        }
        state.entry(call.thread).parked = Some(until);
        self.0.changed.notify_all();
        while state.entry(call.thread).parked.is_some() {
            state = self.sleep(state);
        }
        call.take_wake_up();
    }

    /// Moves the clock until `call` is woken or `until` has come. False when nothing is left that
    /// happens by itself: another thread has to do something.
    fn run_until(&self, call: &Call, until: Instant) -> bool {
        self.settle();
        while !call.take_wake_up() {
            if self.moving(|| self.step(until)) {
                continue;
            }
            if until == Instant::FAR {
                return false;
            }
            self.0.now.fetch_max(until.as_nanos(), Ordering::SeqCst);
            return true;
        }
        true
    }
}

/// One wait of a call.
struct Call {
    clock: ManualClock,
    thread: ThreadId,
    woken: AtomicBool,
}

impl Call {
    fn take_wake_up(&self) -> bool {
        self.woken.swap(false, Ordering::SeqCst)
    }
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        let mut state = lock(&self.clock.0.state);
        // From here on it counts as awake, before it has run at all.
        let mut threads = state.threads.iter_mut();
        if let Some(thread) = threads.find(|thread| thread.id == self.thread) {
            thread.parked = None;
        }
        self.clock.0.changed.notify_all();
    }
}

/// Moving.
impl ManualClock {
    fn instant(&self) -> Instant {
        Instant::from_nanos(self.0.now.load(Ordering::SeqCst))
    }

    fn sleep<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let woken = self.0.changed.wait(state);
        woken.unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the calling thread's entry.
    fn thread(&self, work: impl FnOnce(&mut Thread)) {
        let id = std::thread::current().id();
        let mut state = lock(&self.0.state);
        work(state.entry(id));
        state
            .threads
            .retain(|thread| thread.id != id || thread.counts());
        self.0.changed.notify_all();
    }

    /// Does `work` while no other thread moves the clock.
    fn moving<R>(&self, work: impl FnOnce() -> R) -> R {
        let me = std::thread::current().id();
        let mut state = lock(&self.0.state);
        if state.mover == Some(me) {
            // A waker that moves the clock again.
            drop(state);
            return work();
        }
        while state.mover.is_some() {
            state.entry(me).queued = true;
            self.0.changed.notify_all();
            state = self.sleep(state);
        }
        state.entry(me).queued = false;
        state
            .threads
            .retain(|thread| thread.id != me || thread.counts());
        state.mover = Some(me);
        drop(state);
        let _mover = Mover(self);
        work()
    }

    /// One step of the clock: to the next moment at which something is due, unless that lies
    /// beyond `limit`.
    fn step(&self, limit: Instant) -> bool {
        self.settle_here();
        let Some(due) = self.next_due().filter(|due| *due <= limit) else {
            return false;
        };
        self.0.now.fetch_max(due.as_nanos(), Ordering::SeqCst);
        for shard in self.shards() {
            shard.run();
        }
        let now = self.instant();
        let mut state = lock(&self.0.state);
        for thread in &mut state.threads {
            thread.parked = thread.parked.filter(|until| *until > now);
        }
        self.0.changed.notify_all();
        drop(state);
        self.settle_here();
        true
    }

    fn settle_here(&self) {
        // Devices are asked once, whether something came: nobody else waits for them.
        let mut ask = true;
        loop {
            let mut state = lock(&self.0.state);
            while state.is_busy() {
                state = self.sleep(state);
            }
            drop(state);
            let mut ran = false;
            for shard in self.shards() {
                let kicked = shard.seat.kicked.swap(false, Ordering::SeqCst);
                if kicked || (ask && shard.has_watches()) {
                    shard.run();
                    ran = true;
                }
            }
            ask = false;
            if !ran {
                return;
            }
        }
    }

    /// When the next timer or time-out is due.
    fn next_due(&self) -> Option<Instant> {
        let timers = self.shards().into_iter().map(|shard| {
            let planned = shard.seat.deadline();
            shard.with_state(|state, _| state.deadline()).min(planned)
        });
        let timers = timers.min().unwrap_or(Instant::FAR);
        let state = lock(&self.0.state);
        let timeouts = state.threads.iter().filter_map(|thread| thread.parked);
        let due = timeouts.fold(timers, Instant::min);
        (due != Instant::FAR).then_some(due)
    }

    fn shards(&self) -> Vec<Arc<Shard>> {
        let state = lock(&self.0.state);
        state.shards.iter().filter_map(Weak::upgrade).collect()
    }
}

/// Ends a thread's time as the mover, also by a panic.
struct Mover<'a>(&'a ManualClock);

impl Drop for Mover<'_> {
    fn drop(&mut self) {
        lock(&self.0.0.state).mover = None;
        self.0.0.changed.notify_all();
    }
}

impl State {
    fn entry(&mut self, id: ThreadId) -> &mut Thread {
        let place = self.threads.iter().position(|thread| thread.id == id);
        let place = place.unwrap_or_else(|| {
            self.threads.push(Thread {
                id,
                holds: 0,
                drives: 0,
                parked: None,
                queued: false,
            });
            self.threads.len() - 1
        });
        &mut self.threads[place]
    }

    /// Whether a thread that holds the clock is at work, other than the one that moves it.
    fn is_busy(&self) -> bool {
        self.threads.iter().any(|thread| {
            let waits = thread.parked.is_some() || thread.queued;
            thread.holds > 0 && !waits && self.mover != Some(thread.id)
        })
    }
}

impl Thread {
    /// Whether there is a reason to keep it.
    fn counts(&self) -> bool {
        self.holds > 0 || self.drives > 0 || self.queued
    }
}
