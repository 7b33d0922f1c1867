//! Messages over SCTP: one side sends them on several streams, the other checks that within each
//! stream none is lost, doubled or misordered.

use super::{App, Desk, domain, poll_steps, ready};
use core::task::Poll;
use sockeye_core::socket::Shutdown;
use sockeye_core::{Error, SocketId};
use sockeye_sctp::{AssocChange, AssocId, Events, Incoming, Notification, SndInfo, Style};
use std::io::IoSlice;
use std::net::SocketAddr;

/// Streams that [`Teller`] sends on.
const STREAMS: u16 = 5;

/// Message `number` of all, and the stream that it is on.
fn message(number: u32, length: usize) -> (u16, Vec<u8>) {
    let stream = (number % u32::from(STREAMS)) as u16;
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend((4..length.max(4)).map(|at| (at % 251) as u8));
    (stream, bytes)
}

/// Connects, sends messages, shuts the association down, and waits for its end.
#[derive(Debug)]
pub struct Teller {
    to: SocketAddr,
    count: u32,
    length: usize,
    /// The port that it binds to; 0 for any.
    port: u16,
    /// With so many sent it says no more.
    silent_after: Option<u32>,
    sent: u32,
    socket: Option<SocketId>,
    connected: bool,
    shut: bool,
}

impl Teller {
    /// Sends `count` messages of `length` bytes to `to`.
    #[must_use]
    pub fn new(to: SocketAddr, count: u32, length: usize) -> Self {
        Self {
            to,
            count,
            length,
            port: 0,
            silent_after: None,
            sent: 0,
            socket: None,
            connected: false,
            shut: false,
        }
    }

    /// From this port.
    #[must_use]
    pub fn from_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Given so many messages to send, it is done without a word of farewell: its host may fail.
    #[must_use]
    pub fn silent_after(mut self, count: u32) -> Self {
        self.silent_after = Some(count);
        self
    }

    /// One step; true when there was one to do, `None` when it is done.
    fn step(&mut self, desk: &mut Desk<'_>) -> Result<Option<bool>, String> {
        let (sctp, mut cx) = desk.sctp();
        let Some(id) = self.socket else {
            let opened = sctp.open(&mut cx, domain(self.to), Style::OneToOne);
            let id = ready(opened)?.ok_or("gets no socket")?;
            self.socket = Some(id);
            if self.port != 0 {
                let own = SocketAddr::new(domain(self.to).unspecified(), self.port);
                ready(sctp.bind(&mut cx, id, own))?;
            }
            ready(sctp.connect(&mut cx, id, self.to))?;
            return Ok(Some(true));
        };
        if !self.connected {
            self.connected = ready(sctp.connected(id))?.is_some();
            return Ok(Some(self.connected));
        }
        if self.silent_after.is_some_and(|count| self.sent >= count) {
            return Ok(None);
        }
        if self.sent < self.count {
            let (stream, bytes) = message(self.sent, self.length);
            let info = SndInfo {
                stream,
                ..SndInfo::default()
            };
            let data = [IoSlice::new(&bytes)];
            let sent = ready(sctp.send_msg(&mut cx, id, &data, None, &info))?.is_some();
            self.sent += u32::from(sent);
            return Ok(Some(sent));
        }
        if !self.shut {
            self.shut = true;
            ready(sctp.shutdown(&mut cx, id, Shutdown::Write))?;
            return Ok(Some(true));
        }
        match ready(sctp.recv_msg(&mut cx, id, &mut [0; 16], false))? {
            None => Ok(Some(false)),
            Some(Incoming::End) => {
                ready(sctp.close(&mut cx, id))?;
                Ok(None)
            }
            Some(other) => Err(format!("hears {other:?}")),
        }
    }
}

impl App for Teller {
    fn name(&self) -> String {
        format!("teller to {}", self.to)
    }

    fn poll(&mut self, desk: &mut Desk<'_>) -> Poll<Result<(), String>> {
        poll_steps(desk, |desk| self.step(desk))
    }
}

