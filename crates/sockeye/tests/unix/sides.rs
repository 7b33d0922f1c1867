//! Two sides that take the same calls.

use bytes::Bytes;
use sockeye::unix::{Credentials, SocketAddr};
use sockeye::{Domain, MessageFlags, Node, PollFd, Readiness, Socket, Type, UnixSend, poll};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::mem::{MaybeUninit, offset_of, size_of, zeroed};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A name by its label; each run of a side has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Path(u8),
    Abstract(u8),
    /// Bind: find one.
    Auto,
}

/// What is sent beside the data.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beside {
    pub(crate) to: Option<Name>,
    pub(crate) flags: i32,
    pub(crate) objects: usize,
    /// SCM_CREDENTIALS, of the process itself.
    pub(crate) credentials: bool,
}

/// One side: what a call returns in words, or its errno.
pub(crate) trait Side {
    fn socket(&mut self, ty: i32) -> Result<usize, i32>;
    fn pair(&mut self, ty: i32) -> Result<(usize, usize), i32>;
    fn bind(&mut self, s: usize, name: Name) -> Result<(), i32>;
    fn listen(&mut self, s: usize, backlog: i32) -> Result<(), i32>;
    fn connect(&mut self, s: usize, name: Name) -> Result<(), i32>;
    fn disconnect(&mut self, s: usize) -> Result<(), i32>;
    fn accept(&mut self, s: usize) -> Result<(usize, String), i32>;
    fn send(&mut self, s: usize, data: &[u8], beside: Beside) -> Result<usize, i32>;
    fn recv(&mut self, s: usize, len: usize, flags: i32) -> Result<String, i32>;
    fn shutdown(&mut self, s: usize, how: i32) -> Result<(), i32>;
    fn close(&mut self, s: usize);
    fn poll(&mut self, s: usize) -> String;
    fn name(&mut self, s: usize) -> Result<String, i32>;
    fn peer_name(&mut self, s: usize) -> Result<String, i32>;
    fn set(&mut self, s: usize, option: i32, value: i32) -> Result<(), i32>;
    fn get(&mut self, s: usize, option: i32) -> Result<i32, i32>;
    fn peer_credentials(&mut self, s: usize) -> Result<String, i32>;
    fn queued(&mut self, s: usize) -> Result<(usize, usize), i32>;
    fn at_mark(&mut self, s: usize) -> Result<bool, i32>;
    fn set_blocking(&mut self, s: usize, blocking: bool);
    fn unlink(&mut self, path: u8) -> Result<(), i32>;
    fn is_open(&self, s: usize) -> bool;
}

/// How a process is told of itself.
fn whose(pid: i32, uid: u32, gid: u32) -> String {
    let own = (pid, uid, gid)
        == (
            std::process::id().cast_signed(),
            rustix::process::getuid().as_raw(),
            rustix::process::getgid().as_raw(),
        );
    match own {
        true => "ours".into(),
        false => format!("{pid}/{uid}/{gid}"),
    }
}

/// Long data by its length and sum.
fn show(data: &[u8]) -> String {
    if data.len() <= 32 {
        return format!("{:?}", String::from_utf8_lossy(data));
    }
    let sum = data.iter().fold(0_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(*byte))
    });
    format!("{} bytes #{sum:08x}", data.len())
}

struct Told {
    len: usize,
    data: Vec<u8>,
    from: String,
    flags: i32,
    objects: usize,
    credentials: Option<String>,
}

impl Told {
    fn text(&self) -> String {
        let mut text = format!("{} {}", self.len, show(&self.data));
        if self.from != "(unnamed)" {
            let _ = write!(text, " from {}", self.from);
        }
        if self.flags & libc::MSG_TRUNC != 0 {
            text.push_str(" TRUNC");
        }
        if self.flags & libc::MSG_OOB != 0 {
            text.push_str(" OOB");
        }
        if self.objects > 0 {
            let _ = write!(text, " +{} objects", self.objects);
        }
        if let Some(whose) = &self.credentials {
            let _ = write!(text, " whose {whose}");
        }
        text
    }
}

static RUNS: AtomicUsize = AtomicUsize::new(0);

