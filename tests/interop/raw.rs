//! Raw sockets of a node beside those of the kernel: the same script on both, in namespaces of the
//! test's own. Its peer is a kernel each time: by a cable, and by a TAP device.
//!
//! Not here: what a program can't see under `run`, such as the errors of raw sockets.

use crate::run::{PYTHON, need};
use crate::tap::LIMIT;
use sockeye_tests::{
    Namespace, Outcome, Program, Result, Test, check, have, ignore, in_namespace, sockeye, tests,
};
use std::collections::BTreeSet;

pub(crate) const TESTS: &[Test] = tests![
    raw_sockets_are_as_the_kernels,
    every_call_answers_as_the_kernels,
    raw_sockets_take_a_capability_under_run,
];

/// The same addresses on both sides.
const OWN: &str = "192.0.2.2";
const PEER: &str = "192.0.2.1";

/// All calls, with what they take and what they don't.
const CALLS: &str = include_str!("raw_calls.py");
/// Lines that differ, by how they begin, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    (
        "to a group ",
        "a node without a default route reaches groups by its first interface, a kernel none",
    ),
    (
        "to all ",
        "likewise, so that it is the missing SO_BROADCAST that is told",
    ),
    (
        "elsewhere in the header ",
        "a packet to itself is received by its own header, in a kernel by the route of its send",
    ),
    (
        "raw6 set 255 1 b'",
        "that IPv6 sockets have no ICMP_FILTER is said first, in a kernel that it is too short",
    ),
];

/// What can be told of raw sockets: each line is one call or one packet.
const SCRIPT: &str = r#"
import errno, select, socket, struct, time
OWN, PEER = "192.0.2.2", "192.0.2.1"
OWN6, PEER6 = "2001:db8::2", "2001:db8::1"

def say(what, call):
    try:
        print(what, call())
    except OSError as e:
        print(what, errno.errorcode[e.errno])

def raw(protocol, family=socket.AF_INET):
    s = socket.socket(family, socket.SOCK_RAW, protocol)
    s.settimeout(20)
    return s

def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff

def echo(ident, seq, data=b"data", kind=8):
    message = struct.pack("!BBHHH", kind, 0, 0, ident, seq) + data
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]

def header(dst, protocol=1, src="0.0.0.0", ident=0, frag=0, total=0, ihl=5, ttl=9):
    return struct.pack("!BBHHHBBH4s4s", 0x40 | ihl, 0, total, ident, frag, ttl, protocol, 0xbeef,
                       socket.inet_aton(src), socket.inet_aton(dst))

def heard(s, ident, count=1):
    # The replies to our own requests; of what else comes nothing is said.
    out = []
    while len(out) < count:
        packet, peer = s.recvfrom(65535)
        ihl = (packet[0] & 15) * 4
        kind, _, _, i, seq = struct.unpack("!BBHHH", packet[ihl:ihl + 8])
        if kind == 0 and i == ident:
            good = checksum(packet[:ihl]) == 0
            length = struct.unpack("!H", packet[2:4])[0] == len(packet)
            out.append((peer, seq, packet[9], good, length, packet[ihl + 8:][:8]))
    return out

# Making one.
say("protocol 0", lambda: raw(0))
say("protocol -1", lambda: raw(-1))
icmp = raw(1)
say("name", lambda: icmp.getsockname())
say("peer", lambda: icmp.getpeername())
say("HDRINCL", lambda: icmp.getsockopt(0, socket.IP_HDRINCL))
say("RAW HDRINCL", lambda: raw(255).getsockopt(0, socket.IP_HDRINCL))
say("not ours", lambda: icmp.bind(("198.51.100.1", 0)))
say("broadcast", lambda: icmp.sendto(echo(1, 1), ("192.0.2.255", 0)))
say("out of band", lambda: icmp.sendto(b"x", socket.MSG_OOB, (PEER, 0)))

# An echo, without and with an own header.
icmp.sendto(echo(7, 1), (PEER, 0))
print("echo", heard(icmp, 7))
own = raw(255)
own.sendto(header(PEER) + echo(7, 2), (PEER, 0))
print("own header", heard(icmp, 7))
own.sendto(header(PEER, src=OWN, ident=77, total=9999) + echo(7, 3), (PEER, 0))
print("all its fields", heard(icmp, 7))
say("short header", lambda: own.sendto(header(PEER)[:19], (PEER, 0)))
say("header beyond the end", lambda: own.sendto(header(PEER, ihl=15) + b"x" * 30, (PEER, 0)))
say("no header at all", lambda: own.sendto(b"\0" * 24, (PEER, 0)))
say("largest", lambda: own.sendto(header(PEER) + echo(7, 4, b"a" * 1472), (PEER, 0)))
print("largest came", [h[:5] for h in heard(icmp, 7)])
say("larger", lambda: own.sendto(header(PEER) + echo(7, 5, b"a" * 1473), (PEER, 0)))
say("fragments", lambda: icmp.sendto(echo(7, 6, b"a" * 3000), (PEER, 0)))
print("fragments came", [h[:5] for h in heard(icmp, 7)])
say("too long", lambda: icmp.sendto(b"\0" * 65536, (PEER, 0)))
icmp.setsockopt(0, 10, 2) # IP_MTU_DISCOVER: IP_PMTUDISC_DO
say("no fragments", lambda: icmp.sendto(echo(7, 7, b"a" * 3000), (PEER, 0)))
icmp.setsockopt(0, 10, 0)

