"""Urgent data: MSG_OOB both ways, its place in the stream, POLLPRI and SIGURG."""

from common import *
import array
import fcntl
import signal
import termios

OOB = socket.MSG_OOB
PRI = select.POLLPRI
SIOCATMARK = 0x8905


def priority(sock):
    """Whether poll(2) reports POLLPRI now."""
    poll = select.poll()
    poll.register(sock, PRI)
    return bool(poll.poll(0))


def at_mark(sock):
    answer = array.array("i", [0])
    fcntl.ioctl(sock, SIOCATMARK, answer)
    return bool(answer[0])


def both(case):
    """The case from the client to the server and the other way."""

    def each():
        client, server = pair()
        case(client, server)
        client, server = pair()
        case(server, client)

    each.__name__ = case.__name__
    return each


@both
def out_of_band(sender, receiver):
    fails(errno.EINVAL, receiver.recv, 1, OOB)
    assert sender.send(b"abc!", OOB) == 4
    sender.sendall(b"de")
    wait_for(lambda: priority(receiver))
    assert receiver.recv(1, OOB | socket.MSG_PEEK) == b"!"
    assert receiver.recv(10, OOB) == b"!"
    fails(errno.EINVAL, receiver.recv, 1, OOB)
    assert not priority(receiver)
    assert receive(receiver, 3) == b"abc"
    assert at_mark(receiver)
    assert receive(receiver, 2) == b"de"
    assert not at_mark(receiver)
    # Again, on the same connection.
    assert sender.send(b"?", OOB) == 1
    wait_for(lambda: priority(receiver))
    assert receiver.recv(1, OOB) == b"?"
    sender.sendall(b"f")
    assert receive(receiver, 1) == b"f"


def receive(sock, count):
    """So many octets, of which none lies behind a mark."""
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        assert piece
        data += piece
    return data


@both
def inline(sender, receiver):
    assert receiver.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE) == 0
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    assert receiver.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE) == 1
    sender.sendall(b"ab")
    sender.send(b"!", OOB)
    sender.sendall(b"cd")
    wait_for(lambda: priority(receiver))
    fails(errno.EINVAL, receiver.recv, 1, OOB)
    assert receive(receiver, 2) == b"ab"
    assert at_mark(receiver)
    assert receive(receiver, 3) == b"!cd"
    assert not at_mark(receiver)
    assert not priority(receiver)


@both
def reads_stop_at_the_mark(sender, receiver):
    big = os.urandom(200_000)
    thread = threading.Thread(target=lambda: (sender.sendall(big), sender.send(b"!", OOB), sender.sendall(b"behind")))
    thread.start()
    assert receive(receiver, len(big)) == big
    wait_for(lambda: at_mark(receiver))
    wait_for(lambda: priority(receiver))
    assert receiver.recv(1, OOB) == b"!"
    assert receive(receiver, 6) == b"behind"
    thread.join()


def peeks(receiver, octet):
    """Whether this is the urgent octet by now."""
    try:
        return receiver.recv(1, OOB | socket.MSG_PEEK) == octet
    except OSError:
        return False


@both
def the_last_of_several(sender, receiver):
    for octet in b"123":
        sender.send(bytes([octet]), OOB)
        time.sleep(0.05)
    sender.sendall(b"z")
    sender.shutdown(socket.SHUT_WR)
    wait_for(lambda: peeks(receiver, b"3"))
    assert receiver.recv(1, OOB) == b"3"
    rest = receive_all(receiver)
    # Whether the ones before became ordinary text is told by none, only that the last did not.
    assert rest.endswith(b"z") and b"3" not in rest, rest


@both
def signals(sender, receiver):
    received = []
    signal.signal(signal.SIGURG, lambda *_: received.append(receiver.recv(1, OOB)))
    fcntl.fcntl(receiver, fcntl.F_SETOWN, os.getpid())
    sender.send(b"!", OOB)
    wait_for(lambda: received == [b"!"])
    signal.signal(signal.SIGURG, signal.SIG_DFL)


def a_listener_hands_the_option_on():
    server = listener()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    client = socket.create_connection(server.getsockname())
    accepted, _ = server.accept()
    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE) == 1
    client.send(b"!", OOB)
    wait_for(lambda: priority(accepted))
    assert accepted.recv(10) == b"!"


def a_reset_takes_it_away():
    client, server = pair()
    client.sendall(b"x")
    client.send(b"!", OOB)
    wait_for(lambda: priority(server))
    reset(client)
    wait_for(lambda: bits(server) & HUP)


run(
    out_of_band,
    inline,
    reads_stop_at_the_mark,
    the_last_of_several,
    signals,
    a_listener_hands_the_option_on,
    a_reset_takes_it_away,
)
