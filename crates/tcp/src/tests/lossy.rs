//! Wires that lose, double, reorder and damage packets (a model of a byte stream), and many
//! connections at once.

use super::pair::{A, B, Pair, Wire};
use crate::State;
use core::time::Duration;
use proptest::prelude::*;
use sockeye_core::{Config, Counter, Error, SocketId};

fn bytes(len: usize, salt: u32) -> Vec<u8> {
    let byte = |n: u32| (n.wrapping_add(salt).wrapping_mul(2_654_435_761) >> 13) as u8;
    (0..len as u32).map(byte).collect()
}

/// One side's program: what it still has to write, and what it has read.
struct Program {
    id: SocketId,
    data: Vec<u8>,
    sent: usize,
    got: Vec<u8>,
    ended: bool,
    shut: bool,
    /// Bytes that it reads at a time.
    gulp: usize,
}

impl Program {
    fn new(id: SocketId, data: Vec<u8>, gulp: usize) -> Self {
        Self {
            id,
            data,
            sent: 0,
            got: Vec::new(),
            ended: false,
            shut: false,
            gulp,
        }
    }

    /// Writes and reads what it can, and closes its half once it has written everything.
    fn turn(&mut self, pair: &mut Pair, side: usize) {
        while self.sent < self.data.len() {
            match pair.send(side, self.id, &self.data[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(error) => {
                    assert_eq!(error, Error::WouldBlock);
                    break;
                }
            }
        }
        if self.sent == self.data.len() && !self.shut {
            self.shut = true;
            pair.shutdown_write(side, self.id);
        }
        while !self.ended {
            let mut out = vec![0; self.gulp];
            let (tcp, mut cx) = pair.host(side);
            match tcp.recv(&mut cx, self.id, &mut out) {
                Ok(0) => self.ended = true,
                Ok(n) => self.got.extend(&out[..n]),
                Err(error) => {
                    assert_eq!(error, Error::WouldBlock);
                    break;
                }
            }
        }
    }
}

/// Both sides write their data, read the other's to the end, and close; nothing is left after.
fn converse(mut pair: Pair, sizes: [usize; 2], gulp: usize) -> Pair {
    let (a, b) = pair.connection();
    let mut programs = [
        Program::new(a, bytes(sizes[A], 1), gulp),
        Program::new(b, bytes(sizes[B], 2), gulp),
    ];
    let start = pair.now;
    while programs.iter().any(|program| !program.ended) {
        for side in [A, B] {
            programs[side].turn(&mut pair, side);
        }
        if programs.iter().all(|program| program.ended) {
            break;
        }
        assert!(pair.step(), "the connection has stopped");
        assert!(
            pair.now - start < Duration::from_secs(36_000),
            "it takes hours"
        );
    }
    assert!(
        programs[B].got == programs[A].data,
        "A to B is not what was written"
    );
    assert!(
        programs[A].got == programs[B].data,
        "B to A is not what was written"
    );
    pair.close(A, a);
    pair.close(B, b);
    pair.run_dry();
    assert!(pair.is_clean(A) && pair.is_clean(B));
    pair
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn is_a_byte_stream(
        seed: u8,
        loss in 0u32..150,
        duplicate in 0u32..100,
        reorder in 0u32..300,
        corrupt in 0u32..50,
        cut: bool,
        sizes in (0usize..200_000, 0usize..60_000),
        gulp in prop_oneof![Just(1usize << 20), 1usize..5000],
        delay in 0u64..50,
        plain: bool,
        mark in 0u32..300,
        ecn in (0u8..=5, 0u8..=5),
        congestion in prop::sample::select(vec!["cubic", "reno", "dctcp", "bbr"]),
    ) {
        let wire = Wire {
            delay: Duration::from_millis(delay),
            loss,
            duplicate,
            reorder,
            // RFC 9293 §3.1 (MUST-2, MUST-3): only what has a checksum can be told from what was sent.
            corrupt: if cut { corrupt } else { 0 },
            mark,
            cut,
            mtu: 1500,
        };
        let config = Config {
            // Patience enough for every wire above.
            tcp_syn_retries: 30,
            tcp_synack_retries: 30,
            tcp_retries2: 60,
            tcp_timestamps: !plain,
            tcp_sack: !plain,
            tcp_window_scaling: !plain,
            tcp_congestion: congestion.into(),
            tcp_ecn: ecn.0,
            ..Config::default()
        };
        let mut pair = Pair::with(wire, config, seed);
        pair.hosts[B].parts.config.tcp_ecn = ecn.1;
        converse(pair, [sizes.0, sizes.1], gulp);
    }
}

/// Marks alone: the windows come down, and nothing goes again.
#[test]
fn marks_slow_but_nothing_goes_again() {
    for (ecn, congestion) in [
        (1, "reno"),
        (1, "cubic"),
        (3, "cubic"),
        (1, "dctcp"),
        (3, "dctcp"),
    ] {
        let wire = Wire {
            mark: 20,
            ..Wire::default()
        };
        let config = Config {
            tcp_ecn: ecn,
            tcp_congestion: congestion.into(),
            ..Config::default()
        };
        let pair = converse(Pair::with(wire, config, 5), [4 << 20, 1 << 20], 1 << 20);
        for host in &pair.hosts {
            let count = |counter| host.parts.counters.get(counter);
            assert!(count(Counter::IpExtInCEPkts) > 5, "{ecn} {congestion}");
            assert_eq!(count(Counter::TcpRetransSegs), 0, "{ecn} {congestion}");
        }
    }
}

#[test]
fn a_little_loss_slows_but_does_not_stop() {
    let wire = Wire {
        loss: 10,
        reorder: 10,
        ..Wire::default()
    };
    let start = Pair::new(wire.clone()).now;
    let pair = converse(Pair::new(wire), [4 << 20, 4 << 20], 1 << 20);
    let took = pair.now - start;
    assert!(took < Duration::from_secs(180), "took {took:?}");
}

#[test]
fn a_thousand_connections_at_once_leave_nothing() {
    let mut pair = Pair::new(Wire::default());
    let (tcp, mut cx) = pair.host(B);
    let listener = tcp.open(&mut cx, sockeye_core::Domain::V4).unwrap();
    let any = std::net::SocketAddr::from(([0, 0, 0, 0], 80));
    tcp.bind(&mut cx, listener, any).unwrap();
    tcp.listen(&mut cx, listener, 2000).unwrap();
    let clients: Vec<SocketId> = (0..1000).map(|_| pair.dial(80)).collect();
    for &id in &clients {
        pair.run_until(|pair| pair.state(A, id) == State::Established);
    }
    let servers: Vec<SocketId> = (0..1000).map(|_| pair.accept(listener).unwrap()).collect();
    for &id in &clients {
        assert_eq!(pair.send(A, id, b"a request"), Ok(9));
    }
    pair.run_for(Duration::from_secs(1));
    for (n, &id) in servers.iter().enumerate() {
        assert_eq!(pair.recv(B, id), Ok(b"a request".to_vec()));
        pair.send(B, id, b"an answer").unwrap();
        // Half of them are closed by the server first.
        if n % 2 == 0 {
            pair.close(B, id);
        }
    }
    pair.run_for(Duration::from_secs(1));
    for &id in &clients {
        assert_eq!(pair.recv(A, id), Ok(b"an answer".to_vec()));
        pair.close(A, id);
    }
    pair.run_for(Duration::from_secs(1));
    for &id in servers.iter().skip(1).step_by(2) {
        assert_eq!(pair.recv(B, id), Ok(vec![]));
        pair.close(B, id);
    }
    pair.run_for(Duration::from_secs(1));
    // Only TIME-WAIT is left, on the side that closed first.
    assert_eq!(pair.hosts[A].tcp.sockets.len(), 500);
    assert_eq!(pair.hosts[A].tcp.time_wait, 500);
    assert_eq!(pair.hosts[B].tcp.sockets.len(), 501);
    pair.run_for(Duration::from_secs(61));
    pair.close(B, listener);
    assert!(pair.is_clean(A) && pair.is_clean(B));
    for host in &pair.hosts {
        assert!(host.parts.timers.is_empty());
    }
}
