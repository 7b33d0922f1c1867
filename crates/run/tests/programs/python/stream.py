"""A connection: data, its end, resets, and the descriptors that share it."""

from common import *
import ctypes
import array
import hashlib
import signal


def half_close():
    client, server = pair()
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    fails(errno.EPIPE, client.send, b"x")
    wait_for(lambda: bits(server) == IN | OUT | RDHUP)
    assert receive_all(server) == b"question"
    assert bits(server) == IN | OUT | RDHUP
    server.sendall(b"answer")
    assert client.recv(100) == b"answer"
    assert bits(client) == OUT
    server.shutdown(socket.SHUT_WR)
    wait_for(lambda: bits(client) == IN | OUT | RDHUP | HUP)
    assert receive_all(client) == b""
    wait_for(lambda: bits(server) == IN | OUT | RDHUP | HUP)


def both_at_once():
    client, server = pair()
    client.sendall(b"last words")
    client.shutdown(socket.SHUT_RDWR)
    assert receive_all(server) == b"last words"


def reset_by_peer():
    client, server = pair()
    server.sendall(b"before")
    wait_for(lambda: bits(client) & IN)
    reset(server)
    wait_for(lambda: bits(client) == IN | OUT | ERR | HUP | RDHUP)
    assert client.recv(6) == b"before"
    fails(errno.ECONNRESET, client.recv, 1)
    assert client.recv(1) == b""
    assert so_error(client) == 0
    fails(errno.EPIPE, client.send, b"x")

    client, server = pair()
    reset(server)
    wait_for(lambda: bits(client) & ERR)
    assert so_error(client) == errno.ECONNRESET
    assert client.recv(1) == b""
    fails(errno.ENOTCONN, client.getpeername)


def reset_wakes_a_reader():
    client, server = pair()
    threading.Timer(0.1, reset, (server,)).start()
    fails(errno.ECONNRESET, client.recv, 1)


def closed_with_something_unread():
    client, server = pair()
    client.sendall(b"nobody reads this")
    wait_for(lambda: bits(server) & IN)
    server.close()
    wait_for(lambda: bits(client) & ERR)
    fails(errno.ECONNRESET, client.recv, 1)


def write_after_the_peer_closed():
    client, server = pair()
    server.close()
    wait_for(lambda: bits(client) & RDHUP)
    assert client.send(b"x") == 1
    wait_for(lambda: bits(client) & HUP)
    fails(errno.EPIPE, client.send, b"x")


def one_process_one_signal():
    received = []
    signal.signal(signal.SIGPIPE, lambda *_: received.append(1))
    client, server = pair()
    server.close()
    wait_for(lambda: bits(client) & RDHUP)
    client.send(b"x")
    wait_for(lambda: bits(client) & HUP)
    fails(errno.EPIPE, client.send, b"x")
    wait_for(lambda: received == [1])
    fails(errno.EPIPE, client.send, b"x", socket.MSG_NOSIGNAL)
    time.sleep(0.01)
    assert received == [1]


def much():
    size = 48 << 20
    block = os.urandom(1 << 20)
    client, server = pair()
    sums = {}

    def send(sock, name):
        digest = hashlib.sha256()
        for i in range(size >> 20):
            piece = block[i * 991 :] + block[: i * 991]
            digest.update(piece)
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)
        sums[name] = digest.digest()

    def receive(sock, name):
        digest, count = hashlib.sha256(), 0
        while piece := sock.recv(1 << 18):
            digest.update(piece)
            count += len(piece)
        assert count == size, count
        sums[name] = digest.digest()

    jobs = [(send, client, "up"), (receive, server, "up here"), (send, server, "down"), (receive, client, "down here")]
    threads = [threading.Thread(target=job, args=(sock, name)) for job, sock, name in jobs]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sums["up"] == sums["up here"] and sums["down"] == sums["down here"]


def octet_by_octet():
    client, server = pair()
    data = os.urandom(3000)

    def send():
        for octet in data:
            client.send(bytes([octet]))
        client.close()

    threading.Thread(target=send).start()
    assert receive_all(server) == data


def a_reader_that_waits():
    client, server = pair()
    server.setblocking(False)
    sent = 0

    def is_full():
        nonlocal sent
        try:
            while True:
                sent += server.send(bytes(1 << 16))
        except BlockingIOError:
            # What lies between takes its part a moment later.
            return not bits(server) & OUT

    wait_for(is_full)
    received = 0
    while received < sent:
        received += len(client.recv(1 << 20))
    wait_for(lambda: bits(server) & OUT)


