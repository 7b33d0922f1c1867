//! What a connection has done so far: the sums that TCP_INFO tells.

use core::time::Duration;
use sockeye_core::Instant;

/// Sums over the life of a connection. Bytes that the sequence numbers tell are not kept again.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Totals {
    /// Segments received and sent, and those of them with text.
    pub(crate) segs_in: u32,
    pub(crate) segs_out: u32,
    pub(crate) data_segs_in: u32,
    pub(crate) data_segs_out: u32,
    /// Segments, and bytes, sent again.
    pub(crate) retransmitted: u32,
    pub(crate) bytes_retransmitted: u64,
    /// Segments that came out of order.
    pub(crate) out_of_order: u32,
    /// Retransmission time-outs, and how often the first of a row came.
    pub(crate) timeouts: u32,
    pub(crate) timeout_episodes: u32,
    /// When text last came.
    pub(crate) text_heard_at: Instant,
    pub(crate) chronograph: Chronograph,
}

/// What holds a sender up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Hold {
    /// It has nothing to do.
    #[default]
    Idle,
    /// It is at work.
    Busy,
    /// The peer's window.
    ReceiveWindow,
    /// The send buffer: the user has more than it takes, and all it took is sent.
    SendBuffer,
}

/// How long each of these lasted.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Chronograph {
    now: Hold,
    since: Instant,
    /// Microseconds: busy with nothing in the way, held by the window, held by the buffer.
    sums: [u64; 3],
}

impl Chronograph {
    /// From `at` on it is `hold`.
    pub(crate) fn set(&mut self, at: Instant, hold: Hold) {
        if hold != self.now {
            self.sums = self.read(at);
            self.now = hold;
            self.since = at;
        }
    }

    fn read(&self, at: Instant) -> [u64; 3] {
        let mut sums = self.sums;
        let passed = u64::try_from((at - self.since).as_micros()).unwrap_or(u64::MAX);
        let place = match self.now {
            Hold::Idle => return sums,
            Hold::Busy => 0,
            Hold::ReceiveWindow => 1,
            Hold::SendBuffer => 2,
        };
        sums[place] = sums[place].saturating_add(passed);
        sums
    }

    /// Busy in all; held by the peer's window; held by the send buffer.
    pub(crate) fn times(&self, at: Instant) -> [Duration; 3] {
        let [free, window, buffer] = self.read(at);
        let busy = free.saturating_add(window).saturating_add(buffer);
        [busy, window, buffer].map(Duration::from_micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_in_the_whole() {
        let mut watch = Chronograph::default();
        let at = Instant::from_millis;
        watch.set(at(100), Hold::Busy);
        watch.set(at(100), Hold::ReceiveWindow);
        watch.set(at(150), Hold::ReceiveWindow);
        watch.set(at(300), Hold::Busy);
        watch.set(at(310), Hold::SendBuffer);
        watch.set(at(330), Hold::Idle);
        let ms = Duration::from_millis;
        assert_eq!(watch.times(at(900)), [ms(230), ms(200), ms(20)]);
        watch.set(at(1000), Hold::ReceiveWindow);
        assert_eq!(watch.times(at(1001)), [ms(231), ms(201), ms(20)]);
    }
}
