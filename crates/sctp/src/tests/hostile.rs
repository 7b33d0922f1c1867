//! What attackers send: floods, forgeries, nonsense in every field.

use super::pair::{A, B, PORT, Pair};
use crate::{AssocId, State};
use core::time::Duration;
use sockeye_core::{Counter, Error, SocketId};
use sockeye_wire::sctp::{
    Abort, Chunk, ChunkType, Chunks, CookieEcho, Data, DataFlags, GapAckBlock, HEADER_LEN,
    HeartbeatAck, Init, InitAck, List, Parameter, Parameters, Sack, Shutdown, Tsn,
};

const ATTACKER: u16 = 5555;

fn init(tag: u32) -> Vec<u8> {
    let mut out = Vec::new();
    Init {
        initiate_tag: tag,
        a_rwnd: 100_000,
        outbound_streams: 10,
        inbound_streams: 10,
        initial_tsn: Tsn(1000),
        parameters: &[],
    }
    .emit(&mut out);
    out
}

/// Chunks of the last packet that `n` sent.
pub(super) fn last(pair: &mut Pair) -> Vec<u8> {
    pair.run_for(Duration::ZERO);
    pair.log.last().unwrap().bytes[HEADER_LEN..].to_vec()
}

pub(super) fn first(chunks: &[u8]) -> Chunk<'_> {
    Chunks::new(chunks).next().unwrap().unwrap()
}

/// The cookie and the initiate tag of an INIT ACK.
pub(super) fn cookie(chunks: &[u8]) -> (Vec<u8>, u32) {
    let ack = InitAck::parse(&first(chunks)).unwrap().0;
    let all = Parameters::new(ack.parameters).flatten();
    let cookie = all.filter_map(|raw| match Parameter::parse(&raw) {
        Ok(Parameter::StateCookie(cookie)) => Some(cookie.to_vec()),
        _ => None,
    });
    (cookie.last().unwrap(), ack.initiate_tag)
}

pub(super) fn echo(cookie: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    CookieEcho { cookie }.emit(&mut out);
    out
}

fn state_of(pair: &Pair, n: usize) -> usize {
    pair.hosts[n].sctp.entries.len()
}

/// RFC 9260 §5.1 B: nothing is kept of an INIT.
/// RFC 9260 §5.1-5.
#[test]
fn a_flood_of_inits_takes_no_memory() {
    let mut pair = Pair::new();
    pair.listen();
    let before = state_of(&pair, B);
    for n in 1..2000 {
        pair.inject(B, (n as u16, PORT), 0, &init(n));
    }
    pair.run_for(Duration::from_secs(10));
    assert_eq!(state_of(&pair, B), before);
    assert_eq!(pair.hosts[B].sctp.flows.len(), 0);
    assert_eq!(pair.hosts[B].parts.timers.len(), 0);
}

/// RFC 9260 §5.1.5.
/// RFC 9260 §4-1, §4-2, §5.1.5-2, §5.1.5-3, §5.1.5-4, §5.2.4-1.
#[test]
fn cookies_are_neither_forged_nor_used_for_others_nor_late() {
    let mut pair = Pair::new();
    pair.listen();
    pair.inject(B, (ATTACKER, PORT), 0, &init(7));
    let ack = last(&mut pair);
    let (good, tag) = cookie(&ack);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        pair.inject(B, (ATTACKER, PORT), tag, &echo(&bad));
    }
    let counters = &pair.hosts[B].parts.counters;
    assert_eq!(counters.get(Counter::SctpCookiesForged), good.len() as u64);
    // For another port, or with another tag.
    pair.inject(B, (ATTACKER + 1, PORT), tag, &echo(&good));
    pair.inject(B, (ATTACKER, PORT), tag ^ 1, &echo(&good));
    assert_eq!(pair.hosts[B].sctp.associations, 0);
    // Too late: an ERROR says so.
    pair.run_for(Duration::from_secs(61));
    pair.inject(B, (ATTACKER, PORT), tag, &echo(&good));
    assert_eq!(first(&last(&mut pair)).kind, ChunkType::ERROR);
    assert_eq!(pair.hosts[B].sctp.associations, 0);
    let counters = &pair.hosts[B].parts.counters;
    assert_eq!(counters.get(Counter::SctpCookiesStale), 1);
}

/// A cookie that comes twice is the one association (RFC 9260 §5.2.4 D), and once that is over, it
/// makes no other one while it is young only with the right tag.
#[test]
fn a_cookie_that_is_replayed_makes_no_second_association() {
    let mut pair = Pair::new();
    pair.listen();
    pair.inject(B, (ATTACKER, PORT), 0, &init(7));
    let ack = last(&mut pair);
    let (good, tag) = cookie(&ack);
    for _ in 0..100 {
        pair.inject(B, (ATTACKER, PORT), tag, &echo(&good));
    }
    assert_eq!(pair.hosts[B].sctp.associations, 1);
}

fn tags(pair: &Pair, n: usize) -> crate::tcb::Tags {
    let sctp = &pair.hosts[n].sctp;
    let id = sctp.all()[0];
    sctp.association(id).unwrap().tags
}

