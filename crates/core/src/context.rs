//! Everything that protocol code may touch.

use crate::internet_options::AddressPreferences;
use crate::ip::extras::Extras;
use crate::{
    Config, Counter, Counters, Error, Event, Handle, Inet, Instant, InterfaceId, Memory, Observer,
    Packet, Readiness, ReadyQueue, Rng, Route, RouteQuery, SendInfo, Timers,
};

/// The parts of a node that a transport works with: borrowed for one call, disjoint from the
/// transport itself. A unit test builds one from [`Parts`].
#[derive(Debug)]
pub struct Context<'a> {
    /// The time of this call; it does not move during it.
    pub now: Instant,
    /// Chance.
    pub rng: &'a mut Rng,
    /// Interfaces, routes, neighbours: the way out.
    pub inet: &'a mut Inet,
    /// Deadlines.
    pub timers: &'a mut Timers,
    /// Sockets that became ready.
    pub ready: &'a mut ReadyQueue,
    /// What the transports hold in all.
    pub memory: &'a mut Memory,
    /// Counters.
    pub counters: &'a mut Counters,
    /// Who is told events.
    pub observer: &'a mut dyn Observer,
    /// The node's settings.
    pub config: &'a Config,
}

impl Context<'_> {
    /// The way to a destination.
    ///
    /// # Errors
    /// [`Error::NetworkUnreachable`] without a route, [`Error::AddressNotAvailable`] when `source`
    /// is not one of the node's addresses, [`Error::Access`] is the caller's to decide for
    /// broadcast ones.
    pub fn route(&mut self, query: &RouteQuery) -> Result<Route, Error> {
        self.route_preferring(query, AddressPreferences::default())
    }

    /// [`route`](Self::route), from an address that a socket likes (RFC 5014).
    ///
    /// # Errors
    /// Those of [`route`](Self::route).
    pub fn route_preferring(
        &mut self,
        query: &RouteQuery,
        preferences: AddressPreferences,
    ) -> Result<Route, Error> {
        let route = self.inet.route_preferring(query, preferences);
        if matches!(route, Err(Error::NetworkUnreachable)) {
            self.counters.add(Counter::IpOutNoRoutes);
        }
        route
    }

    /// Sends one packet whose window starts at the transport header: the internet layer adds its
    /// header, fragments where allowed, resolves the neighbour and queues it on the interface.
    ///
    /// # Errors
    /// [`Error::NoBufferSpace`] when the interface's queue is full (the packet is dropped and
    /// counted), [`Error::MessageSize`] when it is too large and may not be fragmented.
    pub fn send(&mut self, info: &SendInfo, packet: Packet) -> Result<(), Error> {
        crate::ip::send(self, info, packet, true)
    }

    /// [`send`](Self::send) to a group without a copy for this node's own members
    /// (IP_MULTICAST_LOOP off).
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn send_unheard(&mut self, info: &SendInfo, packet: Packet) -> Result<(), Error> {
        crate::ip::send(self, info, packet, false)
    }

    /// [`send`](Self::send) with headers of the sender's choice between the IP header and the window;
    /// `heard`: members of a group on this node get a copy.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn send_with_extras(
        &mut self,
        info: &SendInfo,
        extras: &Extras,
        packet: Packet,
        heard: bool,
    ) -> Result<(), Error> {
        crate::ip::send_with_extras(self, info, extras, packet, heard)
    }

    /// Sends a packet that has its IP header already: a raw socket's. Of `info` the route, the
    /// destination and nothing else counts.
    ///
    /// # Errors
    /// [`Error::MessageSize`] when it is larger than the route carries, and those of
    /// [`send`](Self::send).
    pub fn send_with_header(&mut self, info: &SendInfo, packet: Packet) -> Result<(), Error> {
        crate::ip::send_with_header(self, info, packet)
    }

    /// The TTL or hop limit of packets by `route`, where nobody asks for another one: what a router
    /// of the link advertised (RFC 4861 §6.3.2: CurHopLimit), or else the node's.
    #[must_use]
    pub fn hop_limit(&self, route: &Route) -> u8 {
        let advertised = match route.source.is_ipv6() {
            true => self.inet.interface(route.interface),
            false => None,
        };
        let advertised = advertised.and_then(crate::Interface::advertised_hop_limit);
        advertised.unwrap_or(self.config.ttl)
    }

    /// Packets that the queue of `interface` still takes.
    #[must_use]
    pub fn tx_room(&self, interface: InterfaceId) -> usize {
        self.inet.tx_room(interface)
    }

    /// Says that `socket` became ready.
    pub fn set_ready(&mut self, socket: Handle, what: Readiness) {
        self.ready.push(socket, what);
    }

    /// Tells the observer.
    pub fn tell(&mut self, event: &Event) {
        self.observer.on_event(self.now, event);
    }

    /// Counts and tells a dropped packet.
    pub fn drop_packet(&mut self, why: Counter) {
        self.counters.add(why);
        self.tell(&Event::Dropped(why));
    }
}

impl std::fmt::Debug for dyn Observer + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Observer")
    }
}

/// What a [`Context`] borrows from, owned: the lower half of a node, and of a unit test.
pub struct Parts {
    /// See [`Context::rng`].
    pub rng: Rng,
    /// See [`Context::inet`].
    pub inet: Inet,
    /// See [`Context::timers`].
    pub timers: Timers,
    /// See [`Context::ready`].
    pub ready: ReadyQueue,
    /// See [`Context::memory`].
    pub memory: Memory,
    /// See [`Context::counters`].
    pub counters: Counters,
    /// See [`Context::observer`].
    pub observer: Box<dyn Observer>,
    /// See [`Context::config`].
    pub config: Config,
}

impl Parts {
    /// The parts of a node with `config`, all its chance from `seed`.
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        let mut rng = Rng::new(seed);
        let inet = Inet::new(&config, &mut rng);
        Self {
            rng,
            inet,
            timers: Timers::default(),
            ready: ReadyQueue::default(),
            memory: Memory::new(config.tcp_mem),
            counters: Counters::default(),
            observer: Box::new(()),
            config,
        }
    }

    /// A context at `now`.
    pub fn context(&mut self, now: Instant) -> Context<'_> {
        let Self {
            rng,
            inet,
            timers,
            ready,
            memory,
            counters,
            observer,
            config,
        } = self;
        Context {
            now,
            rng,
            inet,
            timers,
            ready,
            memory,
            counters,
            observer: &mut **observer,
            config,
        }
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}
