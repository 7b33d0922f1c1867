//! Traces of opening: retries, the backlog, what a SYN may say, errors on the way.

use super::pair::{A, B, Pair, Wire};
use super::stage::{Peer, Stage, ack, peer, text};
use core::time::Duration;
use sockeye_core::transport::IcmpErrorKind;
use sockeye_core::{
    Config, Context, Counter, Domain, Error, IcmpError, OptionValue, Readiness, SocketId,
    SocketOption, Transport, inet,
};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp::{Flags, Header};
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
    // To a listener it is not acknowledged: it comes again once the connection stands.
    let mut s = listener(Config::default());
    s.arrives(Peer {
        text: b"hello".to_vec(),
        ..peer(Flags::SYN, 0, 0)
    });
    assert_eq!(s.sent(), ["S. 0:0 ack 1"]);
    s.arrives(text(1, 1, 5));
    assert_eq!(s.sent(), [". 1:1 ack 6"]);
}

/// A stage whose socket listens.
fn listener(config: Config) -> Stage {
    let mut s = Stage::new(config);
    let id = s.id;
    let (tcp, mut cx) = s.host();
    tcp.listen(&mut cx, id, 1).unwrap();
    s
}

fn accept(s: &mut Stage) -> Result<SocketId, Error> {
    let id = s.id;
    let (tcp, mut cx) = s.host();
    tcp.accept(&mut cx, id).map(|(id, _)| id)
}

fn from_port(port: u16, flags: Flags, seq: u32, ack: SeqNum) -> Header {
    Header {
        source_port: port,
        seq: SeqNum(seq),
        ack,
        flags,
        window: 1000,
        ..Header::default()
    }
}

#[test]
fn a_syn_and_ack_is_sent_six_times() {
    let mut s = listener(Config::default());
    s.arrives(peer(Flags::SYN, 0, 0));
    assert_eq!(s.sent(), ["S. 0:0 ack 1"]);
    // The SYN again brings the answer again.
    s.arrives(peer(Flags::SYN, 0, 0));
    assert_eq!(s.sent(), ["S. 0:0 ack 1"]);
    s.wait(120_000);
    assert_eq!(s.sent().len(), 5);
    assert_eq!(s.host().0.half_open, 0);
    assert_eq!(s.host().0.sockets.len(), 1);
    assert!(s.pair.hosts[A].parts.timers.is_empty());
}

#[test]
fn the_backlog_is_a_limit() {
    let mut s = listener(Config::default());
    let open = |s: &mut Stage, port: u16| {
        s.arrives_as_is(from_port(port, Flags::SYN, 100, SeqNum(0)), &[]);
        let answer = s.headers().pop();
        if let Some((syn, _)) = answer {
            let ack = from_port(port, Flags::ACK, 101, syn.seq + 1);
            s.arrives_as_is(ack, &[]);
        }
        answer.is_some()
    };
    // A backlog of 1 takes 2.
    assert!(open(&mut s, 1001) && open(&mut s, 1002));
    assert!(!open(&mut s, 1003));
    let counters = &s.pair.hosts[A].parts.counters;
    assert_eq!(counters.get(Counter::TcpExtListenOverflows), 1);
    assert!(s.ready().contains(Readiness::READABLE));
    accept(&mut s).unwrap();
    assert!(open(&mut s, 1003));
    accept(&mut s).unwrap();
    accept(&mut s).unwrap();
    assert_eq!(accept(&mut s), Err(Error::WouldBlock));
    assert!(s.ready().is_empty());
}

#[test]
fn half_open_connections_have_a_limit_and_a_full_queue_asks_again() {
    let config = Config {
        syn_backlog_max: 3,
        ..Config::default()
    };
    let mut s = listener(config);
    let mut answers = Vec::new();
    for port in 1001..=1005 {
        s.arrives_as_is(from_port(port, Flags::SYN, 100, SeqNum(0)), &[]);
        answers.extend(s.headers().into_iter().map(|(h, _)| (port, h.seq)));
    }
    assert_eq!(answers.len(), 3);
    // Two of the three fit into the accept queue; the third's acknowledgment is dropped, and our
    // SYN and ACK asks for another.
    for &(port, iss) in &answers {
        s.arrives_as_is(from_port(port, Flags::ACK, 101, iss + 1), &[]);
    }
    assert_eq!(s.host().0.half_open, 1);
    accept(&mut s).unwrap();
    s.wait(1000);
    let (header, _) = s.headers().pop().unwrap();
    assert_eq!(header.flags, Flags::SYN | Flags::ACK);
    let (port, iss) = answers[2];
    s.arrives_as_is(from_port(port, Flags::ACK, 101, iss + 1), &[]);
    assert_eq!(s.host().0.half_open, 0);
    accept(&mut s).unwrap();
    accept(&mut s).unwrap();
}

#[test]
fn a_listener_that_closes_takes_its_connections_with_it() {
    let mut s = listener(Config::default());
    s.arrives(peer(Flags::SYN, 0, 0));
    s.sent();
    s.arrives(ack(1, 1));
    let half_open = from_port(99, Flags::SYN, 7, SeqNum(0));
    s.arrives_as_is(half_open, &[]);
    s.headers();
    let id = s.id;
    let (tcp, mut cx) = s.host();
    tcp.close(&mut cx, id).unwrap();
    assert_eq!(s.sent(), ["R. 1:1 ack 1"]);
    s.wait(2000);
    assert!(s.host().0.sockets.is_empty());
    assert!(s.pair.is_clean(A));
}

#[test]
fn a_deferred_accept_waits_for_text() {
    let mut s = listener(Config::default());
    let wait = OptionValue::Time(Some(Duration::from_secs(5)));
    s.set(SocketOption::DeferAccept, wait);
    s.arrives(peer(Flags::SYN, 0, 0));
    s.sent();
    s.arrives(ack(1, 1));
    assert_eq!(accept(&mut s), Err(Error::WouldBlock));
    s.arrives(text(1, 1, 5));
    let id = accept(&mut s).unwrap();
    assert_eq!(s.host().0.queued(id).unwrap().readable, 5);
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
}

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
