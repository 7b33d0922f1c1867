//! Every state against every event, as RFC 9293 §3.10 has them: the table below was written from
//! the text, and the code has to agree with each of its cells.
//!
//! A cell is the state that follows (`=` for the same one; `gone` when nothing is left) and the
//! answer (`-` for none); for a user call also what it returns. N is our SND.NXT, P our RCV.NXT.
//! Where sockets leave the RFC, or an RFC after it does, a note stands beside the row.

use super::pair::{A, Pair, Wire};
use crate::{State, Tcp};
use core::time::Duration;
use sockeye_core::demux::Flow;
use sockeye_core::{Error, IpInfo, Packet, Shutdown, SocketId, Transport};
use sockeye_wire::tcp::{Flags, Header};
use sockeye_wire::{IpProtocol, SeqNum};
use std::io::IoSlice;
use std::net::SocketAddr;

/// The states as columns. SYN-RECEIVED is two: from LISTEN (passive) and from SYN-SENT (active).
const COLUMNS: [&str; 12] = [
    "CLOSED",
    "LISTEN",
    "SYN-SENT",
    "SYN-RECEIVED, passive",
    "SYN-RECEIVED, active",
    "ESTABLISHED",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "CLOSE-WAIT",
    "CLOSING",
    "LAST-ACK",
    "TIME-WAIT",
];

