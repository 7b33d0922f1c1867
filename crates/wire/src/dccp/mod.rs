//! DCCP packets (RFC 4340 §5): the generic header with long and short sequence numbers, the packet
//! types, [`options`], Reset Codes and what a checksum [covers](coverage).

pub mod coverage;
pub mod options;
mod sequence;
mod types;

pub use sequence::Seq;
pub use types::{PacketType, ResetCode};

use crate::{ParseError, take};

/// Bytes of the generic header with short sequence numbers: no packet is shorter.
pub const SHORT_LEN: usize = 12;
/// Bytes of the generic header with long sequence numbers.
pub const LONG_LEN: usize = 16;
/// Bytes of the longest header with all its options: Data Offset has eight bits and counts words.
pub const HEADER_MAX: usize = 255 * 4;
/// Where the checksum lies in the header.
pub const CHECKSUM_OFFSET: usize = 6;

/// RFC 4340 §5.1: a header without its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Bytes of options behind the fixed part, padding included: a multiple of four.
    pub options_len: u16,
    /// CCVal, four bits that belong to the sender's CCID.
    pub ccval: u8,
    /// CsCov, four bits: see [`coverage`].
    pub coverage: u8,
    /// Checksum as it stands in the field.
    pub checksum: u16,
    /// The X bit: sequence numbers have 48 bits.
    pub extended: bool,
    /// Sequence Number: 48 bits, or the low 24 of them.
    pub seq: Seq,
    /// What the packet is, and what only its kind has.
    pub kind: Kind,
}

/// A packet's type with the fields that only this type has. Acknowledgement Numbers are as wide as
/// the header's sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// DCCP-Request.
    Request {
        /// Service Code.
        service: u32,
    },
    /// DCCP-Response.
    Response {
        /// Acknowledgement Number.
        ack: Seq,
        /// Service Code.
        service: u32,
    },
    /// DCCP-Data.
    Data,
    /// DCCP-Ack.
    Ack(Seq),
    /// DCCP-DataAck.
    DataAck(Seq),
    /// DCCP-CloseReq.
    CloseReq(Seq),
    /// DCCP-Close.
    Close(Seq),
    /// DCCP-Reset.
    Reset {
        /// Acknowledgement Number.
        ack: Seq,
        /// Reset Code.
        code: ResetCode,
        /// Data 1, 2 and 3.
        data: [u8; 3],
    },
    /// DCCP-Sync.
    Sync(Seq),
    /// DCCP-SyncAck.
    SyncAck(Seq),
    /// DCCP-Listen (RFC 5596).
    Listen {
        /// Service Code.
        service: u32,
    },
}

impl Kind {
    /// Its type.
    #[must_use]
    pub const fn packet_type(self) -> PacketType {
        match self {
            Self::Request { .. } => PacketType::Request,
            Self::Response { .. } => PacketType::Response,
            Self::Data => PacketType::Data,
            Self::Ack(_) => PacketType::Ack,
            Self::DataAck(_) => PacketType::DataAck,
            Self::CloseReq(_) => PacketType::CloseReq,
            Self::Close(_) => PacketType::Close,
            Self::Reset { .. } => PacketType::Reset,
            Self::Sync(_) => PacketType::Sync,
            Self::SyncAck(_) => PacketType::SyncAck,
            Self::Listen { .. } => PacketType::Listen,
        }
    }

    /// Its Acknowledgement Number: every type has one but Request, Data and Listen.
    #[must_use]
    pub const fn ack(self) -> Option<Seq> {
        match self {
            Self::Request { .. } | Self::Data | Self::Listen { .. } => None,
            Self::Response { ack, .. }
            | Self::Ack(ack)
            | Self::DataAck(ack)
            | Self::CloseReq(ack)
            | Self::Close(ack)
            | Self::Reset { ack, .. }
            | Self::Sync(ack)
            | Self::SyncAck(ack) => Some(ack),
        }
    }

    /// Its Service Code.
    #[must_use]
    pub const fn service(self) -> Option<u32> {
        match self {
            Self::Request { service }
            | Self::Response { service, .. }
            | Self::Listen { service } => Some(service),
            _ => None,
        }
    }

