//! One network node, assembled out of the internet layer and the transports, without I/O.
//!
//! [`Node`] has four kinds of method:
//! - *getters*, which change nothing;
//! - *commands* of its owner: interfaces, addresses, routes, and the transports' own calls, which
//!   are reached through [`Node::transport_mut`] together with the [`Context`] that they take;
//! - `handle_*`: something happened outside: a packet came, time passed;
//! - `poll_*`: what is to be done outside: packets to send, sockets that became ready, the next
//!   deadline.
//!
//! The owner's turn is: `handle_batch` for all that arrived, `handle_timeout`, then, after these
//! or after any command, `poll_transmit` for each interface, `poll_ready` until it is empty, and
//! `poll_timeout` for how long to sleep. Time is an argument and never runs backwards.
#![forbid(unsafe_code)]

mod deliver;
mod transports;

pub use sockeye_core::datagram::SendOptions;
pub use sockeye_core::iface::{
    Address, AddressOrigin, AddressState, InterfaceConfig, Lifetime, NameServer, Neighbour,
    NeighbourState, Router, Traffic,
};
pub use sockeye_core::ip::route::RouteEntry;
pub use sockeye_core::raw::{Packets, Ping, Raw};
pub use sockeye_core::{
    Batch, Capabilities, Config, Context, Counters, Error, Handle, Instant, Interface, InterfaceId,
    Observer, Packet, Readiness, SocketSummary, Transport,
};
pub use sockeye_dccp::{Dccp, State as DccpState};
pub use sockeye_dhcp::{Lease, State as LeaseState};
pub use sockeye_sctp::Sctp;
pub use sockeye_tcp::Tcp;
pub use sockeye_udp::Udp;
pub use sockeye_unix::Unix;
pub use sockeye_wire::IpProtocol;

use ipnet::IpNet;
use sockeye_core::context::Parts;
use sockeye_core::{Owner, iface, inet};
use sockeye_dhcp::Dhcp;
use std::net::IpAddr;
use transports::Transports;

/// Timers that one call of [`Node::handle_timeout`] fires beyond those that were armed before it.
const TIMERS_REARMED_MAX: usize = 64;

/// One network node.
#[derive(Debug)]
pub struct Node {
    parts: Parts,
    transports: Transports,
    dhcp: Dhcp,
    /// The loopback had more to do than one call may: come back at once.
    loopback_pending: bool,
    /// It has an observer.
    observed: bool,
}

