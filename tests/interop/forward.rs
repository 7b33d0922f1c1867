//! A node as the router between two kernels, each in a namespace of its own behind a TAP.

use crate::run::{PYTHON, need};
use crate::tap::LIMIT;
use sockeye::drivers::{Tun, local_address};
use sockeye::link::Medium;
use sockeye::{Config, Counter, LinkConfig, Node};
use sockeye_tests::{
    Namespace, Outcome, Program, Result, Test, check, have, ignore, in_namespace, recorded, tests,
};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

pub(crate) const TESTS: &[Test] = tests![
    kernels_ping_each_other_and_trace_the_router,
    kernels_talk_tcp_in_super_segments,
    a_kernel_learns_the_mtu_of_the_link_behind,
    a_kernel_follows_redirects,
    crafted_fragments_and_headers_are_dropped_and_service_goes_on,
];

const LEFT: [&str; 2] = ["10.0.0.9", "fd00::9"];
const RIGHT: [&str; 2] = ["10.9.0.9", "fd09::9"];
const ROUTER: [&str; 2] = ["10.0.0.1", "fd00::1"];

/// A router, and what it joins.
struct Network {
    node: Node,
    left: Namespace,
    right: Namespace,
}

/// A node between two namespaces, or why there can be none. The link on the right carries `mtu`.
fn network(mtu: u32) -> Result<Result<Network, String>> {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let mut config = Config::default();
    config.set_sysctl("net.ipv4.ip_forward", "1")?;
    config.set_sysctl("net.ipv6.conf.all.forwarding", "1")?;
    let node = Node::builder().config(config).build()?;
    for (index, name, namespace, net, host) in [
        (0, "left", &left, ROUTER, LEFT),
        (1, "right", &right, ["10.9.0.1", "fd09::1"], RIGHT),
    ] {
        let ip = |words: &str| Program::new("ip").args(words.split(' ')).run();
        let made = ip(&format!("tuntap add mode tap name {name}"))?;
        if made.code != Some(0) {
            let why = made.stderr_text();
            return Ok(Err(format!("no TAP device can be made: {}", why.trim())));
        }
        if name == "right" {
            ip(&format!("link set right mtu {mtu}"))?.expect(0)?;
        }
        let medium = Medium::Ethernet(local_address(&[7; 32], index));
        let tap = Tun::open(name, medium)?;
        ip(&format!("link set {name} netns {}", namespace.pid()))?.expect(0)?;
        namespace.ip(&format!("link set {name} up"))?;
        let link = LinkConfig::new()
            .address(format!("{}/24", net[0]).parse()?)
            .address(format!("{}/64", net[1]).parse()?)
            // Nobody else is on this wire.
            .detect_duplicates(false);
        node.add_link(name, recorded(tap)?, link)?;
        namespace.ip(&format!("addr add {}/24 dev {name}", host[0]))?;
        namespace.ip(&format!("addr add {}/64 dev {name} nodad", host[1]))?;
        namespace.ip(&format!("route add default via {}", net[0]))?;
        namespace.ip(&format!("-6 route add default via {}", net[1]))?;
    }
    Ok(Ok(Network { node, left, right }))
}

macro_rules! network {
    ($mtu:expr) => {
        match network($mtu)? {
            Ok(network) => network,
            Err(reason) => return ignore!("{reason}"),
        }
    };
}

impl Network {
    fn count(&self, counter: Counter) -> Result<u64> {
        Ok(self.node.counters()?.get(counter))
    }

    fn ping(&self, words: &[&str]) -> Result<String> {
        let words: Vec<&str> = ["ping", "-n", "-i", "0.2", "-W", "5"]
            .iter()
            .chain(words)
            .copied()
            .collect();
        Ok(self.left.program(&words).run()?.stdout_text())
    }
}

