//! A [`Pair`] of hosts: A is the client at 10.0.0.1 (fd00::1), B the server at 10.0.0.2 (fd00::2).

use crate::socket::Socket;
use crate::{Dccp, State};
use core::time::Duration;
use sockeye_core::context::Parts;
use sockeye_core::socket::Domain;
use sockeye_core::{
    Capabilities, Config, Context, Error, InterfaceConfig, InterfaceId, Medium, OptionValue, Owner,
    Packet, Rng, SocketId, SocketOption, Transport, iface, inet,
};
use sockeye_link::{Batch, GsoKinds, Instant, UdpPorts, offload};
use sockeye_wire::dccp::options::{Meaning, RawOption, walk};
use sockeye_wire::dccp::{Header, Kind, Seq};
use sockeye_wire::{IpProtocol, udp};
use std::collections::BTreeMap;
use std::io::IoSlice;
use std::net::SocketAddr;

pub(crate) const A: usize = 0;
pub(crate) const B: usize = 1;
pub(crate) const LINK: InterfaceId = InterfaceId(2);

/// What the wire does to packets: chances are in thousandths.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) delay: Duration,
    pub(crate) loss: u32,
    pub(crate) duplicate: u32,
    pub(crate) reorder: u32,
    pub(crate) corrupt: u32,
    pub(crate) mtu: u32,
    /// Time that a byte takes, and bytes that wait at the most: a bottleneck each way.
    pub(crate) byte: Duration,
    pub(crate) queue: usize,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(10),
            loss: 0,
            duplicate: 0,
            reorder: 0,
            corrupt: 0,
            mtu: 1500,
            byte: Duration::ZERO,
            queue: usize::MAX,
        }
    }
}

pub(crate) struct Host {
    pub(crate) parts: Parts,
    pub(crate) dccp: Dccp,
}

/// Told who sends and the header.
pub(crate) type Lose = Box<dyn FnMut(usize, &Header) -> bool>;

pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) hosts: [Host; 2],
    pub(crate) wire: Wire,
    flying: BTreeMap<(Instant, u64), (usize, Packet)>,
    sent: u64,
    rng: Rng,
    busy: [Instant; 2],
    /// Every packet as it left: who sent it, its header, its options, bytes of data.
    pub(crate) log: Vec<(usize, Header, Vec<u8>, usize)>,
    /// Where B listens.
    pub(crate) port: u16,
    /// Whether `log` is kept.
    pub(crate) record: bool,
    /// Takes a packet off the wire.
    pub(crate) lose: Lose,
}

impl Pair {
    pub(crate) fn new(wire: Wire) -> Self {
        Self::with(wire, Config::default(), 1)
    }

    pub(crate) fn with(wire: Wire, config: Config, seed: u8) -> Self {
        let host = |n: u8| {
            let mut parts = Parts::new(config.clone(), [seed ^ (n << 6); 32]);
            let dccp = Dccp::new(&config, &mut parts.rng);
            let capabilities = Capabilities {
                medium: Medium::Ip,
                mtu: wire.mtu,
                tx_checksum: n == 1,
                gso: GsoKinds::ALL,
                gso_max: 65_535,
                queues: 1,
            };
            let mut link = InterfaceConfig::new("test0", capabilities);
            link.addresses = vec![
                format!("10.0.0.{n}/24").parse().unwrap(),
                format!("fd00::{n}/64").parse().unwrap(),
            ];
            let id = inet::add_interface(&mut parts.context(Instant::ZERO), link);
            assert_eq!(id, LINK);
            Host { parts, dccp }
        };
        Self {
            now: Instant::from_millis(1000),
            hosts: [host(1), host(2)],
            wire,
            flying: BTreeMap::new(),
            sent: 0,
            rng: Rng::new([seed.wrapping_add(77); 32]),
            busy: [Instant::ZERO; 2],
            log: Vec::new(),
            record: true,
            port: 80,
            lose: Box::new(|_, _| false),
        }
    }

    pub(crate) fn host(&mut self, n: usize) -> (&mut Dccp, Context<'_>) {
        let host = &mut self.hosts[n];
        (&mut host.dccp, host.parts.context(self.now))
    }

