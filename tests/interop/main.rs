//! sockeye against programs and a kernel that know nothing of it.

mod egress;
mod host;
mod kill;
mod memory;
mod resolver;
mod run;
mod signals;
mod tap;

fn main() {
    sockeye_tests::harness(&[
        run::TESTS,
        egress::TESTS,
        signals::TESTS,
        resolver::TESTS,
        kill::TESTS,
        tap::TESTS,
        memory::TESTS,
    ]);
}
