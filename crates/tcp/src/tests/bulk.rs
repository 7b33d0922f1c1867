//! What connections cost: few packets for bulk over a link with super-segments, little memory when
//! idle.

use super::pair::{A, B, Pair, Wire};
use crate::output::ACK_DELAY;
use crate::tcb::Tcb;
use core::time::Duration;
use sockeye_core::{OptionValue, SocketOption};

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

/// Over a loopback interface a segment may be as large as the peer's window: a small piece that waits
/// for its acknowledgment must not keep back what follows it.
#[test]
fn small_windows_do_not_wait_on_large_segments() {
    const LEN: usize = 4 << 20;
    for (buffer, piece) in [
        (32 << 10, 20_000),
        (64 << 10, 20_000),
        (64 << 10, 50_000),
        (128 << 10, 20_000),
        (128 << 10, 131_072),
    ] {
        let wire = Wire {
            delay: Duration::from_micros(10),
            mtu: 65_535,
            ..Wire::default()
        };
        let mut pair = Pair::new(wire);
        let listener = pair.listen(80);
        let a = pair.dial(80);
        for (n, id) in [(A, a), (B, listener)] {
            let (tcp, mut cx) = pair.host(n);
            for option in [SocketOption::ReceiveBuffer, SocketOption::SendBuffer] {
                let size = OptionValue::Int(buffer);
                tcp.set_option(&mut cx, id, option, size).unwrap();
            }
        }
        let b = pair.accept(listener).expect("a connection to accept");
        let (data, began) = (vec![7u8; piece], pair.now);
        let (mut sent, mut came) = (0, 0);
        pair.run_until(|pair| {
            while sent < LEN
                && let Ok(len) = pair.send(A, a, &data)
            {
                sent += len;
            }
            while let Ok(data) = pair.recv(B, b)
                && !data.is_empty()
            {
                came += data.len();
            }
            came >= LEN
        });
        // A window each round trip would take 3 ms; no acknowledgment was put off.
        let took = pair.now - began;
        assert!(took < ACK_DELAY, "{buffer} {piece}: {took:?}");
    }
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Tcb>() <= 1352, "{}", size_of::<Tcb>());
}
