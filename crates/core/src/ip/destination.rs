//! The order in which the addresses of a host are tried (RFC 6724 §6).

use super::source::{common_prefix, scope};
use crate::iface::AddressState;
use crate::{Inet, RouteQuery};
use ipnet::IpNet;
use std::cmp::{Ordering, Reverse};
use std::net::IpAddr;

impl Inet {
    /// Brings `destinations` into the order in which they should be tried.
    pub fn order_destinations(&self, destinations: &mut [IpAddr]) {
        let mut known: Vec<Known> = destinations.iter().map(|&to| Known::of(self, to)).collect();
        // An insertion sort: rule 9 compares within a family alone, which is no order of all.
        for end in 1..known.len() {
            let mut at = end;
            while at > 0 && known[at].compare(&known[at - 1]) == Ordering::Greater {
                known.swap(at, at - 1);
                at -= 1;
            }
        }
        for (place, known) in destinations.iter_mut().zip(known) {
            *place = known.destination;
        }
    }
}

/// A destination, and what the rules ask of it.
struct Known {
    destination: IpAddr,
    /// Rules 1 to 8, greater is better. Rule 4 (home addresses) and rule 7 (encapsulation) have
    /// nothing to tell apart here.
    rank: (bool, bool, bool, bool, u8, Reverse<u8>),
    /// Rule 9.
    common: u8,
}

impl Known {
    fn of(inet: &Inet, destination: IpAddr) -> Self {
        let query = RouteQuery {
            destination,
            source: None,
            interface: None,
            foreign_source: false,
        };
        let source = inet.route(&query).ok().map(|route| route.source);
        let own = source.and_then(|source| {
            let mut all = inet.interfaces().flat_map(|(_, link)| link.addresses());
            all.find(|own| own.net.addr() == source)
        });
        let policy = inet.address_policy();
        let is = |rule: &dyn Fn(IpAddr) -> bool| source.is_some_and(rule);
        let rank = (
            // Rule 1: with a way to it, and a source.
            source.is_some(),
            // Rule 2: of the scope of its source.
            is(&|source| scope(source) == scope(destination)),
            // Rule 3: not from a deprecated one.
            own.is_none_or(|own| own.state != AddressState::Deprecated),
            // Rule 5: of the label of its source.
            is(&|source| policy.label(source) == policy.label(destination)),
            // Rule 6: of the highest precedence.
            policy.precedence(destination),
            // Rule 8: of the smallest scope.
            Reverse(scope(destination)),
        );
        Self {
            destination,
            rank,
            common: own.map_or(0, |own| common(own.net, destination)),
        }
    }

    /// Greater: it is tried before `other`, whatever their order was. Rule 10: else that stays.
    fn compare(&self, other: &Self) -> Ordering {
        let same_family = self.destination.is_ipv4() == other.destination.is_ipv4();
        let common = match same_family {
            true => self.common.cmp(&other.common),
            false => Ordering::Equal,
        };
        self.rank.cmp(&other.rank).then(common)
    }
}

