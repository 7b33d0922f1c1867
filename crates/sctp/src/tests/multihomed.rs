//! Several paths: failures, loss, a restart, paths that become narrower.

use super::lossy::{Program, exchange, message};
use super::pair::{A, B, PORT, Pair, Wire};
use crate::{
    AddressState, AssocChange, AssocId, Events, Incoming, Notification, PathState, PfExposure,
    SndFlags, SndInfo, State,
};
use core::time::Duration;
use sockeye_core::{Config, Counter, Error, SocketId};
use std::net::SocketAddr;

fn wires(count: usize) -> Vec<Wire> {
    vec![Wire::default(); count]
}

fn paths(pair: &mut Pair, n: usize, id: SocketId) -> Vec<PathState> {
    let (sctp, _) = pair.host(n);
    let paths = sctp.paths(id, AssocId::FUTURE).unwrap();
    paths.iter().map(|path| path.state).collect()
}

fn expose(pair: &mut Pair, id: SocketId, exposure: PfExposure) {
    let (sctp, mut cx) = pair.host(A);
    sctp.configure(&mut cx, id, AssocId::ALL, |settings| {
        settings.pf_exposure = exposure;
    })
    .unwrap();
}

/// What a socket was told, without data.
fn told(pair: &mut Pair, n: usize, id: SocketId) -> Vec<Notification> {
    let mut all = Vec::new();
    while let Ok((Incoming::Notification(notice), _)) = pair.incoming(n, id) {
        all.push(notice);
    }
    all
}

/// RFC 9260 §5.1.2, §5.4: addresses are listed in INIT and INIT ACK, and probed before they are used.
/// RFC 9260 §5.1.2-3, §5.4-1, §5.4-2, §5.4-3, §5.4-4, §5.4-5, §5.4-6.
#[test]
fn both_sides_learn_each_others_addresses_and_probe_them() {
    let mut pair = Pair::with(wires(3), Config::default(), 1);
    let (a, b) = pair.association();
    pair.run_for(Duration::from_secs(5));
    for (n, id) in [(A, a), (B, b)] {
        assert_eq!(paths(&mut pair, n, id), [PathState::Active; 3]);
    }
    let (sctp, _) = pair.host(A);
    let peers = sctp.peer_addrs(a, AssocId::FUTURE).unwrap();
    let want = ["10.0.0.2:80", "10.1.0.2:80", "10.2.0.2:80"];
    assert_eq!(peers, want.map(|addr| addr.parse::<SocketAddr>().unwrap()));
    // Nothing but heartbeats went where nobody had been confirmed.
    let beyond = pair.log.iter().filter(|sent| sent.wire > 0);
    let beyond: Vec<String> = beyond.map(|sent| format!("{:?}", sent.chunks)).collect();
    assert!(!beyond.is_empty());
    assert!(
        beyond
            .iter()
            .all(|c| c.contains("ChunkType(4)") || c.contains("ChunkType(5)"))
    );
}

/// RFC 9260 §6.4.1, §8.2; RFC 7829.
/// RFC 9260 §8.1-2.
#[test]
fn data_goes_on_by_another_path_when_the_primary_fails_and_comes_back() {
    for count in [2, 3] {
        let mut pair = Pair::with(wires(count), Config::default(), 2);
        let (a, b) = pair.association();
        pair.listen_to(A, a, Events::PEER_ADDR_CHANGE);
        expose(&mut pair, a, PfExposure::Notifications);
        pair.run_for(Duration::from_secs(5));
        pair.wires[0].cut = true;
        for number in 0..20 {
            pair.send(A, a, &message(0, number, 1000)).unwrap();
        }
        pair.run_for(Duration::from_secs(10));
        for number in 0..20 {
            assert_eq!(pair.recv(B, b).unwrap(), message(0, number, 1000));
        }
        assert_eq!(paths(&mut pair, A, a)[0], PathState::PotentiallyFailed);
        // Heartbeats find out that it is gone, and that it is there again.
        pair.run_for(Duration::from_secs(200));
        assert_eq!(paths(&mut pair, A, a)[0], PathState::Inactive);
        assert_eq!(pair.state(A, a), State::Established);
        pair.wires[0].cut = false;
        pair.run_for(Duration::from_secs(200));
        assert_eq!(paths(&mut pair, A, a)[0], PathState::Active);
        let states: Vec<AddressState> = told(&mut pair, A, a)
            .into_iter()
            .map(|notice| match notice {
                Notification::PeerAddrChange { state, .. } => state,
                other => panic!("{other:?}"),
            })
            .filter(|state| *state != AddressState::Confirmed)
            .collect();
        assert_eq!(
            states,
            [
                AddressState::PotentiallyFailed,
                AddressState::Unreachable,
                AddressState::Available
            ]
        );
        let from = pair.log.len();
        pair.send(A, a, b"back").unwrap();
        pair.run_for(Duration::from_millis(5));
        assert_eq!(pair.log[from].wire, 0);
    }
}

