use super::*;
use std::net::Ipv4Addr;

const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xa]);
const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xb]);
const MAX: usize = 4;

fn at(seconds: u64) -> Instant {
    Instant::from_millis(1000 * seconds)
}

fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

fn table() -> Neighbours {
    let mut neighbours = Neighbours::new(&mut Rng::new([3; 32]));
    neighbours.reachable_time = Duration::from_secs(30);
    neighbours
}

fn packet(n: u8) -> Packet {
    Packet::from_slice(&[n; 20])
}

fn say(step: impl IntoIterator<Item = Step>) -> Vec<String> {
    step.into_iter()
        .map(|step| match step {
            Step::Transmit(mac, packet) => format!("send {} to {mac}", packet.head()[0]),
            Step::SolicitAll(address) => format!("who has {address}?"),
            Step::Solicit(address, mac) => format!("{mac}, have you {address}?"),
            Step::Unreachable(_, pending) => format!("unreachable: {}", pending.len()),
            Step::QueueFull => "queue full".into(),
            Step::TableFull => "table full".into(),
        })
        .collect()
}

fn state(neighbours: &Neighbours, address: IpAddr) -> &'static str {
    let found = neighbours.iter().find(|n| n.address == address);
    found.map_or("none", |n| n.state.name())
}

fn answer(mac: MacAddr) -> Advertisement {
    Advertisement {
        mac: Some(mac),
        solicited: true,
        override_flag: true,
    }
}

/// RFC 1122 §2.3.2.2.
#[test]
fn packets_wait_for_the_answer_and_go_in_order() {
    let mut n = table();
    assert_eq!(
        say(n.send(at(0), MAX, ip(1), packet(1))),
        ["who has 10.0.0.1?"]
    );
    assert_eq!(say(n.send(at(0), MAX, ip(1), packet(2))), [""; 0]);
    assert_eq!(state(&n, ip(1)), "INCOMPLETE");
    assert_eq!(
        say(n.advertised(at(1), ip(1), answer(A))),
        ["send 1 to 02:00:00:00:00:0a", "send 2 to 02:00:00:00:00:0a"]
    );
    assert_eq!(state(&n, ip(1)), "REACHABLE");
    assert_eq!(n.pending_bytes, 0);
    assert_eq!(n.deadline(), None, "a reachable neighbour needs no timer");
}

/// RFC 1122 §2.3.2.1.
#[test]
fn who_does_not_answer_is_asked_three_times_a_second_apart() {
    let mut n = table();
    n.send(at(0), MAX, ip(1), packet(1));
    assert_eq!(n.deadline(), Some(at(1)));
    assert_eq!(say(n.expire(at(1))), ["who has 10.0.0.1?"]);
    assert_eq!(say(n.expire(at(1))), [""; 0]);
    assert_eq!(say(n.expire(at(2))), ["who has 10.0.0.1?"]);
    assert_eq!(say(n.expire(at(3))), ["unreachable: 1"]);
    assert_eq!(state(&n, ip(1)), "none");
    assert_eq!((n.deadline(), n.pending_bytes), (None, 0));
}

#[test]
fn a_stale_neighbour_is_used_and_then_asked() {
    let mut n = table();
    n.heard_of(at(0), MAX, ip(1), A, true);
    assert_eq!(state(&n, ip(1)), "STALE");
    assert_eq!(
        say(n.send(at(0), MAX, ip(1), packet(1))),
        ["send 1 to 02:00:00:00:00:0a"]
    );
    assert_eq!(state(&n, ip(1)), "DELAY");
    assert_eq!(n.deadline(), Some(at(5)));
    let asked = ["02:00:00:00:00:0a, have you 10.0.0.1?"];
    assert_eq!(say(n.expire(at(5))), asked);
    assert_eq!(state(&n, ip(1)), "PROBE");
    assert_eq!(say(n.expire(at(6))), asked);
    assert_eq!(say(n.expire(at(7))), asked);
    assert_eq!(say(n.expire(at(8))), ["unreachable: 0"]);
    assert_eq!(state(&n, ip(1)), "none");
}

