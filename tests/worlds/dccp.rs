//! DCCP between hosts: over every kind of cable, in UDP, through translators, beside TCP.

use super::napt::Napt;
use super::{LEFT, RIGHT, V4, V6, at, pair, plain};
use proptest::prelude::*;
use sockeye_core::{
    Config, Counter, DccpConfig, InterfaceId, OptionValue, SocketOption, Transport,
};
use sockeye_drivers::memory::{MemoryConfig, MemoryLink};
use sockeye_drivers::netem::Netem;
use sockeye_sim::app::packets::{Pusher, Setup, Taken, Taker};
use sockeye_sim::rates::{self, Flow};
use sockeye_sim::{Cable, HostId, World};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const COUNT: u32 = 300;
/// RFC 6773 §3.8.
const PORT: u16 = 6511;
/// RFC 4340 §8.3: how long TIMEWAIT lasts.
const TIME_WAIT: Duration = Duration::from_secs(240);

fn count(of: &AtomicU64) -> u64 {
    of.load(Ordering::Relaxed)
}

/// Sends [`COUNT`] packets from left to right, and lets all end. What came.
fn exchange(
    (mut world, left, right): (World, HostId, HostId),
    to: &str,
    setup: &Setup,
    intact: usize,
) -> Result<Arc<Taken>, String> {
    let taker = Taker::new(at(to), setup.clone()).covered(intact);
    let taken = taker.taken();
    world.spawn(right, taker);
    let pusher = Pusher::new(at(to), Some(COUNT), 500, setup.clone());
    world.spawn(left, pusher);
    let ran = world.run(Duration::from_secs(3600));
    ran.map_err(|failure| failure.to_string())?;
    // Connections end, and nothing of them is left.
    world.pass(TIME_WAIT).unwrap();
    let now = world.now();
    for host in [left, right] {
        let left = world.node(host).dccp(now).0.sockets();
        if !left.is_empty() {
            return Err(format!("{left:?} are left"));
        }
    }
    Ok(taken)
}

