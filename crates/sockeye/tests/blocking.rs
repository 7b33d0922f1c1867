//! The std-shaped sockets over memory links.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use hickory_proto::op::{Message, MessageType};
use hickory_proto::rr::{RData, Record, RecordType, rdata};
use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::link::{MacAddr, Medium};
use sockeye::net::{IcmpSocket, RawSocket, Shutdown, TcpListener, TcpStream, UdpSocket};
use sockeye::{
    Ancillary, Domain, LinkConfig, MessageFlags, Node, PollFd, Protocol, Readiness, SendMessage,
    Socket, Type,
};
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

fn node(link: MemoryLink, address: &str, background: bool) -> Node {
    let config = LinkConfig::new().address(address.parse().unwrap());
    Node::builder()
        .link("eth0", Box::new(link), config)
        .background(background)
        .build()
        .unwrap()
}

fn pair() -> (Node, Node) {
    let (a, b) = MemoryLink::pair_ip(MemoryConfig::default());
    (node(a, "10.0.0.1/24", true), node(b, "10.0.0.2/24", true))
}

fn connected(a: &Node, b: &Node) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind_on(b, "10.0.0.2:7").unwrap();
    let client = TcpStream::connect_on(a, "10.0.0.2:7").unwrap();
    let (server, peer) = listener.accept().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    (client, server)
}

#[test]
fn echo_between_two_threads() {
    let (a, b) = pair();
    let listener = TcpListener::bind_on(&b, "10.0.0.2:7").unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer).unwrap() {
                0 => return,
                n => stream.write_all(&buffer[..n]).unwrap(),
            }
        }
    });
    let mut stream = TcpStream::connect_on(&a, "10.0.0.2:7").unwrap();
    for round in 0..1000_u32 {
        stream.write_all(&round.to_be_bytes()).unwrap();
        let mut back = [0; 4];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back, round.to_be_bytes());
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    server.join().unwrap();
}

/// What is handed over arrives in the same memory, between others that were copied.
#[test]
fn buffers_cross_a_stream_as_they_are() {
    let (a, b) = pair();
    let (mut client, server) = connected(&a, &b);
    let data: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let data = Bytes::from(data);
    let (within, sent) = (data.as_ptr_range(), data.clone());
    let sending = thread::spawn(move || {
        client.write_all(b"copied").unwrap();
        assert_eq!(client.send_bytes(sent).unwrap(), 3_000_000);
        // A few bytes are copied together.
        assert_eq!(client.send_bytes(Bytes::from_static(b"few")).unwrap(), 3);
        assert_eq!(client.send_bytes(Bytes::new()).unwrap(), 0);
    });
    let (mut got, mut same) = (Vec::new(), 0);
    loop {
        let slices = server.recv_bytes(100_000).unwrap();
        if slices.is_empty() {
            break;
        }
        assert!(slices.iter().all(|slice| !slice.is_empty()));
        assert!(slices.iter().map(Bytes::len).sum::<usize>() <= 100_000);
        for slice in slices {
            if within.contains(&slice.as_ptr()) {
                same += slice.len();
            }
            got.extend_from_slice(&slice);
        }
    }
    sending.join().unwrap();
    assert!(got == [b"copied", &data[..], b"few"].concat());
    // What shares a segment with bytes that were copied is gathered with them where it is short.
    assert!(same > 2_990_000, "{same} bytes were not copied");
    let datagrams = Socket::new_on(&a, Domain::IPV4, Type::DGRAM, None).unwrap();
    let error = datagrams.send_bytes(data).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(95), "EOPNOTSUPP");
}

