//! The thread that starts the program and takes its trapped calls.
//!
//! It does nothing else, so that the kernel may move it to the caller's core, where a call costs a tenth of what it costs across
//! cores. What must wait is handed to the tasks; the thread itself never waits but for the next call.

use crate::backend::Backend;
use crate::supervisor::Supervisor;
use rustix::event::{PollFd, PollFlags, poll};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Serves trapped calls until the last program under the filter has ended, or `stop` is closed at its other side.
pub(crate) fn serve<B: Backend>(supervisor: &Arc<Supervisor<B>>, stop: &OwnedFd) {
    loop {
        let mut fds = [
            PollFd::new(&supervisor.listener, PollFlags::IN),
            PollFd::new(stop, PollFlags::IN),
        ];
        if poll(&mut fds, None).is_err() {
            continue; // a signal; nothing else is possible with these descriptors
        }
        let [listener, stop] = fds.map(|fd| fd.revents());
        if !stop.is_empty()
            || listener.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
        {
            return;
        }
        // It may have been interrupted between the two calls: then there is nothing to take.
        if let Ok(call) = supervisor.listener.receive() {
            supervisor.serve(&call);
        }
    }
}
