//! What goes on the wire: which packets, when, and how chunks lie in them.

use super::hostile::first;
use super::lossy::{Program, exchange};
use super::opening::chunk;
use super::pair::{A, B, PORT, Pair, Wire};
use crate::outbound::{Fragment, Policy};
use crate::{AssocId, Incoming, SndFlags, SndInfo, State, Style};
use core::time::Duration;
use sockeye_core::{Config, Counter, Error, SocketId, SocketOption};
use sockeye_wire::sctp::{
    Chunk, ChunkType, Chunks, Data, DataFlags, GapAckBlock, HEADER_LEN, Heartbeat, HeartbeatAck,
    List, Sack, Shutdown, Tsn, verify_checksum,
};
use std::collections::BTreeMap;
use std::io::IoSlice;

fn chunks(bytes: &[u8]) -> Vec<Chunk<'_>> {
    Chunks::new(&bytes[HEADER_LEN..]).flatten().collect()
}

/// RFC 9260 §3.1-3, §3.2-1, §3.2-2, §3.2-3, §3.3.1-8, §3.3.1-9, §3.3.1-10, §3.3.2-4, §3.3.3-3, §3.3.7-1,
/// §5.3.1-1, §6-5, §6.2-6, §6.2-7, §6.7-1, §6.8-1, §6.8-2, §6.9-7, §6.9-8, §6.10-1, §6.10-2, §6.10-3,
/// §6.10-4, §6.10-5, §6.10-7, §8.5-1: every packet of a long exchange over a bad wire.
#[test]
fn every_packet_is_as_it_must_be() {
    let wire = Wire {
        loss: 50,
        reorder: 50,
        ..Wire::default()
    };
    let mut pair = Pair::with(vec![wire], Config::default(), 5);
    let todo = |salt: usize| {
        (0..80)
            .map(|n| ((n % 5) as u16, 1 + (n + salt) * 977 % 4000))
            .collect()
    };
    exchange(&mut pair, Program::new(todo(0)), Program::new(todo(3)));
    let mut tags: [Option<u32>; 2] = [None, None];
    let (mut packets, mut sacks) = ([0; 2], [0; 2]);
    for sent in &pair.log {
        assert!(sent.bytes.len() + 20 <= 1500 && sent.bytes.len() % 4 == 0);
        assert!(verify_checksum(&sent.bytes));
        let all = chunks(&sent.bytes);
        let padded: usize = all
            .iter()
            .map(|chunk| chunk.bytes.len().next_multiple_of(4))
            .sum();
        assert_eq!(padded + HEADER_LEN, sent.bytes.len(), "nothing is partial");
        for alone in [
            ChunkType::INIT,
            ChunkType::INIT_ACK,
            ChunkType::SHUTDOWN_COMPLETE,
        ] {
            assert!(!sent.chunks.contains(&alone) || all.len() == 1);
        }
        match sent.chunks[0] {
            ChunkType::INIT => assert_eq!(sent.tag, 0),
            ChunkType::INIT_ACK => {}
            _ => assert_eq!(*tags[sent.from].get_or_insert(sent.tag), sent.tag),
        }
        let data: Vec<Data<'_>> = all
            .iter()
            .filter_map(|chunk| Data::parse(chunk).ok())
            .collect();
        let first = all.iter().position(|chunk| chunk.kind == ChunkType::DATA);
        assert!(
            first.is_none_or(|first| all.len() - first == data.len()),
            "DATA is last"
        );
        assert!(data.windows(2).all(|two| two[0].tsn.before(two[1].tsn)));
        packets[sent.from] += usize::from(!data.is_empty());
        sacks[sent.from] += sent
            .chunks
            .iter()
            .filter(|kind| **kind == ChunkType::SACK)
            .count();
    }
    assert!(
        sacks[A] <= packets[B] && sacks[B] <= packets[A],
        "{sacks:?} {packets:?}"
    );
    assert!(pair.hosts.iter().all(|host| host.sctp.associations == 0));
}

