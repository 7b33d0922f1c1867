//! The way of one datagram: where it leaves, with which headers, how large it may be.

use super::DatagramSocket;
use super::SendOptions;
use super::address::can_be_source;
use crate::demux::Endpoint;
use crate::internet_options::Switches;
use crate::ip::extras::Extras;
use crate::socket::MtuDiscover;
use crate::{Context, Error, InterfaceId, Packet, Route, RouteQuery, SendInfo, Tags};
use core::hash::Hasher;
use siphasher::sip::SipHasher13;
use sockeye_wire::ipv6::FLOW_LABEL_MASK;
use sockeye_wire::{IpProtocol, ipv4, ipv6};
use std::net::IpAddr;

/// Packets that one send waits to have room for; of more fragments than that not all are sure of it.
pub const ROOM_MAX: usize = 128;

/// What a route was looked up by: destination, source and interface.
pub(super) type RouteKey = (IpAddr, Option<IpAddr>, Option<InterfaceId>);

/// A way for one datagram.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the internet layer is told.
    pub info: SendInfo,
    /// Bytes, transport header included, that one packet carries.
    pub room: usize,
    /// Whether more than `room` may be fragmented.
    pub may_fragment: bool,
    /// IPV6_DONTFRAG has it so.
    pub no_fragments: bool,
    /// Headers between the IP header and the transport's.
    pub extras: Extras,
    /// The flow label is the flow's own: see [`label`](Self::label).
    auto_label: bool,
}

impl Plan {
    /// Packets that a datagram of `len` bytes, transport header included, is sent as; at most
    /// [`ROOM_MAX`].
    #[must_use]
    pub fn packets(&self, len: usize) -> usize {
        len.div_ceil(self.room.max(1)).clamp(1, ROOM_MAX)
    }

    /// RFC 6437 §3: the packets of one flow, here from and to `ports`, have one label, and others
    /// can't tell which.
    pub fn label(&mut self, cx: &Context<'_>, ports: (u16, u16)) {
        let SendInfo {
            route,
            destination,
            protocol,
            ..
        } = self.info;
        let (IpAddr::V6(source), IpAddr::V6(destination), true) =
            (route.source, destination, self.auto_label)
        else {
            return;
        };
        let (k0, k1) = cx.inet.secret();
        let mut hasher = SipHasher13::new_with_keys(k0, k1);
        hasher.write(&source.octets());
        hasher.write(&destination.octets());
        hasher.write_u8(protocol.0);
        hasher.write_u16(ports.0);
        hasher.write_u16(ports.1);
        self.info.flow_label = ((hasher.finish() >> 32) as u32 & FLOW_LABEL_MASK).max(1);
    }
}

