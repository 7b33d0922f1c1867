//! lwIP beside us: Debian's library, by its raw interface and in one thread. The harness is in C and
//! compiled here.

use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const SOURCE: &str = include_str!("lwip.c");

/// The harness, compiled to a place that goes with it.
pub(crate) struct Harness {
    place: PathBuf,
}

impl Harness {
    pub(crate) fn compile() -> Result<Self> {
        let place = std::env::temp_dir().join(format!("sockeye-bench-lwip-{}", std::process::id()));
        std::fs::create_dir_all(&place)?;
        let harness = Self { place };
        let source = harness.place.join("lwip.c");
        std::fs::write(&source, SOURCE)?;
        let compiled = Command::new("cc")
            .args(["-O2", "-I/usr/include/lwip", "-o"])
            .args([&harness.place.join("lwip"), &source])
            .arg("-l:liblwip.so.0")
            .output()
            .context("there is no cc")?;
        let error = String::from_utf8_lossy(&compiled.stderr);
        ensure!(
            compiled.status.success(),
            "the harness does not compile (liblwip-dev): {}",
            error.lines().next().unwrap_or_default()
        );
        Ok(harness)
    }

    /// Bits or round trips a second: `what` is `bulk` or `trips`.
    pub(crate) fn run(&self, what: &str, time: Duration) -> Result<f64> {
        let ran = Command::new(self.place.join("lwip"))
            .args([what, &time.as_millis().to_string()])
            .output()?;
        let error = String::from_utf8_lossy(&ran.stderr);
        ensure!(ran.status.success(), "lwIP's harness failed: {error}");
        Ok(String::from_utf8(ran.stdout)?.trim().parse()?)
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.place);
    }
}
