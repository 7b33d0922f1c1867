//! UDP beside the kernel's: the same script of calls on a socket of the kernel, in a namespace of its
//! own behind a veth pair, and on one of a node, behind a TAP. The peer is the kernel on both sides.
//! What the calls return has to be the same: lengths, flags, errnos, and the bytes of control data.

use crate::udp_sides::{Answer, Cmsg, Peer, Side, Sides};
use sockeye_tests::{Outcome, Result, Test, check, ignore, in_namespace, tests};
use std::time::Duration;

pub(crate) const TESTS: &[Test] = tests![
    what_recvmsg_tells,
    what_is_cut,
    what_one_send_may_say,
    errors_are_told_alike,
    data_is_cut_into_datagrams_alike,
    corked_datagrams,
    without_checksums,
    udp_lite_beside_the_kernels,
    its_packets_dissect,
];

const LIMIT: Duration = Duration::from_secs(60);
const IP: i32 = libc::IPPROTO_IP;
const IPV6: i32 = libc::IPPROTO_IPV6;
const UDP: i32 = libc::IPPROTO_UDP;
const HEADER: [u8; 8] = [0, 0, 0x1e, 4, 1, 2, 3, 4];

fn int(n: i32) -> Vec<u8> {
    n.to_ne_bytes().to_vec()
}

/// Runs a script on both sides, which have to say the same.
fn compare(name: &'static str, script: fn(&Side, &Peer, &mut Vec<String>) -> Result<()>) -> Result {
    let sides = match Sides::open()? {
        Ok(sides) => sides,
        Err(reason) => return ignore!("{reason}"),
    };
    let mut logs = Vec::new();
    for side in [&sides.kernel, &sides.ours] {
        let mut log = Vec::new();
        script(side, &side.peer()?, &mut log).map_err(|e| format!("{name}, {side}: {e}"))?;
        logs.push(log);
    }
    let mut differences = String::new();
    for (n, (kernel, ours)) in logs[0].iter().zip(&logs[1]).enumerate() {
        if kernel != ours {
            differences += &format!("{n}:\n  kernel {kernel}\n  ours   {ours}\n");
        }
    }
    println!("{} answers compared", logs[0].len());
    check!(logs[0].len() == logs[1].len(), "one side said more");
    check!(differences.is_empty(), "{differences}");
    Ok(Outcome::Passed)
}

macro_rules! script {
    ($name:ident, $script:expr) => {
        fn $name() -> Result {
            let name = concat!("interop::udp::", stringify!($name));
            in_namespace(name, LIMIT, || compare(stringify!($name), $script))
        }
    };
}

script!(what_recvmsg_tells, |side, peer, log| {
    let v4 = [
        libc::IP_PKTINFO,
        libc::IP_RECVTTL,
        libc::IP_RECVTOS,
        libc::IP_RECVOPTS,
        libc::IP_RETOPTS,
        libc::IP_RECVORIGDSTADDR,
        libc::IP_RECVFRAGSIZE,
    ];
    let v6 = [
        libc::IPV6_RECVPKTINFO,
        libc::IPV6_RECVHOPLIMIT,
        libc::IPV6_RECVTCLASS,
        libc::IPV6_FLOWINFO,
        libc::IPV6_RECVHOPOPTS,
        libc::IPV6_RECVDSTOPTS,
        libc::IPV6_RECVRTHDR,
        libc::IPV6_RECVORIGDSTADDR,
        libc::IPV6_RECVFRAGSIZE,
        2,
        3,
        4,
        8,
    ];
    let texts = [vec![b'x'; 5], Vec::new(), vec![b'y'; 3000]];
    for dual in [false, true] {
        let socket = side.socket(dual, false)?;
        socket.bind_any()?;
        for option in v4 {
            socket
                .set(IP, option, &int(1))
                .map_err(|e| format!("IP {option}: {e}"))?;
        }
        if dual {
            for option in v6 {
                socket
                    .set(IPV6, option, &int(1))
                    .map_err(|e| format!("IPV6 {option}: {e}"))?;
            }
        }
        for text in &texts {
            let alert = Cmsg::new(IP, libc::IP_RETOPTS, &[148, 4, 0, 0]);
            let (ttl, tos) = (
                Cmsg::new(IP, libc::IP_TTL, &int(9)),
                Cmsg::new(IP, libc::IP_TOS, &int(0x10)),
            );
            peer.send(false, text, socket.port()?, &[ttl.clone(), tos.clone()])?;
            log.push(socket.recv(4000, 1000, 0));
            peer.send(false, text, socket.port()?, &[ttl, tos, alert])?;
            log.push(socket.recv(4000, 1000, 0));
            if dual {
                let hops = Cmsg::new(IPV6, libc::IPV6_HOPLIMIT, &int(11));
                let class = Cmsg::new(IPV6, libc::IPV6_TCLASS, &int(0x20));
                // Its own flow label is by chance.
                let flow = Cmsg::new(IPV6, libc::IPV6_FLOWINFO, &0x12345_u32.to_be_bytes());
                let all = [hops, class, flow];
                peer.send(true, text, socket.port()?, &all)?;
                log.push(socket.recv(4000, 1000, 0));
                let [hops, class, flow] = all;
                let hop_options = Cmsg::new(IPV6, libc::IPV6_HOPOPTS, &HEADER);
                let options = Cmsg::new(IPV6, libc::IPV6_DSTOPTS, &HEADER);
                let all = [hops, class, flow, hop_options, options];
                peer.send(true, text, socket.port()?, &all)?;
                log.push(socket.recv(4000, 1000, 0));
            }
        }
    }
    Ok(())
});

