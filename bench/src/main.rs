//! Measures sockeye beside the kernel.
fn main() {}
