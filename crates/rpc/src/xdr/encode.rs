//! Writing items.

use super::{Error, Xdr};

/// Appends items to a buffer, up to a limit.
#[derive(Debug)]
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    /// Where `out` may end.
    end: usize,
    limit: usize,
}

impl<'a> Encoder<'a> {
    /// Appends to `out`, without a limit.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self::with_limit(out, usize::MAX)
    }

    /// Appends `limit` bytes to `out` at most.
    pub fn with_limit(out: &'a mut Vec<u8>, limit: usize) -> Self {
        let end = out.len().saturating_add(limit);
        Self { out, end, limit }
    }

    /// Appends bytes that are a representation already.
    ///
    /// # Errors
    /// [`Error::MessageTooLong`].
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.len() > self.end.saturating_sub(self.out.len()) {
            return Err(Error::MessageTooLong { limit: self.limit });
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// An unsigned integer (RFC 4506 §4.2).
    ///
    /// # Errors
    /// [`Error::MessageTooLong`], as all that follow.
    pub fn u32(&mut self, value: u32) -> Result<(), Error> {
        self.raw(&value.to_be_bytes())
    }

    /// An integer (RFC 4506 §4.1).
    ///
    /// # Errors
    /// [`Error::MessageTooLong`].
    pub fn i32(&mut self, value: i32) -> Result<(), Error> {
        self.raw(&value.to_be_bytes())
    }

    /// An unsigned hyper integer (RFC 4506 §4.5).
    ///
    /// # Errors
    /// [`Error::MessageTooLong`].
    pub fn u64(&mut self, value: u64) -> Result<(), Error> {
        self.raw(&value.to_be_bytes())
    }

    /// A length, checked against its bound.
    fn length(&mut self, length: usize, bound: u32) -> Result<(), Error> {
        match u32::try_from(length) {
            Ok(length) if length <= bound => self.u32(length),
            _ => Err(Error::TooLong {
                length: length as u64,
                bound,
            }),
        }
    }

    /// Opaque data of a fixed length (RFC 4506 §4.9): zeros fill up to a multiple of four.
    ///
    /// # Errors
    /// [`Error::MessageTooLong`].
    pub fn opaque_fixed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.raw(bytes)?;
        self.raw(&[0; 3][..padding(bytes.len())])
    }

    /// Opaque data of a variable length (RFC 4506 §4.10), `bound` bytes at most.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::MessageTooLong`].
    pub fn opaque(&mut self, bytes: &[u8], bound: u32) -> Result<(), Error> {
        self.length(bytes.len(), bound)?;
        self.opaque_fixed(bytes)
    }

    /// A string (RFC 4506 §4.11) of `bound` bytes at most.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::MessageTooLong`].
    pub fn string(&mut self, text: &str, bound: u32) -> Result<(), Error> {
        self.opaque(text.as_bytes(), bound)
    }

    /// An array of a variable length (RFC 4506 §4.13), `bound` elements at most, each written by
    /// `element`.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::MessageTooLong`], and the element's.
    pub fn array<T>(
        &mut self,
        elements: &[T],
        bound: u32,
        element: impl FnMut(&mut Self, &T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.length(elements.len(), bound)?;
        self.array_fixed(elements, element)
    }

    /// An array of a fixed length (RFC 4506 §4.12).
    ///
    /// # Errors
    /// See [`array`](Self::array).
    pub fn array_fixed<T>(
        &mut self,
        elements: &[T],
        mut element: impl FnMut(&mut Self, &T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        elements.iter().try_for_each(|e| element(self, e))
    }

    /// A list: each element behind a TRUE, and FALSE at its end, as optional data that ends in
    /// optional data of its own type represents it (RFC 4506 §4.19).
    ///
    /// # Errors
    /// See [`array`](Self::array).
    pub fn list<T>(
        &mut self,
        elements: &[T],
        mut element: impl FnMut(&mut Self, &T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for e in elements {
            self.u32(1)?;
            element(self, e)?;
        }
        self.u32(0)
    }

    /// Optional data (RFC 4506 §4.19).
    ///
    /// # Errors
    /// See [`array`](Self::array).
    pub fn optional<T>(
        &mut self,
        value: Option<&T>,
        some: impl FnOnce(&mut Self, &T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.u32(u32::from(value.is_some()))?;
        value.map_or(Ok(()), |value| some(self, value))
    }

    /// Anything that has a representation.
    ///
    /// # Errors
    /// See [`Xdr::encode`].
    pub fn value(&mut self, value: &impl Xdr) -> Result<(), Error> {
        value.encode(self)
    }
}

/// How many bytes fill `length` up to a multiple of four (RFC 4506 §3).
pub(super) fn padding(length: usize) -> usize {
    length.wrapping_neg() % 4
}
