//! What the tests of SCTP's extensions are played on: a node, one association with another stack that
//! obeys words (`sctp_peer.c`), and all the chunks that cross the node's links.

use crate::uml::node_shaped;
use sockeye::drivers::Tun;
use sockeye::drivers::netem::{Netem, NetemConfig};
use sockeye::link::{Batch, Capabilities, Instant as LinkInstant, Link, Packet};
use sockeye::sctp::{AssocId, Events, Incoming, Notification, SctpListener, SndInfo};
use sockeye::{Domain, MessageFlags, Node, Protocol, Socket, Type};
use sockeye_tests::{
    Conversation, Guest, Program, Result, TempDir, Uml, bridge, check, compiled, fail,
};
use sockeye_wire::sctp::{ChunkType, Chunks, HEADER_LEN};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/sctp_peer.c");
const HEADER: &str = "/usr/include/usrsctp.h";
const PORT: u16 = 5001;
/// With a message's number: nobody else's payload protocol identifier, whose format tshark would look for.
const PPID: u32 = 0x7000_0000;
/// Addresses of the peer and of the node on each bridge.
pub(crate) const PEER: [&str; 2] = ["192.0.2.1", "198.51.100.1"];
pub(crate) const OURS: [&str; 2] = ["192.0.2.2", "198.51.100.2"];
/// How many chunks are shown where a test fails.
const LAST: usize = 30;
/// How long a guest lives: less than the test, which shows what it said.
const PEER_LIMIT: Duration = Duration::from_secs(100);
/// How long a read waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// Timers of associations that fit a test, for a node or Linux, and for usrsctp.
pub(crate) const HASTE: &str =
    "net.sctp.rto_min=100 net.sctp.rto_initial=200 net.sctp.rto_max=400 net.sctp.hb_interval=500";
const USRSCTP_HASTE: &str = "rto_min=100 rto_initial=200 rto_max=400 heartbeat=500";

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stack {
    /// Linux 6.1 as a process; the node connects to it.
    Linux,
    /// usrsctp on the host's side; it connects to the node.
    Usrsctp,
}

impl Stack {
    /// Why there is none on this machine, if so.
    pub(crate) fn missing(self) -> Option<String> {
        if !sockeye_tests::have("cc") {
            return Some("there is no cc on this machine".into());
        }
        match self {
            Self::Linux => Uml::missing(),
            Self::Usrsctp if Path::new(HEADER).exists() => None,
            Self::Usrsctp => Some(format!("there is no {HEADER} (Debian's libusrsctp-dev)")),
        }
    }

    fn compile(self, dir: &TempDir) -> Result<PathBuf> {
        let (flags, libraries) = match self {
            Self::Linux => (&["-O1"][..], &["-lpthread"][..]),
            Self::Usrsctp => (&["-O1", "-DUSRSCTP"][..], &["-lusrsctp", "-lpthread"][..]),
        };
        compiled(SOURCE, "peer", dir, flags, libraries)
    }
}

/// How a stage is set.
pub(crate) struct Scene<'a> {
    /// Sysctls of the node.
    pub(crate) ours: &'a str,
    /// Sysctls of Linux.
    pub(crate) linux: &'a str,
    /// Settings of usrsctp.
    pub(crate) usrsctp: &'a str,
    /// Timers are cut short at both ends.
    pub(crate) haste: bool,
    /// Links between the two.
    pub(crate) bridges: usize,
    /// How many of its addresses each end begins with.
    pub(crate) bound: usize,
    /// What netem does both ways, in its words.
    pub(crate) netem: &'a str,
    /// What the peer is told before there is an association.
    pub(crate) before: &'a [&'a str],
    /// What is done to the node, and to the socket, before there is an association.
    pub(crate) prepare: fn(&Socket) -> Result<()>,
    pub(crate) node: fn(&Node) -> Result<()>,
}

impl Default for Scene<'_> {
    fn default() -> Self {
        Self {
            ours: "",
            linux: "",
            usrsctp: "",
            haste: false,
            bridges: 1,
            bound: 1,
            netem: "",
            before: &[],
            prepare: |_| Ok(()),
            node: |_| Ok(()),
        }
    }
}

