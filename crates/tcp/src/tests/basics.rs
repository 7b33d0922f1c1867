//! Connections that go well: opened, used, closed.

use super::pair::{A, B, Pair, Wire};
use crate::State;
use core::time::Duration;
use sockeye_core::{Error, Readiness};

fn bytes(len: usize) -> Vec<u8> {
    (0..len as u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

#[test]
fn opens_transfers_and_closes() {
    let mut pair = Pair::new(Wire::default());
    let (a, b) = pair.connection();
    assert_eq!(pair.state(B, b), State::Established);
    let data = bytes(300_000);
    assert_eq!(pair.transfer(A, [a, b], &data), data);
    assert_eq!(pair.transfer(B, [a, b], &data), data);
    pair.close(A, a);
    pair.run_until(|pair| pair.state(B, b) == State::CloseWait);
    assert_eq!(pair.recv(B, b), Ok(vec![]));
    pair.close(B, b);
    pair.run_until(|pair| pair.is_clean(B));
    assert_eq!(pair.state(A, a), State::TimeWait);
    pair.run_dry();
    assert!(pair.is_clean(A));
}

#[test]
fn a_port_where_nobody_listens_refuses() {
    let mut pair = Pair::new(Wire::default());
    let a = pair.dial(81);
    pair.run_until(|pair| pair.state(A, a) == State::Closed);
    assert!(pair.ready(A, a).contains(Readiness::ERROR));
    let (tcp, _) = pair.host(A);
    assert_eq!(tcp.take_error(a), Ok(Some(Error::ConnectionRefused)));
    pair.close(A, a);
    assert!(pair.is_clean(A));
}

#[test]
fn one_way_of_a_connection_may_be_closed() {
    let mut pair = Pair::new(Wire::default());
    let (a, b) = pair.connection();
    pair.shutdown_write(A, a);
    pair.run_until(|pair| pair.state(B, b) == State::CloseWait);
    let data = bytes(100_000);
    assert_eq!(pair.transfer(B, [a, b], &data), data);
    assert_eq!(pair.state(A, a), State::FinWait2);
    assert_eq!(pair.send(A, a, b"x"), Err(Error::BrokenPipe));
    pair.shutdown_write(B, b);
    pair.run_until(|pair| pair.state(A, a) == State::TimeWait);
    assert_eq!(pair.recv(A, a), Ok(vec![]));
    pair.close(A, a);
    pair.close(B, b);
    pair.run_dry();
    assert!(pair.is_clean(A) && pair.is_clean(B));
}

#[test]
fn both_may_close_at_once() {
    let mut pair = Pair::new(Wire::default());
    let (a, b) = pair.connection();
    pair.run_for(Duration::from_secs(1));
    pair.close(A, a);
    pair.close(B, b);
    pair.run_for(Duration::from_millis(15));
    assert_eq!(pair.state(A, a), State::Closing);
    assert_eq!(pair.state(B, b), State::Closing);
    pair.run_for(Duration::from_millis(15));
    assert_eq!(pair.state(A, a), State::TimeWait);
    assert_eq!(pair.state(B, b), State::TimeWait);
    pair.run_dry();
    assert!(pair.is_clean(A) && pair.is_clean(B));
}

#[test]
fn what_arrived_before_a_reset_can_still_be_read() {
    let mut pair = Pair::new(Wire::default());
    let (a, b) = pair.connection();
    pair.send(A, a, b"last words").unwrap();
    pair.run_for(Duration::from_secs(1));
    let (tcp, mut cx) = pair.host(A);
    tcp.abort(&mut cx, a).unwrap();
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.state(B, b), State::Closed);
    let ready = pair.ready(B, b);
    assert!(ready.contains(Readiness::READABLE | Readiness::ERROR | Readiness::HANGUP));
    assert_eq!(pair.recv(B, b), Ok(b"last words".to_vec()));
    assert_eq!(pair.recv(B, b), Err(Error::ConnectionReset));
    assert_eq!(pair.recv(B, b), Ok(vec![]));
    assert_eq!(pair.send(B, b, b"x"), Err(Error::BrokenPipe));
    pair.close(B, b);
    pair.close(A, a);
    assert!(pair.is_clean(A) && pair.is_clean(B));
}

/// RFC 9293 §3.5, figure 7.
#[test]
fn both_may_open_at_once() {
    let mut pair = Pair::new(Wire::default());
    let ends = [
        ("10.0.0.1:4000", "10.0.0.2:5000"),
        ("10.0.0.2:5000", "10.0.0.1:4000"),
    ];
    let ids = [A, B].map(|n| {
        let (local, remote) = ends[n];
        let (tcp, mut cx) = pair.host(n);
        let id = tcp.open(&mut cx, sockeye_core::Domain::V4).unwrap();
        tcp.bind(&mut cx, id, local.parse().unwrap()).unwrap();
        let started = tcp.connect(&mut cx, id, remote.parse().unwrap());
        assert_eq!(started, Err(Error::InProgress));
        id
    });
    pair.run_for(Duration::from_millis(15));
    assert_eq!(pair.state(A, ids[A]), State::SynReceived);
    assert_eq!(pair.state(B, ids[B]), State::SynReceived);
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.state(A, ids[A]), State::Established);
    assert_eq!(pair.state(B, ids[B]), State::Established);
    let packets = pair.log.len();
    assert!(packets <= 6, "{packets} packets for a handshake");
    let data = bytes(50_000);
    assert_eq!(pair.transfer(B, ids, &data), data);
}
