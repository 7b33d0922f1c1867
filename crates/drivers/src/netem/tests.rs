use super::*;
use crate::memory::{MemoryConfig, MemoryLink};
use bytes::Bytes;
use sockeye_link::{Checksum, Gso, GsoKind, Medium, Packet};
use sockeye_wire::{Ecn, EtherType, IpProtocol, MacAddr, checksum, ipv4, ipv6, udp};
use std::net::Ipv4Addr;

/// A node behind netem, and the other end of its link.
struct Bench {
    near: Netem<MemoryLink>,
    far: MemoryLink,
}

fn bench(out: &str, inward: &str, config: MemoryConfig) -> Bench {
    let (near, far) = MemoryLink::pair_ip(config);
    let parsed = |text: &str| text.parse().unwrap();
    Bench {
        near: Netem::with_directions(near, parsed(out), parsed(inward), 7),
        far,
    }
}

fn both(words: &str) -> Bench {
    bench(words, words, MemoryConfig::default())
}

fn millis(n: u64) -> Instant {
    Instant::from_millis(n)
}

/// Packets of `len` bytes whose first two number them.
fn numbered(numbers: std::ops::Range<u16>, len: usize) -> Batch {
    let packet = |n: u16| {
        let mut bytes = n.to_be_bytes().to_vec();
        bytes.resize(len, 0);
        Packet::from_vec(bytes)
    };
    numbers.map(packet).collect()
}

fn numbers(batch: &Batch) -> Vec<u16> {
    batch
        .iter()
        .map(|p| u16::from_be_bytes([p.head()[0], p.head()[1]]))
        .collect()
}

impl Bench {
    fn send(&mut self, now: Instant, mut tx: Batch) {
        self.near.send_batch(now, &mut tx).unwrap();
        assert!(tx.is_empty(), "netem takes everything");
    }

    /// What the far end gets when the near one is called at `now`.
    fn arrives(&mut self, now: Instant) -> Batch {
        self.near.send_batch(now, &mut Batch::new()).unwrap();
        let mut rx = Batch::new();
        self.far.recv_batch(now, &mut rx, usize::MAX).unwrap();
        rx
    }

    /// Calls at `now` and at each deadline until there is none: when which packet arrived.
    fn run(&mut self, now: Instant) -> Vec<(Instant, u16)> {
        let mut trace = Vec::new();
        let mut next = Some(now);
        while let Some(at) = next {
            let rx = self.arrives(at);
            trace.extend(numbers(&rx).into_iter().map(|n| (at, n)));
            next = self.near.deadline();
        }
        trace
    }
}

#[test]
fn delay_holds_packets_back_in_each_direction() {
    let mut b = both("delay=10ms");
    b.send(millis(1), numbered(0..2, 100));
    assert_eq!(b.near.deadline(), Some(millis(11)));
    assert_eq!(numbers(&b.arrives(millis(10))), []);
    assert_eq!(numbers(&b.arrives(millis(11))), [0, 1]);
    assert_eq!(b.near.deadline(), None);

    b.far
        .send_batch(millis(20), &mut numbered(5..7, 100))
        .unwrap();
    let mut rx = Batch::new();
    assert_eq!(b.near.recv_batch(millis(20), &mut rx, 9).unwrap(), 0);
    assert_eq!(b.near.deadline(), Some(millis(30)));
    assert_eq!(b.near.recv_batch(millis(30), &mut rx, 1).unwrap(), 1);
    assert_eq!(b.near.deadline(), Some(millis(30)), "one is left");
    assert_eq!(b.near.recv_batch(millis(30), &mut rx, 9).unwrap(), 1);
    assert_eq!(numbers(&rx), [5, 6]);
}

