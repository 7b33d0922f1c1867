//! What options do to a connection. What they take is compared with a kernel in tests/interop.

use super::pair::{A, B, Pair, Wire};
use super::stage::{Stage, ack, peer, text};
use core::time::Duration;
use sockeye_core::{Config, Counter, Domain, Error, OptionValue, Readiness, SocketOption};
use sockeye_wire::tcp::Flags;
use sockeye_wire::tcp_options::{Options, Timestamps};

const ON: OptionValue = OptionValue::Flag(true);

fn int(n: i32) -> OptionValue {
    OptionValue::Int(n)
}

fn millis(n: u64) -> OptionValue {
    OptionValue::Time(Some(Duration::from_millis(n)))
}

fn seconds(n: u64) -> OptionValue {
    millis(n * 1000)
}

impl Stage {
    fn peek(&mut self, max: usize) -> Result<usize, Error> {
        let id = self.id;
        let (tcp, mut cx) = self.host();
        tcp.peek(&mut cx, id, &mut vec![0; max])
    }

    fn option(&mut self, option: SocketOption) -> OptionValue {
        let id = self.id;
        let (tcp, cx) = self.host();
        tcp.option(&cx, id, option).unwrap()
    }
}

#[test]
fn peeks_go_on_where_the_last_one_ended() {
    let mut s = Stage::plain();
    s.arrives(text(1, 1, 1000));
    s.set(SocketOption::PeekOffset, int(0));
    assert_eq!((s.peek(300), s.peek(300)), (Ok(300), Ok(300)));
    assert_eq!(s.option(SocketOption::PeekOffset), int(600));
    // A read moves the front towards it.
    assert_eq!(s.read(500), Ok(500));
    assert_eq!(s.option(SocketOption::PeekOffset), int(100));
    assert_eq!((s.peek(1000), s.peek(1)), (Ok(400), Err(Error::WouldBlock)));
    s.set(SocketOption::PeekOffset, int(-1));
    assert_eq!((s.peek(1000), s.peek(1000)), (Ok(500), Ok(500)));
}

#[test]
fn the_cpu_that_was_set_is_told() {
    let mut s = Stage::plain();
    assert_eq!(s.option(SocketOption::IncomingCpu), int(-1));
    s.set(SocketOption::IncomingCpu, int(1));
    s.arrives(text(1, 1, 1000));
    assert_eq!(s.option(SocketOption::IncomingCpu), int(1));
}

#[test]
fn it_is_readable_from_the_low_water_on() {
    let mut s = Stage::plain();
    s.set(SocketOption::ReceiveLowWater, int(1500));
    s.arrives(text(1, 1, 1000));
    assert!(!s.ready().contains(Readiness::READABLE));
    s.arrives(text(1001, 1, 1000));
    assert!(s.ready().contains(Readiness::READABLE));
    s.read(1000).unwrap();
    assert!(!s.ready().contains(Readiness::READABLE));
    // The end counts however little there is.
    s.arrives(peer(Flags::ACK | Flags::FIN, 2001, 1));
    assert!(s.ready().contains(Readiness::READABLE));
    assert_eq!(s.read(5000), Ok(1000));
}

#[test]
fn it_is_writable_while_little_is_unsent() {
    let mut s = Stage::plain();
    s.window = 60_000;
    s.arrives(ack(1, 1));
    s.set(SocketOption::NotSentLowWater, int(4000));
    // What the window lets out, and a super-segment more.
    let taken = s.write(1_000_000).unwrap();
    assert_eq!(taken, 40_000);
    s.pair.pump();
    assert!(!s.ready().contains(Readiness::WRITABLE));
    assert_eq!(s.write(1), Err(Error::WouldBlock));
    let id = s.id;
    let unsent = |s: &mut Stage| s.host().0.queued(id).unwrap().unsent;
    let mut acked = 1;
    while unsent(&mut s) >= 2000 {
        acked += 1000;
        s.arrives(ack(1, acked));
        s.pair.pump();
        assert_eq!(
            s.ready().contains(Readiness::WRITABLE),
            unsent(&mut s) < 2000,
            "half of it makes it writable"
        );
    }
}

