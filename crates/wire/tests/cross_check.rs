//! The same bytes read and written by an independent implementation, `etherparse`, in both
//! directions.

use etherparse as other;
use proptest::prelude::*;
use sockeye_wire::tcp_options::{Options, SackBlock, Timestamps};
use sockeye_wire::{
    Bounded, Ecn, EtherType, IpProtocol, MacAddr, SeqNum, arp, checksum, ethernet, icmpv4, icmpv6,
    ipv4, ipv6, ipv6_ext, tcp, udp,
};
use std::net::{Ipv4Addr, Ipv6Addr};

/// What `emit` writes, over a buffer that is not all zeros.
macro_rules! emitted {
    ($header:expr) => {{
        let header = $header;
        let mut out = vec![0xee; header.header_len()];
        header.emit(&mut out);
        out
    }};
}

/// A failure prints its minimal input; no file is kept of it.
fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn bytes(len: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), len)
}

#[test]
fn ethernet_and_arp() {
    proptest!(config(), |(input in bytes(14..60))| {
        let ours = ethernet::Header::parse(&input).unwrap();
        let (theirs, _) = other::Ethernet2Header::from_slice(&input).unwrap();
        prop_assert_eq!(ours.destination, MacAddr(theirs.destination));
        prop_assert_eq!(ours.source, MacAddr(theirs.source));
        prop_assert_eq!(ours.ethertype, EtherType(theirs.ether_type.0));
        prop_assert_eq!(emitted!(ours), theirs.to_bytes().to_vec());
    });
    proptest!(config(), |(mut input in bytes(28), op in 1u8..3)| {
        input[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, op]);
        let ours = arp::Header::parse(&input).unwrap();
        let theirs = other::ArpPacketSlice::from_slice(&input).unwrap().to_packet();
        prop_assert_eq!(ours.operation as u16, theirs.operation.0);
        prop_assert_eq!(&ours.sender_hardware.0[..], theirs.sender_hw_addr());
        prop_assert_eq!(&ours.sender_protocol.octets()[..], theirs.sender_protocol_addr());
        prop_assert_eq!(&ours.target_hardware.0[..], theirs.target_hw_addr());
        prop_assert_eq!(&ours.target_protocol.octets()[..], theirs.target_protocol_addr());
        prop_assert_eq!(emitted!(ours), theirs.to_bytes().to_vec());
    });
}

#[test]
fn ipv4_headers() {
    proptest!(config(), |(mut input in bytes(20..70), ihl in 4u8..16, other_version in prop::bool::weighted(0.05))| {
        input[0] = if other_version { input[0] } else { 0x40 | ihl };
        // The reserved flag is not kept.
        input[6] &= 0x7f;
        let theirs = other::Ipv4Header::from_slice(&input);
        let ours = ipv4::Header::parse_quoted(&input);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok());
        let (Ok(ours), Ok((mut theirs, _))) = (ours, theirs) else { return Ok(()) };
        prop_assert_eq!(ours.tos, theirs.dscp.value() << 2 | theirs.ecn.value());
        prop_assert_eq!(ours.ecn() as u8, theirs.ecn.value());
        prop_assert_eq!(ours.total_len, theirs.total_len);
        prop_assert_eq!(ours.identification, theirs.identification);
        prop_assert_eq!(ours.dont_fragment, theirs.dont_fragment);
        prop_assert_eq!(ours.more_fragments, theirs.more_fragments);
        prop_assert_eq!(ours.fragment_offset, theirs.fragment_offset.value() * 8);
        prop_assert_eq!(ours.is_fragment(), theirs.is_fragmenting_payload());
        prop_assert_eq!(ours.ttl, theirs.time_to_live);
        prop_assert_eq!(ours.protocol, IpProtocol(theirs.protocol.0));
        prop_assert_eq!(ours.source, Ipv4Addr::from(theirs.source));
        prop_assert_eq!(ours.destination, Ipv4Addr::from(theirs.destination));
        prop_assert_eq!(&ours.options[..], &theirs.options[..]);
        theirs.header_checksum = theirs.calc_header_checksum();
        let out = emitted!(ours);
        prop_assert_eq!(&out[..], &theirs.to_bytes()[..]);
        let fits = usize::from(ours.total_len) >= ours.header_len();
        prop_assert_eq!(ipv4::Header::parse(&out).is_ok(), fits);
        if fits {
            prop_assert_eq!(ipv4::Header::parse(&out), Ok(ours));
        }
    });
}

