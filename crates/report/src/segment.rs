//! The TCP segment in a packet, if there is one.

use crate::Way;
use sockeye_core::{Checksum, Medium, Packet};
use sockeye_wire::{IpProtocol, checksum, ethernet, ipv4, ipv6, ipv6_ext, tcp};
use std::net::{IpAddr, SocketAddr};

/// Octets of a packet within which its headers have to end.
const HEADERS_MAX: usize = 256;

/// A segment, or several of one size in one packet.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) header: tcp::Header,
    /// Octets of data.
    pub(crate) text: u32,
    /// Octets of data of each segment on the wire but the last.
    pub(crate) size: u32,
}

/// `None` of what is no TCP, a fragment, malformed, or was corrupted on the way.
pub(crate) fn parse(medium: Medium, way: Way, packet: &Packet) -> Option<Segment> {
    let mut front = [0; HEADERS_MAX];
    let mut filled = 0;
    for chunk in packet.chunks() {
        let take = chunk.len().min(HEADERS_MAX - filled);
        front[filled..filled + take].copy_from_slice(&chunk[..take]);
        filled += take;
    }
    let front = &front[..filled];
    let link = match medium {
        Medium::Ethernet(_) => {
            let header = ethernet::Header::parse(front).ok()?;
            let ip = [sockeye_wire::EtherType::IPV4, sockeye_wire::EtherType::IPV6];
            ip.contains(&header.ethertype)
                .then_some(ethernet::HEADER_LEN)?
        }
        Medium::Ip => 0,
    };
    let (source, destination, transport, end) = internet(front.get(link..)?)?;
    let begin = link + transport;
    let end = match packet.meta.gso {
        Some(_) => packet.len(),
        None => packet.len().min(link + end),
    };
    let header = tcp::Header::parse(front.get(begin..)?).ok()?;
    let offset = usize::from(front.get(begin + 12)? >> 4) * 4;
    let text = u32::try_from(end.checked_sub(begin + offset)?).ok()?;
    let unverified = matches!(packet.meta.checksum, Checksum::Unverified);
    if way == Way::Received && unverified && !is_intact(packet, source, destination, begin..end) {
        return None;
    }
    let from = SocketAddr::new(source, header.source_port);
    let to = SocketAddr::new(destination, header.destination_port);
    let (local, remote) = match way {
        Way::Sent => (from, to),
        Way::Received => (to, from),
    };
    let size = packet.meta.gso.map_or(text, |gso| gso.size.into());
    Some(Segment {
        local,
        remote,
        header,
        text,
        size: size.max(1),
    })
}

/// Source, destination, where TCP begins, and where the packet ends; `None` of other protocols.
fn internet(front: &[u8]) -> Option<(IpAddr, IpAddr, usize, usize)> {
    match front.first()? >> 4 {
        4 => {
            let header = ipv4::Header::parse(front).ok()?;
            let whole = header.fragment_offset == 0 && !header.more_fragments;
            (whole && header.protocol == IpProtocol::TCP).then_some((
                header.source.into(),
                header.destination.into(),
                header.header_len(),
                header.total_len.into(),
            ))
        }
        6 => {
            let header = ipv6::Header::parse(front).ok()?;
            let behind = front.get(ipv6::HEADER_LEN..)?;
            let chain = ipv6_ext::walk(header.next_header, behind).ok()?;
            let is_tcp = chain.protocol == IpProtocol::TCP && chain.fragment.is_none();
            is_tcp.then_some((
                header.source.into(),
                header.destination.into(),
                ipv6::HEADER_LEN + chain.offset,
                header.total_len(),
            ))
        }
        _ => None,
    }
}

/// Whether the checksum of the octets in `range` is right: the node drops what is not.
fn is_intact(
    packet: &Packet,
    source: IpAddr,
    destination: IpAddr,
    range: core::ops::Range<usize>,
) -> bool {
    let len = range.len() as u32;
    let mut at = 0;
    let chunks = packet.chunks().map(move |chunk| {
        let begin = range.start.saturating_sub(at).min(chunk.len());
        let end = range.end.saturating_sub(at).min(chunk.len());
        at += chunk.len();
        &chunk[begin..end.max(begin)]
    });
    checksum::transport(source, destination, IpProtocol::TCP, len, chunks).is_valid()
}
