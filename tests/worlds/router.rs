//! Hosts behind routers: left – near – far – right, with a narrow link in the middle.

use super::plain;
use sockeye_core::datagram::SendOptions;
use sockeye_core::{Config, Counter, Domain, InterfaceId};
use sockeye_drivers::memory::MemoryConfig;
use sockeye_sim::app::datagram::{Asker, Echo};
use sockeye_sim::app::stream::{Receiver, Sender};
use sockeye_sim::{Cable, HostId, World};
use sockeye_wire::IpProtocol;
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The right host.
const TO: [&str; 2] = ["198.51.100.2", "2001:db8:9::2"];
/// Bytes that the link between the routers carries.
const NARROW: u32 = 1300;

struct Path {
    world: World,
    left: HostId,
    near: HostId,
    far: HostId,
    right: HostId,
}

/// Each cable of the kind that `cable` makes of its configuration.
fn path(seed: u64, cable: fn(MemoryConfig) -> Cable, wide: MemoryConfig, netem: &str) -> Path {
    let mut routing = Config::default();
    routing.interfaces.set_forwarding_v4(true);
    routing.interfaces.set_forwarding_v6(true);
    let mut world = World::new(seed);
    let left = world.host("left", Config::default());
    let near = world.host("near", routing.clone());
    let far = world.host("far", routing);
    let right = world.host("right", Config::default());
    let narrow = MemoryConfig {
        mtu: NARROW,
        ..wide
    };
    for (a, b, config, netem) in [
        (
            (left, "192.0.2.2/24 2001:db8:1::2/64"),
            (near, "192.0.2.1/24 2001:db8:1::1/64"),
            wide,
            netem,
        ),
        (
            (near, "203.0.113.1/24 2001:db8:5::1/64"),
            (far, "203.0.113.2/24 2001:db8:5::2/64"),
            narrow,
            "",
        ),
        (
            (far, "198.51.100.1/24 2001:db8:9::1/64"),
            (right, "198.51.100.2/24 2001:db8:9::2/64"),
            wide,
            "",
        ),
    ] {
        world.join(a, b, cable(config), netem);
    }
    for (host, port, gateways) in [
        (left, 0, ["192.0.2.1", "2001:db8:1::1"]),
        (near, 1, ["203.0.113.2", "2001:db8:5::2"]),
        (far, 0, ["203.0.113.1", "2001:db8:5::1"]),
        (right, 0, ["198.51.100.1", "2001:db8:9::1"]),
    ] {
        for (net, gateway) in ["0.0.0.0/0", "::/0"].into_iter().zip(gateways) {
            let (net, gateway) = (net.parse().unwrap(), gateway.parse().unwrap());
            // The loopback is the first.
            let interface = InterfaceId(2 + port);
            let node = world.node(host);
            node.add_route(net, Some(gateway), interface, 0).unwrap();
        }
    }
    world.pass(Duration::from_secs(4)).unwrap();
    Path {
        world,
        left,
        near,
        far,
        right,
    }
}

/// RFC 1191, RFC 8201: a stream finds out what the path carries from the router before the narrow
/// link.
#[test]
fn a_stream_fits_itself_to_a_narrow_link_behind_a_router() {
    for (wide, netem) in [
        (plain(), "delay=5ms"),
        (plain(), "delay=5ms,loss=1%"),
        (MemoryConfig::default(), "delay=5ms"),
    ] {
        for cable in [Cable::Ethernet as fn(_) -> _, Cable::Ip] {
            for (to, too_big) in TO
                .into_iter()
                .zip([Counter::IpFragFails, Counter::Ip6InTooBigErrors])
            {
                let mut path = path(1, cable, wide, netem);
                let to = SocketAddr::new(to.parse().unwrap(), 7000);
                path.world.spawn(path.right, Receiver::new(to, 1 << 20));
                path.world.spawn(path.left, Sender::new(to, 1 << 20));
                let ran = path.world.run(Duration::from_secs(60));
                ran.unwrap_or_else(|failure| panic!("{to}, {netem}: {failure}"));
                for router in [path.near, path.far] {
                    let counters = path.world.node(router).counters();
                    assert!(counters.get(Counter::IpForwDatagrams) > 100);
                    let refused = counters.get(too_big);
                    assert_eq!(refused > 0, router == path.near, "{to}: {refused}");
                    assert_eq!(counters.get(Counter::IpFragOKs), 0);
                }
            }
        }
    }
}