/// RFC 9260 §8.1.
/// RFC 9260 §8.1-1.
#[test]
fn an_association_whose_paths_all_fail_is_lost() {
    let mut pair = Pair::with(wires(2), Config::default(), 3);
    let (a, _) = pair.association();
    pair.listen_to(A, a, Events::ASSOC_CHANGE);
    for wire in &mut pair.wires {
        wire.cut = true;
    }
    pair.send(A, a, b"nobody hears this").unwrap();
    pair.run_for(Duration::from_secs(3600));
    assert_eq!(pair.state(A, a), State::Closed);
    let lost = told(&mut pair, A, a);
    assert!(
        matches!(
            lost[..],
            [Notification::AssocChange {
                change: AssocChange::Lost,
                ..
            }]
        ),
        "{lost:?}"
    );
}

#[test]
fn nothing_is_lost_doubled_or_misordered_over_two_and_three_bad_paths() {
    for (seed, count) in (1..).zip([2, 3, 2, 3]) {
        let wire = |n: u32| Wire {
            loss: 60 + 30 * n,
            reorder: 100,
            duplicate: 30,
            ..Wire::default()
        };
        let wires = (0..count).map(wire).collect();
        let mut pair = Pair::with(wires, Config::default(), seed);
        let todo = |salt: usize| {
            let one = |n: usize| (((n + salt) % 5) as u16, 1 + n * 977 % 3000);
            (0..80).map(one).collect()
        };
        exchange(&mut pair, Program::new(todo(0)), Program::new(todo(3)));
    }
}

/// RFC 9260 §5.2.4 (A): the same addresses, a new life.
/// RFC 9260 §5.2.2-4, §5.2.4-2.
#[test]
fn a_peer_that_restarts_takes_over_its_association() {
    let mut pair = Pair::with(wires(2), Config::default(), 4);
    let (_, b) = pair.association();
    // B listens still, by a second socket.
    let (sctp, mut cx) = pair.host(B);
    sctp.configure(&mut cx, b, AssocId::ALL, |s| {
        s.events = Events::ASSOC_CHANGE
    })
    .unwrap();
    let port = {
        let (sctp, _) = pair.host(B);
        sctp.peer_addr(b).unwrap().port()
    };
    pair.restart(A);
    let a = pair.open(A, crate::Style::OneToOne);
    let (sctp, mut cx) = pair.host(A);
    sctp.bind(&mut cx, a, SocketAddr::from(([0; 4], port)))
        .unwrap();
    pair.connect(A, a);
    pair.run_for(Duration::from_secs(2));
    assert_eq!(pair.state(A, a), State::Established);
    let heard = told(&mut pair, B, b);
    assert!(
        matches!(
            heard[..],
            [Notification::AssocChange {
                change: AssocChange::Restart { .. },
                ..
            }]
        ),
        "{heard:?}"
    );
    pair.send(A, a, b"after").unwrap();
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.recv(B, b).unwrap(), b"after");
    pair.send(B, b, b"all").unwrap();
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.recv(A, a).unwrap(), b"all");
}

/// RFC 9260 §5.2.2: a restart may not bring new addresses.
/// RFC 9260 §5.2.2-2, §5.2.2-3.
#[test]
fn a_restart_with_new_addresses_is_refused() {
    let mut pair = Pair::with(wires(2), Config::default(), 5);
    let listener = pair.listen();
    let a = pair.open(A, crate::Style::OneToOne);
    let (sctp, mut cx) = pair.host(A);
    sctp.bind(&mut cx, a, "10.0.0.1:4000".parse().unwrap())
        .unwrap();
    pair.connect(A, a);
    pair.run_for(Duration::from_secs(1));
    let (sctp, mut cx) = pair.host(B);
    let (b, _) = sctp.accept(&mut cx, listener).unwrap();
    pair.restart(A);
    let a = pair.open(A, crate::Style::OneToOne);
    let (sctp, mut cx) = pair.host(A);
    sctp.bind(&mut cx, a, "0.0.0.0:4000".parse().unwrap())
        .unwrap();
    let from = pair.log.len();
    pair.connect(A, a);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.trace(from), ["> INIT", "< ABORT"]);
    assert_eq!(pair.state(B, b), State::Established);
}

