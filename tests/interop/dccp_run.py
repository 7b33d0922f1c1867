"""DCCP by Linux's numbers, between programs of one run: python DCCP FAMILY."""
SOCK_DCCP, DCCP, SOL_DCCP = 6, 33, 269
SERVICE, AVAILABLE_CCIDS, CCID, TX_CCID, RX_CCID = 2, 12, 13, 14, 15
GET_CUR_MPS, SERVER_TIMEWAIT, SEND_CSCOV, RECV_CSCOV = 5, 6, 10, 11
QPOLICY_ID, QPOLICY_TXQLEN = 16, 17
CCID_RX_INFO, CCID_TX_INFO = 128, 192
SCM_PRIORITY = 1

family, host = {"4": (AF_INET, "127.0.0.1"), "6": (AF_INET6, "::1")}[sys.argv[1]]
service = struct.pack("!I", 42)


def new():
    sock = socket(family, SOCK_DCCP, DCCP)
    sock.setsockopt(SOL_DCCP, SERVICE, service)
    return sock


listener = new()
assert socket(family, SOCK_DCCP).getsockopt(SOL_SOCKET, SO_PROTOCOL) == DCCP
assert listener.getsockopt(SOL_SOCKET, SO_TYPE) == SOCK_DCCP
assert listener.getsockopt(SOL_DCCP, SERVICE, 4) == service
assert 2 in listener.getsockopt(SOL_DCCP, AVAILABLE_CCIDS, 4)
listener.setsockopt(SOL_DCCP, RECV_CSCOV, 1)
listener.bind((host, 5000))
listener.listen(5)
fails(errno.ENOTCONN, new().recvmsg, 10)

client = new()
client.setsockopt(SOL_DCCP, SEND_CSCOV, 1)
client.setsockopt(SOL_DCCP, CCID, b"\x02")
client.setsockopt(SOL_DCCP, QPOLICY_TXQLEN, 100)
poll = select.epoll()
poll.register(listener, select.EPOLLIN | select.EPOLLET)
client.connect((host, 5000))
assert poll.poll(30) == [(listener.fileno(), select.EPOLLIN)]
server, source = listener.accept()
assert source[:2] == client.getsockname()[:2] and server.getpeername() == client.getsockname()
assert server.getsockopt(SOL_SOCKET, SO_TYPE) == SOCK_DCCP
for sock in client, server:
    assert sock.getsockopt(SOL_DCCP, TX_CCID) == sock.getsockopt(SOL_DCCP, RX_CCID) == 2
    most = sock.getsockopt(SOL_DCCP, GET_CUR_MPS)
    assert 500 < most < 65535, most
assert client.getsockopt(SOL_DCCP, SEND_CSCOV) == 1
assert client.getsockopt(SOL_DCCP, QPOLICY_TXQLEN) == 100
assert client.getsockopt(SOL_DCCP, QPOLICY_ID) == 0
fails(errno.ENOPROTOOPT, client.getsockopt, SOL_DCCP, 99)
# Only CCID 3 has these, and only an ordered queue has no priorities.
for figures in CCID_RX_INFO, CCID_TX_INFO:
    fails(errno.ENOPROTOOPT, client.getsockopt, SOL_DCCP, figures, 64)
first = [(SOL_DCCP, SCM_PRIORITY, struct.pack("=I", 1))]
fails(errno.EINVAL, client.sendmsg, [b"x"], first)

# Messages keep their boundaries both ways; what does not fit is lost.
for i in range(200):
    assert client.send(b"%d" % i * 10) == len(b"%d" % i * 10)
    assert server.recv(2000) == b"%d" % i * 10
server.sendmsg([b"in ", b"pieces"])
assert client.recvmsg(100)[0] == b"in pieces"
client.send(b"0123456789")
client.send(b"next")
data, _, flags, _ = server.recvmsg(4)
assert (data, flags & MSG_TRUNC) == (b"0123", MSG_TRUNC) and server.recv(100) == b"next"
fails(errno.EMSGSIZE, client.sendmsg, [bytes(most + 1)])
client.settimeout(0.0)
fails(errno.EAGAIN, client.recv, 10)
fails(errno.EAGAIN, client.recvmsg, 10)
client.settimeout(None)

# The end, as the peer of a close sees it, polled.
poll.register(server, select.EPOLLIN | select.EPOLLRDHUP)
client.send(b"last")
client.close()
assert server.recv(100) == b"last"
assert server.recv(100) == b"" == server.recvmsg(100)[0]
assert poll.poll(30)[0][1] & select.EPOLLRDHUP
fails(errno.EPIPE, server.send, b"x")
server.close()

# Nobody listens for another service, nor at another port; a nonblocking connect tells by SO_ERROR.
wrong = new()
wrong.setsockopt(SOL_DCCP, SERVICE, struct.pack("!I", 43))
fails(errno.EBADRQC, wrong.connect, (host, 5000))
refused = new()
refused.setblocking(False)
assert refused.connect_ex((host, 5001)) == errno.EINPROGRESS
select.select([], [refused], [], 30)
assert refused.getsockopt(SOL_SOCKET, SO_ERROR) == errno.ECONNREFUSED

# CCID 3 is asked for by both ends, and tells its figures; what waits leaves by its priority.
listener3, client3 = new(), new()
for sock in listener3, client3:
    sock.setsockopt(SOL_DCCP, CCID, b"\x03")
    fails(errno.EINVAL, sock.setsockopt, SOL_DCCP, CCID, b"\x07")
fails(errno.EINVAL, client3.setsockopt, SOL_DCCP, QPOLICY_ID, 2)
client3.setsockopt(SOL_DCCP, QPOLICY_ID, 1)
listener3.bind((host, 5003))
listener3.listen(1)
client3.connect((host, 5003))
server3, _ = listener3.accept()
fails(errno.EISCONN, client3.setsockopt, SOL_DCCP, QPOLICY_ID, 0)
assert client3.getsockopt(SOL_DCCP, QPOLICY_ID) == 1
for i in range(5):
    assert client3.sendmsg([b"%d" % i], first) == 1
assert sorted(server3.recv(10) for i in range(5)) == [b"0", b"1", b"2", b"3", b"4"]
assert client3.getsockopt(SOL_DCCP, TX_CCID) == server3.getsockopt(SOL_DCCP, RX_CCID) == 3
x, x_recv, x_calc, rtt, p, rto, ipi = struct.unpack("=QQIIIII4x", client3.getsockopt(SOL_DCCP, CCID_TX_INFO, 40))
assert x > 0 and 0 < rtt < 5000000 and rto >= 4 * rtt and p == x_calc == 0, (x, rtt, rto, p, x_calc)
x_recv, rtt, p = struct.unpack("=III", server3.getsockopt(SOL_DCCP, CCID_RX_INFO, 12))
assert p == 0, p
fails(errno.EINVAL, client3.getsockopt, SOL_DCCP, CCID_TX_INFO, 39)

# A connection that a child has inherited.
client = new()
client.connect((host, 5000))
server, _ = listener.accept()
os.set_inheritable(client.fileno(), True)
heir = "import socket; s = socket.socket(fileno=%d); s.send(b'heir'); print(s.recv(99))" % client.fileno()
echo = threading.Thread(target=lambda: server.send(server.recv(99)))
echo.start()
said = subprocess.run([sys.executable, "-c", heir], close_fds=False, capture_output=True, text=True)
assert said.stdout == "b'heir'\n", said
echo.join()
client.shutdown(SHUT_RDWR)
assert server.recv(10) == b""
print("done")
