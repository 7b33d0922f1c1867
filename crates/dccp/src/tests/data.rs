//! Data goes both ways (RFC 4340 §8.2, §9, §14).

use super::pair::{A, B, Pair, Wire};
use core::time::Duration;
use proptest::prelude::*;
use sockeye_core::datagram::SendOptions;
use sockeye_core::{Counter, Error, OptionValue, SocketId, SocketOption};
use sockeye_wire::dccp::options::Meaning;
use std::io::IoSlice;

/// Sends `count` messages from `from`, each with its number, and gives back which arrived, in order.
fn transfer(pair: &mut Pair, from: usize, ids: [SocketId; 2], count: u32, size: usize) -> Vec<u32> {
    let to = 1 - from;
    let (mut next, mut got, mut quiet) = (0, Vec::new(), 0);
    while quiet < 200 {
        while next < count {
            let mut message = vec![next as u8; size];
            message[..4].copy_from_slice(&next.to_be_bytes());
            match pair.send(from, ids[from], &message) {
                Ok(n) => assert_eq!(n, size),
                Err(error) => {
                    assert_eq!(error, Error::WouldBlock);
                    break;
                }
            }
            next += 1;
        }
        while let Ok(message) = pair.recv(to, ids[to]) {
            let number = u32::from_be_bytes(message[..4].try_into().unwrap());
            assert_eq!(message.len(), size);
            assert!(message[4..].iter().all(|byte| *byte == number as u8));
            got.push(number);
            quiet = 0;
        }
        quiet = if next == count { quiet + 1 } else { 0 };
        if !pair.step() {
            break;
        }
    }
    got
}

#[test]
fn messages_keep_their_bounds_and_order() {
    let mut pair = Pair::new(Wire::default());
    let (a, b) = pair.connection();
    let got = transfer(&mut pair, A, [a, b], 500, 100);
    assert_eq!(got, (0..500).collect::<Vec<_>>());
    let got = transfer(&mut pair, B, [a, b], 500, 100);
    assert_eq!(got, (0..500).collect::<Vec<_>>());
    // RFC 4340 §5.4: a message of no bytes is one.
    pair.send(A, a, b"").unwrap();
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.recv(B, b), Ok(Vec::new()));
    assert_eq!(pair.recv(B, b), Err(Error::WouldBlock));
}

/// RFC 4340 §11.3: while a packet is missing, the next ones are acknowledged at once, so that it is found
/// lost; else every second one, or after a while.
#[test]
fn packets_behind_a_hole_are_acknowledged_at_once() {
    let mut pair = Pair::new(Wire::default());
    let (a, _) = pair.connection();
    pair.run_for(Duration::from_secs(1));
    let acks = |n| {
        pair.said();
        pair.lose = Box::new(move |_, _| n == 0);
        pair.send(A, a, b"data").unwrap();
        pair.run_for(Duration::from_millis(25));
        pair.said().iter().filter(|said| *said == "B Ack").count()
    };
    let acks: Vec<usize> = (0..7).map(acks).collect();
    assert_eq!(acks, [0, 1, 1, 1, 0, 1, 0]);
}

/// RFC 4341 §5.2, §6.1.2: a receiver without room brings the window down to a packet, and acknowledges that at
/// once; nobody waits for a second one. The Ack Ratio was two.
#[test]
fn a_window_of_one_packet_does_not_wait_for_a_second() {
    let mut pair = Pair::new(Wire {
        delay: Duration::from_micros(20),
        ..Wire::default()
    });
    let (a, b) = pair.connection();
    let message = [7; 1000];
    let fill = |pair: &mut Pair| while pair.send(A, a, &message).is_ok() {};
    let window = |pair: &mut Pair| {
        let (dccp, cx) = pair.host(A);
        dccp.info(&cx, a).unwrap().window
    };
    pair.run_until(|pair| {
        fill(pair);
        window(pair) == Some(1)
    });
    let before = pair.now;
    let mut got = 0;
    while got < 300 {
        fill(&mut pair);
        while pair.recv(B, b).is_ok() {
            got += 1;
        }
        assert!(pair.step());
    }
    // Not one delayed acknowledgement, 40 ms.
    assert!(
        pair.now - before < Duration::from_millis(40),
        "{:?}",
        pair.now - before
    );
}

