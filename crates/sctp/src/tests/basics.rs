//! The beginning, data, the end.

use super::pair::{A, B, Pair};
use crate::{Events, Incoming, Notification, State};
use core::time::Duration;
use sockeye_core::{Counter, Error};

/// RFC 9260 §5.1.6.
/// RFC 9260 §3.3.8-1, §3.3.9-1, §3.3.13-1.
#[test]
fn a_handshake_data_both_ways_and_a_shutdown() {
    let mut pair = Pair::new();
    let (a, b) = pair.association();
    assert_eq!(
        pair.trace(0),
        ["> INIT", "< INIT ACK", "> COOKIE ECHO", "< COOKIE ACK"]
    );
    let from = pair.log.len();
    assert_eq!(pair.send(A, a, b"hello"), Ok(5));
    pair.run_for(Duration::from_millis(15));
    assert_eq!(pair.recv(B, b).unwrap(), b"hello");
    assert_eq!(pair.send(B, b, b"you too"), Ok(7));
    pair.run_for(Duration::from_millis(300));
    assert_eq!(pair.recv(A, a).unwrap(), b"you too");
    assert_eq!(pair.trace(from), ["> DATA", "< SACK", "< DATA", "> SACK"]);
    let from = pair.log.len();
    pair.shutdown(A, a);
    pair.run_for(Duration::from_millis(300));
    assert_eq!(
        pair.trace(from),
        ["> SHUTDOWN", "< SHUTDOWN ACK", "> SHUTDOWN COMPLETE"]
    );
    assert_eq!(pair.recv(A, a).unwrap(), b"");
    assert_eq!(pair.recv(B, b).unwrap(), b"");
    for n in [A, B] {
        let counters = &pair.hosts[n].parts.counters;
        assert_eq!(counters.get(Counter::SctpShutdowns), 1);
        assert_eq!(counters.get(Counter::SctpCurrEstab), 0);
        assert_eq!(pair.hosts[n].sctp.associations, 0);
        assert!(pair.hosts[n].sctp.flows.is_empty());
    }
}

#[test]
fn long_messages_are_cut_and_put_together() {
    let mut pair = Pair::new();
    let (a, b) = pair.association();
    let message: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    pair.send(A, a, &message).unwrap();
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.recv(B, b).unwrap(), message);
    let counters = &pair.hosts[B].parts.counters;
    assert_eq!(counters.get(Counter::SctpReasmUsrMsgs), 1);
}

/// RFC 9260 §8.4 8), §5.1: nobody listens.
#[test]
fn an_init_that_nobody_waits_for_is_refused() {
    let mut pair = Pair::new();
    let a = pair.dial();
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.trace(0), ["> INIT", "< ABORT"]);
    let (sctp, _) = pair.host(A);
    assert_eq!(sctp.connected(a), Err(Error::ConnectionRefused));
}

/// RFC 9260 §4 note 2.
/// RFC 9260 §4-4, §4-5.
#[test]
fn an_init_is_repeated_until_the_attempts_are_used_up() {
    let mut pair = Pair::new();
    pair.wires[0].cut = true;
    let a = pair.dial();
    pair.run_for(Duration::from_secs(600));
    assert_eq!(pair.trace(0), vec!["> INIT"; 9]);
    let (sctp, _) = pair.host(A);
    assert_eq!(sctp.connected(a), Err(Error::TimedOut));
    let counters = &pair.hosts[A].parts.counters;
    assert_eq!(counters.get(Counter::SctpT1InitExpireds), 9);
}

/// RFC 9260 §9.1-6.
#[test]
fn an_abort_tells_both_sides() {
    let mut pair = Pair::new();
    let (a, b) = pair.association();
    pair.listen_to(B, b, Events::ASSOC_CHANGE);
    let (sctp, mut cx) = pair.host(A);
    sctp.abort(&mut cx, a).unwrap();
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.trace(4), ["> ABORT"]);
    assert!(matches!(
        pair.incoming(B, b),
        Ok((
            Incoming::Notification(Notification::AssocChange { error: 12, .. }),
            _
        ))
    ));
    assert_eq!(pair.incoming(B, b).unwrap_err(), Error::ConnectionReset);
    assert_eq!(pair.state(A, a), State::Closed);
    assert_eq!(pair.state(B, b), State::Closed);
}

/// RFC 9260 §6.1 A, §6.2: a closed window, its probes, its opening.
/// RFC 9260 §6.1-2, §6.1-3, §6.1-4, §6.2-5, §6.2-8.
#[test]
fn a_full_receiver_stops_the_sender_until_it_has_read() {
    let mut pair = Pair::new();
    let (a, b) = pair.association();
    let (sctp, mut cx) = pair.host(A);
    sctp.configure(&mut cx, a, crate::AssocId::ALL, |s| {
        s.common.send_buffer = 8_000_000;
    })
    .unwrap();
    let mut sent = 0;
    while sent < 1500 {
        pair.send(A, a, &[7; 1000]).unwrap();
        sent += 1;
    }
    pair.run_for(Duration::from_secs(100));
    let (sctp, _) = pair.host(B);
    let pending = sctp.status(b, crate::AssocId::FUTURE).unwrap().pending;
    assert!((700..900).contains(&pending), "{pending}");
    assert_eq!(pair.state(A, a), State::Established);
    let mut got = 0;
    for _ in 0..100 {
        while let Ok(message) = pair.recv(B, b) {
            assert_eq!(message.len(), 1000);
            got += 1;
        }
        pair.run_for(Duration::from_secs(1));
    }
    assert_eq!(got, 1500);
}

/// close(2): what was sent still arrives; with data unread an ABORT says that it is lost.
#[test]
fn a_close_delivers_what_was_sent_and_aborts_what_was_not_read() {
    let mut pair = Pair::new();
    let (a, b) = pair.association();
    for _ in 0..10 {
        pair.send(A, a, &[3; 1000]).unwrap();
    }
    pair.close(A, a);
    pair.run_for(Duration::from_secs(1));
    for _ in 0..10 {
        assert_eq!(pair.recv(B, b).unwrap().len(), 1000);
    }
    assert_eq!(pair.recv(B, b).unwrap(), b"");
    assert_eq!(pair.hosts[A].sctp.entries.len(), 0);

    let mut pair = Pair::new();
    let (a, b) = pair.association();
    pair.send(A, a, b"unread").unwrap();
    pair.run_for(Duration::from_millis(100));
    let from = pair.log.len();
    pair.close(B, b);
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.trace(from), ["< ABORT"]);
    assert_eq!(pair.recv(A, a), Err(Error::ConnectionReset));
}
