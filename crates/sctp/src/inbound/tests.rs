//! Chunks in, messages out.

use super::tsn_map::TSN_WINDOW_MAX;
use super::*;
use proptest::prelude::*;

fn chunk(tsn: u32, stream: u16, number: u32, flags: &str, payload: &[u8]) -> Arrived {
    Arrived {
        tsn,
        stream,
        number,
        fsn: 0,
        ppid: 7,
        unordered: flags.contains('U'),
        begin: flags.contains('B'),
        end: flags.contains('E'),
        interleaved: false,
        payload: Bytes::copy_from_slice(payload),
    }
}

fn i_chunk(tsn: u32, stream: u16, mid: u32, fsn: u32, flags: &str, payload: &[u8]) -> Arrived {
    Arrived {
        fsn,
        interleaved: true,
        ..chunk(tsn, stream, mid, flags, payload)
    }
}

/// All that can be delivered, as text; `…` where a part begins or ends within a message.
fn delivered(inbound: &mut Inbound) -> Vec<String> {
    std::iter::from_fn(|| inbound.pop())
        .map(|message| {
            let bytes: Vec<u8> = message.data.concat();
            let text = String::from_utf8(bytes).unwrap();
            let (open, close) = (
                if message.begin { "" } else { "…" },
                if message.end { "" } else { "…" },
            );
            format!("{}:{open}{text}{close}", message.stream)
        })
        .collect()
}

fn gaps(inbound: &Inbound) -> Vec<(u16, u16)> {
    inbound.gap_blocks().collect()
}

/// RFC 9260 §3.3.4's own example, across the wrap of TSNs.
/// RFC 9260 §1.6-1, §1.6-2, §6.2-12.
#[test]
fn what_a_sack_says() {
    for first in [10_u32, u32::MAX - 3] {
        let mut inbound = Inbound::new(first, 1);
        for offset in [0, 1, 2, 4, 5, 7] {
            let arrived = chunk(first.wrapping_add(offset), 0, offset, "BEU", b"x");
            assert_eq!(inbound.data(arrived), Arrival::New);
        }
        assert_eq!(inbound.cumulative(), first.wrapping_add(2));
        assert_eq!(inbound.highest(), first.wrapping_add(7));
        assert_eq!(gaps(&inbound), [(2, 3), (5, 5)]);
        // RFC 9260 §3.3.4: a TSN that comes again twice is listed twice, once.
        for _ in 0..2 {
            let again = chunk(first.wrapping_add(4), 0, 4, "BEU", b"x");
            assert_eq!(inbound.data(again), Arrival::Duplicate);
        }
        let duplicates = inbound.take_duplicates();
        assert_eq!(duplicates[..], [first.wrapping_add(4); 2]);
        assert!(inbound.take_duplicates().is_empty());
        inbound.data(chunk(first.wrapping_add(3), 0, 3, "BEU", b"x"));
        assert_eq!(inbound.cumulative(), first.wrapping_add(5));
        assert_eq!(gaps(&inbound), [(2, 2)]);
    }
}

#[test]
fn far_tsns_are_refused_and_duplicates_bounded() {
    let mut inbound = Inbound::new(1, 1);
    let far = chunk(1 + TSN_WINDOW_MAX as u32, 0, 0, "BE", b"x");
    assert_eq!(inbound.data(far), Arrival::Refused);
    let last = chunk(TSN_WINDOW_MAX as u32, 0, 0, "BE", b"x");
    assert_eq!(inbound.data(last), Arrival::New);
    for _ in 0..1000 {
        inbound.data(chunk(0, 0, 0, "BE", b"x"));
    }
    assert!(inbound.take_duplicates().len() < 100);
}