/// A nonblocking stream takes and gives what there is.
#[test]
fn buffers_and_a_stream_that_does_not_wait() {
    let (a, b) = pair();
    let (client, server) = connected(&a, &b);
    let would_block = |error: std::io::Error| error.kind() == ErrorKind::WouldBlock;
    server.set_nonblocking(true).unwrap();
    assert!(server.recv_bytes(9).is_err_and(would_block));
    client.set_nonblocking(true).unwrap();
    let data = Bytes::from(vec![5; 64 << 20]);
    let mut sent = client.send_bytes(data.clone()).unwrap();
    assert!(sent > 0 && sent < data.len());
    loop {
        match client.send_bytes(data.clone()) {
            Ok(n) => sent += n,
            Err(error) => break assert!(would_block(error)),
        }
    }
    assert!(sent < data.len(), "{sent} bytes are in both buffers");
    drop(client);
    server.set_nonblocking(false).unwrap();
    assert!(server.recv_bytes(0).unwrap().is_empty());
    let mut got = 0;
    loop {
        let slices = server.recv_bytes(usize::MAX).unwrap();
        if slices.is_empty() {
            break;
        }
        got += slices.iter().map(Bytes::len).sum::<usize>();
    }
    assert_eq!(got, sent);
    let error = server
        .send_bytes(data)
        .and_then(|_| server.send_bytes(Bytes::from(vec![1; 600])));
    assert!(error.is_err(), "the peer has closed its socket");
}

/// Without the background thread all happens inside calls, here in one thread.
#[test]
fn two_nodes_in_one_thread() {
    let (a, b) = MemoryLink::pair_ip(MemoryConfig::default());
    let (a, b) = (node(a, "10.0.0.1/24", false), node(b, "10.0.0.2/24", false));
    let (mut client, mut server) = connected(&a, &b);
    let mut buffer = [0; 64];
    for _ in 0..100 {
        client.write_all(b"question").unwrap();
        assert_eq!(server.read(&mut buffer).unwrap(), 8);
        server.write_all(b"answer").unwrap();
        assert_eq!(client.read(&mut buffer).unwrap(), 6);
    }
    drop(client);
    assert_eq!(server.read(&mut buffer).unwrap(), 0);
}

#[test]
fn megabytes_cross_whole() {
    let (a, b) = pair();
    let (mut client, mut server) = connected(&a, &b);
    const LEN: usize = 32 << 20;
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        server.read_to_end(&mut all).unwrap();
        all
    });
    let data: Vec<u8> = (0..LEN).map(|i| (i % 251) as u8).collect();
    client.write_all(&data).unwrap();
    drop(client);
    assert!(reader.join().unwrap() == data);
}