/// Commands and getters.
impl Node {
    /// A node without links. All its chance comes from `seed`.
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        let mut parts = Parts::new(config, seed);
        let transports = Transports::new(&parts.config, &mut parts.rng);
        Self {
            parts,
            transports,
            dhcp: Dhcp::default(),
            loopback_pending: false,
            observed: false,
        }
    }

    /// Adds an interface with its addresses and the routes to their networks.
    pub fn add_interface(&mut self, now: Instant, config: InterfaceConfig) -> InterfaceId {
        let id = inet::add_interface(&mut self.parts.context(now), config);
        self.pass_notices(now);
        id
    }

    /// Takes an interface away, with its addresses and routes; false when there is none.
    pub fn remove_interface(&mut self, now: Instant, id: InterfaceId) -> bool {
        let mut cx = self.parts.context(now);
        self.dhcp.forget(&mut cx, id);
        let removed = inet::remove_interface(&mut cx, id);
        self.pass_notices(now);
        removed
    }

    /// Says what an interface's link can do now; false when there is no such link.
    pub fn set_capabilities(
        &mut self,
        now: Instant,
        id: InterfaceId,
        capabilities: Capabilities,
    ) -> bool {
        inet::set_capabilities(&mut self.parts.context(now), id, capabilities)
    }

    /// Takes an interface up or down; down, it forgets its neighbours and loses what it had queued.
    /// False when there is none.
    pub fn set_up(&mut self, now: Instant, id: InterfaceId, up: bool) -> bool {
        let mut cx = self.parts.context(now);
        let was_up = cx.inet.interface(id).is_some_and(Interface::is_up);
        let found = inet::set_up(&mut cx, id, up);
        if up && !was_up {
            self.dhcp.reboot(&mut cx, id);
        }
        found
    }

    /// Gives an interface an address, and with it a route to its network. Whether it is
    /// checked for being in use first, the interface's configuration said.
    ///
    /// # Errors
    /// [`Error::NoDevice`] for an unknown interface, [`Error::AddressInUse`] when it has the
    /// address, [`Error::Invalid`] for one that no host can have.
    pub fn add_address(&mut self, now: Instant, id: InterfaceId, net: IpNet) -> Result<(), Error> {
        let interface = self.parts.inet.interface(id).ok_or(Error::NoDevice)?;
        let detect = match net.addr() {
            IpAddr::V4(_) => interface.detects_conflicts(),
            IpAddr::V6(_) => interface.detects_duplicates(),
        };
        inet::add_address(&mut self.parts.context(now), id, net, detect)?;
        self.pass_notices(now);
        Ok(())
    }

    /// Takes an address away; false when the interface does not have it.
    pub fn remove_address(&mut self, now: Instant, id: InterfaceId, net: IpNet) -> bool {
        let removed = inet::remove_address(&mut self.parts.context(now), id, net);
        self.pass_notices(now);
        removed
    }

    /// Says that nothing new should start from an address where there is another, or that it may
    /// again. False when the interface does not have it in use.
    pub fn deprecate_address(
        &mut self,
        now: Instant,
        id: InterfaceId,
        address: IpAddr,
        deprecated: bool,
    ) -> bool {
        let mut cx = self.parts.context(now);
        let done = inet::deprecate_address(&mut cx, id, address, deprecated);
        self.pass_notices(now);
        done
    }

    /// Lets an interface ask a DHCP server for an IPv4 address and what belongs to it.
    ///
    /// # Errors
    /// [`Error::NoDevice`] for an unknown interface, [`Error::NotSupported`] for one that is no
    /// Ethernet.
    pub fn start_dhcp(&mut self, now: Instant, id: InterfaceId) -> Result<(), Error> {
        self.dhcp.start(&mut self.parts.context(now), id)
    }

    /// Says what an interface had leased in former times, once its client is started: the address is
    /// asked for first (RFC 2131 §3.2).
    pub fn remember_lease(&mut self, id: InterfaceId, address: std::net::Ipv4Addr) {
        self.dhcp.remember(id, address);
    }

    /// Gives back what interfaces have leased; they ask no more.
    pub fn release_leases(&mut self, now: Instant) {
        let all: Vec<InterfaceId> = self.dhcp.interfaces().collect();
        for id in all {
            self.dhcp.release(&mut self.parts.context(now), id);
        }
        self.pass_notices(now);
    }

    /// How far an interface is with its lease, and what that says; `None` where it asks for none.
    #[must_use]
    pub fn lease(&self, id: InterfaceId) -> Option<(LeaseState, Option<&Lease>)> {
        let client = self.dhcp.client(id)?;
        Some((client.state(), client.lease()))
    }

    /// Whether all interfaces have what they were to configure themselves with: a lease that is in
    /// use, an address of a router's prefix; and no address is tentative.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.parts.inet.interfaces().all(|(id, link)| {
            let all = link.addresses();
            let tentative = all.iter().any(|a| a.state == AddressState::Tentative);
            let of = |origin| all.iter().any(|a| a.origin == origin && a.is_usable());
            let leased = self.dhcp.client(id).is_none() || of(AddressOrigin::Dhcp);
            let made = !link.is_autoconfigured() || of(AddressOrigin::Autoconf);
            !tentative && leased && made
        })
    }

    /// The name servers that routers and DHCP servers told, those of leases in use first.
    pub fn learnt_dns(&self) -> impl Iterator<Item = IpAddr> {
        let bound = |id: &InterfaceId| {
            let client = self.dhcp.client(*id)?;
            let in_use = !matches!(client.state(), LeaseState::Checking);
            client.lease().filter(|_| in_use)
        };
        let leased = self.dhcp.interfaces().filter_map(move |id| bound(&id));
        let leased = leased.flat_map(|lease| lease.dns.iter().map(|&ip| IpAddr::V4(ip)));
        let told = self.parts.inet.interfaces();
        let told = told.flat_map(|(_, link)| link.name_servers());
        // Without its link a link-local one means nothing.
        let told = told.map(|server| server.address);
        let told = told.filter(|address| !address.is_unicast_link_local());
        leased.chain(told.map(IpAddr::V6))
    }

    /// Adds a route: by `gateway`, or, without one, to neighbours on the link.
    ///
    /// # Errors
    /// Those of [`Inet::add_route`](sockeye_core::Inet::add_route).
    pub fn add_route(
        &mut self,
        destination: IpNet,
        gateway: Option<IpAddr>,
        interface: InterfaceId,
        metric: u32,
    ) -> Result<(), Error> {
        self.parts
            .inet
            .add_route(destination, gateway, interface, metric)
    }

    /// Takes a route out; false when there was none.
    pub fn remove_route(
        &mut self,
        destination: IpNet,
        gateway: Option<IpAddr>,
        interface: InterfaceId,
    ) -> bool {
        self.parts
            .inet
            .remove_route(destination, gateway, interface)
    }

    /// TCP, with the context that its calls take.
    pub fn tcp(&mut self, now: Instant) -> (&mut Tcp, Context<'_>) {
        (&mut self.transports.tcp, self.parts.context(now))
    }

    /// UDP, with the context that its calls take.
    pub fn udp(&mut self, now: Instant) -> (&mut Udp, Context<'_>) {
        (&mut self.transports.udp, self.parts.context(now))
    }

    /// UDP-Lite, with the context that its calls take.
    pub fn udp_lite(&mut self, now: Instant) -> (&mut Udp, Context<'_>) {
        (&mut self.transports.udp_lite, self.parts.context(now))
    }

    /// SCTP, with the context that its calls take.
    pub fn sctp(&mut self, now: Instant) -> (&mut Sctp, Context<'_>) {
        (&mut self.transports.sctp, self.parts.context(now))
    }

    /// DCCP and the context that its calls take.
    pub fn dccp(&mut self, now: Instant) -> (&mut Dccp, Context<'_>) {
        (&mut self.transports.dccp, self.parts.context(now))
    }

    /// Ping sockets, with the context that their calls take.
    pub fn ping(&mut self, now: Instant) -> (&mut Ping, Context<'_>) {
        (&mut self.transports.ping, self.parts.context(now))
    }

    /// Raw IP sockets, with the context that their calls take.
    pub fn raw(&mut self, now: Instant) -> (&mut Raw, Context<'_>) {
        (&mut self.transports.raw, self.parts.context(now))
    }

    /// Packet sockets, with the context that their calls take.
    pub fn packets(&mut self, now: Instant) -> (&mut Packets, Context<'_>) {
        (&mut self.transports.packets, self.parts.context(now))
    }

    /// Node-internal sockets, with the context of a call on them.
    pub fn unix(&mut self, now: Instant) -> (&mut Unix, Context<'_>) {
        (&mut self.transports.unix, self.parts.context(now))
    }

    /// Adds a transport for the packets of `protocol`, in place of a built-in one or one that was
    /// added before.
    pub fn register(&mut self, transport: Box<dyn Transport>, protocol: IpProtocol) {
        self.transports.register(transport, protocol);
    }

    /// A transport by its type, with the context that its calls take.
    pub fn transport_mut<T: Transport>(
        &mut self,
        protocol: IpProtocol,
        now: Instant,
    ) -> Option<(&mut T, Context<'_>)> {
        let transport = self.transports.by_protocol(protocol)?;
        let transport = transport.as_any_mut().downcast_mut()?;
        Some((transport, self.parts.context(now)))
    }

    /// The context alone, for calls that belong to no transport.
    pub fn context(&mut self, now: Instant) -> Context<'_> {
        self.parts.context(now)
    }

    /// Tells `observer` what happens from now on.
    pub fn set_observer(&mut self, observer: Box<dyn Observer>) {
        self.parts.observer = observer;
        self.observed = true;
    }

    /// Whether somebody wants to see packets that are not theirs: an observer, a raw or a packet
    /// socket.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        let transports = &self.transports;
        self.observed
            || !transports.raw.sockets().is_empty()
            || !transports.packets.sockets().is_empty()
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.parts.config
    }

    /// Changes its settings. What a socket took over when it was made, buffer sizes for one, it
    /// keeps.
    pub fn set_config(&mut self, config: Config) {
        self.parts.memory.set_limits(config.tcp_mem);
        self.parts.config = config;
        let config = &self.parts.config;
        self.parts.inet.configure(config);
        self.transports
            .each(|transport| transport.on_config(config));
        self.transports.encapsulate(config);
    }

    /// All interfaces, the loopback first.
    pub fn interfaces(&self) -> impl Iterator<Item = (InterfaceId, &Interface)> {
        self.parts.inet.interfaces()
    }

    /// All routes, longest prefix first.
    pub fn routes(&self) -> impl Iterator<Item = &RouteEntry> {
        self.parts.inet.routes()
    }

    /// Brings the addresses of a host into the order in which they should be tried (RFC 6724 §6).
    pub fn order_destinations(&self, destinations: &mut [IpAddr]) {
        self.parts.inet.order_destinations(destinations);
    }

    /// The neighbours of all interfaces.
    pub fn neighbours(&self) -> impl Iterator<Item = (InterfaceId, Neighbour)> {
        self.parts
            .inet
            .interfaces()
            .flat_map(|(id, interface)| interface.neighbours().map(move |n| (id, n)))
    }

    /// Its counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.parts.counters
    }

    /// All its sockets, transport by transport.
    #[must_use]
    pub fn sockets(&self) -> Vec<SocketSummary> {
        self.transports.iter().flat_map(|t| t.sockets()).collect()
    }
}

