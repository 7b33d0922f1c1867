//! The trait that a network device implements.

use crate::{Instant, Packet};
use sockeye_wire::MacAddr;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// Packets in the order they travel.
pub type Batch = VecDeque<Packet>;

/// Something to call when a link that was idle has packets, or one that was full has room.
pub type Notify = Arc<dyn Fn() + Send + Sync>;

/// What kind of packets a link carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Ethernet frames, with the node's own address on that link.
    Ethernet(MacAddr),
    /// Bare IPv4 and IPv6 packets.
    Ip,
}

/// Which super-segments a device cuts by itself (or carries whole).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct GsoKinds {
    /// [`GsoKind::TcpV4`](crate::GsoKind::TcpV4).
    pub tcp_v4: bool,
    /// [`GsoKind::TcpV6`](crate::GsoKind::TcpV6).
    pub tcp_v6: bool,
    /// [`GsoKind::Udp`](crate::GsoKind::Udp).
    pub udp: bool,
}

impl GsoKinds {
    /// All kinds.
    pub const ALL: Self = Self {
        tcp_v4: true,
        tcp_v6: true,
        udp: true,
    };
    /// No kind.
    pub const NONE: Self = Self {
        tcp_v4: false,
        tcp_v6: false,
        udp: false,
    };

    /// Whether `kind` is among them.
    #[must_use]
    pub const fn contains(self, kind: crate::GsoKind) -> bool {
        match kind {
            crate::GsoKind::TcpV4 => self.tcp_v4,
            crate::GsoKind::TcpV6 => self.tcp_v6,
            crate::GsoKind::Udp => self.udp,
        }
    }
}

/// What a link can do.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    /// Ethernet or bare IP.
    pub medium: Medium,
    /// The largest IP packet in bytes (without a link header), as in `ip link`.
    pub mtu: u32,
    /// It takes packets whose checksum is [`Partial`](crate::Checksum::Partial).
    pub tx_checksum: bool,
    /// Super-segments it takes, and up to which IP packet length in bytes (0: none).
    pub gso: GsoKinds,
    /// The largest IP packet length of a super-segment, at most 65,535.
    pub gso_max: u32,
    /// Hardware queues.
    pub queues: u16,
}

/// A network device. No call blocks; a link never drops silently: what it can't take stays in `tx`.
pub trait Link: Send {
    /// What it can do. May change between calls (an MTU, say).
    fn capabilities(&self) -> Capabilities;

    /// Appends up to `max` received packets to `rx` and says how many.
    ///
    /// # Errors
    /// The device is gone or failed; an empty one is `Ok(0)`.
    fn recv_batch(&mut self, now: Instant, rx: &mut Batch, max: usize) -> io::Result<usize>;

    /// Takes as many packets from the front of `tx` as the device accepts and says how many.
    ///
    /// # Errors
    /// The device is gone or failed; a full one leaves the rest in `tx`.
    fn send_batch(&mut self, now: Instant, tx: &mut Batch) -> io::Result<usize>;

    /// When it wants to be called next though nothing arrives (an impairment holds packets back).
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Whether a `send_batch` that was cut short is worth repeating now. Only for links that have
    /// no descriptor: one that has becomes writable.
    fn has_room(&self) -> bool {
        true
    }

    /// Whether there may be anybody at the other end: without, what is sent reaches nobody, and
    /// nobody waits for an answer.
    fn has_carrier(&self) -> bool {
        true
    }

    /// The descriptor that becomes readable when packets arrive, where there is one.
    #[cfg(unix)]
    fn as_raw_fd(&self) -> Option<std::os::fd::RawFd> {
        None
    }

    /// Sets whom to call when packets arrive or room comes about, where there is no descriptor.
    fn set_notify(&mut self, _notify: Notify) {}
}

impl<L: Link + ?Sized> Link for Box<L> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }
    fn recv_batch(&mut self, now: Instant, rx: &mut Batch, max: usize) -> io::Result<usize> {
        (**self).recv_batch(now, rx, max)
    }
    fn send_batch(&mut self, now: Instant, tx: &mut Batch) -> io::Result<usize> {
        (**self).send_batch(now, tx)
    }
    fn deadline(&self) -> Option<Instant> {
        (**self).deadline()
    }
    fn has_room(&self) -> bool {
        (**self).has_room()
    }
    fn has_carrier(&self) -> bool {
        (**self).has_carrier()
    }
    #[cfg(unix)]
    fn as_raw_fd(&self) -> Option<std::os::fd::RawFd> {
        (**self).as_raw_fd()
    }
    fn set_notify(&mut self, notify: Notify) {
        (**self).set_notify(notify);
    }
}
