//! Names: paths, which stay until they are unlinked, and abstract ones, which go with their socket.

use crate::SocketType;
use bytes::Bytes;
use sockeye_core::{Error, Rng, SocketId};
use std::collections::BTreeMap;

/// Bytes of a path.
pub const PATH_MAX: usize = 108;
/// Bytes of an abstract name.
pub const ABSTRACT_MAX: usize = 107;
/// Paths of a node, those included whose sockets are gone.
pub const PATHS_MAX: usize = 1 << 16;

/// The names that autobind has to give: five hexadecimal digits.
const AUTOBIND_NAMES: u64 = 1 << 20;

/// What a socket is bound to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// A path: of the node's namespace, not of a file system. Paths are what they say: `/a/../b` is
    /// not `/b`.
    Path(Bytes),
    /// An abstract name: any bytes, even none. Each type of socket has its own, as on Linux.
    Abstract(Bytes),
}

impl Name {
    /// A path, up to its first zero byte.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is nothing of it, or more than [`PATH_MAX`] bytes.
    pub fn path(path: &[u8]) -> Result<Self, Error> {
        let end = path.iter().position(|byte| *byte == 0);
        let path = &path[..end.unwrap_or(path.len())];
        match path.len() {
            1..=PATH_MAX => Ok(Self::Path(Bytes::copy_from_slice(path))),
            _ => Err(Error::Invalid),
        }
    }

    /// An abstract name.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than [`ABSTRACT_MAX`] bytes.
    pub fn abstract_name(name: &[u8]) -> Result<Self, Error> {
        match name.len() {
            0..=ABSTRACT_MAX => Ok(Self::Abstract(Bytes::copy_from_slice(name))),
            _ => Err(Error::Invalid),
        }
    }
}

/// Who is bound to a name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    pub(crate) id: SocketId,
    pub(crate) ty: SocketType,
}

/// The names of a node.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// `None` once the socket is gone: connecting is refused until somebody unlinks the path.
    paths: BTreeMap<Bytes, Option<Own>>,
    abstracts: BTreeMap<(SocketType, Bytes), SocketId>,
}

impl Names {
    pub(crate) fn check_free(&self, name: &Name, ty: SocketType) -> Result<(), Error> {
        let taken = match name {
            Name::Path(path) => self.paths.contains_key(path),
            Name::Abstract(name) => self.abstracts.contains_key(&(ty, name.clone())),
        };
        match taken {
            true => Err(Error::AddressInUse),
            false => Ok(()),
        }
    }

    pub(crate) fn insert(&mut self, name: Name, ty: SocketType, id: SocketId) -> Result<(), Error> {
        match name {
            Name::Path(_) if self.paths.len() >= PATHS_MAX => return Err(Error::NoMemory),
            Name::Path(path) => {
                self.paths.insert(path, Some(Own { id, ty }));
            }
            Name::Abstract(name) => {
                self.abstracts.insert((ty, name), id);
            }
        }
        Ok(())
    }

    /// The socket of `id` is gone.
    pub(crate) fn forget(&mut self, name: &Name, ty: SocketType, id: SocketId) {
        match name {
            Name::Path(path) => {
                // Another may stand there by now, after an unlink.
                if let Some(own) = self.paths.get_mut(path) {
                    own.take_if(|own| own.id == id);
                }
            }
            Name::Abstract(name) => {
                let key = (ty, name.clone());
                if self.abstracts.get(&key) == Some(&id) {
                    self.abstracts.remove(&key);
                }
            }
        }
    }

    /// Who is to be reached under a name.
    pub(crate) fn find(&self, name: &Name, ty: SocketType) -> Result<Own, Error> {
        match name {
            Name::Path(path) => {
                let own = self.paths.get(path).ok_or(Error::NoEntry)?;
                own.ok_or(Error::ConnectionRefused)
            }
            Name::Abstract(name) => {
                let id = self.abstracts.get(&(ty, name.clone())).copied();
                let id = id.ok_or(Error::ConnectionRefused)?;
                Ok(Own { id, ty })
            }
        }
    }

    /// A free name of five digits: from a random one on, the first.
    pub(crate) fn find_free(&self, rng: &mut Rng, ty: SocketType) -> Option<Name> {
        let first = rng.next_u64() % AUTOBIND_NAMES;
        (1..=AUTOBIND_NAMES).find_map(|n| {
            let digits = format!("{:05x}", (first + n) % AUTOBIND_NAMES);
            let name = Bytes::from(digits);
            let free = !self.abstracts.contains_key(&(ty, name.clone()));
            free.then_some(Name::Abstract(name))
        })
    }

    pub(crate) fn unlink(&mut self, path: &[u8]) -> Result<(), Error> {
        self.paths.remove(path).map(|_| ()).ok_or(Error::NoEntry)
    }

    pub(crate) fn exists(&self, path: &[u8]) -> bool {
        self.paths.contains_key(path)
    }
}