/// RFC 9260 §6.6: order within a stream alone; unordered messages overtake.
/// RFC 9260 §3.3.1-2, §3.3.1-3, §6.6-1, §6.6-2, §6.6-3.
#[test]
fn streams_do_not_wait_for_each_other() {
    let mut inbound = Inbound::new(1, 3);
    inbound.data(chunk(2, 0, 1, "BE", b"second"));
    assert_eq!(delivered(&mut inbound), [""; 0]);
    assert_eq!(inbound.held(), 6 + MESSAGE_OVERHEAD);
    inbound.data(chunk(3, 1, 0, "BE", b"other"));
    inbound.data(chunk(4, 0, 9, "BEU", b"urgent"));
    assert_eq!(delivered(&mut inbound), ["1:other", "0:urgent"]);
    inbound.data(chunk(1, 0, 0, "BE", b"first"));
    assert_eq!(delivered(&mut inbound), ["0:first", "0:second"]);
    assert_eq!(inbound.held(), 0);
    // RFC 9260 §6.5: no such stream: acknowledged, and an error.
    assert_eq!(inbound.data(chunk(5, 3, 0, "BE", b"x")), Arrival::BadStream);
    assert_eq!(inbound.cumulative(), 5);
}

#[test]
fn stream_sequence_numbers_wrap() {
    let mut inbound = Inbound::new(1, 1);
    for n in 0..70_000_u32 {
        // Pairs in the wrong order.
        let n = n ^ 1;
        inbound.data(chunk(1 + n, 0, n & 0xffff, "BE", b"x"));
    }
    assert_eq!(delivered(&mut inbound).len(), 70_000);
}

/// RFC 9260 §6.9: fragments in any order.
/// RFC 9260 §6-6, §6.9-1, §6.9-13.
#[test]
fn fragments_become_messages() {
    let fragments = [
        chunk(1, 0, 0, "B", b"he"),
        chunk(2, 0, 0, "", b"l"),
        chunk(3, 0, 0, "E", b"lo"),
        chunk(4, 0, 0, "BU", b"wo"),
        chunk(5, 0, 0, "EU", b"rld"),
    ];
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 4, 0, 2, 3]] {
        let mut inbound = Inbound::new(1, 1);
        for index in order {
            assert_eq!(inbound.data(fragments[index].clone()), Arrival::New);
        }
        let mut messages = delivered(&mut inbound);
        messages.sort();
        assert_eq!(messages, ["0:hello", "0:world"]);
        assert_eq!((inbound.held(), inbound.cumulative()), (0, 5));
    }
}

#[test]
fn contradictions_end_the_association() {
    let mut inbound = Inbound::new(1, 2);
    inbound.data(chunk(2, 0, 0, "", b"middle"));
    for arrived in [
        chunk(3, 1, 0, "E", b"x"),
        chunk(3, 0, 1, "E", b"x"),
        chunk(3, 0, 0, "EU", b"x"),
        chunk(1, 0, 0, "E", b"x"),
        chunk(1, 0, 0, "BE", b"x"),
    ] {
        assert_eq!(inbound.data(arrived), Arrival::Violation);
    }
    let mut inbound = Inbound::new(1, 2);
    inbound.data(i_chunk(1, 0, 0, 2, "E", b"x"));
    for arrived in [
        i_chunk(2, 0, 0, 0, "", b"x"),
        i_chunk(2, 0, 0, 1, "B", b"x"),
        i_chunk(2, 0, 0, 2, "", b"x"),
        i_chunk(2, 0, 0, 3, "", b"x"),
        i_chunk(2, 0, 0, 1, "E", b"x"),
    ] {
        assert_eq!(inbound.data(arrived), Arrival::Violation);
    }
}

