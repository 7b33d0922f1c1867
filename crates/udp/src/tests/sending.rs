//! What leaves: headers, checksums, sizes, room.

use super::*;
use sockeye_core::{Checksum, GsoKind, Report};

fn port(packet: &Packet, at: usize) -> u16 {
    let bytes = packet.to_vec();
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[test]
fn the_wire_format() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let id = a.bound("0.0.0.0:258");
    a.set(id, SocketOption::Ttl, 9).unwrap();
    a.set(id, SocketOption::Tos, 0x10).unwrap();
    a.send_to(id, b"hi", "10.0.0.2:772").unwrap();
    let packet = a.sent().remove(0).to_vec();
    let header = ipv4::Header::parse(&packet).unwrap();
    assert_eq!((header.ttl, header.tos), (9, 0x10));
    assert!(header.dont_fragment);
    assert_eq!(packet[20..26], [1, 2, 3, 4, 0, 10]);
    assert_eq!(&packet[28..], b"hi");
    // ~(0a00 + 0001 + 0a00 + 0002 + 0011 + 000a + 0102 + 0304 + 000a + 6869)
    assert_eq!(packet[26..28], [0x7f, 0x68]);
}

#[test]
fn a_checksum_is_left_to_a_link_that_makes_it() {
    let mut able = capabilities();
    able.tx_checksum = true;
    let mut a = Host::with(Config::default(), able, &["10.0.0.1/24"]);
    let id = a.bound("0.0.0.0:258");
    a.send_to(id, b"hi", "10.0.0.2:772").unwrap();
    let packet = a.sent().remove(0);
    let Checksum::Partial { start, offset } = packet.meta.checksum else {
        panic!("{:?}", packet.meta);
    };
    assert_eq!((start, offset), (20, 6));
    // The pseudo-header alone: 0a00 + 0001 + 0a00 + 0002 + 0011 + 000a.
    assert_eq!(port(&packet, 26), 0x141e);
}

#[test]
fn a_checksum_of_zero_is_sent_as_ones() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let id = a.bound("0.0.0.0:258");
    // The two bytes that make the sum of the_wire_format come out as ffff.
    a.send_to(id, &(0x6869u16 + 0x7f68).to_be_bytes(), "10.0.0.2:772")
        .unwrap();
    assert_eq!(port(&a.sent()[0], 26), 0xffff);
}

#[test]
fn what_one_send_says_goes_before_the_options() {
    let mut a = Host::new(&["10.0.0.1/24", "10.0.0.3/24", "fd00::1/64"]);
    let id = a.bound("0.0.0.0:7");
    let mut options = SendOptions {
        ttl: Some(3),
        tos: Some(4),
        source: Some("10.0.0.3".parse().unwrap()),
        interface: Some(a.link),
        ..SendOptions::default()
    };
    let to: Option<SocketAddr> = Some("10.0.0.2:9".parse().unwrap());
    let (udp, mut cx) = a.cx();
    udp.send(&mut cx, id, &[IoSlice::new(b"x")], to, &options)
        .unwrap();
    options.source = Some("10.0.0.77".parse().unwrap());
    let spoofed = udp.send(&mut cx, id, &[IoSlice::new(b"x")], to, &options);
    assert_eq!(spoofed, Err(Error::NetworkUnreachable));
    let header = ipv4::Header::parse(a.sent()[0].head()).unwrap();
    assert_eq!((header.ttl, header.tos), (3, 4));
    assert_eq!(header.source.to_string(), "10.0.0.3");
}

#[test]
fn a_broadcast_needs_the_option() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let id = a.open(Domain::V4);
    for to in ["10.0.0.255:9", "255.255.255.255:9"] {
        a.set(id, SocketOption::Broadcast, 0).unwrap();
        assert_eq!(a.send_to(id, b"x", to), Err(Error::Access));
        assert_eq!(a.connect(id, to), Err(Error::Access));
        a.set(id, SocketOption::Broadcast, 1).unwrap();
        assert_eq!(a.send_to(id, b"x", to), Ok(1));
    }
    assert_eq!(a.sent().len(), 2);
}

