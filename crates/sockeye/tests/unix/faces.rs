//! What has no kernel beside it: handover without a copy, values in the place of descriptors, waiting
//! threads, and limits against people who mean harm.

use bytes::Bytes;
use sockeye::unix::{SocketAddr, UnixDatagram, UnixListener, UnixSeqpacket, UnixStream};
use sockeye::{Config, MessageFlags, Node, Socket, Type, UnixSend};
use std::io::{ErrorKind, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn node() -> Node {
    Node::builder().build().unwrap()
}

#[test]
fn buffers_are_handed_over_as_they_are() {
    let (a, b) = UnixStream::pair_on(&node()).unwrap();
    let data = Bytes::from(vec![7; 30_000]);
    a.send_bytes(data.clone()).unwrap();
    let got = b.recv_bytes(usize::MAX).unwrap();
    assert_eq!(got.data[0].as_ptr(), data.as_ptr());
    let (a, b) = UnixSeqpacket::pair_on(&node()).unwrap();
    a.send_bytes(data.clone()).unwrap();
    assert_eq!(
        b.recv_bytes(usize::MAX).unwrap().data[0].as_ptr(),
        data.as_ptr()
    );
}

/// Says when it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn objects_arrive_once_and_are_dropped_with_the_socket() {
    let node = node();
    let dropped = Arc::new(AtomicUsize::new(0));
    let send = |to: &UnixDatagram, n: usize| {
        let objects = (0..n).map(|_| Arc::new(Counted(dropped.clone())) as _);
        to.send_message(UnixSend {
            objects: objects.collect(),
            ..UnixSend::default()
        })
    };
    let (a, b) = UnixDatagram::pair_on(&node).unwrap();
    send(&a, 2).unwrap();
    send(&a, 3).unwrap();
    let got = b.recv_message(0, MessageFlags::empty()).unwrap();
    assert_eq!((got.objects.len(), dropped.load(Ordering::Relaxed)), (2, 0));
    assert!(got.objects[0].downcast_ref::<Counted>().is_some());
    drop(got);
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
    drop(b);
    assert_eq!(dropped.load(Ordering::Relaxed), 5);
}

/// The end of a queue ends a socket that lies in it, which takes the same lock.
#[test]
fn a_socket_travels_over_a_socket() {
    let node = node();
    let (a, b) = UnixStream::pair_on(&node).unwrap();
    let (inner, mut outer) = UnixStream::pair_on(&node).unwrap();
    let pass = |inner: UnixStream| {
        a.send_message(UnixSend {
            data: Bytes::from_static(b"here"),
            objects: vec![Arc::new(Socket::from(inner))],
            ..UnixSend::default()
        })
    };
    pass(inner).unwrap();
    let got = b.recv_message(4, MessageFlags::empty()).unwrap();
    let inner = got.objects[0].downcast_ref::<Socket>().unwrap();
    inner.send(b"hello").unwrap();
    let mut text = [0; 5];
    outer.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"hello");

    let (inner, mut outer) = UnixStream::pair_on(&node).unwrap();
    pass(inner).unwrap();
    drop((a, b));
    assert_eq!(outer.read(&mut text).unwrap(), 0);
}

#[test]
fn threads_wait_for_connections_data_and_room() {
    let node = node();
    let name = SocketAddr::from_abstract_name("waits").unwrap();
    let listener = UnixListener::bind_on(&node, &name).unwrap();
    let serving = std::thread::spawn(move || {
        let (mut served, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        served.read_to_end(&mut all).unwrap();
        served.write_all(&all).unwrap();
        all.len()
    });
    let mut stream = UnixStream::connect_on(&node, &name).unwrap();
    let data: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    stream.write_all(&data).unwrap();
    stream.shutdown(sockeye::unix::Shutdown::Write).unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    assert!(back == data);
    assert_eq!(serving.join().unwrap(), data.len());
}

#[test]
fn a_full_backlog_and_a_full_queue_are_waited_for() {
    let node = node();
    let name = SocketAddr::from_abstract_name("full").unwrap();
    let listener = Socket::new_on(&node, sockeye::Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind_unix(&name).unwrap();
    listener.listen(0).unwrap();
    let _first = UnixStream::connect_on(&node, &name).unwrap();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| UnixStream::connect_on(&node, &name));
        listener.accept_unix().unwrap();
        listener.accept_unix().unwrap();
        second.join().unwrap().unwrap();
    });

    let queue = UnixDatagram::bind_on(&node, &name).unwrap();
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let from = UnixDatagram::unbound_on(&node).unwrap();
            (0..100_u8).try_for_each(|n| from.send_to_addr(&[n], &name).map(|_| ()))
        });
        for n in 0..100 {
            let mut byte = [0];
            queue.recv(&mut byte).unwrap();
            assert_eq!(byte, [n]);
        }
        sending.join().unwrap().unwrap();
    });
}

#[test]
fn a_receive_gives_up_after_its_timeout() {
    let (a, _b) = UnixDatagram::pair_on(&node()).unwrap();
    a.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    assert_eq!(a.recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// `net.unix.max_dgram_qlen`.
#[test]
fn the_queue_of_datagrams_is_as_long_as_the_setting_says() {
    let mut config = Config::default();
    config.set_sysctl("net.unix.max_dgram_qlen", "2").unwrap();
    let node = Node::builder().config(config).build().unwrap();
    let name = SocketAddr::from_abstract_name("short").unwrap();
    let _queue = UnixDatagram::bind_on(&node, &name).unwrap();
    let from = UnixDatagram::unbound_on(&node).unwrap();
    from.set_nonblocking(true).unwrap();
    let sent = (0..9).filter(|_| from.send_to_addr(b"x", &name).is_ok());
    assert_eq!(sent.count(), 3);
}

#[test]
fn there_are_as_many_sockets_as_there_may_be() {
    let config = Config {
        sockets_max: 4,
        ..Config::default()
    };
    let node = Node::builder().config(config).build().unwrap();
    let name = SocketAddr::from_abstract_name("few").unwrap();
    let _listener = UnixListener::bind_on(&node, &name).unwrap();
    let _one = UnixStream::connect_on(&node, &name).unwrap();
    // Its own socket fits, the other end of it does not.
    let error = UnixStream::connect_on(&node, &name).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENFILE));
    let error = UnixStream::pair_on(&node).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENFILE));
    UnixDatagram::unbound_on(&node).unwrap();
}

#[test]
fn nobody_says_that_he_is_another() {
    if rustix::process::geteuid().is_root() {
        // root may.
        return;
    }
    let (a, _b) = UnixDatagram::pair_on(&node()).unwrap();
    let sent = a.send_message(UnixSend {
        credentials: Some(sockeye::unix::Credentials {
            pid: 1,
            uid: 0,
            gid: 0,
        }),
        ..UnixSend::default()
    });
    assert_eq!(sent.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[test]
fn the_end_of_the_node_ends_its_sockets() {
    let node = node();
    let (a, b) = UnixStream::pair_on(&node).unwrap();
    // A socket in its own queue.
    let object = Arc::new(b.as_socket().try_clone().unwrap());
    a.send_message(UnixSend {
        data: Bytes::from_static(b"x"),
        objects: vec![object],
        ..UnixSend::default()
    })
    .unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut byte = [0];
            (&a).read(&mut byte)
        });
        while !waiting.is_finished() {
            let _ = node.shutdown(Duration::ZERO);
            std::thread::yield_now();
        }
        let error = waiting.join().unwrap().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ESHUTDOWN));
    });
}
