"""connect(2) and what poll shows before, while and after."""

from common import *


def fresh():
    sock = socket.socket()
    assert bits(sock) == OUT | HUP
    assert sock.getsockname() == ("0.0.0.0", 0)
    fails(errno.ENOTCONN, sock.getpeername)
    fails(errno.ENOTCONN, sock.shutdown, socket.SHUT_WR)
    assert so_error(sock) == 0
    assert sock.family == socket.AF_INET and sock.type == socket.SOCK_STREAM
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN) == socket.AF_INET
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) == socket.IPPROTO_TCP
    assert socket.socket(fileno=os.dup(sock.fileno())).proto == socket.IPPROTO_TCP


def blocking():
    for family in (socket.AF_INET, socket.AF_INET6):
        client, server = pair(family)
        assert client.getpeername() == server.getsockname()
        assert server.getpeername() == client.getsockname()
        assert bits(client) == OUT and bits(server) == OUT
        fails(errno.EISCONN, client.connect, server.getsockname())
        server.sendall(b"hello")
        assert client.recv(10) == b"hello"


def refused():
    port = unused_port()
    sock = socket.socket()
    fails(errno.ECONNREFUSED, sock.connect, ("127.0.0.1", port))
    assert so_error(sock) == 0
    # The same socket connects where somebody listens.
    server = listener()
    sock.connect(server.getsockname())
    server.accept()[0].sendall(b"second")
    assert sock.recv(10) == b"second"


def refused_without_waiting():
    sock = socket.socket()
    sock.setblocking(False)
    epoll = select.epoll()
    epoll.register(sock, IN | OUT | RDHUP | select.EPOLLET)
    epoll.poll(0)
    fails(errno.EINPROGRESS, sock.connect, ("127.0.0.1", unused_port()))
    wait_for(lambda: bits(sock) == IN | OUT | ERR | HUP | RDHUP)
    wait_for(lambda: epoll.poll(0))
    assert so_error(sock) == errno.ECONNREFUSED
    assert so_error(sock) == 0
    fails(errno.ENOTCONN, sock.getpeername)


def second_call_tells_the_error():
    sock = socket.socket()
    sock.setblocking(False)
    address = ("127.0.0.1", unused_port())
    fails(errno.EINPROGRESS, sock.connect, address)
    wait_for(lambda: bits(sock) & ERR)
    fails(errno.ECONNREFUSED, sock.connect, address)
    # And the third begins anew.
    fails(errno.EINPROGRESS, sock.connect, address)


def connected_without_waiting():
    for way in ("poll", "select", "epoll", "again"):
        server = listener()
        sock = socket.socket(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        epoll = select.epoll()
        epoll.register(sock, OUT | select.EPOLLET)
        epoll.poll(0)
        fails(errno.EINPROGRESS, sock.connect, server.getsockname())
        if way == "poll":
            wait_for(lambda: bits(sock, 1000) == OUT)
        elif way == "select":
            assert select.select([], [sock], [], 5)[1] == [sock]
        elif way == "epoll":
            assert epoll.poll(5) == [(sock.fileno(), OUT)]
        else:
            wait_for(lambda: bits(sock) == OUT)
            sock.connect(server.getsockname())  # the first call after completion succeeds
            fails(errno.EISCONN, sock.connect, server.getsockname())
        assert so_error(sock) == 0
        assert sock.getpeername() == server.getsockname()
        sock.send(b"x")
        assert server.accept()[0].recv(9) == b"x"


def while_connecting():
    # Nobody accepts and the backlog is full: the next attempt gets no answer.
    server = listener(0)
    others = []
    while True:
        sock = socket.socket()
        sock.setblocking(False)
        epoll = select.epoll()
        epoll.register(sock, IN | OUT | RDHUP | select.EPOLLET)
        epoll.poll(0)
        fails(errno.EINPROGRESS, sock.connect, server.getsockname())
        others.append(sock)
        if not bits(sock, 300):
            break
        assert len(others) < 10
    assert bits(sock) == 0 and epoll.poll(0) == []
    assert select.select([sock], [sock], [sock], 0) == ([], [], [])
    fails(errno.EAGAIN, sock.send, b"x")
    fails(errno.EAGAIN, sock.recv, 1)
    fails(errno.EALREADY, sock.connect, server.getsockname())
    fails(errno.ENOTCONN, sock.getpeername)
    assert so_error(sock) == 0
    # A closed listener refuses it at last.
    server.close()
    wait_for(lambda: bits(sock) & ERR)
    assert so_error(sock) == errno.ECONNREFUSED
    # A time-out in the place of an answer.
    server = listener(0)
    others = [socket.create_connection(server.getsockname())]
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 200_000))
    begun = time.monotonic()
    try:
        while True:
            sock.connect(server.getsockname())
            others.append(sock)
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 200_000))
            begun = time.monotonic()
    except OSError as error:
        assert error.errno == errno.EINPROGRESS
        assert 0.15 < time.monotonic() - begun < 2


def wrong_arguments():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)

    def call(name, *arguments):
        if getattr(libc, name)(*arguments) != -1:
            raise AssertionError(f"{name} succeeded")
        raise OSError(ctypes.get_errno(), name)

    sock = socket.socket()
    fd = sock.fileno()
    nowhere = ctypes.c_void_p(8)
    address = struct.pack("<HH4s8x", socket.AF_INET, 0, b"\x7f\0\0\1")
    fails(errno.EFAULT, call, "connect", fd, nowhere, 16)
    fails(errno.EFAULT, call, "bind", fd, nowhere, 16)
    fails(errno.EINVAL, call, "connect", fd, address, -1)
    fails(errno.EINVAL, call, "connect", fd, address, 129)
    fails(errno.EINVAL, call, "bind", fd, address, 8)
    fails(errno.EAFNOSUPPORT, call, "bind", fd, struct.pack("<H14x", 99), 16)
    fails(errno.EFAULT, call, "getsockname", fd, address, nowhere)
    fails(errno.EFAULT, call, "setsockopt", fd, socket.SOL_SOCKET, socket.SO_REUSEADDR, nowhere, 4)
    fails(errno.EINVAL, call, "setsockopt", fd, socket.SOL_SOCKET, socket.SO_REUSEADDR, address, -1)
    fails(errno.EINVAL, call, "shutdown", fd, 7)
    fails(errno.EBADF, call, "listen", 999, 1)
    fails(errno.EBADF, call, "listen", -1, 1)
    fails(errno.EINVAL, call, "accept", fd, None, None)
    fails(errno.EINVAL, call, "accept4", fd, None, None, 1)
    fails(errno.ENOTSOCK, call, "listen", os.open("/dev/null", os.O_RDONLY), 1)
    fails(errno.EINVAL, call, "socket", socket.AF_INET, socket.SOCK_STREAM | 0x100000, 0)
    fails(errno.EINVAL, call, "socket", socket.AF_INET, 15, 0)
    fails(errno.EAFNOSUPPORT, call, "socket", 99, socket.SOCK_STREAM, 0)
    fails(errno.EPROTONOSUPPORT, call, "socket", socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_UDP)


def closed_while_connecting():
    server = listener(0)
    socks = [socket.socket() for _ in range(8)]
    for sock in socks:
        sock.setblocking(False)
        fails(errno.EINPROGRESS, sock.connect, server.getsockname())
    for sock in socks:
        sock.close()


run(
    fresh,
    blocking,
    refused,
    refused_without_waiting,
    second_call_tells_the_error,
    connected_without_waiting,
    while_connecting,
    wrong_arguments,
    closed_while_connecting,
)
