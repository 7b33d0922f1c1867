//! What has been delivered, and how fast (draft-ietf-ccwg-bbr §4.1): each piece remembers what had
//! been delivered when it was sent, and its acknowledgment makes a sample of it.

use super::scoreboard::Piece;
use core::time::Duration;
use sockeye_core::Instant;
use sockeye_core::congestion::RateSample;

/// What a piece remembers of the moment when it was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Snapshot {
    /// Bytes delivered, lost and marked by then.
    delivered: u64,
    lost: u64,
    marked: u64,
    /// When the last of the delivered was.
    delivered_at: Instant,
    /// When the first of the flight that it belongs to was sent.
    first_sent_at: Instant,
    /// Bytes in flight, with it.
    in_flight: u32,
    app_limited: bool,
}

impl Snapshot {
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(crate) fn app_limited(&self) -> bool {
        self.app_limited
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }
}

/// The totals of a connection.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Delivery {
    /// Bytes that the peer has, cumulatively or selectively acknowledged.
    delivered: u64,
    /// Segments of them, and SYNs: for TCP_INFO.
    segments: u32,
    /// Bytes taken for lost, each time that they were.
    lost: u64,
    /// Bytes that arrived marked with CE.
    marked: u64,
    delivered_at: Instant,
    first_sent_at: Instant,
    /// Until so much is delivered, the application held the sender up; 0 when it does not.
    app_limited_until: u64,
    /// The rate of the last good sample, bytes a second, and whether the application held it down:
    /// for TCP_INFO.
    last: (u64, bool),
}

/// The sample that one acknowledgment makes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sampling {
    of: Option<(Snapshot, Instant)>,
    /// The piece that it is of was sent more than once.
    pub(crate) of_copy: bool,
}

impl Sampling {
    /// What had been delivered when the piece was sent.
    pub(crate) fn delivered_before(&self) -> Option<u64> {
        self.of.map(|(snapshot, _)| snapshot.delivered)
    }
}

impl Delivery {
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    pub(crate) fn marked(&self) -> u64 {
        self.marked
    }

    /// Bytes a second when it was last measured, and whether the path may be faster.
    pub(crate) fn rate(&self) -> (u64, bool) {
        self.last
    }

    pub(crate) fn is_app_limited(&self) -> bool {
        self.app_limited_until != 0
    }

    /// `bytes` in `segments` reached the peer.
    pub(crate) fn count(&mut self, bytes: u32, segments: u32) {
        self.delivered += u64::from(bytes);
        self.segments = self.segments.saturating_add(segments);
    }

    /// Segments that reached the peer, our SYN among them.
    pub(crate) fn segments(&self) -> u32 {
        self.segments
    }

    /// `bytes` of what reached it were marked.
    pub(crate) fn count_marked(&mut self, bytes: u64) {
        self.marked += bytes;
    }

    /// `bytes` were found lost.
    pub(crate) fn count_lost(&mut self, bytes: u32) {
        self.lost += u64::from(bytes);
    }

    /// A piece leaves now; `idle`: nothing was outstanding; `in_flight` with it.
    pub(crate) fn on_sent(&mut self, now: Instant, idle: bool, in_flight: u32) -> Snapshot {
        if idle {
            self.first_sent_at = now;
            self.delivered_at = now;
        }
        Snapshot {
            delivered: self.delivered,
            lost: self.lost,
            marked: self.marked,
            delivered_at: self.delivered_at,
            first_sent_at: self.first_sent_at,
            in_flight,
            app_limited: self.is_app_limited(),
        }
    }

    /// The application has nothing more to send though the window would let it: what is in flight
    /// now makes samples that may be too low.
    pub(crate) fn app_limited(&mut self, pipe: u32) {
        self.app_limited_until = self.delivered.saturating_add(pipe.into()).max(1);
    }

    /// `piece` is acknowledged: the one that was sent last makes the sample.
    pub(crate) fn sample(&mut self, sampling: &mut Sampling, piece: &Piece) {
        let newer = sampling.of.is_none_or(|(snapshot, sent_at)| {
            piece.snapshot.delivered > snapshot.delivered
                || (piece.snapshot.delivered == snapshot.delivered && piece.sent_at >= sent_at)
        });
        if newer {
            sampling.of = Some((piece.snapshot, piece.sent_at));
            sampling.of_copy = piece.ever_again;
            self.first_sent_at = piece.sent_at;
        }
    }

