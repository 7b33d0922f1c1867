//! Raw IP sockets: raw(7), RFC 3542 §3.

use super::*;
use crate::{Counter, Report};

const EXPERIMENT: IpProtocol = IpProtocol(253);

#[test]
fn ipv4_comes_with_its_header_and_ipv6_without() {
    let mut a = Host::new();
    let v4 = a.open_raw(Domain::V4, EXPERIMENT);
    let v6 = a.open_raw(Domain::V6, EXPERIMENT);
    let whole = packet("10.0.0.2", "10.0.0.1", EXPERIMENT, b"data");
    assert!(a.arrive(&whole));
    let (bytes, got) = a.recv_raw(v4).unwrap();
    assert_eq!(bytes, whole);
    assert_eq!(got.from, "10.0.0.2:0".parse().unwrap());
    assert_eq!((got.ttl, got.interface), (64, a.link));
    assert!(a.arrive(&packet("fd00::2", "fd00::1", EXPERIMENT, b"data")));
    let (bytes, got) = a.recv_raw(v6).unwrap();
    assert_eq!(bytes, b"data");
    assert_eq!(got.from, "[fd00::2]:0".parse().unwrap());
    for id in [v4, v6] {
        assert_eq!(a.recv_raw(id), Err(Error::WouldBlock));
    }
    assert!(!a.arrive(&packet("10.0.0.2", "10.0.0.1", IpProtocol(254), b"data")));
}

/// What a socket is bound and connected to, and which of three packets it gets.
#[test]
fn who_receives_what() {
    let packets = [
        ("10.0.0.2", "10.0.0.1"),
        ("10.0.0.9", "10.0.0.1"),
        ("10.0.0.2", "10.0.0.3"),
    ];
    let table = [
        (None, None, [true, true, true]),
        (Some("10.0.0.1"), None, [true, true, false]),
        (None, Some("10.0.0.2"), [true, false, false]),
        (Some("10.0.0.3"), Some("10.0.0.2"), [false, false, true]),
        (Some("0.0.0.0"), None, [true, true, true]),
    ];
    for (local, peer, wanted) in table {
        let mut a = Host::new();
        let every = a.open_raw(Domain::V4, EXPERIMENT);
        let id = a.open_raw(Domain::V4, EXPERIMENT);
        let (raw, mut cx) = a.raw();
        if let Some(local) = local {
            raw.bind(&mut cx, id, with_port(local)).unwrap();
        }
        if let Some(peer) = peer {
            raw.connect(&mut cx, id, Some(with_port(peer))).unwrap();
        }
        for ((from, to), wanted) in packets.into_iter().zip(wanted) {
            a.arrive(&packet(from, to, EXPERIMENT, b"x"));
            assert_eq!(
                a.recv_raw(id).is_ok(),
                wanted,
                "{local:?} {peer:?}: {from} > {to}"
            );
            assert!(a.recv_raw(every).is_ok());
        }
    }
}

#[test]
fn the_protocols_own_handler_still_runs() {
    let mut a = Host::new();
    let id = a.open_raw(Domain::V4, IpProtocol::ICMP);
    let request = echo("10.0.0.2", "10.0.0.1", 8, 1, 2, b"data");
    assert!(a.arrive(&request));
    assert_eq!(a.recv_raw(id).unwrap().0, request);
    assert_eq!(a.sent()[0][20..22], [0, 0]);
}

