//! The equation of TCP-Friendly Rate Control, and the loss event rate (RFC 5348 §3.1, §5.4).

use core::time::Duration;

/// RFC 5348 §5.4: n.
pub(crate) const INTERVALS: usize = 8;
/// RFC 5348 §5.4: w_0 to w_7, in tenths.
const WEIGHTS: [u64; INTERVALS] = [10, 10, 10, 10, 8, 6, 4, 2];

/// RFC 5348 §3.1: bytes a second that TCP would send with packets of `size` bytes, a round-trip time
/// and a loss event rate `p`; t_RTO is four round trips and b is 1.
pub(crate) fn throughput(size: f64, rtt: Duration, p: f64) -> f64 {
    let r = rtt.as_secs_f64().max(1e-6);
    let p = p.clamp(1e-9, 1.0);
    let root = (2.0 * p / 3.0).sqrt();
    let timeouts = 12.0 * (3.0 * p / 8.0).sqrt() * p * (1.0 + 32.0 * p * p);
    size / (r * (root + timeouts))
}

/// The loss event rate at which [`throughput`] is `rate`: RFC 5348 §6.3.1.
pub(crate) fn inverse(size: f64, rtt: Duration, rate: f64) -> f64 {
    let (mut low, mut high) = (1e-8, 1.0);
    for _ in 0..60 {
        let middle = f64::sqrt(low * high);
        match throughput(size, rtt, middle) > rate {
            true => low = middle,
            false => high = middle,
        }
    }
    high
}

/// RFC 5348 §5.4: the average of loss intervals, the current one first; `None` before any loss.
pub(crate) fn mean_interval(intervals: &[u64]) -> Option<f64> {
    // The current one alone is no interval yet.
    let (current, others) = intervals.split_first()?;
    if others.is_empty() {
        return None;
    }
    let sum = |list: &mut dyn Iterator<Item = u64>| {
        let (mut total, mut weight) = (0.0, 0.0);
        for (interval, w) in list.zip(WEIGHTS) {
            total += (interval * w) as f64;
            weight += w as f64;
        }
        (total, weight)
    };
    let k = others.len().min(INTERVALS);
    let (with, _) = sum(&mut [*current].into_iter().chain(others.iter().copied()).take(k));
    let (without, weight) = sum(&mut others.iter().copied().take(k));
    Some((with.max(without) / weight).max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5348 §3.1: by hand, with 1,460 bytes, 100 ms and one loss event in a hundred packets.
    #[test]
    fn the_equation() {
        let x = throughput(1460.0, Duration::from_millis(100), 0.01);
        let by_hand = 1460.0 / (0.1 * (0.081_649_658 + 12.0 * 0.061_237_243 * 0.01 * 1.0032));
        assert!((x - by_hand).abs() < 1.0, "{x} {by_hand}");
        for p in [0.0001, 0.001, 0.01, 0.05, 0.3] {
            let rtt = Duration::from_millis(40);
            let back = inverse(1000.0, rtt, throughput(1000.0, rtt, p));
            assert!((back / p - 1.0).abs() < 1e-6, "{p} {back}");
        }
    }

    /// RFC 5348 §5.4: the weights, and the current interval counts only where it helps.
    #[test]
    fn loss_intervals_are_averaged() {
        assert_eq!(mean_interval(&[50]), None);
        assert_eq!(mean_interval(&[1, 100]), Some(100.0));
        assert_eq!(mean_interval(&[300, 100]), Some(300.0));
        let all = [0, 100, 100, 100, 100, 100, 100, 100, 100];
        assert_eq!(mean_interval(&all), Some(100.0));
        let older = mean_interval(&[0, 10, 10, 10, 10, 100, 100, 100, 100]);
        assert_eq!(older, Some((4.0 * 10.0 + 2.0 * 100.0) / 6.0));
    }
}