#[test]
fn a_read_gives_up_after_its_timeout() {
    let (a, b) = pair();
    let (client, _server) = connected(&a, &b);
    client
        .set_read_timeout(Some(Duration::from_millis(30)))
        .unwrap();
    let begun = Instant::now();
    let error = (&client).read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!(begun.elapsed() >= Duration::from_millis(30));
    let udp = UdpSocket::bind_on(&a, "10.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(Duration::from_millis(5)))
        .unwrap();
    let error = udp.recv(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_write_gives_up_when_nobody_reads() {
    let (a, b) = pair();
    let (mut client, _server) = connected(&a, &b);
    client
        .set_write_timeout(Some(Duration::from_millis(30)))
        .unwrap();
    let error = loop {
        if let Err(error) = client.write_all(&[7; 65_536]) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn connecting_to_nobody() {
    let (a, _b) = pair();
    let refused = TcpStream::connect_on(&a, "10.0.0.2:9").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    // Nobody has this address: the link carries the question, and nobody answers.
    let begun = Instant::now();
    let timeout = Duration::from_millis(50);
    let silence = "10.0.0.3:9".parse().unwrap();
    let error = TcpStream::connect_timeout_on(&a, &silence, timeout).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(begun.elapsed() >= timeout);
    let nowhere = TcpStream::connect_on(&a, "192.0.2.1:9").unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::NetworkUnreachable);
}

#[test]
fn nonblocking_calls_never_wait() {
    let (a, b) = pair();
    let listener = TcpListener::bind_on(&b, "10.0.0.2:7").unwrap();
    listener.set_nonblocking(true).unwrap();
    let nothing = listener.accept().unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    let client = TcpStream::connect_on(&a, "10.0.0.2:7").unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_nonblocking(true).unwrap();
    let nothing = (&server).read(&mut [0; 8]).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    (&client).write_all(b"now").unwrap();
    assert_eq!((&server).read(&mut [0; 8]).unwrap(), 3);

    let socket = Socket::new_on(&a, Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    let address = "10.0.0.2:7".parse().unwrap();
    let begun = socket.connect(address).unwrap_err();
    assert_eq!(begun.raw_os_error(), Some(libc::EINPROGRESS));
    let mut sockets = [PollFd::new(&socket, Readiness::WRITABLE)];
    assert_eq!(sockeye::poll(&mut sockets, None).unwrap(), 1);
    assert!(socket.take_error().unwrap().is_none());
    assert_eq!(socket.peer_addr().unwrap(), address);
}

#[test]
fn peeking_leaves_the_data() {
    let (a, b) = pair();
    let (mut client, mut server) = connected(&a, &b);
    client.write_all(b"sockeye").unwrap();
    let mut buffer = [0; 4];
    assert_eq!(server.peek(&mut buffer).unwrap(), 4);
    assert_eq!(server.peek(&mut buffer).unwrap(), 4);
    assert_eq!(&buffer, b"sock");
    let mut whole = [0; 7];
    server.read_exact(&mut whole).unwrap();
    assert_eq!(&whole, b"sockeye");
}

#[test]
fn half_a_connection_goes_on() {
    let (a, b) = pair();
    let (mut client, mut server) = connected(&a, &b);
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    server.read_to_string(&mut text).unwrap();
    assert_eq!(text, "question");
    server.write_all(b"answer").unwrap();
    drop(server);
    text.clear();
    client.read_to_string(&mut text).unwrap();
    assert_eq!(text, "answer");
    let error = client.write(b"more").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_closed_stream_wakes_its_other_readers() {
    let (a, b) = pair();
    let (client, server) = connected(&a, &b);
    let reader = {
        let mut client = client.try_clone().unwrap();
        thread::spawn(move || client.read(&mut [0; 8]))
    };
    thread::sleep(Duration::from_millis(20));
    client.shutdown(Shutdown::Read).unwrap();
    assert_eq!(reader.join().unwrap().unwrap(), 0);
    drop(server);
}

#[test]
fn what_was_written_arrives_though_all_is_dropped_at_once() {
    let (a, b) = pair();
    let (mut client, mut server) = connected(&a, &b);
    const LEN: usize = 3 << 20;
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        thread::sleep(Duration::from_millis(50));
        server.read_to_end(&mut all).unwrap();
        all.len()
    });
    client.write_all(&vec![5; LEN]).unwrap();
    drop((client, a));
    assert_eq!(reader.join().unwrap(), LEN);
}

#[test]
fn shutdown_resets_what_nobody_takes() {
    let (a, b) = pair();
    let (client, server) = connected(&a, &b);
    client.set_nonblocking(true).unwrap();
    while (&client).write(&[0; 65_536]).is_ok() {}
    let begun = Instant::now();
    let error = a.shutdown(Duration::from_millis(100)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(begun.elapsed() >= Duration::from_millis(100));
    let gone = (&client).write(b"x").unwrap_err();
    assert_eq!(gone.raw_os_error(), Some(libc::ESHUTDOWN));
    let mut all = Vec::new();
    let error = (&server).read_to_end(&mut all).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    a.shutdown(Duration::ZERO).unwrap();
}

#[test]
fn the_end_of_a_node_wakes_those_who_wait() {
    let (_a, b) = pair();
    let listener = TcpListener::bind_on(&b, "10.0.0.2:7").unwrap();
    let waiting = thread::spawn(move || listener.accept().map(|_| ()));
    thread::sleep(Duration::from_millis(20));
    b.shutdown(Duration::from_secs(1)).unwrap();
    let error = waiting.join().unwrap().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ESHUTDOWN));
}

/// One connection wakes one of those who accept; each gets some, and all are served.
#[test]
fn accepting_threads_share_the_connections() {
    const THREADS: usize = 4;
    const EACH: usize = 50;
    let (a, b) = pair();
    let listener = Arc::new(TcpListener::bind_on(&b, "10.0.0.2:7").unwrap());
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let listener = listener.clone();
            thread::spawn(move || {
                for _ in 0..EACH {
                    let (mut stream, _) = listener.accept().unwrap();
                    stream.write_all(b"!").unwrap();
                }
            })
        })
        .collect();
    for _ in 0..THREADS * EACH {
        let mut stream = TcpStream::connect_on(&a, "10.0.0.2:7").unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"!");
    }
    threads.into_iter().for_each(|t| t.join().unwrap());
}

