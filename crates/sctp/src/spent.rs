//! Verification tags of associations that have ended (RFC 9260 §5.3.1: a new association with the same
//! peer has a new tag). While a cookie that says such a tag is still good, it makes no association again.

use crate::cookie::Contents;
use crate::tcb::Association;
use sockeye_core::Instant;
use std::collections::{BTreeSet, VecDeque};

/// Tags that are remembered at most; beyond, those of whoever ended longest ago are forgotten.
pub(crate) const TAGS_MAX: usize = 16_384;

/// Our port, the peer's, and our tag.
type Tag = (u16, u16, u32);

/// Tags whose cookies may still be good.
#[derive(Debug, Default)]
pub(crate) struct SpentTags {
    /// In the order in which the associations ended, and until when their cookies are good.
    order: VecDeque<(Instant, Tag)>,
    tags: BTreeSet<Tag>,
}

impl SpentTags {
    /// An association ends.
    pub(crate) fn note(&mut self, now: Instant, association: &Association) {
        while let Some(&(until, tag)) = self.order.front()
            && (until < now || self.order.len() >= TAGS_MAX)
        {
            self.order.pop_front();
            self.tags.remove(&tag);
        }
        let tag = (
            association.local_port,
            association.peer_port,
            association.tags.local,
        );
        if now <= association.cookies_until && self.tags.insert(tag) {
            self.order.push_back((association.cookies_until, tag));
        }
    }

    /// Whether a cookie is of an association that has ended.
    pub(crate) fn contains(&self, cookie: &Contents) -> bool {
        let tag = (cookie.local_port, cookie.peer_port, cookie.local_tag);
        self.tags.contains(&tag)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }
}