#[test]
fn who_sends_to_a_group_hears_it_if_a_member() {
    for (looped, copies) in [(1, 1), (0, 0)] {
        let mut a = Host::new(&["10.0.0.1/24"]);
        let id = a.bound("0.0.0.0:5353");
        let link = Some(a.link);
        let (udp, mut cx) = a.cx();
        udp.join_group(&mut cx, id, "224.0.0.251".parse().unwrap(), link)
            .unwrap();
        a.set(id, SocketOption::MulticastLoop, looped).unwrap();
        a.send_to(id, b"x", "224.0.0.251:5353").unwrap();
        let header = ipv4::Header::parse(a.sent()[0].head()).unwrap();
        assert_eq!(header.ttl, 1);
        a.turn_loopback();
        assert_eq!(usize::from(a.recv(id).is_ok()), copies);
    }
}

#[test]
fn sizes() {
    let mut a = Host::new(&["10.0.0.1/24", "fd00::1/64"]);
    let v4 = a.open(Domain::V4);
    let v6 = a.open(Domain::V6);
    let data = vec![0; 65_536];
    let long = Err(Error::MessageSize);
    assert_eq!(a.send_to(v4, &data[..65_508], "127.0.0.1:9"), long);
    assert_eq!(a.send_to(v6, &data[..65_528], "[::1]:9"), long);
    assert_eq!(a.send_to(v4, &data[..65_507], "127.0.0.1:9"), Ok(65_507));
    // Linux's loopback carries 65,536 bytes of IPv6 packet: what is longer is fragmented.
    assert_eq!(a.send_to(v6, &data[..65_488], "[::1]:9"), Ok(65_488));
    assert_eq!(a.send_to(v4, b"", "10.0.0.2:9"), Ok(0));
    assert_eq!(a.send_to(v4, &data[..1472], "10.0.0.2:9"), Ok(1472));
    // IP_PMTUDISC_DO: nothing is fragmented.
    a.set(v4, SocketOption::MtuDiscover, 2).unwrap();
    a.set(v4, SocketOption::ReceiveErrors, 1).unwrap();
    assert_eq!(a.send_to(v4, &data[..1473], "10.0.0.2:9"), long);
    let (Report::Error(report), Some(to)) = a.udp.recv_error(v4).unwrap() else {
        panic!("not of an error");
    };
    assert_eq!(
        (report.error, report.origin),
        (Error::MessageSize, Origin::Local)
    );
    // As on Linux the port is that of the peer, which it does not have.
    assert_eq!((report.info, to.to_string()), (1500, "10.0.0.2:0".into()));
    assert_eq!(a.sent().len(), 2);
}

#[test]
fn a_full_interface_says_so_and_later_that_it_has_room() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let [first, second] = [a.open(Domain::V4), a.open(Domain::V4)];
    while a.send_to(first, b"x", "10.0.0.2:9").is_ok() {}
    assert_eq!(
        a.send_to(second, b"x", "10.0.0.2:9"),
        Err(Error::WouldBlock)
    );
    assert!(!a.ready(first).contains(Readiness::WRITABLE));
    assert!(a.became_ready().is_empty());
    let link = a.link;
    let (udp, mut cx) = a.cx();
    assert!(udp.poll_transmit(&mut cx, link, 64), "they go on waiting");
    assert_eq!(a.sent().len(), 1000);
    let (udp, mut cx) = a.cx();
    assert!(!udp.poll_transmit(&mut cx, link, 64));
    let writable = |id| (id, Readiness::WRITABLE);
    assert_eq!(a.became_ready(), [writable(first), writable(second)]);
    assert_eq!(a.send_to(first, b"x", "10.0.0.2:9"), Ok(1));
    assert_eq!(a.count(Counter::UdpOutDatagrams), 1001);
}

#[test]
fn one_send_is_cut_into_datagrams_of_one_size() {
    let (mut a, mut b) = pair();
    let c = a.bound("10.0.0.1:7");
    let s = b.bound("10.0.0.2:9");
    a.set(c, SocketOption::UdpSegment, 4).unwrap();
    assert_eq!(a.send_to(c, b"aaaabbbbcc", "10.0.0.2:9"), Ok(10));
    assert_eq!(a.count(Counter::UdpOutDatagrams), 3);
    b.arrive(a.sent());
    for text in ["aaaa", "bbbb", "cc"] {
        assert_eq!(b.text(s).as_deref(), Ok(text));
    }
    // No longer than one: as without the option.
    a.send_to(c, b"dddd", "10.0.0.2:9").unwrap();
    assert_eq!(a.sent().len(), 1);
    let many = vec![0; 4 * 128 + 1];
    assert_eq!(a.send_to(c, &many, "10.0.0.2:9"), Err(Error::Invalid));
    a.set(c, SocketOption::UdpSegment, 1473).unwrap();
    let fits_no_packet = a.send_to(c, &vec![0; 3000], "10.0.0.2:9");
    assert_eq!(fits_no_packet, Err(Error::MessageSize));
    assert_eq!(
        a.set(c, SocketOption::UdpSegment, 65_536),
        Err(Error::Invalid)
    );
}

