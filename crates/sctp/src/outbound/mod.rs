//! What is to be sent: messages wait in the queues of their streams and come out as fragments
//! (RFC 9260 §6.9), by the order of a scheduler (RFC 8260 §3).
//!
//! - A stream's queue, and how a message is cut: `stream`.
//! - Whose turn it is: `scheduler`.
//! - When a message is given up (RFC 3758, 7496): `policy`.
//!
//! TSNs and what becomes of fragments that were sent are the association's. A stream costs nothing
//! before it is used.
//!
//! Messages get their number (SSN or MID) with their first fragment, so one that is given up
//! before leaves no hole. Without interleaving (RFC 8260) a message that has begun is sent to its
//! end before any other, since its fragments need consecutive TSNs.

mod policy;
mod scheduler;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use policy::Policy;
pub(crate) use scheduler::Discipline;

use crate::statistics::Abandoned;
use bytes::Bytes;
use scheduler::Scheduler;
use sockeye_core::Instant;
use std::collections::BTreeMap;
use stream::{Message, Stream};

/// Most messages that wait.
pub(crate) const MESSAGES_MAX: usize = 65_536;

/// What a message wants of the packets that carry it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manner {
    /// The path that it goes by at first (SCTP_ADDR_OVER); else that of all data.
    pub(crate) path: Option<u8>,
    /// The shared key that they are signed with (SCTP_AUTHINFO); else the active one.
    pub(crate) key: Option<u16>,
}

/// A message of the user, or a part of one (SCTP_EXPLICIT_EOR of RFC 6458 §8.1.26).
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    /// Not empty.
    pub(crate) data: Bytes,
    pub(crate) ppid: u32,
    pub(crate) unordered: bool,
    /// The last fragment asks for a SACK at once (RFC 7053 §4.1).
    pub(crate) immediate: bool,
    /// The user's, for reports.
    pub(crate) context: u32,
    pub(crate) policy: Policy,
    pub(crate) manner: Manner,
}

/// Why a message is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such stream.
    NoStream,
    /// It is empty.
    Empty,
    /// Too many messages wait.
    Full,
}

/// A piece of a message, to become a DATA or I-DATA chunk.
#[derive(Clone, Debug)]
pub(crate) struct Fragment {
    pub(crate) stream: u16,
    /// Stream sequence number, or message identifier.
    pub(crate) number: u32,
    pub(crate) fsn: u32,
    pub(crate) ppid: u32,
    pub(crate) unordered: bool,
    pub(crate) begin: bool,
    pub(crate) end: bool,
    pub(crate) immediate: bool,
    pub(crate) data: Bytes,
    /// The same for all fragments of a message.
    pub(crate) message: u64,
    pub(crate) context: u32,
    pub(crate) policy: Policy,
    /// See [`Manner::key`].
    pub(crate) key: Option<u16>,
}

/// A message, or its rest, that will not be sent.
#[derive(Clone, Debug)]
pub(crate) struct Unsent {
    pub(crate) stream: u16,
    pub(crate) ppid: u32,
    pub(crate) context: u32,
    pub(crate) unordered: bool,
    /// Fragments of it were sent.
    pub(crate) begun: bool,
    pub(crate) data: Vec<Bytes>,
}

/// The sending side of an association.
#[derive(Debug)]
pub(crate) struct Outbound {
    count: u16,
    interleaving: bool,
    streams: BTreeMap<u16, Stream>,
    scheduler: Scheduler,
    /// Streams begin paused.
    paused: bool,
    /// The stream whose message is under way and must be finished.
    current: Option<u16>,
    /// Names the next message.
    next_message: u64,
    messages: usize,
    bytes: usize,
    /// Bytes in one piece at the head of whose turn it is; 0 when nobody has one.
    ahead: usize,
    /// How it goes.
    manner: Manner,
    /// No message ends before.
    soonest_end: Instant,
    unsent: Vec<Unsent>,
    abandoned: Abandoned,
}