/// What happens outside, and what is to be done there.
impl Node {
    /// A packet came by the link of `interface`.
    pub fn handle_packet(&mut self, now: Instant, interface: InterfaceId, packet: Packet) {
        self.receive(now, interface, packet);
        self.end_batch(now);
    }

    /// Memory is short: the transports let go of what can be got again.
    pub fn handle_memory_pressure(&mut self, now: Instant) {
        let mut cx = self.parts.context(now);
        self.transports.each(|t| t.on_memory_pressure(&mut cx));
    }

    /// Packets came by the link of `interface`; `batch` is empty afterwards. Segments that follow
    /// one another are merged first, where the link does not do that.
    pub fn handle_batch(&mut self, now: Instant, interface: InterfaceId, batch: &mut Batch) {
        self.parts.inet.coalesce(interface, batch);
        for packet in batch.drain(..) {
            self.receive(now, interface, packet);
        }
        self.end_batch(now);
    }

    /// Time has passed. What this node sent to itself is received here, and in
    /// [`poll_transmit`](Self::poll_transmit).
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut budget = self.parts.timers.len() + TIMERS_REARMED_MAX;
        while budget > 0
            && let Some(owner) = self.parts.timers.expire(now)
        {
            budget -= 1;
            let mut cx = self.parts.context(now);
            match owner {
                Owner::Socket(handle) => {
                    if let Some(transport) = self.transports.by_id(handle.transport) {
                        transport.on_timeout(&mut cx, handle.id);
                    }
                }
                Owner::Inet => inet::on_timeout(&mut cx),
                Owner::Lease(id) => self.dhcp.on_timeout(&mut cx, id),
                Owner::Interface(id) => iface::on_timeout(&mut cx, id),
            }
        }
        self.pass_notices(now);
        self.run_loopback(now);
    }

    /// Appends up to `budget` packets for the link of `interface` to `batch`: what is queued, then
    /// what the transports' sockets have to send. True when there is more. A super-segment that the
    /// link does not take counts once and is cut.
    ///
    /// For the loopback nothing is appended: its packets are received instead.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        batch: &mut Batch,
        budget: usize,
    ) -> bool {
        self.run_loopback(now);
        if interface == InterfaceId::LOOPBACK {
            return self.loopback_pending;
        }
        // Nobody sends by what is not there, and nobody has more for it.
        if !self
            .parts
            .inet
            .interface(interface)
            .is_some_and(Interface::is_up)
        {
            return false;
        }
        let wanted = budget.saturating_sub(self.parts.inet.queued(interface));
        let mut cx = self.parts.context(now);
        let more = self.transports.pull(&mut cx, interface, wanted);
        self.pass_notices(now);
        let first = batch.len();
        let left = self.parts.inet.poll_transmit(interface, batch, budget);
        if self.transports.packets.listens() {
            let mut cx = self.parts.context(now);
            for frame in batch.range(first..) {
                self.transports.packets.leaves(&mut cx, interface, frame);
            }
        }
        more || left
    }

    /// Whether packets wait for a link, or for this node itself: `poll_transmit` is to be called.
    /// What transports hold back is theirs to tell.
    #[must_use]
    pub fn has_queued(&self) -> bool {
        let mut interfaces = self.parts.inet.interfaces();
        interfaces.any(|(id, _)| self.parts.inet.queued(id) > 0)
    }

    /// The next socket that became ready, and for what.
    pub fn poll_ready(&mut self) -> Option<(Handle, Readiness)> {
        self.parts.ready.pop()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; in the past when there is
    /// something to do at once.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.loopback_pending || self.parts.inet.queued(InterfaceId::LOOPBACK) > 0 {
            return Some(Instant::ZERO);
        }
        self.parts.timers.next()
    }
}

/// A node is owned by whoever runs its turn, on any thread.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Node>();
};
