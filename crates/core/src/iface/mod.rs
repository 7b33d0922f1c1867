//! Interfaces: a link's medium, its addresses, its neighbours, and the queue of packets to it.
//!
//! A frame comes in by [`receive`]; an IP packet goes out by `output`, which asks `resolve` for
//! the neighbour on an Ethernet. `neighbour` is the state machine, `arp` and `nd` its two
//! languages, `dad` keeps our own addresses unique.

mod acd;
mod address;
mod arp;
pub(crate) mod autoconf;
pub(crate) mod dad;
mod group;
pub(crate) mod nd;
mod neighbour;
mod receive;
mod resolve;
mod transmit;

pub use address::{Address, AddressOrigin, AddressState, Lifetime};
pub use autoconf::{
    LearntRoute, NAME_SERVERS_MAX, NameServer, OnLinkPrefix, PREFIXES_MAX, ROUTERS_MAX, ROUTES_MAX,
    Router,
};
pub(crate) use group::follow_address;
pub use neighbour::{NEIGHBOUR_QUEUE_BYTES, NEIGHBOUR_QUEUE_LIMIT, Neighbour, NeighbourState};
pub use receive::{receive, receive_own};
pub use resolve::on_timeout;
pub(crate) use resolve::settle;
pub(crate) use transmit::output;

use crate::config::{InterfaceSettings, Interfaces};
use crate::multicast::Groups;
use crate::{
    Batch, Capabilities, Checksum, Config, Inet, InterfaceId, Ipv6Config, Medium, Offload, Packet,
    Rng, TimerSlot,
};
use ipnet::IpNet;
use sockeye_link::GsoKinds;
use sockeye_link::offload::{self, Gro};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Packets that an interface's queue holds (Linux: `txqueuelen`).
pub const TX_QUEUE_LIMIT: usize = 1000;
/// The loopback's MTU, as in Linux.
pub const LOOPBACK_MTU: u32 = 65_536;
/// The largest packet that both families know.
const IP_LEN_MAX: u32 = 65_535;
/// The addresses that every node has.
pub(crate) const LOOPBACK_ADDRESSES: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// How an interface is to be.
#[derive(Clone, Debug)]
pub struct InterfaceConfig {
    /// Its name, for people and SO_BINDTODEVICE.
    pub name: String,
    /// What its link can do.
    pub capabilities: Capabilities,
    /// Its addresses, each with the prefix length of its network.
    pub addresses: Vec<IpNet>,
    /// It gets an IPv6 link-local address as well (RFC 4291 §2.8, RFC 7217): yes.
    pub link_local: bool,
    /// On an Ethernet, its IPv6 addresses are used only after nobody objected for a second or two
    /// (RFC 4862 §5.4): yes.
    pub detect_duplicates: bool,
    /// On an Ethernet, its IPv4 addresses are used only after nobody objected for some seconds, and
    /// given up where somebody insists on having them (RFC 5227): no, as in Linux.
    pub detect_conflicts: bool,
    /// It configures itself as routers tell (RFC 4861 §6.3, RFC 4862 §5.5), within
    /// [`Config::ipv6`](crate::Config::ipv6): no.
    pub slaac: bool,
}

impl InterfaceConfig {
    /// An interface without addresses.
    #[must_use]
    pub fn new(name: impl Into<String>, capabilities: Capabilities) -> Self {
        Self {
            name: name.into(),
            capabilities,
            addresses: Vec::new(),
            link_local: true,
            detect_duplicates: true,
            detect_conflicts: false,
            slaac: false,
        }
    }

    /// With one more address.
    #[must_use]
    pub fn with_address(mut self, net: IpNet) -> Self {
        self.addresses.push(net);
        self
    }
}

/// Packets and bytes that went through an interface, as `ip -s link` shows them. Bytes are those
/// of the link's frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets received.
    pub rx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets that did not fit the queue.
    pub tx_dropped: u64,
}

/// An interface of a node.
#[derive(Debug)]
pub struct Interface {
    name: String,
    capabilities: Capabilities,
    /// What a server says of IPv4 packets (RFC 2132 §5.1).
    mtu_v4: Option<u32>,
    up: bool,
    addresses: Vec<Address>,
    groups: Groups,
    neighbours: neighbour::Neighbours,
    /// Armed for what is due first of neighbours, duplicate address detection and groups.
    timer: TimerSlot,
    gro: Gro,
    detect_duplicates: bool,
    detect_conflicts: bool,
    autoconf: autoconf::Autoconf,
    /// What [`Config::interfaces`](crate::Config::interfaces) says of it.
    settings: InterfaceSettings,
    tx: Batch,
    traffic: Traffic,
}

