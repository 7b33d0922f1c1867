//! The called side: limits and counters, and the blocking [`Server`].

mod blocking;

pub use blocking::Server;
#[cfg(feature = "tokio")]
pub(crate) use blocking::{Datagrammed, next_record};

use crate::record::RECORD_MAX;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a server gives at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; one more is closed as it comes.
    pub connections_max: usize,
    /// Calls of one connection that are executed at once (by the server for tokio; the blocking
    /// one executes one at a time). While so many are, nothing more is read from it.
    pub calls_max: usize,
    /// Bytes of a call or a reply on a stream.
    pub record_max: usize,
    /// Bytes of replies that a connection does not read; while there are more, no more of its
    /// calls are read.
    pub unread_max: usize,
    /// Connections that say nothing for so long are closed.
    pub idle_time: Duration,
    /// Answers that are remembered, on datagrams.
    pub duplicates_max: usize,
    /// Bytes of them.
    pub duplicate_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            calls_max: 64,
            record_max: RECORD_MAX,
            unread_max: 4 << 20,
            idle_time: Duration::from_secs(360),
            duplicates_max: crate::duplicate::ENTRIES_MAX,
            duplicate_bytes_max: crate::duplicate::BYTES_MAX,
        }
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Where it is.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a server has done, and what its limits have kept it from.
#[derive(Debug, Default)]
pub struct ServerCounters {
    /// Messages that came.
    pub messages: Count,
    /// Replies that were sent.
    pub replies: Count,
    /// Messages that got none: no calls, or nothing to say.
    pub silent: Count,
    /// Connections that were taken.
    pub connections: Count,
    /// Connections that were closed as they came: [`Limits::connections_max`].
    pub connections_refused: Count,
    /// Connections that broke off for a record that is too long or in too many pieces.
    pub bad_records: Count,
    /// Datagrams that were answered from memory.
    pub duplicates: Count,
    /// Datagrams that were dropped, for want of room in that memory or as their call is executed.
    pub duplicates_dropped: Count,
    /// Calls of procedures that wait, which came to a blocking server.
    pub not_here: Count,
}
