//! What takes more than a minute: not for every change, but before a release and in the night.

use crate::program;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// All of them, with what each is and how it is run for so many minutes. Those that end by
/// themselves heed no minutes.
const ALL: [Long; 8] = [
    Long {
        name: "grid",
        what: "TCP over bad paths beside the kernel's, CUBIC, with bars; about 15 minutes; root",
        run: |_| grid(&["--cc", "cubic"]),
    },
    Long {
        name: "grid-bbr",
        what: "the same with BBR, without bars; root",
        run: |_| grid(&["--cc", "bbr"]),
    },
    Long {
        name: "fairness",
        what: "a flow of ours beside one of the kernel's through one bottleneck; two minutes; root",
        run: |_| grid(&["--fairness"]),
    },
    Long {
        name: "fuzz",
        what: "the fuzz targets talk, associations, connections, rpc and node, from their seeds, for --minutes each",
        run: |minutes| {
            for target in ["talk", "associations", "connections", "rpc"] {
                fuzz(target, minutes)?;
            }
            fuzz("node", minutes)
        },
    },
    Long {
        name: "hostile",
        what: "random and mutated traffic against a node that serves a client, for --minutes; root, scapy, trafgen",
        run: |minutes| interop("hostile::", "SOCKEYE_TEST_HOSTILE_SECONDS", minutes),
    },
    Long {
        name: "soak",
        what: "worlds by chance, one after the other, for --minutes",
        run: |minutes| program::bench("soak", "release", &[minutes.to_string()]),
    },
    Long {
        name: "million",
        what: "a million TCP connections: bytes of each, and what a byte there and back takes as they become many; ten minutes, 2 GiB",
        run: |_| program::bench("million", "release", &[]),
    },
    Long {
        name: "run-soak",
        what: "nginx and redis under `run` over a link that loses 1%, for --minutes of load: nothing may grow; root, wrk",
        run: |minutes| interop("soak::", "SOCKEYE_TEST_SOAK_SECONDS", minutes),
    },
];

/// One that can be run.
struct Long {
    name: &'static str,
    what: &'static str,
    run: fn(u32) -> Result<()>,
}

/// What cargo-fuzz sets to have code watched by libFuzzer. No sanitizer is among it: none of this
/// code is unsafe, and without one the stable compiler will do.
const WATCHED: &str = "--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
const FUZZ_TARGET: &str = "x86_64-unknown-linux-gnu";

/// Runs the one called `name`; without a name, or with `list`, tells which there are.
pub(crate) fn run(name: Option<&str>, list: bool, minutes: u32) -> Result<()> {
    let Some(name) = name.filter(|_| !list) else {
        for Long { name, what, .. } in ALL {
            println!("{name:<10} {what}");
        }
        return Ok(());
    };
    let known = ALL.iter().find(|long| long.name == name);
    let long = known.with_context(|| {
        let names: Vec<&str> = ALL.iter().map(|long| long.name).collect();
        format!("there is no {name:?}; there is {}", names.join(", "))
    })?;
    (long.run)(minutes)
}

fn grid(args: &[&str]) -> Result<()> {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    program::bench("grid", "release", &args)
}

/// Runs a test for longer. Not in release: assertions may find something, too.
fn interop(filter: &str, seconds: &str, minutes: u32) -> Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(["test", "--quiet", "--package", "sockeye-tests"])
        .args(["--test", "interop", "--", filter])
        .env(seconds, (u64::from(minutes) * 60).to_string())
        .status()
        .context("cargo could not be started")?;
    if !status.success() {
        bail!("{filter} found something: {status}");
    }
    Ok(())
}

/// Runs a fuzz target. What it finds on its way is kept in `fuzz/corpus`, which is not committed;
/// the input of a failure lies in `fuzz/artifacts`.
fn fuzz(name: &str, minutes: u32) -> Result<()> {
    let folder = Path::new("fuzz");
    cargo_fuzz(&["build", "--bin", name], WATCHED)?;
    if name == "node" {
        // Its seeds are frames of real traffic. The program that writes them has no libFuzzer.
        cargo_fuzz(&["run", "--bin", "corpus"], "")?;
    }
    let of_target = |kind: &str| folder.join(kind).join(name);
    for kind in ["corpus", "artifacts"] {
        std::fs::create_dir_all(of_target(kind))?;
    }
    let program = folder.join("target").join(FUZZ_TARGET).join("release");
    let seeds = of_target("seeds");
    let status = Command::new(program.join(name))
        .arg(of_target("corpus"))
        .args(seeds.is_dir().then_some(seeds))
        .arg(format!("-max_total_time={}", u64::from(minutes) * 60))
        .arg(format!(
            "-artifact_prefix={}/",
            of_target("artifacts").display()
        ))
        .args(["-max_len=4096", "-timeout=20", "-print_final_stats=1"])
        // Memory that grows without bound is a finding, too.
        .args(["-rss_limit_mb=1024", "-malloc_limit_mb=64"])
        .env("RUST_BACKTRACE", "1")
        .status()
        .context("the fuzz target could not be started")?;
    if !status.success() {
        bail!("{name} found something ({status}): see fuzz/artifacts/{name}");
    }
    Ok(())
}

fn cargo_fuzz(args: &[&str], flags: &str) -> Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(args)
        .args(["--quiet", "--release", "--target", FUZZ_TARGET])
        .args(["--manifest-path", "fuzz/Cargo.toml"])
        .args(["--target-dir", "fuzz/target"])
        .env("RUSTFLAGS", flags)
        .status()
        .context("cargo could not be started")?;
    if !status.success() {
        bail!("cargo {} failed: {status}", args.join(" "));
    }
    Ok(())
}