#[test]
fn jitter_varies_the_delay_evenly() {
    let mut b = both("delay=10ms,jitter=4ms");
    b.send(Instant::ZERO, numbered(0..500, 100));
    let trace = b.run(Instant::ZERO);
    assert_eq!(trace.len(), 500);
    assert!(
        trace
            .iter()
            .all(|(at, _)| (6..14).contains(&at.as_millis()))
    );
    let early = trace.iter().filter(|(at, _)| *at < millis(8)).count();
    assert!((90..160).contains(&early), "a quarter: {early}");
    assert!(!trace.is_sorted_by_key(|(_, n)| *n), "packets overtake");
}

#[test]
fn loss_takes_its_share() {
    let mut b = both("loss=10%,limit=10000");
    b.send(Instant::ZERO, numbered(0..10_000, 100));
    let through = b.run(Instant::ZERO).len();
    assert!((8_900..9_100).contains(&through), "{through}");
    assert_eq!(b.near.outbound().lost, 10_000 - through as u64);
    assert_eq!(b.near.inbound(), NetemCounters::default());

    let mut b = both("loss=100%");
    b.send(Instant::ZERO, numbered(0..100, 100));
    assert_eq!(b.run(Instant::ZERO), []);
}

#[test]
fn the_gilbert_elliott_model_loses_in_bursts() {
    let mut b = both("loss=gemodel:1%:10%,limit=10000");
    b.send(Instant::ZERO, numbered(0..10_000, 100));
    let through: Vec<u16> = b.run(Instant::ZERO).into_iter().map(|(_, n)| n).collect();
    let lost = 10_000 - through.len();
    // p / (p + r) of the time is bad: 9 %, in bursts of 1 / r = 10 packets.
    assert!((600..1300).contains(&lost), "{lost}");
    let bursts = through.windows(2).filter(|w| w[1] > w[0] + 1).count();
    assert!(lost / bursts >= 6, "{lost} in {bursts} bursts");
}

#[test]
fn duplicates_arrive_once_more() {
    let mut b = both("duplicate=100%");
    b.send(Instant::ZERO, numbered(0..3, 100));
    let trace: Vec<u16> = b.run(Instant::ZERO).into_iter().map(|(_, n)| n).collect();
    assert_eq!(trace, [0, 0, 1, 1, 2, 2]);
    assert_eq!(b.near.outbound().duplicated, 3);
}

#[test]
fn each_gap_th_packet_is_sent_at_once() {
    let mut b = both("delay=10ms,reorder=100%,gap=3");
    b.send(Instant::ZERO, numbered(0..7, 100));
    let at = |ms, numbers: &[u16]| numbers.iter().map(move |&n| (millis(ms), n)).collect();
    let expected: [Vec<(Instant, u16)>; 2] = [at(0, &[2, 5]), at(10, &[0, 1, 3, 4, 6])];
    assert_eq!(b.run(Instant::ZERO), expected.concat());
}

#[test]
fn a_rate_spaces_packets() {
    // 1000 bytes at 8 Mbit/s take 1 ms.
    let mut b = both("delay=10ms,rate=8mbit");
    b.send(Instant::ZERO, numbered(0..3, 1000));
    b.send(millis(2), numbered(3..4, 500));
    let at = |micros, n| (Instant::from_micros(micros), n);
    assert_eq!(
        b.run(Instant::ZERO),
        [at(11_000, 0), at(12_000, 1), at(13_000, 2), at(13_500, 3)]
    );
    b.send(millis(100), numbered(4..5, 1000));
    assert_eq!(b.run(millis(100)), [at(111_000, 4)]);
}

#[test]
fn what_exceeds_the_limit_is_dropped() {
    let mut b = both("delay=10ms,limit=3");
    b.send(Instant::ZERO, numbered(0..5, 100));
    assert_eq!(b.near.outbound().over_limit, 2);
    assert_eq!(numbers(&b.arrives(millis(10))), [0, 1, 2]);
    assert_eq!(b.near.outbound().passed, 3);
}

