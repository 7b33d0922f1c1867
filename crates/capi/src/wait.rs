//! poll(2).

#![expect(
    unsafe_code,
    reason = "what C calls is named as it is, and gets pointers"
)]

use crate::error::{Failure, guard};
use crate::memory;
use crate::table::{self, HANDLES_MAX};
use libc::{nfds_t, pollfd};
use sockeye::{PollFd, Readiness, Socket};
use std::ffi::{c_int, c_short};
use std::sync::Arc;
use std::time::Duration;

/// What C asks for and is told, and what that is here.
const EVENTS: [(c_short, Readiness); 6] = [
    (libc::POLLIN, Readiness::READABLE),
    (libc::POLLRDNORM, Readiness::READABLE),
    (libc::POLLOUT, Readiness::WRITABLE),
    (libc::POLLWRNORM, Readiness::WRITABLE),
    (libc::POLLPRI, Readiness::PRIORITY),
    (libc::POLLRDHUP, Readiness::READ_CLOSED),
];

/// poll(2) over sockets of one node or of several. Negative handles are passed over, others that are
/// no socket's are POLLNVAL.
///
/// # Safety
/// `entries` is as the crate's documentation asks, for `count` structures.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_poll(
    entries: *mut pollfd,
    count: nfds_t,
    timeout_ms: c_int,
) -> c_int {
    guard(|| {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > HANDLES_MAX {
            let text =
                format!("{count} entries are more than the {HANDLES_MAX} handles there can be");
            return Err(Failure::invalid(text));
        }
        // SAFETY: the caller's promise.
        let entries = unsafe { memory::list_mut(entries, count) }?;
        // A negative time is for ever.
        let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
        Ok(poll(entries, timeout)? as c_int)
    })
}

fn poll(entries: &mut [pollfd], timeout: Option<Duration>) -> Result<usize, Failure> {
    let mut sockets: Vec<(usize, Arc<Socket>)> = Vec::with_capacity(entries.len());
    let mut invalid = 0;
    for (index, entry) in entries.iter_mut().enumerate() {
        entry.revents = 0;
        if entry.fd < 0 {
            continue;
        }
        match table::socket(entry.fd) {
            Ok(socket) => sockets.push((index, socket)),
            Err(_) => {
                entry.revents = libc::POLLNVAL;
                invalid += 1;
            }
        }
    }
    if sockets.is_empty() {
        return match (invalid, timeout) {
            (0, None) => Err(Failure::invalid("it would wait for nothing, for ever")),
            (0, Some(timeout)) => {
                std::thread::sleep(timeout);
                Ok(0)
            }
            _ => Ok(invalid),
        };
    }
    let mut wait: Vec<PollFd<'_>> = sockets
        .iter()
        .map(|(index, socket)| PollFd::new(socket, asked(entries[*index].events)))
        .collect();
    // Who has something to be told already does not wait.
    let timeout = match invalid {
        0 => timeout,
        _ => Some(Duration::ZERO),
    };
    let ready = sockeye::poll(&mut wait, timeout)?;
    for (fd, (index, _)) in wait.iter().zip(&sockets) {
        let entry = &mut entries[*index];
        entry.revents = told(entry.events, fd.revents());
    }
    Ok(ready + invalid)
}

fn asked(events: c_short) -> Readiness {
    let asked = EVENTS.iter().filter(|(bit, _)| events & bit != 0);
    asked.fold(Readiness::empty(), |all, (_, readiness)| all | *readiness)
}

fn told(events: c_short, ready: Readiness) -> c_short {
    let asked = EVENTS.iter().filter(|(bit, _)| events & bit != 0);
    let mut told = asked
        .filter(|(_, readiness)| ready.contains(*readiness))
        .fold(0, |all, (bit, _)| all | bit);
    if ready.intersects(Readiness::ERROR | Readiness::ERROR_QUEUE) {
        told |= libc::POLLERR;
    }
    if ready.contains(Readiness::HANGUP) {
        told |= libc::POLLHUP;
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_told_but_errors_always_are() {
        let ready = Readiness::READABLE | Readiness::WRITABLE | Readiness::HANGUP;
        assert_eq!(told(libc::POLLIN, ready), libc::POLLIN | libc::POLLHUP);
        assert_eq!(told(0, Readiness::ERROR_QUEUE), libc::POLLERR);
        assert_eq!(
            asked(libc::POLLRDNORM | libc::POLLRDHUP),
            Readiness::READABLE | Readiness::READ_CLOSED
        );
    }
}