/// Event, then a cell for each column.
const TABLE: &[(&str, [&str; 12])] = &[
    // §3.10.7.1; §3.10.7.2 first; §3.10.7.3 second: without ACK; §3.10.7.4 second: 2).
    ("RST at P", [
        "= -", "= -", "= -", "gone -", "CLOSED -", "CLOSED -", "CLOSED -", "CLOSED -", "CLOSED -",
        "CLOSED -", "CLOSED -", "CLOSED -",
    ]),
    ("RST,ACK at P for N", [
        "= -", "= -", "CLOSED -", "gone -", "CLOSED -", "CLOSED -", "CLOSED -", "CLOSED -",
        "CLOSED -", "CLOSED -", "CLOSED -", "CLOSED -",
    ]),
    // §3.10.7.4 second: 3), a challenge.
    ("RST at P+1", [
        "= -", "= -", "= -", "= ACK", "= ACK", "= ACK", "= ACK", "= ACK", "= ACK", "= ACK",
        "= ACK", "= ACK",
    ]),
    // §3.10.7.4 second: 1).
    ("RST at P-1", [
        "= -", "= -", "= -", "= -", "= -", "= -", "= -", "= -", "= -", "= -", "= -", "= -",
    ]),
    // §3.10.7.2 third (the listener goes on, a connection stands beside it); §3.10.7.3 fourth:
    // simultaneous open; §3.10.7.4 fourth: back to LISTEN, or a challenge.
    ("SYN at P", [
        "= RST,ACK", "= SYN,ACK", "SYN-RECEIVED SYN,ACK", "gone -", "= ACK", "= ACK", "= ACK",
        "= ACK", "= ACK", "= ACK", "= ACK", "= ACK",
    ]),
    ("SYN,ACK at P for N", [
        "= RST", "= RST", "ESTABLISHED ACK", "gone -", "= ACK", "= ACK", "= ACK", "= ACK", "= ACK",
        "= ACK", "= ACK", "= ACK",
    ]),
    ("SYN,ACK at P for N+1", [
        "= RST", "= RST", "= RST", "gone -", "= ACK", "= ACK", "= ACK", "= ACK", "= ACK", "= ACK",
        "= ACK", "= ACK",
    ]),
    // §3.10.7.4 fifth.
    ("ACK at P for N", [
        "= RST", "= RST", "= -", "ESTABLISHED -", "ESTABLISHED -", "= -", "FIN-WAIT-2 -", "= -",
        "= -", "TIME-WAIT -", "CLOSED -", "= -",
    ]),
    ("ACK at P for N+1", [
        "= RST", "= RST", "= RST", "= RST", "= RST", "= ACK", "= ACK", "= ACK", "= ACK", "= ACK",
        "= ACK", "= ACK",
    ]),
    // RFC 5961 §5.2; TIME-WAIT has no SND.UNA to judge it by.
    ("ACK at P for N-2^30", [
        "= RST", "= RST", "= RST", "= RST", "= RST", "= ACK", "= ACK", "= ACK", "= ACK", "= ACK",
        "= ACK", "= -",
    ]),
    // §3.10.7.2 fourth, §3.10.7.3 fifth, §3.10.7.4 fifth: the ACK bit is off.
    ("text at P without ACK", [
        "= RST,ACK", "= -", "= -", "= -", "= -", "= -", "= -", "= -", "= -", "= -", "= -", "= -",
    ]),
    // §3.10.7.4 seventh: after the peer's FIN the text is ignored.
    ("text at P for N", [
        "= RST", "= RST", "= -", "ESTABLISHED ACK", "ESTABLISHED ACK", "= ACK", "FIN-WAIT-2 ACK",
        "= ACK", "= -", "TIME-WAIT -", "CLOSED -", "= ACK",
    ]),
    ("text at P+10 for N", [
        "= RST", "= RST", "= -", "ESTABLISHED ACK", "ESTABLISHED ACK", "= ACK", "FIN-WAIT-2 ACK",
        "= ACK", "= -", "TIME-WAIT -", "CLOSED -", "= ACK",
    ]),
    // §3.10.7.4 first: not acceptable; its ACK does not count.
    ("text at P-10 for N", [
        "= RST", "= RST", "= -", "= ACK", "= ACK", "= ACK", "= ACK", "= ACK", "= ACK", "= ACK",
        "= ACK", "= ACK",
    ]),
    ("text beyond the window", [
        "= RST", "= RST", "= -", "= ACK", "= ACK", "= ACK", "= ACK", "= ACK", "= ACK", "= ACK",
        "= ACK", "= ACK",
    ]),
    // §3.10.7.4 eighth: "remain", and an acknowledgment, after the first FIN; fifth: CLOSING ignores
    // what does not acknowledge our FIN.
    ("FIN at P for N", [
        "= RST", "= RST", "= -", "CLOSE-WAIT ACK", "CLOSE-WAIT ACK", "CLOSE-WAIT ACK",
        "TIME-WAIT ACK", "TIME-WAIT ACK", "= ACK", "TIME-WAIT -", "CLOSED -", "= ACK",
    ]),
    ("FIN at P for N-1", [
        "= RST", "= RST", "= RST", "= RST", "= RST", "CLOSE-WAIT ACK", "CLOSING ACK",
        "TIME-WAIT ACK", "= ACK", "= -", "= ACK", "= ACK",
    ]),
    // The FIN waits for the text before it.
    ("FIN at P+10 for N", [
        "= RST", "= RST", "= -", "ESTABLISHED ACK", "ESTABLISHED ACK", "= ACK", "FIN-WAIT-2 ACK",
        "= ACK", "= ACK", "TIME-WAIT -", "CLOSED -", "= ACK",
    ]),
    // The FIN that is there already, again.
    ("FIN at P-1 for N", [
        "= RST", "= RST", "= -", "= ACK", "= ACK", "= ACK", "= ACK", "= ACK", "= ACK", "= ACK",
        "= ACK", "= ACK",
    ]),
    // §3.10.1. In LISTEN sockets answer EISCONN (Linux) instead of turning active.
    ("OPEN active", [
        "SYN-SENT SYN InProgress", "= - IsConnected", "= - Already", "= - BadSocket",
        "= - Already", "= - IsConnected", "= - IsConnected", "= - IsConnected", "= - IsConnected",
        "= - IsConnected", "= - IsConnected", "= - IsConnected",
    ]),
    ("OPEN passive", [
        "LISTEN - Ok", "= - Ok", "= - Invalid", "= - BadSocket", "= - Invalid", "= - Invalid",
        "= - Invalid", "= - Invalid", "= - Invalid", "= - Invalid", "= - Invalid", "= - Invalid",
    ]),
    // §3.10.2. Before ESTABLISHED there is no space to queue.
    ("SEND", [
        "= - BrokenPipe", "= - BrokenPipe", "= - WouldBlock", "= - BadSocket", "= - WouldBlock",
        "= text Ok", "= - BrokenPipe", "= - BrokenPipe", "= text Ok", "= - BrokenPipe",
        "= - BrokenPipe", "= - BrokenPipe",
    ]),
    // §3.10.3. "Connection closing" is the end of the stream, told as 0 bytes.
    ("RECEIVE", [
        "= - NotConnected", "= - NotConnected", "= - WouldBlock", "= - BadSocket",
        "= - WouldBlock", "= - WouldBlock", "= - WouldBlock", "= - WouldBlock", "= - Ok", "= - Ok",
        "= - Ok", "= - Ok",
    ]),
    // §3.10.4, as shutdown(SHUT_WR): the user keeps the socket.
    ("CLOSE", [
        "= - NotConnected", "= - Ok", "CLOSED - Ok", "= - BadSocket", "FIN-WAIT-1 FIN Ok",
        "FIN-WAIT-1 FIN Ok", "= - Ok", "= - Ok", "LAST-ACK FIN Ok", "= - Ok", "= - Ok", "= - Ok",
    ]),
    // §3.10.4, as close(2): what is not needed any more goes.
    ("CLOSE for good", [
        "gone - Ok", "gone - Ok", "gone - Ok", "= - BadSocket", "FIN-WAIT-1 FIN Ok",
        "FIN-WAIT-1 FIN Ok", "= - Ok", "= - Ok", "LAST-ACK FIN Ok", "= - Ok", "= - Ok", "= - Ok",
    ]),
    // §3.10.5.
    ("ABORT", [
        "= - Ok", "CLOSED - Ok", "CLOSED - Ok", "= - BadSocket", "CLOSED RST,ACK Ok",
        "CLOSED RST,ACK Ok", "CLOSED RST,ACK Ok", "CLOSED RST,ACK Ok", "CLOSED RST,ACK Ok",
        "CLOSED - Ok", "CLOSED - Ok", "CLOSED - Ok",
    ]),
    // §3.10.8.
    ("RETRANSMISSION TIMEOUT", [
        "= -", "= -", "= SYN", "= SYN,ACK", "= SYN,ACK", "= -", "= FIN", "= -", "= -", "= FIN",
        "= FIN", "= -",
    ]),
    // FIN-WAIT-2 waits as long as the user holds the socket.
    ("TIME-WAIT TIMEOUT", [
        "", "", "", "", "", "", "", "= -", "", "", "", "CLOSED -",
    ]),
];