def peek_and_wait_all():
    client, server = pair()
    client.sendall(b"abc")
    assert server.recv(2, socket.MSG_PEEK) == b"ab"
    assert server.recv(9) == b"abc"
    fails(errno.EAGAIN, server.recv, 1, socket.MSG_DONTWAIT)
    threading.Timer(0.05, client.sendall, (b"45678",)).start()
    client.sendall(b"0123")
    assert server.recv(9, socket.MSG_WAITALL) == b"012345678"
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50_000))
    fails(errno.EAGAIN, server.recv, 1)
    assert struct.unpack("ll", server.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16))[0] == 0


def messages_and_vectors():
    client, server = pair()
    assert client.sendmsg([b"one", b"two"]) == 6
    data, control, flags, _ = server.recvmsg(100)
    assert (data, control) == (b"onetwo", [])
    data = bytearray(3)
    os.writev(client.fileno(), [b"x", b"yz"])
    assert os.readv(server.fileno(), [data]) == 3 and data == b"xyz"
    with open(__file__, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        client.sendfile(file)
        client.close()
        file.seek(0)
        assert receive_all(server) == file.read(size)


def shared_by_fork_and_dup():
    client, server = pair()
    twin = client.dup()
    client.close()
    if os.fork() == 0:
        twin.sendall(b"from the child")
        os._exit(0)
    os.wait()
    assert server.recv(100) == b"from the child"
    assert bits(server) == OUT, "the parent still holds it"
    assert twin.getpeername() == server.getsockname()
    twin.close()
    assert server.recv(1) == b""


def inherited_by_exec():
    client, server = pair()
    client.set_inheritable(True)
    if os.fork() == 0:
        script = "import socket, sys; s = socket.socket(fileno=int(sys.argv[1])); s.sendall(repr(s.getpeername()).encode())"
        os.execv(sys.executable, [sys.executable, "-c", script, str(client.fileno())])
    name = repr(client.getpeername())
    client.close()
    os.wait()
    assert receive_all(server).decode() == name


def passed_to_another_process():
    ours, theirs = socket.socketpair()
    client, server = pair()
    if os.fork() == 0:
        [fd] = socket.recv_fds(theirs, 10, 1)[1]
        got = socket.socket(fileno=fd)
        got.sendall(repr(got.getpeername()).encode())
        os._exit(0)
    socket.send_fds(ours, [b"x"], [client.fileno()])
    name = repr(client.getpeername())
    client.close()
    os.wait()
    assert receive_all(server).decode() == name


def many():
    server = listener(128)
    for _ in range(50):
        clients = [socket.create_connection(server.getsockname()) for _ in range(20)]
        accepted = [server.accept()[0] for _ in clients]
        for sock in clients:
            sock.sendall(b"x")
        for sock in accepted:
            assert sock.recv(1) == b"x"
            sock.close()
        for sock in clients:
            assert sock.recv(1) == b""
            sock.close()


def options():
    client, server = pair()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) > 1000
    fails(errno.ENOPROTOOPT, client.setsockopt, socket.SOL_SOCKET, 999, 1)
    fails(errno.ENOPROTOOPT, client.getsockopt, socket.IPPROTO_TCP, 999)