#[test]
fn a_time_out_is_as_long_as_the_bounds_say() {
    let mut s = Stage::plain();
    s.set(
        SocketOption::RtoMin,
        OptionValue::Time(Some(Duration::from_micros(8000))),
    );
    s.wait(10);
    s.write(10).unwrap();
    s.sent();
    s.wait(40);
    s.arrives(ack(1, 11));
    assert!(
        s.info().rto < Duration::from_millis(200),
        "{:?}",
        s.info().rto
    );
    s.set(SocketOption::RtoMax, seconds(1));
    s.write(10).unwrap();
    s.wait(10_000);
    assert_eq!(s.info().rto, Duration::from_secs(1));
    assert!(s.sent().len() > 9, "one a second");
}

#[test]
fn an_acknowledgment_is_delayed_as_long_as_its_bound_says() {
    let mut s = Stage::plain();
    s.set(SocketOption::QuickAck, int(0));
    s.set(SocketOption::DelayedAckMax, millis(10));
    s.arrives(text(1, 1, 100));
    s.wait(9);
    assert_eq!(s.sent(), [""; 0]);
    s.wait(1);
    assert_eq!(s.sent(), [". 1:1 ack 101"]);
}

#[test]
fn a_thin_stream_backs_off_after_six_time_outs() {
    let times = |thin: bool| {
        let mut s = Stage::plain();
        s.set(SocketOption::ThinLinearTimeouts, int(thin.into()));
        // A first loss: slow start is over.
        s.write(10).unwrap();
        s.wait(1500);
        s.arrives(ack(1, 11));
        s.sent();
        s.write(10).unwrap();
        s.sent();
        s.wait(20_000);
        s.sent().len()
    };
    let (thin, fat) = (times(true), times(false));
    assert!(thin >= fat + 4, "{thin} and {fat}");
}

#[test]
fn a_new_connection_delays_its_acknowledgments_if_it_was_told() {
    let mut s = Stage::new(Config::default());
    s.set(SocketOption::QuickAck, int(0));
    s.connect();
    s.sent();
    s.arrives(peer(Flags::SYN | Flags::ACK, 0, 1));
    s.sent();
    s.arrives(text(1, 1, 100));
    assert_eq!(s.sent(), [""; 0]);
}

#[test]
fn the_window_is_clamped() {
    let mut s = Stage::plain();
    s.set(SocketOption::WindowClamp, int(5000));
    s.arrives(text(1, 1, 60_000));
    s.read(60_000).unwrap();
    let (header, _) = s.headers().pop().unwrap();
    assert!(header.window <= 5535, "{}", header.window);
    s.arrives(text(60_001, 1, 5000));
    s.read(5000).unwrap();
    let (header, _) = s.headers().pop().unwrap();
    assert!((4000..=5000).contains(&header.window), "{}", header.window);
}

#[test]
fn who_may_not_use_a_gateway_reaches_neighbours_only() {
    let mut s = Stage::new(Config::default());
    s.set(SocketOption::DontRoute, ON);
    let id = s.id;
    let (tcp, mut cx) = s.host();
    let (everywhere, router) = ("0.0.0.0/0".parse().unwrap(), "10.0.0.9".parse().unwrap());
    let link = super::stage::LINK;
    cx.inet
        .add_route(everywhere, Some(router), link, 0)
        .unwrap();
    let far = tcp.connect(&mut cx, id, "192.0.2.1:80".parse().unwrap());
    assert_eq!(far, Err(Error::NetworkUnreachable));
    let near = tcp.connect(&mut cx, id, "10.0.0.2:80".parse().unwrap());
    assert_eq!(near, Err(Error::InProgress));
}

#[test]
fn the_clock_of_timestamps_is_told() {
    let options = Options {
        timestamps: Some(Timestamps { tsval: 1, tsecr: 0 }),
        ..Options::default()
    };
    let mut s = Stage::connected(Config::default(), options);
    s.write(1).unwrap();
    let sent = s
        .headers()
        .pop()
        .unwrap()
        .0
        .options
        .timestamps
        .unwrap()
        .tsval;
    assert_eq!(
        s.option(SocketOption::TimestampClock),
        int(sent.cast_signed())
    );
}