/// The kernel's sockets.
pub(crate) struct Kernel {
    sockets: Vec<Option<OwnedFd>>,
    folder: PathBuf,
    run: usize,
    null: OwnedFd,
}

impl Kernel {
    pub(crate) fn new() -> Self {
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("sockeye-{}-{run}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            sockets: Vec::new(),
            folder,
            run,
            null: std::fs::File::open("/dev/null").unwrap().into(),
        }
    }

    fn fd(&self, s: usize) -> RawFd {
        self.sockets[s].as_ref().map_or(-1, |fd| fd.as_raw_fd())
    }

    fn keep(&mut self, fd: RawFd) -> usize {
        // SAFETY: the kernel has just made it, and nobody else knows it.
        self.sockets.push(Some(unsafe { OwnedFd::from_raw_fd(fd) }));
        self.sockets.len() - 1
    }

    fn address(&self, name: Name) -> (libc::sockaddr_un, libc::socklen_t) {
        // SAFETY: all zeroes are an address.
        let mut address: libc::sockaddr_un = unsafe { zeroed() };
        address.sun_family = libc::AF_UNIX as libc::sa_family_t;
        let bytes = match name {
            Name::Path(n) => {
                let path = self.folder.join(n.to_string());
                [path.as_os_str().as_encoded_bytes(), &[0]].concat()
            }
            Name::Abstract(n) => {
                let pid = std::process::id();
                [&[0], format!("sockeye/{pid}/{}/{n}", self.run).as_bytes()].concat()
            }
            Name::Auto => Vec::new(),
        };
        for (to, from) in address.sun_path.iter_mut().zip(&bytes) {
            *to = *from as libc::c_char;
        }
        let len = offset_of!(libc::sockaddr_un, sun_path) + bytes.len();
        (address, len as libc::socklen_t)
    }

    fn label(&self, address: &libc::sockaddr_un, len: libc::socklen_t) -> String {
        let len = (len as usize).saturating_sub(offset_of!(libc::sockaddr_un, sun_path));
        let bytes: Vec<u8> = address.sun_path.iter().map(|c| *c as u8).collect();
        let bytes = &bytes[..len.min(bytes.len())];
        match bytes {
            [] => "(unnamed)".into(),
            [0, name @ ..] => abstract_label(name),
            path => {
                let end = path.iter().position(|b| *b == 0).unwrap_or(path.len());
                let path = String::from_utf8_lossy(&path[..end]).into_owned();
                format!("path {}", path.rsplit('/').next().unwrap_or_default())
            }
        }
    }

    fn named(
        &self,
        s: usize,
        call: unsafe extern "C" fn(RawFd, *mut libc::sockaddr, *mut libc::socklen_t) -> i32,
    ) -> Result<String, i32> {
        // SAFETY: all zeroes are an address.
        let mut address: libc::sockaddr_un = unsafe { zeroed() };
        let mut len = size_of::<libc::sockaddr_un>() as libc::socklen_t;
        // SAFETY: address and length are as the call wants them.
        let done = unsafe { call(self.fd(s), (&raw mut address).cast(), &raw mut len) };
        result(done)?;
        Ok(self.label(&address, len))
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn abstract_label(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name).into_owned();
    if name.len() == 5 && name.iter().all(u8::is_ascii_hexdigit) {
        return "auto".into();
    }
    format!("abstract {}", text.rsplit('/').next().unwrap_or_default())
}

fn result(done: i32) -> Result<i32, i32> {
    match done {
        -1 => Err(io::Error::last_os_error().raw_os_error().unwrap()),
        done => Ok(done),
    }
}

impl Side for Kernel {
    fn socket(&mut self, ty: i32) -> Result<usize, i32> {
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: plain numbers.
        let fd = result(unsafe { libc::socket(libc::AF_UNIX, ty | flags, 0) })?;
        Ok(self.keep(fd))
    }

    fn pair(&mut self, ty: i32) -> Result<(usize, usize), i32> {
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        let mut fds = [0; 2];
        // SAFETY: there is room for two.
        result(unsafe { libc::socketpair(libc::AF_UNIX, ty | flags, 0, fds.as_mut_ptr()) })?;
        Ok((self.keep(fds[0]), self.keep(fds[1])))
    }

