//! What unix(7), socket(7), connect(2) and the kernel's source tell, case by case.

use crate::sides::{Beside, Case, Name, all_same};
use libc::{
    MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, SHUT_RD, SHUT_RDWR, SHUT_WR, SO_OOBINLINE,
    SO_PASSCRED, SO_PEEK_OFF, SO_RCVLOWAT, SO_SNDBUF, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET,
    SOCK_STREAM,
};

const TYPES: [i32; 3] = [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET];
const A: Name = Name::Abstract(1);
const B: Name = Name::Abstract(2);
const FILE: Name = Name::Path(1);

#[test]
fn names() {
    all_same(NAMES);
}

#[test]
fn connections() {
    all_same(CONNECTIONS);
}

#[test]
fn streams() {
    all_same(STREAMS);
}

#[test]
fn datagrams() {
    all_same(DATAGRAMS);
}

#[test]
fn urgent_bytes() {
    all_same(URGENT);
}

#[test]
fn beside_the_data() {
    all_same(BESIDE);
}

#[test]
fn limits() {
    all_same(LIMITS);
}

#[test]
fn options() {
    all_same(OPTIONS);
}

const NAMES: &[Case] = &[
    ("a fresh socket", |t| {
        for ty in TYPES {
            let s = t.socket(ty);
            t.poll(s);
            t.names(s);
            t.recv(s, 8, 0);
            t.send(s, b"x");
            t.shutdown(s, SHUT_WR);
            t.poll(s);
            t.send(s, b"x");
            t.queued(s);
        }
        let raw = t.socket(SOCK_RAW);
        t.get(raw, libc::SO_TYPE);
        t.get(raw, libc::SO_DOMAIN);
        t.get(raw, libc::SO_PROTOCOL);
    }),
    ("an abstract name is one type's", |t| {
        for ty in TYPES {
            let s = t.socket(ty);
            t.bind(s, A);
            t.names(s);
            let other = t.socket(ty);
            t.bind(other, A);
            t.connect(other, B);
            t.bind(other, B);
            t.bind(other, B);
            t.bind(other, A);
        }
    }),
    ("a name goes with its socket, a path stays", |t| {
        for name in [A, FILE] {
            let s = t.socket(SOCK_STREAM);
            t.bind(s, name);
            t.close(s);
            let s = t.socket(SOCK_STREAM);
            t.connect(s, name);
            t.bind(s, name);
            t.names(s);
        }
        t.unlink(1);
        t.unlink(1);
        let s = t.socket(SOCK_DGRAM);
        t.connect(s, FILE);
        t.bind(s, FILE);
        let other = t.socket(SOCK_STREAM);
        t.connect(other, FILE);
        let same = t.socket(SOCK_DGRAM);
        t.connect(same, FILE);
        t.unlink(1);
        t.send(same, b"still");
        t.recv(s, 8, 0);
        t.names(same);
        let again = t.socket(SOCK_STREAM);
        t.bind(again, FILE);
        t.close(s);
        t.connect(other, FILE);
    }),
    ("autobind", |t| {
        for ty in TYPES {
            let s = t.socket(ty);
            t.bind(s, Name::Auto);
            t.names(s);
            t.bind(s, Name::Auto);
            t.bind(s, A);
            t.connect(s, Name::Auto);
        }
        let passing = t.socket(SOCK_DGRAM);
        t.set(passing, SO_PASSCRED, 1);
        t.send_to(passing, b"x", A);
        t.names(passing);
        let passing = t.socket(SOCK_STREAM);
        t.set(passing, SO_PASSCRED, 1);
        t.connect(passing, A);
        t.names(passing);
    }),
];

