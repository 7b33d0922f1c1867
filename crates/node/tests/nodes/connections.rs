//! Two nodes that talk over DCCP while somebody between them does what networks and enemies do. Shared
//! with the `fuzz/` crate.
//!
//! An input of bytes says what the programs do, what becomes of each packet (lost, doubled, held back, a
//! byte of it changed and its checksum made right again), and how time passes. When it is used up, the
//! network is a good one. What has to hold:
//! - nobody panics, and nobody sends without end at one moment;
//! - sockets stay below their limit;
//! - as long as no packet was changed, messages arrive as they were sent, each at most once, and both ends
//!   of a connection that stands agree on its features;
//! - connections always end, and then nothing is left of them.

use sockeye_core::datagram::SendOptions;
use sockeye_core::{
    Capabilities, DccpConfig, Domain, Error, Medium, OptionValue, SocketId, SocketOption, Transport,
};
use sockeye_link::{Batch, GsoKinds, Packet};
use sockeye_node::{Config, Instant, InterfaceConfig, InterfaceId, Node};
use sockeye_wire::dccp::{CHECKSUM_OFFSET, coverage};
use std::collections::{BTreeSet, VecDeque};
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const PORT: u16 = 80;
const LINK: InterfaceId = InterfaceId(2);
/// Bytes of an IPv4 header without options.
const IP: usize = 20;
/// Packets of one node at one moment, before it counts as never idle.
const PACKETS_MAX: usize = 5000;
/// Deadlines until everything has come to rest.
const DEADLINES_MAX: usize = 20_000;
const SOCKETS_MAX: usize = 64;
/// Connections that a program opens at a time.
const CALLS_MAX: usize = 4;

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }
}

/// Plays what `input` says.
pub(crate) fn play(input: &[u8]) {
    let mut input = Input(input);
    let mut talk = Talk::new();
    while !input.0.is_empty() {
        talk.act(&mut input);
        talk.carry(&mut input);
        talk.read();
    }
    talk.finish();
}

/// A node, and its program.
struct Host {
    node: Node,
    listener: SocketId,
    connections: Vec<SocketId>,
    sent: u32,
    heard: BTreeSet<u32>,
}

struct Talk {
    hosts: [Host; 2],
    now: Instant,
    /// Packets held back, and to whom.
    held: VecDeque<(usize, Packet)>,
    /// A packet was changed: nobody can tell it from a true one.
    lied: bool,
}

impl Host {
    fn new(number: u8, now: Instant) -> Self {
        let config = Config {
            sockets_max: SOCKETS_MAX,
            dccp: DccpConfig {
                udp_port: 6511,
                encap_port: 0,
            },
            ..Config::default()
        };
        let mut node = Node::new(config, [number; 32]);
        let capabilities = Capabilities {
            medium: Medium::Ip,
            mtu: 1500,
            tx_checksum: false,
            gso: GsoKinds::NONE,
            gso_max: 0,
            queues: 1,
        };
        let mut config = InterfaceConfig::new("test0", capabilities);
        config.addresses = vec![format!("10.0.0.{number}/24").parse().expect("an address")];
        config.detect_duplicates = false;
        node.add_interface(Instant::ZERO, config);
        let (dccp, mut cx) = node.dccp(now);
        let listener = dccp.open(&mut cx, Domain::V4).expect("a socket");
        let ccids = OptionValue::Bytes(vec![2, 3]);
        dccp.set_option(&mut cx, listener, SocketOption::DccpCcid, ccids)
            .expect("both CCIDs");
        dccp.set_short_sequences(listener, true).expect("a socket");
        let any = SocketAddr::from(([0; 4], PORT));
        dccp.bind(&mut cx, listener, any).expect("a free port");
        dccp.listen(&mut cx, listener, 2).expect("a bound socket");
        Self {
            node,
            listener,
            connections: Vec::new(),
            sent: 0,
            heard: BTreeSet::new(),
        }
    }

