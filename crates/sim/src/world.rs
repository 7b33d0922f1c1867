//! A world: hosts, the cables between them, and programs on them, in virtual time.

use crate::app::{App, Desk};
use core::task::Poll;
use core::time::Duration;
use ipnet::IpNet;
use sha2::{Digest as _, Sha256};
use sockeye_core::{Batch, Config, Instant, InterfaceId, MacAddr, Medium, Rng};
use sockeye_drivers::memory::{MemoryConfig, MemoryLink};
use sockeye_drivers::netem::{Netem, NetemConfig};
use sockeye_drivers::pcap::{Capture, Recorder};
use sockeye_link::Link;
use sockeye_node::{InterfaceConfig, Node};
use std::fmt;
use std::path::PathBuf;

/// Packets that a link hands over or takes in one go.
const BUDGET: usize = 64;
/// Turns of all hosts at one moment, before the world counts as busy for ever.
const TURNS_MAX: usize = 100_000;

/// A host of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostId(usize);

/// What joins two hosts.
#[derive(Clone, Copy, Debug)]
pub enum Cable {
    /// Ethernet frames, with neighbours to be found.
    Ethernet(MemoryConfig),
    /// Bare IP packets.
    Ip(MemoryConfig),
}

/// Hosts, cables and programs. All chance comes from one seed, so that the same world runs the
/// same way each time, packet for packet.
pub struct World {
    seed: u64,
    rng: Rng,
    now: Instant,
    hosts: Vec<Host>,
    programs: Vec<Program>,
    /// Where there is a capture.
    recorder: Option<Recorder>,
    capture: Capture,
}

struct Host {
    name: String,
    node: Node,
    ports: Vec<Port>,
}

/// Where a cable ends.
struct Port {
    interface: InterfaceId,
    link: Box<dyn Link>,
    /// What the link did not take yet.
    tx: Batch,
}

struct Program {
    host: HostId,
    app: Box<dyn App>,
    done: bool,
}