fn ports(pair: &mut Pair, b: SocketId) -> (u16, u16) {
    let (sctp, _) = pair.host(B);
    (sctp.peer_addr(b).unwrap().port(), PORT)
}

/// RFC 9260 §8.5: without the tag nothing counts; not even an end.
/// RFC 9260 §8.5-2, §8.5-3, §8.5-4, §8.5.1-5, §8.5.1-6, §9.1-5.
#[test]
fn packets_with_a_wrong_tag_do_nothing() {
    let mut pair = Pair::new();
    let (_, b) = pair.association();
    let ports = ports(&mut pair, b);
    let tag = tags(&pair, B).local;
    let mut abort = Vec::new();
    Abort::default().emit(&mut abort);
    let mut reflected = Vec::new();
    Abort {
        tag_reflected: true,
        causes: &[],
    }
    .emit(&mut reflected);
    let mut shutdown = Vec::new();
    Shutdown {
        cumulative_tsn: Tsn(0),
    }
    .emit(&mut shutdown);
    for chunks in [&abort, &reflected, &shutdown] {
        for wrong in [0, tag ^ 1, tag.swap_bytes()] {
            pair.inject(B, ports, wrong, chunks);
        }
    }
    // Reflecting our own tag is wrong, too.
    pair.inject(B, ports, tag, &reflected);
    assert_eq!(pair.state(B, b), State::Established);
    pair.inject(B, ports, tag, &abort);
    assert_eq!(pair.state(B, b), State::Closed);
}

/// RFC 9260 §6.2.1: SACKs that say what can't be.
/// RFC 9260 §12.4-5.
#[test]
fn bogus_sacks_change_nothing_or_end_the_association() {
    let sack = |cumulative: u32, gaps: &[GapAckBlock]| {
        let mut out = Vec::new();
        Sack {
            cumulative_tsn: Tsn(cumulative),
            a_rwnd: u32::MAX,
            gaps: List::Values(gaps),
            duplicates: List::Values(&[]),
        }
        .emit(&mut out);
        out
    };
    let mut pair = Pair::new();
    let (_, b) = pair.association();
    let ports = ports(&mut pair, b);
    let tag = tags(&pair, B).local;
    pair.wires[0].cut = true;
    for _ in 0..3 {
        pair.send(B, b, &[1; 1000]).unwrap();
    }
    pair.run_for(Duration::ZERO);
    let id = pair.hosts[B].sctp.all()[0];
    let look = |pair: &Pair| {
        let association = pair.hosts[B].sctp.association(id).unwrap();
        (
            association.outstanding.len(),
            association.paths[0].window.cwnd(),
        )
    };
    let before = look(&pair);
    let una = {
        let association = pair.hosts[B].sctp.association(id).unwrap();
        association.outstanding.cumulative()
    };
    let gap = |start, end| GapAckBlock { start, end };
    for gaps in [
        vec![gap(0, 1)],
        vec![gap(3, 2)],
        vec![gap(2, 60_000)],
        vec![gap(2, 3), gap(65_535, 65_535)],
    ] {
        pair.inject(B, ports, tag, &sack(una, &gaps));
        assert_eq!(look(&pair), before, "{gaps:?}");
    }
    pair.inject(B, ports, tag, &sack(una.wrapping_sub(1000), &[]));
    assert_eq!(look(&pair), before);
    assert_eq!(pair.state(B, b), State::Established);
    pair.inject(B, ports, tag, &sack(una.wrapping_add(1000), &[]));
    assert_eq!(pair.state(B, b), State::Closed);
}

fn data(tsn: u32, stream: u16, flags: DataFlags, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Data {
        flags,
        tsn: Tsn(tsn),
        stream,
        ssn: 0,
        ppid: 0,
        payload,
    }
    .emit(&mut out);
    out
}

/// RFC 9260 §6.5: a stream that there is not is reported, and costs nothing.
#[test]
fn streams_that_do_not_exist_cost_nothing() {
    let mut pair = Pair::new();
    let (_, b) = pair.association();
    let ports = ports(&mut pair, b);
    let tag = tags(&pair, B).local;
    let id = pair.hosts[B].sctp.all()[0];
    let start = pair.hosts[B]
        .sctp
        .association(id)
        .unwrap()
        .inbound
        .cumulative();
    for n in 0..5000u32 {
        let tsn = start.wrapping_add(n + 1);
        let stream = 10 + (n % 60_000) as u16;
        pair.inject(
            B,
            ports,
            tag,
            &data(tsn, stream, DataFlags::WHOLE, &[1; 100]),
        );
    }
    let association = pair.hosts[B].sctp.association(id).unwrap();
    assert_eq!(association.inbound.held(), 0);
    assert_eq!(association.inbound.cumulative(), start.wrapping_add(5000));
    assert_eq!(pair.recv(B, b), Err(Error::WouldBlock));
}

