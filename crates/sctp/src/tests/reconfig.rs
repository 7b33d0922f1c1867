//! Streams that are reset and added (RFC 6525).

use super::pair::{A, B, Pair, Wire};
use crate::{AssocId, Events, Grants, Incoming, Notification, SndInfo};
use core::time::Duration;
use sockeye_core::{Config, Error, SocketId};
use sockeye_wire::sctp::{ChunkType, Data, Parameter, Reconfig};
use std::io::IoSlice;

const SECOND: Duration = Duration::from_secs(1);

/// An association in which both sides grant everything, or B nothing.
fn association(wire: Wire, grants: Grants) -> (Pair, SocketId, SocketId) {
    let mut config = Config::default();
    config.sctp.reconf_enable = true;
    let mut pair = Pair::with(vec![wire], config, 5);
    let (a, b) = pair.association();
    for (n, id, grants) in [(A, a, Grants::all()), (B, b, grants)] {
        let (sctp, mut cx) = pair.host(n);
        sctp.grant(&mut cx, id, AssocId::ALL, grants).unwrap();
        let events = Events::STREAM_RESET | Events::ASSOC_RESET | Events::STREAM_CHANGE;
        pair.listen_to(n, id, events);
    }
    (pair, a, b)
}

fn notices(pair: &mut Pair, n: usize, id: SocketId) -> Vec<Notification> {
    let mut all = Vec::new();
    while let Ok((incoming, _)) = pair.incoming(n, id) {
        if let Incoming::Notification(notice) = incoming {
            all.push(notice);
        }
    }
    all
}

/// Stream sequence numbers of the messages that B reads.
fn numbers(pair: &mut Pair, n: usize, id: SocketId) -> Vec<(u16, u16)> {
    let mut all = Vec::new();
    while let Ok((incoming, _)) = pair.incoming(n, id) {
        if let Incoming::Message(received) = incoming {
            all.push((received.info.stream, received.info.ssn));
        }
    }
    all
}

fn reset(
    pair: &mut Pair,
    id: SocketId,
    directions: (bool, bool),
    streams: &[u16],
) -> Result<(), Error> {
    let (sctp, mut cx) = pair.host(A);
    sctp.reset_streams(&mut cx, id, AssocId::FUTURE, directions, streams)
}

fn flags(notice: &Notification) -> u16 {
    match notice {
        Notification::StreamReset { flags, .. }
        | Notification::AssocReset { flags, .. }
        | Notification::StreamChange { flags, .. } => *flags,
        other => panic!("{other:?}"),
    }
}

/// RFC 6525 §5.1.2, §5.2.2: while data flows; what is sent after the reset is numbered from 0.
#[test]
fn outgoing_streams_are_reset_while_data_flows() {
    for loss in [0, 150] {
        let wire = Wire {
            loss: 0,
            ..Wire::default()
        };
        let (mut pair, a, b) = association(wire, Grants::all());
        pair.wires[0].loss = loss;
        for _ in 0..50 {
            for stream in [1, 2] {
                pair.send_on(A, a, stream, &[7; 900]).unwrap();
            }
        }
        pair.run_for(SECOND / 20);
        assert_eq!(reset(&mut pair, a, (true, false), &[1]), Ok(()));
        let busy = Err(Error::InProgress);
        assert_eq!(reset(&mut pair, a, (true, false), &[2]), busy);
        for stream in [1, 2] {
            pair.send_on(A, a, stream, &[8; 100]).unwrap();
        }
        pair.run_for(SECOND * 300);
        let mut all = Vec::new();
        let mut resets = 0;
        while let Ok((incoming, _)) = pair.incoming(B, b) {
            match incoming {
                Incoming::Message(received) => {
                    all.push((received.info.stream, received.info.ssn));
                }
                Incoming::Notification(notice) => {
                    assert_eq!(flags(&notice), 1);
                    resets += 1;
                }
                Incoming::End => break,
            }
        }
        assert_eq!(resets, 1);
        let of = |stream| -> Vec<u16> {
            let own = all.iter().filter(|(id, _)| *id == stream);
            own.map(|(_, number)| *number).collect()
        };
        assert_eq!(of(2), (0..51).collect::<Vec<u16>>());
        let first = of(1);
        // What had not been sent yet when the reset began is numbered anew with what came later.
        let again = first.iter().skip(1).position(|n| *n == 0).unwrap() + 1;
        assert_eq!(first.len(), 51);
        assert!(first[..again].iter().copied().eq(0..again as u16));
        assert!(first[again..].iter().copied().eq(0..(51 - again) as u16));
        let told = notices(&mut pair, A, a);
        assert_eq!(told.iter().map(flags).collect::<Vec<_>>(), [2]);
    }
}

