//! What sockets that send and receive datagrams have in common: UDP, ping and raw sockets.
//!
//! [`DatagramSocket`] holds options, the receive queue, pending errors and the way out. Its owner
//! adds what its protocol asks for: ports and headers, who receives what.

mod queue;

pub use queue::{ErrorReport, Origin, ReceiveQueue};

use crate::demux::{Endpoint, is_scoped};
use crate::membership::Memberships;
use crate::socket::{Domain, MtuDiscover, Shutdown, SocketCommon};
use crate::transport::IcmpErrorKind;
use crate::{
    Config, Context, Error, Handle, IcmpError, InterfaceId, IpInfo, OptionValue, Packet, Payload,
    Readiness, Route, RouteQuery, SendInfo, SocketId, SocketOption,
};
use bytes::Bytes;
use sockeye_link::HEADROOM;
use sockeye_wire::{IpProtocol, ipv4, ipv6};
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};

/// What is said of one datagram that is sent: the ancillary data of sendmsg(2). Everything left
/// out is as the socket's options say.
#[derive(Clone, Copy, Debug, Default)]
pub struct SendOptions {
    /// TTL or hop limit.
    pub ttl: Option<u8>,
    /// TOS or traffic class.
    pub tos: Option<u8>,
    /// The source address: one of the node's.
    pub source: Option<IpAddr>,
    /// The interface to leave by.
    pub interface: Option<InterfaceId>,
    /// UDP_SEGMENT: bytes of each datagram that the data is cut into.
    pub segment: Option<u16>,
}

/// A datagram that was received, without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the whole datagram.
    pub len: usize,
    /// Bytes that fitted the buffer.
    pub copied: usize,
    /// Who sent it.
    pub from: SocketAddr,
    /// Whom it was sent to: our address, or the group's.
    pub to: SocketAddr,
    /// Where it came in.
    pub interface: InterfaceId,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TOS or traffic class.
    pub tos: u8,
    /// With UDP_GRO: the data is several datagrams of so many bytes, the last perhaps shorter.
    pub segment: Option<u16>,
}

/// A datagram in a receive queue.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Its bytes.
    pub payload: Payload,
    /// Bytes of memory that `payload` keeps from being freed.
    pub pinned: usize,
    /// Who sent it.
    pub from: Endpoint,
    /// Whom it was sent to.
    pub to: Endpoint,
    /// Where it came in.
    pub interface: InterfaceId,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TOS or traffic class.
    pub tos: u8,
    /// See [`Received::segment`].
    pub segment: Option<u16>,
}

impl Datagram {
    /// What lies in the window of `packet`, from and to the given ports.
    #[must_use]
    pub fn new(ip: &IpInfo, ports: (u16, u16), packet: Packet) -> Self {
        let len = packet.len();
        let pinned = packet.pinned();
        // A small datagram does not keep a large buffer: what is counted is what is pinned.
        let (payload, pinned) = if pinned / 4 > len {
            (Payload::from_iter([Bytes::from(packet.to_vec())]), len)
        } else {
            (packet.into_payload(), pinned)
        };
        Self {
            payload,
            pinned,
            from: Endpoint::on(ip.interface, ip.source, ports.0),
            to: Endpoint::on(ip.interface, ip.destination, ports.1),
            interface: ip.interface,
            ttl: ip.hop_limit,
            tos: ip.traffic_class,
            segment: None,
        }
    }

    /// Bytes of payload.
    #[must_use]
    pub fn len(&self) -> usize {
        self.payload.iter().map(Bytes::len).sum()
    }

    /// Whether there is no payload.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A way for one datagram.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What the internet layer is told.
    pub info: SendInfo,
    /// Bytes, transport header included, that one packet carries.
    pub room: usize,
    /// Whether more than `room` may be fragmented.
    pub may_fragment: bool,
}

/// One datagram socket, without its protocol.
#[derive(Debug)]
pub struct DatagramSocket {
    /// Its options.
    pub common: SocketCommon,
    /// What it received.
    pub queue: ReceiveQueue,
    /// The groups it is in.
    pub groups: Memberships,
    /// It may send from addresses that are not the node's: an accepted intercepted flow.
    pub foreign: bool,
    error: Option<Error>,
    read_closed: bool,
    write_closed: bool,
    /// A send failed for want of room there, and nobody has told it of new room yet.
    blocked_on: Option<InterfaceId>,
    route: Option<(RouteKey, Route)>,
}

