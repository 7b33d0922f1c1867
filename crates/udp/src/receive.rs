//! What arrives: datagrams, and ICMP errors about those that were sent.

use crate::{Socket, Udp, handle};
use bytes::Bytes;
use sockeye_core::datagram::{Datagram, interfaces_to};
use sockeye_core::demux::Flow;
use sockeye_core::{
    Checksum, Context, Counter, Disposition, Endpoint, GsoKind, IcmpError, IpInfo, Packet, Payload,
    SocketId,
};
use sockeye_link::UdpPorts;
use sockeye_wire::{IpProtocol, checksum, udp};
use std::net::IpAddr;

impl Udp {
    pub(crate) fn datagram_arrives(
        &mut self,
        cx: &mut Context<'_>,
        ip: &IpInfo,
        mut packet: Packet,
    ) -> Disposition {
        let header = match check(ip, &mut packet) {
            Ok(header) => header,
            Err(why) => {
                if why == Counter::UdpInCsumErrors {
                    cx.counters.add(Counter::UdpInErrors);
                }
                cx.drop_packet(why);
                return Disposition::Taken;
            }
        };
        let udp::Header {
            source_port,
            destination_port,
            ..
        } = header;
        if let Some(&(protocol, _)) = self.encapsulations.get(&destination_port)
            && ip.local
        {
            packet.pull(udp::HEADER_LEN);
            packet.meta.checksum = Checksum::Unverified;
            packet.meta.encap = Some(UdpPorts {
                source: source_port,
                destination: destination_port,
            });
            return Disposition::Decapsulated(protocol, packet);
        }
        let local = Endpoint::on(ip.interface, ip.destination, destination_port);
        let remote = Endpoint::on(ip.interface, ip.source, source_port);
        if !ip.is_unicast() {
            self.deliver_to_all(cx, ip, Flow { local, remote }, packet);
            return Disposition::Taken;
        }
        let flow = Flow { local, remote };
        let found = if ip.local {
            self.demux.lookup(local, remote, ip.interface)
        } else {
            self.demux.connected(&flow, ip.interface)
        };
        if let Some(id) = found {
            packet.pull(udp::HEADER_LEN);
            self.deliver(cx, id, datagram(ip, &flow, packet));
            return Disposition::Taken;
        }
        if self.intercept.wants(ip) {
            packet.pull(udp::HEADER_LEN);
            self.intercept_datagram(cx, flow, !ip.local, datagram(ip, &flow, packet));
            return Disposition::Taken;
        }
        if !ip.local {
            return Disposition::Taken;
        }
        cx.counters.add(Counter::UdpNoPorts);
        Disposition::NoSocket(packet)
    }

    /// Everyone who listens to the group or broadcast, and in it to the source, gets its copy (ip(7)); RFC 1122 §3.2.2: nobody is
    /// told when there is none.
    fn deliver_to_all(
        &mut self,
        cx: &mut Context<'_>,
        ip: &IpInfo,
        flow: Flow,
        mut packet: Packet,
    ) {
        let found = self.demux.lookup_all(flow.local, flow.remote, ip.interface);
        if found.is_empty() {
            return;
        }
        packet.pull(udp::HEADER_LEN);
        let datagram = datagram(ip, &flow, packet);
        for id in found {
            let socket = self.sockets.get(id);
            if socket.is_some_and(|socket| socket.base.hears(ip)) {
                self.deliver(cx, id, datagram.clone());
            }
        }
    }

    /// Hands a datagram, or the datagrams of one size that a link has joined, to a socket.
    pub(crate) fn deliver(&mut self, cx: &mut Context<'_>, id: SocketId, datagram: Datagram) {
        let Some(socket) = self.sockets.get_mut(id) else {
            debug_assert!(false, "the demultiplexer names sockets that exist");
            return;
        };
        match datagram.segment.filter(|_| !socket.gro) {
            None => push(cx, socket, id, datagram),
            Some(size) => {
                for one in split(&datagram, size) {
                    push(cx, socket, id, one);
                }
            }
        }
    }

