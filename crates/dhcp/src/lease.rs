//! What a server grants (RFC 2132), as far as a node heeds it.

use core::time::Duration;
use dhcproto::v4::{DhcpOption, Message, OptionCode};
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// Default routers of a lease; more are not heeded.
pub const ROUTERS_MAX: usize = 4;
/// Routes of a lease; more are not heeded.
pub const ROUTES_MAX: usize = 32;
/// Name servers of a lease; more are not heeded.
pub const DNS_MAX: usize = 8;
/// A smaller MTU is ignored: RFC 1122 §3.3.3 has every path carry that much.
const MTU_MIN: u16 = 576;
/// RFC 2131 §3.3: for ever.
const INFINITE: u32 = u32::MAX;

/// A lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address, with its network.
    pub address: Ipv4Net,
    /// Who granted it.
    pub server: Ipv4Addr,
    /// Default routers, best first. RFC 3442: none where there are [`routes`](Self::routes).
    pub routers: Vec<Ipv4Addr>,
    /// Routes, and the routers that they go by; none where the destination is on the link.
    pub routes: Vec<(Ipv4Net, Option<Ipv4Addr>)>,
    /// Name servers, in the order in which they are to be asked.
    pub dns: Vec<Ipv4Addr>,
    /// The largest IPv4 packet.
    pub mtu: Option<u32>,
    /// How long it is good; `None` for ever.
    pub lifetime: Option<Duration>,
    /// T1 and T2: when it is to be renewed, with this server and with any (RFC 2131 §4.4.5).
    pub renewal: (Duration, Duration),
}

impl Lease {
    /// What a DHCPACK says; `None` when it lacks what a lease needs, or has what no host can.
    pub(crate) fn read(message: &Message) -> Option<Self> {
        let opts = message.opts();
        let own = message.yiaddr();
        if !can_be_host(own) {
            return None;
        }
        let server = server(message)?;
        let seconds = match opts.get(OptionCode::AddressLeaseTime) {
            Some(&DhcpOption::AddressLeaseTime(seconds)) if seconds > 0 => seconds,
            _ => return None,
        };
        let address = match opts.get(OptionCode::SubnetMask) {
            Some(&DhcpOption::SubnetMask(mask)) => Ipv4Net::with_netmask(own, mask).ok()?,
            _ => Ipv4Net::new(own, class_len(own)).ok()?,
        };
        let routes = match opts.get(OptionCode::ClasslessStaticRoute) {
            Some(DhcpOption::ClasslessStaticRoute(routes)) => read_routes(routes),
            _ => Vec::new(),
        };
        let routers = match opts.get(OptionCode::Router) {
            // RFC 3442: who knows these ignores the others.
            _ if !routes.is_empty() => Vec::new(),
            Some(DhcpOption::Router(routers)) => hosts(routers, ROUTERS_MAX),
            _ => Vec::new(),
        };
        let dns = match opts.get(OptionCode::DomainNameServer) {
            Some(DhcpOption::DomainNameServer(servers)) => hosts(servers, DNS_MAX),
            _ => Vec::new(),
        };
        let mtu = match opts.get(OptionCode::InterfaceMtu) {
            Some(&DhcpOption::InterfaceMtu(mtu)) if mtu >= MTU_MIN => Some(u32::from(mtu)),
            _ => None,
        };
        Some(Self {
            address,
            server,
            routers,
            routes,
            dns,
            mtu,
            lifetime: (seconds != INFINITE).then(|| Duration::from_secs(seconds.into())),
            renewal: renewal(message, seconds),
        })
    }
}

/// RFC 2132 §9.7: who sent the message.
pub(crate) fn server(message: &Message) -> Option<Ipv4Addr> {
    match message.opts().get(OptionCode::ServerIdentifier) {
        Some(&DhcpOption::ServerIdentifier(server)) if can_be_host(server) => Some(server),
        _ => None,
    }
}

/// T1 and T2: what the server says where that makes sense, else half and seven eighths.
fn renewal(message: &Message, lease: u32) -> (Duration, Duration) {
    let opts = message.opts();
    let t1 = match opts.get(OptionCode::Renewal) {
        Some(&DhcpOption::Renewal(seconds)) => seconds,
        _ => lease / 2,
    };
    let t2 = match opts.get(OptionCode::Rebinding) {
        Some(&DhcpOption::Rebinding(seconds)) => seconds,
        _ => lease / 8 * 7,
    };
    let (t1, t2) = match t1 > 0 && t1 < t2 && t2 < lease {
        true => (t1, t2),
        false => (lease / 2, lease / 8 * 7),
    };
    (
        Duration::from_secs(t1.into()),
        Duration::from_secs(t2.into()),
    )
}

fn read_routes(routes: &[(Ipv4Net, Ipv4Addr)]) -> Vec<(Ipv4Net, Option<Ipv4Addr>)> {
    let routes = routes.iter().take(ROUTES_MAX);
    routes
        .filter_map(|&(net, router)| match router {
            // RFC 3442, "Local Subnet Routes": on the link.
            _ if router.is_unspecified() => Some((net.trunc(), None)),
            _ if can_be_host(router) => Some((net.trunc(), Some(router))),
            _ => None,
        })
        .collect()
}

fn hosts(addresses: &[Ipv4Addr], max: usize) -> Vec<Ipv4Addr> {
    let hosts = addresses.iter().copied().filter(|&a| can_be_host(a));
    hosts.take(max).collect()
}

/// Whether a single host may have the address.
fn can_be_host(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first != 0 && first < 224 && !address.is_loopback()
}

/// RFC 791 §3.2: the network's length by the address's class, for servers that send no mask.
fn class_len(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..=127 => 8,
        128..=191 => 16,
        _ => 24,
    }
}
