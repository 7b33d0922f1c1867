//! Traces of interception: connections to addresses that are not ours.

use super::pair::A;
use super::stage::{Stage, ack, peer, text};
use sockeye_core::demux::Endpoint;
use sockeye_core::{Config, Error, Readiness, Scope, SocketId, Unreachable};
use sockeye_wire::tcp::Flags;

/// A stage at which segments for 203.0.113.7:443 arrive.
fn foreign(config: Config) -> Stage {
    let mut s = Stage::new(config);
    s.flow.local = Endpoint::new([203, 0, 113, 7].into(), 443);
    let (tcp, mut cx) = s.host();
    tcp.set_intercept(&mut cx, Some(Scope::Foreign));
    s
}

#[test]
fn an_accepted_request_is_a_connection_from_the_address_that_was_wanted() {
    let mut s = foreign(Config::default());
    s.arrives_foreign(peer(Flags::SYN, 0, 0));
    s.arrives_foreign(peer(Flags::SYN, 0, 0));
    assert_eq!(s.sent(), [""; 0]);
    let (tcp, mut cx) = s.host();
    let ready = cx.ready.pop().unwrap();
    assert_eq!(
        (ready.0.id, ready.1),
        (SocketId::INTERCEPT, Readiness::READABLE)
    );
    let incoming = tcp.incoming(&mut cx).unwrap();
    assert_eq!(incoming.local.to_string(), "203.0.113.7:443");
    assert_eq!(incoming.remote.to_string(), "10.0.0.2:80");
    assert_eq!(tcp.incoming(&mut cx), None);
    let id = tcp.accept_incoming(&mut cx, incoming.id).unwrap();
    assert_eq!(
        tcp.accept_incoming(&mut cx, incoming.id),
        Err(Error::BadSocket)
    );
    s.id = id;
    assert_eq!(s.sent(), ["S. 0:0 ack 1"]);
    assert_eq!(s.state(), "SYN-RECEIVED");
    s.arrives_foreign(ack(1, 1));
    assert_eq!(s.state(), "ESTABLISHED");
    s.arrives_foreign(text(1, 1, 100));
    assert_eq!(s.read(1000), Ok(100));
    s.write(50).unwrap();
    assert_eq!(s.sent().last().unwrap(), "P. 1:51 ack 101");
    let (tcp, mut cx) = s.host();
    assert_eq!(tcp.local_addr(id).unwrap().to_string(), "203.0.113.7:443");
    tcp.abort(&mut cx, id).unwrap();
    tcp.close(&mut cx, id).unwrap();
    assert_eq!(s.sent().len(), 1);
}

#[test]
fn a_request_may_be_refused_in_three_ways() {
    let mut s = foreign(Config::default());
    let next = |s: &mut Stage| {
        s.arrives_foreign(peer(Flags::SYN, 0, 0));
        let (tcp, mut cx) = s.host();
        tcp.incoming(&mut cx).unwrap().id
    };
    let id = next(&mut s);
    let (tcp, mut cx) = s.host();
    tcp.reset_incoming(&mut cx, id);
    assert_eq!(s.headers()[0].0.flags, Flags::RST | Flags::ACK);
    let id = next(&mut s);
    let (tcp, mut cx) = s.host();
    tcp.drop_incoming(&mut cx, id);
    assert_eq!(s.headers(), []);
    let id = next(&mut s);
    let (tcp, mut cx) = s.host();
    tcp.unreachable_incoming(&mut cx, id, Unreachable::Host);
    let host = &mut s.pair.hosts[A];
    let mut batch = sockeye_link::Batch::new();
    host.parts
        .inet
        .poll_transmit(super::stage::LINK, &mut batch, 10);
    let bytes = batch.pop_front().unwrap().to_vec();
    // ICMP "host unreachable" that quotes the SYN.
    assert_eq!((bytes[9], bytes[20], bytes[21]), (1, 3, 1));
    assert_eq!(&bytes[48..52], &[0, 80, 1, 187]);
}

#[test]
fn requests_that_wait_have_a_limit_and_a_reset_takes_one_back() {
    let config = Config {
        intercept_backlog: 2,
        ..Config::default()
    };
    let mut s = foreign(config);
    for port in [1, 2, 3] {
        s.flow.remote.port = port;
        s.arrives_foreign(peer(Flags::SYN, 0, 0));
    }
    s.flow.remote.port = 1;
    s.arrives_foreign(peer(Flags::RST, 1, 0));
    let (tcp, mut cx) = s.host();
    assert_eq!(tcp.incoming(&mut cx).unwrap().remote.port(), 2);
    assert_eq!(tcp.incoming(&mut cx), None);
    // What is no request and belongs to nobody is refused.
    s.arrives_foreign(ack(1, 1));
    assert_eq!(s.headers()[0].0.flags, Flags::RST);
}

#[test]
fn without_interception_nothing_is_answered_for_others() {
    let mut s = foreign(Config::default());
    let (tcp, mut cx) = s.host();
    tcp.set_intercept(&mut cx, None);
    s.arrives_foreign(peer(Flags::SYN, 0, 0));
    s.arrives_foreign(ack(1, 1));
    assert_eq!(s.sent(), [""; 0]);
}

/// RFC 6191 §2: the peer may use its port again while we are in TIME-WAIT.
#[test]
fn a_new_request_follows_one_in_time_wait() {
    let mut s = foreign(Config::default());
    s.arrives_foreign(peer(Flags::SYN, 0, 0));
    let (tcp, mut cx) = s.host();
    let first = tcp.incoming(&mut cx).unwrap();
    s.id = tcp.accept_incoming(&mut cx, first.id).unwrap();
    s.sent();
    s.arrives_foreign(ack(1, 1));
    let id = s.id;
    let (tcp, mut cx) = s.host();
    tcp.close(&mut cx, id).unwrap();
    s.sent();
    s.arrives_foreign(peer(Flags::FIN | Flags::ACK, 1, 2));
    assert_eq!(s.state(), "TIME-WAIT");
    let last = s.headers().last().unwrap().0.seq;

    s.arrives_foreign(peer(Flags::SYN, 9000, 0));
    assert_eq!(s.state(), "gone");
    assert_eq!(s.headers(), []);
    let (tcp, mut cx) = s.host();
    let again = tcp.incoming(&mut cx).unwrap();
    assert_eq!((again.local, again.remote), (first.local, first.remote));
    tcp.accept_incoming(&mut cx, again.id).unwrap();
    let answer = s.headers()[0].0;
    assert_eq!(answer.flags, Flags::SYN | Flags::ACK);
    assert!(answer.seq.after(last), "{} after {last}", answer.seq);
}
