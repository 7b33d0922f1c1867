//! Carrying a stream between the program's end and the node's socket.
//!
//! Each direction is a loop of its own. The end of one direction is passed on as a half close; a reset from the network closes
//! the node's end with its guard unread, which the program sees as a reset; a plain end takes the guard away first. A program
//! that closes with something unread resets its peer, as with TCP.
//!
//! Urgent octets cross in their places: each side keeps its own in the stream and says when it comes next.
//!
//! The guard is always the oldest octet at the node's end, and has been carried already (or never was data). So reading means:
//! take the guard and all that is new but the last octet, look at the last one, and leave it as the new guard.

pub(crate) mod lane;
mod messages;

use crate::backend::{Backend, Errno, NodeSocket, Piece};
use crate::buffers::Buffer;
use crate::descriptors::{Sock, lock};
use crate::ends::{self, Watched};
use crate::supervisor::{Share, Supervisor};
use crate::sys;
use lane::{Entered, Joint};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{self, RecvFlags, SendFlags};
use std::future::poll_fn;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Poll, ready};
use tokio::sync::watch;

/// Whether the oldest octet at the node's end is the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    Present,
    Absent,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Both directions have ended, or the program has closed.
    Closed,
    /// The run has ended, but a process that it left behind holds the descriptor.
    Abandoned,
    /// The network ended it.
    Failed(Errno),
}

/// What the node's end has for the node.
enum News {
    /// So many octets, of which the last may be urgent.
    Data { len: usize, urgent: bool },
    /// Nothing yet.
    Nothing,
    /// Nothing any more: the program has shut its sending side, or closed.
    Over,
}

/// A connection being carried.
struct Relay<'a, S, F, G> {
    node: &'a S,
    node_end: &'a Watched,
    /// Whether the program has no descriptor any more.
    gone: F,
    /// Whether there is room for a guard: see [`ends::SEND_BUFFER_WITH_GUARD`].
    keeps_guard: G,
    /// Whether the guard is there. Like the others, one task reads and writes it.
    guarded: AtomicBool,
    /// The network's end of data has been passed on.
    finished: AtomicBool,
    /// Data came that the program no longer wanted.
    discarded: AtomicBool,
    /// The ways past the node, if the other end may be here.
    joint: Option<&'a Joint>,
    /// Octets that were sent, by whichever way.
    sent: AtomicU64,
}

/// Carries a connection that was accepted.
pub(crate) async fn begin<B: Backend>(
    supervisor: Arc<Supervisor<B>>,
    sock: Arc<Sock<B::Socket>>,
    node_end: Arc<OwnedFd>,
    carrying: Option<Share>,
) {
    // Only a machine that is out of memory or descriptors refuses; the program then sees a reset.
    let Ok(node_end) = ends::watch(node_end) else {
        sock.node.abort();
        return;
    };
    carry(&supervisor, &sock, node_end, Guard::Present, carrying).await;
}

/// Carries a connection until it ends, and leaves behind what the program is to see of the end.
pub(crate) async fn carry<B: Backend>(
    supervisor: &Supervisor<B>,
    sock: &Sock<B::Socket>,
    node_end: Watched,
    guard: Guard,
    carrying: Option<Share>,
) {
    if let Some(datagrams) = sock.datagrams() {
        messages::carry(supervisor, sock, datagrams, node_end).await;
        drop(carrying);
        return;
    }
    sock.is_carried(node_end.get_ref());
    let entered = enter(supervisor, sock, node_end.get_ref());
    let relay = Relay {
        node: &*sock.node,
        node_end: &node_end,
        gone: || supervisor.ends.gone(sock.name),
        keeps_guard: || {
            let mut state = lock(&sock.state);
            let asked = state.buffers.send;
            state.buffers.written = true;
            asked.is_none_or(|asked| asked >= ends::SEND_BUFFER_WITH_GUARD)
        },
        guarded: AtomicBool::new(guard == Guard::Present),
        finished: AtomicBool::new(false),
        discarded: AtomicBool::new(false),
        joint: entered.as_ref().map(|entered| &*entered.joint),
        sent: AtomicU64::new(0),
    };
    let end = relay.run(supervisor.ending.clone()).await;
    let [guarded, finished, discarded] = [&relay.guarded, &relay.finished, &relay.discarded]
        .map(|flag| flag.load(Ordering::Relaxed));
    let gone = (relay.gone)();
    let left = relay.joint.is_some_and(|joint| joint.holds());
    let unread = ends::take_error(node_end.as_fd()) == Some(Errno::CONNRESET) || discarded || left;
    match end {
        End::Failed(error) => {
            // The kernel shows ECONNRESET by itself; of any other error SO_ERROR can tell.
            // Without a guard it shows nothing but the end.
            if (error != Errno::CONNRESET || !guarded) && error != Errno::PIPE {
                lock(&sock.state).error = Some(error);
            }
            if finished && guarded {
                ends::discard(node_end.as_fd(), 1);
            }
        }
        // What is still to come gets lost: that must not look like the end of the data.
        End::Abandoned => {}
        End::Closed => {
            if gone && (unread || lock(&sock.state).reset_on_close) {
                sock.node.abort();
            }
            if guarded {
                ends::discard(node_end.as_fd(), 1);
            }
        }
    }
    drop(entered);
    drop(node_end);
    lock(&sock.state).watched = false;
    if gone {
        supervisor.table.remove(sock.cookie);
    } else {
        supervisor.want_sweep();
    }
    drop(carrying);
}

