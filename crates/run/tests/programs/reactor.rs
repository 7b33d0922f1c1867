//! Wakes a task when a descriptor is ready: once for each time it asks, by what poll(2) would say, so that nothing is missed and
//! an error alone is seen as well.

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::{Mutex, OnceLock};
use std::task::Waker;
use std::thread;

pub(crate) struct Reactor {
    epoll: OwnedFd,
    waiting: Mutex<BTreeMap<u64, Waker>>,
}

impl Reactor {
    /// The reactor of tasks that read.
    pub(crate) fn reading() -> &'static Self {
        static REACTOR: OnceLock<Reactor> = OnceLock::new();
        Self::started(&REACTOR)
    }

    /// The reactor of tasks that write.
    pub(crate) fn writing() -> &'static Self {
        static REACTOR: OnceLock<Reactor> = OnceLock::new();
        Self::started(&REACTOR)
    }

    fn started(cell: &'static OnceLock<Self>) -> &'static Self {
        cell.get_or_init(|| {
            thread::spawn(|| cell.wait().run());
            Self {
                epoll: epoll::create(CreateFlags::CLOEXEC).unwrap(),
                waiting: Mutex::default(),
            }
        })
    }

    /// Wakes the task at the next of these events, or an error.
    pub(crate) fn wake(&self, fd: &OwnedFd, events: EventFlags, waker: &Waker) {
        let key = fd.as_raw_fd() as u64;
        self.waiting.lock().unwrap().insert(key, waker.clone());
        let (data, events) = (EventData::new_u64(key), events | EventFlags::ONESHOT);
        if epoll::modify(&self.epoll, fd, data, events).is_err() {
            epoll::add(&self.epoll, fd, data, events).unwrap();
        }
    }

    /// The descriptor is about to be closed.
    pub(crate) fn forget(&self, fd: &OwnedFd) {
        let _ = epoll::delete(&self.epoll, fd);
        self.waiting
            .lock()
            .unwrap()
            .remove(&(fd.as_raw_fd() as u64));
    }

    fn run(&self) {
        let mut events = [MaybeUninit::<Event>::uninit(); 64];
        loop {
            let Ok((ready, _)) = epoll::wait(&self.epoll, &mut events, None) else {
                continue;
            };
            for event in ready {
                let waker = self.waiting.lock().unwrap().remove(&event.data.u64());
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        }
    }
}