script!(what_is_cut, |side, peer, log| {
    let socket = side.socket(false, false)?;
    socket.bind_any()?;
    for option in [libc::IP_PKTINFO, libc::IP_RECVTTL, libc::IP_RECVTOS] {
        socket.set(IP, option, &int(1))?;
    }
    for (room, control, flags) in [
        (10, 200, 0),
        (3, 200, 0),
        (3, 200, libc::MSG_TRUNC),
        (0, 200, libc::MSG_TRUNC),
        (0, 0, 0),
        (10, 0, 0),
        (10, 15, 0),
        (10, 20, 0),
        (10, 28, 0),
        (10, 44, 0),
        (10, 60, 0),
    ] {
        peer.send(false, b"0123456789", socket.port()?, &[])?;
        log.push(socket.recv(room, control, flags | libc::MSG_PEEK));
        log.push(socket.recv(room, control, flags));
    }
    log.push(socket.recv(10, 100, libc::MSG_DONTWAIT));
    log.push(socket.recv(10, 100, libc::MSG_OOB));
    Ok(())
});

script!(what_one_send_may_say, |side, peer, log| {
    let messages = [
        Cmsg::new(IP, libc::IP_TTL, &int(5)),
        Cmsg::new(IP, libc::IP_TTL, &int(0)),
        Cmsg::new(IP, libc::IP_TTL, &int(256)),
        Cmsg::new(IP, libc::IP_TTL, &[5]),
        Cmsg::new(IP, libc::IP_TOS, &int(8)),
        Cmsg::new(IP, libc::IP_TOS, &[8]),
        Cmsg::new(IP, libc::IP_TOS, &int(256)),
        Cmsg::new(IP, libc::IP_TOS, &[8, 0]),
        Cmsg::new(IP, libc::IP_PKTINFO, &[0; 12]),
        Cmsg::new(IP, libc::IP_PKTINFO, &[0; 11]),
        Cmsg::new(IP, libc::IP_PKTINFO, &[0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0]),
        Cmsg::new(IP, libc::IP_RETOPTS, &[148, 4, 0, 0]),
        Cmsg::new(IP, libc::IP_RETOPTS, &[7, 2]),
        Cmsg::new(IP, 99, &int(0)),
        Cmsg::new(IPV6, libc::IPV6_HOPLIMIT, &int(7)),
        Cmsg::new(IPV6, libc::IPV6_HOPLIMIT, &int(-1)),
        Cmsg::new(IPV6, libc::IPV6_HOPLIMIT, &int(-2)),
        Cmsg::new(IPV6, libc::IPV6_HOPLIMIT, &int(256)),
        Cmsg::new(IPV6, libc::IPV6_HOPLIMIT, &[1]),
        Cmsg::new(IPV6, libc::IPV6_TCLASS, &int(12)),
        // Not -1: RFC 3542 §6.5 has it as the default, Linux 6.18 sends 255.
        Cmsg::new(IPV6, libc::IPV6_TCLASS, &int(256)),
        Cmsg::new(IPV6, libc::IPV6_DONTFRAG, &int(1)),
        Cmsg::new(IPV6, libc::IPV6_DONTFRAG, &int(2)),
        Cmsg::new(IPV6, libc::IPV6_FLOWINFO, &0xabcde_u32.to_be_bytes()),
        Cmsg::new(IPV6, libc::IPV6_HOPOPTS, &HEADER),
        Cmsg::new(IPV6, libc::IPV6_HOPOPTS, &HEADER[..7]),
        Cmsg::new(IPV6, libc::IPV6_DSTOPTS, &HEADER),
        Cmsg::new(IPV6, libc::IPV6_RTHDR, &HEADER),
        Cmsg::new(IPV6, libc::IPV6_PKTINFO, &[0; 20]),
        Cmsg::new(IPV6, libc::IPV6_PKTINFO, &[0; 19]),
        Cmsg::new(IPV6, libc::IPV6_PKTINFO, &[9; 20]),
        Cmsg::new(IPV6, 99, &int(0)),
        Cmsg::new(UDP, libc::UDP_SEGMENT, &2_u16.to_ne_bytes()),
        Cmsg::new(UDP, libc::UDP_SEGMENT, &int(2)),
        Cmsg::new(UDP, 99, &int(2)),
        Cmsg::new(libc::SOL_SOCKET, libc::SO_MARK, &int(7)),
        Cmsg::new(libc::SOL_SOCKET, libc::SO_MARK, &[7]),
        Cmsg::new(libc::SOL_SOCKET, 99, &int(7)),
        Cmsg::new(77, 1, &int(7)),
    ];
    for (socket_v6, v6) in [(false, false), (true, true), (true, false)] {
        let socket = side.socket(socket_v6, false)?;
        socket.bind_any()?;
        for message in &messages {
            let sent = socket.send(b"text", Some(v6), std::slice::from_ref(message), 0);
            log.push(format!("{v6} {message:?}: {sent:?}"));
            if sent.is_ok() {
                // Two datagrams of two bytes, or one.
                log.push(peer.recv(v6)?);
                if message.is_segment() {
                    log.push(peer.recv(v6)?);
                }
            }
        }
    }
    Ok(())
});

