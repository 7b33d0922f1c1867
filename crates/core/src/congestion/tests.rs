//! Controllers on a path: what they reach, how long a queue they keep, how they share; and that no
//! sequence of calls upsets them.

use super::bottleneck::{Bottleneck, Path, SMSS};
use super::*;
use proptest::prelude::*;

fn controllers(names: &[&str]) -> Vec<Box<dyn CongestionController>> {
    let setup = |seed| Setup {
        paced: true,
        seed,
        ..Setup::new(SMSS as u32)
    };
    names
        .iter()
        .zip(1..)
        .map(|(name, seed)| by_name(name, &setup(seed)).unwrap())
        .collect()
}

/// Bytes that each sender delivers between `from_ms` and `to_ms`.
fn delivered(net: &mut Bottleneck<dyn CongestionController>, from_ms: u64, to_ms: u64) -> Vec<u64> {
    net.run(from_ms, |_| {});
    let before: Vec<u64> = net.senders.iter().map(|s| s.delivered).collect();
    net.run(to_ms, |_| {});
    let after = net.senders.iter().map(|s| s.delivered);
    after
        .zip(before)
        .map(|(after, before)| after - before)
        .collect()
}

/// Percent of the path's rate that is used between `from_ms` and `to_ms`.
fn utilization(net: &mut Bottleneck<dyn CongestionController>, from_ms: u64, to_ms: u64) -> u64 {
    let bytes: u64 = delivered(net, from_ms, to_ms).iter().sum();
    bytes * 100 * 1000 / (net.path.rate * (to_ms - from_ms))
}

/// Jain's index of fairness.
fn jain(shares: &[u64]) -> f64 {
    let sum: f64 = shares.iter().map(|&share| share as f64).sum();
    let squares: f64 = shares.iter().map(|&share| (share as f64).powi(2)).sum();
    sum * sum / (shares.len() as f64 * squares)
}

/// 5 MB/s, 40 Mbit/s, with a round trip of 40 ms and a buffer of one BDP: 200 segments.
fn path() -> Path {
    Path::new(5_000_000, 40, 200_000)
}

#[test]
fn every_controller_fills_a_path() {
    for (name, least) in [("reno", 90), ("cubic", 95), ("bbr", 95)] {
        let mut net = Bottleneck::new(path(), controllers(&[name]));
        let used = utilization(&mut net, 5000, 30_000);
        assert!(used >= least, "{name} uses {used} %");
    }
}

#[test]
fn hystart_ends_slow_start_with_fewer_losses() {
    // A deep buffer would let slow start overshoot by a whole window.
    let path = Path::new(5_000_000, 40, 400_000);
    let lost = |name| {
        let mut net = Bottleneck::new(path, controllers(&[name]));
        net.run(3000, |_| {});
        (net.senders[0].lost / SMSS, net.senders[0].delivered)
    };
    let (reno, _) = lost("reno");
    let (cubic, bytes) = lost("cubic");
    assert!(reno > 100, "{reno} segments");
    assert!(cubic < reno / 2, "{cubic} segments of {reno}");
    assert!(bytes > 5_000_000 * 2, "{bytes} in three seconds");
}

#[test]
fn cubic_returns_to_the_window_it_lost_at() {
    let mut net = Bottleneck::new(Path::new(12_500_000, 100, 600_000), controllers(&["cubic"]));
    net.run(20_000, |_| {});
    let (mut reduced, mut cwnd) = (Vec::new(), 0);
    net.run(60_000, |net| {
        let now = net.senders[0].controller.cwnd();
        if now < cwnd {
            reduced.push((net.now, cwnd, now));
        }
        cwnd = now;
    });
    assert!(reduced.len() >= 2, "{reduced:?}");
    for pair in reduced.windows(2) {
        let ((at, from, to), (again, reached, _)) = (pair[0], pair[1]);
        assert_eq!(to, from / 1000 * 7 / 10 * 1000);
        // What the formula has after the same time; the path is the same, so it is W_max or little
        // more. RFC 9438 §4.7 cuts W_max where less was reached than the last time.
        let t = (again - at).as_secs_f64();
        let w_max = from as f64 / 1000.0;
        let k = (w_max * 0.3 / 0.4).cbrt();
        let formula = w_max + 0.4 * (t - k).powi(3);
        let error = (reached as f64 / 1000.0 / formula - 1.0).abs();
        assert!(error < 0.06, "{reached} at {again:?}, formula {formula}");
    }
}

