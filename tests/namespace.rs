//! A user and network namespace of a test's own, by executing the test binary anew inside it.

use crate::{Outcome, Result, Test};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// Names the test that the child runs.
const CHILD: &str = "SOCKEYE_TEST_IN_NAMESPACE";
/// The child's word for "ignored", before the reason on standard output.
const IGNORED: &str = "sockeye-test-ignored: ";

/// What the child's `main` ends with.
#[derive(Debug)]
pub(crate) struct Ended(ExitCode);

impl Ended {
    pub(crate) fn exit(self) -> ! {
        std::process::exit(i32::from(self.0 != ExitCode::SUCCESS))
    }
}

/// Whether the test runs as root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs `body` of the test `name` in a network namespace of its own (and a user namespace, where
/// the test is not root), with only `lo`, which is up. The body's output appears when it fails.
///
/// # Errors
/// What `body` returns, or that the child could not be started.
pub fn in_namespace(name: &str, limit: Duration, body: impl FnOnce() -> Result) -> Result {
    if std::env::var_os(CHILD).is_some() {
        return body();
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.env(CHILD, name).stdin(Stdio::null());
    let root = is_root();
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let (uid_map, gid_map) = (format!("0 {uid} 1"), format!("0 {gid} 1"));
    // SAFETY: between fork and exec only system calls are made, on values that were made before;
    // nothing is allocated and no lock is taken.
    unsafe {
        command.pre_exec(move || {
            if root {
                return unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS);
            }
            unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET)?;
            // Before the exec: it would take away the capabilities that the maps need.
            write_file(c"/proc/self/setgroups", b"deny")?;
            write_file(c"/proc/self/uid_map", uid_map.as_bytes())?;
            write_file(c"/proc/self/gid_map", gid_map.as_bytes())
        });
    }
    let output = match crate::program::run_command(command, name, limit) {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return crate::ignore!(
                "this machine lets this user make no network namespace ({error})"
            );
        }
        Err(error) => return Err(error.into()),
    };
    let text = output.stdout_text();
    if let Some(reason) = text.lines().find_map(|line| line.strip_prefix(IGNORED)) {
        return Ok(Outcome::Ignored(reason.to_owned()));
    }
    crate::check!(
        output.code == Some(0),
        "in its namespace: {}\n{text}{}",
        output.status_text(),
        output.stderr_text()
    );
    Ok(Outcome::Passed)
}

/// In a child that [`in_namespace`] started: sets the namespace up and runs the one test.
pub(crate) fn child_main(tests: &[&[Test]]) -> Option<Ended> {
    let name = std::env::var(CHILD).ok()?;
    let test = tests
        .iter()
        .copied()
        .flatten()
        .find(|test| test.name == name);
    let outcome = match test {
        Some(test) => set_up().and_then(|()| (test.body)()),
        None => Err(format!("there is no test {name}").into()),
    };
    Some(Ended(match outcome {
        Ok(Outcome::Passed) => ExitCode::SUCCESS,
        Ok(Outcome::Ignored(reason)) => {
            println!("{IGNORED}{reason}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }))
}

fn unshare(flags: libc::c_int) -> std::io::Result<()> {
    // SAFETY: unshare changes namespaces of the calling process and touches no memory.
    match unsafe { libc::unshare(flags) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Writes a file without allocating: it is called between fork and exec.
fn write_file(path: &std::ffi::CStr, bytes: &[u8]) -> std::io::Result<()> {
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty())?;
    rustix::io::write(&file, bytes)?;
    Ok(())
}

fn set_up() -> Result<()> {
    let up = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status();
    match up {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            Err(format!("`ip link set lo up` in the namespace ended with {status}").into())
        }
        Err(error) => Err(format!("`ip` could not be run: {error}; install iproute2").into()),
    }
}
