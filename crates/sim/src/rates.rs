//! How fast flows go: alone on a path that loses, and two through one bottleneck.

use crate::app::bulk::{Sink, Source};
use crate::app::packets::{Pusher, Setup, Taker};
use crate::world::{Failure, HostId, World};
use core::sync::atomic::Ordering;
use core::time::Duration;
use sockeye_core::{Config, MacAddr};
use sockeye_drivers::memory::{MemoryConfig, MemoryLink};
use sockeye_drivers::netem::{Netem, NetemConfig};
use sockeye_drivers::switch::Switch;
use std::net::SocketAddr;

/// Bytes of data in each packet of DCCP.
const SIZE: usize = 1400;
/// Bytes of data in a full segment of TCP: of 1500 those of the IP and the TCP header with timestamps are
/// taken off.
const TCP_SIZE: usize = 1448;
/// Bytes of timestamps in each segment.
const TCP_OPTIONS: usize = 12;
/// How long flows are given to find their rate.
const WARM_UP: Duration = Duration::from_secs(15);

/// A flow by CCID 3 on a path that loses.
#[derive(Clone, Copy, Debug)]
pub struct Tfrc {
    /// Bytes a second that it sent.
    pub rate: f64,
    /// The loss event rate that it heard of, on average.
    pub events: f64,
    /// What the equation gives for the loss event rate of each moment and the path's round-trip time, on
    /// average.
    pub equation: f64,
}

/// RFC 5348 §3.1: bytes a second for packets of `size` bytes, a round-trip time of `rtt` and a loss event
/// rate of `p`.
#[must_use]
pub fn equation(size: f64, rtt: Duration, p: f64) -> f64 {
    let r = rtt.as_secs_f64();
    let rto = 4.0 * r;
    let denominator = r * (2.0 * p / 3.0).sqrt()
        + rto * (3.0 * (3.0 * p / 8.0).sqrt() * p * (1.0 + 32.0 * p * p));
    size / denominator
}

/// Lets CCID 3 send over a path that loses `loss` percent of its packets, for `time` after it has found its
/// rate.
///
/// # Errors
/// The world fails.
///
/// # Panics
/// When `loss` is no percentage.
pub fn tfrc(loss: f64, rtt: Duration, time: Duration, seed: u64) -> Result<Tfrc, Failure> {
    let (mut world, left, right, to) = lossy(loss, rtt, seed);
    let taker = Taker::new(to, Setup::ccid(3));
    let taken = taker.taken();
    world.spawn(right, taker);
    world.spawn(left, Pusher::new(to, None, SIZE, Setup::ccid(3)));
    world.pass(WARM_UP)?;
    let before = taken.packets.load(Ordering::Relaxed);
    let steps = (time.as_nanos() / rtt.as_nanos()).max(1);
    let (mut events, mut by_equation) = (0.0, 0.0);
    for _ in 0..steps {
        world.pass(rtt)?;
        let p = loss_event_rate(&mut world, left);
        events += p;
        by_equation += equation(SIZE as f64, rtt, p);
    }
    let packets = (taken.packets.load(Ordering::Relaxed) - before) as f64;
    let seconds = rtt.as_secs_f64() * steps as f64;
    Ok(Tfrc {
        rate: packets * SIZE as f64 / (1.0 - loss / 100.0) / seconds,
        events: events / steps as f64,
        equation: by_equation / steps as f64,
    })
}

/// Who sends over a path that loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// TCP by RFC 5681 (Reno).
    Tcp,
    /// The same with segments of so many bytes, those of TCP's options among them.
    SmallTcp(i32),
    /// DCCP by this CCID.
    Dccp(u8),
}

/// Packets of data a second that arrive over a path which loses `loss` percent of them, for `time` after
/// the flow has found its rate.
///
/// # Errors
/// The world fails.
///
/// # Panics
/// When `loss` is no percentage.
pub fn alone(
    flow: Flow,
    loss: f64,
    rtt: Duration,
    time: Duration,
    seed: u64,
) -> Result<f64, Failure> {
    let (mut world, left, right, to) = lossy(loss, rtt, seed);
    let got = spawn(&mut world, flow, [left, right], to);
    let size = match flow {
        Flow::Tcp => TCP_SIZE,
        Flow::SmallTcp(segment) => usize::try_from(segment).unwrap_or(TCP_SIZE) - TCP_OPTIONS,
        Flow::Dccp(_) => SIZE,
    };
    world.pass(WARM_UP)?;
    let before = got();
    world.pass(time)?;
    Ok((got() - before) as f64 / size as f64 / time.as_secs_f64())
}

