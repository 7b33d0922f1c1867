//! A stream over TCP: one side sends it, the other checks every byte.

use super::acceptor::Acceptor;
use super::{App, Desk, domain, poll_steps, ready};
use core::ops::ControlFlow;
use core::task::Poll;
use sockeye_core::socket::Shutdown;
use sockeye_core::{Error, SocketId};
use std::io::IoSlice;
use std::net::SocketAddr;

/// The byte at `position` of every stream that [`Sender`] sends and [`Receiver`] checks.
#[must_use]
pub fn stream_byte(position: u64) -> u8 {
    // Neither a period of a power of two nor of a segment's length.
    (position % 251) as u8
}

/// Connects, sends a stream, closes its half, and waits for the peer to close the other.
#[derive(Debug)]
pub struct Sender {
    to: SocketAddr,
    length: u64,
    sent: u64,
    socket: Option<SocketId>,
    connected: bool,
    shut: bool,
}

impl Sender {
    /// Sends `length` bytes to `to`.
    #[must_use]
    pub fn new(to: SocketAddr, length: u64) -> Self {
        Self {
            to,
            length,
            sent: 0,
            socket: None,
            connected: false,
            shut: false,
        }
    }

    /// One step; true when there was one to do, `None` when it is done.
    fn step(&mut self, desk: &mut Desk<'_>) -> Result<Option<bool>, String> {
        const CHUNK: u64 = 16 * 1024;
        let (tcp, mut cx) = desk.tcp();
        let Some(id) = self.socket else {
            let domain = domain(self.to);
            let id = ready(tcp.open(&mut cx, domain))?.ok_or("gets no socket")?;
            self.socket = Some(id);
            self.connected = ready(tcp.connect(&mut cx, id, self.to))?.is_some();
            return Ok(Some(true));
        };
        if !self.connected {
            let result = match tcp.connect(&mut cx, id, self.to) {
                Err(Error::IsConnected) => Ok(()),
                result => result,
            };
            self.connected = ready(result)?.is_some();
            return Ok(Some(self.connected));
        }
        if self.sent < self.length {
            let end = self.length.min(self.sent + CHUNK);
            let chunk: Vec<u8> = (self.sent..end).map(stream_byte).collect();
            let sent = ready(tcp.send(&mut cx, id, &[IoSlice::new(&chunk)]))?;
            self.sent += sent.unwrap_or(0) as u64;
            return Ok(Some(sent.is_some()));
        }
        if !self.shut {
            ready(tcp.shutdown(&mut cx, id, Shutdown::Write))?;
            self.shut = true;
            return Ok(Some(true));
        }
        match ready(tcp.recv(&mut cx, id, &mut [0; 64]))? {
            None => Ok(Some(false)),
            Some(0) => {
                ready(tcp.close(&mut cx, id))?;
                Ok(None)
            }
            Some(_) => Err("receives what nobody sent".into()),
        }
    }
}

impl App for Sender {
    fn name(&self) -> String {
        let Self {
            to, length, sent, ..
        } = self;
        format!("sender to {to} ({sent} of {length} bytes)")
    }

    fn poll(&mut self, desk: &mut Desk<'_>) -> Poll<Result<(), String>> {
        poll_steps(desk, |desk| self.step(desk))
    }
}

/// Listens, takes one connection, checks the stream that comes, and closes.
#[derive(Debug)]
pub struct Receiver {
    acceptor: Acceptor,
    length: u64,
    received: u64,
}

impl Receiver {
    /// Receives `length` bytes at `at`.
    #[must_use]
    pub fn new(at: SocketAddr, length: u64) -> Self {
        Self {
            acceptor: Acceptor::new(at, 16),
            length,
            received: 0,
        }
    }

    fn step(&mut self, desk: &mut Desk<'_>) -> Result<Option<bool>, String> {
        let id = match self.acceptor.step(desk)? {
            ControlFlow::Continue(id) => id,
            ControlFlow::Break(moved) => return Ok(Some(moved)),
        };
        let (tcp, mut cx) = desk.tcp();
        let mut buffer = vec![0; 16 * 1024];
        let Some(count) = ready(tcp.recv(&mut cx, id, &mut buffer))? else {
            return Ok(Some(false));
        };
        for (position, byte) in (self.received..).zip(&buffer[..count]) {
            if *byte != stream_byte(position) {
                return Err(format!("receives a wrong byte at {position}"));
            }
        }
        self.received += count as u64;
        if count > 0 {
            return Ok(Some(true));
        }
        if self.received != self.length {
            let Self {
                received, length, ..
            } = self;
            return Err(format!("receives {received} bytes instead of {length}"));
        }
        self.acceptor.close(desk)?;
        Ok(None)
    }
}

impl App for Receiver {
    fn name(&self) -> String {
        let (at, received) = (self.acceptor.at, self.received);
        format!("receiver at {at} ({received} bytes)")
    }

    fn poll(&mut self, desk: &mut Desk<'_>) -> Poll<Result<(), String>> {
        poll_steps(desk, |desk| self.step(desk))
    }
}
