//! Plays a script on a node.

mod calls;

use super::parse::{Action, Call, Moment, Returns, Script, Setting, Step};
use super::segment::{self, Base, NODE, Segment, text_byte};
use sockeye_core::socket::Domain;
use sockeye_core::{
    Batch, Capabilities, Config, Context, Error, Instant, InterfaceId, Medium, Packet, SocketId,
    SocketSummary, Transport,
};
use sockeye_link::GsoKinds;
use sockeye_node::{InterfaceConfig, Node};
use sockeye_tcp::{Info, Opened, State, Tcp};
use sockeye_wire::tcp::{self, Flags};
use sockeye_wire::{IpProtocol, SeqNum};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::IoSlice;
use std::net::SocketAddr;

/// The node's port.
const NODE_PORT: u16 = 80;
/// The peer's port, where a segment says no other.
const PEER_PORT: u16 = 4000;
/// The peer's initial sequence number: near the end, so that every script wraps around.
const PEER_ISS: SeqNum = SeqNum(u32::MAX - 100);
/// Turns of a node at one moment, before it counts as busy for ever.
const TURNS_MAX: usize = 10_000;

/// The step at which a node did something else than its script says.
#[derive(Debug)]
pub struct Failure {
    /// The script's line, from 1; one behind the last at the end.
    pub line: usize,
    /// The step.
    pub step: String,
    /// What happened instead.
    pub what: String,
    /// All segments until then, in the words of scripts.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "line {}: {}", self.line, self.step)?;
        writeln!(f, "  {}", self.what)?;
        writeln!(f, "  what went before:")?;
        self.trace.iter().try_for_each(|l| writeln!(f, "    {l}"))
    }
}

/// Plays `script` on a fresh node whose chance comes from `seed`.
///
/// # Errors
/// The node did something else than the script says.
pub fn play(script: &Script, seed: u64) -> Result<(), Failure> {
    let mut player = Player::new(&script.settings, seed);
    let mut done = 0;
    let mut result = Ok(());
    for step in &script.steps {
        result = player.step(step);
        if result.is_err() {
            break;
        }
        done += 1;
    }
    let result = result.and_then(|()| player.nothing_left());
    let (line, step) = script.steps.get(done).map_or_else(
        || (script.steps.last().map_or(1, |s| s.line + 1), "the end"),
        |step| (step.line, &step.text),
    );
    result.map_err(|what| Failure {
        line,
        step: step.to_owned(),
        what,
        trace: player.trace,
    })
}

/// A connection or listener of the script.
#[derive(Debug)]
struct Socket {
    id: SocketId,
    peer: Option<SocketAddr>,
    sent: u32,
    received: u32,
}

struct Player {
    node: Node,
    interface: InterfaceId,
    now: Instant,
    /// When the last step happened.
    last: Instant,
    /// What the node sent and no step has expected yet.
    outbox: VecDeque<Segment>,
    /// Packets of it that can't be read.
    broken: Option<String>,
    listener: Option<SocketId>,
    sockets: Vec<Socket>,
    current: usize,
    /// The numbers of each connection by the peer's port.
    bases: BTreeMap<u16, Base>,
    /// The last octet that the peer has said to be urgent, and what its pointers mean.
    urgent: u32,
    stdurg: bool,
    trace: Vec<String>,
}

