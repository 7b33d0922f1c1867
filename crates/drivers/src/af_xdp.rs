//! An AF_XDP socket of Linux on a queue of an Ethernet interface: frames cross by rings in shared
//! memory, past the host's stack.
//!
//! **What arrives by that queue is the node's**, and the host hears nothing of it: the interface is
//! to be the node's own. The node has an Ethernet address of its own there, for which the interface
//! is made promiscuous. The program that hands the frames over is attached by the driver where it
//! can be, else by the kernel, and goes when this is dropped or the process ends.
//!
//! There are no offloads: super-segments are cut and sums are made before a packet comes here, and a
//! sum that a sender on the same machine left to its device (a veth's other end, unless
//! `ethtool -K IFACE tx off`) is wrong here, since XDP does not tell of it.
//!
//! Needs root, or `CAP_NET_ADMIN`, `CAP_NET_RAW` and `CAP_BPF`, Linux 5.9 or later, and an MTU of at
//! most 3,822 bytes.

mod open;
mod program;
mod ring;

pub use open::{OpenError, check};

use open::Opened;
use program::Mode;
use ring::{Descriptor, FRAME_LEN};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use sockeye_link::{Batch, Capabilities, Instant, Link, MacAddr, Packet};
use std::io;

/// Frames that packets are received into, 8 MiB: a power of two, as they are the length of rings.
const RX_FRAMES: u32 = 2048;
/// Frames that packets are sent from, likewise.
const TX_FRAMES: u32 = 2048;
/// Most system calls after which a batch is left to the kernel: in copy mode each takes 32 packets.
const KICKS_MAX: u32 = TX_FRAMES / 32;

/// An AF_XDP socket on an interface.
#[derive(Debug)]
pub struct AfXdp {
    opened: Opened,
    /// Frames to send from that are this side's.
    free: Vec<u64>,
    counters: AfXdpCounters,
}

/// What it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AfXdpCounters {
    /// Received descriptors that lie outside the frames.
    pub rx_malformed: u64,
    /// Sent packets dropped because they are longer than a frame.
    pub tx_refused: u64,
}

impl AfXdp {
    /// Opens a socket on the `queue` (from 0 on) of the Ethernet interface `name`, for a node that has
    /// the address `own` there (see [`local_address`](crate::local_address)).
    ///
    /// # Errors
    /// There is no such interface or queue, somebody else has it, or the machine does not allow it:
    /// the error's text says which, and what to do.
    pub fn open(name: &str, queue: u32, own: MacAddr) -> Result<Self, OpenError> {
        let mut opened = open::open(name, queue, own)?;
        let frame = |number: u32| u64::from(number) * FRAME_LEN as u64;
        for number in 0..RX_FRAMES {
            opened.fill.push(frame(number));
        }
        opened.fill.publish();
        Ok(Self {
            opened,
            free: (RX_FRAMES..RX_FRAMES + TX_FRAMES).map(frame).collect(),
            counters: AfXdpCounters::default(),
        })
    }

    /// The interface's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.opened.interface.name()
    }

    /// Whether the driver hands the frames over, before the host has made packets of them.
    #[must_use]
    pub fn is_by_driver(&self) -> bool {
        self.opened.mode == Mode::Driver
    }

    /// What was counted since it was opened.
    #[must_use]
    pub fn counters(&self) -> AfXdpCounters {
        self.counters
    }

    /// Takes back the frames that the kernel has sent.
    fn reclaim(&mut self) {
        while let Some(at) = self.opened.completion.pop() {
            self.free.push(at & !(FRAME_LEN as u64 - 1));
        }
        self.opened.completion.release();
    }

    /// Puts packets into frames and those into the ring, as long as there are both.
    fn queue(&mut self, tx: &mut Batch) -> usize {
        let mut taken = 0;
        while let Some(packet) = tx.front() {
            let Some(&at) = self.free.last() else { break };
            if let Some(len) = self.opened.frames.write(at, packet.chunks()) {
                let options = 0;
                if !self.opened.tx.push(Descriptor { at, len, options }) {
                    break;
                }
                self.free.pop();
            } else {
                self.counters.tx_refused += 1;
            }
            tx.pop_front();
            taken += 1;
        }
        self.opened.tx.publish();
        taken
    }

    /// Has the kernel send what lies in the ring.
    fn kick(&self) -> io::Result<()> {
        for _ in 0..KICKS_MAX {
            if self.opened.tx.waiting() == 0 || !self.opened.tx.needs_wakeup() {
                break;
            }
            match send(&self.opened.socket, &[], SendFlags::DONTWAIT) {
                // Each call takes some of them.
                Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
                // The interface's own queue is full: it will be tried again.
                Err(Errno::BUSY | Errno::NOBUFS) => break,
                Err(errno) => self.opened.interface.check(errno)?,
            }
        }
        Ok(())
    }
}

impl Link for AfXdp {
    fn capabilities(&self) -> Capabilities {
        self.opened.capabilities
    }

    fn recv_batch(&mut self, _now: Instant, rx: &mut Batch, max: usize) -> io::Result<usize> {
        let before = rx.len();
        while rx.len() - before < max {
            let Some(descriptor) = self.opened.rx.pop() else {
                break;
            };
            match self.opened.frames.read(descriptor) {
                Some(packet) => rx.push_back(Packet::from_vec(packet)),
                None => self.counters.rx_malformed += 1,
            }
            // There are no more frames than the ring has places.
            self.opened
                .fill
                .push(descriptor.at & !(FRAME_LEN as u64 - 1));
        }
        self.opened.rx.release();
        self.opened.fill.publish();
        // What the interface had no room for.
        self.kick()?;
        if rx.len() == before && self.opened.fill.needs_wakeup() {
            match recv(&self.opened.socket, &mut [0; 0], RecvFlags::DONTWAIT) {
                Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::OPNOTSUPP | Errno::BUSY) => {}
                Err(errno) => self.opened.interface.check(errno)?,
            }
        }
        Ok(rx.len() - before)
    }

    fn send_batch(&mut self, _now: Instant, tx: &mut Batch) -> io::Result<usize> {
        self.reclaim();
        let taken = self.queue(tx);
        self.kick()?;
        Ok(taken)
    }

    fn as_raw_fd(&self) -> Option<RawFd> {
        Some(self.opened.socket.as_raw_fd())
    }
}

impl AsFd for AfXdp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.opened.socket.as_fd()
    }
}
