"""Sockets that carry messages, as linux/sctp.h and linux/dccp.h have them."""
import ctypes, errno, os, select, struct, subprocess, sys, threading, time
from socket import *

SCTP = 132
MSG_EOR = 0x80
MSG_NOTIFICATION = 0x8000
# Control messages and options of SCTP.
SNDRCV, SNDINFO, RCVINFO, NXTINFO, PRINFO, AUTHINFO = 1, 2, 3, 4, 5, 6
EVENTS, RECVRCVINFO, RECVNXTINFO = 11, 32, 33
STATUS, AUTH_CHUNK, AUTH_KEY, AUTH_DEACTIVATE_KEY, AUTO_ASCONF = 14, 21, 23, 35, 30
GET_ASSOC_STATS, PR_ASSOC_STATUS, PR_STREAM_STATUS, AUTH_SUPPORTED = 112, 115, 116, 129
BINDX_ADD, PEELOFF, GET_PEER_ADDRS, CONNECTX, CONNECTX3, PEELOFF_FLAGS = 100, 102, 108, 110, 111, 122
# Flags of a send.
UNORDERED, ADDR_OVER, ABORT, SENDALL, EOF = 0x1, 0x2, 0x4, 0x40, 0x200
# Notifications.
ASSOC_CHANGE, SHUTDOWN_EVENT, AUTHENTICATION_EVENT = 0x8001, 0x8005, 0x8008
COMM_UP, COMM_LOST, RESTART, SHUTDOWN_COMP, CANT_STR_ASSOC = range(5)

libc = ctypes.CDLL(None, use_errno=True)


def ask(sock, name, value):
    """getsockopt(2) that reads its value first: what it returns, and the value."""
    buffer = ctypes.create_string_buffer(value, len(value))
    length = ctypes.c_uint(len(value))
    done = libc.getsockopt(sock.fileno(), SCTP, name, buffer, ctypes.byref(length))
    if done < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return done, buffer.raw[:length.value]


def fails(error, call, *args):
    try:
        call(*args)
    except OSError as failed:
        assert failed.errno == error, (failed, errno.errorcode[error])
    else:
        raise SystemExit(f"{call} succeeds")


def sockaddr(ip, port):
    return struct.pack("=H", AF_INET) + struct.pack("!H4s8x", port, inet_aton(ip))


def info(stream=0, flags=0, ppid=0, context=0, assoc=0):
    """SCTP_SNDINFO."""
    value = struct.pack("=HH", stream, flags) + struct.pack("!I", ppid)
    return [(SCTP, SNDINFO, value + struct.pack("=Ii", context, assoc))]


def new(kind=SOCK_SEQPACKET):
    sock = socket(AF_INET, kind, SCTP)
    sock.settimeout(None)
    return sock


def notified(sock, expected, state=None):
    """Receives a notification; the association that it is about."""
    data, _, flags, _ = sock.recvmsg(1000, 200)
    assert flags & MSG_NOTIFICATION and flags & MSG_EOR, (data, hex(flags))
    kind, _, length = struct.unpack("=HHI", data[:8])
    assert (kind, length) == (expected, len(data)), (hex(kind), data)
    if kind == ASSOC_CHANGE:
        said, _, _, _, assoc = struct.unpack("=HHHHi", data[8:20])
        assert said == state, (said, state)
    else:
        assoc, = struct.unpack("=i", data[8:12])
    return assoc


def received(sock, length=1000):
    """Receives a message: itself, (stream, ppid, association), whether it is whole, and who sent it."""
    data, control, flags, source = sock.recvmsg(length, 200)
    assert not flags & MSG_NOTIFICATION, data
    told = {kind: value for level, kind, value in control if level == SCTP}
    stream, _, _, _, ppid, _, _, _, assoc = struct.unpack("=HHHH4sIIIi", told[RCVINFO])
    return data, (stream, int.from_bytes(ppid, "big"), assoc), bool(flags & MSG_EOR), source
