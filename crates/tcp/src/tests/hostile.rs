//! A peer that says anything, a user that calls anything, and time that passes: nothing panics,
//! nothing grows without bound, and at the end everything goes.

use super::pair::A;
use super::stage::{Peer, Stage};
use core::time::Duration;
use proptest::prelude::*;
use sockeye_core::{Config, OptionValue, Shutdown, SocketOption, Transport};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp::Flags;
use sockeye_wire::tcp_options::{Options, SackBlock, Timestamps};

#[derive(Clone, Debug)]
enum Step {
    Segment {
        flags: u16,
        seq: i32,
        ack: i32,
        len: usize,
        window: u16,
        options: u8,
        tsval: u32,
        block: (i32, i32),
    },
    Write(usize),
    Read(usize),
    Wait(u64),
    Shutdown(u8),
    Set(u8, i32),
    Pressure,
}

fn near() -> impl Strategy<Value = i32> {
    prop_oneof![
        6 => Just(0),
        3 => -5000i32..5000,
        1 => any::<i32>(),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let flags = prop_oneof![
        6 => Just(Flags::ACK.bits()),
        2 => Just((Flags::ACK | Flags::FIN).bits()),
        1 => Just((Flags::ACK | Flags::URG | Flags::PSH).bits()),
        1 => any::<u16>().prop_map(|bits| bits & 0x1ff),
    ];
    let segment = (
        flags,
        near(),
        near(),
        prop_oneof![Just(0usize), 1usize..3000, 60_000usize..65_000],
        prop_oneof![Just(0u16), any::<u16>()],
        any::<u8>(),
        any::<u32>(),
        (near(), near()),
    );
    prop_oneof![
        12 => segment.prop_map(|(flags, seq, ack, len, window, options, tsval, block)| {
            Step::Segment { flags, seq, ack, len, window, options, tsval, block }
        }),
        3 => (0usize..200_000).prop_map(Step::Write),
        3 => (0usize..200_000).prop_map(Step::Read),
        3 => prop_oneof![0u64..50, 0u64..100_000].prop_map(Step::Wait),
        1 => (0u8..3).prop_map(Step::Shutdown),
        1 => (any::<u8>(), any::<i32>()).prop_map(|(what, value)| Step::Set(what, value)),
        1 => Just(Step::Pressure),
    ]
}

/// Our numbers and the peer's as a connection has them, relative.
fn numbers(s: &Stage) -> (u32, u32) {
    let sockets = &s.pair.hosts[A].tcp.sockets;
    match sockets.get(s.id).and_then(|socket| socket.tcb()) {
        Some(tcb) => (
            tcb.rcv.irs.bytes_to(tcb.rcv.nxt),
            tcb.snd.iss.bytes_to(tcb.snd.una),
        ),
        None => (1, 1),
    }
}

fn apply(s: &mut Stage, step: &Step) {
    let id = s.id;
    match *step {
        Step::Segment {
            flags,
            seq,
            ack,
            len,
            window,
            options: which,
            tsval,
            block,
        } => {
            let (nxt, una) = numbers(s);
            let mut options = Options::default();
            if which & 1 != 0 {
                options.timestamps = Some(Timestamps {
                    tsval,
                    tsecr: tsval,
                });
            }
            if which & 2 != 0 {
                options.sack.push(SackBlock {
                    start: SeqNum(una.wrapping_add_signed(block.0)) + s.iss.0,
                    end: SeqNum(una.wrapping_add_signed(block.1)) + s.iss.0,
                });
            }
            if which & 4 != 0 {
                options.mss = Some(window);
                options.window_scale = Some(which);
            }
            s.window = window;
            s.arrives(Peer {
                flags: Flags::from_bits_truncate(flags),
                seq: nxt.wrapping_add_signed(seq),
                ack: una.wrapping_add_signed(ack),
                up: window,
                text: vec![0; len],
                options,
            });
        }
        Step::Write(len) => {
            let _ = s.write(len);
        }
        Step::Read(len) => {
            let _ = s.read(len);
        }
        Step::Wait(millis) => s.wait(millis),
        Step::Shutdown(how) => {
            let how = [Shutdown::Read, Shutdown::Write, Shutdown::Both][usize::from(how)];
            let (tcp, mut cx) = s.host();
            let _ = tcp.shutdown(&mut cx, id, how);
        }
        Step::Set(what, value) => {
            let time = OptionValue::Time(Some(Duration::from_millis(u64::from(value as u32))));
            let int = OptionValue::Int(value);
            let (option, value) = match what % 17 {
                0 => (SocketOption::ReceiveBuffer, int),
                1 => (SocketOption::SendBuffer, int),
                2 => (SocketOption::NoDelay, int),
                3 => (SocketOption::Cork, int),
                4 => (SocketOption::MaxSegment, int),
                5 => (SocketOption::UserTimeout, time),
                6 => (SocketOption::KeepAlive, int),
                7 => (SocketOption::KeepIdle, time),
                8 => (SocketOption::WindowClamp, int),
                9 => (SocketOption::NotSentLowWater, int),
                10 => (SocketOption::QuickAck, int),
                11 => (SocketOption::PeekOffset, int),
                12 => (SocketOption::RtoMin, time),
                13 => (SocketOption::RtoMax, time),
                14 => (SocketOption::ThinLinearTimeouts, int),
                15 => (SocketOption::BufferLock, int),
                _ => (SocketOption::ReceiveLowWater, int),
            };
            let (tcp, mut cx) = s.host();
            let _ = tcp.set_option(&mut cx, id, option, value);
        }
        Step::Pressure => {
            let (tcp, mut cx) = s.host();
            tcp.on_memory_pressure(&mut cx);
        }
    }
    s.pair.pump();
    s.pair.log.clear();
    check(s);
}

/// What holds at any time.
fn check(s: &Stage) {
    let sockets = &s.pair.hosts[A].tcp.sockets;
    let charged: usize = sockets
        .iter()
        .filter_map(|(_, socket)| socket.tcb())
        .map(|tcb| tcb.charged)
        .sum();
    let used = s.pair.hosts[A].parts.memory.used();
    assert_eq!(
        used, charged,
        "the node's account is the sum of what sockets hold"
    );
    let Some(tcb) = sockets.get(s.id).and_then(|socket| socket.tcb()) else {
        return;
    };
    assert!(tcb.snd.una.before_or_eq(tcb.snd.nxt), "SND.UNA =< SND.NXT");
    assert!(
        tcb.queue.start().before_or_eq(tcb.queue.end()),
        "the queue has a start and an end"
    );
    let limit = tcb.rcv.buffer.max(6_291_456);
    assert!(tcb.pinned() <= 3 * limit, "{} bytes kept", tcb.pinned());
    assert!(
        tcb.queue.len() as usize <= tcb.send_buffer.max(4_194_304),
        "{} bytes to send",
        tcb.queue.len()
    );
    assert!(tcb.mss >= 8 && u64::from(tcb.mss) <= 65_535);
    assert!(tcb.congestion.cwnd() >= 8);
    let edge = tcb.rcv.nxt.bytes_to(tcb.rcv.edge);
    assert!(edge <= 1 << 30, "RCV.WND is {edge}");
    if tcb.waits_for_peer() && tcb.state != crate::State::Closed && !tcb.has_output(s.pair.now) {
        let armed = tcb.timer.deadline().is_some();
        assert!(armed, "waits for the peer without a timer: {tcb:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { ..ProptestConfig::default() })]
    #[test]
    fn nothing_breaks_it(
        steps in proptest::collection::vec(step(), 1..60),
        options in any::<u8>(),
        mss in any::<u16>(),
        scale in any::<u8>(),
        listens: bool,
        scarce: bool,
    ) {
        let with = |bit: u8| options & bit != 0;
        let syn = Options {
            mss: with(1).then_some(mss),
            window_scale: with(2).then_some(scale),
            sack_permitted: with(4),
            timestamps: with(8).then_some(Timestamps { tsval: 1 << 31, tsecr: 0 }),
            ..Options::default()
        };
        let mut config = Config::default();
        if scarce {
            // Twelve pages: pressure and want are near.
            config.tcp_mem = (4, 8, 12);
        }
        let mut s = Stage::connected(config, syn);
        s.tsval = None;
        for step in &steps {
            apply(&mut s, step);
        }
        let id = s.id;
        let (tcp, mut cx) = s.host();
        let _ = tcp.close(&mut cx, id);
        if listens {
            let listener = tcp.open(&mut cx, sockeye_core::Domain::V4).unwrap();
            let _ = tcp.listen(&mut cx, listener, 1);
            let _ = tcp.close(&mut cx, listener);
        }
        s.wait(3_600_000);
        prop_assert!(s.pair.is_clean(A), "something is left: {}", s.state());
        prop_assert!(s.pair.hosts[A].parts.timers.is_empty());
    }
}
