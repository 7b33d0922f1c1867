//! Traces of receiving: acknowledgments, the window, what comes out of order.

use super::stage::{Peer, Stage, ack, peer, text};
use sockeye_core::{Config, Counter, OptionValue, Readiness, SocketOption};
use sockeye_wire::tcp::Flags;
use sockeye_wire::tcp_options::{Options, Timestamps};

/// RFC 9293 §3.8.6.3 (MUST-40, SHLD-18, SHLD-19), §3.10.7.4 (MUST-58).
#[test]
fn every_second_segment_is_acknowledged_and_a_single_one_after_40_ms() {
    let mut s = Stage::plain();
    s.set(SocketOption::QuickAck, OptionValue::Flag(false));
    s.arrives(text(1, 1, 1000));
    assert_eq!(s.sent(), [""; 0]);
    s.arrives(text(1001, 1, 1000));
    assert_eq!(s.sent(), [". 1:1 ack 2001"]);
    s.arrives(text(2001, 1, 1000));
    s.wait(39);
    assert_eq!(s.sent(), [""; 0]);
    s.wait(1);
    assert_eq!(s.sent(), [". 1:1 ack 3001"]);
    // What is sent anyway carries it.
    s.arrives(text(3001, 1, 10));
    s.write(5).unwrap();
    assert_eq!(s.sent(), ["P. 1:6 ack 3011"]);
    s.wait(100);
    assert_eq!(s.sent(), [""; 0]);
}

#[test]
fn a_new_connection_acknowledges_at_once() {
    let mut s = Stage::plain();
    for n in 0..16 {
        s.arrives(text(1 + n * 100, 1, 100));
        assert_eq!(s.sent().len(), 1, "segment {n}");
    }
    s.arrives(text(1601, 1, 100));
    assert_eq!(s.sent(), [""; 0]);
}

/// A peer that sends text again has a small window: it does not wait for acknowledgments that are put off.
#[test]
fn text_that_comes_twice_is_followed_by_acknowledgments_at_once() {
    let mut s = Stage::with_sack();
    s.set(SocketOption::QuickAck, OptionValue::Flag(false));
    s.arrives(text(1, 1, 1000));
    assert_eq!(s.sent(), [""; 0]);
    s.arrives(text(1, 1, 1000));
    assert_eq!(s.sent(), [". 1:1 ack 1001 sack 1:1001"]);
    for n in 1..=16 {
        s.arrives(text(1 + n * 1000, 1, 1000));
        assert_eq!(s.sent(), [format!(". 1:1 ack {}", 1001 + n * 1000)]);
    }
    s.arrives(text(17_001, 1, 1000));
    assert_eq!(s.sent(), [""; 0]);
}

#[test]
fn segments_that_come_together_are_acknowledged_together() {
    let mut s = Stage::plain();
    for n in 0..8 {
        s.arrives(text(1 + n * 1000, 1, 1000));
    }
    // RFC 9293 §3.10.7.4 (MUST-59): all are processed before one is sent.
    assert_eq!(s.sent(), [". 1:1 ack 8001"]);
}

#[test]
fn what_is_out_of_order_is_reported_and_waits() {
    let mut s = Stage::with_sack();
    s.arrives(text(1001, 1, 1000));
    assert_eq!(s.sent(), [". 1:1 ack 1 sack 1001:2001"]);
    s.arrives(text(3001, 1, 1000));
    assert_eq!(s.sent(), [". 1:1 ack 1 sack 3001:4001 sack 1001:2001"]);
    // RFC 2883 §4.1.1: what came twice is told first.
    s.arrives(text(3001, 1, 1000));
    let again = ". 1:1 ack 1 sack 3001:4001 sack 3001:4001 sack 1001:2001";
    assert_eq!(s.sent(), [again]);
    assert_eq!(s.info().out_of_order, 2000);
    assert_eq!(s.read(10), Err(sockeye_core::Error::WouldBlock));
    s.arrives(text(1, 1, 1000));
    assert_eq!(s.sent(), [". 1:1 ack 2001 sack 3001:4001"]);
    assert_eq!(s.read(10_000), Ok(2000));
    s.arrives(text(2001, 1, 1000));
    assert_eq!(s.sent(), [". 1:1 ack 4001"]);
    // And what is below RCV.NXT, too.
    s.arrives(text(3001, 1, 1000));
    assert_eq!(s.sent(), [". 1:1 ack 4001 sack 3001:4001"]);
    s.arrives(text(4001, 1, 10));
    assert_eq!(s.sent(), [". 1:1 ack 4011"]);
}