#[test]
fn locked_buffers_stay() {
    let mut s = Stage::plain();
    s.set(SocketOption::BufferLock, int(3));
    let (receive, send) = (s.info().receive_buffer, s.info().send_buffer);
    s.window = 60_000;
    for n in 0..20u32 {
        s.write(60_000).ok();
        s.wait(5);
        let acked = s.info().bytes_sent as u32;
        s.arrives(text(1 + n * 20_000, 1 + acked, 20_000));
        s.read(20_000).unwrap();
    }
    assert_eq!(
        (s.info().receive_buffer, s.info().send_buffer),
        (receive, send)
    );
    s.set(SocketOption::BufferLock, int(0));
    for n in 0..20u32 {
        s.write(60_000).ok();
        s.wait(5);
        let acked = s.info().bytes_sent as u32;
        s.arrives(text(400_001 + n * 50_000, 1 + acked, 50_000));
        s.read(50_000).unwrap();
    }
    assert!(
        s.info().receive_buffer > receive,
        "{}",
        s.info().receive_buffer
    );
    assert!(s.info().send_buffer > send, "{}", s.info().send_buffer);
}

#[test]
fn a_syn_goes_again_as_often_as_it_was_told() {
    let mut s = Stage::new(Config::default());
    s.set(SocketOption::SynCount, int(2));
    s.connect();
    s.wait(60_000);
    assert_eq!(s.sent().len(), 3);
    assert_eq!(s.error(), Some(Error::TimedOut));
}

#[test]
fn segments_are_no_larger_than_it_was_told() {
    let mut s = Stage::new(Config::default());
    s.set(SocketOption::MaxSegment, int(500));
    s.connect();
    let (syn, _) = s.headers().pop().unwrap();
    assert_eq!(syn.options.mss, Some(500));
    s.iss = syn.seq;
    let mut answer = peer(Flags::SYN | Flags::ACK, 0, 1);
    answer.options.mss = Some(1460);
    s.arrives(answer);
    s.sent();
    s.write(1000).unwrap();
    assert!(s.headers().iter().all(|(_, len)| *len == 500));
    // On a connection as well.
    s.set(SocketOption::MaxSegment, int(100));
    s.arrives(ack(1, 1001));
    s.write(300).unwrap();
    assert!(s.headers().iter().all(|(_, len)| *len <= 100));
}

/// RFC 9293 §3.7.1 (MUST-16): what of every packet is options is not text.
#[test]
fn ip_options_travel_in_every_segment() {
    let mut pair = Pair::new(Wire::default());
    let set = |pair: &mut Pair, n: usize, id, bytes: &[u8]| {
        let (tcp, mut cx) = pair.host(n);
        let value = OptionValue::Bytes(bytes.to_vec());
        tcp.set_option(&mut cx, id, SocketOption::IpOptions, value)
    };
    let alert = [148, 4, 0, 0];
    let listener = pair.listen(80);
    set(&mut pair, B, listener, &alert).unwrap();
    let (tcp, mut cx) = pair.host(A);
    let a = tcp.open(&mut cx, Domain::V4).unwrap();
    set(&mut pair, A, a, &alert).unwrap();
    let route = [131, 7, 4, 10, 0, 0, 9];
    assert_eq!(set(&mut pair, A, a, &route), Err(Error::NotPermitted));
    pair.packets = Some(Vec::new());
    let (tcp, mut cx) = pair.host(A);
    let to = "10.0.0.2:80".parse().unwrap();
    assert_eq!(tcp.connect(&mut cx, a, to), Err(Error::InProgress));
    let b = pair.accept(listener).unwrap();
    pair.transfer(A, [a, b], &[1; 100_000]);
    let packets = pair.packets.take().unwrap();
    let largest = packets.iter().map(|(_, packet)| packet.len()).max();
    assert_eq!(largest, Some(1500));
    for (from, packet) in packets {
        let bytes = packet.to_vec();
        let options = &bytes[20..usize::from(bytes[0] & 0x0f) * 4];
        // Linux: those of a listener are not for its connections.
        let expected = if from == A { &alert[..] } else { &[] };
        assert_eq!(options, expected, "from {from}");
    }
    // Without them there is room again.
    set(&mut pair, A, a, &[]).unwrap();
    pair.packets = Some(Vec::new());
    pair.transfer(A, [a, b], &[1; 10_000]);
    let packets = pair.packets.take().unwrap();
    let mut from_a = packets.iter().filter(|(from, _)| *from == A);
    assert!(from_a.all(|(_, packet)| packet.head()[0] == 0x45));
    assert!(packets.iter().any(|(_, packet)| packet.len() == 1500));
}

