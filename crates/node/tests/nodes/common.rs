//! Two nodes on one wire, carried by hand, and a transport that writes down what it is told.

use bytes::Bytes;
use ipnet::IpNet;
use sockeye_core::{
    AddressChange, Capabilities, Context, Disposition, IcmpError, IpInfo, Medium, Payload,
    RouteQuery, SendInfo, SocketId, SocketSummary, Transport, TransportId,
};
use sockeye_link::{GsoKinds, Tags};
use sockeye_node::{
    Batch, Config, Error, Instant, InterfaceConfig, InterfaceId, IpProtocol, Node, Packet,
};
use std::any::Any;
use std::net::IpAddr;

/// The only link of each node.
pub(crate) const LINK: InterfaceId = InterfaceId(2);

pub(crate) fn link(medium: Medium, mtu: u32) -> Capabilities {
    Capabilities {
        medium,
        mtu,
        tx_checksum: true,
        gso: GsoKinds::ALL,
        gso_max: 65_535,
        queues: 1,
    }
}

/// A node with one link and a [`Probe`] for each of `protocols`.
pub(crate) fn node(seed: u8, capabilities: Capabilities, addresses: &[&str]) -> Node {
    let mut node = Node::new(Config::default(), [seed; 32]);
    let mut config = InterfaceConfig::new("test0", capabilities);
    config.addresses = addresses
        .iter()
        .map(|a| a.parse::<IpNet>().unwrap())
        .collect();
    assert_eq!(node.add_interface(Instant::ZERO, config), LINK);
    for protocol in [IpProtocol::ICMP, IpProtocol::ICMPV6, Probe::PROTOCOL] {
        node.register(Box::new(Probe::default()), protocol);
    }
    node
}

/// Carries packets between two nodes until both are quiet; `lose` sees each and may take it.
pub(crate) fn carry(
    now: Instant,
    a: &mut Node,
    b: &mut Node,
    mut lose: impl FnMut(&Packet) -> bool,
) {
    for _ in 0..100 {
        let (mut from_a, mut from_b) = (Batch::new(), Batch::new());
        a.poll_transmit(now, LINK, &mut from_a, 64);
        b.poll_transmit(now, LINK, &mut from_b, 64);
        if from_a.is_empty() && from_b.is_empty() {
            return;
        }
        for packet in from_a.into_iter().filter(|p| !lose(p)) {
            b.handle_packet(now, LINK, packet);
        }
        for packet in from_b.into_iter().filter(|p| !lose(p)) {
            a.handle_packet(now, LINK, packet);
        }
    }
    panic!("the nodes never come to rest");
}

/// Keeps what it receives, as text.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    pub(crate) log: Vec<String>,
    pub(crate) received: Vec<(IpInfo, Vec<u8>)>,
}

impl Probe {
    /// One of the numbers for experiments (RFC 3692 §2.1).
    pub(crate) const PROTOCOL: IpProtocol = IpProtocol(253);

    pub(crate) fn take_log(node: &mut Node, protocol: IpProtocol) -> Vec<String> {
        let (probe, _) = node.transport_mut::<Self>(protocol, Instant::ZERO).unwrap();
        std::mem::take(&mut probe.log)
    }
}

/// Sends `payload` from `node` to `to`.
pub(crate) fn send(
    node: &mut Node,
    now: Instant,
    to: &str,
    protocol: IpProtocol,
    payload: &[u8],
    dont_fragment: bool,
) -> Result<(), Error> {
    let mut cx = node.context(now);
    let destination: IpAddr = to.parse().unwrap();
    let route = cx.route(&RouteQuery {
        destination,
        source: None,
        interface: None,
        foreign_source: false,
    })?;
    let mut slices = Payload::new();
    slices.push(Bytes::copy_from_slice(payload));
    let info = SendInfo {
        route,
        destination,
        protocol,
        hop_limit: 64,
        traffic_class: 0,
        flow_label: 0,
        dont_fragment,
        tags: Tags::default(),
    };
    cx.send(&info, Packet::with_payload(slices))
}

impl Transport for Probe {
    fn id(&self) -> TransportId {
        TransportId(253)
    }

    fn on_packet(&mut self, _: &mut Context<'_>, ip: &IpInfo, packet: Packet) -> Disposition {
        let bytes = packet.to_vec();
        let (from, to, len) = (ip.source, ip.destination, bytes.len());
        self.log.push(format!("{from} > {to}: {len}"));
        self.received.push((*ip, bytes));
        Disposition::Taken
    }

    fn on_icmp_error(&mut self, _: &mut Context<'_>, error: &IcmpError<'_>) -> bool {
        let IcmpError {
            kind,
            from,
            destination,
            ..
        } = error;
        self.log
            .push(format!("{kind:?} for {destination} by {from}"));
        true
    }

    fn on_path_mtu(&mut self, _: &mut Context<'_>, remote: IpAddr, mtu: u32) {
        self.log.push(format!("path to {remote}: {mtu}"));
    }

    fn on_address(&mut self, _: &mut Context<'_>, change: AddressChange) {
        self.log.push(format!("{change:?}"));
    }

    fn on_timeout(&mut self, _: &mut Context<'_>, _: SocketId) {}
    fn sockets(&self) -> Vec<SocketSummary> {
        Vec::new()
    }

    fn has_output(&self, _: InterfaceId) -> bool {
        false
    }

    fn poll_transmit(&mut self, _: &mut Context<'_>, _: InterfaceId, _: usize) -> bool {
        false
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
