//! Several nodes in virtual time, from one seed.

mod dccp;
mod ecn;
mod fairness;
mod napt;
mod router;
mod sctp;
mod undo;

use sockeye_core::{Config, Counter};
use sockeye_drivers::memory::MemoryConfig;
use sockeye_sim::app::datagram::{Asker, Echo};
use sockeye_sim::app::ping::Pinger;
use sockeye_sim::app::stream::{Receiver, Sender};
use sockeye_sim::{Cable, HostId, World};
use std::net::SocketAddr;
use std::time::Duration;

const LEFT: &str = "192.0.2.1/24 2001:db8::1/64";
const RIGHT: &str = "192.0.2.2/24 2001:db8::2/64";
const V4: &str = "192.0.2.2:7000";
const V6: &str = "[2001:db8::2]:7000";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn plain() -> MemoryConfig {
    MemoryConfig::without_offloads()
}

/// Two hosts with a cable between them, a few seconds old: by then their IPv6 addresses have
/// passed duplicate address detection.
fn pair(seed: u64, cable: Cable, netem: &str) -> (World, HostId, HostId) {
    let mut world = World::new(seed);
    let left = world.host("left", Config::default());
    let right = world.host("right", Config::default());
    world.join((left, LEFT), (right, RIGHT), cable, netem);
    world.pass(Duration::from_secs(4)).unwrap();
    (world, left, right)
}

/// Sends a stream from left to right, and says how long it took in virtual time.
fn transfer(seed: u64, cable: Cable, netem: &str, to: &str, length: u64) -> Duration {
    let (mut world, left, right) = pair(seed, cable, netem);
    world.spawn(right, Receiver::new(at(to), length));
    world.spawn(left, Sender::new(at(to), length));
    let began = world.now();
    world
        .run(Duration::from_secs(600))
        .unwrap_or_else(|failure| panic!("{netem}: {failure}"));
    world.now() - began
}

#[test]
fn a_stream_crosses_every_kind_of_cable() {
    for to in [V4, V6] {
        for cable in [
            Cable::Ip(plain()),
            Cable::Ethernet(plain()),
            Cable::Ip(MemoryConfig::default()),
            Cable::Ethernet(MemoryConfig::default()),
        ] {
            transfer(1, cable, "", to, 1 << 20);
        }
    }
}

#[test]
fn a_stream_survives_what_networks_do() {
    for netem in [
        "delay=10ms",
        "delay=10ms,loss=1%",
        "delay=5ms,loss=10%",
        "delay=20ms,reorder=5%",
        "delay=10ms,jitter=8ms",
        "delay=5ms,duplicate=10%",
        "delay=5ms,corrupt=2%",
        "delay=10ms,rate=10mbit,limit=50",
        "delay=10ms,loss=2%,duplicate=2%,reorder=2%,corrupt=1%",
    ] {
        for seed in 1..=3 {
            transfer(seed, Cable::Ip(plain()), netem, V4, 300_000);
            transfer(seed, Cable::Ethernet(plain()), netem, V6, 300_000);
        }
    }
}

#[test]
fn a_transfer_takes_the_time_that_the_rate_allows() {
    // 2 MB at 10 Mbit/s are 1.6 s, headers and the start not counted.
    let cable = Cable::Ip(plain());
    let time = transfer(1, cable, "delay=5ms,rate=10mbit,limit=200", V4, 2_000_000);
    assert!(time > Duration::from_millis(1600), "{time:?}");
    assert!(time < Duration::from_millis(2200), "{time:?}");
}

#[test]
fn questions_are_answered_by_datagrams() {
    for (to, netem) in [
        (V4, ""),
        (V6, ""),
        (V4, "delay=3ms,loss=20%"),
        (V6, "delay=1ms"),
    ] {
        let (mut world, left, right) = pair(5, Cable::Ethernet(plain()), netem);
        world.spawn(right, Echo::new(at(to)));
        // Longer than a packet: fragments too.
        for length in [4, 1400, 5000] {
            world.spawn(left, Asker::new(at(to), 20, length));
        }
        world.run(Duration::from_secs(300)).unwrap();
    }
}

#[test]
fn pings_come_back() {
    for netem in ["", "delay=40ms,loss=30%,duplicate=10%"] {
        for cable in [Cable::Ip(plain()), Cable::Ethernet(plain())] {
            let (mut world, left, _) = pair(4, cable, netem);
            for to in ["192.0.2.2", "2001:db8::2", "127.0.0.1", "::1"] {
                world.spawn(left, Pinger::new(to.parse().unwrap(), 5));
            }
            world.run(Duration::from_secs(120)).unwrap();
        }
    }
}

#[test]
fn a_thousand_connections_leave_nothing_behind() {
    let (mut world, left, right) = pair(9, Cable::Ip(plain()), "delay=2ms");
    for n in 0..500 {
        let (there, back) = (7000 + n, 8000 + n);
        world.spawn(
            right,
            Receiver::new(SocketAddr::new(at(V4).ip(), there), 1000),
        );
        world.spawn(left, Sender::new(SocketAddr::new(at(V4).ip(), there), 1000));
        let own = "192.0.2.1".parse().unwrap();
        world.spawn(left, Receiver::new(SocketAddr::new(own, back), 1000));
        world.spawn(right, Sender::new(SocketAddr::new(own, back), 1000));
    }
    world.run(Duration::from_secs(60)).unwrap();
    // TIME-WAIT lasts a minute.
    world.pass(Duration::from_secs(61)).unwrap();
    for host in [left, right] {
        let node = world.node(host);
        assert_eq!(node.counters().get(Counter::TcpActiveOpens), 500);
        assert!(node.sockets().is_empty(), "{:?}", node.sockets());
    }
}

