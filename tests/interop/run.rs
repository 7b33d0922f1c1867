//! Programs that nobody changed, under `sockeye run` with its default link, as an ordinary user.

use crate::host::{Server, pattern, read_all};
use sockeye_tests::{
    Outcome, Output, Program, Result, TempDir, Test, check, have, ignore, sha256, sockeye,
    static_program, tests,
};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = tests![
    curl_shows_the_page,
    curl_fetches_100_mib,
    python_http_client_and_urllib,
    python_asyncio,
    python_server_and_curl_in_one_run,
    python_forking_server,
    a_static_binary_uses_tcp_and_udp,
    ping_the_gateway,
    the_exit_status_is_the_programs,
    death_by_signal_is_mirrored,
    what_a_program_leaves_behind_ends_with_its_network,
    a_closed_port_is_refused_at_once,
    the_hosts_loopback_is_closed,
    unreachable_and_timed_out_connects,
    options_and_names_of_a_connection,
    half_close_and_reset,
    data_within_a_run_passes_the_node_if_it_is_seen,
    poll_select_and_epoll_agree,
    descriptors_are_shared_over_fork_exec_dup_and_threads,
    what_was_written_before_exit_arrives,
    what_lies_beyond_gets_an_honest_errno,
    groups_sources_and_broadcasts,
    python_speaks_sctp,
];

/// Options that whoever runs the tests wants every `sockeye run` to have: words of `SOCKEYE_RUN_OPTIONS`.
pub(crate) fn wanted_options() -> Vec<String> {
    let wanted = std::env::var("SOCKEYE_RUN_OPTIONS").unwrap_or_default();
    wanted.split_whitespace().map(str::to_owned).collect()
}

/// `sockeye run OPTIONS -- PROGRAM…`, as an ordinary user.
pub(crate) fn run(options: &[&str], program: &[&str]) -> Result<Program> {
    Ok(Program::new(sockeye()?)
        .arg("run")
        .args(wanted_options())
        .args(options)
        .arg("--")
        .args(program)
        .unprivileged())
}

/// The same with a python script; fails unless it exits with 0.
pub(crate) fn python(options: &[&str], script: &str, args: &[&str]) -> Result<Output> {
    let program: Vec<&str> = [PYTHON, "-c", script].iter().chain(args).copied().collect();
    run(options, &program)?.run()?.expect(0)
}

/// A script whose connections are all within the run, with their ends joined past the node and apart.
fn joined_and_apart(script: &str) -> Result<()> {
    let program = [PYTHON, "-c", script];
    for apart in [false, true] {
        let mut run = Program::new(sockeye()?).arg("run");
        if apart {
            run = run.arg("--no-join");
        }
        run.arg("--")
            .args(program)
            .unprivileged()
            .run()?
            .expect(0)?;
    }
    Ok(())
}

/// Debian's own: a python below somebody's home is out of an ordinary user's reach.
pub(crate) const PYTHON: &str = "/usr/bin/python3";
const LOOPBACK: &[&str] = &["--allow-host-loopback"];

macro_rules! need {
    ($($program:expr),*) => { $( if !have($program) && !std::path::Path::new($program).exists() {
        return ignore!("{} is not installed", $program);
    } )* };
}
pub(crate) use need;

fn curl_shows_the_page() -> Result {
    need!("curl");
    let page = run(&[], &["curl", "-s", "http://10.0.2.2/"])?
        .run()?
        .expect(0)?
        .stdout_text();
    check!(
        page.contains("TCP 10.0.2.15:"),
        "the page does not tell the visitor's address triad: {page}"
    );
    check!(
        page.contains("sockeye"),
        "the page does not tell the stack: {page}"
    );
    let page = run(&[], &["curl", "-s", "http://[fd00:2::2]/"])?
        .run()?
        .expect(0)?
        .stdout_text();
    check!(page.contains("TCP [fd00:2::15]:"), "over IPv6: {page}");
    Ok(Outcome::Passed)
}

fn curl_fetches_100_mib() -> Result {
    need!("curl");
    let body = pattern(100 << 20);
    let wanted = sha256(&body);
    let server = Server::http(body)?;
    let url = format!("http://10.0.2.2:{}/", server.port());
    let output = Program::new(sockeye()?)
        .args(["run", "--allow-host-loopback", "--", "sh", "-c"])
        .arg(format!("curl -s {url} | sha256sum"))
        .unprivileged()
        .run()?
        .expect(0)?;
    check!(
        output.stdout_text().starts_with(&wanted),
        "the file's hash is {wanted}, fetched {}",
        output.stdout_text()
    );
    Ok(Outcome::Passed)
}

