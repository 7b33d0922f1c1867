//! TCP options: MSS (RFC 9293 §3.1), window scale and timestamps (RFC 7323), SACK (RFC 2018), user
//! timeout (RFC 5482), Fast Open (RFC 7413), MD5 (RFC 2385), authentication (RFC 5925), accurate
//! ECN counters (RFC 9768).

use crate::{Bounded, SeqNum};

/// Most bytes of options: the data offset counts to 60.
pub const OPTIONS_LEN_MAX: usize = 40;
/// Most SACK blocks that fit (RFC 2018 §3).
pub const SACK_BLOCKS_MAX: usize = 4;
/// Longest Fast Open cookie (RFC 7413 §4.1.1).
pub const FAST_OPEN_COOKIE_LEN_MAX: usize = 16;
/// Longest message authentication code that an authentication option has room for.
pub const AO_MAC_LEN_MAX: usize = OPTIONS_LEN_MAX - 4;
/// Longest contents of an accurate ECN option (RFC 9768 §3.2.3): three counters of three bytes.
pub const ACCECN_LEN_MAX: usize = 9;

const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;
const MD5: u8 = 19;
const USER_TIMEOUT: u8 = 28;
const AO: u8 = 29;
const FAST_OPEN: u8 = 34;
const ACCECN_0: u8 = 172;
const ACCECN_1: u8 = 174;

/// Two fillers and a timestamps option: what most segments carry, and nothing else
/// (RFC 7323 appendix A).
const ALIGNED_TIMESTAMPS: [u8; 4] = [NOP, NOP, TIMESTAMPS, 10];

/// TSval and TSecr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamps {
    /// The sender's clock.
    pub tsval: u32,
    /// The clock value that it echoes; counts with ACK alone.
    pub tsecr: u32,
}

/// A range of sequence numbers that has arrived: `start =< n < end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlock {
    /// Left edge: the first number.
    pub start: SeqNum,
    /// Right edge: the number behind the last.
    pub end: SeqNum,
}

/// The user timeout option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserTimeout {
    /// The timeout counts in minutes; otherwise in seconds.
    pub minutes: bool,
    /// The timeout, 15 bits.
    pub timeout: u16,
}

/// A Fast Open option: empty is a request for a cookie.
pub type FastOpenCookie = Bounded<u8, FAST_OPEN_COOKIE_LEN_MAX>;

/// A TCP authentication option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// The key that made the code.
    pub key_id: u8,
    /// The key that the sender is ready to receive with.
    pub rnext_key_id: u8,
    /// Message authentication code.
    pub mac: Bounded<u8, AO_MAC_LEN_MAX>,
}

/// An accurate ECN option, its counters as they lie in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccEcn {
    /// The order of the counters: false EE0B, ECEB, EE1B (kind 172), true the reverse (kind 174).
    pub reversed: bool,
    /// Counters of three bytes each, in network order; trailing ones may be missing.
    pub counters: Bounded<u8, ACCECN_LEN_MAX>,
}

/// The options of a segment that have a meaning here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Maximum segment size, as the peer says it; 0 and other absurd values included.
    pub mss: Option<u16>,
    /// Window scale shift, as the peer says it; RFC 7323 §2.3: what is above 14 counts as 14.
    pub window_scale: Option<u8>,
    /// The sender takes SACK options.
    pub sack_permitted: bool,
    /// SACK blocks, in the order of the option.
    pub sack: Bounded<SackBlock, SACK_BLOCKS_MAX>,
    /// Timestamps.
    pub timestamps: Option<Timestamps>,
    /// User timeout.
    pub user_timeout: Option<UserTimeout>,
    /// Fast Open cookie, or the request for one.
    pub fast_open: Option<FastOpenCookie>,
    /// MD5 digest.
    pub md5: Option<[u8; 16]>,
    /// Authentication option.
    pub authentication: Option<Authentication>,
    /// Accurate ECN counters.
    pub accecn: Option<AccEcn>,
    /// Set by the parser: an option had an illegal length, and what lay behind it was not read.
    /// It is never emitted.
    pub malformed: bool,
}

