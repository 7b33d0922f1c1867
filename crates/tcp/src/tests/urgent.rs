//! Traces of urgent data, and a model of a stream with urgent octets on lossy wires.

use super::pair::{A, B, Pair, Wire};
use super::stage::{Peer, Stage, ack, peer};
use core::time::Duration;
use proptest::prelude::*;
use sockeye_core::{Config, Error, OptionValue, Readiness, SocketId, SocketOption};
use sockeye_wire::tcp::Flags;
use sockeye_wire::tcp_options::Options;
use std::io::IoSlice;

fn text(seq: u32, text: &[u8]) -> Peer {
    Peer {
        text: text.into(),
        ..peer(Flags::ACK, seq, 1)
    }
}

/// Text of the peer with the urgent pointer `up`.
fn urgent(seq: u32, bytes: &[u8], up: u16) -> Peer {
    Peer {
        flags: Flags::ACK | Flags::URG,
        up,
        ..text(seq, bytes)
    }
}

impl Stage {
    fn read_text(&mut self, max: usize) -> Result<String, Error> {
        let mut out = vec![0; max];
        let id = self.id;
        let (tcp, mut cx) = self.host();
        let n = tcp.recv(&mut cx, id, &mut out)?;
        Ok(String::from_utf8(out[..n].to_vec()).unwrap())
    }

    fn peek_text(&mut self, max: usize) -> Result<String, Error> {
        let mut out = vec![0; max];
        let id = self.id;
        let (tcp, mut cx) = self.host();
        let n = tcp.peek(&mut cx, id, &mut out)?;
        Ok(String::from_utf8(out[..n].to_vec()).unwrap())
    }

    /// The urgent octet by itself.
    fn oob(&mut self, peek: bool) -> Result<char, Error> {
        let mut out = [0; 4];
        let id = self.id;
        let (tcp, mut cx) = self.host();
        let n = tcp.recv_urgent(&mut cx, id, &mut out, peek)?;
        assert!(n <= 1);
        Ok(if n == 1 { out[0].into() } else { '-' })
    }

    fn at_mark(&mut self) -> bool {
        let id = self.id;
        self.host().0.at_mark(id).unwrap()
    }

    fn readable(&mut self) -> usize {
        let id = self.id;
        self.host().0.queued(id).unwrap().readable
    }

    fn inline(&mut self, on: bool) {
        self.set(SocketOption::OobInline, OptionValue::Flag(on));
    }

    fn write_urgent(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let id = self.id;
        let (tcp, mut cx) = self.host();
        tcp.send_urgent(&mut cx, id, &[IoSlice::new(bytes)])
    }
}

#[test]
fn the_urgent_octet_is_taken_out_and_reads_stop_at_its_place() {
    let mut s = Stage::plain();
    s.arrives(urgent(1, b"ab!", 3));
    s.arrives(text(4, b"cd"));
    let ready = Readiness::READABLE | Readiness::WRITABLE | Readiness::PRIORITY;
    assert_eq!(s.ready(), ready);
    assert_eq!((s.readable(), s.at_mark()), (2, false));
    assert_eq!(s.peek_text(9), Ok("ab".into()));
    assert_eq!(s.oob(true), Ok('!'));
    assert_eq!(s.read_text(1), Ok("a".into()));
    assert_eq!(s.read_text(9), Ok("b".into()));
    assert_eq!((s.readable(), s.at_mark()), (0, true));
    assert_eq!(s.oob(false), Ok('!'));
    assert_eq!(s.oob(false), Err(Error::Invalid));
    assert_eq!(s.ready(), Readiness::READABLE | Readiness::WRITABLE);
    // Still at the mark, until what lies behind it is read.
    assert_eq!(s.peek_text(9), Ok("cd".into()));
    assert!(s.at_mark());
    assert_eq!(s.read_text(9), Ok("cd".into()));
    assert!(!s.at_mark());
    assert_eq!(s.read_text(9), Err(Error::WouldBlock));
}

#[test]
fn alone_it_is_no_ordinary_text() {
    let mut s = Stage::plain();
    s.arrives(urgent(1, b"!", 1));
    assert_eq!(s.ready(), Readiness::WRITABLE | Readiness::PRIORITY);
    assert_eq!(s.peek_text(9), Err(Error::WouldBlock));
    assert_eq!(s.oob(true), Ok('!'));
    // As in Linux, a read goes over it, and then it is lost.
    assert_eq!(s.read_text(9), Err(Error::WouldBlock));
    assert_eq!(s.oob(false), Err(Error::Invalid));
    s.arrives(text(2, b"a"));
    assert_eq!(s.read_text(9), Ok("a".into()));
}