/// RFC 4340 §7.5.2: acknowledgements count for the Sequence Window, too: one who but receives sends many.
#[test]
fn acknowledgements_widen_the_sequence_window() {
    let mut pair = Pair::new(Wire {
        delay: Duration::from_millis(50),
        byte: Duration::from_nanos(500),
        ..Wire::default()
    });
    let (a, b) = pair.connection();
    pair.record = false;
    let message = [7; 100];
    let windows = |pair: &mut Pair| {
        let (dccp, cx) = pair.host(B);
        let windows = dccp.info(&cx, b).unwrap().sequence_windows;
        windows.0
    };
    assert_eq!(windows(&mut pair), crate::conn::SEQUENCE_WINDOW);
    for _ in 0..40_000 {
        while pair.send(A, a, &message).is_ok() {}
        while pair.recv(B, b).is_ok() {}
        assert!(pair.step());
    }
    assert!(windows(&mut pair) >= 1000, "{}", windows(&mut pair));
    let counters = &pair.hosts[A].parts.counters;
    assert_eq!(counters.get(Counter::DccpInvalidSyncs), 0);
}

/// RFC 4340 §14.
#[test]
fn a_message_is_no_larger_than_the_path_carries() {
    let mut pair = Pair::new(Wire::default());
    let (a, b) = pair.connection();
    let (dccp, mut cx) = pair.host(A);
    let size = dccp.max_packet_size(&mut cx, a).unwrap();
    assert_eq!(size, 1500 - 20 - 24 - 32);
    assert_eq!(pair.send(A, a, &vec![0; size + 1]), Err(Error::MessageSize));
    let got = transfer(&mut pair, A, [a, b], 100, size);
    assert_eq!(got.len(), 100);
}

/// RFC 4341 §6: one acknowledgement for two packets, with Ack Vectors that stay short as they are
/// acknowledged themselves (§6.2).
/// RFC 4340 §11-1, §11.5-1 and §6.4-2: Ack Vectors, by an Ack Ratio.
/// RFC 4341 §4-1, §6-1 and §6.2-1: asked for, sent, and acknowledged.
#[test]
fn acknowledgements_are_few_and_short() {
    // Eight megabits a second, and a short queue.
    let mut pair = Pair::new(Wire {
        byte: Duration::from_micros(1),
        queue: 20_000,
        ..Wire::default()
    });
    let (a, b) = pair.connection();
    let got = transfer(&mut pair, A, [a, b], 2000, 500);
    assert!(got.len() > 1900, "{}", got.len());
    let acks = pair.log.iter().filter(|(from, _, _, _)| *from == B).count();
    assert!((900..1300).contains(&acks), "{acks}");
    let longest = pair
        .log
        .iter()
        .map(|(_, _, options, _)| options.len())
        .max();
    assert!(longest < Some(120), "{longest:?}");
}

/// RFC 4340 §9.2: what is not covered may arrive changed, but only where both ends have agreed.
#[test]
fn checksums_cover_as_much_as_was_agreed_on() {
    let coverage = |send: i32, receive: i32| {
        let mut pair = Pair::new(Wire::default());
        let (a, b) = pair.connection_with(
            &[(SocketOption::DccpSendCoverage, OptionValue::Int(send))],
            &[(SocketOption::DccpReceiveCoverage, OptionValue::Int(receive))],
        );
        pair.send(A, a, &[7; 100]).unwrap();
        pair.run_for(Duration::from_secs(1));
        let coverage = pair.log.iter().filter(|(_, _, _, data)| *data > 0);
        let said: Vec<u8> = coverage.map(|(_, header, _, _)| header.coverage).collect();
        (said, pair.recv(B, b).is_ok())
    };
    assert_eq!(coverage(0, 0), (vec![0], true));
    assert_eq!(coverage(2, 1), (vec![2], true));
    assert_eq!(coverage(1, 1), (vec![1], true));
    assert_eq!(coverage(1, 0), (vec![1], false));
}

/// RFC 4340 §7.6: 24 bits of the numbers of Data, Ack and DataAck.
/// RFC 4340 §7.6.1-1: by both, or not at all.
#[test]
fn short_sequence_numbers_are_agreed_on() {
    let short = |client: bool, server: bool| {
        let mut pair = Pair::new(Wire::default());
        let a = pair.socket(A, &[]);
        let listener = pair.socket(B, &[]);
        pair.host(A).0.set_short_sequences(a, client).unwrap();
        pair.host(B)
            .0
            .set_short_sequences(listener, server)
            .unwrap();
        pair.listen_on(listener, 1);
        pair.dial(a);
        let b = pair.accept(listener).unwrap();
        pair.run_for(Duration::from_millis(100));
        let got = transfer(&mut pair, A, [a, b], 150, 100);
        assert_eq!(got.len(), 150);
        let log = pair.log.iter();
        let short = log.filter(|(_, header, _, _)| !header.extended);
        short.count() > 150
    };
    assert!(short(true, true));
    assert!(!short(true, false) && !short(false, true) && !short(false, false));
}

