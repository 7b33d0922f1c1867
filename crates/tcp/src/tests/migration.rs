//! Traces of listeners that share a port (SO_REUSEPORT), and of what one of them leaves to another.

use super::pair::A;
use super::stage::{Stage, ack, peer, text};
use crate::socket::Socket;
use sockeye_core::{Config, Counter, Domain, Error, FastOpenMode, OptionValue};
use sockeye_core::{Readiness, SocketId, SocketOption};
use sockeye_wire::tcp::Flags;

fn migrating() -> Config {
    Config {
        tcp_migrate_req: true,
        ..Config::default()
    }
}

/// A stage with two listeners of one port, each with a backlog of 1.
fn group(config: Config) -> (Stage, [SocketId; 2]) {
    let mut s = Stage::new(config);
    let (first, address) = (s.id, s.flow.local.into());
    let (tcp, mut cx) = s.host();
    let second = tcp.open(&mut cx, Domain::V4).unwrap();
    for id in [first, second] {
        let on = OptionValue::Flag(true);
        tcp.set_option(&mut cx, id, SocketOption::ReusePort, on)
            .unwrap();
    }
    tcp.bind(&mut cx, second, address).unwrap();
    for id in [first, second] {
        tcp.listen(&mut cx, id, 1).unwrap();
    }
    (s, [first, second])
}

/// Half-open and established connections of a listener.
fn waiting(s: &mut Stage, id: SocketId) -> (usize, usize) {
    match s.host().0.sockets.get(id) {
        Some(Socket::Listening(listener)) => (listener.half_open, listener.queue.len()),
        _ => (0, 0),
    }
}

/// The one of `group` that has what waits, and its mate.
fn in_order(s: &mut Stage, group: [SocketId; 2]) -> (SocketId, SocketId) {
    let [first, second] = group;
    match waiting(s, first) {
        (0, 0) => (second, first),
        _ => (first, second),
    }
}

fn close(s: &mut Stage, id: SocketId) {
    let (tcp, mut cx) = s.host();
    tcp.close(&mut cx, id).unwrap();
}

fn accept(s: &mut Stage, id: SocketId) -> Result<SocketId, Error> {
    let (tcp, mut cx) = s.host();
    tcp.accept(&mut cx, id).map(|(id, _)| id)
}

/// Successes and failures.
fn counts(s: &Stage) -> [u64; 2] {
    let counters = &s.pair.hosts[A].parts.counters;
    [
        counters.get(Counter::TcpExtTCPMigrateReqSuccess),
        counters.get(Counter::TcpExtTCPMigrateReqFailure),
    ]
}

/// Handshakes from `count` ports.
fn established(s: &mut Stage, count: u16) {
    for port in 1000..1000 + count {
        s.flow.remote.port = port;
        s.arrives(peer(Flags::SYN, 0, 0));
        s.sent();
        s.arrives(ack(1, 1));
    }
    s.sent();
}

#[test]
fn a_mate_accepts_what_waited_with_its_text() {
    let (mut s, group) = group(migrating());
    established(&mut s, 1);
    s.arrives(text(1, 1, 5));
    let (closed, mate) = in_order(&mut s, group);
    s.sent();
    close(&mut s, closed);
    assert!(s.sent().is_empty(), "the peer hears nothing of it");
    assert_eq!(counts(&s), [1, 0]);
    let ready = s.host().0.readiness(mate).unwrap();
    assert!(ready.contains(Readiness::READABLE));
    let id = accept(&mut s, mate).unwrap();
    assert_eq!(s.host().0.queued(id).unwrap().readable, 5);
    assert_eq!(accept(&mut s, mate), Err(Error::WouldBlock));
}