    fn bind(&mut self, s: usize, name: Name) -> Result<(), i32> {
        let (address, len) = self.address(name);
        // SAFETY: an address and its length.
        result(unsafe { libc::bind(self.fd(s), (&raw const address).cast(), len) }).map(|_| ())
    }

    fn listen(&mut self, s: usize, backlog: i32) -> Result<(), i32> {
        // SAFETY: plain numbers.
        result(unsafe { libc::listen(self.fd(s), backlog) }).map(|_| ())
    }

    fn connect(&mut self, s: usize, name: Name) -> Result<(), i32> {
        let (address, len) = self.address(name);
        // SAFETY: an address and its length.
        result(unsafe { libc::connect(self.fd(s), (&raw const address).cast(), len) }).map(|_| ())
    }

    fn disconnect(&mut self, s: usize) -> Result<(), i32> {
        // SAFETY: all zeroes are an address: AF_UNSPEC.
        let address: libc::sockaddr_un = unsafe { zeroed() };
        let len = size_of::<libc::sockaddr_un>() as libc::socklen_t;
        // SAFETY: an address and its length.
        result(unsafe { libc::connect(self.fd(s), (&raw const address).cast(), len) }).map(|_| ())
    }

    fn accept(&mut self, s: usize) -> Result<(usize, String), i32> {
        // SAFETY: all zeroes are an address.
        let mut address: libc::sockaddr_un = unsafe { zeroed() };
        let mut len = size_of::<libc::sockaddr_un>() as libc::socklen_t;
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: room for an address and its length.
        let fd = result(unsafe {
            libc::accept4(self.fd(s), (&raw mut address).cast(), &raw mut len, flags)
        })?;
        let label = self.label(&address, len);
        Ok((self.keep(fd), label))
    }

    fn send(&mut self, s: usize, data: &[u8], beside: Beside) -> Result<usize, i32> {
        let (mut address, len) = self.address(beside.to.unwrap_or(Name::Auto));
        let mut piece = libc::iovec {
            iov_base: data.as_ptr().cast_mut().cast(),
            iov_len: data.len(),
        };
        let mut control = Vec::new();
        if beside.objects > 0 {
            let fds = vec![self.null.as_raw_fd().to_ne_bytes(); beside.objects].concat();
            control.extend(cmsg(libc::SCM_RIGHTS, &fds));
        }
        if beside.credentials {
            let words = [
                std::process::id(),
                rustix::process::getuid().as_raw(),
                rustix::process::getgid().as_raw(),
            ];
            control.extend(cmsg(
                libc::SCM_CREDENTIALS,
                &words.map(u32::to_ne_bytes).concat(),
            ));
        }
        // SAFETY: all zeroes are an empty header.
        let mut header: libc::msghdr = unsafe { zeroed() };
        if beside.to.is_some() {
            header.msg_name = (&raw mut address).cast();
            header.msg_namelen = len;
        }
        header.msg_iov = &raw mut piece;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = control.len();
        let flags = beside.flags | libc::MSG_NOSIGNAL;
        // SAFETY: every pointer of the header lives until the call returns.
        let sent = unsafe { libc::sendmsg(self.fd(s), &raw const header, flags) };
        result(sent as i32).map(|n| n as usize)
    }

