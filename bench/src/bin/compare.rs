//! See `sockeye_bench::compare`: sockeye beside its peers, as JSON, a table and charts.

fn main() -> anyhow::Result<()> {
    sockeye_bench::compare::run()
}
