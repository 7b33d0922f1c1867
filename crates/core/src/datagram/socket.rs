//! One socket: receiving, errors, readiness, and the way of what it sends.

use super::address::can_be_source;
use super::{Datagram, ErrorReport, Origin, Plan, ReceiveQueue, Received, SendOptions};
use crate::demux::Endpoint;
use crate::multicast::Memberships;
use crate::socket::{Domain, MtuDiscover, Shutdown, SocketCommon};
use crate::transport::IcmpErrorKind;
use crate::{
    Config, Context, Error, ErrorQueue, Handle, IcmpError, Instant, InterfaceId, IpInfo,
    OptionValue, Packet, Readiness, Report, Route, RouteQuery, SendInfo, SocketOption,
};
use bytes::Bytes;
use sockeye_wire::{IpProtocol, ipv4, ipv6};
use std::net::{IpAddr, SocketAddr};

/// One datagram socket, without its protocol.
#[derive(Debug)]
pub struct DatagramSocket {
    /// Its options.
    pub common: SocketCommon,
    /// What it received.
    pub queue: ReceiveQueue,
    /// What it is told of what it sent.
    errors: ErrorQueue,
    /// Sends with MSG_ZEROCOPY so far.
    zero_copies: u32,
    /// The groups it is in.
    pub groups: Memberships,
    /// It may send from addresses that are not the node's: an accepted intercepted flow.
    pub foreign: bool,
    error: Option<Error>,
    read_closed: bool,
    write_closed: bool,
    /// A send failed for want of room there, and nobody has told it of new room yet.
    pub(super) blocked_on: Option<InterfaceId>,
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
            errors: ErrorQueue::default(),
            zero_copies: 0,
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
        let datagram = Datagram {
            at: cx.now,
            ..datagram
        };
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
            at: front.at,
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
            at: Instant::ZERO,
        }
    }

    /// Whether the socket hears a packet to a group: by its source filter where it has joined the
    /// group, else by IP_MULTICAST_ALL and IPV6_MULTICAST_ALL.
    #[must_use]
    pub fn hears(&self, ip: &IpInfo) -> bool {
        let all = match ip.destination {
            IpAddr::V4(_) => self.common.multicast_all,
            IpAddr::V6(_) => self.common.multicast_all_v6,
        };
        let heard = || {
            self.groups
                .hear(ip.destination, ip.source, ip.interface, all)
        };
        !ip.destination.is_multicast() || heard()
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
        self.errors.push(Report::Error(ErrorReport {
            error: Error::MessageSize,
            origin: Origin::Local,
            icmp_type: 0,
            icmp_code: 0,
            info: mtu,
            offender: None,
            destination,
            payload: Bytes::new(),
        }));
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
            self.errors.push(Report::Error(report));
        }
        if wanted || hard {
            self.set_error(cx, handle, error);
        }
    }

    /// A send with MSG_ZEROCOPY has succeeded; its data was copied, so it is over.
    pub fn sent_zero_copy(&mut self, cx: &mut Context<'_>, handle: Handle) {
        if !self.common.zero_copy {
            return;
        }
        let number = self.zero_copies;
        self.zero_copies = number.wrapping_add(1);
        self.errors.push(Report::ZeroCopy {
            first: number,
            last: number,
        });
        cx.set_ready(handle, Readiness::ERROR_QUEUE);
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
        ready.set(Readiness::ERROR, failed);
        ready.set(Readiness::ERROR_QUEUE, !self.errors.is_empty());
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
        // ip(7), IP_MULTICAST_IF: groups are reached from the address that names the interface.
        let for_groups = match to.ip {
            IpAddr::V4(v4) if v4.is_multicast() => self.common.multicast_source.map(IpAddr::V4),
            _ => None,
        };
        let source = asked.or(bound).or(for_groups);
        let route = self
            .route(cx, (to.ip, source, interface))
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
                    .map_or(route.mtu, |i| i.mtu_for(to.ip)),
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
                hop_limit: options
                    .ttl
                    .or(self.common.hop_limit(to.ip))
                    .unwrap_or_else(|| cx.hop_limit(&route)),
                traffic_class: options.tos.unwrap_or(self.common.class(to.ip)),
                flow_label: 0,
                dont_fragment: policy.sets_dont_fragment(),
                tags: self.common.tags,
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
        let named = match option {
            SocketOption::BindToDevice | SocketOption::MulticastInterfaceV6 => {
                Some(u32::try_from(value.int()?).map_err(|_| Error::NoDevice)?)
            }
            SocketOption::MulticastInterface => Some(crate::socket::multicast_device(value)?.1),
            _ => None,
        };
        if let Some(index) = named
            && index != 0
            && cx.inet.interface(InterfaceId(index)).is_none()
        {
            return Err(match option {
                SocketOption::MulticastInterface => Error::AddressNotAvailable,
                _ => Error::NoDevice,
            });
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

    /// Takes the next report of the error queue (MSG_ERRQUEUE), and where its datagram was sent to,
    /// where it is of one.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] when there is none.
    pub fn recv_error(&mut self) -> Result<(Report, Option<SocketAddr>), Error> {
        let report = self.errors.pop().ok_or(Error::WouldBlock)?;
        let to = match &report {
            Report::Error(error) => Some(self.common.show(error.destination)),
            Report::ZeroCopy { .. } => None,
        };
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

    fn route(&mut self, cx: &mut Context<'_>, key: RouteKey) -> Result<Route, Error> {
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
