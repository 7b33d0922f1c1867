//! System calls that rustix does not wrap: the seccomp listener, another process's memory, a thread's pidfd, and a receive with
//! time stamps. Each is a plain function over owned or borrowed descriptors; nothing here knows what it is used for.

use crate::backend::Errno;
use libc::c_void;
use rustix::process::Pid;
use std::mem::{MaybeUninit, size_of, size_of_val, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// `PIDFD_THREAD` (Linux 6.9): the descriptor is of one thread, with that thread's descriptor table.
const PIDFD_THREAD: u32 = libc::O_EXCL as u32;

/// Room for what the kernel writes at a notification; it may know a longer one than we do.
const NOTIFICATION_ROOM: usize = 512;

/// What a call returns inside the kernel when a signal has interrupted it, and that no program ever sees: on its way out it
/// becomes `EINTR`, or the call is made again.
const ERESTARTSYS: i32 = 512;

/// The last error of a libc call.
fn errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// -1 is the call's error.
fn checked(result: i64) -> Result<i64, Errno> {
    if result == -1 {
        Err(errno())
    } else {
        Ok(result)
    }
}

/// A trapped system call of a thread of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// Names this trap; it ends when the call is answered or interrupted.
    pub(crate) id: u64,
    /// The thread, in the supervisor's pid namespace.
    pub(crate) tid: i32,
    /// The system call's number.
    pub(crate) nr: i64,
    /// Its arguments.
    pub(crate) args: [u64; 6],
    /// Where it was made: tells a restarted call from a new one.
    pub(crate) instruction_pointer: u64,
}

/// The listener of a seccomp filter.
#[derive(Debug)]
pub(crate) struct Listener(OwnedFd);

impl Listener {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Waits for the next trapped call. `ENOENT` says that it was interrupted before it was taken.
    pub(crate) fn receive(&self) -> Result<Call, Errno> {
        #[repr(C, align(8))]
        struct Room([u8; NOTIFICATION_ROOM]);
        const { assert!(size_of::<libc::seccomp_notif>() <= NOTIFICATION_ROOM) };
        let mut room = Room([0; NOTIFICATION_ROOM]);
        let request = room.0.as_mut_ptr();
        // SAFETY: the kernel writes a `seccomp_notif`, at most of the size it reports itself, which is far below the room.
        let result = unsafe {
            libc::ioctl(
                self.0.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_RECV as _,
                request,
            )
        };
        checked(result.into())?;
        // SAFETY: the room is aligned to 8 as `seccomp_notif` asks, long enough, and every bit pattern is a valid one.
        let notification = unsafe { &*request.cast::<libc::seccomp_notif>() };
        Ok(Call {
            id: notification.id,
            tid: notification.pid as i32,
            nr: notification.data.nr.into(),
            args: notification.data.args,
            instruction_pointer: notification.data.instruction_pointer,
        })
    }

    /// Ends a call with this result. `ENOENT` says that it was interrupted: the program did not get the answer.
    pub(crate) fn answer(&self, id: u64, result: Result<i64, Errno>) -> Result<(), Errno> {
        self.send(
            id,
            result.unwrap_or(0),
            result.err().map_or(0, |error| -error.raw_os_error()),
            0,
        )
    }

    /// Ends a call because of a signal that waits for the thread: with `EINTR`, or (`restarts`) as the signal's handler wants it,
    /// which may let the kernel make the call again.
    pub(crate) fn interrupt(&self, id: u64, restarts: bool) -> Result<(), Errno> {
        let error = if restarts { ERESTARTSYS } else { libc::EINTR };
        self.send(id, 0, -error, 0)
    }

    /// Lets the kernel carry out the call as if there were no filter.
    pub(crate) fn carry_on(&self, id: u64) -> Result<(), Errno> {
        self.send(id, 0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32)
    }

    fn send(&self, id: u64, val: i64, error: i32, flags: u32) -> Result<(), Errno> {
        let mut response = libc::seccomp_notif_resp {
            id,
            val,
            error,
            flags,
        };
        // SAFETY: the kernel reads a `seccomp_notif_resp`, which is what it is given.
        let result = unsafe {
            libc::ioctl(
                self.0.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SEND as _,
                &raw mut response,
            )
        };
        checked(result.into()).map(drop)
    }

    /// Whether the call still waits for its answer.
    pub(crate) fn waits(&self, id: u64) -> bool {
        // SAFETY: the kernel reads eight octets.
        let result = unsafe {
            libc::ioctl(
                self.0.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_ID_VALID as _,
                &raw const id,
            )
        };
        result == 0
    }

