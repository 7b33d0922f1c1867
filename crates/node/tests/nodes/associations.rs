//! Two nodes with two cables that talk over SCTP while somebody between them does what networks and
//! enemies do. Shared with the `fuzz/` crate.
//!
//! An input of bytes says what the programs do, what becomes of each packet (lost, doubled, held
//! back, a byte of it changed and its checksum made right again), and how time passes. When it is
//! used up, the network is a good one. What has to hold:
//! - nobody panics, and nobody sends without end at one moment;
//! - tables and queues stay below their limits;
//! - as long as no packet was changed, messages arrive as they were sent, within a stream each once
//!   and in order, and all of them unless an association was ended or lost;
//! - afterwards both nodes come to rest, without associations, though it may take their users to end
//!   one of which packets were changed.

use sockeye_core::{Capabilities, Domain, Error, Medium, SocketId};
use sockeye_link::{Batch, GsoKinds, Packet};
use sockeye_node::{Config, Instant, InterfaceConfig, InterfaceId, Node};
use sockeye_sctp::{Incoming, SndFlags, SndInfo, Style};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::time::Duration;

const PORT: u16 = 80;
const CABLES: usize = 2;
/// Packets of one node at one moment, before it counts as never idle.
const PACKETS_MAX: usize = 5000;
/// Deadlines until everything has come to rest.
const DEADLINES_MAX: usize = 50_000;
/// Deadlines after which the users of an association give it up that has been lied to: where the two
/// ends were told different first TSNs, nothing arrives, and heartbeats hold it for ever
/// (RFC 9260 §8.1: each that is answered begins the count of errors anew).
const PATIENCE: usize = 2_000;
/// Sockets and associations of a node.
const SOCKETS_MAX: usize = 64;

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

struct Talk {
    nodes: [Node; 2],
    /// One-to-many: they listen and they call.
    sockets: [SocketId; 2],
    now: Instant,
    /// Packets held back: to which node, by which cable.
    held: VecDeque<(usize, usize, Packet)>,
    /// A packet was changed: nobody can tell it from a true one.
    lied: bool,
    /// By node and stream: what was sent, what was heard.
    sent: [[u32; 4]; 2],
    heard: [[u32; 4]; 2],
    /// Something ended an association early: what was under way is lost.
    ended: bool,
}

fn node(number: u8) -> Node {
    let config = Config {
        sockets_max: SOCKETS_MAX,
        ..Config::default()
    };
    let mut node = Node::new(config, [number; 32]);
    for cable in 0..CABLES {
        let capabilities = Capabilities {
            medium: Medium::Ip,
            mtu: 1500,
            tx_checksum: false,
            gso: GsoKinds::NONE,
            gso_max: 0,
            queues: 1,
        };
        let mut config = InterfaceConfig::new(format!("test{cable}"), capabilities);
        let address = format!("10.{cable}.0.{number}/24");
        config.addresses = vec![address.parse().expect("an address")];
        config.detect_duplicates = false;
        node.add_interface(Instant::ZERO, config);
    }
    node
}

fn link(cable: usize) -> InterfaceId {
    InterfaceId(cable as u32 + 2)
}

impl Talk {
    fn new() -> Self {
        let now = Instant::from_millis(1);
        let mut nodes = [node(1), node(2)];
        let sockets = nodes.each_mut().map(|node| {
            let (sctp, mut cx) = node.sctp(now);
            let id = sctp
                .open(&mut cx, Domain::V4, Style::OneToMany)
                .expect("a socket");
            let any = SocketAddr::from(([0; 4], PORT));
            sctp.bind(&mut cx, id, any).expect("a free port");
            sctp.listen(&mut cx, id, 8).expect("a bound socket");
            id
        });
        Self {
            nodes,
            sockets,
            now,
            held: VecDeque::new(),
            lied: false,
            sent: [[0; 4]; 2],
            heard: [[0; 4]; 2],
            ended: false,
        }
    }

    fn act(&mut self, input: &mut Input<'_>) {
        let what = input.byte();
        let n = usize::from(what >> 7);
        match what & 15 {
            0..=7 => self.send(
                n,
                usize::from(what >> 4 & 3),
                usize::from(input.byte()) * 20 + 8,
            ),
            8 => self.end(n, SndFlags::EOF),
            9 if what & 0x70 == 0 => self.end(n, SndFlags::ABORT),
            10..=12 => self.pass(Duration::from_millis(1 << (what >> 4 & 7))),
            13 => self.pass(Duration::from_secs(u64::from(input.byte()))),
            _ => {}
        }
    }

    fn send(&mut self, n: usize, stream: usize, len: usize) {
        let number = self.sent[n][stream];
        let mut data = number.to_be_bytes().to_vec();
        data.resize(len, stream as u8);
        let info = SndInfo {
            stream: stream as u16,
            ..SndInfo::default()
        };
        let to = SocketAddr::from(([10, 0, 0, 2 - n as u8], PORT));
        let (sctp, mut cx) = self.nodes[n].sctp(self.now);
        let data = [IoSlice::new(&data)];
        match sctp.send_msg(&mut cx, self.sockets[n], &data, Some(to), &info) {
            Ok(_) => self.sent[n][stream] += 1,
            Err(Error::WouldBlock | Error::BrokenPipe | Error::TooManySockets) => {}
            // The peer may have said that it takes fewer streams, when somebody lied for it.
            Err(Error::Invalid) if self.lied => {}
            Err(error) => panic!("sending fails: {error}"),
        }
    }

