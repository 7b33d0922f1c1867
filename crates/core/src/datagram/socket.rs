//! One socket: receiving, readiness, options. Errors are `errors`'s, the way of what it sends `plan`'s.

use super::plan::RouteKey;
use super::{Control, Datagram, ReceiveQueue, Received, Settings};
use crate::demux::Endpoint;
use crate::multicast::Memberships;
use crate::multicast::membership::SourceChange;
use crate::socket::{Domain, Shutdown, SocketCommon};
use crate::{
    Config, Context, Error, ErrorQueue, Handle, Instant, InterfaceId, IpInfo, OptionValue,
    Readiness, Route, SocketOption, SourceFilter,
};
use std::net::{IpAddr, SocketAddr};

/// struct ip6_mtuinfo without an address: of a socket that has one peer.
#[must_use]
pub fn path_mtu(mtu: u32) -> OptionValue {
    let mut info = vec![0; 28];
    info.extend(mtu.to_ne_bytes());
    OptionValue::Bytes(info)
}

/// One datagram socket, without its protocol.
#[derive(Debug)]
pub struct DatagramSocket {
    /// Its options.
    pub common: SocketCommon,
    /// Its options of socket(7) beside these.
    pub settings: Settings,
    /// What it received.
    pub queue: ReceiveQueue,
    /// What it is told of what it sent.
    pub(super) errors: ErrorQueue,
    /// Sends with MSG_ZEROCOPY so far.
    pub(super) zero_copies: u32,
    /// Datagrams that it had no room for.
    drops: u32,
    /// IPV6_RECVPATHMTU: what a path was found to carry, not told yet.
    pub(super) path_mtu: Option<(u32, Endpoint)>,
    /// The groups it is in.
    pub groups: Memberships,
    /// It may send from addresses that are not the node's: an accepted intercepted flow.
    pub foreign: bool,
    pub(super) error: Option<Error>,
    read_closed: bool,
    write_closed: bool,
    /// A send failed for want of room there, and nobody has told it of new room yet.
    pub(super) blocked_on: Option<InterfaceId>,
    pub(super) route: Option<(RouteKey, Route)>,
}

impl DatagramSocket {
    /// A fresh socket.
    #[must_use]
    pub fn new(domain: Domain, config: &Config) -> Self {
        Self {
            common: SocketCommon::new(domain, config),
            settings: Settings::default(),
            queue: ReceiveQueue::default(),
            errors: ErrorQueue::default(),
            zero_copies: 0,
            drops: 0,
            path_mtu: None,
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
            dropped: self.drops,
            ..datagram
        };
        if self.read_closed || !self.queue.push(datagram, self.common.receive_buffer) {
            self.drops = self.drops.wrapping_add(1);
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
        let Some((number, skipped)) = self.next(peek)? else {
            return Ok(self.end());
        };
        Ok(self.take(buffer, peek, number, skipped))
    }

    /// [`recv`](Self::recv) with what recvmsg tells beside the data.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn recv_message(
        &mut self,
        cx: &Context<'_>,
        buffer: &mut [u8],
        peek: bool,
    ) -> Result<(Received, Vec<Control>), Error> {
        if let Some((mtu, to)) = self.path_mtu.take() {
            let told = vec![Control::PathMtu { mtu, to }];
            let received = Received {
                from: self.common.show(Endpoint { port: 0, ..to }),
                ..self.end()
            };
            return Ok((received, told));
        }
        let Some((number, skipped)) = self.next(peek)? else {
            return Ok((self.end(), Vec::new()));
        };
        let datagram = self.queue.get(number);
        let controls = datagram.map_or(Vec::new(), |datagram| self.controls(cx, datagram));
        Ok((self.take(buffer, peek, number, skipped), controls))
    }

