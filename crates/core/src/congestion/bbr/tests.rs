//! The draft's test cases (draft-ietf-ccwg-bbr-06, appendix A) over a bottleneck, and its arithmetic.

use super::*;
use crate::congestion::RateSample;
use crate::congestion::bottleneck::{Bottleneck, Path, SMSS};

/// One flow over a path, and the states that it has been in with the time of each change.
struct World {
    net: Bottleneck<Bbr>,
    states: Vec<(u64, State)>,
}

impl World {
    fn new(path: Path) -> Self {
        let setup = Setup {
            paced: true,
            seed: 1,
            ..Setup::new(SMSS as u32)
        };
        Self {
            net: Bottleneck::new(path, vec![Box::new(Bbr::new(&setup))]),
            states: vec![(0, State::Startup)],
        }
    }

    fn bbr(&self) -> &Bbr {
        &self.net.senders[0].controller
    }

    fn run(&mut self, end_ms: u64) {
        let Self { net, states } = self;
        net.run(end_ms, |net| {
            let state = net.senders[0].controller.state;
            if states.last().is_some_and(|last| last.1 != state) {
                states.push((net.now.as_millis(), state));
            }
        });
    }

    /// Runs until the flow is in `state`, for ten seconds at most: when that was.
    fn until(&mut self, state: State) -> u64 {
        let start = self.net.now.as_millis();
        for ms in start..start + 10_000 {
            self.run(ms);
            if self.bbr().state == state {
                return ms;
            }
        }
        panic!("never in {state:?}: {:?}", self.states);
    }

    fn count(&self, state: State) -> usize {
        self.states
            .iter()
            .filter(|entered| entered.1 == state)
            .count()
    }

    fn used(&mut self, from_ms: u64, to_ms: u64) -> u64 {
        self.run(from_ms);
        let before = self.net.senders[0].delivered;
        self.run(to_ms);
        let bytes = self.net.senders[0].delivered - before;
        bytes * 100 * 1000 / (self.net.path.rate * (to_ms - from_ms))
    }
}

/// 5 MB/s, 40 ms: a BDP of 200 segments, and a buffer of two of it.
fn path() -> Path {
    Path::new(5_000_000, 40, 400_000)
}

fn near(found: u64, wanted: u64, percent: u64) -> bool {
    found.abs_diff(wanted) * 100 <= wanted * percent
}

#[test]
fn startup_finds_the_bandwidth_and_the_round_trip_and_drain_empties_the_queue() {
    let mut world = World::new(path());
    world.until(State::Drain);
    let bbr = world.bbr();
    let (bw, rtt, full) = (bbr.bandwidth.max(), bbr.min_rtt.value, bbr.full_bw.reached);
    assert!(near(bw, 5_000_000, 2), "{bw}");
    // The first round trip, and the time that a packet takes at the bottleneck.
    assert!(near(rtt.unwrap().as_micros() as u64, 40_000, 1), "{rtt:?}");
    assert!(full);
    assert!(
        world.net.queue() > 100_000,
        "a queue of half a BDP and more"
    );
    // Drained is drained: Down is over as soon as it begins.
    let drained = world.until(State::Cruise);
    assert!(drained < 1000, "{drained} {:?}", world.states);
    assert!(world.net.queue() < 20_000, "{}", world.net.queue());
    assert_eq!(world.net.senders[0].lost, 0);
}

