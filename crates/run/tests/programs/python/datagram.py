"""UDP: addresses, boundaries, and receives of every kind, mixed."""

from common import *
import asyncio


def udp(family=socket.AF_INET):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
    sock.settimeout(5)
    return sock


def addresses():
    for family in (socket.AF_INET, socket.AF_INET6):
        a, b = udp(family), udp(family)
        assert a.sendto(b"hello", b.getsockname()) == 5
        assert b.recvfrom(100) == (b"hello", a.getsockname())
        assert b.sendmsg([b"one", b"two"], [], 0, a.getsockname()) == 6
        assert a.recvmsg(100) == (b"onetwo", [], 0, b.getsockname())
    fresh = socket.socket(type=socket.SOCK_DGRAM)
    assert fresh.getsockname() == ("0.0.0.0", 0)
    assert bits(fresh) == OUT
    fresh.sendto(b"x", a.getsockname() if a.family == socket.AF_INET else udp().getsockname())
    assert fresh.getsockname()[1] != 0, "the first send binds"


def receives_mixed():
    a, b, target = udp(), udp(), udp()
    sent = []
    for i in range(300):
        sender = (a, b)[i % 2]
        sender.sendto(b"%d" % i, target.getsockname())
        sent.append((b"%d" % i, sender.getsockname()))
        if i % 7 == 6:
            for j, (data, source) in enumerate(sent):
                way = (i + j) % 5
                wait_for(lambda: bits(target) & IN)
                if way == 0:
                    assert target.recv(100) == data
                elif way == 1:
                    assert os.read(target.fileno(), 100) == data
                elif way == 2:
                    assert target.recvfrom(100) == (data, source)
                elif way == 3:
                    assert target.recvfrom(100, socket.MSG_PEEK) == (data, source)
                    assert target.recv(100) == data
                else:
                    assert target.recvmsg(100)[::3] == (data, source)
            sent.clear()


def boundaries():
    a, b = udp(), udp()
    for size in (0, 1, 1400, 1472, 9000, 65507):
        data = os.urandom(size)
        assert a.sendto(data, b.getsockname()) == size
        assert b.recvfrom(70000) == (data, a.getsockname())
    fails(errno.EMSGSIZE, a.sendto, bytes(65508), b.getsockname())
    a.sendto(b"0123456789", b.getsockname())
    assert b.recvfrom(4) == (b"0123", a.getsockname())
    a.sendto(b"0123456789", b.getsockname())
    buffer = bytearray(4)
    assert b.recvfrom_into(buffer, 4, socket.MSG_TRUNC)[0] == 10
    a.sendto(b"0123456789", b.getsockname())
    data, _, flags, _ = b.recvmsg(4)
    assert data == b"0123" and flags == socket.MSG_TRUNC
    b.setblocking(True)
    fails(errno.EAGAIN, b.recvfrom, 10, socket.MSG_DONTWAIT)


def connected():
    a, b, other = udp(), udp(), udp()
    a.connect(b.getsockname())
    assert a.getpeername() == b.getsockname()
    a.send(b"by send")
    assert b.recvfrom(100) == (b"by send", a.getsockname())
    os.write(a.fileno(), b"by write")
    assert b.recv(100) == b"by write"
    other.sendto(b"not from the peer", a.getsockname())
    b.sendto(b"from the peer", a.getsockname())
    assert a.recv(100) == b"from the peer"
    # Without a peer again.
    import ctypes

    assert ctypes.CDLL(None).connect(a.fileno(), struct.pack("16x"), 16) == 0
    fails(errno.ENOTCONN, a.getpeername)
    a.sendto(b"to anybody", other.getsockname())
    data, source = other.recvfrom(100)
    other.sendto(b"from anybody", source)
    assert a.recvfrom(100) == (b"from anybody", other.getsockname())


def nobody_there():
    a = udp()
    a.setblocking(True)
    a.connect(("127.0.0.1", unused_port()))
    a.send(b"x")
    fails(errno.ECONNREFUSED, a.recvfrom, 10)
    a.sendmsg([b"x"])
    wait_for(lambda: so_error(a) == errno.ECONNREFUSED)
    a.sendmsg([b"x"])
    fails(errno.ECONNREFUSED, a.recvfrom, 10)


def waiting():
    a, b = udp(), udp()
    b.settimeout(None)
    threading.Timer(0.05, a.sendto, (b"late", b.getsockname())).start()
    assert b.recvfrom(10) == (b"late", a.getsockname())
    threading.Timer(0.05, a.sendto, (b"late", b.getsockname())).start()
    assert b.recv(10) == b"late"
    b.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50_000))
    fails(errno.EAGAIN, b.recvfrom, 10)
    fails(errno.EAGAIN, b.recv, 10)
    b.setblocking(False)
    fails(errno.EAGAIN, b.recvfrom, 10)
    epoll = select.epoll()
    epoll.register(b, IN | select.EPOLLET)
    for _ in range(3):
        a.sendto(b"edge", b.getsockname())
        assert epoll.poll(5) == [(b.fileno(), IN)]


