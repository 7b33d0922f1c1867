use super::*;
use crate::congestion::HystartKind;

const SMSS: u64 = 1000;
const RTT_MS: u64 = 100;

/// A sender with `cwnd` segments in congestion avoidance, that acknowledges by rounds.
struct Flow {
    cubic: Cubic,
    now: Instant,
    delivered: u64,
}

impl Flow {
    fn new() -> Self {
        Self {
            cubic: Cubic::new(1000),
            now: Instant::from_millis(10_000),
            delivered: 0,
        }
    }

    fn cwnd(&self) -> u64 {
        self.cubic.cwnd() / SMSS
    }

    fn ack(&mut self, segments: u64, cwnd_limited: bool) {
        let acked = segments * SMSS;
        self.delivered += acked;
        self.cubic.on_ack(&Ack {
            now: self.now,
            acked,
            in_flight: self.cubic.cwnd().saturating_sub(acked),
            cwnd_limited,
            delivered: self.delivered,
            rtt: Some(Duration::from_millis(RTT_MS)),
            srtt: Some(Duration::from_millis(RTT_MS)),
            ..Ack::default()
        });
    }

    /// A round trip of acknowledgments of one segment each, evenly spread.
    fn round(&mut self) {
        let segments = self.cwnd();
        for _ in 0..segments {
            self.now += Duration::from_millis(RTT_MS) / u32::try_from(segments).unwrap();
            self.ack(1, true);
        }
    }

    fn congestion(&mut self, cause: Cause) {
        let flight = self.cubic.cwnd();
        self.cubic.on_congestion(self.now, cause, flight);
    }
}

#[test]
fn cubic_roots_are_rounded_down() {
    for (n, root) in [
        (0, 0),
        (1, 1),
        (7, 1),
        (8, 2),
        (26, 2),
        (27, 3),
        (1_000_000, 100),
    ] {
        assert_eq!(cubic_root(n), root, "of {n}");
    }
    assert_eq!(cubic_root((1 << 126) - 1), (1 << 42) - 1);
}

#[test]
fn the_curve_starts_at_the_window_and_is_flat_at_w_max() {
    let start = Instant::from_millis(5000);
    let curve = Curve::new(start, 700, 1000);
    // K = cubic root (300 / 0.4) = 9.0856 s.
    assert_eq!(curve.k, 9303);
    let at = |ms| curve.at(start + Duration::from_millis(ms));
    assert_eq!(at(0), 701, "700, and what rounding down leaves");
    // 1000 - 0.4 * 4.0856^3 = 972.7
    assert_eq!(at(5000), 973);
    assert_eq!(at(9085), 1000);
    // 1000 + 0.4 * 5.9144^3 = 1082.7
    assert_eq!(at(15_000), 1082);
    // Nothing to make up for: it rises from where it is.
    let flat = Curve::new(start, 700, 0);
    assert_eq!((flat.k, flat.at(start)), (0, 700));
    assert_eq!(flat.at(start + Duration::from_secs(10)), 1100);
}

#[test]
fn congestion_leaves_seven_tenths() {
    let mut flow = Flow::new();
    flow.cubic.set_window(100_000, 100_000);
    flow.congestion(Cause::Loss);
    assert_eq!((flow.cwnd(), flow.cubic.w_max), (70, 100));
    // Fast convergence: less than the last time; W_max = 70 * 0.85.
    flow.congestion(Cause::Loss);
    assert_eq!((flow.cwnd(), flow.cubic.w_max), (49, 59));
    flow.congestion(Cause::Timeout);
    assert_eq!((flow.cubic.cwnd(), flow.cubic.ssthresh()), (1000, 34_000));
    flow.congestion(Cause::TimeoutAgain);
    assert_eq!((flow.cubic.cwnd(), flow.cubic.ssthresh()), (1000, 34_000));
}

#[test]
fn two_segments_are_left_after_losses_and_one_after_marks() {
    let mut flow = Flow::new();
    flow.cubic.set_window(2000, 2000);
    flow.congestion(Cause::Loss);
    assert_eq!((flow.cubic.cwnd(), flow.cubic.ssthresh()), (2000, 2000));
    flow.congestion(Cause::Ecn);
    assert_eq!((flow.cubic.cwnd(), flow.cubic.ssthresh()), (1000, 2000));
}

#[test]
fn the_window_follows_the_formula_back_to_w_max_and_beyond() {
    let mut flow = Flow::new();
    flow.cubic.set_window(1_000_000, 1_000_000);
    flow.congestion(Cause::Loss);
    assert_eq!(flow.cwnd(), 700);
    let start = flow.now;
    let k = ((1000.0 - 700.0) / 0.4_f64).cbrt();
    for round in 0..150 {
        flow.round();
        let t = (flow.now - start).as_secs_f64();
        let curve = 0.4 * (t - k).powi(3) + 1000.0;
        // What Reno would have grown to from there: 9/17 segments a round trip.
        let reno = 700.0 + 9.0 / 17.0 * t / 0.1;
        let expected = curve.max(reno);
        let error = (flow.cwnd() as f64 - expected).abs();
        // Growth is towards where the curve is a round trip later, and so much behind it.
        assert!(
            error <= 5.0 + expected * 0.01,
            "round {round}: {} is not {expected:.1}",
            flow.cwnd()
        );
    }
    assert!(flow.cwnd() > 1050, "{}", flow.cwnd());
}

