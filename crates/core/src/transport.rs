//! What plugs in above the internet layer.

use crate::{Config, Context, Handle, InterfaceId, Packet, SocketId, TransportId};
use core::any::Any;
use sockeye_wire::IpProtocol;
use std::net::{IpAddr, SocketAddr};

/// What the internet layer knows of a packet that it hands up.
///
/// The packet's window starts at the transport header and ends where the IP header says; the IP
/// header still lies before the window ([`Packet::unpull`] by `header_len` shows it).
#[derive(Clone, Copy, Debug)]
pub struct IpInfo {
    /// Where it came in.
    pub interface: InterfaceId,
    /// Who sent it.
    pub source: IpAddr,
    /// Whom it was sent to.
    pub destination: IpAddr,
    /// The protocol of the window.
    pub protocol: IpProtocol,
    /// TTL or hop limit as received.
    pub hop_limit: u8,
    /// TOS or traffic class: DSCP and ECN.
    pub traffic_class: u8,
    /// Flow label, 0 for IPv4.
    pub flow_label: u32,
    /// Bytes of IP header and extension headers before the window.
    pub header_len: u16,
    /// Whether the destination is one of this node's addresses, or a group or broadcast it listens
    /// to. False only for intercepted packets.
    pub local: bool,
    /// Whether the destination is a broadcast address of the interface, or 255.255.255.255.
    pub broadcast: bool,
}

impl IpInfo {
    /// Whether the destination is a single host: only then may an error or a reset be sent
    /// (RFC 1122 §3.2.2, RFC 9293 §3.10.7).
    #[must_use]
    pub fn is_unicast(&self) -> bool {
        !self.broadcast && !self.destination.is_multicast()
    }
}

/// What became of a packet.
#[derive(Debug)]
pub enum Disposition {
    /// The transport dealt with it: delivered, answered or dropped and counted.
    Taken,
    /// Nobody has that port. The transport has answered what its RFC asks for (RST, ABORT, …);
    /// UDP leaves it to the internet layer to answer "port unreachable" with the packet given back.
    NoSocket(Packet),
    /// It was an encapsulation: what lies inside goes up anew as protocol `.0`.
    Decapsulated(IpProtocol, Packet),
}

/// An ICMP error about a packet that this node sent, checked to quote one of its addresses.
#[derive(Clone, Copy, Debug)]
pub struct IcmpError<'a> {
    /// What it says.
    pub kind: IcmpErrorKind,
    /// ICMP or ICMPv6 type and code as received (for error queues).
    pub icmp_type: u8,
    /// See `icmp_type`.
    pub icmp_code: u8,
    /// The router or host that sent it.
    pub from: IpAddr,
    /// Source address of the quoted packet: ours.
    pub source: IpAddr,
    /// Destination address of the quoted packet.
    pub destination: IpAddr,
    /// The quoted transport header: at least 8 bytes.
    pub quoted: &'a [u8],
}

/// What an ICMP error says, over both families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpErrorKind {
    /// Network unreachable, no route.
    NetworkUnreachable,
    /// Host or address unreachable.
    HostUnreachable,
    /// Protocol unreachable, unrecognized next header.
    ProtocolUnreachable,
    /// Port unreachable.
    PortUnreachable,
    /// Administratively prohibited.
    Prohibited,
    /// Fragmentation needed, packet too big: with the next hop's MTU (0: not said).
    PacketTooBig {
        /// Bytes of IP packet.
        mtu: u32,
    },
    /// TTL or hop limit exceeded.
    TimeExceeded,
    /// Parameter problem.
    ParameterProblem,
    /// Source quench, a source route failed, …: nothing a transport acts on.
    Other,
}

