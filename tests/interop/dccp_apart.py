"""One end of a DCCP connection whose other end is elsewhere: serve FAMILY HOST PORT, call FAMILY HOST PORT FROM, or
pair FAMILY HOST PORT, which serves a program of its own that calls."""
import time

SOCK_DCCP, DCCP, SOL_DCCP, SERVICE = 6, 33, 269, 2
# Messages, each of which comes back before the next one is sent: DCCP sends nothing again, and nothing is lost here.
COUNT = 300


def new():
    sock = socket(AF_INET if family == "4" else AF_INET6, SOCK_DCCP, DCCP)
    sock.setsockopt(SOL_DCCP, SERVICE, struct.pack("!I", 42))
    return sock


def patiently(call, to):
    """Until duplicate address detection is done, there is no address to speak from."""
    for _ in range(100):
        try:
            return call(to)
        except OSError as failed:
            assert failed.errno == errno.EADDRNOTAVAIL, failed
            time.sleep(0.1)
    raise SystemExit("there is no address")


def serve(ready):
    listener = new()
    patiently(listener.bind, (host, port))
    listener.listen(5)
    ready()
    peer, source = listener.accept()
    assert peer.getpeername()[:2] == source[:2] and source[1] > 0, source
    while data := peer.recv(2000):
        assert peer.send(data) == len(data)
    return source


def call():
    sock = new()
    patiently(sock.bind, (sys.argv[5], 0))
    sock.connect((host, port))
    assert sock.getpeername()[:2] == (host, port)
    for n in range(COUNT):
        message = b"%d " % n * (1 + n % 97)
        assert sock.send(message) == len(message)
        assert sock.recv(2000) == message, n
    sock.shutdown(SHUT_RDWR)
    assert sock.recv(2000) == b""


role, family, host, port = sys.argv[1:5]
port = int(port)
if role == "serve":
    serve(lambda: print("listening", flush=True))
elif role == "call":
    call()
else:
    caller = []
    words = [sys.executable, "-c", sys.orig_argv[2], "call", family, host, str(port), host]
    serve(lambda: caller.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True)))
    said, _ = caller[0].communicate()
    assert (said, caller[0].returncode) == ("done\n", 0), said
print("done")