    /// The same with another Acknowledgement Number, where it has one.
    #[must_use]
    pub const fn with_ack(self, new: Seq) -> Self {
        match self {
            Self::Request { .. } | Self::Data | Self::Listen { .. } => self,
            Self::Response { service, .. } => Self::Response { ack: new, service },
            Self::Ack(_) => Self::Ack(new),
            Self::DataAck(_) => Self::DataAck(new),
            Self::CloseReq(_) => Self::CloseReq(new),
            Self::Close(_) => Self::Close(new),
            Self::Reset { code, data, .. } => Self::Reset {
                ack: new,
                code,
                data,
            },
            Self::Sync(_) => Self::Sync(new),
            Self::SyncAck(_) => Self::SyncAck(new),
        }
    }
}

/// Bytes of the header of a packet type without options.
#[must_use]
pub const fn fixed_len(kind: PacketType, extended: bool) -> usize {
    let (generic, ack) = if extended {
        (LONG_LEN, 8)
    } else {
        (SHORT_LEN, 4)
    };
    match kind {
        PacketType::Data => generic,
        PacketType::Request | PacketType::Listen => generic + 4,
        PacketType::Response | PacketType::Reset => generic + ack + 4,
        PacketType::Ack
        | PacketType::DataAck
        | PacketType::CloseReq
        | PacketType::Close
        | PacketType::Sync
        | PacketType::SyncAck => generic + ack,
    }
}

impl Header {
    /// Bytes of the header that begins `bytes`, options included, as Data Offset says; not judged.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) below 12 bytes.
    pub fn announced_len(bytes: &[u8]) -> Result<usize, ParseError> {
        let fixed = take::<SHORT_LEN>(bytes)?;
        Ok(usize::from(fixed[4]) * 4)
    }

    /// Reads a header, whose options follow in `bytes`. RFC 4340 §8.5 step 1 but for the checksum and
    /// what it covers.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) below 12 bytes or where `bytes` end before the header,
    /// [`BadValue`](ParseError::BadValue) for a reserved type and for short numbers on a type that
    /// must not have them, [`BadLength`](ParseError::BadLength) when Data Offset is less than the
    /// type's header.
    /// RFC 4340 §3.1-2, §3.1-3, §5.1-1, §5.1-5, §5.1-6, §5.1-7, §5.1-8, §5.1-10 and §5.1-12: what
    /// does not fit is refused, reserved bits are not looked at.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let &[s0, s1, d0, d1, offset, nibbles, c0, c1, kind, q0, q1, q2] =
            take::<SHORT_LEN>(bytes)?;
        let extended = kind & 1 == 1;
        let ty = PacketType::from_number((kind >> 1) & 0x0f).ok_or(ParseError::BadValue)?;
        // RFC 4340 §5.1: only Data, Ack and DataAck may have short numbers; others are ignored then.
        if !extended && !ty.may_be_short() {
            return Err(ParseError::BadValue);
        }
        let header_len = usize::from(offset) * 4;
        let fixed = fixed_len(ty, extended);
        if header_len < fixed {
            return Err(ParseError::BadLength);
        }
        if bytes.len() < header_len {
            return Err(ParseError::Truncated);
        }
        let seq = match extended {
            true => long(bytes, 10)?,
            false => Seq::new(u64::from(u32::from_be_bytes([0, q0, q1, q2]))),
        };
        let behind = if extended { LONG_LEN } else { SHORT_LEN };
        Ok(Self {
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            options_len: (header_len - fixed) as u16,
            ccval: nibbles >> 4,
            coverage: nibbles & 0x0f,
            checksum: u16::from_be_bytes([c0, c1]),
            extended,
            seq,
            kind: kind_of(ty, extended, bytes, behind)?,
        })
    }

    /// Bytes of the header without options.
    #[must_use]
    pub const fn fixed_len(&self) -> usize {
        fixed_len(self.kind.packet_type(), self.extended)
    }

    /// Bytes of the header with its options.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        self.fixed_len() + self.options_len as usize
    }

    /// Writes the fixed part into the front of `out`, the checksum as it stands; the options are the
    /// caller's to write behind it.
    ///
    /// # Panics
    /// When `out` is shorter than that part.
    /// RFC 4340 §3.1-1, §5.1-4, §5.1-9 and §5.1-11: reserved bits are zero, and X is one where it
    /// has to be.
    pub fn emit(&self, out: &mut [u8]) {
        out[0..2].copy_from_slice(&self.source_port.to_be_bytes());
        out[2..4].copy_from_slice(&self.destination_port.to_be_bytes());
        out[4] = u8::try_from(self.header_len() / 4).unwrap_or(u8::MAX);
        out[5] = self.ccval << 4 | self.coverage & 0x0f;
        out[6..8].copy_from_slice(&self.checksum.to_be_bytes());
        out[8] = self.kind.packet_type().number() << 1 | u8::from(self.extended);
        let seq = self.seq.value().to_be_bytes();
        let mut at = if self.extended {
            out[9] = 0;
            out[10..16].copy_from_slice(&seq[2..]);
            LONG_LEN
        } else {
            out[9..12].copy_from_slice(&seq[5..]);
            SHORT_LEN
        };
        if let Some(ack) = self.kind.ack() {
            let ack = ack.value().to_be_bytes();
            if self.extended {
                out[at..at + 2].fill(0);
                out[at + 2..at + 8].copy_from_slice(&ack[2..]);
                at += 8;
            } else {
                out[at] = 0;
                out[at + 1..at + 4].copy_from_slice(&ack[5..]);
                at += 4;
            }
        }
        if let Some(service) = self.kind.service() {
            out[at..at + 4].copy_from_slice(&service.to_be_bytes());
        }
        if let Kind::Reset { code, data, .. } = self.kind {
            out[at] = code.0;
            out[at + 1..at + 4].copy_from_slice(&data);
        }
    }
}

