//! Traces of closing: resets, lingering, orphans, TIME-WAIT, keep-alives.

use super::pair::{A, B, Pair, Wire};
use super::stage::{Peer, Stage, ack, peer, text};
use crate::State;
use core::time::Duration;
use sockeye_core::{Config, Counter, Error, OptionValue, Readiness, Shutdown, SocketOption};
use sockeye_wire::tcp::Flags;
use sockeye_wire::tcp_options::{Options, Timestamps};

fn close(s: &mut Stage) {
    let id = s.id;
    let (tcp, mut cx) = s.host();
    tcp.close(&mut cx, id).unwrap();
}

#[test]
fn closing_with_text_unread_resets() {
    let mut s = Stage::plain();
    s.arrives(text(1, 1, 10));
    s.sent();
    close(&mut s);
    assert_eq!(s.sent(), ["R. 1:1 ack 11"]);
    assert_eq!(s.state(), "gone");
    assert!(s.pair.is_clean(A));
}

/// RFC 9293 §3.6.1 (SHLD-3).
#[test]
fn text_after_close_resets() {
    let mut s = Stage::plain();
    close(&mut s);
    assert_eq!(s.sent(), ["F. 1:1 ack 1"]);
    s.arrives(ack(1, 2));
    assert_eq!(s.state(), "FIN-WAIT-2");
    s.arrives(text(1, 2, 10));
    assert_eq!(s.sent(), ["R 2:2"]);
    assert_eq!(s.state(), "gone");
    let counters = &s.pair.hosts[A].parts.counters;
    assert_eq!(counters.get(Counter::TcpExtTCPAbortOnData), 1);
    assert!(s.pair.is_clean(A));
    // A half close is something else: its user reads on.
    let mut s = Stage::plain();
    s.pair.shutdown_write(A, s.id);
    s.sent();
    s.arrives(text(1, 2, 10));
    assert_eq!(s.read(100), Ok(10));
}

#[test]
fn lingering_for_no_time_resets() {
    let mut s = Stage::plain();
    s.set(
        SocketOption::Linger,
        OptionValue::Time(Some(Duration::ZERO)),
    );
    s.write(100).unwrap();
    close(&mut s);
    assert_eq!(s.sent(), ["R. 1:1 ack 1"]);
    assert_eq!(s.state(), "gone");
}

#[test]
fn a_closed_socket_delivers_what_was_written() {
    let mut s = Stage::plain();
    s.window = 1000;
    s.arrives(ack(1, 1));
    s.write(3000).unwrap();
    close(&mut s);
    let id = s.id;
    assert_eq!(s.host().0.pending_close(), 1);
    assert!(!s.host().0.is_finished(id));
    assert_eq!(s.host().0.readiness(id), Err(Error::BadSocket));
    let mut seen = 1;
    for _ in 0..3 {
        let (header, len) = s.headers().pop().unwrap();
        assert_eq!(header.seq, s.iss + seen);
        seen += len as u32;
        s.arrives(ack(1, seen));
    }
    assert_eq!(s.sent(), ["F. 3001:3001 ack 1"]);
    s.arrives(ack(1, 3002));
    assert!(s.host().0.is_finished(id));
    assert_eq!(s.host().0.pending_close(), 0);
    // An orphan does not wait for ever for the peer's FIN.
    assert_eq!(s.state(), "FIN-WAIT-2");
    s.wait(59_000);
    assert_eq!(s.state(), "FIN-WAIT-2");
    s.wait(2000);
    assert_eq!(s.state(), "gone");
    assert!(s.pair.is_clean(A));
}

#[test]
fn linger2_shortens_the_wait_and_a_held_socket_has_none() {
    let mut s = Stage::plain();
    let wait = OptionValue::Time(Some(Duration::from_secs(3)));
    s.set(SocketOption::Linger2, wait);
    s.pair.shutdown_write(A, s.id);
    s.sent();
    s.arrives(ack(1, 2));
    s.wait(100_000);
    assert_eq!(s.state(), "FIN-WAIT-2");
    close(&mut s);
    s.wait(3000);
    assert_eq!(s.state(), "gone");
}

#[test]
fn an_orphan_gives_up_sooner() {
    let mut s = Stage::plain();
    s.write(100).unwrap();
    close(&mut s);
    // Eight doublings of the least RTO, counted from the first that was sent again.
    s.wait(300_000);
    assert_eq!(s.sent().len(), 10);
    assert_eq!(s.state(), "gone");
    assert!(s.pair.is_clean(A));
}

#[test]
fn time_wait_answers_the_fin_and_starts_anew() {
    let mut s = Stage::plain();
    close(&mut s);
    s.arrives(ack(1, 2));
    s.sent();
    s.arrives(peer(Flags::FIN | Flags::ACK, 1, 2));
    assert_eq!(s.sent(), [". 2:2 ack 2"]);
    assert_eq!(s.state(), "TIME-WAIT");
    s.wait(40_000);
    s.arrives(peer(Flags::FIN | Flags::ACK, 1, 2));
    assert_eq!(s.sent(), [". 2:2 ack 2"]);
    s.wait(59_000);
    assert_eq!(s.state(), "TIME-WAIT");
    s.wait(1500);
    assert_eq!(s.state(), "gone");
    assert!(s.pair.is_clean(A));
    assert!(s.pair.hosts[A].parts.timers.is_empty());
}

