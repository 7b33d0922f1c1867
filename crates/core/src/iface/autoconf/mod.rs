//! How an interface configures itself for IPv6: what routers tell (RFC 4861 §6.3) and the addresses
//! made of it (RFC 4862 §5.5).
//!
//! - [`routers`]: default routers and their preference, prefixes of the link, routes (RFC 4191), name
//!   servers (RFC 8106), and the rest of an advertisement.
//! - [`advertisers`]: who gave which prefix, for the choice of sources.
//! - [`addresses`]: an address for each prefix, its lifetimes and their end.
//! - [`temporary`]: the temporary ones (RFC 8981).
//! - [`solicit`]: asking for advertisements (RFC 7559).
//!
//! Every table has a limit; who floods a link with advertisements fills them, and what is in them
//! stays.

mod addresses;
mod advertisers;
mod routers;
mod solicit;
pub(super) mod temporary;

pub use routers::{
    LearntRoute, NAME_SERVERS_MAX, NameServer, OnLinkPrefix, PREFIXES_MAX, ROUTERS_MAX, ROUTES_MAX,
    Router,
};
pub(super) use routers::{neighbour_answers, neighbour_failed, no_router};

use super::{Interface, Lifetime, nd, resolve};
use crate::iface::ipv6_settings;
use crate::{Context, Counter, Instant, InterfaceId, MacAddr};
use advertisers::Advertiser;
use core::time::Duration;
use ipnet::{IpNet, Ipv6Net};
use sockeye_wire::ndp::RouterAdvertisement;
use sockeye_wire::ndp_options::{NdpOption, Options};
use std::net::{IpAddr, Ipv6Addr};

/// RFC 4861 §6.3.4, RFC 8200 §5: a smaller MTU is ignored.
const MTU_MIN: u32 = sockeye_wire::ipv6::MTU_MIN as u32;

/// What an interface has learnt from routers.
#[derive(Debug)]
pub(crate) struct Autoconf {
    /// The interface configures itself.
    on: bool,
    routers: Vec<Router>,
    prefixes: Vec<OnLinkPrefix>,
    routes: Vec<LearntRoute>,
    /// Who advertises which prefixes.
    advertisers: Vec<Advertiser>,
    name_servers: Vec<NameServer>,
    hop_limit: Option<u8>,
    mtu: Option<u32>,
    solicitation: Option<solicit::Solicitation>,
    /// Prefixes for which no unique temporary address was found (RFC 8981 §3.4, step 7).
    given_up: Vec<Ipv6Net>,
    /// `use_tempaddr`: temporary addresses are chosen before others, or after them.
    prefer_temporary: bool,
    /// When anything here is due.
    next: Instant,
}

impl Autoconf {
    pub(super) fn new(on: bool) -> Self {
        Self {
            on,
            routers: Vec::new(),
            prefixes: Vec::new(),
            routes: Vec::new(),
            advertisers: Vec::new(),
            name_servers: Vec::new(),
            hop_limit: None,
            mtu: None,
            solicitation: None,
            given_up: Vec::new(),
            prefer_temporary: false,
            next: Instant::FAR,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        (self.next != Instant::FAR).then_some(self.next)
    }

    pub(super) fn mtu(&self) -> Option<u32> {
        self.mtu
    }

    pub(super) fn has_prefix(&self, network: IpNet) -> bool {
        let mut prefixes = self.prefixes.iter();
        prefixes.any(|known| IpNet::V6(known.prefix) == network)
    }
}

/// What routers told, for those who ask.
impl Interface {
    /// Whether it configures itself as routers tell.
    #[must_use]
    pub fn is_autoconfigured(&self) -> bool {
        self.autoconf.on
    }

    /// The default routers that advertise themselves.
    #[must_use]
    pub fn routers(&self) -> &[Router] {
        &self.autoconf.routers
    }

    /// The prefixes that routers say are on the link.
    #[must_use]
    pub fn prefixes(&self) -> &[OnLinkPrefix] {
        &self.autoconf.prefixes
    }

    /// The routes that routers advertise beside the default.
    #[must_use]
    pub fn learnt_routes(&self) -> &[LearntRoute] {
        &self.autoconf.routes
    }

    /// Whether `router` advertises `prefix`; `None` when nobody does.
    pub(crate) fn is_advertised_by(&self, prefix: Ipv6Net, router: Ipv6Addr) -> Option<bool> {
        advertisers::is_by(&self.autoconf.advertisers, prefix, router)
    }

    /// The name servers that routers advertise.
    #[must_use]
    pub fn name_servers(&self) -> &[NameServer] {
        &self.autoconf.name_servers
    }

    /// The hop limit that a router advertised for what this link's hosts send.
    #[must_use]
    pub fn advertised_hop_limit(&self) -> Option<u8> {
        self.autoconf.hop_limit
    }

