//! The library over TAP against the kernel's TCP, in a namespace of the test's own.

use crate::host::{pattern, read_all, read_request};
use crate::run::{PYTHON, need};
use sha2::{Digest, Sha256};
use sockeye::drivers::netem::{Netem, NetemConfig};
use sockeye::drivers::{Tun, local_address};
use sockeye::link::{Link, Medium};
use sockeye::{Counter, FastOpenMode, LinkConfig, Node, Socket};
use sockeye_tests::{
    Outcome, Program, Result, Test, check, have, ignore, in_namespace, recorded, sockeye, tests,
};
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = tests![
    one_gib_each_way_over_ipv4,
    one_gib_each_way_over_ipv6,
    sixteen_mib_each_way_with_loss_delay_and_reordering,
    a_thousand_connections_leave_nothing,
    programs_on_a_tap_device,
    syn_cookies_serve_the_kernel,
];

pub(crate) const KERNEL_V4: &str = "192.0.2.1";
pub(crate) const NODE_V4: &str = "192.0.2.2";
pub(crate) const KERNEL_V6: &str = "2001:db8::1";
pub(crate) const NODE_V6: &str = "2001:db8::2";
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
/// Time that a connection stays in TIME-WAIT here: the node's own setting, shortened.
const TIME_WAIT: Duration = Duration::from_millis(500);

/// A node on a TAP whose other side the kernel has, or why there can be none.
pub(crate) fn open(shape: impl FnOnce(Tun) -> Box<dyn Link>) -> Result<Result<Node, String>> {
    open_with(|tap| recorded(shape(tap)), |config| config)
}

/// The same, on a link with another configuration, and without a capture.
pub(crate) fn open_with(
    shape: impl FnOnce(Tun) -> Result<Box<dyn Link>>,
    configure: impl FnOnce(LinkConfig) -> LinkConfig,
) -> Result<Result<Node, String>> {
    let medium = Medium::Ethernet(local_address(&[7; 32], 0));
    let tap = match Tun::open("sockeye0", medium) {
        Ok(tap) => tap,
        Err(error) => return Ok(Err(format!("no TAP device can be opened: {error}"))),
    };
    for words in [
        "link set sockeye0 up".to_owned(),
        format!("addr add {KERNEL_V4}/24 dev sockeye0"),
        // `nodad`: the address is usable at once.
        format!("addr add {KERNEL_V6}/64 dev sockeye0 nodad"),
    ] {
        Program::new("ip").args(words.split(' ')).run()?.expect(0)?;
    }
    let config = LinkConfig::new()
        .address(format!("{NODE_V4}/24").parse()?)
        .address(format!("{NODE_V6}/64").parse()?)
        // Nobody else is on this wire: the address may be used at once.
        .detect_duplicates(false);
    let mut settings = sockeye::Config {
        tcp_time_wait: TIME_WAIT,
        tcp_fast_open: FastOpenMode::CLIENT | FastOpenMode::SERVER,
        ..sockeye::Config::default()
    };
    // What groups it is in it says at once: later it would be counted among other things.
    settings.interfaces.default.v6.report_interval = Duration::from_millis(1);
    let node = Node::builder()
        .config(settings)
        .link("tap", shape(tap)?, configure(config))
        .build()?;
    Ok(Ok(node))
}

macro_rules! node {
    ($shape:expr) => {
        match $crate::tap::open($shape)? {
            Ok(node) => node,
            Err(reason) => return ignore!("{reason}"),
        }
    };
}

pub(crate) use node;

fn one_gib_each_way_over_ipv4() -> Result {
    in_namespace("interop::tap::one_gib_each_way_over_ipv4", LIMIT, || {
        let node = node!(|tap| Box::new(tap));
        in_super_segments(&node, KERNEL_V4, NODE_V4)
    })
}

