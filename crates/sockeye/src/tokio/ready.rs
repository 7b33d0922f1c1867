//! What the types of this face have in common: opening, waiting, tokio's readiness and budget.

use super::addr::no_address;
use crate::{Domain, Node, Protocol, Readiness, Socket, Type};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use tokio::io::{Interest, Ready};
use tokio::task::coop;

/// Polls within the task's budget: a socket that is always ready (a peer in the same process) lets
/// other tasks run, too.
pub(super) fn cooperate<T>(
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    let mut budget = pin!(coop::consume_budget());
    if !coop::has_budget_remaining() {
        // This arranges to be polled again, with a fresh budget.
        ready!(budget.as_mut().poll(cx));
        return poll(cx);
    }
    let result = poll(cx);
    if result.is_ready() {
        // There was a unit: it is taken at once.
        let _ = budget.poll(cx);
    }
    result
}

/// An error unless `socket` is ready for something of `interest` now.
pub(super) fn check(socket: &Socket, interest: Interest) -> io::Result<()> {
    if (level(socket.readiness()?) & mask(interest)).is_empty() {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    Ok(())
}

/// Waits until `socket` is ready for something of `interest`.
pub(super) async fn ready(socket: &Socket, interest: Interest) -> io::Result<Ready> {
    poll_fn(|cx| cooperate(cx, |cx| poll_ready(socket, cx, interest))).await
}

fn poll_ready(
    socket: &Socket,
    cx: &mut Context<'_>,
    interest: Interest,
) -> Poll<io::Result<Ready>> {
    let mut ready = Ready::EMPTY;
    if interest.is_readable() && socket.poll_readable(cx)?.is_ready() {
        ready |= Ready::READABLE;
    }
    // What else there is to read does not end the wait for urgent data.
    let urgent = interest.is_priority() && socket.poll_priority(cx)?.is_ready();
    if interest.is_writable() && socket.poll_writable(cx)?.is_ready() {
        ready |= Ready::WRITABLE;
    }
    ready = (ready | level(socket.readiness()?)) & mask(interest);
    if ready.is_empty() {
        if urgent {
            // Somebody else was quicker, and no waker stands in line.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    } else {
        Poll::Ready(Ok(ready))
    }
}

/// Opens a nonblocking socket.
pub(super) fn open(
    node: &Node,
    domain: Domain,
    kind: Type,
    protocol: Protocol,
) -> io::Result<Socket> {
    let socket = Socket::new_on(node, domain, kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Does `attempt` with each address in turn, until one succeeds; else the last error.
pub(super) fn each<T>(
    addresses: Vec<SocketAddr>,
    mut attempt: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut result = Err(no_address());
    for addr in addresses {
        result = attempt(addr);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// A node's readiness in tokio's words.
fn level(readiness: Readiness) -> Ready {
    [
        (Readiness::READABLE, Ready::READABLE),
        (Readiness::WRITABLE, Ready::WRITABLE),
        (Readiness::READ_CLOSED, Ready::READ_CLOSED),
        (Readiness::HANGUP, Ready::READ_CLOSED | Ready::WRITE_CLOSED),
        (Readiness::ERROR, Ready::ERROR),
        (Readiness::ERROR_QUEUE, Ready::ERROR),
        (Readiness::PRIORITY, Ready::PRIORITY),
    ]
    .into_iter()
    .filter(|(from, _)| readiness.contains(*from))
    .fold(Ready::EMPTY, |all, (_, to)| all | to)
}

/// What answers an interest.
fn mask(interest: Interest) -> Ready {
    let mut mask = Ready::EMPTY;
    if interest.is_readable() {
        mask |= Ready::READABLE | Ready::READ_CLOSED;
    }
    if interest.is_writable() {
        mask |= Ready::WRITABLE | Ready::WRITE_CLOSED;
    }
    if interest.is_priority() {
        mask |= Ready::PRIORITY | Ready::READ_CLOSED;
    }
    if interest.is_error() {
        mask |= Ready::ERROR;
    }
    mask
}
