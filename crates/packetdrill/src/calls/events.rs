//! poll(2), and epoll(7) over sockets: level-triggered, edge-triggered and one-shot.

use crate::descriptors::{Object, error};
use crate::interface::UserData;
use crate::pointers::given;
use crate::world::{World, call};
use libc::{c_int, c_short, epoll_event, nfds_t, pollfd};
use sockeye::{PollFd, Readiness, Socket};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Descriptors of one poll at the most; the tool never has so many.
const FDS_MAX: nfds_t = 1024;

/// The bits of poll(2) and epoll(7), which are the same, and what they ask for.
#[rustfmt::skip]
const BITS: &[(c_short, Readiness)] = &[
    (libc::POLLIN, Readiness::READABLE),
    (libc::POLLRDNORM, Readiness::READABLE),
    (libc::POLLOUT, Readiness::WRITABLE),
    (libc::POLLWRNORM, Readiness::WRITABLE),
    (libc::POLLPRI, Readiness::PRIORITY),
    (libc::POLLRDBAND, Readiness::PRIORITY),
    (libc::POLLRDHUP, Readiness::READ_CLOSED),
    (libc::POLLERR, Readiness::ERROR),
    (libc::POLLERR, Readiness::ERROR_QUEUE),
    (libc::POLLHUP, Readiness::HANGUP),
];

/// What is told whether it was asked for or not.
const ALWAYS: c_short = libc::POLLERR | libc::POLLHUP;

fn asked(events: c_short) -> Readiness {
    let asked = BITS.iter().filter(|(bit, _)| events & bit != 0);
    asked.fold(Readiness::empty(), |all, (_, what)| all | *what)
}

fn shown(ready: Readiness, events: c_short) -> c_short {
    let shown = BITS.iter().filter(|(_, what)| ready.contains(*what));
    shown.fold(0, |all, (bit, _)| all | bit) & (events | ALWAYS)
}

/// A time-out in milliseconds; below zero there is none.
fn patience(millis: c_int) -> Option<Duration> {
    u64::try_from(millis).ok().map(Duration::from_millis)
}

pub(crate) unsafe extern "C" fn poll(
    userdata: UserData,
    fds: *mut pollfd,
    n: nfds_t,
    timeout: c_int,
) -> c_int {
    call(userdata, |world| {
        if n > FDS_MAX || (n > 0 && fds.is_null()) {
            return Err(error(if fds.is_null() {
                libc::EFAULT
            } else {
                libc::EINVAL
            }));
        }
        let fds = match n {
            0 => &mut [],
            // SAFETY: not null, and poll(2)'s contract with its caller.
            _ => unsafe { std::slice::from_raw_parts_mut(fds, n as usize) },
        };
        polled(world, fds, timeout)
    })
}

fn polled(world: &World, fds: &mut [pollfd], timeout: c_int) -> io::Result<c_int> {
    let sockets: Vec<_> = fds.iter().map(|fd| world.socket(fd.fd).ok()).collect();
    let unknown = |fd: &pollfd, socket: &Option<_>| socket.is_none() && fd.fd >= 0;
    let mut waits = Vec::with_capacity(fds.len());
    for (fd, socket) in fds.iter().zip(&sockets) {
        waits.extend(
            socket
                .as_ref()
                .map(|socket| PollFd::new(socket, asked(fd.events))),
        );
    }
    let at_once = fds
        .iter()
        .zip(&sockets)
        .any(|(fd, socket)| unknown(fd, socket));
    let timeout = if at_once {
        Some(Duration::ZERO)
    } else {
        patience(timeout)
    };
    sockeye::poll(&mut waits, timeout)?;
    let mut found = waits.iter();
    let mut ready = 0;
    for (fd, socket) in fds.iter_mut().zip(&sockets) {
        fd.revents = match socket {
            Some(_) => found
                .next()
                .map_or(0, |wait| shown(wait.revents(), fd.events)),
            None if fd.fd >= 0 => libc::POLLNVAL,
            None => 0,
        };
        ready += c_int::from(fd.revents != 0);
    }
    Ok(ready)
}