    /// Opens a connection; the bits of `how` say of what kind.
    fn call(&mut self, now: Instant, to: u8, how: u8) {
        if self.connections.len() >= CALLS_MAX {
            return;
        }
        let (dccp, mut cx) = self.node.dccp(now);
        let Ok(id) = dccp.open(&mut cx, Domain::V4) else {
            return;
        };
        let ccids =
            OptionValue::Bytes([&[2][..], &[3], &[3, 2], &[2, 3]][usize::from(how & 3)].to_vec());
        dccp.set_option(&mut cx, id, SocketOption::DccpCcid, ccids)
            .expect("CCIDs");
        dccp.set_short_sequences(id, how & 4 != 0)
            .expect("a socket");
        dccp.set_data_checksum(id, how & 8 != 0).expect("a socket");
        let port = if how & 16 != 0 { 6511 } else { 0 };
        dccp.set_encapsulation(id, port).expect("a socket");
        let to = SocketAddr::from(([10, 0, 0, to], PORT));
        match dccp.connect(&mut cx, id, to) {
            Err(Error::InProgress) => self.connections.push(id),
            other => panic!("connecting: {other:?}"),
        }
    }

    fn send(&mut self, now: Instant, len: usize) {
        let Some(&id) = self.connections.get(len % self.connections.len().max(1)) else {
            return;
        };
        let mut data = self.sent.to_be_bytes().to_vec();
        data.resize(len + 4, self.sent as u8);
        let (dccp, mut cx) = self.node.dccp(now);
        let nothing = SendOptions::NOTHING_SAID;
        if dccp
            .send(&mut cx, id, &[IoSlice::new(&data)], None, &nothing)
            .is_ok()
        {
            self.sent += 1;
        }
    }

    /// Gives up the connection that is oldest.
    fn close(&mut self, now: Instant, abort: bool) {
        if self.connections.is_empty() {
            return;
        }
        let id = self.connections.remove(0);
        let (dccp, mut cx) = self.node.dccp(now);
        if abort {
            let _ = dccp.abort(&mut cx, id);
        }
        dccp.close(&mut cx, id).expect("a socket");
    }

    /// Takes what has come, and judges it.
    fn read(&mut self, now: Instant, lied: bool) {
        let (dccp, mut cx) = self.node.dccp(now);
        while let Ok((id, _)) = dccp.accept(&mut cx, self.listener) {
            self.connections.push(id);
        }
        let mut buffer = vec![0; 4096];
        let mut ended = Vec::new();
        for &id in &self.connections {
            loop {
                match dccp.recv(&mut cx, id, &mut buffer, false) {
                    Ok(received) if received.len == 0 => {
                        ended.push(id);
                        break;
                    }
                    Ok(received) if !lied => {
                        let number =
                            u32::from_be_bytes(buffer[..4].try_into().expect("four bytes"));
                        let rest = &buffer[4..received.len];
                        assert!(
                            rest.iter().all(|&b| b == number as u8),
                            "{number} is changed"
                        );
                        assert!(self.heard.insert(number), "{number} came twice");
                    }
                    Ok(_) => {}
                    Err(Error::WouldBlock) => break,
                    // It is told once, and then the end.
                    Err(_) => {}
                }
            }
        }
        for id in ended {
            dccp.close(&mut cx, id).expect("a socket");
            self.connections.retain(|other| *other != id);
        }
        assert!(dccp.sockets().len() <= SOCKETS_MAX + 1);
    }
}

impl Talk {
    fn new() -> Self {
        let now = Instant::from_millis(1);
        Self {
            hosts: [1, 2].map(|n| Host::new(n, now)),
            now,
            held: VecDeque::new(),
            lied: false,
        }
    }

