//! Which datagrams are taken, and by whom.

use super::*;
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, proptest};
use sockeye_core::{Checksum, Gso, GsoKind};

/// The checksum field, by family and what the link says of it: is the datagram delivered?
#[test]
fn checksums() {
    let v4 = ("10.0.0.2:9", "10.0.0.1:7");
    let v6 = ("[fd00::2]:9", "[fd00::1]:7");
    let partial = Checksum::Partial {
        start: 20,
        offset: 6,
    };
    let table = [
        (v4, None, Checksum::Unverified, true),
        (v6, None, Checksum::Unverified, true),
        (v4, Some(0), Checksum::Unverified, true),
        (v6, Some(0), Checksum::Unverified, false),
        (v4, Some(0x1234), Checksum::Unverified, false),
        (v6, Some(0x1234), Checksum::Unverified, false),
        (v4, Some(0x1234), Checksum::Verified, true),
        (v6, Some(0x1234), partial, true),
    ];
    for ((from, to), field, known, taken) in table {
        let mut a = Host::new(&["10.0.0.1/24", "fd00::1/64"]);
        let id = a.bound("[::]:7");
        let mut packet = packet(from, to, b"data");
        let header = packet.len() - 12;
        if let Some(field) = field {
            udp::set_checksum(&mut packet.head_mut()[header..], field);
        }
        packet.meta.checksum = known;
        a.arrive(vec![packet]);
        assert_eq!(a.recv(id).is_ok(), taken, "{to} {field:?} {known:?}");
        let errors = u64::from(!taken);
        assert_eq!(a.count(Counter::UdpInCsumErrors), errors);
        assert_eq!(a.count(Counter::UdpInErrors), errors);
        assert_eq!(a.count(Counter::UdpInDatagrams), 1 - errors);
    }
}

/// The length field against 12 bytes of IP payload.
#[test]
fn lengths() {
    for (length, text) in [
        (12, Some("data")),
        (11, Some("dat")),
        (8, Some("")),
        (13, None),
        (7, None),
        (0, None),
    ] {
        let mut a = Host::new(&["10.0.0.1/24"]);
        let id = a.bound("10.0.0.1:7");
        let mut packet = packet("10.0.0.2:9", "10.0.0.1:7", b"data");
        udp::set_length(&mut packet.head_mut()[20..], length);
        udp::set_checksum(&mut packet.head_mut()[20..], 0);
        a.arrive(vec![packet]);
        assert_eq!(a.text(id).ok().as_deref(), text, "{length}");
        assert_eq!(a.count(Counter::UdpInErrors), u64::from(text.is_none()));
    }
}

#[test]
fn a_port_that_nobody_has_is_left_to_the_internet_layer() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let unwanted = a.arrive(vec![packet("10.0.0.2:9", "10.0.0.1:7", b"data")]);
    let [Disposition::NoSocket(given_back)] = &unwanted[..] else {
        panic!("{unwanted:?}");
    };
    assert_eq!(given_back.len(), 12);
    assert_eq!(given_back.head()[..4], [0, 9, 0, 7]);
    assert_eq!(a.count(Counter::UdpNoPorts), 1);
    // Nobody is told of groups and broadcasts.
    let silent = a.arrive(vec![
        packet("10.0.0.2:9", "10.0.0.255:7", b"data"),
        packet("10.0.0.2:9", "224.0.0.1:7", b"data"),
    ]);
    assert!(silent.is_empty());
}

#[test]
fn a_group_is_heard_by_all_who_bound_its_port() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let mut members = Vec::new();
    for local in ["0.0.0.0:5353", "224.0.0.251:5353", "10.0.0.1:5353"] {
        let id = a.open(Domain::V4);
        a.set(id, SocketOption::ReuseAddress, 1).unwrap();
        a.bind(id, local).unwrap();
        members.push(id);
    }
    let hello = || vec![packet("10.0.0.2:5353", "224.0.0.251:5353", b"hello")];
    a.arrive(hello());
    assert!(members.iter().all(|&id| a.ready(id) == Readiness::WRITABLE));

    let group = "224.0.0.251".parse().unwrap();
    let link = Some(a.link);
    let (udp, mut cx) = a.cx();
    udp.join_group(&mut cx, members[0], group, link).unwrap();
    let twice = udp.join_group(&mut cx, members[0], group, link);
    assert_eq!(twice, Err(Error::AddressInUse));
    let wrong = udp.join_group(&mut cx, members[0], "10.0.0.1".parse().unwrap(), link);
    assert_eq!(wrong, Err(Error::Invalid));
    a.arrive(hello());
    assert_eq!(a.text(members[0]), Ok("hello".into()));
    assert_eq!(a.text(members[1]), Ok("hello".into()));
    assert_eq!(a.text(members[2]), Err(Error::WouldBlock));

    let (udp, mut cx) = a.cx();
    udp.leave_group(&mut cx, members[0], group, link).unwrap();
    let again = udp.leave_group(&mut cx, members[0], group, link);
    assert_eq!(again, Err(Error::AddressNotAvailable));
    a.arrive(hello());
    assert_eq!(a.text(members[0]), Err(Error::WouldBlock));
}

