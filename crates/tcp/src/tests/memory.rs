//! Peers that make us hold memory, and users that do: every way has a limit, and the limit a name.

use super::pair::{A, B, Pair, Wire};
use super::stage::{Peer, Stage, ack, peer, text};
use crate::reassembly::{PIECE_COST, PIECES_MAX};
use core::time::Duration;
use sockeye_core::memory::PAGE;
use sockeye_core::{Config, Counter, Error, OptionValue, Readiness, SocketId, SocketOption};
use sockeye_wire::tcp::Flags;
use sockeye_wire::tcp_options::Options;
use std::io::IoSlice;

fn counter(s: &Stage, counter: Counter) -> u64 {
    s.pair.hosts[A].parts.counters.get(counter)
}

fn used(s: &Stage) -> usize {
    s.pair.hosts[A].parts.memory.used()
}

/// A node that may hold little: low, pressure and high in pages.
fn small(limits: (usize, usize, usize)) -> Config {
    Config {
        tcp_mem: limits,
        ..Config::default()
    }
}

/// Connections from A to B, which never reads.
fn connections(pair: &mut Pair, n: usize) -> Vec<SocketId> {
    let listener = pair.listen(80);
    let dialled: Vec<SocketId> = (0..n).map(|_| pair.dial(80)).collect();
    for _ in 0..n {
        pair.accept(listener).unwrap();
    }
    dialled
}

fn with_mss(config: Config, mss: u16) -> Stage {
    let options = Options {
        mss: Some(mss),
        sack_permitted: true,
        ..Options::default()
    };
    Stage::connected(config, options)
}

/// 100,000 single bytes, none next to another: [`PIECES_MAX`] of them are kept.
#[test]
fn single_bytes_out_of_order() {
    let mut s = Stage::with_sack();
    for n in 0..100_000u32 {
        s.arrives(text(2 + 2 * (n % 32_000), 1, 1));
        if n % 1000 == 0 {
            s.pair.pump();
            s.pair.log.clear();
        }
    }
    let most = PIECES_MAX * (PIECE_COST + 1);
    assert!(used(&s) <= most, "{} bytes held, {most} allowed", used(&s));
    assert!(counter(&s, Counter::TcpExtOfoPruned) > 0);
    // Nobody is the worse for it: the stream goes on in order.
    s.arrives(text(1, 1, 1000));
    assert_eq!(s.read(10_000).unwrap() % 2, 0);
}

/// Text in order is held while nobody reads it, as far as SO_RCVBUF says.
#[test]
fn text_that_nobody_reads() {
    let mut s = Stage::plain();
    let mut next = 1u32;
    while used(&s) < 131_072 && next < 1_000_000 {
        let before = s.info().readable;
        s.arrives(text(next, 1, 1000));
        s.pair.pump();
        if s.info().readable == before {
            break;
        }
        next += 1000;
    }
    assert!((60_000..=67_000).contains(&next), "{next}");
    assert_eq!(s.info().rcv_wnd / 1000, 0);
    assert!(used(&s) <= 131_072, "{}", used(&s));
}

/// A peer that lets us send single bytes costs a send buffer, not more.
#[test]
fn a_tiny_mss() {
    let mut s = with_mss(Config::default(), 1);
    // Not less than 48 is believed (MSS_MIN).
    assert!(s.info().snd_mss >= 36, "{}", s.info().snd_mss);
    s.window = 60_000;
    s.arrives(ack(1, 1));
    let mut written = 0;
    while let Ok(n) = s.write(100_000) {
        written += n;
    }
    assert!(written <= 2 * s.info().send_buffer, "{written}");
    assert!(used(&s) <= 3 * s.info().send_buffer, "{}", used(&s));
}

/// Peers that never open their windows: what is written waits, up to tcp_mem; then SEND waits.
#[test]
fn stalled_windows_hold_no_more_than_tcp_mem() {
    let high = 64 * PAGE;
    let mut pair = Pair::with(Wire::default(), small((32, 48, 64)), 3);
    let connections = connections(&mut pair, 16);
    // Nothing gets across any more.
    pair.lose = Box::new(|_, _, _| true);
    let data = vec![1; 100_000];
    let mut refused = 0;
    for &a in &connections {
        let (tcp, mut cx) = pair.host(A);
        while tcp.send(&mut cx, a, &[IoSlice::new(&data)]).is_ok() {}
        let full = cx.memory.is_full();
        refused += usize::from(full);
        assert!(!full || !tcp.readiness(a).unwrap().contains(Readiness::WRITABLE));
    }
    assert!(refused > 0, "the limit was never reached");
    let memory = &pair.hosts[A].parts.memory;
    // The last SEND before it was full took one buffer.
    assert!(memory.used() <= high + (1 << 18), "{}", memory.used());
    assert!(memory.is_under_pressure());
    let pressures = pair.hosts[A]
        .parts
        .counters
        .get(Counter::TcpExtTCPMemoryPressures);
    assert_eq!(pressures, 1);

    // One goes; those who were refused are told that there is memory again.
    let first = connections[0];
    let last = connections[connections.len() - 1];
    let (tcp, mut cx) = pair.host(A);
    tcp.abort(&mut cx, first).unwrap();
    tcp.close(&mut cx, first).unwrap();
    for &a in &connections[1..4] {
        tcp.abort(&mut cx, a).unwrap();
    }
    assert!(!cx.memory.is_full());
    assert!(tcp.readiness(last).unwrap().contains(Readiness::WRITABLE));
    // Nobody waits for what orphans still have to send.
    let sent = tcp.send(&mut cx, last, &[IoSlice::new(&data)]);
    assert!(sent.is_ok(), "{sent:?}");
    for &a in &connections[1..] {
        tcp.close(&mut cx, a).unwrap();
    }
    pair.run_for(Duration::from_secs(3600));
    assert!(pair.is_clean(A), "everything was given back");
}

