//! Multicast as a host takes part in it: which groups an interface listens to and to whom in them,
//! what routers are told of that by IGMP (RFC 1112, 2236, 3376) and MLD (RFC 2710, 3810, 4604).
//!
//! - [`Memberships`] are one socket's groups and source filters, changed as RFC 3678 has it, and
//!   what that socket hears by them.
//! - Each interface has a `Groups`: the filters of all sockets merged (`listeners`), and a `Host`
//!   of each protocol, which says what is to be reported: of changes (`change`), in answer to
//!   queries (`query`), by which version (`compat`). IGMPv3 and MLDv2 are one protocol in two
//!   languages, `igmp` and `mld`; so are the older versions, each with MLD's number one lower.
//! - What is to be said waits for the interface's timer, if only until the end of the moment: so
//!   changes of one moment leave in one message.
//!
//! Not here: the router's side, and forwarding.

mod change;
mod compat;
mod filter;
mod host;
pub mod igmp;
mod listeners;
pub mod membership;
pub(crate) mod mld;
mod query;
mod report;
#[cfg(test)]
mod tests;

pub use filter::{FilterMode, SourceFilter};
pub use host::{GROUP_SOURCES_MAX, GROUPS_MAX};
pub use membership::Memberships;

use crate::{Config, Context, Error, Instant, InterfaceId};
use host::{Env, Host};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The protocol of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Igmp,
    Mld,
}

impl Protocol {
    const fn of(group: IpAddr) -> Self {
        match group {
            IpAddr::V4(_) => Self::Igmp,
            IpAddr::V6(_) => Self::Mld,
        }
    }

    /// Whether routers are told of `group`.
    fn reports(self, group: IpAddr, config: &Config) -> bool {
        match group {
            // RFC 3376 §5: never of all systems.
            IpAddr::V4(v4) if v4 == Ipv4Addr::new(224, 0, 0, 1) => false,
            IpAddr::V4(v4) if v4.octets().starts_with(&[224, 0, 0]) => {
                config.igmp_link_local_mcast_reports
            }
            IpAddr::V4(_) => true,
            // RFC 3810 §6: never of all nodes, and of scopes 0 and 1.
            IpAddr::V6(v6) => {
                v6.octets()[1] & 0x0f > 1 && v6 != Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)
            }
        }
    }
}

/// RFC 4604 §2: whether `group` is for source-specific multicast: 232/8 and FF3x::/32.
#[must_use]
pub fn is_source_specific(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(v4) => v4.octets()[0] == 232,
        IpAddr::V6(v6) => {
            let [a, b, ..] = v6.segments();
            a & 0xfff0 == 0xff30 && b == 0
        }
    }
}

/// The groups of an interface.
#[derive(Debug)]
pub(crate) struct Groups {
    v4: Host,
    v6: Host,
}

impl Default for Groups {
    fn default() -> Self {
        Self {
            v4: Host::new(Protocol::Igmp),
            v6: Host::new(Protocol::Mld),
        }
    }
}

impl Groups {
    /// Whether somebody listens to `group`.
    pub(crate) fn has(&self, group: IpAddr) -> bool {
        self.of(group).has(group)
    }

    /// All that somebody listens to.
    pub(crate) fn all(&self) -> impl Iterator<Item = &IpAddr> {
        self.v4.groups.keys().chain(self.v6.groups.keys())
    }

    /// Whether somebody listens to `source` in `group`.
    pub(crate) fn admits(&self, group: IpAddr, source: IpAddr) -> bool {
        self.of(group).admits(group, source)
    }

    /// When [`on_timeout`] is to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.v4.deadline(), self.v6.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Nothing is reported any more: the interface went down.
    pub(crate) fn cancel(&mut self) {
        self.v4.cancel();
        self.v6.cancel();
    }

    fn of(&self, group: IpAddr) -> &Host {
        match group {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        }
    }

