//! Which of Rust's types stand for which of XDR's.

use super::{Decoder, Encoder, Error, UNBOUNDED, Xdr};

macro_rules! words {
    ($($kind:ty, $encode:ident, $decode:ident, $section:literal;)*) => { $(
        #[doc = concat!("RFC 4506 ", $section, ".")]
        impl Xdr for $kind {
            fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Error> {
                to.$encode(*self as _)
            }
            fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
                from.$decode().map(|word| word as Self)
            }
        }
    )* };
}

words! {
    i32, i32, i32, "§4.1";
    u32, u32, u32, "§4.2";
    i64, u64, u64, "§4.5";
    u64, u64, u64, "§4.5";
}

/// RFC 4506 §4.4.
impl Xdr for bool {
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Error> {
        to.u32(u32::from(*self))
    }
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        from.bool()
    }
}

/// RFC 4506 §4.6.
impl Xdr for f32 {
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Error> {
        to.u32(self.to_bits())
    }
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        from.u32().map(Self::from_bits)
    }
}

/// RFC 4506 §4.7.
impl Xdr for f64 {
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Error> {
        to.u64(self.to_bits())
    }
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        from.u64().map(Self::from_bits)
    }
}

/// A floating-point number of 128 bits, highest byte first (RFC 4506 §4.8). Rust has no type to
/// count with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quadruple(pub [u8; 16]);

impl Xdr for Quadruple {
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Error> {
        to.opaque_fixed(&self.0)
    }
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        from.opaque_fixed().map(Self)
    }
}

/// Opaque data of a variable length without a bound (RFC 4506 §4.10).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opaque(pub Vec<u8>);

impl Xdr for Opaque {
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Error> {
        to.opaque(&self.0, UNBOUNDED)
    }
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        from.opaque(UNBOUNDED).map(|bytes| Self(bytes.to_vec()))
    }
}

/// A string without a bound (RFC 4506 §4.11).
impl Xdr for String {
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Error> {
        to.string(self, UNBOUNDED)
    }
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        from.string(UNBOUNDED).map(str::to_owned)
    }
}

/// An array without a bound (RFC 4506 §4.13).
impl<T: Xdr> Xdr for Vec<T> {
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Error> {
        to.array(self, UNBOUNDED, |to, element| element.encode(to))
    }
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        from.array(UNBOUNDED, T::decode)
    }
}

/// An array of a fixed length (RFC 4506 §4.12).
impl<T: Xdr, const N: usize> Xdr for [T; N] {
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Error> {
        to.array_fixed(self, |to, element| element.encode(to))
    }
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        from.array_fixed(T::decode)
    }
}

/// Optional data (RFC 4506 §4.19).
impl<T: Xdr> Xdr for Option<T> {
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Error> {
        to.optional(self.as_ref(), |to, value| value.encode(to))
    }
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        from.optional(T::decode)
    }
}

impl<T: Xdr> Xdr for Box<T> {
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Error> {
        (**self).encode(to)
    }
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        T::decode(from).map(Self::new)
    }
}

/// Nothing (RFC 4506 §4.16).
impl Xdr for () {
    fn encode(&self, _: &mut Encoder<'_>) -> Result<(), Error> {
        Ok(())
    }
    fn decode(_: &mut Decoder<'_>) -> Result<Self, Error> {
        Ok(())
    }
}

/// One behind the other, as the members of a structure (RFC 4506 §4.14).
impl<A: Xdr, B: Xdr> Xdr for (A, B) {
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Error> {
        self.0.encode(to)?;
        self.1.encode(to)
    }
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        Ok((A::decode(from)?, B::decode(from)?))
    }
}
