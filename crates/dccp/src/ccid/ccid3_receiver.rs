//! CCID 3, TFRC: the receiver (RFC 4342 §6, §8, RFC 5348 §5, §6).

use super::figures::ReceiverFigures;
use super::tfrc;
use core::time::Duration;
use sockeye_core::Instant;
use sockeye_wire::dccp::Seq;
use sockeye_wire::dccp::options::{Meaning, RawOption};
use std::collections::VecDeque;

/// RFC 4342 §6.1: NDUPACK.
const DUPLICATES: usize = 3;
/// Loss intervals that are reported (RFC 4342 §8.6.1: NINTERVAL + 1).
const REPORTED: usize = tfrc::INTERVALS + 1;
/// RFC 4342 §8.5, §8.6, §8.3.
const LOSS_EVENT_RATE: u8 = 192;
const LOSS_INTERVALS: u8 = 193;
const RECEIVE_RATE: u8 = 194;

#[derive(Clone, Copy, Debug)]
struct Arrival {
    seq: Seq,
    at: Instant,
}

/// The receiver.
#[derive(Debug)]
pub(crate) struct Receiver {
    /// The newest packets, in order of their numbers: a hole before more than three is a loss.
    newest: VecDeque<Arrival>,
    /// Loss events, the newest first: the first number lost, and its nominal time of arrival.
    events: VecDeque<(Seq, Instant)>,
    /// The first packet of all.
    started: Option<Seq>,
    /// The interval before the first loss, by the rate (RFC 5348 §6.3.1), in packets.
    first: u64,
    rtt: Duration,
    /// When each window counter was first seen.
    counters: [Option<Instant>; 16],
    counter: u8,
    /// Counter of the last feedback.
    told: Option<u8>,
    bytes: u64,
    told_at: Instant,
    /// The same of the feedback before.
    before: (u64, Instant),
    size: f64,
    new_loss: bool,
    /// X_recv of the last feedback.
    reported: u32,
}

impl Receiver {
    pub(crate) fn new(now: Instant, rtt: Duration) -> Self {
        Self {
            newest: VecDeque::new(),
            events: VecDeque::new(),
            started: None,
            first: 0,
            rtt,
            counters: [None; 16],
            counter: 0,
            told: None,
            bytes: 0,
            told_at: now,
            before: (0, now),
            size: 0.0,
            new_loss: false,
            reported: 0,
        }
    }

    /// A packet has arrived. Whether feedback is due: RFC 5348 §6.1, RFC 4342 §10.3.
    pub(crate) fn received(
        &mut self,
        now: Instant,
        seq: Seq,
        ccval: u8,
        data: Option<usize>,
        marked: bool,
    ) -> bool {
        self.started.get_or_insert(seq);
        self.note_arrival(now, seq, marked);
        let Some(len) = data else {
            return false;
        };
        self.bytes += len as u64;
        self.size = match self.size == 0.0 {
            true => len as f64,
            false => self.size * 0.9 + len as f64 * 0.1,
        };
        self.note_counter(now, ccval);
        let Some(told) = self.told else {
            return true;
        };
        core::mem::take(&mut self.new_loss) || self.counter.wrapping_sub(told) & 15 >= 4
    }

    /// RFC 4342 §8.1: T(I), and a round-trip time of four counters.
    fn note_counter(&mut self, now: Instant, ccval: u8) {
        let ahead = ccval.wrapping_sub(self.counter) & 15;
        if ahead == 0 || ahead > 8 {
            self.counters[usize::from(ccval)].get_or_insert(now);
            return;
        }
        // Five is "five or more": no pair that spans it tells a time.
        if ahead >= 5 {
            self.counters = [None; 16];
        }
        for n in 1..=ahead {
            self.counters[usize::from((self.counter + n) & 15)] = None;
        }
        self.counter = ccval;
        self.counters[usize::from(ccval)] = Some(now);
        let back = self.counters[usize::from(ccval.wrapping_sub(4) & 15)];
        if let Some(then) = back {
            let sample = now - then;
            self.rtt = (self.rtt * 7 + sample) / 8;
        }
    }

    /// RFC 5348 §5.1, §5.2: holes that three later packets have passed are losses.
    fn note_arrival(&mut self, now: Instant, seq: Seq, marked: bool) {
        let at = self.newest.iter().position(|a| seq.before(a.seq));
        let at = at.unwrap_or(self.newest.len());
        self.newest.insert(at, Arrival { seq, at: now });
        while self.newest.len() > DUPLICATES + 1 {
            let (Some(before), Some(after)) = (self.newest.pop_front(), self.newest.front()) else {
                return;
            };
            let after = *after;
            let missing = before.seq.distance_to(after.seq);
            if missing > 1 {
                let step = (after.at - before.at) / u32::try_from(missing).unwrap_or(u32::MAX);
                self.lost(before.seq + 1, before.at + step, now);
                // The last of the hole may begin another event.
                self.lost(after.seq - 1, after.at, now);
            }
        }
        if marked {
            self.lost(seq, now, now);
        }
    }

