//! A link between two nodes of one process.
//!
//! Packets cross as they are: head and payload change hands, nothing is copied, and a
//! super-segment stays one where the link's [`MemoryConfig`] says so. Each direction is a queue
//! with a limit in packets and in bytes; a full one leaves the rest with the sender, which is
//! notified when the receiver has taken something. An end whose peer is gone swallows what is
//! sent, as a cable does that is plugged in nowhere, and counts it.

pub use crate::queue::MemoryConfig;
use crate::queue::{Queue, lock};
use sockeye_link::{Batch, Capabilities, Instant, Link, Medium, Notify};
use std::io;
use std::sync::{Arc, Mutex};

/// One end of a link in memory.
#[derive(Debug)]
pub struct MemoryLink {
    shared: Arc<Shared>,
    /// Which end: what is sent here waits in the other one's queue.
    end: usize,
    medium: Medium,
    lost: u64,
}

#[derive(Debug)]
struct Shared {
    config: MemoryConfig,
    ends: Mutex<[End; 2]>,
}

#[derive(Debug, Default)]
struct End {
    /// What waits for this end.
    queue: Queue,
    gone: bool,
}

impl MemoryLink {
    /// The two ends of a new link, each with its medium (an Ethernet end has its own address).
    ///
    /// # Panics
    /// When one end speaks Ethernet and the other one bare IP.
    #[must_use]
    pub fn pair(config: MemoryConfig, a: Medium, b: Medium) -> (Self, Self) {
        assert!(
            matches!(a, Medium::Ip) == matches!(b, Medium::Ip),
            "both ends of a link speak Ethernet, or both bare IP"
        );
        let shared = Arc::new(Shared {
            config,
            ends: Mutex::default(),
        });
        let end = |shared, end, medium| Self {
            shared,
            end,
            medium,
            lost: 0,
        };
        (end(Arc::clone(&shared), 0, a), end(shared, 1, b))
    }

    /// The two ends of a link that carries bare IP packets.
    #[must_use]
    pub fn pair_ip(config: MemoryConfig) -> (Self, Self) {
        Self::pair(config, Medium::Ip, Medium::Ip)
    }

    /// Whether the other end still exists.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        !lock(&self.shared.ends)[self.peer()].gone
    }

    /// Packets that were sent though the other end is gone.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn peer(&self) -> usize {
        1 - self.end
    }
}

impl Link for MemoryLink {
    fn capabilities(&self) -> Capabilities {
        self.shared.config.capabilities(self.medium)
    }

    fn recv_batch(&mut self, _now: Instant, rx: &mut Batch, max: usize) -> io::Result<usize> {
        let mut ends = lock(&self.shared.ends);
        let (taken, again) = ends[self.end].queue.drain(rx, max);
        let notify = again.then(|| ends[self.peer()].queue.notify.clone());
        drop(ends);
        call(notify.flatten());
        Ok(taken)
    }

    fn send_batch(&mut self, _now: Instant, tx: &mut Batch) -> io::Result<usize> {
        if tx.is_empty() {
            return Ok(0);
        }
        let mut ends = lock(&self.shared.ends);
        let peer = &mut ends[self.peer()];
        if peer.gone {
            let all = tx.drain(..).count();
            self.lost = self.lost.saturating_add(all as u64);
            return Ok(all);
        }
        let was_empty = peer.queue.len() == 0;
        let taken = peer.queue.fill(tx, &self.shared.config);
        let notify = (was_empty && taken > 0).then(|| peer.queue.notify.clone());
        drop(ends);
        call(notify.flatten());
        Ok(taken)
    }

    fn has_room(&self) -> bool {
        let ends = lock(&self.shared.ends);
        let peer = &ends[self.peer()];
        peer.gone || !peer.queue.is_full(&self.shared.config)
    }

    fn has_carrier(&self) -> bool {
        self.is_connected()
    }

    fn set_notify(&mut self, notify: Notify) {
        let mut ends = lock(&self.shared.ends);
        let queue = &mut ends[self.end].queue;
        queue.notify = Some(Arc::clone(&notify));
        // What came before anybody listened is told now.
        let waiting = queue.len() > 0;
        drop(ends);
        call(waiting.then_some(notify));
    }
}

impl Drop for MemoryLink {
    fn drop(&mut self) {
        let mut ends = lock(&self.shared.ends);
        ends[self.end].queue.clear();
        ends[self.end].gone = true;
        // A sender that waits for room would wait forever.
        let notify = ends[self.peer()].queue.notify.clone();
        drop(ends);
        call(notify);
    }
}

