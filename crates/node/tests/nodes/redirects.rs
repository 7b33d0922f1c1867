//! Redirects that a node heeds, and those that it does not (RFC 4861 §8, RFC 1122 §3.2.2.2).

use crate::wire::{OURS, Wire, arp_frame, frame, nd, send};
use sockeye_core::{Counter, MacAddr};
use sockeye_node::{Config, IpProtocol, Packet};
use sockeye_wire::ndp::Header;
use sockeye_wire::ndp_options::NdpOption;
use sockeye_wire::{EtherType, arp, icmpv4, ipv4};
use std::net::Ipv4Addr;

const MAC_1: MacAddr = MacAddr([2, 0, 0, 0, 1, 1]);
const MAC_2: MacAddr = MacAddr([2, 0, 0, 0, 1, 2]);

/// A node of both families with a router of each.
fn host(config: Config) -> Wire {
    let mut wire = Wire::new(config, |interface| {
        interface.detect_duplicates = false;
        interface.addresses = vec![
            "10.0.0.2/24".parse().unwrap(),
            "2001:db8:1::2/64".parse().unwrap(),
        ];
    });
    for (net, router) in [("0.0.0.0/0", "10.0.0.1"), ("::/0", "fe80::1")] {
        let (net, router) = (net.parse().unwrap(), router.parse().unwrap());
        wire.node
            .add_route(net, Some(router), crate::common::LINK, 0)
            .unwrap();
    }
    wire
}

fn redirect(from: &str, target: &str, destination: &str) -> Packet {
    let header = Header::Redirect {
        target: target.parse().unwrap(),
        destination: destination.parse().unwrap(),
    };
    let mac = NdpOption::TargetLinkLayerAddress(MAC_2);
    let to = "2001:db8:1::2".parse().unwrap();
    nd(MAC_1, from, to, header, &[mac])
}

/// A redirect about a packet from `source` to `destination`.
fn redirect_v4(from: &str, gateway: &str, source: &str, destination: &str) -> Packet {
    let ip = |text: &str| text.parse::<Ipv4Addr>().unwrap();
    let header = icmpv4::Header::Redirect {
        code: icmpv4::RedirectCode(1),
        gateway: ip(gateway),
    };
    let mut message = vec![0; icmpv4::HEADER_LEN + 28];
    header.emit(&mut message);
    let quoted = ipv4::Header::new(ip(source), ip(destination), IpProtocol::UDP, 8);
    quoted.emit(&mut message[icmpv4::HEADER_LEN..]);
    icmpv4::fill_checksum(&mut message);
    let len = message.len() as u16;
    let outer = ipv4::Header::new(ip(from), ip("10.0.0.2"), IpProtocol::ICMP, len);
    let mut packet = vec![0; ipv4::HEADER_LEN];
    outer.emit(&mut packet);
    packet.extend(message);
    frame(MAC_1, OURS, EtherType::IPV4, &packet)
}

/// Whom the node asks about, or sends to, for a packet to `to`.
fn way(wire: &mut Wire, to: &str) -> String {
    send(wire, to).remove(0)
}

fn ignored(wire: &Wire) -> u64 {
    wire.node.counters().get(Counter::RedirectsIgnored)
}

#[test]
fn a_redirect_of_the_first_hop_is_followed() {
    let mut wire = host(Config::default());
    assert!(way(&mut wire, "2001:db8:9::9").ends_with("for fe80::1"));
    // To another router, with its station; to the destination itself, which is a neighbour then.
    wire.hear(redirect("fe80::1", "fe80::2", "2001:db8:9::9"));
    assert!(way(&mut wire, "2001:db8:9::9").starts_with(&format!("to {MAC_2}")));
    wire.hear(redirect("fe80::1", "2001:db8:7::7", "2001:db8:7::7"));
    assert!(way(&mut wire, "2001:db8:7::7").starts_with(&format!("to {MAC_2}")));
    assert_eq!(wire.node.counters().get(Counter::Icmp6InRedirects), 2);
    // Others wait for the first router as before; these do again after a while.
    assert_eq!(send(&mut wire, "2001:db8:9::8"), [""; 0]);
    wire.pass(300_000);
    assert!(way(&mut wire, "2001:db8:7::7").ends_with("for fe80::1"));
}