#[test]
fn ipv6_headers() {
    proptest!(config(), |(mut input in bytes(40..50), version in 5u8..8)| {
        input[0] = input[0] & 0x0f | version << 4;
        let theirs = other::Ipv6Header::from_slice(&input);
        let ours = ipv6::Header::parse(&input);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok());
        let (Ok(ours), Ok((theirs, _))) = (ours, theirs) else { return Ok(()) };
        prop_assert_eq!(ours.traffic_class, theirs.traffic_class);
        prop_assert_eq!(ours.ecn() as u8, theirs.ecn().value());
        prop_assert_eq!(ours.flow_label, theirs.flow_label.value());
        prop_assert_eq!(ours.payload_len, theirs.payload_length);
        prop_assert_eq!(ours.next_header, IpProtocol(theirs.next_header.0));
        prop_assert_eq!(ours.hop_limit, theirs.hop_limit);
        prop_assert_eq!(ours.source, theirs.source_addr());
        prop_assert_eq!(ours.destination, theirs.destination_addr());
        prop_assert_eq!(emitted!(ours), theirs.to_bytes().to_vec());

        let mut out = emitted!(ours);
        ipv6::set_ecn(&mut out, Ecn::Ce);
        let (changed, _) = other::Ipv6Header::from_slice(&out).unwrap();
        prop_assert_eq!(changed.ecn().value(), 3);
        prop_assert_eq!(changed.dscp(), theirs.dscp());
        prop_assert_eq!(changed.flow_label, theirs.flow_label);
    });
}

#[test]
fn ipv6_extension_headers() {
    // Any chain of at most three short headers, without options that end the walk.
    proptest!(config(), |(
        kinds in prop::collection::vec(prop::sample::select(vec![43u8, 44, 60]), 0..3),
        identification: u32,
        offset in 0u16..3,
        last in prop::sample::select(vec![6u8, 17, 58, 59]),
    )| {
        let mut chain = Vec::new();
        for (i, &kind) in kinds.iter().enumerate() {
            let next = kinds.get(i + 1).copied().unwrap_or(last);
            let mut header = vec![next, 0, 1, 4, 0, 0, 0, 0];
            match kind {
                43 => header[3] = 0,
                44 => ipv6_ext::Fragment {
                    next_header: IpProtocol(next),
                    offset: offset * 8,
                    more: offset == 1,
                    identification,
                }
                .emit(&mut header),
                _ => {}
            }
            chain.extend(header);
        }
        let first = kinds.first().copied().unwrap_or(last);
        let ours = ipv6_ext::walk(IpProtocol(first), &chain).unwrap();
        let slices = other::Ipv6ExtensionsSlice::from_slice(other::IpNumber(first), &chain);
        let (exts, protocol, rest) = slices.unwrap();
        match ours.fragment {
            None => {
                prop_assert_eq!(ours.protocol, IpProtocol(protocol.0));
                prop_assert_eq!(ours.offset, chain.len() - rest.len());
                prop_assert!(!exts.is_fragmenting_payload());
            }
            Some(fragment) => {
                prop_assert!(exts.is_fragmenting_payload());
                let end = ours.offset - 8;
                let (theirs, _) = other::Ipv6FragmentHeader::from_slice(&chain[end..]).unwrap();
                // `etherparse` 0.18 takes other bits for offset and M than RFC 8200 §4.5: these
                // are checked against bytes written by hand, beside the code.
                prop_assert_eq!(fragment.identification, theirs.identification);
                prop_assert_eq!(fragment.next_header, IpProtocol(theirs.next_header.0));
            }
        }
    });
}

