"""How what happens to a socket shows on its descriptor: the rows of ARCHITECTURE.md's table that are nowhere else. With an
argument it runs under `run`, which differs from the kernel where the table says so."""

from common import *
import fcntl
import signal

UNDER_RUN = len(sys.argv) > 1
MSG_ZEROCOPY, SO_ZEROCOPY = 0x4000000, 60


def either(kernel, run):
    return run if UNDER_RUN else kernel


def signals_of(call, *arguments):
    """The errno of a failing call, and whether SIGPIPE came along."""
    came = []
    old = signal.signal(signal.SIGPIPE, lambda *_: came.append(True))
    try:
        call(*arguments)
        number = 0
    except OSError as error:
        number = error.errno
    signal.signal(signal.SIGPIPE, old)
    return number, bool(came)


def a_reset():
    # Who reads first finds the data, the reset, and then the end.
    client, server = pair()
    server.sendall(b"last words")
    wait_for(lambda: bits(client) & IN)
    reset(server)
    wait_for(lambda: bits(client) & HUP)
    assert bits(client) == IN | OUT | ERR | HUP | RDHUP
    assert client.recv(10) == b"last words"
    fails(errno.ECONNRESET, client.recv, 10)
    assert client.recv(10) == b""
    # Who asks for the error first has it.
    client, server = pair()
    reset(server)
    wait_for(lambda: bits(client) & HUP)
    assert so_error(client) == errno.ECONNRESET and so_error(client) == 0
    assert client.recv(10) == b""
    # Who writes first.
    client, server = pair()
    reset(server)
    wait_for(lambda: bits(client) & HUP)
    assert signals_of(client.send, b"x") == either((errno.ECONNRESET, False), (errno.EPIPE, True))
    assert signals_of(client.send, b"x") == (errno.EPIPE, True)


def lingering_for_no_time():
    client, server = pair()
    client.sendall(b"lost")
    wait_for(lambda: bits(server) & IN)
    reset(client)
    wait_for(lambda: bits(server) & ERR)
    assert so_error(server) == errno.ECONNRESET


def lingering_for_a_time():
    client, server = pair()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1))
    client.setblocking(False)
    sent = 0
    try:
        while True:
            sent += client.send(b"x" * 65536)
    except BlockingIOError:
        pass
    client.setblocking(True)
    begun = time.monotonic()
    client.close()
    waited = time.monotonic() - begun
    assert either(waited > 0.9, waited < 0.5), waited
    # Either way nothing is lost.
    assert len(receive_all(server)) == sent


def a_time_limit():
    client, server = pair()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 100_000))
    begun = time.monotonic()
    fails(errno.EAGAIN, client.recv, 1)
    assert 0.09 < time.monotonic() - begun < 2
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 100_000))
    try:
        while True:
            client.send(b"x" * (1 << 20))
    except BlockingIOError:
        pass


def a_low_water_mark():
    client, server = pair()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 10)
    server.sendall(b"12345")
    time.sleep(0.1)
    assert bits(client) & IN == either(0, IN)
    server.sendall(b"67890")
    wait_for(lambda: bits(client) & IN)
    assert client.recv(100) == b"1234567890"


def nonblocking_from_now_on():
    client, server = pair()
    listening = listener()
    for sock in (client, listening):
        other = os.dup(sock.fileno())
        fcntl.fcntl(other, fcntl.F_SETFL, fcntl.fcntl(other, fcntl.F_GETFL) | os.O_NONBLOCK)
        os.close(other)
    fails(errno.EAGAIN, os.read, client.fileno(), 1)
    fails(errno.EAGAIN, listening._accept)
    fcntl.ioctl(client, 0x5421, struct.pack("i", 0))  # FIONBIO
    threading.Timer(0.1, server.sendall, (b"x",)).start()
    assert os.read(client.fileno(), 1) == b"x"


def an_empty_datagram():
    a, b = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    a.bind(("127.0.0.1", 0))
    b.bind(("127.0.0.1", 0))
    b.connect(a.getsockname())
    a.connect(b.getsockname())
    for send in (lambda: b.send(b""), lambda: b.sendto(b"", a.getsockname()), lambda: os.write(b.fileno(), b"")):
        send()
        wait_for(lambda: bits(a) & IN)
        assert a.recv(10) == b""
        assert bits(a) & (IN | HUP | RDHUP) == 0
    b.send(b"after it")
    assert a.recvfrom(10) == (b"after it", b.getsockname())


def a_read_before_the_connection():
    sock = socket.socket()
    assert bits(sock) == OUT | HUP
    fails(either(errno.ENOTCONN, errno.EINVAL), sock.recv, 1)
    assert signals_of(sock.send, b"x") == either((errno.EPIPE, True), (errno.ENOTCONN, False))
    fails(errno.ENOTCONN, sock.shutdown, socket.SHUT_RD)
    fails(errno.ENOTCONN, sock.getpeername)


def cut():
    client, server = pair()
    server.sendall(b"0123456789")
    wait_for(lambda: bits(client) & IN)
    buffer = bytearray(b"....")
    assert client.recv_into(buffer, 4, socket.MSG_TRUNC) == 4
    assert buffer == either(b"....", b"0123")
    assert client.recv(100) == b"456789"
    a, b = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    a.bind(("127.0.0.1", 0))
    b.connect(a.getsockname())
    for receive in (a.recv_into, a.recvfrom_into):
        b.send(b"0123456789")
        received = receive(buffer, 4, socket.MSG_TRUNC)
        assert buffer == b"0123" and received in (10, (10, b.getsockname()))


def without_a_copy():
    client, server = pair()
    if UNDER_RUN:
        fails(errno.EOPNOTSUPP, client.setsockopt, socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    else:
        client.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
        client.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 0)
    # Who did not ask for it is sent a copy.
    assert client.send(b"copied", MSG_ZEROCOPY) == 6
    assert server.recv(10) == b"copied"


def the_cpu_of_a_socket():
    so_incoming_cpu = 49
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
        sock = socket.socket(socket.AF_INET, kind)
        assert sock.getsockopt(socket.SOL_SOCKET, so_incoming_cpu) == -1
        sock.setsockopt(socket.SOL_SOCKET, so_incoming_cpu, 0)
        assert sock.getsockopt(socket.SOL_SOCKET, so_incoming_cpu) == 0


def a_datagram_without_a_peer():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if UNDER_RUN:
        assert sock.send(b"to nobody") == 9
    else:
        fails(errno.EDESTADDRREQ, sock.send, b"to nobody")


run(
    a_reset,
    lingering_for_no_time,
    lingering_for_a_time,
    a_time_limit,
    a_low_water_mark,
    nonblocking_from_now_on,
    an_empty_datagram,
    a_read_before_the_connection,
    cut,
    without_a_copy,
    the_cpu_of_a_socket,
    a_datagram_without_a_peer,
)