fn python_http_client_and_urllib() -> Result {
    need!(PYTHON);
    let body = pattern(3 << 20);
    let wanted = sha256(&body);
    let server = Server::http(body)?;
    let script = r#"
import http.client, urllib.request, hashlib, sys
port, wanted = sys.argv[1:]
connection = http.client.HTTPConnection("10.0.2.2", int(port), timeout=20)
connection.request("GET", "/")
assert hashlib.sha256(connection.getresponse().read()).hexdigest() == wanted, "http.client"
for host in ("10.0.2.2", "gateway.internal"):
    with urllib.request.urlopen(f"http://{host}:{port}/", timeout=20) as answer:
        assert hashlib.sha256(answer.read()).hexdigest() == wanted, "urllib"
"#;
    python(LOOPBACK, script, &[&server.port(), &wanted])?;
    Ok(Outcome::Passed)
}

fn python_asyncio() -> Result {
    need!(PYTHON);
    let script = r#"
import asyncio
async def serve(reader, writer):
    data = await reader.read(-1)
    writer.write(data[::-1])
    await writer.drain()
    writer.close()
async def ask(port, n):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    text = bytes([n]) * 100000 + b"end"
    writer.write(text)
    writer.write_eof()
    assert await reader.read(-1) == text[::-1]
    writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await asyncio.gather(*(ask(port, n) for n in range(50)))
    try:
        await asyncio.open_connection("10.0.2.2", 1)
    except ConnectionRefusedError:
        print("refused")
asyncio.run(main())
"#;
    let output = python(&[], script, &[])?;
    check!(
        output.stdout_text() == "refused\n",
        "a refused connect: {}",
        output.stdout_text()
    );
    Ok(Outcome::Passed)
}

fn python_server_and_curl_in_one_run() -> Result {
    need!(PYTHON, "curl");
    let dir = TempDir::new()?;
    let body = pattern(5 << 20);
    dir.write("file", &body)?;
    let script = format!(
        "{PYTHON} -m http.server -d {} 8000 >/dev/null 2>&1 & server=$!
         for try in 1 2 3 4 5 6 7 8 9 10; do curl -s -o /dev/null http://10.0.2.15:8000/file && break; sleep 0.2; done
         curl -s http://10.0.2.15:8000/file | sha256sum; curl -s http://127.0.0.1:8000/file | sha256sum; kill $server",
        dir.path().display()
    );
    let output = run(&[], &["sh", "-c", &script])?.run()?.expect(0)?;
    let (wanted, text) = (sha256(&body), output.stdout_text());
    check!(
        text.matches(&wanted).count() == 2,
        "wanted {wanted} twice, got {text}{}",
        output.stderr_text()
    );
    Ok(Outcome::Passed)
}

fn python_forking_server() -> Result {
    need!(PYTHON);
    let script = r#"
import os, socket, socketserver, threading
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(b"%d " % os.getpid() + line)
class Server(socketserver.ForkingTCPServer):
    allow_reuse_address = True
server = Server(("10.0.2.15", 7777), Echo)
threading.Thread(target=server.serve_forever, daemon=True).start()
workers = set()
for n in range(20):
    with socket.create_connection(("10.0.2.15", 7777), 10) as s:
        s.sendall(b"hello %d\n" % n)
        pid, text = s.makefile("rb").readline().split(b" ", 1)
        assert text == b"hello %d\n" % n, text
        workers.add(pid)
assert len(workers) == 20 and str(os.getpid()).encode() not in workers, workers
server.shutdown()
"#;
    joined_and_apart(script)?;
    Ok(Outcome::Passed)
}

