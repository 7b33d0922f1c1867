//! The turn token, the waiters and the parker of `crates/sockeye`, in every order that threads can
//! take: their tests run under loom, which needs a build of its own.

use anyhow::{Context, Result, bail};
use std::process::Command;

/// Runs the loom tests.
pub(crate) fn run() -> Result<()> {
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    // A folder of its own: the switch would otherwise rebuild everything, there and back.
    let status = Command::new(env!("CARGO"))
        .args(["test", "--package", "sockeye", "--lib"])
        .args(["--target-dir", "target/loom", "loom"])
        // Building is what takes time here, not running.
        .arg("--config=profile.dev.package.\"*\".opt-level=0")
        .arg("--config=profile.dev.opt-level=0")
        .env("RUSTFLAGS", format!("{flags} --cfg loom"))
        .status()
        .context("cargo could not be started")?;
    if !status.success() {
        bail!("the loom tests failed: {status}");
    }
    Ok(())
}