    /// Whether temporary addresses come first (RFC 6724 §5, rule 7).
    pub(crate) fn prefers_temporary(&self) -> bool {
        self.autoconf.prefer_temporary
    }
}

/// The interface is there, or up again: routers are to be asked.
pub(crate) fn start(cx: &mut Context<'_>, interface: InterfaceId) {
    solicit::start(cx, interface, true);
    rearm(cx, interface);
}

/// The interface has its link-local address: now routers can be asked.
pub(super) fn link_local_ready(cx: &mut Context<'_>, interface: InterfaceId) {
    // RFC 4861 §6.3.7: the detection of duplicates has waited already.
    solicit::start(cx, interface, false);
    rearm(cx, interface);
}

/// The interface is down: what it learnt may hold no longer when it is up again.
pub(crate) fn stop(cx: &mut Context<'_>, interface: InterfaceId) {
    routers::forget_all(cx, interface);
    addresses::forget_all(cx, interface);
    if let Some(link) = cx.inet.interface_mut(interface) {
        link.autoconf = Autoconf::new(link.autoconf.on);
    }
    rearm(cx, interface);
}

/// Says until when an address is good; false when there is none.
pub(crate) fn set_lifetime(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    address: IpAddr,
    lifetime: Lifetime,
) -> bool {
    let found = addresses::set_lifetime(cx, interface, address, lifetime);
    rearm(cx, interface);
    found
}

/// A router advertises itself (RFC 4861 §6.3.4).
pub(super) fn advertised(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    router: Ipv6Addr,
    mac: Option<MacAddr>,
    advertisement: RouterAdvertisement,
    options: Options<'_>,
) {
    cx.counters.add(Counter::Icmp6InRouterAdvertisements);
    let Some(link) = cx.inet.interface(interface) else {
        return;
    };
    if !link.autoconf.on || !ipv6_settings(cx.config, cx.inet, interface).accept_ra {
        return;
    }
    if let Some(mac) = mac {
        nd::heard_of(cx, interface, IpAddr::V6(router), mac, true);
    }
    let RouterAdvertisement {
        preference,
        router_lifetime,
        ..
    } = advertisement;
    if ipv6_settings(cx.config, cx.inet, interface).accept_ra_defrtr {
        let lifetime = u32::from(router_lifetime);
        routers::heard(cx, interface, router, lifetime, preference);
        // RFC 7559 §2.1: a router that is no default router ends nothing.
        if lifetime > 0
            && let Some(link) = cx.inet.interface_mut(interface)
        {
            link.autoconf.solicitation = None;
        }
    }
    parameters(cx, interface, &advertisement);
    for option in options {
        take(cx, interface, router, option);
    }
    rearm(cx, interface);
}

/// The fixed part: 0 says nothing (RFC 4861 §6.3.4).
fn parameters(cx: &mut Context<'_>, interface: InterfaceId, advertisement: &RouterAdvertisement) {
    let least = ipv6_settings(cx.config, cx.inet, interface).accept_ra_min_hop_limit;
    let Some(link) = cx.inet.interface_mut(interface) else {
        return;
    };
    let RouterAdvertisement {
        cur_hop_limit,
        reachable_time,
        retrans_timer,
        ..
    } = *advertisement;
    if cur_hop_limit != 0 && cur_hop_limit >= least {
        link.autoconf.hop_limit = Some(cur_hop_limit);
    }
    link.neighbours
        .set_timing(cx.now, cx.rng, reachable_time, retrans_timer);
}

fn take(cx: &mut Context<'_>, interface: InterfaceId, router: Ipv6Addr, option: NdpOption<'_>) {
    let settings = ipv6_settings(cx.config, cx.inet, interface);
    match option {
        NdpOption::PrefixInformation(info) if settings.accept_ra_pinfo => {
            // RFC 4861 §6.3.4: the two uses of a prefix do not depend on one another.
            if info.on_link {
                routers::on_link(cx, interface, &info);
            }
            if info.autonomous && ipv6_settings(cx.config, cx.inet, interface).autoconf {
                advertisers::heard(cx, interface, router, &info);
                addresses::autonomous(cx, interface, &info);
            }
        }
        NdpOption::Mtu(mtu) if settings.accept_ra_mtu => set_mtu(cx, interface, mtu),
        NdpOption::RouteInformation(route) => routers::route(cx, interface, router, &route),
        NdpOption::RecursiveDnsServers { lifetime, servers } => {
            for octets in servers {
                routers::name_server(cx, interface, Ipv6Addr::from(*octets), lifetime);
            }
        }
        _ => {}
    }
}

/// RFC 4861 §6.3.4: no less than every link carries, no more than this one does.
fn set_mtu(cx: &mut Context<'_>, interface: InterfaceId, mtu: u32) {
    let Some(link) = cx.inet.interface_mut(interface) else {
        return;
    };
    if (MTU_MIN..=link.mtu()).contains(&mtu) && link.autoconf.mtu != Some(mtu) {
        link.autoconf.mtu = Some(mtu);
        cx.inet.routes_changed();
    }
}

/// What is due of all this.
pub(super) fn on_timeout(cx: &mut Context<'_>, interface: InterfaceId) {
    let due = cx.inet.interface(interface).map(|link| link.autoconf.next);
    if due.is_none_or(|due| due > cx.now) {
        return;
    }
    routers::expire(cx, interface);
    addresses::expire(cx, interface);
    temporary::regenerate(cx, interface);
    solicit::on_timeout(cx, interface);
    rearm(cx, interface);
}

/// Looks anew for what is due first.
pub(crate) fn rearm(cx: &mut Context<'_>, interface: InterfaceId) {
    let settings = ipv6_settings(cx.config, cx.inet, interface);
    let Some(link) = cx.inet.interface_mut(interface) else {
        return;
    };
    let advance = temporary::regen_advance(settings, link);
    let autoconf = &link.autoconf;
    let next = [
        routers::deadline(autoconf, settings.router_probe_interval),
        addresses::deadline(link, cx.now, advance),
        solicit::deadline(autoconf),
    ];
    link.autoconf.next = next.into_iter().min().unwrap_or(Instant::FAR);
    link.autoconf.prefer_temporary = settings.use_tempaddr >= 2;
    resolve::settle(cx, interface);
}

/// The moment in `seconds`, all ones for never (RFC 4861 §4.6.2).
fn until(now: Instant, seconds: u32) -> Instant {
    match seconds {
        u32::MAX => Instant::FAR,
        seconds => now + Duration::from_secs(u64::from(seconds)),
    }
}
