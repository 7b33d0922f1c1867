//! The project's own chores, run as `cargo xtask CHORE`.
//!
//! - `layers`: the floors of ARCHITECTURE.md hold (see [`layers`]).

mod layers;

use clap::Parser;
use std::process::ExitCode;

/// The project's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Chore {
    /// Check that every dependency between the crates points down, and that the crates without
    /// I/O forbid unsafe code and carry the clippy.toml that forbids clocks and threads.
    Layers,
}

fn main() -> ExitCode {
    let result = match Chore::parse() {
        Chore::Layers => layers::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
