//! Network devices, and stages that wrap one.
//!
//! Devices:
//! * [`memory`]: a link between two nodes of one process; packets cross it without being copied.
//! * [`switch`]: an Ethernet switch in memory, for many nodes.
//! * [`tun`]: TUN and TAP devices of Linux.
//!
//! None of it reads a clock: time comes in by `now`.

pub mod memory;
mod queue;
pub mod switch;
#[cfg(target_os = "linux")]
pub mod tun;

pub use memory::{MemoryConfig, MemoryLink};
pub use switch::{Switch, SwitchPort};
