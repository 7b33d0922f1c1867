//! How a node is made.

use crate::clock::ManualClock;
use crate::node::Node;
use crate::shard::Shard;
use ipnet::IpNet;
use sockeye_core::{Config, Observer};
use sockeye_link::Link;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// How a link is to be: its addresses and what is reached through it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkConfig {
    /// The node's addresses on it, each with the prefix length of its network.
    pub addresses: Vec<IpNet>,
    /// Default routers, at most one of each family.
    pub gateways: Vec<IpAddr>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// On an Ethernet, IPv6 addresses are used only after nobody objected for a second or two
    /// (RFC 4862 §5.4): yes.
    pub detect_duplicates: bool,
    /// It gets an IPv6 link-local address as well: yes.
    pub link_local: bool,
    /// On an Ethernet, IPv4 addresses are used only after nobody objected for some seconds, and given
    /// up where somebody else insists on them (RFC 5227): no, as on Linux.
    pub detect_conflicts: bool,
    /// It configures itself for IPv6 as the routers of the link tell: addresses, routers, routes, MTU,
    /// name servers (RFC 4861, 4862, 4191, 8106): no. `Config::ipv6` has the details.
    pub slaac: bool,
    /// It asks a DHCP server for an IPv4 address, routers, routes, MTU and name servers (RFC 2131):
    /// no. Only an Ethernet can.
    pub dhcp: bool,
    /// See [`dhcp_remembered`](Self::dhcp_remembered).
    pub dhcp_address: Option<Ipv4Addr>,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            gateways: Vec::new(),
            dns: Vec::new(),
            detect_duplicates: true,
            link_local: true,
            detect_conflicts: false,
            slaac: false,
            dhcp: false,
            dhcp_address: None,
        }
    }
}

impl LinkConfig {
    /// One without addresses.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more address.
    #[must_use]
    pub fn address(mut self, net: IpNet) -> Self {
        self.addresses.push(net);
        self
    }

    /// With a default router.
    #[must_use]
    pub fn gateway(mut self, router: IpAddr) -> Self {
        self.gateways.push(router);
        self
    }

    /// With one more name server.
    #[must_use]
    pub fn dns(mut self, server: IpAddr) -> Self {
        self.dns.push(server);
        self
    }

    /// With duplicate address detection or without.
    #[must_use]
    pub fn detect_duplicates(mut self, on: bool) -> Self {
        self.detect_duplicates = on;
        self
    }

    /// With detection of conflicts of IPv4 addresses, or without.
    #[must_use]
    pub fn detect_conflicts(mut self, on: bool) -> Self {
        self.detect_conflicts = on;
        self
    }

    /// With autoconfiguration for IPv6, or without. What routers tell comes later than the node:
    /// [`Node::is_configured`](crate::Node::is_configured) says when it is there.
    #[must_use]
    pub fn slaac(mut self, on: bool) -> Self {
        self.slaac = on;
        self
    }

    /// With a DHCP client for IPv4, or without; see [`slaac`](Self::slaac) for when it has a lease.
    #[must_use]
    pub fn dhcp(mut self, on: bool) -> Self {
        self.dhcp = on;
        self
    }

    /// With the address that its DHCP client had in a former life, which is asked for first.
    #[must_use]
    pub fn dhcp_remembered(mut self, address: Ipv4Addr) -> Self {
        self.dhcp_address = Some(address);
        self
    }
}

/// Makes a [`Node`].
#[must_use = "a builder does nothing until `build`"]
pub struct NodeBuilder {
    config: Config,
    seed: Option<[u8; 32]>,
    links: Vec<(String, Box<dyn Link>, LinkConfig)>,
    dns: Vec<IpAddr>,
    background: bool,
    clock: Option<ManualClock>,
    observer: Option<Box<dyn Observer>>,
}

impl NodeBuilder {
    pub(crate) fn new() -> Self {
        Self {
            config: Config::default(),
            seed: None,
            links: Vec::new(),
            dns: Vec::new(),
            background: true,
            clock: None,
            observer: None,
        }
    }

    /// Its settings.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// What all its chance comes from: initial sequence numbers, ports, hash keys. Without it the
    /// operating system is asked, as it should be wherever a peer is not trusted.
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Plugs in a link under the name of an interface.
    pub fn link(mut self, name: &str, link: Box<dyn Link>, config: LinkConfig) -> Self {
        self.links.push((name.to_owned(), link, config));
        self
    }

    /// Adds a name server, asked before those of the links.
    pub fn dns(mut self, server: IpAddr) -> Self {
        self.dns.push(server);
        self
    }

    /// Whether the background thread may drive the node while no call does: yes. Without it the
    /// node moves only inside calls on it, or on a node at the other end of a memory link.
    pub fn background(mut self, on: bool) -> Self {
        self.background = on;
        self
    }

    /// Goes by a clock that the program moves itself, for tests whose outcome is the same in every
    /// run. The node then moves only inside calls on it and when the clock does: no background
    /// thread and no runtime's task drives it.
    pub fn clock(mut self, clock: ManualClock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Tells `observer` what happens inside.
    pub fn observer(mut self, observer: Box<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Makes the node.
    ///
    /// # Errors
    /// The operating system gave no randomness; an address or a router that the node can't have
    /// (EINVAL), two of one (EADDRINUSE); DHCP on a link that is no Ethernet (EOPNOTSUPP); a link's descriptor could not be duplicated.
    pub fn build(self) -> io::Result<Node> {
        let seed = match self.seed {
            Some(seed) => seed,
            None => os_seed()?,
        };
        let mut node = sockeye_node::Node::new(self.config, seed);
        if let Some(observer) = self.observer {
            node.set_observer(observer);
        }
        let shard = Shard::new(node, self.background, self.clock);
        let node = Node::over(shard, self.dns);
        for (name, link, config) in self.links {
            node.add_link(&name, link, config)?;
        }
        Ok(node)
    }
}

impl std::fmt::Debug for NodeBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeBuilder").finish_non_exhaustive()
    }
}

fn os_seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    let mut filled = 0;
    while filled < seed.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        filled += rustix::rand::getrandom(&mut seed[filled..], flags)?;
    }
    Ok(seed)
}
