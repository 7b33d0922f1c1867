//! Going back when what seemed lost was not: by the timestamp that an acknowledgment echoes (Eifel,
//! RFC 3522, RFC 4015), or when the peer reports each copy to have arrived twice (RFC 2883, RFC 3708).

use sockeye_core::Instant;
use sockeye_wire::SeqNum;

/// What can be undone.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Undo {
    /// SND.UNA when the window was reduced: nothing can be undone without it.
    marker: Option<SeqNum>,
    /// Segments sent again since then whose originals are not known to have arrived; `None` before
    /// the first.
    copies: Option<u32>,
    /// When the first copy of this recovery was sent, and the timestamp that it carried.
    first_copy: Option<(Instant, u32)>,
    /// To undo means to give the window back: the network did not mark anything.
    restores: bool,
}

impl Undo {
    /// The window is reduced with SND.UNA = `una` while `copies` segments sent again are in flight.
    pub(crate) fn arm(&mut self, una: SeqNum, copies: u32) {
        self.marker = Some(una);
        self.copies = (copies > 0).then_some(copies);
    }

    /// What happened can't be undone any more, or has been.
    pub(crate) fn disarm(&mut self) {
        self.marker = None;
    }

    /// The window will not be given back.
    pub(crate) fn keep_reduced(&mut self) {
        self.restores = false;
    }

    /// Whether the window will be given back.
    pub(crate) fn set_restores(&mut self, restores: bool) {
        self.restores = restores;
    }

    /// Whether the window is to be given back; once.
    pub(crate) fn take_restores(&mut self) -> bool {
        core::mem::take(&mut self.restores)
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.marker.is_some()
    }

    pub(crate) fn marker(&self) -> Option<SeqNum> {
        self.marker
    }

    /// `segments` were sent again at `now`, with the timestamp `tsval`.
    pub(crate) fn sent_again(&mut self, now: Instant, tsval: u32, segments: u32) {
        self.copies = Some(self.copies.unwrap_or(0).saturating_add(segments));
        self.first_copy.get_or_insert((now, tsval));
    }

    /// When the first copy was sent since there were none.
    pub(crate) fn first_copy_at(&self) -> Option<Instant> {
        self.first_copy.map(|(at, _)| at)
    }

    /// No copy is outstanding any more.
    pub(crate) fn no_copies(&mut self) {
        self.first_copy = None;
    }

    /// The peer has what ends at `end` twice (RFC 2883): `segments` copies were in vain.
    pub(crate) fn copy_was_in_vain(&mut self, end: SeqNum, segments: u32) {
        if self.marker.is_some_and(|marker| end.after(marker)) {
            self.copies = self.copies.map(|copies| copies.saturating_sub(segments));
        }
    }

    /// Whether every copy was in vain.
    pub(crate) fn all_in_vain(&self) -> bool {
        self.is_armed() && self.copies == Some(0)
    }

    /// RFC 3522 §3.2: an acknowledgment of what was sent again echoes a timestamp from before the
    /// first copy: the original has arrived. Without a copy nothing else can have.
    pub(crate) fn original_arrived(&self, echoed: Option<u32>) -> bool {
        match self.first_copy {
            None => true,
            Some((_, stamp)) => {
                echoed.is_some_and(|tsecr| tsecr != 0 && SeqNum(tsecr).before(SeqNum(stamp)))
            }
        }
    }
}
