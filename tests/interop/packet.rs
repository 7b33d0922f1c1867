//! Packet sockets of a node beside the kernel's: the same script of calls on both, each on a link of
//! its own whose other end is the kernel's. What the calls return has to be the same: lengths,
//! errnos, frames, `struct sockaddr_ll` and control data byte for byte. The two links have the same
//! stations, so that nothing has to be translated but the number of the interface.
//!
//! Not compared: a cooked send to an address without a station, which a kernel sends to zeros and a node
//! refuses (EINVAL); and which frames a link lets through, as a veth pair filters none where a node's link
//! does; PACKET_MR_* is compared by its errnos alone, and its effect is
//! `crates/core/src/raw/tests/packet.rs`'s to show. What the option list refuses with its reason
//! (rings, fanout, PACKET_VNET_HDR) is not here either; nor is SO_PROTOCOL, which a kernel says is 0.

use crate::packet_sides::{ETH_P_ALL, OWN, PEER, SOL_PACKET, Side, kernels, ours, sockaddr};
use sockeye_tests::{Outcome, Result, Test, check, ignore, in_namespace, tests};
use std::fmt::Write as _;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = tests![packet_sockets_are_as_the_kernels];

const LIMIT: Duration = Duration::from_secs(60);
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 0xc];
const ALL: [u8; 6] = [0xff; 6];
const GROUP: [u8; 6] = [3, 0, 0, 0, 0, 1];
/// IEEE's EtherTypes for experiments, and those of Linux for all frames and for lengths.
const ONE: u16 = 0x88b5;
const TWO: u16 = 0x88b6;
const ETH_P_802_2: u16 = 4;
const MTU: usize = 1500;

fn frame(to: [u8; 6], from: [u8; 6], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &ether_type.to_be_bytes(), payload].concat()
}

fn packet_sockets_are_as_the_kernels() -> Result {
    let name = "interop::packet::packet_sockets_are_as_the_kernels";
    in_namespace(name, LIMIT, || {
        let (_host, kernel) = kernels()?;
        let ours = match ours()? {
            Ok(ours) => ours,
            Err(reason) => return ignore!("{reason}"),
        };
        let scripts: [(&str, Script); 7] = [
            ("making and binding", made_and_bound),
            ("options", options),
            ("receiving", received),
            ("leaving", leaves),
            ("sending", sent),
            ("counting", counted),
            ("tags", tagged),
        ];
        let (mut differences, mut compared) = (String::new(), 0);
        for (what, script) in scripts {
            let mut logs = [Vec::new(), Vec::new()];
            for (side, log) in [&kernel, &ours].into_iter().zip(&mut logs) {
                script(side, log).map_err(|error| format!("{what}, {}: {error}", side.name))?;
                side.peer.drain(side)?;
            }
            let [theirs, ours] = logs;
            compared += theirs.len();
            let nothing = String::new();
            for n in 0..theirs.len().max(ours.len()) {
                let [theirs, ours] = [&theirs, &ours].map(|log| log.get(n).unwrap_or(&nothing));
                if theirs != ours {
                    write!(differences, "{what}:\n  kernel {theirs}\n  ours   {ours}\n")?;
                }
            }
        }
        check!(compared > 100, "only {compared} answers were compared");
        check!(differences.is_empty(), "{differences}");
        Ok(Outcome::Passed)
    })
}

type Script = fn(&Side, &mut Vec<String>) -> Result<()>;

macro_rules! say {
    ($log:expr, $($arg:tt)*) => { $log.push(format!($($arg)*)) };
}

fn made_and_bound(side: &Side, log: &mut Vec<String>) -> Result<()> {
    for ty in [libc::SOCK_STREAM, libc::SOCK_SEQPACKET, libc::SOCK_RDM] {
        let made = side.socket(ty, ONE)?;
        say!(log, "of type {ty}: {:?}", made.err());
    }
    let nowhere = 99;
    for ty in [libc::SOCK_RAW, libc::SOCK_DGRAM] {
        for protocol in [0, ONE, ETH_P_ALL] {
            let socket = side.frames(ty, protocol)?;
            let mut name = |what: &str| {
                let name = socket.name().map(|addr| side.say(addr));
                say!(log, "{ty} {protocol:#x} {what}: {:?}", name.ok());
            };
            name("fresh");
            let bound = [
                ("to none", sockaddr(TWO, nowhere, None)),
                ("to the link", sockaddr(0, side.link, None)),
                ("to a protocol", sockaddr(TWO, side.link, None)),
                ("to any", sockaddr(0, 0, Some(OTHER))),
            ];
            let answers = bound.map(|(what, addr)| {
                let bound = socket.bind(&addr);
                name(what);
                bound
            });
            say!(log, "{ty} {protocol:#x} bound: {answers:?}");
            let mut family = sockaddr(0, side.link, None);
            family[0] = 2;
            let short = socket.bind(&sockaddr(0, side.link, None)[..12]);
            say!(
                log,
                "{ty} of another family {:?}, short {short:?}",
                socket.bind(&family)
            );
        }
    }
    Ok(())
}