    fn recv(&mut self, s: usize, len: usize, flags: i32) -> Result<String, i32> {
        let mut data = vec![0; len];
        // SAFETY: all zeroes are an address.
        let mut address: libc::sockaddr_un = unsafe { zeroed() };
        let mut piece = libc::iovec {
            iov_base: data.as_mut_ptr().cast(),
            iov_len: len,
        };
        let mut control: [MaybeUninit<u64>; 256] = [MaybeUninit::uninit(); 256];
        // SAFETY: all zeroes are an empty header.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_name = (&raw mut address).cast();
        header.msg_namelen = size_of::<libc::sockaddr_un>() as libc::socklen_t;
        header.msg_iov = &raw mut piece;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control);
        let flags = flags | libc::MSG_CMSG_CLOEXEC;
        // SAFETY: every pointer of the header lives until the call returns.
        let got = unsafe { libc::recvmsg(self.fd(s), &raw mut header, flags) };
        let got = result(got as i32)? as usize;
        let (mut objects, mut credentials) = (0, None);
        // SAFETY: the kernel has filled the header.
        let mut at = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
        while !at.is_null() {
            // SAFETY: it points into the control buffer, at a whole message.
            let (kind, len, body) =
                unsafe { ((*at).cmsg_type, (*at).cmsg_len, libc::CMSG_DATA(at)) };
            // SAFETY: plain arithmetic.
            let room = len - unsafe { libc::CMSG_LEN(0) } as usize;
            if kind == libc::SCM_RIGHTS {
                for n in 0..room / 4 {
                    objects += 1;
                    // SAFETY: a descriptor that was just passed to us.
                    drop(unsafe {
                        OwnedFd::from_raw_fd(body.cast::<RawFd>().add(n).read_unaligned())
                    });
                }
            } else if kind == libc::SCM_CREDENTIALS {
                // SAFETY: three words.
                let who = unsafe { body.cast::<libc::ucred>().read_unaligned() };
                credentials = Some(whose(who.pid, who.uid, who.gid));
            }
            // SAFETY: as above.
            at = unsafe { libc::CMSG_NXTHDR(&raw const header, at) };
        }
        data.truncate(got.min(len));
        Ok(Told {
            len: got,
            data,
            from: self.label(&address, header.msg_namelen),
            flags: header.msg_flags,
            objects,
            credentials,
        }
        .text())
    }

    fn shutdown(&mut self, s: usize, how: i32) -> Result<(), i32> {
        // SAFETY: plain numbers.
        result(unsafe { libc::shutdown(self.fd(s), how) }).map(|_| ())
    }

    fn close(&mut self, s: usize) {
        self.sockets[s] = None;
    }

    fn poll(&mut self, s: usize) -> String {
        let events = libc::POLLIN | libc::POLLOUT | libc::POLLPRI | libc::POLLRDHUP;
        let mut fd = libc::pollfd {
            fd: self.fd(s),
            events,
            revents: 0,
        };
        // SAFETY: one pollfd.
        result(unsafe { libc::poll(&raw mut fd, 1, 0) }).unwrap();
        let bits = [
            (libc::POLLIN, "I"),
            (libc::POLLPRI, "P"),
            (libc::POLLOUT, "O"),
            (libc::POLLERR, "E"),
            (libc::POLLHUP, "H"),
            (libc::POLLRDHUP, "R"),
        ];
        let bits = bits.iter().filter(|(bit, _)| fd.revents & bit != 0);
        bits.map(|(_, name)| *name).collect()
    }

    fn name(&mut self, s: usize) -> Result<String, i32> {
        self.named(s, libc::getsockname)
    }

    fn peer_name(&mut self, s: usize) -> Result<String, i32> {
        self.named(s, libc::getpeername)
    }

    fn set(&mut self, s: usize, option: i32, value: i32) -> Result<(), i32> {
        // SAFETY: an int and its length.
        result(unsafe {
            libc::setsockopt(
                self.fd(s),
                libc::SOL_SOCKET,
                option,
                (&raw const value).cast(),
                4,
            )
        })
        .map(|_| ())
    }

    fn get(&mut self, s: usize, option: i32) -> Result<i32, i32> {
        let (mut value, mut len) = (0_i32, 4);
        // SAFETY: an int and its length.
        result(unsafe {
            libc::getsockopt(
                self.fd(s),
                libc::SOL_SOCKET,
                option,
                (&raw mut value).cast(),
                &raw mut len,
            )
        })?;
        Ok(value)
    }

    fn peer_credentials(&mut self, s: usize) -> Result<String, i32> {
        // SAFETY: all zeroes are one.
        let (mut who, mut len): (libc::ucred, _) = unsafe { (zeroed(), 12) };
        // SAFETY: a ucred and its length.
        result(unsafe {
            libc::getsockopt(
                self.fd(s),
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                (&raw mut who).cast(),
                &raw mut len,
            )
        })?;
        Ok(whose(who.pid, who.uid, who.gid))
    }

