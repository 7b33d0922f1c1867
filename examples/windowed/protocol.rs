//! A small reliable transport: messages arrive once and in order, up to a window of them on the way.
//!
//! Packets and time go in, packets come out; what carries them is elsewhere. A packet is eight octets (kind, zero, checksum,
//! number) and, of a message, its content.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// For experiments (RFC 3692 §2.1).
pub(crate) const PROTOCOL: i32 = 253;
/// Messages that may be on the way, or wait for one that is missing.
pub(crate) const WINDOW: u32 = 32;
/// Octets of a message: with headers it fits into any path.
pub(crate) const MESSAGE_MAX: usize = 1200;

const HEADER: usize = 8;
const MESSAGE: u8 = 1;
const ACKNOWLEDGMENT: u8 = 2;
const FIRST_TIMEOUT: Duration = Duration::from_millis(100);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(2);
/// As many acknowledgments for the same message say that it was lost.
const DUPLICATES: u32 = 3;

/// One side of a connection.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// What was sent and not acknowledged, from `oldest` on.
    unacknowledged: VecDeque<Vec<u8>>,
    oldest: u32,
    duplicates: u32,
    timeout: Duration,
    repeat_at: Option<Duration>,
    /// The next message to arrive in order, and those that came before their turn.
    expected: u32,
    early: BTreeMap<u32, Vec<u8>>,
    arrived: VecDeque<Vec<u8>>,
    out: VecDeque<Vec<u8>>,
    pub(crate) repeated: u64,
}

impl Endpoint {
    pub(crate) fn new() -> Self {
        Self {
            unacknowledged: VecDeque::new(),
            oldest: 0,
            duplicates: 0,
            timeout: FIRST_TIMEOUT,
            repeat_at: None,
            expected: 0,
            early: BTreeMap::new(),
            arrived: VecDeque::new(),
            out: VecDeque::new(),
            repeated: 0,
        }
    }

    /// Whether another message may be sent now.
    pub(crate) fn has_room(&self) -> bool {
        self.unacknowledged.len() < WINDOW as usize
    }

    /// Whether all that was sent has arrived.
    pub(crate) fn is_idle(&self) -> bool {
        self.unacknowledged.is_empty()
    }

    /// Sends a message, of which the caller has seen that there is room for it.
    pub(crate) fn send(&mut self, now: Duration, message: &[u8]) {
        let number = self.oldest.wrapping_add(self.unacknowledged.len() as u32);
        self.unacknowledged.push_back(message.to_vec());
        self.out.push_back(packet(MESSAGE, number, message));
        self.repeat_at.get_or_insert(now + self.timeout);
    }

    /// The next message that has arrived.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        self.arrived.pop_front()
    }

    /// The next packet to be sent to the other side.
    pub(crate) fn transmit(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.repeat_at
    }

    /// Sends the oldest message again when its time is over.
    pub(crate) fn tick(&mut self, now: Duration) {
        if self.repeat_at.is_some_and(|at| at <= now) {
            self.timeout = (self.timeout * 2).min(LONGEST_TIMEOUT);
            self.repeat(now);
        }
    }

    /// A packet of the other side. One that is damaged is as good as lost.
    pub(crate) fn on_packet(&mut self, now: Duration, octets: &[u8]) {
        let Some((header, content)) = octets.split_first_chunk::<HEADER>() else {
            return;
        };
        let number = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        if content.len() > MESSAGE_MAX || checksum(octets) != 0 {
            return;
        }
        match header[0] {
            MESSAGE => self.on_message(number, content),
            ACKNOWLEDGMENT => self.on_acknowledgment(now, number),
            _ => {}
        }
    }

    fn on_message(&mut self, number: u32, content: &[u8]) {
        // Old ones are acknowledged again: the acknowledgment was lost.
        if number.wrapping_sub(self.expected) < WINDOW {
            self.early.insert(number, content.to_vec());
        }
        while self.arrived.len() < WINDOW as usize {
            let Some(message) = self.early.remove(&self.expected) else {
                break;
            };
            self.arrived.push_back(message);
            self.expected = self.expected.wrapping_add(1);
        }
        let answer = packet(ACKNOWLEDGMENT, self.expected, &[]);
        self.out.push_back(answer);
    }

    /// The other side has all messages before `number`.
    fn on_acknowledgment(&mut self, now: Duration, number: u32) {
        let count = number.wrapping_sub(self.oldest) as usize;
        if count > self.unacknowledged.len() {
            return;
        }
        if count == 0 {
            self.duplicates += 1;
            if self.duplicates == DUPLICATES && !self.unacknowledged.is_empty() {
                self.repeat(now);
            }
            return;
        }
        self.unacknowledged.drain(..count);
        (self.oldest, self.duplicates, self.timeout) = (number, 0, FIRST_TIMEOUT);
        self.repeat_at = (!self.unacknowledged.is_empty()).then(|| now + self.timeout);
    }

    fn repeat(&mut self, now: Duration) {
        if let Some(message) = self.unacknowledged.front() {
            self.out.push_back(packet(MESSAGE, self.oldest, message));
            self.repeated += 1;
            self.repeat_at = Some(now + self.timeout);
        }
    }
}

fn packet(kind: u8, number: u32, content: &[u8]) -> Vec<u8> {
    let mut octets = vec![kind, 0, 0, 0];
    octets.extend(number.to_be_bytes());
    octets.extend(content);
    let sum = checksum(&octets);
    octets[2..4].copy_from_slice(&sum.to_be_bytes());
    octets
}

/// RFC 1071; zero over what is whole.
fn checksum(octets: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let sum: u32 = octets.chunks(2).map(word).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !(folded + (folded >> 16)) as u16
}
