//! Flows to addresses that are not the node's.

use super::*;
use sockeye_core::intercept::{Scope, Unreachable};
use sockeye_wire::icmpv4;

fn gateway(scope: Scope) -> Host {
    let config = Config {
        intercept_backlog: 2,
        ..Config::default()
    };
    let mut host = Host::with(config, capabilities(), &["10.0.0.1/24", "fd00::1/64"]);
    let (udp, mut cx) = host.cx();
    udp.set_intercept(&mut cx, Some(scope));
    host
}

fn incoming(host: &mut Host) -> Option<Incoming> {
    let (udp, mut cx) = host.cx();
    udp.incoming(&mut cx)
}

#[test]
fn an_accepted_flow_speaks_for_the_foreign_address() {
    let mut a = gateway(Scope::Foreign);
    let (client, server) = ("10.0.0.9:4000", "192.0.2.1:53");
    a.arrive(vec![
        packet(client, server, b"one"),
        packet(client, server, b"two"),
    ]);
    assert_eq!(
        a.became_ready(),
        [(SocketId::INTERCEPT, Readiness::READABLE)]
    );
    let flow = incoming(&mut a).unwrap();
    assert_eq!(
        (flow.local, flow.remote),
        (server.parse().unwrap(), client.parse().unwrap())
    );
    assert_eq!(incoming(&mut a), None);

    let (udp, mut cx) = a.cx();
    let id = udp.accept_incoming(&mut cx, flow.id).unwrap();
    assert_eq!(udp.accept_incoming(&mut cx, flow.id), Err(Error::Invalid));
    a.arrive(vec![packet(client, server, b"three")]);
    for text in ["one", "two", "three"] {
        assert_eq!(a.recv(id), got(text, client));
    }
    a.send(id, b"answer").unwrap();
    let sent = a.sent();
    let header = ipv4::Header::parse(sent[0].head()).unwrap();
    assert_eq!(header.source.to_string(), "192.0.2.1");
    assert_eq!(sent[0].head()[20..24], [0, 53, 0x0f, 0xa0]);

    // Interception ends, the flow goes on until it is closed.
    let (udp, mut cx) = a.cx();
    udp.set_intercept(&mut cx, None);
    a.arrive(vec![
        packet(client, server, b"four"),
        packet("10.0.0.9:4001", server, b"other flow"),
    ]);
    assert_eq!(a.text(id), Ok("four".into()));
    assert_eq!(incoming(&mut a), None);
    let (udp, mut cx) = a.cx();
    udp.close(&mut cx, id).unwrap();
    assert!(!a.parts.inet.intercepts(IpProtocol::UDP));
}

#[test]
fn a_refused_flow_hears_why() {
    use icmpv4::UnreachableCode as Code;
    for (why, code) in [
        (Unreachable::Port, Code::PORT),
        (Unreachable::Host, Code::HOST),
        (Unreachable::Network, Code::NET),
        (Unreachable::Prohibited, Code::ADMIN_PROHIBITED),
    ] {
        let mut a = gateway(Scope::Foreign);
        let original = packet("10.0.0.9:4000", "192.0.2.1:53", b"question");
        a.arrive(vec![original.clone()]);
        let flow = incoming(&mut a).unwrap();
        let (udp, mut cx) = a.cx();
        udp.unreachable_incoming(&mut cx, flow.id, why).unwrap();
        let answer = a.sent().remove(0).to_vec();
        let outer = ipv4::Header::parse(&answer).unwrap();
        assert_eq!(outer.source.to_string(), "10.0.0.1");
        assert_eq!(outer.destination.to_string(), "10.0.0.9");
        assert_eq!(sockeye_wire::checksum::of(&answer[20..]), 0);
        let message = icmpv4::Header::parse(&answer[20..]).unwrap();
        assert_eq!(message.type_and_code(), (icmpv4::Type(3), code.0));
        let quoted = ipv4::Header::parse(&answer[28..]).unwrap();
        assert_eq!(quoted.source.to_string(), "10.0.0.9");
        assert_eq!(quoted.destination.to_string(), "192.0.2.1");
        let (quote, sent) = (&answer[48..], &original.to_vec()[20..]);
        assert_eq!((&quote[..6], &quote[8..]), (&sent[..6], &sent[8..]));
    }
}

#[test]
fn an_accepted_flow_may_still_be_refused() {
    let mut a = gateway(Scope::Foreign);
    a.arrive(vec![packet(
        "[fd00::9]:4000",
        "[2001:db8::1]:53",
        b"question",
    )]);
    let flow = incoming(&mut a).unwrap();
    let (udp, mut cx) = a.cx();
    let id = udp.accept_incoming(&mut cx, flow.id).unwrap();
    udp.refuse(&mut cx, id, Unreachable::Port).unwrap();
    let answer = a.sent().remove(0).to_vec();
    assert_eq!(answer[40..42], [1, 4]);
    assert_eq!(answer[88..92], [0x0f, 0xa0, 0, 53]);
    let own = a.bound("[fd00::1]:7");
    let (udp, mut cx) = a.cx();
    let refused = udp.refuse(&mut cx, own, Unreachable::Port);
    assert_eq!(refused, Err(Error::NotConnected));
}

#[test]
fn flows_without_an_answer_are_bounded() {
    let mut a = gateway(Scope::Foreign);
    let flow = |port: u16| packet(&format!("10.0.0.9:{port}"), "192.0.2.1:53", &[0; 1000]);
    a.arrive((1..=5).map(flow).collect());
    assert_eq!(a.count(Counter::InterceptOverflows), 3);
    // So is what waits with each.
    a.arrive((0..100).map(|_| flow(1)).collect());
    assert!(a.count(Counter::InterceptOverflows) > 80);
    let [first, second] = [incoming(&mut a), incoming(&mut a)].map(Option::unwrap);
    assert_eq!((first.remote.port(), second.remote.port()), (1, 2));
    let (udp, mut cx) = a.cx();
    assert!(udp.drop_incoming(&mut cx, first.id));
    assert!(!udp.drop_incoming(&mut cx, first.id));
    a.arrive(vec![flow(3)]);
    assert_eq!(incoming(&mut a).unwrap().remote.port(), 3);
}

#[test]
fn own_ports_are_intercepted_only_when_asked_for() {
    for (scope, caught) in [(Scope::Foreign, false), (Scope::All, true)] {
        let mut a = gateway(scope);
        let bound = a.bound("10.0.0.1:7");
        let unwanted = a.arrive(vec![
            packet("10.0.0.9:1", "10.0.0.1:7", b"bound"),
            packet("10.0.0.9:1", "10.0.0.1:8", b"free"),
        ]);
        assert_eq!(a.text(bound), Ok("bound".into()));
        assert_eq!(unwanted.is_empty(), caught);
        let flow = incoming(&mut a);
        assert_eq!(flow.is_some(), caught);
        let Some(flow) = flow else { continue };
        let (udp, mut cx) = a.cx();
        let id = udp.accept_incoming(&mut cx, flow.id).unwrap();
        assert_eq!(a.text(id), Ok("free".into()));
        a.send(id, b"answer").unwrap();
        assert_eq!(a.sent().len(), 1);
        // It holds no port: another may bind it.
        a.bound("10.0.0.1:8");
    }
}

#[test]
fn groups_and_broadcasts_are_no_flows() {
    let mut a = gateway(Scope::All);
    a.arrive(vec![
        packet("10.0.0.9:1", "10.0.0.255:8", b"x"),
        packet("10.0.0.9:1", "224.0.0.1:8", b"x"),
    ]);
    assert_eq!(incoming(&mut a), None);
}
