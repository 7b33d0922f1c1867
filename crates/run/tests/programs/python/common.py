"""What the programs share. Each must pass without `run` as well: it says what the kernel shows, and asks for the same."""

import errno
import os
import select
import socket
import struct
import sys
import threading
import time

IN, OUT, ERR, HUP, RDHUP = select.POLLIN, select.POLLOUT, select.POLLERR, select.POLLHUP, select.POLLRDHUP


def bits(sock, wait=0):
    """The events poll(2) reports, within `wait` milliseconds."""
    poll = select.poll()
    poll.register(sock, IN | OUT | RDHUP)
    events = poll.poll(wait)
    return events[0][1] if events else 0


def wait_for(what, seconds=5):
    """Waits until what() is true."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)


def listener(backlog=16, family=socket.AF_INET):
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
    sock.listen(backlog)
    return sock


def pair(family=socket.AF_INET):
    """Two ends of a connection."""
    server = listener(family=family)
    client = socket.create_connection(server.getsockname()[:2])
    accepted, peer = server.accept()
    assert peer == client.getsockname()
    server.close()
    return client, accepted


def reset(sock):
    """Closes with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def fails(number, call, *arguments):
    """The call must fail with this errno."""
    try:
        result = call(*arguments)
    except OSError as error:
        assert error.errno == number, f"{errno.errorcode.get(error.errno)} in the place of {errno.errorcode[number]}"
    else:
        raise AssertionError(f"returned {result!r} in the place of {errno.errorcode[number]}")


def so_error(sock):
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def receive_all(sock):
    data = bytearray()
    while piece := sock.recv(1 << 16):
        data += piece
    return bytes(data)


def unused_port():
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock.getsockname()[1]


def run(*cases):
    for case in cases:
        try:
            case()
        except BaseException:
            print(f"in {case.__name__}:", file=sys.stderr, flush=True)
            raise
