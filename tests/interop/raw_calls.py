# What raw and ping sockets answer, call by call: each line is one call, said as it ends. The test
# `raw` runs it on the kernel's sockets and on a node's.

import errno, select, socket, struct, time
OWN, PEER = "192.0.2.2", "192.0.2.1"
OWN6, PEER6 = "2001:db8::2", "2001:db8::1"
V4, V6, RAW, DGRAM = socket.AF_INET, socket.AF_INET6, socket.SOCK_RAW, socket.SOCK_DGRAM

def say(what, call):
    try:
        print(what, call())
    except OSError as e:
        print(what, errno.errorcode.get(e.errno, e))

def make(family, kind, protocol):
    s = socket.socket(family, kind, protocol)
    s.settimeout(20)
    return s

def name_of(s):
    # The identifier that a ping socket takes by itself is anybody's guess.
    address, port = s.getsockname()[:2]
    return address, port if s.type == RAW else port != 0

def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff

def echo(ident, seq, data=b"data", kind=8, code=0):
    message = struct.pack("!BBHHH", kind, code, 0, ident, seq) + data
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]

def waits(s):
    return bool(select.select([s], [], [], 0.05)[0])

# Until nobody has objected to the address.
while True:
    try:
        make(V6, RAW, 253).bind((OWN6, 0))
        break
    except OSError as e:
        if e.errno != errno.EADDRNOTAVAIL:
            raise
        time.sleep(0.1)

# What can be made.
for family in V4, V6:
    for kind, protocol in (RAW, 0), (RAW, 263), (RAW, 255), (RAW, 6), (RAW, 17), (RAW, 1), (RAW, 58), (DGRAM, 1), (DGRAM, 58), (DGRAM, 2), (DGRAM, 255):
        say(f"make {family.name} {kind.name} {protocol}", lambda: make(family, kind, protocol).getsockname()[:2])

# Calls that they do not have, and names.
for name, s in ("raw", make(V4, RAW, 253)), ("raw6", make(V6, RAW, 253)), ("ping", make(V4, DGRAM, 1)), ("ping6", make(V6, DGRAM, 58)):
    to = PEER6 if s.family == V6 else PEER
    own = OWN6 if s.family == V6 else OWN
    s.settimeout(None)
    say(f"{name} listen", lambda: s.listen(1))
    say(f"{name} accept", lambda: s.accept())
    say(f"{name} shutdown", lambda: s.shutdown(socket.SHUT_RD))
    say(f"{name} sendmsg without peer", lambda: s.sendmsg([b"x" * 20]))
    say(f"{name} no peer", lambda: s.getpeername())
    say(f"{name} bind", lambda: s.bind((own, 77)))
    say(f"{name} name", lambda: name_of(s))
    say(f"{name} bind again", lambda: s.bind((own, 78)))
    say(f"{name} name again", lambda: name_of(s))
    say(f"{name} connect", lambda: s.connect((to, 9)))
    say(f"{name} peer", lambda: s.getpeername()[:2])
    say(f"{name} name connected", lambda: name_of(s))
    say(f"{name} connect to any", lambda: s.connect(("::" if s.family == V6 else "0.0.0.0", 0)))
    say(f"{name} peer any", lambda: s.getpeername()[:2])
    say(f"{name} bind a group", lambda: make(s.family, s.type, s.proto).bind(("ff02::77" if s.family == V6 else "224.0.0.77", 0, 0, 2)[:4 if s.family == V6 else 2]))
    say(f"{name} bind broadcast", lambda: make(V4, s.type, 253 if s.type == RAW else 1).bind(("192.0.2.255", 0)))
    for level, option in (0, 3), (0, 35), (0, 14), (41, 7), (41, 36), (58, 1), (255, 1), (1, 38), (0, 5), (17, 103):
        for room in 0, 2, 4:
            say(f"{name} get {level} {option} {room}", lambda: s.getsockopt(level, option, room) if room else s.getsockopt(level, option))
    for level, option, value in (0, 3, 1), (0, 3, 2), (0, 3, b""), (0, 3, b"\1"), (41, 7, -1), (41, 7, 1), (41, 7, 65536), (41, 7, b"\2"), (41, 36, 1), (58, 1, b"\0" * 33), (58, 1, b"\xff" * 4), (58, 1, b""), (255, 1, b""), (255, 1, b"\1"), (255, 1, b"\0" * 8), (255, 7, 2), (0, 5, 0), (0, 5, 1), (0, 5, 1), (0, 5, 0), (0, 5, b""), (41, 22, 1), (41, 22, -1), (41, 30, 1):
        say(f"{name} set {level} {option} {value}", lambda: s.setsockopt(level, option, value))

