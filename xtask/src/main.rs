//! The project's own chores, run as `cargo xtask CHORE`.
//!
//! - `book`: docs/book as HTML pages, and the links of all documents (see [`book`]).
//! - `compare`: sockeye beside its peers (`bench/src/compare`).
//! - `cost`: instructions of fixed scenarios, against committed figures (see [`cost`]).
//! - `etsi`: the conformance scripts for SCTP (see [`etsi`]).
//! - `grid`: TCP over bad paths beside the kernel's (`bench/src/bin/grid`).
//! - `layers`: the floors of ARCHITECTURE.md hold (see [`layers`]).
//! - `lksctp`: the functional tests of lksctp-tools under `run` (see [`lksctp`]).
//! - `long`: what takes more than a minute, by name (see [`long`]).
//! - `loom`: who waits and who drives a node, in every order of threads (see [`loom`]).
//! - `options`: the table of socket options in docs/ (see [`options`]).
//! - `rfcs`: RFCS.md, which section of which RFC is kept where (see [`rfcs`]).
//! - `packetdrill`: the scripts that Linux's TCP is tested with (see [`packetdrill`]).

mod book;
mod capi;
mod cost;
mod deb;
mod etsi;
mod layers;
mod lksctp;
mod long;
mod loom;
mod options;
mod package;
mod packetdrill;
mod program;
mod release;
mod rfcs;

use clap::Parser;
use std::process::ExitCode;

/// The project's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Chore {
    /// Write the book in docs/book as HTML pages, once every link of every document leads somewhere.
    Book(book::Args),
    Capi(capi::Args),
    /// Check that every dependency between the crates points down, and that the crates without
    /// I/O forbid unsafe code and carry the clippy.toml that forbids clocks and threads.
    Layers,
    /// Measure sockeye beside its peers, and write docs/charts and README's table anew. Wants root;
    /// `cargo xtask compare --help` tells more.
    #[command(disable_help_flag = true)]
    Compare {
        /// What `bench`'s program `compare` takes; README's table is left alone where something is given.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Count the instructions of fixed scenarios under valgrind, and fail where they are more than
    /// 5% above the figures in bench/cost.txt.
    Cost {
        /// Write the figures anew.
        #[arg(long)]
        update: bool,
    },
    /// Run the conformance scripts for SCTP (ETSI TS 102 369) on a node. Wants root.
    Etsi(etsi::Args),
    /// Run TCP through a grid of loss, delay and reordering, beside the kernel's. Needs root;
    /// `cargo xtask grid --help` tells more.
    #[command(disable_help_flag = true)]
    Grid {
        /// What `bench`'s program `grid` takes.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run the functional tests of lksctp-tools under `sockeye run`.
    Lksctp(lksctp::Args),
    /// Run one of those that take long: the grid, fairness, the fuzzers, hostile traffic, the soak.
    Long {
        /// Which; without one they are listed.
        name: Option<String>,
        /// List them.
        #[arg(long)]
        list: bool,
        /// How long, for those that would go on for ever.
        #[arg(long, default_value_t = 10)]
        minutes: u32,
    },
    /// Run the tests of the turn token and the waiters under loom.
    Loom,
    /// Check that the crates build with the oldest compiler that their manifests name.
    Msrv,
    Package(package::Args),
    /// Check the crates that need no Linux, for a target of another system each.
    Portable,
    /// Check that `cargo package` has nothing to say about a crate that is published.
    Publishable,
    /// Collect the citations of RFCs from code, tests and scripts into RFCS.md.
    Rfcs(rfcs::Args),
    /// Run packetdrill's scripts on a node and on the kernel, and compare. Wants root.
    Packetdrill(packetdrill::Args),
    /// Compare the crates' interfaces with a revision's, where cargo-semver-checks is installed.
    Semver {
        /// What git calls the last release.
        #[arg(value_name = "REVISION")]
        baseline: String,
    },
    /// Measure DCCP's congestion control in virtual time: TFRC by its equation, both CCIDs beside TCP. A table,
    /// and a picture in FILE.svg.
    Tfrc {
        /// Where the picture goes.
        #[arg(value_name = "FILE.svg")]
        svg: Option<String>,
    },
    /// Write docs/OPTIONS.md from the list of socket options.
    Options {
        /// Only check that it is up to date, and that the tests it names exist.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let result = match Chore::parse() {
        Chore::Book(args) => book::run(&args),
        Chore::Capi(args) => capi::run(&args),
        Chore::Compare { args } => program::compare(args),
        Chore::Cost { update } => cost::run(update),
        Chore::Etsi(args) => etsi::run(&args),
        Chore::Grid { args } => program::bench("grid", "release", &args),
        Chore::Layers => layers::run(),
        Chore::Lksctp(args) => lksctp::run(&args),
        Chore::Long {
            name,
            list,
            minutes,
        } => long::run(name.as_deref(), list, minutes),
        Chore::Loom => loom::run(),
        Chore::Msrv => release::msrv(),
        Chore::Options { check } => options::run(check),
        Chore::Package(args) => package::run(&args),
        Chore::Packetdrill(args) => packetdrill::run(&args),
        Chore::Portable => release::portable(),
        Chore::Publishable => release::publishable(),
        Chore::Rfcs(args) => rfcs::run(&args),
        Chore::Semver { baseline } => release::semver(&baseline),
        Chore::Tfrc { svg } => program::example("sockeye-sim", "tfrc", svg.as_slice()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