    /// [`answer_with`](Self::answer_with), at this number.
    pub(crate) fn answer_at(
        &self,
        id: u64,
        file: BorrowedFd<'_>,
        at: RawFd,
        close_on_exec: bool,
    ) -> Result<(), Errno> {
        let flags = libc::SECCOMP_ADDFD_FLAG_SEND | libc::SECCOMP_ADDFD_FLAG_SETFD;
        self.add(id, file, flags as u32, at as u32, close_on_exec)
            .map(drop)
    }

    /// Gives the program a descriptor of this file and ends the call with its number, both at once or neither.
    pub(crate) fn answer_with(
        &self,
        id: u64,
        file: BorrowedFd<'_>,
        close_on_exec: bool,
    ) -> Result<(), Errno> {
        self.add(
            id,
            file,
            libc::SECCOMP_ADDFD_FLAG_SEND as u32,
            0,
            close_on_exec,
        )
        .map(drop)
    }

    /// Gives the program a descriptor of this file, at this number if it may have it, and says which it is; the call goes on
    /// waiting.
    pub(crate) fn give(
        &self,
        id: u64,
        file: BorrowedFd<'_>,
        at: Option<RawFd>,
        close_on_exec: bool,
    ) -> Result<RawFd, Errno> {
        if let Some(at) = at
            && self.replace(id, file, at, close_on_exec).is_ok()
        {
            return Ok(at);
        }
        let number = self.add(id, file, 0, 0, close_on_exec)?;
        RawFd::try_from(number).map_err(|_| Errno::BADF)
    }

    /// Puts this file in the place of the program's descriptor; the call goes on waiting.
    pub(crate) fn replace(
        &self,
        id: u64,
        file: BorrowedFd<'_>,
        at: RawFd,
        close_on_exec: bool,
    ) -> Result<(), Errno> {
        self.add(
            id,
            file,
            libc::SECCOMP_ADDFD_FLAG_SETFD as u32,
            at as u32,
            close_on_exec,
        )
        .map(drop)
    }

    fn add(
        &self,
        id: u64,
        file: BorrowedFd<'_>,
        flags: u32,
        newfd: u32,
        close_on_exec: bool,
    ) -> Result<i64, Errno> {
        let newfd_flags = if close_on_exec {
            libc::O_CLOEXEC as u32
        } else {
            0
        };
        let mut request = libc::seccomp_notif_addfd {
            id,
            flags,
            srcfd: file.as_raw_fd() as u32,
            newfd,
            newfd_flags,
        };
        // SAFETY: the kernel reads a `seccomp_notif_addfd`, which is what it is given; the file outlives the call.
        let result = unsafe {
            libc::ioctl(
                self.0.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_ADDFD as _,
                &raw mut request,
            )
        };
        checked(result.into())
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Installs a filter for the calling thread and returns the number of its listener. `killably`: a thread whose call has been
/// taken is woken by no signal but a fatal one. Async-signal-safe.
pub(crate) fn install_filter(
    program: &[libc::sock_filter],
    killably: bool,
) -> Result<RawFd, Errno> {
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the program, which lives until the call returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::c_ulong::from(libc::SECCOMP_SET_MODE_FILTER),
            filter_flags(killably),
            &raw const program,
        )
    };
    checked(result).map(|fd| fd as RawFd)
}

fn filter_flags(killably: bool) -> libc::c_ulong {
    if killably {
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
    } else {
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER
    }
}

/// Whether the kernel lets a thread whose call has been taken be woken by no signal but a fatal one (Linux 5.19).
pub(crate) fn can_wait_killably() -> bool {
    // SAFETY: without a program nothing is installed: the flags are looked at first, then the missing program is a fault.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::c_ulong::from(libc::SECCOMP_SET_MODE_FILTER),
            filter_flags(true),
            std::ptr::null::<libc::sock_fprog>(),
        )
    };
    checked(result) == Err(Errno::FAULT)
}

/// A descriptor of one thread; of its whole process on kernels before 6.9, which share the descriptor table in all but rare
/// programs.
pub(crate) fn open_thread(tid: i32) -> Result<OwnedFd, Errno> {
    match open_thread_only(tid) {
        Err(Errno::INVAL) => open_pid(thread_group(tid)?, 0),
        result => result,
    }
}

