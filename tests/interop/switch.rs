//! Runs that share a network by `--link switch:DIRECTORY`.

use crate::run::{PYTHON, need};
use sockeye_tests::{
    Outcome, Program, Result, Running, TempDir, Test, check, have, ignore, sockeye, tests,
};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Stdio};

pub(crate) const TESTS: &[Test] = tests![
    a_server_and_a_client_in_two_runs,
    a_member_that_is_killed_comes_again,
    groups_and_broadcasts_reach_everybody,
    much_data_crosses_whole,
];

/// A run on the switch of `dir`, as host `number` of its network.
fn member(dir: &TempDir, number: u8) -> Result<Program> {
    let path = dir.path().join("lan");
    let network = format!("addr=10.7.0.{number}/24,addr=fd07::{number}/64");
    let link = format!(
        "switch:{},{network},mac=02:00:00:00:00:0{number}",
        path.display()
    );
    Ok(Program::new(sockeye()?)
        .args(["run", "--link", &link])
        .unprivileged())
}

/// A script of Python in a run, talked with line by line.
struct Script {
    running: Running,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Script {
    fn start(member: Program, script: &str) -> Result<Self> {
        let mut program = member.args(["--", PYTHON, "-u", "-c", script]);
        let command = program.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = program.start()?;
        let input = running.0.stdin.take().ok_or("a pipe")?;
        let output = BufReader::new(running.0.stdout.take().ok_or("a pipe")?);
        Ok(Self {
            running,
            input,
            output,
        })
    }

    fn hear(&mut self, wanted: &str) -> Result<()> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        check!(line.trim_end() == wanted, "{line:?} instead of {wanted:?}");
        Ok(())
    }

    fn say(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.input, "{line}")?)
    }
}

/// Serves `GET` over both families, each answer with a text of its own.
const SERVER: &str = r#"
import http.server, socket, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"a page of the other run\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
server = Server(("::", 80), Handler)
print("ready")
server.serve_forever()
"#;

fn a_server_and_a_client_in_two_runs() -> Result {
    need!(PYTHON, "curl", "ping");
    let dir = TempDir::new()?;
    let mut server = Script::start(member(&dir, 1)?, SERVER)?;
    server.hear("ready")?;
    // A third one is there meanwhile, and reaches both.
    let third = member(&dir, 3)?.args(["--", "ping", "-c", "20", "-i", "0.2", "10.7.0.1"]);
    let third = std::thread::spawn(move || third.run().map_err(|error| error.to_string()));
    let capture = dir.path().join("capture.pcapng");
    let client = member(&dir, 2)?.arg("--pcap").arg(&capture);
    let urls = ["http://10.7.0.1/", "http://[fd07::1]/"];
    // Addresses of IPv6 are tentative in the first seconds, ours and the server's.
    let patient = "--retry 30 --retry-delay 1 --retry-all-errors".split(' ');
    let curl = client.args(["--", "curl", "-sS", "-m", "30"]).args(patient);
    let page = curl.args(urls);
    let page = page.run()?.expect(0)?.stdout_text();
    check!(page == "a page of the other run\n".repeat(2), "{page}");
    let third = third.join().map_err(|_| "the third run panicked")??;
    let third = third.expect(0)?.stdout_text();
    check!(third.contains("20 received"), "{third}");
    let capture = std::fs::read(&capture)?;
    let seen = |text: &[u8]| capture.windows(text.len()).any(|part| part == text);
    check!(seen(b"GET / HTTP/1.1\r\nHost: [fd07::1]"), "not captured");
    check!(
        seen(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]),
        "no frame"
    );
    Ok(Outcome::Passed)
}

