//! Messages that are given up (RFC 3758, 7496), and those that interleave (RFC 8260).

use super::pair::{A, B, Pair, Sent, Wire};
use crate::{AssocId, Events, Incoming, Notification, PrInfo, SndFlags, SndInfo, State, Style};
use core::time::Duration;
use sockeye_core::{Config, Error, SocketId};
use sockeye_wire::sctp::ChunkType;
use std::io::IoSlice;

const SECOND: Duration = Duration::from_secs(1);

fn send(pair: &mut Pair, id: SocketId, stream: u16, reliability: PrInfo, data: &[u8]) {
    let info = SndInfo {
        stream,
        reliability,
        ..SndInfo::default()
    };
    let (sctp, mut cx) = pair.host(A);
    sctp.send_msg(&mut cx, id, &[IoSlice::new(data)], None, &info)
        .unwrap();
}

/// All messages that B can read, as text.
fn heard(pair: &mut Pair, id: SocketId) -> Vec<String> {
    std::iter::from_fn(|| pair.recv(B, id).ok().filter(|bytes| !bytes.is_empty()))
        .map(|bytes| String::from_utf8(bytes).unwrap())
        .collect()
}

fn holds(sent: &Sent, text: &str) -> bool {
    let text = text.as_bytes();
    sent.bytes.windows(text.len()).any(|window| window == text)
}

/// RFC 3758 §3.5, RFC 7496 §3.1: what may not be sent again is skipped, and what follows is not held
/// up by it.
#[test]
fn a_lost_message_is_skipped() {
    let mut pair = Pair::new();
    let (a, b) = pair.association();
    pair.listen_to(A, a, Events::SEND_FAILED);
    pair.lose = Box::new(|sent| holds(sent, "skipped"));
    let from = pair.log.len();
    send(&mut pair, a, 0, PrInfo::None, b"first");
    send(&mut pair, a, 0, PrInfo::Limited(0), b"skipped");
    pair.run_for(SECOND);
    send(&mut pair, a, 0, PrInfo::None, b"last");
    pair.run_for(SECOND * 10);
    assert_eq!(heard(&mut pair, b), ["first", "last"]);
    let forwards = pair.log[from..]
        .iter()
        .filter(|sent| sent.chunks.contains(&ChunkType::FORWARD_TSN));
    assert_eq!(forwards.count(), 1);
    let (Incoming::Notification(Notification::SendFailed { sent, data, .. }), _) =
        pair.incoming(A, a).unwrap()
    else {
        panic!("the user is told");
    };
    assert!(sent && data[..] == *b"skipped");
    pair.shutdown(A, a);
    pair.run_for(SECOND * 10);
    assert_eq!(pair.recv(B, b), Ok(vec![]));
}

/// RFC 3758 §3.5 C5: a lost FORWARD-TSN is said again.
#[test]
fn a_lost_forward_tsn_is_repeated() {
    let mut pair = Pair::new();
    let (a, b) = pair.association();
    let mut forwards = 0;
    pair.lose = Box::new(move |sent| {
        let forward = sent.chunks.contains(&ChunkType::FORWARD_TSN);
        forwards += u32::from(forward);
        holds(sent, "skipped") || (forward && forwards < 3)
    });
    send(&mut pair, a, 0, PrInfo::Limited(0), b"skipped");
    send(&mut pair, a, 0, PrInfo::None, b"last");
    pair.run_for(SECOND * 60);
    assert_eq!(heard(&mut pair, b), ["last"]);
}

/// RFC 3758 §3.5 A3: with one fragment all go, those that were not sent among them.
#[test]
fn all_fragments_go_together() {
    let mut pair = Pair::new();
    let (a, b) = pair.association();
    let mut large = vec![b'x'; 40_000];
    large[..5].copy_from_slice(b"large");
    pair.lose = Box::new(|sent| holds(sent, "large"));
    send(&mut pair, a, 0, PrInfo::Limited(0), &large);
    send(&mut pair, a, 0, PrInfo::None, b"small");
    pair.run_for(SECOND * 10);
    assert_eq!(heard(&mut pair, b), ["small"]);
    pair.shutdown(A, a);
    pair.run_for(SECOND * 10);
    assert_eq!(pair.recv(B, b), Ok(vec![]));
}