#[test]
fn one_bit_is_flipped_and_the_senders_bytes_stay() {
    let mut b = both("corrupt=100%");
    let payload = Bytes::from(vec![0; 1000]);
    for _ in 0..50 {
        let mut packet = Packet::with_payload([payload.clone()].into_iter().collect());
        packet.push(20);
        packet.meta.checksum = Checksum::Verified;
        b.send(Instant::ZERO, [packet].into());
    }
    let rx = b.arrives(Instant::ZERO);
    assert_eq!(rx.len(), 50);
    let mut in_payload = 0;
    for packet in rx {
        assert_eq!(packet.meta.checksum, Checksum::Unverified);
        let bytes = packet.to_vec();
        let flipped: u32 = bytes.iter().map(|b| b.count_ones()).sum();
        assert_eq!(flipped, 1);
        in_payload += usize::from(bytes[..20].iter().all(|&b| b == 0));
    }
    assert!(in_payload > 40);
    assert!(payload.iter().all(|&b| b == 0));
}

/// A super-segment of two datagrams of 1000 bytes.
fn super_segment() -> Packet {
    let (source, destination) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    let payload = Bytes::from(vec![1; 2000]);
    let mut packet = Packet::with_payload([payload].into_iter().collect());
    let pseudo = checksum::pseudo_header(source.into(), destination.into(), IpProtocol::UDP, 2008);
    udp::Header {
        source_port: 1,
        destination_port: 2,
        length: 2008,
        checksum: pseudo.folded(),
    }
    .emit(packet.push(udp::HEADER_LEN));
    packet.meta.checksum = Checksum::Partial {
        start: 0,
        offset: 6,
    };
    packet.meta.gso = Some(Gso {
        kind: GsoKind::Udp,
        size: 1000,
    });
    ipv4::Header::new(source, destination, IpProtocol::UDP, 2008)
        .emit(packet.push(ipv4::HEADER_LEN));
    packet
}

#[test]
fn what_is_impaired_are_wire_packets() {
    let mut b = bench("delay=1ms", "", MemoryConfig::default());
    assert_eq!(b.near.capabilities().gso, GsoKinds::ALL);
    b.send(Instant::ZERO, [super_segment()].into());
    let rx = b.arrives(millis(1));
    let forms: Vec<_> = rx
        .iter()
        .map(|p| (p.len(), p.meta.gso, p.meta.checksum))
        .collect();
    assert_eq!(forms, [(1028, None, Checksum::Unverified); 2]);

    // Inward nothing is done: it comes whole.
    b.far
        .send_batch(Instant::ZERO, &mut [super_segment()].into())
        .unwrap();
    let mut whole = Batch::new();
    b.near.recv_batch(Instant::ZERO, &mut whole, 9).unwrap();
    assert_eq!(whole.len(), 1);
    assert!(whole[0].meta.gso.is_some());
}

#[test]
fn a_transparent_stage_still_cuts_for_a_plain_link() {
    let mut b = bench("", "", MemoryConfig::without_offloads());
    b.send(Instant::ZERO, [super_segment()].into());
    let rx = b.arrives(Instant::ZERO);
    assert_eq!(rx.len(), 2);
    assert_eq!(rx[0].meta.checksum, Checksum::Unverified);
    assert_eq!(b.near.outbound().passed, 2);
}

#[test]
fn a_full_link_is_tried_again_and_loses_nothing() {
    let narrow = MemoryConfig {
        queue_packets_max: 2,
        ..MemoryConfig::default()
    };
    let mut b = bench("delay=5ms", "", narrow);
    b.send(Instant::ZERO, numbered(0..5, 100));
    b.near.recv_batch(millis(5), &mut Batch::new(), 9).unwrap();
    assert_eq!(b.near.deadline(), Some(millis(6)), "the link is full");
    let trace: Vec<u16> = b.run(Instant::ZERO).into_iter().map(|(_, n)| n).collect();
    assert_eq!(trace, [0, 1, 2, 3, 4]);
}

