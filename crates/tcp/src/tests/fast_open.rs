//! Traces of Fast Open (RFC 7413), as a client and as a server.

use super::pair::A;
use super::stage::{Peer, Stage, ack, peer, text};
use crate::{FastOpenFailure, Opened};
use core::time::Duration;
use sockeye_core::{
    Config, Counter, Domain, Error, FastOpenMode, OptionValue, Readiness, SocketId, SocketOption,
};
use sockeye_wire::Bounded;
use sockeye_wire::tcp::Flags;
use sockeye_wire::tcp_options::{FastOpen, Options};
use std::io::IoSlice;
use std::net::SocketAddr;

fn config() -> Config {
    Config {
        tcp_fast_open: FastOpenMode::CLIENT | FastOpenMode::SERVER,
        tcp_timestamps: false,
        ..Config::default()
    }
}

fn count(s: &Stage, counter: Counter) -> u64 {
    s.pair.hosts[A].parts.counters.get(counter)
}

fn option(cookie: &[u8]) -> Option<FastOpen> {
    Some(FastOpen {
        cookie: Bounded::from_slice(cookie).unwrap(),
        experimental: false,
    })
}

fn figures(s: &mut Stage, id: SocketId) -> crate::Info {
    let (tcp, cx) = s.host();
    tcp.info(cx.now, id).unwrap()
}

/// Another socket of 10.0.0.1, with a port of its own.
fn another(s: &mut Stage, port: u16) {
    let ours: SocketAddr = ([10, 0, 0, 1], port).into();
    let (tcp, mut cx) = s.host();
    let id = tcp.open(&mut cx, Domain::V4).unwrap();
    tcp.bind(&mut cx, id, ours).unwrap();
    s.flow.local = ours.into();
    s.id = id;
}

/// SEND with MSG_FASTOPEN of `len` bytes; `all` as a call that waits does it.
fn send_open(s: &mut Stage, len: usize, all: bool) -> Result<Opened, Error> {
    let (id, to) = (s.id, s.flow.remote.into());
    let (tcp, mut cx) = s.host();
    tcp.send_open(
        &mut cx,
        id,
        Some(to),
        &[IoSlice::new(&vec![b'o'; len])],
        all,
    )
}

/// The peer's SYN and ACK.
fn answer(ack: u32, mss: u16, fast_open: Option<FastOpen>) -> Peer {
    let mut answer = peer(Flags::SYN | Flags::ACK, 0, ack);
    answer.options = Options {
        mss: Some(mss),
        fast_open,
        ..Options::default()
    };
    answer
}

const COOKIE: [u8; 4] = [0xab, 0xcd, 0x12, 0x34];

/// A client that has got a cookie from its server, with MSS `mss`.
fn with_cookie(config: Config, mss: u16) -> Stage {
    let mut s = Stage::new(config);
    assert_eq!(send_open(&mut s, 10, false), Err(Error::InProgress));
    let (syn, len) = s.headers()[0];
    assert_eq!((syn.options.fast_open, len), (option(&[]), 0));
    s.iss = syn.seq;
    s.arrives(answer(1, mss, option(&COOKIE)));
    assert_eq!(s.sent(), [". 1:1 ack 1"]);
    assert_eq!(s.info().fast_open_failure, Some(FastOpenFailure::NoCookie));
    another(&mut s, 4001);
    s
}

#[test]
fn a_cookie_is_asked_for_and_the_next_syn_has_text() {
    let mut s = with_cookie(config(), 940);
    // 40 bytes of the server's MSS are kept free for options.
    assert_eq!(send_open(&mut s, 2000, false), Ok(Opened::Begun(900)));
    let (syn, len) = s.headers()[0];
    assert_eq!(
        (syn.flags, syn.options.fast_open, len),
        (Flags::SYN, option(&COOKIE), 900)
    );
    s.iss = syn.seq;
    assert_eq!(send_open(&mut s, 10, false), Err(Error::Already));
    assert_eq!(s.write(10), Err(Error::WouldBlock));
    s.arrives(answer(901, 1460, None));
    assert_eq!(s.sent(), [". 901:901 ack 1"]);
    let info = s.info();
    assert!(info.syn_text && info.fast_open_failure.is_none());
    assert_eq!(count(&s, Counter::TcpExtTCPFastOpenActive), 1);
    // Who has not been told that he is connected, is told by success.
    assert_eq!(send_open(&mut s, 100, false), Ok(Opened::Stands));
    assert_eq!(send_open(&mut s, 100, false), Err(Error::IsConnected));
    assert_eq!(s.write(100), Ok(100));
    assert_eq!(s.sent(), ["P. 901:1001 ack 1"]);
    // The next one goes by the MSS that was said last.
    another(&mut s, 4002);
    assert_eq!(send_open(&mut s, 2000, false), Ok(Opened::Begun(1420)));
}

