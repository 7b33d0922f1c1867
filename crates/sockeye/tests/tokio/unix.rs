//! Node-internal sockets as futures.

use bytes::Bytes;
use sockeye::tokio::{
    UnixDatagram, UnixListener, UnixSeqpacket, UnixSeqpacketListener, UnixStream,
};
use sockeye::unix::{Shutdown, SocketAddr};
use sockeye::{Node, UnixSend};
use std::io::ErrorKind;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn node() -> Node {
    Node::builder().build().unwrap()
}

fn name(text: &str) -> SocketAddr {
    SocketAddr::from_abstract_name(text).unwrap()
}

#[tokio::test]
async fn a_megabyte_there_and_back() {
    let node = node();
    let listener = UnixListener::bind_on(&node, &name("echo")).unwrap();
    let serving = tokio::spawn(async move {
        let (served, _) = listener.accept().await.unwrap();
        let (mut read, mut write) = served.into_split();
        tokio::io::copy(&mut read, &mut write).await.unwrap()
    });
    let stream = UnixStream::connect_on(&node, &name("echo")).await.unwrap();
    let data: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut read, mut write) = stream.into_split();
    let sent = data.clone();
    tokio::spawn(async move { write.write_all(&sent).await.unwrap() });
    let mut back = Vec::new();
    read.read_to_end(&mut back).await.unwrap();
    assert!(back == data);
    assert_eq!(serving.await.unwrap(), 1_000_000);
}

#[tokio::test]
async fn messages_objects_and_the_end() {
    let node = node();
    let listener = UnixSeqpacketListener::bind_on(&node, &name("packets")).unwrap();
    let client = UnixSeqpacket::connect_on(&node, &name("packets"))
        .await
        .unwrap();
    let (served, _) = listener.accept().await.unwrap();
    let receiving = tokio::spawn(async move {
        let got = served.recv_bytes(99).await.unwrap();
        assert_eq!(got.objects[0].downcast_ref::<String>().unwrap(), "a value");
        let mut buf = [0; 9];
        assert_eq!(served.recv(&mut buf).await.unwrap(), 3);
        assert_eq!(served.recv(&mut buf).await.unwrap(), 0);
    });
    tokio::task::yield_now().await;
    client
        .send_message(UnixSend {
            data: Bytes::from_static(b"with"),
            objects: vec![Arc::new(String::from("a value"))],
            ..UnixSend::default()
        })
        .await
        .unwrap();
    client.send(b"one").await.unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    receiving.await.unwrap();
}

#[tokio::test]
async fn who_waits_for_room_is_woken() {
    let node = node();
    let to = UnixDatagram::bind_on(&node, &name("narrow")).unwrap();
    let from = UnixDatagram::unbound_on(&node).unwrap();
    from.connect_addr(&name("narrow")).unwrap();
    while from.try_send(b"x").is_ok() {}
    assert_eq!(
        from.try_send(b"x").unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    let sending = tokio::spawn(async move {
        from.writable().await.unwrap();
        from.try_send(b"y").unwrap();
        from.send_to_addr(b"z", &name("narrow")).await.unwrap();
    });
    let mut last = [0];
    while last != *b"z" {
        let (len, peer) = to.recv_from(&mut last).await.unwrap();
        assert!(len == 1 && peer.is_unnamed());
    }
    sending.await.unwrap();
}

/// A future that is dropped takes nothing with it.
#[tokio::test]
async fn a_receive_that_is_given_up_loses_nothing() {
    let (a, b) = UnixStream::pair_on(&node()).unwrap();
    tokio::select! {
        biased;
        _ = a.recv_bytes(9) => panic!("there was nothing"),
        () = tokio::task::yield_now() => {}
    }
    b.send_bytes(Bytes::from_static(b"kept")).await.unwrap();
    assert_eq!(a.recv_bytes(9).await.unwrap().len, 4);
}
