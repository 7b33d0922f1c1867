//! Connections at rest, packed and unpacked.

use super::pair::{A, B, Pair, Wire};
use crate::packed::Packed;
use crate::socket::Socket;
use crate::tcb::Tcb;
use core::time::Duration;
use sockeye_core::{Config, OptionValue, SocketId, SocketOption, Transport};

/// Bytes that a connection is packed in, with what points to them: one that has just begun, and one
/// that has carried much.
const PACKED_MAX: usize = 220;
const USED_MAX: usize = 340;

fn config(tcp_pack_idle: Option<Duration>) -> Config {
    Config {
        tcp_pack_idle,
        ..Config::default()
    }
}

/// A connection that has carried something each way, over a wire that loses some of it.
fn used(pair: &mut Pair) -> (SocketId, SocketId) {
    let (a, b) = pair.connection();
    let data: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
    assert_eq!(pair.transfer(A, [a, b], &data), data);
    assert_eq!(pair.transfer(B, [a, b], &data[..9999]), &data[..9999]);
    pair.run_for(Duration::from_secs(30));
    (a, b)
}

fn pack(pair: &mut Pair, n: usize) {
    let (tcp, mut cx) = pair.host(n);
    tcp.on_batch_end(&mut cx);
}

fn packed(pair: &Pair, n: usize, id: SocketId) -> Option<&Packed> {
    match pair.hosts[n].tcp.sockets.get(id) {
        Some(Socket::Packed(packed)) => Some(packed),
        _ => None,
    }
}

fn seen(tcb: &Tcb) -> String {
    format!("{tcb:?}")
}

#[test]
fn nothing_is_lost_by_packing() {
    for congestion in sockeye_core::congestion::NAMES {
        let wire = Wire {
            loss: 20,
            reorder: 20,
            ..Wire::default()
        };
        let config = Config {
            tcp_congestion: (*congestion).into(),
            tcp_ecn: 3,
            ..config(None)
        };
        let mut pair = Pair::with(wire, config, 3);
        for (n, id) in [A, B]
            .into_iter()
            .zip(<[SocketId; 2]>::from(used(&mut pair)))
        {
            let tcb = pair.hosts[n].tcp.sockets.get(id).and_then(Socket::tcb);
            let tcb = tcb.expect("a connection");
            let packed = Packed::new(&tcb).expect("every controller can be saved");
            let (before, after) = (seen(&tcb), seen(&packed.unpack()));
            assert!(before == after, "{congestion}: {before}\n{after}");
        }
    }
}

#[test]
fn at_rest_it_is_small_and_goes_on_when_something_happens() {
    let mut pair = Pair::with(Wire::default(), config(Some(Duration::ZERO)), 4);
    let (a, b) = used(&mut pair);
    for (n, id) in [(A, a), (B, b)] {
        pack(&mut pair, n);
        let size = packed(&pair, n, id).expect("it is at rest").size();
        assert!(size <= USED_MAX, "{size}");
        // To look at it does not unpack it.
        let now = pair.now;
        let (tcp, _) = pair.host(n);
        assert_eq!(tcp.queued(id).unwrap().readable, 0);
        assert!(tcp.info(now, id).is_ok() && tcp.peer_addr(id).is_ok());
        assert!(packed(&pair, n, id).is_some());
    }
    assert_eq!(pair.transfer(A, [a, b], b"hello"), b"hello");
    pair.close(A, a);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.recv(B, b).unwrap(), b"");
    pair.close(B, b);
    pair.run_dry();
    assert!(pair.is_clean(A) && pair.is_clean(B));
}

#[test]
fn what_was_used_last_stays_as_it_is() {
    let second = Duration::from_secs(1);
    let mut pair = Pair::with(Wire::default(), config(Some(second)), 5);
    let listener = pair.listen(80);
    let ids: Vec<SocketId> = (0..80)
        .map(|_| {
            let id = pair.dial(80);
            pair.pump();
            id
        })
        .collect();
    let accepted: Vec<SocketId> = ids.iter().filter_map(|_| pair.accept(listener)).collect();
    assert_eq!(accepted.len(), ids.len());
    let count = |pair: &Pair| {
        let all = ids.iter();
        all.filter(|id| packed(pair, A, **id).is_some()).count()
    };
    pair.run_for(second / 2);
    pack(&mut pair, A);
    assert_eq!(count(&pair), 0, "too soon");
    pair.run_for(second);
    pack(&mut pair, A);
    assert_eq!(count(&pair), 16, "64 are kept");
    let oldest = packed(&pair, A, ids[0]).expect("the oldest goes first");
    assert!(oldest.size() <= PACKED_MAX, "{}", oldest.size());
    pack(&mut pair, B);
    let oldest = packed(&pair, B, accepted[0]).expect("the server's end, too");
    assert!(oldest.size() <= PACKED_MAX, "{}", oldest.size());
}

#[test]
fn a_packed_connection_is_kept_alive() {
    let mut pair = Pair::with(Wire::default(), config(Some(Duration::ZERO)), 6);
    let (a, _) = used(&mut pair);
    let (tcp, mut cx) = pair.host(A);
    let on = OptionValue::Flag(true);
    tcp.set_option(&mut cx, a, SocketOption::KeepAlive, on)
        .unwrap();
    pair.run_for(Duration::from_secs(1));
    pack(&mut pair, A);
    assert!(packed(&pair, A, a).is_some());
    let sent = pair.log.len();
    pair.run_for(Duration::from_secs(7201));
    assert!(pair.log.len() > sent, "it was probed");
}
