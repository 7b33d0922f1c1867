//! Carries one connection's bytes between the node and the host, both ways.
//!
//! At most one buffer a direction is held. The end of one direction is passed on while the other
//! goes on; a reset on either side becomes a reset on the other. Urgent data crosses in its place.
//! What the node has sent is still carried when its program has ended ([`Outward`]).

use crate::{ends, sys};
use socket2::SockRef;
use sockeye::tokio::{OwnedReadHalf, OwnedWriteHalf, TcpStream as NodeStream};
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::TcpStream as HostStream;
use tokio::net::tcp;
use tokio::sync::Notify;

/// Bytes held in one direction.
const BUFFER: usize = 256 << 10;

/// Counts the connections whose data for the host has not all been carried.
#[derive(Debug, Default)]
pub(super) struct Outward {
    carrying: Cell<usize>,
    fewer: Notify,
}

impl Outward {
    /// Waits until there is none.
    pub(super) async fn carried(&self) {
        while self.carrying.get() > 0 {
            self.fewer.notified().await;
        }
    }

    fn begin(&self) -> Carrying<'_> {
        self.carrying.set(self.carrying.get() + 1);
        Carrying(self)
    }
}

/// One of them.
struct Carrying<'a>(&'a Outward);

impl Drop for Carrying<'_> {
    fn drop(&mut self) {
        self.0.carrying.set(self.0.carrying.get() - 1);
        self.0.fewer.notify_one();
    }
}

/// The host's connection: unless all was carried that the node sent, it ends with a reset, so that nobody takes a part
/// for the whole.
struct Host {
    stream: HostStream,
    whole: Cell<bool>,
}

impl Drop for Host {
    fn drop(&mut self) {
        if !self.whole.get() {
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

/// Carries until both directions have ended.
pub(super) async fn relay(node: NodeStream, host: HostStream, outward: &Outward) {
    // Latency is the program's to choose: it batches by its own Nagle.
    let _ = host.set_nodelay(true);
    let _ = node.set_nodelay(true);
    // Where it was sent is where it goes: a read ends there.
    let _ = SockRef::from(&host).set_out_of_band_inline(true);
    let _ = node.set_oob_inline(true);
    let (mut node_read, mut node_write) = node.into_split();
    let mut host = Host {
        stream: host,
        whole: Cell::new(false),
    };
    let Host { stream, whole } = &mut host;
    let (mut host_read, mut host_write) = stream.split();
    let carried = {
        let out = async {
            let _carrying = outward.begin();
            carry(&mut node_read, &mut host_write).await?;
            whole.set(true);
            Ok(())
        };
        let back = carry(&mut host_read, &mut node_write);
        tokio::try_join!(out, back)
    };
    if carried.is_err() {
        // One side is reset, or gone: the other is told so, not left with a clean end.
        whole.set(false);
        if let Ok(node) = node_read.reunite(node_write) {
            let _ = node.set_linger(Some(Duration::ZERO));
        }
    }
}

async fn carry(from: &mut impl Source, to: &mut impl Sink) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer).await? {
            (0, _) => return to.shutdown().await,
            (len, false) => to.write_all(&buffer[..len]).await?,
            (len, true) => to.write_urgent(&buffer[..len]).await?,
        }
    }
}

/// What is read from: how many bytes, and whether they are the urgent octet, which comes alone.
trait Source {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<(usize, bool)>;
}

impl Source for OwnedReadHalf {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
        let socket = self.as_ref().as_socket();
        poll_fn(|cx| socket.poll_recv_inline(cx, buffer)).await
    }
}

impl Source for tcp::ReadHalf<'_> {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
        loop {
            self.readable().await?;
            let host = self.as_ref().as_fd();
            // In this order: what arrives in between does not point at what waits already.
            let urgent = ends::waiting(host) > 0 && sys::at_mark(host)?;
            let room = if urgent { 1 } else { buffer.len() };
            match self.try_read(&mut buffer[..room]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Ok((read?, urgent)),
            }
        }
    }
}

/// What is written to.
trait Sink: AsyncWrite + Unpin {
    /// Writes urgent data.
    async fn write_urgent(&mut self, octet: &[u8]) -> io::Result<()>;
}

impl Sink for OwnedWriteHalf {
    async fn write_urgent(&mut self, octet: &[u8]) -> io::Result<()> {
        let socket = self.as_ref().as_socket();
        poll_fn(|cx| socket.poll_send_out_of_band(cx, octet))
            .await
            .map(drop)
    }
}

impl Sink for tcp::WriteHalf<'_> {
    async fn write_urgent(&mut self, octet: &[u8]) -> io::Result<()> {
        let host: &HostStream = self.as_ref();
        let send = || SockRef::from(host).send_out_of_band(octet);
        host.async_io(Interest::WRITABLE, send).await.map(drop)
    }
}
