//! An Ethernet switch in memory: nodes plugged into it share one network.
//!
//! It learns which station is behind which port from source addresses (IEEE 802.1D, without
//! spanning tree: no ports are bridged into loops in one process) and floods frames to groups and
//! to stations it has not met. As in a real switch, a frame for a port whose queue is full is
//! dropped and counted: one slow node must not hold up the others.

use crate::queue::{MemoryConfig, Queue, lock};
use crate::stations::Stations;
pub use crate::stations::{STATION_AGE_MAX, STATIONS_MAX};
use sockeye_link::{Batch, Capabilities, Instant, Link, MacAddr, Medium, Notify, Packet};
use sockeye_wire::ethernet;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

/// An Ethernet switch. Clones are handles to the same one.
#[derive(Clone, Debug, Default)]
pub struct Switch {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    config: MemoryConfig,
    fabric: Mutex<Fabric>,
}

/// What a switch counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwitchCounters {
    /// Frames sent on to one port.
    pub forwarded: u64,
    /// Frames sent on to all ports but their own.
    pub flooded: u64,
    /// Copies dropped because a port's queue was full.
    pub queue_full: u64,
    /// Frames for a station behind the port that they came from.
    pub filtered: u64,
    /// Frames too short for an Ethernet header, or sent from a group address.
    pub malformed: u64,
    /// Stations not learnt because the table was full.
    pub table_full: u64,
}

#[derive(Debug, Default)]
struct Fabric {
    ports: BTreeMap<u32, Queue>,
    /// The number of the next port; numbers are not used twice.
    next_port: u32,
    stations: Stations,
    counters: SwitchCounters,
}

impl Switch {
    /// A switch without ports. The limits of `config` are those of each port's queue.
    #[must_use]
    pub fn new(config: MemoryConfig) -> Self {
        let shared = Arc::new(Shared {
            config,
            fabric: Mutex::default(),
        });
        Self { shared }
    }

    /// A new port, for a node whose own address is `address`. Dropping it unplugs the node.
    #[must_use]
    pub fn port(&self, address: MacAddr) -> SwitchPort {
        let mut fabric = lock(&self.shared.fabric);
        let number = fabric.next_port;
        fabric.next_port += 1;
        fabric.ports.insert(number, Queue::default());
        SwitchPort {
            shared: Arc::clone(&self.shared),
            number,
            address,
        }
    }

    /// What was counted since it was made.
    #[must_use]
    pub fn counters(&self) -> SwitchCounters {
        lock(&self.shared.fabric).counters
    }

    /// Stations that it remembers.
    #[must_use]
    pub fn stations(&self) -> usize {
        lock(&self.shared.fabric).stations.len()
    }
}

/// A port of a [`Switch`]: the link of one node.
#[derive(Debug)]
pub struct SwitchPort {
    shared: Arc<Shared>,
    number: u32,
    address: MacAddr,
}

impl Link for SwitchPort {
    fn capabilities(&self) -> Capabilities {
        self.shared
            .config
            .capabilities(Medium::Ethernet(self.address))
    }

    fn recv_batch(&mut self, _now: Instant, rx: &mut Batch, max: usize) -> io::Result<usize> {
        let mut fabric = lock(&self.shared.fabric);
        let taken = fabric
            .ports
            .get_mut(&self.number)
            .map(|queue| queue.drain(rx, max).0);
        Ok(taken.unwrap_or(0))
    }

    fn send_batch(&mut self, now: Instant, tx: &mut Batch) -> io::Result<usize> {
        let mut wake = Vec::new();
        let mut fabric = lock(&self.shared.fabric);
        let taken = tx.len();
        for packet in tx.drain(..) {
            fabric.switch(now, self.number, packet, &self.shared.config, &mut wake);
        }
        drop(fabric);
        // Without the lock: a notified node may use its port at once.
        wake.into_iter().for_each(|notify| notify());
        Ok(taken)
    }

