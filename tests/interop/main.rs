//! sockeye against programs and a kernel that know nothing of it.
fn main() {
    sockeye_tests::harness(&[]);
}
