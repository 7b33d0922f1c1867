//! How a thread waits: parked on a futex while no device needs watching, else in poll(2) with an
//! event descriptor of its own among the devices'. One waker serves both.

use crate::look::{Look, Sleep};
use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::{Thread, current};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::OnceLock;
use std::task::Wake;
use std::time::{Duration, Instant};

/// Awake, nothing to tell it.
const EMPTY: u8 = 0;
/// In a futex wait.
const PARKED: u8 = 1;
/// In poll(2).
const POLLING: u8 = 2;
/// Woken; it has not seen it yet.
const NOTIFIED: u8 = 3;

/// Whether the thread that is waited for can run meanwhile.
fn has_cores() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1))
}

/// One thread's place to wait.
#[derive(Debug)]
pub(crate) struct Parker {
    state: AtomicU8,
    thread: Thread,
    /// How long it looks for a wake-up before it sleeps.
    look: Look,
    /// Made when the thread first waits for a device.
    event: OnceLock<OwnedFd>,
}

impl Parker {
    /// One for the calling thread.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU8::new(EMPTY),
            thread: current(),
            look: Look::new(),
            event: OnceLock::new(),
        })
    }

    /// Wakes the thread, now or from its next wait.
    pub(crate) fn notify(&self) {
        match self.state.swap(NOTIFIED, Ordering::AcqRel) {
            PARKED => {
                self.look.stamp();
                self.thread.unpark();
            }
            POLLING => {
                if let Some(event) = self.event.get() {
                    // It can only fail when 2^64 - 1 wake-ups are pending: then it is readable.
                    let _ = rustix::io::write(event, &1_u64.to_ne_bytes());
                }
            }
            _ => {}
        }
    }

    /// Whether a wake-up is pending. The next wait returns at once.
    pub(crate) fn is_notified(&self) -> bool {
        self.state.load(Ordering::Acquire) == NOTIFIED
    }

    /// Enters a wait, unless a wake-up is pending.
    fn begin(&self, how: u8) -> bool {
        self.state
            .compare_exchange(EMPTY, how, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Leaves a wait and takes the wake-up, if there is one.
    fn end(&self) -> bool {
        self.state.swap(EMPTY, Ordering::AcqRel) == NOTIFIED
    }

    /// Waits without a device or a deadline.
    #[cfg(all(loom, test))]
    pub(crate) fn park(&self) {
        if self.begin(PARKED) {
            while !self.is_notified() {
                crate::sync::park();
            }
        }
        self.end();
    }

    /// Waits until it is notified, one of `fds` is ready or `deadline` has come. True when it was
    /// notified.
    ///
    /// # Errors
    /// poll(2) failed, or no event descriptor could be made.
    pub(crate) fn wait(
        &self,
        fds: &[(BorrowedFd<'_>, PollFlags)],
        deadline: Option<Instant>,
    ) -> std::io::Result<bool> {
        if fds.is_empty() {
            if !self.is_notified() {
                self.look_or_park(deadline);
            }
            return Ok(self.end());
        }
        let event = self.event()?;
        if !self.begin(POLLING) {
            return Ok(self.end());
        }
        let polled = poll_until(fds, event, deadline);
        let notified = self.end();
        if notified {
            // Whoever notified may not have written yet: then the next wait returns early once.
            let _ = rustix::io::read(event, &mut [0; 8]);
        }
        polled.map(|()| notified)
    }

    /// Looks for a wake-up for a moment, where that promises to be enough, and then sleeps.
    fn look_or_park(&self, deadline: Option<Instant>) {
        let begun = Instant::now();
        if self.look.look(begun, deadline, || self.is_notified()) {
            return;
        }
        let sleep = Sleep::new(begun);
        if self.begin(PARKED) {
            self.park_until(deadline);
        }
        self.look.slept(&sleep, self.is_notified(), has_cores());
    }

    fn park_until(&self, deadline: Option<Instant>) {
        while !self.is_notified() {
            let Some(deadline) = deadline else {
                std::thread::park();
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::park_timeout(left);
        }
    }

    fn event(&self) -> std::io::Result<BorrowedFd<'_>> {
        use std::os::fd::AsFd as _;
        if let Some(event) = self.event.get() {
            return Ok(event.as_fd());
        }
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(self.event.get_or_init(|| event).as_fd())
    }
}

fn poll_until(
    fds: &[(BorrowedFd<'_>, PollFlags)],
    event: BorrowedFd<'_>,
    deadline: Option<Instant>,
) -> std::io::Result<()> {
    let event = (event, PollFlags::IN);
    let all = fds.iter().chain(std::iter::once(&event));
    let mut all: Vec<_> = all
        .map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
        .collect();
    let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
    let timeout = left.and_then(|left: Duration| rustix::event::Timespec::try_from(left).ok());
    match poll(&mut all, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}

thread_local! {
    static PARKER: Arc<Parker> = Parker::new();
}

/// The calling thread's.
pub(crate) fn this() -> Arc<Parker> {
    // A thread whose locals are gone already (a destructor of another local closes a socket) gets
    // a fresh one: it differs only in that it isn't kept.
    PARKER
        .try_with(Arc::clone)
        .unwrap_or_else(|_| Parker::new())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    #[test]
    fn a_wake_up_before_the_wait_is_not_lost() {
        let parker = Parker::new();
        parker.notify();
        assert!(parker.wait(&[], None).unwrap());
        let soon = Some(Instant::now() + Duration::from_millis(1));
        assert!(!parker.wait(&[], soon).unwrap());
    }

    #[test]
    fn a_thread_in_poll_is_woken() {
        let parker = Parker::new();
        let (end, _other) = rustix::pipe::pipe().unwrap();
        for _ in 0..100 {
            let other = parker.clone();
            let waking = std::thread::spawn(move || other.notify());
            let late = Some(Instant::now() + Duration::from_secs(60));
            while !parker.wait(&[(end.as_fd(), PollFlags::IN)], late).unwrap() {}
            waking.join().unwrap();
        }
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::atomic::AtomicBool;

    /// A thread that checks, parks and checks again never sleeps through a wake-up.
    #[test]
    fn a_wake_up_is_never_lost() {
        loom::model(|| {
            let ready = loom::sync::Arc::new(AtomicBool::new(false));
            let parker = Parker::new();
            let waking = {
                let (ready, parker) = (ready.clone(), parker.clone());
                loom::thread::spawn(move || {
                    ready.store(true, Ordering::Release);
                    parker.notify();
                })
            };
            while !ready.load(Ordering::Acquire) {
                parker.park();
            }
            waking.join().unwrap();
        });
    }
}
