//! The abstract AF_UNIX names of a run belong to its node, not to the host.
//!
//! Linux keeps abstract names by network namespace, and a socket belongs to the one that it was made in, whoever holds it. So the
//! program's AF_UNIX sockets are made in a namespace of the run's own, by a *maker*: a process that does nothing else, and that an
//! ordinary user gets by a user namespace. What the program does with such a socket is then the kernel's own doing: it binds,
//! connects and sends by itself, so that credentials (SO_PEERCRED, SCM_CREDENTIALS), names, backlogs, SCM_RIGHTS and every errno are
//! the true ones, and nothing is trapped but the making. Two programs of one run meet under a name, the host's names are out of
//! reach, and paths, which are files, are found as ever: they are no matter of network namespaces.
//!
//! The other way, names of the host with a secret in front, would have the supervisor connect and send for the program, whose
//! credentials would then be the supervisor's, and would have to hide the secret wherever a name is told.
//!
//! A socket that is not of that namespace (inherited, one of a socketpair, or any where the machine allows no namespaces) reaches no
//! abstract name at all.

use crate::backend::Errno;
use crate::descriptors::lock;
use crate::sys;
use rustix::net::{
    self, AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags,
    SocketFlags, SocketType,
};
use rustix::process::{
    PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::sync::Mutex;

/// Sockets that are made at a time.
const BATCH: usize = 8;

/// The types that AF_UNIX has, in the order of the stock.
const TYPES: [i32; 3] = [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET];

/// Where the program's AF_UNIX sockets come from.
#[derive(Debug)]
pub(crate) struct Names {
    maker: Result<Maker, Errno>,
}

#[derive(Debug)]
struct Maker {
    process: OwnedFd,
    /// The namespace, by the kernel's number for it.
    namespace: u64,
    shelf: Mutex<Shelf>,
}

/// The way to the maker, and sockets that it has made ahead.
#[derive(Debug)]
struct Shelf {
    channel: OwnedFd,
    stock: [Vec<OwnedFd>; 3],
}

impl Names {
    /// Starts the maker.
    pub(crate) fn new() -> Self {
        Self {
            maker: Maker::start(),
        }
    }

    /// Why the machine allows no namespace, if it does not.
    pub(crate) fn refusal(&self) -> Option<Errno> {
        self.maker.as_ref().err().copied()
    }

    /// A socket of that type; `None` where there is no maker.
    pub(crate) fn socket(&self, ty: i32, nonblocking: bool) -> Option<Result<OwnedFd, Errno>> {
        let maker = self.maker.as_ref().ok()?;
        Some(maker.socket(ty).and_then(|socket| {
            rustix::io::ioctl_fionbio(&socket, nonblocking)?;
            Ok(socket)
        }))
    }

    /// Whether a socket's names are the run's.
    pub(crate) fn owns(&self, socket: BorrowedFd<'_>) -> bool {
        let Ok(maker) = &self.maker else {
            return false;
        };
        namespace(socket) == Ok(maker.namespace)
    }
}

impl Maker {
    fn start() -> Result<Self, Errno> {
        let (channel, its) = net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let pid = sys::pid(fork(its.as_raw_fd())?)?;
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        drop(its);
        let mut maker = Self {
            process,
            namespace: 0,
            shelf: Mutex::new(Shelf {
                channel,
                stock: Default::default(),
            }),
        };
        let shelf = maker.shelf.get_mut();
        let shelf = shelf.unwrap_or_else(std::sync::PoisonError::into_inner);
        shelf.refill(0)?;
        let first = shelf.stock[0].first().ok_or(Errno::PERM)?;
        maker.namespace = namespace(first.as_fd())?;
        Ok(maker)
    }

    fn socket(&self, ty: i32) -> Result<OwnedFd, Errno> {
        let place = TYPES.iter().position(|known| *known == ty);
        let place = place.ok_or(Errno::SOCKTNOSUPPORT)?;
        let mut shelf = lock(&self.shelf);
        if shelf.stock[place].is_empty() {
            shelf.refill(place)?;
        }
        shelf.stock[place].pop().ok_or(Errno::NOBUFS)
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        // Who reaps all children of this process may have been quicker.
        let _ = pidfd_send_signal(&self.process, Signal::KILL);
        let options = WaitIdOptions::EXITED;
        let _ = rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(self.process.as_fd()), options));
    }
}

