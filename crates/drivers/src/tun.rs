//! TUN and TAP devices of Linux, with the kernel's offloads (`IFF_VNET_HDR`).
//!
//! A super-segment crosses to and from the kernel as one packet, with its checksum left partial:
//! `vnet` maps `virtio_net_hdr` to [`Meta`](sockeye_link::Meta). Sending copies nothing in user
//! space; a received packet that fills a quarter of the read buffer takes the buffer with it, a
//! smaller one is copied out, so that no packet pins much more memory than it has bytes.
//!
//! [`setup`] configures the kernel's side. Opening an existing device that belongs to the user
//! needs no privilege, making one needs `CAP_NET_ADMIN`; [`OpenError`] says what to do. One queue;
//! the MTU is read when the device is opened.

mod open;
pub mod setup;
mod sys;

pub use open::OpenError;

use crate::vnet;
use rustix::buffer::spare_capacity;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::Errno;
use smallvec::SmallVec;
use sockeye_link::{Batch, Capabilities, Instant, Link, Medium, Packet, offload};
use std::io::{self, IoSlice};

/// Bytes of the read buffer: the largest super-segment of the kernel (64 KiB, its link header
/// counted) and the header before it.
const READ_BUFFER_LEN: usize = vnet::LEN + 65_536 + 64;
/// Most slices that one write takes (`UIO_MAXIOV`), without the two headers.
const SLICES_MAX: usize = 1024 - 2;

/// A TUN or TAP device.
#[derive(Debug)]
pub struct Tun {
    fd: OwnedFd,
    name: String,
    capabilities: Capabilities,
    /// Empty between calls, with capacity unless the last packet took it.
    buffer: Vec<u8>,
    counters: TunCounters,
}

/// What a device counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TunCounters {
    /// Received packets dropped for a header that contradicts itself or the packet.
    pub rx_malformed: u64,
    /// Sent packets that the kernel refused as malformed, or that contradict their metadata.
    pub tx_refused: u64,
    /// Sent packets dropped because the kernel's side is not up, or out of memory.
    pub tx_dropped: u64,
}

/// What became of a packet that was to be sent.
enum Outcome {
    Sent,
    Refused,
    Dropped,
    Full,
}

impl Tun {
    /// Opens the device `name` and makes it where there is none; one that is made disappears when
    /// this is dropped. `%d` in the name is replaced by a free number.
    ///
    /// The medium decides: [`Medium::Ip`] is a TUN device with bare IP packets,
    /// [`Medium::Ethernet`] a TAP device, for a node with that address of its own on it (see
    /// [`local_address`](crate::local_address)).
    ///
    /// # Errors
    /// The machine does not allow it, the device is another's or of the other kind, or the
    /// kernel's side has the node's address: the error's text says which, and what to do.
    pub fn open(name: &str, medium: Medium) -> Result<Self, OpenError> {
        let (fd, name, capabilities) = open::open(name, medium)?;
        Ok(Self {
            fd,
            name,
            capabilities,
            buffer: Vec::new(),
            counters: TunCounters::default(),
        })
    }

    /// The interface's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was counted since it was opened.
    #[must_use]
    pub fn counters(&self) -> TunCounters {
        self.counters
    }

    /// Reads the MTU anew, after somebody has changed it on the kernel's side.
    ///
    /// # Errors
    /// The interface is gone.
    pub fn refresh_mtu(&mut self) -> io::Result<()> {
        self.capabilities.mtu = setup::mtu(&self.name)?;
        Ok(())
    }

    /// The next packet; `None` when there is none now.
    fn read(&mut self) -> io::Result<Option<Packet>> {
        loop {
            self.buffer.clear();
            self.buffer.reserve_exact(READ_BUFFER_LEN);
            match rustix::io::read(&self.fd, spare_capacity(&mut self.buffer)) {
                Ok(_) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(self.gone(errno)),
            }
            let Some(header) = self.buffer.first_chunk::<{ vnet::LEN }>() else {
                self.counters.rx_malformed += 1;
                continue;
            };
            let packet_len = self.buffer.len() - vnet::LEN;
            let Some((checksum, gso)) = vnet::parse(header, packet_len) else {
                self.counters.rx_malformed += 1;
                continue;
            };
            let mut packet = if self.buffer.len() > READ_BUFFER_LEN / 4 {
                Packet::from_vec_at(std::mem::take(&mut self.buffer), vnet::LEN)
            } else {
                Packet::from_vec(self.buffer[vnet::LEN..].to_vec())
            };
            packet.meta.checksum = checksum;
            packet.meta.gso = gso;
            return Ok(Some(packet));
        }
    }

    fn write(&self, packet: &mut Packet) -> io::Result<Outcome> {
        if packet.meta.gso.is_some()
            && offload::leave_checksum(packet, self.capabilities.medium).is_err()
        {
            return Ok(Outcome::Refused);
        }
        if packet.payload().len() > SLICES_MAX {
            packet.linearize();
        }
        let header = vnet::emit(packet);
        let mut slices = SmallVec::<[IoSlice<'_>; 20]>::new();
        slices.push(IoSlice::new(&header));
        slices.extend(packet.chunks().map(IoSlice::new));
        loop {
            return match rustix::io::writev(&self.fd, &slices) {
                Ok(_) => Ok(Outcome::Sent),
                Err(Errno::AGAIN) => Ok(Outcome::Full),
                Err(Errno::INTR) => continue,
                Err(Errno::INVAL | Errno::MSGSIZE) => Ok(Outcome::Refused),
                // EIO: the interface is not up.
                Err(Errno::IO | Errno::NOMEM | Errno::NOBUFS) => Ok(Outcome::Dropped),
                Err(errno) => Err(self.gone(errno)),
            };
        }
    }

    fn gone(&self, errno: Errno) -> io::Error {
        let cause = io::Error::from(errno);
        let message = format!(
            "the device {} is gone or failed ({cause}): it was deleted, or moved away",
            self.name
        );
        io::Error::new(cause.kind(), message)
    }
}

impl Link for Tun {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn recv_batch(&mut self, _now: Instant, rx: &mut Batch, max: usize) -> io::Result<usize> {
        let mut received = 0;
        while received < max {
            match self.read() {
                Ok(Some(packet)) => rx.push_back(packet),
                Ok(None) => break,
                // What came before the error counts; it will be there again.
                Err(_) if received > 0 => break,
                Err(error) => return Err(error),
            }
            received += 1;
        }
        Ok(received)
    }

    fn send_batch(&mut self, _now: Instant, tx: &mut Batch) -> io::Result<usize> {
        let mut taken = 0;
        while let Some(packet) = tx.front_mut() {
            match self.write(packet) {
                Ok(Outcome::Sent) => {}
                Ok(Outcome::Refused) => self.counters.tx_refused += 1,
                Ok(Outcome::Dropped) => self.counters.tx_dropped += 1,
                Ok(Outcome::Full) => break,
                Err(_) if taken > 0 => break,
                Err(error) => return Err(error),
            }
            tx.pop_front();
            taken += 1;
        }
        Ok(taken)
    }

    fn as_raw_fd(&self) -> Option<RawFd> {
        Some(self.fd.as_raw_fd())
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