script!(errors_are_told_alike, |side, peer, log| {
    for (socket_v6, v6) in [(false, false), (true, true), (true, false)] {
        let (level, name) = if v6 {
            (IPV6, libc::IPV6_RECVERR)
        } else {
            (IP, libc::IP_RECVERR)
        };
        let closed = peer.closed_port()?;
        // A connected socket hears of a closed port, one that has no peer does not.
        let socket = side.socket(socket_v6, false)?;
        log.push(format!("{:?}", socket.send(b"x", None, &[], 0)));
        log.push(format!("{:?}", socket.send_to_port(b"x", v6, 0)));
        socket.connect(v6, closed)?;
        log.push(format!("{:?}", socket.send(b"x", None, &[], 0)));
        log.push(socket.recv(10, 200, 0));
        log.push(format!("{:?}", socket.send(b"x", None, &[], 0)));
        log.push(socket.error_when_told());
        log.push(socket.errors(100));
        let asking = side.socket(socket_v6, false)?;
        asking.bind_any()?;
        asking.set(level, name, &int(1))?;
        log.push(format!("{:?}", asking.send_to_port(b"refused", v6, closed)));
        log.push(asking.errors(100));
        log.push(asking.recv(10, 200, libc::MSG_DONTWAIT));
        log.push(format!("{:?}", asking.send_to_port(b"refused", v6, closed)));
        log.push(asking.recv(10, 200, 0));
        log.push(asking.errors(3));
        // What is too long is told by the node itself.
        let (discover_level, discover) = match v6 {
            true => (IPV6, libc::IPV6_MTU_DISCOVER),
            false => (IP, libc::IP_MTU_DISCOVER),
        };
        asking.set(discover_level, discover, &int(2))?;
        for len in [
            1452, 1453, 1472, 1473, 65_507, 65_508, 65_527, 65_528, 65_535, 65_536,
        ] {
            log.push(format!(
                "{len}: {:?}",
                asking.send(&vec![0; len], Some(v6), &[], 0)
            ));
            log.push(asking.errors_now(10));
        }
        asking.set(discover_level, discover, &int(0))?;
        if v6 {
            asking.set(IPV6, libc::IPV6_RECVPATHMTU, &int(1))?;
            let dont = Cmsg::new(IPV6, libc::IPV6_DONTFRAG, &int(1));
            log.push(format!(
                "{:?}",
                asking.send(&[0; 2000], Some(v6), &[dont], 0)
            ));
            log.push(asking.recv(10, 200, 0));
            log.push(asking.errors_now(10));
        } else if !socket_v6 {
            log.push(format!("{:?}", asking.send_to(b"x", "203.0.113.1:9")));
            log.push(format!("{:?}", asking.send_to(b"x", "[::1]:9")));
        }
        log.push(format!(
            "{:?}",
            asking.send(b"x", Some(v6), &[], libc::MSG_OOB)
        ));
        log.push(format!("{:?}", asking.send(b"", Some(v6), &[], 0)));
    }
    Ok(())
});