/// A descriptor of one thread, where the kernel has them.
pub(crate) fn open_thread_only(tid: i32) -> Result<OwnedFd, Errno> {
    open_pid(tid, PIDFD_THREAD)
}

fn open_pid(pid: i32, flags: u32) -> Result<OwnedFd, Errno> {
    // SAFETY: pidfd_open takes two integers.
    let fd = checked(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, flags) })?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// The process a thread belongs to.
pub(crate) fn thread_group(tid: i32) -> Result<i32, Errno> {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).map_err(|_| Errno::SRCH)?;
    let group = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    group
        .and_then(|value| value.trim().parse().ok())
        .ok_or(Errno::SRCH)
}

/// Reads another process's memory; anything less than all of it is `EFAULT`.
pub(crate) fn read_memory(tid: i32, address: u64, into: &mut [u8]) -> Result<(), Errno> {
    if into.is_empty() {
        return Ok(());
    }
    let local = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let remote = libc::iovec {
        iov_base: address as *mut c_void,
        iov_len: into.len(),
    };
    // SAFETY: the local part is the whole of `into`; the kernel checks the remote part.
    let result =
        unsafe { libc::process_vm_readv(tid, &raw const local, 1, &raw const remote, 1, 0) };
    whole(result, into.len())
}

/// Writes another process's memory; anything less than all of it is `EFAULT`.
pub(crate) fn write_memory(tid: i32, address: u64, from: &[u8]) -> Result<(), Errno> {
    if from.is_empty() {
        return Ok(());
    }
    let local = libc::iovec {
        iov_base: from.as_ptr().cast_mut().cast(),
        iov_len: from.len(),
    };
    let remote = libc::iovec {
        iov_base: address as *mut c_void,
        iov_len: from.len(),
    };
    // SAFETY: the local part is the whole of `from`, which the kernel only reads; it checks the remote part.
    let result =
        unsafe { libc::process_vm_writev(tid, &raw const local, 1, &raw const remote, 1, 0) };
    whole(result, from.len())
}

fn whole(moved: isize, wanted: usize) -> Result<(), Errno> {
    match checked(moved as i64) {
        Ok(moved) if moved as usize == wanted => Ok(()),
        Ok(_) => Err(Errno::FAULT),
        Err(error) => Err(error),
    }
}

/// Something read from a datagram end without waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamped {
    /// Octets put into the buffer.
    pub(crate) len: usize,
    /// Octets of the whole message.
    pub(crate) full: usize,
    /// When it was queued, by the real-time clock, in nanoseconds.
    pub(crate) at: Option<i64>,
}

/// Receives a datagram and its time stamp without waiting. `peek` leaves it in the queue.
pub(crate) fn receive_stamped(
    fd: BorrowedFd<'_>,
    into: &mut [u8],
    peek: bool,
) -> Result<Stamped, Errno> {
    #[repr(C, align(8))]
    struct Control([u8; 64]);
    let mut control = Control([0; 64]);
    let mut data = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    // SAFETY: a `msghdr` of zeros is a valid one.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &raw mut data;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control.0) as _;
    let flags = libc::MSG_DONTWAIT
        | libc::MSG_TRUNC
        | libc::MSG_CMSG_CLOEXEC
        | if peek { libc::MSG_PEEK } else { 0 };
    // SAFETY: the header points at buffers of the lengths it says, which live until the call returns.
    let full =
        checked(unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, flags) } as i64)? as usize;
    let mut at = None;
    // SAFETY: the header is the kernel's, over a control buffer that is still here.
    let mut part = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    while !part.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR return null or a whole header inside the buffer.
        let (level, kind) = unsafe { ((*part).cmsg_level, (*part).cmsg_type) };
        if (level, kind) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
            // SAFETY: the kernel puts a timespec behind a header of this kind; it need not be aligned.
            let time = unsafe {
                libc::CMSG_DATA(part)
                    .cast::<libc::timespec>()
                    .read_unaligned()
            };
            at = Some(
                time.tv_sec
                    .saturating_mul(1_000_000_000)
                    .saturating_add(time.tv_nsec),
            );
        }
        // SAFETY: as above.
        part = unsafe { libc::CMSG_NXTHDR(&raw const header, part) };
    }
    Ok(Stamped {
        len: full.min(into.len()),
        full,
        at,
    })
}

