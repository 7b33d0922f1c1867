//! Abstract names: those of a run are its own, and the process that runs it meets the program there.

use crate::{Outcome, PASSED, needs, this_binary};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketType};
use sockeye::unix::{SocketAddr, UnixDatagram, UnixListener, UnixSeqpacket};
use sockeye::{MessageFlags, UnixSend};
use sockeye_run::{Options, Runner};
use sockeye_tests::{Program, TempDir, Test, check, tests};
use std::ffi::OsString;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = tests![
    the_hosts_names_are_out_of_reach,
    the_hosts_names_are_out_of_reach_of_an_ordinary_user,
    who_runs_a_program_meets_it_under_a_name,
    a_node_and_a_program_meet_under_a_name,
    a_node_and_a_program_send_datagrams_to_each_other,
    two_programs_of_one_run_meet_under_a_name,
];

/// Each way to say a name, on a socket of the program's and on one of a pair.
const REACH: &str = r#"
import errno, socket, sys
name = "\0" + sys.argv[1]
def refused(expected, call, *args):
    try:
        call(*args)
        raise AssertionError("it reached the host")
    except OSError as error:
        assert error.errno == expected, error
refused(errno.ECONNREFUSED, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).connect, name)
for s in (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0]):
    refused(errno.ECONNREFUSED, s.sendto, b"x", name)
    refused(errno.ECONNREFUSED, s.sendmsg, [b"x"], [], 0, name)
    refused(errno.ECONNREFUSED, s.connect, name)
refused(errno.EADDRNOTAVAIL, socket.socketpair()[0].bind, name)
# The same name is free here.
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(name)
s.sendto(b"mine", name)
assert s.recv(9) == b"mine"
"#;

fn reach(unprivileged: bool) -> Outcome {
    needs!("python3");
    let name = format!("sockeye-test-{}-{unprivileged}", std::process::id());
    let host = net::socket(AddressFamily::UNIX, SocketType::DGRAM, None)?;
    net::bind(&host, &SocketAddrUnix::new_abstract_name(name.as_bytes())?)?;
    let program = Program::new(this_binary()).args(["--supervise", "python3", "-c", REACH, &name]);
    match unprivileged {
        true => program.unprivileged(),
        false => program,
    }
    .run()?
    .expect(0)?;
    let got = net::recv(&host, &mut [0; 9], RecvFlags::DONTWAIT);
    check!(got.is_err(), "something reached the host's socket");
    PASSED
}

fn the_hosts_names_are_out_of_reach() -> Outcome {
    reach(false)
}

fn the_hosts_names_are_out_of_reach_of_an_ordinary_user() -> Outcome {
    reach(true)
}

/// Tries until the other side listens.
const MEET: &str = r#"
import socket, struct, os, time
s = socket.socket(socket.AF_UNIX)
while True:
    try:
        s.connect("\0meeting")
        break
    except ConnectionRefusedError:
        time.sleep(0.01)
assert struct.unpack("3i", s.getsockopt(1, socket.SO_PEERCRED, 12))[0] == os.getppid()
s.send(b"hello")
assert s.recv(9) == b"and you"
"#;

fn who_runs_a_program_meets_it_under_a_name() -> Outcome {
    needs!("python3");
    for unprivileged in [false, true] {
        let program = Program::new(this_binary()).args(["--meet", "python3", "-c", MEET]);
        match unprivileged {
            true => program.unprivileged(),
            false => program,
        }
        .run()?
        .expect(0)?;
    }
    PASSED
}

/// Is the supervisor of a program, and listens for it.
pub(crate) fn meet(program: &[OsString]) -> ! {
    let node = sockeye::Node::builder().build().unwrap();
    let running = Runner::new(node, Options::default())
        .spawn(program)
        .unwrap();
    let listener = running.unix_socket(libc::SOCK_STREAM).unwrap();
    let name = SocketAddrUnix::new_abstract_name(b"meeting").unwrap();
    net::bind(&listener, &name).unwrap();
    net::listen(&listener, 1).unwrap();
    let served = net::accept(&listener).unwrap();
    let peer = net::sockopt::socket_peercred(&served).unwrap();
    assert_eq!(peer.pid.as_raw_nonzero().get(), running.pid());
    let mut text = [0; 5];
    net::recv(&served, &mut text, RecvFlags::WAITALL).unwrap();
    assert_eq!(&text, b"hello");
    net::send(&served, b"and you", SendFlags::empty()).unwrap();
    std::process::exit(running.wait().unwrap().code())
}

