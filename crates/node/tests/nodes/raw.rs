//! Ping and raw sockets of whole nodes.

use crate::common::{LINK, carry, link};
use sockeye_core::datagram::SendOptions;
use sockeye_core::{Domain, Medium, OptionValue, SocketId, SocketOption};
use sockeye_node::{Config, Error, Instant, InterfaceConfig, IpProtocol, Node};
use std::io::IoSlice;

const NOW: Instant = Instant::ZERO;
const EXPERIMENT: IpProtocol = IpProtocol(253);

fn node(seed: u8, address: &str) -> Node {
    let mut node = Node::new(Config::default(), [seed; 32]);
    let config = InterfaceConfig::new("test0", link(Medium::Ip, 1500));
    let config = config.with_address(address.parse().unwrap());
    assert_eq!(node.add_interface(NOW, config), LINK);
    node
}

fn pair() -> (Node, Node) {
    (node(1, "10.0.0.1/24"), node(2, "10.0.0.2/24"))
}

fn raw(node: &mut Node, protocol: IpProtocol) -> SocketId {
    let (raw, mut cx) = node.raw(NOW);
    raw.open(&mut cx, Domain::V4, protocol).unwrap()
}

#[test]
fn a_ping_is_answered_whatever_its_size() {
    let (mut a, mut b) = pair();
    let (ping, mut cx) = a.ping(NOW);
    let id = ping.open(&mut cx, Domain::V4).unwrap();
    for len in [0, 56, 1472, 1473, 8000] {
        let mut request = vec![8, 0, 0, 0, 0, 0, 0, 9];
        request.resize(8 + len, 0x55);
        let (ping, mut cx) = a.ping(NOW);
        let to = Some("10.0.0.2:0".parse().unwrap());
        let options = SendOptions::default();
        ping.send(&mut cx, id, &[IoSlice::new(&request)], to, &options)
            .unwrap();
        carry(NOW, &mut a, &mut b, |_| false);
        let (ping, mut cx) = a.ping(NOW);
        let mut buffer = vec![0; 10_000];
        let got = ping.recv(&mut cx, id, &mut buffer, false).unwrap();
        assert_eq!(got.len, request.len());
        assert_eq!((buffer[0], &buffer[6..got.len]), (0, &request[6..]));
    }
}

#[test]
fn a_protocol_that_only_a_raw_socket_speaks_is_not_unreachable() {
    for open in [false, true] {
        let (mut a, mut b) = pair();
        let from = raw(&mut a, EXPERIMENT);
        let to = raw(&mut b, if open { EXPERIMENT } else { IpProtocol(254) });
        let (raw, mut cx) = a.raw(NOW);
        let peer = Some("10.0.0.2:0".parse().unwrap());
        raw.connect(&mut cx, from, peer).unwrap();
        let options = SendOptions::default();
        raw.send(&mut cx, from, &[IoSlice::new(b"datagram")], None, &options)
            .unwrap();
        carry(NOW, &mut a, &mut b, |_| false);
        let (raw, mut cx) = b.raw(NOW);
        let mut buffer = [0; 100];
        let got = raw.recv(&mut cx, to, &mut buffer, false);
        assert_eq!(got.map(|got| got.len).ok(), open.then_some(28));
        let error = a.raw(NOW).0.take_error(from).unwrap();
        let unreachable = Error::ProtocolUnreachable;
        assert_eq!(error, (!open).then_some(unreachable));
    }
}

#[test]
fn a_raw_socket_reads_along_with_udp() {
    let (mut a, mut b) = pair();
    let tap = raw(&mut b, IpProtocol::UDP);
    let (udp, mut cx) = b.udp(NOW);
    let server = udp.open(&mut cx, Domain::V4).unwrap();
    udp.bind(&mut cx, server, "10.0.0.2:7".parse().unwrap())
        .unwrap();
    let (udp, mut cx) = a.udp(NOW);
    let client = udp.open(&mut cx, Domain::V4).unwrap();
    let to = Some("10.0.0.2:7".parse().unwrap());
    let options = SendOptions::default();
    udp.send(&mut cx, client, &[IoSlice::new(b"hello")], to, &options)
        .unwrap();
    carry(NOW, &mut a, &mut b, |_| false);
    let mut buffer = [0; 100];
    let (udp, mut cx) = b.udp(NOW);
    assert_eq!(
        udp.recv(&mut cx, server, &mut buffer, false).unwrap().len,
        5
    );
    let (raw, mut cx) = b.raw(NOW);
    let got = raw.recv(&mut cx, tap, &mut buffer, false).unwrap();
    assert_eq!(got.len, 33);
    assert_eq!(&buffer[28..33], b"hello");
    // The checksum that was left to the link is there.
    let sum = sockeye_wire::checksum::transport(
        "10.0.0.1".parse().unwrap(),
        "10.0.0.2".parse().unwrap(),
        IpProtocol::UDP,
        13,
        [&buffer[20..33]],
    );
    assert!(sum.is_valid());
}

#[test]
fn an_own_header_reaches_this_node_too() {
    let (mut a, _) = pair();
    let tap = raw(&mut a, EXPERIMENT);
    let sender = raw(&mut a, IpProtocol::RAW);
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 9, 253, 0, 0];
    packet.extend([0, 0, 0, 0, 127, 0, 0, 1]);
    packet.extend(b"data");
    let (raw, mut cx) = a.raw(NOW);
    let to = Some("127.0.0.1:0".parse().unwrap());
    let options = SendOptions::default();
    raw.send(&mut cx, sender, &[IoSlice::new(&packet)], to, &options)
        .unwrap();
    a.handle_timeout(NOW);
    let (raw, mut cx) = a.raw(NOW);
    let mut buffer = [0; 100];
    let got = raw.recv(&mut cx, tap, &mut buffer, false).unwrap();
    assert_eq!((got.len, got.ttl), (24, 9));
    assert_eq!(got.from, "127.0.0.1:0".parse().unwrap());
    let value = raw.option(&mut cx, sender, SocketOption::HeaderIncluded);
    assert_eq!(value, Ok(OptionValue::Flag(true)));
}
