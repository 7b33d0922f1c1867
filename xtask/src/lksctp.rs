//! The functional tests of lksctp-tools, under `sockeye run`.
//!
//! They are not part of this repository: get <https://github.com/sctp/lksctp-tools>, build
//! `src/func_tests`, and name the folder of the programs. Each says of all it tries whether it passed;
//! those whose names begin with `test_1_to_1_` pass on Linux 6.1.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a program may take, in seconds: some wait for timers of an association.
const SECONDS_MAX: &str = "100";

/// How the programs are run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder of the programs
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Only programs whose names contain this
    #[arg(default_value = "test_1_to_1_")]
    only: String,
    /// Print all that the programs say that fail
    #[arg(long)]
    show: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let sockeye = build()?;
    let entries = std::fs::read_dir(&args.dir);
    let entries = entries.with_context(|| format!("{} can't be read", args.dir.display()))?;
    let mut programs = entries
        .map(|entry| Ok(entry?.path().canonicalize()?))
        .collect::<Result<Vec<_>>>()?;
    programs.retain(|path| name(path).contains(&args.only));
    programs.sort();
    if programs.is_empty() {
        bail!("no program lies there");
    }
    let mut failed = 0;
    for program in &programs {
        let output = Command::new("timeout")
            .arg(SECONDS_MAX)
            .arg(&sockeye)
            .args(["run", "--"])
            .arg(program)
            .output()
            .context("timeout (coreutils) does not start")?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        // They exit with 0 when a try fails, too, and say it.
        let wrong = |line: &&str| {
            [" FAIL :", " BROK :"]
                .iter()
                .any(|word| line.contains(word))
        };
        let passed = output.status.success() && !said.lines().any(|line| wrong(&line));
        failed += usize::from(!passed);
        let word = if passed { "passed" } else { "failed" };
        println!("{:<40} {word}", name(program));
        if !passed && args.show {
            println!("{said}");
        } else if !passed {
            println!(
                "    {}, {}",
                output.status,
                said.lines().find(wrong).unwrap_or("no end")
            );
        }
    }
    match failed {
        0 => Ok(()),
        _ => bail!("{failed} of {} programs fail", programs.len()),
    }
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Builds `sockeye`, and says where it lies.
fn build() -> Result<PathBuf> {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", "sockeye-cli"]);
    if !build.status().context("cargo does not start")?.success() {
        bail!("sockeye does not build");
    }
    let own = std::env::current_exe()?;
    let folder = own.parent().context("xtask lies nowhere")?;
    Ok(folder.join("sockeye"))
}
