//! What a router says it is attached to, and the shortest paths over what all of them say (RFC 2328 §12.4, §16.1).

use crate::packet::{Ip, Key, NETWORK, ROUTER, RouterLink, list};
use crate::speaker::{Settings, Speaker};
use sockeye::Ipv4Net;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use zerocopy::IntoBytes;

/// Kinds of a router's links: to a network with other routers, and to one without.
const TRANSIT: u8 = 2;
const STUB: u8 = 3;

/// The body of our own advertisement: the networks that we stand for, and the one that we share.
pub(crate) fn describe(settings: &Settings, designated: Option<Ip>) -> Vec<u8> {
    let Settings {
        address,
        networks,
        cost,
        ..
    } = settings;
    let link = |kind, id: Ipv4Addr, data: Ipv4Addr| RouterLink {
        id: id.into(),
        data: data.into(),
        kind,
        tos: 0,
        metric: (*cost).into(),
    };
    let mut links = vec![match designated {
        Some(router) => link(TRANSIT, router.into(), address.addr()),
        None => link(STUB, address.network(), address.netmask()),
    }];
    links.extend(
        networks
            .iter()
            .map(|net| link(STUB, net.network(), net.netmask())),
    );
    let count = links.len() as u16;
    [&[0, 0], &count.to_be_bytes()[..], links.as_bytes()].concat()
}

/// The other networks of the area, each with its gateway and cost.
pub(crate) fn compute(speaker: &Speaker) -> BTreeMap<Ipv4Net, (Ipv4Addr, u32)> {
    let own = Key {
        kind: u32::from(ROUTER).into(),
        id: speaker.settings.router,
        by: speaker.settings.router,
    };
    let body = |key: &Key| {
        speaker
            .database
            .get(key)
            .map(|(lsa, _)| &lsa.body[..])
            .unwrap_or_default()
    };
    let links =
        |key: &Key| -> Vec<RouterLink> { list(body(key).get(4..).unwrap_or_default()).collect() };
    let attached =
        |key: &Key| -> Vec<Ip> { list(body(key).get(4..).unwrap_or_default()).collect() };
    let network = |id: Ip| {
        speaker
            .database
            .keys()
            .find(|key| key.kind.get() == u32::from(NETWORK) && key.id == id)
    };
    // How far each router and network is, and which router on our own network leads there.
    let mut reached: BTreeMap<Key, (u32, Option<Ip>)> = BTreeMap::from([(own, (0, None))]);
    let mut routes = BTreeMap::new();
    let mut queue = vec![own];
    while let Some(from) = queue.pop() {
        let (cost, hop) = reached[&from];
        let mut next: Vec<(Key, u32, Option<Ip>)> = Vec::new();
        if from.kind.get() == u32::from(ROUTER) {
            for link in links(&from) {
                let cost = cost + u32::from(link.metric.get());
                match (link.kind, network(link.id)) {
                    // Both have to say so.
                    (TRANSIT, Some(to)) if attached(to).contains(&from.id) => {
                        next.push((*to, cost, hop))
                    }
                    (STUB, _) => offer(&mut routes, (link.id, link.data), hop, cost),
                    _ => {}
                }
            }
        } else {
            let mask = list::<Ip>(body(&from)).next().unwrap_or_default();
            offer(&mut routes, (from.id, mask), hop, cost);
            for id in attached(&from) {
                let router = Key {
                    kind: u32::from(ROUTER).into(),
                    id,
                    by: id,
                };
                let back = links(&router)
                    .into_iter()
                    .find(|link| link.kind == TRANSIT && link.id == from.id);
                next.extend(back.map(|link| (router, cost, hop.or(Some(link.data)))));
            }
        }
        for (to, cost, hop) in next {
            if to != own && reached.get(&to).is_none_or(|(known, _)| cost < *known) {
                reached.insert(to, (cost, hop));
                queue.push(to);
            }
        }
    }
    routes.remove(&speaker.settings.address.trunc());
    routes
}

/// Takes a route by another router, if it is the best so far.
fn offer(
    routes: &mut BTreeMap<Ipv4Net, (Ipv4Addr, u32)>,
    (id, mask): (Ip, Ip),
    hop: Option<Ip>,
    cost: u32,
) {
    let (Some(hop), Ok(net)) = (hop, Ipv4Net::with_netmask(id.into(), mask.into())) else {
        return;
    };
    let best = routes.entry(net.trunc()).or_insert((hop.into(), cost));
    if cost < best.1 {
        *best = (hop.into(), cost);
    }
}
