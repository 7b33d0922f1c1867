//! Whether a window is used: [`Ack::cwnd_limited`](super::Ack::cwnd_limited).
//!
//! A window may grow where it is what holds the sender up (RFC 7661 §4.4, RFC 9438 §5.8). That one
//! moment does not tell, as the window is full right after sending and has room right after an
//! acknowledgment; so what was seen counts until all that was out then has been acknowledged. In slow
//! start half of the window in use is enough, since one round trip doubles it.

/// How far a window was used lately. Belongs to the transport.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// The window held the sender up.
    held_up: bool,
    /// The most bytes that were outstanding.
    most: u64,
    /// Bytes that had been sent when this was seen: it counts until they are acknowledged.
    until: u64,
}

impl Usage {
    /// Looks after something was sent, or after the window let nothing out. `held_up`: there was more to send than the window let out. `sent` and
    /// `acknowledged` are the bytes of the connection so far; what lies between them is outstanding.
    pub fn on_transmit(&mut self, held_up: bool, acknowledged: u64, sent: u64) {
        let outstanding = sent.saturating_sub(acknowledged);
        let more = !self.held_up && outstanding > self.most;
        if acknowledged >= self.until || held_up || more {
            *self = Self {
                held_up,
                most: outstanding,
                until: sent,
            };
        }
    }

    /// The window is larger at once, as a reduction was undone: that the smaller one held the sender up
    /// says nothing of it.
    pub fn on_restored(&mut self) {
        self.held_up = false;
    }

    /// Whether a window of `cwnd` bytes is used.
    #[must_use]
    pub const fn is_cwnd_limited(&self, cwnd: u64, ssthresh: u64) -> bool {
        self.held_up || (cwnd < ssthresh && cwnd < self.most.saturating_mul(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_counts_until_it_is_acknowledged() {
        let mut usage = Usage::default();
        usage.on_transmit(true, 0, 10_000);
        assert!(usage.is_cwnd_limited(10_000, 5000));
        usage.on_transmit(false, 4000, 12_000);
        assert!(usage.is_cwnd_limited(10_000, 5000));
        usage.on_transmit(false, 10_000, 12_000);
        assert!(!usage.is_cwnd_limited(10_000, 5000));
    }

    #[test]
    fn what_held_up_before_the_window_was_restored_does_not_count() {
        let mut usage = Usage::default();
        usage.on_transmit(true, 0, 5000);
        assert!(usage.is_cwnd_limited(5000, 5000));
        usage.on_restored();
        assert!(!usage.is_cwnd_limited(10_000, 5000));
        // In slow start half of it is in use.
        assert!(usage.is_cwnd_limited(9000, u64::MAX));
        assert!(!usage.is_cwnd_limited(10_000, u64::MAX));
        usage.on_transmit(true, 5000, 15_000);
        assert!(usage.is_cwnd_limited(10_000, 5000));
    }

    #[test]
    fn half_of_the_window_is_enough_in_slow_start() {
        let mut usage = Usage::default();
        usage.on_transmit(false, 0, 5000);
        assert!(!usage.is_cwnd_limited(10_000, u64::MAX));
        usage.on_transmit(false, 0, 6000);
        assert!(usage.is_cwnd_limited(10_000, u64::MAX));
        assert!(!usage.is_cwnd_limited(10_000, 10_000), "not beyond it");
        // The window has grown to twice what was out; a smaller flight says less.
        usage.on_transmit(false, 4000, 6000);
        assert!(usage.is_cwnd_limited(11_000, u64::MAX));
        assert!(!usage.is_cwnd_limited(12_000, u64::MAX));
    }
}