    fn queued(&mut self, s: usize) -> Result<(usize, usize), i32> {
        let mut queued = [0_i32; 2];
        for (request, to) in [libc::FIONREAD, libc::TIOCOUTQ]
            .into_iter()
            .zip(&mut queued)
        {
            // SAFETY: room for an int.
            result(unsafe { libc::ioctl(self.fd(s), request, std::ptr::from_mut(to)) })?;
        }
        Ok((queued[0] as usize, queued[1] as usize))
    }

    fn at_mark(&mut self, s: usize) -> Result<bool, i32> {
        const SIOCATMARK: libc::c_ulong = 0x8905;
        let mut mark = 0_i32;
        // SAFETY: room for an int.
        result(unsafe { libc::ioctl(self.fd(s), SIOCATMARK as _, &raw mut mark) })?;
        Ok(mark != 0)
    }

    fn set_blocking(&mut self, s: usize, blocking: bool) {
        let mut nonblocking = i32::from(!blocking);
        // SAFETY: an int.
        unsafe { libc::ioctl(self.fd(s), libc::FIONBIO, &raw mut nonblocking) };
    }

    fn unlink(&mut self, path: u8) -> Result<(), i32> {
        let done = std::fs::remove_file(self.folder.join(path.to_string()));
        done.map_err(|error| error.raw_os_error().unwrap())
    }

    fn is_open(&self, s: usize) -> bool {
        self.sockets.get(s).is_some_and(Option::is_some)
    }
}

/// A control message in whole words.
fn cmsg(kind: i32, body: &[u8]) -> Vec<u8> {
    let len = size_of::<libc::cmsghdr>() + body.len();
    let mut bytes = len.to_ne_bytes().to_vec();
    bytes.extend(libc::SOL_SOCKET.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(size_of::<usize>()), 0);
    bytes
}

/// A node's.
pub(crate) struct Ours {
    node: Node,
    sockets: Vec<Option<Socket>>,
    object: Arc<u64>,
}

impl Ours {
    pub(crate) fn new() -> Self {
        // The kernel of this machine may have other limits than stock ones.
        let config = sockeye::Config {
            wmem: (limit("wmem_default"), limit("wmem_max")),
            rmem: (limit("rmem_default"), limit("rmem_max")),
            ..sockeye::Config::default()
        };
        Self {
            node: Node::builder().config(config).build().unwrap(),
            sockets: Vec::new(),
            object: Arc::new(7),
        }
    }

    fn socket_at(&self, s: usize) -> &Socket {
        self.sockets[s].as_ref().expect("an open socket")
    }

    fn keep(&mut self, socket: Socket) -> usize {
        socket.set_nonblocking(true).unwrap();
        self.sockets.push(Some(socket));
        self.sockets.len() - 1
    }
}

fn limit(name: &str) -> usize {
    let text = std::fs::read_to_string(format!("/proc/sys/net/core/{name}")).unwrap();
    text.trim().parse().unwrap()
}

fn address(name: Name) -> SocketAddr {
    match name {
        Name::Path(n) => SocketAddr::from_pathname(format!("/run/{n}")).unwrap(),
        Name::Abstract(n) => SocketAddr::from_abstract_name(format!("x/{n}")).unwrap(),
        Name::Auto => SocketAddr::unnamed(),
    }
}

fn label(address: &SocketAddr) -> String {
    if let Some(path) = address.as_pathname() {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        return format!("path {file}");
    }
    match address.as_abstract_name() {
        Some(name) => abstract_label(name),
        None => "(unnamed)".into(),
    }
}

fn errno(error: io::Error) -> i32 {
    error.raw_os_error().expect("an errno")
}

impl Side for Ours {
    fn socket(&mut self, ty: i32) -> Result<usize, i32> {
        let socket = Socket::new_on(&self.node, Domain::UNIX, Type::from(ty), None);
        Ok(self.keep(socket.map_err(errno)?))
    }

    fn pair(&mut self, ty: i32) -> Result<(usize, usize), i32> {
        let (one, other) = Socket::pair_on(&self.node, Type::from(ty)).map_err(errno)?;
        Ok((self.keep(one), self.keep(other)))
    }

