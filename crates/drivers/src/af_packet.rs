//! A packet socket of Linux on an interface (packet(7)), with the kernel's offloads
//! (`PACKET_VNET_HDR`): the node is a host of its own on the interface's wire.
//!
//! The node has an Ethernet address of its own there, for which the interface is made promiscuous.
//! What the host itself sends by the interface goes to the wire and not to the node, as between the
//! hosts of a macvlan: the two do not hear each other. Frames with an 802.1Q tag are for other
//! networks and are dropped.
//!
//! A super-segment crosses in both directions as one packet with its checksum left partial; where
//! the interface can't cut it, the kernel does. Up to 32 packets cross with each system call.
//! Needs `CAP_NET_RAW` in the interface's network namespace.

mod open;
mod sys;

pub use open::OpenError;
pub(crate) use open::widen_buffers;

use crate::interface::Interface;
use crate::vnet;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::Errno;
use smallvec::SmallVec;
use sockeye_link::{Batch, Capabilities, Instant, Link, MacAddr, Packet, offload};
use std::io;
use sys::{MESSAGES_MAX, Received};

/// Bytes of a read buffer: the largest super-segment of the kernel (64 KiB, its link header
/// counted) and the header before it.
const READ_BUFFER_LEN: usize = vnet::LEN + 65_536 + 64;
/// A packet of at least so many bytes takes its buffer with it; a smaller one is copied out.
const KEEPS_BUFFER_LEN: usize = READ_BUFFER_LEN / 4;
/// Most slices that one message takes (`UIO_MAXIOV`), without the header and the head.
const SLICES_MAX: usize = 1024 - 2;

/// Whether this process may have packet sockets, whatever the interface.
///
/// # Errors
/// What the system says to one.
pub fn check() -> io::Result<()> {
    sys::socket()?;
    Ok(())
}

/// Has the interface `index` take frames for every address, as long as what this returns is open.
pub(crate) fn promiscuous(index: u32) -> rustix::io::Result<OwnedFd> {
    let socket = sys::socket()?;
    sys::set_promiscuous(&socket, index)?;
    Ok(socket)
}

/// A packet socket on an interface.
#[derive(Debug)]
pub struct AfPacket {
    socket: OwnedFd,
    interface: Interface,
    capabilities: Capabilities,
    /// Empty between calls; those that packets took have no capacity.
    buffers: Vec<Vec<u8>>,
    counters: AfPacketCounters,
}

/// What it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AfPacketCounters {
    /// Received packets dropped for a header that contradicts itself or the packet.
    pub rx_malformed: u64,
    /// Received frames dropped for their 802.1Q tag.
    pub rx_tagged: u64,
    /// Sent packets that the kernel refused as malformed or too long, or that contradict their
    /// metadata.
    pub tx_refused: u64,
    /// Sent packets dropped because the interface is not up, or its queue full.
    pub tx_dropped: u64,
}

impl AfPacket {
    /// Opens a socket on the Ethernet interface `name`, for a node that has the address `own` there
    /// (see [`local_address`](crate::local_address)).
    ///
    /// # Errors
    /// There is no such interface, it is no Ethernet or has that address itself, or the machine does
    /// not allow it: the error's text says which, and what to do.
    pub fn open(name: &str, own: MacAddr) -> Result<Self, OpenError> {
        let (socket, interface, capabilities) = open::open(name, own)?;
        Ok(Self {
            socket,
            interface,
            capabilities,
            buffers: vec![Vec::new(); MESSAGES_MAX],
            counters: AfPacketCounters::default(),
        })
    }

