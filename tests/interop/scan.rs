//! `sockeye scan` beside nmap on the same host of the kernel; and nmap and hping3 against a node.

use crate::run::{PYTHON, need};
use crate::tap::{NODE_V4, NODE_V6, node};
use sockeye::net::{TcpListener, UdpSocket};
use sockeye_tests::{
    Namespace, Outcome, Program, Result, Running, Test, check, fail, have, ignore, in_namespace,
    sockeye, tests,
};
use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = tests![
    the_verdicts_are_those_of_nmap,
    a_network_is_swept_as_by_nmap,
    nmap_sees_the_ports_of_a_node,
    hping_sees_the_ports_of_a_node,
    nmap_scans_by_connecting_under_run,
];

/// nmap takes its time, eight times.
const LIMIT: Duration = Duration::from_secs(240);
/// The far host, as nmap reaches it and as a node does.
const FAR_V4: &str = "198.51.100.9";
const FAR_V6: &str = "2001:db8:9::9";
const TAP_V4: &str = "192.0.2.9";
const TAP_V6: &str = "2001:db8::9";
/// What each port of the far host does: for TCP and UDP alike.
const OPEN: &[u16] = &[22, 80, 8080];
const CLOSED: &[u16] = &[23, 81, 8081];
/// Dropped without a word, and refused by ICMP: as prohibited, as unreachable.
const DROPPED: u16 = 82;
const PROHIBITED: u16 = 83;
const UNREACHABLE: u16 = 84;
const PORTS: &str = "22,23,80-84,8080,8081";

/// Listens to TCP and answers UDP, and says so.
const SERVER: &str = r#"
import os, select, socket, sys
parent = os.getppid()
streams, datagrams = [], []
for port in map(int, sys.argv[1:]):
    s = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    streams.append(s)
    d = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    d.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    d.bind(("::", port))
    datagrams.append(d)
open("/proc/self/comm", "w").write("listening")
# Nobody's server any more: it ends.
while os.getppid() == parent:
    for s in select.select(streams + datagrams, [], [], 5)[0]:
        if s in streams:
            s.accept()[0].close()
        else:
            data, peer = s.recvfrom(2048)
            s.sendto(b"answer", peer)
"#;

/// A host of the kernel, in a namespace of its own.
struct Far {
    host: Namespace,
    _server: Running,
}

impl Far {
    /// A program there.
    fn inside(&self, program: impl AsRef<std::ffi::OsStr>) -> Program {
        self.host.program(&[program])
    }
}

/// A host with servers and refusals, which nmap reaches by a cable and a node by a TAP device; or why
/// there can be none.
fn far() -> Result<std::result::Result<Far, String>> {
    let host = Namespace::new()?;
    let pid = host.pid();
    let inside = |program: &str| host.program(&[program]);
    // A host that forwards tells by ICMP what its rules refuse. No type is limited by the mask: a
    // limit of 0 would use up what `route/error_cost` counts with.
    let settings = "cd /proc/sys/net; echo 0 > ipv4/icmp_ratemask; echo 0 > ipv6/icmp/ratelimit; \
                    echo 1 > ipv4/ip_forward; echo 1 > ipv6/conf/all/forwarding";
    inside("sh").args(["-c", settings]).run()?.expect(0)?;
    let tap = inside("ip").args("tuntap add mode tap name sockeye0".split(' '));
    let made = tap.run()?;
    if made.code != Some(0) {
        return Ok(Err(format!("no TAP device: {}", made.stderr_text())));
    }
    for words in [
        format!("link add near type veth peer name far netns {pid}"),
        "link set near up".to_owned(),
        "addr add 198.51.100.1/24 dev near".to_owned(),
        "addr add 2001:db8:9::1/64 dev near nodad".to_owned(),
    ] {
        Program::new("ip").args(words.split(' ')).run()?.expect(0)?;
    }
    for words in [
        "link set far up".to_owned(),
        format!("addr add {FAR_V4}/24 dev far"),
        format!("addr add {FAR_V6}/64 dev far nodad"),
        "link set sockeye0 up".to_owned(),
        format!("addr add {TAP_V4}/24 dev sockeye0"),
        format!("addr add {TAP_V6}/64 dev sockeye0 nodad"),
    ] {
        host.ip(&words)?;
    }
    for family in ["-4", "-6"] {
        // Rules before the one that finds the host's own addresses.
        let mut rules = vec![
            "add pref 100 lookup local".to_owned(),
            "del pref 0".to_owned(),
        ];
        for protocol in ["tcp", "udp"] {
            for (port, what) in [
                (DROPPED, "blackhole"),
                (PROHIBITED, "prohibit"),
                (UNREACHABLE, "unreachable"),
            ] {
                rules.push(format!("add pref 5 ipproto {protocol} dport {port} {what}"));
            }
        }
        for rule in rules {
            let made = inside("ip").args([family, "rule"]).args(rule.split(' '));
            let made = made.run()?;
            if made.code != Some(0) {
                return Ok(Err(format!("no rule '{rule}': {}", made.stderr_text())));
            }
        }
    }
    let ports = OPEN.iter().map(u16::to_string);
    let server = inside(PYTHON).args(["-c", SERVER]).args(ports).start()?;
    let name = format!("/proc/{}/comm", server.0.id());
    while std::fs::read_to_string(&name)? != "listening\n" {
        thread::sleep(Duration::from_millis(10));
    }
    Ok(Ok(Far {
        host,
        _server: server,
    }))
}

