//! A node to attack, and real traffic to start from. Shared with the `fuzz/` crate.

use sockeye_core::Ipv6Config;
use sockeye_core::iface::{NAME_SERVERS_MAX, PREFIXES_MAX, ROUTERS_MAX, ROUTES_MAX};
use sockeye_core::intercept::Scope;
use sockeye_core::{
    Capabilities, Checksum, Counter, Domain, Gso, GsoKind, MacAddr, Medium, RouteQuery, SendInfo,
    multicast,
};
use sockeye_link::{GsoKinds, Tags};
use sockeye_node::{
    Batch, Config, Instant, InterfaceConfig, InterfaceId, IpProtocol, Node, Packet, SendOptions,
};
use sockeye_wire::ndp::{self, Preference, RouterAdvertisement};
use sockeye_wire::ndp_options::{NdpOption, PrefixInformation, RouteInformation};
use sockeye_wire::{EtherType, checksum, ethernet, icmpv6, ipv4, ipv6};
use std::io::IoSlice;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

const LINK: InterfaceId = InterfaceId(2);
/// The router's other link.
const BEYOND: InterfaceId = InterfaceId(3);
const VICTIM: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const TCP_PORT: u16 = 80;
const UDP_PORT: u16 = 53;
const START: Instant = Instant::from_millis(1);
const PEER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

fn node(seed: u8, mac: MacAddr, addresses: [&str; 2]) -> Node {
    let config = Config {
        reassembly_max: 1 << 20,
        neighbours_max: 64,
        // So that it comes to rest where no router answers.
        ipv6: Ipv6Config {
            router_solicitations: 3,
            ..Ipv6Config::default()
        },
        ..Config::default()
    };
    let mut node = Node::new(config, [seed; 32]);
    let capabilities = Capabilities {
        medium: Medium::Ethernet(mac),
        mtu: 1500,
        tx_checksum: false,
        gso: GsoKinds::NONE,
        gso_max: 0,
        queues: 1,
    };
    let mut config = InterfaceConfig::new("test0", capabilities);
    config.addresses = addresses.map(|a| a.parse().expect("an address")).into();
    // So that traffic can begin at once.
    config.detect_duplicates = false;
    config.slaac = true;
    node.add_interface(Instant::ZERO, config);
    node
}

/// The node under attack: listeners, sockets, a joined group, and interception of what is for
/// others.
fn victim() -> Node {
    let mut node = node(1, VICTIM, ["10.0.0.1/24", "fd00::1/64"]);
    let group: IpAddr = "224.0.0.251".parse().expect("an address");
    let mut cx = node.context(START);
    multicast::join(&mut cx, LINK, group).expect("a group");
    let (tcp, mut cx) = node.tcp(START);
    let listener = tcp.open(&mut cx, Domain::V6).expect("a socket");
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, TCP_PORT));
    tcp.bind(&mut cx, listener, any).expect("a free port");
    tcp.listen(&mut cx, listener, 8).expect("a bound socket");
    tcp.set_intercept(&mut cx, Some(Scope::All));
    let (udp, mut cx) = node.udp(START);
    let socket = udp.open(&mut cx, Domain::V6).expect("a socket");
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, UDP_PORT));
    udp.bind(&mut cx, socket, any).expect("a free port");
    udp.set_intercept(&mut cx, Some(Scope::Foreign));
    let (ping, mut cx) = node.ping(START);
    ping.open(&mut cx, Domain::V4).expect("a socket");
    ping.set_intercept(&mut cx, Some(Scope::Foreign));
    let (raw, mut cx) = node.raw(START);
    for (domain, protocol) in [
        (Domain::V4, IpProtocol::ICMP),
        (Domain::V6, IpProtocol::ICMPV6),
        (Domain::V6, IpProtocol(200)),
    ] {
        raw.open(&mut cx, domain, protocol).expect("a socket");
    }
    node
}

