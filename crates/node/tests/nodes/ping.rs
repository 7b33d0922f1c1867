//! Echo and errors between two nodes.

use crate::common::{LINK, Probe, carry, link, node, send};
use crate::interfaces::packet_of;
use sockeye_core::{Counter, Medium};
use sockeye_node::{Batch, Instant, IpProtocol, Node, Packet};
use sockeye_wire::{icmpv4, icmpv6, ipv4, ipv6};
use std::net::IpAddr;

const NOW: Instant = Instant::ZERO;

fn pair() -> (Node, Node) {
    let a = node(1, link(Medium::Ip, 1500), &["10.0.0.1/24", "fd00::1/64"]);
    let b = node(2, link(Medium::Ip, 1500), &["10.0.0.2/24", "fd00::2/64"]);
    (a, b)
}

/// A packet of a protocol that nobody has.
fn packet(from: &str, to: &str) -> Packet {
    packet_of(IpProtocol(254), from, to)
}

/// An echo request as `from` sends it to `to`.
fn request(from: &str, to: &str, data: &[u8]) -> (IpProtocol, Vec<u8>) {
    match (from.parse().unwrap(), to.parse().unwrap()) {
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut message = vec![0; icmpv6::HEADER_LEN];
            let echo = icmpv6::Echo {
                identifier: 7,
                sequence: 1,
            };
            icmpv6::Header::EchoRequest(echo).emit(&mut message);
            message.extend_from_slice(data);
            icmpv6::fill_checksum(from, to, &mut message);
            (IpProtocol::ICMPV6, message)
        }
        _ => {
            let mut message = vec![0; icmpv4::HEADER_LEN];
            let echo = icmpv4::Echo {
                identifier: 7,
                sequence: 1,
            };
            icmpv4::Header::Echo(echo).emit(&mut message);
            message.extend_from_slice(data);
            icmpv4::fill_checksum(&mut message);
            (IpProtocol::ICMP, message)
        }
    }
}

fn replies(node: &mut Node, protocol: IpProtocol) -> Vec<Vec<u8>> {
    let (probe, _) = node.transport_mut::<Probe>(protocol, NOW).unwrap();
    probe.received.drain(..).map(|(_, bytes)| bytes).collect()
}

/// RFC 1122 §3.2.2.6.
#[test]
fn an_echo_request_is_answered_with_its_data() {
    for (from, to) in [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")] {
        let (mut a, mut b) = pair();
        let (protocol, message) = request(from, to, b"0123456789abcdef!");
        send(&mut a, NOW, to, protocol, &message, false).unwrap();
        carry(NOW, &mut a, &mut b, |_| false);
        let replies = replies(&mut a, protocol);
        assert_eq!(replies.len(), 1, "{to}");
        assert_eq!(&replies[0][4..], &message[4..], "ident, sequence and data");
        assert_eq!(b.counters().get(Counter::IcmpOutMsgs), 1);
        assert_eq!(a.counters().get(Counter::IcmpInErrors), 0);
    }
}

#[test]
fn a_node_answers_itself_through_the_loopback() {
    for (to, source) in [
        ("127.0.0.1", "127.0.0.1"),
        ("127.3.4.5", "127.0.0.1"),
        ("10.0.0.1", "10.0.0.1"),
        ("::1", "::1"),
        ("fd00::1", "fd00::1"),
    ] {
        let (mut a, _) = pair();
        let (protocol, message) = request(source, to, b"hello");
        send(&mut a, NOW, to, protocol, &message, false).unwrap();
        assert_eq!(a.poll_timeout(), Some(Instant::ZERO));
        a.handle_timeout(NOW);
        assert_eq!(replies(&mut a, protocol).len(), 1, "{to}");
        let mut batch = Batch::new();
        assert!(!a.poll_transmit(NOW, LINK, &mut batch, 64));
        assert!(batch.is_empty(), "nothing of it reaches the link");
        assert_eq!(a.poll_timeout(), None);
    }
}

/// RFC 1122 §3.2.2.1.
#[test]
fn an_unknown_protocol_is_unreachable() {
    for to in ["10.0.0.2", "fd00::2"] {
        let (mut a, mut b) = pair();
        let protocol = IpProtocol(254);
        a.register(Box::new(Probe::default()), protocol);
        send(&mut a, NOW, to, protocol, b"is anybody there?", true).unwrap();
        carry(NOW, &mut a, &mut b, |_| false);
        assert_eq!(
            Probe::take_log(&mut a, protocol),
            [format!("ProtocolUnreachable for {to} by {to}")]
        );
        assert_eq!(b.counters().get(Counter::IpInUnknownProtos), 1);
    }
}

