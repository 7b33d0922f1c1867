//! What arrives (RFC 9260 §6.2 to §6.6): TSNs, fragments, messages in the order of their streams.
//!
//! - Which TSNs have arrived, what a SACK says of them: `tsn_map`.
//! - Fragments become messages: `reassembly`.
//! - Messages get into order, or are skipped (RFC 3758): `streams`.
//!
//! A chunk goes in by [`Inbound::data`]; messages that may be delivered come out of
//! [`Inbound::pop`]. DATA and I-DATA (RFC 8260) are told apart by [`Arrived::interleaved`] alone.
//!
//! # Limits
//! A TSN further ahead than `tsn_map::TSN_WINDOW_MAX` is not taken, nor is a new message beyond
//! [`MESSAGES_MAX`] that are not delivered. How many bytes may wait is the owner's to say, who
//! announces the window: [`Inbound::held`] counts them.

mod reassembly;
mod streams;
#[cfg(test)]
mod tests;
mod tsn_map;

use bytes::Bytes;
use reassembly::{Fragment, Outcome, Reassembly};
use smallvec::SmallVec;
use sockeye_wire::sctp::{Data, DataFlags, IData};
use std::collections::VecDeque;
use streams::Streams;
use tsn_map::{Place, TsnMap};

/// Most messages that are incomplete or wait for their turn.
pub(crate) const MESSAGES_MAX: usize = 65_536;
/// What a message that waits is counted as beyond its bytes, so that tiny ones have a price.
pub(crate) const MESSAGE_OVERHEAD: usize = 64;

/// A DATA or I-DATA chunk.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) tsn: u32,
    pub(crate) stream: u16,
    /// Stream sequence number, or message identifier.
    pub(crate) number: u32,
    /// Fragment sequence number of I-DATA.
    pub(crate) fsn: u32,
    pub(crate) ppid: u32,
    pub(crate) unordered: bool,
    pub(crate) begin: bool,
    pub(crate) end: bool,
    /// It is I-DATA.
    pub(crate) interleaved: bool,
    /// Not empty.
    pub(crate) payload: Bytes,
}

impl Arrived {
    /// A DATA chunk with its user data.
    pub(crate) fn data(data: &Data<'_>, payload: Bytes) -> Self {
        Self {
            tsn: data.tsn.0,
            stream: data.stream,
            number: data.ssn.into(),
            fsn: 0,
            ppid: data.ppid,
            unordered: data.flags.contains(DataFlags::UNORDERED),
            begin: data.flags.contains(DataFlags::BEGIN),
            end: data.flags.contains(DataFlags::END),
            interleaved: false,
            payload,
        }
    }

    /// An I-DATA chunk with its user data.
    pub(crate) fn interleaved(data: &IData<'_>, payload: Bytes) -> Self {
        Self {
            tsn: data.tsn.0,
            stream: data.stream,
            number: data.mid,
            fsn: data.fsn,
            ppid: data.ppid,
            unordered: data.flags.contains(DataFlags::UNORDERED),
            begin: data.flags.contains(DataFlags::BEGIN),
            end: data.flags.contains(DataFlags::END),
            interleaved: true,
            payload,
        }
    }
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Its TSN is new and acknowledged from now on.
    New,
    /// Its TSN has been seen; a SACK will report it.
    Duplicate,
    /// RFC 9260 §6.5: acknowledged, but there is no such stream; an ERROR is due.
    BadStream,
    /// A limit: as if it had been lost.
    Refused,
    /// It contradicts fragments that are here: the association is to be aborted.
    Violation,
}

/// A message, or the next part of one that is delivered in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) stream: u16,
    /// Stream sequence number, or message identifier.
    pub(crate) number: u32,
    pub(crate) ppid: u32,
    /// Of the first fragment in it, as far as that is known; of the last one that arrived for
    /// interleaved messages.
    pub(crate) tsn: u32,
    pub(crate) unordered: bool,
    /// The message begins here.
    pub(crate) begin: bool,
    /// The message ends here.
    pub(crate) end: bool,
    pub(crate) data: SmallVec<[Bytes; 1]>,
}

impl Delivered {
    /// Bytes in it.
    pub(crate) fn len(&self) -> usize {
        self.data.iter().map(Bytes::len).sum()
    }
}

/// A message that was delivered in part, and whose rest never comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartialAborted {
    pub(crate) stream: u16,
    pub(crate) number: u32,
    pub(crate) unordered: bool,
}

/// What may be delivered, in order.
#[derive(Debug, Default)]
struct Ready {
    queue: VecDeque<Delivered>,
    bytes: usize,
}

impl Ready {
    fn push(&mut self, message: Delivered) {
        self.bytes += message.len();
        self.queue.push_back(message);
    }

    fn pop(&mut self) -> Option<Delivered> {
        let message = self.queue.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }
}