#[test]
fn the_cycle_keeps_the_path_full_and_its_queue_short() {
    let mut world = World::new(path());
    world.until(State::Cruise);
    world.net.queue_max = 0;
    let used = world.used(2000, 30_000);
    assert!(used >= 95, "{used} %");
    // A probe fills a quarter of a BDP for a round trip or two.
    assert!(world.net.queue_max < 250_000, "{}", world.net.queue_max);
    assert_eq!(world.net.senders[0].lost, 0);
    // Every two to three seconds.
    let probes = world.count(State::Up);
    assert!((6..=13).contains(&probes), "{probes}");
    // Down, Cruise, Refill, Up, in this order, but for ProbeRTT.
    for pair in world.states.windows(2) {
        let order = matches!(
            (pair[0].1, pair[1].1),
            (State::Startup, State::Drain)
                | (State::Drain, State::Down | State::Cruise)
                | (State::Up, State::Down)
                | (State::Down, State::Cruise | State::Refill)
                | (State::Cruise, State::Refill)
                | (State::Refill, State::Up)
                | (_, State::ProbeRtt)
                | (State::ProbeRtt, State::Cruise)
        );
        assert!(order, "{pair:?}");
    }
}

#[test]
fn probe_rtt_comes_after_five_seconds_and_lasts_a_fifth_of_one() {
    let mut world = World::new(path());
    world.run(40_000);
    let mut entered = Vec::new();
    for pair in world.states.windows(2) {
        if pair[0].1 == State::ProbeRtt {
            let lasted = pair[1].0 - pair[0].0;
            assert!((200..=400).contains(&lasted), "{lasted} ms");
            entered.push(pair[0].0);
        }
    }
    assert!(entered.len() >= 3, "{entered:?}");
    for pair in entered.windows(2) {
        // A round trip that is smaller than the last starts the five seconds anew.
        assert!(pair[1] - pair[0] >= 5000, "{entered:?}");
    }
    let rtt = world.bbr().min_rtt.value.unwrap();
    assert!(near(rtt.as_micros() as u64, 40_000, 2), "{rtt:?}");
}

#[test]
fn half_of_the_path_is_in_flight_in_probe_rtt() {
    let mut world = World::new(path());
    let entered = world.until(State::ProbeRtt);
    world.run(entered + 150);
    let cwnd = world.bbr().cwnd;
    assert!(near(cwnd, 100_000, 5), "{cwnd}");
    assert_eq!(world.bbr().state, State::ProbeRtt);
    world.run(entered + 500);
    let (cwnd, state) = (world.bbr().cwnd, world.bbr().state);
    assert!(cwnd > 300_000, "{cwnd} in {state:?}");
}

#[test]
fn one_percent_of_random_loss_is_no_reason_to_give_way() {
    let mut path = path();
    path.loss_per_mille = 10;
    let mut world = World::new(path);
    let used = world.used(5000, 30_000);
    // §5.3.3.8.3: each round of Cruise gives way by what was lost, up to the next probe.
    assert!(used >= 75, "{used} %");
    let max = world.bbr().bandwidth.max();
    assert!(near(max, 5_000_000, 3), "{max}");
    let cubic = Box::new(crate::congestion::Cubic::new(SMSS as u32));
    let mut beside = Bottleneck::new(path, vec![cubic]);
    beside.run(30_000, |_| {});
    let less = beside.senders[0].delivered * 100 / (5_000_000 * 30);
    assert!(less * 4 < used, "CUBIC {less} %");
}

#[test]
fn losses_end_startup_on_a_shallow_path() {
    let mut world = World::new(Path::new(5_000_000, 40, 20_000));
    let drain = world.until(State::Drain);
    assert!(drain < 1500, "{drain}");
    let bbr = world.bbr();
    assert_eq!(bbr.undo.state, Some(State::Startup));
    assert!(bbr.inflight_longterm < INFINITE);
    let used = world.used(3000, 20_000);
    assert!(used >= 85, "{used} %");
    let rate = world.net.senders[0].lost * 1000 / world.net.senders[0].delivered;
    assert!(rate < 30, "{rate} per mille lost");
}

#[test]
fn ten_times_the_bandwidth_is_found_and_a_tenth_too() {
    let mut world = World::new(path());
    world.run(8000);
    world.net.path.rate = 50_000_000;
    world.net.path.buffer = 4_000_000;
    let used = world.used(18_000, 20_000);
    assert!(used >= 85, "{used} %");
    world.net.path.rate = 5_000_000;
    world.net.path.buffer = 400_000;
    world.run(35_000);
    let max = world.bbr().bandwidth.max();
    assert!(near(max, 5_000_000, 10), "{max}");
}