/// An epoll instance.
pub(crate) struct Epoll(Mutex<Interests>);

#[derive(Default)]
struct Interests {
    items: BTreeMap<c_int, Item>,
    /// Those that something has come about for, in that order.
    ready: VecDeque<c_int>,
    /// Calls that wait.
    waiting: Vec<Waker>,
}

/// What is waited for on one socket. Its methods are called without the lock: a socket may call
/// back at once.
#[derive(Clone)]
struct Item {
    /// The end of the socket does not wait for the epoll instance.
    socket: Weak<Socket>,
    events: u32,
    data: u64,
    watcher: Waker,
}

/// What an item's socket calls.
struct Watcher {
    epoll: Weak<Epoll>,
    fd: c_int,
}

impl Wake for Watcher {
    fn wake(self: Arc<Self>) {
        let Some(epoll) = self.epoll.upgrade() else {
            return;
        };
        let item = epoll.lock().items.get(&self.fd).cloned();
        if let Some(item) = item.filter(|item| !item.is_off()) {
            item.watch();
            epoll.mark(self.fd);
        }
    }
}

const EDGE: u32 = libc::EPOLLET.cast_unsigned();
const ONE_SHOT: u32 = libc::EPOLLONESHOT.cast_unsigned();
/// Bits that say how, not what for.
const MODES: u32 =
    EDGE | ONE_SHOT | libc::EPOLLEXCLUSIVE.cast_unsigned() | libc::EPOLLWAKEUP.cast_unsigned();

impl Item {
    /// Whether it is switched off: one-shot, and reported.
    fn is_off(&self) -> bool {
        self.events & !MODES == 0
    }

    fn wanted(&self) -> c_short {
        (self.events & 0xffff) as c_short
    }

    fn watch(&self) {
        if let Some(socket) = self.socket.upgrade() {
            // A node that is gone reports nothing any more.
            let _ = socket.watch(asked(self.wanted()), &self.watcher);
        }
    }

    fn revents(&self) -> c_short {
        let socket = self.socket.upgrade();
        socket.map_or(0, |socket| {
            let ready = socket.readiness().unwrap_or(Readiness::ERROR);
            shown(ready, self.wanted())
        })
    }
}

