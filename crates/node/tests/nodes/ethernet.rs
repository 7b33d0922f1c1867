//! Neighbours: resolution, failure, and what is not believed.

use crate::common::{LINK, Probe, carry, link, node, send};
use crate::wire::{self, Wire, nd};
use sockeye_core::{Counter, Error, MacAddr, Medium};
use sockeye_node::{AddressState, Batch, Config, Instant, InterfaceConfig, Node, Packet};
use sockeye_wire::ndp::{self, Header};
use sockeye_wire::ndp_options::NdpOption;
use sockeye_wire::{EtherType, arp, ethernet};
use std::net::{Ipv4Addr, Ipv6Addr};

const MAC_A: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xa]);
const MAC_B: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xb]);
const MAC_X: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x66]);
const IP_A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const IP_B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn pair() -> (Node, Node) {
    let a = node(
        1,
        link(Medium::Ethernet(MAC_A), 1500),
        &["10.0.0.1/24", "fd00::1/64"],
    );
    let b = node(
        2,
        link(Medium::Ethernet(MAC_B), 1500),
        &["10.0.0.2/24", "fd00::2/64"],
    );
    (a, b)
}

/// Lets time pass for both, up to `until`.
fn run(a: &mut Node, b: &mut Node, until: Instant) -> Instant {
    loop {
        let next = [a.poll_timeout(), b.poll_timeout()]
            .into_iter()
            .flatten()
            .min();
        let now = next.unwrap_or(Instant::FAR).min(until);
        a.handle_timeout(now);
        b.handle_timeout(now);
        carry(now, a, b, |_| false);
        if now == until {
            return now;
        }
    }
}

fn neighbours(node: &Node) -> Vec<String> {
    node.neighbours()
        .map(|(_, n)| match n.mac {
            Some(mac) => format!("{} {mac} {}", n.address, n.state.name()),
            None => format!("{} {}", n.address, n.state.name()),
        })
        .collect()
}

fn state(node: &Node, address: &str) -> Option<AddressState> {
    let (_, interface) = node.interfaces().find(|(id, _)| *id == LINK).unwrap();
    let found = interface
        .addresses()
        .iter()
        .find(|a| a.net.addr().to_string() == address);
    found.map(|a| a.state)
}

fn arp_frame(to: MacAddr, header: arp::Header) -> Packet {
    let mut frame = vec![0; ethernet::HEADER_LEN + arp::HEADER_LEN];
    ethernet::Header {
        destination: to,
        source: header.sender_hardware,
        ethertype: EtherType::ARP,
    }
    .emit(&mut frame);
    header.emit(&mut frame[ethernet::HEADER_LEN..]);
    Packet::from_vec(frame)
}

#[test]
fn a_packet_finds_its_neighbour_by_arp_and_by_nd() {
    let (mut a, mut b) = pair();
    let now = run(&mut a, &mut b, at(3000));
    for to in ["10.0.0.2", "fd00::2"] {
        Probe::take_log(&mut b, Probe::PROTOCOL);
        send(&mut a, now, to, Probe::PROTOCOL, b"hello", true).unwrap();
        send(&mut a, now, to, Probe::PROTOCOL, b"again!", true).unwrap();
        carry(now, &mut a, &mut b, |_| false);
        let from = if to.contains(':') {
            "fd00::1"
        } else {
            "10.0.0.1"
        };
        assert_eq!(
            Probe::take_log(&mut b, Probe::PROTOCOL),
            [format!("{from} > {to}: 5"), format!("{from} > {to}: 6")]
        );
    }
    assert_eq!(
        neighbours(&a),
        [
            "10.0.0.2 02:00:00:00:00:0b REACHABLE",
            "fd00::2 02:00:00:00:00:0b REACHABLE"
        ]
    );
    // Who was asked has heard of the asker; its advertisement was a packet to a stale neighbour.
    assert_eq!(
        neighbours(&b),
        [
            "10.0.0.1 02:00:00:00:00:0a STALE",
            "fd00::1 02:00:00:00:00:0a DELAY"
        ]
    );
}

#[test]
fn nobody_answers_and_the_sender_is_told_after_three_seconds() {
    for (to, source) in [("10.0.0.77", "10.0.0.1"), ("fd00::77", "fd00::1")] {
        let (mut a, mut b) = pair();
        let now = run(&mut a, &mut b, at(3000));
        Probe::take_log(&mut a, Probe::PROTOCOL);
        send(&mut a, now, to, Probe::PROTOCOL, b"12345678", true).unwrap();
        run(&mut a, &mut b, at(5999));
        assert_eq!(Probe::take_log(&mut a, Probe::PROTOCOL), [""; 0]);
        run(&mut a, &mut b, at(6000));
        assert_eq!(
            Probe::take_log(&mut a, Probe::PROTOCOL),
            [format!("HostUnreachable for {to} by {source}")]
        );
        assert_eq!(neighbours(&a), [""; 0]);
        assert_eq!(a.counters().get(Counter::NeighbourUnreachable), 1);
    }
}

