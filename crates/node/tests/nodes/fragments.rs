//! Fragments between two nodes, and what paths carry.

use crate::common::{LINK, Probe, carry, link, node, send};
use sockeye_core::{Counter, Medium};
use sockeye_node::{Batch, Error, Instant, Node, Packet};
use sockeye_wire::{IpProtocol, icmpv4, icmpv6, ipv4, ipv6};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const NOW: Instant = Instant::ZERO;
const V4: [&str; 2] = ["10.0.0.1", "10.0.0.2"];
const V6: [&str; 2] = ["fd00::1", "fd00::2"];

fn pair() -> (Node, Node) {
    let a = node(1, link(Medium::Ip, 1500), &["10.0.0.1/24", "fd00::1/64"]);
    let b = node(2, link(Medium::Ip, 1500), &["10.0.0.2/24", "fd00::2/64"]);
    (a, b)
}

fn sent(node: &mut Node, now: Instant) -> Vec<Packet> {
    let mut batch = Batch::new();
    node.poll_transmit(now, LINK, &mut batch, 1000);
    batch.into()
}

#[test]
fn a_datagram_larger_than_the_link_arrives_whole() {
    for [from, to] in [V4, V6] {
        for len in [1481, 3000, 9000, 65_000] {
            let (mut a, mut b) = pair();
            let data: Vec<u8> = (0..len).map(|n: u32| (n / 7) as u8).collect();
            assert_eq!(
                send(&mut a, NOW, to, Probe::PROTOCOL, &data, true),
                Err(Error::MessageSize)
            );
            send(&mut a, NOW, to, Probe::PROTOCOL, &data, false).unwrap();
            carry(NOW, &mut a, &mut b, |packet| {
                assert!(packet.len() <= 1500);
                false
            });
            assert_eq!(
                Probe::take_log(&mut b, Probe::PROTOCOL).last(),
                Some(&format!("{from} > {to}: {len}"))
            );
            let (probe, _) = b.transport_mut::<Probe>(Probe::PROTOCOL, NOW).unwrap();
            assert_eq!(probe.received[0].1, data);
            assert_eq!(b.counters().get(Counter::IpReasmOKs), 1);
        }
    }
}

#[test]
fn a_large_echo_request_is_answered_in_fragments() {
    let (mut a, mut b) = pair();
    let mut message = vec![0; 8000];
    icmpv4::Header::Echo(icmpv4::Echo {
        identifier: 1,
        sequence: 1,
    })
    .emit(&mut message);
    icmpv4::fill_checksum(&mut message);
    send(&mut a, NOW, V4[1], IpProtocol::ICMP, &message, false).unwrap();
    carry(NOW, &mut a, &mut b, |_| false);
    let last = Probe::take_log(&mut a, IpProtocol::ICMP).pop();
    assert_eq!(last.as_deref(), Some("10.0.0.2 > 10.0.0.1: 8000"));
}

/// RFC 1122 §3.3.2.
#[test]
fn what_stays_incomplete_is_given_up_after_a_minute_and_the_source_hears_of_it() {
    for [from, to] in [V4, V6] {
        for (lost, told) in [(2, true), (0, false)] {
            let (mut a, mut b) = pair();
            send(&mut a, NOW, to, Probe::PROTOCOL, &[1; 4000], false).unwrap();
            for (n, fragment) in sent(&mut a, NOW).into_iter().enumerate() {
                if n != lost {
                    b.handle_packet(NOW, LINK, fragment);
                }
            }
            Probe::take_log(&mut a, Probe::PROTOCOL);
            let later = b.poll_timeout().unwrap();
            assert_eq!(later, Instant::from_millis(60_000));
            b.handle_timeout(later);
            carry(later, &mut a, &mut b, |_| false);
            let expected = format!("TimeExceeded for {to} by {to}");
            let log = Probe::take_log(&mut a, Probe::PROTOCOL);
            assert_eq!(log == [expected], told, "{from}: {log:?}");
            assert_eq!(b.counters().get(Counter::IpReasmFails), 1);
            assert_eq!(b.poll_timeout(), None);
        }
    }
}

#[test]
fn ipv6_fragments_with_impossible_lengths_are_parameter_problems() {
    let (mut a, mut b) = pair();
    send(&mut a, NOW, V6[1], Probe::PROTOCOL, &[1; 4000], false).unwrap();
    let mut first = sent(&mut a, NOW).remove(0);
    first.linearize();
    let len = first.len() - 4;
    first.truncate(len);
    ipv6::set_payload_len(first.head_mut(), (len - 40) as u16);
    b.handle_packet(NOW, LINK, first);
    let answers = sent(&mut b, NOW);
    let answer = answers[0].to_vec();
    let header = icmpv6::Header::parse(&answer[40..]).unwrap();
    assert_eq!(
        header,
        icmpv6::Header::ParameterProblem {
            code: icmpv6::ParameterProblemCode::ERRONEOUS_FIELD,
            pointer: 4
        }
    );
}

