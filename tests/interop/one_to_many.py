"""One-to-many: associations by a send, what is told of a message, peeling off."""
server = new()
server.bind(("127.0.0.1", 5000))
server.listen(5)
client, other = new(), new()
other.bind(("127.0.0.1", 6000))
for sock in (server, client, other):
    sock.setsockopt(SCTP, EVENTS, bytes([0, 1, 0, 0, 0, 1]))
    sock.setsockopt(SCTP, RECVRCVINFO, 1)
assert server.getsockopt(SOL_SOCKET, SO_TYPE) == SOCK_SEQPACKET
fails(errno.EOPNOTSUPP, server.accept)
fails(errno.EPIPE, client.sendmsg, [b"whom to?"])
fails(errno.ENOTCONN, client.recvmsg, 10)
fails(errno.EINVAL, client.sendmsg, [b"x"], info(flags=EOF), 0, ("127.0.0.1", 5000))

# A send makes the association; what it says arrives beside the message.
assert client.sendmsg([b"fir", b"st"], info(1, 0, 7), 0, ("127.0.0.1", 5000)) == 5
of_client = notified(client, ASSOC_CHANGE, COMM_UP)
of_server = notified(server, ASSOC_CHANGE, COMM_UP)
data, (stream, ppid, assoc), whole, source = received(server)
assert (data, stream, ppid, assoc, whole) == (b"first", 1, 7, of_server, True)
assert source == ("127.0.0.1", client.getsockname()[1]), source

# Back, by the association's name alone, and by the address alone.
assert server.sendmsg([b"by name"], info(2, UNORDERED, 8, assoc=of_server)) == 7
data, (stream, ppid, assoc), _, source = received(client)
assert (data, stream, ppid, assoc) == (b"by name", 2, 8, of_client)
assert source == ("127.0.0.1", 5000)
server.sendto(b"by address", source := ("127.0.0.1", client.getsockname()[1]))
assert received(client)[0] == b"by address"
fails(errno.EINVAL, server.sendmsg, [b"x"], info(99, assoc=of_server))

# What does not fit is read next, and only the last piece is the end of the record.
client.sendto(b"0123456789", ("127.0.0.1", 5000))
client.sendto(b"next", ("127.0.0.1", 5000))
assert server.recvmsg(3, 200, MSG_PEEK)[0] == b"012"
pieces = [received(server, 4) for _ in range(4)]
assert [(data, whole) for data, _, whole, _ in pieces] == [
    (b"0123", False), (b"4567", False), (b"89", True), (b"next", True)], pieces

# poll, also by edges.
poll = select.epoll()
poll.register(server, select.EPOLLIN | select.EPOLLET)
assert poll.poll(0) == []
for _ in range(2):
    client.sendto(b"edge", ("127.0.0.1", 5000))
    assert poll.poll(30) == [(server.fileno(), select.EPOLLIN)]
assert [server.recvfrom(9) for _ in range(2)] == [(b"edge", source)] * 2
server.setblocking(False)
fails(errno.EAGAIN, server.recvmsg, 10)
server.settimeout(None)

# The peer's addresses; who is not there.
_, addresses = ask(server, GET_PEER_ADDRS, struct.pack("=iI", of_server, 0) + bytes(200))
count, = struct.unpack("=I", addresses[4:8])
assert count >= 1 and sockaddr(*source) in addresses[8:], addresses
fails(errno.EINVAL, ask, server, PEELOFF, struct.pack("=ii", 4711, 0))

# Two clients wait; only what is of the association goes with the peeled-off socket.
client.sendto(b"goes", ("127.0.0.1", 5000))
other.sendto(b"stays", ("127.0.0.1", 5000))
notified(other, ASSOC_CHANGE, COMM_UP)
select.select([server], [], [], 30)
fd, value = ask(server, PEELOFF_FLAGS, struct.pack("=iiI", of_server, 0, SOCK_NONBLOCK | SOCK_CLOEXEC))
assert struct.unpack("=ii", value[:8]) == (of_server, fd)
peeled = socket(fileno=fd)
assert not os.get_inheritable(fd) and not os.get_blocking(fd)
os.set_blocking(fd, True)
assert peeled.getpeername() == source and peeled.getsockopt(SOL_SOCKET, SO_TYPE) == SOCK_SEQPACKET
assert received(peeled)[0] == b"goes"
notified(server, ASSOC_CHANGE, COMM_UP)
data, (_, _, of_other), _, _ = received(server)
assert data == b"stays"
client.sendto(b"more", ("127.0.0.1", 5000))
assert received(peeled)[0] == b"more"
fails(errno.EINVAL, ask, peeled, PEELOFF, struct.pack("=ii", of_server, 0))

# It survives fork and exec.
client.sendto(b"for the heir", ("127.0.0.1", 5000))
heir = "import socket; s = socket.socket(fileno=%d); print(s.recv(99)); s.send(b'from the heir')" % fd
os.set_inheritable(fd, True)
said = subprocess.run([sys.executable, "-c", heir], close_fds=False, capture_output=True, text=True)
assert said.stdout == "b'for the heir'\n", said
peeled.send(b"from the parent")
assert [received(client)[0] for _ in range(2)] == [b"from the heir", b"from the parent"]

# A close ends it.
peeled.close()
notified(client, SHUTDOWN_EVENT)
notified(client, ASSOC_CHANGE, SHUTDOWN_COMP)