/// A router: what is for others is sent on to a narrow link of bare IP packets, or back to where it
/// came from.
fn router() -> Node {
    let mut node = node(1, VICTIM, ["10.0.0.1/24", "fd00::1/64"]);
    let mut config = node.config().clone();
    config.interfaces.set_forwarding_v4(true);
    config.interfaces.set_forwarding_v6(true);
    node.set_config(config);
    let capabilities = Capabilities {
        medium: Medium::Ip,
        mtu: 1280,
        tx_checksum: false,
        gso: GsoKinds::NONE,
        gso_max: 0,
        queues: 1,
    };
    let mut config = InterfaceConfig::new("test1", capabilities);
    config.addresses = ["10.9.0.1/24", "fd09::1/64"]
        .map(|a| a.parse().expect("an address"))
        .into();
    let beyond = node.add_interface(Instant::ZERO, config);
    debug_assert_eq!(beyond, BEYOND, "the second link");
    for (net, gateway) in [("10.8.0.0/16", "10.0.0.2"), ("fd08::/16", "fd00::2")] {
        let (net, gateway) = (net.parse(), gateway.parse());
        let gateway = Some(gateway.expect("an address"));
        node.add_route(net.expect("a network"), gateway, LINK, 0)
            .expect("a neighbour");
    }
    node
}

/// A node whose traffic is somebody else's to write.
pub(crate) struct Target {
    node: Node,
    now: Instant,
    batch: Batch,
}

impl Target {
    pub(crate) fn new() -> Self {
        Self {
            node: victim(),
            now: START,
            batch: Batch::new(),
        }
    }

    /// One that sends on what is for others.
    pub(crate) fn router() -> Self {
        Self {
            node: router(),
            ..Self::new()
        }
    }

    /// `bytes` arrive. Where `meta` is not 0, it makes up what the device says of them.
    pub(crate) fn packet(&mut self, bytes: &[u8], meta: u32) {
        let mut packet = Packet::from_vec(bytes.to_vec());
        let [kind, a, b, c] = meta.to_be_bytes();
        packet.meta.checksum = match kind & 3 {
            0 => Checksum::Unverified,
            1 => Checksum::Verified,
            _ => Checksum::Partial {
                start: u16::from(a),
                offset: u16::from(b),
            },
        };
        if kind & 4 != 0 {
            packet.meta.gso = Some(Gso {
                kind: [GsoKind::TcpV4, GsoKind::TcpV6, GsoKind::Udp][usize::from(kind >> 3) % 3],
                size: u16::from(c) * 8,
            });
        }
        self.batch.push_back(packet);
        if self.batch.len() >= 16 {
            self.node.handle_batch(self.now, LINK, &mut self.batch);
            self.transmit();
        }
    }

    /// Time passes.
    pub(crate) fn pass_time(&mut self, ms: u32) {
        self.now += Duration::from_millis(u64::from(ms));
        self.node.handle_timeout(self.now);
        self.transmit();
    }

    /// Nothing may have grown beyond its limit.
    pub(crate) fn check(&self) {
        assert!(self.node.neighbours().count() <= 64);
        for (_, link) in self.node.interfaces() {
            assert!(link.addresses().len() <= 20);
            assert!(link.routers().len() <= ROUTERS_MAX);
            assert!(link.prefixes().len() <= PREFIXES_MAX);
            assert!(link.learnt_routes().len() <= ROUTES_MAX);
            assert!(link.name_servers().len() <= NAME_SERVERS_MAX);
        }
    }

    pub(crate) fn count(&self, counter: Counter) -> u64 {
        self.node.counters().get(counter)
    }

    /// Lets all timers run out: then nothing is left that waits.
    pub(crate) fn rest(&mut self) {
        self.now += Duration::from_secs(4000);
        for _ in 0..300 {
            self.node.handle_timeout(self.now);
            self.transmit();
            match self.node.poll_timeout() {
                Some(next) => self.now = next.max(self.now),
                None => return,
            }
        }
        panic!("the node never comes to rest");
    }

    fn transmit(&mut self) {
        for (link, len_max) in [(LINK, 1514), (BEYOND, 1280)] {
            let mut out = Batch::new();
            let mut rounds = 0;
            while self.node.poll_transmit(self.now, link, &mut out, 64) {
                rounds += 1;
                assert!(rounds < 1000, "a node has an end of packets to send");
            }
            for packet in out {
                assert!(
                    packet.len() <= len_max,
                    "a packet larger than the link: {packet:?}"
                );
            }
        }
        while self.node.poll_ready().is_some() {}
    }
}

