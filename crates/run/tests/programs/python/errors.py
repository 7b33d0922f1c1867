"""Errors of datagrams that were sent: pending, polled for, and told by the error queue."""

from common import *

MSG_ERRQUEUE = 0x2000
RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
HOST = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


def udp(family=socket.AF_INET, told=True):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((HOST[family], 0))
    sock.setsockopt(*RECVERR[family], told)
    return sock


def closed(family=socket.AF_INET):
    """A port where nobody is: one that only TCP had."""
    sock = socket.socket(family)
    sock.bind((HOST[family], 0))
    return sock.getsockname()


def shows(sock, wanted, wait=5000):
    """The socket shows these events, as soon as it shows an error. Under `run` that is when the program waits."""
    poll = select.poll()
    poll.register(sock, 0)
    poll.poll(wait)
    assert bits(sock) == wanted, f"{bits(sock)} in the place of {wanted}"


def report(sock, room=100):
    data, [(level, kind, value)], flags, name = sock.recvmsg(room, 512, MSG_ERRQUEUE)
    assert (level, kind) == RECVERR[sock.family]
    number, origin, icmp_type, code, _, info, more = struct.unpack("IBBBBII", value[:16])
    family = struct.unpack("H", value[16:18])[0]
    offender = socket.inet_ntop(family, value[20:24] if family == socket.AF_INET else value[24:40])
    return data, flags, name, number, (origin, icmp_type, code, info, more), offender


def the_queue_tells_what_happened():
    for family, icmp in (socket.AF_INET, (2, 3, 3, 0, 0)), (socket.AF_INET6, (3, 1, 4, 0, 0)):
        sock, to = udp(family), closed(family)
        fails(errno.EAGAIN, sock.recvmsg, 10, 100, MSG_ERRQUEUE)
        sock.sendto(b"to nobody", to)
        shows(sock, OUT | ERR)
        wanted = (b"to nobody", MSG_ERRQUEUE, to, errno.ECONNREFUSED, icmp, HOST[family])
        assert report(sock) == wanted
        # What was told is pending no longer.
        assert bits(sock) == OUT
        assert so_error(sock) == 0
        fails(errno.EAGAIN, sock.recvmsg, 10, 100, MSG_ERRQUEUE)
        # Cut, and without room for the control message.
        sock.sendto(b"to nobody", to)
        shows(sock, OUT | ERR)
        assert report(sock, 2)[:2] == (b"to", MSG_ERRQUEUE | socket.MSG_TRUNC)
        sock.sendto(b"to nobody", to)
        shows(sock, OUT | ERR)
        data, control, flags, name = sock.recvmsg(100, 0, MSG_ERRQUEUE)
        assert (data, control, flags, name) == (b"to nobody", [], MSG_ERRQUEUE | socket.MSG_CTRUNC, to)


def the_pending_error_and_the_queue_are_apart():
    sock, to = udp(), closed()
    sock.sendto(b"1", to)
    shows(sock, OUT | ERR)
    assert so_error(sock) == errno.ECONNREFUSED
    assert so_error(sock) == 0
    shows(sock, OUT | ERR)
    sock.setblocking(False)
    fails(errno.EAGAIN, sock.recvfrom, 10)
    shows(sock, OUT | ERR)
    assert report(sock)[0] == b"1"
    assert bits(sock) == OUT
    sock.sendto(b"2", to)
    shows(sock, OUT | ERR)
    fails(errno.ECONNREFUSED, sock.recvfrom, 10)
    fails(errno.EAGAIN, sock.recvfrom, 10)
    assert report(sock)[0] == b"2"
    sock.sendto(b"3", to)
    shows(sock, OUT | ERR)
    fails(errno.ECONNREFUSED, sock.sendto, b"not sent", to)
    assert report(sock)[0] == b"3"
    assert bits(sock) == OUT


def several_are_told_in_order():
    sock = udp()
    ports = [closed() for _ in range(5)]
    for n, to in enumerate(ports):
        sock.sendto(b"%d" % n, to)
        shows(sock, OUT | ERR)
        so_error(sock)
    for n, to in enumerate(ports):
        shows(sock, OUT | ERR)
        assert report(sock)[::2][:2] == (b"%d" % n, to)
    assert bits(sock) == OUT