impl IcmpErrorKind {
    /// The error that a connected socket gets, as in Linux's `icmp_err_convert` and icmpv6's, and
    /// whether it is fatal to an attempt to connect.
    #[must_use]
    pub const fn error(self) -> (crate::Error, bool) {
        match self {
            Self::NetworkUnreachable => (crate::Error::NetworkUnreachable, false),
            Self::ProtocolUnreachable => (crate::Error::ProtocolUnreachable, true),
            Self::PortUnreachable => (crate::Error::ConnectionRefused, true),
            Self::PacketTooBig { .. } => (crate::Error::MessageSize, false),
            Self::Prohibited => (crate::Error::HostUnreachable, true),
            Self::HostUnreachable | Self::TimeExceeded => (crate::Error::HostUnreachable, false),
            Self::ParameterProblem | Self::Other => (crate::Error::Protocol, true),
        }
    }
}

/// How an address of this node changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressChange {
    /// It may be used now.
    Added(IpAddr),
    /// It is gone: sockets bound to it can't go on.
    Removed(IpAddr),
    /// Nothing new should start from it.
    Deprecated(IpAddr),
    /// Somebody else on the link has it: it may not be used.
    Duplicate(IpAddr),
}

/// A row for `ss`: one socket.
#[derive(Clone, Debug)]
pub struct SocketSummary {
    /// Which one.
    pub handle: Handle,
    /// Its state as ss(8) names it.
    pub state: &'static str,
    /// Its own address.
    pub local: SocketAddr,
    /// Its peer.
    pub remote: Option<SocketAddr>,
    /// Bytes received and not read; of a listener, connections not accepted.
    pub recv_queue: usize,
    /// Bytes written and not acknowledged; of a listener, its backlog.
    pub send_queue: usize,
}

/// A transport protocol. The built-in ones and those of others plug in by the same trait.
pub trait Transport: Send + 'static {
    /// Its name among transports.
    fn id(&self) -> TransportId;

    /// A packet for it arrived. See [`IpInfo`] for where the window stands.
    fn on_packet(&mut self, cx: &mut Context<'_>, ip: &IpInfo, packet: Packet) -> Disposition;

    /// The packets that came together have all been handed up: for who does once what each of them
    /// would have asked for. Nothing else is asked of the transport in between but what it is told:
    /// errors, addresses, path MTUs.
    fn on_batch_end(&mut self, _cx: &mut Context<'_>) {}

    /// An ICMP error arrived about a packet of its protocol. Says whether the quote matches a flow
    /// of its own (RFC 5927 §4: ports, and for TCP a sequence number in flight): only then is a
    /// path MTU believed. Who sends nothing by routers has no such flow.
    fn on_icmp_error(&mut self, _cx: &mut Context<'_>, _error: &IcmpError<'_>) -> bool {
        false
    }

    /// The path to `remote` carries packets of `mtu` bytes now: for who does not ask for a route with
    /// each packet.
    fn on_path_mtu(&mut self, _cx: &mut Context<'_>, _remote: IpAddr, _mtu: u32) {}

    /// An address of the node changed: for who has to say so.
    fn on_address(&mut self, _cx: &mut Context<'_>, _change: AddressChange) {}

    /// The deadline that `socket` armed has come.
    fn on_timeout(&mut self, _cx: &mut Context<'_>, _socket: SocketId) {
        debug_assert!(false, "who arms timers hears of them");
    }

    /// The node's settings are `config` now. Most are looked up where they count; this is for what
    /// a transport keeps of them.
    fn on_config(&mut self, _config: &Config) {}

    /// The node is short of memory: let go of what can be got again.
    fn on_memory_pressure(&mut self, _cx: &mut Context<'_>) {}

    /// All its sockets.
    fn sockets(&self) -> Vec<SocketSummary>;

    /// Whether [`poll_transmit`](Self::poll_transmit) has anything to do for `interface`.
    fn has_output(&self, interface: InterfaceId) -> bool;

    /// Lets its sockets whose route leaves by `interface` send data: at most `budget` packets, round
    /// robin. True when there is more.
    fn poll_transmit(
        &mut self,
        cx: &mut Context<'_>,
        interface: InterfaceId,
        budget: usize,
    ) -> bool;

    /// The way back to the concrete type.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}
