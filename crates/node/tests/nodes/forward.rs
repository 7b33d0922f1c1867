//! A node between two networks: what it sends on, what not, and whom it tells.

mod alerts;

use crate::common::{Probe, link, send};
use sockeye_core::config::{InterfaceSettings, ReversePath};
use sockeye_core::{Checksum, Counter, Gso, GsoKind, MacAddr, Medium};
use sockeye_node::{Batch, Config, Instant, InterfaceConfig, InterfaceId, Node, Packet};
use sockeye_wire::ipv4::RawOptions;
use sockeye_wire::{EtherType, IpProtocol, arp, ethernet, icmpv4, icmpv6, ipv4, ipv6, ndp, tcp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

const NOW: Instant = Instant::ZERO;
const LEFT: InterfaceId = InterfaceId(2);
const RIGHT: InterfaceId = InterfaceId(3);
/// Hosts on the left and on the right.
const V4: [&str; 2] = ["10.0.0.9", "10.9.0.9"];
const V6: [&str; 2] = ["fd00::9", "fd09::9"];

fn forwarding() -> Config {
    let mut config = Config::default();
    config.interfaces.set_forwarding_v4(true);
    config.interfaces.set_forwarding_v6(true);
    config
}

/// A router with 10.0.0.0/24 and fd00::/64 on its left and 10.9.0.0/24 and fd09::/64 on its right.
fn router(config: Config, medium: Medium, mtu: u32) -> Node {
    let mut node = Node::new(config, [1; 32]);
    for (name, addresses, mtu) in [
        ("left", ["10.0.0.1/24", "fd00::1/64"], 1500),
        ("right", ["10.9.0.1/24", "fd09::1/64"], mtu),
    ] {
        let mut config = InterfaceConfig::new(name, link(medium, mtu));
        config.addresses = addresses.map(|a| a.parse().unwrap()).into();
        config.detect_duplicates = false;
        node.add_interface(NOW, config);
    }
    node.register(Box::new(Probe::default()), Probe::PROTOCOL);
    node
}

fn plain(mtu: u32) -> Node {
    router(forwarding(), Medium::Ip, mtu)
}

/// A packet of [`Probe::PROTOCOL`] with `len` bytes, its header as `change` makes it.
fn packet_v4([from, to]: [&str; 2], len: usize, change: impl FnOnce(&mut ipv4::Header)) -> Packet {
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    let mut header = ipv4::Header::new(from, to, Probe::PROTOCOL, 0);
    change(&mut header);
    header.total_len = (header.header_len() + len) as u16;
    let mut packet = Packet::from_slice(&vec![7; len]);
    header.emit(packet.push(header.header_len()));
    packet
}

fn packet_v6([from, to]: [&str; 2], len: usize, change: impl FnOnce(&mut ipv6::Header)) -> Packet {
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    let mut header = ipv6::Header::new(from, to, Probe::PROTOCOL, len as u16);
    change(&mut header);
    let mut packet = Packet::from_slice(&vec![7; len]);
    header.emit(packet.push(ipv6::HEADER_LEN));
    packet
}

/// A packet of either family.
fn packet(addresses: [&str; 2], len: usize, hops: u8) -> Packet {
    match addresses[1].contains(':') {
        true => packet_v6(addresses, len, |header| header.hop_limit = hops),
        false => packet_v4(addresses, len, |header| header.ttl = hops),
    }
}

/// What the router sends, interface by interface.
fn sent(node: &mut Node, now: Instant) -> Vec<(InterfaceId, Packet)> {
    let mut all = Vec::new();
    for interface in [LEFT, RIGHT] {
        let mut batch = Batch::new();
        node.poll_transmit(now, interface, &mut batch, 1000);
        all.extend(batch.into_iter().map(|packet| (interface, packet)));
    }
    all
}

/// One packet as a line of a trace.
fn say((interface, packet): &(InterfaceId, Packet)) -> String {
    let bytes = packet.to_vec();
    let side = if *interface == LEFT { "left" } else { "right" };
    let (from, to, hops, protocol, at): (IpAddr, IpAddr, _, _, _) = match bytes[0] >> 4 {
        4 => {
            let h = ipv4::Header::parse(&bytes).unwrap();
            (
                h.source.into(),
                h.destination.into(),
                h.ttl,
                h.protocol,
                h.header_len(),
            )
        }
        _ => {
            let h = ipv6::Header::parse(&bytes).unwrap();
            (
                h.source.into(),
                h.destination.into(),
                h.hop_limit,
                h.next_header,
                ipv6::HEADER_LEN,
            )
        }
    };
    let what = match protocol {
        IpProtocol::ICMP => format!("{:?}", icmpv4::Header::parse(&bytes[at..]).unwrap()),
        IpProtocol::ICMPV6 => format!("{:?}", icmpv6::Header::parse(&bytes[at..]).unwrap()),
        _ => format!("{} bytes", bytes.len() - at),
    };
    format!("{side}: {from} > {to} hops {hops}: {what}")
}

/// What comes of a packet from the left.
fn offer(node: &mut Node, packet: Packet) -> Vec<String> {
    node.handle_packet(NOW, LEFT, packet);
    sent(node, NOW).iter().map(say).collect()
}

fn count(node: &Node, counter: Counter) -> u64 {
    node.counters().get(counter)
}

#[test]
fn a_packet_is_sent_on_with_a_hop_less() {
    for addresses in [V4, V6] {
        let mut node = plain(1500);
        let [from, to] = addresses;
        assert_eq!(
            offer(&mut node, packet(addresses, 100, 64)),
            [format!("right: {from} > {to} hops 63: 100 bytes")]
        );
        assert_eq!(count(&node, Counter::IpForwDatagrams), 1);
        // What is for the router itself is not, though it comes by the other side.
        let own = if to == V4[1] { "10.9.0.1" } else { "fd09::1" };
        assert_eq!(offer(&mut node, packet([from, own], 100, 1)), [""; 0]);
        assert_eq!(Probe::take_log(&mut node, Probe::PROTOCOL).len(), 1);
    }
}

#[test]
fn it_is_off_unless_it_is_set_for_the_way_in() {
    for addresses in [V4, V6] {
        let mut node = router(Config::default(), Medium::Ip, 1500);
        assert_eq!(offer(&mut node, packet(addresses, 100, 64)), [""; 0]);
        assert_eq!(count(&node, Counter::IpInAddrErrors), 1);
        let mut config = Config::default();
        let set = |config: &mut Config, name: &str| {
            let settings: &mut InterfaceSettings = config.interfaces.get_mut(name);
            settings.v4.forwarding = true;
            settings.v6.forwarding = true;
        };
        set(&mut config, "right");
        node.set_config(config.clone());
        assert_eq!(offer(&mut node, packet(addresses, 100, 64)), [""; 0]);
        set(&mut config, "left");
        node.set_config(config);
        assert_eq!(offer(&mut node, packet(addresses, 100, 64)).len(), 1);
    }
}

/// RFC 1812 §5.3.1, RFC 8200 §3.
#[test]
fn a_packet_without_hops_ends_and_its_source_is_told() {
    for (addresses, told) in [
        (
            V4,
            "left: 10.0.0.1 > 10.0.0.9 hops 64: TimeExceeded { code: TimeExceededCode(0), length: 0 }",
        ),
        (
            V6,
            "left: fd00::1 > fd00::9 hops 64: TimeExceeded { code: TimeExceededCode(0), length: 0 }",
        ),
    ] {
        for hops in [0, 1] {
            let mut node = plain(1500);
            assert_eq!(offer(&mut node, packet(addresses, 100, hops)), [told]);
            assert_eq!(count(&node, Counter::IpInHdrErrors), 1);
            assert_eq!(count(&node, Counter::IpForwDatagrams), 0);
        }
    }
}

/// RFC 1812 §5.2.7.1, RFC 4443 §3.1.
#[test]
fn without_a_route_the_source_is_told() {
    for (addresses, told) in [
        (
            ["10.0.0.9", "192.0.2.1"],
            "left: 10.0.0.1 > 10.0.0.9 hops 64: DestinationUnreachable { code: UnreachableCode(0), length: 0, next_hop_mtu: 0 }",
        ),
        (
            ["fd00::9", "2001:db8::1"],
            "left: fd00::1 > fd00::9 hops 64: DestinationUnreachable { code: UnreachableCode(0), length: 0 }",
        ),
    ] {
        let mut node = plain(1500);
        assert_eq!(offer(&mut node, packet(addresses, 100, 64)), [told]);
        assert_eq!(count(&node, Counter::IpExtInNoRoutes), 1);
    }
}

/// RFC 1812 §4.3.2.7.
#[test]
fn of_fragments_the_first_alone_is_complained_about() {
    let mut node = plain(1500);
    let away = ["10.0.0.9", "192.0.2.1"];
    let piece = |offset| {
        packet_v4(away, 64, |header| {
            header.dont_fragment = false;
            header.more_fragments = true;
            header.fragment_offset = offset;
        })
    };
    assert_eq!(offer(&mut node, piece(64)), [""; 0]);
    assert_eq!(offer(&mut node, piece(0)).len(), 1);
}

/// RFC 1191 §4, RFC 8200 §5.
#[test]
fn what_may_not_be_cut_is_too_big_and_its_source_told_the_mtu() {
    let mut node = plain(1280);
    assert_eq!(
        offer(&mut node, packet(V4, 1261, 64)),
        [
            "left: 10.0.0.1 > 10.0.0.9 hops 64: DestinationUnreachable { code: UnreachableCode(4), length: 0, next_hop_mtu: 1280 }"
        ]
    );
    assert_eq!(count(&node, Counter::IpFragFails), 1);
    assert_eq!(
        offer(&mut node, packet(V6, 1241, 64)),
        ["left: fd00::1 > fd00::9 hops 64: PacketTooBig { mtu: 1280 }"]
    );
    assert_eq!(count(&node, Counter::Ip6InTooBigErrors), 1);
    for (addresses, len) in [(V4, 1260), (V6, 1240)] {
        assert_eq!(offer(&mut node, packet(addresses, len, 64)).len(), 1);
    }
    assert_eq!(count(&node, Counter::IpForwDatagrams), 2);
}

#[test]
fn what_may_be_cut_goes_in_fragments() {
    let mut node = plain(1000);
    let large = packet_v4(V4, 1400, |header| header.dont_fragment = false);
    assert_eq!(
        offer(&mut node, large),
        [
            "right: 10.0.0.9 > 10.9.0.9 hops 63: 976 bytes",
            "right: 10.0.0.9 > 10.9.0.9 hops 63: 424 bytes"
        ]
    );
    assert_eq!(count(&node, Counter::IpFragOKs), 1);
    assert_eq!(count(&node, Counter::IpFragCreates), 2);
}

/// RFC 1812 §5.3.4, §5.3.7; RFC 2644; RFC 3927 §7; RFC 4291 §2.5.
#[test]
fn some_addresses_stay_on_their_link() {
    for (addresses, why) in [
        (["10.0.0.9", "255.255.255.255"], None),
        (["10.0.0.9", "10.0.0.255"], None),
        (["10.0.0.9", "10.9.0.255"], Some(Counter::IpInAddrErrors)),
        (["10.0.0.9", "239.1.1.1"], Some(Counter::IpInAddrErrors)),
        (["10.0.0.9", "240.0.0.1"], Some(Counter::IpInMartians)),
        (["10.0.0.9", "0.1.2.3"], Some(Counter::IpInMartians)),
        (["10.0.0.9", "169.254.1.1"], Some(Counter::IpInMartians)),
        (["169.254.1.1", "10.9.0.9"], Some(Counter::IpInMartians)),
        (["0.0.0.1", "10.9.0.9"], Some(Counter::IpInMartians)),
        (["0.0.0.0", "10.9.0.9"], Some(Counter::IpInAddrErrors)),
        (["127.0.0.1", "10.9.0.9"], Some(Counter::IpInAddrErrors)),
        (["224.0.0.9", "10.9.0.9"], Some(Counter::IpInAddrErrors)),
        (["10.0.0.255", "10.9.0.9"], Some(Counter::IpInAddrErrors)),
        (["10.9.0.1", "10.9.0.9"], Some(Counter::IpInAddrErrors)),
        (["fd00::9", "ff0e::1"], Some(Counter::IpInAddrErrors)),
        (["fd00::9", "fe80::9"], Some(Counter::IpInAddrErrors)),
        (["::", "fd09::9"], Some(Counter::IpInAddrErrors)),
        (["::1", "fd09::9"], Some(Counter::IpInAddrErrors)),
        (["ff02::1", "fd09::9"], Some(Counter::IpInAddrErrors)),
    ] {
        let mut node = plain(1500);
        assert_eq!(offer(&mut node, packet(addresses, 8, 64)), [""; 0]);
        for counter in [Counter::IpInAddrErrors, Counter::IpInMartians] {
            let expected = u64::from(why == Some(counter));
            assert_eq!(count(&node, counter), expected, "{addresses:?}");
        }
    }
    // RFC 4443 §3.1: a link-local source is told that it reaches no further.
    let mut node = plain(1500);
    let told = offer(&mut node, packet(["fe80::9", "fd09::9"], 8, 64));
    assert!(
        told[0].ends_with("DestinationUnreachable { code: UnreachableCode(2), length: 0 }"),
        "{told:?}"
    );
}

/// RFC 3704 §2.2, §2.4.
#[test]
fn sources_are_compared_with_the_routes() {
    use ReversePath::{Loose, Off, Strict};
    for (mode, other_side, nowhere) in [
        (Off, true, true),
        (Loose, true, false),
        (Strict, false, false),
    ] {
        for [here, other, unknown, to] in [
            ["10.0.0.9", "10.9.0.7", "192.0.2.1", "10.9.0.9"],
            ["fd00::9", "fd09::7", "2001:db8::1", "fd09::9"],
        ] {
            let mut config = forwarding();
            config.interfaces.all.v4.rp_filter = mode;
            config.interfaces.all.v6.rp_filter = mode;
            let mut node = router(config, Medium::Ip, 1500);
            for (from, passes) in [(here, true), (other, other_side), (unknown, nowhere)] {
                let sent = offer(&mut node, packet([from, to], 8, 64));
                assert_eq!(sent.len(), usize::from(passes), "{mode:?} {from}");
            }
            let dropped = u64::from(!other_side) + u64::from(!nowhere);
            assert_eq!(count(&node, Counter::TcpExtIPReversePathFilter), dropped);
            // It is not only for what is sent on.
            Probe::take_log(&mut node, Probe::PROTOCOL);
            let own = if to == V4[1] { "10.0.0.1" } else { "fd00::1" };
            offer(&mut node, packet([unknown, own], 8, 64));
            let taken = Probe::take_log(&mut node, Probe::PROTOCOL).len();
            assert_eq!(taken, usize::from(nowhere), "{mode:?}");
        }
    }
}

/// Of two routes that are equally good, what comes by either came by its way.
#[test]
fn strict_means_by_any_of_the_best_routes() {
    let mut config = forwarding();
    config.interfaces.all.v4.rp_filter = ReversePath::Strict;
    let mut node = router(config, Medium::Ip, 1500);
    let net = "192.0.2.0/24".parse().unwrap();
    node.add_route(net, None, RIGHT, 5).unwrap();
    let from = ["192.0.2.1", "10.9.0.9"];
    assert_eq!(offer(&mut node, packet(from, 8, 64)).len(), 0);
    node.add_route(net, None, LEFT, 5).unwrap();
    assert_eq!(offer(&mut node, packet(from, 8, 64)).len(), 1);
    node.add_route(net, None, LEFT, 6).unwrap();
    assert_eq!(offer(&mut node, packet(from, 8, 64)).len(), 0);
}

fn options(bytes: &[u8]) -> RawOptions {
    RawOptions::from_slice(bytes).unwrap()
}

/// RFC 7126 §4.3, §4.4: also those that have been followed, and also to us.
#[test]
fn source_routes_are_refused() {
    for kind in [131, 137] {
        for pointer in [4, 8] {
            for to in ["10.9.0.9", "10.0.0.1"] {
                let mut node = plain(1500);
                let route = [kind, 7, pointer, 10, 9, 0, 7, 0];
                let packet = packet_v4(["10.0.0.9", to], 8, |h| h.options = options(&route));
                assert_eq!(offer(&mut node, packet), [""; 0]);
                assert_eq!(count(&node, Counter::IpInSourceRoutes), 1);
                assert_eq!(Probe::take_log(&mut node, Probe::PROTOCOL), [""; 0]);
            }
        }
    }
}

/// RFC 1812 §5.2.4.3, §4.2.2.2.
#[test]
fn routes_and_times_are_recorded() {
    let mut node = plain(1500);
    let list = [
        7, 11, 8, 1, 2, 3, 4, 0, 0, 0, 0, // A route with one entry and room for another.
        68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0, // Times with addresses.
        148, 4, 0, 0, 0, // A router alert, the end.
    ];
    let packet = packet_v4(V4, 8, |h| h.options = options(&list));
    node.handle_packet(Instant::from_millis(77), LEFT, packet);
    let [(RIGHT, out)] = &sent(&mut node, NOW)[..] else {
        panic!("it is sent on")
    };
    let header = ipv4::Header::parse(&out.to_vec()).unwrap();
    assert_eq!(
        header.options[..],
        [
            7, 11, 12, 1, 2, 3, 4, 10, 9, 0, 1, // The address that it left by.
            68, 12, 13, 1, 10, 9, 0, 1, 0x80, 0, 0, 77, // Not since midnight, and it says so.
            148, 4, 0, 0, 0
        ]
    );
}

/// RFC 1122 §3.2.2.5, RFC 1812 §5.2.7.3: at the option that is wrong.
#[test]
fn malformed_options_are_parameter_problems() {
    for to in ["10.9.0.9", "10.0.0.1"] {
        let mut node = plain(1500);
        let packet = packet_v4(["10.0.0.9", to], 8, |h| {
            h.options = options(&[1, 7, 7, 5, 0, 0, 0, 0]);
        });
        let told = offer(&mut node, packet);
        assert_eq!(told.len(), 1);
        assert!(
            told[0].ends_with(
                "ParameterProblem { code: ParameterProblemCode(0), pointer: 21, length: 0 }"
            ),
            "{told:?}"
        );
        assert_eq!(count(&node, Counter::IpInHdrErrors), 1);
    }
}

/// RFC 1858 §3, RFC 3128 §1.
#[test]
fn tiny_fragments_of_segments_are_dropped() {
    for to in ["10.9.0.9", "10.0.0.1"] {
        let mut node = plain(1500);
        let fragment = |protocol, offset, len, more_fragments| {
            packet_v4(["10.0.0.9", to], len, |header| {
                header.protocol = protocol;
                header.dont_fragment = false;
                header.fragment_offset = offset;
                header.more_fragments = more_fragments;
            })
        };
        for (offset, len, more) in [(0, 8, true), (8, 40, true), (8, 40, false)] {
            let tiny = fragment(IpProtocol::TCP, offset, len, more);
            assert_eq!(offer(&mut node, tiny), [""; 0]);
        }
        assert_eq!(count(&node, Counter::IpReasmTiny), 3);
        // The same of other protocols, and of segments elsewhere, is nothing unusual.
        for (protocol, offset, len, more) in [
            (Probe::PROTOCOL, 0, 8, true),
            (Probe::PROTOCOL, 8, 40, true),
            (IpProtocol::TCP, 0, 16, true),
            (IpProtocol::TCP, 16, 40, true),
        ] {
            offer(&mut node, fragment(protocol, offset, len, more));
        }
        let sent_on = count(&node, Counter::IpForwDatagrams);
        let kept = count(&node, Counter::IpReasmReqds);
        assert_eq!(sent_on + kept, 4);
        assert_eq!(count(&node, Counter::IpReasmTiny), 3);
    }
}

/// RFC 7045 §2.1, RFC 8200 §4: of extension headers a router reads the hop-by-hop one.
#[test]
fn extension_headers_are_passed_on_and_hop_by_hop_options_obeyed() {
    let with = |next: u8, behind: &[u8]| {
        let mut packet = Packet::from_slice(behind);
        let (from, to) = (V6[0].parse().unwrap(), V6[1].parse().unwrap());
        let header = ipv6::Header::new(from, to, IpProtocol(next), behind.len() as u16);
        header.emit(packet.push(ipv6::HEADER_LEN));
        packet
    };
    const HBH: u8 = 0;
    let unknown = |action: u8| [253, 0, action << 6 | 0x1e, 4, 0, 0, 0, 0];
    let mut node = plain(1500);
    for (next, behind) in [
        // Destination options, a routing header that is not followed yet, a header that nobody
        // knows, a fragment, hop-by-hop at the wrong place.
        (60, unknown(3)),
        (43, [253, 0, 4, 1, 0, 0, 0, 0]),
        (200, [0; 8]),
        (44, [253, 0, 0, 9, 0, 0, 0, 1]),
        (60, [HBH, 0, 1, 4, 0, 0, 0, 0]),
        // Options: a router alert, one that may be skipped.
        (HBH, [253, 0, 5, 2, 0, 0, 1, 0]),
        (HBH, unknown(0)),
    ] {
        let out = offer(&mut node, with(next, &behind));
        assert_eq!(out.len(), 1, "{next} {behind:?}");
        assert!(out[0].starts_with("right: "), "{out:?}");
    }
    for (action, told) in [(1, false), (2, true), (3, true)] {
        let out = offer(&mut node, with(HBH, &unknown(action)));
        assert_eq!(out.len(), usize::from(told), "{out:?}");
        assert!(
            out.iter()
                .all(|o| o
                    .ends_with("ParameterProblem { code: ParameterProblemCode(2), pointer: 42 }")),
            "{out:?}"
        );
    }
    // More options than anybody looks at.
    let mut many = vec![253, 2];
    many.extend([0x1e, 0].repeat(11));
    assert_eq!(offer(&mut node, with(HBH, &many)), [""; 0]);
    assert_eq!(count(&node, Counter::IpInHeaderLimits), 1);
}

/// A segment of `len` bytes behind the headers, as a device hands over super-segments.
fn super_segment(v6: bool, len: usize, size: u16) -> Packet {
    let ip_len = if v6 { 40 } else { 20 };
    let mut packet = Packet::from_slice(&vec![7; len]);
    let header = tcp::Header {
        source_port: 1000,
        destination_port: 80,
        seq: sockeye_wire::SeqNum(1),
        ack: sockeye_wire::SeqNum(1),
        flags: tcp::Flags::ACK,
        window: 1000,
        urgent_pointer: 0,
        checksum: 0,
        options: Default::default(),
    };
    header.emit(packet.push(tcp::HEADER_LEN));
    let len = (tcp::HEADER_LEN + len) as u16;
    let [from, to] = if v6 { V6 } else { V4 };
    let (source, destination): (IpAddr, IpAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let pseudo =
        sockeye_wire::checksum::pseudo_header(source, destination, IpProtocol::TCP, u32::from(len));
    let field = tcp::CHECKSUM_OFFSET;
    packet.head_mut()[field..field + 2].copy_from_slice(&pseudo.folded().to_be_bytes());
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let header = ipv4::Header::new(source, destination, IpProtocol::TCP, len);
            header.emit(packet.push(ip_len));
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = ipv6::Header::new(source, destination, IpProtocol::TCP, len);
            header.emit(packet.push(ip_len));
        }
        _ => panic!("addresses of two families"),
    }
    packet.meta.checksum = Checksum::Partial {
        start: ip_len as u16,
        offset: field as u16,
    };
    let kind = if v6 { GsoKind::TcpV6 } else { GsoKind::TcpV4 };
    packet.meta.gso = Some(Gso { kind, size });
    packet
}