/// Connects to the node and is connected to, and passes a pipe each way.
const SHARE: &str = r#"
import errno, os, socket, struct, time
def connected(name):
    s = socket.socket(socket.AF_UNIX)
    while True:
        try:
            s.connect(name)
            return s
        except ConnectionRefusedError:
            time.sleep(0.01)
s = connected("\0the node's")
assert struct.unpack("3i", s.getsockopt(1, socket.SO_PEERCRED, 12))[0] == os.getppid()
try:
    socket.socket(socket.AF_UNIX).bind("\0the node's")
    raise AssertionError("the name is taken")
except OSError as error:
    assert error.errno == errno.EADDRINUSE, error
read, write = os.pipe()
socket.send_fds(s, [b"a pipe"], [write])
os.close(write)
assert os.read(read, 99) == b"written by the node"
s.sendall(b"." * 1000000)
s.shutdown(socket.SHUT_WR)
total = 0
while data := s.recv(65536):
    total += len(data)
assert total == 2000000, total

listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind("\0the program's")
listener.listen()
served, peer = listener.accept()
assert served.recv(99) == b"one"
assert served.recv(99) == b"two"
served.send(b"three")
assert len(served.recv(200000)) == 100000
served.send(b"." * 100000)
assert served.recv(99) == b""
"#;

fn a_node_and_a_program_meet_under_a_name() -> Outcome {
    needs!("python3");
    Program::new(this_binary())
        .args(["--share", "python3", "-c", SHARE])
        .unprivileged()
        .run()?
        .expect(0)?;
    PASSED
}

/// Is the supervisor of a program that shares the names of a node.
pub(crate) fn share(program: &[OsString]) -> ! {
    let node = sockeye::Node::builder().build().unwrap();
    let running = Runner::new(node.clone(), Options::default())
        .spawn(program)
        .unwrap();
    running.share_names_with(&node).unwrap();
    let name = SocketAddr::from_abstract_name("the node's").unwrap();
    let listener = UnixListener::bind_on(&node, &name).unwrap();
    let (mut served, _) = listener.accept().unwrap();
    assert_eq!(served.peer_cred().unwrap().unwrap().pid, running.pid());
    let got = served.recv_bytes(99).unwrap();
    let pipe = got.objects[0].downcast_ref::<OwnedFd>().unwrap();
    rustix::io::write(pipe, b"written by the node").unwrap();
    drop(got);
    let mut all = Vec::new();
    served.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), 1_000_000);
    served.write_all(&all).unwrap();
    served.write_all(&all).unwrap();
    served.shutdown(sockeye::unix::Shutdown::Write).unwrap();

    let name = SocketAddr::from_abstract_name("the program's").unwrap();
    let client = loop {
        match UnixSeqpacket::connect_on(&node, &name) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                std::thread::sleep(Duration::from_millis(10));
            }
            connected => break connected.unwrap(),
        }
    };
    assert_eq!(client.peer_cred().unwrap().unwrap().pid, running.pid());
    assert_eq!(client.peer_addr().unwrap(), name);
    client.send(b"one").unwrap();
    client.send(b"two").unwrap();
    let mut text = [0; 9];
    assert_eq!(client.recv(&mut text).unwrap(), 5);
    client.send(&[b'.'; 100_000]).unwrap();
    assert_eq!(client.recv(&mut [0; 200_000]).unwrap(), 100_000);
    drop(client);
    std::process::exit(running.wait().unwrap().code())
}

/// Each pair of sockets finds the other by a name, over a program's own child, and by none of the host's.
const TWO: &str = r#"
import socket, subprocess, struct, sys, os
types = socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM
def name(ty, side): return f"\0two programs {ty} {side}"
if len(sys.argv) == 1:
    bound = []
    for ty in types:
        s = socket.socket(socket.AF_UNIX, ty)
        s.bind(name(ty, "here"))
        if ty != socket.SOCK_DGRAM:
            s.listen()
        bound.append(s)
    other = subprocess.Popen([sys.executable, "-c", os.environ["TWO"], "there"])
    for ty, s in zip(types, bound):
        if ty != socket.SOCK_DGRAM:
            s, peer = s.accept()
            assert struct.unpack("3i", s.getsockopt(1, socket.SO_PEERCRED, 12))[0] == other.pid
            assert s.recv(99) == b"from there"
            s.send(b"from here")
        else:
            data, peer = s.recvfrom(99)
            assert (data, peer) == (b"from there", name(ty, "there").encode()), (data, peer)
            s.sendto(b"from here", peer)
    sys.exit(other.wait())
for ty in types:
    s = socket.socket(socket.AF_UNIX, ty)
    s.bind(name(ty, "there"))
    s.connect(name(ty, "here"))
    assert s.getpeername() == name(ty, "here").encode()
    s.send(b"from there")
    assert s.recv(99) == b"from here"
