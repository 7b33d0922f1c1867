//! UDP between two nodes, through the whole internet layer.

use crate::common::{LINK, carry, link, node};
use sockeye_core::{Domain, Medium, OptionValue, SocketId, SocketOption};
use sockeye_node::{Error, Instant, Node, Readiness};
use sockeye_udp::SendOptions;
use std::io::IoSlice;
use std::net::SocketAddr;

const NOW: Instant = Instant::ZERO;

fn pair(medium: fn(u8) -> Medium) -> (Node, Node) {
    let a = ["10.0.0.1/24", "fd00::1/64"];
    let b = ["10.0.0.2/24", "fd00::2/64"];
    (
        node(1, link(medium(1), 1500), &a),
        node(2, link(medium(2), 1500), &b),
    )
}

fn ip(_: u8) -> Medium {
    Medium::Ip
}

fn bound(node: &mut Node, local: &str) -> SocketId {
    let local: SocketAddr = local.parse().unwrap();
    let (udp, mut cx) = node.udp(NOW);
    let domain = if local.is_ipv4() {
        Domain::V4
    } else {
        Domain::V6
    };
    let id = udp.open(&mut cx, domain).unwrap();
    udp.bind(&mut cx, id, local).unwrap();
    id
}

fn send(node: &mut Node, id: SocketId, data: &[u8], to: &str) -> Result<usize, Error> {
    let (udp, mut cx) = node.udp(NOW);
    let to = Some(to.parse().unwrap());
    let options = SendOptions::default();
    udp.send(&mut cx, id, &[IoSlice::new(data)], to, &options)
}

fn recv(node: &mut Node, id: SocketId) -> Result<(Vec<u8>, SocketAddr), Error> {
    let (udp, mut cx) = node.udp(NOW);
    let mut buffer = vec![0; 70_000];
    let got = udp.recv(&mut cx, id, &mut buffer, false)?;
    buffer.truncate(got.copied);
    Ok((buffer, got.from))
}

#[test]
fn datagrams_of_every_size_cross() {
    for (from, to) in [("10.0.0.1:1", "10.0.0.2:2"), ("[fd00::1]:1", "[fd00::2]:2")] {
        let (mut a, mut b) = pair(ip);
        let (c, s) = (bound(&mut a, from), bound(&mut b, to));
        for len in [0, 1, 1432, 1472, 1473, 4000, 65_507] {
            let data: Vec<u8> = (0..len).map(|n: u32| (n / 3) as u8).collect();
            assert_eq!(send(&mut a, c, &data, to), Ok(data.len()));
            carry(NOW, &mut a, &mut b, |packet| {
                assert!(packet.len() <= 1500);
                false
            });
            assert_eq!(recv(&mut b, s), Ok((data, from.parse().unwrap())), "{len}");
        }
    }
}

#[test]
fn a_closed_port_refuses() {
    for (from, to) in [("10.0.0.1:1", "10.0.0.2:2"), ("[fd00::1]:1", "[fd00::2]:2")] {
        let (mut a, mut b) = pair(ip);
        let c = bound(&mut a, from);
        let (udp, mut cx) = a.udp(NOW);
        udp.connect(&mut cx, c, Some(to.parse().unwrap())).unwrap();
        send(&mut a, c, b"x", to).unwrap();
        carry(NOW, &mut a, &mut b, |_| false);
        assert!(
            a.udp(NOW)
                .0
                .readiness(c)
                .unwrap()
                .contains(Readiness::ERROR)
        );
        assert_eq!(recv(&mut a, c), Err(Error::ConnectionRefused));
        assert_eq!(recv(&mut a, c), Err(Error::WouldBlock));
    }
    // The same on the node itself.
    let (mut a, _) = pair(ip);
    let c = bound(&mut a, "127.0.0.1:1");
    let (udp, mut cx) = a.udp(NOW);
    let closed = Some("127.0.0.1:2".parse().unwrap());
    udp.connect(&mut cx, c, closed).unwrap();
    send(&mut a, c, b"x", "127.0.0.1:2").unwrap();
    a.handle_timeout(NOW);
    assert_eq!(recv(&mut a, c), Err(Error::ConnectionRefused));
}

#[test]
fn segments_of_one_send_arrive_one_by_one() {
    let (mut a, mut b) = pair(ip);
    let (c, s) = (bound(&mut a, "10.0.0.1:1"), bound(&mut b, "10.0.0.2:2"));
    let (udp, mut cx) = a.udp(NOW);
    udp.set_option(&mut cx, c, SocketOption::UdpSegment, OptionValue::Int(1000))
        .unwrap();
    send(&mut a, c, &[7; 2500], "10.0.0.2:2").unwrap();
    carry(NOW, &mut a, &mut b, |_| false);
    for len in [1000, 1000, 500] {
        assert_eq!(recv(&mut b, s).unwrap().0, vec![7; len]);
    }
}

#[test]
fn a_burst_waits_for_room_and_loses_nothing() {
    let (mut a, mut b) = pair(ip);
    let (c, s) = (bound(&mut a, "10.0.0.1:1"), bound(&mut b, "10.0.0.2:2"));
    let (mut sent, mut received) = (0u32, 0u32);
    while received < 5000 {
        while sent < 5000 && send(&mut a, c, &sent.to_be_bytes(), "10.0.0.2:2").is_ok() {
            sent += 1;
        }
        let mut batch = sockeye_node::Batch::new();
        a.poll_transmit(NOW, LINK, &mut batch, 100);
        for packet in batch {
            b.handle_packet(NOW, LINK, packet);
            assert_eq!(recv(&mut b, s).unwrap().0, received.to_be_bytes());
            received += 1;
        }
    }
}
