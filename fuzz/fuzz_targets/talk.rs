//! Two whole nodes that talk with each other, and libFuzzer between them: see `talk.rs` for what
//! the input says and what has to hold.
//!
//! ```text
//! cargo xtask long fuzz                   # ten minutes of it, from the seeds in fuzz/seeds
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/node/tests/nodes/between.rs"]
mod between;
#[path = "../../crates/node/tests/nodes/talk.rs"]
mod talk;
#[path = "../../crates/node/tests/nodes/target.rs"]
#[expect(dead_code, reason = "each user of it uses a part")]
mod target;

fuzz_target!(|input: &[u8]| talk::play(input));
