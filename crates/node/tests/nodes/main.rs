//! Whole nodes, two at a time, with packets carried by hand.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod associations;
mod autoconf;
mod between;
mod common;
mod conflicts;
mod connections;
mod conversations;
mod counters;
mod ethernet;
mod forward;
mod fragments;
mod hostile;
mod intercept;
mod interfaces;
mod offload;
mod ping;
mod raw;
mod redirects;
mod streams;
mod talk;
mod target;
mod tcp;
mod udp;
mod wire;