impl Epoll {
    fn lock(&self) -> MutexGuard<'_, Interests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has come about for `fd`.
    fn mark(&self, fd: c_int) {
        let mut interests = self.lock();
        if !interests.ready.contains(&fd) {
            interests.ready.push_back(fd);
        }
        let waiting = std::mem::take(&mut interests.waiting);
        drop(interests);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Reports what is ready: items that are level-triggered stay in line for the next time.
    fn report(&self, max: usize) -> Vec<(u32, u64)> {
        let mut reported = Vec::new();
        let mut again = VecDeque::new();
        let next = || {
            let mut interests = self.lock();
            let fd = interests.ready.pop_front()?;
            Some((fd, interests.items.get(&fd).cloned()))
        };
        while reported.len() < max {
            let Some((fd, item)) = next() else {
                break;
            };
            let Some(item) = item.filter(|item| !item.is_off()) else {
                continue;
            };
            let revents = item.revents();
            if revents == 0 {
                continue;
            }
            reported.push((revents.cast_unsigned().into(), item.data));
            if item.events & ONE_SHOT != 0 {
                if let Some(item) = self.lock().items.get_mut(&fd) {
                    item.events &= MODES;
                }
            } else if item.events & EDGE == 0 {
                again.push_back(fd);
            }
        }
        self.lock().ready.append(&mut again);
        reported
    }

    fn control(
        self: &Arc<Self>,
        socket: &Arc<Socket>,
        fd: c_int,
        op: c_int,
        event: Option<epoll_event>,
    ) -> io::Result<()> {
        let mut interests = self.lock();
        let items = &mut interests.items;
        // A number that names another socket by now is not in it any more.
        items.retain(|_, item| item.socket.strong_count() > 0);
        match (op, items.contains_key(&fd)) {
            (libc::EPOLL_CTL_ADD, true) => return Err(error(libc::EEXIST)),
            (libc::EPOLL_CTL_MOD | libc::EPOLL_CTL_DEL, false) => return Err(error(libc::ENOENT)),
            (libc::EPOLL_CTL_DEL, true) => {
                items.remove(&fd);
                return Ok(());
            }
            (libc::EPOLL_CTL_ADD | libc::EPOLL_CTL_MOD, _) => {}
            _ => return Err(error(libc::EINVAL)),
        }
        let event = event.ok_or_else(|| error(libc::EFAULT))?;
        let watcher = Arc::new(Watcher {
            epoll: Arc::downgrade(self),
            fd,
        });
        let item = Item {
            socket: Arc::downgrade(socket),
            events: event.events,
            data: event.u64,
            watcher: Waker::from(watcher),
        };
        items.insert(fd, item.clone());
        drop(interests);
        item.watch();
        if item.revents() != 0 {
            self.mark(fd);
        }
        Ok(())
    }

    fn wait(&self, world: &World, max: usize, timeout: c_int) -> Vec<(u32, u64)> {
        let look = |cx: &mut Context<'_>| {
            let reported = self.report(max);
            if reported.is_empty() {
                self.lock().waiting.push(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(reported)
        };
        world
            .node
            .block_on(patience(timeout), look)
            .unwrap_or_default()
    }
}

fn epoll(world: &World, fd: c_int) -> io::Result<Arc<Epoll>> {
    match world.object(fd)? {
        Object::Epoll(epoll) => Ok(epoll),
        Object::Socket(_) | Object::Pipe(_) => Err(error(libc::EINVAL)),
    }
}

pub(crate) extern "C" fn epoll_create(userdata: UserData, size: c_int) -> c_int {
    call(userdata, |world| {
        if size <= 0 {
            return Err(error(libc::EINVAL));
        }
        let epoll = Arc::new(Epoll(Mutex::default()));
        world.descriptors().insert(Object::Epoll(epoll))
    })
}

pub(crate) unsafe extern "C" fn epoll_ctl(
    userdata: UserData,
    fd: c_int,
    op: c_int,
    about: c_int,
    event: *const epoll_event,
) -> c_int {
    call(userdata, |world| {
        let epoll = epoll(world, fd)?;
        let socket = match world.object(about)? {
            Object::Socket(socket) => socket,
            Object::Epoll(_) | Object::Pipe(_) => return Err(error(libc::EPERM)),
        };
        // SAFETY: epoll_ctl(2)'s contract with its caller.
        let event = unsafe { given(event) }.ok().copied();
        epoll.control(&socket, about, op, event)?;
        Ok(0)
    })
}

pub(crate) unsafe extern "C" fn epoll_wait(
    userdata: UserData,
    fd: c_int,
    events: *mut epoll_event,
    max: c_int,
    timeout: c_int,
) -> c_int {
    call(userdata, |world| {
        let epoll = epoll(world, fd)?;
        let room = usize::try_from(max).ok().filter(|room| *room > 0);
        let room = room.ok_or_else(|| error(libc::EINVAL))?;
        if events.is_null() {
            return Err(error(libc::EFAULT));
        }
        let reported = epoll.wait(world, room, timeout);
        for (n, (bits, data)) in reported.iter().enumerate() {
            // SAFETY: epoll_wait(2)'s contract with its caller: room for `max` of them.
            unsafe {
                events.add(n).write(epoll_event {
                    events: *bits,
                    u64: *data,
                });
            }
        }
        c_int::try_from(reported.len()).map_err(|_| error(libc::EINVAL))
    })
}
