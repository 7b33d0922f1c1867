"""listen(2) and accept(2): what poll shows, who is woken, and what is inherited."""

from common import *
import asyncio
import http.client
import http.server
import socketserver
import urllib.request


def idle_and_pending():
    server = listener()
    assert bits(server) == 0
    assert server.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    fails(errno.EISCONN, server.connect, server.getsockname())
    epoll = select.epoll()
    epoll.register(server, IN | select.EPOLLET)
    assert epoll.poll(0) == []
    clients = []
    for _ in range(3):
        clients.append(socket.create_connection(server.getsockname()))
        assert epoll.poll(5) == [(server.fileno(), IN)], "every arrival is an edge"
    assert bits(server) == IN and select.select([server], [server], [], 0) == ([server], [], [])
    for left in (2, 1, 0):
        server.accept()
        assert bits(server) == (IN if left else 0)
    assert epoll.poll(0) == []


def nothing_to_accept():
    server = listener()
    server.setblocking(False)
    fails(errno.EAGAIN, server.accept)
    server.setblocking(True)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50_000))
    fails(errno.EAGAIN, server.accept)
    fails(errno.EINVAL, socket.socket().accept)


def flags_of_accept4():
    import ctypes
    import fcntl

    libc = ctypes.CDLL(None, use_errno=True)
    server = listener()
    for flags in (0, socket.SOCK_NONBLOCK, socket.SOCK_CLOEXEC, socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC):
        client = socket.create_connection(server.getsockname())
        address, size = ctypes.create_string_buffer(128), ctypes.c_int(128)
        fd = libc.accept4(server.fileno(), address, ctypes.byref(size), flags)
        assert fd >= 0 and size.value == 16
        assert struct.unpack_from("!H", address, 2)[0] == client.getsockname()[1]
        assert bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK) == bool(flags & socket.SOCK_NONBLOCK)
        assert bool(fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC) == bool(flags & socket.SOCK_CLOEXEC)
        os.close(fd)
    # Addresses that lead nowhere, and room for less than an address.
    client = socket.create_connection(server.getsockname())
    address, size = ctypes.create_string_buffer(128), ctypes.c_int(4)
    fd = libc.accept4(server.fileno(), address, ctypes.byref(size), 0)
    assert fd >= 0 and size.value == 16 and address.raw[4:8] == bytes(4)


def waiting_threads():
    server = listener()
    accepted = []

    def accept():
        for _ in range(25):
            accepted.append(server.accept())

    threads = [threading.Thread(target=accept) for _ in range(4)]
    [thread.start() for thread in threads]
    clients = [socket.create_connection(server.getsockname()) for _ in range(100)]
    [thread.join() for thread in threads]
    assert sorted(peer for _, peer in accepted) == sorted(client.getsockname() for client in clients)
    assert bits(server) == 0


def forking():
    server = listener(64)
    for worker in range(3):
        if os.fork() == 0:
            while True:
                sock, _ = server.accept()
                data = receive_all(sock)
                sock.sendall(data.upper())
                sock.close()
    answers = []
    for i in range(60):
        client = socket.create_connection(server.getsockname())
        client.sendall(b"request %d" % i)
        client.shutdown(socket.SHUT_WR)
        answers.append(receive_all(client))
    assert answers == [b"REQUEST %d" % i for i in range(60)]
    os.kill(0, 0)
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for pid in open(f"/proc/self/task/{os.getpid()}/children").read().split():
        os.kill(int(pid), signal.SIGKILL)
        os.waitpid(int(pid), 0)


def a_child_for_each_connection():
    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.sendall(b"%d " % os.getpid() + self.request.recv(100))

    with socketserver.ForkingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        pids = set()
        for _ in range(10):
            with socket.create_connection(server.server_address) as client:
                client.sendall(b"hello")
                pid, _, word = receive_all(client).partition(b" ")
                assert word == b"hello"
                pids.add(pid)
        assert len(pids) == 10 and str(os.getpid()).encode() not in pids
        server.shutdown()


