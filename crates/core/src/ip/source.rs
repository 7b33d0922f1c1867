//! The choice of a source address (RFC 6724 §5, RFC 1122 §3.3.4.3).

use crate::iface::{Address, AddressOrigin, AddressState, Interface};
use crate::internet_options::AddressPreferences;
use crate::{Inet, InterfaceId};
use ipnet::IpNet;
use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address to send from to `destination`, by way of `next_hop` on `interface`.
pub(crate) fn choose(
    inet: &Inet,
    interface: InterfaceId,
    destination: IpAddr,
    next_hop: IpAddr,
    preferences: AddressPreferences,
) -> Option<IpAddr> {
    match destination {
        IpAddr::V4(v4) => choose_v4(inet, interface, v4, next_hop).map(IpAddr::V4),
        IpAddr::V6(v6) => choose_v6(inet, interface, v6, next_hop, preferences).map(IpAddr::V6),
    }
}

/// RFC 1122 §3.3.4.3: an address of the interface it leaves by, best of the neighbour's network;
/// any address of the node when the interface has none (an unnumbered one).
fn choose_v4(
    inet: &Inet,
    interface: InterfaceId,
    destination: Ipv4Addr,
    next_hop: IpAddr,
) -> Option<Ipv4Addr> {
    let rank = |id: InterfaceId, address: &Address, v4: Ipv4Addr| {
        (
            id == interface,
            address.state == AddressState::Preferred,
            v4.is_link_local() == destination.is_link_local(),
            address.net.contains(&next_hop),
        )
    };
    let mut best = None;
    for (id, address) in candidates(inet) {
        let IpAddr::V4(v4) = address.net.addr() else {
            continue;
        };
        let rank = rank(id, address, v4);
        if best.is_none_or(|(r, _)| rank > r) {
            best = Some((rank, v4));
        }
    }
    best.map(|(_, v4)| v4)
}

/// RFC 6724 §5: the best candidate. Rule 4 (home addresses) has nothing to tell apart here.
fn choose_v6(
    inet: &Inet,
    interface: InterfaceId,
    destination: Ipv6Addr,
    next_hop: IpAddr,
    preferences: AddressPreferences,
) -> Option<Ipv6Addr> {
    let wanted = scope(destination.into());
    // RFC 6724 §4: for these only addresses of the link that the packet leaves by will do.
    let of_link = destination.is_multicast() || wanted <= SCOPE_LINK;
    let policy = inet.address_policy();
    let label = |address: Ipv6Addr| policy.label(address.into());
    let mut best: Option<(Ipv6Addr, Rank)> = None;
    for (id, address) in candidates(inet) {
        let IpNet::V6(net) = address.net else {
            continue;
        };
        let source = net.addr();
        let own = scope(source.into());
        // A zone is never left: RFC 4007 §5.
        if id != interface && (of_link || own <= SCOPE_LINK) {
            continue;
        }
        // RFC 5014 §3: what the socket likes, else what the interface does (`use_tempaddr`).
        let temporary = preferences
            .temporary
            .unwrap_or_else(|| prefers_temporary(inet, id));
        let rank = Rank {
            first: (
                // Rule 1: the same address.
                source == destination,
                // Rule 2: the smallest scope that is enough, else the largest of those that are not.
                own >= wanted,
                if own >= wanted { 0x10 - own } else { own },
                // Rule 3: no deprecated ones.
                address.state == AddressState::Preferred,
                // Rule 5: of the interface that it leaves by.
                id == interface,
            ),
            of_next_hop: assigned_by(inet, id, address, next_hop),
            then: (
                // Rule 6: the same label.
                label(source) == label(destination),
                // Rule 7: temporary ones, or public ones.
                (address.origin == AddressOrigin::Temporary) == temporary,
                // Rule 8: the longest prefix in common.
                common_prefix(source, destination).min(net.prefix_len()),
            ),
        };
        if best.as_ref().is_none_or(|(_, known)| rank.beats(known)) {
            best = Some((source, rank));
        }
    }
    best.map(|(source, _)| source)
}