#[test]
fn a_time_out_changes_the_flow_label_unless_told_not_to() {
    for (rehash, changes) in [(1, true), (0, false), (-1, true)] {
        let mut pair = Pair::new(Wire::default());
        pair.listen(80);
        let (tcp, mut cx) = pair.host(A);
        let id = tcp.open(&mut cx, Domain::V6).unwrap();
        tcp.set_option(&mut cx, id, SocketOption::TransmitRehash, int(rehash))
            .unwrap();
        let to = "[fd00::2]:80".parse().unwrap();
        assert_eq!(tcp.connect(&mut cx, id, to), Err(Error::InProgress));
        pair.run_for(Duration::from_secs(1));
        let label = |pair: &Pair| {
            let socket = pair.hosts[A].tcp.sockets.get(id).unwrap();
            socket.tcb().unwrap().flow_label
        };
        let before = label(&pair);
        pair.lose = Box::new(|_, _, _| true);
        pair.send(A, id, &[1; 10]).unwrap();
        pair.run_for(Duration::from_secs(2));
        assert_eq!(label(&pair) != before, changes, "set to {rehash}");
    }
}

#[test]
fn what_takes_a_capability_takes_the_nodes_grant() {
    let options = [
        (SocketOption::ReceiveBufferForce, 1_000_000),
        (SocketOption::SendBufferForce, 1_000_000),
        (SocketOption::Priority, 7),
        (SocketOption::Debug, 1),
    ];
    for net_admin in [false, true] {
        let config = Config {
            net_admin,
            ..Config::default()
        };
        let mut s = Stage::new(config);
        let id = s.id;
        for (option, value) in options {
            let (tcp, mut cx) = s.host();
            let set = tcp.set_option(&mut cx, id, option, int(value));
            assert_eq!(set.is_ok(), net_admin, "{option:?}");
        }
    }
}

#[test]
fn keep_alives_come_when_and_as_often_as_they_were_told() {
    let mut s = Stage::plain();
    s.set(SocketOption::KeepIdle, seconds(10));
    s.set(SocketOption::KeepInterval, seconds(3));
    s.set(SocketOption::KeepCount, int(2));
    s.set(SocketOption::KeepAlive, ON);
    s.wait(9_999);
    assert_eq!(s.sent().len(), 0);
    s.wait(1);
    assert_eq!(s.sent().len(), 1);
    s.wait(3_000);
    assert_eq!(s.sent().len(), 1);
    s.wait(3_000);
    assert_eq!(s.error(), Some(Error::TimedOut));
}

#[test]
fn another_congestion_control_takes_over() {
    let mut s = Stage::plain();
    for name in sockeye_core::congestion::NAMES {
        let value = OptionValue::Bytes(name.as_bytes().to_vec());
        s.set(SocketOption::Congestion, value.clone());
        assert_eq!(s.option(SocketOption::Congestion), value);
        assert_eq!(s.info().congestion, *name);
    }
}

#[test]
fn sockets_that_say_so_share_a_port() {
    let mut pair = Pair::new(Wire::default());
    let (tcp, mut cx) = pair.host(B);
    let any: std::net::SocketAddr = "[::]:80".parse().unwrap();
    let bind = |tcp: &mut crate::Tcp, cx: &mut sockeye_core::Context<'_>, share| {
        let id = tcp.open(cx, Domain::V6).unwrap();
        tcp.set_option(cx, id, SocketOption::ReusePort, OptionValue::Flag(share))
            .unwrap();
        tcp.bind(cx, id, any)?;
        tcp.listen(cx, id, 8)
    };
    assert_eq!(bind(tcp, &mut cx, true), Ok(()));
    assert_eq!(bind(tcp, &mut cx, true), Ok(()));
    assert_eq!(bind(tcp, &mut cx, false), Err(Error::AddressInUse));
}

