//! A stream's queue, and how a message is cut into fragments (RFC 9260 §6.9).

use super::{Fragment, Manner, Outgoing, Policy, Unsent};
use crate::statistics::Abandoned;
use bytes::Bytes;
use sockeye_core::Instant;
use std::collections::VecDeque;

/// One outbound stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    queue: VecDeque<Message>,
    /// The numbers of the next ordered and the next unordered message.
    next_ordered: u32,
    next_unordered: u32,
    /// Its priority or weight, for the scheduler.
    pub(super) value: u16,
    /// Where it stands with the scheduler, if it does.
    pub(super) rank: Option<(u64, u64)>,
    /// Up to where it has been served, in the scheduler's virtual time.
    pub(super) served: u64,
    /// It begins no message.
    pub(super) paused: bool,
    /// Messages of it that were given up.
    pub(super) abandoned: Abandoned,
}

/// A message that waits, or its rest.
#[derive(Debug)]
pub(super) struct Message {
    id: u64,
    /// What is cut next, and what the user has said behind it.
    part: Bytes,
    more: VecDeque<Bytes>,
    /// Bytes in both.
    len: usize,
    /// The user has said all of it.
    complete: bool,
    /// Its number, once its first fragment has been made, and how many have.
    number: Option<u32>,
    fragments: u32,
    ppid: u32,
    unordered: bool,
    immediate: bool,
    context: u32,
    policy: Policy,
    manner: Manner,
}

impl Stream {
    pub(super) fn new(paused: bool) -> Self {
        Self {
            paused,
            ..Self::default()
        }
    }

    pub(super) fn push(&mut self, message: Message) {
        self.queue.push_back(message);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The last message, if its end is still to come.
    pub(super) fn open_message(&mut self) -> Option<&mut Message> {
        self.queue.back_mut().filter(|message| !message.complete)
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.queue.front().is_some_and(Message::is_begun)
    }

    /// Whether there is something to send now.
    pub(super) fn has_bytes(&self) -> bool {
        let first = self.queue.front();
        first.is_some_and(|m| m.len > 0 && (m.is_begun() || !self.paused))
    }

    /// The message at the head.
    pub(super) fn head(&self) -> Option<u64> {
        self.queue.front().map(|message| message.id)
    }

    /// Bytes in one piece at the head, and how they go.
    pub(super) fn ahead(&self) -> (usize, Manner) {
        let head = self.queue.front();
        head.map_or((0, Manner::default()), |message| {
            (message.part.len(), message.manner)
        })
    }

    pub(super) fn renumber_paths(&mut self, moved: impl Fn(u8) -> Option<u8>) {
        for message in &mut self.queue {
            message.manner.path = message.manner.path.and_then(&moved);
        }
    }

    pub(super) fn uses_key(&self, key: u16) -> bool {
        self.queue
            .iter()
            .any(|message| message.manner.key == Some(key))
    }

    /// The next fragment. It lies in one of the user's parts.
    /// RFC 9260 §3.3.1-4, §3.3.1-6, §3.3.1-7, §3.3.1-11, §3.3.1-12, §6-4, §6.5-2, §6.5-3, §6.5-5,
    /// §6.9-2, §6.9-9, §6.9-11, §6.9-12.
    pub(super) fn pop(&mut self, id: u16, most: usize, interleaving: bool) -> Option<Fragment> {
        let message = self.queue.front_mut()?;
        let begin = !message.is_begun();
        if begin {
            let counter = match message.unordered {
                true => &mut self.next_unordered,
                false => &mut self.next_ordered,
            };
            // RFC 9260 §3.3.1: an unordered DATA chunk has no number.
            let numbered = interleaving || !message.unordered;
            message.number = Some(if numbered { *counter } else { 0 });
            if numbered {
                *counter = counter.wrapping_add(1);
            }
        }
        let data = message.cut(most)?;
        let end = message.complete && message.len == 0;
        let fragment = Fragment {
            stream: id,
            number: match message.number {
                Some(number) if interleaving => number,
                Some(number) => number & 0xffff,
                None => 0,
            },
            fsn: message.fragments,
            ppid: message.ppid,
            unordered: message.unordered,
            begin,
            end,
            immediate: message.immediate && end,
            data,
            message: message.id,
            context: message.context,
            policy: message.policy,
            key: message.manner.key,
        };
        message.fragments += 1;
        if end {
            self.queue.pop_front();
        }
        Some(fragment)
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Message> {
        let at = self.queue.iter().position(|message| message.id == id)?;
        self.queue.remove(at)
    }

    pub(super) fn remove_where(&mut self, gone: impl Fn(&Message) -> bool) -> Vec<Message> {
        if !self.queue.iter().any(&gone) {
            return Vec::new();
        }
        let queue = std::mem::take(&mut self.queue);
        let (removed, kept): (VecDeque<_>, _) = queue.into_iter().partition(|m| gone(m));
        self.queue = kept;
        removed.into()
    }

    /// Priority and name of each message of the priority policy that was not begun.
    pub(super) fn priorities(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        let unsent = self.queue.iter().filter(|message| !message.is_begun());
        unsent.filter_map(|message| match message.policy {
            Policy::Priority(value) => Some((value, message.id)),
            _ => None,
        })
    }

    /// When the first message that was not begun ends.
    pub(super) fn soonest_end(&self) -> Option<Instant> {
        let unsent = self.queue.iter().filter(|message| !message.is_begun());
        let ends = unsent.filter_map(|message| match message.policy {
            Policy::Timed(end) => Some(end),
            _ => None,
        });
        ends.min()
    }

    pub(super) fn reset(&mut self) {
        (self.next_ordered, self.next_unordered) = (0, 0);
    }
}

impl Message {
    pub(super) fn new(id: u64, message: Outgoing, complete: bool) -> Self {
        Self {
            id,
            len: message.data.len(),
            part: message.data,
            more: VecDeque::new(),
            complete,
            number: None,
            fragments: 0,
            ppid: message.ppid,
            unordered: message.unordered,
            immediate: message.immediate,
            context: message.context,
            policy: message.policy,
            manner: message.manner,
        }
    }

    pub(super) fn append(&mut self, part: Bytes, end: bool) {
        self.len += part.len();
        match self.part.is_empty() {
            true => self.part = part,
            false => self.more.push_back(part),
        }
        self.complete = end;
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn policy(&self) -> Policy {
        self.policy
    }

    /// Whether a fragment was made of it.
    pub(super) const fn is_begun(&self) -> bool {
        self.number.is_some()
    }

    fn cut(&mut self, most: usize) -> Option<Bytes> {
        if self.part.is_empty() {
            return None;
        }
        let data = self.part.split_to(self.part.len().min(most));
        if self.part.is_empty() {
            self.part = self.more.pop_front().unwrap_or_default();
        }
        self.len -= data.len();
        Some(data)
    }

    pub(super) fn into_unsent(self, stream: u16) -> Unsent {
        Unsent {
            stream,
            ppid: self.ppid,
            context: self.context,
            unordered: self.unordered,
            begun: self.number.is_some(),
            data: [self.part].into_iter().chain(self.more).collect(),
        }
    }
}
