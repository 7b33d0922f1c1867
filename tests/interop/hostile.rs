//! A node that serves a client while others on its link send what they can make up.
//!
//! scapy's packets come one kind at a time first, and each kind has to move its counter; then all at
//! once, with changed copies of good traffic and trafgen's noise beside, as fast as they are made,
//! for some seconds or, with `cargo xtask long hostile`, for minutes. Meanwhile the client's
//! connections carry every byte, its datagrams come back as they were and its pings are answered,
//! and the node's memory and tables stay within bounds.

use crate::host::pattern;
use crate::run::{PYTHON, need};
use crate::tap::{self, KERNEL_V4, KERNEL_V6, NODE_V4, NODE_V6};
use sockeye::drivers::local_address;
use sockeye::{Counter, Node};
use sockeye_tests::{
    Outcome, Program, Result, Running, TempDir, Test, check, have, ignore, in_namespace, tests,
};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = tests![a_client_is_served_amid_random_and_mutated_traffic];

/// How long all of it comes at once: so many seconds, or as many as here.
const SECONDS: &str = "SOCKEYE_TEST_HOSTILE_SECONDS";
const SECONDS_DEFAULT: u64 = 4;
/// Packets in a second, at most, that each of the two attackers sends.
const RATE: u64 = 3000;
/// Bytes that one connection of the client takes there and back.
const TRANSFER: usize = 256 << 10;
/// How long the client waits for a connection to move, and for a datagram to come back.
const PATIENCE: Duration = Duration::from_secs(30);
const UDP_PATIENCE: Duration = Duration::from_millis(500);
/// The node's neighbours, at most: few, so that the flood fills the table.
const NEIGHBOURS_MAX: usize = 128;
/// Bytes by which this process may grow: what the node's limits allow in all (4 MiB of fragments,
/// 4 MiB for unknown neighbours, queues, TCP's buffers), and as much for the test's own threads.
const GROWTH_MAX: u64 = 64 << 20;

/// What the others send: the kind, as `attacker.py` calls it, how many, and what counts it.
const KINDS: [(&str, u32, &[Counter]); 26] = [
    ("IPv4 headers", 60, &[Counter::IpInHdrErrors]),
    ("IPv6 headers", 60, &[Counter::IpInTruncatedPkts]),
    ("IPv4 options", 60, &[Counter::IpInHdrErrors]),
    ("unknown protocols", 40, &[Counter::IpInUnknownProtos]),
    ("impossible sources", 40, &[Counter::IpInAddrErrors]),
    ("extension headers", 60, &[Counter::IpInHdrErrors]),
    ("chains of headers", 20, &[Counter::IpInHeaderLimits]),
    ("scattered fragments", 60, &[Counter::IpReasmFails]),
    ("overlaps", 20, &[Counter::IpExtReasmOverlaps]),
    ("ping of death", 5, &[Counter::IpReasmOversize]),
    ("flood of fragments", 1500, &[Counter::IpReasmLimits]),
    ("fuzzed ICMP", 60, &[Counter::IcmpInErrors]),
    ("quotes of nothing", 40, &[Counter::IcmpInUnmatched]),
    ("redirects", 40, &[Counter::RedirectsIgnored]),
    ("fuzzed TCP", 60, &[Counter::TcpInErrs]),
    ("TCP to anywhere", 60, &[Counter::TcpOutRsts]),
    ("fuzzed UDP", 60, &[Counter::UdpInCsumErrors]),
    ("UDP to anywhere", 40, &[Counter::UdpNoPorts]),
    ("UDP-Lite", 40, &[Counter::UdpLiteInErrors]),
    ("IGMP noise", 60, &[Counter::IgmpInErrors]),
    (
        "IGMP storm",
        60,
        &[Counter::IgmpInQueries, Counter::MulticastSourcesOverflow],
    ),
    ("MLD noise", 60, &[Counter::IcmpInErrors]),
    (
        "MLD storm",
        60,
        &[
            Counter::Icmp6InGroupMembQueries,
            Counter::MulticastSourcesOverflow,
        ],
    ),
    ("fuzzed ARP", 60, &[Counter::NeighbourInErrors]),
    ("flood of neighbours", 300, &[Counter::NeighbourTableFull]),
    ("neighbour discovery", 60, &[Counter::NeighbourInErrors]),
];
/// Last, since what these routers say stays.
const ADVERTISEMENTS: (&str, u32, &[Counter]) = (
    "flood of advertisements",
    100,
    &[Counter::AutoconfTableFull],
);

