//! Calls on streams that name an address, which TCP takes no notice of: AF_UNIX refuses to send with one, and tells its own when
//! it receives. So the supervisor does on the program's end what the kernel would do without the address.

use crate::backend::{Backend, Errno};
use crate::calls::message::Target;
use crate::descriptors::{Phase, Sock, lock, nonblocking, time_limit};
use crate::ends;
use crate::memory::Span;
use crate::relay::events;
use crate::supervisor::{Answer, Outcome, Supervisor};
use crate::sys::{self, Call};
use rustix::event::PollFlags;
use rustix::net::{self, RecvFlags, SendFlags};
use std::hash::{DefaultHasher, Hasher as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Octets that one call moves; it says so, and the program goes on.
const STREAM_MAX: usize = 1 << 20;

/// Flags that mean the same on the program's end.
const SEND_FLAGS: i32 = libc::MSG_OOB | libc::MSG_DONTROUTE | libc::MSG_MORE | libc::MSG_EOR;
const RECEIVE_FLAGS: i32 = libc::MSG_OOB | libc::MSG_PEEK;

/// A receive from a stream.
struct Wanted {
    target: Target,
    len: usize,
    flags: i32,
}

impl<B: Backend> Supervisor<B> {
    pub(crate) fn send_stream(
        self: &Arc<Self>,
        call: &Call,
        sock: &Arc<Sock<B::Socket>>,
        end: OwnedFd,
        flags: i32,
        spans: &[Span],
    ) -> Answer {
        if flags & libc::MSG_FASTOPEN != 0 {
            return Err(Errno::OPNOTSUPP);
        }
        let data = self.memory(call).gather_some(spans, STREAM_MAX)?;
        let mut hasher = DefaultHasher::new();
        hasher.write(&data);
        let digest = hasher.finish();
        if let Some(result) = self.recall(call, || digest) {
            return result.map(Outcome::Return);
        }
        let connects = matches!(
            lock(&sock.state).phase,
            Phase::Established { .. } | Phase::Connecting { .. }
        );
        if !connects {
            return Err(broken(call, flags));
        }
        let waits = flags & libc::MSG_DONTWAIT == 0 && !nonblocking(end.as_fd());
        let limit = time_limit(&end, libc::SO_SNDTIMEO).map(|limit| (limit, Errno::AGAIN));
        let end = Arc::new(end);
        let sent = send(&end, &data, flags);
        match sent {
            Ok(sent) if sent == data.len() || !waits => {
                return self.moved(call, sent, digest);
            }
            Ok(_) => {}
            Err(Errno::AGAIN) if waits => {}
            Err(Errno::PIPE) => return Err(broken(call, flags)),
            Err(error) => return Err(error),
        }
        let (me, made) = (self.clone(), *call);
        let progress = Arc::new(AtomicUsize::new(sent.unwrap_or(0)));
        let moved = progress.clone();
        self.hold_with(call, limit, progress, async move {
            let watched = ends::watch(end.clone())?;
            loop {
                let done = moved.load(Ordering::Relaxed);
                if done == data.len() {
                    return me.moved(&made, done, digest);
                }
                match send(&end, &data[done..], flags) {
                    Ok(sent) => drop(moved.fetch_add(sent, Ordering::Relaxed)),
                    Err(Errno::AGAIN) => {
                        let ready = watched.writable().await;
                        let mut ready = ready.map_err(|_| Errno::NOBUFS)?;
                        let stirs = PollFlags::OUT | PollFlags::HUP | PollFlags::ERR;
                        if !events(watched.as_fd()).intersects(stirs) {
                            ready.clear_ready();
                        }
                    }
                    Err(_) if done > 0 => return me.moved(&made, done, digest),
                    Err(Errno::PIPE) => return Err(broken(&made, flags)),
                    Err(error) => return Err(error),
                }
            }
        })
    }

    pub(crate) fn receive_stream(
        self: &Arc<Self>,
        call: &Call,
        end: OwnedFd,
        flags: i32,
        target: Target,
    ) -> Answer {
        let waits = flags & libc::MSG_DONTWAIT == 0 && !nonblocking(end.as_fd());
        let limit = time_limit(&end, libc::SO_RCVTIMEO).map(|limit| (limit, Errno::AGAIN));
        let wanted = Wanted {
            len: target.room().min(STREAM_MAX),
            target,
            flags,
        };
        let whole = flags & libc::MSG_WAITALL != 0 && flags & libc::MSG_PEEK == 0;
        let end = Arc::new(end);
        let mut first = 0;
        match self.take_some(call, &end, &wanted, 0) {
            Ok(len) if len == 0 || len == wanted.len || !waits || !whole => {
                return self.moved(call, len, 0);
            }
            Ok(len) => first = len,
            Err(Errno::AGAIN) if waits => {}
            Err(error) => return Err(error),
        }
        let (me, made) = (self.clone(), *call);
        let progress = Arc::new(AtomicUsize::new(first));
        let moved = progress.clone();
        self.hold_with(call, limit, progress, async move {
            let watched = ends::watch(end.clone())?;
            loop {
                let done = moved.load(Ordering::Relaxed);
                match me.take_some(&made, &end, &wanted, done) {
                    Ok(len) => {
                        moved.fetch_add(len, Ordering::Relaxed);
                        if len == 0 || done + len == wanted.len || !whole {
                            return me.moved(&made, done + len, 0);
                        }
                    }
                    Err(Errno::AGAIN) => {
                        let ready = watched.readable().await;
                        let mut ready = ready.map_err(|_| Errno::NOBUFS)?;
                        let stirs = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
                        if !events(watched.as_fd()).intersects(stirs) {
                            ready.clear_ready();
                        }
                    }
                    Err(_) if done > 0 => return me.moved(&made, done, 0),
                    Err(error) => return Err(error),
                }
            }
        })
    }

    /// Takes what there is, up to what is still wanted, and writes it behind what was taken before.
    fn take_some(
        &self,
        call: &Call,
        end: &OwnedFd,
        wanted: &Wanted,
        done: usize,
    ) -> Result<usize, Errno> {
        let mut buffer = vec![0; wanted.len - done];
        let flags = RecvFlags::from_bits_retain((wanted.flags & RECEIVE_FLAGS) as u32);
        let (len, _) = net::recv(end, &mut buffer[..], flags | RecvFlags::DONTWAIT)?;
        // tcp(7): what MSG_TRUNC takes it throws away.
        let kept = if wanted.flags & libc::MSG_TRUNC != 0 {
            0
        } else {
            len
        };
        let data = &buffer[..kept];
        wanted
            .target
            .write_behind(&self.memory(call), done, data, wanted.flags & libc::MSG_OOB)?;
        Ok(len)
    }

    /// The answer of a call that has moved octets.
    fn moved(&self, call: &Call, len: usize, digest: u64) -> Answer {
        if !self.reply(call, Ok(len as i64)) {
            self.remember(call, Ok(len as i64), digest);
        }
        Ok(Outcome::Answered)
    }
}

fn send(end: &OwnedFd, data: &[u8], flags: i32) -> Result<usize, Errno> {
    let flags = SendFlags::from_bits_retain((flags & SEND_FLAGS) as u32);
    net::send(end, data, flags | SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
}

/// EPIPE, with its signal.
fn broken(call: &Call, flags: i32) -> Errno {
    if flags & libc::MSG_NOSIGNAL == 0 {
        sys::signal(call.tid, libc::SIGPIPE);
    }
    Errno::PIPE
}