#[test]
fn inline_it_is_part_of_the_stream_and_the_mark_lies_before_it() {
    let mut s = Stage::plain();
    s.inline(true);
    s.arrives(urgent(1, b"ab!cd", 3));
    assert_eq!(s.oob(false), Err(Error::Invalid));
    assert_eq!(s.readable(), 5);
    assert!(s.ready().contains(Readiness::PRIORITY));
    assert_eq!(s.read_text(9), Ok("ab".into()));
    assert!(s.at_mark());
    assert_eq!(s.read_text(9), Ok("!cd".into()));
    assert!(!s.at_mark());
    assert!(!s.ready().contains(Readiness::PRIORITY));
}

#[test]
fn what_was_announced_and_has_not_arrived_is_waited_for() {
    let mut s = Stage::plain();
    // Four octets ahead of what came.
    s.arrives(urgent(1, b"ab", 6));
    assert_eq!(s.oob(false), Err(Error::WouldBlock));
    assert!(!s.ready().contains(Readiness::PRIORITY));
    assert_eq!(s.read_text(9), Ok("ab".into()));
    s.arrives(text(3, b"cde!f"));
    assert!(s.ready().contains(Readiness::PRIORITY));
    assert_eq!(s.read_text(9), Ok("cde".into()));
    assert_eq!(s.oob(false), Ok('!'));
    assert_eq!(s.read_text(9), Ok("f".into()));
    // After the peer's FIN it can't come any more.
    s.arrives(urgent(8, b"g", 9));
    s.arrives(peer(Flags::ACK | Flags::FIN, 9, 1));
    assert_eq!(s.oob(false), Ok('-'));
}

#[test]
fn a_second_one_makes_ordinary_text_of_the_first() {
    let mut s = Stage::plain();
    s.arrives(urgent(1, b"a1", 2));
    s.arrives(urgent(3, b"b2", 2));
    s.arrives(text(5, b"c"));
    assert_eq!(s.oob(false), Ok('2'));
    assert_eq!(s.read_text(9), Ok("a1b".into()));
    assert_eq!(s.read_text(9), Ok("c".into()));
    // When everything before the first was read, it stays out.
    s.arrives(urgent(6, b"3", 1));
    s.arrives(urgent(7, b"d4", 2));
    assert_eq!(s.read_text(9), Ok("d".into()));
    assert_eq!(s.oob(false), Ok('4'));
}

#[test]
fn a_pointer_never_moves_back_nor_is_it_replayed() {
    let mut s = Stage::plain();
    s.arrives(urgent(1, b"ab!", 3));
    assert_eq!(s.oob(false), Ok('!'));
    // The same segment again, and pointers to what was before it.
    s.arrives(urgent(1, b"ab!", 3));
    s.arrives(urgent(1, b"ab!", 1));
    assert_eq!(s.oob(false), Err(Error::Invalid));
    assert_eq!(s.read_text(9), Ok("ab".into()));
    assert!(s.at_mark());
    // The first octet behind it, by a pointer of 0.
    s.arrives(urgent(4, b"", 0));
    assert_eq!(s.oob(false), Err(Error::WouldBlock));
    s.arrives(urgent(4, b"?", 1));
    assert_eq!(s.oob(false), Ok('?'));
}

#[test]
fn out_of_order_it_is_found() {
    let mut s = Stage::plain();
    s.arrives(urgent(4, b"d!e", 2));
    assert_eq!(s.oob(true), Ok('!'));
    s.arrives(text(1, b"abc"));
    assert_eq!(s.read_text(9), Ok("abcd".into()));
    assert_eq!(s.read_text(9), Ok("e".into()));
    // The octet comes first, its announcement after.
    s.arrives(text(9, b"?x"));
    s.arrives(urgent(7, b"", 3));
    assert_eq!(s.oob(false), Err(Error::WouldBlock));
    s.arrives(text(7, b"gh"));
    assert_eq!(s.oob(false), Ok('?'));
    assert_eq!(s.read_text(9), Ok("gh".into()));
}

/// RFC 9293 §3.10.7.4 (MUST-66): URG counts though the window is closed.
#[test]
fn a_closed_window_lets_an_announcement_in() {
    let mut s = Stage::new(Config {
        tcp_rmem: (4096, 4096, 4096),
        ..Config::default()
    });
    s.connect();
    s.sent();
    s.arrives(peer(Flags::SYN | Flags::ACK, 0, 1));
    s.arrives(text(1, &[b'x'; 2048]));
    assert_eq!(s.info().rcv_wnd, 0);
    s.arrives(urgent(2049, b"!", 1));
    assert_eq!(s.oob(false), Err(Error::WouldBlock));
    assert_eq!(s.read(4096), Ok(2048));
    assert!(s.at_mark());
    // The window is open again.
    s.sent();
    s.arrives(text(2049, b"!y"));
    assert_eq!(s.oob(false), Ok('!'));
    assert_eq!(s.read_text(9), Ok("y".into()));
}

