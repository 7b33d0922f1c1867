//! Traces of connecting: retries, what a SYN may say, errors on the way.

use super::pair::{A, B, Pair, Wire};
use super::stage::{Peer, Stage, peer};
use sockeye_core::transport::IcmpErrorKind;
use sockeye_core::{
    Config, Context, Domain, Error, IcmpError, OptionValue, Readiness, SocketId, SocketOption,
    Transport, inet,
};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp::Flags;
use sockeye_wire::tcp_options::Options;
use std::net::SocketAddr;

#[test]
fn a_syn_says_what_we_can_do() {
    let mut s = Stage::new(Config::default());
    s.connect();
    let (syn, _) = s.headers()[0];
    let Options {
        mss,
        window_scale,
        sack_permitted,
        timestamps,
        ..
    } = syn.options;
    assert_eq!(
        (mss, window_scale, sack_permitted),
        (Some(1460), Some(7), true)
    );
    assert_eq!(timestamps.unwrap().tsecr, 0);
    assert_eq!(syn.window, 65_535);
}

#[test]
fn a_syn_goes_seven_times_and_then_the_attempt_has_timed_out() {
    let mut s = Stage::new(Config::default());
    s.connect();
    assert_eq!(s.sent().len(), 1);
    let start = s.now();
    let mut at = Vec::new();
    while s.state() == "SYN-SENT" {
        s.wait(1000);
        if !s.sent().is_empty() {
            at.push((s.now() - start).as_secs());
        }
    }
    assert_eq!(at, [1, 3, 7, 15, 31, 63]);
    assert_eq!((s.now() - start).as_secs(), 127);
    assert_eq!(s.error(), Some(Error::TimedOut));
    // The socket may try again.
    s.connect();
    assert_eq!(s.sent().len(), 1);
}

#[test]
fn connect_tells_how_far_it_is() {
    let mut s = Stage::new(Config::default());
    s.connect();
    let to: SocketAddr = s.flow.remote.into();
    let id = s.id;
    let again = |s: &mut Stage| {
        let (tcp, mut cx) = s.host();
        tcp.connect(&mut cx, id, to)
    };
    assert_eq!(again(&mut s), Err(Error::Already));
    assert!(s.ready().is_empty());
    assert_eq!(s.write(1), Err(Error::WouldBlock));
    s.sent();
    s.arrives(peer(Flags::SYN | Flags::ACK, 0, 1));
    // As in Linux, success is told once.
    assert_eq!(again(&mut s), Ok(()));
    assert_eq!(again(&mut s), Err(Error::IsConnected));
    assert_eq!(s.ready(), Readiness::WRITABLE);
    let (tcp, _) = s.host();
    assert_eq!(tcp.local_addr(id), Ok("10.0.0.1:4000".parse().unwrap()));
    assert_eq!(tcp.peer_addr(id), Ok(to));
}

#[test]
fn text_on_a_syn_is_tolerated() {
    // To us as a client it comes with the SYN and ACK, and counts.
    let mut s = Stage::new(Config::default());
    s.connect();
    s.sent();
    s.arrives(Peer {
        text: b"hello".to_vec(),
        ..peer(Flags::SYN | Flags::ACK, 0, 1)
    });
    assert_eq!(s.sent(), [". 1:1 ack 6"]);
    assert_eq!(s.read(10), Ok(5));
}

fn icmp(s: &mut Stage, kind: IcmpErrorKind, seq: SeqNum) -> bool {
    let (local, remote) = (s.flow.local, s.flow.remote);
    let mut quoted = [0; 8];
    quoted[0..2].copy_from_slice(&local.port.to_be_bytes());
    quoted[2..4].copy_from_slice(&remote.port.to_be_bytes());
    quoted[4..8].copy_from_slice(&seq.0.to_be_bytes());
    let error = IcmpError {
        kind,
        icmp_type: 3,
        icmp_code: 1,
        from: remote.ip,
        source: local.ip,
        destination: remote.ip,
        quoted: &quoted,
    };
    let (tcp, mut cx) = s.host();
    tcp.on_icmp_error(&mut cx, &error)
}

