//! Messages in, fragments out.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

const START: Instant = Instant::ZERO;

fn message(bytes: &[u8]) -> Outgoing {
    Outgoing {
        data: Bytes::copy_from_slice(bytes),
        ppid: 7,
        unordered: false,
        immediate: false,
        context: 0,
        policy: Policy::None,
        manner: Manner::default(),
    }
}

fn unordered(bytes: &[u8]) -> Outgoing {
    Outgoing {
        unordered: true,
        ..message(bytes)
    }
}

fn with(policy: Policy, bytes: &[u8]) -> Outgoing {
    Outgoing {
        policy,
        ..message(bytes)
    }
}

/// One fragment as text: stream, number, flags, bytes.
fn text(fragment: &Fragment) -> String {
    let flag = |on, name| if on { name } else { "" };
    format!(
        "{}#{}{}{}{} {}",
        fragment.stream,
        fragment.number,
        flag(fragment.unordered, "U"),
        flag(fragment.begin, "B"),
        flag(fragment.end, "E"),
        String::from_utf8_lossy(&fragment.data)
    )
}

fn popped(outbound: &mut Outbound, most: usize) -> Vec<String> {
    std::iter::from_fn(|| {
        let next = outbound.next_len(most);
        let fragment = outbound.pop(most, START);
        assert_eq!(next, fragment.as_ref().map(|f| f.data.len()));
        fragment
    })
    .map(|fragment| text(&fragment))
    .collect()
}

/// The streams of the next fragments.
fn turns(outbound: &mut Outbound, most: usize, count: usize) -> Vec<u16> {
    (0..count)
        .map_while(|_| outbound.pop(most, START))
        .map(|fragment| fragment.stream)
        .collect()
}

/// RFC 9260 §6.9: the fragments of a message follow each other, with one number.
/// RFC 9260 §3.3.1-6, §6-4.
#[test]
fn messages_are_cut() {
    let mut outbound = Outbound::new(2, false);
    outbound.push(0, message(b"abcdefg")).unwrap();
    outbound.push(1, message(b"xy")).unwrap();
    outbound.push(0, unordered(b"now")).unwrap();
    outbound.push(0, message(b"h")).unwrap();
    assert_eq!((outbound.queued(), outbound.messages()), (13, 4));
    assert_eq!(
        popped(&mut outbound, 3),
        [
            "0#0B abc",
            "0#0 def",
            "0#0E g",
            "1#0BE xy",
            "0#0UBE now",
            "0#1BE h"
        ]
    );
    assert!(outbound.is_empty() && outbound.queued() == 0);
    assert_eq!(outbound.push(2, message(b"x")), Err(Refusal::NoStream));
    assert_eq!(outbound.push(0, message(b"")), Err(Refusal::Empty));
}

/// RFC 9260 §6.5-2, §6.5-3, §6.5-4, §6.5-5.
#[test]
fn stream_sequence_numbers_wrap() {
    let mut outbound = Outbound::new(2, false);
    for n in 0..65_538u32 {
        if n == 7 {
            outbound.push(0, unordered(b"aside")).unwrap();
            assert!(outbound.pop(100, START).unwrap().unordered);
        }
        outbound.push(0, message(b"m")).unwrap();
        let number = outbound.pop(100, START).unwrap().number;
        assert_eq!(number as u16, n as u16);
    }
    outbound.push(1, message(b"m")).unwrap();
    assert_eq!(outbound.pop(100, START).unwrap().number, 0);
}

/// RFC 8260 §2.1: ordered and unordered messages are numbered apart, fragments within a message.
#[test]
fn interleaved_messages_have_identifiers() {
    let mut outbound = Outbound::new(1, true);
    outbound.push(0, message(b"abcd")).unwrap();
    outbound.push(0, unordered(b"x")).unwrap();
    outbound.push(0, unordered(b"y")).unwrap();
    let first = outbound.pop(3, START).unwrap();
    let second = outbound.pop(3, START).unwrap();
    assert_eq!((first.fsn, second.fsn), (0, 1));
    assert_eq!(popped(&mut outbound, 3), ["0#0UBE x", "0#1UBE y"]);
}

/// RFC 6458 §8.1.26: a message whose end the user says later holds the others up.
#[test]
fn a_message_in_parts() {
    let mut outbound = Outbound::new(2, false);
    outbound.push_part(0, message(b"abc"), false).unwrap();
    outbound.push(1, message(b"x")).unwrap();
    assert_eq!(popped(&mut outbound, 2), ["0#0B ab", "0#0 c"]);
    outbound.push_part(0, message(b"d"), true).unwrap();
    assert_eq!(popped(&mut outbound, 2), ["0#0E d", "1#0BE x"]);
}

