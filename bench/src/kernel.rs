//! The kernel's side: loopback TCP with CUBIC.

use crate::pin;
use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Makes sure that sockets of this process may use CUBIC.
pub(crate) fn choose_cubic() -> Result<()> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    Ok(socket.set_tcp_congestion(b"cubic")?)
}

/// A connected pair over the kernel's loopback.
pub(crate) fn pair() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket2::SockRef::from(&listener).set_tcp_congestion(b"cubic")?;
    let client = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    client.set_tcp_congestion(b"cubic")?;
    client.connect(&listener.local_addr()?.into())?;
    let (server, _) = listener.accept()?;
    let client = TcpStream::from(client);
    ensure!(
        socket2::SockRef::from(&client)
            .tcp_congestion()?
            .starts_with(b"cubic"),
        "the kernel did not take CUBIC"
    );
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    Ok((client, server))
}

/// Gigabits a second from `writer` to `reader` in `time`, with calls of `size` bytes; the reader
/// has a thread of its own.
pub(crate) fn bulk<W, R>(mut writer: W, mut reader: R, size: usize, time: Duration) -> Result<f64>
where
    W: Write,
    R: Read + Send + 'static,
{
    let reading = std::thread::spawn(move || -> Result<u64> {
        pin::answering();
        let mut buffer = vec![0; size];
        let mut total = 0;
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(total),
                len => total += len as u64,
            }
        }
    });
    let data = vec![0x5a; size];
    let start = Instant::now();
    while start.elapsed() < time {
        writer.write_all(&data).context("writing")?;
    }
    // Dropping ends the stream; the clock stops when the last byte was read.
    drop(writer);
    let total = reading.join().expect("the reader does not panic")?;
    Ok(total as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e9)
}

/// Round trips a second of one byte between two blocking ends on two threads.
pub(crate) fn round_trips<A, B>(mut here: A, mut there: B, time: Duration) -> Result<f64>
where
    A: Read + Write,
    B: Read + Write + Send + 'static,
{
    let answering = std::thread::spawn(move || {
        pin::answering();
        let mut byte = [0];
        while there.read(&mut byte).is_ok_and(|len| len == 1) && there.write_all(&byte).is_ok() {}
    });
    let start = Instant::now();
    let mut trips = 0_u64;
    let mut byte = [7];
    while start.elapsed() < time {
        for _ in 0..16 {
            here.write_all(&byte)?;
            here.read_exact(&mut byte)?;
        }
        trips += 16;
    }
    let rate = trips as f64 / start.elapsed().as_secs_f64();
    drop(here);
    answering.join().expect("the answering side does not panic");
    Ok(rate)
}
