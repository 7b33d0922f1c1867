//! What a network device and a node exchange: packets in batches.
//!
//! A driver's author needs this crate alone. [`Packet`] carries bytes and [`Meta`] (checksum and
//! segmentation offloads, the fields of `virtio_net_hdr`); [`Link`] moves batches of packets;
//! [`Capabilities`] says what the device can take; [`offload`] does in software what it can't.
//! Time is an argument ([`Instant`]): nothing here reads a clock.
//!
//! A device that swallows everything:
//! ```
//! use sockeye_link::{Batch, Capabilities, GsoKinds, Instant, Link, Medium, Packet};
//!
//! struct Hole;
//!
//! impl Link for Hole {
//!     fn capabilities(&self) -> Capabilities {
//!         Capabilities {
//!             medium: Medium::Ip,
//!             mtu: 1500,
//!             tx_checksum: false, // packets come with their checksums
//!             gso: GsoKinds::NONE, // and cut to the MTU
//!             gso_max: 0,
//!             queues: 1,
//!         }
//!     }
//!     fn recv_batch(&mut self, _: Instant, _: &mut Batch, _: usize) -> std::io::Result<usize> {
//!         Ok(0)
//!     }
//!     fn send_batch(&mut self, _: Instant, packets: &mut Batch) -> std::io::Result<usize> {
//!         Ok(packets.drain(..).count())
//!     }
//! }
//!
//! let mut packets = Batch::from([Packet::from_slice(b"to nowhere")]);
//! assert_eq!(Hole.send_batch(Instant::ZERO, &mut packets)?, 1);
//! # std::io::Result::Ok(())
//! ```
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
