//! How interfaces configure themselves for IPv6: Linux's `net.ipv6.conf.default`.

use core::time::Duration;
use std::net::Ipv6Addr;

/// Settings of `net.ipv6.conf.default`, for all interfaces of a node, with Linux's defaults but
/// where it says otherwise. What concerns router advertisements and addresses made of them holds
/// only where an interface configures itself ([`InterfaceConfig::slaac`](crate::InterfaceConfig)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipv6Config {
    /// `accept_ra`: router advertisements are heeded: on.
    pub accept_ra: bool,
    /// `accept_ra_defrtr`: routers become default routers: on.
    pub accept_ra_defrtr: bool,
    /// `accept_ra_min_hop_limit`: smaller hop limits of routers are ignored: 1.
    pub accept_ra_min_hop_limit: u8,
    /// `accept_ra_mtu`: the MTU that a router advertises is taken: on.
    pub accept_ra_mtu: bool,
    /// `accept_ra_pinfo`: prefixes are taken: on.
    pub accept_ra_pinfo: bool,
    /// `accept_ra_rt_info_max_plen`: routes of longer prefixes are ignored. 64; Linux says 0, and
    /// leaves the others to a network manager.
    pub accept_ra_rt_info_max_plen: u8,
    /// `accept_ra_rtr_pref`: the preference of a router counts (RFC 4191): on.
    pub accept_ra_rtr_pref: bool,
    /// `accept_redirects`: on.
    pub accept_redirects: bool,
    /// `addr_gen_mode`: how interface identifiers are made. 2, stable and opaque (RFC 7217), also
    /// without a `stable_secret`: then by a secret of the node. Linux says 0.
    pub addr_gen_mode: AddrGenMode,
    /// `autoconf`: prefixes become addresses: on.
    pub autoconf: bool,
    /// `dad_transmits`: probes before an address is used (RFC 4862 §5.1): 1.
    pub dad_transmits: u8,
    /// `max_addresses`: IPv6 addresses of an interface beyond which none is made of a prefix: 16.
    pub max_addresses: usize,
    /// `max_desync_factor`: by how much temporary addresses may be deprecated earlier: 600 s.
    pub max_desync_factor: Duration,
    /// `regen_max_retry`: times that a temporary address is made anew as it is in use: 3.
    pub regen_max_retry: u8,
    /// `router_probe_interval`: after which a router that did not answer is tried again: 60 s.
    pub router_probe_interval: Duration,
    /// `router_solicitation_delay`: the longest wait before the first solicitation: 1 s.
    pub router_solicitation_delay: Duration,
    /// `router_solicitation_interval`: until the second one (RFC 7559): 4 s.
    pub router_solicitation_interval: Duration,
    /// `router_solicitation_max_interval`: between two in the end: 3600 s.
    pub router_solicitation_max_interval: Duration,
    /// `router_solicitations`: how many, or -1 for no end: -1.
    pub router_solicitations: i32,
    /// `stable_secret`: what identifiers are made with, so that they are the same in each run.
    pub stable_secret: Option<Ipv6Addr>,
    /// `temp_prefered_lft`: how long a temporary address is preferred: a day.
    pub temp_prefered_lft: Duration,
    /// `temp_valid_lft`: how long it is valid: two days (RFC 8981 §3.8; Linux before 6.5: seven).
    pub temp_valid_lft: Duration,
    /// `use_tempaddr` (RFC 8981): 0 no temporary addresses, 1 they are made, 2 and preferred: 0.
    pub use_tempaddr: u8,
}

/// How interface identifiers are made (`addr_gen_mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddrGenMode {
    /// 0: of the Ethernet address (RFC 4291, appendix A), where there is one.
    Eui64,
    /// 1: no link-local address is made; the others as by 0.
    NoLinkLocal,
    /// 2: stable and opaque (RFC 7217).
    #[default]
    StablePrivacy,
    /// 3: as 2, by a secret of this run.
    Random,
}

impl Default for Ipv6Config {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self {
            accept_ra: true,
            accept_ra_defrtr: true,
            accept_ra_min_hop_limit: 1,
            accept_ra_mtu: true,
            accept_ra_pinfo: true,
            accept_ra_rt_info_max_plen: 64,
            accept_ra_rtr_pref: true,
            accept_redirects: true,
            addr_gen_mode: AddrGenMode::StablePrivacy,
            autoconf: true,
            dad_transmits: 1,
            max_addresses: 16,
            max_desync_factor: Duration::from_secs(600),
            regen_max_retry: 3,
            router_probe_interval: Duration::from_secs(60),
            router_solicitation_delay: Duration::from_secs(1),
            router_solicitation_interval: Duration::from_secs(4),
            router_solicitation_max_interval: Duration::from_secs(3600),
            router_solicitations: -1,
            stable_secret: None,
            temp_prefered_lft: DAY,
            temp_valid_lft: 2 * DAY,
            use_tempaddr: 0,
        }
    }
}
