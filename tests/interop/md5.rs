//! TCP's MD5 signatures (RFC 2385) against the kernel's, over TAP: who has the key is heard, on both
//! sides, and nobody else.

use crate::tap::{self, KERNEL_V4, KERNEL_V6, LIMIT, NODE_V4, NODE_V6, Stream, carry};
use sockeye::drivers::netem::{Netem, NetemConfig};
use sockeye::{Counter, Domain, Node, Socket, Type};
use sockeye_tests::{Outcome, Result, Test, check, ignore, in_namespace, tests};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = tests![
    signed_connections_both_ways,
    signed_connections_with_loss,
    who_has_another_key_gets_no_answer,
];

const KEY: &[u8] = b"a key of both";
const ENDS: [(&str, &str); 2] = [(KERNEL_V4, NODE_V4), (KERNEL_V6, NODE_V6)];

/// TCP_MD5SIG on a socket of the kernel.
fn set_key(socket: &impl AsRawFd, peer: IpAddr, key: &[u8]) -> std::io::Result<()> {
    // struct tcp_md5sig: an address of 128 bytes, two bytes, the key's length, four bytes, the key.
    let mut value = [0u8; 216];
    match peer {
        IpAddr::V4(ip) => {
            value[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
            value[4..8].copy_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            value[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            value[8..24].copy_from_slice(&ip.octets());
        }
    }
    value[130..132].copy_from_slice(&(key.len() as u16).to_ne_bytes());
    value[136..136 + key.len()].copy_from_slice(key);
    // SAFETY: setsockopt reads `value.len()` bytes from `value`, which lives through the call.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_MD5SIG,
            value.as_ptr().cast(),
            value.len() as libc::socklen_t,
        )
    };
    match set {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// A node, and a kernel that has signatures.
macro_rules! node {
    ($shape:expr) => {{
        let probe = TcpListener::bind("127.0.0.1:0")?;
        if let Err(error) = set_key(&probe, [127, 0, 0, 1].into(), b"k") {
            return ignore!("this kernel has no TCP_MD5SIG: {error}");
        }
        match tap::open($shape)? {
            Ok(node) => node,
            Err(reason) => return ignore!("{reason}"),
        }
    }};
}

/// A socket of the kernel with a key for `peer`, connected to `to`.
fn kernel_connects(to: SocketAddr, key: &[u8], limit: Duration) -> std::io::Result<TcpStream> {
    let domain = socket2::Domain::for_address(to);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    set_key(&socket, to.ip(), key)?;
    socket.connect_timeout(&to.into(), limit)?;
    Ok(socket.into())
}

/// A socket of the node with a key for the kernel's address.
fn socket(node: &Node, peer: IpAddr, key: &[u8]) -> std::io::Result<Socket> {
    let domain = Domain::for_address(SocketAddr::new(peer, 0));
    let socket = Socket::new_on(node, domain, Type::STREAM, None)?;
    socket.add_md5_key(peer, key)?;
    Ok(socket)
}

/// Text from the node to the kernel over a connection that the node opens, then the other way.
fn both_ways(node: &Node, len: usize) -> Result {
    for (kernel, ours) in ENDS {
        let (kernel, ours): (IpAddr, IpAddr) = (kernel.parse()?, ours.parse()?);
        let listener = TcpListener::bind((kernel, 0))?;
        set_key(&listener, ours, KEY)?;
        let opened = socket(node, kernel, KEY)?;
        opened.connect(listener.local_addr()?)?;
        carry(
            Stream(Arc::new(opened)),
            |s| s.0.shutdown(Shutdown::Write),
            listener.accept()?.0,
            len,
        )
        .map_err(|e| format!("node to kernel, {ours}: {e}"))?;

        let listening = socket(node, kernel, KEY)?;
        let to = SocketAddr::new(ours, 7000);
        listening.bind(to)?;
        listening.listen(16)?;
        let stream = kernel_connects(to, KEY, Duration::from_secs(10))?;
        let (accepted, _) = listening.accept()?;
        carry(
            stream,
            |s| s.shutdown(Shutdown::Write),
            Stream(Arc::new(accepted)),
            len,
        )
        .map_err(|e| format!("kernel to node, {ours}: {e}"))?;
    }
    let counters = node.counters()?;
    for bad in [
        Counter::TcpExtTCPMD5Failure,
        Counter::TcpExtTCPMD5NotFound,
        Counter::TcpExtTCPMD5Unexpected,
    ] {
        check!(
            counters.get(bad) == 0,
            "{} segments were dropped as {}",
            counters.get(bad),
            bad.name()
        );
    }
    Ok(Outcome::Passed)
}

fn signed_connections_both_ways() -> Result {
    in_namespace("interop::md5::signed_connections_both_ways", LIMIT, || {
        let node = node!(|tap| Box::new(tap));
        both_ways(&node, 16 << 20)
    })
}

fn signed_connections_with_loss() -> Result {
    in_namespace("interop::md5::signed_connections_with_loss", LIMIT, || {
        let node = node!(|tap| {
            let mut config = NetemConfig::default();
            for (key, value) in [
                ("delay", "5ms"),
                ("loss", "1%"),
                ("reorder", "1%"),
                ("limit", "10000"),
            ] {
                config.set(key, value).expect("netem's own words");
            }
            Box::new(Netem::new(tap, config, 42))
        });
        both_ways(&node, 2 << 20)
    })
}

fn who_has_another_key_gets_no_answer() -> Result {
    in_namespace(
        "interop::md5::who_has_another_key_gets_no_answer",
        LIMIT,
        || {
            let node = node!(|tap| Box::new(tap));
            let (kernel, ours): (IpAddr, IpAddr) = (KERNEL_V4.parse()?, NODE_V4.parse()?);
            let wait = Duration::from_millis(1500);
            // The kernel asks, with another key and without one.
            let listening = socket(&node, kernel, KEY)?;
            let to = SocketAddr::new(ours, 7000);
            listening.bind(to)?;
            listening.listen(16)?;
            let wrong = kernel_connects(to, b"another key", wait);
            check!(
                wrong
                    .as_ref()
                    .is_err_and(|e| e.kind() == std::io::ErrorKind::TimedOut),
                "the node answered a wrong signature: {wrong:?}"
            );
            let unsigned = TcpStream::connect_timeout(&to, wait);
            check!(
                unsigned
                    .as_ref()
                    .is_err_and(|e| e.kind() == std::io::ErrorKind::TimedOut),
                "the node answered without a signature: {unsigned:?}"
            );
            let counters = node.counters()?;
            check!(
                counters.get(Counter::TcpExtTCPMD5Failure) >= 1
                    && counters.get(Counter::TcpExtTCPMD5NotFound) >= 1,
                "what was dropped was not counted"
            );
            // The node asks.
            let listener = TcpListener::bind((kernel, 0))?;
            set_key(&listener, ours, KEY)?;
            let asking = socket(&node, kernel, b"another key")?;
            asking.set_tcp_user_timeout(Some(wait))?;
            let wrong = asking.connect(listener.local_addr()?);
            check!(
                wrong
                    .as_ref()
                    .is_err_and(|e| e.kind() == std::io::ErrorKind::TimedOut),
                "the kernel answered a wrong signature: {wrong:?}"
            );
            // A reset of the kernel's that is signed is heard.
            let opened = socket(&node, kernel, KEY)?;
            opened.connect(listener.local_addr()?)?;
            let (stream, _) = listener.accept()?;
            let stream = socket2::Socket::from(stream);
            stream.set_linger(Some(Duration::ZERO))?;
            drop(stream);
            opened.set_read_timeout(Some(Duration::from_secs(5)))?;
            let reset = opened.recv(&mut [0; 1]);
            check!(
                reset
                    .as_ref()
                    .is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset),
                "the kernel's reset did not arrive: {reset:?}"
            );
            Ok(Outcome::Passed)
        },
    )
}
