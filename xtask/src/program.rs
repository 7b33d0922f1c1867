//! Chores that are programs of other crates.

use anyhow::{Context, Result, bail};
use std::process::Command;

/// Builds the program `name` of the crate `bench` in a profile, and runs it.
pub(crate) fn bench(name: &str, profile: &str, args: &[String]) -> Result<()> {
    let what = [
        "--package",
        "sockeye-bench",
        "--bin",
        name,
        "--profile",
        profile,
    ];
    run(name, &what, args)
}

/// Builds the example `name` of a crate for speed, and runs it.
pub(crate) fn example(package: &str, name: &str, args: &[String]) -> Result<()> {
    let what = ["--package", package, "--example", name, "--release"];
    run(name, &what, args)
}

fn run(name: &str, what: &[&str], args: &[String]) -> Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(["run", "--quiet"])
        .args(what)
        .arg("--")
        .args(args)
        .status()
        .context("cargo could not be started")?;
    if !status.success() {
        bail!("{name} ended with {status}");
    }
    Ok(())
}
