//! Bulk both ways between a node and the kernel, over a TUN device with offloads.

use crate::{Case, kernel, pin};
use anyhow::{Context, Result, ensure};
use sockeye::drivers::Tun;
use sockeye::link::Medium;
use sockeye::{LinkConfig, Node};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

const SIZE: usize = 128 << 10;
const DEVICE: &str = "sockeye0";

pub(crate) fn cases() -> Result<Vec<Case>> {
    // Told once, before the first round.
    in_namespace(|| device().map(drop))?;
    let case = |name, outward| Case {
        name,
        unit: "Gb/s",
        ours: Box::new(move |time| in_namespace(move || bulk(outward, time))),
        base: Some((
            "kernel loopback TCP, CUBIC",
            Box::new(|time| {
                let (client, server) = kernel::pair()?;
                kernel::bulk(client, server, SIZE, time)
            }),
        )),
    };
    Ok(vec![
        case("TUN with offloads, node to kernel", true),
        case("TUN with offloads, kernel to node", false),
    ])
}

/// Runs `work` on a thread of its own in a network namespace of its own.
pub(crate) fn in_namespace<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let thread = std::thread::spawn(move || {
        pin::nowhere();
        // SAFETY: unshare with CLONE_NEWNET changes the calling thread's namespace and no memory.
        let unshared = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        ensure!(
            unshared == 0,
            "a network namespace needs root: {}",
            std::io::Error::last_os_error()
        );
        work()
    });
    thread.join().expect("the thread does not panic")
}

fn device() -> Result<Node> {
    let tun = Tun::open(DEVICE, Medium::Ip)?;
    for words in [
        "addr add 192.0.2.1/24 dev sockeye0",
        "link set sockeye0 up",
        "link set lo up",
    ] {
        let status = Command::new("ip")
            .args(words.split(' '))
            .status()
            .context("ip (iproute2) is needed")?;
        ensure!(status.success(), "`ip {words}` ended with {status}");
    }
    let config = LinkConfig::new().address("192.0.2.2/24".parse()?);
    Ok(Node::builder().link("tun", Box::new(tun), config).build()?)
}

/// Round trips of one byte a second between a node's socket and the kernel's, each end in a thread
/// that sleeps while it waits.
pub(crate) fn round_trips(time: Duration) -> Result<f64> {
    in_namespace(move || {
        let node = device()?;
        let listener = TcpListener::bind("192.0.2.1:7000")?;
        let stream = sockeye::net::TcpStream::connect_on(&node, "192.0.2.1:7000")?;
        let (kernel, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        kernel.set_nodelay(true)?;
        kernel::round_trips(stream, kernel, time)
    })
}

fn bulk(outward: bool, time: Duration) -> Result<f64> {
    let node = device()?;
    if outward {
        let listener = TcpListener::bind("192.0.2.1:7000")?;
        socket2::SockRef::from(&listener).set_tcp_congestion(b"cubic")?;
        let stream = sockeye::net::TcpStream::connect_on(&node, "192.0.2.1:7000")?;
        kernel::bulk(stream, listener.accept()?.0, SIZE, time)
    } else {
        let listener = sockeye::net::TcpListener::bind_on(&node, "192.0.2.2:7000")?;
        let client = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        client.set_tcp_congestion(b"cubic")?;
        client.connect(&"192.0.2.2:7000".parse::<std::net::SocketAddr>()?.into())?;
        kernel::bulk(
            std::net::TcpStream::from(client),
            listener.accept()?.0,
            SIZE,
            time,
        )
    }
}
