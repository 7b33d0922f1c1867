//! The error queue of a socket (MSG_ERRQUEUE): what the user is told of something sent, beside the
//! data that comes in.

use crate::{Endpoint, Error};
use bytes::Bytes;
use std::collections::VecDeque;
use std::net::IpAddr;

/// Reports that a socket holds; the oldest stay.
pub const REPORTS_MAX: usize = 64;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Something could not be delivered (IP_RECVERR, IPV6_RECVERR).
    Error(ErrorReport),
    /// The sends with MSG_ZEROCOPY from number `first` to `last`, both included, need nothing of
    /// the caller's any more. What they sent had been copied (SO_EE_CODE_ZEROCOPY_COPIED).
    ZeroCopy {
        /// The first of them; the first of a socket has number 0.
        first: u32,
        /// The last of them.
        last: u32,
    },
}

impl Report {
    /// Whether it is of an ICMP error.
    #[must_use]
    pub fn is_icmp(&self) -> bool {
        matches!(self, Self::Error(error) if error.origin == Origin::Icmp)
    }
}

/// Who found an error.
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

/// Reports in the order in which they came, [`REPORTS_MAX`] at the most.
#[derive(Debug, Default)]
pub struct ErrorQueue(VecDeque<Report>);

impl ErrorQueue {
    /// Adds a report; beyond the limit it is dropped. As in Linux, sends that end one after the
    /// other share one.
    pub fn push(&mut self, report: Report) {
        if let Report::ZeroCopy { first, last: new } = report
            && let Some(Report::ZeroCopy { last, .. }) = self.0.back_mut()
            && first == last.wrapping_add(1)
        {
            *last = new;
            return;
        }
        if self.0.len() < REPORTS_MAX {
            self.0.push_back(report);
        }
    }

    /// The oldest.
    #[must_use]
    pub fn front(&self) -> Option<&Report> {
        self.0.front()
    }

    /// Takes the oldest.
    pub fn pop(&mut self) -> Option<Report> {
        self.0.pop_front()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(first: u32, last: u32) -> Report {
        Report::ZeroCopy { first, last }
    }

    #[test]
    fn what_ends_in_a_row_is_told_in_one() {
        let mut queue = ErrorQueue::default();
        queue.push(sent(0, 0));
        queue.push(sent(1, 2));
        queue.push(sent(4, 4));
        assert_eq!(queue.pop(), Some(sent(0, 2)));
        queue.push(sent(5, u32::MAX));
        queue.push(sent(0, 0));
        assert_eq!(queue.pop(), Some(sent(4, 0)), "numbers begin anew");
        assert!(queue.is_empty());
    }

    #[test]
    fn there_is_a_limit_and_the_oldest_stay() {
        let mut queue = ErrorQueue::default();
        for n in 0..1000 {
            queue.push(sent(2 * n, 2 * n));
        }
        assert_eq!(queue.pop(), Some(sent(0, 0)));
        assert_eq!(std::iter::from_fn(|| queue.pop()).count(), REPORTS_MAX - 1);
    }
}