#[test]
fn super_segments_are_sent_on_whole_or_cut_as_the_link_takes_them() {
    for v6 in [false, true] {
        let size = if v6 { 1440 } else { 1460 };
        let mut node = plain(1500);
        node.handle_packet(NOW, LEFT, super_segment(v6, 20_000, size));
        let out = sent(&mut node, NOW);
        assert_eq!(out.len(), 1);
        let meta = &out[0].1.meta;
        assert_eq!(meta.gso.unwrap().size, size);
        assert!(matches!(meta.checksum, Checksum::Partial { .. }));

        // A link that can do nothing gets the packets that it stands for, with their sums.
        let mut bare = link(Medium::Ip, 1500);
        bare.gso = sockeye_link::GsoKinds::NONE;
        bare.tx_checksum = false;
        node.set_capabilities(NOW, RIGHT, bare);
        node.handle_packet(NOW, LEFT, super_segment(v6, 20_000, size));
        let out = sent(&mut node, NOW);
        assert_eq!(out.len(), 14);
        for (_, piece) in &out {
            let bytes = piece.to_vec();
            let at = if v6 { 40 } else { 20 };
            let [from, to] = if v6 { V6 } else { V4 };
            let mut sum = sockeye_wire::checksum::pseudo_header(
                from.parse().unwrap(),
                to.parse().unwrap(),
                IpProtocol::TCP,
                (bytes.len() - at) as u32,
            );
            sum.add(&bytes[at..]);
            assert!(sum.is_valid());
            assert!(piece.meta.gso.is_none() && bytes.len() <= 1500);
        }
    }
}