    fn set_notify(&mut self, notify: Notify) {
        let mut fabric = lock(&self.shared.fabric);
        let Some(queue) = fabric.ports.get_mut(&self.number) else {
            return;
        };
        queue.notify = Some(Arc::clone(&notify));
        // What came before anybody listened is told now.
        let waiting = queue.len() > 0;
        drop(fabric);
        if waiting {
            notify();
        }
    }
}

impl Drop for SwitchPort {
    fn drop(&mut self) {
        let mut fabric = lock(&self.shared.fabric);
        fabric.ports.remove(&self.number);
        fabric.stations.forget(self.number);
    }
}

impl Fabric {
    fn switch(
        &mut self,
        now: Instant,
        from: u32,
        mut packet: Packet,
        config: &MemoryConfig,
        wake: &mut Vec<Notify>,
    ) {
        let header = packet
            .pull_up(ethernet::HEADER_LEN)
            .then(|| ethernet::Header::parse(packet.head()));
        let Some(Ok(header)) = header else {
            self.counters.malformed += 1;
            return;
        };
        if header.source.is_multicast() {
            self.counters.malformed += 1;
            return;
        }
        if !self.stations.learn(now, header.source, from) {
            self.counters.table_full += 1;
        }
        let known = self.stations.port(header.destination);
        match known {
            _ if header.destination.is_multicast() => self.flood(from, &packet, config, wake),
            Some(port) if port == from => self.counters.filtered += 1,
            Some(port) => {
                self.counters.forwarded += 1;
                self.deliver(port, packet, config, wake);
            }
            None => self.flood(from, &packet, config, wake),
        }
    }

    fn flood(&mut self, from: u32, packet: &Packet, config: &MemoryConfig, wake: &mut Vec<Notify>) {
        self.counters.flooded += 1;
        let others: Vec<u32> = self.ports.keys().copied().filter(|&p| p != from).collect();
        for port in others {
            self.deliver(port, packet.clone(), config, wake);
        }
    }

