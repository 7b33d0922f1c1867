//! Connections whose segments are signed, and who is not heard there.

use super::pair::{A, B, Pair, Wire};
use crate::{AoAlgorithm, AoChange, AoKey, State};
use core::time::Duration;
use proptest::prelude::*;
use sockeye_core::socket::Domain;
use sockeye_core::transport::{IcmpError, IcmpErrorKind};
use sockeye_core::{Counter, Error, Packet, SocketId, Transport};
use sockeye_wire::tcp::{Flags, Header};
use sockeye_wire::tcp_options::{OPTIONS_LEN_MAX, Options};
use sockeye_wire::{IpProtocol, SeqNum, checksum, ipv4};
use std::net::{IpAddr, SocketAddr};

/// What both ends have.
#[derive(Clone, Debug)]
enum Keys {
    Md5(&'static [u8]),
    Ao(Vec<AoKey>),
}

use Keys::Md5;

/// A key as A has it: A signs with 10 * n, B with 10 * n + 1.
fn ao_key(n: u8, algorithm: AoAlgorithm) -> AoKey {
    AoKey {
        algorithm,
        ..AoKey::new(IpAddr::from([0, 0, 0, 0]), 10 * n, 10 * n + 1, &[n; 20])
    }
}

fn ao() -> Keys {
    Keys::Ao(vec![ao_key(1, AoAlgorithm::HmacSha1)])
}

fn address(n: usize, v6: bool) -> IpAddr {
    let text = match (n, v6) {
        (A, false) => "10.0.0.1",
        (A, true) => "fd00::1",
        (_, false) => "10.0.0.2",
        (_, true) => "fd00::2",
    };
    text.parse().unwrap()
}

/// The key `n` has for its peer: B's IDs are A's the other way round.
fn for_host(n: usize, key: &AoKey, v6: bool) -> AoKey {
    let mut key = key.clone();
    let name = AoKey::new(address(1 - n, v6), key.send_id, key.receive_id, b"");
    (key.peer, key.prefix) = (name.peer, name.prefix);
    if n == B {
        (key.send_id, key.receive_id) = (key.receive_id, key.send_id);
    }
    key
}

fn give(pair: &mut Pair, n: usize, id: SocketId, keys: &Keys, v6: bool) {
    let (tcp, mut cx) = pair.host(n);
    match keys {
        Md5(key) => tcp
            .set_md5_key(&mut cx, id, address(1 - n, v6), key)
            .unwrap(),
        Keys::Ao(list) => {
            for key in list.iter().rev() {
                let key = for_host(n, key, v6);
                tcp.add_ao_key(&mut cx, id, key, false, false).unwrap();
            }
        }
    }
}

fn listen(pair: &mut Pair, keys: Option<&Keys>, v6: bool) -> SocketId {
    let listener = pair.listen(80);
    if let Some(keys) = keys {
        give(pair, B, listener, keys, v6);
    }
    listener
}

fn dial(pair: &mut Pair, keys: Option<&Keys>, v6: bool) -> SocketId {
    let (tcp, mut cx) = pair.host(A);
    let domain = if v6 { Domain::V6 } else { Domain::V4 };
    let id = tcp.open(&mut cx, domain).unwrap();
    if let Some(keys) = keys {
        give(pair, A, id, keys, v6);
    }
    let (tcp, mut cx) = pair.host(A);
    let to = SocketAddr::new(address(B, v6), 80);
    assert_eq!(tcp.connect(&mut cx, id, to), Err(Error::InProgress));
    id
}

fn connection(pair: &mut Pair, keys: &Keys, v6: bool) -> (SocketId, SocketId) {
    let listener = listen(pair, Some(keys), v6);
    let a = dial(pair, Some(keys), v6);
    pair.run_until(|pair| pair.state(A, a) == State::Established);
    let b = pair.accept(listener).expect("a connection to accept");
    (a, b)
}

fn count(pair: &Pair, n: usize, counter: Counter) -> u64 {
    pair.hosts[n].parts.counters.get(counter)
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len as u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

fn is_signed(keys: &Keys, options: &Options) -> bool {
    match keys {
        Md5(_) => options.md5.is_some() && options.authentication.is_none(),
        Keys::Ao(_) => options.authentication.is_some() && options.md5.is_none(),
    }
}

/// Every algorithm, both families, options covered and not: all that is said is signed, in single
/// segments, through loss, to the end.
#[test]
fn everything_is_signed_from_the_syn_to_the_last_acknowledgment() {
    let mut omits = ao_key(1, AoAlgorithm::HmacSha1);
    omits.exclude_options = true;
    let mut long = ao_key(1, AoAlgorithm::HmacSha256);
    long.mac_len = 16;
    let sets = [
        Md5(b"secret"),
        ao(),
        Keys::Ao(vec![ao_key(1, AoAlgorithm::AesCmac128)]),
        Keys::Ao(vec![long]),
        Keys::Ao(vec![omits]),
    ];
    for keys in sets {
        for v6 in [false, true] {
            let mut pair = Pair::new(Wire {
                loss: 20,
                reorder: 20,
                cut: false,
                ..Wire::default()
            });
            let (a, b) = connection(&mut pair, &keys, v6);
            let data = bytes(300_000);
            assert_eq!(pair.transfer(A, [a, b], &data), data);
            assert_eq!(pair.transfer(B, [a, b], &data), data);
            pair.close(A, a);
            pair.run_until(|pair| pair.state(B, b) == State::CloseWait);
            pair.close(B, b);
            pair.run_until(|pair| pair.state(B, b) == State::Closed);
            let mut sacks = 0;
            let headers = if v6 { 60 } else { 40 };
            for (from, header, text) in &pair.log {
                let options = &header.options;
                assert!(is_signed(&keys, options), "{keys:?} {from} {header:?}");
                assert!(options.emitted_len() <= OPTIONS_LEN_MAX);
                let len = headers + options.emitted_len() + text;
                assert!(len <= 1500, "{keys:?} {from} {len}");
                sacks += options.sack.len();
                // Beside MD5, timestamps would leave no room for what was lost.
                assert_eq!(options.timestamps.is_some(), matches!(keys, Keys::Ao(_)));
            }
            // Codes of 16 bytes beside timestamps leave no room for a block either.
            let none = matches!(&keys, Keys::Ao(list) if list[0].mac_len == 16);
            assert_eq!(sacks == 0, none, "{keys:?}");
            let full = pair
                .log
                .iter()
                .map(|(_, header, text)| headers + header.options.emitted_len() + text);
            assert_eq!(full.max(), Some(1500), "{keys:?}");
            for n in [A, B] {
                for bad in [
                    Counter::TcpExtTCPMD5Failure,
                    Counter::TcpExtTCPMD5NotFound,
                    Counter::TcpExtTCPAOBad,
                    Counter::TcpExtTCPAORequired,
                ] {
                    assert_eq!(count(&pair, n, bad), 0, "{keys:?} {n} {bad:?}");
                }
            }
        }
    }
}

/// RFC 5925 §7.3, RFC 2385 §4: what does not validate is dropped silently, and counted.
#[test]
fn who_lacks_the_key_is_not_heard_and_not_answered() {
    use Counter as C;
    let unknown = Keys::Ao(vec![ao_key(2, AoAlgorithm::HmacSha1)]);
    let mut other = ao_key(1, AoAlgorithm::HmacSha1);
    other.key = crate::Secret::new(b"another");
    let wrong = Keys::Ao(vec![other]);
    let mut short = ao_key(1, AoAlgorithm::HmacSha1);
    short.mac_len = 8;
    let short = Keys::Ao(vec![short]);
    let md5 = Md5(b"secret");
    let (ao, no) = (ao(), None);
    let table = [
        // The client's, the listener's, what is counted
        (no, Some(&md5), C::TcpExtTCPMD5NotFound),
        (Some(&Md5(b"Secret")), Some(&md5), C::TcpExtTCPMD5Failure),
        (Some(&md5), no, C::TcpExtTCPMD5Unexpected),
        (no, Some(&ao), C::TcpExtTCPAORequired),
        (Some(&wrong), Some(&ao), C::TcpExtTCPAOBad),
        (Some(&short), Some(&ao), C::TcpExtTCPAOBad),
        (Some(&unknown), Some(&ao), C::TcpExtTCPAOKeyNotFound),
        (Some(&ao), no, C::TcpExtTCPAOKeyNotFound),
        (Some(&ao), Some(&md5), C::TcpExtTCPAOKeyNotFound),
        (Some(&md5), Some(&ao), C::TcpExtTCPMD5Unexpected),
    ];
    for v6 in [false, true] {
        for (client, server, counter) in &table {
            let mut pair = Pair::new(Wire::default());
            listen(&mut pair, *server, v6);
            let a = dial(&mut pair, *client, v6);
            pair.run_until(|pair| pair.state(A, a) == State::Closed);
            let (tcp, _) = pair.host(A);
            assert_eq!(tcp.take_error(a), Ok(Some(Error::TimedOut)));
            assert!(
                count(&pair, B, *counter) >= 6,
                "{client:?} {server:?} {counter:?}"
            );
            assert!(
                pair.log.iter().all(|(from, ..)| *from == A),
                "{client:?} {server:?}"
            );
        }
    }
}

/// A listener with keys for some serves others as before.
#[test]
fn peers_without_a_key_are_served_unsigned() {
    for keys in [Md5(b"secret"), ao()] {
        let mut pair = Pair::new(Wire::default());
        let listener = listen(&mut pair, Some(&keys), true);
        let a = dial(&mut pair, None, false);
        let b = pair.accept(listener).unwrap();
        assert_eq!(pair.transfer(A, [a, b], b"hello"), b"hello");
        assert!(
            pair.log
                .iter()
                .all(|(_, header, _)| !header.options.is_signed())
        );
    }
    // Unless TCP-AO is required of all.
    let mut pair = Pair::new(Wire::default());
    let listener = listen(&mut pair, None, false);
    let (tcp, mut cx) = pair.host(B);
    let change = AoChange {
        required: true,
        ..AoChange::default()
    };
    tcp.set_ao_info(&mut cx, listener, &change).unwrap();
    dial(&mut pair, None, false);
    pair.run_for(Duration::from_secs(2));
    assert_eq!(count(&pair, B, Counter::TcpExtTCPAORequired), 2);
    let (tcp, _) = pair.host(B);
    assert_eq!(tcp.ao_info(listener).unwrap().counters.required, 2);
}

fn key_ids(pair: &Pair, from: usize) -> Vec<u8> {
    let sent = pair.log.iter().filter(|(n, ..)| *n == from);
    let ids = sent.filter_map(|(_, header, _)| header.options.authentication);
    let mut ids: Vec<u8> = ids.map(|option| option.key_id).collect();
    ids.dedup();
    ids
}

/// RFC 5925 §6.1: both directions change to a new key without losing a segment, and the old one goes.
#[test]
fn keys_roll_over_in_mid_stream() {
    let mut new = ao_key(2, AoAlgorithm::AesCmac128);
    new.mac_len = 16;
    let mut pair = Pair::new(Wire::default());
    pair.packets = Some(Vec::new());
    let old = ao_key(1, AoAlgorithm::HmacSha1);
    let (a, b) = connection(&mut pair, &Keys::Ao(vec![old.clone()]), false);
    let data = bytes(100_000);
    assert_eq!(pair.transfer(A, [a, b], &data), data);
    for (n, id) in [(A, a), (B, b)] {
        let (tcp, mut cx) = pair.host(n);
        let key = for_host(n, &new, false);
        tcp.add_ao_key(&mut cx, id, key, false, false).unwrap();
    }
    // A is ready to hear the new key: B speaks with it, and A still with the old one.
    let (tcp, mut cx) = pair.host(A);
    let change = AoChange {
        rnext: Some(21),
        ..AoChange::default()
    };
    tcp.set_ao_info(&mut cx, a, &change).unwrap();
    assert_eq!(pair.transfer(A, [a, b], &data), data);
    assert_eq!(
        (key_ids(&pair, A), key_ids(&pair, B)),
        (vec![10], vec![11, 21])
    );
    // A SYN that was recorded asks for nothing.
    let syn = pair.packets.take().unwrap().swap_remove(0).1;
    let good = count(&pair, B, Counter::TcpExtTCPAOGood);
    pair.run_for(Duration::from_millis(50));
    pair.inject(B, syn);
    pair.run_for(pair.wire.delay);
    assert!(count(&pair, B, Counter::TcpExtTCPAOGood) > good);
    let (tcp, _) = pair.host(B);
    assert_eq!(tcp.ao_info(b).unwrap().current, Some(21));
    // The old one can't go while A speaks with it.
    let (tcp, mut cx) = pair.host(A);
    let name = for_host(A, &old, false).name();
    assert_eq!(
        tcp.remove_ao_key(&mut cx, a, &name, None, None),
        Err(Error::Busy)
    );
    let (tcp, mut cx) = pair.host(B);
    let change = AoChange {
        rnext: Some(20),
        ..AoChange::default()
    };
    tcp.set_ao_info(&mut cx, b, &change).unwrap();
    assert_eq!(pair.transfer(B, [a, b], &data), data);
    assert_eq!(pair.transfer(A, [a, b], &data), data);
    assert_eq!(
        (key_ids(&pair, A), key_ids(&pair, B)),
        (vec![10, 20], vec![11, 21])
    );
    for (n, id) in [(A, a), (B, b)] {
        let (tcp, mut cx) = pair.host(n);
        let name = for_host(n, &old, false).name();
        tcp.remove_ao_key(&mut cx, id, &name, None, None).unwrap();
        let info = tcp.ao_info(id).unwrap();
        let (ours, theirs) = if n == A { (20, 21) } else { (21, 20) };
        assert_eq!((info.current, info.rnext), (Some(ours), Some(theirs)));
        assert_eq!(info.heard, Some((theirs, ours)));
        assert_eq!(info.counters.bad, 0);
    }
    assert_eq!(pair.transfer(A, [a, b], &data), data);
    // Longer codes leave less room for text: 1500 less 20, 20, 20 and 12.
    let last = pair
        .log
        .iter()
        .rev()
        .find(|(from, _, text)| *from == A && *text > 1000);
    assert_eq!(last.unwrap().2, 1428);
    assert_eq!(count(&pair, A, Counter::TcpRetransSegs), 0);
}

/// A packet of `header` alone, from the IPv4 address of `from`.
fn packet(from: usize, header: &Header) -> Packet {
    let mut tcp = vec![0; header.header_len()];
    Header {
        checksum: 0,
        ..*header
    }
    .emit(&mut tcp);
    with_ip(from, tcp)
}

/// The segment in a packet from the IPv4 address of `from`, with a right checksum.
fn with_ip(from: usize, mut tcp: Vec<u8>) -> Packet {
    let ends = [address(from, false), address(1 - from, false)];
    let len = tcp.len() as u32;
    let sum = checksum::transport(ends[0], ends[1], IpProtocol::TCP, len, [&tcp[..]]);
    sockeye_wire::tcp::set_checksum(&mut tcp, sum.finish());
    let [IpAddr::V4(source), IpAddr::V4(destination)] = ends else {
        panic!("both are IPv4");
    };
    let ip = ipv4::Header::new(source, destination, IpProtocol::TCP, tcp.len() as u16);
    let mut packet = vec![0; ipv4::HEADER_LEN];
    ip.emit(&mut packet);
    packet.extend(tcp);
    Packet::from_vec(packet)
}

/// A reset in the window, from somebody who has read the numbers.
fn forged(pair: &Pair, change: impl FnOnce(&mut Header)) -> Packet {
    let (_, mut header, text) = *pair.log.iter().rev().find(|(from, ..)| *from == B).unwrap();
    header.seq += text as u32;
    header.flags = Flags::RST | Flags::ACK;
    change(&mut header);
    packet(B, &header)
}

/// A SYN without a signature has begun a connection without: what is signed is no part of it.
#[test]
fn a_signature_does_not_come_later() {
    let mut pair = Pair::new(Wire::default());
    let listener = listen(&mut pair, None, false);
    pair.lose = Box::new(|from, header, _| from == A && header.flags == Flags::ACK);
    let a = dial(&mut pair, None, false);
    pair.run_until(|pair| pair.state(A, a) == State::Established);
    pair.pump();
    let (_, ack, _) = *pair.log.iter().rev().find(|(from, ..)| *from == A).unwrap();
    let mut signed = ack;
    signed.options.timestamps = None;
    signed.options.md5 = Some([7; 16]);
    for _ in 0..2 {
        pair.inject(B, packet(A, &signed));
        pair.run_for(Duration::from_millis(50));
    }
    assert_eq!(count(&pair, B, Counter::TcpExtTCPMD5Unexpected), 2);
    assert_eq!(pair.hosts[B].tcp.half_open, 1);
    // Here comes the legitimate one.
    pair.inject(B, packet(A, &ack));
    let b = pair.accept(listener).unwrap();
    assert_eq!(pair.state(B, b), State::Established);
}

#[test]
fn a_forged_reset_is_not_heard() {
    for keys in [Md5(b"secret"), ao()] {
        let mut pair = Pair::new(Wire::default());
        let (a, b) = connection(&mut pair, &keys, false);
        assert_eq!(pair.transfer(B, [a, b], b"hello"), b"hello");
        let unsigned = forged(&pair, |header| header.options = Options::default());
        // The signature is that of another segment.
        let borrowed = forged(&pair, |_| ());
        for packet in [unsigned, borrowed] {
            pair.inject(A, packet);
            pair.run_for(Duration::from_millis(50));
            assert_eq!(pair.state(A, a), State::Established);
        }
        let dropped = match keys {
            Md5(_) => [Counter::TcpExtTCPMD5NotFound, Counter::TcpExtTCPMD5Failure],
            Keys::Ao(_) => [Counter::TcpExtTCPAORequired, Counter::TcpExtTCPAOBad],
        };
        assert_eq!(dropped.map(|counter| count(&pair, A, counter)), [1, 1]);
        assert_eq!(pair.transfer(A, [a, b], b"still there"), b"still there");
        // The peer's own is heard.
        let (tcp, mut cx) = pair.host(B);
        tcp.abort(&mut cx, b).unwrap();
        pair.run_until(|pair| pair.state(A, a) == State::Closed);
    }
    // And without keys the same reset works: it is the signature that was missing.
    let mut pair = Pair::new(Wire::default());
    let (a, b) = pair.connection();
    assert_eq!(pair.transfer(B, [a, b], b"hello"), b"hello");
    let packet = forged(&pair, |_| ());
    pair.inject(A, packet);
    pair.run_for(Duration::from_millis(50));
    assert_eq!(pair.state(A, a), State::Closed);
}

/// RFC 5925 §6.2: text crosses the end of the ring, and is counted on.
#[test]
fn numbers_wrap_and_the_extension_counts() {
    let mut pair = Pair::new(Wire {
        loss: 10,
        reorder: 50,
        ..Wire::default()
    });
    pair.packets = Some(Vec::new());
    let listener = listen(&mut pair, Some(&ao()), false);
    let a = dial(&mut pair, Some(&ao()), false);
    let sockets = &mut pair.hosts[A].tcp.sockets;
    let tcb = sockets
        .get_mut(a)
        .and_then(|socket| socket.tcb_mut())
        .unwrap();
    tcb.set_iss(SeqNum(u32::MAX - 20_000));
    let b = pair.accept(listener).unwrap();
    let data = bytes(200_000);
    assert_eq!(pair.transfer(A, [a, b], &data), data);
    assert_eq!(pair.transfer(B, [a, b], &data), data);
    let wrapped =
        |(from, header, _): &&(usize, Header, usize)| *from == A && header.seq.0 < 200_000;
    assert!(pair.log.iter().filter(wrapped).count() > 100);
    assert_eq!(count(&pair, A, Counter::TcpExtTCPAOBad), 0);
    assert_eq!(count(&pair, B, Counter::TcpExtTCPAOBad), 0);
    // What is recorded and comes again is known by its number; the same number after another turn
    // of the ring is another number.
    let recorded = pair.packets.take().unwrap();
    let (_, old) = recorded
        .iter()
        .find(|(from, packet)| *from == A && packet.len() > 1000)
        .unwrap();
    pair.run_for(Duration::from_secs(1));
    let good = count(&pair, B, Counter::TcpExtTCPAOGood);
    pair.inject(B, old.clone());
    pair.run_for(Duration::from_millis(50));
    assert_eq!(count(&pair, B, Counter::TcpExtTCPAOGood), good + 1);
    let sockets = &mut pair.hosts[B].tcp.sockets;
    let tcb = sockets
        .get_mut(b)
        .and_then(|socket| socket.tcb_mut())
        .unwrap();
    let ao = tcb.auth.as_mut().and_then(|auth| auth.ao.as_mut()).unwrap();
    let extended = ao.extended.as_mut().unwrap();
    extended.rcv += 1 << 32;
    pair.inject(B, old.clone());
    pair.run_for(Duration::from_millis(50));
    assert_eq!(count(&pair, B, Counter::TcpExtTCPAOBad), 1);
    assert_eq!(pair.recv(B, b), Err(Error::WouldBlock));
}

/// The acknowledgment that leaves TIME-WAIT is signed, and so must be what asks for it.
#[test]
fn time_wait_signs_and_verifies() {
    for keys in [Md5(b"secret"), ao()] {
        let mut pair = Pair::new(Wire::default());
        let (a, b) = connection(&mut pair, &keys, false);
        pair.close(A, a);
        pair.run_until(|pair| pair.state(B, b) == State::CloseWait);
        // The acknowledgment of B's FIN is lost once.
        let mut lost = false;
        pair.lose = Box::new(move |from, header, _| {
            let last = from == A && header.flags == Flags::ACK;
            let first = last && !lost;
            lost |= last;
            first
        });
        pair.close(B, b);
        pair.run_until(|pair| pair.state(B, b) == State::Closed);
        assert_eq!(pair.state(A, a), State::TimeWait);
        assert!(
            pair.log
                .iter()
                .all(|(_, header, _)| is_signed(&keys, &header.options))
        );
        let packet = forged(&pair, |header| {
            header.options = Options::default();
            header.seq += 1;
        });
        pair.inject(A, packet);
        pair.run_for(Duration::from_millis(50));
        assert_eq!(pair.state(A, a), State::TimeWait);
        pair.run_dry();
        assert_eq!(pair.state(A, a), State::Closed);
    }
}

/// A server that has lost a connection says so, where it can sign that: with MD5. With TCP-AO it no
/// longer has the numbers, unless nothing was said yet; the other side finds out by itself
/// (RFC 5925 §7.7).
#[test]
fn the_reset_of_a_listener_is_signed() {
    for (keys, talked, heard) in [
        (Md5(b"secret"), true, true),
        (ao(), true, false),
        (ao(), false, true),
    ] {
        let mut pair = Pair::new(Wire::default());
        let (a, b) = connection(&mut pair, &keys, false);
        if talked {
            assert_eq!(pair.transfer(A, [a, b], b"hello"), b"hello");
        }
        let tcp = &mut pair.hosts[B].tcp;
        let flow = tcp.sockets.get(b).and_then(|s| s.tcb()).unwrap().flow;
        tcp.demux.disconnect(b, flow);
        pair.send(A, a, b"hello").unwrap();
        pair.run_for(Duration::from_millis(100));
        let (tcp, _) = pair.host(A);
        let error = heard.then_some(Error::ConnectionReset);
        assert_eq!(tcp.take_error(a), Ok(error), "{keys:?} {talked}");
    }
}

/// RFC 5925 §3.2: in a simultaneous open all four traffic keys are used.
#[test]
fn both_sides_open_at_once() {
    for keys in [Md5(b"secret"), ao()] {
        let mut pair = Pair::new(Wire::default());
        let ids = [A, B].map(|n| {
            let (tcp, mut cx) = pair.host(n);
            let id = tcp.open(&mut cx, Domain::V4).unwrap();
            let own = SocketAddr::new(address(n, false), 1000);
            tcp.bind(&mut cx, id, own).unwrap();
            give(&mut pair, n, id, &keys, false);
            id
        });
        for (n, id) in [A, B].into_iter().zip(ids) {
            let (tcp, mut cx) = pair.host(n);
            let to = SocketAddr::new(address(1 - n, false), 1000);
            assert_eq!(tcp.connect(&mut cx, id, to), Err(Error::InProgress));
        }
        assert_eq!(pair.transfer(A, ids, b"hello"), b"hello");
        assert_eq!(pair.transfer(B, ids, b"hello"), b"hello");
        assert!(
            pair.log
                .iter()
                .all(|(_, header, _)| is_signed(&keys, &header.options))
        );
    }
}

/// RFC 5925 §7.8.
#[test]
fn icmp_errors_are_not_believed_unless_they_are_wanted() {
    let mut pair = Pair::new(Wire::default());
    let (a, _) = connection(&mut pair, &ao(), false);
    pair.send(A, a, b"hello").unwrap();
    pair.pump();
    let (_, header, _) = *pair.log.last().unwrap();
    let mut quoted = [0; 60];
    header.emit(&mut quoted);
    let error = |kind| IcmpError {
        kind,
        source: address(A, false),
        destination: address(B, false),
        icmp_type: 3,
        icmp_code: 3,
        quoted: &quoted[..8],
        from: address(B, false),
    };
    let believes = |pair: &mut Pair, kind| {
        let (tcp, mut cx) = pair.host(A);
        tcp.on_icmp_error(&mut cx, &error(kind))
    };
    use IcmpErrorKind as Kind;
    for kind in [
        Kind::ProtocolUnreachable,
        Kind::PortUnreachable,
        Kind::PacketTooBig { mtu: 600 },
    ] {
        assert!(!believes(&mut pair, kind), "{kind:?}");
    }
    assert!(believes(&mut pair, Kind::HostUnreachable));
    assert_eq!(count(&pair, A, Counter::TcpExtTCPAODroppedIcmps), 3);
    let (tcp, mut cx) = pair.host(A);
    assert_eq!(tcp.ao_info(a).unwrap().counters.dropped_icmp, 3);
    let change = AoChange {
        accept_icmp: true,
        ..AoChange::default()
    };
    tcp.set_ao_info(&mut cx, a, &change).unwrap();
    assert!(believes(&mut pair, Kind::PacketTooBig { mtu: 600 }));
    // MD5 has no such rule.
    let mut pair = Pair::new(Wire::default());
    let (a, _) = connection(&mut pair, &Md5(b"secret"), false);
    pair.send(A, a, b"hello").unwrap();
    pair.pump();
    let (_, header, _) = *pair.log.last().unwrap();
    let mut quoted = [0; 60];
    header.emit(&mut quoted);
    let (tcp, mut cx) = pair.host(A);
    let error = IcmpError {
        kind: Kind::PortUnreachable,
        source: address(A, false),
        destination: address(B, false),
        icmp_type: 3,
        icmp_code: 3,
        quoted: &quoted[..8],
        from: address(B, false),
    };
    assert!(tcp.on_icmp_error(&mut cx, &error));
}

/// RFC 2385 §4.5 leaves it open, Linux allows it: an MD5 key may change while the connection stands.
#[test]
fn an_md5_key_may_change() {
    let mut pair = Pair::new(Wire::default());
    let (a, b) = connection(&mut pair, &Md5(b"old"), false);
    assert_eq!(pair.transfer(A, [a, b], b"hello"), b"hello");
    for (n, id) in [(A, a), (B, b)] {
        give(&mut pair, n, id, &Md5(b"new"), false);
    }
    assert_eq!(pair.transfer(A, [a, b], b"hello"), b"hello");
    // One end alone: nothing is heard, and all arrives when the other end follows.
    give(&mut pair, A, a, &Md5(b"newer"), false);
    pair.send(A, a, b"later").unwrap();
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.recv(B, b), Err(Error::WouldBlock));
    give(&mut pair, B, b, &Md5(b"newer"), false);
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.recv(B, b), Ok(b"later".to_vec()));
}