#[test]
fn an_idle_flow_needs_no_probe_of_the_round_trip() {
    let mut world = World::new(path());
    world.run(3000);
    world.net.senders[0].backlog = 0;
    world.run(9500);
    let before = world.count(State::ProbeRtt);
    world.net.senders[0].backlog = u64::MAX;
    world.run(9700);
    assert_eq!(world.count(State::ProbeRtt), before);
    assert!(near(world.bbr().bandwidth.bw, 5_000_000, 3));
}

#[test]
fn what_the_application_limits_says_nothing_of_the_path() {
    let mut world = World::new(path());
    // Two segments each ten milliseconds: 200 kB/s.
    for ms in (10..15_000).step_by(10) {
        world.net.senders[0].backlog = 2 * SMSS;
        world.run(ms);
    }
    let (state, full) = (world.bbr().state, world.bbr().full_bw.reached);
    assert!(!full, "{state:?}");
    world.net.senders[0].backlog = u64::MAX;
    let used = world.used(17_000, 19_000);
    assert!(used >= 80, "{used} %");
}

#[test]
fn four_segments_are_in_flight_on_the_smallest_path() {
    // 100 kB/s, 5 ms: half of a segment.
    let mut world = World::new(Path::new(100_000, 5, 100_000));
    world.until(State::Down);
    let used = world.used(10_000, 20_000);
    assert!(used >= 90, "{used} %");
    let cwnd = world.bbr().cwnd;
    assert!(cwnd >= 4 * SMSS, "{cwnd}");
}

#[test]
fn marks_count_as_losses() {
    let mut path = path();
    path.mark_above = Some(50_000);
    let mut world = World::new(path);
    world.run(10_000);
    assert!(world.bbr().inflight_longterm < INFINITE);
    world.net.queue_max = 0;
    let used = world.used(10_000, 20_000);
    assert!(used >= 80, "{used} %");
    assert!(world.net.queue_max < 150_000, "{}", world.net.queue_max);
}

/// A flow in Cruise with max_bw 1 MB/s, min_rtt 100 ms.
fn cruising() -> Bbr {
    let mut bbr = Bbr::new(&Setup::new(SMSS as u32));
    bbr.bandwidth.bw = 1_000_000;
    bbr.min_rtt.value = Some(Duration::from_millis(100));
    bbr.full_bw.reached = true;
    bbr.pacing_rate = 1_000_000;
    bbr.cwnd = 200_000;
    bbr.start_probe_bw_down(Instant::ZERO);
    bbr.start_probe_bw_cruise();
    bbr
}

#[test]
fn window_and_rate_follow_the_gains() {
    let mut bbr = cruising();
    assert_eq!(bbr.bdp(), 100_000);
    bbr.set_pacing_rate_with_gain(125);
    assert_eq!(bbr.pacing_rate, 1_237_500, "99 % of 1.25 MB/s");
    bbr.set_cwnd(1000);
    assert_eq!(bbr.cwnd, 200_000, "twice the BDP");
    bbr.inflight_longterm = 150_000;
    bbr.set_cwnd(1000);
    assert_eq!(bbr.cwnd, 127_500, "85 % of what is known to be too much");
    bbr.inflight_shortterm = 90_000;
    bbr.set_cwnd(1000);
    assert_eq!(bbr.cwnd, 90_000);
    bbr.inflight_shortterm = 1;
    bbr.set_cwnd(1000);
    assert_eq!(bbr.cwnd, 4000, "MinPipeCwnd");
}

#[test]
fn the_first_rate_is_that_of_the_initial_window() {
    let mut bbr = Bbr::new(&Setup::new(SMSS as u32));
    assert_eq!(
        bbr.pacing_rate, 27_700_000,
        "10,000 bytes in 1 ms, 2.77 times"
    );
    let ack = Ack {
        srtt: Some(Duration::from_millis(100)),
        ..Ack::default()
    };
    bbr.on_ack(&ack);
    assert_eq!(bbr.pacing_rate, 277_000);
}

