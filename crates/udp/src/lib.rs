//! UDP (RFC 768, RFC 1122 §4.1, RFC 8085) over IPv4 and IPv6, without I/O.
//!
//! - [`bind`](Udp::bind), [`connect`](Udp::connect), options: `user_calls`.
//! - [`send`](Udp::send): `send`. Datagrams leave at once; a full interface says
//!   [`WouldBlock`](sockeye_core::Error::WouldBlock) and later
//!   [`WRITABLE`](sockeye_core::Readiness::WRITABLE).
//! - One datagram out of several sends (UDP_CORK, MSG_MORE): `cork`.
//! - What arrives, ICMP errors included: `receive`.
//! - Options: `options`.
//! - Flows to addresses that are not the node's: `intercept`.
//! - UDP-Lite (RFC 3828) is the same with another checksum: `lite`.
//!
//! Behaviour that the RFCs leave open is Linux's, as udp(7) and ip(7) tell it.
//!
#![forbid(unsafe_code)]

mod cork;
mod intercept;
mod lite;
mod options;
mod receive;
mod send;
mod user_calls;

#[cfg(test)]
mod tests;

pub use intercept::Incoming;
pub use sockeye_core::datagram::{Control, ErrorReport, Origin, Received, SendOptions};

use sockeye_core::datagram::{DatagramSocket, Waiters};
use sockeye_core::demux::{Claim, Demux, Endpoint};
use sockeye_core::{
    Config, Context, Disposition, Error, Handle, IcmpError, InterfaceId, IpInfo, Packet, Ports,
    Rng, Slab, SocketId, SocketSummary, Transport, TransportId,
};
use sockeye_wire::IpProtocol;
use std::any::Any;
use std::collections::BTreeMap;

/// The UDP sockets of a node, or its UDP-Lite ones.
#[derive(Debug)]
pub struct Udp {
    kind: lite::Kind,
    sockets: Slab<Socket>,
    demux: Demux,
    ports: Ports,
    waiters: Waiters,
    /// Ports whose datagrams carry another protocol.
    encapsulations: BTreeMap<u16, (IpProtocol, Claim)>,
    intercept: intercept::Intercept,
}

/// One UDP socket.
#[derive(Debug)]
struct Socket {
    base: DatagramSocket,
    /// Its own end, once it has a port. The address is unspecified until bind or connect say one.
    local: Option<Endpoint>,
    /// The address that bind has named, while IP_BIND_ADDRESS_NO_PORT leaves the port open.
    portless: Option<Endpoint>,
    peer: Option<Endpoint>,
    /// What it holds of the port space.
    claim: Option<Claim>,
    /// An accepted flow: it has its pair of addresses and holds no port.
    intercepted: bool,
    /// bind named the address, not connect.
    address_fixed: bool,
    /// bind named the port, or asked for any.
    port_fixed: bool,
    /// UDP_SEGMENT; 0 for none.
    segment: u16,
    /// UDP_GRO.
    gro: bool,
    /// UDP_NO_CHECK6_TX.
    no_check_tx: bool,
    /// UDP_NO_CHECK6_RX.
    no_check_rx: bool,
    /// UDPLITE_SEND_CSCOV and UDPLITE_RECV_CSCOV.
    coverage: lite::Coverage,
    /// UDP_CORK.
    cork: bool,
    /// What was sent and is kept until the datagram is whole.
    pending: Option<Box<cork::Pending>>,
}

impl Socket {
    fn new(base: DatagramSocket) -> Self {
        Self {
            base,
            local: None,
            portless: None,
            peer: None,
            claim: None,
            intercepted: false,
            address_fixed: false,
            port_fixed: false,
            segment: 0,
            gro: false,
            no_check_tx: false,
            no_check_rx: false,
            coverage: lite::Coverage::default(),
            cork: false,
            pending: None,
        }
    }
}

impl Udp {
    /// A node's UDP, without sockets.
    #[must_use]
    pub fn new(config: &Config, rng: &mut Rng) -> Self {
        Self::of_kind(lite::Kind::Full, config, rng)
    }

    /// A node's UDP-Lite, without sockets.
    #[must_use]
    pub fn lite(config: &Config, rng: &mut Rng) -> Self {
        Self::of_kind(lite::Kind::Lite, config, rng)
    }

    fn of_kind(kind: lite::Kind, config: &Config, rng: &mut Rng) -> Self {
        Self {
            kind,
            sockets: Slab::default(),
            demux: Demux::new(rng),
            ports: Ports::new(config, rng),
            waiters: Waiters::default(),
            encapsulations: BTreeMap::new(),
            intercept: intercept::Intercept::new(rng),
        }
    }

    fn socket(&self, id: SocketId) -> Result<&Socket, Error> {
        self.sockets.get(id).ok_or(Error::BadSocket)
    }

    fn socket_mut(&mut self, id: SocketId) -> Result<&mut Socket, Error> {
        self.sockets.get_mut(id).ok_or(Error::BadSocket)
    }

    const fn handle(&self, id: SocketId) -> Handle {
        Handle {
            transport: self.kind.transport(),
            id,
        }
    }
}

impl Transport for Udp {
    fn id(&self) -> TransportId {
        self.kind.transport()
    }

    fn on_packet(&mut self, cx: &mut Context<'_>, ip: &IpInfo, packet: Packet) -> Disposition {
        self.datagram_arrives(cx, ip, packet)
    }

    fn on_icmp_error(&mut self, cx: &mut Context<'_>, error: &IcmpError<'_>) -> bool {
        self.error_arrives(cx, error)
    }

    fn on_config(&mut self, config: &Config) {
        self.ports.set_config(config);
    }

    fn on_memory_pressure(&mut self, _: &mut Context<'_>) {
        self.intercept.drop_waiting();
    }

    fn sockets(&self) -> Vec<SocketSummary> {
        let summary = |(id, socket): (SocketId, &Socket)| SocketSummary {
            handle: self.handle(id),
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

    /// UDP holds nothing back: this only tells sockets that there is room again.
    fn poll_transmit(&mut self, cx: &mut Context<'_>, interface: InterfaceId, _: usize) -> bool {
        for id in self.waiters.take(cx, interface) {
            let handle = self.handle(id);
            if let Some(socket) = self.sockets.get_mut(id) {
                socket.base.unblock(cx, handle);
            }
        }
        self.waiters.wait_for(interface)
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