#[test]
fn an_address_is_tentative_until_nobody_objected() {
    let (mut a, mut b) = pair();
    assert_eq!(state(&a, "fd00::1"), Some(AddressState::Tentative));
    assert!(send(&mut a, at(0), "fd00::2", Probe::PROTOCOL, b"x", true).is_err());
    run(&mut a, &mut b, at(2001));
    assert_eq!(state(&a, "fd00::1"), Some(AddressState::Preferred));

    // A third node wants an address that is taken, and has a link-local one of its own making.
    let mut late = Node::new(Config::default(), [9; 32]);
    let config = InterfaceConfig::new("test0", link(Medium::Ethernet(MAC_X), 1500))
        .with_address("fd00::1/64".parse().unwrap());
    late.add_interface(at(2001), config);
    run(&mut a, &mut late, at(5000));
    assert_eq!(state(&late, "fd00::1"), Some(AddressState::Duplicate));
    assert_eq!(state(&a, "fd00::1"), Some(AddressState::Preferred));
    let (_, interface) = late.interfaces().find(|(id, _)| *id == LINK).unwrap();
    let own = interface.addresses().last().unwrap();
    assert!(own.net.to_string().starts_with("fe80::") && own.is_usable());
}

#[test]
fn two_nodes_of_one_mind_take_different_link_local_addresses() {
    // The same seed makes the same address; whoever is second tries the next.
    let made = |mac| {
        let mut node = Node::new(Config::default(), [7; 32]);
        let config = InterfaceConfig::new("test0", link(Medium::Ethernet(mac), 1500));
        node.add_interface(at(0), config);
        node
    };
    let own = |node: &Node| {
        let (_, interface) = node.interfaces().find(|(id, _)| *id == LINK).unwrap();
        *interface.addresses().last().unwrap()
    };
    let (mut a, mut quiet) = (made(MAC_A), pair().1);
    run(&mut a, &mut quiet, at(3000));
    let mut b = made(MAC_B);
    assert_eq!(own(&a).net, own(&b).net);
    run(&mut b, &mut a, at(9000));
    assert_ne!(own(&a).net, own(&b).net);
    assert!(own(&a).is_usable() && own(&b).is_usable());
}

#[test]
fn frames_for_other_stations_are_not_taken() {
    let (mut a, mut b) = pair();
    send(&mut a, at(0), "10.0.0.2", Probe::PROTOCOL, b"hello", true).unwrap();
    carry(at(0), &mut a, &mut b, |_| false);
    send(&mut a, at(0), "10.0.0.2", Probe::PROTOCOL, b"hello", true).unwrap();
    let mut batch = Batch::new();
    a.poll_transmit(at(0), LINK, &mut batch, 64);
    let before = b.counters().get(Counter::IpInReceives);
    let mut frame = batch.pop_front().unwrap().to_vec();
    frame[5] ^= 1;
    b.handle_packet(at(0), LINK, Packet::from_vec(frame.clone()));
    assert_eq!(b.counters().get(Counter::IpInReceives), before);
    // RFC 1122 §3.3.6: unicast inside a broadcast frame.
    frame[..6].fill(0xff);
    b.handle_packet(at(0), LINK, Packet::from_vec(frame));
    assert_eq!(b.counters().get(Counter::IpInReceives), before + 1);
    assert_eq!(b.counters().get(Counter::IpInAddrErrors), 1);
}

#[test]
fn an_arp_reply_that_nobody_asked_for_adds_nobody() {
    let (mut a, mut b) = pair();
    let stranger = arp::Header {
        operation: arp::Operation::Reply,
        sender_hardware: MAC_X,
        sender_protocol: Ipv4Addr::new(10, 0, 0, 66),
        target_hardware: MAC_A,
        target_protocol: IP_A,
    };
    a.handle_packet(at(0), LINK, arp_frame(MAC_A, stranger));
    a.handle_packet(
        at(0),
        LINK,
        arp_frame(MacAddr::BROADCAST, arp::Header::announcement(MAC_X, IP_B)),
    );
    assert_eq!(neighbours(&a), [""; 0]);
    // A request for us from outside the network is answered, and not kept.
    let far = arp::Header::request(MAC_X, Ipv4Addr::new(192, 0, 2, 1), IP_A);
    a.handle_packet(at(0), LINK, arp_frame(MacAddr::BROADCAST, far));
    assert_eq!(neighbours(&a), [""; 0]);
    let mut batch = Batch::new();
    a.poll_transmit(at(0), LINK, &mut batch, 64);
    assert_eq!(batch.len(), 1);
    // Nor is one who claims to be us, or to be a group.
    for bad in [
        arp::Header::request(MAC_X, IP_A, IP_A),
        arp::Header::request(MAC_X, Ipv4Addr::new(224, 0, 0, 5), IP_A),
        arp::Header::request(MAC_X, Ipv4Addr::new(10, 0, 0, 255), IP_A),
    ] {
        a.handle_packet(at(0), LINK, arp_frame(MacAddr::BROADCAST, bad));
    }
    assert_eq!(a.counters().get(Counter::NeighbourInErrors), 3);
    assert_eq!(neighbours(&a), [""; 0]);

    // Known neighbours that announce a new address are followed, with doubt.
    send(&mut a, at(0), "10.0.0.2", Probe::PROTOCOL, b"hello", true).unwrap();
    carry(at(0), &mut a, &mut b, |_| false);
    assert_eq!(neighbours(&a), ["10.0.0.2 02:00:00:00:00:0b REACHABLE"]);
    a.handle_packet(
        at(0),
        LINK,
        arp_frame(MacAddr::BROADCAST, arp::Header::announcement(MAC_X, IP_B)),
    );
    assert_eq!(neighbours(&a), ["10.0.0.2 02:00:00:00:00:66 STALE"]);
}