/// RFC 9260 §3.3.1-4, §3.3.1-5, §3.3.1-7, §3.3.1-11, §3.3.1-12, §6.9-2, §6.9-9, §6.9-10, §6.9-11, §6.9-12.
#[test]
fn fragments_say_all_that_their_message_is() {
    let mut pair = Pair::new();
    let (a, _) = pair.association();
    let from = pair.log.len();
    let info = SndInfo {
        stream: 3,
        ppid: 99,
        flags: SndFlags::UNORDERED,
        ..SndInfo::default()
    };
    for len in [4000, 5] {
        let (sctp, mut cx) = pair.host(A);
        let message = vec![1; len];
        sctp.send_msg(&mut cx, a, &[IoSlice::new(&message)], None, &info)
            .unwrap();
        pair.run_for(Duration::from_secs(1));
    }
    let sent = pair.log[from..].iter().filter(|sent| sent.from == A);
    let all: Vec<(DataFlags, u32, u16, u32, usize)> = sent
        .flat_map(|sent| chunks(&sent.bytes))
        .filter_map(|chunk| Data::parse(&chunk).ok())
        .map(|data| {
            (
                data.flags,
                data.tsn.0,
                data.stream,
                data.ppid,
                data.payload.len(),
            )
        })
        .collect();
    let flags = |last: DataFlags| (last | DataFlags::UNORDERED).bits();
    let kinds = [
        DataFlags::BEGIN,
        DataFlags::empty(),
        DataFlags::END,
        DataFlags::WHOLE,
    ];
    for (n, (flag, tsn, stream, ppid, len)) in all.iter().enumerate() {
        let flag = *flag - DataFlags::IMMEDIATE;
        assert_eq!(flag.bits(), flags(kinds[n]));
        assert_eq!(tsn.wrapping_sub(all[0].1), n as u32);
        assert_eq!((*stream, *ppid), (3, 99));
        assert!(*len > 0);
    }
    assert_eq!(all.len(), 4);
    assert_eq!(pair.send(A, a, b""), Err(Error::Invalid));
}

/// RFC 9260 §6.9-3, §6.9-4, §6.9-5: SCTP_DISABLE_FRAGMENTS.
#[test]
fn without_fragments_long_messages_are_refused() {
    let mut pair = Pair::new();
    let (a, _) = pair.association();
    let (sctp, mut cx) = pair.host(A);
    sctp.configure(&mut cx, a, AssocId::ALL, |settings| {
        settings.no_fragments = true
    })
    .unwrap();
    assert_eq!(pair.send(A, a, &[1; 1453]), Err(Error::MessageSize));
    assert_eq!(pair.send(A, a, &[1; 1452]), Ok(1452));
}

/// RFC 9260 §6.1-1, §6.1-6, §6.1-7, §6.1-9: no packet beyond the window but the one that fills it.
#[test]
fn the_window_is_kept_to_a_packet() {
    let mut pair = Pair::new();
    let (a, _) = pair.association();
    pair.wires[0].cut = true;
    let from = pair.log.len();
    for _ in 0..30 {
        pair.send(A, a, &[1; 1000]).unwrap();
    }
    pair.run_for(Duration::from_millis(500));
    let id = pair.hosts[A].sctp.all()[0];
    let path = &pair.hosts[A].sctp.association(id).unwrap().paths[0];
    assert_eq!(path.window.cwnd(), 4404);
    assert!(
        path.flight >= 4404 && path.flight < 4404 + 1468,
        "{}",
        path.flight
    );
    assert_eq!(pair.log.len() - from, 5);
}

/// RFC 9260 §6.1-5: a small message waits while data is in flight.
#[test]
fn small_messages_are_sent_together() {
    let mut pair = Pair::new();
    let (a, _) = pair.association();
    let from = pair.log.len();
    for _ in 0..4 {
        pair.send(A, a, b"tiny").unwrap();
        pair.flush();
    }
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.trace(from), ["> DATA", "< SACK", "> DATA, DATA, DATA"]);
}