    /// Which datagram is next, and how much of it a peek leaves out (SO_PEEK_OFF); none after shutdown.
    fn next(&mut self, peek: bool) -> Result<Option<(usize, usize)>, Error> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let mut skipped = match usize::try_from(self.settings.peek_offset) {
            Ok(offset) if peek => offset,
            _ => 0,
        };
        for (number, datagram) in self.queue.iter().enumerate() {
            let len = datagram.len();
            if skipped == 0 || skipped < len {
                return Ok(Some((number, skipped)));
            }
            skipped -= len;
        }
        self.read_closed.then_some(None).ok_or(Error::WouldBlock)
    }

    fn take(&mut self, buffer: &mut [u8], peek: bool, number: usize, skipped: usize) -> Received {
        let Some(datagram) = self.queue.get(number) else {
            return self.end();
        };
        let mut copied = 0;
        let mut skip = skipped;
        for slice in &datagram.payload {
            let left = &slice[skip.min(slice.len())..];
            skip -= skip.min(slice.len());
            let room = &mut buffer[copied..];
            let n = left.len().min(room.len());
            room[..n].copy_from_slice(&left[..n]);
            copied += n;
        }
        let received = Received {
            len: datagram.len() - skipped,
            copied,
            from: self.common.show(datagram.from),
            to: self.common.show(datagram.to),
            interface: datagram.interface,
            ttl: datagram.ttl,
            tos: datagram.tos,
            segment: datagram.segment,
            at: datagram.at,
        };
        let offset = &mut self.settings.peek_offset;
        if *offset >= 0 {
            let moved = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
            *offset = match peek {
                true => offset.saturating_add(moved(copied)),
                false => offset.saturating_sub(moved(received.len)).max(0),
            };
        }
        if !peek {
            self.queue.pop();
        }
        received
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

    /// Receives what is sent to `group` on `interface`, or on the one its route leaves by.
    ///
    /// # Errors
    /// [`Error::AddressFamily`] for a group of the other family, and those of [`Memberships::join`].
    pub fn join_group(
        &mut self,
        cx: &mut Context<'_>,
        group: IpAddr,
        interface: Option<InterfaceId>,
    ) -> Result<(), Error> {
        let group = self.common.group(group)?;
        self.groups.join(cx, group, interface)
    }

    /// Takes back [`join_group`](Self::join_group).
    ///
    /// # Errors
    /// [`Error::AddressNotAvailable`] when it is not joined, else as for `join_group`.
    pub fn leave_group(
        &mut self,
        cx: &mut Context<'_>,
        group: IpAddr,
        interface: Option<InterfaceId>,
    ) -> Result<(), Error> {
        let group = self.common.group(group)?;
        self.groups.leave(cx, group, interface)
    }

    /// Changes whether the socket hears `source` in `group`.
    ///
    /// # Errors
    /// [`Error::AddressFamily`] for a group of the other family, and those of
    /// [`Memberships::change`].
    pub fn change_source(
        &mut self,
        cx: &mut Context<'_>,
        (group, interface): (IpAddr, Option<InterfaceId>),
        change: SourceChange,
        source: IpAddr,
    ) -> Result<(), Error> {
        let group = self.common.group(group)?;
        self.groups.change(cx, group, interface, change, source)
    }

    /// Replaces the source filter of a joined group.
    ///
    /// # Errors
    /// [`Error::AddressFamily`] for a group of the other family, and those of
    /// [`Memberships::set_filter`].
    pub fn set_source_filter(
        &mut self,
        cx: &mut Context<'_>,
        (group, interface): (IpAddr, Option<InterfaceId>),
        filter: SourceFilter,
    ) -> Result<(), Error> {
        let group = self.common.group(group)?;
        self.groups.set_filter(cx, group, interface, filter)
    }

    /// The source filter of a joined group.
    ///
    /// # Errors
    /// [`Error::AddressFamily`] for a group of the other family, and those of
    /// [`Memberships::filter`].
    pub fn source_filter(
        &self,
        cx: &Context<'_>,
        (group, interface): (IpAddr, Option<InterfaceId>),
    ) -> Result<SourceFilter, Error> {
        let group = self.common.group(group)?;
        self.groups.filter(cx, group, interface).cloned()
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

    /// The pending error, which it clears: SO_ERROR.
    pub fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }

    /// What it is ready for.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let mut ready = Readiness::empty();
        let failed = self.error.is_some();
        let told = self.path_mtu.is_some();
        let readable = self.read_closed || self.queue.front().is_some() || told || failed;
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
        let index = || value.int().map(i32::cast_unsigned);
        let (index, missing) = match option {
            SocketOption::BindToDevice | SocketOption::MulticastInterfaceV6 => {
                (index()?, Error::NoDevice)
            }
            SocketOption::MulticastInterface => {
                let (_, index) = crate::socket::multicast_device(value)?;
                (index, Error::AddressNotAvailable)
            }
            SocketOption::UnicastInterface | SocketOption::UnicastInterfaceV6 => {
                (u32::from_be(index()?), Error::AddressNotAvailable)
            }
            _ => (0, Error::NoDevice),
        };
        if index != 0 && cx.inet.interface(InterfaceId(index)).is_none() {
            return Err(missing);
        }
        let Self {
            settings, common, ..
        } = self;
        match settings.set(common, option, value, cx.config) {
            Some(set) => set?,
            None => self.common.set_option(option, value)?,
        }
        // ip(7): who wants no errors any more has none to be told.
        let errors = [SocketOption::ReceiveErrors, SocketOption::ReceiveErrorsV6];
        if errors.contains(&option) && !value.flag()? {
            self.errors = ErrorQueue::default();
        }
        self.route = None;
        Ok(())
    }

    /// What one of the options that all these sockets have is set to.
    ///
    /// # Errors
    /// Those of [`SocketCommon::option`].
    pub fn option(&self, cx: &Context<'_>, option: SocketOption) -> Result<OptionValue, Error> {
        match self.settings.get(option) {
            // Linux: of a stream alone.
            _ if option == SocketOption::TransmitRehash => Err(Error::NotSupported),
            Some(value) => Ok(value),
            None => self.common.option(option, cx.config),
        }
    }

    /// [`option`](Self::option), and those that tell of the path between two ends.
    ///
    /// # Errors
    /// [`Error::NotConnected`] for the path without a peer.
    pub fn option_between(
        &mut self,
        cx: &mut Context<'_>,
        option: SocketOption,
        (local, peer): (Option<Endpoint>, Option<Endpoint>),
    ) -> Result<OptionValue, Error> {
        let v6 = [
            SocketOption::MtuV6,
            SocketOption::PathMtu,
            SocketOption::AddressForm,
        ];
        if v6.contains(&option) && self.common.domain == Domain::V4 {
            return Err(Error::NoProtocolOption);
        }
        match option {
            SocketOption::AddressForm if self.common.raw => Err(Error::NoProtocolOption),
            SocketOption::AddressForm => match peer {
                Some(_) => Ok(OptionValue::Int(crate::socket::AF_INET6)),
                None => Err(Error::NotConnected),
            },
            SocketOption::Mtu | SocketOption::MtuV6 | SocketOption::PathMtu => {
                let peer = peer.ok_or(Error::NotConnected)?;
                let mtu = self
                    .connect_route(cx, peer, local.map(|local| local.ip))?
                    .mtu;
                Ok(match option {
                    SocketOption::PathMtu => path_mtu(mtu),
                    _ => OptionValue::Int(i32::try_from(mtu).unwrap_or(i32::MAX)),
                })
            }
            _ => self.option(cx, option),
        }
    }

    /// There is room again where it waited for some.
    pub fn unblock(&mut self, cx: &mut Context<'_>, handle: Handle) {
        self.blocked_on = None;
        cx.set_ready(handle, Readiness::WRITABLE);
    }
}
