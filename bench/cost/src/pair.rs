//! Two nodes joined by a link that costs nothing itself.

use sockeye_core::{
    Capabilities, Config, Domain, Error, Handle, Instant, InterfaceId, Medium, SocketId,
};
use sockeye_link::{Batch, GsoKinds};
use sockeye_node::{InterfaceConfig, Node};
use std::io::IoSlice;
use std::net::SocketAddr;
use std::time::Duration;

const LINK: InterfaceId = InterfaceId(2);
/// Packets that cross in one go.
const BUDGET: usize = 32;
/// Bytes of one call.
const CALL: usize = 64 << 10;
/// How much time a round takes: half a round trip.
const ROUND: Duration = Duration::from_micros(50);
const SERVER: &str = "192.0.2.2:7000";

/// What the link can do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Link {
    /// Packets of 1500 bytes with their checksums.
    Wire,
    /// Super-segments, without checksums.
    Super,
}

/// What happens to packets from the client to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Straight,
    /// One in a hundred is lost.
    Loses,
    /// Of each eight that cross together the last comes first.
    Reverses,
}

/// The nodes: the client's, then the server's.
pub(crate) struct Pair {
    nodes: [Node; 2],
    listener: SocketId,
    now: Instant,
    pub(crate) way: Way,
    /// Packets with data that the client has sent.
    pub(crate) packets: u64,
    chance: u64,
    batch: Batch,
    data: Vec<u8>,
    buffer: Vec<u8>,
}

impl Pair {
    pub(crate) fn new(link: Link) -> Self {
        let mut nodes = [node(link, 1), node(link, 2)];
        let now = Instant::from_millis(1);
        let (tcp, mut cx) = nodes[1].tcp(now);
        let listener = tcp.open(&mut cx, Domain::V4).expect("a socket");
        let at: SocketAddr = SERVER.parse().expect("an address");
        tcp.bind(&mut cx, listener, at).expect("a free port");
        tcp.listen(&mut cx, listener, 16).expect("a bound socket");
        Self {
            nodes,
            listener,
            now,
            way: Way::Straight,
            packets: 0,
            chance: 1,
            batch: Batch::new(),
            data: vec![7; CALL],
            buffer: vec![0; CALL],
        }
    }

    /// A new connection: the client's socket and the server's.
    pub(crate) fn connect(&mut self) -> (SocketId, SocketId) {
        let (tcp, mut cx) = self.nodes[0].tcp(self.now);
        let client = tcp.open(&mut cx, Domain::V4).expect("a socket");
        let to: SocketAddr = SERVER.parse().expect("an address");
        assert_eq!(tcp.connect(&mut cx, client, to), Err(Error::InProgress));
        loop {
            self.round();
            let (tcp, mut cx) = self.nodes[1].tcp(self.now);
            match tcp.accept(&mut cx, self.listener) {
                Ok((server, _)) => return (client, server),
                Err(error) => assert_eq!(error, Error::WouldBlock),
            }
        }
    }

    /// Sends `length` bytes, and reads them on the other side.
    pub(crate) fn send(&mut self, client: SocketId, server: SocketId, length: u64) {
        let (mut unsent, mut unread) = (length, length);
        while unread > 0 {
            while unsent > 0 {
                let len = usize::try_from(unsent).unwrap_or(CALL).min(CALL);
                let (tcp, mut cx) = self.nodes[0].tcp(self.now);
                match tcp.send(&mut cx, client, &[IoSlice::new(&self.data[..len])]) {
                    Ok(sent) => unsent -= sent as u64,
                    Err(error) => {
                        assert_eq!(error, Error::WouldBlock);
                        break;
                    }
                }
            }
            self.round();
            loop {
                let (tcp, mut cx) = self.nodes[1].tcp(self.now);
                match tcp.recv(&mut cx, server, &mut self.buffer) {
                    Ok(len) => {
                        assert!(len > 0, "the stream goes on");
                        unread -= len as u64;
                    }
                    Err(error) => {
                        assert_eq!(error, Error::WouldBlock);
                        break;
                    }
                }
            }
        }
    }