    /// RFC 4342 §6.1-1 and §6.1-2: a loss event lasts a round trip, and what was lost was data.
    fn lost(&mut self, seq: Seq, at: Instant, now: Instant) {
        match self.events.front() {
            // §5.2: within a round trip it is the same event.
            Some(&(_, old)) if old + self.rtt >= at => return,
            None => self.first = self.first_interval(now),
            Some(_) => {}
        }
        self.events.push_front((seq, at));
        self.events.truncate(REPORTED);
        self.new_loss = true;
    }

    /// RFC 5348 §6.3.1: the interval by which the equation gives the rate that was reached.
    fn first_interval(&self, now: Instant) -> u64 {
        let rate = self.rate(now).max(1.0);
        let p = tfrc::inverse(self.size.max(1.0), self.rtt, rate);
        (1.0 / p).clamp(1.0, 1e7) as u64
    }

    fn rate(&self, now: Instant) -> f64 {
        // RFC 4342 §8.3: over a round trip at least. Feedback that came early is joined with what was
        // before.
        let since = now - self.told_at;
        let (bytes, time) = match since < self.rtt && self.before.0 > 0 {
            true => (self.bytes + self.before.0, now - self.before.1),
            false => (self.bytes, since),
        };
        bytes as f64 / time.as_secs_f64().max(1e-4)
    }

    /// Loss intervals in packets, the current one first.
    fn intervals(&self) -> Vec<u64> {
        let mut out = Vec::with_capacity(REPORTED + 1);
        let (Some(newest), Some(_)) = (self.newest.back(), self.events.front()) else {
            return out;
        };
        let mut end = newest.seq + 1;
        for &(start, _) in &self.events {
            out.push(start.packets_to(end));
            end = start;
        }
        if self.events.len() < REPORTED {
            out.push(self.first);
        }
        out.truncate(REPORTED);
        out
    }

    /// For DCCP_SOCKOPT_CCID_RX_INFO.
    pub(crate) fn figures(&self) -> ReceiverFigures {
        ReceiverFigures {
            rate: self.reported,
            rtt: self.rtt,
            loss: tfrc::mean_interval(&self.intervals()).map_or(0.0, |mean| 1.0 / mean),
        }
    }

    /// RFC 4342 §6: what feedback carries.
    /// RFC 4342 §8.3-1, §8.6-1, §8.6.1-1, §8.6.1-2 and §8.6.1-5: a Receive Rate, and in one option
    /// all intervals there are, nine at the most.
    pub(crate) fn write(&mut self, now: Instant, loss_rate: bool, out: &mut impl Extend<u8>) {
        let rate = self.rate(now).min(f64::from(u32::MAX)) as u32;
        self.reported = rate;
        let option = |kind, data: &[u8], out: &mut _| {
            Meaning::Ccid(RawOption { kind, data }).write(out);
        };
        option(RECEIVE_RATE, &rate.to_be_bytes(), out);
        let intervals = self.intervals();
        let lost = !intervals.is_empty();
        // Skip Length: packets that are in no interval; the newest interval goes up to the newest packet.
        let mut data = vec![0];
        // Before any loss it is one interval, all of it lossless.
        let unbroken = self.newest.back().zip(self.started);
        let unbroken = unbroken.map(|(newest, first)| first.packets_to(newest.seq + 1));
        let unbroken = unbroken.filter(|_| !lost);
        for length in intervals.iter().chain(&unbroken) {
            let length = u32::try_from(*length).unwrap_or(u32::MAX).min(0xff_ffff);
            let loss = u32::from(lost);
            let lossless = length.saturating_sub(loss).to_be_bytes();
            data.extend_from_slice(&lossless[1..]);
            data.extend_from_slice(&loss.to_be_bytes()[1..]);
            // RFC 4342 §6.1.1-1: the data length is the sequence length.
            data.extend_from_slice(&length.to_be_bytes()[1..]);
        }
        option(LOSS_INTERVALS, &data, out);
        // RFC 4342 §8.4-2: where it was asked for.
        if loss_rate {
            // §8.5: the inverse, rounded up.
            let inverse =
                tfrc::mean_interval(&intervals).map_or(u32::MAX, |mean| mean.ceil() as u32);
            option(LOSS_EVENT_RATE, &inverse.to_be_bytes(), out);
        }
        self.before = (core::mem::take(&mut self.bytes), self.told_at);
        self.told_at = now;
        self.told = Some(self.counter);
    }
}

/// What feedback says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Feedback {
    pub(crate) receive_rate: Option<u32>,
    pub(crate) loss_event_rate: Option<f64>,
    pub(crate) loss_intervals: Option<Vec<u64>>,
}

