//! The two sides that [`crate::udp`] compares: a socket of the kernel in a namespace of its own, and a
//! socket of a node, each with the kernel of this namespace as its peer.

use sockeye::drivers::{Recorder, Tun};
use sockeye::link::Link;
use sockeye::{Control, Domain, LinkConfig, MessageFlags, Node, Protocol, Readiness, Socket, Type};
use sockeye_tests::{Program, Result, check};
use std::fmt;
use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, RawFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// What a call returned: bytes, or an errno.
pub(crate) type Answer = std::result::Result<usize, i32>;

const PATIENCE: Duration = Duration::from_secs(2);
/// UDP-Lite.
const LITE: i32 = 136;
/// Peer and own addresses by side: kernel, ours.
const V4: [[&str; 2]; 2] = [["198.51.100.1", "198.51.100.2"], ["192.0.2.1", "192.0.2.2"]];
const V6: [[&str; 2]; 2] = [
    ["2001:db8:1::1", "2001:db8:1::2"],
    ["2001:db8::1", "2001:db8::2"],
];

/// A control message.
#[derive(Clone, Debug)]
pub(crate) struct Cmsg {
    level: i32,
    ty: i32,
    data: Vec<u8>,
}

impl Cmsg {
    pub(crate) fn new(level: i32, ty: i32, data: &[u8]) -> Self {
        let data = data.to_vec();
        Self { level, ty, data }
    }

    pub(crate) fn is_segment(&self) -> bool {
        (self.level, self.ty) == (libc::IPPROTO_UDP, libc::UDP_SEGMENT)
    }
}

/// Both sides.
pub(crate) struct Sides {
    pub(crate) kernel: Side,
    pub(crate) ours: Side,
    recorder: Option<Recorder>,
}

/// One side.
pub(crate) struct Side {
    /// The namespace of the kernel's sockets, or the node of ours.
    place: Place,
    number: usize,
}

enum Place {
    Namespace(std::fs::File),
    Node(Node),
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(["the kernel", "ours"][self.number])
    }
}

fn ip(words: &str) -> Result<()> {
    Program::new("ip").args(words.split(' ')).run()?.expect(0)?;
    Ok(())
}

impl Sides {
    pub(crate) fn open() -> Result<std::result::Result<Self, String>> {
        Self::with(None)
    }

    /// With a capture of what the node sends and receives.
    pub(crate) fn recorded(file: &Path) -> Result<std::result::Result<Self, String>> {
        let file = std::fs::File::create(file)?;
        Self::with(Some(Recorder::new(file, Duration::ZERO)?))
    }

    fn with(recorder: Option<Recorder>) -> Result<std::result::Result<Self, String>> {
        let medium = sockeye::link::Medium::Ethernet(sockeye::drivers::local_address(&[7; 32], 0));
        let tap = match Tun::open("sockeye0", medium) {
            Ok(tap) => tap,
            Err(error) => return Ok(Err(format!("no TAP device can be opened: {error}"))),
        };
        let link: Box<dyn Link> = match &recorder {
            Some(recorder) => Box::new(recorder.tap(tap, "sockeye0")),
            None => Box::new(tap),
        };
        ip("link set sockeye0 up")?;
        ip(&format!("addr add {}/24 dev sockeye0", V4[1][0]))?;
        ip(&format!("addr add {}/64 dev sockeye0 nodad", V6[1][0]))?;
        let config = LinkConfig::new()
            .address(format!("{}/24", V4[1][1]).parse()?)
            .address(format!("{}/64", V6[1][1]).parse()?)
            .detect_duplicates(false);
        let settings = sockeye::Config {
            net_admin: true,
            ..sockeye::Config::default()
        };
        let node = Node::builder()
            .config(settings)
            .link("tap", link, config)
            .build()?;
        let namespace = std::thread::spawn(behind_a_veth)
            .join()
            .map_err(|_| "the thread of the namespace panicked")?
            .map_err(|error| error.to_string())?;
        ip(&format!("addr add {}/24 dev veth0", V4[0][0]))?;
        ip(&format!("addr add {}/64 dev veth0 nodad", V6[0][0]))?;
        ip("link set veth0 up")?;
        let side = |place, number| Side { place, number };
        let sides = Self {
            kernel: side(Place::Namespace(namespace), 0),
            ours: side(Place::Node(node), 1),
            recorder,
        };
        sides.warm_up()?;
        Ok(Ok(sides))
    }