fn a_member_that_is_killed_comes_again() -> Result {
    need!(PYTHON);
    let dir = TempDir::new()?;
    let mut server = Script::start(member(&dir, 1)?, SERVER)?;
    server.hear("ready")?;
    let fetch = r#"
import sys, urllib.request
for line in sys.stdin:
    with urllib.request.urlopen("http://10.7.0.1/", timeout=60) as answer:
        print(answer.read().decode().strip())
"#;
    let mut client = Script::start(member(&dir, 2)?, fetch)?;
    client.say("fetch")?;
    client.hear("a page of the other run")?;
    server.running.0.kill()?;
    server.running.0.wait()?;
    check!(
        names(&dir.path().join("lan"))? == 2,
        "its name is still there"
    );
    let mut server = Script::start(member(&dir, 1)?, SERVER)?;
    server.hear("ready")?;
    client.say("fetch")?;
    client.hear("a page of the other run")?;
    // At a regular end the name goes, too.
    drop(client.input);
    client.running.0.wait()?;
    check!(names(&dir.path().join("lan"))? == 1, "one is left");
    Ok(Outcome::Passed)
}

fn names(directory: &Path) -> Result<usize> {
    Ok(std::fs::read_dir(directory)?.count())
}

fn groups_and_broadcasts_reach_everybody() -> Result {
    need!(PYTHON);
    let receive = r#"
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 5000))
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.7.7.7") + bytes(4))
heard = set()
print("ready")
while heard != {b"group", b"broadcast"}:
    text, sender = s.recvfrom(100)
    heard.add(text)
    s.sendto(text, sender)
print("heard both")
input()
"#;
    let send = r#"
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.settimeout(0.5)
for text, to in ((b"group", "239.7.7.7"), (b"broadcast", "10.7.0.255")):
    answered = set()
    for _ in range(40):
        s.sendto(text, (to, 5000))
        try:
            while len(answered) < 2:
                answer, sender = s.recvfrom(100)
                if answer == text:
                    answered.add(sender[0])
        except TimeoutError:
            continue
        break
    print(text.decode(), *sorted(answered))
"#;
    let dir = TempDir::new()?;
    let mut receivers = [1, 2].map(|number| Script::start(member(&dir, number)?, receive));
    for receiver in receivers.iter_mut().flatten() {
        receiver.hear("ready")?;
    }
    let sender = member(&dir, 3)?.args(["--", PYTHON, "-c", send]);
    let told = sender.run()?.expect(0)?.stdout_text();
    let wanted = "group 10.7.0.1 10.7.0.2\nbroadcast 10.7.0.1 10.7.0.2\n";
    check!(told == wanted, "{told}");
    for receiver in receivers {
        receiver?.hear("heard both")?;
    }
    Ok(Outcome::Passed)
}

/// Both ways at once, as super-segments.
fn much_data_crosses_whole() -> Result {
    need!(PYTHON);
    let serve = r#"
import socket
listener = socket.create_server(("10.7.0.1", 4000))
print("ready")
connection, _ = listener.accept()
total = 0
while data := connection.recv(1 << 16):
    connection.sendall(data)
    total += len(data)
connection.close()
print(total)
input()
"#;
    let ask = r#"
import hashlib, socket, threading
SIZE = 64 << 20
connection = socket.create_connection(("10.7.0.1", 4000))
def send():
    for n in range(SIZE >> 16):
        connection.sendall(bytes([n & 255]) * (1 << 16))
    connection.shutdown(socket.SHUT_WR)
thread = threading.Thread(target=send)
thread.start()
got, wanted = hashlib.sha256(), hashlib.sha256()
while data := connection.recv(1 << 20):
    got.update(data)
thread.join()
for n in range(SIZE >> 16):
    wanted.update(bytes([n & 255]) * (1 << 16))
assert got.digest() == wanted.digest()
print("whole")
"#;
    let dir = TempDir::new()?;
    let mut server = Script::start(member(&dir, 1)?, serve)?;
    server.hear("ready")?;
    let client = member(&dir, 2)?.args(["--", PYTHON, "-c", ask]);
    let said = client.run()?.expect(0)?.stdout_text();
    check!(said == "whole\n", "{said}");
    server.hear(&(64 << 20).to_string())?;
    Ok(Outcome::Passed)
}
