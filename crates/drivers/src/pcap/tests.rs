use super::*;
use crate::memory::{MemoryConfig, MemoryLink};
use bytes::Bytes;
use sockeye_link::{Gso, GsoKind, MacAddr};
use sockeye_wire::{IpProtocol, SeqNum, ipv4, tcp};
use std::net::Ipv4Addr;

/// A block as a reader finds it.
#[derive(Debug, PartialEq)]
enum Block {
    Section,
    Interface {
        link_type: u16,
        options: Vec<(u16, Vec<u8>)>,
    },
    /// Kinds and values of the records.
    Names(Vec<(u16, Vec<u8>)>),
    Packet {
        interface: u32,
        time: u64,
        data: Vec<u8>,
        options: Vec<(u16, Vec<u8>)>,
    },
}

/// Reads a capture as the format's definition says, and checks lengths on the way.
fn read(mut bytes: &[u8]) -> Vec<Block> {
    let u32_at = |b: &[u8], at: usize| u32::from_le_bytes(b[at..at + 4].try_into().unwrap());
    let u16_at = |b: &[u8], at: usize| u16::from_le_bytes(b[at..at + 2].try_into().unwrap());
    let options = |mut b: &[u8]| {
        let mut found = Vec::new();
        loop {
            let (code, len) = (u16_at(b, 0), usize::from(u16_at(b, 2)));
            if code == 0 {
                assert_eq!(b.len(), 4, "nothing follows the end of options");
                return found;
            }
            found.push((code, b[4..4 + len].to_vec()));
            b = &b[4 + len.next_multiple_of(4)..];
        }
    };
    let mut blocks = Vec::new();
    while !bytes.is_empty() {
        let len = u32_at(bytes, 4) as usize;
        assert_eq!(len % 4, 0);
        assert_eq!(u32_at(bytes, len - 4) as usize, len, "both lengths agree");
        let body = &bytes[8..len - 4];
        blocks.push(match u32_at(bytes, 0) {
            0x0a0d_0d0a => {
                assert_eq!(u32_at(body, 0), 0x1a2b_3c4d);
                assert_eq!(body[4..8], [1, 0, 0, 0]);
                assert_eq!(options(&body[16..]), [(4, b"sockeye".to_vec())]);
                Block::Section
            }
            1 => Block::Interface {
                link_type: u16_at(body, 0),
                options: options(&body[8..]),
            },
            4 => {
                // The end of the records, and no options.
                let (records, end) = body.split_at(body.len() - 4);
                assert_eq!(end, [0; 4]);
                Block::Names(options(records))
            }
            6 => {
                let captured = u32_at(body, 12) as usize;
                assert_eq!(captured, u32_at(body, 16) as usize);
                Block::Packet {
                    interface: u32_at(body, 0),
                    time: u64::from(u32_at(body, 4)) << 32 | u64::from(u32_at(body, 8)),
                    data: body[20..20 + captured].to_vec(),
                    options: options(&body[20 + captured.next_multiple_of(4)..]),
                }
            }
            other => panic!("block type {other}"),
        });
        bytes = &bytes[len..];
    }
    blocks
}

/// `(time, outbound, bytes)` of the packets.
fn packets(capture: &Capture) -> Vec<(u64, bool, Vec<u8>)> {
    let of = |block| match block {
        Block::Packet {
            time,
            data,
            options,
            ..
        } => Some((time, options[0].1[0] == 2, data)),
        _ => None,
    };
    read(&capture.bytes()).into_iter().filter_map(of).collect()
}

const EPOCH: Duration = Duration::from_secs(1_700_000_000);

fn recorder() -> (Recorder, Capture) {
    let capture = Capture::new();
    let recorder = Recorder::new(capture.clone(), EPOCH).unwrap();
    (recorder, capture)
}

#[test]
fn a_capture_is_read_back() {
    let (recorder, capture) = recorder();
    let address = MacAddr([2, 0, 0, 0, 0, 7]);
    let ethernet = recorder
        .interface("eth0", Medium::Ethernet(address))
        .unwrap();
    let ip = recorder.interface("tun0", Medium::Ip).unwrap();
    let packet = Packet::from_slice(b"hello");
    let now = Instant::from_nanos(5_000_000_001);
    let medium = Medium::Ethernet(address);
    recorder.record(ethernet, medium, now, Direction::Outbound, &packet);
    recorder.record(ip, Medium::Ip, now, Direction::Inbound, &packet);
    let time = 1_700_000_005_000_000_001;
    let packet = |interface, flags| Block::Packet {
        interface,
        time,
        data: b"hello".to_vec(),
        options: vec![(2, vec![flags, 0, 0, 0])],
    };
    let expected = [
        Block::Section,
        Block::Interface {
            link_type: 1,
            options: vec![(2, b"eth0".to_vec()), (6, address.0.to_vec()), (9, vec![9])],
        },
        Block::Interface {
            link_type: 101,
            options: vec![(2, b"tun0".to_vec()), (9, vec![9])],
        },
        packet(0, 2),
        packet(1, 1),
    ];
    assert_eq!(read(&capture.bytes()), expected);
}