const CONNECTIONS: &[Case] = &[
    ("listen and connect", |t| {
        for ty in [SOCK_STREAM, SOCK_SEQPACKET] {
            let l = t.socket(ty);
            t.listen(l, 1);
            t.bind(l, A);
            let c = t.socket(ty);
            t.connect(c, A);
            t.accept(l);
            t.listen(l, 1);
            t.poll(l);
            t.names(l);
            t.accept(l);
            t.connect(c, A);
            t.poll(l);
            t.poll(c);
            t.names(c);
            t.connect(c, A);
            t.connect(l, A);
            t.bind(c, B);
            t.send(c, b"early");
            let s = t.accept(l).unwrap();
            t.names(s);
            t.names(c);
            t.poll(s);
            t.recv(s, 9, 0);
            t.send(s, b"back");
            t.recv(c, 9, 0);
            t.listen(c, 1);
            t.listen(s, 1);
            t.get(l, libc::SO_ACCEPTCONN);
            t.send(l, b"x");
            t.recv(l, 1, 0);
            t.queued(l);
            t.close(l);
            t.send(c, b"goes on");
            t.recv(s, 9, 0);
        }
    }),
    ("datagrams do not listen", |t| {
        let s = t.socket(SOCK_DGRAM);
        t.bind(s, A);
        t.listen(s, 1);
        t.accept(s);
    }),
    ("a type for itself", |t| {
        let l = t.socket(SOCK_STREAM);
        t.bind(l, FILE);
        t.listen(l, 1);
        for ty in TYPES {
            let s = t.socket(ty);
            t.connect(s, FILE);
            t.connect(s, Name::Path(9));
            t.send_to(s, b"x", FILE);
        }
    }),
    ("the backlog and one more", |t| {
        for backlog in [0, 1, 3] {
            let l = t.socket(SOCK_STREAM);
            t.bind(l, Name::Abstract(backlog as u8));
            t.listen(l, backlog);
            let mut all = Vec::new();
            for _ in 0..6 {
                let c = t.socket(SOCK_STREAM);
                t.connect(c, Name::Abstract(backlog as u8));
                all.push(c);
            }
            t.listen(l, 4);
            t.connect(all[5], Name::Abstract(backlog as u8));
            while t.accept(l).is_some() {}
            t.connect(all[4], Name::Abstract(backlog as u8));
        }
    }),
    ("a listener that closes resets who waits", |t| {
        for ty in [SOCK_STREAM, SOCK_SEQPACKET] {
            let l = t.socket(ty);
            t.bind(l, A);
            t.listen(l, 5);
            let (c, d) = (t.socket(ty), t.socket(ty));
            t.connect(c, A);
            t.send(c, b"lost");
            t.connect(d, A);
            t.close(l);
            for s in [c, d] {
                t.poll(s);
                t.send(s, b"x");
                t.recv(s, 4, 0);
                t.recv(s, 4, 0);
                t.names(s);
            }
            let late = t.socket(ty);
            t.connect(late, A);
        }
    }),
    ("a client that goes before it is accepted", |t| {
        let l = t.socket(SOCK_STREAM);
        t.bind(l, A);
        t.listen(l, 5);
        let c = t.socket(SOCK_STREAM);
        t.connect(c, A);
        t.send(c, b"bye");
        t.close(c);
        let s = t.accept(l).unwrap();
        t.names(s);
        t.poll(s);
        t.recv(s, 9, 0);
        t.recv(s, 9, 0);
        t.send(s, b"x");
    }),
    ("a listener that was shut down", |t| {
        for how in [SHUT_RD, SHUT_WR, SHUT_RDWR] {
            let l = t.socket(SOCK_STREAM);
            t.bind(l, Name::Abstract(10 + how as u8));
            t.listen(l, 5);
            let c = t.socket(SOCK_STREAM);
            t.connect(c, Name::Abstract(10 + how as u8));
            t.shutdown(l, how);
            t.poll(l);
            let d = t.socket(SOCK_STREAM);
            t.connect(d, Name::Abstract(10 + how as u8));
            t.accept(l);
            if how != SHUT_WR {
                t.set_blocking(l, true);
                t.accept(l);
            }
        }
    }),
];

