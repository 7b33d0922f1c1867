//! What a handshake has settled, in nine bytes.

use crate::options::Offer;

/// An [`Offer`] for as long as nothing but the SYN is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreed {
    /// As bytes, like all of more than one here: they need no alignment, and so no padding.
    mss: [u8; 2],
    /// The peer's shift, or 255.
    window_scale: u8,
    sack: bool,
    has_timestamp: bool,
    /// TS.Recent.
    recent: [u8; 4],
}

impl Agreed {
    pub(super) fn new(offer: &Offer) -> Self {
        Self {
            mss: offer.mss.to_ne_bytes(),
            window_scale: offer.window_scale.unwrap_or(u8::MAX),
            sack: offer.sack,
            has_timestamp: offer.timestamp.is_some(),
            recent: offer.timestamp.unwrap_or(0).to_ne_bytes(),
        }
    }

    pub(super) fn offer(self) -> Offer {
        Offer {
            mss: u16::from_ne_bytes(self.mss),
            window_scale: (self.window_scale != u8::MAX).then_some(self.window_scale),
            sack: self.sack,
            timestamp: self.recent(),
        }
    }

    /// TS.Recent, where there are timestamps.
    pub(super) fn recent(self) -> Option<u32> {
        self.has_timestamp
            .then_some(u32::from_ne_bytes(self.recent))
    }
}