/// The other end.
pub(crate) enum Peer {
    Linux(Guest),
    Usrsctp(Conversation),
}

impl Peer {
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        match self {
            Self::Linux(guest) => guest.say(line),
            Self::Usrsctp(program) => program.say(line),
        }
    }

    pub(crate) fn wait_for(&mut self, text: &str) -> Result<String> {
        match self {
            Self::Linux(guest) => guest.wait_for(text),
            Self::Usrsctp(program) => program.wait_for(text),
        }
    }

    fn said(&mut self) -> Vec<String> {
        match self {
            Self::Linux(guest) => guest.said(),
            Self::Usrsctp(program) => program.said(),
        }
    }

    /// Waits for a message of that number, and returns all that was said up to it of messages.
    pub(crate) fn messages_until(&mut self, number: u32) -> Result<Vec<Message>> {
        let mut all = Vec::new();
        loop {
            let line = self.wait_for("got ")?;
            let message = Message::read(&line)?;
            all.push(message);
            if message.number == number {
                return Ok(all);
            }
        }
    }
}

/// A message that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) stream: u16,
    pub(crate) ssn: u16,
    pub(crate) number: u32,
    pub(crate) len: usize,
    pub(crate) unordered: bool,
}

impl Message {
    fn read(line: &str) -> Result<Self> {
        let at = line.find("got ").ok_or("no message")?;
        let words: Vec<&str> = line[at..].split_whitespace().collect();
        check!(!words.contains(&"bad"), "other bytes: {line}");
        let number = |at: usize| -> Result<u32> { Ok(words.get(at).ok_or("cut short")?.parse()?) };
        Ok(Self {
            stream: number(1)? as u16,
            ssn: number(2)? as u16,
            number: number(3)?,
            len: number(4)? as usize,
            unordered: words.contains(&"unordered"),
        })
    }
}

/// What the node reads.
#[derive(Debug)]
pub(crate) enum Told {
    Message(Message),
    Notice(Notification),
    End,
}

/// A chunk that crossed a link.
#[derive(Clone, Debug)]
pub(crate) struct Crossed {
    pub(crate) ours: bool,
    pub(crate) at: Instant,
    pub(crate) kind: ChunkType,
    pub(crate) flags: u8,
    /// Of DATA and I-DATA.
    pub(crate) stream: Option<u16>,
    /// The packet's checksum field.
    pub(crate) checksum: u32,
    /// The chunk stood in UDP.
    pub(crate) in_udp: bool,
}

/// All chunks that crossed the node's links: as the node sent them, and as they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<Crossed>>>);

impl Seen {
    pub(crate) fn all(&self) -> Vec<Crossed> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many chunks of this kind the node, or the peer, has sent.
    pub(crate) fn count(&self, ours: bool, kind: ChunkType) -> usize {
        let all = self.all();
        all.iter()
            .filter(|crossed| crossed.ours == ours && crossed.kind == kind)
            .count()
    }

    /// Fails unless both sides have sent such chunks.
    pub(crate) fn both(&self, kind: ChunkType) -> Result<()> {
        for (ours, who) in [(true, "the node"), (false, "the peer")] {
            check!(self.count(ours, kind) > 0, "{who} has sent no {kind}");
        }
        Ok(())
    }

    fn note(&self, ours: bool, packet: &Packet) {
        let bytes = packet.to_vec();
        let Some(sctp) = sctp_of(&bytes) else {
            return;
        };
        let (sctp, in_udp) = sctp;
        let Some((header, chunks)) = sctp.split_at_checked(HEADER_LEN) else {
            return;
        };
        let checksum = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in Chunks::new(chunks).flatten() {
            let data = matches!(chunk.kind, ChunkType::DATA | ChunkType::I_DATA);
            let stream = chunk.bytes.get(8..10).filter(|_| data);
            all.push(Crossed {
                ours,
                at: Instant::now(),
                kind: chunk.kind,
                flags: chunk.flags,
                stream: stream.map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]])),
                checksum,
                in_udp,
            });
        }
    }
}

