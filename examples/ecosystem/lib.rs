//! What the examples share: two nodes at a cable in memory, a certificate, and streams that say
//! nothing of their connection.
//!
//! Each example is a client and a server of a crate that knows nothing of sockeye, over
//! `sockeye::tokio`'s sockets: `cargo run --example hyper`.

use hyper_util::client::legacy::connect;
use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::{LinkConfig, Node};
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tonic::transport::server;

/// What an example ends with.
pub type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A client's node, 10.0.0.1, and a server's, 10.0.0.2.
///
/// # Errors
/// A node could not be made.
pub fn nodes() -> Result<(Node, Node)> {
    let (one_end, other_end) = MemoryLink::pair_ip(MemoryConfig::default());
    let node = |link, address: &str| -> Result<Node> {
        let config = LinkConfig::new().address(address.parse()?);
        let builder = Node::builder().link("eth0", Box::new(link), config);
        Ok(builder.build()?)
    };
    Ok((
        node(one_end, "10.0.0.1/24")?,
        node(other_end, "10.0.0.2/24")?,
    ))
}

/// A certificate of `nerka.example`, its key, and roots that know it.
///
/// # Errors
/// It could not be made.
pub fn certificate() -> Result<(
    CertificateDer<'static>,
    PrivateKeyDer<'static>,
    RootCertStore,
)> {
    let made = rcgen::generate_simple_self_signed(["nerka.example".to_owned()])?;
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    Ok((certificate, key, roots))
}

/// A stream for those who ask each one what it is connected to: to nothing in particular.
#[derive(Debug)]
pub struct Stream<S>(pub S);

impl<S> connect::Connection for Stream<S> {
    fn connected(&self) -> connect::Connected {
        connect::Connected::new()
    }
}

impl<S> server::Connected for Stream<S> {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
