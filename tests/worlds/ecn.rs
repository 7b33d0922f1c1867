//! A bottleneck that marks: whoever speaks ECN fills it and loses nothing.

use super::{at, plain};
use sockeye_core::{Config, Counter};
use sockeye_sim::app::bulk::{Sink, Source};
use sockeye_sim::{Cable, World};
use std::sync::atomic::Ordering;
use std::time::Duration;

const TIME: Duration = Duration::from_secs(10);
/// What the rate allows, Mbit/s of text.
const RATE: f64 = 95.6;

/// What a flow did in [`TIME`].
#[derive(Debug)]
struct Flow {
    /// Mbit/s of text.
    rate: f64,
    /// The last smoothed round-trip time.
    rtt: Duration,
    marks: u64,
    retransmissions: u64,
}

/// One flow at 100 Mbit/s and a round trip of 10 ms through a queue that marks what waits for more
/// than `threshold`.
fn flow(congestion: &str, tcp_ecn: u8, threshold: &str) -> Flow {
    let mut world = World::without_capture(3);
    let config = Config {
        tcp_ecn,
        ..Config::default()
    };
    let left = world.host("left", config.clone());
    let right = world.host("right", config);
    let netem = format!("delay=5ms,rate=100mbit,limit=2000,ce_threshold={threshold}");
    let (near, far) = ("192.0.2.1/24", "192.0.2.2/24");
    world.join((left, near), (right, far), Cable::Ip(plain()), &netem);
    let to = at("192.0.2.2:7000");
    let (sink, source) = (Sink::new(to), Source::new(to, congestion));
    let (received, rtt) = (sink.received(), source.rtt());
    world.spawn(right, sink);
    world.spawn(left, source);
    world.pass(TIME).unwrap();
    let bytes = received.load(Ordering::Relaxed) as f64;
    Flow {
        rate: bytes * 8e-6 / TIME.as_secs_f64(),
        rtt: Duration::from_micros(rtt.load(Ordering::Relaxed)),
        marks: world.node(right).counters().get(Counter::IpExtInCEPkts),
        retransmissions: world.node(left).counters().get(Counter::TcpRetransSegs),
    }
}

/// RFC 8257: the part of the bytes that is marked says how far the window comes down; the queue stays
/// about the threshold, by either feedback.
#[test]
fn dctcp_fills_the_path_with_a_short_queue() {
    for tcp_ecn in [1, 3] {
        let flow = flow("dctcp", tcp_ecn, "1ms");
        assert!(flow.rate > 0.9 * RATE, "{tcp_ecn}: {flow:?}");
        assert!(flow.rtt < Duration::from_millis(14), "{tcp_ecn}: {flow:?}");
        assert!(flow.marks > 0, "{tcp_ecn}: {flow:?}");
        assert_eq!(flow.retransmissions, 0, "{tcp_ecn}: {flow:?}");
    }
}

/// RFC 3168 §6.1.2: as for a loss, without one. The threshold is the path's own product of rate and
/// time: half of it and the queue fill the path.
#[test]
fn marks_keep_a_queue_from_overflowing() {
    for congestion in ["reno", "cubic"] {
        for tcp_ecn in [1, 3] {
            let flow = flow(congestion, tcp_ecn, "10ms");
            let case = format!("{congestion}, {tcp_ecn}: {flow:?}");
            assert!(flow.rate > 0.9 * RATE, "{case}");
            assert!(flow.rtt < Duration::from_millis(40), "{case}");
            assert!(flow.marks > 0, "{case}");
            assert_eq!(flow.retransmissions, 0, "{case}");
        }
    }
}

/// Without ECN the same queue marks nothing, and grows until it loses.
#[test]
fn who_does_not_speak_it_is_not_marked() {
    let flow = flow("cubic", 0, "10ms");
    assert_eq!(flow.marks, 0, "{flow:?}");
    assert!(flow.rtt > Duration::from_millis(40), "{flow:?}");
}
