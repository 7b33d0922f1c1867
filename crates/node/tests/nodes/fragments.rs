//! Fragments between two nodes, and what paths carry.

use crate::common::{LINK, Probe, carry, link, node, send};
use sockeye_core::{Counter, Medium};
use sockeye_node::{Batch, Error, Instant, Node, Packet};
use sockeye_wire::{IpProtocol, icmpv4, icmpv6, ipv4, ipv6, ipv6_ext, ndp};
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

/// An IPv4 fragment from 10.0.0.2 to 10.0.0.1.
fn piece_v4(protocol: IpProtocol, offset: usize, len: usize, more_fragments: bool) -> Packet {
    let (from, to) = ([10, 0, 0, 2].into(), [10, 0, 0, 1].into());
    let mut header = ipv4::Header::new(from, to, protocol, len as u16);
    header.dont_fragment = false;
    header.identification = 5;
    header.fragment_offset = offset as u16;
    header.more_fragments = more_fragments;
    let mut packet = Packet::from_slice(&vec![7; len]);
    header.emit(packet.push(ipv4::HEADER_LEN));
    packet
}

/// A packet from fd00::2 to `to`: extension headers and what follows, as bytes.
fn packet_v6(to: &str, next: IpProtocol, behind: &[u8]) -> Packet {
    let (from, to) = ("fd00::2".parse().unwrap(), to.parse().unwrap());
    let header = ipv6::Header::new(from, to, next, behind.len() as u16);
    let mut packet = Packet::from_slice(behind);
    header.emit(packet.push(ipv6::HEADER_LEN));
    packet
}

/// An IPv6 fragment from fd00::2 to fd00::1.
fn piece_v6(next_header: IpProtocol, offset: usize, data: &[u8], more: bool) -> Packet {
    let mut bytes = vec![0; ipv6_ext::FRAGMENT_LEN];
    ipv6_ext::Fragment {
        next_header,
        offset: offset as u16,
        more,
        identification: 5,
    }
    .emit(&mut bytes);
    bytes.extend_from_slice(data);
    packet_v6("fd00::1", IpProtocol::FRAGMENT, &bytes)
}

/// A fragment of [`Probe::PROTOCOL`] of either family.
fn piece(v6: bool, offset: usize, len: usize, more: bool) -> Packet {
    match v6 {
        true => piece_v6(Probe::PROTOCOL, offset, &vec![7; len], more),
        false => piece_v4(Probe::PROTOCOL, offset, len, more),
    }
}

/// What `a` answers to packets, as ICMP types and codes; and what its transport gets.
fn offered(a: &mut Node, packets: impl IntoIterator<Item = Packet>) -> (Vec<(u8, u8)>, usize) {
    Probe::take_log(a, Probe::PROTOCOL);
    for packet in packets {
        a.handle_packet(NOW, LINK, packet);
    }
    let answers = sent(a, NOW).into_iter().map(|packet| {
        let bytes = packet.to_vec();
        let at = if bytes[0] >> 4 == 4 { 20 } else { 40 };
        (bytes[at], bytes[at + 1])
    });
    (answers.collect(), Probe::take_log(a, Probe::PROTOCOL).len())
}

/// What of its counters is not zero and begins with one of these words.
fn counted(node: &Node, words: &[&str]) -> Vec<(&'static str, u64)> {
    let all = node.counters().iter().map(|(c, n)| (c.name(), n));
    all.filter(|(name, _)| words.iter().any(|w| name.contains(w)))
        .collect()
}

/// RFC 5722 §3, RFC 8200 §4.5: silently, and the datagram that comes next is not affected.
#[test]
fn fragments_that_overlap_are_dropped_without_a_word() {
    for v6 in [false, true] {
        // Teardrop: inside the first. Then over its end, over its beginning, all over it.
        for (offset, len, more) in [(24, 4, false), (56, 64, true), (0, 40, true), (0, 72, true)] {
            let (mut a, _) = pair();
            let first = if offset == 0 { 8 } else { 0 };
            let pieces = [piece(v6, first, 64, true), piece(v6, offset, len, more)];
            assert_eq!(offered(&mut a, pieces), (vec![], 0));
            assert_eq!(
                counted(&a, &["Reasm"]),
                [
                    ("IpReasmReqds", 2),
                    ("IpReasmFails", 1),
                    ("IpExtReasmOverlaps", 1)
                ]
            );
            let pieces = [piece(v6, 0, 64, true), piece(v6, 64, 4, false)];
            assert_eq!(offered(&mut a, pieces), (vec![], 1));
        }
    }
}

