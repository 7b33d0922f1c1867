//! Authenticated chunks (RFC 4895), and addresses that change (RFC 5061).

use super::pair::{A, B, PORT, Pair, Wire};
use crate::{
    AddressState, AssocId, Events, Incoming, KeyChange, Notification, SndInfo, State, Style,
};
use core::time::Duration;
use sockeye_core::{AddressChange, Config, Error, SocketId, Transport as _, inet};
use sockeye_wire::sctp::{Asconf, ChunkType, Parameter};
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};

const SECOND: Duration = Duration::from_secs(1);

fn config() -> Config {
    let mut config = Config::default();
    config.sctp.auth_enable = true;
    config.sctp.addip_enable = true;
    config
}

fn ip(wire: u8, host: u8) -> IpAddr {
    IpAddr::from([10, wire, 0, host])
}

/// A is bound to its address on the first wire; both get ready by `prepare` before they connect.
fn association(
    wires: usize,
    prepare: impl Fn(&mut Pair, usize, SocketId),
) -> (Pair, SocketId, SocketId) {
    let mut pair = Pair::with(vec![Wire::default(); wires], config(), 9);
    let listener = pair.open(B, Style::OneToOne);
    prepare(&mut pair, B, listener);
    let (sctp, mut cx) = pair.host(B);
    let any = SocketAddr::from(([0; 4], PORT));
    sctp.bind(&mut cx, listener, any).unwrap();
    sctp.listen(&mut cx, listener, 8).unwrap();
    let a = pair.open(A, Style::OneToOne);
    prepare(&mut pair, A, a);
    let (sctp, mut cx) = pair.host(A);
    sctp.bind(&mut cx, a, SocketAddr::new(ip(0, 1), 0)).unwrap();
    pair.connect(A, a);
    pair.run_for(SECOND);
    let (sctp, mut cx) = pair.host(B);
    let (b, _) = sctp.accept(&mut cx, listener).unwrap();
    (pair, a, b)
}

/// RFC 4895 §6.2, §6.3: with the same key data goes authenticated, with others it never arrives.
#[test]
fn data_goes_authenticated() {
    for (theirs, arrives) in [(&b"secret"[..], true), (b"another", false)] {
        let (mut pair, a, b) = association(1, |pair, n, id| {
            let sctp = &mut pair.hosts[n].sctp;
            sctp.require_authenticated(id, ChunkType::DATA.0).unwrap();
            let secret = if n == A { b"secret" } else { theirs };
            sctp.set_key(id, AssocId::FUTURE, 3, secret).unwrap();
            sctp.activate_key(id, AssocId::FUTURE, 3).unwrap();
        });
        let from = pair.log.len();
        pair.send(A, a, b"hello").unwrap();
        pair.send(B, b, &[7; 5000]).unwrap();
        pair.run_for(SECOND * 5);
        for sent in &pair.log[from..] {
            let data = sent.chunks.iter().position(|kind| *kind == ChunkType::DATA);
            let auth = sent.chunks.iter().position(|kind| *kind == ChunkType::AUTH);
            assert!(data.is_none() || auth < data && auth.is_some());
        }
        assert_eq!(pair.recv(B, b).is_ok(), arrives);
        assert_eq!(pair.recv(A, a).is_ok(), arrives);
        let sctp = &pair.hosts[A].sctp;
        let chunks = sctp.peer_auth_chunks(a, AssocId::FUTURE).unwrap();
        assert_eq!(chunks, [0, 128, 193]);
    }
}

/// RFC 6458 §8.3: the key changes while data flows; who has it not hears nothing from then on.
#[test]
fn keys_change_while_data_flows() {
    let (mut pair, a, b) = association(1, |pair, n, id| {
        let sctp = &mut pair.hosts[n].sctp;
        sctp.require_authenticated(id, ChunkType::DATA.0).unwrap();
    });
    pair.send(A, a, b"empty key").unwrap();
    pair.run_for(SECOND);
    assert!(pair.recv(B, b).is_ok());
    let key = |pair: &mut Pair, n: usize, id, active| {
        let sctp = &mut pair.hosts[n].sctp;
        sctp.set_key(id, AssocId::FUTURE, 1, b"new").unwrap();
        if active {
            sctp.activate_key(id, AssocId::FUTURE, 1).unwrap();
        }
    };
    key(&mut pair, A, a, true);
    pair.send(A, a, b"too early").unwrap();
    pair.run_for(SECOND / 2);
    assert_eq!(pair.recv(B, b), Err(Error::WouldBlock));
    key(&mut pair, B, b, false);
    pair.run_for(SECOND * 10);
    assert_eq!(pair.recv(B, b).as_deref(), Ok(&b"too early"[..]));
    let sctp = &mut pair.hosts[A].sctp;
    assert_eq!(sctp.active_key(a, AssocId::FUTURE), Ok(1));
    assert_eq!(sctp.delete_key(a, AssocId::FUTURE, 1), Err(Error::Invalid));
    assert_eq!(sctp.delete_key(a, AssocId::FUTURE, 0), Ok(()));
    assert_eq!(sctp.require_authenticated(a, 1), Err(Error::Invalid));
}

