//! DCCP on the Berkeley face: two nodes on an Ethernet.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::link::{MacAddr, Medium};
use sockeye::net::{DccpListener, DccpSocket};
use sockeye::{Domain, LinkConfig, Node, Protocol, Socket, Type};
use std::io::ErrorKind;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

const SOL_DCCP: i32 = 269;
const SERVICE: i32 = 2;

fn pair() -> (Node, Node) {
    let mac = |n| MacAddr([2, 0, 0, 0, 0, n]);
    let (a, b) = MemoryLink::pair(
        MemoryConfig::default(),
        Medium::Ethernet(mac(1)),
        Medium::Ethernet(mac(2)),
    );
    let node = |link, n: u8| {
        let config = LinkConfig::new()
            .address(format!("10.0.0.{n}/24").parse().unwrap())
            .address(format!("fd00::{n}/64").parse().unwrap());
        let builder = Node::builder().seed([n; 32]);
        builder
            .link("eth0", Box::new(link), config)
            .build()
            .unwrap()
    };
    (node(a, 1), node(b, 2))
}

fn socket(node: &Node, domain: Domain) -> Socket {
    let socket = Socket::new_on(node, domain, Type::DCCP, Some(Protocol::DCCP)).unwrap();
    let service = 42u32.to_be_bytes();
    socket.set_option_raw(SOL_DCCP, SERVICE, &service).unwrap();
    socket
}

fn talk(listen: &str, connect: &str) {
    let (a, b) = pair();
    let connect: SocketAddr = connect.parse().unwrap();
    let domain = Domain::for_address(connect);
    let listener = socket(&b, domain);
    listener.bind(listen.parse().unwrap()).unwrap();
    listener.listen(5).unwrap();
    let server = std::thread::spawn(move || {
        let (peer, _) = listener.accept().unwrap();
        let mut buffer = [0; 2000];
        loop {
            let n = peer.recv(&mut buffer).unwrap();
            if n == 0 {
                return;
            }
            assert_eq!(peer.send(&buffer[..n]).unwrap(), n);
        }
    });
    let client = socket(&a, domain);
    // Until duplicate address detection is done, there is no address to speak from.
    while let Err(error) = client.connect(connect) {
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(client.peer_addr().unwrap(), connect);
    let mut buffer = [0; 2000];
    for n in 1..200 {
        let message = vec![n as u8; n];
        client.send(&message).unwrap();
        let got = client.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..got], message);
    }
    // DCCP_SOCKOPT_TX_CCID is read as an int.
    let mut ccid = [0; 4];
    assert_eq!(client.option_raw(SOL_DCCP, 14, &mut ccid).unwrap(), 4);
    assert_eq!(i32::from_ne_bytes(ccid), 2);
    client.shutdown(Shutdown::Both).unwrap();
    server.join().unwrap();
    assert_eq!(client.recv(&mut buffer).unwrap(), 0);
}

#[test]
fn messages_go_both_ways() {
    talk("10.0.0.2:5001", "10.0.0.2:5001");
    talk("[::]:5001", "[fd00::2]:5001");
}

#[test]
fn connecting_and_accepting_need_not_wait() {
    let (a, b) = pair();
    let listener = socket(&b, Domain::IPV4);
    listener.bind("10.0.0.2:5001".parse().unwrap()).unwrap();
    listener.listen(5).unwrap();
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    let client = socket(&a, Domain::IPV4);
    client.set_nonblocking(true).unwrap();
    let to = "10.0.0.2:5001".parse().unwrap();
    let begun = client.connect(to).unwrap_err();
    assert_eq!(begun.raw_os_error(), Some(libc::EINPROGRESS));
    listener.set_nonblocking(false).unwrap();
    let (peer, _) = listener.accept().unwrap();
    client.set_nonblocking(false).unwrap();
    peer.send(b"hello").unwrap();
    let mut buffer = [0; 10];
    assert_eq!(client.recv(&mut buffer).unwrap(), 5);
    client
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    assert_eq!(
        client.recv(&mut buffer).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
}

#[test]
fn nobody_listens() {
    let (a, _b) = pair();
    let client = socket(&a, Domain::IPV4);
    let refused = client.connect("10.0.0.2:9".parse().unwrap()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn typed_sockets_tell_what_was_agreed_on() {
    let (a, b) = pair();
    let listener = DccpListener::bind_on(&b, "10.0.0.2:5001", &[1, 2]).unwrap();
    let client = DccpSocket::connect_on(&a, "10.0.0.2:5001", 2).unwrap();
    let (server, _) = listener.accept().unwrap();
    let message = vec![5; client.max_packet_size().unwrap()];
    client.send(&message).unwrap();
    let mut buffer = [0; 2000];
    let len = server.recv(&mut buffer).unwrap();
    assert_eq!(buffer[..len], message);
    assert_eq!(
        (client.tx_ccid().unwrap(), client.rx_ccid().unwrap()),
        (2, 2)
    );
    let other = DccpSocket::connect_on(&a, "10.0.0.2:5001", 3).unwrap_err();
    assert_eq!(other.raw_os_error(), Some(libc::EBADRQC));
}