/// The ping of death: RFC 791 knows no such packet and IPv4 says nothing; RFC 8200 §4.5 points at the
/// offset.
#[test]
fn fragments_beyond_the_longest_packet_are_dropped() {
    for (v6, answer) in [(false, vec![]), (true, vec![(4, 0)])] {
        let (mut a, _) = pair();
        let pieces = [piece(v6, 65_528, 100, false)];
        assert_eq!(offered(&mut a, pieces), (answer, 0));
        assert_eq!(
            counted(&a, &["Reasm"]),
            [("IpReasmFails", 1), ("IpReasmOversize", 1)]
        );
    }
}

/// RFC 7112 §5: the first fragment has all headers, and its source is told if not.
#[test]
fn a_first_fragment_that_ends_inside_its_headers_is_refused() {
    let (mut a, _) = pair();
    let options = IpProtocol::DESTINATION_OPTIONS;
    for (next, data) in [
        (IpProtocol::TCP, &[0; 16][..]),
        (IpProtocol::UDP, &[0; 0]),
        (options, &[17, 1, 1, 4, 0, 0, 0, 0]),
        (options, &[17, 0, 1, 4, 0, 0, 0, 0]),
    ] {
        let answer = offered(&mut a, [piece_v6(next, 0, data, true)]);
        // Of an empty fragment nothing can be said but that it is malformed.
        let code = if data.is_empty() { 0 } else { 3 };
        assert_eq!(answer, (vec![(4, code)], 0), "{next:?}");
    }
    assert_eq!(a.counters().get(Counter::IpReasmTiny), 3);
}

/// RFC 6946 §4: what is whole is not mixed with others of its identification.
#[test]
fn an_atomic_fragment_is_a_packet_of_its_own() {
    let (mut a, _) = pair();
    let pieces = [
        piece(true, 0, 64, true),
        piece(true, 0, 8, false),
        piece(true, 64, 4, false),
    ];
    assert_eq!(offered(&mut a, pieces), (vec![], 2));
    assert_eq!(
        counted(&a, &["Reasm"]),
        [("IpReasmReqds", 2), ("IpReasmOKs", 1)]
    );
}

/// RFC 6980 §5: in one fragment or several.
#[test]
fn neighbour_discovery_is_not_taken_out_of_fragments() {
    let (from, to): (Ipv6Addr, Ipv6Addr) = ("fd00::2".parse().unwrap(), "fd00::1".parse().unwrap());
    let solicitation = ndp::Header::NeighborSolicitation { target: to };
    let mut message = [0; 24];
    solicitation.emit(&mut message);
    icmpv6::fill_checksum(from, to, &mut message);
    let whole = {
        let mut packet = packet_v6("fd00::1", IpProtocol::ICMPV6, &message);
        packet.head_mut()[7] = ndp::HOP_LIMIT;
        packet
    };
    let mut atomic = piece_v6(IpProtocol::ICMPV6, 0, &message, false);
    let mut pieces = [
        piece_v6(IpProtocol::ICMPV6, 0, &message[..16], true),
        piece_v6(IpProtocol::ICMPV6, 16, &message[16..], false),
    ];
    for packet in pieces.iter_mut().chain([&mut atomic]) {
        packet.head_mut()[7] = ndp::HOP_LIMIT;
    }
    let capabilities = link(Medium::Ip, 1500);
    let mut a = node(1, capabilities, &["fd00::1/64"]);
    a.handle_packet(NOW, LINK, whole);
    assert_eq!(a.counters().get(Counter::NeighbourInErrors), 0);
    a.handle_packet(NOW, LINK, atomic);
    assert_eq!(a.counters().get(Counter::NeighbourInErrors), 1);
    for packet in pieces {
        a.handle_packet(NOW, LINK, packet);
    }
    assert_eq!(a.counters().get(Counter::NeighbourInErrors), 2);
    // Echo requests are.
    let mut echo = [128, 0, 0, 0, 0, 1, 0, 1];
    icmpv6::fill_checksum(from, to, &mut echo);
    let request = piece_v6(IpProtocol::ICMPV6, 0, &echo, false);
    a.handle_packet(NOW, LINK, request);
    assert_eq!(sent(&mut a, NOW).len(), 1);
}

