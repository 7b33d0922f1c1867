//! Connections open (RFC 4340 §8.1).

use super::pair::{A, B, Pair, Wire};
use crate::State;
use core::time::Duration;
use sockeye_core::{Error, OptionValue, SocketOption};
use sockeye_wire::dccp::{Header, Kind, PacketType, Seq};

fn service(codes: &[u32]) -> (SocketOption, OptionValue) {
    let bytes = codes.iter().flat_map(|code| code.to_be_bytes()).collect();
    (SocketOption::DccpService, OptionValue::Bytes(bytes))
}

/// RFC 4340 §8.1: Request, Response, Ack.
#[test]
fn the_handshake_of_the_rfc() {
    let mut pair = Pair::new(Wire::default());
    let (a, b) = pair.connection();
    assert_eq!(pair.state(A, a), State::PartOpen);
    assert_eq!(pair.state(B, b), State::Open);
    // §8.1.5: any packet but a Response, a Reset or a Sync ends PARTOPEN.
    pair.run_until(|pair| pair.state(A, a) == State::Open);
    assert_eq!(pair.said(), ["A Request", "B Response", "A Ack", "B Ack"]);
    pair.send(B, b, b"hello").unwrap();
    pair.run_for(Duration::from_millis(50));
    assert_eq!(pair.recv(A, a), Ok(b"hello".to_vec()));
}

/// RFC 4340 §8.1.1: Requests go again, each with a number of its own; in the end a Reset.
/// RFC 4340 §8.1.1-1, §8.1.1-2 and §8.1.1-3: the numbers.
#[test]
fn requests_go_again_and_come_to_an_end() {
    let mut pair = Pair::new(Wire::default());
    pair.lose = Box::new(|_, _| true);
    let a = pair.socket(A, &[]);
    pair.dial(a);
    let start = pair.now;
    pair.run_until(|pair| pair.state(A, a) == State::Closed);
    let seqs: Vec<u64> = pair
        .log
        .iter()
        .map(|(_, header, _, _)| header.seq.value())
        .collect();
    assert!(seqs.windows(2).all(|two| two[1] == two[0] + 1), "{seqs:?}");
    let Some((_, last, _, _)) = pair.log.last() else {
        panic!("nothing was sent");
    };
    assert!(matches!(last.kind, Kind::Reset { ack, .. } if ack.value() == 0));
    assert_eq!(
        pair.now - start,
        Duration::from_secs(1 + 2 + 4 + 8 + 16 + 32)
    );
    assert_eq!(pair.said().len(), 7);
    let (dccp, _) = pair.host(A);
    assert_eq!(dccp.connected(a), Err(Error::TimedOut));
}

/// RFC 4340 §8.1.3: each Request of RESPOND gets a Response of its own.
/// RFC 4340 §8.1.3-1 and §8.1.3-2: one for each.
#[test]
fn responses_answer_each_request() {
    let mut pair = Pair::new(Wire::default());
    let mut responses = 0;
    pair.lose = Box::new(move |_, header| {
        let response = header.kind.packet_type() == PacketType::Response;
        responses += u32::from(response);
        response && responses < 3
    });
    pair.connection();
    let expected = [
        "A Request",
        "B Response",
        "A Request",
        "B Response",
        "A Request",
        "B Response",
        "A Ack",
        "B Ack",
    ];
    assert_eq!(pair.said(), expected);
}

/// RFC 4340 §8.1.3-1: in whatever order they come; but not the newest one doubled.
#[test]
fn requests_are_answered_out_of_order() {
    let mut pair = Pair::new(Wire::default());
    pair.listen();
    for seq in [100, 102, 101, 102] {
        let request = Header {
            source_port: 5000,
            destination_port: 80,
            options_len: 0,
            ccval: 0,
            coverage: 0,
            checksum: 0,
            extended: true,
            seq: Seq::new(seq),
            kind: Kind::Request { service: 0 },
        };
        pair.inject(B, &request, &[], &[]);
        pair.run_for(Duration::from_millis(1));
    }
    let acks: Vec<Option<Seq>> = pair.log.iter().map(|(_, h, _, _)| h.kind.ack()).collect();
    let expected = [100, 102, 102].map(|seq| Some(Seq::new(seq)));
    assert_eq!(acks, expected);
}

