//! The same grid in virtual time, ours to ours: quick, and the same figures each time.

use crate::cells::{Cell, Length, RATE};
use crate::hosts::BUFFER_MAX;
use anyhow::{Result, anyhow};
use sockeye::Config;
use sockeye::drivers::{MemoryConfig, MemoryLink, Netem};
use sockeye::link::Link;
use sockeye_sim::World;
use sockeye_sim::app::bulk::{Sink, Source};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Bytes of text in a full segment with timestamps, and of its frame.
const SEGMENT: (f64, f64) = (1448.0, 1514.0);

/// Bits a second from one node to another in a cell.
pub(crate) fn goodput(
    cell: &Cell,
    congestion: &str,
    limit: usize,
    seed: u64,
    length: Length,
) -> Result<f64> {
    let words = cell.words(limit, seed);
    let mut world = World::without_capture(seed);
    let config = Config {
        tcp_congestion: congestion.to_owned(),
        tcp_rmem: (4096, 131_072, BUFFER_MAX),
        tcp_wmem: (4096, 16_384, BUFFER_MAX),
        ..Config::default()
    };
    let left = world.host("left", config.clone());
    let right = world.host("right", config);
    // Frames on the stage have an Ethernet header, which counts against the rate; bare packets need
    // no neighbours. The rate is lowered by as much.
    let (near, far) = MemoryLink::pair_ip(MemoryConfig::default());
    let far: Box<dyn Link> = Box::new(far);
    let reordering = Netem::new(far, words.reorder.parse()?, words.seed ^ (1 << 63));
    let path = words.path.replace("rate=100mbit", "rate=99mbit");
    let far = Netem::new(reordering, path.parse()?, words.seed);
    world.plug(left, far, &["192.0.2.1/24".parse()?]);
    world.plug(right, near, &["192.0.2.2/24".parse()?]);
    let at: SocketAddr = "192.0.2.2:7000".parse()?;
    let sink = Sink::new(at);
    let received = sink.received();
    world.spawn(right, sink);
    world.spawn(left, Source::new(at, congestion));
    let failed = |failure: sockeye_sim::Failure| anyhow!("{failure}");
    world.pass(length.warm_up(cell)).map_err(failed)?;
    let before = received.load(Ordering::Relaxed);
    let time = length.measured(cell);
    world.pass(time).map_err(failed)?;
    let after = received.load(Ordering::Relaxed);
    Ok((after - before) as f64 * 8.0 / time.as_secs_f64())
}

/// What theory says of a cell, in bits a second: the rate, or what the response function of the
/// congestion control allows under random loss (RFC 9438 §5.2 and, for Reno and where CUBIC is
/// Reno-friendly, RFC 5348 §3.1's simple form). Queues and timeouts are not in it.
pub(crate) fn bound(cell: &Cell, congestion: &str) -> f64 {
    let (text, frame) = SEGMENT;
    let rate = RATE as f64 * text / frame;
    let loss = cell.loss_fraction();
    if loss <= 0.0 || congestion == "bbr" {
        return rate;
    }
    let rtt = Duration::from_millis(cell.rtt_ms).as_secs_f64();
    // Every segment or every second one is acknowledged: growth is by bytes, so that of each.
    let reno = (1.5 / loss).sqrt();
    // C = 0.4, beta = 0.7.
    let cubic = 1.054 * (rtt / loss).powf(0.75);
    let window = if congestion == "cubic" {
        reno.max(cubic)
    } else {
        reno
    };
    (window * text * 8.0 / rtt).min(rate)
}
