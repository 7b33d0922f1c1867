//! A controller as a plain value, and back: [`serde`]'s `with` for a field that holds one.

use super::{Bbr, CongestionController, Cubic, Dctcp, Reno};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Any of the controllers of [`NAMES`](super::NAMES), with all that it knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "it lives for a moment, between two forms of the same"
)]
pub enum Saved {
    /// RFC 5681.
    Reno(Reno),
    /// RFC 9438.
    Cubic(Cubic),
    /// BBRv3.
    Bbr(Box<Bbr>),
    /// RFC 8257.
    Dctcp(Dctcp),
}

impl From<Saved> for Box<dyn CongestionController> {
    fn from(saved: Saved) -> Self {
        match saved {
            Saved::Reno(reno) => Box::new(reno),
            Saved::Cubic(cubic) => Box::new(cubic),
            Saved::Bbr(bbr) => bbr,
            Saved::Dctcp(dctcp) => Box::new(dctcp),
        }
    }
}

/// Writes `controller`.
///
/// # Errors
/// It can't be [saved](CongestionController::saved); those of `to`.
#[expect(clippy::borrowed_box, reason = "serde hands a reference to the field")]
pub fn serialize<S: Serializer>(
    controller: &Box<dyn CongestionController>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match controller.saved() {
        Some(saved) => saved.serialize(to),
        None => Err(S::Error::custom("a controller that can't be saved")),
    }
}

/// Reads one.
///
/// # Errors
/// Those of `from`.
pub fn deserialize<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Box<dyn CongestionController>, D::Error> {
    Saved::deserialize(from).map(Into::into)
}