/// Calls without a lock held: a notified node may use its link at once.
fn call(notify: Option<Notify>) {
    if let Some(notify) = notify {
        notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use sockeye_link::{Checksum, Gso, GsoKind, MacAddr, Packet};
    use std::sync::atomic::{AtomicUsize, Ordering};

    const NOW: Instant = Instant::ZERO;

    fn packets(lens: &[usize]) -> Batch {
        lens.iter().map(|&n| Packet::from_vec(vec![0; n])).collect()
    }

    fn counter(link: &mut MemoryLink) -> Arc<AtomicUsize> {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        link.set_notify(Arc::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        }));
        calls
    }

    #[test]
    fn packets_cross_without_being_copied() {
        let (mut a, mut b) = MemoryLink::pair_ip(MemoryConfig::default());
        let payload = Bytes::from(vec![1; 5000]);
        let mut packet = Packet::with_payload([payload.clone()].into_iter().collect());
        packet.push(40).fill(9);
        packet.meta.checksum = Checksum::Partial {
            start: 20,
            offset: 16,
        };
        packet.meta.gso = Some(Gso {
            kind: GsoKind::TcpV4,
            size: 1460,
        });
        packet.meta.flow_hash = 77;
        let head = packet.head().as_ptr();
        let meta = packet.meta;
        assert_eq!(a.send_batch(NOW, &mut [packet].into()).unwrap(), 1);
        let mut rx = Batch::new();
        assert_eq!(b.recv_batch(NOW, &mut rx, 10).unwrap(), 1);
        assert_eq!(rx[0].head().as_ptr(), head);
        assert_eq!(rx[0].payload()[0].as_ptr(), payload.as_ptr());
        assert_eq!(rx[0].meta.checksum, meta.checksum);
        assert_eq!(rx[0].meta.gso, meta.gso);
        assert_eq!(rx[0].meta.flow_hash, 0);
    }

    #[test]
    fn a_full_queue_leaves_the_rest_with_the_sender() {
        let config = MemoryConfig {
            queue_packets_max: 3,
            ..MemoryConfig::default()
        };
        let (mut a, mut b) = MemoryLink::pair_ip(config);
        let (at_a, at_b) = (counter(&mut a), counter(&mut b));
        let calls = || (at_a.load(Ordering::Relaxed), at_b.load(Ordering::Relaxed));
        let mut tx = packets(&[1, 2, 3, 4, 5]);
        assert_eq!(a.send_batch(NOW, &mut tx).unwrap(), 3);
        assert_eq!(tx.len(), 2);
        assert!(!a.has_room());
        assert_eq!(calls(), (0, 1), "b has packets");
        assert_eq!(a.send_batch(NOW, &mut tx).unwrap(), 0);
        assert_eq!(calls(), (0, 1), "b knows already");
        let late = counter(&mut b);
        assert_eq!(late.load(Ordering::Relaxed), 1, "what came before is told");
        let at_b = late;
        let calls = || (at_a.load(Ordering::Relaxed), at_b.load(Ordering::Relaxed));
        let mut rx = Batch::new();
        assert_eq!(b.recv_batch(NOW, &mut rx, 1).unwrap(), 1);
        assert_eq!(calls(), (1, 1), "a has room");
        assert!(a.has_room());
        assert_eq!(b.recv_batch(NOW, &mut rx, 9).unwrap(), 2);
        assert_eq!(calls(), (1, 1), "nobody was refused since");
        assert_eq!(a.send_batch(NOW, &mut tx).unwrap(), 2);
        assert_eq!(calls(), (1, 2));
        assert_eq!(b.recv_batch(NOW, &mut rx, 9).unwrap(), 2);
        let lens: Vec<_> = rx.iter().map(Packet::len).collect();
        assert_eq!(lens, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_queue_is_limited_in_bytes() {
        let config = MemoryConfig {
            queue_bytes_max: 1000,
            ..MemoryConfig::default()
        };
        let (mut a, mut b) = MemoryLink::pair_ip(config);
        let mut tx = packets(&[600, 400, 1]);
        assert_eq!(a.send_batch(NOW, &mut tx).unwrap(), 2);
        b.recv_batch(NOW, &mut Batch::new(), 2).unwrap();
        // One that is larger than the limit crosses alone.
        let mut tx = packets(&[5000, 1]);
        assert_eq!(a.send_batch(NOW, &mut tx).unwrap(), 1);
        assert_eq!(tx.len(), 1);
    }

    #[test]
    fn a_link_whose_other_end_is_gone_swallows_packets() {
        let (mut a, mut b) = MemoryLink::pair_ip(MemoryConfig::default());
        let at_b = counter(&mut b);
        a.send_batch(NOW, &mut packets(&[7])).unwrap();
        drop(a);
        assert_eq!(at_b.load(Ordering::Relaxed), 2);
        let mut rx = Batch::new();
        assert_eq!(b.recv_batch(NOW, &mut rx, 9).unwrap(), 1);
        assert!(!b.is_connected());
        assert!(b.has_room());
        assert_eq!(b.send_batch(NOW, &mut packets(&[1, 2])).unwrap(), 2);
        assert_eq!(b.lost(), 2);
    }

    #[test]
    fn offloads_are_advertised_as_configured() {
        let medium = |last| Medium::Ethernet(MacAddr([2, 0, 0, 0, 0, last]));
        let (a, b) = MemoryLink::pair(MemoryConfig::default(), medium(1), medium(2));
        assert_eq!(a.capabilities().medium, medium(1));
        assert_eq!(b.capabilities().medium, medium(2));
        assert_eq!(b.capabilities().gso_max, 65_535);
        let (a, _b) = MemoryLink::pair_ip(MemoryConfig::without_offloads());
        assert!(!a.capabilities().tx_checksum);
        assert_eq!(a.capabilities().gso_max, 0);
    }
}
