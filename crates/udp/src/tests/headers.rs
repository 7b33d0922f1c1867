//! IP options, extension headers, flow labels: sent by every packet or by one, and told on receipt
//! (RFC 791 §3.1, RFC 3542).

use super::*;
use bytes::Bytes;
use sockeye_core::ip::extras::{Extras, Ipv4Options};
use sockeye_core::socket::Stamp;

/// An unknown option that is skipped, and padding.
const OPTION: [u8; 8] = [0, 0, 0x1e, 4, 1, 2, 3, 4];
const V6: (&str, &str) = ("[fd00::1]:7", "[fd00::2]:9");

fn switch_on(host: &mut Host, id: SocketId, options: &[SocketOption]) {
    for &option in options {
        host.set(id, option, 1).unwrap();
    }
}

fn v6_pair() -> (Host, SocketId, Host, SocketId) {
    let (mut a, mut b) = pair();
    let (c, s) = (a.bound(V6.0), b.bound(V6.1));
    (a, c, b, s)
}

#[test]
fn ip_options_travel_in_every_packet() {
    let (mut a, mut b) = pair();
    let c = a.bound("10.0.0.1:7");
    let s = b.bound("10.0.0.2:9");
    let alert = [148, 4, 0, 0];
    a.set_bytes(c, SocketOption::IpOptions, &alert).unwrap();
    switch_on(
        &mut b,
        s,
        &[SocketOption::ReceiveOptions, SocketOption::ReturnOptions],
    );
    a.send_to(c, b"x", "10.0.0.2:9").unwrap();
    b.arrive(a.sent());
    let alert = Bytes::from_static(&[148, 4, 0, 0]);
    let nothing = Bytes::new();
    let told = [Control::Options(alert), Control::ReturnOptions(nothing)];
    assert_eq!(b.told(s), told);
    // One send may say others, and none are there to be told.
    let record = Ipv4Options::new(&[7, 7, 4, 0, 0, 0, 0], false).unwrap();
    let options = SendOptions {
        extras: Extras {
            options: record,
            ..Extras::NONE
        },
        ..SendOptions::default()
    };
    a.send_with(c, b"x", "10.0.0.2:9", &options).unwrap();
    b.arrive(a.sent());
    let recorded = Bytes::from_static(&[7, 7, 8, 10, 0, 0, 1, 0]);
    let told = [
        Control::Options(recorded.clone()),
        Control::ReturnOptions(recorded),
    ];
    assert_eq!(b.told(s), told);
    a.set_bytes(c, SocketOption::IpOptions, &[]).unwrap();
    a.send_to(c, b"x", "10.0.0.2:9").unwrap();
    b.arrive(a.sent());
    assert_eq!(b.told(s), []);
}

/// RFC 791 §3.1: the options of the first fragment, and of the others those that are copied.
#[test]
fn ip_options_of_fragments() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let c = a.bound("10.0.0.1:7");
    let options = [148, 4, 0, 0, 7, 3, 4];
    a.set_bytes(c, SocketOption::IpOptions, &options).unwrap();
    a.send_to(c, &[0; 3000], "10.0.0.2:9").unwrap();
    let lens: Vec<(usize, Vec<u8>)> = a
        .sent()
        .iter()
        .map(|packet| {
            let header = ipv4::Header::parse(packet.head()).unwrap();
            (packet.len(), header.options.to_vec())
        })
        .collect();
    let (all, copied) = (vec![148, 4, 0, 0, 7, 3, 4, 0], vec![148, 4, 0, 0]);
    assert_eq!(lens[0], (1500, all));
    assert_eq!(lens[1], (24 + 1472, copied.clone()));
    assert_eq!(lens[2], (24 + 64, copied));
}

/// RFC 8200 §4.1: hop-by-hop options first, the destination's behind the fragment header.
#[test]
fn extension_headers_travel_in_their_order() {
    let (mut a, c, mut b, s) = v6_pair();
    a.set_bytes(c, SocketOption::HopOptions, &OPTION).unwrap();
    a.set_bytes(c, SocketOption::DestinationOptions, &OPTION)
        .unwrap();
    let wanted = [
        SocketOption::ReceiveHopOptions,
        SocketOption::ReceiveDestinationOptions,
    ];
    switch_on(&mut b, s, &wanted);
    for len in [1, 3000] {
        a.send_to(c, &vec![0; len], V6.1).unwrap();
        let sent = a.sent();
        assert_eq!(sent.len(), len.div_ceil(1280));
        let bytes = sent[0].to_vec();
        assert_eq!(bytes[6], IpProtocol::HOP_BY_HOP.0);
        let mut expected = vec![IpProtocol::DESTINATION_OPTIONS.0];
        if len > 1 {
            expected = vec![IpProtocol::FRAGMENT.0, IpProtocol::DESTINATION_OPTIONS.0];
        }
        expected.push(IpProtocol::UDP.0);
        let named = (0..expected.len()).map(|n| bytes[40 + 8 * n]);
        assert!(named.eq(expected), "{bytes:?}");
        b.arrive(sent);
        let told = b.told(s);
        let kinds = told.iter().map(|control| match control {
            Control::Header { kind, bytes, .. } => (*kind, bytes[1..].to_vec()),
            other => panic!("{other:?}"),
        });
        let options = OPTION[1..].to_vec();
        let both = [
            (IpProtocol::HOP_BY_HOP, options.clone()),
            (IpProtocol::DESTINATION_OPTIONS, options),
        ];
        assert!(kinds.eq(both));
    }
}