/// RFC 9260 §6.1-10, §6.1-11, §6.1-12: T3-rtx runs from the earliest chunk, whatever follows it, and
/// again from its retransmission.
#[test]
fn t3_runs_from_the_earliest_chunk() {
    let mut pair = Pair::new();
    let (a, _) = pair.association();
    let (sctp, mut cx) = pair.host(A);
    sctp.configure(&mut cx, a, AssocId::ALL, |settings| {
        settings.no_delay = true
    })
    .unwrap();
    pair.wires[0].cut = true;
    let expired = |pair: &Pair| pair.hosts[A].parts.counters.get(Counter::SctpT3RtxExpireds);
    pair.send(A, a, b"first").unwrap();
    pair.run_for(Duration::from_millis(600));
    pair.send(A, a, b"second").unwrap();
    pair.run_for(Duration::from_millis(399));
    assert_eq!(expired(&pair), 0);
    pair.run_for(Duration::from_millis(2));
    assert_eq!(expired(&pair), 1);
    pair.run_for(Duration::from_millis(1900));
    assert_eq!(expired(&pair), 1);
    pair.run_for(Duration::from_millis(200));
    assert_eq!(expired(&pair), 2);
}

/// RFC 9260 §6.1-8: what is lost goes before what is new.
#[test]
fn what_is_lost_goes_first() {
    let mut pair = Pair::new();
    let (a, _) = pair.association();
    pair.wires[0].cut = true;
    for _ in 0..10 {
        pair.send(A, a, &[1; 1400]).unwrap();
    }
    pair.run_for(Duration::from_millis(900));
    pair.wires[0].cut = false;
    let from = pair.log.len();
    pair.run_for(Duration::from_secs(3));
    let mut last: Option<Tsn> = None;
    for sent in pair.log[from..].iter().filter(|sent| sent.from == A) {
        for data in chunks(&sent.bytes)
            .iter()
            .filter_map(|chunk| Data::parse(chunk).ok())
        {
            assert!(
                last.is_none_or(|last| last.before(data.tsn)),
                "in the order of TSNs"
            );
            last = Some(data.tsn);
        }
    }
    assert!(last.is_some());
}

/// RFC 9260 §6.1-13, §6.1-14: however open the windows are.
#[test]
fn tsns_stay_within_their_space() {
    let mut pair = Pair::new();
    let (a, _) = pair.association();
    let id = pair.hosts[A].sctp.all()[0];
    let association = pair.hosts[A].sctp.association_mut(id).unwrap();
    let fragment = |message| Fragment {
        stream: 0,
        number: message as u32,
        fsn: 0,
        ppid: 0,
        unordered: false,
        begin: true,
        end: true,
        immediate: false,
        data: bytes::Bytes::from_static(b"1"),
        message,
        context: 0,
        policy: Policy::None,
        key: None,
    };
    for message in 0..65_534 {
        association.outstanding.push(fragment(message), 0);
    }
    association.rwnd = u64::MAX / 2;
    pair.send(A, a, &[1; 1452]).unwrap();
    let next = |pair: &Pair| pair.hosts[A].sctp.association(id).unwrap().next_output();
    assert_eq!(next(&pair), Some(0));
    let association = pair.hosts[A].sctp.association_mut(id).unwrap();
    association.outstanding.push(fragment(65_534), 0);
    assert_eq!(next(&pair), None);
}

/// RFC 9260 §6.7-2, §6.7-3, §7.2.4-1: missing for the third time, before any timer.
#[test]
fn three_misses_send_it_again() {
    let mut pair = Pair::new();
    let (a, _) = pair.association();
    let mut lost = false;
    pair.lose = Box::new(move |sent| {
        let first = sent.chunks.contains(&ChunkType::DATA) && !lost;
        lost |= first;
        first
    });
    let (sctp, mut cx) = pair.host(A);
    sctp.configure(&mut cx, a, AssocId::ALL, |settings| {
        settings.no_delay = true
    })
    .unwrap();
    for _ in 0..5 {
        pair.send(A, a, &[1; 1000]).unwrap();
        pair.run_for(Duration::from_millis(30));
    }
    let counters = &pair.hosts[A].parts.counters;
    assert_eq!(counters.get(Counter::SctpFastRetransmits), 1);
    assert_eq!(counters.get(Counter::SctpT3RtxExpireds), 0);
}

