use super::*;
use crate::{Gso, GsoKind, GsoKinds, MacAddr, Payload};
use bytes::Bytes;
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use proptest::prelude::*;
use sockeye_wire::tcp::Flags;
use sockeye_wire::tcp_options::{Options, Timestamps};
use sockeye_wire::{EtherType, IpProtocol, SeqNum, ethernet, ipv4, ipv6, tcp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ETHERNET: Medium = Medium::Ethernet(MacAddr([2, 0, 0, 0, 0, 1]));

/// A super-segment, or a packet when `size` is 0, as a node makes it.
#[derive(Clone, Debug)]
struct Sample {
    v6: bool,
    ethernet: bool,
    protocol: IpProtocol,
    seq: u32,
    flags: Flags,
    identification: u16,
    dont_fragment: bool,
    timestamps: bool,
    /// It has an MD5 signature, the same in all of them.
    signed: bool,
    size: u16,
    slices: Vec<Vec<u8>>,
}

impl Sample {
    fn tcp(payload: &[u8], size: u16) -> Self {
        Self {
            v6: false,
            ethernet: false,
            protocol: IpProtocol::TCP,
            seq: 1000,
            flags: Flags::ACK,
            identification: 7,
            dont_fragment: false,
            timestamps: true,
            signed: false,
            size,
            slices: vec![payload.to_vec()],
        }
    }

    fn medium(&self) -> Medium {
        if self.ethernet { ETHERNET } else { Medium::Ip }
    }

    fn payload(&self) -> Vec<u8> {
        self.slices.concat()
    }

    fn packet(&self) -> Packet {
        let slices: Payload = self.slices.iter().cloned().map(Bytes::from).collect();
        let mut packet = Packet::with_payload(slices);
        let mut offset = udp::CHECKSUM_OFFSET;
        if self.protocol == IpProtocol::TCP {
            offset = tcp::CHECKSUM_OFFSET;
            let timestamps = Timestamps { tsval: 5, tsecr: 6 };
            let options = Options {
                timestamps: self.timestamps.then_some(timestamps),
                md5: self.signed.then_some([7; 16]),
                ..Options::default()
            };
            let header = tcp::Header {
                source_port: 80,
                destination_port: 4000,
                seq: SeqNum(self.seq),
                ack: SeqNum(99),
                flags: self.flags,
                window: 512,
                options,
                ..tcp::Header::default()
            };
            header.emit(packet.push(header.header_len()));
        } else {
            let length = u16::try_from(packet.len() + udp::HEADER_LEN).unwrap();
            udp::Header {
                source_port: 53,
                destination_port: 4000,
                length,
                checksum: 0,
            }
            .emit(packet.push(udp::HEADER_LEN));
        }
        let len = u16::try_from(packet.len()).unwrap();
        let (source, destination) = self.addresses();
        let pseudo = sockeye_wire::checksum::pseudo_header(
            source,
            destination,
            self.protocol,
            u32::from(len),
        );
        packet.head_mut()[offset..offset + 2].copy_from_slice(&pseudo.folded().to_be_bytes());
        packet.meta.checksum = Checksum::Partial {
            start: 0,
            offset: u16::try_from(offset).unwrap(),
        };
        match (source, destination) {
            (IpAddr::V4(s), IpAddr::V4(d)) => {
                let mut header = ipv4::Header::new(s, d, self.protocol, len);
                header.identification = self.identification;
                header.dont_fragment = self.dont_fragment;
                header.emit(packet.push(ipv4::HEADER_LEN));
            }
            (IpAddr::V6(s), IpAddr::V6(d)) => {
                ipv6::Header::new(s, d, self.protocol, len).emit(packet.push(ipv6::HEADER_LEN));
            }
            _ => unreachable!("both are of one family"),
        }
        if self.ethernet {
            let ethertype = if self.v6 {
                EtherType::IPV6
            } else {
                EtherType::IPV4
            };
            ethernet::Header {
                destination: MacAddr([2, 0, 0, 0, 0, 1]),
                source: MacAddr([2, 0, 0, 0, 0, 2]),
                ethertype,
            }
            .emit(packet.push(ethernet::HEADER_LEN));
        }
        if self.size > 0 {
            let kind = match (self.protocol, self.v6) {
                (IpProtocol::TCP, false) => GsoKind::TcpV4,
                (IpProtocol::TCP, true) => GsoKind::TcpV6,
                _ => GsoKind::Udp,
            };
            packet.meta.gso = Some(Gso {
                kind,
                size: self.size,
            });
        }
        packet
    }

    fn addresses(&self) -> (IpAddr, IpAddr) {
        if self.v6 {
            let of = |last| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last).into();
            (of(1), of(2))
        } else {
            let of = |last| Ipv4Addr::new(10, 0, 0, last).into();
            (of(1), of(2))
        }
    }
}