/// Waiters come and go with time-outs of their own; no datagram's wake-up goes with one of them.
#[test]
fn no_wake_up_is_lost_with_a_call_that_gives_up() {
    const DATAGRAMS: usize = 2000;
    let (a, b) = pair();
    let server = Arc::new(UdpSocket::bind_on(&b, "10.0.0.2:7").unwrap());
    let received = Arc::new(AtomicUsize::new(0));
    let fickle: Vec<_> = (0..2)
        .map(|_| {
            let (server, received) = (server.try_clone().unwrap(), received.clone());
            server
                .set_read_timeout(Some(Duration::from_micros(300)))
                .unwrap();
            thread::spawn(move || {
                while received.load(Ordering::Relaxed) < DATAGRAMS {
                    if server.recv(&mut [0; 8]).is_ok() {
                        received.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    let client = UdpSocket::bind_on(&a, "10.0.0.1:0").unwrap();
    for n in 0..DATAGRAMS {
        client.send_to(b"x", "10.0.0.2:7").unwrap();
        // No more than the receive buffer holds.
        while n.saturating_sub(received.load(Ordering::Relaxed)) > 50 {
            thread::yield_now();
        }
    }
    fickle.into_iter().for_each(|t| t.join().unwrap());
    assert_eq!(received.load(Ordering::Relaxed), DATAGRAMS);
}

/// Many threads on two nodes, each with a conversation of its own.
#[test]
fn many_conversations_at_once() {
    const THREADS: usize = 12;
    const ROUNDS: usize = 300;
    let (a, b) = pair();
    let listener = TcpListener::bind_on(&b, "10.0.0.2:7").unwrap();
    let server = thread::spawn(move || {
        let serve = |stream: TcpStream| {
            thread::spawn(move || {
                let mut buffer = [0; 64];
                loop {
                    match (&stream).read(&mut buffer).unwrap() {
                        0 => return,
                        n => (&stream).write_all(&buffer[..n]).unwrap(),
                    }
                }
            })
        };
        let all: Vec<_> = (0..THREADS)
            .map(|_| serve(listener.accept().unwrap().0))
            .collect();
        all.into_iter().for_each(|t| t.join().unwrap());
    });
    let clients: Vec<_> = (0..THREADS)
        .map(|n| {
            let a = a.clone();
            thread::spawn(move || {
                let mut stream = TcpStream::connect_on(&a, "10.0.0.2:7").unwrap();
                for round in 0..ROUNDS {
                    let said = [n as u8, round as u8, (round >> 8) as u8];
                    stream.write_all(&said).unwrap();
                    let mut heard = [0; 3];
                    stream.read_exact(&mut heard).unwrap();
                    assert_eq!(heard, said);
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|t| t.join().unwrap());
    server.join().unwrap();
}

#[test]
fn halves_in_two_threads() {
    let (a, b) = pair();
    let (client, server) = connected(&a, &b);
    let (mut read, mut write) = client.split();
    let echo = thread::spawn(move || {
        std::io::copy(&mut &server, &mut &server).unwrap();
    });
    let writer = thread::spawn(move || {
        write.write_all(&[9; 200_000]).unwrap();
        // Dropped here: the peer reads the end.
    });
    let mut all = Vec::new();
    read.read_to_end(&mut all)
        .unwrap_or_else(|error| panic!("{error}"));
    writer.join().unwrap();
    echo.join().unwrap();
    assert_eq!(all.len(), 200_000);
}

/// A retransmission is due while no thread is in a call: the background thread sees to it.
#[test]
fn timers_run_while_nobody_calls() {
    let (a, b) = pair();
    let (mut client, server) = connected(&a, &b);
    server.set_nonblocking(true).unwrap();
    client.write_all(b"x").unwrap();
    // The acknowledgement is delayed, and sent by nobody's call.
    thread::sleep(Duration::from_millis(300));
    let unacknowledged = a.sockets().unwrap()[0].send_queue;
    assert_eq!(unacknowledged, 0);
}

#[test]
fn poll_over_two_nodes() {
    let (a, b) = pair();
    let (client, server) = connected(&a, &b);
    let mut sockets = [
        PollFd::new(client.as_socket(), Readiness::READABLE),
        PollFd::new(server.as_socket(), Readiness::READABLE),
    ];
    let none = sockeye::poll(&mut sockets, Some(Duration::from_millis(5)));
    assert_eq!(none.unwrap(), 0);
    let writer = thread::spawn({
        let client = client.try_clone().unwrap();
        move || {
            thread::sleep(Duration::from_millis(20));
            (&client).write_all(b"x").unwrap();
        }
    });
    assert_eq!(sockeye::poll(&mut sockets, None).unwrap(), 1);
    assert!(sockets[0].revents().is_empty());
    assert!(sockets[1].revents().contains(Readiness::READABLE));
    writer.join().unwrap();
    (&server).read_exact(&mut [0]).unwrap();
    drop(server.shutdown(Shutdown::Both));
    let mut sockets = [PollFd::new(client.as_socket(), Readiness::READABLE)];
    assert_eq!(sockeye::poll(&mut sockets, None).unwrap(), 1);
}

/// RFC 1122 §4.1.3.5: whom a datagram was sent to, too.
#[test]
fn datagrams_tell_what_they_are_asked_to() {
    let (a, b) = pair();
    let server = UdpSocket::bind_on(&b, "0.0.0.0:7").unwrap();
    let client = UdpSocket::bind_on(&a, "0.0.0.0:0").unwrap();
    client.as_socket().set_ttl_v4(9).unwrap();
    let flag = 1_i32.to_ne_bytes();
    let set = |name| {
        let socket = server.as_socket();
        socket
            .set_option_raw(libc::IPPROTO_IP, name, &flag)
            .unwrap();
    };
    set(libc::IP_PKTINFO);
    set(libc::IP_RECVTTL);
    client.send_to(b"sockeye", "10.0.0.2:7").unwrap();
    let (mut one, mut two) = ([0; 4], [0; 2]);
    let mut buffers = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
    let socket = server.as_socket();
    let message = socket.recvmsg(&mut buffers, MessageFlags::empty()).unwrap();
    assert_eq!((message.len, &one, &two), (6, b"sock", b"ey"));
    assert_eq!(message.flags, MessageFlags::TRUNCATE);
    assert_eq!(message.from.unwrap().ip().to_string(), "10.0.0.1");
    assert_eq!(
        message.ancillary,
        [
            Ancillary::PacketInfo {
                interface: 2,
                address: "10.0.0.2".parse().unwrap(),
                local: "10.0.0.2".parse().unwrap()
            },
            Ancillary::Ttl(9)
        ]
    );
}

/// tcp(7), TCP_INQ.
#[test]
fn a_read_tells_how_much_is_left() {
    const TCP_INQ: i32 = 36;
    let (a, b) = pair();
    let (mut client, server) = connected(&a, &b);
    let socket = server.as_socket();
    let read = |len: usize| {
        let mut buffer = vec![0; len];
        let mut buffers = [IoSliceMut::new(&mut buffer)];
        socket
            .recvmsg(&mut buffers, MessageFlags::WAIT_ALL)
            .unwrap()
    };
    client.write_all(&[b'x'; 100]).unwrap();
    assert_eq!(read(10).ancillary, []);
    let on = 1_i32.to_ne_bytes();
    socket
        .set_option_raw(libc::IPPROTO_TCP, TCP_INQ, &on)
        .unwrap();
    assert_eq!(read(30).ancillary, [Ancillary::Inq(60)]);
    client.shutdown(Shutdown::Write).unwrap();
    let mut fds = [PollFd::new(socket, Readiness::READ_CLOSED)];
    assert_eq!(sockeye::poll(&mut fds, None).unwrap(), 1);
    let message = read(10);
    assert_eq!(message.ancillary, [Ancillary::Inq(51)], "the FIN counts");
    assert_eq!(
        message.ancillary[0].to_raw(Domain::IPV4),
        (6, TCP_INQ, 51_i32.to_ne_bytes().to_vec())
    );
    assert_eq!(read(50).ancillary, [Ancillary::Inq(1)]);
    let end = read(50);
    assert_eq!((end.len, &end.ancillary[..]), (0, &[Ancillary::Inq(1)][..]));
}

/// tcp(7), TCP_SAVE_SYN and TCP_SAVED_SYN.
#[test]
fn the_headers_of_a_syn_are_read_once() {
    const TCP_SAVE_SYN: i32 = 27;
    const TCP_SAVED_SYN: i32 = 28;
    let ethernet = |last| Medium::Ethernet(MacAddr([2, 0, 0, 0, 0, last]));
    let (a, b) = MemoryLink::pair(MemoryConfig::default(), ethernet(1), ethernet(2));
    let (a, b) = (node(a, "10.0.0.1/24", true), node(b, "10.0.0.2/24", true));
    let listener = TcpListener::bind_on(&b, "10.0.0.2:7").unwrap();
    let tcp = libc::IPPROTO_TCP;
    for (number, link_len) in [(1_i32, 0), (2, 14)] {
        let socket = listener.as_socket();
        let number = number.to_ne_bytes();
        socket.set_option_raw(tcp, TCP_SAVE_SYN, &number).unwrap();
        let client = TcpStream::connect_on(&a, "10.0.0.2:7").unwrap();
        let (server, _) = listener.accept().unwrap();
        let server = server.as_socket();
        let short = server.option_raw(tcp, TCP_SAVED_SYN, &mut [0; 39]);
        assert_eq!(short.unwrap_err().raw_os_error(), Some(libc::EINVAL));
        let mut syn = [0; 256];
        let len = server.option_raw(tcp, TCP_SAVED_SYN, &mut syn).unwrap();
        let (link, ip) = syn[..len].split_at(link_len);
        assert!(link.is_empty() || link == [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
        assert_eq!(
            (ip[0], &ip[12..20]),
            (0x45, &[10, 0, 0, 1, 10, 0, 0, 2][..])
        );
        let port = client.local_addr().unwrap().port().to_be_bytes();
        assert_eq!((&ip[20..22], ip[33]), (&port[..], 0x02), "a SYN");
        assert_eq!(ip.len(), 20 + usize::from(ip[32] >> 4) * 4);
        assert_eq!(server.option_raw(tcp, TCP_SAVED_SYN, &mut syn).unwrap(), 0);
    }
}

/// send(2): MSG_OOB is for streams, MSG_MORE for those and for UDP.
#[test]
fn flags_that_a_datagram_takes_and_does_not() {
    let (a, b) = pair();
    let server = UdpSocket::bind_on(&b, "10.0.0.2:7").unwrap();
    let client = UdpSocket::bind_on(&a, "0.0.0.0:0").unwrap();
    client.connect("10.0.0.2:7").unwrap();
    let send = |flags| {
        client.as_socket().sendmsg(&SendMessage {
            data: &[IoSlice::new(b"half")],
            flags,
            ..SendMessage::default()
        })
    };
    let refused = send(MessageFlags::OUT_OF_BAND).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EOPNOTSUPP));
    assert_eq!(send(MessageFlags::MORE).unwrap(), 4);
    assert_eq!(send(MessageFlags::empty()).unwrap(), 4);
    let mut buffer = [0; 20];
    assert_eq!(server.recv(&mut buffer).unwrap(), 8);
}

/// recvmmsg(2), sendmmsg(2).
#[test]
fn many_datagrams_by_one_call() {
    let (a, b) = pair();
    let server = UdpSocket::bind_on(&b, "10.0.0.2:7").unwrap();
    let client = UdpSocket::bind_on(&a, "0.0.0.0:0").unwrap();
    let to = "10.0.0.2:7".parse().unwrap();
    let texts = [&b"one"[..], b"two", b"", b"four"].map(IoSlice::new);
    let messages: Vec<SendMessage<'_>> = texts
        .iter()
        .map(|text| SendMessage {
            to: Some(to),
            data: std::slice::from_ref(text),
            ..SendMessage::default()
        })
        .collect();
    assert_eq!(client.as_socket().sendmmsg(&messages).unwrap(), 4);
    let nowhere = SendMessage::default();
    let broken = [messages[0], nowhere, messages[1]];
    assert_eq!(client.as_socket().sendmmsg(&broken).unwrap(), 1);
    let first = client.as_socket().sendmmsg(&broken[1..]).unwrap_err();
    assert_eq!(first.raw_os_error(), Some(libc::EDESTADDRREQ));

    let mut rooms = [[0; 3]; 8];
    let mut buffers: Vec<&mut [u8]> = rooms.iter_mut().map(|room| &mut room[..]).collect();
    let flags = MessageFlags::WAIT_FOR_ONE;
    let got = server.as_socket().recvmmsg(&mut buffers, flags).unwrap();
    let lens: Vec<usize> = got.iter().map(|message| message.len).collect();
    assert_eq!(lens, [3, 3, 0, 3, 3]);
    let cut: Vec<bool> = got
        .iter()
        .map(|message| message.flags.contains(MessageFlags::TRUNCATE))
        .collect();
    assert_eq!(cut, [false, false, false, true, false]);
    assert_eq!((&rooms[0], &rooms[3], &rooms[4]), (b"one", b"fou", b"one"));
}

#[test]
fn options_as_bytes() {
    let (a, _b) = pair();
    let socket = Socket::new_on(&a, Domain::IPV6, Type::STREAM, None).unwrap();
    let int = |level, name| {
        let mut out = [0; 4];
        let len = socket.option_raw(level, name, &mut out).unwrap();
        assert_eq!(len, 4);
        i32::from_ne_bytes(out)
    };
    assert_eq!(int(libc::SOL_SOCKET, libc::SO_TYPE), libc::SOCK_STREAM);
    assert_eq!(int(libc::SOL_SOCKET, libc::SO_DOMAIN), libc::AF_INET6);
    assert_eq!(int(libc::SOL_SOCKET, libc::SO_PROTOCOL), libc::IPPROTO_TCP);
    assert_eq!(int(libc::SOL_SOCKET, libc::SO_ACCEPTCONN), 0);
    socket.bind("[::1]:0".parse().unwrap()).unwrap();
    socket.listen(1).unwrap();
    assert_eq!(int(libc::SOL_SOCKET, libc::SO_ACCEPTCONN), 1);
    let unknown = socket.set_option_raw(libc::SOL_SOCKET, 12_345, &[0; 4]);
    assert_eq!(unknown.unwrap_err().raw_os_error(), Some(libc::ENOPROTOOPT));
    let time = [3_i64.to_ne_bytes(), 500_000_i64.to_ne_bytes()].concat();
    socket
        .set_option_raw(libc::SOL_SOCKET, libc::SO_RCVTIMEO, &time)
        .unwrap();
    let timeout = socket.read_timeout().unwrap();
    assert_eq!(timeout, Some(Duration::from_millis(3500)));
}

#[test]
fn names_need_a_name_server() {
    let (a, _b) = pair();
    let error = TcpStream::connect_on(&a, "example.com:80").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let listener = TcpListener::bind_on(&a, "localhost:7").unwrap();
    let client = TcpStream::connect_on(&a, "localhost:7").unwrap();
    assert_eq!(listener.accept().unwrap().1, client.local_addr().unwrap());
    assert!(
        TcpStream::connect("10.0.0.2:7").is_err(),
        "no node is current"
    );
}

#[test]
fn a_node_answers_pings_and_raw_sockets_see_them() {
    let (a, b) = pair();
    let raw = RawSocket::new_on(&b, Domain::IPV4, Protocol::ICMPV4).unwrap();
    let ping = IcmpSocket::bind_on(&a, "0.0.0.0".parse().unwrap()).unwrap();
    // Echo request: type, code, checksum, identifier (both the node's business), sequence number.
    let request = [8, 0, 0, 0, 0, 0, 0, 1, b's', b'o', b'c', b'k'];
    ping.send_to(&request, "10.0.0.2".parse().unwrap()).unwrap();
    let mut buffer = [0; 64];
    let (len, from) = ping.recv_from(&mut buffer).unwrap();
    assert_eq!(from.to_string(), "10.0.0.2");
    assert_eq!((buffer[0], &buffer[6..len]), (0, &request[6..]));
    // A raw IPv4 socket gets the IP header as well.
    let (len, from) = raw.recv_from(&mut buffer).unwrap();
    assert_eq!(from.to_string(), "10.0.0.1");
    assert_eq!((len, buffer[0], buffer[20]), (20 + request.len(), 0x45, 8));
}

/// A name server that knows one name: at 10.0.0.2, for the node 10.0.0.1.
#[test]
fn connecting_by_name_asks_the_nodes_name_server() {
    let (a, b) = pair();
    a.set_dns_servers(vec!["10.0.0.2".parse().unwrap()]);
    let server = UdpSocket::bind_on(&b, "10.0.0.2:53").unwrap();
    let _listener = TcpListener::bind_on(&b, "10.0.0.2:80").unwrap();
    let names = thread::spawn(move || {
        let mut asked = [0; 512];
        // One question for each family.
        for _ in 0..2 {
            let (len, from) = server.recv_from(&mut asked).unwrap();
            let mut answer = Message::from_vec(&asked[..len]).unwrap();
            let question = answer.queries()[0].clone();
            answer.set_message_type(MessageType::Response);
            if question.query_type() == RecordType::A {
                let address = RData::A(rdata::A::new(10, 0, 0, 2));
                answer.add_answer(Record::from_rdata(question.name().clone(), 60, address));
            }
            server.send_to(&answer.to_vec().unwrap(), from).unwrap();
        }
    });
    let stream = TcpStream::connect_on(&a, "sockeye.test:80").unwrap();
    assert_eq!(stream.peer_addr().unwrap().to_string(), "10.0.0.2:80");
    names.join().unwrap();
}

/// recv(2) and poll(2) with urgent data: MSG_OOB, POLLPRI, the mark, and MSG_WAITALL that stops
/// there.
#[test]
fn urgent_data_is_read_by_itself() {
    let (a, b) = pair();
    let (mut client, server) = connected(&a, &b);
    let socket = server.as_socket();
    client.write_all(b"ab").unwrap();
    assert_eq!(client.send_oob(b"c!").unwrap(), 2);
    client.write_all(b"de").unwrap();
    let mut fds = [PollFd::new(socket, Readiness::PRIORITY)];
    let soon = Some(Duration::from_secs(5));
    assert_eq!(sockeye::poll(&mut fds, soon).unwrap(), 1);
    assert_eq!(fds[0].revents(), Readiness::PRIORITY);
    let mut octet = [0; 4];
    let peek = MessageFlags::OUT_OF_BAND | MessageFlags::PEEK;
    assert_eq!(socket.recv_with(&mut octet, peek).unwrap(), 1);
    let whole = MessageFlags::WAIT_ALL;
    let mut buffer = [0; 9];
    assert_eq!(socket.recv_with(&mut buffer, whole).unwrap(), 3);
    assert_eq!(&buffer[..3], b"abc");
    assert!(server.at_mark().unwrap());
    assert_eq!(server.recv_oob(&mut octet).unwrap(), 1);
    assert_eq!(octet[0], b'!');
    let error = server.recv_oob(&mut octet).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    let short = Some(Duration::from_millis(20));
    assert_eq!(sockeye::poll(&mut fds, short).unwrap(), 0);
    assert_eq!((&server).read(&mut buffer).unwrap(), 2);
    assert_eq!(&buffer[..2], b"de");
    // A datagram socket has none.
    let datagram = UdpSocket::bind_on(&a, "0.0.0.0:0").unwrap();
    let error = datagram.as_socket().send_out_of_band(b"x").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP));
    assert_eq!(
        datagram.as_socket().at_mark().unwrap_err().raw_os_error(),
        Some(libc::ENOTTY)
    );
}