#[test]
fn names_and_descriptions_are_read_back() {
    let (recorder, capture) = recorder();
    let (v4, v6) = (
        [10, 0, 2, 2],
        [0xfd, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
    );
    recorder.names(&[(v4.into(), "gateway"), (v6.into(), "gw")]);
    let (near, _far) = MemoryLink::pair_ip(MemoryConfig::default());
    drop(recorder.tap_with(near, "eth0", "user,loss=1%", None));
    let expected = [
        Block::Section,
        Block::Names(vec![
            (1, [&v4[..], b"gateway\0"].concat()),
            (2, [&v6[..], b"gw\0"].concat()),
        ]),
        Block::Interface {
            link_type: 101,
            options: vec![
                (2, b"eth0".to_vec()),
                (3, b"user,loss=1%".to_vec()),
                (9, vec![9]),
            ],
        },
    ];
    assert_eq!(read(&capture.bytes()), expected);
}

/// What netem loses, duplicates and corrupts is said beside the packet as the node sent it, and what
/// arrives twice beside both.
#[test]
fn what_netem_does_is_a_comment() {
    let (recorder, capture) = recorder();
    let (near, mut far) = MemoryLink::pair_ip(MemoryConfig::default());
    let words = "loss=30%,duplicate=30%,corrupt=20%".parse().unwrap();
    let mut netem = crate::Netem::new(near, words, 3);
    let fates = netem.fates();
    let mut tap = recorder.tap_with(netem, "eth0", "", Some(fates.clone()));
    let text = |way: &str, n: u8| Packet::from_slice(&[way.as_bytes(), &[n, !n]].concat());
    let mut tx: Batch = (0..100).map(|n| text("sent", n)).collect();
    tap.send_batch(Instant::ZERO, &mut tx).unwrap();
    let mut back: Batch = (0..100).map(|n| text("back", n)).collect();
    far.send_batch(Instant::ZERO, &mut back).unwrap();
    let mut rx = Batch::new();
    tap.recv_batch(Instant::ZERO, &mut rx, usize::MAX).unwrap();
    let [out, inward] = [tap.link().outbound(), tap.link().inbound()];
    let mut comments: Vec<(bool, Vec<u8>, String)> = Vec::new();
    for block in read(&capture.bytes()) {
        let Block::Packet { data, options, .. } = block else {
            continue;
        };
        let comment = options.get(1).map(|(_, text)| text.clone());
        let comment = String::from_utf8(comment.unwrap_or_default()).unwrap();
        comments.push((options[0].1[0] == 2, data, comment));
    }
    let count = |outbound: bool, word: &str| {
        let of = |(way, _, comment): &&(bool, Vec<u8>, String)| {
            *way == outbound && comment.contains(word)
        };
        comments.iter().filter(of).count() as u64
    };
    assert!(out.lost > 10 && out.duplicated > 10 && out.corrupted > 5);
    assert_eq!(count(true, ""), 100);
    assert_eq!(count(true, "duplicated"), out.duplicated);
    // Where a packet and its copy are both corrupted, or one of both is lost, one comment says so.
    assert!((1..=out.lost).contains(&count(true, "lost")));
    assert!((1..=out.corrupted).contains(&count(true, "corrupted")));
    assert_eq!(count(false, ""), inward.passed);
    assert_eq!(count(false, "corrupted"), inward.corrupted);
    assert_eq!(count(false, "lost"), 0);
    // What has no comment has arrived as it was, once.
    let mut arrived = Batch::new();
    far.recv_batch(Instant::ZERO, &mut arrived, usize::MAX)
        .unwrap();
    for (_, data, _) in comments
        .iter()
        .filter(|(out, _, comment)| *out && comment.is_empty())
    {
        let same = arrived
            .iter()
            .filter(|packet| packet.to_vec() == *data)
            .count();
        assert_eq!(same, 1, "{data:?}");
    }
    let all = [Direction::Outbound, Direction::Inbound];
    assert!(
        all.iter().all(|way| fates.next(*way).is_none()),
        "each is told once"
    );
}

#[test]
fn comments_and_long_names() {
    let mut bytes = Vec::new();
    let mut writer = PcapWriter::new(&mut bytes).unwrap();
    let name = "ä".repeat(TEXT_LEN_MAX);
    let interface = writer.interface(&name, "", Medium::Ip).unwrap();
    let chunks = [&b"ab"[..], &b"c"[..]];
    writer
        .packet(
            interface,
            1,
            Direction::Inbound,
            chunks.into_iter(),
            Some("why"),
        )
        .unwrap();
    let blocks = read(&bytes);
    let Block::Interface { options, .. } = &blocks[1] else {
        panic!("no interface");
    };
    assert_eq!(options[0].1, "ä".repeat(TEXT_LEN_MAX / 2).into_bytes());
    let Block::Packet { data, options, .. } = &blocks[2] else {
        panic!("no packet");
    };
    assert_eq!(data, b"abc");
    assert_eq!(options[1], (1, b"why".to_vec()));
}

/// A TCP super-segment of 2500 bytes of payload, to be cut into three.
fn super_segment() -> Packet {
    let (source, destination) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    let payload = Bytes::from(vec![1; 2500]);
    let mut packet = Packet::with_payload([payload].into_iter().collect());
    let header = tcp::Header {
        seq: SeqNum(1),
        flags: tcp::Flags::ACK,
        ..tcp::Header::default()
    };
    header.emit(packet.push(tcp::HEADER_LEN));
    packet.meta.checksum = Checksum::Partial {
        start: 0,
        offset: 16,
    };
    packet.meta.gso = Some(Gso {
        kind: GsoKind::TcpV4,
        size: 1000,
    });
    ipv4::Header::new(source, destination, IpProtocol::TCP, 2520)
        .emit(packet.push(ipv4::HEADER_LEN));
    packet
}

#[test]
fn a_tap_writes_wire_packets_and_changes_nothing() {
    let (recorder, capture) = recorder();
    let (near, mut far) = MemoryLink::pair_ip(MemoryConfig::default());
    let mut near = recorder.tap(near, "link0");
    assert_eq!(near.capabilities().gso_max, 65_535);
    let now = Instant::from_millis(1);
    near.send_batch(now, &mut [super_segment()].into()).unwrap();
    let mut rx = Batch::new();
    far.recv_batch(now, &mut rx, 9).unwrap();
    assert_eq!(rx.len(), 1);
    assert_eq!(rx[0].meta.gso, super_segment().meta.gso);

    let later = Instant::from_millis(2);
    far.send_batch(later, &mut rx).unwrap();
    near.recv_batch(later, &mut rx, 9).unwrap();
    assert!(rx[0].meta.gso.is_some());

    let seen = packets(&capture);
    let lens: Vec<_> = seen.iter().map(|(_, out, d)| (*out, d.len())).collect();
    let [long, short] = [1040, 540];
    assert_eq!(
        lens,
        [
            (true, long),
            (true, long),
            (true, short),
            (false, long),
            (false, long),
            (false, short)
        ]
    );
    let mut wire = Batch::new();
    offload::to_wire(super_segment(), Medium::Ip, &mut wire).unwrap();
    for (i, piece) in wire.iter().enumerate() {
        assert_eq!(seen[i].2, piece.to_vec());
        assert_eq!(seen[i + 3].2, piece.to_vec());
    }
    assert_eq!(seen[3].0 - seen[0].0, 1_000_000);
}

#[test]
fn a_sent_packet_is_written_when_the_link_took_it() {
    let (recorder, capture) = recorder();
    let narrow = MemoryConfig {
        queue_packets_max: 70,
        ..MemoryConfig::default()
    };
    let (near, mut far) = MemoryLink::pair_ip(narrow);
    let mut near = recorder.tap(near, "link0");
    let mut tx: Batch = (0..100u8).map(|n| Packet::from_slice(&[n])).collect();
    assert_eq!(near.send_batch(Instant::ZERO, &mut tx).unwrap(), 70);
    assert_eq!(tx.len(), 30);
    assert!(!near.has_room());
    far.recv_batch(Instant::ZERO, &mut Batch::new(), 100)
        .unwrap();
    assert_eq!(near.send_batch(Instant::ZERO, &mut tx).unwrap(), 30);
    let seen: Vec<u8> = packets(&capture).iter().map(|(_, _, d)| d[0]).collect();
    assert_eq!(seen, (0..100).collect::<Vec<u8>>());
}

#[test]
fn what_contradicts_itself_is_written_as_it_is() {
    let (recorder, capture) = recorder();
    let interface = recorder.interface("link0", Medium::Ip).unwrap();
    let mut packet = Packet::from_slice(b"no packet");
    packet.meta.gso = super_segment().meta.gso;
    recorder.record(
        interface,
        Medium::Ip,
        Instant::ZERO,
        Direction::Inbound,
        &packet,
    );
    let blocks = read(&capture.bytes());
    let Some(Block::Packet { data, options, .. }) = blocks.last() else {
        panic!("no packet");
    };
    assert_eq!(data, b"no packet");
    assert!(String::from_utf8_lossy(&options[1].1).contains("the packet ends before"));
}

/// Takes some bytes, then is full.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if data.len() > self.0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0 -= data.len();
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn traffic_outlives_its_capture() {
    let recorder = Recorder::new(Full(200), EPOCH).unwrap();
    let (near, mut far) = MemoryLink::pair_ip(MemoryConfig::default());
    let mut near = recorder.tap(near, "link0");
    let mut tx: Batch = (0..10u8).map(|n| Packet::from_slice(&[n])).collect();
    assert_eq!(near.send_batch(Instant::ZERO, &mut tx).unwrap(), 10);
    assert_eq!(
        far.recv_batch(Instant::ZERO, &mut Batch::new(), 99)
            .unwrap(),
        10
    );
    assert!(!recorder.is_recording());
    assert!(recorder.lost() > 0);
    let error = recorder.flush().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(recorder.flush().is_ok(), "it is said once");
}
