//! Traces of sending: Nagle, silly windows, probes, loss recovery.

use super::pair::A;
use super::stage::{Stage, ack};
use crate::CaState;
use crate::SendFlags;
use core::time::Duration;
use sockeye_core::{Config, Error, OptionValue, Readiness, SocketOption};
use sockeye_wire::tcp_options::{Options, Timestamps};

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
    assert_eq!(first[9], "P. 9001:10001 ack 1");
    s.wait(20);
    s.arrives(ack(1, 2001));
    assert_eq!(s.sent().len(), 4);
    assert_eq!(s.info().cwnd, 12_000);
}

/// RFC 9293 §3.7.4, §3.9.1.2 (MAY-16, SHLD-27, SHLD-28, MUST-61): what is small goes together, pushed once.
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
        [
            ". 31:1031 ack 1",
            "P. 1031:2031 ack 1",
            "P. 2031:2531 ack 1"
        ]
    );
    // TCP_NODELAY.
    s.write(10).unwrap();
    assert_eq!(s.sent(), [""; 0]);
    s.set(SocketOption::NoDelay, OptionValue::Flag(true));
    assert_eq!(s.sent(), ["P. 2531:2541 ack 1"]);
    s.write(1).unwrap();
    assert_eq!(s.sent(), ["P. 2541:2542 ack 1"]);
}

/// RFC 9293 §3.9.1.2 (MUST-60): not for ever.
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

/// send(2), MSG_MORE: it holds back what does not fill a segment, until the peer is heard or 200 ms have
/// gone; the end of a SEND that says it is not pushed (RFC 9293 §3.9.1.2).
#[test]
fn more_that_follows_is_waited_for() {
    const MORE: SendFlags = SendFlags {
        urgent: false,
        end_of_record: false,
        more: true,
    };
    let mut s = Stage::plain();
    s.set(SocketOption::NoDelay, OptionValue::Flag(true));
    s.write_with(40, MORE).unwrap();
    s.wait(199);
    assert_eq!(s.sent(), [""; 0]);
    s.wait(1);
    assert_eq!(s.sent(), ["P. 1:41 ack 1"]);
    s.arrives(ack(1, 41));
    s.write_with(1100, MORE).unwrap();
    assert_eq!(s.sent(), [". 41:1041 ack 1"]);
    s.arrives(ack(1, 1041));
    assert_eq!(s.sent(), [". 1041:1141 ack 1"]);
    s.arrives(ack(1, 1141));
    s.write_with(10, MORE).unwrap();
    s.write(10).unwrap();
    assert_eq!(s.sent(), ["P. 1141:1161 ack 1"]);
}

/// send(2), MSG_EOR: nothing travels in one segment with what lies behind the end of a record, neither
/// the first time nor again.
#[test]
fn a_record_ends_a_segment() {
    const RECORD: SendFlags = SendFlags {
        urgent: false,
        end_of_record: true,
        more: false,
    };
    let mut s = Stage::with_sack();
    s.write_with(1400, RECORD).unwrap();
    s.write_with(300, RECORD).unwrap();
    s.write(200).unwrap();
    let sent = [". 1:1001 ack 1", "P. 1001:1401 ack 1", "P. 1401:1701 ack 1"];
    assert_eq!(s.sent(), sent);
    let iss = s.iss;
    s.arrives(ack(1, 1001).sack(iss, &[(1401, 1701)]));
    s.wait(1000);
    let sent = s.sent();
    assert!(sent.contains(&"P. 1001:1401 ack 1".to_owned()), "{sent:?}");
    assert!(!sent.iter().any(|s| s.contains("1001:1701")), "{sent:?}");
}