fn a_static_binary_uses_tcp_and_udp() -> Result {
    need!("rustc");
    let dir = TempDir::new()?;
    let program = static_program(
        r#"
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
fn main() {
    let mut stream = TcpStream::connect("10.0.2.2:7").unwrap();
    stream.write_all(b"by tcp").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "by tcp");
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    socket.send_to(b"by udp", "10.0.2.2:7").unwrap();
    let mut buffer = [0; 64];
    let (len, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..len], from.to_string().as_str()), (&b"by udp"[..], "10.0.2.2:7"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = std::thread::spawn(move || TcpStream::connect(address).unwrap().write_all(b"self").unwrap());
    let mut text = String::new();
    listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
    client.join().unwrap();
    println!("{text} {}", stream.local_addr().unwrap().ip());
}
"#,
        &dir,
    )?;
    let output = run(&[], &[&program.display().to_string()])?
        .run()?
        .expect(0)?;
    check!(
        output.stdout_text() == "self 10.0.2.15\n",
        "{}",
        output.stdout_text()
    );
    Ok(Outcome::Passed)
}

fn ping_the_gateway() -> Result {
    need!("ping");
    for target in ["10.0.2.2", "fd00:2::2"] {
        let output = run(&[], &["ping", "-c", "3", "-i", "0.2", target])?
            .run()?
            .expect(0)?;
        check!(
            output.stdout_text().contains("3 received, 0% packet loss"),
            "{}",
            output.stdout_text()
        );
    }
    Ok(Outcome::Passed)
}

fn the_exit_status_is_the_programs() -> Result {
    for status in [0, 1, 2, 42, 255] {
        run(&[], &["sh", "-c", &format!("exit {status}")])?
            .run()?
            .expect(status)?;
    }
    run(&[], &["/nonexistent/program"])?.run()?.expect(127)?;
    run(&[], &["/etc/passwd"])?.run()?.expect(126)?;
    Ok(Outcome::Passed)
}

fn death_by_signal_is_mirrored() -> Result {
    run(&[], &["sh", "-c", "kill -TERM $$"])?
        .run()?
        .expect(128 + 15)?;
    run(&[], &["sh", "-c", "kill -KILL $$"])?
        .run()?
        .expect(128 + 9)?;
    Ok(Outcome::Passed)
}

fn what_a_program_leaves_behind_ends_with_its_network() -> Result {
    need!(PYTHON);
    // A server that would go on for ever, and one that does not listen to SIGTERM.
    let script = format!(
        "{PYTHON} -m http.server 8000 >/dev/null 2>&1 & echo $!
         (trap '' TERM; while :; do sleep 0.1; done) & echo $!
         sleep 1; exit 3"
    );
    let output = run(&[], &["sh", "-c", &script])?.run()?.expect(3)?;
    let text = output.stdout_text();
    let pids: Vec<&str> = text.lines().collect();
    check!(pids.len() == 2, "the script printed {text:?}");
    for pid in pids {
        check!(
            !std::path::Path::new("/proc").join(pid).exists(),
            "process {pid} stays"
        );
    }
    Ok(Outcome::Passed)
}

fn a_closed_port_is_refused_at_once() -> Result {
    need!("curl");
    run(&[], &["curl", "-s", "http://10.0.2.2:1/"])?
        .limit(Duration::from_secs(10))
        .run()?
        .expect(7)?;
    run(&[], &["curl", "-s", "http://[fd00:2::2]:1/"])?
        .limit(Duration::from_secs(10))
        .run()?
        .expect(7)?;
    // Nobody listens on the node itself either.
    run(&[], &["curl", "-s", "http://127.0.0.1:1/"])?
        .limit(Duration::from_secs(10))
        .run()?
        .expect(7)?;
    Ok(Outcome::Passed)
}

fn the_hosts_loopback_is_closed() -> Result {
    need!("curl");
    let server = Server::http(b"the host".to_vec())?;
    for host in ["10.0.2.2", "127.0.0.1"] {
        let url = format!("http://{host}:{}/", server.port());
        run(&[], &["curl", "-s", &url])?.run()?.expect(7)?;
    }
    Ok(Outcome::Passed)
}

fn unreachable_and_timed_out_connects() -> Result {
    need!(PYTHON);
    // 10.0.2.77 is on the LAN, where nobody has that address; the gateway says so.
    let script = r#"
import errno, socket
s = socket.socket()
s.settimeout(10)
try:
    s.connect(("10.0.2.77", 80))
except OSError as error:
    assert error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH), error
else:
    raise SystemExit("connected to nobody")
s = socket.socket()
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 600)
try:
    s.connect(("10.0.2.2", 80))
    print("connected")
except OSError as error:
    print(errno.errorcode[error.errno])
