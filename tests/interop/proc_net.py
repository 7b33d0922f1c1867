"""What /proc/net says of a network, a line each: whoever is asked has to say the same."""
import socket, subprocess, time

MADE = []


def make():
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", 8000))
    server.listen(7)
    client = socket.socket()
    client.bind(("127.0.0.1", 8001))
    client.connect(("127.0.0.1", 8000))
    MADE.extend([server, client, server.accept()[0]])
    # One that waits to be accepted.
    waiting = socket.socket()
    waiting.bind(("127.0.0.1", 8006))
    waiting.connect(("127.0.0.1", 8000))
    MADE.append(waiting)
    v6 = socket.socket(socket.AF_INET6)
    v6.bind(("::1", 8002))
    v6.listen(3)
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("0.0.0.0", 8003))
    connected = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    connected.bind(("fd09::2", 8004))
    connected.connect(("fd09::2", 8005))
    MADE.extend([v6, bound, connected, socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)])


def lines(name):
    with open("/proc/net/" + name) as file:
        return file.read().splitlines()


def sockets():
    awaited = {"tcp": 6, "tcp6": 2, "udp": 2, "udp6": 2, "raw": 1, "raw6": 1}
    end = time.monotonic() + 60
    while any(len(lines(name)) < count for name, count in awaited.items()):
        assert time.monotonic() < end, [lines(name) for name in awaited]
        time.sleep(0.05)
    for name in awaited:
        head, *rest = lines(name)
        print(name, repr(head), len(rest))
        width = {len(line) for line in rest} if name in ("tcp", "udp") else None
        print(name, "width", width)
        # Slots, queues, timers, pointers and inodes are one host's own.
        for row in sorted([row[1:4], row[7:8]] for row in map(str.split, rest)):
            print(name, row)
    for line in lines("sockstat") + lines("sockstat6"):
        if line.startswith(("UDP", "RAW")):
            print(line.split(" mem")[0])


def links():
    for line in lines("dev")[:2]:
        print(line)
    print(sorted(line.split(":")[0] for line in lines("dev")[2:]))
    print({len(line.split()) for line in lines("dev")[2:]})
    for line in sorted(lines("if_inet6")):
        if not line.startswith("fe80"):
            print(line)
    for line in lines("route"):
        print(repr(line))
    # The reference counts and the cache of the kernel are its own.
    print(sorted({tuple(row[:6] + row[9:]) for row in map(str.split, lines("ipv6_route")) if row[9] == "eth0" and
                  row[0].startswith(("fd09", "0000")) and int(row[8], 16) & 1 << 31 == 0 and row[0] != "0" * 32}))


def neighbours():
    ask = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ask.connect(("10.9.0.99", 9))
    end = time.monotonic() + 60
    while not any(line.startswith("10.9.0.99 ") for line in lines("arp")):
        assert time.monotonic() < end, lines("arp")
        try:
            ask.send(b"who?")
        except OSError:
            pass
        time.sleep(0.05)
    print(lines("arp")[0])
    print([line for line in lines("arp") if line.startswith("10.9.0.99 ")])


def counters():
    for name in ("snmp", "netstat"):
        rows = [row.split() for row in lines(name)]
        for names, values in zip(rows[::2], rows[1::2]):
            assert names[0] == values[0] and len(names) == len(values), (names, values)
        said = {group + ":" + key: int(value) for names, values in zip(rows[::2], rows[1::2])
                for group, key, value in zip([names[0]] * len(names), names[1:], values[1:])}
        for key in ("Tcp::PassiveOpens", "Tcp::ActiveOpens", "Tcp::CurrEstab", "Udp::InDatagrams"):
            if key in said:
                print(key, said[key] > 0 if key != "Udp::InDatagrams" else "there")
        print(name, "TcpExt::DelayedACKs" in said, "IpExt::InCEPkts" in said, "Ip::InReceives" in said)
    assert all(len(line.split()) == 2 for line in lines("snmp6"))


while "tentative" in subprocess.run(["ip", "addr"], capture_output=True, text=True, check=True).stdout:
    time.sleep(0.05)
make()
for part in (sockets, links, neighbours, counters):
    part()
print("done")
