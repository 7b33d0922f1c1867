//! TCP Fast Open by socket calls, between two nodes over a memory link.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::{
    Config, Domain, FastOpenMode, LinkConfig, MessageFlags, Node, SendMessage, Socket, Type,
};
use std::io::IoSlice;
use std::net::SocketAddr;
use std::time::Duration;

/// A client's node and a server's.
fn pair() -> (Node, Node) {
    let (a, b) = MemoryLink::pair_ip(MemoryConfig::default());
    let node = |link, address: &str| {
        let config = Config {
            tcp_fast_open: FastOpenMode::CLIENT | FastOpenMode::SERVER,
            ..Config::default()
        };
        let link_config = LinkConfig::new().address(address.parse().unwrap());
        Node::builder()
            .config(config)
            .link("eth0", Box::new(link), link_config)
            .build()
            .unwrap()
    };
    (node(a, "10.0.0.1/24"), node(b, "10.0.0.2/24"))
}

fn server() -> SocketAddr {
    ([10, 0, 0, 2], 80).into()
}

fn stream(node: &Node) -> Socket {
    Socket::new_on(node, Domain::IPV4, Type::STREAM, None).unwrap()
}

fn set(socket: &Socket, name: i32, value: i32) -> std::io::Result<()> {
    socket.set_option_raw(libc::IPPROTO_TCP, name, &value.to_ne_bytes())
}

fn get(socket: &Socket, name: i32) -> i32 {
    let mut out = [0; 4];
    let len = socket.option_raw(libc::IPPROTO_TCP, name, &mut out);
    assert_eq!(len.unwrap(), 4);
    i32::from_ne_bytes(out)
}

fn listener(node: &Node) -> Socket {
    let listener = stream(node);
    listener.bind(server()).unwrap();
    set(&listener, libc::TCP_FASTOPEN, 5).unwrap();
    listener.listen(5).unwrap();
    listener
}

/// sendto(2) with MSG_FASTOPEN.
fn send_open(socket: &Socket, data: &[u8], more: MessageFlags) -> std::io::Result<usize> {
    socket.sendmsg(&SendMessage {
        data: &[IoSlice::new(data)],
        to: Some(server()),
        flags: MessageFlags::FAST_OPEN | more,
        ..SendMessage::default()
    })
}

fn errno<T: std::fmt::Debug>(result: std::io::Result<T>) -> i32 {
    result.unwrap_err().raw_os_error().unwrap()
}

fn read(socket: &Socket, len: usize) -> Vec<u8> {
    let mut buffer = vec![0; len];
    let got = socket
        .recv_with(&mut buffer, MessageFlags::WAIT_ALL)
        .unwrap();
    buffer.truncate(got);
    buffer
}

/// Gets the server's cookie.
fn warm_up(client: &Node, listener: &Socket) {
    let first = stream(client);
    assert_eq!(
        send_open(&first, b"first", MessageFlags::empty()).unwrap(),
        5
    );
    let (accepted, _) = listener.accept().unwrap();
    assert_eq!(read(&accepted, 5), b"first");
    assert!(!accepted.tcp_info().unwrap().syn_text);
}

#[test]
fn a_call_that_waits_sends_all() {
    let (client, server) = pair();
    let listener = listener(&server);
    warm_up(&client, &listener);
    let data: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    let second = stream(&client);
    let reader = std::thread::spawn(move || {
        let (accepted, _) = listener.accept().unwrap();
        (read(&accepted, 100_000), accepted)
    });
    assert_eq!(
        send_open(&second, &data, MessageFlags::empty()).unwrap(),
        data.len()
    );
    let (got, accepted) = reader.join().unwrap();
    assert_eq!(got, data);
    assert!(second.tcp_info().unwrap().syn_text);
    assert!(accepted.tcp_info().unwrap().syn_text);
    assert_eq!(
        errno(send_open(&second, b"again", MessageFlags::empty())),
        libc::EISCONN
    );
}

#[test]
fn a_call_that_does_not_wait_sends_what_the_syn_carries() {
    let (client, server) = pair();
    let listener = listener(&server);
    let first = stream(&client);
    let sent = send_open(&first, b"first", MessageFlags::DONT_WAIT);
    assert_eq!(errno(sent), libc::EINPROGRESS);
    listener.accept().unwrap();
    let second = stream(&client);
    let sent = send_open(&second, &[7; 5000], MessageFlags::DONT_WAIT).unwrap();
    // The link's MTU is 1500: 1460 bytes, of which 40 are kept for options.
    assert_eq!(sent, 1420);
    let (accepted, _) = listener.accept().unwrap();
    assert_eq!(read(&accepted, 1420), [7; 1420]);
}

