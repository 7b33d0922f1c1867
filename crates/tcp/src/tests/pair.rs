//! A [`Pair`] of hosts: A is the client at 10.0.0.1 (fd00::1), B the server at 10.0.0.2 (fd00::2).

use crate::{State, Tcp};
use core::time::Duration;
use sockeye_core::context::Parts;
use sockeye_core::socket::Domain;
use sockeye_core::{
    Capabilities, Config, Context, Error, InterfaceConfig, InterfaceId, Medium, Owner, Packet,
    Readiness, Rng, SocketId, Transport, iface, inet,
};
use sockeye_link::{Batch, GsoKinds, Instant, offload};
use sockeye_wire::Ecn;
use sockeye_wire::tcp::Header;
use std::collections::BTreeMap;
use std::io::IoSlice;
use std::net::SocketAddr;

pub(crate) const A: usize = 0;
pub(crate) const B: usize = 1;
const LINK: InterfaceId = InterfaceId(2);

/// What the wire does to packets: chances are in thousandths.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) delay: Duration,
    pub(crate) loss: u32,
    pub(crate) duplicate: u32,
    pub(crate) reorder: u32,
    pub(crate) corrupt: u32,
    /// Marks with CE what is ECN-capable.
    pub(crate) mark: u32,
    /// Packets cross as they would on an Ethernet; otherwise super-segments cross whole.
    pub(crate) cut: bool,
    pub(crate) mtu: u32,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(10),
            loss: 0,
            duplicate: 0,
            reorder: 0,
            corrupt: 0,
            mark: 0,
            cut: true,
            mtu: 1500,
        }
    }
}

pub(crate) struct Host {
    pub(crate) parts: Parts,
    pub(crate) tcp: Tcp,
}

/// Told who sends, the header and how many bytes of text follow.
pub(crate) type Lose = Box<dyn FnMut(usize, &Header, usize) -> bool>;

struct Transmission {
    to: usize,
    packet: Packet,
}

pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) hosts: [Host; 2],
    pub(crate) wire: Wire,
    flying: BTreeMap<(Instant, u64), Transmission>,
    sent: u64,
    rng: Rng,
    /// Every segment as it left: who sent it, its header, bytes of text.
    pub(crate) log: Vec<(usize, Header, usize)>,
    /// Takes a packet off the wire; counts packets from each side.
    pub(crate) lose: Lose,
    /// Every packet as it left, once this is there.
    pub(crate) packets: Option<Vec<(usize, Packet)>>,
    /// Bytes of each side's text that were marked.
    pub(crate) marked: [u64; 2],
}

impl Pair {
    pub(crate) fn new(wire: Wire) -> Self {
        Self::with(wire, Config::default(), 1)
    }

