"""iperf3's client against a server of its own kind at ADDRESS PORT, in each of its ways of sending. What its reports say
has to fit together: what was asked for was sent, no more came than was sent, and no datagram is missing at a low rate."""
import json
import subprocess
import sys
import time

address, port = sys.argv[1:]

# What may be on its way when the sender says that the test is over: iperf3's receiver stops there, on any network.
BUFFER, UNDER_WAY = "256K", 4 << 20


NOT_BEGUN = ("unable to connect to server: Connection re", "unable to send cookie to server",
    "control socket has closed unexpectedly", "unable to receive control message")


def report(*args):
    command = ["iperf3", "-J", "-c", address, "-p", port, *args]
    for _ in range(600):
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=60)
        told = json.loads(done.stdout)
        # Between two tests the server has no listener, and what waited at the old one is reset.
        if not any(what in told.get("error", "") for what in NOT_BEGUN):
            break
        time.sleep(0.1)
    assert done.returncode == 0 and "error" not in told, (args, done.returncode, told.get("error"))
    return told


def tcp(streams, at_least, *args):
    told = report("-w", BUFFER, *args)
    end = told["end"]
    assert len(told["start"]["connected"]) == len(end["streams"]), args
    pairs = [("sum_sent", "sum_received")]
    if "--bidir" in args:
        pairs.append(("sum_sent_bidir_reverse", "sum_received_bidir_reverse"))
    assert len(end["streams"]) == streams * len(pairs), (args, len(end["streams"]))
    for sent, received in pairs:
        sent, received = end[sent]["bytes"], end[received]["bytes"]
        assert sent >= at_least, (args, sent)
        assert sent - streams * UNDER_WAY <= received <= sent, (args, sent, received)
    print("tcp", *args)


def udp(streams, size, *args):
    told = report("-u", "-l", str(size), *args)
    end = told["end"]
    assert len(end["streams"]) == streams, args
    whole = end["sum"]
    assert whole["packets"] > 0 and whole["lost_packets"] == 0, (args, whole)
    assert whole["bytes"] == whole["packets"] * size, (args, whole)
    for stream in end["streams"]:
        stream = stream["udp"]
        assert stream["packets"] > 0 and stream["lost_packets"] == stream["out_of_order"] == 0, (args, stream)
    print("udp", *args)


MIB = 1 << 20
tcp(1, 64 * MIB, "-n", "64M")
tcp(1, 64 * MIB, "-n", "64M", "-R")
tcp(8, 64 * MIB, "-n", "64M", "-P", "8")
tcp(8, 64 * MIB, "-n", "64M", "-P", "8", "-R")
# It is over when one of the two directions is.
tcp(1, 1, "-n", "64M", "--bidir")
tcp(1, MIB, "-n", "1M", "-b", "20M")
tcp(1, MIB, "-n", "1M", "-b", "20M", "-R")
udp(1, 1200, "-n", "60K", "-b", "1M")
udp(1, 1200, "-n", "60K", "-b", "1M", "-R")
udp(8, 1200, "-n", "120K", "-b", "200K", "-P", "8")
# Datagrams in fragments.
udp(1, 30000, "-n", "120K", "-b", "2M")
print("done")
