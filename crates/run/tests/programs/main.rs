//! Real programs under the supervisor: over the host kernel's sockets on the loopback interface, which shows that what they see is
//! what they see without it, and on a node.
//!
//! This binary is also the supervisor and some of the programs: `programs --supervise PROGRAM...` runs a program over the
//! kernel's sockets, `programs --on-a-node PROGRAM...` on a node, and `programs --play ROLE ...` is one. With `-apart` behind
//! either word the ends of a connection are not joined past the node.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may end")]

mod alarm;
mod kernel;
mod names;
mod processes;
mod python;
mod reactor;
mod transfers;
mod waiting;

use sockeye_run::{Backend, Options, Runner, Waiting};
use sockeye_tests::{Program, Result, TempDir, harness};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::exit;
use std::sync::OnceLock;

fn main() {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match arguments.get(1).and_then(|word| word.to_str()) {
        Some("--supervise") => supervise(kernel::Kernel, Options::default(), &arguments[2..]),
        Some("--supervise-apart") => supervise(kernel::Kernel, apart(), &arguments[2..]),
        Some("--supervise-as-before-6.18") => {
            let waiting = match Waiting::best() {
                Waiting::Firmly => Waiting::FirmlySoon,
                older => older,
            };
            let mut options = Options::default();
            options.waiting = waiting;
            supervise(kernel::Kernel, options, &arguments[2..])
        }
        Some("--share") => names::share(&arguments[2..]),
        Some("--letters") => names::letters(&arguments[2..]),
        Some("--meet") => names::meet(&arguments[2..]),
        Some("--on-a-node") => on_a_node(Options::default(), &arguments[2..]),
        Some("--on-a-node-apart") => on_a_node(apart(), &arguments[2..]),
        Some("--play") => alarm::play(&arguments[2..]),
        Some("--partner") => alarm::be_partner(&arguments[2..]),
        _ => harness(&[
            python::TESTS,
            names::TESTS,
            processes::TESTS,
            transfers::TESTS,
            alarm::TESTS,
            waiting::TESTS,
        ]),
    }
}

/// Is the supervisor, for a program on a node that has nothing but its own loopback.
fn on_a_node(options: Options, program: &[OsString]) -> ! {
    let node = sockeye::Node::builder().build().unwrap();
    supervise(node, options, program)
}

/// Options by which all data passes the node.
fn apart() -> Options {
    let mut options = Options::default();
    options.join = false;
    options
}

/// Is the supervisor.
fn supervise(backend: impl Backend, options: Options, program: &[OsString]) -> ! {
    let running = Runner::new(backend, options)
        .spawn(program)
        .unwrap_or_else(|error| {
            eprintln!("{error}");
            exit(error.exit_code());
        });
    for fd in running.withheld() {
        eprintln!("descriptor {fd} is an internet socket and was withheld");
    }
    let exit_code = running.wait().unwrap().code();
    exit(exit_code)
}

/// This binary, where every user can reach it.
fn this_binary() -> &'static PathBuf {
    static COPY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    &COPY
        .get_or_init(|| {
            use std::os::unix::fs::PermissionsExt as _;
            let dir = TempDir::new().unwrap();
            let copy = dir.path().join("programs");
            std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
            std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
            (dir, copy)
        })
        .1
}

/// A program under the supervisor.
fn supervised(program: impl AsRef<std::ffi::OsStr>) -> Program {
    Program::new(this_binary()).arg("--supervise").arg(program)
}

/// Why no program can be supervised here, if none can.
fn unsupervisable() -> Option<String> {
    static REASON: OnceLock<Option<String>> = OnceLock::new();
    let reason = REASON.get_or_init(|| {
        let needed = sockeye_run::doctor::examine()
            .into_iter()
            .filter(|finding| !finding.optional);
        needed
            .filter_map(|finding| Some(format!("{}: {}", finding.name, finding.missing?.reason)))
            .next()
    });
    reason.clone()
}

/// Ends a test as ignored unless programs can be supervised here, and these are on the PATH.
#[macro_export]
macro_rules! needs {
    ($($program:literal),*) => {
        if let Some(reason) = $crate::unsupervisable() {
            return sockeye_tests::ignore!("{reason}");
        }
        $(if !sockeye_tests::have($program) {
            return sockeye_tests::ignore!(concat!("there is no ", $program, " on this machine"));
        })*
    };
}

/// What a test returns.
type Outcome = Result<sockeye_tests::Outcome>;

/// The end of a test that showed what it was to show.
const PASSED: Outcome = Ok(sockeye_tests::Outcome::Passed);
