//! One path of an association: the way to one of the peer's addresses (RFC 9260 §6.4, §8.2).

use crate::info::PathState;
use crate::plpmtud::Search;
use crate::rto::Rto;
use crate::settings::PathSettings;
use crate::window::Window;
use core::time::Duration;
use sockeye_core::demux::Endpoint;
use sockeye_core::{Context, Error, Instant, Route, RouteQuery};
use sockeye_wire::sctp::HEADER_LEN;
use sockeye_wire::{ipv4, ipv6, udp};
use std::net::IpAddr;

/// The MTU before a route has said one.
const MTU_INITIAL: u32 = 1500;
/// No path is taken for narrower (RFC 791 §3.2, RFC 8200 §5).
const MTU_MIN_V4: u32 = 576;
/// See [`MTU_MIN_V4`].
const MTU_MIN_V6: u32 = 1280;

/// The heartbeats of a path (RFC 9260 §8.3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beat {
    /// When the next one is due, if the path is idle until then.
    pub(crate) at: Instant,
    /// The one that is under way: its nonce, and when it was sent.
    pub(crate) waiting: Option<(u64, Instant)>,
}

impl Beat {
    /// None is due or under way.
    pub(crate) const NEVER: Self = Self {
        at: Instant::FAR,
        waiting: None,
    };
}

/// A path.
/// RFC 9260 §7.2-3, §7.3-1.
#[derive(Debug)]
pub(crate) struct Path {
    /// The peer's transport address.
    pub(crate) remote: Endpoint,
    pub(crate) settings: PathSettings,
    pub(crate) rto: Rto,
    pub(crate) window: Window,
    /// Bytes of chunks in flight, padding included.
    pub(crate) flight: u64,
    pub(crate) state: PathState,
    /// Errors in a row.
    pub(crate) errors: u32,
    /// T3-rtx; [`Instant::FAR`] when it does not run.
    pub(crate) t3: Instant,
    /// Position of the earliest chunk in flight here: its acknowledgment restarts T3-rtx.
    pub(crate) earliest: u64,
    /// The chunk whose round trip is measured: position, and when it was sent.
    pub(crate) timing: Option<(u64, Instant)>,
    /// The window was full when it was last sent by.
    pub(crate) limited: bool,
    pub(crate) beat: Beat,
    /// Bytes of IP packet that the path takes.
    pub(crate) mtu: u32,
    /// The peer's UDP port, where packets travel in UDP (RFC 6951).
    pub(crate) encap: Option<u16>,
    /// When data was last sent by it.
    pub(crate) used_at: Instant,
    /// The TSN up to which a mark of congestion has been answered.
    pub(crate) reduced_to: Option<u64>,
    /// The search for its MTU, where it is probed.
    pub(crate) search: Option<Search>,
    route: Option<Route>,
}

impl Path {
    pub(crate) fn new(remote: Endpoint, settings: PathSettings, rto: Rto, now: Instant) -> Self {
        let encap = (settings.encap_port != 0).then_some(settings.encap_port);
        let mut path = Self {
            remote,
            settings,
            rto,
            window: Window::new(1, remote.ip.is_ipv4()),
            flight: 0,
            state: PathState::Unconfirmed,
            errors: 0,
            t3: Instant::FAR,
            earliest: 0,
            timing: None,
            limited: false,
            beat: Beat::NEVER,
            mtu: MTU_INITIAL,
            encap,
            used_at: now,
            reduced_to: None,
            search: None,
            route: None,
        };
        path.follow_search(now);
        path.reset_window();
        path
    }

    /// The congestion window is as at the start (RFC 9260 §7.2.5).
    pub(crate) fn reset_window(&mut self) {
        self.window = Window::new(self.pmdcs(), self.remote.ip.is_ipv4());
    }

    /// PMDCS: bytes of DATA chunks that one packet carries.
    pub(crate) fn pmdcs(&self) -> u32 {
        let headers = u32::try_from(self.headers_len() + HEADER_LEN).unwrap_or(u32::MAX);
        self.mtu.saturating_sub(headers) & !3
    }

    /// Bytes of a packet before the common header.
    pub(crate) fn headers_len(&self) -> usize {
        let ip = match self.remote.ip {
            IpAddr::V4(_) => ipv4::HEADER_LEN,
            IpAddr::V6(_) => ipv6::HEADER_LEN,
        };
        match self.encap {
            Some(_) => ip + udp::HEADER_LEN,
            None => ip,
        }
    }

    /// The way there from one of `local`, which is kept until the routes change.
    ///
    /// # Errors
    /// Those of [`Context::route`].
    pub(crate) fn route(&mut self, cx: &mut Context<'_>, local: &[IpAddr]) -> Result<Route, Error> {
        if let Some(route) = self.route
            && route.version == cx.inet.route_version()
        {
            return Ok(route);
        }
        let route = find_route(cx, self.remote, local)?;
        let before = self.route.replace(route);
        // RFC 9260 §7.2.5.2-1: another way is another path.
        if before.is_some_and(|before| leads_elsewhere(&before, &route)) {
            self.reset_window();
        }
        self.refit();
        Ok(route)
    }

    /// Our addresses have changed: the source is chosen anew.
    pub(crate) fn forget_route(&mut self) {
        self.route = None;
    }

    /// Bytes that every path of its family takes.
    pub(crate) const fn mtu_least(&self) -> u32 {
        match self.remote.ip {
            IpAddr::V4(_) => MTU_MIN_V4,
            IpAddr::V6(_) => MTU_MIN_V6,
        }
    }