fn states(pair: &mut Pair, n: usize, id: SocketId) -> Vec<(IpAddr, AddressState)> {
    let mut all = Vec::new();
    while let Ok((incoming, _)) = pair.incoming(n, id) {
        if let Incoming::Notification(Notification::PeerAddrChange { address, state, .. }) =
            incoming
        {
            all.push((address.ip(), state));
        }
    }
    all
}

/// RFC 5061 §5.3: an address is added, preferred, and the old one struck, while data flows: nothing
/// is lost.
#[test]
fn a_host_moves_while_data_flows() {
    let (mut pair, a, b) = association(2, |_, _, _| {});
    pair.listen_to(B, b, Events::PEER_ADDR_CHANGE);
    let mut sent = 0_u32;
    let mut got = 0_u32;
    let mut talk = |pair: &mut Pair, rounds: u32| {
        for _ in 0..rounds {
            for _ in 0..20 {
                if pair.send(B, b, &sent.to_be_bytes().repeat(200)).is_ok() {
                    sent += 1;
                }
            }
            pair.run_for(SECOND / 20);
            while let Ok(bytes) = pair.recv(A, a) {
                assert_eq!(bytes, got.to_be_bytes().repeat(200));
                got += 1;
            }
        }
        (sent, got)
    };
    talk(&mut pair, 5);
    let (sctp, mut cx) = pair.host(A);
    sctp.add_address(&mut cx, a, AssocId::FUTURE, ip(1, 1))
        .unwrap();
    talk(&mut pair, 10);
    let told = states(&mut pair, B, b);
    assert_eq!(
        told,
        [
            (ip(1, 1), AddressState::Added),
            (ip(1, 1), AddressState::Confirmed)
        ]
    );
    let (sctp, mut cx) = pair.host(A);
    sctp.set_peer_primary(&mut cx, a, AssocId::FUTURE, ip(1, 1))
        .unwrap();
    talk(&mut pair, 10);
    let (sctp, mut cx) = pair.host(A);
    sctp.remove_address(&mut cx, a, AssocId::FUTURE, ip(0, 1))
        .unwrap();
    talk(&mut pair, 3);
    let told = states(&mut pair, B, b);
    assert_eq!(
        told,
        [
            (ip(1, 1), AddressState::MadePrimary),
            (ip(0, 1), AddressState::Removed)
        ]
    );
    // The old way is gone for good.
    let from = pair.log.len();
    pair.wires[0].cut = true;
    talk(&mut pair, 10);
    assert!(
        pair.log[from..]
            .iter()
            .all(|sent| sent.wire == 1 || sent.from == A)
    );
    pair.run_for(SECOND * 30);
    let (sent, got) = talk(&mut pair, 0);
    assert!(sent > 300 && got > 0);
    while pair.recv(A, a).is_ok() {}
    let (sctp, mut cx) = pair.host(A);
    let last = sctp.remove_address(&mut cx, a, AssocId::FUTURE, ip(1, 1));
    assert_eq!(last, Err(Error::Invalid));
}