def addresses_are_taken_no_notice_of():
    client, server = pair()
    # Whatever address it is: a stream has its peer.
    assert client.sendto(b"to", ("192.0.2.1", 9)) == 2
    assert client.sendmsg([b"wards"], [], 0, ("192.0.2.1", 9)) == 5
    assert server.recv(7, socket.MSG_WAITALL) == b"towards"
    # And nobody is told who sent what: an address of no length.
    libc = ctypes.CDLL(None, use_errno=True)
    for reader, writer in ((client, server), (server, client)):
        writer.sendall(b"octets of a stream")
        data, address, length = ctypes.create_string_buffer(100), ctypes.create_string_buffer(128), ctypes.c_int(128)
        got = libc.recvfrom(reader.fileno(), data, 6, 0, address, ctypes.byref(length))
        assert (data.raw[:got], length.value) == (b"octets", 0), (data.raw[:got], length.value)
        got, _, flags, source = reader.recvmsg(3, 0, socket.MSG_PEEK)
        assert (got, flags, source) == (b" of", 0, None), source
        got, _, _, source = reader.recvmsg(100)
        assert (got, source) == (b" of a stream", None), source
    # A receive with room for an address waits, and is ended, as any other.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50_000))
    fails(errno.EAGAIN, client.recvfrom, 1)
    threading.Timer(0.05, server.sendall, (b"ab",)).start()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 5, 0))
    assert client.recvfrom(1)[0] == b"a"
    threading.Timer(0.05, server.sendall, (b"cd",)).start()
    assert client.recvfrom(3, socket.MSG_WAITALL)[0] == b"bcd"
    fails(errno.EAGAIN, client.recvfrom, 1, socket.MSG_DONTWAIT)
    # More than there is room for: all of it goes when somebody reads.
    data = bytes(range(256)) * 40_000
    received = []
    reader = threading.Thread(target=lambda: received.append(receive_all(server)))
    reader.start()
    sent = 0
    while sent < len(data):
        sent += client.sendto(data[sent:], ("192.0.2.1", 9))
    client.shutdown(socket.SHUT_WR)
    reader.join()
    assert received == [data]
    server.close()
    assert client.recvfrom(1)[0] == b""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    fails(errno.EPIPE, client.sendto, b"x", ("192.0.2.1", 9))
    fails(errno.EPIPE, socket.socket().sendto, b"x", ("192.0.2.1", 9))


def a_send_with_an_address_is_interrupted():
    client, server = pair()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 5, 0))
    signal.signal(signal.SIGALRM, lambda *_: 1 / 0)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    sent = 0
    try:
        while True:
            sent += client.sendto(b"a" * 65536, server.getsockname())
    except ZeroDivisionError:
        signal.setitimer(signal.ITIMER_REAL, 0)
    client.close()
    # The last one may have gone in part before the signal came.
    assert sent <= len(receive_all(server)) <= sent + 65536


def small_buffers_hold_little():
    for inherits, size in ((False, 1), (False, 4096), (True, 4096)):
        server, client = socket.socket(), socket.socket()
        server.bind(("127.0.0.1", 0))
        server.listen()
        ours = server if inherits else client
        if inherits:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        else:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(server.getsockname())
        accepted = server.accept()[0]
        writer, reader = (accepted, client) if inherits else (client, accepted)
        writer.setblocking(False)
        assert bits(writer) == OUT
        writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
        assert bits(writer) == OUT
        sent = 0
        # Until the reader's side is full, too, and nothing moves any more.
        for _ in range(50):
            try:
                while True:
                    sent += writer.send(b"x" * 4096)
            except BlockingIOError:
                time.sleep(0.01)
        assert sent < 200_000, sent
        # Somebody reads for a while: whoever waits for room gets it, whatever it wrote.
        reader.settimeout(10)
        writer.setblocking(True)
        thread = threading.Thread(target=writer.sendall, args=(b"y" * (1 << 20),))
        thread.start()
        left = sent + (1 << 20)
        while left:
            left -= len(reader.recv(left))
        thread.join()
        writer.setblocking(False)
        wait_for(lambda: bits(writer) == OUT)
        # With python's time-out the descriptor does not block, and MSG_WAITALL would not wait.
        writer.sendall(b"z" * 4096)
        left = 4096
        while left:
            left -= len(reader.recv(left))
        # Made smaller when much has been written, it is as good as before.
        for wanted in (1 << 18, 1):
            writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, wanted)
            thread = threading.Thread(target=writer.sendall, args=(b"w" * 50_000,))
            writer.setblocking(True)
            thread.start()
            left = 50_000
            while left:
                left -= len(reader.recv(left))
            thread.join()
            writer.setblocking(False)
            wait_for(lambda: bits(writer) == OUT)
        # Who goes without reading resets who still writes.
        writer.send(b"unread")
        wait_for(lambda: bits(reader) & IN)
        reader.close()
        wait_for(lambda: bits(writer) & HUP)
        try:
            while True:
                writer.send(b"x")
        except (ConnectionResetError, BrokenPipeError):
            pass


run(
    small_buffers_hold_little,
    addresses_are_taken_no_notice_of,
    a_send_with_an_address_is_interrupted,
    half_close,
    both_at_once,
    reset_by_peer,
    reset_wakes_a_reader,
    closed_with_something_unread,
    write_after_the_peer_closed,
    one_process_one_signal,
    much,
    octet_by_octet,
    a_reader_that_waits,
    peek_and_wait_all,
    messages_and_vectors,
    shared_by_fork_and_dup,
    inherited_by_exec,
    passed_to_another_process,
    many,
    options,
)
