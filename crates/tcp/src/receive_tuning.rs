//! How fast the user reads, and how far away the peer is: what the receive buffer has to hold so
//! that the window never holds the peer up. It is Linux's dynamic right-sizing: in each round trip
//! the buffer grows to twice what was read in the last one, and further while that is growing.
//!
//! A receiver that sends nothing measures no round trip by acknowledgments. Timestamps that come back
//! tell one, and so does the time in which a whole window of text arrives, which is never shorter.

use core::time::Duration;
use sockeye_core::Instant;
use sockeye_wire::SeqNum;

/// A shorter period says nothing: clocks and readers are not finer than this.
const PERIOD_MIN: Duration = Duration::from_micros(50);
/// Segments that the buffer holds beyond what is read in two round trips.
const SPARE_SEGMENTS: u64 = 16;
/// Segments of the first period that has no period before it (Linux: TCP_INIT_CWND).
const FIRST_SEGMENTS: u64 = 10;

/// Kept while a connection receives.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Tuning {
    /// When the period began, what had been read by then and in all, and what in the last period.
    began: Instant,
    read_before: u64,
    read: u64,
    last: u64,
    /// The round trip, eighths of a nanosecond; 0 before it was measured.
    rtt: u64,
    /// When the window that ends here began to be filled.
    window: Option<(SeqNum, Instant)>,
    /// The last TSecr that was measured by.
    echoed: u32,
}

impl Tuning {
    /// The user has read `n` bytes. Once in a round trip it says how many bytes of text the buffer
    /// should have room for; `fallback` is a round trip measured otherwise.
    pub(crate) fn was_read(
        &mut self,
        n: usize,
        now: Instant,
        mss: u32,
        fallback: Option<Duration>,
    ) -> Option<u64> {
        self.read += n as u64;
        let rtt = self.rtt().or(fallback)?.max(PERIOD_MIN);
        if now - self.began < rtt {
            return None;
        }
        let mss = u64::from(mss);
        let copied = self.read - self.read_before;
        let last = self.last.max(FIRST_SEGMENTS * mss).max(1);
        self.began = now;
        self.read_before = self.read;
        if copied <= last {
            return None;
        }
        self.last = copied;
        let window = copied
            .saturating_mul(2)
            .saturating_add(SPARE_SEGMENTS * mss);
        // A reader that doubles its pace finds room for that, too.
        let growth = u128::from(window) * u128::from(copied - last) / u128::from(last);
        let growth = u64::try_from(growth).unwrap_or(u64::MAX);
        Some(window.saturating_add(growth.saturating_mul(2)))
    }

    /// Text has arrived up to `nxt`, with a window of `wnd` behind it.
    pub(crate) fn window_fills(&mut self, nxt: SeqNum, wnd: u32, now: Instant) {
        if let Some((end, since)) = self.window {
            if nxt.before(end) {
                return;
            }
            // Filling a window takes a round trip or longer: only the shortest counts.
            let sample = nanos(now - since).max(1).saturating_mul(8);
            if self.rtt == 0 || sample < self.rtt {
                self.rtt = sample;
            }
        }
        self.window = Some((nxt + wnd, now));
    }

    /// A full segment of text echoes `tsecr`, which we sent `age` ago.
    pub(crate) fn timestamp_returns(&mut self, tsecr: u32, age: Duration) {
        if tsecr == self.echoed {
            return;
        }
        self.echoed = tsecr;
        let sample = nanos(age);
        self.rtt = match self.rtt {
            0 => sample.saturating_mul(8),
            rtt => (rtt - rtt / 8).saturating_add(sample),
        };
    }

    /// The round trip as the receiver sees it.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        (self.rtt > 0).then(|| Duration::from_nanos(self.rtt / 8))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_wanted_room_follows_the_reader() {
        let mut tuning = Tuning::default();
        let mut now = Instant::ZERO + MS * 1000;
        tuning.timestamp_returns(1, MS * 10);
        // Ten segments are what anybody starts with: no reason to grow.
        assert_eq!(tuning.was_read(10_000, now, 1000, None), None);
        now += MS * 10;
        // 20,000: twice that and 16 segments, and twice the growth by 100%.
        assert_eq!(tuning.was_read(20_000, now, 1000, None), Some(168_000));
        now += MS * 5;
        assert_eq!(tuning.was_read(90_000, now, 1000, None), None);
        now += MS * 5;
        // The period ends: 90,000 and nothing more in it.
        let room = tuning.was_read(0, now, 1000, None).unwrap();
        assert!(room > 2 * 90_000, "{room}");
        now += MS * 100;
        assert_eq!(tuning.was_read(90_000, now, 1000, None), None);
    }

    #[test]
    fn a_round_trip_is_measured_both_ways() {
        let mut tuning = Tuning::default();
        let at = |ms: u32| Instant::ZERO + MS * ms;
        assert_eq!(tuning.rtt(), None);
        tuning.window_fills(SeqNum(0), 1000, at(0));
        tuning.window_fills(SeqNum(500), 1000, at(10));
        assert_eq!(tuning.rtt(), None);
        tuning.window_fills(SeqNum(1000), 1000, at(40));
        assert_eq!(tuning.rtt(), Some(MS * 40));
        // A slower window says nothing, a faster one does.
        tuning.window_fills(SeqNum(2000), 1000, at(140));
        assert_eq!(tuning.rtt(), Some(MS * 40));
        tuning.window_fills(SeqNum(3000), 1000, at(160));
        assert_eq!(tuning.rtt(), Some(MS * 20));
        // Timestamps are smoothed, and each counts once.
        tuning.timestamp_returns(7, MS * 28);
        tuning.timestamp_returns(7, MS * 500);
        assert_eq!(tuning.rtt(), Some(MS * 21));
    }
}