/// RFC 9293 §3.9.2.2 (MUST-54, MUST-55, MUST-56, SHLD-25), §3.9.1.8 (MUST-47).
#[test]
fn an_icmp_error_ends_an_attempt_and_not_a_connection() {
    let table = [
        (IcmpErrorKind::NetworkUnreachable, Error::NetworkUnreachable),
        (IcmpErrorKind::HostUnreachable, Error::HostUnreachable),
        (IcmpErrorKind::PortUnreachable, Error::ConnectionRefused),
        (
            IcmpErrorKind::ProtocolUnreachable,
            Error::ProtocolUnreachable,
        ),
        (IcmpErrorKind::Prohibited, Error::HostUnreachable),
    ];
    for (kind, error) in table {
        let mut s = Stage::new(Config::default());
        s.connect();
        s.sent();
        // RFC 5927 §4.1: a number that is not in flight is not believed.
        let iss = s.iss;
        assert!(!icmp(&mut s, kind, iss + 1000));
        assert_eq!(s.state(), "SYN-SENT");
        assert!(icmp(&mut s, kind, iss));
        assert_eq!(s.state(), "CLOSED");
        assert_eq!(s.error(), Some(error));

        let mut s = Stage::plain();
        s.write(10).unwrap();
        s.sent();
        let iss = s.iss;
        assert!(icmp(&mut s, kind, iss + 1));
        assert_eq!(s.state(), "ESTABLISHED");
        assert_eq!(s.error(), None);
        // It tells why, when the connection dies of it after all.
        s.wait(3_600_000);
        assert_eq!(s.error(), Some(error));
    }
    // Source Quench, and what means nothing here.
    let mut s = Stage::new(Config::default());
    s.connect();
    s.sent();
    let iss = s.iss;
    icmp(&mut s, IcmpErrorKind::Other, iss);
    assert_eq!((s.state(), s.error()), ("SYN-SENT", None));
}

/// RFC 9293 §3.7.3 (SHLD-6).
#[test]
fn a_narrower_path_cuts_what_is_out_anew() {
    let mut s = Stage::connected(
        Config::default(),
        Options {
            mss: Some(1460),
            ..Options::default()
        },
    );
    s.write(2920).unwrap();
    assert_eq!(s.sent(), [". 1:1461 ack 1", "P. 1461:2921 ack 1"]);
    let iss = s.iss;
    let kind = IcmpErrorKind::PacketTooBig { mtu: 1040 };
    assert!(icmp(&mut s, kind, iss + 1));
    let remote = s.flow.remote.ip;
    let (tcp, mut cx) = s.host();
    learn(&mut cx, remote, 1040);
    tcp.on_path_mtu(&mut cx, remote, 1040);
    assert_eq!(
        s.sent(),
        [". 1:1001 ack 1", ". 1001:2001 ack 1", "P. 2001:2921 ack 1"]
    );
    let info = s.info();
    assert_eq!(info.snd_mss, 1000);
    assert_eq!(info.ssthresh, u64::MAX, "that was no congestion");
}

fn learn(cx: &mut Context<'_>, remote: std::net::IpAddr, mtu: u32) {
    sockeye_core::ip::pmtu::learn(cx, remote, mtu);
    while cx.inet.pop_notice().is_some() {}
}

/// RFC 9293 §3.9.1.1 (MUST-46): nor to a group or a broadcast address.
#[test]
fn no_route_is_told_at_once_and_one_that_goes_is_waited_for() {
    let mut s = Stage::new(Config::default());
    let id = s.id;
    let (tcp, mut cx) = s.host();
    let far: SocketAddr = "192.0.2.1:80".parse().unwrap();
    assert_eq!(
        tcp.connect(&mut cx, id, far),
        Err(Error::NetworkUnreachable)
    );
    let group: SocketAddr = "224.0.0.1:80".parse().unwrap();
    assert_eq!(
        tcp.connect(&mut cx, id, group),
        Err(Error::NetworkUnreachable)
    );
    let broadcast: SocketAddr = "10.0.0.255:80".parse().unwrap();
    assert_eq!(
        tcp.connect(&mut cx, id, broadcast),
        Err(Error::NetworkUnreachable)
    );

    let mut s = Stage::plain();
    let net = "10.0.0.0/24".parse().unwrap();
    let interface = super::stage::LINK;
    assert!(s.host().1.inet.remove_route(net, None, interface));
    s.write(100).unwrap();
    s.wait(1000);
    assert_eq!(s.sent(), [""; 0]);
    s.host().1.inet.add_route(net, None, interface, 0).unwrap();
    s.wait(1000);
    assert_eq!(s.sent().first().unwrap(), "P. 1:101 ack 1");
}

