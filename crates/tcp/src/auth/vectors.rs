//! RFC 9235's test vectors, all of them: IPv4 and IPv6, both algorithms, options covered and not.

use super::ao::{AoAlgorithm, Isns, KeyContext, TrafficKey};
use super::covered::Covered;
use super::keys::AoKey;
use bytes::Bytes;
use sockeye_core::Payload;
use sockeye_core::demux::{Endpoint, Flow};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp::{Flags, Header};
use std::net::IpAddr;

/// RFC 9235 §3.1.1.
const MASTER_KEY: &[u8] = b"testvector";

struct Vector {
    section: String,
    algorithm: AoAlgorithm,
    omits_options: bool,
    traffic_key: Vec<u8>,
    source: IpAddr,
    destination: IpAddr,
    header: Header,
    header_bytes: Vec<u8>,
    text: Payload,
}

fn hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

impl Vector {
    fn read(line: &str) -> Self {
        let [section, algorithm, options, key, packet] =
            line.split(' ').collect::<Vec<_>>()[..].try_into().unwrap();
        let packet = hex(packet);
        let ip = |from: usize, to: usize| -> IpAddr {
            match <[u8; 4]>::try_from(&packet[from..to]) {
                Ok(v4) => v4.into(),
                Err(_) => <[u8; 16]>::try_from(&packet[from..to]).unwrap().into(),
            }
        };
        let (source, destination, tcp) = match packet[0] >> 4 {
            4 => (ip(12, 16), ip(16, 20), &packet[20..]),
            _ => (ip(8, 24), ip(24, 40), &packet[40..]),
        };
        let (_, offset) = Header::parse_fixed(tcp).unwrap();
        let mut text = Payload::new();
        if tcp.len() > offset {
            // In two pieces, as text may lie in memory.
            text.push(Bytes::copy_from_slice(&tcp[offset..offset + 5]));
            text.push(Bytes::copy_from_slice(&tcp[offset + 5..]));
        }
        Self {
            section: section.into(),
            algorithm: match algorithm {
                "sha1" => AoAlgorithm::HmacSha1,
                _ => AoAlgorithm::AesCmac128,
            },
            omits_options: options == "omits",
            traffic_key: hex(key),
            source,
            destination,
            header: Header::parse(tcp).unwrap(),
            header_bytes: tcp[..offset].into(),
            text,
        }
    }

    /// The connection as its sender sees it.
    fn flow(&self) -> Flow {
        Flow {
            local: Endpoint::new(self.source, self.header.source_port),
            remote: Endpoint::new(self.destination, self.header.destination_port),
        }
    }

    fn covered(&self) -> Covered<'_> {
        Covered {
            source: self.source,
            destination: self.destination,
            header: &self.header_bytes,
            text: &self.text,
        }
    }
}

fn vectors() -> Vec<Vector> {
    let lines = include_str!("rfc9235.txt").lines();
    lines
        .filter(|line| !line.starts_with('#'))
        .map(Vector::read)
        .collect()
}

#[test]
fn keys_and_codes_are_those_of_rfc_9235() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 32);
    // Four segments of one connection each: SYN, SYN and ACK, one of either side.
    for connection in vectors.chunks(4) {
        let (client, server) = (connection[0].header.seq, connection[1].header.seq);
        for (at, vector) in connection.iter().enumerate() {
            let what = &vector.section;
            let isns = match at {
                0 => Isns {
                    local: client,
                    remote: SeqNum(0),
                },
                2 => Isns {
                    local: client,
                    remote: server,
                },
                _ => Isns {
                    local: server,
                    remote: client,
                },
            };
            let context = KeyContext::sending(&vector.flow(), isns);
            let key = vector.algorithm.derived_bytes(MASTER_KEY, &context);
            assert_eq!(*key, vector.traffic_key, "{what}");

            let option = vector.header.options.authentication.unwrap();
            let ids = if at % 2 == 0 { (61, 84) } else { (84, 61) };
            assert_eq!((option.key_id, option.rnext_key_id), ids, "{what}");
            let key = TrafficKey::new(vector.algorithm, &key);
            let covered = vector.covered();
            assert_eq!(
                key.code(0, &covered, vector.omits_options, 12),
                option.mac,
                "{what}"
            );
            assert!(
                key.verify(0, &covered, vector.omits_options, &option.mac),
                "{what}"
            );
            // Another extension, other coverage, or another bit anywhere makes another code.
            assert!(
                !key.verify(1, &covered, vector.omits_options, &option.mac),
                "{what}"
            );
            assert!(
                !key.verify(0, &covered, !vector.omits_options, &option.mac),
                "{what}"
            );
            assert_every_bit_counts(vector, &key);
        }
    }
}

/// Every bit of the segment is covered, but for checksum and code, and for the other options where
/// these are left out.
fn assert_every_bit_counts(vector: &Vector, key: &TrafficKey) {
    let option = vector.header.options.authentication.unwrap();
    let len = vector.header_bytes.len();
    for at in 0..len {
        let mut header = vector.header_bytes.clone();
        header[at] ^= 1;
        let covered = Covered {
            header: &header,
            ..vector.covered()
        };
        let free = matches!(at, 16 | 17) || at >= len - 12;
        let other_option = at >= 20 && at < len - 16;
        if other_option && !vector.omits_options || !free && !other_option {
            let right = key.verify(0, &covered, vector.omits_options, &option.mac);
            // What makes the option itself unreadable is no code at all.
            assert!(!right, "{} at {at}", vector.section);
        }
    }
}

/// The receiver derives what the sender derives, and a SYN is known by its flags.
#[test]
fn both_ends_have_the_same_keys() {
    for connection in vectors().chunks(4) {
        let [syn, syn_ack, ..] = connection else {
            panic!("a connection has a handshake");
        };
        assert_eq!(syn.header.flags & (Flags::SYN | Flags::ACK), Flags::SYN);
        let isns = Isns {
            local: syn_ack.header.seq,
            remote: syn.header.seq,
        };
        let mut key = AoKey::new(syn.source, 84, 61, MASTER_KEY);
        key.algorithm = syn.algorithm;
        let server = syn_ack.flow();
        let receiving = KeyContext::receiving(&server, isns);
        let bytes = key.algorithm.derived_bytes(MASTER_KEY, &receiving);
        assert_eq!(*bytes, connection[2].traffic_key, "{}", syn.section);
    }
}
