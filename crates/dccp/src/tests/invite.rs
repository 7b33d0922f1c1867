//! Near-simultaneous open (RFC 5596): the figures of its §2.3. A is the client behind the middlebox NA, B
//! the server behind NB; each lets in what belongs to a connection of which something has gone out.

use super::pair::{A, B, Lose, Pair, Wire};
use crate::State;
use core::time::Duration;
use sockeye_core::{Error, OptionValue, SocketId, SocketOption, Transport};
use sockeye_wire::dccp::{Header, Kind, PacketType, Seq};
use std::net::SocketAddr;

/// The client's port, of which the server was told elsewhere.
const CLIENT: u16 = 5004;
const MS: Duration = Duration::from_millis(1);

/// Both middleboxes; `first` packets of the server do not even reach its own.
fn middleboxes(mut first: u32) -> Lose {
    let mut open = [false; 2];
    Box::new(move |from, _| {
        if from == B && first > 0 {
            first -= 1;
            return true;
        }
        open[from] = true;
        !open[1 - from]
    })
}

/// The server has been told of the client.
fn invite(pair: &mut Pair, id: SocketId) {
    let client: SocketAddr = format!("[::ffff:10.0.0.1]:{CLIENT}").parse().unwrap();
    let (dccp, mut cx) = pair.host(B);
    dccp.bind(&mut cx, id, "[::]:80".parse().unwrap()).unwrap();
    dccp.invite(&mut cx, id, client).unwrap();
}

fn dial(pair: &mut Pair) -> SocketId {
    let a = pair.socket(A, &[]);
    let (dccp, mut cx) = pair.host(A);
    let local = format!("[::]:{CLIENT}").parse().unwrap();
    dccp.bind(&mut cx, a, local).unwrap();
    pair.dial(a);
    a
}

/// The connection carries data both ways, and leaves nothing behind.
fn works(pair: &mut Pair, listener: SocketId, a: SocketId) {
    let b = pair.accept(listener).expect("the client");
    pair.send(A, a, b"through").unwrap();
    pair.send(B, b, b"both").unwrap();
    pair.run_for(100 * MS);
    assert_eq!(pair.recv(B, b), Ok(b"through".to_vec()));
    assert_eq!(pair.recv(A, a), Ok(b"both".to_vec()));
    pair.close(A, a);
    pair.close(B, b);
    pair.close(B, listener);
    pair.run_dry();
    assert!(pair.is_clean(A) && pair.is_clean(B));
}

/// RFC 5596 figure 4.
#[test]
fn the_server_is_there_first() {
    let mut pair = Pair::new(Wire::default());
    pair.lose = middleboxes(0);
    let listener = pair.socket(B, &[]);
    invite(&mut pair, listener);
    assert_eq!(pair.state(B, listener), State::Invited);
    pair.run_for(50 * MS);
    let a = dial(&mut pair);
    pair.run_until(|pair| pair.state(A, a) == State::PartOpen);
    let said = ["B Listen", "A Request", "B Response", "A Ack"];
    assert_eq!(pair.said(), said);
    works(&mut pair, listener, a);
}

/// RFC 5596 figure 5, §2.2.2: three Listens, 200 ms apart, and then LISTEN1.
#[test]
fn listens_are_repeated_twice() {
    let mut pair = Pair::new(Wire::default());
    pair.lose = Box::new(|_, _| true);
    let listener = pair.socket(B, &[]);
    let start = pair.now;
    invite(&mut pair, listener);
    pair.run_for(599 * MS);
    assert_eq!(pair.said(), ["B Listen"; 3]);
    assert_eq!(pair.state(B, listener), State::Invited);
    pair.run_for(MS);
    assert_eq!(pair.now - start, 600 * MS);
    assert_eq!(pair.state(B, listener), State::Listen1);
    pair.run_for(Duration::from_secs(60));
    assert!(pair.said().is_empty());
    // It waits on.
    pair.lose = Box::new(|_, _| false);
    let a = dial(&mut pair);
    works(&mut pair, listener, a);
}

/// RFC 5596 figure 6: a Listen triggers the Request that its predecessor had kept from arriving.
#[test]
fn a_listen_triggers_a_request() {
    let mut pair = Pair::new(Wire::default());
    pair.lose = middleboxes(1);
    let listener = pair.socket(B, &[]);
    invite(&mut pair, listener);
    pair.run_for(MS);
    let start = pair.now;
    let a = dial(&mut pair);
    pair.run_until(|pair| pair.state(A, a) == State::PartOpen);
    let said = [
        "B Listen",
        "A Request",
        "B Listen",
        "A Request",
        "B Response",
        "A Ack",
    ];
    assert_eq!(pair.said(), said);
    // Not after the second that the Request's own timer takes.
    assert!(pair.now - start < 300 * MS);
    works(&mut pair, listener, a);
}