#[test]
fn one_interface_is_all_that_it_uses() {
    for option in [SocketOption::BindToDevice, SocketOption::BindToIndex] {
        let mut s = Stage::new(Config::default());
        let loopback = sockeye_core::InterfaceId::LOOPBACK.0;
        s.set(option, int(loopback.cast_signed()));
        let (id, to) = (s.id, s.flow.remote.into());
        let (tcp, mut cx) = s.host();
        let far = tcp.connect(&mut cx, id, to);
        assert_eq!(far, Err(Error::NetworkUnreachable), "{option:?}");
    }
}

#[test]
fn another_way_is_looked_for_when_this_one_is_said_to_be_bad() {
    let mut s = Stage::plain();
    let id = s.id;
    let has_route = |s: &Stage| {
        let socket = s.pair.hosts[A].tcp.sockets.get(id).unwrap();
        socket.tcb().unwrap().route.is_some()
    };
    s.set(SocketOption::ConnectionAdvice, int(0));
    assert!(has_route(&s));
    s.set(SocketOption::ConnectionAdvice, int(1));
    assert!(!has_route(&s));
    s.write(1).unwrap();
    assert_eq!(s.sent().len(), 1);
}

#[test]
fn it_is_paced_no_faster_than_it_was_told() {
    let mut s = Stage::new(Config::default());
    s.connect();
    s.sent();
    // Over a short path a burst is as large as may be.
    s.wait(50);
    let mut answer = peer(Flags::SYN | Flags::ACK, 0, 1);
    answer.options.mss = Some(1000);
    s.arrives(answer);
    s.sent();
    s.set(SocketOption::MaxPacingRate, OptionValue::Wide(100_000));
    s.window = 60_000;
    // As with Linux's fq, ten segments are not spaced.
    s.write(10_000).unwrap();
    s.wait(50);
    s.arrives(ack(1, 10_001));
    s.sent();
    s.write(15_000).unwrap();
    let start = s.now();
    let mut last = 0;
    for _ in 0..200 {
        if !s.sent().is_empty() {
            last = (s.now() - start).as_millis();
        }
        s.wait(1);
    }
    // 15 segments of 1000 in 150 ms, the first at once.
    assert!((110..=150).contains(&last), "{last}");
    assert_eq!(s.info().pacing_rate, Some(100_000));
}

/// What fits, and when there is room again, is as on Linux.
#[test]
fn a_send_buffer_takes_super_segments_while_it_has_room() {
    let mut s = Stage::plain();
    s.window = 50_000;
    s.arrives(ack(1, 1));
    s.set(
        SocketOption::Congestion,
        OptionValue::Bytes(b"reno".to_vec()),
    );
    s.set(SocketOption::SendBuffer, int(21_000));
    assert_eq!(s.option(SocketOption::SendBuffer), int(42_000));
    assert_eq!(s.write(61_000), Ok(60_000));
    s.sent();
    assert_eq!(s.write(1000), Err(Error::WouldBlock));
    for (acked, writable) in [(10_001, false), (30_001, false), (36_001, true)] {
        s.wait(100);
        s.arrives(ack(1, acked));
        s.sent();
        assert_eq!(s.ready().contains(Readiness::WRITABLE), writable, "{acked}");
    }
    assert_eq!(s.write(1000), Ok(1000));
}

/// RFC 5082 §3, IP_MINTTL: the peer's segments have a TTL of 64.
#[test]
fn who_comes_from_too_far_is_not_heard() {
    let mut s = Stage::plain();
    s.set(SocketOption::MinTtl, int(65));
    s.arrives(text(1, 1, 100));
    assert_eq!(s.read(500), Err(Error::WouldBlock));
    assert_eq!(s.sent(), [""; 0]);
    let (_, cx) = s.host();
    assert_eq!(cx.counters.get(Counter::TcpExtTCPMinTTLDrop), 1);
    s.set(SocketOption::MinTtl, int(64));
    s.arrives(text(1, 1, 100));
    assert_eq!(s.read(500), Ok(100));
}
