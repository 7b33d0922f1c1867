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
                Look::Later => look_again = Some(Instant::now() + GRACE),
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
    /// Its callers come and go.
    Later,
    /// Somebody drives it and will call.
    Leave,
}

/// Runs what is due on a node, and says how to go on with it.
fn look(shard: &Arc<Shard>) -> Look {
    let seat = &shard.seat;
    let departures = seat.departures.load(Ordering::Relaxed);
    let quiet = seat.departures_seen.swap(departures, Ordering::Relaxed) == departures;
    if quiet && seat.is_taken() {
        // From here on whoever leaves calls.
        seat.watched.store(false, Ordering::SeqCst);
        seat.clear_alarm(Driver::Background);
        // He may have left just now, when it still looked watched.
        if seat.is_taken() {
            return Look::Leave;
        }
    }
    let devices = shard.has_watches();
    seat.watched.store(true, Ordering::SeqCst);
    if seat.is_taken() {
        if !devices {
            // Only the deadline counts, and that is looked at when it has come.
            return Look::Drive;
        }
    } else if seat.kicked.swap(false, Ordering::SeqCst) || quiet || !devices {
        shard.run_as(Driver::Background);
    }
    if devices && !quiet {
        seat.promise(Driver::Background, shard.now() + GRACE);
        return Look::Later;
    }
    Look::Drive
}