const STREAMS: &[Case] = &[
    ("bytes without boundaries", |t| {
        let (a, b) = t.pair(SOCK_STREAM);
        t.poll(a);
        t.names(a);
        t.recv(b, 4, 0);
        t.send(a, b"one");
        t.send(a, b"two");
        t.send(a, b"");
        t.queued(a);
        t.queued(b);
        t.poll(b);
        t.recv(b, 4, MSG_PEEK);
        t.recv(b, 4, 0);
        t.queued(a);
        t.recv(b, 0, 0);
        t.recv(b, 9, MSG_TRUNC);
        t.queued(a);
        t.recv(b, 0, 0);
        t.send_to(a, b"x", A);
    }),
    ("halves", |t| {
        for ty in [SOCK_STREAM, SOCK_SEQPACKET] {
            for how in [SHUT_RD, SHUT_WR, SHUT_RDWR] {
                let (a, b) = t.pair(ty);
                t.send(a, b"to b");
                t.send(b, b"to a");
                t.shutdown(a, how);
                for s in [a, b] {
                    t.poll(s);
                    t.recv(s, 9, 0);
                    t.recv(s, 9, 0);
                    t.send(s, b"more");
                    t.recv(s, 9, MSG_PEEK);
                    t.poll(s);
                }
                t.shutdown(b, SHUT_RDWR);
                t.poll(a);
                t.close(b);
                t.poll(a);
                t.recv(a, 9, 0);
                t.recv(a, 9, 0);
                t.send(a, b"x");
            }
        }
    }),
    ("an end whose queue was read, and one whose was not", |t| {
        for ty in [SOCK_STREAM, SOCK_SEQPACKET] {
            for unread in [false, true] {
                let (a, b) = t.pair(ty);
                t.send(b, b"for a");
                if unread {
                    t.send(a, b"unread");
                }
                t.close(b);
                t.poll(a);
                t.send(a, b"x");
                t.poll(a);
                t.recv(a, 9, 0);
                t.recv(a, 9, 0);
                t.recv(a, 9, 0);
                t.poll(a);
                t.names(a);
                t.send(a, b"x");
                t.get(a, libc::SO_ERROR);
            }
            let (a, b) = t.pair(ty);
            t.send(a, b"unread");
            t.close(b);
            t.get(a, libc::SO_ERROR);
            t.get(a, libc::SO_ERROR);
            t.poll(a);
            t.recv(a, 9, 0);
        }
    }),
    ("peeking at an offset", |t| {
        for ty in TYPES {
            let (a, b) = t.pair(ty);
            t.get(b, SO_PEEK_OFF);
            t.set(b, SO_PEEK_OFF, 0);
            for piece in [&b"abcd"[..], b"efg", b"", b"hijklm"] {
                t.send(a, piece);
            }
            for len in [2, 3, 2, 2, 4, 9, 9] {
                t.recv(b, len, MSG_PEEK);
                t.get(b, SO_PEEK_OFF);
            }
            t.recv(b, 3, 0);
            t.get(b, SO_PEEK_OFF);
            t.recv(b, 3, MSG_PEEK);
            t.recv(b, 9, 0);
            t.get(b, SO_PEEK_OFF);
            t.set(b, SO_PEEK_OFF, 1);
            t.recv(b, 9, MSG_PEEK);
            t.recv(b, 9, MSG_PEEK | MSG_TRUNC);
            t.set(b, SO_PEEK_OFF, -1);
            t.recv(b, 9, MSG_PEEK);
            t.recv(b, 9, MSG_PEEK);
        }
    }),
    ("waiting for all of it", |t| {
        let (a, b) = t.pair(SOCK_STREAM);
        t.set_blocking(b, true);
        t.send(a, b"abc");
        t.send(a, b"def");
        t.recv(b, 5, MSG_WAITALL);
        t.shutdown(a, SHUT_WR);
        t.recv(b, 5, MSG_WAITALL);
        t.recv(b, 5, MSG_WAITALL);
        let (a, b) = t.pair(SOCK_STREAM);
        t.set(b, SO_RCVLOWAT, 4);
        t.send(a, b"ab");
        t.poll(b);
        t.recv(b, 9, 0);
        t.set_blocking(b, true);
        t.send(a, b"abcd");
        t.recv(b, 9, 0);
        t.send(a, b"ab");
        t.close(a);
        t.recv(b, 9, 0);
    }),
];