impl Options {
    /// Reads the bytes between the fixed header and the data.
    ///
    /// RFC 9293 §3.1 and §3.2: End of Option List ends them; an option that is not known is
    /// skipped by its length; one with an illegal length ends the parse and sets
    /// [`malformed`](Self::malformed). A known option with another length than its own is illegal.
    /// Of several options of one kind the last one counts. Values are not judged.
    #[must_use]
    pub fn parse(mut bytes: &[u8]) -> Self {
        let mut options = Self::default();
        if let [a, b, c, d, tail @ ..] = bytes
            && [*a, *b, *c, *d] == ALIGNED_TIMESTAMPS
            && let Ok(body) = <&[u8; 8]>::try_from(tail)
        {
            options.timestamps = Some(Timestamps::from_bytes(body));
            return options;
        }
        while let [kind, rest @ ..] = bytes {
            match *kind {
                END => break,
                NOP => bytes = rest,
                kind => {
                    let body = rest.split_first().and_then(|(&len, _)| {
                        bytes
                            .get(2..usize::from(len))
                            .filter(|body| options.read(kind, body))
                    });
                    let Some(body) = body else {
                        options.malformed = true;
                        break;
                    };
                    bytes = &bytes[2 + body.len()..];
                }
            }
        }
        options
    }

    /// Bytes that [`emit`](Self::emit) writes: a multiple of 4, 40 at most.
    #[must_use]
    pub fn emitted_len(&self) -> usize {
        if self.has_only_timestamps() {
            return if self.timestamps.is_some() { 12 } else { 0 };
        }
        self.encode().len()
    }

    /// Writes the options into the front of `out` and returns how many bytes they took.
    ///
    /// They are laid out like Linux does, each starting at a multiple of 4: MD5, authentication,
    /// MSS, SACK permitted, timestamps, window scale, user timeout, Fast Open, accurate ECN, SACK.
    /// An option for which no room is left is not sent, and SACK blocks are cut to the room left:
    /// both are legal to lack on any segment.
    ///
    /// # Panics
    /// When `out` is shorter than [`emitted_len`](Self::emitted_len).
    pub fn emit(&self, out: &mut [u8]) -> usize {
        if self.has_only_timestamps() {
            let Some(timestamps) = self.timestamps else {
                return 0;
            };
            out[0..4].copy_from_slice(&ALIGNED_TIMESTAMPS);
            out[4..12].copy_from_slice(&timestamps.to_bytes());
            return 12;
        }
        let encoded = self.encode();
        out[..encoded.len()].copy_from_slice(&encoded);
        encoded.len()
    }

    /// Takes over one option; false when `body` has an illegal length for `kind`.
    fn read(&mut self, kind: u8, body: &[u8]) -> bool {
        match (kind, body) {
            (MSS, &[a, b]) => self.mss = Some(u16::from_be_bytes([a, b])),
            (WINDOW_SCALE, &[shift]) => self.window_scale = Some(shift),
            (SACK_PERMITTED, []) => self.sack_permitted = true,
            (SACK, _) if matches!(body.len(), 8 | 16 | 24 | 32) => {
                self.sack = Bounded::new();
                for block in body.as_chunks::<8>().0 {
                    self.sack.push(SackBlock::from_bytes(block));
                }
            }
            (TIMESTAMPS, _) => match body.try_into() {
                Ok(body) => self.timestamps = Some(Timestamps::from_bytes(body)),
                Err(_) => return false,
            },
            (MD5, _) => match body.try_into() {
                Ok(digest) => self.md5 = Some(digest),
                Err(_) => return false,
            },
            (USER_TIMEOUT, &[a, b]) => {
                let field = u16::from_be_bytes([a, b]);
                let timeout = field & 0x7fff;
                self.user_timeout = Some(UserTimeout {
                    minutes: field & 0x8000 != 0,
                    timeout,
                });
            }
            (AO, &[key_id, rnext_key_id, ref mac @ ..]) => {
                let Some(mac) = Bounded::from_slice(mac) else {
                    return false;
                };
                self.authentication = Some(Authentication {
                    key_id,
                    rnext_key_id,
                    mac,
                });
            }
            // RFC 7413 §4.1.1: a cookie has 4 to 16 bytes, an even number; without one it is a
            // request. What has another length is not for us to read, but not illegal either.
            (FAST_OPEN, _) => {
                if matches!(body.len(), 0 | 4 | 6 | 8 | 10 | 12 | 14 | 16) {
                    self.fast_open = Bounded::from_slice(body);
                }
            }
            // RFC 9768 §3.2.3: counters that are cut short are ignored, whole ones before count.
            (ACCECN_0 | ACCECN_1, _) => {
                let whole = body.len().min(ACCECN_LEN_MAX) / 3 * 3;
                if let Some(counters) = Bounded::from_slice(&body[..whole]) {
                    self.accecn = Some(AccEcn {
                        reversed: kind == ACCECN_1,
                        counters,
                    });
                }
            }
            (MSS | WINDOW_SCALE | SACK_PERMITTED | SACK | USER_TIMEOUT | AO, _) => return false,
            _ => {}
        }
        true
    }