/// States by port, from nmap's greppable report.
fn nmap(args: &[&str], host: &str) -> Result<BTreeMap<u16, String>> {
    let nmap = Program::new("nmap").args(["-n", "-Pn", "--max-retries", "2", "-oG", "-"]);
    let text = nmap.args(args).arg(host).run()?.expect(0)?.stdout_text();
    let mut states = BTreeMap::new();
    for line in text.lines() {
        let listed = line
            .split_once("Ports: ")
            .or(line.split_once("Protocols: "));
        let Some((_, ports)) = listed else {
            continue;
        };
        let ports = ports.split('\t').next().unwrap_or_default();
        for port in ports.split(", ") {
            let mut words = port.split('/');
            if let (Some(port), Some(state)) = (words.next(), words.next()) {
                states.insert(port.trim().parse()?, state.to_owned());
            }
        }
    }
    check!(
        !states.is_empty(),
        "nmap {args:?} {host} lists no port: {text}"
    );
    Ok(states)
}

/// Our table. A kernel tells one peer of few refusals a second (`route/error_cost`), so that each
/// scan comes from an address of its own: 192.0.2.`last`.
fn table(far: &Far, last: u8, args: &[&str], host: &str) -> Result<String> {
    let link = format!("tap:sockeye0,addr=192.0.2.{last}/24,addr={NODE_V6}/64");
    let scan = far.inside(sockeye()?).args(["scan", "--link", &link]);
    let ran = scan.args(args).arg(host).run()?;
    Ok(ran.stdout_text() + &ran.stderr_text())
}

/// States by port, from our table.
fn scan(far: &Far, last: u8, args: &[&str], host: &str) -> Result<BTreeMap<u16, String>> {
    let text = table(far, last, args, host)?;
    let mut states = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let port = words.next().and_then(|at| at.split_once('/'));
        if let (Some((port, _)), Some(state)) = (port, words.next())
            && let Ok(port) = port.parse()
        {
            states.insert(port, state.to_owned());
        }
    }
    check!(
        !states.is_empty(),
        "scan {args:?} {host} lists no port: {text}"
    );
    Ok(states)
}

