//! What is told to those who joined rtnetlink's groups: the differences between two looks at the node.
//!
//! Nothing below tells of each change; the node is looked at again after its next turn, in which alone something changes by
//! itself. What came and went between two looks is not told.

use super::format::{requests, word};
use super::route::{self, Told};
use crate::backend::Errno;
use sockeye::{Address, AddressState, InterfaceId, InterfaceInfo, Neighbour, NeighbourState, Node};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// `RTNLGRP_*`.
mod group {
    pub(super) const LINK: u32 = 1;
    pub(super) const NEIGHBOUR: u32 = 3;
    pub(super) const IPV4_ADDRESS: u32 = 5;
    pub(super) const IPV4_ROUTE: u32 = 7;
    pub(super) const IPV6_ADDRESS: u32 = 9;
    pub(super) const IPV6_ROUTE: u32 = 11;
}

/// The groups in which something happens, a bit each.
pub(crate) const GROUPS: u64 = 1 << (group::LINK - 1)
    | 1 << (group::NEIGHBOUR - 1)
    | 1 << (group::IPV4_ADDRESS - 1)
    | 1 << (group::IPV4_ROUTE - 1)
    | 1 << (group::IPV6_ADDRESS - 1)
    | 1 << (group::IPV6_ROUTE - 1);

/// The group that a datagram told something in: 0 if it is an answer, which names who asked.
pub(crate) fn group_of(datagram: &[u8]) -> u32 {
    const LINKS: [u16; 2] = [libc::RTM_NEWLINK, libc::RTM_DELLINK];
    const ADDRESSES: [u16; 2] = [libc::RTM_NEWADDR, libc::RTM_DELADDR];
    const ROUTES: [u16; 2] = [libc::RTM_NEWROUTE, libc::RTM_DELROUTE];
    const NEIGHBOURS: [u16; 2] = [libc::RTM_NEWNEIGH, libc::RTM_DELNEIGH];
    let Some(message) = requests(datagram).next() else {
        return 0;
    };
    let asker = word(message.whole, 12);
    let v6 = message.body.first().copied() == Some(libc::AF_INET6 as u8);
    match message.ty {
        _ if asker != Some(0) => 0,
        ty if LINKS.contains(&ty) => group::LINK,
        ty if NEIGHBOURS.contains(&ty) => group::NEIGHBOUR,
        ty if ADDRESSES.contains(&ty) && v6 => group::IPV6_ADDRESS,
        ty if ADDRESSES.contains(&ty) => group::IPV4_ADDRESS,
        ty if ROUTES.contains(&ty) && v6 => group::IPV6_ROUTE,
        ty if ROUTES.contains(&ty) => group::IPV4_ROUTE,
        _ => 0,
    }
}

/// What happened: a message, and the group that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) group: u32,
    pub(crate) octets: Vec<u8>,
}

/// The node as it was at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    infos: Vec<InterfaceInfo>,
    routes: Vec<Told>,
    neighbours: Vec<(InterfaceId, Neighbour)>,
}

impl Snapshot {
    pub(crate) fn take(node: &Node) -> Result<Self, Errno> {
        let infos = node.interfaces().map_err(super::errno)?;
        let routes = route::whole_table(node, &infos)?;
        let neighbours = node.neighbours().map_err(super::errno)?;
        Ok(Self {
            infos,
            routes,
            neighbours,
        })
    }

    /// What has happened from this one to a later one, in an order in which it may have.
    pub(crate) fn events(&self, later: &Self) -> Vec<Event> {
        let mut events = Vec::new();
        self.link_events(later, &mut events);
        self.address_events(later, &mut events);
        self.route_events(later, &mut events);
        self.neighbour_events(later, &mut events);
        events
    }

    fn link_events(&self, later: &Self, events: &mut Vec<Event>) {
        let same = |a: &InterfaceInfo, b: &InterfaceInfo| {
            (&a.name, a.medium, a.mtu, a.up) == (&b.name, b.medium, b.mtu, b.up)
        };
        let (gone, told) = differences(&self.infos, &later.infos, |info| info.id, same);
        let mut tell = |octets| {
            events.push(Event {
                group: group::LINK,
                octets,
            })
        };
        for info in gone {
            tell(route::link_message(info).gone());
        }
        for info in told {
            tell(route::link_message(info).event());
        }
    }

    /// Addresses that may be in use, or are in use elsewhere. The kernel does not tell of one before its detection has ended,
    /// either.
    fn addresses(&self) -> Vec<(&InterfaceInfo, &Address)> {
        let mine = |info| move |address| (info, address);
        let all = self.infos.iter();
        all.flat_map(|info| info.addresses.iter().map(mine(info)))
            .filter(|(_, address)| address.state != AddressState::Tentative)
            .collect()
    }

