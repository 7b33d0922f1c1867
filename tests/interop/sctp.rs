//! SCTP with other implementations: usrsctp, over IP and in UDP, and Linux 6.1.

use crate::run::PYTHON;
use crate::uml::{LIMIT, ip, need_uml, node, node_shaped};
use sockeye::drivers::Tun;
use sockeye::drivers::netem::{Netem, NetemConfig};
use sockeye::link::Link;
use sockeye::{Domain, Node, Protocol, Socket, Type};
use sockeye_tests::{
    Guest, Outcome, Program, Result, Running, Test, Uml, bridge, check, ignore, in_namespace, tests,
};
use std::io::Write;
use std::net::Shutdown;
use std::path::Path;
use std::process::Stdio;

pub(crate) const TESTS: &[Test] = tests![
    messages_both_ways_with_linux,
    messages_both_ways_with_linux_over_ipv6,
    linux_connects,
    loss_reordering_and_duplicates_with_linux,
    a_path_to_linux_fails,
    linux_starts_anew,
    usrsctp_echoes,
    usrsctp_echoes_in_udp,
    usrsctp_sends,
    usrsctp_starts_anew,
];

const SCTP: i32 = 132;
const PORT: u16 = 5001;
/// How many messages go each way, and the longest of them.
const COUNT: usize = 500;
const LONGEST: usize = 9000;
/// The echo server's buffer is not much longer.
const ECHO_LONGEST: usize = 4000;
/// Where Debian's libusrsctp-examples has its programs.
const USRSCTP: &str = "/usr/lib/usrsctp";
/// The guest's addresses and the node's, on two bridges.
const GUEST: [&[&str]; 2] = [&["192.0.2.1/24", "2001:db8::1/64"], &["198.51.100.1/24"]];
const NODE: [&[&str]; 2] = [&["192.0.2.2/24", "2001:db8::2/64"], &["198.51.100.2/24"]];

/// usrsctp's programs, or the test is ignored.
macro_rules! need_usrsctp {
    () => {
        if !Path::new(USRSCTP).exists() {
            return ignore!("there is no {USRSCTP} (Debian's libusrsctp-examples)");
        }
    };
}

/// What `peer.py` sends, too.
fn message(n: usize, longest: usize) -> Vec<u8> {
    let size = 1 + n * n * 31 % longest;
    (n..n + size).map(|byte| byte as u8).collect()
}

fn send(socket: &Socket, numbers: std::ops::Range<usize>) -> Result<()> {
    for n in numbers {
        let message = message(n, LONGEST);
        let sent = socket.send(&message)?;
        check!(
            sent == message.len(),
            "of message {n} only {sent} bytes are taken"
        );
    }
    Ok(())
}

/// One read is one message, whole.
fn receive(socket: &Socket, numbers: std::ops::Range<usize>) -> Result<()> {
    let mut buffer = vec![0; 1 << 17];
    for n in numbers {
        let len = socket.recv(&mut buffer)?;
        let expected = message(n, LONGEST);
        check!(
            buffer[..len] == expected,
            "message {n}: {len} bytes instead of {}, or others",
            expected.len()
        );
    }
    Ok(())
}

fn stream(node: &Node, domain: Domain) -> Result<Socket> {
    let ty = Type::STREAM;
    Ok(Socket::new_on(
        node,
        domain,
        ty,
        Some(Protocol::from(SCTP)),
    )?)
}

fn connected(node: &Node, to: &str) -> Result<Socket> {
    let to = to.parse()?;
    let socket = stream(node, Domain::for_address(to))?;
    socket.connect(to)?;
    Ok(socket)
}

fn listening(node: &Node, at: &str) -> Result<Socket> {
    let at = at.parse()?;
    let socket = stream(node, Domain::for_address(at))?;
    socket.bind(at)?;
    socket.listen(5)?;
    Ok(socket)
}

/// A guest that plays `peer.py` with these words, on the first `bridges` bridges.
fn guest(bridges: usize, before: &str, words: &str) -> Result<Guest> {
    let peer = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/peer.py");
    let mut uml = Uml::new().limit(LIMIT);
    for (n, addresses) in GUEST.iter().enumerate().take(bridges) {
        uml = uml.interface(&format!("br{n}"), addresses);
    }
    uml.start(&format!("{before}\n{PYTHON} {peer} {words}"))
}

/// The guest serves; the node connects, sends all, receives all, and closes.
fn with_a_server(node: &Node, mut guest: Guest, to: &str) -> Result {
    guest.wait_for("listening")?;
    let socket = connected(node, to)?;
    send(&socket, 0..COUNT)?;
    receive(&socket, 0..COUNT)?;
    socket.shutdown(Shutdown::Write)?;
    check!(socket.recv(&mut [0])? == 0, "there is more");
    drop(socket);
    guest.wait_for("done")?;
    guest.finish()?;
    Ok(Outcome::Passed)
}