impl DatagramSocket {
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
        let extras = match self.common.internet.extras() {
            Some(sticky) => options.extras.clone().or(sticky),
            None => options.extras.clone(),
        };
        self.common.may_send_with(to.ip, options)?;
        if let Some(asked) = options.interface
            && cx.inet.interface(asked).is_none()
        {
            return Err(Error::NoDevice);
        }
        let interface = self.leave_by(to, options)?;
        let sticky = self
            .common
            .internet
            .packet_info()
            .1
            .filter(|_| to.ip.is_ipv6());
        let asked = options.source.or(sticky.map(IpAddr::V6));
        let asked = asked.map(|ip| ip.to_canonical());
        let bound = local.filter(|&ip| can_be_source(cx, ip));
        let hop = match (to.ip, &extras.options) {
            (IpAddr::V4(to), Some(options)) => options.first_hop(to).into(),
            (to, _) => to,
        };
        // ip(7), IP_MULTICAST_IF: groups are reached from the address that names the interface.
        let for_groups = match hop {
            IpAddr::V4(v4) if v4.is_multicast() => self.common.multicast_source.map(IpAddr::V4),
            _ => None,
        };
        let source = asked.or(bound).or(for_groups);
        let route = self
            .route(cx, (hop, source, interface))
            .map_err(|error| match error {
                // Linux: from an address that is not the node's nothing is reached over IPv4.
                Error::AddressNotAvailable if hop.is_ipv4() => Error::NetworkUnreachable,
                Error::AddressNotAvailable if asked.is_some() => Error::Invalid,
                other => other,
            })?;
        self.may_take(&route, hop, options)?;
        let route = Route {
            mtu: self.mtu(cx, &route, to.ip),
            ..route
        };
        let no_fragments = to.ip.is_ipv6()
            && options.dont_fragment.unwrap_or_else(|| {
                let switches = self.common.internet.switches;
                switches.contains(Switches::DONT_FRAGMENT)
            });
        let policy = self.common.mtu_policy(to.ip);
        let (before, behind) = extras.len(to.ip.is_ipv4());
        let header = match to.ip {
            IpAddr::V4(_) => ipv4::HEADER_LEN,
            IpAddr::V6(_) => ipv6::HEADER_LEN,
        };
        let label = self.asked_label(options);
        let mut plan = Plan {
            info: self.info(cx, protocol, to.ip, route, options),
            room: (route.mtu as usize).saturating_sub(header + before + behind),
            may_fragment: policy.fragments() && !no_fragments,
            no_fragments,
            extras,
            auto_label: label == 0
                && self
                    .common
                    .internet
                    .switches
                    .contains(Switches::AUTO_FLOW_LABEL),
        };
        plan.label(cx, (0, to.port));
        Ok(plan)
    }

    fn info(
        &self,
        cx: &Context<'_>,
        protocol: IpProtocol,
        destination: IpAddr,
        route: Route,
        options: &SendOptions,
    ) -> SendInfo {
        let (hops, class) = match destination {
            IpAddr::V4(_) => (options.ttl, options.tos),
            IpAddr::V6(_) => (options.hop_limit, options.traffic_class),
        };
        SendInfo {
            route,
            destination,
            protocol,
            hop_limit: hops
                .or(self.common.hop_limit(destination))
                .unwrap_or_else(|| cx.hop_limit(&route)),
            traffic_class: class.unwrap_or(self.common.class(destination)),
            flow_label: self.asked_label(options),
            dont_fragment: self.common.mtu_policy(destination).sets_dont_fragment(),
            tags: Tags {
                mark: options.mark.unwrap_or(self.common.tags.mark),
                priority: options.priority.unwrap_or(self.common.tags.priority),
            },
        }
    }

    /// The flow label that the program asks for, or 0.
    fn asked_label(&self, options: &SendOptions) -> u32 {
        let switches = self.common.internet.switches;
        let counts = switches.contains(Switches::SEND_FLOW_INFO);
        let of_address = options.address_flow_label.filter(|_| counts);
        options.flow_label.or(of_address).unwrap_or(0) & FLOW_LABEL_MASK
    }

    /// Whether the socket may send by `route`.
    fn may_take(&self, route: &Route, hop: IpAddr, options: &SendOptions) -> Result<(), Error> {
        if route.broadcast && !self.common.broadcast {
            return Err(Error::Access);
        }
        // socket(7), send(2): no gateway.
        if (self.settings.dont_route || options.dont_route) && route.next_hop != hop && !route.local
        {
            return Err(Error::NetworkUnreachable);
        }
        Ok(())
    }

    /// Bytes of packet that are sent at the most.
    fn mtu(&self, cx: &Context<'_>, route: &Route, destination: IpAddr) -> u32 {
        let mtu = match self.common.mtu_policy(destination) {
            // These look at the link alone, not at what the path was found to carry.
            MtuDiscover::Probe | MtuDiscover::Interface | MtuDiscover::Omit => cx
                .inet
                .interface(route.interface)
                .map_or(route.mtu, |i| i.mtu_for(destination)),
            MtuDiscover::Never | MtuDiscover::Want | MtuDiscover::Always => route.mtu,
        };
        match (destination, self.common.internet.mtu_v6) {
            (IpAddr::V6(_), own) if own > 0 => mtu.min(own),
            _ => mtu,
        }
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
        cx.send_with_extras(&info, &plan.extras, packet, heard)
    }

    fn leave_by(&self, to: Endpoint, options: &SendOptions) -> Result<Option<InterfaceId>, Error> {
        let sticky = self
            .common
            .internet
            .packet_info()
            .0
            .filter(|_| to.ip.is_ipv6());
        let Some(asked) = options.interface.or(sticky) else {
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
        let internet = &self.common.internet;
        let query = RouteQuery {
            destination,
            source,
            interface,
            foreign_source: self.foreign || internet.switches.contains(Switches::TRANSPARENT),
        };
        let route = cx.route_preferring(&query, internet.preferences)?;
        self.route = Some((key, route));
        Ok(route)
    }
}
