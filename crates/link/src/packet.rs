//! One packet: a header window with headroom, and payload slices behind it.

use crate::{Checksum, Meta};
use bytes::{Buf, Bytes};
use smallvec::SmallVec;

/// Bytes kept free before a transport header, for the headers below it: Ethernet (14), IPv6 (40)
/// with room for extension headers, UDP encapsulation (8).
pub const HEADROOM: usize = 128;

/// Immutable slices that follow the header window.
pub type Payload = SmallVec<[Bytes; 1]>;

/// A packet on its way through the floors.
///
/// The *head* is one contiguous window that headers are [pushed](Self::push) onto and
/// [pulled](Self::pull) from; the *payload* are shared slices behind it that are never changed in
/// place (the sender's retransmission queue holds the same bytes). A received packet usually lies
/// in the head as a whole; a sent one has its payload behind. Code that parses calls
/// [`pull_up`](Self::pull_up) before it reads, so that both look alike.
#[derive(Clone, Default)]
pub struct Packet {
    buf: Vec<u8>,
    /// Where the window starts; it ends where `buf` ends.
    start: usize,
    payload: Payload,
    payload_len: usize,
    /// What travels beside the bytes.
    pub meta: Meta,
}

impl Packet {
    /// A packet to send: an empty head with [`HEADROOM`] before it, and `payload`.
    #[must_use]
    pub fn with_payload(payload: Payload) -> Self {
        let payload_len = payload.iter().map(Bytes::len).sum();
        // Room for the largest TCP header, so that `push` never moves anything.
        Self {
            buf: vec![0; HEADROOM],
            start: HEADROOM,
            payload,
            payload_len,
            meta: Meta::default(),
        }
    }

    /// A packet to send: `bytes` are copied into the head behind [`HEADROOM`].
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Self {
        let mut buf = Vec::with_capacity(HEADROOM + bytes.len());
        buf.resize(HEADROOM, 0);
        buf.extend_from_slice(bytes);
        Self {
            buf,
            start: HEADROOM,
            ..Self::default()
        }
    }

    /// A received packet: `buf` as the device filled it.
    #[must_use]
    pub fn from_vec(buf: Vec<u8>) -> Self {
        Self {
            buf,
            ..Self::default()
        }
    }

    /// A received packet whose first `start` bytes are not part of it (a device's own header).
    ///
    /// # Panics
    /// When `start` lies behind the end of `buf`.
    #[must_use]
    pub fn from_vec_at(buf: Vec<u8>, start: usize) -> Self {
        assert!(start <= buf.len(), "a packet starts inside its buffer");
        Self {
            buf,
            start,
            ..Self::default()
        }
    }

    /// A packet whose head is all of `head`, without headroom, before `payload`.
    #[must_use]
    pub fn from_parts(head: Vec<u8>, payload: Payload) -> Self {
        let payload_len = payload.iter().map(Bytes::len).sum();
        Self {
            buf: head,
            payload,
            payload_len,
            ..Self::default()
        }
    }

    /// Puts `slices` behind what is there.
    pub fn append(&mut self, slices: Payload) {
        self.payload_len += slices.iter().map(Bytes::len).sum::<usize>();
        self.payload.extend(slices);
    }