/// Ends that are kept in what is unsent take room: who waits for it hears of it also as they leave.
#[test]
fn room_that_sending_makes_is_told() {
    const RECORD: SendFlags = SendFlags {
        urgent: false,
        end_of_record: true,
        more: false,
    };
    let mut s = Stage::plain();
    s.arrives(ack(1, 1));
    while s.write_with(100, RECORD).is_ok() {}
    let ready = |s: &mut Stage| s.ready().contains(Readiness::WRITABLE);
    assert!(!ready(&mut s));
    let told = |s: &mut Stage| {
        let queue = &mut s.pair.hosts[A].parts.ready;
        std::iter::from_fn(|| queue.pop()).any(|(_, what)| what.contains(Readiness::WRITABLE))
    };
    told(&mut s);
    s.pair.pump();
    assert!(ready(&mut s) && told(&mut s));
}

/// RFC 9293 §3.8.6.2.1 (MUST-38).
#[test]
fn a_window_that_opens_in_crumbs_is_not_used_in_crumbs() {
    let mut s = Stage::plain();
    s.window = 2000;
    s.arrives(ack(1, 1));
    s.write(5000).unwrap();
    assert_eq!(s.sent(), [". 1:1001 ack 1", "P. 1001:2001 ack 1"]);
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
    // It opens.
    s.window = 2000;
    s.arrives(ack(1, 1001));
    assert_eq!(s.sent(), [". 1001:2001 ack 1", "P. 2001:3001 ack 1"]);
}

#[test]
fn a_probe_asks_from_before_the_window_and_what_waits_follows_its_answer() {
    let mut s = Stage::plain();
    s.window = 0;
    s.arrives(ack(1, 1));
    s.write(10).unwrap();
    s.wait(250);
    assert_eq!(s.sent(), [". 0:0 ack 1"]);
    s.window = 100;
    s.arrives(ack(1, 1));
    assert_eq!(s.sent(), ["P. 1:11 ack 1"]);
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

/// RFC 7323 §4.1: an echo measures what was sent again, too; one from the future measures nothing.
#[test]
fn an_echoed_timestamp_measures_the_round_trip() {
    let options = Options {
        mss: Some(1000),
        timestamps: Some(Timestamps { tsval: 1, tsecr: 0 }),
        ..Options::default()
    };
    for (ahead, measured) in [(0, Some(170)), (1000, None)] {
        let mut s = Stage::connected(Config::default(), options);
        s.write(500).unwrap();
        s.sent();
        // The copy leaves after 200 ms.
        s.wait(300);
        let (copy, _) = s.headers().pop().unwrap();
        assert_eq!(s.iss.bytes_to(copy.seq), 1, "it went again");
        let latest = s.info().rtt_latest;
        s.wait(70);
        let mut echo = ack(1, 501);
        echo.options.timestamps = Some(Timestamps {
            tsval: 1,
            tsecr: copy.options.timestamps.unwrap().tsval + ahead,
        });
        s.arrives(echo);
        let now = s.info().rtt_latest;
        assert_eq!((now != latest).then(|| now.unwrap().as_millis()), measured);
    }
}

#[test]
fn three_duplicates_send_the_segment_again_at_once() {
    let config = Config {
        tcp_congestion: "reno".into(),
        ..Config::default()
    };
    let options = Options {
        mss: Some(1000),
        ..Options::default()
    };
    let mut s = Stage::connected(config, options);
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
        (info.ca_state, info.ssthresh, info.retransmitted),
        (CaState::Recovery, 5000, 1)
    );
    // RFC 6937: of what each further one says to have left the network, half may follow.
    let mut sent = Vec::new();
    for _ in 0..5 {
        s.arrives(ack(1, 1001));
        sent.extend(s.sent());
    }
    assert_eq!(sent, [". 14001:15001 ack 1", ". 15001:16001 ack 1"]);
    // RFC 6582: a partial acknowledgment sends the next hole again.
    s.arrives(ack(1, 5001));
    assert_eq!(s.sent()[0], ". 5001:6001 ack 1");
    // A full one ends it.
    s.arrives(ack(1, 14_001));
    let info = s.info();
    assert!(info.cwnd <= 7000, "{}", info.cwnd);
    assert_eq!(info.retransmitted, 2);
}

