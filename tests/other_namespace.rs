//! Other hosts of the kernel, beside the one that a test runs on.

use crate::{Program, Result, Running};
use std::ffi::OsStr;

/// A network namespace beside the test's own, another host: it lasts as long as this.
#[derive(Debug)]
pub struct Namespace(Running);

impl Namespace {
    /// A new one, with only `lo`, which is up.
    ///
    /// # Errors
    /// The user may make none, or `unshare` or `ip` is missing.
    pub fn new() -> Result<Self> {
        let keeper = Program::new("unshare")
            .args(["-n", "sleep", "300"])
            .start()?;
        let own = std::fs::read_link("/proc/self/ns/net")?;
        let theirs = format!("/proc/{}/ns/net", keeper.0.id());
        // It is another one once unshare has come so far.
        while std::fs::read_link(&theirs)? == own {
            std::thread::yield_now();
        }
        let made = Self(keeper);
        made.ip("link set lo up")?;
        Ok(made)
    }

    /// The process that keeps it, by which others find it.
    #[must_use]
    pub fn pid(&self) -> String {
        self.0.0.id().to_string()
    }

    /// `words` as a program inside.
    #[must_use]
    pub fn program(&self, words: &[impl AsRef<OsStr>]) -> Program {
        Program::new("nsenter")
            .args(["-t", &self.pid(), "-n"])
            .args(words)
    }

    /// ip(8) inside; what it prints.
    ///
    /// # Errors
    /// It fails.
    pub fn ip(&self, words: &str) -> Result<String> {
        let words: Vec<&str> = ["ip"].into_iter().chain(words.split(' ')).collect();
        Ok(self.program(&words).run()?.expect(0)?.stdout_text())
    }

    /// Writes a setting of its network: `file` lies below /proc/sys/net.
    ///
    /// # Errors
    /// There is none of that name, or it takes no such value.
    pub fn set(&self, file: &str, value: &str) -> Result<()> {
        let line = format!("echo {value} > /proc/sys/net/{file}");
        self.program(&["sh", "-c", &line]).run()?.expect(0)?;
        Ok(())
    }
}
