//! Who gets what, and who may bind where: tables after Linux's behaviour.

use super::*;
use crate::{Rng, id::Slab};
use proptest::prelude::*;

const ETH: InterfaceId = InterfaceId(2);
const WLAN: InterfaceId = InterfaceId(3);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(text: &str) -> Endpoint {
    text.parse::<SocketAddr>().unwrap().into()
}

fn tables() -> (Demux, Slab<()>) {
    (Demux::new(&mut Rng::new([1; 32])), Slab::default())
}

fn claim(local: &str, family: Family, interface: Option<InterfaceId>) -> Claim {
    Claim {
        binding: Binding::new(at(local), interface, family),
        sharing: Sharing::default(),
    }
}

const PLAIN: Sharing = Sharing {
    reuse_address: false,
    reuse_port: false,
    listening: false,
    by_connect: false,
};
const REUSE: Sharing = Sharing {
    reuse_address: true,
    ..PLAIN
};
const LISTENING: Sharing = Sharing {
    listening: true,
    ..REUSE
};
const PORT: Sharing = Sharing {
    reuse_port: true,
    ..PLAIN
};

/// First binding, second binding: may the second stand beside the first?
#[test]
fn overlapping_bindings_conflict() {
    use Family::{Both, V4, V6};
    let table = [
        ("10.0.0.1:80", V4, "10.0.0.1:80", V4, false),
        ("10.0.0.1:80", V4, "10.0.0.1:81", V4, true),
        ("10.0.0.1:80", V4, "10.0.0.2:80", V4, true),
        ("0.0.0.0:80", V4, "10.0.0.2:80", V4, false),
        ("10.0.0.1:80", V4, "0.0.0.0:80", V4, false),
        ("0.0.0.0:80", V4, "0.0.0.0:80", V4, false),
        ("0.0.0.0:80", V4, "[::]:80", V6, true),
        ("0.0.0.0:80", V4, "[::]:80", Both, false),
        ("[::]:80", Both, "0.0.0.0:80", V4, false),
        ("[::]:80", V6, "0.0.0.0:80", V4, true),
        ("[::]:80", V6, "[::]:80", Both, false),
        ("[::]:80", Both, "10.0.0.1:80", V4, false),
        ("[::]:80", V6, "10.0.0.1:80", V4, true),
        ("[::]:80", V6, "[fd00::1]:80", V6, false),
        ("[::ffff:10.0.0.1]:80", Both, "10.0.0.1:80", V4, false),
        ("[::1]:80", V6, "127.0.0.1:80", V4, true),
    ];
    for (first, of_first, second, of_second, fits) in table {
        let (mut demux, _) = tables();
        demux.claim(&claim(first, of_first, None)).unwrap();
        let result = demux.check(&claim(second, of_second, None));
        assert_eq!(
            result.is_ok(),
            fits,
            "{first} {of_first:?}, {second} {of_second:?}"
        );
    }
}

/// The sharing of who is there, and of who comes: may they hold the same port?
#[test]
fn sharing_takes_two() {
    let table = [
        (PLAIN, PLAIN, false),
        (REUSE, PLAIN, false),
        (PLAIN, REUSE, false),
        (REUSE, REUSE, true),
        (LISTENING, REUSE, false),
        (PORT, PORT, true),
        (PORT, PLAIN, false),
        (PORT, REUSE, false),
    ];
    for (held, coming, fits) in table {
        let mut first = claim("0.0.0.0:80", Family::V4, None);
        let mut second = claim("10.0.0.1:80", Family::V4, None);
        first.sharing = held;
        second.sharing = coming;
        assert_eq!(!second.conflicts(&first), fits, "{held:?}, {coming:?}");
    }
}

#[test]
fn of_two_that_share_an_address_one_may_listen() {
    let (mut demux, _) = tables();
    let mut first = claim("0.0.0.0:80", Family::V4, None);
    first.sharing = REUSE;
    let mut second = first;
    demux.claim(&first).unwrap();
    demux.claim(&second).unwrap();
    demux.listen(&mut first).unwrap();
    assert_eq!(demux.listen(&mut second), Err(Error::AddressInUse));
    assert_eq!(second.sharing, REUSE);
    demux.release(&first);
    demux.listen(&mut second).unwrap();
}

