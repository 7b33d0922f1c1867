//! Packets over DCCP: one side sends them numbered, the other checks that each comes at most once, and
//! as it was sent.

use super::{App, Desk, domain, poll_steps, ready};
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::Poll;
use sockeye_core::datagram::SendOptions;
use sockeye_core::socket::Shutdown;
use sockeye_core::{OptionValue, SocketId, SocketOption};
use std::collections::BTreeSet;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;

/// Bytes of a packet's number.
const NUMBER_LEN: usize = 4;

/// What is asked of a connection before it opens.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Options of the socket.
    pub options: Vec<(SocketOption, OptionValue)>,
    /// The peer's UDP port, for DCCP in UDP; 0 for none.
    pub encap_port: u16,
    /// The client's own address, where it is not left to the node.
    pub from: Option<SocketAddr>,
}

impl Setup {
    /// Both directions by one congestion control.
    #[must_use]
    pub fn ccid(ccid: u8) -> Self {
        let list = OptionValue::Bytes(vec![ccid]);
        Self {
            options: vec![(SocketOption::DccpCcid, list)],
            ..Self::default()
        }
    }

    fn open(&self, desk: &mut Desk<'_>, address: SocketAddr) -> Result<SocketId, String> {
        let (dccp, mut cx) = desk.dccp();
        let id = ready(dccp.open(&mut cx, domain(address)))?.ok_or("gets no socket")?;
        for (option, value) in &self.options {
            ready(dccp.set_option(&mut cx, id, *option, value.clone()))?;
        }
        ready(dccp.set_encapsulation(id, self.encap_port))?;
        Ok(id)
    }
}

fn packet(number: u32, size: usize) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(size.max(NUMBER_LEN), number as u8);
    bytes
}

/// Connects, sends packets, and closes the connection.
#[derive(Debug)]
pub struct Pusher {
    to: SocketAddr,
    setup: Setup,
    /// `None` is without end: a world does not wait for it.
    count: Option<u32>,
    size: usize,
    sent: u32,
    socket: Option<SocketId>,
    connected: bool,
    shut: bool,
}

impl Pusher {
    /// Sends packets of `size` bytes to `to`, `count` of them or without end.
    #[must_use]
    pub fn new(to: SocketAddr, count: Option<u32>, size: usize, setup: Setup) -> Self {
        Self {
            to,
            setup,
            count,
            size,
            sent: 0,
            socket: None,
            connected: false,
            shut: false,
        }
    }

    fn step(&mut self, desk: &mut Desk<'_>) -> Result<Option<bool>, String> {
        let Some(id) = self.socket else {
            let id = self.setup.open(desk, self.to)?;
            let (dccp, mut cx) = desk.dccp();
            if let Some(from) = self.setup.from {
                ready(dccp.bind(&mut cx, id, from))?;
            }
            self.socket = Some(id);
            ready(dccp.connect(&mut cx, id, self.to))?;
            return Ok(Some(true));
        };
        let (dccp, mut cx) = desk.dccp();
        if !self.connected {
            self.connected = ready(dccp.connected(id))?.is_some();
            return Ok(Some(self.connected));
        }
        if self.count.is_none_or(|count| self.sent < count) {
            let bytes = packet(self.sent, self.size);
            let data = [IoSlice::new(&bytes)];
            let sent = dccp.send(&mut cx, id, &data, None, &SendOptions::NOTHING_SAID);
            let sent = ready(sent)?.is_some();
            self.sent = self.sent.wrapping_add(u32::from(sent));
            return Ok(Some(sent));
        }
        if !self.shut {
            self.shut = true;
            ready(dccp.shutdown(&mut cx, id, Shutdown::Both))?;
            return Ok(Some(true));
        }
        match dccp.state(id) {
            Ok(state) if !state.has_ended() => Ok(Some(false)),
            _ => {
                ready(dccp.close(&mut cx, id))?;
                Ok(None)
            }
        }
    }
}

impl App for Pusher {
    fn name(&self) -> String {
        format!("pusher to {}", self.to)
    }

    fn poll(&mut self, desk: &mut Desk<'_>) -> Poll<Result<(), String>> {
        poll_steps(desk, |desk| self.step(desk))
    }

    fn serves(&self) -> bool {
        self.count.is_none()
    }
}

