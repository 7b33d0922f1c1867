//! Raw IP sockets: what they are bound to, what they receive, their options.

use super::common_calls;
use crate::datagram::{Datagram, DatagramSocket, Received, Waiters, check_bindable, interfaces_to};
use crate::demux::Endpoint;
use crate::multicast::membership::SourceChange;
use crate::{
    Config, Context, Counter, Disposition, Domain, Error, Handle, IcmpError, InterfaceId, IpInfo,
    OptionValue, Packet, Readiness, Report, Shutdown, Slab, SocketId, SocketOption, SocketSummary,
    SourceFilter, Transport, TransportId,
};
use sockeye_link::offload;
use sockeye_wire::{IpProtocol, checksum};
use std::any::Any;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Where ICMPv6 has its checksum.
pub(super) const ICMPV6_CHECKSUM: u32 = 2;

/// The raw IP sockets of a node. They see what arrives before its own protocol does, by
/// [`deliver`](Self::deliver), and take nothing away from it.
#[derive(Debug)]
pub struct Raw {
    pub(super) sockets: Slab<Socket>,
    /// Who receives a protocol.
    listeners: BTreeMap<(Domain, IpProtocol), Vec<SocketId>>,
    pub(super) waiters: Waiters,
}

#[derive(Debug)]
pub(super) struct Socket {
    pub(super) base: DatagramSocket,
    pub(super) protocol: IpProtocol,
    /// Its own address; the port is 0.
    pub(super) local: Option<Endpoint>,
    pub(super) peer: Option<Endpoint>,
    /// The port of the peer's address, which means nothing, as it was given.
    pub(super) peer_port: u16,
    /// bind named the address, not connect.
    address_fixed: bool,
    /// IP_HDRINCL.
    pub(super) header_included: bool,
    /// IPV6_CHECKSUM: where a checksum is made when sending and checked when receiving.
    pub(super) checksum_offset: Option<u32>,
    /// ICMP_FILTER: bit n holds back type n.
    icmp_filter: u32,
    /// ICMP6_FILTER: bit n % 8 of byte n / 8 holds back type n.
    icmp6_filter: [u8; 32],
}

pub(super) const fn handle(id: SocketId) -> Handle {
    Handle {
        transport: TransportId::RAW,
        id,
    }
}

common_calls!(Raw, handle);

impl Raw {
    /// No sockets.
    #[must_use]
    pub fn new(_config: &Config) -> Self {
        Self {
            sockets: Slab::default(),
            listeners: BTreeMap::new(),
            waiters: Waiters::default(),
        }
    }

    /// Makes a socket for `protocol`. [`IpProtocol::RAW`] sends any protocol, by headers of its
    /// own, and receives nothing.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] unless [`Config::raw_sockets`] allows it,
    /// [`Error::ProtocolNotSupported`] for protocol 0, [`Error::TooManySockets`].
    pub fn open(
        &mut self,
        cx: &mut Context<'_>,
        domain: Domain,
        protocol: IpProtocol,
    ) -> Result<SocketId, Error> {
        if !cx.config.raw_sockets {
            return Err(Error::NotPermitted);
        }
        if protocol.0 == 0 {
            return Err(Error::ProtocolNotSupported);
        }
        if self.sockets.len() >= cx.config.sockets_max {
            return Err(Error::TooManySockets);
        }
        let mut base = DatagramSocket::new(domain, cx.config);
        base.common.only_v6 = domain == Domain::V6;
        base.common.raw = true;
        // raw(7): the protocol takes the place of a port.
        base.common.bound = true;
        base.foreign = cx.config.foreign_sources;
        let icmpv6 = (domain, protocol) == (Domain::V6, IpProtocol::ICMPV6);
        let id = self.sockets.insert(Socket {
            base,
            protocol,
            local: None,
            peer: None,
            peer_port: 0,
            address_fixed: false,
            header_included: protocol == IpProtocol::RAW,
            checksum_offset: icmpv6.then_some(ICMPV6_CHECKSUM),
            icmp_filter: 0,
            icmp6_filter: [0; 32],
        });
        if protocol != IpProtocol::RAW {
            self.listeners
                .entry((domain, protocol))
                .or_default()
                .push(id);
        }
        Ok(id)
    }