/// What another parser reads from a packet, all checksums compared with its own.
#[derive(Debug, PartialEq)]
struct Seen {
    identification: Option<u16>,
    seq: u32,
    fin: bool,
    psh: bool,
    cwr: bool,
    payload: Vec<u8>,
}

fn look(packet: &Packet, medium: Medium) -> Seen {
    let bytes = packet.to_vec();
    let sliced = match medium {
        Medium::Ethernet(_) => SlicedPacket::from_ethernet(&bytes),
        Medium::Ip => SlicedPacket::from_ip(&bytes),
    }
    .unwrap();
    let mut identification = None;
    let net = sliced.net.unwrap();
    match &net {
        NetSlice::Ipv4(ip) => {
            let header = ip.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            identification = Some(header.identification);
        }
        NetSlice::Ipv6(_) => {}
        NetSlice::Arp(_) => unreachable!("no ARP was sent"),
    }
    match (sliced.transport.unwrap(), &net) {
        (TransportSlice::Tcp(tcp), net) => {
            let sum = match net {
                NetSlice::Ipv4(ip) => tcp.calc_checksum_ipv4(
                    ip.header().source_addr().octets(),
                    ip.header().destination_addr().octets(),
                ),
                NetSlice::Ipv6(ip) => tcp.calc_checksum_ipv6(
                    ip.header().source_addr().octets(),
                    ip.header().destination_addr().octets(),
                ),
                NetSlice::Arp(_) => unreachable!("no ARP was sent"),
            };
            assert_eq!(sum.unwrap(), tcp.checksum(), "TCP checksum");
            Seen {
                identification,
                seq: tcp.sequence_number(),
                fin: tcp.fin(),
                psh: tcp.psh(),
                cwr: tcp.cwr(),
                payload: tcp.payload().to_vec(),
            }
        }
        (TransportSlice::Udp(udp), net) => {
            let header = udp.to_header();
            let sum = match net {
                NetSlice::Ipv4(ip) => {
                    header.calc_checksum_ipv4(&ip.header().to_header(), udp.payload())
                }
                NetSlice::Ipv6(ip) => {
                    header.calc_checksum_ipv6(&ip.header().to_header(), udp.payload())
                }
                NetSlice::Arp(_) => unreachable!("no ARP was sent"),
            };
            assert_eq!(sum.unwrap(), header.checksum, "UDP checksum");
            assert_eq!(usize::from(header.length), 8 + udp.payload().len());
            Seen {
                identification,
                seq: 0,
                fin: false,
                psh: false,
                cwr: false,
                payload: udp.payload().to_vec(),
            }
        }
        (other, _) => panic!("neither TCP nor UDP: {other:?}"),
    }
}

fn wire(packet: Packet, medium: Medium) -> Batch {
    let mut out = Batch::new();
    let n = to_wire(packet, medium, &mut out).unwrap();
    assert_eq!(n, out.len());
    out
}

#[test]
fn a_tcp_super_segment_is_cut() {
    let mut sample = Sample::tcp(b"aaaabbbbcc", 4);
    sample.flags = Flags::ACK | Flags::PSH | Flags::FIN | Flags::CWR;
    sample.identification = 0xffff;
    sample.seq = 0xffff_fffe;
    let seen: Vec<Seen> = wire(sample.packet(), Medium::Ip)
        .iter()
        .map(|p| look(p, Medium::Ip))
        .collect();
    let piece = |identification, seq, payload: &[u8], first, last| Seen {
        identification: Some(identification),
        seq,
        fin: last,
        psh: last,
        cwr: first,
        payload: payload.to_vec(),
    };
    let expected = [
        piece(0xffff, 0xffff_fffe, b"aaaa", true, false),
        piece(0, 2, b"bbbb", false, false),
        piece(1, 6, b"cc", false, true),
    ];
    assert_eq!(seen, expected);
}

/// RFC 9293 §3.8.5: each segment points at the end of urgent data by itself, and none behind it does.
#[test]
fn the_urgent_pointer_moves_with_the_pieces() {
    let mut packet = {
        let mut sample = Sample::tcp(b"aaaabbbbcccc", 4);
        sample.flags |= Flags::URG;
        sample.packet()
    };
    tcp::set_urgent_pointer(&mut packet.head_mut()[ipv4::HEADER_LEN..], 6);
    let pointers: Vec<_> = wire(packet, Medium::Ip)
        .iter()
        .map(|piece| {
            look(piece, Medium::Ip);
            let (header, _) = tcp::Header::parse_fixed(&piece.head()[ipv4::HEADER_LEN..]).unwrap();
            (header.flags.contains(Flags::URG), header.urgent_pointer)
        })
        .collect();
    assert_eq!(pointers, [(true, 6), (true, 2), (false, 0)]);
}

