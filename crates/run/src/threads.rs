//! The threads of a program: their descriptors, and whether they sleep.

use crate::backend::Errno;
use crate::descriptors::lock;
use crate::sys;
use crate::waiting::{self, Waiting};
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Threads that are remembered.
const THREADS_MAX: usize = 256;

/// What is read of a thread's stat file at the most: its number, its name, its state, and the parent's number.
const STAT_START: usize = 48;

/// A thread, by descriptors that go on meaning it when its number is given anew.
struct Thread {
    pidfd: OwnedFd,
    /// Says how it sleeps, for whoever must know: see [`Thread::heeds`].
    sleeping: Option<File>,
}

impl Thread {
    fn open(tid: i32, waiting: Waiting) -> Result<Self, Errno> {
        let sleeping = match waiting {
            Waiting::Firmly => None,
            Waiting::FirmlySoon => File::open(format!("/proc/{tid}/task/{tid}/stat")).ok(),
            Waiting::Lightly => File::open(format!("/proc/{tid}/wchan")).ok(),
        };
        Ok(Self {
            pidfd: sys::open_thread(tid)?,
            sleeping,
        })
    }

    /// Whether it would heed an answer that it got now.
    fn heeds(&self, waiting: Waiting) -> bool {
        let mut start = [0; STAT_START];
        let read = self
            .sleeping
            .as_ref()
            .map(|file| file.read_at(&mut start, 0));
        match (waiting, read) {
            (Waiting::Firmly, _) => true,
            // A sleep that nothing interrupts.
            (Waiting::FirmlySoon, Some(Ok(len))) => waiting::state(&start[..len]) == Some(b'D'),
            // It sleeps, so no signal has woken it; which one may in the moment after.
            (Waiting::Lightly, Some(Ok(1..))) => !start.starts_with(b"0\0"),
            _ => false,
        }
    }
}

/// The threads that have made calls.
pub(crate) struct Threads {
    pub(crate) waiting: Waiting,
    known: Mutex<BTreeMap<i32, Arc<Thread>>>,
    /// This kernel says whether a thread sleeps.
    sleep_is_shown: AtomicBool,
}

impl Threads {
    pub(crate) fn new(waiting: Waiting) -> Self {
        Self {
            waiting,
            known: Mutex::default(),
            sleep_is_shown: AtomicBool::new(false),
        }
    }

    /// A duplicate of a thread's descriptor.
    pub(crate) fn duplicate(&self, tid: i32, fd: RawFd) -> Result<OwnedFd, Errno> {
        if fd < 0 {
            return Err(Errno::BADF);
        }
        let known = lock(&self.known).get(&tid).cloned();
        if let Some(thread) = known {
            match pidfd_getfd(&thread.pidfd, fd, PidfdGetfdFlags::empty()) {
                // The thread that had this number is gone.
                Err(Errno::SRCH) => {}
                result => return result,
            }
        }
        let thread = Arc::new(Thread::open(tid, self.waiting)?);
        let mut threads = lock(&self.known);
        if threads.len() >= THREADS_MAX {
            threads.clear();
        }
        threads.insert(tid, thread.clone());
        drop(threads);
        pidfd_getfd(&thread.pidfd, fd, PidfdGetfdFlags::empty())
    }

    /// Whether a thread that waits for its answer would heed it, as far as can be told.
    pub(crate) fn heeds(&self, tid: i32) -> bool {
        if self.waiting == Waiting::Firmly || !self.sleep_is_shown.load(Ordering::Relaxed) {
            return true;
        }
        let known = lock(&self.known).get(&tid).cloned();
        known.is_none_or(|thread| thread.heeds(self.waiting))
    }

    /// Finds out, with a thread that is about to sleep, whether this kernel says that one does.
    pub(crate) fn try_with_sleeper(&self, tid: i32) {
        const TRIES: usize = 20;
        // In a sleep like any other, which shows as one that may end.
        let Ok(thread) = Thread::open(tid, Waiting::Lightly) else {
            return;
        };
        for _ in 0..TRIES {
            if thread.heeds(Waiting::Lightly) {
                return self.sleep_is_shown.store(true, Ordering::Relaxed);
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}