#[test]
fn a_segment_that_straddles_brings_only_what_is_new() {
    let mut s = Stage::plain();
    s.arrives(text(1, 1, 1000));
    s.arrives(text(501, 1, 1000));
    s.arrives(text(1401, 1, 1000));
    assert_eq!(s.read(10_000), Ok(2400));
    assert_eq!(s.sent(), [". 1:1 ack 2401"]);
}

#[test]
fn a_fin_before_its_text_waits_for_it() {
    let mut s = Stage::plain();
    s.arrives(Peer {
        flags: Flags::FIN | Flags::ACK,
        ..text(1001, 1, 500)
    });
    assert_eq!(s.state(), "ESTABLISHED");
    assert_eq!(s.sent(), [". 1:1 ack 1"]);
    s.arrives(text(1, 1, 1000));
    assert_eq!(s.state(), "CLOSE-WAIT");
    assert_eq!(s.sent(), [". 1:1 ack 1502"]);
    let ready = s.ready();
    assert!(ready.contains(Readiness::READABLE | Readiness::READ_CLOSED));
    assert!(!ready.contains(Readiness::HANGUP));
    assert_eq!(s.read(10_000), Ok(1500));
    assert_eq!(s.read(10), Ok(0));
    assert_eq!(s.read(10), Ok(0));
}

/// RFC 9293 §3.8.6.1 (MAY-8).
#[test]
fn the_window_closes_as_text_waits_and_opens_when_it_is_read() {
    let mut s = Stage::plain();
    s.set(SocketOption::ReceiveBuffer, OptionValue::Int(10_000));
    // Half of 20,000. What was offered before is not taken back; until it is used up.
    let window = |s: &mut Stage| s.headers().last().map(|(h, _)| h.window);
    let offered = s.info().rcv_wnd;
    let mut seq = 1;
    while seq < offered {
        let len = 1000.min(offered + 1 - seq);
        s.arrives(text(seq, 1, len as usize));
        seq += len;
        s.sent();
    }
    s.arrives(text(seq, 1, 10));
    assert_eq!(window(&mut s), Some(0));
    assert_eq!(s.info().rcv_wnd, 0);
    // A probe is answered, and its byte not taken.
    s.arrives(text(seq, 1, 1));
    assert_eq!(s.sent().len(), 1);
    let waiting = s.info().readable;
    assert_eq!(waiting as u32, offered);
    // Reading a little is not worth telling.
    s.read(waiting - 9900).unwrap();
    assert_eq!(s.sent(), [""; 0]);
    s.read(5000).unwrap();
    assert_eq!(window(&mut s), Some(5100));
    // The window is not zero: reading on is told once it doubles.
    s.read(1000).unwrap();
    assert_eq!(s.sent(), [""; 0]);
    s.read(3900).unwrap();
    assert_eq!(s.sent(), [""; 0]);
}

#[test]
fn text_beyond_the_window_is_cut_off() {
    let mut s = Stage::plain();
    let offered = s.info().rcv_wnd as usize;
    s.arrives(text(1, 1, offered + 5000));
    assert_eq!(s.info().readable, offered);
}

#[test]
fn an_old_timestamp_marks_an_old_duplicate() {
    let options = Options {
        timestamps: Some(Timestamps {
            tsval: 1000,
            tsecr: 0,
        }),
        ..Options::default()
    };
    let mut s = Stage::connected(Config::default(), options);
    s.tsval = Some(1010);
    s.arrives(text(1, 1, 10));
    let (header, _) = s.headers().pop().unwrap();
    assert_eq!(header.options.timestamps.unwrap().tsecr, 1010);
    // RFC 7323 §5.3 R1: dropped, and answered.
    s.tsval = Some(1005);
    s.arrives(text(11, 1, 10));
    assert_eq!(s.sent(), [". 1:1 ack 11"]);
    assert_eq!(s.info().readable, 10);
    assert_eq!(
        s.pair.hosts[0].parts.counters.get(Counter::TcpExtPAWSEstab),
        1
    );
    // RFC 7323 §3.2: one without a timestamp is dropped silently.
    s.tsval = None;
    s.arrives(text(11, 1, 10));
    assert_eq!(s.sent(), [""; 0]);
    assert_eq!(s.info().readable, 10);
    // A reset is not subject to it.
    s.arrives(peer(Flags::RST, 11, 0));
    assert_eq!(s.state(), "CLOSED");
}

