//! The room that signatures leave in a header of 60 bytes (RFC 5925 §7.6).

use crate::options::Offer;
use crate::tcb::Tcb;
use sockeye_wire::tcp_options::{OPTIONS_LEN_MAX, Options, SACK_BLOCKS_MAX};

/// Bytes of timestamps with their fillers.
const TIMESTAMPS_LEN: usize = 12;
/// Bytes of a SACK option before its blocks, with fillers, and of a block.
const SACK_HEAD_LEN: usize = 4;
const SACK_BLOCK_LEN: usize = 8;

/// Beside a signature of MD5 and timestamps no SACK block fits, so timestamps go (as in Linux).
/// `with_md5` is whether the connection has such signatures.
pub(crate) fn limit_timestamps(with_md5: bool, offer: &mut Offer) {
    if with_md5 && offer.sack {
        offer.timestamp = None;
    }
}

impl Tcb {
    /// Whether segments have MD5 signatures.
    pub(crate) fn has_md5(&self) -> bool {
        let auth = self.auth.as_ref();
        auth.is_some_and(|auth| auth.ao.is_none() && auth.md5_key(self.flow.remote.ip).is_some())
    }

    /// What of a SYN's options has room beside its signature.
    pub(crate) fn fit_syn(&self, mut options: Options) -> Options {
        if self.has_md5() && options.sack_permitted {
            options.timestamps = None;
        }
        options
    }

    /// RFC 2018 §3: SACK blocks that fit: four, or three beside timestamps; one beside those and an
    /// authentication option of usual length.
    pub(crate) fn sack_room(&self) -> usize {
        let timestamps = match self.timestamps {
            Some(_) => TIMESTAMPS_LEN,
            None => 0,
        };
        let taken = timestamps + self.signature_len() as usize + SACK_HEAD_LEN;
        let room = OPTIONS_LEN_MAX.saturating_sub(taken) / SACK_BLOCK_LEN;
        room.min(SACK_BLOCKS_MAX)
    }
}
