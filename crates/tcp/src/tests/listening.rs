//! Traces of listening: the backlog, SYN cookies, TCP_DEFER_ACCEPT, floods.

use super::pair::A;
use super::stage::{Peer, Stage, ack, peer, text};
use core::time::Duration;
use sockeye_core::{
    Config, Counter, Error, OptionValue, Readiness, SocketId, SocketOption, SynCookies,
};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp::{Flags, Header};
use sockeye_wire::tcp_options::{Options, Timestamps};
use std::io::IoSlice;

fn count(s: &Stage, counter: Counter) -> u64 {
    s.pair.hosts[A].parts.counters.get(counter)
}

/// A stage whose socket listens.
fn listener(config: Config) -> Stage {
    let mut s = Stage::new(config);
    let id = s.id;
    let (tcp, mut cx) = s.host();
    tcp.listen(&mut cx, id, 1).unwrap();
    s
}

fn accept(s: &mut Stage) -> Result<SocketId, Error> {
    let id = s.id;
    let (tcp, mut cx) = s.host();
    tcp.accept(&mut cx, id).map(|(id, _)| id)
}

fn from_port(port: u16, flags: Flags, seq: u32, ack: SeqNum) -> Header {
    Header {
        source_port: port,
        seq: SeqNum(seq),
        ack,
        flags,
        window: 1000,
        ..Header::default()
    }
}

#[test]
fn a_syn_and_ack_is_sent_six_times() {
    let mut s = listener(Config::default());
    s.arrives(peer(Flags::SYN, 0, 0));
    assert_eq!(s.sent(), ["S. 0:0 ack 1"]);
    // The SYN again brings the answer again.
    s.arrives(peer(Flags::SYN, 0, 0));
    assert_eq!(s.sent(), ["S. 0:0 ack 1"]);
    s.wait(120_000);
    assert_eq!(s.sent().len(), 5);
    assert_eq!(s.host().0.half_open, 0);
    assert_eq!(s.host().0.sockets.len(), 1);
    assert!(s.pair.hosts[A].parts.timers.is_empty());
}

#[test]
fn the_backlog_is_a_limit() {
    let mut s = listener(Config::default());
    let open = |s: &mut Stage, port: u16| {
        s.arrives_as_is(from_port(port, Flags::SYN, 100, SeqNum(0)), &[]);
        let answer = s.headers().pop();
        if let Some((syn, _)) = answer {
            let ack = from_port(port, Flags::ACK, 101, syn.seq + 1);
            s.arrives_as_is(ack, &[]);
        }
        answer.is_some()
    };
    // A backlog of 1 takes 2.
    assert!(open(&mut s, 1001) && open(&mut s, 1002));
    assert!(!open(&mut s, 1003));
    let counters = &s.pair.hosts[A].parts.counters;
    assert_eq!(counters.get(Counter::TcpExtListenOverflows), 1);
    assert!(s.ready().contains(Readiness::READABLE));
    accept(&mut s).unwrap();
    assert!(open(&mut s, 1003));
    accept(&mut s).unwrap();
    accept(&mut s).unwrap();
    assert_eq!(accept(&mut s), Err(Error::WouldBlock));
    assert!(s.ready().is_empty());
}

#[test]
fn without_cookies_a_full_syn_queue_drops() {
    let config = Config {
        tcp_syn_cookies: SynCookies::Never,
        ..Config::default()
    };
    let mut s = listener(config);
    let mut answers = Vec::new();
    for port in 1001..=1005 {
        s.arrives_as_is(from_port(port, Flags::SYN, 100, SeqNum(0)), &[]);
        answers.extend(s.headers().into_iter().map(|(h, _)| (port, h.seq)));
    }
    // As in Linux, a backlog of 1 holds 2.
    assert_eq!(answers.len(), 2);
    assert_eq!(count(&s, Counter::TcpExtTCPReqQFullDrop), 3);
    assert_eq!(count(&s, Counter::TcpExtListenDrops), 3);
}

#[test]
fn without_cookies_the_last_quarter_of_the_syn_backlog_is_kept_back() {
    let config = Config {
        tcp_syn_cookies: SynCookies::Never,
        syn_backlog_max: 16,
        ..Config::default()
    };
    let mut s = listener(config);
    let id = s.id;
    let (tcp, mut cx) = s.host();
    tcp.listen(&mut cx, id, 100).unwrap();
    for port in 1001..=1040 {
        s.arrives_as_is(from_port(port, Flags::SYN, 100, SeqNum(0)), &[]);
    }
    assert_eq!(s.host().0.half_open, 13);
    assert_eq!(count(&s, Counter::TcpExtTCPReqQFullDrop), 0);
    assert_eq!(count(&s, Counter::TcpExtListenDrops), 27);
}

