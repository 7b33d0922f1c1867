//! Echo requests, one after the other.

use super::{App, Desk, domain, poll_steps, ready};
use core::task::Poll;
use core::time::Duration;
use sockeye_core::datagram::SendOptions;
use sockeye_core::{Instant, SocketId};
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};

/// Types of ICMP and ICMPv6.
const REQUESTS: [u8; 2] = [8, 128];
const REPLIES: [u8; 2] = [0, 129];
/// Bytes before the data: type, code, checksum, identifier, sequence number.
const HEADER_LEN: usize = 8;
/// Between requests.
const INTERVAL: Duration = Duration::from_secs(1);

/// Pings a host until so many replies have come, one request a second.
#[derive(Debug)]
pub struct Pinger {
    to: IpAddr,
    wanted: u16,
    sent: u16,
    replies: u16,
    socket: Option<SocketId>,
    next: Option<Instant>,
}

impl Pinger {
    /// Waits for `wanted` replies from `to`.
    #[must_use]
    pub fn new(to: IpAddr, wanted: u16) -> Self {
        Self {
            to,
            wanted,
            sent: 0,
            replies: 0,
            socket: None,
            next: None,
        }
    }

    fn step(&mut self, desk: &mut Desk<'_>) -> Result<Option<bool>, String> {
        let now = desk.now();
        let to = SocketAddr::new(self.to, 0);
        let (ping, mut cx) = desk.ping();
        let Some(id) = self.socket else {
            self.socket = ready(ping.open(&mut cx, domain(to)))?;
            return Ok(Some(true));
        };
        let mut buffer = [0; 1500];
        if let Some(received) = ready(ping.recv(&mut cx, id, &mut buffer, false))? {
            let reply = buffer[..received.copied].first();
            let ours = received.from.ip() == self.to;
            self.replies += u16::from(ours && reply.is_some_and(|t| REPLIES.contains(t)));
            return Ok(Some(true));
        }
        if self.replies >= self.wanted {
            ready(ping.close(&mut cx, id))?;
            return Ok(None);
        }
        if self.next.is_some_and(|next| now < next) {
            return Ok(Some(false));
        }
        let mut message = [0; HEADER_LEN + 56];
        message[0] = REQUESTS[usize::from(self.to.is_ipv6())];
        self.sent += 1;
        message[6..8].copy_from_slice(&self.sent.to_be_bytes());
        let data = [IoSlice::new(&message)];
        ready(ping.send(&mut cx, id, &data, Some(to), &SendOptions::default()))?;
        self.next = Some(now + INTERVAL);
        Ok(Some(true))
    }
}

impl App for Pinger {
    fn name(&self) -> String {
        let Self {
            to, sent, replies, ..
        } = self;
        format!("pinger of {to} ({replies} replies to {sent} requests)")
    }

    fn poll(&mut self, desk: &mut Desk<'_>) -> Poll<Result<(), String>> {
        poll_steps(desk, |desk| self.step(desk))
    }

    fn deadline(&self) -> Option<Instant> {
        self.next
    }
}
