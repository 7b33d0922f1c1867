//! What routers tell a node, and what it makes of that (RFC 4861 §6.3, 4862 §5.5, 4191, 7217, 8981).

use crate::wire::{NODES, Wire, nd, send};
use sockeye_core::{Counter, MacAddr};
use sockeye_node::{AddressOrigin, Config, Packet};
use sockeye_wire::ndp::{Header, Preference, RouterAdvertisement};
use sockeye_wire::ndp_options::{NdpOption, PrefixInformation, RouteInformation};
use std::net::Ipv6Addr;

const ROUTER: &str = "fe80::1";
const OTHER: &str = "fe80::2";
const MAC_1: MacAddr = MacAddr([2, 0, 0, 0, 1, 1]);
const MAC_2: MacAddr = MacAddr([2, 0, 0, 0, 1, 2]);
const DAY: u64 = 86_400_000;

/// A node that configures itself, its link-local address in use.
fn host(config: Config) -> Wire {
    let mut wire = Wire::new(config, |interface| interface.slaac = true);
    wire.pass(3000);
    wire
}

fn advertisement(lifetime: u16) -> RouterAdvertisement {
    RouterAdvertisement {
        router_lifetime: lifetime,
        ..RouterAdvertisement::default()
    }
}

fn advertise(from: &str, ra: RouterAdvertisement, options: &[NdpOption<'_>]) -> Packet {
    let mac = if from == ROUTER { MAC_1 } else { MAC_2 };
    let mut all = vec![NdpOption::SourceLinkLayerAddress(mac)];
    all.extend(options);
    nd(mac, from, NODES, Header::RouterAdvertisement(ra), &all)
}

fn prefix(net: &str, valid: u32, preferred: u32) -> NdpOption<'static> {
    let (address, len) = net.split_once('/').unwrap();
    NdpOption::PrefixInformation(PrefixInformation {
        prefix_len: len.parse().unwrap(),
        on_link: true,
        autonomous: true,
        valid_lifetime: valid,
        preferred_lifetime: preferred,
        prefix: address.parse().unwrap(),
    })
}

fn route(net: &str, preference: Preference, lifetime: u32) -> NdpOption<'static> {
    let (address, len) = net.split_once('/').unwrap();
    NdpOption::RouteInformation(RouteInformation {
        prefix_len: len.parse().unwrap(),
        preference,
        lifetime,
        prefix: address.parse().unwrap(),
    })
}

/// The addresses of a kind.
fn of(wire: &Wire, origin: AddressOrigin) -> Vec<String> {
    let all = wire.link().addresses().iter();
    all.filter(|a| a.origin == origin)
        .map(|a| format!("{:?}", a.state))
        .collect()
}

#[test]
fn routers_are_asked_ever_less_often_until_one_answers() {
    let mut wire = Wire::new(Config::default(), |interface| interface.slaac = true);
    wire.pass(100_000);
    let link_local = wire.link().addresses()[0].net.addr();
    let asked: Vec<u64> = wire
        .sent
        .iter()
        .filter(|line| line.contains("RS "))
        .map(|line| {
            assert!(
                line.ends_with(&format!("RS {link_local} > ff02::2")),
                "{line}"
            );
            line.split_once(' ').unwrap().0.parse().unwrap()
        })
        .collect();
    // RFC 7559: 4 s, then twice as long each time, a tenth more or less.
    let waits: Vec<u64> = asked.windows(2).map(|two| two[1] - two[0]).collect();
    assert!((3600..=4400).contains(&waits[0]), "{waits:?}");
    for two in waits.windows(2) {
        let (least, most) = (two[0] * 18 / 10, two[0] * 22 / 10);
        assert!((least..=most).contains(&two[1]), "{waits:?}");
    }
    // A router that is no default router does not end it (§2.1), one that is does.
    wire.hear(advertise(ROUTER, advertisement(0), &[]));
    wire.heard();
    wire.pass(100_000);
    assert!(wire.heard().iter().any(|line| line.starts_with("RS ")));
    wire.hear(advertise(ROUTER, advertisement(1800), &[]));
    wire.pass(1_000_000);
    assert!(!wire.heard().iter().any(|line| line.starts_with("RS ")));
}

