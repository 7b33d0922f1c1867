//! The two carriers of sockets that have no connections: UDP, raw, ICMP, and SCTP's one-to-many.
//!
//! The program's end is one side of a datagram pair, so recv, read, write and poll work in the kernel; [`queue`] tells who sent
//! what lies in it. What is lost by others for want of room waits here for SCTP, which loses nothing.

pub(crate) mod errors;
mod queue;

pub(crate) use queue::{Datagrams, Taken};

use crate::backend::{Backend, Errno, NodeSocket, Received};
use crate::buffers::Buffer;
use crate::descriptors::{Sock, lock};
use crate::ends::{self, Watched};
use crate::relay::events;
use crate::supervisor::{Share, Supervisor};
use rustix::event::PollFlags;
use std::convert::Infallible;
use std::future::poll_fn;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

/// How long a datagram that was sent without an address waits for room on the node, before it is dropped.
const ROOM_TIMEOUT: Duration = Duration::from_secs(5);

/// Datagrams that are carried before a call that must not overtake them.
const FLUSH_MAX: usize = 4096;

impl<B: Backend> Supervisor<B> {
    /// Starts the two carriers of a datagram socket; the one from the program only while the run lasts.
    pub(crate) fn carry_datagrams(
        self: &Arc<Self>,
        sock: Arc<Sock<B::Socket>>,
        datagrams: Arc<Datagrams>,
        carrying: Option<Share>,
    ) {
        let watched = {
            let _runtime = self.runtime.enter();
            ends::watch(datagrams.node_end.clone())
        };
        // Only a machine that is out of memory or descriptors refuses.
        let Ok(watched) = watched.map(Arc::new) else {
            return;
        };
        let inbound = self
            .clone()
            .inbound(sock.clone(), datagrams.clone(), watched.clone());
        self.runtime.spawn(inbound);
        if let Some(carrying) = carrying {
            let outbound = self.clone().outbound(sock, datagrams, watched, carrying);
            self.runtime.spawn(outbound);
        }
    }

