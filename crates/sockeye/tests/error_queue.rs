//! MSG_ERRQUEUE: sends with MSG_ZEROCOPY, and errors of datagrams.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::{
    Ancillary, Domain, ExtendedError, LinkConfig, MessageFlags, Node, PollFd, Readiness,
};
use sockeye::{RecvMessage, SendMessage, Socket, Type, poll};
use std::io::{self, IoSlice, IoSliceMut};
use std::time::Duration;

fn pair() -> [Node; 2] {
    let (a, b) = MemoryLink::pair_ip(MemoryConfig::default());
    [(a, "10.0.0.1/24"), (b, "10.0.0.2/24")].map(|(link, address)| {
        let config = LinkConfig::new().address(address.parse().unwrap());
        let builder = Node::builder().link("eth0", Box::new(link), config);
        builder.build().unwrap()
    })
}

fn socket(node: &Node, ty: Type) -> Socket {
    Socket::new_on(node, Domain::IPV4, ty, None).unwrap()
}

/// A stream from the first node to the second, and its other end.
fn streams([a, b]: &[Node; 2]) -> (Socket, Socket) {
    let listener = socket(b, Type::STREAM);
    listener.bind("10.0.0.2:7".parse().unwrap()).unwrap();
    listener.listen(1).unwrap();
    let stream = socket(a, Type::STREAM);
    stream.connect("10.0.0.2:7".parse().unwrap()).unwrap();
    (stream, listener.accept().unwrap().0)
}

fn option(socket: &Socket, level: i32, name: i32) {
    let on = 1_i32.to_ne_bytes();
    socket.set_option_raw(level, name, &on).unwrap();
}

fn send_zero_copy(socket: &Socket, data: &[IoSlice<'_>]) -> usize {
    let message = SendMessage {
        data,
        flags: MessageFlags::ZERO_COPY,
        ..SendMessage::default()
    };
    socket.sendmsg(&message).unwrap()
}

/// The next report, and the payload that comes with it.
fn report(socket: &Socket) -> io::Result<(ExtendedError, RecvMessage, Vec<u8>)> {
    let mut payload = vec![0; 64];
    let mut buffers = [IoSliceMut::new(&mut payload)];
    let message = socket.recvmsg(&mut buffers, MessageFlags::ERROR_QUEUE)?;
    let [Ancillary::Error(error)] = message.ancillary[..] else {
        panic!("{:?}", message.ancillary);
    };
    payload.truncate(message.len);
    assert!(message.flags.contains(MessageFlags::ERROR_QUEUE));
    Ok((error, message, payload))
}

/// Waits until there is a report.
fn wait(socket: &Socket) {
    let mut fds = [PollFd::new(socket, Readiness::empty())];
    assert_eq!(poll(&mut fds, Some(Duration::from_secs(20))).unwrap(), 1);
    assert_eq!(fds[0].revents(), Readiness::ERROR_QUEUE);
}

fn would_block<T: std::fmt::Debug>(result: io::Result<T>) -> bool {
    result.unwrap_err().kind() == io::ErrorKind::WouldBlock
}

/// The numbers of what SO_EE_ORIGIN_ZEROCOPY says is over, as copied.
fn over(first: u32, last: u32) -> ExtendedError {
    ExtendedError {
        origin: 5,
        code: 1,
        info: first,
        data: last,
        ..ExtendedError::default()
    }
}

#[test]
fn a_zero_copy_send_of_a_stream_is_told_when_it_is_over() {
    let nodes = pair();
    let (stream, peer) = streams(&nodes);
    let data = vec![b'x'; 1 << 20];
    assert_eq!(stream.send(b"plain").unwrap(), 5);
    option(&stream, libc::SOL_SOCKET, libc::SO_ZEROCOPY);
    let reader = std::thread::spawn(move || {
        let mut left = 5 + (1 << 20) + 40;
        let mut buffer = vec![0; 65_536];
        while left > 0 {
            left -= peer.recv(&mut buffer).unwrap();
        }
        peer
    });
    assert_eq!(send_zero_copy(&stream, &[IoSlice::new(&data)]), data.len());
    wait(&stream);
    assert_eq!(
        report(&stream).unwrap().0,
        over(0, 0),
        "one call is one send"
    );
    // More pieces than a packet takes, and empty ones.
    let pieces: Vec<_> = (0..80).map(|n| IoSlice::new(&data[..n % 2])).collect();
    assert_eq!(send_zero_copy(&stream, &pieces), 40);
    assert_eq!(send_zero_copy(&stream, &[]), 0);
    let _peer = reader.join().unwrap();
    wait(&stream);
    assert_eq!(report(&stream).unwrap().0, over(1, 1));
    assert!(
        would_block(report(&stream)),
        "a send of nothing does not count"
    );
}

#[test]
fn a_zero_copy_datagram_is_over_at_once() {
    let [a, b] = pair();
    let receiver = socket(&b, Type::DGRAM);
    receiver.bind("10.0.0.2:9".parse().unwrap()).unwrap();
    let socket = socket(&a, Type::DGRAM);
    socket.connect("10.0.0.2:9".parse().unwrap()).unwrap();
    assert!(would_block(report(&socket)));
    assert_eq!(send_zero_copy(&socket, &[IoSlice::new(b"uncounted")]), 9);
    option(&socket, libc::SOL_SOCKET, libc::SO_ZEROCOPY);
    assert_eq!(send_zero_copy(&socket, &[IoSlice::new(b"data")]), 4);
    assert_eq!(send_zero_copy(&socket, &[]), 0);
    assert_eq!(report(&socket).unwrap().0, over(0, 1));
}

/// ip(7), IP_RECVERR.
#[test]
fn an_error_comes_with_its_datagram() {
    let [a, _b] = pair();
    let socket = socket(&a, Type::DGRAM);
    option(&socket, libc::IPPROTO_IP, libc::IP_RECVERR);
    let nobody = "10.0.0.2:9".parse().unwrap();
    assert_eq!(socket.send_to(b"anybody?", nobody).unwrap(), 8);
    let refused = socket.recv(&mut [0; 8]).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    wait(&socket);
    let (error, message, payload) = report(&socket).unwrap();
    let expected = ExtendedError {
        errno: libc::ECONNREFUSED,
        origin: 2,
        icmp_type: 3,
        code: 3,
        offender: Some("10.0.0.2".parse().unwrap()),
        ..ExtendedError::default()
    };
    assert_eq!((error, message.from), (expected, Some(nobody)));
    assert_eq!(payload, b"anybody?");
    assert!(would_block(report(&socket)));
}
