//! The project's own chores, run as `cargo xtask CHORE`.
//!
//! - `layers`: the floors of ARCHITECTURE.md hold (see [`layers`]).
//! - `loom`: who waits and who drives a node, in every order of threads (see [`loom`]).

mod layers;
mod loom;

use clap::Parser;
use std::process::ExitCode;

/// The project's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Chore {
    /// Check that every dependency between the crates points down, and that the crates without
    /// I/O forbid unsafe code and carry the clippy.toml that forbids clocks and threads.
    Layers,
    /// Run the tests of the turn token and the waiters under loom.
    Loom,
}

fn main() -> ExitCode {
    let result = match Chore::parse() {
        Chore::Layers => layers::run(),
        Chore::Loom => loom::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