#[test]
fn cubic_is_no_worse_than_reno_on_a_short_path_with_losses() {
    // 12.5 MB/s, 1 ms, 1 %: RFC 9438 §4.3.
    let mut path = Path::new(12_500_000, 1, 100_000);
    path.loss_per_mille = 10;
    let used = |name| {
        let mut net = Bottleneck::new(path, controllers(&[name]));
        utilization(&mut net, 1000, 11_000)
    };
    let (reno, cubic) = (used("reno"), used("cubic"));
    assert!(cubic * 100 >= reno * 95, "{cubic} % and {reno} %");
}

#[test]
fn two_of_a_kind_share_a_path() {
    for (name, least) in [("cubic", 0.95), ("reno", 0.95), ("bbr", 0.93)] {
        // The second comes later. In one minute there are some ten losses, so that one world says
        // little: the mean of six.
        let indices = [0, 100, 1000, 3000, 5000, 7000].map(|late_ms| {
            let mut net = Bottleneck::new(path(), controllers(&[name, name]));
            net.senders[1].backlog = 0;
            net.run(late_ms, |_| {});
            net.senders[1].backlog = u64::MAX;
            jain(&delivered(&mut net, late_ms, late_ms + 60_000))
        });
        let mean = indices.iter().sum::<f64>() / 6.0;
        assert!(mean >= least, "{name}: {mean:.3} of {indices:.3?}");
    }
}

#[test]
fn dctcp_keeps_the_queue_near_its_threshold() {
    // A data centre: 125 MB/s, 1 ms, marks above 40 segments. RFC 8257 §4.2's K is right for that.
    let mut path = Path::new(125_000_000, 1, 1_000_000);
    path.mark_above = Some(40 * SMSS);
    let mut net = Bottleneck::new(path, controllers(&["dctcp", "dctcp"]));
    let used = utilization(&mut net, 200, 300);
    net.queue_max = 0;
    let mut sum = 0;
    let mut samples = 0;
    net.run(600, |net| {
        sum += net.queue();
        samples += 1;
    });
    let mean = sum / samples;
    assert!(used >= 98, "{used} %");
    assert!((20 * SMSS..=50 * SMSS).contains(&mean), "{mean}");
    assert!(net.queue_max < 80 * SMSS, "{}", net.queue_max);
    assert_eq!(net.senders[0].lost, 0);
}

#[test]
fn set_window_carries_on_where_another_controller_was() {
    for name in NAMES {
        let mut controller = by_name(name, &Setup::new(1000)).unwrap();
        controller.set_window(77_000, 50_000);
        assert_eq!(controller.cwnd(), 77_000, "{name}");
        assert_eq!(controller.name(), *name);
    }
    assert!(by_name("vegas", &Setup::new(1000)).is_none());
}

/// A call with whatever numbers.
#[derive(Clone, Debug)]
enum Call {
    Sent(Sent),
    Ack(Ack),
    Lost(Lost),
    Congestion(Cause, u64),
    Recovered(u64),
    IdleRestart(Duration, Duration),
    Unused(u64),
    Spurious,
    Smss(u32),
    Selective(bool),
    Window(u64, u64),
}

fn bytes() -> impl Strategy<Value = u64> {
    prop_oneof![0..100_000u64, any::<u64>(), Just(0), Just(u64::MAX)]
}

fn span() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0..1_000_000_000u64).prop_map(Duration::from_nanos),
        any::<u64>().prop_map(Duration::from_nanos),
        Just(Duration::ZERO),
        Just(Duration::MAX),
    ]
}

prop_compose! {
    fn rate()(
        delivered_before in bytes(), delivered in bytes(), interval in span(), lost in bytes(),
        marked in bytes(), in_flight in bytes(), app_limited in any::<bool>(),
    ) -> RateSample {
        RateSample { delivered_before, delivered, interval, lost, marked, in_flight, app_limited }
    }
}

