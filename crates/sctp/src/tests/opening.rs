//! What INIT and INIT ACK must say, and what they are refused for.

use super::hostile::{cookie, echo, first, last};
use super::pair::{A, B, PORT, Pair, Wire};
use crate::{AssocId, PathState, SndInfo, State, Style};
use core::time::Duration;
use sockeye_core::{Config, Error, SocketId};
use sockeye_wire::sctp::{
    Abort, Chunk, ChunkType, Chunks, CookieEcho, HEADER_LEN, Heartbeat, Init, InitAck, List,
    Parameter, ParameterType, Parameters, Shutdown, ShutdownComplete, Tsn,
};
use std::collections::BTreeSet;
use std::io::IoSlice;
use std::net::SocketAddr;

const PEER: u16 = 5555;

pub(super) fn init() -> Init<'static> {
    Init {
        initiate_tag: 7,
        a_rwnd: 100_000,
        outbound_streams: 10,
        inbound_streams: 10,
        initial_tsn: Tsn(1000),
        parameters: &[],
    }
}

pub(super) fn chunk(emit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    emit(&mut out);
    out
}

fn parameters(all: &[Parameter<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for parameter in all {
        out.resize(out.len().next_multiple_of(4), 0);
        parameter.emit(&mut out);
    }
    out
}

/// A's INIT, its ports turned around, and its socket.
pub(super) fn dialled(pair: &mut Pair) -> (Vec<u8>, (u16, u16), SocketId) {
    let a = pair.dial();
    let chunks = last(pair);
    let header = &pair.log.last().unwrap().bytes[..HEADER_LEN];
    let port = u16::from_be_bytes([header[0], header[1]]);
    (chunks, (PORT, port), a)
}

fn tag_of(chunks: &[u8]) -> u32 {
    Init::parse(&first(chunks)).unwrap().initiate_tag
}

/// The answer to an INIT at a listener of B.
fn answer_to(init: &Init<'_>) -> Option<Vec<u8>> {
    let mut pair = Pair::new();
    pair.listen();
    pair.inject(B, (PEER, PORT), 0, &chunk(|out| init.emit(out)));
    pair.run_for(Duration::ZERO);
    assert_eq!(pair.hosts[B].sctp.associations, 0);
    let sent = pair.log.last()?;
    assert_eq!(sent.tag, init.initiate_tag, "RFC 9260 §5.1");
    Some(sent.bytes[HEADER_LEN..].to_vec())
}

/// What A answers an INIT ACK with, and what becomes of its association.
fn answer_to_ack(ack: &Init<'_>) -> (Vec<u8>, u32, Option<State>) {
    let mut pair = Pair::new();
    let (init, ports, a) = dialled(&mut pair);
    let before = pair.log.len();
    let ack = InitAck(*ack);
    pair.inject(A, ports, tag_of(&init), &chunk(|out| ack.emit(out)));
    pair.run_for(Duration::ZERO);
    assert_eq!(pair.log.len(), before + 1);
    let sent = pair.log.last().unwrap().clone();
    let (sctp, _) = pair.host(A);
    let state = match sctp.connected(a) {
        Err(Error::WouldBlock) => Some(pair.state(A, a)),
        Err(Error::ConnectionRefused) => None,
        other => panic!("{other:?}"),
    };
    (sent.bytes[HEADER_LEN..].to_vec(), sent.tag, state)
}

fn abort_of(chunks: &[u8]) -> Abort<'_> {
    Abort::parse(&first(chunks)).unwrap()
}