/// It is the segments that have to fit, not what they travel in.
#[test]
fn super_segments_of_segments_that_are_too_big_are_told_so() {
    for v6 in [false, true] {
        let mut node = plain(1400);
        node.handle_packet(NOW, LEFT, super_segment(v6, 20_000, 1440));
        let out: Vec<_> = sent(&mut node, NOW).iter().map(say).collect();
        assert_eq!(out.len(), 1);
        assert!(
            out[0].contains("next_hop_mtu: 1400") || out[0].ends_with("PacketTooBig { mtu: 1400 }"),
            "{out:?}"
        );
        let size = if v6 { 1340 } else { 1360 };
        node.handle_packet(NOW, LEFT, super_segment(v6, 20_000, size));
        assert_eq!(sent(&mut node, NOW).len(), 1);
    }
    // Where segments may be cut, each is.
    let mut node = plain(1000);
    let mut packet = super_segment(false, 2920, 1460);
    let mut header = ipv4::Header::parse(packet.head()).unwrap();
    header.dont_fragment = false;
    header.emit(packet.head_mut());
    node.handle_packet(NOW, LEFT, packet);
    let out: Vec<_> = sent(&mut node, NOW).iter().map(say).collect();
    let sizes: Vec<_> = out.iter().map(|o| o.rsplit_once(": ").unwrap().1).collect();
    assert_eq!(sizes, ["976 bytes", "504 bytes", "976 bytes", "504 bytes"]);
}

