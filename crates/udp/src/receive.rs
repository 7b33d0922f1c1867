//! What arrives: datagrams, and ICMP errors about those that were sent.

use crate::Udp;
use crate::lite::Kind;
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
        let (header, sum) = match check(self.kind, ip, &mut packet) {
            Ok(checked) => checked,
            Err(why) => {
                self.refuse_datagram(cx, why);
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
            // RFC 6773 §3.3: MUST be dropped without a checksum: DCCP has none of its own there.
            if protocol == IpProtocol::DCCP && header.checksum == 0 {
                self.refuse_datagram(cx, Counter::UdpInCsumErrors);
                return Disposition::Taken;
            }
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
            self.deliver_to_all(cx, ip, Flow { local, remote }, packet, sum);
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
            match self.takes(id, sum) {
                true => self.deliver(cx, id, datagram(ip, &flow, packet)),
                false => self.refuse_datagram(cx, Counter::UdpInCsumErrors),
            }
            return Disposition::Taken;
        }
        // RFC 8200 §8.1: whom nobody has told that he may, does not send without a checksum.
        if sum == Sum::NoneV6 {
            self.refuse_datagram(cx, Counter::UdpInCsumErrors);
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
        cx.counters.add(self.kind.counter(Counter::UdpNoPorts));
        Disposition::NoSocket(packet)
    }

    /// Everyone who listens to the group or broadcast, and in it to the source, gets its copy (ip(7));
    /// RFC 1122 §3.2.2: nobody is told when there is none.
    fn deliver_to_all(
        &mut self,
        cx: &mut Context<'_>,
        ip: &IpInfo,
        flow: Flow,
        mut packet: Packet,
        sum: Sum,
    ) {
        let found = self.demux.lookup_all(flow.local, flow.remote, ip.interface);
        if found.is_empty() {
            return;
        }
        packet.pull(udp::HEADER_LEN);
        let datagram = datagram(ip, &flow, packet);
        for id in found {
            let socket = self.sockets.get(id);
            let heard = socket.is_some_and(|socket| socket.base.hears(ip));
            if heard && self.takes(id, sum) {
                self.deliver(cx, id, datagram.clone());
            }
        }
    }

    /// Whether a socket takes what is checked so far.
    fn takes(&self, id: SocketId, sum: Sum) -> bool {
        let socket = self.sockets.get(id);
        socket.is_some_and(|socket| match sum {
            Sum::Right => true,
            // RFC 6936 §5: only who has said so takes what has no checksum over IPv6.
            Sum::NoneV6 => socket.no_check_rx,
            Sum::Covers(covered, len) => socket.coverage.takes(covered, len),
        })
    }

    fn refuse_datagram(&self, cx: &mut Context<'_>, why: Counter) {
        if why == Counter::UdpInCsumErrors {
            cx.counters.add(self.kind.counter(Counter::UdpInErrors));
        }
        cx.drop_packet(self.kind.counter(why));
    }

    /// Hands a datagram, or the datagrams of one size that a link has joined, to a socket.
    pub(crate) fn deliver(&mut self, cx: &mut Context<'_>, id: SocketId, datagram: Datagram) {
        let Some(socket) = self.sockets.get(id) else {
            debug_assert!(false, "the demultiplexer names sockets that exist");
            return;
        };
        match datagram.segment.filter(|_| !socket.gro) {
            None => self.push(cx, id, datagram),
            Some(size) => {
                for one in split(&datagram, size) {
                    self.push(cx, id, one);
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
                let handle = self.handle(id);
                if let Some(socket) = self.sockets.get_mut(id) {
                    let base = &mut socket.base;
                    base.icmp_error(cx, handle, error, flow.remote, payload, connected);
                }
            }
        }
        matched
    }

    fn push(&mut self, cx: &mut Context<'_>, id: SocketId, datagram: Datagram) {
        let (kind, handle) = (self.kind, self.handle(id));
        let Some(socket) = self.sockets.get_mut(id) else {
            return;
        };
        if socket.base.deliver(cx, handle, datagram) {
            cx.counters.add(kind.counter(Counter::UdpInDatagrams));
        } else {
            cx.counters.add(kind.counter(Counter::UdpInErrors));
            cx.drop_packet(kind.counter(Counter::UdpRcvbufErrors));
        }
    }
}

/// What is known of a datagram's checksum before it is known whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sum {
    /// It is right, or need not be there.
    Right,
    /// Over IPv6, and there is none.
    NoneV6,
    /// UDP-Lite: it is right, and covers the first of two numbers of bytes, out of the second.
    Covers(usize, usize),
}