fn one_gib_each_way_over_ipv6() -> Result {
    in_namespace("interop::tap::one_gib_each_way_over_ipv6", LIMIT, || {
        let node = node!(|tap| Box::new(tap));
        in_super_segments(&node, KERNEL_V6, NODE_V6)
    })
}

fn sixteen_mib_each_way_with_loss_delay_and_reordering() -> Result {
    in_namespace(
        "interop::tap::sixteen_mib_each_way_with_loss_delay_and_reordering",
        LIMIT,
        || {
            let node = node!(|tap| {
                let mut config = NetemConfig::default();
                for (key, value) in [
                    ("delay", "10ms"),
                    ("loss", "1%"),
                    ("reorder", "1%"),
                    ("limit", "10000"),
                ] {
                    config.set(key, value).expect("netem's own words");
                }
                Box::new(Netem::new(tap, config, 42))
            });
            both_ways(&node, KERNEL_V4, NODE_V4, 16 << 20)
        },
    )
}

/// One GiB each way, which crosses the device in far fewer packets than it has segments.
fn in_super_segments(node: &Node, kernel: &str, ours: &str) -> Result {
    let (segments, before) = (node.counters()?.get(Counter::TcpOutSegs), packets()?.0);
    to_the_kernel(node, kernel, 1 << 30)?;
    let segments = node.counters()?.get(Counter::TcpOutSegs) - segments;
    let packets_in = packets()?.0 - before;
    check!(
        packets_in * 4 < segments,
        "{segments} segments left in {packets_in} packets"
    );
    let (segments, before) = (node.counters()?.get(Counter::TcpInSegs), packets()?.1);
    from_the_kernel(node, ours, 1 << 30)?;
    let segments = node.counters()?.get(Counter::TcpInSegs) - segments;
    let packets_out = packets()?.1 - before;
    check!(
        packets_out * 4 < segments,
        "{segments} segments came in {packets_out} packets"
    );
    Ok(Outcome::Passed)
}

/// Packets that the kernel's side of the device has received and sent; a super-segment is one.
fn packets() -> Result<(u64, u64)> {
    let devices = std::fs::read_to_string("/proc/net/dev")?;
    let line = devices
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("sockeye0:"))
        .ok_or("the device is not listed")?;
    // Bytes, packets and six more of what was received; then the same of what was sent.
    let fields: Vec<&str> = line.split_whitespace().collect();
    Ok((fields[1].parse()?, fields[9].parse()?))
}

/// Sends `len` bytes from the node to the kernel and `len` back; both hashes must be right.
pub(crate) fn both_ways(node: &Node, kernel: &str, ours: &str, len: usize) -> Result {
    to_the_kernel(node, kernel, len)?;
    from_the_kernel(node, ours, len)?;
    Ok(Outcome::Passed)
}

pub(crate) fn to_the_kernel(node: &Node, kernel: &str, len: usize) -> Result<()> {
    let listener = TcpListener::bind((kernel.parse::<IpAddr>()?, 0))?;
    let stream = sockeye::net::TcpStream::connect_on(node, listener.local_addr()?)?;
    carry(
        stream,
        |s| s.shutdown(Shutdown::Write),
        listener.accept()?.0,
        len,
    )
    .map_err(|e| format!("node to kernel: {e}").into())
}

pub(crate) fn from_the_kernel(node: &Node, ours: &str, len: usize) -> Result<()> {
    let listener = sockeye::net::TcpListener::bind_on(node, SocketAddr::new(ours.parse()?, 7000))?;
    let stream = TcpStream::connect(SocketAddr::new(ours.parse()?, 7000))?;
    carry(
        stream,
        |s| s.shutdown(Shutdown::Write),
        listener.accept()?.0,
        len,
    )
    .map_err(|e| format!("kernel to node: {e}").into())
}