/// "It was too big" about the first `quote` bytes of `packet`, from the router 10.0.0.9 or fd00::9.
fn too_big(packet: &Packet, mtu: u16) -> Packet {
    let quote = &packet.to_vec()[..60];
    let mut message = vec![0; 8];
    message.extend_from_slice(quote);
    if quote[0] >> 4 == 4 {
        let original = ipv4::Header::parse_quoted(quote).unwrap();
        icmpv4::Header::DestinationUnreachable {
            code: icmpv4::UnreachableCode::FRAGMENTATION_NEEDED,
            length: 0,
            next_hop_mtu: mtu,
        }
        .emit(&mut message);
        icmpv4::fill_checksum(&mut message);
        let len = message.len() as u16;
        let router = Ipv4Addr::new(10, 0, 0, 9);
        let header = ipv4::Header::new(router, original.source, IpProtocol::ICMP, len);
        let mut packet = Packet::from_slice(&message);
        header.emit(packet.push(ipv4::HEADER_LEN));
        packet
    } else {
        let original = ipv6::Header::parse(quote).unwrap();
        let router: Ipv6Addr = "fd00::9".parse().unwrap();
        icmpv6::Header::PacketTooBig {
            mtu: u32::from(mtu),
        }
        .emit(&mut message);
        icmpv6::fill_checksum(router, original.source, &mut message);
        let len = message.len() as u16;
        let header = ipv6::Header::new(router, original.source, IpProtocol::ICMPV6, len);
        let mut packet = Packet::from_slice(&message);
        header.emit(packet.push(ipv6::HEADER_LEN));
        packet
    }
}

fn mtu(node: &mut Node, to: &str) -> u32 {
    let query = sockeye_core::RouteQuery {
        destination: to.parse::<IpAddr>().unwrap(),
        source: None,
        interface: None,
        foreign_source: false,
    };
    node.context(NOW).route(&query).unwrap().mtu
}

#[test]
fn a_path_mtu_is_learnt_only_shrinks_and_is_forgotten() {
    for [_, to] in [V4, V6] {
        let (mut a, _) = pair();
        send(&mut a, NOW, to, Probe::PROTOCOL, &[1; 1400], true).unwrap();
        let packet = sent(&mut a, NOW).remove(0);
        Probe::take_log(&mut a, Probe::PROTOCOL);

        a.handle_packet(NOW, LINK, too_big(&packet, 1400));
        assert_eq!(mtu(&mut a, to), 1400);
        let log = Probe::take_log(&mut a, Probe::PROTOCOL);
        assert_eq!(log.last(), Some(&format!("path to {to}: 1400")));

        // It is never raised by an error, and never below what every path carries.
        a.handle_packet(NOW, LINK, too_big(&packet, 1450));
        assert_eq!(mtu(&mut a, to), 1400);
        a.handle_packet(NOW, LINK, too_big(&packet, 68));
        let floor = if to.contains(':') { 1280 } else { 552 };
        assert_eq!(mtu(&mut a, to), floor);
        assert_eq!(
            send(&mut a, NOW, to, Probe::PROTOCOL, &[1; 1400], true),
            Err(Error::MessageSize)
        );

        // Another destination is not affected, and after ten minutes larger ones are tried.
        assert_eq!(
            mtu(&mut a, if floor == 552 { "10.0.0.3" } else { "fd00::3" }),
            1500
        );
        let later = Instant::from_millis(600_000);
        assert_eq!(a.poll_timeout(), Some(later));
        Probe::take_log(&mut a, Probe::PROTOCOL);
        a.handle_timeout(later);
        assert_eq!(mtu(&mut a, to), 1500);
        assert_eq!(
            Probe::take_log(&mut a, Probe::PROTOCOL),
            [format!("path to {to}: 1500")]
        );
    }
}

#[test]
fn a_router_that_does_not_tell_its_mtu_gets_the_next_plateau() {
    let (mut a, _) = pair();
    send(&mut a, NOW, V4[1], Probe::PROTOCOL, &[1; 1480], true).unwrap();
    let packet = sent(&mut a, NOW).remove(0);
    a.handle_packet(NOW, LINK, too_big(&packet, 0));
    assert_eq!(mtu(&mut a, V4[1]), 1492);
}

#[test]
fn errors_about_what_we_did_not_send_are_not_believed() {
    let (mut a, mut b) = pair();
    send(&mut b, NOW, V4[0], Probe::PROTOCOL, &[1; 1400], true).unwrap();
    let packet = sent(&mut b, NOW).remove(0);
    // It quotes b's packet, and is addressed to b; a gets it readdressed.
    let mut forged = too_big(&packet, 1000).to_vec();
    let mut header = ipv4::Header::parse(&forged).unwrap();
    header.destination = Ipv4Addr::new(10, 0, 0, 1);
    header.emit(&mut forged);
    a.handle_packet(NOW, LINK, Packet::from_vec(forged));
    assert_eq!(mtu(&mut a, V4[1]), 1500);
    assert_eq!(a.counters().get(Counter::IcmpInUnmatched), 1);
}
