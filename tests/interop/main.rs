//! sockeye against programs and a kernel that know nothing of it.

mod host;
mod memory;
mod tap;

fn main() {
    sockeye_tests::harness(&[tap::TESTS, memory::TESTS]);
}
