//! Traces of sending: Nagle, silly windows, probes, loss recovery.

use super::stage::{Stage, ack};
use core::time::Duration;
use sockeye_core::{Config, Error, OptionValue, Readiness, SocketOption};
use sockeye_wire::tcp_options::Options;

#[test]
fn slow_start_sends_ten_segments_and_then_two_for_each_that_is_acknowledged() {
    let mut s = Stage::plain();
    s.window = 60_000;
    s.arrives(ack(1, 1));
    s.write(28_000).unwrap();
    // RFC 6928 §2: 10 segments of 1000 bytes.
    let first = s.sent();
    assert_eq!(first.len(), 10);
    assert_eq!(first[0], ". 1:1001 ack 1");
    assert_eq!(first[9], ". 9001:10001 ack 1");
    s.wait(20);
    s.arrives(ack(1, 2001));
    assert_eq!(s.sent().len(), 4);
    assert_eq!(s.info().cwnd, 12_000);
}

#[test]
fn nagle_holds_a_small_segment_while_another_is_out() {
    let mut s = Stage::plain();
    s.write(10).unwrap();
    assert_eq!(s.sent(), ["P. 1:11 ack 1"]);
    s.write(10).unwrap();
    s.write(10).unwrap();
    assert_eq!(s.sent(), [""; 0]);
    s.arrives(ack(1, 11));
    assert_eq!(s.sent(), ["P. 11:31 ack 1"]);
    // Full segments do not wait, and the rest of a large write does not wait for them.
    s.arrives(ack(1, 31));
    s.write(2500).unwrap();
    let out = s.sent();
    assert_eq!(
        out,
        [". 31:1031 ack 1", ". 1031:2031 ack 1", "P. 2031:2531 ack 1"]
    );
    // TCP_NODELAY.
    s.write(10).unwrap();
    assert_eq!(s.sent(), [""; 0]);
    s.set(SocketOption::NoDelay, OptionValue::Flag(true));
    assert_eq!(s.sent(), ["P. 2531:2541 ack 1"]);
    s.write(1).unwrap();
    assert_eq!(s.sent(), ["P. 2541:2542 ack 1"]);
}

#[test]
fn cork_holds_what_is_not_full_for_200_ms_at_most() {
    let mut s = Stage::plain();
    s.set(SocketOption::Cork, OptionValue::Flag(true));
    s.write(1100).unwrap();
    assert_eq!(s.sent(), [". 1:1001 ack 1"]);
    s.arrives(ack(1, 1001));
    s.wait(199);
    assert_eq!(s.sent(), [""; 0]);
    s.wait(1);
    assert_eq!(s.sent(), ["P. 1001:1101 ack 1"]);
    s.arrives(ack(1, 1101));
    s.write(5).unwrap();
    assert_eq!(s.sent(), [""; 0]);
    s.set(SocketOption::Cork, OptionValue::Flag(false));
    assert_eq!(s.sent(), ["P. 1101:1106 ack 1"]);
}

#[test]
fn a_window_that_opens_in_crumbs_is_not_used_in_crumbs() {
    let mut s = Stage::plain();
    s.window = 2000;
    s.arrives(ack(1, 1));
    s.write(5000).unwrap();
    assert_eq!(s.sent(), [". 1:1001 ack 1", ". 1001:2001 ack 1"]);
    // 100 more: neither a segment nor half of the largest window (10,000).
    s.window = 100;
    s.arrives(ack(1, 2001));
    assert_eq!(s.sent(), [""; 0]);
    // RFC 9293 §3.8.6.2.1 (4): the override.
    s.wait(250);
    assert_eq!(s.sent(), [". 2001:2101 ack 1"]);
}

#[test]
fn a_closed_window_is_probed_for_as_long_as_the_peer_answers() {
    let mut s = Stage::plain();
    s.write(1000).unwrap();
    s.sent();
    s.window = 0;
    s.wait(10);
    s.arrives(ack(1, 1001));
    s.write(3000).unwrap();
    assert_eq!(s.sent(), [""; 0]);
    // The first probe after an RTO (200 ms and the round trip), then twice as long each time.
    let mut gaps = Vec::new();
    for _ in 0..40 {
        let start = s.now();
        while s.sent().is_empty() {
            s.wait(1);
            assert!(s.now() - start < Duration::from_secs(130));
        }
        gaps.push((s.now() - start).as_millis());
        s.arrives(ack(1, 1001));
    }
    assert!((200..300).contains(&gaps[0]), "{gaps:?}");
    assert!(
        gaps.windows(2)
            .take(8)
            .all(|g| (2 * g[0]).abs_diff(g[1]) <= 2),
        "{gaps:?}"
    );
    assert_eq!(gaps[39], 120_000);
    assert_eq!(s.state(), "ESTABLISHED");
    // It opens, and the probe's byte was not taken.
    s.window = 2000;
    s.arrives(ack(1, 1001));
    assert_eq!(s.sent(), [". 1001:2001 ack 1", ". 2001:3001 ack 1"]);
}

