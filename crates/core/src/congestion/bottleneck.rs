//! A path with one bottleneck, and senders that are driven by controllers over it: rounds of sending,
//! queueing, loss and acknowledgment in virtual time.
//!
//! A packet is numbered once and never sent again: what was lost is replaced by new data, as its
//! repair would be. Three later packets acknowledged show a loss. Each packet is acknowledged by
//! itself.

use super::{
    Ack, Cause, CongestionController, Lost, Pacer, Phase, RateSample, Sent, Usage, pacing,
};
use crate::{Instant, Rng};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

pub(super) const SMSS: u64 = 1000;
/// Acknowledgments of later packets that show a loss.
const THRESH: u64 = 3;
const RTO: Duration = Duration::from_secs(1);

/// What the path is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    /// Bytes a second.
    pub(super) rate: u64,
    /// The round trip without a queue.
    pub(super) rtt: Duration,
    /// Bytes that wait at the bottleneck at most.
    pub(super) buffer: u64,
    /// Packets lost at random, of a thousand.
    pub(super) loss_per_mille: u32,
    /// A longer queue is marked (the K of RFC 8257).
    pub(super) mark_above: Option<u64>,
}

impl Path {
    pub(super) fn new(rate: u64, rtt_ms: u64, buffer: u64) -> Self {
        Self {
            rate,
            rtt: Duration::from_millis(rtt_ms),
            buffer,
            loss_per_mille: 0,
            mark_above: None,
        }
    }
}

/// A packet in flight.
#[derive(Clone, Copy, Debug)]
struct Packet {
    sent_at: Instant,
    first_sent_at: Instant,
    delivered_at: Instant,
    delivered: u64,
    lost: u64,
    marked: u64,
    in_flight: u64,
    app_limited: bool,
}

/// A sender with a controller.
pub(super) struct Sender<C: ?Sized> {
    pub(super) controller: Box<C>,
    pacer: Pacer,
    /// Whether windows are paced too.
    pub(super) paced: bool,
    /// Bytes that the application has; endless by default.
    pub(super) backlog: u64,
    next: u64,
    flight: BTreeMap<u64, Packet>,
    largest: u64,
    /// Packets below belong to the episode that is being recovered from.
    recover: Option<(u64, Phase)>,
    pub(super) delivered: u64,
    delivered_at: Instant,
    first_sent_at: Instant,
    pub(super) lost: u64,
    marked: u64,
    usage: Usage,
    srtt: Option<Duration>,
    rtt_min: Option<Duration>,
    heard_at: Instant,
    /// What is sent before so much is delivered is limited by the application (C.app_limited).
    app_limited: u64,
    /// When the pacer lets a packet go, where that is awaited.
    go_at: Instant,
}

impl<C: CongestionController + ?Sized> Sender<C> {
    fn new(controller: Box<C>) -> Self {
        Self {
            controller,
            pacer: Pacer::new(0),
            paced: true,
            backlog: u64::MAX,
            next: 0,
            flight: BTreeMap::new(),
            largest: 0,
            recover: None,
            delivered: 0,
            delivered_at: Instant::ZERO,
            first_sent_at: Instant::ZERO,
            lost: 0,
            marked: 0,
            usage: Usage::default(),
            srtt: None,
            rtt_min: None,
            heard_at: Instant::ZERO,
            app_limited: 0,
            go_at: Instant::ZERO,
        }
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.flight.len() as u64 * SMSS
    }

    /// Whether a packet may leave now; else when it might, by the pacer.
    fn may_send(&mut self, now: Instant) -> Result<(), Option<Instant>> {
        if self.backlog < SMSS {
            if self.in_flight() < self.controller.cwnd() {
                self.app_limited = (self.delivered + self.in_flight()).max(1);
            }
            return Err(None);
        }
        if self.in_flight() + SMSS > self.controller.cwnd() {
            self.note_usage(true);
            return Err(None);
        }
        if self.rate().is_some() && self.pacer.next() > now {
            return Err(Some(self.pacer.next()));
        }
        Ok(())
    }

    /// What was lost counts as acknowledged here: it is not sent again.
    fn note_usage(&mut self, held_up: bool) {
        let sent = self.next * SMSS;
        self.usage
            .on_transmit(held_up, sent - self.in_flight(), sent);
    }

