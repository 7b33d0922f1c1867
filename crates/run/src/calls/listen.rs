//! listen(2), and the queue of connections that wait for accept(2).
//!
//! A listening end is full towards the supervisor, so it is never writable, and holds one octet, a *token*, for each connection
//! that waits: it is readable exactly when an accept would succeed, and every arrival is an edge of its own, as with TCP. When
//! the end holds as many tokens as its buffer has room for, what arrives then waits without one.

use crate::backend::{Backend, Errno, NodeSocket};
use crate::descriptors::{Phase, Sock, lock};
use crate::ends::{self, Watched};
use crate::relay;
use crate::supervisor::{Answer, Outcome, Supervisor};
use crate::sys::Call;
use rustix::event::PollFlags;
use rustix::net::{self, SendFlags};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Connections that wait for accept, whatever the program asks for: Linux's `somaxconn`.
const BACKLOG_MAX: usize = 4096;

/// A connection of the node, and who opened it.
type Connection<S> = (Arc<S>, SocketAddr);

/// The connections that wait.
struct Queue<S> {
    connections: VecDeque<Connection<S>>,
    /// How many of them have no token.
    untold: usize,
}

/// A listening socket.
pub(crate) struct Listening<S> {
    queue: Mutex<Queue<S>>,
    backlog: AtomicUsize,
    /// The node is told how many more may wait there, so that all together are no more than the program allows.
    counts: bool,
    /// One permit for each call that an arrival may wake.
    pub(crate) arrived: Notify,
    /// Woken when the queue has room again, or nobody listens any more.
    room: Notify,
    closed: AtomicBool,
    /// Held from taking a connection until it is the program's or back in its place, so that nobody overtakes.
    pub(crate) turn: Mutex<()>,
    /// The node's end: tokens are written to it.
    node_end: Arc<OwnedFd>,
}

impl<S: NodeSocket> Listening<S> {
    /// The next connection, and how many tokens whoever takes it has to take from the program's end: one or none.
    pub(crate) fn take(&self) -> Option<(Connection<S>, usize)> {
        let mut queue = lock(&self.queue);
        let connection = queue.connections.pop_front()?;
        let told = queue.untold.checked_sub(1);
        queue.untold = told.unwrap_or(0);
        Some((connection, usize::from(told.is_none())))
    }

    /// A connection that was taken has been accepted.
    pub(crate) fn taken(&self, node: &S) {
        if self.counts {
            // It listens already: there is nothing that could fail.
            let _ = node.listen(self.left_to_node());
        }
        self.room.notify_one();
    }

    /// A connection that was taken goes back to the head of the queue, with a token.
    pub(crate) fn put_back(&self, connection: Connection<S>) {
        self.enqueue(|queue| queue.push_front(connection));
    }

    fn put(&self, connection: Connection<S>) {
        self.enqueue(|queue| queue.push_back(connection));
    }

    fn enqueue(&self, push: impl FnOnce(&mut VecDeque<Connection<S>>)) {
        let mut queue = lock(&self.queue);
        push(&mut queue.connections);
        // Before the lock goes: whoever takes the connection has to find its token.
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        if net::send(&self.node_end, &[0], flags).is_err() {
            queue.untold += 1;
        }
        drop(queue);
        self.arrived.notify_one();
    }

    /// Whether there is nothing to wait for any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// How many may wait on the node, beside those that wait here.
    fn left_to_node(&self) -> i32 {
        let here = lock(&self.queue).connections.len();
        let left = self.backlog.load(Ordering::Relaxed).saturating_sub(here);
        i32::try_from(left).unwrap_or(i32::MAX)
    }

    /// Ends it: connections that nobody accepted are reset, and calls that wait are told.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let waiting = std::mem::take(&mut lock(&self.queue).connections);
        for (connection, _) in waiting {
            connection.abort();
        }
        self.arrived.notify_waiters();
        self.arrived.notify_one();
        self.room.notify_one();
    }

    async fn wait_for_room(&self) {
        while !self.is_closed()
            && lock(&self.queue).connections.len() >= self.backlog.load(Ordering::Relaxed)
        {
            self.room.notified().await;
        }
    }
}

