//! Addresses made of prefixes, and how all addresses with a lifetime end (RFC 4862 §5.5).

use super::{temporary, until};
use crate::iface::ipv6_settings;
use crate::iface::{Address, AddressOrigin, AddressState, Interface, Lifetime, dad};
use crate::{Context, Counter, Instant, InterfaceId, inet};
use core::time::Duration;
use ipnet::{IpNet, Ipv6Net};
use sockeye_wire::ndp_options::PrefixInformation;
use std::net::IpAddr;

/// RFC 4862 §5.5.3 (d): with an interface identifier of 64 bits.
const PREFIX_LEN: u8 = 64;
/// RFC 4862 §5.5.3 (e): below that nobody shortens an address's life.
const TWO_HOURS: Duration = Duration::from_secs(2 * 3600);

/// A prefix is there for addresses (RFC 4862 §5.5.3).
pub(super) fn autonomous(cx: &mut Context<'_>, interface: InterfaceId, info: &PrefixInformation) {
    let PrefixInformation {
        prefix_len,
        valid_lifetime,
        preferred_lifetime,
        prefix,
        ..
    } = *info;
    // (b), (c), and the lengths of (d).
    if prefix.is_unicast_link_local()
        || prefix.is_multicast()
        || preferred_lifetime > valid_lifetime
        || prefix_len != PREFIX_LEN
    {
        return;
    }
    let prefix = Ipv6Net::new_assert(prefix, PREFIX_LEN);
    let told = Lifetime {
        preferred_until: until(cx.now, preferred_lifetime),
        valid_until: until(cx.now, valid_lifetime),
    };
    let Some(link) = cx.inet.interface(interface) else {
        return;
    };
    let of_prefix = |a: &&Address| is_of(a, prefix);
    let known: Vec<Address> = link.addresses.iter().filter(of_prefix).copied().collect();
    let stable = |a: &Address| a.origin == AddressOrigin::Autoconf;
    if known.iter().any(stable) {
        for own in known {
            prolong(cx, interface, &own, told);
        }
    } else if valid_lifetime > 0 {
        make(cx, interface, prefix, told);
    }
    temporary::see_to(cx, interface, prefix);
}

/// Whether an address was made of `prefix`.
pub(super) fn is_of(address: &Address, prefix: Ipv6Net) -> bool {
    let made = matches!(
        address.origin,
        AddressOrigin::Autoconf | AddressOrigin::Temporary
    );
    made && address.net.trunc() == IpNet::V6(prefix)
}

/// RFC 4862 §5.5.3 (d): a new address.
fn make(cx: &mut Context<'_>, interface: InterfaceId, prefix: Ipv6Net, lifetime: Lifetime) {
    let Some(link) = cx.inet.interface(interface) else {
        return;
    };
    if is_full(
        link,
        ipv6_settings(cx.config, cx.inet, interface).max_addresses,
    ) {
        cx.counters.add(Counter::AutoconfTableFull);
        return;
    }
    let detect = link.detects_duplicates();
    let own = Address {
        origin: AddressOrigin::Autoconf,
        lifetime,
        connected: false,
        ..Address::preferred(IpNet::V6(prefix))
    };
    dad::add_stable(cx, interface, 0, own, detect);
}

/// Linux's `max_addresses`: whether another address is one too many.
pub(super) fn is_full(link: &Interface, max: usize) -> bool {
    let v6 = link.addresses.iter().filter(|a| a.net.addr().is_ipv6());
    v6.count() >= max
}

/// RFC 4862 §5.5.3 (e), and RFC 8981 §3.4 for temporary ones: the lifetimes are new.
fn prolong(cx: &mut Context<'_>, interface: InterfaceId, own: &Address, told: Lifetime) {
    let mut lifetime = valid_for(cx.now, own.lifetime, told);
    if let Some((longest, _)) = own.temporary {
        lifetime.preferred_until = lifetime.preferred_until.min(longest.preferred_until);
        lifetime.valid_until = lifetime.valid_until.min(longest.valid_until);
    }
    if let Some(own) = dad::find(cx, interface, own.net.addr()) {
        own.lifetime = lifetime;
    }
    see_to_state(cx, interface, own.net.addr());
}

