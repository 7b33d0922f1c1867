//! What an attacker sends (RFC 4340 §7.5.5, §18).

use super::pair::{A, B, Pair, Wire};
use crate::State;
use core::time::Duration;
use sockeye_core::{Counter, SocketId};
use sockeye_wire::dccp::options::{Meaning, Side};
use sockeye_wire::dccp::{Header, Kind, PacketType, ResetCode, Seq};

fn opened() -> (Pair, SocketId, SocketId) {
    let mut pair = Pair::new(Wire::default());
    let (a, b) = pair.connection();
    pair.run_for(Duration::from_secs(1));
    (pair, a, b)
}

fn count(pair: &Pair, from: usize, ty: PacketType) -> usize {
    let log = pair.log.iter();
    log.filter(|(who, header, _, _)| *who == from && header.kind.packet_type() == ty)
        .count()
}

/// RFC 4340 §7.5.4: Syncs are limited to eight a second, and what is invalid changes nothing.
/// RFC 4340 §7.5.4-9, §7.5.4-10, §11.4-5, §11.4-6, §11.4-7 and §11.4-8: nothing of them is
/// processed.
#[test]
fn packets_out_of_the_window_get_few_syncs() {
    let (mut pair, _, b) = opened();
    for n in 0..1000 {
        let seq = pair.last(A) + 100_000 + n;
        let ack = pair.last(B);
        let header = pair.forged(seq, Kind::DataAck(ack));
        pair.inject(B, &header, &[], b"forged");
    }
    pair.run_for(Duration::from_millis(500));
    assert_eq!(count(&pair, B, PacketType::Sync), 8);
    assert!(pair.recv(B, b).is_err());
    assert_eq!(pair.state(B, b), State::Open);
    let limited = pair.hosts[B].parts.counters.get(Counter::DccpSyncsLimited);
    assert_eq!(limited, 992);
}

/// RFC 4340 §7.5.3, §7.5.4: a Reset needs both numbers; with wrong ones it is answered by a Sync that
/// acknowledges GSR.
/// RFC 4340 §7.5.4-2, §7.5.4-3 and §7.5.4-4: the Sync.
#[test]
fn a_forged_reset_does_not_end_a_connection() {
    let (mut pair, _, b) = opened();
    let gsr = pair.last(A);
    for n in 0..3 {
        let newest = pair.last(B);
        let (seq, ack) = match n {
            0 => (gsr, newest),
            1 => (gsr + 1, newest + 1),
            _ => (gsr + 600, Seq::new(0)),
        };
        let kind = Kind::Reset {
            ack,
            code: ResetCode::ABORTED,
            data: [0; 3],
        };
        let header = pair.forged(seq, kind);
        pair.inject(B, &header, &[], &[]);
        pair.run_for(Duration::from_millis(1));
        let (_, sync, _, _) = pair.log.last().unwrap();
        assert_eq!(sync.kind, Kind::Sync(gsr));
    }
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.state(B, b), State::Open);
}

/// RFC 4340 §7.5.3: an active connection takes no Sync that is far ahead.
/// RFC 4340 §7.5.4-1: those that are invalid are ignored.
#[test]
fn a_storm_of_syncs_is_answered_seldom() {
    let (mut pair, _, b) = opened();
    for n in 1..=1000 {
        let header = pair.forged(pair.last(A) + n, Kind::Sync(pair.last(B)));
        pair.inject(B, &header, &[], &[]);
    }
    pair.run_for(Duration::from_millis(500));
    assert_eq!(count(&pair, B, PacketType::SyncAck), 64);
    assert_eq!(pair.state(B, b), State::Open);
}

/// A thousand options in a header cost no more than a hundred, and a Change for each feature gets one
/// Confirm.
#[test]
fn option_bombs_fizzle_out() {
    let (mut pair, a, b) = opened();
    let mut bomb = Vec::new();
    while bomb.len() < 900 {
        Meaning::Change {
            side: Side::Local,
            feature: 99,
            values: &[1],
        }
        .write(&mut bomb);
    }
    let header = pair.forged(pair.last(A) + 1, Kind::Ack(pair.last(B)));
    pair.inject(B, &header, &bomb, &[]);
    pair.run_for(Duration::from_secs(1));
    let longest = pair
        .log
        .iter()
        .map(|(_, _, options, _)| options.len())
        .max();
    assert!(longest < Some(300), "{longest:?}");
    assert_eq!(pair.state(B, b), State::Open);
    assert_eq!(pair.state(A, a), State::Open);
}

/// A peer that changes its mind for ever gets one answer for each question, and no more.
/// RFC 4340 §6.6.3-3 and §6.6.1-1: one Confirm each.
#[test]
fn negotiations_do_not_loop() {
    let (mut pair, _, b) = opened();
    let before = pair.log.len();
    for n in 1..=50u8 {
        let seq = pair.last(A) + u64::from(n);
        let header = pair.forged(seq, Kind::Ack(pair.last(B)));
        pair.inject(B, &header, &[32, 5, 5, 0, n], &[]);
        pair.run_for(Duration::from_millis(1));
    }
    pair.run_for(Duration::from_secs(5));
    let answers = pair.log[before..]
        .iter()
        .filter(|(from, _, _, _)| *from == B);
    assert!(answers.count() <= 52);
    assert_eq!(pair.state(B, b), State::Open);
}

/// RFC 4340 §8.1.4: a flood of Requests leaves no more than the backlog.
#[test]
fn a_flood_of_requests_takes_no_memory() {
    let mut pair = Pair::new(Wire::default());
    pair.listen();
    pair.lose = Box::new(|_, _| true);
    for port in 0..5000u16 {
        let header = Header {
            source_port: 1024 + port,
            destination_port: 80,
            options_len: 0,
            ccval: 0,
            coverage: 0,
            checksum: 0,
            extended: true,
            seq: Seq::new(port.into()),
            kind: Kind::Request { service: 0 },
        };
        pair.inject(B, &header, &[], &[]);
    }
    pair.run_for(Duration::from_secs(1));
    // The listener, and one more than the backlog of 16.
    assert_eq!(pair.hosts[B].dccp.sockets.len(), 1 + 17);
    let sent = pair.hosts[B].parts.counters.get(Counter::DccpCookiesSent);
    assert_eq!(sent, 5000 - 17);
    // A wrong cookie is refused.
    let before = pair.log.len();
    let header = Header {
        source_port: 1024 + 4999,
        destination_port: 80,
        seq: Seq::new(5000),
        kind: Kind::Ack(Seq::new(77)),
        options_len: 0,
        ccval: 0,
        coverage: 0,
        checksum: 0,
        extended: true,
    };
    pair.inject(B, &header, &[36, 6, 1, 2, 3, 4], &[]);
    pair.run_for(Duration::from_millis(100));
    let (_, answer, _, _) = &pair.log[before];
    assert!(matches!(answer.kind, Kind::Reset { code, .. } if code == ResetCode::BAD_INIT_COOKIE));
}
