//! Packet scripts: each file under this folder is a test of its own, named by its place.
//!
//! `sockeye_sim::script` says how they are written.

use libtest_mimic::{Arguments, Failed, Trial};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Every script runs with each of these seeds: ports and sequence numbers must not matter.
const SEEDS: [u64; 3] = [1, 2, 3];

fn main() -> ExitCode {
    let home = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts"));
    let mut files = Vec::new();
    collect(home, &mut files);
    files.sort();
    assert!(!files.is_empty(), "no scripts under {}", home.display());
    let trial = |file: PathBuf| {
        let name = file.strip_prefix(home).unwrap_or(&file).with_extension("");
        Trial::test(name.display().to_string(), move || play(&file))
    };
    let trials = files.into_iter().map(trial).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn play(file: &Path) -> Result<(), Failed> {
    let text = std::fs::read_to_string(file)?;
    for seed in SEEDS {
        sockeye_sim::script::run(&text, seed)
            .map_err(|error| format!("{}, seed {seed}, {error}", file.display()))?;
    }
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).expect("the folder of the scripts can be read");
    for entry in entries {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "script") {
            files.push(path);
        }
    }
}