#[test]
fn a_time_out_sends_one_segment_and_backs_off() {
    let config = Config {
        tcp_mtu_probing: 0,
        ..Config::default()
    };
    let options = Options {
        mss: Some(1000),
        ..Options::default()
    };
    let mut s = Stage::connected(config, options);
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
    assert_eq!(s.sent(), [". 1001:2001 ack 1", "P. 2001:3001 ack 1"]);
    // Nothing could be measured: the time-out stays what it was (RFC 6298 §3).
    assert_eq!(s.info().backoff, 5);
    // The rest had arrived: nothing more to send again.
    s.arrives(ack(1, 5001));
    assert_eq!(s.sent(), [""; 0]);
    s.wait(5000);
    assert_eq!(s.sent(), [""; 0]);
    s.write(100).unwrap();
    s.sent();
    s.arrives(ack(1, 5101));
    assert_eq!(s.info().backoff, 0);
}

/// RFC 9293 §3.8.3 (MUST-20, SHLD-11).
#[test]
fn a_silent_peer_is_given_up_after_retries2_and_the_user_time_out_comes_before() {
    let mut s = Stage::plain();
    s.write(100).unwrap();
    // Fifteen doublings of the least RTO, at most two minutes each, from the first sent again.
    s.wait(3_600_000);
    assert_eq!(s.sent().len(), 17);
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
    let config = Config {
        tcp_slow_start_after_idle: true,
        ..Config::default()
    };
    let options = Options {
        mss: Some(1000),
        ..Options::default()
    };
    let mut s = Stage::connected(config, options);
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
    // RFC 5681 §4.1: the restart window is the initial one; it counts before anything leaves.
    assert_eq!(s.info().cwnd, 10_000);
    assert_eq!(s.sent().len(), 10);
}

/// tcp(7), TCP_INFO: what is held up by both windows counts for the congestion window.
#[test]
fn it_is_told_which_window_is_in_the_way() {
    let mut s = Stage::plain();
    s.arrives(ack(1, 1));
    s.write(20_000).unwrap();
    assert_eq!((s.sent().len(), s.info().cwnd), (10, 10_000));
    s.wait(100);
    assert_eq!(s.info().rwnd_limited, Duration::ZERO);
    s.window = 5000;
    s.arrives(ack(1, 10_001));
    assert_eq!(s.sent().len(), 5);
    s.wait(50);
    assert_eq!(s.info().rwnd_limited, Duration::from_millis(50));
    assert_eq!(s.info().busy_time, Duration::from_millis(150));
}

/// RFC 7661 §4.4: what was not used is kept for five minutes, and then comes down.
#[test]
fn a_window_that_was_not_used_is_kept_for_a_while() {
    let mut s = Stage::plain();
    s.window = 60_000;
    s.arrives(ack(1, 1));
    let mut sent = 0;
    let mut round = |s: &mut Stage, len: usize| {
        s.write(len).unwrap();
        sent += s.headers().iter().map(|(_, len)| *len as u32).sum::<u32>();
        s.wait(1);
        s.arrives(ack(1, 1 + sent));
        sent += s.headers().iter().map(|(_, len)| *len as u32).sum::<u32>();
        s.arrives(ack(1, 1 + sent));
    };
    (0..4).for_each(|_| round(&mut s, 20_000));
    let cwnd = s.info().cwnd;
    assert!(cwnd > 20_000);
    s.wait(60_000);
    round(&mut s, 100);
    assert_eq!(s.info().cwnd, cwnd);
    for _ in 0..400 {
        s.wait(1000);
        round(&mut s, 100);
    }
    assert!(s.info().cwnd < cwnd / 2 + 1000, "{}", s.info().cwnd);
}

#[test]
fn the_fin_waits_for_the_text_and_goes_again() {
    let mut s = Stage::plain();
    s.window = 1500;
    s.arrives(ack(1, 1));
    s.write(2000).unwrap();
    s.pair.shutdown_write(A, s.id);
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