#[test]
fn filters_hold_back_types() {
    let mut a = Host::new();
    let v4 = a.open_raw(Domain::V4, IpProtocol::ICMP);
    let v6 = a.open_raw(Domain::V6, IpProtocol::ICMPV6);
    // All but echo replies.
    let mask = OptionValue::Bytes((!1_u32).to_ne_bytes().to_vec());
    a.set_raw(v4, SocketOption::IcmpFilter, mask.clone())
        .unwrap();
    let mut mask6 = vec![0xff; 32];
    mask6[129 / 8] &= !(1 << (129 % 8));
    let mask6 = OptionValue::Bytes(mask6);
    a.set_raw(v6, SocketOption::Icmp6Filter, mask6.clone())
        .unwrap();
    for (kind4, kind6, wanted) in [(0, 129, true), (8, 128, false)] {
        a.arrive(&echo("10.0.0.2", "10.0.0.1", kind4, 1, 1, b""));
        assert_eq!(a.recv_raw(v4).is_ok(), wanted);
        a.arrive(&echo("fd00::2", "fd00::1", kind6, 1, 1, b""));
        assert_eq!(a.recv_raw(v6).is_ok(), wanted);
    }
    let (raw, mut cx) = a.raw();
    assert_eq!(
        raw.option(&mut cx, v4, SocketOption::IcmpFilter),
        Ok(mask.clone())
    );
    assert_eq!(
        raw.option(&mut cx, v6, SocketOption::Icmp6Filter),
        Ok(mask6)
    );
    let wrong = a.set_raw(v6, SocketOption::IcmpFilter, mask);
    assert_eq!(wrong, Err(Error::NoProtocolOption));
    let short = OptionValue::Bytes(vec![0; 31]);
    assert_eq!(a.set_raw(v6, SocketOption::Icmp6Filter, short), Ok(()));
}

#[test]
fn icmpv6_checksums_are_made_and_checked() {
    let mut a = Host::new();
    let id = a.open_raw(Domain::V6, IpProtocol::ICMPV6);
    a.send_raw(id, &[200, 0, 0xaa, 0xaa, 1, 2, 3, 4], "fd00::2")
        .unwrap();
    let sent = a.sent().remove(0);
    let (from, to) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
    assert!(icmpv6::is_valid(from, to, &sent[40..]));
    assert_eq!(a.send_raw(id, &[200, 0, 0], "fd00::2"), Err(Error::Invalid));

    let mut wrong = echo("fd00::2", "fd00::1", 200, 1, 1, b"");
    assert!(a.arrive(&wrong));
    wrong[42] ^= 1;
    assert!(!a.arrive(&wrong));
    let offset = a.set_raw(id, SocketOption::ChecksumOffset, OptionValue::Int(4));
    assert_eq!(offset, Err(Error::Invalid));
}

#[test]
fn a_checksum_may_be_asked_for_elsewhere() {
    let mut a = Host::new();
    let id = a.open_raw(Domain::V6, EXPERIMENT);
    for (offset, result) in [(3, Err(Error::Invalid)), (-2, Ok(())), (4, Ok(()))] {
        let value = OptionValue::Int(offset);
        assert_eq!(a.set_raw(id, SocketOption::ChecksumOffset, value), result);
    }
    a.send_raw(id, &[1, 2, 3, 4, 0, 0, 5], "fd00::2").unwrap();
    let payload = a.sent().remove(0).split_off(40);
    assert!(!a.arrive(&packet(
        "fd00::2",
        "fd00::1",
        EXPERIMENT,
        &[1, 2, 3, 4, 0, 0, 5]
    )));
    // Source and destination changed places: the sum is the same.
    assert!(a.arrive(&packet("fd00::2", "fd00::1", EXPERIMENT, &payload)));
    let v4 = a.open_raw(Domain::V4, EXPERIMENT);
    let none = a.set_raw(v4, SocketOption::ChecksumOffset, OptionValue::Int(4));
    assert_eq!(none, Err(Error::NoProtocolOption));
}

