//! A stage that makes a link bad: delay, jitter, loss, duplicates, reordering, corruption, a rate, and
//! marks of congestion.
//!
//! The words mean what they mean in tc-netem(8), for each direction by itself. What passes is wire
//! packets: a node may hand over super-segments and leave checksums, the stage cuts and sums them
//! first (a direction to which nothing is done leaves them whole where the link can carry them).
//! Chance comes from a seed and time from `now`: the same calls give the same packets.
//!
//! As `tc qdisc`'s does, the stage takes everything and drops what exceeds
//! [`NetemConfig::limit`], counted in [`NetemCounters`].

mod config;
mod direction;
mod fate;

pub use config::{DELAY_MAX, LIMIT_MAX, Loss, NETEM_KEYS, NetemConfig, NetemError, Probability};
pub use direction::NetemCounters;
pub use fate::{Fate, Fates};

use crate::watched;
use direction::Direction;
use sockeye_link::{Batch, Capabilities, GsoKinds, Instant, Link, Notify, offload};
use std::io;
use std::time::Duration;

/// Packets exchanged with the link in one go.
const BURST: usize = 64;
/// Bursts that one call takes from the link; the rest waits for the next call, which is due at
/// once.
const BURSTS_MAX: usize = 16;
/// When a link that was full is tried again, should nobody call before.
const RETRY: Duration = Duration::from_millis(1);

/// A link with netem in both directions.
#[derive(Debug)]
pub struct Netem<L> {
    link: L,
    outbound: Direction,
    inbound: Direction,
    /// Packets whose time has come, but that the link has not taken.
    ready: Batch,
    /// Reused between calls.
    scratch: Batch,
    /// When to try the full link again.
    retry: Option<Instant>,
    /// Since when the link may have more packets than one call collects.
    more: Option<Instant>,
    /// Who wants to know what becomes of packets.
    fates: Option<Fates>,
}

impl<L: Link> Netem<L> {
    /// `link` with the same done to both directions.
    #[must_use]
    pub fn new(link: L, config: NetemConfig, seed: u64) -> Self {
        Self::with_directions(link, config, config, seed)
    }

    /// `link` with `outbound` done to what is sent, and `inbound` to what is received.
    #[must_use]
    pub fn with_directions(
        link: L,
        outbound: NetemConfig,
        inbound: NetemConfig,
        seed: u64,
    ) -> Self {
        let medium = link.capabilities().medium;
        Self {
            link,
            outbound: Direction::new(outbound, medium, seed, 0),
            inbound: Direction::new(inbound, medium, seed, 1),
            ready: Batch::new(),
            scratch: Batch::new(),
            retry: None,
            more: None,
            fates: None,
        }
    }

    /// What becomes of each packet from now on. Whoever takes this asks for each packet that passes
    /// ([`Fates::next`]); a capture does ([`Recorder::tap_with`](crate::Recorder::tap_with)).
    pub fn fates(&mut self) -> Fates {
        self.fates.get_or_insert_default().clone()
    }

    fn tell(fates: Option<&Fates>, direction: watched::Direction, fate: Fate) {
        if let Some(fates) = fates {
            fates.push(direction, fate);
        }
    }

    /// Changes what is done from now on. Packets that are held stay so until their time.
    pub fn set(&mut self, outbound: NetemConfig, inbound: NetemConfig) {
        self.outbound.config = outbound;
        self.inbound.config = inbound;
    }

    /// What happened to the packets that were sent.
    #[must_use]
    pub fn outbound(&self) -> NetemCounters {
        self.outbound.counters
    }

    /// What happened to the packets that were received.
    #[must_use]
    pub fn inbound(&self) -> NetemCounters {
        self.inbound.counters
    }

    /// The link inside.
    #[must_use]
    pub fn link(&self) -> &L {
        &self.link
    }

