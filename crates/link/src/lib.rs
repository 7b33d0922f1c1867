//! What a network device and a node exchange: packets in batches.
//!
//! A driver's author needs this crate alone. [`Packet`] carries bytes and [`Meta`] (checksum and
//! segmentation offloads, the fields of `virtio_net_hdr`); [`Link`] moves batches of packets;
//! [`Capabilities`] says what the device can take; [`offload`] does in software what it can't.
//! Time is an argument ([`Instant`]): nothing here reads a clock.
#![forbid(unsafe_code)]

mod link;
mod meta;
pub mod offload;
mod packet;
mod time;

pub use link::{Batch, Capabilities, GsoKinds, Link, Medium, Notify};
pub use meta::{Checksum, Gso, GsoKind, Meta, Tags, UdpPorts};
pub use packet::{HEADROOM, Packet, Payload};
pub use sockeye_wire::MacAddr;
pub use time::Instant;