/// What of an Ethernet frame with IPv4 is SCTP's, and whether it stands in UDP.
fn sctp_of(frame: &[u8]) -> Option<(&[u8], bool)> {
    let (ethernet, ip) = frame.split_at_checked(14)?;
    if ethernet[12..] != [8, 0] {
        return None;
    }
    let header_len = usize::from(ip.first()? & 15) * 4;
    let len = usize::from(u16::from_be_bytes([*ip.get(2)?, *ip.get(3)?]));
    let payload = ip.get(header_len..len)?;
    match ip.get(9)? {
        132 => Some((payload, false)),
        17 => Some((payload.get(8..)?, true)),
        _ => None,
    }
}

/// A link whose chunks are seen.
struct Watched<L> {
    link: L,
    seen: Seen,
}

impl<L: Link> Link for Watched<L> {
    fn capabilities(&self) -> Capabilities {
        self.link.capabilities()
    }

    fn recv_batch(&mut self, now: LinkInstant, rx: &mut Batch, max: usize) -> io::Result<usize> {
        let before = rx.len();
        let count = self.link.recv_batch(now, rx, max)?;
        rx.iter()
            .skip(before)
            .for_each(|packet| self.seen.note(false, packet));
        Ok(count)
    }

    fn send_batch(&mut self, now: LinkInstant, tx: &mut Batch) -> io::Result<usize> {
        // What the link does not take now is offered again: netem takes all.
        tx.iter().for_each(|packet| self.seen.note(true, packet));
        let offered = tx.len();
        let taken = self.link.send_batch(now, tx)?;
        match taken == offered {
            true => Ok(taken),
            false => Err(io::Error::other("a link that is watched takes all")),
        }
    }

    fn deadline(&self) -> Option<LinkInstant> {
        self.link.deadline()
    }

    fn has_room(&self) -> bool {
        self.link.has_room()
    }

    fn as_raw_fd(&self) -> Option<std::os::fd::RawFd> {
        self.link.as_raw_fd()
    }
}

/// A node and its peer, in the middle of an association.
pub(crate) struct Stage {
    _node: Node,
    pub(crate) socket: Socket,
    pub(crate) peer: Peer,
    pub(crate) seen: Seen,
    /// Messages of which a part has come, by stream.
    parts: Vec<Vec<u8>>,
    _dir: TempDir,
}