/// RFC 9260 §6.3.1-1, §6.3.1-2: once a round trip, but never by what was sent twice.
#[test]
fn round_trips_are_measured_by_what_was_sent_once() {
    let mut pair = Pair::new();
    let (a, b) = pair.association();
    let srtt = |pair: &mut Pair| {
        let (sctp, _) = pair.host(A);
        sctp.paths(a, AssocId::FUTURE).unwrap()[0].srtt.unwrap()
    };
    let before = srtt(&mut pair);
    let mut lost = 0;
    pair.lose = Box::new(move |sent| {
        lost += usize::from(sent.chunks.contains(&ChunkType::DATA));
        sent.chunks.contains(&ChunkType::DATA) && lost == 1
    });
    pair.send(A, a, b"twice").unwrap();
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.recv(B, b).unwrap(), b"twice");
    assert_eq!(srtt(&mut pair), before);
    pair.wires[0].delay = Duration::from_millis(100);
    pair.send(A, a, b"once").unwrap();
    pair.run_for(Duration::from_secs(5));
    assert!(srtt(&mut pair) > before);
}

struct Peer {
    pair: Pair,
    b: SocketId,
    ports: (u16, u16),
    tag: u32,
    next: u32,
}

/// B of an association, to whom a test speaks in A's name.
fn peer() -> Peer {
    let mut pair = Pair::new();
    let (_, b) = pair.association();
    let (sctp, _) = pair.host(B);
    let ports = (sctp.peer_addr(b).unwrap().port(), PORT);
    let id = pair.hosts[B].sctp.all()[0];
    let association = pair.hosts[B].sctp.association(id).unwrap();
    let (tag, next) = (association.tags.local, association.inbound.cumulative());
    pair.wires[0].cut = true;
    Peer {
        pair,
        b,
        ports,
        tag,
        next: next.wrapping_add(1),
    }
}

impl Peer {
    fn say(&mut self, chunks: &[u8]) {
        self.pair.inject(B, self.ports, self.tag, chunks);
    }

    fn data(&self, ahead: u32, payload: &[u8]) -> Vec<u8> {
        let tsn = Tsn(self.next.wrapping_add(ahead));
        chunk(|out| {
            Data {
                flags: DataFlags::WHOLE | DataFlags::UNORDERED,
                tsn,
                stream: 0,
                ssn: 0,
                ppid: 0,
                payload,
            }
            .emit(out);
        })
    }

    /// What B has sent since `from`.
    fn heard(&mut self, from: usize) -> Vec<String> {
        self.pair.run_for(Duration::ZERO);
        self.pair.trace(from)
    }
}

/// RFC 9260 §6.2-13, §6.7-4, §6.7-5: as many as fit one packet, from the lowest on.
#[test]
fn gaps_beyond_the_packet_are_left_out() {
    let mut peer = peer();
    for n in 0..600 {
        let data = peer.data(2 * n + 1, b"1");
        peer.say(&data);
    }
    let from = peer.pair.log.len();
    assert_eq!(peer.heard(from), ["< SACK"]);
    let bytes = peer.pair.log.last().unwrap().bytes.clone();
    let sack = Sack::parse(&first(&bytes[HEADER_LEN..])).unwrap();
    assert_eq!(bytes.len() + 20, 1500);
    assert_eq!(sack.gaps.len(), (1500 - 20 - HEADER_LEN - 16) / 4);
    let GapAckBlock { start, end } = sack.gaps.get(0).unwrap();
    assert_eq!((start, end), (2, 2));

    // Of a packet that was marked for congestion its echo says so, behind it, within the packet.
    let id = peer.pair.hosts[B].sctp.all()[0];
    let association = peer.pair.hosts[B].sctp.association_mut(id).unwrap();
    association.ack.marked = Some(peer.next);
    let from = peer.pair.log.len();
    let data = peer.data(1201, b"1");
    peer.say(&data);
    assert_eq!(peer.heard(from), ["< SACK, ECNE"]);
    let bytes = &peer.pair.log.last().unwrap().bytes;
    assert_eq!(bytes.len() + 20, 1500);
}