    fn act(&mut self, input: &mut Input<'_>) {
        let what = input.byte();
        let n = usize::from(what >> 7);
        let now = self.now;
        let host = &mut self.hosts[n];
        match what & 15 {
            0..=6 => host.send(now, usize::from(input.byte()) * 5),
            7 | 8 => host.call(now, 2 - n as u8, input.byte()),
            9 => host.close(now, what & 0x10 != 0),
            10..=12 => self.pass(Duration::from_millis(1 << (what >> 4 & 7))),
            13 => self.pass(Duration::from_secs(u64::from(input.byte()))),
            _ => {}
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        for host in &mut self.hosts {
            host.node.handle_timeout(self.now);
        }
    }

    /// What the nodes have to send crosses, as the input will have it.
    fn carry(&mut self, input: &mut Input<'_>) {
        for _ in 0..2 {
            for from in 0..2 {
                let mut batch = Batch::new();
                let node = &mut self.hosts[from].node;
                while node.poll_transmit(self.now, LINK, &mut batch, 64) {
                    assert!(batch.len() < PACKETS_MAX, "a node that never stops sending");
                }
                for packet in batch {
                    self.decide(1 - from, packet, input);
                }
            }
        }
    }

    fn decide(&mut self, to: usize, packet: Packet, input: &mut Input<'_>) {
        match input.byte() {
            0xc0..=0xcf => {}
            0xd0..=0xd7 => {
                self.deliver(to, packet.clone());
                self.deliver(to, packet);
            }
            0xd8..=0xe7 => self.held.push_back((to, packet)),
            0xe8..=0xef => {
                if let Some((to, packet)) = self.held.pop_front() {
                    self.deliver(to, packet);
                }
                self.deliver(to, packet);
            }
            0xf0.. => {
                self.lied = true;
                let changed = change(&packet, input);
                self.deliver(to, changed);
            }
            _ => self.deliver(to, packet),
        }
    }

    fn deliver(&mut self, to: usize, packet: Packet) {
        self.hosts[to].node.handle_packet(self.now, LINK, packet);
    }

    fn read(&mut self) {
        for host in &mut self.hosts {
            host.read(self.now, self.lied);
        }
    }

    /// Both ends of each connection that stands agree.
    fn agree(&mut self) {
        let now = self.now;
        let [a, b] = &mut self.hosts;
        let open = |host: &mut Host| -> Vec<_> {
            let (dccp, cx) = host.node.dccp(now);
            let ids = host.connections.iter();
            ids.filter_map(|&id| {
                let (local, peer) = (dccp.local_addr(id).ok()?, dccp.peer_addr(id).ok()?);
                let info = dccp.info(&cx, id).ok()?;
                (info.state == sockeye_node::DccpState::Open).then_some((local, peer, info.ccids))
            })
            .collect()
        };
        let theirs = open(b);
        for (local, peer, (ours, other)) in open(a) {
            let mut same = theirs.iter().filter(|(l, p, _)| (*l, *p) == (peer, local));
            if let Some((_, _, ccids)) = same.next()
                && same.next().is_none()
            {
                assert_eq!(*ccids, (other, ours), "the CCIDs of {local}");
            }
        }
    }

    /// The network is a good one; everything is brought to its end.
    fn finish(&mut self) {
        let mut good = Input(&[]);
        while let Some((to, packet)) = self.held.pop_front() {
            self.deliver(to, packet);
        }
        for step in 0..DEADLINES_MAX {
            for _ in 0..16 {
                self.carry(&mut good);
                self.read();
            }
            if step == 50 && !self.lied {
                self.agree();
            }
            if step >= 100 {
                let now = self.now;
                for host in &mut self.hosts {
                    host.close(now, false);
                }
            }
            let left = |host: &mut Host| host.node.dccp(self.now).0.sockets().len();
            let idle = self.hosts.each_mut().map(left) == [1, 1];
            if idle && step >= 100 {
                return;
            }
            let timers = self
                .hosts
                .iter()
                .filter_map(|host| host.node.poll_timeout());
            match timers.min() {
                Some(next) => self.now = self.now.max(next),
                None if step >= 100 => panic!("nothing happens any more"),
                None => self.now += Duration::from_secs(1),
            }
            self.pass(Duration::ZERO);
        }
        panic!("never at rest");
    }
}

/// One byte behind the IP header is another, and the checksum right again.
fn change(packet: &Packet, input: &mut Input<'_>) -> Packet {
    let mut bytes = packet.to_vec();
    let at = (usize::from(input.byte()) | usize::from(input.byte() & 3) << 8) % (bytes.len() - IP);
    bytes[IP + at] = input.byte();
    // In UDP it may be wrong: it is dropped there, as what is changed would be.
    if bytes[9] == 33 {
        let ip = |at: usize| Ipv4Addr::from(*bytes[at..].first_chunk::<4>().expect("a header"));
        let (source, destination) = (ip(12), ip(16));
        let dccp = &mut bytes[IP..];
        let covered = coverage::covered(dccp[5] & 15, usize::from(dccp[4]) * 4, dccp.len());
        let covered = covered.unwrap_or(dccp.len());
        dccp[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].fill(0);
        let len = dccp.len() as u32;
        let sum = coverage::sum(source.into(), destination.into(), len, covered, [&dccp[..]]);
        sockeye_wire::dccp::set_checksum(dccp, sum.finish());
    }
    Packet::from_vec(bytes)
}
