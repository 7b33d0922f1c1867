//! The host kernel's own sockets as a node, so that the supervisor can be proven apart from it: what a program sees under `run`
//! must be what it sees without.

use crate::reactor::Reactor;
use rustix::event::epoll::EventFlags;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    self, AddressFamily, Protocol, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType,
};
use sockeye_run::backend::{Backend, Domain, Errno, NodeSocket, Piece, Received, Reported, Type};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Mutex;
use std::task::{Context, Poll, ready};

pub(crate) struct Kernel;

pub(crate) struct Socket {
    fd: OwnedFd,
    connecting_to: Mutex<Option<SocketAddr>>,
}

impl Backend for Kernel {
    type Socket = Socket;

    fn socket(&self, domain: Domain, ty: Type, protocol: i32) -> Result<Socket, Errno> {
        let family = match domain {
            Domain::Ipv4 => AddressFamily::INET,
            Domain::Ipv6 => AddressFamily::INET6,
        };
        let ty = SocketType::from_raw(ty.number() as u32);
        let protocol = (protocol as u32).try_into().ok().map(Protocol::from_raw);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        Ok(Socket::from(net::socket_with(family, ty, flags, protocol)?))
    }
}

impl From<OwnedFd> for Socket {
    fn from(fd: OwnedFd) -> Self {
        Self {
            fd,
            connecting_to: Mutex::new(None),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        Reactor::reading().forget(&self.fd);
        Reactor::writing().forget(&self.fd);
    }
}

impl Socket {
    fn poll_in<T>(
        &self,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut() -> Result<T, Errno>,
    ) -> Poll<Result<T, Errno>> {
        let first = loop {
            match attempt() {
                Err(Errno::INTR) => {}
                first => break first,
            }
        };
        match first {
            Err(Errno::AGAIN) => Reactor::reading().wake(&self.fd, EventFlags::IN, cx.waker()),
            result => return Poll::Ready(result),
        }
        Poll::Pending
    }

    fn poll_out<T>(
        &self,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut() -> Result<T, Errno>,
    ) -> Poll<Result<T, Errno>> {
        match attempt() {
            Err(Errno::AGAIN) => Reactor::writing().wake(&self.fd, EventFlags::OUT, cx.waker()),
            result => return Poll::Ready(result),
        }
        Poll::Pending
    }
}

fn internet(address: SocketAddrAny) -> SocketAddr {
    address.try_into().unwrap()
}

impl NodeSocket for Socket {
    fn bind(&self, address: SocketAddr) -> Result<(), Errno> {
        net::bind(&self.fd, &address)
    }

    fn listen(&self, backlog: i32) -> Result<(), Errno> {
        net::listen(&self.fd, backlog)
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<(Self, SocketAddr), Errno>> {
        let accept =
            || net::acceptfrom_with(&self.fd, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK);
        let (fd, peer) = ready!(self.poll_in(cx, accept))?;
        Poll::Ready(Ok((fd.into(), internet(peer.unwrap()))))
    }

    fn connect_start(&self, address: SocketAddr) -> Result<(), Errno> {
        *self.connecting_to.lock().unwrap() = Some(address);
        net::connect(&self.fd, &address)
    }

    fn poll_connect(&self, cx: &mut Context<'_>) -> Poll<Result<(), Errno>> {
        self.poll_out(cx, || {
            let mut fds = [PollFd::new(&self.fd, PollFlags::OUT)];
            match poll(
                &mut fds,
                Some(&Timespec {
                    tv_sec: 0,
                    tv_nsec: 0,
                }),
            )? {
                0 => Err(Errno::AGAIN),
                // Asked a second time, connect(2) tells what came of it, and may be asked anew after a failure.
                _ => net::connect(&self.fd, &self.connecting_to.lock().unwrap().unwrap()),
            }
        })
    }

    fn disconnect(&self) -> Result<(), Errno> {
        net::connect_unspec(&self.fd)
    }

    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<Piece, Errno>> {
        self.poll_in(cx, || {
            // In this order: what arrives in between does not point at what waits already.
            let waiting = rustix::io::ioctl_fionread(&self.fd)? > 0;
            let urgent = waiting && at_mark(&self.fd)?;
            let room = if urgent { 1 } else { buffer.len() };
            if !waiting {
                // The end, an error, or nothing: a peek tells, and takes nothing that came since.
                return match net::recv(&self.fd, &mut [0], RecvFlags::PEEK)? {
                    (0, _) => Ok(Piece { len: 0, urgent }),
                    _ => Err(Errno::INTR),
                };
            }
            let (len, _) = net::recv(&self.fd, &mut buffer[..room], RecvFlags::empty())?;
            Ok(Piece { len, urgent })
        })
    }

    fn poll_failure(&self, cx: &mut Context<'_>) -> Poll<Errno> {
        let mut fds = [PollFd::new(&self.fd, PollFlags::empty())];
        let _ = poll(
            &mut fds,
            Some(&Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            }),
        );
        if fds[0].revents().contains(PollFlags::ERR) {
            return Poll::Ready(self.take_error().unwrap_or(Errno::PIPE));
        }
        Reactor::reading().wake(&self.fd, EventFlags::empty(), cx.waker());
        Poll::Pending
    }

    fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Errno>> {
        self.poll_out(cx, || net::send(&self.fd, data, SendFlags::NOSIGNAL))
    }

    fn poll_write_urgent(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Errno>> {
        let flags = SendFlags::NOSIGNAL | SendFlags::OOB;
        self.poll_out(cx, || net::send(&self.fd, data, flags))
    }

    fn try_send_to(&self, data: &[u8], to: Option<SocketAddr>) -> Result<usize, Errno> {
        match to {
            Some(to) => net::sendto(&self.fd, data, SendFlags::NOSIGNAL, &to),
            None => net::send(&self.fd, data, SendFlags::NOSIGNAL),
        }
    }

    fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        data: &[u8],
        to: Option<SocketAddr>,
    ) -> Poll<Result<usize, Errno>> {
        self.poll_out(cx, || self.try_send_to(data, to))
    }

    fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<Received, Errno>> {
        self.poll_in(cx, || {
            let (len, _, source) = net::recvfrom(&self.fd, &mut *buffer, RecvFlags::empty())?;
            let source = internet(source.ok_or(Errno::NOTCONN)?);
            Ok(Received::of(len, Some(source)))
        })
    }

    fn take_report(&self, buffer: &mut [u8]) -> Result<Reported, Errno> {
        let mut control = [0_u64; 64];
        let mut name = [0_u8; 28];
        let mut data = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        // SAFETY: a `msghdr` of zeros is a valid one.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = &raw mut data;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control) as _;
        header.msg_name = name.as_mut_ptr().cast();
        header.msg_namelen = name.len() as u32;
        // SAFETY: the header points at buffers of the lengths it says, which live until the call returns.
        let len =
            unsafe { libc::recvmsg(self.fd.as_raw_fd(), &raw mut header, libc::MSG_ERRQUEUE) };
        checked(len.min(0) as i32)?;
        let mut told = Vec::new();
        // SAFETY: the header is the kernel's, over a control buffer that is still here; what lies behind each part's header is as
        // long as it says.
        unsafe {
            let mut part = libc::CMSG_FIRSTHDR(&raw const header);
            while !part.is_null() {
                let len = (*part).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let value = std::slice::from_raw_parts(libc::CMSG_DATA(part), len).to_vec();
                told.push(((*part).cmsg_level, (*part).cmsg_type, value));
                part = libc::CMSG_NXTHDR(&raw const header, part);
            }
        }
        Ok(Reported {
            len: len as usize,
            destination: address(&name[..header.msg_namelen as usize]),
            control: told,
        })
    }

    fn has_reports(&self) -> bool {
        let mut fds = [PollFd::new(&self.fd, PollFlags::empty())];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().contains(PollFlags::ERR)
    }

    fn shutdown(&self, how: Shutdown) -> Result<(), Errno> {
        let how = match how {
            Shutdown::Read => net::Shutdown::Read,
            Shutdown::Write => net::Shutdown::Write,
            Shutdown::Both => net::Shutdown::Both,
        };
        net::shutdown(&self.fd, how)
    }

    fn abort(&self) {
        let _ = net::connect_unspec(&self.fd);
    }

    fn take_error(&self) -> Option<Errno> {
        net::sockopt::socket_error(&self.fd).ok()?.err()
    }

    fn local_addr(&self) -> Result<SocketAddr, Errno> {
        net::getsockname(&self.fd).map(internet)
    }

    fn connection(&self) -> Option<[u32; 2]> {
        // The kernel does not tell, and does not use a port again soon.
        Some([0; 2])
    }

    fn peer_addr(&self) -> Result<SocketAddr, Errno> {
        net::getpeername(&self.fd)?
            .map(internet)
            .ok_or(Errno::NOTCONN)
    }

    fn option(&self, level: i32, name: i32, value: &mut [u8]) -> Result<usize, Errno> {
        let mut len = value.len() as libc::socklen_t;
        // SAFETY: the kernel writes at most `len` octets of the buffer.
        let result = unsafe {
            libc::getsockopt(
                self.fd.as_raw_fd(),
                level,
                name,
                value.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        checked(result).map(|()| len as usize)
    }

    fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        let len = value.len() as libc::socklen_t;
        // SAFETY: the value is read, for its own length.
        checked(unsafe {
            libc::setsockopt(self.fd.as_raw_fd(), level, name, value.as_ptr().cast(), len)
        })
    }
}

/// Reads a `sockaddr_in` or `sockaddr_in6`.
fn address(octets: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes([*octets.get(2)?, *octets.get(3)?]);
    match octets.len() {
        16 => {
            let ip: [u8; 4] = octets[4..8].try_into().ok()?;
            Some((ip, port).into())
        }
        28 => {
            let ip: [u8; 16] = octets[8..24].try_into().ok()?;
            Some((ip, port).into())
        }
        _ => None,
    }
}

/// sockatmark(3).
fn at_mark(fd: &OwnedFd) -> Result<bool, Errno> {
    let mut answer: libc::c_int = 0;
    // SAFETY: SIOCATMARK writes an int.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), 0x8905, &raw mut answer) })?;
    Ok(answer != 0)
}

fn checked(result: i32) -> Result<(), Errno> {
    if result == 0 {
        Ok(())
    } else {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap())
    }
}