impl Player {
    fn new(settings: &[Setting], seed: u64) -> Self {
        let mut config = Config {
            tcp_timestamps: false,
            tcp_window_scaling: false,
            tcp_sack: false,
            ..Config::default()
        };
        let mut mtu = 1500;
        for setting in settings {
            match *setting {
                Setting::Sysctl(ref name, ref value) => {
                    config
                        .set_sysctl(name, value)
                        .unwrap_or_else(|e| panic!("{e}"));
                }
                Setting::Timestamps(on) => config.tcp_timestamps = on,
                Setting::WindowScaling(on) => config.tcp_window_scaling = on,
                Setting::Sack(on) => config.tcp_sack = on,
                Setting::StdUrg(on) => config.tcp_stdurg = on,
                Setting::ReceiveBuffer(bytes) => config.tcp_rmem = (bytes, bytes, bytes),
                Setting::SendBuffer(bytes) => config.tcp_wmem = (bytes, bytes, bytes),
                Setting::Mtu(bytes) => mtu = bytes,
                Setting::TimeWait(time) => config.tcp_time_wait = time,
                Setting::FinTimeout(time) => config.tcp_fin_timeout = time,
                Setting::SynRetries(n) => config.tcp_syn_retries = n,
                Setting::SynAckRetries(n) => config.tcp_synack_retries = n,
                Setting::Retries2(n) => config.tcp_retries2 = n,
            }
        }
        let stdurg = config.tcp_stdurg;
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut node = Node::new(config, bytes);
        let link = Capabilities {
            medium: Medium::Ip,
            mtu,
            tx_checksum: false,
            gso: GsoKinds::NONE,
            gso_max: 0,
            queues: 1,
        };
        let net = ipnet::IpNet::new(NODE.into(), 24).expect("24 bits fit IPv4");
        let config = InterfaceConfig::new("link", link).with_address(net);
        let interface = node.add_interface(Instant::ZERO, config);
        Self {
            node,
            interface,
            now: Instant::ZERO,
            last: Instant::ZERO,
            outbox: VecDeque::new(),
            broken: None,
            listener: None,
            sockets: Vec::new(),
            current: 0,
            bases: BTreeMap::new(),
            urgent: 0,
            stdurg,
            trace: Vec::new(),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        let resolve = |moment| match moment {
            Moment::Absolute(time) => Instant::ZERO + time,
            Moment::After(time) => self.last + time,
        };
        let (from, to) = step.at.map_or((self.now, self.now), |(from, to)| {
            (resolve(from), resolve(to))
        });
        if to < self.now {
            return Err(format!("it is {} already", self.now));
        }
        if let Action::Expect(expected) = &step.action {
            return self.expect(expected, from, to);
        }
        self.nothing_left()?;
        self.advance(to)?;
        self.last = self.now;
        self.act(&step.action)?;
        self.settle()
    }

    fn expect(&mut self, expected: &Segment, from: Instant, to: Instant) -> Result<(), String> {
        self.advance(to)?;
        let Some(sent) = self.outbox.pop_front() else {
            self.fail_if_broken()?;
            return Err("the node sends nothing".into());
        };
        if self.now < from {
            return Err(format!("it comes too early, at {}", self.now));
        }
        self.last = self.now;
        if expected.allows(&sent) {
            return Ok(());
        }
        Err(format!("the node sends {sent}"))
    }

    fn fail_if_broken(&mut self) -> Result<(), String> {
        self.broken.take().map_or(Ok(()), Err)
    }

    fn nothing_left(&mut self) -> Result<(), String> {
        self.fail_if_broken()?;
        match self.outbox.front() {
            None => Ok(()),
            Some(sent) => Err(format!("the node sends what no step expects: {sent}")),
        }
    }

    /// Lets time pass until `to`, or until the node sends something.
    fn advance(&mut self, to: Instant) -> Result<(), String> {
        while self.outbox.is_empty() && self.now < to {
            let next = self.node.poll_timeout().unwrap_or(Instant::FAR);
            if next > to {
                self.now = to;
                break;
            }
            self.now = next.max(self.now);
            self.node.handle_timeout(self.now);
            self.settle()?;
        }
        Ok(())
    }

    /// Lets the node do all that it has to do now, and collects what it sends.
    fn settle(&mut self) -> Result<(), String> {
        for _ in 0..TURNS_MAX {
            let mut batch = Batch::new();
            let more = self
                .node
                .poll_transmit(self.now, self.interface, &mut batch, 64);
            let idle = batch.is_empty() && !more;
            batch.into_iter().for_each(|packet| self.collect(&packet));
            let due = self.node.poll_timeout().is_some_and(|at| at <= self.now);
            if due {
                self.node.handle_timeout(self.now);
            }
            if idle && !due {
                return self.fail_if_broken();
            }
        }
        Err("the node is never idle".into())
    }

    fn collect(&mut self, packet: &Packet) {
        let bases = &mut self.bases;
        let base = |header: &tcp::Header| {
            let base = bases
                .entry(header.destination_port)
                .or_insert_with(|| fresh_base(header.destination_port));
            base.node_port = header.source_port;
            if header.flags.contains(Flags::SYN) {
                base.node_iss = header.seq;
            }
            if let Some(timestamps) = header.options.timestamps {
                base.first_timestamp.get_or_insert(timestamps.tsval);
                base.node_timestamp = timestamps.tsval;
            }
            *base
        };
        match segment::read(&packet.to_vec(), base) {
            Ok(segment) => {
                self.trace.push(format!("at {} > {segment}", self.now));
                self.outbox.push_back(segment);
            }
            Err(what) => {
                self.trace.push(format!("at {} > {what}", self.now));
                self.broken = Some(format!("the node sends {what}"));
            }
        }
    }

    fn act(&mut self, action: &Action) -> Result<(), String> {
        match action {
            Action::Inject(segment) => {
                self.trace.push(format!("at {} < {segment}", self.now));
                self.note_urgent(segment);
                let port = segment.port.unwrap_or(PEER_PORT);
                let base = self.bases.entry(port).or_insert_with(|| fresh_base(port));
                let packet = Packet::from_vec(segment::emit(segment, base));
                self.node.handle_packet(self.now, self.interface, packet);
                Ok(())
            }
            &Action::TooBig { mtu, seq } => {
                self.trace
                    .push(format!("at {} < icmp too-big {mtu} seq {seq}", self.now));
                let base = self.bases.get(&PEER_PORT).ok_or("nothing was sent yet")?;
                let packet = Packet::from_vec(segment::too_big(mtu, seq, base));
                self.node.handle_packet(self.now, self.interface, packet);
                Ok(())
            }
            Action::Expect(_) | Action::Quiet => Ok(()),
            Action::Call(call, returns) => self.call(*call, returns),
            Action::State(name) => {
                let is = self.state()?;
                same("the state", &is, &name.as_str())
            }
            Action::PendingError(name) => {
                let id = self.socket()?.id;
                let (tcp, _) = self.tcp();
                let error = tcp.take_error(id).map_err(|e| e.to_string())?;
                let is = error.map_or("none", errno);
                same("the error", &is, &name.as_deref().unwrap_or("none"))
            }
            Action::Sockets(count) => {
                let (tcp, _) = self.tcp();
                same("the number of sockets", &tcp.sockets().len(), count)
            }
            Action::Ready(names) => {
                let id = self.socket()?.id;
                let (tcp, _) = self.tcp();
                let ready = tcp.readiness(id).map_err(|e| e.to_string())?;
                let is: Vec<String> = ready.iter_names().map(|(name, _)| name.into()).collect();
                same("the readiness", &is, names)
            }
            Action::Count(counter, count) => {
                same("the count", &self.node.counters().get(*counter), count)
            }
            Action::Window(bytes) => same("the window", &self.info()?.cwnd, bytes),
            Action::CaState(name) => {
                let state = self.info()?.ca_state;
                same("the sender's state", &state.name(), &name.as_str())
            }
        }
    }

    fn call(&mut self, call: Call, returns: &Returns) -> Result<(), String> {
        let result = self.do_call(call)?;
        match (result, returns) {
            (Ok(n), Returns::Number(wanted)) => same("the result", &n, wanted),
            (Err(error), Returns::Error(name)) => same("the error", &errno(error), &name.as_str()),
            (Ok(n), Returns::Error(_)) => Err(format!("it returns {n}")),
            (Err(error), _) => Err(format!("it returns {}", errno(error))),
            (Ok(n), Returns::Success) => match call {
                Call::Send(wanted)
                | Call::SendOob(wanted)
                | Call::Recv(wanted)
                | Call::Open(wanted, _) => same("the result", &n, &wanted),
                Call::RecvOob { .. } => same("the result", &n, &1),
                _ => Ok(()),
            },
        }
    }

    /// The state of the current connection. After `close` its handle is gone, and the connection
    /// is found by its addresses.
    fn state(&mut self) -> Result<&'static str, String> {
        let Socket { id, peer, .. } = *self.socket()?;
        let (tcp, _) = self.tcp();
        if let Ok(state) = tcp.state(id) {
            return Ok(state.name());
        }
        let ours = |summary: &SocketSummary| summary.remote == peer;
        let found = tcp.sockets().into_iter().find(ours);
        let state = found.and_then(|found| {
            let named = |state: &State| state.ss_name() == found.state;
            State::ALL.into_iter().find(named)
        });
        Ok(state.unwrap_or(State::Closed).name())
    }

