//! How TCP plugs into a node.

use crate::segment::Segment;
use crate::socket::Socket;
use crate::tcb::Tcb;
use crate::{Tcp, reset};
use core::any::Any;
use sockeye_core::demux::Flow;
use sockeye_core::{
    AddressChange, Config, Context, Counter, Disposition, Error, IcmpError, InterfaceId, IpInfo,
    Packet, SocketId, SocketSummary, Transport, TransportId,
};
use std::net::{IpAddr, SocketAddr};

impl Transport for Tcp {
    fn id(&self) -> TransportId {
        TransportId::TCP
    }

    fn on_packet(&mut self, cx: &mut Context<'_>, ip: &IpInfo, packet: Packet) -> Disposition {
        let link_len = self.wants_syn_headers(cx, ip);
        match Segment::parse(ip, packet, cx.config, link_len) {
            Ok((flow, segment)) => {
                cx.counters
                    .add_n(Counter::TcpInSegs, segment.wire_segments.into());
                self.segment_for(cx, ip, flow, segment);
            }
            Err(why) => {
                cx.counters.add(Counter::TcpInSegs);
                cx.drop_packet(why);
            }
        }
        Disposition::Taken
    }

    fn on_icmp_error(&mut self, cx: &mut Context<'_>, error: &IcmpError<'_>) -> bool {
        self.icmp_error(cx, error)
    }

    fn on_path_mtu(&mut self, cx: &mut Context<'_>, _remote: IpAddr, _mtu: u32) {
        self.path_mtu(cx);
    }

    fn on_address(&mut self, cx: &mut Context<'_>, change: AddressChange) {
        let AddressChange::Removed(address) = change else {
            return;
        };
        let gone: Vec<SocketId> = self
            .sockets
            .iter()
            .filter(|(_, socket)| match socket {
                Socket::Connection(_) | Socket::Packed(_) => socket
                    .tcb()
                    .is_some_and(|tcb| tcb.flow.local.ip == address && !tcb.marks.foreign),
                _ => false,
            })
            .map(|(id, _)| id)
            .collect();
        for id in gone {
            self.unpack(id);
            if let Some(Socket::Connection(tcb)) = self.sockets.get_mut(id) {
                tcb.closed(cx, Some(Error::NetworkDown));
                self.settle(cx, id);
            }
        }
    }

    fn on_batch_end(&mut self, cx: &mut Context<'_>) {
        self.pack_idle(cx);
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, socket: SocketId) {
        self.unpack(socket);
        match self.sockets.get_mut(socket) {
            Some(Socket::Connection(tcb)) => {
                tcb.on_timeout(cx);
                self.settle(cx, socket);
            }
            Some(Socket::HalfOpen(_)) => self.half_open_timeout(cx, socket),
            Some(Socket::TimeWait(_)) => {
                cx.counters.add(Counter::TcpExtTW);
                self.end_time_wait(cx, socket);
            }
            Some(Socket::Fresh(_) | Socket::Listening(_) | Socket::Packed(_)) | None => {}
        }
    }

    fn on_config(&mut self, config: &Config) {
        self.ports.set_config(config);
        self.defaults = Self::defaults_of(config);
    }

    fn on_memory_pressure(&mut self, _cx: &mut Context<'_>) {
        // RFC 2018 §8: what came out of order may be dropped though it was reported.
        for (_, socket) in self.sockets.iter_mut() {
            if let Some(tcb) = socket.tcb_mut() {
                tcb.reassembly.clear();
                tcb.received.compact();
            }
        }
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

impl Tcp {
    /// Finds whose segment it is.
    fn segment_for(&mut self, cx: &mut Context<'_>, ip: &IpInfo, flow: Flow, segment: Segment) {
        // RFC 9293 §3.9.2.3 (MUST-57, MUST-63): nothing from or to a group or broadcast address.
        if !ip.is_unicast() || ip.source.is_multicast() || ip.source.is_unspecified() {
            return;
        }
        if let Some(id) = self.demux.connected(&flow, ip.interface) {
            self.unpack(id);
            if self.is_near(cx, id, ip) && self.authentic(cx, id, &flow, &segment) {
                self.segment_for_connection(cx, id, segment);
            }
            return;
        }
        if ip.local
            && let Some(listener) = self.demux.lookup_bound(&flow, ip.interface)
        {
            if self.is_near(cx, listener, ip) && self.authentic(cx, listener, &flow, &segment) {
                self.in_listen(cx, listener, &flow, segment, None);
            }
            return;
        }
        if self.intercept.catches(ip.local) {
            self.intercepted(cx, flow, segment, ip.local, None);
            return;
        }
        // RFC 9293 §3.10.7.1: CLOSED. What is for somebody else is not for us to refuse.
        if ip.local {
            reset::refuse(cx, &flow, &segment, None);
        }
    }

    /// RFC 5082 §3: whether a segment has not come from further than IP_MINTTL or IPV6_MINHOPCOUNT
    /// allow.
    fn is_near(&self, cx: &mut Context<'_>, id: SocketId, ip: &IpInfo) -> bool {
        let settings = self.sockets.get(id).and_then(Socket::settings);
        let near = settings.is_none_or(|settings| {
            let internet = &settings.common.internet;
            internet.hears(ip.source, ip.hop_limit)
        });
        if !near {
            cx.drop_packet(Counter::TcpExtTCPMinTTLDrop);
        }
        near
    }

    fn segment_for_connection(&mut self, cx: &mut Context<'_>, id: SocketId, segment: Segment) {
        match self.sockets.get_mut(id) {
            Some(Socket::Connection(tcb)) => {
                tcb.segment_arrives(cx, segment);
                self.settle(cx, id);
            }
            Some(Socket::HalfOpen(_)) => self.half_open_segment(cx, id, segment),
            Some(Socket::TimeWait(_)) => self.time_wait_segment(cx, id, segment),
            Some(Socket::Fresh(_) | Socket::Listening(_) | Socket::Packed(_)) | None => {
                debug_assert!(false, "a flow belongs to a connection");
            }
        }
    }
}

/// Both ends of a connection, and what it has to read and to send.
fn of_connection(tcb: &Tcb) -> (SocketAddr, Option<SocketAddr>, usize, usize) {
    let common = &tcb.settings.common;
    (
        common.show(tcb.flow.local),
        Some(common.show(tcb.flow.remote)),
        tcb.waiting(),
        tcb.queue.len() as usize,
    )
}

fn summary(id: SocketId, socket: &Socket) -> SocketSummary {
    let state = socket.state();
    let (local, remote, recv_queue, send_queue) = match socket {
        Socket::Fresh(fresh) => {
            let common = &fresh.settings.common;
            let unbound = SocketAddr::new(common.domain.unspecified(), 0);
            let local = fresh
                .bound
                .map_or(unbound, |bound| common.show(bound.local));
            (local, None, 0, 0)
        }
        Socket::Listening(listener) => (
            listener.settings.common.show(listener.local),
            None,
            listener.queue.len(),
            listener.backlog,
        ),
        Socket::HalfOpen(half_open) => (
            half_open.flow.local.into(),
            Some(half_open.flow.remote.into()),
            0,
            0,
        ),
        Socket::Connection(tcb) => of_connection(tcb),
        Socket::Packed(packed) => of_connection(&packed.unpack()),
        Socket::TimeWait(time_wait) => (
            time_wait.flow.local.into(),
            Some(time_wait.flow.remote.into()),
            0,
            0,
        ),
    };
    SocketSummary {
        handle: Tcp::handle(id),
        state: state.ss_name(),
        local,
        remote,
        recv_queue,
        send_queue,
    }
}