# The identification: filled in, kept. The own address sees what is sent to it.
probe = raw(253)
for what, fields in (("zero", {}), ("kept", {"ident": 5}), ("zero, not to be cut", {"frag": 0x4000}),
                     ("kept, not to be cut", {"ident": 5, "frag": 0x4000})):
    own.sendto(header(OWN, 253, **fields) + b"probe", (OWN, 0))
    packet = probe.recv(65535)
    ident = struct.unpack("!H", packet[4:6])[0]
    print("identification", what, ident if ident in (0, 5) else "filled",
          socket.inet_ntoa(packet[12:16]), checksum(packet[:20]), packet[20:])

# Who receives what: bound, connected, filtered.
def waits(s):
    return bool(select.select([s], [], [], 0.2)[0])

others = {"bound": raw(253), "elsewhere": raw(253), "connected": raw(253), "other peer": raw(253)}
others["bound"].bind((OWN, 0))
others["elsewhere"].bind(("127.0.0.1", 0))
others["connected"].connect((OWN, 0))
others["other peer"].connect((PEER, 0))
print("names", others["bound"].getsockname(), others["connected"].getsockname())
probe.sendto(b"to itself", (OWN, 0))
print("received", probe.recv(65535)[20:], {name: waits(s) for name, s in others.items()})
say("send without address", lambda: others["connected"].send(b"again"))
print("received", probe.recv(65535)[20:])

say("filter", lambda: icmp.setsockopt(255, 1, struct.pack("I", ~1 & 0xffffffff)))
print("filter", icmp.getsockopt(255, 1, 4))
say("filter of another", lambda: probe.setsockopt(255, 1, struct.pack("I", 0)))
say("filter read", lambda: probe.getsockopt(255, 1, 4))
both = raw(1)
icmp.sendto(echo(8, 1), (OWN, 0))
print("filtered", icmp.recv(100)[20], "not filtered", both.recv(100)[20])

# IPv6: no header comes, and checksums where they are asked for.
v6 = raw(58, socket.AF_INET6)
say("checksum of ICMPv6", lambda: v6.setsockopt(41, 7, 2))
say("odd checksum", lambda: raw(253, socket.AF_INET6).setsockopt(41, 7, 3))
say("no checksum", lambda: raw(253, socket.AF_INET6).setsockopt(41, 7, -2))
say("checksum of IPv4", lambda: probe.setsockopt(41, 7, 2))
v6.setsockopt(58, 1, b"".join(struct.pack("I", 0xffffffff & ~(2 if n == 4 else 0)) for n in range(8)))
while True:
    try:
        raw(253, socket.AF_INET6).bind((OWN6, 0))
        break
    except OSError as e:
        # Until nobody has objected to the address.
        if e.errno != errno.EADDRNOTAVAIL:
            raise
        time.sleep(0.1)
v6.sendto(struct.pack("!BBHHH", 128, 0, 0, 9, 1) + b"data", (PEER6, 0))
packet, peer = v6.recvfrom(100)
print("echo", packet[:2], packet[4:], peer[:2])
six = raw(253, socket.AF_INET6)
six.setsockopt(41, 7, 4)
six.sendto(b"abcd\0\0ef", (OWN6, 0))
print("summed", six.recv(100))
say("too short for its checksum", lambda: six.sendto(b"abcd", (OWN6, 0)))
"#;