/// What the rules ask of a candidate, greater is better.
struct Rank {
    first: (bool, bool, u8, bool, bool),
    /// Whether the next hop has advertised its prefix, or others have; nobody, of one that was set.
    of_next_hop: Option<bool>,
    then: (bool, bool, u8),
}

impl Rank {
    fn beats(&self, other: &Self) -> bool {
        // Rule 5.5: one of the next hop's prefix before one of another router's.
        let by_next_hop = match (self.of_next_hop, other.of_next_hop) {
            (Some(own), Some(other)) => own.cmp(&other),
            _ => Ordering::Equal,
        };
        let order = self.first.cmp(&other.first).then(by_next_hop);
        order.then(self.then.cmp(&other.then)).is_gt()
    }
}

/// Whether `next_hop` is among the routers that have advertised the prefix of `address`.
fn assigned_by(
    inet: &Inet,
    interface: InterfaceId,
    address: &Address,
    next_hop: IpAddr,
) -> Option<bool> {
    let made = matches!(
        address.origin,
        AddressOrigin::Autoconf | AddressOrigin::Temporary
    );
    let (true, IpAddr::V6(next_hop), IpNet::V6(net)) = (made, next_hop, address.net) else {
        return None;
    };
    inet.interface(interface)?
        .is_advertised_by(net.trunc(), next_hop)
}

fn prefers_temporary(inet: &Inet, interface: InterfaceId) -> bool {
    let link = inet.interface(interface);
    link.is_some_and(Interface::prefers_temporary)
}

/// Addresses that packets to others may carry.
fn candidates(inet: &Inet) -> impl Iterator<Item = (InterfaceId, &Address)> {
    inet.interfaces()
        .filter(|(id, interface)| *id != InterfaceId::LOOPBACK && interface.is_up())
        .flat_map(|(id, interface)| interface.addresses().iter().map(move |a| (id, a)))
        .filter(|(_, address)| address.is_usable())
}

const SCOPE_LINK: u8 = 2;
const SCOPE_SITE: u8 = 5;
const SCOPE_GLOBAL: u8 = 14;

/// RFC 6724 §3.1, §3.2: scopes of unicast addresses on the scale of groups.
pub(super) fn scope(address: IpAddr) -> u8 {
    let v6 = match address {
        IpAddr::V4(v4) if v4.is_loopback() || v4.is_link_local() => return SCOPE_LINK,
        IpAddr::V4(_) => return SCOPE_GLOBAL,
        IpAddr::V6(v6) => v6,
    };
    if v6.is_multicast() {
        return v6.octets()[1] & 0x0f;
    }
    if v6.is_loopback() || v6.is_unicast_link_local() {
        return SCOPE_LINK;
    }
    if v6.segments()[0] & 0xffc0 == 0xfec0 {
        return SCOPE_SITE;
    }
    SCOPE_GLOBAL
}

/// RFC 6724 §2.2.
pub(super) fn common_prefix(a: Ipv6Addr, b: Ipv6Addr) -> u8 {
    (a.to_bits() ^ b.to_bits()).leading_zeros() as u8
}

#[cfg(test)]
pub(super) mod tests {
    use crate::context::Parts;
    use crate::iface::InterfaceConfig;
    use crate::internet_options::AddressPreferences;
    use crate::{Capabilities, Config, Instant, InterfaceId, Medium, RouteQuery, inet};
    use ipnet::IpNet;
    use sockeye_link::GsoKinds;
    use std::net::IpAddr;

    pub(in crate::ip) fn node(interfaces: &[&[&str]]) -> Parts {
        let mut parts = Parts::new(Config::default(), [1; 32]);
        for addresses in interfaces {
            let mut config = InterfaceConfig::new(
                "test0",
                Capabilities {
                    medium: Medium::Ip,
                    mtu: 1500,
                    tx_checksum: false,
                    gso: GsoKinds::NONE,
                    gso_max: 0,
                    queues: 1,
                },
            );
            config.addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
            config.link_local = false;
            inet::add_interface(&mut parts.context(Instant::ZERO), config);
        }
        for net in ["0.0.0.0/0", "::/0"] {
            let to = InterfaceId(2);
            parts
                .inet
                .add_route(net.parse().unwrap(), None, to, 0)
                .unwrap();
        }
        parts
    }