/// RFC 791 §3.2: what its source has cut is cut again where the link is narrow, and is put together
/// by the host that it is for.
#[test]
fn fragments_are_cut_again_before_a_narrow_link() {
    let mut path = path(2, Cable::Ethernet, plain(), "delay=1ms");
    let to = SocketAddr::new(TO[0].parse().unwrap(), 7);
    path.world.spawn(path.right, Echo::new(to));
    path.world.spawn(path.left, Asker::new(to, 10, 4000));
    path.world.run(Duration::from_secs(60)).unwrap();
    // Two of three fragments are, each time.
    let mut counted = |host| path.world.node(host).counters().get(Counter::IpFragOKs);
    assert_eq!([path.near, path.far].map(&mut counted), [20, 20]);
}

/// The routers on the way to `to`, and `to` itself, by echo requests with more and more hops.
fn trace(path: &mut Path, to: IpAddr) -> Vec<IpAddr> {
    let (domain, protocol, request) = match to {
        IpAddr::V4(_) => (Domain::V4, IpProtocol::ICMP, 8),
        IpAddr::V6(_) => (Domain::V6, IpProtocol::ICMPV6, 128),
    };
    let now = path.world.now();
    let (raw, mut cx) = path.world.node(path.left).raw(now);
    let ear = raw.open(&mut cx, domain, protocol).unwrap();
    let (ping, mut cx) = path.world.node(path.left).ping(now);
    let mouth = ping.open(&mut cx, domain).unwrap();
    let mut hops = Vec::new();
    for ttl in 1..=5 {
        let options = SendOptions {
            ttl: Some(ttl),
            hop_limit: Some(ttl),
            ..SendOptions::default()
        };
        let now = path.world.now();
        let (ping, mut cx) = path.world.node(path.left).ping(now);
        let message = [request, 0, 0, 0, 0, 0, 0, ttl];
        let data = [IoSlice::new(&message)];
        let to_any_port = Some(SocketAddr::new(to, 0));
        ping.send(&mut cx, mouth, &data, to_any_port, &options)
            .unwrap();
        path.world.pass(Duration::from_secs(2)).unwrap();
        let now = path.world.now();
        let (raw, mut cx) = path.world.node(path.left).raw(now);
        let mut buffer = [0; 1500];
        // Neighbours ask one another, too: the last to speak answered the request.
        let mut by = None;
        while let Ok(received) = raw.recv(&mut cx, ear, &mut buffer, false) {
            let from = received.from.ip();
            let v4 = from.is_ipv4();
            let kind = buffer[if v4 { 20 } else { 0 }];
            if matches!((v4, kind), (true, 0 | 11) | (false, 3 | 129)) {
                by = Some(from);
            }
        }
        hops.extend(by);
        if by == Some(to) {
            break;
        }
    }
    hops
}

#[test]
fn a_trace_sees_each_router_by_the_address_on_this_side() {
    for (to, expected) in [
        (TO[0], ["192.0.2.1", "203.0.113.2", TO[0]]),
        (TO[1], ["2001:db8:1::1", "2001:db8:5::2", TO[1]]),
    ] {
        for cable in [Cable::Ethernet as fn(_) -> _, Cable::Ip] {
            let mut path = path(3, cable, plain(), "");
            let hops = trace(&mut path, to.parse().unwrap());
            let hops: Vec<String> = hops.iter().map(ToString::to_string).collect();
            assert_eq!(hops, expected);
        }
    }
}