    fn bind(&mut self, s: usize, name: Name) -> Result<(), i32> {
        self.socket_at(s).bind_unix(&address(name)).map_err(errno)
    }

    fn listen(&mut self, s: usize, backlog: i32) -> Result<(), i32> {
        self.socket_at(s).listen(backlog).map_err(errno)
    }

    fn connect(&mut self, s: usize, name: Name) -> Result<(), i32> {
        self.socket_at(s)
            .connect_unix(&address(name))
            .map_err(errno)
    }

    fn disconnect(&mut self, s: usize) -> Result<(), i32> {
        self.socket_at(s).disconnect().map_err(errno)
    }

    fn accept(&mut self, s: usize) -> Result<(usize, String), i32> {
        let (socket, peer) = self.socket_at(s).accept_unix().map_err(errno)?;
        Ok((self.keep(socket), label(&peer)))
    }

    fn send(&mut self, s: usize, data: &[u8], beside: Beside) -> Result<usize, i32> {
        let to = beside.to.map(address);
        let objects = (0..beside.objects).map(|_| self.object.clone() as _);
        let credentials = beside.credentials.then(|| Credentials {
            pid: std::process::id().cast_signed(),
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
        });
        let message = UnixSend {
            to: to.as_ref(),
            data: Bytes::copy_from_slice(data),
            objects: objects.collect(),
            credentials,
            flags: MessageFlags::from_bits_retain(beside.flags),
        };
        self.socket_at(s).send_unix(message).map_err(errno)
    }

    fn recv(&mut self, s: usize, len: usize, flags: i32) -> Result<String, i32> {
        let flags = MessageFlags::from_bits_retain(flags);
        let message = self.socket_at(s).recv_unix(len, flags).map_err(errno)?;
        let mut data = vec![0; len];
        let filled = message.copy_to(&mut data);
        data.truncate(filled);
        for object in &message.objects {
            assert_eq!(object.downcast_ref::<u64>(), Some(&7));
        }
        let whole = flags.contains(MessageFlags::TRUNCATE);
        Ok(Told {
            len: if whole { message.full_len } else { message.len },
            data,
            from: label(&message.from),
            flags: message.flags.bits(),
            objects: message.objects.len(),
            credentials: message.credentials.map(|c| whose(c.pid, c.uid, c.gid)),
        }
        .text())
    }

    fn shutdown(&mut self, s: usize, how: i32) -> Result<(), i32> {
        let how = match how {
            libc::SHUT_RD => std::net::Shutdown::Read,
            libc::SHUT_WR => std::net::Shutdown::Write,
            _ => std::net::Shutdown::Both,
        };
        self.socket_at(s).shutdown(how).map_err(errno)
    }

    fn close(&mut self, s: usize) {
        self.sockets[s] = None;
    }

    fn poll(&mut self, s: usize) -> String {
        let mut fds = [PollFd::new(self.socket_at(s), Readiness::all())];
        poll(&mut fds, Some(Duration::ZERO)).unwrap();
        let bits = [
            (Readiness::READABLE, "I"),
            (Readiness::PRIORITY, "P"),
            (Readiness::WRITABLE, "O"),
            (Readiness::ERROR, "E"),
            (Readiness::HANGUP, "H"),
            (Readiness::READ_CLOSED, "R"),
        ];
        let bits = bits
            .iter()
            .filter(|(bit, _)| fds[0].revents().contains(*bit));
        bits.map(|(_, name)| *name).collect()
    }

    fn name(&mut self, s: usize) -> Result<String, i32> {
        let name = self.socket_at(s).unix_addr().map_err(errno)?;
        Ok(label(&name))
    }

    fn peer_name(&mut self, s: usize) -> Result<String, i32> {
        let name = self.socket_at(s).unix_peer_addr().map_err(errno)?;
        Ok(label(&name))
    }

    fn set(&mut self, s: usize, option: i32, value: i32) -> Result<(), i32> {
        let value = value.to_ne_bytes();
        let done = self
            .socket_at(s)
            .set_option_raw(libc::SOL_SOCKET, option, &value);
        done.map_err(errno)
    }