    fn address_events(&self, later: &Self, events: &mut Vec<Event>) {
        let (before, after) = (self.addresses(), later.addresses());
        let key = |(info, address): &(&InterfaceInfo, &Address)| (info.id, address.net);
        let same = |a: &(&InterfaceInfo, &Address), b: &(&InterfaceInfo, &Address)| {
            (a.1.state, a.1.lifetime) == (b.1.state, b.1.lifetime)
        };
        let (gone, told) = differences(&before, &after, key, same);
        let mut tell = |address: &Address, octets| {
            let group = match address.net.addr() {
                IpAddr::V4(_) => group::IPV4_ADDRESS,
                IpAddr::V6(_) => group::IPV6_ADDRESS,
            };
            events.push(Event { group, octets });
        };
        for (info, address) in gone {
            tell(address, route::address_message(info, address).gone());
        }
        for (info, address) in told {
            tell(address, route::address_message(info, address).event());
        }
    }

    fn route_events(&self, later: &Self, events: &mut Vec<Event>) {
        let (gone, told) = differences(&self.routes, &later.routes, Told::key, Told::eq);
        let mut tell = |route: &Told, octets| {
            let group = match route.key().0.addr() {
                IpAddr::V4(_) => group::IPV4_ROUTE,
                IpAddr::V6(_) => group::IPV6_ROUTE,
            };
            events.push(Event { group, octets });
        };
        for route in gone {
            tell(route, route.message().gone());
        }
        for route in told {
            tell(route, route.message().event());
        }
    }

    /// The kernel does not tell that it asks for a neighbour for the first time, and of one that does not answer that it failed.
    fn neighbour_events(&self, later: &Self, events: &mut Vec<Event>) {
        let key = |(interface, known): &(InterfaceId, Neighbour)| (*interface, known.address);
        let same = |a: &(InterfaceId, Neighbour), b: &(InterfaceId, Neighbour)| a == b;
        let (gone, told) = differences(&self.neighbours, &later.neighbours, key, same);
        let mut tell = |octets| {
            events.push(Event {
                group: group::NEIGHBOUR,
                octets,
            })
        };
        for (interface, known) in gone {
            tell(match known.state {
                NeighbourState::Incomplete | NeighbourState::Probe => {
                    route::failed_message(*interface, known).event()
                }
                _ => route::neighbour_message(*interface, known).gone(),
            });
        }
        for (interface, known) in told {
            if known.state != NeighbourState::Incomplete {
                tell(route::neighbour_message(*interface, known).event());
            }
        }
    }
}

/// What is only in the first of two lists, and what is only in the second, or differs there.
fn differences<'a, T, K: Ord>(
    before: &'a [T],
    after: &'a [T],
    key: impl Fn(&T) -> K,
    same: impl Fn(&T, &T) -> bool,
) -> (Vec<&'a T>, Vec<&'a T>) {
    let keyed = |list: &'a [T]| -> BTreeMap<K, &'a T> {
        list.iter().map(|entry| (key(entry), entry)).collect()
    };
    let (old, new) = (keyed(before), keyed(after));
    let gone = before.iter().filter(|entry| !new.contains_key(&key(entry)));
    let told = after
        .iter()
        .filter(|entry| !old.get(&key(entry)).is_some_and(|known| same(known, entry)));
    (gone.collect(), told.collect())
}

#[cfg(test)]
mod tests {
    use super::super::{Asker, Family, answer, format};
    use super::*;
    use sockeye::LinkConfig;
    use sockeye::drivers::{Switch, local_address};
    use sockeye::link::MacAddr;

    fn node(address: &str) -> Node {
        let port = Switch::default().port(local_address(&[3; 32], 0));
        let config = LinkConfig::new().address(address.parse().unwrap());
        let config = config.detect_duplicates(false);
        let node = Node::builder().link("eth0", Box::new(port), config);
        node.build().unwrap()
    }

    /// Where the address that the node was given stands: it made one for the link itself, too.
    fn given(snapshot: &Snapshot) -> usize {
        let all = &snapshot.infos[1].addresses;
        all.iter().position(|a| a.net.addr().is_ipv4()).unwrap()
    }

    fn types(events: &[Event]) -> Vec<(u32, u16)> {
        let ty = |event: &Event| requests(&event.octets).next().unwrap().ty;
        events
            .iter()
            .map(|event| (event.group, ty(event)))
            .collect()
    }

