//! Real programs under the supervisor, over the host kernel's sockets on the loopback interface.
//!
//! This file is also the supervisor and some of the programs: `programs --supervise PROGRAM...` runs a program.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may end")]

mod kernel;
mod reactor;

use sockeye_run::{Options, Runner};
use std::ffi::OsString;
use std::process::exit;

fn main() {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|word| word == "--supervise") {
        supervise(&arguments[2..]);
    }
}

fn supervise(program: &[OsString]) -> ! {
    let running = Runner::new(kernel::Kernel, Options::default())
        .spawn(program)
        .unwrap_or_else(|error| {
            eprintln!("{error}");
            exit(error.exit_code());
        });
    let exit_code = running.wait().unwrap().code();
    exit(exit_code)
}