const ROUTER: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const HOST: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 8]);

fn frame(mut packet: Packet) -> Packet {
    let v6 = packet.head()[0] >> 4 == 6;
    ethernet::Header {
        destination: ROUTER,
        source: HOST,
        ethertype: if v6 { EtherType::IPV6 } else { EtherType::IPV4 },
    }
    .emit(packet.push(ethernet::HEADER_LEN));
    packet
}

/// A router on Ethernets that knows the neighbours `HOST` and `OTHER` on its left.
fn on_ethernet(config: Config) -> Node {
    let mut node = router(config, Medium::Ethernet(ROUTER), 1500);
    for (address, mac) in [("10.0.0.9", HOST), ("10.0.0.8", OTHER)] {
        let request = arp::Header::request(mac, address.parse().unwrap(), [10, 0, 0, 1].into());
        let mut packet = Packet::from_slice(&[0; arp::HEADER_LEN]);
        request.emit(packet.head_mut());
        ethernet::Header {
            destination: MacAddr::BROADCAST,
            source: mac,
            ethertype: EtherType::ARP,
        }
        .emit(packet.push(ethernet::HEADER_LEN));
        node.handle_packet(NOW, LEFT, packet);
    }
    for (address, mac) in [("fd00::9", HOST), ("fe80::8", OTHER)] {
        let from: Ipv6Addr = address.parse().unwrap();
        let target = "fd00::1".parse().unwrap();
        let header = ndp::Header::NeighborSolicitation { target };
        let option = sockeye_wire::ndp_options::NdpOption::SourceLinkLayerAddress(mac);
        let mut message = vec![0; header.header_len() + option.emitted_len()];
        header.emit(&mut message);
        option.emit(&mut message[header.header_len()..]);
        icmpv6::fill_checksum(from, target, &mut message);
        let len = message.len() as u16;
        let mut ip = ipv6::Header::new(from, target, IpProtocol::ICMPV6, len);
        ip.hop_limit = 255;
        let mut packet = Packet::from_slice(&message);
        ip.emit(packet.push(ipv6::HEADER_LEN));
        node.handle_packet(NOW, LEFT, frame(packet));
    }
    sent(&mut node, NOW);
    for (net, gateway) in [("192.0.2.0/24", "10.0.0.8"), ("2001:db8::/32", "fe80::8")] {
        let gateway = gateway.parse().unwrap();
        node.add_route(net.parse().unwrap(), Some(gateway), LEFT, 0)
            .unwrap();
    }
    node
}