    /// Hands what is due to the link, as far as it takes it.
    fn flush(&mut self, now: Instant) -> io::Result<()> {
        self.retry = None;
        loop {
            let room = BURST.saturating_sub(self.ready.len());
            self.outbound.release(now, &mut self.ready, room, |_| {});
            if self.ready.is_empty() {
                return Ok(());
            }
            self.link.send_batch(now, &mut self.ready)?;
            if !self.ready.is_empty() {
                self.retry = Some(now + RETRY);
                return Ok(());
            }
        }
    }

    /// Whether sent packets pass as they are, none being held from before.
    fn sends_straight(&self) -> bool {
        self.outbound.config.is_transparent() && self.outbound.next().is_none()
    }

    fn receives_straight(&self) -> bool {
        self.inbound.config.is_transparent() && self.inbound.next().is_none()
    }

    fn send_straight(&mut self, now: Instant, tx: &mut Batch) -> io::Result<usize> {
        let capabilities = self.link.capabilities();
        let mut taken = 0;
        while self.ready.is_empty() && !tx.is_empty() {
            for packet in tx.drain(..tx.len().min(BURST)) {
                taken += 1;
                match offload::fit(packet, &capabilities, &mut self.ready) {
                    Ok(n) => self.outbound.counters.passed += n as u64,
                    Err(_) => self.outbound.counters.malformed += 1,
                }
            }
            self.flush(now)?;
        }
        Ok(taken)
    }

    /// Takes what the link has received into the inbound direction.
    fn collect(&mut self, now: Instant) -> io::Result<()> {
        self.more = None;
        for _ in 0..BURSTS_MAX {
            let mut received = std::mem::take(&mut self.scratch);
            let result = self.link.recv_batch(now, &mut received, BURST);
            let medium = self.link.capabilities().medium;
            let mut wire = Batch::new();
            for packet in received.drain(..) {
                match offload::to_wire(packet, medium, &mut wire) {
                    Ok(_) => {}
                    Err(_) => self.inbound.counters.malformed += 1,
                }
                for packet in wire.drain(..) {
                    // It is told when it is received, if it is.
                    let _ = self.inbound.enqueue(now, packet, 0);
                }
            }
            self.scratch = received;
            if result? < BURST {
                return Ok(());
            }
        }
        self.more = Some(now);
        Ok(())
    }
}

impl<L: Link> Link for Netem<L> {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            tx_checksum: true,
            gso: GsoKinds::ALL,
            gso_max: 65_535,
            ..self.link.capabilities()
        }
    }

    fn recv_batch(&mut self, now: Instant, rx: &mut Batch, max: usize) -> io::Result<usize> {
        self.flush(now)?;
        if self.receives_straight() {
            let received = self.link.recv_batch(now, rx, max)?;
            self.inbound.counters.passed += received as u64;
            return Ok(received);
        }
        self.collect(now)?;
        let fates = self.fates.as_ref();
        let tell = |fate| Self::tell(fates, watched::Direction::Inbound, fate);
        Ok(self.inbound.release(now, rx, max, tell))
    }

    fn send_batch(&mut self, now: Instant, tx: &mut Batch) -> io::Result<usize> {
        self.flush(now)?;
        if self.sends_straight() {
            return self.send_straight(now, tx);
        }
        let medium = self.link.capabilities().medium;
        let taken = tx.len();
        let mut wire = Batch::new();
        for packet in tx.drain(..) {
            if offload::to_wire(packet, medium, &mut wire).is_err() {
                self.outbound.counters.malformed += 1;
            }
            for packet in wire.drain(..) {
                let fate = self.outbound.enqueue(now, packet, self.ready.len());
                Self::tell(self.fates.as_ref(), watched::Direction::Outbound, fate);
            }
        }
        self.flush(now)?;
        Ok(taken)
    }

    fn deadline(&self) -> Option<Instant> {
        // Packets that wait for a full link wait for `retry`, not for their own time.
        let outbound = if self.ready.is_empty() {
            self.outbound.next()
        } else {
            None
        };
        [
            outbound,
            self.inbound.next(),
            self.retry,
            self.more,
            self.link.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn has_room(&self) -> bool {
        !self.sends_straight() || self.ready.is_empty() || self.link.has_room()
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

#[cfg(test)]
mod tests;