/// What came of a connection's packets.
#[derive(Debug, Default)]
pub struct Taken {
    /// Packets that came.
    pub packets: AtomicU64,
    /// Bytes in them.
    pub bytes: AtomicU64,
    /// Packets that came before one that was sent earlier.
    pub overtaken: AtomicU64,
    /// Packets that came changed where the checksum does not cover them.
    pub changed: AtomicU64,
}

/// Takes one connection and checks what comes, until its end.
#[derive(Debug)]
pub struct Taker {
    at: SocketAddr,
    /// The client that is invited.
    client: Option<SocketAddr>,
    setup: Setup,
    /// Bytes of each packet that have to be as they were sent.
    intact: usize,
    came: BTreeSet<u32>,
    taken: Arc<Taken>,
    listener: Option<SocketId>,
    socket: Option<SocketId>,
    buffer: Vec<u8>,
}

impl Taker {
    /// Listens at `at`.
    #[must_use]
    pub fn new(at: SocketAddr, setup: Setup) -> Self {
        Self {
            at,
            client: None,
            setup,
            intact: usize::MAX,
            came: BTreeSet::new(),
            taken: Arc::default(),
            listener: None,
            socket: None,
            buffer: vec![0; 65_536],
        }
    }

    /// One that waits for `client` alone, and invites it (RFC 5596).
    #[must_use]
    pub fn invites(self, client: SocketAddr) -> Self {
        Self {
            client: Some(client),
            ..self
        }
    }

    /// One of whose packets the first `intact` bytes are covered.
    #[must_use]
    pub fn covered(self, intact: usize) -> Self {
        Self { intact, ..self }
    }

    /// What has come.
    #[must_use]
    pub fn taken(&self) -> Arc<Taken> {
        Arc::clone(&self.taken)
    }

    fn listen(&mut self, desk: &mut Desk<'_>) -> Result<(), String> {
        let id = self.setup.open(desk, self.at)?;
        self.listener = Some(id);
        let any = SocketAddr::new(domain(self.at).unspecified(), self.at.port());
        let (dccp, mut cx) = desk.dccp();
        ready(dccp.bind(&mut cx, id, any))?;
        match self.client {
            Some(client) => ready(dccp.invite(&mut cx, id, client))?,
            None => ready(dccp.listen(&mut cx, id, 1))?,
        };
        Ok(())
    }

    fn step(&mut self, desk: &mut Desk<'_>) -> Result<Option<bool>, String> {
        let Some(listener) = self.listener else {
            self.listen(desk)?;
            return Ok(Some(true));
        };
        let (dccp, mut cx) = desk.dccp();
        let Some(id) = self.socket else {
            let accepted = ready(dccp.accept(&mut cx, listener))?;
            self.socket = accepted.map(|(id, _)| id);
            return Ok(Some(self.socket.is_some()));
        };
        match ready(dccp.recv(&mut cx, id, &mut self.buffer, false))? {
            None => Ok(Some(false)),
            Some(received) if received.len == 0 => {
                ready(dccp.close(&mut cx, id))?;
                ready(dccp.close(&mut cx, listener))?;
                Ok(None)
            }
            Some(received) => {
                self.check(received.len)?;
                Ok(Some(true))
            }
        }
    }

    fn check(&mut self, len: usize) -> Result<(), String> {
        let bytes = &self.buffer[..len];
        let number = bytes.first_chunk().ok_or("hears a short packet")?;
        let number = u32::from_be_bytes(*number);
        let sent = packet(number, len);
        let covered = self.intact.min(len);
        if bytes[..covered] != sent[..covered] {
            return Err(format!("hears packet {number} changed"));
        }
        if self.came.last().is_some_and(|last| number < *last) {
            self.taken.overtaken.fetch_add(1, Ordering::Relaxed);
        }
        if !self.came.insert(number) {
            return Err(format!("hears packet {number} twice"));
        }
        if *bytes != sent[..] {
            self.taken.changed.fetch_add(1, Ordering::Relaxed);
        }
        self.taken.packets.fetch_add(1, Ordering::Relaxed);
        self.taken.bytes.fetch_add(len as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl App for Taker {
    fn name(&self) -> String {
        format!("taker at {}", self.at)
    }

    fn poll(&mut self, desk: &mut Desk<'_>) -> Poll<Result<(), String>> {
        poll_steps(desk, |desk| self.step(desk))
    }
}