/// RFC 8260 §3.2 and §3.3.
#[test]
fn round_robin() {
    let fill = |interleaving, discipline| {
        let mut outbound = Outbound::new(3, interleaving);
        outbound.set_discipline(discipline);
        for stream in [0, 0, 1, 1, 2] {
            outbound.push(stream, message(b"ab")).unwrap();
        }
        outbound
    };
    let mut by_message = fill(false, Discipline::RoundRobin);
    assert_eq!(
        turns(&mut by_message, 1, 99),
        [0, 0, 1, 1, 2, 2, 0, 0, 1, 1]
    );
    let mut by_fragment = fill(true, Discipline::RoundRobin);
    assert_eq!(
        turns(&mut by_fragment, 1, 99),
        [0, 1, 2, 0, 1, 2, 0, 1, 0, 1]
    );
    let mut by_packet = fill(true, Discipline::RoundRobinPacket);
    assert_eq!(turns(&mut by_packet, 1, 3), [0, 0, 0]);
    by_packet.packet_done();
    assert_eq!(turns(&mut by_packet, 1, 2), [1, 1]);
    by_packet.packet_done();
    assert_eq!(turns(&mut by_packet, 1, 2), [2, 2]);
    by_packet.packet_done();
    assert_eq!(turns(&mut by_packet, 1, 99), [0, 1, 1]);
}

/// RFC 8260 §3.4: the smaller value goes first; equals take turns.
#[test]
fn priority() {
    let mut outbound = Outbound::new(3, true);
    outbound.set_discipline(Discipline::Priority);
    assert!(outbound.set_value(0, 5) && outbound.set_value(1, 5) && outbound.set_value(2, 1));
    assert!(!outbound.set_value(3, 1));
    assert_eq!((outbound.value(2), outbound.value(3)), (Some(1), None));
    outbound.push(0, message(b"abc")).unwrap();
    outbound.push(1, message(b"abc")).unwrap();
    assert_eq!(turns(&mut outbound, 1, 2), [0, 1]);
    outbound.push(2, message(b"ab")).unwrap();
    assert_eq!(turns(&mut outbound, 1, 99), [2, 2, 0, 1, 0, 1]);
}

/// RFC 8260 §3.5 and §3.6: bytes are shared, evenly or by weight.
#[test]
fn bandwidth_is_shared() {
    let mut outbound = Outbound::new(2, true);
    outbound.set_discipline(Discipline::FairBandwidth);
    for _ in 0..40 {
        outbound.push(0, message(&[0; 100])).unwrap();
        outbound.push(1, message(&[0; 300])).unwrap();
    }
    let sent = turns(&mut outbound, 1000, 40);
    let bytes = |stream, len| len * sent.iter().filter(|s| **s == stream).count();
    assert!(bytes(0, 100).abs_diff(bytes(1, 300)) <= 300);

    let mut outbound = Outbound::new(2, true);
    outbound.set_discipline(Discipline::WeightedFair);
    outbound.set_value(0, 1);
    outbound.set_value(1, 3);
    for stream in [0, 1] {
        outbound.push(stream, message(&[0; 4000])).unwrap();
    }
    let sent = turns(&mut outbound, 100, 40);
    assert_eq!(sent.iter().filter(|s| **s == 1).count(), 30);
}

/// RFC 7496 §3.1: a message whose time is over, and that was not begun, leaves no hole.
#[test]
fn messages_expire() {
    let end = START + Duration::from_secs(1);
    let mut outbound = Outbound::new(1, false);
    outbound
        .push(0, with(Policy::Timed(end), b"begun"))
        .unwrap();
    outbound.push(0, with(Policy::Timed(end), b"late")).unwrap();
    outbound.push(0, message(b"kept")).unwrap();
    assert_eq!(text(&outbound.pop(2, START).unwrap()), "0#0B be");
    outbound.expire(end);
    let [unsent] = &outbound.take_unsent()[..] else {
        panic!("one message expires");
    };
    assert_eq!(
        (unsent.data.concat(), unsent.begun),
        (b"late".to_vec(), false)
    );
    assert_eq!(outbound.abandoned().timed.unsent, 1);
    assert_eq!(popped(&mut outbound, 9), ["0#0E gun", "0#1BE kept"]);
    assert!(Policy::Limited(2).is_over(START, 3) && !Policy::Limited(2).is_over(START, 2));
}

