"""Another system's end of a test: messages each way on one SCTP association.

peer.py serve|connect FAMILY ADDRESS PORT COUNT LONGEST
"""

import socket
import sys


def message(n, longest):
    """The test makes the same ones."""
    start = n % 256
    size = 1 + n * n * 31 % longest
    return (bytes(range(256)) * (size // 256 + 2))[start : start + size]


def receive(s, count, longest):
    """One read is one message, whole."""
    for n in range(count):
        got = s.recv(1 << 17)
        expected = message(n, longest)
        if got != expected:
            sys.exit(f"message {n}: {len(got)} bytes instead of {len(expected)}, or others")


def send(s, count, longest):
    for n in range(count):
        s.sendall(message(n, longest))


def main():
    what, family, address, port, count, longest = sys.argv[1:]
    count, longest = int(count), int(longest)
    s = socket.socket(getattr(socket, family), socket.SOCK_STREAM, 132)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if what == "serve":
        s.bind((address, int(port)))
        s.listen()
        print("listening", flush=True)
        s, _ = s.accept()
        receive(s, count, longest)
        print("received", flush=True)
        send(s, count, longest)
        # The other end closes first.
        assert s.recv(1) == b"", "there is more"
    else:
        s.connect((address, int(port)))
        send(s, count, longest)
        receive(s, count, longest)
        print("received", flush=True)
        s.close()
    print("done", flush=True)


main()