impl Outbound {
    /// No messages, on `streams` streams.
    pub(crate) fn new(streams: u16, interleaving: bool) -> Self {
        Self {
            count: streams,
            interleaving,
            streams: BTreeMap::new(),
            scheduler: Scheduler::default(),
            paused: false,
            current: None,
            next_message: 0,
            messages: 0,
            bytes: 0,
            ahead: 0,
            manner: Manner::default(),
            soonest_end: Instant::FAR,
            unsent: Vec::new(),
            abandoned: Abandoned::default(),
        }
    }

    /// How many streams there are.
    pub(crate) fn streams(&self) -> u16 {
        self.count
    }

    /// Says how many streams the peer allows. Messages on others are handed back.
    pub(crate) fn set_streams(&mut self, count: u16) -> Vec<Unsent> {
        self.count = count;
        let gone: Vec<u16> = self.streams.range(count..).map(|(id, _)| *id).collect();
        for id in gone {
            self.empty_stream(id);
            self.streams.remove(&id);
        }
        self.take_unsent()
    }

    /// RFC 6525 §5.1.5: `count` streams more; false, and no change, when they would be too many.
    pub(crate) fn add_streams(&mut self, count: u16) -> bool {
        let sum = self.count.checked_add(count);
        self.count = sum.unwrap_or(self.count);
        sum.is_some()
    }

    /// Whether fragments of messages may mix: before the first is sent.
    pub(crate) fn set_interleaving(&mut self, on: bool) {
        self.interleaving = on;
    }

    /// Takes a message.
    pub(crate) fn push(&mut self, stream: u16, message: Outgoing) -> Result<(), Refusal> {
        self.push_part(stream, message, true)
    }

    /// Takes a message, or a part of one: `end` with the last. A part joins the stream's last
    /// message if that one lacks its end.
    pub(crate) fn push_part(
        &mut self,
        stream: u16,
        message: Outgoing,
        end: bool,
    ) -> Result<(), Refusal> {
        if stream >= self.count {
            return Err(Refusal::NoStream);
        }
        if message.data.is_empty() {
            return Err(Refusal::Empty);
        }
        let paused = self.paused;
        let queue = self
            .streams
            .entry(stream)
            .or_insert_with(|| Stream::new(paused));
        let len = message.data.len();
        if let Some(open) = queue.open_message() {
            open.append(message.data, end);
        } else if self.messages >= MESSAGES_MAX {
            return Err(Refusal::Full);
        } else {
            if let Policy::Timed(end) = message.policy {
                self.soonest_end = self.soonest_end.min(end);
            }
            queue.push(Message::new(self.next_message, message, end));
            self.next_message += 1;
            self.messages += 1;
        }
        self.bytes += len;
        self.schedule(stream);
        Ok(())
    }

    /// Bytes that wait.
    pub(crate) fn queued(&self) -> usize {
        self.bytes
    }

    /// Messages that wait, those under way among them.
    #[cfg(test)]
    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Whether messages wait on a stream.
    #[cfg(test)]
    pub(crate) fn has_queued(&self, stream: u16) -> bool {
        self.streams.get(&stream).is_some_and(|s| !s.is_empty())
    }

    /// The stream that is to send next.
    fn turn(&self) -> Option<u16> {
        match self.current {
            // It may wait for the user's next part.
            Some(id) => self.streams.get(&id)?.has_bytes().then_some(id),
            None => self.scheduler.first(),
        }
    }

    fn look_ahead(&self) -> (usize, Manner) {
        let stream = self.turn().and_then(|id| self.streams.get(&id));
        stream.map_or((0, Manner::default()), Stream::ahead)
    }

    /// How what [`pop`](Self::pop) will give wants to go.
    pub(crate) fn next_manner(&self) -> Manner {
        self.manner
    }

