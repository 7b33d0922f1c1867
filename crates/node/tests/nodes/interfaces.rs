//! Interfaces come, change and go; and whose packets are taken.

use crate::common::{LINK, Probe, carry, link, node, send};
use sockeye_core::{Counter, MacAddr, Medium, RouteQuery, multicast};
use sockeye_node::{Batch, Error, Instant, InterfaceId, Node, Packet};
use sockeye_wire::{IpProtocol, ipv4, ipv6};
use std::net::IpAddr;

const NOW: Instant = Instant::ZERO;

fn one() -> Node {
    node(
        1,
        link(Medium::Ip, 1500),
        &["10.0.0.1/24", "10.0.0.5/24", "fd00::1/64"],
    )
}

/// An IP packet of [`Probe::PROTOCOL`] with 8 bytes.
fn packet(from: &str, to: &str) -> Packet {
    packet_of(Probe::PROTOCOL, from, to)
}

/// An IP packet with 8 bytes.
pub(crate) fn packet_of(protocol: IpProtocol, from: &str, to: &str) -> Packet {
    let mut packet = Packet::from_slice(&[7; 8]);
    match (from.parse().unwrap(), to.parse().unwrap()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let header = ipv4::Header::new(from, to, protocol, 8);
            header.emit(packet.push(ipv4::HEADER_LEN));
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let header = ipv6::Header::new(from, to, protocol, 8);
            header.emit(packet.push(ipv6::HEADER_LEN));
        }
        _ => panic!("addresses of two families"),
    }
    packet
}

/// Whether a packet between these addresses reaches the transport.
fn is_taken(node: &mut Node, from: &str, to: &str) -> bool {
    Probe::take_log(node, Probe::PROTOCOL);
    node.handle_packet(NOW, LINK, packet(from, to));
    !Probe::take_log(node, Probe::PROTOCOL).is_empty()
}

#[test]
fn a_deprecated_address_starts_nothing_new() {
    let mut a = one();
    let source = |a: &mut Node| {
        let query = RouteQuery {
            destination: "10.0.0.9".parse().unwrap(),
            source: None,
            interface: None,
            foreign_source: false,
        };
        a.context(NOW).route(&query).unwrap().source.to_string()
    };
    assert_eq!(source(&mut a), "10.0.0.1");
    Probe::take_log(&mut a, Probe::PROTOCOL);
    assert!(a.deprecate_address(NOW, LINK, "10.0.0.1".parse().unwrap(), true));
    assert_eq!(source(&mut a), "10.0.0.5");
    assert_eq!(
        Probe::take_log(&mut a, Probe::PROTOCOL),
        ["Deprecated(10.0.0.1)"]
    );
    // What is under way goes on.
    assert!(is_taken(&mut a, "10.0.0.9", "10.0.0.1"));
    assert!(!a.deprecate_address(NOW, LINK, "10.0.0.77".parse().unwrap(), true));
}

#[test]
fn an_interface_that_is_down_takes_and_gives_nothing() {
    let mut a = one();
    let to = "10.0.0.9";
    send(&mut a, NOW, to, Probe::PROTOCOL, b"lost", true).unwrap();
    assert!(a.set_up(NOW, LINK, false));
    assert_eq!(
        send(&mut a, NOW, to, Probe::PROTOCOL, b"never", true),
        Err(Error::NetworkUnreachable)
    );
    assert!(!is_taken(&mut a, to, "10.0.0.1"));
    let mut batch = Batch::new();
    assert!(!a.poll_transmit(NOW, LINK, &mut batch, 64));
    assert!(batch.is_empty());
    a.set_up(NOW, LINK, true);
    assert!(is_taken(&mut a, to, "10.0.0.1"));
    send(&mut a, NOW, to, Probe::PROTOCOL, b"again", true).unwrap();
    a.poll_transmit(NOW, LINK, &mut batch, 64);
    assert_eq!(batch.len(), 1);
}

#[test]
fn an_interface_takes_its_addresses_and_routes_with_it() {
    let mac = MacAddr([2, 0, 0, 0, 0, 1]);
    let mut a = node(
        1,
        link(Medium::Ethernet(mac), 1500),
        &["10.0.0.1/24", "fd00::1/64"],
    );
    send(&mut a, NOW, "10.0.0.9", Probe::PROTOCOL, b"x", true).unwrap();
    Probe::take_log(&mut a, Probe::PROTOCOL);
    assert!(a.remove_interface(NOW, LINK));
    // The IPv6 addresses were tentative still: nobody was told of them.
    assert_eq!(
        Probe::take_log(&mut a, Probe::PROTOCOL),
        ["Removed(10.0.0.1)"]
    );
    assert_eq!(a.routes().count(), 0);
    assert_eq!(a.poll_timeout(), None);
    assert!(!a.remove_interface(NOW, LINK));
    assert!(!a.remove_interface(NOW, InterfaceId::LOOPBACK));
    a.handle_packet(NOW, LINK, packet("10.0.0.9", "10.0.0.1"));
    assert!(send(&mut a, NOW, "127.0.0.1", Probe::PROTOCOL, b"x", true).is_ok());
}

#[test]
fn a_smaller_mtu_holds_at_once() {
    let mut a = one();
    assert!(send(&mut a, NOW, "10.0.0.9", Probe::PROTOCOL, &[0; 1480], true).is_ok());
    assert!(a.set_capabilities(NOW, LINK, link(Medium::Ip, 1400)));
    assert_eq!(
        send(&mut a, NOW, "10.0.0.9", Probe::PROTOCOL, &[0; 1480], true),
        Err(Error::MessageSize)
    );
}