const DATAGRAMS: &[Case] = &[
    ("boundaries, names, cuts", |t| {
        let (a, b) = (t.socket(SOCK_DGRAM), t.socket(SOCK_DGRAM));
        t.bind(b, B);
        t.send_to(a, b"nameless", B);
        t.recv(b, 99, 0);
        t.bind(a, A);
        t.send_to(a, b"named", B);
        t.send_to(a, b"", B);
        t.send_to(a, b"long one", B);
        t.poll(b);
        t.queued(b);
        t.queued(a);
        t.recv(b, 3, MSG_PEEK);
        t.recv(b, 3, MSG_PEEK | MSG_TRUNC);
        t.recv(b, 99, 0);
        t.recv(b, 99, 0);
        t.recv(b, 4, MSG_TRUNC);
        t.recv(b, 4, 0);
        t.send_to(a, b"x", Name::Abstract(77));
        t.send_to(a, b"x", Name::Path(77));
        t.send(a, b"no peer");
        t.recv(b, 1, MSG_OOB);
    }),
    ("a name that comes after the message", |t| {
        let (a, b) = (t.socket(SOCK_DGRAM), t.socket(SOCK_DGRAM));
        t.bind(b, B);
        t.send_to(a, b"who", B);
        t.bind(a, A);
        t.close(a);
        t.recv(b, 9, 0);
    }),
    ("a peer, and who else may speak to it", |t| {
        let s: Vec<usize> = (0..3).map(|_| t.socket(SOCK_DGRAM)).collect();
        t.bind(s[0], A);
        t.bind(s[1], B);
        t.connect(s[0], B);
        t.poll(s[0]);
        t.names(s[0]);
        t.send(s[0], b"hello");
        t.recv(s[1], 9, 0);
        t.send_to(s[2], b"stranger", A);
        t.connect(s[2], A);
        t.connect(s[1], A);
        t.send(s[1], b"peer");
        t.send_to(s[1], b"peer by name", A);
        t.recv(s[0], 99, 0);
        t.disconnect(s[0]);
        t.poll(s[0]);
        t.poll(s[1]);
        t.recv(s[1], 9, 0);
        t.names(s[0]);
        t.send(s[0], b"x");
        t.send_to(s[2], b"stranger", A);
        t.recv(s[0], 99, 0);
        t.disconnect(s[0]);
    }),
    ("what is lost with the peer", |t| {
        let (a, b) = t.pair(SOCK_DGRAM);
        t.send(b, b"unread");
        t.disconnect(a);
        t.poll(a);
        t.poll(b);
        t.recv(b, 9, 0);
        t.recv(a, 9, 0);
        t.send(b, b"one way");
        t.recv(a, 9, 0);
    }),
    ("a peer that goes", |t| {
        for unread in [false, true] {
            let (a, b) = t.pair(SOCK_DGRAM);
            t.send(b, b"left over");
            if unread {
                t.send(a, b"unread");
            }
            t.close(b);
            t.poll(a);
            t.names(a);
            t.recv(a, 99, 0);
            t.recv(a, 99, 0);
            t.send(a, b"x");
            t.poll(a);
            t.send(a, b"x");
            t.names(a);
        }
        let (a, b) = (t.socket(SOCK_DGRAM), t.socket(SOCK_DGRAM));
        t.bind(b, B);
        t.connect(a, B);
        t.close(b);
        t.send(a, b"refused");
        t.send(a, b"not connected");
        t.connect(a, B);
    }),
    ("the queue and one more", |t| {
        let (a, b) = (t.socket(SOCK_DGRAM), t.socket(SOCK_DGRAM));
        t.bind(b, B);
        t.connect(a, B);
        while t.send(a, b"x").is_some() {}
        t.poll(a);
        t.poll(b);
        let c = t.socket(SOCK_DGRAM);
        t.send_to(c, b"x", B);
        t.poll(c);
        t.recv(b, 9, 0);
        t.poll(a);
        t.send_to(c, b"x", B);
        t.send(a, b"x");
        t.connect(b, B);
        t.send(b, b"to itself");
        t.poll(b);
    }),
    ("shut down", |t| {
        for how in [SHUT_RD, SHUT_WR, SHUT_RDWR] {
            let (a, b) = t.pair(SOCK_DGRAM);
            t.send(b, b"kept");
            t.shutdown(a, how);
            t.poll(a);
            t.poll(b);
            t.send(a, b"x");
            t.send(b, b"x");
            t.recv(a, 9, 0);
            t.recv(a, 9, 0);
            t.recv(a, 9, 0);
            if how != SHUT_WR {
                t.set_blocking(a, true);
                t.recv(a, 9, 0);
            }
            t.recv(b, 9, 0);
            t.recv(b, 9, 0);
        }
    }),
    ("to itself", |t| {
        let a = t.socket(SOCK_DGRAM);
        t.bind(a, A);
        t.connect(a, A);
        t.names(a);
        while t.send(a, &[7; 30_000]).is_some() {}
        t.poll(a);
        t.recv(a, 9, 0);
        t.poll(a);
    }),
    ("sequenced packets", |t| {
        let (a, b) = t.pair(SOCK_SEQPACKET);
        t.send(a, b"one");
        t.send(a, b"");
        t.send(a, b"three");
        t.send_to(a, b"elsewhere", A);
        t.queued(b);
        t.recv(b, 2, 0);
        t.recv(b, 9, 0);
        t.recv(b, 9, MSG_PEEK);
        t.recv(b, 9, 0);
        t.recv(b, 9, 0);
        t.recv(b, 9, 0);
        t.disconnect(a);
        t.recv(b, 9, MSG_OOB);
        t.send_with(a, b"x", oob());
    }),
];

