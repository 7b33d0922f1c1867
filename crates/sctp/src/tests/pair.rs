//! A [`Pair`] of hosts with one or more wires between them: on wire n, A is 10.n.0.1 (fdn::1) and B
//! 10.n.0.2. A is the client, B the server.

use crate::{AssocId, Events, Incoming, Sctp, SndInfo, State, Style};
use core::time::Duration;
use sockeye_core::context::Parts;
use sockeye_core::socket::Domain;
use sockeye_core::{
    Capabilities, Config, Context, Error, InterfaceConfig, InterfaceId, Medium, Owner, Packet, Rng,
    SocketId, Transport, iface, inet,
};
use sockeye_link::{Batch, GsoKinds, Instant, offload};
use sockeye_wire::sctp::{Chunk, ChunkType, Chunks, HEADER_LEN};
use std::collections::BTreeMap;
use std::io::IoSlice;
use std::net::SocketAddr;

pub(crate) const A: usize = 0;
pub(crate) const B: usize = 1;
pub(crate) const PORT: u16 = 80;

/// What a wire does to packets: chances are in thousandths.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) delay: Duration,
    pub(crate) loss: u32,
    pub(crate) duplicate: u32,
    pub(crate) reorder: u32,
    pub(crate) corrupt: u32,
    pub(crate) mark: u32,
    pub(crate) mtu: u32,
    pub(crate) cut: bool,
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
            mtu: 1500,
            cut: false,
        }
    }
}

pub(crate) struct Host {
    pub(crate) parts: Parts,
    pub(crate) sctp: Sctp,
}

struct Transmission {
    to: usize,
    wire: usize,
    packet: Packet,
}

/// What left: who sent it, by which wire, its verification tag, its chunks' types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) from: usize,
    pub(crate) wire: usize,
    pub(crate) tag: u32,
    pub(crate) chunks: Vec<ChunkType>,
    /// All of it behind the IP header.
    pub(crate) bytes: Vec<u8>,
}

/// Told what leaves; true takes it off the wire.
pub(crate) type Lose = Box<dyn FnMut(&Sent) -> bool>;

pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) hosts: [Host; 2],
    pub(crate) wires: Vec<Wire>,
    flying: BTreeMap<(Instant, u64), Transmission>,
    count: u64,
    steps: u32,
    rng: Rng,
    pub(crate) log: Vec<Sent>,
    pub(crate) lose: Lose,
    /// Packets that arrive at one time arrive as one batch.
    pub(crate) batched: bool,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with(vec![Wire::default()], config(), 1)
    }

    pub(crate) fn with(wires: Vec<Wire>, config: Config, seed: u8) -> Self {
        let host = |n: u8| host(n, &wires, &config, [seed ^ (n << 6); 32]);
        Self {
            now: Instant::from_millis(1000),
            hosts: [host(1), host(2)],
            wires,
            flying: BTreeMap::new(),
            count: 0,
            steps: 0,
            rng: Rng::new([seed.wrapping_add(77); 32]),
            log: Vec::new(),
            lose: Box::new(|_| false),
            batched: false,
        }
    }

    /// The host forgets everything, as if it had been switched off and on.
    pub(crate) fn restart(&mut self, n: usize) {
        let number = u8::try_from(n + 1).unwrap();
        let seed = self.rng.bytes();
        self.hosts[n] = host(number, &self.wires, &config(), seed);
    }

    pub(crate) fn host(&mut self, n: usize) -> (&mut Sctp, Context<'_>) {
        let host = &mut self.hosts[n];
        (&mut host.sctp, host.parts.context(self.now))
    }

    pub(crate) fn open(&mut self, n: usize, style: Style) -> SocketId {
        let (sctp, mut cx) = self.host(n);
        sctp.open(&mut cx, Domain::V4, style).unwrap()
    }

    /// A one-to-one listener on B.
    pub(crate) fn listen(&mut self) -> SocketId {
        self.listen_as(Style::OneToOne)
    }

    pub(crate) fn listen_as(&mut self, style: Style) -> SocketId {
        let id = self.open(B, style);
        let (sctp, mut cx) = self.host(B);
        let any = SocketAddr::from(([0; 4], PORT));
        sctp.bind(&mut cx, id, any).unwrap();
        sctp.listen(&mut cx, id, 128).unwrap();
        id
    }

    /// A one-to-one socket of A that is connecting to B by the first wire.
    pub(crate) fn dial(&mut self) -> SocketId {
        let id = self.open(A, Style::OneToOne);
        self.connect(A, id);
        id
    }

    pub(crate) fn connect(&mut self, n: usize, id: SocketId) {
        let (sctp, mut cx) = self.host(n);
        let last = if n == A { 2 } else { 1 };
        let to = SocketAddr::from(([10, 0, 0, last], PORT));
        assert_eq!(sctp.connect(&mut cx, id, to), Err(Error::InProgress));
    }

    /// Both ends of an association from A to B.
    pub(crate) fn association(&mut self) -> (SocketId, SocketId) {
        let listener = self.listen();
        let a = self.dial();
        self.run_for(Duration::from_millis(100));
        let (sctp, mut cx) = self.host(B);
        let (b, _) = sctp.accept(&mut cx, listener).unwrap();
        sctp.close(&mut cx, listener).unwrap();
        assert_eq!(self.state(A, a), State::Established);
        assert_eq!(self.state(B, b), State::Established);
        (a, b)
    }

    /// Where the association of a one-to-one socket stands.
    pub(crate) fn state(&self, n: usize, id: SocketId) -> State {
        let sctp = &self.hosts[n].sctp;
        match sctp.status(id, AssocId::FUTURE) {
            Ok(status) => status.state,
            Err(_) => State::Closed,
        }
    }

    pub(crate) fn listen_to(&mut self, n: usize, id: SocketId, events: Events) {
        let (sctp, mut cx) = self.host(n);
        sctp.configure(&mut cx, id, AssocId::ALL, |settings| {
            settings.events = events
        })
        .unwrap();
    }

    pub(crate) fn send(&mut self, n: usize, id: SocketId, data: &[u8]) -> Result<usize, Error> {
        self.send_on(n, id, 0, data)
    }

    pub(crate) fn send_on(
        &mut self,
        n: usize,
        id: SocketId,
        stream: u16,
        data: &[u8],
    ) -> Result<usize, Error> {
        let (sctp, mut cx) = self.host(n);
        let info = SndInfo {
            stream,
            ..SndInfo::default()
        };
        sctp.send_msg(&mut cx, id, &[IoSlice::new(data)], None, &info)
    }

    pub(crate) fn incoming(
        &mut self,
        n: usize,
        id: SocketId,
    ) -> Result<(Incoming, Vec<u8>), Error> {
        let (sctp, mut cx) = self.host(n);
        let mut out = vec![0; 1 << 20];
        let incoming = sctp.recv_msg(&mut cx, id, &mut out, false)?;
        match incoming {
            Incoming::Message(received) => out.truncate(received.len),
            Incoming::Notification(_) | Incoming::End => out.clear(),
        }
        Ok((incoming, out))
    }

    /// The next message, whole.
    pub(crate) fn recv(&mut self, n: usize, id: SocketId) -> Result<Vec<u8>, Error> {
        let (incoming, data) = self.incoming(n, id)?;
        match incoming {
            Incoming::Message(received) => assert!(received.end_of_record),
            Incoming::End => assert!(data.is_empty()),
            Incoming::Notification(notice) => panic!("not a message: {notice:?}"),
        }
        Ok(data)
    }

    pub(crate) fn close(&mut self, n: usize, id: SocketId) {
        let (sctp, mut cx) = self.host(n);
        sctp.close(&mut cx, id).unwrap();
    }

    pub(crate) fn shutdown(&mut self, n: usize, id: SocketId) {
        let (sctp, mut cx) = self.host(n);
        sctp.shutdown(&mut cx, id, sockeye_core::Shutdown::Write)
            .unwrap();
    }

    /// Chunks of the log from `n`, one string a packet.
    pub(crate) fn trace(&self, from: usize) -> Vec<String> {
        self.log[from..]
            .iter()
            .map(|sent| {
                let who = if sent.from == A { ">" } else { "<" };
                let chunks: Vec<String> = sent.chunks.iter().map(ToString::to_string).collect();
                format!("{who} {}", chunks.join(", "))
            })
            .collect()
    }

    /// Moves what the hosts have to send onto the wires.
    pub(crate) fn flush(&mut self) {
        for from in [A, B] {
            for wire in 0..self.wires.len() {
                let link = interface(wire);
                let mut batch = Batch::new();
                loop {
                    let host = &mut self.hosts[from];
                    let mut cx = host.parts.context(self.now);
                    let more = host.sctp.poll_transmit(&mut cx, link, 64);
                    let left = host.parts.inet.poll_transmit(link, &mut batch, 64);
                    if !more && !left {
                        break;
                    }
                }
                for packet in batch {
                    self.launch(from, wire, packet);
                }
            }
        }
    }

    fn launch(&mut self, from: usize, wire: usize, packet: Packet) {
        let mut wired = Batch::new();
        offload::to_wire(packet, Medium::Ip, &mut wired).unwrap();
        for mut packet in wired {
            let sent = describe(from, wire, &packet);
            self.log.push(sent.clone());
            let Wire {
                delay,
                loss,
                duplicate,
                reorder,
                corrupt,
                mark,
                mtu,
                cut,
            } = self.wires[wire].clone();
            if (self.lose)(&sent) || cut || self.chance(loss) || packet.len() > mtu as usize {
                continue;
            }
            if self.chance(corrupt) {
                packet.linearize();
                let at = self.rng.below(packet.len() as u32 - 20) as usize + 20;
                packet.head_mut()[at] ^= 1 << self.rng.below(8);
            }
            if self.chance(mark) {
                mark_ce(&mut packet);
            }
            let copies = if self.chance(duplicate) { 2 } else { 1 };
            for _ in 0..copies {
                let extra = if self.chance(reorder) { 3 } else { 0 };
                let at = self.now + delay + delay * extra / 2;
                let packet = packet.clone();
                let to = 1 - from;
                self.flying
                    .insert((at, self.count), Transmission { to, wire, packet });
                self.count += 1;
            }
        }
    }

    fn chance(&mut self, thousandths: u32) -> bool {
        thousandths > 0 && self.rng.below(1000) < thousandths
    }

    /// Goes on to the next thing that happens; false when nothing will before `limit`.
    pub(crate) fn step(&mut self, limit: Instant) -> bool {
        self.flush();
        self.steps += 1;
        assert!(
            self.steps < 300_000,
            "never done, at {}: {:?}",
            self.now,
            self.trace(self.log.len() - 20)
        );
        let flying = self.flying.first_key_value().map(|((at, _), _)| *at);
        let timers = self
            .hosts
            .iter()
            .filter_map(|host| host.parts.timers.next());
        let Some(next) = timers.chain(flying).min().filter(|next| *next <= limit) else {
            return false;
        };
        self.now = self.now.max(next);
        while let Some(entry) = self.flying.first_entry()
            && entry.key().0 <= self.now
        {
            let Transmission { to, wire, packet } = entry.remove();
            self.deliver(to, wire, packet);
        }
        if self.batched {
            [A, B].into_iter().for_each(|n| self.end_batch(n));
        }
        for n in [A, B] {
            self.fire(n);
        }
        true
    }

    pub(crate) fn deliver(&mut self, to: usize, wire: usize, packet: Packet) {
        let host = &mut self.hosts[to];
        let mut cx = host.parts.context(self.now);
        if let Some((info, packet)) = iface::receive(&mut cx, interface(wire), packet) {
            host.sctp.on_packet(&mut cx, &info, packet);
        }
        if !self.batched {
            self.end_batch(to);
        }
    }

    fn end_batch(&mut self, n: usize) {
        let (sctp, mut cx) = self.host(n);
        sctp.on_batch_end(&mut cx);
    }

    fn fire(&mut self, n: usize) {
        let host = &mut self.hosts[n];
        let mut fired = 0;
        while let Some(owner) = host.parts.timers.expire(self.now) {
            fired += 1;
            assert!(fired < 1000, "timers that fire for ever");
            let mut cx = host.parts.context(self.now);
            match owner {
                Owner::Socket(handle) => host.sctp.on_timeout(&mut cx, handle.id),
                Owner::Interface(id) => iface::on_timeout(&mut cx, id),
                Owner::Inet => inet::on_timeout(&mut cx),
                Owner::Lease(_) => {}
            }
        }
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until `done`, an hour at most.
    pub(crate) fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.now + Duration::from_secs(3600);
        while !done(self) {
            assert!(self.step(end), "nothing happens any more");
        }
    }

    /// Hands a packet that nobody has sent to `to`, as if it came from the other side: the common
    /// header's tag, then chunks.
    pub(crate) fn inject(&mut self, to: usize, ports: (u16, u16), tag: u32, chunks: &[u8]) {
        self.inject_raw(to, 0, &packet(ports, tag, chunks));
    }

    pub(crate) fn inject_raw(&mut self, to: usize, wire: usize, bytes: &[u8]) {
        let (from, dest) = if to == B { (1, 2) } else { (2, 1) };
        let third = u8::try_from(wire).unwrap();
        let ip = sockeye_wire::ipv4::Header::new(
            [10, third, 0, from].into(),
            [10, third, 0, dest].into(),
            sockeye_wire::IpProtocol::SCTP,
            bytes.len() as u16,
        );
        let mut packet = Packet::from_slice(bytes);
        ip.emit(packet.push(20));
        self.deliver(to, wire, packet);
    }
}

