//! Options (RFC 4340 §5.8): their walk, what they mean, and how they are written.

/// The longest option, type and length included.
pub const OPTION_MAX: usize = 255;
/// The most data that one option holds.
pub const DATA_MAX: usize = OPTION_MAX - 2;

/// Padding.
pub const PADDING: u8 = 0;
/// The next option has to be understood.
pub const MANDATORY: u8 = 1;
const SLOW_RECEIVER: u8 = 2;
/// The first type that has a length.
const FIRST_LONG: u8 = 32;
const CHANGE_L: u8 = 32;
const CONFIRM_L: u8 = 33;
const CHANGE_R: u8 = 34;
const CONFIRM_R: u8 = 35;
const INIT_COOKIE: u8 = 36;
const NDP_COUNT: u8 = 37;
const ACK_VECTOR_0: u8 = 38;
const ACK_VECTOR_1: u8 = 39;
const DATA_DROPPED: u8 = 40;
const TIMESTAMP: u8 = 41;
const TIMESTAMP_ECHO: u8 = 42;
const ELAPSED_TIME: u8 = 43;
const DATA_CHECKSUM: u8 = 44;
/// From here on a type belongs to a CCID: to 191 sent by the HC-Sender, then by the HC-Receiver.
pub const CCID_FIRST: u8 = 128;
/// The first type that an HC-Receiver sends.
pub const CCID_RECEIVER_FIRST: u8 = 192;
/// Elapsed times above this take four bytes.
const SHORT_ELAPSED_MAX: u32 = 0xffff;

/// An option as it stands in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawOption<'a> {
    /// Its type.
    pub kind: u8,
    /// Its data.
    pub data: &'a [u8],
}

/// The options of a header, one after the other. RFC 4340 §5.8: where a length makes no sense, that
/// option and all that follow are ignored.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'a>(&'a [u8]);

/// Walks along `bytes`, the options of a header.
#[must_use]
pub const fn walk(bytes: &[u8]) -> Walk<'_> {
    Walk(bytes)
}

impl<'a> Iterator for Walk<'a> {
    type Item = RawOption<'a>;

    // RFC 4340 §5.8-5 and §5.8-6: nothing counts from a senseless length on.
    fn next(&mut self) -> Option<RawOption<'a>> {
        let (&kind, rest) = self.0.split_first()?;
        if kind < FIRST_LONG {
            self.0 = rest;
            return Some(RawOption { kind, data: &[] });
        }
        let len = usize::from(*rest.first()?);
        let whole = self.0.get(..len).filter(|_| len >= 2);
        let Some(whole) = whole else {
            self.0 = &[];
            return None;
        };
        self.0 = &self.0[len..];
        Some(RawOption {
            kind,
            data: &whole[2..],
        })
    }
}

/// Whose feature an option of feature negotiation is about: that of its sender (L) or that of its
/// receiver (R).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The feature is located at the option's sender.
    Local,
    /// The feature is located at the option's receiver.
    Remote,
}