fn oob() -> Beside {
    Beside {
        flags: MSG_OOB,
        ..Beside::default()
    }
}

const URGENT: &[Case] = &[
    ("the last byte", |t| {
        let (a, b) = t.pair(SOCK_STREAM);
        t.recv(b, 1, MSG_OOB);
        t.send_with(a, b"", oob());
        t.send(a, b"before");
        t.send_with(a, b"urgent!", oob());
        t.send(a, b"after");
        t.poll(b);
        t.queued(b);
        t.at_mark(b);
        t.recv(b, 1, MSG_OOB | MSG_PEEK);
        t.recv(b, 99, 0);
        t.at_mark(b);
        t.poll(b);
        t.recv(b, 1, MSG_OOB);
        t.poll(b);
        t.at_mark(b);
        t.queued(b);
        t.recv(b, 1, MSG_OOB);
        t.recv(b, 99, 0);
        t.poll(b);
        t.at_mark(b);
        t.recv(b, 99, 0);
    }),
    ("read past", |t| {
        let (a, b) = t.pair(SOCK_STREAM);
        t.send_with(a, b"ab", oob());
        t.send(a, b"cd");
        t.recv(b, 99, MSG_PEEK);
        t.recv(b, 99, 0);
        t.recv(b, 99, MSG_PEEK);
        t.recv(b, 99, 0);
        t.poll(b);
        t.recv(b, 1, MSG_OOB);
    }),
    ("taken first", |t| {
        let (a, b) = t.pair(SOCK_STREAM);
        t.send_with(a, b"x", oob());
        t.poll(b);
        t.recv(b, 1, MSG_OOB);
        t.poll(b);
        t.queued(b);
        t.at_mark(b);
        t.recv(b, 9, MSG_PEEK);
        t.poll(b);
        t.recv(b, 9, 0);
        t.poll(b);
        t.send_with(a, b"y", oob());
        t.recv(b, 0, MSG_OOB);
        t.recv(b, 9, 0);
        t.close(a);
        t.recv(b, 9, 0);
    }),
    ("only an urgent byte, unread", |t| {
        let (a, b) = t.pair(SOCK_STREAM);
        t.send_with(a, b"x", oob());
        t.recv(b, 9, 0);
        t.poll(b);
        t.recv(b, 9, 0);
        t.send_with(a, b"y", oob());
        t.recv(b, 1, MSG_OOB);
        t.close(b);
        t.poll(a);
        t.recv(a, 9, 0);
        let (a, b) = t.pair(SOCK_STREAM);
        t.send_with(a, b"x", oob());
        t.close(a);
        t.poll(b);
        t.recv(b, 1, MSG_OOB);
        t.recv(b, 1, 0);
    }),
    ("two of them", |t| {
        for taken in [0, 1] {
            let (a, b) = t.pair(SOCK_STREAM);
            t.send_with(a, b"1a", oob());
            if taken == 1 {
                t.recv(b, 1, MSG_OOB);
            }
            t.send_with(a, b"2b", oob());
            t.send(a, b"rest");
            t.at_mark(b);
            t.recv(b, 99, MSG_PEEK);
            t.recv(b, 99, 0);
            t.at_mark(b);
            t.recv(b, 99, MSG_PEEK);
            t.recv(b, 1, MSG_OOB);
            t.recv(b, 99, 0);
            t.recv(b, 99, 0);
        }
    }),
    ("in line", |t| {
        let (a, b) = t.pair(SOCK_STREAM);
        t.set(b, SO_OOBINLINE, 1);
        t.send_with(a, b"ab!", oob());
        t.send(a, b"cd");
        t.recv(b, 1, MSG_OOB);
        t.poll(b);
        t.recv(b, 99, MSG_PEEK);
        t.recv(b, 99, 0);
        t.at_mark(b);
        t.recv(b, 99, MSG_PEEK);
        t.recv(b, 99, 0);
        t.poll(b);
        t.recv(b, 99, 0);
    }),
    ("taken, then the rest", |t| {
        let (a, b) = t.pair(SOCK_STREAM);
        t.send_with(a, b"ab!", oob());
        t.send(a, b"cd");
        t.recv(b, 1, MSG_OOB);
        t.set_blocking(b, true);
        t.recv(b, 9, MSG_PEEK);
        t.recv(b, 2, MSG_WAITALL);
        t.at_mark(b);
        t.recv(b, 2, MSG_WAITALL);
    }),
];