/// RFC 7496 §3.1: what is late is not sent, or not again.
#[test]
fn late_messages_are_given_up() {
    let mut pair = Pair::new();
    let (a, b) = pair.association();
    pair.wires[0].cut = true;
    for _ in 0..20 {
        send(&mut pair, a, 0, PrInfo::Timed(SECOND), &[b'l'; 1000]);
    }
    pair.run_for(SECOND * 4);
    pair.wires[0].cut = false;
    send(&mut pair, a, 0, PrInfo::None, b"fresh");
    pair.run_for(SECOND * 30);
    assert_eq!(heard(&mut pair, b), ["fresh"]);
}

/// RFC 7496 §3.3: a full send buffer drops what matters less.
#[test]
fn importance_makes_room() {
    let mut pair = Pair::new();
    let (a, b) = pair.association();
    pair.wires[0].cut = true;
    let low = SndInfo {
        reliability: PrInfo::Priority(9),
        ..SndInfo::default()
    };
    let data = vec![b'l'; 10_000];
    loop {
        let (sctp, mut cx) = pair.host(A);
        match sctp.send_msg(&mut cx, a, &[IoSlice::new(&data)], None, &low) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error, Error::WouldBlock);
                break;
            }
        }
    }
    send(&mut pair, a, 1, PrInfo::Priority(1), b"important");
    pair.wires[0].cut = false;
    let mut all = Vec::new();
    for _ in 0..600 {
        pair.run_for(SECOND / 10);
        all.extend(heard(&mut pair, b));
    }
    assert!(all.iter().any(|text| text == "important"));
}

/// Messages of all policies through loss, with and without interleaving: what is reliable arrives,
/// what arrives is in order and whole.
#[test]
fn partial_reliability_under_loss() {
    for interleaving in [false, true] {
        for seed in 0..4 {
            let wire = Wire {
                loss: 150,
                reorder: 100,
                ..Wire::default()
            };
            let mut pair = Pair::with(vec![wire], Config::default(), seed);
            let (a, b) = association(&mut pair, interleaving);
            let mut all = Vec::new();
            for n in 0..200_u32 {
                let reliability = match n % 4 {
                    0 => PrInfo::None,
                    1 => PrInfo::Limited(0),
                    2 => PrInfo::Limited(1),
                    _ => PrInfo::Timed(SECOND / 2),
                };
                let stream = (n / 4 % 3) as u16;
                let mut text = format!("{n} ");
                let len = 10 + (n as usize * 37) % 4000;
                text.extend(std::iter::repeat_n('.', len));
                send(&mut pair, a, stream, reliability, text.as_bytes());
                pair.run_for(SECOND / 20);
                all.extend(heard(&mut pair, b));
            }
            let is_there = |all: &[String], n| {
                let start = format!("{n} ");
                all.iter().any(|text| text.starts_with(&start))
            };
            for _ in 0..3600 {
                pair.run_for(SECOND);
                all.extend(heard(&mut pair, b));
                if (0..200).step_by(4).all(|n| is_there(&all, n)) {
                    break;
                }
            }
            let numbers: Vec<u32> = all
                .iter()
                .map(|text| {
                    let (number, dots) = text.split_once(' ').unwrap();
                    let number: u32 = number.parse().unwrap();
                    assert_eq!(dots.len(), 10 + (number as usize * 37) % 4000);
                    number
                })
                .collect();
            for stream in 0..3 {
                let own: Vec<u32> = numbers
                    .iter()
                    .copied()
                    .filter(|n| n / 4 % 3 == stream)
                    .collect();
                assert!(own.is_sorted_by(|x, y| x < y), "{own:?}");
            }
            let missing: Vec<u32> = (0..200)
                .step_by(4)
                .filter(|n| !numbers.contains(n))
                .collect();
            assert!(missing.is_empty(), "{missing:?} {:?}", pair.state(A, a));
            assert!(numbers.len() < 200);
            // What was still on its way arrives, or is given up, too.
            pair.shutdown(A, a);
            for _ in 0..600 {
                pair.run_for(SECOND);
                while pair.recv(B, b).is_ok_and(|bytes| !bytes.is_empty()) {}
                if pair.state(A, a) == State::Closed {
                    break;
                }
            }
            assert_eq!(pair.state(A, a), State::Closed);
        }
    }
}