#[test]
fn a_call_that_waits_queues_all_and_the_rest_saves_an_acknowledgment() {
    let mut s = with_cookie(config(), 940);
    assert_eq!(send_open(&mut s, 1900, true), Ok(Opened::Begun(1900)));
    assert_eq!(s.sent(), ["S 0:900"]);
    s.arrives(answer(901, 1460, None));
    assert_eq!(s.sent(), ["P. 901:1901 ack 1"]);
    // Without a cookie the same, but for the SYN.
    let mut s = Stage::new(config());
    assert_eq!(send_open(&mut s, 1000, true), Ok(Opened::Begun(1000)));
    assert_eq!(s.sent(), ["S 0:0"]);
    s.arrives(answer(1, 1460, None));
    assert_eq!(s.sent(), ["P. 1:1001 ack 1"]);
}

#[test]
fn what_of_the_text_is_not_acknowledged_goes_again_at_once() {
    for acked in [0, 100, 899] {
        let mut s = with_cookie(config(), 940);
        send_open(&mut s, 900, false).unwrap();
        s.sent();
        s.arrives(answer(1 + acked, 1460, None));
        let rest = format!("P. {}:901 ack 1", 1 + acked);
        assert_eq!(s.sent(), [rest]);
        let info = s.info();
        assert_eq!(
            info.fast_open_failure,
            Some(FastOpenFailure::NotAcknowledged)
        );
        assert!(!info.syn_text);
        s.arrives(ack(1, 901));
        assert_eq!(s.info().in_flight, 0);
    }
    // More than was sent is refused, and the attempt goes on.
    let mut s = with_cookie(config(), 940);
    send_open(&mut s, 900, false).unwrap();
    s.sent();
    s.arrives(answer(902, 1460, None));
    assert_eq!(s.sent(), ["R 902:902"]);
    assert_eq!(s.state(), "SYN-SENT");
}

#[test]
fn a_syn_that_is_sent_again_is_plain() {
    let mut s = with_cookie(config(), 1460);
    send_open(&mut s, 1000, false).unwrap();
    assert_eq!(s.sent(), ["S 0:1000"]);
    s.wait(1000);
    let (syn, len) = s.headers()[0];
    assert_eq!((syn.options.fast_open, len), (None, 0));
    s.arrives(answer(1, 1460, None));
    assert_eq!(s.sent(), ["P. 1:1001 ack 1"]);
    assert_eq!(
        s.info().fast_open_failure,
        Some(FastOpenFailure::Retransmitted)
    );
    // The first SYN may still have arrived.
    another(&mut s, 4002);
    send_open(&mut s, 1000, false).unwrap();
    s.sent();
    s.wait(1000);
    s.sent();
    s.arrives(answer(1001, 1460, None));
    assert_eq!(s.sent(), [". 1001:1001 ack 1"]);
}

