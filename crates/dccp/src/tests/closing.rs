//! Connections end (RFC 4340 §8.3).

use super::pair::{A, B, Pair, Wire};
use crate::State;
use core::time::Duration;
use sockeye_core::{Error, OptionValue, Shutdown, SocketOption};
use sockeye_wire::dccp::PacketType;

fn opened() -> (Pair, sockeye_core::SocketId, sockeye_core::SocketId) {
    let mut pair = Pair::new(Wire::default());
    let (a, b) = pair.connection();
    pair.send(B, b, b"x").unwrap();
    pair.run_until(|pair| pair.state(A, a) == State::Open);
    pair.recv(A, a).unwrap();
    pair.run_for(Duration::from_secs(1));
    pair.said();
    (pair, a, b)
}

/// RFC 4340 §8.3: the second sequence.
/// RFC 4340 §8.3-2: the Reset.
#[test]
fn a_client_closes_and_waits() {
    let (mut pair, a, b) = opened();
    pair.close(A, a);
    pair.run_until(|pair| pair.state(A, a) == State::TimeWait);
    assert_eq!(pair.said(), ["A Close", "B Reset 1"]);
    assert_eq!(pair.recv(B, b), Ok(Vec::new()));
    assert_eq!(pair.send(B, b, b"y"), Err(Error::BrokenPipe));
    pair.close(B, b);
    assert!(pair.is_clean(B));
    let start = pair.now;
    pair.run_dry();
    assert!(pair.is_clean(A));
    // 2 MSL, four minutes.
    assert_eq!(pair.now - start, Duration::from_secs(240));
}

/// RFC 4340 §8.3: the first sequence: the client holds TIMEWAIT.
/// RFC 4340 §8.3-1: the Close.
#[test]
fn a_server_asks_its_client_to_close() {
    let (mut pair, a, b) = opened();
    pair.close(B, b);
    pair.run_until(|pair| pair.state(A, a) == State::TimeWait);
    assert_eq!(pair.said(), ["B CloseReq", "A Close", "B Reset 1"]);
    assert!(pair.is_clean(B));
    assert_eq!(pair.recv(A, a), Ok(Vec::new()));
    pair.close(A, a);
    pair.run_dry();
    assert!(pair.is_clean(A));
}

/// RFC 4340 §8.3: the third sequence, DCCP_SOCKOPT_SERVER_TIMEWAIT.
#[test]
fn a_server_may_hold_time_wait() {
    let (mut pair, a, b) = opened();
    let (dccp, mut cx) = pair.host(B);
    let on = OptionValue::Int(1);
    dccp.set_option(&mut cx, b, SocketOption::DccpServerTimeWait, on)
        .unwrap();
    pair.close(B, b);
    pair.run_until(|pair| pair.state(B, b) == State::TimeWait);
    assert_eq!(pair.said(), ["B Close", "A Reset 1"]);
    assert_eq!(pair.state(A, a), State::Closed);
}

/// RFC 4340 §8.3: MUST retransmit, at first after two round trips.
/// RFC 4340 §8.3-3: again.
#[test]
fn a_close_goes_again_until_it_is_answered() {
    let (mut pair, a, b) = opened();
    let mut closes = 0;
    pair.lose = Box::new(move |_, header| {
        let close = header.kind.packet_type() == PacketType::Close;
        closes += u32::from(close);
        close && closes < 4
    });
    pair.close(A, a);
    pair.run_until(|pair| pair.state(A, a) == State::TimeWait);
    let said = ["A Close", "A Close", "A Close", "A Close", "B Reset 1"];
    assert_eq!(pair.said(), said);
    pair.close(B, b);
    assert!(pair.is_clean(B));
}

/// Connections always end, though nobody answers any more.
#[test]
fn a_close_is_given_up() {
    let (mut pair, a, b) = opened();
    pair.lose = Box::new(|_, _| true);
    pair.close(A, a);
    pair.close(B, b);
    pair.run_dry();
    assert!(pair.is_clean(A) && pair.is_clean(B));
}

/// What is queued leaves before the Close.
#[test]
fn what_was_sent_is_delivered_before_the_end() {
    let (mut pair, a, b) = opened();
    for n in 0..40u8 {
        pair.send(A, a, &[n; 1000]).unwrap();
    }
    pair.close(A, a);
    let mut got = 0;
    for _ in 0..10_000 {
        match pair.recv(B, b) {
            Ok(message) if message.is_empty() => break,
            Ok(message) => {
                assert_eq!(message, [got; 1000]);
                got += 1;
            }
            Err(error) => {
                assert_eq!(error, Error::WouldBlock);
                pair.step();
            }
        }
    }
    assert_eq!(got, 40);
}

/// Data that nobody reads is told as Drop Code 1, and then no more is sent (RFC 4340 §11.7.2).
#[test]
fn who_does_not_listen_says_so() {
    let (mut pair, a, b) = opened();
    let (dccp, mut cx) = pair.host(B);
    dccp.shutdown(&mut cx, b, Shutdown::Read).unwrap();
    pair.send(A, a, b"nobody").unwrap();
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.send(A, a, b"hears"), Err(Error::BrokenPipe));
    assert_eq!(pair.state(B, b), State::Open);
}

/// Who aborts says so, and the other end is told.
#[test]
fn an_abort_is_a_reset() {
    let (mut pair, a, b) = opened();
    let (dccp, mut cx) = pair.host(A);
    dccp.abort(&mut cx, a).unwrap();
    pair.run_until(|pair| pair.state(B, b) == State::TimeWait);
    assert_eq!(pair.said(), ["A Reset 2"]);
    assert_eq!(pair.recv(B, b), Err(Error::ConnectionReset));
    assert_eq!(pair.recv(B, b), Ok(Vec::new()));
}

/// RFC 4340 §8.5, step 9, §8.3: a client that was refused holds TIMEWAIT, too: nobody takes the same pair of
/// ends for 2 MSL. Its socket is free for another connection.
#[test]
fn a_refused_client_holds_time_wait() {
    let mut pair = Pair::new(Wire::default());
    let reuse = [(SocketOption::ReuseAddress, OptionValue::Flag(true))];
    let bound = |pair: &mut Pair| {
        let id = pair.socket(A, &reuse);
        let (dccp, mut cx) = pair.host(A);
        dccp.bind(&mut cx, id, "[::]:5000".parse().unwrap())
            .unwrap();
        id
    };
    let a = bound(&mut pair);
    pair.dial(a);
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.said(), ["A Request", "B Reset 7"]);
    let connected = |pair: &mut Pair, id| pair.host(A).0.connected(id);
    assert_eq!(connected(&mut pair, a), Err(Error::ConnectionRefused));
    let listener = pair.listen();
    // From another port.
    pair.dial(a);
    pair.run_for(Duration::from_millis(100));
    assert_eq!(connected(&mut pair, a), Ok(()));
    let other = bound(&mut pair);
    let to = "[::ffff:10.0.0.2]:80".parse().unwrap();
    let (dccp, mut cx) = pair.host(A);
    let taken = dccp.connect(&mut cx, other, to);
    assert_eq!(taken, Err(Error::AddressNotAvailable));
    pair.run_for(crate::output::MSL * 2);
    pair.dial(other);
    pair.run_for(Duration::from_millis(100));
    assert_eq!(connected(&mut pair, other), Ok(()));
    for id in [a, other] {
        pair.close(A, id);
    }
    pair.close(B, listener);
    pair.run_dry();
    assert!(pair.is_clean(A));
}