#[test]
fn a_time_out_leaves_one_segment_more_than_is_in_flight_and_recovery_restores() {
    let mut bbr = cruising();
    bbr.on_congestion(Instant::ZERO, Cause::Timeout, 3000);
    assert_eq!(bbr.cwnd, 4000);
    bbr.on_congestion(Instant::ZERO, Cause::TimeoutAgain, 0);
    assert_eq!(bbr.cwnd, 1000);
    bbr.on_recovered(Instant::ZERO, 0);
    assert_eq!(bbr.cwnd, 200_000);
}

/// An acknowledgment that begins a round: of the last one's 100 ms, `bytes` were delivered.
fn round(delivered: u64, bytes: u64) -> Ack {
    Ack {
        now: Instant::from_millis(delivered / 1000),
        acked: 1000,
        in_flight: 100_000,
        delivered,
        rtt: Some(Duration::from_millis(100)),
        rate: Some(RateSample {
            delivered_before: delivered - 100_000,
            delivered: bytes,
            interval: Duration::from_millis(100),
            lost: 0,
            marked: 0,
            in_flight: 100_000,
            app_limited: false,
        }),
        ..Ack::default()
    }
}

#[test]
fn losses_bound_the_short_term_once_a_round() {
    let mut bbr = cruising();
    let lost = Lost {
        now: Instant::ZERO,
        bytes: 1000,
        in_flight: 100_000,
        lost: 1000,
        app_limited: false,
    };
    bbr.on_ack(&round(100_000, 100_000));
    assert_eq!((bbr.state, bbr.bandwidth.bw), (State::Cruise, 1_000_000));
    let cwnd = bbr.cwnd;
    // max (bw_latest, 0.7 * bw_shortterm), and the same of what is in flight: the last round was as
    // good as ever, the next is not.
    bbr.on_lost(&lost);
    bbr.on_lost(&lost);
    bbr.on_ack(&round(200_000, 30_000));
    let bound = (cwnd * 7 / 10).max(100_000);
    assert_eq!(
        (bbr.bandwidth.bw, bbr.inflight_shortterm),
        (1_000_000, bound)
    );
    bbr.on_lost(&lost);
    bbr.on_ack(&round(300_000, 30_000));
    let bound = bound * 7 / 10;
    assert_eq!((bbr.bandwidth.bw, bbr.inflight_shortterm), (700_000, bound));
    // A round without a loss changes nothing; Refill forgets.
    bbr.on_ack(&round(400_000, 30_000));
    assert_eq!((bbr.bandwidth.bw, bbr.inflight_shortterm), (700_000, bound));
    bbr.start_probe_bw_refill();
    bbr.on_ack(&round(401_000, 30_000));
    assert_eq!(
        (bbr.bandwidth.bw, bbr.inflight_shortterm),
        (1_000_000, INFINITE)
    );
}

#[test]
fn after_a_probe_that_went_too_high_the_next_is_careful() {
    let mut bbr = cruising();
    bbr.inflight_longterm = 100_000;
    bbr.cycle.prev_too_high = true;
    bbr.start_probe_bw_refill();
    bbr.on_ack(&round(100_000, 100_000));
    assert_eq!(bbr.state, State::Up);
    // What was too much is in flight: down at once.
    bbr.on_ack(&round(101_000, 100_000));
    assert_eq!(bbr.state, State::Down);
    // A round later nothing has been lost: up again, without a wait.
    bbr.on_ack(&round(202_000, 100_000));
    assert_eq!(bbr.state, State::Refill);
    bbr.on_ack(&round(303_000, 100_000));
    bbr.on_ack(&round(304_000, 100_000));
    assert_eq!(bbr.state, State::Up, "and to stay");
}

