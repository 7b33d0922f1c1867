//! Carrying messages between the program's end and a one-to-one SCTP socket.
//!
//! The end keeps the boundaries of messages, so each that is read there is sent as one, and the other way round. A message that
//! is longer than a buffer comes in parts. There is no guard: the end of an association that failed looks like the end of the
//! data, and SO_ERROR tells why.

use crate::backend::{Backend, Errno, NodeSocket};
use crate::buffers::Buffer;
use crate::descriptors::{Sock, lock};
use crate::ends::Watched;
use crate::relay::events;
use crate::supervisor::Supervisor;
use rustix::event::PollFlags;
use rustix::net::{self, RecvFlags, SendFlags};
use std::future::poll_fn;
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::task::{Poll, ready};
use tokio::sync::watch;

/// Carries an association until it ends.
pub(super) async fn carry<B: Backend>(
    supervisor: &Supervisor<B>,
    sock: &Sock<B::Socket>,
    node_end: Watched,
) {
    let failed = tokio::select! {
        failed = up(supervisor, sock, &node_end) => failed,
        failed = down(&*sock.node, &node_end) => Some(failed),
    };
    if let Some(error) = failed {
        lock(&sock.state).error = Some(error);
    }
    let gone = supervisor.ends.gone(sock.name);
    if gone && lock(&sock.state).reset_on_close {
        sock.node.abort();
    }
    drop(node_end);
    lock(&sock.state).watched = false;
    match gone {
        true => supervisor.table.remove(sock.cookie),
        false => supervisor.want_sweep(),
    }
}

/// From the program to the network, until the program has closed, or the network has failed.
async fn up<B: Backend>(
    supervisor: &Supervisor<B>,
    sock: &Sock<B::Socket>,
    node_end: &Watched,
) -> Option<Errno> {
    let mut ending = supervisor.ending.clone();
    loop {
        let ended = *ending.borrow_and_update();
        // In this order: what was written before the end is seen before the end.
        let over = events(node_end.as_fd()).intersects(PollFlags::RDHUP | PollFlags::HUP);
        match next(node_end) {
            Some(message) => {
                let sent = poll_fn(|cx| sock.node.poll_send_to(cx, &message, None));
                match sent.await {
                    // What the protocol can't take, Linux would have refused.
                    Ok(_) | Err(Errno::MSGSIZE | Errno::INVAL) => {}
                    Err(error) => return Some(error),
                }
                tokio::task::coop::consume_budget().await;
            }
            None if over => break,
            None if ended => {
                let _ = sock.node.shutdown(Shutdown::Write);
                return None;
            }
            None => {
                tokio::select! {
                    ready = node_end.readable() => match ready {
                        Ok(mut ready) => ready.clear_ready(),
                        Err(_) => return None,
                    },
                    _ = ending.changed() => {}
                }
            }
        }
    }
    if !events(node_end.as_fd()).contains(PollFlags::HUP) {
        let _ = sock.node.shutdown(Shutdown::Write);
        hung_up(node_end, ending).await;
    }
    None
}

/// The next message that the program has sent, however long: its send buffer is the limit.
fn next(node_end: &Watched) -> Option<Vec<u8>> {
    let look = RecvFlags::DONTWAIT | RecvFlags::PEEK | RecvFlags::TRUNC;
    let (_, len) = net::recv(node_end, &mut [0; 1][..], look).ok()?;
    if len == 0 {
        return None;
    }
    let mut message = vec![0; len];
    let (_, taken) = net::recv(node_end, &mut message[..], RecvFlags::DONTWAIT).ok()?;
    message.truncate(taken);
    Some(message)
}

/// Waits until both directions have ended.
async fn hung_up(node_end: &Watched, mut ending: watch::Receiver<bool>) {
    while !events(node_end.as_fd()).contains(PollFlags::HUP) && !*ending.borrow_and_update() {
        tokio::select! {
            ready = node_end.writable() => match ready {
                Ok(mut ready) => {
                    // Looked at between the wake-up and the clearing, so that a hang-up is not missed.
                    if events(node_end.as_fd()).contains(PollFlags::HUP) {
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

/// From the network to the program, until the network fails.
async fn down<S: NodeSocket>(node: &S, node_end: &Watched) -> Errno {
    loop {
        let read = poll_fn(|cx| {
            let mut buffer = Buffer::take();
            let received = ready!(node.poll_recv_from(cx, &mut buffer));
            Poll::Ready(received.map(|received| (buffer, received.len)))
        });
        let (buffer, len) = match read.await {
            Ok(read) => read,
            Err(error) => return error,
        };
        if len == 0 {
            let _ = net::shutdown(node_end, net::Shutdown::Write);
            drop(buffer);
            return poll_fn(|cx| node.poll_failure(cx)).await;
        }
        deliver(node_end, &buffer[..len]).await;
        drop(buffer);
        tokio::task::coop::consume_budget().await;
    }
}

/// Gives a message to the program, unless it reads no more.
async fn deliver(node_end: &Watched, message: &[u8]) {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    while let Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) = net::send(node_end, message, flags)
    {
        let Ok(mut ready) = node_end.writable().await else {
            return;
        };
        // Room may have come since the send; only a poll after the wake-up tells.
        if !events(node_end.as_fd()).intersects(PollFlags::OUT | PollFlags::HUP | PollFlags::ERR) {
            ready.clear_ready();
        }
    }
}
