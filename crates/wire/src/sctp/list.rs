//! Lists of fields of one size, as they lie in a chunk or as they are to be written.

use super::{SkippedMessage, SkippedStream, Tsn, sack::GapAckBlock};
use crate::ParseError;

/// What a [`List`] is made of.
pub trait Field: Copy {
    /// Bytes of one.
    const LEN: usize;

    /// Reads one from exactly [`LEN`](Self::LEN) bytes.
    fn read(bytes: &[u8]) -> Self;

    /// Appends one.
    fn write(self, out: &mut Vec<u8>);
}

/// Fields one behind the other: a view of received bytes, or values to send.
#[derive(Clone, Copy, Debug)]
pub enum List<'a, T> {
    /// As received; a multiple of the field's length.
    Wire(&'a [u8]),
    /// To be sent.
    Values(&'a [T]),
}

impl<'a, T: Field> List<'a, T> {
    /// Views `bytes` as fields.
    ///
    /// # Errors
    /// [`BadLength`](ParseError::BadLength) when the last one is cut.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        if bytes.len().is_multiple_of(T::LEN) {
            Ok(Self::Wire(bytes))
        } else {
            Err(ParseError::BadLength)
        }
    }

    /// Splits `count` fields off the front of `bytes`.
    pub(super) fn split(bytes: &'a [u8], count: u16) -> Result<(Self, &'a [u8]), ParseError> {
        let (list, rest) = bytes
            .split_at_checked(usize::from(count) * T::LEN)
            .ok_or(ParseError::BadLength)?;
        Ok((Self::Wire(list), rest))
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Wire(bytes) => bytes.len() / T::LEN,
            Self::Values(values) => values.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<T> {
        match self {
            Self::Wire(bytes) => {
                let start = index.checked_mul(T::LEN)?;
                bytes.get(start..start.checked_add(T::LEN)?).map(T::read)
            }
            Self::Values(values) => values.get(index).copied(),
        }
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        let list = *self;
        (0..list.len()).filter_map(move |index| list.get(index))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for field in self.iter() {
            field.write(out);
        }
    }
}

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        Self::Values(&[])
    }
}

impl<T: Field + PartialEq> PartialEq for List<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T: Field + Eq> Eq for List<'_, T> {}

macro_rules! fields {
    ($($kind:ty, $len:literal, |$value:ident| $parts:expr, |$bytes:ident| $read:expr;)*) => {$(
        impl Field for $kind {
            const LEN: usize = $len;

            fn read(bytes: &[u8]) -> Self {
                let mut $bytes = [0; $len];
                $bytes.copy_from_slice(bytes);
                $read
            }

            fn write(self, out: &mut Vec<u8>) {
                let $value = self;
                for part in $parts {
                    out.extend_from_slice(&part.to_be_bytes());
                }
            }
        }
    )*};
}

fields! {
    u16, 2, |v| [v], |b| Self::from_be_bytes(b);
    u32, 4, |v| [v], |b| Self::from_be_bytes(b);
    Tsn, 4, |v| [v.0], |b| Self(u32::from_be_bytes(b));
    GapAckBlock, 4, |v| [v.start, v.end], |b| Self {
        start: u16::from_be_bytes([b[0], b[1]]),
        end: u16::from_be_bytes([b[2], b[3]]),
    };
    SkippedStream, 4, |v| [v.stream, v.ssn], |b| Self {
        stream: u16::from_be_bytes([b[0], b[1]]),
        ssn: u16::from_be_bytes([b[2], b[3]]),
    };
    SkippedMessage, 8,
        |v| [u32::from(v.stream) << 16 | u32::from(v.unordered), v.mid],
        |b| Self {
            stream: u16::from_be_bytes([b[0], b[1]]),
            unordered: b[3] & 1 != 0,
            mid: u32::from_be_bytes([b[4], b[5], b[6], b[7]]),
        };
}