/// Receives into two buffers in turn without waiting.
pub(crate) fn receive_two(
    fd: BorrowedFd<'_>,
    first: &mut [u8],
    second: &mut [u8],
) -> Result<usize, Errno> {
    let mut parts = [
        libc::iovec {
            iov_base: first.as_mut_ptr().cast(),
            iov_len: first.len(),
        },
        libc::iovec {
            iov_base: second.as_mut_ptr().cast(),
            iov_len: second.len(),
        },
    ];
    // SAFETY: a `msghdr` of zeros is a valid one.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = parts.as_mut_ptr();
    header.msg_iovlen = parts.len() as _;
    // SAFETY: the header points at buffers of the lengths it says, which live until the call returns. With no room for control
    // data the kernel closes descriptors that come along.
    checked(unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) } as i64)
        .map(|n| n as usize)
}

/// `SIOCATMARK` of <asm-generic/sockios.h>.
const SIOCATMARK: libc::c_ulong = 0x8905;

/// sockatmark(3).
pub(crate) fn at_mark(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut answer: libc::c_int = 0;
    // SAFETY: the kernel writes an int.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), SIOCATMARK as _, &raw mut answer) };
    checked(result.into()).map(|_| answer != 0)
}

/// The real-time clock in nanoseconds: the clock of [`Stamped::at`].
pub(crate) fn real_time() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(now.tv_nsec)
}

/// Sets a socket option to a C value.
pub(crate) fn set_option(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: &[u8],
) -> Result<(), Errno> {
    // SAFETY: the value is read, for its own length.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            value.as_ptr().cast(),
            value.len() as libc::socklen_t,
        )
    };
    checked(result.into()).map(drop)
}

/// Reads a socket option as its octets; returns how many there are.
pub(crate) fn option(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: &mut [u8],
) -> Result<usize, Errno> {
    let mut len = value.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` octets of the buffer.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            level,
            name,
            value.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    checked(result.into()).map(|_| len as usize)
}

/// A `timeval` option (`SO_RCVTIMEO`, `SO_SNDTIMEO`); zero is no limit.
pub(crate) fn option_time(fd: BorrowedFd<'_>, name: i32) -> Option<Duration> {
    let mut value = MaybeUninit::<libc::timeval>::zeroed();
    let mut len = size_of::<libc::timeval>() as libc::socklen_t;
    // SAFETY: the kernel writes at most a timeval.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            value.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    checked(result.into()).ok()?;
    // SAFETY: zeros are a valid timeval, and so is what the kernel wrote.
    let value = unsafe { value.assume_init() };
    let time = Duration::from_secs(value.tv_sec.try_into().ok()?)
        .saturating_add(Duration::from_micros(value.tv_usec.try_into().ok()?));
    (!time.is_zero()).then_some(time)
}

/// What sort of socket a descriptor is, if it is one: its domain.
pub(crate) fn socket_domain(fd: RawFd) -> Option<i32> {
    let (mut domain, mut len) = (0_i32, size_of::<i32>() as libc::socklen_t);
    // SAFETY: the kernel writes at most an int; a number that is no descriptor is an error.
    let result = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_DOMAIN,
            (&raw mut domain).cast(),
            &raw mut len,
        )
    };
    (result == 0).then_some(domain)
}

/// Octets that a socket's sender has in flight, by the kernel's own measure: zero says that all has been read.
pub(crate) fn unread_by_peer(fd: BorrowedFd<'_>) -> Result<usize, Errno> {
    let mut count: libc::c_int = 0;
    // SAFETY: the kernel writes an int.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) }.into())?;
    Ok(count.max(0) as usize)
}

/// Waits until a child has ended or stopped, and says which; its state is left to be taken.
pub(crate) fn changed_child() -> Result<i32, Errno> {
    let options = libc::WEXITED | libc::WSTOPPED | libc::WNOWAIT;
    // SAFETY: a `siginfo_t` of zeros is a valid one, and the kernel fills in one.
    let (result, info) = unsafe {
        let mut info = zeroed::<libc::siginfo_t>();
        (libc::waitid(libc::P_ALL, 0, &raw mut info, options), info)
    };
    checked(result.into())?;
    // SAFETY: waitid fills in the pid.
    Ok(unsafe { info.si_pid() })
}

/// A pid of the kernel's.
pub(crate) fn pid(raw: i32) -> Result<Pid, Errno> {
    Pid::from_raw(raw).ok_or(Errno::SRCH)
}

/// Sends a signal to one thread, if there still is one of that number.
pub(crate) fn signal(tid: i32, signal: i32) {
    // SAFETY: the call takes two numbers, and touches no memory.
    unsafe { libc::syscall(libc::SYS_tkill, tid, signal) };
}
