//! Sending by raw sockets, behind the node's IP header or with one of their own.

use super::Raw;
use super::ip::{Socket, handle};
use crate::datagram::{Plan, SendOptions, gather, is_broadcast};
use crate::demux::Endpoint;
use crate::{Context, Domain, Error, Packet, Route, SendInfo, SocketId};
use sockeye_wire::{IpProtocol, checksum, ipv4, ipv6};
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};

/// The longest IP packet, in bytes.
const LENGTH_MAX: usize = 65_535;

impl Raw {
    /// Sends `data` to `to` or the peer: what follows the IP header, or with IP_HDRINCL the whole
    /// packet. The port of `to` means nothing.
    ///
    /// Of an own IPv4 header length and checksum are filled in always, source and identification
    /// when they are zero (raw(7)). An own IPv6 header is sent as it is. The way is that to `to`,
    /// whatever the header says.
    ///
    /// # Errors
    /// - A pending error; [`Error::BrokenPipe`] after shutdown.
    /// - [`Error::DestinationRequired`] without address and peer.
    /// - [`Error::Invalid`] for a header that is short, or too little data for its checksum.
    /// - [`Error::NotPermitted`] for a source that is not the node's, unless
    ///   [`Config::foreign_sources`](crate::Config::foreign_sources) allows it.
    /// - [`Error::Access`] for a broadcast without SO_BROADCAST.
    /// - [`Error::MessageSize`] when it is too long; one with an own header is never fragmented.
    /// - [`Error::WouldBlock`] when the interface's queue is full.
    /// - Those of routing.
    pub fn send(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &[IoSlice<'_>],
        to: Option<SocketAddr>,
        options: &SendOptions,
    ) -> Result<usize, Error> {
        let socket = self.sockets.get_mut(id).ok_or(Error::BadSocket)?;
        socket.base.check_send()?;
        let mut to = match to {
            Some(addr) => socket.base.common.remote(addr)?,
            None => socket.peer.ok_or(Error::DestinationRequired)?,
        };
        // Linux: over IPv6 a port that is named is the protocol, and has to be the socket's.
        let other = to.port != 0 && to.port != u16::from(socket.protocol.0);
        if socket.base.common.domain == Domain::V6 && other {
            return Err(Error::Invalid);
        }
        to.port = 0;
        let len: usize = data.iter().map(|slice| slice.len()).sum();
        if len > LENGTH_MAX {
            return Err(Error::MessageSize);
        }
        let local = socket.local.map(|local| local.ip);
        // IP_FREEBIND gives it the address, but not the right to send from it.
        if local.is_some_and(|local| is_foreign(cx, local)) && !cx.config.foreign_sources {
            return Err(Error::NotPermitted);
        }
        let plan = socket.base.plan(cx, socket.protocol, to, local, options)?;
        let interface = plan.info.route.interface;
        let packets = if socket.header_included {
            1
        } else {
            plan.packets(len)
        };
        self.waiters
            .ask(cx, id, &mut socket.base, interface, packets)?;
        let packet = gather(data);
        let sent = if socket.header_included {
            send_whole(cx, socket.base.common.domain, &plan, packet)
        } else {
            socket.send_behind_header(cx, &plan, packet)
        };
        if sent == Err(Error::MessageSize) {
            socket.base.refused_here(cx, handle(id), to, &plan);
        }
        sent.map(|()| len)
    }
}

impl Socket {
    fn send_behind_header(
        &self,
        cx: &mut Context<'_>,
        plan: &Plan,
        mut packet: Packet,
    ) -> Result<(), Error> {
        if let Some(offset) = self.checksum_offset {
            let at = usize::try_from(offset).map_err(|_| Error::Invalid)?;
            let field = at..at.saturating_add(2);
            let (from, to) = (plan.info.route.source, plan.info.destination);
            let len = u32::try_from(packet.len()).map_err(|_| Error::MessageSize)?;
            packet
                .head_mut()
                .get_mut(field.clone())
                .ok_or(Error::Invalid)?
                .fill(0);
            let sum = checksum::transport(from, to, self.protocol, len, packet.chunks());
            // RFC 3542 §3.1 leaves open who it is; for UDP zero would mean that there is none.
            let sum = match self.protocol {
                IpProtocol::UDP => sum.finish_nonzero(),
                _ => sum.finish(),
            };
            packet.head_mut()[field].copy_from_slice(&sum.to_be_bytes());
        }
        self.base.transmit(cx, plan, packet)
    }
}

/// Whether `local` is one that only a node with [`foreign_sources`](crate::Config::foreign_sources)
/// sends from; groups and broadcasts receive alone.
fn is_foreign(cx: &Context<'_>, local: IpAddr) -> bool {
    !local.is_multicast() && !is_broadcast(cx, local) && !cx.inet.is_local(local)
}

/// Sends a packet with its own IP header.
fn send_whole(
    cx: &mut Context<'_>,
    domain: Domain,
    plan: &Plan,
    mut packet: Packet,
) -> Result<(), Error> {
    // raw(7): the interface's MTU is the limit, not the path's.
    let mtu = cx
        .inet
        .interface(plan.info.route.interface)
        .map(|i| i.mtu());
    let info = SendInfo {
        route: Route {
            mtu: mtu.unwrap_or(plan.info.route.mtu),
            ..plan.info.route
        },
        ..plan.info
    };
    let bytes = packet.head_mut();
    let source = match domain {
        Domain::V4 => complete_v4(cx, plan, bytes)?,
        Domain::V6 => {
            let header = bytes.first_chunk().ok_or(Error::Invalid)?;
            source_v6(header)
        }
    };
    if !source.is_unspecified() && !cx.inet.is_local(source) && !cx.config.foreign_sources {
        return Err(Error::NotPermitted);
    }
    cx.send_with_header(&info, packet)
}

/// Fills in what raw(7) says of an IPv4 header; gives back its source.
fn complete_v4(cx: &mut Context<'_>, plan: &Plan, packet: &mut [u8]) -> Result<IpAddr, Error> {
    let len = u16::try_from(packet.len()).map_err(|_| Error::MessageSize)?;
    if packet.len() < ipv4::HEADER_LEN {
        return Err(Error::Invalid);
    }
    let header_len = usize::from(packet[0] & 0x0f) * 4;
    if header_len < ipv4::HEADER_LEN {
        return Err(Error::Invalid);
    }
    let header = packet.get_mut(..header_len).ok_or(Error::Invalid)?;
    if header[SOURCE] == [0; 4]
        && let IpAddr::V4(own) = plan.info.route.source
    {
        header[SOURCE].copy_from_slice(&own.octets());
    }
    // RFC 6864 §4.1: of a packet that is never fragmented it means nothing, and as on Linux it stays.
    if header[IDENTIFICATION] == [0; 2] && header[FLAGS] & DONT_FRAGMENT == 0 {
        let identification = match (plan.info.route.source, plan.info.destination) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let protocol = IpProtocol(header[PROTOCOL]);
                cx.inet.identifications.next(from, to, protocol)
            }
            _ => return Err(Error::AddressFamily),
        };
        header[IDENTIFICATION].copy_from_slice(&identification.to_be_bytes());
    }
    header[TOTAL_LENGTH].copy_from_slice(&len.to_be_bytes());
    header[CHECKSUM].fill(0);
    let checksum = checksum::of(header);
    header[CHECKSUM].copy_from_slice(&checksum.to_be_bytes());
    let source: [u8; 4] = header[SOURCE].try_into().map_err(|_| Error::Invalid)?;
    Ok(source.into())
}

/// The source in an IPv6 header.
fn source_v6(header: &[u8; ipv6::HEADER_LEN]) -> IpAddr {
    let mut source = [0; 16];
    source.copy_from_slice(&header[8..24]);
    Endpoint::new(source.into(), 0).ip
}

// Fields of an IPv4 header (RFC 791 §3.1). It is a program's own and need not be right, so it is
// not parsed.
const TOTAL_LENGTH: std::ops::Range<usize> = 2..4;
const IDENTIFICATION: std::ops::Range<usize> = 4..6;
const FLAGS: usize = 6;
const DONT_FRAGMENT: u8 = 0x40;
const PROTOCOL: usize = 9;
const CHECKSUM: std::ops::Range<usize> = 10..12;
const SOURCE: std::ops::Range<usize> = 12..16;