/// Two hosts between which packets to the right are lost; where the right one may listen.
fn lossy(loss: f64, rtt: Duration, seed: u64) -> (World, HostId, HostId, SocketAddr) {
    let mut world = World::without_capture(seed);
    let [left, right] = ["left", "right"].map(|name| world.host(name, Config::default()));
    let (near, far) = MemoryLink::pair_ip(MemoryConfig::without_offloads());
    let delay = format!("delay={}us", rtt.as_micros() / 2);
    let words = |text: &str| -> NetemConfig { text.parse().expect("the words of netem") };
    let outbound = words(&format!("{delay},loss={loss}%"));
    let near = Netem::with_directions(near, outbound, words(&delay), seed);
    let net = |host: u8| format!("192.0.2.{host}/24").parse().expect("an address");
    world.plug(left, near, &[net(1)]);
    world.plug(right, far, &[net(2)]);
    let to = SocketAddr::from(([192, 0, 2, 2], 7000));
    (world, left, right, to)
}

/// What the sender on `host` has heard of last.
fn loss_event_rate(world: &mut World, host: HostId) -> f64 {
    use sockeye_core::Transport as _;
    let now = world.now();
    let (dccp, cx) = world.node(host).dccp(now);
    let ids: Vec<_> = dccp.sockets().iter().map(|row| row.handle.id).collect();
    let mut rates = ids
        .into_iter()
        .filter_map(|id| dccp.info(&cx, id).ok()?.rate);
    rates.next().map_or(0.0, |(_, p)| p)
}

/// What a flow of TCP (Reno) and one of `other` get over `time` through one `bottleneck`, which is in
/// netem's words, in Mbit/s of data. The other flow begins `late`.
///
/// # Errors
/// The world fails.
///
/// # Panics
/// When `bottleneck` is none.
pub fn beside_tcp(
    bottleneck: &str,
    other: Flow,
    late: Duration,
    time: Duration,
    seed: u64,
) -> Result<[f64; 2], Failure> {
    let mut world = World::without_capture(seed);
    let switch = Switch::new(MemoryConfig::default());
    let mut number = 0;
    let mut host = |world: &mut World, name: &str, netem: &str| {
        number += 1;
        let host = world.host(name, Config::default());
        let link = switch.port(MacAddr([2, 0, 0, 0, 0, number]));
        let chance = world.rng().next_u64();
        let link = Netem::new(link, netem.parse().expect("the words of netem"), chance);
        let net = format!("192.0.2.{number}/24").parse().expect("an address");
        world.plug(host, link, &[net]);
        host
    };
    let to = |port| SocketAddr::from(([192, 0, 2, 1], port));
    let right = host(&mut world, "right", bottleneck);
    let [left, beside] = ["tcp", "beside"].map(|name| host(&mut world, name, ""));
    let by_tcp = spawn(&mut world, Flow::Tcp, [left, right], to(7000));
    world.pass(late)?;
    let by_other = spawn(&mut world, other, [beside, right], to(7001));
    let got = || [by_tcp(), by_other()];
    world.pass(WARM_UP)?;
    let before = got();
    world.pass(time)?;
    let after = got();
    let rate = |n: usize| (after[n] - before[n]) as f64 * 8e-6 / time.as_secs_f64();
    Ok([rate(0), rate(1)])
}

/// Begins a flow from the first of two hosts to the second; gives how many bytes have arrived.
fn spawn(
    world: &mut World,
    flow: Flow,
    [from, at]: [HostId; 2],
    to: SocketAddr,
) -> Box<dyn Fn() -> u64> {
    let source = match flow {
        Flow::Tcp => Source::new(to, "reno"),
        Flow::SmallTcp(segment) => Source::new(to, "reno").segments_of(segment),
        Flow::Dccp(ccid) => {
            let taker = Taker::new(to, Setup::ccid(ccid));
            let taken = taker.taken();
            world.spawn(at, taker);
            world.spawn(from, Pusher::new(to, None, SIZE, Setup::ccid(ccid)));
            return Box::new(move || taken.bytes.load(Ordering::Relaxed));
        }
    };
    let sink = Sink::new(to);
    let received = sink.received();
    world.spawn(at, sink);
    world.spawn(from, source);
    Box::new(move || received.load(Ordering::Relaxed))
}
