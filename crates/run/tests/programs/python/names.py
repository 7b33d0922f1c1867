# Abstract AF_UNIX names: what two processes see of each other, and what the kernel tells of them.
import errno, os, socket, struct, tempfile

NAME = "\0sockeye-names-%d" % os.getpid()


def fails(number, call, *args):
    try:
        call(*args)
    except OSError as error:
        assert error.errno == number, (error, number)
    else:
        raise AssertionError("it should fail with %s" % errno.errorcode[number])


def credentials(s):
    return struct.unpack("3i", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))


def own(pid):
    return (pid, os.geteuid(), os.getegid())


# Nobody there yet.
fails(errno.ECONNREFUSED, socket.socket(socket.AF_UNIX).connect, NAME)
fails(errno.ECONNREFUSED, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto, b"x", NAME)

for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
    listener = socket.socket(socket.AF_UNIX, kind)
    listener.bind(NAME)
    listener.listen(1)
    assert listener.getsockname() == NAME.encode(), listener.getsockname()
    fails(errno.EADDRINUSE, socket.socket(socket.AF_UNIX, kind).bind, NAME)
    child = os.fork()
    if child == 0:
        s = socket.socket(socket.AF_UNIX, kind)
        s.connect(NAME)
        assert credentials(s) == own(os.getppid()), credentials(s)
        assert s.getpeername() == NAME.encode()
        read, write = os.pipe()
        socket.send_fds(s, [b"an end"], [write])
        os.close(write)
        assert os.read(read, 99) == b"through the pipe"
        assert s.recv(99) == b"bye"
        os._exit(0)
    served, peer = listener.accept()
    assert peer == ""
    assert credentials(served) == own(child), (credentials(served), child)
    data, fds, flags, _ = socket.recv_fds(served, 99, 1)
    assert data == b"an end"
    os.write(fds[0], b"through the pipe")
    os.close(fds[0])
    served.send(b"bye")
    assert os.waitpid(child, 0)[1] == 0

    # The backlog and one more.
    waiting = [socket.socket(socket.AF_UNIX, kind) for _ in range(3)]
    for s in waiting:
        s.setblocking(False)
    waiting[0].connect(NAME)
    waiting[1].connect(NAME)
    fails(errno.EAGAIN, waiting[2].connect, NAME)
    listener.close()
    fails(errno.ECONNREFUSED, waiting[2].connect, NAME)
    fails(errno.ECONNRESET, waiting[0].recv, 1)

# Datagrams: names and credentials.
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(NAME)
receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
child = os.fork()
if child == 0:
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind("")
    assert len(s.getsockname()) == 6
    s.sendto(b"sendto", NAME)
    s.sendmsg([b"send", b"msg"], [], 0, NAME)
    s.connect(NAME)
    s.send(b"send")
    os._exit(0)
for text in (b"sendto", b"sendmsg", b"send"):
    data, control, flags, peer = receiver.recvmsg(99, 99)
    assert data == text, data
    assert len(peer) == 6 and peer[0] == 0, peer
    (level, kind, who), = control
    assert struct.unpack("3i", who) == (child, os.getuid(), os.getgid())
assert os.waitpid(child, 0)[1] == 0
receiver.setblocking(False)
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.setblocking(False)
sent = 0
try:
    while True:
        sender.sendto(b"x", NAME)
        sent += 1
except BlockingIOError:
    assert sent == 11, sent

# Flags, a type that there is not, a pair, a path.
assert not os.get_inheritable(sender.fileno())
fails(errno.ESOCKTNOSUPPORT, socket.socket, socket.AF_UNIX, socket.SOCK_RDM)
fails(errno.EPROTONOSUPPORT, socket.socket, socket.AF_UNIX, socket.SOCK_STREAM, 6)
one, other = socket.socketpair()
one.send(b"pair")
assert other.recv(9) == b"pair"
path = os.path.join(tempfile.mkdtemp(), "socket")
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
client = socket.socket(socket.AF_UNIX)
client.connect(path)
assert client.getpeername() == path
os.unlink(path)