/// A reset of streams that waits for what was sent before it (RFC 6525 §5.2.2 E2).
#[derive(Debug)]
struct DeferredReset {
    /// It is done once the cumulative TSN gets here.
    last: u64,
    streams: Vec<u16>,
    /// Chunks on these streams that were sent behind it.
    held: VecDeque<(u64, Arrived)>,
    bytes: usize,
}

impl DeferredReset {
    fn holds(&self, stream: u16, position: u64) -> bool {
        position > self.last && (self.streams.is_empty() || self.streams.contains(&stream))
    }
}

/// The receiving side of an association.
#[derive(Debug)]
pub(crate) struct Inbound {
    tsns: TsnMap,
    reassembly: Reassembly,
    streams: Streams,
    ready: Ready,
    aborted: VecDeque<PartialAborted>,
    reset: Option<DeferredReset>,
    /// Deliver a message in parts when so many bytes of its beginning are here; 0 for never.
    partial_delivery_point: usize,
}

impl Inbound {
    /// Expects `initial_tsn` first, on `streams` streams.
    pub(crate) fn new(initial_tsn: u32, streams: u16) -> Self {
        Self {
            tsns: TsnMap::new(initial_tsn),
            reassembly: Reassembly::default(),
            streams: Streams::new(streams),
            ready: Ready::default(),
            aborted: VecDeque::new(),
            reset: None,
            partial_delivery_point: 0,
        }
    }

    /// Takes a chunk.
    /// RFC 9260 §3.3.1-2, §3.3.1-3, §6.2-15, §6.6-3.
    pub(crate) fn data(&mut self, arrived: Arrived) -> Arrival {
        let position = match self.tsns.place(arrived.tsn) {
            Place::New(position) => position,
            Place::Seen => {
                self.tsns.duplicate(arrived.tsn);
                return Arrival::Duplicate;
            }
            Place::TooFar => return Arrival::Refused,
        };
        if arrived.stream >= self.streams.count() {
            self.tsns.insert(position);
            return Arrival::BadStream;
        }
        if self.waiting() >= MESSAGES_MAX && self.reassembly.would_add(&arrived, position) {
            return Arrival::Refused;
        }
        if let Some(reset) = &mut self.reset
            && reset.holds(arrived.stream, position)
        {
            reset.bytes += arrived.payload.len();
            reset.held.push_back((position, arrived));
        } else {
            let datagrams = !arrived.interleaved;
            let fragment = Fragment {
                position,
                follows_seen: datagrams && self.tsns.is_seen(position - 1),
                precedes_seen: datagrams && self.tsns.is_seen(position + 1),
            };
            if !self.accept(arrived, fragment) {
                return Arrival::Violation;
            }
        }
        self.tsns.insert(position);
        Arrival::New
    }

    /// Puts a chunk to its message; false when it contradicts others.
    fn accept(&mut self, arrived: Arrived, fragment: Fragment) -> bool {
        // RFC 3758 §3.6: what comes after its message was skipped is acknowledged and dropped.
        if !self.streams.is_awaited(&arrived) {
            return true;
        }
        let interleaved = arrived.interleaved;
        match self.reassembly.insert(arrived, fragment) {
            Outcome::Violation => return false,
            Outcome::Message(message) => {
                self.streams.complete(message, interleaved, &mut self.ready);
            }
            Outcome::Kept(grown) => {
                if self.partial_delivery_point > 0 && grown.bytes >= self.partial_delivery_point {
                    self.deliver_part(&grown.key);
                }
            }
            Outcome::Dropped => {}
        }
        true
    }

    /// The next message, or part of one, to be delivered.
    pub(crate) fn pop(&mut self) -> Option<Delivered> {
        self.ready.pop()
    }

    /// The next message of which a part was delivered and the rest never comes.
    pub(crate) fn pop_aborted(&mut self) -> Option<PartialAborted> {
        self.aborted.pop_front()
    }

    /// Bytes that are held: of incomplete messages, of those that wait for their turn and of those
    /// that were not popped, each with its price.
    pub(crate) fn held(&self) -> usize {
        self.ready.bytes
            + self.reassembly.bytes()
            + self.streams.bytes()
            + self.reset.as_ref().map_or(0, |reset| reset.bytes)
            + self.waiting() * MESSAGE_OVERHEAD
    }

    fn waiting(&self) -> usize {
        let held = self.reset.as_ref().map_or(0, |reset| reset.held.len());
        self.reassembly.runs() + self.streams.waiting() + held
    }

    /// When so many bytes of a message's beginning are here, it is delivered in parts; 0 for
    /// never (SCTP_PARTIAL_DELIVERY_POINT of RFC 6458 §8.1.21).
    pub(crate) fn set_partial_delivery_point(&mut self, bytes: usize) {
        self.partial_delivery_point = bytes;
    }

