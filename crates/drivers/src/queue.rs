//! The bounded queue in front of each receiver in memory.

use sockeye_link::{Batch, Capabilities, GsoKinds, Medium, Meta, Notify, Packet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is common to links in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryConfig {
    /// The largest IP packet in bytes; super-segments may be longer.
    pub mtu: u32,
    /// Checksums cross it as they are, [`Partial`](sockeye_link::Checksum::Partial) too: the
    /// memory of one process corrupts nothing. Without, they are filled in and checked as on a
    /// cable.
    pub checksum_offload: bool,
    /// The largest IP packet length in bytes of a super-segment, which crosses whole; 0: none do.
    /// Needs `checksum_offload`.
    pub gso_max: u32,
    /// Packets that wait for one receiver at most.
    pub queue_packets_max: usize,
    /// Bytes of memory that the packets waiting for one receiver keep at most. A single packet is
    /// taken whatever its size.
    pub queue_bytes_max: usize,
}

impl Default for MemoryConfig {
    /// MTU 1500, all offloads, 1000 packets or 4 MiB.
    fn default() -> Self {
        Self {
            mtu: 1500,
            checksum_offload: true,
            gso_max: 65_535,
            queue_packets_max: 1000,
            queue_bytes_max: 4 << 20,
        }
    }
}

impl MemoryConfig {
    /// A link that has no offloads: every packet crosses it as on a cable.
    #[must_use]
    pub fn without_offloads() -> Self {
        Self {
            checksum_offload: false,
            gso_max: 0,
            ..Self::default()
        }
    }

    pub(crate) fn capabilities(&self, medium: Medium) -> Capabilities {
        let gso = self.checksum_offload && self.gso_max > 0;
        Capabilities {
            medium,
            mtu: self.mtu,
            tx_checksum: self.checksum_offload,
            gso: if gso { GsoKinds::ALL } else { GsoKinds::NONE },
            gso_max: if gso { self.gso_max.min(65_535) } else { 0 },
            queues: 1,
        }
    }
}

/// Packets on their way to one receiver.
#[derive(Default)]
pub(crate) struct Queue {
    packets: Batch,
    bytes: usize,
    /// A sender was refused since the receiver last took something.
    refused: bool,
    /// The receiver's.
    pub(crate) notify: Option<Notify>,
}

impl Queue {
    /// Takes packets from the front of `tx` while there is room, and says how many.
    pub(crate) fn fill(&mut self, tx: &mut Batch, config: &MemoryConfig) -> usize {
        let mut taken = 0;
        while let Some(packet) = tx.front() {
            if !self.has_room_for(packet.pinned(), config) {
                self.refused = true;
                break;
            }
            let Some(packet) = tx.pop_front() else { break };
            self.put(packet);
            taken += 1;
        }
        taken
    }

    /// Takes `packet` if there is room; false when there is none.
    pub(crate) fn offer(&mut self, packet: Packet, config: &MemoryConfig) -> bool {
        let room = self.has_room_for(packet.pinned(), config);
        if room {
            self.put(packet);
        }
        room
    }

    /// Moves up to `max` packets to `rx`: how many, and whether a refused sender may try again.
    pub(crate) fn drain(&mut self, rx: &mut Batch, max: usize) -> (usize, bool) {
        let taken = max.min(self.packets.len());
        for packet in self.packets.drain(..taken) {
            self.bytes = self.bytes.saturating_sub(packet.pinned());
            rx.push_back(packet);
        }
        let again = taken > 0 && std::mem::take(&mut self.refused);
        (taken, again)
    }

    /// The packet that waits longest.
    #[cfg(target_os = "linux")]
    pub(crate) fn front(&self) -> Option<&Packet> {
        self.packets.front()
    }

    /// Takes it.
    #[cfg(target_os = "linux")]
    pub(crate) fn pop(&mut self) {
        if let Some(packet) = self.packets.pop_front() {
            self.bytes = self.bytes.saturating_sub(packet.pinned());
        }
    }

    pub(crate) fn clear(&mut self) {
        self.packets.clear();
        self.bytes = 0;
        self.notify = None;
    }

    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }

    pub(crate) fn is_full(&self, config: &MemoryConfig) -> bool {
        !self.has_room_for(0, config)
    }

    fn has_room_for(&self, bytes: usize, config: &MemoryConfig) -> bool {
        self.packets.is_empty()
            || self.packets.len() < config.queue_packets_max
                && self.bytes.saturating_add(bytes) <= config.queue_bytes_max
    }

    fn put(&mut self, mut packet: Packet) {
        // Hash, queue and encapsulation are the sender's own business.
        let mut meta = Meta::default();
        meta.checksum = packet.meta.checksum;
        meta.gso = packet.meta.gso;
        packet.meta = meta;
        self.bytes = self.bytes.saturating_add(packet.pinned());
        self.packets.push_back(packet);
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("packets", &self.packets.len())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// Locks, whatever a panicking holder left: every change of a queue is complete in itself.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