    fn source(parts: &Parts, destination: &str, interface: Option<u32>) -> String {
        let query = RouteQuery {
            destination: destination.parse().unwrap(),
            source: None,
            interface: interface.map(InterfaceId),
            foreign_source: false,
        };
        parts.inet.route(&query).map_or_else(
            |e| format!("{e:?}"),
            |r: crate::Route| IpAddr::to_string(&r.source),
        )
    }

    /// RFC 1122 §3.3.4.3.
    #[test]
    fn ipv4_takes_the_network_of_the_neighbour() {
        let parts = node(&[
            &["10.0.0.1/24", "10.1.0.1/16", "169.254.3.3/16"],
            &["192.0.2.1/24"],
        ]);
        assert_eq!(source(&parts, "10.0.0.9", None), "10.0.0.1");
        assert_eq!(source(&parts, "10.1.0.9", None), "10.1.0.1");
        assert_eq!(source(&parts, "8.8.8.8", None), "10.0.0.1");
        assert_eq!(source(&parts, "192.0.2.7", None), "192.0.2.1");
        assert_eq!(source(&parts, "169.254.9.9", None), "169.254.3.3");
        assert_eq!(source(&parts, "10.0.0.1", None), "10.0.0.1");
        assert_eq!(source(&parts, "127.9.9.9", None), "127.0.0.1");
    }

    #[test]
    fn ipv6_follows_rfc_6724_section_10_1() {
        let parts = node(&[&[
            "2001:db8:1::1/64",
            "fe80::1/64",
            "fd00::1/64",
            "2002:c633:6401::d/48",
        ]]);
        // Rule 2: appropriate scope.
        assert_eq!(source(&parts, "2001:db8:9::9", None), "2001:db8:1::1");
        assert_eq!(source(&parts, "fe80::9", None), "fe80::1");
        assert_eq!(source(&parts, "ff02::1", None), "fe80::1");
        assert_eq!(source(&parts, "ff05::1", None), "2001:db8:1::1");
        // Rule 6: matching label.
        assert_eq!(source(&parts, "fd12::9", None), "fd00::1");
        assert_eq!(
            source(&parts, "2002:836b:4179::1", None),
            "2002:c633:6401::d"
        );
        // Rule 1: same address.
        assert_eq!(source(&parts, "fd00::1", None), "fd00::1");
    }

    #[test]
    fn a_link_local_destination_needs_its_link_where_there_are_two() {
        let parts = node(&[&["fe80::1/64"], &["fe80::2/64"]]);
        assert_eq!(source(&parts, "fe80::9", None), "Invalid");
        assert_eq!(source(&parts, "fe80::9", Some(3)), "fe80::2");
        assert_eq!(source(&parts, "fe80::2", Some(3)), "fe80::2");
        assert_eq!(source(&parts, "2001:db8::1", Some(3)), "NetworkUnreachable");
    }

    fn preferring(parts: &Parts, destination: &str, temporary: Option<bool>) -> String {
        let query = RouteQuery {
            destination: destination.parse().unwrap(),
            source: None,
            interface: None,
            foreign_source: false,
        };
        let mut preferences = AddressPreferences::default();
        preferences.temporary = temporary;
        let route = parts.inet.route_preferring(&query, preferences).unwrap();
        route.source.to_string()
    }

