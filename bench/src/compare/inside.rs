//! What both ends in this process do, on sockeye and on the kernel: without I/O, with the blocking
//! interface, with tokio's.

use crate::nodes::{Kind, pair};
use crate::pin;
use anyhow::Result;
use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::{LinkConfig, Node};
use sockeye_cost::nodes::Link;
use sockeye_cost::pair::Pair;
use std::future::Future;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes of one call.
const SIZE: usize = 128 << 10;
/// Bytes of a datagram.
const DATAGRAM: usize = 1400;
/// Connections before the nodes are made anew: their client's ends stay in TIME-WAIT, as they must,
/// and ports run out.
const CONNECTIONS: u32 = 10_000;

fn rate(count: u64, start: Instant) -> f64 {
    count as f64 / start.elapsed().as_secs_f64()
}

/// Gigabits a second between nodes without I/O, in one thread.
pub(crate) fn bulk(link: Link, time: Duration) -> Result<f64> {
    const ONCE: u64 = 1 << 20;
    let mut pair = Pair::new(link);
    let (client, server) = pair.connect();
    let (start, mut bytes) = (Instant::now(), 0);
    while start.elapsed() < time {
        pair.send(client, server, ONCE);
        bytes += ONCE;
    }
    Ok(rate(bytes, start) * 8.0 / 1e9)
}

/// Round trips of one byte a second between nodes without I/O, in one thread.
pub(crate) fn round_trips(time: Duration) -> Result<f64> {
    let mut pair = Pair::new(Link::Wire);
    let (client, server) = pair.connect();
    let (start, mut trips) = (Instant::now(), 0);
    while start.elapsed() < time {
        pair.exchange(client, server, 64);
        trips += 64;
    }
    Ok(rate(trips, start))
}

/// Connections a second between nodes without I/O, in one thread.
pub(crate) fn connections(time: Duration) -> Result<f64> {
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < time {
        let mut nodes = Pair::new(Link::Wire);
        for _ in 0..CONNECTIONS {
            if start.elapsed() >= time {
                break;
            }
            let (client, server) = nodes.connect();
            nodes.close(client, server);
            count += 1;
        }
    }
    Ok(rate(count, start))
}

/// Connections a second with the blocking interface, in one thread.
pub(crate) fn blocking_connections(time: Duration) -> Result<f64> {
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < time {
        let nodes = pair(Kind::Wire)?;
        for _ in 0..CONNECTIONS {
            if start.elapsed() >= time {
                break;
            }
            let client = sockeye::net::TcpStream::connect_on(&nodes.nodes.0, "192.0.2.2:7000")?;
            let (server, _) = nodes.listener.accept()?;
            drop(client);
            drop(server);
            count += 1;
        }
    }
    Ok(rate(count, start))
}

/// The same of the kernel.
pub(crate) fn kernel_connections(time: Duration) -> Result<f64> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let to = listener.local_addr()?;
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < time {
        let client = std::net::TcpStream::connect(to)?;
        let (server, _) = listener.accept()?;
        drop(client);
        drop(server);
        count += 1;
    }
    Ok(rate(count, start))
}

/// Two nodes, joined.
fn nodes(config: MemoryConfig) -> Result<(Node, Node)> {
    let (a, b) = MemoryLink::pair_ip(config);
    let node = |link, address: &str| -> Result<Node> {
        let config = LinkConfig::new().address(address.parse()?);
        Ok(Node::builder()
            .link("mem", Box::new(link), config)
            .build()?)
    };
    Ok((node(a, "192.0.2.1/24")?, node(b, "192.0.2.2/24")?))
}

fn wire() -> MemoryConfig {
    MemoryConfig {
        mtu: 1500,
        ..MemoryConfig::without_offloads()
    }
}

/// Datagrams a second that are sent and received in one thread, a few at a time.
fn exchange(
    time: Duration,
    send: impl Fn(&[u8]) -> std::io::Result<usize>,
    receive: impl Fn(&mut [u8]) -> std::io::Result<usize>,
) -> Result<f64> {
    const TOGETHER: u64 = 16;
    let data = [0x5a; DATAGRAM];
    let mut out = [0; 2048];
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < time {
        for _ in 0..TOGETHER {
            send(&data)?;
        }
        for _ in 0..TOGETHER {
            receive(&mut out)?;
        }
        count += TOGETHER;
    }
    Ok(rate(count, start))
}

