//! One step of each operation, under the shard's lock: which transport it goes to.

use super::receive::Notes;
use super::{Domain, Protocol, Type};
use crate::error::os;
use crate::shard::State;
use sockeye_core::datagram::{Control, Received, SendOptions};
use sockeye_core::multicast::membership::SourceChange;
use sockeye_core::{
    Context, Error, Handle, Instant, InterfaceId, Readiness, Shutdown, SocketId, SourceFilter,
    TransportId,
};
use sockeye_core::{OptionValue, SocketOption};
use sockeye_dccp::Dccp;
use sockeye_sctp::{AssocId, Style};
use sockeye_tcp::{Opened, SendFlags, Tcp};
use sockeye_unix::{SocketType, Unix};
use sockeye_wire::IpProtocol;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};

/// What a socket is: which transport holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Udp,
    UdpLite,
    /// SCTP, one-to-one (SOCK_STREAM) or one-to-many (SOCK_SEQPACKET).
    Sctp(Style),
    Dccp,
    Ping,
    Raw,
    /// AF_PACKET, `cooked` as SOCK_DGRAM.
    Packet {
        cooked: bool,
    },
    /// AF_UNIX.
    Unix(SocketType),
}

/// IPPROTO_MAX: no protocol of IP has this number, nor one beyond.
const PROTOCOL_END: i32 = 263;

impl Kind {
    /// The kind that socket(2)'s arguments mean.
    pub(super) fn find(domain: Domain, ty: Type, protocol: Option<Protocol>) -> io::Result<Self> {
        if domain == Domain::PACKET {
            return match ty {
                Type::RAW => Ok(Self::Packet { cooked: false }),
                Type::DGRAM => Ok(Self::Packet { cooked: true }),
                _ => Err(os(libc::ESOCKTNOSUPPORT)),
            };
        }
        if domain == Domain::UNIX {
            return match (ty, protocol) {
                (_, Some(Protocol(protocol))) if protocol != 0 && protocol != libc::AF_UNIX => {
                    Err(os(libc::EPROTONOSUPPORT))
                }
                (Type::STREAM, _) => Ok(Self::Unix(SocketType::Stream)),
                (Type::DGRAM | Type::RAW, _) => Ok(Self::Unix(SocketType::Datagram)),
                (Type::SEQPACKET, _) => Ok(Self::Unix(SocketType::SeqPacket)),
                _ => Err(os(libc::ESOCKTNOSUPPORT)),
            };
        }
        if protocol.is_some_and(|protocol| !(0..PROTOCOL_END).contains(&protocol.0)) {
            return Err(os(libc::EINVAL));
        }
        let echo = match domain {
            Domain::IPV6 => Protocol::ICMPV6,
            _ => Protocol::ICMPV4,
        };
        match (ty, protocol.filter(|protocol| protocol.0 != 0)) {
            (Type::STREAM, None | Some(Protocol::TCP)) => Ok(Self::Tcp),
            (Type::DGRAM, None | Some(Protocol::UDP)) => Ok(Self::Udp),
            (Type::DGRAM, Some(Protocol::UDPLITE)) => Ok(Self::UdpLite),
            (Type::STREAM, Some(Protocol::SCTP)) => Ok(Self::Sctp(Style::OneToOne)),
            (Type::SEQPACKET, None | Some(Protocol::SCTP)) => Ok(Self::Sctp(Style::OneToMany)),
            (Type::DGRAM, Some(protocol)) if protocol == echo => Ok(Self::Ping),
            (Type::RAW, Some(Protocol(1..=255))) => Ok(Self::Raw),
            (Type::DCCP, None | Some(Protocol::DCCP)) => Ok(Self::Dccp),
            (Type::STREAM | Type::DGRAM | Type::RAW | Type::SEQPACKET | Type::DCCP, Some(_))
            | (Type::RAW, None) => Err(os(libc::EPROTONOSUPPORT)),
            _ => Err(os(libc::ESOCKTNOSUPPORT)),
        }
    }

    pub(super) const fn ty(self) -> Type {
        match self {
            Self::Tcp | Self::Sctp(Style::OneToOne) => Type::STREAM,
            Self::Sctp(Style::OneToMany) => Type::SEQPACKET,
            Self::Dccp => Type::DCCP,
            Self::Udp | Self::UdpLite | Self::Ping | Self::Packet { cooked: true } => Type::DGRAM,
            Self::Raw | Self::Packet { cooked: false } => Type::RAW,
            Self::Unix(SocketType::Stream) => Type::STREAM,
            Self::Unix(SocketType::Datagram) => Type::DGRAM,
            Self::Unix(SocketType::SeqPacket) => Type::SEQPACKET,
        }
    }

