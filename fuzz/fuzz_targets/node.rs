//! A whole node under packets of libFuzzer's making.
//!
//! The input is a list of frames: two bytes of length (little-endian, the upper five bits are how
//! much time passes afterwards), one byte of flags, four bytes of device metadata if the flags say
//! so, and the frame. Make seeds out of real traffic first:
//!
//! ```text
//! cargo run --release --bin corpus        # writes fuzz/corpus/node
//! cargo +nightly fuzz run node -- -max_len=8192 -max_total_time=600
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/node/tests/nodes/target.rs"]
#[expect(dead_code, reason = "each user of it uses a part")]
mod target;

const MEND: u8 = 1;
const META: u8 = 2;
const ROUTER: u8 = 4;

fuzz_target!(|input: &[u8]| {
    // The first frame's flags say which node it is.
    let mut target = match input.get(2) {
        Some(flags) if flags & ROUTER != 0 => target::Target::router(),
        _ => target::Target::new(),
    };
    let mut rest = input;
    while let Some((&[low, high, flags], behind)) = rest.split_first_chunk() {
        rest = behind;
        let mut meta = 0;
        if flags & META != 0 {
            let Some((bytes, behind)) = rest.split_first_chunk() else {
                break;
            };
            meta = u32::from_be_bytes(*bytes);
            rest = behind;
        }
        let len = usize::from(u16::from_le_bytes([low, high & 7])).min(rest.len());
        let (frame, behind) = rest.split_at(len);
        rest = behind;
        let mut frame = frame.to_vec();
        if flags & MEND != 0 {
            target::mend(&mut frame);
        }
        target.packet(&frame, meta);
        if high >> 3 != 0 {
            target.pass_time(1 << (high >> 3).min(20));
        }
    }
    target.check();
    target.rest();
});