/// RFC 5596 §2.2.3.1: one Request for each connection, however many Listens come; in every other state
/// they MUST be discarded silently.
#[test]
fn further_listens_are_ignored() {
    let mut pair = Pair::new(Wire::default());
    pair.lose = Box::new(|_, _| true);
    let a = dial(&mut pair);
    pair.run_for(MS);
    pair.said();
    let listen = Header {
        source_port: 80,
        destination_port: CLIENT,
        options_len: 0,
        ccval: 0,
        coverage: 0,
        checksum: 0,
        extended: true,
        seq: Seq::new(12_345),
        kind: Kind::Listen { service: 0 },
    };
    // Options and data are ignored: Mandatory before an unknown one, which resets elsewhere.
    for _ in 0..5 {
        pair.inject(A, &listen, &[1, 99, 2], b"ignored");
        pair.run_for(MS);
    }
    assert_eq!(pair.said(), ["A Request"]);
    assert_eq!(pair.state(A, a), State::Request);
    pair.close(A, a);
    pair.run_for(MS);
    pair.said();
    // CLOSED, LISTEN.
    pair.inject(A, &listen, &[], &[]);
    let listener = pair.listen();
    let to_server = Header {
        source_port: CLIENT,
        destination_port: 80,
        ..listen
    };
    pair.inject(B, &to_server, &[], &[]);
    pair.run_for(10 * MS);
    assert!(pair.said().is_empty());
    let _ = listener;
}

/// RFC 5596 §2.2.2, steps 2a and 2b: nobody but the client that was invited is served, and what is no
/// Request has no connection; ICMP errors change nothing.
#[test]
fn an_invitation_is_for_one_client() {
    let mut pair = Pair::new(Wire::default());
    pair.lose =
        Box::new(|from, header| from == B && header.kind.packet_type() == PacketType::Listen);
    let listener = pair.socket(B, &[]);
    invite(&mut pair, listener);
    let other = pair.socket(A, &[]);
    pair.dial(other);
    pair.run_until(|pair| pair.state(A, other) == State::Closed);
    pair.close(A, other);
    let header = Header {
        source_port: CLIENT,
        destination_port: 80,
        options_len: 0,
        ccval: 0,
        coverage: 0,
        checksum: 0,
        extended: true,
        seq: Seq::new(7),
        kind: Kind::Ack(Seq::new(9)),
    };
    pair.said();
    pair.inject(B, &header, &[], &[]);
    pair.run_for(5 * MS);
    assert_eq!(pair.said(), ["B Reset 3"]);
    let listen = Header {
        kind: Kind::Listen { service: 0 },
        ..header
    };
    pair.inject(B, &listen, &[], &[]);
    pair.run_for(5 * MS);
    assert!(pair.said().is_empty());
    let error = sockeye_core::IcmpError {
        kind: sockeye_core::transport::IcmpErrorKind::HostUnreachable,
        icmp_type: 3,
        icmp_code: 1,
        from: "10.0.0.1".parse().unwrap(),
        source: "10.0.0.2".parse().unwrap(),
        destination: "10.0.0.1".parse().unwrap(),
        quoted: &[0, 80, 0x13, 0x8c, 5, 0, 0, 0, 21, 0, 0, 0, 0, 0, 0, 0],
    };
    let (dccp, mut cx) = pair.host(B);
    dccp.on_icmp_error(&mut cx, &error);
    assert_eq!(pair.state(B, listener), State::Invited);
    let a = dial(&mut pair);
    works(&mut pair, listener, a);
}

/// RFC 5596 §2.2.1: the Service Code MUST be one that is offered; a server that invites has one.
#[test]
fn an_invitation_has_one_service_code() {
    let mut pair = Pair::new(Wire::default());
    let codes = [0, 0, 0, 1, 0, 0, 0, 2].to_vec();
    let several = [(SocketOption::DccpService, OptionValue::Bytes(codes))];
    let listener = pair.socket(B, &several);
    let (dccp, mut cx) = pair.host(B);
    let client = "[::ffff:10.0.0.1]:5004".parse().unwrap();
    assert_eq!(dccp.invite(&mut cx, listener, client), Err(Error::Invalid));
}

/// A listener that is given up takes its invitation with it.
#[test]
fn an_invitation_ends_with_its_socket() {
    let mut pair = Pair::new(Wire::default());
    let listener = pair.socket(B, &[]);
    invite(&mut pair, listener);
    pair.close(B, listener);
    pair.run_dry();
    assert_eq!(pair.said(), ["B Listen"]);
    assert!(pair.is_clean(B));
}