#[test]
fn who_falls_silent_is_asked_and_given_up() {
    let (mut a, mut b) = pair();
    let now = run(&mut a, &mut b, at(3000));
    send(&mut a, now, "10.0.0.2", Probe::PROTOCOL, b"hello", true).unwrap();
    carry(now, &mut a, &mut b, |_| false);
    // 50 s later it is no longer known to be there: it is sent to, and asked 5 s later.
    let now = at(53_000);
    send(&mut a, now, "10.0.0.2", Probe::PROTOCOL, b"hello", true).unwrap();
    assert_eq!(neighbours(&a), ["10.0.0.2 02:00:00:00:00:0b DELAY"]);
    assert_eq!(a.poll_timeout(), Some(at(58_000)));
    for ms in [58_000, 59_000, 60_000] {
        a.handle_timeout(at(ms));
        assert_eq!(neighbours(&a), ["10.0.0.2 02:00:00:00:00:0b PROBE"]);
    }
    a.handle_timeout(at(61_000));
    assert_eq!(neighbours(&a), [""; 0]);
}

/// RFC 6583 §7.1: everybody of a large network asks for us, and we are to ask for everybody.
#[test]
fn a_flood_of_neighbours_fills_the_table_and_drives_out_nobody_in_use() {
    const FLOOD: u16 = 3000;
    let config = Config::default();
    let max = config.neighbours_max;
    let mut wire = Wire::new(config, |interface| {
        interface.detect_duplicates = false;
        interface.addresses = ["10.0.0.1/8", "fd00::1/64"]
            .map(|a| a.parse().unwrap())
            .into();
    });
    // A neighbour that a transport knows to be there.
    wire.hear(wire::arp_frame(arp::Header::request(MAC_B, IP_B, IP_A)));
    let mut cx = wire.node.context(wire.now);
    let to = "10.0.0.2".parse().unwrap();
    let route = cx.route(&sockeye_core::RouteQuery {
        destination: to,
        source: None,
        interface: None,
        foreign_source: false,
    });
    cx.inet.confirm_neighbour(wire.now, &route.unwrap());
    let mut known = wire.node.neighbours().count() as u64;
    let ours: Ipv6Addr = "fd00::1".parse().unwrap();
    for n in 0..FLOOD {
        let [high, low] = n.to_be_bytes();
        let from = Ipv4Addr::new(10, 66, high, low);
        wire.hear(wire::arp_frame(arp::Header::request(MAC_X, from, IP_A)));
        let asks = Header::NeighborSolicitation { target: ours };
        let from = format!("fd00::66:{n:x}");
        let mac = NdpOption::SourceLinkLayerAddress(MAC_X);
        wire.hear(nd(MAC_X, &from, ndp::solicited_node(ours), asks, &[mac]));
        // And what makes us ask: packets to nobody, which wait for as long as there is room.
        let nobody = format!("10.67.{high}.{low}");
        let waits = send(
            &mut wire.node,
            wire.now,
            &nobody,
            Probe::PROTOCOL,
            b"?",
            true,
        );
        assert!(matches!(waits, Ok(()) | Err(Error::NoBufferSpace)));
        wire.pass(0);
        known += 3;
        assert!(wire.node.neighbours().count() <= max);
    }
    let counted = wire.node.counters().get(Counter::NeighbourTableFull);
    // Who was driven out may have come back.
    assert!(counted >= known - max as u64, "{counted} of {known}");
    let friend = wire.node.neighbours().find(|(_, n)| n.address == to);
    assert_eq!(friend.unwrap().1.state.name(), "REACHABLE");
    assert_eq!(wire::send(&mut wire, "10.0.0.2").len(), 1);
}
