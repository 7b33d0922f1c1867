//! Names of node-internal sockets, shaped like [`std::os::unix::net::SocketAddr`].

use crate::error::to_io;
use sockeye_unix::Name;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::{fmt, io};

/// The name of a node-internal socket: a path of the node's own, an abstract name, or none.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct SocketAddr(Option<Name>);

impl SocketAddr {
    /// A path: a name of the node, not of a file system.
    ///
    /// # Errors
    /// `InvalidInput` when it is empty, has a zero byte in it or is longer than 107 bytes.
    pub fn from_pathname(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().as_os_str().as_bytes();
        if path.contains(&0) || path.len() >= sockeye_unix::PATH_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self(Some(Name::path(path).map_err(to_io)?)))
    }

    /// An abstract name, which goes with its socket.
    ///
    /// # Errors
    /// `InvalidInput` when it is longer than 107 bytes.
    pub fn from_abstract_name(name: impl AsRef<[u8]>) -> io::Result<Self> {
        let name = Name::abstract_name(name.as_ref()).map_err(to_io)?;
        Ok(Self(Some(name)))
    }

    /// No name at all.
    #[must_use]
    pub const fn unnamed() -> Self {
        Self(None)
    }

    /// Whether it is none.
    #[must_use]
    pub const fn is_unnamed(&self) -> bool {
        self.0.is_none()
    }

    /// It as a path.
    #[must_use]
    pub fn as_pathname(&self) -> Option<&Path> {
        match &self.0 {
            Some(Name::Path(path)) => Some(Path::new(OsStr::from_bytes(path))),
            Some(Name::Abstract(_)) | None => None,
        }
    }

    /// It as an abstract name.
    #[must_use]
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        match &self.0 {
            Some(Name::Abstract(name)) => Some(name),
            Some(Name::Path(_)) | None => None,
        }
    }

    pub(crate) const fn name(&self) -> Option<&Name> {
        self.0.as_ref()
    }
}

impl From<Option<Name>> for SocketAddr {
    fn from(name: Option<Name>) -> Self {
        Self(name)
    }
}

impl fmt::Debug for SocketAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("(unnamed)"),
            Some(Name::Path(path)) => {
                write!(f, "{:?} (pathname)", Path::new(OsStr::from_bytes(path)))
            }
            Some(Name::Abstract(name)) => write!(f, "\"{}\" (abstract)", name.escape_ascii()),
        }
    }
}
