//! Two whole nodes that have associations, and libFuzzer between them: see `associations.rs` for what
//! the input says and what has to hold.
//!
//! ```text
//! cargo xtask long fuzz                   # ten minutes of it
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/node/tests/nodes/associations.rs"]
mod associations;

fuzz_target!(|input: &[u8]| associations::play(input));
