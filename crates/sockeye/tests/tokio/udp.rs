use crate::common::{pair, soon};
use sockeye::SendMessage;
use sockeye::tokio::{IcmpSocket, UdpSocket};
use std::io;
use std::time::Duration;
use tokio::io::ReadBuf;
use tokio::time::timeout;

#[tokio::test]
async fn datagrams_keep_their_edges_and_senders() {
    let pair = pair();
    let far = UdpSocket::bind_on(&pair.far, "10.0.0.2:53").await.unwrap();
    let near = UdpSocket::bind_on(&pair.near, "10.0.0.1:0").await.unwrap();
    for datagram in [&b"first"[..], b"", b"the third"] {
        let sent = near.send_to(datagram, "10.0.0.2:53").await.unwrap();
        assert_eq!(sent, datagram.len());
    }
    let mut buf = [0; 5];
    assert_eq!(soon(far.peek(&mut buf)).await.unwrap(), 5);
    let (len, from) = soon(far.recv_from(&mut buf)).await.unwrap();
    assert_eq!(
        (&buf[..len], from),
        (&b"first"[..], near.local_addr().unwrap())
    );
    assert_eq!(soon(far.recv(&mut buf)).await.unwrap(), 0);
    let mut space = ReadBuf::new(&mut buf);
    let peer = std::future::poll_fn(|cx| far.poll_recv_from(cx, &mut space));
    assert_eq!(soon(peer).await.unwrap(), from);
    assert_eq!(space.filled(), b"the t", "the rest is cut off");
    let error = far.try_recv(&mut buf).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_connected_socket_hears_its_peer_alone_and_of_closed_ports() {
    let pair = pair();
    let far = UdpSocket::bind_on(&pair.far, "10.0.0.2:53").await.unwrap();
    let stranger = UdpSocket::bind_on(&pair.far, "10.0.0.2:54").await.unwrap();
    let near = UdpSocket::bind_on(&pair.near, "10.0.0.1:0").await.unwrap();
    near.connect("10.0.0.2:53").await.unwrap();
    assert_eq!(near.peer_addr().unwrap(), far.local_addr().unwrap());
    let at = near.local_addr().unwrap();
    stranger.send_to(b"psst", at).await.unwrap();
    far.send_to(b"hello", at).await.unwrap();
    let mut buf = [0; 16];
    let len = soon(near.recv(&mut buf)).await.unwrap();
    assert_eq!(&buf[..len], b"hello");

    drop(far);
    near.send(b"anyone?").await.unwrap();
    let error = soon(near.recv(&mut buf)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_broadcast_needs_the_option() {
    let pair = pair();
    let far = UdpSocket::bind_on(&pair.far, "0.0.0.0:67").await.unwrap();
    let near = UdpSocket::bind_on(&pair.near, "0.0.0.0:68").await.unwrap();
    let error = near.send_to(b"who?", "10.0.0.255:67").await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    near.set_broadcast(true).unwrap();
    near.send_to(b"who?", "10.0.0.255:67").await.unwrap();
    let (len, from) = soon(far.recv_from(&mut [0; 8])).await.unwrap();
    assert_eq!((len, from.to_string().as_str()), (4, "10.0.0.1:68"));
}

#[tokio::test]
async fn a_group_is_heard_by_its_members() {
    let pair = pair();
    let group = "239.1.2.3".parse().unwrap();
    let far = UdpSocket::bind_on(&pair.far, "0.0.0.0:5000").await.unwrap();
    let near = UdpSocket::bind_on(&pair.near, "10.0.0.1:0").await.unwrap();
    far.join_multicast_v4(group, "10.0.0.2".parse().unwrap())
        .unwrap();
    near.send_to(b"all", "239.1.2.3:5000").await.unwrap();
    assert_eq!(soon(far.recv(&mut [0; 8])).await.unwrap(), 3);
    far.leave_multicast_v4(group, "10.0.0.2".parse().unwrap())
        .unwrap();
    near.send_to(b"all", "239.1.2.3:5000").await.unwrap();
    let nothing = timeout(Duration::from_millis(20), far.recv(&mut [0; 8])).await;
    nothing.unwrap_err();
}

#[tokio::test]
async fn a_buffer_grows_by_what_was_received() {
    let pair = pair();
    let far = UdpSocket::bind_on(&pair.far, "10.0.0.2:53").await.unwrap();
    let near = UdpSocket::bind_on(&pair.near, "10.0.0.1:0").await.unwrap();
    let mut buf = Vec::with_capacity(1000);
    let nothing = far.try_recv_buf_from(&mut buf).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    for word in [&b"one"[..], b"two"] {
        near.send_to(word, "10.0.0.2:53").await.unwrap();
        let from = soon(far.peek_sender()).await.unwrap();
        let received = soon(far.recv_buf_from(&mut buf)).await.unwrap();
        assert_eq!(received, (3, from));
        assert_eq!(from, near.local_addr().unwrap());
    }
    assert_eq!(buf, b"onetwo");
}

#[tokio::test]
async fn a_socket_may_be_tied_to_an_interface() {
    let pair = pair();
    let near = UdpSocket::bind_on(&pair.near, "0.0.0.0:0").await.unwrap();
    assert_eq!(near.device().unwrap(), None);
    assert!(near.bind_device(Some(b"nowhere")).is_err());
    near.bind_device(Some(b"lo")).unwrap();
    assert_eq!(near.device().unwrap(), Some(b"lo".to_vec()));
    near.send_to(b"x", "10.0.0.2:53").await.unwrap_err();
    near.bind_device(None).unwrap();
    near.send_to(b"x", "10.0.0.2:53").await.unwrap();
}

#[tokio::test]
async fn ping() {
    let pair = pair();
    let any = "0.0.0.0".parse().unwrap();
    let socket = IcmpSocket::bind_on(&pair.near, any).unwrap();
    let request = [8, 0, 0, 0, 0, 0, 0, 7, b'a', b'b'];
    socket
        .send_to(&request, "10.0.0.2".parse().unwrap())
        .await
        .unwrap();
    let mut reply = [0; 32];
    let (len, from) = soon(socket.recv_from(&mut reply)).await.unwrap();
    assert_eq!(from.to_string(), "10.0.0.2");
    assert_eq!((reply[0], &reply[6..len]), (0, &request[6..]));
}

/// recvmmsg(2) and sendmmsg(2) as futures.
#[tokio::test]
async fn many_datagrams_by_one_call() {
    let pair = pair();
    let far = UdpSocket::bind_on(&pair.far, "10.0.0.2:53").await.unwrap();
    let near = UdpSocket::bind_on(&pair.near, "10.0.0.1:0").await.unwrap();
    let texts = [&b"one"[..], b"", b"three"].map(io::IoSlice::new);
    let messages: Vec<SendMessage<'_>> = texts
        .iter()
        .map(|text| SendMessage {
            to: Some("10.0.0.2:53".parse().unwrap()),
            data: std::slice::from_ref(text),
            ..SendMessage::default()
        })
        .collect();
    assert_eq!(soon(near.send_many(&messages)).await.unwrap(), 3);
    let mut rooms = [[0; 8]; 4];
    let mut buffers: Vec<&mut [u8]> = rooms.iter_mut().map(|room| &mut room[..]).collect();
    let mut lens = Vec::new();
    while lens.len() < 3 {
        let got = soon(far.recv_many(&mut buffers)).await.unwrap();
        lens.extend(got.iter().map(|message| message.len));
    }
    assert_eq!(lens, [3, 0, 5]);
}