#[test]
fn pieces_share_the_payload() {
    let payload = Bytes::from(vec![7; 3000]);
    let range = payload.as_ptr_range();
    let mut sample = Sample::tcp(b"", 1000);
    sample.slices = vec![vec![7; 3000]];
    let mut packet = sample.packet();
    let head = packet.head().to_vec();
    let (meta, slices) = (packet.meta, smallvec::smallvec![payload]);
    packet = Packet::from_parts(head, slices);
    packet.meta = meta;
    for piece in segment(packet, Medium::Ip).unwrap() {
        assert_eq!(piece.payload().len(), 1);
        assert!(range.contains(&piece.payload()[0].as_ptr()));
    }
}

#[test]
fn what_contradicts_its_headers_is_refused() {
    let with = |change: fn(&mut Packet)| {
        let mut packet = Sample::tcp(&[0; 5000], 1000).packet();
        change(&mut packet);
        let mut out = Batch::new();
        let result = to_wire(packet, Medium::Ip, &mut out);
        assert!(out.is_empty());
        result.unwrap_err()
    };
    let gso = |kind, size| Some(Gso { kind, size });
    assert_eq!(
        with(|p| p.meta.gso.as_mut().unwrap().size = 0),
        ParseError::BadValue
    );
    assert_eq!(
        with(|p| p.meta.gso.as_mut().unwrap().size = 2),
        ParseError::TooMany
    );
    for kind in [GsoKind::TcpV6, GsoKind::Udp] {
        let mut packet = Sample::tcp(&[0; 5000], 1000).packet();
        packet.meta.gso = gso(kind, 1000);
        assert_eq!(
            segment(packet, Medium::Ip).unwrap_err(),
            ParseError::BadValue
        );
    }
    assert_eq!(with(|p| p.truncate(2000)), ParseError::Truncated);
    assert_eq!(
        with(|p| p.meta.checksum = Checksum::Unverified),
        ParseError::BadChecksum
    );
    let mut short = Sample::tcp(b"x", 0).packet();
    short.meta.checksum = Checksum::Partial {
        start: 50,
        offset: 16,
    };
    assert_eq!(
        fill_checksum(&mut short).unwrap_err(),
        ParseError::BadLength
    );
}

#[test]
fn a_device_gets_what_it_takes() {
    let capabilities = |tx_checksum, gso, gso_max| Capabilities {
        medium: Medium::Ip,
        mtu: 1500,
        tx_checksum,
        gso,
        gso_max,
        queues: 1,
    };
    let fitted = |capabilities| {
        let mut out = Batch::new();
        fit(
            Sample::tcp(&[1; 4000], 1400).packet(),
            &capabilities,
            &mut out,
        )
        .unwrap();
        let partial = out
            .iter()
            .all(|p| matches!(p.meta.checksum, Checksum::Partial { .. }));
        (out.len(), partial)
    };
    let v6_alone = GsoKinds {
        tcp_v6: true,
        ..GsoKinds::NONE
    };
    assert_eq!(fitted(capabilities(true, GsoKinds::ALL, 65_535)), (1, true));
    assert_eq!(fitted(capabilities(true, GsoKinds::ALL, 4000)), (3, true));
    assert_eq!(fitted(capabilities(true, v6_alone, 65_535)), (3, true));
    assert_eq!(
        fitted(capabilities(false, GsoKinds::ALL, 65_535)),
        (3, false)
    );
    assert_eq!(fitted(capabilities(false, GsoKinds::NONE, 0)), (3, false));
}

#[test]
fn a_udp_checksum_of_zero_is_sent_as_ones() {
    // The payload's last word makes the sum come out as 0.
    let mut sample = Sample::tcp(b"", 0);
    sample.protocol = IpProtocol::UDP;
    sample.slices = vec![vec![0, 0]];
    let zero = wire(sample.packet(), Medium::Ip).pop_front().unwrap();
    let missing = zero.head()[26..28].to_vec();
    sample.slices = vec![missing];
    let packet = wire(sample.packet(), Medium::Ip).pop_front().unwrap();
    assert_eq!(packet.head()[26..28], [0xff, 0xff]);
}