    /// Neighbours are known before anything is compared.
    fn warm_up(&self) -> Result<()> {
        for side in [&self.kernel, &self.ours] {
            let peer = side.peer()?;
            for v6 in [false, true] {
                let socket = side.socket(v6, false)?;
                let end = Instant::now() + PATIENCE;
                loop {
                    let _ = socket.send(b"who", Some(v6), &[], 0);
                    if peer.recv_len(v6).is_ok() {
                        break;
                    }
                    check!(Instant::now() < end, "nothing comes from {side}");
                }
                peer.drain();
            }
        }
        Ok(())
    }

    pub(crate) fn flush(&self) -> Result<()> {
        if let Some(recorder) = &self.recorder {
            recorder.flush()?;
        }
        Ok(())
    }
}

/// On a thread of its own: a network namespace, and in it the other end of a pair of links.
fn behind_a_veth() -> std::io::Result<std::fs::File> {
    // SAFETY: unshare changes this thread's namespace and touches no memory.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    let main = std::process::id();
    for words in [
        format!("link add veth1 type veth peer name veth0 netns {main}"),
        "link set lo up".to_owned(),
        format!("addr add {}/24 dev veth1", V4[0][1]),
        format!("addr add {}/64 dev veth1 nodad", V6[0][1]),
        "link set veth1 up".to_owned(),
    ] {
        // A program that this thread starts is in its namespace.
        let status = std::process::Command::new("ip")
            .args(words.split(' '))
            .status()?;
        if !status.success() {
            return Err(std::io::Error::other(format!("ip {words}: {status}")));
        }
    }
    std::fs::File::open("/proc/thread-self/ns/net")
}

impl Side {
    fn ip(&self, v6: bool, own: bool) -> IpAddr {
        let table = if v6 { V6 } else { V4 };
        let text = table[self.number][usize::from(own)];
        text.parse().expect("an address")
    }

    /// A socket of the side.
    pub(crate) fn socket(&self, v6: bool, lite: bool) -> Result<Subject<'_>> {
        let protocol = if lite { LITE } else { libc::IPPROTO_UDP };
        let inner = match &self.place {
            Place::Node(node) => {
                let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
                let protocol = Some(Protocol::from(protocol));
                let socket = Socket::new_on(node, domain, Type::DGRAM, protocol)?;
                socket.set_read_timeout(Some(PATIENCE))?;
                Inner::Ours(socket)
            }
            Place::Namespace(namespace) => {
                let fd = namespace.as_raw_fd();
                let made = std::thread::scope(|scope| {
                    scope.spawn(|| kernel_socket(Some(fd), v6, protocol)).join()
                });
                Inner::Kernel(made.map_err(|_| "the thread panicked")??)
            }
        };
        Ok(Subject { side: self, inner })
    }

    pub(crate) fn peer(&self) -> Result<Peer> {
        Peer::new(self, libc::IPPROTO_UDP)
    }

    pub(crate) fn lite_peer(&self) -> Result<Peer> {
        Peer::new(self, LITE)
    }
}

