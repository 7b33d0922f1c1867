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

/// Left, a router with these settings, right; each by a cable of 1500 bytes.
fn beyond_a_router(config: &Config, mut routing: Config) -> (World, HostId, HostId, HostId) {
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

/// The router's link to the right takes no more than 900 bytes from now on.
fn becomes_narrow(world: &mut World, router: HostId) {
    let now = world.now();
    let far = InterfaceId(3);
    let node = world.node(router);
    let (_, interface) = node.interfaces().find(|(id, _)| *id == far).unwrap();
    let narrow = Capabilities {
        mtu: 900,
        ..*interface.capabilities()
    };
    assert!(node.set_capabilities(now, far, narrow));
}

/// RFC 8899 §4.3: the same without a word of the router: a black hole for what is larger, which probes
/// find.
#[test]
fn messages_cross_a_black_hole() {
    let config = Config {
        sctp: SctpConfig {
            plpmtud_probe_interval: Duration::from_secs(5),
            ..SctpConfig::default()
        },
        ..Config::default()
    };
    let silent = Config {
        icmp_errors: (0, 0),
        ..Config::default()
    };
    let (mut world, left, router, right) = beyond_a_router(&config, silent);
    world.spawn(right, Hearer::new(at("10.2.0.2:7000"), COUNT, 5000));
    world.spawn(left, Teller::new(at("10.2.0.2:7000"), COUNT, 5000));
    world.pass(Duration::from_millis(400)).unwrap();
    becomes_narrow(&mut world, router);
    world.run(Duration::from_secs(600)).unwrap();
    let counters = world.node(left).counters();
    assert!(counters.get(Counter::SctpT3RtxExpireds) > 0);
}

/// RFC 9260 §5.2.2, §5.2.4 A: a host fails in the middle of what it tells, and one with its address and
/// port, that knows of nothing, tells all of it anew.
#[test]
fn messages_cross_though_a_host_restarts() {
    let (mut world, left, router, right) = beyond_a_router(&Config::default(), Config::default());
    let (heard, port) = (at("10.2.0.2:7000"), 6000);
    world.spawn(right, Hearer::new(heard, COUNT, 5000).restarted(1));
    let first = Teller::new(heard, COUNT, 5000).from_port(port);
    world.spawn(left, first.silent_after(60));
    world.pass(Duration::from_millis(250)).unwrap();
    // Its power fails.
    let all = "0.0.0.0/0".parse().unwrap();
    let gateway = Some("10.1.0.9".parse().unwrap());
    assert!(world.node(left).remove_route(all, gateway, InterfaceId(2)));
    let again = world.host("again", Config::default());
    world.join(
        (again, "10.1.0.1/24"),
        (router, "10.3.0.9/24"),
        Cable::Ip(plain()),
        "delay=5ms,rate=10mbit",
    );
    world
        .node(again)
        .add_route(all, gateway, InterfaceId(2), 0)
        .unwrap();
    let there = "10.1.0.1/32".parse().unwrap();
    world
        .node(router)
        .add_route(there, None, InterfaceId(4), 0)
        .unwrap();
    world.spawn(again, Teller::new(heard, COUNT, 5000).from_port(port));
    world.run(Duration::from_secs(600)).unwrap();
}

/// RFC 9260 §6.4, §8.2: three paths that lose and reorder, each by a router of its own, of which one
/// after the other passes nothing for ten seconds.
#[test]
fn messages_cross_three_paths_that_fail_in_turn() {
    let mut world = World::new(8);
    let left = world.host("left", Config::default());
    let right = world.host("right", Config::default());
    let routing = |on| {
        let mut config = Config::default();
        config.interfaces.set_forwarding_v4(on);
        config
    };
    let mut routers = Vec::new();
    for n in 0..3_u32 {
        let router = world.host(&format!("router {n}"), routing(true));
        for (host, last, far) in [(left, 1, 10 + n), (right, 2, n)] {
            let third = if last == 1 { n } else { 10 + n };
            let net = format!("10.{third}.0.{last}/24");
            let gateway = format!("10.{third}.0.9/24");
            let bad = "delay=5ms,rate=10mbit,loss=1%,reorder=5%";
            world.join((host, &net), (router, &gateway), Cable::Ip(plain()), bad);
            let beyond = format!("10.{far}.0.0/24").parse().unwrap();
            let gateway = format!("10.{third}.0.9").parse().unwrap();
            world
                .node(host)
                .add_route(beyond, Some(gateway), InterfaceId(2 + n), 0)
                .unwrap();
        }
        routers.push(router);
    }
    let count = 10 * COUNT;
    world.spawn(right, Hearer::new(at("10.10.0.2:7000"), count, 5000));
    world.spawn(left, Teller::new(at("10.10.0.2:7000"), count, 5000));
    world.pass(Duration::from_secs(1)).unwrap();
    for router in routers {
        world.node(router).set_config(routing(false));
        world.pass(Duration::from_secs(10)).unwrap();
        world.node(router).set_config(routing(true));
    }
    world.run(Duration::from_secs(1200)).unwrap();
    let counters = world.node(left).counters();
    assert!(counters.get(Counter::SctpT3RtxExpireds) > 0);
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
        let (mut world, left, router, right) = beyond_a_router(&config, Config::default());
        world.spawn(right, Hearer::new(at("10.2.0.2:7000"), COUNT, 5000));
        world.spawn(left, Teller::new(at("10.2.0.2:7000"), COUNT, 5000));
        world.pass(Duration::from_millis(400)).unwrap();
        becomes_narrow(&mut world, router);
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