#[test]
fn udp_headers_and_checksums() {
    proptest!(config(), |(
        input in bytes(8..20),
        payload in bytes(0..50),
        a: [u8; 4], b: [u8; 4], c: [u8; 16], d: [u8; 16],
    )| {
        let Ok(mut ours) = udp::Header::parse(&input) else {
            prop_assert!(u16::from_be_bytes([input[4], input[5]]) < 8);
            return Ok(());
        };
        let (mut theirs, _) = other::UdpHeader::from_slice(&input).unwrap();
        prop_assert_eq!(ours.source_port, theirs.source_port);
        prop_assert_eq!(ours.destination_port, theirs.destination_port);
        prop_assert_eq!(ours.length, theirs.length);
        prop_assert_eq!(ours.checksum, theirs.checksum);
        prop_assert_eq!(emitted!(ours), theirs.to_bytes().to_vec());

        let length = 8 + payload.len() as u16;
        (ours.length, ours.checksum, theirs.length) = (length, 0, length);
        let header = emitted!(ours);
        let sum = |a, b| {
            checksum::transport(a, b, IpProtocol::UDP, u32::from(length), [&header[..], &payload])
                .finish_nonzero()
        };
        let v4 = theirs.calc_checksum_ipv4_raw(a, b, &payload).unwrap();
        prop_assert_eq!(sum(Ipv4Addr::from(a).into(), Ipv4Addr::from(b).into()), v4);
        let v6 = theirs.calc_checksum_ipv6_raw(c, d, &payload).unwrap();
        prop_assert_eq!(sum(Ipv6Addr::from(c).into(), Ipv6Addr::from(d).into()), v6);
    });
}

/// Options that both sides know.
fn common_options() -> impl Strategy<Value = Options> {
    let block = any::<(u32, u32)>().prop_map(|(start, end)| SackBlock {
        start: SeqNum(start),
        end: SeqNum(end),
    });
    (
        any::<Option<u16>>(),
        any::<Option<u8>>(),
        any::<bool>(),
        prop::collection::vec(block, 0..=4),
        any::<Option<(u32, u32)>>(),
    )
        .prop_map(
            |(mss, window_scale, sack_permitted, sack, timestamps)| Options {
                mss,
                window_scale,
                sack_permitted,
                sack: Bounded::from_slice(&sack).expect("four at most"),
                timestamps: timestamps.map(|(tsval, tsecr)| Timestamps { tsval, tsecr }),
                ..Options::default()
            },
        )
}

/// Our reading of options as `etherparse` reads them.
fn read_by_etherparse(header: &other::TcpHeader) -> Options {
    use other::TcpOptionElement::*;
    let mut options = Options::default();
    for element in header.options_iterator() {
        match element {
            Ok(Noop) => {}
            Ok(MaximumSegmentSize(mss)) => options.mss = Some(mss),
            Ok(WindowScale(shift)) => options.window_scale = Some(shift),
            Ok(SelectiveAcknowledgementPermitted) => options.sack_permitted = true,
            Ok(SelectiveAcknowledgement(first, rest)) => {
                options.sack = Bounded::new();
                for (start, end) in [Some(first)].into_iter().chain(rest).flatten() {
                    options.sack.push(SackBlock {
                        start: SeqNum(start),
                        end: SeqNum(end),
                    });
                }
            }
            Ok(Timestamp(tsval, tsecr)) => options.timestamps = Some(Timestamps { tsval, tsecr }),
            // What it does not know it cannot skip.
            Err(other::TcpOptionReadError::UnknownId(_)) => break,
            Err(_) => {
                options.malformed = true;
                break;
            }
        }
    }
    options
}

#[test]
fn tcp_headers() {
    proptest!(config(), |(mut input in bytes(20..70), data_offset in 4u8..16, options in common_options())| {
        input[12] = data_offset << 4 | input[12] & 1;
        let theirs = other::TcpHeader::from_slice(&input);
        let ours = tcp::Header::parse(&input);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok());
        let (Ok(mut ours), Ok((mut theirs, _))) = (ours, theirs) else { return Ok(()) };
        prop_assert_eq!(ours.source_port, theirs.source_port);
        prop_assert_eq!(ours.destination_port, theirs.destination_port);
        prop_assert_eq!(ours.seq.0, theirs.sequence_number);
        prop_assert_eq!(ours.ack.0, theirs.acknowledgment_number);
        prop_assert_eq!(ours.window, theirs.window_size);
        prop_assert_eq!(ours.checksum, theirs.checksum);
        prop_assert_eq!(ours.urgent_pointer, theirs.urgent_pointer);
        for (flag, set) in [
            (tcp::Flags::FIN, theirs.fin), (tcp::Flags::SYN, theirs.syn),
            (tcp::Flags::RST, theirs.rst), (tcp::Flags::PSH, theirs.psh),
            (tcp::Flags::ACK, theirs.ack), (tcp::Flags::URG, theirs.urg),
            (tcp::Flags::ECE, theirs.ece), (tcp::Flags::CWR, theirs.cwr),
            (tcp::Flags::AE, theirs.ns),
        ] {
            prop_assert_eq!(ours.flags.contains(flag), set);
        }

        ours.options = options;
        let out = emitted!(ours);
        let (read, rest) = other::TcpHeader::from_slice(&out).unwrap();
        prop_assert!(rest.is_empty());
        let mut sent = options;
        sent.sack.truncate((40 - options_len_without_sack(options)).saturating_sub(4) / 8);
        prop_assert_eq!(read_by_etherparse(&read), sent);
        theirs.set_options_raw(&out[20..]).unwrap();
        prop_assert_eq!(&out[..], &theirs.to_bytes()[..]);
    });
}