fn kernels_ping_each_other_and_trace_the_router() -> Result {
    in_namespace(
        "interop::forward::kernels_ping_each_other_and_trace_the_router",
        LIMIT,
        || {
            need!("ping");
            let network = network!(1500);
            for (to, router) in RIGHT.into_iter().zip(ROUTER) {
                // Whole and in fragments; a hop is taken off.
                for size in ["56", "4000"] {
                    let text = network.ping(&["-c", "3", "-s", size, to])?;
                    check!(text.contains("3 received"), "{to}, {size}: {text}");
                    check!(text.contains("ttl=63"), "{to}, {size}: {text}");
                }
                let text = network.ping(&["-c", "1", "-t", "1", to])?;
                check!(
                    text.to_lowercase().contains(&format!("from {router}")),
                    "{to}: {text}"
                );
                if have("traceroute") {
                    let trace = ["traceroute", "-n", "-q", "1", "-w", "5", to];
                    let text = network.left.program(&trace).run()?.expect(0)?.stdout_text();
                    check!(hops(&text) == [router, to], "{to}: {text}");
                }
                if have("mtr") {
                    let report = ["mtr", "-n", "-r", "-c", "2", to];
                    let text = network
                        .left
                        .program(&report)
                        .run()?
                        .expect(0)?
                        .stdout_text();
                    check!(text.contains(router) && text.contains(to), "{to}: {text}");
                }
            }
            check!(network.count(Counter::IpReasmReqds)? == 0, "it reassembles");
            // A host that is not there: the router says so, after having looked for it.
            for (to, router) in ["10.9.0.77", "fd09::77"].into_iter().zip(ROUTER) {
                let text = network.ping(&["-c", "1", to])?;
                let told = text.to_lowercase();
                check!(
                    told.contains(&format!("from {router}")) && told.contains("unreachable"),
                    "{to}: {text}"
                );
            }
            // A network that is not there.
            network.left.ip("route add 192.0.2.0/24 via 10.0.0.1")?;
            let text = network.ping(&["-c", "1", "192.0.2.1"])?;
            check!(text.contains("Net Unreachable"), "{text}");
            Ok(Outcome::Passed)
        },
    )
}

/// The hosts of a trace, in order.
fn hops(text: &str) -> Vec<&str> {
    let lines = text.lines().skip(1);
    lines
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect()
}

/// `bytes` from one namespace to another, both of which say what they have seen.
fn transfer(from: &Namespace, to: &Namespace, address: &str, bytes: usize) -> Result<()> {
    let serve = format!(
        "import socket, hashlib, sys\n\
         s = socket.create_server(('{address}', 7000), family=socket.{})\n\
         print('up', flush=True); c, a = s.accept(); h = hashlib.sha256()\n\
         while b := c.recv(1 << 18): h.update(b)\n\
         c.sendall(h.digest()); c.close()",
        if address.contains(':') {
            "AF_INET6"
        } else {
            "AF_INET"
        }
    );
    let send = format!(
        "import socket, hashlib, random\n\
         c = socket.create_connection(('{address}', 7000)); h = hashlib.sha256()\n\
         b = random.Random(1).randbytes((1 << 20) + 4096)\n\
         for n in range({}):\n\
         \x20   p = b[n % 4096:][:1 << 20]; h.update(p); c.sendall(p)\n\
         c.shutdown(socket.SHUT_WR); d = b''\n\
         while p := c.recv(64): d += p\n\
         assert d == h.digest(), 'other bytes arrived'",
        bytes >> 20
    );
    let mut server = to.program(&[PYTHON, "-c", &serve]);
    server.command().stdout(Stdio::piped());
    let mut server = server.start()?;
    let mut up = String::new();
    let output = server.0.stdout.take().ok_or("a pipe")?;
    BufReader::new(output).read_line(&mut up)?;
    from.program(&[PYTHON, "-c", &send]).run()?.expect(0)?;
    check!(server.0.wait()?.success(), "the server failed");
    Ok(())
}

