//! What a datagram socket holds until it is read: datagrams, and reports of errors (IP_RECVERR).

use super::Datagram;
use crate::{Endpoint, Error};
use bytes::Bytes;
use std::collections::VecDeque;
use std::net::IpAddr;

/// Bytes that every queued datagram counts for beyond its payload, so that empty ones count too
/// (on Linux, `struct sk_buff`).
const OVERHEAD: usize = 256;
/// Error reports that a socket holds; the oldest stay.
const ERRORS_MAX: usize = 64;

/// Who found the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This node, while sending: SO_EE_ORIGIN_LOCAL.
    Local,
    /// Somebody on the way, by ICMP or ICMPv6.
    Icmp,
}

/// A `struct sock_extended_err` with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReport {
    /// What happened.
    pub error: Error,
    /// Who found it.
    pub origin: Origin,
    /// ICMP or ICMPv6 type; 0 for local ones.
    pub icmp_type: u8,
    /// ICMP or ICMPv6 code; 0 for local ones.
    pub icmp_code: u8,
    /// The MTU in bytes with [`Error::MessageSize`], else 0.
    pub info: u32,
    /// The host that sent the ICMP message.
    pub offender: Option<IpAddr>,
    /// Where the datagram was sent to.
    pub destination: Endpoint,
    /// What is left of the datagram's payload.
    pub payload: Bytes,
}

/// Datagrams and error reports, both bounded.
#[derive(Debug, Default)]
pub struct ReceiveQueue {
    datagrams: VecDeque<Datagram>,
    /// What `datagrams` cost.
    used: usize,
    errors: VecDeque<ErrorReport>,
}

impl ReceiveQueue {
    /// Adds a datagram; false when more than `limit` bytes would be pinned. An empty queue takes
    /// one of any size.
    pub fn push(&mut self, datagram: Datagram, limit: usize) -> bool {
        let cost = cost(&datagram);
        if !self.datagrams.is_empty() && self.used.saturating_add(cost) > limit {
            return false;
        }
        self.used = self.used.saturating_add(cost);
        self.datagrams.push_back(datagram);
        true
    }

    /// The next datagram.
    #[must_use]
    pub fn front(&self) -> Option<&Datagram> {
        self.datagrams.front()
    }

    /// Takes the next datagram.
    pub fn pop(&mut self) -> Option<Datagram> {
        let datagram = self.datagrams.pop_front()?;
        self.used = self.used.saturating_sub(cost(&datagram));
        Some(datagram)
    }

    /// Drops the datagrams that `keep` does not want.
    pub fn retain(&mut self, keep: impl FnMut(&Datagram) -> bool) {
        self.datagrams.retain(keep);
        self.used = self.datagrams.iter().map(cost).sum();
    }

    /// Bytes of memory that the queue pins.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used
    }

    /// Adds an error report; beyond the limit it is dropped.
    pub fn push_error(&mut self, report: ErrorReport) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push_back(report);
        }
    }

    /// Takes the next error report: MSG_ERRQUEUE.
    pub fn pop_error(&mut self) -> Option<ErrorReport> {
        self.errors.pop_front()
    }

    /// Whether there are error reports.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }
}

fn cost(datagram: &Datagram) -> usize {
    datagram.pinned.saturating_add(OVERHEAD)
}