/// Enters a connection where its other end will look, or has looked, if data may go past the node.
fn enter<'a, B: Backend>(
    supervisor: &'a Supervisor<B>,
    sock: &Sock<B::Socket>,
    node_end: &Arc<OwnedFd>,
) -> Option<Entered<'a>> {
    let joints = supervisor.joints.as_ref()?;
    if supervisor.backend.is_watched() {
        return None;
    }
    let (own, peer) = (sock.node.local_addr().ok()?, sock.node.peer_addr().ok()?);
    let connection = sock.node.connection()?;
    joints.enter(own, peer, connection, node_end.clone())
}

impl<S: NodeSocket, F: Fn() -> bool, G: Fn() -> bool> Relay<'_, S, F, G> {
    async fn run(&self, ending: watch::Receiver<bool>) -> End {
        tokio::select! {
            end = self.up(ending) => end,
            error = self.down() => End::Failed(error),
        }
    }

    /// From the program to the network, until the program has closed.
    async fn up(&self, mut ending: watch::Receiver<bool>) -> End {
        loop {
            let other = self.way().await;
            let ended = *ending.borrow_and_update();
            let mut buffer = Buffer::take();
            match self.news(&mut buffer) {
                News::Data { len, urgent } => {
                    if let Err(error) = self.pass(other, buffer, len, urgent).await {
                        return End::Failed(error);
                    }
                    tokio::task::coop::consume_budget().await;
                }
                News::Over => break,
                // What is still to be written after the run has ended is nobody's to wait for.
                News::Nothing if ended => {
                    let _ = self.node.shutdown(Shutdown::Write);
                    return End::Abandoned;
                }
                News::Nothing => {
                    drop(buffer);
                    tokio::select! {
                        ready = self.node_end.readable() => match ready {
                            Ok(mut ready) => ready.clear_ready(),
                            Err(_) => return End::Closed,
                        },
                        _ = ending.changed() => {}
                    }
                }
            }
        }
        // A close is the node's to make, with or without a reset; a half close is made here.
        if events(self.node_end.as_fd()).contains(PollFlags::HUP) && (self.gone)() {
            return End::Closed;
        }
        if let Err(error @ (Errno::CONNRESET | Errno::TIMEDOUT)) =
            self.node.shutdown(Shutdown::Write)
        {
            return End::Failed(error);
        }
        self.closed(ending).await;
        End::Closed
    }

    /// Waits until both directions have ended.
    async fn closed(&self, mut ending: watch::Receiver<bool>) {
        while !events(self.node_end.as_fd()).contains(PollFlags::HUP)
            && !*ending.borrow_and_update()
        {
            tokio::select! {
                ready = self.node_end.writable() => match ready {
                    Ok(mut ready) => {
                        // Looked at between the wake-up and the clearing, so that a hang-up is not missed.
                        if events(self.node_end.as_fd()).contains(PollFlags::HUP) {
                            return;
                        }
                        ready.clear_ready();
                    }
                    Err(_) => return,
                },
                _ = ending.changed() => {}
            }
        }
    }

    /// Reads what is new up to an urgent octet, leaving the last octet as the guard.
    fn news(&self, buffer: &mut [u8]) -> News {
        let node_end = self.node_end.as_fd();
        let old = usize::from(self.guarded.load(Ordering::Relaxed));
        let mut waiting = ends::waiting(node_end);
        if waiting <= old {
            // In this order: what was written before the end is seen before the end.
            let over = events(node_end).intersects(PollFlags::RDHUP | PollFlags::HUP);
            waiting = ends::waiting(node_end);
            if waiting <= old {
                return if over { News::Over } else { News::Nothing };
            }
        }
        let new = (waiting - old).min(buffer.len());
        let mut guard = [0];
        let taken = match sys::receive_two(node_end, &mut guard[..old], &mut buffer[..new - 1]) {
            Ok(taken) => taken.saturating_sub(old),
            // Nothing but the octet to come, and no guard: there is nothing to take.
            Err(_) if old == 0 && new == 1 => 0,
            Err(_) => return News::Nothing,
        };
        self.guarded.store(false, Ordering::Relaxed);
        // That read stopped at the mark: the next octet is the urgent one, or it was the last.
        let urgent = ends::at_mark(node_end);
        let keeps = (self.keeps_guard)();
        let look = match keeps {
            true => RecvFlags::DONTWAIT | RecvFlags::PEEK,
            false => RecvFlags::DONTWAIT,
        };
        match net::recv(node_end, &mut buffer[taken..=taken], look) {
            Ok((1, _)) => {
                self.guarded.store(keeps, Ordering::Relaxed);
                News::Data {
                    len: taken + 1,
                    urgent,
                }
            }
            _ if taken > 0 => News::Data {
                len: taken,
                urgent: false,
            },
            _ => News::Nothing,
        }
    }

    /// The way past the node, when there is one and room on it.
    async fn way(&self) -> Option<Arc<Joint>> {
        let other = self.joint?.other()?;
        let open = poll_fn(|cx| other.poll_room(cx)).await;
        open.then_some(other)
    }

    /// Sends on, past the node if there is a way. Urgent octets are the node's, which marks them.
    async fn pass(
        &self,
        other: Option<Arc<Joint>>,
        buffer: Buffer,
        len: usize,
        urgent: bool,
    ) -> Result<(), Errno> {
        let place = self.sent.fetch_add(len as u64, Ordering::Relaxed);
        let buffer = match other.filter(|_| !urgent) {
            Some(other) => match other.give(place, buffer, len) {
                Ok(()) => return Ok(()),
                Err(buffer) => buffer,
            },
            None => buffer,
        };
        self.write_all(&buffer[..len], urgent).await
    }

    async fn write_all(&self, data: &[u8], urgent: bool) -> Result<(), Errno> {
        let (mut data, last) = data.split_at(data.len() - usize::from(urgent));
        while !data.is_empty() {
            let written = poll_fn(|cx| self.node.poll_write(cx, data)).await?;
            data = data.get(written..).unwrap_or_default();
        }
        if urgent {
            poll_fn(|cx| self.node.poll_write_urgent(cx, last)).await?;
        }
        Ok(())
    }

    /// From the network to the program, until the network fails.
    async fn down(&self) -> Errno {
        loop {
            let read = poll_fn(|cx| {
                if let Some(joint) = self.joint
                    && let Poll::Ready((buffer, range)) = joint.poll_take(cx)
                {
                    return Poll::Ready(Ok((buffer, range, false)));
                }
                let mut buffer = Buffer::take();
                let piece = ready!(self.node.poll_read(cx, &mut buffer));
                if let Some(joint) = self.joint {
                    joint.received(piece.as_ref().map_or(0, |piece| piece.len));
                }
                Poll::Ready(piece.map(|Piece { len, urgent }| (buffer, 0..len, urgent)))
            });
            let (buffer, range, urgent) = match read.await {
                Ok(read) => read,
                Err(error) => return error,
            };
            if range.is_empty() {
                let _ = net::shutdown(self.node_end, net::Shutdown::Write);
                self.finished.store(true, Ordering::Relaxed);
                drop(buffer);
                return poll_fn(|cx| self.node.poll_failure(cx)).await;
            }
            let flags = if urgent {
                SendFlags::OOB
            } else {
                SendFlags::empty()
            };
            if !self.deliver(&buffer[range], flags).await {
                self.discarded.store(true, Ordering::Relaxed);
            }
            drop(buffer);
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Gives data to the program. False says that it reads no more.
    async fn deliver(&self, mut data: &[u8], mut flags: SendFlags) -> bool {
        flags |= SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        while !data.is_empty() {
            match net::send(self.node_end, data, flags) {
                Ok(sent) => data = &data[sent..],
                // A kernel whose AF_UNIX has no urgent data: it stays in the stream.
                Err(Errno::OPNOTSUPP) if flags.contains(SendFlags::OOB) => flags -= SendFlags::OOB,
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => {
                    let Ok(mut ready) = self.node_end.writable().await else {
                        return false;
                    };
                    // Room may have come since the send; only a poll after the wake-up tells.
                    if !events(self.node_end.as_fd())
                        .intersects(PollFlags::OUT | PollFlags::HUP | PollFlags::ERR)
                    {
                        ready.clear_ready();
                    }
                }
                Err(_) => return false,
            }
        }
        true
    }
}

/// What poll(2) says of an end now.
pub(crate) fn events(end: BorrowedFd<'_>) -> PollFlags {
    let mut fds = [PollFd::from_borrowed_fd(
        end,
        PollFlags::IN | PollFlags::OUT | PollFlags::RDHUP,
    )];
    match poll(
        &mut fds,
        Some(&Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        }),
    ) {
        Ok(_) => fds[0].revents(),
        Err(_) => PollFlags::empty(),
    }
}