#[test]
fn connect_leaves_the_syn_to_the_first_write() {
    let (client, server) = pair();
    let listener = listener(&server);
    warm_up(&client, &listener);
    let second = stream(&client);
    set(&second, libc::TCP_FASTOPEN_CONNECT, 1).unwrap();
    assert_eq!(get(&second, libc::TCP_FASTOPEN_CONNECT), 1);
    second.connect(self::server()).unwrap();
    assert_eq!(errno(second.connect(self::server())), libc::EISCONN);
    listener.set_nonblocking(true).unwrap();
    assert_eq!(errno(listener.accept()), libc::EAGAIN);
    listener.set_nonblocking(false).unwrap();
    assert_eq!(second.send(b"hello").unwrap(), 5);
    let (accepted, _) = listener.accept().unwrap();
    assert_eq!(read(&accepted, 5), b"hello");
    assert!(accepted.tcp_info().unwrap().syn_text);
    assert_eq!(accepted.send(b"back").unwrap(), 4);
    assert_eq!(read(&second, 4), b"back");
}

#[test]
fn errors_are_those_of_connect() {
    let (client, _server) = pair();
    let refused = stream(&client);
    assert_eq!(
        errno(send_open(&refused, b"x", MessageFlags::empty())),
        libc::ECONNREFUSED
    );
    let nowhere = stream(&client);
    let message = SendMessage {
        data: &[],
        flags: MessageFlags::FAST_OPEN,
        ..SendMessage::default()
    };
    assert_eq!(errno(nowhere.sendmsg(&message)), libc::EINVAL);
    assert_eq!(
        errno(set(&nowhere, libc::TCP_FASTOPEN_CONNECT, 2)),
        libc::EINVAL
    );
    assert_eq!(errno(set(&nowhere, libc::TCP_FASTOPEN, -1)), libc::EINVAL);
    assert_eq!(
        errno(set(&nowhere, libc::TCP_FASTOPEN_NO_COOKIE, 7)),
        libc::EINVAL
    );
    for (len, fits) in [(0, false), (15, false), (16, true), (32, true), (33, false)] {
        let key = nowhere.set_option_raw(libc::IPPROTO_TCP, libc::TCP_FASTOPEN_KEY, &vec![1; len]);
        assert_eq!(key.is_ok(), fits, "a key of {len} bytes");
    }
    let mut key = [0; 32];
    let len = nowhere.option_raw(libc::IPPROTO_TCP, libc::TCP_FASTOPEN_KEY, &mut key);
    assert_eq!((len.unwrap(), key), (32, [1; 32]));
    // A node that forbids it.
    let node = Node::builder()
        .config(Config {
            tcp_fast_open: FastOpenMode::empty(),
            ..Config::default()
        })
        .build()
        .unwrap();
    let forbidden = stream(&node);
    let sent = send_open(&forbidden, b"x", MessageFlags::empty());
    assert_eq!(errno(sent), libc::EOPNOTSUPP);
    let on = set(&forbidden, libc::TCP_FASTOPEN_CONNECT, 1);
    assert_eq!(errno(on), libc::EOPNOTSUPP);
}

#[test]
fn a_stream_that_is_dissolved_begins_anew() {
    let (client, server) = pair();
    let listener = listener(&server);
    let socket = stream(&client);
    socket.bind(([10, 0, 0, 1], 4000).into()).unwrap();
    socket.connect(self::server()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    socket.disconnect().unwrap();
    // The peer is told, and the address stays.
    let mut buffer = [0; 1];
    assert_eq!(errno(accepted.recv(&mut buffer)), libc::ECONNRESET);
    assert_eq!(errno(socket.peer_addr()), libc::ENOTCONN);
    assert_eq!(socket.local_addr().unwrap(), ([10, 0, 0, 1], 4000).into());
    drop(accepted);
    socket.connect(self::server()).unwrap();
    let (accepted, peer) = listener.accept().unwrap();
    assert_eq!(peer.port(), 4000);
    assert_eq!(socket.send(b"anew").unwrap(), 4);
    assert_eq!(read(&accepted, 4), b"anew");
    // A listener listens no more.
    listener.disconnect().unwrap();
    let late = stream(&client);
    let refused = late.connect_timeout(self::server(), Duration::from_secs(5));
    assert_eq!(errno(refused), libc::ECONNREFUSED);
}
