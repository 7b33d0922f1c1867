//! Ports of the host that lead into the node of a run: clients on the kernel's own sockets.

use crate::host::pattern;
use crate::programs::{NGINX, PRELUDE, nginx_folder};
use crate::run::{PYTHON, need, run, wanted_options};
use sockeye_tests::{
    Outcome, Program, Result, Running, Test, check, have, ignore, in_namespace, sha256, sockeye,
    tests,
};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

pub(crate) const TESTS: &[Test] = tests![
    connections_by_both_families_end_each_way_by_itself,
    resets_cross_both_ways,
    nobody_listens,
    datagrams_go_by_sender,
    what_a_server_wrote_at_its_end_arrives_at_a_slow_client,
    nginx_serves_the_kernels_curl,
];

const WAIT: Option<Duration> = Some(Duration::from_secs(60));
/// Where a server of python listens in the node, by the option's word for it.
const V4: &str = "0:7000";
const V6: &str = "[::1]:0:7000";
/// What the scripts share: servers of both families, and a word to who waits for them.
const SERVERS: &str = r#"
import os, socket, struct, sys
def ready(): print("ready", flush=True)
def servers():
    made = [socket.create_server((ip, 7000), family=f) for ip, f in (("0.0.0.0", socket.AF_INET), ("::", socket.AF_INET6))]
    ready()
    return made
RESET = struct.pack("ii", 1, 0)
"#;

/// A python script under `run`, with published ports.
struct Served {
    ports: Vec<SocketAddr>,
    input: ChildStdin,
    said: BufReader<ChildStdout>,
    _running: Running,
}

impl Served {
    /// Starts it, and waits until it says that it is ready.
    fn start(publish: &[&str], script: &str) -> Result<Self> {
        let options: Vec<String> = publish.iter().map(|p| format!("--publish={p}")).collect();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let script = format!("{SERVERS}{script}");
        let mut program = run(&options, &[PYTHON, "-c", &script])?;
        let command = program.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(Stdio::piped());
        let mut running = program.start()?;
        let input = running.0.stdin.take().ok_or("a pipe")?;
        let said = BufReader::new(running.0.stdout.take().ok_or("a pipe")?);
        let mut complaints = BufReader::new(running.0.stderr.take().ok_or("a pipe")?);
        let mut ports = Vec::new();
        for word in publish {
            let mut line = String::new();
            complaints.read_line(&mut line)?;
            let address = line
                .strip_prefix("sockeye: ")
                .and_then(|l| l.split('/').next());
            let address = address.ok_or_else(|| format!("no port for {word}: {line}"))?;
            ports.push(address.parse().map_err(|e| format!("{e}: {line}"))?);
        }
        // What it complains of later is for whoever reads the test's output.
        std::thread::spawn(move || std::io::copy(&mut complaints, &mut std::io::stderr()));
        let mut served = Self {
            ports,
            input,
            said,
            _running: running,
        };
        served.hear("ready")?;
        Ok(served)
    }

    /// The next line that it says is this one.
    fn hear(&mut self, wanted: &str) -> Result<()> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        check!(
            line.trim_end() == wanted,
            "it says {line:?}, not {wanted:?}"
        );
        Ok(())
    }
}

fn connect(to: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(to)?;
    stream.set_read_timeout(WAIT)?;
    stream.set_write_timeout(WAIT)?;
    Ok(stream)
}

/// What is sent is far more than what lies between the two; the server answers only at the end of it, and the answer comes
/// after that end.
fn connections_by_both_families_end_each_way_by_itself() -> Result {
    need!(PYTHON);
    let mut served = Served::start(
        &[V4, V6],
        r#"
import hashlib
for s in servers():
    c, peer = s.accept()
    print(peer[0], flush=True)
    hash, last = hashlib.sha256(), b""
    while data := c.recv(65536):
        hash.update(data)
    for _ in range(400): c.sendall(hash.hexdigest().encode() * 1024)
    c.shutdown(socket.SHUT_WR)
"#,
    )?;
    let data = pattern(20_000_000);
    for (address, gateway) in served
        .ports
        .clone()
        .into_iter()
        .zip(["10.0.2.2", "fd00:2::2"])
    {
        let mut stream = connect(address)?;
        served.hear(gateway)?;
        stream.write_all(&data)?;
        stream.shutdown(Shutdown::Write)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        check!(
            answer == sha256(&data).repeat(400 * 1024),
            "{address}: {} bytes of an answer",
            answer.len()
        );
    }
    Ok(Outcome::Passed)
}

fn resets_cross_both_ways() -> Result {
    need!(PYTHON);
    let mut served = Served::start(
        &[V4, V6],
        r#"
for s in servers():
    c, _ = s.accept()
    c.sendall(b"mine")
    assert c.recv(4, socket.MSG_WAITALL) == b"read"
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    c.close()
    c, _ = s.accept()
    c.sendall(b"yours")
    try: print(c.recv(1), flush=True)
    except ConnectionResetError: print("reset", flush=True)
"#,
    )?;
    for address in served.ports.clone() {
        let mut stream = connect(address)?;
        stream.read_exact(&mut [0; 4])?;
        stream.write_all(b"read")?;
        let ended = stream.read(&mut [0; 1]).map_err(|e| e.kind());
        check!(
            ended == Err(ErrorKind::ConnectionReset),
            "{address}: the server's reset is {ended:?}"
        );
        let stream = connect(address)?;
        // It is closed with something unread: a reset.
        stream.peek(&mut [0; 1])?;
        drop(stream);
        served.hear("reset")?;
    }
    Ok(Outcome::Passed)
}