    #[test]
    fn the_group_of_an_event_is_seen_in_it_and_answers_are_of_none() {
        let node = node("192.0.2.1/24");
        let mut empty = Snapshot::take(&node).unwrap();
        let mut full = Snapshot::take(&node).unwrap();
        let (address, mac) = ("192.0.2.9".parse().unwrap(), Some(MacAddr([2; 6])));
        let state = NeighbourState::Stale;
        let known = Neighbour {
            address,
            mac,
            state,
        };
        full.neighbours.push((InterfaceId(2), known));
        empty.infos.clear();
        empty.routes.clear();
        let events = [empty.events(&full), full.events(&empty)].concat();
        let mut groups: Vec<u32> = events.iter().map(|event| event.group).collect();
        for event in &events {
            assert_eq!(group_of(&event.octets), event.group);
        }
        groups.sort_unstable();
        groups.dedup();
        assert_eq!(groups, [1, 3, 5, 7, 9, 11], "each was tried");
        for ty in [18, 22, 26, 30] {
            let asker = Asker {
                family: Family::Route,
                port: 77,
                capped: false,
                dumping: false,
            };
            let ask = format::Message::new(ty, &[0; 16]).finish(0x301, 0, 0);
            for datagram in answer(&node, asker, &ask) {
                assert_eq!(group_of(&datagram), 0, "type {ty}");
            }
        }
        assert_eq!(group_of(&[0; 7]), 0);
    }

    #[test]
    fn nothing_changed_is_nothing_told() {
        let node = node("192.0.2.1/24");
        let [a, b] = [(); 2].map(|()| Snapshot::take(&node).unwrap());
        assert_eq!(a.events(&b), []);
    }

    #[test]
    fn addresses_bring_their_routes_and_take_them_along() {
        let node = node("192.0.2.1/24");
        let before = Snapshot::take(&node).unwrap();
        let mut after = Snapshot::take(&node).unwrap();
        let at = given(&after);
        let address = after.infos[1].addresses.remove(at);
        after.routes = before.routes.clone();
        after
            .routes
            .retain(|route| !route.key().0.contains(&address.net.addr()));
        let gone = types(&before.events(&after));
        assert_eq!(
            gone,
            [(5, 21), (7, 25), (7, 25)],
            "the network, and the address itself"
        );
        let came = types(&after.events(&before));
        assert_eq!(came, [(5, 20), (7, 24), (7, 24)]);
    }

    #[test]
    fn an_address_is_told_when_its_detection_has_ended() {
        let node = node("192.0.2.1/24");
        let mut before = Snapshot::take(&node).unwrap();
        let mut after = Snapshot::take(&node).unwrap();
        let at = given(&before);
        before.infos[1].addresses[at].state = AddressState::Tentative;
        assert_eq!(types(&before.events(&after)), [(5, 20)]);
        after.infos[1].addresses[at].state = AddressState::Tentative;
        assert_eq!(before.events(&after), []);
        after.infos[1].addresses[at].state = AddressState::Duplicate;
        assert_eq!(types(&before.events(&after)), [(5, 20)]);
    }

    #[test]
    fn links_are_told_when_what_is_shown_of_them_changes() {
        let node = node("192.0.2.1/24");
        let before = Snapshot::take(&node).unwrap();
        let mut after = Snapshot::take(&node).unwrap();
        after.infos[1].traffic.rx_packets += 1;
        assert_eq!(before.events(&after), []);
        after.infos[1].mtu = 1400;
        assert_eq!(types(&before.events(&after)), [(1, 16)]);
        after.infos.truncate(1);
        after.routes.clear();
        let gone = types(&before.events(&after));
        assert_eq!(gone[0], (1, 17));
        assert!(gone.contains(&(5, 21)), "{gone:?}");
    }

    #[test]
    fn a_neighbour_is_told_as_it_is_known_and_lost() {
        const FAILED: u32 = 0x20;
        let node = node("192.0.2.1/24");
        let snapshot = |state: Option<NeighbourState>| {
            let mut snapshot = Snapshot::take(&node).unwrap();
            let mac = Some(MacAddr([2, 0, 0, 0, 0, 9]));
            let address = "192.0.2.9".parse().unwrap();
            let row = state.map(|state| {
                (
                    InterfaceId(2),
                    Neighbour {
                        address,
                        mac,
                        state,
                    },
                )
            });
            snapshot.neighbours.extend(row);
            snapshot
        };
        let told = |a, b| snapshot(a).events(&snapshot(b));
        let (incomplete, reachable) = (NeighbourState::Incomplete, NeighbourState::Reachable);
        assert_eq!(told(None, Some(incomplete)), []);
        assert_eq!(types(&told(Some(incomplete), Some(reachable))), [(3, 28)]);
        assert_eq!(
            types(&told(Some(reachable), Some(NeighbourState::Stale))),
            [(3, 28)]
        );
        assert_eq!(types(&told(Some(NeighbourState::Stale), None)), [(3, 29)]);
        let failed = told(Some(incomplete), None);
        assert_eq!(types(&failed), [(3, 28)]);
        let state = word(&failed[0].octets, 24).unwrap() & 0xffff;
        assert_eq!(state, FAILED);
    }
}
