//! TCP streams between two nodes in virtual time: offloads, losses, refusals, and what is left.

use crate::common::{LINK, link, node};
use sockeye_core::{Capabilities, Domain, MacAddr, Medium, Rng, SocketId};
use sockeye_link::GsoKinds;
use sockeye_node::{Batch, Error, Instant, NeighbourState, Node};
use std::io::IoSlice;
use std::net::SocketAddr;

/// Two nodes on a wire that may lose packets, and their clock.
struct World {
    nodes: [Node; 2],
    now: Instant,
    rng: Rng,
    /// Packets lost of a thousand.
    loss: u32,
}

impl World {
    fn new(capabilities: [Capabilities; 2], loss: u32) -> Self {
        let [a, b] = capabilities;
        Self {
            nodes: [
                node(1, a, &["10.0.0.1/24", "fd00::1/64"]),
                node(2, b, &["10.0.0.2/24", "fd00::2/64"]),
            ],
            now: Instant::ZERO,
            rng: Rng::new([5; 32]),
            loss,
        }
    }

    /// Carries what there is, then lets the next deadline come. False when there is none.
    fn step(&mut self) -> bool {
        self.carry();
        let next = self.nodes.iter().filter_map(Node::poll_timeout).min();
        let Some(next) = next else {
            return false;
        };
        self.now = self.now.max(next);
        for node in &mut self.nodes {
            node.handle_timeout(self.now);
        }
        true
    }

    fn carry(&mut self) {
        loop {
            let mut quiet = true;
            for from in [0, 1] {
                let mut batch = Batch::new();
                self.nodes[from].poll_transmit(self.now, LINK, &mut batch, 64);
                quiet &= batch.is_empty();
                batch.retain(|_| self.rng.below(1000) >= self.loss);
                self.nodes[1 - from].handle_batch(self.now, LINK, &mut batch);
            }
            if quiet {
                return;
            }
        }
    }

    fn listen(&mut self, n: usize, address: &str) -> SocketId {
        let address: SocketAddr = address.parse().unwrap();
        let (tcp, mut cx) = self.nodes[n].tcp(self.now);
        let id = tcp.open(&mut cx, domain(address)).unwrap();
        tcp.bind(&mut cx, id, address).unwrap();
        tcp.listen(&mut cx, id, 16).unwrap();
        id
    }

    fn connect(&mut self, n: usize, address: &str) -> SocketId {
        let address: SocketAddr = address.parse().unwrap();
        let (tcp, mut cx) = self.nodes[n].tcp(self.now);
        let id = tcp.open(&mut cx, domain(address)).unwrap();
        assert_eq!(tcp.connect(&mut cx, id, address), Err(Error::InProgress));
        id
    }

    fn accept(&mut self, n: usize, listener: SocketId) -> SocketId {
        loop {
            let (tcp, mut cx) = self.nodes[n].tcp(self.now);
            match tcp.accept(&mut cx, listener) {
                Ok((id, _)) => return id,
                Err(error) => assert_eq!(error, Error::WouldBlock),
            }
            assert!(self.step(), "nobody connects");
        }
    }

    /// Writes `data` on one side and reads it on the other, then ends that direction.
    fn transfer(&mut self, from: (usize, SocketId), to: (usize, SocketId), data: &[u8]) {
        let (mut sent, mut received) = (0, Vec::new());
        let mut ended = false;
        let mut buffer = vec![0; 65_536];
        loop {
            let (tcp, mut cx) = self.nodes[from.0].tcp(self.now);
            while sent < data.len() {
                match tcp.send(&mut cx, from.1, &[IoSlice::new(&data[sent..])]) {
                    Ok(n) => sent += n,
                    Err(error) => {
                        assert_eq!(error, Error::WouldBlock);
                        break;
                    }
                }
            }
            if sent == data.len() && !ended {
                ended = true;
                tcp.shutdown(&mut cx, from.1, sockeye_core::Shutdown::Write)
                    .unwrap();
            }
            let (tcp, mut cx) = self.nodes[to.0].tcp(self.now);
            loop {
                match tcp.recv(&mut cx, to.1, &mut buffer) {
                    Ok(0) => {
                        assert!(
                            received == data,
                            "{} of {} bytes",
                            received.len(),
                            data.len()
                        );
                        return;
                    }
                    Ok(n) => received.extend_from_slice(&buffer[..n]),
                    Err(error) => {
                        assert_eq!(error, Error::WouldBlock);
                        break;
                    }
                }
            }
            assert!(self.step(), "the transfer stands still");
        }
    }