/// trafgen's packets: noise behind a right MAC address, IPv4 header, IPv6 header, TCP and UDP header.
fn noise(mac: &str) -> String {
    let head = format!("0x{},0x02,drnd(5)", mac.replace(':', ",0x"));
    let v4 = format!(
        "{head},c16(0x0800),0x45,0,c16(60),drnd(2),0,0,64,PROTOCOL,csumip(14,33),192,0,2,77,192,0,2,2"
    );
    let v6: Vec<String> = [NODE_V6, "2001:db8::77"].map(octets).into();
    let v6 = format!(
        "{head},c16(0x86dd),0x60,0,0,0,c16(40),NEXT,64,{},{}",
        v6[1], v6[0]
    );
    let any_v4 = v4.replace("PROTOCOL", "drnd()");
    let any_v6 = v6.replace("NEXT", "drnd()");
    let tcp = v4.replace("PROTOCOL", "6");
    let udp = v4.replace("PROTOCOL", "17");
    [
        format!("{{ {head},c16(0x0800),drnd(60) }}"),
        format!("{{ {head},c16(0x86dd),drnd(80) }}"),
        format!("{{ {head},c16(0x0806),drnd(46) }}"),
        format!("{{ {head},drnd(100) }}"),
        format!("{{ {any_v4},drnd(40) }}"),
        format!("{{ {any_v6},drnd(40) }}"),
        format!(
            "{{ {tcp},drnd(2),c16(7000),drnd(8),0x50,drnd(3),csumtcp(14,34),drnd(2),drnd(20) }}"
        ),
        format!("{{ {udp},drnd(2),c16(7001),c16(40),csumudp(14,34),drnd(32) }}"),
    ]
    .join("\n")
}

/// An address as trafgen's bytes.
fn octets(address: &str) -> String {
    let octets = match address.parse() {
        Ok(IpAddr::V6(v6)) => v6.octets().to_vec(),
        Ok(IpAddr::V4(v4)) => v4.octets().to_vec(),
        Err(_) => Vec::new(),
    };
    let octets: Vec<String> = octets.iter().map(ToString::to_string).collect();
    octets.join(",")
}

fn a_client_is_served_amid_random_and_mutated_traffic() -> Result {
    let limit = Duration::from_secs(seconds() + 120);
    in_namespace(
        "interop::hostile::a_client_is_served_amid_random_and_mutated_traffic",
        limit,
        || {
            need!(PYTHON, "ping", "trafgen");
            let probe = Program::new(PYTHON).args(["-c", "import scapy.all"]);
            if probe.run()?.code != Some(0) {
                return ignore!("scapy is not installed for {PYTHON}");
            }
            // Who listens to routers can be flooded by them. What it sends is not recorded for tshark
            // to look at: an echo of noise is noise.
            match tap::open_with(|tap| Ok(Box::new(tap)), |config| config.slaac(true))? {
                Ok(node) => attack(&node),
                Err(reason) => ignore!("{reason}"),
            }
        },
    )
}

fn seconds() -> u64 {
    let set = std::env::var(SECONDS).ok().and_then(|s| s.parse().ok());
    set.unwrap_or(SECONDS_DEFAULT)
}