/// What an option says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning<'a> {
    /// Nothing.
    Padding,
    /// The next option has to be understood (§5.8.2).
    Mandatory,
    /// The receiver can't keep up (§11.6).
    SlowReceiver,
    /// Opens the negotiation of a feature (§6.1).
    Change {
        /// Where the feature is.
        side: Side,
        /// Its number.
        feature: u8,
        /// The preference list, or the one value.
        values: &'a [u8],
    },
    /// Ends the negotiation of a feature (§6.2).
    Confirm {
        /// Where the feature is.
        side: Side,
        /// Its number.
        feature: u8,
        /// The value and perhaps the sender's preference list; empty for a Change that was invalid.
        values: &'a [u8],
    },
    /// What the server would have kept (§8.1.4).
    InitCookie(&'a [u8]),
    /// Packets without data just before this one (§7.7).
    NdpCount(u64),
    /// Which packets arrived (§11.4).
    AckVector {
        /// The ECN Nonce Echo.
        nonce: bool,
        /// States and run lengths.
        vector: &'a [u8],
    },
    /// Whose data was dropped (§11.7).
    DataDropped(&'a [u8]),
    /// When it was sent, in units of 10 µs (§13.1).
    Timestamp(u32),
    /// A timestamp back (§13.3).
    TimestampEcho {
        /// The timestamp.
        echo: u32,
        /// How long it was kept, in units of 10 µs.
        elapsed: u32,
    },
    /// How long the acknowledged packet was kept, in units of 10 µs (§13.2).
    ElapsedTime(u32),
    /// The CRC-32c of the application data (§9.3).
    DataChecksum(u32),
    /// One of a CCID (§10.3).
    Ccid(RawOption<'a>),
    /// A type that nobody knows, or a known one whose length or value is wrong.
    Unknown(RawOption<'a>),
}

impl<'a> RawOption<'a> {
    /// What it says.
    #[must_use]
    pub fn meaning(self) -> Meaning<'a> {
        self.find_meaning().unwrap_or(Meaning::Unknown(self))
    }

    /// RFC 4340 §5.8-10 and §5.8-11: an invalid value is as good as an unknown option.
    fn find_meaning(self) -> Option<Meaning<'a>> {
        let data = self.data;
        let word = || data.try_into().ok().map(u32::from_be_bytes);
        Some(match self.kind {
            PADDING => Meaning::Padding,
            MANDATORY => Meaning::Mandatory,
            SLOW_RECEIVER => Meaning::SlowReceiver,
            CHANGE_L | CHANGE_R => {
                let (&feature, values) = data.split_first()?;
                Meaning::Change {
                    side: side(self.kind == CHANGE_L),
                    feature,
                    values,
                }
            }
            CONFIRM_L | CONFIRM_R => {
                let (&feature, values) = data.split_first()?;
                Meaning::Confirm {
                    side: side(self.kind == CONFIRM_L),
                    feature,
                    values,
                }
            }
            INIT_COOKIE => Meaning::InitCookie(data),
            NDP_COUNT if (1..=6).contains(&data.len()) => {
                let count = data.iter().fold(0, |n, &b| n << 8 | u64::from(b));
                Meaning::NdpCount(count)
            }
            ACK_VECTOR_0 | ACK_VECTOR_1 => Meaning::AckVector {
                nonce: self.kind == ACK_VECTOR_1,
                vector: data,
            },
            DATA_DROPPED => Meaning::DataDropped(data),
            TIMESTAMP => Meaning::Timestamp(word()?),
            TIMESTAMP_ECHO => {
                let (echo, elapsed) = data.split_first_chunk::<4>()?;
                Meaning::TimestampEcho {
                    echo: u32::from_be_bytes(*echo),
                    elapsed: match elapsed {
                        [] => 0,
                        _ => time(elapsed)?,
                    },
                }
            }
            ELAPSED_TIME => Meaning::ElapsedTime(time(data)?),
            DATA_CHECKSUM => Meaning::DataChecksum(word()?),
            CCID_FIRST.. => Meaning::Ccid(self),
            _ => return None,
        })
    }
}

impl Meaning<'_> {
    /// RFC 4340 §5.8, table 3: whether it counts on a DCCP-Data packet.
    #[must_use]
    pub const fn is_for_data(&self) -> bool {
        matches!(
            self,
            Self::Padding
                | Self::SlowReceiver
                | Self::NdpCount(_)
                | Self::Timestamp(_)
                | Self::TimestampEcho { .. }
                | Self::DataChecksum(_)
                | Self::Ccid(_)
        )
    }

    /// Appends it to the options of a header. Data beyond [`DATA_MAX`] is cut off.
    pub fn write(&self, out: &mut impl Extend<u8>) {
        match *self {
            Self::Padding => out.extend([PADDING]),
            Self::Mandatory => out.extend([MANDATORY]),
            Self::SlowReceiver => out.extend([SLOW_RECEIVER]),
            Self::Change {
                side,
                feature,
                values,
            } => long(out, by_side(side, CHANGE_L, CHANGE_R), &[feature], values),
            Self::Confirm {
                side,
                feature,
                values,
            } => long(out, by_side(side, CONFIRM_L, CONFIRM_R), &[feature], values),
            Self::InitCookie(cookie) => long(out, INIT_COOKIE, &[], cookie),
            Self::NdpCount(count) => {
                // §7.7: in the fewest bytes that hold it.
                let bytes = count.to_be_bytes();
                let zeros = (count.leading_zeros() / 8) as usize;
                long(out, NDP_COUNT, &[], &bytes[zeros.clamp(2, 7)..]);
            }
            Self::AckVector { nonce, vector } => {
                let kind = if nonce { ACK_VECTOR_1 } else { ACK_VECTOR_0 };
                long(out, kind, &[], vector);
            }
            Self::DataDropped(blocks) => long(out, DATA_DROPPED, &[], blocks),
            Self::Timestamp(time) => long(out, TIMESTAMP, &[], &time.to_be_bytes()),
            Self::TimestampEcho { echo, elapsed } => {
                let echo = echo.to_be_bytes();
                let bytes = elapsed.to_be_bytes();
                let elapsed = match elapsed {
                    0 => &[],
                    _ if elapsed <= SHORT_ELAPSED_MAX => &bytes[2..],
                    _ => &bytes[..],
                };
                long(out, TIMESTAMP_ECHO, &echo, elapsed);
            }
            // RFC 4340 §13.2-2: the long form above 0.65535 s.
            Self::ElapsedTime(elapsed) => {
                let bytes = elapsed.to_be_bytes();
                let short = elapsed <= SHORT_ELAPSED_MAX;
                long(out, ELAPSED_TIME, &[], &bytes[if short { 2 } else { 0 }..]);
            }
            Self::DataChecksum(crc) => long(out, DATA_CHECKSUM, &[], &crc.to_be_bytes()),
            Self::Ccid(raw) | Self::Unknown(raw) if raw.kind < FIRST_LONG => {
                out.extend([raw.kind]);
            }
            Self::Ccid(raw) | Self::Unknown(raw) => long(out, raw.kind, &[], raw.data),
        }
    }
}

