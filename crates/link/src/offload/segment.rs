//! Cutting a super-segment into the packets that it stands for.

use super::layout::Layout;
use crate::{Checksum, GsoKind, Medium, Meta, Packet, Payload};
use bytes::Bytes;
use sockeye_wire::tcp::{self, Flags};
use sockeye_wire::{IpProtocol, ParseError, SeqNum, ipv4, ipv6, udp};
use std::net::IpAddr;

/// Most packets that one super-segment stands for: 64 KiB of the smallest TCP segments in use
/// (an MSS of 48 with timestamps in it).
pub const SEGMENTS_MAX: usize = 2048;

/// Cuts `packet` into the packets that it stands for: itself alone, where it is no super-segment.
///
/// The pieces share the payload. Each gets its own headers: lengths, IPv4 identification
/// (counting up) and header checksum; TCP sequence number, with FIN and PSH on the last piece
/// alone and CWR on the first alone (RFC 3168 §6.1.2: it is said once), and the urgent pointer
/// counted from there, while it points ahead. The transport checksum of a piece is [`Partial`](Checksum::Partial); [`fill_checksum`](super::fill_checksum) sums it.
///
/// # Errors
/// What the parsers of the headers say; [`BadValue`](ParseError::BadValue) when the kind or the
/// size of the super-segment does not match its headers, [`TooMany`](ParseError::TooMany) beyond
/// [`SEGMENTS_MAX`], [`BadChecksum`](ParseError::BadChecksum) when its checksum was neither left
/// partial nor verified, and is wrong.
pub fn segment(mut packet: Packet, medium: Medium) -> Result<Segments, ParseError> {
    let Some(gso) = packet.meta.gso.take() else {
        return Ok(Segments(State::Whole(Some(packet))));
    };
    let layout = Layout::read(&mut packet, medium)?;
    let fits = match gso.kind {
        GsoKind::TcpV4 => layout.protocol == IpProtocol::TCP && layout.source.is_ipv4(),
        GsoKind::TcpV6 => layout.protocol == IpProtocol::TCP && layout.source.is_ipv6(),
        GsoKind::Udp => layout.protocol == IpProtocol::UDP,
    };
    let size = usize::from(gso.size);
    if !fits || size == 0 {
        return Err(ParseError::BadValue);
    }
    let pieces = (layout.end - layout.payload).div_ceil(size).max(1);
    if pieces > SEGMENTS_MAX {
        return Err(ParseError::TooMany);
    }
    if packet.meta.checksum == Checksum::Unverified && !layout.checksum_is_right(&packet) {
        return Err(ParseError::BadChecksum);
    }
    packet.truncate(layout.end);
    let mut meta = packet.meta;
    meta.checksum = layout.partial()?;
    let headers = packet.head()[..layout.payload].to_vec();
    let first = Numbers::read(&headers, &layout)?;
    packet.pull(layout.payload);
    let payload = packet.into_payload();
    Ok(Segments(State::Cut(Cut {
        layout,
        headers,
        first,
        meta,
        size,
        payload,
        slice: 0,
        pieces,
        done: 0,
    })))
}

/// The packets of a super-segment, in order.
#[derive(Debug)]
pub struct Segments(State);

#[derive(Debug)]
enum State {
    Whole(Option<Packet>),
    Cut(Cut),
}

impl Iterator for Segments {
    type Item = Packet;