#[test]
fn an_ipv6_group_is_joined_on_a_link() {
    let mut a = Host::new(&["fe80::1/64", "10.0.0.1/24"]);
    let id = a.bound("[::]:5353");
    let link = Some(a.link);
    let (udp, mut cx) = a.cx();
    let mut join = |group: &str| udp.join_group(&mut cx, id, group.parse().unwrap(), link);
    join("ff02::fb").unwrap();
    // A dual-stack socket joins both kinds.
    join("224.0.0.251").unwrap();
    a.arrive(vec![
        packet("[fe80::9]:5353", "[ff02::fb]:5353", b"6"),
        packet("[fe80::9]:5353", "[ff02::fc]:5353", b"not joined"),
        packet("10.0.0.9:5353", "224.0.0.251:5353", b"4"),
    ]);
    assert_eq!(a.recv(id), got("6", "[fe80::9%2]:5353"));
    assert_eq!(a.recv(id), got("4", "[::ffff:10.0.0.9]:5353"));
    assert_eq!(a.recv(id), Err(Error::WouldBlock));
    let v4 = a.open(Domain::V4);
    let (udp, mut cx) = a.cx();
    let wrong = udp.join_group(&mut cx, v4, "ff02::fb".parse().unwrap(), link);
    assert_eq!(wrong, Err(Error::AddressFamily));
    for last in 1..=21 {
        let group = IpAddr::from([224, 1, 1, last]);
        let result = udp.join_group(&mut cx, v4, group, link);
        assert_eq!(result.is_ok(), last <= 20);
    }
}

#[test]
fn a_broadcast_is_heard_by_all_who_bound_its_port() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let any = a.bound("0.0.0.0:67");
    let unicast = a.open(Domain::V4);
    a.bind(unicast, "10.0.0.1:68").unwrap();
    a.arrive(vec![
        packet("10.0.0.2:9", "10.0.0.255:67", b"subnet"),
        packet("10.0.0.2:9", "255.255.255.255:67", b"all"),
        packet("10.0.0.2:9", "10.0.0.255:68", b"not for one address"),
    ]);
    assert_eq!(a.text(any), Ok("subnet".into()));
    assert_eq!(a.text(any), Ok("all".into()));
    assert_eq!(a.text(unicast), Err(Error::WouldBlock));
}

#[test]
fn the_receive_buffer_is_a_limit_on_what_is_pinned() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let id = a.bound("10.0.0.1:7");
    a.set(id, SocketOption::ReceiveBuffer, 4096).unwrap();
    let empty = || packet("10.0.0.2:9", "10.0.0.1:7", b"");
    a.arrive((0..1000).map(|_| empty()).collect());
    let held = a.count(Counter::UdpInDatagrams);
    assert!((1..=32).contains(&held), "{held}");
    assert_eq!(a.count(Counter::UdpRcvbufErrors), 1000 - held);
    assert!(a.udp.sockets()[0].recv_queue <= 8192);
    // Reading makes room again.
    assert_eq!(a.text(id), Ok(String::new()));
    a.arrive(vec![empty()]);
    assert_eq!(a.count(Counter::UdpInDatagrams), held + 1);
    // A small datagram in a large buffer costs what it is, not what came with it.
    while a.text(id).is_ok() {}
    let mut padded = empty().to_vec();
    padded.reserve_exact(60_000);
    a.arrive(vec![Packet::from_vec(padded)]);
    assert!(a.udp.sockets()[0].recv_queue < 1000);
}

#[test]
fn a_short_buffer_cuts_and_peeking_takes_nothing() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let id = a.bound("10.0.0.1:7");
    let mut first = packet("10.0.0.2:9", "10.0.0.1:7", b"0123456789");
    first.head_mut()[1] = 0xb8;
    first.head_mut()[8] = 33;
    let mut fixed = ipv4::Header::parse(first.head()).unwrap_or_else(|_| {
        ipv4::Header::new(
            "10.0.0.2".parse().unwrap(),
            "10.0.0.1".parse().unwrap(),
            IpProtocol::UDP,
            18,
        )
    });
    (fixed.tos, fixed.ttl) = (0xb8, 33);
    fixed.emit(first.head_mut());
    a.arrive(vec![first, packet("10.0.0.2:9", "10.0.0.1:7", b"next")]);
    let link = a.link;
    for peek in [true, false] {
        let mut buffer = [0; 4];
        let (udp, mut cx) = a.cx();
        let got = udp.recv(&mut cx, id, &mut buffer, peek).unwrap();
        assert_eq!(&buffer, b"0123");
        let wanted = Received {
            len: 10,
            copied: 4,
            from: "10.0.0.2:9".parse().unwrap(),
            to: "10.0.0.1:7".parse().unwrap(),
            interface: link,
            ttl: 33,
            tos: 0xb8,
            segment: None,
            at: a.now,
        };
        assert_eq!(got, wanted);
    }
    assert_eq!(a.udp.next_len(id), Ok(4));
    assert_eq!(a.text(id), Ok("next".into()));
    assert_eq!(a.udp.next_len(id), Ok(0));
}

