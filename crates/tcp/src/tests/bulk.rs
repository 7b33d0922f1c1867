//! What connections cost: few packets for bulk over a link with super-segments, little memory when
//! idle.

use super::pair::{A, B, Pair, Wire};
use crate::tcb::Tcb;
use core::time::Duration;

#[test]
fn super_segments_cross_whole() {
    let wire = Wire {
        delay: Duration::from_micros(20),
        cut: false,
        ..Wire::default()
    };
    let mut pair = Pair::new(wire);
    let (a, b) = pair.connection();
    let data = vec![7u8; 32 << 20];
    assert!(pair.transfer(A, [a, b], &data) == data);
    let from = |n| {
        pair.log
            .iter()
            .filter(move |(from, _, _)| *from == n)
            .count()
    };
    // 33,554,432 bytes in packets of at most 65,535.
    assert!(from(A) < 700, "{} packets for 32 MiB", from(A));
    assert!(
        from(B) <= from(A),
        "{} acknowledgments for {}",
        from(B),
        from(A)
    );
    // Both buffers have followed.
    let now = pair.now;
    let info = pair.host(B).0.info(now, b).unwrap();
    assert_eq!(info.receive_buffer, 6_291_456);
    let info = pair.host(A).0.info(now, a).unwrap();
    assert!(info.send_buffer >= 1 << 20, "{}", info.send_buffer);
    assert_eq!(info.retransmitted, 0);
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Tcb>() <= 1352, "{}", size_of::<Tcb>());
}
