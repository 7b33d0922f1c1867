use crate::common::{pair, pattern, soon};
use bytes::Bytes;
use sockeye::tokio::{TcpListener, TcpSocket, TcpStream, scope};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};

#[tokio::test]
async fn what_is_written_comes_back() {
    let pair = pair();
    let (near, mut far) = pair.connection().await;
    let echo = tokio::spawn(async move {
        let (mut read, mut write) = far.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let sent = pattern(3 << 20);
    let (mut read, mut write) = near.into_split();
    let writing = tokio::spawn({
        let sent = sent.clone();
        async move {
            write.write_all(&sent).await.unwrap();
            // Dropping the half ends its direction.
        }
    });
    let mut came = Vec::new();
    soon(read.read_to_end(&mut came)).await.unwrap();
    assert!(came == sent, "{} of {} bytes", came.len(), sent.len());
    soon(writing).await.unwrap();
    soon(echo).await.unwrap();
}

#[tokio::test]
async fn buffers_are_handed_over_as_they_are() {
    let pair = pair();
    let (mut near, far) = pair.connection().await;
    let all = Bytes::from(pattern(3 << 20));
    let within = all.as_ptr_range();
    let mut left = all.clone();
    let sending = tokio::spawn(async move {
        while !left.is_empty() {
            let before = left.len();
            let sent = near.send_bytes(&mut left).await.unwrap();
            assert_eq!(sent, before - left.len());
        }
        near.shutdown().await.unwrap();
    });
    let mut came = Vec::new();
    loop {
        let slices = soon(far.recv_bytes(100_000)).await.unwrap();
        if slices.is_empty() {
            break;
        }
        assert!(slices.iter().all(|slice| within.contains(&slice.as_ptr())));
        came.extend(slices);
    }
    soon(sending).await.unwrap();
    assert!(came.concat() == all);
}

#[tokio::test]
async fn the_end_of_one_direction_leaves_the_other() {
    let pair = pair();
    let (mut near, mut far) = pair.connection().await;
    near.write_all(b"question").await.unwrap();
    near.shutdown().await.unwrap();
    let mut question = String::new();
    soon(far.read_to_string(&mut question)).await.unwrap();
    assert_eq!(question, "question");
    far.write_all(b"answer").await.unwrap();
    drop(far);
    let mut answer = String::new();
    soon(near.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "answer");
    let error = near.write_all(b"more").await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn halves_become_one_stream_again() {
    let pair = pair();
    let ((near, mut far), (other, _other_far)) = (pair.connection().await, pair.connection().await);
    let (read, write) = near.into_split();
    let (other_read, other_write) = other.into_split();
    let error = read.reunite(other_write).unwrap_err();
    let mut near = error.0.reunite(write).unwrap();
    near.write_all(b"still one").await.unwrap();
    let mut buf = [0; 9];
    soon(far.read_exact(&mut buf)).await.unwrap();
    assert_eq!(&buf, b"still one");
    // The other writing half was dropped with the error: its direction has ended.
    drop((error.1, other_read));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_at_once() {
    const MANY: usize = 300;
    let pair = pair();
    let listener = TcpListener::bind_on(&pair.far, "10.0.0.2:80")
        .await
        .unwrap();
    let serving = tokio::spawn(async move {
        for _ in 0..MANY {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await.unwrap();
                write.shutdown().await.unwrap();
            });
        }
    });
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..MANY {
        let node = pair.near.clone();
        clients.spawn(async move {
            let mut stream = TcpStream::connect_on(&node, "10.0.0.2:80").await.unwrap();
            let sent = pattern(1000 + n);
            stream.write_all(&sent).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut came = Vec::new();
            stream.read_to_end(&mut came).await.unwrap();
            assert!(came == sent);
        });
    }
    let all = async { while clients.join_next().await.transpose().unwrap().is_some() {} };
    soon(all).await;
    soon(serving).await.unwrap();
}

#[tokio::test]
async fn trying_does_not_wait() {
    let pair = pair();
    let (near, far) = pair.connection().await;
    let mut buf = [0; 16];
    let blocked =
        |result: io::Result<usize>| result.unwrap_err().kind() == io::ErrorKind::WouldBlock;
    assert!(blocked(far.try_read(&mut buf)));
    let nothing = far.try_io(Interest::READABLE, || Ok(0));
    assert!(blocked(nothing));
    let ready = soon(near.ready(Interest::READABLE | Interest::WRITABLE))
        .await
        .unwrap();
    assert!(ready.is_writable() && !ready.is_readable());

    assert_eq!(near.try_write(b"hello").unwrap(), 5);
    soon(far.readable()).await.unwrap();
    assert_eq!(soon(far.peek(&mut buf)).await.unwrap(), 5);
    assert_eq!(far.try_read(&mut buf).unwrap(), 5);
    assert_eq!(&buf[..5], b"hello");
    assert!(blocked(far.try_read(&mut buf)));

    // A reader that is not there: in the end there is no room.
    let chunk = vec![0; 64 << 10];
    loop {
        while near.try_write(&chunk).is_ok() {}
        assert!(blocked(near.try_write(&chunk)));
        // The buffer may have grown meanwhile; it does so a few times at most.
        let room = tokio::time::timeout(Duration::from_millis(100), near.writable()).await;
        let Ok(room) = room else { break };
        room.unwrap();
    }
    drop(near);
    let ended = async {
        loop {
            let ready = far.ready(Interest::READABLE).await.unwrap();
            match far.try_read(&mut vec![0; 64 << 10]) {
                Ok(0) => break ready,
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
    };
    assert!(soon(ended).await.is_read_closed());
}

#[tokio::test]
async fn refusals_and_resets_have_their_kinds() {
    let pair = pair();
    let refused = soon(TcpStream::connect_on(&pair.near, "10.0.0.2:9")).await;
    assert_eq!(
        refused.unwrap_err().kind(),
        io::ErrorKind::ConnectionRefused
    );
    // The second address answers.
    let listener = TcpListener::bind_on(&pair.far, "10.0.0.2:80")
        .await
        .unwrap();
    let both: [SocketAddr; 2] = [
        "10.0.0.2:9".parse().unwrap(),
        "10.0.0.2:80".parse().unwrap(),
    ];
    let near = soon(TcpStream::connect_on(&pair.near, &both[..]))
        .await
        .unwrap();
    let (mut far, _) = soon(listener.accept()).await.unwrap();
    near.set_linger(Some(Duration::ZERO)).unwrap();
    drop(near);
    let error = soon(far.read(&mut [0; 1])).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn options_are_kept() {
    let pair = pair();
    let socket = TcpSocket::new_v4_on(&pair.near).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_keepalive(true).unwrap();
    socket.set_recv_buffer_size(10_000).unwrap();
    assert!(socket.nodelay().unwrap() && socket.keepalive().unwrap());
    assert_eq!(socket.recv_buffer_size().unwrap(), 20_000);
    socket.bind("10.0.0.1:4000".parse().unwrap()).unwrap();
    let listener = TcpListener::bind_on(&pair.far, "10.0.0.2:80")
        .await
        .unwrap();
    let at = listener.local_addr().unwrap();
    let stream = soon(socket.connect(at)).await.unwrap();
    assert_eq!(stream.local_addr().unwrap().to_string(), "10.0.0.1:4000");
    assert_eq!(stream.peer_addr().unwrap(), at);
    assert!(stream.nodelay().unwrap());
    stream.set_ttl(9).unwrap();
    assert_eq!(stream.ttl().unwrap(), 9);
    assert!(stream.set_ttl(0).is_err());
    assert!(stream.take_error().unwrap().is_none());
}

#[tokio::test]
async fn ipv6_and_the_current_node() {
    let pair = pair();
    let listener = scope(&pair.far, TcpListener::bind("[fd00::2]:80"))
        .await
        .unwrap();
    let near = soon(scope(&pair.near, TcpStream::connect("[fd00::2]:80"))).await;
    let from = near.unwrap().local_addr().unwrap();
    assert_eq!(soon(listener.accept()).await.unwrap().1, from);
    let nowhere = TcpStream::connect("[fd00::2]:80").await.unwrap_err();
    assert!(nowhere.to_string().contains("node"), "{nowhere}");
}

/// A peer in the same process is always ready: the budget lets the timer have its turn.
#[tokio::test]
async fn a_stream_that_never_pauses_leaves_room_for_others() {
    let pair = pair();
    let (mut near, far) = pair.connection().await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flooding = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let chunk = vec![7; 64 << 10];
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                if far.try_write(&chunk).is_err() {
                    std::thread::yield_now();
                }
            }
        }
    });
    let mut buf = vec![0; 1024];
    let reading = async {
        loop {
            near.read_exact(&mut buf).await.unwrap();
        }
    };
    let ended = tokio::time::timeout(Duration::from_millis(50), reading).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    ended.unwrap_err();
    // Nobody reads the rest: the reset spares the other node the wait for it.
    drop(near);
    flooding.join().unwrap();
}