/// The segments as a receiver finds them: each whole in a buffer of its own.
fn received(batch: Batch) -> Batch {
    batch
        .into_iter()
        .map(|p| Packet::from_vec(p.to_vec()))
        .collect()
}

#[test]
fn segments_of_two_flows_are_merged_each() {
    let one = Sample::tcp(&[1; 3500], 1000);
    let mut two = one.clone();
    two.v6 = true;
    two.slices = vec![vec![2; 2500]];
    let mut left = received(wire(one.packet(), Medium::Ip));
    let mut right = received(wire(two.packet(), Medium::Ip));
    let mut batch = Batch::new();
    while !(left.is_empty() && right.is_empty()) {
        batch.extend(left.pop_front());
        batch.extend(right.pop_front());
    }
    Gro::default().coalesce(&mut batch, Medium::Ip);
    let lens: Vec<_> = batch.iter().map(|p| (p.len(), p.meta.gso)).collect();
    let gso = |kind| Some(Gso { kind, size: 1000 });
    assert_eq!(
        lens,
        [(3552, gso(GsoKind::TcpV4)), (2572, gso(GsoKind::TcpV6))]
    );
}

/// How many packets are left of three segments of 1000 bytes after `change`.
fn merged_after(change: impl Fn(usize, &mut Sample)) -> usize {
    let mut batch = Batch::new();
    for i in 0..3 {
        let mut sample = Sample::tcp(&[3; 1000], 0);
        sample.seq += 1000 * i as u32;
        sample.identification += i as u16;
        change(i, &mut sample);
        batch.extend(received(wire(sample.packet(), Medium::Ip)));
    }
    Gro::default().coalesce(&mut batch, Medium::Ip);
    batch.len()
}

#[test]
fn only_what_belongs_together_is_merged() {
    assert_eq!(merged_after(|_, _| ()), 1);
    // A gap, an overlap.
    assert_eq!(merged_after(|i, s| s.seq += u32::from(i == 2)), 2);
    assert_eq!(merged_after(|i, s| s.seq -= u32::from(i == 1)), 3);
    // Other flags, before, within and at the end.
    assert_eq!(merged_after(|i, s| s.flags.set(Flags::FIN, i == 2)), 2);
    assert_eq!(merged_after(|i, s| s.flags.set(Flags::URG, i == 1)), 3);
    assert_eq!(merged_after(|_, s| s.flags |= Flags::URG), 3);
    assert_eq!(merged_after(|_, s| s.flags = Flags::ACK | Flags::ECE), 3);
    // PSH ends a super-segment.
    assert_eq!(merged_after(|i, s| s.flags.set(Flags::PSH, i == 2)), 1);
    assert_eq!(merged_after(|i, s| s.flags.set(Flags::PSH, i == 1)), 2);
    // Other options.
    assert_eq!(merged_after(|i, s| s.timestamps = i != 1), 3);
    // A signature is of one segment.
    assert_eq!(merged_after(|_, s| s.signed = true), 3);
    // Identifications matter where a packet may be fragmented.
    assert_eq!(merged_after(|_, s| s.identification = 9), 3);
    let still = |_, s: &mut Sample| (s.identification, s.dont_fragment) = (9, true);
    assert_eq!(merged_after(still), 1);
    // A short one ends it, a long one begins anew.
    let short = |i, s: &mut Sample| {
        s.slices[0].truncate(if i == 1 { 999 } else { 1000 });
        s.seq -= u32::from(i == 2);
    };
    assert_eq!(merged_after(short), 2);
    // Pure acknowledgments stay what they are.
    assert_eq!(merged_after(|_, s| s.slices[0].clear()), 3);
}

#[test]
fn a_broken_segment_is_not_merged() {
    let mut batch = received(wire(Sample::tcp(&[1; 3000], 1000).packet(), Medium::Ip));
    let last = batch[1].len() - 1;
    batch[1].head_mut()[last] ^= 1;
    Gro::default().coalesce(&mut batch, Medium::Ip);
    assert_eq!(batch.len(), 3);
    assert_eq!(batch[1].meta.checksum, Checksum::Unverified);
}

#[test]
fn padding_is_not_payload() {
    let mut sample = Sample::tcp(b"abcdef", 2);
    sample.ethernet = true;
    sample.timestamps = false;
    let mut batch: Batch = wire(sample.packet(), ETHERNET)
        .iter()
        .map(|p| {
            let mut bytes = p.to_vec();
            bytes.resize(60, 0xee);
            Packet::from_vec(bytes)
        })
        .collect();
    Gro::default().coalesce(&mut batch, ETHERNET);
    assert_eq!(batch.len(), 1);
    assert_eq!(
        look(&wire(batch.remove(0).unwrap(), ETHERNET)[2], ETHERNET).payload,
        b"ef"
    );
}