/// RFC 5061 §5.1: a lost ASCONF goes again, a lost answer is given again (§5.2 E2).
#[test]
fn lost_changes_are_repeated() {
    for kind in [ChunkType::ASCONF, ChunkType::ASCONF_ACK] {
        let (mut pair, a, b) = association(2, |_, _, _| {});
        let mut left = 2;
        pair.lose = Box::new(move |sent| {
            let hit = sent.chunks.contains(&kind) && left > 0;
            left -= i32::from(hit);
            hit
        });
        pair.listen_to(B, b, Events::PEER_ADDR_CHANGE);
        let (sctp, mut cx) = pair.host(A);
        sctp.add_address(&mut cx, a, AssocId::FUTURE, ip(1, 1))
            .unwrap();
        pair.run_for(SECOND * 30);
        let added = states(&mut pair, B, b);
        let added = added
            .iter()
            .filter(|(_, state)| *state == AddressState::Added);
        assert_eq!(added.count(), 1);
        pair.listen_to(B, b, Events::empty());
        // It is done on A's side, too: the next change goes.
        let (sctp, mut cx) = pair.host(A);
        sctp.remove_address(&mut cx, a, AssocId::FUTURE, ip(0, 1))
            .unwrap();
        pair.run_for(SECOND * 30);
        pair.wires[0].cut = true;
        pair.send(A, a, b"moved").unwrap();
        pair.run_for(SECOND * 10);
        assert_eq!(pair.recv(B, b).as_deref(), Ok(&b"moved"[..]));
    }
}

/// RFC 5061 §5.2 D5: an ASCONF that nobody has signed does nothing, nor what follows it; one that is
/// signed with another key neither.
#[test]
fn changes_without_authentication_are_dropped() {
    let (mut pair, a, b) = association(2, |_, _, _| {});
    let from = pair.log.len();
    pair.send(A, a, b"x").unwrap();
    pair.run_for(SECOND);
    let packet = pair.log[from].clone();
    let port = |at: usize| u16::from_be_bytes([packet.bytes[at], packet.bytes[at + 1]]);
    let ports = (port(0), port(2));
    let chunk = sockeye_wire::sctp::Chunks::new(&packet.bytes[12..])
        .next()
        .unwrap()
        .unwrap();
    let first = sockeye_wire::sctp::Data::parse(&chunk).unwrap().tsn;
    for signed in [false, true] {
        let mut parameters = Vec::new();
        Parameter::AddAddress {
            correlation: 0,
            address: ip(1, 9),
        }
        .emit(&mut parameters);
        let mut out = Vec::new();
        if signed {
            sockeye_wire::sctp::Auth {
                key_id: 0,
                hmac_id: sockeye_wire::sctp::HmacId::SHA256,
                code: &[7; 32],
            }
            .emit(&mut out);
        }
        Asconf {
            serial: first.0,
            address: ip(0, 1),
            parameters: &parameters,
        }
        .emit(&mut out);
        // Behind it an abort, which must not count either.
        sockeye_wire::sctp::Abort::default().emit(&mut out);
        let from = pair.log.len();
        pair.inject(B, ports, packet.tag, &out);
        pair.run_for(SECOND);
        assert!(pair.trace(from).is_empty(), "{:?}", pair.trace(from));
    }
    assert_eq!(pair.state(B, b), State::Established);
    // Without AUTH on both sides no address changes at all.
    let mut without = config();
    without.sctp.auth_enable = false;
    let mut pair = Pair::with(vec![Wire::default()], without, 1);
    let (a, _) = pair.association();
    let (sctp, mut cx) = pair.host(A);
    let refused = sctp.remove_address(&mut cx, a, AssocId::FUTURE, ip(0, 1));
    assert_eq!(refused, Err(Error::NotPermitted));
}

/// RFC 6458 §9.1: what sctp_bindx(3) adds and removes, the association's peer learns.
#[test]
fn a_bound_address_more_and_one_less() {
    let (mut pair, a, b) = association(2, |_, _, _| {});
    let at = |wire| [SocketAddr::new(ip(wire, 1), 0)];
    let (sctp, mut cx) = pair.host(A);
    sctp.bind_add(&mut cx, a, &at(1)).unwrap();
    pair.run_for(SECOND);
    let (sctp, mut cx) = pair.host(A);
    sctp.bind_remove(&mut cx, a, &at(0)).unwrap();
    pair.run_for(SECOND);
    pair.wires[0].cut = true;
    pair.send(B, b, b"hello").unwrap();
    pair.run_for(SECOND);
    assert_eq!(pair.recv(A, a).as_deref(), Ok(&b"hello"[..]));
}

