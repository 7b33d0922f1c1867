//! A link on which somebody looks at each packet, and changes nothing: packets pass as they are,
//! offloads stay.

use sockeye_link::{Batch, Capabilities, Instant, Link, Medium, Notify, Packet};
use std::io;

/// Packets handed to the link, and then shown, in one go.
const BURST: usize = 64;

/// Which way a packet went, as seen from the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It was received.
    Inbound,
    /// It was sent.
    Outbound,
}

/// Is shown packets.
pub trait Watch: Send {
    /// `packet` crossed a link of `medium`; what was sent is shown when the link has taken it. It may
    /// be a super-segment, and its checksum left open.
    fn on_packet(&mut self, now: Instant, medium: Medium, direction: Direction, packet: &Packet);
}

/// A link whose packets are shown.
#[derive(Debug)]
pub struct Watched<L, W> {
    link: L,
    watch: W,
    /// Reused between calls.
    burst: Batch,
}

impl<L: Link, W: Watch> Watched<L, W> {
    /// `link`, whose packets `watch` sees.
    pub fn new(link: L, watch: W) -> Self {
        Self {
            link,
            watch,
            burst: Batch::new(),
        }
    }

    /// The link inside.
    #[must_use]
    pub fn link(&self) -> &L {
        &self.link
    }

    fn show<'a>(
        &mut self,
        now: Instant,
        direction: Direction,
        packets: impl Iterator<Item = &'a Packet>,
    ) {
        let medium = self.link.capabilities().medium;
        packets.for_each(|packet| self.watch.on_packet(now, medium, direction, packet));
    }
}

impl<L: Link, W: Watch> Link for Watched<L, W> {
    fn capabilities(&self) -> Capabilities {
        self.link.capabilities()
    }

    fn recv_batch(&mut self, now: Instant, rx: &mut Batch, max: usize) -> io::Result<usize> {
        let before = rx.len();
        let result = self.link.recv_batch(now, rx, max);
        self.show(now, Direction::Inbound, rx.iter().skip(before));
        result
    }

    fn send_batch(&mut self, now: Instant, tx: &mut Batch) -> io::Result<usize> {
        let mut taken = 0;
        loop {
            // What the link takes is gone: it is copied before, the heads alone, as payload is
            // shared.
            let copies: Vec<Packet> = tx.iter().take(BURST).cloned().collect();
            self.burst.extend(tx.drain(..copies.len()));
            let result = self.link.send_batch(now, &mut self.burst);
            let sent = copies.len() - self.burst.len().min(copies.len());
            let full = !self.burst.is_empty();
            for packet in self.burst.drain(..).rev() {
                tx.push_front(packet);
            }
            self.show(now, Direction::Outbound, copies[..sent].iter());
            taken += sent;
            match result {
                Err(error) if taken == 0 => return Err(error),
                Err(_) => return Ok(taken),
                Ok(_) if full || tx.is_empty() => return Ok(taken),
                Ok(_) => {}
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.link.deadline()
    }

    fn has_room(&self) -> bool {
        self.link.has_room()
    }

    fn has_carrier(&self) -> bool {
        self.link.has_carrier()
    }

    #[cfg(unix)]
    fn as_raw_fd(&self) -> Option<std::os::fd::RawFd> {
        self.link.as_raw_fd()
    }

    fn set_notify(&mut self, notify: Notify) {
        self.link.set_notify(notify);
    }
}