/// RFC 6724 §6, rule 9: how much of the source's network the destination shares. Of IPv4, as in
/// glibc, only neighbours share any: else servers that take turns by the order of their addresses
/// would not.
fn common(own: IpNet, destination: IpAddr) -> u8 {
    match (own, destination) {
        (IpNet::V6(net), IpAddr::V6(to)) => common_prefix(net.addr(), to).min(net.prefix_len()),
        (IpNet::V4(net), IpAddr::V4(to)) if net.contains(&to) => net.prefix_len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use crate::context::Parts;
    use crate::ip::policy::AddressPolicy;
    use crate::ip::source::tests::node;
    use crate::{Config, InterfaceId, RouteQuery};
    use ipnet::IpNet;
    use std::net::IpAddr;

    /// A node with these addresses; an address before `!` is deprecated.
    fn with(addresses: &str, policy: &str) -> Parts {
        let nets: Vec<String> = addresses
            .split(' ')
            .map(|text| match text.trim_end_matches('!') {
                v6 if v6.contains(':') => format!("{v6}/64"),
                v4 => format!("{v4}/24"),
            })
            .collect();
        let nets: Vec<&str> = nets.iter().map(String::as_str).collect();
        let mut parts = node(&[&nets]);
        for old in addresses.split(' ').filter_map(|a| a.strip_suffix('!')) {
            let link = parts.inet.interface_mut(InterfaceId(2)).unwrap();
            assert!(link.deprecate(old.parse().unwrap(), true));
        }
        parts.inet.configure(&Config {
            address_policy: policy.parse().unwrap(),
            ..Config::default()
        });
        parts
    }

    /// The order of `destinations`, each with its source.
    fn ordered(parts: &Parts, destinations: &str) -> String {
        let mut all: Vec<IpAddr> = destinations
            .split(' ')
            .map(|to| to.parse().unwrap())
            .collect();
        parts.inet.order_destinations(&mut all);
        let said = all.into_iter().map(|destination| {
            let route = parts.inet.route(&RouteQuery {
                destination,
                source: None,
                interface: None,
                foreign_source: false,
            });
            match route {
                Ok(route) => format!("{destination} from {}", route.source),
                Err(_) => destination.to_string(),
            }
        });
        said.collect::<Vec<_>>().join(", ")
    }

    /// Holds a table: candidates, destinations, and the order of those. The order in which they were
    /// given means nothing.
    fn hold(policy: &str, table: &[(&str, &str, &str)]) {
        for (candidates, destinations, expected) in table {
            let parts = with(candidates, policy);
            assert_eq!(ordered(&parts, destinations), *expected);
            let (a, b) = destinations.split_once(' ').unwrap();
            assert_eq!(ordered(&parts, &format!("{b} {a}")), *expected);
        }
    }

    /// RFC 6724 §10.2, but for the example of home addresses.
    #[test]
    fn the_examples_of_rfc_6724_section_10_2() {
        hold(
            AddressPolicy::DEFAULT,
            &[
                (
                    "2001:db8:1::2 fe80::1 169.254.13.78",
                    "2001:db8:1::1 198.51.100.121",
                    "2001:db8:1::1 from 2001:db8:1::2, 198.51.100.121 from 169.254.13.78",
                ),
                (
                    "fe80::1 198.51.100.117",
                    "2001:db8:1::1 198.51.100.121",
                    "198.51.100.121 from 198.51.100.117, 2001:db8:1::1 from fe80::1",
                ),
                (
                    "2001:db8:1::2 fe80::1 10.1.2.4",
                    "2001:db8:1::1 10.1.2.3",
                    "2001:db8:1::1 from 2001:db8:1::2, 10.1.2.3 from 10.1.2.4",
                ),
                (
                    "2001:db8:1::2 fe80::2",
                    "2001:db8:1::1 fe80::1",
                    "fe80::1 from fe80::2, 2001:db8:1::1 from 2001:db8:1::2",
                ),
                (
                    "2001:db8:1::2 fe80::2!",
                    "2001:db8:1::1 fe80::1",
                    "2001:db8:1::1 from 2001:db8:1::2, fe80::1 from fe80::2",
                ),
                (
                    "2001:db8:1::2 2001:db8:3f44::2 fe80::2",
                    "2001:db8:1::1 2001:db8:3ffe::1",
                    "2001:db8:1::1 from 2001:db8:1::2, 2001:db8:3ffe::1 from 2001:db8:3f44::2",
                ),
                (
                    "2002:c633:6401::2 fe80::2",
                    "2002:c633:6401::1 2001:db8:1::1",
                    "2002:c633:6401::1 from 2002:c633:6401::2, 2001:db8:1::1 from 2002:c633:6401::2",
                ),
                (
                    "2002:c633:6401::2 2001:db8:1::2 fe80::2",
                    "2002:c633:6401::1 2001:db8:1::1",
                    "2001:db8:1::1 from 2001:db8:1::2, 2002:c633:6401::1 from 2002:c633:6401::2",
                ),
            ],
        );
    }

    /// RFC 6724 §10.3: IPv4 is preferred.
    #[test]
    fn the_examples_of_rfc_6724_section_10_3() {
        hold(
            &AddressPolicy::DEFAULT.replace("::ffff:0:0/96 35", "::ffff:0:0/96 100"),
            &[
                (
                    "2001:db8::2 fe80::1 169.254.13.78",
                    "2001:db8::1 198.51.100.121",
                    "2001:db8::1 from 2001:db8::2, 198.51.100.121 from 169.254.13.78",
                ),
                (
                    "fe80::1 198.51.100.117",
                    "2001:db8::1 198.51.100.121",
                    "198.51.100.121 from 198.51.100.117, 2001:db8::1 from fe80::1",
                ),
                (
                    "2001:db8::2 fe80::1 10.1.2.4",
                    "2001:db8::1 10.1.2.3",
                    "10.1.2.3 from 10.1.2.4, 2001:db8::1 from 2001:db8::2",
                ),
            ],
        );
    }

    /// RFC 6724 §10.4: the link is not preferred.
    #[test]
    fn the_examples_of_rfc_6724_section_10_4() {
        hold(
            &format!("{}fe80::/10 33 1", AddressPolicy::DEFAULT),
            &[
                (
                    "2001:db8::2 fe80::2",
                    "2001:db8::1 fe80::1",
                    "2001:db8::1 from 2001:db8::2, fe80::1 from fe80::2",
                ),
                (
                    "2001:db8::2! fe80::2",
                    "2001:db8::1 fe80::1",
                    "fe80::1 from fe80::2, 2001:db8::1 from 2001:db8::2",
                ),
            ],
        );
    }

    const HERE: &str = "2001:db8:1aaa::a 2001:db8:70aa::a fe80::a";

    /// RFC 6724 §10.5: a site with two providers.
    #[test]
    fn the_examples_of_rfc_6724_section_10_5() {
        let to_b = "2001:db8:1bbb::b 2001:db8:70bb::b";
        let to_c = "2001:db8:1ccc::c 2001:db8:6ccc::c";
        hold(
            AddressPolicy::DEFAULT,
            &[
                (
                    HERE,
                    to_b,
                    "2001:db8:70bb::b from 2001:db8:70aa::a, 2001:db8:1bbb::b from 2001:db8:1aaa::a",
                ),
                (
                    HERE,
                    to_c,
                    "2001:db8:1ccc::c from 2001:db8:1aaa::a, 2001:db8:6ccc::c from 2001:db8:70aa::a",
                ),
            ],
        );
        hold(
            &format!(
                "{}2001:db8:1aaa::/48 43 6\n2001:db8:1bbb::/48 43 6",
                AddressPolicy::DEFAULT
            ),
            &[
                (
                    HERE,
                    to_b,
                    "2001:db8:1bbb::b from 2001:db8:1aaa::a, 2001:db8:70bb::b from 2001:db8:70aa::a",
                ),
                (
                    HERE,
                    to_c,
                    "2001:db8:6ccc::c from 2001:db8:70aa::a, 2001:db8:1ccc::c from 2001:db8:70aa::a",
                ),
            ],
        );
    }

    /// RFC 6724 §10.6: a network's own addresses are preferred within it alone.
    #[test]
    fn the_examples_of_rfc_6724_section_10_6() {
        let here = "2001:db8:1::1 fd11:1111:1111:1::1";
        let away = (
            here,
            "2001:db8:2::2 fd22:2222:2222:2::2",
            "2001:db8:2::2 from 2001:db8:1::1, fd22:2222:2222:2::2 from fd11:1111:1111:1::1",
        );
        hold(AddressPolicy::DEFAULT, &[away]);
        let within = (
            here,
            "2001:db8:2::2 fd11:1111:1111:2::2",
            "fd11:1111:1111:2::2 from fd11:1111:1111:1::1, 2001:db8:2::2 from 2001:db8:1::1",
        );
        let policy = format!("{}fd11:1111:1111::/48 45 14", AddressPolicy::DEFAULT);
        hold(&policy, &[away, within]);
    }

    /// RFC 6724 §6, rules 1, 9 and 10.
    #[test]
    fn what_can_not_be_reached_comes_last_and_the_rest_stays() {
        let parts = with("10.0.0.1 192.0.2.1", AddressPolicy::DEFAULT);
        let from = |to: &str| ordered(&parts, to);
        // No source of IPv6.
        assert_eq!(
            from("2001:db8::1 198.51.100.1"),
            "198.51.100.1 from 10.0.0.1, 2001:db8::1"
        );
        // Servers that take turns.
        for turn in [["203.0.113.1", "8.8.8.8"], ["8.8.8.8", "203.0.113.1"]] {
            let mut all = turn.map(|to| to.parse::<IpAddr>().unwrap());
            parts.inet.order_destinations(&mut all);
            assert_eq!(all.map(|to| to.to_string()), turn);
        }
        // But a neighbour is nearer.
        assert_eq!(
            from("203.0.113.1 192.0.2.9"),
            "192.0.2.9 from 192.0.2.1, 203.0.113.1 from 10.0.0.1"
        );
        let net: IpNet = "10.0.0.1/24".parse().unwrap();
        assert_eq!(super::common(net, "10.0.0.9".parse().unwrap()), 24);
    }
}
