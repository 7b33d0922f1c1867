//! Calls drawn at random, the same on both sides.

use crate::sides::{Beside, Kernel, Name, Ours, Trace, compare};
use proptest::prelude::*;

/// A call; sockets are named by a number that wraps around those there are.
#[derive(Clone, Debug)]
enum Call {
    Socket(i32),
    Pair(i32),
    Bind(usize, Name),
    Listen(usize, i32),
    Connect(usize, Name),
    Disconnect(usize),
    Accept(usize),
    Send(usize, usize, Beside),
    Recv(usize, usize, i32),
    Shutdown(usize, i32),
    Close(usize),
    Poll(usize),
    Set(usize, i32, i32),
    Ask(usize),
    Unlink(u8),
}

fn kind() -> impl Strategy<Value = i32> {
    prop_oneof![
        3 => Just(libc::SOCK_STREAM),
        3 => Just(libc::SOCK_DGRAM),
        2 => Just(libc::SOCK_SEQPACKET)
    ]
}

fn name() -> impl Strategy<Value = Name> {
    prop_oneof![
        3 => (0..3_u8).prop_map(Name::Abstract),
        2 => (0..2_u8).prop_map(Name::Path),
    ]
}

fn beside() -> impl Strategy<Value = Beside> {
    let to = prop_oneof![4 => Just(None), 1 => name().prop_map(Some)];
    let flags = prop_oneof![5 => Just(0), 1 => Just(libc::MSG_OOB)];
    let objects = prop_oneof![6 => Just(0), 1 => 1..3_usize];
    (to, flags, objects, prop::bool::weighted(0.1)).prop_map(|(to, flags, objects, credentials)| {
        Beside {
            to,
            flags,
            objects,
            credentials,
        }
    })
}

fn call() -> impl Strategy<Value = Call> {
    let s = 0..8_usize;
    let flags = prop_oneof![
        6 => Just(0),
        3 => Just(libc::MSG_PEEK),
        2 => Just(libc::MSG_OOB),
        1 => Just(libc::MSG_OOB | libc::MSG_PEEK),
        1 => Just(libc::MSG_TRUNC),
        1 => Just(libc::MSG_PEEK | libc::MSG_TRUNC),
    ];
    let option = prop_oneof![
        (Just(libc::SO_PASSCRED), 0..2),
        (Just(libc::SO_OOBINLINE), 0..2),
        (Just(libc::SO_PEEK_OFF), -1..6),
        (Just(libc::SO_SNDBUF), 0..9000),
    ];
    let size = prop_oneof![6 => 0..12_usize, 1 => 0..6000_usize, 1 => Just(60_000)];
    prop_oneof![
        2 => kind().prop_map(Call::Socket),
        2 => kind().prop_map(Call::Pair),
        3 => (s.clone(), name()).prop_map(|(s, n)| Call::Bind(s, n)),
        2 => (s.clone(), 0..2).prop_map(|(s, n)| Call::Listen(s, n)),
        4 => (s.clone(), name()).prop_map(|(s, n)| Call::Connect(s, n)),
        1 => s.clone().prop_map(Call::Disconnect),
        2 => s.clone().prop_map(Call::Accept),
        10 => (s.clone(), size.clone(), beside()).prop_map(|(s, n, b)| Call::Send(s, n, b)),
        10 => (s.clone(), size, flags).prop_map(|(s, n, f)| Call::Recv(s, n, f)),
        1 => (s.clone(), 0..3).prop_map(|(s, h)| Call::Shutdown(s, h)),
        2 => s.clone().prop_map(Call::Close),
        3 => s.clone().prop_map(Call::Poll),
        2 => (s.clone(), option).prop_map(|(s, (o, v))| Call::Set(s, o, v)),
        2 => s.prop_map(Call::Ask),
        1 => (0..2_u8).prop_map(Call::Unlink),
    ]
}

/// Which socket a number means: one of those that are open.
fn pick(t: &Trace, made: usize, n: usize) -> Option<usize> {
    let open: Vec<usize> = (0..made).filter(|s| t.is_open(*s)).collect();
    (!open.is_empty()).then(|| open[n % open.len()])
}

fn play(t: &mut Trace, calls: &[Call]) {
    let mut made = 0;
    // Linux 6.18 still counts an urgent byte that a read has passed over (SIOCINQ); here it is gone.
    let urgent = calls.iter().any(|call| match call {
        Call::Send(_, _, beside) => beside.flags & libc::MSG_OOB != 0,
        _ => false,
    });
    for (turn, call) in calls.iter().enumerate() {
        match *call {
            Call::Socket(ty) => {
                t.socket(ty);
                made += 1;
                continue;
            }
            Call::Pair(ty) => {
                t.pair(ty);
                made += 2;
                continue;
            }
            Call::Unlink(path) => {
                t.unlink(path);
                continue;
            }
            _ => {}
        }
        let (Call::Bind(n, _)
        | Call::Listen(n, _)
        | Call::Connect(n, _)
        | Call::Disconnect(n)
        | Call::Accept(n)
        | Call::Send(n, ..)
        | Call::Recv(n, ..)
        | Call::Shutdown(n, _)
        | Call::Close(n)
        | Call::Poll(n)
        | Call::Set(n, ..)
        | Call::Ask(n)) = *call
        else {
            continue;
        };
        let Some(s) = pick(t, made, n) else {
            continue;
        };
        match *call {
            Call::Bind(_, name) => t.bind(s, name),
            Call::Listen(_, backlog) => t.listen(s, backlog),
            Call::Connect(_, name) => t.connect(s, name),
            Call::Disconnect(_) => t.disconnect(s),
            Call::Accept(_) => made += usize::from(t.accept(s).is_some()),
            Call::Send(_, size, beside) => {
                // Each message has bytes of its own.
                let data: Vec<u8> = (0..size).map(|n| b'a' + ((n + turn) % 26) as u8).collect();
                t.send_with(s, &data, beside);
            }
            Call::Recv(_, len, flags) => {
                t.recv(s, len, flags);
            }
            Call::Shutdown(_, how) => t.shutdown(s, how),
            Call::Close(_) => t.close(s),
            Call::Set(_, option, value) => t.set(s, option, value),
            Call::Ask(_) => {
                t.names(s);
                if !urgent {
                    t.queued(s);
                }
                t.at_mark(s);
                t.get(s, libc::SO_ERROR);
                t.get(s, libc::SO_PEEK_OFF);
            }
            _ => {}
        }
        if t.is_open(s) {
            t.poll(s);
        }
    }
    for s in 0..made {
        if t.is_open(s) {
            t.poll(s);
            while t.recv(s, 4096, 0) && !t.log.last().is_some_and(|line| line.contains("= 0 ")) {}
        }
    }
}

proptest! {
    #[test]
    fn any_calls_return_the_same(calls in prop::collection::vec(call(), 1..60)) {
        let mut kernel = Trace::new(Kernel::new());
        play(&mut kernel, &calls);
        let mut ours = Trace::new(Ours::new());
        play(&mut ours, &calls);
        compare(&kernel.log, &ours.log);
    }
}
