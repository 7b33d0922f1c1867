//! Chores that are programs of other crates.

use anyhow::{Context, Result, bail};
use std::process::Command;

/// Builds the program `name` of the crate `bench` in a profile, and runs it.
pub(crate) fn bench(name: &str, profile: &str, args: &[String]) -> Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "sockeye-bench"])
        .args(["--bin", name, "--profile", profile, "--"])
        .args(args)
        .status()
        .context("cargo could not be started")?;
    if !status.success() {
        bail!("{name} ended with {status}");
    }
    Ok(())
}