    fn deliver(
        &mut self,
        port: u32,
        packet: Packet,
        config: &MemoryConfig,
        wake: &mut Vec<Notify>,
    ) {
        let Some(queue) = self.ports.get_mut(&port) else {
            return;
        };
        let was_empty = queue.len() == 0;
        if !queue.offer(packet, config) {
            self.counters.queue_full += 1;
        } else if was_empty {
            wake.extend(queue.notify.clone());
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use sockeye_wire::EtherType;
    use std::sync::atomic::{AtomicUsize, Ordering};

    pub(crate) fn mac(last: u8) -> MacAddr {
        MacAddr([2, 0, 0, 0, 0, last])
    }

    pub(crate) fn frame(destination: MacAddr, source: MacAddr, payload: &[u8]) -> Packet {
        let mut packet = Packet::from_slice(payload);
        let header = ethernet::Header {
            destination,
            source,
            ethertype: EtherType::IPV4,
        };
        header.emit(packet.push(ethernet::HEADER_LEN));
        packet
    }

    fn send(now: Instant, port: &mut SwitchPort, packet: Packet) {
        let mut tx = [packet].into();
        assert_eq!(port.send_batch(now, &mut tx).unwrap(), 1);
    }

    fn received<const N: usize>(ports: &mut [SwitchPort; N]) -> [usize; N] {
        ports.each_mut().map(|port| {
            let mut rx = Batch::new();
            port.recv_batch(Instant::ZERO, &mut rx, 100).unwrap()
        })
    }

    #[test]
    fn stations_are_learnt_and_unknown_ones_flooded() {
        let switch = Switch::default();
        let mut ports = [1, 2, 3].map(|n| switch.port(mac(n)));
        let now = Instant::ZERO;
        send(now, &mut ports[0], frame(mac(2), mac(1), b"payload"));
        assert_eq!(received(&mut ports), [0, 1, 1], "2 is not known yet");
        send(now, &mut ports[1], frame(mac(1), mac(2), b"payload"));
        assert_eq!(received(&mut ports), [1, 0, 0]);
        send(now, &mut ports[0], frame(mac(2), mac(1), b"payload"));
        assert_eq!(received(&mut ports), [0, 1, 0]);
        send(
            now,
            &mut ports[0],
            frame(MacAddr::BROADCAST, mac(1), b"payload"),
        );
        assert_eq!(received(&mut ports), [0, 1, 1]);
        send(now, &mut ports[1], frame(mac(2), mac(9), b"payload"));
        assert_eq!(received(&mut ports), [0, 0, 0], "2 is where it came from");
        // A station that moves is found at its new port.
        send(now, &mut ports[2], frame(mac(2), mac(1), b"payload"));
        send(now, &mut ports[1], frame(mac(1), mac(2), b"payload"));
        assert_eq!(received(&mut ports), [0, 1, 1]);
        assert_eq!(switch.counters().filtered, 1);
        assert_eq!(switch.counters().flooded, 2);
    }

    #[test]
    fn an_unplugged_station_is_forgotten() {
        let switch = Switch::default();
        let [mut a, b, c] = [1, 2, 3].map(|n| switch.port(mac(n)));
        let mut rest = [b, c];
        send(
            Instant::ZERO,
            &mut rest[0],
            frame(mac(1), mac(2), b"payload"),
        );
        let [b, c] = rest;
        drop(b);
        assert_eq!(switch.stations(), 0);
        send(Instant::ZERO, &mut a, frame(mac(2), mac(1), b"payload"));
        assert_eq!(received(&mut [a, c]), [1, 2]);
    }

    #[test]
    fn a_full_port_drops_and_holds_up_nobody() {
        let switch = Switch::new(MemoryConfig {
            queue_packets_max: 2,
            ..MemoryConfig::default()
        });
        let mut ports = [1, 2, 3].map(|n| switch.port(mac(n)));
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        ports[1].set_notify(Arc::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        }));
        for _ in 0..3 {
            send(
                Instant::ZERO,
                &mut ports[0],
                frame(MacAddr::BROADCAST, mac(1), b"payload"),
            );
            ports[2]
                .recv_batch(Instant::ZERO, &mut Batch::new(), 9)
                .unwrap();
        }
        assert_eq!(switch.counters().queue_full, 1);
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        assert_eq!(received(&mut ports), [0, 2, 0]);
    }

    #[test]
    fn the_table_is_bounded_and_ages() {
        let switch = Switch::default();
        let mut ports = [1, 2].map(|n| switch.port(mac(n)));
        let mut flood = |now| {
            for i in 0..=STATIONS_MAX as u32 {
                let [a, b, c, d] = i.to_be_bytes();
                let source = MacAddr([2, 1, a, b, c, d]);
                send(now, &mut ports[0], frame(mac(7), source, b"payload"));
                received(&mut ports);
            }
        };
        flood(Instant::ZERO);
        assert_eq!(switch.stations(), STATIONS_MAX);
        assert_eq!(switch.counters().table_full, 1);
        flood(Instant::ZERO + STATION_AGE_MAX);
        // All were seen again, the last one is too many again.
        assert_eq!(switch.counters().table_full, 2);
        let mut late = [3, 4].map(|n| switch.port(mac(n)));
        let later = Instant::ZERO + 2 * STATION_AGE_MAX;
        send(later, &mut late[0], frame(mac(7), mac(3), b"payload"));
        assert_eq!(switch.stations(), 1);
    }

    #[test]
    fn what_is_no_frame_is_dropped() {
        let switch = Switch::default();
        let mut ports = [1, 2].map(|n| switch.port(mac(n)));
        send(Instant::ZERO, &mut ports[0], Packet::from_slice(b"short"));
        send(
            Instant::ZERO,
            &mut ports[0],
            frame(mac(2), MacAddr::BROADCAST, b"payload"),
        );
        assert_eq!(received(&mut ports), [0, 0]);
        assert_eq!(switch.counters().malformed, 2);
        assert_eq!(switch.stations(), 0);
    }
}
