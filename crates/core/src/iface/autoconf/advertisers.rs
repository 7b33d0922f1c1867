//! Which router advertises which prefix (RFC 6724 §5, rule 5.5; RFC 8028 §3.3): packets from its
//! addresses go by the router that gave them, where there is a choice.

use super::until;
use crate::{Context, Counter, Instant, InterfaceId};
use ipnet::Ipv6Net;
use sockeye_wire::ndp_options::PrefixInformation;
use std::net::Ipv6Addr;

/// Pairs of a router and a prefix on one interface.
const ADVERTISERS_MAX: usize = 64;

/// A router that advertises a prefix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Advertiser {
    router: Ipv6Addr,
    prefix: Ipv6Net,
    /// Until when.
    until: Instant,
}

/// `router` advertises a prefix for addresses, or takes it back.
pub(super) fn heard(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    router: Ipv6Addr,
    info: &PrefixInformation,
) {
    let Ok(prefix) = Ipv6Net::new(info.prefix, info.prefix_len) else {
        return;
    };
    let (now, prefix) = (cx.now, prefix.trunc());
    let Some(link) = cx.inet.interface_mut(interface) else {
        return;
    };
    let known = &mut link.autoconf.advertisers;
    let until = until(now, info.valid_lifetime);
    let is_it = |a: &Advertiser| (a.router, a.prefix) == (router, prefix);
    if let Some(known) = known.iter_mut().find(|a| is_it(a)) {
        known.until = until;
        return;
    }
    // What is over makes room; until then it harms nobody, since its addresses are gone, too.
    known.retain(|a| a.until > now);
    if info.valid_lifetime == 0 {
        return;
    }
    if known.len() >= ADVERTISERS_MAX {
        cx.counters.add(Counter::AutoconfTableFull);
        return;
    }
    known.push(Advertiser {
        router,
        prefix,
        until,
    });
    // The choice of a source may be another one now.
    cx.inet.routes_changed();
}

/// See [`Interface::is_advertised_by`](crate::Interface).
pub(super) fn is_by(known: &[Advertiser], prefix: Ipv6Net, router: Ipv6Addr) -> Option<bool> {
    let mut of_prefix = known.iter().filter(|a| a.prefix == prefix).peekable();
    of_prefix.peek()?;
    Some(of_prefix.any(|a| a.router == router))
}