/// RFC 3758 §3.5 A3: a message that is given up has no end; the next one begins behind it, and may
/// arrive before the rest of it.
#[test]
fn a_message_without_end_before_another() {
    let mut inbound = Inbound::new(1, 1);
    inbound.data(chunk(1, 0, 0, "B", b"gone"));
    assert_eq!(inbound.data(chunk(3, 0, 1, "B", b"ne")), Arrival::New);
    assert_eq!(inbound.data(chunk(2, 0, 0, "", b"gone")), Arrival::New);
    assert_eq!(inbound.data(chunk(4, 0, 1, "E", b"xt")), Arrival::New);
    assert_eq!(delivered(&mut inbound), [""; 0]);
    // The rest of the first has a TSN, which is never sent.
    inbound.data(chunk(6, 0, 2, "BE", b"last"));
    inbound.forward_tsn(5, [(0, 0)].into_iter());
    assert_eq!(inbound.cumulative(), 6);
    assert_eq!(delivered(&mut inbound), ["0:next", "0:last"]);
    assert_eq!(inbound.held(), 0);
}

/// RFC 8260 §2.2.3: fragments of several messages, mixed.
#[test]
fn messages_interleave() {
    let mut inbound = Inbound::new(1, 2);
    inbound.data(i_chunk(1, 0, 0, 0, "B", b"la"));
    inbound.data(i_chunk(2, 1, 0, 0, "BE", b"small"));
    assert_eq!(delivered(&mut inbound), ["1:small"]);
    inbound.data(i_chunk(3, 0, 1, 0, "BE", b"later"));
    inbound.data(i_chunk(4, 0, 0, 0, "BU", b"un"));
    inbound.data(i_chunk(5, 0, 0, 2, "E", b"e"));
    inbound.data(i_chunk(6, 0, 0, 1, "EU", b"ordered"));
    inbound.data(i_chunk(7, 0, 0, 1, "", b"rg"));
    assert_eq!(
        delivered(&mut inbound),
        ["0:unordered", "0:large", "0:later"]
    );
    assert_eq!(inbound.held(), 0);
}

/// RFC 3758 §3.6: what waits behind the skipped messages is delivered, fragments of them go.
#[test]
fn forward_tsn_skips() {
    let mut inbound = Inbound::new(1, 2);
    inbound.data(chunk(2, 0, 1, "BE", b"one"));
    inbound.data(chunk(3, 0, 2, "B", b"tw"));
    inbound.data(chunk(5, 0, 3, "BE", b"three"));
    inbound.data(chunk(7, 1, 0, "E", b"tail"));
    assert_eq!(delivered(&mut inbound), [""; 0]);
    inbound.forward_tsn(4, [(0, 2)].into_iter());
    assert_eq!(delivered(&mut inbound), ["0:one", "0:three"]);
    assert_eq!((inbound.cumulative(), gaps(&inbound)), (5, vec![(2, 2)]));
    assert_eq!(inbound.held(), 4 + MESSAGE_OVERHEAD);
    // The tail of a message that is given up goes with it.
    inbound.forward_tsn(6, [(1, 0)].into_iter());
    assert_eq!((inbound.cumulative(), inbound.held()), (7, 0));
    // Out of date: nothing.
    inbound.forward_tsn(3, [(0, 100)].into_iter());
    inbound.data(chunk(8, 0, 4, "BE", b"four"));
    assert_eq!(delivered(&mut inbound), ["0:four"]);
    assert_eq!(inbound.pop_aborted(), None);
}

/// RFC 8260 §2.3.1: ordered and unordered messages are skipped apart.
#[test]
fn i_forward_tsn_skips() {
    let mut inbound = Inbound::new(1, 2);
    inbound.data(i_chunk(1, 0, 0, 0, "B", b"x"));
    inbound.data(i_chunk(2, 0, 0, 0, "BU", b"y"));
    inbound.data(i_chunk(4, 0, 1, 0, "BE", b"next"));
    inbound.i_forward_tsn(3, [(0, false, 0)].into_iter());
    assert_eq!(delivered(&mut inbound), ["0:next"]);
    inbound.data(i_chunk(5, 0, 0, 1, "EU", b"z"));
    assert_eq!(delivered(&mut inbound), ["0:yz"]);
    assert_eq!((inbound.held(), inbound.cumulative()), (0, 5));
}