/// Every kind of scan, over both families, on ports of each kind.
fn the_verdicts_are_those_of_nmap() -> Result {
    need!("nmap", PYTHON);
    // It is built before the time runs.
    sockeye()?;
    in_namespace(
        "interop::scan::the_verdicts_are_those_of_nmap",
        LIMIT,
        || {
            let far = match far()? {
                Ok(far) => far,
                Err(reason) => return ignore!("{}", reason.trim()),
            };
            // Datagrams first: of them alone silence is not the same as a refusal.
            for (last, theirs, ours) in [
                (10, "-sU", "--udp"),
                (11, "-sS", "--syn"),
                (12, "-sT", "--connect"),
                (13, "-sA", "--ack"),
            ] {
                for (theirs_at, host, v6) in [(FAR_V4, TAP_V4, false), (FAR_V6, TAP_V6, true)] {
                    let mut args = vec![theirs, "-p", PORTS];
                    args.extend(v6.then_some("-6"));
                    let wanted = nmap(&args, theirs_at)?;
                    let got = scan(&far, last, &[ours, "-p", PORTS], host)?;
                    check!(
                        got == wanted,
                        "{ours} {host}: nmap says {wanted:?}, we {got:?}"
                    );
                    // And they are what was set up.
                    let is = |ports: &[u16], state: &str| ports.iter().all(|p| got[p] == state);
                    let (open, closed) = match ours {
                        "--ack" => ("unfiltered", "unfiltered"),
                        _ => ("open", "closed"),
                    };
                    let refused = [PROHIBITED, UNREACHABLE];
                    let right = is(OPEN, open) && is(CLOSED, closed) && is(&refused, "filtered");
                    check!(right, "{ours} {host}: {got:?}");
                }
            }
            // Why, where nmap's words are known.
            let text = table(&far, 14, &["--udp", "--reason", "-p", "81-84"], TAP_V4)?;
            for (port, reason) in [
                ("81/udp", "port-unreach"),
                ("82/udp", "no-response"),
                ("83/udp", "admin-prohibited"),
                ("84/udp", "net-unreach"),
            ] {
                let line = text.lines().find(|line| line.starts_with(port));
                let right = line.is_some_and(|line| line.ends_with(reason));
                check!(right, "{port} is not {reason}: {text}");
            }
            Ok(Outcome::Passed)
        },
    )
}

fn a_network_is_swept_as_by_nmap() -> Result {
    need!("nmap", PYTHON);
    // It is built before the time runs.
    sockeye()?;
    let name = "interop::scan::a_network_is_swept_as_by_nmap";
    in_namespace(name, LIMIT, || {
        let far = match far()? {
            Ok(far) => far,
            Err(reason) => return ignore!("{}", reason.trim()),
        };
        for words in [
            "addr add 198.51.100.5/24 dev far",
            "addr add 192.0.2.5/24 dev sockeye0",
        ] {
            far.inside("ip").args(words.split(' ')).run()?.expect(0)?;
        }
        let net = "198.51.100.0/28";
        let theirs = Program::new("nmap").args(["-n", "-sn", "-PE", "-oG", "-", net]);
        let theirs = theirs.run()?.expect(0)?.stdout_text();
        let ours = table(&far, 2, &["--ping"], "192.0.2.0/28")?;
        // The last byte of each host that is up, without who asks.
        let up = |text: &str, marker: &str, own: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| line.contains(marker));
            let hosts = lines.flat_map(str::split_whitespace);
            let hosts = hosts
                .filter_map(|word| word.rsplit_once('.'))
                .filter(|(net, _)| ["198.51.100", "192.0.2"].contains(net));
            let mut up: Vec<String> = hosts.map(|(_, host)| host.to_owned()).collect();
            up.retain(|host| host != own);
            up.sort();
            up
        };
        let wanted = up(&theirs, "Status: Up", "1");
        let got = up(&ours, "Scan report for", "2");
        check!(
            got == wanted,
            "nmap sees {wanted:?}, we {got:?}: {ours}{theirs}"
        );
        check!(got == ["5", "9"], "{got:?}");
        Ok(Outcome::Passed)
    })
}

/// A node that listens at 22 and 80 and answers datagrams at 7; at 9 it takes them silently.
fn serve(node: &sockeye::Node) -> Result<(Vec<TcpListener>, Vec<UdpSocket>)> {
    let listen = |port: u16| TcpListener::bind_on(node, ("::", port));
    let listeners = vec![listen(22)?, listen(80)?];
    let bind = |port: u16| UdpSocket::bind_on(node, ("::", port));
    let sockets = vec![bind(7)?, bind(9)?];
    let echo = sockets[0].try_clone()?;
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((len, from)) = echo.recv_from(&mut buffer) {
            let answer = if len == 0 {
                &b"answer"[..]
            } else {
                &buffer[..len]
            };
            if echo.send_to(answer, from).is_err() {
                break;
            }
        }
    });
    Ok((listeners, sockets))
}