    /// The protocol that SO_PROTOCOL tells.
    pub(super) fn protocol(self, asked: Option<Protocol>) -> Protocol {
        match self {
            Self::Tcp => Protocol::TCP,
            Self::Udp => Protocol::UDP,
            Self::UdpLite => Protocol::UDPLITE,
            Self::Sctp(_) => Protocol::SCTP,
            Self::Dccp => Protocol::DCCP,
            Self::Ping | Self::Raw | Self::Packet { .. } => asked.unwrap_or(Protocol(0)),
            // Linux tells none, whatever was asked for.
            Self::Unix(_) => Protocol(0),
        }
    }

    pub(crate) const fn transport(self) -> TransportId {
        match self {
            Self::Tcp => TransportId::TCP,
            Self::Udp => TransportId::UDP,
            Self::UdpLite => TransportId::UDPLITE,
            Self::Sctp(_) => TransportId::SCTP,
            Self::Dccp => TransportId::DCCP,
            Self::Ping => TransportId::PING,
            Self::Raw => TransportId::RAW,
            Self::Packet { .. } => TransportId::PACKET,
            Self::Unix(_) => TransportId::UNIX,
        }
    }

    /// Whether it has connections that are listened for and accepted.
    pub(super) const fn has_connections(self) -> bool {
        matches!(self, Self::Tcp | Self::Sctp(_) | Self::Dccp)
    }

    /// Whether it carries messages, or is a stream that one step of a call does for: not TCP.
    pub(super) const fn is_datagram(self) -> bool {
        !matches!(self, Self::Tcp)
    }

    pub(super) fn open(
        self,
        node: &mut sockeye_node::Node,
        now: Instant,
        domain: Domain,
        protocol: Protocol,
    ) -> Result<Handle, Error> {
        if let Self::Packet { cooked } = self {
            let (packets, mut cx) = node.packets(now);
            let id = packets.open(&mut cx, cooked, protocol.ethertype())?;
            return Ok(Handle {
                transport: self.transport(),
                id,
            });
        }
        if let Self::Unix(ty) = self {
            let (unix, mut cx) = node.unix(now);
            let id = unix.open(&mut cx, ty, super::unix::caller())?;
            return Ok(Handle {
                transport: self.transport(),
                id,
            });
        }
        let domain = domain.core()?;
        let id = match self {
            Self::Packet { .. } | Self::Unix(_) => unreachable!("it has been made"),
            Self::Tcp => {
                let (tcp, mut cx) = node.tcp(now);
                tcp.open(&mut cx, domain)?
            }
            Self::Udp => {
                let (udp, mut cx) = node.udp(now);
                udp.open(&mut cx, domain)?
            }
            Self::UdpLite => {
                let (udp, mut cx) = node.udp_lite(now);
                udp.open(&mut cx, domain)?
            }
            Self::Sctp(style) => {
                let (sctp, mut cx) = node.sctp(now);
                sctp.open(&mut cx, domain, style)?
            }
            Self::Dccp => {
                let (dccp, mut cx) = node.dccp(now);
                dccp.open(&mut cx, domain)?
            }
            Self::Ping => {
                let (ping, mut cx) = node.ping(now);
                ping.open(&mut cx, domain)?
            }
            Self::Raw => {
                let number = u8::try_from(protocol.0);
                let number = number.map_err(|_| Error::ProtocolNotSupported)?;
                let (raw, mut cx) = node.raw(now);
                raw.open(&mut cx, domain, IpProtocol(number))?
            }
        };
        Ok(Handle {
            transport: self.transport(),
            id,
        })
    }
}

/// A socket in its transport, for one step.
pub(crate) struct Op<'a> {
    pub(super) state: &'a mut State,
    pub(super) now: Instant,
    pub(super) kind: Kind,
    pub(super) id: SocketId,
}

/// A call on one of the node's transports, with its context.
macro_rules! on {
    ($op:expr, $transport:ident, |$name:ident, $cx:ident| $call:expr) => {{
        #[allow(unused_mut, unused_variables, reason = "not every call takes it")]
        let ($name, mut $cx) = $op.state.node.$transport($op.now);
        $call
    }};
}