/// A socket of the node as a stream, which a test may keep as well.
pub(crate) struct Stream(pub(crate) Arc<Socket>);

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.recv(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) fn carry<W: Write, R: Read + Send + 'static>(
    mut writer: W,
    end: impl FnOnce(&W) -> std::io::Result<()>,
    mut reader: R,
    len: usize,
) -> Result<()> {
    // One mebibyte that repeats, each time from another offset: no two of 64 KiB are alike.
    let block = pattern((1 << 20) + 4096);
    let reading = std::thread::spawn(move || -> std::io::Result<(usize, Vec<u8>)> {
        let (mut hash, mut total, mut buffer) = (Sha256::new(), 0, vec![0; 256 << 10]);
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok((total, hash.finalize().to_vec())),
                len => {
                    hash.update(&buffer[..len]);
                    total += len;
                }
            }
        }
    });
    let mut hash = Sha256::new();
    for n in 0..len >> 20 {
        let piece = &block[n % 4096..][..1 << 20];
        hash.update(piece);
        writer.write_all(piece)?;
    }
    end(&writer)?;
    let (total, read) = reading.join().map_err(|_| "the reader panicked")??;
    check!(total == len, "{total} of {len} bytes arrived");
    check!(read == hash.finalize().to_vec(), "other bytes arrived");
    Ok(())
}

fn a_thousand_connections_leave_nothing() -> Result {
    in_namespace(
        "interop::tap::a_thousand_connections_leave_nothing",
        LIMIT,
        || {
            const COUNT: usize = 1000;
            let node = node!(|tap| Box::new(tap));
            let before = node.sockets()?.len();
            // Outward: all open at once, all used, all closed at once.
            let listener = TcpListener::bind((KERNEL_V4.parse::<IpAddr>()?, 0))?;
            let to = listener.local_addr()?;
            let echo = std::thread::spawn(move || -> std::io::Result<()> {
                let streams = (0..COUNT)
                    .map(|_| Ok(listener.accept()?.0))
                    .collect::<std::io::Result<Vec<_>>>()?;
                for mut stream in &streams {
                    let mut bytes = [0; 5];
                    stream.read_exact(&mut bytes)?;
                    stream.write_all(&bytes)?;
                }
                Ok(())
            });
            let mut streams = Vec::new();
            for n in 0..COUNT {
                let mut stream = sockeye::net::TcpStream::connect_on(&node, to)?;
                stream.write_all(format!("{n:05}").as_bytes())?;
                streams.push(stream);
            }
            for (n, stream) in streams.iter_mut().enumerate() {
                let mut bytes = [0; 5];
                stream.read_exact(&mut bytes)?;
                check!(
                    bytes == format!("{n:05}").as_bytes(),
                    "connection {n} answered {bytes:?}"
                );
            }
            drop(streams);
            echo.join().map_err(|_| "the echo server panicked")??;
            // Inward, likewise.
            let listener =
                sockeye::net::TcpListener::bind_on(&node, SocketAddr::new(NODE_V4.parse()?, 7000))?;
            let clients = std::thread::spawn(|| -> std::io::Result<()> {
                let to = SocketAddr::new(NODE_V4.parse().expect("an address"), 7000);
                let mut streams = (0..COUNT)
                    .map(|_| TcpStream::connect(to))
                    .collect::<std::io::Result<Vec<_>>>()?;
                for stream in &mut streams {
                    stream.write_all(b"hello")?;
                    stream.shutdown(Shutdown::Write)?;
                }
                for stream in &streams {
                    if read_all(stream).map_err(|e| std::io::Error::other(e.to_string()))?
                        != b"hello"
                    {
                        return Err(std::io::Error::other("another answer than hello"));
                    }
                }
                Ok(())
            });
            let mut streams = Vec::new();
            for _ in 0..COUNT {
                streams.push(listener.accept()?.0);
            }
            for mut stream in streams {
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes)?;
                stream.write_all(&bytes)?;
            }
            clients.join().map_err(|_| "the clients panicked")??;
            drop(listener);
            let end = Instant::now() + Duration::from_secs(20);
            while node.sockets()?.len() > before {
                check!(
                    Instant::now() < end,
                    "the node still holds {} sockets: {:?}",
                    node.sockets()?.len(),
                    node.sockets()?.first()
                );
                std::thread::sleep(Duration::from_millis(50));
            }
            Ok(Outcome::Passed)
        },
    )
}

