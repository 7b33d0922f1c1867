//! bind, connect, close: addresses and ports.

use super::*;
use sockeye_core::Shutdown;

#[test]
fn a_datagram_and_its_answer() {
    let (mut a, mut b) = pair();
    for (server, client, from_client) in [
        ("10.0.0.2:7", "10.0.0.1:40000", "10.0.0.1:40000"),
        ("[fd00::2]:7", "[fd00::1]:40000", "[fd00::1]:40000"),
    ] {
        let (c, s) = (a.bound(client), b.bound(server));
        assert_eq!(a.send_to(c, b"question", server), Ok(8));
        b.arrive(a.sent());
        assert_eq!(b.recv(s), got("question", from_client));
        assert_eq!(b.send_to(s, b"answer", from_client), Ok(6));
        a.arrive(b.sent());
        assert_eq!(a.recv(c), got("answer", server));
        assert_eq!(a.recv(c), Err(Error::WouldBlock));
    }
}

#[test]
fn an_unbound_socket_gets_a_port_when_it_sends() {
    let (mut a, mut b) = pair();
    let c = a.open(Domain::V4);
    assert_eq!(a.local(c), "0.0.0.0:0");
    a.send_to(c, b"x", "10.0.0.2:7").unwrap();
    let local: SocketAddr = a.local(c).parse().unwrap();
    assert!((32_768..=60_999).contains(&local.port()));
    assert!(local.ip().is_unspecified());
    let s = b.bound("0.0.0.0:7");
    b.arrive(a.sent());
    assert_eq!(b.recv(s), got("x", &format!("10.0.0.1:{}", local.port())));
}

#[test]
fn who_may_bind_where() {
    let mut a = Host::new(&["10.0.0.1/24", "fd00::1/64"]);
    let id = a.open(Domain::V4);
    let table = [
        ("10.0.0.9:7", Error::AddressNotAvailable),
        ("[fd00::1]:7", Error::AddressFamily),
    ];
    for (local, error) in table {
        assert_eq!(a.bind(id, local), Err(error), "{local}");
    }
    a.bind(id, "10.0.0.1:7").unwrap();
    assert_eq!(a.bind(id, "10.0.0.1:8"), Err(Error::Invalid));
    let other = a.open(Domain::V4);
    assert_eq!(a.bind(other, "0.0.0.0:7"), Err(Error::AddressInUse));
    // Groups and broadcasts may be bound to: they say what is received.
    for local in ["224.0.0.251:5353", "10.0.0.255:67", "255.255.255.255:67"] {
        a.bound(local);
    }
    let free = a.open(Domain::V4);
    a.set(free, SocketOption::FreeBind, 1).unwrap();
    a.bind(free, "192.0.2.1:7").unwrap();
}

#[test]
fn a_dual_stack_socket_holds_both_families() {
    let mut a = Host::new(&["10.0.0.1/24", "fd00::1/64"]);
    let dual = a.bound("[::]:53");
    let v4 = a.open(Domain::V4);
    assert_eq!(a.bind(v4, "0.0.0.0:53"), Err(Error::AddressInUse));
    a.arrive(vec![
        packet("10.0.0.9:9", "10.0.0.1:53", b"4"),
        packet("[fd00::9]:9", "[fd00::1]:53", b"6"),
    ]);
    assert_eq!(a.recv(dual), got("4", "[::ffff:10.0.0.9]:9"));
    assert_eq!(a.recv(dual), got("6", "[fd00::9]:9"));
    a.send_to(dual, b"x", "[::ffff:10.0.0.9]:9").unwrap();
    assert_eq!(a.sent()[0].head()[0] >> 4, 4);

    let only = a.open(Domain::V6);
    a.set(only, SocketOption::OnlyV6, 1).unwrap();
    a.bind(only, "[::]:54").unwrap();
    a.bound("0.0.0.0:54");
    assert_eq!(
        a.send_to(only, b"x", "10.0.0.9:9"),
        Err(Error::AddressFamily)
    );
}