fn kernels_talk_tcp_in_super_segments() -> Result {
    in_namespace(
        "interop::forward::kernels_talk_tcp_in_super_segments",
        LIMIT,
        || {
            const BYTES: usize = 256 << 20;
            need!(PYTHON);
            let Network { node, left, right } = &network!(1500);
            for family in 0..2 {
                for (from, to, address) in
                    [(left, right, RIGHT[family]), (right, left, LEFT[family])]
                {
                    let before = node.counters()?.get(Counter::IpForwDatagrams);
                    transfer(from, to, address, BYTES)?;
                    let packets = node.counters()?.get(Counter::IpForwDatagrams) - before;
                    let segments = BYTES as u64 / 1460;
                    // Acknowledgments too.
                    check!(
                        packets * 2 < segments,
                        "{segments} segments to {address} in {packets} packets"
                    );
                }
            }
            Ok(Outcome::Passed)
        },
    )
}

/// RFC 1191, RFC 8201: the kernel believes what the node says of the link behind it.
fn a_kernel_learns_the_mtu_of_the_link_behind() -> Result {
    in_namespace(
        "interop::forward::a_kernel_learns_the_mtu_of_the_link_behind",
        LIMIT,
        || {
            need!(PYTHON, "ping");
            let network = network!(1300);
            let Network { node, left, right } = &network;
            // As if its link carried as much as the left one: else its SYN said what fits.
            right.ip("route change default via 10.9.0.1 advmss 1460")?;
            right.ip("-6 route change default via fd09::1 advmss 1440")?;
            for (to, counter) in RIGHT
                .into_iter()
                .zip([Counter::IpFragFails, Counter::Ip6InTooBigErrors])
            {
                transfer(left, right, to, 16 << 20)?;
                let refused = node.counters()?.get(counter);
                check!(refused > 0, "everything fitted on the way to {to}");
                let route = left.ip(&format!("route get {to}"))?;
                check!(route.contains("mtu 1300"), "{to}: {route}");
            }
            left.ip("route flush cache")?;
            // What may be cut is cut: ping without DF, larger than the link.
            let text = network.ping(&["-c", "2", "-M", "dont", "-s", "1400", RIGHT[0]])?;
            check!(text.contains("2 received"), "{text}");
            check!(node.counters()?.get(Counter::IpFragOKs) >= 2, "nothing cut");
            Ok(Outcome::Passed)
        },
    )
}

/// RFC 1812 §5.2.7.2, RFC 4861 §8: a kernel on one Ethernet with the node and another router.
fn a_kernel_follows_redirects() -> Result {
    in_namespace(
        "interop::forward::a_kernel_follows_redirects",
        LIMIT,
        || {
            need!("ping");
            let network = network!(1500);
            let Network { node, left, .. } = &network;
            let other = Namespace::new()?;
            let bridge = [
                "ip",
                "link",
                "add",
                "br0",
                "type",
                "bridge",
                "forward_delay",
                "0",
            ];
            let made = left.program(&bridge).run()?;
            if made.code != Some(0) {
                return ignore!("no bridge can be made: {}", made.stderr_text().trim());
            }
            for words in [
                "addr flush dev left".to_owned(),
                "link set left master br0".to_owned(),
                format!(
                    "link add near type veth peer name eth0 netns {}",
                    other.pid()
                ),
                "link set near master br0".to_owned(),
                "link set near up".to_owned(),
                "link set br0 up".to_owned(),
                "addr add 10.0.0.9/24 dev br0".to_owned(),
                "addr add fd00::9/64 dev br0 nodad".to_owned(),
            ] {
                left.ip(&words)?;
            }
            for words in [
                "link set eth0 up",
                "addr add 10.0.0.8/24 dev eth0",
                "addr add fd00::8/64 dev eth0 nodad",
                "addr add fe80::8/64 dev eth0 nodad",
                "addr add 192.0.2.1/32 dev lo",
                "addr add 2001:db8:7::1/128 dev lo nodad",
            ] {
                other.ip(words)?;
            }
            for family in ["ipv4", "ipv6"] {
                for interface in ["all", "br0"] {
                    left.set(&format!("{family}/conf/{interface}/accept_redirects"), "1")?;
                }
            }
            let interfaces = node.interfaces()?;
            let ours = interfaces
                .iter()
                .find(|i| i.name == "left")
                .ok_or("a link")?;
            let mut own = ours.addresses.iter().map(|a| a.net.addr());
            let own =
                own.find(|a| matches!(a, std::net::IpAddr::V6(v6) if v6.is_unicast_link_local()));
            let own = own.ok_or("a link-local address")?;
            left.ip("route add 192.0.2.0/24 via 10.0.0.1")?;
            left.ip(&format!("-6 route add 2001:db8:7::/64 via {own} dev br0"))?;
            for (net, gateway) in [("192.0.2.0/24", "10.0.0.8"), ("2001:db8:7::/64", "fe80::8")] {
                node.add_route(net.parse()?, Some(gateway.parse()?), ours.id, 0)?;
            }
            for (to, better) in [("192.0.2.1", "10.0.0.8"), ("2001:db8:7::1", "fe80::8")] {
                // Until the bridge and the kernel's own link-local address are ready.
                let text = network.ping(&["-c", "20", to])?;
                check!(!text.contains(" 0 received"), "{to}: {text}");
                let route = left.ip(&format!("route get {to}"))?;
                check!(route.contains(&format!("via {better} ")), "{to}: {route}");
            }
            let sent = network.count(Counter::IcmpOutRedirects)?;
            check!(sent >= 2, "{sent} redirects");
            // Who follows them no longer comes by.
            let before = network.count(Counter::IpForwDatagrams)?;
            network.ping(&["-c", "5", "192.0.2.1"])?;
            let more = network.count(Counter::IpForwDatagrams)? - before;
            check!(more == 0, "{more} packets still came by");
            Ok(Outcome::Passed)
        },
    )
}