# To all; then an end, and an abort with a reason.
client.sendto(b"again", ("127.0.0.1", 5000))
notified(client, ASSOC_CHANGE, COMM_UP)
of_client = notified(server, ASSOC_CHANGE, COMM_UP)
assert received(server)[0] == b"again"
server.sendmsg([b"all"], info(flags=SENDALL))
assert received(client)[0] == b"all" == received(other)[0]
server.sendmsg([], info(flags=EOF, assoc=of_client))
notified(client, SHUTDOWN_EVENT)
notified(client, ASSOC_CHANGE, SHUTDOWN_COMP)
notified(server, ASSOC_CHANGE, SHUTDOWN_COMP)
server.sendmsg([b"why"], info(flags=ABORT, assoc=of_other))
notified(other, ASSOC_CHANGE, COMM_LOST)

# Several addresses of one peer, by both calls.
server.setsockopt(SCTP, BINDX_ADD, sockaddr("127.0.0.2", 5000))
both = sockaddr("127.0.0.1", 5000) + sockaddr("127.0.0.2", 5000)
client.setsockopt(SCTP, CONNECTX, both)
of_client = notified(client, ASSOC_CHANGE, COMM_UP)
_, addresses = ask(client, GET_PEER_ADDRS, struct.pack("=iI", of_client, 0) + bytes(200))
assert {addresses[at + 4:at + 8] for at in range(8, len(addresses), 16)} >= {
    inet_aton("127.0.0.1"), inet_aton("127.0.0.2")}, addresses
where = ctypes.create_string_buffer(both, len(both))
_, value = ask(other, CONNECTX3, struct.pack("@iIP", 0, len(both), ctypes.addressof(where)))
assert struct.unpack("=i", value[:4])[0] == notified(other, ASSOC_CHANGE, COMM_UP)

# To the second address, whatever the primary one is.
client.sendmsg([b"by the second"], info(flags=ADDR_OVER), 0, ("127.0.0.2", 5000))
while server.recvmsg(1000, 200)[0] != b"by the second":
    pass

# What was counted: struct sctp_assoc_stats; struct sctp_prstatus of the association and of a stream.
_, stats = ask(client, GET_ASSOC_STATS, struct.pack("=i", of_client) + bytes(252))
assert len(stats) == 256
counts = struct.unpack("=15Q", stats[136:])
assert counts[11] == 1 and counts[3] >= 3, counts
for name, stream in ((PR_ASSOC_STATUS, 0), (PR_STREAM_STATUS, 9)):
    _, status = ask(client, name, struct.pack("=iHHQQ", of_client, stream, 0x80, 9, 9))
    assert struct.unpack("=QQ", status[8:]) == (0, 0), status
fails(errno.EINVAL, ask, client, PR_STREAM_STATUS, struct.pack("=iHHQQ", of_client, 10, 0x80, 0, 0))
fails(errno.EINVAL, ask, client, PR_ASSOC_STATUS, struct.pack("=iHHQQ", 4711, 0, 0x80, 0, 0))

# Authenticated: each message with its own key, and what becomes of one that is given up.
listener, signer = new(SOCK_STREAM), new(SOCK_STREAM)
for sock in (listener, signer):
    fails(errno.EACCES, sock.setsockopt, SCTP, AUTH_CHUNK, b"\0")
    sock.setsockopt(SCTP, AUTH_SUPPORTED, struct.pack("=iI", 0, 1))
    sock.setsockopt(SCTP, AUTH_CHUNK, b"\0")
    for key in (1, 2):
        sock.setsockopt(SCTP, AUTH_KEY, struct.pack("=iHH", 0, key, 4) + b"key" + bytes([key]))
signer.setsockopt(SCTP, EVENTS, bytes([0, 0, 0, 0, 0, 0, 0, 0, 1]))
listener.bind(("127.0.0.1", 5500))
listener.listen(1)
signer.connect(("127.0.0.1", 5500))
peer, _ = listener.accept()
signed = lambda key: [(SCTP, AUTHINFO, struct.pack("=H", key))]
for key, text in ((1, b"one"), (2, b"two"), (1, b"and one")):
    signer.sendmsg([text], signed(key))
assert [peer.recv(99) for _ in range(3)] == [b"one", b"two", b"and one"]
fails(errno.EINVAL, signer.sendmsg, [b"x"], signed(3))
signer.setsockopt(SCTP, AUTH_DEACTIVATE_KEY, struct.pack("=iHH", 0, 1, 0))
data, _, flags, _ = signer.recvmsg(100, 100)
assert flags & MSG_NOTIFICATION and len(data) == 20, data
kind, _, _, key, _, indication = struct.unpack("=HHIHHI", data[:16])
assert (kind, key, indication) == (AUTHENTICATION_EVENT, 1, 1), data
fails(errno.EINVAL, signer.sendmsg, [b"x"], signed(1))

# SCTP_AUTO_ASCONF is of what is bound to all addresses.
fails(errno.EINVAL, new().setsockopt, SCTP, AUTO_ASCONF, 1)
everywhere = new()
everywhere.bind(("0.0.0.0", 5600))
everywhere.setsockopt(SCTP, AUTO_ASCONF, 1)
assert everywhere.getsockopt(SCTP, AUTO_ASCONF) == 1

# Nobody there.
lonely = new()
lonely.setsockopt(SCTP, EVENTS, bytes([0, 1]))
lonely.sendto(b"anybody?", ("127.0.0.1", 5001))
notified(lonely, ASSOC_CHANGE, CANT_STR_ASSOC)
print("done")
