//! CCID 2, TCP-like congestion control (RFC 4341), on the window of `sockeye_core::congestion` with
//! packets for bytes.
//!
//! Losses come from Ack Vectors alone (§5): a packet is lost when three that were sent after it have
//! arrived. Nothing is sent again.

use super::{Departed, Report, When};
use crate::rtt::Rtt;
use core::time::Duration;
use sockeye_core::Instant;
use sockeye_core::congestion::{self, Cause, CongestionController, Phase, Setup};
use sockeye_wire::dccp::Seq;
use sockeye_wire::dccp::options::{ack_state, blocks, runs};
use std::collections::VecDeque;

/// RFC 4341 §5: NUMDUPACK.
const DUPLICATES: usize = 3;
/// Packets that are remembered.
const SENT_MAX: usize = 8192;
/// The window grows no further.
const CWND_MAX: u64 = SENT_MAX as u64 / 2;
/// The largest Ack Ratio that is asked for.
const ACK_RATIO_MAX: u64 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Outstanding,
    Arrived,
    Lost,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    seq: Seq,
    at: Instant,
    data: bool,
    fate: Fate,
    /// It has been reported as marked, or its data as dropped.
    marked: bool,
    dropped: bool,
}

/// The sender.
#[derive(Debug)]
pub(crate) struct Ccid2 {
    control: Box<dyn CongestionController>,
    /// The window at the beginning.
    initial: u64,
    sent: VecDeque<Sent>,
    /// The newest packet that has arrived.
    arrived: Option<Seq>,
    /// Data packets outstanding.
    pipe: u64,
    pub(crate) rtt: Rtt,
    /// The newest packet that was sent when congestion was last found: losses and marks up to it are of
    /// the same event, whenever they show.
    recovery: Option<Seq>,
    /// Nothing that was sent after `recovery` has been acknowledged yet.
    recovering: bool,
    /// The next measurement is of a packet that was sent after this one.
    measure_after: Option<Seq>,
    timer: Instant,
    last_data: Instant,
    timed_out: bool,
    /// Data packets that were sent.
    departed: u64,
    usage: congestion::Usage,
    delivered: u64,
    /// Half packets of slow start (§5: one packet for two acknowledged).
    half: u64,
    acks: Acks,
}

/// Congestion control of acknowledgements (§6.1).
#[derive(Debug)]
struct Acks {
    ratio: u64,
    /// When the window that is looked at began, and whether anything was lost in it.
    since: Instant,
    congested: bool,
    /// Windows without congestion, one after the other.
    quiet: u64,
    /// Data packets since the last acknowledgement of acknowledgements, and whether there is one to
    /// acknowledge.
    data: u64,
    heard: bool,
}

impl Ccid2 {
    pub(crate) fn new(packet_size: u32, now: Instant) -> Self {
        // RFC 4341 §5 with RFC 3390: at most four packets.
        let bytes = (4 * packet_size).min((2 * packet_size).max(4380));
        let initial = u64::from((bytes / packet_size.max(1)).clamp(1, 4));
        let mut control = congestion::by_name("reno", &Setup::new(1))
            .unwrap_or_else(|| Box::new(congestion::Reno::new(1)));
        control.set_window(initial, u64::MAX);
        Self {
            control,
            initial,
            sent: VecDeque::new(),
            arrived: None,
            pipe: 0,
            rtt: Rtt::default(),
            recovery: None,
            recovering: false,
            measure_after: None,
            timer: Instant::FAR,
            last_data: now,
            timed_out: false,
            departed: 0,
            usage: congestion::Usage::default(),
            delivered: 0,
            half: 0,
            acks: Acks {
                ratio: 2,
                since: now,
                congested: false,
                quiet: 0,
                data: 0,
                heard: false,
            },
        }
    }

    pub(crate) fn cwnd(&self) -> u64 {
        self.control.cwnd().clamp(1, CWND_MAX)
    }

    /// §5: while pipe is below cwnd.
    /// RFC 4341 §5-1: not while pipe is cwnd or more.
    pub(crate) fn when(&self) -> When {
        match self.pipe < self.cwnd() && self.sent.len() < SENT_MAX {
            true => When::Now,
            false => When::Blocked,
        }
    }