    /// Paths have other numbers now; `None` for one that is gone.
    pub(crate) fn renumber_paths(&mut self, moved: impl Fn(u8) -> Option<u8>) {
        for stream in self.streams.values_mut() {
            stream.renumber_paths(&moved);
        }
        (self.ahead, self.manner) = self.look_ahead();
    }

    /// Whether a message waits that is to be signed with this key.
    pub(crate) fn uses_key(&self, key: u16) -> bool {
        self.streams.values().any(|stream| stream.uses_key(key))
    }

    /// Bytes that [`pop`](Self::pop) will give.
    pub(crate) fn next_len(&self, most: usize) -> Option<usize> {
        debug_assert_eq!((self.ahead, self.manner), self.look_ahead());
        (self.ahead > 0).then(|| self.ahead.min(most))
    }

    /// The next fragment, of at most `most` bytes.
    pub(crate) fn pop(&mut self, most: usize, _now: Instant) -> Option<Fragment> {
        let id = self.turn()?;
        let stream = self.streams.get_mut(&id)?;
        let fragment = stream.pop(id, most, self.interleaving)?;
        self.bytes -= fragment.data.len();
        self.messages -= usize::from(fragment.end);
        self.current = (!fragment.end && !self.interleaving).then_some(id);
        self.scheduler.charge(stream, &fragment, self.interleaving);
        self.schedule(id);
        Some(fragment)
    }