#[test]
fn connect_chooses_the_address_and_takes_it_back() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let id = a.open(Domain::V4);
    a.connect(id, "10.0.0.2:7").unwrap();
    let first = a.local(id);
    assert!(first.starts_with("10.0.0.1:"));
    assert_eq!(a.udp.peer_addr(id), Ok("10.0.0.2:7".parse().unwrap()));
    // Another peer, the same port.
    a.connect(id, "10.0.0.3:7").unwrap();
    assert_eq!(a.local(id), first);
    let (udp, mut cx) = a.cx();
    udp.connect(&mut cx, id, None).unwrap();
    assert_eq!(a.udp.peer_addr(id), Err(Error::NotConnected));
    assert_eq!(a.local(id), "0.0.0.0:0");
    assert_eq!(a.send(id, b"x"), Err(Error::DestinationRequired));

    // What bind said stays.
    let bound = a.bound("10.0.0.1:9");
    a.connect(bound, "10.0.0.2:7").unwrap();
    let (udp, mut cx) = a.cx();
    udp.connect(&mut cx, bound, None).unwrap();
    assert_eq!(a.local(bound), "10.0.0.1:9");
}

#[test]
fn a_connected_socket_hears_its_peer_alone() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let id = a.bound("0.0.0.0:7");
    a.connect(id, "10.0.0.2:9").unwrap();
    let unwanted = a.arrive(vec![
        packet("10.0.0.2:9", "10.0.0.1:7", b"peer"),
        packet("10.0.0.2:8", "10.0.0.1:7", b"other port"),
        packet("10.0.0.3:9", "10.0.0.1:7", b"other host"),
    ]);
    assert_eq!(a.text(id), Ok("peer".into()));
    assert_eq!(a.text(id), Err(Error::WouldBlock));
    assert_eq!(unwanted.len(), 2);
}

#[test]
fn a_closed_socket_leaves_nothing() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    for connected in [false, true] {
        let id = a.bound("10.0.0.1:7");
        if connected {
            a.connect(id, "10.0.0.2:9").unwrap();
        }
        let (udp, mut cx) = a.cx();
        udp.join_group(&mut cx, id, "224.1.1.1".parse().unwrap(), None)
            .unwrap();
        udp.close(&mut cx, id).unwrap();
        assert_eq!(udp.close(&mut cx, id), Err(Error::BadSocket));
        let unwanted = a.arrive(vec![
            packet("10.0.0.2:9", "10.0.0.1:7", b"late"),
            packet("10.0.0.2:9", "224.1.1.1:7", b"late"),
        ]);
        assert!(matches!(unwanted[..], [Disposition::NoSocket(_)]));
    }
    assert!(a.udp.sockets.is_empty());
}

#[test]
fn shutdown_ends_each_half() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let id = a.open(Domain::V4);
    let (udp, mut cx) = a.cx();
    let early = udp.shutdown(&mut cx, id, Shutdown::Read);
    assert_eq!(early, Err(Error::NotConnected));
    // It took effect nevertheless; a connect undoes it.
    assert_eq!(a.text(id), Ok(String::new()));
    a.connect(id, "10.0.0.2:7").unwrap();
    assert_eq!(a.text(id), Err(Error::WouldBlock));
    let (udp, mut cx) = a.cx();
    udp.shutdown(&mut cx, id, Shutdown::Both).unwrap();
    assert_eq!(a.send(id, b"x"), Err(Error::BrokenPipe));
    assert!(
        a.ready(id)
            .contains(Readiness::HANGUP | Readiness::READABLE)
    );
}

