//! Socket options of a node beside those of the kernel: the same calls on a TCP socket of each, for
//! every option of the list that works, have to give the same values and the same errnos.
//!
//! What a program may do is the same on both sides: the kernel's calls are made by a thread that has
//! given up its capabilities, and once more with them, against a node with `net_admin`.

use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::{Config, Domain, LinkConfig, Node, Socket, Type};
use sockeye_core::option::{Layout, ROWS, Row, Standing};
use sockeye_tests::{Outcome, Result, Test, check, in_namespace, tests};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, RawFd};
use std::time::Duration;

pub(crate) const TESTS: &[Test] = tests![
    every_option_is_as_the_kernels,
    with_every_privilege_too,
    an_accepted_socket_inherits_what_the_kernels_does,
    every_option_of_a_datagram_socket_is_as_the_kernels,
    datagram_options_with_every_privilege_too,
];

/// What the two may differ in, with the reason.
const KNOWN: &[(&str, &str)] = &[
    (
        "TCP_MAXSEG of a connection",
        "Linux takes and ignores it; tcp(7) says that it counts",
    ),
    (
        "SO_INCOMING_CPU",
        "the kernel tells by which CPU a packet came, a node what was set",
    ),
    (
        "source routes of a stream",
        "nobody sends its segments on (RFC 7126 §4.3, §4.4): EPERM, and what was set stays",
    ),
    (
        "IPV6_V6ONLY of a bound socket",
        "the kernel's sockets here are bound to ::1, which sets it",
    ),
    (
        "IPV6_RTHDR",
        "Linux knows the routing headers of segments (type 4), a node none",
    ),
    (
        "UDP_ENCAP",
        "Linux takes the encapsulations that it has modules for",
    ),
    (
        "SO_MEMINFO",
        "the backlog and the limits are counted otherwise for datagrams",
    ),
];

/// Numbers at the ends of what some option takes, and far from it.
pub(crate) const NUMBERS: &[i32] = &[
    0,
    1,
    2,
    3,
    6,
    7,
    48,
    87,
    88,
    127,
    128,
    255,
    256,
    500,
    999,
    1000,
    1151,
    1152,
    1460,
    32_767,
    32_768,
    65_535,
    65_536,
    120_000,
    120_001,
    200_000,
    212_992,
    1_000_000,
    // One, in the other order.
    16_777_216,
    i32::MAX,
    -1,
    -2,
    i32::MIN,
];
/// Lengths that getsockopt is asked with.
const LENGTHS: &[usize] = &[0, 1, 2, 3, 4, 7, 8, 12, 15, 16, 20, 64];

fn every_option_is_as_the_kernels() -> Result {
    let name = "interop::options::every_option_is_as_the_kernels";
    in_namespace(name, Duration::from_secs(60), || compare_all(false))
}

fn with_every_privilege_too() -> Result {
    let name = "interop::options::with_every_privilege_too";
    in_namespace(name, Duration::from_secs(60), || compare_all(true))
}

fn an_accepted_socket_inherits_what_the_kernels_does() -> Result {
    let name = "interop::options::an_accepted_socket_inherits_what_the_kernels_does";
    in_namespace(name, Duration::from_secs(60), compare_inheritance)
}

fn every_option_of_a_datagram_socket_is_as_the_kernels() -> Result {
    let name = "interop::options::every_option_of_a_datagram_socket_is_as_the_kernels";
    in_namespace(name, Duration::from_secs(60), || compare_datagrams(false))
}

fn datagram_options_with_every_privilege_too() -> Result {
    let name = "interop::options::datagram_options_with_every_privilege_too";
    in_namespace(name, Duration::from_secs(60), || compare_datagrams(true))
}

fn compare_all(privileged: bool) -> Result {
    let states = [State::Fresh, State::Listening, State::Connected];
    compare(Pair::new(privileged)?, &states, rows)
}

fn compare_datagrams(privileged: bool) -> Result {
    let mut pair = Pair::new(privileged)?;
    pair.ty = (socket2::Type::DGRAM, Type::DGRAM);
    compare(pair, &[State::Fresh, State::Connected], || {
        ROWS.iter().filter(|row| {
            matches!(row.page, "socket(7)" | "udp(7)" | "ip(7)" | "ipv6(7)")
                && matches!(row.standing, Standing::Works { .. })
                && is_set_alone(row)
        })
    })
}

