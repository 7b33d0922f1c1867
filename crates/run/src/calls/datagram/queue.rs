//! The queue of a datagram socket: the program's end, and who sent what lies in it.
//!
//! An AF_UNIX datagram does not carry an internet source address, so the supervisor keeps the addresses in the order in which it
//! queued the datagrams. What tells which of them the program has already taken by a plain recv is the time stamp that the kernel
//! gives each datagram as it is queued: it lies between two readings of the same clock around the very send that queued it.

use crate::backend::{Errno, Received};
use crate::buffers::Buffer;
use crate::calls::message::Asked;
use crate::descriptors::lock;
use crate::memory::DATAGRAM_MAX;
use crate::sys::{self, Stamped};
use rustix::net::{self, SendFlags};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Addresses kept for datagrams that are queued: more than the largest send buffer holds of the smallest datagrams.
const ORDER_MAX: usize = 4096;

/// The node's side of a datagram socket.
pub(crate) struct Datagrams {
    pub(super) node_end: Arc<OwnedFd>,
    order: Mutex<VecDeque<Queued>>,
    /// Woken when a datagram or an error has come.
    pub(super) arrived: Notify,
    /// Held from taking a datagram until it is the program's or back in its place, so that nobody overtakes.
    pub(super) turn: Mutex<()>,
    pub(crate) asked: Asked,
}

/// A datagram in the program's queue.
#[derive(Clone, Copy, Debug)]
struct Queued {
    /// Readings of the real-time clock around the send that queued it.
    before: i64,
    after: i64,
    received: Received,
}

/// A datagram taken from the program's queue.
pub(super) struct Taken {
    pub(super) data: Vec<u8>,
    pub(super) at: Option<i64>,
    pub(super) received: Option<Received>,
}

impl Datagrams {
    pub(crate) fn new(node_end: OwnedFd) -> Self {
        Self {
            node_end: Arc::new(node_end),
            order: Mutex::default(),
            arrived: Notify::new(),
            turn: Mutex::default(),
            asked: Asked::default(),
        }
    }

    /// Queues a datagram for the program; one that finds no room is dropped, as by any full receive queue. An error says that
    /// the program's end is closed.
    pub(super) fn queue(&self, data: &[u8], received: Received) -> Result<(), Errno> {
        let mut order = lock(&self.order);
        self.send(&mut order, data, received)?;
        drop(order);
        self.arrived.notify_waiters();
        Ok(())
    }

    fn send(
        &self,
        order: &mut VecDeque<Queued>,
        data: &[u8],
        received: Received,
    ) -> Result<(), Errno> {
        // Plain receives leave their addresses behind.
        if order.len() >= ORDER_MAX || sys::unread_by_peer(self.node_end.as_fd()) == Ok(0) {
            let old = if order.len() >= ORDER_MAX {
                1
            } else {
                order.len()
            };
            order.drain(..old);
        }
        let before = sys::real_time();
        match net::send(
            &self.node_end,
            data,
            SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
        ) {
            Ok(_) => order.push_back(Queued {
                before,
                after: sys::real_time(),
                received,
            }),
            Err(Errno::CONNREFUSED | Errno::NOTCONN | Errno::PIPE | Errno::CONNRESET) => {
                return Err(Errno::PIPE);
            }
            Err(error) => {
                tracing::debug!(%error, len = data.len(), "the program's receive queue takes no more")
            }
        }
        Ok(())
    }

    /// Takes the next datagram of the program's queue, or only looks at it.
    pub(super) fn take(&self, end: BorrowedFd<'_>, peek: bool) -> Result<Taken, Errno> {
        let mut buffer = Buffer::take();
        let mut order = lock(&self.order);
        let stamped = sys::receive_stamped(end, &mut buffer[..DATAGRAM_MAX], peek)?;
        let received = claim(&mut order, &stamped, peek);
        Ok(Taken {
            data: buffer[..stamped.len].to_vec(),
            at: stamped.at,
            received,
        })
    }

    /// Puts datagrams back to the head of the program's queue: those behind them are queued anew.
    pub(super) fn put_back(&self, end: BorrowedFd<'_>, first: Vec<Taken>) {
        let mut order = lock(&self.order);
        let mut all = first;
        let mut buffer = Buffer::take();
        while let Ok(stamped) = sys::receive_stamped(end, &mut buffer[..DATAGRAM_MAX], false) {
            let received = claim(&mut order, &stamped, false);
            all.push(Taken {
                data: buffer[..stamped.len].to_vec(),
                at: stamped.at,
                received,
            });
        }
        order.clear();
        for Taken {
            data,
            at: _,
            received,
        } in all
        {
            let Some(received) = received else { continue };
            let _ = self.send(&mut order, &data, received);
        }
        drop(order);
        self.arrived.notify_waiters();
    }
}

/// Finds who sent the datagram with this stamp; what was queued before it has been taken by plain receives.
fn claim(order: &mut VecDeque<Queued>, stamped: &Stamped, peek: bool) -> Option<Received> {
    if let Some(at) = stamped.at {
        // A clock that was set back finds nothing here, and the oldest is the best answer.
        let passed = order
            .iter()
            .position(|queued| (queued.before..=queued.after).contains(&at))
            .unwrap_or(0);
        order.drain(..passed);
    }
    let found = if peek {
        order.front().copied()
    } else {
        order.pop_front()
    };
    found.map(|queued| queued.received)
}
