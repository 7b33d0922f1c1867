//! A transport of one's own, plugged into the node beside TCP and UDP: connections to many peers, each a window of messages.
//!
//! `cargo run -p sockeye --example windowed_transport`. The protocol itself is `windowed/protocol.rs`, the same as that of
//! `windowed_raw`; here the node's clock drives it, and its packets take the node's routes.

#[path = "windowed/demonstration.rs"]
mod demonstration;
#[path = "windowed/protocol.rs"]
mod protocol;

use demonstration::{MESSAGES, content, disturbed};
use protocol::{Endpoint, PROTOCOL};
use sockeye::drivers::memory::{MemoryConfig, MemoryLink};
use sockeye::transport::{
    Context, Disposition, Handle, IcmpError, Instant, InterfaceId, IpInfo, IpProtocol, Owner,
    Packet, Readiness, RouteQuery, SendInfo, Slab, SocketId, SocketSummary, Tags, TimerSlot,
    Transport, TransportId,
};
use sockeye::{LinkConfig, Node, Protocol};
use std::any::Any;
use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

/// Peers that may talk to a node at a time.
const PEERS_MAX: usize = 64;
const ID: TransportId = TransportId(PROTOCOL as u16);

/// All connections of a node, one to a peer.
#[derive(Default)]
struct Windowed {
    connections: Slab<Connection>,
    by_peer: BTreeMap<IpAddr, SocketId>,
}

struct Connection {
    peer: IpAddr,
    endpoint: Endpoint,
    timer: TimerSlot,
}

/// The node's time, as the protocol counts it.
fn time(cx: &Context<'_>) -> Duration {
    cx.now.saturating_since(Instant::ZERO)
}

impl Windowed {
    /// The connection to `peer`, and the handle that it is waited for by.
    fn connection(&mut self, peer: IpAddr) -> Option<(&mut Connection, Handle)> {
        if !self.by_peer.contains_key(&peer) {
            if self.connections.len() >= PEERS_MAX {
                return None;
            }
            let id = self.connections.insert(Connection {
                peer,
                endpoint: Endpoint::new(),
                timer: TimerSlot::default(),
            });
            self.by_peer.insert(peer, id);
        }
        let (transport, id) = (ID, *self.by_peer.get(&peer)?);
        let connection = self.connections.get_mut(id)?;
        Some((connection, Handle { transport, id }))
    }

    /// Calls the connection to `peer`, then sends what it has to send and minds its deadline.
    fn with<R>(
        &mut self,
        cx: &mut Context<'_>,
        peer: IpAddr,
        call: impl FnOnce(&mut Endpoint, Duration) -> R,
    ) -> Option<R> {
        let now = time(cx);
        let (connection, handle) = self.connection(peer)?;
        let result = call(&mut connection.endpoint, now);
        while let Some(packet) = connection.endpoint.transmit() {
            // One that can't be sent is lost, like any other.
            let _ = send(cx, peer, &packet);
        }
        let deadline = connection.endpoint.deadline().map(|at| Instant::ZERO + at);
        cx.timers
            .set(&mut connection.timer, Owner::Socket(handle), deadline);
        cx.set_ready(handle, Readiness::READABLE);
        Some(result)
    }
}

fn send(
    cx: &mut Context<'_>,
    peer: IpAddr,
    packet: &[u8],
) -> Result<(), sockeye::transport::Error> {
    let route = cx.route(&RouteQuery {
        destination: peer,
        source: None,
        interface: None,
        foreign_source: false,
    })?;
    let info = SendInfo {
        route,
        destination: peer,
        protocol: IpProtocol(PROTOCOL as u8),
        hop_limit: 64,
        traffic_class: 0,
        flow_label: 0,
        dont_fragment: false,
        tags: Tags::default(),
    };
    cx.send(&info, Packet::from_slice(packet))
}

impl Transport for Windowed {
    fn id(&self) -> TransportId {
        ID
    }

    fn on_packet(&mut self, cx: &mut Context<'_>, ip: &IpInfo, packet: Packet) -> Disposition {
        if ip.is_unicast() {
            let octets = packet.to_vec();
            self.with(cx, ip.source, |endpoint, now| {
                endpoint.on_packet(now, &octets)
            });
        }
        Disposition::Taken
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, socket: SocketId) {
        if let Some(peer) = self.connections.get(socket).map(|c| c.peer) {
            self.with(cx, peer, Endpoint::tick);
        }
    }