    /// Closes a socket; what it had received is lost.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn close(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), Error> {
        let mut socket = self.sockets.remove(id).ok_or(Error::BadSocket)?;
        let key = (socket.base.common.domain, socket.protocol);
        if let Some(listeners) = self.listeners.get_mut(&key) {
            listeners.retain(|other| *other != id);
            if listeners.is_empty() {
                self.listeners.remove(&key);
            }
        }
        self.waiters.forget(id, &mut socket.base);
        cx.inet.router_alerts.set(id, None, None);
        socket.base.groups.leave_all(cx);
        Ok(())
    }

    /// Receives only what is sent to `addr`, and sends from it. The port means nothing.
    ///
    /// # Errors
    /// [`Error::AddressNotAvailable`] when the address is not the node's, unless
    /// [`Config::foreign_sources`] allows it, and those of
    /// [`SocketCommon::local`](crate::SocketCommon::local).
    pub fn bind(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        addr: SocketAddr,
    ) -> Result<(), Error> {
        let socket = self.socket_mut(id)?;
        let mut local = socket.base.common.local(addr)?;
        match check_bindable(cx, local, &socket.base.common) {
            Err(Error::AddressNotAvailable) if cx.config.foreign_sources => {}
            done => done?,
        }
        local.port = 0;
        socket.address_fixed = !local.is_unspecified();
        socket.local = socket.address_fixed.then_some(local);
        Ok(())
    }

    /// Receives only from `addr`, and sends there without being told. `None` takes it back. The
    /// port means nothing.
    ///
    /// # Errors
    /// [`Error::Access`] for a broadcast address without SO_BROADCAST, and those of routing.
    pub fn connect(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        addr: Option<SocketAddr>,
    ) -> Result<(), Error> {
        let socket = self.socket_mut(id)?;
        let fixed = socket.local.filter(|_| socket.address_fixed);
        let (peer, own) = match addr {
            None => (None, None),
            Some(addr) => {
                let mut peer = socket.base.common.remote(addr)?;
                peer.port = 0;
                let bound = fixed.map(|local| local.ip);
                let route = socket.base.connect_route(cx, peer, bound)?;
                let own = Endpoint::own(&route, peer, 0);
                (Some(peer), Some(own))
            }
        };
        socket.local = fixed.or(own);
        socket.peer = peer;
        socket.peer_port = addr.map_or(0, |addr| addr.port());
        socket.base.reopen();
        Ok(())
    }

    /// Its own address; the protocol stands in the port, as on Linux.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn local_addr(&self, id: SocketId) -> Result<SocketAddr, Error> {
        Ok(self.socket(id)?.shown_local())
    }

    /// Sets an option.
    ///
    /// # Errors
    /// [`Error::NotSupported`] for the filter of a protocol that the socket does not have,
    /// [`Error::Invalid`] for values out of range, and those of
    /// [`SocketCommon::set_option`](crate::SocketCommon::set_option).
    pub fn set_option(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        option: SocketOption,
        value: OptionValue,
    ) -> Result<(), Error> {
        let socket = self.socket_mut(id)?;
        socket.has(option)?;
        super::refuse_zero_copy(option)?;
        match option {
            SocketOption::HeaderIncluded => socket.header_included = value.flag()?,
            SocketOption::ChecksumOffset => {
                socket.checksum_offset = match (socket.protocol, value.int()?) {
                    // RFC 3542 §3.1: ICMPv6 always has its own.
                    (IpProtocol::ICMPV6, _) => return Err(Error::Invalid),
                    // Linux: whatever is below zero is none.
                    (_, ..0) => None,
                    (_, at) if at % 2 == 0 => Some(at.cast_unsigned()),
                    _ => return Err(Error::Invalid),
                };
            }
            SocketOption::IcmpFilter => match value {
                OptionValue::Bytes(mask) => {
                    let mut filter = socket.icmp_filter.to_ne_bytes();
                    overlay(&mut filter, &mask)?;
                    socket.icmp_filter = u32::from_ne_bytes(filter);
                }
                _ => return Err(Error::Invalid),
            },
            SocketOption::Icmp6Filter => match value {
                OptionValue::Bytes(mask) => overlay(&mut socket.icmp6_filter, &mask)?,
                _ => return Err(Error::Invalid),
            },
            SocketOption::Mtu => return Err(Error::NoProtocolOption),
            SocketOption::RouterAlert | SocketOption::RouterAlertV6 => {
                return self.set_router_alert(cx, id, option, &value);
            }
            _ => {
                socket.base.set_option(cx, option, &value)?;
                let device = socket.base.common.device;
                cx.inet.router_alerts.rebind(id, device);
            }
        }
        Ok(())
    }

    /// What an option is set to.
    ///
    /// # Errors
    /// As for [`set_option`](Self::set_option); [`Error::NotConnected`] for the MTU without a peer.
    pub fn option(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        option: SocketOption,
    ) -> Result<OptionValue, Error> {
        let socket = self.socket_mut(id)?;
        socket.has(option)?;
        Ok(match option {
            SocketOption::HeaderIncluded => OptionValue::Flag(socket.header_included),
            SocketOption::ChecksumOffset => {
                OptionValue::Int(socket.checksum_offset.map_or(-1, u32::cast_signed))
            }
            SocketOption::IcmpFilter => {
                OptionValue::Bytes(socket.icmp_filter.to_ne_bytes().to_vec())
            }
            SocketOption::Icmp6Filter => OptionValue::Bytes(socket.icmp6_filter.to_vec()),
            SocketOption::ProtocolNumber => OptionValue::Int(socket.protocol.0.into()),
            _ => {
                let ends = (socket.local, socket.peer);
                return socket.base.option_between(cx, option, ends);
            }
        })
    }

    /// Gives every socket that wants it a copy of a received packet, whose window stands where
    /// `ip` says. To be called before the protocol's own handler. True when somebody wanted it.
    ///
    /// IPv4 sockets get the IP header too, IPv6 ones do not (raw(7), RFC 3542 §3).
    pub fn deliver(&mut self, cx: &mut Context<'_>, ip: &IpInfo, packet: &Packet) -> bool {
        let domain = match ip.destination {
            IpAddr::V4(_) => Domain::V4,
            IpAddr::V6(_) => Domain::V6,
        };
        let Some(listeners) = self.listeners.get(&(domain, ip.protocol)) else {
            return false;
        };
        if !ip.local {
            return false;
        }
        let mut copy = None;
        for &id in listeners {
            let Some(socket) = self.sockets.get_mut(id) else {
                continue;
            };
            if !socket.wants(ip, packet) {
                continue;
            }
            let datagram =
                copy.get_or_insert_with(|| copy_of(ip, packet, ip.destination.is_ipv4()));
            if !socket.base.deliver(cx, handle(id), datagram.clone()) {
                cx.drop_packet(Counter::RawRcvbufErrors);
            }
        }
        copy.is_some()
    }

    /// Tells the sockets of `protocol` of an ICMP error about a packet that they may have sent.
    /// True when there was one.
    pub fn error_arrives(
        &mut self,
        cx: &mut Context<'_>,
        protocol: IpProtocol,
        error: &IcmpError<'_>,
    ) -> bool {
        let domain = match error.destination {
            IpAddr::V4(_) => Domain::V4,
            IpAddr::V6(_) => Domain::V6,
        };
        let mut told = false;
        let left_by = interfaces_to(cx, error.destination);
        for &id in self
            .listeners
            .get(&(domain, protocol))
            .into_iter()
            .flatten()
        {
            let Some(socket) = self.sockets.get_mut(id) else {
                continue;
            };
            let device = socket.base.common.device;
            let to = Endpoint::new(error.destination, 0);
            let concerned = socket.local.is_none_or(|local| local.ip == error.source)
                && socket.peer.is_none_or(|peer| peer.ip == to.ip)
                && device.is_none_or(|device| left_by.contains(&device));
            if concerned {
                told = true;
                let connected = socket.peer.is_some();
                let base = &mut socket.base;
                base.icmp_error(cx, handle(id), error, to, error.quoted, connected);
            }
        }
        told
    }
}