    /// Both ends close; after TIME-WAIT nothing is left.
    fn close(&mut self, sockets: &[(usize, SocketId)]) {
        for &(n, id) in sockets {
            let (tcp, mut cx) = self.nodes[n].tcp(self.now);
            tcp.close(&mut cx, id).unwrap();
        }
        while self.step() {}
        for node in &self.nodes {
            assert!(node.sockets().is_empty(), "{:?}", node.sockets());
        }
    }
}

fn domain(address: SocketAddr) -> Domain {
    if address.is_ipv4() {
        Domain::V4
    } else {
        Domain::V6
    }
}

fn noise(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * n / 251) as u8).collect()
}

fn both_ways(mut world: World, server: &str, len: usize) {
    let port = server.parse::<SocketAddr>().unwrap().port();
    let any = if server.starts_with('[') {
        format!("[::]:{port}")
    } else {
        format!("0.0.0.0:{port}")
    };
    // Addresses of an Ethernet are tentative at first.
    while world.step() {}
    let listener = world.listen(1, &any);
    let client = (0, world.connect(0, server));
    let server = (1, world.accept(1, listener));
    let data = noise(len);
    world.transfer(client, server, &data);
    world.transfer(server, client, &data);
    // Who acknowledges new data is there, and need not be asked.
    for (_, neighbour) in world.nodes.iter().flat_map(Node::neighbours) {
        let own = neighbour.address.to_string();
        if !own.starts_with("fe80:") {
            assert_eq!(neighbour.state, NeighbourState::Reachable, "{own}");
        }
    }
    world.close(&[client, server, (1, listener)]);
}

fn plain(medium: Medium) -> Capabilities {
    Capabilities {
        tx_checksum: false,
        gso: GsoKinds::NONE,
        gso_max: 0,
        ..link(medium, 1500)
    }
}

fn ethernet(last: u8) -> Medium {
    Medium::Ethernet(MacAddr([2, 0, 0, 0, 0, last]))
}

#[test]
fn megabytes_cross_an_ip_link_with_and_without_offloads() {
    for server in ["10.0.0.2:80", "[fd00::2]:80"] {
        both_ways(World::new([link(Medium::Ip, 1500); 2], 0), server, 4 << 20);
        both_ways(World::new([plain(Medium::Ip); 2], 0), server, 1 << 20);
    }
}

#[test]
fn megabytes_cross_an_ethernet() {
    let capabilities = [link(ethernet(1), 1500), plain(ethernet(2))];
    both_ways(World::new(capabilities, 0), "10.0.0.2:80", 1 << 20);
    both_ways(World::new(capabilities, 0), "[fd00::2]:80", 1 << 20);
}

#[test]
fn losses_are_made_good() {
    let capabilities = [plain(ethernet(1)), plain(ethernet(2))];
    both_ways(World::new(capabilities, 30), "10.0.0.2:80", 1 << 20);
}

#[test]
fn a_node_talks_to_itself() {
    for address in ["127.0.0.1:80", "[::1]:80", "10.0.0.1:80", "[fd00::1]:80"] {
        let mut world = World::new([link(Medium::Ip, 1500); 2], 0);
        let listener = world.listen(0, address);
        let client = (0, world.connect(0, address));
        let server = (0, world.accept(0, listener));
        let data = noise(1 << 20);
        world.transfer(client, server, &data);
        world.transfer(server, client, &data);
        world.close(&[client, server, (0, listener)]);
    }
}

#[test]
fn a_closed_port_refuses_and_a_missing_host_is_unreachable() {
    let mut world = World::new([plain(ethernet(1)), plain(ethernet(2))], 0);
    while world.step() {}
    for (address, expected) in [
        ("10.0.0.2:81", Error::ConnectionRefused),
        ("[fd00::2]:81", Error::ConnectionRefused),
        ("10.0.0.77:80", Error::HostUnreachable),
        ("[fd00::77]:80", Error::HostUnreachable),
    ] {
        let before = world.now;
        let id = world.connect(0, address);
        let error = loop {
            world.carry();
            let (tcp, _) = world.nodes[0].tcp(world.now);
            if let Some(error) = tcp.take_error(id).unwrap() {
                break error;
            }
            assert!(world.step(), "the attempt has no end");
        };
        assert_eq!(error, expected, "{address}");
        let took = (world.now - before).as_secs();
        assert!(took <= 3, "{address}: {took} s");
        let (tcp, mut cx) = world.nodes[0].tcp(world.now);
        tcp.close(&mut cx, id).unwrap();
    }
}
