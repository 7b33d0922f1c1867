//! Carrying messages between the program's end and a connection that has them: SCTP, one-to-one, and DCCP.
//!
//! The end keeps the boundaries of messages, so each that is read there is sent as one, and the other way round. There is no
//! guard: to a plain read the end of a connection that failed looks like the end of the data, and SO_ERROR tells why.

use crate::backend::{Backend, Errno, NodeSocket, Type};
use crate::buffers::Buffer;
use crate::calls::datagram::{Datagrams, carry_one, deliver, errors, give_back_as_it_is_read};
use crate::descriptors::{Phase, Sock, lock};
use crate::ends::Watched;
use crate::relay::events;
use crate::supervisor::Supervisor;
use rustix::event::PollFlags;
use rustix::net;
use std::future::poll_fn;
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::task::{Poll, ready};
use tokio::sync::watch;

/// Carries a connection until it ends.
pub(super) async fn carry<B: Backend>(
    supervisor: &Supervisor<B>,
    sock: &Sock<B::Socket>,
    datagrams: &Datagrams,
    node_end: Watched,
) {
    let failed = tokio::select! {
        failed = up(supervisor, sock, datagrams, &node_end) => failed,
        failed = down(sock, datagrams, &node_end) => Some(failed),
    };
    let _ = net::shutdown(&node_end, net::Shutdown::Both);
    if let Some(error) = failed {
        errors::note(sock, error);
    }
    let gone = supervisor.ends.gone(sock.name);
    let mut state = lock(&sock.state);
    if gone && state.reset_on_close {
        sock.node.abort();
    }
    state.phase = Phase::Spent;
    state.watched = false;
    drop(state);
    drop(node_end);
    datagrams.arrived.notify_waiters();
    match gone {
        true => supervisor.table.remove(sock.cookie),
        false => supervisor.want_sweep(),
    }
}

/// From the program to the network, until the program has closed, or the network has failed.
async fn up<B: Backend>(
    supervisor: &Supervisor<B>,
    sock: &Sock<B::Socket>,
    datagrams: &Datagrams,
    node_end: &Watched,
) -> Option<Errno> {
    let mut ending = supervisor.ending.clone();
    loop {
        let ended = *ending.borrow_and_update();
        let mut buffer = Buffer::take();
        match carry_one(sock, datagrams, &mut buffer) {
            Ok(None) => {}
            Ok(Some(len)) => {
                let sent = poll_fn(|cx| sock.node.poll_send_to(cx, &buffer[..len], None)).await;
                if let Err(error) = sent
                    && has_failed(error)
                {
                    return Some(error);
                }
            }
            Err(Errno::AGAIN) if ended => {
                let _ = sock.node.shutdown(Shutdown::Write);
                return None;
            }
            Err(Errno::AGAIN) => {
                drop(buffer);
                tokio::select! {
                    ready = node_end.readable() => match ready {
                        Ok(mut ready) => ready.clear_ready(),
                        Err(_) => return None,
                    },
                    () = datagrams.left.notified() => {}
                    _ = ending.changed() => {}
                }
            }
            Err(_) => break,
        }
        tokio::task::coop::consume_budget().await;
    }
    if !events(node_end.as_fd()).contains(PollFlags::HUP) {
        let _ = sock.node.shutdown(Shutdown::Write);
        hung_up(node_end, ending).await;
    }
    None
}

/// Whether nothing can be sent after this error. What the protocol can't take, Linux would have refused.
fn has_failed(error: Errno) -> bool {
    !matches!(error, Errno::MSGSIZE | Errno::INVAL)
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
async fn down<S: NodeSocket>(sock: &Sock<S>, datagrams: &Datagrams, node_end: &Watched) -> Errno {
    loop {
        let next = poll_fn(|cx| {
            let mut buffer = Buffer::take();
            let received = ready!(sock.node.poll_recv_from(cx, &mut buffer));
            Poll::Ready(received.map(|received| (buffer, received)))
        });
        let next = tokio::select! {
            next = next => next,
            never = give_back_as_it_is_read(sock, datagrams, node_end) => match never {},
        };
        let (buffer, received) = match next {
            Ok(next) => next,
            Err(error) => return error,
        };
        if received.end {
            end(sock, datagrams, node_end);
            drop(buffer);
            return poll_fn(|cx| sock.node.poll_failure(cx)).await;
        }
        // A program that reads no more loses it.
        let _ = deliver(datagrams, node_end, &buffer[..received.len], &received).await;
        drop(buffer);
        tokio::task::coop::consume_budget().await;
    }
}

/// Nothing will come any more. Unless it is only that the program wants no more, the connection has ended, and takes nothing
/// either.
fn end<S>(sock: &Sock<S>, datagrams: &Datagrams, node_end: &Watched) {
    let shut = lock(&sock.state).shut;
    let peeled = sock.ty == Type::SeqPacket;
    if peeled || (shut.write && !shut.read && sock.is_sctp()) {
        // Linux: whose own half was shut first has no end to read: it is connected no more. Nor has what was one-to-many.
        *lock(&datagrams.at_end) = Some(Errno::NOTCONN);
    }
    let halves = match shut.read {
        true => net::Shutdown::Write,
        false => net::Shutdown::Both,
    };
    let _ = net::shutdown(node_end, halves);
    datagrams.arrived.notify_waiters();
}
