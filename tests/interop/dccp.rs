//! DCCP with Linux 6.1, by CCID 2: as client and as server, over both families, with and without loss.

use crate::run::PYTHON;
use crate::uml::{LIMIT, need_uml, node};
use sockeye::{Domain, Node, Protocol, Socket, Type};
use sockeye_tests::{
    Guest, Outcome, Program, Result, Test, Uml, bridge, check, ignore, in_namespace, sockeye, tests,
};
use std::net::SocketAddr;

pub(crate) const TESTS: &[Test] = tests![
    linux_serves,
    linux_serves_over_ipv6,
    linux_connects,
    linux_connects_over_ipv6,
    linux_loses_packets,
    linux_loses_packets_over_ipv6,
    what_is_agreed_on,
    a_server_holds_time_wait,
    scan_finds_the_ports_of_linux,
    what_is_refused_says_why,
];

const SOCK_DCCP: i32 = 6;
const DCCP: i32 = 33;
/// SOL_DCCP and its DCCP_SOCKOPT_SERVICE.
const SERVICE: (i32, i32) = (269, 2);
const SERVED: u32 = 42;
const PORT: u16 = 5001;
/// Packets each way.
const COUNT: u32 = 3000;
/// So many arrive at least: some find a queue full.
const ENOUGH: usize = 1500;
const GUEST: &[&str] = &["192.0.2.1/24", "2001:db8::1/64"];
const NODE: &[&str] = &["192.0.2.2/24", "2001:db8::2/64"];

/// Who says farewell.
#[derive(Clone, Copy)]
enum Closing {
    Node,
    Guest,
}

/// What `dccp_peer.py` sends, too.
fn packet(n: u32) -> Vec<u8> {
    let rest = n * 31 % 1000;
    let mut packet = n.to_be_bytes().to_vec();
    packet.extend((n..n + rest).map(|byte| byte as u8));
    packet
}

fn socket(node: &Node, domain: Domain, service: u32) -> Result<Socket> {
    let socket = Socket::new_on(
        node,
        domain,
        Type::from(SOCK_DCCP),
        Some(Protocol::from(DCCP)),
    )?;
    socket.set_option_raw(SERVICE.0, SERVICE.1, &service.to_be_bytes())?;
    Ok(socket)
}

fn connected(node: &Node, to: SocketAddr, service: u32) -> Result<Socket> {
    let socket = socket(node, Domain::for_address(to), service)?;
    socket.connect(to)?;
    Ok(socket)
}

fn listening(node: &Node, at: SocketAddr) -> Result<Socket> {
    let socket = socket(node, Domain::for_address(at), SERVED)?;
    socket.bind(at)?;
    socket.listen(5)?;
    Ok(socket)
}

fn guest(before: &str, words: &str) -> Result<Guest> {
    let peer = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/dccp_peer.py");
    let uml = Uml::new().limit(LIMIT).interface("br0", GUEST);
    uml.start(&format!("{before}\n{PYTHON} {peer} {words}"))
}

/// Any of the packets, at most once each, in the order of their sending, until the end.
fn receive(socket: &Socket) -> Result<usize> {
    let (mut last, mut seen) = (None, 0);
    let mut buffer = [0; 2000];
    loop {
        let len = match socket.recv(&mut buffer) {
            Ok(len) => len,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
            Err(error) => return Err(error.into()),
        };
        let Some(number) = buffer[..len].first_chunk() else {
            return Ok(seen);
        };
        let n = u32::from_be_bytes(*number);
        check!(buffer[..len] == packet(n), "packet {n} is another");
        check!(Some(n) > last, "packet {n} comes after {last:?}");
        (last, seen) = (Some(n), seen + 1);
    }
}

/// Both ends send all and receive what comes; then one of them closes.
fn exchange(socket: &Socket, mut guest: Guest, closing: Closing) -> Result {
    std::thread::scope(|scope| -> Result<()> {
        let reader = scope.spawn(|| receive(socket).map_err(|error| error.to_string()));
        for n in 0..COUNT {
            socket.send(&packet(n))?;
        }
        guest.wait_for("sent")?;
        match closing {
            Closing::Guest => guest.say("close")?,
            Closing::Node => {
                // What is on its way yet counts, too, but nobody waits for it.
                std::thread::sleep(std::time::Duration::from_millis(500));
                socket.shutdown(std::net::Shutdown::Both)?;
            }
        }
        let seen = reader.join().map_err(|_| "the reader panicked")??;
        check!(seen >= ENOUGH, "of {COUNT} packets {seen} came here");
        Ok(())
    })?;
    let seen = guest.wait_for("seen ")?;
    let said = guest.finish()?;
    check!(!said.contains("packet "), "{said}");
    let seen: usize = seen.trim_start_matches("seen ").parse()?;
    check!(seen >= ENOUGH, "of {COUNT} packets {seen} came there");
    Ok(Outcome::Passed)
}

