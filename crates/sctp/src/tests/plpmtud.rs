//! The path's MTU, found by probes (RFC 8899).

use super::lossy::message;
use super::pair::{A, B, Pair, Wire, config};
use crate::{AssocId, State};
use core::time::Duration;
use sockeye_core::{Config, Counter, SocketId, Transport};
use sockeye_wire::sctp::ChunkType;

const INTERVAL: Duration = Duration::from_secs(5);

fn probing() -> Config {
    let mut config = config();
    config.sctp.plpmtud_probe_interval = INTERVAL;
    config
}

fn pair(mtu: u32) -> Pair {
    let wire = Wire {
        mtu,
        ..Wire::default()
    };
    Pair::with(vec![wire], probing(), 1)
}

fn mtu(pair: &mut Pair, n: usize, id: SocketId) -> u32 {
    let (sctp, _) = pair.host(n);
    sctp.paths(id, AssocId::FUTURE).unwrap()[0].mtu
}

/// Sizes of the IP packets with a PAD chunk that A has sent.
fn probes(pair: &Pair) -> Vec<usize> {
    let sent = pair.log.iter().filter(|sent| sent.from == A);
    let padded = sent.filter(|sent| sent.chunks.contains(&ChunkType::PAD));
    padded.map(|sent| sent.bytes.len() + 20).collect()
}

/// RFC 8899 §6.2.1: HEARTBEAT and PAD; first the base, then what the first link takes.
#[test]
fn probes_find_what_the_first_link_takes() {
    let mut pair = pair(4000);
    let (a, _) = pair.association();
    assert_eq!(mtu(&mut pair, A, a), 4000);
    assert_eq!(probes(&pair), [1200, 4000]);
    let probe = pair.log.iter().find(|sent| sent.chunks.len() == 2).unwrap();
    assert_eq!(probe.chunks, [ChunkType::HEARTBEAT, ChunkType::PAD]);
    // §6.2.1.3: nothing is confirmed again; after ten minutes it may have become more.
    pair.run_for(Duration::from_secs(590));
    assert_eq!(probes(&pair).len(), 2);
}

/// RFC 8899 §3 6), §6.2.1.2: a probe that is lost says nothing of the path but its size.
#[test]
fn lost_probes_are_no_errors_of_the_path() {
    let mut pair = pair(4000);
    pair.wires[0].mtu = 1300;
    let (a, _) = pair.association();
    pair.run_for(Duration::from_secs(300));
    let found = mtu(&mut pair, A, a);
    assert_eq!(found, 1300);
    let (sctp, _) = pair.host(A);
    let path = sctp.paths(a, AssocId::FUTURE).unwrap()[0];
    assert_eq!(path.errors, 0);
    assert_eq!(path.cwnd, 4404);
}

fn narrows(tell: bool) -> (Pair, SocketId) {
    let mut pair = pair(1500);
    let (a, b) = pair.association();
    assert_eq!(mtu(&mut pair, A, a), 1500);
    let mut heard = 0;
    for number in 0..60 {
        pair.send(A, a, &message(0, number, 4000)).unwrap();
        if number == 10 {
            pair.run_for(Duration::from_millis(12));
            pair.wires[0].mtu = 1300;
            if tell {
                pair.run_for(Duration::from_millis(12));
                let (sctp, mut cx) = pair.host(A);
                sockeye_core::ip::pmtu::learn(&mut cx, "10.0.0.2".parse().unwrap(), 1300);
                sctp.on_path_mtu(&mut cx, "10.0.0.2".parse().unwrap(), 1300);
            }
        }
        pair.run_for(Duration::from_millis(300));
        while let Ok(bytes) = pair.recv(B, b) {
            assert_eq!(bytes, message(0, heard, 4000));
            heard += 1;
        }
    }
    pair.run_for(Duration::from_secs(60));
    while let Ok(bytes) = pair.recv(B, b) {
        assert_eq!(bytes, message(0, heard, 4000));
        heard += 1;
    }
    assert_eq!(heard, 60);
    assert_eq!(pair.state(A, a), State::Established);
    pair.run_for(Duration::from_secs(200));
    let found = mtu(&mut pair, A, a);
    assert_eq!(found, 1300);
    (pair, a)
}

/// RFC 8899 §4.3: data times out, three times in a row; smaller packets go through.
#[test]
fn a_black_hole_is_found_and_nothing_is_lost() {
    narrows(false);
}

/// RFC 8899 §4.6, §6.2.1.4: what a router says saves the time-outs and most of the search.
#[test]
fn a_router_that_tells_saves_the_search() {
    let (pair, _) = narrows(true);
    let counters = &pair.hosts[A].parts.counters;
    assert_eq!(counters.get(Counter::SctpT3RtxExpireds), 0);
    assert_eq!(probes(&pair)[2..], [1200, 1300]);
}

/// RFC 8899 §5.1.1, PMTU_RAISE_TIMER.
#[test]
fn a_path_that_becomes_wider_is_noticed() {
    let mut pair = pair(4000);
    pair.wires[0].mtu = 1300;
    let (a, _) = pair.association();
    pair.run_for(Duration::from_secs(300));
    pair.wires[0].mtu = 4000;
    pair.run_for(Duration::from_secs(900));
    assert_eq!(mtu(&mut pair, A, a), 4000);
}

/// As on Linux: without the interval nothing is probed, nor where a user has fixed the MTU.
#[test]
fn it_is_a_matter_of_settings() {
    let mut pair = Pair::new();
    let (a, _) = pair.association();
    pair.run_for(Duration::from_secs(20));
    assert!(probes(&pair).is_empty());
    let configure = |pair: &mut Pair, change: fn(&mut crate::PathSettings)| {
        let (sctp, mut cx) = pair.host(A);
        sctp.configure(&mut cx, a, AssocId::ALL, |settings| {
            change(&mut settings.path)
        })
        .unwrap();
    };
    configure(&mut pair, |path| path.probe_interval = INTERVAL);
    pair.run_for(Duration::from_secs(6));
    assert_eq!(probes(&pair), [1200, 1500]);
    configure(&mut pair, |path| {
        path.pmtu_discovery = false;
        path.mtu = 1000;
    });
    pair.run_for(Duration::from_secs(2000));
    assert_eq!(mtu(&mut pair, A, a), 1000);
    assert_eq!(probes(&pair).len(), 2);
}