/// Frames on the left, without their headers: to whom, and what.
fn frames(node: &mut Node, now: Instant) -> Vec<String> {
    let strip = |(interface, mut packet): (InterfaceId, Packet)| {
        assert!(packet.pull_up(ethernet::HEADER_LEN));
        let header = ethernet::Header::parse(packet.head()).unwrap();
        packet.pull(ethernet::HEADER_LEN);
        let what = match header.ethertype {
            EtherType::ARP => "who has it?".to_owned(),
            _ => say(&(interface, packet)),
        };
        format!("{} {what}", header.destination)
    };
    let all = sent(node, now).into_iter().map(strip);
    // What groups it is in it says, too (RFC 3810 §5.2.14): that is another story.
    all.filter(|text| !text.contains("> ff02::16")).collect()
}

/// RFC 1812 §5.2.7.2, RFC 4861 §8.2.
#[test]
fn a_neighbour_is_told_of_a_better_first_hop() {
    let mut node = on_ethernet(forwarding());
    node.handle_packet(NOW, LEFT, frame(packet(["10.0.0.9", "192.0.2.1"], 8, 64)));
    assert_eq!(
        frames(&mut node, NOW),
        [
            "02:00:00:00:00:09 left: 10.0.0.1 > 10.0.0.9 hops 64: Redirect { code: RedirectCode(1), gateway: 10.0.0.8 }",
            "02:00:00:00:00:08 left: 10.0.0.9 > 192.0.2.1 hops 63: 8 bytes"
        ]
    );
    node.handle_packet(
        NOW,
        LEFT,
        frame(packet(["fd00::9", "2001:db8::1"], 100, 64)),
    );
    let out = sent(&mut node, NOW);
    let bytes = out[0].1.to_vec();
    let ip = ipv6::Header::parse(&bytes[14..]).unwrap();
    assert!(ip.source.is_unicast_link_local());
    let message = &bytes[54..];
    assert!(icmpv6::is_valid(ip.source, ip.destination, message));
    let header = ndp::Header::parse(message).unwrap();
    assert_eq!(
        header,
        ndp::Header::Redirect {
            target: "fe80::8".parse().unwrap(),
            destination: "2001:db8::1".parse().unwrap()
        }
    );
    let options = sockeye_wire::ndp_options::Options::parse(&message[40..]).unwrap();
    assert!(header.is_acceptable(ip.source, ip.destination, ip.hop_limit, options));
    let options: Vec<_> = options.into_iter().map(|o| format!("{o:?}")).collect();
    assert_eq!(
        options[0],
        format!("TargetLinkLayerAddress({OTHER:?})"),
        "{options:?}"
    );
    assert!(options[1].starts_with("RedirectedHeader([96, 0, 0, 0, 0, 100, 253, 64"));
    assert_eq!(out[1].1.to_vec()[..6], OTHER.0);
    assert_eq!(count(&node, Counter::IcmpOutRedirects), 2);
}

