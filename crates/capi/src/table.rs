//! Handles: the numbers that C knows nodes and sockets by.

use crate::error::Failure;
use sockeye::{Node, Socket};
use sockeye_run::user::UserLan;
use std::collections::VecDeque;
use std::ffi::c_int;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The first handle. No descriptor of the kernel is so high (its limit `nr_open` lies below), so that
/// read(2) on a handle and `sockeye_recv` on a descriptor are EBADF, not another's data.
pub const HANDLE_MIN: c_int = 1 << 30;
/// How many nodes and sockets a process may have at once: EMFILE beyond.
pub const HANDLES_MAX: usize = 1 << 16;

/// A node and what it needs around it.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) node: Node,
    /// The other ends of its `user` links.
    pub(crate) lans: Mutex<Vec<UserLan>>,
}

/// What a handle names.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Node(Arc<Host>),
    Socket(Arc<Socket>),
}

/// Which handle names what. A number that was closed comes again as late as possible, so that a
/// mistaken use of it is EBADF for long.
#[derive(Debug)]
struct Table {
    entries: Vec<Option<Entry>>,
    free: VecDeque<usize>,
    limit: usize,
}

static TABLE: Mutex<Table> = Mutex::new(Table::new(HANDLES_MAX));

impl Table {
    const fn new(limit: usize) -> Self {
        Self {
            entries: Vec::new(),
            free: VecDeque::new(),
            limit,
        }
    }

    fn reserve(&mut self) -> Option<usize> {
        if self.entries.len() < self.limit {
            self.entries.push(None);
            return Some(self.entries.len() - 1);
        }
        self.free.pop_front()
    }

    fn take(&mut self, index: usize) -> Option<Entry> {
        let entry = self.entries.get_mut(index)?.take()?;
        self.free.push_back(index);
        Some(entry)
    }
}

/// No step under the lock can panic half-way, so what a panic left is whole.
fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place that is kept for what is about to be made: so nothing is made that has no place.
#[derive(Debug)]
pub(crate) struct Place(Option<usize>);

impl Place {
    /// Keeps one.
    pub(crate) fn reserve() -> Result<Self, Failure> {
        let full = || {
            Failure::new(
                libc::EMFILE,
                format!("{HANDLES_MAX} handles are open, which is the limit: close some"),
            )
        };
        let index = table().reserve().ok_or_else(full)?;
        Ok(Self(Some(index)))
    }

    /// Puts it there, and says its handle.
    pub(crate) fn fill(mut self, entry: Entry) -> c_int {
        let index = self.0.take().unwrap_or_default();
        table().entries[index] = Some(entry);
        HANDLE_MIN + c_int::try_from(index).unwrap_or_default()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(index) = self.0 {
            table().free.push_back(index);
        }
    }
}

fn index(handle: c_int) -> Option<usize> {
    usize::try_from(handle.checked_sub(HANDLE_MIN)?).ok()
}

fn bad(handle: c_int) -> Failure {
    Failure::new(libc::EBADF, format!("{handle} is no open handle"))
}

fn find(handle: c_int) -> Result<Entry, Failure> {
    let entry = index(handle).and_then(|index| table().entries.get(index)?.clone());
    entry.ok_or_else(|| bad(handle))
}

/// The socket of a handle.
pub(crate) fn socket(handle: c_int) -> Result<Arc<Socket>, Failure> {
    match find(handle)? {
        Entry::Socket(socket) => Ok(socket),
        Entry::Node(_) => Err(Failure::new(
            libc::ENOTSOCK,
            format!("{handle} is a node, not a socket"),
        )),
    }
}

/// The node of a handle.
pub(crate) fn host(handle: c_int) -> Result<Arc<Host>, Failure> {
    match find(handle)? {
        Entry::Node(host) => Ok(host),
        Entry::Socket(_) => Err(Failure::invalid(format!(
            "{handle} is a socket, not a node"
        ))),
    }
}

/// Takes a handle away.
pub(crate) fn take(handle: c_int) -> Result<Entry, Failure> {
    let entry = index(handle).and_then(|index| table().take(index));
    entry.ok_or_else(|| bad(handle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_again_as_late_as_possible_and_no_more_than_the_limit_are_open() {
        let mut table = Table::new(3);
        let host = Arc::new(Host {
            node: Node::builder().build().unwrap(),
            lans: Mutex::default(),
        });
        let mut open = || {
            let index = table.reserve();
            if let Some(index) = index {
                table.entries[index] = Some(Entry::Node(host.clone()));
            }
            index
        };
        assert_eq!([open(), open(), open()], [Some(0), Some(1), Some(2)]);
        assert_eq!(open(), None, "the limit");
        assert!(table.take(1).is_some());
        assert!(table.take(1).is_none(), "it is closed already");
        assert!(table.take(0).is_some());
        assert!(table.take(9).is_none());
        assert_eq!([table.reserve(), table.reserve()], [Some(1), Some(0)]);
    }

    #[test]
    fn what_is_no_handle_is_refused() {
        for number in [-1, 0, 3, c_int::MIN, c_int::MAX, HANDLE_MIN - 1] {
            assert_eq!(socket(number).unwrap_err().errno, libc::EBADF, "{number}");
            assert_eq!(take(number).unwrap_err().errno, libc::EBADF, "{number}");
        }
    }
}
