//! CCID 3, TFRC: the sender (RFC 4342, RFC 5348 §4).

use super::figures::SenderFigures;
use super::{Departed, Report, When, tfrc};
use crate::rtt::Rtt;
use core::time::Duration;
use sockeye_core::Instant;
use sockeye_wire::dccp::Seq;
use sockeye_wire::dccp::options::blocks;
use std::collections::VecDeque;

/// RFC 5348 §4.3: t_mbi.
const BACKOFF_MAX: f64 = 64.0;
/// Packets whose time of sending is remembered.
const SENT_MAX: usize = 4096;
/// RFC 5348 §4.6: the most that is made up for at once.
const BURST: u32 = 2;
/// RFC 4340 §11.7: the Drop Code of a full receive buffer.
const BUFFER_DROP: u8 = 2;

/// The sender.
#[derive(Debug)]
pub(crate) struct Ccid3 {
    /// s: bytes of a packet, as they are lately.
    size: f64,
    /// X: bytes a second.
    rate: f64,
    /// X_Bps by the last feedback with a loss.
    equation: f64,
    /// p
    loss: f64,
    pub(crate) rtt: Rtt,
    /// X_recv: what the receiver told last.
    heard: f64,
    /// X_recv_set; infinite before the first feedback.
    received: Vec<(Instant, f64)>,
    feedback: bool,
    /// tld: when slow start has doubled last.
    doubled: Instant,
    /// R_sqmean, and the root of the last sample (RFC 5348 §4.5).
    root: (f64, f64),
    next: Instant,
    timer: Instant,
    sent: VecDeque<(Seq, Instant, u8)>,
    /// RFC 4342 §8.1: last_WC and last_WC_time, and the counter of the last packet.
    counter: (u8, Instant),
    last_counter: u8,
    /// Nothing was sent since the nofeedback timer was set.
    idle: bool,
    /// The rate was not made use of since the last feedback.
    limited: bool,
    /// The receiver keeps what it would tell again: Ack Vectors or dropped data; and when it was last told
    /// that this has come.
    keeps: bool,
    spared_at: Instant,
    /// The newest packet of which it was told whether its data was dropped.
    told: Option<Seq>,
}

impl Ccid3 {
    pub(crate) fn new(size: u32, now: Instant) -> Self {
        let size = f64::from(size.max(1));
        Self {
            size,
            // RFC 5348 §4.2: one packet a second before the round-trip time is known.
            rate: size,
            equation: f64::INFINITY,
            loss: 0.0,
            rtt: Rtt::default(),
            heard: 0.0,
            received: vec![(now, f64::INFINITY)],
            feedback: false,
            doubled: Instant::ZERO,
            root: (0.0, 0.0),
            next: now,
            timer: now + Duration::from_secs(2),
            sent: VecDeque::new(),
            counter: (0, now),
            last_counter: 0,
            idle: true,
            limited: true,
            keeps: false,
            spared_at: now,
            told: None,
        }
    }

    /// A round-trip time from the handshake: RFC 5348 §4.2, W_init/R.
    pub(crate) fn measured(&mut self, rtt: Duration, now: Instant) {
        self.rtt.measured(rtt);
        self.rate = self.initial_rate();
        self.doubled = now;
        self.set_timer(now);
    }

    /// RFC 5348 §4.2: W_init is min (4*s, max (2*s, 4380)).
    fn initial_rate(&self) -> f64 {
        let window = (4.0 * self.size).min((2.0 * self.size).max(4380.0));
        window / self.rtt.estimate().as_secs_f64().max(1e-6)
    }

    /// X_inst: RFC 5348 §4.5.
    pub(crate) fn rate(&self) -> f64 {
        let (mean, root) = self.root;
        let factor = if root > 0.0 { mean / root } else { 1.0 };
        (self.rate * factor).max(self.size / BACKOFF_MAX)
    }

    fn interval(&self) -> Duration {
        Duration::from_secs_f64((self.size / self.rate()).clamp(1e-9, BACKOFF_MAX))
    }

    pub(crate) fn when(&self, now: Instant) -> When {
        match self.next <= now {
            true => When::Now,
            false => When::At(self.next),
        }
    }

    /// RFC 4342 §8.1: the window counter of a packet that leaves now.
    pub(crate) fn window_counter(&mut self, now: Instant) -> u8 {
        let quarter = (self.rtt.estimate() / 4).max(Duration::from_micros(1));
        let quarters = (now - self.counter.1).as_nanos() / quarter.as_nanos();
        if quarters > 0 {
            // At most five.
            self.counter = ((self.counter.0 + quarters.min(5) as u8) & 15, now);
        }
        // RFC 4342 §8.1-1: five ahead at the most.
        // Counters of adjacent packets MUST NOT differ so much that they might have wrapped.
        let ahead = self.counter.0.wrapping_sub(self.last_counter) & 15;
        if ahead > 5 {
            self.counter.0 = (self.last_counter + 5) & 15;
        }
        self.last_counter = self.counter.0;
        self.counter.0
    }

