//! What each packet counts, and that it counts nothing else.

use crate::common::{LINK, Probe, carry, link, node, send};
use sockeye_core::{Counters, MacAddr, Medium};
use sockeye_node::{Config, Error, Instant, InterfaceConfig, IpProtocol, Node, Packet};
use sockeye_wire::{Ecn, ipv4};

const NOW: Instant = Instant::ZERO;
const THERE: &str = "10.0.0.2";

fn pair() -> (Node, Node) {
    let a = node(1, link(Medium::Ip, 1500), &["10.0.0.1/24"]);
    let b = node(2, link(Medium::Ip, 1500), &["10.0.0.2/24"]);
    (a, b)
}

/// What `node` has counted since the last time.
fn moved(node: &Node, seen: &mut Counters) -> String {
    let now = node.counters().clone();
    let moved: Vec<String> = now
        .iter()
        .map(|(counter, n)| (counter, n - seen.get(counter)))
        .filter(|(_, n)| *n > 0)
        .map(|(counter, n)| format!("{} {n}", counter.name()))
        .collect();
    *seen = now;
    moved.join(", ")
}

/// A packet of a protocol that B knows, by itself.
fn packet(ecn: Ecn) -> Packet {
    let mut packet = Packet::from_slice(&[7; 8]);
    let (from, to) = ("10.0.0.1".parse().unwrap(), THERE.parse().unwrap());
    let mut header = ipv4::Header::new(from, to, Probe::PROTOCOL, 8);
    header.tos = ecn.put(0);
    header.emit(packet.push(ipv4::HEADER_LEN));
    packet
}

#[test]
fn a_packet_and_its_mark() {
    let (_, mut b) = pair();
    let mut seen = Counters::default();
    for (ecn, counter) in [
        (Ecn::NotEct, "IpExtInNoECTPkts"),
        (Ecn::Ect1, "IpExtInECT1Pkts"),
        (Ecn::Ect0, "IpExtInECT0Pkts"),
        (Ecn::Ce, "IpExtInCEPkts"),
    ] {
        b.handle_packet(NOW, LINK, packet(ecn));
        assert_eq!(
            moved(&b, &mut seen),
            format!("IpInReceives 1, IpInDelivers 1, {counter} 1")
        );
    }
}

/// RFC 1122 §3.2.1.2: a wrong checksum, too.
#[test]
fn packets_that_are_none() {
    let (_, mut b) = pair();
    let mut seen = Counters::default();
    let mut short = packet(Ecn::NotEct).to_vec();
    short.truncate(25);
    b.handle_packet(NOW, LINK, Packet::from_slice(&short));
    assert_eq!(moved(&b, &mut seen), "IpInReceives 1, IpInTruncatedPkts 1");
    let mut damaged = packet(Ecn::NotEct).to_vec();
    damaged[8] ^= 1;
    b.handle_packet(NOW, LINK, Packet::from_slice(&damaged));
    assert_eq!(moved(&b, &mut seen), "IpInReceives 1, IpInHdrErrors 1");
}

#[test]
fn a_datagram_in_fragments() {
    let (mut a, mut b) = pair();
    let (mut at_a, mut at_b) = (Counters::default(), Counters::default());
    let whole = send(&mut a, NOW, THERE, Probe::PROTOCOL, &[0; 4000], true);
    assert_eq!(whole, Err(Error::MessageSize));
    assert_eq!(moved(&a, &mut at_a), "IpOutRequests 1, IpFragFails 1");
    send(&mut a, NOW, THERE, Probe::PROTOCOL, &[0; 4000], false).unwrap();
    assert_eq!(
        moved(&a, &mut at_a),
        "IpOutRequests 1, IpFragOKs 1, IpFragCreates 3"
    );
    carry(NOW, &mut a, &mut b, |_| false);
    assert_eq!(
        moved(&b, &mut at_b),
        "IpInReceives 3, IpInDelivers 1, IpReasmReqds 3, IpReasmOKs 1, IpExtInNoECTPkts 3"
    );
}

#[test]
fn packets_that_do_not_leave() {
    let (mut a, _) = pair();
    let mut seen = Counters::default();
    // The link's queue is full.
    while send(&mut a, NOW, THERE, Probe::PROTOCOL, &[0; 8], false).is_ok() {
        moved(&a, &mut seen);
    }
    assert_eq!(moved(&a, &mut seen), "IpOutRequests 1, IpOutDiscards 1");
    // There is no way.
    let lost = send(&mut a, NOW, "192.0.2.1", Probe::PROTOCOL, &[0; 8], false);
    assert_eq!(lost, Err(Error::NetworkUnreachable));
    assert_eq!(moved(&a, &mut seen), "IpOutNoRoutes 1");
    // There is no room for one more neighbour.
    let config = Config {
        neighbours_max: 0,
        ..Config::default()
    };
    let mut a = Node::new(config, [1; 32]);
    let mac = Medium::Ethernet(MacAddr([2, 0, 0, 0, 0, 1]));
    let mut interface = InterfaceConfig::new("test0", link(mac, 1500));
    interface.addresses = vec!["10.0.0.1/24".parse().unwrap()];
    interface.detect_duplicates = false;
    a.add_interface(NOW, interface);
    let mut seen = a.counters().clone();
    let _ = send(&mut a, NOW, THERE, Probe::PROTOCOL, &[0; 8], false);
    assert_eq!(
        moved(&a, &mut seen),
        "IpOutRequests 1, NeighbourTableFull 1"
    );
}

#[test]
fn a_message_and_its_answer() {
    let (mut a, mut b) = pair();
    let (mut at_a, mut at_b) = (Counters::default(), Counters::default());
    let nobodys = IpProtocol(254);
    send(&mut a, NOW, THERE, nobodys, b"12345678", true).unwrap();
    carry(NOW, &mut a, &mut b, |_| false);
    assert_eq!(
        moved(&b, &mut at_b),
        "IpInReceives 1, IpInUnknownProtos 1, IpOutRequests 1, \
         IpExtInNoECTPkts 1, IcmpOutMsgs 1"
    );
    assert_eq!(
        moved(&a, &mut at_a),
        "IpInReceives 1, IpInDelivers 1, IpOutRequests 1, IpExtInNoECTPkts 1, IcmpInMsgs 1, \
         IcmpInUnmatched 1"
    );
}