/// Takes one association, checks what it tells, until its end.
#[derive(Debug)]
pub struct Hearer {
    at: SocketAddr,
    count: u32,
    length: usize,
    heard: [u32; STREAMS as usize],
    /// How often the peer is still to begin anew.
    restarts: u32,
    listener: Option<SocketId>,
    socket: Option<SocketId>,
    buffer: Vec<u8>,
}

impl Hearer {
    /// Listens at `at` for `count` messages of `length` bytes.
    #[must_use]
    pub fn new(at: SocketAddr, count: u32, length: usize) -> Self {
        Self {
            at,
            count,
            length,
            heard: [0; STREAMS as usize],
            restarts: 0,
            listener: None,
            socket: None,
            buffer: vec![0; length.max(4) + 1],
        }
    }

    /// The peer restarts so often (RFC 9260 §5.2), and tells all of it from the beginning each time.
    #[must_use]
    pub fn restarted(mut self, times: u32) -> Self {
        self.restarts = times;
        self
    }

    fn step(&mut self, desk: &mut Desk<'_>) -> Result<Option<bool>, String> {
        let (sctp, mut cx) = desk.sctp();
        let Some(listener) = self.listener else {
            let any = SocketAddr::new(domain(self.at).unspecified(), self.at.port());
            let opened = sctp.open(&mut cx, domain(self.at), Style::OneToOne);
            let id = ready(opened)?.ok_or("gets no socket")?;
            ready(sctp.bind(&mut cx, id, any))?;
            if self.restarts > 0 {
                let events = |settings: &mut sockeye_sctp::Settings| {
                    settings.events = Events::ASSOC_CHANGE;
                };
                ready(sctp.configure(&mut cx, id, AssocId::ALL, events))?;
            }
            ready(sctp.listen(&mut cx, id, 1))?;
            self.listener = Some(id);
            return Ok(Some(true));
        };
        let Some(id) = self.socket else {
            let accepted = ready(sctp.accept(&mut cx, listener))?;
            self.socket = accepted.map(|(id, _)| id);
            return Ok(Some(self.socket.is_some()));
        };
        let incoming = match sctp.recv_msg(&mut cx, id, &mut self.buffer, false) {
            Err(Error::WouldBlock) => return Ok(Some(false)),
            other => ready(other)?,
        };
        match incoming {
            None => Ok(Some(false)),
            Some(Incoming::Message(received)) => {
                let stream = usize::from(received.info.stream);
                let heard = self.heard.get_mut(stream).ok_or("hears a strange stream")?;
                let number = *heard * u32::from(STREAMS) + u32::from(received.info.stream);
                *heard += 1;
                let (_, wanted) = message(number, self.length);
                match self.buffer[..received.len] == wanted && received.end_of_record {
                    true => Ok(Some(true)),
                    false => Err(format!("does not hear message {number}")),
                }
            }
            Some(Incoming::End) => {
                let heard: u32 = self.heard.iter().sum();
                if heard != self.count || self.restarts > 0 {
                    let (count, restarts) = (self.count, self.restarts);
                    return Err(format!(
                        "hears {heard} messages of {count}, {restarts} restarts too few"
                    ));
                }
                ready(sctp.close(&mut cx, id))?;
                ready(sctp.close(&mut cx, listener))?;
                Ok(None)
            }
            Some(Incoming::Notification(Notification::AssocChange { change, .. })) => {
                if let AssocChange::Restart { .. } = change {
                    let left = self.restarts.checked_sub(1);
                    self.restarts = left.ok_or("hears of a restart too many")?;
                    self.heard = [0; STREAMS as usize];
                }
                Ok(Some(true))
            }
            Some(Incoming::Notification(notice)) => Err(format!("hears {notice:?}")),
        }
    }
}

impl App for Hearer {
    fn name(&self) -> String {
        format!("hearer at {}", self.at)
    }

    fn poll(&mut self, desk: &mut Desk<'_>) -> Poll<Result<(), String>> {
        poll_steps(desk, |desk| self.step(desk))
    }
}
