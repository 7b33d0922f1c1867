//! Reading items.

use super::encode::padding;
use super::{Error, Xdr};

/// How deep optional data and arrays may be nested: what a stack holds many times over.
pub const DEPTH_MAX: u32 = 200;

/// Elements that an array gets room for before they are there.
const ROOM_MAX: usize = 1024;

/// Takes items from a message.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    left: &'a [u8],
    depth: u32,
}

impl<'a> Decoder<'a> {
    /// Takes from `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            left: bytes,
            depth: 0,
        }
    }

    /// All that has not been taken.
    #[must_use]
    pub fn left(&self) -> &'a [u8] {
        self.left
    }

    /// Takes all that is left.
    pub fn take_left(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.left)
    }

    /// That the message ends here.
    ///
    /// # Errors
    /// [`Error::Trailing`].
    pub fn finish(&self) -> Result<(), Error> {
        match self.left.len() {
            0 => Ok(()),
            left => Err(Error::Trailing { left }),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        match self.left.split_at_checked(length) {
            Some((taken, left)) => {
                self.left = left;
                Ok(taken)
            }
            None => Err(self.truncated(length as u64)),
        }
    }

    fn truncated(&self, needed: u64) -> Error {
        Error::Truncated {
            needed,
            left: self.left.len(),
        }
    }

    fn word<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        match self.left.split_first_chunk() {
            Some((word, left)) => {
                self.left = left;
                Ok(*word)
            }
            None => Err(self.truncated(N as u64)),
        }
    }

    /// An unsigned integer (RFC 4506 §4.2).
    ///
    /// # Errors
    /// [`Error::Truncated`], as all that follow.
    pub fn u32(&mut self) -> Result<u32, Error> {
        self.word().map(u32::from_be_bytes)
    }

    /// An integer (RFC 4506 §4.1).
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn i32(&mut self) -> Result<i32, Error> {
        self.word().map(i32::from_be_bytes)
    }

    /// An unsigned hyper integer (RFC 4506 §4.5).
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn u64(&mut self) -> Result<u64, Error> {
        self.word().map(u64::from_be_bytes)
    }

    /// A boolean (RFC 4506 §4.4): 0 or 1.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::NoSuchValue`].
    pub fn bool(&mut self) -> Result<bool, Error> {
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(Error::NoSuchValue {
                kind: "bool",
                value: i64::from(value),
            }),
        }
    }

    /// Opaque data of a fixed length (RFC 4506 §4.9). What fills up is not looked at.
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn opaque_fixed<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let bytes = self.padded(N)?;
        let mut array = [0; N];
        array.copy_from_slice(bytes);
        Ok(array)
    }

    fn padded(&mut self, length: usize) -> Result<&'a [u8], Error> {
        if length > self.left.len() {
            return Err(self.truncated(length as u64));
        }
        let taken = self.take(length + padding(length))?;
        Ok(&taken[..length])
    }

    /// Opaque data of a variable length (RFC 4506 §4.10), where it lies.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::TooLong`].
    pub fn opaque(&mut self, bound: u32) -> Result<&'a [u8], Error> {
        let length = self.u32()?;
        if length > bound {
            return Err(Error::TooLong {
                length: u64::from(length),
                bound,
            });
        }
        self.padded(length as usize)
    }

    /// A string (RFC 4506 §4.11) of `bound` bytes at most, where it lies.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::TooLong`], [`Error::NotText`].
    pub fn string(&mut self, bound: u32) -> Result<&'a str, Error> {
        std::str::from_utf8(self.opaque(bound)?).map_err(|_| Error::NotText)
    }

    /// An array of a variable length (RFC 4506 §4.13), each element read by `element`.
    ///
    /// An element takes four bytes at least, so that the length is bounded by what is left of the
    /// message; an array whose elements take nothing is cut short by that rule.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::TooLong`], and the element's.
    pub fn array<T>(
        &mut self,
        bound: u32,
        mut element: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let length = self.u32()?;
        if length > bound {
            return Err(Error::TooLong {
                length: u64::from(length),
                bound,
            });
        }
        if length as usize > self.left.len() / 4 {
            return Err(self.truncated(u64::from(length) * 4));
        }
        self.nested(|from| {
            let mut elements = Vec::with_capacity((length as usize).min(ROOM_MAX));
            for _ in 0..length {
                elements.push(element(from)?);
            }
            Ok(elements)
        })
    }

    /// An array of a fixed length (RFC 4506 §4.12).
    ///
    /// # Errors
    /// [`Error::Truncated`] and the element's.
    pub fn array_fixed<T, const N: usize>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<[T; N], Error> {
        self.nested(|from| {
            let mut elements = Vec::with_capacity(N.min(ROOM_MAX));
            for _ in 0..N {
                elements.push(element(from)?);
            }
            let left = from.left.len();
            elements
                .try_into()
                .map_err(|_| Error::Truncated { needed: 0, left })
        })
    }

    /// A list: elements behind a TRUE each, until a FALSE (RFC 4506 §4.19).
    ///
    /// # Errors
    /// See [`array`](Self::array).
    pub fn list<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        self.nested(|from| {
            let mut elements = Vec::new();
            while from.bool()? {
                elements.push(element(from)?);
            }
            Ok(elements)
        })
    }

    /// Optional data (RFC 4506 §4.19).
    ///
    /// # Errors
    /// [`Error::TooDeep`], and what `some` says.
    pub fn optional<T>(
        &mut self,
        some: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        if self.bool()? {
            self.nested(some).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Anything that has a representation.
    ///
    /// # Errors
    /// See [`Xdr::decode`].
    pub fn value<T: Xdr>(&mut self) -> Result<T, Error> {
        T::decode(self)
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.depth == DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }
}
