//! Putting fragments together (RFC 791 §3.2, RFC 815, RFC 8200 §4.5, RFC 5722).
//!
//! Both families share one table and its limits. A datagram whose fragments overlap is dropped as
//! a whole: nobody sends such ones but to get something past a filter. What is kept is counted by
//! what it pins in memory, in all and by source.

use crate::icmp::{self, Problem};
use crate::{Context, Counter, Instant, InterfaceId, IpInfo, Owner, Packet, Payload, TimerSlot};
use core::time::Duration;
use sockeye_wire::{Ecn, IpProtocol};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// RFC 1122 §3.3.2, RFC 8200 §4.5: how long the fragments of a datagram are waited for.
pub(crate) const REASSEMBLY_TIMEOUT: Duration = Duration::from_secs(60);
/// Datagrams that are waited for at a time.
pub(crate) const REASSEMBLIES_MAX: usize = 4096;
/// One source may hold this part of [`Config::reassembly_max`](crate::Config::reassembly_max).
const SOURCE_SHARE: usize = 4;
/// The longest packet of IPv4, and the longest behind the header of IPv6.
const LENGTH_MAX: usize = 65_535;
/// What keeping a fragment costs beyond its buffer.
const FRAGMENT_OVERHEAD: usize = 128;

/// What the fragments of one datagram have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// Link-local addresses mean something else on each.
    pub(super) interface: InterfaceId,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// RFC 8200 §4.5: without meaning in IPv6.
    pub(super) protocol: Option<IpProtocol>,
    pub(super) identification: u32,
}

/// One fragment.
#[derive(Debug)]
pub(super) struct Fragment {
    pub(super) key: Key,
    /// Where it lies in the fragmented part, in bytes.
    pub(super) offset: usize,
    pub(super) more: bool,
    pub(super) ecn: Ecn,
    /// Bytes of its packet, IP header included.
    pub(super) wire_len: u16,
    /// Of the first fragment alone.
    pub(super) first: Option<First>,
    /// Its window stands at the fragmented part.
    pub(super) packet: Packet,
}

/// What only the first fragment tells.
#[derive(Debug)]
pub(super) struct First {
    /// The headers before the fragmented part, as they are to be before the whole.
    pub(super) header: Vec<u8>,
    /// For an error, should the others never come.
    pub(super) info: IpInfo,
    /// Its beginning, at what `info` says is the transport header.
    pub(super) quote: Packet,
}

/// A datagram put together.
#[derive(Debug)]
pub(super) struct Whole {
    /// [`First::header`].
    pub(super) header: Vec<u8>,
    pub(super) payload: Payload,
    /// RFC 3168 §5.3: congestion that any of the fragments experienced.
    pub(super) congestion_experienced: bool,
    /// Bytes of the largest fragment, IP header included.
    pub(super) fragment_max: u16,
}

/// A datagram of which fragments are missing.
#[derive(Debug)]
struct Datagram {
    /// Its place in [`Reassembly::by_age`].
    age: (Instant, u64),
    pieces: BTreeMap<usize, Packet>,
    received: usize,
    /// Known once the last fragment came.
    total: Option<usize>,
    pinned: usize,
    first: Option<First>,
    congestion_experienced: bool,
    not_ect: bool,
    fragment_max: u16,
}

/// All datagrams of which fragments are missing.
#[derive(Debug, Default)]
pub(crate) struct Reassembly {
    datagrams: BTreeMap<Key, Datagram>,
    /// When each is given up, the oldest first.
    by_age: BTreeMap<(Instant, u64), Key>,
    by_source: BTreeMap<IpAddr, usize>,
    pinned: usize,
    serial: u64,
    /// Datagrams that had to make room and are not counted yet.
    evicted: usize,
    timer: TimerSlot,
}