    /// Delivers the longest beginning of a message whose turn it is, so that the window opens
    /// although no message is complete (RFC 9260 §6.9: partial delivery). False when there is none.
    pub(crate) fn deliver_partially(&mut self) -> bool {
        let Some(key) = self.reassembly.longest_beginning(&self.streams) else {
            return false;
        };
        self.deliver_part(&key)
    }

    fn deliver_part(&mut self, key: &reassembly::Key) -> bool {
        let Some(part) = self.reassembly.take_part(key, &self.streams) else {
            return false;
        };
        self.ready.push(part);
        true
    }

    /// The cumulative TSN: all up to it have arrived.
    pub(crate) fn cumulative(&self) -> u32 {
        self.tsns.cumulative()
    }

    /// The highest TSN that has arrived.
    pub(crate) fn highest(&self) -> u32 {
        self.tsns.highest()
    }

    /// Whether TSNs have arrived beyond one that has not.
    pub(crate) fn has_gaps(&self) -> bool {
        self.tsns.has_gaps()
    }

    /// What has arrived beyond the cumulative TSN, as first and last offset from it, ascending.
    pub(crate) fn gap_blocks(&self) -> impl Iterator<Item = (u16, u16)> + '_ {
        self.tsns.gap_blocks()
    }

    /// The TSNs that came again since the last call.
    pub(crate) fn take_duplicates(&mut self) -> SmallVec<[u32; 4]> {
        self.tsns.take_duplicates()
    }

    /// How many streams there are.
    pub(crate) fn streams(&self) -> u16 {
        self.streams.count()
    }

    /// RFC 6525 §5.2.5: the peer has `count` more streams; false, and no change, when they would
    /// be too many.
    pub(crate) fn add_streams(&mut self, count: u16) -> bool {
        self.streams.add(count)
    }

    /// FORWARD-TSN (RFC 3758 §3.6): the peer gives up what it has not delivered up to `new`, and on
    /// each of the streams the messages up to the one named.
    pub(crate) fn forward_tsn(&mut self, new: u32, skipped: impl Iterator<Item = (u16, u16)>) {
        let Some(limit) = self.tsns.forward(new) else {
            return;
        };
        for (stream, ssn) in skipped {
            self.streams
                .skip(stream, u32::from(ssn), false, &mut self.ready);
        }
        self.reassembly
            .drop_tsns(limit, &self.streams, &mut self.aborted);
    }

    /// I-FORWARD-TSN (RFC 8260 §2.3.1): the same of interleaved messages; each as stream, whether
    /// it is unordered, message identifier.
    pub(crate) fn i_forward_tsn(
        &mut self,
        new: u32,
        skipped: impl Iterator<Item = (u16, bool, u32)>,
    ) {
        if self.tsns.forward(new).is_none() {
            return;
        }
        for (stream, unordered, mid) in skipped {
            self.reassembly
                .drop_messages(stream, unordered, mid, &mut self.aborted);
            if !unordered {
                self.streams.skip(stream, mid, true, &mut self.ready);
            }
        }
    }

    /// RFC 6525 §5.2.2: the peer starts to number the messages of these streams anew; of all when
    /// none is named. What is incomplete on them goes.
    pub(crate) fn reset_streams(&mut self, streams: &[u16]) {
        self.reassembly.drop_streams(streams, &mut self.aborted);
        self.streams.reset(streams, &mut self.ready);
    }

    /// RFC 6525 §5.2.2 E2 to E4: does the same once all up to `last_tsn` has arrived. What comes
    /// behind that on these streams is held until then. False when another reset waits already.
    pub(crate) fn reset_behind(&mut self, last_tsn: u32, streams: &[u16]) -> bool {
        if self.reset.is_some() {
            return false;
        }
        self.reset = Some(DeferredReset {
            last: self.tsns.position(last_tsn),
            streams: streams.to_vec(),
            held: VecDeque::new(),
            bytes: 0,
        });
        true
    }

    /// Does the reset that waits if it may be done now, and gives its streams.
    pub(crate) fn take_reset(&mut self) -> Option<Vec<u16>> {
        let due = |reset: &mut DeferredReset| self.tsns.is_cumulative(reset.last);
        let reset = self.reset.take_if(due)?;
        self.reset_streams(&reset.streams);
        for (position, arrived) in reset.held {
            // Its neighbours may have been held, too: whether they were seen says nothing.
            let fragment = Fragment {
                position,
                follows_seen: false,
                precedes_seen: false,
            };
            // What contradicts others is dropped; the sender has broken its own numbering.
            self.accept(arrived, fragment);
        }
        Some(reset.streams)
    }

    /// RFC 6525 §5.2.4: the peer starts anew with this TSN, and with all its streams.
    pub(crate) fn reset_tsns(&mut self, initial_tsn: u32) {
        self.reset_streams(&[]);
        self.reset = None;
        self.tsns = TsnMap::new(initial_tsn);
    }
}
