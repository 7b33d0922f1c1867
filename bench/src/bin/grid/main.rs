//! A grid of bad paths, and what TCP gets through them: our sender to the kernel and the kernel to
//! our receiver, beside kernel to kernel, all through one and the same stage.
//!
//! The three paths of a run go side by side, so that what disturbs the machine disturbs all of
//! them, and share one seed: the n-th frame with data is lost on all of them or on none. Runs are
//! repeated with other seeds; medians are compared.
//!
//! - [`cells`]: what the grid is made of.
//! - [`hosts`], [`stage`], [`transfer`]: a kernel or a node at each end, netem between, and bulk.
//! - [`report`], [`plot`]: the table with its bars, and the picture.
//! - [`virtual_time`]: the same cells ours to ours in virtual time.
//! - [`fairness`]: ours beside the kernel's through one bottleneck.

mod cells;
mod fairness;
mod hosts;
mod plot;
mod report;
mod stage;
mod transfer;
mod virtual_time;

use anyhow::{Context, Result, ensure};
use cells::{Cell, Length, Path};
use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use report::{Report, Row, Runs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use transfer::Outcome;

/// The seed of the first run; the others follow.
const SEED: u64 = 1;
/// How many times as many runs decide about a sample that misses a bar.
const MORE: u32 = 3;

/// Run TCP through a grid of loss, delay and reordering, beside the kernel's.
#[derive(Parser, Debug)]
#[command(name = "cargo xtask grid", bin_name = "cargo xtask grid")]
struct Args {
    /// Congestion control on all sides. Only cubic has bars.
    #[arg(long, default_value = "cubic")]
    cc: CongestionControl,
    /// Packets that the stage holds at most in each direction, those on their way among them.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    limit: u32,
    /// Runs of each path in each cell.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    runs: u32,
    /// Only six cells, in short runs, three of each unless `--runs` says otherwise; more of what misses a
    /// bar.
    #[arg(long, conflicts_with = "cells")]
    sample: bool,
    /// Only cells whose name contains this: a loss (`1%`), a round trip (`20 ms`), `none`.
    #[arg(long, value_name = "TEXT")]
    cells: Option<String>,
    /// Runs at the same time.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=16))]
    jobs: u32,
    /// How long a run is, in percent of 1 s + 10 round trips of start and 4 s + 40 round trips
    /// that count.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    percent: u32,
    /// Write the figures as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a picture, too.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Ours to ours in virtual time, beside what theory allows. No bars.
    #[arg(long, conflicts_with_all = ["json", "svg"])]
    r#virtual: bool,
    /// The kernel at both ends of all three paths: how far from 1 the ratios are by chance here.
    #[arg(long, conflicts_with = "virtual")]
    noise: bool,
    /// Not the grid, but two flows through one bottleneck, ours beside the kernel's.
    #[arg(long, conflicts_with_all = ["json", "svg", "virtual", "sample", "cells"])]
    fairness: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CongestionControl {
    Cubic,
    Reno,
    Bbr,
}

impl CongestionControl {
    fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::Reno => "reno",
            Self::Bbr => "bbr",
        }
    }
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// False when a bar is not met.
fn run(args: &Args) -> Result<bool> {
    if args.fairness {
        return fairness::run(args.cc.name(), args.percent);
    }
    let cells = chosen(args)?;
    if args.r#virtual {
        in_virtual_time(args, &cells)?;
        return Ok(true);
    }
    // Buffers of applications should be filled in time though others build beside this.
    // SAFETY: setpriority takes three numbers; without the right to, it changes nothing.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -10) };
    let mut report = measure(args, &cells, args.runs())?;
    let mut met = report.judge();
    if args.sample && !met {
        // Three short runs are few where much is lost: more of them decide.
        let doubtful = report.doubtful();
        println!("\nonce more, {} cells:", doubtful.len());
        report.replace(measure(args, &doubtful, args.runs() * MORE)?);
        met = report.judge();
    }
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report)? + "\n";
        std::fs::write(path, text)
            .with_context(|| format!("{} could not be written", path.display()))?;
    }
    if let Some(path) = &args.svg {
        std::fs::write(path, plot::svg(&report))
            .with_context(|| format!("{} could not be written", path.display()))?;
    }
    Ok(met || !matches!(args.cc, CongestionControl::Cubic))
}

fn chosen(args: &Args) -> Result<Vec<Cell>> {
    if args.sample {
        return Ok(Cell::sample());
    }
    let mut cells = Cell::all();
    if let Some(text) = &args.cells {
        cells.retain(|cell| format!(" {} ", cell.name()).contains(&format!(" {text}")));
        ensure!(!cells.is_empty(), "no cell's name contains {text:?}");
    }
    Ok(cells)
}

impl Args {
    fn length(&self) -> Length {
        Length {
            percent: if self.sample {
                self.percent / 2
            } else {
                self.percent
            },
        }
    }