/// RFC 6525 §5.1.3, §5.2.3: the peer is asked, and does it.
#[test]
fn incoming_streams_are_reset() {
    let (mut pair, a, b) = association(Wire::default(), Grants::all());
    for _ in 0..3 {
        pair.send_on(B, b, 4, b"x").unwrap();
    }
    pair.run_for(SECOND);
    assert_eq!(numbers(&mut pair, A, a), [(4, 0), (4, 1), (4, 2)]);
    reset(&mut pair, a, (false, true), &[]).unwrap();
    pair.run_for(SECOND);
    let told: Vec<u16> = notices(&mut pair, A, a).iter().map(flags).collect();
    assert_eq!(told, [1]);
    pair.send_on(B, b, 4, b"x").unwrap();
    pair.run_for(SECOND);
    assert_eq!(numbers(&mut pair, A, a), [(4, 0)]);
    // It is over: the next request may go.
    reset(&mut pair, a, (true, true), &[1]).unwrap();
    pair.run_for(SECOND);
    let told: Vec<u16> = notices(&mut pair, A, a).iter().map(flags).collect();
    assert_eq!(told.len(), 2);
    assert_eq!(reset(&mut pair, a, (true, false), &[]), Ok(()));
}

/// RFC 6525 §6.3.1: who does not grant it refuses, and all goes on as before.
#[test]
fn what_is_not_granted_is_denied() {
    let (mut pair, a, b) = association(Wire::default(), Grants::empty());
    pair.send_on(A, a, 1, b"x").unwrap();
    reset(&mut pair, a, (true, false), &[1]).unwrap();
    pair.send_on(A, a, 1, b"y").unwrap();
    pair.run_for(SECOND);
    assert_eq!(numbers(&mut pair, B, b), [(1, 0), (1, 1)]);
    let (sctp, mut cx) = pair.host(A);
    sctp.add_streams(&mut cx, a, AssocId::FUTURE, (1, 0))
        .unwrap();
    pair.run_for(SECOND);
    let (sctp, mut cx) = pair.host(A);
    sctp.reset_association(&mut cx, a, AssocId::FUTURE).unwrap();
    pair.run_for(SECOND);
    let told: Vec<u16> = notices(&mut pair, A, a).iter().map(flags).collect();
    assert_eq!(told, [2 | 4, 4, 4]);
    let wrong = Err(Error::Invalid);
    assert_eq!(reset(&mut pair, a, (true, false), &[10]), wrong);
    assert_eq!(reset(&mut pair, a, (false, false), &[]), wrong);
    // Without the extension there is nothing to ask.
    let mut pair = Pair::new();
    let (a, _) = pair.association();
    let refused = Err(Error::NoProtocolOption);
    assert_eq!(reset(&mut pair, a, (true, false), &[]), refused);
}

/// RFC 6525 §5.1.1: a request that is lost goes again, and so does its answer (§5.2.1).
#[test]
fn lost_requests_and_answers_are_repeated() {
    for by in [A, B] {
        let (mut pair, a, b) = association(Wire::default(), Grants::all());
        let mut left = 2;
        pair.lose = Box::new(move |sent| {
            let hit = sent.from == by && sent.chunks.contains(&ChunkType::RE_CONFIG) && left > 0;
            left -= i32::from(hit);
            hit
        });
        pair.send_on(A, a, 1, b"x").unwrap();
        pair.run_for(SECOND);
        reset(&mut pair, a, (true, false), &[]).unwrap();
        pair.run_for(SECOND * 60);
        pair.send_on(A, a, 1, b"x").unwrap();
        pair.run_for(SECOND);
        assert_eq!(numbers(&mut pair, B, b), [(1, 0), (1, 0)]);
    }
}