    /// What TCP_INFO tells of the current connection.
    fn info(&mut self) -> Result<Info, String> {
        let (id, now) = (self.socket()?.id, self.now);
        let (tcp, _) = self.tcp();
        tcp.info(now, id).map_err(|e| e.to_string())
    }

    /// The call's own result; the outer one is a mistake of the script, or wrong bytes.
    fn do_call(&mut self, call: Call) -> Result<Result<usize, Error>, String> {
        let done = |result: Result<(), Error>| Ok(result.map(|()| 0));
        match call {
            Call::Listen(backlog) => {
                let result = self.listen(backlog);
                self.listener = result.ok();
                done(result.map(drop))
            }
            Call::Connect => done(self.connect()),
            Call::Open(len, port) => Ok(self.open(len, port)),
            Call::Accept => {
                let listener = self.listener.ok_or("nobody listens")?;
                let (tcp, mut cx) = self.tcp();
                let accepted = tcp.accept(&mut cx, listener);
                done(accepted.map(|(id, peer)| self.keep(id, peer)))
            }
            Call::Use(n) => {
                self.current = n;
                self.socket().map(|_| Ok(n))
            }
            Call::Send(len) => {
                let Socket { id, sent, .. } = *self.socket()?;
                let text: Vec<u8> = (sent + 1..).take(len).map(text_byte).collect();
                let (tcp, mut cx) = self.tcp();
                let result = tcp.send(&mut cx, id, &[IoSlice::new(&text)]);
                self.socket()?.sent += *result.as_ref().unwrap_or(&0) as u32;
                Ok(result)
            }
            Call::Recv(len) => self.recv(len),
            Call::Shutdown(how) => {
                let id = self.socket()?.id;
                let (tcp, mut cx) = self.tcp();
                done(tcp.shutdown(&mut cx, id, how))
            }
            Call::Close => {
                let id = self.socket()?.id;
                let (tcp, mut cx) = self.tcp();
                done(tcp.close(&mut cx, id))
            }
            Call::Abort => {
                let id = self.socket()?.id;
                let (tcp, mut cx) = self.tcp();
                done(tcp.abort(&mut cx, id))
            }
            Call::SendOob(_) | Call::RecvOob { .. } | Call::AtMark => self.urgent_call(call),
            Call::Set(switch, value) => self.set(switch, value),
        }
    }