impl Stage {
    pub(crate) fn set(stack: Stack, scene: &Scene<'_>) -> Result<Self> {
        let dir = TempDir::new()?;
        let program = stack.compile(&dir)?;
        let seen = Seen::default();
        let node = node_of(scene, &seen)?;
        (scene.node)(&node)?;
        let mut peer = match stack {
            Stack::Linux => linux(scene, &program)?,
            Stack::Usrsctp => usrsctp(scene, &program)?,
        };
        peer.wait_for("ready")?;
        for line in scene.before {
            peer.say(line)?;
        }
        let socket = match stack {
            Stack::Linux => connect(&node, scene, &mut peer)?,
            Stack::Usrsctp => accept(&node, scene, &mut peer)?,
        };
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            _node: node,
            socket,
            peer,
            seen,
            parts: Vec::new(),
            _dir: dir,
        })
    }

    /// Another node and another peer in the place of these.
    pub(crate) fn again(self, stack: Stack, scene: &Scene<'_>) -> Result<Self> {
        drop(self);
        for n in 0..scene.bridges {
            crate::uml::ip(&format!("link delete br{n}"))?;
        }
        Self::set(stack, scene)
    }

    /// Sends messages of these numbers, so long each.
    pub(crate) fn send(
        &self,
        numbers: std::ops::Range<u32>,
        len: usize,
        info: SndInfo,
    ) -> Result<()> {
        for number in numbers {
            let info = SndInfo {
                ppid: PPID | number,
                ..info
            };
            let bytes: Vec<u8> = (0..len).map(|at| (number as usize + at) as u8).collect();
            let slices = [IoSlice::new(&bytes)];
            let none = MessageFlags::empty();
            let sent = self.socket.send_msg(&slices, None, &info, none)?;
            check!(sent == len, "of message {number} {sent} bytes are taken");
        }
        Ok(())
    }

    pub(crate) fn read(&mut self) -> Result<Told> {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let none = MessageFlags::empty();
            let received = match self.socket.recv_msg(&mut buffer, none)? {
                Incoming::Notification(notice) => return Ok(Told::Notice(notice)),
                Incoming::End => return Ok(Told::End),
                Incoming::Message(received) => received,
            };
            let info = received.info;
            let stream = usize::from(info.stream);
            if self.parts.len() <= stream {
                self.parts.resize(stream + 1, Vec::new());
            }
            self.parts[stream].extend_from_slice(&buffer[..received.len]);
            if !received.end_of_record {
                continue;
            }
            let bytes = std::mem::take(&mut self.parts[stream]);
            let first = info.ppid as usize;
            let good = (first..)
                .zip(&bytes)
                .all(|(expected, byte)| *byte == expected as u8);
            check!(good, "message {first}: other bytes");
            return Ok(Told::Message(Message {
                stream: info.stream,
                ssn: info.ssn,
                number: info.ppid & !PPID,
                len: bytes.len(),
                unordered: info.unordered,
            }));
        }
    }

    /// Reads up to the message of that number; notices on the way are let go.
    pub(crate) fn messages_until(&mut self, number: u32) -> Result<Vec<Message>> {
        let mut all = Vec::new();
        loop {
            match self.read()? {
                Told::Message(message) => all.push(message),
                Told::Notice(_) => continue,
                Told::End => fail!("it ended after {all:?}"),
            }
            if all.last().is_some_and(|last| last.number == number) {
                return Ok(all);
            }
        }
    }

    /// Reads up to such a notice.
    pub(crate) fn notice(&mut self, what: &str, is: impl Fn(&Notification) -> bool) -> Result<()> {
        let mut others = Vec::new();
        loop {
            match self.read() {
                Ok(Told::Notice(notice)) if is(&notice) => return Ok(()),
                Ok(other @ (Told::Notice(_) | Told::Message(_))) => others.push(other),
                end => fail!("{what}: {end:?} after {others:?}"),
            }
        }
    }

    /// A message each way, which shows that both are still at it.
    pub(crate) fn greet(&mut self, number: u32) -> Result<()> {
        self.send(number..number + 1, 100, SndInfo::default())?;
        self.peer.messages_until(number)?;
        self.peer.say(&format!("send 0 {number} 1 100"))?;
        self.messages_until(number)?;
        Ok(())
    }

    /// Whether the peer, which is usrsctp, has made so long a pause in its data and in news of it,
    /// though what it had sent was acknowledged.
    pub(crate) fn peer_fell_silent(&self, stack: Stack, silence: Duration) -> bool {
        let all = self.seen.all();
        let of_data = |crossed: &&Crossed| {
            !crossed.ours
                && matches!(
                    crossed.kind,
                    ChunkType::DATA
                        | ChunkType::I_DATA
                        | ChunkType::FORWARD_TSN
                        | ChunkType::I_FORWARD_TSN
                        | ChunkType::ABORT
                )
        };
        let end = all.last().map(|last| last.at);
        let mut times: Vec<Instant> = all.iter().filter(of_data).map(|seen| seen.at).collect();
        times.extend(end);
        let acknowledged = all
            .iter()
            .any(|seen| seen.ours && seen.kind == ChunkType::SACK);
        let pause = |pair: &[Instant]| pair[1].duration_since(pair[0]) > silence;
        stack == Stack::Usrsctp && acknowledged && times.windows(2).any(pause)
    }

    /// setsockopt(2) with a value that has these words of 32 bits.
    pub(crate) fn set_words(&self, name: i32, words: &[u32]) -> Result<()> {
        let value: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        Ok(self.socket.set_option_raw(132, name, &value)?)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // It is shown where the test fails.
        eprintln!("the peer said: {:#?}", self.peer.said());
        let crossed = self.seen.all();
        for last in &crossed[crossed.len().saturating_sub(LAST)..] {
            eprintln!("{} {last:?}", if last.ours { "sent" } else { "came" });
        }
    }
}

