//! Carries one connection's bytes between the node and the host, both ways.
//!
//! At most one buffer a direction is held. The end of one direction is passed on while the other
//! goes on; a reset on either side becomes a reset on the other.

use sockeye::tokio::TcpStream as NodeStream;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream as HostStream;

/// Bytes held in one direction.
const BUFFER: usize = 256 << 10;

/// Carries until both directions have ended.
pub(super) async fn relay(node: NodeStream, host: HostStream) {
    // Latency is the program's to choose: it batches by its own Nagle.
    let _ = host.set_nodelay(true);
    let _ = node.set_nodelay(true);
    let (mut node_read, mut node_write) = node.into_split();
    let (mut host_read, mut host_write) = host.into_split();
    let carried = {
        let out = carry(&mut node_read, &mut host_write);
        let back = carry(&mut host_read, &mut node_write);
        tokio::try_join!(out, back)
    };
    if carried.is_err() {
        // One side is reset, or gone: the other is told so, not left with a clean end.
        if let Ok(host) = host_read.reunite(host_write) {
            let _ = socket2::SockRef::from(&host).set_linger(Some(Duration::ZERO));
        }
        if let Ok(node) = node_read.reunite(node_write) {
            let _ = node.set_linger(Some(Duration::ZERO));
        }
    }
}

async fn carry(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let len = from.read(&mut buffer).await?;
        if len == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..len]).await?;
    }
}
