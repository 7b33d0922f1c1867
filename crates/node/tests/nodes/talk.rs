//! Two nodes that talk with each other while somebody between them does what networks and enemies
//! do. Shared with the `fuzz/` crate.
//!
//! An input of bytes says everything: what the programs do, what becomes of each frame, what is
//! forged, how time passes. When it is used up, the network is a good one and all that is open is
//! brought to its end. What has to hold:
//! - nobody panics, and nobody sends without end at one moment;
//! - buffers, sockets and neighbours stay below their limits;
//! - as long as every change of a frame broke its checksum, each reader gets a prefix of what was
//!   written for it, and the end of the stream only after all of it; a connection that nobody
//!   reset delivers all;
//! - afterwards both nodes come to rest, without connections.

use crate::between::{Between, Input};
use sockeye_core::socket::Shutdown;
use sockeye_core::{
    Capabilities, Domain, Error, MacAddr, Medium, OptionValue, SocketId, SocketOption,
};
use sockeye_link::{Batch, GsoKinds};
use sockeye_node::{Config, Instant, InterfaceConfig, InterfaceId, Node, SendOptions};
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const LINK: InterfaceId = InterfaceId(2);
const TCP_PORT: u16 = 80;
const UDP_PORT: u16 = 53;
/// Each node's addresses.
const ADDRESSES: [[&str; 2]; 2] = [["10.0.0.1", "fd00::1"], ["10.0.0.2", "fd00::2"]];
/// Connections of one conversation.
const FLOWS_MAX: usize = 6;
/// Bytes written to one end of a connection.
const WRITTEN_MAX: u64 = 200_000;
/// What the buffer of a socket grows to.
const BUFFER_MAX: usize = 262_144;
const BACKLOG: usize = 8;
const NEIGHBOURS_MAX: usize = 64;
/// Sockets of a node: those of the connections and of what forgery makes of them, once more in
/// TIME-WAIT, half-open ones, and the few that stand.
const SOCKETS_MAX: usize = 4 * FLOWS_MAX + 4 * BACKLOG + 8;
/// Frames of one node at one moment, before it counts as never idle.
const FRAMES_MAX: usize = 5000;
/// Deadlines until everything has come to rest.
const DEADLINES_MAX: usize = 20_000;

/// Plays what `input` says.
pub(crate) fn play(input: &[u8]) {
    let mut input = Input::new(input);
    let mut talk = Talk::new([input.byte(), input.byte()]);
    while !input.is_empty() {
        talk.act(&mut input);
        talk.carry(&mut input);
        talk.check();
    }
    talk.finish();
    talk.rest();
}

/// A connection, as its programs see it. Index 0 is the end that connected.
struct Flow {
    /// Which node connected.
    client: usize,
    /// The client's address, by which the other end knows whom it accepted.
    from: SocketAddr,
    to: SocketAddr,
    connected: bool,
    ends: [End; 2],
}

#[derive(Default)]
struct End {
    socket: Option<SocketId>,
    written: u64,
    read: u64,
    /// It has closed its half.
    shut: bool,
    /// It has read the end of the stream.
    ended: bool,
    /// It failed, or was given up: what the other end gets is no longer sure.
    dead: bool,
}

struct Talk {
    nodes: [Node; 2],
    listeners: [SocketId; 2],
    udp: [SocketId; 2],
    ping: [SocketId; 2],
    now: Instant,
    between: Between,
    flows: Vec<Flow>,
}

/// The byte at `position` of what is written to end `end` of connection `flow`.
fn byte(flow: usize, end: usize, position: u64) -> u8 {
    (position % 251) as u8 ^ (flow * 2 + end) as u8
}