/// RFC 9260 §3.1-4, §3.3.2-1, §3.3.2-2, §3.3.2-6, §3.3.2-9, §3.3.2-12, §3.3.2.1-1, §3.3.2.1.2-1,
/// §3.3.2.1.4-1, §3.3.2.1.5-1, §5.1-1, §5.1-9, §5.1-10, §5.1-14, §5.1.1-1, §5.3.1-2, §8.5.1-1 and
/// §12.3-1, §12.3-2.
#[test]
fn our_init_says_what_it_must() {
    let mut tags = BTreeSet::new();
    for seed in 0..20 {
        let wires = vec![Wire::default(); 2];
        let mut pair = Pair::with(wires, super::pair::config(), seed);
        let (chunks, ..) = dialled(&mut pair);
        let sent = pair.log.last().unwrap();
        assert_eq!((sent.tag, &sent.chunks[..]), (0, &[ChunkType::INIT][..]));
        let init = Init::parse(&first(&chunks)).unwrap();
        assert!(init.initiate_tag != 0 && tags.insert(init.initiate_tag));
        assert!(init.a_rwnd >= 1500 && init.outbound_streams > 0 && init.inbound_streams > 0);
        let mut kinds = BTreeSet::new();
        let mut addresses = Vec::new();
        for raw in Parameters::new(init.parameters).flatten() {
            match Parameter::parse(&raw).unwrap() {
                Parameter::Address(ip) => addresses.push(ip.to_string()),
                Parameter::SupportedAddressTypes(types) => {
                    let types: Vec<u16> = (0..types.len()).filter_map(|n| types.get(n)).collect();
                    assert_eq!(types, [ParameterType::IPV4.0]);
                    assert!(kinds.insert(raw.kind.0));
                }
                Parameter::HostName(_) => panic!("a host name"),
                _ => assert!(kinds.insert(raw.kind.0), "{:?} twice", raw.kind),
            }
        }
        assert_eq!(addresses, ["10.0.0.1", "10.1.0.1"]);
        let id = pair.hosts[A].sctp.all()[0];
        let association = pair.hosts[A].sctp.association(id).unwrap();
        let point = association.outstanding.cumulative().wrapping_add(1);
        assert_eq!(point, init.initial_tsn.0);
    }
}

/// RFC 9260 §3.3.3-1, §3.3.3-4, §3.3.3-6, §3.3.3-9, §3.3.3-10, §3.3.3-12, §3.3.3.1-1, §3.3.3.1-2,
/// §5.1-2, §5.1-3, §5.1-4, §5.1-11, §5.1.2-5, §5.2.2-5 and §5.2.2-6: to where the INIT came from.
#[test]
fn our_init_ack_says_what_it_must() {
    let mut pair = Pair::with(vec![Wire::default(); 2], Config::default(), 3);
    pair.listen();
    let mut asked = init();
    asked.inbound_streams = 3;
    let mut tags = BTreeSet::new();
    for _ in 0..20 {
        let packet = super::pair::packet((PEER, PORT), 0, &chunk(|out| asked.emit(out)));
        pair.inject_raw(B, 1, &packet);
        let chunks = last(&mut pair);
        let sent = pair.log.last().unwrap();
        assert_eq!((sent.wire, sent.tag), (1, 7));
        let ack = InitAck::parse(&first(&chunks)).unwrap().0;
        assert!(ack.initiate_tag != 0 && tags.insert(ack.initiate_tag));
        assert!(ack.a_rwnd >= 1500 && ack.inbound_streams > 0);
        assert_eq!(ack.outbound_streams, 3);
        let all: Vec<ParameterType> = Parameters::new(ack.parameters)
            .flatten()
            .map(|raw| raw.kind)
            .collect();
        assert_eq!(all[0], ParameterType::STATE_COOKIE);
        assert!(!all.contains(&ParameterType::HOST_NAME));
    }
}

/// RFC 9260 §3.3.2-7, §3.3.2-8, §3.3.2-10, §3.3.2-11, §3.3.2-13, §3.3.2-14 and §5.1-12, §8.4-2: the
/// ABORT has the initiate tag.
#[test]
fn an_init_that_can_not_be_is_refused() {
    for change in [
        |init: &mut Init<'_>| init.a_rwnd = 1499,
        |init: &mut Init<'_>| init.outbound_streams = 0,
        |init: &mut Init<'_>| init.inbound_streams = 0,
    ] {
        let mut asked = init();
        change(&mut asked);
        let answer = answer_to(&asked).unwrap();
        assert!(!abort_of(&answer).tag_reflected);
    }
}