/// RFC 6458 §8.1.21: a message in parts, the end of which is known, or never comes.
#[test]
fn partial_delivery() {
    let mut inbound = Inbound::new(1, 2);
    inbound.set_partial_delivery_point(4);
    inbound.data(chunk(1, 0, 0, "B", b"abc"));
    assert_eq!(delivered(&mut inbound), [""; 0]);
    inbound.data(chunk(2, 0, 0, "", b"def"));
    assert_eq!(delivered(&mut inbound), ["0:abcdef…"]);
    inbound.data(chunk(3, 0, 0, "", b"g"));
    assert!(inbound.deliver_partially() && !inbound.deliver_partially());
    inbound.data(chunk(4, 0, 0, "E", b"h"));
    assert_eq!(delivered(&mut inbound), ["0:…g…", "0:…h"]);
    // Not its turn: 1 waits for 0 of its stream.
    inbound.data(chunk(6, 1, 1, "B", b"abcdef"));
    assert!(!inbound.deliver_partially());
    inbound.data(chunk(5, 1, 0, "BE", b"x"));
    assert!(inbound.deliver_partially());
    assert_eq!(delivered(&mut inbound), ["1:x", "1:abcdef…"]);
    inbound.forward_tsn(7, [(1, 1)].into_iter());
    let aborted = inbound.pop_aborted().unwrap();
    assert_eq!((aborted.stream, aborted.number), (1, 1));
    assert_eq!(inbound.held(), 0);
}

/// RFC 6525 §5.2.2 and §5.2.4: numbers start at 0 again.
#[test]
fn streams_are_reset_and_added() {
    let mut inbound = Inbound::new(1, 2);
    inbound.data(chunk(1, 0, 0, "BE", b"a"));
    inbound.data(chunk(2, 1, 0, "BE", b"b"));
    inbound.reset_streams(&[0]);
    inbound.data(chunk(3, 0, 0, "BE", b"c"));
    inbound.data(chunk(4, 1, 1, "BE", b"d"));
    assert_eq!(delivered(&mut inbound), ["0:a", "1:b", "0:c", "1:d"]);
    inbound.reset_tsns(1000);
    inbound.data(chunk(1000, 1, 0, "BE", b"e"));
    assert_eq!(delivered(&mut inbound), ["1:e"]);
    assert_eq!(inbound.cumulative(), 1000);
    assert!(inbound.add_streams(3) && !inbound.add_streams(65_535));
    assert_eq!(inbound.streams(), 5);
}

/// RFC 6525 §5.2.2 E2 to E4: a reset waits for what was sent before it, and what was sent behind it
/// waits for the reset.
#[test]
fn a_reset_waits_its_turn() {
    let mut inbound = Inbound::new(1, 2);
    inbound.data(chunk(2, 0, 1, "BE", b"old"));
    assert!(inbound.reset_behind(2, &[0]) && !inbound.reset_behind(9, &[]));
    assert_eq!(inbound.take_reset(), None);
    inbound.data(chunk(4, 0, 0, "E", b"w"));
    inbound.data(chunk(3, 0, 0, "B", b"ne"));
    inbound.data(chunk(5, 1, 0, "BE", b"other"));
    assert_eq!(delivered(&mut inbound), ["1:other"]);
    assert_eq!(inbound.held(), 3 + 3 + 3 * MESSAGE_OVERHEAD);
    inbound.data(chunk(1, 0, 0, "BE", b"first"));
    assert_eq!(inbound.take_reset(), Some(vec![0]));
    assert_eq!(delivered(&mut inbound), ["0:first", "0:old", "0:new"]);
    assert_eq!((inbound.held(), inbound.cumulative()), (0, 5));
}

