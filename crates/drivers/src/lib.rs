//! Network devices, and stages between a device and a node.
//!
//! - [`memory`]: a link between two nodes of one process.

pub mod memory;
