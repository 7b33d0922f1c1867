//! packetdrill's scripts against a node of ours, beside the kernel.
//!
//! The tool and its scripts are not part of this repository: get and build
//! <https://github.com/google/packetdrill>, and name its binary and the folders of scripts. Each
//! script runs in a network namespace of its own (so this wants root), once on the kernel and once
//! with `crates/packetdrill` loaded in the kernel's place. What the kernel fails here says nothing;
//! of what it passes, the node has to pass 95 in a hundred.

mod script;
mod stack;

use anyhow::{Context, Result, bail};
pub(crate) use script::Script;
use stack::{Allowed, Stack};
pub(crate) use stack::{Outcome, build_object, run_in_namespace};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Of a hundred scripts that the kernel passes, the node has to pass so many.
const PASS_MIN: usize = 95;

/// How packetdrill's scripts are run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The binary packetdrill
    #[arg(long, value_name = "PATH")]
    tool: PathBuf,
    /// Folders of scripts, searched to the bottom for *.pkt, or scripts
    #[arg(required = true, value_name = "DIR")]
    scripts: Vec<PathBuf>,
    /// The addresses that the scripts use
    #[arg(long, value_enum, default_value = "v4")]
    ip_version: IpVersion,
    /// Scripts that run at the same time
    #[arg(long, value_name = "N", default_value_t = 2)]
    jobs: usize,
    /// Run the node alone: every script counts as one that the kernel passes
    #[arg(long)]
    without_kernel: bool,
    /// Print all that the script says whose path ends like this
    #[arg(long, value_name = "NAME")]
    show: Vec<String>,
}

/// The addresses that the scripts use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum IpVersion {
    /// IPv4 sockets and packets
    V4,
    /// IPv6 sockets and packets
    V6,
    /// IPv6 sockets, IPv4 packets
    V4Mapped,
}

/// A script and how both sides fared.
struct Row {
    script: Script,
    kernel: Option<Outcome>,
    node: Outcome,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let tool = args.tool.canonicalize();
    let tool = tool.with_context(|| format!("no packetdrill at {}", args.tool.display()))?;
    let scripts = Script::find(&args.scripts, args.ip_version)?;
    if scripts.is_empty() {
        bail!("no script (*.pkt) lies there");
    }
    let object = build_object()?;
    // Kept until the end: the scripts choose CUBIC in their namespaces, and the node follows them.
    let allowed = Allowed::cubic()?;
    let on = |stack: Stack<'_>, script: &Script| stack.play(&tool, script, args.ip_version);
    let rows = in_parallel(args.jobs, scripts, |script| {
        let kernel = (!args.without_kernel).then(|| on(Stack::Kernel, &script));
        let node = on(Stack::Node(&object), &script);
        Ok(Row {
            script,
            kernel: kernel.transpose()?,
            node: node?,
        })
    })?;
    drop(allowed);
    show(&rows, &args.show);
    judge(&rows)
}

/// Does `work` for each item on `jobs` threads, and returns what came of it in the items' order.
pub(crate) fn in_parallel<T: Send, R: Send>(
    jobs: usize,
    items: Vec<T>,
    work: impl Fn(T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let left: Mutex<VecDeque<(usize, T)>> = Mutex::new(items.into_iter().enumerate().collect());
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                let next = || {
                    left.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .pop_front()
                };
                while let Some((place, item)) = next() {
                    let result = work(item);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.insert(place, result);
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.into_values().collect()
}

/// Prints all that was said in the scripts that were asked for.
fn show(rows: &[Row], names: &[String]) {
    let asked = |row: &&Row| {
        let name = row.script.name();
        names.iter().any(|wanted| {
            name.trim_end_matches(".pkt")
                .ends_with(wanted.trim_end_matches(".pkt"))
        })
    };
    for row in rows.iter().filter(asked) {
        if let Some(kernel) = &row.kernel {
            println!("== {} on the kernel: {}", row.script.name(), kernel.word());
            println!("{}", kernel.output.trim_end());
        }
        println!("== {} on the node: {}", row.script.name(), row.node.word());
        println!("{}", row.node.output.trim_end());
    }
}

/// Prints the table, and fails when too few pass.
fn judge(rows: &[Row]) -> Result<()> {
    let mut folders: BTreeMap<String, [usize; 5]> = BTreeMap::new();
    let mut all = [0; 5];
    for row in rows {
        let of_folder = folders.entry(row.script.folder()).or_default();
        let applies = row.script.not_applicable.is_none();
        let kernel = row.kernel.as_ref().is_none_or(|outcome| outcome.passed);
        let node = row.node.passed && applies;
        let counts = [
            true,
            kernel,
            kernel && node,
            kernel && applies && !node,
            kernel && !applies,
        ];
        for (n, counts) in counts.into_iter().enumerate() {
            of_folder[n] += usize::from(counts);
            all[n] += usize::from(counts);
        }
    }
    println!(
        "{:<24} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "folder", "scripts", "kernel", "passed", "failed", "not appl"
    );
    for (folder, counts) in folders.iter().chain([(&"all".to_owned(), &all)]) {
        let [scripts, kernel, passed, failed, not_applicable] = counts;
        println!(
            "{folder:<24} {scripts:>8} {kernel:>8} {passed:>8} {failed:>8} {not_applicable:>8}"
        );
    }
    explain(rows);
    let [_, kernel, passed, _, not_applicable] = all;
    let counted = kernel - not_applicable;
    println!(
        "\nof {counted} scripts that the kernel passes and that apply, the node passes {passed}"
    );
    if passed * 100 < counted * PASS_MIN {
        bail!("below {PASS_MIN} in a hundred");
    }
    Ok(())
}

/// Names what did not pass, with the reason.
fn explain(rows: &[Row]) {
    let passes = |row: &&Row| row.kernel.as_ref().is_none_or(|outcome| outcome.passed);
    println!("\nfailed:");
    let applies = |row: &&Row| row.script.not_applicable.is_none();
    for row in rows.iter().filter(passes).filter(applies) {
        if !row.node.passed {
            println!("  {}", row.script.name());
            println!("{}", row.node.reason("      "));
        }
    }
    println!("\nnot applicable:");
    for row in rows {
        if let Some(reason) = &row.script.not_applicable {
            println!("  {}: {reason}", row.script.name());
        }
    }
    println!("\nthe kernel fails, the node:");
    for row in rows.iter().filter(|row| !passes(row)) {
        println!("  {}: {}", row.script.name(), row.node.word());
    }
}

/// The part of a path that names a script: its folders below the common one.
fn below(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .display()
        .to_string()
}