    /// The interface's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.interface.name()
    }

    /// What was counted since it was opened.
    #[must_use]
    pub fn counters(&self) -> AfPacketCounters {
        self.counters
    }

    /// Receives a batch of at most `max` packets; says how many messages there were, those that were
    /// dropped among them.
    fn receive(&mut self, rx: &mut Batch, max: usize) -> io::Result<usize> {
        let count = max.min(MESSAGES_MAX);
        for buffer in &mut self.buffers[..count] {
            buffer.clear();
            buffer.reserve_exact(READ_BUFFER_LEN);
        }
        let mut received = [Received::default(); MESSAGES_MAX];
        let filled = loop {
            let result = sys::receive(
                &self.socket,
                &mut self.buffers[..count],
                &mut received[..count],
            );
            match result {
                Ok(filled) => break filled,
                Err(Errno::AGAIN) => return Ok(0),
                Err(Errno::INTR) => {}
                // That it was set down is told once.
                Err(errno) => self.interface.check(errno)?,
            }
        };
        for (at, about) in received.iter().take(filled).enumerate() {
            match self.packet(at, *about) {
                Ok(packet) => rx.push_back(packet),
                Err(counter) => *counter += 1,
            }
        }
        Ok(filled)
    }

    /// The packet in the buffer `at`, or the counter of what was wrong with it.
    fn packet(&mut self, at: usize, about: Received) -> Result<Packet, &mut u64> {
        if about.tagged {
            return Err(&mut self.counters.rx_tagged);
        }
        let buffer = &mut self.buffers[at];
        let parsed = buffer
            .first_chunk::<{ vnet::LEN }>()
            .filter(|_| !about.truncated)
            .and_then(|header| vnet::parse(header, buffer.len() - vnet::LEN));
        let Some((checksum, gso)) = parsed else {
            return Err(&mut self.counters.rx_malformed);
        };
        let mut packet = if buffer.len() >= KEEPS_BUFFER_LEN {
            Packet::from_vec_at(std::mem::take(buffer), vnet::LEN)
        } else {
            Packet::from_vec(buffer[vnet::LEN..].to_vec())
        };
        packet.meta.checksum = checksum;
        packet.meta.gso = gso;
        Ok(packet)
    }

    /// Sends from the front of `tx`, one system call's worth; says how many were taken, and 0 when
    /// the socket is full.
    fn send(&mut self, tx: &mut Batch) -> io::Result<usize> {
        let mut headers = SmallVec::<[[u8; vnet::LEN]; MESSAGES_MAX]>::new();
        for packet in tx.iter_mut().take(MESSAGES_MAX) {
            if packet.meta.gso.is_some()
                && offload::leave_checksum(packet, self.capabilities.medium).is_err()
            {
                break;
            }
            if packet.payload().len() > SLICES_MAX {
                packet.linearize();
            }
            headers.push(vnet::emit(packet));
        }
        if headers.is_empty() {
            self.counters.tx_refused += 1;
            return Ok(1);
        }
        let packets = SmallVec::<[&Packet; MESSAGES_MAX]>::from_iter(tx.iter().take(headers.len()));
        let result = loop {
            match sys::send(&self.socket, &headers, &packets) {
                Err(Errno::INTR) => {}
                result => break result,
            }
        };
        match result {
            Ok(taken) => return Ok(taken),
            Err(Errno::AGAIN) => return Ok(0),
            Err(Errno::INVAL | Errno::MSGSIZE) => self.counters.tx_refused += 1,
            Err(Errno::NOBUFS | Errno::NOMEM) => self.counters.tx_dropped += 1,
            Err(errno) => {
                self.interface.check(errno)?;
                self.counters.tx_dropped += 1;
            }
        }
        Ok(1)
    }
}

impl Link for AfPacket {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn recv_batch(&mut self, _now: Instant, rx: &mut Batch, max: usize) -> io::Result<usize> {
        let before = rx.len();
        loop {
            let received = rx.len() - before;
            if received == max {
                return Ok(received);
            }
            match self.receive(rx, max - received) {
                Ok(0) => return Ok(received),
                Ok(_) => {}
                // What came before the error counts; it will be there again.
                Err(_) if received > 0 => return Ok(received),
                Err(error) => return Err(error),
            }
        }
    }

    fn send_batch(&mut self, _now: Instant, tx: &mut Batch) -> io::Result<usize> {
        let mut taken = 0;
        while !tx.is_empty() {
            match self.send(tx) {
                Ok(0) => break,
                Ok(count) => {
                    tx.drain(..count);
                    taken += count;
                }
                Err(_) if taken > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    fn as_raw_fd(&self) -> Option<RawFd> {
        Some(self.socket.as_raw_fd())
    }
}

impl AsFd for AfPacket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
