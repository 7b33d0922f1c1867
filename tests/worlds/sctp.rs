//! Associations between hosts: over every kind of cable, over UDP, over several paths.

use super::{LEFT, RIGHT, V4, V6, at, pair, plain};
use sockeye_core::{Capabilities, Config, Counter, InterfaceId, SctpConfig};
use sockeye_drivers::memory::MemoryConfig;
use sockeye_sim::app::messages::{Hearer, Teller};
use sockeye_sim::{Cable, HostId, World};
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

/// Left, a router, right; each by a cable of 1500 bytes.
fn beyond_a_router(config: &Config) -> (World, HostId, HostId, HostId) {
    let mut routing = Config::default();
    routing.interfaces.set_forwarding_v4(true);
    let mut world = World::new(6);
    let left = world.host("left", config.clone());
    let router = world.host("router", routing);
    let right = world.host("right", config.clone());
    let slow = "delay=5ms,rate=10mbit";
    for (near, far) in [
        ((left, "10.1.0.1/24"), (router, "10.1.0.9/24")),
        ((router, "10.2.0.9/24"), (right, "10.2.0.2/24")),
    ] {
        world.join(near, far, Cable::Ip(plain()), slow);
    }
    for (host, gateway) in [(left, "10.1.0.9"), (right, "10.2.0.9")] {
        let (net, gateway) = ("0.0.0.0/0".parse().unwrap(), gateway.parse().unwrap());
        let node = world.node(host);
        // The loopback is the first.
        node.add_route(net, Some(gateway), InterfaceId(2), 0)
            .unwrap();
    }
    (world, left, router, right)
}

/// RFC 9260 §6.9, §7.3, RFC 8899 §6.2.1: a link on the way becomes narrower under an association, and
/// its router says so; with probes and without.
#[test]
fn messages_cross_a_path_that_becomes_narrower() {
    for interval in [Duration::ZERO, Duration::from_secs(5)] {
        let config = Config {
            sctp: SctpConfig {
                plpmtud_probe_interval: interval,
                ..SctpConfig::default()
            },
            ..Config::default()
        };
        let (mut world, left, router, right) = beyond_a_router(&config);
        world.spawn(right, Hearer::new(at("10.2.0.2:7000"), COUNT, 5000));
        world.spawn(left, Teller::new(at("10.2.0.2:7000"), COUNT, 5000));
        world.pass(Duration::from_millis(400)).unwrap();
        let now = world.now();
        let far = InterfaceId(3);
        let node = world.node(router);
        let (_, interface) = node.interfaces().find(|(id, _)| *id == far).unwrap();
        let narrow = Capabilities {
            mtu: 900,
            ..*interface.capabilities()
        };
        assert!(node.set_capabilities(now, far, narrow));
        world
            .run(Duration::from_secs(600))
            .unwrap_or_else(|failure| panic!("{interval:?}: {failure}"));
        let counters = world.node(left).counters();
        assert!(counters.get(Counter::SctpPmtudRetransmits) > 0);
    }
}

/// One of two addresses goes while messages are under way: the association goes on by the other.
#[test]
fn messages_cross_though_an_address_is_removed() {
    for gone in [0, 1] {
        let mut world = World::new(7);
        let left = world.host("left", Config::default());
        let right = world.host("right", Config::default());
        for n in 0..2 {
            let (near, far) = (format!("10.{n}.0.1/24"), format!("10.{n}.0.2/24"));
            let slow = "delay=5ms,rate=10mbit,loss=1%";
            world.join((left, &near), (right, &far), Cable::Ip(plain()), slow);
        }
        world.spawn(right, Hearer::new(at("10.0.0.2:7000"), COUNT, 5000));
        world.spawn(left, Teller::new(at("10.0.0.2:7000"), COUNT, 5000));
        world.pass(Duration::from_millis(400)).unwrap();
        let now = world.now();
        let net = format!("10.{gone}.0.1/24").parse().unwrap();
        let interface = InterfaceId(2 + gone);
        assert!(world.node(left).remove_address(now, interface, net));
        world
            .run(Duration::from_secs(1200))
            .unwrap_or_else(|failure| panic!("{gone}: {failure}"));
    }
}