script!(data_is_cut_into_datagrams_alike, |side, peer, log| {
    for v6 in [false, true] {
        let socket = side.socket(v6, false)?;
        socket.bind_any()?;
        for (segment, len) in [
            (1000, 0),
            (1000, 1),
            (1000, 1000),
            (1000, 2500),
            (1452, 1453),
            (1453, 1453),
            (1453, 3000),
            (1472, 3000),
            (1473, 3000),
            (1473, 100),
            (100, 12_800),
            (100, 12_801),
            (1, 128),
            (1, 129),
        ] {
            socket.set(UDP, libc::UDP_SEGMENT, &int(segment))?;
            let sent: Answer = socket.send(&vec![7; len], Some(v6), &[], 0);
            log.push(format!("{v6} {segment} {len}: {sent:?}"));
            if sent.is_ok() {
                let count = len.div_ceil(segment as usize).max(1);
                let lens = (0..count)
                    .map(|_| peer.recv_len(v6))
                    .collect::<Result<Vec<_>>>()?;
                log.push(format!("{lens:?}"));
            }
        }
        socket.set(libc::SOL_SOCKET, libc::SO_NO_CHECK, &int(1))?;
        socket.set(UDP, 101, &int(1))?;
        socket.set(UDP, libc::UDP_SEGMENT, &int(100))?;
        log.push(format!("{:?}", socket.send(&[7; 200], Some(v6), &[], 0)));
    }
    Ok(())
});

script!(corked_datagrams, |side, peer, log| {
    for v6 in [false, true] {
        let socket = side.socket(v6, false)?;
        socket.bind_any()?;
        for (text, flags) in [
            (&b"a "[..], libc::MSG_MORE),
            (b"whole ", libc::MSG_MORE),
            (b"", 0),
        ] {
            log.push(format!("{:?}", socket.send(text, Some(v6), &[], flags)));
        }
        log.push(peer.recv(v6)?);
        socket.set(UDP, libc::UDP_CORK, &int(1))?;
        log.push(format!("{:?}", socket.send(b"under ", Some(v6), &[], 0)));
        log.push(format!("{:?}", socket.send(b"the cork", None, &[], 0)));
        socket.set(UDP, libc::UDP_CORK, &int(0))?;
        log.push(peer.recv(v6)?);
        log.push(format!("{:?}", socket.send(b"x", None, &[], 0)));
        log.push(format!(
            "{:?}",
            socket.send(&[0; 60_000], Some(v6), &[], libc::MSG_MORE)
        ));
        log.push(format!(
            "{:?}",
            socket.send(&[0; 6000], Some(v6), &[], libc::MSG_MORE)
        ));
        log.push(format!("{:?}", socket.send(b"after", Some(v6), &[], 0)));
        log.push(peer.recv(v6)?);
    }
    Ok(())
});

script!(without_checksums, |side, peer, log| {
    for v6 in [false, true] {
        let socket = side.socket(v6, false)?;
        socket.bind_any()?;
        socket.set(libc::SOL_SOCKET, libc::SO_NO_CHECK, &int(1))?;
        socket.set(UDP, 101, &int(1))?;
        peer.take_unsummed(true)?;
        log.push(format!("{:?}", socket.send(b"unsummed", Some(v6), &[], 0)));
        log.push(peer.recv(v6)?);
        // The other way: over IPv6 only when it was asked for.
        peer.send_unsummed(true)?;
        peer.send(v6, b"first", socket.port()?, &[])?;
        peer.send_unsummed(false)?;
        peer.send(v6, b"second", socket.port()?, &[])?;
        log.push(socket.recv(10, 0, 0));
        socket.set(UDP, 102, &int(1))?;
        peer.send_unsummed(true)?;
        peer.send(v6, b"third", socket.port()?, &[])?;
        log.push(socket.recv(10, 0, 0));
        if !v6 {
            log.push(socket.recv(10, 0, 0));
        }
        peer.send_unsummed(false)?;
    }
    Ok(())
});