def who_does_not_ask_is_told_when_connected():
    sock, to = udp(told=False), closed()
    sock.sendto(b"nobody hears of it", to)
    shows(sock, OUT, 50)
    sock.connect(to)
    sock.send(b"x")
    shows(sock, OUT | ERR)
    assert so_error(sock) == errno.ECONNREFUSED
    assert bits(sock) == OUT
    fails(errno.EAGAIN, sock.recvmsg, 10, 100, MSG_ERRQUEUE)
    # A plain call fails once. Under `run` it can't tell which error it was.
    for call in (sock.recv, 10), (sock.send, b"y"), (sock.sendmsg, [b"y"]), (sock.recvfrom, 10):
        sock.send(b"x")
        shows(sock, OUT | ERR)
        try:
            call[0](*call[1:])
            raise AssertionError("it returned")
        except (ConnectionRefusedError, ConnectionResetError):
            pass
        assert so_error(sock) == 0
        assert bits(sock) == OUT


def who_waits_is_woken():
    sock, to = udp(), closed()
    sock.connect(to)
    for call in (sock.recv, 10), (sock.recvfrom, 10):
        threading.Timer(0.05, sock.sendto, (b"x", to)).start()
        try:
            call[0](*call[1:])
            raise AssertionError("it returned")
        except (ConnectionRefusedError, ConnectionResetError):
            pass
        assert report(sock)[0] == b"x"
    epoll = select.epoll()
    epoll.register(sock, IN | select.EPOLLET)
    for _ in range(3):
        sock.sendto(b"edge", to)
        assert epoll.poll(5) == [(sock.fileno(), ERR)]
        assert report(sock)[0] == b"edge"


def data_goes_on():
    sock, peer = udp(), udp()
    to = peer.getsockname()
    sock.connect(to)
    for turn in range(5):
        for n in range(10):
            sock.send(b"%d" % n)
        assert [peer.recv(10) for _ in range(10)] == [b"%d" % n for n in range(10)]
        peer.close()
        # The port is free when it can be had again.
        peer = socket.socket(type=socket.SOCK_DGRAM)
        peer.bind(to)
        peer.settimeout(5)
    other = udp()
    port = closed()
    other.sendto(b"x", port)
    peer.sendto(b"beside an error", other.getsockname())
    wait_for(lambda: bits(other) == IN | OUT | ERR)
    assert report(other)[0] == b"x"
    assert other.recv(100) == b"beside an error"


def raw_sockets():
    for family, place in (socket.AF_INET, 0), (socket.AF_INET6, 6):
        host = HOST[family]
        sock = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_UDP)
        sock.setsockopt(*RECVERR[family], 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, 7, 6)
        sock.bind((host, 0))
        port = closed(family)[1]
        sock.sendto(struct.pack("!HHHH", 4711, port, 12, 0) + b"text", (host, 0))
        wait_for(lambda: bits(sock) == IN | OUT | ERR)
        data, flags, name, number, _, offender = report(sock)
        assert data[-12:-8] == struct.pack("!HH", 4711, port), data
        assert (flags, name[0], number, offender) == (MSG_ERRQUEUE, host, errno.ECONNREFUSED, host)
        assert so_error(sock) == 0
        sock.sendto(struct.pack("!HHHH", 4711, port, 12, 0) + b"text", (host, 0))
        wait_for(lambda: bits(sock) == IN | OUT | ERR)
        assert so_error(sock) == errno.ECONNREFUSED


def the_queue_ends_with_the_option():
    sock = udp()
    sock.sendto(b"x", closed())
    shows(sock, OUT | ERR)
    sock.setsockopt(*RECVERR[socket.AF_INET], 0)
    fails(errno.EAGAIN, sock.recvmsg, 10, 100, MSG_ERRQUEUE)


run(
    the_queue_tells_what_happened,
    the_pending_error_and_the_queue_are_apart,
    several_are_told_in_order,
    who_does_not_ask_is_told_when_connected,
    who_waits_is_woken,
    data_goes_on,
    raw_sockets,
    the_queue_ends_with_the_option,
)
