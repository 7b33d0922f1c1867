//! What a datagram socket is told of what it sent: the pending error, and the error queue (`MSG_ERRQUEUE`).
//!
//! The errors themselves are the node's. What the program polls and reads is an AF_UNIX socket, which the supervisor has show
//! `POLLERR` while there is something to tell. A plain receive or send finds that error there as ECONNRESET, and has taken it; the
//! calls that are trapped tell the true one.

use super::Datagrams;
use super::queue::Taken;
use crate::address;
use crate::backend::{Backend, Errno, NodeSocket};
use crate::buffers::Buffer;
use crate::calls::message::Target;
use crate::calls::send::MESSAGE_LEN;
use crate::descriptors::{Sock, lock};
use crate::ends;
use crate::memory::{DATAGRAM_MAX, Memory, Message};
use crate::supervisor::{Answer, Outcome, Supervisor};
use crate::sys::Call;
use crate::waiting::waits_by_itself;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long it is looked without a pause whether a program waits that has an error to be told.
const SPIN: Duration = Duration::from_millis(1);

/// How often it is looked afterwards.
const INTERVAL: Duration = Duration::from_millis(1);

/// After this time it is shown to a program that does not wait, too.
const PATIENCE: Duration = Duration::from_millis(200);

/// Errors of what was sent before, or of the way there: after them a socket goes on.
pub(super) fn is_of_the_way(error: Errno) -> bool {
    matches!(
        error,
        Errno::CONNREFUSED
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH
            | Errno::NOPROTOOPT
            | Errno::PROTO
            | Errno::MSGSIZE
            | Errno::ACCESS
    )
}

/// Puts an error before the socket: its next call fails with it.
pub(crate) fn note<S>(sock: &Sock<S>, error: Errno) {
    let mut state = lock(&sock.state);
    let before = state.error.replace(error);
    let Some(datagrams) = sock.datagrams() else {
        return;
    };
    match (state.shown, before) {
        (false, _) => datagrams.to_show.notify_one(),
        // Its report was shown before it came itself: a plain call may have had it.
        (true, None) => {}
        // Anew: a plain call may have had the one before.
        (true, Some(_)) => datagrams.show_error(),
    }
    datagrams.arrived.notify_waiters();
}

/// There may be something to show: a call has failed.
pub(crate) fn may_be_due<S>(sock: &Sock<S>) {
    if let Some(datagrams) = sock.datagrams() {
        datagrams.to_show.notify_one();
    }
}

/// Has the program's end show errors as they come, for ever.
///
/// A program that is at work will hear of them when it waits, since a plain send would fail with an errno that the kernel never
/// gives: who sends many probes and then polls is not disturbed. One that never waits hears of them all the same, but later.
pub(super) async fn show_as_they_come<S: NodeSocket>(sock: &Sock<S>, datagrams: &Datagrams) {
    loop {
        datagrams.to_show.notified().await;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && !waits_by_itself(sock.caller.load(Ordering::Relaxed)) {
            // Who is about to poll after a burst of probes gives up on them soon.
            if begun.elapsed() < SPIN {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(INTERVAL).await;
            }
        }
        let mut state = lock(&sock.state);
        if !state.shown && (state.error.is_some() || sock.node.has_reports()) {
            state.shown = true;
            datagrams.show_error();
        }
    }
}

/// Has the program's end show nothing until the program waits: plain sends may follow on a call.
pub(crate) fn hide<S: NodeSocket>(sock: &Sock<S>, end: &OwnedFd) {
    let mut state = lock(&sock.state);
    if !std::mem::take(&mut state.shown) {
        return;
    }
    if ends::take_error(end.as_fd()).is_none() {
        // It is shown no more: a plain call has had it, and if it was its report that was shown, it
        // may be on its way still.
        if state.error.take().is_none() {
            sock.node.take_error();
        }
    } else if state.error.is_none() {
        // A report was shown, whose error is on its way.
        state.error = sock.node.take_error();
    }
    may_be_due(sock);
}

/// Takes the error that the next call is to return.
pub(crate) fn take<S: NodeSocket>(sock: &Sock<S>, end: &OwnedFd) -> Option<Errno> {
    hide(sock, end);
    lock(&sock.state).error.take()
}

/// Takes the next datagram of the program's queue, whatever the end shows.
pub(crate) fn take_beside<S>(
    sock: &Sock<S>,
    datagrams: &Datagrams,
    end: &OwnedFd,
    peek: bool,
) -> Result<Taken, Errno> {
    match datagrams.take(end.as_fd(), peek) {
        // It is shown that there are reports, which is not for this call.
        Err(Errno::CONNRESET) => {
            datagrams.to_show.notify_one();
            lock(&sock.state).shown = false;
            datagrams.take(end.as_fd(), peek)
        }
        taken => taken,
    }
}

impl<B: Backend> Supervisor<B> {
    /// Takes as many reports of the error queue as there are targets; it never waits (recv(2)).
    pub(crate) fn receive_reports(
        &self,
        call: &Call,
        sock: &Sock<B::Socket>,
        end: &OwnedFd,
        targets: &[Target],
        lengths_at: Option<u64>,
    ) -> Answer {
        let memory = self.memory(call);
        let mut value = Err(Errno::AGAIN);
        for (i, target) in targets.iter().enumerate() {
            let len = match self.receive_report(&memory, sock, target) {
                Ok(len) => len,
                Err(error) if i == 0 => return Err(error),
                Err(_) => break,
            };
            value = Ok(note_length(&memory, lengths_at, i, len));
        }
        self.settle(sock, end);
        // What was taken does not go back; the call finds its answer when it is made again.
        if !self.reply(call, value) {
            self.remember(call, value, 0);
        }
        Ok(Outcome::Answered)
    }

    /// Nothing is shown for what was told.
    fn settle(&self, sock: &Sock<B::Socket>, end: &OwnedFd) {
        let mut state = lock(&sock.state);
        if state.shown && state.error.is_none() && !sock.node.has_reports() {
            ends::take_error(end.as_fd());
            state.shown = false;
        }
    }

    fn receive_report(
        &self,
        memory: &Memory<'_>,
        sock: &Sock<B::Socket>,
        target: &Target,
    ) -> Result<usize, Errno> {
        let mut buffer = Buffer::take();
        let mut state = lock(&sock.state);
        let report = sock.node.take_report(&mut buffer[..DATAGRAM_MAX])?;
        if !sock.is_stream() {
            // Linux: what the queue has told is pending no longer; the next in it is, if there is one.
            state.error = sock.node.take_error();
        }
        drop(state);
        may_be_due(sock);
        let to = report
            .destination
            .unwrap_or_else(|| address::unset(sock.domain));
        let data = &buffer[..report.len];
        target.write(memory, data, Some(to), &report.control, libc::MSG_ERRQUEUE)
    }
}

/// What a receive returns after message `i` of `len` octets: the length, or, where there may be several, their count; then the
/// length goes into the message's header.
pub(crate) fn note_length(
    memory: &Memory<'_>,
    lengths_at: Option<u64>,
    i: usize,
    len: usize,
) -> i64 {
    match lengths_at {
        None => len as i64,
        Some(at) => {
            let at = at.wrapping_add((i * Message::STRIDE) as u64 + MESSAGE_LEN);
            let _ = memory.write(at, &(len as u32).to_ne_bytes());
            i as i64 + 1
        }
    }
}
