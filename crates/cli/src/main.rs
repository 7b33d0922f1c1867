//! The command `sockeye`.
//!
//! One file a command; [`options`] are those that all commands with a node share, [`report`] is how
//! they print. Exit status: 0 success, 1 no result, 2 error; `run` passes the program's own on. A
//! reader that went away (a broken pipe) is success.

mod bench;
mod completions;
mod control;
mod doctor;
mod man;
mod nc;
mod node;
mod options;
mod ping;
mod report;
mod rpcgen;
mod rpcinfo;
mod run;
mod scan;
mod seeing;
mod ss;
mod trace;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Network sockets in user space: a whole network node of your own, nothing in the kernel.
#[derive(Debug, Parser)]
#[command(
    name = "sockeye",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Ping(ping::Ping),
    Trace(trace::Trace),
    Scan(scan::Scan),
    Nc(nc::Nc),
    Ss(ss::Ss),
    Bench(bench::Bench),
    Rpcgen(rpcgen::Rpcgen),
    Rpcinfo(rpcinfo::Rpcinfo),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
    Man(man::Man),
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return report::usage(&error),
    };
    report::log();
    let result = match args.command {
        Command::Run(command) => command.run(),
        Command::Ping(command) => command.run(),
        Command::Trace(command) => command.run(),
        Command::Scan(command) => command.run(),
        Command::Nc(command) => command.run(),
        Command::Ss(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Rpcgen(command) => command.run(),
        Command::Rpcinfo(command) => command.run(),
        Command::Doctor(command) => command.run(),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
    };
    result.unwrap_or_else(|error| report::failure(&error))
}