fn messages_both_ways_with_linux() -> Result {
    need_uml!();
    in_namespace(
        "interop::sctp::messages_both_ways_with_linux",
        LIMIT,
        || {
            bridge("br0")?;
            let node = node(&[("br0", NODE[0])])?;
            let words = format!("serve AF_INET '' {PORT} {COUNT} {LONGEST}");
            with_a_server(&node, guest(1, "", &words)?, "192.0.2.1:5001")
        },
    )
}

fn messages_both_ways_with_linux_over_ipv6() -> Result {
    need_uml!();
    let name = "interop::sctp::messages_both_ways_with_linux_over_ipv6";
    in_namespace(name, LIMIT, || {
        bridge("br0")?;
        let node = node(&[("br0", NODE[0])])?;
        let words = format!("serve AF_INET6 2001:db8::1 {PORT} {COUNT} {LONGEST}");
        with_a_server(&node, guest(1, "", &words)?, "[2001:db8::1]:5001")
    })
}

fn linux_connects() -> Result {
    need_uml!();
    in_namespace("interop::sctp::linux_connects", LIMIT, || {
        bridge("br0")?;
        let node = node(&[("br0", NODE[0])])?;
        let listener = listening(&node, "0.0.0.0:5001")?;
        let words = format!("connect AF_INET 192.0.2.2 {PORT} {COUNT} {LONGEST}");
        let mut guest = guest(1, "", &words)?;
        let (socket, _) = listener.accept()?;
        receive(&socket, 0..COUNT)?;
        send(&socket, 0..COUNT)?;
        check!(socket.recv(&mut [0])? == 0, "there is more");
        guest.wait_for("done")?;
        guest.finish()?;
        Ok(Outcome::Passed)
    })
}

/// In both directions.
fn bad(tap: Tun) -> Box<dyn Link> {
    let mut config = NetemConfig::default();
    for (key, value) in [
        ("delay", "5ms"),
        ("loss", "3%"),
        ("reorder", "5%"),
        ("duplicate", "2%"),
    ] {
        config.set(key, value).expect("netem's own words");
    }
    Box::new(Netem::new(tap, config, 7))
}

fn loss_reordering_and_duplicates_with_linux() -> Result {
    need_uml!();
    let name = "interop::sctp::loss_reordering_and_duplicates_with_linux";
    in_namespace(name, LIMIT, || {
        bridge("br0")?;
        let node = node_shaped("", &[("br0", NODE[0])], bad)?;
        let words = format!("serve AF_INET '' {PORT} {COUNT} {LONGEST}");
        // What the guest sends suffers a second time.
        let before = "tc qdisc add dev vec0 root netem loss 2% delay 5ms 1ms duplicate 1%";
        with_a_server(&node, guest(1, before, &words)?, "192.0.2.1:5001")
    })
}

/// Timers of associations that fit a test, at both ends.
const HASTE: &str = "net.sctp.rto_min=100 net.sctp.rto_initial=200 net.sctp.rto_max=400 \
                     net.sctp.path_max_retrans=2 net.sctp.hb_interval=500";

fn a_path_to_linux_fails() -> Result {
    need_uml!();
    in_namespace("interop::sctp::a_path_to_linux_fails", LIMIT, || {
        bridge("br0")?;
        bridge("br1")?;
        let bridges = [("br0", NODE[0]), ("br1", NODE[1])];
        let node = node_shaped(HASTE, &bridges, |tap| Box::new(tap))?;
        let words = format!("serve AF_INET '' {PORT} {COUNT} {LONGEST}");
        let mut guest = guest(2, &format!("sysctl -q -w {HASTE}"), &words)?;
        guest.wait_for("listening")?;
        let socket = connected(&node, "192.0.2.1:5001")?;
        send(&socket, 0..COUNT / 4)?;
        ip("link set sockeye0 nomaster")?;
        send(&socket, COUNT / 4..COUNT)?;
        guest.wait_for("received")?;
        receive(&socket, 0..COUNT / 4)?;
        // The other path fails, and the first is there again.
        ip("link set sockeye0 master br0")?;
        ip("link set sockeye1 nomaster")?;
        receive(&socket, COUNT / 4..COUNT)?;
        drop(socket);
        guest.wait_for("done")?;
        Ok(Outcome::Passed)
    })
}

fn linux_starts_anew() -> Result {
    need_uml!();
    in_namespace("interop::sctp::linux_starts_anew", LIMIT, || {
        bridge("br0")?;
        let node = node(&[("br0", NODE[0])])?;
        let listener = listening(&node, "0.0.0.0:5001")?;
        // Both times from the same port, without a word of farewell in between.
        let script = format!(
            "{PYTHON} - <<'END'\nimport socket, time\n\
             s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, {SCTP})\n\
             s.bind(('192.0.2.1', 6000)); s.connect(('192.0.2.2', {PORT}))\n\
             s.sendall(b'hello'); print(s.recv(100), flush=True); time.sleep(100)\nEND"
        );
        let peer = || Uml::new().interface("br0", GUEST[0]).start(&script);
        let mut first = peer()?;
        let (socket, _) = listener.accept()?;
        let mut hello = [0; 100];
        for answer in ["first", "second"] {
            let len = socket.recv(&mut hello)?;
            check!(&hello[..len] == b"hello", "{len} bytes, or others");
            socket.send(answer.as_bytes())?;
            first.wait_for(answer)?;
            // Its power fails.
            drop(first);
            first = peer()?;
        }
        Ok(Outcome::Passed)
    })
}