/// RFC 8200 §4.2, §4 and §4.4: what an unknown option's highest bits say, an unknown header, a
/// routing header that is not done; to one host and to a group.
#[test]
fn unknown_headers_and_options_are_answered_as_they_say() {
    let group = "ff02::1";
    let option = |action: u8| [253, 0, action << 6 | 0x1e, 4, 0, 0, 0, 0];
    let options = IpProtocol::DESTINATION_OPTIONS;
    for (to, next, behind, answers, taken) in [
        ("fd00::1", options, option(0), vec![], 1),
        ("fd00::1", options, option(1), vec![], 0),
        ("fd00::1", options, option(2), vec![(4, 2)], 0),
        ("fd00::1", options, option(3), vec![(4, 2)], 0),
        (group, options, option(2), vec![(4, 2)], 0),
        (group, options, option(3), vec![], 0),
        ("fd00::1", IpProtocol(200), [0; 8], vec![(4, 1)], 0),
        (group, IpProtocol(200), [0; 8], vec![], 0),
        ("fd00::1", IpProtocol::NO_NEXT, [0; 8], vec![], 0),
        // Segments left: none, so it is skipped; one, so it is refused (RFC 5095 for type 0).
        (
            "fd00::1",
            IpProtocol::ROUTING,
            [253, 0, 0, 0, 0, 0, 0, 0],
            vec![],
            1,
        ),
        (
            "fd00::1",
            IpProtocol::ROUTING,
            [253, 0, 0, 1, 0, 0, 0, 0],
            vec![(4, 0)],
            0,
        ),
        // A hop-by-hop header behind another.
        (
            "fd00::1",
            options,
            [0, 0, 1, 4, 0, 0, 0, 0],
            vec![(4, 1)],
            0,
        ),
    ] {
        let (mut a, _) = pair();
        let mut packet = packet_v6(to, next, &behind);
        packet.linearize();
        assert_eq!(
            offered(&mut a, [packet]),
            (answers, taken),
            "{to} {next:?} {behind:?}"
        );
    }
}

/// RFC 8504 §5.3.
#[test]
fn chains_without_end_are_not_followed() {
    let (mut a, _) = pair();
    let options = IpProtocol::DESTINATION_OPTIONS;
    let link = [options.0, 0, 1, 4, 0, 0, 0, 0];
    for length in [2, 8, 9, 180] {
        let mut chain = link.repeat(length);
        let last = chain.len() - 8;
        chain[last] = Probe::PROTOCOL.0;
        let outcome = offered(&mut a, [packet_v6("fd00::1", options, &chain)]);
        assert_eq!(outcome, (vec![], usize::from(length <= 8)), "{length}");
    }
    assert_eq!(a.counters().get(Counter::IpInHeaderLimits), 2);
}

/// A flood of beginnings: what one source has waiting is bounded, the others are not in its way.
#[test]
fn a_flood_of_fragments_leaves_room_for_others() {
    for v6 in [false, true] {
        let (mut a, mut b) = pair();
        for n in 0..20_000_u32 {
            let mut flood = piece(v6, 8, 1000, true);
            if v6 {
                flood.head_mut()[44..48].copy_from_slice(&n.to_be_bytes());
                flood.head_mut()[23] = 9;
            } else {
                let mut header = ipv4::Header::parse(flood.head()).unwrap();
                header.identification = n as u16;
                header.source = [10, 0, 0, 9].into();
                header.emit(flood.head_mut());
            }
            a.handle_packet(NOW, LINK, flood);
        }
        let limited = a.counters().get(Counter::IpReasmLimits);
        assert!(limited > 15_000, "{limited} were not kept");
        assert_eq!(a.counters().get(Counter::IpReasmFails), limited);
        let [to, _] = if v6 { V6 } else { V4 };
        send(&mut b, NOW, to, Probe::PROTOCOL, &[1; 9000], false).unwrap();
        Probe::take_log(&mut a, Probe::PROTOCOL);
        carry(NOW, &mut a, &mut b, |_| false);
        assert_eq!(Probe::take_log(&mut a, Probe::PROTOCOL).len(), 1);
        // Nothing is left of them after a minute, and it was the table's time that was up.
        a.handle_timeout(Instant::from_millis(60_000));
        let given_up = a.counters().get(Counter::IpReasmTimeout);
        assert_eq!(given_up + limited, 20_000);
    }
}