impl Feedback {
    /// Takes an option of the receiver's. False for one that is not known.
    pub(crate) fn take(&mut self, option: RawOption<'_>) -> bool {
        let word = || option.data.try_into().ok().map(u32::from_be_bytes);
        match option.kind {
            RECEIVE_RATE => self.receive_rate = word().or(self.receive_rate),
            LOSS_EVENT_RATE => {
                self.loss_event_rate = word().map(|inverse| match inverse {
                    0 | u32::MAX => 0.0,
                    inverse => 1.0 / f64::from(inverse),
                });
            }
            // RFC 4342 §8.6.1-6: a second option goes on without a skip, or is ignored.
            LOSS_INTERVALS => {
                let (Some((skip, data)), before) =
                    (option.data.split_first(), &self.loss_intervals)
                else {
                    return true;
                };
                if before.is_some() && *skip != 0 {
                    return true;
                }
                let intervals = data.chunks_exact(9);
                let lengths = intervals.map(|interval| {
                    let data = &interval[6..];
                    data.iter().fold(0u64, |n, &b| n << 8 | u64::from(b))
                });
                let before = self.loss_intervals.take().unwrap_or_default();
                let all = before.into_iter().chain(lengths);
                self.loss_intervals = Some(all.take(REPORTED).collect());
            }
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn after(lost: impl Fn(u64) -> bool, packets: u64) -> Receiver {
        let mut now = Instant::from_millis(1000);
        let mut receiver = Receiver::new(now, 100 * MS);
        for n in 0..packets {
            now += 10 * MS;
            // A window counter a quarter of 100 ms.
            let ccval = (n * 10 / 25 % 16) as u8;
            if !lost(n) && receiver.received(now, Seq::new(1000 + n), ccval, Some(1000), false) {
                receiver.write(now, true, &mut Vec::new());
            }
        }
        receiver
    }

    /// RFC 5348 §5.2, §5.3: one event for what is lost in a round trip; the interval counts from
    /// the first number lost to the next one.
    /// RFC 4342 §6.1-1, §6.1-2 and §6.1.1-1: and intervals are packets.
    #[test]
    fn losses_of_a_round_trip_are_one_event() {
        let receiver = after(|n| [100, 103, 105, 300, 500].contains(&n), 604);
        let intervals = receiver.intervals();
        assert_eq!(intervals[..3], [104, 200, 200]);
    }

    #[test]
    fn reordering_is_no_loss() {
        let mut receiver = Receiver::new(Instant::ZERO, 100 * MS);
        let mut now = Instant::from_millis(1);
        for seq in [1, 2, 5, 3, 4, 6, 9, 8, 7, 10, 11, 12, 13] {
            now += MS;
            receiver.received(now, Seq::new(seq), 0, Some(10), false);
        }
        assert_eq!(receiver.intervals(), []);
    }

    /// RFC 4342 §8.3, §8.5, §8.6: what is written is what is read.
    /// RFC 4342 §8.3-1, §8.6-1 and §8.4-2: all three options.
    #[test]
    fn feedback_goes_over_the_wire() {
        let mut receiver = after(|n| n % 100 == 99, 1000);
        let mut out = Vec::new();
        let intervals = receiver.intervals();
        receiver.write(Instant::from_millis(11_000), true, &mut out);
        let mut feedback = Feedback::default();
        for option in sockeye_wire::dccp::options::walk(&out) {
            assert!(feedback.take(option));
        }
        assert_eq!(feedback.loss_intervals, Some(intervals));
        assert_eq!(feedback.loss_event_rate, Some(0.01));
        assert!(feedback.receive_rate > Some(0));
    }

    /// RFC 4342 §8.6-1 and §8.6.1-2: one interval at least, though nothing was lost. RFC 4342 §8.6.1-1 and
    /// §8.6.1-5: nine at the most, in one option.
    #[test]
    fn intervals_are_told_from_the_first_on() {
        let told = |lost: fn(u64) -> bool, packets| {
            let mut out = Vec::new();
            after(lost, packets).write(Instant::from_millis(60_000), false, &mut out);
            let mut feedback = Feedback::default();
            for option in sockeye_wire::dccp::options::walk(&out) {
                feedback.take(option);
            }
            feedback.loss_intervals.unwrap()
        };
        let unbroken = told(|_| false, 50);
        assert_eq!(unbroken, [50]);
        assert_eq!(tfrc::mean_interval(&unbroken), None);
        assert_eq!(told(|n| n % 100 == 99, 2000).len(), 9);
    }

    /// RFC 4342 §8.6.1-6: a second option goes on where the first ended, or is ignored.
    #[test]
    fn a_second_option_has_no_skip_length() {
        let mut feedback = Feedback::default();
        let interval = |length| [0, 0, length - 1, 0, 0, 1, 0, 0, length];
        for (skip, length) in [(3, 10), (0, 20), (1, 30)] {
            let data = [&[skip][..], &interval(length)].concat();
            let kind = LOSS_INTERVALS;
            assert!(feedback.take(RawOption { kind, data: &data }));
        }
        assert_eq!(feedback.loss_intervals, Some(vec![10, 20]));
    }
}