fn node(number: usize, settings: u8) -> Node {
    let on = |bit: u8| settings & (1 << bit) == 0;
    let buffers = if on(3) {
        (4096, 65_536, BUFFER_MAX)
    } else {
        (2048, 4096, 8192)
    };
    let config = Config {
        tcp_sack: on(0),
        tcp_timestamps: on(1),
        tcp_window_scaling: on(2),
        tcp_rmem: buffers,
        tcp_wmem: buffers,
        neighbours_max: NEIGHBOURS_MAX,
        ..Config::default()
    };
    let mut node = Node::new(config, [number as u8; 32]);
    let capabilities = Capabilities {
        medium: Medium::Ethernet(MacAddr([2, 0, 0, 0, 0, number as u8])),
        mtu: if on(4) { 1500 } else { 1280 },
        tx_checksum: false,
        gso: GsoKinds::NONE,
        gso_max: 0,
        queues: 1,
    };
    let mut config = InterfaceConfig::new("test0", capabilities);
    let prefix = [24, 64];
    config.addresses = (0..2)
        .map(|n| format!("{}/{}", ADDRESSES[number][n], prefix[n]))
        .map(|text| text.parse().expect("an address"))
        .collect();
    config.detect_duplicates = false;
    node.add_interface(Instant::ZERO, config);
    node
}

