//! Wires that lose, double, reorder and damage packets: a model of ordered streams.

use super::pair::{A, B, Pair, Wire};
use core::time::Duration;
use proptest::prelude::*;
use sockeye_core::{Config, Counter, Error, Rng, SocketId};
use sockeye_wire::sctp::{ChunkType, HEADER_LEN};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A message that tells its stream, its place in it, and its length.
pub(super) fn message(stream: u16, number: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len.max(8)];
    bytes[..2].copy_from_slice(&stream.to_be_bytes());
    bytes[2..6].copy_from_slice(&number.to_be_bytes());
    for (at, byte) in bytes.iter_mut().enumerate().skip(6) {
        *byte = (at as u32 ^ number) as u8;
    }
    bytes
}

/// What one side has still to send, and what it has received.
#[derive(Default)]
pub(super) struct Program {
    pub(super) todo: Vec<(u16, usize)>,
    sent: usize,
    numbers: BTreeMap<u16, u32>,
    heard: BTreeMap<u16, u32>,
    pub(super) got: usize,
}

impl Program {
    pub(super) fn new(todo: Vec<(u16, usize)>) -> Self {
        Self {
            todo,
            ..Self::default()
        }
    }

    /// Sends and receives what it can; nothing is lost, doubled or misordered within a stream.
    pub(super) fn turn(&mut self, pair: &mut Pair, n: usize, id: SocketId) {
        while let Some(&(stream, len)) = self.todo.get(self.sent) {
            let number = self.numbers.entry(stream).or_default();
            match pair.send_on(n, id, stream, &message(stream, *number, len)) {
                Ok(_) => {
                    *number += 1;
                    self.sent += 1;
                }
                Err(Error::WouldBlock) => break,
                Err(error) => panic!("{error}"),
            }
        }
        loop {
            match pair.recv(n, id) {
                Ok(bytes) => {
                    let stream = u16::from_be_bytes([bytes[0], bytes[1]]);
                    let number = self.heard.entry(stream).or_default();
                    assert_eq!(bytes, message(stream, *number, bytes.len()));
                    *number += 1;
                    self.got += 1;
                }
                Err(Error::WouldBlock) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Both sides send what they have; then A shuts down.
pub(super) fn exchange(pair: &mut Pair, mut a_sends: Program, mut b_sends: Program) {
    let listener = pair.listen();
    let a = pair.dial();
    let mut b = None;
    pair.run_until(|pair| {
        let (sctp, mut cx) = pair.host(B);
        b = sctp.accept(&mut cx, listener).ok().map(|(id, _)| id);
        b.is_some()
    });
    let b = b.unwrap();
    let want = (a_sends.todo.len(), b_sends.todo.len());
    pair.run_until(|pair| {
        a_sends.turn(pair, A, a);
        b_sends.turn(pair, B, b);
        (b_sends.got, a_sends.got) == want
    });
    pair.shutdown(A, a);
    pair.run_for(Duration::from_secs(300));
    assert_eq!(pair.recv(A, a), Ok(vec![]));
    assert_eq!(pair.recv(B, b), Ok(vec![]));
}

fn todo(count: usize) -> Vec<(u16, usize)> {
    let one = |n: usize| ((n % 7) as u16, 1 + n * 977 % 4000);
    (0..count).map(one).collect()
}

/// Sends `count` messages of a packet's size from A to B, over a wire of so many microseconds that loses one
/// DATA chunk of a hundred: of those that go for the first time, or of all. How often T3-rtx ran out, the
/// losses of what had been sent before, and all. The last 500 cross unharmed.
fn timers_of_losses(delay: u64, count: usize, batched: bool, all: bool) -> [u64; 3] {
    let wire = Wire {
        delay: Duration::from_micros(delay),
        ..Wire::default()
    };
    let mut pair = Pair::with(vec![wire], Config::default(), 9);
    pair.batched = batched;
    let losses = Arc::new([const { AtomicU64::new(0) }; 2]);
    let (counted, mut seen, mut rng) = (losses.clone(), BTreeMap::new(), Rng::new([3; 32]));
    let last = count as u32 - 500;
    pair.lose = Box::new(move |sent| {
        if sent.from != A || sent.chunks.last() != Some(&ChunkType::DATA) {
            return false;
        }
        let tsn = sent.bytes[HEADER_LEN + 4..].first_chunk::<4>().copied();
        let sends: &mut u32 = seen.entry(tsn).or_default();
        *sends += 1;
        let again = *sends > 1;
        let lost = (all || !again) && seen.len() < last as usize && rng.below(100) == 0;
        counted[usize::from(again)].fetch_add(lost.into(), Ordering::Relaxed);
        lost
    });
    let todo = vec![(0, 1400); count];
    exchange(&mut pair, Program::new(todo), Program::new(Vec::new()));
    let timers = pair.hosts[A].parts.counters.get(Counter::SctpT3RtxExpireds);
    let [first, again] = [0, 1].map(|n: usize| losses[n].load(Ordering::Relaxed));
    [timers, again, first + again]
}

/// RFC 9260 §7.2.4: one loss of a hundred packets never waits for T3-rtx, however the packets are handed over,
/// unless what was sent again is lost again: step 5 lets nothing be fast retransmitted twice.
#[test]
fn only_what_is_lost_again_waits_for_the_timer() {
    for delay in [0, 100] {
        for batched in [false, true] {
            let [timers, again, all] = timers_of_losses(delay, 3000, batched, false);
            assert_eq!((timers, again), (0, 0), "{delay} {batched}");
            assert!(all > 15, "{all}");
        }
    }
    let [timers, again, all] = timers_of_losses(0, 20_000, true, true);
    assert!(all > 100 && again > 0, "{again} of {all}");
    assert_eq!(timers, again);
}

/// RFC 9260 §6.8-3, §6.8-4.
#[test]
fn messages_cross_bad_wires() {
    for (seed, wire) in (1..).zip([
        Wire {
            loss: 50,
            ..Wire::default()
        },
        Wire {
            reorder: 100,
            duplicate: 100,
            ..Wire::default()
        },
        Wire {
            loss: 150,
            corrupt: 50,
            ..Wire::default()
        },
        Wire {
            mark: 200,
            loss: 10,
            ..Wire::default()
        },
    ]) {
        let mut pair = Pair::with(vec![wire], Config::default(), seed);
        exchange(&mut pair, Program::new(todo(60)), Program::new(todo(60)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_lost_doubled_or_misordered(
        seed: u8,
        loss in 0..150u32,
        duplicate in 0..100u32,
        reorder in 0..200u32,
        corrupt in 0..50u32,
        mark in 0..100u32,
        a_todo in prop::collection::vec((0..10u16, 1..5000usize), 0..60),
        b_todo in prop::collection::vec((0..10u16, 1..5000usize), 0..60),
    ) {
        let wire = Wire { loss, duplicate, reorder, corrupt, mark, ..Wire::default() };
        let mut pair = Pair::with(vec![wire], Config::default(), seed);
        exchange(&mut pair, Program::new(a_todo), Program::new(b_todo));
    }
}
