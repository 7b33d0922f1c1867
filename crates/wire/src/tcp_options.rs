//! TCP options: MSS (RFC 9293 §3.1), window scale and timestamps (RFC 7323), SACK (RFC 2018), user
//! timeout (RFC 5482), Fast Open (RFC 7413), MD5 (RFC 2385), authentication (RFC 5925), accurate
//! ECN counters (RFC 9768).

use crate::{Bounded, SeqNum};
use std::ops::Range;

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
/// Shared by experiments, which their first bytes tell apart (RFC 6994 §3).
const EXPERIMENT: u8 = 254;
/// The bytes of Fast Open's experiment (RFC 7413 §4.1.1: the option of early implementations).
const FAST_OPEN_EXPERIMENT: [u8; 2] = [0xf9, 0x89];

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

/// A Fast Open cookie; an empty one asks for one.
pub type FastOpenCookie = Bounded<u8, FAST_OPEN_COOKIE_LEN_MAX>;

/// A Fast Open option.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FastOpen {
    /// The cookie, or nothing: a request.
    pub cookie: FastOpenCookie,
    /// It came, or goes, as the experimental option (kind 254) of before RFC 7413.
    pub experimental: bool,
}

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
    pub fast_open: Option<FastOpen>,
    /// MD5 digest.
    pub md5: Option<[u8; 16]>,
    /// Authentication option.
    pub authentication: Option<Authentication>,
    /// Accurate ECN counters.
    pub accecn: Option<AccEcn>,
    /// Set by the parser: a signature (MD5 or authentication) had an illegal length, or there was
    /// more than one. RFC 5925 §2.2: such a segment is discarded. It is never emitted.
    pub bad_signature: bool,
    /// Set by the parser: an option had an illegal length, and what lay behind it was not read.
    /// It is never emitted.
    pub malformed: bool,
}

impl Options {
    /// Reads the bytes between the fixed header and the data.
    ///
    /// RFC 9293 §3.1 and §3.2 (MUST-4 to MUST-7, MUST-64, MUST-68): End of Option List ends them;
    /// an option that is not known (MUST-6) is skipped by its length, wherever it starts (MUST-5:
    /// in any segment); one with an illegal length ends the parse and sets
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
                        options.bad_signature |= is_signature(kind);
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
    /// RFC 9293 §3.1 (MUST-69): what they leave of a word is filled, never garbage.
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