fn served(name: &str, family: &str, guest_at: &str, before: &str, closing: Closing) -> Result {
    need_uml!();
    in_namespace(name, LIMIT, || {
        bridge("br0")?;
        let node = node(&[("br0", NODE)])?;
        let end = match closing {
            Closing::Node => "waits",
            Closing::Guest => "closes",
        };
        let words = format!("serve {family} '' {PORT} {SERVED} {COUNT} {end}");
        let mut guest = guest(before, &words)?;
        guest.wait_for("listening")?;
        let to = SocketAddr::new(guest_at.parse()?, PORT);
        exchange(&connected(&node, to, SERVED)?, guest, closing)
    })
}

fn connects(name: &str, family: &str, node_at: &str, closing: Closing) -> Result {
    need_uml!();
    in_namespace(name, LIMIT, || {
        bridge("br0")?;
        let node = node(&[("br0", NODE)])?;
        let listener = listening(&node, SocketAddr::new(node_at.parse()?, PORT))?;
        let end = match closing {
            Closing::Node => "waits",
            Closing::Guest => "closes",
        };
        let words = format!("connect {family} {node_at} {PORT} {SERVED} {COUNT} {end}");
        let guest = guest("", &words)?;
        let (socket, _) = listener.accept()?;
        exchange(&socket, guest, closing)
    })
}

fn linux_serves() -> Result {
    let name = "interop::dccp::linux_serves";
    served(name, "AF_INET", "192.0.2.1", "", Closing::Node)
}

fn linux_serves_over_ipv6() -> Result {
    let name = "interop::dccp::linux_serves_over_ipv6";
    served(name, "AF_INET6", "2001:db8::1", "", Closing::Guest)
}

fn linux_connects() -> Result {
    let name = "interop::dccp::linux_connects";
    connects(name, "AF_INET", "192.0.2.2", Closing::Guest)
}

fn linux_connects_over_ipv6() -> Result {
    let name = "interop::dccp::linux_connects_over_ipv6";
    connects(name, "AF_INET6", "2001:db8::2", Closing::Node)
}

fn linux_loses_packets() -> Result {
    let name = "interop::dccp::linux_loses_packets";
    let loss = "tc qdisc add dev vec0 root netem loss 5% delay 5ms";
    served(name, "AF_INET", "192.0.2.1", loss, Closing::Node)
}

fn linux_loses_packets_over_ipv6() -> Result {
    let name = "interop::dccp::linux_loses_packets_over_ipv6";
    let loss = "tc qdisc add dev vec0 root netem loss 3% delay 5ms";
    // The guest's kernel ends with its script: a farewell of its own that is lost would not come again.
    served(name, "AF_INET6", "2001:db8::1", loss, Closing::Node)
}

/// Linux's numbers of options.
const SERVER_TIMEWAIT: i32 = 6;
const SEND_CSCOV: i32 = 10;
const RECV_CSCOV: i32 = 11;
const TX_CCID: i32 = 14;
const RX_CCID: i32 = 15;

/// One that listens for two services with partial checksums, says what was agreed on with whom it serves,
/// and echoes until the end.
fn echo() -> Result<Guest> {
    let level = SERVICE.0;
    let script = format!(
        "{PYTHON} - <<'END'\nimport socket, struct\n\
         l = socket.socket(socket.AF_INET, {SOCK_DCCP}, {DCCP})\n\
         l.setsockopt({level}, {}, struct.pack('>II', 7, {SERVED}))\n\
         l.setsockopt({level}, {SEND_CSCOV}, 2)\nl.setsockopt({level}, {RECV_CSCOV}, 1)\n\
         l.bind(('', {PORT})); l.listen()\n\
         print('listening', flush=True)\n\
         for n in range(2):\n    \
             s, _ = l.accept()\n    \
             ccids = [s.getsockopt({level}, o) for o in ({TX_CCID}, {RX_CCID})]\n    \
             print('agreed', *ccids, flush=True)\n    \
             while True:\n        \
                 got = s.recv(2000)\n        \
                 if not got: break\n        \
                 s.send(got)\n    \
             s.close()\n\
         print('done', flush=True)\nEND",
        SERVICE.1
    );
    let mut guest = Uml::new().interface("br0", GUEST).start(&script)?;
    guest.wait_for("listening")?;
    Ok(guest)
}

/// RFC 4340 §6, §8.1.2, §9.2: CCIDs, partial checksums, and a listener for several services.
fn what_is_agreed_on() -> Result {
    need_uml!();
    in_namespace("interop::dccp::what_is_agreed_on", LIMIT, || {
        bridge("br0")?;
        let node = node(&[("br0", NODE)])?;
        let mut guest = echo()?;
        let to = "192.0.2.1:5001".parse()?;
        for service in [7, SERVED] {
            let socket = socket(&node, Domain::IPV4, service)?;
            for (option, value) in [(SEND_CSCOV, 2), (RECV_CSCOV, 1)] {
                socket.set_option_raw(SERVICE.0, option, &i32::to_ne_bytes(value))?;
            }
            // CCID 3 would be ours, but Linux is without.
            socket.set_option_raw(SERVICE.0, TX_CCID, &[3, 2])?;
            socket.set_option_raw(SERVICE.0, RX_CCID, &[3, 2])?;
            socket.connect(to)?;
            guest.wait_for("agreed 2 2")?;
            for option in [TX_CCID, RX_CCID] {
                let mut ccid = [0; 4];
                socket.option_raw(SERVICE.0, option, &mut ccid)?;
                check!(i32::from_ne_bytes(ccid) == 2, "option {option}: {ccid:?}");
            }
            let mut buffer = [0; 2000];
            for n in 0..300 {
                socket.send(&packet(n))?;
                let len = socket.recv(&mut buffer)?;
                check!(buffer[..len] == packet(n), "packet {n} is another");
            }
            socket.shutdown(std::net::Shutdown::Both)?;
        }
        guest.wait_for("done")?;
        guest.finish()?;
        Ok(Outcome::Passed)
    })
}

