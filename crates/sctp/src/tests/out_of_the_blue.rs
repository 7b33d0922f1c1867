//! Packets that belong to no association (RFC 9260 §8.4): each of its cases.

use super::hostile::first;
use super::opening::{chunk, init};
use super::pair::{A, B, PORT, Pair, packet};
use crate::ootb::ANSWERS_PER_SECOND;
use crate::spent::TAGS_MAX;
use crate::{AssocId, State};
use core::time::Duration;
use sockeye_core::{Counter, Packet};
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

/// Nobody can make a node send more answers than so many in a second; associations go on meanwhile.
#[test]
fn answers_have_a_limit() {
    let mut pair = Pair::new();
    let (a, b) = pair.association();
    let heartbeat = chunk(|out| Heartbeat { info: b"?" }.emit(out));
    let flood = |pair: &mut Pair| {
        let from = pair.log.len();
        for port in 0..3 * ANSWERS_PER_SECOND as u16 {
            let chunks = match port % 3 {
                0 => &heartbeat,
                1 => &chunk(|out| ShutdownAck.emit(out)),
                _ => &chunk(|out| init().emit(out)),
            };
            let tag = if port % 3 == 2 { 0 } else { TAG };
            pair.inject(B, (1024 + port, PORT + 1), tag, chunks);
            pair.run_for(Duration::ZERO);
        }
        pair.log.len() - from
    };
    let dropped = |pair: &Pair| {
        let counters = &pair.hosts[B].parts.counters;
        counters.get(Counter::SctpOutOfBluesLimited)
    };
    let most = ANSWERS_PER_SECOND as usize;
    assert_eq!(flood(&mut pair), most);
    assert_eq!(dropped(&pair), 2 * most as u64);
    pair.send(A, a, b"heard").unwrap();
    pair.run_for(Duration::from_millis(500));
    assert_eq!(pair.recv(B, b).unwrap(), b"heard");
    assert_eq!(flood(&mut pair), most / 2);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(flood(&mut pair), most);
}

/// RFC 9260 §5.3.1-2, §5.1.5, §8.4 4): a cookie that comes again after its association has ended makes no
/// association with the old tag. Whoever sent it learns so by an ABORT with his tag.
#[test]
fn a_cookie_is_good_for_one_association() {
    let mut pair = Pair::new();
    let listener = pair.listen();
    let a = pair.dial();
    pair.run_for(Duration::from_millis(100));
    let echoes = |sent: &&super::pair::Sent| sent.chunks.contains(&ChunkType::COOKIE_ECHO);
    let echo = pair.log.iter().find(echoes).unwrap().bytes.clone();
    let (sctp, mut cx) = pair.host(B);
    let (b, _) = sctp.accept(&mut cx, listener).unwrap();
    let own_tag = pair.log.iter().find(|sent| sent.from == B).unwrap().tag;
    // While it stands: a COOKIE ACK.
    let from = pair.log.len();
    pair.inject_raw(B, 0, &echo);
    pair.run_for(Duration::ZERO);
    assert_eq!(pair.trace(from), ["< COOKIE ACK"]);
    pair.close(A, a);
    pair.close(B, b);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.hosts[B].sctp.associations, 0);
    let from = pair.log.len();
    pair.inject_raw(B, 0, &echo);
    pair.run_for(Duration::ZERO);
    assert_eq!(pair.hosts[B].sctp.associations, 0);
    assert_eq!(pair.trace(from), ["< ABORT"]);
    assert_eq!(pair.log[from].tag, own_tag);
    let (sctp, mut cx) = pair.host(B);
    assert!(sctp.accept(&mut cx, listener).is_err());
    let spent = pair.hosts[B].parts.counters.get(Counter::SctpCookiesSpent);
    assert_eq!(spent, 1);
    // A new association of the same two is none of its business; long afterwards the cookie is stale.
    let again = pair.dial();
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.state(A, again), State::Established);
    let (sctp, _) = pair.host(A);
    assert!(sctp.status(again, AssocId::FUTURE).is_ok());
    pair.run_for(Duration::from_secs(100));
    let from = pair.log.len();
    pair.inject_raw(B, 0, &echo);
    pair.run_for(Duration::ZERO);
    assert_eq!(pair.trace(from), ["< ERROR"]);
}

/// Tags of associations that have ended are remembered within a limit, and for as long as a cookie is
/// good.
#[test]
fn spent_tags_have_a_limit() {
    let mut pair = Pair::new();
    pair.association();
    let id = pair.hosts[A].sctp.all()[0];
    let now = pair.now;
    let sctp = &mut pair.hosts[A].sctp;
    let mut spent = core::mem::take(&mut sctp.spent);
    let association = sctp.association_mut(id).unwrap();
    for tag in 0..TAGS_MAX as u32 + 10 {
        association.tags.local = tag;
        spent.note(now, association);
    }
    assert_eq!(spent.len(), TAGS_MAX);
    let later = now + Duration::from_secs(71);
    association.cookies_until = later;
    spent.note(later, association);
    assert_eq!(spent.len(), 1);
}