    /// A socket of a host, with options set.
    pub(crate) fn socket(&mut self, n: usize, options: &[(SocketOption, OptionValue)]) -> SocketId {
        let (dccp, mut cx) = self.host(n);
        let id = dccp.open(&mut cx, Domain::V6).unwrap();
        for (option, value) in options {
            dccp.set_option(&mut cx, id, *option, value.clone())
                .unwrap();
        }
        id
    }

    /// Makes a socket of B listen.
    pub(crate) fn listen_on(&mut self, id: SocketId, backlog: usize) {
        let any = SocketAddr::from(([0u16; 8], self.port));
        let (dccp, mut cx) = self.host(B);
        dccp.bind(&mut cx, id, any).unwrap();
        dccp.listen(&mut cx, id, backlog).unwrap();
    }

    /// A listener on B.
    pub(crate) fn listen(&mut self) -> SocketId {
        let id = self.socket(B, &[]);
        self.listen_on(id, 16);
        id
    }

    /// Connects a socket of A to B.
    pub(crate) fn dial(&mut self, id: SocketId) {
        let mut to: SocketAddr = "[::ffff:10.0.0.2]:80".parse().unwrap();
        to.set_port(self.port);
        let (dccp, mut cx) = self.host(A);
        assert_eq!(dccp.connect(&mut cx, id, to), Err(Error::InProgress));
    }

    /// Both ends of a connection from A to B.
    pub(crate) fn connection(&mut self) -> (SocketId, SocketId) {
        self.connection_with(&[], &[])
    }

    pub(crate) fn connection_with(
        &mut self,
        client: &[(SocketOption, OptionValue)],
        server: &[(SocketOption, OptionValue)],
    ) -> (SocketId, SocketId) {
        let listener = self.socket(B, server);
        self.listen_on(listener, 16);
        let a = self.socket(A, client);
        self.dial(a);
        let b = self.accept(listener).expect("a connection to accept");
        self.run_until(|pair| pair.state(A, a) >= State::PartOpen);
        let (dccp, mut cx) = self.host(B);
        dccp.close(&mut cx, listener).unwrap();
        (a, b)
    }

    pub(crate) fn accept(&mut self, listener: SocketId) -> Option<SocketId> {
        for _ in 0..10_000 {
            let (dccp, mut cx) = self.host(B);
            match dccp.accept(&mut cx, listener) {
                Ok((id, _)) => return Some(id),
                Err(error) => assert_eq!(error, Error::WouldBlock),
            }
            if !self.step() {
                return None;
            }
        }
        None
    }

    pub(crate) fn state(&self, n: usize, id: SocketId) -> State {
        let sockets = &self.hosts[n].dccp.sockets;
        sockets.get(id).map_or(State::Closed, Socket::state)
    }

    pub(crate) fn send(&mut self, n: usize, id: SocketId, data: &[u8]) -> Result<usize, Error> {
        let (dccp, mut cx) = self.host(n);
        dccp.send(
            &mut cx,
            id,
            &[IoSlice::new(data)],
            None,
            &crate::SendOptions::NOTHING_SAID,
        )
    }

    pub(crate) fn recv(&mut self, n: usize, id: SocketId) -> Result<Vec<u8>, Error> {
        let (dccp, mut cx) = self.host(n);
        let mut out = vec![0; 65_536];
        let received = dccp.recv(&mut cx, id, &mut out, false)?;
        out.truncate(received.copied);
        Ok(out)
    }

    pub(crate) fn close(&mut self, n: usize, id: SocketId) {
        let (dccp, mut cx) = self.host(n);
        dccp.close(&mut cx, id).unwrap();
    }