#[test]
fn a_prefix_becomes_an_address_once_nobody_objected() {
    let mut wire = host(Config::default());
    wire.heard();
    let options = [
        prefix("2001:db8:1::/64", 86_400, 14_400),
        NdpOption::Mtu(1400),
    ];
    let mut ra = advertisement(1800);
    ra.cur_hop_limit = 40;
    wire.hear(advertise(ROUTER, ra, &options));
    assert_eq!(of(&wire, AddressOrigin::Autoconf), ["Tentative"]);
    wire.pass(2001);
    assert_eq!(of(&wire, AddressOrigin::Autoconf), ["Preferred"]);
    let own = wire.link().addresses()[1].net;
    let probe = wire.heard();
    assert!(probe[0].starts_with("NS :: > ff02::1:ff"), "{probe:?}");
    assert_eq!(
        wire.routes(),
        [
            "2001:db8:1::/64 metric 256",
            "fe80::/64 metric 0",
            "::/0 via fe80::1 metric 1024"
        ]
    );
    assert_eq!(wire.link().advertised_hop_limit(), Some(40));
    assert_eq!(wire.link().mtu_for(own.addr()), 1400);
    assert_eq!(wire.link().mtu_for([10, 0, 0, 1].into()), 1500);
    let leaves = crate::wire::hop_limit(&mut wire, "2001:db8:9::9");
    assert_eq!(leaves, 40);
    // It leaves by the router, whose station the advertisement has named.
    assert_eq!(
        send(&mut wire, "2001:db8:9::9"),
        [format!("to {MAC_1}: {} > 2001:db8:9::9", own.addr())]
    );
    // Neighbours of the prefix are asked for themselves.
    let asked = send(&mut wire, "2001:db8:1::9");
    assert!(asked[0].ends_with("for 2001:db8:1::9"), "{asked:?}");

    // RFC 4862 §5.5.4: deprecated, then gone; the prefix and the router as well.
    wire.pass(14_400_000);
    assert_eq!(of(&wire, AddressOrigin::Autoconf), ["Deprecated"]);
    assert_eq!(
        wire.routes(),
        ["2001:db8:1::/64 metric 256", "fe80::/64 metric 0"]
    );
    wire.pass(DAY - 14_400_000);
    assert_eq!(of(&wire, AddressOrigin::Autoconf), [""; 0]);
    assert_eq!(wire.routes(), ["fe80::/64 metric 0"]);
}

#[test]
fn the_identifier_of_a_prefix_is_stable_and_tells_nothing() {
    let made = |net: &str, secret: &str, mode: &str| {
        let mut config = Config::default();
        let name = "net.ipv6.conf.default.stable_secret";
        config.set_sysctl(name, secret).unwrap();
        let name = "net.ipv6.conf.default.addr_gen_mode";
        config.set_sysctl(name, mode).unwrap();
        let mut wire = host(config);
        wire.hear(advertise(
            ROUTER,
            advertisement(0),
            &[prefix(net, 900, 900)],
        ));
        let own = wire.link().addresses()[1];
        assert_eq!(own.origin, AddressOrigin::Autoconf);
        own.net.addr().to_string()
    };
    // RFC 7217 §3: the same for the same prefix, another for another prefix or secret.
    let once = made("2001:db8:1::/64", "::7", "2");
    assert_eq!(made("2001:db8:1::/64", "::7", "2"), once);
    let other = made("2001:db8:2::/64", "::7", "2");
    assert_ne!(other.replace("db8:2:", "db8:1:"), once);
    assert_ne!(made("2001:db8:1::/64", "::8", "2"), once);
    // RFC 4291, appendix A.
    assert_eq!(made("2001:db8:1::/64", "::7", "0"), "2001:db8:1::ff:fe00:a");
}

#[test]
fn an_identifier_in_use_is_made_anew_three_times() {
    let mut wire = host(Config::default());
    let ra = advertise(
        ROUTER,
        advertisement(0),
        &[prefix("2001:db8:1::/64", 9000, 9000)],
    );
    wire.hear(ra);
    let mut tried = Vec::new();
    for _ in 0..4 {
        let own = wire.link().addresses().last().unwrap().net.addr();
        assert!(!tried.contains(&own));
        tried.push(own);
        let target = own.to_string().parse().unwrap();
        let taken = Header::NeighborAdvertisement {
            router: false,
            solicited: false,
            override_flag: true,
            target,
        };
        let mac = NdpOption::TargetLinkLayerAddress(MAC_2);
        wire.hear(nd(MAC_2, &own.to_string(), NODES, taken, &[mac]));
    }
    assert_eq!(of(&wire, AddressOrigin::Autoconf), ["Duplicate"]);
    assert_eq!(wire.node.counters().get(Counter::AddressConflicts), 4);
}