/// RFC 4340 §8.3, the third sequence: a server that closes by itself, and keeps the pair of ends.
fn a_server_holds_time_wait() -> Result {
    need_uml!();
    let name = "interop::dccp::a_server_holds_time_wait";
    in_namespace(name, LIMIT, || {
        bridge("br0")?;
        let node = node(&[("br0", NODE)])?;
        let listener = listening(&node, "192.0.2.2:5001".parse()?)?;
        let words = format!("connect AF_INET 192.0.2.2 {PORT} {SERVED} {COUNT} waits");
        let guest = guest("", &words)?;
        let (socket, peer) = listener.accept()?;
        let on = i32::to_ne_bytes(1);
        socket.set_option_raw(SERVICE.0, SERVER_TIMEWAIT, &on)?;
        exchange(&socket, guest, Closing::Node)?;
        drop(socket);
        let rows = node.sockets()?;
        let waits =
            |row: &sockeye::SocketSummary| row.remote == Some(peer) && row.state == "TIME-WAIT";
        check!(rows.iter().any(waits), "{rows:?}");
        Ok(Outcome::Passed)
    })
}

/// `sockeye scan --dccp`: who listens for another service listens.
fn scan_finds_the_ports_of_linux() -> Result {
    need_uml!();
    sockeye()?;
    let name = "interop::dccp::scan_finds_the_ports_of_linux";
    in_namespace(name, LIMIT, || {
        bridge("br0")?;
        for words in [
            "tuntap add mode tap name sockeye9",
            "link set sockeye9 master br0 up",
        ] {
            Program::new("ip").args(words.split(' ')).run()?.expect(0)?;
        }
        let _guest = echo()?;
        let link = "tap:sockeye9,addr=192.0.2.9/24";
        let scan = Program::new(sockeye()?).args(["scan", "--link", link, "--dccp"]);
        let told = scan.args(["-p", "9,5001", "--reason", "192.0.2.1"]).run()?;
        let told = told.expect(0)?.stdout_text();
        let says = |what: [&str; 3]| {
            let mut lines = told.lines().map(|line| line.split_whitespace());
            lines.any(|words| {
                let words: Vec<&str> = words.collect();
                what.iter().all(|word| words.contains(word))
            })
        };
        check!(says(["5001/dccp", "open", "bad-service"]), "{told}");
        // Linux says No Connection, and not Connection Refused (RFC 4340 §5.6).
        check!(says(["9/dccp", "closed", "reset"]), "{told}");
        Ok(Outcome::Passed)
    })
}

/// RFC 4340 §5.6: the codes of a Reset, as each end tells them.
fn what_is_refused_says_why() -> Result {
    need_uml!();
    in_namespace("interop::dccp::what_is_refused_says_why", LIMIT, || {
        bridge("br0")?;
        let node = node(&[("br0", NODE)])?;
        let _listener = listening(&node, "192.0.2.2:5001".parse()?)?;
        let script = format!(
            "{PYTHON} - <<'END'\nimport errno, socket, struct, sys\n\
             def dccp(service):\n    \
                 s = socket.socket(socket.AF_INET, {SOCK_DCCP}, {DCCP})\n    \
                 s.setsockopt({}, {}, struct.pack('>I', service))\n    return s\n\
             l = dccp({SERVED}); l.bind(('', {PORT})); l.listen()\n\
             print('listening', flush=True); sys.stdin.readline()\n\
             for port, service in ({PORT}, 7), (9, {SERVED}):\n    \
                 print('error', errno.errorcode[dccp(service).connect_ex(('192.0.2.2', port))])\n\
             END",
            SERVICE.0, SERVICE.1
        );
        let mut guest = Uml::new().interface("br0", GUEST).start(&script)?;
        guest.wait_for("listening")?;
        for (port, service, errno) in [(PORT, 7, libc::EBADRQC), (9, SERVED, libc::ECONNREFUSED)] {
            let socket = socket(&node, Domain::IPV4, service)?;
            let error = socket.connect(SocketAddr::new("192.0.2.1".parse()?, port));
            let error = error.err().and_then(|error| error.raw_os_error());
            check!(
                error == Some(errno),
                "port {port}, service {service}: {error:?}"
            );
        }
        guest.say("go on")?;
        guest.wait_for("error EBADRQC")?;
        guest.wait_for("error ECONNREFUSED")?;
        guest.finish()?;
        Ok(Outcome::Passed)
    })
}
