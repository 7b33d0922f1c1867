//! Questions and answers over UDP.

use super::{App, Desk, domain, poll_steps, ready};
use core::task::Poll;
use core::time::Duration;
use sockeye_core::datagram::SendOptions;
use sockeye_core::{Instant, SocketId};
use std::io::IoSlice;
use std::net::SocketAddr;

/// Sends back what comes, and never ends by itself: a world does not wait for it.
#[derive(Debug)]
pub struct Echo {
    at: SocketAddr,
    socket: Option<SocketId>,
}

impl Echo {
    /// Answers at `at`.
    #[must_use]
    pub fn new(at: SocketAddr) -> Self {
        Self { at, socket: None }
    }

    fn step(&mut self, desk: &mut Desk<'_>) -> Result<Option<bool>, String> {
        let (udp, mut cx) = desk.udp();
        let Some(id) = self.socket else {
            let id = ready(udp.open(&mut cx, domain(self.at)))?.ok_or("gets no socket")?;
            ready(udp.bind(&mut cx, id, self.at))?;
            self.socket = Some(id);
            return Ok(Some(true));
        };
        let mut buffer = vec![0; 65_536];
        let Some(received) = ready(udp.recv(&mut cx, id, &mut buffer, false))? else {
            return Ok(Some(false));
        };
        let answer = [IoSlice::new(&buffer[..received.copied])];
        // A datagram that can't be sent now is lost, as any may be.
        ready(udp.send(
            &mut cx,
            id,
            &answer,
            Some(received.from),
            &SendOptions::default(),
        ))?;
        Ok(Some(true))
    }
}

impl App for Echo {
    fn name(&self) -> String {
        format!("echo at {}", self.at)
    }

    fn serves(&self) -> bool {
        true
    }

    fn poll(&mut self, desk: &mut Desk<'_>) -> Poll<Result<(), String>> {
        poll_steps(desk, |desk| self.step(desk))
    }
}

/// Asks an [`Echo`], one question after the other, and repeats what is not answered.
#[derive(Debug)]
pub struct Asker {
    to: SocketAddr,
    /// Bytes of each question.
    length: usize,
    questions: u32,
    answered: u32,
    /// How long an answer may take before the question is repeated.
    patience: Duration,
    socket: Option<SocketId>,
    /// When the current question is repeated; before the first one `None`.
    repeat: Option<Instant>,
}

impl Asker {
    /// Asks `to` so many questions of `length` bytes.
    #[must_use]
    pub fn new(to: SocketAddr, questions: u32, length: usize) -> Self {
        Self {
            to,
            length,
            questions,
            answered: 0,
            patience: Duration::from_millis(500),
            socket: None,
            repeat: None,
        }
    }

    fn question(&self) -> Vec<u8> {
        let number = self.answered.to_be_bytes();
        number.iter().copied().cycle().take(self.length).collect()
    }

    fn step(&mut self, desk: &mut Desk<'_>) -> Result<Option<bool>, String> {
        if self.answered == self.questions {
            return Ok(None);
        }
        let now = desk.now();
        let question = self.question();
        let (udp, mut cx) = desk.udp();
        let Some(id) = self.socket else {
            let id = ready(udp.open(&mut cx, domain(self.to)))?.ok_or("gets no socket")?;
            ready(udp.connect(&mut cx, id, Some(self.to)))?;
            self.socket = Some(id);
            return Ok(Some(true));
        };
        let mut buffer = vec![0; 65_536];
        if let Some(received) = ready(udp.recv(&mut cx, id, &mut buffer, false))? {
            if buffer[..received.copied] == question {
                self.answered += 1;
                self.repeat = None;
            }
            return Ok(Some(true));
        }
        if self.repeat.is_some_and(|at| now < at) {
            return Ok(Some(false));
        }
        let data = [IoSlice::new(&question)];
        ready(udp.send(&mut cx, id, &data, None, &SendOptions::default()))?;
        self.repeat = Some(now + self.patience);
        Ok(Some(true))
    }
}

impl App for Asker {
    fn name(&self) -> String {
        let Self {
            to,
            questions,
            answered,
            ..
        } = self;
        format!("asker of {to} ({answered} of {questions} answered)")
    }

    fn poll(&mut self, desk: &mut Desk<'_>) -> Poll<Result<(), String>> {
        poll_steps(desk, |desk| self.step(desk))
    }

    fn deadline(&self) -> Option<Instant> {
        self.repeat
    }
}