/// RFC 1122 §3.2.1.3.
#[test]
fn who_may_be_a_source_and_who_a_destination() {
    let mut a = one();
    for (from, to, taken) in [
        ("10.0.0.9", "10.0.0.1", true),
        ("8.8.8.8", "10.0.0.5", true),
        ("10.0.0.9", "10.0.0.255", true),
        ("10.0.0.9", "255.255.255.255", true),
        ("10.0.0.9", "224.0.0.1", true),
        // "This host" may ask everybody, and nobody else.
        ("0.0.0.0", "255.255.255.255", true),
        ("0.0.0.0", "10.0.0.1", false),
        // Ours, and the loopback's, come from us alone.
        ("10.0.0.1", "10.0.0.5", false),
        ("127.0.0.1", "10.0.0.1", false),
        ("10.0.0.9", "127.0.0.1", false),
        // No host.
        ("10.0.0.255", "10.0.0.1", false),
        ("255.255.255.255", "10.0.0.1", false),
        ("224.0.0.1", "10.0.0.1", false),
        // Not us.
        ("10.0.0.9", "10.0.0.2", false),
        ("10.0.0.9", "224.0.0.251", false),
        ("fd00::9", "fd00::1", true),
        ("fe80::9", "fd00::1", true),
        ("fd00::9", "ff02::1", true),
        ("fd00::9", "ff02::1:ff00:1", true),
        ("::", "ff02::1:ff00:1", true),
        ("::", "fd00::1", false),
        ("fd00::1", "fd00::1", false),
        ("::1", "fd00::1", false),
        ("fd00::9", "::1", false),
        ("ff02::1", "fd00::1", false),
        ("::ffff:10.0.0.9", "fd00::1", false),
        ("fd00::9", "::ffff:10.0.0.1", false),
        ("fd00::9", "ff01::1", false),
        ("fd00::9", "ff02::1:ff00:2", false),
        ("fd00::9", "fd00::2", false),
        ("fd00::9", "fe80::1", false),
    ] {
        let before = a.counters().get(Counter::IpInAddrErrors);
        assert_eq!(is_taken(&mut a, from, to), taken, "{from} > {to}");
        let counted = a.counters().get(Counter::IpInAddrErrors) - before;
        assert_eq!(counted, u64::from(!taken), "{from} > {to}");
    }
    // Nobody of them was answered.
    let mut batch = Batch::new();
    a.poll_transmit(NOW, LINK, &mut batch, 64);
    assert!(batch.is_empty());
}

#[test]
fn a_member_hears_the_group_and_itself() {
    for group in ["224.0.0.251", "ff02::fb"] {
        let [mut a, mut b] = [
            node(1, link(Medium::Ip, 1500), &["10.0.0.1/24", "fd00::1/64"]),
            node(2, link(Medium::Ip, 1500), &["10.0.0.2/24", "fd00::2/64"]),
        ];
        let address = group.parse().unwrap();
        multicast::join(&mut a.context(NOW), LINK, address).unwrap();
        for node in [&mut a, &mut b] {
            Probe::take_log(node, Probe::PROTOCOL);
        }
        send(&mut a, NOW, group, Probe::PROTOCOL, b"12345678", true).unwrap();
        send(&mut b, NOW, group, Probe::PROTOCOL, b"12345678", true).unwrap();
        carry(NOW, &mut a, &mut b, |_| false);
        assert_eq!(Probe::take_log(&mut a, Probe::PROTOCOL).len(), 2);
        assert_eq!(Probe::take_log(&mut b, Probe::PROTOCOL), [""; 0]);
        let mut cx = a.context(NOW);
        assert!(multicast::leave(&mut cx, LINK, address));
        assert!(!multicast::leave(&mut cx, LINK, address));
        send(&mut b, NOW, group, Probe::PROTOCOL, b"12345678", true).unwrap();
        carry(NOW, &mut a, &mut b, |_| false);
        assert_eq!(Probe::take_log(&mut a, Probe::PROTOCOL), [""; 0]);
    }
}

#[test]
fn only_what_is_intercepted_of_others_is_taken() {
    let mut a = one();
    for (from, to) in [("10.0.0.9", "192.0.2.1"), ("fd00::9", "2001:db8::1")] {
        assert!(!is_taken(&mut a, from, to));
        a.context(NOW).inet.set_intercept(IpProtocol(254), true);
        assert!(!is_taken(&mut a, from, to));
        a.context(NOW).inet.set_intercept(Probe::PROTOCOL, true);
        assert!(is_taken(&mut a, from, to));
        let (probe, _) = a.transport_mut::<Probe>(Probe::PROTOCOL, NOW).unwrap();
        assert!(!probe.received.pop().unwrap().0.local);
        // Not what is for a group, for the link, or from us.
        for (from, to) in [
            ("10.0.0.9", "224.0.0.251"),
            ("fd00::9", "fe80::1"),
            ("fd00::9", "ff05::1"),
            ("10.0.0.1", "192.0.2.1"),
        ] {
            assert!(!is_taken(&mut a, from, to), "{from} > {to}");
        }
        a.context(NOW).inet.set_intercept(Probe::PROTOCOL, false);
        assert!(!is_taken(&mut a, from, to));
    }
}
