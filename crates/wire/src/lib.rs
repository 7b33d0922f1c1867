//! Packet formats: what a header's bytes mean, and how they are written.
//!
//! Nothing here has state, time or memory of its own, and nothing received panics: every parser is
//! run over arbitrary bytes, and the common headers are compared with an independent
//! implementation in both directions.
//!
//! # The shape of every header
//!
//! A small `Copy` value with the field names of its RFC, and
//!
//! * `Header::parse(bytes)` reads it from the front of `bytes` and checks its lengths and version.
//!   What a parser leaves to its caller stands in its documentation. Lengths that speak of the
//!   whole packet are compared by `check_len`, since `bytes` may be only its first part.
//! * `header.header_len()` is how many bytes it takes.
//! * `header.emit(out)` writes exactly that many bytes into the front of `out`, which is headroom
//!   that the caller made. Payload is never touched.
//!
//! Fields that change on the way (TTL, ECN, lengths, sequence numbers, checksums) are patched in
//! place by free functions (`ipv4::decrement_ttl`, `tcp::set_seq`), with the checksum mended by
//! difference where the header has its own.
//!
//! # Checksums
//!
//! IPv4's header checksum is verified by its parser and written by `emit`. Every other checksum
//! covers payload that may lie in several slices, or is left to a device: `parse` gives TCP's and
//! UDP's as they stand in the field, `emit` writes what is in the value, and [`checksum`] computes
//! them, whole or just the pseudo-header's part.
//!
//! # Modules
//!
//! | module | what | RFCs |
//! |---|---|---|
//! | [`checksum`] | sums over slices, pseudo-headers, updates by difference | 1071, 1624 |
//! | [`ethernet`] | Ethernet II headers, [`MacAddr`] | 894, 2464 |
//! | [`arp`] | ARP for IPv4 over Ethernet | 826, 5227 |
//! | [`ipv4`], [`ipv4_options`] | headers; options, recording routes and times | 791, 1122, 2113 |
//! | [`ipv6`], [`ipv6_ext`] | headers; the walk along extension headers, fragments | 8200, 8504 |
//! | [`icmpv4`] | all messages of RFC 792 | 792, 1191, 4884 |
//! | [`icmpv6`] | errors and echo | 4443, 4884 |
//! | [`ndp`], [`ndp_options`] | neighbour discovery; prefixes, routes, name servers | 4861, 4191, 8106 |
//! | [`igmp`], [`mld`] | group membership; [`multicast`]: the records of both | 1112, 2236, 3376, 2710, 3810 |
//! | [`tcp`], [`tcp_options`] | headers; options in Linux's layout | 9293, 7323, 2018, 5482, 7413, 2385, 5925 |
//! | [`seq`] | [`SeqNum`]: arithmetic modulo 2^32 | 9293 |
//! | [`udp`] | UDP and UDP-Lite headers | 768, 3828 |
//! | [`sctp`] | packets, chunks, parameters, error causes, CRC32c | 9260, 4895, 5061, 6525, 8260, 3758 |
//! | [`dccp`] | headers of all packet types, options, what checksums cover | 4340, 5596 |
//! | [`bounded`] | [`Bounded`]: a short list stored in place | |
//!
//! # What is not here
//!
//! IEEE 802.1Q tags, IPv6 routing types and jumbo payloads, the authentication and ESP headers,
//! the objects of ICMP extensions, inverse and secure neighbour discovery. Capture files and DNS
//! are formats of other crates.

#![forbid(unsafe_code)]

pub mod arp;
pub mod bounded;
pub mod checksum;
pub mod dccp;
mod error;
pub mod ethernet;
pub mod icmpv4;
pub mod icmpv6;
pub mod igmp;
pub mod ipv4;
pub mod ipv4_options;
pub mod ipv6;
pub mod ipv6_ext;
pub mod mld;
pub mod multicast;
pub mod ndp;
pub mod ndp_options;
pub mod ospf;
mod protocol;
pub mod sctp;
pub mod seq;
pub mod tcp;
pub mod tcp_options;
pub mod udp;

pub use bounded::Bounded;
pub use error::ParseError;
pub use ethernet::MacAddr;
pub use protocol::{Ecn, EtherType, IpProtocol};
pub use seq::SeqNum;

/// The first `N` bytes, or [`ParseError::Truncated`].
fn take<const N: usize>(bytes: &[u8]) -> Result<&[u8; N], ParseError> {
    bytes.first_chunk().ok_or(ParseError::Truncated)
}
