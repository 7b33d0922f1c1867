#!/usr/bin/env python3
"""A web page over a TCP of one's own, from Python, by ctypes and nothing else.

The node stands in the virtual LAN of `sockeye run`, whose gateway serves a page. The library is
named by the first argument, or looked for as libsockeye.so.0.
"""
import ctypes
import os
import socket
import struct
import sys

lib = ctypes.CDLL(sys.argv[1] if len(sys.argv) > 1 else "libsockeye.so.0", use_errno=True)
lib.sockeye_send.restype = lib.sockeye_recv.restype = ctypes.c_ssize_t


def checked(result):
    """A call's result, or the OSError that its errno is."""
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
    return result


def sockaddr_in(host, port):
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, socket.inet_aton(host))


node = checked(lib.sockeye_node_new(None))
checked(lib.sockeye_link_user(node, 0))
stream = checked(lib.sockeye_socket(node, socket.AF_INET, socket.SOCK_STREAM, 0))
checked(lib.sockeye_connect(stream, sockaddr_in("10.0.2.2", 80), 16))

request = b"GET / HTTP/1.0\r\nHost: 10.0.2.2\r\n\r\n"
checked(lib.sockeye_send(stream, request, ctypes.c_size_t(len(request)), 0))
buffer, page = ctypes.create_string_buffer(4096), b""
while length := checked(lib.sockeye_recv(stream, buffer, ctypes.c_size_t(len(buffer)), 0)):
    page += buffer.raw[:length]
print(page.decode())

try:
    refused = checked(lib.sockeye_socket(node, socket.AF_INET, socket.SOCK_STREAM, 0))
    checked(lib.sockeye_connect(refused, sockaddr_in("10.0.2.2", 1), 16))
except ConnectionRefusedError as error:
    print("port 1:", error.strerror)

checked(lib.sockeye_close(node))