/// What people have sent to crash stacks, made by scapy on the kernel's side of the TAP.
const CRAFTED: &str = r#"
from scapy.all import *
import sys
conf.verb = 0
iface, mac, v4, v6 = sys.argv[1:]
def put(*packets):
    sendp([Ether(dst=mac) / p for p in packets], iface=iface)
def f4(offset, more, data, ident, proto=17, dst=v4):
    return IP(src="10.0.0.9", dst=dst, id=ident, proto=proto, flags="MF" if more else 0, frag=offset // 8) / Raw(data)
def f6(offset, more, data, ident, nh=17):
    return IPv6(src="fd00::9", dst=v6) / IPv6ExtHdrFragment(offset=offset // 8, m=more, id=ident, nh=nh) / Raw(data)
# Teardrop: the second lies inside the first.
put(f4(0, 1, b"a" * 64, 1), f4(24, 0, b"b" * 4, 1))
put(f6(0, 1, b"a" * 64, 1), f6(24, 0, b"b" * 4, 1))
# Overlaps from before and behind.
put(f4(8, 1, b"a" * 64, 2), f4(0, 1, b"b" * 16, 2))
put(f6(8, 1, b"a" * 64, 2), f6(64, 0, b"b" * 16, 2))
# Ping of death.
put(f4(65528, 0, b"d" * 100, 3, proto=1), f6(65528, 0, b"d" * 100, 3, nh=58))
# Tiny fragments of a segment, and the one that would overwrite its flags.
put(f4(0, 1, b"t" * 8, 4, proto=6), f4(8, 0, b"t" * 24, 4, proto=6))
put(f6(0, 1, b"t" * 8, 4, nh=6))
# A first fragment that ends inside its headers.
put(f6(0, 1, bytes([17, 4, 1, 4, 0, 0, 0, 0]), 5, nh=60))
# Source routes, malformed options.
put(IP(src="10.0.0.9", dst=v4, options=IPOption_LSRR(routers=["10.9.0.9"])) / UDP())
put(IP(src="10.0.0.9", dst="10.9.0.9", options=IPOption_SSRR(routers=["10.9.0.9"])) / UDP())
put(IP(src="10.0.0.9", dst=v4, options=IPOption(b"\x07\x07\x05\0\0\0\0\0")) / UDP())
# Chains of headers, of options, of padding.
chain = IPv6(src="fd00::9", dst=v6)
for n in range(40):
    chain = chain / IPv6ExtHdrDestOpt()
put(chain / UDP())
put(IPv6(src="fd00::9", dst=v6) / IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=0x1e, optdata=b"") for n in range(60)]) / UDP())
# A second hop-by-hop header, an unknown header, a routing header with segments left.
put(IPv6(src="fd00::9", dst=v6, nh=60) / IPv6ExtHdrDestOpt(nh=0) / IPv6ExtHdrHopByHop() / UDP())
put(IPv6(src="fd00::9", dst=v6, nh=250) / Raw(b"\0" * 16))
put(IPv6(src="fd00::9", dst=v6) / IPv6ExtHdrRouting(type=0, addresses=["fd09::9"], segleft=1) / UDP())
# Errors that quote what nobody sent.
put(IP(src="10.0.0.7", dst=v4) / ICMP(type=3, code=4, nexthopmtu=68) / IP(src=v4, dst="10.9.0.9") / TCP())
put(IPv6(src="fd00::7", dst=v6) / ICMPv6PacketTooBig(mtu=1280) / IPv6(src=v6, dst="fd09::9") / TCP())
# Sources that can't be: nobody, everybody, the loopback, the node itself; and LAND.
for src in ["0.0.0.1", "255.255.255.255", "127.0.0.1", "224.0.0.1", v4]:
    put(IP(src=src, dst="10.9.0.9") / UDP(), IP(src=src, dst=v4) / TCP(sport=7, dport=7))