    /// RFC 4341 §5-5: data alone is in the pipe.
    pub(crate) fn departed(&mut self, packet: &Departed) {
        // What carries no data counts only as something sent after data.
        if !packet.data && self.sent.is_empty() {
            return;
        }
        if self.sent.len() >= SENT_MAX {
            self.sent.pop_front();
        }
        if packet.data {
            let idle = packet.at - self.last_data;
            if self.pipe == 0 && idle > self.rtt.rto() {
                self.restart(idle);
            }
            self.last_data = packet.at;
            self.pipe += 1;
            self.acks.data += 1;
            self.departed += 1;
            let settled = self.departed - self.pipe;
            let full = self.pipe >= self.cwnd();
            self.usage.on_transmit(full, settled, self.departed);
            if self.timer == Instant::FAR {
                self.timer = packet.at + self.rtt.rto();
            }
            let in_flight = self.pipe;
            self.control.on_sent(&congestion::Sent {
                now: packet.at,
                bytes: 1,
                in_flight,
                app_limited: packet.last && in_flight < self.cwnd(),
            });
        }
        self.sent.push_back(Sent {
            seq: packet.seq,
            at: packet.at,
            data: packet.data,
            fate: Fate::Outstanding,
            marked: false,
            dropped: false,
        });
    }

    /// §5.1, RFC 2861 §3: of the window half is left for each time-out without data, but the initial window.
    fn restart(&mut self, idle: Duration) {
        let rto = self.rtt.rto().as_nanos().max(1);
        let halvings = u32::try_from(idle.as_nanos().saturating_sub(1) / rto).unwrap_or(u32::MAX);
        let (before, ssthresh) = (self.control.cwnd(), self.control.ssthresh());
        let left = before.checked_shr(halvings).unwrap_or(0);
        let cwnd = left.max(self.initial.min(before));
        self.control.set_window(cwnd, ssthresh.max(before / 4 * 3));
    }

    pub(crate) fn reported(&mut self, report: &Report<'_>) {
        self.acks.heard = true;
        let before = self.pipe;
        let mut news = self.arrivals(report);
        news.lost = self.find_losses();
        news.dropped = self.drops(report);
        self.measure(report, &news);
        if news.acked > 0 {
            self.timed_out = false;
        }
        self.steer(report, &news, before);
        self.forget();
        if self.pipe == 0 {
            self.timer = Instant::FAR;
        } else if news.acked > 0 {
            self.timer = report.now + self.rtt.rto();
        }
    }

    /// Takes in which packets the vectors say have arrived.
    fn arrivals(&mut self, report: &Report<'_>) -> News {
        let mut news = News::default();
        let mut seq = report.ack;
        let oldest = self.sent.front().map(|sent| sent.seq);
        for (state, packets) in runs(report.vector) {
            // All that is older has been settled.
            if oldest.is_none_or(|oldest| seq.before(oldest)) {
                break;
            }
            for n in 0..u64::from(packets) {
                if state != ack_state::NOT_RECEIVED {
                    self.arrived(seq - n, state == ack_state::MARKED, &mut news);
                }
            }
            seq = seq - u64::from(packets);
        }
        if report.vector.is_empty() {
            self.arrived(report.ack, false, &mut news);
        }
        news
    }

    /// RFC 4341 §5-2, §5-3 and §5-4: once, and not again when it was lost before.
    fn arrived(&mut self, seq: Seq, marked: bool, news: &mut News) {
        let Some(sent) = find(&mut self.sent, seq) else {
            return;
        };
        // RFC 4340 §11.4.1: once it has arrived, it has.
        if marked && !sent.marked {
            sent.marked = true;
            news.congestion(sent.seq, Cause::Ecn);
        }
        if sent.fate == Fate::Arrived {
            return;
        }
        let was = core::mem::replace(&mut sent.fate, Fate::Arrived);
        self.arrived = Some(self.arrived.map_or(seq, |newest| newest.later(seq)));
        if !sent.data {
            return;
        }
        news.newest = Some(news.newest.map_or(seq, |newest: Seq| newest.later(seq)));
        // §5: not again for what had been inferred as lost.
        if was == Fate::Outstanding {
            self.pipe = self.pipe.saturating_sub(1);
        }
        self.delivered += 1;
        news.acked += 1;
        if !marked {
            news.clean += 1;
        }
    }

    /// §5: a packet is lost when [`DUPLICATES`] that were sent after it have arrived.
    fn find_losses(&mut self) -> Option<Seq> {
        let mut later = 0;
        let mut newest = None;
        // Nothing that was sent after the newest that has arrived is lost yet.
        let arrived = self.arrived.and_then(|seq| place(&self.sent, seq));
        let known = arrived.map_or(0, |at| at + 1);
        for sent in self.sent.iter_mut().take(known).rev() {
            match sent.fate {
                Fate::Arrived => later += 1,
                Fate::Outstanding if later >= DUPLICATES => {
                    sent.fate = Fate::Lost;
                    if sent.data {
                        self.pipe = self.pipe.saturating_sub(1);
                        newest = newest.or(Some(sent.seq));
                    }
                }
                Fate::Outstanding | Fate::Lost => {}
            }
        }
        newest
    }