fn nmap_sees_the_ports_of_a_node() -> Result {
    need!("nmap");
    let name = "interop::scan::nmap_sees_the_ports_of_a_node";
    in_namespace(name, LIMIT, || {
        let node = node!(|tap| Box::new(tap));
        let _serving = serve(&node)?;
        let expected = |states: &[(u16, &str)]| -> BTreeMap<u16, String> {
            states
                .iter()
                .map(|(port, state)| (*port, (*state).into()))
                .collect()
        };
        let tcp = expected(&[(21, "closed"), (22, "open"), (80, "open"), (81, "closed")]);
        let udp = expected(&[(7, "open"), (9, "open|filtered"), (11, "closed")]);
        for (host, family) in [(NODE_V4, None), (NODE_V6, Some("-6"))] {
            let ask = |how: &str, ports: &str| {
                let mut args = vec![how, "-p", ports];
                args.extend(family);
                nmap(&args, host)
            };
            for how in ["-sS", "-sT"] {
                let got = ask(how, "21,22,80,81")?;
                check!(got == tcp, "{how} {host}: {got:?}");
            }
            let got = ask("-sU", "7,9,11")?;
            check!(got == udp, "-sU {host}: {got:?}");
            let got = ask("-sA", "22,81")?;
            let all = expected(&[(22, "unfiltered"), (81, "unfiltered")]);
            check!(got == all, "-sA {host}: {got:?}");
            // RFC 9293 §3.10.7.4: what has neither SYN, ACK nor RST is dropped where somebody
            // listens, and reset where nobody does.
            for how in ["-sF", "-sN", "-sX"] {
                let got = ask(how, "22,81")?;
                let wanted = expected(&[(22, "open|filtered"), (81, "closed")]);
                check!(got == wanted, "{how} {host}: {got:?}");
            }
        }
        // ICMP, TCP, UDP, SCTP, and what the node does not speak: GRE, an experiment.
        let got = nmap(&["-sO", "-p", "1,6,17,47,132,253"], NODE_V4)?;
        let wanted = expected(&[
            (1, "open"),
            (6, "open"),
            (17, "open"),
            (47, "closed"),
            (132, "open"),
            (253, "closed"),
        ]);
        check!(got == wanted, "-sO: {got:?}");
        for how in [&["-PR"][..], &["--send-ip", "-PE"], &["--send-ip", "-PS80"]] {
            let sweep = Program::new("nmap").args(["-n", "-sn"]).args(how);
            let text = sweep.arg(NODE_V4).run()?.expect(0)?.stdout_text();
            check!(text.contains("Host is up"), "{how:?}: {text}");
        }
        Ok(Outcome::Passed)
    })
}

fn hping_sees_the_ports_of_a_node() -> Result {
    need!("hping3");
    let name = "interop::scan::hping_sees_the_ports_of_a_node";
    in_namespace(name, LIMIT, || {
        let node = node!(|tap| Box::new(tap));
        let _serving = serve(&node)?;
        for (args, wanted) in [
            (&["-S", "-p", "80"][..], "flags=SA"),
            (&["-S", "-p", "81"], "flags=RA"),
            (&["-A", "-p", "80"], "flags=R "),
            (&["-F", "-p", "81"], "flags=RA"),
            (&["-2", "-p", "11"], "Port Unreachable"),
            (&["-2", "-p", "7", "-d", "5"], "len="),
            (&["-1"], "icmp_seq=0"),
            (&["-0", "-H", "253"], "Protocol Unreachable"),
        ] {
            let hping = Program::new("hping3").args(["-n", "-c", "1"]).args(args);
            let ran = hping.arg(NODE_V4).run()?;
            let said = ran.stdout_text() + &ran.stderr_text();
            if !said.contains(wanted) {
                fail!("hping3 {args:?}: no {wanted:?}: {said}");
            }
        }
        Ok(Outcome::Passed)
    })
}

/// nmap without privileges, which it is under `run`: it maps packet rings otherwise.
fn nmap_scans_by_connecting_under_run() -> Result {
    need!("nmap");
    let nmap = "nmap --unprivileged -sT -n -oG - -p 7,80,81";
    for (host, family) in [("10.0.2.2", ""), ("fd00:2::2", " -6")] {
        let words = format!("{nmap}{family} {host}");
        let scan = crate::run::run(&[], &words.split(' ').collect::<Vec<_>>())?;
        let said = scan.limit(LIMIT).run()?.expect(0)?.stdout_text();
        for state in ["7/open/tcp", "80/open/tcp", "81/closed/tcp"] {
            check!(said.contains(state), "{host}: no {state} in {said}");
        }
    }
    Ok(Outcome::Passed)
}
