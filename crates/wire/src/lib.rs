//! Packet formats: what a header's bytes mean, and how they are written.
//!
//! Nothing here has state, time or memory of its own. Every header is a small value with the
//! field names of its RFC:
//!
//! * `Header::parse(bytes)` reads it from the front of `bytes` and checks its lengths and version.
//!   What a parser leaves to its caller stands in its documentation.
//! * `header.header_len()` is how many bytes it takes.
//! * `header.emit(out)` writes exactly that many bytes into the front of `out`, which is headroom
//!   that the caller made. Payload is never touched.
//!
//! Fields that change on the way (TTL, checksums, lengths) are patched in place by free functions.

#![forbid(unsafe_code)]

pub mod arp;
pub mod bounded;
pub mod checksum;
mod error;
pub mod ethernet;
pub mod icmpv4;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
pub mod ipv6_ext;
pub mod ndp;
pub mod ndp_options;
mod protocol;
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