#[test]
fn prefixes_that_are_no_good_make_no_address() {
    let mut wire = host(Config::default());
    let mut passive = prefix("2001:db8:4::/64", 900, 900);
    if let NdpOption::PrefixInformation(info) = &mut passive {
        info.autonomous = false;
    }
    let mut silent = prefix("2001:db8:5::/64", 900, 900);
    if let NdpOption::PrefixInformation(info) = &mut silent {
        info.on_link = false;
    }
    let options = [
        prefix("fe80::/64", 900, 900),
        prefix("2001:db8:1::/64", 900, 901),
        prefix("2001:db8:2::/63", 900, 900),
        prefix("2001:db8:3::/64", 0, 0),
        passive,
        silent,
    ];
    wire.hear(advertise(ROUTER, advertisement(0), &options));
    let made = of(&wire, AddressOrigin::Autoconf);
    assert_eq!(made, ["Tentative"], "of 2001:db8:5::/64 alone");
    // RFC 4861 §6.3.4: what is on the link is another question; RFC 5942 §4: an address is no answer.
    assert_eq!(
        wire.routes(),
        [
            "2001:db8:1::/64 metric 256",
            "2001:db8:4::/64 metric 256",
            "fe80::/64 metric 0",
            "2001:db8:2::/63 metric 256",
        ]
    );
}

/// RFC 4862 §5.5.3 (e), end to end.
#[test]
fn a_forged_advertisement_does_not_end_an_address() {
    let mut wire = host(Config::default());
    let net = "2001:db8:1::/64";
    wire.hear(advertise(
        ROUTER,
        advertisement(0),
        &[prefix(net, 86_400, 86_400)],
    ));
    wire.pass(3000);
    wire.hear(advertise(OTHER, advertisement(0), &[prefix(net, 1, 1)]));
    wire.pass(2000);
    assert_eq!(of(&wire, AddressOrigin::Autoconf), ["Deprecated"]);
    wire.hear(advertise(
        ROUTER,
        advertisement(0),
        &[prefix(net, 86_400, 86_400)],
    ));
    assert_eq!(of(&wire, AddressOrigin::Autoconf), ["Preferred"]);
    // Without the real router it ends after two hours.
    wire.hear(advertise(OTHER, advertisement(0), &[prefix(net, 1, 1)]));
    wire.pass(2 * 3_600_000 - 1);
    assert_eq!(of(&wire, AddressOrigin::Autoconf), ["Deprecated"]);
    wire.pass(1);
    assert_eq!(of(&wire, AddressOrigin::Autoconf), [""; 0]);
}

#[test]
fn temporary_addresses_come_first_and_are_followed_in_time() {
    let mut config = Config::default();
    config.ipv6.use_tempaddr = 2;
    let mut wire = host(config);
    let net = "2001:db8:1::/64";
    let again = || {
        advertise(
            ROUTER,
            advertisement(9000),
            &[prefix(net, u32::MAX, u32::MAX)],
        )
    };
    wire.hear(again());
    wire.pass(3000);
    let temporary = |wire: &Wire| {
        let all = wire.link().addresses().iter();
        let all = all.filter(|a| a.origin == AddressOrigin::Temporary);
        all.copied().collect::<Vec<_>>()
    };
    let first = temporary(&wire)[0];
    let chosen = send(&mut wire, "2001:db8:9::9");
    assert_eq!(
        chosen,
        [format!("to {MAC_1}: {} > 2001:db8:9::9", first.net.addr())]
    );
    // RFC 8981 §3.4: a day less DESYNC_FACTOR, and two days, whatever the prefix says.
    let until = first.lifetime.preferred_until.as_millis();
    assert!((DAY - 600_000..=DAY + 4000).contains(&until), "{until}");
    let valid = first.lifetime.valid_until.as_millis();
    assert!((2 * DAY..2 * DAY + 4000).contains(&valid), "{valid}");
    // §3.5: the successor is there five seconds before (REGEN_ADVANCE: 2 + 3 probes of a second).
    wire.pass(until - 5000 - wire.now.as_millis() - 1);
    assert_eq!(temporary(&wire).len(), 1);
    wire.pass(1);
    assert_eq!(
        of(&wire, AddressOrigin::Temporary),
        ["Preferred", "Tentative"]
    );
    wire.pass(5000);
    assert_eq!(
        of(&wire, AddressOrigin::Temporary),
        ["Deprecated", "Preferred"]
    );
    // A router's word does not make it live longer.
    wire.hear(again());
    assert_eq!(
        of(&wire, AddressOrigin::Temporary),
        ["Deprecated", "Preferred"]
    );
    wire.pass(valid - wire.now.as_millis());
    assert!(temporary(&wire).iter().all(|a| a.net != first.net));
}

