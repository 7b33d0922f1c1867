# The side that means harm of interop::hostile, on the kernel's end of the node's link. It takes lines:
# `send N KIND` sends N packets of a kind, `learn` and `learnt` surround good traffic to be changed and
# sent again later, `flood SECONDS RATE` sends all of it at random. Each line is answered by one.
from scapy.all import *
import random, socket, struct, sys, time

iface, mac, v4, v6, client4, client6, seed = sys.argv[1:]
conf.verb = 0
random.seed(int(seed))
RB, RI, PICK = random.randbytes, random.randint, random.choice
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind((iface, 0))
GROUP4, GROUP6 = "239.1.2.3", "ff05::123"

# Others on the link: never the client. Who may say where a neighbour is, or is believed to be a
# router, can cut it off: ARP and neighbour discovery know no remedy.
def a4(): return f"192.0.2.{RI(3, 254)}"
def a6(): return f"2001:db8::{RI(256, 65535):x}:{RI(0, 65535):x}"
def ll(): return f"fe80::{RI(256, 65535):x}:{RI(0, 65535):x}"
def amac(): return "02:66:" + ":".join(f"{b:02x}" for b in RB(4))
def ip(**k): return IP(**{"src": a4(), "dst": v4, **k})
def ip6(**k): return IPv6(**{"src": a6(), "dst": v6, **k})
def frame(p, to=mac): return raw(Ether(src=amac(), dst=to) / p)
def up(p): return frame(p)

def options4():
    # A header whose options are noise, with a right checksum.
    noise = RB(4 * RI(1, 10))
    words = 5 + len(noise) // 4
    head = struct.pack("!BBHHHBBH", 64 + words, 0, words * 4 + 8, 1, 0, 64, 17, 0) + inet_aton(a4()) + inet_aton(v4) + noise
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return raw(Ether(src=amac(), dst=mac, type=0x800)) + head + RB(8)

