//! The queue of a socket that receives messages: the program's end, and who sent what lies in it.
//!
//! An AF_UNIX datagram does not carry an internet source address, nor what else there is to tell of a message, so the supervisor
//! keeps that in the order in which it queued the datagrams. What tells which of them the program has already taken by a plain recv is the time stamp that the kernel
//! gives each datagram as it is queued: it lies between two readings of the same clock around the very send that queued it.

use crate::backend::{Errno, NodeSocket, Received};
use crate::buffers::Buffer;
use crate::calls::message::Asked;
use crate::descriptors::lock;
use crate::ends;
use crate::memory::DATAGRAM_MAX;
use crate::sys::{self, Stamped};
use rustix::net::{self, SendFlags, SocketAddrUnix};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Addresses kept for datagrams that are queued: more than the largest send buffer holds of the smallest datagrams.
const ORDER_MAX: usize = 4096;

/// Datagrams of the program that are kept while an error is shown to it; more are lost.
const RESCUED_MAX: usize = 1024;

/// The node's side of a socket that carries messages.
pub(crate) struct Datagrams {
    pub(crate) node_end: Arc<OwnedFd>,
    /// Of the program's end, and of this one: of a pair of datagram sockets. Else it is a connection, which has an end.
    addresses: Option<[SocketAddrUnix; 2]>,
    /// What the program had written when an error was shown to it.
    rescued: Mutex<VecDeque<Vec<u8>>>,
    /// The oldest message at the node's end has been carried, and is still to be taken out. Held with `rescued`.
    carried: AtomicBool,
    order: Mutex<VecDeque<Queued>>,
    /// Octets that each association is charged for, of which some may have been read since.
    charged: Mutex<BTreeMap<i32, usize>>,
    /// What was put back and found no room in the program's end, whose connection may have ended: it comes before all there.
    returned: Mutex<VecDeque<Taken>>,
    /// What a receive of nothing but the end fails with, if it does.
    pub(crate) at_end: Mutex<Option<Errno>>,
    /// Held while a datagram is carried to the node, so that none overtakes.
    pub(super) carrying: Mutex<()>,
    /// Woken when there is something in `rescued` that somebody has to carry.
    pub(crate) left: Notify,
    /// Woken when there is an error to show.
    pub(super) to_show: Notify,
    /// Woken when a datagram or an error has come.
    pub(crate) arrived: Notify,
    /// Held from taking a datagram until it is the program's or back in its place, so that nobody overtakes.
    pub(crate) turn: Mutex<()>,
    pub(crate) asked: Asked,
}

/// A datagram in the program's queue.
#[derive(Clone, Debug)]
struct Queued {
    /// Readings of the real-time clock around the send that queued it.
    before: i64,
    after: i64,
    received: Received,
}

/// A datagram taken from the program's queue.
#[derive(Clone)]
pub(crate) struct Taken {
    pub(crate) data: Vec<u8>,
    pub(crate) at: Option<i64>,
    pub(crate) received: Option<Received>,
}

impl Datagrams {
    pub(crate) fn new(node_end: Arc<OwnedFd>, addresses: Option<[SocketAddrUnix; 2]>) -> Self {
        Self {
            node_end,
            addresses,
            at_end: Mutex::default(),
            rescued: Mutex::default(),
            carried: AtomicBool::new(false),
            order: Mutex::default(),
            charged: Mutex::default(),
            returned: Mutex::default(),
            carrying: Mutex::default(),
            left: Notify::new(),
            to_show: Notify::new(),
            arrived: Notify::new(),
            turn: Mutex::default(),
            asked: Asked::default(),
        }
    }

    /// Queues a message for the program. `EAGAIN` says that it finds no room, `EPIPE` that the program's end is closed.
    pub(crate) fn queue(&self, data: &[u8], received: &Received) -> Result<(), Errno> {
        let mut order = lock(&self.order);
        self.send(&mut order, data, received)?;
        if received.charged != 0 {
            *lock(&self.charged).entry(received.charged).or_default() += data.len();
        }
        drop(order);
        self.arrived.notify_waiters();
        Ok(())
    }

    /// Tells the node what the program has read since the last time, for which it keeps no room in its receive windows any
    /// more. To be called with `turn` held: what a call has taken may go back to its place.
    pub(crate) fn give_back(&self, node: &impl NodeSocket) {
        let mut order = lock(&self.order);
        let mut charged = lock(&self.charged);
        if charged.is_empty() {
            return;
        }
        if sys::unread_by_peer(self.node_end.as_fd()) == Ok(0) {
            order.clear();
        }
        let mut unread = BTreeMap::<i32, usize>::new();
        let returned = lock(&self.returned);
        let kept = returned.iter().filter_map(|taken| taken.received.as_ref());
        for received in order.iter().map(|queued| &queued.received).chain(kept) {
            if received.charged != 0 {
                *unread.entry(received.charged).or_default() += received.len;
            }
        }
        drop(returned);
        drop(order);
        for (&association, octets) in charged.iter() {
            let left = unread.get(&association).copied().unwrap_or(0);
            if let Some(read @ 1..) = octets.checked_sub(left) {
                node.give_back(association, read);
            }
        }
        *charged = unread;
    }

