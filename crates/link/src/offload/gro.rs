//! Generic receive offload: TCP segments that arrive together become one super-segment.
//!
//! A segment is merged when whoever cut the super-segment anew would get it back as it was: next
//! in sequence, no longer than the first, headers alike in all but lengths, sequence number,
//! checksum and PSH (and the IPv4 identification, which counts up, or means nothing where
//! fragmenting is forbidden: RFC 6864 §4.1). So acknowledgment, window and options are the same,
//! and no flag but ACK and PSH is set. PSH, and a shorter segment, end a super-segment. The
//! checksum is verified first. What is signed (RFC 2385, 5925) stays as it is: a signature covers the
//! segment as it was on the wire.
//!
//! Segments of one flow never overtake each other; those of different flows may.

use super::layout::Layout;
use crate::{Batch, Checksum, Gso, GsoKind, Medium, Packet};
use bytes::Bytes;
use smallvec::SmallVec;
use sockeye_wire::tcp::{self, Flags};
use sockeye_wire::tcp_options::are_signed;
use sockeye_wire::{IpProtocol, SeqNum, ipv4, ipv6};
use std::net::IpAddr;

/// Most super-segments that are built at a time; another flow closes the oldest.
pub const GRO_FLOWS_MAX: usize = 8;
/// Most segments in a super-segment: 64 KiB of Ethernet's are 46.
pub const GRO_SEGMENTS_MAX: usize = 64;

/// Bytes of the largest IP packet.
const IP_LEN_MAX: usize = 65_535;

/// Merges the segments of received batches.
#[derive(Debug, Default)]
pub struct Gro {
    open: SmallVec<[Open; GRO_FLOWS_MAX]>,
    /// The batch that is being built; empty between calls.
    out: Batch,
}

/// A super-segment that may grow.
#[derive(Debug)]
struct Open {
    flow: Flow,
    /// Where its packet lies in [`Gro::out`].
    at: usize,
    layout: Layout,
    /// The sequence number that follows.
    next: SeqNum,
    /// Payload bytes of each segment but the last.
    size: usize,
    segments: usize,
    push: bool,
}

/// What tells a flow from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flow {
    source: IpAddr,
    destination: IpAddr,
    ports: (u16, u16),
}

/// A TCP segment as far as it matters here.
struct Segment {
    flow: Flow,
    layout: Layout,
    seq: SeqNum,
    flags: Flags,
    /// It may be part of a super-segment.
    plain: bool,
}

impl Gro {
    /// Merges what can be merged in `batch`.
    ///
    /// Nothing is held back: a super-segment ends with the batch at the latest.
    pub fn coalesce(&mut self, batch: &mut Batch, medium: Medium) {
        if batch.len() < 2 {
            return;
        }
        for packet in batch.drain(..) {
            self.take(packet, medium);
        }
        for open in self.open.drain(..) {
            open.finish(&mut self.out[open.at]);
        }
        std::mem::swap(batch, &mut self.out);
    }

    fn take(&mut self, mut packet: Packet, medium: Medium) {
        let Some(mut segment) = Segment::read(&mut packet, medium) else {
            self.out.push_back(packet);
            return;
        };
        let known = self.open.iter().position(|o| o.flow == segment.flow);
        if segment.plain {
            segment.plain = segment.verify(&mut packet);
        }
        if let Some(known) = known {
            let open = &mut self.open[known];
            let held = &mut self.out[open.at];
            if segment.plain && open.accepts(held, &packet, &segment) {
                let ends = open.merge(held, packet, &segment);
                if ends {
                    self.close(known);
                }
                return;
            }
            self.close(known);
        }
        if segment.plain && !segment.flags.contains(Flags::PSH) {
            self.start(&segment);
            packet.truncate(segment.layout.end);
        }
        self.out.push_back(packet);
    }

    /// Opens a super-segment with `segment`, which is put into the batch next.
    fn start(&mut self, segment: &Segment) {
        if self.open.len() == GRO_FLOWS_MAX {
            self.close(0);
        }
        self.open.push(Open {
            flow: segment.flow,
            at: self.out.len(),
            layout: segment.layout,
            next: segment.end(),
            size: segment.payload_len(),
            segments: 1,
            push: false,
        });
    }

    fn close(&mut self, index: usize) {
        let open = self.open.remove(index);
        open.finish(&mut self.out[open.at]);
    }
}

impl Open {
    /// Whether `segment` continues the super-segment `held`.
    fn accepts(&self, held: &Packet, packet: &Packet, segment: &Segment) -> bool {
        let Segment {
            flow: _,
            layout,
            seq,
            flags: _,
            plain: _,
        } = segment;
        // Below 2^16: GRO_SEGMENTS_MAX is.
        let count = self.segments as u16;
        *seq == self.next
            && segment.payload_len() <= self.size
            && self.segments < GRO_SEGMENTS_MAX
            && held.len() - self.layout.ip + segment.payload_len() <= IP_LEN_MAX
            && layout.transport == self.layout.transport
            && layout.payload == self.layout.payload
            && (layout.dont_fragment
                || layout.identification == self.layout.identification.wrapping_add(count))
            && same_headers(held.head(), packet.head(), layout)
    }