fn kernel_socket(
    namespace: Option<RawFd>,
    v6: bool,
    protocol: i32,
) -> std::io::Result<socket2::Socket> {
    if let Some(namespace) = namespace {
        // SAFETY: setns changes this thread's namespace and touches no memory.
        if unsafe { libc::setns(namespace, libc::CLONE_NEWNET) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    let domain = if v6 {
        socket2::Domain::IPV6
    } else {
        socket2::Domain::IPV4
    };
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(protocol.into()))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// The socket that the calls are made on.
pub(crate) struct Subject<'a> {
    side: &'a Side,
    inner: Inner,
}

enum Inner {
    Kernel(socket2::Socket),
    Ours(Socket),
}

/// What recvmsg returned.
struct Got {
    len: usize,
    from: Option<SocketAddr>,
    flags: i32,
    control: Vec<u8>,
    data: Vec<u8>,
}

fn errno(error: &std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}

impl Subject<'_> {
    pub(crate) fn set(&self, level: i32, name: i32, value: &[u8]) -> std::io::Result<()> {
        match &self.inner {
            Inner::Ours(socket) => socket.set_option_raw(level, name, value),
            Inner::Kernel(socket) => set_kernel(socket, level, name, value),
        }
    }

    pub(crate) fn bind_any(&self) -> Result<()> {
        let any = match self.is_v6() {
            true => "[::]:0",
            false => "0.0.0.0:0",
        };
        let any: SocketAddr = any.parse()?;
        match &self.inner {
            Inner::Ours(socket) => socket.bind(any)?,
            Inner::Kernel(socket) => socket.bind(&any.into())?,
        }
        Ok(())
    }

    fn is_v6(&self) -> bool {
        match &self.inner {
            Inner::Ours(socket) => socket.domain() == Domain::IPV6,
            Inner::Kernel(socket) => socket
                .domain()
                .is_ok_and(|domain| domain == socket2::Domain::IPV6),
        }
    }

    pub(crate) fn port(&self) -> Result<u16> {
        Ok(match &self.inner {
            Inner::Ours(socket) => socket.local_addr()?.port(),
            Inner::Kernel(socket) => {
                let local = socket.local_addr()?.as_socket();
                local.ok_or("no address")?.port()
            }
        })
    }

    /// The peer's address, mapped where the socket wants it so.
    fn peer(&self, v6: bool, port: u16) -> SocketAddr {
        let address = match (self.side.ip(v6, false), self.is_v6()) {
            (IpAddr::V4(v4), true) => v4.to_ipv6_mapped().into(),
            (address, _) => address,
        };
        SocketAddr::new(address, port)
    }

    pub(crate) fn connect(&self, v6: bool, port: u16) -> Result<()> {
        let peer = self.peer(v6, port);
        match &self.inner {
            Inner::Ours(socket) => socket.connect(peer)?,
            Inner::Kernel(socket) => socket.connect(&peer.into())?,
        }
        Ok(())
    }

    /// Sends to the peer by address, or where the socket is connected to.
    pub(crate) fn send(
        &self,
        data: &[u8],
        to: Option<bool>,
        control: &[Cmsg],
        flags: i32,
    ) -> Answer {
        self.send_message(data, to.map(|v6| self.peer(v6, PORT)), control, flags)
    }

    pub(crate) fn send_to_port(&self, data: &[u8], v6: bool, port: u16) -> Answer {
        self.send_message(data, Some(self.peer(v6, port)), &[], 0)
    }

    pub(crate) fn send_to(&self, data: &[u8], to: &str) -> Answer {
        self.send_message(data, to.parse().ok(), &[], 0)
    }

    fn send_message(
        &self,
        data: &[u8],
        to: Option<SocketAddr>,
        control: &[Cmsg],
        flags: i32,
    ) -> Answer {
        match &self.inner {
            Inner::Kernel(socket) => send_kernel(socket, data, to, control, flags),
            Inner::Ours(socket) => {
                let control: Vec<Control<'_>> = control
                    .iter()
                    .map(|message| Control {
                        level: message.level,
                        ty: message.ty,
                        data: &message.data,
                    })
                    .collect();
                let flags = MessageFlags::from_bits_retain(flags);
                let sent = socket.sendmsg_raw(&[IoSlice::new(data)], to, &control, flags);
                sent.map_err(|error| errno(&error))
            }
        }
    }

    /// recvmsg, in words: addresses and the interface by their part.
    pub(crate) fn recv(&self, room: usize, control: usize, flags: i32) -> String {
        match self.recv_message(room, control, flags) {
            Err(errno) => format!("errno {errno}"),
            Ok(got) => self.words(&got),
        }
    }

    fn words(&self, got: &Got) -> String {
        let from = got.from.map(|from| {
            let port = match from.port() {
                0 => "0",
                _ => "port",
            };
            format!("{}:{port}", self.name(&from.ip().to_string()))
        });
        let Got {
            len,
            flags,
            control,
            data,
            ..
        } = got;
        let text = String::from_utf8_lossy(&data[..data.len().min(8)]).into_owned();
        format!(
            "{len} {flags:#x} {from:?} {text:?} {}",
            self.control(control)
        )
    }

    fn name(&self, address: &str) -> String {
        let mut text = address.to_owned();
        for v6 in [true, false] {
            for own in [true, false] {
                let ip = self.side.ip(v6, own).to_string();
                text = text.replace(&ip, if own { "SELF" } else { "PEER" });
            }
        }
        text
    }

    /// Control data in hexadecimal, with addresses, ports and the interface by their part.
    fn control(&self, control: &[u8]) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let mut text = hex(control);
        for v6 in [true, false] {
            for own in [true, false] {
                let octets = match self.side.ip(v6, own) {
                    IpAddr::V4(v4) => hex(&v4.octets()),
                    IpAddr::V6(v6) => hex(&v6.octets()),
                };
                text = text.replace(&octets, if own { "SELF" } else { "PEER" });
            }
        }
        if let Ok(port) = self.port() {
            let family = [libc::AF_INET, libc::AF_INET6].map(|f| hex(&(f as u16).to_ne_bytes()));
            for family in family {
                let own = family.clone() + &hex(&port.to_be_bytes());
                text = text.replace(&own, &(family + "PORT"));
            }
        }
        let index = self.interface().to_ne_bytes();
        text.replace(&(hex(&index) + "SELF"), "LINKSELF")
            .replace(&("SELF".to_owned() + &hex(&index)), "SELFLINK")
    }

    fn interface(&self) -> u32 {
        match &self.side.place {
            Place::Node(_) => 2,
            Place::Namespace(_) => {
                let fd = match &self.inner {
                    Inner::Kernel(socket) => socket.as_raw_fd(),
                    Inner::Ours(_) => return 0,
                };
                // SAFETY: the descriptor is open, and the structure lives through the call.
                unsafe {
                    let mut request: libc::ifreq = std::mem::zeroed();
                    for (to, from) in request.ifr_name.iter_mut().zip(b"veth1\0") {
                        *to = *from as libc::c_char;
                    }
                    libc::ioctl(fd, libc::SIOCGIFINDEX as _, &raw mut request);
                    request.ifr_ifru.ifru_ifindex.cast_unsigned()
                }
            }
        }
    }

    fn recv_message(
        &self,
        room: usize,
        control: usize,
        flags: i32,
    ) -> std::result::Result<Got, i32> {
        let mut data = vec![0; room];
        let mut controls = vec![0; control];
        match &self.inner {
            Inner::Kernel(socket) => recv_kernel(socket, data, controls, flags),
            Inner::Ours(socket) => {
                let flags = MessageFlags::from_bits_retain(flags);
                let buffers = &mut [IoSliceMut::new(&mut data)];
                let message = socket.recvmsg_raw(buffers, &mut controls, flags);
                let message = message.map_err(|error| errno(&error))?;
                controls.truncate(message.control_len);
                data.truncate(message.len);
                Ok(Got {
                    len: message.len,
                    from: message.from,
                    flags: message.flags.bits(),
                    control: controls,
                    data,
                })
            }
        }
    }

    /// The next report of the error queue, for which it waits.
    pub(crate) fn errors(&self, room: usize) -> String {
        let end = Instant::now() + PATIENCE / 4;
        loop {
            match self.recv_message(room, 500, libc::MSG_ERRQUEUE) {
                Err(libc::EAGAIN) if Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(errno) => return format!("errno {errno}"),
                Ok(got) => return self.words(&got),
            }
        }
    }

    /// The next report of the error queue, if there is one.
    pub(crate) fn errors_now(&self, room: usize) -> String {
        match self.recv_message(room, 500, libc::MSG_ERRQUEUE) {
            Err(errno) => format!("errno {errno}"),
            Ok(got) => self.words(&got),
        }
    }

    /// SO_ERROR, once there is an error.
    pub(crate) fn error_when_told(&self) -> String {
        let error = match &self.inner {
            Inner::Kernel(socket) => {
                let mut fd = libc::pollfd {
                    fd: socket.as_raw_fd(),
                    events: 0,
                    revents: 0,
                };
                // SAFETY: one structure, which lives through the call.
                unsafe { libc::poll(&raw mut fd, 1, 2000) };
                socket.take_error()
            }
            Inner::Ours(socket) => {
                let mut fds = [sockeye::PollFd::new(socket, Readiness::ERROR)];
                let _ = sockeye::poll(&mut fds, Some(PATIENCE));
                socket.take_error()
            }
        };
        format!(
            "{:?}",
            error.map(|error| error.map(|error| errno(&error))).ok()
        )
    }
}