#[test]
fn a_reset_ends_it_and_a_close_by_the_peer_does_not() {
    let mut s = Stage::plain();
    s.arrives(Peer {
        flags: Flags::ACK | Flags::URG | Flags::FIN,
        ..urgent(1, b"!", 1)
    });
    assert_eq!(s.oob(true), Ok('!'));
    let mut s = Stage::plain();
    s.arrives(urgent(1, b"!", 1));
    s.arrives(peer(Flags::RST, 2, 0));
    assert_eq!(s.oob(true), Err(Error::NotConnected));
}

#[test]
fn a_socket_without_a_connection_has_none() {
    let mut s = Stage::new(Config::default());
    assert_eq!(s.oob(false), Err(Error::Invalid));
    assert!(!s.at_mark());
    let id = s.id;
    let (tcp, mut cx) = s.host();
    tcp.listen(&mut cx, id, 1).unwrap();
    assert_eq!(s.oob(false), Err(Error::NotConnected));
}

#[test]
fn a_low_water_mark_does_not_count_it() {
    let mut s = Stage::plain();
    s.set(SocketOption::ReceiveLowWater, OptionValue::Int(2));
    s.arrives(urgent(1, b"!a", 1));
    assert!(!s.ready().contains(Readiness::READABLE));
    s.arrives(text(3, b"b"));
    assert!(s.ready().contains(Readiness::READABLE));
}

#[test]
fn segments_point_behind_urgent_data_until_it_is_acknowledged() {
    let mut s = Stage::plain();
    s.arrives(ack(1, 1));
    assert_eq!(s.write_urgent(b"abc!"), Ok(4));
    assert_eq!(s.sent(), ["PU. 1:5 ack 1 up 4"]);
    // Nagle's algorithm does not hold anything back meanwhile, and what lies behind does not point.
    s.write(3).unwrap();
    assert_eq!(s.sent(), ["P. 5:8 ack 1"]);
    s.wait(2000);
    let again = s.sent();
    assert!(
        again.iter().any(|line| line == "PU. 1:5 ack 1 up 4"),
        "{again:?}"
    );
    // Cork does not either; a second one moves the pointer.
    s.arrives(ack(1, 8));
    s.set(SocketOption::Cork, OptionValue::Flag(true));
    s.write(2).unwrap();
    assert_eq!(s.sent(), [""; 0]);
    s.write_urgent(b"1").unwrap();
    assert_eq!(s.sent(), ["PU. 8:11 ack 1 up 3"]);
}

#[test]
fn each_wire_segment_before_the_octet_announces_it() {
    let mut s = Stage::plain();
    s.window = 60_000;
    s.arrives(ack(1, 1));
    s.write(2500).unwrap();
    s.sent();
    s.arrives(ack(1, 2501));
    s.write(10).unwrap();
    s.sent();
    s.set(SocketOption::NoDelay, OptionValue::Flag(true));
    s.write_urgent(&[b'u'; 2500]).unwrap();
    s.write(1000).unwrap();
    assert_eq!(
        s.sent(),
        [
            "U. 2511:3511 ack 1 up 2500",
            "U. 3511:4511 ack 1 up 1500",
            "U. 4511:5511 ack 1 up 500",
            "P. 5511:6011 ack 1",
        ]
    );
}

#[test]
fn an_acknowledgment_announces_what_the_window_keeps_back() {
    let mut s = Stage::plain();
    s.window = 1000;
    s.arrives(ack(1, 1));
    s.write(1000).unwrap();
    s.sent();
    s.window = 0;
    s.arrives(ack(1, 1001));
    s.write_urgent(b"!").unwrap();
    assert_eq!(s.sent(), [""; 0]);
    s.arrives(text(1, b"abc"));
    s.wait(40);
    assert_eq!(s.sent(), ["U. 1001:1001 ack 4 up 1"]);
}

#[test]
fn too_far_ahead_it_is_announced_as_far_as_the_pointer_goes() {
    let mut s = Stage::plain();
    s.window = 5000;
    s.arrives(ack(1, 1));
    s.pair.hosts[A].parts.config.tcp_wmem = (4096, 200_000, 200_000);
    s.set(SocketOption::SendBuffer, OptionValue::Int(200_000));
    assert_eq!(s.write_urgent(&[b'u'; 100_000]), Ok(100_000));
    assert_eq!(s.sent()[0], "U. 1:1001 ack 1 up 65535");
}

/// RFC 1122 §4.2.2.4, where it is asked for.
#[test]
fn with_tcp_stdurg_the_pointer_means_the_last_octet() {
    let config = Config {
        tcp_stdurg: true,
        ..Config::default()
    };
    let options = Options {
        mss: Some(1000),
        ..Options::default()
    };
    let mut s = Stage::connected(config, options);
    s.write_urgent(b"ab!").unwrap();
    assert_eq!(s.sent(), ["PU. 1:4 ack 1 up 2"]);
    s.arrives(urgent(1, b"ab!c", 2));
    assert_eq!(s.read_text(9), Ok("ab".into()));
    assert_eq!(s.oob(false), Ok('!'));
}