/// RFC 4340 §9.3: corrupt data is not delivered, and told.
/// RFC 4340 §9.3-1, §9.3.1-1 and §9.3-4: checked, dropped, told.
#[test]
fn data_checksums_find_what_the_header_does_not_cover() {
    let mut pair = Pair::new(Wire::default());
    let one = OptionValue::Int(1);
    let a = pair.socket(A, &[(SocketOption::DccpSendCoverage, one.clone())]);
    let listener = pair.socket(B, &[(SocketOption::DccpReceiveCoverage, one)]);
    pair.listen_on(listener, 1);
    pair.host(A).0.set_data_checksum(a, true).unwrap();
    pair.dial(a);
    let b = pair.accept(listener).unwrap();
    pair.run_for(Duration::from_millis(100));
    pair.wire.corrupt = 500;
    let got = transfer(&mut pair, A, [a, b], 300, 1000);
    assert!((20..300).contains(&got.len()), "{}", got.len());
    assert!(pair.count_options(|m| matches!(m, Meaning::DataChecksum(_))) >= 300);
    assert!(pair.count_options(|m| matches!(m, Meaning::DataDropped(_))) > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The model: at most once, never corrupted (RFC 4340 §9.1-1 and §9.1-2), in the order received; and
    /// connections end.
    #[test]
    fn messages_arrive_at_most_once(
        loss in 0u32..200, duplicate in 0u32..200, reorder in 0u32..200, corrupt in 0u32..100,
        seed in any::<u8>(), both in any::<bool>(),
    ) {
        let mut pair = Pair::with(Wire::default(), sockeye_core::Config::default(), seed);
        let (a, b) = pair.connection();
        pair.wire = Wire { loss, duplicate, reorder, corrupt, ..Wire::default() };
        for from in [A, B].into_iter().take(1 + usize::from(both)) {
            let got = transfer(&mut pair, from, [a, b], 150, 300);
            let mut once = got.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), got.len());
            if reorder == 0 {
                prop_assert_eq!(once, got.clone());
            }
            if loss + corrupt == 0 {
                prop_assert_eq!(got.len(), 150);
            }
        }
        pair.close(A, a);
        pair.close(B, b);
        pair.run_dry();
        prop_assert!(pair.is_clean(A) && pair.is_clean(B));
    }
}

/// DCCP_SOCKOPT_QPOLICY_ID and _TXQLEN, with DCCP_SCM_PRIORITY: as Linux orders what waits, and what it gives
/// up for more.
#[test]
fn messages_leave_by_their_priority() {
    let options = |policy, length| {
        [
            (SocketOption::DccpQueuePolicy, OptionValue::Int(policy)),
            (SocketOption::DccpQueueLength, OptionValue::Int(length)),
        ]
    };
    let send = |pair: &mut Pair, id, byte: u8, priority| {
        let said = SendOptions {
            queue_priority: priority,
            ..SendOptions::NOTHING_SAID
        };
        let (dccp, mut cx) = pair.host(A);
        dccp.send(&mut cx, id, &[IoSlice::new(&[byte])], None, &said)
    };
    let mut pair = Pair::new(Wire::default());
    let (a, b) = pair.connection_with(&options(1, 4), &[]);
    pair.run_for(Duration::from_secs(1));
    for (byte, priority) in [
        (1, None),
        (2, Some(5)),
        (3, None),
        (4, Some(9)),
        (5, Some(1)),
    ] {
        assert_eq!(send(&mut pair, a, byte, priority), Ok(1));
    }
    pair.run_for(Duration::from_secs(1));
    let got: Vec<_> = core::iter::from_fn(|| pair.recv(B, b).ok()).collect();
    assert_eq!(got.concat(), [4, 2, 5, 3]);
    let given_up = pair.hosts[A]
        .parts
        .counters
        .get(Counter::DccpQueueOverflows);
    assert_eq!(given_up, 1);
    // Linux: EINVAL where the policy has none, EISCONN once there is a connection. A full queue that has no
    // priorities lets the user wait.
    let mut pair = Pair::new(Wire::default());
    let (a, _) = pair.connection_with(&options(0, 2), &[]);
    assert_eq!(send(&mut pair, a, 1, Some(0)), Err(Error::Invalid));
    let sent = [(); 3].map(|()| send(&mut pair, a, 1, None));
    assert_eq!(sent, [Ok(1), Ok(1), Err(Error::WouldBlock)]);
    let (dccp, mut cx) = pair.host(A);
    let by_priority = OptionValue::Int(1);
    let set = dccp.set_option(&mut cx, a, SocketOption::DccpQueuePolicy, by_priority);
    assert_eq!(set, Err(Error::IsConnected));
}
