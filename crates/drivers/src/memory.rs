//! A link between two nodes of one process: what one end sends, the other receives.
//!
//! Nothing is copied: a packet crosses as it is, super-segments whole and checksums partial where
//! the configuration allows. A full queue back-pressures; the sender is told when there is room.

use sockeye_link::{Batch, Capabilities, GsoKinds, Instant, Link, MacAddr, Medium, Notify, Packet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a memory link is like, the same from both ends.
#[derive(Clone, Copy, Debug)]
pub struct MemoryConfig {
    /// Bytes of IP packet, 1500 unless set.
    pub mtu: u32,
    /// Ethernet frames instead of bare IP packets.
    pub ethernet: bool,
    /// Packets cross with partial checksums: nobody sums.
    pub checksum_offload: bool,
    /// The largest super-segment in bytes of IP packet, 0 for none.
    pub gso_max: u32,
    /// Packets that one direction holds.
    pub packets_max: usize,
    /// Bytes that one direction holds; one packet more than that may be there.
    pub bytes_max: usize,
}

impl Default for MemoryConfig {
    /// All offloads: an MTU of 1500 that super-segments of 64 KiB cross whole.
    fn default() -> Self {
        Self {
            mtu: 1500,
            ethernet: false,
            checksum_offload: true,
            gso_max: 65_535,
            packets_max: 1024,
            bytes_max: 4 << 20,
        }
    }
}

impl MemoryConfig {
    /// No offloads: every packet is cut to the MTU and summed, as on a wire.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            checksum_offload: false,
            gso_max: 0,
            ..Self::default()
        }
    }
}

/// One direction.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    /// Whether the sender found it full since it last had room.
    starved: AtomicBool,
}

#[derive(Default)]
struct State {
    packets: Batch,
    bytes: usize,
    /// The other end is gone: what is sent is lost, as on a cable that nobody holds.
    closed: bool,
    on_packets: Option<Notify>,
    on_room: Option<Notify>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; the queue is whole in any case.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One end of a link between two nodes of one process.
pub struct MemoryLink {
    capabilities: Capabilities,
    config: MemoryConfig,
    out: Arc<Queue>,
    back: Arc<Queue>,
}

impl MemoryLink {
    /// Both ends.
    #[must_use]
    pub fn pair(config: MemoryConfig) -> (Self, Self) {
        let (there, back) = (Arc::new(Queue::default()), Arc::new(Queue::default()));
        let end = |last, out: &Arc<Queue>, back: &Arc<Queue>| Self {
            capabilities: capabilities(&config, last),
            config,
            out: out.clone(),
            back: back.clone(),
        };
        (end(1, &there, &back), end(2, &back, &there))
    }
}

fn capabilities(config: &MemoryConfig, last: u8) -> Capabilities {
    let medium = match config.ethernet {
        // Locally administered; the two ends differ in the last byte.
        true => Medium::Ethernet(MacAddr([0x02, 0, 0, 0, 0, last])),
        false => Medium::Ip,
    };
    Capabilities {
        medium,
        mtu: config.mtu,
        tx_checksum: config.checksum_offload,
        gso: if config.gso_max > 0 {
            GsoKinds::ALL
        } else {
            GsoKinds::NONE
        },
        gso_max: config.gso_max.min(65_535),
        queues: 1,
    }
}

impl Link for MemoryLink {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn recv_batch(&mut self, _now: Instant, rx: &mut Batch, max: usize) -> io::Result<usize> {
        let mut state = self.back.lock();
        let count = state.packets.len().min(max);
        let State { packets, bytes, .. } = &mut *state;
        for packet in packets.drain(..count) {
            *bytes -= packet.len();
            rx.push_back(packet);
        }
        let notify = if count > 0 && self.back.starved.swap(false, Ordering::Relaxed) {
            state.on_room.clone()
        } else {
            None
        };
        drop(state);
        if let Some(notify) = notify {
            notify();
        }
        Ok(count)
    }