/// A million fragments of a byte: in order, and each window backwards.
#[test]
fn a_million_fragments() {
    const COUNT: u32 = 1_000_000;
    for window in [1, 30_000] {
        let mut inbound = Inbound::new(1, 1);
        for start in (0..COUNT).step_by(window as usize) {
            for n in (start..COUNT.min(start + window)).rev() {
                let flags = match n {
                    0 => "B",
                    n if n == COUNT - 1 => "E",
                    _ => "",
                };
                assert_eq!(
                    inbound.data(chunk(1 + n, 0, 0, flags, &[n as u8])),
                    Arrival::New
                );
            }
        }
        let message = inbound.pop().unwrap();
        assert_eq!(message.len(), COUNT as usize);
        let bytes = message.data.concat();
        assert!(bytes.iter().enumerate().all(|(n, byte)| n as u8 == *byte));
        assert_eq!(inbound.held(), 0);
    }
}

/// Beginnings of messages without an end, one a chunk: each has a price, and there is a limit.
#[test]
fn messages_without_end_are_limited() {
    let mut inbound = Inbound::new(1, 65_535);
    let mut refused = 0;
    for n in 0..100_000_u32 {
        match inbound.data(i_chunk(
            1 + n,
            (n % 65_535) as u16,
            n / 65_535,
            0,
            "B",
            b"x",
        )) {
            Arrival::New => {}
            Arrival::Refused => {
                refused += 1;
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refused, 1);
    assert_eq!(inbound.held(), MESSAGES_MAX * (1 + MESSAGE_OVERHEAD));
}

proptest! {
    /// Messages cut at random on several streams, their chunks in random order, some twice:
    /// nothing is lost, doubled or misordered within a stream.
    #[test]
    fn nothing_lost_doubled_or_misordered(
        messages in prop::collection::vec((0u16..4, any::<bool>(), 1usize..40), 1..30),
        interleaved: bool,
        first: u32,
        seed in prop::collection::vec(any::<u32>(), 0..600),
    ) {
        let mut numbers = std::collections::BTreeMap::<(u16, bool), u32>::new();
        let mut chunks = vec![];
        let mut expected = vec![];
        for (index, &(stream, unordered, fragments)) in messages.iter().enumerate() {
            let number = numbers.entry((stream, unordered)).or_default();
            let text: Vec<u8> = (0..fragments).map(|n| (index * 40 + n) as u8).collect();
            for (n, byte) in text.iter().enumerate() {
                let mut flags = String::new();
                if unordered { flags.push('U') }
                if n == 0 { flags.push('B') }
                if n + 1 == fragments { flags.push('E') }
                let tsn = first.wrapping_add(chunks.len() as u32);
                let number = if unordered && !interleaved { 0 } else { *number };
                chunks.push(Arrived { fsn: n as u32, interleaved, ..chunk(tsn, stream, number, &flags, &[*byte]) });
            }
            *number += 1;
            expected.push((stream, unordered, text));
        }
        let mut order: Vec<usize> = (0..chunks.len()).collect();
        for (n, seed) in seed.iter().enumerate() {
            let (a, b) = (n % order.len(), *seed as usize % order.len());
            order.swap(a, b);
        }
        let again: Vec<usize> = order.iter().step_by(3).copied().collect();
        order.extend(again);
        let last = first.wrapping_add(chunks.len() as u32).wrapping_sub(1);
        let mut inbound = Inbound::new(first, 4);
        let mut seen = std::collections::BTreeSet::new();
        for index in order {
            let wanted = if seen.insert(index) { Arrival::New } else { Arrival::Duplicate };
            prop_assert_eq!(inbound.data(chunks[index].clone()), wanted);
        }
        let got: Vec<_> = std::iter::from_fn(|| inbound.pop()).map(|m| (m.stream, m.unordered, m.data.concat())).collect();
        for stream in 0..4 {
            let of = |list: &[(u16, bool, Vec<u8>)], unordered| list.iter()
                .filter(|m| m.0 == stream && m.1 == unordered).map(|m| m.2.clone()).collect::<Vec<_>>();
            prop_assert_eq!(of(&got, false), of(&expected, false));
            let (mut a, mut b) = (of(&got, true), of(&expected, true));
            a.sort();
            b.sort();
            prop_assert_eq!(a, b);
        }
        prop_assert_eq!((inbound.held(), inbound.cumulative()), (0, last));
    }
}