    /// RFC 1122 §4.1.3.3: errors are passed on to the socket that sent. As on Linux an unconnected
    /// one hears of them by IP_RECVERR alone, a connected one also of those that will not pass.
    /// False when no socket can have sent what is quoted.
    pub(crate) fn error_arrives(&mut self, cx: &mut Context<'_>, error: &IcmpError<'_>) -> bool {
        let Some((ports, payload)) = error.quoted.split_at_checked(udp::HEADER_LEN) else {
            return false;
        };
        let mut matched = false;
        let local_port = u16::from_be_bytes([ports[0], ports[1]]);
        let remote_port = u16::from_be_bytes([ports[2], ports[3]]);
        for interface in interfaces_to(cx, error.destination) {
            let flow = Flow {
                local: Endpoint::on(interface, error.source, local_port),
                remote: Endpoint::on(interface, error.destination, remote_port),
            };
            let mut concerned = self.demux.all_connected(&flow);
            let connected = !concerned.is_empty();
            if !connected && cx.inet.is_local(error.source) {
                concerned.extend(self.demux.lookup_bound(&flow, interface));
            }
            matched |= !concerned.is_empty();
            for id in concerned {
                if let Some(socket) = self.sockets.get_mut(id) {
                    let base = &mut socket.base;
                    base.icmp_error(cx, handle(id), error, flow.remote, payload, connected);
                }
            }
        }
        matched
    }
}

fn push(cx: &mut Context<'_>, socket: &mut Socket, id: SocketId, datagram: Datagram) {
    if socket.base.deliver(cx, handle(id), datagram) {
        cx.counters.add(Counter::UdpInDatagrams);
    } else {
        cx.counters.add(Counter::UdpInErrors);
        cx.drop_packet(Counter::UdpRcvbufErrors);
    }
}

/// Reads the header and judges length and checksum; what lies behind the datagram is cut off.
fn check(ip: &IpInfo, packet: &mut Packet) -> Result<udp::Header, Counter> {
    if !packet.pull_up(udp::HEADER_LEN) {
        return Err(Counter::UdpInErrors);
    }
    let header = udp::Header::parse(packet.head()).map_err(|_| Counter::UdpInErrors)?;
    header
        .check_len(packet.len())
        .map_err(|_| Counter::UdpInErrors)?;
    packet.truncate(header.length.into());
    match (packet.meta.checksum, ip.source) {
        (Checksum::Verified | Checksum::Partial { .. }, _) => Ok(header),
        // RFC 768: zero says that the sender made none. RFC 8200 §8.1: not over IPv6.
        (Checksum::Unverified, IpAddr::V4(_)) if header.checksum == 0 => Ok(header),
        (Checksum::Unverified, IpAddr::V6(_)) if header.checksum == 0 => {
            Err(Counter::UdpInCsumErrors)
        }
        // The sum of joined datagrams is no longer there to be checked.
        (Checksum::Unverified, _) if packet.meta.gso.is_some() => Err(Counter::UdpInCsumErrors),
        (Checksum::Unverified, _) => {
            let sum = checksum::transport(
                ip.source,
                ip.destination,
                IpProtocol::UDP,
                header.length.into(),
                packet.chunks(),
            );
            sum.is_valid()
                .then_some(header)
                .ok_or(Counter::UdpInCsumErrors)
        }
    }
}

/// What a queue holds of a packet that stands behind its UDP header.
fn datagram(ip: &IpInfo, flow: &Flow, packet: Packet) -> Datagram {
    let joined = packet.meta.gso.filter(|gso| gso.kind == GsoKind::Udp);
    let mut datagram = Datagram::new(ip, (flow.remote.port, flow.local.port), packet);
    datagram.segment = joined.map(|gso| gso.size).filter(|&size| size > 0);
    datagram
}

/// Takes joined datagrams of `size` bytes apart again. They share their memory, and its cost.
fn split(joined: &Datagram, size: u16) -> Vec<Datagram> {
    let size = usize::from(size.max(1));
    let len = joined.len();
    let whole = match &joined.payload[..] {
        [one] => one.clone(),
        slices => Bytes::from(slices.concat()),
    };
    let count = len.div_ceil(size).max(1);
    (0..count)
        .map(|n| Datagram {
            payload: Payload::from_iter([whole.slice(n * size..len.min((n + 1) * size))]),
            pinned: joined.pinned / count,
            segment: None,
            ..joined.clone()
        })
        .collect()
}

/// The error that intercepted flows are refused with names what was sent.
pub(crate) fn quote(flow: &Flow, payload: &[Bytes]) -> Vec<u8> {
    let len: usize = payload.iter().map(Bytes::len).sum();
    let mut quote = vec![0; udp::HEADER_LEN];
    udp::Header {
        source_port: flow.remote.port,
        destination_port: flow.local.port,
        length: u16::try_from(udp::HEADER_LEN + len).unwrap_or(u16::MAX),
        checksum: 0,
    }
    .emit(&mut quote);
    payload
        .iter()
        .for_each(|slice| quote.extend_from_slice(slice));
    quote
}