    pub(crate) fn departed(&mut self, packet: &Departed) {
        if !packet.data {
            return;
        }
        if self.sent.len() >= SENT_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back((packet.seq, packet.at, self.counter.0));
        self.size = self.size * 0.9 + packet.size as f64 * 0.1;
        self.idle = false;
        if !packet.last {
            self.limited = false;
        }
        // §4.6: nominal times follow each other, and few of those that were missed are made up for.
        let interval = self.interval();
        let earliest = Instant::from_nanos(
            packet
                .at
                .as_nanos()
                .saturating_sub((interval * BURST).as_nanos() as u64),
        );
        self.next = self.next.max(earliest) + interval;
    }

    /// RFC 5348 §4.3.
    pub(crate) fn reported(&mut self, report: &Report<'_>) {
        let Some(rate) = report.feedback.receive_rate else {
            return;
        };
        let now = report.now;
        self.keeps |= !report.vector.is_empty() || !report.dropped.is_empty();
        self.count_up(report.ack, now);
        let Some(at) = self.take_sent(report.ack) else {
            return;
        };
        let sample = (now - at).saturating_sub(report.elapsed.unwrap_or_default());
        self.rtt.measured(sample);
        let root = sample.as_secs_f64().max(1e-6).sqrt();
        self.root = match self.root.0 == 0.0 {
            true => (root, root),
            false => (self.root.0 * 0.9 + root * 0.1, root),
        };
        let p = report
            .feedback
            .loss_intervals
            .as_deref()
            .and_then(tfrc::mean_interval)
            .map(|mean| 1.0 / mean)
            .or(report.feedback.loss_event_rate)
            .unwrap_or(0.0);
        let worse = p > self.loss;
        self.loss = p;
        self.heard = f64::from(rate);
        let limit = self.receive_limit(now, f64::from(rate), worse);
        self.set_rate(now, limit, report.slow_receiver);
        self.spare_buffer(report);
        self.feedback = true;
        self.limited = true;
        self.set_timer(now);
    }

    /// RFC 5348 §4.3 (4): recv_limit.
    fn receive_limit(&mut self, now: Instant, mut rate: f64, worse: bool) -> f64 {
        let data_limited = self.limited && rate > 0.0 && self.feedback;
        if data_limited {
            if worse {
                for (_, value) in &mut self.received {
                    *value /= 2.0;
                }
                rate *= 0.85;
            }
            self.received.retain(|(_, value)| value.is_finite());
            let most = self.received.iter().map(|(_, v)| *v).fold(rate, f64::max);
            self.received = vec![(now, most)];
            return if worse { most } else { 2.0 * most };
        }
        self.received.push((now, rate));
        let old = self.rtt.estimate() * 2;
        self.received.retain(|(at, _)| now - *at <= old);
        2.0 * self.max_received()
    }

    fn max_received(&self) -> f64 {
        self.received.iter().map(|(_, v)| *v).fold(0.0, f64::max)
    }

    fn set_rate(&mut self, now: Instant, limit: f64, slow: bool) {
        let before = self.rate;
        if self.loss > 0.0 {
            self.equation = tfrc::throughput(self.size, self.rtt.estimate(), self.loss);
            self.rate = self.equation.min(limit).max(self.size / BACKOFF_MAX);
        } else if now - self.doubled >= self.rtt.estimate() {
            self.rate = (2.0 * self.rate).min(limit).max(self.initial_rate());
            self.doubled = now;
        }
        // RFC 4340 §11.6: no faster for a round trip.
        if slow {
            self.rate = self.rate.min(before);
        }
        let soon = now + self.interval();
        self.next = self.next.min(soon);
    }

    /// RFC 4342 §5.2-1: for each packet newly told as dropped in the receive buffer (Drop Code 2) the rate is
    /// a packet a round trip lower, and one at the least.
    fn spare_buffer(&mut self, report: &Report<'_>) {
        let mut seq = report.ack;
        let mut dropped = 0.0;
        for (code, packets) in blocks(report.dropped) {
            for n in 0..u64::from(packets) {
                let new = self.told.is_none_or(|told| (seq - n).after(told));
                dropped += f64::from(u8::from(code == Some(BUFFER_DROP) && new));
            }
            seq = seq - u64::from(packets);
        }
        self.told = Some(self.told.map_or(report.ack, |told| told.later(report.ack)));
        // RFC 4340 §11.7.1-3: beside what the equation says.
        let packet = self.size / self.rtt.estimate().as_secs_f64().max(1e-6);
        if dropped > 0.0 {
            self.rate = (self.rate - dropped * packet).max(packet.min(self.rate));
        }
    }

    fn set_timer(&mut self, now: Instant) {
        self.timer = now + self.no_feedback();
        self.idle = true;
    }

    /// RFC 5348 §4.3 (3): max (4*R, 2*s/X).
    fn no_feedback(&self) -> Duration {
        let packets = Duration::from_secs_f64((2.0 * self.size / self.rate).min(2.0 * BACKOFF_MAX));
        (self.rtt.estimate() * 4).max(packets)
    }