/// Why a world did not come to its end.
#[derive(Debug)]
pub struct Failure {
    /// The seed that does it again.
    pub seed: u64,
    /// When it happened.
    pub at: Instant,
    /// What happened.
    pub what: String,
    /// Where the capture of all links was written to, if it could be.
    pub capture: Option<PathBuf>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            at,
            what,
            capture,
        } = self;
        write!(f, "world of seed {seed}, at {at}: {what}")?;
        match capture {
            Some(path) => write!(f, "; its packets are in {}", path.display()),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

impl World {
    /// An empty world.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let capture = Capture::new();
        let recorder = Recorder::new(capture.clone(), Duration::ZERO);
        Self {
            recorder: Some(recorder.expect("memory takes the few bytes of a header")),
            capture,
            ..Self::without_capture(seed)
        }
    }

    /// An empty world that keeps no packets, for what moves gigabytes.
    #[must_use]
    pub fn without_capture(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self {
            seed,
            rng: Rng::new(bytes),
            now: Instant::ZERO,
            hosts: Vec::new(),
            programs: Vec::new(),
            recorder: None,
            capture: Capture::new(),
        }
    }

    /// Adds a host without cables.
    pub fn host(&mut self, name: &str, config: Config) -> HostId {
        self.hosts.push(Host {
            name: name.to_owned(),
            node: Node::new(config, self.rng.bytes()),
            ports: Vec::new(),
        });
        HostId(self.hosts.len() - 1)
    }

    /// Plugs `link` into `host`, which has `addresses` there. What crosses it is captured.
    pub fn plug(
        &mut self,
        host: HostId,
        link: impl Link + 'static,
        addresses: &[IpNet],
    ) -> InterfaceId {
        let Host { name, node, ports } = &mut self.hosts[host.0];
        let label = format!("{name}.{}", ports.len());
        let link: Box<dyn Link> = match &self.recorder {
            Some(recorder) => Box::new(recorder.tap(link, &label)),
            None => Box::new(link),
        };
        let name = format!("link{}", ports.len());
        let mut config = InterfaceConfig::new(name, link.capabilities());
        config.addresses = addresses.to_vec();
        let interface = node.add_interface(self.now, config);
        ports.push(Port {
            interface,
            link,
            tx: Batch::new(),
        });
        interface
    }

    /// Joins two hosts with a cable: each side's addresses are CIDRs with spaces between, `netem` is
    /// what happens to packets on the way, in netem's words, each direction by itself.
    ///
    /// # Panics
    /// When `netem` or an address is not one.
    pub fn join(
        &mut self,
        (left, left_addresses): (HostId, &str),
        (right, right_addresses): (HostId, &str),
        cable: Cable,
        netem: &str,
    ) {
        let netem: NetemConfig = netem.parse().expect("the words of netem");
        let (near, far) = match cable {
            Cable::Ip(config) => MemoryLink::pair_ip(config),
            Cable::Ethernet(config) => {
                MemoryLink::pair(config, self.station(left), self.station(right))
            }
        };
        let near = Netem::new(near, netem, self.rng.next_u64());
        self.plug(left, near, &addresses(left_addresses));
        self.plug(right, far, &addresses(right_addresses));
    }

    /// The next port of `host` on an Ethernet: its address tells host and port.
    fn station(&self, host: HostId) -> Medium {
        let port = self.hosts[host.0].ports.len();
        let byte = |n: usize| u8::try_from(n).expect("fewer than 256 hosts and ports");
        Medium::Ethernet(MacAddr([0x02, 0, 0, 0, byte(host.0), byte(port)]))
    }

    /// Starts a program on `host`.
    pub fn spawn(&mut self, host: HostId, app: impl App + 'static) {
        self.programs.push(Program {
            host,
            app: Box::new(app),
            done: false,
        });
    }

    /// The node of `host`, to look at or to command.
    pub fn node(&mut self, host: HostId) -> &mut Node {
        &mut self.hosts[host.0].node
    }

    /// The capture of all links, in pcapng: each side of a cable by itself, before what happens to
    /// packets on the way and after it. Empty where none is kept.
    #[must_use]
    pub fn capture(&self) -> Vec<u8> {
        self.capture.bytes()
    }

    /// The SHA-256 of [`capture`](Self::capture), in hexadecimal: equal where every packet was.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = self.capture.with_bytes(|bytes| Sha256::digest(bytes));
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Its time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The world's chance, for what a test adds to it.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Lets time pass until all programs are done, at most `limit` from now.
    ///
    /// # Errors
    /// A program fails, or is not done then.
    pub fn run(&mut self, limit: Duration) -> Result<(), Failure> {
        let end = self.now + limit;
        loop {
            self.settle()?;
            if self.programs.iter().all(|p| p.done || p.app.serves()) {
                return Ok(());
            }
            match self.next() {
                Some(at) if at <= end => self.now = at.max(self.now),
                Some(_) => return Err(self.stuck("the time is up")),
                None => return Err(self.stuck("nothing will happen any more")),
            }
        }
    }

    /// Lets `time` pass, whatever the programs do.
    ///
    /// # Errors
    /// A program fails.
    pub fn pass(&mut self, time: Duration) -> Result<(), Failure> {
        let end = self.now + time;
        loop {
            self.settle()?;
            match self.next() {
                Some(at) if at <= end => self.now = at.max(self.now),
                Some(_) | None => break,
            }
        }
        self.now = end;
        self.settle()
    }

    /// Does all that is to be done at this moment.
    fn settle(&mut self) -> Result<(), Failure> {
        for _ in 0..TURNS_MAX {
            let mut moved = false;
            for index in 0..self.programs.len() {
                moved |= self.program(index).map_err(|what| self.failure(what))?;
            }
            let now = self.now;
            for index in 0..self.hosts.len() {
                let turn = self.hosts[index].turn(now);
                moved |= turn.map_err(|what| self.failure(what))?;
            }
            if !moved && self.next().is_none_or(|at| at > now) {
                return Ok(());
            }
        }
        Err(self.stuck("the world is never idle"))
    }

    /// Lets a program do what it can. True when it did something.
    fn program(&mut self, index: usize) -> Result<bool, String> {
        let Program { host, app, done } = &mut self.programs[index];
        if *done {
            return Ok(false);
        }
        let Host { name, node, .. } = &mut self.hosts[host.0];
        let mut desk = Desk::new(node, self.now);
        match app.poll(&mut desk) {
            Poll::Ready(Ok(())) => *done = true,
            Poll::Ready(Err(what)) => {
                return Err(format!("{name}: {} {what}", app.name()));
            }
            Poll::Pending => {}
        }
        Ok(desk.moved() || *done)
    }

    /// The next moment at which anything happens.
    fn next(&self) -> Option<Instant> {
        let hosts = self.hosts.iter().flat_map(|host| {
            let links = host.ports.iter().filter_map(|port| port.link.deadline());
            links.chain(host.node.poll_timeout())
        });
        let programs = self
            .programs
            .iter()
            .filter(|p| !p.done)
            .filter_map(|p| p.app.deadline());
        hosts.chain(programs).min()
    }

    fn stuck(&self, what: &str) -> Failure {
        let waiting: Vec<String> = self
            .programs
            .iter()
            .filter(|p| !p.done && !p.app.serves())
            .map(|p| format!("{} on {}", p.app.name(), self.hosts[p.host.0].name))
            .collect();
        self.failure(format!("{what}; not done: {}", waiting.join(", ")))
    }

    /// A failure now, its packets kept for who looks for the cause.
    fn failure(&self, what: String) -> Failure {
        let name = format!(
            "sockeye-world-{}-{}.pcapng",
            self.seed,
            &self.fingerprint()[..8]
        );
        let path = std::env::temp_dir().join(name);
        let written = self.recorder.is_some()
            && self
                .capture
                .with_bytes(|bytes| std::fs::write(&path, bytes))
                .is_ok();
        Failure {
            seed: self.seed,
            at: self.now,
            what,
            capture: written.then_some(path),
        }
    }
}