#[test]
fn an_address_that_goes_takes_its_connections() {
    let mut s = Stage::plain();
    let net = "10.0.0.1/24".parse().unwrap();
    let (tcp, mut cx) = s.host();
    inet::remove_address(&mut cx, super::stage::LINK, net);
    let change = sockeye_core::AddressChange::Removed("10.0.0.1".parse().unwrap());
    tcp.on_address(&mut cx, change);
    assert_eq!(s.state(), "CLOSED");
    assert_eq!(s.error(), Some(Error::NetworkDown));
}

/// RFC 9293 §3.9.1.1 (MUST-43).
#[test]
fn ports_are_held_and_given_back() {
    let mut pair = Pair::new(Wire::default());
    let (tcp, mut cx) = pair.host(A);
    let socket = |cx: &mut Context<'_>, tcp: &mut crate::Tcp| tcp.open(cx, Domain::V4).unwrap();
    let any: SocketAddr = "0.0.0.0:80".parse().unwrap();
    let own: SocketAddr = "10.0.0.1:80".parse().unwrap();
    let a = socket(&mut cx, tcp);
    tcp.bind(&mut cx, a, any).unwrap();
    let b = socket(&mut cx, tcp);
    assert_eq!(tcp.bind(&mut cx, b, own), Err(Error::AddressInUse));
    assert_eq!(
        tcp.bind(&mut cx, b, "10.0.0.9:81".parse().unwrap()),
        Err(Error::AddressNotAvailable)
    );
    assert_eq!(
        tcp.bind(&mut cx, b, "[fd00::1]:81".parse().unwrap()),
        Err(Error::AddressFamily)
    );
    tcp.close(&mut cx, a).unwrap();
    assert_eq!(tcp.local_addr(a), Err(Error::BadSocket));
    tcp.bind(&mut cx, b, own).unwrap();
    assert_eq!(tcp.bind(&mut cx, b, own), Err(Error::Invalid));
    tcp.close(&mut cx, b).unwrap();
    let c = socket(&mut cx, tcp);
    tcp.listen(&mut cx, c, 5).unwrap();
    let port = tcp.local_addr(c).unwrap().port();
    assert!((32_768..=60_999).contains(&port));
    tcp.close(&mut cx, c).unwrap();
    assert!(pair.is_clean(A));
}

#[test]
fn a_dual_stack_listener_shows_mapped_peers() {
    let mut pair = Pair::new(Wire::default());
    let listener = pair.listen(80);
    let a = pair.dial(80);
    let b = pair.accept(listener).unwrap();
    let (tcp, _) = pair.host(A);
    let client = tcp.local_addr(a).unwrap();
    let (tcp, _) = pair.host(B);
    let peer = tcp.peer_addr(b).unwrap();
    assert_eq!(
        peer.to_string(),
        format!("[::ffff:10.0.0.1]:{}", client.port())
    );
    assert_eq!(
        tcp.local_addr(b).unwrap().to_string(),
        "[::ffff:10.0.0.2]:80"
    );
    let rows = tcp.sockets();
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].state, rows[1].state), ("LISTEN", "ESTAB"));
}