#[test]
fn calls_fail_as_in_linux() {
    let mut pair = Pair::new(Wire::default());
    let peer = address(B, false);
    let key = for_host(A, &ao_key(1, AoAlgorithm::HmacSha1), false);
    let (tcp, mut cx) = pair.host(A);
    let id = tcp.open(&mut cx, Domain::V4).unwrap();
    let to = SocketAddr::new(peer, 80);
    // Without anything.
    assert_eq!(tcp.set_md5_key(&mut cx, id, peer, b""), Err(Error::NoEntry));
    assert_eq!(
        tcp.set_md5_key(&mut cx, id, peer, &[0; 81]),
        Err(Error::Invalid)
    );
    let v6 = address(B, true);
    assert_eq!(tcp.set_md5_key(&mut cx, id, v6, b"k"), Err(Error::Invalid));
    assert_eq!(tcp.ao_info(id).unwrap_err(), Error::NoEntry);
    assert_eq!(tcp.ao_keys(id).unwrap_err(), Error::NoEntry);
    let name = key.name();
    assert_eq!(
        tcp.remove_ao_key(&mut cx, id, &name, None, None),
        Err(Error::NoEntry)
    );
    // Never both kinds for a peer.
    tcp.set_md5_key(&mut cx, id, peer, b"k").unwrap();
    let both = tcp.add_ao_key(&mut cx, id, key.clone(), false, false);
    assert_eq!(both, Err(Error::KeyRejected));
    let required = AoChange {
        required: true,
        ..AoChange::default()
    };
    assert_eq!(
        tcp.set_ao_info(&mut cx, id, &required),
        Err(Error::KeyRejected)
    );
    tcp.set_md5_key(&mut cx, id, peer, b"").unwrap();
    tcp.add_ao_key(&mut cx, id, key.clone(), false, false)
        .unwrap();
    assert_eq!(
        tcp.set_md5_key(&mut cx, id, peer, b"k"),
        Err(Error::KeyRejected)
    );
    // An ID twice, a key that is not there.
    let twice = tcp.add_ao_key(&mut cx, id, key.clone(), false, false);
    assert_eq!(twice, Err(Error::Exists));
    let absent = AoChange {
        current: Some(77),
        ..AoChange::default()
    };
    assert_eq!(tcp.set_ao_info(&mut cx, id, &absent), Err(Error::NoEntry));
    // TCP-AO, and no key for this peer.
    let elsewhere = SocketAddr::new([10, 0, 0, 9].into(), 80);
    assert_eq!(tcp.connect(&mut cx, id, elsewhere), Err(Error::KeyRejected));
    assert_eq!(tcp.connect(&mut cx, id, to), Err(Error::InProgress));
    assert_eq!(tcp.ao_keys(id).unwrap().len(), 1);
    // On a connection: keys of its peer alone; and TCP-AO from the beginning or never.
    let mut other = key.clone();
    (other.peer, other.send_id, other.receive_id) = (elsewhere.ip(), 50, 51);
    let added = tcp.add_ao_key(&mut cx, id, other, false, false);
    assert_eq!(added, Err(Error::Invalid));
    let plain = tcp.open(&mut cx, Domain::V4).unwrap();
    assert_eq!(tcp.connect(&mut cx, plain, to), Err(Error::InProgress));
    let late = tcp.add_ao_key(&mut cx, plain, key.clone(), false, false);
    assert_eq!(late, Err(Error::IsConnected));
    // A listener speaks with nobody yet.
    let listener = tcp.open(&mut cx, Domain::V4).unwrap();
    tcp.listen(&mut cx, listener, 1).unwrap();
    let current = tcp.add_ao_key(&mut cx, listener, key.clone(), true, false);
    assert_eq!(current, Err(Error::Invalid));
    assert_eq!(tcp.add_ao_key(&mut cx, listener, key, false, false), Ok(()));
}