/// Takes a fragment; gives the datagram when it was the last one that was missing.
pub(super) fn receive(cx: &mut Context<'_>, fragment: Fragment) -> Result<Option<Whole>, Counter> {
    cx.counters.add(Counter::IpReasmReqds);
    let max = cx.config.reassembly_max;
    let table = &mut cx.inet.reassembly;
    let outcome = table.add(cx.now, max, fragment);
    for _ in 0..std::mem::take(&mut table.evicted) {
        cx.counters.add(Counter::IpReasmFails);
        cx.drop_packet(Counter::IpReasmLimits);
    }
    arm(cx);
    match outcome {
        Outcome::Waiting => Ok(None),
        Outcome::Whole(whole) => {
            cx.counters.add(Counter::IpReasmOKs);
            Ok(Some(whole))
        }
        Outcome::Failed(why) => Err(failed(cx, why)),
    }
}

/// Counts a failure for which there is a name of its own.
fn failed(cx: &mut Context<'_>, why: Counter) -> Counter {
    if why != Counter::IpReasmFails {
        cx.counters.add(Counter::IpReasmFails);
    }
    why
}

/// Gives up what is too old (RFC 792, RFC 4443 §3.3: the source hears of it if the first fragment
/// came).
pub(crate) fn on_timeout(cx: &mut Context<'_>) {
    while let Some(datagram) = cx.inet.reassembly.expire(cx.now) {
        cx.counters.add(Counter::IpReasmFails);
        cx.drop_packet(Counter::IpReasmTimeout);
        if let Some(First { info, quote, .. }) = datagram.first
            && info.local
        {
            icmp::send_error(cx, &info, quote, Problem::ReassemblyTimeout);
        }
    }
    arm(cx);
}

fn arm(cx: &mut Context<'_>) {
    let table = &mut cx.inet.reassembly;
    let deadline = table.by_age.first_key_value().map(|(&(at, _), _)| at);
    cx.timers.set(&mut table.timer, Owner::Inet, deadline);
}

enum Outcome {
    Waiting,
    Whole(Whole),
    Failed(Counter),
}

impl Reassembly {
    fn add(&mut self, now: Instant, max: usize, fragment: Fragment) -> Outcome {
        let key = fragment.key;
        let cost = fragment.packet.pinned()
            + fragment.first.as_ref().map_or(0, |f| f.quote.pinned())
            + FRAGMENT_OVERHEAD;
        if !self.make_room(max, key, cost) {
            return Outcome::Failed(Counter::IpReasmLimits);
        }
        let serial = self.serial;
        let datagram = self.datagrams.entry(key).or_insert_with(|| {
            let age = (now + REASSEMBLY_TIMEOUT, serial);
            self.by_age.insert(age, key);
            self.serial += 1;
            Datagram::new(age)
        });
        match datagram.add(fragment) {
            Added::Kept => {
                datagram.pinned += cost;
                self.pinned += cost;
                *self.by_source.entry(key.source).or_default() += cost;
            }
            Added::Duplicate => return Outcome::Waiting,
            // RFC 8200 §4.5, RFC 5722 §3: the whole datagram goes, and nobody is told.
            Added::Contradiction => {
                self.remove(key);
                return Outcome::Failed(Counter::IpExtReasmOverlaps);
            }
        }
        if !datagram.is_whole() {
            return Outcome::Waiting;
        }
        match self.remove(key).map(Datagram::into_whole) {
            Some(Some(whole)) => Outcome::Whole(whole),
            _ => Outcome::Failed(Counter::IpReasmFails),
        }
    }

    /// Drops what is oldest until `cost` more fits; false when the source has its share already.
    fn make_room(&mut self, max: usize, key: Key, cost: usize) -> bool {
        let held = self.by_source.get(&key.source).copied().unwrap_or(0);
        if held.saturating_add(cost) > max / SOURCE_SHARE {
            return false;
        }
        while self.pinned.saturating_add(cost) > max || self.datagrams.len() >= REASSEMBLIES_MAX {
            let Some((_, &oldest)) = self.by_age.first_key_value() else {
                return false;
            };
            self.remove(oldest);
            self.evicted += 1;
        }
        true
    }