/// What has to wait is `None`.
fn may_wait<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(Error::WouldBlock | Error::InProgress | Error::Already) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Talk {
    fn new(settings: [u8; 2]) -> Self {
        let now = Instant::from_millis(1);
        let mut nodes = [node(0, settings[0]), node(1, settings[1])];
        let listeners = nodes.each_mut().map(|node| {
            let (tcp, mut cx) = node.tcp(now);
            let id = tcp.open(&mut cx, Domain::V6).expect("a socket");
            let any = SocketAddr::new("::".parse().expect("an address"), TCP_PORT);
            tcp.bind(&mut cx, id, any).expect("a free port");
            tcp.listen(&mut cx, id, BACKLOG).expect("a bound socket");
            id
        });
        let udp = nodes.each_mut().map(|node| {
            let (udp, mut cx) = node.udp(now);
            let id = udp.open(&mut cx, Domain::V6).expect("a socket");
            let any = SocketAddr::new("::".parse().expect("an address"), UDP_PORT);
            udp.bind(&mut cx, id, any).expect("a free port");
            id
        });
        let ping = nodes.each_mut().map(|node| {
            let (ping, mut cx) = node.ping(now);
            ping.open(&mut cx, Domain::V4).expect("a socket")
        });
        Self {
            nodes,
            listeners,
            udp,
            ping,
            now,
            between: Between::default(),
            flows: Vec::new(),
        }
    }

    /// One thing that a program, the time or an enemy does.
    fn act(&mut self, input: &mut Input<'_>) {
        let what = input.byte();
        let (kind, more) = (what & 15, usize::from(what >> 4));
        match kind {
            0 | 1 => self.open(more & 1, more >> 1 & 1),
            2 | 3 => {
                let len = u64::from(input.byte());
                self.on_end(more, |talk, flow, end| talk.write(flow, end, len * len));
            }
            4 => self.on_end(more, |talk, flow, end| talk.read(flow, end)),
            5 => self.read_all(),
            6 => self.on_end(more, Self::shut),
            7 => self.on_end(more, |talk, flow, end| talk.give_up(flow, end, false)),
            8 if more == 0 => {
                let flow = usize::from(input.byte());
                self.on_end(flow, |talk, flow, end| talk.give_up(flow, end, true));
            }
            8 | 9 => self.datagram(more & 1, more >> 1 & 1, usize::from(input.byte()) * 16),
            10 => self.ping(more & 1),
            11 => self.pass(Duration::from_millis(1 << more), input),
            12 => {
                let setting = input.byte();
                self.on_end(more, |talk, flow, end| talk.set(flow, end, setting));
            }
            13 => self.between.forge(more & 1, input),
            14 => self.between.replay(more & 1, input),
            _ => {}
        }
    }

    /// Does something with an end of a connection, if there is one.
    fn on_end(&mut self, which: usize, what: impl FnOnce(&mut Self, usize, usize)) {
        if let Some(flow) = (which >> 1).checked_rem(self.flows.len()) {
            what(self, flow, which & 1);
        }
    }

    /// The node and the socket of an end that is still there.
    fn end(&self, flow: usize, end: usize) -> Option<(usize, SocketId)> {
        let flow = &self.flows[flow];
        let live = flow.ends[end].socket.filter(|_| !flow.ends[end].dead);
        live.map(|socket| (flow.client ^ end, socket))
    }

    fn open(&mut self, client: usize, family: usize) {
        if self.flows.len() == FLOWS_MAX {
            return;
        }
        let (tcp, mut cx) = self.nodes[client].tcp(self.now);
        let domain = [Domain::V4, Domain::V6][family];
        let socket = tcp.open(&mut cx, domain).expect("a socket");
        let to: IpAddr = ADDRESSES[1 - client][family].parse().expect("an address");
        let to = SocketAddr::new(to, TCP_PORT);
        let begun = tcp.connect(&mut cx, socket, to);
        assert_eq!(begun, Err(Error::InProgress));
        let from = tcp.local_addr(socket).expect("an address");
        let mut ends = [End::default(), End::default()];
        ends[0].socket = Some(socket);
        self.flows.push(Flow {
            client,
            from,
            to,
            connected: false,
            ends,
        });
    }

    /// Connections that stand by now get their ends.
    fn welcome(&mut self) {
        for flow in &mut self.flows {
            let Some(socket) = flow.ends[0].socket.filter(|_| !flow.ends[0].dead) else {
                continue;
            };
            if !flow.connected {
                let (tcp, mut cx) = self.nodes[flow.client].tcp(self.now);
                match may_wait(tcp.connect(&mut cx, socket, flow.to)) {
                    Ok(Some(())) | Err(Error::IsConnected) => flow.connected = true,
                    Ok(None) => {}
                    Err(_) => flow.ends[0].dead = true,
                }
            }
        }
        for server in 0..2 {
            let intact = self.between.is_intact();
            let (tcp, mut cx) = self.nodes[server].tcp(self.now);
            while let Ok((socket, from)) = tcp.accept(&mut cx, self.listeners[server]) {
                // The listener is IPv6: an IPv4 address comes mapped.
                let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                let known = self.flows.iter_mut().find(|flow| {
                    flow.client != server && flow.from == from && flow.ends[1].socket.is_none()
                });
                assert!(!intact || known.is_some(), "{from} was accepted: nobody");
                match known {
                    Some(flow) if !flow.ends[1].dead => flow.ends[1].socket = Some(socket),
                    // Who wanted it is gone, or was a forger.
                    _ => tcp.close(&mut cx, socket).expect("a socket"),
                }
            }
        }
    }

    fn write(&mut self, flow: usize, end: usize, len: u64) {
        let Some((node, socket)) = self.end(flow, end) else {
            return;
        };
        let state = &mut self.flows[flow].ends[end];
        if state.shut {
            return;
        }
        let stop = WRITTEN_MAX.min(state.written + len);
        let data: Vec<u8> = (state.written..stop).map(|n| byte(flow, end, n)).collect();
        let (tcp, mut cx) = self.nodes[node].tcp(self.now);
        match may_wait(tcp.send(&mut cx, socket, &[IoSlice::new(&data)])) {
            Ok(sent) => state.written += sent.unwrap_or(0) as u64,
            // Not yet connected, or not any more: that shows elsewhere.
            Err(Error::NotConnected) => {}
            Err(_) => state.dead = true,
        }
    }

    fn read(&mut self, flow: usize, end: usize) {
        let intact = self.between.is_intact();
        let mut buffer = vec![0; 5000];
        while let Some((node, socket)) = self.end(flow, end) {
            let (tcp, mut cx) = self.nodes[node].tcp(self.now);
            let got = may_wait(tcp.recv(&mut cx, socket, &mut buffer));
            let [reader, writer] = match (&mut self.flows[flow].ends, end) {
                ([a, b], 0) => [a, b],
                ([a, b], _) => [b, a],
            };
            match got {
                Ok(None) | Err(Error::NotConnected) => return,
                Ok(Some(0)) => {
                    if intact && !writer.dead {
                        assert!(writer.shut, "the end of a stream that goes on");
                        assert_eq!(reader.read, writer.written, "the end comes too early");
                    }
                    reader.ended = true;
                    return;
                }
                Ok(Some(len)) => {
                    for got in &buffer[..len] {
                        let right = byte(flow, 1 - end, reader.read);
                        assert!(!intact || *got == right, "a wrong byte at {}", reader.read);
                        reader.read += 1;
                    }
                    let more = !intact || reader.read <= writer.written;
                    assert!(more, "bytes that nobody wrote");
                }
                Err(_) => reader.dead = true,
            }
        }
    }

    fn read_all(&mut self) {
        for flow in 0..self.flows.len() {
            self.read(flow, 0);
            self.read(flow, 1);
        }
        for node in 0..2 {
            let mut buffer = [0; 4096];
            let (udp, mut cx) = self.nodes[node].udp(self.now);
            while udp
                .recv(&mut cx, self.udp[node], &mut buffer, false)
                .is_ok()
            {}
            let (ping, mut cx) = self.nodes[node].ping(self.now);
            while ping
                .recv(&mut cx, self.ping[node], &mut buffer, false)
                .is_ok()
            {}
        }
    }

    fn shut(&mut self, flow: usize, end: usize) {
        let Some((node, socket)) = self.end(flow, end) else {
            return;
        };
        let (tcp, mut cx) = self.nodes[node].tcp(self.now);
        // Before it stands, shutdown would take the attempt back.
        if end == 0 && !self.flows[flow].connected {
            return;
        }
        let state = &mut self.flows[flow].ends[end];
        match tcp.shutdown(&mut cx, socket, Shutdown::Write) {
            Ok(()) => state.shut = true,
            Err(_) => state.dead = true,
        }
    }

    /// Closes an end, or resets it.
    fn give_up(&mut self, flow: usize, end: usize, reset: bool) {
        let state = &mut self.flows[flow].ends[end];
        let Some(socket) = state.socket.take() else {
            return;
        };
        state.dead = true;
        let node = self.flows[flow].client ^ end;
        let (tcp, mut cx) = self.nodes[node].tcp(self.now);
        if reset {
            tcp.abort(&mut cx, socket).expect("a socket");
        }
        tcp.close(&mut cx, socket).expect("a socket");
        // The accepting side may still get it: nobody is there for it.
        if end == 0 && self.flows[flow].ends[1].socket.is_none() {
            self.flows[flow].ends[1].dead = true;
        }
    }

    fn set(&mut self, flow: usize, end: usize, setting: u8) {
        let Some((node, socket)) = self.end(flow, end) else {
            return;
        };
        let (option, value) = match setting & 7 {
            0 => (SocketOption::NoDelay, OptionValue::Flag(true)),
            1 => (SocketOption::Cork, OptionValue::Flag(setting & 8 == 0)),
            2 => (SocketOption::KeepAlive, OptionValue::Flag(true)),
            3 => (SocketOption::ReceiveBuffer, OptionValue::Int(2000)),
            4 => (SocketOption::SendBuffer, OptionValue::Int(3000)),
            5 => (SocketOption::WindowClamp, OptionValue::Int(1000)),
            6 => (SocketOption::MaxSegment, OptionValue::Int(500)),
            _ => (SocketOption::QuickAck, OptionValue::Flag(setting & 8 == 0)),
        };
        let (tcp, mut cx) = self.nodes[node].tcp(self.now);
        // One that is too late is refused.
        let _ = tcp.set_option(&mut cx, socket, option, value);
    }

    fn datagram(&mut self, from: usize, family: usize, len: usize) {
        let to: IpAddr = ADDRESSES[1 - from][family].parse().expect("an address");
        // The socket is IPv6.
        let to = match to {
            IpAddr::V4(to) => IpAddr::V6(to.to_ipv6_mapped()),
            IpAddr::V6(_) => to,
        };
        let (udp, mut cx) = self.nodes[from].udp(self.now);
        let data = vec![7; len];
        let to = Some(SocketAddr::new(to, UDP_PORT));
        let options = SendOptions::default();
        // There may be no room, or an error that waited.
        let _ = udp.send(
            &mut cx,
            self.udp[from],
            &[IoSlice::new(&data)],
            to,
            &options,
        );
    }

    fn ping(&mut self, from: usize) {
        let to: IpAddr = ADDRESSES[1 - from][0].parse().expect("an address");
        let (ping, mut cx) = self.nodes[from].ping(self.now);
        let mut message = [0; 64];
        message[0] = 8;
        let to = Some(SocketAddr::new(to, 0));
        let options = SendOptions::default();
        // Likewise.
        let _ = ping.send(
            &mut cx,
            self.ping[from],
            &[IoSlice::new(&message)],
            to,
            &options,
        );
    }

    /// Frames cross, as long as there are any.
    fn carry(&mut self, input: &mut Input<'_>) {
        let mut frames = [0; 2];
        loop {
            let mut moved = false;
            for (from, frames) in frames.iter_mut().enumerate() {
                let mut batch = Batch::new();
                let more = self.nodes[from].poll_transmit(self.now, LINK, &mut batch, 16);
                *frames += batch.len();
                assert!(*frames < FRAMES_MAX, "node {from} sends without end");
                moved |= more || !batch.is_empty();
                for frame in &batch {
                    assert!(frame.len() <= 1514, "a frame larger than the link");
                }
                let mut arrived = self.between.pass(from, batch, input);
                moved |= !arrived.is_empty();
                self.nodes[1 - from].handle_batch(self.now, LINK, &mut arrived);
            }
            for node in &mut self.nodes {
                while node.poll_ready().is_some() {}
            }
            self.welcome();
            if !moved {
                return;
            }
        }
    }

    /// Time passes, deadline by deadline.
    fn pass(&mut self, time: Duration, input: &mut Input<'_>) {
        let end = self.now + time;
        self.between.let_go();
        while let Some(next) = self.nodes.iter().filter_map(Node::poll_timeout).min()
            && next <= end
        {
            self.timeout(next, input);
        }
        self.now = end;
    }

    fn timeout(&mut self, at: Instant, input: &mut Input<'_>) {
        self.now = at.max(self.now);
        for node in &mut self.nodes {
            if node.poll_timeout().is_some_and(|at| at <= self.now) {
                node.handle_timeout(self.now);
            }
        }
        self.carry(input);
    }

    /// Nothing has grown beyond its limit.
    fn check(&mut self) {
        for node in &self.nodes {
            assert!(node.neighbours().count() <= NEIGHBOURS_MAX);
            let sockets = node.sockets().len();
            assert!(sockets <= SOCKETS_MAX, "{sockets} sockets");
        }
        for flow in 0..self.flows.len() {
            for end in 0..2 {
                let Some((node, socket)) = self.end(flow, end) else {
                    continue;
                };
                let (tcp, _) = self.nodes[node].tcp(self.now);
                let (Ok(info), Ok(queued)) = (tcp.info(self.now, socket), tcp.queued(socket))
                else {
                    continue;
                };
                // An option may have lowered the limit since; none raises it above the node's.
                let held = info.readable as u64 + info.out_of_order;
                assert!(held <= BUFFER_MAX as u64, "{info:?}");
                let written = queued.unsent + queued.unacknowledged;
                assert!(written <= BUFFER_MAX, "{info:?} {queued:?}");
            }
        }
    }

    /// Over a good network everything that is open is read to its end.
    fn finish(&mut self) {
        let mut none = Input::new(&[]);
        self.between.let_go();
        for _ in 0..DEADLINES_MAX {
            self.carry(&mut none);
            for flow in 0..self.flows.len() {
                self.shut(flow, 0);
                self.shut(flow, 1);
            }
            self.read_all();
            self.carry(&mut none);
            let waits = self.flows.iter().any(|flow| {
                let [a, b] = &flow.ends;
                !(a.dead || b.dead || a.ended && b.ended)
            });
            let next = self.nodes.iter().filter_map(Node::poll_timeout).min();
            match next {
                Some(next) if waits => self.timeout(next, &mut none),
                _ => break,
            }
        }
        // What the last frames have brought, a reset say, is not read yet.
        self.read_all();
        for (number, flow) in self.flows.iter().enumerate() {
            let [a, b] = &flow.ends;
            if self.between.is_intact() && !a.dead && !b.dead {
                let done = a.ended && b.ended;
                assert!(done, "connection {number} was never read to its end");
            }
        }
    }

    /// All are closed, and time passes until nobody waits for anything.
    fn rest(&mut self) {
        let mut none = Input::new(&[]);
        for flow in 0..self.flows.len() {
            self.give_up(flow, 0, false);
            self.give_up(flow, 1, false);
        }
        for _ in 0..DEADLINES_MAX {
            self.carry(&mut none);
            let Some(next) = self.nodes.iter().filter_map(Node::poll_timeout).min() else {
                break;
            };
            self.timeout(next, &mut none);
        }
        for node in &self.nodes {
            assert!(node.poll_timeout().is_none(), "a node never comes to rest");
            // The listener, UDP and ping.
            let left = node.sockets();
            assert_eq!(left.len(), 3, "connections are left: {left:?}");
        }
    }
}