#[test]
fn time_wait_holds_its_port() {
    let options = Options {
        timestamps: Some(Timestamps {
            tsval: 50,
            tsecr: 0,
        }),
        ..Options::default()
    };
    let mut s = Stage::connected(Config::default(), options);
    close(&mut s);
    s.sent();
    s.arrives(ack(1, 2));
    s.arrives(peer(Flags::FIN | Flags::ACK, 1, 2));
    s.sent();
    assert_eq!(s.state(), "TIME-WAIT");
    let (tcp, mut cx) = s.host();
    let listener = tcp.open(&mut cx, sockeye_core::Domain::V4).unwrap();
    let reuse = OptionValue::Flag(true);
    let local = "0.0.0.0:4000".parse().unwrap();
    assert_eq!(tcp.bind(&mut cx, listener, local), Err(Error::AddressInUse));
    tcp.set_option(&mut cx, listener, SocketOption::ReuseAddress, reuse)
        .unwrap();
    // The old socket had not set it.
    assert_eq!(tcp.bind(&mut cx, listener, local), Err(Error::AddressInUse));
    s.wait(61_000);
    assert_eq!(s.state(), "gone");
    let (tcp, mut cx) = s.host();
    tcp.bind(&mut cx, listener, local).unwrap();
}

#[test]
fn a_server_may_be_called_again_from_the_same_port() {
    let mut pair = Pair::new(Wire::default());
    let listener = pair.listen(80);
    let dial = |pair: &mut Pair| {
        let (tcp, mut cx) = pair.host(A);
        let id = tcp.open(&mut cx, sockeye_core::Domain::V4).unwrap();
        let reuse = OptionValue::Flag(true);
        tcp.set_option(&mut cx, id, SocketOption::ReuseAddress, reuse)
            .unwrap();
        tcp.bind(&mut cx, id, "10.0.0.1:7777".parse().unwrap())
            .unwrap();
        let to = "10.0.0.2:80".parse().unwrap();
        assert_eq!(tcp.connect(&mut cx, id, to), Err(Error::InProgress));
        id
    };
    let a = dial(&mut pair);
    let b = pair.accept(listener).unwrap();
    // The server closes first, so TIME-WAIT is on its side.
    pair.close(B, b);
    pair.run_for(Duration::from_secs(1));
    pair.close(A, a);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.hosts[B].tcp.time_wait, 1);
    let a = dial(&mut pair);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.state(A, a), State::Established);
    assert_eq!(pair.hosts[B].tcp.time_wait, 0);
    let b = pair.accept(listener).unwrap();
    pair.send(A, a, b"again").unwrap();
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.recv(B, b), Ok(b"again".to_vec()));
}

#[test]
fn keep_alives_ask_and_the_ninth_unanswered_ends_it() {
    let mut s = Stage::plain();
    s.set(SocketOption::KeepAlive, OptionValue::Flag(true));
    let time = |secs| OptionValue::Time(Some(Duration::from_secs(secs)));
    s.set(SocketOption::KeepIdle, time(100));
    s.set(SocketOption::KeepInterval, time(10));
    s.wait(99_000);
    assert_eq!(s.sent(), [""; 0]);
    s.wait(1500);
    // RFC 9293 §3.8.4: SEG.SEQ = SND.NXT - 1.
    assert_eq!(s.sent(), [". 0:0 ack 1"]);
    s.arrives(ack(1, 1));
    s.wait(99_000);
    assert_eq!(s.sent(), [""; 0]);
    s.wait(85_000);
    assert_eq!(s.sent().len(), 9);
    assert_eq!(s.state(), "ESTABLISHED");
    s.wait(10_000);
    assert_eq!(s.sent(), ["R. 1:1 ack 1"]);
    assert_eq!(s.state(), "CLOSED");
    assert_eq!(s.error(), Some(Error::TimedOut));
}

#[test]
fn a_keep_alive_of_the_peer_is_answered() {
    let mut s = Stage::plain();
    s.arrives(ack(0, 1));
    assert_eq!(s.sent(), [". 1:1 ack 1"]);
}

#[test]
fn shutting_down_reading_ends_the_stream_here() {
    let mut s = Stage::plain();
    let id = s.id;
    s.arrives(text(1, 1, 5));
    let (tcp, mut cx) = s.host();
    tcp.shutdown(&mut cx, id, Shutdown::Read).unwrap();
    assert!(
        s.ready()
            .contains(Readiness::READABLE | Readiness::READ_CLOSED)
    );
    assert_eq!(s.read(10), Ok(5));
    assert_eq!(s.read(10), Ok(0));
    assert_eq!(s.write(5), Ok(5));
    let (tcp, mut cx) = s.host();
    tcp.shutdown(&mut cx, id, Shutdown::Both).unwrap();
    assert!(s.ready().contains(Readiness::HANGUP));
    assert_eq!(s.write(5), Err(Error::BrokenPipe));
}

#[test]
fn a_reset_in_close_wait_breaks_the_pipe() {
    let mut s = Stage::plain();
    s.arrives(Peer {
        flags: Flags::FIN | Flags::ACK,
        ..text(1, 1, 5)
    });
    s.arrives(peer(Flags::RST, 7, 0));
    assert_eq!(s.state(), "CLOSED");
    assert_eq!(s.read(10), Ok(5));
    assert_eq!(s.write(1), Err(Error::BrokenPipe));
    assert_eq!(s.read(10), Ok(0));
}

#[test]
fn challenges_are_throttled() {
    let mut s = Stage::plain();
    for _ in 0..100 {
        s.arrives(peer(Flags::RST, 2, 0));
        s.sent();
    }
    let counters = &s.pair.hosts[A].parts.counters;
    assert_eq!(counters.get(Counter::TcpExtTCPChallengeACK), 5);
    assert_eq!(s.state(), "ESTABLISHED");
}