/// RFC 4340 §8.1.5: the timer of PARTOPEN.
#[test]
fn a_lost_acknowledgement_goes_again() {
    let mut pair = Pair::new(Wire::default());
    let mut acks = 0;
    pair.lose = Box::new(move |_, header| {
        let ack = header.kind.packet_type() == PacketType::Ack;
        acks += u32::from(ack);
        ack && acks < 3
    });
    pair.connection();
    assert_eq!(
        pair.said(),
        [
            "A Request",
            "B Response",
            "A Ack",
            "A Ack",
            "A Ack",
            "B Ack"
        ]
    );
}

/// RFC 4340 §8.1.2: several on one port; others are refused, and 4,294,967,295 always is.
/// RFC 4340 §8.1.2-1, §8.1.2-2 and §8.1.2-3: and no other.
#[test]
fn a_listener_serves_several_service_codes() {
    let mut pair = Pair::new(Wire::default());
    let listener = pair.socket(B, &[service(&[1, 2, 3])]);
    pair.listen_on(listener, 16);
    for (code, answer) in [(2, None), (9, Some(Error::BadRequestCode))] {
        let a = pair.socket(A, &[service(&[code])]);
        pair.dial(a);
        pair.run_until(|pair| pair.state(A, a) != State::Request);
        let (dccp, mut cx) = pair.host(A);
        assert_eq!(dccp.connected(a).err(), answer, "{code}");
        dccp.close(&mut cx, a).unwrap();
    }
    let (dccp, mut cx) = pair.host(A);
    let id = dccp.open(&mut cx, sockeye_core::Domain::V4).unwrap();
    let (option, value) = service(&[u32::MAX]);
    let invalid = dccp.set_option(&mut cx, id, option, value);
    assert_eq!(invalid, Err(Error::Invalid));
}

/// RFC 4340 §8.1.3: Reset Code 7, 9.
#[test]
fn servers_refuse() {
    let mut pair = Pair::new(Wire::default());
    let a = pair.socket(A, &[]);
    pair.dial(a);
    pair.run_until(|pair| pair.state(A, a) == State::Closed);
    assert_eq!(pair.said(), ["A Request", "B Reset 7"]);
    let (dccp, _) = pair.host(A);
    assert_eq!(dccp.connected(a), Err(Error::ConnectionRefused));
    let listener = pair.socket(B, &[]);
    pair.listen_on(listener, 0);
    let first = pair.socket(A, &[]);
    pair.dial(first);
    pair.run_until(|pair| pair.state(A, first) == State::PartOpen);
    pair.run_for(Duration::from_millis(50));
    let second = pair.socket(A, &[]);
    pair.dial(second);
    pair.run_until(|pair| pair.state(A, second) != State::Request);
    let (dccp, _) = pair.host(A);
    assert_eq!(dccp.connected(second), Err(Error::Users));
}

/// RFC 4340 §8.1.4: with the half-open queue full, nothing is kept of a Request, and the connection
/// stands all the same, with what was negotiated.
/// RFC 4340 §8.1.5-2: the cookie is on the acknowledgement.
#[test]
fn init_cookies_keep_nothing() {
    let mut pair = Pair::new(Wire::default());
    let listener = pair.socket(B, &[]);
    pair.listen_on(listener, 0);
    // Two clients whose acknowledgements are lost fill the queue.
    pair.lose = Box::new(|from, header| from == A && header.kind.packet_type() == PacketType::Ack);
    let shy = pair.socket(A, &[]);
    pair.dial(shy);
    pair.run_for(Duration::from_millis(25));
    assert_eq!(pair.hosts[B].dccp.half_open, 1);
    pair.lose = Box::new(|_, _| false);
    let (dccp, mut cx) = pair.host(A);
    dccp.abort(&mut cx, shy).unwrap();
    pair.lose = Box::new(|_, header| header.kind.packet_type() == PacketType::Reset);
    let a = pair.socket(A, &[]);
    let before = pair.hosts[B].dccp.sockets.len();
    pair.dial(a);
    pair.run_for(Duration::from_millis(15));
    assert_eq!(pair.hosts[B].dccp.sockets.len(), before);
    let b = pair.accept(listener).unwrap();
    pair.send(A, a, b"after a cookie").unwrap();
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.recv(B, b), Ok(b"after a cookie".to_vec()));
    let (dccp, cx) = pair.host(B);
    let info = dccp.info(&cx, b).unwrap();
    assert_eq!(info.sequence_windows, (500, 500));
}