#[test]
fn a_link_that_cuts_gets_the_whole() {
    let mut able = capabilities();
    able.tx_checksum = true;
    able.gso = GsoKinds::ALL;
    able.gso_max = 65_535;
    let mut a = Host::with(Config::default(), able, &["10.0.0.1/24"]);
    let id = a.bound("10.0.0.1:7");
    a.set(id, SocketOption::UdpSegment, 1000).unwrap();
    a.send_to(id, &vec![1; 40_500], "10.0.0.2:9").unwrap();
    let sent = a.sent();
    let gso = sent[0].meta.gso.unwrap();
    assert_eq!((sent.len(), sent[0].len()), (1, 40_528));
    assert_eq!((gso.kind, gso.size), (GsoKind::Udp, 1000));
    assert_eq!(port(&sent[0], 24), 40_508);
    assert_eq!(a.count(Counter::UdpOutDatagrams), 41);
}

#[test]
fn addresses_that_can_not_be_sent_to() {
    let mut a = Host::new(&["10.0.0.1/24", "fe80::1/64"]);
    let v4 = a.open(Domain::V4);
    let v6 = a.open(Domain::V6);
    assert_eq!(a.send(v4, b"x"), Err(Error::DestinationRequired));
    assert_eq!(a.send_to(v4, b"x", "10.0.0.2:0"), Err(Error::Invalid));
    assert_eq!(
        a.send_to(v4, b"x", "192.0.2.1:9"),
        Err(Error::NetworkUnreachable)
    );
    assert_eq!(
        a.send_to(v4, b"x", "[fe80::2]:9"),
        Err(Error::AddressFamily)
    );
    assert_eq!(a.send_to(v6, b"x", "[fe80::2]:9"), Err(Error::Invalid));
    assert_eq!(a.send_to(v6, b"x", "[fe80::2%2]:9"), Ok(1));
}

/// IP_UNICAST_IF and IPV6_UNICAST_IF, in network byte order.
#[test]
fn hosts_are_reached_by_the_interface_of_choice() {
    let mut a = Host::new(&["10.0.0.1/24", "fd00::1/64"]);
    let id = a.open(Domain::V6);
    let index = |n: u32| n.to_be().cast_signed();
    for (option, to) in [
        (SocketOption::UnicastInterface, "[::ffff:10.0.0.2]:9"),
        (SocketOption::UnicastInterfaceV6, "[fd00::2]:9"),
    ] {
        let nowhere = a.set(id, option, index(7));
        assert_eq!(nowhere, Err(Error::AddressNotAvailable));
        a.set(id, option, index(1)).unwrap();
        assert_eq!(a.send_to(id, b"x", to), Err(Error::NetworkUnreachable));
        let link = a.link.0;
        a.set(id, option, index(link)).unwrap();
        assert_eq!(a.send_to(id, b"x", to), Ok(1));
    }
    a.set(id, SocketOption::BindToDevice, 2).unwrap();
    let chosen = a.set(id, SocketOption::UnicastInterface, index(2));
    assert_eq!(chosen, Err(Error::Invalid));
}

#[test]
fn a_pending_error_comes_after_what_is_wrong_with_the_call() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let id = a.bound("10.0.0.1:1");
    let (udp, mut cx) = a.cx();
    udp.put_error(&mut cx, id, Error::ConnectionRefused);
    assert_eq!(a.send(id, b"x"), Err(Error::DestinationRequired));
    let unreachable = a.send_to(id, b"x", "192.0.2.1:9");
    assert_eq!(unreachable, Err(Error::NetworkUnreachable));
    let refused = a.send_to(id, b"x", "10.0.0.2:9");
    assert_eq!(refused, Err(Error::ConnectionRefused));
    assert_eq!(a.send_to(id, b"x", "10.0.0.2:9"), Ok(1));
}