    /// Whether the segment carries a signature.
    #[must_use]
    pub const fn is_signed(&self) -> bool {
        self.md5.is_some() || self.authentication.is_some()
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
                Ok(digest) => {
                    self.bad_signature |= self.is_signed();
                    self.md5 = Some(digest);
                }
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
            // A code without a byte proves nothing: Linux does not take it either.
            (AO, &[key_id, rnext_key_id, ref mac @ ..]) if !mac.is_empty() => {
                let Some(mac) = Bounded::from_slice(mac) else {
                    return false;
                };
                self.bad_signature |= self.is_signed();
                self.authentication = Some(Authentication {
                    key_id,
                    rnext_key_id,
                    mac,
                });
            }
            // RFC 7413 §4.1.1: a cookie has 4 to 16 bytes, an even number; without one it is a
            // request. What has another length is not for us to read, but not illegal either.
            (FAST_OPEN, _) => self.read_fast_open(body, false),
            (EXPERIMENT, [a, b, body @ ..]) if [*a, *b] == FAST_OPEN_EXPERIMENT => {
                self.read_fast_open(body, true);
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

    fn read_fast_open(&mut self, cookie: &[u8], experimental: bool) {
        if matches!(cookie.len(), 0 | 4 | 6 | 8 | 10 | 12 | 14 | 16) {
            let cookie = Bounded::from_slice(cookie);
            self.fast_open = cookie.map(|cookie| FastOpen {
                cookie,
                experimental,
            });
        }
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
            bad_signature: _,
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
        match &self.fast_open {
            Some(open) if open.experimental => {
                out.option(EXPERIMENT, &[&FAST_OPEN_EXPERIMENT, &open.cookie]);
            }
            Some(open) => out.option_first(FAST_OPEN, &[&open.cookie]),
            None => {}
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

/// Whether there is a signature among the options in `bytes`; as far as they can be walked.
#[must_use]
pub fn are_signed(bytes: &[u8]) -> bool {
    if bytes.is_empty() || (bytes.len() == 12 && bytes.starts_with(&ALIGNED_TIMESTAMPS)) {
        return false;
    }
    walk(bytes).any(|(kind, _)| is_signature(kind))
}

/// Where the message authentication code of the authentication option lies in `bytes`: four bytes
/// behind the option's start, up to its end.
#[must_use]
pub fn authentication_code(bytes: &[u8]) -> Option<Range<usize>> {
    let (_, option) = walk(bytes).find(|(kind, _)| *kind == AO)?;
    (option.len() > 4).then(|| option.start + 4..option.end)
}

/// The options in `bytes`, each with its kind and place, up to the first that is malformed.
fn walk(bytes: &[u8]) -> impl Iterator<Item = (u8, Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            match *bytes.get(at..)? {
                [] | [END, ..] => return None,
                [NOP, ..] => at += 1,
                [kind, len, ..] if len >= 2 && at + usize::from(len) <= bytes.len() => {
                    let start = at;
                    at += usize::from(len);
                    return Some((kind, start..at));
                }
                _ => return None,
            }
        }
    })
}

const fn is_signature(kind: u8) -> bool {
    matches!(kind, MD5 | AO)
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
        let len = option_len(parts);
        let padded = len.next_multiple_of(4);
        if padded <= self.room() {
            self.fill(padded - len);
            self.put(kind, parts);
        }
    }

    /// Like [`option`](Self::option) with the fillers behind.
    fn option_first(&mut self, kind: u8, parts: &[&[u8]]) {
        let len = option_len(parts);
        let padded = len.next_multiple_of(4);
        if padded <= self.room() {
            self.put(kind, parts);
            self.fill(padded - len);
        }
    }

    fn fill(&mut self, count: usize) {
        for _ in 0..count {
            self.bytes.push(NOP);
        }
    }

    fn put(&mut self, kind: u8, parts: &[&[u8]]) {
        // There is room for it, so it is shorter than a byte counts.
        self.bytes
            .extend_from_slice(&[kind, option_len(parts) as u8]);
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
    }
}

/// Bytes of an option made of `parts`.
fn option_len(parts: &[&[u8]]) -> usize {
    2 + parts.iter().map(|part| part.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn emitted(options: Options) -> Vec<u8> {
        let mut out = vec![0xee; options.emitted_len()];
        assert_eq!(options.emit(&mut out), out.len());
        out
    }

    fn blocks(count: u32) -> Bounded<SackBlock, SACK_BLOCKS_MAX> {
        let mut list = Bounded::new();
        for i in 0..count {
            list.push(SackBlock {
                start: SeqNum(i * 100),
                end: SeqNum(i * 100 + 50),
            });
        }
        list
    }

    const TIMESTAMPS_1_2: Option<Timestamps> = Some(Timestamps { tsval: 1, tsecr: 2 });

    /// RFC 9293 §3.1 (MUST-69).
    #[test]
    fn timestamps_alone_take_twelve_bytes() {
        let options = Options {
            timestamps: TIMESTAMPS_1_2,
            ..Options::default()
        };
        assert_eq!(emitted(options), [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
        assert_eq!(Options::parse(&emitted(options)), options);
        assert!(emitted(Options::default()).is_empty());
    }

    #[test]
    fn sack_blocks_are_cut_to_the_room_left() {
        let with = |options: Options| Options::parse(&emitted(options)).sack.len();
        let alone = Options {
            sack: blocks(4),
            ..Options::default()
        };
        assert_eq!(with(alone), 4);
        let timestamps = Options {
            timestamps: TIMESTAMPS_1_2,
            ..alone
        };
        assert_eq!(with(timestamps), 3);
        assert_eq!(timestamps.emitted_len(), 40);
        assert_eq!(
            with(Options {
                md5: Some([7; 16]),
                ..alone
            }),
            2
        );
        // 20 + 12 leave 8 bytes: too few for the head of the option and a block.
        assert_eq!(
            with(Options {
                md5: Some([7; 16]),
                ..timestamps
            }),
            0
        );
    }

    /// RFC 9293 §3.1 (MUST-7).
    #[test]
    fn an_illegal_length_ends_the_parse_and_is_told() {
        let mss_then = |tail: &[u8]| Options::parse(&[&[2, 4, 5, 0xb4], tail].concat());
        let good = mss_then(&[3, 3, 7, 0]);
        assert_eq!(
            (good.mss, good.window_scale, good.malformed),
            (Some(1460), Some(7), false)
        );
        // Length 0, length 1, beyond the end, without a length, of another length than its own.
        for tail in [
            &[3, 0, 7, 0][..],
            &[3, 1, 7, 0],
            &[3, 5, 7, 0],
            &[1, 1, 1, 3],
            &[3, 4, 7, 7],
        ] {
            let options = mss_then(tail);
            assert_eq!(
                (options.mss, options.window_scale),
                (Some(1460), None),
                "{tail:?}"
            );
            assert!(options.malformed, "{tail:?}");
        }
    }

    /// RFC 9293 §3.1 (MUST-6, MUST-68), §3.2 (MUST-64): wherever they start.
    #[test]
    fn unknown_options_are_skipped_by_their_length() {
        let options = Options::parse(&[77, 5, 0, 0, 0, 253, 2, 3, 3, 7]);
        assert_eq!(
            options,
            Options {
                window_scale: Some(7),
                ..Options::default()
            }
        );
    }

    /// RFC 9293 §3.2 (MUST-4).
    #[test]
    fn nothing_is_read_behind_the_end() {
        assert_eq!(Options::parse(&[0, 3, 3, 7]), Options::default());
    }

    /// RFC 5925 §2.2.
    #[test]
    fn there_is_one_signature_at_most_and_its_length_is_legal() {
        let md5 = [&[19, 18][..], &[7; 16], &[1, 1]].concat();
        let ao = [&[29, 16, 5, 6][..], &[9; 12]].concat();
        let bad = |parts: &[&[u8]]| Options::parse(&parts.concat()).bad_signature;
        assert!(!bad(&[&md5]) && !bad(&[&ao]));
        assert!(bad(&[&md5, &md5]) && bad(&[&ao, &ao]) && bad(&[&md5, &ao]) && bad(&[&ao, &md5]));
        // Too short for a code, beyond the end, of a length that MD5 has not; and another option's
        // fault is none of theirs.
        assert!(bad(&[&[29, 4, 5, 6]]) && bad(&[&[29, 3, 5, 0]]) && bad(&[&[29, 0]]));
        assert!(bad(&[&[29, 17, 5, 6], &[9; 12]]) && bad(&[&[19, 17], &[7; 15], &[0]]));
        assert!(!bad(&[&[3, 4, 7, 7]]));
    }

    #[test]
    fn a_signature_is_found_where_it_lies() {
        let ao = [&[29, 16, 5, 6][..], &[9; 12]].concat();
        let behind = [&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2][..], &ao].concat();
        assert!(are_signed(&ao) && are_signed(&behind) && are_signed(&[19, 2]));
        assert_eq!(authentication_code(&behind), Some(16..28));
        assert!(!are_signed(&behind[..12]) && !are_signed(&[1, 0, 29, 4]));
        assert_eq!(authentication_code(&behind[..20]), None);
    }

    #[test]
    fn fast_open_cookies_have_four_to_sixteen_bytes() {
        let read = |bytes: &[u8]| Options::parse(bytes).fast_open;
        assert_eq!(read(&[34, 2]), Some(FastOpen::default()));
        let open = read(&[34, 6, 1, 2, 3, 4]).unwrap();
        assert_eq!(
            (&open.cookie[..], open.experimental),
            (&[1, 2, 3, 4][..], false)
        );
        // Early implementations: another kind, with a mark of its own; others' marks are skipped.
        let open = read(&[254, 8, 0xf9, 0x89, 1, 2, 3, 4]).unwrap();
        assert_eq!(
            (&open.cookie[..], open.experimental),
            (&[1, 2, 3, 4][..], true)
        );
        assert_eq!(read(&[254, 8, 0xf9, 0x88, 1, 2, 3, 4]), None);
        assert_eq!(read(&[254, 3, 0xf9]), None);
        // The last one counts.
        assert!(!read(&[254, 4, 0xf9, 0x89, 34, 2]).unwrap().experimental);
        let odd = Options::parse(&[34, 5, 1, 2, 3, 3, 3, 7]);
        assert_eq!(
            (odd.fast_open, odd.window_scale, odd.malformed),
            (None, Some(7), false)
        );
    }

    fn arbitrary() -> impl Strategy<Value = Options> {
        let block = any::<(u32, u32)>().prop_map(|(start, end)| SackBlock {
            start: SeqNum(start),
            end: SeqNum(end),
        });
        let list = proptest::collection::vec(block, 0..=4);
        let cookie =
            (0usize..8, any::<[u8; 16]>(), any::<bool>()).prop_map(|(n, bytes, experimental)| {
                let len = if n == 0 { 0 } else { 2 + 2 * n };
                FastOpen {
                    cookie: Bounded::from_slice(&bytes[..len]).unwrap(),
                    experimental,
                }
            });
        let ao = (
            any::<(u8, u8)>(),
            proptest::collection::vec(any::<u8>(), 1..=36),
        )
            .prop_map(|((key_id, rnext_key_id), mac)| Authentication {
                key_id,
                rnext_key_id,
                mac: Bounded::from_slice(&mac).unwrap(),
            });
        let accecn =
            (any::<bool>(), 0usize..=3, any::<[u8; 9]>()).prop_map(|(reversed, n, bytes)| AccEcn {
                reversed,
                counters: Bounded::from_slice(&bytes[..3 * n]).unwrap(),
            });
        (
            any::<(
                Option<u16>,
                Option<u8>,
                bool,
                Option<(u32, u32)>,
                Option<(bool, u16)>,
            )>(),
            list,
            proptest::option::of(cookie),
            proptest::option::weighted(0.1, any::<[u8; 16]>()),
            proptest::option::weighted(0.1, ao),
            proptest::option::of(accecn),
        )
            .prop_map(|(plain, sack, fast_open, md5, authentication, accecn)| {
                let (mss, window_scale, sack_permitted, timestamps, user_timeout) = plain;
                Options {
                    mss,
                    window_scale,
                    sack_permitted,
                    sack: Bounded::from_slice(&sack).unwrap(),
                    timestamps: timestamps.map(|(tsval, tsecr)| Timestamps { tsval, tsecr }),
                    user_timeout: user_timeout.map(|(minutes, timeout)| UserTimeout {
                        minutes,
                        timeout: timeout & 0x7fff,
                    }),
                    fast_open,
                    md5,
                    authentication,
                    accecn,
                    bad_signature: false,
                    malformed: false,
                }
            })
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let options = Options::parse(&bytes);
            prop_assert!(emitted(options).len() <= OPTIONS_LEN_MAX);
            // Who looks for the signature alone finds what the parser finds.
            let found = are_signed(&bytes);
            prop_assert!(found || !options.is_signed());
            if let (Some(ao), false) = (options.authentication, options.bad_signature) {
                let code = authentication_code(&bytes).unwrap();
                prop_assert_eq!(&bytes[code], &ao.mac[..]);
            }
        }

        #[test]
        fn what_fits_survives_and_what_does_not_is_left_out(options in arbitrary()) {
            let out = emitted(options);
            prop_assert!(out.len() <= OPTIONS_LEN_MAX && out.len().is_multiple_of(4));
            let read = Options::parse(&out);
            prop_assert!(!read.malformed);
            // Emitting what was read gives the same bytes: nothing was garbled.
            prop_assert_eq!(&emitted(read), &out);
            let mut expected = options;
            expected.sack.truncate(read.sack.len());
            let roomy = options.md5.is_none() && options.authentication.is_none()
                && options.fast_open.is_none() && options.accecn.is_none();
            if roomy {
                prop_assert_eq!(read, expected);
            }
            if read.sack.len() < options.sack.len() {
                let option_head = if read.sack.is_empty() { 4 } else { 0 };
                prop_assert!(out.len() + option_head + 8 > OPTIONS_LEN_MAX);
            }
        }
    }
}
