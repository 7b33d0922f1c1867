//! Other programs, with a time limit.

use crate::Result;
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The user and group `nobody`: an ordinary user without a home.
const NOBODY: u32 = 65_534;
/// Bytes of a program's output that are kept.
const OUTPUT_MAX: u64 = 16 << 20;

/// What a program left behind.
#[derive(Debug)]
pub struct Output {
    /// Its exit status, where it exited.
    pub code: Option<i32>,
    /// The signal that ended it, where one did.
    pub signal: Option<i32>,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it complained of.
    pub stderr: Vec<u8>,
}

impl Output {
    /// `stdout` as text.
    #[must_use]
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// `stderr` as text.
    #[must_use]
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// How it ended, in words.
    #[must_use]
    pub fn status_text(&self) -> String {
        match (self.code, self.signal) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("killed by signal {signal}"),
            (None, None) => "no status".into(),
        }
    }

    /// Fails unless it exited with `code`, showing what it printed.
    ///
    /// # Errors
    /// It did not.
    pub fn expect(self, code: i32) -> Result<Self> {
        if self.code == Some(code) {
            return Ok(self);
        }
        let (status, out, err) = (self.status_text(), self.stdout_text(), self.stderr_text());
        Err(
            format!("expected exit status {code}, got {status}\nstdout: {out}\nstderr: {err}")
                .into(),
        )
    }
}

/// A program to run.
#[derive(Debug)]
pub struct Program {
    command: Command,
    limit: Duration,
    name: String,
}

impl Program {
    /// `program`, found as the shell finds it.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let name = program.as_ref().to_string_lossy().into_owned();
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        Self {
            command,
            limit: Duration::from_secs(60),
            name,
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// The folder it starts in.
    #[must_use]
    pub fn current_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// It is killed, and the test fails, when it takes longer; one minute unless set.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it as an ordinary user: as `nobody` where the test is root, else as the test's own.
    #[must_use]
    pub fn unprivileged(mut self) -> Self {
        ordinary_user(&mut self.command);
        self
    }

    /// The command itself, for what has no word here.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// It can't be started, or did not end in time.
    pub fn run(self) -> Result<Output> {
        Ok(run_command(self.command, &self.name, self.limit)?)
    }

    /// Starts it; dropping the result kills it.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(mut self) -> Result<Running> {
        let name = self.name.clone();
        let child = self
            .command
            .spawn()
            .map_err(|error| format!("{name} could not be started: {error}"))?;
        Ok(Running(child))
    }
}

/// A program that runs until dropped.
#[derive(Debug)]
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes `command` run as an ordinary user where this process is root.
pub fn ordinary_user(command: &mut Command) {
    if crate::is_root() {
        command.gid(NOBODY).uid(NOBODY);
        command.env("HOME", "/nonexistent");
    }
}

/// Whether `program` is on the PATH.
#[must_use]
pub fn have(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// The SHA-256 of `bytes`, in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

pub(crate) fn run_command(
    mut command: Command,
    name: &str,
    limit: Duration,
) -> std::io::Result<Output> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| {
        std::io::Error::new(
            error.kind(),
            format!("{name} could not be started: {error}"),
        )
    })?;
    let collect = |pipe: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(pipe) = pipe {
                // What a killed program still had to say is lost with it.
                let _ = pipe.take(OUTPUT_MAX).read_to_end(&mut bytes);
            }
            bytes
        })
    };
    let stdout = collect(
        child
            .stdout
            .take()
            .map(|p| Box::new(p) as Box<dyn Read + Send>),
    );
    let stderr = collect(
        child
            .stderr
            .take()
            .map(|p| Box::new(p) as Box<dyn Read + Send>),
    );
    let status = wait(&mut child, limit)?;
    let late = status.is_none();
    let status = match status {
        Some(status) => status,
        None => {
            child.kill()?;
            child.wait()?
        }
    };
    let bytes = |thread: std::thread::JoinHandle<Vec<u8>>| {
        // A grandchild may hold the pipe open: what there is after a while is what counts.
        let patience = Instant::now() + Duration::from_secs(5);
        while !thread.is_finished() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(5));
        }
        if thread.is_finished() {
            thread.join().unwrap_or_default()
        } else {
            b"(its output is still open)".to_vec()
        }
    };
    let output = Output {
        code: status.code(),
        signal: status.signal(),
        stdout: bytes(stdout),
        stderr: bytes(stderr),
    };
    if late {
        let (out, err) = (output.stdout_text(), output.stderr_text());
        let message = format!("{name} did not end within {limit:?}\nstdout: {out}\nstderr: {err}");
        return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, message));
    }
    Ok(output)
}

fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(None)
}

/// A folder that goes when dropped, open to every user.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// A new one.
    ///
    /// # Errors
    /// It can't be made.
    pub fn new() -> Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "sockeye-test-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777))?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it, readable by every user, and says where it is.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.0.join(name);
        std::fs::write(&path, bytes)?;
        Ok(path)
    }
}

impl TempDir {
    pub(crate) fn remove(&self) {
        // A folder that is left over in the temporary folder does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        self.remove();
    }
}
