//! Socket options, typed, and the [`list`] of all of them: their Linux names, numbers and layouts,
//! what they take, and how they stand here. The faces translate bytes by that list, the tables of
//! the documentation are written from it; a transport answers the options it has and
//! [`Error::NoProtocolOption`](crate::Error) else.

pub mod list;
mod row;

pub use list::{ROWS, SocketOption};
pub use row::{Access, Layout, Row, Standing, Takes};

use core::time::Duration;

/// The value of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionValue {
    /// On or off.
    Flag(bool),
    /// A number.
    Int(i32),
    /// A duration, or none.
    Time(Option<Duration>),
    /// A number of 64 bits: a rate or a cookie.
    Wide(u64),
    /// Bytes: a name, a mask or a structure.
    Bytes(Vec<u8>),
}

impl OptionValue {
    /// It as a flag: a number counts as set when it is not zero.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) when it is neither.
    pub fn flag(&self) -> Result<bool, crate::Error> {
        match self {
            Self::Flag(on) => Ok(*on),
            Self::Int(n) => Ok(*n != 0),
            Self::Time(_) | Self::Wide(_) | Self::Bytes(_) => Err(crate::Error::Invalid),
        }
    }

    /// It as a number.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) when it is none.
    pub fn int(&self) -> Result<i32, crate::Error> {
        match self {
            Self::Int(n) => Ok(*n),
            Self::Flag(on) => Ok(i32::from(*on)),
            Self::Time(_) | Self::Wide(_) | Self::Bytes(_) => Err(crate::Error::Invalid),
        }
    }

    /// It as a duration.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) when it is none.
    pub fn time(&self) -> Result<Option<Duration>, crate::Error> {
        match self {
            Self::Time(time) => Ok(*time),
            _ => Err(crate::Error::Invalid),
        }
    }

    /// It as a number of 64 bits.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) when it is none.
    pub fn wide(&self) -> Result<u64, crate::Error> {
        match self {
            Self::Wide(n) => Ok(*n),
            Self::Int(n) => u64::try_from(*n).map_err(|_| crate::Error::Invalid),
            _ => Err(crate::Error::Invalid),
        }
    }
}