    fn on_icmp_error(&mut self, _: &mut Context<'_>, _: &IcmpError<'_>) -> bool {
        false // nothing proves that it is about a packet of ours, and the protocol tries again anyway
    }

    fn sockets(&self) -> Vec<SocketSummary> {
        let all = self.connections.iter();
        all.map(|(id, connection)| SocketSummary {
            handle: Handle { transport: ID, id },
            state: "ESTAB",
            local: SocketAddr::new(IpAddr::V4(0.into()), 0),
            remote: Some(SocketAddr::new(connection.peer, 0)),
            recv_queue: 0,
            send_queue: usize::from(!connection.endpoint.is_idle()),
        })
        .collect()
    }

    fn has_output(&self, _: InterfaceId) -> bool {
        false // everything is sent at once
    }

    fn poll_transmit(&mut self, _: &mut Context<'_>, _: InterfaceId, _: usize) -> bool {
        false
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// A connection as a program holds it.
struct Peer {
    node: Node,
    peer: IpAddr,
    handle: Handle,
}

impl Peer {
    fn new(node: &Node, peer: &str) -> Result<Self, Box<dyn Error>> {
        let peer: IpAddr = peer.parse()?;
        let made = node.with_transport(protocol(), |t: &mut Windowed, _| {
            t.connection(peer).map(|(_, handle)| handle)
        })?;
        Ok(Self {
            node: node.clone(),
            peer,
            handle: made.ok_or("there are as many connections as there may be")?,
        })
    }

    /// Calls the protocol until it has an answer.
    fn wait<R>(&self, mut call: impl FnMut(&mut Endpoint, Duration) -> Option<R>) -> io::Result<R> {
        let peer = self.peer;
        let call =
            move |t: &mut Windowed, cx: &mut Context<'_>| t.with(cx, peer, &mut call).flatten();
        self.node
            .wait_for_transport(protocol(), self.handle, None, call)
    }

    fn send(&self, message: &[u8]) -> io::Result<()> {
        self.wait(|endpoint, now| endpoint.has_room().then(|| endpoint.send(now, message)))
    }

    fn receive(&self) -> io::Result<Vec<u8>> {
        self.wait(|endpoint, _| endpoint.receive())
    }

    /// Waits until all has arrived, and says how many messages went more than once.
    fn finish(&self) -> io::Result<u64> {
        self.wait(|endpoint, _| endpoint.is_idle().then_some(endpoint.repeated))
    }
}

fn protocol() -> Protocol {
    Protocol::from(PROTOCOL)
}

fn main() -> Result<(), Box<dyn Error>> {
    let repeated = demonstrate()?;
    println!("{MESSAGES} messages arrived once and in order; {repeated} were sent again");
    Ok(())
}

fn demonstrate() -> Result<u64, Box<dyn Error>> {
    let (one_end, other_end) = MemoryLink::pair_ip(MemoryConfig::default());
    let sender = Peer::new(&node(one_end, "10.0.0.1/24", 1)?, "10.0.0.2")?;
    let receiver = Peer::new(&node(other_end, "10.0.0.2/24", 2)?, "10.0.0.1")?;
    let sending = thread::spawn(move || -> io::Result<u64> {
        for number in 0..MESSAGES {
            sender.send(&content(number))?;
        }
        sender.finish()
    });
    for expected in 0..MESSAGES {
        if receiver.receive()? != content(expected) {
            return Err(format!("message {expected} is another one").into());
        }
    }
    Ok(sending.join().map_err(|_| "the sender panicked")??)
}

fn node(link: MemoryLink, address: &str, seed: u64) -> Result<Node, Box<dyn Error>> {
    let link = disturbed(link, seed)?;
    let config = LinkConfig::new().address(address.parse()?);
    let node = Node::builder()
        .link("eth0", Box::new(link), config)
        .build()?;
    node.add_transport(protocol(), Box::<Windowed>::default())?;
    Ok(node)
}

#[test]
fn all_messages_arrive_and_some_had_to_go_again() {
    assert!(demonstrate().unwrap() > 0, "the cable lost nothing");
}