#[test]
fn an_own_header_is_completed() {
    let mut a = Host::new();
    let id = a.open_raw(Domain::V4, IpProtocol::RAW);
    let mut own = packet("0.0.0.0", "10.0.0.2", EXPERIMENT, b"data");
    own[2..4].fill(0xee);
    own[6] = 0;
    own[8] = 7;
    a.send_raw(id, &own, "10.0.0.2").unwrap();
    let sent = a.sent().remove(0);
    let header = ipv4::Header::parse(&sent).unwrap();
    assert_eq!(header.source.to_string(), "10.0.0.1");
    assert_eq!(
        (header.total_len, header.ttl, header.protocol),
        (24, 7, EXPERIMENT)
    );
    assert_ne!(header.identification, 0);
    own[6] = 0x40;
    a.send_raw(id, &own, "10.0.0.2").unwrap();
    let sent = a.sent().remove(0);
    assert_eq!(sent[4..6], [0, 0], "it is never to be fragmented");
    // What is there stays.
    let mut own = packet("10.0.0.3", "10.0.0.2", EXPERIMENT, b"data");
    own[4..6].copy_from_slice(&[1, 2]);
    a.send_raw(id, &own, "10.0.0.2").unwrap();
    let header = ipv4::Header::parse(&a.sent()[0]).unwrap();
    assert_eq!(
        (header.identification, header.source.to_string()),
        (0x0102, "10.0.0.3".into())
    );

    for bad in [&own[..19], &[0x44; 30], &[0x4f; 30], &[]] {
        assert_eq!(a.send_raw(id, bad, "10.0.0.2"), Err(Error::Invalid));
    }
    own.resize(1501, 0);
    assert_eq!(a.send_raw(id, &own, "10.0.0.2"), Err(Error::MessageSize));
}

#[test]
fn an_own_ipv6_header_is_sent_as_it_is() {
    let mut a = Host::new();
    let id = a.open_raw(Domain::V6, EXPERIMENT);
    let flag = OptionValue::Flag(true);
    a.set_raw(id, SocketOption::HeaderIncluded, flag).unwrap();
    let own = packet("fd00::1", "fd00::2", IpProtocol(254), b"data");
    a.send_raw(id, &own, "fd00::2").unwrap();
    assert_eq!(a.sent()[0], own);
    assert_eq!(a.send_raw(id, &own[..39], "fd00::2"), Err(Error::Invalid));
}

#[test]
fn permissions() {
    let config = Config {
        raw_sockets: false,
        ..Config::default()
    };
    let mut a = Host::with(config);
    let (raw, mut cx) = a.raw();
    let refused = raw.open(&mut cx, Domain::V4, EXPERIMENT);
    assert_eq!(refused, Err(Error::NotPermitted));

    let spoofed = [
        packet("192.0.2.1", "10.0.0.2", EXPERIMENT, b"data"),
        packet("2001:db8::1", "fd00::2", EXPERIMENT, b"data"),
    ];
    for (foreign_sources, result) in [(false, Err(Error::NotPermitted)), (true, Ok(()))] {
        let config = Config {
            foreign_sources,
            ..Config::default()
        };
        let mut a = Host::with(config);
        for (domain, packet, to) in [
            (Domain::V4, &spoofed[0], "10.0.0.2"),
            (Domain::V6, &spoofed[1], "fd00::2"),
        ] {
            let id = a.open_raw(domain, IpProtocol::RAW);
            let sent = a.send_raw(id, packet, to);
            assert_eq!(sent.map(|_| ()), result, "{domain:?}");
        }
    }
    // A bound address is a source too, whatever IP_FREEBIND says.
    for (foreign_sources, free, bound, sent) in [
        (false, false, Err(Error::AddressNotAvailable), Ok(4)),
        (false, true, Ok(()), Err(Error::NotPermitted)),
        (true, false, Ok(()), Ok(4)),
    ] {
        let config = Config {
            foreign_sources,
            ..Config::default()
        };
        let mut a = Host::with(config);
        let id = a.open_raw(Domain::V4, EXPERIMENT);
        a.set_raw(id, SocketOption::FreeBind, OptionValue::Flag(free))
            .unwrap();
        let (raw, mut cx) = a.raw();
        let addr = with_port("192.0.2.1");
        assert_eq!(raw.bind(&mut cx, id, addr), bound);
        assert_eq!(a.send_raw(id, b"data", "10.0.0.2"), sent);
        if foreign_sources {
            let header = ipv4::Header::parse(&a.sent()[0]).unwrap();
            assert_eq!(header.source.to_string(), "192.0.2.1");
        }
    }
    let mut a = Host::new();
    let (raw, mut cx) = a.raw();
    let zero = raw.open(&mut cx, Domain::V4, IpProtocol(0));
    assert_eq!(zero, Err(Error::ProtocolNotSupported));
}