#[test]
fn connect_waits_for_text_where_there_is_a_cookie() {
    let mut s = with_cookie(config(), 1460);
    s.set(SocketOption::FastOpenConnect, OptionValue::Flag(true));
    let (id, to) = (s.id, s.flow.remote.into());
    let connect = |s: &mut Stage| {
        let (tcp, mut cx) = s.host();
        tcp.connect(&mut cx, id, to)
    };
    assert_eq!(connect(&mut s), Ok(()));
    assert_eq!(connect(&mut s), Err(Error::IsConnected));
    assert!(s.sent().is_empty());
    s.wait(10_000);
    assert!(s.sent().is_empty());
    assert_eq!(s.ready(), Readiness::WRITABLE);
    assert_eq!(s.read(10), Err(Error::WouldBlock));
    assert!(s.host().0.connects_on_send(id));
    // Nothing to send sends the SYN alone.
    let (tcp, mut cx) = s.host();
    let sent = tcp.send_open(&mut cx, id, None, &[], false);
    assert_eq!(sent, Err(Error::InProgress));
    let (syn, len) = s.headers()[0];
    assert_eq!((syn.options.fast_open, len), (option(&COOKIE), 0));
    assert!(!s.host().0.connects_on_send(id));
    // Without a cookie the SYN goes at once, and asks.
    let mut s = Stage::new(config());
    s.set(SocketOption::FastOpenConnect, OptionValue::Flag(true));
    s.connect();
    assert_eq!(s.headers()[0].0.options.fast_open, option(&[]));
}

#[test]
fn without_a_cookie_where_that_is_allowed() {
    let mut config = config();
    config.tcp_fast_open |= FastOpenMode::CLIENT_WITHOUT_COOKIE;
    let mut s = Stage::new(config);
    assert_eq!(send_open(&mut s, 1000, false), Ok(Opened::Begun(1000)));
    let (syn, len) = s.headers()[0];
    assert_eq!((syn.options.fast_open, len), (None, 1000));
    s.iss = syn.seq;
    // A cookie that nobody asked for is not kept; the MSS is.
    s.arrives(answer(1001, 940, option(&COOKIE)));
    assert!(s.info().syn_text);
    s.sent();
    s.pair.hosts[A].parts.config.tcp_fast_open = FastOpenMode::CLIENT;
    another(&mut s, 4001);
    assert_eq!(send_open(&mut s, 1000, false), Err(Error::InProgress));
    assert_eq!(s.headers()[0].0.options.fast_open, option(&[]));
    s.pair.hosts[A].parts.config.tcp_fast_open = FastOpenMode::empty();
    another(&mut s, 4002);
    assert_eq!(send_open(&mut s, 1000, false), Err(Error::NotSupported));
}

#[test]
fn who_ignores_the_option_is_asked_by_the_experimental_one_once() {
    let mut s = Stage::new(config());
    let mut asked = Vec::new();
    for n in 1..=4 {
        send_open(&mut s, 10, false).unwrap_err();
        let (syn, _) = s.headers()[0];
        asked.push(syn.options.fast_open.unwrap().experimental);
        s.iss = syn.seq;
        s.arrives(answer(1, 1460, None));
        s.sent();
        another(&mut s, 4000 + n);
    }
    assert_eq!(asked, [false, true, false, false]);
}

#[test]
fn it_pauses_when_it_seems_to_be_dropped() {
    let mut config = config();
    config.tcp_fast_open_pause = Duration::from_secs(3600);
    let mut s = with_cookie(config, 1460);
    send_open(&mut s, 1000, false).unwrap();
    s.wait(130_000);
    assert_eq!(s.error(), Some(Error::TimedOut));
    assert_eq!(count(&s, Counter::TcpExtTCPFastOpenBlackhole), 1);
    another(&mut s, 4002);
    s.headers();
    assert_eq!(send_open(&mut s, 1000, false), Err(Error::InProgress));
    assert_eq!(s.headers()[0].0.options.fast_open, None);
    s.wait(3_600_000);
    another(&mut s, 4003);
    assert_eq!(send_open(&mut s, 1000, false), Ok(Opened::Begun(1000)));
}

/// A listener with a backlog of 10 that takes two unproven connections.
fn listener() -> Stage {
    let mut config = config();
    config.tcp_fast_open_keys = vec![[1; 16], [2; 16]];
    let mut s = Stage::new(config);
    s.set(SocketOption::FastOpen, OptionValue::Int(2));
    let id = s.id;
    let (tcp, mut cx) = s.host();
    tcp.listen(&mut cx, id, 10).unwrap();
    s
}

fn accept(s: &mut Stage) -> Result<SocketId, Error> {
    let id = s.id;
    let (tcp, mut cx) = s.host();
    tcp.accept(&mut cx, id).map(|(id, _)| id)
}