    fn end(&mut self, n: usize, flags: SndFlags) {
        let (sctp, mut cx) = self.nodes[n].sctp(self.now);
        for assoc in sctp.associations(self.sockets[n]).expect("a socket") {
            let info = SndInfo {
                flags,
                assoc,
                ..SndInfo::default()
            };
            // One that is ending already says so.
            let _ = sctp.send_msg(&mut cx, self.sockets[n], &[], None, &info);
            self.ended = true;
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        for node in &mut self.nodes {
            node.handle_timeout(self.now);
        }
        self.note_losses();
    }

    /// An association that is gone has taken with it what was not delivered.
    fn note_losses(&mut self) {
        for n in 0..2 {
            let (sctp, _) = self.nodes[n].sctp(self.now);
            let none = sctp
                .associations(self.sockets[n])
                .is_ok_and(|all| all.is_empty());
            self.ended |= none && self.heard[1 - n] != self.sent[n];
        }
    }

    /// What the nodes have to send crosses, as the input will have it.
    fn carry(&mut self, input: &mut Input<'_>) {
        for _ in 0..2 {
            for from in 0..2 {
                for cable in 0..CABLES {
                    let mut batch = Batch::new();
                    while self.nodes[from].poll_transmit(self.now, link(cable), &mut batch, 64) {
                        assert!(batch.len() < PACKETS_MAX, "a node that never stops sending");
                    }
                    for packet in batch {
                        self.decide(1 - from, cable, packet, input);
                    }
                }
            }
        }
    }

    fn decide(&mut self, to: usize, cable: usize, packet: Packet, input: &mut Input<'_>) {
        match input.byte() {
            0xc0..=0xcf => {}
            0xd0..=0xd7 => {
                self.deliver(to, cable, packet.clone());
                self.deliver(to, cable, packet);
            }
            0xd8..=0xe7 => self.held.push_back((to, cable, packet)),
            0xe8..=0xef => {
                if let Some((to, cable, packet)) = self.held.pop_front() {
                    self.deliver(to, cable, packet);
                }
                self.deliver(to, cable, packet);
            }
            0xf0.. => {
                self.lied = true;
                let changed = change(&packet, input);
                self.deliver(to, cable, changed);
            }
            _ => self.deliver(to, cable, packet),
        }
    }

    fn deliver(&mut self, to: usize, cable: usize, packet: Packet) {
        self.nodes[to].handle_packet(self.now, link(cable), packet);
    }

    /// Reads what has come, and judges it.
    fn read(&mut self) {
        for n in 0..2 {
            let mut buffer = vec![0; 8192];
            loop {
                let (sctp, mut cx) = self.nodes[n].sctp(self.now);
                let Ok(incoming) = sctp.recv_msg(&mut cx, self.sockets[n], &mut buffer, false)
                else {
                    break;
                };
                let Incoming::Message(received) = incoming else {
                    panic!("a notification that nobody asked for");
                };
                if self.lied {
                    continue;
                }
                let stream = usize::from(received.info.stream);
                let number = u32::from_be_bytes(buffer[..4].try_into().expect("four bytes"));
                assert!(
                    buffer[4..received.len]
                        .iter()
                        .all(|&b| usize::from(b) == stream)
                );
                let heard = &mut self.heard[n][stream];
                // An association that was lost takes messages with it.
                assert!(
                    number >= *heard,
                    "stream {stream}: {number} where {heard} is due"
                );
                *heard = number + 1;
            }
            let node = &self.nodes[n];
            assert!(node.sockets().len() <= SOCKETS_MAX + 1);
        }
        self.note_losses();
    }

    /// The network is a good one; everything is brought to its end.
    fn finish(&mut self) {
        let mut good = Input(&[]);
        while let Some((to, cable, packet)) = self.held.pop_front() {
            self.deliver(to, cable, packet);
        }
        let mut closing = false;
        for deadline in 0..DEADLINES_MAX {
            if self.lied && deadline == PATIENCE {
                self.end(0, SndFlags::ABORT);
                self.end(1, SndFlags::ABORT);
            }
            for _ in 0..64 {
                self.carry(&mut good);
            }
            self.read();
            let all = |talk: &mut Self, n: usize| {
                let (sctp, _) = talk.nodes[n].sctp(talk.now);
                sctp.associations(talk.sockets[n]).expect("a socket").len()
            };
            let left = all(self, 0) + all(self, 1);
            let delivered =
                self.lied || self.ended || left == 0 || self.heard == [self.sent[1], self.sent[0]];
            if left == 0 && (closing || delivered) {
                return;
            }
            if delivered && !closing {
                closing = true;
                self.end(0, SndFlags::EOF);
                self.end(1, SndFlags::EOF);
                continue;
            }
            let timers = self.nodes.iter().filter_map(Node::poll_timeout).min();
            let Some(next) = timers else {
                panic!("nothing happens any more: {:?} {:?}", self.sent, self.heard);
            };
            self.now = self.now.max(next);
            self.pass(Duration::ZERO);
        }
        panic!("never at rest");
    }
}

/// One byte behind the IP header is another, and the checksum right again.
fn change(packet: &Packet, input: &mut Input<'_>) -> Packet {
    let mut bytes = packet.to_vec();
    let header = usize::from(bytes[0] & 0xf) * 4;
    let Some(len) = bytes.len().checked_sub(header + 12).filter(|len| *len > 0) else {
        return Packet::from_vec(bytes);
    };
    let at = (usize::from(input.byte()) | usize::from(input.byte() & 3) << 8) % len;
    bytes[header + 12 + at] = input.byte();
    sockeye_wire::sctp::set_checksum(&mut bytes[header..]);
    Packet::from_vec(bytes)
}