    /// Carries datagrams from the node to the program.
    async fn inbound(
        self: Arc<Self>,
        sock: Arc<Sock<B::Socket>>,
        datagrams: Arc<Datagrams>,
        watched: Arc<Watched>,
    ) {
        let mut showing = std::pin::pin!(errors::show_as_they_come(&sock, &datagrams));
        loop {
            let next = poll_fn(|cx| {
                let mut buffer = Buffer::take();
                let received = ready!(sock.node.poll_recv_from(cx, &mut buffer));
                Poll::Ready((buffer, received))
            });
            let (buffer, result) = tokio::select! {
                next = next => next,
                never = give_back_as_it_is_read(&sock, &datagrams, &watched) => match never {},
                () = &mut showing => return,
                () = sock.closed() => return,
            };
            match result {
                Ok(received) => {
                    let data = &buffer[..received.len];
                    let queued = match sock.is_sctp() {
                        true => deliver(&datagrams, &watched, data, &received).await,
                        false => datagrams.queue(data, &received),
                    };
                    if queued == Err(Errno::PIPE) {
                        return self.table.remove(sock.cookie);
                    }
                }
                Err(error) if errors::is_of_the_way(error) => errors::note(&sock, error),
                // shutdown(2): there is nothing more to receive.
                Err(_) => return,
            }
            drop(buffer);
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Carries what the program writes without an address to the node.
    async fn outbound(
        self: Arc<Self>,
        sock: Arc<Sock<B::Socket>>,
        datagrams: Arc<Datagrams>,
        watched: Arc<Watched>,
        _carrying: Share,
    ) {
        let mut ending = self.ending.clone();
        loop {
            // Read before the queue is: what was written before the end is found after it.
            let ended = *ending.borrow_and_update() || sock.is_closed();
            let mut buffer = Buffer::take();
            match carry_one(&sock, &datagrams, &mut buffer) {
                // What it has brought about within the run is seen before there is room for another.
                Ok(None) => {
                    drop(buffer);
                    tokio::task::yield_now().await;
                }
                Ok(Some(len)) => {
                    let sent = poll_fn(|cx| sock.node.poll_send_to(cx, &buffer[..len], None));
                    // Nobody waits longer for room for a datagram.
                    let sent = tokio::time::timeout(ROOM_TIMEOUT, sent).await;
                    if let Ok(Err(error)) = sent
                        && errors::is_of_the_way(error)
                    {
                        errors::note(&sock, error);
                    }
                }
                Err(Errno::AGAIN) if ended => return,
                Err(Errno::AGAIN) => {
                    drop(buffer);
                    tokio::select! {
                        ready = watched.readable() => match ready {
                            Ok(mut ready) => ready.clear_ready(),
                            Err(_) => return,
                        },
                        () = datagrams.left.notified() => {}
                        _ = ending.changed() => {}
                        () = sock.closed() => {}
                    }
                }
                Err(_) => return,
            }
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Carries all that the program has written without an address, as far as there is room.
    pub(crate) fn flush(&self, sock: &Sock<B::Socket>) {
        let Some(datagrams) = sock.datagrams() else {
            return;
        };
        let mut buffer = Buffer::take();
        for _ in 0..FLUSH_MAX {
            match carry_one(sock, datagrams, &mut buffer) {
                Ok(None) => {}
                Ok(Some(len)) => return datagrams.not_carried(&buffer[..len]),
                Err(_) => return,
            }
        }
    }
}

/// Carries a message that the program has written without an address to the node. The length of one for which there is no room
/// there; it stays in the buffer.
pub(crate) fn carry_one<S: NodeSocket>(
    sock: &Sock<S>,
    datagrams: &Datagrams,
    buffer: &mut Buffer,
) -> Result<Option<usize>, Errno> {
    let _turn = lock(&datagrams.carrying);
    let (mut told, mut left) = (None, None);
    datagrams.with_written(buffer, |data| {
        if data.len() > sock.message_max() {
            return;
        }
        let mut sent = sock.node.try_send_to(data, None);
        // An error of what was sent before is the next call's, and no reason not to send: this call has succeeded already.
        if let Err(error) = sent
            && errors::is_of_the_way(error)
        {
            told = Some(error);
            if error != Errno::MSGSIZE {
                sent = sock.node.try_send_to(data, None);
            }
        }
        left = (sent == Err(Errno::AGAIN)).then_some(data.len());
    })?;
    if let Some(error) = told {
        errors::note(sock, error);
    }
    Ok(left)
}

/// Tells the node of what the program reads without asking: on a descriptor that it has moved below those that are asked for.
/// It never returns.
pub(crate) async fn give_back_as_it_is_read<S: NodeSocket>(
    sock: &Sock<S>,
    datagrams: &Datagrams,
    node_end: &Watched,
) -> Infallible {
    if !sock.is_sctp() {
        return std::future::pending().await;
    }
    // A datagram taken from an AF_UNIX socket is an edge of POLLOUT for who has sent it.
    while let Ok(mut ready) = node_end.writable().await {
        if events(node_end.as_fd()).contains(PollFlags::HUP) {
            break;
        }
        ready.clear_ready();
        let _turn = lock(&datagrams.turn);
        datagrams.give_back(&*sock.node);
    }
    std::future::pending().await
}

/// Queues a message for the program when there is room. An error says that the program's end is closed.
pub(crate) async fn deliver(
    datagrams: &Datagrams,
    node_end: &Watched,
    data: &[u8],
    received: &Received,
) -> Result<(), Errno> {
    loop {
        match datagrams.queue(data, received) {
            Err(Errno::AGAIN) => {}
            done => return done,
        }
        let mut ready = node_end.writable().await.map_err(|_| Errno::PIPE)?;
        // Room may have come since; only a poll after the wake-up tells.
        let stirs = PollFlags::OUT | PollFlags::HUP | PollFlags::ERR;
        if !events(node_end.as_fd()).intersects(stirs) {
            ready.clear_ready();
        }
    }
}