    fn listen(&mut self, backlog: usize) -> Result<SocketId, Error> {
        let (tcp, mut cx) = self.tcp();
        let id = tcp.open(&mut cx, Domain::V4)?;
        tcp.bind(&mut cx, id, SocketAddr::from((NODE, NODE_PORT)))?;
        tcp.listen(&mut cx, id, backlog)?;
        Ok(id)
    }

    /// Starts to connect; that it is under way counts as success.
    fn connect(&mut self) -> Result<(), Error> {
        let (tcp, mut cx) = self.tcp();
        let id = tcp.open(&mut cx, Domain::V4)?;
        let peer = SocketAddr::from((segment::PEER, PEER_PORT));
        tcp.bind(&mut cx, id, SocketAddr::from((NODE, NODE_PORT)))?;
        let result = tcp.connect(&mut cx, id, peer);
        self.keep(id, peer);
        match result {
            Err(Error::InProgress) => Ok(()),
            result => result,
        }
    }

    /// Connects and sends at once. Each such connection has a port of the node's for itself.
    fn open(&mut self, len: usize, port: Option<u16>) -> Result<usize, Error> {
        let own = NODE_PORT + self.sockets.len() as u16;
        let peer = SocketAddr::from((segment::PEER, port.unwrap_or(PEER_PORT)));
        let text: Vec<u8> = (1..).take(len).map(text_byte).collect();
        let (tcp, mut cx) = self.tcp();
        let id = tcp.open(&mut cx, Domain::V4)?;
        tcp.bind(&mut cx, id, SocketAddr::from((NODE, own)))?;
        let opened = tcp.send_open(&mut cx, id, Some(peer), &[IoSlice::new(&text)], false);
        self.keep(id, peer);
        match opened? {
            Opened::Stands => Ok(0),
            Opened::Begun(taken) => {
                if let Some(socket) = self.sockets.last_mut() {
                    socket.sent = taken as u32;
                }
                Ok(taken)
            }
        }
    }