/// A storm of TSNs that have come: one SACK a turn, and nothing kept.
/// RFC 9260 §6.2-14.
#[test]
fn a_storm_of_duplicates_is_answered_in_one_sack() {
    let mut pair = Pair::new();
    let (_, b) = pair.association();
    let ports = ports(&mut pair, b);
    let tag = tags(&pair, B).local;
    let id = pair.hosts[B].sctp.all()[0];
    let next = pair.hosts[B]
        .sctp
        .association(id)
        .unwrap()
        .inbound
        .cumulative();
    let next = next.wrapping_add(1);
    let one = data(next, 0, DataFlags::WHOLE, b"again");
    for _ in 0..10_000 {
        pair.inject(B, ports, tag, &one);
    }
    let from = pair.log.len();
    pair.run_for(Duration::ZERO);
    assert_eq!(pair.log.len(), from + 1);
    let sack = Sack::parse(&first(&pair.log[from].bytes[HEADER_LEN..])).unwrap();
    assert!(sack.duplicates.len() <= 64);
    assert_eq!(pair.recv(B, b).unwrap(), b"again");
    assert_eq!(pair.recv(B, b), Err(Error::WouldBlock));
}

/// Fragments of one byte: the window bounds what is kept, though TSNs run far ahead.
#[test]
fn a_million_fragments_of_one_byte_stay_within_the_window() {
    let mut pair = Pair::new();
    let (_, b) = pair.association();
    let ports = ports(&mut pair, b);
    let tag = tags(&pair, B).local;
    let id = pair.hosts[B].sctp.all()[0];
    let next = pair.hosts[B]
        .sctp
        .association(id)
        .unwrap()
        .inbound
        .cumulative();
    // A gap at the front, so that nothing is ever delivered.
    let mut chunks = Vec::new();
    for n in 2..1_000_002u32 {
        let tsn = next.wrapping_add(n * 2);
        chunks.extend(data(tsn, 0, DataFlags::BEGIN, b"x"));
        if chunks.len() > 1000 {
            pair.inject(B, ports, tag, &chunks);
            chunks.clear();
        }
    }
    let association = pair.hosts[B].sctp.association(id).unwrap();
    let limit = association.settings.common.receive_buffer;
    assert!(association.inbound.held() <= limit + 2000);
    let counters = &pair.hosts[B].parts.counters;
    assert!(counters.get(Counter::SctpInDataChunkDiscards) > 900_000);
}

/// RFC 9260 §5.4: a HEARTBEAT ACK counts with its nonce only.
/// RFC 9260 §3.3.5-1.
#[test]
fn a_heartbeat_ack_with_a_wrong_nonce_confirms_nothing() {
    let wires = vec![super::pair::Wire::default(); 2];
    let mut pair = Pair::with(wires, sockeye_core::Config::default(), 9);
    pair.wires[1].cut = true;
    let (_, b) = pair.association();
    let ports = ports(&mut pair, b);
    let tag = tags(&pair, B).local;
    pair.run_for(Duration::from_secs(1));
    for info in [
        &[0u8; 20][..],
        &[0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9],
        &[1],
        &[],
    ] {
        let mut out = Vec::new();
        HeartbeatAck { info }.emit(&mut out);
        pair.inject(B, ports, tag, &out);
    }
    let (sctp, _) = pair.host(B);
    let paths = sctp.paths(b, AssocId::FUTURE).unwrap();
    assert_ne!(paths[1].state, crate::PathState::Active);
}

/// RFC 9260 §6.2: DATA without data ends the association.
#[test]
fn data_without_data_is_answered_by_an_abort() {
    let mut pair = Pair::new();
    let (_, b) = pair.association();
    let ports = ports(&mut pair, b);
    let tag = tags(&pair, B).local;
    pair.inject(B, ports, tag, &data(1, 0, DataFlags::WHOLE, &[]));
    assert_eq!(first(&last(&mut pair)).kind, ChunkType::ABORT);
    assert_eq!(pair.state(B, b), State::Closed);
}

/// Whatever comes behind a right header: no panic, and no answer to an ABORT.
#[test]
fn noise_does_no_harm() {
    let mut pair = Pair::new();
    let (a, b) = pair.association();
    let ports = ports(&mut pair, b);
    let tag = tags(&pair, B).local;
    let mut rng = sockeye_core::Rng::new([3; 32]);
    for n in 0..20_000u32 {
        let len = rng.below(80) as usize;
        let mut chunks: Vec<u8> = (0..len).map(|_| rng.next_u32() as u8).collect();
        if let [kind, flags, high, low, ..] = &mut chunks[..] {
            // Mostly what looks like a chunk; but for those that end the association.
            *kind %= 20;
            if matches!(*kind, 0 | 6 | 8 | 14) {
                *kind = 3;
            }
            *flags &= 0xf;
            (*high, *low) = (0, len as u8);
        }
        let tag = if n % 3 == 0 { rng.next_u32() } else { tag };
        pair.inject(B, ports, tag, &chunks);
    }
    pair.run_for(Duration::from_secs(1));
    let _ = (pair.state(A, a), pair.state(B, b));
}