#[test]
fn who_may_not_more_than_others_sends_no_extension_headers() {
    let config = Config {
        raw_sockets: false,
        ..Config::default()
    };
    let mut a = Host::with(config, capabilities(), &["fd00::1/64"]);
    let c = a.bound(V6.0);
    let set = a.set_bytes(c, SocketOption::HopOptions, &OPTION);
    assert_eq!(set, Err(Error::NotPermitted));
    let options = SendOptions {
        extras: Extras {
            hop_options: Some(Bytes::from_static(&OPTION)),
            ..Extras::NONE
        },
        ..SendOptions::default()
    };
    let sent = a.send_with(c, b"x", V6.1, &options);
    assert_eq!(sent, Err(Error::NotPermitted));
}

/// ip6_datagram_recv_specific_ctl and ip_cmsg_recv_offset of Linux.
#[test]
fn recvmsg_tells_in_the_order_of_linux() {
    use SocketOption as O;
    let (mut a, mut b) = pair();
    let c = a.bound("[::]:7");
    let s = b.bound("[::]:9");
    a.set(c, O::SendFlowInfo, 1).unwrap();
    let v6 = [
        O::ReceivePacketInfoV6,
        O::ReceiveHopLimit,
        O::ReceiveTrafficClass,
        O::ReceiveFlowInfo,
        O::OldHopLimit,
        O::OriginalDestinationV6,
    ];
    let v4 = [
        O::PacketInfo,
        O::ReceiveTtl,
        O::ReceiveTos,
        O::OriginalDestination,
    ];
    switch_on(&mut b, s, &v4);
    switch_on(&mut b, s, &v6);
    switch_on(&mut b, s, &[O::TimestampNs]);
    let interface = b.link;
    let options = SendOptions {
        address_flow_label: Some(0xabcde),
        traffic_class: Some(4),
        tos: Some(8),
        ttl: Some(9),
        hop_limit: Some(10),
        ..SendOptions::default()
    };
    a.send_with(c, b"x", V6.1, &options).unwrap();
    b.arrive(a.sent());
    let arrived = Control::Arrived(Stamp::Nanos, Instant::ZERO);
    let info = |destination: &str| Control::PacketInfoV6 {
        old: false,
        interface,
        destination: destination.parse().unwrap(),
    };
    let endpoint = |addr: &str| Endpoint::from(addr.parse::<SocketAddr>().unwrap());
    let expected = [
        arrived.clone(),
        info("fd00::2"),
        Control::HopLimit {
            old: false,
            hops: 10,
        },
        Control::TrafficClass(4),
        Control::FlowInfo(0x004a_bcde),
        Control::HopLimit {
            old: true,
            hops: 10,
        },
        Control::OriginalDestination(endpoint("[fd00::2]:9")),
    ];
    assert_eq!(b.told(s), expected);
    a.send_with(c, b"x", "[::ffff:10.0.0.2]:9", &options)
        .unwrap();
    b.arrive(a.sent());
    let own = "10.0.0.2".parse().unwrap();
    let expected = [
        arrived,
        info("::ffff:10.0.0.2"),
        Control::PacketInfo {
            interface,
            local: own,
            destination: own,
        },
        Control::Ttl(9),
        Control::Tos(8),
        Control::OriginalDestination(endpoint("10.0.0.2:9")),
    ];
    assert_eq!(b.told(s), expected);
}

#[test]
fn the_largest_fragment_is_told() {
    let (mut a, mut b) = pair();
    let c = a.bound("[::]:7");
    let s = b.bound("[::]:9");
    let wanted = [
        SocketOption::ReceiveFragmentSize,
        SocketOption::ReceiveFragmentSizeV6,
    ];
    switch_on(&mut b, s, &wanted);
    for (to, v6, bytes) in [("[::ffff:10.0.0.2]:9", false, 1500), (V6.1, true, 1496)] {
        a.send_to(c, &[0; 3000], to).unwrap();
        b.arrive(a.sent());
        assert_eq!(b.told(s), [Control::FragmentSize { v6, bytes }]);
        a.send_to(c, b"whole", to).unwrap();
        b.arrive(a.sent());
        assert_eq!(b.told(s), []);
    }
}