def time_stamps():
    a, b = udp(), udp()
    SO_TIMESTAMP, SO_TIMESTAMPNS = 29, 35
    for option, scale in ((SO_TIMESTAMP, 1e6), (SO_TIMESTAMPNS, 1e9)):
        b.setsockopt(socket.SOL_SOCKET, option, 1)
        before = time.time()
        a.sendto(b"x", b.getsockname())
        data, [(level, kind, value)], flags, _ = b.recvmsg(10, 100)
        seconds, fraction = struct.unpack("qq", value)
        assert (level, kind, flags) == (socket.SOL_SOCKET, option, 0)
        assert before - 0.01 <= seconds + fraction / scale <= time.time() + 0.01
        a.sendto(b"x", b.getsockname())
        assert b.recvmsg(10, 8)[1:3] == ([], socket.MSG_CTRUNC)
        b.setsockopt(socket.SOL_SOCKET, option, 0)
        a.sendto(b"x", b.getsockname())
        assert b.recvmsg(10, 100)[1] == []


def several_at_once():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    a, b = udp(), udp()
    address = struct.pack("<H", socket.AF_INET) + struct.pack("!H", b.getsockname()[1]) + b"\x7f\0\0\1" + bytes(8)

    def headers(count, name):
        keep, data = [], b""
        for i in range(count):
            text = ctypes.create_string_buffer(b"message %d" % i, 32)
            vector = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(text), 9 if name else 32))
            room = ctypes.create_string_buffer(address, 16)
            keep += [text, vector, room]
            data += struct.pack("QI4xQQQQi4xI4x", ctypes.addressof(room), 16, ctypes.addressof(vector), 1, 0, 0, 0, 0)
        block = ctypes.create_string_buffer(data, len(data))
        return keep, block

    keep, block = headers(5, True)
    assert libc.sendmmsg(a.fileno(), block, 5, 0) == 5
    assert [struct.unpack_from("I", block, 64 * i + 56)[0] for i in range(5)] == [9] * 5
    wait_for(lambda: bits(b) & IN)
    time.sleep(0.05)
    keep, block = headers(8, False)
    assert libc.recvmmsg(b.fileno(), block, 8, socket.MSG_DONTWAIT, None) == 5
    assert [keep[3 * i].raw[:9] for i in range(5)] == [b"message %d" % i for i in range(5)]
    assert struct.unpack("!H", keep[2].raw[2:4])[0] == a.getsockname()[1]


def shared():
    a, b = udp(), udp()
    if os.fork() == 0:
        data, source = b.recvfrom(10)
        b.sendto(data * 2, source)
        os._exit(0)
    a.sendto(b"ab", b.getsockname())
    assert a.recvfrom(10) == (b"abab", b.getsockname())
    os.wait()


def wrong_arguments():
    a = udp()
    a.setblocking(True)
    fails(errno.EOPNOTSUPP, a.listen)
    fails(errno.EOPNOTSUPP, a.accept)
    fails(errno.EINVAL, a.bind, ("127.0.0.1", 0))
    fails(errno.ENOTCONN, a.getpeername)
    fails(errno.ENOTCONN, a.shutdown, socket.SHUT_RD)
    fails(errno.EADDRINUSE, socket.socket(type=socket.SOCK_DGRAM).bind, a.getsockname())
    fails(errno.EDESTADDRREQ, a.sendmsg, [b"x"])


def asynchronous():
    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, address):
            self.transport.sendto(data[::-1], address)

    class Ask(asyncio.DatagramProtocol):
        def __init__(self):
            self.answer = asyncio.get_running_loop().create_future()

        def datagram_received(self, data, address):
            self.answer.set_result(data)

    async def main():
        loop = asyncio.get_running_loop()
        server, _ = await loop.create_datagram_endpoint(Echo, ("127.0.0.1", 0))
        address = server.get_extra_info("sockname")
        client, protocol = await loop.create_datagram_endpoint(Ask, remote_addr=address)
        client.sendto(b"hello")
        assert await protocol.answer == b"olleh"

    asyncio.run(main())


def many_sockets():
    target = udp()
    for i in range(500):
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.sendto(b"%d" % i, target.getsockname())
        assert target.recvfrom(10) == (b"%d" % i, ("127.0.0.1", sock.getsockname()[1]))


run(
    addresses,
    receives_mixed,
    boundaries,
    connected,
    nobody_there,
    waiting,
    time_stamps,
    several_at_once,
    shared,
    wrong_arguments,
    asynchronous,
    many_sockets,
)
