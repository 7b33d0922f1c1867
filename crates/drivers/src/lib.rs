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
//! None of it reads a clock: time comes in by `now`. Unsafe code is in the modules `sys`, and in
//! `af_xdp`'s `ring` and `program`.
#![deny(unsafe_code)]

mod address;
#[cfg(target_os = "linux")]
pub mod af_packet;
#[cfg(target_os = "linux")]
pub mod af_xdp;
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
