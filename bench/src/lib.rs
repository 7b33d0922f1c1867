//! Measures sockeye beside the kernel, in one run.
//!
//! Every case runs both sides in turn, round after round, so that a machine whose speed drifts
//! shifts both: the ratio of the medians is what holds, not the figures. The kernel's side is
//! loopback TCP with CUBIC. What a case needs and the machine lacks is said in its row.

mod bulk;
pub mod compare;
mod curl;
mod idle;
mod kernel;
mod nodes;
mod pin;
mod pingpong;
mod rpc;
mod sctp;
mod tun;
mod udp;
mod unix;
mod veth;

use anyhow::{Context, Result};
use clap::Parser;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

#[global_allocator]
static HEAP: idle::counting::CountingAllocator = idle::counting::CountingAllocator;

/// Measure sockeye beside the kernel and print ratios.
#[derive(Parser, Debug)]
struct Args {
    /// Rounds of each case; each runs both sides once.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Milliseconds that one side runs in one round.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(50..=60_000))]
    millis: u64,
    /// Only cases whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Write the results as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One side of a case: runs for about the given time and says what it reached.
type Side = Box<dyn FnMut(Duration) -> Result<f64>>;

/// Makes the cases of one kind.
type Build = fn() -> Result<Vec<Case>>;

struct Case {
    name: &'static str,
    unit: &'static str,
    ours: Side,
    /// What it is measured against, and how that is called.
    base: Option<(&'static str, Side)>,
}

#[derive(Serialize, Debug)]
struct Row {
    name: &'static str,
    unit: &'static str,
    sockeye: Spread,
    base: Option<Spread>,
    base_name: Option<&'static str>,
    /// Median of ours over median of the base's.
    ratio: Option<f64>,
}

#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

#[derive(Serialize, Debug)]
struct Report {
    machine: String,
    rounds: u32,
    millis: u64,
    rows: Vec<Row>,
    missing: Vec<(String, String)>,
}

/// The program `sockeye-bench`: its arguments are the process's.
///
/// # Errors
/// CUBIC may not be used here, or the results can't be written. A case that can't be measured is
/// said in its row.
pub fn run() -> Result<()> {
    let args = Args::parse();
    kernel::choose_cubic()
        .context("the kernel's side needs CUBIC: net.ipv4.tcp_allowed_congestion_control")?;
    let mut report = Report {
        machine: machine(),
        rounds: args.rounds,
        millis: args.millis,
        rows: Vec::new(),
        missing: Vec::new(),
    };
    println!(
        "{}\n{} rounds of {} ms a side\n",
        report.machine, args.rounds, args.millis
    );
    println!(
        "{:<44} {:>9} {:>22} {:>22} {:>7}",
        "case", "unit", "sockeye", "base", "ratio"
    );
    let cases: [(&str, Build); 9] = [
        ("memory link, bulk", bulk::cases),
        ("memory link, 1-byte round trips", pingpong::cases),
        ("RPC null calls", rpc::cases),
        ("idle connections", idle::cases),
        ("sctp", sctp::cases),
        ("unix", unix::cases),
        ("TUN with offloads", tun::cases),
        ("AF_XDP", veth::cases),
        ("curl under run", curl::cases),
    ];
    for (group, cases) in cases {
        match cases() {
            Ok(cases) => {
                for mut case in cases {
                    if args
                        .only
                        .as_ref()
                        .is_some_and(|only| !case.name.contains(only.as_str()))
                    {
                        continue;
                    }
                    match measure(&mut case, &args) {
                        Ok(row) => {
                            print(&row);
                            report.rows.push(row);
                        }
                        Err(error) => miss(&mut report, case.name, &error),
                    }
                }
            }
            Err(error) => miss(&mut report, group, &error),
        }
    }
    if let Some(path) = args.json {
        std::fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")
            .with_context(|| format!("the results could not be written to {}", path.display()))?;
    }
    Ok(())
}

fn miss(report: &mut Report, name: &str, error: &anyhow::Error) {
    println!("{name:<44} not measured: {error:#}");
    report.missing.push((name.to_owned(), format!("{error:#}")));
}

fn measure(case: &mut Case, args: &Args) -> Result<Row> {
    let time = Duration::from_millis(args.millis);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        ours.push((case.ours)(time)?);
        if let Some((_, base)) = &mut case.base {
            theirs.push(base(time)?);
        }
    }
    let sockeye = spread(ours);
    let base = (!theirs.is_empty()).then(|| spread(theirs));
    Ok(Row {
        name: case.name,
        unit: case.unit,
        sockeye,
        base,
        base_name: case.base.as_ref().map(|(name, _)| *name),
        ratio: base.map(|base| sockeye.median / base.median),
    })
}

fn spread(mut values: Vec<f64>) -> Spread {
    values.sort_by(f64::total_cmp);
    Spread {
        min: values[0],
        median: values[values.len() / 2],
        max: values[values.len() - 1],
    }
}

fn print(row: &Row) {
    let show = |s: Spread| {
        format!(
            "{:.4} [{:.4}-{:.4}]",
            Short(s.median),
            Short(s.min),
            Short(s.max)
        )
    };
    let base = row.base.map_or_else(String::new, show);
    let ratio = row.ratio.map_or_else(String::new, |r| format!("{r:.2}"));
    println!(
        "{:<44} {:>9} {:>22} {:>22} {:>7}",
        row.name,
        row.unit,
        show(row.sockeye),
        base,
        ratio
    );
}

/// A number in three significant digits.
struct Short(f64);

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            n if n >= 100.0 => write!(f, "{n:.0}"),
            n if n >= 10.0 => write!(f, "{n:.1}"),
            n => write!(f, "{n:.2}"),
        }
    }
}

/// The machine in one line: processor, cores, memory, kernel.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':'))
            .map_or_else(|| "?".into(), |(_, value)| value.trim().to_owned())
    };
    let processor = field(&read("/proc/cpuinfo"), "model name");
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!(
        "{processor}, {cores} cores, {memory}, Linux {}",
        read("/proc/sys/kernel/osrelease").trim()
    )
}