/// RFC 9653: packets go without a checksum where both sides say that the layer below detects errors;
/// with INIT and COOKIE ECHO, and for everybody else, there is one.
#[test]
fn checksums_are_left_out_where_both_agree() {
    for both in [true, false] {
        let (mut pair, a, b) = association(1, |pair, n, id| {
            let (sctp, mut cx) = pair.host(n);
            sctp.configure(&mut cx, id, AssocId::FUTURE, |settings| {
                settings.error_detection = (both || n == A).then_some(1);
            })
            .unwrap();
        });
        pair.send(A, a, b"hello").unwrap();
        pair.send(B, b, b"hello").unwrap();
        pair.run_for(SECOND);
        assert!(pair.recv(A, a).is_ok() && pair.recv(B, b).is_ok());
        let is_zero = |sent: &super::pair::Sent| sent.bytes[8..12] == [0; 4];
        for sent in &pair.log {
            let begins = matches!(
                sent.chunks[0],
                ChunkType::INIT | ChunkType::INIT_ACK | ChunkType::COOKIE_ECHO
            );
            assert_eq!(is_zero(sent), both && !begins, "{sent:?}");
        }
        // Whoever has not agreed drops what has none.
        let last = pair.log.iter().rfind(|sent| sent.from == A);
        let mut bytes = last.unwrap().bytes.clone();
        bytes[8..12].fill(0);
        let errors = |pair: &Pair| {
            let counters = &pair.hosts[B].parts.counters;
            counters.get(sockeye_core::Counter::SctpChecksumErrors)
        };
        let before = errors(&pair);
        pair.inject_raw(B, 0, &bytes);
        assert_eq!(errors(&pair) > before, !both);
    }
}

/// `addip_noauth_enable`, as on Linux: without AUTH, which no RFC wants, addresses change all the same.
#[test]
fn addresses_change_unsigned_where_the_node_allows_it() {
    let mut config = config();
    config.sctp.auth_enable = false;
    config.sctp.addip_noauth_enable = true;
    let mut pair = Pair::with(vec![Wire::default(); 2], config, 1);
    let (a, b) = pair.association();
    pair.run_for(SECOND * 5);
    let from = pair.log.len();
    let (sctp, mut cx) = pair.host(A);
    sctp.remove_address(&mut cx, a, AssocId::FUTURE, ip(1, 1))
        .unwrap();
    pair.run_for(SECOND);
    assert_eq!(pair.trace(from)[..2], ["> ASCONF", "< ASCONF-ACK"]);
    let (sctp, _) = pair.host(B);
    assert_eq!(sctp.peer_addrs(b, AssocId::FUTURE).unwrap().len(), 1);
}

/// `intl_enable` and the node's word that the layer below detects errors (RFC 9653): new sockets have
/// them.
#[test]
fn a_node_has_extensions_for_all_its_sockets() {
    let mut config = config();
    config.sctp.intl_enable = true;
    config.sctp.zero_checksum = true;
    let mut pair = Pair::with(vec![Wire::default()], config, 1);
    let (a, b) = pair.association();
    pair.send(A, a, b"by I-DATA").unwrap();
    pair.run_for(SECOND);
    assert_eq!(pair.recv(B, b).unwrap(), b"by I-DATA");
    let mut sent = pair.log.iter();
    let data = sent.find(|sent| sent.chunks.contains(&ChunkType::I_DATA));
    assert_eq!(data.unwrap().bytes[8..12], [0; 4]);
}

fn send_signed(
    pair: &mut Pair,
    id: SocketId,
    key: Option<u16>,
    data: &[u8],
) -> Result<usize, Error> {
    let (sctp, mut cx) = pair.host(A);
    let info = SndInfo {
        key,
        ..SndInfo::default()
    };
    sctp.send_msg(&mut cx, id, &[IoSlice::new(data)], None, &info)
}

/// What was told of keys.
fn keys(pair: &mut Pair, n: usize, id: SocketId) -> Vec<(u16, KeyChange)> {
    let mut all = Vec::new();
    while let Ok((Incoming::Notification(notice), _)) = pair.incoming(n, id) {
        if let Notification::Authentication { key, change, .. } = notice {
            all.push((key, change));
        }
    }
    all
}

