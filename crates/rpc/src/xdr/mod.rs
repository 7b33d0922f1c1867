//! External data representation (RFC 4506).
//!
//! Every item is a multiple of four bytes, highest byte first (§3). [`Xdr`] is what can be written
//! and read; [`Encoder`] and [`Decoder`] have a method for each kind of item. What is variable
//! announces its length; the length is checked against the bound of the type and against what is
//! left of the message before anything is allocated for it.

mod decode;
mod encode;
mod types;

#[cfg(test)]
mod tests;

pub use decode::{DEPTH_MAX, Decoder};
pub use encode::Encoder;
pub use types::{Opaque, Quadruple};

/// No bound was given: what `<>` means in the language (§4.13).
pub const UNBOUNDED: u32 = u32::MAX;

/// A type with a representation in XDR.
pub trait Xdr: Sized {
    /// Appends its representation.
    ///
    /// # Errors
    /// It is longer than its type or the message allows, or a discriminant fits no arm.
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Error>;

    /// Reads one.
    ///
    /// # Errors
    /// What is there is no representation of this type.
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error>;
}

/// What can't be represented, or is no representation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The message ends in the midst of an item.
    #[error("an item of {needed} bytes has only {left} left of its message")]
    Truncated {
        /// What the item takes.
        needed: u64,
        /// What is there.
        left: usize,
    },
    /// More than the type's bound.
    #[error("{length} items, where {bound} at most are allowed")]
    TooLong {
        /// What was announced.
        length: u64,
        /// What is allowed.
        bound: u32,
    },
    /// An enumeration or a union without this value.
    #[error("{kind} has no value {value}")]
    NoSuchValue {
        /// The type's name.
        kind: &'static str,
        /// The number.
        value: i64,
    },
    /// A string that is no UTF-8, of which ASCII is a part.
    #[error("a string is no text")]
    NotText,
    /// Optional data within optional data, more often than [`DEPTH_MAX`].
    #[error("data is nested more than {DEPTH_MAX} deep")]
    TooDeep,
    /// The message would be longer than its transport takes.
    #[error("the message would be longer than {limit} bytes")]
    MessageTooLong {
        /// What it takes.
        limit: usize,
    },
    /// Something follows where the message should end.
    #[error("{left} bytes follow the last item")]
    Trailing {
        /// How many.
        left: usize,
    },
}

/// The representation of `value` alone.
///
/// # Errors
/// See [`Xdr::encode`].
pub fn to_bytes(value: &impl Xdr) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    value.encode(&mut Encoder::new(&mut bytes))?;
    Ok(bytes)
}

/// The value that `bytes` represent, and nothing else.
///
/// # Errors
/// See [`Xdr::decode`]; [`Error::Trailing`] when more follows.
pub fn from_bytes<T: Xdr>(bytes: &[u8]) -> Result<T, Error> {
    let mut from = Decoder::new(bytes);
    let value = T::decode(&mut from)?;
    from.finish()?;
    Ok(value)
}