script!(udp_lite_beside_the_kernels, |side, _, log| {
    let peer = side.lite_peer()?;
    for v6 in [false, true] {
        let socket = side.socket(v6, true)?;
        socket.bind_any()?;
        for coverage in [0, 8, 12, 100] {
            socket.set(136, 10, &int(coverage))?;
            log.push(format!(
                "{:?}",
                socket.send(b"0123456789", Some(v6), &[], 0)
            ));
            log.push(peer.recv(v6)?);
            log.push(format!("{:?}", socket.send(&[5; 3000], Some(v6), &[], 0)));
            log.push(peer.recv(v6)?);
        }
        for (sent, wanted) in [(0, 0), (8, 0), (12, 12), (0, 100)] {
            peer.cover(sent)?;
            socket.set(136, 11, &int(wanted))?;
            peer.send(v6, b"0123456789", socket.port()?, &[])?;
            log.push(socket.recv(20, 0, 0));
        }
        // Too little is covered; what follows is heard.
        peer.cover(8)?;
        socket.set(136, 11, &int(12))?;
        peer.send(v6, b"little", socket.port()?, &[])?;
        peer.cover(0)?;
        peer.send(v6, b"all", socket.port()?, &[])?;
        log.push(socket.recv(20, 0, 0));
        socket.set(UDP, libc::UDP_SEGMENT, &int(4))?;
        log.push(format!("{:?}", socket.send(b"aaaabbbb", Some(v6), &[], 0)));
    }
    Ok(())
});

/// Another reader of what a node sends.
fn its_packets_dissect() -> Result {
    in_namespace("interop::udp::its_packets_dissect", LIMIT, || {
        if !sockeye_tests::have("tshark") {
            return ignore!("there is no tshark");
        }
        let folder = sockeye_tests::TempDir::new()?;
        let file = folder.path().join("udp.pcapng");
        let sides = match Sides::recorded(&file)? {
            Ok(sides) => sides,
            Err(reason) => return ignore!("{reason}"),
        };
        let side = &sides.ours;
        let peer = side.peer()?;
        let lite = side.lite_peer()?;
        for v6 in [false, true] {
            let socket = side.socket(v6, false)?;
            socket.bind_any()?;
            let options = [
                Cmsg::new(
                    IP,
                    libc::IP_RETOPTS,
                    &[148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0],
                ),
                Cmsg::new(IPV6, libc::IPV6_HOPOPTS, &HEADER),
                Cmsg::new(IPV6, libc::IPV6_DSTOPTS, &HEADER),
            ];
            for len in [4, 3000] {
                socket
                    .send(&vec![1; len], Some(v6), &options, 0)
                    .map_err(|e| e.to_string())?;
                peer.recv(v6)?;
            }
            let partly = side.socket(v6, true)?;
            partly.set(136, 10, &int(12))?;
            partly
                .send(b"0123456789", Some(v6), &[], 0)
                .map_err(|e| e.to_string())?;
            lite.recv(v6)?;
        }
        sides.flush()?;
        let read = |filter: &str| -> Result<usize> {
            let output = sockeye_tests::Program::new("tshark")
                .args([
                    "-o",
                    "udp.check_checksum:TRUE",
                    "-o",
                    "ip.check_checksum:TRUE",
                ])
                .args(["-o", "udplite.check_checksum:TRUE"])
                .args(["-r", &file.display().to_string(), "-Y", filter])
                .run()?
                .expect(0)?;
            Ok(output.stdout_text().lines().count())
        };
        let bad = "_ws.malformed || ip.checksum.status == 0 || udp.checksum.status == 0 \
                   || _ws.expert.severity >= 0x800000";
        check!(read(bad)? == 0, "tshark finds {} bad packets", read(bad)?);
        for (what, filter) in [
            ("IP options", "ip.opt.type && udp"),
            ("hop-by-hop options", "ipv6.hopopts && udp"),
            ("destination options", "ipv6.dstopts && udp"),
            ("fragments", "ipv6.fragments || ip.fragments"),
            ("UDP-Lite", "udplite || ip.proto == 136 || ipv6.nxt == 136"),
        ] {
            check!(read(filter)? > 0, "tshark finds no {what}");
        }
        Ok(Outcome::Passed)
    })
}