#[test]
fn a_super_segment_is_bounded() {
    let segment = |i: u32| {
        let mut sample = Sample::tcp(&[1; 1400], 0);
        sample.seq += 1400 * i;
        sample.dont_fragment = true;
        received(wire(sample.packet(), Medium::Ip))
    };
    let mut batch: Batch = (0..100).flat_map(segment).collect();
    Gro::default().coalesce(&mut batch, Medium::Ip);
    assert!(batch.iter().all(|p| p.len() <= 65_535));
    assert_eq!(batch.len(), 3);
}

fn samples() -> impl Strategy<Value = Sample> {
    let slices = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..2000), 0..8);
    let switches = (any::<[bool; 5]>(), any::<u32>(), any::<u16>(), 30u16..1500);
    (slices, switches).prop_map(
        |(slices, ([v6, ethernet, tcp, df, ts], seq, id, size))| Sample {
            v6,
            ethernet,
            protocol: if tcp {
                IpProtocol::TCP
            } else {
                IpProtocol::UDP
            },
            seq,
            flags: Flags::ACK | if ts { Flags::PSH } else { Flags::empty() },
            identification: id,
            dont_fragment: df,
            timestamps: ts,
            signed: false,
            size,
            slices,
        },
    )
}

proptest! {
    #[test]
    fn every_piece_parses_and_holds_its_part(sample in samples()) {
        let pieces = wire(sample.packet(), sample.medium());
        let size = usize::from(sample.size);
        let payload = sample.payload();
        prop_assert_eq!(pieces.len(), payload.len().div_ceil(size).max(1));
        let mut at = 0;
        for (i, piece) in pieces.iter().enumerate() {
            let seen = look(piece, sample.medium());
            prop_assert_eq!(&seen.payload, &payload[at..payload.len().min(at + size)]);
            at += seen.payload.len();
            if sample.protocol == IpProtocol::TCP {
                prop_assert_eq!(seen.seq, sample.seq.wrapping_add((i * size) as u32));
            }
            if let Some(id) = seen.identification {
                prop_assert_eq!(id, sample.identification.wrapping_add(i as u16));
            }
        }
        prop_assert_eq!(at, payload.len());
    }

    #[test]
    fn merging_undoes_cutting(mut sample in samples()) {
        sample.protocol = IpProtocol::TCP;
        let pieces = received(wire(sample.packet(), sample.medium()));
        let mut batch = pieces.clone();
        Gro::default().coalesce(&mut batch, sample.medium());
        if pieces.len() <= GRO_SEGMENTS_MAX {
            prop_assert_eq!(batch.len(), 1);
            prop_assert_eq!(batch[0].to_vec(), {
                let mut whole = sample.packet();
                whole.linearize();
                if pieces.len() == 1 {
                    fill_checksum(&mut whole).unwrap();
                }
                whole.to_vec()
            });
        }
        let mut again = Batch::new();
        for packet in batch {
            to_wire(packet, sample.medium(), &mut again).unwrap();
        }
        let bytes = |b: &Batch| b.iter().map(Packet::to_vec).collect::<Vec<_>>();
        prop_assert_eq!(bytes(&again), bytes(&pieces));
    }

    #[test]
    fn bytes_from_the_network_never_panic(
        sample in samples(),
        flips in proptest::collection::vec((0usize..80, any::<u8>()), 0..4),
        cut in 0usize..3000,
        partial: Option<(u16, u16)>,
        kind in 0..3,
    ) {
        let mut packet = Packet::from_vec(sample.packet().to_vec());
        for (at, value) in flips {
            if let Some(byte) = packet.head_mut().get_mut(at) {
                *byte = value;
            }
        }
        packet.truncate(cut);
        if let Some((start, offset)) = partial {
            packet.meta.checksum = Checksum::Partial { start, offset };
        }
        let kind = [GsoKind::TcpV4, GsoKind::TcpV6, GsoKind::Udp][kind as usize];
        packet.meta.gso = Some(Gso { kind, size: sample.size });
        let mut out = Batch::new();
        let _ = to_wire(packet.clone(), sample.medium(), &mut out);
        packet.meta.gso = None;
        let mut batch: Batch = [packet.clone(), packet].into();
        Gro::default().coalesce(&mut batch, sample.medium());
        prop_assert_eq!(batch.len(), 2);
    }
}