    /// RFC 6724 §10.1, example by example, but for the one of home addresses: candidates, destination,
    /// and which of the two is chosen by a socket that prefers temporary ones, as the RFC does.
    #[test]
    fn the_examples_of_rfc_6724_section_10_1() {
        const TEMPORARY: &str = "2002:c633:6401::d5e3:7953:13eb:22e8/64";
        let table: [([&str; 2], &str, &str, usize); 7] = [
            (["2001:db8:3::1/64", "fe80::1/64"], "", "2001:db8:1::1", 0),
            (["2001:db8:3::1/64", "fe80::1/64"], "", "ff05::1", 0),
            (
                ["2001:db8:1::1/64", "2001:db8:2::1/64"],
                "deprecated",
                "2001:db8:1::1",
                0,
            ),
            (
                ["fe80::2/64", "2001:db8:1::1/64"],
                "deprecated",
                "fe80::1",
                0,
            ),
            (
                ["2001:db8:1::2/64", "2001:db8:3::2/64"],
                "",
                "2001:db8:1::1",
                0,
            ),
            (
                [TEMPORARY, "2001:db8:1::2/64"],
                "temporary",
                "2002:c633:6401::1",
                0,
            ),
            (
                ["2001:db8:1::d5e3:7953:13eb:22e8/64", "2001:db8:1::2/64"],
                "temporary",
                "2001:db8:1::d5e3:0:0:1",
                0,
            ),
        ];
        for (addresses, first_is, destination, chosen) in table {
            // The order in which they were given means nothing.
            for order in [addresses, [addresses[1], addresses[0]]] {
                let mut parts = node(&[&order]);
                let address = |text: &str| text.parse::<IpNet>().unwrap().addr();
                let interface = parts.inet.interface_mut(InterfaceId(2)).unwrap();
                match first_is {
                    "deprecated" => assert!(interface.deprecate(address(addresses[0]), true)),
                    "temporary" => interface.set_temporary(address(addresses[0])),
                    _ => {}
                }
                let chosen = address(addresses[chosen]).to_string();
                let found = preferring(&parts, destination, Some(true));
                assert_eq!(found, chosen, "to {destination}");
            }
        }
    }

    /// RFC 6724 §5, rule 3.
    #[test]
    fn rule_3_avoids_what_is_deprecated() {
        let mut parts = node(&[&["2001:db8:1::1/64", "2001:db8:9::1/64"]]);
        assert_eq!(source(&parts, "2001:db8:9::9", None), "2001:db8:9::1");
        let mut cx = parts.context(Instant::ZERO);
        let old = "2001:db8:9::1".parse().unwrap();
        assert!(inet::deprecate_address(&mut cx, InterfaceId(2), old, true));
        assert_eq!(source(&parts, "2001:db8:9::9", None), "2001:db8:1::1");
    }

    /// RFC 6724 §5, rule 5, and §4: a group is sent to from its own link.
    #[test]
    fn rule_5_takes_an_address_of_the_interface() {
        let parts = node(&[&["2001:db8:1::1/64"], &["2001:db8:2::1/64"]]);
        assert_eq!(source(&parts, "2001:db8:2::9", Some(2)), "2001:db8:1::1");
        assert_eq!(source(&parts, "2001:db8:2::9", Some(3)), "2001:db8:2::1");
        assert_eq!(source(&parts, "2001:db8:7::9", None), "2001:db8:1::1");
        assert_eq!(source(&parts, "ff0e::1", Some(3)), "2001:db8:2::1");
        let one = node(&[&["10.0.0.1/24"], &["2001:db8:2::1/64"]]);
        assert_eq!(source(&one, "ff0e::1", Some(2)), "AddressNotAvailable");
    }

    /// RFC 6724 §5, rule 7; RFC 5014 §3.
    #[test]
    fn rule_7_prefers_what_the_socket_does() {
        let mut parts = node(&[&["2001:db8:1::1/64", "2001:db8:1::abcd/64"]]);
        let interface = parts.inet.interface_mut(InterfaceId(2)).unwrap();
        interface.set_temporary("2001:db8:1::abcd".parse().unwrap());
        for (preferred, chosen) in [
            (None, "2001:db8:1::1"),
            (Some(false), "2001:db8:1::1"),
            (Some(true), "2001:db8:1::abcd"),
        ] {
            assert_eq!(preferring(&parts, "2001:db8:9::9", preferred), chosen);
        }
    }
}
