//! What a program learns by netlink and the interface ioctls: the same script asks the kernel of a namespace and, under
//! `sockeye run`, a node with the same addresses on a TAP. Each has to say the same, line by line.

use crate::run::PYTHON;
use crate::tap::LIMIT;
use sockeye_tests::{Outcome, Program, Result, Test, check, ignore, in_namespace, sockeye, tests};

pub(crate) const TESTS: &[Test] = tests![
    the_node_is_shown_as_the_kernel_shows_its_own,
    an_ordinary_user_is_shown_the_same,
    requests_of_people_who_mean_harm,
    changes_are_told_as_by_the_kernel,
    events_come_from_their_groups,
    proc_net_shows_the_node_as_the_kernels_shows_its_own,
    proc_net_of_an_ordinary_user,
];

const SCRIPT: &str = include_str!("netlink.py");
const PROC_NET: &str = include_str!("proc_net.py");

/// Addresses and routes of the host that is asked. The other end of its wire is out of sight, as on the node.
const HOST: &str = "
    set -e
    sleep 60 & unshare --net sleep 60 & other=$!
    while [ /proc/$other/ns/net -ef /proc/self/ns/net ]; do sleep 0.01; done
    ip link add eth0 index 2 type veth peer name peer index 3
    ip link set peer netns $other
    nsenter --net=/proc/$other/ns/net ip link set peer up
    ip link set eth0 up
    ip addr add 10.9.0.2/24 brd + dev eth0
    ip addr add fd09::2/64 dev eth0
    ip route add default via 10.9.0.1
    while ip -6 addr show tentative | grep -q .; do sleep 0.05; done
    ip -6 route add default via fd09::1
    python=$1; script=$2
    $python -c \"$script\" > $3 2>&1; code=$?
    ip link del eth0; kill $other %1
    exit $code
";

const LINK: &str = "tap:eth0,addr=10.9.0.2/24,addr=fd09::2/64,gw=10.9.0.1,gw=fd09::1";

fn the_node_is_shown_as_the_kernel_shows_its_own() -> Result {
    let name = "interop::netlink::the_node_is_shown_as_the_kernel_shows_its_own";
    in_namespace(name, LIMIT, || compare(SCRIPT, &[], 250))
}

fn proc_net_shows_the_node_as_the_kernels_shows_its_own() -> Result {
    let name = "interop::netlink::proc_net_shows_the_node_as_the_kernels_shows_its_own";
    in_namespace(name, LIMIT, || compare(PROC_NET, &["--proc-net"], 40))
}

/// The node, run with these options, says what the kernel says, in so many lines at least.
fn compare(text: &str, options: &[&str], least: usize) -> Result {
    if !std::path::Path::new("/dev/net/tun").exists() {
        return ignore!("there is no /dev/net/tun on this machine");
    }
    let dir = sockeye_tests::TempDir::new()?;
    let script = dir.write("script.py", text)?;
    let said = dir.path().join("kernel");
    let kernel = Program::new("bash").args(["-c", HOST, "bash", PYTHON]);
    let kernel = kernel.arg(text).arg(&said).run()?;
    let kernel_says = std::fs::read_to_string(&said).unwrap_or_default();
    check!(
        kernel.code == Some(0) && kernel_says.ends_with("done\n"),
        "the kernel: {}\n{kernel_says}{}",
        kernel.status_text(),
        kernel.stderr_text()
    );
    let node = Program::new(sockeye()?)
        .args(["run", "--link", LINK])
        .args(options)
        .args(["--", PYTHON])
        .arg(&script)
        .run()?
        .expect(0)?;
    let node_says = node.stdout_text();
    let (kernel, node): (Vec<_>, Vec<_>) =
        (kernel_says.lines().collect(), node_says.lines().collect());
    let differ = |from: &[&str], other: &[&str], who: &str| {
        let only = from.iter().filter(|line| !other.contains(line));
        only.map(|line| format!("{who} {line}\n"))
            .collect::<String>()
    };
    let differences = differ(&kernel, &node, "kernel") + &differ(&node, &kernel, "node  ");
    check!(differences.is_empty(), "{differences}");
    check!(
        kernel == node,
        "all the same, but in another order: {node_says}"
    );
    check!(
        kernel.len() > least,
        "only {} lines were compared",
        kernel.len()
    );
    Ok(Outcome::Passed)
}