"#;
    let output = python(&["--link", "user,loss=100%"], script, &[]);
    // With every packet lost, nothing can tell "unreachable": both attempts must time out.
    check!(
        output.is_err(),
        "a connect through a link that loses all succeeded"
    );
    let output = python(&[], script, &[])?;
    check!(
        output.stdout_text() == "connected\n",
        "{}",
        output.stdout_text()
    );
    let script = script
        .split_once("s = socket.socket()\ns.setsockopt")
        .map(|(_, rest)| format!("import errno, socket\ns = socket.socket()\ns.setsockopt{rest}"));
    let output = python(
        &["--link", "user,loss=100%"],
        &script.ok_or("the script's second half")?,
        &[],
    )?;
    check!(
        output.stdout_text() == "ETIMEDOUT\n",
        "{}",
        output.stdout_text()
    );
    Ok(Outcome::Passed)
}

fn options_and_names_of_a_connection() -> Result {
    need!(PYTHON);
    let script = r#"
import socket
s = socket.socket()
assert (s.family, s.type) == (socket.AF_INET, socket.SOCK_STREAM)
assert s.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN) == socket.AF_INET
assert s.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
assert s.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) == socket.IPPROTO_TCP
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
assert s.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
assert s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
s.bind(("10.0.2.15", 5555))
s.connect(("10.0.2.2", 7))
assert s.getsockname() == ("10.0.2.15", 5555), s.getsockname()
assert s.getpeername() == ("10.0.2.2", 7), s.getpeername()
assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
other = socket.socket()
try:
    other.bind(("10.0.2.15", 5555))
    other.listen()
    raise SystemExit("two sockets have one address")
except OSError as error:
    import errno
    assert error.errno == errno.EADDRINUSE, error
listener = socket.create_server(("", 0))
assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
six = socket.socket(socket.AF_INET6)
six.connect(("fd00:2::2", 7))
assert six.getsockname()[0] == "fd00:2::15", six.getsockname()
SO_TIMESTAMP = 29
try:
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMP, 1)
    raise SystemExit("a stream takes SO_TIMESTAMP, and tells no time")
except OSError as error:
    assert error.errno == errno.ENOPROTOOPT, error
import time
d = socket.socket(type=socket.SOCK_DGRAM)
d.bind(("127.0.0.1", 0))
d.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMP, 1)
assert d.getsockopt(socket.SOL_SOCKET, SO_TIMESTAMP) == 1
d.sendto(b"now", d.getsockname())
_, [(level, kind, at)], _, _ = d.recvmsg(9, 99)
assert (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMP)
assert abs(int.from_bytes(at[:8], "little") - time.time()) < 60
"#;
    python(&[], script, &[])?;
    Ok(Outcome::Passed)
}

fn half_close_and_reset() -> Result {
    need!(PYTHON);
    let (sent, received) = sync_channel(2);
    let server = Server::start(move |stream| {
        // Reads to the end first, and answers only then: the program has closed its half by now.
        let bytes = read_all(&stream)?;
        if bytes == b"reset me" {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        } else {
            std::io::Write::write_all(&mut &stream, &bytes)?;
        }
        Ok(sent.send(bytes.len())?)
    })?;
    let script = r#"
import socket, struct, sys
address = ("10.0.2.2", int(sys.argv[1]))
s = socket.create_connection(address, 10)
s.sendall(b"x" * 300000)
s.shutdown(socket.SHUT_WR)
back = b""
while piece := s.recv(65536):
    back += piece
assert back == b"x" * 300000, len(back)
try:
    s.send(b"more")
    raise SystemExit("wrote after SHUT_WR")
except BrokenPipeError:
    pass
s = socket.create_connection(address, 10)
s.sendall(b"reset me")
s.shutdown(socket.SHUT_WR)
try:
    data = s.recv(10)
    raise SystemExit(f"not reset: {data}")
except ConnectionResetError:
    pass
# A local pair: a reset by SO_LINGER 0 is seen as one.
listener = socket.create_server(("127.0.0.1", 0))
a = socket.create_connection(listener.getsockname())
b, _ = listener.accept()
a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
a.close()
b.settimeout(10)
try:
    raise SystemExit(f"not reset: {b.recv(10)}")
except ConnectionResetError:
    pass
"#;
    python(LOOPBACK, script, &[&server.port()])?;
    let limit = Duration::from_secs(10);
    let lens = [received.recv_timeout(limit)?, received.recv_timeout(limit)?];
    check!(lens == [300_000, 8], "the host read {lens:?} bytes");
    Ok(Outcome::Passed)
}

