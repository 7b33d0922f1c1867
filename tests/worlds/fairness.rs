//! Two flows through one bottleneck: each gets its share.

use super::at;
use sockeye_core::{Config, MacAddr};
use sockeye_drivers::memory::MemoryConfig;
use sockeye_drivers::netem::Netem;
use sockeye_drivers::switch::Switch;
use sockeye_sim::World;
use sockeye_sim::app::bulk::{Sink, Source};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Each way. The queue holds the product of bandwidth and round trip, 165 frames, besides the 83
/// that are on their way.
const BOTTLENECK: &str = "delay=10ms,rate=100mbit,limit=250";
const TIME: Duration = Duration::from_secs(60);
/// Jain's index of two shares, one and a half times as large as each other: 0.96.
const INDEX_MIN: f64 = 0.95;
/// What the rate allows, Mbit/s of text.
const RATE: f64 = 95.6;

/// How soon a late flow of CUBIC's has its share is chance, too: so many worlds are looked at.
const SEEDS: [u64; 3] = [11, 12, 13];

/// What the two flows got in the mean over all worlds.
fn shares(late: Duration) -> [f64; 2] {
    let all = SEEDS.map(|seed| shares_in(seed, late));
    let mean = |flow: usize| all.iter().map(|shares| shares[flow]).sum::<f64>() / all.len() as f64;
    [mean(0), mean(1)]
}

/// Two senders and a receiver on a switch, the receiver behind a bottleneck. Gives what each flow
/// got over [`TIME`], in Mbit/s, under the congestion control that is the default; the second one
/// starts `late`.
fn shares_in(seed: u64, late: Duration) -> [f64; 2] {
    let mut world = World::without_capture(seed);
    let config = Config::default();
    let congestion = config.tcp_congestion.clone();
    let switch = Switch::new(MemoryConfig::default());
    let mut number = 0;
    let mut port = || {
        number += 1;
        let address = MacAddr([2, 0, 0, 0, 0, number]);
        (
            switch.port(address),
            format!("192.0.2.{number}/24").parse().unwrap(),
        )
    };
    let right = world.host("right", config.clone());
    let (link, net) = port();
    let seed = world.rng().next_u64();
    world.plug(
        right,
        Netem::new(link, BOTTLENECK.parse().unwrap(), seed),
        &[net],
    );
    let mut begin = |world: &mut World, name: &str, to: SocketAddr| -> Arc<AtomicU64> {
        let host = world.host(name, config.clone());
        let (link, net) = port();
        world.plug(host, link, &[net]);
        let sink = Sink::new(to);
        let received = sink.received();
        world.spawn(right, sink);
        world.spawn(host, Source::new(to, &congestion));
        received
    };
    let first = begin(&mut world, "first", at("192.0.2.1:7001"));
    world.pass(late).unwrap();
    let second = begin(&mut world, "second", at("192.0.2.1:7002"));
    let before = first.load(Ordering::Relaxed);
    world.pass(TIME).unwrap();
    let after = [
        first.load(Ordering::Relaxed) - before,
        second.load(Ordering::Relaxed),
    ];
    after.map(|bytes| bytes as f64 * 8e-6 / TIME.as_secs_f64())
}

/// 1 when both get the same, 1/2 when one gets everything.
fn jain([a, b]: [f64; 2]) -> f64 {
    (a + b) * (a + b) / (2.0 * (a * a + b * b))
}

#[test]
fn two_flows_that_begin_together_share_evenly() {
    let shares = shares_in(SEEDS[0], Duration::ZERO);
    assert!(jain(shares) >= INDEX_MIN, "{shares:?}");
    assert!(shares[0] + shares[1] > 0.9 * RATE, "{shares:?}");
}

#[test]
fn a_flow_that_comes_later_gets_its_share() {
    let shares = shares(Duration::from_secs(5));
    assert!(jain(shares) >= INDEX_MIN, "{shares:?}");
    assert!(shares[0] + shares[1] > 0.9 * RATE, "{shares:?}");
}
