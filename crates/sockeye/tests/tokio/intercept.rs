//! Flows to addresses that no node has: the far node takes them.

use crate::common::{pair, soon};
use sockeye::tokio::{IcmpSocket, TcpListener, TcpStream, UdpSocket};
use sockeye::{Protocol, Scope, Unreachable};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const FOREIGN: &str = "198.51.100.7:80";

fn foreign() -> SocketAddr {
    FOREIGN.parse().unwrap()
}

#[tokio::test]
async fn a_connection_is_accepted_in_anothers_name() {
    let pair = pair();
    let mut intercept = pair.far.intercept(Protocol::TCP, Scope::Foreign).unwrap();
    let gateway = tokio::spawn(async move {
        let incoming = intercept.next().await.unwrap();
        assert_eq!(incoming.local(), foreign());
        let remote = incoming.remote();
        let mut stream = TcpStream::try_from(incoming.accept().unwrap()).unwrap();
        assert_eq!(
            (stream.local_addr().unwrap(), stream.peer_addr().unwrap()),
            (foreign(), remote)
        );
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        stream
            .write_all(said.to_uppercase().as_bytes())
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
        remote
    });
    let mut near = soon(TcpStream::connect_on(&pair.near, FOREIGN))
        .await
        .unwrap();
    assert_eq!(near.peer_addr().unwrap(), foreign());
    near.write_all(b"hello").await.unwrap();
    near.shutdown().await.unwrap();
    let mut answer = String::new();
    soon(near.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "HELLO");
    assert_eq!(soon(gateway).await.unwrap(), near.local_addr().unwrap());
}

#[tokio::test]
async fn a_connection_is_refused_as_its_owner_says() {
    let pair = pair();
    let mut intercept = pair.far.intercept(Protocol::TCP, Scope::Foreign).unwrap();
    for (answer, kind) in [
        (None, io::ErrorKind::ConnectionRefused),
        (Some(Unreachable::Port), io::ErrorKind::ConnectionRefused),
        (
            Some(Unreachable::Prohibited),
            io::ErrorKind::HostUnreachable,
        ),
    ] {
        let connecting = TcpStream::connect_on(&pair.near, FOREIGN);
        let answering = async {
            let incoming = intercept.next().await.unwrap();
            match answer {
                None => incoming.reset(),
                Some(why) => incoming.unreachable(why),
            }
        };
        let (connected, ()) = soon(async { tokio::join!(connecting, answering) }).await;
        assert_eq!(connected.unwrap_err().kind(), kind, "{answer:?}");
    }
}