    fn send_batch(&mut self, _now: Instant, tx: &mut Batch) -> io::Result<usize> {
        let mut state = self.out.lock();
        if state.closed {
            let lost = tx.len();
            tx.clear();
            return Ok(lost);
        }
        let was_empty = state.packets.is_empty();
        let mut count = 0;
        while let Some(packet) = tx.front() {
            if state.packets.len() >= self.config.packets_max
                || state.bytes >= self.config.bytes_max
            {
                self.out.starved.store(true, Ordering::Relaxed);
                break;
            }
            state.bytes += packet.len();
            state.packets.extend(tx.pop_front());
            count += 1;
        }
        let notify = if was_empty && count > 0 {
            state.on_packets.clone()
        } else {
            None
        };
        drop(state);
        if let Some(notify) = notify {
            notify();
        }
        Ok(count)
    }

    fn has_room(&self) -> bool {
        let state = self.out.lock();
        state.closed
            || (state.packets.len() < self.config.packets_max
                && state.bytes < self.config.bytes_max)
    }

    fn set_notify(&mut self, notify: Notify) {
        self.out.lock().on_room = Some(notify.clone());
        let mut back = self.back.lock();
        let waiting = !back.packets.is_empty();
        back.on_packets = Some(notify.clone());
        drop(back);
        // What came before anybody listened is told now.
        if waiting {
            notify();
        }
    }
}

impl Drop for MemoryLink {
    fn drop(&mut self) {
        let mut back = self.back.lock();
        back.closed = true;
        back.packets.clear();
        back.bytes = 0;
        let notify = back.on_room.take();
        drop(back);
        if let Some(notify) = notify {
            notify();
        }
        // What this end sent still arrives; the notifies of a dead end are not called again.
        self.out.lock().on_room = None;
    }
}

impl std::fmt::Debug for MemoryLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryLink")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    const NOW: Instant = Instant::ZERO;

    fn batch(sizes: &[usize]) -> Batch {
        sizes
            .iter()
            .map(|len| Packet::from_slice(&vec![0; *len]))
            .collect()
    }

    fn counter() -> (Arc<AtomicUsize>, Notify) {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        (
            count,
            Arc::new(move || drop(counted.fetch_add(1, Ordering::Relaxed))),
        )
    }

    #[test]
    fn packets_cross_in_order() {
        let (mut a, mut b) = MemoryLink::pair(MemoryConfig::default());
        assert_eq!(a.send_batch(NOW, &mut batch(&[1, 2, 3])).unwrap(), 3);
        let mut rx = Batch::new();
        assert_eq!(b.recv_batch(NOW, &mut rx, 2).unwrap(), 2);
        assert_eq!(b.recv_batch(NOW, &mut rx, 2).unwrap(), 1);
        assert_eq!(rx.iter().map(Packet::len).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn a_full_queue_keeps_the_rest_and_tells_when_there_is_room() {
        let config = MemoryConfig {
            packets_max: 2,
            ..MemoryConfig::default()
        };
        let (mut a, mut b) = MemoryLink::pair(config);
        let (told, notify) = counter();
        a.set_notify(notify);
        let mut tx = batch(&[1, 2, 3]);
        assert_eq!(a.send_batch(NOW, &mut tx).unwrap(), 2);
        assert_eq!(tx.len(), 1);
        assert!(!a.has_room());
        b.recv_batch(NOW, &mut Batch::new(), 1).unwrap();
        assert_eq!(told.load(Ordering::Relaxed), 1);
        assert!(a.has_room());
        assert_eq!(a.send_batch(NOW, &mut tx).unwrap(), 1);
    }

    #[test]
    fn the_receiver_is_told_once_while_packets_wait() {
        let (mut a, mut b) = MemoryLink::pair(MemoryConfig::default());
        a.send_batch(NOW, &mut batch(&[1])).unwrap();
        let (told, notify) = counter();
        b.set_notify(notify);
        assert_eq!(
            told.load(Ordering::Relaxed),
            1,
            "what came before is told at once"
        );
        a.send_batch(NOW, &mut batch(&[1])).unwrap();
        assert_eq!(told.load(Ordering::Relaxed), 1);
        b.recv_batch(NOW, &mut Batch::new(), 9).unwrap();
        a.send_batch(NOW, &mut batch(&[1])).unwrap();
        assert_eq!(told.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn what_is_sent_to_nobody_is_lost() {
        let (mut a, b) = MemoryLink::pair(MemoryConfig::default());
        drop(b);
        let mut tx = batch(&[1, 1]);
        assert_eq!(a.send_batch(NOW, &mut tx).unwrap(), 2);
        assert!(tx.is_empty());
    }
}
