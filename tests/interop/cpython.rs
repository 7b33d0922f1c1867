//! CPython's own tests of sockets and of what stands on them, on the kernel and under `sockeye run` at the same time. By name:
//! what passes on the kernel passes under `run`, and nothing is skipped that the kernel does not skip. What only `run` has a
//! place for (SCTP, where this kernel has none) passes as well.

use crate::run::{PYTHON, wanted_options};
use sockeye_tests::{
    Outcome, Program, Result, TempDir, Test, check, ignore, in_namespace, sockeye, tests,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Tests that do otherwise under `run`, with the reason. Each of them has to.
const DIFFERENCES: &[(&str, &str)] = &[];

/// Without it test_socket hangs where a virtual machine has a vsock that nobody answers.
const LEFT_OUT: &str = "*VSOCK*";

/// Tests that may do otherwise under `run`, with the reason.
const UNSTEADY: &[(&str, &str)] = &[(
    "test.test_epoll.TestEPoll.test_control_and_wait",
    "polls once, edge-triggered, right after two sends to itself: the supervisor's taking of the one is \
     an edge of EPOLLOUT, which may come before the other has arrived",
)];

const LIMIT: Duration = Duration::from_secs(280);

/// How often a module is run under `run` until it does as on the kernel. What a program sends to itself
/// is there with the call by the kernel's loopback, and a moment later by a node.
const ATTEMPTS: usize = 3;

/// Tests of each module at the least, so that an empty report is none.
const FEWEST: usize = 6;

macro_rules! modules {
    ($($name:ident),* $(,)?) => {
        pub(crate) const TESTS: &[Test] = tests![$($name),*];

        $(fn $name() -> Result {
            let name = concat!("interop::cpython::", stringify!($name));
            in_namespace(name, LIMIT, || compare(stringify!($name)))
        })*
    };
}

modules!(
    test_socket,
    test_select,
    test_poll,
    test_epoll,
    test_selectors,
    test_socketserver,
    test_httplib,
    test_httpservers,
);

/// What came of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Passed,
    Skipped,
    Failed,
}

fn compare(module: &str) -> Result {
    let look = format!("import test.{module}");
    let there = Command::new(PYTHON).args(["-c", &look]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        return ignore!("CPython's tests are not installed (libpython3.11-testsuite)");
    }
    // A route for multicast.
    let route = ["route", "add", "default", "dev", "lo"];
    check!(
        Command::new("ip").args(route).status()?.success(),
        "no route by lo"
    );
    let mut told = String::new();
    for _ in 0..ATTEMPTS {
        told = differences(module)?;
        if told.is_empty() {
            return Ok(Outcome::Passed);
        }
        println!("{told}");
    }
    Err(told.into())
}

/// What comes out otherwise under `run` than on the kernel, and what the run said.
fn differences(module: &str) -> Result<String> {
    let (kernel_at, run_at) = (TempDir::new()?, TempDir::new()?);
    let under_run = Program::new(sockeye()?).arg("run").args(wanted_options());
    let under_run = under_run.args(["--", PYTHON]);
    let (kernel, run) = std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let report = report(under_run, module, run_at.path());
            report.map_err(|error| error.to_string())
        });
        let kernel = report(Program::new(PYTHON), module, kernel_at.path());
        (kernel, run.join())
    });
    let (kernel, kernel_said) = kernel?;
    let (run, run_said) = run.map_err(|_| "the run's thread ended")??;
    check!(
        kernel.len() >= FEWEST && !kernel.values().any(|came| *came == Came::Failed),
        "the kernel does not pass: {kernel_said}"
    );
    let among = |list: &[(&str, &str)], name: &str| list.iter().any(|(known, _)| *known == name);
    let mut differences = String::new();
    for (name, on_kernel) in &kernel {
        let under_run = run.get(name);
        let same = match (on_kernel, under_run) {
            (Came::Skipped, Some(Came::Passed | Came::Skipped)) => true,
            (on_kernel, under_run) => Some(on_kernel) == under_run,
        };
        if !among(UNSTEADY, name) && same == among(DIFFERENCES, name) {
            differences += &format!("{name}: {on_kernel:?} on the kernel, {under_run:?} under run");
            differences += if same {
                ", and listed as different\n"
            } else {
                "\n"
            };
        }
    }
    let passed = run.values().filter(|came| **came == Came::Passed).count();
    println!("{module}: {} tests, {passed} pass under run", kernel.len());
    if !differences.is_empty() {
        differences += &run_said;
    }
    Ok(differences)
}

/// Runs a module of tests in a folder, and says what came of each and what was printed.
fn report(python: Program, module: &str, at: &Path) -> Result<(BTreeMap<String, Came>, String)> {
    let file = at.join("report.xml");
    let output = python
        .args(["-m", "test", "-u", "network", "-i", LEFT_OUT, "--junit-xml"])
        .arg(&file)
        .arg(module)
        .current_dir(at)
        .env("TMPDIR", at)
        .limit(LIMIT)
        .run()?;
    let said = output.stdout_text() + &output.stderr_text();
    let text = std::fs::read_to_string(&file)
        .map_err(|error| format!("{module} left no report ({error}): {said}"))?;
    let cases = text.split("<testcase ").skip(1).map(|case| {
        let name = case.split('"').nth(1).unwrap_or_default().to_owned();
        let came = match case {
            case if case.contains("<skipped") => Came::Skipped,
            case if case.contains("<failure") || case.contains("<error") => Came::Failed,
            _ => Came::Passed,
        };
        (name, came)
    });
    Ok((cases.collect(), said))
}