/// Those of groups are another matter.
fn is_set_alone(row: &Row) -> bool {
    !matches!(layout(row), Layout::Membership) && !row.name.contains("MULTICAST")
}

fn compare<R: Iterator<Item = &'static Row>>(
    pair: Pair,
    states: &[State],
    rows: impl Fn() -> R,
) -> Result {
    let mut differences = String::new();
    let mut compared = 0;
    for v6 in [false, true] {
        for &state in states {
            for row in rows() {
                let kernel = pair.kernel(v6, state)?;
                let ours = pair.ours(v6, state)?;
                let calls = calls(row);
                let theirs = run(&kernel, row, &calls);
                let mine = run(&ours, row, &calls);
                let mut was_set = false;
                for ((call, want), got) in calls.iter().zip(&theirs).zip(&mine) {
                    compared += 1;
                    was_set |= matches!((call, want), (Call::Set(_), Ok(_)));
                    if !is_same(row, state, was_set, want, got) {
                        let family = if v6 { "IPv6" } else { "IPv4" };
                        let _ = writeln!(
                            differences,
                            "{family} {state:?} {}: {call:?}: the kernel {want:?}, we {got:?}",
                            row.name
                        );
                    }
                }
            }
        }
    }
    println!("{compared} calls compared");
    check!(differences.is_empty(), "{differences}");
    Ok(Outcome::Passed)
}

fn compare_inheritance() -> Result {
    let pair = Pair::new(false)?;
    let mut differences = String::new();
    for v6 in [false, true] {
        for row in rows() {
            let sample = match layout(row) {
                Layout::Linger => ints(&[1, 5]),
                Layout::Flag => ints(&[1]),
                Layout::Timeval => longs(&[3, 0]),
                Layout::Name => b"reno".to_vec(),
                Layout::Device => b"lo".to_vec(),
                _ => ints(&[row_sample(row)]),
            };
            let (kernel, child) = pair.kernel_accepted(v6, |listener| {
                let _ = listener.set(row.level, row.number, &sample);
            })?;
            let ours = pair.ours_accepted(v6, |listener| {
                let _ = listener.set(row.level, row.number, &sample);
            })?;
            drop(kernel);
            let want = child.get(row.level, row.number, 64);
            let got = ours.get(row.level, row.number, 64);
            if !is_same(row, State::Accepted, false, &want, &got) {
                let _ = writeln!(
                    differences,
                    "v6 {v6} {}: the kernel {want:?}, we {got:?}",
                    row.name
                );
            }
        }
    }
    check!(differences.is_empty(), "{differences}");
    Ok(Outcome::Passed)
}

/// A value that is not the default.
fn row_sample(row: &Row) -> i32 {
    match row.name {
        "SO_BUF_LOCK" => 3,
        "SO_TXREHASH" | "TCP_QUICKACK" => 0,
        "TCP_THIN_LINEAR_TIMEOUTS" => 1,
        "TCP_KEEPCNT" | "TCP_SYNCNT" => 4,
        "TCP_RTO_MAX_MS" => 2000,
        "SO_PRIORITY" => 5,
        "SO_BINDTOIFINDEX" => 1,
        _ => 20_000,
    }
}

/// The rows that a stream has and that work.
fn rows() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(|row| {
        matches!(row.page, "socket(7)" | "tcp(7)" | "ip(7)" | "ipv6(7)")
            && matches!(row.standing, Standing::Works { .. })
            && is_set_alone(row)
            // Many kernels are built without TCP-AO.
            && !row.name.starts_with("TCP_AO_")
    })
}