prop_compose! {
    fn ack()(
        (acked, lost, marked, delivered) in (bytes(), bytes(), bytes(), bytes()),
        (in_flight_before, in_flight) in (bytes(), bytes()),
        cwnd_limited in any::<bool>(),
        phase in prop_oneof![
            Just(Phase::Open), Just(Phase::Reduced), Just(Phase::Recovery), Just(Phase::Loss),
        ],
        (rtt, srtt, rtt_min) in (
            proptest::option::of(span()), proptest::option::of(span()),
            proptest::option::of(span()),
        ),
        rate in proptest::option::of(rate()),
    ) -> Ack {
        Ack {
            now: Instant::ZERO, acked, lost, marked, in_flight_before, in_flight, cwnd_limited,
            phase, rtt, srtt, rtt_min, delivered, rate,
        }
    }
}

fn call() -> impl Strategy<Value = Call> {
    let now = Instant::ZERO;
    let cause = prop_oneof![
        Just(Cause::Loss),
        Just(Cause::Ecn),
        Just(Cause::Timeout),
        Just(Cause::TimeoutAgain),
    ];
    let sent =
        (bytes(), bytes(), any::<bool>()).prop_map(move |(bytes, in_flight, app_limited)| {
            Call::Sent(Sent {
                now,
                bytes,
                in_flight,
                app_limited,
            })
        });
    let lost = (bytes(), bytes(), bytes(), any::<bool>()).prop_map(
        move |(bytes, in_flight, lost, app_limited)| {
            Call::Lost(Lost {
                now,
                bytes,
                in_flight,
                lost,
                app_limited,
            })
        },
    );
    prop_oneof![
        10 => ack().prop_map(Call::Ack),
        4 => sent,
        2 => lost,
        2 => (cause, bytes()).prop_map(|(cause, flight)| Call::Congestion(cause, flight)),
        1 => bytes().prop_map(Call::Recovered),
        1 => (span(), span()).prop_map(|(idle, rto)| Call::IdleRestart(idle, rto)),
        1 => bytes().prop_map(Call::Unused),
        1 => Just(Call::Spurious),
        1 => prop_oneof![Just(0), Just(u32::MAX), 500..9000u32].prop_map(Call::Smss),
        1 => any::<bool>().prop_map(Call::Selective),
        1 => (bytes(), bytes()).prop_map(|(cwnd, ssthresh)| Call::Window(cwnd, ssthresh)),
    ]
}

fn perform(controller: &mut dyn CongestionController, now: Instant, call: Call) {
    match call {
        Call::Sent(sent) => controller.on_sent(&Sent { now, ..sent }),
        Call::Ack(ack) => controller.on_ack(&Ack { now, ..ack }),
        Call::Lost(lost) => controller.on_lost(&Lost { now, ..lost }),
        Call::Congestion(cause, flight) => controller.on_congestion(now, cause, flight),
        Call::Recovered(flight) => controller.on_recovered(now, flight),
        Call::IdleRestart(idle, rto) => controller.on_idle_restart(now, idle, rto),
        Call::Unused(used) => controller.on_unused(now, used),
        Call::Spurious => controller.on_spurious(now),
        Call::Smss(smss) => controller.set_smss(smss),
        Call::Selective(selective) => controller.set_selective(selective),
        Call::Window(cwnd, ssthresh) => controller.set_window(cwnd, ssthresh),
    }
}

proptest! {
    /// Whatever is told, nothing overflows, and a segment fits into the window.
    #[test]
    fn no_sequence_of_calls_upsets_a_controller(
        name in proptest::sample::select(NAMES),
        hybrid in any::<bool>(),
        paced in any::<bool>(),
        calls in proptest::collection::vec((span(), call()), 0..60),
    ) {
        let hystart = if hybrid { HystartKind::Hybrid } else { HystartKind::PlusPlus };
        let mut smss = 1000;
        let mut controller = by_name(name, &Setup { paced, hystart, ..Setup::new(smss) }).unwrap();
        let mut now = Instant::ZERO;
        for (wait, call) in calls {
            // Time goes on, but for some jumps back that no transport makes.
            now = if wait == Duration::MAX { Instant::ZERO } else { now + wait };
            if let Call::Smss(new) = call {
                smss = new;
            }
            perform(&mut *controller, now, call);
            prop_assert!(controller.cwnd() >= u64::from(smss));
            prop_assert!(controller.cwnd() >= 1);
            prop_assert!(controller.pacing_rate() != Some(0));
        }
    }
}