    fn rate(&self) -> Option<u64> {
        let cc = &self.controller;
        cc.pacing_rate().or_else(|| {
            let percent = pacing::percent(cc.cwnd(), cc.ssthresh());
            pacing::window_rate(cc.cwnd(), self.srtt, percent).filter(|_| self.paced)
        })
    }

    /// Sends a packet: its number.
    fn send(&mut self, now: Instant) -> u64 {
        if self.flight.is_empty() {
            self.first_sent_at = now;
            self.delivered_at = now;
            self.heard_at = now;
        }
        if self.backlog != u64::MAX {
            self.backlog -= SMSS;
        }
        let number = self.next;
        self.next += 1;
        let packet = Packet {
            sent_at: now,
            first_sent_at: self.first_sent_at,
            delivered_at: self.delivered_at,
            delivered: self.delivered,
            lost: self.lost,
            marked: self.marked,
            in_flight: self.in_flight() + SMSS,
            app_limited: self.app_limited > 0,
        };
        self.flight.insert(number, packet);
        if let Some(rate) = self.rate() {
            self.pacer.on_sent(now, SMSS, rate);
        }
        self.note_usage(false);
        self.controller.on_sent(&Sent {
            now,
            bytes: SMSS,
            in_flight: self.in_flight(),
            app_limited: packet.app_limited,
        });
        number
    }

    /// The acknowledgment of packet `number`.
    fn acknowledged(&mut self, now: Instant, number: u64, marked: bool) {
        let in_flight_before = self.in_flight();
        let Some(packet) = self.flight.remove(&number) else {
            return;
        };
        self.heard_at = now;
        self.delivered += SMSS;
        self.delivered_at = now;
        if self.delivered > self.app_limited {
            self.app_limited = 0;
        }
        self.marked += u64::from(marked) * SMSS;
        self.largest = self.largest.max(number);
        self.first_sent_at = packet.sent_at;
        let rtt = now - packet.sent_at;
        self.srtt = Some(self.srtt.map_or(rtt, |srtt| (srtt * 7 + rtt) / 8));
        self.rtt_min = Some(self.rtt_min.map_or(rtt, |least| least.min(rtt)));
        let lost = self.find_lost(now);
        let rate = RateSample {
            delivered_before: packet.delivered,
            delivered: self.delivered - packet.delivered,
            interval: (packet.sent_at - packet.first_sent_at).max(now - packet.delivered_at),
            lost: self.lost - packet.lost,
            marked: self.marked - packet.marked,
            in_flight: packet.in_flight,
            app_limited: packet.app_limited,
        };
        if lost > 0 || marked {
            self.congested(now, lost > 0, number);
        }
        let recovered = self.recover.is_some_and(|(point, _)| number >= point);
        if recovered {
            self.recover = None;
        }
        self.controller.on_ack(&Ack {
            now,
            acked: SMSS,
            lost,
            marked: u64::from(marked) * SMSS,
            in_flight_before,
            in_flight: self.in_flight(),
            cwnd_limited: self
                .usage
                .is_cwnd_limited(self.controller.cwnd(), self.controller.ssthresh()),
            phase: self.recover.map_or(Phase::Open, |(_, phase)| phase),
            rtt: Some(rtt),
            srtt: self.srtt,
            rtt_min: self.rtt_min,
            delivered: self.delivered,
            rate: Some(rate),
        });
        if recovered {
            self.controller.on_recovered(now, self.in_flight());
        }
    }

    fn find_lost(&mut self, now: Instant) -> u64 {
        let mut bytes = 0;
        while let Some((&number, &packet)) = self.flight.first_key_value() {
            if number + THRESH > self.largest {
                break;
            }
            self.flight.remove(&number);
            self.lost += SMSS;
            bytes += SMSS;
            self.controller.on_lost(&Lost {
                now,
                bytes: SMSS,
                in_flight: packet.in_flight,
                lost: self.lost - packet.lost,
                app_limited: packet.app_limited,
            });
        }
        bytes
    }

    fn congested(&mut self, now: Instant, loss: bool, number: u64) {
        if self.recover.is_some_and(|(point, _)| number < point) {
            return;
        }
        let (cause, phase) = if loss {
            (Cause::Loss, Phase::Recovery)
        } else {
            (Cause::Ecn, Phase::Reduced)
        };
        self.recover = Some((self.next, phase));
        let in_flight = self.in_flight();
        self.controller.on_congestion(now, cause, in_flight);
    }