#[test]
fn the_nodes_limit_of_sockets_holds() {
    let config = Config {
        sockets_max: 2,
        ..Config::default()
    };
    let mut a = Host::with(config, capabilities(), &[]);
    a.open(Domain::V4);
    a.open(Domain::V6);
    let (udp, mut cx) = a.cx();
    assert_eq!(udp.open(&mut cx, Domain::V4), Err(Error::TooManySockets));
}

#[test]
fn options_that_are_keys_move_the_socket() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let link = i32::try_from(a.link.0).unwrap();
    let first = a.bound("0.0.0.0:7");
    let second = a.open(Domain::V4);
    a.set(second, SocketOption::ReuseAddress, 1).unwrap();
    assert_eq!(a.bind(second, "0.0.0.0:7"), Err(Error::AddressInUse));
    a.set(first, SocketOption::ReuseAddress, 1).unwrap();
    a.bind(second, "0.0.0.0:7").unwrap();
    // The latest has it, until the other is bound to the device.
    a.arrive(vec![packet("10.0.0.2:9", "10.0.0.1:7", b"1")]);
    assert_eq!(a.text(second), Ok("1".into()));
    assert_eq!(
        a.set(first, SocketOption::BindToDevice, 99),
        Err(Error::NoDevice)
    );
    a.set(first, SocketOption::BindToDevice, link).unwrap();
    a.arrive(vec![packet("10.0.0.2:9", "10.0.0.1:7", b"2")]);
    assert_eq!(a.text(first), Ok("2".into()));
    a.set(first, SocketOption::BindToDevice, 0).unwrap();
    a.arrive(vec![packet("10.0.0.2:9", "10.0.0.1:7", b"3")]);
    assert_eq!(a.text(first), Ok("3".into()));
}

/// IP_TRANSPARENT, IPV6_TRANSPARENT.
#[test]
fn who_is_transparent_sends_from_any_address() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let free = a.open(Domain::V4);
    a.set(free, SocketOption::FreeBind, 1).unwrap();
    a.bind(free, "192.0.2.1:7").unwrap();
    let sent = a.send_to(free, b"x", "10.0.0.2:9");
    assert_eq!(sent, Err(Error::NetworkUnreachable));
    let transparent = a.open(Domain::V4);
    a.set(transparent, SocketOption::Transparent, 1).unwrap();
    a.bind(transparent, "192.0.2.1:8").unwrap();
    assert_eq!(a.send_to(transparent, b"x", "10.0.0.2:9"), Ok(1));
    assert_eq!(a.sent()[0].head()[12..16], [192, 0, 2, 1]);

    let config = Config {
        raw_sockets: false,
        ..Config::default()
    };
    let mut ordinary = Host::with(config, capabilities(), &["10.0.0.1/24"]);
    let id = ordinary.open(Domain::V4);
    let refused = ordinary.set(id, SocketOption::Transparent, 1);
    assert_eq!(refused, Err(Error::NotPermitted));
    assert_eq!(ordinary.set(id, SocketOption::Transparent, 0), Ok(()));
}

/// IP_LOCAL_PORT_RANGE.
#[test]
fn a_port_comes_from_the_sockets_own_range() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let range = |low: i32, high: i32| high << 16 | low;
    for port in [40_000, 40_001] {
        let id = a.open(Domain::V4);
        let both = range(40_000, 40_001);
        a.set(id, SocketOption::LocalPortRange, both).unwrap();
        a.send_to(id, b"x", "10.0.0.2:9").unwrap();
        let local: SocketAddr = a.local(id).parse().unwrap();
        assert!((40_000..=40_001).contains(&local.port()), "{port}");
    }
    let third = a.open(Domain::V4);
    a.set(third, SocketOption::LocalPortRange, range(40_000, 40_001))
        .unwrap();
    let none_left = a.send_to(third, b"x", "10.0.0.2:9");
    assert_eq!(none_left, Err(Error::AddressNotAvailable));
    let wrong = a.set(third, SocketOption::LocalPortRange, range(2, 1));
    assert_eq!(wrong, Err(Error::Invalid));
}
