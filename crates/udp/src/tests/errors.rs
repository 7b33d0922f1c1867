//! ICMP errors: who hears of them (RFC 1122 §4.1.3.3, udp(7), ip(7)).

use super::*;
use sockeye_core::Report;
use sockeye_core::transport::IcmpErrorKind as Kind;

/// Whether the error was about a flow of the node.
fn error(host: &mut Host, kind: Kind, from: &str, to: &str) -> bool {
    let from: SocketAddr = from.parse().unwrap();
    let to: SocketAddr = to.parse().unwrap();
    let mut quoted = vec![0; 12];
    udp::Header {
        source_port: from.port(),
        destination_port: to.port(),
        length: 12,
        checksum: 0,
    }
    .emit(&mut quoted);
    quoted[8..].copy_from_slice(b"data");
    let error = IcmpError {
        kind,
        icmp_type: 3,
        icmp_code: 3,
        from: to.ip(),
        source: from.ip(),
        destination: to.ip(),
        quoted: &quoted,
    };
    let (udp, mut cx) = host.cx();
    udp.on_icmp_error(&mut cx, &error)
}

/// What a connected socket, an unconnected one and one with IP_RECVERR get of each.
#[test]
fn who_hears_what() {
    let too_big = Kind::PacketTooBig { mtu: 1280 };
    let table = [
        (Kind::PortUnreachable, Error::ConnectionRefused, true),
        (Kind::ProtocolUnreachable, Error::ProtocolUnreachable, true),
        (Kind::Prohibited, Error::HostUnreachable, true),
        (Kind::ParameterProblem, Error::Protocol, true),
        (too_big, Error::MessageSize, true),
        (Kind::HostUnreachable, Error::HostUnreachable, false),
        (Kind::NetworkUnreachable, Error::NetworkUnreachable, false),
        (Kind::TimeExceeded, Error::HostUnreachable, false),
    ];
    for (kind, what, hard) in table {
        let mut a = Host::new(&["10.0.0.1/24"]);
        let connected = a.bound("10.0.0.1:1");
        a.connect(connected, "10.0.0.2:9").unwrap();
        let unconnected = a.bound("10.0.0.1:2");
        let curious = a.bound("10.0.0.1:3");
        a.set(curious, SocketOption::ReceiveErrors, 1).unwrap();
        a.became_ready();
        for from in ["10.0.0.1:1", "10.0.0.1:2", "10.0.0.1:3"] {
            assert!(error(&mut a, kind, from, "10.0.0.2:9"));
        }
        assert_eq!(
            a.ready(connected).contains(Readiness::ERROR),
            hard,
            "{kind:?}"
        );
        let taken = a.udp.take_error(connected).unwrap();
        assert_eq!(taken, hard.then_some(what), "{kind:?}");
        assert_eq!(a.udp.take_error(unconnected), Ok(None), "{kind:?}");
        assert_eq!(a.recv(curious), Err(what), "{kind:?}");
        assert!(a.ready(curious).contains(Readiness::ERROR_QUEUE));
        let (Report::Error(report), Some(to)) = a.udp.recv_error(curious).unwrap() else {
            panic!("not of an error");
        };
        assert_eq!((report.error, to), (what, "10.0.0.2:9".parse().unwrap()));
        assert_eq!(report.info, if kind == too_big { 1280 } else { 0 });
        assert_eq!(&report.payload[..], b"data");
        assert_eq!(a.ready(curious), Readiness::WRITABLE);
    }
}

#[test]
fn a_refused_socket_says_so_once() {
    let mut a = Host::new(&["fd00::1/64"]);
    let id = a.bound("[fd00::1]:1");
    a.connect(id, "[fd00::2]:9").unwrap();
    error(&mut a, Kind::PortUnreachable, "[fd00::1]:1", "[fd00::2]:9");
    assert_eq!(a.send(id, b"x"), Err(Error::ConnectionRefused));
    assert_eq!(a.send(id, b"x"), Ok(1));
    // Errors of other flows do not concern it.
    let kind = Kind::PortUnreachable;
    assert!(!error(&mut a, kind, "[fd00::1]:1", "[fd00::3]:9"));
    assert!(!error(&mut a, kind, "[fd00::1]:2", "[fd00::2]:9"));
    assert_eq!(a.udp.take_error(id), Ok(None));
}

#[test]
fn who_does_not_discover_the_mtu_does_not_hear_of_it() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let id = a.bound("10.0.0.1:1");
    a.connect(id, "10.0.0.2:9").unwrap();
    a.set(id, SocketOption::MtuDiscover, 0).unwrap();
    let kind = Kind::PacketTooBig { mtu: 1280 };
    error(&mut a, kind, "10.0.0.1:1", "10.0.0.2:9");
    assert_eq!(a.udp.take_error(id), Ok(None));
}

#[test]
fn a_link_local_peer_is_found_by_its_link() {
    let mut a = Host::new(&["fe80::1/64"]);
    let id = a.bound("[fe80::1%2]:1");
    a.connect(id, "[fe80::2%2]:9").unwrap();
    error(&mut a, Kind::PortUnreachable, "[fe80::1]:1", "[fe80::2]:9");
    assert_eq!(a.udp.take_error(id), Ok(Some(Error::ConnectionRefused)));
}

#[test]
fn error_reports_are_bounded() {
    let mut a = Host::new(&["10.0.0.1/24"]);
    let id = a.bound("10.0.0.1:1");
    a.set(id, SocketOption::ReceiveErrors, 1).unwrap();
    for _ in 0..1000 {
        error(&mut a, Kind::PortUnreachable, "10.0.0.1:1", "10.0.0.2:9");
    }
    let reports = std::iter::from_fn(|| a.udp.recv_error(id).ok()).count();
    assert_eq!(reports, 64);
}
