"""What a program has not read fills the receive window, though it lies in its descriptor already."""
NODELAY, DELAYED_SACK, GET_ASSOC_ID_LIST = 3, 16, 29
PR_TTL = 0x10


def window(sock, assoc=0):
    """What the peer may still be sent: sstat_rwnd of struct sctp_status, once all is acknowledged."""
    while True:
        _, status = ask(sock, STATUS, struct.pack("=i", assoc) + bytes(172))
        room, in_flight = struct.unpack("=IH", status[8:14])
        if in_flight == 0:
            return room
        time.sleep(0.001)


def pair(kind, port):
    """A receiver with a small buffer, and a sender connected to it."""
    taker, giver = new(kind), new(kind)
    taker.setsockopt(SOL_SOCKET, SO_RCVBUF, 5000)
    # Each packet is acknowledged at once.
    taker.setsockopt(SCTP, DELAYED_SACK, struct.pack("=iII", 0, 0, 1))
    taker.bind(("127.0.0.1", port))
    taker.listen(5)
    giver.setsockopt(SCTP, NODELAY, 1)
    # Failures to send, alone.
    giver.setsockopt(SCTP, EVENTS, bytes([0, 0, 0, 1]))
    giver.connect(("127.0.0.1", port))
    if kind == SOCK_STREAM:
        listener, (taker, _) = taker, taker.accept()
        return listener, taker, giver
    return None, taker, giver


def assoc_of(sock, kind):
    if kind == SOCK_STREAM:
        return 0
    _, ids = ask(sock, GET_ASSOC_ID_LIST, bytes(64))
    return struct.unpack("=Ii", ids[:8])[1]


def fill(giver, kind):
    """Sends until the window is closed; how many messages were sent."""
    assoc, count = assoc_of(giver, kind), 0
    while window(giver, assoc) >= 100:
        giver.sendmsg([b"%099d" % count + b"."], info(assoc=assoc))
        count += 1
        assert count < 10_000, "the window never closes"
    return assoc, count


for kind, port in ((SOCK_SEQPACKET, 5000), (SOCK_STREAM, 5001)):
    listener, taker, giver = pair(kind, port)
    assoc, count = fill(giver, kind)
    # 10,000 octets at most: SO_RCVBUF is twice what was asked for.
    assert 20 <= count <= 100, count

    # What is given up while the window is closed never arrives; what is not does.
    if kind == SOCK_SEQPACKET:
        giver.sendmsg([b"waits for room"], info(assoc=assoc))
        timed = struct.pack("=HHI", PR_TTL, 0, 50)
        giver.sendmsg([b"too late" * 12], info(assoc=assoc) + [(SCTP, PRINFO, timed)])
        giver.sendmsg([b"in time" * 12], info(assoc=assoc))
        data, _, flags, _ = giver.recvmsg(1000, 200)
        assert flags & MSG_NOTIFICATION and data.endswith(b"too late"), data

    # It opens as the program reads.
    for number in range(count):
        assert taker.recv(1000) == b"%099d." % number, number
    if kind == SOCK_SEQPACKET:
        assert taker.recv(1000) == b"waits for room"
        assert taker.recv(1000) == b"in time" * 12
    again, more = fill(giver, kind)
    assert more * 2 > count, (more, count)

    # It opens for plain reads of a descriptor that the supervisor is not asked about, too.
    low = os.dup(taker.fileno())
    assert low < 960, low
    for number in range(more):
        assert os.read(low, 1000) == b"%099d." % number, number
    fill(giver, kind)
    os.close(low)
    for sock in (giver, taker, listener):
        if sock:
            sock.close()
print("done")