/// RFC 9260 §6.2-2, §6.2-3, §6.2-4, §6.2-15: with a closed window what is new is dropped, and said at
/// once not to have come.
#[test]
fn a_closed_window_takes_nothing_new() {
    let mut peer = peer();
    let mut n = 0;
    let id = peer.pair.hosts[B].sctp.all()[0];
    let window = |peer: &Peer| {
        peer.pair.hosts[B]
            .sctp
            .association(id)
            .unwrap()
            .receive_window()
    };
    while window(&peer) > 0 {
        let data = peer.data(n, &[1; 1400]);
        peer.say(&data);
        n += 1;
    }
    peer.pair.run_for(Duration::from_secs(1));
    let from = peer.pair.log.len();
    let data = peer.data(n, &[1; 1400]);
    peer.say(&data);
    assert_eq!(peer.heard(from), ["< SACK"]);
    let bytes = peer.pair.log.last().unwrap().bytes.clone();
    let sack = Sack::parse(&first(&bytes[HEADER_LEN..])).unwrap();
    let last = peer.next.wrapping_add(n - 1);
    assert_eq!(
        (sack.cumulative_tsn.0, sack.a_rwnd, sack.gaps.len()),
        (last, 0, 0)
    );
    // Read, it opens again.
    while peer.pair.recv(B, peer.b).is_ok() {}
    let from = peer.pair.log.len();
    peer.say(&data);
    assert_eq!(peer.heard(from).len(), 1);
    let bytes = peer.pair.log.last().unwrap().bytes.clone();
    let sack = Sack::parse(&first(&bytes[HEADER_LEN..])).unwrap();
    assert!(sack.a_rwnd > 100_000);
}

/// RFC 9260 §6.2-1: what the peer was told that there is room for is taken, though so little is left behind
/// the first chunk that the next SACK says none.
#[test]
fn what_fits_into_the_window_that_was_told_is_taken() {
    let mut peer = peer();
    let id = peer.pair.hosts[B].sctp.all()[0];
    let window = |peer: &Peer| {
        let association = peer.pair.hosts[B].sctp.association(id).unwrap();
        association.receive_window() as usize
    };
    let mut n = 0;
    while window(&peer) > 2800 {
        let data = peer.data(n, &[1; 1400]);
        peer.say(&data);
        n += 1;
    }
    peer.pair.run_for(Duration::from_secs(1));
    let mut two = peer.data(n, &vec![1; window(&peer) - 1000]);
    two.extend(peer.data(n + 1, &[1; 900]));
    let from = peer.pair.log.len();
    peer.say(&two);
    peer.pair.run_for(Duration::from_secs(1));
    assert_eq!(peer.heard(from), ["< SACK"]);
    let bytes = peer.pair.log.last().unwrap().bytes.clone();
    let sack = Sack::parse(&first(&bytes[HEADER_LEN..])).unwrap();
    let last = peer.next.wrapping_add(n + 1);
    assert_eq!((sack.cumulative_tsn.0, sack.a_rwnd), (last, 0));
}

/// RFC 9260 §6.2-8: what is taken to be kept for a slower reader stays in the window until it is given back.
#[test]
fn what_is_charged_stays_in_the_window() {
    let mut pair = Pair::new();
    let (a, b) = pair.association();
    let count = |pair: &mut Pair| {
        let mut count = 0;
        loop {
            while pair.send(A, a, &[1; 1000]).is_ok() {}
            let before = count;
            pair.run_for(Duration::from_secs(5));
            let (sctp, _) = pair.host(B);
            let mut buffer = [0; 2000];
            while let Ok(incoming) = sctp.recv_msg_charged(b, &mut buffer) {
                assert!(matches!(incoming, Incoming::Message(said) if said.len == 1000));
                count += 1;
            }
            if count == before {
                return count;
            }
        }
    };
    let window = Config::default().sctp.rmem.1;
    let first = count(&mut pair);
    assert!(first * 1000 <= window + 1000, "{first} messages");
    assert!(first * 1000 + 2000 >= window, "{first} messages");
    assert_eq!(count(&mut pair), 0, "it stays closed");
    let (sctp, mut cx) = pair.host(B);
    sctp.give_back(&mut cx, b, AssocId(0), first * 1000);
    let second = count(&mut pair);
    assert!(first.abs_diff(second) <= 2, "{first} and then {second}");
}

