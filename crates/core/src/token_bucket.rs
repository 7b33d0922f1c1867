//! A limit on the rate of answers to strangers.

use crate::Instant;
use core::time::Duration;

/// A token bucket: each answer spends one, and one comes back after a while.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenBucket {
    /// Time's worth of tokens spent, as of `at`.
    spent: Duration,
    at: Instant,
}

impl TokenBucket {
    /// Whether there is a token, where one comes after `each` and `burst` are kept.
    pub fn has_room(&mut self, now: Instant, each: Duration, burst: u32) -> bool {
        self.spent = self.spent.saturating_sub(now.saturating_since(self.at));
        self.at = now;
        self.spent.saturating_add(each) <= each.saturating_mul(burst)
    }

    /// Spends one that comes back after `each`.
    pub fn spend(&mut self, each: Duration) {
        self.spent += each;
    }

    /// Whether one more may be within `per_second`, which are also the most at once; it is counted then.
    pub fn allows(&mut self, now: Instant, per_second: u32) -> bool {
        let Some(each) = Duration::from_secs(1).checked_div(per_second) else {
            return false;
        };
        let allowed = self.has_room(now, each, per_second);
        if allowed {
            self.spend(each);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_a_second_and_none_more() {
        let mut bucket = TokenBucket::default();
        let mut count = |millis| {
            let now = Instant::from_millis(millis);
            (0..1000).filter(|_| bucket.allows(now, 100)).count()
        };
        assert_eq!(count(5000), 100);
        assert_eq!(count(5000), 0);
        assert_eq!(count(5100), 10);
        assert_eq!(count(9000), 100);
        let mut never = TokenBucket::default();
        assert!(!never.allows(Instant::from_millis(1), 0));
    }
}