/// RFC 9293 §3.1 (MUST-5): options come with any segment.
#[test]
fn the_timestamp_echoed_is_that_of_the_oldest_segment_not_acknowledged() {
    let options = Options {
        timestamps: Some(Timestamps { tsval: 1, tsecr: 0 }),
        ..Options::default()
    };
    let mut s = Stage::connected(Config::default(), options);
    s.set(SocketOption::QuickAck, OptionValue::Flag(false));
    let echoed = |s: &mut Stage| {
        let (header, _) = s.headers().pop().unwrap();
        header.options.timestamps.unwrap().tsecr
    };
    // RFC 7323 §4.3, the first example: delayed acknowledgments.
    s.tsval = Some(10);
    s.arrives(text(1, 1, 10));
    s.tsval = Some(20);
    s.arrives(text(11, 1, 10));
    assert_eq!(echoed(&mut s), 10);
    // The second: a hole; the timestamp of what advanced RCV.NXT last, until it is filled.
    s.tsval = Some(40);
    s.arrives(text(31, 1, 10));
    assert_eq!(echoed(&mut s), 10);
    s.tsval = Some(30);
    s.arrives(text(21, 1, 10));
    assert_eq!(echoed(&mut s), 30);
}

/// RFC 9293 §3.1 (REC-1).
#[test]
fn a_window_is_scaled_in_both_directions() {
    let options = Options {
        window_scale: Some(3),
        ..Options::default()
    };
    let mut s = Stage::connected(Config::default(), options);
    // RFC 7323 §2.2: not in the SYN.
    assert_eq!(s.info().snd_wnd, 10_000);
    s.arrives(ack(1, 1));
    assert_eq!(s.info().snd_wnd, 80_000);
    assert_eq!(s.info().window_scale, Some((3, 7)));
    // 6 MiB of buffer need a shift of 7; a window of 65,536 is 512 then.
    s.arrives(text(1, 1, 10));
    s.read(10).unwrap();
    let (header, _) = s.headers().pop().unwrap();
    assert!((500..=512).contains(&header.window), "{}", header.window);
}

#[test]
fn text_in_small_pieces_does_not_keep_large_buffers() {
    let mut s = Stage::plain();
    for n in 0..1000 {
        // Every second byte, so that nothing joins.
        s.arrives(text(2 + 2 * n, 1, 1));
    }
    let pinned = {
        let id = s.id;
        let (tcp, _) = s.host();
        tcp.sockets.get(id).unwrap().tcb().unwrap().pinned()
    };
    assert!(pinned <= 2 * 131_072, "{pinned}");
    assert_eq!(s.info().out_of_order, 1000);
}

/// RFC 7323 §5.5: after 24 days of silence the peer's clock may have come round.
#[test]
fn an_old_timestamp_is_believed_after_24_days() {
    let options = Options {
        timestamps: Some(Timestamps {
            tsval: 1000,
            tsecr: 0,
        }),
        ..Options::default()
    };
    const DAY_MS: u64 = 86_400_000;
    for (days, readable) in [(23, 0), (25, 10)] {
        let mut s = Stage::connected(Config::default(), options);
        s.wait(days * DAY_MS);
        s.tsval = Some(999);
        s.arrives(text(1, 1, 10));
        assert_eq!(s.info().readable, readable, "after {days} days");
    }
}

#[test]
fn a_forged_timestamp_does_not_make_the_rest_look_old() {
    let options = Options {
        timestamps: Some(Timestamps { tsval: 1, tsecr: 0 }),
        ..Options::default()
    };
    let mut s = Stage::connected(Config::default(), options);
    // Right by the sequence number, wrong by the acknowledgment, and from the future.
    s.tsval = Some(1_000_000);
    s.arrives(text(1, 1 << 30, 10));
    s.arrives(peer(Flags::RST, 2, 0));
    s.tsval = Some(5);
    s.arrives(text(1, 1, 10));
    assert_eq!(s.read(100), Ok(10));
}