#[tokio::test]
async fn an_ignored_connection_asks_again() {
    let pair = pair();
    let mut intercept = pair.far.intercept(Protocol::TCP, Scope::Foreign).unwrap();
    let connecting = tokio::spawn({
        let node = pair.near;
        async move { TcpStream::connect_on(&node, FOREIGN).await }
    });
    let first = soon(intercept.next()).await.unwrap();
    let remote = first.remote();
    first.ignore();
    // One second later (RFC 6298 §2.1) the SYN comes again.
    let again = soon(intercept.next()).await.unwrap();
    assert_eq!(again.remote(), remote);
    again.accept().unwrap();
    soon(connecting).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_scope_says_whether_own_addresses_are_caught() {
    let pair = pair();
    let listener = TcpListener::bind_on(&pair.far, "10.0.0.2:80")
        .await
        .unwrap();
    let mut intercept = pair.far.intercept(Protocol::TCP, Scope::All).unwrap();
    let again = pair.far.intercept(Protocol::TCP, Scope::All).unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
    soon(TcpStream::connect_on(&pair.near, "10.0.0.2:80"))
        .await
        .unwrap();
    soon(listener.accept()).await.unwrap();
    let connecting = TcpStream::connect_on(&pair.near, "10.0.0.2:81");
    let answering = async { intercept.next().await.unwrap().accept().unwrap() };
    let (connected, _accepted) = soon(async { tokio::join!(connecting, answering) }).await;
    connected.unwrap();

    drop(intercept);
    let refused = soon(TcpStream::connect_on(&pair.near, "10.0.0.2:81")).await;
    assert_eq!(
        refused.unwrap_err().kind(),
        io::ErrorKind::ConnectionRefused
    );
    let mut intercept = pair.far.intercept(Protocol::TCP, Scope::Foreign).unwrap();
    let refused = soon(TcpStream::connect_on(&pair.near, "10.0.0.2:81")).await;
    assert_eq!(
        refused.unwrap_err().kind(),
        io::ErrorKind::ConnectionRefused
    );
    let nobody = timeout(Duration::from_millis(10), intercept.next()).await;
    nobody.unwrap_err();
}

#[tokio::test]
async fn accepted_connections_outlive_interception() {
    let pair = pair();
    let mut intercept = pair.far.intercept(Protocol::TCP, Scope::Foreign).unwrap();
    let connecting = TcpStream::connect_on(&pair.near, FOREIGN);
    let answering = async { intercept.next().await.unwrap().accept().unwrap() };
    let (near, far) = soon(async { tokio::join!(connecting, answering) }).await;
    let (mut near, mut far) = (near.unwrap(), TcpStream::try_from(far).unwrap());
    drop(intercept);
    near.write_all(b"still here").await.unwrap();
    let mut buf = [0; 10];
    soon(far.read_exact(&mut buf)).await.unwrap();
    far.write_all(&buf).await.unwrap();
    soon(near.read_exact(&mut buf)).await.unwrap();
    assert_eq!(&buf, b"still here");
}

#[tokio::test]
async fn a_flow_of_datagrams_is_a_socket() {
    let pair = pair();
    let mut intercept = pair.far.intercept(Protocol::UDP, Scope::Foreign).unwrap();
    let near = UdpSocket::bind_on(&pair.near, "10.0.0.1:0").await.unwrap();
    near.connect(FOREIGN).await.unwrap();
    near.send(b"one").await.unwrap();
    near.send(b"two").await.unwrap();
    let incoming = soon(intercept.next()).await.unwrap();
    assert_eq!(
        (incoming.local(), incoming.remote()),
        (foreign(), near.local_addr().unwrap())
    );
    let far = UdpSocket::try_from(incoming.accept().unwrap()).unwrap();
    near.send(b"three").await.unwrap();
    let mut buf = [0; 16];
    for expected in [&b"one"[..], b"two", b"three"] {
        let len = soon(far.recv(&mut buf)).await.unwrap();
        assert_eq!(&buf[..len], expected);
    }
    far.send(b"answer").await.unwrap();
    let (len, from) = soon(near.recv_from(&mut buf)).await.unwrap();
    assert_eq!((&buf[..len], from), (&b"answer"[..], foreign()));

    far.refuse(Unreachable::Port).unwrap();
    let error = soon(near.recv(&mut buf)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_flow_of_datagrams_is_refused_or_ignored() {
    let pair = pair();
    let mut intercept = pair.far.intercept(Protocol::UDP, Scope::Foreign).unwrap();
    let near = UdpSocket::bind_on(&pair.near, "10.0.0.1:0").await.unwrap();
    near.connect(FOREIGN).await.unwrap();
    for (why, kind) in [
        (Unreachable::Port, io::ErrorKind::ConnectionRefused),
        (Unreachable::Prohibited, io::ErrorKind::HostUnreachable),
    ] {
        near.send(b"?").await.unwrap();
        soon(intercept.next()).await.unwrap().unreachable(why);
        let error = soon(near.recv(&mut [0; 8])).await.unwrap_err();
        assert_eq!(error.kind(), kind);
    }
    near.send(b"?").await.unwrap();
    drop(soon(intercept.next()).await.unwrap());
    // It was forgotten: the next datagram is a new flow.
    near.send(b"?").await.unwrap();
    soon(intercept.next()).await.unwrap();
}

#[tokio::test]
async fn pings_are_answered_in_anothers_name() {
    let pair = pair();
    let mut intercept = pair.far.intercept_ping(Scope::Foreign).unwrap();
    let socket = IcmpSocket::bind_on(&pair.near, "0.0.0.0".parse().unwrap()).unwrap();
    socket.connect("198.51.100.7:0".parse().unwrap()).unwrap();
    let message = [8, 0, 0, 0, 0, 0, 0, 7, b'a', b'b'];
    socket.send(&message).await.unwrap();
    let request = soon(intercept.next()).await.unwrap();
    assert_eq!(request.local().to_string(), "198.51.100.7");
    assert_eq!(request.remote().to_string(), "10.0.0.1");
    assert_eq!((request.sequence(), request.payload()), (7, &b"ab"[..]));
    assert_eq!(request.identifier(), socket.local_addr().unwrap().port());
    request.reply(b"ab");
    let mut buf = [0; 32];
    let (len, from) = soon(socket.recv_from(&mut buf)).await.unwrap();
    assert_eq!(from.to_string(), "198.51.100.7");
    assert_eq!((buf[0], &buf[6..len]), (0, &message[6..]));

    socket.send(&message).await.unwrap();
    // As on Linux a connected ping socket is told of fatal errors alone.
    let request = soon(intercept.next()).await.unwrap();
    request.unreachable(Unreachable::Prohibited);
    let error = soon(socket.recv(&mut buf)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::HostUnreachable);
}

#[test]
fn a_thread_can_wait_for_flows() {
    let pair = pair();
    let mut intercept = pair.far.intercept(Protocol::TCP, Scope::Foreign).unwrap();
    let node = pair.near;
    let connecting = std::thread::spawn(move || {
        let _current = node.enter();
        sockeye::net::TcpStream::connect(FOREIGN)
            .unwrap_err()
            .kind()
    });
    intercept.next_blocking().unwrap().reset();
    assert_eq!(connecting.join().unwrap(), io::ErrorKind::ConnectionRefused);
}
