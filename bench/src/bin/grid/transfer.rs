//! One run: a sender fills a path, and what arrives at the reader is counted.

use crate::cells::{Cell, Length};
use crate::hosts::{Host, Listener, Stream, Whose};
use crate::stage::{Stage, Words};
use anyhow::{Context, Result};
use sockeye::drivers::netem::NetemCounters;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes of one call of a reader or a writer.
const CALL: usize = 128 << 10;
/// For Ethernet addresses to be found.
const GREETING: Duration = Duration::from_millis(50);

/// What a run found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// Bits a second that the reader got, after the start.
    pub(crate) goodput: f64,
    /// Frames with data, in the stage.
    pub(crate) frames: NetemCounters,
}

/// Runs one path of one cell, from the first of `ends` to the second.
pub(crate) fn run(
    ends: (Whose, Whose),
    cell: &Cell,
    words: Words,
    congestion: &str,
    length: Length,
) -> Result<Outcome> {
    let mut sender = Host::new(ends.0, 1, congestion)?;
    let mut receiver = Host::new(ends.1, 2, congestion)?;
    let near = sender.link.take().into_iter().collect();
    let far = receiver.link.take().context("a host has a link")?;
    let stage = Stage::start(near, far)?;
    sender.greet(&receiver)?;
    receiver.greet(&sender)?;
    std::thread::sleep(GREETING);
    stage.begin(words);
    let flow = Flow::start(&sender, &receiver, &receiver.listen()?)?;
    std::thread::sleep(length.warm_up(cell));
    let (began, before) = (Instant::now(), flow.received());
    std::thread::sleep(length.measured(cell));
    let (took, after) = (began.elapsed(), flow.received());
    flow.end();
    Ok(Outcome {
        goodput: (after - before) as f64 * 8.0 / took.as_secs_f64(),
        frames: stage.end()?,
    })
}

/// A sender and a receiver at work.
pub(crate) struct Flow {
    received: Arc<AtomicU64>,
    cuts: [Box<dyn FnOnce() + Send>; 2],
    threads: [JoinHandle<()>; 2],
}

impl Flow {
    /// Connects and begins to send.
    pub(crate) fn start(sender: &Host, receiver: &Host, listener: &Listener) -> Result<Self> {
        // The kernel's sockets take connections by themselves; a node needs somebody to drive it,
        // which its background thread does.
        let writer = sender.connect(receiver.address()).context("connecting")?;
        let reader = listener.accept().context("accepting")?;
        let received = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&received);
        let Stream { io: mut from, cut } = reader;
        let cut_reader = cut;
        let reading = std::thread::spawn(move || {
            let mut buffer = vec![0; CALL];
            // Until it is cut off.
            while let Ok(len @ 1..) = from.read(&mut buffer) {
                counter.fetch_add(len as u64, Ordering::Relaxed);
            }
        });
        let Stream { io: mut to, cut } = writer;
        let writing = std::thread::spawn(move || {
            let data = vec![0x5a; CALL];
            while to.write_all(&data).is_ok() {}
        });
        Ok(Self {
            received,
            cuts: [cut, cut_reader],
            threads: [writing, reading],
        })
    }

    /// Bytes that the reader has got.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Cuts it off.
    pub(crate) fn end(self) {
        for cut in self.cuts {
            cut();
        }
        for thread in self.threads {
            thread.join().expect("reading and writing do not panic");
        }
    }
}