#[test]
fn the_window_has_room_for_what_is_acknowledged_at_once() {
    let mut bbr = cruising();
    let ack = |ms, newly_acked| {
        let ack = Ack {
            now: Instant::from_millis(ms),
            acked: newly_acked,
            ..Ack::default()
        };
        bbr.sample(&ack)
    };
    let (burst, rest) = (ack(50, 50_000), ack(60, 5000));
    let later = ack(2000, 1000);
    bbr.update_ack_aggregation(&burst);
    assert_eq!(bbr.aggregation.extra_acked(), 50_000);
    bbr.set_cwnd(50_000);
    assert_eq!(bbr.cwnd, 250_000, "twice the BDP, and that");
    // 55,000 in 10 ms, of which 10,000 were to be expected.
    bbr.update_ack_aggregation(&rest);
    assert_eq!(bbr.aggregation.extra_acked(), 50_000);
    // Eleven rounds later it is forgotten.
    bbr.rounds.count += 11;
    bbr.update_ack_aggregation(&later);
    assert_eq!(bbr.aggregation.extra_acked(), 1000);
}

#[test]
fn a_probe_that_loses_too_much_remembers_where_and_is_undone_when_it_did_not() {
    let mut bbr = cruising();
    let lost = |lost, in_flight| Lost {
        now: Instant::from_millis(10),
        bytes: 1000,
        in_flight,
        lost,
        app_limited: false,
    };
    bbr.start_probe_bw_refill();
    bbr.cycle.is_probe_sample = true;
    bbr.enter(State::Up, UP_PACING_GAIN, UP_CWND_GAIN);
    // 2 % of 150 segments are three.
    bbr.on_lost(&lost(3000, 150_000));
    assert_eq!((bbr.state, bbr.inflight_longterm), (State::Up, INFINITE));
    bbr.on_lost(&lost(4000, 150_000));
    // Before this packet 3000 of 149,000 were lost, more than 2 %: nothing of it fitted.
    assert_eq!((bbr.state, bbr.inflight_longterm), (State::Down, 149_000));
    assert!(bbr.cycle.prev_too_high && !bbr.cycle.is_probe_sample);
    bbr.on_congestion(Instant::from_millis(10), Cause::Loss, 100_000);
    bbr.on_spurious(Instant::from_millis(90));
    assert_eq!(
        (bbr.state, bbr.inflight_longterm),
        (State::Refill, INFINITE)
    );
}

#[test]
fn losses_that_end_startup_are_undone_too() {
    let mut bbr = Bbr::new(&Setup::new(SMSS as u32));
    bbr.on_congestion(Instant::ZERO, Cause::Loss, 10_000);
    bbr.undo.state = Some(State::Startup);
    bbr.full_bw.reached = true;
    bbr.inflight_longterm = 20_000;
    bbr.enter(State::Drain, DRAIN_PACING_GAIN, CWND_GAIN);
    bbr.on_spurious(Instant::ZERO);
    assert_eq!(
        (bbr.state, bbr.inflight_longterm),
        (State::Startup, INFINITE)
    );
    assert!(!bbr.full_bw.reached);
}

#[test]
fn without_selective_acknowledgments_one_loss_is_too_much() {
    let mut bbr = cruising();
    assert!(!bbr.is_inflight_too_high(1000, 100_000));
    bbr.set_selective(false);
    assert!(bbr.is_inflight_too_high(1000, 100_000));
}

#[test]
fn a_windowed_maximum_forgets_what_is_too_old() {
    let mut filter = model::WindowedMax::default();
    let mut values = Vec::new();
    for time in 0..40u64 {
        // Falling from 100, with a peak at 20.
        let value = if time == 20 { 90 } else { 100 - time };
        values.push(value);
        filter.update(time, value, 10);
        let from = usize::try_from(time.saturating_sub(10)).unwrap();
        let exact = *values[from..].iter().max().unwrap();
        let found = filter.max();
        assert!(
            found <= exact && found + 5 >= exact,
            "{found} at {time}, exactly {exact}"
        );
    }
}
