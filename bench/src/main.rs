//! See the library: sockeye beside the kernel, case by case.

fn main() -> anyhow::Result<()> {
    sockeye_bench::run()
}