/// The lifetimes after a router has `told` some: the valid one is not shortened below two hours by
/// somebody whom nobody knows.
fn valid_for(now: Instant, known: Lifetime, told: Lifetime) -> Lifetime {
    let two_hours = now + TWO_HOURS;
    let valid_until = if told.valid_until > two_hours || told.valid_until > known.valid_until {
        told.valid_until
    } else if known.valid_until <= two_hours {
        known.valid_until
    } else {
        two_hours
    };
    Lifetime {
        preferred_until: told.preferred_until,
        valid_until,
    }
}

/// See [`super::set_lifetime`].
pub(super) fn set_lifetime(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    address: IpAddr,
    lifetime: Lifetime,
) -> bool {
    let Some(own) = dad::find(cx, interface, address) else {
        return false;
    };
    own.lifetime = lifetime;
    see_to_state(cx, interface, address);
    true
}

/// Deprecates an address whose preferred lifetime is over, or takes that back.
fn see_to_state(cx: &mut Context<'_>, interface: InterfaceId, address: IpAddr) {
    let now = cx.now;
    let Some(own) = dad::find(cx, interface, address) else {
        return;
    };
    let ripe = own.ripe(now);
    if own.is_usable() && own.state != ripe {
        let deprecated = ripe == AddressState::Deprecated;
        inet::deprecate_address(cx, interface, address, deprecated);
    }
}

/// When an address is deprecated, gone, or (a temporary one, `advance` before) to be followed.
pub(super) fn deadline(link: &Interface, now: Instant, advance: Duration) -> Instant {
    let all = link.addresses.iter().flat_map(|a| {
        let Lifetime {
            preferred_until,
            valid_until,
        } = a.lifetime;
        let preferred = a.state == AddressState::Preferred;
        let follow = match a.temporary {
            Some((_, false)) if preferred => (preferred_until - advance).max(now),
            _ => Instant::FAR,
        };
        let deprecate = if preferred {
            preferred_until
        } else {
            Instant::FAR
        };
        [valid_until, deprecate, follow]
    });
    all.min().unwrap_or(Instant::FAR)
}

/// RFC 4862 §5.5.4: what is no longer preferred is deprecated, what is no longer valid goes.
pub(super) fn expire(cx: &mut Context<'_>, interface: InterfaceId) {
    let now = cx.now;
    let Some(link) = cx.inet.interface(interface) else {
        return;
    };
    let all: Vec<Address> = link.addresses.clone();
    for own in all {
        let address = own.net.addr();
        if own.lifetime.valid_until <= now {
            inet::forget_address(cx, interface, address);
        } else {
            see_to_state(cx, interface, address);
        }
    }
}

/// Takes all addresses away that were made of prefixes.
pub(super) fn forget_all(cx: &mut Context<'_>, interface: InterfaceId) {
    let Some(link) = cx.inet.interface(interface) else {
        return;
    };
    let made =
        |a: &&Address| matches!(a.origin, AddressOrigin::Autoconf | AddressOrigin::Temporary);
    let all: Vec<IpAddr> = link
        .addresses
        .iter()
        .filter(made)
        .map(|a| a.net.addr())
        .collect();
    for address in all {
        inet::forget_address(cx, interface, address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4862 §5.5.3 (e), its three cases, in seconds from an hour after the epoch.
    #[test]
    fn a_life_is_not_shortened_below_two_hours() {
        let now = Instant::from_millis(3_600_000);
        let at = |seconds: u64| now + Duration::from_secs(seconds);
        let valid = |known, told| {
            let lifetime = |valid| Lifetime {
                preferred_until: at(1),
                valid_until: at(valid),
            };
            valid_for(now, lifetime(known), lifetime(told)).valid_until
        };
        // 1: more than two hours, or more than is left.
        assert_eq!(valid(86_400, 7201), at(7201));
        assert_eq!(valid(60, 120), at(120));
        // 2: there are no two hours left.
        assert_eq!(valid(7200, 60), at(7200));
        assert_eq!(valid(100, 0), at(100));
        // 3: else two hours.
        assert_eq!(valid(86_400, 0), at(7200));
        assert_eq!(valid(86_400, 7200), at(7200));
    }
}
