//! Associations between hosts: over every kind of cable, over UDP, over several paths.

use super::{LEFT, RIGHT, V4, V6, at, pair, plain};
use sockeye_core::{Config, Counter, SctpConfig};
use sockeye_drivers::memory::MemoryConfig;
use sockeye_sim::app::messages::{Hearer, Teller};
use sockeye_sim::{Cable, World};
use std::time::Duration;

const COUNT: u32 = 200;

#[test]
fn messages_cross_every_kind_of_cable_and_what_networks_do() {
    for to in [V4, V6] {
        for cable in [
            Cable::Ip(plain()),
            Cable::Ethernet(plain()),
            Cable::Ip(MemoryConfig::default()),
            Cable::Ethernet(MemoryConfig::default()),
        ] {
            for (netem, length) in [
                ("", 10),
                ("delay=5ms,loss=3%,reorder=3%,duplicate=2%", 3000),
            ] {
                let (mut world, left, right) = pair(3, cable, netem);
                world.spawn(right, Hearer::new(at(to), COUNT, length));
                world.spawn(left, Teller::new(at(to), COUNT, length));
                world
                    .run(Duration::from_secs(600))
                    .unwrap_or_else(|failure| panic!("{to} {netem}: {failure}"));
            }
        }
    }
}

/// RFC 6951: SCTP in UDP at port 9899.
#[test]
fn messages_cross_in_udp() {
    let config = Config {
        sctp: SctpConfig {
            udp_port: 9899,
            encap_port: 9899,
            ..SctpConfig::default()
        },
        ..Config::default()
    };
    for to in [V4, V6] {
        let mut world = World::new(4);
        let left = world.host("left", config.clone());
        let right = world.host("right", config.clone());
        world.join(
            (left, LEFT),
            (right, RIGHT),
            Cable::Ip(plain()),
            "delay=3ms,loss=2%",
        );
        world.pass(Duration::from_secs(4)).unwrap();
        world.spawn(right, Hearer::new(at(to), COUNT, 2000));
        world.spawn(left, Teller::new(at(to), COUNT, 2000));
        world.run(Duration::from_secs(600)).unwrap();
        let counters = world.node(right).counters();
        assert!(counters.get(Counter::SctpInSCTPPacks) > u64::from(COUNT));
        assert_eq!(counters.get(Counter::SctpChecksumErrors), 0);
    }
}

#[test]
fn messages_cross_over_two_and_three_cables_that_are_bad() {
    for cables in [2, 3] {
        let mut world = World::new(5);
        let left = world.host("left", Config::default());
        let right = world.host("right", Config::default());
        for n in 0..cables {
            let near = format!("10.{n}.0.1/24");
            let far = format!("10.{n}.0.2/24");
            world.join(
                (left, &near),
                (right, &far),
                Cable::Ip(plain()),
                "delay=5ms,loss=8%,reorder=5%",
            );
        }
        world.spawn(right, Hearer::new(at("10.0.0.2:7000"), COUNT, 3000));
        world.spawn(left, Teller::new(at("10.0.0.2:7000"), COUNT, 3000));
        world
            .run(Duration::from_secs(1200))
            .unwrap_or_else(|failure| panic!("{cables}: {failure}"));
    }
}
