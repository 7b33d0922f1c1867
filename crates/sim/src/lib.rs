//! Worlds of nodes in virtual time: the same seed gives the same packets, byte for byte.
//!
//! - [`script`]: one node against exact segments, written as a trace.
#![forbid(unsafe_code)]

pub mod script;
