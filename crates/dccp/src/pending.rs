//! Who has something to send: one list per interface, served round robin, so that a blocked
//! interface holds up its own connections only.

use sockeye_core::{InterfaceId, SocketId};
use std::collections::{BTreeMap, VecDeque};

/// The lists. A connection stands in one list at most, once; its mark `listed` says so.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    lists: BTreeMap<InterfaceId, VecDeque<SocketId>>,
}

impl Pending {
    /// Appends a connection.
    pub(crate) fn push(&mut self, interface: InterfaceId, id: SocketId) {
        self.lists.entry(interface).or_default().push_back(id);
    }

    /// The next of `interface`.
    pub(crate) fn pop(&mut self, interface: InterfaceId) -> Option<SocketId> {
        self.lists.get_mut(&interface)?.pop_front()
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.lists.values().all(VecDeque::is_empty)
    }

    /// How many wait for `interface`.
    pub(crate) fn len(&self, interface: InterfaceId) -> usize {
        self.lists.get(&interface).map_or(0, VecDeque::len)
    }
}
