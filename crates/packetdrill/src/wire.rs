//! The link of the node: what the script sends comes in here, what the node sends waits to be
//! looked at, each packet with its moment.

use sockeye::link::{
    Batch, Capabilities, GsoKinds, Instant, Link, Medium, Notify, Packet, offload,
};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Packets that wait to be looked at; a script that looks at none of so many is lost anyway.
const OUTGOING_MAX: usize = 65_536;

/// Both ends of the wire.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Mutex<Queues>>);

struct Queues {
    mtu: u32,
    gso: bool,
    /// Written by the script, not yet read by the node.
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<(Vec<u8>, Duration)>,
    notify: Option<Notify>,
}

impl Wire {
    pub(crate) fn new(mtu: u32, gso: bool) -> Self {
        Self(Arc::new(Mutex::new(Queues {
            mtu,
            gso,
            incoming: VecDeque::new(),
            outgoing: VecDeque::new(),
            notify: None,
        })))
    }

    fn with<R>(&self, work: impl FnOnce(&mut Queues) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A packet for the node.
    pub(crate) fn inject(&self, packet: Vec<u8>) {
        let notify = self.with(|queues| {
            queues.incoming.push_back(packet);
            queues.notify.clone()
        });
        if let Some(notify) = notify {
            notify();
        }
    }

    /// The next packet that left the node, and when it did.
    pub(crate) fn take(&self) -> Option<(Vec<u8>, Duration)> {
        self.with(|queues| queues.outgoing.pop_front())
    }
}

impl Link for Wire {
    fn capabilities(&self) -> Capabilities {
        self.with(|queues| Capabilities {
            medium: Medium::Ip,
            mtu: queues.mtu,
            tx_checksum: true,
            gso: match queues.gso {
                true => GsoKinds::ALL,
                false => GsoKinds::NONE,
            },
            gso_max: if queues.gso { 65_535 } else { 0 },
            queues: 1,
        })
    }

    fn recv_batch(&mut self, _: Instant, rx: &mut Batch, max: usize) -> io::Result<usize> {
        self.with(|queues| {
            let n = max.min(queues.incoming.len());
            rx.extend(queues.incoming.drain(..n).map(Packet::from_vec));
            Ok(n)
        })
    }

    fn send_batch(&mut self, now: Instant, tx: &mut Batch) -> io::Result<usize> {
        let now = Duration::from_nanos(now.as_nanos());
        let sent = tx.len();
        for mut packet in tx.drain(..) {
            // The node's own packets are well made; one that is not shows in the script.
            let _ = offload::fill_checksum(&mut packet);
            self.with(|queues| {
                if queues.outgoing.len() < OUTGOING_MAX {
                    queues.outgoing.push_back((packet.to_vec(), now));
                }
            });
        }
        Ok(sent)
    }

    fn set_notify(&mut self, notify: Notify) {
        self.with(|queues| queues.notify = Some(notify));
    }
}
