//! The queue of packets from a node to itself.

use super::InterfaceId;
use crate::Packet;
use std::collections::VecDeque;

/// Packets that the node's own loopback holds.
pub const LOOPBACK_QUEUE_LIMIT: usize = 4096;
/// Bytes that they pin: as much as 1024 super-segments.
pub const LOOPBACK_QUEUE_BYTES: usize = 64 << 20;

/// The longest packet: room in bytes is counted in these.
const PACKET_MAX: usize = 65_536;

/// Packets from a node to itself, each with the interface it counts as received on.
#[derive(Debug, Default)]
pub(crate) struct Loopback {
    queue: VecDeque<(InterfaceId, Packet)>,
    pinned: usize,
}

impl Loopback {
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Packets of any length that it still takes.
    pub(crate) fn room(&self) -> usize {
        let packets = LOOPBACK_QUEUE_LIMIT.saturating_sub(self.queue.len());
        let bytes = LOOPBACK_QUEUE_BYTES.saturating_sub(self.pinned);
        packets.min(bytes / PACKET_MAX)
    }

    /// Puts a packet in; false when it is full.
    pub(crate) fn push(&mut self, interface: InterfaceId, packet: Packet) -> bool {
        if self.room() == 0 {
            return false;
        }
        self.pinned = self.pinned.saturating_add(packet.pinned());
        self.queue.push_back((interface, packet));
        true
    }

    pub(crate) fn pop(&mut self) -> Option<(InterfaceId, Packet)> {
        let (interface, packet) = self.queue.pop_front()?;
        self.pinned = self.pinned.saturating_sub(packet.pinned());
        Some((interface, packet))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_in_packets_and_in_bytes() {
        for (len, taken) in [(100, LOOPBACK_QUEUE_LIMIT), (65_000, 1030)] {
            let mut loopback = Loopback::default();
            let packet = Packet::from_slice(&vec![0; len]);
            let pushed =
                (0..10_000).filter(|_| loopback.push(InterfaceId::LOOPBACK, packet.clone()));
            assert!(pushed.count() <= taken, "{len}");
            assert!(loopback.len() >= taken * 9 / 10, "{len}");
            while loopback.pop().is_some() {}
            assert_eq!(loopback.pinned, 0);
        }
    }
}
