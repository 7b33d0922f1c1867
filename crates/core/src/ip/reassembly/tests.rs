use super::*;
use crate::InterfaceId;
use std::net::Ipv4Addr;

const MAX: usize = 1 << 20;
const OVERLAPS: &str = "IpExtReasmOverlaps";

fn key(source: u8) -> Key {
    Key {
        interface: InterfaceId(2),
        source: IpAddr::V4(Ipv4Addr::new(10, 0, 0, source)),
        destination: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
        protocol: Some(IpProtocol::UDP),
        identification: 7,
    }
}

/// A fragment of the bytes 0, 1, 2, …
fn fragment(from: usize, to: usize, more: bool) -> Fragment {
    let bytes: Vec<u8> = (from..to).map(|n| n as u8).collect();
    let info = IpInfo {
        interface: InterfaceId(2),
        source: key(2).source,
        destination: key(2).destination,
        protocol: IpProtocol::UDP,
        hop_limit: 64,
        traffic_class: 0,
        flow_label: 0,
        header_len: 0,
        local: true,
        broadcast: false,
    };
    Fragment {
        key: key(2),
        offset: from,
        more,
        ecn: Ecn::Ect0,
        wire_len: 0,
        first: (from == 0).then(|| First {
            header: vec![0x45],
            info,
            quote: Packet::from_slice(b"quote"),
        }),
        packet: Packet::from_vec(bytes),
    }
}

fn say(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Waiting => "waiting".into(),
        Outcome::Failed(Counter::IpReasmFails) => "failed".into(),
        Outcome::Failed(why) => why.name().into(),
        Outcome::Whole(whole) => {
            let bytes = whole.payload.concat();
            let in_order = bytes.iter().enumerate().all(|(n, &b)| n as u8 == b);
            format!("{} bytes, in order: {in_order}", bytes.len())
        }
    }
}

/// What becomes of the last of `pieces`; all memory is given back unless it waits.
fn put(pieces: &[(usize, usize, bool)]) -> String {
    let mut table = Reassembly::default();
    let mut last = Outcome::Waiting;
    for &(from, to, more) in pieces {
        last = table.add(Instant::ZERO, MAX, fragment(from, to, more));
    }
    if !matches!(last, Outcome::Waiting) {
        assert_eq!(table.pinned, 0);
        assert!(table.datagrams.is_empty() && table.by_age.is_empty());
        assert!(table.by_source.is_empty());
    }
    say(&last)
}

#[test]
fn fragments_in_any_order_make_the_whole() {
    let pieces = [
        (0, 16, true),
        (16, 32, true),
        (32, 40, true),
        (40, 45, false),
    ];
    for rotation in 0..4 {
        for swap in 0..4 {
            let mut order = pieces;
            order.rotate_left(rotation);
            order.swap(0, swap);
            assert_eq!(put(&order), "45 bytes, in order: true", "{order:?}");
        }
    }
    assert_eq!(put(&pieces[..3]), "waiting");
    assert_eq!(put(&pieces[1..]), "waiting");
}

#[test]
fn a_repeated_fragment_is_nothing_and_an_overlapping_one_the_end() {
    assert_eq!(
        put(&[(0, 16, true), (0, 16, true), (16, 20, false)]),
        "20 bytes, in order: true"
    );
    for overlap in [(8, 24, true), (0, 8, true), (0, 24, true), (8, 16, true)] {
        let outcome = put(&[(0, 16, true), overlap]);
        assert_eq!(outcome, OVERLAPS, "{overlap:?}");
    }
    let outcome = put(&[(16, 32, true), (8, 24, true)]);
    assert_eq!(outcome, OVERLAPS);
}

#[test]
fn a_second_end_or_one_before_what_is_there_is_the_end() {
    assert_eq!(put(&[(32, 40, false), (16, 24, false)]), OVERLAPS);
    assert_eq!(put(&[(32, 40, false), (40, 48, true)]), OVERLAPS);
    assert_eq!(put(&[(32, 40, true), (16, 24, false)]), OVERLAPS);
}

#[test]
fn congestion_is_remembered_and_does_not_happen_to_who_can_t_tell() {
    let mut table = Reassembly::default();
    let mut marked = fragment(8, 16, true);
    marked.ecn = Ecn::Ce;
    table.add(Instant::ZERO, MAX, fragment(0, 8, true));
    table.add(Instant::ZERO, MAX, marked);
    let Outcome::Whole(whole) = table.add(Instant::ZERO, MAX, fragment(16, 20, false)) else {
        panic!("all fragments are there");
    };
    assert!(whole.congestion_experienced);

    let mut marked = fragment(8, 16, false);
    marked.ecn = Ecn::Ce;
    let mut unable = fragment(0, 8, true);
    unable.ecn = Ecn::NotEct;
    table.add(Instant::ZERO, MAX, unable);
    assert_eq!(say(&table.add(Instant::ZERO, MAX, marked)), "failed");
}

#[test]
fn memory_is_bounded_in_all_and_by_source() {
    let mut table = Reassembly::default();
    let mut failed = 0;
    for n in 0..60_000usize {
        let mut piece = fragment(8, 16, true);
        piece.key = key((n % 200) as u8);
        piece.key.identification = n as u32;
        let outcome = table.add(Instant::from_millis(n as u64 / 100), MAX, piece);
        failed += usize::from(matches!(outcome, Outcome::Failed(_)));
        assert!(table.pinned <= MAX && table.datagrams.len() <= REASSEMBLIES_MAX);
    }
    assert_eq!(failed, 0, "who is new drives out who is old");
    assert_eq!(table.evicted, 60_000 - table.datagrams.len());
    let mut table = Reassembly::default();
    for n in 0..60_000u32 {
        let mut piece = fragment(8, 16, true);
        piece.key.identification = n;
        table.add(Instant::ZERO, MAX, piece);
    }
    assert_eq!(table.evicted, 0, "its own are refused");
    assert!(
        table.pinned <= MAX / SOURCE_SHARE,
        "one source leaves room for others"
    );
    while table.expire(Instant::ZERO + REASSEMBLY_TIMEOUT).is_some() {}
    assert_eq!(table.pinned, 0);
    assert!(table.by_source.is_empty());
}

#[test]
fn impossible_places() {
    let mut parts = crate::context::Parts::new(crate::Config::default(), [1; 32]);
    let mut cx = parts.context(Instant::ZERO);
    let mut check = |before, offset, len, more| check_place(&mut cx, before, offset, len, more);
    assert_eq!(check(0, 0, 8, true), Ok(()));
    assert_eq!(check(0, 65_528, 7, false), Ok(()));
    let oversize = Err(Counter::IpReasmOversize);
    assert_eq!(check(0, 65_528, 8, false), oversize);
    // The header counts: the whole could not say its length.
    assert_eq!(check(20, 65_508, 8, true), oversize);
    assert_eq!(check(20, 65_504, 11, false), Ok(()));
    assert_eq!(check(0, 0, 12, true), Err(Counter::IpReasmFails));
    assert_eq!(check(0, 0, 0, false), Err(Counter::IpReasmFails));
    assert_eq!(cx.counters.get(Counter::IpReasmFails), 2);
}