    fn get(&mut self, s: usize, option: i32) -> Result<i32, i32> {
        let mut value = [0; 4];
        let got = self
            .socket_at(s)
            .option_raw(libc::SOL_SOCKET, option, &mut value);
        got.map_err(errno)?;
        Ok(i32::from_ne_bytes(value))
    }

    fn peer_credentials(&mut self, s: usize) -> Result<String, i32> {
        let mut who = [0; 12];
        let got = self
            .socket_at(s)
            .option_raw(libc::SOL_SOCKET, libc::SO_PEERCRED, &mut who);
        got.map_err(errno)?;
        let word = |n: usize| u32::from_ne_bytes(who[4 * n..4 * n + 4].try_into().unwrap());
        Ok(whose(word(0).cast_signed(), word(1), word(2)))
    }

    fn queued(&mut self, s: usize) -> Result<(usize, usize), i32> {
        self.socket_at(s).unix_queued().map_err(errno)
    }

    fn at_mark(&mut self, s: usize) -> Result<bool, i32> {
        self.socket_at(s).at_mark().map_err(errno)
    }

    fn set_blocking(&mut self, s: usize, blocking: bool) {
        self.socket_at(s).set_nonblocking(!blocking).unwrap();
    }

    fn unlink(&mut self, path: u8) -> Result<(), i32> {
        self.node.unlink_unix(format!("/run/{path}")).map_err(errno)
    }

    fn is_open(&self, s: usize) -> bool {
        self.sockets.get(s).is_some_and(Option::is_some)
    }
}

/// A side, and all that its calls returned.
pub(crate) struct Trace {
    side: Box<dyn Side>,
    pub(crate) log: Vec<String>,
}

/// Calls by name: each writes what it returned into the log.
impl Trace {
    pub(crate) fn new(side: impl Side + 'static) -> Self {
        Self {
            side: Box::new(side),
            log: Vec::new(),
        }
    }

    fn note<T>(
        &mut self,
        call: String,
        result: Result<T, i32>,
        show: impl Fn(&T) -> String,
    ) -> Option<T> {
        let text = match &result {
            Ok(value) => show(value),
            Err(errno) => io::Error::from_raw_os_error(*errno).to_string(),
        };
        self.log.push(format!("{call} = {text}"));
        result.ok()
    }

    pub(crate) fn socket(&mut self, ty: i32) -> usize {
        let made = self.side.socket(ty);
        self.note(format!("socket({ty})"), made, usize::to_string)
            .unwrap()
    }

    pub(crate) fn pair(&mut self, ty: i32) -> (usize, usize) {
        let made = self.side.pair(ty);
        self.note(format!("pair({ty})"), made, |pair| format!("{pair:?}"))
            .unwrap()
    }

    pub(crate) fn bind(&mut self, s: usize, name: Name) {
        let done = self.side.bind(s, name);
        self.note(format!("bind({s}, {name:?})"), done, |()| "ok".into());
    }

    pub(crate) fn listen(&mut self, s: usize, backlog: i32) {
        let done = self.side.listen(s, backlog);
        self.note(format!("listen({s}, {backlog})"), done, |()| "ok".into());
    }

    pub(crate) fn connect(&mut self, s: usize, name: Name) {
        let done = self.side.connect(s, name);
        self.note(format!("connect({s}, {name:?})"), done, |()| "ok".into());
    }

    pub(crate) fn disconnect(&mut self, s: usize) {
        let done = self.side.disconnect(s);
        self.note(format!("disconnect({s})"), done, |()| "ok".into());
    }

    pub(crate) fn accept(&mut self, s: usize) -> Option<usize> {
        let done = self.side.accept(s);
        let call = format!("accept({s})");
        self.note(call, done, |made| format!("{made:?}"))
            .map(|made| made.0)
    }

    pub(crate) fn send(&mut self, s: usize, data: &[u8]) -> Option<usize> {
        self.send_with(s, data, Beside::default())
    }

    pub(crate) fn send_to(&mut self, s: usize, data: &[u8], to: Name) -> Option<usize> {
        let beside = Beside {
            to: Some(to),
            ..Beside::default()
        };
        self.send_with(s, data, beside)
    }