fn membership(interface: u32, kind: u16, len: u16, address: &[u8]) -> Vec<u8> {
    let mut request = [&interface.to_ne_bytes()[..], &kind.to_ne_bytes()].concat();
    request.extend(len.to_ne_bytes());
    request.extend(address);
    request.resize(16, 0);
    request
}

fn options(side: &Side, log: &mut Vec<String>) -> Result<()> {
    let socket = side.frames(libc::SOCK_RAW, ETH_P_ALL)?;
    let (auxdata, origdev) = (libc::PACKET_AUXDATA, libc::PACKET_ORIGDEV);
    for name in [auxdata, origdev, libc::PACKET_IGNORE_OUTGOING] {
        for value in [1, 0, 2, -1, 1] {
            let set = socket.set(SOL_PACKET, name, &i32::to_ne_bytes(value));
            say!(log, "{name} set to {value}: {set:?}");
            for room in [0, 1, 2, 4, 8] {
                say!(
                    log,
                    "{name} in {room}: {:?}",
                    socket.get(SOL_PACKET, name, room)
                );
            }
        }
        for len in 0..4 {
            say!(
                log,
                "{name} of {len}: {:?}",
                socket.set(SOL_PACKET, name, &[0; 3][..len])
            );
        }
    }
    for room in [0, 1, 4, 7, 8, 12, 16] {
        let read = socket.get(SOL_PACKET, libc::PACKET_STATISTICS, room);
        say!(
            log,
            "statistics in {room}: {:?}",
            read.map(|bytes| bytes.len())
        );
    }
    say!(
        log,
        "statistics set: {:?}",
        socket.set(SOL_PACKET, libc::PACKET_STATISTICS, &[0; 8])
    );
    let (add, drop) = (libc::PACKET_ADD_MEMBERSHIP, libc::PACKET_DROP_MEMBERSHIP);
    for (interface, kind, len, address) in [
        (side.link, 0, 6, &GROUP[..]),
        (side.link, 0, 0, &GROUP),
        (side.link, 0, 4, &GROUP),
        (side.link, 0, 8, &GROUP),
        (side.link, 1, 0, &[]),
        (side.link, 1, 9, &[]),
        (side.link, 2, 0, &[]),
        (side.link, 3, 6, &OTHER),
        (side.link, 4, 6, &OTHER),
        (0, 1, 0, &[]),
        (99, 1, 0, &[]),
    ] {
        let request = membership(interface, kind, len, address);
        for option in [drop, add, add, drop, drop, drop] {
            let done = socket.set(SOL_PACKET, option, &request);
            say!(log, "{option} {kind} {len}: {done:?}");
        }
    }
    for len in [0, 8, 12, 15, 20] {
        let request = [membership(side.link, 1, 0, &[]), vec![0; 4]].concat();
        say!(
            log,
            "{add} of {len}: {:?}",
            socket.set(SOL_PACKET, add, &request[..len])
        );
    }
    for (level, name) in [
        (0, 1),
        (6, 1),
        (17, 103),
        (41, 26),
        (255, 1),
        (SOL_PACKET, 99),
        (7, 7),
    ] {
        let (set, got) = (socket.set(level, name, &[0; 4]), socket.get(level, name, 4));
        say!(log, "{level} {name}: {set:?} {got:?}");
    }
    for name in [
        libc::SO_TYPE,
        libc::SO_DOMAIN,
        libc::SO_ERROR,
        libc::SO_ACCEPTCONN,
    ] {
        say!(
            log,
            "socket(7) {name}: {:?}",
            socket.get(libc::SOL_SOCKET, name, 4)
        );
    }
    Ok(())
}

