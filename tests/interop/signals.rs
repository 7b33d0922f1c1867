//! A signal every millisecond while calls block: nothing is doubled or lost.

use crate::run::{PYTHON, need, python};
use sockeye_tests::{Outcome, Result, Test, check, have, ignore, tests};

pub(crate) const TESTS: &[Test] = tests![with_sa_restart, without_sa_restart];

/// Python repeats an interrupted call by itself (PEP 475), so the raw calls of libc are used: with
/// SA_RESTART the kernel repeats them, without it the script does.
const SCRIPT: &str = r#"
import ctypes, errno, os, signal, socket, struct, sys, threading
restart = sys.argv[1] == "restart"
libc = ctypes.CDLL(None, use_errno=True)
ROUNDS = 200
interrupted = 0

def call(name, *args):
    global interrupted
    while True:
        result = getattr(libc, name)(*args)
        if result >= 0:
            return result
        error = ctypes.get_errno()
        if error != errno.EINTR:
            raise OSError(error, name)
        interrupted += 1

def address(ip, port):
    return struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), socket.inet_aton(ip))

handled = [0]
def on_alarm(*_): handled[0] += 1
signal.signal(signal.SIGALRM, on_alarm)
signal.siginterrupt(signal.SIGALRM, not restart)

# The peers are processes of their own, so that the signals hit the blocked calls alone.
listener = socket.create_server(("127.0.0.1", 0), backlog=16)
port = listener.getsockname()[1]
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("127.0.0.1", 0))
uport = datagrams.getsockname()[1]
back = socket.create_server(("127.0.0.1", 0), backlog=16)
bport = back.getsockname()[1]

clients = os.fork()
if clients == 0:
    import time
    # connects and datagrams, each numbered, a few milliseconds apart
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for n in range(ROUNDS):
        time.sleep(0.004)
        with socket.create_connection(("127.0.0.1", port), 20) as c:
            c.sendall(b"%06d" % n)
    for n in range(ROUNDS):
        time.sleep(0.004)
        u.sendto(b"%06d" % n, ("127.0.0.1", uport))
    os._exit(0)

signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
accepted = []
buffer = ctypes.create_string_buffer(64)
for _ in range(ROUNDS):
    fd = call("accept", listener.fileno(), None, None)
    number = b""
    while len(number) < 6:
        n = call("recv", fd, buffer, 6 - len(number), 0)
        assert n > 0, number
        number += buffer.raw[:n]
    accepted.append(int(number))
    os.close(fd)
got = []
source = ctypes.create_string_buffer(16)
for _ in range(ROUNDS):
    size = ctypes.c_uint(16)
    n = call("recvfrom", datagrams.fileno(), buffer, 64, 0, source, ctypes.byref(size))
    got.append(int(buffer.raw[:n]))
    assert source.raw[4:8] == socket.inet_aton("127.0.0.1"), source.raw
signal.setitimer(signal.ITIMER_REAL, 0)
assert accepted == list(range(ROUNDS)), accepted
assert got == list(range(ROUNDS)), got
assert os.waitpid(clients, 0)[1] == 0

# connect and sendto, counted at the other side
counter = os.fork()
if counter == 0:
    seen = []
    for _ in range(ROUNDS):
        c, _ = back.accept()
        with c: seen.append(int(c.recv(6, socket.MSG_WAITALL)))
    back.settimeout(0.3)
    try:
        back.accept()
        print("one connection too many"); os._exit(1)
    except TimeoutError: pass
    if seen != list(range(ROUNDS)): print(seen); os._exit(1)
    datagrams.settimeout(5)
    seen = [int(datagrams.recv(64)) for _ in range(ROUNDS)]
    datagrams.settimeout(0.3)
    try:
        datagrams.recv(64)
        print("one datagram too many"); os._exit(1)
    except TimeoutError: pass
    if seen != list(range(ROUNDS)): print(seen); os._exit(1)
    os._exit(0)
# Made before the signals begin: without SA_RESTART they interrupt socket(2), too, which on a kernel
# never fails so, and python does not expect it to.
sockets = [socket.socket() for _ in range(ROUNDS)]
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
to = address("127.0.0.1", bport)
for n, s in enumerate(sockets):
    while libc.connect(s.fileno(), to, 16) < 0:
        error = ctypes.get_errno()
        if error == errno.EISCONN: break          # the interrupted attempt went on by itself
        assert error in (errno.EINTR, errno.EALREADY), errno.errorcode[error]
        interrupted += 1
    s.sendall(b"%06d" % n)
    s.close()
to = address("127.0.0.1", uport)
for n in range(ROUNDS):
    call("sendto", u.fileno(), b"%06d" % n, 6, 0, to, 16)
signal.setitimer(signal.ITIMER_REAL, 0)
assert os.waitpid(counter, 0)[1] == 0
assert handled[0] > 100, f"only {handled[0]} signals came"
if not restart:
    assert interrupted > 20, f"only {interrupted} calls were interrupted"
print("signals", handled[0], "interrupted", interrupted)
"#;

fn with_sa_restart() -> Result {
    exact_counts("restart")
}

fn without_sa_restart() -> Result {
    exact_counts("interrupt")
}

fn exact_counts(how: &str) -> Result {
    need!(PYTHON);
    let output = python(&[], SCRIPT, &[how])?;
    check!(
        output.stdout_text().starts_with("signals"),
        "{}",
        output.stdout_text()
    );
    Ok(Outcome::Passed)
}