# Router alerts are for those who receive one protocol, over IPv6 for those who receive none.
for family, level, option in (V4, 0, 5), (V6, 41, 22):
    whole = make(family, RAW, 255)
    for value in -1, 0, 1, -1, 5, 0, b"", b"\1":
        say(f"alert {family.name} {value}", lambda: whole.setsockopt(level, option, value))
        say(f"alert {family.name}", lambda: whole.getsockopt(level, option))

# Filters.
icmp6 = make(V6, RAW, 58)
say("filter6", lambda: icmp6.getsockopt(58, 1, 64))
icmp6.setsockopt(58, 1, b"\xff" * 32)
say("filter6 set", lambda: icmp6.getsockopt(58, 1, 64))
icmp6.setsockopt(58, 1, b"\0" * 4)
say("filter6 part", lambda: icmp6.getsockopt(58, 1, 64))
icmp = make(V4, RAW, 1)
icmp.setsockopt(255, 1, b"\1")
say("filter part", lambda: icmp.getsockopt(255, 1, 8))

# Checksums at places.
for at in 0, 2, 4, 6, 8, 10:
    six = make(V6, RAW, 253)
    six.setsockopt(41, 7, at)
    say(f"sum at {at}", lambda: (six.sendto(b"\0" * 8, (OWN6, 0)), waits(six) and six.recv(100)))
plain = make(V6, RAW, 253)
summed = make(V6, RAW, 253)
summed.setsockopt(41, 7, 2)
plain.sendto(b"abcdefgh", (OWN6, 0))
print("a wrong sum", waits(plain), waits(summed))
odd = make(V6, RAW, 253)
odd.setsockopt(41, 7, 2)
odd.sendto(b"ab\0\0e", (OWN6, 0))
print("odd length", odd.recv(100))

# Lengths.
raw = make(V4, RAW, 253)
for n in 65535, 65536 - 20, 65515 - 1, 70000:
    say(f"raw {n}", lambda: raw.sendto(b"a" * n, (OWN, 0)))
for n in 65536, 65535, 65535 - 40, 70000:
    say(f"raw6 {n}", lambda: plain.sendto(b"a" * n, (OWN6, 0)))
say("empty", lambda: raw.sendto(b"", (OWN, 0)))
say("empty6", lambda: plain.sendto(b"", (OWN6, 0)))
for flags in socket.MSG_OOB, socket.MSG_DONTROUTE, socket.MSG_CONFIRM, socket.MSG_EOR:
    say(f"flags {flags}", lambda: raw.sendto(b"x", flags, (OWN, 0)))
say("port is a protocol", lambda: plain.sendto(b"x", (OWN6, 253)))
say("port is another", lambda: plain.sendto(b"x", (OWN6, 254)))
say("port of v4", lambda: raw.sendto(b"x", (OWN, 254)))
say("to any", lambda: raw.sendto(b"x", ("0.0.0.0", 0)))
say("to any6", lambda: plain.sendto(b"x", ("::", 0)))
say("to a group", lambda: raw.sendto(b"x", ("224.0.0.99", 0)))
say("to all", lambda: raw.sendto(b"x", ("255.255.255.255", 0)))
say("mapped", lambda: plain.sendto(b"x", ("::ffff:192.0.2.1", 0)))
say("no route", lambda: raw.sendto(b"x", ("203.0.113.1", 0)))
say("no route6", lambda: plain.sendto(b"x", ("2001:db8:99::1", 0)))
# Of the identification of what is never cut nothing is said (RFC 6864 §4.1).
say("truncated", lambda: [(m[:4], m[6:10], m[12:], peer) for m, peer in (raw.recvfrom(21),)] if waits(raw) else None)

# Own headers.
own = make(V4, RAW, 255)
def header(dst, protocol=253, src="0.0.0.0", ident=0, frag=0, total=0, vihl=0x45, ttl=9, tos=0, more=b""):
    return struct.pack("!BBHHHBBH4s4s", vihl, tos, total, ident, frag, ttl, protocol, 0xbeef,
                       socket.inet_aton(src), socket.inet_aton(dst)) + more