/// What is for whom, by kind of socket, protocol and room.
fn received(side: &Side, log: &mut Vec<String>) -> Result<()> {
    let on = 1_i32.to_ne_bytes();
    let mut sockets = Vec::new();
    for ty in [libc::SOCK_RAW, libc::SOCK_DGRAM] {
        for protocol in [ONE, TWO, ETH_P_ALL, ETH_P_802_2, 0] {
            let socket = side.frames(ty, protocol)?;
            say!(
                log,
                "aux {:?}",
                socket.set(SOL_PACKET, libc::PACKET_AUXDATA, &on)
            );
            let everything = membership(side.link, 1, 0, &[]);
            let promiscuous = socket.set(SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &everything);
            say!(log, "promiscuous {promiscuous:?}");
            sockets.push((format!("{ty} {protocol:#x}"), socket));
        }
    }
    // What Linux tells beside a frame that was peeked at is spoilt by that.
    let plain = side.frames(libc::SOCK_RAW, ONE)?;
    let elsewhere = side.frames(libc::SOCK_RAW, ONE)?;
    say!(
        log,
        "bound to another: {:?}",
        elsewhere.bind(&sockaddr(0, 1, None))
    );
    for to in [OWN, ALL, GROUP, OTHER] {
        for (ether_type, payload) in [
            (ONE, &b"one"[..]),
            (TWO, &[2; MTU]),
            (100, &[3; 100]),
            (0x600, b""),
        ] {
            check!(
                side.peer
                    .send(&frame(to, PEER, ether_type, payload), None)
                    .is_ok(),
                "a frame"
            );
            let last = frame(to, PEER, ONE, b"the end");
            check!(side.peer.send(&last, None).is_ok(), "the last frame");
            // Once the last one is there, all are.
            let (_, first) = &sockets[0];
            if ether_type == ONE {
                first.recv(side, 9, 0)?;
                let seen = plain.recv(side, 9, libc::MSG_PEEK)?;
                say!(log, "{to:x?} {ether_type:#x} seen: {seen}");
                say!(log, "cut: {}", plain.recv(side, 9, 0)?);
            }
            say!(log, "last: {}", first.recv(side, 200, libc::MSG_TRUNC)?);
            plain.drain(side)?;
            for (name, socket) in &sockets {
                while let Some(seen) = socket.recv_now(side, 100, libc::MSG_TRUNC)? {
                    say!(log, "{to:x?} {ether_type:#x} {name}: {seen}");
                }
            }
        }
    }
    say!(log, "by another link: {}", elsewhere.drain(side)?);
    Ok(())
}

/// PACKET_OUTGOING: who sees everything sees what leaves, too.
fn leaves(side: &Side, log: &mut Vec<String>) -> Result<()> {
    let sender = side.frames(libc::SOCK_DGRAM, 0)?;
    let all = side.frames(libc::SOCK_RAW, ETH_P_ALL)?;
    let one = side.frames(libc::SOCK_RAW, ONE)?;
    let blind = side.frames(libc::SOCK_DGRAM, ETH_P_ALL)?;
    let on = 1_i32.to_ne_bytes();
    say!(
        log,
        "{:?}",
        blind.set(SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &on)
    );
    for to in [PEER, ALL, GROUP, OWN] {
        let sent = sender.send(b"leaving", Some(&sockaddr(ONE, side.link, Some(to))));
        say!(log, "{to:x?}: {sent:?}, seen {}", all.recv(side, 100, 0)?);
        say!(
            log,
            "not seen by {} and {}",
            one.drain(side)?,
            blind.drain(side)?
        );
    }
    // Nor by the one that sends, though it is for every protocol.
    let own = side.frames(libc::SOCK_DGRAM, ETH_P_ALL)?;
    let sent = own.send(b"own", Some(&sockaddr(ONE, side.link, Some(PEER))));
    say!(
        log,
        "{sent:?}, seen {} and by itself {}",
        all.recv(side, 100, 0)?,
        own.drain(side)?
    );
    Ok(())
}

fn sent(side: &Side, log: &mut Vec<String>) -> Result<()> {
    let whole = side.frames(libc::SOCK_RAW, 0)?;
    let cooked = side.frames(libc::SOCK_DGRAM, 0)?;
    let link = sockaddr(0, side.link, None);
    let plain = frame(PEER, OWN, ONE, b"whole");
    let answers = [
        whole.send(&plain, None),
        whole.send(&plain, Some(&sockaddr(0, 0, None))),
        whole.send(&plain, Some(&sockaddr(0, 99, None))),
        whole.send(b"", Some(&link)),
        whole.send(&plain[..13], Some(&link)),
        cooked.send(b"x", Some(&sockaddr(ONE, 99, Some(PEER)))),
        cooked.send(b"x", None),
        cooked.send(&[0; MTU + 1], Some(&sockaddr(ONE, side.link, Some(PEER)))),
        whole.send(&frame(PEER, OWN, ONE, &[0; MTU + 1]), Some(&link)),
        whole.send(&frame(PEER, OWN, 0x8100, &[0; MTU + 5]), Some(&link)),
    ];
    say!(log, "refused: {answers:?}");
    for (what, sent) in [
        ("whole", whole.send(&plain, Some(&link))),
        ("a bare header", whole.send(&plain[..14], Some(&link))),
        (
            "the largest",
            whole.send(&frame(PEER, OWN, ONE, &[1; MTU]), Some(&link)),
        ),
        (
            "from another",
            whole.send(&frame(PEER, OTHER, TWO, b"x"), Some(&link)),
        ),
        (
            "a length",
            whole.send(&frame(PEER, OWN, 3, b"abc"), Some(&link)),
        ),
        (
            "cooked",
            cooked.send(b"cooked", Some(&sockaddr(TWO, side.link, Some(ALL)))),
        ),
        (
            "of no protocol",
            cooked.send(b"none", Some(&sockaddr(0, side.link, Some(PEER)))),
        ),
        (
            "empty",
            cooked.send(b"", Some(&sockaddr(ONE, side.link, Some(PEER)))),
        ),
    ] {
        say!(log, "{what}: {sent:?}");
        if sent.is_ok() {
            say!(log, "{what} came: {}", came(side)?);
        }
    }
    say!(
        log,
        "bound: {:?}",
        whole.bind(&sockaddr(0, side.link, None))
    );
    say!(
        log,
        "by the link: {:?} {}",
        whole.send(&plain, None),
        came(side)?
    );
    say!(
        log,
        "bound: {:?}",
        cooked.bind(&sockaddr(ONE, side.link, None))
    );
    say!(log, "without address: {:?}", cooked.send(b"x", None));
    Ok(())
}

