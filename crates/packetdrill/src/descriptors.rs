//! The numbers that calls name their objects by.
//!
//! They are descriptors of the process, each opened to keep its number: the tool opens files and
//! closes what is left in the end past the interface, and its numbers and these must not meet.

use crate::calls::events::Epoll;
use crate::calls::pipes::PipeEnd;
use libc::c_int;
use sockeye::Socket;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::sync::Arc;

/// What a number names.
#[derive(Clone)]
pub(crate) enum Object {
    Socket(Arc<Socket>),
    Epoll(Arc<Epoll>),
    Pipe(Arc<PipeEnd>),
}

/// The open numbers, and what keeps each.
#[derive(Default)]
pub(crate) struct Descriptors(BTreeMap<c_int, (Object, OwnedFd)>);

impl Descriptors {
    /// Whether a number is one of these.
    pub(crate) fn contains(&self, fd: c_int) -> bool {
        self.0.contains_key(&fd)
    }

    /// Names `object`.
    pub(crate) fn insert(&mut self, object: Object) -> io::Result<c_int> {
        // SAFETY: no pointer is passed.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and nobody else's.
        let keeper = unsafe { OwnedFd::from_raw_fd(fd) };
        let fd = keeper.as_raw_fd();
        self.0.insert(fd, (object, keeper));
        Ok(fd)
    }

    pub(crate) fn get(&self, fd: c_int) -> io::Result<Object> {
        let found = self.0.get(&fd).map(|(object, _)| object.clone());
        found.ok_or_else(|| error(libc::EBADF))
    }

    pub(crate) fn remove(&mut self, fd: c_int) -> io::Result<Object> {
        let found = self.0.remove(&fd).map(|(object, _)| object);
        found.ok_or_else(|| error(libc::EBADF))
    }
}

/// The error of an errno.
pub(crate) fn error(errno: c_int) -> io::Error {
    io::Error::from_raw_os_error(errno)
}
