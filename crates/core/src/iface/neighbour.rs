//! Neighbours and whether they answer: the state machine of RFC 4861 §7.3, which serves ARP (RFC
//! 826, RFC 1122 §2.3.2) as well as neighbour discovery.
//!
//! ```text
//!              packet to send                 answer
//!   (nothing) ───────────────▶ INCOMPLETE ─────────────▶ REACHABLE ◀──────┐
//!       ▲                          │ 3 asked in vain       │ 15 to 45 s   │ answer, or a transport
//!       │        host unreachable  │                       ▼              │ got an acknowledgement
//!       ├──────────────────────────┘     heard of ──────▶ STALE           │
//!       │                                                  │ packet sent  │
//!       │   3 asked in vain                   5 s          ▼              │
//!       └────────────────────── PROBE ◀─────────────────  DELAY ──────────┘
//! ```
//!
//! This file is the table alone: it says what is to be sent, [`resolve`](super::resolve) sends it.

use crate::{Instant, MacAddr, Packet, Rng};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

/// Packets that wait for one neighbour; then the oldest is dropped (RFC 4861 §7.2.2).
pub const NEIGHBOUR_QUEUE_LIMIT: usize = 64;
/// Bytes that packets waiting for all neighbours of one interface pin.
pub const NEIGHBOUR_QUEUE_BYTES: usize = 4 << 20;

/// RFC 4861 §10: RETRANS_TIMER. RFC 1122 §2.3.2.1: no more than one ARP request a second.
pub(super) const RETRANS_TIMER: Duration = Duration::from_secs(1);
/// RFC 4861 §10.
const MAX_MULTICAST_SOLICIT: u8 = 3;
/// RFC 4861 §10.
const MAX_UNICAST_SOLICIT: u8 = 3;
/// RFC 4861 §10.
const DELAY_FIRST_PROBE_TIME: Duration = Duration::from_secs(5);
/// RFC 4861 §10: REACHABLE_TIME.
const BASE_REACHABLE_TIME_MS: u32 = 30_000;
/// What a router may make of the two times (RFC 4861 §6.2.1: an hour at most; as in Linux, a tenth
/// of a second at least).
const ADVERTISED_MS: core::ops::RangeInclusive<u32> = 100..=3_600_000;
/// RFC 4861 §6.3.4: a new reachable time is drawn every few hours.
const REACHABLE_TIME_LIFETIME: Duration = Duration::from_secs(2 * 3600);

/// What is known of a neighbour's reachability (RFC 4861 §7.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighbourState {
    /// Its link-layer address is being asked for.
    Incomplete,
    /// It was heard to receive our packets not long ago.
    Reachable,
    /// It may still be there.
    Stale,
    /// A packet was sent to it; soon it will be asked.
    Delay,
    /// It is being asked whether it is still there.
    Probe,
}

impl NeighbourState {
    /// The name as the RFC spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Incomplete => "INCOMPLETE",
            Self::Reachable => "REACHABLE",
            Self::Stale => "STALE",
            Self::Delay => "DELAY",
            Self::Probe => "PROBE",
        }
    }
}

/// A row of the table, for `ip neigh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// Its link-layer address, once known.
    pub mac: Option<MacAddr>,
    /// What is known of it.
    pub state: NeighbourState,
}

/// What is to be done after the table was asked or told something.
#[derive(Debug)]
pub(super) enum Step {
    /// Send the packet to this station.
    Transmit(MacAddr, Packet),
    /// Ask all stations who has the address.
    SolicitAll(IpAddr),
    /// Ask this station whether it still has the address.
    Solicit(IpAddr, MacAddr),
    /// The neighbour did not answer; these packets can't be sent.
    Unreachable(IpAddr, VecDeque<Packet>),
    /// The packet was dropped: too many wait already.
    QueueFull,
    /// The packet was dropped: the table is full.
    TableFull,
}

/// What an answer or an announcement says (RFC 4861 §7.2.5; ARP in the same words).
#[derive(Clone, Copy, Debug)]
pub(super) struct Advertisement {
    pub(super) mac: Option<MacAddr>,
    pub(super) solicited: bool,
    pub(super) override_flag: bool,
}

#[derive(Debug)]
struct Entry {
    state: NeighbourState,
    mac: MacAddr,
    /// INCOMPLETE, DELAY and PROBE: when the next step is due. REACHABLE: until when.
    until: Instant,
    solicited: u8,
    pending: VecDeque<Packet>,
    /// When a packet was last sent to it: what is oldest makes room.
    used: Instant,
}