type RouteKey = (IpAddr, Option<IpAddr>, Option<InterfaceId>);

impl DatagramSocket {
    /// A fresh socket.
    #[must_use]
    pub fn new(domain: Domain, config: &Config) -> Self {
        Self {
            common: SocketCommon::new(domain, config),
            queue: ReceiveQueue::default(),
            groups: Memberships::default(),
            foreign: false,
            error: None,
            read_closed: false,
            write_closed: false,
            blocked_on: None,
            route: None,
        }
    }

    /// Queues `datagram` and says so; false when the buffer is full or nobody will read.
    pub fn deliver(&mut self, cx: &mut Context<'_>, handle: Handle, datagram: Datagram) -> bool {
        if self.read_closed || !self.queue.push(datagram, self.common.receive_buffer) {
            return false;
        }
        cx.set_ready(handle, Readiness::READABLE);
        true
    }

    /// Takes (or with `peek` only looks at) the next datagram. What `buffer` can't hold of it is
    /// lost. After shutdown, an empty one without end.
    ///
    /// # Errors
    /// A pending error first, then [`Error::WouldBlock`].
    pub fn recv(&mut self, buffer: &mut [u8], peek: bool) -> Result<Received, Error> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let Some(front) = self.queue.front() else {
            return if self.read_closed {
                Ok(self.end())
            } else {
                Err(Error::WouldBlock)
            };
        };
        let mut copied = 0;
        for slice in &front.payload {
            let room = &mut buffer[copied..];
            let n = slice.len().min(room.len());
            room[..n].copy_from_slice(&slice[..n]);
            copied += n;
        }
        let received = Received {
            len: front.len(),
            copied,
            from: self.common.show(front.from),
            to: self.common.show(front.to),
            interface: front.interface,
            ttl: front.ttl,
            tos: front.tos,
            segment: front.segment,
        };
        if !peek {
            self.queue.pop();
        }
        Ok(received)
    }

    /// What `recv` says after shutdown.
    fn end(&self) -> Received {
        let nobody = SocketAddr::new(self.common.domain.unspecified(), 0);
        Received {
            len: 0,
            copied: 0,
            from: nobody,
            to: nobody,
            interface: InterfaceId(0),
            ttl: 0,
            tos: 0,
            segment: None,
        }
    }

    /// Puts an error before the socket: the next call fails with it.
    pub fn set_error(&mut self, cx: &mut Context<'_>, handle: Handle, error: Error) {
        self.error = Some(error);
        let all = Readiness::ERROR | Readiness::READABLE | Readiness::WRITABLE;
        cx.set_ready(handle, all);
    }

    /// An ICMP error arrived about a datagram to `destination`, of which `payload` is quoted. As on
    /// Linux a socket without a peer hears of it by IP_RECVERR alone, a `connected` one also of what
    /// will not pass.
    pub fn icmp_error(
        &mut self,
        cx: &mut Context<'_>,
        handle: Handle,
        error: &IcmpError<'_>,
        destination: Endpoint,
        payload: &[u8],
        connected: bool,
    ) {
        let (kind, fatal) = error.kind.error();
        let (info, hard) = match error.kind {
            IcmpErrorKind::PacketTooBig { mtu } => {
                if self.common.mtu_policy(destination.ip) == MtuDiscover::Never {
                    return;
                }
                (mtu, true)
            }
            // RFC 6633 §5: source quench is ignored.
            IcmpErrorKind::Other => return,
            _ => (0, fatal),
        };
        let report = ErrorReport {
            error: kind,
            origin: Origin::Icmp,
            icmp_type: error.icmp_type,
            icmp_code: error.icmp_code,
            info,
            offender: Some(error.from),
            destination,
            payload: Bytes::copy_from_slice(payload),
        };
        self.report(cx, handle, report, hard && connected);
    }

    /// This node itself finds a datagram to `destination` too long: IP_RECVERR is told as well.
    pub fn refused_here(&mut self, destination: Endpoint, mtu: u32) {
        if !self.wants_errors(destination) {
            return;
        }
        self.queue.push_error(ErrorReport {
            error: Error::MessageSize,
            origin: Origin::Local,
            icmp_type: 0,
            icmp_code: 0,
            info: mtu,
            offender: None,
            destination,
            payload: Bytes::new(),
        });
    }

    fn wants_errors(&self, destination: Endpoint) -> bool {
        let (v4, v6) = self.common.receive_errors;
        if destination.ip.is_ipv4() { v4 } else { v6 }
    }

    /// Queues a report where IP_RECVERR asks for one, and makes it the pending error where that
    /// or `hard` is so: ip(7).
    fn report(&mut self, cx: &mut Context<'_>, handle: Handle, report: ErrorReport, hard: bool) {
        let wanted = self.wants_errors(report.destination);
        let error = report.error;
        if wanted {
            self.queue.push_error(report);
        }
        if wanted || hard {
            self.set_error(cx, handle, error);
        }
    }

    /// The pending error, which it clears: SO_ERROR.
    pub fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }

    /// What it is ready for.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let mut ready = Readiness::empty();
        let failed = self.error.is_some();
        let readable = self.read_closed || self.queue.front().is_some() || failed;
        ready.set(Readiness::READABLE, readable);
        let writable = self.blocked_on.is_none() || self.write_closed || failed;
        ready.set(Readiness::WRITABLE, writable);
        ready.set(Readiness::ERROR, failed || self.queue.has_errors());
        ready.set(Readiness::READ_CLOSED, self.read_closed);
        ready.set(Readiness::HANGUP, self.read_closed && self.write_closed);
        ready
    }

    /// Ends receiving or sending.
    pub fn shutdown(&mut self, cx: &mut Context<'_>, handle: Handle, how: Shutdown) {
        self.read_closed |= how.reads();
        self.write_closed |= how.writes();
        let ready = self.readiness();
        cx.set_ready(handle, ready);
    }

    /// Undoes [`shutdown`](Self::shutdown), as a new `connect` does.
    pub fn reopen(&mut self) {
        self.read_closed = false;
        self.write_closed = false;
    }

    /// What must be in order before anything is sent.
    ///
    /// # Errors
    /// The pending error, [`Error::BrokenPipe`] after shutdown.
    pub fn check_send(&mut self) -> Result<(), Error> {
        if self.write_closed {
            return Err(Error::BrokenPipe);
        }
        self.error.take().map_or(Ok(()), Err)
    }

    /// The way to `to`, from `local` where it is an address to send from.
    ///
    /// # Errors
    /// [`Error::Access`] for a broadcast without SO_BROADCAST, [`Error::Invalid`] when interface
    /// or source of `options` contradict the socket, and those of [`Context::route`].
    pub fn plan(
        &mut self,
        cx: &mut Context<'_>,
        protocol: IpProtocol,
        to: Endpoint,
        local: Option<IpAddr>,
        options: &SendOptions,
    ) -> Result<Plan, Error> {
        let interface = self.leave_by(to, options)?;
        let asked = options.source.map(|ip| ip.to_canonical());
        let bound = local.filter(|&ip| can_be_source(cx, ip));
        let route = self
            .route(cx, (to.ip, asked.or(bound), interface))
            .map_err(|error| match error {
                Error::AddressNotAvailable if asked.is_some() => Error::Invalid,
                other => other,
            })?;
        if route.broadcast && !self.common.broadcast {
            return Err(Error::Access);
        }
        let policy = self.common.mtu_policy(to.ip);
        let route = match policy {
            // These look at the link alone, not at what the path was found to carry.
            MtuDiscover::Probe | MtuDiscover::Interface | MtuDiscover::Omit => Route {
                mtu: cx
                    .inet
                    .interface(route.interface)
                    .map_or(route.mtu, |i| i.mtu()),
                ..route
            },
            MtuDiscover::Never | MtuDiscover::Want | MtuDiscover::Always => route,
        };
        let header = match to.ip {
            IpAddr::V4(_) => ipv4::HEADER_LEN,
            IpAddr::V6(_) => ipv6::HEADER_LEN,
        };
        Ok(Plan {
            info: SendInfo {
                route,
                destination: to.ip,
                protocol,
                hop_limit: match options.ttl {
                    Some(ttl) => ttl,
                    None => self.common.hop_limit(to.ip, cx.config),
                },
                traffic_class: options.tos.unwrap_or(self.common.class(to.ip)),
                flow_label: 0,
                dont_fragment: policy.sets_dont_fragment(),
            },
            room: (route.mtu as usize).saturating_sub(header),
            may_fragment: policy.fragments(),
        })
    }

    /// The route that `connect` to `to` takes its local address from.
    ///
    /// # Errors
    /// Those of [`plan`](Self::plan).
    pub fn connect_route(
        &mut self,
        cx: &mut Context<'_>,
        to: Endpoint,
        local: Option<IpAddr>,
    ) -> Result<Route, Error> {
        let interface = self.leave_by(to, &SendOptions::default())?;
        let bound = local.filter(|&ip| can_be_source(cx, ip));
        let route = self.route(cx, (to.ip, bound, interface))?;
        if route.broadcast && !self.common.broadcast {
            return Err(Error::Access);
        }
        Ok(route)
    }

    /// Hands one packet down: `packet` starts at the transport header.
    ///
    /// # Errors
    /// [`Error::MessageSize`] when it is too large and may not be fragmented, and those of
    /// [`Context::send`].
    pub fn transmit(&self, cx: &mut Context<'_>, plan: &Plan, packet: Packet) -> Result<(), Error> {
        let mut info = plan.info;
        if packet.meta.gso.is_none() && packet.len() > plan.room {
            if !plan.may_fragment {
                return Err(Error::MessageSize);
            }
            info.dont_fragment = false;
        }
        let heard = match info.destination {
            IpAddr::V4(_) => self.common.multicast_loop,
            IpAddr::V6(_) => self.common.multicast_loop_v6,
        };
        if heard {
            cx.send(&info, packet)
        } else {
            cx.send_unheard(&info, packet)
        }
    }

    /// Sets one of the options that all these sockets have.
    ///
    /// # Errors
    /// [`Error::NoDevice`] for an interface that is not there, and those of
    /// [`SocketCommon::set_option`].
    pub fn set_option(
        &mut self,
        cx: &Context<'_>,
        option: SocketOption,
        value: &OptionValue,
    ) -> Result<(), Error> {
        let names_interface = matches!(
            option,
            SocketOption::BindToDevice
                | SocketOption::MulticastInterface
                | SocketOption::MulticastInterfaceV6
        );
        if names_interface {
            let index = u32::try_from(value.int()?).map_err(|_| Error::Invalid)?;
            if index != 0 && cx.inet.interface(InterfaceId(index)).is_none() {
                return Err(Error::NoDevice);
            }
        }
        self.common.set_option(option, value)?;
        self.route = None;
        Ok(())
    }

    /// There is room again where it waited for some.
    pub fn unblock(&mut self, cx: &mut Context<'_>, handle: Handle) {
        self.blocked_on = None;
        cx.set_ready(handle, Readiness::WRITABLE);
    }

    /// Takes the next error report (MSG_ERRQUEUE), and where its datagram was sent to.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] when there is none.
    pub fn recv_error(&mut self) -> Result<(ErrorReport, SocketAddr), Error> {
        let report = self.queue.pop_error().ok_or(Error::WouldBlock)?;
        let to = self.common.show(report.destination);
        Ok((report, to))
    }

    fn leave_by(&self, to: Endpoint, options: &SendOptions) -> Result<Option<InterfaceId>, Error> {
        let Some(asked) = options.interface else {
            return Ok(self.common.out_interface(to));
        };
        let fixed = self.common.device.or(to.scope_interface());
        if fixed.is_some_and(|fixed| fixed != asked) {
            return Err(Error::Invalid);
        }
        Ok(Some(asked))
    }

    fn route(&mut self, cx: &Context<'_>, key: RouteKey) -> Result<Route, Error> {
        if let Some((cached, route)) = self.route
            && cached == key
            && route.version == cx.inet.route_version()
        {
            return Ok(route);
        }
        let (destination, source, interface) = key;
        let route = cx.route(&RouteQuery {
            destination,
            source,
            interface,
            foreign_source: self.foreign,
        })?;
        self.route = Some((key, route));
        Ok(route)
    }
}

