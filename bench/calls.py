"""What a socket call costs, in microseconds: the least of several rounds. Run it plainly and under `sockeye run`."""
import os
import socket
import time

ROUNDS = 7


def per_call(call, times):
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for _ in range(times):
            call()
        best = min(best, (time.perf_counter() - begun) / times)
    return best * 1e6


def fresh():
    client = socket.socket()
    client.connect(listener.getsockname())
    listener.accept()[0].close()
    client.close()


listener = socket.create_server(("127.0.0.1", 0), backlog=64)
client = socket.create_connection(listener.getsockname())
server = listener.accept()[0]
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("127.0.0.1", 0))
itself = datagrams.getsockname()
connected = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
connected.bind(("127.0.0.1", 0))
connected.connect(connected.getsockname())
near, far = socket.socketpair()
CASES = {
    "getsockname": (listener.getsockname, 2000),
    "setsockopt": (lambda: client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), 2000),
    "socket, close": (lambda: socket.socket().close(), 500),
    "socket, connect, getsockname, accept, close twice": (fresh, 200),
    "sendto, recvfrom with addresses": (lambda: (datagrams.sendto(b"x", itself), datagrams.recvfrom(9)), 500),
    "send, recv of a datagram": (lambda: (connected.send(b"x"), connected.recv(9)), 500),
    "send, recv of a stream": (lambda: (client.send(b"x"), server.recv(9)), 1000),
    "sendmsg, recv of an AF_UNIX socket": (lambda: (near.sendmsg([b"x"]), far.recv(9)), 2000),
    "send, recv of an AF_UNIX socket": (lambda: (near.send(b"x"), far.recv(9)), 2000),
    "getppid": (os.getppid, 2000),
}
for name, (call, times) in CASES.items():
    print(f"{per_call(call, times):8.1f}  {name}")
