//! A datagram socket of the node as programs meet it: a socket of the run's namespace, with the same name and peer.
//!
//! What the node's socket sends leaves from it within the call, so that the kernel's own answer is the call's. What programs
//! send to it is carried into the node as long as there is room there; the rest waits in the kernel, which holds the senders
//! off: so up to twice as many may wait as at a socket of one side.

use super::pass;
use crate::descriptors::lock;
use crate::ends::{self, Watched};
use crate::runner::Shared;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    self, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, Shutdown, SocketAddrUnix, sockopt,
};
use sockeye::UnixSend;
use sockeye::beyond::{Hears, Inbox, Letter, Mailbox};
use sockeye::unix::{Credentials, Object, SocketAddr};
use std::ffi::OsStr;
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll, Waker, ready};
use tokio::task::AbortHandle;

#[derive(Debug)]
pub(super) struct Letters {
    shared: Arc<Carried>,
}

#[derive(Debug)]
struct Carried {
    /// `None` once the node's socket is closed: nobody keeps this one open beyond that moment.
    socket: RwLock<Option<Watched>>,
    inbox: Inbox,
    /// What works for it in the background.
    tasks: Mutex<Vec<AbortHandle>>,
    carries: AtomicBool,
    run: Arc<Shared>,
    /// Who holds it takes from the socket and puts into the inbox, so that order is kept.
    taking: Mutex<()>,
    /// Who waits for room at a name, or at the peer; the first for each has a task that waits for all.
    waiting: Mutex<Vec<(Option<Vec<u8>>, Waker)>>,
}

/// What a look at the socket found.
enum Found {
    Letter(Letter),
    Nothing,
    Reset,
}

impl Letters {
    pub(super) fn open(socket: OwnedFd, inbox: Inbox, run: Arc<Shared>) -> io::Result<Self> {
        let entered = run.runtime().enter();
        let socket = ends::watch(Arc::new(socket))?;
        drop(entered);
        Ok(Self {
            shared: Arc::new(Carried {
                socket: RwLock::new(Some(socket)),
                inbox,
                tasks: Mutex::default(),
                carries: AtomicBool::new(false),
                run,
                taking: Mutex::default(),
                waiting: Mutex::default(),
            }),
        })
    }
}

impl Mailbox for Letters {
    fn bind(&self, name: Option<&[u8]>) -> io::Result<Vec<u8>> {
        let address = match name {
            Some(name) => SocketAddrUnix::new_abstract_name(name)?,
            None => SocketAddrUnix::new_unnamed(),
        };
        let own = self.shared.with(|socket| {
            net::bind(socket, &address)?;
            // Not before: a socket that passes credentials and has no name gets one as it speaks.
            sockopt::set_socket_passcred(socket, true)?;
            SocketAddrUnix::try_from(net::getsockname(socket)?)
        })?;
        if !self.shared.carries.swap(true, Ordering::Relaxed) {
            self.shared.spawn(carry(self.shared.clone()));
        }
        Ok(own.abstract_name().unwrap_or_default().to_vec())
    }

    fn connect(&self, whom: Hears<'_>) -> io::Result<()> {
        let address = match whom {
            Hears::Only(name) => Some(SocketAddrUnix::new_abstract_name(name)?),
            Hears::Everybody | Hears::Nobody => None,
        };
        // Another peer's datagrams are gone with this.
        let _taking = lock(&self.shared.taking);
        self.shared.with(|socket| match (whom, &address) {
            (_, Some(address)) => net::connect(socket, address),
            (Hears::Everybody, _) => net::connect_unspec(socket),
            // Who is his own peer hears nobody else.
            (_, None) => net::connect(
                socket,
                &SocketAddrUnix::try_from(net::getsockname(socket)?)?,
            ),
        })?;
        Ok(())
    }

    fn send(&self, to: Option<&[u8]>, message: &UnixSend<'_>) -> io::Result<usize> {
        let address = to.map(SocketAddrUnix::new_abstract_name).transpose()?;
        let data = [IoSlice::new(&message.data)];
        let (objects, said) = (&message.objects, message.credentials);
        let sent = self
            .shared
            .with(|socket| pass(socket, address.as_ref(), &data, objects, said));
        if to.is_none() && sent == Err(Errno::AGAIN) {
            // Who polls the node's socket is to wait, too.
            self.shared.inbox.set_peer_full(true);
            let shared = self.shared.clone();
            self.shared.spawn(async move {
                let _ = shared.room(None).await;
                shared.inbox.set_peer_full(false);
            });
        }
        Ok(sent?)
    }

    fn wake_when_room(&self, to: Option<&[u8]>, waker: &Waker) {
        let mut waiting = lock(&self.shared.waiting);
        let there = waiting.iter().filter(|(name, _)| name.as_deref() == to);
        let first = there.clone().next().is_none();
        if there.clone().any(|(_, other)| other.will_wake(waker)) {
            return;
        }
        waiting.push((to.map(<[u8]>::to_vec), waker.clone()));
        drop(waiting);
        if !first {
            return;
        }
        let (shared, to) = (self.shared.clone(), to.map(<[u8]>::to_vec));
        self.shared.spawn(async move {
            // What stands in the way of waiting, the next attempt is told.
            let _ = shared.room(to.as_deref()).await;
            let mut waiting = lock(&shared.waiting);
            let woken: Vec<_> = waiting.extract_if(.., |(name, _)| *name == to).collect();
            drop(waiting);
            woken.into_iter().for_each(|(_, waker)| waker.wake());
        });
    }

    fn collect(&self) {
        self.shared.collect();
    }

    fn stop_receiving(&self) {
        // It can't fail on a socket.
        let _ = self
            .shared
            .with(|socket| net::shutdown(socket, Shutdown::Read));
    }
}