#[test]
fn a_server_comes_back_while_its_connections_linger() {
    let (mut demux, _) = tables();
    let mut listener = claim("0.0.0.0:80", Family::V4, None);
    listener.sharing = REUSE;
    demux.claim(&listener).unwrap();
    demux.listen(&mut listener).unwrap();
    let mut connection = claim("10.0.0.1:80", Family::V4, None);
    connection.sharing = REUSE;
    for _ in 0..1000 {
        demux.share(&connection);
    }
    demux.release(&listener);
    let mut again = claim("0.0.0.0:80", Family::V4, None);
    assert_eq!(demux.check(&again), Err(Error::AddressInUse));
    again.sharing = REUSE;
    demux.claim(&again).unwrap();
    for _ in 0..1000 {
        demux.release(&connection);
    }
    demux.release(&again);
    assert!(demux.claims.is_empty());
}

#[test]
fn interfaces_keep_bindings_apart() {
    let (mut demux, mut slab) = tables();
    let on_eth = claim("0.0.0.0:67", Family::V4, Some(ETH));
    let on_wlan = claim("0.0.0.0:67", Family::V4, Some(WLAN));
    let on_all = claim("0.0.0.0:67", Family::V4, None);
    demux.claim(&on_eth).unwrap();
    demux.claim(&on_wlan).unwrap();
    assert_eq!(demux.check(&on_all), Err(Error::AddressInUse));
    let [eth, wlan] = [(), ()].map(|()| slab.insert(()));
    demux.receive(eth, &on_eth);
    demux.receive(wlan, &on_wlan);
    let [to, from] = [at("255.255.255.255:67"), at("0.0.0.0:68")];
    assert_eq!(demux.lookup(to, from, ETH), Some(eth));
    assert_eq!(demux.lookup(to, from, WLAN), Some(wlan));
    assert_eq!(demux.lookup(to, from, InterfaceId(9)), None);
}

#[test]
fn the_more_particular_socket_wins() {
    let (mut demux, mut slab) = tables();
    let [dual, any, device, exact, connected] = [(); 5].map(|()| slab.insert(()));
    let local = at("10.0.0.1:53");
    let peer = at("10.0.0.9:4000");
    let stranger = at("10.0.0.9:4001");

    demux.receive(dual, &claim("[::]:53", Family::Both, None));
    assert_eq!(demux.lookup(local, peer, ETH), Some(dual));
    demux.receive(any, &claim("0.0.0.0:53", Family::V4, None));
    assert_eq!(demux.lookup(local, peer, ETH), Some(any));
    demux.receive(device, &claim("0.0.0.0:53", Family::V4, Some(ETH)));
    assert_eq!(demux.lookup(local, peer, ETH), Some(device));
    assert_eq!(demux.lookup(local, peer, WLAN), Some(any));
    demux.receive(exact, &claim("10.0.0.1:53", Family::V4, None));
    assert_eq!(demux.lookup(local, peer, ETH), Some(exact));
    let flow = Flow {
        local,
        remote: peer,
    };
    demux.connect(connected, flow, None, false);
    assert_eq!(demux.lookup(local, peer, ETH), Some(connected));
    assert_eq!(demux.lookup(local, stranger, ETH), Some(exact));
    assert_eq!(demux.lookup_bound(&flow, ETH), Some(exact));
    assert_eq!(
        demux.lookup(at("[fd00::1]:53"), at("[fd00::2]:9"), ETH),
        Some(dual)
    );
    assert_eq!(demux.lookup(at("10.0.0.1:54"), peer, ETH), None);

    demux.disconnect(connected, flow);
    assert_eq!(demux.lookup(local, peer, ETH), Some(exact));
}