#[test]
fn a_probe_carries_one_byte_that_may_be_accepted() {
    let mut s = Stage::plain();
    s.window = 0;
    s.arrives(ack(1, 1));
    s.write(10).unwrap();
    s.wait(250);
    assert_eq!(s.sent(), [". 1:2 ack 1"]);
    s.window = 100;
    s.arrives(ack(1, 2));
    assert_eq!(s.sent(), ["P. 2:11 ack 1"]);
    s.arrives(ack(1, 11));
    s.wait(10_000);
    assert_eq!(s.sent(), [""; 0]);
}

#[test]
fn a_peer_that_answers_no_probe_is_given_up() {
    let config = Config {
        tcp_retries2: 4,
        ..Config::default()
    };
    let mut s = Stage::connected(config, Options::default());
    s.window = 0;
    s.arrives(ack(1, 1));
    s.write(10).unwrap();
    s.wait(60_000);
    assert_eq!(s.sent().len(), 4);
    assert_eq!(s.state(), "CLOSED");
    assert_eq!(s.error(), Some(Error::TimedOut));
}

#[test]
fn a_window_that_shrinks_stops_new_data_and_is_survived() {
    let mut s = Stage::plain();
    s.write(3000).unwrap();
    assert_eq!(s.sent().len(), 3);
    s.write(5000).unwrap();
    s.sent();
    // Two segments arrived; the peer takes back the rest of its window: U is negative.
    s.window = 500;
    s.arrives(ack(1, 2001));
    assert_eq!(s.sent(), [""; 0]);
    s.wait(400);
    // RFC 9293 §3.8.6 (SHLD-16): what lies within the window goes again.
    let again = s.sent();
    assert_eq!(again[0], ". 2001:2501 ack 1");
    s.window = 10_000;
    s.arrives(ack(1, 2501));
    assert!(!s.sent().is_empty());
    assert_eq!(s.state(), "ESTABLISHED");
}

#[test]
fn three_duplicates_send_the_segment_again_at_once() {
    let mut s = Stage::plain();
    s.write(10_000).unwrap();
    assert_eq!(s.sent().len(), 10);
    s.window = 20_000;
    s.arrives(ack(1, 1001));
    s.write(20_000).unwrap();
    assert_eq!(s.sent().len(), 2); // cwnd 11,000, 9000 out
    s.wait(5);
    // RFC 3042: each of the first two lets one new segment out.
    s.arrives(ack(1, 1001));
    assert_eq!(s.sent(), [". 12001:13001 ack 1"]);
    s.arrives(ack(1, 1001));
    assert_eq!(s.sent(), [". 13001:14001 ack 1"]);
    // RFC 5681 §3.2 (2), (3): the third sends the lost one again; ssthresh is half of what is out.
    s.arrives(ack(1, 1001));
    assert_eq!(s.sent(), [". 1001:2001 ack 1"]);
    let info = s.info();
    assert_eq!(
        (info.ssthresh, info.cwnd, info.retransmitted),
        (6500, 6500, 1)
    );
    // (4): each further one is a segment that has left the network.
    for _ in 0..4 {
        s.arrives(ack(1, 1001));
        assert_eq!(s.sent(), [""; 0]);
    }
    s.arrives(ack(1, 1001));
    assert_eq!(s.sent(), [". 14001:15001 ack 1"]);
    // RFC 6582: a partial acknowledgment sends the next hole again.
    s.arrives(ack(1, 5001));
    assert_eq!(s.sent()[0], ". 5001:6001 ack 1");
    // A full one ends it.
    s.arrives(ack(1, 14_001));
    let info = s.info();
    assert!(info.cwnd <= 6500, "{}", info.cwnd);
    assert_eq!(info.retransmitted, 2);
}

#[test]
fn a_time_out_sends_one_segment_and_backs_off() {
    let mut s = Stage::plain();
    s.write(5000).unwrap();
    assert_eq!(s.sent().len(), 5);
    let mut gaps = Vec::new();
    for _ in 0..5 {
        let start = s.now();
        let out = loop {
            s.wait(1);
            let out = s.sent();
            if !out.is_empty() {
                break out;
            }
        };
        assert_eq!(out, [". 1:1001 ack 1"]);
        gaps.push((s.now() - start).as_millis());
    }
    // The handshake took no time here: the RTO is its margin.
    assert_eq!(gaps, [200, 400, 800, 1600, 3200]);
    assert_eq!(s.info().cwnd, 1000);
    // Slow start over what was outstanding.
    s.arrives(ack(1, 1001));
    assert_eq!(s.sent(), [". 1001:2001 ack 1", ". 2001:3001 ack 1"]);
    assert_eq!(s.info().backoff, 0);
    // The rest had arrived: nothing more to send again.
    s.arrives(ack(1, 5001));
    assert_eq!(s.sent(), [""; 0]);
    s.wait(5000);
    assert_eq!(s.sent(), [""; 0]);
}