const BESIDE: &[Case] = &[
    ("objects stop a stream's read", |t| {
        let (a, b) = t.pair(SOCK_STREAM);
        t.send(a, b"plain");
        t.send_with(a, b"with", objects(2));
        t.send(a, b"behind");
        t.recv(b, 99, MSG_PEEK);
        t.recv(b, 99, 0);
        t.recv(b, 99, MSG_PEEK);
        t.recv(b, 99, 0);
        t.send_with(a, b"parts", objects(1));
        t.recv(b, 2, 0);
        t.recv(b, 9, 0);
        t.send_with(a, b"", objects(1));
        t.recv(b, 9, 0);
        t.send_with(a, b"many", objects(253));
        t.recv(b, 9, 0);
        t.send_with(a, b"too many", objects(254));
        t.recv(b, 9, 0);
    }),
    ("objects with datagrams", |t| {
        for ty in [SOCK_DGRAM, SOCK_SEQPACKET] {
            let (a, b) = t.pair(ty);
            t.send_with(a, b"", objects(1));
            t.send_with(a, b"text", objects(3));
            t.recv(b, 9, MSG_PEEK);
            t.recv(b, 9, 0);
            t.recv(b, 2, 0);
            t.recv(b, 9, 0);
        }
    }),
    ("credentials, asked for before and after", |t| {
        for ty in TYPES {
            let (a, b) = t.pair(ty);
            t.get(b, SO_PASSCRED);
            t.send(a, b"nobody's");
            t.set(b, SO_PASSCRED, 1);
            t.get(b, SO_PASSCRED);
            t.send(a, b"a's");
            t.send_with(a, b"said", said());
            t.recv(b, 99, MSG_PEEK);
            t.recv(b, 99, 0);
            t.recv(b, 99, 0);
            t.recv(b, 99, 0);
            t.set(b, SO_PASSCRED, 0);
            t.send_with(a, b"said", said());
            t.recv(b, 99, MSG_PEEK);
            t.set(b, SO_PASSCRED, 1);
            t.recv(b, 99, 0);
            t.set(a, SO_PASSCRED, 1);
            t.set(b, SO_PASSCRED, 0);
            t.send(a, b"by the sender's");
            t.set(b, SO_PASSCRED, 1);
            t.recv(b, 99, 0);
        }
    }),
    ("credentials of who waits to be accepted", |t| {
        let l = t.socket(SOCK_STREAM);
        t.bind(l, A);
        t.listen(l, 1);
        let c = t.socket(SOCK_STREAM);
        t.connect(c, A);
        t.send(c, b"early");
        t.set(l, SO_PASSCRED, 1);
        let s = t.accept(l).unwrap();
        t.get(s, SO_PASSCRED);
        t.recv(s, 99, 0);
        t.names(c);
    }),
];