fn attack(node: &Node) -> Result {
    let mut config = node.config()?;
    config.neighbours_max = NEIGHBOURS_MAX;
    node.set_config(config)?;
    serve(node)?;
    let client = Client::default();
    let mac = local_address(&[7; 32], 0).to_string();
    let mut attacker = Attacker::start(&mac)?;
    attacker.ask("learn", "learning")?;
    client.calm()?;
    attacker.tell("learnt")?;
    let learnt: usize = attacker.answer()?.parse()?;
    check!(learnt > 20, "{learnt} packets of good traffic");
    let before = resident()?;
    let mut unmoved = Vec::new();
    for (kind, count, counters) in KINDS.iter().chain([&ADVERTISEMENTS]) {
        let counts = || -> Result<Vec<u64>> {
            let all = node.counters()?;
            Ok(counters.iter().map(|&c| all.get(c)).collect())
        };
        let then = counts()?;
        attacker.ask(&format!("send {count} {kind}"), "sent")?;
        // What answers this comes after all that was sent before it.
        client.echoes(NODE_V4)?;
        for ((counter, now), then) in counters.iter().zip(counts()?).zip(then) {
            if now <= then {
                unmoved.push(format!("{kind}: {}", counter.name()));
            }
        }
        bounded(node)?;
    }
    check!(unmoved.is_empty(), "these did not move: {unmoved:?}");
    all_at_once(node, &client, &mut attacker, before)?;
    client.calm()?;
    Ok(Outcome::Passed)
}

/// Everything together, while the client works.
fn all_at_once(node: &Node, client: &Client, attacker: &mut Attacker, before: u64) -> Result<()> {
    let seconds = seconds();
    let dir = TempDir::new()?;
    let packets = dir.write("noise.cfg", noise(&local_address(&[7; 32], 0).to_string()))?;
    let noise = Program::new("trafgen")
        .args([
            "--dev",
            "sockeye0",
            "--cpus",
            "1",
            "--no-sock-mem",
            "--conf",
        ])
        .arg(packets)
        .args(["--rand", "--no-cpu-stats"])
        .args(["--rate", &format!("{RATE}pps")])
        .args(["--num", &(RATE * seconds).to_string()])
        .limit(Duration::from_secs(seconds + 60));
    let received = node.counters()?.get(Counter::IpInReceives);
    attacker.tell(&format!("flood {seconds} {RATE}"))?;
    let stop = AtomicBool::new(false);
    let most = std::thread::scope(|scope| -> Result<u64> {
        let working = [
            scope.spawn(|| client.transfers(&stop).map_err(|e| e.to_string())),
            scope.spawn(|| client.datagrams(&stop).map_err(|e| e.to_string())),
            scope.spawn(|| client.pings(&stop).map_err(|e| e.to_string())),
            scope.spawn(|| {
                let noisy = noise.run().and_then(|output| output.expect(0));
                noisy.map(|_| ()).map_err(|e| e.to_string())
            }),
        ];
        let watched = watch(node, Duration::from_secs(seconds));
        let sent = attacker.answer();
        stop.store(true, Ordering::Relaxed);
        for working in working {
            working.join().map_err(|_| "a thread panicked")??;
        }
        let sent: u64 = sent?.parse()?;
        println!("{sent} packets by scapy; the client: {client:?}");
        check!(sent > 100 * seconds.min(10) / 2, "{sent} packets by scapy");
        watched
    })?;
    let received = node.counters()?.get(Counter::IpInReceives) - received;
    let grown = most.saturating_sub(before);
    println!("{received} packets received, {} KiB more", grown >> 10);
    check!(received > 100 * seconds, "{received} packets arrived");
    check!(grown < GROWTH_MAX, "the process grew by {grown} bytes");
    client.has_worked()
}