"#;

fn two_programs_of_one_run_meet_under_a_name() -> Outcome {
    needs!("python3");
    crate::supervised("python3")
        .args(["-c", TWO])
        .env("TWO", TWO)
        .run()?
        .expect(0)?;
    PASSED
}

/// Talks to the node's sockets `node`, `control` and one without a chosen name.
const LETTERS: &str = r#"
import errno, os, socket, struct, time
def dgram(name):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(name)
    return s
def fails(expected, call, *args):
    try:
        call(*args)
        raise AssertionError("it succeeded")
    except OSError as error:
        assert error.errno == expected, error
a, b = dgram("\0a"), dgram("\0b")
while True:
    try:
        a.sendto(b"hello", "\0node")
        break
    except ConnectionRefusedError:
        time.sleep(0.01)
assert a.recvfrom(99) == (b"and you", b"\0node")
fails(errno.EADDRINUSE, dgram, "\0node")
# From a path, which is told as one.
path = os.environ["DIRECTORY"] + "/c"
dgram(path).sendto(b"." * 100000, "\0node")
# A descriptor each way.
read, write = os.pipe()
a.sendmsg([b"a pipe"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", write))], 0, "\0node")
os.close(write)
assert os.read(read, 99) == b"written by the node"
data, fds, _, _ = socket.recv_fds(a, 99, 1)
assert os.read(fds[0], 99) == b"read by the program"
# Who found its own name.
data, peer = a.recvfrom(99)
assert data == b"" and len(peer) == 6, peer
a.sendto(b"found", peer)
# The node fills b, and waits for it.
count = int(a.recv(99))
time.sleep(0.05)
for n in range(count + 1):
    assert b.recvfrom(99) == (b"%d" % n, b"\0node")
# The program fills the node.
b.setblocking(False)
count = 0
while True:
    try:
        b.sendto(b"%d" % count, "\0node")
        count += 1
    except BlockingIOError:
        break
a.sendto(b"%d" % count, "\0control")
b.setblocking(True)
b.sendto(b"%d" % count, "\0node")
# Connected to a: nobody else is heard.
data, peer = a.recvfrom(99)
assert data == b"connected", data
fails(errno.EPERM, b.sendto, b"x", peer)
a.sendto(b"heard", peer)
# A socket that has a peer in the node hears nobody.
assert a.recv(99) == b"busy"
fails(errno.EPERM, a.sendto, b"x", "\0busy")
assert a.connect_ex("\0busy") == errno.EPERM
a.sendto(b"so it is", "\0control")
assert a.recv(99) == b"free"
a.connect("\0busy")
a.send(b"heard again")
# It is gone.
assert a.recv(99) == b"last"
b.sendto(b"which?", "\0control")
assert b.recv(99) == b"gone"
fails(errno.ECONNREFUSED, a.send, b"x")
fails(errno.ECONNREFUSED, b.sendto, b"x", "\0busy")
a.close()
b.sendto(b"a is closed", "\0control")
assert b.recv(99) == b"end"
"#;

fn a_node_and_a_program_send_datagrams_to_each_other() -> Outcome {
    needs!("python3");
    let dir = TempDir::new()?;
    Program::new(this_binary())
        .args(["--letters", "python3", "-c", LETTERS])
        .env("DIRECTORY", dir.path())
        .run()?
        .expect(0)?;
    PASSED
}

/// Is the supervisor of a program, and sends and receives datagrams of a node that shares its names.
pub(crate) fn letters(program: &[OsString]) -> ! {
    let node = sockeye::Node::builder().build().unwrap();
    let running = Runner::new(node.clone(), Options::default())
        .spawn(program)
        .unwrap();
    running.share_names_with(&node).unwrap();
    let named = |name: &str| SocketAddr::from_abstract_name(name).unwrap();
    let control = UnixDatagram::bind_on(&node, &named("control")).unwrap();
    let socket = UnixDatagram::bind_on(&node, &named("node")).unwrap();
    speak(&node, &socket, running.pid());
    let (a, b) = (named("a"), named("b"));
    fill(&socket, &control);

    // Nobody but the peer is heard, and the peer's end is found out.
    let tied = UnixDatagram::bind_on(&node, &SocketAddr::unnamed()).unwrap();
    tied.connect_addr(&a).unwrap();
    assert_eq!(tied.peer_addr().unwrap(), a);
    let refused = socket.send_to_addr(b"x", &tied.local_addr().unwrap());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::PermissionDenied);
    tied.send(b"connected").unwrap();
    let mut text = [0; 99];
    assert_eq!(tied.recv_from(&mut text).unwrap(), (5, a.clone()));

    let busy = UnixDatagram::bind_on(&node, &named("busy")).unwrap();
    busy.connect_addr(&named("node")).unwrap();
    socket.send_to_addr(b"busy", &a).unwrap();
    assert_eq!(control.recv_from(&mut text).unwrap(), (8, a.clone()));
    busy.as_socket().disconnect().unwrap();
    tied.send(b"free").unwrap();
    assert_eq!(busy.recv_from(&mut text).unwrap(), (11, a.clone()));
    busy.send_to_addr(b"last", &a).unwrap();
    assert_eq!(control.recv_from(&mut text).unwrap(), (6, b.clone()));
    drop(busy);
    socket.send_to_addr(b"gone", &b).unwrap();

    assert_eq!(control.recv_from(&mut text).unwrap(), (11, b.clone()));
    let kind = |sent: std::io::Result<usize>| sent.unwrap_err().kind();
    assert_eq!(
        kind(socket.send_to_addr(b"x", &a)),
        ErrorKind::ConnectionRefused
    );
    assert_eq!(kind(tied.send(b"x")), ErrorKind::ConnectionRefused);
    assert_eq!(kind(tied.send(b"x")), ErrorKind::NotConnected);
    assert_eq!(
        kind(control.send_to_addr(b"x", &named("nobody"))),
        ErrorKind::ConnectionRefused
    );
    socket.send_to_addr(b"end", &b).unwrap();
    std::process::exit(running.wait().unwrap().code())
}

/// Names, sizes, credentials and descriptors.
fn speak(node: &sockeye::Node, socket: &UnixDatagram, pid: i32) {
    let named = |name: &str| SocketAddr::from_abstract_name(name).unwrap();
    let (a, none) = (named("a"), MessageFlags::empty());
    socket.set_passcred(true).unwrap();
    let got = socket.as_socket().recv_unix(99, none).unwrap();
    assert_eq!((&*got.data.concat(), &got.from), (&b"hello"[..], &a));
    assert_eq!(got.credentials.unwrap().pid, pid);
    socket.send_to_addr(b"and you", &a).unwrap();
    let (len, from) = socket.recv_from(&mut [0; 200_000]).unwrap();
    assert_eq!(len, 100_000);
    assert_eq!(from.as_pathname().unwrap().file_name().unwrap(), "c");
    let answered = socket.send_to_addr(b"", &from).unwrap_err();
    assert_eq!(answered.kind(), ErrorKind::NotFound);

    let got = socket.as_socket().recv_unix(99, none).unwrap();
    let pipe = got.objects[0].downcast_ref::<OwnedFd>().unwrap();
    rustix::io::write(pipe, b"written by the node").unwrap();
    let (read, write) = rustix::pipe::pipe().unwrap();
    rustix::io::write(&write, b"read by the program").unwrap();
    let sent = socket.as_socket().send_unix(UnixSend {
        to: Some(&a),
        objects: vec![Arc::new(read)],
        data: "a pipe".into(),
        ..UnixSend::default()
    });
    assert_eq!(sent.unwrap(), 6);

    // A task sends and waits as well.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.build().unwrap().block_on(async {
        let none = SocketAddr::unnamed();
        let found = sockeye::tokio::UnixDatagram::bind_on(node, &none).unwrap();
        found.send_to_addr(b"", &a).await.unwrap();
        assert_eq!(found.recv_from(&mut [0; 9]).await.unwrap(), (5, a));
    });
}

/// Whoever is full holds the other off.
fn fill(socket: &UnixDatagram, control: &UnixDatagram) {
    let named = |name: &str| SocketAddr::from_abstract_name(name).unwrap();
    let (a, b) = (named("a"), named("b"));
    socket.set_nonblocking(true).unwrap();
    let mut count = 0;
    while let Ok(sent) = socket.send_to_addr(count.to_string().as_bytes(), &b) {
        assert!(sent > 0);
        count += 1;
    }
    assert!(count >= 10, "{count}");
    let full = socket.send_to_addr(b"x", &b).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    socket
        .send_to_addr(count.to_string().as_bytes(), &a)
        .unwrap();
    socket.set_nonblocking(false).unwrap();
    socket
        .send_to_addr(count.to_string().as_bytes(), &b)
        .unwrap();

    let mut text = [0; 99];
    let (len, _) = control.recv_from(&mut text).unwrap();
    let count: u32 = std::str::from_utf8(&text[..len]).unwrap().parse().unwrap();
    for n in 0..=count {
        let (len, from) = socket.recv_from(&mut text).unwrap();
        assert_eq!((&text[..len], from), (n.to_string().as_bytes(), b.clone()));
    }
}