#[test]
fn joined_datagrams_are_taken_apart_unless_the_socket_wants_them() {
    for (gro, wanted) in [(0, vec!["aaa", "bbb", "c"]), (1, vec!["aaabbbc"])] {
        let mut a = Host::new(&["10.0.0.1/24"]);
        let id = a.bound("10.0.0.1:7");
        a.set(id, SocketOption::UdpGro, gro).unwrap();
        let mut joined = packet("10.0.0.2:9", "10.0.0.1:7", b"aaabbbc");
        joined.meta.gso = Some(Gso {
            kind: GsoKind::Udp,
            size: 3,
        });
        // Nobody vouches for the checksum, and it can't be made good.
        a.arrive(vec![joined.clone()]);
        assert_eq!(a.text(id), Err(Error::WouldBlock));
        joined.meta.checksum = Checksum::Verified;
        a.arrive(vec![joined]);
        for text in wanted {
            assert_eq!(a.text(id).as_deref(), Ok(text));
        }
        assert_eq!(a.text(id), Err(Error::WouldBlock));
    }
}

#[test]
fn an_encapsulation_goes_up_as_what_it_carries() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    a.udp
        .register_encapsulation(9899, IpProtocol::SCTP)
        .unwrap();
    let refused = a.open(Domain::V6);
    assert_eq!(a.bind(refused, "[::]:9899"), Err(Error::AddressInUse));
    let mut inner = a.arrive(vec![packet("10.0.0.2:1000", "10.0.0.1:9899", b"chunks")]);
    let Some(Disposition::Decapsulated(protocol, inner)) = inner.pop() else {
        panic!("{inner:?}");
    };
    assert_eq!(protocol, IpProtocol::SCTP);
    assert_eq!(inner.to_vec(), b"chunks");
    let ports = inner.meta.encap.unwrap();
    assert_eq!((ports.source, ports.destination), (1000, 9899));
    assert!(a.udp.unregister_encapsulation(9899));
    a.bind(refused, "[::]:9899").unwrap();
}

#[test]
fn a_node_hears_itself() {
    let mut a = Host::new(&["10.0.0.1/24", "fd00::1/64"]);
    for local in ["127.0.0.1:7", "[::1]:7", "10.0.0.1:8", "[fd00::1]:8"] {
        let id = a.bound(local);
        a.send_to(id, b"self", local).unwrap();
        a.turn_loopback();
        assert_eq!(a.recv(id), got("self", local));
    }
    // Its link-local address is the link's, connected or not.
    let mut a = Host::new(&["fe80::1/64"]);
    for connected in [false, true] {
        let id = a.bound("[fe80::1%2]:8");
        if connected {
            a.connect(id, "[fe80::1%2]:8").unwrap();
        }
        a.send_to(id, b"self", "[fe80::1%2]:8").unwrap();
        a.turn_loopback();
        assert_eq!(a.recv(id), got("self", "[fe80::1%2]:8"));
        let (udp, mut cx) = a.cx();
        udp.close(&mut cx, id).unwrap();
    }
    // A destination of 0.0.0.0 or :: is this node.
    let id = a.bound("[::]:9");
    a.send_to(id, b"self", "[::]:9").unwrap();
    a.turn_loopback();
    assert_eq!(a.recv(id), got("self", "[::1]:9"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever arrives, nothing panics, and what is delivered is no longer than what came.
    #[test]
    fn arbitrary_bytes(
        v6: bool,
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        gso in prop::option::of(0u16..5),
        verified: bool,
    ) {
        let mut a = Host::new(&["10.0.0.1/24", "fd00::1/64"]);
        let id = a.bound("[::]:7");
        let mut bytes = bytes;
        if let Some(port) = bytes.get_mut(2..4) {
            port.copy_from_slice(&[0, 7]);
        }
        let len = bytes.len();
        let (from, to) = if v6 { ("fd00::2", "fd00::1") } else { ("10.0.0.2", "10.0.0.1") };
        let mut packet = with_ip_header(
            Packet::from_slice(&bytes),
            from.parse().unwrap(),
            to.parse().unwrap(),
        );
        packet.meta.gso = gso.map(|size| Gso { kind: GsoKind::Udp, size });
        if verified {
            packet.meta.checksum = Checksum::Verified;
        }
        a.arrive(vec![packet]);
        let mut total = 0;
        while let Ok((text, _)) = a.recv(id) {
            total += text.chars().count();
        }
        prop_assert!(total <= len.saturating_sub(8));
    }
}