fn data_within_a_run_passes_the_node_if_it_is_seen() -> Result {
    need!(PYTHON);
    // tcpi_bytes_acked and tcpi_bytes_received lie behind 120 octets of the older fields.
    let script = r#"
import socket, struct, sys
watched = sys.argv[1:] == ["watched"]
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253) if watched else None
def counts(sock):
    return struct.unpack_from("QQ", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136), 120)
for at, to in (("127.0.0.1",) * 2, ("10.0.2.15",) * 2, ("::1",) * 2, ("::", "127.0.0.1")):
    family = socket.AF_INET6 if ":" in at else socket.AF_INET
    listener = socket.create_server((at, 0), family=family, dualstack_ipv6=at == "::")
    client = socket.create_connection((to, listener.getsockname()[1]))
    server = listener.accept()[0]
    for one, other in ((client, server), (server, client)):
        for length in (1, 1000, 200_000):
            one.sendall(bytes(length))
            assert len(other.recv(length, socket.MSG_WAITALL)) == length
    print(counts(client)[1] > 200_000, counts(server)[1] > 200_000)
"#;
    for (options, watched, seen) in [
        (&[][..], "", "False False\n"),
        (&["--no-join"], "", "True True\n"),
        (&[], "watched", "True True\n"),
    ] {
        let run = Program::new(sockeye()?).arg("run").args(options);
        let run = run.args(["--", PYTHON, "-c", script, watched]);
        let said = run.unprivileged().run()?.expect(0)?.stdout_text();
        check!(said == seen.repeat(4), "{options:?} {watched}: {said}");
    }
    Ok(Outcome::Passed)
}

fn poll_select_and_epoll_agree() -> Result {
    need!(PYTHON);
    let script = r#"
import errno, select, selectors, socket
listener = socket.create_server(("127.0.0.1", 0))
for selector in (selectors.SelectSelector, selectors.PollSelector, selectors.EpollSelector):
    with selector() as waiting:
        waiting.register(listener, selectors.EVENT_READ, "listener")
        assert waiting.select(0) == []
        client = socket.socket()
        client.setblocking(False)
        assert client.connect_ex(listener.getsockname()) in (0, errno.EINPROGRESS)
        waiting.register(client, selectors.EVENT_WRITE, "client")
        seen = set()
        while seen != {"listener", "client"}:
            ready = waiting.select(5)
            assert ready, (selector, seen)
            seen |= {key.data for key, _ in ready}
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        server, _ = listener.accept()
        waiting.unregister(listener)
        waiting.modify(client, selectors.EVENT_READ, "client")
        assert waiting.select(0.05) == []
        server.sendall(b"data")
        assert [(key.data, events) for key, events in waiting.select(5)] == [("client", selectors.EVENT_READ)]
        assert client.recv(10) == b"data"
        server.close()
        assert waiting.select(5) and client.recv(10) == b""
        client.close()
        # A refused one ends as an error that SO_ERROR tells.
        refused = socket.socket()
        refused.setblocking(False)
        if refused.connect_ex(("10.0.2.2", 1)) == errno.EINPROGRESS:
            with selector() as alone:
                alone.register(refused, selectors.EVENT_WRITE)
                assert alone.select(5)
            assert refused.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
edge = select.epoll()
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
edge.register(client, select.EPOLLIN | select.EPOLLET)
server.sendall(b"one")
assert edge.poll(5) and edge.poll(0.05) == []
server.sendall(b"two")
assert edge.poll(5) and client.recv(10) == b"onetwo"
"#;
    joined_and_apart(script)?;
    Ok(Outcome::Passed)
}