/// UDP over a memory link, MTU 1500, with checksums.
pub(crate) fn datagrams(time: Duration) -> Result<f64> {
    let (here, there) = nodes(wire())?;
    let from = sockeye::net::UdpSocket::bind_on(&here, "192.0.2.1:7000")?;
    let to = sockeye::net::UdpSocket::bind_on(&there, "192.0.2.2:7000")?;
    from.connect("192.0.2.2:7000")?;
    exchange(time, |data| from.send(data), |out| to.recv(out))
}

/// UDP over the kernel's loopback.
pub(crate) fn kernel_datagrams(time: Duration) -> Result<f64> {
    let from = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let to = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    from.connect(to.local_addr()?)?;
    exchange(time, |data| from.send(data), |out| to.recv(out))
}

/// The same, through tokio.
pub(crate) fn tokio_datagrams(time: Duration) -> Result<f64> {
    const TOGETHER: u64 = 16;
    on_one_thread(async {
        let from = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let to = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        from.connect(to.local_addr()?).await?;
        let data = [0x5a; DATAGRAM];
        let mut out = [0; 2048];
        let (start, mut count) = (Instant::now(), 0);
        while start.elapsed() < time {
            for _ in 0..TOGETHER {
                from.send(&data).await?;
            }
            for _ in 0..TOGETHER {
                to.recv(&mut out).await?;
            }
            count += TOGETHER;
        }
        Ok(rate(count, start))
    })
}

/// Runs a future, and the tasks it starts, on this thread.
fn on_one_thread<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    pin::acting();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

/// How a stream is used by two tasks of one thread.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Use {
    /// One writes, the other reads: gigabits a second.
    Bulk,
    /// A byte there and back: round trips a second.
    Trips,
}

/// Two tasks over sockeye's streams for tokio.
pub(crate) fn tokio_ours(jumbo: bool, how: Use, time: Duration) -> Result<f64> {
    on_one_thread(async {
        let config = if jumbo {
            MemoryConfig {
                mtu: 65_535,
                ..MemoryConfig::default()
            }
        } else {
            wire()
        };
        let (here, there) = nodes(config)?;
        let listener = sockeye::tokio::TcpListener::bind_on(&there, "192.0.2.2:7000").await?;
        let client = sockeye::tokio::TcpStream::connect_on(&here, "192.0.2.2:7000").await?;
        let (server, _) = listener.accept().await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        tasks(client, server, how, time).await
    })
}

/// Two tasks over the kernel's loopback.
pub(crate) fn tokio_kernel(how: Use, time: Duration) -> Result<f64> {
    on_one_thread(async {
        let (client, server) = crate::kernel::pair()?;
        let stream = |stream: std::net::TcpStream| {
            stream.set_nonblocking(true)?;
            tokio::net::TcpStream::from_std(stream)
        };
        tasks(stream(client)?, stream(server)?, how, time).await
    })
}

async fn tasks<S>(mut here: S, mut there: S, how: Use, time: Duration) -> Result<f64>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let answering = tokio::task::spawn_local(async move {
        let mut out = vec![0; SIZE];
        let mut total = 0_u64;
        loop {
            match there.read(&mut out).await? {
                0 => return anyhow::Ok(total),
                len => total += len as u64,
            }
            if matches!(how, Use::Trips) {
                there.write_all(&out[..1]).await?;
            }
        }
    });
    let data = vec![0x5a; SIZE];
    let mut byte = [7];
    let start = Instant::now();
    while start.elapsed() < time {
        match how {
            Use::Bulk => here.write_all(&data).await?,
            Use::Trips => {
                for _ in 0..16 {
                    here.write_all(&byte).await?;
                    here.read_exact(&mut byte).await?;
                }
            }
        }
    }
    here.shutdown().await?;
    let total = answering.await??;
    Ok(match how {
        Use::Bulk => rate(total, start) * 8.0 / 1e9,
        Use::Trips => rate(total, start),
    })
}