    fn recv(&mut self, len: usize) -> Result<Result<usize, Error>, String> {
        let Socket { id, received, .. } = *self.socket()?;
        let before = self.is_before_hole()?;
        let mut buffer = vec![0; len];
        let (tcp, mut cx) = self.tcp();
        let result = tcp.recv(&mut cx, id, &mut buffer);
        let count = *result.as_ref().unwrap_or(&0);
        let hole = before && (count > 0 || !self.is_before_hole()?);
        let received = received + u32::from(hole);
        for (seq, byte) in (received + 1..).zip(&buffer[..count]) {
            same(&format!("the byte at {seq}"), byte, &text_byte(seq))?;
        }
        self.socket()?.received = received + count as u32;
        Ok(result)
    }

    fn keep(&mut self, id: SocketId, peer: SocketAddr) {
        self.current = self.sockets.len();
        self.sockets.push(Socket {
            id,
            peer: Some(peer),
            sent: 0,
            received: 0,
        });
    }

    fn socket(&mut self) -> Result<&mut Socket, String> {
        let current = self.current;
        let socket = self.sockets.get_mut(current);
        socket.ok_or_else(|| format!("there is no connection {current}"))
    }

    fn tcp(&mut self) -> (&mut Tcp, Context<'_>) {
        let tcp = self.node.transport_mut(IpProtocol::TCP, self.now);
        tcp.expect("a node has TCP")
    }
}

fn fresh_base(peer_port: u16) -> Base {
    Base {
        node_port: NODE_PORT,
        peer_port,
        node_iss: SeqNum(0),
        peer_iss: PEER_ISS,
        first_timestamp: None,
        node_timestamp: 0,
    }
}

fn same<T: PartialEq + fmt::Debug>(what: &str, is: &T, wanted: &T) -> Result<(), String> {
    if is == wanted {
        return Ok(());
    }
    Err(format!("{what} is {is:?}"))
}

/// The name that scripts give an error: its errno's.
fn errno(error: Error) -> &'static str {
    match error {
        Error::WouldBlock => "EAGAIN",
        Error::InProgress => "EINPROGRESS",
        Error::Already => "EALREADY",
        Error::IsConnected => "EISCONN",
        Error::NotConnected => "ENOTCONN",
        Error::ConnectionRefused => "ECONNREFUSED",
        Error::ConnectionReset => "ECONNRESET",
        Error::ConnectionAborted => "ECONNABORTED",
        Error::BrokenPipe => "EPIPE",
        Error::TimedOut => "ETIMEDOUT",
        Error::HostUnreachable => "EHOSTUNREACH",
        Error::NetworkUnreachable => "ENETUNREACH",
        Error::AddressInUse => "EADDRINUSE",
        Error::AddressNotAvailable => "EADDRNOTAVAIL",
        Error::Invalid => "EINVAL",
        Error::BadSocket => "EBADF",
        Error::NoBufferSpace => "ENOBUFS",
        Error::NotSupported => "EOPNOTSUPP",
        _ => "another error",
    }
}