impl<B: Backend> Supervisor<B> {
    pub(crate) fn listen(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: OwnedFd,
    ) -> Answer {
        let asked = call.args[1] as i32;
        if !sock.is_stream() {
            return sock.node.listen(asked).map(|()| Outcome::Return(0));
        }
        // As Linux does: a negative backlog is a very large one.
        let backlog = usize::try_from(asked)
            .unwrap_or(BACKLOG_MAX)
            .clamp(1, BACKLOG_MAX);
        let mut state = lock(&sock.state);
        match &state.phase {
            Phase::Fresh => {}
            Phase::Listening(listening) => {
                listening.backlog.store(backlog, Ordering::Relaxed);
                sock.node.listen(match listening.counts {
                    true => listening.left_to_node(),
                    false => backlog as i32,
                })?;
                listening.room.notify_one();
                return Ok(Outcome::Return(0));
            }
            _ => return Err(Errno::INVAL),
        }
        sock.node.listen(backlog as i32)?;
        let node_end = Arc::new(self.ends.attach(end.as_fd(), sock.name)?);
        ends::fill(end.as_fd());
        if sock.has_messages() {
            // Who listens sends nothing: EPIPE.
            let _ = net::shutdown(&node_end, net::Shutdown::Read);
        }
        let listening = Arc::new(Listening {
            queue: Mutex::new(Queue {
                connections: VecDeque::new(),
                untold: 0,
            }),
            backlog: AtomicUsize::new(backlog),
            counts: sock.is_sctp(),
            arrived: Notify::new(),
            room: Notify::new(),
            closed: AtomicBool::new(false),
            turn: Mutex::default(),
            node_end: node_end.clone(),
        });
        state.phase = Phase::Listening(listening.clone());
        state.watched = true;
        drop(state);
        self.runtime
            .spawn(self.clone().listening(sock.clone(), listening, node_end));
        Ok(Outcome::Return(0))
    }

    /// Takes connections from the node for as long as the program listens.
    async fn listening(
        self: Arc<Self>,
        sock: Arc<Sock<B::Socket>>,
        listening: Arc<Listening<B::Socket>>,
        end: Arc<OwnedFd>,
    ) {
        if let Ok(watch) = ends::watch(end) {
            tokio::select! {
                () = fetch(&sock, &listening) => {}
                () = closed(&watch) => {}
            }
        }
        listening.close();
        lock(&sock.state).watched = false;
        if self.ends.gone(sock.name) {
            self.table.remove(sock.cookie);
        } else {
            self.want_sweep();
        }
    }
}

async fn fetch<S: NodeSocket>(sock: &Sock<S>, listening: &Listening<S>) {
    loop {
        listening.wait_for_room().await;
        if listening.is_closed() {
            return;
        }
        match poll_fn(|cx| sock.node.poll_accept(cx)).await {
            Ok((node, peer)) => {
                listening.put((Arc::new(node), peer));
                if listening.counts {
                    let _ = sock.node.listen(listening.left_to_node());
                }
            }
            // It was reset while it waited; there may be others.
            Err(Errno::CONNABORTED) => {}
            // Something is used up, which time may mend; without the pause this would spin.
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            Err(_) => return,
        }
    }
}

/// Waits until no descriptor of the program's end is left, or it was shut.
async fn closed(watch: &Watched) {
    loop {
        // Of a half that was shut here it is always said that it is readable.
        let Ok(mut ready) = watch.writable().await else {
            return;
        };
        // One half may have been shut here; the other goes with the last descriptor.
        if relay::events(watch.as_fd()).contains(PollFlags::HUP) {
            return;
        }
        ready.clear_ready();
    }
}