/// RFC 9260 §3.3.2: as many streams as the fields of an INIT can say, each with its own order.
#[test]
fn an_association_has_65535_streams_each_way() {
    let mut pair = Pair::new();
    let listener = pair.listen();
    let a = pair.open(A, Style::OneToOne);
    for (n, id) in [(A, a), (B, listener)] {
        let (sctp, mut cx) = pair.host(n);
        let set = sctp.configure(&mut cx, id, AssocId::FUTURE, |settings| {
            settings.init.out_streams = u16::MAX;
            settings.init.in_streams_max = u16::MAX;
        });
        set.unwrap();
    }
    pair.connect(A, a);
    pair.run_for(Duration::from_secs(1));
    let (sctp, mut cx) = pair.host(B);
    let (b, _) = sctp.accept(&mut cx, listener).unwrap();
    for (n, id) in [(A, a), (B, b)] {
        let status = pair.hosts[n].sctp.status(id, AssocId::FUTURE).unwrap();
        assert_eq!(
            (status.out_streams, status.in_streams),
            (u16::MAX, u16::MAX)
        );
    }
    assert_eq!(pair.send_on(A, a, u16::MAX, b"none"), Err(Error::Invalid));
    let mut came = 0;
    for round in 0..2_u8 {
        for stream in 0..u16::MAX {
            let message = [&stream.to_be_bytes()[..], &[round]].concat();
            while pair.send_on(A, a, stream, &message) == Err(Error::WouldBlock) {
                pair.run_for(Duration::from_millis(20));
            }
            came += receive_from_streams(&mut pair, b);
        }
    }
    pair.run_for(Duration::from_secs(10));
    came += receive_from_streams(&mut pair, b);
    assert_eq!(came, 2 * usize::from(u16::MAX));
}

/// Receives what there is on B, and sees that each message has the place in its stream that it says.
fn receive_from_streams(pair: &mut Pair, b: SocketId) -> usize {
    let (sctp, mut cx) = pair.host(B);
    let (mut came, mut bytes) = (0, [0; 8]);
    while let Ok(Incoming::Message(received)) = sctp.recv_msg(&mut cx, b, &mut bytes, false) {
        let stream = u16::from_be_bytes([bytes[0], bytes[1]]);
        assert_eq!(
            (received.info.stream, received.info.ssn),
            (stream, bytes[2].into())
        );
        came += 1;
    }
    came
}

/// RFC 9260 §6.2-9, §6.2-10: whatever the user wants.
#[test]
fn acknowledgments_never_wait_longer_than_half_a_second() {
    let mut peer = peer();
    let (sctp, mut cx) = peer.pair.host(B);
    let b = peer.b;
    sctp.configure(&mut cx, b, AssocId::ALL, |settings| {
        settings.sack_delay = Duration::from_secs(5);
    })
    .unwrap();
    let (one, two) = (peer.data(0, b"1"), peer.data(1, b"2"));
    peer.say(&one);
    peer.pair.run_for(Duration::from_secs(1));
    let from = peer.pair.log.len();
    peer.say(&two);
    peer.pair.run_for(Duration::from_millis(499));
    assert!(peer.pair.trace(from).is_empty());
    peer.pair.run_for(Duration::from_millis(1));
    assert_eq!(peer.pair.trace(from), ["< SACK"]);
}

/// RFC 9260 §12.4-2, §3.3.6-1, §3.3.6-2, §8.3-1: one packet, with as much as fits, each as it came.
#[test]
fn a_packet_is_answered_by_one_packet() {
    let mut peer = peer();
    let beat = |n: u8| chunk(|out| Heartbeat { info: &[n; 100] }.emit(out));
    let mut all: Vec<u8> = (0..30).flat_map(beat).collect();
    all.extend(peer.data(0, b"1"));
    let from = peer.pair.log.len();
    peer.say(&all);
    assert_eq!(peer.heard(from).len(), 1);
    let bytes = peer.pair.log.last().unwrap().bytes.clone();
    assert!(bytes.len() + 20 <= 1500);
    for (n, chunk) in chunks(&bytes).iter().enumerate() {
        if let Ok(ack) = HeartbeatAck::parse(chunk) {
            assert_eq!(ack.info, [n as u8; 100]);
        } else {
            assert_eq!((chunk.kind, n), (ChunkType::SACK, 13));
        }
    }
    assert_eq!(chunks(&bytes).len(), 14);
}

