//! A node alone on an Ethernet, with the test as everybody else: frames are made by hand, and what
//! the node sends is read as text.

use crate::common::{LINK, link};
use sockeye_core::{MacAddr, Medium};
use sockeye_node::{Batch, Config, Instant, InterfaceConfig, IpProtocol, Node, Packet};
use sockeye_wire::ndp::Header;
use sockeye_wire::ndp_options::NdpOption;
use sockeye_wire::{EtherType, arp, ethernet, icmpv6, ipv4, ipv6};
use std::net::Ipv6Addr;

/// Where reports of MLDv2 go (RFC 3810 §5.2.14).
const REPORTS: &str = "> ff02::16";

/// The node's station.
pub(crate) const OURS: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xa]);
/// All nodes of a link.
pub(crate) const NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The node and the time.
pub(crate) struct Wire {
    pub(crate) node: Node,
    pub(crate) now: Instant,
    /// What it sent, each with the time in milliseconds before it.
    pub(crate) sent: Vec<String>,
}

impl Wire {
    pub(crate) fn new(config: Config, shape: impl FnOnce(&mut InterfaceConfig)) -> Self {
        let mut node = Node::new(config, [5; 32]);
        let mut interface = InterfaceConfig::new("eth0", link(Medium::Ethernet(OURS), 1500));
        shape(&mut interface);
        assert_eq!(node.add_interface(Instant::ZERO, interface), LINK);
        let now = Instant::ZERO;
        let sent = Vec::new();
        Self { node, now, sent }
    }

    /// Lets `ms` pass.
    pub(crate) fn pass(&mut self, ms: u64) {
        let until = Instant::from_millis(self.now.as_millis() + ms);
        loop {
            let due = self.node.poll_timeout().unwrap_or(Instant::FAR);
            self.now = due.clamp(self.now, until);
            self.node.handle_timeout(self.now);
            self.take();
            if self.now == until {
                return;
            }
        }
    }

    /// The node gets a frame.
    pub(crate) fn hear(&mut self, frame: Packet) {
        self.node.handle_packet(self.now, LINK, frame);
        self.take();
    }

    /// What was sent since the last time, without the times.
    pub(crate) fn heard(&mut self) -> Vec<String> {
        let sent = std::mem::take(&mut self.sent);
        let text = |line: String| line.split_once(' ').unwrap().1.to_owned();
        sent.into_iter().map(text).collect()
    }

    fn take(&mut self) {
        let mut batch = Batch::new();
        self.node.poll_transmit(self.now, LINK, &mut batch, 1000);
        for frame in batch {
            let text = describe(&frame.to_vec());
            // What groups it is in it says, too: that is another story.
            if text.contains(REPORTS) {
                continue;
            }
            self.sent.push(format!("{} {text}", self.now.as_millis()));
        }
    }

    /// Its addresses there, with their state.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let (_, link) = self.node.interfaces().find(|(id, _)| *id == LINK).unwrap();
        let all = link.addresses().iter();
        all.map(|a| format!("{} {:?} {:?}", a.net, a.origin, a.state))
            .collect()
    }

    /// Its routes there.
    pub(crate) fn routes(&self) -> Vec<String> {
        let all = self.node.routes().filter(|r| r.interface == LINK);
        all.map(|r| match r.gateway {
            Some(gateway) => format!("{} via {gateway} metric {}", r.destination, r.metric),
            None => format!("{} metric {}", r.destination, r.metric),
        })
        .collect()
    }

    pub(crate) fn link(&self) -> &sockeye_node::Interface {
        self.node
            .interfaces()
            .find(|(id, _)| *id == LINK)
            .unwrap()
            .1
    }
}