/// RFC 9260 §5.2.1, §5.2.4 (B) and (D): both sides call at the same time and have one association.
/// RFC 9260 §5.2.4-4, §5.2.1-11.
#[test]
fn two_that_call_each_other_have_one_association() {
    let mut pair = Pair::new();
    let mut ids = Vec::new();
    for n in [A, B] {
        let id = pair.open(n, crate::Style::OneToOne);
        let (sctp, mut cx) = pair.host(n);
        sctp.bind(&mut cx, id, SocketAddr::from(([0; 4], PORT)))
            .unwrap();
        pair.connect(n, id);
        ids.push(id);
    }
    pair.run_for(Duration::from_secs(1));
    for n in [A, B] {
        assert_eq!(pair.state(n, ids[n]), State::Established);
        assert_eq!(pair.hosts[n].sctp.associations, 1);
    }
    pair.send(A, ids[A], b"once").unwrap();
    pair.send(B, ids[B], b"twice").unwrap();
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.recv(B, ids[B]).unwrap(), b"once");
    assert_eq!(pair.recv(A, ids[A]).unwrap(), b"twice");
}

/// RFC 9260 §6.9, §7.3: chunks that were cut for a wider path go in IP fragments, and new ones are
/// smaller.
/// RFC 9260 §6.9-6.
#[test]
fn a_path_that_becomes_narrower_carries_on() {
    let mut pair = Pair::new();
    let (a, b) = pair.association();
    pair.wires[0].mtu = 800;
    for number in 0..10 {
        pair.send(A, a, &message(0, number, 4000)).unwrap();
    }
    pair.run_for(Duration::from_millis(50));
    // What a router says of it.
    let (sctp, mut cx) = pair.host(A);
    sockeye_core::ip::pmtu::learn(&mut cx, "10.0.0.2".parse().unwrap(), 800);
    tell_mtu(sctp, &mut cx);
    pair.run_for(Duration::from_secs(60));
    for number in 0..10 {
        assert_eq!(pair.recv(B, b).unwrap(), message(0, number, 4000));
    }
    let (sctp, _) = pair.host(A);
    assert_eq!(sctp.paths(a, AssocId::FUTURE).unwrap()[0].mtu, 800);
    let counters = &pair.hosts[A].parts.counters;
    assert!(counters.get(Counter::SctpPmtudRetransmits) > 0);
}

fn tell_mtu(sctp: &mut crate::Sctp, cx: &mut sockeye_core::Context<'_>) {
    use sockeye_core::Transport;
    sctp.on_path_mtu(cx, "10.0.0.2".parse().unwrap(), 800);
}

/// RFC 7829 §3, RFC 6458 §6.1.2: a path to which there is no route is left, and its user is told.
#[test]
fn a_path_without_a_route_is_told() {
    let mut pair = Pair::with(wires(2), Config::default(), 9);
    let (a, b) = pair.association();
    pair.run_for(Duration::from_secs(5));
    expose(&mut pair, a, PfExposure::Notifications);
    pair.listen_to(A, a, Events::PEER_ADDR_CHANGE);
    let (_, mut cx) = pair.host(A);
    let net = "10.0.0.1/24".parse().unwrap();
    assert!(sockeye_core::inet::remove_address(
        &mut cx,
        super::pair::interface(0),
        net
    ));
    // What was looked up before holds no longer.
    pair.send(A, a, b"by the other").unwrap();
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.recv(B, b).unwrap(), b"by the other");
    let said = told(&mut pair, A, a);
    let first: SocketAddr = "10.0.0.2:80".parse().unwrap();
    assert!(
        matches!(
            said[..],
            [Notification::PeerAddrChange {
                address,
                state: AddressState::PotentiallyFailed,
                ..
            }, ..] if address == first
        ),
        "{said:?}"
    );
}