/// The port of all peers.
const PORT: u16 = 7007;

/// The kernel's sockets at the other end: IPv4, IPv6.
pub(crate) struct Peer {
    ends: [socket2::Socket; 2],
    to: [IpAddr; 2],
}

impl Peer {
    fn new(side: &Side, protocol: i32) -> Result<Self> {
        let end = |v6: bool| -> Result<socket2::Socket> {
            let socket = kernel_socket(None, v6, protocol)?;
            socket.bind(&SocketAddr::new(side.ip(v6, false), PORT).into())?;
            let told = match v6 {
                false => vec![
                    (libc::IPPROTO_IP, libc::IP_RECVTTL),
                    (libc::IPPROTO_IP, libc::IP_RECVTOS),
                    (libc::IPPROTO_IP, libc::IP_RECVOPTS),
                ],
                true => vec![
                    (libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT),
                    (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS),
                    (libc::IPPROTO_IPV6, libc::IPV6_RECVHOPOPTS),
                    (libc::IPPROTO_IPV6, libc::IPV6_RECVDSTOPTS),
                ],
            };
            for (level, name) in told {
                set_kernel(&socket, level, name, &1_i32.to_ne_bytes())?;
            }
            Ok(socket)
        };
        Ok(Self {
            ends: [end(false)?, end(true)?],
            to: [side.ip(false, true), side.ip(true, true)],
        })
    }