impl Socket {
    fn wants(&self, ip: &IpInfo, packet: &Packet) -> bool {
        let from = Endpoint::on(ip.interface, ip.source, 0);
        let to = Endpoint::on(ip.interface, ip.destination, 0);
        self.local.is_none_or(|local| local == to)
            && self.peer.is_none_or(|peer| peer == from)
            && self
                .base
                .common
                .device
                .is_none_or(|own| own == ip.interface)
            && self.base.hears(ip)
            && !self.is_filtered(packet)
            && self.is_intact(ip, packet)
    }

    /// ICMP_FILTER and ICMP6_FILTER.
    fn is_filtered(&self, packet: &Packet) -> bool {
        let kind = packet.chunks().find_map(|chunk| chunk.first().copied());
        let Some(kind) = kind else { return false };
        match (self.base.common.domain, self.protocol) {
            (Domain::V4, IpProtocol::ICMP) => {
                kind < 32 && self.icmp_filter & (1 << u32::from(kind)) != 0
            }
            (Domain::V6, IpProtocol::ICMPV6) => {
                self.icmp6_filter[usize::from(kind / 8)] & (1 << (kind % 8)) != 0
            }
            _ => false,
        }
    }

    /// RFC 3542 §3.1: where the socket names the place of a checksum, it is checked.
    fn is_intact(&self, ip: &IpInfo, packet: &Packet) -> bool {
        if self.checksum_offset.is_none() || packet.meta.checksum != crate::Checksum::Unverified {
            return true;
        }
        let len = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        let (from, to) = (ip.source, ip.destination);
        checksum::transport(from, to, ip.protocol, len, packet.chunks()).is_valid()
    }

