//! A segment as it arrives, and SEG.* by their RFC names.

use crate::saved_syn::SynHeaders;
use bytes::Bytes;
use sockeye_core::demux::{Endpoint, Flow};
use sockeye_core::{Checksum, Config, Counter, IpInfo, Packet, Payload};
use sockeye_wire::tcp::{self, Flags, HEADER_LEN, Header};
use sockeye_wire::tcp_options::Options;
use sockeye_wire::{Ecn, IpProtocol, SeqNum, checksum};

/// A segment whose header has been read and whose checksum holds.
#[derive(Debug)]
pub(crate) struct Segment {
    /// SEG.SEQ
    pub(crate) seq: SeqNum,
    /// SEG.ACK
    pub(crate) ack: SeqNum,
    /// Control bits.
    pub(crate) flags: Flags,
    /// The window field, not scaled.
    pub(crate) window: u16,
    /// The number of the urgent octet that SEG.UP points at, where the URG bit is set.
    pub(crate) up: Option<SeqNum>,
    /// Options.
    pub(crate) options: Options,
    /// The text, not changed in place.
    pub(crate) text: Payload,
    /// Bytes of `text`.
    pub(crate) text_len: u32,
    /// Bytes of memory that `text` keeps.
    pub(crate) pinned: usize,
    /// Segments on the wire that this super-segment was.
    pub(crate) wire_segments: u32,
    /// The ECN field of its packet.
    pub(crate) ecn: Ecn,
    /// Where it came in.
    pub(crate) interface: sockeye_core::InterfaceId,
    /// Header and options as they came, where they hold a signature.
    pub(crate) signed_header: Option<Box<[u8]>>,
    /// The headers of a SYN, where they are wanted.
    pub(crate) syn_headers: Option<SynHeaders>,
}

impl Segment {
    /// Reads a segment off `packet`, whose window starts at the TCP header. `link_len` has the bytes
    /// of the link's header when the headers of SYNs are wanted.
    ///
    /// # Errors
    /// What to count when it is malformed or damaged.
    pub(crate) fn parse(
        ip: &IpInfo,
        mut packet: Packet,
        config: &Config,
        link_len: Option<usize>,
    ) -> Result<(Flow, Self), Counter> {
        let malformed = |_| Counter::TcpInErrs;
        if !packet.pull_up(HEADER_LEN) {
            return Err(Counter::TcpInErrs);
        }
        let data_offset = tcp::data_offset(packet.head()).map_err(malformed)?;
        if !packet.pull_up(data_offset) {
            return Err(Counter::TcpInErrs);
        }
        let header = Header::parse(packet.head()).map_err(malformed)?;
        if packet.meta.checksum == Checksum::Unverified && !is_intact(ip, &packet) {
            return Err(Counter::TcpInErrs);
        }
        // RFC 9293 §3.1: port 0 is nobody's.
        if header.source_port == 0 || header.destination_port == 0 {
            return Err(Counter::TcpInErrs);
        }
        let signed_header = header
            .options
            .is_signed()
            .then(|| packet.head()[..data_offset].into());
        let opens = header.flags & (Flags::SYN | Flags::ACK) == Flags::SYN;
        let syn_headers = link_len
            .filter(|_| opens)
            .and_then(|link_len| SynHeaders::of(ip, &packet, link_len, data_offset));
        packet.pull(data_offset);
        let flow = Flow {
            local: Endpoint::on(ip.interface, ip.destination, header.destination_port),
            remote: Endpoint::on(ip.interface, ip.source, header.source_port),
        };
        let gso = packet.meta.gso.map_or(0, |gso| u32::from(gso.size));
        let text_len = u32::try_from(packet.len()).map_err(|_| Counter::TcpInErrs)?;
        let (text, pinned) = take_text(packet);
        let segment = Self {
            seq: header.seq,
            ack: header.ack,
            flags: header.flags,
            window: header.window,
            up: urgent_octet(&header, config.tcp_stdurg),
            options: header.options,
            text,
            text_len,
            pinned,
            wire_segments: if gso == 0 {
                1
            } else {
                text_len.div_ceil(gso).max(1)
            },
            ecn: Ecn::of(ip.traffic_class),
            interface: ip.interface,
            signed_header,
            syn_headers,
        };
        Ok((flow, segment))
    }

    /// SEG.LEN: text, SYN and FIN.
    pub(crate) fn len(&self) -> u32 {
        tcp::segment_len(self.flags, self.text_len)
    }

    /// The number behind the last that it occupies.
    pub(crate) fn end(&self) -> SeqNum {
        self.seq + self.len()
    }

    /// Whether any of `flags` is set.
    pub(crate) fn has(&self, flags: Flags) -> bool {
        self.flags.intersects(flags)
    }

    /// Sequence number of the first byte of text: behind the SYN.
    pub(crate) fn text_seq(&self) -> SeqNum {
        self.seq + u32::from(self.has(Flags::SYN))
    }

    /// Takes the text out.
    pub(crate) fn take_text(&mut self) -> Payload {
        self.text_len = 0;
        core::mem::take(&mut self.text)
    }