/// A packet: the common header, then chunks.
pub(crate) fn packet(ports: (u16, u16), tag: u32, chunks: &[u8]) -> Vec<u8> {
    let header = sockeye_wire::sctp::Header {
        source_port: ports.0,
        destination_port: ports.1,
        verification_tag: tag,
        checksum: 0,
    };
    let mut bytes = Vec::new();
    header.begin(&mut bytes);
    bytes.extend_from_slice(chunks);
    sockeye_wire::sctp::set_checksum(&mut bytes);
    bytes
}

pub(crate) fn interface(wire: usize) -> InterfaceId {
    InterfaceId(u32::try_from(wire).unwrap() + 2)
}

/// All extensions on, which by default are off where Linux has them so.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.sctp.reconf_enable = true;
    config.sctp.auth_enable = true;
    config.sctp.addip_enable = true;
    config
}

fn host(n: u8, wires: &[Wire], config: &Config, seed: [u8; 32]) -> Host {
    let mut parts = Parts::new(config.clone(), seed);
    let sctp = Sctp::new(config, &mut parts.rng);
    for (wire, at) in wires.iter().zip(0..) {
        let capabilities = Capabilities {
            medium: Medium::Ip,
            mtu: wire.mtu,
            tx_checksum: true,
            gso: GsoKinds::ALL,
            gso_max: 65_535,
            queues: 1,
        };
        let mut link = InterfaceConfig::new(format!("test{at}"), capabilities);
        link.addresses = vec![format!("10.{at}.0.{n}/24").parse().unwrap()];
        let id = inet::add_interface(&mut parts.context(Instant::ZERO), link);
        assert_eq!(id, interface(at));
    }
    Host { parts, sctp }
}

fn describe(from: usize, wire: usize, packet: &Packet) -> Sent {
    let all = packet.to_vec();
    let header = usize::from(all[0] & 0xf) * 4;
    let bytes = all[header..].to_vec();
    let first = u16::from_be_bytes([all[6], all[7]]) & 0x1fff == 0;
    let chunks = match first && bytes.len() >= HEADER_LEN {
        true => Chunks::new(&bytes[HEADER_LEN..])
            .flatten()
            .map(|chunk: Chunk<'_>| chunk.kind)
            .collect(),
        false => Vec::new(),
    };
    let tag = match bytes.get(4..8) {
        Some(tag) => u32::from_be_bytes(tag.try_into().unwrap()),
        None => 0,
    };
    Sent {
        from,
        wire,
        tag,
        chunks,
        bytes,
    }
}

fn mark_ce(packet: &mut Packet) {
    packet.linearize();
    sockeye_wire::ipv4::set_ecn(packet.head_mut(), sockeye_wire::Ecn::Ce);
}