fn an_ordinary_user_is_shown_the_same() -> Result {
    let script = r#"
import json, os, socket, subprocess
names = [name for _, name in socket.if_nameindex()]
assert names == ["lo", "eth0"], names
addresses = json.loads(subprocess.run(["ip", "-j", "addr"], capture_output=True, check=True).stdout)
local = [address["local"] for link in addresses for address in link["addr_info"]]
assert "10.0.2.15" in local and "fd00:2::15" in local, local
way = json.loads(subprocess.run(["ip", "-j", "route", "get", "192.0.2.1"], capture_output=True, check=True).stdout)
assert way[0]["gateway"] == "10.0.2.2" and way[0]["prefsrc"] == "10.0.2.15", way
# Another program of the run is seen, too: the sockets are the node's.
server = socket.create_server(("10.0.2.15", 4711))
seen = subprocess.run(["ss", "-Htln"], capture_output=True, check=True, text=True).stdout
assert seen.split()[3] == "10.0.2.15:4711", seen
change = subprocess.run(["ip", "addr", "add", "192.0.2.1/24", "dev", "lo"], capture_output=True, text=True)
assert change.returncode != 0 and "Operation not permitted" in change.stderr, change
print("done")
"#;
    let said = crate::run::python(&[], script, &[])?.stdout_text();
    check!(said == "done\n", "{said}");
    Ok(Outcome::Passed)
}

/// Floods, lies about lengths, and what nobody reads: the run goes on, and within bounds.
/// Who it is stays the same, and so does what others see.
fn proc_net_of_an_ordinary_user() -> Result {
    let script = r#"
import os, socket, subprocess, sys, time
assert os.getuid() == int(sys.argv[1]) and os.geteuid() == os.getuid(), os.getuid()
assert os.access("/", os.W_OK) == (os.getuid() == 0)
names = [line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]]
assert names == ["lo", "eth0"], names
server = socket.create_server(("10.0.2.15", 4711))
def seen():
    return "0F02000A:1267 00000000:0000 0A" in open("/proc/net/tcp").read()
end = time.monotonic() + 60
while not seen(): assert time.monotonic() < end; time.sleep(0.01)
server.close()
while seen(): assert time.monotonic() < end; time.sleep(0.01)
# A child, and one that another program started, see the same.
assert "eth0" in subprocess.run(["cat", "/proc/net/route"], capture_output=True, text=True, check=True).stdout
assert os.path.exists("/proc/net/unix")
print("folder", os.path.realpath("/proc/net"))
"#;
    let host = std::fs::read_link("/proc/net")?;
    let user = match sockeye_tests::is_root() {
        true => "65534".to_owned(),
        false => rustix::process::getuid().as_raw().to_string(),
    };
    let ran = Program::new(sockeye()?)
        .args(["run", "--proc-net", "--", PYTHON, "-c", script, &user])
        .unprivileged()
        .run()?;
    if ran
        .stderr_text()
        .contains("does not let a program see the node in /proc/net")
    {
        return ignore!("{}", ran.stderr_text().trim());
    }
    let said = ran.expect(0)?.stdout_text();
    let folder = said.trim().strip_prefix("folder ").ok_or("no folder")?;
    check!(folder.contains("sockeye-net-"), "{said}");
    check!(!std::path::Path::new(folder).exists(), "{folder} is left");
    check!(std::fs::read_link("/proc/net")? == host, "the host sees it");
    Ok(Outcome::Passed)
}

