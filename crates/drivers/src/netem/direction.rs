//! Packets of one direction, on their way through what is done to them.

use super::config::{Loss, NetemConfig};
use super::fate::Fate;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use sockeye_link::{Batch, Checksum, Instant, Medium, Packet};
use sockeye_wire::{Ecn, EtherType, ethernet, ipv4, ipv6};
use std::collections::BTreeMap;
use std::time::Duration;

/// What happened to the packets of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetemCounters {
    /// Wire packets that came through, copies among them.
    pub passed: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Marked with CE, by chance or since they waited long.
    pub marked: u64,
    /// Sent twice.
    pub duplicated: u64,
    /// Sent at once, before others.
    pub reordered: u64,
    /// Had a bit flipped.
    pub corrupted: u64,
    /// Dropped because the limit was reached.
    pub over_limit: u64,
    /// Dropped because they contradict their metadata, so that nobody knows their form on the wire.
    pub malformed: u64,
}

/// One direction: wire packets go in, and come out when their time has come.
#[derive(Debug)]
pub(super) struct Direction {
    pub(super) config: NetemConfig,
    pub(super) counters: NetemCounters,
    medium: Medium,
    rng: ChaCha8Rng,
    /// By the time they are sent, then in the order they came.
    held: BTreeMap<(Instant, u64), (Packet, Fate)>,
    /// Packets that came so far.
    serial: u64,
    /// Packets since the last one that was sent at once.
    since_reorder: u32,
    /// The Gilbert-Elliott model is in its bad state.
    bad: bool,
}

impl Direction {
    pub(super) fn new(config: NetemConfig, medium: Medium, seed: u64, stream: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(bytes);
        rng.set_stream(stream);
        Self {
            config,
            counters: NetemCounters::default(),
            medium,
            rng,
            held: BTreeMap::new(),
            serial: 0,
            since_reorder: 0,
            bad: false,
        }
    }

    /// Takes a wire packet, and says what becomes of it. `waiting` packets have left, but were not
    /// taken by the link yet.
    pub(super) fn enqueue(&mut self, now: Instant, mut packet: Packet, waiting: usize) -> Fate {
        let twice = self.config.duplicate.hits(self.rng.next_u32());
        let lost = self.is_lost();
        let marked = lost && self.config.ecn && self.mark(&mut packet);
        let mut fate = Fate::empty();
        fate.set(Fate::MARKED, marked);
        let copies = 1 + u32::from(twice) - u32::from(lost && !marked);
        match copies {
            0 => {
                self.counters.lost += 1;
                return fate | Fate::LOST;
            }
            1 => return self.hold(now, packet, waiting, fate),
            _ => {}
        }
        fate |= Fate::DUPLICATED;
        self.counters.duplicated += 1;
        // tc-netem(8): a copy may be lost and delayed as any other, but is not copied again.
        let copy = if self.is_lost() {
            self.counters.lost += 1;
            Fate::LOST
        } else {
            self.hold(now, packet.clone(), waiting, fate)
        };
        copy | self.hold(now, packet, waiting, fate)
    }

    /// Moves up to `max` packets whose time has come to `out`, and says how many.
    pub(super) fn release(
        &mut self,
        now: Instant,
        out: &mut Batch,
        max: usize,
        mut tell: impl FnMut(Fate),
    ) -> usize {
        let mut released = 0;
        while released < max {
            let Some(first) = self.held.first_entry() else {
                break;
            };
            if first.key().0 > now {
                break;
            }
            let (packet, fate) = first.remove();
            tell(fate);
            out.push_back(packet);
            released += 1;
        }
        self.counters.passed += released as u64;
        released
    }