#[test]
fn a_connect_into_a_void_times_out() {
    let (mut world, left, _) = pair(3, Cable::Ip(plain()), "loss=100%");
    world.spawn(left, Sender::new(at(V4), 1));
    let failure = world.run(Duration::from_secs(3600)).unwrap_err();
    assert!(failure.what.contains("did not answer in time"), "{failure}");
}

/// The world whose packets are known: a stream under loss, datagrams and errors, over both kinds of
/// cable and both families.
fn reference_world() -> World {
    reference_world_of(&Config::default())
}

/// [`reference_world`] of hosts that are set to `config`.
fn reference_world_of(config: &Config) -> World {
    let mut world = World::new(0x50c4_e1e5);
    let [left, right, far] = ["left", "right", "far"].map(|name| world.host(name, config.clone()));
    let netem = "delay=10ms,jitter=2ms,loss=2%,reorder=1%,duplicate=1%,corrupt=1%";
    world.join(
        (left, LEFT),
        (right, RIGHT),
        Cable::Ethernet(plain()),
        netem,
    );
    let (near_end, far_end) = ("198.51.100.1/24", "198.51.100.2/24");
    let cable = Cable::Ip(MemoryConfig::default());
    world.join(
        (left, near_end),
        (far, far_end),
        cable,
        "delay=3ms,rate=50mbit",
    );
    world.pass(Duration::from_secs(4)).unwrap();
    world.spawn(right, Receiver::new(at(V4), 200_000));
    world.spawn(left, Sender::new(at(V4), 200_000));
    world.spawn(right, Receiver::new(at("[2001:db8::2]:7001"), 50_000));
    world.spawn(left, Sender::new(at("[2001:db8::2]:7001"), 50_000));
    world.spawn(far, Receiver::new(at("198.51.100.2:7000"), 500_000));
    world.spawn(left, Sender::new(at("198.51.100.2:7000"), 500_000));
    world.spawn(right, Echo::new(at("[2001:db8::2]:7")));
    world.spawn(left, Asker::new(at("[2001:db8::2]:7"), 10, 3000));
    for to in ["192.0.2.2", "2001:db8::2", "198.51.100.2"] {
        world.spawn(left, Pinger::new(to.parse().unwrap(), 3));
    }
    world.run(Duration::from_secs(120)).unwrap();
    world.pass(Duration::from_secs(70)).unwrap();
    world
}

/// Of [`reference_world`], in debug and in release. A change that moves packets changes it,
/// knowingly: then the new one goes here, with the reason in the commit.
const REFERENCE: &str = "d5a0a0ab1251b4bd062badc8122b5fc50eaab202db14295be5e61341c886ab8d";

#[test]
fn the_same_seed_gives_the_same_packets() {
    let world = reference_world();
    let again = reference_world();
    assert!(world.capture().len() > 1_000_000, "the world is empty");
    assert!(world.capture() == again.capture(), "two runs differ");
    let fingerprint = world.fingerprint();
    assert_eq!(
        fingerprint, REFERENCE,
        "packets changed: if they should, put the first one there"
    );
}

/// Whether connections at rest are packed, and how soon, shows in no packet.
#[test]
fn packed_connections_send_the_same_packets() {
    for tcp_pack_idle in [None, Some(Duration::ZERO)] {
        let world = reference_world_of(&Config {
            tcp_pack_idle,
            ..Config::default()
        });
        assert_eq!(world.fingerprint(), REFERENCE, "{tcp_pack_idle:?}");
    }
}

#[test]
fn another_seed_gives_other_packets() {
    let run = |seed| {
        let (mut world, left, right) = pair(seed, Cable::Ip(plain()), "loss=5%");
        world.spawn(right, Receiver::new(at(V4), 50_000));
        world.spawn(left, Sender::new(at(V4), 50_000));
        world.run(Duration::from_secs(60)).unwrap();
        world.fingerprint()
    };
    assert_ne!(run(1), run(2));
}

#[test]
fn a_failure_names_the_seed_and_the_capture() {
    let (mut world, left, _) = pair(77, Cable::Ip(plain()), "");
    world.spawn(left, Sender::new(at(V4), 1));
    let failure = world.run(Duration::from_secs(1)).unwrap_err();
    assert!(failure.to_string().contains("seed 77"), "{failure}");
    let path = failure.capture.unwrap();
    let bytes = std::fs::read(&path).unwrap();
    // The block type that a pcapng file begins with.
    assert_eq!(bytes[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_connect_to_nobody_times_out() {
    for cable in [Cable::Ip(MemoryConfig::default()), Cable::Ethernet(plain())] {
        let (mut world, left, _) = pair(3, cable, "");
        world.spawn(left, Sender::new(at("192.0.2.9:80"), 1));
        let failure = world.run(Duration::from_secs(3600)).unwrap_err();
        assert!(failure.what.contains("sender to"), "{failure}");
        assert!(!failure.what.contains("idle"), "{failure}");
    }
}