/// Looks at the node for so long: the most memory that the process held.
fn watch(node: &Node, time: Duration) -> Result<u64> {
    let (end, mut most) = (Instant::now() + time, 0);
    while Instant::now() < end {
        bounded(node)?;
        most = most.max(resident()?);
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(most)
}

/// What the node says of itself.
fn bounded(node: &Node) -> Result<()> {
    let neighbours = node.neighbours()?.len();
    check!(neighbours <= NEIGHBOURS_MAX, "{neighbours} neighbours");
    let addresses: usize = node.interfaces()?.iter().map(|i| i.addresses.len()).sum();
    // Those of the loopback and its own, and 16 by routers.
    check!(addresses <= 24, "{addresses} addresses");
    let routes = node.routes()?.len();
    check!(routes <= 100, "{routes} routes");
    // Four servers, a connection of the client and those that have just ended, and half-open ones.
    let sockets = node.sockets()?.len();
    check!(sockets <= 600, "{sockets} sockets");
    Ok(())
}

/// Bytes of memory that this process holds.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.ok_or("no VmRSS")?.parse::<u64>()? << 10)
}

/// The node's servers: echo over TCP and UDP, and a member of two groups.
fn serve(node: &Node) -> Result<()> {
    let any = |port| SocketAddr::new(IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), port);
    let listener = sockeye::net::TcpListener::bind_on(node, any(7000))?;
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            std::thread::spawn(move || {
                let mut buffer = [0; 16 << 10];
                while let Ok(len @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..len]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    let socket = sockeye::net::UdpSocket::bind_on(node, any(7001))?;
    let index = node
        .interfaces()?
        .iter()
        .find(|i| i.name == "tap")
        .map(|i| i.id.0);
    socket.join_multicast_v6(&"ff05::123".parse()?, index.ok_or("no link")?)?;
    let member = sockeye::net::UdpSocket::bind_on(node, (NODE_V4.parse::<IpAddr>()?, 7002))?;
    member.join_multicast_v4(&"239.1.2.3".parse()?, &NODE_V4.parse()?)?;
    std::thread::spawn(move || {
        let (mut buffer, _member) = ([0; 2048], member);
        loop {
            // An error is what somebody's ICMP message says of an answer.
            if let Ok((len, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&buffer[..len], from);
            }
        }
    });
    Ok(())
}

/// The client, on the kernel's side, and what it has done.
#[derive(Debug, Default)]
struct Client {
    transfers: AtomicU64,
    /// Connections that were reset before anything came back.
    refused: AtomicU64,
    sent: AtomicU64,
    answered: AtomicU64,
}

impl Client {
    /// All that it does, once, while all is quiet.
    fn calm(&self) -> Result<()> {
        for to in [NODE_V4, NODE_V6] {
            self.transfer(to)?;
            self.echoes(to)?;
            let ping = Program::new("ping").args(["-n", "-c", "3", "-i", "0.2", "-W", "5", to]);
            let text = ping.run()?.stdout_text();
            check!(text.contains("3 received"), "{to}: {text}");
        }
        Ok(())
    }

    /// A connection, and what goes comes back.
    ///
    /// Under a flood of SYNs the node makes connections by cookies, of which it keeps nothing (RFC 4987
    /// §3.6): where the acknowledgment and the first text are lost together, as the device's queue is
    /// full, what comes next is of no connection and is refused, as by the kernel. It is begun anew.
    fn transfer(&self, to: &str) -> Result<()> {
        while !self.connection(to)? {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        self.transfers.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// One connection; whether it was one.
    fn connection(&self, to: &str) -> Result<bool> {
        let data = pattern(TRANSFER);
        let to = SocketAddr::new(to.parse()?, 7000);
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut got = vec![0; TRANSFER];
        let whole = std::thread::scope(|scope| -> Result<bool> {
            let mut writer = stream.try_clone()?;
            let writing = scope.spawn({
                let data = &data;
                move || writer.write_all(data)
            });
            let begun = stream.read_exact(&mut got[..1]);
            match begun {
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    // It can't have written it all.
                    let _ = writing.join();
                    return Ok(false);
                }
                begun => begun?,
            }
            stream.read_exact(&mut got[1..])?;
            writing.join().map_err(|_| "the writer panicked")??;
            Ok(true)
        })?;
        check!(!whole || got == data, "other bytes came back from {to}");
        Ok(whole)
    }

    fn transfers(&self, stop: &AtomicBool) -> Result<()> {
        for to in [NODE_V4, NODE_V6].iter().cycle() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            self.transfer(to).map_err(|e| format!("TCP to {to}: {e}"))?;
        }
        Ok(())
    }

    /// Asks until a datagram has come back.
    fn echoes(&self, to: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !self.datagram(to)? {
            check!(Instant::now() < end, "no datagram comes back from {to}");
        }
        Ok(())
    }

    /// One datagram there; whether it came back.
    fn datagram(&self, to: &str) -> Result<bool> {
        let own = if to == NODE_V4 { KERNEL_V4 } else { KERNEL_V6 };
        let socket = UdpSocket::bind((own.parse::<IpAddr>()?, 0))?;
        socket.connect((to.parse::<IpAddr>()?, 7001))?;
        socket.set_read_timeout(Some(UDP_PATIENCE))?;
        let serial = self.sent.fetch_add(1, Ordering::Relaxed);
        let mut data = pattern(1000);
        data[..8].copy_from_slice(&serial.to_be_bytes());
        socket.send(&data)?;
        let mut buffer = [0; 2048];
        // What others had echoed to this port is not ours.
        while let Ok(len) = socket.recv(&mut buffer) {
            if buffer[..len.min(8)] == data[..8] {
                check!(
                    buffer[..len] == data,
                    "another datagram came back from {to}"
                );
                self.answered.fetch_add(1, Ordering::Relaxed);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn datagrams(&self, stop: &AtomicBool) -> Result<()> {
        for to in [NODE_V4, NODE_V6].iter().cycle() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            self.datagram(to)?;
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn pings(&self, stop: &AtomicBool) -> Result<()> {
        for to in [NODE_V4, NODE_V6].iter().cycle() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let ping = Program::new("ping").args(["-n", "-c", "5", "-i", "0.2", "-W", "2", to]);
            let text = ping.run()?.stdout_text();
            check!(!text.contains(" 0 received"), "{to}: {text}");
        }
        Ok(())
    }

    fn has_worked(&self) -> Result<()> {
        let all = [&self.transfers, &self.refused, &self.sent, &self.answered];
        let [transfers, refused, sent, answered] = all.map(|n| n.load(Ordering::Relaxed));
        check!(transfers > 6, "{transfers} transfers");
        check!(
            refused <= 1 + transfers / 1000,
            "{refused} of {transfers} connections were refused"
        );
        check!(
            answered > sent / 2,
            "{answered} of {sent} datagrams came back"
        );
        Ok(())
    }
}

/// scapy, which is told what to send.
struct Attacker {
    words: ChildStdin,
    answers: BufReader<ChildStdout>,
    _program: Running,
}

impl Attacker {
    fn start(mac: &str) -> Result<Self> {
        const SCRIPT: &str = include_str!("attacker.py");
        let mut program = Program::new(PYTHON)
            .args(["-c", SCRIPT, "sockeye0", mac, NODE_V4, NODE_V6])
            .args([KERNEL_V4, KERNEL_V6, "1"]);
        program
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut program = program.start()?;
        let mut attacker = Self {
            words: program.0.stdin.take().ok_or("a pipe")?,
            answers: BufReader::new(program.0.stdout.take().ok_or("a pipe")?),
            _program: program,
        };
        let ready = attacker.answer()?;
        check!(ready == "ready", "scapy says {ready:?}");
        Ok(attacker)
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        writeln!(self.words, "{line}")?;
        Ok(self.words.flush()?)
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        check!(!line.is_empty(), "scapy has ended");
        Ok(line.trim().to_owned())
    }

    fn ask(&mut self, line: &str, expected: &str) -> Result<()> {
        self.tell(line)?;
        let answer = self.answer()?;
        check!(answer == expected, "{line}: {answer}");
        Ok(())
    }
}