const fn side(local: bool) -> Side {
    if local { Side::Local } else { Side::Remote }
}

const fn by_side(side: Side, local: u8, remote: u8) -> u8 {
    match side {
        Side::Local => local,
        Side::Remote => remote,
    }
}

fn time(bytes: &[u8]) -> Option<u32> {
    match *bytes {
        [a, b] => Some(u16::from_be_bytes([a, b]).into()),
        [a, b, c, d] => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    }
}

fn long(out: &mut impl Extend<u8>, kind: u8, first: &[u8], rest: &[u8]) {
    let rest = &rest[..rest.len().min(DATA_MAX - first.len())];
    // At most 255.
    let len = (2 + first.len() + rest.len()) as u8;
    out.extend([kind, len]);
    out.extend(first.iter().chain(rest).copied());
}

/// States of packets in an Ack Vector (§11.4, table 6).
pub mod ack_state {
    /// It arrived.
    pub const RECEIVED: u8 = 0;
    /// It arrived marked with CE.
    pub const MARKED: u8 = 1;
    /// It has not arrived.
    pub const NOT_RECEIVED: u8 = 3;
}

/// The packets of one run in an Ack Vector.
pub const RUN_MAX: u8 = 64;

/// The runs of an Ack Vector, from the acknowledged packet down: state and packets.
pub fn runs(vector: &[u8]) -> impl Iterator<Item = (u8, u8)> + '_ {
    vector.iter().map(|&byte| (byte >> 6, (byte & 0x3f) + 1))
}

/// One run of an Ack Vector; `packets` is 1 to [`RUN_MAX`].
#[must_use]
pub const fn run(state: u8, packets: u8) -> u8 {
    state << 6 | packets.wrapping_sub(1) & 0x3f
}

/// The blocks of a Data Dropped option, from the acknowledged packet down: the Drop Code, `None`
/// where the data was delivered, and packets (§11.7).
pub fn blocks(vector: &[u8]) -> impl Iterator<Item = (Option<u8>, u8)> + '_ {
    vector.iter().map(|&byte| match byte >> 7 {
        0 => (None, (byte & 0x7f) + 1),
        _ => (Some((byte >> 4) & 7), (byte & 0x0f) + 1),
    })
}

/// The packets of one Drop Block; a Normal Block holds [`NORMAL_MAX`].
pub const DROPPED_MAX: u8 = 16;
/// The packets of one Normal Block.
pub const NORMAL_MAX: u8 = 128;

/// One block of a Data Dropped option.
#[must_use]
pub const fn block(code: Option<u8>, packets: u8) -> u8 {
    match code {
        None => packets.wrapping_sub(1) & 0x7f,
        Some(code) => 0x80 | (code & 7) << 4 | packets.wrapping_sub(1) & 0x0f,
    }
}