/// Sockets of one transport that wait for room on an interface, first come, first served.
#[derive(Debug, Default)]
pub struct Waiters(Vec<(InterfaceId, SocketId)>);

impl Waiters {
    /// Asks for room for `packets` on `interface`; without it, `socket` waits.
    ///
    /// # Errors
    /// [`Error::WouldBlock`].
    pub fn ask(
        &mut self,
        cx: &Context<'_>,
        id: SocketId,
        socket: &mut DatagramSocket,
        interface: InterfaceId,
        packets: usize,
    ) -> Result<(), Error> {
        if cx.tx_room(interface) >= packets {
            self.forget(id, socket);
            return Ok(());
        }
        if socket.blocked_on != Some(interface) {
            self.forget(id, socket);
            socket.blocked_on = Some(interface);
            self.0.push((interface, id));
        }
        Err(Error::WouldBlock)
    }

    /// `socket` waits no more: it is closed or has sent.
    pub fn forget(&mut self, id: SocketId, socket: &mut DatagramSocket) {
        if socket.blocked_on.take().is_some() {
            self.0.retain(|(_, waiting)| *waiting != id);
        }
    }

    /// Takes those that wait for `interface` when it has room; each is then to be told
    /// ([`DatagramSocket::unblock`]).
    pub fn take(&mut self, cx: &Context<'_>, interface: InterfaceId) -> Vec<SocketId> {
        if self.0.is_empty() || cx.tx_room(interface) == 0 {
            return Vec::new();
        }
        let (taken, left) = self.0.iter().partition(|(on, _)| *on == interface);
        self.0 = left;
        let taken: Vec<(InterfaceId, SocketId)> = taken;
        taken.into_iter().map(|(_, id)| id).collect()
    }