    /// Moves what the hosts have to send onto the wire.
    pub(crate) fn pump(&mut self) {
        for n in [A, B] {
            let now = self.now;
            let mut batch = Batch::new();
            loop {
                let host = &mut self.hosts[n];
                let mut cx = host.parts.context(now);
                let more = host.dccp.poll_transmit(&mut cx, LINK, 64);
                let before = batch.len();
                cx.inet.poll_transmit(LINK, &mut batch, usize::MAX);
                if !more || batch.len() == before {
                    break;
                }
            }
            for packet in batch {
                let mut cut = Batch::new();
                offload::to_wire(packet, Medium::Ip, &mut cut).unwrap();
                cut.into_iter().for_each(|packet| self.put(n, packet));
            }
        }
    }

    fn put(&mut self, from: usize, mut packet: Packet) {
        let (header, options, data) = read(&packet);
        if self.record {
            self.log.push((from, header, options, data));
        }
        let chance = |rng: &mut Rng, n: u32| rng.below(1000) < n;
        if (self.lose)(from, &header) || chance(&mut self.rng, self.wire.loss) {
            return;
        }
        if chance(&mut self.rng, self.wire.corrupt) {
            packet.linearize();
            let at = self.rng.below(packet.len() as u32) as usize;
            packet.head_mut()[at] ^= 1 << self.rng.below(8);
        }
        let copies = 1 + usize::from(chance(&mut self.rng, self.wire.duplicate));
        for _ in 0..copies {
            let begins = self.busy[from].max(self.now);
            let waits = begins.saturating_since(self.now);
            let byte = self.wire.byte.as_nanos().max(1);
            if (waits.as_nanos() / byte) as usize > self.wire.queue {
                continue;
            }
            self.busy[from] = begins + self.wire.byte * packet.len() as u32;
            let mut at = self.busy[from].max(self.now) + self.wire.delay;
            if chance(&mut self.rng, self.wire.reorder) {
                at += self.wire.delay / 2;
            }
            self.sent += 1;
            self.flying
                .insert((at, self.sent), (1 - from, packet.clone()));
        }
    }

    /// Puts a packet on the wire that nobody has sent: from the other host to `to`.
    pub(crate) fn inject(&mut self, to: usize, header: &Header, options: &[u8], data: &[u8]) {
        let mut header = *header;
        header.options_len = options.len().next_multiple_of(4) as u16;
        header.checksum = 0;
        let mut bytes = vec![0; header.header_len()];
        header.emit(&mut bytes);
        bytes[header.fixed_len()..][..options.len()].copy_from_slice(options);
        bytes.extend_from_slice(data);
        let ip = |n: usize| std::net::Ipv4Addr::new(10, 0, 0, n as u8 + 1);
        let (source, destination) = (ip(1 - to), ip(to));
        let sum = sockeye_wire::dccp::coverage::sum(
            source.into(),
            destination.into(),
            bytes.len() as u32,
            bytes.len(),
            [&bytes[..]],
        );
        sockeye_wire::dccp::set_checksum(&mut bytes, sum.finish());
        let ip = sockeye_wire::ipv4::Header::new(
            source,
            destination,
            IpProtocol::DCCP,
            bytes.len() as u16,
        );
        let mut packet = Packet::from_slice(&bytes);
        ip.emit(packet.push(20));
        self.sent += 1;
        self.flying.insert((self.now, self.sent), (to, packet));
    }

    /// A packet from the client to the server of the connection there was first.
    pub(crate) fn forged(&self, seq: Seq, kind: Kind) -> Header {
        let (_, first, _, _) = &self.log[0];
        Header {
            options_len: 0,
            checksum: 0,
            coverage: 0,
            ccval: 0,
            extended: true,
            seq,
            kind,
            ..*first
        }
    }

    /// The last number that a side has sent.
    pub(crate) fn last(&self, from: usize) -> Seq {
        let mut sent = self.log.iter().rev().filter(|(who, _, _, _)| *who == from);
        sent.next().map(|(_, header, _, _)| header.seq).unwrap()
    }

