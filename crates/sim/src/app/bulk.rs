//! Bulk over TCP, for as long as the world lasts: one side sends, the other counts.

use super::acceptor::Acceptor;
use super::{App, Desk, domain, poll_steps, ready};
use core::ops::ControlFlow;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::Poll;
use sockeye_core::{Error, OptionValue, SocketId, SocketOption};
use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;

/// Bytes of one call.
const CALL: usize = 64 * 1024;

/// Connects and sends without end: a world does not wait for it.
#[derive(Debug)]
pub struct Source {
    to: SocketAddr,
    congestion: String,
    /// TCP_MAXSEG, where it is set.
    segment: Option<i32>,
    socket: Option<SocketId>,
    connected: bool,
    rtt: Arc<AtomicU64>,
}

impl Source {
    /// Sends to `to` under the congestion control of that name.
    #[must_use]
    pub fn new(to: SocketAddr, congestion: &str) -> Self {
        Self {
            to,
            congestion: congestion.to_owned(),
            segment: None,
            socket: None,
            connected: false,
            rtt: Arc::default(),
        }
    }

    /// One whose segments have `bytes` of data and TCP options at the most.
    #[must_use]
    pub fn segments_of(self, bytes: i32) -> Self {
        Self {
            segment: Some(bytes),
            ..self
        }
    }

    /// The smoothed round-trip time, microseconds, as of the last call that sent.
    #[must_use]
    pub fn rtt(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.rtt)
    }

    fn step(&mut self, desk: &mut Desk<'_>) -> Result<Option<bool>, String> {
        let (tcp, mut cx) = desk.tcp();
        let Some(id) = self.socket else {
            let id = ready(tcp.open(&mut cx, domain(self.to)))?.ok_or("gets no socket")?;
            let name = OptionValue::Bytes(self.congestion.as_bytes().to_vec());
            tcp.set_option(&mut cx, id, SocketOption::Congestion, name)
                .map_err(|_| format!("finds no congestion control {}", self.congestion))?;
            if let Some(bytes) = self.segment {
                let bytes = OptionValue::Int(bytes);
                ready(tcp.set_option(&mut cx, id, SocketOption::MaxSegment, bytes))?;
            }
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
        let sent = ready(tcp.send(&mut cx, id, &[IoSlice::new(&[0; CALL])]))?;
        if let Some(srtt) = tcp.info(cx.now, id).ok().and_then(|info| info.srtt) {
            let micros = u64::try_from(srtt.as_micros()).unwrap_or(u64::MAX);
            self.rtt.store(micros, Ordering::Relaxed);
        }
        Ok(Some(sent.is_some()))
    }
}

impl App for Source {
    fn name(&self) -> String {
        format!("source to {}", self.to)
    }

    fn serves(&self) -> bool {
        true
    }

    fn poll(&mut self, desk: &mut Desk<'_>) -> Poll<Result<(), String>> {
        poll_steps(desk, |desk| self.step(desk))
    }
}

/// Listens, takes one connection and counts what comes: a world does not wait for it.
#[derive(Debug)]
pub struct Sink {
    acceptor: Acceptor,
    received: Arc<AtomicU64>,
}

impl Sink {
    /// Receives at `at`.
    #[must_use]
    pub fn new(at: SocketAddr) -> Self {
        Self {
            acceptor: Acceptor::new(at, 1),
            received: Arc::default(),
        }
    }

    /// Counts the bytes that it has read.
    #[must_use]
    pub fn received(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.received)
    }

    fn step(&mut self, desk: &mut Desk<'_>) -> Result<Option<bool>, String> {
        let id = match self.acceptor.step(desk)? {
            ControlFlow::Continue(id) => id,
            ControlFlow::Break(moved) => return Ok(Some(moved)),
        };
        let (tcp, mut cx) = desk.tcp();
        let Some(count) = ready(tcp.recv(&mut cx, id, &mut [0; CALL]))? else {
            return Ok(Some(false));
        };
        if count == 0 {
            return Err("sees the end of a stream that has none".into());
        }
        self.received.fetch_add(count as u64, Ordering::Relaxed);
        Ok(Some(true))
    }
}

impl App for Sink {
    fn name(&self) -> String {
        format!("sink at {}", self.acceptor.at)
    }

    fn serves(&self) -> bool {
        true
    }

    fn poll(&mut self, desk: &mut Desk<'_>) -> Poll<Result<(), String>> {
        poll_steps(desk, |desk| self.step(desk))
    }
}
