"""What is around internet sockets: other families, names, and what must not leak to the host."""

from common import *
import ctypes
import tempfile


def unix_sockets_are_the_kernels():
    a, b = socket.socketpair()
    a.send(b"x")
    assert b.recv(1) == b"x"
    with tempfile.TemporaryDirectory() as folder:
        for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
            path = f"{folder}/{kind}"
            server = socket.socket(socket.AF_UNIX, kind)
            server.bind(path)
            server.listen()
            assert server.getsockname() == path
            client = socket.socket(socket.AF_UNIX, kind)
            client.connect(path)
            accepted, _ = server.accept()
            assert client.getpeername() == path
            client.sendmsg([b"hello"])
            assert accepted.recvmsg(10)[0] == b"hello"
            credentials = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            assert struct.unpack("iII", credentials)[0] == os.getpid()
            client.shutdown(socket.SHUT_WR)
            assert accepted.recv(1) == b""
        fails(errno.ENOENT, client.connect, f"{folder}/nobody")
        datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        datagrams.bind(f"{folder}/datagrams")
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"x", f"{folder}/datagrams")
        assert datagrams.recvfrom(10)[0] == b"x"


def other_families_do_not_exist():
    for family in (socket.AF_PACKET, 40, 38, 29, 16 + 100):  # packet, vsock, alg, can, none
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
            fails(errno.EAFNOSUPPORT, socket.socket, family, kind, 0)
    for protocol in (0, 4, 12):  # route, sock_diag, netfilter
        fails(errno.EPROTONOSUPPORT, socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    fails(errno.EOPNOTSUPP, socket.socketpair, socket.AF_INET)


def names_of_interfaces_do_not_leak():
    libc = ctypes.CDLL(None, use_errno=True)
    sock = socket.socket(type=socket.SOCK_DGRAM)
    for request in (0x8912, 0x8933, 0x8927, 0x8915):
        assert libc.ioctl(sock.fileno(), ctypes.c_ulong(request), ctypes.create_string_buffer(256)) == -1
        assert ctypes.get_errno() == errno.ENODEV
    # What asks for them survives.
    assert libc.getifaddrs(ctypes.byref(ctypes.c_void_p())) == -1
    assert socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)[0][4] == ("127.0.0.1", 80)
    assert socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)


def io_uring_does_not_exist():
    libc = ctypes.CDLL(None, use_errno=True)
    for number in (425, 426, 427):
        assert libc.syscall(number, 1, 0, 0, 0, 0, 0) == -1 and ctypes.get_errno() == errno.ENOSYS


def the_hosts_resolvers_refuse():
    for path in ("/var/run/nscd/socket", "/run/systemd/resolve/io.systemd.Resolve"):
        fails(errno.ECONNREFUSED, socket.socket(socket.AF_UNIX).connect, path)


def threads_each_with_their_sockets():
    failures = []

    def work(i):
        try:
            for _ in range(20):
                server = listener()
                client = socket.create_connection(server.getsockname())
                accepted, _ = server.accept()
                client.sendall(b"%d" % i)
                client.close()
                assert receive_all(accepted) == b"%d" % i
                accepted.close()
                server.close()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failures, failures


def a_thread_with_a_descriptor_table_of_its_own():
    libc = ctypes.CDLL(None, use_errno=True)
    server = listener()
    CLONE_FILES = 0x400
    result = []

    def work():
        assert libc.unshare(CLONE_FILES) == 0
        # This number is another file in the other threads.
        sock = socket.socket()
        sock.connect(server.getsockname())
        sock.sendall(b"from the thread")
        result.append((sock.fileno(), sock.getsockname()))

    holder = open("/dev/null")
    thread = threading.Thread(target=work)
    thread.start()
    accepted, peer = server.accept()
    assert accepted.recv(100) == b"from the thread"
    thread.join()
    assert result[0][1] == peer


run(
    unix_sockets_are_the_kernels,
    other_families_do_not_exist,
    names_of_interfaces_do_not_leak,
    io_uring_does_not_exist,
    the_hosts_resolvers_refuse,
    threads_each_with_their_sockets,
    a_thread_with_a_descriptor_table_of_its_own,
)
