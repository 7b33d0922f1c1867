//! The endpoint pair's shared keys (RFC 4895 §6.1), as the socket API has them (RFC 6458 §8.3.2 to
//! §8.3.5).

use core::fmt;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Most shared keys of a socket or association.
pub(crate) const KEYS_MAX: usize = 64;
/// Longest shared key.
pub(crate) const KEY_LEN_MAX: usize = 1024;

/// Shared keys by number. Number 0 with no bytes is there from the beginning.
#[derive(Clone)]
pub(crate) struct SharedKeys {
    keys: BTreeMap<u16, Key>,
    active: u16,
}

#[derive(Clone)]
struct Key {
    secret: Zeroizing<Vec<u8>>,
    /// Nothing is signed with it any more.
    deactivated: bool,
}

/// Why a key is not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyError {
    /// There is no such key.
    Unknown,
    /// It is the active one, or was deactivated.
    InUse,
    /// There are too many keys, or it is too long.
    Limit,
}

impl fmt::Debug for SharedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedKeys")
            .field("numbers", &self.keys.keys())
            .field("active", &self.active)
            .finish_non_exhaustive()
    }
}

impl Default for SharedKeys {
    fn default() -> Self {
        let empty = Key {
            secret: Zeroizing::default(),
            deactivated: false,
        };
        Self {
            keys: BTreeMap::from([(0, empty)]),
            active: 0,
        }
    }
}

impl SharedKeys {
    /// The number of the key that packets are signed with.
    pub(crate) fn active(&self) -> u16 {
        self.active
    }

    /// Sets a key, or replaces it (SCTP_AUTH_KEY). The active one may be replaced.
    pub(crate) fn set(&mut self, id: u16, secret: &[u8]) -> Result<(), KeyError> {
        let is_new = !self.keys.contains_key(&id);
        if secret.len() > KEY_LEN_MAX || (is_new && self.keys.len() >= KEYS_MAX) {
            return Err(KeyError::Limit);
        }
        let key = Key {
            secret: Zeroizing::new(secret.to_vec()),
            deactivated: false,
        };
        self.keys.insert(id, key);
        Ok(())
    }

    /// Signs with this key from now on (SCTP_AUTH_ACTIVE_KEY).
    pub(crate) fn activate(&mut self, id: u16) -> Result<(), KeyError> {
        let key = self.keys.get(&id).ok_or(KeyError::Unknown)?;
        if key.deactivated {
            return Err(KeyError::InUse);
        }
        self.active = id;
        Ok(())
    }

    /// Signs nothing with this key any more; what arrives is still verified with it
    /// (SCTP_AUTH_DEACTIVATE_KEY).
    pub(crate) fn deactivate(&mut self, id: u16) -> Result<(), KeyError> {
        let active = self.active;
        let key = self.keys.get_mut(&id).ok_or(KeyError::Unknown)?;
        if id == active {
            return Err(KeyError::InUse);
        }
        key.deactivated = true;
        Ok(())
    }

    /// Forgets this key (SCTP_AUTH_DELETE_KEY).
    pub(crate) fn delete(&mut self, id: u16) -> Result<(), KeyError> {
        if id == self.active {
            return Err(KeyError::InUse);
        }
        self.keys.remove(&id).map(drop).ok_or(KeyError::Unknown)
    }

    /// Whether packets can be signed with this key.
    pub(crate) fn signs(&self, id: u16) -> bool {
        self.keys.get(&id).is_some_and(|key| !key.deactivated)
    }

    /// The bytes of a key.
    pub(super) fn secret(&self, id: u16) -> Option<&[u8]> {
        self.keys.get(&id).map(|key| &key.secret[..])
    }
}
