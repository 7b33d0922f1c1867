//! Octets of data by time, in intervals that become longer as a connection does.

use core::time::Duration;
use sockeye_core::Instant;

/// Intervals at most.
const INTERVALS_MAX: usize = 256;
/// The first intervals' length.
const INTERVAL: Duration = Duration::from_millis(1);

/// Octets sent and received, of each interval.
#[derive(Clone, Debug)]
pub(crate) struct Throughput {
    pub(crate) begin: Instant,
    pub(crate) interval: Duration,
    pub(crate) octets: Vec<[u64; 2]>,
}

impl Throughput {
    pub(crate) const fn new(begin: Instant) -> Self {
        Self {
            begin,
            interval: INTERVAL,
            octets: Vec::new(),
        }
    }

    /// `count` octets one way: sent is 0, received 1.
    pub(crate) fn add(&mut self, at: Instant, way: usize, count: u64) {
        let since = at.saturating_since(self.begin);
        let mut number = since.as_nanos() / self.interval.as_nanos();
        while number >= INTERVALS_MAX as u128 {
            self.double();
            number /= 2;
        }
        // Below INTERVALS_MAX.
        let number = number as usize;
        if self.octets.len() <= number {
            self.octets.resize(number + 1, [0; 2]);
        }
        self.octets[number][way] += count;
    }

    fn double(&mut self) {
        self.interval *= 2;
        let sum = |pair: &[[u64; 2]]| [0, 1].map(|way| pair.iter().map(|one| one[way]).sum());
        self.octets = self.octets.chunks(2).map(sum).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_double_and_lose_nothing() {
        let mut throughput = Throughput::new(Instant::from_millis(5));
        for ms in 0..1000 {
            throughput.add(Instant::from_millis(5 + ms), (ms % 2) as usize, 10);
        }
        assert_eq!(throughput.interval, Duration::from_millis(4));
        assert_eq!(throughput.octets.len(), 250);
        assert!(throughput.octets.iter().all(|octets| *octets == [20, 20]));
    }
}