#[test]
fn temporary_addresses_are_not_made_where_they_would_not_last() {
    let mut config = Config::default();
    config.ipv6.use_tempaddr = 1;
    let mut wire = host(config);
    wire.hear(advertise(
        ROUTER,
        advertisement(9000),
        &[prefix("2001:db8:1::/64", 9000, 5)],
    ));
    assert_eq!(of(&wire, AddressOrigin::Temporary), [""; 0]);
    wire.hear(advertise(
        ROUTER,
        advertisement(9000),
        &[prefix("2001:db8:1::/64", 9000, 900)],
    ));
    wire.pass(3000);
    assert_eq!(of(&wire, AddressOrigin::Temporary), ["Preferred"]);
    // use_tempaddr 1: the public one is chosen.
    let public = wire.link().addresses()[1];
    assert_eq!(public.origin, AddressOrigin::Autoconf);
    assert!(send(&mut wire, "2001:db8:9::9")[0].contains(&public.net.addr().to_string()));
}

#[test]
fn preferences_and_routes_of_routers_count() {
    let mut wire = host(Config::default());
    let prefer = |preference| RouterAdvertisement {
        preference,
        ..advertisement(1800)
    };
    let options = [
        route("2001:db8:7::/48", Preference::Low, 600),
        route("2001:db8:8::1/128", Preference::Low, 600),
    ];
    wire.hear(advertise(ROUTER, prefer(Preference::Low), &options));
    wire.hear(advertise(OTHER, prefer(Preference::High), &[]));
    let mine = |wire: &Wire| {
        let all = wire.routes().into_iter();
        all.filter(|r| r.contains("via")).collect::<Vec<_>>()
    };
    // The host route is longer than accept_ra_rt_info_max_plen.
    assert_eq!(
        mine(&wire),
        [
            "2001:db8:7::/48 via fe80::1 metric 1025",
            "::/0 via fe80::2 metric 1023",
            "::/0 via fe80::1 metric 1025"
        ]
    );
    // RFC 4191 §3.1: ::/0 as an option overrides the header. Lifetimes of 0 take back.
    let options = [
        route("::/0", Preference::High, 90),
        route("2001:db8:7::/48", Preference::Low, 0),
    ];
    wire.hear(advertise(ROUTER, prefer(Preference::Low), &options));
    wire.hear(advertise(OTHER, advertisement(0), &[]));
    assert_eq!(mine(&wire), ["::/0 via fe80::1 metric 1023"]);
    wire.pass(90_000);
    assert_eq!(mine(&wire), [""; 0]);
    // RFC 4861 §7.2.5: who says that it is no router is none.
    wire.hear(advertise(ROUTER, advertisement(1800), &[]));
    let host = Header::NeighborAdvertisement {
        router: false,
        solicited: false,
        override_flag: true,
        target: ROUTER.parse().unwrap(),
    };
    wire.hear(nd(MAC_1, ROUTER, NODES, host, &[]));
    assert_eq!(mine(&wire), [""; 0]);
}