/// RFC 7829 §7.3: of potentially failed paths only those are told who want it, nor of their return.
#[test]
fn potential_failures_are_told_on_request() {
    for (exposure, told_of) in [
        (PfExposure::State, false),
        (PfExposure::Nothing, false),
        (PfExposure::Notifications, true),
    ] {
        let mut pair = Pair::with(wires(2), Config::default(), 4);
        let (a, _) = pair.association();
        pair.run_for(Duration::from_secs(5));
        expose(&mut pair, a, exposure);
        pair.listen_to(A, a, Events::PEER_ADDR_CHANGE);
        pair.wires[0].cut = true;
        pair.send(A, a, b"tried").unwrap();
        pair.run_for(Duration::from_secs(2));
        assert_eq!(paths(&mut pair, A, a)[0], PathState::PotentiallyFailed);
        pair.wires[0].cut = false;
        pair.run_for(Duration::from_secs(60));
        assert_eq!(paths(&mut pair, A, a)[0], PathState::Active);
        let expected = if told_of { 2 } else { 0 };
        assert_eq!(told(&mut pair, A, a).len(), expected);
    }
}

/// RFC 7829 §5: after so many errors of the primary path another takes its place, for good.
#[test]
fn the_primary_path_is_given_up_for_good_where_that_is_wanted() {
    for (switch, back_by) in [(u32::MAX, 0), (1, 1)] {
        let mut pair = Pair::with(wires(2), Config::default(), 6);
        let (a, _) = pair.association();
        let (sctp, mut cx) = pair.host(A);
        sctp.configure(&mut cx, a, AssocId::ALL, |settings| {
            settings.path.switch_primary_at = switch;
        })
        .unwrap();
        pair.run_for(Duration::from_secs(5));
        pair.wires[0].cut = true;
        pair.send(A, a, b"one").unwrap();
        pair.run_for(Duration::from_secs(30));
        pair.wires[0].cut = false;
        pair.run_for(Duration::from_secs(200));
        assert_eq!(paths(&mut pair, A, a), [PathState::Active; 2]);
        let from = pair.log.len();
        pair.send(A, a, b"two").unwrap();
        pair.run_for(Duration::from_millis(5));
        assert_eq!(pair.log[from].wire, back_by);
    }
}

/// RFC 6458 §5.3.4, SCTP_ADDR_OVER: a message goes to the address that its user names, though data goes
/// elsewhere; when that has failed, it goes as all data.
#[test]
fn a_message_goes_to_the_address_that_is_named() {
    let mut pair = Pair::with(wires(3), Config::default(), 8);
    let (a, b) = pair.association();
    pair.run_for(Duration::from_secs(5));
    let to = |wire: u8| Some(SocketAddr::from(([10, wire, 0, 2], PORT)));
    let over = SndInfo {
        flags: SndFlags::ADDR_OVER,
        ..SndInfo::default()
    };
    let send = |pair: &mut Pair, to, data: &[u8]| {
        let (sctp, mut cx) = pair.host(A);
        sctp.send_msg(&mut cx, a, &[std::io::IoSlice::new(data)], to, &over)
    };
    let from = pair.log.len();
    for wire in [2, 0, 1] {
        send(&mut pair, to(wire), &[wire; 3000]).unwrap();
    }
    pair.run_for(Duration::from_secs(1));
    let by: Vec<usize> = pair.log[from..]
        .iter()
        .filter(|sent| sent.from == A && sent.bytes.len() > 1000)
        .map(|sent| sent.wire)
        .collect();
    assert_eq!(by, [2, 2, 0, 0, 1, 1]);
    for wire in [2, 0, 1] {
        assert_eq!(pair.recv(B, b).unwrap(), [wire; 3000]);
    }
    let nobody = Some(SocketAddr::from(([10, 9, 0, 2], PORT)));
    assert_eq!(
        send(&mut pair, nobody, b"x"),
        Err(Error::AddressNotAvailable)
    );
    pair.wires[2].cut = true;
    send(&mut pair, to(2), b"lost, and again").unwrap();
    pair.run_for(Duration::from_secs(10));
    assert_eq!(pair.recv(B, b).unwrap(), b"lost, and again");
    let from = pair.log.len();
    send(&mut pair, to(2), b"elsewhere").unwrap();
    pair.run_for(Duration::from_millis(5));
    assert_eq!(pair.log[from].wire, 0);
}