/// What arrives when memory is full: a reader gets one segment at a time, what is out of order
/// nothing.
#[test]
fn a_full_node_takes_one_segment_at_a_time() {
    let mut s = with_mss(small((0, 0, 1)), 1000);
    s.arrives(text(1, 1, 5000));
    assert_eq!(s.info().readable, 5000);
    s.sent();
    s.arrives(text(5001, 1, 5000));
    assert_eq!(s.info().readable, 5000);
    assert_eq!(counter(&s, Counter::TcpExtTCPRcvQDrop), 1);
    // The peer learns that it did not get through.
    assert_eq!(s.sent(), [". 1:1 ack 5001"]);
    s.arrives(text(9001, 1, 1000));
    assert_eq!(counter(&s, Counter::TcpExtTCPOFODrop), 1);
    assert_eq!(s.write(10), Err(Error::WouldBlock));
    assert_eq!(s.read(10_000), Ok(5000));
    s.arrives(text(5001, 1, 5000));
    assert_eq!(s.read(10_000), Ok(5000));
    assert_eq!(used(&s), 0);
    assert_eq!(s.write(10), Ok(10));
}

/// Under pressure what is out of order goes first, and windows open no further.
#[test]
fn pressure_prunes_what_is_out_of_order_and_keeps_windows_small() {
    let mut s = with_mss(small((1, 2, 1000)), 1000);
    s.arrives(text(1001, 1, 5000));
    assert_eq!(s.info().out_of_order, 5000);
    s.arrives(text(7001, 1, 5000));
    // The next segment finds it short of memory.
    s.arrives(text(13_001, 1, 1000));
    assert_eq!(s.info().out_of_order, 0);
    assert_eq!(counter(&s, Counter::TcpExtOfoPruned), 1);
    assert_eq!(counter(&s, Counter::TcpExtPruneCalled), 1);
    assert_eq!(counter(&s, Counter::TcpExtTCPRcvCollapsed), 1);
    // In order all is well, but the window does not follow the reader.
    s.arrives(text(1, 1, 8000));
    let buffer = s.info().receive_buffer;
    for n in 0..20u32 {
        s.wait(1);
        s.arrives(text(8001 + n * 20_000, 1, 20_000));
        s.read(20_000).unwrap();
    }
    assert_eq!(s.info().receive_buffer, buffer);
}

/// Peers that never finish what we have closed: tcp_max_orphans and tcp_fin_timeout.
#[test]
fn fin_wait_2_is_not_hoarded() {
    let config = Config {
        tcp_max_orphans: 10,
        ..Config::default()
    };
    let mut pair = Pair::with(Wire::default(), config, 3);
    let connections = connections(&mut pair, 30);
    for &a in &connections {
        let (tcp, mut cx) = pair.host(A);
        tcp.close(&mut cx, a).unwrap();
        assert!(pair.hosts[A].tcp.orphans <= 10);
    }
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.hosts[A].tcp.orphans, 10);
    let aborted = pair.hosts[A]
        .parts
        .counters
        .get(Counter::TcpExtTCPAbortOnMemory);
    assert_eq!(aborted, 20);
    // B holds its sockets and never closes them; A forgets.
    pair.run_for(Duration::from_secs(61));
    assert!(pair.is_clean(A), "{} orphans", pair.hosts[A].tcp.orphans);
    assert_eq!(pair.hosts[B].tcp.sockets.iter().count(), 31);
}

/// Reports of segments that were never sent, and of single bytes of those that were.
#[test]
fn floods_of_reports_cost_no_memory() {
    let mut s = Stage::with_sack();
    s.window = 60_000;
    s.arrives(ack(1, 1));
    s.write(60_000).unwrap();
    s.pair.pump();
    s.pair.log.clear();
    let before = used(&s);
    for n in 0..100_000u32 {
        let at = 1 + (n * 7919) % 59_000;
        let iss = s.iss;
        s.arrives(ack(1, 1).sack(
            iss,
            &[(at, at + 1), (at + 100, at + 101), (1 << 30, (1 << 30) + 1)],
        ));
        if n % 100 == 0 {
            s.pair.pump();
            s.pair.log.clear();
        }
    }
    assert!(
        used(&s) <= before,
        "{} bytes held, {before} before",
        used(&s)
    );
    assert_eq!(s.state(), "ESTABLISHED");
}

/// All that a connection holds is given back, whichever way it ends.
#[test]
fn memory_is_given_back() {
    for how in 0..4 {
        let mut s = Stage::plain();
        s.arrives(text(1, 1, 5000));
        s.arrives(text(7001, 1, 500));
        s.write(5000).unwrap();
        assert!(used(&s) >= 10_000);
        let id = s.id;
        match how {
            0 => s.arrives(peer(Flags::RST, 5001, 1)),
            1 => {
                let (tcp, mut cx) = s.host();
                tcp.abort(&mut cx, id).unwrap();
            }
            2 => {
                s.read(10_000).unwrap();
                s.arrives(Peer {
                    text: vec![1; 2000],
                    ..peer(Flags::ACK | Flags::FIN, 5001, 5001)
                });
            }
            _ => {
                s.set(
                    SocketOption::Linger,
                    OptionValue::Time(Some(Duration::ZERO)),
                );
            }
        }
        let (tcp, mut cx) = s.host();
        tcp.close(&mut cx, id).unwrap();
        s.wait(3_600_000);
        assert_eq!(used(&s), 0, "ended by {how}");
        assert!(s.pair.is_clean(A));
    }
}
