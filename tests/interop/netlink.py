"""What a program learns of interfaces, addresses, routes and sockets, a line each: whoever is asked has to say the same."""
import ctypes, fcntl, json, socket, struct, subprocess, time

# Fields that only one kind of host has, or that no two have alike.
LINK_ONLY = {
    "address",  # drawn by chance
    "link", "link_index", "link_netnsid",  # of a veth pair
}
LOCAL_ONLY = ("fe80:",)  # of a random interface identifier


def say(what, value):
    print(what, json.dumps(value, sort_keys=True))


def tool(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def links():
    for link in json.loads(tool("ip", "-j", "link")):
        say("link", {key: value for key, value in link.items() if key not in LINK_ONLY})
        one = json.loads(tool("ip", "-j", "link", "show", "dev", link["ifname"]))
        assert one == [link], (one, link)


def addresses():
    for link in json.loads(tool("ip", "-j", "addr")):
        for address in link["addr_info"]:
            if not address["local"].startswith(LOCAL_ONLY):
                say("address", [link["ifname"], address])
    only = json.loads(tool("ip", "-j", "-4", "addr", "show", "dev", "eth0"))
    say("of one device", [address["local"] for link in only for address in link["addr_info"]])


def routes():
    for family in ("-4", "-6"):
        for route in json.loads(tool("ip", "-j", family, "route")):
            say("route", route)
    for entry in json.loads(tool("ip", "-j", "-4", "route", "show", "table", "local")):
        say("local", entry)
    for to in ("10.9.0.1", "10.9.0.2", "10.9.0.255", "198.51.100.7", "127.0.0.1", "fd09::1", "2001:db8::1", "::1"):
        for route in json.loads(tool("ip", "-j", "route", "get", to)):
            # What a look-up leaves in the caches of IPv4 and IPv6 is the kernel's own affair.
            for field in ("cache", "uid"):
                route.pop(field, None)
            say("way to " + to, route)
    for family in ("-4", "-6"):
        say("rules", json.loads(tool("ip", "-j", family, "rule")))


def refusals():
    for words in (["link", "show", "dev", "nothing"], ["route", "get", "203.0.113.1", "from", "192.0.2.77"],
                  ["neigh", "get", "10.9.0.77", "dev", "eth0"]):
        done = subprocess.run(["ip", *words], capture_output=True, text=True)
        # The kernel has words of its own for some errnos, which are in no answer of ours.
        say(" ".join(words), [done.returncode, "" if words[0] == "neigh" else done.stderr])


class Ifaddrs(ctypes.Structure):
    pass


Ifaddrs._fields_ = [("next", ctypes.POINTER(Ifaddrs)), ("name", ctypes.c_char_p), ("flags", ctypes.c_uint),
                    ("address", ctypes.c_void_p), ("mask", ctypes.c_void_p), ("broadcast", ctypes.c_void_p)]


def read(at):
    """An address behind a pointer."""
    if not at:
        return None
    family = struct.unpack("H", ctypes.string_at(at, 2))[0]
    if family == socket.AF_INET:
        return socket.inet_ntop(family, ctypes.string_at(at + 4, 4))
    if family == socket.AF_INET6:
        return socket.inet_ntop(family, ctypes.string_at(at + 8, 16))
    return f"family {family}"


def getifaddrs():
    libc = ctypes.CDLL(None, use_errno=True)
    first = ctypes.POINTER(Ifaddrs)()
    assert libc.getifaddrs(ctypes.byref(first)) == 0, ctypes.get_errno()
    at = first
    while at:
        one = at.contents
        address = read(one.address)
        if not (address or "").startswith(LOCAL_ONLY):
            say("getifaddrs", [one.name.decode(), one.flags, address, read(one.mask), read(one.broadcast)])
        at = one.next
    libc.freeifaddrs(first)


def names():
    say("if_nameindex", socket.if_nameindex())
    for index in (1, 99):
        try:
            say("if_indextoname", socket.if_indextoname(index))
        except OSError as error:
            say("if_indextoname", error.errno)
    for name in ("lo", "eth0", "nothing"):
        try:
            say("if_nametoindex " + name, socket.if_nametoindex(name))
        except OSError as error:
            say("if_nametoindex " + name, error.errno)


QUESTIONS = {
    "SIOCGIFFLAGS": 0x8913, "SIOCGIFADDR": 0x8915, "SIOCGIFDSTADDR": 0x8917, "SIOCGIFBRDADDR": 0x8919,
    "SIOCGIFNETMASK": 0x891b, "SIOCGIFMETRIC": 0x891d, "SIOCGIFMTU": 0x8921, "SIOCGIFHWADDR": 0x8927,
    "SIOCGIFINDEX": 0x8933, "SIOCGIFTXQLEN": 0x8942, "SIOCGIFMAP": 0x8970,
}


def ioctls():
    kinds = [(socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_INET6, socket.SOCK_DGRAM),
             (socket.AF_UNIX, socket.SOCK_DGRAM), (socket.AF_NETLINK, socket.SOCK_RAW)]
    for family, kind in kinds:
        sock = socket.socket(family, kind)
        where = f"{family.name} {kind.name}"
        for name, number in QUESTIONS.items():
            for interface in ("lo", "eth0", "nothing"):
                try:
                    answer = fcntl.ioctl(sock, number, struct.pack("40s", interface.encode()))[16:32]
                    if name == "SIOCGIFHWADDR" and interface == "eth0":
                        answer = answer[:2]  # the address itself is drawn by chance
                    say(f"{where} {name} {interface}", answer.hex())
                except OSError as error:
                    say(f"{where} {name} {interface}", error.errno)
        for index in (1, 99):
            try:
                named = fcntl.ioctl(sock, 0x8910, struct.pack("16si20x", b"", index))[:16]
                say(f"{where} SIOCGIFNAME {index}", named.rstrip(b"\0").decode())
            except OSError as error:
                say(f"{where} SIOCGIFNAME {index}", error.errno)
        for room in (0, 39, 40, 79, 400):
            buffer = ctypes.create_string_buffer(400)
            head = struct.pack("iP", room, ctypes.addressof(buffer))
            filled = struct.unpack("iP", fcntl.ioctl(sock, 0x8912, head))[0]
            entries = [buffer.raw[at : at + 40] for at in range(0, filled, 40)]
            # What lies behind an address in its entry nobody has set.
            say(f"{where} SIOCGIFCONF {room}", [[one[:16].rstrip(b"\0").decode(), one[16:24].hex()] for one in entries])
        say(f"{where} SIOCGIFCONF", struct.unpack("iP", fcntl.ioctl(sock, 0x8912, struct.pack("iP", 0, 0)))[0])
    with open("/dev/null") as file:
        try:
            fcntl.ioctl(file, 0x8913, struct.pack("40s", b"lo"))
        except OSError as error:
            say("no socket", error.errno)


def sockets():
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", 8000))
    server.listen(7)
    client = socket.socket()
    client.bind(("127.0.0.1", 8001))
    client.connect(("127.0.0.1", 8000))
    accepted = server.accept()[0]
    v6 = socket.socket(socket.AF_INET6)
    v6.bind(("::1", 8002))
    v6.listen(3)
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("0.0.0.0", 8003))
    connected = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    connected.bind(("::1", 8004))
    connected.connect(("::1", 8005))
    unbound = [socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
    filters = (["-tan"], ["-uan"], ["-tuan"], ["-tln"], ["-tn"], ["-tan", "sport = :8000"], ["-tan", "dport = :8000"],
               ["-tan", "sport >= :8001"], ["-tan", "dst 127.0.0.0/8"], ["-uan", "src [::1]"], ["-xa"],
               ["-tan", "state", "listening"], ["-tan", "( sport = :8000 or sport = :8002 ) and not dport = :8001"])
    for words in filters:
        lines = tool("ss", "-H", *words).splitlines()
        # The kernel lists by its hashes.
        say("ss " + " ".join(words), sorted(" ".join(line.split()) for line in lines))


def resolver():
    # Who sorts addresses has asked for them by netlink, and connected.
    found = socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    say("localhost", sorted([family, address[0]] for family, _, _, _, address in found))


def refused(result):
    kind, _, error = struct.unpack("=HH8xi", result[4:20])
    return [kind, error]


def raw():
    """The protocol itself."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    say("unbound", sock.getsockname())
    sock.bind((0, 0))
    port = sock.getsockname()[0]
    other = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    for call in (lambda: other.bind((port, 0)), lambda: sock.bind((port + 1, 0)), lambda: sock.listen(1), lambda: sock.shutdown(2)):
        try:
            say("answered", call())
        except OSError as error:
            say("refused", error.errno)
    other.bind((0, 0))
    assert other.getsockname()[0] != port
    ask = struct.pack("=IHHIIB3x", 20, 18, 0x301, 7, 0, 0)
    # Every way to send, and every way to receive.
    for send in (lambda: sock.send(ask), lambda: sock.sendto(ask, (0, 0)), lambda: sock.sendmsg([ask[:9], ask[9:]])):
        assert send() == len(ask)
        peeked = sock.recv(1 << 16, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        length = sock.recv_into(bytearray(1), 1, socket.MSG_PEEK | socket.MSG_TRUNC)
        assert length == len(peeked) > 1000 or length == len(peeked)
        message, _, flags, source = sock.recvmsg(1 << 16)
        assert message == peeked and source == (0, 0) and flags & socket.MSG_TRUNC == 0, (flags, source)
        length, kind, multi, sequence, to = struct.unpack("=IHHII", message[:16])
        say("a dump", [kind, multi, sequence, to == port])
        rest = message
        while struct.unpack("=IH", rest[-20:-14]) != (20, 3):
            rest = sock.recvfrom(1 << 16)[0]
    sock.setblocking(False)
    try:
        sock.recv(1)
    except BlockingIOError:
        say("then nothing", True)
    sock.setblocking(True)
    # What is cut says so, and is lost.
    sock.send(ask)
    _, _, flags, _ = sock.recvmsg(10)
    say("cut", flags & socket.MSG_TRUNC != 0)
    sock.close()
    sock = other
    # An unknown question, one that is too short, and an acknowledgment.
    for kind, flags, body in ((38 + 200, 1, b"\0" * 4), (18, 5, b""), (26, 1, b"\0" * 12), (20, 0, b"\0" * 8), (3, 5, b""), (22, 0x301 | 4, b"\0" * 8)):
        sock.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 9, 0) + body)
        sock.settimeout(0.3)
        try:
            answer = sock.recv(1 << 16)
            say(f"type {kind} flags {flags}", refused(answer) if answer[4:6] == b"\2\0" else answer[4:6].hex())
        except TimeoutError:
            say(f"type {kind} flags {flags}", "silence")
    for level, name, value in ((270, 1, 1), (270, 1, 99), (270, 12, 1), (270, 11, 1), (270, 10, 1), (270, 77, 1), (1, 8, 1 << 16)):
        try:
            sock.setsockopt(level, name, value)
            say(f"option {level} {name} {value}", "set")
        except OSError as error:
            say(f"option {level} {name} {value}", error.errno)
    say("groups", sock.getsockname()[1])
    for name in (3, 38, 39):
        say(f"SO {name}", sock.getsockopt(socket.SOL_SOCKET, name))
    for domain, kind, protocol in ((16, 1, 0), (16, 3, 77), (16, 2, 4)):
        try:
            socket.socket(domain, kind, protocol).close()
            say(f"socket {kind} {protocol}", "made")
        except OSError as error:
            say(f"socket {kind} {protocol}", error.errno)


while "tentative" in tool("ip", "addr"):
    time.sleep(0.05)
for part in (links, addresses, routes, refusals, getifaddrs, names, ioctls, sockets, resolver, raw):
    part()
print("done")