/// Frames to the [`Target`] as an honest peer sends them: resolution, echo, fragments, errors,
/// datagrams, connections. In order they make the same conversation again.
pub(crate) fn recorded() -> Vec<Vec<u8>> {
    let mut victim = victim();
    let mut peer = node(2, PEER, ["10.0.0.2/24", "fd00::2/64"]);
    let mut frames = Vec::new();
    let now = START;
    for server in ["10.0.0.1", "fd00::1"] {
        let server: IpAddr = server.parse().expect("an address");
        converse(&mut peer, &mut victim, server, &mut frames);
    }
    for to in ["10.0.0.1", "fd00::1", "224.0.0.251", "ff02::1", "10.9.9.9"] {
        for protocol in [1u8, 6, 17, 44, 58, 60, 2, 200] {
            for len in [8usize, 60, 4000] {
                say(&mut peer, now, to, IpProtocol(protocol), len);
                carry(&mut peer, &mut victim, now, &mut frames);
            }
        }
    }
    for from_victim in [1u8, 6, 17, 58, 200] {
        for to in ["10.0.0.2", "fd00::2"] {
            say(&mut victim, now, to, IpProtocol(from_victim), 60);
            carry(&mut peer, &mut victim, now, &mut frames);
        }
    }
    frames.extend(advertisements());
    frames
}

/// A router advertisement with all that it may have, and redirects of its sender.
fn advertisements() -> Vec<Vec<u8>> {
    let ip = |text: &str| text.parse::<Ipv6Addr>().expect("an address");
    let router = ip("fe80::2");
    let prefix = |prefix| {
        NdpOption::PrefixInformation(PrefixInformation {
            prefix_len: 64,
            on_link: true,
            autonomous: true,
            valid_lifetime: 3000,
            preferred_lifetime: 2000,
            prefix,
        })
    };
    let servers = [ip("2001:db8::53").octets()];
    let options = [
        NdpOption::SourceLinkLayerAddress(PEER),
        NdpOption::Mtu(1400),
        prefix(ip("2001:db8:1::")),
        prefix(ip("2001:db8:2::")),
        NdpOption::RouteInformation(RouteInformation {
            prefix_len: 48,
            preference: Preference::High,
            lifetime: 1000,
            prefix: ip("2001:db8:7::"),
        }),
        NdpOption::RecursiveDnsServers {
            lifetime: 900,
            servers: &servers,
        },
    ];
    let advertisement = ndp::Header::RouterAdvertisement(RouterAdvertisement {
        cur_hop_limit: 60,
        router_lifetime: 1800,
        reachable_time: 20_000,
        retrans_timer: 900,
        ..RouterAdvertisement::default()
    });
    let redirect = ndp::Header::Redirect {
        target: ip("fe80::3"),
        destination: ip("2001:db8:9::9"),
    };
    let frame = |to: Ipv6Addr, header: ndp::Header, options: &[NdpOption<'_>]| {
        let mut message = vec![0; header.header_len()];
        header.emit(&mut message);
        for option in options {
            let at = message.len();
            message.resize(at + option.emitted_len(), 0);
            option.emit(&mut message[at..]);
        }
        icmpv6::fill_checksum(router, to, &mut message);
        let len = u16::try_from(message.len()).expect("a short message");
        let mut header = ipv6::Header::new(router, to, IpProtocol::ICMPV6, len);
        header.hop_limit = ndp::HOP_LIMIT;
        let mut frame = vec![0; ethernet::HEADER_LEN + ipv6::HEADER_LEN];
        ethernet::Header {
            destination: VICTIM,
            source: PEER,
            ethertype: EtherType::IPV6,
        }
        .emit(&mut frame);
        header.emit(&mut frame[ethernet::HEADER_LEN..]);
        frame.extend(message);
        frame
    };
    let target = NdpOption::TargetLinkLayerAddress(PEER);
    vec![
        frame(ip("fd00::1"), advertisement, &options),
        frame(ip("fd00::1"), redirect, &[target]),
    ]
}

/// A datagram and a connection from `peer` to `victim`.
fn converse(peer: &mut Node, victim: &mut Node, server: IpAddr, frames: &mut Vec<Vec<u8>>) {
    let domain = if server.is_ipv4() {
        Domain::V4
    } else {
        Domain::V6
    };
    let (udp, mut cx) = peer.udp(START);
    let socket = udp.open(&mut cx, domain).expect("a socket");
    let to = Some(SocketAddr::from((server, UDP_PORT)));
    let options = SendOptions::default();
    udp.send(&mut cx, socket, &[IoSlice::new(&[7; 3000])], to, &options)
        .expect("room");
    carry(peer, victim, START, frames);
    let (tcp, mut cx) = peer.tcp(START);
    let socket = tcp.open(&mut cx, domain).expect("a socket");
    let to = SocketAddr::from((server, TCP_PORT));
    // It is under way.
    let _ = tcp.connect(&mut cx, socket, to);
    carry(peer, victim, START, frames);
    for len in [1, 100, 5000] {
        let (tcp, mut cx) = peer.tcp(START);
        let data = vec![8; len];
        // What the window does not take is not part of the traffic.
        let _ = tcp.send(&mut cx, socket, &[IoSlice::new(&data)]);
        carry(peer, victim, START, frames);
    }
    let (tcp, mut cx) = peer.tcp(START);
    tcp.close(&mut cx, socket).expect("a socket");
    carry(peer, victim, START, frames);
}