#[test]
fn link_local_addresses_belong_to_one_interface() {
    let (mut demux, mut slab) = tables();
    let [on_eth, flow_id] = [(); 2].map(|()| slab.insert(()));
    demux.receive(on_eth, &claim("[fe80::1%2]:53", Family::V6, None));
    let local = ip("fe80::1");
    let on = |interface| Endpoint::on(interface, local, 53);
    let peer = |interface| Endpoint::on(interface, ip("fe80::2"), 9);
    assert_eq!(demux.lookup(on(ETH), peer(ETH), ETH), Some(on_eth));
    assert_eq!(demux.lookup(on(WLAN), peer(WLAN), WLAN), None);
    let flow = Flow {
        local: on(WLAN),
        remote: peer(WLAN),
    };
    demux.connect(flow_id, flow, None, false);
    assert_eq!(demux.lookup(on(WLAN), peer(WLAN), WLAN), Some(flow_id));
    assert_eq!(demux.lookup(on(ETH), peer(ETH), ETH), Some(on_eth));
}

#[test]
fn a_group_reaches_everyone_who_listens() {
    let (mut demux, mut slab) = tables();
    let [any, group, other_group, device, dual, only_v6, connected] =
        [(); 7].map(|()| slab.insert(()));
    demux.receive(any, &claim("0.0.0.0:5353", Family::V4, None));
    demux.receive(group, &claim("224.0.0.251:5353", Family::V4, None));
    demux.receive(other_group, &claim("224.0.0.9:5353", Family::V4, None));
    demux.receive(device, &claim("0.0.0.0:5353", Family::V4, Some(WLAN)));
    demux.receive(dual, &claim("[::]:5353", Family::Both, None));
    demux.receive(only_v6, &claim("[::]:5353", Family::V6, None));
    let [to, from] = [at("224.0.0.251:5353"), at("10.0.0.7:5353")];
    let flow = Flow {
        local: to,
        remote: from,
    };
    demux.connect(connected, flow, None, false);
    let got = demux.lookup_all(to, from, ETH);
    assert_eq!(got[..], [connected, group, any, dual]);
}

#[test]
fn reuse_port_spreads_flows_and_keeps_each() {
    let (mut demux, mut slab) = tables();
    let mut shared = claim("0.0.0.0:53", Family::V4, None);
    shared.sharing = PORT;
    let group: Vec<_> = (0..4).map(|_| slab.insert(())).collect();
    for &id in &group {
        demux.receive(id, &shared);
    }
    let local = at("10.0.0.1:53");
    let mut hits = vec![0; group.len()];
    for port in 1..=1000 {
        let remote = Endpoint::new(ip("10.0.0.2"), port);
        let id = demux.lookup(local, remote, ETH).unwrap();
        assert_eq!(demux.lookup(local, remote, ETH), Some(id));
        hits[group.iter().position(|&g| g == id).unwrap()] += 1;
    }
    assert!(hits.iter().all(|&n| n > 150), "{hits:?}");
}

#[test]
fn a_mate_has_the_same_binding_and_shares() {
    let (mut demux, mut slab) = tables();
    let [gone, mate, alone, device, exact] = [(); 5].map(|()| slab.insert(()));
    let shared = |local, interface| {
        let mut claim = claim(local, Family::V4, interface);
        claim.sharing = PORT;
        claim
    };
    let any = shared("0.0.0.0:80", None);
    let flow = Flow {
        local: at("10.0.0.1:80"),
        remote: at("10.0.0.2:4000"),
    };
    demux.receive(gone, &any);
    demux.receive(alone, &claim("0.0.0.0:80", Family::V4, None));
    demux.receive(device, &shared("0.0.0.0:80", Some(ETH)));
    demux.receive(exact, &shared("10.0.0.1:80", None));
    demux.stop_receiving(gone, &any);
    assert_eq!(demux.mate(&any, &flow), None);
    demux.receive(mate, &any);
    assert_eq!(demux.mate(&any, &flow), Some(mate));
}

