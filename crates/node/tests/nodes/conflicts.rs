//! IPv4 addresses that somebody else has (RFC 5227).

use crate::wire::{OURS, Wire, arp_frame};
use sockeye_core::{Counter, MacAddr};
use sockeye_node::Config;
use sockeye_wire::arp::{Header, Operation};
use std::net::Ipv4Addr;

const MAC_X: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x66]);
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

fn wire(detect: bool) -> Wire {
    Wire::new(Config::default(), |interface| {
        interface.link_local = false;
        interface.detect_conflicts = detect;
        interface.addresses = vec!["10.0.0.1/24".parse().unwrap()];
    })
}

fn state(wire: &Wire) -> String {
    format!("{:?}", wire.link().addresses()[0].state)
}

/// RFC 5227 §2.1.1 and §2.3: three probes one to two seconds apart, two more seconds, two
/// announcements.
#[test]
fn an_address_is_probed_and_announced() {
    let mut wire = wire(true);
    assert_eq!(state(&wire), "Tentative");
    // Nobody is answered by it, and nothing sent from it.
    wire.hear(arp_frame(Header::request(MAC_X, PEER, OWN)));
    assert_eq!(wire.heard(), [""; 0]);
    wire.pass(20_000);
    let times: Vec<u64> = wire
        .sent
        .iter()
        .map(|line| line.split_once(' ').unwrap().0.parse().unwrap())
        .collect();
    assert!(times[0] < 1000);
    for n in [1, 2] {
        assert!(
            (1000..2000).contains(&(times[n] - times[n - 1])),
            "{times:?}"
        );
    }
    assert_eq!([times[3] - times[2], times[4] - times[3]], [2000, 2000]);
    assert_eq!(
        wire.heard(),
        [
            "ARP Request 0.0.0.0 > 10.0.0.1",
            "ARP Request 0.0.0.0 > 10.0.0.1",
            "ARP Request 0.0.0.0 > 10.0.0.1",
            "ARP Request 10.0.0.1 > 10.0.0.1",
            "ARP Request 10.0.0.1 > 10.0.0.1",
        ]
    );
    assert_eq!(state(&wire), "Preferred");
    wire.hear(arp_frame(Header::request(MAC_X, PEER, OWN)));
    assert_eq!(wire.heard(), ["ARP Reply 10.0.0.1 > 10.0.0.9"]);
    // §2.5: probes are answered too.
    wire.hear(arp_frame(Header::probe(MAC_X, OWN)));
    assert_eq!(wire.heard(), ["ARP Reply 10.0.0.1 > 0.0.0.0"]);
}

/// §2.1.1: who has it, and who wants it at the same time, is in the way; a hub's echo is not.
#[test]
fn an_address_that_somebody_has_or_wants_is_not_taken() {
    let reply = Header {
        operation: Operation::Reply,
        ..Header::request(MAC_X, OWN, Ipv4Addr::UNSPECIFIED)
    };
    for other in [
        reply,
        Header::request(MAC_X, OWN, PEER),
        Header::probe(MAC_X, OWN),
    ] {
        let mut wire = wire(true);
        wire.pass(1500);
        wire.hear(arp_frame(Header::probe(OURS, OWN)));
        assert_eq!(state(&wire), "Tentative");
        wire.hear(arp_frame(other));
        assert_eq!(state(&wire), "Duplicate");
        wire.heard();
        wire.pass(20_000);
        assert_eq!(wire.heard(), [""; 0]);
        assert_eq!(wire.node.counters().get(Counter::AddressConflicts), 1);
    }
}

/// §2.4 (b): defended once in ten seconds, then given up.
#[test]
fn an_address_in_use_is_defended_once() {
    let mut wire = wire(true);
    wire.pass(20_000);
    wire.heard();
    let claim = || arp_frame(Header::announcement(MAC_X, OWN));
    wire.hear(claim());
    assert_eq!(wire.heard(), ["ARP Request 10.0.0.1 > 10.0.0.1"]);
    wire.pass(10_000);
    wire.hear(claim());
    assert_eq!(wire.heard(), ["ARP Request 10.0.0.1 > 10.0.0.1"]);
    assert_eq!(state(&wire), "Preferred");
    wire.pass(9999);
    wire.hear(claim());
    assert_eq!(wire.heard(), [""; 0]);
    assert_eq!(state(&wire), "Duplicate");
    wire.hear(arp_frame(Header::request(MAC_X, PEER, OWN)));
    assert_eq!(wire.heard(), [""; 0]);
}

/// As Linux: unless told otherwise an address is used at once and kept.
#[test]
fn without_the_setting_nothing_of_this_is_done() {
    let mut wire = wire(false);
    assert_eq!(state(&wire), "Preferred");
    for _ in 0..3 {
        wire.hear(arp_frame(Header::announcement(MAC_X, OWN)));
    }
    wire.pass(20_000);
    assert_eq!(wire.heard(), [""; 0]);
    assert_eq!(state(&wire), "Preferred");
}