    fn runs(&self) -> u32 {
        if self.sample {
            self.runs.min(3)
        } else {
            self.runs
        }
    }
}

/// What several workers share.
struct Work {
    /// Places of runs that nobody has taken yet, the next one last.
    left: Vec<(usize, usize, usize)>,
    /// By cell, path and run.
    outcomes: Vec<Vec<Vec<Option<Outcome>>>>,
    rows: Vec<Option<Row>>,
    printed: usize,
    error: Option<anyhow::Error>,
    bar: ProgressBar,
}

/// A bar on the standard error, where that is a terminal.
fn progress(runs: u64) -> ProgressBar {
    let bar = ProgressBar::new(runs).with_message("runs");
    let template = "{elapsed_precise} [{bar:30}] {pos}/{len} {msg}, {eta} left";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

fn measure(args: &Args, cells: &[Cell], runs: u32) -> Result<Report> {
    let runs = runs as usize;
    println!(
        "{}, rate=100mbit limit={}; {runs} runs of each path, Mbit/s: median [least-most]\n",
        args.cc.name(),
        args.limit
    );
    report::print_header();
    let mut left = Vec::new();
    for cell in 0..cells.len() {
        for run in 0..runs {
            left.extend((0..Path::ALL.len()).map(|path| (cell, run, path)));
        }
    }
    left.reverse();
    let bar = progress(left.len() as u64);
    let work = Mutex::new(Work {
        left,
        outcomes: vec![vec![vec![None; runs]; Path::ALL.len()]; cells.len()],
        rows: vec![None; cells.len()],
        printed: 0,
        error: None,
        bar,
    });
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(|| while step(args, cells, &work) {});
        }
    });
    let work = work.into_inner().expect("no worker panics");
    work.bar.finish_and_clear();
    match work.error {
        Some(error) => Err(error),
        None => Ok(Report {
            congestion: args.cc.name().into(),
            limit: args.limit as usize,
            runs: runs as u32,
            rows: work.rows.into_iter().flatten().collect(),
        }),
    }
}

/// Does one run. False when there is none left.
fn step(args: &Args, cells: &[Cell], work: &Mutex<Work>) -> bool {
    let lock = || work.lock().expect("no worker panics");
    let Some((cell, run, path)) = lock().left.pop() else {
        return false;
    };
    let words = cells[cell].words(args.limit as usize, SEED + run as u64);
    let ends = if args.noise {
        Path::KernelToKernel.ends()
    } else {
        Path::ALL[path].ends()
    };
    let outcome = transfer::run(ends, &cells[cell], words, args.cc.name(), args.length())
        .with_context(|| format!("{}: {:?}", cells[cell].name(), Path::ALL[path]));
    let mut work = lock();
    work.bar.inc(1);
    match outcome {
        Ok(outcome) => work.outcomes[cell][path][run] = Some(outcome),
        Err(error) => {
            work.left.clear();
            work.error.get_or_insert(error);
            return false;
        }
    }
    let all: Option<Vec<Vec<Outcome>>> = work.outcomes[cell]
        .iter()
        .map(|runs| runs.iter().copied().collect())
        .collect();
    if let Some(all) = all {
        let runs = Path::ALL.iter().zip(&all);
        let runs = runs.map(|(path, outcomes)| Runs::new(*path, outcomes));
        work.rows[cell] = Some(Row::new(cells[cell], runs.collect()));
        while let Some(Some(row)) = work.rows.get(work.printed) {
            work.bar.suspend(|| row.print());
            work.printed += 1;
        }
    }
    true
}

fn in_virtual_time(args: &Args, cells: &[Cell]) -> Result<()> {
    println!(
        "{}, rate=100mbit limit={}; ours to ours in virtual time, median of {} runs, Mbit/s\n",
        args.cc.name(),
        args.limit,
        args.runs()
    );
    println!(
        "{:<22}  goodput                bound  share",
        " loss  RTT    reordering"
    );
    for cell in cells {
        let mut goodputs = Vec::new();
        for run in 0..args.runs() {
            let seed = SEED + u64::from(run);
            let limit = args.limit as usize;
            let goodput = virtual_time::goodput(cell, args.cc.name(), limit, seed, args.length())?;
            goodputs.push(goodput / 1e6);
        }
        let bound = virtual_time::bound(cell, args.cc.name()) / 1e6;
        let median = report::median(&goodputs);
        let least = goodputs.iter().copied().fold(f64::INFINITY, f64::min);
        let most = goodputs.iter().copied().fold(0.0, f64::max);
        println!(
            "{}  {median:>6.2} [{least:>5.2}-{most:>5.2}]  {bound:>5.2}  {:>5.2}",
            cell.name(),
            median / bound
        );
    }
    Ok(())
}
