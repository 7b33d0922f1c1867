//! Node-internal sockets beside the kernel's AF_UNIX, both ends in this process.

use crate::pingpong::alternate;
use crate::{Case, Side, kernel};
use anyhow::Result;
use bytes::Bytes;
use sockeye::Node;
use sockeye::unix::{UnixDatagram, UnixStream};
use std::os::unix::net as std_net;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Bytes of one call.
const SIZE: usize = 128 << 10;
/// Bytes of a small message.
const SMALL: usize = 64;

pub(crate) fn cases() -> Result<Vec<Case>> {
    let case = |name, unit, ours: Side, base: Side| Case {
        name,
        unit,
        ours,
        base: Some(("kernel AF_UNIX", base)),
    };
    let kernel_bulk = || -> Side {
        Box::new(|time| {
            let (writer, reader) = std_net::UnixStream::pair()?;
            kernel::bulk(writer, reader, SIZE, time)
        })
    };
    Ok(vec![
        case(
            "unix stream, bulk, copied in and out",
            "Gb/s",
            Box::new(|time| {
                let (writer, reader) = UnixStream::pair_on(&node()?)?;
                kernel::bulk(writer, reader, SIZE, time)
            }),
            kernel_bulk(),
        ),
        case(
            "unix stream, bulk, handed over",
            "Gb/s",
            Box::new(hand_over),
            kernel_bulk(),
        ),
        case(
            "unix stream, 1-byte round trips, one thread",
            "1/s",
            Box::new(|time| {
                let (mut a, mut b) = UnixStream::pair_on(&node()?)?;
                alternate(&mut a, &mut b, time)
            }),
            Box::new(|time| {
                let (mut a, mut b) = std_net::UnixStream::pair()?;
                alternate(&mut a, &mut b, time)
            }),
        ),
        case(
            "unix stream, 1-byte round trips, two tasks",
            "1/s",
            Box::new(|time| {
                let node = node()?;
                tasks(time, || sockeye::tokio::UnixStream::pair_on(&node))
            }),
            Box::new(|time| tasks(time, tokio::net::UnixStream::pair)),
        ),
        case(
            "unix stream, 1-byte round trips, two threads",
            "1/s",
            Box::new(|time| {
                let (a, b) = UnixStream::pair_on(&node()?)?;
                kernel::round_trips(a, b, time)
            }),
            Box::new(|time| {
                let (a, b) = std_net::UnixStream::pair()?;
                kernel::round_trips(a, b, time)
            }),
        ),
        case(
            "unix datagrams of 64 bytes, one thread",
            "1/s",
            Box::new(|time| {
                let (a, b) = UnixDatagram::pair_on(&node()?)?;
                messages(time, |data| a.send(data), |out| b.recv(out))
            }),
            Box::new(|time| {
                let (a, b) = std_net::UnixDatagram::pair()?;
                messages(time, |data| a.send(data), |out| b.recv(out))
            }),
        ),
    ])
}

fn node() -> Result<Node> {
    Ok(Node::builder().build()?)
}

/// Gigabits a second of buffers that the receiver gets as they are.
fn hand_over(time: Duration) -> Result<f64> {
    let (writer, reader) = UnixStream::pair_on(&node()?)?;
    let reading = std::thread::spawn(move || -> Result<u64> {
        let mut total = 0;
        loop {
            match reader.recv_bytes(SIZE)?.len {
                0 => return Ok(total),
                len => total += len as u64,
            }
        }
    });
    let data = Bytes::from(vec![0x5a; SIZE]);
    let start = Instant::now();
    while start.elapsed() < time {
        writer.send_bytes(data.clone())?;
    }
    drop(writer);
    let total = reading.join().expect("the reader does not panic")?;
    Ok(total as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e9)
}

/// Round trips a second between two tasks of one thread.
pub(crate) fn tasks<S>(time: Duration, pair: impl Fn() -> std::io::Result<(S, S)>) -> Result<f64>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let (mut here, mut there) = pair()?;
        tokio::task::spawn_local(async move {
            let mut byte = [0];
            while there.read(&mut byte).await.is_ok_and(|len| len == 1)
                && there.write_all(&byte).await.is_ok()
            {}
        });
        let start = Instant::now();
        let (mut trips, mut byte) = (0_u64, [7]);
        while start.elapsed() < time {
            for _ in 0..16 {
                here.write_all(&byte).await?;
                here.read_exact(&mut byte).await?;
            }
            trips += 16;
        }
        Ok(trips as f64 / start.elapsed().as_secs_f64())
    })
}

/// Messages a second, each read right after it was sent.
fn messages(
    time: Duration,
    send: impl Fn(&[u8]) -> std::io::Result<usize>,
    receive: impl Fn(&mut [u8]) -> std::io::Result<usize>,
) -> Result<f64> {
    let start = Instant::now();
    let (mut count, mut out) = (0_u64, [0; SMALL]);
    while start.elapsed() < time {
        for _ in 0..64 {
            send(&out)?;
            receive(&mut out)?;
        }
        count += 64;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}