#[test]
fn packets_cross_every_kind_of_cable() {
    for to in [V4, V6] {
        for cable in [
            Cable::Ip(plain()),
            Cable::Ethernet(plain()),
            Cable::Ip(MemoryConfig::default()),
            Cable::Ethernet(MemoryConfig::default()),
        ] {
            for ccid in [2, 3] {
                let world = pair(3, cable, "delay=5ms");
                let taken = exchange(world, to, &Setup::ccid(ccid), usize::MAX).unwrap();
                assert_eq!(count(&taken.packets), COUNT.into());
                assert_eq!(count(&taken.overtaken), 0);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The model: each packet is delivered at most once and as it was sent, in the order in which it came;
    /// connections always end.
    #[test]
    fn packets_are_delivered_at_most_once(
        seed: u16, ccid in 2u8..4, loss in 0u8..15, duplicate in 0u8..15, corrupt in 0u8..10, reorder in 0u8..15,
    ) {
        let netem = format!(
            "delay=10ms,loss={loss}%,duplicate={duplicate}%,corrupt={corrupt}%,reorder={reorder}%"
        );
        let world = pair(seed.into(), Cable::Ip(plain()), &netem);
        let taken = exchange(world, V4, &Setup::ccid(ccid), usize::MAX);
        let taken = taken.map_err(TestCaseError::fail)?;
        if reorder == 0 {
            prop_assert_eq!(count(&taken.overtaken), 0);
        }
        if loss == 0 && corrupt == 0 {
            prop_assert_eq!(count(&taken.packets), u64::from(COUNT));
        }
        prop_assert!(count(&taken.packets) > 0);
    }
}

/// RFC 4340 §9.2: what the checksum covers comes as it was sent, what it does not may come changed.
#[test]
fn packets_are_not_corrupted_where_they_are_covered() {
    // The header and four words of data.
    let coverage = OptionValue::Int(5);
    let setup = Setup {
        options: vec![
            (SocketOption::DccpSendCoverage, coverage.clone()),
            (SocketOption::DccpReceiveCoverage, coverage),
        ],
        ..Setup::default()
    };
    for to in [V4, V6] {
        let world = pair(8, Cable::Ip(plain()), "delay=5ms,corrupt=20%");
        let taken = exchange(world, to, &setup, 16).unwrap();
        assert!(count(&taken.changed) > 20, "{taken:?}");
    }
}

fn in_udp() -> Config {
    Config {
        dccp: DccpConfig {
            udp_port: PORT,
            encap_port: PORT,
        },
        ..Config::default()
    }
}

/// RFC 6773: nothing but UDP is on the wire.
#[test]
fn packets_cross_in_udp() {
    let setup = Setup {
        encap_port: PORT,
        ..Setup::default()
    };
    for to in [V4, V6] {
        for cable in [Cable::Ip(plain()), Cable::Ethernet(MemoryConfig::default())] {
            let mut world = World::new(4);
            let left = world.host("left", in_udp());
            let right = world.host("right", in_udp());
            world.join((left, LEFT), (right, RIGHT), cable, "delay=3ms,loss=2%");
            world.pass(Duration::from_secs(4)).unwrap();
            let taker = Taker::new(at(to), setup.clone());
            let taken = taker.taken();
            world.spawn(right, taker);
            let pusher = Pusher::new(at(to), Some(COUNT), 500, setup.clone());
            world.spawn(left, pusher);
            world.run(Duration::from_secs(600)).unwrap();
            assert!(count(&taken.packets) > 250);
            let counters = world.node(right).counters();
            assert!(counters.get(Counter::DccpInSegs) > u64::from(COUNT));
            assert_eq!(counters.get(Counter::DccpInErrs), 0);
        }
    }
}

/// Two hosts, each behind a translator of its own: 192.168.1.2 is 203.0.113.1 outside, 192.168.2.2 is
/// 203.0.113.2.
fn translated(config: &Config, keeps: bool) -> (World, HostId, HostId) {
    let mut world = World::new(6);
    let (near, far) = MemoryLink::pair_ip(plain());
    let near = Netem::new(near, "delay=20ms".parse().unwrap(), 1);
    let mut host = |name: &str, link: Box<dyn sockeye_link::Link>, inside: &str| {
        let id = world.host(name, config.clone());
        let net = format!("{inside}/24").parse().unwrap();
        world.plug(id, link, &[net]);
        let default = "0.0.0.0/0".parse().unwrap();
        let node = world.node(id);
        node.add_route(default, None, InterfaceId(2), 0).unwrap();
        id
    };
    let near = Napt::new(near, "192.168.1.2", "203.0.113.1", keeps);
    let far = Napt::new(far, "192.168.2.2", "203.0.113.2", true);
    let left = host("left", Box::new(near), "192.168.1.2");
    let right = host("right", Box::new(far), "192.168.2.2");
    world.pass(Duration::from_secs(1)).unwrap();
    (world, left, right)
}

/// RFC 5596: both ends are behind translators that let in only what answers. Without an invitation the
/// Request never arrives; with one it does, whoever is first.
#[test]
fn an_invitation_opens_the_translators() {
    let (server, client) = (at("203.0.113.2:7000"), at("203.0.113.1:5004"));
    let setup = Setup {
        from: Some(at("192.168.1.2:5004")),
        ..Setup::default()
    };
    for (invites, ahead) in [(false, 0), (true, 50), (true, 0), (true, 3000)] {
        let (mut world, left, right) = translated(&Config::default(), true);
        let taker = Taker::new(at("192.168.2.2:7000"), Setup::default());
        let taker = match invites {
            true => taker.invites(client),
            false => taker,
        };
        let taken = taker.taken();
        let pusher = Pusher::new(server, Some(COUNT), 500, setup.clone());
        match ahead {
            3000 => {
                world.spawn(left, pusher);
                world.pass(Duration::from_millis(500)).unwrap();
                world.spawn(right, taker);
            }
            _ => {
                world.spawn(right, taker);
                world.pass(Duration::from_millis(ahead)).unwrap();
                world.spawn(left, pusher);
            }
        }
        let ran = world.run(Duration::from_secs(60));
        assert_eq!(ran.is_ok(), invites, "{ran:?}");
        let came = if invites { COUNT } else { 0 };
        assert_eq!(count(&taken.packets), came.into());
    }
}

/// RFC 6773 §3.8, RFC 5596: a client in UDP whose ports a translator changes, both of them.
#[test]
fn a_translated_client_speaks_in_udp() {
    let (mut world, left, right) = translated(&in_udp(), false);
    let setup = Setup {
        encap_port: PORT,
        from: Some(at("192.168.1.2:5004")),
        ..Setup::default()
    };
    // What the translator makes of the client's UDP port; of that of DCCP it knows nothing.
    let mapped = Setup {
        encap_port: 40_000,
        ..Setup::default()
    };
    let taker = Taker::new(at("192.168.2.2:7000"), mapped).invites(at("203.0.113.1:5004"));
    let taken = taker.taken();
    world.spawn(right, taker);
    let pusher = Pusher::new(at("203.0.113.2:7000"), Some(COUNT), 500, setup);
    world.spawn(left, pusher);
    world.run(Duration::from_secs(60)).unwrap();
    assert_eq!(count(&taken.packets), COUNT.into());
}

/// RFC 5348 §3.1: over loss and round-trip times the rate is what the equation gives for the loss event rate.
#[test]
fn tfrc_keeps_to_its_equation() {
    for loss in [0.1, 1.0, 5.0] {
        for rtt in [10, 100] {
            let rtt = Duration::from_millis(rtt);
            let measured = rates::tfrc(loss, rtt, Duration::from_secs(60), 7).unwrap();
            println!("{loss}%, {rtt:?}: {measured:?}");
            let share = measured.rate / measured.equation;
            assert!(
                (0.95..1.05).contains(&share),
                "{loss}%, {rtt:?}: {measured:?}"
            );
            // Losses by chance are seldom in one round trip: events are about as many.
            let by_loss = measured.rate / rates::equation(1400.0, rtt, loss / 100.0);
            assert!(
                (0.75..1.3).contains(&by_loss),
                "{loss}%, {rtt:?}: {measured:?}"
            );
        }
    }
}

/// RFC 4341 §1: over loss and round-trip times CCID 2 gets the packets through that TCP (Reno) does.
#[test]
fn ccid_2_gets_tcps_rate() {
    for (loss, round_trips) in [(0.1, 6000), (1.0, 4000), (5.0, 10_000)] {
        for rtt in [10, 100] {
            let rtt = Duration::from_millis(rtt);
            let alone = |flow| rates::alone(flow, loss, rtt, rtt * round_trips, 7).unwrap();
            let (tcp, dccp) = (alone(Flow::Tcp), alone(Flow::Dccp(2)));
            println!("{loss}%, {rtt:?}: TCP {tcp:.0}, CCID 2 {dccp:.0} packets a second");
            let share = dccp / tcp;
            assert!(
                (0.8..1.25).contains(&share),
                "{loss}%, {rtt:?}: {tcp} {dccp}"
            );
        }
    }
}

/// RFC 5348 §1, RFC 4341 §1: by either CCID a flow gets what TCP gets beside it, within a factor of two,
/// and together they take what there is. The delay varies by the time of a packet: else windows run in step
/// ([`windows_in_step_favour_longer_packets`]).
#[test]
fn each_ccid_shares_with_tcp() {
    for (bottleneck, ccids) in [
        ("delay=5ms,jitter=1ms,rate=10mbit,limit=20", &[2][..]),
        ("delay=20ms,jitter=1ms,rate=10mbit,limit=50", &[2, 3]),
        ("delay=50ms,jitter=1ms,rate=10mbit,limit=100", &[2, 3]),
    ] {
        for &ccid in ccids {
            let (other, time) = (Flow::Dccp(ccid), Duration::from_secs(180));
            let shares = rates::beside_tcp(bottleneck, other, Duration::ZERO, time, 11).unwrap();
            println!("{bottleneck}, CCID {ccid}: {shares:.2?}");
            let ratio = shares[1] / shares[0];
            assert!(
                (0.5..2.0).contains(&ratio),
                "{bottleneck}, {ccid}: {shares:?}"
            );
            assert!(
                shares[0] + shares[1] > 8.5,
                "{bottleneck}, {ccid}: {shares:?}"
            );
        }
    }
}

/// Where nothing varies, two windows run in step: a packet leaves the queue each time that one arrives, and
/// it is always the same flow that finds it full. That is not DCCP's doing: TCP with segments as long as CCID
/// 2's packets are, which are shorter than those of the TCP beside it, gets as little.
#[test]
fn windows_in_step_favour_longer_packets() {
    let bottleneck = "delay=50ms,rate=10mbit,limit=100";
    let share = |other| {
        let share_of = |n: u64| {
            let (late, time) = (Duration::from_micros(137 * n), Duration::from_secs(60));
            let [tcp, other] = rates::beside_tcp(bottleneck, other, late, time, 11 + n).unwrap();
            other / tcp
        };
        (0..3).map(share_of).sum::<f64>() / 3.0
    };
    let (alike, shorter, ccid_2) = (
        share(Flow::Tcp),
        share(Flow::SmallTcp(1396)),
        share(Flow::Dccp(2)),
    );
    println!("TCP {alike:.2}, with shorter segments {shorter:.2}, CCID 2 {ccid_2:.2}");
    assert!((0.8..1.25).contains(&alike), "{alike}");
    assert!(shorter < 0.75, "{shorter}");
    assert!(
        (0.75..1.4).contains(&(ccid_2 / shorter)),
        "{ccid_2} {shorter}"
    );
}