    /// The next thing that happens: an arrival or a deadline. False when there is none.
    pub(crate) fn step(&mut self) -> bool {
        self.pump();
        let Some(next) = self.next() else {
            return false;
        };
        self.now = self.now.max(next);
        while let Some(first) = self.flying.first_entry()
            && first.key().0 <= self.now
        {
            let (to, packet) = first.remove();
            let now = self.now;
            let host = &mut self.hosts[to];
            let mut cx = host.parts.context(now);
            match iface::receive(&mut cx, LINK, packet) {
                Some((info, packet)) if info.protocol == IpProtocol::DCCP => {
                    host.dccp.on_packet(&mut cx, &info, packet);
                }
                Some((info, packet)) if info.protocol == IpProtocol::UDP => {
                    host.dccp.on_packet(&mut cx, &info, unwrap(packet));
                }
                _ => {}
            }
        }
        let now = self.now;
        for host in &mut self.hosts {
            while let Some(owner) = host.parts.timers.expire(now) {
                let mut cx = host.parts.context(now);
                match owner {
                    Owner::Socket(handle) => host.dccp.on_timeout(&mut cx, handle.id),
                    Owner::Interface(id) => iface::on_timeout(&mut cx, id),
                    Owner::Inet => inet::on_timeout(&mut cx),
                    Owner::Lease(_) => {}
                }
            }
        }
        self.pump();
        true
    }

    fn next(&self) -> Option<Instant> {
        let arrival = self.flying.first_key_value().map(|(&(at, _), _)| at);
        let timers = self
            .hosts
            .iter()
            .filter_map(|host| host.parts.timers.next());
        timers.chain(arrival).min()
    }

    /// Runs until `done`.
    pub(crate) fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..1_000_000 {
            if done(self) {
                return;
            }
            assert!(self.step(), "nothing more happens at {}", self.now);
        }
        panic!("still not done at {}", self.now);
    }

    /// Runs for a while.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.pump();
            match self.next() {
                Some(next) if next <= end => {
                    self.step();
                }
                _ => break,
            }
        }
        self.now = end;
    }

    /// Runs until nothing is left to happen.
    pub(crate) fn run_dry(&mut self) {
        while self.step() {}
    }

    /// What is left of connections: sockets, timers, memory.
    pub(crate) fn is_clean(&self, n: usize) -> bool {
        let host = &self.hosts[n];
        host.dccp.sockets.is_empty()
            && host.dccp.half_open == 0
            && host.dccp.time_wait == 0
            && host.parts.memory.used() == 0
    }

    /// What was sent, since the last look: who, and what, in a word.
    pub(crate) fn said(&mut self) -> Vec<String> {
        let log = core::mem::take(&mut self.log);
        log.iter()
            .map(|(from, header, _, _)| {
                let who = ["A", "B"][*from];
                match header.kind {
                    Kind::Reset { code, .. } => format!("{who} Reset {}", code.0),
                    kind => format!("{who} {}", kind.packet_type()),
                }
            })
            .collect()
    }

    /// The options of what was sent that are `wanted`.
    pub(crate) fn count_options(&self, wanted: impl Fn(Meaning<'_>) -> bool) -> usize {
        let all = self.log.iter().flat_map(|(_, _, options, _)| walk(options));
        all.map(RawOption::meaning).filter(|m| wanted(*m)).count()
    }
}

/// What a UDP datagram carries, as a node's UDP hands it on.
fn unwrap(mut packet: Packet) -> Packet {
    let header = udp::Header::parse(packet.head()).unwrap();
    packet.pull(udp::HEADER_LEN);
    packet.meta.encap = Some(UdpPorts {
        source: header.source_port,
        destination: header.destination_port,
    });
    packet
}

/// The header of an IP packet, its options, and how many bytes of data follow.
fn read(packet: &Packet) -> (Header, Vec<u8>, usize) {
    let bytes = packet.to_vec();
    let (ip, protocol) = if bytes[0] >> 4 == 4 {
        (20, bytes[9])
    } else {
        (40, bytes[6])
    };
    let start = match IpProtocol(protocol) {
        IpProtocol::UDP => ip + udp::HEADER_LEN,
        _ => ip,
    };
    let header = Header::parse(&bytes[start..]).unwrap();
    let (fixed, len) = (header.fixed_len(), header.header_len());
    let options = bytes[start + fixed..start + len].to_vec();
    (header, options, bytes.len() - start - len)
}