    /// Sends one byte there and back, `count` times.
    pub(crate) fn exchange(&mut self, client: SocketId, server: SocketId, count: u64) {
        for _ in 0..count {
            for (from, to) in [(0, 1), (1, 0)] {
                let sockets = [client, server];
                let (tcp, mut cx) = self.nodes[from].tcp(self.now);
                let sent = tcp.send(&mut cx, sockets[from], &[IoSlice::new(&[7])]);
                assert_eq!(sent, Ok(1));
                loop {
                    self.round();
                    let (tcp, mut cx) = self.nodes[to].tcp(self.now);
                    match tcp.recv(&mut cx, sockets[to], &mut self.buffer) {
                        Ok(len) => break assert_eq!(len, 1),
                        Err(error) => assert_eq!(error, Error::WouldBlock),
                    }
                }
            }
        }
    }

    /// Closes both ends, the client first, and waits until the server's is gone. The client's is in
    /// TIME-WAIT then.
    pub(crate) fn close(&mut self, client: SocketId, server: SocketId) {
        let (tcp, mut cx) = self.nodes[0].tcp(self.now);
        tcp.close(&mut cx, client).expect("a socket");
        self.round();
        self.round();
        let (tcp, mut cx) = self.nodes[1].tcp(self.now);
        assert_eq!(tcp.recv(&mut cx, server, &mut self.buffer), Ok(0));
        tcp.close(&mut cx, server).expect("a socket");
        while self.nodes[1].tcp(self.now).0.readiness(server).is_ok() {
            self.round();
        }
    }

    /// Packets cross once in each direction. Where there are none, time passes until something is
    /// due.
    fn round(&mut self) {
        let moved = self.cross(0) + self.cross(1);
        self.now += ROUND;
        if moved == 0 {
            let next = self.nodes.iter().filter_map(Node::poll_timeout).min();
            self.now = next.expect("something will happen").max(self.now);
        }
        for node in &mut self.nodes {
            if node.poll_timeout().is_some_and(|at| at <= self.now) {
                node.handle_timeout(self.now);
            }
        }
    }

    /// Packets cross from a node to the other. How many.
    fn cross(&mut self, from: usize) -> usize {
        self.nodes[from].poll_transmit(self.now, LINK, &mut self.batch, BUDGET);
        let count = self.batch.len();
        if from == 0 {
            // An IP and a TCP header, with timestamps: more than that is data.
            self.packets += self.batch.iter().filter(|packet| packet.len() > 60).count() as u64;
            match self.way {
                Way::Straight => {}
                Way::Loses => {
                    let chance = &mut self.chance;
                    self.batch.retain(|_| below_100(chance) > 0);
                }
                Way::Reverses => {
                    for eight in self.batch.make_contiguous().chunks_mut(8) {
                        eight.reverse();
                    }
                }
            }
        }
        self.nodes[1 - from].handle_batch(self.now, LINK, &mut self.batch);
        for node in &mut self.nodes {
            while let Some((Handle { .. }, _)) = node.poll_ready() {}
        }
        count
    }
}

/// A number below 100, by the linear congruence of PCG.
fn below_100(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % 100
}

fn node(link: Link, number: u8) -> Node {
    let mut node = Node::new(Config::default(), [number; 32]);
    let whole = matches!(link, Link::Super);
    let capabilities = Capabilities {
        medium: Medium::Ip,
        mtu: 1500,
        tx_checksum: whole,
        gso: if whole { GsoKinds::ALL } else { GsoKinds::NONE },
        gso_max: if whole { 65_535 } else { 0 },
        queues: 1,
    };
    let mut config = InterfaceConfig::new("link0", capabilities);
    let address = format!("192.0.2.{number}/24");
    config.addresses = vec![address.parse().expect("an address")];
    node.add_interface(Instant::ZERO, config);
    node
}