#[test]
fn a_damaged_message_is_dropped_and_counted() {
    for (from, to) in [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")] {
        let (mut a, mut b) = pair();
        let (protocol, mut message) = request(from, to, b"hello");
        message[9] ^= 1;
        send(&mut a, NOW, to, protocol, &message, false).unwrap();
        carry(NOW, &mut a, &mut b, |_| false);
        assert!(replies(&mut a, protocol).is_empty());
        assert_eq!(b.counters().get(Counter::IcmpInErrors), 1);
    }
}

/// RFC 1122 §3.2.2.
#[test]
fn errors_are_limited_by_rate_and_never_about_errors() {
    let (mut a, mut b) = pair();
    for _ in 0..200 {
        send(&mut a, NOW, "10.0.0.2", IpProtocol(254), b"12345678", true).unwrap();
    }
    carry(NOW, &mut a, &mut b, |_| false);
    assert_eq!(b.counters().get(Counter::IcmpOutMsgs), 6);
    assert_eq!(b.counters().get(Counter::IcmpOutRateLimitHost), 194);
    // Nobody at `a` knows the protocol that the errors are about, and it does not complain.
    assert_eq!(a.counters().get(Counter::IcmpInUnmatched), 6);
    assert_eq!(a.counters().get(Counter::IcmpOutMsgs), 0);
}

/// RFC 1812 §4.3.2.8, RFC 4443 §2.4 (f): whoever the errors are for.
#[test]
fn errors_to_many_are_limited_by_the_rate_of_all() {
    for v6 in [false, true] {
        let (_, mut b) = pair();
        let offer = |b: &mut Node, ms| {
            for n in 0..200 {
                let packet = match v6 {
                    false => packet(&format!("10.0.0.{}", n + 3), "10.0.0.2"),
                    true => packet(&format!("fd00::{}", n + 3), "fd00::2"),
                };
                b.handle_packet(Instant::from_millis(ms), LINK, packet);
            }
            b.counters().get(Counter::IcmpOutMsgs)
        };
        assert_eq!(offer(&mut b, 0), 50);
        assert_eq!(b.counters().get(Counter::IcmpOutRateLimitGlobal), 150);
        assert_eq!(offer(&mut b, 7), 57);
    }
}

/// RFC 1122 §3.2.2, RFC 1812 §4.3.2.5: a reply has the service of its request, an error also a
/// precedence of its own.
#[test]
fn answers_have_the_service_of_what_they_answer() {
    for (from, to, error) in [("10.0.0.1", "10.0.0.2", 0xd8), ("fd00::1", "fd00::2", 0)] {
        let (_, mut b) = pair();
        let (protocol, message) = request(from, to, b"hello");
        for (protocol, payload, expected) in [
            (protocol, &message[..], 0xb8),
            (IpProtocol(254), b"12345678", error),
        ] {
            let mut packet = Packet::from_slice(payload);
            let len = payload.len() as u16;
            match (from.parse().unwrap(), to.parse().unwrap()) {
                (IpAddr::V4(from), IpAddr::V4(to)) => {
                    let mut header = ipv4::Header::new(from, to, protocol, len);
                    header.tos = 0xb8;
                    header.emit(packet.push(ipv4::HEADER_LEN));
                }
                (IpAddr::V6(from), IpAddr::V6(to)) => {
                    let mut header = ipv6::Header::new(from, to, protocol, len);
                    header.traffic_class = 0xb8;
                    header.emit(packet.push(ipv6::HEADER_LEN));
                }
                _ => panic!("addresses of two families"),
            }
            b.handle_packet(NOW, LINK, packet);
            let mut batch = Batch::new();
            b.poll_transmit(NOW, LINK, &mut batch, 64);
            let answer = batch[0].to_vec();
            let class = match answer[0] >> 4 {
                4 => ipv4::Header::parse(&answer).unwrap().tos,
                _ => ipv6::Header::parse(&answer).unwrap().traffic_class,
            };
            assert_eq!(class, expected, "{to} {protocol:?}");
        }
    }
}
