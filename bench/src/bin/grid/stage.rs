//! The stage between the hosts: frames cross it through our netem, in real time.
//!
//! One thread joins the links of one or more senders (*near*) with that of the receiver (*far*).
//! What is sent is cut to the size of the wire before netem sees it. Until
//! [`Stage::begin`] nothing is done to frames, so that the hosts can find each other; from then on
//! each direction has loss, delay and rate by itself.
//!
//! Reordering has no word of its own in netem where the delay is shorter than the reordering: so a
//! second stage behind the first, on the receiver's side, holds one packet in a hundred back for
//! 5 ms and sends the others at once.

use anyhow::{Context, Result};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use sockeye::drivers::netem::NetemCounters;
use sockeye::drivers::{Netem, NetemConfig};
use sockeye::link::{Batch, Instant, Link, MacAddr};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Frames that cross in one go.
const BURST: usize = 64;
/// The loop looks around at least so often.
const PATIENCE: Duration = Duration::from_millis(100);

/// What is done to frames.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    /// Rate, delay, loss and limit, in netem's words.
    pub(crate) path: String,
    /// The second stage, which reorders; empty for none.
    pub(crate) reorder: String,
    pub(crate) seed: u64,
}

/// A running stage.
pub(crate) struct Stage {
    commands: Option<Sender<Words>>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<Result<NetemCounters>>>,
}

impl Stage {
    /// Joins `near` and `far`.
    pub(crate) fn start(near: Vec<Box<dyn Link>>, far: Box<dyn Link>) -> Result<Self> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (commands, receiver) = channel();
        let mut bridge = Bridge {
            near: near.into_iter().map(Port::new).collect(),
            far: Far::Bare(far),
            to_far: Batch::new(),
            stations: HashMap::new(),
            wake: Arc::clone(&wake),
            epoch: std::time::Instant::now(),
        };
        bridge.listen();
        let thread = std::thread::Builder::new()
            .name("stage".into())
            .spawn(move || {
                punctual();
                bridge.run(&receiver)
            })?;
        Ok(Self {
            commands: Some(commands),
            wake,
            thread: Some(thread),
        })
    }

    /// From now on the words act.
    pub(crate) fn begin(&self, words: Words) {
        if let Some(commands) = &self.commands {
            // A stage that has failed says so at its end.
            let _ = commands.send(words);
            let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        }
    }

    /// Ends it and tells what became of the frames from senders to the receiver.
    pub(crate) fn end(mut self) -> Result<NetemCounters> {
        self.stop().context("the stage has ended before")?
    }

    fn stop(&mut self) -> Option<Result<NetemCounters>> {
        self.commands = None;
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        let thread = self.thread.take()?;
        Some(thread.join().expect("the stage does not panic"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // An error was told by `end`, or another one is on its way.
        let _ = self.stop();
    }
}

/// Asks the kernel to wake this thread in time, whoever else is busy: timers without slack, and
/// before ordinary threads. Without the right to, it is only less exact.
fn punctual() {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: prctl with PR_SET_TIMERSLACK takes a number and touches no memory; the scheduler
    // reads the structure that lives here.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1);
        libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters);
    }
}

struct Bridge {
    near: Vec<Port>,
    far: Far,
    /// What the far link did not take yet.
    to_far: Batch,
    /// Behind which near port a station is.
    stations: HashMap<MacAddr, usize>,
    wake: Arc<OwnedFd>,
    epoch: std::time::Instant,
}

struct Port {
    link: Box<dyn Link>,
    /// What it did not take yet.
    tx: Batch,
}

impl Port {
    fn new(link: Box<dyn Link>) -> Self {
        Self {
            link,
            tx: Batch::new(),
        }
    }
}

/// The receiver's link, first as it is and then with the words on it.
enum Far {
    Bare(Box<dyn Link>),
    Path(Box<Netem<Netem<Box<dyn Link>>>>),
    /// Between the two.
    None,
}

impl Far {
    fn link(&mut self) -> &mut dyn Link {
        match self {
            Self::Bare(link) => link,
            Self::Path(link) => link,
            Self::None => unreachable!("the words are put on without a pause"),
        }
    }

