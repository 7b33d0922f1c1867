//! Keys, and what is authenticated (RFC 6458 §8.1.17 to §8.1.20, §8.3).

use crate::auth::{Algorithms, KeyError, SharedKeys};
use crate::info::AssocId;
use crate::{Sctp, Style};
use sockeye_core::{Context, Error, SocketId};
use sockeye_wire::sctp::ChunkType;

impl Sctp {
    /// SCTP_AUTH_CHUNK: associations that are still to come take chunks of this type authenticated
    /// only.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a type that is never authenticated (RFC 4895 §3.2).
    pub fn require_authenticated(&mut self, id: SocketId, kind: u8) -> Result<(), Error> {
        let chunks = &mut self.held_mut(id)?.settings.signed_chunks;
        let taken = chunks.insert(ChunkType(kind));
        taken.then_some(()).ok_or(Error::Invalid)
    }

    /// SCTP_AUTH_KEY: sets a shared key.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a key that is too long, or one too many.
    pub fn set_key(
        &mut self,
        id: SocketId,
        assoc: AssocId,
        key: u16,
        secret: &[u8],
    ) -> Result<(), Error> {
        self.change_keys(id, assoc, |keys| keys.set(key, secret))
    }

    /// SCTP_AUTH_ACTIVE_KEY: signs with this key.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a key that there is not, or that was deactivated.
    pub fn activate_key(&mut self, id: SocketId, assoc: AssocId, key: u16) -> Result<(), Error> {
        self.change_keys(id, assoc, |keys| keys.activate(key))
    }

    /// SCTP_AUTH_DEACTIVATE_KEY: nothing new is signed with this key. Once no message needs it any more
    /// a notification tells that it may be deleted (RFC 6458 §8.3.4).
    ///
    /// # Errors
    /// [`Error::Invalid`] for a key that there is not, or the active one.
    pub fn deactivate_key(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        assoc: AssocId,
        key: u16,
    ) -> Result<(), Error> {
        self.change_keys(id, assoc, |keys| keys.deactivate(key))?;
        for own in self.bearers(id, assoc)? {
            if let Some(association) = self.association_mut(own) {
                association.retiring_keys.push(key);
                association.retire_keys(cx);
                self.settle(cx, own);
            }
        }
        Ok(())
    }

    /// SCTP_AUTH_DELETE_KEY: forgets this key.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a key that there is not, the active one, or one that messages still need
    /// (RFC 6458 §8.3.5).
    pub fn delete_key(&mut self, id: SocketId, assoc: AssocId, key: u16) -> Result<(), Error> {
        for own in self.bearers(id, assoc)? {
            let association = self.association(own);
            if association.is_some_and(|association| association.uses_key(key)) {
                return Err(Error::Invalid);
            }
        }
        self.change_keys(id, assoc, |keys| keys.delete(key))
    }

    /// SCTP_AUTH_ACTIVE_KEY: the key that packets are signed with.
    ///
    /// # Errors
    /// Those of [`settings`](Self::settings).
    pub fn active_key(&self, id: SocketId, assoc: AssocId) -> Result<u16, Error> {
        Ok(self.settings(id, assoc)?.keys.active())
    }

    /// SCTP_LOCAL_AUTH_CHUNKS: the types of the chunks that are taken authenticated only.
    ///
    /// # Errors
    /// Those of [`settings`](Self::settings).
    pub fn local_auth_chunks(&self, id: SocketId, assoc: AssocId) -> Result<Vec<u8>, Error> {
        let settings = self.settings(id, assoc)?;
        Ok(crate::auth::required(settings).kinds())
    }

    /// SCTP_PEER_AUTH_CHUNKS: the types of the chunks that the peer takes authenticated only.
    ///
    /// # Errors
    /// [`Error::NotConnected`] without an association, [`Error::NotSupported`] when it authenticates
    /// nothing.
    pub fn peer_auth_chunks(&self, id: SocketId, assoc: AssocId) -> Result<Vec<u8>, Error> {
        let own = self.named(id, assoc)?;
        let association = self.association(own).ok_or(Error::NotConnected)?;
        let auth = association.authenticator.as_ref();
        let auth = auth.ok_or(Error::NotSupported)?;
        Ok(auth.peer_chunks().kinds())
    }

    /// SCTP_HMAC_IDENT: the algorithms that are offered to associations still to come, the preferred one
    /// first.
    ///
    /// # Errors
    /// [`Error::Invalid`] without SHA-1, which everybody has to know (RFC 4895 §6.1), or for one that
    /// there is not, or twice the same.
    pub fn set_hmacs(&mut self, id: SocketId, algorithms: &[u16]) -> Result<(), Error> {
        let offered = Algorithms::new(algorithms).ok_or(Error::Invalid)?;
        self.held_mut(id)?.settings.algorithms = offered;
        Ok(())
    }

    /// What [`set_hmacs`](Self::set_hmacs) said; at first SHA-256 is preferred.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn hmacs(&self, id: SocketId) -> Result<Vec<u16>, Error> {
        Ok(self.held(id)?.settings.algorithms.as_slice().to_vec())
    }

    /// The associations that `assoc` names.
    fn bearers(&self, id: SocketId, assoc: AssocId) -> Result<Vec<SocketId>, Error> {
        let endpoint = self.held(id)?;
        Ok(match assoc {
            _ if endpoint.style == Style::OneToOne => endpoint.only().into_iter().collect(),
            AssocId::FUTURE => Vec::new(),
            AssocId::CURRENT | AssocId::ALL => endpoint.associations.values().copied().collect(),
            assoc => vec![self.named(id, assoc)?],
        })
    }

    /// Changes the keys of what `assoc` names; those of the socket are what new associations begin
    /// with.
    fn change_keys(
        &mut self,
        id: SocketId,
        assoc: AssocId,
        change: impl Fn(&mut SharedKeys) -> Result<(), KeyError>,
    ) -> Result<(), Error> {
        let endpoint = self.held_mut(id)?;
        let one_to_one = endpoint.style == Style::OneToOne;
        if one_to_one || matches!(assoc, AssocId::FUTURE | AssocId::ALL) {
            change(&mut endpoint.settings.keys).map_err(|_| Error::Invalid)?;
        }
        for own in self.bearers(id, assoc)? {
            let Some(association) = self.association_mut(own) else {
                continue;
            };
            change(&mut association.settings.keys).map_err(|_| Error::Invalid)?;
            let keys = association.settings.keys.clone();
            if let Some(auth) = &mut association.authenticator {
                *auth.keys_mut() = keys;
            }
        }
        Ok(())
    }
}