    /// §5.2: packets newly reported as dropped in a receive buffer; other codes but 0 and 1 count as
    /// marks (RFC 4340 §11.7.2).
    /// RFC 4340 §11.7-1, §11.7-2 and §11.7.2-1: as marks.
    fn drops(&mut self, report: &Report<'_>) -> Drops {
        let mut drops = Drops::default();
        let mut seq = report.ack;
        for (code, packets) in blocks(report.dropped) {
            for n in 0..u64::from(packets) {
                let (Some(code), Some(sent)) = (code, find(&mut self.sent, seq - n)) else {
                    continue;
                };
                if sent.fate != Fate::Arrived || core::mem::replace(&mut sent.dropped, true) {
                    continue;
                }
                match code {
                    0 | 1 => {}
                    2 => drops.buffer += 1,
                    // The newest comes first.
                    _ => drops.marked = drops.marked.or(Some(sent.seq)),
                }
            }
            seq = seq - u64::from(packets);
        }
        drops
    }

    /// §5: once for each window of data.
    fn measure(&mut self, report: &Report<'_>, news: &News) {
        if news.newest != Some(report.ack) {
            return;
        }
        let Some(sent) = find(&mut self.sent, report.ack) else {
            return;
        };
        if self
            .measure_after
            .is_some_and(|after| !sent.seq.after(after))
        {
            return;
        }
        let rtt = (report.now - sent.at).saturating_sub(report.elapsed.unwrap_or_default());
        self.measure_after = self.sent.back().map(|sent| sent.seq);
        self.rtt.measured(rtt);
    }

    /// Tells the controller.
    fn steer(&mut self, report: &Report<'_>, news: &News, before: u64) {
        let now = report.now;
        let later = |seq: Seq, point: Option<Seq>| point.is_none_or(|point| seq.after(point));
        if self.recovering
            && news
                .newest
                .is_some_and(|newest| later(newest, self.recovery))
        {
            self.recovering = false;
            self.control.on_recovered(now, self.pipe);
        }
        // RFC 4340 §11.7.1-1 and §11.7.1-2: both take, and while data is dropped nothing is given.
        let marked = news.marked.or(news.dropped.marked);
        let events = [(news.lost, Cause::Loss), (marked, Cause::Ecn)];
        for (seq, cause) in events {
            let Some(seq) = seq else { continue };
            // §5: what was sent before the first of them was found is part of one event. The last packets of
            // a window are found missing by packets of the next one.
            if later(seq, self.recovery) {
                self.recovery = self.sent.back().map(|sent| sent.seq);
                self.recovering = true;
                self.halve(now, cause);
            }
        }
        if news.dropped.buffer > 0 {
            let cwnd = self
                .control
                .cwnd()
                .saturating_sub(news.dropped.buffer)
                .max(1);
            self.control
                .set_window(cwnd, self.control.ssthresh().min(cwnd));
        }
        // §5.2: MUST exit slow start.
        // RFC 4341 §5.2-1: slow start ends.
        let exits = report.slow_receiver || news.dropped.buffer > 0;
        if exits && self.control.cwnd() < self.control.ssthresh() {
            let cwnd = self.control.cwnd();
            self.control.set_window(cwnd, cwnd);
        }
        let cwnd = self.control.cwnd();
        if cwnd >= CWND_MAX || report.slow_receiver || news.dropped.buffer > 0 {
            return;
        }
        let mut acked = news.clean;
        // §5: one packet for every two acknowledged. Not only Ack Ratio/2 for one acknowledgement: a receiver
        // that takes in many packets at once acknowledges them at once, and what counts are packets.
        if cwnd < self.control.ssthresh() {
            self.half += acked;
            acked = self.half / 2;
            self.half %= 2;
        }
        if acked == 0 {
            return;
        }
        let phase = match self.recovering {
            true => Phase::Recovery,
            false => Phase::Open,
        };
        self.control.on_ack(&congestion::Ack {
            now,
            acked,
            in_flight_before: before,
            in_flight: self.pipe,
            cwnd_limited: self.usage.is_cwnd_limited(cwnd, self.control.ssthresh()),
            phase,
            srtt: self.rtt.srtt(),
            delivered: self.delivered,
            ..congestion::Ack::default()
        });
    }

    /// §5: half, rounded down; one packet at least, and two for ssthresh. Of TCP's two nothing is said.
    fn halve(&mut self, now: Instant, cause: Cause) {
        let before = self.control.cwnd();
        self.control.on_congestion(now, cause, self.pipe);
        if before < 4 {
            self.control.set_window((before / 2).max(1), 2);
        }
    }

