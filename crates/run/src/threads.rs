//! The threads of a program: their descriptors, and whether they sleep.

use crate::backend::Errno;
use crate::descriptors::lock;
use crate::sys;
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Threads that are remembered.
const THREADS_MAX: usize = 256;

/// A thread, by descriptors that go on meaning it when its number is given anew.
struct Thread {
    pidfd: OwnedFd,
    /// Says where in the kernel it sleeps, `0` if it does not.
    sleeping: Option<File>,
}

impl Thread {
    fn open(tid: i32) -> Result<Self, Errno> {
        Ok(Self {
            pidfd: sys::open_thread(tid)?,
            sleeping: File::open(format!("/proc/{tid}/wchan")).ok(),
        })
    }

    fn sleeps(&self) -> bool {
        let mut place = [0; 2];
        let read = self
            .sleeping
            .as_ref()
            .map(|file| file.read_at(&mut place, 0));
        matches!(read, Some(Ok(1..))) && place != *b"0\0"
    }
}

/// The threads that have made calls.
#[derive(Default)]
pub(crate) struct Threads {
    known: Mutex<BTreeMap<i32, Arc<Thread>>>,
    /// This kernel says where a thread sleeps.
    sleep_is_shown: AtomicBool,
}

impl Threads {
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
        let thread = Arc::new(Thread::open(tid)?);
        let mut threads = lock(&self.known);
        if threads.len() >= THREADS_MAX {
            threads.clear();
        }
        threads.insert(tid, thread.clone());
        drop(threads);
        pidfd_getfd(&thread.pidfd, fd, PidfdGetfdFlags::empty())
    }

    /// Whether a thread that waits for its answer sleeps, and has not been woken by a signal. `None` if nobody can tell.
    pub(crate) fn sleeps(&self, tid: i32) -> Option<bool> {
        if !self.sleep_is_shown.load(Ordering::Relaxed) {
            return None;
        }
        let known = lock(&self.known).get(&tid).cloned();
        Some(known?.sleeps())
    }

    /// Finds out, with a thread that is about to sleep, whether this kernel says that one does.
    pub(crate) fn try_with_sleeper(&self, tid: i32) {
        const TRIES: usize = 20;
        let Ok(thread) = Thread::open(tid) else {
            return;
        };
        for _ in 0..TRIES {
            if thread.sleeps() {
                return self.sleep_is_shown.store(true, Ordering::Relaxed);
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}