#[test]
fn a_full_link_behind_a_transparent_stage_pushes_back() {
    let narrow = MemoryConfig {
        queue_packets_max: 2,
        ..MemoryConfig::default()
    };
    let mut b = bench("", "", narrow);
    let mut tx = numbered(0..200, 100);
    b.near.send_batch(Instant::ZERO, &mut tx).unwrap();
    assert_eq!(tx.len(), 200 - BURST);
    assert!(!b.near.has_room());
    assert_eq!(b.near.send_batch(Instant::ZERO, &mut tx).unwrap(), 0);
}

#[test]
fn the_same_seed_gives_the_same_packets() {
    let run = |seed| {
        let (near, far) = MemoryLink::pair_ip(MemoryConfig::default());
        let config = "delay=10ms,jitter=5ms,loss=5%,duplicate=5%,reorder=5%,corrupt=5%,rate=10mbit"
            .parse()
            .unwrap();
        let near = Netem::new(near, config, seed);
        let mut b = Bench { near, far };
        b.send(Instant::ZERO, numbered(0..500, 300));
        b.run(Instant::ZERO)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

/// IPv4 and IPv6 packets of `fields`, behind an Ethernet header where the medium has one.
fn ecn_packets(fields: &[Ecn], ethernet: bool) -> Batch {
    let mut out = Batch::new();
    for &field in fields {
        for version in [4u8, 6] {
            let mut bytes = vec![0; if ethernet { 14 } else { 0 }];
            if ethernet {
                let kind = if version == 4 {
                    EtherType::IPV4
                } else {
                    EtherType::IPV6
                };
                bytes[12..].copy_from_slice(&kind.0.to_be_bytes());
            }
            let at = bytes.len();
            bytes.resize(at + 100, 0);
            bytes[at] = version << 4 | if version == 4 { 5 } else { 0 };
            if version == 4 {
                ipv4::set_ecn(&mut bytes[at..], field);
            } else {
                ipv6::set_ecn(&mut bytes[at..], field);
            }
            out.push_back(Packet::from_vec(bytes));
        }
    }
    out
}

/// The fields of what arrived.
fn fields(batch: &Batch, ethernet: bool) -> Vec<Ecn> {
    let field = |packet: &Packet| {
        let bytes = &packet.to_vec()[if ethernet { 14 } else { 0 }..];
        match bytes[0] >> 4 {
            4 => Ecn::of(bytes[1]),
            _ => Ecn::of(bytes[0] << 4 | bytes[1] >> 4),
        }
    };
    batch.iter().map(field).collect()
}

#[test]
fn what_chance_would_lose_is_marked_where_its_sender_speaks_ecn() {
    let all = [Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce];
    for ethernet in [false, true] {
        let (near, far) = match ethernet {
            false => MemoryLink::pair_ip(MemoryConfig::default()),
            true => {
                let [a, b] = [2, 4].map(|n| Medium::Ethernet(MacAddr([n; 6])));
                MemoryLink::pair(MemoryConfig::default(), a, b)
            }
        };
        let config = "loss=100%,ecn".parse().unwrap();
        let near = Netem::new(near, config, 7);
        let mut b = Bench { near, far };
        b.send(Instant::ZERO, ecn_packets(&all, ethernet));
        assert_eq!(fields(&b.arrives(Instant::ZERO), ethernet), [Ecn::Ce; 6]);
        let counters = b.near.outbound();
        assert_eq!((counters.marked, counters.lost), (6, 2));
    }
}

#[test]
fn what_waits_long_is_marked() {
    // 100 bytes at 8 Mbit/s take 0.1 ms: the fourth waits 0.3 ms.
    let mut b = both("delay=10ms,rate=8mbit,ce_threshold=250us");
    b.send(
        Instant::ZERO,
        ecn_packets(&[Ecn::Ect0, Ecn::Ect0, Ecn::NotEct], false),
    );
    let arrived = fields(&b.arrives(millis(20)), false);
    let (ect, not, ce) = (Ecn::Ect0, Ecn::NotEct, Ecn::Ce);
    assert_eq!(arrived, [ect, ect, ect, ce, not, not]);
    assert_eq!(b.near.outbound().marked, 1);
}
