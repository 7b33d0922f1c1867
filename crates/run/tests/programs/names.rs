//! Abstract names: those of a run are its own, and the process that runs it meets the program there.

use crate::{Outcome, PASSED, needs, this_binary};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketType};
use sockeye::unix::{SocketAddr, UnixListener, UnixSeqpacket};
use sockeye_run::{Options, Runner};
use sockeye_tests::{Program, Test, check, tests};
use std::ffi::OsString;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = tests![
    the_hosts_names_are_out_of_reach,
    the_hosts_names_are_out_of_reach_of_an_ordinary_user,
    who_runs_a_program_meets_it_under_a_name,
    a_node_and_a_program_meet_under_a_name,
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
    drop(client);
    std::process::exit(running.wait().unwrap().code())
}
