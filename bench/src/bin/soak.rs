//! Worlds by chance, one after the other: streams, datagrams and echoes over cables on which
//! anything may happen to packets. All that was begun has to come to its end.
//!
//! `soak MINUTES` begins with a seed of the time of day; `soak seed N` runs one world again and
//! keeps its capture when it fails.

use anyhow::{Context, Result, anyhow, bail};
use sockeye::Config;
use sockeye::drivers::MemoryConfig;
use sockeye_sim::app::datagram::{Asker, Echo};
use sockeye_sim::app::ping::Pinger;
use sockeye_sim::app::stream::{Receiver, Sender};
use sockeye_sim::{Cable, World};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

const LEFT: &str = "192.0.2.1/24 2001:db8::1/64";
const RIGHT: &str = "192.0.2.2/24 2001:db8::2/64";
/// How long a world may take, in its own time. A stream over the worst of these paths needs hours.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["seed", seed] => one(seed.parse()?, true).map(|words| println!("{words}: ok")),
        [minutes] => many(minutes.parse().context("minutes are a number")?),
        _ => bail!("usage: soak MINUTES | soak seed N"),
    }
}

fn many(minutes: u64) -> Result<()> {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let first = time.as_secs();
    let began = Instant::now();
    let mut seed = first;
    while began.elapsed() < Duration::from_secs(minutes * 60) {
        one(seed, false).with_context(|| format!("again with its packets: `soak seed {seed}`"))?;
        seed += 1;
    }
    println!("{} worlds from seed {first}: ok", seed - first);
    Ok(())
}

/// Runs the world of a seed, and tells what happened to packets there.
fn one(seed: u64, capture: bool) -> Result<String> {
    let mut world = if capture {
        World::new(seed)
    } else {
        World::without_capture(seed)
    };
    let words = words(&mut world);
    let memory = if world.rng().below(2) == 0 {
        MemoryConfig::default()
    } else {
        MemoryConfig::without_offloads()
    };
    let cable = if world.rng().below(2) == 0 {
        Cable::Ip(memory)
    } else {
        Cable::Ethernet(memory)
    };
    let left = world.host("left", Config::default());
    let right = world.host("right", Config::default());
    world.join((left, LEFT), (right, RIGHT), cable, &words);
    let failed = |failure: sockeye_sim::Failure| anyhow!("{words}: {failure}");
    // Addresses are checked for being in use.
    world.pass(Duration::from_secs(4)).map_err(failed)?;
    for n in 0..1 + world.rng().below(4) {
        let ip = ["192.0.2.2", "2001:db8::2"][world.rng().below(2) as usize];
        let at = SocketAddr::new(ip.parse()?, 7000 + u16::try_from(n)?);
        let length = u64::from(world.rng().below(2_000_000));
        world.spawn(right, Receiver::new(at, length));
        world.spawn(left, Sender::new(at, length));
    }
    let echo: SocketAddr = "192.0.2.2:7".parse()?;
    world.spawn(right, Echo::new(echo));
    let length = 4 + world.rng().below(4000) as usize;
    world.spawn(left, Asker::new(echo, 5, length));
    world.spawn(left, Pinger::new(echo.ip(), 3));
    world.run(PATIENCE).map_err(failed)?;
    // TIME-WAIT and whatever else is left goes.
    world.pass(Duration::from_secs(120)).map_err(failed)?;
    for host in [left, right] {
        let left = world.node(host).sockets();
        // The echo server's and the asker's remain.
        if left
            .iter()
            .any(|socket| socket.state != "UNCONN" && socket.state != "ESTAB")
        {
            bail!("{words}: sockets are left: {left:?}");
        }
    }
    Ok(words)
}

/// What happens to packets, in netem's words. Of each kind often nothing.
fn words(world: &mut World) -> String {
    let rng = world.rng();
    let mut words = vec![format!("delay={}us", rng.below(60_000))];
    if rng.below(2) == 0 {
        words.push(format!("jitter={}us", rng.below(20_000)));
    }
    for (word, most_permille) in [
        ("loss", 80),
        ("duplicate", 50),
        ("reorder", 200),
        ("corrupt", 20),
    ] {
        if rng.below(2) == 0 {
            let permille = rng.below(most_permille);
            words.push(format!("{word}={}.{}%", permille / 10, permille % 10));
        }
    }
    if rng.below(2) == 0 {
        words.push(format!("rate={}kbit", 500 + rng.below(100_000)));
    }
    words.push(format!("limit={}", 20 + rng.below(2000)));
    words.join(",")
}
