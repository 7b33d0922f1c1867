//! The two sides that [`crate::packet`] compares: packet sockets of the kernel in a namespace of its own,
//! and of a node. The other end of each link is a kernel's, in this namespace.

use sockeye::drivers::Tun;
use sockeye::link::{MacAddr, Medium};
use sockeye::{Config, Domain, LinkAddr, LinkConfig, MessageFlags, Node, Protocol, Socket, Type};
use sockeye_tests::{Namespace, Program, Result, check};
use std::fmt::Write as _;
use std::io::{Error, IoSliceMut};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(5);
/// The stations at both ends of either link.
pub(crate) const OWN: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
pub(crate) const PEER: [u8; 6] = [2, 0, 0, 0, 0, 0xb];
pub(crate) const ETH_P_ALL: u16 = 3;
pub(crate) const SOL_PACKET: i32 = 263;

/// A call's number, or its errno.
pub(crate) type Answer = std::result::Result<usize, i32>;

fn errno() -> i32 {
    Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn of(answer: std::io::Result<usize>) -> Answer {
    answer.map_err(|error| error.raw_os_error().unwrap_or(0))
}

/// `struct sockaddr_ll`, the interface as `link` says.
pub(crate) fn sockaddr(
    protocol: u16,
    interface: u32,
    address: Option<[u8; 6]>,
) -> [u8; LinkAddr::RAW_LEN] {
    let addr = LinkAddr::new(protocol, interface);
    address
        .map_or(addr, |octets| addr.with_address(MacAddr(octets)))
        .to_raw()
}

/// Where the sockets are made.
enum Place {
    Kernel(std::fs::File),
    Node(Node),
}

/// One side: its sockets, and a socket of the kernel at the other end of its link.
pub(crate) struct Side {
    pub(crate) name: &'static str,
    place: Place,
    /// The number of its link.
    pub(crate) link: u32,
    pub(crate) peer: Frames,
}

/// A packet socket.
pub(crate) enum Frames {
    Kernel(OwnedFd),
    Ours(Socket),
}

/// A packet socket of the kernel in the namespace of this thread.
fn kernel_socket(ty: i32, protocol: u16) -> std::result::Result<Frames, i32> {
    // SAFETY: a new descriptor, or none.
    match unsafe { libc::socket(libc::AF_PACKET, ty, i32::from(protocol.to_be())) } {
        -1 => Err(errno()),
        // SAFETY: it is new, and nobody else's.
        fd => Ok(Frames::Kernel(unsafe { OwnedFd::from_raw_fd(fd) })),
    }
}

impl Side {
    pub(crate) fn socket(
        &self,
        ty: i32,
        protocol: u16,
    ) -> Result<std::result::Result<Frames, i32>> {
        Ok(match &self.place {
            Place::Node(node) => {
                let protocol = Some(Protocol::from(i32::from(protocol.to_be())));
                Socket::new_on(node, Domain::PACKET, Type::from(ty), protocol)
                    .map(Frames::Ours)
                    .map_err(|error| error.raw_os_error().unwrap_or(0))
            }
            Place::Kernel(namespace) => {
                let fd = namespace.as_raw_fd();
                let inside = || {
                    // SAFETY: setns changes this thread's namespace and touches no memory.
                    match unsafe { libc::setns(fd, libc::CLONE_NEWNET) } {
                        0 => kernel_socket(ty, protocol),
                        _ => Err(errno()),
                    }
                };
                std::thread::scope(|scope| scope.spawn(inside).join())
                    .map_err(|_| "the thread panicked")?
            }
        })
    }

    /// One that has to be.
    pub(crate) fn frames(&self, ty: i32, protocol: u16) -> Result<Frames> {
        Ok(self
            .socket(ty, protocol)?
            .map_err(|errno| format!("no socket on {}: errno {errno}", self.name))?)
    }

    /// `struct sockaddr_ll` as it is said: with "link" for the number of the link.
    pub(crate) fn say(&self, mut addr: [u8; LinkAddr::RAW_LEN]) -> String {
        let number = u32::from_ne_bytes([addr[4], addr[5], addr[6], addr[7]]);
        addr[4..8].fill(0);
        let name = match number {
            0 => "any",
            n if n == self.link => "link",
            _ => "another",
        };
        format!("{name} {addr:x?}")
    }
}

impl Frames {
    pub(crate) fn bind(&self, addr: &[u8]) -> Answer {
        match self {
            Self::Ours(socket) => match LinkAddr::from_raw(addr) {
                Some(addr) => of(socket.bind_link(&addr).map(|()| 0)),
                None => Err(libc::EINVAL),
            },
            Self::Kernel(fd) => {
                let len = addr.len() as libc::socklen_t;
                // SAFETY: the kernel reads `len` bytes of `addr`.
                match unsafe { libc::bind(fd.as_raw_fd(), addr.as_ptr().cast(), len) } {
                    0 => Ok(0),
                    _ => Err(errno()),
                }
            }
        }
    }

    pub(crate) fn name(&self) -> Result<[u8; LinkAddr::RAW_LEN]> {
        Ok(match self {
            Self::Ours(socket) => socket.link_addr()?.to_raw(),
            Self::Kernel(fd) => {
                let (mut addr, mut len) = ([0; LinkAddr::RAW_LEN], LinkAddr::RAW_LEN as u32);
                // SAFETY: the kernel writes `len` bytes at the most.
                let said = unsafe {
                    libc::getsockname(fd.as_raw_fd(), addr.as_mut_ptr().cast(), &raw mut len)
                };
                check!(said == 0, "getsockname: errno {}", errno());
                addr
            }
        })
    }

    pub(crate) fn set(&self, level: i32, name: i32, value: &[u8]) -> Answer {
        match self {
            Self::Ours(socket) => of(socket.set_option_raw(level, name, value).map(|()| 0)),
            Self::Kernel(fd) => {
                let (fd, len) = (fd.as_raw_fd(), value.len() as libc::socklen_t);
                // SAFETY: the kernel reads `len` bytes of `value`.
                match unsafe { libc::setsockopt(fd, level, name, value.as_ptr().cast(), len) } {
                    0 => Ok(0),
                    _ => Err(errno()),
                }
            }
        }
    }

    /// What is read, within `room` bytes.
    pub(crate) fn get(
        &self,
        level: i32,
        name: i32,
        room: usize,
    ) -> std::result::Result<Vec<u8>, i32> {
        let mut value = vec![0; room];
        let len = match self {
            Self::Ours(socket) => of(socket.option_raw(level, name, &mut value))?,
            Self::Kernel(fd) => {
                let (fd, mut len) = (fd.as_raw_fd(), room as libc::socklen_t);
                let place = value.as_mut_ptr().cast();
                // SAFETY: the kernel writes `len` bytes at the most.
                match unsafe { libc::getsockopt(fd, level, name, place, &raw mut len) } {
                    0 => len as usize,
                    _ => return Err(errno()),
                }
            }
        };
        value.truncate(len);
        Ok(value)
    }

    pub(crate) fn send(&self, data: &[u8], to: Option<&[u8]>) -> Answer {
        match self {
            Self::Ours(socket) => {
                let to = to.map(|raw| LinkAddr::from_raw(raw).ok_or(libc::EINVAL));
                of(socket.send_to_link(data, to.transpose()?.as_ref()))
            }
            Self::Kernel(fd) => {
                let (addr, len) = to.map_or((std::ptr::null(), 0), |to| (to.as_ptr(), to.len()));
                let (bytes, size) = (data.as_ptr().cast(), data.len());
                let len = len as libc::socklen_t;
                // SAFETY: the kernel reads so many bytes of `data` and of `to`.
                match unsafe { libc::sendto(fd.as_raw_fd(), bytes, size, 0, addr.cast(), len) } {
                    -1 => Err(errno()),
                    sent => Ok(sent as usize),
                }
            }
        }
    }

    /// recvmsg(2) of the next frame, once there is one.
    pub(crate) fn recv(&self, side: &Side, room: usize, flags: i32) -> Result<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let got = self.recv_now(side, room, flags)?;
            if got.is_some() || Instant::now() > end {
                return Ok(got.unwrap_or_else(|| "nothing".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn recv_now(&self, side: &Side, room: usize, flags: i32) -> Result<Option<String>> {
        let mut data = vec![0; room];
        let mut said = String::new();
        let flags = flags | libc::MSG_DONTWAIT;
        match self {
            Self::Ours(socket) => {
                let how = MessageFlags::from_bits_truncate(flags);
                let buffers = &mut [IoSliceMut::new(&mut data)];
                let message = match socket.recvmsg(buffers, how) {
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                        return Ok(None);
                    }
                    other => other?,
                };
                let from = message.link.ok_or("no address")?.to_raw();
                let truncated = message.flags.contains(MessageFlags::TRUNCATE);
                data.truncate(message.len);
                write!(
                    said,
                    "{} {truncated} {data:x?} from {}",
                    message.len,
                    side.say(from)
                )?;
                for ancillary in &message.ancillary {
                    write!(said, " {:x?}", ancillary.to_raw(Domain::PACKET))?;
                }
            }
            Self::Kernel(fd) => {
                let mut addr = [0_u8; LinkAddr::RAW_LEN];
                let mut control = [0_u64; 32];
                let mut slice = libc::iovec {
                    iov_base: data.as_mut_ptr().cast(),
                    iov_len: data.len(),
                };
                // SAFETY: all its fields may be zero.
                let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
                message.msg_name = addr.as_mut_ptr().cast();
                message.msg_namelen = addr.len() as libc::socklen_t;
                message.msg_iov = &raw mut slice;
                message.msg_iovlen = 1;
                message.msg_control = control.as_mut_ptr().cast();
                message.msg_controllen = size_of_val(&control);
                // SAFETY: the message names memory that lasts, with its lengths.
                let len = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, flags) };
                if len < 0 && errno() == libc::EAGAIN {
                    return Ok(None);
                }
                check!(len >= 0, "recvmsg: errno {}", errno());
                let (len, truncated) = (len as usize, message.msg_flags & libc::MSG_TRUNC != 0);
                data.truncate(len);
                write!(said, "{len} {truncated} {data:x?} from {}", side.say(addr))?;
                // SAFETY: the kernel has written whole control messages.
                unsafe {
                    let mut next = libc::CMSG_FIRSTHDR(&raw const message);
                    while let Some(header) = next.as_ref() {
                        let bytes = header.cmsg_len - libc::CMSG_LEN(0) as usize;
                        let bytes = std::slice::from_raw_parts(libc::CMSG_DATA(header), bytes);
                        write!(said, " {:x?}", (header.cmsg_level, header.cmsg_type, bytes))?;
                        next = libc::CMSG_NXTHDR(&raw const message, header);
                    }
                }
            }
        }
        Ok(Some(said))
    }

    /// How many frames wait, which are gone then.
    pub(crate) fn drain(&self, side: &Side) -> Result<usize> {
        let mut count = 0;
        while self.recv_now(side, 1, 0)?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

fn ip(words: &str) -> Result<()> {
    Program::new("ip").args(words.split(' ')).run()?.expect(0)?;
    Ok(())
}

fn index(name: &str) -> Result<u32> {
    let said = Program::new("ip").args(["-o", "link", "show", name]);
    let said = said.run()?.expect(0)?.stdout_text();
    let number = said.split(':').next().ok_or("ip(8) said nothing")?;
    Ok(number.trim().parse()?)
}

fn station(octets: [u8; 6]) -> String {
    MacAddr(octets).to_string()
}

/// The kernel's end of a link in this namespace: up, silent, its frames received whole.
fn peer_on(device: &str) -> Result<Frames> {
    ip(&format!("link set {device} address {}", station(PEER)))?;
    std::fs::write(
        format!("/proc/sys/net/ipv6/conf/{device}/disable_ipv6"),
        "1",
    )?;
    ip(&format!("link set {device} up"))?;
    let peer = kernel_socket(libc::SOCK_RAW, ETH_P_ALL).map_err(|e| format!("errno {e}"))?;
    let bound = peer.bind(&sockaddr(0, index(device)?, None));
    check!(bound == Ok(0), "the peer can't be bound: {bound:?}");
    let on = 1_i32.to_ne_bytes();
    let quiet = peer.set(SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &on);
    check!(quiet == Ok(0), "PACKET_IGNORE_OUTGOING: {quiet:?}");
    Ok(peer)
}

pub(crate) fn kernels() -> Result<(Namespace, Side)> {
    let host = Namespace::new()?;
    let pid = host.pid();
    ip(&format!(
        "link add near type veth peer name far netns {pid}"
    ))?;
    host.set("ipv6/conf/far/disable_ipv6", "1")?;
    host.ip(&format!("link set far address {}", station(OWN)))?;
    host.ip("link set far up")?;
    let said = host.ip("-o link show far")?;
    let side = Side {
        name: "the kernel",
        place: Place::Kernel(std::fs::File::open(format!("/proc/{pid}/ns/net"))?),
        link: said.split(':').next().ok_or("no number")?.trim().parse()?,
        peer: peer_on("near")?,
    };
    Ok((host, side))
}

/// Or why there is none.
pub(crate) fn ours() -> Result<std::result::Result<Side, String>> {
    let tap = match Tun::open("sockeye0", Medium::Ethernet(MacAddr(OWN))) {
        Ok(tap) => tap,
        Err(error) => return Ok(Err(format!("no TAP device can be opened: {error}"))),
    };
    let peer = peer_on("sockeye0")?;
    let mut link = LinkConfig::new();
    link.link_local = false;
    // As root's sockets of the kernel are.
    let config = Config {
        foreign_sources: true,
        ..Config::default()
    };
    let node = Node::builder().config(config);
    let node = node.link("tap", Box::new(tap), link).build()?;
    Ok(Ok(Side {
        name: "ours",
        place: Place::Node(node),
        link: 2,
        peer,
    }))
}
