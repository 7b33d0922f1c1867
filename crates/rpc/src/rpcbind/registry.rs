//! What rpcbind knows: programs and where they are (RFC 1833 §2.2).

use super::NetId;
use std::collections::BTreeMap;

/// Mappings that are kept.
pub const MAPPINGS_MAX: usize = 4096;
/// The longest address or owner.
const TEXT_MAX: usize = 256;

/// A program in a version on a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) program: u32,
    pub(crate) version: u32,
    pub(crate) netid: NetId,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// Its universal address.
    pub(crate) address: String,
    /// Who set it.
    pub(crate) owner: String,
}

/// Mappings from programs to addresses.
#[derive(Debug, Default)]
pub struct Registry {
    mappings: BTreeMap<Key, Mapping>,
}

impl Registry {
    /// Sets a mapping, unless there is one already or something is missing (§2.2.1, SET).
    pub(crate) fn set(&mut self, key: Key, mapping: Mapping) -> bool {
        let text_fits = !mapping.address.is_empty()
            && mapping.address.len() <= TEXT_MAX
            && mapping.owner.len() <= TEXT_MAX;
        if !text_fits || self.mappings.len() >= MAPPINGS_MAX {
            return false;
        }
        // The same again is no harm: Linux's rpcbind says so, too.
        match self.mappings.get(&key) {
            Some(there) => there.address == mapping.address,
            None => {
                self.mappings.insert(key, mapping);
                true
            }
        }
    }

    /// Deletes a mapping, or those on all transports (§2.2.1, UNSET), if `may` deletes those of
    /// its owner.
    pub(crate) fn unset(
        &mut self,
        program: u32,
        version: u32,
        netid: Option<NetId>,
        may: impl Fn(&str) -> bool,
    ) -> bool {
        let before = self.mappings.len();
        self.mappings.retain(|key, mapping| {
            let meant = key.program == program
                && key.version == version
                && netid.is_none_or(|id| id == key.netid);
            !(meant && may(&mapping.owner))
        });
        self.mappings.len() < before
    }

    /// A program's address on a transport: in that version, else in another, which will say which
    /// versions there are.
    pub(crate) fn find(&self, program: u32, version: u32, netid: NetId) -> Option<&str> {
        self.find_exactly(program, version, netid).or_else(|| {
            let mut all = self.mappings.iter();
            all.find(|(key, _)| key.program == program && key.netid == netid)
                .map(|(_, mapping)| &*mapping.address)
        })
    }

    pub(crate) fn find_exactly(&self, program: u32, version: u32, netid: NetId) -> Option<&str> {
        let key = Key {
            program,
            version,
            netid,
        };
        self.mappings.get(&key).map(|mapping| &*mapping.address)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &Mapping)> {
        self.mappings.iter()
    }
}
