//! Temporary addresses (RFC 8981): random ones that are made anew before they are deprecated.

use super::addresses::{is_full, is_of};
use super::routers::PREFIXES_MAX;
use super::solicit::up_to;
use crate::iface::ipv6_settings;
use crate::iface::{Address, AddressOrigin, AddressState, Interface, Lifetime, dad};
use crate::{Context, Counter, Instant, InterfaceId, Ipv6Config, Rng, inet};
use core::time::Duration;
use ipnet::{IpNet, Ipv6Net};
use std::net::{IpAddr, Ipv6Addr};

/// RFC 8981 §3.8: REGEN_ADVANCE, time enough for all detections that may be needed.
pub(super) fn regen_advance(settings: &Ipv6Config, link: &Interface) -> Duration {
    let retrans = link
        .neighbours
        .retrans_timer(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let detections = u32::from(settings.regen_max_retry) * u32::from(settings.dad_transmits);
    Duration::from_secs(2) + retrans * detections
}

/// RFC 8981 §3.4, step 3: a prefix whose addresses are preferred has a temporary one.
pub(super) fn see_to(cx: &mut Context<'_>, interface: InterfaceId, prefix: Ipv6Net) {
    let Some(link) = cx.inet.interface(interface) else {
        return;
    };
    let is_there = link.addresses.iter().any(|a| {
        is_of(a, prefix)
            && a.temporary.is_some()
            && matches!(a.state, AddressState::Preferred | AddressState::Tentative)
    });
    if !is_there {
        make(cx, interface, prefix, 0);
    }
}

/// RFC 8981 §3.5: what is about to be deprecated gets a successor.
pub(super) fn regenerate(cx: &mut Context<'_>, interface: InterfaceId) {
    let now = cx.now;
    let settings = ipv6_settings(cx.config, cx.inet, interface);
    let Some(link) = cx.inet.interface_mut(interface) else {
        return;
    };
    let advance = regen_advance(settings, link);
    let mut due = Vec::new();
    for own in &mut link.addresses {
        if let (Some((_, followed @ false)), IpAddr::V6(address)) =
            (&mut own.temporary, own.net.addr())
            && own.state == AddressState::Preferred
            && own.lifetime.preferred_until - advance <= now
        {
            *followed = true;
            due.push(Ipv6Net::new_assert(address, 64).trunc());
        }
    }
    for prefix in due {
        make(cx, interface, prefix, 0);
    }
}

/// RFC 8981 §3.4, step 7: `own` was in use, the `retries`th time.
pub(in crate::iface) fn make_anew(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    own: &Address,
    retries: u8,
) {
    let IpAddr::V6(address) = own.net.addr() else {
        return;
    };
    let prefix = Ipv6Net::new_assert(address, 64).trunc();
    inet::forget_address(cx, interface, own.net.addr());
    if retries <= ipv6_settings(cx.config, cx.inet, interface).regen_max_retry {
        make(cx, interface, prefix, retries);
    } else if let Some(link) = cx.inet.interface_mut(interface)
        && link.autoconf.given_up.len() < PREFIXES_MAX
    {
        link.autoconf.given_up.push(prefix);
    }
    super::rearm(cx, interface);
}

/// RFC 8981 §3.4, steps 4 to 7.
fn make(cx: &mut Context<'_>, interface: InterfaceId, prefix: Ipv6Net, retries: u8) {
    let settings = ipv6_settings(cx.config, cx.inet, interface);
    let Some(link) = cx.inet.interface(interface) else {
        return;
    };
    if settings.use_tempaddr == 0 || link.autoconf.given_up.contains(&prefix) {
        return;
    }
    let stable = |a: &&Address| a.origin == AddressOrigin::Autoconf && is_of(a, prefix);
    let Some(stable) = link.addresses.iter().find(stable) else {
        return;
    };
    let advance = regen_advance(settings, link);
    let longest = longest(cx.now, cx.rng, settings, advance);
    let lifetime = Lifetime {
        preferred_until: longest.preferred_until.min(stable.lifetime.preferred_until),
        valid_until: longest.valid_until.min(stable.lifetime.valid_until),
    };
    // Step 5: it would have to be followed at once.
    if lifetime.preferred_until <= cx.now + advance {
        return;
    }
    if is_full(link, settings.max_addresses) {
        cx.counters.add(Counter::AutoconfTableFull);
        return;
    }
    let detect = link.detects_duplicates();
    let own = Address {
        origin: AddressOrigin::Temporary,
        lifetime,
        connected: false,
        generated: Some(retries),
        temporary: Some((longest, false)),
        ..Address::preferred(IpNet::V6(random(cx.rng, prefix)))
    };
    // One that we have already would be a miracle.
    let _ = inet::add_address_as(cx, interface, own, detect);
}

/// The longest life of an address that is made now, DESYNC_FACTOR taken off.
fn longest(now: Instant, rng: &mut Rng, settings: &Ipv6Config, advance: Duration) -> Lifetime {
    let preferred = settings.temp_prefered_lft;
    // RFC 8981 §3.8: what is left is more than REGEN_ADVANCE.
    let desync_max = settings
        .max_desync_factor
        .min(preferred.saturating_sub(advance));
    let preferred = preferred.saturating_sub(up_to(rng, desync_max));
    Lifetime {
        preferred_until: now + preferred,
        valid_until: now + settings.temp_valid_lft,
    }
}

/// RFC 8981 §3.3.1: a random identifier that is not reserved.
fn random(rng: &mut Rng, prefix: Ipv6Net) -> Ipv6Net {
    let id = loop {
        let id = rng.next_u64();
        if !dad::is_reserved(id) {
            break id;
        }
    };
    let address = Ipv6Addr::from_bits(prefix.addr().to_bits() | u128::from(id));
    Ipv6Net::new_assert(address, 64)
}
