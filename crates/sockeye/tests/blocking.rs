//! The std-shaped sockets over memory links.

use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use sockeye::{LinkConfig, Node};
use std::io::{ErrorKind, Read, Write};
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