fn addresses(text: &str) -> Vec<IpNet> {
    let net = |word: &str| word.parse().expect("an address like 192.0.2.1/24");
    text.split_whitespace().map(net).collect()
}

impl Host {
    /// What the driver of a real node does: receives, lets time pass, sends. True when packets
    /// moved.
    fn turn(&mut self, now: Instant) -> Result<bool, String> {
        let Self { name, node, ports } = self;
        let mut moved = false;
        let mut rx = Batch::new();
        for Port {
            interface, link, ..
        } in &mut *ports
        {
            let received = link.recv_batch(now, &mut rx, BUDGET);
            moved |= received.map_err(|e| format!("{name} receiving: {e}"))? > 0;
            for packet in rx.drain(..) {
                node.handle_packet(now, *interface, packet);
            }
        }
        if node.poll_timeout().is_some_and(|at| at <= now) {
            node.handle_timeout(now);
            moved = true;
        }
        for Port {
            interface,
            link,
            tx,
        } in ports
        {
            if tx.is_empty() {
                // What is left is asked for in the next turn: this one has moved something.
                node.poll_transmit(now, *interface, tx, BUDGET);
            }
            let sent = link.send_batch(now, tx);
            moved |= sent.map_err(|e| format!("{name} sending: {e}"))? > 0;
        }
        // Programs are asked at every turn: that there is something for one of them is enough.
        while node.poll_ready().is_some() {
            moved = true;
        }
        Ok(moved)
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.hosts.iter().map(|h| h.name.as_str()).collect();
        f.debug_struct("World")
            .field("seed", &self.seed)
            .field("now", &self.now)
            .field("hosts", &names)
            .finish_non_exhaustive()
    }
}