# A flood of fragments that are never made whole.
put(*[f4(8, 1, b"f" * 1400, n, dst=v4) for n in range(6000)])
put(*[f6(8, 1, b"f" * 1400, n) for n in range(6000)])
"#;

fn crafted_fragments_and_headers_are_dropped_and_service_goes_on() -> Result {
    in_namespace(
        "interop::forward::crafted_fragments_and_headers_are_dropped_and_service_goes_on",
        LIMIT,
        || {
            need!(PYTHON, "ping");
            let network = network!(1500);
            let Network { node, left, .. } = &network;
            let probe = Program::new(PYTHON).args(["-c", "import scapy.all"]);
            if probe.run()?.code != Some(0) {
                return ignore!("scapy is not installed for {PYTHON}");
            }
            let mac = local_address(&[7; 32], 0).to_string();
            let [v4, v6] = ROUTER;
            let script = [PYTHON, "-c", CRAFTED, "left", &mac, v4, v6];
            left.program(&script).run()?.expect(0)?;
            // The answer to a ping comes after all that was sent before it.
            for to in ROUTER.into_iter().chain(RIGHT) {
                let text = network.ping(&["-c", "2", to])?;
                check!(text.contains("2 received"), "{to}: {text}");
            }
            let counters = node.counters()?;
            for (counter, least) in [
                (Counter::IpExtReasmOverlaps, 4),
                (Counter::IpReasmOversize, 2),
                (Counter::IpReasmTiny, 4),
                (Counter::IpInSourceRoutes, 2),
                (Counter::IpInHeaderLimits, 2),
                (Counter::IpInHdrErrors, 2),
                (Counter::IpInUnknownProtos, 1),
                (Counter::IcmpInUnmatched, 2),
                (Counter::IpInMartians, 1),
                (Counter::IpInAddrErrors, 8),
                (Counter::IpReasmLimits, 1000),
            ] {
                let counted = counters.get(counter);
                check!(counted >= least, "{}: {counted}", counter.name());
            }
            check!(
                counters.get(Counter::IpReasmOKs) <= 4,
                "a crafted one passed"
            );
            // Another source is not affected by the flood of the first.
            left.ip("addr add 10.0.0.10/24 dev left")?;
            let text = network.ping(&["-c", "2", "-s", "4000", "-I", "10.0.0.10", v4])?;
            check!(text.contains("2 received"), "{text}");
            Ok(Outcome::Passed)
        },
    )
}