fn descriptors_are_shared_over_fork_exec_dup_and_threads() -> Result {
    need!(PYTHON);
    let script = r#"
import os, socket, subprocess, sys, threading
s = socket.create_connection(("10.0.2.2", 7), 10)
# fork: parent and child write to one connection
pid = os.fork()
if pid == 0:
    s.sendall(b"child ")
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
# exec, with the descriptor as standard output
subprocess.run(["/bin/echo", "-n", "exec "], stdout=s.fileno(), check=True)
# dup, and the first one closed
d = os.dup(s.fileno())
os.write(d, b"dup ")
# threads that share a listener
listener = socket.create_server(("127.0.0.1", 0))
served = []
def serve():
    for _ in range(10):
        c, _ = listener.accept()
        served.append(c.recv(10))
        c.close()
threads = [threading.Thread(target=serve) for _ in range(4)]
for t in threads: t.start()
for n in range(40):
    with socket.create_connection(listener.getsockname(), 10) as c:
        c.sendall(b"%d" % n)
for t in threads: t.join(20)
assert sorted(map(int, served)) == list(range(40)), served
s.shutdown(socket.SHUT_WR)
back = b""
while piece := s.recv(100):
    back += piece
assert back == b"child exec dup ", back
# a listener inherited over exec
child = f"import socket; s = socket.socket(fileno={listener.fileno()}); c, a = s.accept(); c.sendall(b'inherited'); c.close()"
server = subprocess.Popen([sys.executable, "-c", child], pass_fds=[listener.fileno()])
with socket.create_connection(listener.getsockname(), 10) as c:
    assert c.recv(20) == b"inherited"
assert server.wait(10) == 0
"#;
    python(&[], script, &[])?;
    Ok(Outcome::Passed)
}

fn what_was_written_before_exit_arrives() -> Result {
    need!(PYTHON);
    let (sent, received) = sync_channel(1);
    let server = Server::start(move |stream| Ok(sent.send(read_all(&stream)?)?))?;
    let script = r#"
import os, socket, sys
s = socket.create_connection(("10.0.2.2", int(sys.argv[1])), 30)
s.setblocking(True)
s.sendall(bytes(range(256)) * (8 << 12))
os._exit(0)
"#;
    python(
        &[
            "--allow-host-loopback",
            "--link",
            "user,loss=1%",
            "--seed",
            "7",
        ],
        script,
        &[&server.port()],
    )?;
    let got = received.recv_timeout(Duration::from_secs(10))?;
    let wanted: Vec<u8> = (0..=255).cycle().take(8 << 20).collect();
    check!(
        got.len() == wanted.len(),
        "{} of {} bytes arrived",
        got.len(),
        wanted.len()
    );
    check!(sha256(&got) == sha256(&wanted), "other bytes arrived");
    Ok(Outcome::Passed)
}

fn what_lies_beyond_gets_an_honest_errno() -> Result {
    need!(PYTHON);
    let script = r#"
import ctypes, errno, os, socket
for family, kind, protocol in ((socket.AF_PACKET, socket.SOCK_RAW, 0), (40, socket.SOCK_STREAM, 0)):
    try:
        socket.socket(family, kind, protocol)
        raise SystemExit(f"family {family} opened a socket of the kernel")
    except OSError as error:
        assert error.errno in (errno.EAFNOSUPPORT, errno.EPERM, errno.EPROTONOSUPPORT), error
libc = ctypes.CDLL(None, use_errno=True)
assert libc.syscall(425, 8, 0) == -1 and ctypes.get_errno() == errno.ENOSYS, "io_uring"
s = socket.socket()
try:
    s.setsockopt(socket.SOL_SOCKET, 0x7fff, 1)
    raise SystemExit("an unknown option was taken")
except OSError as error:
    assert error.errno == errno.ENOPROTOOPT, error
# Unix sockets and pipes are the host's own and go on working.
a, b = socket.socketpair()
a.sendall(b"x")
assert b.recv(1) == b"x"
"#;
    python(&[], script, &[])?;
    Ok(Outcome::Passed)
}

fn groups_sources_and_broadcasts() -> Result {
    need!(PYTHON);
    let script = r#"
import ctypes, errno, socket, struct
own, group = '10.0.2.15', '239.1.1.1'
ip = socket.inet_aton
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.bind(('', 5000))
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, ip(own))
assert s.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, 4) == ip(own)
# IP_ADD_SOURCE_MEMBERSHIP of itself, and IP_MSFILTER, which reads the group first.
s.setsockopt(socket.IPPROTO_IP, 39, ip(group) + ip(own) + ip(own))
libc = ctypes.CDLL(None, use_errno=True)
value = ctypes.create_string_buffer(ip(group) + ip(own) + struct.pack('=II', 0, 4), 64)
length = ctypes.c_uint32(64)
assert libc.getsockopt(s.fileno(), 0, 41, value, ctypes.byref(length)) == 0, ctypes.get_errno()
assert value.raw[8:length.value] == struct.pack('=II', 1, 1) + ip(own), value.raw
# 64 sources are the most: MCAST_MSFILTER over IPv6.
def sockaddr(ip6):
    return struct.pack('=HHI16s104x', socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, ip6))
t = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
index = 2
t.setsockopt(41, 42, struct.pack('=II', index, 0) + sockaddr('ff15::1'))
sources = b''.join(sockaddr('2001:db8::%x' % n) for n in range(1, 65))
t.setsockopt(41, 48, struct.pack('=II', index, 0) + sockaddr('ff15::1') + struct.pack('=II', 0, 64) + sources)
s.sendto(b'to all who listen', (group, 5000))
assert s.recvfrom(99) == (b'to all who listen', (own, 5000))
s.setsockopt(socket.IPPROTO_IP, 40, ip(group) + ip(own) + ip(own))
for to in '10.0.2.255', '255.255.255.255':
    try:
        s.sendto(b'x', (to, 5000))
        assert False, 'it was sent'
    except PermissionError as error:
        assert error.errno == errno.EACCES
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.sendto(b'to all', ('10.0.2.255', 5000))
assert s.recvfrom(99) == (b'to all', (own, 5000))
"#;
    python(&[], script, &[])?;
    Ok(Outcome::Passed)
}

/// One-to-one: each send is one read at the other end, and a descriptor outlives exec.
fn python_speaks_sctp() -> Result {
    need!(PYTHON);
    let script = r#"
import errno, os, select, struct, subprocess, sys, threading
from socket import *

def new():
    return socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP)

lengths = [1, 100, 1000, 5000, 1]

def serve():
    peer, address = listener.accept()
    assert peer.getpeername() == address
    while data := peer.recv(100000):
        peer.sendall(data)
    peer.close()

listener = new()
listener.bind(("127.0.0.1", 5000))
listener.listen(5)
server = threading.Thread(target=serve)
server.start()

client = new()
client.setsockopt(IPPROTO_SCTP, 3, 1)
client.setsockopt(IPPROTO_SCTP, 2, struct.pack("HHHH", 3, 0, 0, 0))
assert client.getsockopt(IPPROTO_SCTP, 3) == 1
assert client.getsockopt(SOL_SOCKET, SO_PROTOCOL) == IPPROTO_SCTP
client.connect(("127.0.0.1", 5000))
for length in lengths:
    assert client.send(b"x" * length) == length
got = [len(client.recv(100000)) for _ in lengths]
assert got == lengths, got
status = struct.unpack("iiIHHHHI", client.getsockopt(IPPROTO_SCTP, 14, 176)[:24])
assert status[1] == 4 and status[5:7] == (10, 3), status

# SCTP_SNDINFO: the second stream; there is no fourth.
def sent(stream):
    info = struct.pack("HHIIi", stream, 0, 0, 0, 0)
    return client.sendmsg([b"in a stream"], [(IPPROTO_SCTP, 2, info)])
assert sent(1) == 11 and client.recv(100) == b"in a stream"
try:
    sent(3)
    raise SystemExit("a stream that there is not")
except OSError as error:
    assert error.errno == errno.EINVAL

client.set_inheritable(True)
heir = "import socket; s = socket.socket(fileno=%d); s.send(b'heir'); print(s.recv(99))"
heir = [sys.executable, "-c", heir % client.fileno()]
said = subprocess.run(heir, close_fds=False, capture_output=True, text=True)
assert said.stdout == "b'heir'\n", said

client.shutdown(SHUT_WR)
server.join()
# As on Linux: who has shut its own half first has no end to read.
try:
    client.recv(1)
    raise SystemExit("an end")
except OSError as error:
    assert error.errno == errno.ENOTCONN, error

waiting = new()
waiting.setblocking(False)
begun = waiting.connect_ex(("127.0.0.1", 5000))
assert begun == errno.EINPROGRESS, begun
_, writable, _ = select.select([], [waiting], [], 30)
assert writable and waiting.getsockopt(SOL_SOCKET, SO_ERROR) == 0
assert select.select([listener], [], [], 30)[0]
try:
    new().connect(("127.0.0.1", 5001))
except ConnectionRefusedError:
    print("done")
"#;
    let said = python(&[], script, &[])?.stdout_text();
    check!(said == "done\n", "{said:?}");
    Ok(Outcome::Passed)
}