/// RFC 3758 §3.5 A5: the rest of a message that is given up is not sent.
#[test]
fn the_rest_is_abandoned() {
    let mut outbound = Outbound::new(2, false);
    outbound.push(0, message(b"abcdef")).unwrap();
    outbound.push(1, message(b"x")).unwrap();
    let fragment = outbound.pop(2, START).unwrap();
    assert!(outbound.abandon(0, fragment.message));
    assert!(outbound.take_unsent()[0].begun);
    assert_eq!(popped(&mut outbound, 9), ["1#0BE x"]);
    assert_eq!((outbound.queued(), outbound.messages()), (0, 0));
    assert!(!outbound.abandon(0, fragment.message));
}

/// RFC 7496 §3.3: room for what is more important.
#[test]
fn less_important_messages_make_room() {
    let mut outbound = Outbound::new(2, false);
    outbound
        .push(0, with(Policy::Priority(5), b"five"))
        .unwrap();
    outbound
        .push(0, with(Policy::Priority(9), b"nine"))
        .unwrap();
    outbound
        .push(1, with(Policy::Priority(7), b"seven"))
        .unwrap();
    assert_eq!(outbound.make_room(6, 5), 9);
    assert_eq!(outbound.make_room(6, 5), 0);
    assert_eq!(outbound.abandoned().priority.unsent, 2);
    assert_eq!(popped(&mut outbound, 9), ["0#0BE five"]);
}

/// RFC 6525 §5.1.2: while a stream is being reset, its messages wait; those under way go on.
#[test]
fn streams_pause_and_start_anew() {
    let mut outbound = Outbound::new(2, false);
    outbound.push(0, message(b"abcd")).unwrap();
    outbound.push(0, message(b"e")).unwrap();
    outbound.push(1, message(b"x")).unwrap();
    outbound.pop(2, START);
    outbound.pause(&[0], true);
    assert!(outbound.is_under_way(&[0]) && outbound.is_under_way(&[]));
    assert_eq!(popped(&mut outbound, 9), ["0#0E cd", "1#0BE x"]);
    assert!(!outbound.is_under_way(&[0]) && outbound.has_queued(0));
    outbound.reset_streams(&[0]);
    outbound.pause(&[0], false);
    outbound.push(1, message(b"y")).unwrap();
    assert_eq!(popped(&mut outbound, 9), ["0#0BE e", "1#1BE y"]);
    outbound.pause(&[], true);
    outbound.push(1, message(b"z")).unwrap();
    assert_eq!(outbound.next_len(9), None);
    outbound.pause(&[], false);
    assert_eq!(popped(&mut outbound, 9), ["1#2BE z"]);
    assert!(outbound.add_streams(5) && !outbound.add_streams(65_535));
    outbound.push(6, message(b"gone")).unwrap();
    assert_eq!(outbound.set_streams(2)[0].data.concat(), b"gone");
    assert!(outbound.is_empty());
}

#[test]
fn there_is_a_limit_of_messages() {
    let mut outbound = Outbound::new(1, false);
    for _ in 0..MESSAGES_MAX {
        outbound.push(0, message(b"x")).unwrap();
    }
    assert_eq!(outbound.push(0, message(b"x")), Err(Refusal::Full));
}

proptest! {
    /// Whatever the scheduler: all bytes of each stream, in order; without interleaving one
    /// message at a time.
    #[test]
    fn all_is_sent_in_order(
        messages in prop::collection::vec((0u16..5, 1usize..50, any::<bool>()), 1..60),
        number in 0u32..6,
        interleaving: bool,
        most in 1usize..20,
        packet in 1usize..9,
    ) {
        let mut outbound = Outbound::new(5, interleaving);
        outbound.set_discipline(Discipline::from_number(number).unwrap());
        let mut expected = vec![vec![]; 5];
        for (index, (stream, len, unordered)) in messages.iter().enumerate() {
            outbound.set_value(*stream, *stream + 1);
            let bytes: Vec<u8> = (0..*len).map(|n| (index * 7 + n) as u8).collect();
            expected[usize::from(*stream)].extend(&bytes);
            outbound.push(*stream, Outgoing { unordered: *unordered, ..message(&bytes) }).unwrap();
        }
        let mut got = vec![vec![]; 5];
        let mut open: Option<u64> = None;
        let mut count = 0;
        while let Some(fragment) = outbound.pop(most, START) {
            prop_assert!(fragment.data.len() <= most);
            if !interleaving {
                prop_assert_eq!(open.is_none(), fragment.begin);
                prop_assert!(open.is_none_or(|message| message == fragment.message));
                open = (!fragment.end).then_some(fragment.message);
            }
            got[usize::from(fragment.stream)].extend_from_slice(&fragment.data);
            count += 1;
            if count % packet == 0 { outbound.packet_done() }
        }
        prop_assert_eq!(got, expected);
        prop_assert_eq!((outbound.queued(), outbound.messages()), (0, 0));
    }
}