/// Sets the checksum of the header in front of `packet`.
///
/// # Panics
/// When `packet` is shorter than the header.
pub fn set_checksum(packet: &mut [u8], checksum: u16) {
    packet[CHECKSUM_OFFSET..8].copy_from_slice(&checksum.to_be_bytes());
}

/// The 48 bits at `at`.
fn long(bytes: &[u8], at: usize) -> Result<Seq, ParseError> {
    let rest = bytes.get(at..).ok_or(ParseError::Truncated)?;
    let &[a, b, c, d, e, f] = take::<6>(rest)?;
    Ok(Seq::new(u64::from_be_bytes([0, 0, a, b, c, d, e, f])))
}

/// What follows the generic header, which ends at `at`.
fn kind_of(ty: PacketType, extended: bool, bytes: &[u8], at: usize) -> Result<Kind, ParseError> {
    let rest = bytes.get(at..).ok_or(ParseError::Truncated)?;
    let ack = || match extended {
        true => long(bytes, at + 2),
        false => {
            let &[_, a, b, c] = take::<4>(rest)?;
            Ok(Seq::new(u64::from(u32::from_be_bytes([0, a, b, c]))))
        }
    };
    let word = |behind: usize| {
        let rest = bytes.get(at + behind..).ok_or(ParseError::Truncated)?;
        take::<4>(rest).copied()
    };
    Ok(match ty {
        PacketType::Request => Kind::Request {
            service: u32::from_be_bytes(word(0)?),
        },
        PacketType::Listen => Kind::Listen {
            service: u32::from_be_bytes(word(0)?),
        },
        PacketType::Response => Kind::Response {
            ack: ack()?,
            service: u32::from_be_bytes(word(8)?),
        },
        PacketType::Data => Kind::Data,
        PacketType::Ack => Kind::Ack(ack()?),
        PacketType::DataAck => Kind::DataAck(ack()?),
        PacketType::CloseReq => Kind::CloseReq(ack()?),
        PacketType::Close => Kind::Close(ack()?),
        PacketType::Reset => {
            let [code, a, b, c] = word(8)?;
            Kind::Reset {
                ack: ack()?,
                code: ResetCode(code),
                data: [a, b, c],
            }
        }
        PacketType::Sync => Kind::Sync(ack()?),
        PacketType::SyncAck => Kind::SyncAck(ack()?),
    })
}

#[cfg(test)]
mod tests;