/// One host, whose peer is written by hand.
struct Stage {
    pair: Pair,
    id: SocketId,
    /// What the user holds, where it is another one: the listener.
    user: SocketId,
    flow: Flow,
    /// The peer's address and port, and ours.
    peer: (SocketAddr, SocketAddr),
}

const PEER_SEQ: u32 = 5_000_000;

impl Stage {
    fn new(column: &str) -> Self {
        let mut pair = Pair::new(Wire::default());
        // Nobody is at the other end: what leaves is lost.
        pair.lose = Box::new(|_, _, _| true);
        let ours: SocketAddr = "10.0.0.1:4000".parse().unwrap();
        let theirs: SocketAddr = "10.0.0.2:80".parse().unwrap();
        let (tcp, mut cx) = pair.host(A);
        let id = tcp.open(&mut cx, sockeye_core::Domain::V4).unwrap();
        tcp.bind(&mut cx, id, ours).unwrap();
        let mut stage = Self {
            pair,
            id,
            user: id,
            flow: Flow {
                local: ours.into(),
                remote: theirs.into(),
            },
            peer: (theirs, ours),
        };
        stage.reach(column);
        stage.pair.pump();
        stage.pair.log.clear();
        stage
    }

    fn reach(&mut self, column: &str) {
        match column {
            "CLOSED" => {}
            "LISTEN" => {
                let (tcp, mut cx) = self.pair.host(A);
                tcp.listen(&mut cx, self.user, 5).unwrap();
            }
            "SYN-RECEIVED, passive" => {
                self.reach("LISTEN");
                self.arrives(SeqNum(PEER_SEQ), SeqNum(0), Flags::SYN, 0);
                let tcp = &self.pair.hosts[A].tcp;
                let at = sockeye_core::InterfaceId(2);
                self.id = tcp.demux.connected(&self.flow, at).unwrap();
                self.user = self.id;
            }
            "SYN-SENT" => {
                let (tcp, mut cx) = self.pair.host(A);
                let to = SocketAddr::from(([10, 0, 0, 2], 80));
                assert_eq!(tcp.connect(&mut cx, self.id, to), Err(Error::InProgress));
                self.pair.pump();
            }
            "SYN-RECEIVED, active" => {
                self.reach("SYN-SENT");
                self.arrives(SeqNum(PEER_SEQ), SeqNum(0), Flags::SYN, 0);
            }
            "ESTABLISHED" => {
                self.reach("SYN-SENT");
                let (nxt, _) = self.numbers();
                self.arrives(SeqNum(PEER_SEQ), nxt, Flags::SYN | Flags::ACK, 0);
                let (tcp, _) = self.pair.host(A);
                assert_eq!(tcp.connected(self.id), Ok(()));
            }
            "FIN-WAIT-1" => {
                self.reach("ESTABLISHED");
                self.pair.shutdown_write(A, self.id);
            }
            "FIN-WAIT-2" => {
                self.reach("FIN-WAIT-1");
                self.pair.pump();
                let (nxt, expected) = self.numbers();
                self.arrives(expected, nxt, Flags::ACK, 0);
            }
            "CLOSE-WAIT" => {
                self.reach("ESTABLISHED");
                self.pair.pump();
                let (nxt, expected) = self.numbers();
                self.arrives(expected, nxt, Flags::FIN | Flags::ACK, 0);
            }
            "CLOSING" => {
                self.reach("FIN-WAIT-1");
                self.pair.pump();
                let (nxt, expected) = self.numbers();
                self.arrives(expected, nxt - 1, Flags::FIN | Flags::ACK, 0);
            }
            "LAST-ACK" => {
                self.reach("CLOSE-WAIT");
                self.pair.shutdown_write(A, self.id);
            }
            "TIME-WAIT" => {
                self.reach("FIN-WAIT-2");
                let (nxt, expected) = self.numbers();
                self.arrives(expected, nxt, Flags::FIN | Flags::ACK, 0);
            }
            other => panic!("no such column: {other}"),
        }
        self.pair.pump();
        let name = column.split(',').next().unwrap();
        assert_eq!(self.state(), name, "the stage for {column}");
    }