/// RFC 9260 §3.3.3-5, §3.3.3-7, §3.3.3-8, §3.3.3-11, §3.3.3-13 and §5.1-12.
#[test]
fn an_init_ack_that_can_not_be_is_refused() {
    let good = parameters(&[Parameter::StateCookie(b"bake")]);
    let ack = Init {
        parameters: &good,
        ..init()
    };
    for (change, tag, state) in [
        (
            (|ack| ack.outbound_streams = 0) as fn(&mut Init<'_>),
            7,
            None,
        ),
        (|ack| ack.inbound_streams = 0, 7, None),
        (|ack| ack.parameters = &[], 7, None),
        (|ack| ack.a_rwnd = 1499, 7, Some(State::CookieWait)),
    ] {
        let mut ack = ack;
        change(&mut ack);
        let (answer, sent, found) = answer_to_ack(&ack);
        assert!(!abort_of(&answer).tag_reflected);
        assert_eq!((sent, found), (tag, state));
    }
    // Who does not say its tag hears its packet's.
    let (answer, _, state) = answer_to_ack(&Init {
        initiate_tag: 0,
        ..ack
    });
    assert!(abort_of(&answer).tag_reflected);
    assert_eq!(state, None);
}

/// RFC 9260 §3.3.2-3, §3.3.2.1.4-2, §3.3.3-2, §5.1.2-2, §12.2.4.1-1; RFC 9260 §3.3.2.1.5-2: that it takes them
/// a peer may say.
#[test]
fn host_names_are_refused() {
    let name = parameters(&[Parameter::HostName(b"example.org\0")]);
    let answer = answer_to(&Init {
        parameters: &name,
        ..init()
    });
    assert_eq!(first(&answer.unwrap()).kind, ChunkType::ABORT);
    let both = parameters(&[
        Parameter::StateCookie(b"bake"),
        Parameter::HostName(b"example.org\0"),
    ]);
    let (answer, _, state) = answer_to_ack(&Init {
        parameters: &both,
        ..init()
    });
    assert_eq!((first(&answer).kind, state), (ChunkType::ABORT, None));
    let types = [ParameterType::IPV4.0, ParameterType::HOST_NAME.0];
    let types = parameters(&[Parameter::SupportedAddressTypes(List::Values(&types))]);
    let answer = answer_to(&Init {
        parameters: &types,
        ..init()
    });
    assert_eq!(first(&answer.unwrap()).kind, ChunkType::INIT_ACK);
}

/// RFC 9260 §12.3-3, §8.5.1-2.
#[test]
fn an_init_with_company_or_a_tag_is_discarded() {
    let mut pair = Pair::new();
    pair.listen();
    let alone = chunk(|out| init().emit(out));
    let both = [&alone[..], &chunk(|out| Heartbeat { info: b"?" }.emit(out))].concat();
    pair.inject(B, (PEER, PORT), 0, &both);
    pair.inject(B, (PEER, PORT), 7, &alone);
    pair.run_for(Duration::ZERO);
    assert!(pair.log.is_empty());
}

/// RFC 9260 §3.1-1, §3.1-2.
#[test]
fn ports_are_never_zero() {
    let mut pair = Pair::new();
    pair.listen();
    for ports in [(0, PORT), (PEER, 0)] {
        pair.inject(B, ports, 0, &chunk(|out| init().emit(out)));
    }
    pair.run_for(Duration::ZERO);
    assert!(pair.log.is_empty());
    let a = pair.open(A, Style::OneToOne);
    let (sctp, mut cx) = pair.host(A);
    let to = SocketAddr::from(([10, 0, 0, 2], 0));
    assert_eq!(sctp.connect(&mut cx, a, to), Err(Error::Invalid));
}

/// RFC 9260 §3.2.2-2, §3.3.3-14, §3.3.11-1, §3.3.11-2, §5.1-6, §5.1.4-1, §8.5.1-12: a large cookie, as
/// it came, first in its packet, to the tag that was told.
#[test]
fn the_cookie_goes_back_as_it_came() {
    let baked = vec![3; 4000];
    let mut all = parameters(&[Parameter::StateCookie(&baked)]);
    all.extend([0xc0, 0xcc, 0, 4]);
    let mut pair = Pair::new();
    let (ours, ports, a) = dialled(&mut pair);
    let large = InitAck(Init {
        parameters: &all,
        ..init()
    });
    pair.inject(A, ports, tag_of(&ours), &chunk(|out| large.emit(out)));
    assert_eq!(pair.state(A, a), State::CookieEchoed);
    let mut all = parameters(&[Parameter::StateCookie(b"small cookie")]);
    all.extend([0xc0, 0xcc, 0, 4]);
    let (answer, tag, _) = answer_to_ack(&Init {
        parameters: &all,
        ..init()
    });
    let chunks: Vec<Chunk<'_>> = Chunks::new(&answer).flatten().collect();
    assert_eq!(
        CookieEcho::parse(&chunks[0]).unwrap().cookie,
        b"small cookie"
    );
    assert_eq!(
        (chunks[1].kind, chunks.len(), tag),
        (ChunkType::ERROR, 2, 7)
    );
}

/// RFC 9260 §4-3, §4-4, §5.1.6-1: T1-init doubles. RFC 9260 §4-6, §4-7, §4-8, §5.1.4-2, §5.1.4-3, §5.1-7: so
/// does T1-cookie, and nothing else is sent meanwhile.
#[test]
fn t1_doubles() {
    let mut pair = Pair::new();
    pair.wires[0].cut = true;
    pair.dial();
    let mut seen = Vec::new();
    for _ in 0..16 {
        pair.run_for(Duration::from_secs(1));
        seen.push(pair.log.len());
    }
    // After 1, 3, 7 and 15 seconds.
    assert_eq!(seen, [2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 5, 5]);

    let mut pair = Pair::new();
    pair.listen();
    pair.lose = Box::new(|sent| sent.chunks.contains(&ChunkType::COOKIE_ACK));
    let a = pair.dial();
    pair.run_for(Duration::from_millis(500));
    pair.send(A, a, b"waits").unwrap();
    pair.run_for(Duration::from_secs(600));
    let sent = pair.log.iter().filter(|sent| sent.from == A);
    let sent: Vec<_> = sent.flat_map(|sent| sent.chunks.clone()).collect();
    assert_eq!(sent[..2], [ChunkType::INIT, ChunkType::COOKIE_ECHO]);
    let count = |kind| sent.iter().filter(|sent| **sent == kind).count();
    assert_eq!(
        (count(ChunkType::COOKIE_ECHO), count(ChunkType::DATA)),
        (9, 0)
    );
    let (sctp, _) = pair.host(A);
    assert_eq!(sctp.connected(a), Err(Error::TimedOut));
}

/// RFC 9260 §5.1.1-2, §5.1.1-3, §5.1.1-4, §6.5-1: the fewer streams of what one wants and the other
/// takes.
#[test]
fn streams_are_what_both_sides_have() {
    let mut pair = Pair::new();
    let (a, _) = {
        let listener = pair.listen();
        let (sctp, mut cx) = pair.host(B);
        sctp.configure(&mut cx, listener, AssocId::ALL, |settings| {
            settings.init.in_streams_max = 4;
        })
        .unwrap();
        let a = pair.dial();
        pair.run_for(Duration::from_millis(100));
        (a, listener)
    };
    assert_eq!(pair.send_on(A, a, 3, b"last"), Ok(4));
    assert_eq!(pair.send_on(A, a, 4, b"none"), Err(Error::Invalid));
}

/// RFC 9260 §3.3.2.1.2-2, §3.3.3-15, §5.1.2-1; RFC 9260 §5.1.2-6: of families that the socket does not speak
/// nothing is kept.
#[test]
fn the_peers_addresses_are_those_that_it_lists_and_its_source() {
    let count = |listed: &[Parameter<'_>]| {
        let mut pair = Pair::new();
        pair.listen();
        let parameters = parameters(listed);
        let init = Init {
            parameters: &parameters,
            ..init()
        };
        pair.inject(B, (PEER, PORT), 0, &chunk(|out| init.emit(out)));
        let (cookie, tag) = cookie(&last(&mut pair));
        pair.inject(B, (PEER, PORT), tag, &echo(&cookie));
        let id = pair.hosts[B].sctp.all()[0];
        pair.hosts[B].sctp.association(id).unwrap().paths.len()
    };
    let v4 = Parameter::Address("10.1.0.1".parse().unwrap());
    let v6 = Parameter::Address("fd00::1".parse().unwrap());
    assert_eq!(count(&[]), 1);
    assert_eq!(count(&[v4]), 2);
    assert_eq!(count(&[v6]), 1);
    assert_eq!(count(&[v4, v6]), 2);
}

/// RFC 9260 §5.1.2-4, §5.2.1-6, §5.2.2-2, §5.2.2-3, §5.2.2-7, §5.2.2-8: an INIT from elsewhere that
/// lists an address of an association is for that; it may not bring others.
#[test]
fn an_init_from_elsewhere_is_for_the_association_that_it_names() {
    let mut pair = Pair::with(vec![Wire::default(); 2], Config::default(), 3);
    let listener = pair.listen();
    let mut listed = parameters(&[Parameter::Address("10.0.0.1".parse().unwrap())]);
    let init = Init {
        parameters: &listed,
        ..init()
    };
    pair.inject(
        B,
        (PEER, PORT),
        0,
        &chunk(|out| super::opening::init().emit(out)),
    );
    let (cookie, tag) = cookie(&last(&mut pair));
    pair.inject(B, (PEER, PORT), tag, &echo(&cookie));
    pair.run_for(Duration::ZERO);
    let (sctp, mut cx) = pair.host(B);
    let (b, _) = sctp.accept(&mut cx, listener).unwrap();
    let packet = super::pair::packet((PEER, PORT), 0, &chunk(|out| init.emit(out)));
    pair.inject_raw(B, 1, &packet);
    let answer = last(&mut pair);
    assert!(!abort_of(&answer).tag_reflected);
    assert_eq!(pair.log.last().unwrap().tag, 7);
    assert_eq!(pair.state(B, b), State::Established);
    listed.clear();

    // The same in COOKIE-ECHOED.
    let mut pair = Pair::with(vec![Wire::default(); 2], Config::default(), 3);
    let listener = pair.listen();
    let (sctp, mut cx) = pair.host(B);
    sctp.close(&mut cx, listener).unwrap();
    let (init, ports, a) = dialled(&mut pair);
    pair.wires[0].cut = true;
    let good = parameters(&[Parameter::StateCookie(b"bake")]);
    let ack = InitAck(Init {
        parameters: &good,
        ..super::opening::init()
    });
    pair.inject(A, ports, tag_of(&init), &chunk(|out| ack.emit(out)));
    assert_eq!(pair.state(A, a), State::CookieEchoed);
    let listed = parameters(&[Parameter::Address("10.0.0.2".parse().unwrap())]);
    let init = Init {
        parameters: &listed,
        ..super::opening::init()
    };
    let packet = super::pair::packet(ports, 0, &chunk(|out| init.emit(out)));
    pair.inject_raw(A, 1, &packet);
    assert_eq!(first(&last(&mut pair)).kind, ChunkType::ABORT);
    assert_eq!(pair.state(A, a), State::CookieEchoed);
}

/// RFC 9260 §5.2.1-1, §5.2.1-2, §5.2.1-3, §5.2.1-4: in COOKIE-WAIT, with the tag that our INIT had, and
/// only to where that went.
#[test]
fn a_crossing_init_is_answered_with_what_ours_said() {
    let mut pair = Pair::with(vec![Wire::default(); 2], Config::default(), 3);
    let (ours, ports, a) = dialled(&mut pair);
    pair.inject(A, ports, 0, &chunk(|out| init().emit(out)));
    let chunks = last(&mut pair);
    let ack = InitAck::parse(&first(&chunks)).unwrap().0;
    let ours = Init::parse(&first(&ours)).unwrap();
    assert_eq!(ack.initiate_tag, ours.initiate_tag);
    assert_eq!(ack.initial_tsn, ours.initial_tsn);
    assert_eq!(pair.state(A, a), State::CookieWait);
    // From elsewhere, though it lists the right address.
    let listed = parameters(&[Parameter::Address("10.0.0.2".parse().unwrap())]);
    let init = Init {
        parameters: &listed,
        ..init()
    };
    let before = pair.log.len();
    let packet = super::pair::packet(ports, 0, &chunk(|out| init.emit(out)));
    pair.inject_raw(A, 1, &packet);
    assert_eq!(first(&last(&mut pair)).kind, ChunkType::INIT_ACK);
    let sent = &pair.log[before..];
    assert_eq!((sent.len(), sent[0].wire), (1, 0));
}

/// RFC 9260 §5.2.4-3: the peer's new life waits for the end of the old one.
#[test]
fn a_restart_while_shutting_down_waits() {
    let mut pair = Pair::new();
    let (a, b) = pair.association();
    let (sctp, _) = pair.host(B);
    let ports = (sctp.peer_addr(b).unwrap().port(), PORT);
    pair.wires[0].cut = true;
    pair.inject(B, ports, 0, &chunk(|out| init().emit(out)));
    let (cookie, tag) = cookie(&last(&mut pair));
    let id = pair.hosts[B].sctp.all()[0];
    let association = pair.hosts[B].sctp.association(id).unwrap();
    let (own, una) = (association.tags.local, association.outstanding.cumulative());
    let cumulative_tsn = Tsn(una);
    pair.inject(
        B,
        ports,
        own,
        &chunk(|out| Shutdown { cumulative_tsn }.emit(out)),
    );
    pair.run_for(Duration::ZERO);
    assert_eq!(pair.state(B, b), State::ShutdownAckSent);
    let from = pair.log.len();
    pair.inject(B, ports, tag, &echo(&cookie));
    pair.run_for(Duration::ZERO);
    assert_eq!(pair.trace(from), ["< SHUTDOWN ACK, ERROR"]);
    assert_eq!(pair.state(B, b), State::ShutdownAckSent);
    let _ = a;
}

/// RFC 9260 §1.3-1, §1.3-2, §1.3-3: one association between two endpoints, one port for the addresses
/// of one, one endpoint at an address.
#[test]
fn endpoints_are_apart() {
    let mut pair = Pair::with(vec![Wire::default(); 2], Config::default(), 3);
    let one = pair.open(A, Style::OneToMany);
    let (sctp, mut cx) = pair.host(A);
    sctp.bind(&mut cx, one, "10.0.0.1:4000".parse().unwrap())
        .unwrap();
    let other_port = "10.1.0.1:4001".parse().unwrap();
    assert_eq!(
        sctp.bind_add(&mut cx, one, &[other_port]),
        Err(Error::Invalid)
    );
    let two = sctp
        .open(&mut cx, sockeye_core::Domain::V4, Style::OneToMany)
        .unwrap();
    let taken = sctp.bind(&mut cx, two, "10.0.0.1:4000".parse().unwrap());
    assert_eq!(taken, Err(Error::AddressInUse));
    pair.listen_as(Style::OneToMany);
    let (sctp, mut cx) = pair.host(A);
    let to: SocketAddr = "10.0.0.2:80".parse().unwrap();
    let say = [IoSlice::new(b"hello")];
    for _ in 0..3 {
        sctp.send_msg(&mut cx, one, &say, Some(to), &SndInfo::default())
            .unwrap();
    }
    assert_eq!(
        sctp.connect_multi(&mut cx, one, &[to]),
        Err(Error::IsConnected)
    );
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.hosts[B].sctp.associations, 1);
}