/// A frame that carries a neighbour discovery message.
pub(crate) fn nd(
    mac: MacAddr,
    source: &str,
    to: Ipv6Addr,
    header: Header,
    options: &[NdpOption<'_>],
) -> Packet {
    let source: Ipv6Addr = source.parse().unwrap();
    let mut message = vec![0; header.header_len()];
    header.emit(&mut message);
    for option in options {
        let at = message.len();
        message.resize(at + option.emitted_len(), 0);
        option.emit(&mut message[at..]);
    }
    icmpv6::fill_checksum(source, to, &mut message);
    let mut ip = ipv6::Header::new(source, to, IpProtocol::ICMPV6, message.len() as u16);
    ip.hop_limit = 255;
    let mut packet = vec![0; ipv6::HEADER_LEN];
    ip.emit(&mut packet);
    packet.extend(message);
    let station = match to.is_multicast() {
        true => MacAddr::of_group_v6(to),
        false => OURS,
    };
    frame(mac, station, EtherType::IPV6, &packet)
}

/// A frame.
pub(crate) fn frame(from: MacAddr, to: MacAddr, ethertype: EtherType, packet: &[u8]) -> Packet {
    let mut bytes = vec![0; ethernet::HEADER_LEN];
    ethernet::Header {
        destination: to,
        source: from,
        ethertype,
    }
    .emit(&mut bytes);
    bytes.extend(packet);
    Packet::from_vec(bytes)
}

/// An ARP packet to everybody.
pub(crate) fn arp_frame(header: arp::Header) -> Packet {
    let mut bytes = [0; arp::HEADER_LEN];
    header.emit(&mut bytes);
    let from = header.sender_hardware;
    frame(from, MacAddr::BROADCAST, EtherType::ARP, &bytes)
}

/// What a frame says.
fn describe(bytes: &[u8]) -> String {
    let link = ethernet::Header::parse(bytes).unwrap();
    let packet = &bytes[ethernet::HEADER_LEN..];
    if link.ethertype == EtherType::ARP {
        let arp = arp::Header::parse(packet).unwrap();
        let (from, to) = (arp.sender_protocol, arp.target_protocol);
        return format!("ARP {:?} {from} > {to}", arp.operation);
    }
    if link.ethertype == EtherType::IPV4 {
        let ip = ipv4::Header::parse(packet).unwrap();
        return format!(
            "to {}: {} > {}",
            link.destination, ip.source, ip.destination
        );
    }
    let ip = ipv6::Header::parse(packet).unwrap();
    let message = &packet[ipv6::HEADER_LEN..];
    let (from, to) = (ip.source, ip.destination);
    match Header::parse(message) {
        Ok(Header::RouterSolicitation) => format!("RS {from} > {to}"),
        Ok(Header::NeighborSolicitation { target }) => format!("NS {from} > {to} for {target}"),
        Ok(Header::NeighborAdvertisement { target, .. }) => {
            format!("NA {from} > {to} about {target}")
        }
        _ => format!("to {}: {from} > {to}", link.destination),
    }
}

/// Sends eight bytes to `to`, and says what left.
pub(crate) fn send(wire: &mut Wire, to: &str) -> Vec<String> {
    wire.sent.clear();
    crate::common::send(
        &mut wire.node,
        wire.now,
        to,
        crate::common::Probe::PROTOCOL,
        b"12345678",
        true,
    )
    .unwrap();
    wire.take();
    wire.heard()
}

/// The hop limit of the answer to an echo request from `from`, which the node's first router brings.
pub(crate) fn hop_limit(wire: &mut Wire, from: &str) -> u8 {
    let from: Ipv6Addr = from.parse().unwrap();
    let own = wire.link().addresses().iter();
    let mut own = own.filter(|a| a.origin == sockeye_node::AddressOrigin::Autoconf);
    let std::net::IpAddr::V6(own) = own.next_back().unwrap().net.addr() else {
        panic!("an address of a router's prefix")
    };
    let mut message = vec![128, 0, 0, 0, 0, 1, 0, 1];
    icmpv6::fill_checksum(from, own, &mut message);
    let ip = ipv6::Header::new(from, own, IpProtocol::ICMPV6, 8);
    let mut packet = vec![0; ipv6::HEADER_LEN];
    ip.emit(&mut packet);
    packet.extend(message);
    let request = frame(MacAddr([2, 0, 0, 0, 1, 1]), OURS, EtherType::IPV6, &packet);
    wire.node.handle_packet(wire.now, LINK, request);
    let mut batch = Batch::new();
    wire.node.poll_transmit(wire.now, LINK, &mut batch, 10);
    let reply = batch.pop_back().unwrap().to_vec();
    ipv6::Header::parse(&reply[ethernet::HEADER_LEN..])
        .unwrap()
        .hop_limit
}