/// RFC 9260 §3.3.7-2, §9.1-1, §9.1-2, §9.1-3, §8.5.1-3: what was to be said before, then the ABORT, with
/// the peer's tag and without data.
#[test]
fn an_abort_is_the_last_of_its_packet() {
    let mut peer = peer();
    peer.pair.send(B, peer.b, b"never sent beside it").unwrap();
    let beat = chunk(|out| Heartbeat { info: b"?" }.emit(out));
    let empty = peer.data(0, b"");
    let from = peer.pair.log.len();
    peer.say(&[beat, empty].concat());
    assert_eq!(peer.heard(from), ["< HEARTBEAT ACK, ABORT"]);
    let id = peer.pair.hosts[A].sctp.all()[0];
    let tag = peer.pair.hosts[A].sctp.association(id).unwrap().tags.local;
    assert_eq!(peer.pair.log[from].tag, tag);
}

/// RFC 9260 §4-9, §9.2-7, §9.2-8: data that comes after SHUTDOWN is acknowledged at once, gaps by a SACK
/// beside.
#[test]
fn a_shutdown_says_what_it_can_not_acknowledge() {
    let mut peer = peer();
    peer.pair.shutdown(B, peer.b);
    peer.pair.run_for(Duration::ZERO);
    assert_eq!(peer.pair.state(B, peer.b), State::ShutdownSent);
    let data = peer.data(1, b"behind a gap");
    let from = peer.pair.log.len();
    peer.say(&data);
    assert_eq!(peer.heard(from), ["< SHUTDOWN, SACK"]);
}

/// RFC 9260 §3.3.8-2: a SHUTDOWN says nothing of gaps.
#[test]
fn a_shutdown_takes_nothing_back() {
    let mut peer = peer();
    for _ in 0..3 {
        peer.pair.send(B, peer.b, &[1; 1452]).unwrap();
    }
    peer.pair.run_for(Duration::ZERO);
    let id = peer.pair.hosts[B].sctp.all()[0];
    let look = |peer: &Peer| {
        let own = peer.pair.hosts[B].sctp.association(id).unwrap();
        (own.outstanding.flight(), own.outstanding.cumulative())
    };
    let (flight, una) = look(&peer);
    let sack = chunk(|out| {
        Sack {
            cumulative_tsn: Tsn(una),
            a_rwnd: 100_000,
            gaps: List::Values(&[GapAckBlock { start: 2, end: 3 }]),
            duplicates: List::Values(&[]),
        }
        .emit(out);
    });
    peer.say(&sack);
    assert_eq!(look(&peer).0, flight / 3);
    let cumulative_tsn = Tsn(una);
    peer.say(&chunk(|out| Shutdown { cumulative_tsn }.emit(out)));
    assert_eq!(peer.pair.state(B, peer.b), State::ShutdownReceived);
    assert_eq!(look(&peer).0, flight / 3);
}

fn grown() -> (Pair, SocketId) {
    let mut pair = Pair::new();
    let (a, b) = pair.association();
    for _ in 0..50 {
        pair.send(A, a, &[1; 1400]).unwrap();
    }
    pair.run_for(Duration::from_secs(1));
    while pair.recv(B, b).is_ok() {}
    assert!(cwnd(&pair) > 4404);
    (pair, a)
}

fn cwnd(pair: &Pair) -> u64 {
    let id = pair.hosts[A].sctp.all()[0];
    pair.hosts[A].sctp.association(id).unwrap().paths[0]
        .window
        .cwnd()
}

/// RFC 9260 §7.2.5-1, §7.2.5.1-1: another DSCP, of the socket or of the path.
#[test]
fn another_class_begins_anew() {
    let (mut pair, a) = grown();
    let (sctp, mut cx) = pair.host(A);
    let class = sockeye_core::OptionValue::Int(0x20);
    sctp.set_option(&mut cx, a, SocketOption::Tos, class)
        .unwrap();
    assert_eq!(cwnd(&pair), 4404);
    let (mut pair, a) = grown();
    let (sctp, mut cx) = pair.host(A);
    sctp.configure(&mut cx, a, AssocId::ALL, |settings| {
        settings.path.traffic_class = Some(0x20);
    })
    .unwrap();
    assert_eq!(cwnd(&pair), 4404);
}