def piece4(offset, more, size, ident, proto=17, src=None):
    return up(IP(src=src or a4(), dst=v4, id=ident, proto=proto, flags=more, frag=offset // 8) / Raw(RB(size)))
def piece6(offset, more, size, ident, nh=17, src=None):
    return up(IPv6(src=src or a6(), dst=v6) / IPv6ExtHdrFragment(offset=offset // 8, m=more, id=ident, nh=nh) / Raw(RB(size)))
def overlap():
    ident, s4, s6, at = RI(0, 65535), a4(), a6(), 8 * RI(0, 7)
    return [piece4(0, 1, 64, ident, src=s4), piece4(at, RI(0, 1), 64, ident, src=s4),
            piece6(0, 1, 64, ident, src=s6), piece6(at, RI(0, 1), 64, ident, src=s6)]
def scattered():
    if RI(0, 1): return piece4(8 * RI(0, 8191), RI(0, 1), RI(0, 400), RI(0, 9))
    return piece6(8 * RI(0, 8191), RI(0, 1), RI(0, 400), RI(0, 9), RI(0, 255))

def chain():
    p = ip6()
    for n in range(RI(9, 60)):
        p = p / PICK([IPv6ExtHdrDestOpt, IPv6ExtHdrRouting])()
    return up(p / UDP())
def headers():
    p = ip6()
    for n in range(RI(1, 4)):
        p = p / fuzz(PICK([IPv6ExtHdrHopByHop, IPv6ExtHdrDestOpt, IPv6ExtHdrRouting, IPv6ExtHdrFragment])())
    return up(p / Raw(RB(RI(0, 80))))

def quote4(): return IP(src=v4, dst=a4(), proto=PICK([1, 6, 17])) / Raw(RB(8))
def quote6(): return IPv6(src=v6, dst=a6(), nh=PICK([58, 6, 17])) / Raw(RB(48))
def lies():
    if RI(0, 1): return up(ip() / ICMP(type=PICK([3, 11, 12]), code=RI(0, 1) and 4, nexthopmtu=RI(0, 1500)) / quote4())
    return up(ip6() / PICK([ICMPv6DestUnreach(code=RI(0, 4)), ICMPv6PacketTooBig(mtu=RI(0, 1500)), ICMPv6TimeExceeded()]) / quote6())
def redirects():
    if RI(0, 1): return up(ip() / ICMP(type=5, code=1, gw=a4()) / quote4())
    return up(IPv6(src=ll(), dst=v6, hlim=255) / ICMPv6ND_Redirect(tgt=ll(), dst=a6()))

def icmp():
    if RI(0, 1): return up(ip() / fuzz(ICMP()) / Raw(RB(RI(0, 40))))
    return up(ip6() / fuzz(ICMPv6Unknown(type=RI(0, 255), code=RI(0, 3))))
def tcp():
    over = ip() if RI(0, 1) else ip6()
    return up(over / fuzz(TCP(dport=PICK([7000, RI(0, 65535)]), dataofs=RI(0, 15), chksum=PICK([None, RI(0, 65535)]))) / Raw(RB(RI(0, 80))))
def tcp_right():
    over = ip() if RI(0, 1) else ip6()
    return up(over / TCP(sport=RI(1, 65535), dport=PICK([7000, RI(1, 65535)]), flags=RI(0, 511), seq=RI(0, 2**32 - 1), ack=RI(0, 2**32 - 1)) / Raw(RB(RI(0, 80))))
def udp():
    over = ip() if RI(0, 1) else ip6()
    return up(over / fuzz(UDP(dport=PICK([7001, RI(0, 65535)]), len=PICK([None, RI(0, 65535)]), chksum=PICK([None, RI(1, 65535)]))) / Raw(RB(RI(0, 80))))
def udp_right():
    over = ip() if RI(0, 1) else ip6()
    return up(over / UDP(sport=RI(1, 65535), dport=RI(8000, 65535)) / Raw(RB(RI(0, 80))))
def udplite():
    return up((ip(proto=136) if RI(0, 1) else ip6(nh=136)) / Raw(RB(RI(0, 40))))

def alert(kind, ttl, body, to="224.0.0.1", src=None):
    body = bytes([kind]) + body
    body = body[:2] + struct.pack("!H", checksum(body[:2] + b"\0\0" + body[4:])) + body[4:]
    return frame(IP(src=src or a4(), dst=to, proto=2, ttl=ttl, options=[IPOption_Router_Alert()]) / Raw(body), "01:00:5e:00:00:01")
def igmp_noise():
    return alert(RI(0, 255), RI(0, 2), RB(RI(3, 40)))
def igmp_storm():
    sources = b"".join(inet_aton(f"198.18.{RI(0, 255)}.{RI(0, 255)}") for n in range(80))
    return alert(0x11, 1, b"\x01\0\0" + inet_aton(GROUP4) + b"\0\0\0\x50" + sources)
def mld(kind, hlim, body, src):
    over = IPv6(src=src, dst="ff02::1", hlim=hlim) / IPv6ExtHdrHopByHop(options=[RouterAlert()])
    message = bytes([kind, 0, 0, 0]) + body
    message = message[:2] + struct.pack("!H", in6_chksum(58, IPv6(src=src, dst="ff02::1"), message)) + message[4:]
    over[IPv6ExtHdrHopByHop].nh = 58
    return frame(over / Raw(message), "33:33:00:00:00:01")
def mld_noise():
    return mld(PICK([130, 131, 132, 143]), RI(0, 2), RB(RI(0, 60)), PICK([ll(), a6()]))
def mld_storm():
    sources = b"".join(inet_pton(socket.AF_INET6, a6()) for n in range(80))
    return mld(130, 1, struct.pack("!HH", 1000, 0) + inet_pton(socket.AF_INET6, GROUP6) + b"\0\0\0\x50" + sources, ll())

def arp():
    return frame(fuzz(ARP(hwlen=PICK([6, RI(0, 255)]), plen=PICK([4, RI(0, 255)]), psrc=PICK([v4, "224.0.0.5", a4()]), pdst=v4)), PICK([mac, "ff:ff:ff:ff:ff:ff"]))
def neighbours():
    a = amac()
    return [raw(Ether(src=a, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=a, psrc=a4(), pdst=v4)),
            raw(Ether(src=a, dst=mac) / ip6(hlim=255) / ICMPv6ND_NS(tgt=v6) / ICMPv6NDOptSrcLLAddr(lladdr=a))]
def discovery():
    message = PICK([ICMPv6ND_NS(tgt=PICK([v6, a6(), "ff02::1"])), ICMPv6ND_NA(tgt=PICK([v6, a6(), "ff02::1"])), ICMPv6ND_RS(), ICMPv6ND_Redirect()])
    return up(IPv6(src=PICK([a6(), ll(), "::"]), dst=v6, hlim=PICK([255, 64])) / message / Raw(RB(RI(0, 30))))
def advertisements():
    return frame(IPv6(src=ll(), dst="ff02::1", hlim=255) / ICMPv6ND_RA(chlim=64, routerlifetime=RI(0, 9000), prf=RI(0, 3))
        / ICMPv6NDOptPrefixInfo(prefix=f"2001:db8:{RI(1, 65535):x}::", prefixlen=64, L=1, A=1, validlifetime=RI(0, 2**32 - 1), preferredlifetime=RI(0, 2**32 - 1))
        / ICMPv6NDOptRouteInfo(prefix=f"2001:db8:{RI(1, 65535):x}::", plen=48, prf=RI(0, 3), rtlifetime=RI(0, 2**32 - 1))
        / ICMPv6NDOptRDNSS(dns=[a6()], lifetime=RI(0, 2**32 - 1)), "33:33:00:00:00:01")

KINDS = {
    "IPv4 headers": lambda: up(ip(version=PICK([4, 4, RI(0, 15)]), ihl=RI(0, 15), len=RI(0, 65535), chksum=RI(0, 65535)) / Raw(RB(40))),
    "IPv6 headers": lambda: up(ip6(version=PICK([6, 6, RI(0, 15)]), plen=RI(0, 65535), nh=RI(0, 255)) / Raw(RB(40))),
    "IPv4 options": options4,
    "fuzzed IPv4": lambda: up(fuzz(IP(dst=v4)) / Raw(RB(RI(0, 60)))),
    "unknown protocols": lambda: up((ip(proto=RI(200, 250)) if RI(0, 1) else ip6(nh=RI(200, 250))) / Raw(RB(20))),
    "impossible sources": lambda: up(ip(src=PICK(["0.0.0.1", "127.0.0.1", "224.0.0.1", "255.255.255.255", v4])) / UDP(dport=7001)),
    "extension headers": headers,
    "chains of headers": chain,
    "scattered fragments": scattered,
    "overlaps": overlap,
    "ping of death": lambda: [piece4(65528, 0, 100, RI(0, 65535), 1), piece6(65528, 0, 100, RI(0, 65535), 58)],
    "flood of fragments": lambda: [piece4(8, 1, 1400, RI(0, 65535), src="192.0.2.66"), piece6(8, 1, 1400, RI(0, 2**32 - 1), src="2001:db8::66")],
    "fuzzed ICMP": icmp,
    "quotes of nothing": lies,
    "redirects": redirects,
    "fuzzed TCP": tcp,
    "TCP to anywhere": tcp_right,
    "fuzzed UDP": udp,
    "UDP to anywhere": udp_right,
    "UDP-Lite": udplite,
    "IGMP noise": igmp_noise,
    "IGMP storm": igmp_storm,
    "MLD noise": mld_noise,
    "MLD storm": mld_storm,
    "fuzzed ARP": arp,
    "flood of neighbours": neighbours,
    "neighbour discovery": discovery,
    "flood of advertisements": advertisements,
}

good = []
def learn(frame):
    if len(good) < 500: good.append(bytes(frame)[:1514])
def of_attacker(f):
    for name, other in [(client4, a4()), (client6, a6())]:
        family = socket.AF_INET6 if ":" in name else socket.AF_INET
        f = f.replace(inet_pton(family, name), inet_pton(family, other))
    return f[:6] + bytes.fromhex(amac().replace(":", "")) + f[12:]
def names_a_neighbour(f):
    return f[12:14] == b"\x08\x06" or f[12:14] == b"\x86\xdd" and 58 in (f[20], f[54:55] and f[54]) and len(f) > 54
def changed():
    f = PICK(good)
    if RI(0, 1) or names_a_neighbour(f): f = of_attacker(f)
    f = bytearray(f)
    for n in range(RI(0, 3)):
        at = RI(14, min(len(f) - 1, PICK([90, 1513])))
        how = RI(0, 4)
        if how == 0: f[at] = PICK([0, 1, 127, 128, 255])
        elif how == 1: f[at] ^= 1 << RI(0, 7)
        elif how == 2: del f[at]
        elif how == 3: f.insert(at, RI(0, 255))
        else: del f[max(at, 20):]
    if RI(0, 3):
        # Checksums are made right again, for what lies behind them.
        p = layer = Ether(bytes(f))
        while layer:
            for name in ("chksum", "cksum"):
                if name in layer.fields: delattr(layer, name)
            layer = layer.payload
        f = raw(p)
    return bytes(f)

def put(frames):
    for f in frames if isinstance(frames, list) else [frames]:
        try: sock.send(f[:1514])
        except OSError: time.sleep(0.001)  # the queue is full

def one(kind):
    try: return kind()
    # scapy can't always build what it has made up itself.
    except (struct.error, ValueError, TypeError, OSError, OverflowError, IndexError, AttributeError, KeyError): return []

def flood(seconds, rate):
    kinds, end, sent, began = list(KINDS.values()), time.time() + seconds, 0, time.time()
    while time.time() < end:
        put(one(PICK(kinds)) if RI(0, 1) or not good else one(changed))
        sent += 1
        ahead = sent / rate - (time.time() - began)
        if ahead > 0: time.sleep(ahead)
    return sent

def answer(text): print(text, flush=True)
answer("ready")
sniffer = None
for line in sys.stdin:
    words = line.split()
    if words[0] == "send":
        for n in range(int(words[1])): put(one(KINDS[" ".join(words[2:])]))
        answer("sent")
    elif words[0] == "learn":
        sniffer = AsyncSniffer(iface=iface, prn=lambda p: learn(raw(p)), store=False, filter=None, lfilter=lambda p: p.dst in (mac, "ff:ff:ff:ff:ff:ff"), started_callback=lambda: answer("learning"))
        sniffer.start()
    elif words[0] == "learnt":
        sniffer.stop()
        answer(str(len(good)))
    else:
        answer(str(flood(int(words[1]), int(words[2]))))