/// A SYN with `len` bytes of text.
fn syn(fast_open: Option<FastOpen>, len: usize) -> Peer {
    let mut syn = peer(Flags::SYN, 0, 0);
    syn.options.fast_open = fast_open;
    syn.options.mss = Some(1000);
    syn.text = vec![b'p'; len];
    syn
}

fn cookie_by(key: u8) -> Option<FastOpen> {
    let (remote, local) = ([10, 0, 0, 2].into(), [10, 0, 0, 1].into());
    option(&crate::fast_open::server::cookie(&[key; 16], remote, local))
}

#[test]
fn a_cookie_is_given_and_then_a_syn_makes_a_connection() {
    let mut s = listener();
    s.arrives(syn(option(&[]), 10));
    let (answer, _) = s.headers()[0];
    assert_eq!(answer.options.fast_open, cookie_by(1));
    assert_eq!(count(&s, Counter::TcpExtTCPFastOpenCookieReqd), 1);
    // The answer that is sent again lacks it; the text was not acknowledged.
    s.wait(1000);
    let (again, _) = s.headers()[0];
    assert_eq!((again.options.fast_open, again.ack), (None, answer.ack));
    s.iss = answer.seq;
    s.arrives(ack(1, 1));
    let plain = accept(&mut s).unwrap();
    assert!(!figures(&mut s, plain).syn_text);
    s.flow.remote.port = 81;
    s.arrives(syn(cookie_by(1), 10));
    assert_eq!(s.sent(), ["S. 0:0 ack 11"]);
    // There it is, before the handshake has ended: to be read and to be written.
    let fast = accept(&mut s).unwrap();
    let (tcp, mut cx) = s.host();
    assert!(tcp.info(cx.now, fast).unwrap().syn_text);
    assert_eq!(tcp.recv(&mut cx, fast, &mut [0; 100]), Ok(10));
    assert_eq!(
        tcp.recv(&mut cx, fast, &mut [0; 100]),
        Err(Error::WouldBlock)
    );
    assert_eq!(tcp.send(&mut cx, fast, &[IoSlice::new(&[7; 100])]), Ok(100));
    assert_eq!(tcp.readiness(fast), Ok(Readiness::WRITABLE));
    assert_eq!(s.sent(), ["P. 1:101 ack 11"]);
    // Lost: our SYN goes again, and nothing else.
    s.wait(1000);
    assert_eq!(s.sent(), ["S. 0:0 ack 11"]);
    s.arrives(ack(11, 101));
    let info = figures(&mut s, fast);
    assert_eq!((info.state.name(), info.in_flight), ("ESTABLISHED", 0));
    assert_eq!(count(&s, Counter::TcpExtTCPFastOpenPassive), 1);
    assert_eq!(count(&s, Counter::TcpPassiveOpens), 2);
}

#[test]
fn cookies_are_checked() {
    let mut s = listener();
    // A wrong one gets the right one, and a SYN without text is welcome too.
    s.arrives(syn(option(&[9; 8]), 10));
    let (answer, _) = s.headers()[0];
    assert_eq!(answer.options.fast_open, cookie_by(1));
    assert_eq!(count(&s, Counter::TcpExtTCPFastOpenPassiveFail), 1);
    s.flow.remote.port = 81;
    s.arrives(syn(cookie_by(1), 0));
    assert_eq!(s.sent(), ["S. 0:0 ack 1"]);
    let id = accept(&mut s).unwrap();
    assert!(!figures(&mut s, id).syn_text);
    // One by the older key is good, and is renewed.
    s.flow.remote.port = 82;
    s.arrives(syn(cookie_by(2), 10));
    let (answer, _) = s.headers()[0];
    assert_eq!(answer.options.fast_open, cookie_by(1));
    assert_eq!(count(&s, Counter::TcpExtTCPFastOpenPassiveAltKey), 1);
    accept(&mut s).unwrap();
    // A SYN with text and without the option is like any other.
    s.flow.remote.port = 83;
    s.arrives(syn(None, 10));
    assert_eq!(s.sent(), ["S. 0:0 ack 1"]);
    // The socket's own key is before the node's.
    let mut s = listener();
    s.set(SocketOption::FastOpenKey, OptionValue::Bytes(vec![5; 16]));
    s.arrives(syn(option(&[]), 0));
    assert_eq!(s.headers()[0].0.options.fast_open, cookie_by(5));
}