/// RFC 4861 §6.3.6: a router that does not answer comes after one that may.
#[test]
fn a_router_that_falls_silent_is_left_for_another() {
    let mut wire = host(Config::default());
    let prefer = |preference| RouterAdvertisement {
        preference,
        ..advertisement(9000)
    };
    let net = prefix("2001:db8:1::/64", 9000, 9000);
    let more = route("2001:db8:9::/48", Preference::Medium, 9000);
    wire.hear(advertise(ROUTER, prefer(Preference::High), &[net, more]));
    wire.hear(advertise(OTHER, prefer(Preference::Low), &[]));
    wire.pass(3000);
    assert!(send(&mut wire, "2001:db8:9::9")[0].starts_with(&format!("to {MAC_1}")));
    // DELAY 5 s, then three probes of a second.
    wire.pass(8001);
    assert!(send(&mut wire, "2001:db8:9::9")[0].starts_with(&format!("to {MAC_2}")));
    // After router_probe_interval it gets another chance.
    wire.pass(60_000);
    wire.heard();
    let asked = send(&mut wire, "2001:db8:9::9");
    assert!(asked[0].ends_with("for fe80::1"), "{asked:?}");
}

#[test]
fn name_servers_are_kept_for_their_time() {
    let mut wire = host(Config::default());
    let servers: Vec<[u8; 16]> = (1..=9u16)
        .map(|n| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n).octets())
        .collect();
    let told = |lifetime, servers| NdpOption::RecursiveDnsServers { lifetime, servers };
    let ra = advertise(ROUTER, advertisement(0), &[told(60, &servers)]);
    wire.hear(ra);
    let names = |wire: &Wire| wire.link().name_servers().len();
    assert_eq!(names(&wire), 8);
    assert_eq!(wire.node.counters().get(Counter::AutoconfTableFull), 1);
    wire.hear(advertise(
        ROUTER,
        advertisement(0),
        &[told(0, &servers[..1])],
    ));
    assert_eq!(names(&wire), 7);
    wire.hear(advertise(
        ROUTER,
        advertisement(0),
        &[told(120, &servers[1..2])],
    ));
    wire.pass(60_000);
    let left = wire.link().name_servers();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].address.to_string(), "2001:db8::2");
}

/// RFC 6724 §5, rule 5.5: the longest prefix in common would say otherwise.
#[test]
fn a_source_is_of_the_prefix_that_the_next_hop_gave() {
    let mut wire = host(Config::default());
    let there = "2001:db8:77:1::9";
    let other = "fe80::2";
    wire.hear(advertise(
        ROUTER,
        advertisement(9000),
        &[prefix("2001:db8:77:2::/64", 9000, 9000)],
    ));
    wire.hear(advertise(
        other,
        advertisement(0),
        &[
            prefix("2001:db8:1::/64", 9000, 9000),
            route("2001:db8:77:1::/64", Preference::Medium, 9000),
        ],
    ));
    wire.pass(3000);
    let way = |wire: &mut Wire, to: &str| {
        let query = sockeye_core::RouteQuery {
            destination: to.parse().unwrap(),
            source: None,
            interface: None,
            foreign_source: false,
        };
        let route = wire.node.context(wire.now).inet.route(&query).unwrap();
        let std::net::IpAddr::V6(source) = route.source else {
            panic!("a source of the other family")
        };
        format!("{:x} by {}", source.segments()[2], route.next_hop)
    };
    assert_eq!(way(&mut wire, there), "1 by fe80::2");
    assert_eq!(way(&mut wire, "2001:db8:1:1::9"), format!("77 by {ROUTER}"));
    // Once that router gives the other prefix as well, the rest of the rules say.
    wire.hear(advertise(
        other,
        advertisement(0),
        &[prefix("2001:db8:77:2::/64", 9000, 9000)],
    ));
    assert_eq!(way(&mut wire, there), "77 by fe80::2");
}

/// Linux's `net.ipv6.conf.IFACE`.
#[test]
fn an_interface_has_settings_of_its_own() {
    for (name, made) in [("eth0", 0), ("eth1", 1)] {
        let mut config = Config::default();
        let setting = format!("net.ipv6.conf.{name}.autoconf");
        config.set_sysctl(&setting, "0").unwrap();
        let mut wire = host(config);
        let good = prefix("2001:db8:1::/64", 9000, 9000);
        wire.hear(advertise(ROUTER, advertisement(9000), &[good]));
        assert_eq!(of(&wire, AddressOrigin::Autoconf).len(), made, "{name}");
        assert_eq!(wire.link().prefixes().len(), 1);
    }
}

