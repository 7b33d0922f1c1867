//! Out of the virtual LAN through the host's sockets: to addresses that a namespace's own loopback
//! plays the world with.

use crate::host::read_request;
use crate::run::{PYTHON, need};
use sockeye_tests::{
    Outcome, Output, Program, Result, Test, check, have, ignore, in_namespace, sockeye, tests,
};
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

pub(crate) const TESTS: &[Test] = tests![
    tcp_leaves_by_both_families,
    refused_and_unreachable_come_back,
    udp_leaves_and_its_answers_return,
    ping_leaves_where_the_host_allows_it,
];

const WORLD_V4: &str = "198.51.100.1";
const WORLD_V6: &str = "2001:db8:9::1";
const LIMIT: Duration = Duration::from_secs(120);

fn world() -> Result<()> {
    for words in [
        format!("addr add {WORLD_V4}/32 dev lo"),
        format!("addr add {WORLD_V6}/128 dev lo"),
    ] {
        Program::new("ip").args(words.split(' ')).run()?.expect(0)?;
    }
    Ok(())
}

fn run(program: &[&str]) -> Result<Output> {
    Program::new(sockeye()?)
        .args(["run", "--"])
        .args(program)
        .run()
}

fn tcp_leaves_by_both_families() -> Result {
    in_namespace(
        "interop::egress::tcp_leaves_by_both_families",
        LIMIT,
        || {
            need!("curl");
            world()?;
            for ip in [WORLD_V4, WORLD_V6] {
                let listener = TcpListener::bind((ip, 0))?;
                let url = format!("http://{}/", listener.local_addr()?);
                let serving = std::thread::spawn(move || -> std::io::Result<()> {
                    let (mut stream, _) = listener.accept()?;
                    read_request(&mut stream)?;
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nworld")
                });
                let output = run(&["curl", "-s", &url])?.expect(0)?;
                check!(
                    output.stdout_text() == "world",
                    "{url}: {:?}",
                    output.stdout_text()
                );
                serving.join().map_err(|_| "the server panicked")??;
            }
            Ok(Outcome::Passed)
        },
    )
}

fn refused_and_unreachable_come_back() -> Result {
    in_namespace(
        "interop::egress::refused_and_unreachable_come_back",
        LIMIT,
        || {
            need!(PYTHON);
            world()?;
            // 203.0.113.9 has no route in here.
            let script = "import errno, socket
for address, wanted in (('198.51.100.1', errno.ECONNREFUSED), ('203.0.113.9', errno.ENETUNREACH)):
    s = socket.socket()
    s.settimeout(10)
    assert s.connect_ex((address, 9)) == wanted, address";
            run(&[PYTHON, "-c", script])?.expect(0)?;
            Ok(Outcome::Passed)
        },
    )
}

fn udp_leaves_and_its_answers_return() -> Result {
    in_namespace(
        "interop::egress::udp_leaves_and_its_answers_return",
        LIMIT,
        || {
            need!(PYTHON);
            world()?;
            let socket = UdpSocket::bind((WORLD_V4, 9000))?;
            std::thread::spawn(move || -> std::io::Result<()> {
                let mut buffer = [0; 65_535];
                loop {
                    let (len, from) = socket.recv_from(&mut buffer)?;
                    buffer[..len].reverse();
                    socket.send_to(&buffer[..len], from)?;
                }
            });
            let script = "import errno, os, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
for size in (0, 1, 1400, 20000, 60000):
    data = os.urandom(size)
    s.sendto(data, ('198.51.100.1', 9000))
    assert s.recvfrom(65536) == (data[::-1], ('198.51.100.1', 9000)), size
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(('198.51.100.1', 9001))
s.send(b'nobody')
import time
for n in range(100):
    if error := s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR): break
    time.sleep(0.05)
assert error == errno.ECONNREFUSED, error";
            run(&[PYTHON, "-c", script])?.expect(0)?;
            Ok(Outcome::Passed)
        },
    )
}

fn ping_leaves_where_the_host_allows_it() -> Result {
    in_namespace(
        "interop::egress::ping_leaves_where_the_host_allows_it",
        LIMIT,
        || {
            need!("ping");
            world()?;
            let ping = ["ping", "-c", "2", "-i", "0.2", "-W", "5", WORLD_V4];
            let groups = "/proc/sys/net/ipv4/ping_group_range";
            // A new namespace allows it to nobody.
            run(&ping)?.expect(1)?;
            if let Err(error) = std::fs::write(groups, "0 0") {
                return ignore!("this user may not set {groups} in its own namespace ({error})");
            }
            let output = run(&ping)?.expect(0)?;
            check!(
                output.stdout_text().contains("2 received, 0% packet loss"),
                "{}",
                output.stdout_text()
            );
            Ok(Outcome::Passed)
        },
    )
}
