//! A connection made of segments by hand: what a report shows of it.

use crate::{Facts, POINTS_MAX, Recorder, Way};
use sockeye_core::{Instant, Medium, Packet};
use sockeye_wire::tcp::{Flags, Header};
use sockeye_wire::tcp_options::{Options, SackBlock};
use sockeye_wire::{Bounded, IpProtocol, SeqNum, checksum, ipv4, tcp};
use std::net::Ipv4Addr;

const NODE: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// Close to the end of the numbers, so that they wrap.
const ISS: u32 = u32::MAX - 2000;
const IRS: u32 = 7;

/// Plays segments to a recorder, one each millisecond.
#[derive(Default)]
struct Play {
    recorder: Recorder,
    ms: u64,
}

impl Play {
    fn packet(&mut self, way: Way, packet: &Packet) {
        self.ms += 1;
        let at = Instant::from_millis(self.ms);
        self.recorder.on_packet(at, Medium::Ip, way, packet);
    }

    fn segment(&mut self, way: Way, flags: Flags, seq: u32, ack: u32, text: usize) {
        self.packet(way, &packet(way, flags, seq, ack, text, &[]));
    }

    fn handshake(&mut self) {
        self.segment(Way::Sent, Flags::SYN, ISS, 0, 0);
        let [ack, next] = [ISS, IRS].map(|n| n.wrapping_add(1));
        self.segment(Way::Received, Flags::SYN | Flags::ACK, IRS, ack, 0);
        self.segment(Way::Sent, Flags::ACK, ack, next, 0);
    }

    fn html(&self, title: &str) -> String {
        self.recorder.report(facts(title)).html()
    }
}

fn facts(title: &str) -> Facts {
    Facts {
        title: title.into(),
        lines: vec![("links".into(), "user<&>".into())],
        counters: vec![("TcpOutSegs", 1234)],
    }
}

fn packet(way: Way, flags: Flags, seq: u32, ack: u32, text: usize, sack: &[[u32; 2]]) -> Packet {
    let (source, destination, ports) = match way {
        Way::Sent => (NODE, PEER, [4000, 80]),
        Way::Received => (PEER, NODE, [80, 4000]),
    };
    let blocks: Vec<SackBlock> = sack
        .iter()
        .map(|&[start, end]| SackBlock {
            start: SeqNum(start),
            end: SeqNum(end),
        })
        .collect();
    let header = Header {
        source_port: ports[0],
        destination_port: ports[1],
        seq: SeqNum(seq),
        ack: SeqNum(ack),
        flags,
        window: 60_000,
        options: Options {
            sack: Bounded::from_slice(&blocks).unwrap(),
            ..Options::default()
        },
        ..Header::default()
    };
    let head = header.header_len();
    let mut bytes = vec![0; ipv4::HEADER_LEN + head + text];
    let len = (head + text) as u16;
    ipv4::Header::new(source, destination, IpProtocol::TCP, len).emit(&mut bytes);
    let segment = &mut bytes[ipv4::HEADER_LEN..];
    header.emit(segment);
    tcp::set_checksum(segment, 0);
    let sum = checksum::transport(
        source.into(),
        destination.into(),
        IpProtocol::TCP,
        len.into(),
        [&*segment],
    );
    tcp::set_checksum(segment, sum.finish());
    Packet::from_vec(bytes)
}

/// The subpaths of all elements of a class.
fn strokes(html: &str, class: &str) -> usize {
    let begin = format!("<path class=\"{class}\"");
    html.split(&begin)
        .skip(1)
        .filter_map(|rest| rest.split_once(" d=\"")?.1.split('"').next())
        .map(|path| path.matches('M').count())
        .sum()
}

/// Ten segments of which the third is lost and sent again, across the end of the numbers.
fn lossy() -> Play {
    let mut play = Play::default();
    play.handshake();
    let at = |n: u32| ISS.wrapping_add(1 + 1000 * n);
    let next = IRS + 1;
    for n in 0..10 {
        play.segment(Way::Sent, Flags::ACK, at(n), next, 1000);
    }
    play.segment(Way::Received, Flags::ACK, next, at(2), 0);
    for n in 3..6 {
        let block = [at(3), at(n + 1)];
        let told = packet(Way::Received, Flags::ACK, next, at(2), 0, &[block]);
        play.packet(Way::Received, &told);
    }
    play.segment(Way::Sent, Flags::ACK, at(2), next, 1000);
    play.segment(Way::Received, Flags::ACK, next, at(10), 0);
    play.segment(Way::Sent, Flags::FIN | Flags::ACK, at(10), next, 0);
    let beyond = at(10).wrapping_add(1);
    play.segment(Way::Received, Flags::FIN | Flags::ACK, next, beyond, 0);
    play.segment(Way::Sent, Flags::ACK, beyond, next + 1, 0);
    play
}