#[test]
fn unproven_connections_have_a_limit_and_resets_count_for_a_minute() {
    let mut s = listener();
    let open = |s: &mut Stage, port: u16| {
        s.flow.remote.port = port;
        s.arrives(syn(cookie_by(1), 10));
        s.sent()
    };
    assert_eq!(open(&mut s, 81), ["S. 0:0 ack 11"]);
    let accepted = accept(&mut s).unwrap();
    assert_eq!(open(&mut s, 82), ["S. 0:0 ack 11"]);
    let iss = s.iss;
    // Two are unproven: the third has to shake hands.
    assert_eq!(open(&mut s, 83), ["S. 0:0 ack 1"]);
    assert_eq!(count(&s, Counter::TcpExtTCPFastOpenListenOverflow), 1);
    // A proven one makes room.
    s.flow.remote.port = 82;
    s.iss = iss;
    s.arrives(text(11, 1, 5));
    s.sent();
    assert_eq!(open(&mut s, 84), ["S. 0:0 ack 11"]);
    // One that is reset after it was accepted counts for a minute.
    s.flow.remote.port = 81;
    s.arrives(peer(Flags::RST, 11, 0));
    let (tcp, mut cx) = s.host();
    assert_eq!(tcp.recv(&mut cx, accepted, &mut [0; 100]), Ok(10));
    let read = tcp.recv(&mut cx, accepted, &mut [0; 100]);
    assert_eq!(read, Err(Error::ConnectionReset));
    assert_eq!(open(&mut s, 85), ["S. 0:0 ack 1"]);
    s.wait(60_000);
    s.headers();
    assert_eq!(open(&mut s, 86), ["S. 0:0 ack 11"]);
}

#[test]
fn what_ends_before_it_is_proven() {
    // The listener closes: who was not accepted is reset.
    let mut s = listener();
    s.arrives(syn(cookie_by(1), 10));
    s.sent();
    let id = s.id;
    let (tcp, mut cx) = s.host();
    tcp.close(&mut cx, id).unwrap();
    assert_eq!(s.sent(), ["R. 1:1 ack 11"]);
    assert!(s.pair.is_clean(A));
    // The user closes with text unread: a reset.
    let mut s = listener();
    s.arrives(syn(cookie_by(1), 10));
    s.sent();
    let id = accept(&mut s).unwrap();
    let (tcp, mut cx) = s.host();
    tcp.close(&mut cx, id).unwrap();
    assert_eq!(s.sent(), ["R. 1:1 ack 11"]);
    // All read: the FIN goes out before the proof, and the SYN again until then.
    let mut s = listener();
    s.arrives(syn(cookie_by(1), 10));
    s.sent();
    let id = accept(&mut s).unwrap();
    let (tcp, mut cx) = s.host();
    tcp.recv(&mut cx, id, &mut [0; 100]).unwrap();
    tcp.close(&mut cx, id).unwrap();
    assert_eq!(s.sent(), ["F. 1:1 ack 11"]);
    s.wait(1000);
    assert_eq!(s.sent(), ["S. 0:0 ack 11"]);
    s.arrives(ack(11, 1));
    s.wait(10_000);
    assert_eq!(s.sent()[0], "F. 1:1 ack 11");
    s.arrives(peer(Flags::FIN | Flags::ACK, 11, 2));
    assert_eq!(s.sent(), [". 2:2 ack 12"]);
    // Nobody answers: the SYN goes seven times in all, and the user learns of it.
    let mut s = listener();
    s.arrives(syn(cookie_by(1), 10));
    let id = accept(&mut s).unwrap();
    s.wait(300_000);
    assert_eq!(s.sent().len(), 7);
    let (tcp, mut cx) = s.host();
    assert_eq!(tcp.recv(&mut cx, id, &mut [0; 100]), Ok(10));
    let read = tcp.recv(&mut cx, id, &mut [0; 100]);
    assert_eq!(read, Err(Error::TimedOut));
}