    /// A packet has been filled: the scheduler of packets goes on to the next stream
    /// (RFC 8260 §3.3).
    pub(crate) fn packet_done(&mut self) {
        let Some(id) = self.scheduler.packet_done() else {
            return;
        };
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.served = self.scheduler.next_turn();
        }
        self.schedule(id);
    }

    /// Chooses the scheduler (RFC 8260 §4.3.2).
    pub(crate) fn set_discipline(&mut self, discipline: Discipline) {
        self.scheduler.set_discipline(discipline);
        let ids: Vec<u16> = self.streams.keys().copied().collect();
        for id in ids {
            self.schedule(id);
        }
    }

    /// Gives a stream its value: a priority or a weight (RFC 8260 §4.3.3). False when there is no
    /// such stream.
    pub(crate) fn set_value(&mut self, id: u16, value: u16) -> bool {
        if id >= self.count {
            return false;
        }
        let paused = self.paused;
        let stream = self.streams.entry(id);
        stream.or_insert_with(|| Stream::new(paused)).value = value;
        self.schedule(id);
        true
    }

    /// A stream's value.
    pub(crate) fn value(&self, id: u16) -> Option<u16> {
        let value = self.streams.get(&id).map_or(0, |stream| stream.value);
        (id < self.count).then_some(value)
    }

    /// Stops or resumes streams, all when none is named: RFC 6525 §5.1.2 A1: one that is being reset
    /// sends nothing new. A message that has begun goes on.
    pub(crate) fn pause(&mut self, streams: &[u16], paused: bool) {
        let ids: Vec<u16> = match streams {
            [] => self.streams.keys().copied().collect(),
            some => some.to_vec(),
        };
        if streams.is_empty() {
            self.paused = paused;
        }
        let count = self.count;
        for id in ids.into_iter().filter(|id| *id < count) {
            let stream = self.streams.entry(id);
            stream.or_insert_with(|| Stream::new(paused)).paused = paused;
            self.schedule(id);
        }
    }

    /// Whether a message that has begun waits for its rest, on one of these streams or, when none is
    /// named, on any.
    pub(crate) fn is_under_way(&self, streams: &[u16]) -> bool {
        match streams {
            [] => self.streams.values().any(Stream::is_under_way),
            some => some
                .iter()
                .any(|id| self.streams.get(id).is_some_and(Stream::is_under_way)),
        }
    }

    /// RFC 6525 §5.1.2: the messages of these streams, or of all when none is named, are numbered
    /// from 0 again.
    pub(crate) fn reset_streams(&mut self, streams: &[u16]) {
        for (id, stream) in &mut self.streams {
            if streams.is_empty() || streams.contains(id) {
                stream.reset();
            }
        }
    }

    /// Puts a stream to its place with the scheduler, or takes it out, and sees whose turn it is.
    fn schedule(&mut self, id: u16) {
        if let Some(stream) = self.streams.get_mut(&id) {
            self.scheduler.place(id, stream);
        }
        (self.ahead, self.manner) = self.look_ahead();
    }

    /// Gives up the rest of a message that is under way (RFC 3758 §3.5 A3); says whether there was
    /// one.
    pub(crate) fn abandon(&mut self, id: u16, message: u64) -> bool {
        let stream = self.streams.get_mut(&id);
        let Some(rest) = stream.and_then(|stream| stream.remove(message)) else {
            return false;
        };
        self.give_up(id, rest);
        self.schedule(id);
        true
    }

    /// Drops messages whose time is over and that were not begun (RFC 7496 §3.1: the timed policy).
    pub(crate) fn expire(&mut self, now: Instant) {
        if now < self.soonest_end {
            return;
        }
        let ids: Vec<u16> = self.streams.keys().copied().collect();
        for id in ids {
            self.remove_where(id, |message| {
                !message.is_begun() && message.policy().is_over(now, 0)
            });
        }
        let ends = self.streams.values().filter_map(Stream::soonest_end);
        self.soonest_end = ends.min().unwrap_or(Instant::FAR);
    }

    /// RFC 7496 §3.3 (priority policy): gives up unsent messages of less importance than `value`,
    /// the least important first, until `wanted` bytes are free. Says how many became free.
    pub(crate) fn make_room(&mut self, value: u32, wanted: usize) -> usize {
        let before = self.bytes;
        while before - self.bytes < wanted {
            let all = self.streams.iter();
            let least = all.flat_map(|(id, s)| s.priorities().map(|(p, m)| (p, m, *id)));
            let Some((_, message, id)) = least.filter(|(p, ..)| *p > value).max() else {
                break;
            };
            self.remove_where(id, |candidate| candidate.id() == message);
        }
        before - self.bytes
    }

    fn remove_where(&mut self, id: u16, gone: impl Fn(&Message) -> bool) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let removed = stream.remove_where(gone);
        if removed.is_empty() {
            return;
        }
        for message in removed {
            self.give_up(id, message);
        }
        self.schedule(id);
    }

    fn empty_stream(&mut self, id: u16) {
        self.remove_where(id, |_| true);
    }

    fn give_up(&mut self, id: u16, message: Message) {
        if message.is_begun() && self.current == Some(id) {
            self.current = None;
        }
        self.messages -= 1;
        self.bytes -= message.len();
        if !message.is_begun() {
            self.count_abandoned(id, message.policy(), false);
        }
        self.unsent.push(message.into_unsent(id));
    }

    /// The messages that were given up since the last call.
    pub(crate) fn take_unsent(&mut self) -> Vec<Unsent> {
        std::mem::take(&mut self.unsent)
    }

    /// A message of a stream was given up after a part of it was sent, or before.
    pub(crate) fn count_abandoned(&mut self, id: u16, policy: Policy, sent: bool) {
        self.abandoned.count(policy, sent);
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.abandoned.count(policy, sent);
        }
    }

    /// How many messages were given up, by policy (RFC 7496 §4.3).
    pub(crate) fn abandoned(&self) -> Abandoned {
        self.abandoned
    }

    /// How many of one stream were (RFC 7496 §4.4); `None` when there is no such stream.
    pub(crate) fn abandoned_on(&self, id: u16) -> Option<Abandoned> {
        let stream = self.streams.get(&id).map(|stream| stream.abandoned);
        (id < self.count).then_some(stream.unwrap_or_default())
    }
}