    pub(crate) fn send_with(&mut self, s: usize, data: &[u8], beside: Beside) -> Option<usize> {
        let done = self.side.send(s, data, beside);
        let call = format!("send({s}, {}, {beside:?})", show(data));
        self.note(call, done, usize::to_string)
    }

    pub(crate) fn recv(&mut self, s: usize, len: usize, flags: i32) -> bool {
        let done = self.side.recv(s, len, flags);
        self.note(format!("recv({s}, {len}, {flags:#x})"), done, String::clone)
            .is_some()
    }

    pub(crate) fn shutdown(&mut self, s: usize, how: i32) {
        let done = self.side.shutdown(s, how);
        self.note(format!("shutdown({s}, {how})"), done, |()| "ok".into());
    }

    pub(crate) fn close(&mut self, s: usize) {
        self.side.close(s);
        self.log.push(format!("close({s})"));
    }

    pub(crate) fn poll(&mut self, s: usize) -> String {
        let bits = self.side.poll(s);
        self.log.push(format!("poll({s}) = {bits}"));
        bits
    }

    pub(crate) fn names(&mut self, s: usize) {
        let name = self.side.name(s);
        self.note(format!("getsockname({s})"), name, String::clone);
        let peer = self.side.peer_name(s);
        self.note(format!("getpeername({s})"), peer, String::clone);
        let peer = self.side.peer_credentials(s);
        self.note(format!("SO_PEERCRED({s})"), peer, String::clone);
    }

    pub(crate) fn set(&mut self, s: usize, option: i32, value: i32) {
        let done = self.side.set(s, option, value);
        self.note(format!("setsockopt({s}, {option}, {value})"), done, |()| {
            "ok".into()
        });
    }

    pub(crate) fn get(&mut self, s: usize, option: i32) {
        let got = self.side.get(s, option);
        self.note(format!("getsockopt({s}, {option})"), got, i32::to_string);
    }

    pub(crate) fn queued(&mut self, s: usize) {
        let got = self.side.queued(s);
        self.note(format!("queued({s})"), got, |q| format!("{q:?}"));
    }

    pub(crate) fn at_mark(&mut self, s: usize) {
        let got = self.side.at_mark(s);
        self.note(format!("at_mark({s})"), got, bool::to_string);
    }

    pub(crate) fn set_blocking(&mut self, s: usize, blocking: bool) {
        self.side.set_blocking(s, blocking);
    }

    pub(crate) fn unlink(&mut self, path: u8) {
        let done = self.side.unlink(path);
        self.note(format!("unlink({path})"), done, |()| "ok".into());
    }

    pub(crate) fn is_open(&self, s: usize) -> bool {
        self.side.is_open(s)
    }
}

/// Plays `case` on both sides: every call has to have returned the same.
pub(crate) fn same(case: impl Fn(&mut Trace)) {
    let mut kernel = Trace::new(Kernel::new());
    case(&mut kernel);
    let mut ours = Trace::new(Ours::new());
    case(&mut ours);
    compare(&kernel.log, &ours.log);
}

pub(crate) fn compare(kernel: &[String], ours: &[String]) {
    let mut text = String::new();
    for (n, (kernel, ours)) in kernel.iter().zip(ours).enumerate() {
        if kernel == ours {
            let _ = writeln!(text, "  {kernel}");
            continue;
        }
        let _ = writeln!(text, "- {kernel}\n+ {ours}");
        panic!("call {n} differs: - the kernel, + ours\n{text}");
    }
    assert_eq!(kernel.len(), ours.len());
}

/// What a table of cases is.
pub(crate) type Case = (&'static str, fn(&mut Trace));

/// Plays all, and says which differ.
pub(crate) fn all_same(cases: &[Case]) {
    let mut wrong = BTreeMap::new();
    for (name, case) in cases {
        let played = std::panic::catch_unwind(|| same(case));
        if let Err(panic) = played {
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            wrong.insert(*name, text);
        }
    }
    let text = wrong.iter().fold(String::new(), |mut text, (name, what)| {
        let _ = writeln!(text, "{name}: {what}");
        text
    });
    assert!(
        wrong.is_empty(),
        "{} of {} differ\n{text}",
        wrong.len(),
        cases.len()
    );
}