#[test]
fn a_full_accept_queue_asks_again_or_refuses() {
    for refuses in [false, true] {
        let config = Config {
            tcp_abort_on_overflow: refuses,
            ..Config::default()
        };
        let mut s = listener(config);
        let mut answers = Vec::new();
        for port in 1001..=1002 {
            s.arrives_as_is(from_port(port, Flags::SYN, 100, SeqNum(0)), &[]);
            answers.extend(s.headers().into_iter().map(|(h, _)| (port, h.seq)));
        }
        let id = s.id;
        let (tcp, mut cx) = s.host();
        tcp.listen(&mut cx, id, 0).unwrap();
        for &(port, iss) in &answers {
            s.arrives_as_is(from_port(port, Flags::ACK, 101, iss + 1), &[]);
        }
        assert_eq!(count(&s, Counter::TcpExtListenOverflows), 1);
        let (port, iss) = answers[1];
        if refuses {
            let (reset, _) = s.headers().pop().unwrap();
            assert_eq!((reset.flags, reset.seq), (Flags::RST, iss + 1));
            assert_eq!(s.host().0.half_open, 0);
            continue;
        }
        // The second's acknowledgment was dropped; our SYN and ACK asks for another.
        assert_eq!(s.host().0.half_open, 1);
        accept(&mut s).unwrap();
        s.wait(1000);
        let (header, _) = s.headers().pop().unwrap();
        assert_eq!(header.flags, Flags::SYN | Flags::ACK);
        s.arrives_as_is(from_port(port, Flags::ACK, 101, iss + 1), &[]);
        assert_eq!(s.host().0.half_open, 0);
        accept(&mut s).unwrap();
    }
}

/// Two half-open connections and no room for a third: what comes now gets a cookie.
fn crowded(config: Config) -> Stage {
    let mut s = listener(config);
    for port in 1001..=1002 {
        s.arrives_as_is(from_port(port, Flags::SYN, 100, SeqNum(0)), &[]);
    }
    assert_eq!(s.headers().len(), 2);
    s
}

#[test]
fn a_cookie_makes_a_connection_without_anything_kept() {
    let mut s = crowded(Config::default());
    let mut syn = peer(Flags::SYN, 0, 0);
    syn.options.mss = Some(1450);
    s.arrives(syn);
    assert_eq!(s.sent(), ["S. 0:0 ack 1"]);
    assert_eq!(s.host().0.half_open, 2);
    assert_eq!(count(&s, Counter::TcpExtTCPReqQFullDoCookies), 1);
    assert_eq!(count(&s, Counter::TcpExtSyncookiesSent), 1);
    // Nothing is sent again, and a minute later the cookie is still good.
    s.wait(60_000);
    s.headers();
    s.arrives(text(1, 1, 5));
    assert_eq!(s.sent(), [". 1:1 ack 6"]);
    assert_eq!(count(&s, Counter::TcpExtSyncookiesRecv), 1);
    let id = accept(&mut s).unwrap();
    let (tcp, cx) = s.host();
    assert_eq!(tcp.queued(id).unwrap().readable, 5);
    let info = tcp.info(cx.now, id).unwrap();
    // The table has 1440; what had no place is not used.
    assert_eq!(
        (info.snd_mss, info.sack, info.timestamps),
        (1440, false, false)
    );
    assert_eq!(info.window_scale, None);
    // Nobody knows when our SYN left.
    assert_eq!(info.srtt, None);
}

/// The acknowledgment and the text behind it are lost together.
#[test]
fn a_later_segment_of_the_first_window_brings_a_cookie_back() {
    for (place, good) in [(0, true), (2, true), (9, true), (10, false)] {
        let mut s = crowded(Config::default());
        s.arrives(peer(Flags::SYN, 0, 0));
        s.sent();
        s.arrives(text(1 + place * 500, 1, 500));
        assert_eq!(accept(&mut s).is_ok(), good, "segment {place}");
        assert_eq!(count(&s, Counter::TcpOutRsts) > 0, !good);
        if place == 2 {
            assert_eq!(s.sent(), [". 1:1 ack 1"]);
            s.arrives(text(1, 1, 1000));
            assert_eq!(s.sent(), [". 1:1 ack 1501"]);
        }
    }
}