/// RFC 6458 §5.3.8: each message is signed with its own key; those of different keys share no packet
/// (RFC 4895 §5). A key that is deactivated signs what it has been said for, and is free then (§8.3.4).
#[test]
fn each_message_has_its_own_key() {
    let (mut pair, a, b) = association(1, |pair, n, id| {
        let sctp = &mut pair.hosts[n].sctp;
        sctp.require_authenticated(id, ChunkType::DATA.0).unwrap();
        for key in [1, 2] {
            sctp.set_key(id, AssocId::FUTURE, key, &[key as u8; 10])
                .unwrap();
        }
    });
    pair.listen_to(B, b, Events::AUTHENTICATION);
    pair.listen_to(A, a, Events::AUTHENTICATION);
    assert_eq!(
        send_signed(&mut pair, a, Some(3), b"x"),
        Err(Error::Invalid)
    );
    let from = pair.log.len();
    // All at once: they would fit one packet.
    for (key, data) in [
        (Some(1), b"one"),
        (Some(1), b"uno"),
        (Some(2), b"two"),
        (None, b"non"),
    ] {
        send_signed(&mut pair, a, key, data).unwrap();
    }
    // The first is lost, and goes again with its own key although that was deactivated meanwhile.
    let mut lost = false;
    pair.lose = Box::new(move |sent| sent.from == A && !std::mem::replace(&mut lost, true));
    pair.flush();
    let (sctp, mut cx) = pair.host(A);
    assert_eq!(sctp.delete_key(a, AssocId::FUTURE, 1), Err(Error::Invalid));
    sctp.deactivate_key(&mut cx, a, AssocId::FUTURE, 1).unwrap();
    assert_eq!(
        send_signed(&mut pair, a, Some(1), b"x"),
        Err(Error::Invalid)
    );
    assert_eq!(keys(&mut pair, A, a), []);
    pair.run_for(SECOND * 5);
    assert_eq!(keys(&mut pair, A, a), [(1, KeyChange::Free)]);
    let ids: Vec<u16> = pair.log[from..]
        .iter()
        .filter(|sent| sent.from == A && sent.chunks.first() == Some(&ChunkType::AUTH))
        .map(|sent| u16::from_be_bytes([sent.bytes[16], sent.bytes[17]]))
        .collect();
    assert!(ids.len() >= 4 && ids.contains(&0), "{ids:?}");
    assert_eq!((ids[0], ids.iter().filter(|id| **id == 1).count()), (1, 2));
    let (mut heard, mut told) = (Vec::new(), Vec::new());
    while let Ok((incoming, data)) = pair.incoming(B, b) {
        match incoming {
            Incoming::Message(_) => heard.push(data),
            Incoming::Notification(Notification::Authentication { key, change, .. }) => {
                told.push((key, change));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(heard, [b"one", b"uno", b"two", b"non"]);
    assert!(told.contains(&(1, KeyChange::New)) && told.contains(&(2, KeyChange::New)));
    let sctp = &mut pair.hosts[A].sctp;
    assert_eq!(sctp.delete_key(a, AssocId::FUTURE, 1), Ok(()));
}

/// RFC 6458 §6.1.8: who would authenticate learns that the peer does not.
#[test]
fn a_peer_without_authentication_is_told_of() {
    let (mut pair, a, _) = association(1, |pair, n, id| {
        pair.listen_to(n, id, Events::AUTHENTICATION);
        let (sctp, mut cx) = pair.host(n);
        sctp.configure(&mut cx, id, AssocId::FUTURE, |settings| {
            settings.authentication = n == A;
        })
        .unwrap();
    });
    assert_eq!(keys(&mut pair, A, a), [(0, KeyChange::NoAuthentication)]);
}

/// RFC 6458 §8.1.16: the algorithms that are offered, in the order of preference; the peer takes the
/// first (RFC 4895 §6.1).
#[test]
fn algorithms_are_offered_in_the_order_that_is_said() {
    for (order, chosen) in [(vec![1, 3], 1), (vec![3, 1], 3), (vec![1], 1)] {
        let (mut pair, a, b) = association(1, |pair, n, id| {
            let sctp = &mut pair.hosts[n].sctp;
            assert_eq!(sctp.hmacs(id), Ok(vec![3, 1]));
            for wrong in [&[3][..], &[1, 2], &[1, 1], &[]] {
                assert_eq!(sctp.set_hmacs(id, wrong), Err(Error::Invalid));
            }
            sctp.require_authenticated(id, ChunkType::DATA.0).unwrap();
            if n == B {
                sctp.set_hmacs(id, &order).unwrap();
            }
        });
        let from = pair.log.len();
        pair.send(A, a, b"hello").unwrap();
        pair.run_for(SECOND);
        assert!(pair.recv(B, b).is_ok());
        let sent = &pair.log[from];
        assert_eq!(sent.chunks[0], ChunkType::AUTH);
        assert_eq!(sent.bytes[18..20], [0, chosen]);
    }
}

/// The node `n` gets or loses its address on a wire.
fn address(pair: &mut Pair, n: usize, wire: u8, gained: bool) {
    let own = ip(wire, u8::try_from(n + 1).unwrap());
    let net = format!("{own}/24").parse().unwrap();
    let (sctp, mut cx) = pair.host(n);
    let link = super::pair::interface(wire.into());
    let change = match gained {
        true => {
            inet::add_address(&mut cx, link, net, false).unwrap();
            AddressChange::Added(own)
        }
        false => {
            assert!(inet::remove_address(&mut cx, link, net));
            AddressChange::Removed(own)
        }
    };
    sctp.on_address(&mut cx, change);
}

/// Both bound to all addresses, A with SCTP_AUTO_ASCONF as `on` says; A has no address on wire 1.
fn automatic(on: bool) -> (Pair, SocketId, SocketId) {
    let mut pair = Pair::with(vec![Wire::default(); 2], config(), 5);
    address(&mut pair, A, 1, false);
    let listener = pair.listen();
    let a = pair.open(A, Style::OneToOne);
    let (sctp, mut cx) = pair.host(A);
    sctp.configure(&mut cx, a, AssocId::FUTURE, |settings| {
        settings.auto_asconf = on;
    })
    .unwrap();
    pair.connect(A, a);
    pair.run_for(SECOND);
    let (sctp, mut cx) = pair.host(B);
    let (b, _) = sctp.accept(&mut cx, listener).unwrap();
    (pair, a, b)
}

fn peers(pair: &mut Pair, n: usize, id: SocketId) -> Vec<IpAddr> {
    let (sctp, _) = pair.host(n);
    let all = sctp.peer_addrs(id, AssocId::FUTURE).unwrap();
    all.into_iter().map(|addr| addr.ip()).collect()
}

/// RFC 6458 §8.1.23: what addresses a node gains and loses, the peers of its associations learn.
#[test]
fn addresses_that_come_and_go_reach_the_peer() {
    let (mut pair, a, b) = automatic(true);
    assert_eq!(peers(&mut pair, B, b), [ip(0, 1)]);
    address(&mut pair, A, 1, true);
    pair.run_for(SECOND * 5);
    assert_eq!(peers(&mut pair, B, b), [ip(0, 1), ip(1, 1)]);
    address(&mut pair, A, 0, false);
    pair.run_for(SECOND * 5);
    assert_eq!(peers(&mut pair, B, b), [ip(1, 1)]);
    pair.wires[0].cut = true;
    pair.send(B, b, b"there").unwrap();
    pair.send(A, a, b"and back").unwrap();
    pair.run_for(SECOND * 5);
    assert_eq!(pair.recv(A, a).as_deref(), Ok(&b"there"[..]));
    assert_eq!(pair.recv(B, b).as_deref(), Ok(&b"and back"[..]));
    // Without the option nobody learns anything.
    let (mut pair, _, b) = automatic(false);
    address(&mut pair, A, 1, true);
    pair.run_for(SECOND * 5);
    assert_eq!(peers(&mut pair, B, b), [ip(0, 1)]);
}

/// RFC 5061 §5.3: the last address goes, and some time later another comes: the association goes on
/// from there, and nothing is lost.
#[test]
fn the_last_address_is_replaced() {
    let (mut pair, a, b) = automatic(true);
    address(&mut pair, A, 0, false);
    pair.send(A, a, b"said without an address").unwrap();
    pair.run_for(SECOND * 3);
    assert_eq!(pair.state(A, a), State::Established);
    pair.wires[0].cut = true;
    address(&mut pair, A, 1, true);
    pair.run_for(SECOND * 20);
    assert_eq!(peers(&mut pair, B, b), [ip(1, 1)]);
    assert_eq!(
        pair.recv(B, b).as_deref(),
        Ok(&b"said without an address"[..])
    );
    pair.send(B, b, b"found").unwrap();
    pair.run_for(SECOND * 5);
    assert_eq!(pair.recv(A, a).as_deref(), Ok(&b"found"[..]));
    // Without the option that was the end.
    let (mut pair, a, _) = automatic(false);
    address(&mut pair, A, 0, false);
    assert_eq!(pair.state(A, a), State::Closed);
}