    /// N and P.
    fn numbers(&self) -> (SeqNum, SeqNum) {
        // What our last segment said; before there was one, anything.
        let ours = self.pair.log.iter().rev().find(|(from, _, _)| *from == A);
        let Some((_, header, text)) = ours else {
            return (SeqNum(1000), SeqNum(PEER_SEQ));
        };
        let len = sockeye_wire::tcp::segment_len(header.flags, *text as u32);
        let expected = if header.flags.contains(Flags::ACK) {
            header.ack
        } else {
            SeqNum(PEER_SEQ)
        };
        (header.seq + len, expected)
    }

    fn state(&self) -> &'static str {
        let sockets = &self.pair.hosts[A].tcp.sockets;
        match sockets.get(self.id) {
            Some(socket) => socket.state().name(),
            None => "gone",
        }
    }

    fn arrives(&mut self, seq: SeqNum, ack: SeqNum, flags: Flags, text: usize) {
        let (from, to) = self.peer;
        let header = Header {
            source_port: from.port(),
            destination_port: to.port(),
            seq,
            ack,
            flags,
            window: 10_000,
            ..Header::default()
        };
        let mut bytes = vec![b'x'; header.header_len() + text];
        header.emit(&mut bytes);
        let mut packet = Packet::from_slice(&bytes);
        packet.meta.checksum = sockeye_core::Checksum::Verified;
        let info = IpInfo {
            interface: sockeye_core::InterfaceId(2),
            source: from.ip(),
            destination: to.ip(),
            protocol: IpProtocol::TCP,
            hop_limit: 64,
            traffic_class: 0,
            flow_label: 0,
            header_len: 20,
            local: true,
            broadcast: false,
        };
        let (tcp, mut cx) = self.pair.host(A);
        tcp.on_packet(&mut cx, &info, packet);
    }

    /// Lets `event` happen; says what a call returned.
    fn happens(&mut self, event: &str, (nxt, expected): (SeqNum, SeqNum)) -> String {
        if let Some(result) = self.calls(event) {
            return match result {
                Ok(()) => " Ok".into(),
                Err(error) => format!(" {error:?}"),
            };
        }
        let ack = Flags::ACK;
        let (seq, number, flags, text) = match event {
            "RST at P" => (expected, SeqNum(0), Flags::RST, 0),
            "RST,ACK at P for N" => (expected, nxt, Flags::RST | ack, 0),
            "RST at P+1" => (expected + 1, SeqNum(0), Flags::RST, 0),
            "RST at P-1" => (expected - 1, SeqNum(0), Flags::RST, 0),
            "SYN at P" => (expected, SeqNum(0), Flags::SYN, 0),
            "SYN,ACK at P for N" => (expected, nxt, Flags::SYN | ack, 0),
            "SYN,ACK at P for N+1" => (expected, nxt + 1, Flags::SYN | ack, 0),
            "ACK at P for N" => (expected, nxt, ack, 0),
            "ACK at P for N+1" => (expected, nxt + 1, ack, 0),
            "ACK at P for N-2^30" => (expected, nxt - (1 << 30), ack, 0),
            "text at P without ACK" => (expected, SeqNum(0), Flags::PSH, 10),
            "text at P for N" => (expected, nxt, ack, 10),
            "text at P+10 for N" => (expected + 10, nxt, ack, 10),
            "text at P-10 for N" => (expected - 10, nxt, ack, 10),
            "text beyond the window" => (expected + 1_000_000, nxt, ack, 10),
            "FIN at P for N" => (expected, nxt, Flags::FIN | ack, 0),
            "FIN at P for N-1" => (expected, nxt - 1, Flags::FIN | ack, 0),
            "FIN at P+10 for N" => (expected + 10, nxt, Flags::FIN | ack, 0),
            "FIN at P-1 for N" => (expected - 1, nxt, Flags::FIN | ack, 0),
            "RETRANSMISSION TIMEOUT" => {
                self.pair.run_for(Duration::from_millis(1100));
                return String::new();
            }
            "TIME-WAIT TIMEOUT" => {
                self.pair.run_for(Duration::from_secs(61));
                return String::new();
            }
            other => panic!("no such event: {other}"),
        };
        self.arrives(seq, number, flags, text);
        String::new()
    }

    fn calls(&mut self, event: &str) -> Option<Result<(), Error>> {
        let (id, to) = (self.user, self.peer.0);
        let (tcp, mut cx) = self.pair.host(A);
        let cx = &mut cx;
        Some(match event {
            "OPEN active" => tcp.connect(cx, id, to),
            "OPEN passive" => tcp.listen(cx, id, 5),
            "SEND" => tcp.send(cx, id, &[IoSlice::new(b"hello")]).map(|_| ()),
            "RECEIVE" => tcp.recv(cx, id, &mut [0; 10]).map(|_| ()),
            "CLOSE" => tcp.shutdown(cx, id, Shutdown::Write),
            "CLOSE for good" => tcp.close(cx, id),
            "ABORT" => tcp.abort(cx, id),
            _ => return None,
        })
    }

    /// The answers that have left, the first ones of a kind.
    fn answers(&mut self) -> String {
        self.pair.pump();
        let mut kinds: Vec<&str> = Vec::new();
        for (_, header, text) in &self.pair.log {
            let has = |flag| header.flags.contains(flag);
            let kind = match (has(Flags::RST), has(Flags::SYN), has(Flags::ACK)) {
                (true, _, true) => "RST,ACK",
                (true, _, false) => "RST",
                (_, true, true) => "SYN,ACK",
                (_, true, false) => "SYN",
                _ if has(Flags::FIN) => "FIN",
                _ if *text > 0 => "text",
                _ => "ACK",
            };
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        if kinds.is_empty() {
            "-".into()
        } else {
            kinds.join("+")
        }
    }
}

