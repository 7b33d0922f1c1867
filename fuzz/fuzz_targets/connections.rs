//! Two whole nodes that have connections of DCCP, and libFuzzer between them: see `connections.rs` for
//! what the input says and what has to hold.
//!
//! ```text
//! cargo xtask long fuzz                   # ten minutes of it
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/node/tests/nodes/connections.rs"]
mod connections;

fuzz_target!(|input: &[u8]| connections::play(input));