    fn next(&mut self) -> Option<Packet> {
        match &mut self.0 {
            State::Whole(packet) => packet.take(),
            State::Cut(cut) => cut.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.0 {
            State::Whole(packet) => usize::from(packet.is_some()),
            State::Cut(cut) => cut.pieces - cut.done,
        };
        (left, Some(left))
    }
}

impl ExactSizeIterator for Segments {}

/// A super-segment that is being cut.
#[derive(Debug)]
struct Cut {
    layout: Layout,
    /// All headers of the super-segment, what each piece's are made from.
    headers: Vec<u8>,
    first: Numbers,
    /// The metadata of each piece.
    meta: Meta,
    /// Payload bytes of each piece but the last.
    size: usize,
    /// What is still to be cut, from `slice` on; what lies before is empty.
    payload: Payload,
    slice: usize,
    pieces: usize,
    done: usize,
}

/// The fields of a super-segment's headers that differ from piece to piece.
#[derive(Debug)]
struct Numbers {
    identification: u16,
    seq: SeqNum,
    flags: Flags,
    urgent_pointer: u16,
}

impl Numbers {
    fn read(headers: &[u8], layout: &Layout) -> Result<Self, ParseError> {
        let (seq, flags, urgent_pointer) = if layout.protocol == IpProtocol::TCP {
            let (tcp, _) = tcp::Header::parse_fixed(&headers[layout.transport..])?;
            (tcp.seq, tcp.flags, tcp.urgent_pointer)
        } else {
            (SeqNum(0), Flags::empty(), 0)
        };
        Ok(Self {
            identification: layout.identification,
            seq,
            flags,
            urgent_pointer,
        })
    }
}

impl Cut {
    fn next(&mut self) -> Option<Packet> {
        if self.done == self.pieces {
            return None;
        }
        let payload = self.take_payload();
        let payload_len = payload.iter().map(Bytes::len).sum();
        let mut packet = Packet::from_parts(self.headers.clone(), payload);
        packet.meta = self.meta;
        self.write_headers(packet.head_mut(), payload_len);
        self.done += 1;
        Some(packet)
    }

    /// The next `size` bytes, or what is left.
    fn take_payload(&mut self) -> Payload {
        let mut out = Payload::new();
        let mut missing = self.size;
        while missing > 0 && self.slice < self.payload.len() {
            let slice = &mut self.payload[self.slice];
            let piece = slice.split_to(missing.min(slice.len()));
            if slice.is_empty() {
                self.slice += 1;
            }
            missing -= piece.len();
            if !piece.is_empty() {
                out.push(piece);
            }
        }
        out
    }

    fn write_headers(&self, headers: &mut [u8], payload_len: usize) {
        let layout = &self.layout;
        // No piece is longer than the super-segment, whose length fits into its header.
        let len_from = |at: usize| (layout.payload - at + payload_len) as u16;
        // Both below SEGMENTS_MAX and 2^16.
        let (index, offset) = (self.done as u16, (self.done * self.size) as u32);
        let ip = &mut headers[layout.ip..];
        match layout.source {
            IpAddr::V4(_) => {
                ipv4::set_total_len(ip, len_from(layout.ip));
                ipv4::set_identification(ip, self.first.identification.wrapping_add(index));
            }
            IpAddr::V6(_) => {
                ipv6::set_payload_len(ip, len_from(layout.ip + ipv6::HEADER_LEN));
            }
        }
        let pseudo = layout.pseudo_sum(layout.payload - layout.transport + payload_len);
        let transport = &mut headers[layout.transport..];
        if layout.protocol == IpProtocol::TCP {
            let mut flags = self.first.flags;
            if self.done > 0 {
                flags.remove(Flags::CWR);
            }
            if self.done + 1 < self.pieces {
                flags.remove(Flags::FIN | Flags::PSH);
            }
            if self.done > 0 && flags.contains(Flags::URG) {
                // RFC 9293 §3.1: it counts from the sequence number of its own segment.
                let pointer = u32::from(self.first.urgent_pointer).saturating_sub(offset);
                flags.set(Flags::URG, pointer > 0);
                tcp::set_urgent_pointer(transport, pointer as u16);
            }
            tcp::set_seq(transport, SeqNum(self.first.seq.0.wrapping_add(offset)));
            tcp::set_flags(transport, flags);
            tcp::set_checksum(transport, pseudo);
        } else {
            udp::set_length(transport, len_from(layout.transport));
            udp::set_checksum(transport, pseudo);
        }
    }
}