    pub(crate) fn with(wire: Wire, config: Config, seed: u8) -> Self {
        let host = |n: u8| {
            let mut parts = Parts::new(config.clone(), [seed ^ (n << 6); 32]);
            let tcp = Tcp::new(&config, &mut parts.rng);
            let capabilities = Capabilities {
                medium: Medium::Ip,
                mtu: wire.mtu,
                tx_checksum: true,
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
            Host { parts, tcp }
        };
        Self {
            now: Instant::from_millis(1000),
            hosts: [host(1), host(2)],
            wire,
            flying: BTreeMap::new(),
            sent: 0,
            rng: Rng::new([seed.wrapping_add(77); 32]),
            log: Vec::new(),
            lose: Box::new(|_, _, _| false),
            packets: None,
            marked: [0; 2],
        }
    }

    pub(crate) fn host(&mut self, n: usize) -> (&mut Tcp, Context<'_>) {
        let host = &mut self.hosts[n];
        (&mut host.tcp, host.parts.context(self.now))
    }

    /// A listener on B, and its port.
    pub(crate) fn listen(&mut self, port: u16) -> SocketId {
        let (tcp, mut cx) = self.host(B);
        let id = tcp.open(&mut cx, Domain::V6).unwrap();
        let any = SocketAddr::from(([0u16; 8], port));
        tcp.bind(&mut cx, id, any).unwrap();
        tcp.listen(&mut cx, id, 128).unwrap();
        id
    }

    /// A socket of A that is connecting to B.
    pub(crate) fn dial(&mut self, port: u16) -> SocketId {
        let (tcp, mut cx) = self.host(A);
        let id = tcp.open(&mut cx, Domain::V4).unwrap();
        let to = SocketAddr::from(([10, 0, 0, 2], port));
        assert_eq!(tcp.connect(&mut cx, id, to), Err(Error::InProgress));
        id
    }

    /// Both ends of a connection from A to B.
    pub(crate) fn connection(&mut self) -> (SocketId, SocketId) {
        let listener = self.listen(80);
        let a = self.dial(80);
        self.run_until(|pair| pair.state(A, a) == State::Established);
        let b = self.accept(listener).expect("a connection to accept");
        let (tcp, mut cx) = self.host(B);
        tcp.close(&mut cx, listener).unwrap();
        (a, b)
    }

    pub(crate) fn accept(&mut self, listener: SocketId) -> Option<SocketId> {
        for _ in 0..10_000 {
            let (tcp, mut cx) = self.host(B);
            match tcp.accept(&mut cx, listener) {
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
        let sockets = &self.hosts[n].tcp.sockets;
        sockets.get(id).map_or(State::Closed, |s| s.state())
    }

    pub(crate) fn send(&mut self, n: usize, id: SocketId, data: &[u8]) -> Result<usize, Error> {
        let (tcp, mut cx) = self.host(n);
        tcp.send(&mut cx, id, &[IoSlice::new(data)])
    }

    pub(crate) fn recv(&mut self, n: usize, id: SocketId) -> Result<Vec<u8>, Error> {
        let (tcp, mut cx) = self.host(n);
        let mut out = vec![0; 1 << 20];
        let len = tcp.recv(&mut cx, id, &mut out)?;
        out.truncate(len);
        Ok(out)
    }

    pub(crate) fn close(&mut self, n: usize, id: SocketId) {
        let (tcp, mut cx) = self.host(n);
        tcp.close(&mut cx, id).unwrap();
    }

    pub(crate) fn shutdown_write(&mut self, n: usize, id: SocketId) {
        let (tcp, mut cx) = self.host(n);
        tcp.shutdown(&mut cx, id, sockeye_core::Shutdown::Write)
            .unwrap();
    }

    /// Moves what the hosts have to send onto the wire.
    pub(crate) fn pump(&mut self) {
        for n in [A, B] {
            let now = self.now;
            let mut batch = Batch::new();
            loop {
                let host = &mut self.hosts[n];
                let mut cx = host.parts.context(now);
                let more = host.tcp.poll_transmit(&mut cx, LINK, 64);
                let before = batch.len();
                cx.inet.poll_transmit(LINK, &mut batch, usize::MAX);
                if !more || batch.len() == before {
                    break;
                }
            }
            for packet in batch {
                let mut cut = Batch::new();
                if self.wire.cut {
                    offload::to_wire(packet, Medium::Ip, &mut cut).unwrap();
                } else {
                    cut.push_back(packet);
                }
                cut.into_iter().for_each(|packet| self.put(n, packet));
            }
        }
    }

    fn put(&mut self, from: usize, mut packet: Packet) {
        let (header, text) = read(&packet);
        self.log.push((from, header, text));
        if let Some(packets) = &mut self.packets {
            packets.push((from, packet.clone()));
        }
        let chance = |rng: &mut Rng, n: u32| rng.below(1000) < n;
        if (self.lose)(from, &header, text) || chance(&mut self.rng, self.wire.loss) {
            return;
        }
        if chance(&mut self.rng, self.wire.mark) {
            let marked = mark(packet.head_mut());
            self.marked[from] += if marked { text as u64 } else { 0 };
        }
        if chance(&mut self.rng, self.wire.corrupt) {
            packet.linearize();
            let at = self.rng.below(packet.len() as u32) as usize;
            packet.head_mut()[at] ^= 1 << self.rng.below(8);
        }
        let copies = 1 + usize::from(chance(&mut self.rng, self.wire.duplicate));
        for _ in 0..copies {
            let mut at = self.now + self.wire.delay;
            if chance(&mut self.rng, self.wire.reorder) {
                at += self.wire.delay / 2;
            }
            self.sent += 1;
            let transmission = Transmission {
                to: 1 - from,
                packet: packet.clone(),
            };
            self.flying.insert((at, self.sent), transmission);
        }
    }

    /// Puts a packet on the wire that nobody has sent.
    pub(crate) fn inject(&mut self, to: usize, packet: Packet) {
        self.sent += 1;
        let at = self.now + self.wire.delay;
        let transmission = Transmission { to, packet };
        self.flying.insert((at, self.sent), transmission);
    }

    /// The next thing that happens: an arrival or a deadline. False when there is none.
    pub(crate) fn step(&mut self) -> bool {
        self.pump();
        let arrival = self.flying.first_key_value().map(|(&(at, _), _)| at);
        let timer = (0..2)
            .filter_map(|n| self.hosts[n].parts.timers.next())
            .min();
        let Some(next) = [arrival, timer].into_iter().flatten().min() else {
            return false;
        };
        self.now = self.now.max(next);
        while let Some(first) = self.flying.first_entry()
            && first.key().0 <= self.now
        {
            let Transmission { to, packet } = first.remove();
            let now = self.now;
            let host = &mut self.hosts[to];
            let mut cx = host.parts.context(now);
            if let Some((info, packet)) = iface::receive(&mut cx, LINK, packet)
                && info.protocol == sockeye_wire::IpProtocol::TCP
            {
                host.tcp.on_packet(&mut cx, &info, packet);
                host.tcp.on_batch_end(&mut cx);
            }
        }
        let now = self.now;
        for host in &mut self.hosts {
            while let Some(owner) = host.parts.timers.expire(now) {
                let mut cx = host.parts.context(now);
                match owner {
                    Owner::Socket(handle) => host.tcp.on_timeout(&mut cx, handle.id),
                    Owner::Interface(id) => iface::on_timeout(&mut cx, id),
                    Owner::Inet => inet::on_timeout(&mut cx),
                    Owner::Lease(_) => {}
                }
            }
        }
        self.pump();
        true
    }

    /// Runs until `done`.
    pub(crate) fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..5_000_000 {
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
            let arrival = self.flying.first_key_value().map(|(&(at, _), _)| at);
            let timer = (0..2)
                .filter_map(|n| self.hosts[n].parts.timers.next())
                .min();
            match [arrival, timer].into_iter().flatten().min() {
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

    /// Sends `data` from one side and reads it on the other, whole.
    pub(crate) fn transfer(&mut self, from: usize, ids: [SocketId; 2], data: &[u8]) -> Vec<u8> {
        let to = 1 - from;
        let (mut sent, mut got) = (0, Vec::new());
        for _ in 0..5_000_000 {
            while sent < data.len() {
                match self.send(from, ids[from], &data[sent..data.len().min(sent + 100_000)]) {
                    Ok(n) => sent += n,
                    Err(error) => {
                        assert_eq!(error, Error::WouldBlock, "at {}", self.now);
                        break;
                    }
                }
            }
            match self.recv(to, ids[to]) {
                Ok(bytes) => got.extend(bytes),
                Err(error) => assert_eq!(error, Error::WouldBlock, "at {}", self.now),
            }
            if got.len() >= data.len() {
                return got;
            }
            assert!(self.step(), "stuck with {} of {}", got.len(), data.len());
        }
        panic!("still not whole: {} of {}", got.len(), data.len());
    }

    pub(crate) fn ready(&self, n: usize, id: SocketId) -> Readiness {
        self.hosts[n].tcp.readiness(id).unwrap()
    }

    /// What is left of connections: sockets, flows, ports, timers.
    pub(crate) fn is_clean(&self, n: usize) -> bool {
        let tcp = &self.hosts[n].tcp;
        tcp.sockets.is_empty()
            && tcp.half_open == 0
            && tcp.time_wait == 0
            && tcp.orphans == 0
            && self.hosts[n].parts.memory.used() == 0
    }
}

/// The TCP header of an IP packet, and how many bytes of text follow it.
fn read(packet: &Packet) -> (Header, usize) {
    let bytes = packet.to_vec();
    let start = match bytes[0] >> 4 {
        4 => usize::from(bytes[0] & 0x0f) * 4,
        _ => 40,
    };
    let (_, offset) = Header::parse_fixed(&bytes[start..]).unwrap();
    let header = Header::parse(&bytes[start..]).unwrap();
    (header, bytes.len() - start - offset)
}

/// What a congested router does to the header of a packet that is ECN-capable (RFC 3168 §5). False for
/// another.
fn mark(header: &mut [u8]) -> bool {
    let ipv4 = header[0] >> 4 == 4;
    let class = if ipv4 {
        header[1]
    } else {
        header[0] << 4 | header[1] >> 4
    };
    match Ecn::of(class) {
        Ecn::NotEct => return false,
        _ if ipv4 => sockeye_wire::ipv4::set_ecn(header, Ecn::Ce),
        _ => sockeye_wire::ipv6::set_ecn(header, Ecn::Ce),
    }
    true
}