    fn expire(&mut self, now: Instant) -> Option<Datagram> {
        let (&(at, _), &key) = self.by_age.first_key_value()?;
        if at > now {
            return None;
        }
        self.remove(key)
    }

    fn remove(&mut self, key: Key) -> Option<Datagram> {
        let datagram = self.datagrams.remove(&key)?;
        self.by_age.remove(&datagram.age);
        self.pinned = self.pinned.saturating_sub(datagram.pinned);
        if let Some(held) = self.by_source.get_mut(&key.source) {
            *held = held.saturating_sub(datagram.pinned);
            if *held == 0 {
                self.by_source.remove(&key.source);
            }
        }
        Some(datagram)
    }
}

enum Added {
    Kept,
    Duplicate,
    Contradiction,
}

impl Datagram {
    fn new(age: (Instant, u64)) -> Self {
        Self {
            age,
            pieces: BTreeMap::new(),
            received: 0,
            total: None,
            pinned: 0,
            first: None,
            congestion_experienced: false,
            not_ect: false,
            fragment_max: 0,
        }
    }

    fn add(&mut self, fragment: Fragment) -> Added {
        let Fragment {
            offset,
            more,
            ecn,
            wire_len,
            first,
            packet,
            ..
        } = fragment;
        let end = offset + packet.len();
        if self
            .pieces
            .get(&offset)
            .is_some_and(|p| p.len() == packet.len())
        {
            return Added::Duplicate;
        }
        let before = self.pieces.range(..=offset).next_back();
        let behind = self.pieces.range(offset..).next();
        let overlaps = before.is_some_and(|(at, piece)| at + piece.len() > offset)
            || behind.is_some_and(|(&at, _)| at < end);
        let total = match (self.total, more) {
            (Some(total), true) if end > total => return Added::Contradiction,
            (Some(total), false) if end != total => return Added::Contradiction,
            (None, false) => Some(end),
            (known, _) => known,
        };
        let beyond = !more
            && self
                .pieces
                .last_key_value()
                .is_some_and(|(&at, p)| at + p.len() > end);
        if overlaps || beyond {
            return Added::Contradiction;
        }
        self.total = total;
        self.received += packet.len();
        self.first = first.or_else(|| self.first.take());
        self.congestion_experienced |= ecn == Ecn::Ce;
        self.not_ect |= ecn == Ecn::NotEct;
        self.fragment_max = self.fragment_max.max(wire_len);
        self.pieces.insert(offset, packet);
        Added::Kept
    }

    fn is_whole(&self) -> bool {
        self.total == Some(self.received)
    }

    fn into_whole(self) -> Option<Whole> {
        // RFC 3168 §5.3: who does not speak ECN can't have experienced congestion by it.
        if self.congestion_experienced && self.not_ect {
            return None;
        }
        Some(Whole {
            header: self.first?.header,
            payload: self
                .pieces
                .into_values()
                .flat_map(Packet::into_payload)
                .collect(),
            congestion_experienced: self.congestion_experienced,
            fragment_max: self.fragment_max,
        })
    }
}

/// Checks a fragment's place, behind `before` bytes that the packet's length counts as well: only
/// the last may end elsewhere than at a multiple of 8, none is empty, none leads beyond the longest
/// packet.
///
/// # Errors
/// What counts it.
pub(super) fn check_place(
    cx: &mut Context<'_>,
    before: usize,
    offset: usize,
    len: usize,
    more: bool,
) -> Result<(), Counter> {
    if before + offset + len > LENGTH_MAX {
        return Err(failed(cx, Counter::IpReasmOversize));
    }
    match len > 0 && (!more || len.is_multiple_of(8)) {
        true => Ok(()),
        false => Err(Counter::IpReasmFails),
    }
}

#[cfg(test)]
mod tests;