#[test]
fn each_segment_is_drawn_as_what_it_is() {
    let html = lossy().html("test");
    // The SYN and the FIN are data, too, of one number each.
    assert_eq!(strokes(&html, "sent-text"), 12);
    assert_eq!(strokes(&html, "again"), 1);
    assert_eq!(strokes(&html, "sack"), 3);
    assert_eq!(strokes(&html, "repeated"), 3);
    assert!(html.contains("1000 octets from 2,001 again, at "), "{html}");
    // SYN, SYN ACK, ACK; FIN, FIN ACK, ACK.
    assert_eq!(html.matches("class=\"rung\"").count(), 6);
    assert!(html.contains("11 segments sent with 11 kB"), "{html}");
    assert!(html.contains("<div><span>TcpOutSegs</span><b>1,234</b></div>"));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let (one, other) = (lossy(), lossy());
    assert_eq!(one.html("a"), other.html("a"));
    let svg = |play: &Play| play.recorder.report(facts("a")).svg();
    assert_eq!(svg(&one), svg(&other));
    assert_eq!(strokes(&svg(&one), "sent-text"), 12);
}

#[test]
fn nothing_is_fetched_and_nothing_from_outside_is_markup() {
    let play = lossy();
    for text in [
        play.html("<b>\"x\"</b>"),
        play.recorder.report(facts("<b>")).svg(),
    ] {
        assert!(!text.contains("<b>\"x\""), "{text}");
        assert!(text.contains("&lt;b&gt;") && text.contains("user&lt;&amp;&gt;"));
        for fetching in [
            "<script", "<link", "<img", "url(", "@import", "src=", "xlink",
        ] {
            assert!(!text.contains(fetching), "{fetching}");
        }
        // A name, not an address that is fetched.
        let text = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("http://") && !text.contains("https://"));
    }
}

#[test]
fn what_is_drawn_of_a_long_connection_is_bounded_and_said() {
    let mut play = Play::default();
    play.handshake();
    let count = 3 * POINTS_MAX as u32;
    for n in 0..count {
        let at = ISS.wrapping_add(1 + 100 * n);
        play.segment(Way::Sent, Flags::ACK, at, IRS + 1, 100);
        if n % 2 == 1 {
            play.segment(Way::Received, Flags::ACK, IRS + 1, at.wrapping_add(100), 0);
        }
    }
    let html = play.html("long");
    let drawn = strokes(&html, "sent-text");
    assert!((POINTS_MAX / 2..=POINTS_MAX).contains(&drawn), "{drawn}");
    assert!(
        html.contains("drawn: every 4th of 12,289 data"),
        "{}",
        &html[..9000]
    );
    assert!(html.len() < 1 << 20, "{} bytes", html.len());
}

#[test]
fn what_the_node_does_not_take_is_not_drawn() {
    let mut play = Play::default();
    play.handshake();
    let before = play.html("x");
    // Corrupted on the way; far outside of the window; an acknowledgment of what was never sent.
    let text = packet(
        Way::Received,
        Flags::ACK,
        IRS + 1,
        ISS.wrapping_add(1),
        10,
        &[],
    );
    let mut bytes = text.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    play.packet(Way::Received, &Packet::from_vec(bytes));
    assert_eq!(play.html("x"), before);
    play.segment(
        Way::Received,
        Flags::ACK,
        IRS + 1_000_000,
        ISS.wrapping_add(1),
        10,
    );
    let acks = packet(
        Way::Received,
        Flags::ACK,
        IRS + 1,
        ISS.wrapping_add(5000),
        0,
        &[],
    );
    play.packet(Way::Received, &acks);
    assert!(!play.html("x").contains("sequence-"));
    // The next segment is taken.
    play.packet(Way::Received, &text);
    assert_eq!(strokes(&play.html("x"), "received-text"), 2);
}

#[test]
fn ports_that_are_used_again_are_another_connection() {
    let mut play = lossy();
    play.segment(Way::Sent, Flags::SYN, 1000, 0, 0);
    play.segment(Way::Received, Flags::RST | Flags::ACK, 0, 1001, 0);
    let html = play.html("x");
    assert!(html.contains("<h2>2 TCP connections</h2>"), "{html}");
    assert_eq!(strokes(&html, "sent-text"), 12);
}