    /// When the next packet is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.held.first_key_value().map(|((at, _), _)| *at)
    }

    fn is_lost(&mut self) -> bool {
        match self.config.loss {
            Loss::Random(loss) => loss.hits(self.rng.next_u32()),
            Loss::Gemodel {
                to_bad,
                to_good,
                in_bad,
                in_good,
            } => {
                let (moves, loses) = if self.bad {
                    (to_good, in_bad)
                } else {
                    (to_bad, in_good)
                };
                let lost = loses.hits(self.rng.next_u32());
                self.bad ^= moves.hits(self.rng.next_u32());
                lost
            }
        }
    }

    /// Corrupts, limits and delays a packet that is not lost, to which `fate` was done already; says
    /// what was done in all.
    fn hold(&mut self, now: Instant, mut packet: Packet, waiting: usize, mut fate: Fate) -> Fate {
        if self.config.corrupt.hits(self.rng.next_u32()) && !packet.is_empty() {
            self.corrupt(&mut packet);
            fate |= Fate::CORRUPTED;
        }
        if self.held.len() + waiting >= self.config.limit {
            self.counters.over_limit += 1;
            return fate | Fate::OVER_LIMIT;
        }
        let reordered = self.counters.reordered;
        let (at, waits) = self.send_time(now, packet.len());
        if self.counters.reordered > reordered {
            fate |= Fate::REORDERED;
        }
        if self.config.ce_threshold.is_some_and(|most| waits > most) && self.mark(&mut packet) {
            fate |= Fate::MARKED;
        }
        self.held.insert((at, self.serial), (packet, fate));
        self.serial += 1;
        fate
    }

    /// Flips one bit. The payload's slices belong to others too, so it is copied first.
    fn corrupt(&mut self, packet: &mut Packet) {
        packet.linearize();
        let bit = below(&mut self.rng, packet.len() as u64 * 8);
        // Below the packet's length in bits.
        packet.head_mut()[(bit / 8) as usize] ^= 1 << (bit % 8);
        // Whoever vouched for it did so before.
        packet.meta.checksum = Checksum::Unverified;
        self.counters.corrupted += 1;
    }

    /// Sets CE where the sender speaks ECN, and says whether it does.
    fn mark(&mut self, packet: &mut Packet) -> bool {
        let marked = mark(packet, self.medium);
        self.counters.marked += u64::from(marked);
        marked
    }

    /// When a packet of `len` bytes leaves, and how long it has waited by then for those before it.
    fn send_time(&mut self, now: Instant, len: usize) -> (Instant, Duration) {
        let NetemConfig {
            delay,
            jitter,
            reorder,
            gap,
            rate,
            ..
        } = self.config;
        if self.since_reorder + 1 >= gap && reorder.hits(self.rng.next_u32()) {
            self.since_reorder = 0;
            self.counters.reordered += 1;
            return (now, Duration::ZERO);
        }
        self.since_reorder = self.since_reorder.saturating_add(1).min(gap);
        let spread = 2 * jitter.as_nanos() as u64;
        let varied = now + delay + nanos(below(&mut self.rng, spread));
        // The delay may be shorter than the jitter; nothing is sent before it came.
        let at = (varied - jitter).max(now);
        let Some(rate) = rate else {
            return (at, Duration::ZERO);
        };
        // The packet is on the wire after the one before it, and takes its time there.
        let last = self.held.last_key_value().map(|((at, _), _)| *at);
        let begin = last.map_or(at, |last| last.max(at));
        (begin + wire_time(len, rate), begin - at)
    }
}

/// Sets CE in the IP header of a wire packet whose sender speaks ECN (RFC 3168 §5); says whether it does.
fn mark(packet: &mut Packet, medium: Medium) -> bool {
    let ip = match medium {
        Medium::Ip => 0,
        Medium::Ethernet(_) => ethernet::HEADER_LEN,
    };
    if !packet.pull_up(ip + ipv4::HEADER_LEN) {
        return false;
    }
    let kind = match medium {
        Medium::Ip => None,
        Medium::Ethernet(_) => match ethernet::Header::parse(packet.head()) {
            Ok(header) => Some(header.ethertype),
            Err(_) => return false,
        },
    };
    let header = &mut packet.head_mut()[ip..];
    let class = u16::from_be_bytes([header[0], header[1]]);
    let (version, tos) = match (header[0] >> 4, kind) {
        (4, None | Some(EtherType::IPV4)) => (4, header[1]),
        (6, None | Some(EtherType::IPV6)) => (6, (class >> 4) as u8),
        _ => return false,
    };
    if Ecn::of(tos) == Ecn::NotEct {
        return false;
    }
    match version {
        4 => ipv4::set_ecn(header, Ecn::Ce),
        _ => ipv6::set_ecn(header, Ecn::Ce),
    }
    true
}

/// How long `len` bytes take at `rate` bits per second.
fn wire_time(len: usize, rate: u64) -> Duration {
    let nanos_by_rate = len as u128 * 8 * 1_000_000_000;
    nanos(u64::try_from(nanos_by_rate.div_ceil(u128::from(rate.max(1)))).unwrap_or(u64::MAX))
}

fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

/// A random number below `bound`; 0 where that is 0.
fn below(rng: &mut ChaCha8Rng, bound: u64) -> u64 {
    if bound == 0 {
        return 0;
    }
    // The high half of a 64 by 64 bit product is below `bound`.
    ((u128::from(rng.next_u64()) * u128::from(bound)) >> 64) as u64
}