impl Drop for Letters {
    fn drop(&mut self) {
        for task in lock(&self.shared.tasks).drain(..) {
            task.abort();
        }
        let mut socket = self.shared.socket.write();
        socket.as_deref_mut().map_or_else(|_| None, Option::take);
    }
}

impl Carried {
    /// A call on the socket.
    fn with<R>(&self, call: impl FnOnce(BorrowedFd<'_>) -> Result<R, Errno>) -> Result<R, Errno> {
        let socket = self.socket.read().unwrap_or_else(PoisonError::into_inner);
        call(socket.as_ref().ok_or(Errno::BADF)?.as_fd())
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.run.runtime().spawn(task);
        let mut tasks = lock(&self.tasks);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task.abort_handle());
    }

    /// Waits until it has been readable since the last time.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.socket.read().unwrap_or_else(PoisonError::into_inner);
        let Some(socket) = &*socket else {
            return Poll::Ready(Err(Errno::BADF.into()));
        };
        // What comes after this look makes it readable anew.
        ready!(socket.poll_read_ready(cx))?.clear_ready();
        Poll::Ready(Ok(()))
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.socket.read().unwrap_or_else(PoisonError::into_inner);
        let Some(socket) = &*socket else {
            return Poll::Ready(Err(Errno::BADF.into()));
        };
        loop {
            let mut ready = ready!(socket.poll_write_ready(cx))?;
            let now = &mut [PollFd::new(socket, PollFlags::OUT)];
            if poll(now, Some(&Timespec::default()))? > 0 {
                return Poll::Ready(Ok(()));
            }
            // So it was before the last sends.
            ready.clear_ready();
        }
    }

    /// Waits until a send to a name, or to the peer, may succeed: until there is room among what is under way, and at the
    /// receiver.
    async fn room(&self, to: Option<&[u8]>) -> io::Result<()> {
        poll_fn(|cx| self.poll_writable(cx)).await?;
        let Some(to) = to else {
            return Ok(());
        };
        let probe = self
            .run
            .names()
            .socket(libc::SOCK_DGRAM, true)
            .transpose()?;
        let probe = probe.ok_or(Errno::PERM)?;
        // One that is connected to a full receiver is not writable, and is told when it is.
        net::connect(&probe, &SocketAddrUnix::new_abstract_name(to)?)?;
        ends::watch(Arc::new(probe))?
            .writable()
            .await?
            .retain_ready();
        Ok(())
    }

    /// Takes what has come, as long as there is room; false when there was none.
    fn collect(&self) -> bool {
        let taking = lock(&self.taking);
        loop {
            if !self.inbox.has_room() {
                return false;
            }
            match self.take() {
                // Nobody takes it: the node's socket is about to close.
                Ok(Found::Letter(letter)) => drop(self.inbox.put(letter)),
                Ok(Found::Reset) => self.inbox.reset(),
                Ok(Found::Nothing) | Err(_) => break,
            }
        }
        drop(taking);
        true
    }

    fn take(&self) -> Result<Found, Errno> {
        // Its length first: nobody else takes it meanwhile.
        let flags = RecvFlags::PEEK | RecvFlags::TRUNC | RecvFlags::DONTWAIT;
        let len = match self.with(|socket| net::recv(socket, &mut [0; 0], flags)) {
            Ok((_, len)) => len,
            Err(error) => return nothing(error),
        };
        let mut data = vec![0; len];
        let mut space =
            vec![
                MaybeUninit::uninit();
                rustix::cmsg_space!(ScmRights(super::DESCRIPTORS_MAX), ScmCredentials(1))
            ];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let pieces = &mut [IoSliceMut::new(&mut data)];
        let received = match self.with(|socket| net::recvmsg(socket, pieces, &mut control, flags)) {
            Ok(received) => received,
            Err(error) => return nothing(error),
        };
        data.truncate(received.bytes);
        let (mut objects, mut credentials) = (Vec::new(), None);
        for message in control.drain() {
            match message {
                RecvAncillaryMessage::ScmRights(passed) => {
                    objects.extend(passed.map(|fd| Arc::new(fd) as Object));
                }
                RecvAncillaryMessage::ScmCredentials(whose) => {
                    credentials = Some(Credentials {
                        pid: whose.pid.as_raw_nonzero().get(),
                        uid: whose.uid.as_raw(),
                        gid: whose.gid.as_raw(),
                    });
                }
                _ => {}
            }
        }
        let from = received.address.map(SocketAddrUnix::try_from).transpose()?;
        Ok(Found::Letter(Letter {
            data: data.into(),
            from: from.map_or(SocketAddr::unnamed(), |from| name(&from)),
            credentials,
            objects,
        }))
    }
}

fn nothing(error: Errno) -> Result<Found, Errno> {
    match error {
        Errno::AGAIN => Ok(Found::Nothing),
        Errno::CONNRESET => Ok(Found::Reset),
        error => Err(error),
    }
}

/// A path, which programs may have, is the host's: it is told, and leads nowhere in the node.
fn name(address: &SocketAddrUnix) -> SocketAddr {
    let name = match (address.abstract_name(), address.path_bytes()) {
        (Some(name), _) => SocketAddr::from_abstract_name(name),
        (None, Some(path)) => SocketAddr::from_pathname(OsStr::from_bytes(path)),
        (None, None) => Ok(SocketAddr::unnamed()),
    };
    // The kernel has no longer ones either.
    name.unwrap_or_default()
}

/// Carries into the node what comes, whenever there is room.
async fn carry(shared: Arc<Carried>) {
    while poll_fn(|cx| shared.poll_readable(cx)).await.is_ok() {
        while !shared.collect() {
            if poll_fn(|cx| shared.inbox.poll_room(cx)).await.is_err() {
                return;
            }
        }
    }
}
