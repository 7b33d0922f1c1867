"""One-to-one: what Linux says of sockets without, before, and after an association."""
def stream():
    return new(SOCK_STREAM)

address = ("127.0.0.1", 5000)
listener = stream()
listener.setsockopt(SCTP, EVENTS, bytes([1, 1, 0, 0, 0, 1]))
listener.bind(address)
listener.listen(2)
fresh = stream()
fails(errno.ENOTCONN, fresh.recvmsg, 10)
fails(errno.ENOTCONN, listener.recvmsg, 10)
fails(errno.ENOTCONN, listener.recv, 10)
fails(errno.EPIPE, fresh.sendmsg, [b"x"])
fails(errno.EPIPE, listener.send, b"x")
fails(errno.EPIPE, listener.sendto, b"x", address)

# A send connects.
fresh.setsockopt(SCTP, EVENTS, bytes([1, 1]))
assert fresh.sendto(b"implicit", address) == 8
peer, source = listener.accept()
assert fresh.getpeername() == address and source == fresh.getsockname()
notified(fresh, ASSOC_CHANGE, COMM_UP)
notified(peer, ASSOC_CHANGE, COMM_UP)
data, control, flags, source = peer.recvmsg(100, 200)
assert (data, flags & MSG_EOR, source) == (b"implicit", MSG_EOR, fresh.getsockname())
# sctp_data_io_event: SCTP_SNDRCV.
assert [(level, kind, len(value)) for level, kind, value in control] == [(SCTP, SNDRCV, 32)]
fails(errno.EISCONN, fresh.connect, address)
assert peer.sendmsg([b"back"], info(3, 0, 9)) == 4
assert peer.sendto(b"to", fresh.getsockname()) == 2
# What is not read at once is read next, however it is read.
assert fresh.recvfrom(1)[0] == b"b" and os.read(fresh.fileno(), 1) == b"a" and fresh.recv(1) == b"c"
assert fresh.recvmsg(100, 100)[0] == b"k"
assert fresh.recv(100) == b"to"

# The halves: who has shut its own first has no end to read.
fresh.shutdown(SHUT_WR)
notified(peer, SHUTDOWN_EVENT)
notified(peer, ASSOC_CHANGE, SHUTDOWN_COMP)
assert peer.recvmsg(10)[0] == b"" == peer.recv(10)
notified(fresh, ASSOC_CHANGE, SHUTDOWN_COMP)
fails(errno.ENOTCONN, fresh.recvmsg, 10)
fails(errno.ENOTCONN, fresh.recv, 10)
fails(errno.EPIPE, fresh.sendmsg, [b"x"])
fails(errno.EPIPE, peer.send, b"x")

# SIGPIPE comes of a call that the supervisor answers, too.
program = "import signal, socket; signal.signal(signal.SIGPIPE, signal.SIG_DFL); " \
    "socket.socket(2, 1, 132).sendmsg([b'x'], [], %s)"
for flags, end in ((0, -13), (MSG_NOSIGNAL, 1)):
    said = subprocess.run([sys.executable, "-c", program % int(flags)], capture_output=True)
    assert said.returncode == end, said

# A queue of two takes three, as Linux's; then it refuses.
waiting = [stream() for _ in range(3)]
for sock in waiting:
    sock.connect(address)
fails(errno.ECONNREFUSED, stream().connect, address)
for sock in waiting:
    peer, source = listener.accept()
    assert source == sock.getsockname()
    sock.send(b"in its turn")
    notified(peer, ASSOC_CHANGE, COMM_UP)
    assert peer.recvmsg(100)[0] == b"in its turn"
stream().connect(address)

# What is left of a message is there when the association has ended meanwhile, too.
leaving = stream()
leaving.connect(address)
listener.accept()
rest = listener.accept()[0]
notified(rest, ASSOC_CHANGE, COMM_UP)
leaving.send(b"in two parts")
leaving.close()
time.sleep(0.1)
first, second = rest.recvmsg(3), rest.recvmsg(100)
assert (first[0], first[2] & MSG_EOR) == (b"in ", 0), first
assert (second[0], second[2] & MSG_EOR) == (b"two parts", MSG_EOR), second

# Whoever waits in a receive is woken by a reset.
reset, source = stream(), None
reset.connect(address)
peer = listener.accept()[0]
notified(peer, ASSOC_CHANGE, COMM_UP)
result = []
def wait():
    notified(peer, ASSOC_CHANGE, COMM_LOST)
    fails(errno.ECONNRESET, peer.recvmsg, 10)
    result.append("reset")
waiter = threading.Thread(target=wait)
waiter.start()
reset.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
reset.close()
waiter.join()
assert result == ["reset"]
print("done")