impl Shelf {
    fn refill(&mut self, place: usize) -> Result<(), Errno> {
        let asked = [TYPES[place] as u8];
        net::send(&self.channel, &asked, SendFlags::NOSIGNAL)?;
        let mut errno = [0; 4];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = net::recvmsg(
            &self.channel,
            &mut [IoSliceMut::new(&mut errno)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        if received.bytes < errno.len() {
            return Err(Errno::PERM);
        }
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(made) = message {
                self.stock[place].extend(made);
            }
        }
        match i32::from_ne_bytes(errno) {
            0 => Ok(()),
            errno => Err(Errno::from_raw_os_error(errno)),
        }
    }
}

/// SO_NETNS_COOKIE: the number of the network namespace that a socket belongs to.
fn namespace(socket: BorrowedFd<'_>) -> Result<u64, Errno> {
    const SO_NETNS_COOKIE: i32 = 71;
    let mut cookie = [0; 8];
    sys::option(socket, libc::SOL_SOCKET, SO_NETNS_COOKIE, &mut cookie)?;
    Ok(u64::from_ne_bytes(cookie))
}

/// Forks the maker with all signals blocked: it shares the program's terminal, whose signals are not for it.
fn fork(channel: RawFd) -> Result<i32, Errno> {
    // SAFETY: both sets are made valid here; this thread's mask is put back below, and the child keeps all blocked. The child
    // does async-signal-safe things alone, see `make`.
    unsafe {
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        let mut old = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut old);
        let pid = libc::fork();
        if pid == 0 {
            make(channel);
        }
        let error = std::io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const old, std::ptr::null_mut());
        match pid {
            -1 => Err(Errno::from_io_error(&error).unwrap_or(Errno::AGAIN)),
            pid => Ok(pid),
        }
    }
}

/// What the maker does: sockets, as many as fit a message, for each octet that comes; until the channel ends.
///
/// # Safety
/// To be called in the child of a fork, with all signals blocked. It allocates nothing, takes no lock and does not unwind.
unsafe fn make(channel: RawFd) -> ! {
    // SAFETY: system calls alone, on numbers and on memory of this frame.
    unsafe {
        // It holds nothing else open: others may wait for an end.
        libc::dup2(channel, 0);
        libc::syscall(libc::SYS_close_range, 1, libc::c_uint::MAX, 0);
        let mut error = 0;
        if libc::unshare(libc::CLONE_NEWNET) == -1
            && libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) == -1
        {
            error = *libc::__errno_location();
        }
        let mut ty = 0_u8;
        while libc::read(0, (&raw mut ty).cast(), 1) == 1 {
            let mut made = [-1; BATCH];
            let mut count = 0;
            while error == 0 && count < BATCH {
                let flags = libc::SOCK_CLOEXEC;
                let fd = libc::socket(libc::AF_UNIX, i32::from(ty) | flags, 0);
                if fd == -1 {
                    error = *libc::__errno_location();
                    break;
                }
                made[count] = fd;
                count += 1;
            }
            give(&made[..count], error);
            for fd in &made[..count] {
                libc::close(*fd);
            }
            if count > 0 {
                error = 0;
            }
        }
        libc::_exit(0)
    }
}

/// Sends an errno, and descriptors beside it.
///
/// # Safety
/// As [`make`].
unsafe fn give(made: &[RawFd], error: i32) {
    #[repr(C, align(8))]
    struct Control([u8; 64]);
    let mut control = Control([0; 64]);
    let error = if made.is_empty() { error } else { 0 };
    let mut octets = error.to_ne_bytes();
    // SAFETY: the header points to memory of this frame; there is room for BATCH descriptors behind a control message's header.
    unsafe {
        let mut data = libc::iovec {
            iov_base: octets.as_mut_ptr().cast(),
            iov_len: octets.len(),
        };
        let mut message = std::mem::zeroed::<libc::msghdr>();
        message.msg_iov = &raw mut data;
        message.msg_iovlen = 1;
        if !made.is_empty() {
            let len = size_of_val(made) as u32;
            message.msg_control = control.0.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(len) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(len) as _;
            std::ptr::copy_nonoverlapping(
                made.as_ptr().cast(),
                libc::CMSG_DATA(header),
                size_of_val(made),
            );
        }
        libc::sendmsg(0, &raw const message, libc::MSG_NOSIGNAL);
    }
}