#[test]
fn a_small_window_follows_reno() {
    let mut flow = Flow::new();
    flow.cubic.set_window(20_000, 20_000);
    flow.congestion(Cause::Loss);
    assert_eq!(flow.cwnd(), 14);
    let start = flow.now;
    // W_est: 9/17 of a segment a round trip until 20, one a round trip from there. The cubic curve
    // takes K = 2.47 s to 20, and is at 21 after 4 s only.
    for _ in 0..11 {
        flow.round();
    }
    let after = (flow.now - start).as_millis();
    assert!((1050..=1110).contains(&after), "{after}");
    assert!((18..=20).contains(&flow.cwnd()), "{}", flow.cwnd());
    for _ in 0..20 {
        flow.round();
    }
    assert!((33..=41).contains(&flow.cwnd()), "{}", flow.cwnd());
}

#[test]
fn the_window_grows_by_half_in_a_round_trip_at_most() {
    let mut flow = Flow::new();
    flow.cubic.set_window(100_000, 100_000);
    flow.ack(1, true);
    // An hour later the curve is out of sight.
    flow.now += Duration::from_secs(3600);
    flow.ack(100, true);
    assert_eq!(flow.cwnd(), 150);
}

#[test]
fn time_in_which_the_window_is_not_used_is_no_time() {
    let mut flow = Flow::new();
    flow.cubic.set_window(1_000_000, 1_000_000);
    flow.congestion(Cause::Loss);
    for _ in 0..20 {
        flow.round();
    }
    let before = flow.cwnd();
    let mut idle = Flow {
        cubic: flow.cubic.clone(),
        ..flow
    };
    let send = |flow: &mut Flow, in_flight, app_limited| {
        flow.cubic.on_sent(&Sent {
            now: flow.now,
            bytes: 1000,
            in_flight,
            app_limited,
        });
    };
    // A minute in which the application sends little, and one in which it sends nothing.
    for _ in 0..600 {
        send(&mut idle, 5000, true);
        idle.now += Duration::from_millis(100);
        idle.ack(1, false);
    }
    assert_eq!(idle.cwnd(), before);
    idle.now += Duration::from_secs(60);
    send(&mut idle, 1000, false);
    for _ in 0..10 {
        flow.round();
        idle.round();
    }
    assert!(flow.cwnd() > before + 10);
    assert!(
        idle.cwnd().abs_diff(flow.cwnd()) <= 2,
        "{} {}",
        idle.cwnd(),
        flow.cwnd()
    );
}

#[test]
fn after_a_time_out_the_stage_begins_flat() {
    let mut flow = Flow::new();
    flow.cubic.set_window(400_000, 400_000);
    flow.congestion(Cause::Timeout);
    assert_eq!(flow.cubic.ssthresh(), 280_000);
    while flow.cwnd() < 280 {
        flow.now += Duration::from_millis(10);
        flow.ack(10, true);
    }
    flow.now += Duration::from_millis(10);
    flow.ack(2, true);
    let curve = flow.cubic.epoch.unwrap().curve;
    assert_eq!((curve.k, curve.origin), (0, 280));
}

#[test]
fn what_was_no_congestion_is_undone() {
    let mut flow = Flow::new();
    flow.cubic.set_window(100_000, 100_000);
    flow.congestion(Cause::Loss);
    for _ in 0..5 {
        flow.round();
    }
    let (cwnd, w_max) = (flow.cubic.cwnd(), flow.cubic.w_max);
    let epoch = flow.cubic.epoch.unwrap().curve;
    flow.congestion(Cause::Timeout);
    flow.congestion(Cause::TimeoutAgain);
    flow.cubic.on_spurious(flow.now);
    assert_eq!((flow.cubic.cwnd(), flow.cubic.ssthresh()), (cwnd, 70_000));
    assert_eq!(flow.cubic.w_max, w_max);
    assert_eq!(flow.cubic.epoch.unwrap().curve.origin, epoch.origin);
    // Once only.
    flow.congestion(Cause::Loss);
    let reduced = flow.cubic.cwnd();
    flow.cubic.set_window(200_000, 200_000);
    flow.cubic.on_spurious(flow.now);
    assert!(flow.cubic.cwnd() > reduced);
    assert_eq!(flow.cubic.cwnd(), 200_000, "it has outgrown what it was");
}

#[test]
fn slow_start_without_loss_ends_with_w_max_unknown() {
    let setup = Setup {
        hystart: HystartKind::Hybrid,
        ..Setup::new(1000)
    };
    let mut flow = Flow::new();
    flow.cubic = Cubic::with(&setup);
    let ack = |flow: &mut Flow, rtt_ms| {
        flow.now += Duration::from_millis(5);
        flow.delivered += 2 * SMSS;
        flow.cubic.on_ack(&Ack {
            now: flow.now,
            acked: 2 * SMSS,
            in_flight: 40 * SMSS,
            cwnd_limited: true,
            delivered: flow.delivered,
            rtt: Some(Duration::from_millis(rtt_ms)),
            ..Ack::default()
        });
    };
    // 16 segments after three: from there on round trips are looked at, eight of them in vain.
    for _ in 0..3 {
        ack(&mut flow, 100);
    }
    for _ in 0..8 {
        ack(&mut flow, 130);
    }
    assert_eq!((flow.cwnd(), flow.cubic.ssthresh()), (32, u64::MAX));
    ack(&mut flow, 130);
    assert_eq!((flow.cwnd(), flow.cubic.ssthresh()), (32, 32_000));
    assert_eq!((flow.cubic.w_max, flow.cubic.cwnd_prior), (0, 32));
    // A segment for each 20 acknowledged, two of which were by the one that ended slow start.
    for _ in 0..8 {
        ack(&mut flow, 130);
    }
    assert_eq!(flow.cwnd(), 32);
    ack(&mut flow, 130);
    assert_eq!(flow.cwnd(), 33);
}