fn node_of(scene: &Scene<'_>, seen: &Seen) -> Result<Node> {
    let mut netem = NetemConfig::default();
    for word in scene.netem.split_whitespace() {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        netem.set(key, value)?;
    }
    let nets = OURS.map(|ip| format!("{ip}/24"));
    let mut bridges = Vec::new();
    for (n, net) in nets.iter().enumerate().take(scene.bridges) {
        let name = format!("br{n}");
        bridge(&name)?;
        bridges.push((name, [net.as_str()]));
    }
    let bridges: Vec<(&str, &[&str])> = bridges
        .iter()
        .map(|(name, nets)| (name.as_str(), &nets[..]))
        .collect();
    let haste = if scene.haste { HASTE } else { "" };
    let settings = format!("{} {haste}", scene.ours);
    node_shaped(&settings, &bridges, |tap: Tun| {
        Box::new(Watched {
            link: Netem::new(tap, netem, 7),
            seen: seen.clone(),
        })
    })
}

fn linux(scene: &Scene<'_>, program: &Path) -> Result<Peer> {
    let haste = if scene.haste { HASTE } else { "" };
    let settings = format!("{} {haste}", scene.linux);
    let mut script = String::new();
    for setting in settings.split_whitespace() {
        script += &format!("sysctl -q -w {setting} || exit 1\n");
    }
    script += &program.display().to_string();
    let mut uml = Uml::new().limit(PEER_LIMIT);
    for (n, ip) in PEER.iter().enumerate().take(scene.bridges) {
        uml = uml.interface(&format!("br{n}"), &[&format!("{ip}/24")]);
    }
    Ok(Peer::Linux(uml.start(&script)?))
}

fn usrsctp(scene: &Scene<'_>, program: &Path) -> Result<Peer> {
    for (n, ip) in PEER.iter().enumerate().take(scene.bridges) {
        crate::uml::ip(&format!("addr add {ip}/24 dev br{n}"))?;
    }
    let haste = if scene.haste { USRSCTP_HASTE } else { "" };
    let program = Program::new(program)
        .args(scene.usrsctp.split_whitespace())
        .args(haste.split_whitespace());
    Ok(Peer::Usrsctp(Conversation::start(program)?))
}

/// What both kinds of socket have.
fn set_up(socket: &Socket, scene: &Scene<'_>) -> Result<()> {
    socket.configure_sctp(AssocId::ALL, |settings| {
        settings.events = Events::all();
        settings.no_delay = true;
    })?;
    (scene.prepare)(socket)
}

fn own_addresses(scene: &Scene<'_>, port: u16) -> Result<Vec<std::net::SocketAddr>> {
    let own = OURS[..scene.bound].iter();
    own.map(|ip| Ok(format!("{ip}:{port}").parse()?)).collect()
}

fn connect(node: &Node, scene: &Scene<'_>, peer: &mut Peer) -> Result<Socket> {
    peer.say(&format!("serve {PORT} {}", PEER[..scene.bound].join(" ")))?;
    peer.wait_for("listening")?;
    let protocol = Some(Protocol::SCTP);
    let socket = Socket::new_on(node, Domain::IPV4, Type::STREAM, protocol)?;
    set_up(&socket, scene)?;
    socket.bind_add(&own_addresses(scene, 6000)?)?;
    socket.connect(format!("{}:{PORT}", PEER[0]).parse()?)?;
    peer.wait_for("accepted")?;
    Ok(socket)
}

fn accept(node: &Node, scene: &Scene<'_>, peer: &mut Peer) -> Result<Socket> {
    let listener = SctpListener::bind_on(node, &own_addresses(scene, PORT)?[..])?;
    set_up(listener.as_socket(), scene)?;
    for (n, ip) in PEER[..scene.bound].iter().enumerate() {
        let word = if n == 0 { "bind" } else { "add-address" };
        peer.say(&format!("{word} {ip} 6000"))?;
    }
    peer.say(&format!("connect {} {PORT}", OURS[0]))?;
    let (socket, _) = listener.as_socket().accept()?;
    peer.wait_for("connected")?;
    Ok(socket)
}