/// The same call on whatever has datagrams of hosts; streams and packet sockets answer with
/// `$stream` and `$link`.
macro_rules! of_hosts {
    ($op:expr, ($stream:expr, $link:expr), |$transport:ident, $cx:ident, $id:ident| $call:expr) => {{
        let $id = $op.id;
        match $op.kind {
            Kind::Tcp | Kind::Sctp(_) | Kind::Dccp => $stream,
            Kind::Udp => on!($op, udp, |$transport, $cx| $call),
            Kind::UdpLite => on!($op, udp_lite, |$transport, $cx| $call),
            Kind::Ping => on!($op, ping, |$transport, $cx| $call),
            Kind::Raw => on!($op, raw, |$transport, $cx| $call),
            Kind::Packet { .. } | Kind::Unix(_) => $link,
        }
    }};
}

/// The same call on whatever datagram transport it is; `$stream` for a stream.
macro_rules! datagram {
    ($op:expr, $stream:expr, |$transport:ident, $cx:ident, $id:ident| $call:expr) => {
        if let Kind::Unix(_) = $op.kind {
            let $id = $op.id;
            on!($op, unix, |$transport, $cx| $call)
        } else {
            of_hosts!(
                $op,
                ($stream, on!($op, packets, |$transport, $cx| $call)),
                |$transport, $cx, $id| $call
            )
        }
    };
}

/// The same call on whatever transport it is that has connections; `$other` for the rest.
macro_rules! connections {
    ($op:expr, $other:expr, |$transport:ident, $cx:ident, $id:ident| $call:expr) => {{
        let $id = $op.id;
        match $op.kind {
            Kind::Tcp => on!($op, tcp, |$transport, $cx| $call),
            Kind::Sctp(_) => on!($op, sctp, |$transport, $cx| $call),
            Kind::Dccp => on!($op, dccp, |$transport, $cx| $call),
            _ => $other,
        }
    }};
}

/// The same call on whatever transport it is.
macro_rules! any {
    ($op:expr, |$transport:ident, $cx:ident, $id:ident| $call:expr) => {
        datagram!(
            $op,
            connections!($op, Err(Error::NotSupported), |$transport, $cx, $id| $call),
            |$transport, $cx, $id| $call
        )
    };
}