#[test]
fn redirects_are_withheld_where_they_would_be_wrong() {
    // From no neighbour; to who sent it; where they are off.
    let mut quiet = forwarding();
    for settings in [
        &mut quiet.interfaces.all.v4,
        &mut quiet.interfaces.default.v4,
        &mut quiet.interfaces.all.v6,
        &mut quiet.interfaces.default.v6,
    ] {
        settings.send_redirects = false;
    }
    for (config, addresses) in [
        (forwarding(), ["198.51.100.1", "192.0.2.1"]),
        (forwarding(), ["10.0.0.8", "192.0.2.1"]),
        (forwarding(), ["fe11::9", "2001:db8::1"]),
        (quiet.clone(), ["10.0.0.9", "192.0.2.1"]),
        (quiet, ["fd00::9", "2001:db8::1"]),
    ] {
        let mut node = on_ethernet(config);
        node.handle_packet(NOW, LEFT, frame(packet(addresses, 8, 64)));
        assert_eq!(frames(&mut node, NOW).len(), 1, "{addresses:?}");
        assert_eq!(count(&node, Counter::IcmpOutRedirects), 0);
        assert_eq!(count(&node, Counter::IpForwDatagrams), 1);
    }
}

/// As Linux does: ever more rarely to who does not heed them.
#[test]
fn redirects_are_limited_by_rate() {
    let mut node = on_ethernet(forwarding());
    for ms in 0..20_000 {
        let now = Instant::from_millis(ms);
        node.handle_packet(now, LEFT, frame(packet(["10.0.0.9", "192.0.2.1"], 8, 64)));
        sent(&mut node, now);
    }
    assert_eq!(count(&node, Counter::IcmpOutRedirects), 9);
    assert_eq!(count(&node, Counter::IcmpOutRateLimitHost), 19_991);
    assert_eq!(count(&node, Counter::IpForwDatagrams), 20_000);
}

