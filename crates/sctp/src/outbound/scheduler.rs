//! Whose turn it is (RFC 8260 §3).
//!
//! Each stream with something to send has a rank; the smallest is next. The schedulers differ in
//! what a rank is:
//!
//! | scheduler | rank |
//! |---|---|
//! | first come, first served | the message at the head, in the order of arrival |
//! | round robin | when it was its turn last; by message, by fragment with interleaving |
//! | round robin by packet | the same, by packet |
//! | priority | its value, then as round robin |
//! | fair bandwidth | bytes that it has sent, in virtual time |
//! | weighted fair queueing | the same, each byte divided by its weight |
//!
//! Virtual time is where the stream stood that was served last: one that becomes busy begins there,
//! and gets nothing for the time in which it was idle.

use super::Fragment;
use super::stream::Stream;
use std::collections::BTreeSet;

/// What a byte costs in virtual time with a weight of 1.
const BYTE: u64 = 1 << 16;

/// A scheduler, by its number in the socket API (RFC 8260 §4.3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Discipline {
    /// Messages leave in the order in which they came (§3.1).
    #[default]
    FirstCome,
    /// Streams take turns by message, or by fragment with interleaving (§3.2).
    RoundRobin,
    /// Streams take turns by packet (§3.3).
    RoundRobinPacket,
    /// A stream of smaller value goes first (§3.4).
    Priority,
    /// Streams share the bytes evenly (§3.5).
    FairBandwidth,
    /// Streams share the bytes by their values (§3.6).
    WeightedFair,
}

impl Discipline {
    /// Its number.
    pub(crate) const fn number(self) -> u32 {
        self as u32
    }

    /// The one with this number.
    pub(crate) const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::FirstCome,
            1 => Self::RoundRobin,
            2 => Self::RoundRobinPacket,
            3 => Self::Priority,
            4 => Self::FairBandwidth,
            5 => Self::WeightedFair,
            _ => return None,
        })
    }
}

/// A rank, and whose it is.
type Ranked = ((u64, u64), u16);

/// Ranks in order. The first lies apart: most associations have data on one stream.
#[derive(Debug, Default)]
struct Ranks {
    first: Option<Ranked>,
    others: BTreeSet<Ranked>,
}

impl Ranks {
    fn insert(&mut self, new: Ranked) {
        match &mut self.first {
            None => self.first = Some(new),
            Some(first) if new < *first => {
                self.others.insert(core::mem::replace(first, new));
            }
            Some(_) => {
                self.others.insert(new);
            }
        }
    }

    fn remove(&mut self, old: &Ranked) {
        match self.first.as_ref() == Some(old) {
            true => self.first = self.others.pop_first(),
            false => {
                self.others.remove(old);
            }
        }
    }
}

/// The streams that have something to send, by rank.
#[derive(Debug, Default)]
pub(super) struct Scheduler {
    discipline: Discipline,
    ranks: Ranks,
    /// Counts turns.
    turns: u64,
    /// Virtual time.
    clock: u64,
    /// The stream that fills the packet.
    packet: Option<u16>,
}

impl Scheduler {
    pub(super) fn set_discipline(&mut self, discipline: Discipline) {
        self.discipline = discipline;
        self.packet = None;
    }

    /// The stream whose turn it is.
    pub(super) fn first(&self) -> Option<u16> {
        let holder = self
            .packet
            .filter(|_| self.discipline == Discipline::RoundRobinPacket);
        holder.or_else(|| self.ranks.first.map(|(_, id)| id))
    }

    /// Puts a stream to its place, or takes it out when it has nothing to send.
    pub(super) fn place(&mut self, id: u16, stream: &mut Stream) {
        let busy = stream.has_bytes();
        if !busy && self.packet == Some(id) {
            self.packet = None;
        }
        if busy && stream.rank.is_none() {
            stream.served = self.beginning(stream.served);
        }
        let rank = busy.then(|| match self.discipline {
            Discipline::FirstCome => (stream.head().unwrap_or(0), 0),
            Discipline::Priority => (stream.value.into(), stream.served),
            _ => (stream.served, 0),
        });
        if rank == stream.rank {
            return;
        }
        if let Some(old) = core::mem::replace(&mut stream.rank, rank) {
            self.ranks.remove(&(old, id));
        }
        if let Some(new) = rank {
            self.ranks.insert((new, id));
        }
    }

    /// Where a stream begins that becomes busy, and was served up to `served` before.
    fn beginning(&mut self, served: u64) -> u64 {
        match self.discipline {
            Discipline::FairBandwidth | Discipline::WeightedFair => served.max(self.clock),
            _ => {
                self.turns += 1;
                self.turns
            }
        }
    }

    /// Notes that a fragment of the stream leaves.
    pub(super) fn charge(&mut self, stream: &mut Stream, fragment: &Fragment, interleaving: bool) {
        let bytes = fragment.data.len() as u64;
        match self.discipline {
            Discipline::FirstCome => {}
            Discipline::RoundRobin | Discipline::Priority if interleaving || fragment.end => {
                self.turns += 1;
                stream.served = self.turns;
            }
            Discipline::RoundRobin | Discipline::Priority => {}
            Discipline::RoundRobinPacket => self.packet = Some(fragment.stream),
            Discipline::FairBandwidth => {
                self.clock = stream.served;
                stream.served += bytes * BYTE;
            }
            Discipline::WeightedFair => {
                self.clock = stream.served;
                stream.served += bytes * BYTE / u64::from(stream.value.max(1));
            }
        }
    }

    /// The packet is full: the stream that filled it has had its turn.
    pub(super) fn packet_done(&mut self) -> Option<u16> {
        self.packet.take()
    }

    /// The next turn.
    pub(super) fn next_turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }
}