def closing():
    server = listener()
    address = server.getsockname()
    clients = [socket.create_connection(address) for _ in range(3)]
    server.close()
    for client in clients:
        wait_for(lambda: bits(client) & ERR)
        fails(errno.ECONNRESET, client.recv, 1)
    wait_for(lambda: socket.socket().connect_ex(address) == errno.ECONNREFUSED)
    # The port is free at once.
    again = socket.socket()
    again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    again.bind(address)
    again.listen()


def shutting():
    server = listener()
    failed = []

    def accept():
        try:
            server.accept()
        except OSError as error:
            failed.append(error.errno)

    threads = [threading.Thread(target=accept) for _ in range(3)]
    [thread.start() for thread in threads]
    time.sleep(0.1)
    server.shutdown(socket.SHUT_RD)
    [thread.join(5) for thread in threads]
    assert failed == [errno.EINVAL] * 3
    fails(errno.EINVAL, server.accept)


def listening_again():
    server = listener(1)
    server.listen(50)
    clients = [socket.create_connection(server.getsockname()) for _ in range(30)]
    for _ in clients:
        server.accept()
    bound = socket.socket()
    fails(errno.EADDRINUSE, bound.bind, server.getsockname())
    bound.bind(("127.0.0.1", 0))
    fails(errno.EINVAL, bound.bind, ("127.0.0.1", 0))


def bound_and_forgotten():
    # Sockets that were never connected are closed without anybody being told.
    address = ("127.0.0.1", unused_port())
    for _ in range(20):
        sock = socket.socket()
        sock.bind(address)
        sock.close()
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.bind(address)
        sock.close()


def more_than_a_thousand_at_once():
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit, 4096), limit))
    server = listener(4096)
    clients = [socket.socket() for _ in range(1500)]
    for client in clients:
        client.setblocking(False)
        fails(errno.EINPROGRESS, client.connect, server.getsockname())
    accepted = []
    for _ in clients:
        assert bits(server, 5000) == IN, "for as long as connections wait"
        accepted.append(server.accept()[0])
    assert bits(server) == 0
    for client in clients:
        client.setblocking(True)
        client.sendall(bytes(1000))
    for sock in accepted:
        assert sock.recv(1000, socket.MSG_WAITALL) == bytes(1000)
        sock.sendall(bytes(500))
        sock.close()
    for client in clients:
        assert receive_all(client) == bytes(500)
        client.close()


def web():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.path.encode() * 1000
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host, port = server.server_address
    connection = http.client.HTTPConnection(host, port)
    connection.request("GET", "/one")
    assert connection.getresponse().read() == b"/one" * 1000
    assert urllib.request.urlopen(f"http://{host}:{port}/two").read() == b"/two" * 1000
    fails_to_open = unused_port()
    try:
        urllib.request.urlopen(f"http://{host}:{fails_to_open}/")
        raise AssertionError("nobody listens there")
    except urllib.error.URLError as error:
        assert error.reason.errno == errno.ECONNREFUSED
    server.shutdown()


def asynchronous():
    async def serve(reader, writer):
        data = await reader.read()
        writer.write(data[::-1])
        await writer.drain()
        writer.close()

    async def ask(address, data):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(data)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        data = [os.urandom(100_000) for _ in range(50)]
        answers = await asyncio.gather(*(ask(address, piece) for piece in data))
        assert answers == [piece[::-1] for piece in data]
        server.close()
        try:
            await asyncio.open_connection("127.0.0.1", unused_port())
            raise AssertionError("nobody listens there")
        except ConnectionRefusedError:
            pass

    asyncio.run(main())


run(
    idle_and_pending,
    nothing_to_accept,
    flags_of_accept4,
    waiting_threads,
    forking,
    a_child_for_each_connection,
    closing,
    shutting,
    listening_again,
    bound_and_forgotten,
    more_than_a_thousand_at_once,
    web,
    asynchronous,
)