fn requests_of_people_who_mean_harm() -> Result {
    let script = r#"
import os, random, resource, socket, struct, subprocess
random.seed(7)
def new(protocol=0):
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
def ask(kind, flags, body, length=None):
    return struct.pack("=IHHII", 16 + len(body) if length is None else length, kind, flags, 1, 0) + body
for protocol in (0, 4):
    sock = new(protocol)
    for _ in range(3000):
        body = random.randbytes(random.randrange(90))
        kind = random.choice((16, 18, 20, 21, 22, 26, 30, 34, 255))
        length = random.choice((None, 0, 15, 16, 17, 1 << 31, 0xffffffff, 16 + len(body) // 2))
        sock.send(ask(kind, random.getrandbits(16) | random.choice((0, 1, 0x301)), body, length))
        while True:
            try:
                sock.recv(1 << 16)
            except BlockingIOError:
                break
# A thousand dumps in one request: there is one at a time.
sock = new()
assert sock.send(ask(18, 0x301, b"\0" * 16) * 1000) == 32000
answers = 0
while True:
    try:
        answers += len(sock.recv(1 << 16)) > 36 + 16
    except BlockingIOError:
        break
assert answers == 1, answers
# Nobody reads: what does not fit is lost, which is told, and asking goes on.
sock = new()
for _ in range(30_000):
    sock.send(ask(18, 0x301, b"\0" * 16))
lost = False
while True:
    try:
        sock.recv(1 << 16)
    except BlockingIOError:
        break
    except OSError as error:
        lost = True
sock.send(ask(22, 0x301, b"\0" * 8))
assert sock.recv(1 << 16)
try:
    sock.send(b"\0" * 100_000)
except OSError as error:
    assert error.errno == 90
else:
    raise AssertionError("a request without bound")
# Many sockets, none of them closed in order.
socks = [new() for _ in range(500)]
assert len({sock.bind((0, 0)) or sock.getsockname()[0] for sock in socks}) == 500
for sock in socks:
    sock.close()
assert socket.if_nameindex()
print("done")
"#;
    let said = crate::run::python(&[], script, &[])?.stdout_text();
    check!(said == "done\n", "{said}");
    Ok(Outcome::Passed)
}

/// What `ip monitor` prints of an address whose detection ends, a neighbour that answers and one that does not.
const MONITOR: &str = r#"
import re, subprocess, threading
monitor = subprocess.Popen(["ip", "-o", "monitor", "address", "route", "neigh"], stdout=subprocess.PIPE, text=True)
joined = threading.Event()
def ask():
    # It has joined its groups at the latest when it tells of one of these.
    for host in range(100, 140):
        if joined.is_set():
            break
        subprocess.run(["ping", "-c1", "-W1", f"10.9.0.{host}"], capture_output=True)
    subprocess.run(["ping", "-c1", "-W5", "10.9.0.1"], capture_output=True)
threading.Thread(target=ask).start()
wanted = {
    "failed": r"10\.9\.0\.1.. dev eth0 FAILED",
    "neighbour": r"10\.9\.0\.1 dev eth0 lladdr [0-9a-f:]{17} REACHABLE",
    "address": r"2: eth0 +inet6 fd09::2/64 scope global.*",
    "route": r"local fd09::2 dev eth0 table local proto kernel.*",
}
said = {}
for line in monitor.stdout:
    line = line.rstrip()
    for what, pattern in wanted.items():
        if what not in said and re.fullmatch(pattern, line):
            said[what] = re.sub("lladdr [^ ]*", "lladdr MAC", re.sub(r"10\.9\.0\.1\d\d", "10.9.0.1NN", line))
    if "failed" in said:
        joined.set()
    if len(said) == len(wanted):
        break
monitor.kill()
for what, line in sorted(said.items()):
    print(what, line)
"#;

/// What addresses and control messages say of where answers and events come from.
const SOURCES: &str = r#"
import socket, struct, threading, time
sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
sock.setsockopt(270, 3, 1)
sock.bind((0, 1 << 2 | 1 << 8 | 1 << 10))
sock.send(struct.pack("=IHHIIB3x", 20, 18, 0x301, 7, 0, 0))
done = threading.Event()
def ask():
    knock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for host in range(100, 200):
        if done.wait(0.1): break
        try: knock.sendto(b"", (f"10.9.0.{host}", 9))
        except OSError: pass
threading.Thread(target=ask).start()
names = {(3, 0): "the end of a dump", (28, 2): "neighbour", (20, 10): "address", (24, 10): "route"}
said = {}
while len(said) < len(names):
    data, pieces, _, source = sock.recvmsg(1 << 16, 64)
    while data:
        length, kind, port = struct.unpack("=IH6xI", data[:16])
        name = names.get((kind, data[16]))
        if name: said.setdefault(name, (source, pieces, port == (sock.getsockname()[0] if kind == 3 else 0)))
        data = data[length + 3 & ~3:]
done.set()
for name, what in sorted(said.items()):
    print(name, what)
"#;

const MONITORED: &str = "
    set -e
    sleep 60 & unshare --net sleep 60 & other=$!
    while [ /proc/$other/ns/net -ef /proc/self/ns/net ]; do sleep 0.01; done
    ip link add eth0 index 2 type veth peer name peer index 3
    ip link set peer netns $other
    there() { nsenter --net=/proc/$other/ns/net \"$@\"; }
    there ip addr add 10.9.0.1/24 dev peer
    there ip link set peer up
    echo 6 > /proc/sys/net/ipv6/conf/eth0/dad_transmits
    ip link set eth0 up
    ip addr add 10.9.0.2/24 dev eth0
    ip addr add fd09::2/64 dev eth0
    code=0; $1 -c \"$2\" || code=$?
    ip link del eth0; kill $other %1
    exit $code
";

fn changes_are_told_as_by_the_kernel() -> Result {
    let name = "interop::netlink::changes_are_told_as_by_the_kernel";
    in_namespace(name, LIMIT, || compare_monitors(MONITOR))
}

fn events_come_from_their_groups() -> Result {
    let name = "interop::netlink::events_come_from_their_groups";
    in_namespace(name, LIMIT, || compare_monitors(SOURCES))
}

fn compare_monitors(script: &str) -> Result {
    let kernel = Program::new("bash").args(["-c", MONITORED, "bash", PYTHON, script]);
    let kernel = kernel.run()?.expect(0)?.stdout_text();
    check!(kernel.lines().count() == 4, "the kernel says {kernel}");
    let dir = sockeye_tests::TempDir::new()?;
    let link = |host: &str| format!("switch:{}/lan,{host}", dir.path().display());
    let near = link("addr=10.9.0.2/24,addr=fd09::2/64");
    let _far = Program::new(sockeye()?)
        .args(["run", "--link", &link("addr=10.9.0.1/24"), "--"])
        .args(["sleep", "60"])
        .start()?;
    let node = Program::new(sockeye()?)
        .args(["run", "--link", &near])
        .args(["--sysctl", "net.ipv6.conf.default.dad_transmits=6"])
        .args(["--", PYTHON, "-c", script])
        .run()?
        .expect(0)?
        .stdout_text();
    check!(node == kernel, "the kernel:\n{kernel}the node:\n{node}");
    Ok(Outcome::Passed)
}