/// The neighbours of one interface.
#[derive(Debug)]
pub(super) struct Neighbours {
    table: BTreeMap<IpAddr, Entry>,
    /// Entries whose `until` is waited for.
    deadlines: BTreeSet<(Instant, IpAddr)>,
    pending_bytes: usize,
    /// RFC 4861 §6.3.2: random between half and one and a half times the base. For ARP.
    reachable_time: Duration,
    /// The same for neighbour discovery, where routers may have a word.
    discovery: Timing,
    /// State changes that nobody was told of yet.
    changes: Vec<(IpAddr, NeighbourState)>,
    /// Neighbours that found no room, or were driven out by others, and were not counted yet.
    overflows: u64,
}

/// The times of neighbour discovery on a link (RFC 4861 §6.3.2).
#[derive(Debug)]
struct Timing {
    base_ms: u32,
    reachable_time: Duration,
    /// When that was drawn.
    drawn: Instant,
    retrans_timer: Duration,
}

/// RFC 4861 §6.3.2: ReachableTime, uniformly between half and one and a half times `base_ms`.
fn draw_reachable_time(rng: &mut Rng, base_ms: u32) -> Duration {
    let ms = base_ms / 2 + rng.below(base_ms);
    Duration::from_millis(u64::from(ms))
}

impl Neighbours {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let reachable_time = draw_reachable_time(rng, BASE_REACHABLE_TIME_MS);
        Self {
            table: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            pending_bytes: 0,
            reachable_time,
            discovery: Timing {
                base_ms: BASE_REACHABLE_TIME_MS,
                reachable_time,
                drawn: Instant::ZERO,
                retrans_timer: RETRANS_TIMER,
            },
            changes: Vec::new(),
            overflows: 0,
        }
    }

    /// A router says how long neighbours stay reachable, and how often they are asked, in
    /// milliseconds; 0 says nothing (RFC 4861 §6.3.4).
    pub(super) fn set_timing(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        reachable_ms: u32,
        retrans_ms: u32,
    ) {
        let (least, most) = (*ADVERTISED_MS.start(), *ADVERTISED_MS.end());
        let timing = &mut self.discovery;
        if retrans_ms != 0 {
            let ms = retrans_ms.clamp(least, most);
            timing.retrans_timer = Duration::from_millis(u64::from(ms));
        }
        let base_ms = match reachable_ms {
            0 => timing.base_ms,
            ms => ms.clamp(least, most),
        };
        if base_ms != timing.base_ms || now >= timing.drawn + REACHABLE_TIME_LIFETIME {
            timing.base_ms = base_ms;
            timing.reachable_time = draw_reachable_time(rng, base_ms);
            timing.drawn = now;
        }
    }

    /// Between two solicitations for `address`.
    pub(super) fn retrans_timer(&self, address: IpAddr) -> Duration {
        match address {
            IpAddr::V4(_) => RETRANS_TIMER,
            IpAddr::V6(_) => self.discovery.retrans_timer,
        }
    }

    fn reachable_time(&self, address: IpAddr) -> Duration {
        match address {
            IpAddr::V4(_) => self.reachable_time,
            IpAddr::V6(_) => self.discovery.reachable_time,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Neighbour> {
        self.table.iter().map(|(&address, entry)| Neighbour {
            address,
            mac: (entry.state != NeighbourState::Incomplete).then_some(entry.mac),
            state: entry.state,
        })
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    pub(super) fn take_changes(&mut self) -> Vec<(IpAddr, NeighbourState)> {
        std::mem::take(&mut self.changes)
    }

    /// How many neighbours a full table has cost since it was last asked.
    pub(super) fn take_overflows(&mut self) -> u64 {
        std::mem::take(&mut self.overflows)
    }

    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.deadlines.clear();
        self.pending_bytes = 0;
    }

    /// A packet is to go to `address`. `max` entries may be kept.
    pub(super) fn send(
        &mut self,
        now: Instant,
        max: usize,
        address: IpAddr,
        packet: Packet,
    ) -> Option<Step> {
        let Some(entry) = self.table.get_mut(&address) else {
            return Some(self.resolve(now, max, address, packet));
        };
        entry.used = now;
        match entry.state {
            NeighbourState::Incomplete => return self.wait(address, packet),
            NeighbourState::Reachable if now < entry.until => {}
            NeighbourState::Delay | NeighbourState::Probe => {}
            // RFC 4861 §7.3.3: the first packet to a stale neighbour starts the delay.
            NeighbourState::Reachable | NeighbourState::Stale => {
                let mac = entry.mac;
                self.enter(address, NeighbourState::Delay, now + DELAY_FIRST_PROBE_TIME);
                return Some(Step::Transmit(mac, packet));
            }
        }
        Some(Step::Transmit(entry.mac, packet))
    }

    /// A solicitation or request came from `address` at `mac`: we may be asked by it, that does
    /// not show that it hears us. It is added only when `create`.
    pub(super) fn heard_of(
        &mut self,
        now: Instant,
        max: usize,
        address: IpAddr,
        mac: MacAddr,
        create: bool,
    ) -> Vec<Step> {
        match self.table.get_mut(&address) {
            // RFC 4861 §7.2.3: a new address makes it stale, the known one changes nothing.
            Some(entry) if entry.state != NeighbourState::Incomplete && entry.mac == mac => {
                Vec::new()
            }
            Some(entry) => {
                entry.mac = mac;
                self.enter(address, NeighbourState::Stale, Instant::FAR);
                self.flush(address)
            }
            None => {
                if create && self.make_room(max) {
                    self.insert(now, address, mac, NeighbourState::Stale, Instant::FAR);
                }
                Vec::new()
            }
        }
    }

    /// An advertisement or reply came about `address`. RFC 4861 §7.2.5; nothing is added for it.
    pub(super) fn advertised(
        &mut self,
        now: Instant,
        address: IpAddr,
        advertisement: Advertisement,
    ) -> Vec<Step> {
        let Advertisement {
            mac,
            solicited,
            override_flag,
        } = advertisement;
        let reachable_until = now + self.reachable_time(address);
        let Some(entry) = self.table.get_mut(&address) else {
            return Vec::new();
        };
        if entry.state == NeighbourState::Incomplete {
            let Some(mac) = mac else {
                return Vec::new();
            };
            entry.mac = mac;
            let (state, until) = if solicited {
                (NeighbourState::Reachable, reachable_until)
            } else {
                (NeighbourState::Stale, Instant::FAR)
            };
            self.enter(address, state, until);
            return self.flush(address);
        }
        let changed = mac.filter(|&mac| mac != entry.mac);
        if changed.is_some() && !override_flag {
            // It is not to replace what is known, but casts doubt on it.
            if entry.state == NeighbourState::Reachable {
                self.enter(address, NeighbourState::Stale, Instant::FAR);
            }
            return Vec::new();
        }
        if let Some(mac) = changed {
            entry.mac = mac;
        }
        if solicited {
            self.enter(address, NeighbourState::Reachable, reachable_until);
        } else if changed.is_some() {
            self.enter(address, NeighbourState::Stale, Instant::FAR);
        }
        Vec::new()
    }

    /// A transport knows that `address` receives our packets (RFC 4861 §7.3.1).
    pub(super) fn confirm(&mut self, now: Instant, address: IpAddr) {
        let until = now + self.reachable_time(address);
        match self.table.get_mut(&address) {
            None => {}
            Some(entry) if entry.state == NeighbourState::Incomplete => {}
            Some(entry) if entry.state == NeighbourState::Reachable => entry.until = until,
            Some(_) => self.enter(address, NeighbourState::Reachable, until),
        }
    }

    /// Whether we have asked about `address` and wait for an answer.
    pub(super) fn is_asked(&self, address: IpAddr) -> bool {
        self.table.get(&address).is_some_and(|entry| {
            matches!(
                entry.state,
                NeighbourState::Incomplete | NeighbourState::Probe
            )
        })
    }

    /// The next thing that is due.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Step> {
        while let Some(&(at, address)) = self.deadlines.first()
            && at <= now
        {
            let again = now + self.retrans_timer(address);
            let Some(entry) = self.table.get_mut(&address) else {
                self.deadlines.remove(&(at, address));
                continue;
            };
            let mac = entry.mac;
            match entry.state {
                NeighbourState::Delay => {
                    entry.solicited = 1;
                    self.enter(address, NeighbourState::Probe, again);
                    return Some(Step::Solicit(address, mac));
                }
                NeighbourState::Probe if entry.solicited < MAX_UNICAST_SOLICIT => {
                    entry.solicited += 1;
                    self.enter(address, NeighbourState::Probe, again);
                    return Some(Step::Solicit(address, mac));
                }
                NeighbourState::Incomplete if entry.solicited < MAX_MULTICAST_SOLICIT => {
                    entry.solicited += 1;
                    self.enter(address, NeighbourState::Incomplete, again);
                    return Some(Step::SolicitAll(address));
                }
                // RFC 4861 §7.3.3: the entry goes, and resolution begins anew with the next packet.
                NeighbourState::Incomplete | NeighbourState::Probe => {
                    let pending = self.remove(address);
                    return Some(Step::Unreachable(address, pending));
                }
                NeighbourState::Reachable | NeighbourState::Stale => {
                    self.deadlines.remove(&(at, address));
                }
            }
        }
        None
    }

    fn resolve(&mut self, now: Instant, max: usize, address: IpAddr, packet: Packet) -> Step {
        if !self.make_room(max) {
            return Step::TableFull;
        }
        let state = NeighbourState::Incomplete;
        let again = now + self.retrans_timer(address);
        self.insert(now, address, MacAddr::default(), state, again);
        if let Some(entry) = self.table.get_mut(&address) {
            entry.solicited = 1;
        }
        let waits = self.wait(address, packet);
        debug_assert!(
            !matches!(waits, Some(Step::TableFull)),
            "the first packet makes no table full"
        );
        Step::SolicitAll(address)
    }

    /// Lets `packet` wait for the link-layer address of `address`.
    fn wait(&mut self, address: IpAddr, packet: Packet) -> Option<Step> {
        let entry = self.table.get_mut(&address)?;
        let bytes = packet.pinned();
        let mut dropped = None;
        if entry.pending.len() >= NEIGHBOUR_QUEUE_LIMIT {
            dropped = entry.pending.pop_front();
        }
        let freed = dropped.as_ref().map_or(0, Packet::pinned);
        self.pending_bytes = self.pending_bytes.saturating_sub(freed);
        if self.pending_bytes.saturating_add(bytes) > NEIGHBOUR_QUEUE_BYTES {
            return Some(Step::QueueFull);
        }
        self.pending_bytes += bytes;
        entry.pending.push_back(packet);
        dropped.map(|_| Step::QueueFull)
    }

    /// What waited for `address` can go now.
    fn flush(&mut self, address: IpAddr) -> Vec<Step> {
        let Some(entry) = self.table.get_mut(&address) else {
            return Vec::new();
        };
        let mac = entry.mac;
        let pending = std::mem::take(&mut entry.pending);
        self.forget_bytes(&pending);
        pending
            .into_iter()
            .map(|packet| Step::Transmit(mac, packet))
            .collect()
    }

    fn remove(&mut self, address: IpAddr) -> VecDeque<Packet> {
        let Some(entry) = self.table.remove(&address) else {
            return VecDeque::new();
        };
        self.deadlines.remove(&(entry.until, address));
        self.forget_bytes(&entry.pending);
        entry.pending
    }

    fn forget_bytes(&mut self, pending: &VecDeque<Packet>) {
        let bytes = pending.iter().map(Packet::pinned).sum();
        self.pending_bytes = self.pending_bytes.saturating_sub(bytes);
    }

    fn insert(
        &mut self,
        now: Instant,
        address: IpAddr,
        mac: MacAddr,
        state: NeighbourState,
        until: Instant,
    ) {
        let entry = Entry {
            state,
            mac,
            until: Instant::FAR,
            solicited: 0,
            pending: VecDeque::new(),
            used: now,
        };
        self.table.insert(address, entry);
        self.enter(address, state, until);
    }

    fn enter(&mut self, address: IpAddr, state: NeighbourState, until: Instant) {
        let Some(entry) = self.table.get_mut(&address) else {
            return;
        };
        self.deadlines.remove(&(entry.until, address));
        entry.until = until;
        // A neighbour that is no longer known to be reachable is noticed when it is used.
        if matches!(
            state,
            NeighbourState::Incomplete | NeighbourState::Delay | NeighbourState::Probe
        ) {
            self.deadlines.insert((until, address));
        }
        entry.state = state;
        if self.changes.last() != Some(&(address, state)) {
            self.changes.push((address, state));
        }
    }

    /// Makes room for one more of `max` entries. What is in use stays: a flood of addresses that
    /// nobody has only drives out what is doubtful itself (RFC 6583 §7.1).
    fn make_room(&mut self, max: usize) -> bool {
        if self.table.len() < max {
            return true;
        }
        self.overflows += 1;
        let doubtful = self.table.iter().filter(|(_, entry)| {
            matches!(
                entry.state,
                NeighbourState::Incomplete | NeighbourState::Stale
            )
        });
        let Some((&oldest, _)) = doubtful.min_by_key(|(_, entry)| entry.used) else {
            return false;
        };
        self.remove(oldest);
        true
    }
}

#[cfg(test)]
mod tests;
