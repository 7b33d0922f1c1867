//! quinn, both ends: a QUIC stream over sockeye's UDP.

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, ClientConfig, Endpoint, EndpointConfig, ServerConfig, UdpPoller};
use sockeye::tokio::UdpSocket;
use sockeye_ecosystem::{Result, certificate, nodes};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;

#[tokio::main]
async fn main() -> Result {
    println!("{}", demonstrate().await?);
    Ok(())
}

#[derive(Debug, Clone)]
struct Socket(Arc<UdpSocket>);
impl UdpPoller for Socket {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_send_ready(cx)
    }
}
#[rustfmt::skip]
impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin((*self).clone())
    }
    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.0.try_send_to(transmit.contents, transmit.destination).map(drop)
    }
    fn poll_recv(&self, cx: &mut Context<'_>, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(&mut bufs[0]);
        let addr = ready!(self.0.poll_recv_from(cx, &mut room))?;
        let len = room.filled().len();
        meta[0] = RecvMeta { addr, len, stride: len, ..RecvMeta::default() };
        Poll::Ready(Ok(1))
    }
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

async fn demonstrate() -> Result<String> {
    let (certificate, key, roots) = certificate()?;
    let of_server = ServerConfig::with_single_cert(vec![certificate], key)?;
    let of_client = ClientConfig::with_root_certificates(Arc::new(roots))?;
    let (client, server) = nodes()?;
    let endpoint = |socket, server| {
        let (config, socket) = (
            EndpointConfig::default(),
            Arc::new(Socket(Arc::new(socket))),
        );
        Endpoint::new_with_abstract_socket(config, server, socket, Arc::new(quinn::TokioRuntime))
    };
    let socket = UdpSocket::bind_on(&server, "10.0.0.2:443").await?;
    let server = endpoint(socket, Some(of_server))?;
    tokio::spawn(async move {
        let connection = server.accept().await.ok_or("closed")?.await?;
        let (mut send, mut receive) = connection.accept_bi().await?;
        send.write_all(&receive.read_to_end(100).await?).await?;
        send.finish()?;
        connection.closed().await;
        Result::Ok(())
    });
    let client = endpoint(UdpSocket::bind_on(&client, "10.0.0.1:0").await?, None)?;
    let connecting = client.connect_with(of_client, "10.0.0.2:443".parse()?, "nerka.example")?;
    let (mut send, mut receive) = connecting.await?.open_bi().await?;
    send.write_all(b"hello over QUIC").await?;
    send.finish()?;
    Ok(String::from_utf8(receive.read_to_end(100).await?)?)
}

#[tokio::test]
async fn a_stream_crosses_the_cable() {
    assert_eq!(demonstrate().await.unwrap(), "hello over QUIC");
}