probe = make(V4, RAW, 253)
while waits(probe):
    probe.recv(65535)
def through(what, packet, to=OWN):
    try:
        n = own.sendto(packet, (to, 0))
        got = probe.recv(65535) if waits(probe) else None
        got = got and (got[:4], got[6:10], checksum(got[:(got[0] & 15) * 4]), got[12:20], got[20:])
        print(what, n, got)
    except OSError as e:
        print(what, errno.errorcode.get(e.errno, e))
through("tos and ttl", header(OWN, tos=0x28, ttl=77) + b"x")
through("ttl 0", header(OWN, ttl=0) + b"x")
through("version 6", header(OWN, vihl=0x65) + b"x")
through("version 0", header(OWN, vihl=0x05) + b"x")
through("options", header(OWN, vihl=0x46, more=b"\1\1\1\0") + b"x")
through("bad options", header(OWN, vihl=0x46, more=b"\x83\1\1\0") + b"x")
through("header of 4", header(OWN, vihl=0x44) + b"x")
through("elsewhere in the header", header(PEER) + b"x")
through("our source", header(OWN, src=OWN) + b"x")
through("reserved flag", header(OWN, frag=0x8000) + b"x")
through("a fragment", header(OWN, frag=0x2000, ident=3) + b"x" * 8)
say("HDRINCL off", lambda: own.setsockopt(0, 3, 0))
say("sends as 255", lambda: own.sendto(b"plain", (OWN, 0)))

# Ping sockets.
ping = make(V4, DGRAM, 1)
for what, message in ("reply", echo(1, 1, kind=0)), ("code", echo(1, 1, code=1)), ("timestamp", echo(1, 1, kind=13)), ("short", b"\x08\0\0\0\0\0\0"), ("bare", b"\x08\0\0\0\0\0\0\0"), ("good", echo(9, 9)):
    say(f"ping {what}", lambda: ping.sendto(message, (PEER, 0)))
ident = ping.getsockname()[1]
print("ident", ident != 0, ping.getsockname()[0])
for _ in range(2):
    message, peer = ping.recvfrom(100)
    print("answer", message[:2], checksum(message), struct.unpack("!H", message[4:6])[0] == ident, message[6:], peer)
say("taken", lambda: make(V4, DGRAM, 1).bind(("0.0.0.0", ident)))
sharing = make(V4, DGRAM, 1)
sharing.setsockopt(1, 2, 1)
say("taken with SO_REUSEADDR", lambda: sharing.bind(("0.0.0.0", ident)))
# Who of those that share an identifier gets the answers is left open.
sharing.close()
other = make(V4, DGRAM, 1)
other.connect((OWN, 0))
say("ping oneself", lambda: other.send(echo(0, 5)))
say("from oneself", lambda: other.recv(100)[6:])
ping.connect((OWN, 5))
say("ping another than the peer", lambda: ping.sendto(echo(0, 6), (PEER, 0)))
say("its answer", lambda: ping.recvfrom(100)[1] if waits(ping) else None)
ping6 = make(V6, DGRAM, 58)
for what, message in ("v4", echo(1, 1)), ("reply", struct.pack("!BBHHH", 129, 0, 0, 1, 1)), ("short", b"\x80\0"), ("good", struct.pack("!BBHHH", 128, 0, 0, 1, 1) + b"six"):
    say(f"ping6 {what}", lambda: ping6.sendto(message, (PEER6, 0)))
message, peer = ping6.recvfrom(100)
print("answer6", message[:2], struct.unpack("!H", message[4:6])[0] == ping6.getsockname()[1], message[6:], peer[:2])
say("ping6 mapped", lambda: ping6.sendto(struct.pack("!BBHHH", 128, 0, 0, 1, 1), ("::ffff:192.0.2.1", 0)))
say("ping long", lambda: make(V4, DGRAM, 1).sendto(echo(0, 1, b"a" * 65508), (OWN, 0)))
say("ping longest", lambda: make(V4, DGRAM, 1).sendto(echo(0, 1, b"a" * 65499), (OWN, 0)))
say("ping no room", lambda: ping.sendto(echo(0, 1), socket.MSG_OOB, (OWN, 0)))
