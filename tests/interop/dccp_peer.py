"""Linux's end of a test: numbered packets each way on one DCCP connection.

dccp_peer.py serve|connect FAMILY ADDRESS PORT SERVICE COUNT closes|waits
"""

import errno
import socket
import struct
import sys
import threading
import time

SOCK_DCCP, IPPROTO_DCCP, SOL_DCCP, SERVICE = 6, 33, 269, 2


def packet(n):
    """The test makes the same ones."""
    return struct.pack(">I", n) + bytes((n + i) % 256 for i in range(n * 31 % 1000))


def receive(s, seen):
    """Any of the packets, at most once each, in the order of their sending, until the end."""
    last = -1
    while True:
        try:
            got = s.recv(2000)
        except OSError as error:
            if error.errno not in (errno.ECONNRESET, errno.ENOTCONN):
                raise
            got = b""
        if not got:
            return
        n = struct.unpack(">I", got[:4])[0]
        if got != packet(n):
            print(f"packet {n} is another: {len(got)} bytes", flush=True)
        if n <= last:
            print(f"packet {n} comes after {last}", flush=True)
        last = n
        seen.append(n)


def send(s, data):
    """Linux's queue is short, and full it makes nobody wait."""
    while True:
        try:
            return s.send(data)
        except BlockingIOError:
            time.sleep(0.001)


def main():
    what, family, address, port, service, count, end = sys.argv[1:]
    s = socket.socket(getattr(socket, family), SOCK_DCCP, IPPROTO_DCCP)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(SOL_DCCP, SERVICE, struct.pack(">I", int(service)))
    if what == "serve":
        s.bind((address, int(port)))
        s.listen()
        print("listening", flush=True)
        s, _ = s.accept()
    else:
        s.connect((address, int(port)))
    seen = []
    reader = threading.Thread(target=receive, args=(s, seen))
    reader.start()
    for n in range(int(count)):
        send(s, packet(n))
    print("sent", flush=True)
    if end == "closes":
        # The test says when.
        sys.stdin.readline()
        s.shutdown(socket.SHUT_RDWR)
        s.close()
    reader.join()
    print("seen", len(seen), flush=True)


main()