#[test]
fn sticky_packet_info_is_for_every_send() {
    let mut a = Host::new(&["10.0.0.1/24", "fd00::1/64", "fd00::3/64"]);
    let c = a.open(Domain::V6);
    let mut info = "fd00::3"
        .parse::<std::net::Ipv6Addr>()
        .unwrap()
        .octets()
        .to_vec();
    info.extend(a.link.0.to_ne_bytes());
    a.set_bytes(c, SocketOption::StickyPacketInfo, &info)
        .unwrap();
    a.send_to(c, b"x", V6.1).unwrap();
    a.send_to(c, b"x", "[::ffff:10.0.0.2]:9").unwrap();
    let sent = a.sent();
    let header = ipv6::Header::parse(sent[0].head()).unwrap();
    assert_eq!(header.source.to_string(), "fd00::3");
    assert_eq!(sent[1].head()[12..16], [10, 0, 0, 1]);
    let short = a.set_bytes(c, SocketOption::StickyPacketInfo, &info[..19]);
    assert_eq!(short, Err(Error::Invalid));
}

#[test]
fn ipv6_mtu_says_how_large_fragments_are() {
    let mut a = Host::new(&["fd00::1/64"]);
    let c = a.bound(V6.0);
    assert_eq!(a.set(c, SocketOption::MtuV6, 1279), Err(Error::Invalid));
    a.set(c, SocketOption::MtuV6, 1280).unwrap();
    a.send_to(c, &[0; 1300], V6.1).unwrap();
    let lens: Vec<usize> = a.sent().iter().map(Packet::len).collect();
    assert_eq!(lens, [1280, 40 + 8 + 1308 - 1232]);
}

/// RFC 3542 §11.2 and §11.3.
#[test]
fn who_does_not_fragment_hears_of_the_path() {
    let mut a = Host::new(&["fd00::1/64"]);
    let c = a.bound(V6.0);
    a.set(c, SocketOption::DontFragment, 1).unwrap();
    let long = a.send_to(c, &[0; 1453], V6.1);
    assert_eq!(long, Err(Error::MessageSize));
    assert_eq!(a.ready(c), Readiness::WRITABLE, "nobody has asked");
    a.set(c, SocketOption::ReceivePathMtu, 1).unwrap();
    let long = a.send_to(c, &[0; 1453], V6.1);
    assert_eq!(long, Err(Error::MessageSize));
    assert!(a.ready(c).contains(Readiness::READABLE));
    let [Control::PathMtu { mtu: 1500, to }] = a.told(c)[..] else {
        panic!("the path is not told");
    };
    assert_eq!(to.ip.to_string(), "fd00::2");
    assert_eq!(a.recv(c), Err(Error::WouldBlock), "it is told once");
    // One send may say otherwise.
    let options = SendOptions {
        dont_fragment: Some(false),
        ..SendOptions::default()
    };
    assert_eq!(a.send_with(c, &[0; 1453], V6.1, &options), Ok(1453));
}

/// RFC 6437 §3: one for a flow, not the same for another.
#[test]
fn flow_labels() {
    let mut a = Host::new(&["fd00::1/64"]);
    let (first, second) = (a.bound("[fd00::1]:7"), a.bound("[fd00::1]:8"));
    let label = |host: &mut Host, id, options: &SendOptions| {
        host.send_with(id, b"x", V6.1, options).unwrap();
        ipv6::Header::parse(host.sent()[0].head())
            .unwrap()
            .flow_label
    };
    let nothing = SendOptions::default();
    let own = label(&mut a, first, &nothing);
    assert_ne!(own, 0);
    assert_eq!(label(&mut a, first, &nothing), own);
    assert_ne!(label(&mut a, second, &nothing), own);
    let said = SendOptions {
        address_flow_label: Some(0x0fab_cdef),
        ..SendOptions::default()
    };
    assert_eq!(
        label(&mut a, first, &said),
        own,
        "IPV6_FLOWINFO_SEND is off"
    );
    a.set(first, SocketOption::SendFlowInfo, 1).unwrap();
    assert_eq!(label(&mut a, first, &said), 0xbcdef);
    a.set(first, SocketOption::AutoFlowLabel, 0).unwrap();
    assert_eq!(label(&mut a, first, &nothing), 0);
}