    /// Whether there is nothing but, possibly, timestamps: the case of nearly every segment.
    fn has_only_timestamps(&self) -> bool {
        let Self {
            mss,
            window_scale,
            sack_permitted,
            sack,
            timestamps: _,
            user_timeout,
            fast_open,
            md5,
            authentication,
            accecn,
            malformed: _,
        } = self;
        mss.is_none()
            && window_scale.is_none()
            && !sack_permitted
            && sack.is_empty()
            && user_timeout.is_none()
            && fast_open.is_none()
            && md5.is_none()
            && authentication.is_none()
            && accecn.is_none()
    }

    fn encode(&self) -> Bounded<u8, OPTIONS_LEN_MAX> {
        let mut out = Encoder::default();
        if let Some(digest) = &self.md5 {
            out.option(MD5, &[digest]);
        }
        if let Some(ao) = &self.authentication {
            out.option(AO, &[&[ao.key_id, ao.rnext_key_id], &ao.mac]);
        }
        if let Some(mss) = self.mss {
            out.option(MSS, &[&mss.to_be_bytes()]);
        }
        match (self.sack_permitted, self.timestamps) {
            // SACK permitted fills the two bytes before timestamps.
            (true, Some(timestamps)) if out.room() >= 12 => {
                out.bytes
                    .extend_from_slice(&[SACK_PERMITTED, 2, TIMESTAMPS, 10]);
                out.bytes.extend_from_slice(&timestamps.to_bytes());
            }
            (permitted, timestamps) => {
                if permitted {
                    out.option(SACK_PERMITTED, &[]);
                }
                if let Some(timestamps) = timestamps {
                    out.option(TIMESTAMPS, &[&timestamps.to_bytes()]);
                }
            }
        }
        if let Some(shift) = self.window_scale {
            out.option(WINDOW_SCALE, &[&[shift]]);
        }
        if let Some(UserTimeout { minutes, timeout }) = self.user_timeout {
            let field = u16::from(minutes) << 15 | timeout & 0x7fff;
            out.option(USER_TIMEOUT, &[&field.to_be_bytes()]);
        }
        if let Some(cookie) = &self.fast_open {
            out.option(FAST_OPEN, &[cookie]);
        }
        if let Some(accecn) = &self.accecn {
            let kind = if accecn.reversed { ACCECN_1 } else { ACCECN_0 };
            out.option(kind, &[&accecn.counters]);
        }
        let blocks = self.sack.len().min(out.room().saturating_sub(4) / 8);
        if blocks > 0 {
            let mut body = Bounded::<u8, 32>::new();
            for block in &self.sack[..blocks] {
                body.extend_from_slice(&block.to_bytes());
            }
            out.option(SACK, &[&body]);
        }
        out.bytes
    }
}

impl Timestamps {
    fn from_bytes(&[a, b, c, d, e, f, g, h]: &[u8; 8]) -> Self {
        Self {
            tsval: u32::from_be_bytes([a, b, c, d]),
            tsecr: u32::from_be_bytes([e, f, g, h]),
        }
    }

    fn to_bytes(self) -> [u8; 8] {
        (u64::from(self.tsval) << 32 | u64::from(self.tsecr)).to_be_bytes()
    }
}

impl SackBlock {
    fn from_bytes(&[a, b, c, d, e, f, g, h]: &[u8; 8]) -> Self {
        Self {
            start: SeqNum(u32::from_be_bytes([a, b, c, d])),
            end: SeqNum(u32::from_be_bytes([e, f, g, h])),
        }
    }

    fn to_bytes(self) -> [u8; 8] {
        (u64::from(self.start.0) << 32 | u64::from(self.end.0)).to_be_bytes()
    }
}

/// Options as they are laid out: always a multiple of 4 bytes long.
#[derive(Default)]
struct Encoder {
    bytes: Bounded<u8, OPTIONS_LEN_MAX>,
}

impl Encoder {
    fn room(&self) -> usize {
        OPTIONS_LEN_MAX - self.bytes.len()
    }

    /// Appends an option made of `parts`, with fillers in front, so that it ends at a multiple of
    /// 4; nothing when there is no room.
    fn option(&mut self, kind: u8, parts: &[&[u8]]) {
        let len = 2 + parts.iter().map(|part| part.len()).sum::<usize>();
        let padded = len.next_multiple_of(4);
        let (true, Ok(len_field)) = (padded <= self.room(), u8::try_from(len)) else {
            return;
        };
        for _ in len..padded {
            self.bytes.push(NOP);
        }
        self.bytes.extend_from_slice(&[kind, len_field]);
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
    }
}
