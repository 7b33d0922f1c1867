//! What an association has counted (RFC 7496 §4.3, §4.4; SCTP_GET_ASSOC_STATS of Linux).

use crate::Sctp;
use crate::info::AssocId;
use crate::statistics::{Abandoned, AssocStats};
use sockeye_core::{Error, SocketId};

impl Sctp {
    /// SCTP_GET_ASSOC_STATS: the traffic of an association. The largest RTO counts anew from then on.
    ///
    /// # Errors
    /// [`Error::NotConnected`], [`Error::Invalid`], [`Error::BadSocket`].
    pub fn assoc_stats(&mut self, id: SocketId, assoc: AssocId) -> Result<AssocStats, Error> {
        let own = self.named(id, assoc)?;
        let association = self.association_mut(own).ok_or(Error::NotConnected)?;
        let settings = &association.settings;
        let largest = association.paths.iter_mut().filter_map(|path| {
            let rto = path.rto.take_largest()?;
            Some((rto, settings.show(path.remote)))
        });
        Ok(AssocStats {
            max_rto: largest.max_by_key(|(rto, _)| *rto),
            ..association.stats
        })
    }

    /// SCTP_PR_ASSOC_STATUS: messages of an association that were given up.
    ///
    /// # Errors
    /// [`Error::NotConnected`], [`Error::Invalid`], [`Error::BadSocket`].
    pub fn abandoned(&self, id: SocketId, assoc: AssocId) -> Result<Abandoned, Error> {
        let own = self.named(id, assoc)?;
        let association = self.association(own).ok_or(Error::NotConnected)?;
        Ok(association.outbound.abandoned())
    }

    /// SCTP_PR_STREAM_STATUS: messages of one stream of ours that were given up.
    ///
    /// # Errors
    /// Those of [`abandoned`](Self::abandoned); [`Error::Invalid`] for a stream that there is not.
    pub fn abandoned_on(
        &self,
        id: SocketId,
        assoc: AssocId,
        stream: u16,
    ) -> Result<Abandoned, Error> {
        let own = self.named(id, assoc)?;
        let association = self.association(own).ok_or(Error::NotConnected)?;
        association
            .outbound
            .abandoned_on(stream)
            .ok_or(Error::Invalid)
    }
}