#[test]
fn a_flood_of_advertisements_fills_tables_and_no_more() {
    let mut config = Config::default();
    config.ipv6.use_tempaddr = 2;
    let mut wire = host(config);
    let good = prefix("2001:db8:1::/64", 9000, 9000);
    wire.hear(advertise(ROUTER, advertisement(9000), &[good]));
    wire.pass(3000);
    for n in 0..2000u16 {
        let from = format!("fe80::66:{n:x}");
        let options: Vec<NdpOption<'_>> = vec![
            prefix(&format!("2001:db8:{n:x}:66::/64"), u32::MAX, u32::MAX),
            route(
                &format!("2001:db8:{n:x}:77::/64"),
                Preference::High,
                u32::MAX,
            ),
        ];
        wire.hear(advertise(&from, advertisement(9000), &options));
    }
    let link = wire.link();
    assert_eq!(link.routers().len(), 16);
    assert_eq!(link.prefixes().len(), 16);
    assert_eq!(link.learnt_routes().len(), 16);
    assert_eq!(link.addresses().len(), 16);
    assert!(wire.node.neighbours().count() <= 1024);
    assert!(wire.node.counters().get(Counter::AutoconfTableFull) > 2000 * 3);
    // What was there goes on.
    assert_eq!(link.routers()[0].address.to_string(), ROUTER);
    assert_eq!(of(&wire, AddressOrigin::Autoconf)[0], "Preferred");
}

#[test]
fn nobody_but_a_router_of_the_link_is_believed() {
    let mut wire = host(Config::default());
    let options = [prefix("2001:db8:1::/64", 9000, 9000)];
    let ra = Header::RouterAdvertisement(advertisement(1800));
    // RFC 4861 §6.1.2: from a link-local address, with a hop limit of 255.
    wire.hear(nd(MAC_1, "2001:db8::1", NODES, ra, &options));
    let mut forwarded = nd(MAC_1, ROUTER, NODES, ra, &options).to_vec();
    forwarded[14 + 7] = 254;
    wire.hear(Packet::from_vec(forwarded));
    // Nor anybody where the interface does not configure itself, or was told not to.
    let mut given = Wire::new(Config::default(), |_| ());
    given.pass(3000);
    assert!(!given.heard().iter().any(|line| line.starts_with("RS")));
    given.hear(nd(MAC_1, ROUTER, NODES, ra, &options));
    let mut config = Config::default();
    config
        .set_sysctl("net.ipv6.conf.default.accept_ra", "0")
        .unwrap();
    let mut deaf = host(config);
    deaf.hear(nd(MAC_1, ROUTER, NODES, ra, &options));
    for wire in [wire, given, deaf] {
        assert_eq!(wire.routes(), ["fe80::/64 metric 0"]);
        assert_eq!(wire.addresses().len(), 1);
    }
}

#[test]
fn the_times_of_discovery_are_the_routers() {
    let mut wire = host(Config::default());
    let ra = RouterAdvertisement {
        reachable_time: 1000,
        retrans_timer: 200,
        ..advertisement(9000)
    };
    let net = prefix("2001:db8:1::/64", 9000, 9000);
    wire.hear(advertise(ROUTER, ra, &[net]));
    wire.pass(3000);
    wire.heard();
    wire.sent.clear();
    send(&mut wire, "2001:db8:1::9");
    let began = wire.now.as_millis();
    wire.pass(1000);
    let times: Vec<u64> = wire
        .sent
        .iter()
        .map(|line| line.split_once(' ').unwrap().0.parse::<u64>().unwrap() - began)
        .collect();
    assert_eq!(times, [200, 400]);
}

#[test]
fn a_link_that_goes_down_forgets_and_asks_anew() {
    let mut wire = host(Config::default());
    let net = prefix("2001:db8:1::/64", 9000, 9000);
    wire.hear(advertise(ROUTER, advertisement(9000), &[net]));
    wire.pass(3000);
    wire.heard();
    let (now, id) = (wire.now, crate::common::LINK);
    wire.node.set_up(now, id, false);
    assert_eq!(wire.routes(), ["fe80::/64 metric 0"]);
    assert_eq!(wire.addresses().len(), 1);
    wire.node.set_up(now, id, true);
    wire.pass(1000);
    assert!(wire.heard()[0].starts_with("RS "));
}