    fn has(&self, option: SocketOption) -> Result<(), Error> {
        match (option, self.base.common.domain, self.protocol) {
            (SocketOption::IcmpFilter, Domain::V4, IpProtocol::ICMP)
            | (SocketOption::Icmp6Filter, Domain::V6, IpProtocol::ICMPV6) => Ok(()),
            (SocketOption::IcmpFilter, Domain::V6, _) => Err(Error::NoProtocolOption),
            (SocketOption::IcmpFilter | SocketOption::Icmp6Filter, ..) => Err(Error::NotSupported),
            (SocketOption::ChecksumOffset, Domain::V4, _) => Err(Error::NoProtocolOption),
            _ => Ok(()),
        }
    }

    fn shown_local(&self) -> SocketAddr {
        let common = &self.base.common;
        let any = Endpoint::new(common.domain.unspecified(), 0);
        let local = Endpoint {
            port: self.protocol.0.into(),
            ..self.local.unwrap_or(any)
        };
        common.show(local)
    }
}

/// Linux: of a filter that is given in part the rest stays.
fn overlay(filter: &mut [u8], part: &[u8]) -> Result<(), Error> {
    let place = filter.get_mut(..part.len()).ok_or(Error::Invalid)?;
    place.copy_from_slice(part);
    Ok(())
}

/// What raw sockets get of a packet: all checksums made, with its IP header or without.
pub(super) fn copy_of(ip: &IpInfo, packet: &Packet, with_header: bool) -> Datagram {
    let mut packet = packet.clone();
    // One that can't be made is shown as it came.
    let _ = offload::fill_checksum(&mut packet);
    let headers = Datagram::headers_of(ip, &packet, 0);
    if with_header {
        packet.unpull(ip.header_len.into());
    }
    Datagram::new(ip, (0, 0), packet).with_headers(headers)
}

impl Transport for Raw {
    fn id(&self) -> TransportId {
        TransportId::RAW
    }

    fn on_packet(&mut self, cx: &mut Context<'_>, ip: &IpInfo, packet: Packet) -> Disposition {
        if self.deliver(cx, ip, &packet) {
            Disposition::Taken
        } else {
            Disposition::NoSocket(packet)
        }
    }

    fn sockets(&self) -> Vec<SocketSummary> {
        let summary = |(id, socket): (SocketId, &Socket)| SocketSummary {
            handle: handle(id),
            state: if socket.peer.is_some() {
                "ESTAB"
            } else {
                "UNCONN"
            },
            local: socket.shown_local(),
            remote: socket.peer.map(|peer| socket.base.common.show(peer)),
            recv_queue: socket.base.queue.used(),
            send_queue: 0,
        };
        self.sockets.iter().map(summary).collect()
    }

    fn has_output(&self, interface: InterfaceId) -> bool {
        self.waiters.wait_for(interface)
    }

    /// Raw sockets hold nothing back: this only tells them that there is room again.
    fn poll_transmit(&mut self, cx: &mut Context<'_>, interface: InterfaceId, _: usize) -> bool {
        self.wake_waiters(cx, interface)
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