/// RFC 9260 §7.3-1, §7.2-3: each path has its own MTU and its own window.
#[test]
fn paths_are_apart() {
    let wires = [1500, 1300].map(|mtu| Wire {
        mtu,
        ..Wire::default()
    });
    let mut pair = Pair::with(wires.to_vec(), Config::default(), 3);
    let (a, b) = pair.association();
    pair.run_for(Duration::from_secs(5));
    for _ in 0..50 {
        pair.send(A, a, &[1; 1000]).unwrap();
    }
    pair.run_for(Duration::from_secs(1));
    while pair.recv(B, b).is_ok() {}
    let (sctp, _) = pair.host(A);
    let paths = sctp.paths(a, AssocId::FUTURE).unwrap();
    assert_eq!([paths[0].mtu, paths[1].mtu], [1500, 1300]);
    assert!(paths[0].cwnd > 4404, "{}", paths[0].cwnd);
    assert_eq!((paths[1].cwnd, paths[1].state), (4404, PathState::Active));
}

/// RFC 9260 §8.5.1-7, §8.5.1-8, §8.5.1-10: of an association, SHUTDOWN COMPLETE has its tag and reflects
/// nothing; who reflects must know the tag.
#[test]
fn shutdown_complete_has_the_tag() {
    let mut pair = Pair::new();
    let (a, b) = pair.association();
    let (sctp, _) = pair.host(B);
    let ports = (sctp.peer_addr(b).unwrap().port(), PORT);
    let id = pair.hosts[B].sctp.all()[0];
    let tags = pair.hosts[B].sctp.association(id).unwrap().tags;
    pair.lose = Box::new(|sent| sent.chunks.contains(&ChunkType::SHUTDOWN_COMPLETE));
    pair.shutdown(A, a);
    pair.run_for(Duration::from_millis(100));
    let complete = pair.log.last().unwrap();
    let parsed = ShutdownComplete::parse(&first(&complete.bytes[HEADER_LEN..])).unwrap();
    assert_eq!((complete.tag, parsed.tag_reflected), (tags.local, false));
    let say = |tag_reflected| chunk(|out| ShutdownComplete { tag_reflected }.emit(out));
    for (tag, reflected) in [
        (tags.peer, false),
        (tags.local, true),
        (1, true),
        (1, false),
    ] {
        pair.inject(B, ports, tag, &say(reflected));
        assert_eq!(pair.state(B, b), State::ShutdownAckSent);
    }
    pair.inject(B, ports, tags.peer, &say(true));
    assert_eq!(pair.state(B, b), State::Closed);
}