    fn drain(&self) {
        for end in &self.ends {
            let _ = end.set_nonblocking(true);
            while end.recv(&mut [std::mem::MaybeUninit::uninit(); 1]).is_ok() {}
            let _ = end.set_nonblocking(false);
        }
    }

    /// A port that nobody has.
    pub(crate) fn closed_port(&self) -> Result<u16> {
        Ok(PORT + 1)
    }

    pub(crate) fn send(&self, v6: bool, data: &[u8], port: u16, control: &[Cmsg]) -> Result<()> {
        let number = usize::from(v6);
        let to = SocketAddr::new(self.to[number], port);
        send_kernel(&self.ends[number], data, Some(to), control, 0)
            .map_err(|errno| format!("the peer can't send: errno {errno}"))?;
        Ok(())
    }

    /// What it receives next: the text, and what control data tells.
    pub(crate) fn recv(&self, v6: bool) -> Result<String> {
        let got = recv_kernel(
            &self.ends[usize::from(v6)],
            vec![0; 70_000],
            vec![0; 500],
            0,
        )
        .map_err(|errno| format!("the peer received nothing: errno {errno}"))?;
        let hex: String = got.control.iter().map(|b| format!("{b:02x}")).collect();
        let text = String::from_utf8_lossy(&got.data[..got.data.len().min(20)]).into_owned();
        Ok(format!("the peer got {} {text:?} {hex}", got.len))
    }

    pub(crate) fn recv_len(&self, v6: bool) -> Result<usize> {
        let got = recv_kernel(&self.ends[usize::from(v6)], vec![0; 70_000], Vec::new(), 0);
        Ok(got
            .map_err(|errno| format!("the peer received nothing: errno {errno}"))?
            .len)
    }

    pub(crate) fn take_unsummed(&self, on: bool) -> Result<()> {
        let on = i32::from(on).to_ne_bytes();
        set_kernel(&self.ends[1], libc::IPPROTO_UDP, 102, &on)?;
        Ok(())
    }

