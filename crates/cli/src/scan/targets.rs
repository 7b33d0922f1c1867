//! Which hosts are scanned.

use crate::node;
use anyhow::{Result, bail};
use ipnet::IpNet;
use sockeye::Node;
use std::net::IpAddr;

/// Addresses that one command scans.
const HOSTS_MAX: usize = 65_536;

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) address: IpAddr,
    /// The name that it was called by.
    pub(super) name: Option<String>,
}

/// What `texts` name: addresses, networks (all their hosts) and names. Says whether there was a
/// network among them.
pub(super) fn resolve(node: &Node, texts: &[String]) -> Result<(Vec<Target>, bool)> {
    let mut targets: Vec<Target> = Vec::new();
    let mut networks = false;
    for text in texts {
        if let Ok(net) = text.parse::<IpNet>() {
            networks = true;
            let hosts = net.hosts().map(|address| Target {
                address,
                name: None,
            });
            targets.extend(hosts.take(HOSTS_MAX + 1));
        } else {
            let address = node::resolve_one(node, text)?;
            let named = text.parse::<IpAddr>().is_err();
            targets.push(Target {
                address,
                name: named.then(|| text.clone()),
            });
        }
        if targets.len() > HOSTS_MAX {
            bail!("'{text}' makes it more than {HOSTS_MAX} hosts");
        }
    }
    if targets.iter().any(|target| target.address.is_ipv6()) {
        node::await_addresses(node)?;
    }
    Ok((targets, networks))
}