/// `sockeye run --link tap:…`: a program on the node reaches the kernel, and the kernel a program.
fn programs_on_a_tap_device() -> Result {
    in_namespace("interop::tap::programs_on_a_tap_device", LIMIT, || {
        need!("curl", PYTHON);
        let made = Program::new("ip")
            .args("tuntap add mode tap name sockeye0".split(' '))
            .run()?;
        if made.code != Some(0) {
            return ignore!("no TAP device can be made: {}", made.stderr_text().trim());
        }
        for words in [
            "link set sockeye0 up".to_owned(),
            format!("addr add {KERNEL_V4}/24 dev sockeye0"),
        ] {
            Program::new("ip").args(words.split(' ')).run()?.expect(0)?;
        }
        programs_on(&format!("tap:sockeye0,addr={NODE_V4}/24"))
    })
}

/// A program on a node with this link fetches from the kernel, and another serves it.
pub(crate) fn programs_on(link: &str) -> Result {
    let run = |program: &[&str]| -> Result<Program> {
        Ok(Program::new(sockeye()?)
            .args(["run", "--link", link, "--"])
            .args(program))
    };
    let listener = TcpListener::bind((KERNEL_V4.parse::<IpAddr>()?, 0))?;
    let url = format!("http://{}/", listener.local_addr()?);
    let serving = std::thread::spawn(move || -> std::io::Result<SocketAddr> {
        let (mut stream, from) = listener.accept()?;
        read_request(&mut stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nkernel")?;
        Ok(from)
    });
    let output = run(&["curl", "-s", &url])?.run()?.expect(0)?;
    check!(
        output.stdout_text() == "kernel",
        "curl fetched {:?}",
        output.stdout_text()
    );
    let from = serving.join().map_err(|_| "the server panicked")??;
    check!(
        from.ip() == NODE_V4.parse::<IpAddr>()?,
        "curl came from {from}"
    );
    let serve = "import socket; s = socket.create_server(('', 7000)); print('up', flush=True); \
                 c, a = s.accept(); c.sendall(a[0].encode()); c.close()";
    let mut server = run(&[PYTHON, "-c", serve])?;
    server.command().stdout(std::process::Stdio::piped());
    let mut server = server.start()?;
    let mut up = [0; 3];
    server
        .0
        .stdout
        .take()
        .ok_or("a pipe")?
        .read_exact(&mut up)?;
    let seen = read_all(&TcpStream::connect((NODE_V4.parse::<IpAddr>()?, 7000))?)?;
    check!(
        seen == KERNEL_V4.as_bytes(),
        "the program saw {:?}",
        String::from_utf8_lossy(&seen)
    );
    check!(server.0.wait()?.success(), "the program on the node failed");
    Ok(Outcome::Passed)
}

/// Every connection by a cookie: the kernel's timestamps bring back scale and SACK.
fn syn_cookies_serve_the_kernel() -> Result {
    in_namespace("interop::tap::syn_cookies_serve_the_kernel", LIMIT, || {
        let node = node!(|tap| Box::new(tap));
        let mut settings = node.config()?;
        settings.set_sysctl("net.ipv4.tcp_syncookies", "2")?;
        node.set_config(settings)?;
        let listener =
            sockeye::net::TcpListener::bind_on(&node, SocketAddr::new(NODE_V4.parse()?, 7000))?;
        let stream = TcpStream::connect(listener.local_addr()?)?;
        let accepted = listener.accept()?.0;
        check!(
            node.counters()?.get(Counter::TcpExtSyncookiesRecv) == 1,
            "no cookie came back"
        );
        carry(stream, |s| s.shutdown(Shutdown::Write), accepted, 16 << 20)?;
        Ok(Outcome::Passed)
    })
}