    fn begin(&mut self, words: &Words) -> Result<()> {
        let path: NetemConfig = words.path.parse()?;
        let reorder: NetemConfig = words.reorder.parse()?;
        let old = std::mem::replace(self, Self::None);
        *self = match old {
            Self::Bare(link) => {
                // The seeds of the two stages differ, but follow from one.
                let inner = Netem::new(link, reorder, words.seed ^ (1 << 63));
                Self::Path(Box::new(Netem::new(inner, path, words.seed)))
            }
            other => other,
        };
        Ok(())
    }
}

impl Bridge {
    fn run(mut self, commands: &Receiver<Words>) -> Result<NetemCounters> {
        loop {
            match commands.try_recv() {
                Ok(words) => self.far.begin(&words)?,
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => break,
            }
            if !self.carry()? {
                self.wait()?;
            }
        }
        Ok(match &self.far {
            Far::Path(link) => link.outbound(),
            _ => NetemCounters::default(),
        })
    }

    /// Links that have no descriptor call.
    fn listen(&mut self) {
        let far = self.far.link();
        for link in self
            .near
            .iter_mut()
            .map(|port| &mut *port.link as &mut dyn Link)
            .chain([far])
        {
            if link.as_raw_fd().is_none() {
                let wake = Arc::clone(&self.wake);
                link.set_notify(Arc::new(move || {
                    // One that can't be written is readable already.
                    let _ = rustix::io::write(&wake, &1_u64.to_ne_bytes());
                }));
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Moves what is there to be moved. False when there was nothing.
    fn carry(&mut self) -> Result<bool> {
        let mut moved = 0;
        for index in 0..self.near.len() {
            let now = self.now();
            if self.to_far.len() < BURST {
                let before = self.to_far.len();
                let port = &mut self.near[index];
                moved += port.link.recv_batch(now, &mut self.to_far, BURST)?;
                for frame in self.to_far.range(before..) {
                    if let Some(source) = station(frame.head(), 6) {
                        self.stations.insert(source, index);
                    }
                }
            }
            // Netem takes all; the bare link at the start has room for the few frames there are.
            moved += self.far.link().send_batch(now, &mut self.to_far)?;
        }
        let now = self.now();
        let mut back = Batch::new();
        // Also lets go of what is due the other way.
        moved += self.far.link().recv_batch(now, &mut back, BURST)?;
        for frame in back {
            let to = station(frame.head(), 0).and_then(|to| self.stations.get(&to));
            match to {
                Some(&index) => self.near[index].tx.push_back(frame),
                None => {
                    for port in &mut self.near {
                        port.tx.push_back(frame.clone());
                    }
                }
            }
        }
        for port in &mut self.near {
            if !port.tx.is_empty() {
                moved += port.link.send_batch(now, &mut port.tx)?;
            }
        }
        Ok(moved > 0)
    }

    /// Waits for a frame, a call, or the next one's time.
    fn wait(&mut self) -> Result<()> {
        let deadline = self.far.link().deadline();
        let now = self.now();
        let limit = deadline.map_or(PATIENCE, |at| at.saturating_since(now).min(PATIENCE));
        let limit = Timespec {
            tv_sec: 0,
            tv_nsec: i64::try_from(limit.as_nanos()).unwrap_or(0),
        };
        let far = self.far.link().as_raw_fd();
        let raw = self.near.iter().map(|port| port.link.as_raw_fd());
        let raw: Vec<_> = raw.chain([far]).flatten().collect();
        let mut fds = vec![PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN)];
        for fd in raw {
            // SAFETY: the descriptor belongs to a link that this bridge owns, which closes it only
            // when it is dropped: after this call.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
        }
        match poll(&mut fds, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut count = [0; 8];
        // Empty when nobody called.
        let _ = rustix::io::read(&self.wake, &mut count);
        Ok(())
    }
}

/// The address at `at` of an Ethernet header; `None` for a group's.
fn station(header: &[u8], at: usize) -> Option<MacAddr> {
    let bytes: [u8; 6] = header.get(at..at + 6)?.try_into().ok()?;
    (bytes[0] & 1 == 0).then_some(MacAddr(bytes))
}