fn objects(objects: usize) -> Beside {
    Beside {
        objects,
        ..Beside::default()
    }
}

fn said() -> Beside {
    Beside {
        credentials: true,
        ..Beside::default()
    }
}

const LIMITS: &[Case] = &[
    ("how much a stream's buffer holds", |t| {
        for size in [1, 64, 700, 4096, 5000, 65_536, 300_000] {
            let (a, b) = t.pair(SOCK_STREAM);
            let data = vec![5; size];
            while t.send(a, &data).is_some() {}
            t.poll(a);
            t.queued(a);
            t.queued(b);
            for _ in 0..6 {
                t.recv(b, 40_000, 0);
                t.poll(a);
                t.queued(a);
            }
            t.send(a, &data);
        }
    }),
    ("how much fits a small one, and a large one", |t| {
        for buffer in [0, 3000, 20_000, 1_000_000] {
            for ty in TYPES {
                let (a, b) = t.pair(ty);
                t.set(a, SO_SNDBUF, buffer);
                t.get(a, SO_SNDBUF);
                let data = vec![5; 2000];
                while t.send(a, &data).is_some() {}
                t.poll(a);
                t.queued(a);
                t.recv(b, 5000, 0);
                t.poll(a);
            }
        }
    }),
    ("the largest datagram", |t| {
        for ty in [SOCK_DGRAM, SOCK_SEQPACKET] {
            let (a, b) = t.pair(ty);
            t.set(a, SO_SNDBUF, 50_000);
            for size in [99_968, 99_969, 100_000] {
                t.send(a, &vec![1; size]);
                t.queued(a);
                t.recv(b, 1 << 20, 0);
            }
            for size in [16_064, 16_065, 20_160, 65_536] {
                t.send(a, &vec![1; size]);
                t.queued(a);
                t.recv(b, 1 << 20, 0);
            }
        }
    }),
];

const OPTIONS: &[Case] = &[("options of socket(7)", |t| {
    let options = [
        libc::SO_REUSEADDR,
        libc::SO_TYPE,
        libc::SO_ERROR,
        libc::SO_DONTROUTE,
        libc::SO_BROADCAST,
        SO_SNDBUF,
        libc::SO_RCVBUF,
        libc::SO_KEEPALIVE,
        SO_OOBINLINE,
        SO_PASSCRED,
        SO_RCVLOWAT,
        libc::SO_SNDLOWAT,
        libc::SO_ACCEPTCONN,
        libc::SO_PROTOCOL,
        libc::SO_DOMAIN,
        SO_PEEK_OFF,
        libc::SO_ZEROCOPY,
    ];
    for ty in TYPES {
        let s = t.socket(ty);
        for option in options {
            t.get(s, option);
            for value in [0, 1, -1, 100_000] {
                t.set(s, option, value);
                t.get(s, option);
            }
        }
    }
})];