    /// Forgets what has been settled, but for a few that tell of others.
    fn forget(&mut self) {
        while let Some(front) = self.sent.front()
            && front.fate != Fate::Outstanding
            && self.sent.len() > DUPLICATES
        {
            self.sent.pop_front();
        }
        if self.pipe == 0
            && self
                .sent
                .iter()
                .all(|s| s.fate != Fate::Outstanding || !s.data)
        {
            self.sent.clear();
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.timer
    }

    /// §5: the transmit time-out.
    pub(crate) fn timeout(&mut self, now: Instant) {
        if self.timer > now {
            return;
        }
        for sent in &mut self.sent {
            if sent.fate == Fate::Outstanding {
                sent.fate = Fate::Lost;
            }
        }
        self.pipe = 0;
        self.rtt.back_off();
        let cause = match core::mem::replace(&mut self.timed_out, true) {
            true => Cause::TimeoutAgain,
            false => Cause::Timeout,
        };
        self.recovery = self.sent.back().map(|sent| sent.seq);
        // Slow start begins with what is acknowledged next.
        self.recovering = false;
        self.control.on_congestion(now, cause, 0);
        self.timer = Instant::FAR;
    }

    /// RFC 4341 §6.1.2 allows one for a window of one or two packets: what a receiver waits for beyond that
    /// may not be allowed to leave, and the window would last as long as it delays an acknowledgement.
    pub(crate) fn ack_ratio(&self) -> u64 {
        match self.cwnd() {
            ..=2 => 1,
            _ => self.acks.ratio,
        }
    }

    /// §6.1.2: doubled for each window with losses, one less after cwnd/(R² - R) windows without.
    pub(crate) fn acks_congested(&mut self, now: Instant, congested: bool) {
        let cwnd = self.cwnd();
        let rtt = self.rtt.estimate();
        let acks = &mut self.acks;
        acks.congested |= congested;
        if now - acks.since < rtt {
            return;
        }
        acks.since = now;
        let ratio = acks.ratio;
        if core::mem::take(&mut acks.congested) {
            acks.quiet = 0;
            acks.ratio *= 2;
        } else {
            acks.quiet += 1;
            if ratio > 1 && acks.quiet >= (cwnd / (ratio * ratio - ratio)).max(1) {
                acks.quiet = 0;
                acks.ratio -= 1;
            }
        }
        // §6.1.2: no more than half of cwnd, but two is always right. One when the window has come down to
        // one or two packets, until it is four: what a receiver waits for then may not be allowed to leave.
        let least = match (cwnd, ratio) {
            (..=2, _) | (3, 1) => 1,
            _ => 2,
        };
        let most = cwnd.div_ceil(2).clamp(2, ACK_RATIO_MAX);
        acks.ratio = acks.ratio.clamp(least, most);
    }

    /// §6.2: once for each congestion window.
    /// RFC 4341 §6.2-1: so that the receiver can forget.
    pub(crate) fn wants_ack_of_acks(&self) -> bool {
        self.acks.heard && self.acks.data >= self.cwnd().min(64)
    }

    pub(crate) fn acked_acks(&mut self) {
        self.acks.data = 0;
        self.acks.heard = false;
    }

    #[cfg(test)]
    pub(crate) fn pipe(&self) -> u64 {
        self.pipe
    }
}

/// What a report told that was not known.
#[derive(Debug, Default)]
struct News {
    acked: u64,
    /// Of these, without a mark.
    clean: u64,
    newest: Option<Seq>,
    lost: Option<Seq>,
    marked: Option<Seq>,
    dropped: Drops,
}

#[derive(Debug, Default)]
struct Drops {
    buffer: u64,
    marked: Option<Seq>,
}

impl News {
    fn congestion(&mut self, seq: Seq, _cause: Cause) {
        self.marked = Some(self.marked.map_or(seq, |marked| marked.later(seq)));
    }
}

/// Packets are numbered one after the other, and all are kept from the first that carries data on.
/// RFC 4340 §11.4.1-1: what was forgotten is acknowledged in vain.
fn find(sent: &mut VecDeque<Sent>, seq: Seq) -> Option<&mut Sent> {
    let at = place(sent, seq)?;
    sent.get_mut(at).filter(|s| s.seq == seq)
}

/// Where it would be among them.
fn place(sent: &VecDeque<Sent>, seq: Seq) -> Option<usize> {
    let first = sent.front()?.seq;
    match seq.before(first) {
        true => None,
        false => usize::try_from(first.packets_to(seq)).ok(),
    }
}

#[cfg(test)]
mod tests;