#[test]
fn a_silent_peer_is_given_up_after_retries2_and_the_user_time_out_comes_before() {
    let mut s = Stage::plain();
    s.write(100).unwrap();
    s.wait(3_600_000);
    assert_eq!(s.sent().len(), 16);
    assert_eq!(s.state(), "CLOSED");
    assert!(s.ready().contains(Readiness::ERROR | Readiness::HANGUP));
    assert_eq!(s.error(), Some(Error::TimedOut));

    let mut s = Stage::plain();
    let timeout = OptionValue::Time(Some(Duration::from_secs(3)));
    s.set(SocketOption::UserTimeout, timeout);
    s.write(100).unwrap();
    s.wait(2900);
    assert_eq!(s.state(), "ESTABLISHED");
    s.wait(4000);
    assert_eq!(s.state(), "CLOSED");
    assert_eq!(s.error(), Some(Error::TimedOut));
}

#[test]
fn after_idling_it_starts_slowly_again() {
    let mut s = Stage::plain();
    s.window = 60_000;
    s.arrives(ack(1, 1));
    let mut sent = 0;
    for _ in 0..4 {
        s.write(20_000).unwrap();
        sent += s.headers().iter().map(|(_, len)| *len as u32).sum::<u32>();
        s.wait(1);
        s.arrives(ack(1, 1 + sent));
        sent += s.headers().iter().map(|(_, len)| *len as u32).sum::<u32>();
        s.arrives(ack(1, 1 + sent));
    }
    assert!(s.info().cwnd > 20_000);
    s.wait(5000);
    s.write(30_000).unwrap();
    // RFC 5681 §4.1: the restart window is the initial one.
    assert_eq!(s.sent().len(), 10);
    assert_eq!(s.info().cwnd, 10_000);
}

#[test]
fn the_fin_waits_for_the_text_and_goes_again() {
    let mut s = Stage::plain();
    s.window = 1500;
    s.arrives(ack(1, 1));
    s.write(2000).unwrap();
    s.pair.shutdown_write(super::pair::A, s.id);
    assert_eq!(s.sent(), [". 1:1001 ack 1"]);
    assert_eq!(s.state(), "FIN-WAIT-1");
    s.arrives(ack(1, 1001));
    assert_eq!(s.sent(), ["FP. 1001:2001 ack 1"]);
    s.wait(250);
    assert_eq!(s.sent(), ["FP. 1001:2001 ack 1"]);
    s.arrives(ack(1, 2001));
    s.wait(700);
    assert_eq!(s.sent()[0], "F. 2001:2001 ack 1");
    s.arrives(ack(1, 2002));
    assert_eq!(s.state(), "FIN-WAIT-2");
}

#[test]
fn blocks_of_a_peer_count_as_duplicates_though_the_window_moves() {
    let mut s = Stage::with_sack();
    s.write(8000).unwrap();
    assert_eq!(s.sent().len(), 8);
    for n in 1..=3u32 {
        s.window -= 100;
        s.arrives(ack(1, 1).sack(s.iss, &[(1001, 1001 + 1000 * n)]));
    }
    assert_eq!(s.sent(), [". 1:1001 ack 1"]);
    // Without blocks a changed window is an update, no duplicate.
    let mut s = Stage::plain();
    s.write(8000).unwrap();
    s.sent();
    for _ in 0..5 {
        s.window += 100;
        s.arrives(ack(1, 1));
    }
    assert_eq!(s.sent(), [""; 0]);
}

#[test]
fn a_stream_that_comes_by_its_initial_number_again_sends_no_syn() {
    let mut s = Stage::plain();
    let id = s.id;
    let (tcp, _) = s.host();
    // As after 2^32 - 1 bytes.
    let tcb = tcp.sockets.get_mut(id).unwrap().tcb_mut().unwrap();
    let iss = tcb.snd.iss;
    (tcb.snd.una, tcb.snd.nxt, tcb.snd.small) = (iss, iss, iss);
    tcb.queue = crate::send_queue::SendQueue::new(iss);
    s.write(10).unwrap();
    assert_eq!(s.sent(), ["P. 0:10 ack 1"]);
    s.wait(250);
    assert_eq!(s.sent(), ["P. 0:10 ack 1"]);
}