/// RFC 1812 §3.3.2, RFC 4443 §3.1: looked for, and then the source is told.
#[test]
fn a_host_that_does_not_answer_is_unreachable() {
    for (addresses, told) in [
        (
            V4,
            "left: 10.0.0.1 > 10.0.0.9 hops 64: DestinationUnreachable { code: UnreachableCode(1), length: 0, next_hop_mtu: 0 }",
        ),
        (
            V6,
            "left: fd00::1 > fd00::9 hops 64: DestinationUnreachable { code: UnreachableCode(3), length: 0 }",
        ),
    ] {
        let mut node = on_ethernet(forwarding());
        node.handle_packet(NOW, LEFT, frame(packet(addresses, 100, 64)));
        let (mut now, mut asked) = (NOW, 0);
        loop {
            let out = frames(&mut node, now);
            asked += out.iter().filter(|o| !o.contains("Unreachable")).count();
            if let Some(error) = out.iter().find(|o| o.contains("Unreachable")) {
                assert_eq!(*error, format!("02:00:00:00:00:09 {told}"));
                break;
            }
            now += Duration::from_millis(500);
            node.handle_timeout(now);
            assert!(now < Instant::from_millis(10_000), "nobody is told");
        }
        assert_eq!(asked, 3);
        assert_eq!(count(&node, Counter::NeighbourUnreachable), 1);
        // Our own transports are told nothing: it was none of theirs.
        let log = Probe::take_log(&mut node, Probe::PROTOCOL);
        assert!(!log.iter().any(|l| l.contains("Unreachable")), "{log:?}");
    }
}

/// RFC 1122 §3.3.6: what the link sent to all goes no further.
#[test]
fn a_broadcast_frame_is_not_sent_on() {
    for addresses in [V4, V6] {
        let mut node = on_ethernet(forwarding());
        let mut all = frame(packet(addresses, 8, 64));
        all.head_mut()[..6].fill(0xff);
        node.handle_packet(NOW, LEFT, all);
        assert_eq!(frames(&mut node, NOW), [""; 0]);
        assert_eq!(count(&node, Counter::IpInAddrErrors), 1);
    }
}