/// RFC 9293 §3.9.1.1 (MUST-44, MUST-45): IP says the address of a connection that has none, and the
/// connection keeps it.
#[test]
fn an_address_is_chosen_for_who_has_none() {
    let mut pair = Pair::new(Wire::default());
    pair.listen(80);
    let a = pair.dial(80);
    let (tcp, _) = pair.host(A);
    let own = tcp.local_addr(a).unwrap();
    assert_eq!(own.ip(), "10.0.0.1".parse::<std::net::IpAddr>().unwrap());
    pair.run_until(|pair| pair.state(A, a) == crate::State::Established);
    assert_eq!(pair.host(A).0.local_addr(a), Ok(own));
}

/// RFC 9293 §3.9.2.3 (MUST-57, MUST-63).
#[test]
fn nothing_is_answered_that_is_for_a_group_or_from_one() {
    let group = "224.0.0.1".parse().unwrap();
    let mut s = Stage::new(Config::default());
    let flow = s.flow;
    s.arrives(peer(Flags::SYN, 0, 0));
    assert_eq!(s.sent().len(), 1);
    s.flow.remote.ip = group;
    s.arrives(peer(Flags::SYN, 0, 0));
    s.flow = flow;
    s.flow.local.ip = group;
    s.arrives(peer(Flags::SYN, 0, 0));
    s.flow = flow;
    s.flow.remote.ip = "0.0.0.0".parse().unwrap();
    s.arrives(peer(Flags::SYN, 0, 0));
    assert_eq!(s.sent(), [""; 0]);
}

#[test]
fn an_address_is_bound_and_the_port_left_to_connect() {
    let config = Config {
        local_ports: (40_000, 40_000),
        ..Config::default()
    };
    let mut pair = Pair::with(Wire::default(), config, 1);
    let ours: SocketAddr = "10.0.0.1:0".parse().unwrap();
    let (tcp, mut cx) = pair.host(A);
    let bound = |tcp: &mut crate::Tcp, cx: &mut Context<'_>| -> SocketId {
        let id = tcp.open(cx, Domain::V4).unwrap();
        let on = OptionValue::Flag(true);
        tcp.set_option(cx, id, SocketOption::BindAddressNoPort, on)
            .unwrap();
        tcp.bind(cx, id, ours).unwrap();
        id
    };
    let [first, second, third] = [(); 3].map(|()| bound(tcp, &mut cx));
    assert_eq!(tcp.local_addr(first), Ok(ours));
    // As in Linux it may be bound anew while it has no port.
    let any: SocketAddr = "0.0.0.0:0".parse().unwrap();
    for address in [any, ours] {
        tcp.bind(&mut cx, first, address).unwrap();
        assert_eq!(tcp.local_addr(first), Ok(address));
    }
    // One port is all there is: to different peers it is enough for all.
    for (id, to) in [(first, "10.0.0.2:80"), (second, "10.0.0.2:81")] {
        let begun = tcp.connect(&mut cx, id, to.parse().unwrap());
        assert_eq!(begun, Err(Error::InProgress));
        let local = tcp.local_addr(id).unwrap();
        assert_eq!(local, "10.0.0.1:40000".parse().unwrap());
    }
    let again = tcp.connect(&mut cx, third, "10.0.0.2:80".parse().unwrap());
    assert_eq!(again, Err(Error::AddressNotAvailable));
    // A port that is chosen by bind, or for listening, is for one alone.
    assert_eq!(tcp.listen(&mut cx, third, 1), Err(Error::AddressInUse));
    // What bind has done stays when the connection is dissolved.
    for id in [first, second] {
        tcp.disconnect(&mut cx, id).unwrap();
        assert_eq!(tcp.local_addr(id), Ok(ours));
    }
    tcp.listen(&mut cx, third, 1).unwrap();
    let local = tcp.local_addr(third).unwrap();
    assert_eq!(local, "10.0.0.1:40000".parse().unwrap());
    // Who was bound to nothing at all listens, too.
    tcp.close(&mut cx, third).unwrap();
    tcp.bind(&mut cx, first, any).unwrap();
    tcp.listen(&mut cx, first, 1).unwrap();
    let local = tcp.local_addr(first).unwrap();
    assert_eq!(local, "0.0.0.0:40000".parse().unwrap());
    for id in [first, second] {
        tcp.close(&mut cx, id).unwrap();
    }
    assert_eq!(tcp.sockets.len(), 0);
}