#[test]
fn a_handshake_ends_at_a_mate() {
    let (mut s, group) = group(migrating());
    s.arrives(peer(Flags::SYN, 0, 0));
    s.sent();
    let (closed, mate) = in_order(&mut s, group);
    // shutdown does it, too.
    let (tcp, mut cx) = s.host();
    tcp.shutdown(&mut cx, closed, sockeye_core::socket::Shutdown::Read)
        .unwrap();
    assert_eq!(waiting(&mut s, mate), (1, 0));
    // Nobody answers: the SYN and ACK goes again.
    s.wait(1000);
    assert_eq!(s.sent(), ["S. 0:0 ack 1"]);
    s.arrives(ack(1, 1));
    assert_eq!(waiting(&mut s, mate), (0, 1));
    accept(&mut s, mate).unwrap();
    assert_eq!(counts(&s), [1, 0]);
}

#[test]
fn without_the_setting_they_are_reset() {
    let (mut s, group) = group(Config::default());
    established(&mut s, 1);
    let (closed, mate) = in_order(&mut s, group);
    close(&mut s, closed);
    assert_eq!(s.sent(), ["R. 1:1 ack 1"]);
    assert_eq!((waiting(&mut s, mate), counts(&s)), ((0, 0), [0, 1]));
    // A handshake that is not over yet is refused as it ends.
    let (mut s, group) = self::group(Config::default());
    s.arrives(peer(Flags::SYN, 0, 0));
    s.sent();
    let (closed, mate) = in_order(&mut s, group);
    close(&mut s, closed);
    s.arrives(ack(1, 1));
    assert_eq!(s.sent(), ["R 1:1"]);
    assert_eq!(waiting(&mut s, mate), (0, 0));
}

#[test]
fn the_last_of_a_group_resets_what_waits() {
    let (mut s, group) = group(migrating());
    established(&mut s, 1);
    let (last, mate) = in_order(&mut s, group);
    close(&mut s, mate);
    assert!(s.sent().is_empty());
    close(&mut s, last);
    assert_eq!(s.sent(), ["R. 1:1 ack 1"]);
    assert_eq!(counts(&s), [0, 1]);
    assert_eq!(s.host().0.sockets.len(), 0);
}

#[test]
fn a_mate_takes_no_more_than_its_queue_holds() {
    let (mut s, [first, second]) = group(migrating());
    established(&mut s, 32);
    assert_eq!(waiting(&mut s, first).1, 2);
    assert_eq!(waiting(&mut s, second).1, 2);
    accept(&mut s, second).unwrap();
    close(&mut s, first);
    assert_eq!(waiting(&mut s, second).1, 2);
    assert_eq!(counts(&s), [1, 1]);
}

#[test]
fn an_unproven_connection_counts_where_it_has_come_to() {
    let config = Config {
        tcp_fast_open: FastOpenMode::SERVER | FastOpenMode::SERVER_WITHOUT_COOKIE,
        ..migrating()
    };
    let (mut s, group) = group(config);
    for id in group {
        let (tcp, mut cx) = s.host();
        let one = OptionValue::Int(1);
        tcp.set_option(&mut cx, id, SocketOption::FastOpen, one)
            .unwrap();
    }
    let mut syn = peer(Flags::SYN, 0, 0);
    syn.text = b"hello".to_vec();
    s.arrives(syn.clone());
    assert_eq!(s.sent(), ["S. 0:0 ack 6"]);
    let iss = s.iss;
    let (closed, mate) = in_order(&mut s, group);
    close(&mut s, closed);
    assert_eq!(waiting(&mut s, mate), (0, 1));
    // One may be unproven: another one's text is not taken.
    s.flow.remote.port += 1;
    s.arrives(syn.clone());
    assert_eq!(s.sent(), ["S. 0:0 ack 1"]);
    s.arrives(peer(Flags::RST, 1, 0));
    // Once the first is proven, there is room again.
    s.flow.remote.port -= 1;
    let last = core::mem::replace(&mut s.iss, iss);
    s.arrives(ack(6, 1));
    s.iss = last;
    s.sent();
    s.flow.remote.port += 2;
    s.arrives(syn);
    assert_eq!(s.sent(), ["S. 0:0 ack 6"]);
}
