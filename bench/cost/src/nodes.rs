//! Two nodes joined by a link that costs nothing itself.

use sockeye_core::{Capabilities, Config, Context, Instant, InterfaceId, Medium};
use sockeye_dccp::Dccp;
use sockeye_link::{Batch, GsoKinds};
use sockeye_node::{InterfaceConfig, Node};
use sockeye_sctp::Sctp;
use sockeye_tcp::Tcp;
use std::time::Duration;

const LINK: InterfaceId = InterfaceId(2);
/// Packets that cross in one go, unless it is said otherwise.
const BUDGET: usize = 32;
/// How much time a round takes: half a round trip.
const ROUND: Duration = Duration::from_micros(50);
/// What servers are bound to.
pub const SERVER: &str = "192.0.2.2:7000";

/// What the link can do.
#[derive(Clone, Copy, Debug)]
pub enum Link {
    /// Packets of 1500 bytes with their checksums.
    Wire,
    /// Super-segments, without checksums.
    Super,
}

/// What happens to packets from the client to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// They arrive.
    Straight,
    /// One in a hundred is lost.
    Loses,
    /// Of each eight that cross together the last comes first.
    Reverses,
}

/// The nodes: the client's, then the server's.
#[derive(Debug)]
pub struct Nodes {
    nodes: [Node; 2],
    now: Instant,
    /// What happens to packets.
    pub way: Way,
    /// Packets with data that the client has sent.
    pub packets: u64,
    /// Packets that cross in one go.
    pub budget: usize,
    chance: u64,
    batch: Batch,
}

impl Nodes {
    /// Two that have not said anything.
    #[must_use]
    pub fn new(link: Link) -> Self {
        Self {
            nodes: [node(link, 1), node(link, 2)],
            now: Instant::from_millis(1),
            way: Way::Straight,
            packets: 0,
            budget: BUDGET,
            chance: 1,
            batch: Batch::new(),
        }
    }

    /// A node's TCP.
    pub fn tcp(&mut self, at: usize) -> (&mut Tcp, Context<'_>) {
        self.nodes[at].tcp(self.now)
    }

    /// A node's SCTP.
    pub fn sctp(&mut self, at: usize) -> (&mut Sctp, Context<'_>) {
        self.nodes[at].sctp(self.now)
    }

    /// A node's DCCP.
    pub fn dccp(&mut self, at: usize) -> (&mut Dccp, Context<'_>) {
        self.nodes[at].dccp(self.now)
    }

    /// Packets cross once in each direction. Where there are none, time passes until something is
    /// due.
    pub fn round(&mut self) {
        let mut batch = core::mem::take(&mut self.batch);
        let mut moved = 0;
        for from in 0..2 {
            self.leave(from, &mut batch);
            moved += batch.len();
            self.arrive(1 - from, &mut batch);
        }
        self.batch = batch;
        self.pass(moved == 0);
    }

    /// What `from` has to send arrives.
    pub fn cross(&mut self, from: usize) {
        let mut batch = core::mem::take(&mut self.batch);
        self.leave(from, &mut batch);
        self.arrive(1 - from, &mut batch);
        self.batch = batch;
    }

    /// What `from` has to send is lost.
    pub fn lose(&mut self, from: usize) {
        let mut batch = core::mem::take(&mut self.batch);
        self.leave(from, &mut batch);
        batch.clear();
        self.batch = batch;
    }

    /// So much time passes; what is due on the way comes then.
    pub fn skip(&mut self, time: Duration) {
        let end = self.now + time;
        let next = |nodes: &[Node; 2]| nodes.iter().filter_map(Node::poll_timeout).min();
        while next(&self.nodes).is_some_and(|at| at <= end) {
            self.round();
        }
        self.now = self.now.max(end);
    }

    /// What a node has to send.
    pub fn leave(&mut self, from: usize, batch: &mut Batch) {
        self.nodes[from].poll_transmit(self.now, LINK, batch, self.budget);
        if from != 0 {
            return;
        }
        // An IP and a TCP header, with timestamps: more than that is data.
        self.packets += batch.iter().filter(|packet| packet.len() > 60).count() as u64;
        match self.way {
            Way::Straight => {}
            Way::Loses => {
                let chance = &mut self.chance;
                batch.retain(|_| below_100(chance) > 0);
            }
            Way::Reverses => {
                for eight in batch.make_contiguous().chunks_mut(8) {
                    eight.reverse();
                }
            }
        }
    }

    /// Packets come to a node.
    pub fn arrive(&mut self, to: usize, batch: &mut Batch) {
        self.nodes[to].handle_batch(self.now, LINK, batch);
        for node in &mut self.nodes {
            while node.poll_ready().is_some() {}
        }
    }

    /// Time passes; where nothing crosses, until something is due.
    pub fn pass(&mut self, idle: bool) {
        self.now += ROUND;
        if idle {
            let next = self.nodes.iter().filter_map(Node::poll_timeout).min();
            self.now = next.expect("something will happen").max(self.now);
        }
        for node in &mut self.nodes {
            if node.poll_timeout().is_some_and(|at| at <= self.now) {
                node.handle_timeout(self.now);
            }
        }
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