/// RFC 4291 §2.8, RFC 4861 §4.4.
#[test]
fn a_router_is_among_all_routers_and_says_that_it_is_one() {
    for (config, routes) in [(Config::default(), false), (forwarding(), true)] {
        let mut node = router(config.clone(), Medium::Ip, 1500);
        for group in ["224.0.0.2", "ff02::2", "ff05::2"] {
            Probe::take_log(&mut node, Probe::PROTOCOL);
            let from = if group.contains(':') { V6[0] } else { V4[0] };
            offer(&mut node, packet([from, group], 8, 64));
            let taken = Probe::take_log(&mut node, Probe::PROTOCOL).len();
            assert_eq!(taken, usize::from(routes), "{group}");
        }
        let mut node = router(config, Medium::Ethernet(ROUTER), 1500);
        let from: Ipv6Addr = "fd00::9".parse().unwrap();
        let target: Ipv6Addr = "fd00::1".parse().unwrap();
        let mut message = [0; 24];
        ndp::Header::NeighborSolicitation { target }.emit(&mut message);
        icmpv6::fill_checksum(from, target, &mut message);
        let mut ip = ipv6::Header::new(from, target, IpProtocol::ICMPV6, 24);
        ip.hop_limit = 255;
        let mut packet = Packet::from_slice(&message);
        ip.emit(packet.push(ipv6::HEADER_LEN));
        node.handle_packet(NOW, LEFT, frame(packet));
        // It asks first who the asker is.
        let now = NOW;
        let mut reply = [0; 32];
        ndp::Header::NeighborAdvertisement {
            router: false,
            solicited: true,
            override_flag: true,
            target: from,
        }
        .emit(&mut reply);
        sockeye_wire::ndp_options::NdpOption::TargetLinkLayerAddress(HOST).emit(&mut reply[24..]);
        let asker = sent(&mut node, now)[0].1.to_vec();
        let asker = ipv6::Header::parse(&asker[14..]).unwrap().source;
        icmpv6::fill_checksum(from, asker, &mut reply);
        let mut ip = ipv6::Header::new(from, asker, IpProtocol::ICMPV6, 32);
        ip.hop_limit = 255;
        let mut packet = Packet::from_slice(&reply);
        ip.emit(packet.push(ipv6::HEADER_LEN));
        node.handle_packet(now, LEFT, frame(packet));
        let answer = sent(&mut node, now)[0].1.to_vec();
        let answer = ndp::Header::parse(&answer[54..]).unwrap();
        assert!(
            matches!(answer, ndp::Header::NeighborAdvertisement { router, .. } if router == routes),
            "{answer:?}"
        );
    }
}

/// What the owner of the node wants handed up is, and the rest is sent on.
#[test]
fn what_is_intercepted_is_not_sent_on() {
    for addresses in [V4, V6] {
        let mut node = plain(1500);
        let inet = node.context(NOW).inet;
        inet.set_intercept(Probe::PROTOCOL, true);
        Probe::take_log(&mut node, Probe::PROTOCOL);
        assert_eq!(offer(&mut node, packet(addresses, 8, 64)), [""; 0]);
        assert_eq!(Probe::take_log(&mut node, Probe::PROTOCOL).len(), 1);
        node.context(NOW).inet.set_intercept(Probe::PROTOCOL, false);
        node.context(NOW).inet.set_intercept(IpProtocol(254), true);
        assert_eq!(offer(&mut node, packet(addresses, 8, 64)).len(), 1);
    }
}

#[test]
fn a_full_queue_loses_packets_and_counts_them() {
    let mut node = plain(1500);
    for _ in 0..1500 {
        node.handle_packet(NOW, LEFT, packet(V4, 100, 64));
    }
    assert_eq!(count(&node, Counter::IpOutDiscards), 500);
    send(
        &mut node,
        NOW,
        "10.0.0.9",
        Probe::PROTOCOL,
        b"other side",
        true,
    )
    .unwrap();
    assert_eq!(sent(&mut node, NOW).len(), 1001);
    // Fragments of which not all fit are of no use.
    let mut node = plain(1000);
    for _ in 0..999 {
        node.handle_packet(NOW, LEFT, packet(V4, 100, 64));
    }
    let large = packet_v4(V4, 1400, |header| header.dont_fragment = false);
    node.handle_packet(NOW, LEFT, large);
    assert_eq!(count(&node, Counter::IpOutDiscards), 1);
    assert_eq!(sent(&mut node, NOW).len(), 999);
}

#[test]
fn the_next_router_is_handed_what_lies_behind_it() {
    let far: Ipv4Addr = V4[1].parse().unwrap();
    let mut node = plain(1500);
    node.add_route(
        "198.51.100.0/24".parse().unwrap(),
        Some(far.into()),
        RIGHT,
        0,
    )
    .unwrap();
    assert_eq!(
        offer(&mut node, packet(["10.0.0.9", "198.51.100.7"], 8, 64)),
        ["right: 10.0.0.9 > 198.51.100.7 hops 63: 8 bytes"]
    );
}
