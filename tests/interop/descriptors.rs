//! How a connection's end shows on a program's descriptor where it takes a network to bring it about. The other rows of
//! ARCHITECTURE.md's table are shown by `crates/run/tests/programs/python`.

use crate::run::PYTHON;
use crate::tap::{KERNEL_V4, LIMIT, NODE_V4};
use sockeye_tests::{Outcome, Program, Result, Test, check, ignore, in_namespace, sockeye, tests};
use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};

pub(crate) const TESTS: &[Test] = tests![a_connection_that_times_out];

fn ip(words: &str) -> Result<std::process::Output> {
    Ok(Command::new("ip").args(words.split(' ')).output()?)
}

/// TCP_USER_TIMEOUT runs out: SO_ERROR tells the truth, whoever reads first a reset.
fn a_connection_that_times_out() -> Result {
    let name = "interop::descriptors::a_connection_that_times_out";
    in_namespace(name, LIMIT, || {
        if !std::path::Path::new(PYTHON).exists() {
            return ignore!("there is no {PYTHON} on this machine");
        }
        if !ip("tuntap add mode tap name sockeye0")?.status.success() {
            return ignore!("no TAP device may be made here");
        }
        ip("link set sockeye0 up")?;
        ip(&format!("addr add {KERNEL_V4}/24 dev sockeye0"))?;
        let listener = TcpListener::bind((KERNEL_V4, 0))?;
        let script = r#"
import errno, select, socket, struct, sys
pair = []
for _ in range(2):
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 600)
    s.setblocking(False)
    pair.append(s)
for s in pair:
    s.send(b"go")
sys.stdin.readline()
for s in pair:
    s.send(b"lost")
asks, reads = pair
poll = select.poll()
for s, first in ((asks, "asks"), (reads, "reads")):
    poll.register(s, select.POLLIN | select.POLLOUT | select.POLLRDHUP)
    end = select.POLLIN | select.POLLOUT | select.POLLERR | select.POLLHUP | select.POLLRDHUP
    for _ in range(2000):
        if dict(poll.poll(0)).get(s.fileno()) == end:
            break
        select.select([], [], [], 0.01)
    else:
        raise SystemExit(f"poll shows {poll.poll(0)}")
    poll.unregister(s)
    if first == "asks":
        assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ETIMEDOUT
        assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert s.recv(1) == b""
    else:
        try:
            s.recv(1)
            raise SystemExit("read something")
        except OSError as error:
            assert error.errno == errno.ECONNRESET, error
        assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ETIMEDOUT
print("done")
"#;
        let link = format!("tap:sockeye0,addr={NODE_V4}/24");
        let port = listener.local_addr()?.port().to_string();
        let mut program = Program::new(sockeye()?)
            .args(["run", "--link", &link, "--", PYTHON, "-c", script])
            .args([KERNEL_V4, &port]);
        let command = program.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = program.start()?;
        let mut peers = Vec::new();
        for _ in 0..2 {
            let (mut peer, _) = listener.accept()?;
            peer.read_exact(&mut [0; 2])?;
            peers.push(peer);
        }
        ip("link set sockeye0 down")?;
        drop(running.0.stdin.take());
        let mut said = String::new();
        let mut output = running.0.stdout.take().ok_or("a pipe")?;
        output.read_to_string(&mut said)?;
        check!(said == "done\n", "{said}");
        Ok(Outcome::Passed)
    })
}
