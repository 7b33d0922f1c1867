//! A program that is told what to do, line by line, and says what happens.

use crate::{Program, Result, Running};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a conversation may last.
const LIMIT: Duration = Duration::from_secs(100);

/// A program with which a test converses, until this is dropped.
#[derive(Debug)]
pub struct Conversation {
    input: ChildStdin,
    heard: Heard,
    _running: Running,
}

impl Conversation {
    /// Starts a program.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(mut program: Program) -> Result<Self> {
        let command = program.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = program.start()?;
        let input = running.0.stdin.take().ok_or("it has no input")?;
        let output = running.0.stdout.take().ok_or("it has no output")?;
        Ok(Self {
            input,
            heard: Heard::new(output, LIMIT),
            _running: running,
        })
    }

    /// Waits for a line that contains `text`, and returns the line.
    ///
    /// # Errors
    /// It ends, or the time is over, before there is one.
    pub fn wait_for(&mut self, text: &str) -> Result<String> {
        self.heard.wait_for(text, |_| false)
    }

    /// All that it has said.
    pub fn said(&mut self) -> Vec<String> {
        self.heard.all()
    }

    /// Gives it a line to read.
    ///
    /// # Errors
    /// It has ended.
    pub fn say(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.input, "{line}")?)
    }
}

/// What somebody says, in lines.
#[derive(Debug)]
pub(crate) struct Heard {
    lines: Receiver<String>,
    pub(crate) said: Vec<String>,
    deadline: Instant,
}

impl Heard {
    pub(crate) fn new(output: impl Read + Send + 'static, limit: Duration) -> Self {
        let (heard, lines) = channel();
        std::thread::spawn(move || {
            let output = BufReader::new(output);
            for line in output.split(b'\n').map_while(std::result::Result::ok) {
                let line = String::from_utf8_lossy(&line);
                if heard.send(line.trim_end().to_owned()).is_err() {
                    break;
                }
            }
        });
        Self {
            lines,
            said: Vec::new(),
            deadline: Instant::now() + limit,
        }
    }

    /// All lines so far.
    pub(crate) fn all(&mut self) -> Vec<String> {
        self.said.extend(self.lines.try_iter());
        self.said.clone()
    }

    /// Waits for a line that contains `text`; a line that `ends` it is the last.
    pub(crate) fn wait_for(&mut self, text: &str, ends: impl Fn(&str) -> bool) -> Result<String> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let why = match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.said.push(line.clone());
                    if line.contains(text) {
                        return Ok(line);
                    }
                    if !ends(&line) {
                        continue;
                    }
                    "its script ended"
                }
                Err(RecvTimeoutError::Timeout) => "its time was over",
                Err(RecvTimeoutError::Disconnected) => "it ended",
            };
            let said = self.said.join("\n");
            return Err(format!("it did not say '{text}': {why}\n{said}").into());
        }
    }
}
