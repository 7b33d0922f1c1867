//! A task of a tokio runtime that drives a node: the links' descriptors are watched by the
//! runtime's reactor, the deadline by its timer.
//!
//! The first call that waits inside a runtime starts it, one for each node. It goes with the node,
//! or with its runtime; the next call that waits then starts another, and until one does the
//! background thread stands in.

use crate::driver::Driver;
use crate::shard::{Shard, Watch};
use sockeye_core::Instant;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep_until};

/// Rounds of one poll of the task before other tasks get their turn.
const ROUNDS_MAX: usize = 16;

/// Sees to it that a task drives `shard`, where the caller is inside a runtime.
pub(crate) fn start(shard: &Arc<Shard>) {
    if shard.seat.has_task() {
        return;
    }
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    // Taken before the task first runs, so that there is one.
    if !shard.seat.claim_for_task() {
        return;
    }
    let reactor = Reactor {
        shard: shard.clone(),
        devices: Vec::new(),
        version: None,
        alarm: None,
    };
    runtime.spawn(reactor);
}

struct Reactor {
    shard: Arc<Shard>,
    devices: Vec<Device>,
    /// Of the shard's list of descriptors, when `devices` was made.
    version: Option<u64>,
    alarm: Option<(Instant, Pin<Box<Sleep>>)>,
}

struct Device {
    fd: AsyncFd<Descriptor>,
}

/// A watch, as `AsyncFd` takes it.
struct Descriptor(Arc<Watch>);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.fd.as_raw_fd()
    }
}

impl Future for Reactor {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let shard = this.shard.clone();
        for _ in 0..ROUNDS_MAX {
            if shard.is_closed() {
                return Poll::Ready(());
            }
            shard.seat.sit_task(cx.waker());
            shard.seat.activity.fetch_add(1, Ordering::Relaxed);
            shard.seat.kicked.store(false, Ordering::SeqCst);
            this.watch();
            shard.run_as(Driver::Task);
            // What a descriptor says it is ready for is forgotten before the next round uses it:
            // what comes after that shows again.
            let mut busy = this.poll_devices(cx);
            busy |= this.poll_alarm(cx);
            busy |= shard.seat.kicked.load(Ordering::SeqCst);
            if !busy {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[expect(
    unsafe_code,
    reason = "the reactor has to trust that the descriptor stays"
)]
fn register(descriptor: Descriptor) -> std::io::Result<AsyncFd<Descriptor>> {
    // SAFETY: `as_raw_fd` names the same descriptor every time, that of an `OwnedFd` which the
    // `Descriptor` keeps open by its `Arc` as long as it lives: it is neither closed nor replaced
    // while it is registered.
    unsafe { AsyncFd::register(descriptor) }.map_err(Into::into)
}

impl Reactor {
    /// Watches the links that there are now.
    fn watch(&mut self) {
        let (version, watches) = self.shard.watches_since(self.version);
        let Some(watches) = watches else {
            return;
        };
        self.version = Some(version);
        self.devices.clear();
        for watch in watches {
            match register(Descriptor(watch)) {
                Ok(fd) => self.devices.push(Device { fd }),
                Err(error) => tracing::error!(%error, "a link can't be watched"),
            }
        }
    }

    fn poll_devices(&mut self, cx: &mut Context<'_>) -> bool {
        let mut ready = false;
        for Device { fd } in &self.devices {
            if let Poll::Ready(Ok(mut guard)) = fd.poll_read_ready(cx) {
                guard.clear_ready();
                ready = true;
            }
            if fd.get_ref().0.want_write.load(Ordering::Acquire)
                && let Poll::Ready(Ok(mut guard)) = fd.poll_write_ready(cx)
            {
                guard.clear_ready();
                ready = true;
            }
        }
        ready
    }

    /// Sets the alarm for the next deadline; true when that is now.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> bool {
        let at = self.shard.seat.set_alarm(Driver::Task);
        let Some(moment) = self.shard.to_std(at) else {
            self.alarm = None;
            return false;
        };
        let (set_for, sleep) = self
            .alarm
            .get_or_insert_with(|| (at, Box::pin(sleep_until(moment.into()))));
        if *set_for != at {
            *set_for = at;
            sleep.as_mut().reset(moment.into());
        }
        sleep.as_mut().poll(cx).is_ready()
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        // A runtime without timers or I/O makes the task panic: the background thread does better.
        let again = !std::thread::panicking();
        self.shard.seat.leave_task(again);
    }
}

impl std::fmt::Debug for Reactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reactor").finish_non_exhaustive()
    }
}

/// What stands for the task until it first runs.
pub(crate) fn placeholder() -> Waker {
    Waker::noop().clone()
}