/// What the peer receives; of its address nothing is said.
fn came(side: &Side) -> Result<String> {
    let came = side.peer.recv(side, 2000, 0)?;
    let what = came.split(" from ").next();
    Ok(what.unwrap_or_default().to_owned())
}

/// PACKET_STATISTICS: all that was seen, and what of it was dropped, since it was last read.
fn counted(side: &Side, log: &mut Vec<String>) -> Result<()> {
    let socket = side.frames(libc::SOCK_RAW, ONE)?;
    let end = side.frames(libc::SOCK_RAW, TWO)?;
    let statistics = || -> Result<[u32; 2]> {
        let read = socket.get(SOL_PACKET, libc::PACKET_STATISTICS, 8);
        let bytes = read.map_err(|errno| format!("statistics: errno {errno}"))?;
        let word = |at: usize| {
            u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Ok([word(0), word(4)])
    };
    let burst = |count: usize| -> Result<()> {
        for _ in 0..count {
            check!(
                side.peer
                    .send(&frame(OWN, PEER, ONE, &[0; 1000]), None)
                    .is_ok(),
                "a frame"
            );
        }
        check!(
            side.peer.send(&frame(OWN, PEER, TWO, b""), None).is_ok(),
            "the last"
        );
        end.recv(side, 100, 0).map(drop)
    };
    say!(log, "fresh: {:?}", statistics()?);
    burst(10)?;
    say!(log, "ten: {:?}, then {:?}", statistics()?, statistics()?);
    say!(log, "waiting: {}", socket.drain(side)?);
    say!(
        log,
        "a small buffer: {:?}",
        socket.set(libc::SOL_SOCKET, libc::SO_RCVBUF, &1_i32.to_ne_bytes())
    );
    burst(30)?;
    let ([seen, dropped], kept) = (statistics()?, socket.drain(side)?);
    say!(
        log,
        "thirty: {seen}, some dropped {}, the others kept {}",
        dropped > 0,
        seen as usize == dropped as usize + kept
    );
    Ok(())
}

/// Frames with a tag of a virtual LAN (802.1Q), which is told beside them.
fn tagged(side: &Side, log: &mut Vec<String>) -> Result<()> {
    let on = 1_i32.to_ne_bytes();
    let mut sockets = Vec::new();
    for ty in [libc::SOCK_RAW, libc::SOCK_DGRAM] {
        for protocol in [ONE, ETH_P_ALL, 0x8100] {
            let socket = side.frames(ty, protocol)?;
            say!(
                log,
                "aux {:?}",
                socket.set(SOL_PACKET, libc::PACKET_AUXDATA, &on)
            );
            sockets.push((format!("{ty} {protocol:#x}"), socket));
        }
    }
    for tag in [[0, 5], [0x60, 0], [0xef, 0xff]] {
        let inner = [&tag[..], &ONE.to_be_bytes(), b"tagged"].concat();
        for to in [OWN, ALL] {
            check!(
                side.peer
                    .send(&frame(to, PEER, 0x8100, &inner), None)
                    .is_ok(),
                "a tagged frame"
            );
            check!(
                side.peer.send(&frame(OWN, PEER, ONE, b"end"), None).is_ok(),
                "the last"
            );
            let (_, all) = &sockets[1];
            for _ in 0..2 {
                say!(log, "{tag:x?} {to:x?}: {}", all.recv(side, 100, 0)?);
            }
            for (name, socket) in &sockets {
                while let Some(seen) = socket.recv_now(side, 100, 0)? {
                    say!(log, "{tag:x?} {to:x?} {name}: {seen}");
                }
            }
        }
    }
    Ok(())
}