    pub(crate) fn send_unsummed(&self, on: bool) -> Result<()> {
        let on = i32::from(on).to_ne_bytes();
        set_kernel(&self.ends[1], libc::IPPROTO_UDP, 101, &on)?;
        set_kernel(&self.ends[0], libc::SOL_SOCKET, libc::SO_NO_CHECK, &on)?;
        Ok(())
    }

    /// UDPLITE_SEND_CSCOV
    pub(crate) fn cover(&self, bytes: i32) -> Result<()> {
        for end in &self.ends {
            set_kernel(end, LITE, 10, &bytes.to_ne_bytes())?;
        }
        Ok(())
    }
}

fn set_kernel(
    socket: &socket2::Socket,
    level: i32,
    name: i32,
    value: &[u8],
) -> std::io::Result<()> {
    let len = value.len() as libc::socklen_t;
    let fd = socket.as_raw_fd();
    // SAFETY: the descriptor is open, and the kernel reads `len` bytes of `value`.
    match unsafe { libc::setsockopt(fd, level, name, value.as_ptr().cast(), len) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// `struct cmsghdr` after `struct cmsghdr`.
fn lay_out(control: &[Cmsg]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Cmsg { level, ty, data } in control {
        bytes.extend((16 + data.len()).to_ne_bytes());
        bytes.extend(level.to_ne_bytes());
        bytes.extend(ty.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes
}

fn send_kernel(
    socket: &socket2::Socket,
    data: &[u8],
    to: Option<SocketAddr>,
    control: &[Cmsg],
    flags: i32,
) -> Answer {
    let control = lay_out(control);
    let to = to.map(socket2::SockAddr::from);
    let mut piece = libc::iovec {
        iov_base: data.as_ptr().cast_mut().cast(),
        iov_len: data.len(),
    };
    // SAFETY: all pointers are to what lives through the call, with their lengths; the kernel only
    // reads what they point to.
    let sent = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        if let Some(to) = &to {
            message.msg_name = to.as_ptr().cast_mut().cast();
            message.msg_namelen = to.len();
        }
        message.msg_iov = &raw mut piece;
        message.msg_iovlen = 1;
        message.msg_control = control.as_ptr().cast_mut().cast();
        message.msg_controllen = control.len();
        libc::sendmsg(socket.as_raw_fd(), &raw const message, flags)
    };
    usize::try_from(sent).map_err(|_| errno(&std::io::Error::last_os_error()))
}

fn recv_kernel(
    socket: &socket2::Socket,
    mut data: Vec<u8>,
    mut control: Vec<u8>,
    flags: i32,
) -> std::result::Result<Got, i32> {
    let mut piece = libc::iovec {
        iov_base: data.as_mut_ptr().cast(),
        iov_len: data.len(),
    };
    // SAFETY: an address of zeros is a valid one.
    let mut name: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    // SAFETY: all pointers are to what lives through the call, with their lengths.
    let (got, message) = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_name = (&raw mut name).cast();
        message.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        message.msg_iov = &raw mut piece;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = control.len();
        let got = libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags);
        (got, message)
    };
    let len = usize::try_from(got).map_err(|_| errno(&std::io::Error::last_os_error()))?;
    control.truncate(message.msg_controllen);
    data.truncate(len);
    let port = |bytes: [u8; 2]| u16::from_be_bytes(bytes);
    let from = match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that it is one.
            let name: libc::sockaddr_in = unsafe { std::mem::transmute_copy(&name) };
            let ip = IpAddr::from(name.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddr::new(ip, port(name.sin_port.to_ne_bytes())))
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that it is one.
            let name: libc::sockaddr_in6 = unsafe { std::mem::transmute_copy(&name) };
            let ip = IpAddr::from(name.sin6_addr.s6_addr);
            Some(SocketAddr::new(ip, port(name.sin6_port.to_ne_bytes())))
        }
        _ => None,
    };
    // MSG_CMSG_CLOEXEC and the like are not compared.
    let told = libc::MSG_TRUNC | libc::MSG_CTRUNC | libc::MSG_ERRQUEUE;
    Ok(Got {
        len,
        from,
        flags: message.msg_flags & told,
        control,
        data,
    })
}