#[test]
fn a_cookie_remembers_scale_sack_and_ecn_in_the_timestamp() {
    let mut s = crowded(Config::default());
    let mut syn = peer(Flags::SYN | Flags::ECE | Flags::CWR, 0, 0);
    syn.options = Options {
        mss: Some(1460),
        window_scale: Some(9),
        sack_permitted: true,
        timestamps: Some(Timestamps { tsval: 5, tsecr: 0 }),
        ..Options::default()
    };
    s.arrives(syn);
    let (answer, _) = s.headers()[0];
    assert!(answer.options.sack_permitted);
    assert_eq!(answer.flags & Flags::ECE, Flags::ECE);
    assert_eq!(answer.options.window_scale, Some(7));
    let Timestamps { tsval, tsecr } = answer.options.timestamps.unwrap();
    assert_eq!(tsecr, 5);
    s.iss = answer.seq;
    let mut first = ack(1, 1);
    first.options.timestamps = Some(Timestamps {
        tsval: 6,
        tsecr: tsval,
    });
    s.arrives(first);
    let id = accept(&mut s).unwrap();
    let (tcp, cx) = s.host();
    let info = tcp.info(cx.now, id).unwrap();
    assert_eq!(
        (info.snd_mss, info.sack, info.timestamps),
        (1448, true, true)
    );
    assert_eq!(info.window_scale, Some((9, 7)));
    assert_eq!(info.snd_wnd, 10_000 << 9);
    assert!(info.ecn);
}

#[test]
fn what_is_no_cookie_is_refused() {
    // Nobody looks for cookies before any is out.
    let mut s = listener(Config::default());
    s.arrives(ack(1, 1));
    assert_eq!(s.sent(), ["R 1:1"]);
    assert_eq!(count(&s, Counter::TcpExtSyncookiesFailed), 0);
    // While they are, a wrong one is refused, and one that is too old.
    let mut s = crowded(Config::default());
    s.arrives(peer(Flags::SYN, 0, 0));
    s.sent();
    s.arrives(ack(1, 2));
    assert_eq!(s.sent(), ["R 2:2"]);
    assert_eq!(count(&s, Counter::TcpExtSyncookiesFailed), 1);
    s.wait(121_000);
    s.headers();
    s.arrives(ack(1, 1));
    assert_eq!(s.sent(), ["R 1:1"]);
    assert_eq!(count(&s, Counter::TcpExtSyncookiesRecv), 0);
    // A peer that takes less than any size in the table is not answered by one.
    let mut s = crowded(Config::default());
    let mut syn = peer(Flags::SYN, 0, 0);
    syn.options.mss = Some(500);
    s.arrives(syn);
    assert!(s.sent().is_empty());
}

#[test]
fn cookies_for_all_or_for_none() {
    let config = Config {
        tcp_syn_cookies: SynCookies::Always,
        ..Config::default()
    };
    let mut s = listener(config);
    s.arrives(peer(Flags::SYN, 0, 0));
    assert_eq!(s.sent(), ["S. 0:0 ack 1"]);
    assert_eq!(s.host().0.half_open, 0);
    s.arrives(ack(1, 1));
    accept(&mut s).unwrap();
}

/// 100,000 SYNs from forged addresses, while a client is served: it gets its connection and its
/// bytes, and of the flood no more is kept than the backlog allows.
#[test]
fn a_flood_of_syns_costs_nothing_and_hinders_nobody() {
    const FLOOD: u32 = 100_000;
    let mut s = listener(Config::default());
    let id = s.id;
    let (tcp, mut cx) = s.host();
    tcp.listen(&mut cx, id, 128).unwrap();
    let ours = s.flow.remote;
    let mut served = 0;
    for n in 0..FLOOD {
        let [_, b, c, d] = n.to_be_bytes();
        s.flow.remote.ip = [172, 16 + b, c, d].into();
        s.arrives_as_is(
            from_port(1024 + (n % 60_000) as u16, Flags::SYN, n, SeqNum(0)),
            &[],
        );
        let (tcp, _) = s.host();
        assert!(tcp.half_open <= 129 && tcp.sockets.len() <= 129 + 2 + served);
        if n % 1000 == 0 {
            s.wait(10);
            s.forget();
        }
        if n % 10_000 == 5_000 {
            // The client opens a connection, asks, and is answered.
            s.flow.remote = ours;
            let port = 5000 + (n / 10_000) as u16;
            s.headers();
            s.arrives_as_is(from_port(port, Flags::SYN, 0, SeqNum(0)), &[]);
            let (answer, _) = s.headers().pop().unwrap();
            s.arrives_as_is(from_port(port, Flags::ACK, 1, answer.seq + 1), b"hello");
            let (tcp, mut cx) = s.host();
            let (id, peer) = tcp.accept(&mut cx, id).unwrap();
            assert_eq!(peer.port(), port);
            assert_eq!(tcp.recv(&mut cx, id, &mut [0; 10]), Ok(5));
            assert_eq!(
                tcp.send(&mut cx, id, &[IoSlice::new(b"you are served")]),
                Ok(14)
            );
            served += 1;
        }
    }
    assert_eq!(served, 10);
    let flood = u64::from(FLOOD);
    assert!(count(&s, Counter::TcpExtSyncookiesSent) > flood - 129 * 70);
    assert_eq!(count(&s, Counter::TcpExtSyncookiesRecv), 10);
}

