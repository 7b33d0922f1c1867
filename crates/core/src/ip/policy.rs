//! The policy table of address selection (RFC 6724 §2.1): `ip addrlabel` and gai.conf(5) in one.

use ipnet::Ipv6Net;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Rows of a table; more are refused.
pub const POLICY_ROWS_MAX: usize = 256;

/// Which labels addresses have, by which sources and destinations find each other, and which
/// precedence among destinations. Read from text, a row a line, as the RFC prints it:
///
/// ```
/// # use sockeye_core::AddressPolicy;
/// // RFC 6724 §10.3: IPv4 comes first.
/// let mut rows = AddressPolicy::DEFAULT.replace("::ffff:0:0/96 35", "::ffff:0:0/96 100");
/// rows.push_str("fd11:1111:1111::/48 45 14 # our own network\n");
/// let policy: AddressPolicy = rows.parse().unwrap();
/// assert_ne!(policy, AddressPolicy::default());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressPolicy {
    /// Long prefixes first.
    rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    prefix: Ipv6Net,
    precedence: u8,
    label: u8,
}

/// Text that is no policy table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A row is not a prefix, a precedence and a label.
    #[error("{0:?} is no row of a policy table: PREFIX PRECEDENCE LABEL is, as in ::/0 40 1")]
    Row(String),
    /// There are too many rows.
    #[error("a policy table has no more than {POLICY_ROWS_MAX} rows")]
    TooMany,
}

impl AddressPolicy {
    /// The table of RFC 6724 §2.1.
    pub const DEFAULT: &str = "\
::1/128 50 0
::/0 40 1
::ffff:0:0/96 35 4
2002::/16 30 2
2001::/32 5 5
fc00::/7 3 13
::/96 1 3
fec0::/10 1 11
3ffe::/16 1 12
";

    /// The label of `address`, one of IPv4 in its mapped form (RFC 6724 §6).
    pub(crate) fn label(&self, address: IpAddr) -> u8 {
        self.row(address).map_or(u8::MAX, |row| row.label)
    }

    /// The precedence of `address`, larger is better.
    pub(crate) fn precedence(&self, address: IpAddr) -> u8 {
        self.row(address).map_or(0, |row| row.precedence)
    }

    /// RFC 6724 §2.1: the row with the longest prefix that matches.
    fn row(&self, address: IpAddr) -> Option<&Row> {
        let address = as_v6(address);
        self.rows.iter().find(|row| row.prefix.contains(&address))
    }
}

impl Default for AddressPolicy {
    fn default() -> Self {
        Self::DEFAULT.parse().expect("the RFC's own table")
    }
}

impl FromStr for AddressPolicy {
    type Err = PolicyError;

    /// Empty lines, and what is behind a `#`, say nothing.
    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let lines = text.lines().map(|line| {
            let (said, _) = line.split_once('#').unwrap_or((line, ""));
            said.trim()
        });
        let mut rows = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            if rows.len() == POLICY_ROWS_MAX {
                return Err(PolicyError::TooMany);
            }
            rows.push(row(line).ok_or_else(|| PolicyError::Row(line.to_owned()))?);
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.prefix.prefix_len()));
        Ok(Self { rows })
    }
}

fn row(line: &str) -> Option<Row> {
    let mut words = line.split_whitespace();
    let row = Row {
        prefix: words.next()?.parse().ok()?,
        precedence: words.next()?.parse().ok()?,
        label: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some(row)
}

fn as_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6724 §2.1.
    #[test]
    fn the_longest_prefix_counts() {
        let policy = AddressPolicy::default();
        for (address, precedence, label) in [
            ("::1", 50, 0),
            ("2001:db8::1", 40, 1),
            ("192.0.2.1", 35, 4),
            ("::ffff:192.0.2.1", 35, 4),
            ("2002:c633:6401::1", 30, 2),
            ("2001::1", 5, 5),
            ("fd00::1", 3, 13),
            ("::192.0.2.1", 1, 3),
            ("fec0::1", 1, 11),
            ("3ffe::1", 1, 12),
            ("fe80::1", 40, 1),
        ] {
            let address = address.parse().unwrap();
            let found = (policy.precedence(address), policy.label(address));
            assert_eq!(found, (precedence, label), "{address}");
        }
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for wrong in [
            "::/0",
            "::/0 40",
            "::/0 40 1 2",
            "10.0.0.0/8 40 1",
            "::/0 256 1",
        ] {
            let error = wrong.parse::<AddressPolicy>().unwrap_err();
            assert_eq!(error, PolicyError::Row(wrong.into()));
        }
        let long = "::/0 40 1\n".repeat(POLICY_ROWS_MAX + 1);
        assert_eq!(long.parse::<AddressPolicy>(), Err(PolicyError::TooMany));
        let commented = "# nothing\n\n ::/0 40 1 # all\n";
        assert_eq!(commented.parse(), "::/0 40 1".parse::<AddressPolicy>());
        // Without rows all are alike.
        let none: AddressPolicy = "".parse().unwrap();
        assert_eq!(none.label("::1".parse().unwrap()), u8::MAX);
    }
}
