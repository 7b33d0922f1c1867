//! Network devices, and stages that wrap one.
//!
//! Devices:
//! * [`memory`]: a link between two nodes of one process; packets cross it without being copied.
//! * [`switch`]: an Ethernet switch in memory, for many nodes.
//! * [`shared`]: an Ethernet switch between processes, in a directory.
//! * [`tun`]: TUN and TAP devices of Linux, with its offloads.
//! * [`af_packet`]: an Ethernet interface of Linux by a packet socket, with its offloads.
//! * [`af_xdp`]: a queue of an Ethernet interface, by rings in shared memory.
//!
//! Stages, which wrap a device and are one:
//! * [`netem`]: delay, loss and the other words of tc-netem(8).
//! * [`watched`]: somebody looks at what crosses; [`pcap`]: and writes it to a pcapng file.
//!
//! ```
//! use sockeye_drivers::{MemoryConfig, MemoryLink, Netem};
//! use sockeye_link::{Batch, Instant, Link, Packet};
//! use std::time::Duration;
//!
//! let (one_end, mut other_end) = MemoryLink::pair_ip(MemoryConfig::default());
//! let mut slow = Netem::new(one_end, "delay=10ms".parse()?, 1);
//! let (now, later) = (Instant::ZERO, Instant::ZERO + Duration::from_millis(10));
//!
//! // An IPv4 header and nothing else; a stage asks for no more than that.
//! let header = [69, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
//! slow.send_batch(now, &mut Batch::from([Packet::from_slice(&header)]))?;
//! let mut received = Batch::new();
//! assert_eq!(other_end.recv_batch(now, &mut received, 10)?, 0);
//! assert_eq!(slow.deadline(), Some(later));
//! slow.send_batch(later, &mut Batch::new())?;
//! assert_eq!(other_end.recv_batch(later, &mut received, 10)?, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! None of it reads a clock: time comes in by `now`. Unsafe code is in the modules `sys`, and in
//! `af_xdp`'s `ring` and `program`.
#![deny(unsafe_code)]

mod address;
#[cfg(target_os = "linux")]
pub mod af_packet;
#[cfg(target_os = "linux")]
pub mod af_xdp;
#[cfg(target_os = "linux")]
mod interface;
pub mod memory;
pub mod netem;
pub mod pcap;
mod queue;
#[cfg(target_os = "linux")]
pub mod shared;
mod stations;
pub mod switch;
#[cfg(target_os = "linux")]
pub mod tun;
#[cfg(target_os = "linux")]
mod vnet;
pub mod watched;

pub use address::local_address;
#[cfg(target_os = "linux")]
pub use af_packet::AfPacket;
#[cfg(target_os = "linux")]
pub use af_xdp::AfXdp;
pub use memory::{MemoryConfig, MemoryLink};
pub use netem::{Netem, NetemConfig};
pub use pcap::{Capture, PcapTap, Recorder};
#[cfg(target_os = "linux")]
pub use shared::SharedSwitch;
pub use switch::{Switch, SwitchPort};
#[cfg(target_os = "linux")]
pub use tun::Tun;
pub use watched::{Watch, Watched};
