//! Network devices, and stages that wrap one.
//!
//! Devices:
//! * [`memory`]: a link between two nodes of one process; packets cross it without being copied.
//! * [`switch`]: an Ethernet switch in memory, for many nodes.
//!
//! None of it reads a clock: time comes in by `now`.

pub mod memory;
mod queue;
pub mod switch;

pub use memory::{MemoryConfig, MemoryLink};
pub use switch::{Switch, SwitchPort};
