//! Router solicitations (RFC 4861 §6.3.7), ever less often until a router answers (RFC 7559).

use super::Autoconf;
use crate::iface::ipv6_settings;
use crate::iface::{AddressState, nd};
use crate::{Context, Instant, InterfaceId, Rng};
use core::time::Duration;
use std::net::IpAddr;

/// How far the asking is.
#[derive(Debug)]
pub(super) struct Solicitation {
    sent: u32,
    next: Instant,
    /// RT of RFC 3315 §14: the time until the next one, once one was sent.
    interval: Duration,
}

pub(super) fn deadline(autoconf: &Autoconf) -> Instant {
    let solicitation = autoconf.solicitation.as_ref();
    solicitation.map_or(Instant::FAR, |s| s.next)
}

/// Begins to ask, `delayed` by up to `router_solicitation_delay`. A link-local address that is still
/// tentative is waited for.
pub(super) fn start(cx: &mut Context<'_>, interface: InterfaceId, delayed: bool) {
    let settings = ipv6_settings(cx.config, cx.inet, interface);
    let Some(link) = cx.inet.interface_mut(interface) else {
        return;
    };
    let waits = link.addresses.iter().any(|a| {
        let link_local = matches!(a.net.addr(), IpAddr::V6(v6) if v6.is_unicast_link_local());
        link_local && a.state == AddressState::Tentative
    });
    if !link.autoconf.on || !settings.accept_ra || settings.router_solicitations == 0 || waits {
        return;
    }
    let delay = match delayed {
        true => up_to(cx.rng, settings.router_solicitation_delay),
        false => Duration::ZERO,
    };
    link.autoconf.solicitation = Some(Solicitation {
        sent: 0,
        next: cx.now + delay,
        interval: Duration::ZERO,
    });
}

pub(super) fn on_timeout(cx: &mut Context<'_>, interface: InterfaceId) {
    let settings = ipv6_settings(cx.config, cx.inet, interface);
    let (first, most) = (
        settings.router_solicitation_interval,
        settings.router_solicitation_max_interval,
    );
    // A negative number has no end.
    let count = u32::try_from(settings.router_solicitations).unwrap_or(u32::MAX);
    let Some(link) = cx.inet.interface_mut(interface) else {
        return;
    };
    let Some(solicitation) = &mut link.autoconf.solicitation else {
        return;
    };
    if solicitation.next > cx.now {
        return;
    }
    if solicitation.sent >= count {
        link.autoconf.solicitation = None;
        return;
    }
    // RFC 3315 §14: twice as long each time, and a tenth more or less.
    let base = match solicitation.sent {
        0 => first,
        _ => solicitation.interval.saturating_mul(2),
    };
    let base = base.min(most);
    let interval = base - base / 10 + up_to(cx.rng, base / 5);
    solicitation.sent = solicitation.sent.saturating_add(1);
    solicitation.interval = interval;
    solicitation.next = cx.now + interval;
    nd::solicit_routers(cx, interface);
}

/// A random time below `most`.
pub(super) fn up_to(rng: &mut Rng, most: Duration) -> Duration {
    let ms = u32::try_from(most.as_millis()).unwrap_or(u32::MAX);
    Duration::from_millis(u64::from(rng.below(ms)))
}
