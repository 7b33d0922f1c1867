//! The background thread: drives the nodes of the process that nobody else drives.

use crate::driver::{self, Driver};
use crate::fork;
use crate::parker::Parker;
use crate::shard::{Shard, lock};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// How long a node whose callers come and go is left to them after one left.
const GRACE: Duration = Duration::from_millis(2);
/// How long a node's task may take to come when it is wanted.
const PATIENCE: Duration = Duration::from_millis(10);

static BACKGROUND: Mutex<Background> = Mutex::new(Background {
    nodes: Vec::new(),
    thread: None,
    generation: 0,
});

struct Background {
    nodes: Vec<Weak<Shard>>,
    thread: Option<Arc<Parker>>,
    /// Of the process that has the thread.
    generation: u64,
}

impl Background {
    /// In a forked child there is no thread, and the nodes are the parent's.
    fn forget_parent(&mut self) {
        if self.generation != fork::generation() {
            self.generation = fork::generation();
            self.nodes.clear();
            self.thread = None;
        }
    }
}

/// Adds a node to those that may need it.
pub(crate) fn enlist(shard: &Weak<Shard>) {
    let mut background = lock(&BACKGROUND);
    background.forget_parent();
    background.nodes.retain(|node| node.strong_count() > 0);
    background.nodes.push(shard.clone());
}

/// Somebody's node needs it: starts the thread, or wakes it.
pub(crate) fn call() {
    let mut background = lock(&BACKGROUND);
    background.forget_parent();
    if let Some(thread) = &background.thread {
        thread.notify();
        return;
    }
    let (send, receive) = std::sync::mpsc::sync_channel(1);
    let started = std::thread::Builder::new()
        .name("sockeye-driver".into())
        .spawn(move || {
            let parker = Parker::new();
            if send.send(parker.clone()).is_ok() {
                drive(&parker);
            }
        });
    match started.map(|_| receive.recv()) {
        Ok(Ok(parker)) => {
            parker.notify();
            background.thread = Some(parker);
        }
        Ok(Err(_)) => tracing::error!("the driver's thread ended at once"),
        Err(error) => tracing::error!(%error, "no thread for the driver: timers stand still"),
    }
}

fn drive(parker: &Arc<Parker>) {
    loop {
        let mut look_again = None;
        let nodes: Vec<Arc<Shard>> = {
            let mut background = lock(&BACKGROUND);
            background.nodes.retain(|node| node.strong_count() > 0);
            background.nodes.iter().filter_map(Weak::upgrade).collect()
        };
        let mut driven = Vec::new();
        for shard in &nodes {
            match look(shard) {
                Look::Drive => driven.push(shard),
                Look::Later(after) => {
                    let at = Instant::now() + after;
                    look_again = Some(look_again.map_or(at, |other: Instant| other.min(at)));
                }
                Look::Leave => {}
            }
        }
        if let Err(error) = driver::wait(parker, Driver::Background, &driven, look_again) {
            tracing::error!(%error, "waiting for links failed");
            std::thread::sleep(GRACE);
        }
    }
}

enum Look {
    /// Nobody drives it.
    Drive,
    /// It is driven, or should be: look again after so long.
    Later(Duration),
    /// Somebody drives it and will call.
    Leave,
}

/// Runs what is due on a node, and says how to go on with it.
fn look(shard: &Arc<Shard>) -> Look {
    let seat = &shard.seat;
    let activity = seat.activity.load(Ordering::Relaxed);
    let quiet = seat.activity_seen.swap(activity, Ordering::Relaxed) == activity;
    if quiet && seat.has_caller() {
        // From here on whoever leaves calls.
        seat.watched.store(false, Ordering::SeqCst);
        seat.leave_alarm(Driver::Background);
        // He may have left just now, when it still looked watched.
        if seat.has_caller() {
            return Look::Leave;
        }
    }
    let devices = shard.has_watches();
    seat.watched.store(true, Ordering::SeqCst);
    if seat.has_caller() {
        if !devices {
            // Only the deadline counts, and that is looked at when it has come.
            return Look::Drive;
        }
    } else if seat.has_task() {
        return look_after_task(shard, quiet);
    } else if seat.kicked.swap(false, Ordering::SeqCst) || quiet || !devices {
        shard.run_as(Driver::Background);
    }
    if devices && !quiet {
        seat.promise(Driver::Background, shard.now() + GRACE);
        return Look::Later(GRACE);
    }
    Look::Drive
}

/// The task comes when it is called.
const TRUSTED: u8 = 0;
/// It was called, or has just been here: it has [`PATIENCE`].
const ON_TRIAL: u8 = 1;
/// It did not come.
const ABSENT: u8 = 2;

/// Looks whether a node's task does its work, and does it in its place if not.
fn look_after_task(shard: &Arc<Shard>, quiet: bool) -> Look {
    let seat = &shard.seat;
    let trust = match (seat.trust.load(Ordering::Relaxed), quiet) {
        (_, false) => ON_TRIAL,
        (TRUSTED, true) if is_wanted(shard) => ON_TRIAL,
        (TRUSTED, true) => TRUSTED,
        (ON_TRIAL, true) if is_wanted(shard) => ABSENT,
        (ON_TRIAL, true) => TRUSTED,
        (_, true) => ABSENT,
    };
    seat.trust.store(trust, Ordering::Relaxed);
    if trust == ON_TRIAL {
        seat.standing_by.store(false, Ordering::SeqCst);
        // Its own alarm counts.
        seat.leave_alarm(Driver::Background);
        return Look::Later(PATIENCE);
    }
    if trust == ABSENT {
        seat.kicked.store(false, Ordering::SeqCst);
        shard.run();
    }
    seat.standing_by.store(true, Ordering::SeqCst);
    // A call that came before this was not heard.
    if seat.kicked.load(Ordering::SeqCst) {
        seat.standing_by.store(false, Ordering::SeqCst);
        return Look::Later(PATIENCE);
    }
    Look::Drive
}

/// Whether there is something to do on a node that a driver would have come for.
fn is_wanted(shard: &Shard) -> bool {
    shard.seat.kicked.load(Ordering::SeqCst)
        || shard.seat.deadline() <= shard.now()
        || driver::is_ready(shard)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::Node;
    use sockeye_core::Instant;

    const SOON: Instant = Instant::from_nanos(1_000_000);
    const LATER: Instant = Instant::from_nanos(2_000_000);

    /// The thread's alarm has rung, but it has not come yet; meanwhile a turn ends with a deadline
    /// behind that. When the thread then leaves the node to the caller, that one hears of it.
    #[test]
    fn a_deadline_behind_an_alarm_that_rang_is_left_to_the_caller() {
        let node = Node::builder().background(false).build().unwrap();
        let (shard, parker) = (node.shard(), Parker::new());
        let seat = &shard.seat;
        assert!(seat.sit(&parker));
        seat.set_deadline(Instant::FAR);
        assert_eq!(seat.set_alarm(Driver::Caller), Instant::FAR);
        seat.promise(Driver::Background, SOON);
        seat.set_deadline(LATER);
        assert!(!parker.is_notified(), "the thread wakes before");
        assert!(matches!(look(shard), Look::Leave));
        assert!(parker.is_notified());
        // He has set his alarm for it: nothing is left to be told.
        assert!(parker.wait(&[], None).unwrap());
        assert_eq!(seat.set_alarm(Driver::Caller), LATER);
        assert!(matches!(look(shard), Look::Leave));
        assert!(!parker.is_notified());
    }
}
