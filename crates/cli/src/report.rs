//! What the commands print, and what their exit status says.

use anyhow::Result;
use clap::CommandFactory as _;
use clap::error::ErrorKind;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

/// The command did what was asked, but there was no result: no reply, a 'no' that matters.
pub(crate) const NO_RESULT: u8 = 1;

/// The command could not do what was asked.
pub(crate) const ERROR: u8 = 2;

/// Reports a bad command line, or prints the help or version that was asked for.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.kind() == ErrorKind::InvalidSubcommand {
        let command = crate::Args::command();
        let names: Vec<&str> = command
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        let _ = writeln!(io::stderr(), "\nThe commands are: {}", names.join(", "));
    }
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(ERROR),
    }
}

/// Shows what the crates log, on the standard error: warnings, or what SOCKEYE_LOG asks for in the
/// words of tracing's filters (`debug`, `sockeye_run=trace`).
pub(crate) fn log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("SOCKEYE_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(anstream::stderr)
        .without_time()
        .with_target(false)
        .init();
}

/// Reports an error on the standard error; a reader that went away is none.
pub(crate) fn failure(error: &anyhow::Error) -> ExitCode {
    let gone = |cause: &(dyn std::error::Error + 'static)| {
        let cause = cause.downcast_ref::<io::Error>();
        cause.is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    };
    // A connection of the node may break, too: that is no success.
    let is_read = has_reader(io::stdout()) && has_reader(io::stderr());
    if error.chain().any(gone) && !is_read {
        return ExitCode::SUCCESS;
    }
    let _ = writeln!(io::stderr(), "sockeye: {error:#}");
    ExitCode::from(ERROR)
}

/// Whether somebody may still read what is written to `output`.
fn has_reader(output: impl AsFd) -> bool {
    let mut asked = [PollFd::new(&output, PollFlags::OUT)];
    let now = Timespec::default();
    let told = poll(&mut asked, Some(&now));
    let gone = PollFlags::ERR | PollFlags::HUP;
    told.is_err() || !asked[0].revents().intersects(gone)
}

/// The number of the schema of all documents: it grows when a member changes its meaning or goes.
const SCHEMA: u32 = 1;

/// What a command found, as docs/sockeye.schema.json describes it.
#[derive(serde::Serialize)]
struct Document<'a, T> {
    command: &'a str,
    schema: u32,
    #[serde(flatten)]
    found: &'a T,
}

/// Prints what `command` found as one JSON document, in the shape that all commands share.
pub(crate) fn document(command: &str, found: &impl serde::Serialize) -> Result<()> {
    let schema = SCHEMA;
    json(&Document {
        command,
        schema,
        found,
    })
}

/// Prints `value` as one JSON document.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_has_a_reader_until_it_is_closed() {
        let (reader, writer) = io::pipe().unwrap();
        assert!(has_reader(&writer));
        drop(reader);
        assert!(!has_reader(&writer));
    }
}