    fn send(
        &self,
        order: &mut VecDeque<Queued>,
        data: &[u8],
        received: &Received,
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
                received: received.clone(),
            }),
            Err(Errno::CONNREFUSED | Errno::NOTCONN | Errno::PIPE | Errno::CONNRESET) => {
                return Err(Errno::PIPE);
            }
            Err(error) => {
                tracing::debug!(%error, len = data.len(), "the program's receive queue takes no more");
                if matches!(error, Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) {
                    return Err(Errno::AGAIN);
                }
            }
        }
        Ok(())
    }

    /// Looks at the next message that the program has written, unless it is longer than the buffer. It is in the buffer then, and
    /// is taken out by the next call: that is an edge of EPOLLOUT to the program, which is to come after what the message has
    /// brought about. `EPIPE` is the end of what the program writes.
    pub(super) fn with_written(
        &self,
        buffer: &mut [u8],
        look: impl FnOnce(&[u8]),
    ) -> Result<(), Errno> {
        // Nobody takes it meanwhile: see `show_error`.
        let mut rescued = lock(&self.rescued);
        self.take_carried();
        if let Some(data) = rescued.pop_front() {
            buffer[..data.len()].copy_from_slice(&data);
            look(&buffer[..data.len()]);
            return Ok(());
        }
        let stamped = sys::receive_stamped(self.node_end.as_fd(), buffer, true)?;
        self.check_end(&stamped)?;
        if stamped.full == stamped.len {
            look(&buffer[..stamped.len]);
        }
        self.carried.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Takes out what has been carried. To be called with `rescued` held.
    fn take_carried(&self) {
        if self.carried.swap(false, Ordering::Relaxed) {
            let _ = self.receive(&mut []);
        }
    }

    /// Puts a datagram of the program back, to be the next one.
    pub(super) fn not_carried(&self, data: &[u8]) {
        lock(&self.rescued).push_front(data.to_vec());
        self.left.notify_one();
    }

    fn receive(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let stamped = sys::receive_stamped(self.node_end.as_fd(), buffer, false)?;
        self.check_end(&stamped)?;
        Ok(stamped.full)
    }

    /// The end of a connection looks like an empty message, but has no stamp.
    fn check_end(&self, stamped: &Stamped) -> Result<(), Errno> {
        match self.addresses.is_none() && stamped.full == 0 && stamped.at.is_none() {
            true => Err(Errno::PIPE),
            false => Ok(()),
        }
    }

    /// Has the program's end show an error.
    pub(super) fn show_error(&self) {
        let Some(addresses) = &self.addresses else {
            return;
        };
        // Neither carrier looks at the node's end meanwhile.
        let _order = lock(&self.order);
        let mut rescued = lock(&self.rescued);
        let mut buffer = Buffer::take();
        self.take_carried();
        while rescued.len() < RESCUED_MAX
            && let Ok(len) = self.receive(&mut buffer)
        {
            if len <= DATAGRAM_MAX {
                rescued.push_back(buffer[..len].to_vec());
            }
        }
        if let Err(error) = ends::show_error(self.node_end.as_fd(), addresses) {
            tracing::debug!(%error, "the program's end shows no error");
        }
    }

    /// Takes the next message of the program's queue, or only looks at it. `EPIPE` is the end.
    pub(super) fn take(&self, end: BorrowedFd<'_>, peek: bool) -> Result<Taken, Errno> {
        let mut buffer = Buffer::take();
        let mut order = lock(&self.order);
        let mut returned = lock(&self.returned);
        if let Some(first) = returned.front().cloned() {
            if !peek {
                returned.pop_front();
            }
            return Ok(first);
        }
        drop(returned);
        let stamped = sys::receive_stamped(end, &mut buffer, peek)?;
        self.check_end(&stamped)?;
        let received = claim(&mut order, &stamped, peek);
        Ok(Taken {
            data: buffer[..stamped.len].to_vec(),
            at: stamped.at,
            received,
        })
    }

    /// Puts datagrams back to the head of the program's queue: those behind them are queued anew.
    pub(crate) fn put_back(&self, end: BorrowedFd<'_>, first: Vec<Taken>) {
        let mut order = lock(&self.order);
        let behind = self.drain(&mut order, end);
        self.refill(&mut order, first.into_iter().chain(behind));
        drop(order);
        self.arrived.notify_waiters();
    }

    /// Takes out what came from one of these addresses; the rest stays in its order.
    pub(crate) fn take_from(&self, end: BorrowedFd<'_>, sources: &[SocketAddr]) -> Vec<Taken> {
        let _turn = lock(&self.turn);
        let mut order = lock(&self.order);
        let all = self.drain(&mut order, end);
        let (theirs, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|taken| {
            let source = taken.received.as_ref().and_then(|received| received.source);
            source.is_some_and(|source| sources.contains(&source))
        });
        self.refill(&mut order, rest.into_iter());
        // They are charged where they go to.
        let mut charged = lock(&self.charged);
        for received in theirs.iter().filter_map(|taken| taken.received.as_ref()) {
            if let Some(octets) = charged.get_mut(&received.charged) {
                *octets = octets.saturating_sub(received.len);
            }
        }
        drop(charged);
        theirs
    }

    fn drain(&self, order: &mut VecDeque<Queued>, end: BorrowedFd<'_>) -> Vec<Taken> {
        let mut all: Vec<_> = lock(&self.returned).drain(..).collect();
        let mut buffer = Buffer::take();
        while let Ok(stamped) = sys::receive_stamped(end, &mut buffer, false)
            && self.check_end(&stamped).is_ok()
        {
            let received = claim(order, &stamped, false);
            all.push(Taken {
                data: buffer[..stamped.len].to_vec(),
                at: stamped.at,
                received,
            });
        }
        order.clear();
        all
    }

    fn refill(&self, order: &mut VecDeque<Queued>, all: impl Iterator<Item = Taken>) {
        let mut returned = lock(&self.returned);
        for taken in all {
            let fits = match &taken.received {
                Some(received) if returned.is_empty() => {
                    self.send(order, &taken.data, received).is_ok()
                }
                Some(_) => false,
                None => continue,
            };
            if !fits {
                returned.push_back(taken);
            }
        }
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
        order.front().cloned()
    } else {
        order.pop_front()
    };
    found.map(|queued| queued.received)
}
