//! Authentication of segments: MD5 signatures (RFC 2385) and TCP-AO (RFC 5925, 5926).
//!
//! - `keys`: keys, and the tables of them; a listener has one for all its peers, a connection the
//!   part that is for its own;
//! - `verify`: whether a segment may be believed, before anything else looks at it;
//! - `sign`: the signature of what leaves, when all else of the segment stands;
//! - `ao`, `md5`: the algorithms; `covered`: what they are run over;
//! - `options`: the room in the header; `icmp`: RFC 5925 §7.8; `user_calls`: keys by setsockopt.
//!
//! As Linux does: a connection with MD5 has no timestamps beside SACK, for both would not leave room
//! for a block; keys are chosen by the peer's address alone, not by ports; a signature without a key
//! is dropped (RFC 5925 §7.3 would rather take the segment); the reset that answers a segment
//! without a connection is signed where the segment's own numbers allow it.
//!
//! A segment with a signature is sent by itself, not as part of a super-segment, and is not merged
//! with others on arrival.

mod ao;
mod covered;
mod icmp;
mod keys;
mod md5;
mod options;
mod sign;
mod user_calls;
mod verify;

pub use ao::AoAlgorithm;
pub(crate) use ao::Isns;
pub(crate) use keys::Auth;
pub use keys::{AO_KEYS_MAX, AoCounters, AoKey, KEY_LEN_MAX, MD5_KEYS_MAX, Secret};
pub(crate) use options::limit_timestamps;
pub(crate) use sign::{NoKey, Signer, ids_of};
pub use user_calls::{AoChange, AoInfo, AoKeyName, AoKeyState};
pub(crate) use verify::Stage;

#[cfg(test)]
mod vectors;