fn say(node: &mut Node, now: Instant, to: &str, protocol: IpProtocol, len: usize) {
    let mut cx = node.context(now);
    let destination: IpAddr = to.parse().expect("an address");
    let query = RouteQuery {
        destination,
        source: None,
        interface: None,
        foreign_source: false,
    };
    let Ok(route) = cx.route(&query) else {
        return;
    };
    let mut payload = vec![0; len];
    payload[0] = if protocol == IpProtocol::ICMPV6 {
        128
    } else {
        8
    };
    let info = SendInfo {
        route,
        destination,
        protocol,
        hop_limit: 64,
        traffic_class: 0,
        flow_label: 0,
        dont_fragment: false,
        tags: Tags::default(),
    };
    // What does not fit the queue is not part of the traffic.
    let _ = cx.send(&info, Packet::from_slice(&payload));
}

fn carry(peer: &mut Node, victim: &mut Node, now: Instant, frames: &mut Vec<Vec<u8>>) {
    for _ in 0..8 {
        let (mut to_victim, mut to_peer) = (Batch::new(), Batch::new());
        peer.poll_transmit(now, LINK, &mut to_victim, 64);
        victim.poll_transmit(now, LINK, &mut to_peer, 64);
        frames.extend(to_victim.iter().map(Packet::to_vec));
        for packet in to_victim {
            victim.handle_packet(now, LINK, packet);
        }
        for packet in to_peer {
            peer.handle_packet(now, LINK, packet);
        }
    }
}

/// Makes `frame` go to a host behind the router, or, with `back`, to one that its own link reaches.
pub(crate) fn readdress(frame: &mut [u8], back: bool) {
    let net = if back { 8 } else { 9 };
    match frame.get(14).map(|b| b >> 4) {
        Some(4) if frame.len() >= 34 => frame[30..34].copy_from_slice(&[10, net, 0, 9]),
        Some(6) if frame.len() >= 54 => {
            frame[38..54].fill(9);
            frame[38..40].copy_from_slice(&[0xfd, net]);
            frame[40..46].fill(0);
        }
        _ => return,
    }
    mend(frame);
}

/// Makes the checksums of an Ethernet frame right again, so that it gets past them.
pub(crate) fn mend(frame: &mut [u8]) {
    let Some(packet) = frame.get_mut(14..) else {
        return;
    };
    let header_len = match packet.first().map(|b| b >> 4) {
        Some(4) => usize::from(packet[0] & 0x0f) * 4,
        Some(6) => return mend_v6(packet),
        _ => return,
    };
    if header_len < 20 || packet.len() < header_len {
        return;
    }
    packet[10..12].fill(0);
    let sum = checksum::of(&packet[..header_len]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    let Ok(header) = ipv4::Header::parse(packet) else {
        return;
    };
    let end = usize::from(header.total_len).min(packet.len());
    let (source, destination) = (header.source.into(), header.destination.into());
    let protocol = header.protocol;
    let sum = if protocol.0 == 1 {
        checksum::Sum::new()
    } else {
        let len = (end - header_len) as u32;
        checksum::pseudo_header(source, destination, protocol, len)
    };
    mend_transport(&mut packet[header_len..end], protocol.0, sum);
}

fn mend_v6(packet: &mut [u8]) {
    let Ok(header) = ipv6::Header::parse(packet) else {
        return;
    };
    let end = header.total_len().min(packet.len());
    let (source, destination) = (header.source.into(), header.destination.into());
    let len = (end - 40) as u32;
    let sum = checksum::pseudo_header(source, destination, header.next_header, len);
    mend_transport(&mut packet[40..end], header.next_header.0, sum);
}

fn mend_transport(segment: &mut [u8], protocol: u8, mut sum: checksum::Sum) {
    let at = match protocol {
        1 | 58 => 2,
        6 => 16,
        17 => 6,
        _ => return,
    };
    if segment.len() < at + 2 {
        return;
    }
    segment[at..at + 2].fill(0);
    sum.add(segment);
    segment[at..at + 2].copy_from_slice(&sum.finish().to_be_bytes());
}