/// A kernel's raw sockets at one end of a cable, the kernel's other end their peer.
fn by_the_kernel(script: &str) -> Result<String> {
    let host = Namespace::new()?;
    let pid = host.pid();
    for words in [
        format!("link add near type veth peer name far netns {pid}"),
        "link set near up".to_owned(),
        format!("addr add {PEER}/24 dev near"),
        "addr add 2001:db8::1/64 dev near nodad".to_owned(),
    ] {
        Program::new("ip").args(words.split(' ')).run()?.expect(0)?;
    }
    for words in [
        "link set far up".to_owned(),
        format!("addr add {OWN}/24 dev far"),
        "addr add 2001:db8::2/64 dev far nodad".to_owned(),
    ] {
        host.ip(&words)?;
    }
    // Whoever asks has ping sockets, as under `run`.
    host.set("ipv4/ping_group_range", "\"0 2147483647\"")?;
    let ran = host.program(&[PYTHON, "-c", script]).run()?.expect(0)?;
    Program::new("ip")
        .args(["link", "del", "near"])
        .run()?
        .expect(0)?;
    Ok(ran.stdout_text())
}

fn raw_sockets_are_as_the_kernels() -> Result {
    let name = "interop::raw::raw_sockets_are_as_the_kernels";
    need!(PYTHON);
    sockeye()?;
    in_namespace(name, LIMIT, || compare(SCRIPT, 30, &[]))
}

fn every_call_answers_as_the_kernels() -> Result {
    let name = "interop::raw::every_call_answers_as_the_kernels";
    need!(PYTHON);
    sockeye()?;
    in_namespace(name, LIMIT, || compare(CALLS, 400, DIFFERENCES))
}

/// A script says the same, more than so many lines, on the kernel's sockets and on a node's, but for
/// what is `known` to differ.
fn compare(script: &str, least: usize, known: &[(&str, &str)]) -> Result {
    let ip = |words: &str| Program::new("ip").args(words.split(' ')).run();
    // Every error is answered, however fast they come.
    std::fs::write("/proc/sys/net/ipv4/icmp_ratemask", "0")?;
    let theirs = by_the_kernel(script)?;
    let made = ip("tuntap add mode tap name sockeye0")?;
    if made.code != Some(0) {
        return ignore!("no TAP device: {}", made.stderr_text().trim());
    }
    for words in [
        "link set sockeye0 up".to_owned(),
        format!("addr add {PEER}/24 dev sockeye0"),
        "addr add 2001:db8::1/64 dev sockeye0 nodad".to_owned(),
    ] {
        ip(&words)?.expect(0)?;
    }
    let link = format!("tap:sockeye0,addr={OWN}/24,addr=2001:db8::2/64");
    let ours = Program::new(sockeye()?).args(["run", "--link", &link, "--", PYTHON]);
    let ours = ours.args(["-c", script]).run()?;
    let (said, complaint) = (ours.stdout_text(), ours.stderr_text());
    let (mut differences, mut met) = (String::new(), BTreeSet::new());
    let lines = theirs.lines().count().max(said.lines().count());
    for n in 0..lines {
        let (want, got) = (theirs.lines().nth(n), said.lines().nth(n));
        if want == got {
            continue;
        }
        let line = want.unwrap_or_default();
        match known.iter().find(|(start, _)| line.starts_with(start)) {
            Some((start, _)) => drop(met.insert(start)),
            None => differences += &format!("the kernel: {want:?}\n        we: {got:?}\n"),
        }
    }
    for (start, why) in known {
        check!(met.contains(start), "{start:?} does not differ: {why}");
    }
    check!(lines > least, "the script told {lines} lines: {theirs}");
    check!(differences.is_empty(), "{differences}{complaint}");
    Ok(Outcome::Passed)
}

/// An ordinary user's program has raw sockets of its node, unless the node has not.
fn raw_sockets_take_a_capability_under_run() -> Result {
    need!(PYTHON);
    let script = "
import errno, socket
for kind, protocol in ((socket.SOCK_RAW, 1), (socket.SOCK_RAW, 255), (socket.SOCK_DGRAM, 1)):
    try:
        socket.socket(socket.AF_INET, kind, protocol)
        print('yes')
    except OSError as e:
        print(errno.errorcode[e.errno])
";
    for (options, wanted) in [
        (&[][..], "yes\nyes\nyes\n"),
        (&["--deny-raw"], "EPERM\nEPERM\nyes\n"),
    ] {
        let run = Program::new(sockeye()?).arg("run").args(options);
        let run = run.args(["--", PYTHON, "-c", script]).unprivileged();
        let got = run.run()?.expect(0)?.stdout_text();
        check!(got == wanted, "{options:?}: {got:?}");
    }
    // traceroute(8)'s probes by ICMP and by raw TCP.
    need!("traceroute");
    for how in ["-I", "-T"] {
        let run = Program::new(sockeye()?).args(["run", "--", "traceroute", "-n", how]);
        let run = run.args(["-q", "1", "-w", "3", "10.0.2.2"]).unprivileged();
        let text = run.run()?.expect(0)?.stdout_text();
        check!(text.contains(" 1  10.0.2.2 "), "traceroute {how}: {text}");
    }
    Ok(Outcome::Passed)
}