#[test]
fn a_listener_that_closes_takes_its_connections_with_it() {
    let mut s = listener(Config::default());
    s.arrives(peer(Flags::SYN, 0, 0));
    s.sent();
    s.arrives(ack(1, 1));
    let half_open = from_port(99, Flags::SYN, 7, SeqNum(0));
    s.arrives_as_is(half_open, &[]);
    s.headers();
    let id = s.id;
    let (tcp, mut cx) = s.host();
    tcp.close(&mut cx, id).unwrap();
    assert_eq!(s.sent(), ["R. 1:1 ack 1"]);
    s.wait(2000);
    assert!(s.host().0.sockets.is_empty());
    assert!(s.pair.is_clean(A));
}

#[test]
fn a_deferred_accept_waits_for_text() {
    let mut s = listener(Config::default());
    let wait = OptionValue::Time(Some(Duration::from_secs(5)));
    s.set(SocketOption::DeferAccept, wait);
    s.arrives(peer(Flags::SYN, 0, 0));
    s.sent();
    s.arrives(ack(1, 1));
    assert_eq!(accept(&mut s), Err(Error::WouldBlock));
    assert_eq!(count(&s, Counter::TcpExtTCPDeferAcceptDrop), 1);
    s.arrives(text(1, 1, 5));
    let id = accept(&mut s).unwrap();
    assert_eq!(s.host().0.queued(id).unwrap().readable, 5);
}

#[test]
fn a_deferred_accept_has_an_end() {
    let mut s = listener(Config::default());
    // Three time-outs: 1 + 2 + 4 s, which is what the option tells.
    s.set(
        SocketOption::DeferAccept,
        OptionValue::Time(Some(Duration::from_secs(5))),
    );
    let id = s.id;
    let (tcp, cx) = s.host();
    let told = tcp.option(&cx, id, SocketOption::DeferAccept);
    assert_eq!(told, Ok(OptionValue::Time(Some(Duration::from_secs(7)))));
    s.arrives(peer(Flags::SYN, 0, 0));
    s.sent();
    s.arrives(ack(1, 1));
    // The peer has our SYN and ACK: it is not sent again until the time is nearly over.
    s.wait(6999);
    assert!(s.sent().is_empty());
    s.wait(1);
    assert_eq!(s.sent(), ["S. 0:0 ack 1"]);
    // Then a bare acknowledgment is enough.
    s.arrives(ack(1, 1));
    accept(&mut s).unwrap();
}

#[test]
fn a_count_of_syns_holds_for_a_listener() {
    let mut s = listener(Config::default());
    s.set(SocketOption::SynCount, OptionValue::Int(2));
    s.arrives(peer(Flags::SYN, 0, 0));
    s.sent();
    s.wait(120_000);
    assert_eq!(s.sent().len(), 2);
    assert_eq!(s.host().0.half_open, 0);
}

#[test]
fn a_queue_half_full_of_old_ones_gives_them_up_sooner() {
    let mut s = listener(Config::default());
    let id = s.id;
    let (tcp, mut cx) = s.host();
    tcp.listen(&mut cx, id, 8).unwrap();
    for port in 1001..=1006 {
        s.arrives_as_is(from_port(port, Flags::SYN, 100, SeqNum(0)), &[]);
    }
    s.wait(6_999);
    assert_eq!(s.host().0.half_open, 6);
    // Six of nine places: two of them go at the third time-out, then it is no longer half.
    s.wait(2);
    assert_eq!(s.host().0.half_open, 4);
}

#[test]
fn text_on_a_syn_comes_again_once_the_connection_stands() {
    let mut s = listener(Config::default());
    s.arrives(Peer {
        text: b"hello".to_vec(),
        ..peer(Flags::SYN, 0, 0)
    });
    assert_eq!(s.sent(), ["S. 0:0 ack 1"]);
    s.arrives(text(1, 1, 5));
    assert_eq!(s.sent(), [". 1:1 ack 6"]);
}