proptest! {
    /// Whatever stands among the options, nothing unsigned gets an answer, and nothing panics.
    #[test]
    fn options_from_the_network_are_not_believed(
        options in proptest::collection::vec(any::<u8>(), 0..=10).prop_map(|words| words.len() * 4),
        noise in any::<[u8; 40]>(),
        kind in prop_oneof![Just(19u8), Just(29), any::<u8>()],
        len in prop_oneof![Just(18u8), Just(16), any::<u8>()],
        flags in 0u16..64,
        ao in any::<bool>(),
    ) {
        let keys = if ao { self::ao() } else { Md5(b"secret") };
        let mut pair = Pair::new(Wire::default());
        listen(&mut pair, Some(&keys), false);
        let mut tcp = vec![0; 20 + options];
        let header = Header {
            source_port: 4000,
            destination_port: 80,
            seq: SeqNum(1000),
            flags: Flags::from_bits_truncate(flags),
            ..Header::default()
        };
        header.emit(&mut tcp);
        tcp[12] = ((20 + options) as u8 / 4) << 4 | tcp[12] & 0xf;
        tcp[20..].copy_from_slice(&noise[..options]);
        if options >= 4 {
            (tcp[20], tcp[21]) = (kind, len);
            // KeyID 10 is known.
            tcp[22] = 10;
        }
        pair.inject(B, with_ip(A, tcp));
        pair.run_for(Duration::from_millis(100));
        prop_assert!(pair.log.is_empty());
        prop_assert_eq!(pair.hosts[B].tcp.half_open, 0);
    }
}