/// Both ends of an association that knows I-DATA, or does not.
fn association(pair: &mut Pair, interleaving: bool) -> (SocketId, SocketId) {
    let listener = pair.listen();
    let a = pair.open(A, Style::OneToOne);
    for (n, id) in [(A, a), (B, listener)] {
        let (sctp, mut cx) = pair.host(n);
        sctp.configure(&mut cx, id, AssocId::FUTURE, |settings| {
            settings.interleaving = interleaving;
        })
        .unwrap();
    }
    pair.connect(A, a);
    let mut b = None;
    pair.run_until(|pair| {
        let (sctp, mut cx) = pair.host(B);
        b = sctp.accept(&mut cx, listener).ok().map(|(id, _)| id);
        b.is_some()
    });
    pair.run_for(SECOND * 10);
    (a, b.unwrap())
}

/// RFC 8260 §2: a small message passes a large one that was begun, where both sides can.
#[test]
fn a_small_message_passes_a_large_one() {
    for interleaving in [false, true] {
        let mut pair = Pair::new();
        let (a, b) = association(&mut pair, interleaving);
        let (sctp, mut cx) = pair.host(A);
        sctp.set_scheduler(&mut cx, a, AssocId::FUTURE, 1).unwrap();
        let from = pair.log.len();
        send(&mut pair, a, 0, PrInfo::None, &[b'x'; 100_000]);
        pair.run_for(SECOND / 100);
        send(&mut pair, a, 1, PrInfo::None, b"small");
        pair.run_for(SECOND * 10);
        let lens: Vec<usize> = heard(&mut pair, b).iter().map(String::len).collect();
        let wanted = if interleaving {
            [5, 100_000]
        } else {
            [100_000, 5]
        };
        assert_eq!(lens, wanted);
        let kind = if interleaving {
            ChunkType::I_DATA
        } else {
            ChunkType::DATA
        };
        let mut kinds = pair.log[from..].iter().flat_map(|sent| &sent.chunks);
        assert!(kinds.all(|chunk| *chunk == kind || *chunk == ChunkType::SACK));
    }
}

/// RFC 9260 §6.9: a message that does not fit the receiver's buffer arrives in parts.
#[test]
fn a_message_larger_than_the_window() {
    let mut pair = Pair::new();
    let (a, b) = pair.association();
    let (sctp, mut cx) = pair.host(B);
    sctp.configure(&mut cx, b, AssocId::ALL, |settings| {
        settings.common.receive_buffer = 30_000;
    })
    .unwrap();
    send(&mut pair, a, 0, PrInfo::None, &[b'x'; 100_000]);
    let (mut len, mut parts) = (0, 0);
    for _ in 0..6000 {
        pair.run_for(SECOND / 10);
        while let Ok((Incoming::Message(received), bytes)) = pair.incoming(B, b) {
            len += bytes.len();
            parts += 1;
            assert_eq!(received.end_of_record, len == 100_000);
        }
        if len == 100_000 {
            break;
        }
    }
    assert!(len == 100_000 && parts > 2, "{len} in {parts}");
}

/// RFC 7053 §4.1: the sender may have the SACK at once.
#[test]
fn a_sack_at_once() {
    for (flags, most) in [(SndFlags::empty(), 300), (SndFlags::SACK_IMMEDIATELY, 25)] {
        let mut pair = Pair::new();
        let (a, _b) = pair.association();
        send(&mut pair, a, 0, PrInfo::None, b"first");
        pair.run_for(SECOND);
        let (from, begun) = (pair.log.len(), pair.now);
        let info = SndInfo {
            flags,
            ..SndInfo::default()
        };
        let (sctp, mut cx) = pair.host(A);
        sctp.send_msg(&mut cx, a, &[IoSlice::new(b"x")], None, &info)
            .unwrap();
        pair.run_until(|pair| {
            let mut kinds = pair.log[from..].iter().flat_map(|sent| &sent.chunks);
            kinds.any(|kind| *kind == ChunkType::SACK)
        });
        let took = pair.now.saturating_since(begun).as_millis();
        assert!(took < most && (most < 100 || took >= 200), "{took}");
    }
}