    /// Puts the payload of `packet` behind `held`. True when nothing may follow.
    fn merge(&mut self, held: &mut Packet, mut packet: Packet, segment: &Segment) -> bool {
        let len = segment.payload_len();
        packet.truncate(segment.layout.end);
        packet.pull(segment.layout.payload);
        // What is counted is what is kept in memory: a small slice does not keep a big buffer.
        let slices = if packet.pinned() / 4 > len {
            let mut copy = Vec::with_capacity(len);
            packet.chunks().for_each(|c| copy.extend_from_slice(c));
            smallvec::smallvec![Bytes::from(copy)]
        } else {
            packet.into_payload()
        };
        held.append(slices);
        self.next = segment.end();
        self.segments += 1;
        self.push = segment.flags.contains(Flags::PSH);
        self.push || len < self.size
    }

    /// Writes the headers of the super-segment, where it became one.
    fn finish(&self, packet: &mut Packet) {
        if self.segments == 1 {
            return;
        }
        let Self { layout, push, .. } = self;
        let (len, size) = (packet.len(), self.size);
        let head = packet.head_mut();
        // IP_LEN_MAX is kept by `accepts`.
        let ip_len = (len - layout.ip) as u16;
        let kind = if layout.source.is_ipv4() {
            ipv4::set_total_len(&mut head[layout.ip..], ip_len);
            GsoKind::TcpV4
        } else {
            ipv6::set_payload_len(&mut head[layout.ip..], ip_len - ipv6::HEADER_LEN as u16);
            GsoKind::TcpV6
        };
        if *push {
            tcp::set_flags(&mut head[layout.transport..], Flags::ACK | Flags::PSH);
        }
        // Both fit: a segment lies in an IP packet, and its headers are near the front.
        if layout.leave_checksum(packet).is_ok() {
            let size = size as u16;
            packet.meta.gso = Some(Gso { kind, size });
        }
    }
}

impl Segment {
    fn read(packet: &mut Packet, medium: Medium) -> Option<Self> {
        let layout = Layout::read(packet, medium).ok()?;
        if layout.protocol != IpProtocol::TCP {
            return None;
        }
        let head = packet.head();
        let (header, _) = tcp::Header::parse_fixed(&head[layout.transport..]).ok()?;
        let ip_header_len = layout.transport - layout.ip;
        let bare = match layout.source {
            IpAddr::V4(_) => ip_header_len == ipv4::HEADER_LEN,
            IpAddr::V6(_) => ip_header_len == ipv6::HEADER_LEN,
        };
        let plain = bare
            && packet.meta.gso.is_none()
            && layout.end > layout.payload
            && !are_signed(&head[layout.transport + tcp::HEADER_LEN..layout.payload])
            && header.flags | Flags::PSH == Flags::ACK | Flags::PSH;
        Some(Self {
            flow: Flow {
                source: layout.source,
                destination: layout.destination,
                ports: (header.source_port, header.destination_port),
            },
            layout,
            seq: header.seq,
            flags: header.flags,
            plain,
        })
    }

    fn payload_len(&self) -> usize {
        self.layout.end - self.layout.payload
    }

    /// The sequence number that follows on the segment's data.
    fn end(&self) -> SeqNum {
        // An IP packet's length has 16 bits.
        SeqNum(self.seq.0.wrapping_add(self.payload_len() as u32))
    }

    /// Whether its checksum is right; that it is, is noted, so that nobody sums it again.
    fn verify(&self, packet: &mut Packet) -> bool {
        match packet.meta.checksum {
            Checksum::Verified | Checksum::Partial { .. } => true,
            Checksum::Unverified if self.layout.checksum_is_right(packet) => {
                packet.meta.checksum = Checksum::Verified;
                true
            }
            Checksum::Unverified => false,
        }
    }
}

/// Whether the headers in front of `a` and `b`, which lie alike, differ in nothing but what
/// cutting a super-segment writes.
fn same_headers(a: &[u8], b: &[u8], layout: &Layout) -> bool {
    let equal = |from: usize, to: usize| a[from..to] == b[from..to];
    let Layout {
        ip,
        transport,
        payload,
        ..
    } = *layout;
    let same_ip = if layout.source.is_ipv4() {
        // All but total length (2), identification (4) and header checksum (10).
        equal(ip, ip + 2) && equal(ip + 6, ip + 10) && equal(ip + 12, transport)
    } else {
        // All but the payload length (4).
        equal(ip, ip + 4) && equal(ip + 6, transport)
    };
    // All but sequence number (4), flags (13, known to be ACK and PSH) and checksum (16).
    let same_tcp = equal(transport, transport + 4)
        && equal(transport + 8, transport + 13)
        && equal(transport + 14, transport + tcp::CHECKSUM_OFFSET)
        && equal(transport + tcp::CHECKSUM_OFFSET + 2, payload);
    equal(0, ip) && same_ip && same_tcp
}