    pub(crate) fn deadline(&self) -> Instant {
        // Who has nothing on its way waits for nothing.
        match self.sent.is_empty() {
            true => Instant::FAR,
            false => self.timer,
        }
    }

    /// RFC 5348 §4.4: the nofeedback timer.
    pub(crate) fn timeout(&mut self, now: Instant) {
        if self.timer > now {
            return;
        }
        let least = self.size / BACKOFF_MAX;
        let recover = self.initial_rate();
        let received = self.max_received();
        let quiet = self.idle
            && ((self.loss > 0.0 && received < recover)
                || (self.loss == 0.0 && self.rate < 2.0 * recover));
        if quiet {
            self.sent.clear();
        } else if self.loss == 0.0 || !self.feedback {
            self.rate = (self.rate / 2.0).max(least);
        } else {
            let limit = match self.equation > 2.0 * received {
                true => received,
                false => self.equation / 2.0,
            };
            let limit = limit.max(least);
            self.received = vec![(now, limit / 2.0)];
            self.set_rate(now, limit, false);
        }
        self.set_timer(now);
    }

    /// RFC 4342 §8.1: what follows an acknowledgement of counter WC has WC + 4 at least. From then on that
    /// counter's quarter of a round trip runs: else it would be cut short, and the round-trip time that the
    /// receiver takes from counters with it.
    fn count_up(&mut self, ack: Seq, now: Instant) {
        let acked = self.sent.iter().find(|(seq, _, _)| *seq == ack);
        if let Some(&(_, _, counter)) = acked {
            let ahead = self.counter.0.wrapping_sub(counter) & 15;
            if ahead < 4 {
                self.counter = ((counter + 4) & 15, now);
            }
        }
    }

    /// When the acknowledged packet left; it and what left before are forgotten.
    fn take_sent(&mut self, ack: Seq) -> Option<Instant> {
        let mut found = None;
        while let Some(&(seq, at, _)) = self.sent.front()
            && !seq.after(ack)
        {
            found = Some(at);
            self.sent.pop_front();
        }
        found
    }

    /// Packets of one round trip.
    pub(crate) fn in_flight(&self) -> u64 {
        (self.rate() * self.rtt.estimate().as_secs_f64() / self.size.max(1.0)) as u64
    }

    pub(crate) fn loss_event_rate(&self) -> f64 {
        self.loss
    }

    /// RFC 4342 §6.3-1 and §6.3-2: about once for each round trip where the receiver uses Ack Vector or Data
    /// Dropped, so that it can forget.
    pub(crate) fn wants_ack_of_acks(&self, now: Instant) -> bool {
        self.keeps && now - self.spared_at >= self.rtt.estimate()
    }

    pub(crate) fn acked_acks(&mut self, now: Instant) {
        self.keeps = false;
        self.spared_at = now;
    }

    /// For DCCP_SOCKOPT_CCID_TX_INFO.
    pub(crate) fn figures(&self) -> SenderFigures {
        SenderFigures {
            rate: self.rate(),
            received: self.heard,
            equation: match self.loss > 0.0 {
                true => self.equation,
                false => 0.0,
            },
            rtt: self.rtt.estimate(),
            loss: self.loss,
            no_feedback: self.no_feedback(),
            interval: self.interval(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ccid::ccid3_receiver::Feedback;
    use sockeye_wire::dccp::options::block;

    /// RFC 4342 §5.2-1: each packet that found no room counts once, and one a round trip remains.
    /// RFC 4340 §11.7.1-3: of a rate.
    #[test]
    fn a_full_receiver_takes_one_packet_a_round_trip_each() {
        let rtt = Duration::from_millis(100);
        let rate = |dropped: &[u8], again: &[u8]| {
            let mut now = Instant::from_millis(1000);
            let mut sender = Ccid3::new(1000, now);
            sender.measured(rtt, now);
            for seq in 0..20 {
                sender.departed(&Departed {
                    seq: Seq::new(seq),
                    at: now,
                    data: true,
                    size: 1000,
                    last: false,
                });
            }
            for (ack, dropped) in [(10, dropped), (11, again)] {
                now += rtt;
                sender.reported(&Report {
                    now,
                    ack: Seq::new(ack),
                    vector: &[],
                    dropped,
                    elapsed: None,
                    slow_receiver: ack == 11,
                    feedback: &Feedback {
                        receive_rate: Some(1_000_000),
                        ..Feedback::default()
                    },
                });
            }
            sender.rate
        };
        let packet = 10_000.0;
        let plain = rate(&[], &[]);
        let two = block(Some(2), 2);
        assert!((plain - rate(&[two], &[]) - 2.0 * packet).abs() < 2000.0);
        // Told again, behind a packet that arrived.
        assert!((plain - rate(&[two], &[block(None, 1), two]) - 2.0 * packet).abs() < 2000.0);
        assert!(rate(&[block(Some(2), 10)], &[]) >= packet * 0.9);
    }
}
