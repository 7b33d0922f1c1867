//! Echo requests to somebody else.

use super::*;
use crate::intercept::{Scope, Unreachable};
use crate::{Counter, Readiness};

fn gateway(backlog: usize) -> Host {
    let config = Config {
        intercept_backlog: backlog,
        ..Config::default()
    };
    let mut host = Host::with(config);
    let (ping, mut cx) = host.ping();
    ping.set_intercept(&mut cx, Some(Scope::Foreign));
    host
}

fn incoming(host: &mut Host) -> Option<EchoRequest> {
    let (ping, mut cx) = host.ping();
    ping.incoming(&mut cx)
}

#[test]
fn a_request_is_answered_in_the_others_name() {
    for (from, to, [request, reply]) in [
        ("10.0.0.2", "192.0.2.1", [8, 0]),
        ("fd00::2", "2001:db8::1", [128, 129]),
    ] {
        let mut a = gateway(10);
        while a.parts.ready.pop().is_some() {}
        a.arrive(&echo(from, to, request, 7, 9, b"data"));
        let (handle, what) = a.parts.ready.pop().unwrap();
        assert_eq!(
            (handle.id, what),
            (SocketId::INTERCEPT, Readiness::READABLE)
        );
        let got = incoming(&mut a).unwrap();
        assert_eq!((got.ident, got.seq, &got.payload[..]), (7, 9, &b"data"[..]));
        assert_eq!(
            (got.local.to_string(), got.remote.to_string()),
            (to.into(), from.into())
        );
        let (ping, mut cx) = a.ping();
        ping.reply(&mut cx, &got, &got.payload).unwrap();
        let sent = a.sent().remove(0);
        let wanted = echo(to, from, reply, 7, 9, b"data");
        let message = wanted.len() - 12;
        assert_eq!(sent[message..], wanted[message..]);
        assert_eq!(incoming(&mut a), None);
    }
}

#[test]
fn a_refused_request_quotes_what_was_sent() {
    let mut a = gateway(10);
    let request = echo("10.0.0.2", "192.0.2.1", 8, 7, 9, b"data");
    a.arrive(&request);
    let got = incoming(&mut a).unwrap();
    let (ping, mut cx) = a.ping();
    ping.unreachable(&mut cx, &got, Unreachable::Host).unwrap();
    let sent = a.sent().remove(0);
    assert_eq!(sent[20..22], [3, 1]);
    assert_eq!(sent[48..], request[20..]);
}

#[test]
fn own_addresses_are_answered_by_the_node() {
    let mut a = gateway(10);
    a.arrive(&echo("10.0.0.2", "10.0.0.1", 8, 7, 9, b"data"));
    assert_eq!(incoming(&mut a), None);
    assert_eq!(a.sent()[0][20..22], [0, 0]);
}

#[test]
fn what_waits_is_bounded_and_ends_with_the_interception() {
    let mut a = gateway(3);
    for seq in 0..10 {
        a.arrive(&echo("10.0.0.2", "192.0.2.1", 8, 7, seq, b"data"));
    }
    assert_eq!(a.parts.counters.get(Counter::InterceptOverflows), 7);
    assert!(incoming(&mut a).is_some());
    let (ping, mut cx) = a.ping();
    ping.set_intercept(&mut cx, None);
    assert_eq!(incoming(&mut a), None);
    a.arrive(&echo("10.0.0.2", "192.0.2.1", 8, 7, 1, b"data"));
    assert_eq!(incoming(&mut a), None);
}
