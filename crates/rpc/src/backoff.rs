//! When a call on datagrams is sent again: after a time that doubles (RFC 5531 §4 leaves it to the
//! caller).

use std::time::Duration;

/// How a call is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Before the first repetition.
    pub first: Duration,
    /// What the time grows to.
    pub longest: Duration,
}

impl Default for Backoff {
    /// From half a second to 16.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(16),
        }
    }
}

impl Backoff {
    /// How long the call that was sent `sent` times waits before it is sent again.
    #[must_use]
    pub fn after(&self, sent: u32) -> Duration {
        let doublings = sent.saturating_sub(1).min(16);
        self.first
            .saturating_mul(1 << doublings)
            .min(self.longest)
            .max(Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_doubles_up_to_the_longest() {
        let backoff = Backoff::default();
        let times: Vec<u128> = (1..9).map(|sent| backoff.after(sent).as_millis()).collect();
        assert_eq!(times, [500, 1000, 2000, 4000, 8000, 16_000, 16_000, 16_000]);
        assert_eq!(backoff.after(u32::MAX), backoff.longest);
    }
}