/// The host has accepted by then; datagrams are lost, and a program that comes later hears the next ones.
fn nobody_listens() -> Result {
    need!(PYTHON);
    let mut served = Served::start(
        &[V4, V6, "0:7000/udp"],
        r#"
ready()
input()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("10.0.2.15", 7000))
servers()
while u.recv(64) != b"late": pass
print("late", flush=True)
"#,
    )?;
    let [v4, v6, datagrams] = served.ports[..] else {
        return Err("three ports".into());
    };
    for address in [v4, v6] {
        let ended = connect(address)?.read(&mut [0; 1]).map_err(|e| e.kind());
        check!(
            ended == Err(ErrorKind::ConnectionReset),
            "{address}: {ended:?}"
        );
    }
    let client = UdpSocket::bind("127.0.0.1:0")?;
    client.connect(datagrams)?;
    client.send(b"early")?;
    writeln!(served.input)?;
    served.hear("ready")?;
    client.send(b"late")?;
    served.hear("late")?;
    Ok(Outcome::Passed)
}

fn datagrams_go_by_sender() -> Result {
    need!(PYTHON);
    let served = Served::start(
        &["0:7000/udp", "[::1]:0:7000/udp"],
        r#"
import select
both = [socket.socket(f, socket.SOCK_DGRAM) for f in (socket.AF_INET, socket.AF_INET6)]
both[1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
for s, ip in zip(both, ("0.0.0.0", "::")): s.bind((ip, 7000))
ready()
while True:
    for s in select.select(both, [], [])[0]:
        data, peer = s.recvfrom(65536)
        s.sendto(data[::-1], peer)
        s.sendto(repr(peer[:2]).encode(), peer)
"#,
    )?;
    for (address, gateway) in served.ports.iter().zip(["10.0.2.2", "fd00:2::2"]) {
        let mut seen = Vec::new();
        for _ in 0..2 {
            let client = UdpSocket::bind((address.ip(), 0))?;
            client.set_read_timeout(WAIT)?;
            client.connect(address)?;
            let mut buffer = vec![0; 65_536];
            let mut peers = Vec::new();
            for len in [0, 1, 1400, 20_000, 60_000] {
                let data = pattern(len);
                client.send(&data)?;
                let got = client.recv(&mut buffer)?;
                check!(
                    buffer[..got].iter().rev().eq(&data),
                    "{address}: {got} of {len} bytes"
                );
                let got = client.recv(&mut buffer)?;
                peers.push(String::from_utf8_lossy(&buffer[..got]).into_owned());
            }
            peers.dedup();
            check!(
                peers.len() == 1 && peers[0].contains(gateway),
                "{address}: {peers:?}"
            );
            seen.append(&mut peers);
        }
        check!(seen[0] != seen[1], "two senders are one: {seen:?}");
    }
    Ok(Outcome::Passed)
}

/// More than what the host's kernel takes for a client that does not read, so that the rest is still in the run.
fn what_a_server_wrote_at_its_end_arrives_at_a_slow_client() -> Result {
    need!(PYTHON);
    const LEN: usize = 24 << 20;
    let served = Served::start(
        &[V4],
        r#"
for s in servers()[:1]:
    c, _ = s.accept()
    c.sendall(bytes(24 << 20))
    os._exit(0)
"#,
    )?;
    let mut stream = connect(served.ports[0])?;
    let mut buffer = vec![0; 256 << 10];
    let mut got = 0;
    loop {
        // A second and a half in all.
        std::thread::sleep(Duration::from_millis(15));
        match stream.read(&mut buffer)? {
            0 => break,
            len => got += len,
        }
    }
    check!(got == LEN, "{got} of {LEN} bytes arrived");
    Ok(Outcome::Passed)
}

fn nginx_serves_the_kernels_curl() -> Result {
    need!(NGINX, "curl");
    let name = "interop::publish::nginx_serves_the_kernels_curl";
    in_namespace(name, Duration::from_secs(100), || {
        let (dir, body) = nginx_folder()?;
        let options = wanted_options().join(" ");
        let script = format!(
            r#"cd {at}
{PRELUDE}
sed s/GENERATION/0/ template > nginx.conf
{sockeye} run {options} --publish 8080 --publish [::1]:9090:8080 -- {NGINX} -e $PWD/error.log -c $PWD/nginx.conf & run=$!
trap 'kill $run; wait' EXIT
await curl -sf http://127.0.0.1:8080/file
for to in 127.0.0.1:8080 '[::1]:9090'; do curl -s http://$to/file | sha256sum; done
{sockeye} run --publish 8080 -- true 2>&1 || echo "exit $?"
"#,
            at = dir.path().display(),
            sockeye = sockeye()?.display()
        );
        let ran = Program::new("sh")
            .args(["-e", "-c", &script])
            .run()?
            .expect(0)?;
        let text = ran.stdout_text();
        check!(text.matches(&sha256(&body)).count() == 2, "{text}");
        let wanted = "port 127.0.0.1:8080/tcp of the host can't be opened: another socket has it";
        check!(text.contains(wanted) && text.contains("exit 2"), "{text}");
        Ok(Outcome::Passed)
    })
}