    /// Bytes in all, head and payload.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buf.len() - self.start + self.payload_len
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The contiguous head.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.buf[self.start..]
    }

    /// The head, to write fields in place.
    pub fn head_mut(&mut self) -> &mut [u8] {
        &mut self.buf[self.start..]
    }

    /// The head, to write fields in place, and the slices behind it.
    pub fn parts_mut(&mut self) -> (&mut [u8], &[Bytes]) {
        (&mut self.buf[self.start..], &self.payload)
    }

    /// The slices behind the head.
    #[must_use]
    pub fn payload(&self) -> &[Bytes] {
        &self.payload
    }

    /// All bytes in order: the head, then each slice.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> + Clone {
        std::iter::once(self.head()).chain(self.payload.iter().map(|b| &b[..]))
    }

    /// A contiguous copy of everything.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len());
        self.chunks().for_each(|c| out.extend_from_slice(c));
        out
    }

    /// Prepends `n` zero bytes and hands them out for writing.
    pub fn push(&mut self, n: usize) -> &mut [u8] {
        if n > self.start {
            let grow = n - self.start + HEADROOM;
            self.buf.splice(0..0, std::iter::repeat_n(0, grow));
            self.start += grow;
        }
        self.start -= n;
        if let Checksum::Partial { start, .. } = &mut self.meta.checksum {
            *start = start.saturating_add(u16::try_from(n).unwrap_or(u16::MAX));
        }
        let window = &mut self.buf[self.start..self.start + n];
        window.fill(0);
        window
    }

    /// Takes `n` bytes off the front of the head. They stay in memory: [`unpull`](Self::unpull)
    /// gets them back.
    ///
    /// # Panics
    /// When the head is shorter than `n`: call [`pull_up`](Self::pull_up) first.
    pub fn pull(&mut self, n: usize) {
        assert!(n <= self.buf.len() - self.start, "pull beyond the head");
        self.start += n;
        if let Checksum::Partial { start, .. } = &mut self.meta.checksum {
            *start = start.saturating_sub(u16::try_from(n).unwrap_or(u16::MAX));
        }
    }

    /// Puts the last `n` pulled bytes back onto the front, as they were.
    ///
    /// # Panics
    /// When fewer than `n` bytes lie before the head.
    pub fn unpull(&mut self, n: usize) {
        assert!(n <= self.start, "unpull of bytes that were never pulled");
        self.start -= n;
        if let Checksum::Partial { start, .. } = &mut self.meta.checksum {
            *start = start.saturating_add(u16::try_from(n).unwrap_or(u16::MAX));
        }
    }

    /// The `n` bytes before the head that [`unpull`](Self::unpull) would put back, where so many lie
    /// there.
    #[must_use]
    pub fn before(&self, n: usize) -> Option<&[u8]> {
        self.buf.get(self.start.checked_sub(n)?..self.start)
    }

    /// Makes the first `n` bytes contiguous in the head. False when there are fewer in all.
    #[must_use]
    pub fn pull_up(&mut self, n: usize) -> bool {
        self.head().len() >= n || self.pull_up_from_payload(n)
    }

    fn pull_up_from_payload(&mut self, n: usize) -> bool {
        if self.len() < n {
            return false;
        }
        let mut missing = n - self.head().len();
        while missing > 0 {
            let first = &mut self.payload[0];
            let take = first.split_to(missing.min(first.len()));
            if first.is_empty() {
                self.payload.remove(0);
            }
            missing -= take.len();
            self.payload_len -= take.len();
            self.buf.extend_from_slice(&take);
        }
        true
    }

    /// Copies everything into the head, so that it may be changed in place.
    pub fn linearize(&mut self) {
        let all = self.len();
        let whole = self.pull_up(all);
        debug_assert!(whole, "a packet holds its own length");
    }

    /// Shortens it to `len` bytes from the front; longer than it is changes nothing.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.len() {
            return;
        }
        let head = self.head().len();
        if len <= head {
            self.buf.truncate(self.start + len);
            self.payload.clear();
            self.payload_len = 0;
            return;
        }
        let mut room = len - head;
        self.payload.retain(|slice| {
            slice.truncate(room);
            room -= slice.len();
            !slice.is_empty()
        });
        self.payload_len = self.payload.iter().map(Bytes::len).sum();
    }

    /// Takes the packet apart: what is left of the head, then the slices. Nothing is copied.
    #[must_use]
    pub fn into_payload(self) -> Payload {
        let Self {
            buf,
            start,
            payload,
            ..
        } = self;
        if start == buf.len() {
            return payload;
        }
        let mut head = Bytes::from(buf);
        head.advance(start);
        let mut out = Payload::from_buf([head]);
        out.extend(payload);
        out
    }

    /// Bytes of memory that keeping this packet keeps: the whole buffers, not just the window.
    #[must_use]
    pub fn pinned(&self) -> usize {
        self.buf.capacity() + self.payload_len
    }
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packet")
            .field("len", &self.len())
            .field("head", &self.head().len())
            .field("meta", &self.meta)
            .finish()
    }
}