/// RFC 6525 §5.1.4, §5.2.4: all begins anew, in both directions.
#[test]
fn tsns_are_reset() {
    let (mut pair, a, b) = association(Wire::default(), Grants::all());
    for _ in 0..20 {
        pair.send_on(A, a, 1, &[1; 1000]).unwrap();
        pair.send_on(B, b, 1, &[1; 1000]).unwrap();
    }
    pair.run_for(SECOND / 100);
    let (sctp, mut cx) = pair.host(A);
    sctp.reset_association(&mut cx, a, AssocId::FUTURE).unwrap();
    let late = pair.send_on(A, a, 1, b"late");
    late.unwrap();
    pair.run_for(SECOND * 10);
    let from = pair.log.len();
    pair.send_on(B, b, 1, b"x").unwrap();
    pair.run_for(SECOND);
    let at_b = numbers(&mut pair, B, b);
    // What had not been sent yet is numbered anew with what came later.
    for all in [at_b, numbers(&mut pair, A, a)] {
        assert_eq!(all.len(), 21);
        let again = all.iter().skip(1).position(|n| *n == (1, 0)).unwrap() + 1;
        assert!(
            all[..again]
                .iter()
                .copied()
                .eq((0..again as u16).map(|n| (1, n)))
        );
        let rest = (0..(21 - again) as u16).map(|n| (1, n));
        assert!(all[again..].iter().copied().eq(rest));
    }
    let sacked = pair.log[from..]
        .iter()
        .any(|sent| sent.from == A && sent.chunks == [ChunkType::SACK]);
    assert!(sacked);
}

/// RFC 6525 §5.1.5, §5.1.6: streams are there once the peer has agreed.
#[test]
fn streams_are_added() {
    let (mut pair, a, b) = association(Wire::default(), Grants::all());
    assert_eq!(pair.send_on(A, a, 10, b"x"), Err(Error::Invalid));
    let (sctp, mut cx) = pair.host(A);
    sctp.add_streams(&mut cx, a, AssocId::FUTURE, (5, 3))
        .unwrap();
    assert_eq!(pair.send_on(A, a, 10, b"x"), Err(Error::Invalid));
    pair.run_for(SECOND);
    pair.send_on(A, a, 14, b"x").unwrap();
    pair.send_on(B, b, 12, b"x").unwrap();
    assert_eq!(pair.send_on(B, b, 13, b"x"), Err(Error::Invalid));
    pair.run_for(SECOND);
    assert_eq!(numbers(&mut pair, B, b).last(), Some(&(14, 0)));
    assert_eq!(numbers(&mut pair, A, a).last(), Some(&(12, 0)));
    let status = pair.hosts[A].sctp.status(a, AssocId::FUTURE).unwrap();
    assert_eq!((status.in_streams, status.out_streams), (13, 15));
}

/// RFC 6525 §5.2: requests out of turn, of streams that do not exist, in storms: each is answered,
/// nothing is done, nothing grows.
#[test]
fn a_storm_of_requests() {
    let (mut pair, a, b) = association(Wire::default(), Grants::all());
    let from = pair.log.len();
    pair.send_on(A, a, 0, b"x").unwrap();
    pair.run_for(SECOND);
    let packet = pair.log[from].clone();
    let (source, dest) = (
        u16::from_be_bytes([packet.bytes[0], packet.bytes[1]]),
        u16::from_be_bytes([packet.bytes[2], packet.bytes[3]]),
    );
    let chunk = sockeye_wire::sctp::Chunks::new(&packet.bytes[12..])
        .next()
        .unwrap()
        .unwrap();
    let tsn = Data::parse(&chunk).unwrap().tsn;
    let list: Vec<u16> = (0..30_000).collect();
    for n in 0..2000_u32 {
        let mut parameters = Vec::new();
        Parameter::OutgoingReset {
            request: n.wrapping_mul(0x9e37_79b9),
            response: n,
            last_tsn: tsn + n,
            streams: sockeye_wire::sctp::List::Values(&list[..(n % 300) as usize]),
        }
        .emit(&mut parameters);
        Parameter::IncomingReset {
            request: n,
            streams: sockeye_wire::sctp::List::default(),
        }
        .emit(&mut parameters);
        let mut out = Vec::new();
        Reconfig {
            parameters: &parameters,
        }
        .emit(&mut out);
        pair.inject(B, (source, dest), packet.tag, &out);
    }
    pair.run_for(SECOND);
    pair.send_on(A, a, 0, b"y").unwrap();
    pair.run_for(SECOND);
    let info = SndInfo::default();
    let (sctp, mut cx) = pair.host(B);
    sctp.send_msg(&mut cx, b, &[IoSlice::new(b"z")], None, &info)
        .unwrap();
    pair.run_for(SECOND);
    assert_eq!(numbers(&mut pair, B, b).len(), 2);
    assert_eq!(numbers(&mut pair, A, a).len(), 1);
}