/// What one side sends, and what the other gets of it.
struct Model {
    /// Ordinary bytes are below 128, urgent ones above.
    pieces: Vec<(Vec<u8>, bool)>,
    stream: Vec<u8>,
    oob: Vec<u8>,
}

impl Model {
    fn new(lens: &[(usize, bool)]) -> Self {
        let mut ordinary = 0u32;
        let mut last = 128u8;
        let mut pieces = Vec::new();
        for &(len, is_urgent) in lens {
            let mut piece = Vec::new();
            for _ in 0..len {
                ordinary += 1;
                piece.push((ordinary % 127) as u8);
            }
            if is_urgent {
                last = (last + 1) | 128;
                pieces.push((piece, false));
                pieces.push((vec![last], true));
            } else {
                pieces.push((piece, false));
            }
        }
        Self {
            pieces,
            stream: Vec::new(),
            oob: Vec::new(),
        }
    }

    fn all(&self) -> Vec<u8> {
        let pieces = self.pieces.iter();
        pieces.flat_map(|(bytes, _)| bytes).copied().collect()
    }

    /// Reads what there is; true at the end of the stream.
    fn read(&mut self, pair: &mut Pair, id: SocketId, gulp: usize) -> bool {
        loop {
            let (tcp, mut cx) = pair.host(B);
            let mut octet = [0];
            if tcp.recv_urgent(&mut cx, id, &mut octet, false) == Ok(1) {
                self.oob.push(octet[0]);
            }
            let mut out = vec![0; gulp];
            match tcp.recv(&mut cx, id, &mut out) {
                Ok(0) => return true,
                Ok(n) => self.stream.extend(&out[..n]),
                Err(error) => {
                    assert_eq!(error, Error::WouldBlock);
                    return false;
                }
            }
        }
    }

    fn run(&mut self, pair: &mut Pair, inline: bool, gulp: usize) {
        let (a, b) = pair.connection();
        let (tcp, mut cx) = pair.host(B);
        let value = OptionValue::Flag(inline);
        tcp.set_option(&mut cx, b, SocketOption::OobInline, value)
            .unwrap();
        let pieces = std::mem::take(&mut self.pieces);
        for (piece, is_urgent) in &pieces {
            let mut sent = 0;
            while sent < piece.len() {
                let (tcp, mut cx) = pair.host(A);
                let data = [IoSlice::new(&piece[sent..])];
                let took = match is_urgent {
                    true => tcp.send_urgent(&mut cx, a, &data),
                    false => tcp.send(&mut cx, a, &data),
                };
                match took {
                    Ok(n) => sent += n,
                    Err(error) => {
                        assert_eq!(error, Error::WouldBlock);
                        assert!(pair.step());
                        self.read(pair, b, gulp);
                    }
                }
            }
            // Now and then the wire gets a moment before the next piece.
            if piece.len() % 3 == 0 {
                pair.step();
                self.read(pair, b, gulp);
            }
        }
        self.pieces = pieces;
        pair.shutdown_write(A, a);
        while !self.read(pair, b, gulp) {
            assert!(pair.step(), "the connection has stopped");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn every_ordinary_byte_comes_once_and_in_order(
        seed: u8,
        loss in 0u32..150,
        reorder in 0u32..300,
        cut: bool,
        inline: bool,
        gulp in prop_oneof![Just(1usize << 16), 1usize..300],
        lens in proptest::collection::vec((0usize..4000, any::<bool>()), 1..30),
    ) {
        let wire = Wire { loss, reorder, cut, delay: Duration::from_millis(5), ..Wire::default() };
        let config = Config { tcp_retries2: 60, tcp_syn_retries: 30, tcp_synack_retries: 30, ..Config::default() };
        let mut pair = Pair::with(wire, config, seed);
        let mut model = Model::new(&lens);
        model.run(&mut pair, inline, gulp);
        let all = model.all();
        if inline {
            prop_assert!(model.stream == all, "inline, the stream is all that was sent");
            prop_assert!(model.oob.is_empty());
        } else {
            let ordinary = |bytes: &[u8]| bytes.iter().filter(|b| **b < 128).copied().collect::<Vec<_>>();
            prop_assert!(ordinary(&model.stream) == ordinary(&all));
            // An urgent octet is lost, or comes in its order on one of both ways, or on both.
            let mut left = all.iter();
            prop_assert!(model.oob.iter().all(|octet| left.any(|sent| sent == octet)));
            let mut left = all.iter();
            prop_assert!(model.stream.iter().all(|octet| left.any(|sent| sent == octet)));
        }
    }
}