/// A program of usrsctp on the host's side of the node's link.
fn usrsctp(words: &str) -> Result<Running> {
    let (program, words) = words.split_once(' ').unwrap_or((words, ""));
    let mut program = Program::new(format!("{USRSCTP}/{program}"))
        .args(words.split(' ').filter(|word| !word.is_empty()));
    program
        .command()
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let running = program.start()?;
    // Its socket: where there is none for the protocol, the kernel answers instead.
    while !std::fs::read_to_string("/proc/self/net/raw")?.contains(":0084 ") {
        std::thread::yield_now();
    }
    Ok(running)
}

/// A node whose other host is the kernel, for programs with raw sockets.
fn node_beside_the_host(settings: &str, shape: fn(Tun) -> Box<dyn Link>) -> Result<Node> {
    bridge("br0")?;
    ip("addr add 192.0.2.1/24 dev br0")?;
    node_shaped(settings, &[("br0", NODE[0])], shape)
}

/// What comes back from usrsctp's echo server is what was sent.
fn echoes(node: &Node) -> Result {
    const AT_ONCE: usize = 20;
    let socket = connected(node, "192.0.2.1:7")?;
    let mut buffer = vec![0; 1 << 17];
    for first in (0..COUNT).step_by(AT_ONCE) {
        let messages = (first..first + AT_ONCE).map(|n| message(n, ECHO_LONGEST));
        let messages = messages.collect::<Vec<_>>();
        for message in &messages {
            socket.send(message)?;
        }
        for (n, message) in messages.iter().enumerate() {
            let len = socket.recv(&mut buffer)?;
            check!(
                buffer[..len] == **message,
                "of message {} come {len} bytes, or others",
                first + n
            );
        }
    }
    socket.shutdown(Shutdown::Write)?;
    check!(socket.recv(&mut buffer)? == 0, "there is more");
    Ok(Outcome::Passed)
}

fn usrsctp_echoes() -> Result {
    need_usrsctp!();
    in_namespace("interop::sctp::usrsctp_echoes", LIMIT, || {
        let node = node_beside_the_host("", bad)?;
        // Neither port for UDP.
        let _server = usrsctp("echo_server 0 0")?;
        echoes(&node)
    })
}

fn usrsctp_echoes_in_udp() -> Result {
    need_usrsctp!();
    in_namespace("interop::sctp::usrsctp_echoes_in_udp", LIMIT, || {
        let settings = "net.sctp.udp_port=9899 net.sctp.encap_port=9899";
        let node = node_beside_the_host(settings, bad)?;
        let _server = usrsctp("echo_server 9899 9899")?;
        echoes(&node)
    })
}

fn usrsctp_sends() -> Result {
    need_usrsctp!();
    in_namespace("interop::sctp::usrsctp_sends", LIMIT, || {
        let node = node_beside_the_host("", bad)?;
        let listener = listening(&node, "0.0.0.0:5001")?;
        let _client = usrsctp("tsctp -E 0 -U 0 -l 1500 -n 2000 -p 5001 192.0.2.2")?;
        let (socket, _) = listener.accept()?;
        let mut buffer = vec![0; 1 << 17];
        for n in 0..2000 {
            let len = socket.recv(&mut buffer)?;
            check!(len == 1500, "message {n} has {len} bytes");
        }
        // Where its last word is lost, the host of a program that has gone refuses the protocol.
        let end = socket.recv(&mut buffer);
        check!(matches!(end, Ok(0) | Err(_)), "there is more: {end:?}");
        Ok(Outcome::Passed)
    })
}

fn usrsctp_starts_anew() -> Result {
    need_usrsctp!();
    in_namespace("interop::sctp::usrsctp_starts_anew", LIMIT, || {
        let node = node_beside_the_host("", |tap| Box::new(tap))?;
        let listener = listening(&node, "0.0.0.0:5001")?;
        // It sends what it reads; killed, it says no farewell.
        let client = || -> Result<Running> {
            let mut program = Program::new(format!("{USRSCTP}/client"))
                .args("192.0.2.2 5001 6000 0 0".split(' '));
            let command = program.command().stdin(Stdio::piped());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            program.start()
        };
        let mut first = client()?;
        let (socket, _) = listener.accept()?;
        let mut buffer = [0; 100];
        for _ in 0..2 {
            let input = first.0.stdin.as_mut().ok_or("it has no input")?;
            input.write_all(b"hello\n")?;
            let len = socket.recv(&mut buffer)?;
            check!(
                buffer[..len].starts_with(b"hello"),
                "{len} bytes, or others"
            );
            drop(first);
            first = client()?;
        }
        Ok(Outcome::Passed)
    })
}