#[test]
fn a_redirect_of_anybody_else_is_not() {
    let mut wire = host(Config::default());
    for forged in [
        // Not the first hop; not from the link; a target that is neither router nor destination.
        redirect("fe80::66", "fe80::2", "2001:db8:9::9"),
        redirect("2001:db8:1::1", "fe80::2", "2001:db8:9::9"),
        redirect("fe80::1", "2001:db8:1::2", "2001:db8:9::9"),
        redirect("fe80::1", "fe80::2", "ff0e::1"),
        // A neighbour is reached without a router; our own address by nobody.
        redirect("fe80::1", "fe80::2", "2001:db8:1::9"),
        redirect("fe80::1", "fe80::2", "2001:db8:1::2"),
    ] {
        wire.hear(forged);
    }
    assert!(way(&mut wire, "2001:db8:9::9").ends_with("for fe80::1"));
    let counters = wire.node.counters();
    let malformed = counters.get(Counter::NeighbourInErrors);
    assert_eq!((malformed, ignored(&wire)), (3, 3));

    let mut config = Config::default();
    let name = "net.ipv6.conf.default.accept_redirects";
    config.set_sysctl(name, "0").unwrap();
    let mut wire = host(config);
    wire.hear(redirect("fe80::1", "fe80::2", "2001:db8:9::9"));
    assert!(way(&mut wire, "2001:db8:9::9").ends_with("for fe80::1"));
}

#[test]
fn ipv4_redirects_are_followed_by_their_own_rules() {
    let mut wire = host(Config::default());
    assert_eq!(
        way(&mut wire, "192.0.2.9"),
        "ARP Request 10.0.0.2 > 10.0.0.1"
    );
    for forged in [
        // Not the first hop; not a neighbour; not about a packet of ours; to ourselves; a group.
        redirect_v4("10.0.0.66", "10.0.0.3", "10.0.0.2", "192.0.2.9"),
        redirect_v4("10.0.0.1", "192.0.2.3", "10.0.0.2", "192.0.2.9"),
        redirect_v4("10.0.0.1", "10.0.0.3", "10.0.0.7", "192.0.2.9"),
        redirect_v4("10.0.0.1", "10.0.0.2", "10.0.0.2", "192.0.2.9"),
        redirect_v4("10.0.0.1", "10.0.0.255", "10.0.0.2", "192.0.2.9"),
        redirect_v4("10.0.0.1", "224.0.0.9", "10.0.0.2", "192.0.2.9"),
    ] {
        wire.hear(forged);
    }
    assert_eq!(ignored(&wire), 6);
    wire.hear(redirect_v4("10.0.0.1", "10.0.0.3", "10.0.0.2", "192.0.2.9"));
    assert_eq!(
        way(&mut wire, "192.0.2.9"),
        "ARP Request 10.0.0.2 > 10.0.0.3"
    );
    // The new first hop may say better; who is none any more may not.
    wire.hear(redirect_v4("10.0.0.1", "10.0.0.5", "10.0.0.2", "192.0.2.9"));
    assert_eq!(ignored(&wire), 7);
    wire.hear(redirect_v4("10.0.0.3", "10.0.0.4", "10.0.0.2", "192.0.2.9"));
    assert_eq!(
        way(&mut wire, "192.0.2.9"),
        "ARP Request 10.0.0.2 > 10.0.0.4"
    );
    // Nobody is there: the routes hold again.
    wire.pass(4000);
    wire.hear(arp_frame(arp::Header::announcement(
        MAC_1,
        "10.0.0.1".parse().unwrap(),
    )));
    assert_eq!(
        way(&mut wire, "192.0.2.9"),
        "ARP Request 10.0.0.2 > 10.0.0.1"
    );
}

#[test]
fn a_flood_of_redirects_is_bounded() {
    let mut wire = host(Config::default());
    for n in 0..3000 {
        let destination = format!("2001:db8:9::{n:x}");
        wire.hear(redirect("fe80::1", "fe80::2", &destination));
    }
    let known = wire.node.context(wire.now).inet.redirects().count();
    assert_eq!(known, 1024);
    let heard = wire.node.counters().get(Counter::Icmp6InRedirects);
    assert_eq!(heard, 3000);
}