/// RFC 9260 §7.2.5.2-1: another way to the same address.
#[test]
fn another_route_begins_anew() {
    let (mut pair, a) = grown();
    pair.hosts[A]
        .parts
        .inet
        .add_route(
            "10.0.0.2/32".parse().unwrap(),
            Some("10.0.0.9".parse().unwrap()),
            super::pair::interface(0),
            0,
        )
        .unwrap();
    pair.send(A, a, b"by the new one").unwrap();
    pair.run_for(Duration::ZERO);
    assert_eq!(cwnd(&pair), 4404);
}

/// RFC 9260 §5.1-13: the first DATA is acknowledged at once; RFC 9260 §6.2-1, §6.2-11: and every other by SACKs.
#[test]
fn data_is_acknowledged() {
    let mut peer = peer();
    let mut acked = BTreeMap::new();
    for n in 0..5 {
        let data = peer.data(n, b"1");
        let from = peer.pair.log.len();
        peer.say(&data);
        peer.pair
            .run_for(Duration::from_millis(if n == 0 { 0 } else { 200 }));
        assert_eq!(peer.pair.trace(from), ["< SACK"]);
        let bytes = &peer.pair.log[from].bytes;
        let sack = Sack::parse(&first(&bytes[HEADER_LEN..])).unwrap();
        acked.insert(n, sack.cumulative_tsn.0.wrapping_sub(peer.next));
    }
    assert!(acked.iter().all(|(n, tsn)| n == tsn));
}

/// RFC 8260 §4.3.2, RFC 6458 §8.1.21: what a listening socket is set to, its associations begin with;
/// what an association is set to, it heeds at once.
#[test]
fn accepted_associations_heed_the_scheduler_and_the_point_of_partial_delivery() {
    const ROUND_ROBIN: u32 = 1;
    let mut pair = Pair::new();
    let listener = pair.listen();
    let (sctp, mut cx) = pair.host(B);
    sctp.set_scheduler(&mut cx, listener, AssocId::FUTURE, ROUND_ROBIN)
        .unwrap();
    let point = |settings: &mut crate::Settings| settings.partial_delivery_point = 5000;
    sctp.configure(&mut cx, listener, AssocId::FUTURE, point)
        .unwrap();
    let a = pair.dial();
    pair.run_for(Duration::from_millis(100));
    let (sctp, mut cx) = pair.host(B);
    let (b, _) = sctp.accept(&mut cx, listener).unwrap();
    for (stream, letter) in [(1, b'a'), (1, b'b'), (2, b'c')] {
        pair.send_on(B, b, stream, &[letter; 9000]).unwrap();
    }
    pair.run_for(Duration::from_secs(1));
    let order: Vec<u8> = (0..3).map(|_| pair.recv(A, a).unwrap()[0]).collect();
    assert_eq!(order, *b"acb", "streams take turns");

    // Without its end a message is there in parts, or not at all.
    let message = [&[0; 20_001][..], b"end"].concat();
    let begun = |pair: &mut Pair, n: usize, from, to| {
        pair.lose = Box::new(move |sent| sent.from == n && sent.bytes.ends_with(b"end"));
        pair.send(n, from, &message).unwrap();
        pair.run_for(Duration::from_millis(300));
        let begun = pair.incoming(1 - n, to).is_ok();
        pair.lose = Box::new(|_| false);
        pair.run_for(Duration::from_secs(10));
        while pair.incoming(1 - n, to).is_ok() {}
        begun
    };
    assert!(begun(&mut pair, A, a, b));
    assert!(!begun(&mut pair, B, b, a), "nothing was set there");
    let (sctp, mut cx) = pair.host(A);
    sctp.configure(&mut cx, a, AssocId::FUTURE, point).unwrap();
    assert!(begun(&mut pair, B, b, a));
}
