//! What paths carry (RFC 1191, RFC 8201).
//!
//! Only errors that a transport recognized as being about a flow of its own get here, so a
//! stranger can't lower a path's MTU blindly. What was learnt is forgotten after ten minutes, and
//! then larger packets are tried again.

use crate::inet::Notice;
use crate::{Context, Inet, Instant, Owner};
use core::time::Duration;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Destinations whose path MTU is remembered; beyond, what is oldest is forgotten.
pub const PATH_MTUS_MAX: usize = 1024;
/// RFC 1191 §6.3: the time after which an increase is tried.
pub const PATH_MTU_LIFETIME: Duration = Duration::from_secs(600);
/// Smaller ones are not believed (Linux: `net.ipv4.route.min_pmtu`): who says so wants our packets
/// to be many.
pub const PATH_MTU_MIN_V4: u32 = 552;
/// RFC 8201 §4: smaller ones are ignored, as every link carries this much.
pub const PATH_MTU_MIN_V6: u32 = 1280;

/// RFC 1191 §7.1: sizes that links have, for routers that do not tell theirs.
const PLATEAUS: [u32; 11] = [
    65_535, 32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68,
];

/// The next smaller size that a link may have.
pub(crate) fn plateau_below(len: u32) -> u32 {
    let smaller = PLATEAUS.into_iter().find(|&plateau| plateau < len);
    smaller.unwrap_or(68)
}

/// Path MTUs that are smaller than the first link's.
#[derive(Debug, Default)]
pub(crate) struct PathMtus {
    known: BTreeMap<IpAddr, (u32, Instant)>,
}

impl PathMtus {
    pub(crate) fn get(&self, destination: IpAddr) -> Option<u32> {
        self.known.get(&destination).map(|&(mtu, _)| mtu)
    }

    /// When the first of them is to be forgotten.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.known.values().map(|&(_, until)| until).min()
    }

    /// Takes out what has become too old.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<IpAddr> {
        let mut gone = Vec::new();
        self.known.retain(|&destination, &mut (_, until)| {
            let keep = until > now;
            if !keep {
                gone.push(destination);
            }
            keep
        });
        gone
    }

    fn set(&mut self, destination: IpAddr, mtu: u32, until: Instant) {
        if self.known.len() >= PATH_MTUS_MAX && !self.known.contains_key(&destination) {
            let oldest = self.known.iter().min_by_key(|(_, (_, until))| *until);
            if let Some((&oldest, _)) = oldest {
                self.known.remove(&oldest);
            }
        }
        self.known.insert(destination, (mtu, until));
    }
}

/// The path to `destination` does not carry more than `mtu`: a transport has matched the error to
/// a packet of its own. It and the others are told by a [`Notice::PathMtu`].
pub fn learn(cx: &mut Context<'_>, destination: IpAddr, mtu: u32) {
    let floor = match destination {
        IpAddr::V4(_) => PATH_MTU_MIN_V4,
        IpAddr::V6(_) => PATH_MTU_MIN_V6,
    };
    let mtu = mtu.max(floor);
    if destination.is_multicast() || cx.inet.is_local(destination) {
        return;
    }
    // RFC 8201 §4: an error never raises the estimate.
    let Some(known) = current(cx.inet, destination).filter(|&known| mtu < known) else {
        return;
    };
    debug_assert!(mtu < known, "a path MTU only shrinks by an error");
    cx.inet
        .path_mtus
        .set(destination, mtu, cx.now + PATH_MTU_LIFETIME);
    cx.inet.notify(Notice::PathMtu {
        remote: destination,
        mtu,
    });
    cx.inet.routes_changed();
    arm(cx);
}

/// Forgets what is too old, and tells that the first link's MTU holds again.
pub(crate) fn on_timeout(cx: &mut Context<'_>) {
    for remote in cx.inet.path_mtus.expire(cx.now) {
        if let Some(mtu) = current(cx.inet, remote) {
            cx.inet.notify(Notice::PathMtu { remote, mtu });
        }
        cx.inet.routes_changed();
    }
    arm(cx);
}

fn arm(cx: &mut Context<'_>) {
    let deadline = cx.inet.path_mtus.deadline();
    cx.timers
        .set(&mut cx.inet.path_mtu_timer, Owner::Inet, deadline);
}

/// What is thought of the path to `destination` now.
fn current(inet: &Inet, destination: IpAddr) -> Option<u32> {
    let query = crate::RouteQuery {
        destination,
        source: None,
        interface: None,
        foreign_source: false,
    };
    inet.route(&query).ok().map(|route| route.mtu)
}
