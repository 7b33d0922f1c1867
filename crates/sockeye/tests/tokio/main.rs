//! The tokio-shaped face: two nodes at the two ends of a link in memory.
#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod cancel;
mod common;
mod intercept;
mod names;
mod packet;
mod runtime;
mod streams;
mod udp;
mod unix;
mod urgent;
