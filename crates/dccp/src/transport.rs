//! How DCCP plugs into a node.

use crate::Dccp;
use crate::flows::Tuple;
use crate::packet::Incoming;
use crate::socket::Socket;
use core::any::Any;
use sockeye_core::{
    AddressChange, Config, Context, Counter, Disposition, Error, IcmpError, InterfaceId, IpInfo,
    Packet, SocketId, SocketSummary, Transport, TransportId,
};
use sockeye_wire::dccp::{PacketType, ResetCode};
use std::net::SocketAddr;

impl Transport for Dccp {
    fn id(&self) -> TransportId {
        TransportId::DCCP
    }

    fn on_packet(&mut self, cx: &mut Context<'_>, ip: &IpInfo, packet: Packet) -> Disposition {
        cx.counters.add(Counter::DccpInSegs);
        match Incoming::parse(ip, packet) {
            Ok((tuple, packet)) => self.packet_for(cx, ip, &tuple, packet),
            Err(why) => cx.drop_packet(why),
        }
        Disposition::Taken
    }

    fn on_icmp_error(&mut self, cx: &mut Context<'_>, error: &IcmpError<'_>) -> bool {
        self.icmp_error(cx, error, false)
    }

    fn on_address(&mut self, cx: &mut Context<'_>, change: AddressChange) {
        let AddressChange::Removed(address) = change else {
            return;
        };
        let gone = self.sockets.iter().filter(|(_, socket)| match socket {
            Socket::Connection(conn) => conn.tuple.flow.local.ip == address,
            _ => false,
        });
        let gone: Vec<SocketId> = gone.map(|(id, _)| id).collect();
        for id in gone {
            if let Some(Socket::Connection(conn)) = self.sockets.get_mut(id) {
                conn.ended(cx, crate::State::Closed, Some(Error::NetworkDown));
                self.settle(cx, id);
            }
        }
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, socket: SocketId) {
        match self.sockets.get_mut(socket) {
            Some(Socket::Connection(conn)) => {
                if conn.state == crate::State::TimeWait {
                    conn.state = crate::State::Closed;
                } else {
                    conn.on_timeout(cx);
                }
                self.settle(cx, socket);
            }
            Some(Socket::HalfOpen(_)) => self.half_open_timeout(cx, socket),
            Some(Socket::TimeWait(_)) => self.end_time_wait(cx, socket),
            Some(Socket::Listening(_)) => self.invite_again(cx, socket),
            Some(Socket::Fresh(_)) | None => {}
        }
    }

    fn on_config(&mut self, config: &Config) {
        self.ports.set_config(config);
    }

    fn sockets(&self) -> Vec<SocketSummary> {
        let rows = self.sockets.iter();
        rows.map(|(id, socket)| summary(id, socket)).collect()
    }

    fn has_output(&self, interface: InterfaceId) -> bool {
        self.pending.len(interface) > 0
    }

    fn poll_transmit(
        &mut self,
        cx: &mut Context<'_>,
        interface: InterfaceId,
        budget: usize,
    ) -> bool {
        self.transmit(cx, interface, budget)
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

impl Dccp {
    /// RFC 6773 §3.6: an ICMP error about a UDP datagram of ours that carried DCCP. Whether it is of a
    /// connection; the shortest quotes don't tell.
    pub fn on_icmp_error_in_udp(&mut self, cx: &mut Context<'_>, error: &IcmpError<'_>) -> bool {
        self.icmp_error(cx, error, true)
    }

    /// RFC 4340 §8.5 step 2: finds whose packet it is.
    fn packet_for(&mut self, cx: &mut Context<'_>, ip: &IpInfo, tuple: &Tuple, packet: Incoming) {
        // RFC 4340 has no groups: nothing comes from or to one.
        if !ip.is_unicast() || ip.source.is_multicast() || ip.source.is_unspecified() {
            return;
        }
        if let Some(id) = self.flows.connected(tuple, ip.interface) {
            self.packet_for_tuple(cx, id, tuple, packet);
            return;
        }
        if !ip.local {
            return;
        }
        if let Some(listener) = self.flows.demux.lookup_bound(&tuple.flow, ip.interface) {
            self.in_listen(cx, listener, tuple, packet);
            return;
        }
        cx.counters.add(Counter::DccpNoPorts);
        // §8.1.3, §8.3.1: a Request is refused, anything else has no connection.
        let code = match packet.ty() {
            PacketType::Request => ResetCode::CONNECTION_REFUSED,
            _ => ResetCode::NO_CONNECTION,
        };
        self.refuse(cx, tuple, &packet, code);
    }

    fn packet_for_tuple(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        tuple: &Tuple,
        packet: Incoming,
    ) {
        match self.sockets.get_mut(id) {
            Some(Socket::Connection(conn)) if conn.state != crate::State::TimeWait => {
                conn.packet_arrives(cx, packet);
                self.settle(cx, id);
            }
            Some(Socket::HalfOpen(_)) => self.half_open_packet(cx, id, packet),
            Some(Socket::Listening(_)) => self.invited_packet(cx, id, tuple, &packet),
            // Step 2: TIMEWAIT is as good as no connection.
            _ => self.refuse(cx, tuple, &packet, ResetCode::NO_CONNECTION),
        }
    }
}

fn summary(id: SocketId, socket: &Socket) -> SocketSummary {
    let state = socket.state();
    let (local, remote, recv_queue, send_queue): (SocketAddr, _, _, _) = match socket {
        Socket::Fresh(fresh) => {
            let common = &fresh.settings.common;
            let unbound = SocketAddr::new(common.domain.unspecified(), 0);
            let local = fresh.bound.map_or(unbound, |(local, _)| common.show(local));
            (local, None, 0, 0)
        }
        Socket::Listening(listener) => (
            listener.settings.common.show(listener.local),
            None,
            listener.queue.len(),
            listener.backlog,
        ),
        Socket::HalfOpen(half_open) => (
            half_open.tuple.flow.local.into(),
            Some(half_open.tuple.flow.remote.into()),
            0,
            0,
        ),
        Socket::Connection(conn) => (
            conn.settings.common.show(conn.tuple.flow.local),
            Some(conn.settings.common.show(conn.tuple.flow.remote)),
            conn.received.pinned(),
            conn.queue.bytes(),
        ),
        Socket::TimeWait(time_wait) => (
            time_wait.tuple.flow.local.into(),
            Some(time_wait.tuple.flow.remote.into()),
            0,
            0,
        ),
    };
    SocketSummary {
        handle: Dccp::handle(id),
        state: state.ss_name(),
        local,
        remote,
        recv_queue,
        send_queue,
    }
}