#[test]
fn a_socket_may_have_many_keys() {
    let (mut demux, mut slab) = tables();
    let id = slab.insert(());
    let remote = at("10.9.9.9:7");
    let flows = ["10.0.0.1:7", "10.0.1.1:7", "[fd00::1]:7"].map(|local| Flow {
        local: at(local),
        remote,
    });
    for flow in flows {
        demux.connect(id, flow, None, false);
    }
    demux.disconnect(id, flows[1]);
    let found = flows.map(|flow| demux.lookup(flow.local, remote, ETH));
    assert_eq!(found, [Some(id), None, Some(id)]);
}

#[test]
fn connections_to_many_peers_leave_by_one_port() {
    let (mut demux, mut slab) = tables();
    let local = at("10.0.0.1:40000");
    let mut claim = claim("10.0.0.1:40000", Family::V4, None);
    let flow = |remote| Flow {
        local,
        remote: at(remote),
    };
    claim.sharing.by_connect = true;
    assert!(demux.may_connect(&claim.binding, &flow("10.0.0.2:80")));
    demux.share(&claim);
    demux.connect(slab.insert(()), flow("10.0.0.2:80"), None, false);
    assert!(!demux.may_connect(&claim.binding, &flow("10.0.0.2:80")));
    assert!(demux.may_connect(&claim.binding, &flow("10.0.0.2:81")));
    assert!(!demux.is_free(&claim.binding));

    let mut bound = claim;
    bound.sharing = REUSE;
    demux.share(&bound);
    assert!(!demux.may_connect(&claim.binding, &flow("10.0.0.2:81")));
}

fn any_claim() -> impl Strategy<Value = Claim> {
    let address = prop_oneof![
        Just("0.0.0.0:7"),
        Just("[::]:7"),
        Just("10.0.0.1:7"),
        Just("10.0.0.2:7"),
        Just("[fd00::1]:7"),
        Just("[::]:8"),
    ];
    let interface = prop_oneof![Just(None), Just(Some(ETH)), Just(Some(WLAN))];
    (address, interface, any::<[bool; 4]>()).prop_map(|(local, interface, [a, p, l, only])| {
        let family = match at(local).ip {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) if only => Family::V6,
            IpAddr::V6(_) => Family::Both,
        };
        let mut claim = claim(local, family, interface);
        claim.sharing = Sharing {
            reuse_address: a,
            reuse_port: p,
            listening: l,
            by_connect: false,
        };
        claim
    })
}

proptest! {
    /// Two exclusive claims never both match one packet, and what was taken can be given back.
    #[test]
    fn exclusive_claims_never_meet(claims in prop::collection::vec(any_claim(), 1..20)) {
        let (mut demux, mut slab) = tables();
        let mut kept: Vec<(Claim, SocketId)> = Vec::new();
        for claim in claims {
            let conflict = kept.iter().any(|(held, _)| claim.conflicts(held));
            prop_assert_eq!(demux.claim(&claim).is_err(), conflict);
            if !conflict {
                let id = slab.insert(());
                demux.receive(id, &claim);
                kept.push((claim, id));
            }
        }
        for interface in [ETH, WLAN] {
            for local in ["10.0.0.1:7", "10.0.0.2:7", "[fd00::1]:7", "[fd00::2]:8"] {
                let found = demux.lookup(at(local), at("10.7.7.7:1"), interface);
                let wanted = Binding::new(at(local), Some(interface), Family::Both);
                let model = kept.iter().any(|(claim, _)| claim.binding.overlaps(&wanted));
                prop_assert_eq!(found.is_some(), model);
                if let Some(id) = found {
                    let (claim, _) = kept.iter().find(|(_, other)| *other == id).unwrap();
                    prop_assert!(claim.binding.overlaps(&wanted));
                }
            }
        }
        for (claim, id) in &kept {
            demux.stop_receiving(*id, claim);
            demux.release(claim);
        }
        prop_assert!(demux.claims.is_empty() && demux.bound.is_empty());
    }
}
