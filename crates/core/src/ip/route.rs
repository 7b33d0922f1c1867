//! The route table: longest prefix first, then the smallest metric.

use crate::InterfaceId;
use ipnet::IpNet;
use smallvec::SmallVec;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// One route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteEntry {
    /// The network it leads to.
    pub destination: IpNet,
    /// The neighbour that carries on, or none: destinations are neighbours themselves.
    pub gateway: Option<IpAddr>,
    /// Where it leaves.
    pub interface: InterfaceId,
    /// Among routes to the same network the smallest is taken.
    pub metric: u32,
}

/// Family, prefix length (long ones first), network.
type Key = (bool, Reverse<u8>, u128);

/// All routes of a node.
#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    entries: BTreeMap<Key, SmallVec<[RouteEntry; 1]>>,
    /// How many networks there are of each family and prefix length: the lengths worth looking for.
    lengths: BTreeMap<(bool, Reverse<u8>), usize>,
}

impl RouteTable {
    /// Adds `entry`; one to the same network by the same gateway and interface is replaced.
    pub(crate) fn insert(&mut self, entry: RouteEntry) {
        let key = key(entry.destination);
        let same = self.entries.entry(key).or_default();
        if same.is_empty() {
            *self.lengths.entry((key.0, key.1)).or_default() += 1;
        }
        same.retain(|e| (e.gateway, e.interface) != (entry.gateway, entry.interface));
        let at = same.partition_point(|e| e.metric <= entry.metric);
        same.insert(at, entry);
    }

    pub(crate) fn remove(
        &mut self,
        destination: IpNet,
        gateway: Option<IpAddr>,
        interface: InterfaceId,
    ) -> bool {
        let key = key(destination);
        let Some(same) = self.entries.get_mut(&key) else {
            return false;
        };
        let before = same.len();
        same.retain(|e| (e.gateway, e.interface) != (gateway, interface));
        let removed = same.len() < before;
        if same.is_empty() {
            self.entries.remove(&key);
            self.recount();
        }
        removed
    }

    pub(crate) fn remove_interface(&mut self, interface: InterfaceId) {
        self.entries.retain(|_, same| {
            same.retain(|e| e.interface != interface);
            !same.is_empty()
        });
        self.recount();
    }

    /// The best route to `destination` among those that `usable` admits.
    pub(crate) fn lookup(
        &self,
        destination: IpAddr,
        usable: impl Fn(&RouteEntry) -> bool,
    ) -> Option<&RouteEntry> {
        let family = destination.is_ipv6();
        self.lengths
            .range((family, Reverse(u8::MAX))..=(family, Reverse(0)))
            .filter_map(|(&(_, Reverse(length)), _)| {
                let net = IpNet::new(destination, length).ok()?.trunc();
                self.entries.get(&key(net))
            })
            .flatten()
            .find(|entry| usable(entry))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &RouteEntry> {
        self.entries.values().flatten()
    }

    fn recount(&mut self) {
        self.lengths.clear();
        for &(family, length, _) in self.entries.keys() {
            *self.lengths.entry((family, length)).or_default() += 1;
        }
    }
}

fn key(net: IpNet) -> Key {
    let bits = match net.network() {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    (net.addr().is_ipv6(), Reverse(net.prefix_len()), bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(net: &str, gateway: &str, interface: u32, metric: u32) -> RouteEntry {
        RouteEntry {
            destination: net.parse().unwrap(),
            gateway: gateway.parse().ok(),
            interface: InterfaceId(interface),
            metric,
        }
    }

    fn found(table: &RouteTable, to: &str) -> Option<u32> {
        table
            .lookup(to.parse().unwrap(), |_| true)
            .map(|e| e.interface.0)
    }

    #[test]
    fn the_longest_prefix_wins_and_then_the_smallest_metric() {
        let mut table = RouteTable::default();
        table.insert(entry("0.0.0.0/0", "10.0.0.1", 2, 0));
        table.insert(entry("10.0.0.0/8", "", 3, 9));
        table.insert(entry("10.0.0.0/8", "", 4, 5));
        table.insert(entry("10.1.0.0/16", "", 5, 100));
        table.insert(entry("::/0", "fe80::1", 6, 0));
        assert_eq!(found(&table, "8.8.8.8"), Some(2));
        assert_eq!(found(&table, "10.9.9.9"), Some(4));
        assert_eq!(found(&table, "10.1.9.9"), Some(5));
        assert_eq!(found(&table, "2001:db8::1"), Some(6));

        // Without the best one the next is found, down to none.
        table.remove_interface(InterfaceId(5));
        assert_eq!(found(&table, "10.1.9.9"), Some(4));
        assert!(table.remove("10.0.0.0/8".parse().unwrap(), None, InterfaceId(4)));
        assert_eq!(found(&table, "10.1.9.9"), Some(3));
        table.remove_interface(InterfaceId(3));
        assert_eq!(found(&table, "10.1.9.9"), Some(2));
        table.remove_interface(InterfaceId(2));
        assert_eq!(found(&table, "10.1.9.9"), None);
        assert_eq!(found(&table, "2001:db8::1"), Some(6));
    }

    #[test]
    fn the_same_route_again_changes_its_metric() {
        let mut table = RouteTable::default();
        table.insert(entry("10.0.0.0/8", "", 3, 1));
        table.insert(entry("10.0.0.0/8", "", 4, 2));
        table.insert(entry("10.0.0.0/8", "", 3, 3));
        assert_eq!(found(&table, "10.0.0.1"), Some(4));
        assert_eq!(table.iter().count(), 2);
    }
}