fn layout(row: &Row) -> Layout {
    match row.standing {
        Standing::Works { layout, .. } => layout,
        Standing::Refused { .. } => Layout::Int,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Listening,
    Connected,
    Accepted,
}

#[derive(Debug)]
pub(crate) enum Call {
    Set(Vec<u8>),
    Get(usize),
    /// With what is there at first, which some options read.
    GetBy(Vec<u8>),
}

/// What a call returned: bytes, none for a set, or an errno.
pub(crate) type Answer = std::result::Result<Vec<u8>, i32>;

/// The calls that are made for a row, in turn on one socket.
pub(crate) fn calls(row: &Row) -> Vec<Call> {
    let mut calls: Vec<Call> = LENGTHS.iter().map(|&len| Call::Get(len)).collect();
    let values: Vec<Vec<u8>> = match layout(row) {
        Layout::Linger => [[0, 0], [0, 9], [1, 0], [1, 5], [2, i32::MAX]]
            .iter()
            .map(|pair| ints(pair))
            .collect(),
        Layout::Timeval => [
            [0, 0],
            [1, 0],
            [0, 500_000],
            [5, 4000],
            [-1, 0],
            [0, -1],
            [0, 1_000_000],
        ]
        .iter()
        .map(|pair| longs(pair))
        .collect(),
        Layout::Name => [&b"reno"[..], b"reno\0", b"nosuch", b"\0", &[b'x'; 20]]
            .iter()
            .map(|name| name.to_vec())
            .collect(),
        Layout::Device => [&b"nosuch0\0"[..], b"\0\0\0\0", b"lo\0", b"", b"lo"]
            .iter()
            .map(|name| name.to_vec())
            .collect(),
        Layout::Rate => [1, 65_536, i64::from(u32::MAX), 1 << 40, -1]
            .iter()
            .flat_map(|&rate| {
                // Four bytes of it, and all.
                [longs(&[rate])[..4].to_vec(), longs(&[rate])]
            })
            .collect(),
        Layout::Struct(_) => [
            &[][..],
            &[1],
            &[7, 3, 4],
            &[0, 0, 1, 4, 0, 0, 0, 0],
            &[0, 1, 1, 4, 0, 0, 0, 0],
            &[0; 16],
            &[0, 1, 0x1e, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
            &[0; 19],
            &[0; 20],
            &[0; 40],
            &[0; 41],
            &[148, 4, 0, 0],
            &[130, 3, 0],
            &[131, 7, 4, 1, 2, 3, 4],
            &[],
        ]
        .iter()
        .map(|bytes| bytes.to_vec())
        .collect(),
        _ => NUMBERS.iter().map(|&n| ints(&[n])).collect(),
    };
    // Too short, and longer than it need be.
    if !matches!(layout(row), Layout::Name | Layout::Device) {
        calls.extend([0, 1, 2, 3].map(|len| Call::Set(vec![1; len])));
    }
    if layout(row) == Layout::Int {
        calls.push(Call::Set(ints(&[1, 2, 3])));
        calls.push(Call::Get(4));
    }
    for value in values {
        calls.push(Call::Set(value));
        calls.extend([4, 64].map(Call::Get));
    }
    calls
}

pub(crate) fn run(side: &dyn Side, row: &Row, calls: &[Call]) -> Vec<Answer> {
    calls
        .iter()
        .map(|call| match call {
            Call::Set(value) => side.set(row.level, row.number, value),
            Call::Get(len) => side.get(row.level, row.number, *len),
            Call::GetBy(asked) => side.get_by(row.level, row.number, asked.clone()),
        })
        .collect()
}

/// Whether the answers say the same. Before it `was_set`, a connection may have another value.
fn is_same(row: &Row, state: State, was_set: bool, kernel: &Answer, ours: &Answer) -> bool {
    let connected = matches!(state, State::Connected | State::Accepted);
    // KNOWN has the reasons.
    let known = |what: &str| KNOWN.iter().any(|(name, _)| *name == what);
    if row.name == "TCP_MAXSEG" && connected && known("TCP_MAXSEG of a connection") {
        return true;
    }
    if row.name == "SO_INCOMING_CPU" && known(row.name) {
        let numbers = matches!((kernel, ours), (Ok(a), Ok(b)) if a.len() == b.len());
        return numbers || kernel == ours;
    }
    if known(row.name) && ours != kernel {
        return true;
    }
    const LOOSE_ROUTE: u8 = 131;
    if row.name == "IP_OPTIONS" && known("source routes of a stream") {
        let routed = |bytes: &Vec<u8>| bytes.first() == Some(&LOOSE_ROUTE);
        if *ours == Err(libc::EPERM) || kernel.as_ref().is_ok_and(routed) {
            return true;
        }
    }
    match (kernel, ours) {
        (Ok(a), Ok(b)) if a == b => true,
        (Ok(a), Ok(b)) if a.len() == b.len() => match row.name {
            // Clocks, and a number that each has to itself.
            "TCP_TIMESTAMP" | "SO_COOKIE" => true,
            // Figures that move; the state comes first.
            "TCP_INFO" => a.first() == b.first(),
            // Buffers that tune themselves, by a rule that is not the option's.
            "SO_SNDBUF" | "SO_RCVBUF" | "TCP_WINDOW_CLAMP" | "SO_MEMINFO" => connected && !was_set,
            // A port of its own.
            "IP_PROTOCOL" => state != State::Fresh,
            "IPV6_V6ONLY" => state != State::Fresh && known("IPV6_V6ONLY of a bound socket"),
            // The kernel counts these in ticks of 4 ms, 10 at the worst.
            "TCP_RTO_MIN_US" | "TCP_DELACK_MAX_US" => near(a, b, 10_000),
            "TCP_RTO_MAX_MS" => near(a, b, 10),
            _ => false,
        },
        (a, b) => a == b,
    }
}

fn near(a: &[u8], b: &[u8], distance: i32) -> bool {
    match (a.first_chunk(), b.first_chunk()) {
        (Some(a), Some(b)) => {
            let (a, b) = (i32::from_ne_bytes(*a), i32::from_ne_bytes(*b));
            a.abs_diff(b) <= distance.unsigned_abs()
        }
        // What was cut is not compared.
        _ => true,
    }
}

pub(crate) fn ints(ints: &[i32]) -> Vec<u8> {
    ints.iter().flat_map(|int| int.to_ne_bytes()).collect()
}

fn longs(longs: &[i64]) -> Vec<u8> {
    longs.iter().flat_map(|long| long.to_ne_bytes()).collect()
}

/// A socket of one side.
pub(crate) trait Side {
    fn set(&self, level: i32, name: i32, value: &[u8]) -> Answer;
    fn get_by(&self, level: i32, name: i32, out: Vec<u8>) -> Answer;

    fn get(&self, level: i32, name: i32, len: usize) -> Answer {
        self.get_by(level, name, vec![0xee; len])
    }
}

/// The kernel's, with what keeps it connected.
pub(crate) struct Kernel {
    pub(crate) socket: socket2::Socket,
    _others: Vec<socket2::Socket>,
    /// Calls are made without capabilities.
    ordinary: bool,
}

impl Kernel {
    /// One that is in no connection, asked with all privileges of the test.
    pub(crate) fn new(socket: socket2::Socket) -> Self {
        Self {
            socket,
            _others: Vec::new(),
            ordinary: false,
        }
    }
}

impl Side for Kernel {
    fn set(&self, level: i32, name: i32, value: &[u8]) -> Answer {
        let fd = self.socket.as_raw_fd();
        as_ordinary(self.ordinary, || set(fd, level, name, value))
    }

    fn get_by(&self, level: i32, name: i32, out: Vec<u8>) -> Answer {
        let fd = self.socket.as_raw_fd();
        as_ordinary(self.ordinary, || get(fd, level, name, out))
    }
}

/// Ours.
pub(crate) struct Ours {
    pub(crate) socket: Socket,
    _others: Vec<Socket>,
}

impl Ours {
    /// One that is in no connection.
    pub(crate) fn new(socket: Socket) -> Self {
        Self {
            socket,
            _others: Vec::new(),
        }
    }
}

impl Side for Ours {
    fn set(&self, level: i32, name: i32, value: &[u8]) -> Answer {
        let set = self.socket.set_option_raw(level, name, value);
        set.map(|()| Vec::new()).map_err(errno)
    }

    fn get_by(&self, level: i32, name: i32, mut out: Vec<u8>) -> Answer {
        let len = self.socket.option_raw(level, name, &mut out);
        len.map(|len| out[..len].to_vec()).map_err(errno)
    }
}

fn errno(error: std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}

fn set(fd: RawFd, level: i32, name: i32, value: &[u8]) -> Answer {
    let len = u32::try_from(value.len()).unwrap_or(0);
    // SAFETY: the descriptor is open, and the kernel reads `len` bytes of `value`.
    let set = unsafe { libc::setsockopt(fd, level, name, value.as_ptr().cast(), len) };
    match set {
        0 => Ok(Vec::new()),
        _ => Err(errno(std::io::Error::last_os_error())),
    }
}

fn get(fd: RawFd, level: i32, name: i32, mut out: Vec<u8>) -> Answer {
    let len = out.len();
    let mut got = u32::try_from(len).unwrap_or(0);
    // SAFETY: the descriptor is open, and the kernel writes at most `got` bytes to `out`.
    let done = unsafe { libc::getsockopt(fd, level, name, out.as_mut_ptr().cast(), &raw mut got) };
    match done {
        0 => Ok(out[..(got as usize).min(len)].to_vec()),
        _ => Err(errno(std::io::Error::last_os_error())),
    }
}

/// Makes a call on a thread of its own that has given up its capabilities first.
fn as_ordinary(ordinary: bool, call: impl FnOnce() -> Answer + Send) -> Answer {
    if !ordinary {
        return call();
    }
    let thread = std::thread::scope(|scope| {
        let made = scope.spawn(|| {
            use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
            let none = CapabilitySets {
                effective: CapabilitySet::empty(),
                permitted: CapabilitySet::empty(),
                inheritable: CapabilitySet::empty(),
            };
            set_capabilities(None, none).map_err(|error| error.raw_os_error())?;
            call()
        });
        made.join()
    });
    thread.unwrap_or(Err(0))
}

/// The two nodes, and the kernel in its namespace.
struct Pair {
    first: Node,
    second: Node,
    ordinary: bool,
    /// Streams or datagrams.
    ty: (socket2::Type, Type),
}

impl Pair {
    /// The node's settings are the kernel's.
    fn new(privileged: bool) -> Result<Self> {
        let done = std::process::Command::new("ip")
            .args(["link", "set", "lo", "mtu", "1500"])
            .status()?;
        check!(done.success(), "the loopback takes no other MTU");
        let mut config = Config {
            net_admin: privileged,
            raw_sockets: privileged,
            ..Config::default()
        };
        config.tcp_rmem = three("/proc/sys/net/ipv4/tcp_rmem")?;
        config.tcp_wmem = three("/proc/sys/net/ipv4/tcp_wmem")?;
        std::fs::write("/proc/sys/net/ipv4/tcp_congestion_control", "reno")?;
        config.tcp_congestion = "reno".into();
        let probe = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        probe.set_recv_buffer_size(1 << 30)?;
        probe.set_send_buffer_size(1 << 30)?;
        config.rmem.0 = one("/proc/sys/net/core/rmem_default")?;
        config.wmem.0 = one("/proc/sys/net/core/wmem_default")?;
        config.rmem.1 = probe.recv_buffer_size()? / 2;
        config.wmem.1 = probe.send_buffer_size()? / 2;
        let (a, b) = MemoryLink::pair_ip(MemoryConfig::default());
        let node = |link: MemoryLink, v4: &str, v6: &str| -> Result<Node> {
            let link_config = LinkConfig::new()
                .address(v4.parse()?)
                .address(v6.parse()?)
                .detect_duplicates(false);
            Ok(Node::builder()
                .config(config.clone())
                .link("mem", Box::new(link), link_config)
                .seed([7; 32])
                .build()?)
        };
        Ok(Self {
            first: node(a, "192.0.2.1/24", "2001:db8::1/64")?,
            second: node(b, "192.0.2.2/24", "2001:db8::2/64")?,
            ordinary: !privileged,
            ty: (socket2::Type::STREAM, Type::STREAM),
        })
    }

    fn kernel(&self, v6: bool, state: State) -> Result<Kernel> {
        let fresh = || -> Result<socket2::Socket> {
            let domain = if v6 {
                socket2::Domain::IPV6
            } else {
                socket2::Domain::IPV4
            };
            Ok(socket2::Socket::new(domain, self.ty.0, None)?)
        };
        let socket = fresh()?;
        let mut others = Vec::new();
        match state {
            State::Fresh | State::Accepted => {}
            State::Listening => {
                socket.bind(&loopback(v6).into())?;
                socket.listen(8)?;
            }
            State::Connected if self.ty.0 == socket2::Type::DGRAM => {
                let mut peer = loopback(v6);
                peer.set_port(9);
                socket.bind(&loopback(v6).into())?;
                socket.connect(&peer.into())?;
            }
            State::Connected => {
                let listener = fresh()?;
                listener.bind(&loopback(v6).into())?;
                listener.listen(8)?;
                socket.connect(&listener.local_addr()?)?;
                let (accepted, _) = listener.accept()?;
                others.extend([listener, accepted]);
            }
        }
        Ok(Kernel {
            socket,
            _others: others,
            ordinary: self.ordinary,
        })
    }

    fn ours(&self, v6: bool, state: State) -> Result<Ours> {
        let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new_on(&self.first, domain, self.ty.1, None)?;
        let mut others = Vec::new();
        match state {
            State::Fresh | State::Accepted => {}
            State::Listening => socket.listen(8)?,
            State::Connected if self.ty.1 == Type::DGRAM => {
                let peer: IpAddr = if v6 { "2001:db8::2" } else { "192.0.2.2" }.parse()?;
                socket.connect(SocketAddr::new(peer, 9))?;
            }
            State::Connected => {
                let listener = Socket::new_on(&self.second, domain, Type::STREAM, None)?;
                listener.listen(8)?;
                let address = self.second_address(v6, &listener)?;
                socket.connect(address)?;
                let (accepted, _) = listener.accept()?;
                others.extend([listener, accepted]);
            }
        }
        Ok(Ours {
            socket,
            _others: others,
        })
    }

    fn second_address(&self, v6: bool, listener: &Socket) -> Result<SocketAddr> {
        let ip: IpAddr = if v6 { "2001:db8::2" } else { "192.0.2.2" }.parse()?;
        Ok(SocketAddr::new(ip, listener.local_addr()?.port()))
    }

    /// A listener that `prepare` has seen, and what it has accepted.
    fn kernel_accepted(&self, v6: bool, prepare: impl Fn(&dyn Side)) -> Result<(Kernel, Kernel)> {
        let listener = self.kernel(v6, State::Listening)?;
        prepare(&listener);
        let client = self.kernel(v6, State::Fresh)?;
        client.socket.connect(&listener.socket.local_addr()?)?;
        // TCP_DEFER_ACCEPT waits for data.
        client.socket.send(b"x")?;
        let (accepted, _) = listener.socket.accept()?;
        let accepted = Kernel {
            socket: accepted,
            _others: vec![client.socket],
            ordinary: self.ordinary,
        };
        Ok((listener, accepted))
    }

    fn ours_accepted(&self, v6: bool, prepare: impl Fn(&dyn Side)) -> Result<Ours> {
        let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
        let listener = Ours {
            socket: Socket::new_on(&self.second, domain, Type::STREAM, None)?,
            _others: Vec::new(),
        };
        listener.socket.listen(8)?;
        let address = self.second_address(v6, &listener.socket)?;
        prepare(&listener);
        // What is tied to the loopback hears nothing from elsewhere.
        let over_loopback = !listener.get(1, 25, 16).is_ok_and(|name| name.is_empty());
        let client = if over_loopback {
            &self.second
        } else {
            &self.first
        };
        let client = Socket::new_on(client, domain, Type::STREAM, None)?;
        client.connect(address)?;
        client.send(b"x")?;
        let (accepted, _) = listener.socket.accept()?;
        Ok(Ours {
            socket: accepted,
            _others: vec![client, listener.socket],
        })
    }
}

fn loopback(v6: bool) -> SocketAddr {
    let ip: IpAddr = match v6 {
        true => Ipv6Addr::LOCALHOST.into(),
        false => Ipv4Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, 0)
}

/// The number in a file of the host's; another namespace may not show it.
fn one(path: &str) -> Result<usize> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().parse()?),
        Err(_) => Ok(212_992),
    }
}

/// Three numbers in a file.
fn three(path: &str) -> Result<(usize, usize, usize)> {
    let text = std::fs::read_to_string(path)?;
    let numbers: Vec<usize> = text
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    match numbers[..] {
        [a, b, c] => Ok((a, b, c)),
        _ => Err(format!("{path} has not three numbers").into()),
    }
}
