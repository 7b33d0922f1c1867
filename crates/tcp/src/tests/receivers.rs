//! Receivers that lie, for more than their share of the path or to keep the sender busy: what each of them
//! can get has a limit.

use super::pair::A;
use super::stage::{Stage, ack};
use crate::challenge_ack;
use crate::recovery::alert::RENEGING_WAIT;
use crate::rtt::{RTO_MAX, RTO_MIN};
use core::time::Duration;
use sockeye_core::{Config, Counter, OptionValue, SocketOption};
use sockeye_wire::tcp_options::{Options, Timestamps};

const MSS: u32 = 1000;

fn stage(options: Options) -> Stage {
    let config = Config {
        tcp_congestion: "reno".into(),
        ..Config::default()
    };
    let options = Options {
        mss: Some(MSS as u16),
        ..options
    };
    let mut s = Stage::connected(config, options);
    s.set(SocketOption::SendBuffer, OptionValue::Int(400_000));
    s.window = 60_000;
    s.arrives(ack(1, 1));
    s
}

fn count(s: &Stage, counter: Counter) -> u64 {
    s.pair.hosts[A].parts.counters.get(counter)
}

/// Bytes of text that have left since the last time.
fn text_sent(s: &mut Stage) -> usize {
    s.headers().iter().map(|(_, len)| len).sum()
}

/// RFC 3465 §2.1: the window grows by the bytes that are acknowledged, not by the acknowledgments.
#[test]
fn dividing_acknowledgments_gains_nothing() {
    let mut s = stage(Options::default());
    s.write(200_000).unwrap();
    assert_eq!(text_sent(&mut s), 10_000);
    for acked in 2..=10_001 {
        s.arrives(ack(1, acked));
    }
    // As if each had come for a segment: twice the window, and what it let out.
    assert_eq!(s.info().cwnd, 20_000);
    assert_eq!(text_sent(&mut s), 20_000);
}

/// RFC 5961 §5.2: what acknowledges text that was never sent changes nothing; it is answered, but
/// no more often than challenges are.
#[test]
fn acknowledging_what_was_not_sent_gains_nothing() {
    let mut s = stage(Options::default());
    s.write(200_000).unwrap();
    let sent = text_sent(&mut s) as u32;
    for n in 0..10_000 {
        s.arrives(ack(1, 1 + sent + 1 + n));
    }
    let answers = s.headers();
    assert!(answers.iter().all(|(_, len)| *len == 0), "no text leaves");
    assert!(
        answers.len() <= usize::from(challenge_ack::BURST),
        "{}",
        answers.len()
    );
    assert_eq!((s.info().cwnd, s.info().unacked), (10_000, 10));
}

/// RFC 5681 §3.2 inflates the window by a segment for each duplicate: here no more of them count
/// than segments are out.
#[test]
fn duplicates_stand_for_no_more_than_what_is_out() {
    let mut s = stage(Options::default());
    s.write(200_000).unwrap();
    assert_eq!(text_sent(&mut s), 10_000);
    s.wait(5);
    let mut most = 0;
    for _ in 0..10_000 {
        s.arrives(ack(1, 1));
        most = most.max(s.info().unacked);
    }
    // What may follow by limited transmit (RFC 3042) and while the window comes down to the half.
    assert!(text_sent(&mut s) <= 10_000);
    assert!(most <= 20, "{most} segments out");
}

/// RFC 2018 §8: a peer that takes back what it reported makes the timer come soon, but not at once,
/// and each time is a time-out for the window.
#[test]
fn reneging_again_and_again_is_no_faster_than_its_timer() {
    let mut s = stage(Options {
        sack_permitted: true,
        ..Options::default()
    });
    s.write(200_000).unwrap();
    text_sent(&mut s);
    let began = s.now();
    let mut una = 1;
    for _ in 0..100 {
        s.wait(1);
        // Two segments behind a hole; then the hole is filled, and they are not there.
        let report = ack(1, una).sack(s.iss, &[(una + MSS, una + 3 * MSS)]);
        s.arrives(report);
        una += MSS;
        s.arrives(ack(1, una));
        for _ in 0..50 {
            if s.info().total_rto > 0 && s.info().unacked >= 4 {
                break;
            }
            s.wait(1);
        }
        s.forget();
    }
    let passed = s.now() - began;
    let most = passed.as_micros() / RENEGING_WAIT.as_micros() + 1;
    let times = count(&s, Counter::TcpExtTCPSACKReneging);
    assert!(times > 0, "it was not noticed");
    assert!(u128::from(times) <= most, "{times} times in {passed:?}");
    assert!(s.info().cwnd <= 10_000, "{}", s.info().cwnd);
}

/// RFC 7323 §4.1: a timestamp from the future, or from long ago, measures nothing; others leave the
/// time-out within its bounds.
#[test]
fn forged_echoes_leave_the_time_out_within_its_bounds() {
    let mut s = stage(Options {
        timestamps: Some(Timestamps { tsval: 1, tsecr: 0 }),
        ..Options::default()
    });
    let mut acked = 1;
    for tsecr in [1, u32::MAX, 1 << 31, 0x1234_5678].repeat(50) {
        s.write(MSS as usize).unwrap();
        s.forget();
        // The time-out and its copy: only the echo can tell the round trip.
        let rto = s.info().rto;
        assert!((RTO_MIN..=RTO_MAX).contains(&rto), "{rto:?}");
        s.wait(rto.as_millis() as u64 + 10);
        acked += MSS;
        let mut segment = ack(1, acked);
        segment.options.timestamps = Some(Timestamps { tsval: 0, tsecr });
        s.arrives(segment);
        let srtt = s.info().srtt.unwrap_or_default();
        assert!(srtt <= Duration::from_secs(120), "{srtt:?}");
    }
}