    /// RFC 9293 §3.10.7.4, first: only what is new and in the window is processed. Cuts SYN and
    /// text before `start`, and text and FIN from `end` on.
    pub(crate) fn trim(&mut self, start: SeqNum, end: SeqNum) {
        if self.has(Flags::SYN) && self.seq.before(start) {
            self.flags.remove(Flags::SYN);
            self.seq += 1;
        }
        if self.seq.before(start) {
            let old = self.seq.bytes_to(start).min(self.text_len);
            drop_front(&mut self.text, old as usize);
            self.text_len -= old;
            self.seq += old;
        }
        let text_end = self.text_seq() + self.text_len;
        if self.has(Flags::FIN) && (text_end.before(start) || text_end.after_or_eq(end)) {
            self.flags.remove(Flags::FIN);
        }
        if text_end.after(end) {
            let beyond = end.bytes_to(text_end).min(self.text_len);
            self.text_len -= beyond;
            truncate(&mut self.text, self.text_len as usize);
            self.flags.remove(Flags::FIN | Flags::PSH);
        }
    }
}

/// RFC 9293 §3.8.5 (MUST-62): the octet before the one that is pointed at; with `tcp_stdurg`, that
/// one (RFC 1122 §4.2.2.4). A pointer of 0 means the first octet either way.
fn urgent_octet(header: &Header, std: bool) -> Option<SeqNum> {
    let behind = u32::from(header.urgent_pointer);
    let offset = if std {
        behind
    } else {
        behind.saturating_sub(1)
    };
    let urgent = header.flags.contains(Flags::URG);
    urgent.then(|| header.seq + offset)
}

/// RFC 9293 §3.1 (MUST-3): the checksum covers the pseudo-header, the header and the text.
fn is_intact(ip: &IpInfo, packet: &Packet) -> bool {
    u32::try_from(packet.len()).is_ok_and(|len| {
        checksum::transport(
            ip.source,
            ip.destination,
            IpProtocol::TCP,
            len,
            packet.chunks(),
        )
        .is_valid()
    })
}

/// The text and what keeping it pins. A text smaller than a quarter of the buffers behind it is
/// copied out, so that a peer can't make us keep large buffers by sending little.
fn take_text(packet: Packet) -> (Payload, usize) {
    let len = packet.len();
    if len == 0 {
        return (Payload::new(), 0);
    }
    let pinned = packet.pinned();
    if len < pinned / 4 {
        let mut text = Payload::new();
        text.push(Bytes::from(packet.to_vec()));
        return (text, len);
    }
    (packet.into_payload(), pinned)
}

/// Drops the first `n` bytes.
pub(crate) fn drop_front(text: &mut Payload, mut n: usize) {
    while n > 0
        && let Some(first) = text.first_mut()
    {
        if first.len() > n {
            let _ = first.split_to(n);
            return;
        }
        n -= first.len();
        text.remove(0);
    }
}

/// Keeps the first `len` bytes.
pub(crate) fn truncate(text: &mut Payload, len: usize) {
    let mut room = len;
    text.retain(|slice| {
        slice.truncate(room);
        room -= slice.len();
        !slice.is_empty()
    });
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A segment of `len` bytes of text that starts at `seq`.
    pub(crate) fn text(seq: u32, flags: Flags, bytes: &'static [u8]) -> Segment {
        let mut text = Payload::new();
        if !bytes.is_empty() {
            text.push(Bytes::from_static(bytes));
        }
        Segment {
            seq: SeqNum(seq),
            ack: SeqNum(0),
            flags,
            window: 1000,
            up: None,
            options: Options::default(),
            text,
            text_len: bytes.len() as u32,
            pinned: bytes.len(),
            wire_segments: 1,
            ecn: Ecn::NotEct,
            interface: sockeye_core::InterfaceId::LOOPBACK,
            signed_header: None,
            syn_headers: None,
        }
    }

    fn bytes(segment: &Segment) -> Vec<u8> {
        segment.text.concat()
    }

    #[test]
    fn only_what_is_new_and_in_the_window_is_left() {
        // SYN at 99, text 100..105, FIN at 105.
        let whole = || text(99, Flags::SYN | Flags::FIN | Flags::ACK, b"abcde");
        let mut segment = whole();
        segment.trim(SeqNum(99), SeqNum(106));
        assert_eq!((segment.len(), segment.seq), (7, SeqNum(99)));

        let mut segment = whole();
        segment.trim(SeqNum(102), SeqNum(104));
        assert_eq!(segment.seq, SeqNum(102));
        assert_eq!(bytes(&segment), b"cd");
        assert_eq!(segment.flags, Flags::ACK);

        let mut segment = whole();
        segment.trim(SeqNum(105), SeqNum(106));
        assert_eq!(bytes(&segment), b"");
        assert_eq!(
            (segment.seq, segment.flags),
            (SeqNum(105), Flags::FIN | Flags::ACK)
        );

        // The FIN itself is old.
        let mut segment = whole();
        segment.trim(SeqNum(106), SeqNum(200));
        assert_eq!((segment.len(), segment.flags), (0, Flags::ACK));

        // The window ends before the FIN.
        let mut segment = whole();
        segment.trim(SeqNum(99), SeqNum(105));
        assert_eq!(segment.flags, Flags::SYN | Flags::ACK);
        assert_eq!(bytes(&segment), b"abcde");
    }
}
