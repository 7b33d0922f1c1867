//! What an association counts for its user.

use super::pair::{A, B, Pair};
use crate::{AbandonedCount, AssocId, AssocStats, PrInfo, SndFlags, SndInfo};
use core::time::Duration;
use sockeye_core::{Error, SocketId};
use sockeye_wire::sctp::ChunkType;
use std::io::IoSlice;

const SECOND: Duration = Duration::from_secs(1);

fn stats(pair: &mut Pair, n: usize, id: SocketId) -> AssocStats {
    let (sctp, _) = pair.host(n);
    sctp.assoc_stats(id, AssocId::FUTURE).unwrap()
}

fn send(pair: &mut Pair, id: SocketId, info: SndInfo, data: &[u8]) {
    let (sctp, mut cx) = pair.host(A);
    sctp.send_msg(&mut cx, id, &[IoSlice::new(data)], None, &info)
        .unwrap();
}

/// SCTP_GET_ASSOC_STATS: what both sides count is what crossed the wire.
#[test]
fn traffic_is_counted_as_it_crosses_the_wire() {
    let mut pair = Pair::new();
    let (a, b) = pair.association();
    let unordered = SndInfo {
        flags: SndFlags::UNORDERED,
        ..SndInfo::default()
    };
    // The third of ten packets is lost, and the sixth comes twice.
    let mut count = 0;
    pair.lose = Box::new(move |sent| {
        let data = sent.from == A && sent.chunks.contains(&ChunkType::DATA);
        count += u32::from(data);
        data && count == 3
    });
    for n in 0..10 {
        let info = if n < 7 { SndInfo::default() } else { unordered };
        send(&mut pair, a, info, &[n; 1400]);
        pair.run_for(SECOND / 20);
    }
    let sixth = pair.log.iter().filter(|sent| sent.from == A);
    let sixth = sixth.filter(|sent| sent.chunks == [ChunkType::DATA]).nth(5);
    let again = sixth.unwrap().bytes.clone();
    pair.run_for(SECOND * 5);
    pair.inject_raw(B, 0, &again);
    pair.run_for(SECOND);
    let (at_a, at_b) = (stats(&mut pair, A, a), stats(&mut pair, B, b));
    assert_eq!((at_a.ordered_out, at_a.unordered_out), (7, 3));
    assert_eq!(at_a.retransmitted_out, 1);
    // Seven, of which the lost one came once, and the double.
    assert_eq!((at_b.ordered_in, at_b.unordered_in), (8, 3));
    assert_eq!(at_b.duplicates_in, 1);
    assert!(at_b.out_of_order_in >= 3, "{at_b:?}");
    assert_eq!(at_a.gaps_in, at_b.sacks_out.min(at_a.gaps_in));
    assert!(at_a.gaps_in >= 3, "{at_a:?}");
    let sacks = pair.log.iter().filter(|sent| sent.from == B);
    let sacks = sacks.filter(|sent| sent.chunks.contains(&ChunkType::SACK));
    assert_eq!(at_b.sacks_out, sacks.count() as u64);
    assert_eq!(at_a.sacks_in, at_b.sacks_out);
    let from = |n: usize| pair.log.iter().filter(move |sent| sent.from == n);
    assert_eq!(at_a.packets_out, from(A).count() as u64);
    // INIT ACK was sent before there was an association there.
    assert_eq!(at_b.packets_out, from(B).count() as u64 - 1);
    assert_eq!(at_a.packets_in, from(B).count() as u64);
    let control = |n: usize| -> usize {
        let kinds = from(n).flat_map(|sent| sent.chunks.clone());
        kinds.filter(|kind| *kind != ChunkType::DATA).count()
    };
    assert_eq!(at_a.control_out, control(A) as u64);
    assert_eq!(at_a.control_in, control(B) as u64);
    assert_eq!(at_b.control_out, control(B) as u64 - 1);
    // The largest RTO is told once; then none was computed.
    let (largest, of) = at_a.max_rto.unwrap();
    assert!(largest >= SECOND, "{largest:?}");
    assert_eq!(of.to_string(), "10.0.0.2:80");
    assert_eq!(stats(&mut pair, A, a).max_rto, None);
    pair.close(A, a);
    let (sctp, _) = pair.host(A);
    let unknown = sctp.assoc_stats(a, AssocId::FUTURE);
    assert_eq!(unknown, Err(Error::BadSocket));
}

/// RFC 7496 §4.3, §4.4: by policy, by stream, and whether a part was sent.
#[test]
fn messages_given_up_are_counted_by_policy_and_stream() {
    let mut pair = Pair::new();
    let (a, _b) = pair.association();
    pair.lose = Box::new(|sent| sent.from == A);
    let on = |stream, reliability| SndInfo {
        stream,
        reliability,
        ..SndInfo::default()
    };
    send(&mut pair, a, on(1, PrInfo::Limited(0)), &[1; 1400]);
    send(&mut pair, a, on(2, PrInfo::Timed(SECOND)), &[2; 1400]);
    // What the window does not let go is never sent.
    for _ in 0..20 {
        send(&mut pair, a, on(2, PrInfo::Timed(SECOND)), &[2; 1400]);
    }
    pair.run_for(SECOND * 10);
    let (sctp, _) = pair.host(A);
    let all = sctp.abandoned(a, AssocId::FUTURE).unwrap();
    let limited = AbandonedCount { unsent: 0, sent: 1 };
    assert_eq!(all.limited, limited);
    assert_eq!(all.priority, AbandonedCount::default());
    assert_eq!(all.timed.unsent + all.timed.sent, 21);
    assert!(all.timed.sent >= 1 && all.timed.unsent >= 10, "{all:?}");
    assert_eq!(all.all().sent, all.timed.sent + 1);
    let of = |stream| sctp.abandoned_on(a, AssocId::FUTURE, stream);
    assert_eq!(of(1).unwrap().all(), limited);
    assert_eq!(of(2).unwrap().timed, all.timed);
    assert_eq!(of(3).unwrap().all(), AbandonedCount::default());
    assert_eq!(of(99), Err(Error::Invalid));
}