    /// Nothing was heard for long: all is lost.
    fn timeout(&mut self, now: Instant) {
        self.lost += self.in_flight();
        self.flight.clear();
        self.recover = Some((self.next, Phase::Loss));
        self.heard_at = now;
        self.controller.on_congestion(now, Cause::Timeout, 0);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// An acknowledgment arrives.
    Ack {
        sender: usize,
        number: u64,
        marked: bool,
    },
    /// The pacer lets a packet go.
    Go { sender: usize },
    /// A look at the timers.
    Tick,
}

/// Senders that share a path.
pub(super) struct Bottleneck<C: ?Sized> {
    pub(super) path: Path,
    pub(super) senders: Vec<Sender<C>>,
    pub(super) now: Instant,
    events: BTreeMap<(Instant, u64), Event>,
    order: u64,
    /// When the bottleneck has sent all that waits.
    busy_until: Instant,
    waiting: VecDeque<Instant>,
    /// The longest queue since it was last asked for, bytes.
    pub(super) queue_max: u64,
    chance: Rng,
}

impl<C: CongestionController + ?Sized> Bottleneck<C> {
    pub(super) fn new(path: Path, controllers: Vec<Box<C>>) -> Self {
        let mut this = Self {
            path,
            senders: controllers.into_iter().map(Sender::new).collect(),
            now: Instant::from_millis(1),
            events: BTreeMap::new(),
            order: 0,
            busy_until: Instant::ZERO,
            waiting: VecDeque::new(),
            queue_max: 0,
            chance: Rng::new([7; 32]),
        };
        this.push(this.now, Event::Tick);
        this
    }

    /// Bytes at the bottleneck.
    pub(super) fn queue(&mut self) -> u64 {
        while self
            .waiting
            .front()
            .is_some_and(|leaves| *leaves <= self.now)
        {
            self.waiting.pop_front();
        }
        self.waiting.len() as u64 * SMSS
    }

    /// Runs until `end_ms`, and calls `each` after every event.
    pub(super) fn run(&mut self, end_ms: u64, mut each: impl FnMut(&mut Self)) {
        let end = Instant::from_millis(end_ms);
        while let Some((&(at, order), _)) = self.events.first_key_value() {
            if at > end {
                break;
            }
            let event = self.events.remove(&(at, order)).unwrap();
            self.now = at;
            match event {
                Event::Ack {
                    sender,
                    number,
                    marked,
                } => {
                    self.senders[sender].acknowledged(at, number, marked);
                    self.transmit(sender);
                }
                Event::Go { sender } => self.transmit(sender),
                Event::Tick => {
                    for sender in 0..self.senders.len() {
                        let this = &mut self.senders[sender];
                        if !this.flight.is_empty() && at - this.heard_at > RTO {
                            this.timeout(at);
                        }
                        self.transmit(sender);
                    }
                    self.push(at + Duration::from_millis(10), Event::Tick);
                }
            }
            each(self);
        }
    }

    fn push(&mut self, at: Instant, event: Event) {
        self.order += 1;
        self.events.insert((at, self.order), event);
    }

    fn transmit(&mut self, sender: usize) {
        loop {
            match self.senders[sender].may_send(self.now) {
                Ok(()) => {
                    let number = self.senders[sender].send(self.now);
                    self.forward(sender, number);
                }
                Err(Some(later)) => {
                    if self.senders[sender].go_at <= self.now {
                        self.senders[sender].go_at = later;
                        self.push(later, Event::Go { sender });
                    }
                    return;
                }
                Err(None) => return,
            }
        }
    }

    /// A packet comes to the bottleneck.
    fn forward(&mut self, sender: usize, number: u64) {
        let queue = self.queue();
        let unlucky = self.chance.below(1000) < self.path.loss_per_mille;
        if unlucky || queue + SMSS > self.path.buffer {
            return;
        }
        self.queue_max = self.queue_max.max(queue + SMSS);
        let marked = self.path.mark_above.is_some_and(|above| queue > above);
        let leaves = self.busy_until.max(self.now) + pacing::duration(SMSS, self.path.rate);
        self.busy_until = leaves;
        self.waiting.push_back(leaves);
        let event = Event::Ack {
            sender,
            number,
            marked,
        };
        // What a sender's machine adds, so that flows do not run in lockstep.
        let service = u32::try_from(pacing::duration(SMSS, self.path.rate).as_nanos()).unwrap();
        let jitter = Duration::from_nanos(self.chance.below(service).into());
        self.push(leaves + self.path.rtt + jitter, event);
    }
}