fn options_len_without_sack(options: Options) -> usize {
    Options {
        sack: Bounded::new(),
        ..options
    }
    .emitted_len()
}

#[test]
fn tcp_options() {
    // Bytes that are likely to be an option: a known kind, then a length that may be right.
    let likely = prop::collection::vec(
        prop_oneof![
            prop::collection::vec(0u8..6, 1..4),
            prop::sample::select(vec![
                vec![0],
                vec![1],
                vec![2, 4, 1, 2],
                vec![2, 3, 1],
                vec![3, 3, 200],
                vec![4, 2],
                vec![5, 10, 1, 2, 3, 4, 5, 6, 7, 8],
                vec![5, 9],
                vec![8, 10, 1, 2, 3, 4, 5, 6, 7, 8],
                vec![5, 18, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8],
                vec![4, 0],
                vec![3, 1],
            ]),
        ],
        0..8,
    );
    proptest!(config(), |(parts in likely)| {
        let mut input = parts.concat();
        input.truncate(40);
        // `etherparse` takes whole words.
        input.resize(input.len().next_multiple_of(4), 0);
        let mut theirs = other::TcpHeader::default();
        theirs.set_options_raw(&input).unwrap();
        let theirs = theirs;
        let known = theirs.options_iterator().all(|o| !matches!(o, Err(other::TcpOptionReadError::UnknownId(_))));
        prop_assume!(known);
        prop_assert_eq!(Options::parse(&input), read_by_etherparse(&theirs));
    });
}

#[test]
fn icmpv4_headers() {
    proptest!(config(), |(
        mut input in bytes(20),
        kind in prop::sample::select(vec![0u8, 3, 5, 8, 11, 12, 13, 14]),
        code in 0u8..16,
    )| {
        input[..4].copy_from_slice(&[kind, code, 0, 0]);
        // `etherparse` drops the length of RFC 4884, and the MTU with other codes than 4.
        match kind {
            3 => input[4..if code == 4 { 6 } else { 8 }].fill(0),
            11 => input[4..8].fill(0),
            12 => input[if code == 0 { 5 } else { 4 }..8].fill(0),
            _ => {}
        }
        let (theirs, _) = other::Icmpv4Header::from_slice(&input).unwrap();
        let ours = icmpv4::Header::parse(&input).unwrap();
        prop_assert_eq!(&emitted!(ours)[..], &theirs.to_bytes()[..]);
        let mut message = input.clone();
        icmpv4::fill_checksum(&mut message);
        let header_len = theirs.header_len();
        let expected = theirs.icmp_type.calc_checksum(&input[header_len..]);
        prop_assert_eq!(u16::from_be_bytes([message[2], message[3]]), expected);
    });
}

#[test]
fn icmpv6_headers() {
    proptest!(config(), |(
        mut input in bytes(8..30),
        kind in prop::sample::select(vec![1u8, 2, 3, 4, 128, 129]),
        code in 0u8..8,
        a: [u8; 16],
        b: [u8; 16],
    )| {
        input[..4].copy_from_slice(&[kind, if kind == 2 { 0 } else { code }, 0, 0]);
        // `etherparse` drops the length of RFC 4884.
        if kind == 1 || kind == 3 {
            input[4..8].fill(0);
        }
        let (theirs, payload) = other::Icmpv6Header::from_slice(&input).unwrap();
        let ours = icmpv6::Header::parse(&input).unwrap();
        prop_assert_eq!(&emitted!(ours)[..], &theirs.to_bytes()[..]);
        let expected = theirs.icmp_type.calc_checksum(a, b, payload).unwrap();
        icmpv6::fill_checksum(a.into(), b.into(), &mut input);
        prop_assert_eq!(u16::from_be_bytes([input[2], input[3]]), expected);
        prop_assert!(icmpv6::is_valid(a.into(), b.into(), &input));
    });
}
