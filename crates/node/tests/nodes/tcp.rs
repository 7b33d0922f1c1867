//! TCP between two nodes, and from a node to itself, through the whole internet layer.

use crate::common::{LINK, carry, link, node};
use sockeye_core::{Domain, Medium, SocketId};
use sockeye_link::MacAddr;
use sockeye_node::{Error, Instant, Node};
use std::io::IoSlice;
use std::net::SocketAddr;

const NOW: Instant = Instant::from_millis(5000);

fn pair(medium: fn(u8) -> Medium) -> (Node, Node) {
    let a = ["10.0.0.1/24", "fd00::1/64"];
    let b = ["10.0.0.2/24", "fd00::2/64"];
    let mut nodes = (
        node(1, link(medium(1), 1500), &a),
        node(2, link(medium(2), 1500), &b),
    );
    // Until duplicate address detection is done.
    for millis in (0..NOW.as_millis()).step_by(100) {
        let now = Instant::from_millis(millis);
        nodes.0.handle_timeout(now);
        nodes.1.handle_timeout(now);
        carry(now, &mut nodes.0, &mut nodes.1, |_| false);
    }
    nodes
}

fn domain(addr: SocketAddr) -> Domain {
    if addr.is_ipv4() {
        Domain::V4
    } else {
        Domain::V6
    }
}

fn listen(node: &mut Node, local: &str) -> SocketId {
    let local: SocketAddr = local.parse().unwrap();
    let (tcp, mut cx) = node.tcp(NOW);
    let id = tcp.open(&mut cx, domain(local)).unwrap();
    tcp.bind(&mut cx, id, local).unwrap();
    tcp.listen(&mut cx, id, 8).unwrap();
    id
}

fn dial(node: &mut Node, to: &str) -> SocketId {
    let to: SocketAddr = to.parse().unwrap();
    let (tcp, mut cx) = node.tcp(NOW);
    let id = tcp.open(&mut cx, domain(to)).unwrap();
    assert_eq!(tcp.connect(&mut cx, id, to), Err(Error::InProgress));
    id
}

fn write(node: &mut Node, id: SocketId, data: &[u8]) -> usize {
    let (tcp, mut cx) = node.tcp(NOW);
    match tcp.send(&mut cx, id, &[IoSlice::new(data)]) {
        Ok(n) => n,
        Err(Error::WouldBlock) => 0,
        Err(error) => panic!("send: {error}"),
    }
}

fn read(node: &mut Node, id: SocketId, into: &mut Vec<u8>) {
    let (tcp, mut cx) = node.tcp(NOW);
    let mut buffer = vec![0; 1 << 20];
    match tcp.recv(&mut cx, id, &mut buffer) {
        Ok(n) => into.extend(&buffer[..n]),
        Err(Error::WouldBlock) => {}
        Err(error) => panic!("recv: {error}"),
    }
}

fn ethernet(n: u8) -> Medium {
    Medium::Ethernet(MacAddr([2, 0, 0, 0, 0, n]))
}

fn ip(_: u8) -> Medium {
    Medium::Ip
}

fn transfers(medium: fn(u8) -> Medium, to: &str) {
    let (mut a, mut b) = pair(medium);
    let listener = listen(&mut b, to);
    let client = dial(&mut a, to);
    carry(NOW, &mut a, &mut b, |_| false);
    let (server, _) = {
        let (tcp, mut cx) = b.tcp(NOW);
        tcp.accept(&mut cx, listener).unwrap()
    };
    let data: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    let (mut sent, mut got) = (0, Vec::new());
    for _ in 0..1000 {
        sent += write(&mut a, client, &data[sent..]);
        carry(NOW, &mut a, &mut b, |_| false);
        read(&mut b, server, &mut got);
    }
    assert_eq!(got, data);
}

#[test]
fn over_ip_links() {
    transfers(ip, "10.0.0.2:80");
    transfers(ip, "[fd00::2]:80");
}

#[test]
fn over_ethernet() {
    transfers(ethernet, "10.0.0.2:80");
    transfers(ethernet, "[fd00::2]:80");
}

#[test]
fn a_node_talks_to_itself() {
    for to in ["127.0.0.1:80", "[::1]:80", "10.0.0.1:81"] {
        let (mut a, mut b) = pair(ip);
        let listener = listen(&mut a, to);
        let client = dial(&mut a, to);
        let turn = |a: &mut Node, b: &mut Node| carry(NOW, a, b, |_| panic!("it left the node"));
        turn(&mut a, &mut b);
        let (server, _) = {
            let (tcp, mut cx) = a.tcp(NOW);
            tcp.accept(&mut cx, listener).unwrap()
        };
        let data: Vec<u8> = (0..1_000_000u32).map(|n| (n % 253) as u8).collect();
        let (mut sent, mut got) = (0, Vec::new());
        for _ in 0..1000 {
            sent += write(&mut a, client, &data[sent..]);
            turn(&mut a, &mut b);
            read(&mut a, server, &mut got);
        }
        assert_eq!(got, data, "{to}");
        assert_eq!(a.tcp(NOW).1.inet.queued(LINK), 0);
    }
}
