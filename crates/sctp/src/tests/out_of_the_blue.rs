//! Packets that belong to no association (RFC 9260 §8.4): each of its cases.

use super::hostile::first;
use super::opening::{chunk, init};
use super::pair::{B, PORT, Pair, packet};
use core::time::Duration;
use sockeye_core::Packet;
use sockeye_wire::sctp::{
    Abort, Cause, Chunk, ChunkType, CookieAck, CookieEcho, HEADER_LEN, Heartbeat, OperationError,
    Shutdown, ShutdownAck, ShutdownComplete, Tsn,
};

const PEER: u16 = 5555;
const TAG: u32 = 0x1234_5678;

/// What a host without associations answers chunks with: the tag and the chunk.
fn answer(chunks: &[u8]) -> Option<(u32, Vec<u8>)> {
    let mut pair = Pair::new();
    pair.listen();
    pair.inject(B, (PEER, PORT), TAG, chunks);
    pair.run_for(Duration::ZERO);
    assert!(pair.log.len() <= 1, "RFC 9260 §12.4");
    assert_eq!(pair.hosts[B].sctp.associations, 0);
    let sent = pair.log.pop()?;
    Some((sent.tag, sent.bytes[HEADER_LEN..].to_vec()))
}

fn error(cause: &Cause<'_>) -> Vec<u8> {
    let causes = chunk(|out| cause.emit(out));
    chunk(|out| OperationError { causes: &causes }.emit(out))
}

/// RFC 9260 §3.3.7-3, §3.3.7-4, §8.4-1, §9.1-4: wherever in the packet it stands.
#[test]
fn an_abort_is_never_answered() {
    let abort = chunk(|out| Abort::default().emit(out));
    let heartbeat = chunk(|out| Heartbeat { info: b"?" }.emit(out));
    assert_eq!(answer(&abort), None);
    assert_eq!(answer(&[heartbeat, abort].concat()), None);
    // One that is malformed counts as one, too.
    assert_eq!(answer(&[6, 0, 0, 6, 1, 2, 0, 0]), None);
}

/// RFC 9260 §3.1-5, §3.3.13-2, §8.4-4, §8.5.1-9.
#[test]
fn a_shutdown_ack_is_completed() {
    let (tag, chunks) = answer(&chunk(|out| ShutdownAck.emit(out))).unwrap();
    let complete = ShutdownComplete::parse(&first(&chunks)).unwrap();
    assert_eq!((tag, complete.tag_reflected), (TAG, true));
}

/// RFC 9260 §8.4 6) and 7); a cookie that is nobody's: RFC 9260 §8.4-3, §4-1, §5.1.5-2.
#[test]
fn what_ends_by_itself_is_not_answered() {
    let stale = Cause::StaleCookie(5);
    for chunks in [
        chunk(|out| ShutdownComplete::default().emit(out)),
        chunk(|out| CookieAck.emit(out)),
        error(&stale),
        chunk(|out| CookieEcho { cookie: b"???" }.emit(out)),
    ] {
        assert_eq!(answer(&chunks), None);
    }
}

/// RFC 9260 §3.3.7-5, §8.4-5, §8.4-6, §8.4-7, §8.5.1-4.
#[test]
fn all_else_is_answered_by_an_abort_that_reflects() {
    let data = |kind: u8| {
        vec![
            kind, 3, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4,
        ]
    };
    let cumulative_tsn = Tsn(7);
    for chunks in [
        data(0),
        data(64),
        chunk(|out| Heartbeat { info: b"?" }.emit(out)),
        chunk(|out| Shutdown { cumulative_tsn }.emit(out)),
        error(&Cause::OutOfResource),
        vec![3, 0, 0, 16, 0, 0, 0, 1, 0, 0, 8, 0, 0, 0, 0, 0],
        vec![255, 0, 0, 4],
    ] {
        let (tag, answer) = answer(&chunks).unwrap();
        let chunk: Chunk<'_> = first(&answer);
        assert_eq!(chunk.kind, ChunkType::ABORT);
        assert!(Abort::parse(&chunk).unwrap().tag_reflected);
        assert_eq!(tag, TAG);
    }
}

/// RFC 9260 §8.5.1-2: only an INIT has the tag 0; §8.4 1): groups and broadcasts are not answered.
#[test]
fn what_no_host_sends_is_not_answered() {
    let ack = chunk(|out| ShutdownAck.emit(out));
    let mut pair = Pair::new();
    pair.listen();
    pair.inject(B, (PEER, PORT), 0, &ack);
    let init = chunk(|out| init().emit(out));
    for (from, to) in [
        ([10, 0, 0, 1], [224, 0, 0, 1]),
        ([10, 0, 0, 1], [10, 0, 0, 255]),
        ([224, 0, 0, 1], [10, 0, 0, 2]),
        ([0, 0, 0, 0], [10, 0, 0, 2]),
    ] {
        for (tag, chunks) in [(TAG, &ack), (0, &init)] {
            let bytes = packet((PEER, PORT), tag, chunks);
            let protocol = sockeye_wire::IpProtocol::SCTP;
            let len = bytes.len() as u16;
            let ip = sockeye_wire::ipv4::Header::new(from.into(), to.into(), protocol, len);
            let mut packet = Packet::from_slice(&bytes);
            ip.emit(packet.push(20));
            pair.deliver(B, 0, packet);
        }
    }
    pair.run_for(Duration::ZERO);
    assert!(pair.log.is_empty());
}