    /// Whether somebody waits for `interface`.
    #[must_use]
    pub fn wait_for(&self, interface: InterfaceId) -> bool {
        self.0.iter().any(|(on, _)| *on == interface)
    }
}

/// Copies what a program sends into a fresh packet, with room for all headers before it.
#[must_use]
pub fn gather(data: &[IoSlice<'_>]) -> Packet {
    let len: usize = data.iter().map(|slice| slice.len()).sum();
    let mut buffer = Vec::with_capacity(HEADROOM + len);
    buffer.resize(HEADROOM, 0);
    for slice in data {
        buffer.extend_from_slice(slice);
    }
    Packet::from_vec_at(buffer, HEADROOM)
}

/// Packets that one send waits to have room for; of more fragments than that not all are sure of it.
pub const ROOM_MAX: usize = 128;

impl Plan {
    /// Packets that a datagram of `len` bytes, transport header included, is sent as; at most
    /// [`ROOM_MAX`].
    #[must_use]
    pub fn packets(&self, len: usize) -> usize {
        len.div_ceil(self.room.max(1)).clamp(1, ROOM_MAX)
    }
}

/// The interfaces by which a datagram to `destination` may have left.
#[must_use]
pub fn interfaces_to(cx: &Context<'_>, destination: IpAddr) -> Vec<InterfaceId> {
    if is_scoped(destination) {
        return cx.inet.interfaces().map(|(id, _)| id).collect();
    }
    let query = RouteQuery {
        destination,
        source: None,
        interface: None,
        foreign_source: false,
    };
    let route = cx.route(&query);
    vec![route.map_or(InterfaceId::LOOPBACK, |route| route.interface)]
}

/// Whether a packet may come from a bound address: groups and broadcasts receive only.
fn can_be_source(cx: &Context<'_>, ip: IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast(cx, ip)
}

/// Whether `ip` is 255.255.255.255 or the broadcast address of one of the node's networks.
#[must_use]
pub fn is_broadcast(cx: &Context<'_>, ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.is_broadcast()
                || !cx.inet.is_local(ip.into())
                    && cx
                        .inet
                        .interfaces()
                        .any(|(_, interface)| interface.is_subnet_broadcast(ip))
        }
        IpAddr::V6(_) => false,
    }
}

/// Whether a socket may be bound to `local`: any address, one of the node's, a group or (IPv4) a
/// broadcast address.
///
/// # Errors
/// [`Error::AddressNotAvailable`], [`Error::NoDevice`] for a scope without interface.
pub fn check_bindable(
    cx: &Context<'_>,
    local: Endpoint,
    common: &SocketCommon,
) -> Result<(), Error> {
    if is_scoped(local.ip)
        && let Some(interface) = local.scope_interface()
    {
        let interface = cx.inet.interface(interface).ok_or(Error::NoDevice)?;
        let ours = local.ip.is_multicast() || common.free_bind || interface.has_address(local.ip);
        return ours.then_some(()).ok_or(Error::AddressNotAvailable);
    }
    let ours = local.is_unspecified()
        || local.ip.is_multicast()
        || common.free_bind
        || cx.inet.is_local(local.ip)
        || is_broadcast(cx, local.ip);
    ours.then_some(()).ok_or(Error::AddressNotAvailable)
}