#[test]
fn a_transport_that_makes_progress_spares_the_asking() {
    let mut n = table();
    n.heard_of(at(0), MAX, ip(1), A, true);
    n.send(at(0), MAX, ip(1), packet(1));
    n.confirm(at(1), ip(1));
    assert_eq!(state(&n, ip(1)), "REACHABLE");
    assert_eq!(n.deadline(), None);
    // After REACHABLE_TIME without a word it is stale again.
    n.send(at(31), MAX, ip(1), packet(1));
    assert_eq!(state(&n, ip(1)), "DELAY");
    // Nobody can be confirmed whose address is not known.
    n.send(at(31), MAX, ip(2), packet(1));
    n.confirm(at(31), ip(2));
    assert_eq!(state(&n, ip(2)), "INCOMPLETE");
}

#[test]
fn advertisements_follow_rfc_4861_appendix_c() {
    let cases = [
        // (mac, solicited, override) to a REACHABLE neighbour at A: state and address then.
        (Some(A), true, false, "REACHABLE", A),
        (Some(B), true, false, "STALE", A),
        (Some(B), true, true, "REACHABLE", B),
        (Some(A), false, true, "REACHABLE", A),
        (Some(B), false, true, "STALE", B),
        (Some(B), false, false, "STALE", A),
        (None, true, false, "REACHABLE", A),
        (None, false, false, "REACHABLE", A),
    ];
    for (mac, solicited, override_flag, state_then, mac_then) in cases {
        let mut n = table();
        n.send(at(0), MAX, ip(1), packet(1));
        n.advertised(at(0), ip(1), answer(A));
        n.advertised(
            at(1),
            ip(1),
            Advertisement {
                mac,
                solicited,
                override_flag,
            },
        );
        let then = n.iter().next().unwrap();
        assert_eq!(
            (then.state.name(), then.mac),
            (state_then, Some(mac_then)),
            "{mac:?} {solicited} {override_flag}"
        );
    }
    // An announcement about somebody unknown is nothing to us.
    let mut n = table();
    n.advertised(at(0), ip(1), answer(A));
    assert_eq!(state(&n, ip(1)), "none");
}

#[test]
fn queues_and_table_are_bounded() {
    let mut n = table();
    n.send(at(0), MAX, ip(1), packet(0));
    let full = (0..100)
        .filter(|_| n.send(at(0), MAX, ip(1), packet(1)).is_some())
        .count();
    assert_eq!(full, 100 - (NEIGHBOUR_QUEUE_LIMIT - 1));
    let big = Packet::from_slice(&vec![0; NEIGHBOUR_QUEUE_BYTES]);
    assert_eq!(say(n.send(at(0), MAX, ip(2), big)), ["who has 10.0.0.2?"]);
    assert!(n.pending_bytes < NEIGHBOUR_QUEUE_BYTES);

    // A scan of addresses that nobody has drives out its own kind, not who is reachable.
    n.send(at(1), MAX, ip(3), packet(1));
    n.advertised(at(1), ip(3), answer(A));
    for last in 10..200 {
        n.send(at(2), MAX, ip(last), packet(1));
    }
    assert_eq!(n.table.len(), MAX);
    assert_eq!(n.take_overflows(), (2 + 1 + 190 - MAX) as u64);
    assert_eq!(state(&n, ip(3)), "REACHABLE");
    assert_eq!(n.deadlines.len(), MAX - 1);
    n.clear();
    for last in 0..MAX as u8 {
        n.send(at(3), MAX, ip(last), packet(1));
        n.advertised(at(3), ip(last), answer(A));
    }
    assert_eq!(say(n.send(at(3), MAX, ip(99), packet(1))), ["table full"]);
}