/// How `interface` configures itself for IPv6: by its name, or as all others.
pub(crate) fn ipv6_settings<'a>(
    config: &'a Config,
    inet: &Inet,
    interface: InterfaceId,
) -> &'a Ipv6Config {
    match inet.interface(interface) {
        Some(link) => config.ipv6_of(link.name()),
        None => &config.ipv6,
    }
}

impl Interface {
    pub(crate) fn new(config: InterfaceConfig, rng: &mut Rng) -> Self {
        let InterfaceConfig {
            name,
            capabilities,
            addresses: _,
            link_local: _,
            detect_duplicates,
            detect_conflicts,
            slaac,
        } = config;
        Self {
            name,
            capabilities,
            mtu_v4: None,
            up: true,
            addresses: Vec::new(),
            groups: Groups::default(),
            neighbours: neighbour::Neighbours::new(rng),
            timer: TimerSlot::default(),
            gro: Gro::default(),
            detect_duplicates,
            detect_conflicts,
            autoconf: autoconf::Autoconf::new(slaac),
            settings: InterfaceSettings::default(),
            tx: Batch::new(),
            traffic: Traffic::default(),
        }
    }

    pub(crate) fn loopback(rng: &mut Rng) -> Self {
        let config = InterfaceConfig::new(
            "lo",
            Capabilities {
                medium: Medium::Ip,
                mtu: LOOPBACK_MTU,
                tx_checksum: true,
                gso: GsoKinds::ALL,
                gso_max: IP_LEN_MAX,
                queues: 1,
            },
        );
        let mut lo = Self::new(config, rng);
        let [v4, v6] = LOOPBACK_ADDRESSES;
        for (address, prefix_len) in [(v4, 8), (v6, 128)] {
            let net = IpNet::new(address, prefix_len).expect("the prefix fits its family");
            lo.addresses.push(Address::preferred(net));
        }
        lo
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is set for it.
    #[must_use]
    pub fn settings(&self) -> &InterfaceSettings {
        &self.settings
    }

    /// What its link can do.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Bytes of the largest IP packet.
    #[must_use]
    pub fn mtu(&self) -> u32 {
        self.capabilities.mtu
    }

    /// Bytes of the largest packet of `destination`'s family: what the link takes, or less where a
    /// router or a server said so.
    #[must_use]
    pub fn mtu_for(&self, destination: IpAddr) -> u32 {
        let learnt = match destination {
            IpAddr::V4(_) => self.mtu_v4,
            IpAddr::V6(_) => self.autoconf.mtu(),
        };
        self.mtu().min(learnt.unwrap_or(u32::MAX))
    }

    /// Whether packets go through it.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Its addresses, in the order they came.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Its neighbours on an Ethernet.
    pub fn neighbours(&self) -> impl Iterator<Item = Neighbour> {
        self.neighbours.iter()
    }

    /// Whether new IPv6 addresses are checked for being in use already.
    #[must_use]
    pub fn detects_duplicates(&self) -> bool {
        self.detect_duplicates && matches!(self.capabilities.medium, Medium::Ethernet(_))
    }

    /// Whether new IPv4 addresses are checked, and all defended (RFC 5227).
    #[must_use]
    pub fn detects_conflicts(&self) -> bool {
        self.detect_conflicts && matches!(self.capabilities.medium, Medium::Ethernet(_))
    }

    /// What went through it.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Packets that its queue still takes.
    #[must_use]
    pub fn tx_room(&self) -> usize {
        TX_QUEUE_LIMIT.saturating_sub(self.tx.len())
    }

    /// What may be left to it. It is everything: what the link can't do is done in software when a
    /// packet leaves the queue, once for a whole super-segment.
    #[must_use]
    pub fn offload(&self) -> Offload {
        let whole = self.capabilities.gso != GsoKinds::NONE && self.capabilities.gso_max > 0;
        Offload {
            gso: GsoKinds::ALL,
            gso_max: if whole {
                self.capabilities.gso_max.min(IP_LEN_MAX)
            } else {
                IP_LEN_MAX
            },
            tx_checksum: true,
        }
    }

    /// Whether it has `address`, and not only tentatively.
    #[must_use]
    pub fn has_address(&self, address: IpAddr) -> bool {
        self.addresses
            .iter()
            .any(|a| a.net.addr() == address && a.is_usable())
    }

    /// Whether `address` is the broadcast address of one of its networks.
    ///
    /// RFC 3021 §2.1: networks of 31 bits have none.
    #[must_use]
    pub fn is_subnet_broadcast(&self, address: Ipv4Addr) -> bool {
        self.addresses.iter().any(|a| match a.net {
            IpNet::V4(net) => net.prefix_len() <= 30 && net.broadcast() == address,
            IpNet::V6(_) => false,
        })
    }

    pub(crate) fn groups(&self) -> &Groups {
        &self.groups
    }

    pub(crate) fn groups_mut(&mut self) -> &mut Groups {
        &mut self.groups
    }

    pub(crate) fn timer_mut(&mut self) -> &mut TimerSlot {
        &mut self.timer
    }

    pub(crate) fn configure(&mut self, settings: &Interfaces) {
        self.settings = settings.effective(&self.name);
    }

    pub(crate) fn set_up(&mut self, up: bool) {
        self.up = up;
        if !up {
            self.tx.clear();
            self.neighbours.clear();
            self.groups.cancel();
        }
    }

    pub(crate) fn set_capabilities(&mut self, capabilities: Capabilities) {
        self.capabilities = capabilities;
    }

    pub(crate) fn add_address(&mut self, address: Address) -> bool {
        let given = address.net.addr();
        if self.addresses.iter().any(|a| a.net.addr() == given) {
            return false;
        }
        self.addresses.push(address);
        true
    }

    /// Whether `network` is on the link, by an address of it or by a router's word.
    pub(crate) fn is_connected(&self, network: IpNet) -> bool {
        let by_address = |a: &Address| a.connected && a.net.trunc() == network;
        self.addresses.iter().any(by_address) || self.autoconf.has_prefix(network)
    }

    pub(crate) fn set_mtu_v4(&mut self, mtu: Option<u32>) {
        self.mtu_v4 = mtu;
    }

    pub(crate) fn deprecate(&mut self, address: IpAddr, deprecated: bool) -> bool {
        let mut addresses = self.addresses.iter_mut();
        let Some(own) = addresses.find(|a| a.net.addr() == address && a.is_usable()) else {
            return false;
        };
        own.state = if deprecated {
            AddressState::Deprecated
        } else {
            AddressState::Preferred
        };
        true
    }

    /// The address is a temporary one (RFC 8981).
    #[cfg(test)]
    pub(crate) fn set_temporary(&mut self, address: IpAddr) {
        let mut addresses = self.addresses.iter_mut();
        if let Some(own) = addresses.find(|a| a.net.addr() == address) {
            own.origin = AddressOrigin::Temporary;
        }
    }

    pub(crate) fn remove_address(&mut self, address: IpAddr) -> Option<Address> {
        let at = self
            .addresses
            .iter()
            .position(|a| a.net.addr() == address)?;
        Some(self.addresses.remove(at))
    }

    /// Puts a frame into the queue; false when it is full.
    pub(crate) fn enqueue(&mut self, frame: Packet) -> bool {
        if self.tx.len() >= TX_QUEUE_LIMIT {
            self.traffic.tx_dropped += 1;
            return false;
        }
        self.traffic.tx_packets += 1;
        self.traffic.tx_bytes = self.traffic.tx_bytes.wrapping_add(frame.len() as u64);
        self.tx.push_back(frame);
        true
    }

    pub(crate) fn count_received(&mut self, frame: &Packet) {
        self.traffic.rx_packets += 1;
        self.traffic.rx_bytes = self.traffic.rx_bytes.wrapping_add(frame.len() as u64);
    }

    pub(crate) fn poll_transmit(&mut self, batch: &mut Batch, budget: usize) -> bool {
        let n = budget.min(self.tx.len());
        let Self {
            tx,
            capabilities,
            traffic,
            ..
        } = self;
        for frame in tx.drain(..n) {
            let summed = !matches!(frame.meta.checksum, Checksum::Partial { .. });
            if frame.meta.gso.is_none() && (summed || capabilities.tx_checksum) {
                batch.push_back(frame);
            } else if offload::fit(frame, capabilities, batch).is_err() {
                // A transport of ours described its packet wrongly.
                traffic.tx_dropped += 1;
            }
        }
        !tx.is_empty()
    }

    /// Merges received segments, where the link does not do it.
    pub(crate) fn coalesce(&mut self, batch: &mut Batch) {
        let GsoKinds { tcp_v4, tcp_v6, .. } = self.capabilities.gso;
        if !(tcp_v4 && tcp_v6) {
            self.gro.coalesce(batch, self.capabilities.medium);
        }
    }

    pub(crate) fn queued(&self) -> usize {
        self.tx.len()
    }
}