    /// The acknowledgment has been read whole: its sample. `rtt_min` is the shortest round trip: what
    /// seems faster than it is no sample.
    pub(crate) fn finish(
        &mut self,
        now: Instant,
        sampling: &Sampling,
        progress: bool,
        rtt_min: Option<Duration>,
    ) -> Option<RateSample> {
        if self.app_limited_until != 0 && self.delivered > self.app_limited_until {
            self.app_limited_until = 0;
        }
        if progress {
            self.delivered_at = now;
        }
        let (snapshot, sent_at) = sampling.of?;
        let sending = sent_at - snapshot.first_sent_at;
        let acknowledging = now - snapshot.delivered_at;
        let interval = sending.max(acknowledging);
        if interval.is_zero() || rtt_min.is_some_and(|min| interval < min) {
            return None;
        }
        let sample = RateSample {
            delivered_before: snapshot.delivered,
            delivered: self.delivered - snapshot.delivered,
            interval,
            lost: self.lost - snapshot.lost,
            marked: self.marked - snapshot.marked,
            in_flight: snapshot.in_flight.into(),
            app_limited: snapshot.app_limited,
        };
        let rate = sample.bytes_per_second();
        if !sample.app_limited || rate >= self.last.0 {
            self.last = (rate, sample.app_limited);
        }
        Some(sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_wire::SeqNum;

    fn sent(start: u32, at: u64, snapshot: Snapshot) -> Piece {
        Piece {
            start: SeqNum(start),
            end: SeqNum(start + 1000),
            sent_at: Instant::from_millis(at),
            segments: 1,
            mss: 1000,
            fin: false,
            push: false,
            sacked: false,
            lost: false,
            again: false,
            ever_again: false,
            snapshot,
        }
    }

    /// Ten segments, one each millisecond, 20 ms away: 1 MB/s.
    #[test]
    fn a_steady_flow_is_measured() {
        let mut delivery = Delivery::default();
        let mut flight = Vec::new();
        for n in 0..10u32 {
            let at = Instant::from_millis(n.into());
            let snapshot = delivery.on_sent(at, n == 0, (n + 1) * 1000);
            flight.push(sent(n * 1000, n.into(), snapshot));
        }
        let mut last = None;
        for (n, piece) in flight.iter().enumerate() {
            let mut sampling = Sampling::default();
            delivery.count(1000, 1);
            delivery.sample(&mut sampling, piece);
            let now = Instant::from_millis(20 + n as u64);
            let min = Some(Duration::from_millis(20));
            last = delivery.finish(now, &sampling, true, min);
        }
        let last = last.unwrap();
        assert_eq!(last.delivered, 10_000);
        assert_eq!(last.interval, Duration::from_millis(29));
        assert_eq!(last.in_flight, 10_000);
        assert!(!last.app_limited);
        // The next flight is measured by the rhythm of its acknowledgments.
        let at = Instant::from_millis(29);
        let snapshot = delivery.on_sent(at, false, 1000);
        let piece = sent(10_000, 29, snapshot);
        let mut sampling = Sampling::default();
        delivery.count(1000, 1);
        delivery.sample(&mut sampling, &piece);
        let sample = delivery
            .finish(Instant::from_millis(49), &sampling, true, None)
            .unwrap();
        assert_eq!((sample.delivered, sample.delivered_before), (1000, 10_000));
        assert_eq!(sample.interval, Duration::from_millis(20));
    }

    #[test]
    fn what_the_application_held_up_says_so() {
        let mut delivery = Delivery::default();
        delivery.app_limited(0);
        let snapshot = delivery.on_sent(Instant::ZERO, true, 1000);
        let piece = sent(0, 0, snapshot);
        delivery.count(1000, 1);
        let mut sampling = Sampling::default();
        delivery.sample(&mut sampling, &piece);
        let now = Instant::from_millis(10);
        let sample = delivery.finish(now, &sampling, true, None).unwrap();
        assert!(sample.app_limited);
        assert!(!delivery.is_app_limited());
    }
}
