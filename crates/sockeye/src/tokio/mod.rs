//! Sockets for tokio, in the shape of `tokio::net`: code moves over by changing an
//! import.
//!
//! ```text
//! use tokio::net::{TcpListener, TcpStream};      // the kernel's sockets
//! use sockeye::tokio::{TcpListener, TcpStream};  // a node's
//! ```
//!
//! ```
//! use sockeye::tokio::{TcpListener, TcpStream};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let node = sockeye::Node::builder().build()?;
//! let listener = TcpListener::bind_on(&node, "127.0.0.1:0").await?;
//! let mut stream = TcpStream::connect_on(&node, listener.local_addr()?).await?;
//! let (mut served, _) = listener.accept().await?;
//! stream.write_all(b"sockeye").await?;
//! let mut text = [0; 7];
//! served.read_exact(&mut text).await?;
//! assert_eq!(&text, b"sockeye");
//! # Ok(())
//! # }
//! ```
//!
//! A constructor such as [`TcpStream::connect`] takes the current node ([`Node::enter`](crate::Node::enter),
//! [`scope`]); its sibling with `_on` is told the node. Names are looked up through the node's name
//! servers ([`lookup_host`]).
//!
//! All types are `Send` and `Sync`, take part in tokio's cooperative scheduling, and are closed by
//! dropping them. Futures may be dropped at any time: what a call had not returned yet is still
//! there for the next one. Only what waits for a name server needs tokio's timers.
//!
//! Not here, since there is no descriptor below: `from_std`, `into_std`, `AsRawFd`, `async_io`.
//! Unix sockets are the node's own ([`crate::unix`]): their paths are no files.

mod addr;
mod buf;
mod dccp;
mod icmp;
mod lookup_host;
mod options;
mod packet;
mod raw;
mod ready;
mod scope;
mod sctp;
mod tcp;
mod udp;
mod unix;

pub use addr::ToSocketAddrs;
pub use dccp::{DccpListener, DccpSocket};
pub use icmp::IcmpSocket;
pub use lookup_host::{lookup_host, lookup_host_on};
pub use packet::PacketSocket;
pub use raw::RawSocket;
pub use scope::{Scoped, scope};
pub use sctp::{SctpListener, SctpSocket, SctpStream};
pub use tcp::{
    OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, TcpListener, TcpSocket, TcpStream,
    WriteHalf,
};
pub use udp::UdpSocket;
pub use unix::{
    OwnedUnixReadHalf, OwnedUnixWriteHalf, UnixDatagram, UnixListener, UnixSeqpacket,
    UnixSeqpacketListener, UnixStream,
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Node;

    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>(_: impl FnOnce() -> T) {}

    #[test]
    fn types_are_shared_and_futures_sent_between_threads() {
        shared::<(TcpListener, TcpStream, TcpSocket)>();
        shared::<(ReadHalf<'_>, WriteHalf<'_>)>();
        shared::<(OwnedReadHalf, OwnedWriteHalf)>();
        shared::<(SctpListener, SctpSocket, SctpStream)>();
        shared::<(DccpListener, DccpSocket)>();
        shared::<(UdpSocket, IcmpSocket, RawSocket, PacketSocket)>();
        sent(|| TcpListener::bind("a:1"));
        sent(|| TcpStream::connect(("a", 1)));
        sent(|| UdpSocket::bind("[::]:0"));
        sent(|| async { TcpStream::connect_on(&Node::current()?, "a:1").await });
        sent(|| async { UdpSocket::bind("[::]:0").await?.connect("a:1").await });
        sent(|| SctpSocket::bind("a:1"));
        sent(|| DccpSocket::connect("a:1", 1));
        sent(|| lookup_host("a:1"));
        sent(|| async { TcpListener::bind("a:1").await?.accept().await });
    }
}
