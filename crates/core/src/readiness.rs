//! What a socket is ready for, and the queue of those that became so.

use crate::Handle;
use std::collections::VecDeque;

bitflags::bitflags! {
    /// What a socket is ready for, level-triggered, with the bits of poll(2) in our own order.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Readiness: u8 {
        /// A read, a receive or an accept would not block (data, end of stream or an error).
        const READABLE = 1;
        /// A write or a send would not block.
        const WRITABLE = 1 << 1;
        /// An error is pending (POLLERR).
        const ERROR = 1 << 2;
        /// Both directions are closed (POLLHUP).
        const HANGUP = 1 << 3;
        /// The peer will send no more (POLLRDHUP).
        const READ_CLOSED = 1 << 4;
        /// Urgent data is there to be read out of band (POLLPRI).
        const PRIORITY = 1 << 5;
        /// The error queue holds reports (POLLERR, too).
        const ERROR_QUEUE = 1 << 6;
    }
}

/// Sockets whose readiness rose, in order; drained by the driver after every turn.
#[derive(Debug, Default)]
pub struct ReadyQueue {
    queue: VecDeque<(Handle, Readiness)>,
}

impl ReadyQueue {
    /// Says that `handle` has become ready for `what`.
    pub fn push(&mut self, handle: Handle, what: Readiness) {
        if let Some((last, bits)) = self.queue.back_mut()
            && *last == handle
        {
            *bits |= what;
            return;
        }
        self.queue.push_back((handle, what));
    }

    /// The next one.
    pub fn pop(&mut self) -> Option<(Handle, Readiness)> {
        self.queue.pop_front()
    }
}