    fn host(&mut self, protocol: Protocol) -> &mut Host {
        match protocol {
            Protocol::Igmp => &mut self.v4,
            Protocol::Mld => &mut self.v6,
        }
    }
}

/// Listens to all of `group` on `interface`. Joining twice needs leaving twice.
///
/// # Errors
/// [`Error::NoDevice`] for an unknown interface, [`Error::Invalid`] when it is no group,
/// [`Error::NoBufferSpace`] beyond [`GROUPS_MAX`].
pub fn join(cx: &mut Context<'_>, interface: InterfaceId, group: IpAddr) -> Result<(), Error> {
    if !group.is_multicast() {
        return Err(Error::Invalid);
    }
    listen(
        cx,
        interface,
        group,
        None,
        Some(&SourceFilter::any_source()),
    )
}

/// Takes back one [`join`]; false when nobody listens there.
pub fn leave(cx: &mut Context<'_>, interface: InterfaceId, group: IpAddr) -> bool {
    let link = cx.inet.interface(interface);
    let joined = link.is_some_and(|link| link.groups().has(group));
    joined
        && listen(
            cx,
            interface,
            group,
            Some(&SourceFilter::any_source()),
            None,
        )
        .is_ok()
}

/// RFC 3376 §2, IPMulticastListen: replaces one listener's filter of `group` by another, none by
/// one, or one by none.
fn listen(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    group: IpAddr,
    old: Option<&SourceFilter>,
    new: Option<&SourceFilter>,
) -> Result<(), Error> {
    with_host(cx, interface, Protocol::of(group), |host, env| {
        host.listen(env, group, old, new)
    })
    .ok_or(Error::NoDevice)?
}

/// The interface came up, or (IPv6) has a link-local address now: routers hear of all groups.
pub(crate) fn tell_all(cx: &mut Context<'_>, interface: InterfaceId, v6_alone: bool) {
    for protocol in [Protocol::Igmp, Protocol::Mld] {
        if protocol == Protocol::Mld || !v6_alone {
            with_host(cx, interface, protocol, |host, env| host.tell_all(env));
        }
    }
}

/// Says what is due.
pub(crate) fn on_timeout(cx: &mut Context<'_>, interface: InterfaceId) {
    let due = |at: Instant| at <= cx.now;
    let Some(link) = cx.inet.interface(interface) else {
        return;
    };
    if !link.groups().deadline().is_some_and(due) {
        return;
    }
    for protocol in [Protocol::Igmp, Protocol::Mld] {
        let reports = with_host(cx, interface, protocol, |host, env| {
            let mut reports = Vec::new();
            host.due_changes(env, &mut reports);
            host.due_answers(env, &mut reports);
            host.rearm();
            reports
        });
        for report in reports.into_iter().flatten() {
            match protocol {
                Protocol::Igmp => igmp::send(cx, interface, report),
                Protocol::Mld => mld::send(cx, interface, report),
            }
        }
    }
}

/// A step of a protocol on an interface, and then the interface's timer. `None` without such an
/// interface. What was to be said on the loopback is not.
fn with_host<T>(
    cx: &mut Context<'_>,
    interface: InterfaceId,
    protocol: Protocol,
    step: impl FnOnce(&mut Host, &mut Env<'_>) -> T,
) -> Option<T> {
    let Context {
        now,
        rng,
        inet,
        config,
        ..
    } = cx;
    let link = inet.interface_mut(interface)?;
    let silent = interface == InterfaceId::LOOPBACK || !link.is_up();
    let settings = match protocol {
        Protocol::Igmp => link.settings().v4,
        Protocol::Mld => link.settings().v6,
    };
    let host = link.groups_mut().host(protocol);
    let mut env = Env {
        now: *now,
        rng,
        config,
        settings,
    };
    let done = step(host, &mut env);
    if silent {
        host.cancel();
    }
    crate::iface::settle(cx, interface);
    Some(done)
}
