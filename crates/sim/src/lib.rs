//! Worlds of nodes in virtual time: the same seed gives the same packets, byte for byte.
//!
//! - [`World`]: hosts, cables and programs ([`app`]) on them. A turn of a host is the one that the
//!   driver of a real node does, over the same links and stages.
//! - [`script`]: one node against exact segments, written as a trace.
#![forbid(unsafe_code)]

pub mod app;
pub mod rates;
pub mod script;
mod world;

pub use world::{Cable, Failure, HostId, World};