#[test]
fn every_state_meets_every_event_as_the_rfc_has_it() {
    let mut wrong = Vec::new();
    for (event, cells) in TABLE {
        for (column, &expected) in COLUMNS.iter().zip(cells) {
            if expected.is_empty() {
                continue;
            }
            let mut stage = Stage::new(column);
            let numbers = stage.stage_numbers(column);
            let before = stage.state();
            let returned = stage.happens(event, numbers);
            let answers = stage.answers();
            let after = stage.state();
            let after = if after == before { "=" } else { after };
            let got = format!("{after} {answers}{returned}");
            if got != expected {
                wrong.push(format!("{column} | {event}: {got:?}, not {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

impl Stage {
    /// N and P of the state reached. The log of how it was reached is gone, so they are read off the
    /// connection itself.
    fn stage_numbers(&self, column: &str) -> (SeqNum, SeqNum) {
        let sockets = &self.pair.hosts[A].tcp.sockets;
        match sockets.get(self.id) {
            Some(crate::socket::Socket::Connection(tcb)) if column != "SYN-SENT" => {
                (tcb.snd.nxt, tcb.rcv.nxt)
            }
            Some(crate::socket::Socket::Connection(tcb)) => (tcb.snd.nxt, SeqNum(PEER_SEQ)),
            Some(crate::socket::Socket::HalfOpen(half_open)) => half_open.numbers(),
            Some(crate::socket::Socket::TimeWait(time_wait)) => time_wait.numbers(),
            _ => (SeqNum(1000), SeqNum(PEER_SEQ)),
        }
    }
}

#[test]
fn the_table_has_every_state() {
    for state in State::ALL {
        assert!(COLUMNS.iter().any(|c| c.starts_with(state.name())), "{state}");
    }
    let _: fn(&Tcp, SocketId) -> Result<State, Error> = Tcp::state;
}