impl Op<'_> {
    pub(super) fn bind(&mut self, address: SocketAddr) -> Result<(), Error> {
        any!(self, |t, cx, id| t.bind(&mut cx, id, address))
    }

    /// What only DCCP has.
    pub(super) fn dccp<R>(
        &mut self,
        call: impl FnOnce(&mut Dccp, &mut Context<'_>, SocketId) -> Result<R, Error>,
    ) -> Result<R, Error> {
        if self.kind != Kind::Dccp {
            return Err(Error::NotSupported);
        }
        let (dccp, mut cx) = self.state.node.dccp(self.now);
        call(dccp, &mut cx, self.id)
    }

    pub(super) fn listen(&mut self, backlog: usize) -> Result<(), Error> {
        if let Kind::Unix(_) = self.kind {
            let (unix, mut cx) = self.state.node.unix(self.now);
            return unix.listen(&mut cx, self.id, backlog, super::unix::caller());
        }
        connections!(self, Err(Error::NotSupported), |t, cx, id| t
            .listen(&mut cx, id, backlog))
    }

    pub(super) fn accept(&mut self) -> Result<(Handle, SocketAddr), Error> {
        let (id, peer) = connections!(self, Err(Error::NotSupported), |t, cx, id| t
            .accept(&mut cx, id))?;
        let handle = Handle {
            transport: self.kind.transport(),
            id,
        };
        self.state.open.insert(handle);
        Ok((handle, peer))
    }

    pub(super) fn connect(&mut self, address: SocketAddr) -> Result<(), Error> {
        datagram!(
            self,
            connections!(self, Err(Error::NotSupported), |t, cx, id| t
                .connect(&mut cx, id, address)),
            |t, cx, id| t.connect(&mut cx, id, Some(address))
        )
    }

    pub(super) fn disconnect(&mut self) -> Result<(), Error> {
        let stream = match self.kind {
            Kind::Tcp => on!(self, tcp, |tcp, cx| tcp.disconnect(&mut cx, self.id)),
            Kind::Dccp => on!(self, dccp, |dccp, cx| dccp.disconnect(&mut cx, self.id)),
            _ => Err(Error::NotSupported),
        };
        datagram!(self, stream, |t, cx, id| t.connect(&mut cx, id, None))
    }

    pub(super) fn shutdown(&mut self, how: Shutdown) -> Result<(), Error> {
        any!(self, |t, cx, id| t.shutdown(&mut cx, id, how))
    }

    pub(super) fn abort(&mut self) -> Result<(), Error> {
        connections!(self, Err(Error::NotSupported), |t, cx, id| t
            .abort(&mut cx, id))
    }

    pub(super) fn local_addr(&mut self) -> Result<SocketAddr, Error> {
        any!(self, |t, cx, id| t.local_addr(id))
    }

    pub(super) fn peer_addr(&mut self) -> Result<SocketAddr, Error> {
        any!(self, |t, cx, id| t.peer_addr(id))
    }

    pub(super) fn take_error(&mut self) -> Result<Option<Error>, Error> {
        any!(self, |t, cx, id| t.take_error(id))
    }

    pub(crate) fn readiness(&mut self) -> Result<Readiness, Error> {
        any!(self, |t, cx, id| t.readiness(id))
    }

    pub(super) fn set_option(
        &mut self,
        option: SocketOption,
        value: OptionValue,
    ) -> Result<(), Error> {
        any!(self, |t, cx, id| t.set_option(&mut cx, id, option, value))
    }

    pub(super) fn option(&mut self, option: SocketOption) -> Result<OptionValue, Error> {
        if let Kind::Sctp(_) = self.kind {
            let (sctp, mut cx) = self.state.node.sctp(self.now);
            return sctp.option(&mut cx, self.id, option);
        }
        datagram!(
            self,
            {
                if self.kind == Kind::Dccp {
                    let (dccp, mut cx) = self.state.node.dccp(self.now);
                    return dccp.option(&mut cx, self.id, option);
                }
                let (tcp, cx) = self.state.node.tcp(self.now);
                tcp.option(&cx, self.id, option)
            },
            |t, cx, id| t.option(&mut cx, id, option)
        )
    }

    /// Whether the step made the node say something, or want a turn before the last one planned it.
    pub(super) fn wants_turn(&mut self) -> bool {
        let node = &mut self.state.node;
        node.has_queued()
            || node.tcp(self.now).0.has_output()
            || node.sctp(self.now).0.has_output()
            || node.dccp(self.now).0.has_output()
            || self.state.deadline() < self.state.planned
    }

    /// Whether it is ready for one of `what`, or will never be.
    pub(super) fn ready(&mut self, what: Readiness) -> Result<(), Error> {
        let ended = Readiness::ERROR | Readiness::HANGUP;
        match self.readiness()?.intersects(what | ended) {
            true => Ok(()),
            false => Err(Error::WouldBlock),
        }
    }

    /// The end of connecting, once there is one.
    pub(super) fn connected(&mut self) -> Result<(), Error> {
        let ready = self.readiness()?;
        let ended = Readiness::WRITABLE | Readiness::ERROR | Readiness::HANGUP;
        if !ready.intersects(ended) {
            return Err(Error::WouldBlock);
        }
        if self.kind.has_connections() {
            return connections!(self, Err(Error::NotSupported), |t, cx, id| t.connected(id));
        }
        match self.take_error()? {
            Some(error) => Err(error),
            None => self.peer_addr().map(|_| ()),
        }
    }

    pub(super) fn send_open(
        &mut self,
        to: Option<SocketAddr>,
        data: &[IoSlice<'_>],
        waits: bool,
    ) -> Result<Opened, Error> {
        let (tcp, mut cx) = self.state.node.tcp(self.now);
        tcp.send_open(&mut cx, self.id, to, data, waits)
    }

    pub(super) fn connects_on_send(&mut self) -> bool {
        self.state.node.tcp(self.now).0.connects_on_send(self.id)
    }

    pub(super) fn send(&mut self, data: &[IoSlice<'_>], flags: SendFlags) -> Result<usize, Error> {
        let (tcp, mut cx) = self.state.node.tcp(self.now);
        tcp.send_with(&mut cx, self.id, data, flags)
    }

    pub(super) fn recv(&mut self, out: &mut [u8], peek: bool) -> Result<usize, Error> {
        let (tcp, mut cx) = self.state.node.tcp(self.now);
        match peek {
            true => tcp.peek(&mut cx, self.id, out),
            false => tcp.recv(&mut cx, self.id, out),
        }
    }

    pub(super) fn send_datagram(
        &mut self,
        data: &[IoSlice<'_>],
        to: Option<SocketAddr>,
        options: &SendOptions,
    ) -> Result<usize, Error> {
        if let Kind::Sctp(_) = self.kind {
            let (sctp, mut cx) = self.state.node.sctp(self.now);
            let info = sctp.send_info(self.id)?;
            return sctp.send_msg(&mut cx, self.id, data, to, &info);
        }
        if self.kind == Kind::Dccp {
            let (dccp, mut cx) = self.state.node.dccp(self.now);
            return dccp.send(&mut cx, self.id, data, to, options);
        }
        datagram!(self, Err(Error::NotSupported), |t, cx, id| t
            .send(&mut cx, id, data, to, options))
    }

    pub(super) fn recv_datagram(&mut self, out: &mut [u8], peek: bool) -> Result<Received, Error> {
        if let Kind::Sctp(_) = self.kind {
            return self.recv_sctp(out, peek);
        }
        if self.kind == Kind::Dccp {
            let (dccp, mut cx) = self.state.node.dccp(self.now);
            return dccp.recv(&mut cx, self.id, out, peek);
        }
        datagram!(self, Err(Error::NotSupported), |t, cx, id| t
            .recv(&mut cx, id, out, peek))
    }

    /// A message of an association, as a datagram, or a notification: who reads it so and has asked for
    /// those can't tell them apart, as on Linux.
    fn recv_sctp(&mut self, out: &mut [u8], peek: bool) -> Result<Received, Error> {
        let (sctp, mut cx) = self.state.node.sctp(self.now);
        let (len, from) = match sctp.recv_msg(&mut cx, self.id, out, peek)? {
            sockeye_sctp::Incoming::Message(received) => (received.len, received.from),
            sockeye_sctp::Incoming::End => (0, None),
            sockeye_sctp::Incoming::Notification(notification) => {
                let told = sctp.settings(self.id, AssocId::FUTURE)?.told;
                let bytes = super::sctp::notification::lay_out(&notification, &told);
                let len = bytes.len().min(out.len());
                out[..len].copy_from_slice(&bytes[..len]);
                (len, sctp.notified_by(self.id))
            }
        };
        let nobody = SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), 0);
        Ok(Received {
            len,
            copied: len,
            from: from.unwrap_or(nobody),
            to: nobody,
            interface: InterfaceId::LOOPBACK,
            ttl: 0,
            tos: 0,
            segment: None,
            at: self.now,
        })
    }

    /// A datagram with what recvmsg tells beside it.
    pub(super) fn recv_message(
        &mut self,
        out: &mut [u8],
        peek: bool,
    ) -> Result<(Received, Vec<Control>), Error> {
        if self.kind == Kind::Dccp {
            let (dccp, mut cx) = self.state.node.dccp(self.now);
            return dccp.recv_message(&mut cx, self.id, out, peek);
        }
        if let Kind::Sctp(_) = self.kind {
            return Ok((self.recv_sctp(out, peek)?, Vec::new()));
        }
        of_hosts!(
            self,
            (Err(Error::NotSupported), Err(Error::NotSupported)),
            |t, cx, id| t.recv_message(&mut cx, id, out, peek)
        )
    }

    /// An error that the next call on a datagram socket fails with.
    pub(super) fn put_error(&mut self, error: Error) {
        of_hosts!(self, ((), ()), |t, cx, id| t.put_error(&mut cx, id, error));
    }

    /// A call about what streams alone have.
    pub(super) fn stream<T>(
        &mut self,
        call: impl FnOnce(&mut Tcp, &mut Context<'_>, SocketId) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match self.kind {
            Kind::Tcp => {
                let (tcp, mut cx) = self.state.node.tcp(self.now);
                call(tcp, &mut cx, self.id)
            }
            Kind::Udp
            | Kind::UdpLite
            | Kind::Sctp(_)
            | Kind::Dccp
            | Kind::Ping
            | Kind::Raw
            | Kind::Packet { .. }
            | Kind::Unix(_) => Err(Error::NoProtocolOption),
        }
    }

    pub(super) fn info(&mut self) -> Result<sockeye_tcp::Info, Error> {
        match self.kind {
            Kind::Tcp => self.state.node.tcp(self.now).0.info(self.now, self.id),
            Kind::Udp
            | Kind::UdpLite
            | Kind::Sctp(_)
            | Kind::Dccp
            | Kind::Ping
            | Kind::Raw
            | Kind::Packet { .. }
            | Kind::Unix(_) => Err(Error::NotSupported),
        }
    }

    pub(super) fn tcp_state(&mut self) -> Result<sockeye_tcp::State, Error> {
        self.state.node.tcp(self.now).0.state(self.id)
    }

    /// A call on a node-internal socket.
    pub(super) fn unix<T>(
        &mut self,
        call: impl FnOnce(&mut Unix, &mut Context<'_>, SocketId) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match self.kind {
            Kind::Unix(_) => {
                let (unix, mut cx) = self.state.node.unix(self.now);
                call(unix, &mut cx, self.id)
            }
            _ => Err(Error::NotSupported),
        }
    }

    pub(super) fn queued(&mut self) -> Result<sockeye_tcp::Queued, Error> {
        match self.kind {
            Kind::Tcp => self.state.node.tcp(self.now).0.queued(self.id),
            Kind::Udp
            | Kind::UdpLite
            | Kind::Sctp(_)
            | Kind::Dccp
            | Kind::Ping
            | Kind::Raw
            | Kind::Packet { .. }
            | Kind::Unix(_) => Err(Error::NotSupported),
        }
    }

    /// What recvmsg tells beside what was just read or peeked at.
    pub(super) fn notes(&mut self) -> Result<Notes, Error> {
        let (tcp, _) = self.state.node.tcp(self.now);
        Ok(Notes {
            inq: tcp.inq(self.id)?,
            arrived: tcp.last_arrival(self.id)?,
        })
    }

    pub(super) fn is_listening(&mut self) -> Result<bool, Error> {
        if let Kind::Unix(_) = self.kind {
            return self.state.node.unix(self.now).0.is_listening(self.id);
        }
        match self.kind {
            Kind::Sctp(_) => self.state.node.sctp(self.now).0.is_listening(self.id),
            Kind::Tcp => {
                let state = self.state.node.tcp(self.now).0.state(self.id)?;
                Ok(state == sockeye_tcp::State::Listen)
            }
            Kind::Dccp => {
                let state = self.state.node.dccp(self.now).0.state(self.id)?;
                Ok(state.listens())
            }
            Kind::Udp
            | Kind::UdpLite
            | Kind::Ping
            | Kind::Raw
            | Kind::Packet { .. }
            | Kind::Unix(_) => Ok(false),
        }
    }

    pub(super) fn membership(
        &mut self,
        group: IpAddr,
        interface: Option<InterfaceId>,
        join: bool,
    ) -> Result<(), Error> {
        of_hosts!(
            self,
            (Err(Error::Protocol), Err(Error::NoProtocolOption)),
            |t, cx, id| match join {
                true => t.join_group(&mut cx, id, group, interface),
                false => t.leave_group(&mut cx, id, group, interface),
            }
        )
    }

    pub(super) fn change_source(
        &mut self,
        group: (IpAddr, Option<InterfaceId>),
        change: SourceChange,
        source: IpAddr,
    ) -> Result<(), Error> {
        of_hosts!(
            self,
            (Err(Error::Protocol), Err(Error::NoProtocolOption)),
            |t, cx, id| t.change_source(&mut cx, id, group, change, source)
        )
    }

    pub(super) fn set_source_filter(
        &mut self,
        group: (IpAddr, Option<InterfaceId>),
        filter: SourceFilter,
    ) -> Result<(), Error> {
        of_hosts!(
            self,
            (Err(Error::Protocol), Err(Error::NoProtocolOption)),
            |t, cx, id| t.set_source_filter(&mut cx, id, group, filter)
        )
    }

    pub(super) fn source_filter(
        &mut self,
        group: (IpAddr, Option<InterfaceId>),
    ) -> Result<SourceFilter, Error> {
        of_hosts!(
            self,
            (Err(Error::Protocol), Err(Error::NoProtocolOption)),
            |t, cx, id| {
                let cx = &mut cx;
                t.source_filter(cx, id, group)
            }
        )
    }
}