/// Reads a UDP-Lite header and judges coverage and checksum (RFC 3828 §3.1).
fn check_lite(ip: &IpInfo, packet: &mut Packet) -> Result<(udp::Header, Sum), Counter> {
    if !packet.pull_up(udp::HEADER_LEN) {
        return Err(Counter::UdpInErrors);
    }
    let header = udp::Header::parse_lite(packet.head()).map_err(|_| Counter::UdpInErrors)?;
    let len = packet.len();
    let covered = header.coverage(len).map_err(|_| Counter::UdpInErrors)?;
    // RFC 3828 §3.1: zero is no checksum, and there has to be one.
    if header.checksum == 0 {
        return Err(Counter::UdpInCsumErrors);
    }
    if packet.meta.checksum == Checksum::Unverified {
        let mut sum = checksum::pseudo_header(
            ip.source,
            ip.destination,
            IpProtocol::UDPLITE,
            u32::try_from(len).unwrap_or(u32::MAX),
        );
        let mut left = covered;
        for chunk in packet.chunks() {
            let part = &chunk[..left.min(chunk.len())];
            sum.add(part);
            left -= part.len();
        }
        if !sum.is_valid() {
            return Err(Counter::UdpInCsumErrors);
        }
    }
    Ok((header, Sum::Covers(covered, len)))
}

/// Reads the header and judges length and checksum; what lies behind the datagram is cut off.
fn check(kind: Kind, ip: &IpInfo, packet: &mut Packet) -> Result<(udp::Header, Sum), Counter> {
    if kind == Kind::Lite {
        return check_lite(ip, packet);
    }
    if !packet.pull_up(udp::HEADER_LEN) {
        return Err(Counter::UdpInErrors);
    }
    let header = udp::Header::parse(packet.head()).map_err(|_| Counter::UdpInErrors)?;
    header
        .check_len(packet.len())
        .map_err(|_| Counter::UdpInErrors)?;
    packet.truncate(header.length.into());
    match (packet.meta.checksum, ip.source) {
        // RFC 8200 §8.1: over IPv6 there has to be one, but for RFC 6935 §5.
        (checksum, IpAddr::V6(_))
            if header.checksum == 0 && !matches!(checksum, Checksum::Partial { .. }) =>
        {
            Ok((header, Sum::NoneV6))
        }
        (Checksum::Verified | Checksum::Partial { .. }, _) => Ok((header, Sum::Right)),
        // RFC 768: zero says that the sender made none.
        (Checksum::Unverified, IpAddr::V4(_)) if header.checksum == 0 => Ok((header, Sum::Right)),
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
                .then_some((header, Sum::Right))
                .ok_or(Counter::UdpInCsumErrors)
        }
    }
}

/// What a queue holds of a packet that stands behind its UDP header.
fn datagram(ip: &IpInfo, flow: &Flow, packet: Packet) -> Datagram {
    let joined = packet.meta.gso.filter(|gso| gso.kind == GsoKind::Udp);
    let headers = Datagram::headers_of(ip, &packet, udp::HEADER_LEN);
    let ports = (flow.remote.port, flow.local.port);
    let mut datagram = Datagram::new(ip, ports, packet).with_headers(headers);
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