    /// What its first link takes, as far as routers have said nothing else.
    pub(crate) fn route_mtu(&self) -> u32 {
        let mtu = self.route.map_or(MTU_INITIAL, |route| route.mtu);
        mtu.max(self.mtu_least()).min(u32::from(u16::MAX))
    }

    /// The path's MTU is what its user fixed, what probes have found, or the route's.
    pub(crate) fn refit(&mut self) {
        let route = self.route_mtu();
        let mtu = match (&self.search, self.settings.mtu) {
            (None, mtu) if mtu > 0 && !self.settings.pmtu_discovery => {
                mtu.max(self.mtu_least()).min(u32::from(u16::MAX))
            }
            (Some(search), _) => search.plpmtu().min(route),
            _ => route,
        };
        if mtu != self.mtu {
            self.set_mtu(mtu);
        }
    }

    fn set_mtu(&mut self, mtu: u32) {
        self.mtu = mtu;
        let pmdcs = self.pmdcs();
        if self.flight == 0 && self.window.ssthresh() == u64::MAX && self.timing.is_none() {
            // Nothing has been learnt yet.
            self.reset_window();
        } else {
            self.window.set_pmdcs(pmdcs);
        }
    }

    /// Whether it may carry data: it is confirmed and answers.
    pub(crate) fn is_active(&self) -> bool {
        self.state == PathState::Active
    }

    /// Whether the peer has shown to be there once (RFC 9260 §5.4).
    pub(crate) fn is_confirmed(&self) -> bool {
        self.state != PathState::Unconfirmed
    }

    /// Whether the window lets a packet go (RFC 9260 §6.1 B).
    pub(crate) fn has_room(&self) -> bool {
        self.flight < self.window.cwnd()
    }

    /// Starts T3-rtx unless it runs.
    /// RFC 9260 §6.1-10, §6.1-12.
    pub(crate) fn start_t3(&mut self, now: Instant, position: u64) {
        if self.t3 == Instant::FAR {
            self.earliest = position;
            self.t3 = now + self.rto.current();
        }
    }

    /// Starts T3-rtx anew.
    pub(crate) fn restart_t3(&mut self, now: Instant) {
        self.t3 = now + self.rto.current();
    }

    /// RFC 9260 §8.3: the next heartbeat is due an RTO and HB.interval from now, give or take half an
    /// RTO; while the path is not confirmed, an RTO from now (§5.4).
    pub(crate) fn schedule_beat(&mut self, cx: &mut Context<'_>) {
        let rto = self.rto.current();
        let confirmed = self.state != PathState::Unconfirmed;
        if !self.settings.heartbeat && confirmed {
            self.beat.at = Instant::FAR;
            return;
        }
        let micros = u32::try_from(rto.as_micros()).unwrap_or(u32::MAX);
        let jitter = Duration::from_micros(cx.rng.below(micros).into());
        let interval = match confirmed {
            true => self.settings.heartbeat_interval,
            false => Duration::ZERO,
        };
        let wait = match confirmed {
            true => rto / 2 + jitter,
            false => rto,
        };
        self.beat.at = cx.now + interval.saturating_add(wait);
    }

    /// When the path is next to be looked after.
    pub(crate) fn deadline(&self) -> Instant {
        let answer = match self.beat.waiting {
            Some((_, sent)) => sent + self.rto.current(),
            None => Instant::FAR,
        };
        let search = self.search.as_ref().map_or(Instant::FAR, Search::deadline);
        self.t3.min(self.beat.at).min(answer).min(search)
    }
}

/// Whether packets go another way than before.
fn leads_elsewhere(before: &Route, after: &Route) -> bool {
    (before.interface, before.next_hop) != (after.interface, after.next_hop)
}

/// The way to `remote` from one of `local`: the one that the routes like, if it is among these.
///
/// # Errors
/// Those of [`Context::route`].
pub(crate) fn find_route(
    cx: &mut Context<'_>,
    remote: Endpoint,
    local: &[IpAddr],
) -> Result<Route, Error> {
    let query = RouteQuery {
        destination: remote.ip,
        source: None,
        interface: remote.scope_interface(),
        foreign_source: false,
    };
    let first = cx.route(&query);
    if local.is_empty() || matches!(&first, Ok(route) if local.contains(&route.source)) {
        return first;
    }
    let mut best = Err(Error::NetworkUnreachable);
    for &source in local {
        if source.is_ipv4() != remote.ip.is_ipv4() {
            continue;
        }
        let source = Some(source);
        if let Ok(route) = cx.route(&RouteQuery { source, ..query }) {
            best = Ok(route);
            break;
        }
    }
    best.or(match first {
        Err(error) => Err(error),
        Ok(_) => Err(Error::AddressNotAvailable),
    })
}

impl Path {
    /// RFC 9260 §7.2.1: a path by which nothing was sent for some RTOs starts anew from a smaller
    /// window.
    pub(crate) fn decay(&mut self, now: Instant) {
        let idle = now.saturating_since(self.used_at);
        let rto = self.rto.current();
        if idle >= rto && !rto.is_zero() {
            let rtos = idle.as_nanos() / rto.as_nanos().max(1);
            self.window.idle(u32::try_from(rtos).unwrap_or(u32::MAX));
        }
    }
}

impl Path {
    /// Its settings are others now.
    pub(crate) fn configure(&mut self, now: Instant, settings: PathSettings) {
        let encap = (settings.encap_port != 0).then_some(settings.encap_port);
        if settings.encap_port != self.settings.encap_port {
            self.encap = encap;
        }
        let class = self.settings.traffic_class;
        self.settings = settings;
        // RFC 9260 §7.2.5.1-1: another queue is another path.
        if settings.traffic_class != class {
            self.reset_window();
        }
        self.follow_search(now);
        self.refit();
    }
}