#[test]
fn the_receive_buffer_is_a_limit() {
    let mut a = Host::new();
    let id = a.open_raw(Domain::V4, EXPERIMENT);
    let size = OptionValue::Int(4096);
    a.set_raw(id, SocketOption::ReceiveBuffer, size).unwrap();
    for _ in 0..100 {
        a.arrive(&packet("10.0.0.2", "10.0.0.1", EXPERIMENT, &[0; 1000]));
    }
    let held = std::iter::from_fn(|| a.recv_raw(id).ok()).count();
    assert!((2..=8).contains(&held), "{held}");
    let lost = a.parts.counters.get(Counter::RawRcvbufErrors);
    assert_eq!(lost, 100 - held as u64);
}

#[test]
fn errors_reach_the_connected_and_the_curious() {
    let mut a = Host::new();
    let plain = a.open_raw(Domain::V4, EXPERIMENT);
    let connected = a.open_raw(Domain::V4, EXPERIMENT);
    let elsewhere = a.open_raw(Domain::V4, EXPERIMENT);
    let curious = a.open_raw(Domain::V4, EXPERIMENT);
    let (raw, mut cx) = a.raw();
    let peer = |ip| Some(with_port(ip));
    raw.connect(&mut cx, connected, peer("10.0.0.2")).unwrap();
    raw.connect(&mut cx, elsewhere, peer("10.0.0.9")).unwrap();
    let flag = OptionValue::Flag(true);
    a.set_raw(curious, SocketOption::ReceiveErrors, flag)
        .unwrap();

    let mut message = vec![3, 2, 0, 0, 0, 0, 0, 0];
    message.extend(packet("10.0.0.1", "10.0.0.2", EXPERIMENT, b"12345678"));
    icmpv4::fill_checksum(&mut message);
    a.arrive(&packet("10.0.0.2", "10.0.0.1", IpProtocol::ICMP, &message));
    let unreachable = Some(Error::ProtocolUnreachable);
    let table = [
        (plain, None),
        (connected, unreachable),
        (elsewhere, None),
        (curious, unreachable),
    ];
    for (id, error) in table {
        assert_eq!(a.raw.take_error(id), Ok(error));
    }
    let (Report::Error(report), Some(to)) = a.raw.recv_error(curious).unwrap() else {
        panic!("not of an error");
    };
    assert_eq!(to, with_port("10.0.0.2"));
    assert_eq!((report.icmp_type, report.icmp_code), (3, 2));
    assert_eq!(&report.payload[..], b"12345678");
}

#[test]
fn names_and_ends() {
    let mut a = Host::new();
    let id = a.open_raw(Domain::V4, EXPERIMENT);
    assert_eq!(a.raw.local_addr(id), Ok("0.0.0.0:253".parse().unwrap()));
    let (raw, mut cx) = a.raw();
    let options = SendOptions::default();
    let nowhere = raw.send(&mut cx, id, &[IoSlice::new(b"x")], None, &options);
    assert_eq!(nowhere, Err(Error::DestinationRequired));
    raw.connect(&mut cx, id, Some(with_port("10.0.0.2")))
        .unwrap();
    assert_eq!(raw.local_addr(id), Ok("10.0.0.1:253".parse().unwrap()));
    assert_eq!(raw.peer_addr(id), Ok("10.0.0.2:0".parse().unwrap()));
    raw.connect(&mut cx, id, None).unwrap();
    assert_eq!(raw.local_addr(id), Ok("0.0.0.0:253".parse().unwrap()));
    raw.close(&mut cx, id).unwrap();
    assert_eq!(raw.close(&mut cx, id), Err(Error::BadSocket));
    assert!(!a.arrive(&packet("10.0.0.2", "10.0.0.1", EXPERIMENT, b"late")));
}
